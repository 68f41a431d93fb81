//! The body of an answer as a connection sends it. A stream notes when it goes on, so that the sweep
//! closes only the connections of clients that do not read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::connections::Entry;

/// A body on its way.
#[derive(Debug)]
pub(super) struct Sent<B> {
    body: B,
    /// The connection, if the body is a stream.
    stream: Option<Arc<Entry>>,
}

impl<B> Sent<B> {
    pub(super) fn new(body: B, stream: Option<Arc<Entry>>) -> Self {
        Self { body, stream }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Sent<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let next = Pin::new(&mut self.body).poll_frame(context);
        // hyper asks for a frame when it has room for it, and keeps few unsent ones.
        if next.is_ready()
            && let Some(connection) = &self.stream
        {
            connection.goes_on();
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
