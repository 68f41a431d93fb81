//! `bench-floor FILE`: answers every request with the file's bytes, head and body. Prints its port.

use std::env::args_os;
use std::io::{self, Write as _};
use std::net::TcpListener;

fn main() -> io::Result<()> {
    let file = args_os().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    let answer = std::fs::read(file)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    match benchkit::floor::serve(&listener, &answer)? {}
}
