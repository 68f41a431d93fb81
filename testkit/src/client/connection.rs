//! One TCP connection, used again and again.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::response::{Response, TIMEOUT};

/// The largest body that the client reads.
const LARGEST_BODY: usize = 64 << 20;

/// A client that keeps its connection. It opens another when the server closed the idle one, or
/// when a URL names another host.
#[derive(Debug, Default)]
pub struct Connection {
    open: Option<Open>,
    opened: usize,
}

#[derive(Debug)]
struct Open {
    authority: String,
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Not connected yet; the first request connects.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many TCP connections the client has opened so far.
    pub fn opened(&self) -> usize {
        self.opened
    }

    /// `GET`.
    ///
    /// # Errors
    ///
    /// When no complete answer arrives in time.
    pub async fn get(&mut self, url: &str) -> anyhow::Result<Response> {
        self.request(Method::GET, url, &[]).await
    }

    /// One request without a body.
    ///
    /// The server may close a reused connection before the first byte of the answer. Keep-alive
    /// allows that, so the client then sends the request once more on a new connection, as browsers
    /// and proxies do. On a new connection, the client does not retry.
    ///
    /// # Errors
    ///
    /// When no complete answer arrives in time. The client then drops the connection.
    pub async fn request(
        &mut self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Response> {
        let outcome = tokio::time::timeout(TIMEOUT, self.exchange(&method, url, headers)).await;
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(_) => Err(anyhow::anyhow!("no complete answer within {TIMEOUT:?}")),
        };
        if outcome.is_err() {
            self.open = None;
        }
        outcome.with_context(|| format!("{method} {url}"))
    }

    async fn exchange(
        &mut self,
        method: &Method,
        url: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Response> {
        let uri: Uri = url.parse().context("the URL cannot be parsed")?;
        if uri.scheme_str() != Some("http") {
            bail!("only http:// URLs are understood");
        }
        let authority = uri
            .authority()
            .context("the URL names no host")?
            .to_string();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = || {
            let mut request = Request::builder().method(method).uri(path);
            if !headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("host"))
            {
                request = request.header(HOST, &authority);
            }
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            request
                .body(Empty::new())
                .context("the request is not valid HTTP")
        };

        let mut open = match self.open.take().filter(|open| open.is_usable(&authority)) {
            None => self.connect(&authority).await?,
            Some(mut kept) => match send(&mut kept, request()?).await {
                Err(error) if was_closed(&error) => self.connect(&authority).await?,
                outcome => {
                    let response = read(outcome?).await?;
                    self.keep(kept, &response);
                    return Ok(response);
                }
            },
        };
        let response = read(send(&mut open, request()?).await?).await?;
        self.keep(open, &response);
        Ok(response)
    }

    /// A stream still goes on, so nothing can be asked on its connection.
    fn keep(&mut self, open: Open, response: &Response) {
        self.open = (!is_stream(&response.headers)).then_some(open);
    }

    async fn connect(&mut self, authority: &str) -> anyhow::Result<Open> {
        // A URL may leave the port out; a socket address may not.
        let address = match authority.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
            _ => format!("{authority}:80"),
        };
        let stream = TcpStream::connect(&address).await.context("connecting")?;
        stream.set_nodelay(true).context("setting TCP_NODELAY")?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        self.opened += 1;
        // The waiting request receives any error of the connection.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Open {
            authority: authority.to_owned(),
            sender,
            driver,
        })
    }
}

impl Open {
    fn is_usable(&self, authority: &str) -> bool {
        self.authority == authority && !self.sender.is_closed()
    }
}

type Incoming = http::Response<hyper::body::Incoming>;

async fn send(open: &mut Open, request: Request<Empty<Bytes>>) -> hyper::Result<Incoming> {
    open.sender.ready().await?;
    open.sender.send_request(request).await
}

fn was_closed(error: &hyper::Error) -> bool {
    let reset = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .is_some_and(|error| {
            matches!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
            )
        });
    reset || error.is_closed() || error.is_canceled() || error.is_incomplete_message()
}

/// Whether the answer is a stream of events, which has no end.
fn is_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == "text/event-stream")
}

/// The error's text when the answer's head has arrived, but not its whole body.
pub(crate) const CUT: &str = "reading the body";

async fn read(response: Incoming) -> anyhow::Result<Response> {
    let (head, mut body) = response.into_parts();
    if is_stream(&head.headers) {
        let first = body.frame().await.transpose()?;
        return Ok(Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body: first
                .and_then(|frame| frame.into_data().ok())
                .unwrap_or_default(),
        });
    }
    let body = Limited::new(body, LARGEST_BODY)
        .collect()
        .await
        .map_err(|error| anyhow::anyhow!(error).context(CUT))?;
    Ok(Response {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.to_bytes(),
    })
}
