//! Parses `CACHE_URL` once and completely, so that no other code interprets it.
//!
//! | form | names |
//! |---|---|
//! | `file:DIRECTORY` | a directory on this machine |
//! | `redis://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/DATABASE]` | one Redis, a replica of one, or nodes of a Redis Cluster |
//! | `redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]/MASTER_NAME[?SETTING&SETTING…]` | the master that these sentinels name; settings are `db=DATABASE`, `sentinel_user=USER`, `sentinel_password=PASSWORD` |
//! | `rediss://…`, `rediss+sentinel://…` | the same with TLS to every server, certificates verified |
//!
//! User and password are percent-encoded; a password without a user is `:PASSWORD@`. They are for
//! the Redis servers. A sentinel that asks for credentials gets its own, if the URL has any, or
//! else those of the servers. Errors never repeat the URL, because it may hold a password.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tokio::sync::Semaphore;
use url::Host;

use crate::service::config::{self, Contradiction, Variable};
use crate::service::tls::Authorities;

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// More hosts than anybody needs, and few enough to ask one after the other.
const MOST_HOSTS: usize = 16;

/// The longest path and the longest host name that Linux takes, in bytes.
const MAX_PATH: usize = 4095;
const MAX_HOST: usize = 253;

/// The directory of a drill, within the one directory that the poller can surely write to.
pub(super) const DRILL: &str = "drill";

/// Held while a thread reads the file with the URL.
static READING: Semaphore = Semaphore::const_new(1);

/// How long it may take to read the file with the URL again.
const FILE_TIME: Duration = Duration::from_secs(1);

/// Where the cache is.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum CacheUrl {
    /// A directory of files on this machine.
    File(PathBuf),
    /// Redis, in one of its shapes.
    Redis(RedisUrl),
}

/// Where Redis is, and how to log in.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// The servers, or the sentinels; at least one host and port.
    pub(super) hosts: Vec<(String, u16)>,
    /// The sentinels' name for the master; without it the hosts are Redis servers.
    pub(super) master: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// The sentinels' own credentials, if they differ from the servers'.
    pub(super) sentinel_user: Option<String>,
    pub(super) sentinel_password: Option<String>,
    pub(super) database: u32,
    pub(super) tls: bool,
    /// The authorities for the servers' certificates; by default, the system's.
    pub(super) authorities: Option<Authorities>,
    /// The file that the URL came from. It is read again when the password changes.
    pub(super) file: Option<PathBuf>,
    /// Whether to use the keys of a drill instead of the mirror's.
    pub(super) is_drill: bool,
}

impl RedisUrl {
    /// The URL that its file holds now; `None` if it is the same or cannot be read.
    pub(super) async fn read_again(&self) -> Option<Self> {
        let file = self.file.clone()?;
        // A read that hangs keeps the permit, so at most one read hangs.
        let turn = READING.try_acquire().ok()?;
        let read = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            config::read_secret(&file)
        });
        let text = tokio::time::timeout(FILE_TIME, read)
            .await
            .ok()?
            .ok()?
            .ok()?;
        let CacheUrl::Redis(read) = text.parse().ok()? else {
            return None;
        };
        let read = Self {
            authorities: self.authorities.clone(),
            file: self.file.clone(),
            is_drill: self.is_drill,
            ..read
        };
        (read != *self).then_some(read)
    }
}

impl CacheUrl {
    /// The variable that names the cache.
    pub const VARIABLE: Variable = Variable::secret(
        "CACHE_URL",
        "file:data",
        "The cache: file:DIRECTORY, redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE] or \
         redis+sentinel://[USER:PASSWORD@]HOST/NAME[?db=DATABASE], both with more hosts after \
         commas; with TLS, rediss:// and rediss+sentinel://",
    );

    /// Refuses authorities for a cache without TLS: the operator believes that there is TLS.
    pub fn unused(&self, authorities: Option<&Authorities>) -> Option<Contradiction> {
        let has_tls = matches!(self, Self::Redis(url) if url.tls);
        (authorities.is_some() && !has_tls).then(|| Contradiction {
            variables: ["CACHE_CA_FILE", "CACHE_URL"],
            mistake: "means nothing without TLS: expected rediss:// or rediss+sentinel:// in \
                      CACHE_URL"
                .into(),
        })
    }

    /// The place of a drill in this cache: keys, or a directory, that no reader follows.
    #[must_use]
    pub fn of_drill(mut self) -> Self {
        match &mut self {
            Self::File(directory) => directory.push(DRILL),
            Self::Redis(url) => url.is_drill = true,
        }
        self
    }

    /// Adds the file to read the URL from again when Redis refuses its user or password.
    #[must_use]
    pub fn from_file(mut self, file: Option<PathBuf>) -> Self {
        if let Self::Redis(url) = &mut self {
            url.file = file;
        }
        self
    }

    /// Adds the authorities to verify the servers' certificates against.
    #[must_use]
    pub fn trusting(mut self, authorities: Option<Authorities>) -> Self {
        if let Self::Redis(url) = &mut self {
            url.authorities = authorities;
        }
        self
    }
}

impl Default for CacheUrl {
    fn default() -> Self {
        Self::File("data".into())
    }
}

impl FromStr for CacheUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("file:") {
            return directory(path).map(Self::File);
        }
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let (tls, sentinel) = match scheme {
            "redis" => (false, false),
            "rediss" => (true, false),
            "redis+sentinel" => (false, true),
            "rediss+sentinel" => (true, true),
            _ => {
                return Err("expected file:DIRECTORY, redis://HOST[:PORT] or \
                     redis+sentinel://HOST[:PORT]/NAME; with TLS, rediss:// or rediss+sentinel://");
            }
        };
        let mut url = redis(rest, sentinel)?;
        url.tls = tls;
        Ok(Self::Redis(url))
    }
}

impl TryFrom<String> for CacheUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.parse()? {
            Self::File(path) if path.is_file() => Err("expected a directory, this is a file"),
            url => Ok(url),
        }
    }
}

/// Reads the part after `file:`, a path. Expands and decodes nothing in it.
fn directory(text: &str) -> Result<PathBuf, &'static str> {
    let path = match text.strip_prefix("//") {
        Some(path) if !path.starts_with('/') => {
            return Err("expected file:DIRECTORY, or three slashes: file:///DIRECTORY");
        }
        Some(path) => path,
        None => text,
    };
    let is_encoded = path.split('%').skip(1).any(|after| {
        let mut digits = after.chars();
        (digits.by_ref().take(2).filter(char::is_ascii_hexdigit)).count() == 2
    });
    if path.is_empty() || path.len() > MAX_PATH {
        Err("expected a directory after file:, in at most 4095 bytes")
    } else if path.starts_with(['~', '$']) {
        Err("expected a directory written out: ~ and $ are not expanded")
    } else if is_encoded {
        Err("expected a directory as it is, not percent-encoded")
    } else {
        Ok(path.into())
    }
}

/// Reads the part after the scheme.
fn redis(text: &str, sentinel: bool) -> Result<RedisUrl, &'static str> {
    // Some drivers understand `#insecure` as permission to verify nothing.
    if text.contains('#') {
        return Err("nothing may follow a #; in a password it is written %23");
    }
    let (text, query) = cut(text, '?');
    let (authority, path) = cut(text, '/');
    let path = path.unwrap_or_default();
    let (credentials, hosts) = match authority.rsplit_once('@') {
        Some((credentials, hosts)) => (Some(credentials), hosts),
        None => (None, authority),
    };
    let (user, password) = credentials.map_or(Ok((None, None)), user_and_password)?;
    let (mut sentinel_user, mut sentinel_password) = (None, None);
    let (master, database) = if sentinel {
        // An @ here shows that a password contains a slash.
        if path.is_empty() || path.contains(['/', '@']) {
            return Err(
                "expected /MASTER_NAME after the sentinels; in a password / is written %2F",
            );
        }
        let mut database = "";
        for setting in query.into_iter().flat_map(|query| query.split('&')) {
            match setting.split_once('=') {
                Some(("db", number)) => database = number,
                Some(("sentinel_user", user)) => sentinel_user = Some(decoded(user)?),
                Some(("sentinel_password", password)) => {
                    sentinel_password = Some(decoded(password)?);
                }
                _ => {
                    return Err("expected db=DATABASE, sentinel_user=USER or \
                                sentinel_password=PASSWORD after the ?, with & between");
                }
            }
        }
        let is_empty = |text: &Option<String>| text.as_ref().is_none_or(String::is_empty);
        if sentinel_password.as_ref().is_some_and(String::is_empty)
            || sentinel_user.is_some() && is_empty(&sentinel_password)
        {
            return Err("expected a password in sentinel_password=PASSWORD");
        }
        (Some(decoded(path)?), database)
    } else {
        if query.is_some() {
            return Err("nothing may follow a ?; in a password it is written %3F");
        }
        (None, path)
    };
    Ok(RedisUrl {
        hosts: hosts_and_ports(hosts, if sentinel { SENTINEL_PORT } else { REDIS_PORT })?,
        master,
        user,
        password,
        sentinel_user,
        sentinel_password,
        database: match database {
            "" => 0,
            number => number
                .parse()
                .map_err(|_| "expected a number for the database")?,
        },
        tls: false,
        authorities: None,
        file: None,
        is_drill: false,
    })
}

fn user_and_password(text: &str) -> Result<(Option<String>, Option<String>), &'static str> {
    match cut(text, ':') {
        (user, Some(password)) if !password.is_empty() => {
            let user = decoded(user)?;
            Ok((
                Some(user).filter(|user| !user.is_empty()),
                Some(decoded(password)?),
            ))
        }
        _ => Err("expected USER:PASSWORD or :PASSWORD before the @"),
    }
}

fn hosts_and_ports(text: &str, default_port: u16) -> Result<Vec<(String, u16)>, &'static str> {
    let hosts: Option<Vec<_>> = text
        .split(',')
        .map(|text| host_and_port(text, default_port))
        .collect();
    hosts
        .filter(|hosts| hosts.len() <= MOST_HOSTS)
        .ok_or("expected HOST[:PORT], or a few of them with commas between")
}

/// `None` for anything but `HOST` or `HOST:PORT`; a host may be an IPv6 address in brackets.
pub(super) fn host_and_port(text: &str, default_port: u16) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, default_port),
    };
    if port == 0 || host.len() > MAX_HOST {
        return None;
    }
    let host = match Host::parse(host).ok()? {
        Host::Ipv6(address) => address.to_string(),
        host => host.to_string(),
    };
    Some((host, port))
}

fn decoded(text: &str) -> Result<String, &'static str> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err("expected UTF-8 in what is percent-encoded"),
    }
}

/// Splits the text at the first separator: the part before it, and the part after it if any.
fn cut(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// Without credentials, so that it can be logged.
impl fmt::Display for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(directory) => write!(f, "file:{}", directory.display()),
            Self::Redis(url) => url.fmt(f),
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { "s" } else { "" };
        let sentinel = self.master.as_ref().map_or("", |_| "+sentinel");
        write!(f, "redis{tls}{sentinel}://")?;
        for (nth, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            if host.contains(':') {
                write!(f, "{comma}[{host}]:{port}")?;
            } else {
                write!(f, "{comma}{host}:{port}")?;
            }
        }
        match (&self.master, self.database) {
            (None, 0) => Ok(()),
            (None, database) => write!(f, "/{database}"),
            (Some(master), 0) => write!(f, "/{master}"),
            (Some(master), database) => write!(f, "/{master}?db={database}"),
        }
    }
}

impl fmt::Debug for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<CacheUrl>().unwrap().to_string()
    }

    #[test]
    fn a_url_is_shown_complete_but_for_its_credentials() {
        for (text, expected) in [
            ("redis://cache", "redis://cache:6379"),
            ("redis://poller:s3cret@cache:7/2", "redis://cache:7/2"),
            ("redis://:s3cret@[::1]/", "redis://[::1]:6379"),
            ("rediss://u:s3cret@a,b:7", "rediss://a:6379,b:7"),
            (
                "redis+sentinel://u:s3cret@a,b:7/main",
                "redis+sentinel://a:26379,b:7/main",
            ),
            (
                "rediss+sentinel://a/main?db=3",
                "rediss+sentinel://a:26379/main?db=3",
            ),
        ] {
            assert_eq!(shown(text), expected);
            assert_eq!(format!("{:?}", text.parse::<CacheUrl>().unwrap()), expected);
        }
    }

    #[test]
    fn credentials_are_decoded() {
        let CacheUrl::Redis(url) = "redis://po%40ller:s%23c%3Ar%2Fet@cache".parse().unwrap() else {
            panic!("a URL of Redis");
        };
        assert_eq!(url.user.as_deref(), Some("po@ller"));
        assert_eq!(url.password.as_deref(), Some("s#c:r/et"));
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_being_repeated() {
        for text in [
            "http://poller:s3cret@cache",
            "redis://",
            "redis://poller:s3cret@",
            "redis://s3cret@cache",
            "redis://poller:@cache",
            "redis://poller:s3cret@cache:port",
            "redis://poller:s3cret@cache,",
            "redis://poller:s3cret@cache/db",
            "redis://poller:s3cret@cache?protocol=resp3",
            "rediss://poller:s3cret@cache#insecure",
            "redis+sentinel://poller:s3cret@cache",
            "redis+sentinel://poller:s3cret@cache/main/2",
            "redis+sentinel://poller:12/s3cret@cache",
            "redis://poller:12/s3cret@cache",
            "redis://poller:s3cret@cache:0",
            "redis://poller:s3cret@cache, other",
            &format!("redis://poller:s3cret@{}", "cache".repeat(MAX_HOST)),
            "redis+sentinel://poller:s3cret@cache/main?database=2",
            "s3cret",
        ] {
            let error = text.parse::<CacheUrl>().expect_err(text);
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_directory_can_be_written_in_three_ways() {
        for (text, directory) in [
            ("file:data", "data"),
            ("file:/var/lib/g", "/var/lib/g"),
            ("file:///srv", "/srv"),
        ] {
            assert_eq!(text.parse(), Ok(CacheUrl::File(directory.into())));
        }
        for text in [
            "file:",
            "file://",
            "file://var/lib/g",
            &format!("file:{}", "d".repeat(MAX_PATH + 1)),
            "file:~/data",
            "file:$HOME/data",
            "file:///my%20data",
        ] {
            let error = text.parse::<CacheUrl>().expect_err(text);
            assert!(error.starts_with("expected "), "{error}");
        }
        let percent = "file:100% g".parse();
        assert_eq!(percent, Ok(CacheUrl::File("100% g".into())));
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = CacheUrl::try_from(format!("file:{}", file.path().display())).unwrap_err();
        assert_eq!(error, "expected a directory, this is a file");
    }
}
