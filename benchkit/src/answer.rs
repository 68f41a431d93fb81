//! Where an answer on a connection ends. Understands only what the compared servers send: a
//! `Content-Length`, chunks, or no body.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The time limit for one answer.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The largest answer that is read.
const MOST: usize = 256 << 20;

/// A complete answer as it came: head and body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The bytes.
    pub bytes: Vec<u8>,
    head: usize,
}

impl Answer {
    /// The answer to one request on a connection of its own.
    ///
    /// # Errors
    ///
    /// When no complete answer arrives within 10 s, or it has no length.
    pub fn to(address: SocketAddr, request: &str) -> io::Result<Self> {
        Self::on(&mut connect(address)?, request)
    }

    /// The answer to one request on a connection on which nothing is outstanding.
    ///
    /// # Errors
    ///
    /// As [`to`](Self::to).
    pub fn on(stream: &mut TcpStream, request: &str) -> io::Result<Self> {
        stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        let mut part = vec![0; 64 << 10];
        loop {
            match stream.read(&mut part)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => bytes.extend_from_slice(&part[..read]),
            }
            if bytes.len() > MOST {
                return Err(io::Error::other("the answer is too large"));
            }
            if let Some(extent) = Extent::of(&bytes)?
                && bytes.len() >= extent.whole
            {
                bytes.truncate(extent.whole);
                let head = extent.head;
                return Ok(Self { bytes, head });
            }
        }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        let code = self.bytes.get(9..12).unwrap_or_default();
        String::from_utf8_lossy(code).parse().unwrap_or_default()
    }

    /// A field of the head.
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = std::str::from_utf8(&self.bytes[..self.head]).ok()?;
        head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body; if it came in chunks, with their frames.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.head..]
    }
}

/// A connection on which reading has a time limit.
///
/// # Errors
///
/// When it cannot be opened.
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIME_LIMIT)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// How long an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The head's bytes, the empty line included.
    pub head: usize,
    /// The bytes of head and body.
    pub whole: usize,
}

impl Extent {
    /// The extent of the answer that `bytes` begin with; `None` while its end cannot be known.
    ///
    /// # Errors
    ///
    /// When the head gives no length, and the status allows a body.
    pub fn of(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = end + 4;
        let is_empty = bytes.get(9..12) == Some(b"304");
        let body = if is_empty {
            Some(0)
        } else if let Some(length) = field(&bytes[..head], "content-length:") {
            Some(length.parse().map_err(io::Error::other)?)
        } else if field(&bytes[..head], "transfer-encoding:").is_some() {
            chunks(&bytes[head..])
        } else {
            return Err(io::Error::other("an answer without a length"));
        };
        let extent = |body| Self {
            head,
            whole: head + body,
        };
        Ok(body.map(extent))
    }
}

/// A field's value; `name` ends with a colon.
fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let line = head.split(|byte| *byte == b'\n').find(|line| {
        let start = line.get(..name.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
    })?;
    Some(std::str::from_utf8(&line[name.len()..]).ok()?.trim())
}

/// How long a body in chunks is, if all of it is there.
fn chunks(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = body.get(at..)?;
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        at += line + 2 + size + 2;
        if size == 0 {
            return (body.len() >= at).then_some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(answer: &str) -> Option<usize> {
        let extent = Extent::of(answer.as_bytes()).expect("an answer with a length");
        extent.map(|extent| extent.whole)
    }

    #[test]
    fn an_answer_ends_after_its_body() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(whole(&format!("{head}body.HTTP/1.1")), Some(head.len() + 5));
        assert_eq!(whole(&head[..head.len() - 1]), None);
        let head = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(whole(head), Some(head.len()));
        assert!(Extent::of(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn chunks_end_with_an_empty_one() {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                      a\r\n0123456789\r\n1\r\n.\r\n0\r\n\r\n";
        assert_eq!(whole(&format!("{answer}HTTP")), Some(answer.len()));
        for end in 40..answer.len() {
            assert_eq!(whole(&answer[..end]), None, "{end}");
        }
    }
}
