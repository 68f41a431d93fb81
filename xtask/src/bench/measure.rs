//! One round of load on one server.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use benchkit::CONNECTIONS;
use tokio::process::Command;

use super::cases::{Case, Place};
use super::rivals::Running;
use super::stage::{self, Stage};

/// What one round showed.
pub(super) struct Round {
    /// Requests per second.
    pub(super) rate: f64,
    /// Processor time of all the server's processes for one request, in microseconds.
    pub(super) cpu: f64,
    /// Milliseconds.
    pub(super) p50: f64,
    /// Milliseconds.
    pub(super) p99: f64,
}

/// Sends as many requests as the server takes.
pub(super) async fn round(
    stage: &Stage,
    case: &Case,
    running: &Running,
    headers: &[(String, String)],
    time: Duration,
) -> Result<Round> {
    let (cores, threads) = match case.place {
        Place::OneCore | Place::Crowded => (&stage.cores.load, "1"),
        Place::AllCores => (&stage.cores.all, "2"),
    };
    let mut wrk = Command::new("taskset");
    wrk.args(["--cpu-list", cores, "wrk", "--latency", "-t", threads]);
    wrk.args(["-c", &CONNECTIONS.to_string()]);
    wrk.args(["-d", &format!("{}s", time.as_secs().max(1))]);
    for (name, value) in headers {
        wrk.args(["-H", &format!("{name}: {value}")]);
    }
    wrk.arg(format!("http://{}{}", running.address, running.path));
    wrk.stdin(Stdio::null()).kill_on_drop(true);

    let before = running.program.spent()?;
    let output = wrk.output().await.context("cannot run wrk")?;
    let spent = running.program.spent()?.cpu.saturating_sub(before.cpu);
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk ended with {}", output.status);
    let seen = Seen::read(&text).with_context(|| format!("wrk printed: {text}"))?;
    let is_failure = case.status >= 400;
    if !is_failure && seen.failures > 0.0 {
        bail!(
            "{} of {} answers were failures",
            seen.failures,
            seen.requests
        );
    }
    Ok(Round {
        rate: seen.rate,
        cpu: spent.as_secs_f64() * 1e6 / seen.requests,
        p50: seen.p50,
        p99: seen.p99,
    })
}

/// Sends requests at a fixed rate, and returns the milliseconds within which 99 of 100 answers came.
pub(super) async fn p99_at(
    stage: &Stage,
    running: &Running,
    headers: &[(String, String)],
    rate: f64,
    time: Duration,
) -> Result<f64> {
    let file = stage.folder().join("request");
    std::fs::write(&file, stage::request(&running.path, headers))?;
    let output = Command::new("taskset")
        .args(["--cpu-list", &stage.cores.load])
        .arg(&stage.programs.rate)
        .arg(running.address.to_string())
        .arg(file)
        .args([rate.to_string(), time.as_secs().to_string()])
        .kill_on_drop(true)
        .output()
        .await?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let numbers: Vec<f64> = said
        .split_whitespace()
        .map_while(|it| it.parse().ok())
        .collect();
    let [_answered, _unanswered, _p50, p99, _p999] = numbers[..] else {
        bail!("at {rate:.0} requests/s: {said}");
    };
    Ok(p99)
}

/// What wrk printed.
#[derive(Debug, PartialEq)]
struct Seen {
    requests: f64,
    failures: f64,
    rate: f64,
    p50: f64,
    p99: f64,
}

impl Seen {
    fn read(text: &str) -> Option<Self> {
        let after = |label: &str| {
            text.lines()
                .find_map(|line| line.trim().strip_prefix(label))
        };
        let requests = text.lines().find_map(|line| {
            let (requests, _) = line.trim().split_once(" requests in ")?;
            requests.parse().ok()
        });
        let failures = after("Non-2xx or 3xx responses:");
        Some(Self {
            requests: requests?,
            failures: failures.map_or(Some(0.0), |count| count.trim().parse().ok())?,
            rate: after("Requests/sec:")?.trim().parse().ok()?,
            p50: milliseconds(after("50%")?)?,
            p99: milliseconds(after("99%")?)?,
        })
    }
}

fn milliseconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let unit = text.find(|character: char| character.is_ascii_alphabetic())?;
    let value: f64 = text[..unit].parse().ok()?;
    match &text[unit..] {
        "us" => Some(value / 1e3),
        "ms" => Some(value),
        "s" => Some(value * 1e3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_wrk_is_understood() {
        let text = "  Latency Distribution\n     50%  236.00us\n     75%  241.00us\n\
                    \x20    99%    1.10ms\n  267018 requests in 2.00s, 485.17MB read\n\
                    \x20 Non-2xx or 3xx responses: 12\nRequests/sec: 133458.88\n";
        let seen = Seen {
            requests: 267_018.0,
            failures: 12.0,
            rate: 133_458.88,
            p50: 0.236,
            p99: 1.1,
        };
        assert_eq!(Seen::read(text), Some(seen));
    }
}
