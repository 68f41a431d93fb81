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
mod writer;

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, IntoConnectionInfo, RedisError};
use url::Url;

use super::CacheError;

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
    client: Client,
    connection: Option<MultiplexedConnection>,
}

impl Link {
    fn new(url: &Url) -> Result<Self, CacheError> {
        // The driver has no word for credentials in a URL that it cannot read; neither have we.
        let invalid = |_| CacheError::Refused("CACHE_URL is no usable Redis URL".into());
        let info = url.as_str().into_connection_info().map_err(invalid)?;
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(info.set_tcp_settings(tcp)).map_err(invalid)?;
        Ok(Self {
            client,
            connection: None,
        })
    }

    /// Runs a command that may be repeated: once more on a new connection if the old one turns
    /// out to be dead.
    async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, CacheError> {
        let reused = self.connection.is_some();
        match self
            .run(async |connection| command.query_async(connection).await)
            .await
        {
            Err(CacheError::Unreachable(_)) if reused => {
                self.run(async |connection| command.query_async(connection).await)
                    .await
            }
            outcome => outcome,
        }
    }

    /// Runs an operation once.
    async fn run<T>(
        &mut self,
        operation: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, CacheError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let value = within(COMMAND_TIMEOUT, operation(&mut connection)).await?;
        self.connection = Some(connection);
        Ok(value)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, CacheError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(COMMAND_TIMEOUT));
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        within(CONNECT_TIMEOUT, connecting).await
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
    match tokio::time::timeout(limit, work).await {
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
