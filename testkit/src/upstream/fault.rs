//! What the stand-in can do wrong, and which faults are in force.
//!
//! [`misbehave`](super::misbehave) makes the answers.

use std::collections::BTreeMap;
use std::time::Duration;

/// A way to fail. Any body mentioned here is that of the honest answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Resets connections: new ones at once, open ones at their next request.
    Refuse,
    /// Takes the request and never answers.
    Stall,
    /// Sends the body one byte every 100 ms.
    Drip,
    /// Announces the whole body, sends half of it, and resets the connection.
    ResetMidBody,
    /// Announces the whole body, sends half of it, and closes the connection normally.
    Truncate,
    /// 200 with an HTML page.
    Html,
    /// 200 `{}`.
    EmptyObject,
    /// 200 `[]`.
    EmptyList,
    /// 200 with a JSON content type and half of the JSON; the announced length matches.
    NotJson,
    /// This status, with a short text.
    Status(u16),
    /// 429 with `Retry-After`, in whole seconds, rounded up.
    RateLimited {
        /// How long the client should stay away.
        retry_after: Duration,
    },
    /// 302 to exactly this location.
    RedirectTo(String),
    /// The honest body, with this status and these additional headers.
    Answer {
        /// The status.
        status: u16,
        /// Names and values.
        headers: Vec<(&'static str, String)>,
    },
    /// 200 with exactly this text as JSON; validator and compression work as usual.
    Sends(String),
    /// Exactly this answer, with no headers but these and the length.
    Exactly {
        /// The status.
        status: u16,
        /// Names and values.
        headers: Vec<(&'static str, String)>,
        /// The body, as it goes over the wire.
        body: Vec<u8>,
    },
    /// A JSON list of only spaces, in gzip: small on the wire, large when decompressed.
    GzipBomb {
        /// The size after decompression.
        decompressed_bytes: usize,
    },
    /// The same list in Brotli.
    BrotliBomb {
        /// The size after decompression.
        decompressed_bytes: usize,
    },
    /// The first record again at the end of its collection, with another title or name.
    DuplicateIds,
    /// The last record of the collection, with half an emoji as its title or name.
    HalfEmoji,
    /// One more record at the end of the collection: `deep`, whose `nested` holds lists within
    /// lists.
    DeeplyNested {
        /// How many lists.
        depth: usize,
    },
}

/// The faults in force.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) everywhere: Option<Fault>,
    pub(super) by_collection: BTreeMap<String, Fault>,
}

impl Faults {
    pub(super) fn on(&self, collection: Option<&str>) -> Option<Fault> {
        collection
            .and_then(|collection| self.by_collection.get(collection))
            .or(self.everywhere.as_ref())
            .cloned()
    }
}
