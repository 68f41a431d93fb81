//! The Redis cache. All keys share one hash tag, so that they live in one slot of a cluster:
//!
//! | key or channel | holds |
//! |---|---|
//! | `{ghibli}:snapshot` | the snapshot, one JSON document |
//! | `{ghibli}:status` | the status, one JSON document |
//! | `{ghibli}:lease` | the name of the poller that may sync; expires |
//! | `{ghibli}:changed` | the channel on which each commit publishes its generation |
//! | `{ghibli}:history` | the snapshots of earlier generations, a list, the newest first |
//!
//! A drill uses the same names with the tag `{ghibli-drill}`, which no reader follows.
//!
//! Every command has a time limit. After any failure the next command makes a new connection: this
//! recovers from every kind of broken connection, even from one that is silent.

mod reader;
mod target;
mod writer;

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ScriptInvocation, cmd};
use tokio::time::timeout;

use super::{CacheError, RedisUrl};
use target::{Redirect, Target};

pub(super) use reader::Reader;
pub(super) use writer::Writer;

/// The names of the keys and of the channel.
#[derive(Clone, Copy)]
struct Keys {
    snapshot: &'static str,
    status: &'static str,
    lease: &'static str,
    changed: &'static str,
    history: &'static str,
}

macro_rules! keys {
    ($tag:literal) => {
        Keys {
            snapshot: concat!("{", $tag, "}:snapshot"),
            status: concat!("{", $tag, "}:status"),
            lease: concat!("{", $tag, "}:lease"),
            changed: concat!("{", $tag, "}:changed"),
            history: concat!("{", $tag, "}:history"),
        }
    };
}

const MIRROR: Keys = keys!("ghibli");
const DRILL: Keys = keys!("ghibli-drill");

/// How long connecting, name resolution and handshakes included, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long any one command may take. A snapshot is some hundred kilobytes.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection for commands: opened when needed, dropped after any failure.
struct Link {
    target: Target,
    connection: Option<MultiplexedConnection>,
    keys: Keys,
}

impl Link {
    fn new(url: &RedisUrl) -> Result<Self, CacheError> {
        Ok(Self {
            target: Target::new(url)?,
            connection: None,
            keys: if url.is_drill { DRILL } else { MIRROR },
        })
    }

    /// Runs a command that is safe to repeat: once more on a new connection if the old one is dead.
    async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, CacheError> {
        let reused = self.connection.is_some();
        match self.run(Request::Command(command)).await {
            Err(CacheError::Unreachable(_)) if reused => self.run(Request::Command(command)).await,
            outcome => outcome,
        }
    }

    /// Runs a request once; if a cluster node refuses it and names another node, runs it there.
    async fn run<T: FromRedisValue>(&mut self, request: Request<'_>) -> Result<T, CacheError> {
        let mut may_follow = true;
        loop {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => Box::pin(self.target.connect()).await?,
            };
            let failure = match timeout(COMMAND_TIMEOUT, request.send(&mut connection)).await {
                Ok(Ok(value)) => {
                    self.connection = Some(connection);
                    return Ok(value);
                }
                Ok(Err(error)) => match self.target.redirected(&error) {
                    Some(Redirect::Moved) if may_follow => {
                        may_follow = false;
                        continue;
                    }
                    // Only this request: until all keys have moved, others go to the old node.
                    Some(Redirect::Ask(node)) => {
                        self.connection = Some(connection);
                        return Box::pin(self.target.ask(&node, request)).await;
                    }
                    _ => {
                        self.target.read_again_after(&error).await;
                        classify(&error)
                    }
                },
                Err(_) => CacheError::TimedOut(COMMAND_TIMEOUT),
            };
            self.target.failed();
            return Err(failure);
        }
    }
}

/// A request to Redis.
#[derive(Clone, Copy)]
enum Request<'a> {
    Command(&'a Cmd),
    Script(&'a ScriptInvocation<'a>),
}

impl Request<'_> {
    async fn send<T: FromRedisValue>(
        self,
        connection: &mut MultiplexedConnection,
    ) -> Result<T, RedisError> {
        match self {
            Self::Command(command) => command.query_async(connection).await,
            Self::Script(script) => script.invoke_async(connection).await,
        }
    }

    /// Sends the request to the node that a slot is moving to. The node takes one command after
    /// `ASKING`, so it must already have the script.
    async fn send_asking<T: FromRedisValue>(
        self,
        connection: &mut MultiplexedConnection,
    ) -> Result<T, RedisError> {
        if let Self::Script(script) = self {
            script.load_async(connection).await?;
        }
        cmd("ASKING").query_async::<()>(connection).await?;
        self.send(connection).await
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("connected", &self.connection.is_some())
            .finish_non_exhaustive()
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, CacheError> {
    match timeout(limit, work).await {
        Ok(outcome) => outcome.map_err(|error| classify(&error)),
        Err(_) => Err(CacheError::TimedOut(limit)),
    }
}

fn classify(error: &RedisError) -> CacheError {
    if error.is_timeout() {
        CacheError::TimedOut(COMMAND_TIMEOUT)
    } else if error.is_io_error() || error.is_connection_dropped() {
        CacheError::Unreachable(error.to_string())
    } else {
        CacheError::Refused(format!("{error}{}", advice(error)))
    }
}

/// What an operator can do about a refusal, if the refusal does not say it.
fn advice(error: &RedisError) -> &'static str {
    // The driver's error does not show the server's text about a login or a database.
    let text = error.to_string().to_lowercase();
    if text.contains("switch database") {
        "; for a database with a number the user needs +select, and the number must exist (a \
         cluster has 0 alone)"
    } else if is_login(error) {
        "; the user or the password in CACHE_URL is wrong, or Redis has no room for more clients"
    } else if text.contains("protected mode") {
        "; Redis wants a password (requirepass, or users) before others may connect"
    } else {
        ""
    }
}

/// Whether Redis refuses this user or password, perhaps because they changed.
fn is_login(error: &RedisError) -> bool {
    let text = error.to_string();
    error.kind() == ErrorKind::AuthenticationFailed
        || text.contains("WRONGPASS")
        || text.contains("NOAUTH")
}
