//! Helpful reasons: the program reports a failed or rejected answer with what it saw of the answer.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::catalogue;
use testkit::process::{Process, binaries};
use testkit::upstream::{Fault, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// What one sync reports.
struct SyncReport {
    /// The line about the films, without its beginning.
    films: String,
    /// All printed and logged lines, and the stored status.
    all: String,
    /// From the stored status: why the films were not confirmed.
    failure: Value,
}

/// Syncs once into a new cache.
async fn sync(api: &str, environment: &[(&str, &str)]) -> SyncReport {
    sync_into(&tempfile::tempdir().unwrap(), api, environment).await
}

async fn sync_into(directory: &TempDir, api: &str, environment: &[(&str, &str)]) -> SyncReport {
    let cache = format!("file:{}", directory.path().display());
    let given = [("GHIBLI_API", api), ("CACHE_URL", &cache)];
    let pairs = given.iter().chain(environment);
    let pairs: Vec<_> = pairs
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let mut sync = Process::spawn("sync", binaries().poller, &["sync"], &pairs);
    sync.wait().await;
    let stdout = sync.stdout();
    let (_, films) = stdout[0].split_once("records   ").unwrap();
    let status = std::fs::read_to_string(directory.path().join("status.json")).unwrap();
    let stored: Value = serde_json::from_str(&status).unwrap();
    SyncReport {
        films: films.to_owned(),
        failure: stored["collections"]["films"]["failure"].clone(),
        all: [stdout.join("\n"), sync.stderr().join("\n"), status].join("\n"),
    }
}

fn exactly(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Fault {
    let text = |&(name, value): &(&'static str, &str)| (name, value.to_owned());
    Fault::Exactly {
        status,
        headers: headers.iter().map(text).collect(),
        body: body.to_vec(),
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

const CHECKPOINT: &str = "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
                          <title>Vercel Security Checkpoint</title></head><body>…</body></html>";
/// How the stand-in's list of films begins.
const FILMS: &str = "[ { \"id\": \"2baf70d1-42bb-4437-b551-e5fed5a87abe\"";
const JSON: (&str, &str) = ("content-type", "application/json");

/// Faults, and the reasons for them: whole, or the beginning before an ellipsis.
fn reasons(upstream: u16) -> Vec<(Fault, String)> {
    let away = "http://127.0.0.1:1/films";
    let json = "status 200, application/json; charset=utf-8";
    vec![
        (
            exactly(200, &[("content-type", "text/html")], CHECKPOINT.as_bytes()),
            "rejected: not JSON: expected value at line 1 column 1 \
             (status 200, text/html, \"Vercel Security Checkpoint\")"
                .into(),
        ),
        (
            exactly(
                402,
                &[("content-type", "text/plain; charset=utf-8")],
                b"Payment required\n\nDEPLOYMENT_DISABLED\n",
            ),
            "failed: status 402 (text/plain; charset=utf-8, \
             \"Payment required DEPLOYMENT_DISABLED\")"
                .into(),
        ),
        (
            exactly(404, &[], b""),
            "failed: status 404 (without a body)".into(),
        ),
        (
            exactly(
                503,
                &[("retry-after", "7"), ("content-encoding", "gzip")],
                &gzip(b"later"),
            ),
            "failed: rate limited, asks to wait 7s (status 503, \"later\")".into(),
        ),
        (
            exactly(429, &[], b"slow down"),
            "failed: rate limited (status 429, \"slow down\")".into(),
        ),
        (
            Fault::EmptyObject,
            format!("rejected: expected an array of records, got an object ({json}, \"{{}}\")"),
        ),
        (
            Fault::EmptyList,
            format!(
                "rejected: suspicious: 22 of 22 known records are gone; run `ghibli-poller accept` if the upstream means it ({json}, \"[]\")"
            ),
        ),
        (
            Fault::NotJson,
            format!("rejected: not JSON: EOF while parsing…({json}, \"{FILMS}"),
        ),
        (
            Fault::RedirectTo(away.into()),
            format!(
                "failed: redirected away from the upstream's origin (status 302, redirected to {away})"
            ),
        ),
        (
            Fault::RedirectTo("http://user:s3cret@127.0.0.1:1/films".into()),
            format!(
                "failed: redirected away from the upstream's origin (status 302, redirected to {away})"
            ),
        ),
        (
            Fault::RedirectTo("/films?again".into()),
            format!(
                "failed: redirected too often (status 302, redirected to http://127.0.0.1:{upstream}/films?again)"
            ),
        ),
        (
            Fault::RedirectTo("/db".into()),
            format!(
                "rejected: expected an array of records, got an object \
                     ({json}, redirected to http://127.0.0.1:{upstream}/db, \"{{ \"films\": ["
            ),
        ),
        (
            exactly(301, &[("location", "file:///etc/passwd")], b"there"),
            "failed: status 301 (redirected to file:///etc/passwd, \"there\")".into(),
        ),
    ]
}

/// The same for answers that do not arrive, or cannot be decoded.
fn reasons_of_transfers() -> Vec<(Fault, String)> {
    let packed = gzip(b"[{\"id\":\"a\"}]");
    let coded = |coding, body: &[u8]| exactly(200, &[JSON, ("content-encoding", coding)], body);
    let json = "status 200, application/json; charset=utf-8";
    vec![
        (Fault::Refuse, "failed: the connection broke: ".into()),
        (
            Fault::ResetMidBody,
            format!("failed: the connection broke: …({json}, \"{FILMS}"),
        ),
        (
            Fault::Truncate,
            format!("failed: the connection broke: end of file before message length reached ({json}, \"{FILMS}"),
        ),
        (Fault::Stall, "failed: no complete answer in time".into()),
        (Fault::Drip, format!("failed: no complete answer in time ({json}, \"[")),
        (
            coded("gzip", b"<html><title>plain</title>"),
            "failed: the answer cannot be unpacked: invalid gzip header \
             (status 200, application/json, \"plain\")"
                .into(),
        ),
        (
            coded("GZIP", &packed[..packed.len() - 3]),
            "failed: the answer cannot be unpacked: …(status 200, application/json, \"[{\"id\":\"a\"}]\")".into(),
        ),
        (coded("br", b"no Brotli"), "failed: the answer cannot be unpacked: ".into()),
        (
            coded("zstd", b"whatever"),
            "rejected: packed in another way than gzip or br, which were asked for \
             (status 200, application/json, \"Content-Encoding: zstd\")"
                .into(),
        ),
        (
            Fault::GzipBomb { decompressed_bytes: 8 << 20 },
            format!("rejected: larger than 1048576 bytes ({json}, \"[\")"),
        ),
        (
            Fault::Sends(format!("[{}0]", "0, ".repeat(30_000))),
            format!("rejected: more than 20000 values ({json}, \"[0, 0, 0"),
        ),
        (exactly(200, &[], b" \n"), "rejected: empty, expected an array of records (status 200, without a body)".into()),
        (
            exactly(200, &[("content-type", "application/json; charset=utf-16")], b"[\0]\0"),
            "rejected: encoded as UTF-16, expected UTF-8 (status 200, application/json; charset=utf-16, ".into(),
        ),
    ]
}

/// Whether a text matches the expected one, in which an ellipsis stands for anything.
fn reads_like(actual: &str, expected: &str) -> bool {
    let (begin, rest) = expected.split_once('…').unwrap_or((expected, ""));
    let is_whole = expected.ends_with(')');
    let reads = actual.starts_with(begin) && actual[begin.len()..].contains(rest);
    reads && (!is_whole || actual.ends_with(')') && (rest.is_empty() || actual.ends_with(rest)))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_has_a_reason_of_its_own_that_quotes_the_answer() {
    let upstream = Upstream::start(catalogue());
    for (fault, expected) in reasons(upstream.port())
        .into_iter()
        .chain(reasons_of_transfers())
    {
        upstream.behave();
        upstream.misbehave_on("films", fault.clone());
        let report = sync(&upstream.url(), &[("UPSTREAM_TIMEOUT", "2s")]).await;
        let fault = format!("{fault:?}").chars().take(200).collect::<String>();
        assert!(
            reads_like(&report.films, &expected),
            "{fault}\n  said: {}\nwanted: {expected}",
            report.films
        );
        let reason = report.films.split_once(": ").unwrap().1;
        assert_eq!(report.failure, reason, "{fault}");
        assert!(reason.len() < 1_000, "{fault}: {reason}");
        assert!(!report.all.contains("s3cret"), "{fault}: {}", report.all);
    }
}

/// Kind and spelling of a coding do not matter, and neither does a byte order mark.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_can_be_understood_is_no_failure() {
    let upstream = Upstream::start(catalogue());
    let films = catalogue()["films"].to_string();
    let packed = gzip(films.as_bytes());
    let halves = films.as_bytes().split_at(films.len() / 2);
    let members = [gzip(halves.0), gzip(halves.1)].concat();
    let mut brotli = Vec::new();
    brotli::BrotliCompress(
        &mut films.as_bytes(),
        &mut brotli,
        &brotli::enc::BrotliEncoderParams::default(),
    )
    .unwrap();
    let mark = format!("\u{feff}{films}\r\n");
    for (coding, body) in [
        ("gzip", &packed[..]),
        ("GZIP", &packed),
        ("x-gzip", &packed),
        ("X-Gzip, identity", &packed),
        ("gzip", &members),
        ("br", &brotli),
        ("BR", &brotli),
        ("identity", films.as_bytes()),
        ("Identity", mark.as_bytes()),
        ("gzip", &gzip(mark.as_bytes())),
    ] {
        let fault = exactly(200, &[JSON, ("content-encoding", coding)], body);
        upstream.misbehave_on("films", fault);
        let report = sync(&upstream.url(), &[]).await;
        assert_eq!(report.films, "baseline", "{coding}");
    }
    let asked = upstream.requests();
    let encodings = asked
        .iter()
        .map(|request| &request.headers["accept-encoding"]);
    assert!(encodings.into_iter().all(|value| value == "gzip, br"));
}

/// `unreachable` means only that the poller did not reach the upstream.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_cannot_be_reached_is_unreachable() {
    let port = testkit::free_port();
    let report = sync(&format!("http://127.0.0.1:{port}"), &[]).await;
    assert!(
        report.films.starts_with("failed: unreachable: "),
        "{}",
        report.films
    );
    let report = sync("http://ghibli.invalid", &[]).await;
    assert!(
        report.films.starts_with("failed: unreachable: "),
        "{}",
        report.films
    );

    // A listener with a full queue, so that no connection is made.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await
    {
        queue.push(stream);
    }
    let report = sync(&format!("http://{address}"), &[]).await;
    assert_eq!(report.films, "failed: unreachable: no connection in time");
}

/// The poller reads only the beginning of an error's body, and does not wait for more.
#[tokio::test(flavor = "multi_thread")]
async fn the_body_of_an_error_costs_no_time_and_no_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = async move {
        let mut open = tokio::task::JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            open.spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let head = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nfor ever \r\n";
                let _ = stream.write_all(head).await;
                // The end never comes.
                std::future::pending::<()>().await;
            });
        }
    };
    let serving = tokio::spawn(serve);
    let asked = Instant::now();
    let report = sync(&url, &[("UPSTREAM_TIMEOUT", "30s")]).await;
    assert_eq!(report.films, "failed: status 404 (\"for ever\")");
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "{:?}",
        asked.elapsed()
    );
    serving.abort();

    let upstream = Upstream::start(catalogue());
    upstream.misbehave(exactly(500, &[], &vec![b'x'; 8 << 20]));
    let report = sync(&upstream.url(), &[]).await;
    let words = "x".repeat(80);
    assert_eq!(report.films, format!("failed: status 500 (\"{words}…\")"));
}

/// An upstream cannot insert lines, colours or text directions.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_writes_no_lines_into_the_log() {
    const EVIL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}\
                        \u{202e}\u{2066}\u{9b}1m\u{200b}";
    let upstream = Upstream::start(catalogue());
    let page = format!("<html><title>{EVIL}</title>");
    let films = |record: Value| {
        let mut films = catalogue()["films"].clone();
        films.as_array_mut().unwrap().push(record);
        films.to_string()
    };
    let record = |value: &str| json!({"id": EVIL, "title": EVIL, EVIL: value});
    let broken = films(record("HALF")).replace("HALF", r"\ud83d");
    let faults = [
        exactly(500, &[], EVIL.as_bytes()),
        exactly(200, &[], page.as_bytes()),
        exactly(200, &[("content-type", "text/\u{202e}\u{9b}")], b"x"),
        exactly(301, &[("location", "file:\u{202e}\u{9b}")], b"x"),
        Fault::Sends(EVIL.to_owned()),
        // Records that are set aside, released, changed, withdrawn, returned and listed twice.
        Fault::Sends(broken),
        Fault::Sends(films(record("1"))),
        Fault::Sends(films(record("2"))),
        Fault::Sends(catalogue()["films"].to_string()),
        Fault::Sends(films(record("2"))),
        Fault::DuplicateIds,
    ];
    for format in ["json", "text"] {
        upstream.behave();
        upstream.replace("films", vec![record("2")]);
        let directory = tempfile::tempdir().unwrap();
        for fault in &faults {
            upstream.misbehave_on("films", fault.clone());
            let environment = [("LOG_FORMAT", format)];
            let report = sync_into(&directory, &upstream.url(), &environment).await;
            // Leaves out the stored status, which terminals do not show.
            let shown = report.all.split("\"format\": 1").next().unwrap();
            let surprises = |character: &char| {
                let hides = ['\u{202e}', '\u{2066}', '\u{200b}', '\u{7f}'];
                *character != '\n' && character.is_control() || hides.contains(character)
            };
            assert_eq!(shown.chars().find(surprises), None, "{shown}");
            let is_forged = |line: &str| line.starts_with("{\"level\"");
            assert!(!shown.lines().any(is_forged), "{shown}");
        }
    }
}
