//! `bench-rate IP:PORT FILE RATE SECONDS`: sends the file's request at this rate per second. Prints
//! how many requests were and were not answered, and the milliseconds within which a half, 99 and
//! 99.9 of a hundred answers came.

use std::env::args;
use std::error::Error;
use std::io::{self, Write as _};
use std::time::Duration;

use benchkit::CONNECTIONS;
use benchkit::rate::{Load, send};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = args().skip(1).collect();
    let [address, request, rate, seconds] = &arguments[..] else {
        return Err("expected: IP:PORT FILE RATE SECONDS".into());
    };
    let latencies = send(&Load {
        address: address.parse()?,
        request: std::fs::read(request)?,
        connections: CONNECTIONS,
        rate: rate.parse()?,
        time: Duration::from_secs_f64(seconds.parse()?),
    })?;
    let (answered, unanswered) = (latencies.answered(), latencies.unanswered);
    if answered == 0 {
        return Err("no request was answered".into());
    }
    let [half, most, nearly_all] =
        [0.5, 0.99, 0.999].map(|share| latencies.within(share).as_secs_f64() * 1e3);
    let line = format!("{answered} {unanswered} {half:.4} {most:.4} {nearly_all:.4}");
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}
