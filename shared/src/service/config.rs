//! Configuration from the environment, into one typed struct per process.
//!
//! Reports every mistake at once, with the variable's name. Never replaces an unreadable value by a
//! default without a report, and never shows a secret's value.
//!
//! | part | owns |
//! |---|---|
//! | `value` | cleaning every value, and what no value may contain |
//! | [`BaseUrl`], [`address()`] | value types that several variables share |

mod address;
mod base_url;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fmt::Write as _;

use serde::de::{Deserialize, DeserializeOwned, Deserializer};

pub use address::{address, overlap};
pub use base_url::BaseUrl;
pub use value::{read_secret, secret_file};

use crate::service::terminal::wrapped;

/// The exit status for unusable configuration: `EX_USAGE` of BSD's `sysexits.h`.
pub const EXIT_USAGE: u8 = 64;

/// Where the list of variables begins in `--help`.
const INDENT: usize = 21;

/// One variable that a process reads.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// The variable's name in the environment; the field has the same name in lower case.
    pub name: &'static str,
    /// The default when it is not set, as a person would write it.
    pub default: &'static str,
    /// Its purpose, in one line.
    pub help: &'static str,
    /// Whether its value is secret; then the file named by `NAME_FILE` may hold it.
    pub secret: bool,
}

impl Variable {
    /// A variable whose value everybody may see.
    pub const fn new(name: &'static str, default: &'static str, help: &'static str) -> Self {
        Self {
            name,
            default,
            help,
            secret: false,
        }
    }

    /// A variable whose value is secret.
    pub const fn secret(name: &'static str, default: &'static str, help: &'static str) -> Self {
        Self {
            secret: true,
            ..Self::new(name, default, help)
        }
    }
}

/// All mistakes in the environment, one line each.
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

/// Two variables that are each valid, but not together.
#[derive(Debug)]
pub struct Contradiction {
    /// The variables; the operator should change the first one.
    pub variables: [&'static str; 2],
    /// What is wrong, and what is right.
    pub mistake: String,
}

/// Reads the variables of a table from an environment. An empty or blank variable counts as not
/// set. `contradictions` checks all of them together.
///
/// # Errors
/// [`Mistakes`], with every mistake.
pub fn load<T: DeserializeOwned>(
    table: &[Variable],
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    contradictions: impl FnOnce(&T) -> Vec<Contradiction>,
) -> Result<T, Mistakes> {
    let environment: BTreeMap<_, _> = environment.into_iter().collect();
    let mut mistakes = Vec::new();
    let mut values = BTreeMap::new();
    for variable in table {
        match value::text_of(variable, &environment) {
            Ok(Some(text)) => _ = values.insert(variable.name.to_owned(), text),
            Ok(None) => {}
            Err(mistake) => mistakes.push((variable.name.to_owned(), mistake)),
        }
    }
    // Serde stops at the first mistake. So note each mistake, leave out its variable, and try again
    // until the rest can be read.
    let config = loop {
        match envy::from_iter::<_, Named<T>>(values.clone()) {
            Ok(Named(Ok(config))) => break Some(config),
            Ok(Named(Err((field, mistake)))) => {
                let name = field.to_uppercase();
                mistakes.push((name.clone(), mistake));
                if values.remove(&name).is_none() {
                    break None;
                }
            }
            Err(error) => {
                mistakes.push(("environment".into(), error.to_string()));
                break None;
            }
        }
    };
    for Contradiction { variables, mistake } in
        config.as_ref().map_or_else(Vec::new, contradictions)
    {
        // An unreadable variable has its default here, which the operator did not set.
        let is_wrong = |name: &&str| mistakes.iter().any(|(wrong, _)| wrong == *name);
        if !variables.iter().any(is_wrong) {
            mistakes.push((variables[0].to_owned(), mistake));
        }
    }
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => Err(Mistakes(
            mistakes
                .iter()
                .map(|(name, mistake)| format!("{name}: {}", value::bounded(mistake)))
                .collect(),
        )),
    }
}

/// A value, or the name of the invalid field and the mistake.
struct Named<T>(Result<T, (String, String)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(
            serde_path_to_error::deserialize(deserializer)
                .map_err(|error| (error.path().to_string(), error.into_inner().to_string())),
        ))
    }
}

/// The table as `--help` shows it.
pub fn help(table: &[Variable]) -> String {
    let mut text = String::from(
        "Environment variables (one that is empty counts as not set; blanks and line ends\n\
         around a value are cut off):\n",
    );
    for Variable {
        name,
        default,
        help,
        secret,
    } in table
    {
        let mut explanation = format!("{help}. Default: {default}");
        if *secret {
            let _ = write!(
                explanation,
                ". Or {name}_FILE names a file that holds the value"
            );
        }
        let line = format!("  {name:<0$} {explanation}", INDENT - 3);
        let _ = writeln!(text, "{}", wrapped(&line, INDENT));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::CacheUrl;
    use crate::service::terminal::WIDTH;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct Config {
        cache_url: CacheUrl,
        #[serde(with = "humantime_serde")]
        timeout: std::time::Duration,
        readers: u8,
    }

    impl Default for Config {
        fn default() -> Self {
            let timeout = std::time::Duration::from_secs(30);
            Self {
                cache_url: CacheUrl::default(),
                timeout,
                readers: 1,
            }
        }
    }

    const TABLE: &[Variable] = &[
        Variable::secret("CACHE_URL", "file:data", "the cache"),
        Variable::new("TIMEOUT", "30s", "how long to wait"),
        Variable::new("READERS", "1", "how many readers"),
    ];

    fn load_from(pairs: &[(&str, &str)]) -> Result<Config, Mistakes> {
        let pairs = pairs.iter();
        load(
            TABLE,
            pairs.map(|(name, value)| (name.into(), value.into())),
            contradictions,
        )
    }

    fn contradictions(config: &Config) -> Vec<Contradiction> {
        let is_wrong = config.timeout.is_zero() && config.readers == 1;
        let contradiction = Contradiction {
            variables: ["TIMEOUT", "READERS"],
            mistake: "expected timeout with one reader".into(),
        };
        is_wrong.then_some(contradiction).into_iter().collect()
    }

    #[test]
    fn nothing_set_or_everything_empty_gives_the_defaults() {
        assert_eq!(load_from(&[]), Ok(Config::default()));
        assert_eq!(
            load_from(&[("TIMEOUT", ""), ("READERS", " \r")]),
            Ok(Config::default())
        );
    }

    #[test]
    fn every_mistake_is_named_in_one_go() {
        let pairs = [
            ("TIMEOUT", "soon"),
            ("READERS", "-1"),
            ("CACHE_URL", "http://u:s3cret@c"),
        ];
        let Mistakes(mistakes) = load_from(&pairs).unwrap_err();
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        for name in ["TIMEOUT: ", "READERS: ", "CACHE_URL: "] {
            assert!(
                mistakes.iter().any(|mistake| mistake.starts_with(name)),
                "{mistakes:?}"
            );
        }
        assert!(!mistakes.concat().contains("s3cret"));
    }

    #[test]
    fn a_contradiction_is_reported_unless_one_of_its_variables_is_wrong_alone() {
        let zero = ("TIMEOUT", "0s");
        let refusal = |pairs: &[_]| load_from(pairs).unwrap_err().0;
        assert_eq!(
            refusal(&[zero]),
            ["TIMEOUT: expected timeout with one reader"]
        );
        let refusal = refusal(&[zero, ("READERS", "many")]);
        assert!(
            refusal.len() == 1 && refusal[0].starts_with("READERS: "),
            "{refusal:?}"
        );
        assert!(load_from(&[zero, ("READERS", "2")]).is_ok());
    }

    #[test]
    fn help_fits_a_terminal_and_breaks_between_words() {
        let help = help(TABLE);
        assert!(
            help.lines().all(|line| line.chars().count() <= WIDTH),
            "{help}"
        );
        assert!(
            help.contains("\n  CACHE_URL          the cache. Default: file:data. Or"),
            "{help}"
        );
    }

    #[test]
    fn other_variables_are_not_even_looked_at() {
        use std::os::unix::ffi::OsStringExt;
        let alien = (OsString::from("ALIEN"), OsString::from_vec(vec![0xff]));
        assert_eq!(load(TABLE, [alien], contradictions), Ok(Config::default()));
        let ours = (OsString::from("READERS"), OsString::from_vec(vec![0xff]));
        let mistakes = load(TABLE, [ours], contradictions).unwrap_err();
        assert_eq!(mistakes, Mistakes(vec!["READERS: is not UTF-8".into()]));
    }

    #[test]
    fn a_secret_may_come_from_a_file_but_not_from_both() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        for written in [
            "redis://u:s3cret@cache\n",
            "\u{feff}redis://u:s3cret@cache\r\n",
            " redis://u:s3cret@cache",
        ] {
            std::fs::write(file.path(), written).unwrap();
            let config = load_from(&[("CACHE_URL_FILE", path)]).unwrap();
            assert_eq!(config.cache_url, "redis://u:s3cret@cache".parse().unwrap());
        }
        for (written, mistake) in [
            ("", "is empty"),
            ("\r\n", "is empty"),
            ("\"redis://u:s3cret@cache\"", "has quotes around it"),
            ("redis://u:s3cret@cache\nand", "has the control character"),
            (&"s3cret".repeat(200_000), "is longer than 8192 bytes"),
        ] {
            std::fs::write(file.path(), written).unwrap();
            let refusal = load_from(&[("CACHE_URL_FILE", path)])
                .unwrap_err()
                .0
                .concat();
            let expected = format!("CACHE_URL: the file that CACHE_URL_FILE names {mistake}");
            assert!(
                refusal.starts_with(&expected) && !refusal.contains("s3cret"),
                "{refusal}"
            );
        }

        let both = load_from(&[("CACHE_URL_FILE", path), ("CACHE_URL", "file:x")]).unwrap_err();
        assert_eq!(
            both.0,
            ["CACHE_URL: set either this or CACHE_URL_FILE, not both"]
        );
        let missing = load_from(&[("CACHE_URL_FILE", "/nonexistent")]).unwrap_err();
        assert!(missing.0[0].contains("the file that CACHE_URL_FILE names cannot be read"));
    }
}
