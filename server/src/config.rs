//! The server's environment variables, in one typed struct.

mod cache_control;

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use serde::de::{Deserialize, Deserializer, Error};
use shared::cache::CacheUrl;
use shared::service::config::{self, BaseUrl, Contradiction, Mistakes, Variable};
use shared::service::telemetry::{Format, Level};
use shared::service::tls::Authorities;

pub use cache_control::CacheControl;

use crate::render::Links;

/// Everything that can be set.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// The cache that the server reads.
    pub cache_url: CacheUrl,
    /// The authorities for the certificates of a cache with TLS; the system's, if not set.
    pub cache_ca_file: Option<Authorities>,
    /// The address on which the mirror listens.
    #[serde(deserialize_with = "config::address")]
    pub listen_addr: SocketAddr,
    /// The address on which the health endpoints listen.
    #[serde(deserialize_with = "config::address")]
    pub admin_addr: SocketAddr,
    /// The address under which clients know this mirror.
    pub public_url: Option<BaseUrl>,
    /// Without a `public_url`: the port of `http://localhost` under which clients know this mirror.
    #[serde(deserialize_with = "port")]
    pub public_port: Option<NonZeroU16>,
    /// Where links in the data point.
    pub links: LinkTarget,
    /// Whether pages show posters from other hosts.
    pub posters: Posters,
    /// The `Cache-Control` header of answers.
    pub cache_control: CacheControl,
    /// Whether answers show how long the server took.
    pub server_timing: bool,
    /// The format of log lines.
    pub log_format: Format,
    /// Which log lines the server writes.
    pub log_level: Level,
}

fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NonZeroU16>, D::Error> {
    let port = String::deserialize(deserializer)?.parse();
    let port = port.map_err(|_| D::Error::custom("expected a port, a number from 1 to 65535"));
    port.map(Some)
}

/// Where links in the data point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkTarget {
    /// At the mirror, so that clients which follow them stay off the upstream.
    #[default]
    #[serde(rename = "self")]
    Mirror,
    /// At the upstream: links stay as they are.
    Upstream,
}

/// Whether pages show posters, which browsers load from the hosts that the data names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Posters {
    /// A drawing stays where a poster does not load.
    #[default]
    On,
    /// Drawings alone: browsers ask no other host for anything.
    Off,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            cache_url: CacheUrl::default(),
            cache_ca_file: None,
            listen_addr: ([127, 0, 0, 1], 8080).into(),
            admin_addr: ([127, 0, 0, 1], 9090).into(),
            public_url: None,
            public_port: None,
            links: LinkTarget::default(),
            posters: Posters::default(),
            cache_control: CacheControl::default(),
            server_timing: false,
            log_format: Format::default(),
            log_level: Level::default(),
        }
    }
}

impl ServerConfig {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`Mistakes`], which lists every mistake.
    pub fn load(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Mistakes> {
        let environment: Vec<_> = environment.into_iter().collect();
        let file = config::secret_file("CACHE_URL", environment.clone());
        let config: Self = config::load(VARIABLES, environment, Self::contradictions)?;
        let cache_url = config.cache_url.clone().from_file(file);
        Ok(Self {
            cache_url,
            ..config
        })
    }

    fn contradictions(&self) -> Vec<Contradiction> {
        let mut found = Vec::new();
        if config::overlap(self.admin_addr, self.listen_addr) {
            found.push(Contradiction {
                variables: ["ADMIN_ADDR", "LISTEN_ADDR"],
                mistake: format!(
                    "{} and LISTEN_ADDR, {}, cannot both be listened on; expected another port",
                    self.admin_addr, self.listen_addr
                ),
            });
        }
        found.extend(self.cache_url.unused(self.cache_ca_file.as_ref()));
        found
    }

    /// The address under which clients know a server that listens on `address`.
    pub fn base(&self, address: SocketAddr) -> String {
        match (&self.public_url, self.public_port) {
            (Some(url), _) => url.to_string(),
            (None, Some(port)) => format!("http://localhost:{port}"),
            (None, None) => format!("http://{}", reachable(address)),
        }
    }

    /// How that server writes the links in the data.
    pub fn link_policy(&self, address: SocketAddr) -> Links {
        match self.links {
            LinkTarget::Upstream => Links::Verbatim,
            LinkTarget::Mirror => Links::To(self.base(address)),
        }
    }
}

/// The path with which every path below a base URL begins; empty when the mirror has its own host.
/// A proxy that shares its host removes this path before it forwards a request.
pub fn prefix(base: &str) -> &str {
    let host = base.find("://").map_or(0, |scheme| scheme + 3);
    let path = base[host..].find('/');
    path.map_or("", |path| &base[host + path..])
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => format!("localhost:{}", address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => format!("localhost:{}", address.port()),
        _ => address.to_string(),
    }
}

/// The variables as `--help` and the README show them.
pub const VARIABLES: &[Variable] = &[
    CacheUrl::VARIABLE,
    Authorities::VARIABLE,
    Variable::new(
        "LISTEN_ADDR",
        "127.0.0.1:8080",
        "Address of the mirror: IP:PORT, 0.0.0.0 for every network",
    ),
    Variable::new(
        "ADMIN_ADDR",
        "127.0.0.1:9090",
        "Address of /livez, /readyz and /metrics: IP:PORT, another port than LISTEN_ADDR's",
    ),
    Variable::new(
        "PUBLIC_URL",
        "http:// and LISTEN_ADDR",
        "Base URL under which clients know the mirror, the same on every replica: \
         http://HOST[:PORT][/PATH] or https://…",
    ),
    Variable::new(
        "PUBLIC_PORT",
        "the port of LISTEN_ADDR",
        "Without PUBLIC_URL: the port of localhost under which clients know the mirror, where \
         that is not where it listens",
    ),
    Variable::new(
        "LINKS",
        "self",
        "Where links in the data point: self (PUBLIC_URL), or upstream (unchanged)",
    ),
    Variable::new(
        "POSTERS",
        "on",
        "Whether pages show the films' posters, which browsers load from the hosts that the \
         records name: on or off",
    ),
    Variable::new(
        "CACHE_CONTROL",
        "no-cache",
        "Cache-Control of every answer from the catalogue: directives of RFC 9111 such as \
         public, max-age=60",
    ),
    Variable::new(
        "SERVER_TIMING",
        "false",
        "Whether answers say in Server-Timing how long they took: true or false",
    ),
    Format::VARIABLE,
    Level::VARIABLE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_every_variable_with_its_real_default() {
        let defaults = VARIABLES
            .iter()
            .filter(|variable| {
                !["PUBLIC_URL", "PUBLIC_PORT", "CACHE_CA_FILE"].contains(&variable.name)
            })
            .map(|variable| (variable.name.into(), variable.default.into()));
        let spelt_out: ServerConfig = ServerConfig::load(defaults).unwrap();
        assert_eq!(
            format!("{spelt_out:?}"),
            format!("{:?}", ServerConfig::default())
        );
    }

    #[test]
    fn two_listeners_at_one_address_are_refused_in_words() {
        let load = |listen: &str, admin: &str| {
            let pairs = [("LISTEN_ADDR", listen), ("ADMIN_ADDR", admin)];
            ServerConfig::load(pairs.map(|(name, value)| (name.into(), value.into())))
        };
        for (listen, admin) in [
            ("127.0.0.1:9090", ""),
            ("", "0.0.0.0:8080"),
            ("[::]:9090", "127.0.0.1:9090"),
        ] {
            let refusal = load(listen, admin).unwrap_err().to_string();
            assert!(
                refusal.contains("ADMIN_ADDR: ") && refusal.contains("another port"),
                "{refusal}"
            );
        }
        load("127.0.0.1:0", "127.0.0.1:0").unwrap();
        load("127.0.0.1:9090", "127.0.0.2:9090").unwrap();
    }

    #[test]
    fn a_base_url_below_a_path_puts_it_before_every_path() {
        assert_eq!(prefix("https://ghibli.example"), "");
        assert_eq!(prefix("http://127.0.0.1:8080"), "");
        assert_eq!(prefix("https://api.example/v1/ghibli"), "/v1/ghibli");
    }

    #[test]
    fn links_point_at_the_public_url_or_else_at_the_listener() {
        let mut config = ServerConfig::default();
        let to =
            |config: &ServerConfig, address: &str| config.link_policy(address.parse().unwrap());
        assert_eq!(
            to(&config, "127.0.0.1:8080"),
            Links::To("http://127.0.0.1:8080".into())
        );
        assert_eq!(
            to(&config, "0.0.0.0:80"),
            Links::To("http://localhost:80".into())
        );
        config.public_port = "9090".parse().ok();
        assert_eq!(
            to(&config, "0.0.0.0:80"),
            Links::To("http://localhost:9090".into())
        );
        config.public_url = Some("https://ghibli.example/".parse().unwrap());
        assert_eq!(
            to(&config, "0.0.0.0:80"),
            Links::To("https://ghibli.example".into())
        );
        config.links = LinkTarget::Upstream;
        assert_eq!(to(&config, "0.0.0.0:80"), Links::Verbatim);
    }
}
