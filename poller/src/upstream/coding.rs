//! Content codings (RFC 9110, section 8.4): unpacks a body as it arrives, up to a limit.

use std::io::{self, Write};

use brotli::DecompressorWriter;
use flate2::write::GzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

use crate::upstream::limits::Exceeded;

/// The codings to ask for, as in `Accept-Encoding`.
pub(super) const ACCEPTED: &str = "gzip, br";

/// The first bytes of any gzip data.
const GZIP: u8 = 0x1f;

/// Unpacks a body piece by piece.
pub(super) enum Decoder {
    Plain(Bounded),
    Gzip(Box<Gzip>),
    Brotli(Box<Brotli>),
}

/// Gzip: one member or several in a row. Ignores anything after them that is not a member, as
/// browsers do.
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
    /// Nothing has arrived yet. An empty body is valid in any coding.
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
    /// Creates the decoder for a body with these headers and at most this many bytes.
    ///
    /// # Errors
    /// The value of `Content-Encoding`, when the poller did not ask for that coding.
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
            // The old name has the same meaning (section 8.4.1.3).
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

    /// Unpacks the next piece of the body.
    ///
    /// # Errors
    /// When the body is not in the declared coding; or [`Exceeded`] within the error.
    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(bounded) => bounded.write_all(piece),
            Self::Gzip(gzip) => gzip.write(piece),
            Self::Brotli(brotli) => brotli.write(piece),
        }
    }

    /// Returns the whole body, after the last piece.
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
            // Flushes data that was unpacked but not yet returned, if possible.
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
