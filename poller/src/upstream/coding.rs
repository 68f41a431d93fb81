//! Content codings (RFC 9110, section 8.4): unpacks a body while it arrives, within a limit.

use std::io::{self, Write};

use brotli::DecompressorWriter;
use flate2::write::GzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

use crate::limits::Exceeded;

/// The codings that are asked for, as in `Accept-Encoding`.
pub(super) const ACCEPTED: &str = "gzip, br";

/// The beginning of everything in gzip.
const GZIP: u8 = 0x1f;

/// Unpacks a body piece by piece.
pub(super) enum Decoder {
    Plain(Bounded),
    Gzip(Box<Gzip>),
    Brotli(Box<Brotli>),
}

/// Gzip: one member or several after one another. What follows them and is no member is ignored,
/// as browsers do.
pub(super) struct Gzip {
    member: GzDecoder<Bounded>,
    state: State,
}

pub(super) struct Brotli {
    stream: DecompressorWriter<Bounded>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has arrived yet. A body that is empty is empty in any coding.
    Empty,
    Begun,
    Over,
}

/// Bytes up to a limit.
#[derive(Default)]
pub(super) struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl Decoder {
    /// The decoder for a body with these headers that may have at most so many bytes.
    ///
    /// # Errors
    /// The value of `Content-Encoding`, when it is another than those that are asked for.
    pub(super) fn of(headers: &HeaderMap, most: usize) -> Result<Self, String> {
        let values = headers.get_all(CONTENT_ENCODING).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).to_lowercase());
        let value = values.collect::<Vec<_>>().join(", ");
        let codings = value.split(',').map(str::trim);
        let codings: Vec<_> = codings
            .filter(|coding| !matches!(*coding, "" | "identity"))
            .collect();
        let bounded = Bounded {
            bytes: Vec::new(),
            most,
        };
        let state = State::Empty;
        match codings.as_slice() {
            [] => Ok(Self::Plain(bounded)),
            // The old name means the same (section 8.4.1.3).
            ["gzip" | "x-gzip"] => Ok(Self::Gzip(Box::new(Gzip {
                member: GzDecoder::new(bounded),
                state,
            }))),
            ["br"] => Ok(Self::Brotli(Box::new(Brotli {
                stream: DecompressorWriter::new(bounded, 4096),
                state,
            }))),
            _ => Err(value),
        }
    }

    /// Takes the next piece of the body.
    ///
    /// # Errors
    /// When it is not in the coding that it is said to be in; or [`Exceeded`] within the error.
    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(bounded) => bounded.write_all(piece),
            Self::Gzip(gzip) => gzip.write(piece),
            Self::Brotli(brotli) => brotli.write(piece),
        }
    }

    /// The whole body, when there are no more pieces.
    ///
    /// # Errors
    /// As for [`write`](Self::write), and when the end is missing.
    pub(super) fn finish(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(gzip) if gzip.state == State::Begun => gzip.member.try_finish()?,
            Self::Brotli(brotli) if brotli.state == State::Begun => brotli.stream.close()?,
            Self::Plain(_) | Self::Gzip(_) | Self::Brotli(_) => {}
        }
        Ok(std::mem::take(&mut self.bounded_mut().bytes))
    }

    /// What has been unpacked so far.
    pub(super) fn so_far(&mut self) -> &[u8] {
        if let Self::Gzip(gzip) = self {
            // Brings out what it has unpacked and not yet handed on, if that can be done.
            let _ = gzip.member.flush();
        }
        &self.bounded_mut().bytes
    }

    fn bounded_mut(&mut self) -> &mut Bounded {
        match self {
            Self::Plain(bounded) => bounded,
            Self::Gzip(gzip) => gzip.member.get_mut(),
            Self::Brotli(brotli) => brotli.stream.get_mut(),
        }
    }
}

impl Gzip {
    fn write(&mut self, mut piece: &[u8]) -> io::Result<()> {
        while let [first, ..] = piece
            && self.state != State::Over
        {
            self.state = State::Begun;
            let taken = self.member.write(piece)?;
            piece = &piece[taken..];
            if taken == 0 {
                // The member is complete.
                self.member.try_finish()?;
                if *first == GZIP {
                    let bounded = std::mem::take(self.member.get_mut());
                    self.member = GzDecoder::new(bounded);
                } else {
                    self.state = State::Over;
                }
            }
        }
        Ok(())
    }
}

impl Brotli {
    fn write(&mut self, mut piece: &[u8]) -> io::Result<()> {
        while !piece.is_empty() && self.state != State::Over {
            self.state = State::Begun;
            let taken = self.stream.write(piece)?;
            piece = &piece[taken..];
            if taken == 0 {
                self.state = State::Over;
            }
        }
        Ok(())
    }
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let room = self.most - self.bytes.len();
        self.bytes
            .extend_from_slice(&piece[..room.min(piece.len())]);
        if piece.len() > room {
            return Err(io::Error::other(Exceeded::Bytes));
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
