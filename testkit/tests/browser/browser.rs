//! A real browser: Chromium without a window, driven through chromedriver.
//!
//! Owns both processes and their profile directory. Without them, the test is skipped.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::process::{Process, installed};
use testkit::{TIME_LIMIT, eventually, skip};
use thirtyfour::error::WebDriverError;
use thirtyfour::prelude::{WebDriver, WebDriverResult};
use thirtyfour::session::http::{Body, HttpClient};
use thirtyfour::{ChromeCapabilities, ChromiumLikeCapabilities, LoggingPrefsLogLevel};
use tokio::net::TcpStream;

/// One page at a time, no window, no sandbox of its own (containers do not allow one), and no
/// network requests of the browser's own.
const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
];

/// A browser with one empty page. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Browser {
    // Rust drops these in order: first the browser, by its driver or by force; then the driver;
    // then their files.
    driver: WebDriver,
    remains: Remains,
    process: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser; `None` where it is not installed.
    pub(crate) async fn start() -> Option<Self> {
        let Some(program) = installed("chromedriver").next() else {
            skip("browser", "apt-get install chromium chromium-driver");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let home = profile.path().display().to_string();
        let (process, port) = driver(&program, &home).await;

        let mut wanted = ChromeCapabilities::new();
        for argument in ARGUMENTS {
            wanted.add_arg(argument).unwrap();
        }
        let data = format!("--user-data-dir={home}/profile");
        wanted.add_arg(&data).unwrap();
        let all = LoggingPrefsLogLevel::All;
        wanted.set_browser_log_level(all).unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let driver = WebDriver::builder(url, wanted).client(Plain).connect();
        let driver = driver.await.unwrap();
        let pid = driver.capabilities().get("goog:processID").unwrap();
        let pid = i32::try_from(pid.as_i64().unwrap()).unwrap();
        Some(Self {
            driver,
            remains: Remains { pid, data },
            process,
            _profile: profile,
        })
    }

    /// Opens a page, and waits until the page and its resources are loaded. Forgets the complaints
    /// of earlier pages.
    pub(crate) async fn open(&self, url: &str) {
        self.complaints().await;
        self.driver.goto(url).await.unwrap();
    }

    /// Runs the body of a function in the page, ignoring its policies. An open dialog is an error.
    pub(crate) async fn run(&self, script: &str, arguments: &[Value]) -> WebDriverResult<Value> {
        let returned = self.driver.execute(script, arguments).await?;
        Ok(returned.json().clone())
    }

    /// As [`run`](Self::run), but panics on any error.
    pub(crate) async fn ask(&self, script: &str) -> Value {
        let returned = self.run(script, &[]).await;
        returned.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// As [`run`](Self::run), in the page's frame with this number.
    pub(crate) async fn ask_frame(&self, number: u16, script: &str) -> Value {
        self.driver.enter_frame(number).await.unwrap();
        let returned = self.ask(script).await;
        self.driver.enter_default_frame().await.unwrap();
        returned
    }

    /// The browser's complaints since the last call: errors of scripts, refusals by policy, and
    /// resources that did not load.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.unwrap();
        log.into_iter().map(|entry| entry.message).collect()
    }

    /// Sets the size of the screen, in CSS pixels.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let screen =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", screen)
            .await;
    }

    /// Sets the preferred color scheme: `light` or `dark`.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("Emulation.setEmulatedMedia", features).await;
    }

    /// Writes a picture of the page into a file, without scroll bars.
    pub(crate) async fn picture(&self, file: &Path) {
        let hidden = json!({"hidden": true});
        self.command("Emulation.setScrollbarsHidden", hidden).await;
        self.driver.screenshot(file).await.unwrap();
    }

    /// Sends the browser a command of its debugging protocol.
    pub(crate) async fn command(&self, name: &str, parameters: Value) {
        self.driver.cdp().send_raw(name, parameters).await.unwrap();
    }
}

/// A browser that may outlive its driver. Dropping this kills it.
#[derive(Debug)]
struct Remains {
    pid: i32,
    /// The argument that distinguishes it from another process with the same id.
    data: String,
}

impl Drop for Remains {
    fn drop(&mut self) {
        let arguments = std::fs::read(format!("/proc/{}/cmdline", self.pid));
        let arguments = String::from_utf8_lossy(&arguments.unwrap_or_default()).into_owned();
        if let Some(pid) = Pid::from_raw(self.pid)
            && arguments.contains(&self.data)
        {
            // The browser may have ended already.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Starts a driver, and waits until it listens. The driver takes a port that is free for IPv6, and
/// ends if IPv4 has that port in use; this then starts another driver, a few times.
async fn driver(program: &Path, home: &str) -> (Process, u16) {
    let environment = ["HOME", "TMPDIR"].map(|variable| (variable, home.to_owned()));
    let mut said = Vec::new();
    for _ in 0..10 {
        let mut process = Process::spawn("chromedriver", program, &["--port=0"], &environment);
        let listens = async || {
            let is_over = !process.is_running();
            let port = process.stdout().iter().find_map(|line| port(line));
            (port.is_some() || is_over).then_some(port)
        };
        let port = eventually("chromedriver to listen or to end", TIME_LIMIT, listens).await;
        if let Some(port) = port {
            return (process, port);
        }
        process.wait().await;
        said = [process.stdout(), process.stderr()].concat();
    }
    panic!("chromedriver ends whenever it is started: {said:?}");
}

/// The port in `ChromeDriver was started successfully on port 12345.`
fn port(line: &str) -> Option<u16> {
    let (_, port) = line.split_once("successfully on port ")?;
    port.trim_end_matches('.').parse().ok()
}

/// Talks to the driver over plain HTTP: one connection for each command, and no proxy.
struct Plain;

#[async_trait::async_trait]
impl HttpClient for Plain {
    async fn send(&self, request: Request<Body<'_>>) -> WebDriverResult<Response<Bytes>> {
        let exchange = async {
            let (mut head, body) = request.into_parts();
            let authority = head.uri.authority().map(ToString::to_string);
            let authority = authority.ok_or_else(|| failed("no host"))?;
            let host = authority.parse().map_err(failed)?;
            head.headers.insert(http::header::HOST, host);
            let path = head.uri.path_and_query().map(ToString::to_string);
            head.uri = path.unwrap_or_default().parse().map_err(failed)?;
            let body = match body {
                Body::Empty => Bytes::new(),
                Body::Json(value) => value.to_string().into(),
            };
            let stream = TcpStream::connect(&authority).await.map_err(failed)?;
            let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
            let (mut sender, connection) = handshake.await.map_err(failed)?;
            tokio::spawn(connection);
            let request = Request::from_parts(head, Full::new(body));
            let (head, body) = sender
                .send_request(request)
                .await
                .map_err(failed)?
                .into_parts();
            let body = body.collect().await.map_err(failed)?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        let answer = tokio::time::timeout(TIME_LIMIT, exchange).await;
        answer.unwrap_or_else(|_| Err(failed("no answer in time")))
    }

    async fn new(&self) -> Arc<dyn HttpClient> {
        Arc::new(Self)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "is what `map_err` gives")]
fn failed(error: impl ToString) -> WebDriverError {
    WebDriverError::RequestFailed(error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_ends_with_its_test_even_without_its_driver() {
    let Some(mut browser) = Browser::start().await else {
        return;
    };
    let arguments = format!("/proc/{}/cmdline", browser.remains.pid);
    let runs = || std::fs::read(&arguments).is_ok_and(|arguments| !arguments.is_empty());
    assert!(runs() || cfg!(not(target_os = "linux")));
    browser.process.kill().await;
    drop(browser);
    eventually("the browser to end", TIME_LIMIT, async || !runs()).await;
}
