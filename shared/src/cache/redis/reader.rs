//! The readers' half: one connection for reads, one for the notices that say when to read.

use std::time::Duration;

use ::redis::aio::{PubSubSink, PubSubStream};
use ::redis::cmd;
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use super::{COMMAND_TIMEOUT, CONNECT_TIMEOUT, Link, within};
use crate::cache::{CacheError, RedisUrl, snapshot_from, status_from};
use crate::catalogue::snapshot::Snapshot;
use crate::catalogue::status::Status;
use crate::log;
use crate::service::telemetry::events;

/// Notices can get lost; a reader reads this often without one.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// How long to wait before subscribing again. Short, because retries against our own cache are
/// cheap, and a quick retry brings every reader its next film soonest.
const RESUBSCRIBE_INTERVAL: Duration = Duration::from_millis(500);

/// Reads from Redis.
pub(in crate::cache) struct Reader {
    link: Link,
    notices: Option<(PubSubSink, PubSubStream)>,
    /// Redis does not let this reader subscribe, and the log already says so.
    refused: bool,
}

impl Reader {
    pub(in crate::cache) fn new(url: &RedisUrl) -> Result<Self, CacheError> {
        Ok(Self {
            link: Link::new(url)?,
            notices: None,
            refused: false,
        })
    }

    pub(in crate::cache) async fn status(&mut self) -> Result<Option<Status>, CacheError> {
        let status = self.link.keys.status;
        let json: Option<Vec<u8>> = self.link.ask(cmd("GET").arg(status)).await?;
        json.map(|json| status_from(&json)).transpose()
    }

    pub(in crate::cache) async fn snapshot(&mut self) -> Result<Option<Snapshot>, CacheError> {
        let snapshot = self.link.keys.snapshot;
        let json: Option<Vec<u8>> = self.link.ask(cmd("GET").arg(snapshot)).await?;
        json.map(|json| snapshot_from(&json)).transpose()
    }

    pub(in crate::cache) async fn look_due(&mut self) {
        let Some((sink, stream)) = &mut self.notices else {
            // The caller's next read finds everything that was published before the subscription.
            match self.subscribe().await {
                Ok(notices) => self.notices = Some(notices),
                Err(error) => {
                    self.log_refusal(&error);
                    sleep(RESUBSCRIBE_INTERVAL).await;
                }
            }
            return;
        };
        match timeout(LOOK_INTERVAL, stream.next()).await {
            Ok(Some(_notice)) => {}
            Ok(None) => self.notices = None,
            // Silence is normal; a server that does not even answer a PING is gone.
            Err(_) => {
                let heartbeat = timeout(COMMAND_TIMEOUT, sink.ping::<()>()).await;
                let is_alive = matches!(heartbeat, Ok(Ok(())));
                if !is_alive || self.link.target.is_replaced().await {
                    // The other connection leads to the same server.
                    self.notices = None;
                    self.link.connection = None;
                }
            }
        }
    }

    /// Warns, once, if the reader can read the cache but may not `SUBSCRIBE`. If the reader cannot
    /// read the cache, the caller reports that.
    fn log_refusal(&mut self, error: &CacheError) {
        let is_readable = self.link.connection.is_some();
        let refused = is_readable && matches!(error, CacheError::Refused(_));
        if refused && !self.refused {
            let interval_ms = RESUBSCRIBE_INTERVAL.as_millis();
            log!(
                events::NOTICES_REFUSED,
                reason = %error,
                interval_ms,
                "cannot subscribe to notices, so this server looks every {interval_ms} ms: {error}"
            );
        }
        self.refused = refused;
    }

    async fn subscribe(&mut self) -> Result<(PubSubSink, PubSubStream), CacheError> {
        // In a cluster any node will do: each node passes on what any other node publishes.
        let changed = self.link.keys.changed;
        let client = self.link.target.locate().await?;
        let listening = async {
            let (mut sink, stream) = client.get_async_pubsub().await?.split();
            sink.subscribe(changed).await?;
            Ok((sink, stream))
        };
        let listening = self.link.target.logging_in(listening);
        let outcome = within(CONNECT_TIMEOUT, listening).await;
        if outcome.is_err() {
            self.link.target.failed();
        }
        outcome
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("subscribed", &self.notices.is_some())
            .finish_non_exhaustive()
    }
}
