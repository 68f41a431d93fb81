//! The Redis cache. All keys share one hash tag, so that they live in one slot of a cluster:
//!
//! | key or channel | holds |
//! |---|---|
//! | `{ghibli}:snapshot` | the snapshot, one JSON document |
//! | `{ghibli}:status` | the status, one JSON document |
//! | `{ghibli}:lease` | the name of the poller that may sync; expires |
//! | `{ghibli}:changed` | gets the generation published after each commit |
//!
//! Every command is bounded in time; after any failure the connection is made anew, which is what
//! gets a client out of every kind of broken connection, a silent one included.

mod reader;
mod target;
mod writer;

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, FromRedisValue, RedisError, ScriptInvocation};
use tokio::time::timeout;

use super::{CacheError, RedisUrl};
use target::Target;

pub(super) use reader::Reader;
pub(super) use writer::Writer;

const SNAPSHOT: &str = "{ghibli}:snapshot";
const STATUS: &str = "{ghibli}:status";
const LEASE: &str = "{ghibli}:lease";
const CHANGED: &str = "{ghibli}:changed";

/// How long connecting, name resolution and handshakes included, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long any one command may take. A snapshot is some hundred kilobytes.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection for commands that is made when needed and dropped after any failure.
struct Link {
    target: Target,
    connection: Option<MultiplexedConnection>,
}

impl Link {
    fn new(url: &RedisUrl) -> Result<Self, CacheError> {
        Ok(Self {
            target: Target::new(url)?,
            connection: None,
        })
    }

    /// Runs a command that may be repeated: once more on a new connection if the old one turns
    /// out to be dead.
    async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, CacheError> {
        let reused = self.connection.is_some();
        match self.run(Request::Command(command)).await {
            Err(CacheError::Unreachable(_)) if reused => self.run(Request::Command(command)).await,
            outcome => outcome,
        }
    }

    /// Runs a request once; where a node of a cluster refuses it and names another, there.
    async fn run<T: FromRedisValue>(&mut self, request: Request<'_>) -> Result<T, CacheError> {
        let mut may_follow = true;
        loop {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.target.connect().await?,
            };
            let failure = match timeout(COMMAND_TIMEOUT, request.send(&mut connection)).await {
                Ok(Ok(value)) => {
                    self.connection = Some(connection);
                    return Ok(value);
                }
                Ok(Err(error)) if may_follow && self.target.follow(&error) => {
                    may_follow = false;
                    continue;
                }
                Ok(Err(error)) => classify(&error),
                Err(_) => CacheError::TimedOut(COMMAND_TIMEOUT),
            };
            self.target.failed();
            return Err(failure);
        }
    }
}

/// What can be asked of Redis.
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
        CacheError::Refused(error.to_string())
    }
}
