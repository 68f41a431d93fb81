//! The poller's environment variables, in one typed struct.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use humantime_serde::re::humantime;
use serde::de::{Deserialize, Deserializer, Error};
use shared::cache::CacheUrl;
use shared::catalogue::Collection;
use shared::service::config::{self, BaseUrl, Contradiction, Mistakes, Variable};
use shared::service::telemetry::{Format, Level};
use shared::service::tls::Authorities;

use crate::cycle::FETCH_TIME;
use crate::notify::message::SigningSecret;
use crate::notify::url::SecretUrl;
use crate::notify::webhooks::WebhookUrls;
use crate::proxies;
use crate::schedule::Schedule;

/// The shortest time in which an upstream can answer.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);

/// All settings.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PollerConfig {
    /// The upstream.
    #[serde(deserialize_with = "upstream")]
    pub ghibli_api: BaseUrl,
    /// The cache to write to.
    pub cache_url: CacheUrl,
    /// The authorities for the cache's TLS certificates; by default, the system's.
    pub cache_ca_file: Option<Authorities>,
    /// When to sync, in addition to the sync at start.
    pub poll_schedule: Schedule,
    /// How long one request to the upstream may take.
    #[serde(deserialize_with = "timeout")]
    pub upstream_timeout: Duration,
    /// The address of the health endpoints.
    #[serde(deserialize_with = "config::address")]
    pub admin_addr: SocketAddr,
    /// What to request after each fully successful sync.
    pub heartbeat_url: Option<SecretUrl>,
    /// Where to announce releases.
    pub webhook_urls: WebhookUrls,
    /// What signs these announcements.
    pub webhook_secret: Option<SigningSecret>,
    /// The format of log lines.
    pub log_format: Format,
    /// Which log lines to write.
    pub log_level: Level,
}

impl Default for PollerConfig {
    fn default() -> Self {
        Self {
            ghibli_api: "https://ghibliapi.vercel.app".parse().expect("a URL"),
            cache_url: CacheUrl::default(),
            cache_ca_file: None,
            poll_schedule: Schedule::default(),
            upstream_timeout: Duration::from_secs(10),
            admin_addr: ([127, 0, 0, 1], 9091).into(),
            heartbeat_url: None,
            webhook_urls: WebhookUrls::default(),
            webhook_secret: None,
            log_format: Format::default(),
            log_level: Level::default(),
        }
    }
}

impl PollerConfig {
    /// Reads the environment, the usual proxy variables included.
    ///
    /// # Errors
    /// Returns [`Mistakes`], with every mistake.
    pub fn load(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Mistakes> {
        let environment: Vec<_> = environment.into_iter().collect();
        let file = config::secret_file("CACHE_URL", environment.clone());
        let config: Self = config::load(VARIABLES, environment.clone(), |config: &Self| {
            let unused = config.cache_url.unused(config.cache_ca_file.as_ref());
            let ignored = proxies::ignored(config.ghibli_api.url(), environment.clone());
            let others = config
                .heartbeat_url
                .iter()
                .chain(config.webhook_urls.urls());
            let mut others = others.map(SecretUrl::url);
            let ignored = ignored
                .or_else(|| others.find_map(|url| proxies::ignored(url, environment.clone())));
            let is_unsigned =
                !config.webhook_urls.urls().is_empty() && config.webhook_secret.is_none();
            let unsigned = is_unsigned.then(|| Contradiction {
                variables: ["WEBHOOK_SECRET", "WEBHOOK_URLS"],
                mistake: "missing, and WEBHOOK_URLS need it: echo whsec_$(openssl rand -base64 32)"
                    .to_owned(),
            });
            unused.into_iter().chain(ignored).chain(unsigned).collect()
        })?;
        let cache_url = config.cache_url.clone().from_file(file);
        Ok(Self {
            cache_url,
            ..config
        })
    }
}

/// Reads the upstream's base URL. Refuses the address of one of its collections.
fn upstream<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BaseUrl, D::Error> {
    let is_collection = |last: &str| {
        let mut all = Collection::ALL.iter();
        all.any(|collection| last.eq_ignore_ascii_case(collection.name()))
    };
    BaseUrl::read(&String::deserialize(deserializer)?, is_collection).map_err(D::Error::custom)
}

/// Reads a timeout that is short enough for a sync to end by itself.
fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let range = SHORTEST_TIMEOUT..=FETCH_TIME;
    let timeout = humantime::parse_duration(&text).map_err(|error| error.to_string());
    timeout
        .and_then(|timeout| {
            let is_sensible = range.contains(&timeout);
            is_sensible
                .then_some(timeout)
                .ok_or_else(|| "out of range".into())
        })
        .map_err(|error| {
            let (least, most) = range.into_inner();
            D::Error::custom(format!(
                "{error}: expected a time such as 10s, from {least:?} to {most:?}"
            ))
        })
}

/// The default as text for people; `--help` and the README show it.
pub const VARIABLES: &[Variable] = &[
    Variable::new(
        "GHIBLI_API",
        "https://ghibliapi.vercel.app",
        "Base URL of the upstream: http://HOST[:PORT][/PATH] or https://…",
    ),
    CacheUrl::VARIABLE,
    Authorities::VARIABLE,
    Variable::new(
        "POLL_SCHEDULE",
        "0 * * * * *",
        "When to sync, as cron with seconds, in UTC: second minute hour day month weekday",
    ),
    Variable::new(
        "UPSTREAM_TIMEOUT",
        "10s",
        "How long one request to the upstream may take: from 10ms to 30s",
    ),
    Variable::new(
        "ADMIN_ADDR",
        "127.0.0.1:9091",
        "Address of /livez, /readyz, /metrics and the admin commands: IP:PORT",
    ),
    Variable::secret(
        "HEARTBEAT_URL",
        "none",
        "What to request after each fully successful sync, and only then, for a monitor \
         that raises an alarm when the requests stop: a URL",
    ),
    Variable::secret(
        "WEBHOOK_URLS",
        "none",
        "Where to announce new films, with POST: up to ten URLs, with commas between; Slack's \
         and Discord's too",
    ),
    Variable::secret(
        "WEBHOOK_SECRET",
        "none",
        "What signs these announcements, after Standard Webhooks: whsec_ and Base64",
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
            .filter(|variable| !["the system's", "none"].contains(&variable.default))
            .map(|variable| (variable.name.into(), variable.default.into()));
        let spelt_out = PollerConfig::load(defaults).unwrap();
        assert_eq!(
            format!("{spelt_out:?}"),
            format!("{:?}", PollerConfig::default())
        );
        let fields = format!("{:?}", PollerConfig::default())
            .matches(": ")
            .count();
        assert!(fields >= VARIABLES.len());
    }

    fn refusal(name: &str, value: &str) -> String {
        let mistakes = PollerConfig::load([(name.into(), value.into())]).expect_err(value);
        mistakes.0.concat()
    }

    #[test]
    fn a_collection_is_no_base_url() {
        for (text, meant) in [
            (
                "https://ghibliapi.vercel.app/films",
                "https://ghibliapi.vercel.app",
            ),
            ("http://host/api/People/", "http://host/api"),
            (
                "https://ghibliapi.vercel.app/#tag/Films",
                "https://ghibliapi.vercel.app",
            ),
        ] {
            let refusal = refusal("GHIBLI_API", text);
            assert!(
                refusal.ends_with(&format!("; {meant} is probably meant")),
                "{refusal}"
            );
        }
        PollerConfig::load([("GHIBLI_API".into(), "http://host/films-api".into())]).unwrap();
    }

    #[test]
    fn a_request_gets_some_time_and_no_more_than_a_sync() {
        for text in [
            "0s", "0", "9ms", "31s", "1year", "10", "soon", "-1s", "1e3s",
        ] {
            let refusal = refusal("UPSTREAM_TIMEOUT", text);
            assert!(
                refusal.ends_with("expected a time such as 10s, from 10ms to 30s"),
                "{refusal}"
            );
        }
        for text in ["10ms", "30s", "1s 500ms"] {
            PollerConfig::load([("UPSTREAM_TIMEOUT".into(), text.into())]).unwrap();
        }
    }

    #[test]
    fn authorities_without_tls_are_refused() {
        let certificates = testkit::redis::Certificates::make();
        let file = certificates.authority();
        let load = |url: &str| {
            PollerConfig::load([
                ("CACHE_CA_FILE".into(), file.clone().into()),
                ("CACHE_URL".into(), url.into()),
            ])
        };
        for url in ["redis://cache", "file:data"] {
            let refusal = load(url).unwrap_err().0.concat();
            assert!(
                refusal.starts_with("CACHE_CA_FILE: means nothing without TLS"),
                "{refusal}"
            );
        }
    }
}
