//! Configuration from the environment, into one typed struct per process.
//!
//! Every mistake is reported in one go, by the variable's name; a value that cannot be read is
//! never silently replaced by a default, and a secret's value never appears in a message.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fmt::Write as _;

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use url::Url;

/// The exit status for unusable configuration: `EX_USAGE` of BSD's `sysexits.h`.
pub const EXIT_USAGE: u8 = 64;

/// The largest file that a `*_FILE` variable may name, in bytes.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// One variable that a process reads.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// The variable's name in the environment; the field has the same name in lower case.
    pub name: &'static str,
    /// What holds when it is not set, as a person would write it.
    pub default: &'static str,
    /// What it is for, in a line.
    pub help: &'static str,
    /// Whether its value must not be shown, and may be read from the file named by `NAME_FILE`.
    pub secret: bool,
}

/// Everything that is wrong with the environment, a line each.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unusable configuration:")?;
        self.0
            .iter()
            .try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

/// Reads the variables of a table from an environment. An empty variable counts as not set.
///
/// # Errors
/// [`Mistakes`], all of them.
pub fn load<T: DeserializeOwned>(
    table: &[Variable],
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<T, Mistakes> {
    let environment: BTreeMap<_, _> = environment
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let mut mistakes = Vec::new();
    let mut values = BTreeMap::new();
    for variable in table {
        match text_of(variable, &environment) {
            Ok(Some(text)) => _ = values.insert(variable.name.to_owned(), text),
            Ok(None) => {}
            Err(mistake) => mistakes.push(format!("{}: {mistake}", variable.name)),
        }
    }
    // Serde stops at the first mistake. Each that can be pinned on a variable is noted and that
    // variable left out, until what remains can be read.
    loop {
        match envy::from_iter::<_, Named<T>>(values.clone()) {
            Ok(Named(Ok(config))) if mistakes.is_empty() => return Ok(config),
            Ok(Named(Ok(_))) => return Err(Mistakes(mistakes)),
            Ok(Named(Err((field, mistake)))) => {
                let name = field.to_uppercase();
                mistakes.push(format!("{name}: {mistake}"));
                if values.remove(&name).is_none() {
                    return Err(Mistakes(mistakes));
                }
            }
            Err(error) => {
                mistakes.push(error.to_string());
                return Err(Mistakes(mistakes));
            }
        }
    }
}

/// A value, or the name of the field that spoilt it and how.
struct Named<T>(Result<T, (String, String)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(
            serde_path_to_error::deserialize(deserializer)
                .map_err(|error| (error.path().to_string(), error.into_inner().to_string())),
        ))
    }
}

fn text_of(
    variable: &Variable,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<Option<String>, String> {
    let direct = environment.get(&OsString::from(variable.name));
    let file_variable = format!("{}_FILE", variable.name);
    let file = environment
        .get(&OsString::from(&file_variable))
        .filter(|_| variable.secret);
    match (direct, file) {
        (Some(_), Some(_)) => Err(format!("set either this or {file_variable}, not both")),
        (Some(value), None) => value
            .to_str()
            .map(|text| Some(text.to_owned()))
            .ok_or("is not UTF-8".to_owned()),
        (None, Some(path)) => read_secret(path)
            .map(Some)
            .map_err(|error| format!("cannot read the file that {file_variable} names: {error}")),
        (None, None) => Ok(None),
    }
}

fn read_secret(path: &OsString) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(MAX_SECRET_BYTES)
        .read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

/// The table as `--help` shows it, for a terminal of 80 columns.
pub fn help(table: &[Variable]) -> String {
    let mut text = String::from("Environment variables:\n");
    for Variable {
        name,
        default,
        help,
        secret,
    } in table
    {
        let _ = write!(text, "  {name:<18} ");
        wrap(&mut text, help);
        let mut default = format!("default: {default}");
        if *secret {
            let _ = write!(
                default,
                "; or {name}_FILE names a file that holds the value"
            );
        }
        let _ = write!(text, "{:HELP_COLUMN$}", "");
        wrap(&mut text, &default);
    }
    text
}

/// Where the texts in `--help` begin, and where they end.
const HELP_COLUMN: usize = 21;
const HELP_END: usize = 80;

/// Adds words, in lines that end before [`HELP_END`]; the cursor stands at [`HELP_COLUMN`].
fn wrap(text: &mut String, words: &str) {
    let mut column = HELP_COLUMN;
    for word in words.split(' ') {
        let length = word.chars().count() + 1;
        if column > HELP_COLUMN && column + length > HELP_END {
            let _ = write!(text, "\n{:HELP_COLUMN$}", "");
            column = HELP_COLUMN;
        }
        if column > HELP_COLUMN {
            text.push(' ');
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}

/// An `http` or `https` URL that paths are appended to, kept without a trailing slash.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// The URL of a path below this one; `path` begins with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// The URL as it is used, with credentials if it has any.
    pub const fn url(&self) -> &Url {
        &self.0
    }
}

/// Without credentials.
impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        // Both fail only for URLs without a host, which cannot carry credentials.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        shown.set_fragment(None);
        f.write_str(shown.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for BaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.query().is_none() => {
                Ok(Self(url))
            }
            _ => Err("expected http://HOST[:PORT] or https://HOST[:PORT], without a query"),
        }
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::CacheUrl;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct Config {
        cache_url: CacheUrl,
        #[serde(with = "humantime_serde")]
        patience: std::time::Duration,
        readers: u8,
    }

    impl Default for Config {
        fn default() -> Self {
            let patience = std::time::Duration::from_secs(30);
            Self {
                cache_url: CacheUrl::default(),
                patience,
                readers: 1,
            }
        }
    }

    const TABLE: &[Variable] = &[
        Variable {
            name: "CACHE_URL",
            default: "file:data",
            help: "the cache",
            secret: true,
        },
        Variable {
            name: "PATIENCE",
            default: "30s",
            help: "how long to wait",
            secret: false,
        },
        Variable {
            name: "READERS",
            default: "1",
            help: "how many readers",
            secret: false,
        },
    ];

    fn load_from(pairs: &[(&str, &str)]) -> Result<Config, Mistakes> {
        load(
            TABLE,
            pairs
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        )
    }

    #[test]
    fn nothing_set_or_everything_empty_gives_the_defaults() {
        assert_eq!(load_from(&[]), Ok(Config::default()));
        assert_eq!(
            load_from(&[("PATIENCE", ""), ("READERS", "")]),
            Ok(Config::default())
        );
    }

    #[test]
    fn every_mistake_is_named_in_one_go() {
        let pairs = [
            ("PATIENCE", "soon"),
            ("READERS", "-1"),
            ("CACHE_URL", "http://u:s3cret@c"),
        ];
        let Mistakes(mistakes) = load_from(&pairs).unwrap_err();
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        for name in ["PATIENCE: ", "READERS: ", "CACHE_URL: "] {
            assert!(
                mistakes.iter().any(|mistake| mistake.starts_with(name)),
                "{mistakes:?}"
            );
        }
        assert!(!mistakes.concat().contains("s3cret"));
    }

    #[test]
    fn other_variables_are_not_even_looked_at() {
        use std::os::unix::ffi::OsStringExt;
        let alien = (OsString::from("ALIEN"), OsString::from_vec(vec![0xff]));
        assert_eq!(load(TABLE, [alien]), Ok(Config::default()));
        let ours = (OsString::from("READERS"), OsString::from_vec(vec![0xff]));
        let mistakes = load::<Config>(TABLE, [ours]).unwrap_err();
        assert_eq!(mistakes, Mistakes(vec!["READERS: is not UTF-8".into()]));
    }

    #[test]
    fn a_secret_may_come_from_a_file_but_not_from_both() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "redis://u:s3cret@cache\n").unwrap();
        let path = file.path().to_str().unwrap();
        let config = load_from(&[("CACHE_URL_FILE", path)]).unwrap();
        assert_eq!(config.cache_url, "redis://u:s3cret@cache".parse().unwrap());

        let both = load_from(&[("CACHE_URL_FILE", path), ("CACHE_URL", "file:x")]).unwrap_err();
        assert_eq!(
            both.0,
            ["CACHE_URL: set either this or CACHE_URL_FILE, not both"]
        );
        let missing = load_from(&[("CACHE_URL_FILE", "/nonexistent")]).unwrap_err();
        assert!(missing.0[0].contains("cannot read the file that CACHE_URL_FILE names"));
    }

    #[test]
    fn a_base_url_has_no_trailing_slash_and_shows_no_credentials() {
        let url: BaseUrl = "https://u:s3cret@ghibli.example/mirror/".parse().unwrap();
        assert_eq!(url.join("/films"), "https://ghibli.example/mirror/films");
        assert!("ftp://ghibli.example".parse::<BaseUrl>().is_err());
        assert!("ghibli.example".parse::<BaseUrl>().is_err());
    }
}
