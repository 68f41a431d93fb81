//! The names in a catalogue: collections, ids, links and validators.

use base64::Engine as _;
use sha1::{Digest as _, Sha1};

/// The host in the links inside records.
pub const ORIGIN: &str = "https://ghibliapi.vercel.app";

/// The names of the collections, in the upstream's order.
pub const COLLECTIONS: [&str; 5] = ["films", "people", "locations", "species", "vehicles"];

/// The id of the record `name` in `collection`: it looks like a UUID, and is the same in every run.
pub fn id(collection: &str, name: &str) -> String {
    let digest = digest(&[collection, "/", name]);
    let (half, _) = digest
        .split_first_chunk()
        .expect("SHA-1 has more than 16 bytes");
    let hex = format!("{:032x}", u128::from_be_bytes(*half));
    let groups = [
        &hex[0..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..32],
    ];
    groups.join("-")
}

/// The link to one record of `collection`; with an empty id, the upstream's placeholder.
pub fn link(collection: &str, id: &str) -> String {
    format!("{ORIGIN}/{collection}/{id}")
}

/// The weak validator that Express makes for a body: the body's length in hexadecimal, and the
/// first 27 characters of its SHA-1 in base64.
pub fn express_etag(body: &str) -> String {
    let hash = base64::engine::general_purpose::STANDARD.encode(digest(&[body]));
    format!("W/\"{:x}-{}\"", body.len(), &hash[..27])
}

fn digest(parts: &[&str]) -> [u8; 20] {
    let mut sha1 = Sha1::new();
    for part in parts {
        sha1.update(part);
    }
    sha1.finalize().into()
}
