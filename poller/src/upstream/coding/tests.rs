use std::io::Read as _;

use flate2::Compression;
use flate2::read::GzEncoder;
use proptest::prelude::*;

use super::*;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = GzEncoder::new(text, Compression::fast());
    encoder.read_to_end(&mut packed).unwrap();
    packed
}

fn brotli(text: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = brotli::CompressorReader::new(text, 4096, 5, 22);
    encoder.read_to_end(&mut packed).unwrap();
    packed
}

fn decoder(codings: &[&str], most: usize) -> Result<Decoder, String> {
    let mut headers = HeaderMap::new();
    for coding in codings {
        headers.append(CONTENT_ENCODING, coding.parse().unwrap());
    }
    Decoder::of(&headers, most)
}

fn unpack(codings: &[&str], body: &[u8], piece: usize) -> io::Result<Vec<u8>> {
    let mut decoder = decoder(codings, 1 << 16).unwrap();
    for piece in body.chunks(piece) {
        decoder.write(piece)?;
    }
    decoder.finish()
}

const TEXT: &[u8] = b"a text that is long enough to be packed, long enough to be packed";

#[test]
fn codings_are_known_by_any_spelling() {
    for codings in [
        &["gzip"][..],
        &["GZIP"],
        &["x-gzip"],
        &["X-GZip"],
        &[" gzip , identity"],
        &["identity", "gzip,"],
    ] {
        let unpacked = unpack(codings, &gzip(TEXT), 7).unwrap();
        assert_eq!(unpacked, TEXT, "{codings:?}");
    }
    for codings in [&["br"][..], &["BR"], &["identity, br"]] {
        let unpacked = unpack(codings, &brotli(TEXT), 7).unwrap();
        assert_eq!(unpacked, TEXT, "{codings:?}");
    }
    for codings in [&[][..], &[""], &["identity"], &["Identity, identity"]] {
        assert_eq!(unpack(codings, TEXT, 7).unwrap(), TEXT, "{codings:?}");
    }
}

#[test]
fn other_codings_are_refused_by_their_name() {
    for (codings, named) in [
        (&["zstd"][..], "zstd"),
        (&["Deflate"], "deflate"),
        (&["gzip, br"], "gzip, br"),
        (&["gzip", "gzip"], "gzip, gzip"),
    ] {
        assert_eq!(decoder(codings, 9).err().as_deref(), Some(named));
    }
}

#[test]
fn gzip_in_several_members_is_one_body_and_what_follows_is_ignored() {
    let body = [
        gzip(&TEXT[..9]),
        gzip(&TEXT[9..]),
        b"\0\0\0 and so on".to_vec(),
    ]
    .concat();
    for piece in [1, 7, body.len()] {
        assert_eq!(unpack(&["gzip"], &body, piece).unwrap(), TEXT, "{piece}");
    }
    let body = [brotli(TEXT), b" and so on".to_vec()].concat();
    for piece in [1, 7, body.len()] {
        assert_eq!(unpack(&["br"], &body, piece).unwrap(), TEXT, "{piece}");
    }
}

#[test]
fn what_is_cut_off_or_in_another_coding_is_an_error_and_nothing_is_nothing() {
    for (coding, packed) in [("gzip", gzip(TEXT)), ("br", brotli(TEXT))] {
        for end in 1..packed.len() {
            assert!(
                unpack(&[coding], &packed[..end], 5).is_err(),
                "{coding} {end}"
            );
        }
        assert!(
            unpack(&[coding], b"[{\"id\":\"a\"}]", 5).is_err(),
            "{coding}"
        );
        assert_eq!(unpack(&[coding], b"", 5).unwrap(), b"", "{coding}");
    }
    let mut damaged = gzip(TEXT);
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    assert!(unpack(&["gzip"], &damaged, 5).is_err());
}

#[test]
fn a_bomb_ends_at_the_limit_and_leaves_its_beginning() {
    let most = 1000;
    for (coding, bomb) in [
        ("gzip", gzip(&vec![b'['; 1 << 20])),
        ("br", brotli(&vec![b'['; 1 << 20])),
        ("identity", vec![b'['; 1 << 20]),
    ] {
        let mut decoder = decoder(&[coding], most).unwrap();
        let error = bomb
            .chunks(100)
            .find_map(|piece| decoder.write(piece).err());
        let error = error.or_else(|| decoder.finish().err()).unwrap();
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        assert_eq!(inner, Some(&Exceeded::Bytes), "{coding}");
        assert_eq!(decoder.so_far(), [b'['; 1000], "{coding}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_unpacked_or_refused(
        body in prop::collection::vec(any::<u8>(), 0..200),
        is_gzip in any::<bool>(),
        piece in 1..50usize,
    ) {
        let mut body = body;
        if is_gzip {
            body.splice(..0, gzip(TEXT)[..12].iter().copied());
        }
        for coding in ["gzip", "br"] {
            let _ = unpack(&[coding], &body, piece);
        }
    }
}
