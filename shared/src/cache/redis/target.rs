//! Chooses the server for every new connection: one of the hosts in the URL, the master that the
//! sentinels name, or the cluster node that has our keys.
//!
//! Asks sentinels one simple question. Does not ask the server for its role: a reader may not ask,
//! and for a writer a read-only server refuses the first write anyway.

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, FromRedisValue, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, ServerErrorKind, TlsCertificates, cmd,
};

use super::{COMMAND_TIMEOUT, CONNECT_TIMEOUT, Request, classify, is_login, within};
use crate::cache::{CacheError, RedisUrl};
use crate::log;
use crate::service::telemetry::events;

/// How long one sentinel may take to answer, connecting included. Several may be silent before one
/// answers.
const SENTINEL_TIMEOUT: Duration = Duration::from_secs(1);

type Address = (String, u16);

/// The redirects of a cluster node that does not have our keys.
pub(super) enum Redirect {
    /// Another node has them; the next connection goes there.
    Moved,
    /// The keys are moving to this node; one request may go there now.
    Ask(Address),
}

/// Chooses the server for connections.
pub(super) struct Target {
    url: RedisUrl,
    /// Servers or sentinels; the first one is the next to try.
    hosts: Vec<Address>,
    /// The cluster node that has our keys, after a redirect has named it.
    node: Option<Address>,
    /// The server that was found last.
    found: Option<Address>,
}

impl Target {
    pub(super) fn new(url: &RedisUrl) -> Result<Self, CacheError> {
        let target = Self {
            url: url.clone(),
            hosts: url.hosts.clone(),
            node: None,
            found: None,
        };
        // Report unusable certificates at start.
        client(url, &target.hosts[0], logged_in(url))?;
        Ok(target)
    }

    /// Opens a connection for commands, to the first of several servers that accepts one.
    pub(super) async fn connect(&mut self) -> Result<MultiplexedConnection, CacheError> {
        let choices = match (&self.node, &self.url.master) {
            (None, None) => self.hosts.len(),
            _ => 1,
        };
        let url = self.url.clone();
        let mut connected = self.connect_once().await;
        if connected.is_err() && self.url != url {
            connected = self.connect_once().await;
        }
        for _ in 1..choices {
            if connected.is_ok() {
                break;
            }
            connected = self.connect_once().await;
        }
        connected
    }

    async fn connect_once(&mut self) -> Result<MultiplexedConnection, CacheError> {
        let client = self.locate().await?;
        let connected = within(CONNECT_TIMEOUT, self.logging_in(commands(&client))).await;
        if connected.is_err() {
            self.failed();
        }
        connected
    }

    /// Does work that logs in.
    pub(super) async fn logging_in<T>(
        &mut self,
        work: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, RedisError> {
        let outcome = work.await;
        if let Err(error) = &outcome {
            self.read_again_after(error).await;
        }
        outcome
    }

    /// A refused login may mean that the password was changed: reads the file that `CACHE_URL` came
    /// from again, for the next attempt.
    pub(super) async fn read_again_after(&mut self, error: &RedisError) {
        if is_login(error)
            && let Some(url) = self.url.read_again().await
        {
            log!(
                events::PASSWORD_READ_AGAIN,
                "Redis refused the user or the password, so CACHE_URL_FILE was read again"
            );
            self.url = url;
        }
    }

    /// Finds the server to connect to. The caller reports a failure with [`failed`](Self::failed).
    pub(super) async fn locate(&mut self) -> Result<Client, CacheError> {
        let address = match (&self.node, &self.url.master) {
            (Some(node), _) => node.clone(),
            (None, None) => self.hosts[0].clone(),
            (None, Some(master)) => ask_all(&self.url, &mut self.hosts, master).await?,
        };
        let settings = logged_in(&self.url).set_db(self.url.database.into());
        let client = client(&self.url, &address, settings);
        self.found = Some(address);
        client
    }

    /// Whether the sentinels now name another master than the one that was found last.
    ///
    /// A healthy master that was replaced accepts writes for another ten seconds and then loses
    /// them. If no sentinel answers, the client stays with a master that does.
    pub(super) async fn is_replaced(&mut self) -> bool {
        let Some(master) = &self.url.master else {
            return false;
        };
        let named = ask_all(&self.url, &mut self.hosts, master).await;
        named.is_ok_and(|address| self.found.as_ref() != Some(&address))
    }

    /// The redirect in a cluster node's error, if there is one.
    pub(super) fn redirected(&mut self, error: &RedisError) -> Option<Redirect> {
        let (address, _slot) = error.redirect_node()?;
        let (host, port) = address.rsplit_once(':')?;
        // A node that does not know another node's name writes `?` or nothing: then the other node
        // is on the same host.
        let host = match host {
            "" | "?" => &self.found.as_ref()?.0,
            host => host,
        };
        let node = (host.to_owned(), port.parse().ok()?);
        if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) {
            return Some(Redirect::Ask(node));
        }
        self.node = Some(node);
        Some(Redirect::Moved)
    }

    /// Sends a request to the node that the key is moving to.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        node: &Address,
        request: Request<'_>,
    ) -> Result<T, CacheError> {
        let client = client(&self.url, node, logged_in(&self.url))?;
        let asking = async { request.send_asking(&mut commands(&client).await?).await };
        within(COMMAND_TIMEOUT, asking).await
    }

    /// Tries another host next time, because the known one may be wrong.
    pub(super) fn failed(&mut self) {
        self.node = None;
        self.hosts.rotate_left(1);
    }
}

/// Asks the sentinels for the master, one after the other until one knows. A sentinel that does not
/// know moves to the end of the list.
async fn ask_all(
    url: &RedisUrl,
    sentinels: &mut [Address],
    master: &str,
) -> Result<Address, CacheError> {
    let mut named = ask(url, &sentinels[0], master).await;
    for _ in 1..sentinels.len() {
        if named.is_ok() {
            break;
        }
        sentinels.rotate_left(1);
        named = ask(url, &sentinels[0], master).await;
    }
    named
}

/// Asks one sentinel. Sends credentials only if the sentinel wants some: its own if the URL has
/// them, or else those of the servers.
async fn ask(url: &RedisUrl, sentinel: &Address, master: &str) -> Result<Address, CacheError> {
    let stranger = client(url, sentinel, nameless())?;
    let known = match &url.sentinel_password {
        Some(password) => {
            let mut settings = nameless().set_password(password);
            if let Some(user) = &url.sentinel_user {
                settings = settings.set_username(user);
            }
            client(url, sentinel, settings)?
        }
        None => client(url, sentinel, logged_in(url))?,
    };
    let answer = async {
        match master_of(&stranger, master).await {
            Err(error) if error.code() == Some("NOAUTH") => master_of(&known, master).await,
            answer => answer,
        }
    };
    let named = within(SENTINEL_TIMEOUT, answer).await?;
    named.ok_or_else(|| CacheError::Refused(format!("the sentinel knows no master {master}")))
}

async fn master_of(sentinel: &Client, master: &str) -> Result<Option<Address>, RedisError> {
    let mut question = cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    question.query_async(&mut commands(sentinel).await?).await
}

async fn commands(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    // The limits around each use are as tight or tighter; these end the driver's own pending work.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(COMMAND_TIMEOUT));
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

/// To send the driver's name to the server would need a permission that has no other use.
fn nameless() -> RedisConnectionInfo {
    RedisConnectionInfo::default().set_skip_set_lib_name()
}

fn logged_in(url: &RedisUrl) -> RedisConnectionInfo {
    let mut settings = nameless();
    if let Some(user) = &url.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &url.password {
        settings = settings.set_password(password);
    }
    settings
}

fn client(
    url: &RedisUrl,
    address: &Address,
    settings: RedisConnectionInfo,
) -> Result<Client, CacheError> {
    let (host, port) = address.clone();
    let address = if url.tls {
        ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let information = address
        .into_connection_info()
        .map_err(|error| classify(&error))?
        .set_redis_settings(settings)
        .set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let client = if url.tls {
        let certificates = TlsCertificates {
            client_tls: None,
            root_cert: url.authorities.as_ref().map(|known| known.pem().to_vec()),
        };
        Client::build_with_tls(information, certificates)
    } else {
        Client::open(information)
    };
    client.map_err(|error| classify(&error))
}
