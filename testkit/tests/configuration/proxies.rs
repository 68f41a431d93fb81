//! The poller uses or refuses the usual proxy variables, and never ignores them.

use std::net::{Ipv4Addr, SocketAddr};

use testkit::catalogue;
use testkit::process::Poller;
use testkit::upstream::Upstream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A SOCKS5 proxy (RFC 1928; RFC 1929 for the password). It connects every client to one port on
/// this machine, and reports the user and the host of each request.
async fn socks(port: u16) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (report, reports) = mpsc::unbounded_channel();
    // The task ends with the test's runtime.
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(connect(client, port, report.clone()));
        }
    });
    (address, reports)
}

async fn connect(mut client: TcpStream, port: u16, report: mpsc::UnboundedSender<String>) {
    let mut methods = vec![0; usize::from(take::<2>(&mut client).await[1])];
    client.read_exact(&mut methods).await.unwrap();
    let mut user = "nobody".to_owned();
    if methods.contains(&2) {
        client.write_all(&[5, 2]).await.unwrap();
        take::<1>(&mut client).await;
        user = text(&mut client).await + ":" + &text(&mut client).await;
        client.write_all(&[1, 0]).await.unwrap();
    } else {
        client.write_all(&[5, 0]).await.unwrap();
    }
    let host = match take::<4>(&mut client).await[3] {
        1 => Ipv4Addr::from(take::<4>(&mut client).await).to_string(),
        3 => text(&mut client).await,
        kind => panic!("no address of kind {kind} is asked for"),
    };
    take::<2>(&mut client).await;
    let _ = report.send(format!("{user} to {host}"));
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .unwrap();
    client
        .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

async fn take<const N: usize>(client: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn text(client: &mut TcpStream) -> String {
    let mut bytes = vec![0; usize::from(take::<1>(client).await[0])];
    client.read_exact(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socks_proxy_is_used() {
    let upstream = Upstream::start(catalogue());
    let (proxy, mut reports) = socks(upstream.port()).await;
    let by_name = "http://ghibli.invalid";
    let by_address = upstream.url();
    for (variable, value, api, expected) in [
        (
            "ALL_PROXY",
            format!("socks5://{proxy}"),
            by_address.as_str(),
            "nobody to 127.0.0.1",
        ),
        (
            "HTTP_PROXY",
            format!("socks5h://u:p%40ss@{proxy}"),
            by_name,
            "u:p@ss to ghibli.invalid",
        ),
        (
            "http_proxy",
            format!("socks5h://{proxy}"),
            by_name,
            "nobody to ghibli.invalid",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let cache = format!("file:{}", directory.path().display());
        let poller = Poller::new(api, &cache).env(variable, value).start().await;
        let line = poller
            .process
            .wait_for_log("sync_completed", |_| true)
            .await;
        assert_eq!(line["outcome"], "committed", "{line}");
        assert_eq!(reports.recv().await.as_deref(), Some(expected));
        drop(poller);
        while reports.try_recv().is_ok() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_would_be_ignored_is_refused_and_its_password_not_shown() {
    for (variable, value) in [
        ("HTTP_PROXY", "socks://u:s3cret@127.0.0.1:1080"),
        ("http_proxy", "http://u:s3cret@127.0.0.1:3128\r"),
        ("ALL_PROXY", "\"http://u:s3cret@127.0.0.1:3128\""),
        ("all_proxy", "socks5://u:s3cret@127.0.0.1"),
    ] {
        let poller = Poller::new("http://127.0.0.1:1", "file:unused").env(variable, value);
        let mut poller = poller.spawn();
        assert_eq!(poller.wait().await.code(), Some(64), "{variable}={value:?}");
        let refusal = poller.stderr().join("\n");
        assert!(
            refusal.contains(&format!("  {variable}: expected http://")),
            "{refusal}"
        );
        assert!(!refusal.contains("s3cret"), "{refusal}");
    }
}
