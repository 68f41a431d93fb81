//! The poller's environment variables, in one typed struct.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use shared::cache::CacheUrl;
use shared::config::{BaseUrl, Variable};
use shared::telemetry::{Format, Level};
use shared::tls::Authorities;

use crate::schedule::Schedule;

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The upstream.
    pub ghibli_api: BaseUrl,
    /// The cache that is written.
    pub cache_url: CacheUrl,
    /// Who signs the certificates of a cache with TLS; whom the system trusts, if not set.
    pub cache_ca_file: Option<Authorities>,
    /// When to sync, besides at start.
    pub poll_schedule: Schedule,
    /// How long one request to the upstream may take.
    #[serde(with = "humantime_serde")]
    pub upstream_timeout: Duration,
    /// Where health is answered.
    pub admin_addr: SocketAddr,
    /// How log lines look.
    pub log_format: Format,
    /// Which log lines there are.
    pub log_level: Level,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ghibli_api: "https://ghibliapi.vercel.app".parse().expect("a URL"),
            cache_url: CacheUrl::default(),
            cache_ca_file: None,
            poll_schedule: Schedule::default(),
            upstream_timeout: Duration::from_secs(10),
            admin_addr: ([127, 0, 0, 1], 9091).into(),
            log_format: Format::default(),
            log_level: Level::default(),
        }
    }
}

/// The same for people; `--help` and the README show it.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "GHIBLI_API",
        default: "https://ghibliapi.vercel.app",
        help: "Base URL of the upstream",
        secret: false,
    },
    Variable {
        name: "CACHE_URL",
        default: "file:data",
        help: "The cache: file:DIRECTORY or redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]; or \
               redis+sentinel://HOST[:PORT][,…]/MASTER_NAME; with TLS, \
               rediss:// and rediss+sentinel://",
        secret: true,
    },
    Variable {
        name: "CACHE_CA_FILE",
        default: "the system's",
        help: "Who may sign certificates of a cache with TLS: a file in PEM",
        secret: false,
    },
    Variable {
        name: "POLL_SCHEDULE",
        default: "0 * * * * *",
        help: "When to sync, as cron with seconds, in UTC",
        secret: false,
    },
    Variable {
        name: "UPSTREAM_TIMEOUT",
        default: "10s",
        help: "How long one request to the upstream may take",
        secret: false,
    },
    Variable {
        name: "ADMIN_ADDR",
        default: "127.0.0.1:9091",
        help: "Address of /livez and /readyz",
        secret: false,
    },
    Variable {
        name: "LOG_FORMAT",
        default: "json",
        help: "json, or text for people",
        secret: false,
    },
    Variable {
        name: "LOG_LEVEL",
        default: "info",
        help: "error, warn, info, debug or trace, or a list such as info,poller=debug",
        secret: false,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_tells_every_variable_with_its_default() {
        let readme = include_str!("../../README.md");
        for Variable { name, default, .. } in VARIABLES {
            let told = readme.lines().any(|line| {
                let whose = line.contains("| both |") || line.contains("| poller |");
                whose
                    && line.contains(&format!("`{name}`"))
                    && line.contains(&format!("`{default}`"))
            });
            assert!(told, "{name} with default {default}");
        }
    }

    #[test]
    fn the_table_tells_every_variable_with_its_real_default() {
        let defaults = VARIABLES
            .iter()
            .filter(|variable| variable.name != "CACHE_CA_FILE")
            .map(|variable| (variable.name.into(), variable.default.into()));
        let spelt_out: Config = shared::config::load(VARIABLES, defaults).unwrap();
        assert_eq!(format!("{spelt_out:?}"), format!("{:?}", Config::default()));
        let fields = format!("{:?}", Config::default()).matches(": ").count();
        assert!(fields >= VARIABLES.len());
    }
}
