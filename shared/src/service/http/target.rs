//! Percent-encodes characters in request targets, between the socket and hyper.
//!
//! The upstream accepts every visible ASCII character in a target, and `curl` and scripts send them
//! raw. The `http` crate refuses some of them (`"`, `<`, `>`, `` ` ``), and bytes beyond ASCII that
//! are not UTF-8; hyper then answers an empty 400 without asking the service. This module turns
//! those bytes into `%22` and so on. A line that it cannot repair (a blank in the target, a control
//! character, no version) becomes a request that carries the reason, so that the service can report
//! it.
//!
//! There must be no doubt where a request ends, or else this code would help an attacker to smuggle
//! one. So it changes only the second word of a request line, never a line's end. After the first
//! request with a body, and after anything that is not strictly lines with CR LF, it passes
//! everything on unchanged until the connection ends.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use memchr::memchr2;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The part after the target.
const VERSION: &[u8; 10] = b" HTTP/1.1\r";

/// The text that completes a request with a refused first line. Nothing is read after it.
const REST: &[u8] = b"\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// Fields that give a request a body.
const BODY_FIELDS: [&[u8]; 2] = [b"content-length", b"transfer-encoding"];

/// Longer than any of [`BODY_FIELDS`].
const NAME: usize = 18;

/// Why a request's first line is refused; the service finds it in the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A byte in the target that must be percent-encoded.
    Byte(u8),
    /// The line ends after the target.
    NoVersion,
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(b' ') => {
                write!(out, "the request's target has a blank; write it as %20")
            }
            Self::Byte(byte) => write!(
                out,
                "the request's target has a control character; write it as %{byte:02X}"
            ),
            Self::NoVersion => write!(
                out,
                "the request's first line has no HTTP version; it is METHOD TARGET HTTP/1.1"
            ),
        }
    }
}

/// Which request of a connection is refused, counted from 1, and why. There is at most one, because
/// it is the last request.
pub(super) type Refusal = Arc<OnceLock<(u64, Malformed)>>;

/// A socket that percent-encodes request targets as it reads them.
#[derive(Debug)]
pub(super) struct Targets<S> {
    socket: S,
    reader: Reader,
    /// Encoded bytes that did not fit. At most three times as many as were read.
    held: Vec<u8>,
}

impl<S> Targets<S> {
    pub(super) fn new(socket: S, refusal: Refusal) -> Self {
        let reader = Reader {
            place: Place::Before,
            name: [0; NAME],
            requests: 0,
            refusal,
        };
        Self {
            socket,
            reader,
            held: Vec::new(),
        }
    }
}

/// The position of the next byte in the stream of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before a request; blank lines are allowed here.
    Before,
    Method,
    /// In the target, which is empty so far or not.
    Target {
        is_empty: bool,
    },
    /// After this many bytes of [`VERSION`].
    Version(usize),
    /// After a line's CR.
    LineEnd,
    /// After this many bytes of a field's name; 0 is also the place before the blank line.
    Name(usize),
    Value,
    /// After the CR of the blank line that ends a head.
    HeadEnd,
    /// It is no longer known where requests begin.
    Unknown,
    /// After a refused line: the rest is ignored.
    Refused,
}

/// Reads requests, and decides which bytes to encode.
#[derive(Debug)]
struct Reader {
    place: Place,
    /// The beginning of the field's name, in lower case.
    name: [u8; NAME],
    /// How many requests have begun.
    requests: u64,
    refusal: Refusal,
}

impl Reader {
    /// Returns the bytes with encoded targets; `None` when they need no change.
    fn encoded(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.place == Place::Unknown {
            return None;
        }
        let mut encoded: Option<Vec<u8>> = None;
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let plain = self.plain(&bytes[at..]);
            if plain > 0 {
                if let Some(encoded) = &mut encoded {
                    encoded.extend_from_slice(&bytes[at..at + plain]);
                }
                at += plain;
                continue;
            }
            let before = self.place;
            self.place = self.after(*byte);
            if self.place == Place::Refused {
                let mut encoded = encoded.unwrap_or_else(|| bytes[..at].to_vec());
                complete(before, &mut encoded);
                return Some(encoded);
            }
            let is_changed = matches!(before, Place::Target { .. }) && needs_encoding(*byte);
            if is_changed {
                let encoded = encoded.get_or_insert_with(|| bytes[..at].to_vec());
                encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
            } else if let Some(encoded) = &mut encoded {
                encoded.push(*byte);
            }
            at += 1;
        }
        encoded
    }

    /// How many of the next bytes change neither the place nor themselves. Most bytes of a head are
    /// of this kind, so that they cost little.
    fn plain(&self, bytes: &[u8]) -> usize {
        let end = match self.place {
            Place::Value => memchr2(b'\r', b'\n', bytes),
            Place::Target { is_empty: false } => bytes
                .iter()
                .position(|byte| !byte.is_ascii_graphic() || needs_encoding(*byte)),
            Place::Unknown => None,
            _ => Some(0),
        };
        end.unwrap_or(bytes.len())
    }

    fn after(&mut self, byte: u8) -> Place {
        match (self.place, byte) {
            (Place::Before, b'\r' | b'\n') | (Place::HeadEnd, b'\n') => Place::Before,
            (Place::Before, byte) if byte.is_ascii_graphic() => {
                self.requests += 1;
                Place::Method
            }
            (Place::Method, b' ') => Place::Target { is_empty: true },
            (Place::Method, byte) if byte.is_ascii_graphic() => Place::Method,
            (Place::Target { is_empty: false }, b' ') => Place::Version(1),
            (Place::Target { .. }, b'\r' | b'\n') => self.refuse(Malformed::NoVersion),
            (Place::Target { .. }, byte) if byte <= b' ' || byte == 0x7f => {
                self.refuse(Malformed::Byte(byte))
            }
            (Place::Target { .. }, _) => Place::Target { is_empty: false },
            (Place::Version(read), byte) => self.after_version(read, byte),
            (Place::LineEnd, b'\n') => Place::Name(0),
            (Place::Name(0), b'\r') => Place::HeadEnd,
            (Place::Name(length), b':') => {
                if length == 0 || BODY_FIELDS.contains(&&self.name[..length]) {
                    Place::Unknown
                } else {
                    Place::Value
                }
            }
            // A name that does not fit is not one of [`BODY_FIELDS`].
            (Place::Name(NAME), byte) if byte.is_ascii_graphic() => Place::Name(NAME),
            (Place::Name(length), byte) if byte.is_ascii_graphic() => {
                self.name[length] = byte.to_ascii_lowercase();
                Place::Name(length + 1)
            }
            (Place::Value, b'\r') => Place::LineEnd,
            (Place::Value, byte) if byte != b'\n' => Place::Value,
            _ => Place::Unknown,
        }
    }

    fn after_version(&mut self, read: usize, byte: u8) -> Place {
        let is_number = read == VERSION.len() - 2;
        match VERSION.get(read) {
            Some(expected) if byte == *expected || is_number && byte == b'0' => {
                if byte == b'\r' {
                    Place::LineEnd
                } else {
                    Place::Version(read + 1)
                }
            }
            // hyper refuses other versions.
            _ if read > b" HTTP".len() => Place::Unknown,
            _ if byte == b'\r' || byte == b'\n' => self.refuse(Malformed::NoVersion),
            _ => self.refuse(Malformed::Byte(b' ')),
        }
    }

    fn refuse(&mut self, why: Malformed) -> Place {
        // This is the first refusal, because no byte is read after it.
        let _ = self.refusal.set((self.requests, why));
        Place::Refused
    }
}

/// Whether the `http` crate could refuse the byte in a target. A blank ends the target.
fn needs_encoding(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'`') || !byte.is_ascii()
}

/// Completes a refused line and its request, from the place where reading stopped.
fn complete(left_at: Place, line: &mut Vec<u8>) {
    let read = match left_at {
        Place::Version(read) => read,
        Place::Target { is_empty: true } => {
            line.push(b'/');
            0
        }
        _ => 0,
    };
    line.extend_from_slice(&VERSION[read..VERSION.len() - 1]);
    line.extend_from_slice(REST);
}

impl<S: AsyncRead + Unpin> AsyncRead for Targets<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.held.is_empty() {
            if this.reader.place == Place::Refused {
                return Poll::Ready(Ok(()));
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.socket).poll_read(context, buffer))?;
            let Some(encoded) = this.reader.encoded(&buffer.filled()[before..]) else {
                return Poll::Ready(Ok(()));
            };
            buffer.set_filled(before);
            this.held = encoded;
        }
        let fitting = this.held.len().min(buffer.remaining());
        buffer.put_slice(&this.held[..fitting]);
        // A new vector, so that an idle connection keeps no memory for it.
        this.held = this.held.split_off(fitting);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Targets<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// What hyper gets when these bytes come in pieces of this size, and what is refused.
    fn read(bytes: &[u8], piece: usize) -> (Vec<u8>, Option<(u64, Malformed)>) {
        let refusal = Refusal::default();
        let mut reader = Targets::new((), refusal.clone()).reader;
        let mut read = Vec::new();
        for piece in bytes.chunks(piece) {
            if reader.place == Place::Refused {
                break;
            }
            let encoded = reader.encoded(piece);
            read.extend(encoded.unwrap_or_else(|| piece.to_vec()));
        }
        (read, refusal.get().copied())
    }

    /// Checks the result for every size of pieces.
    #[track_caller]
    fn reads(bytes: &str, expected: &str) {
        for size in 1..=bytes.len() {
            let (read, refused) = read(bytes.as_bytes(), size);
            let read = String::from_utf8(read).expect("what was text");
            assert_eq!(read, expected, "{bytes:?} in pieces of {size}");
            assert_eq!(refused, None, "{bytes:?}");
        }
    }

    #[test]
    fn targets_are_encoded_and_nothing_else() {
        let fields = "Host: \"<a>\"\r\nIf-None-Match: \"<`>\", W/\"é\"\r\n\r\n";
        let quoted = format!("GET /\"a\"?<b>=`é` HTTP/1.1\r\n{fields}");
        let encoded = format!("GET /%22a%22?%3Cb%3E=%60%C3%A9%60 HTTP/1.1\r\n{fields}");
        reads(&quoted, &encoded);
        reads(&quoted.repeat(3), &encoded.repeat(3));
        let old = |line: &str| format!("\r\n\n{line}").replace("1.1", "1.0");
        reads(&old(&quoted), &old(&encoded));
        for plain in [
            "GET /films?q=%22{}|\\^~[]!$&'()*+,;=:@ HTTP/1.1\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "",
        ] {
            reads(plain, plain);
        }
    }

    /// If it is in doubt what is a target, nothing is encoded.
    #[test]
    fn nothing_is_encoded_after_a_body_or_what_may_be_one() {
        let quoted = "GET /\" HTTP/1.1\r\n\r\n";
        for first in [
            "GET / HTTP/1.1\r\nContent-Length: 22\r\n\r\n",
            "GET / HTTP/1.1\r\nX: y\r\ncONTENT-lENGTH:0\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n16\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n16\r\n",
            "GET / HTTP/1.1\r\nX: y\r\n Content-Length: 22\r\n\r\n",
            "GET / HTTP/1.1\nContent-Length: 22\n\n",
            "GET / HTTP/1.1\r\nX: y\nContent-Length: 22\r\n\r\n",
            "GET / HTTP/1.1\r\nX: y\rContent-Length: 22\r\n\r\n",
            "GET / HTTP/1.1\r\nX\r\n\r\n",
            "GET / HTTP/1.1\r\n: y\r\n\r\n",
            "GET / HTTP/1.1\r\n\n",
            "GET / HTTP/1.1\r\n\rX",
            "GET / HTTP/1.1 \r\n\r\n",
            "GET / HTTP/1.2\r\n\r\n",
            "GET\r\n",
            "G\u{7f}T / HTTP/1.1\r\n\r\n",
            " GET / HTTP/1.1\r\n\r\n",
        ] {
            let both = format!("{first}{quoted}");
            reads(&both, &both);
        }
        let longer = "X-Content-Length: 1\r\nContent-Lengths: 1\r\nTransfer-Encodings-X: y";
        let first = format!("GET / HTTP/1.1\r\n{longer}\r\n\r\n");
        let encoded = quoted.replace('"', "%22");
        reads(&format!("{first}{quoted}"), &format!("{first}{encoded}"));
    }

    #[test]
    fn what_cannot_be_read_ends_as_a_request_that_is_refused() {
        const ENDED: &str = " HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
        let blank = Malformed::Byte(b' ');
        for (line, target, why) in [
            ("GET /a b HTTP/1.1\r\n", "/a", blank),
            ("GET /a HTTP b HTTP/1.1\r\n", "/a", blank),
            ("GET /a HTTb HTTP/1.1\r\n", "/a", blank),
            ("GET /a  HTTP/1.1\r\n", "/a", blank),
            ("GET  /a HTTP/1.1\r\n", "/", blank),
            ("GET /\"\x01b HTTP/1.1\r\n", "/%22", Malformed::Byte(1)),
            ("GET /a\x7f HTTP/1.1\r\n", "/a", Malformed::Byte(0x7f)),
            ("GET /a\r\n", "/a", Malformed::NoVersion),
            ("GET /a\n", "/a", Malformed::NoVersion),
            ("GET /a \r\n", "/a", Malformed::NoVersion),
            ("GET \r\n", "/", Malformed::NoVersion),
        ] {
            let sent = format!("HEAD / HTTP/1.1\r\nX: y\r\n\r\n{line}Host: x\r\n\r\n");
            let expected = format!("HEAD / HTTP/1.1\r\nX: y\r\n\r\nGET {target}{ENDED}");
            for size in 1..=sent.len() {
                let (read, refused) = read(sent.as_bytes(), size);
                assert_eq!(String::from_utf8_lossy(&read), expected, "{line:?}, {size}");
                assert_eq!(refused, Some((2, why)), "{line:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_has_no_room_is_read_later_and_nothing_after_a_refusal() {
        let sent = "GET /\"\"\"\"\"\"\"\"\"\" b HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        let mut targets = Targets::new(sent.as_bytes(), Refusal::default());
        let mut read = String::new();
        let mut some = [0; 7];
        loop {
            let length = targets.read(&mut some).await.expect("bytes");
            if length == 0 {
                break;
            }
            read.push_str(std::str::from_utf8(&some[..length]).expect("text"));
        }
        let encoded = "%22".repeat(10);
        let expected =
            format!("GET /{encoded} HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n");
        assert_eq!(read, expected);
        assert!(targets.held.is_empty() && targets.held.capacity() == 0);
    }
}
