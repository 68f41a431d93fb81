//! One table of all variables: the values that each accepts and refuses; there is no other
//! variable.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::process::Command;

use testkit::process::binaries;

/// Nearly the longest value that Linux passes to a program.
const HUGE: usize = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Program {
    Poller,
    Server,
}

use Program::{Poller, Server};

struct Row {
    programs: &'static [Program],
    name: &'static str,
    /// A value that is not the default.
    good: &'static str,
    /// Other accepted values, each with an equal one.
    same: &'static [(&'static str, &'static str)],
    /// Values of the wrong type, zeros, and values that once meant something else.
    refused: &'static [&'static str],
    /// The text of every refusal.
    expected: &'static str,
}

const BOTH: &[Program] = &[Poller, Server];

const TABLE: &[Row] = &[
    Row {
        programs: &[Poller],
        name: "GHIBLI_API",
        good: "https://ghibli.example/api",
        same: &[("http://127.0.0.1:8000/", "http://127.0.0.1:8000")],
        refused: &[
            "0",
            "7",
            "true",
            "ghibli.example",
            "http://host/#tag/Films",
            "http://host?limit=1",
            "https://ghibliapi.vercel.app/films",
            "ftp://host",
            "https://",
        ],
        expected: "expected http://HOST[:PORT] or https://HOST[:PORT]",
    },
    Row {
        programs: BOTH,
        name: "CACHE_URL",
        good: "redis://user:pass@cache:7/2",
        same: &[
            ("redis://cache", "redis://cache:6379/0"),
            ("rediss://a,b:7", "rediss://a:6379,b:7"),
            (
                "redis+sentinel://a/main",
                "redis+sentinel://a:26379/main?db=0",
            ),
            ("file:///srv", "file:/srv"),
        ],
        refused: &[
            "0",
            "7",
            "data",
            "http://cache",
            "file:",
            "file://srv",
            "file:~/data",
            "file:/etc/passwd",
            "redis://cache:0",
            "redis://cache/zero",
            "redis+sentinel://cache",
        ],
        expected: "expected ",
    },
    Row {
        programs: BOTH,
        name: "CACHE_CA_FILE",
        // The test writes this file.
        good: "authority.pem",
        same: &[],
        refused: &["0", "7", "/nonexistent", "/", "/dev/null", "/etc/passwd"],
        expected: " the file",
    },
    Row {
        programs: &[Poller],
        name: "POLL_SCHEDULE",
        good: "*/5 * * * * *",
        same: &[
            ("0 0 0 1 1 *", "0 0 0 1 1 *"),
            ("0 0 0 29 2 *", "0 0 0 29 2 *"),
        ],
        refused: &[
            "0",
            "7",
            "hourly",
            "* * * * *",
            "0 0 0 30 2 *",
            "60 * * * * *",
        ],
        expected: "expected six fields",
    },
    Row {
        programs: &[Poller],
        name: "UPSTREAM_TIMEOUT",
        good: "3s",
        same: &[("30s", "30000ms"), ("10ms", "10ms")],
        refused: &[
            "0",
            "0s",
            "7",
            "soon",
            "1ns",
            "-1s",
            "31s",
            "1h",
            "10000years",
        ],
        expected: "expected a time such as 10s, from 10ms to 30s",
    },
    Row {
        programs: &[Server],
        name: "LISTEN_ADDR",
        good: "127.0.0.1:81",
        same: &[
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("[::1]:81", "[0:0:0:0:0:0:0:1]:81"),
        ],
        refused: &[
            "0",
            "8080",
            ":8080",
            "localhost:8080",
            "127.0.0.1",
            "1.2.3.4:65536",
        ],
        expected: "expected IP:PORT",
    },
    Row {
        programs: BOTH,
        name: "ADMIN_ADDR",
        good: "127.0.0.1:2",
        same: &[("127.0.0.1:0", "127.0.0.1:0")],
        refused: &[
            "0",
            "9090",
            ":9090",
            "localhost:9090",
            "127.0.0.1",
            "nine thousand",
        ],
        expected: "expected IP:PORT",
    },
    Row {
        programs: &[Server],
        name: "PUBLIC_URL",
        good: "https://ghibli.example/films",
        same: &[("http://127.0.0.1:8000/", "http://127.0.0.1:8000")],
        refused: &[
            "0",
            "7",
            "mirror",
            "http://host/?q",
            "http://host/#x",
            "ftp://host",
        ],
        expected: "expected http://HOST[:PORT] or https://HOST[:PORT]",
    },
    Row {
        programs: &[Server],
        name: "PUBLIC_PORT",
        good: "8000",
        same: &[("080", "80")],
        refused: &["0", "true", "65536", "-1", ":80", "80.5"],
        expected: "expected a port, a number from 1 to 65535",
    },
    Row {
        programs: &[Server],
        name: "LINKS",
        good: "upstream",
        same: &[],
        refused: &["0", "7", "true", "mirror", "upstream,self"],
        expected: "expected `self` or `upstream`",
    },
    Row {
        programs: &[Server],
        name: "CACHE_CONTROL",
        good: "public, max-age=60",
        same: &[],
        refused: &[
            "0",
            "60",
            "true",
            "no_cache",
            "max-age",
            "max-age=1h",
            "public; max-age=60",
        ],
        expected: "expected a Cache-Control header such as `public, max-age=60`",
    },
    Row {
        programs: &[Server],
        name: "POSTERS",
        good: "off",
        same: &[],
        refused: &["true", "false", "0", "none", "On"],
        expected: "`on` or `off`",
    },
    Row {
        programs: &[Server],
        name: "SERVER_TIMING",
        good: "true",
        same: &[],
        refused: &["0", "1", "yes", "on"],
        expected: "`true` or `false`",
    },
    Row {
        programs: &[Poller],
        name: "HEARTBEAT_URL",
        good: "https://hc.example/ping/one",
        same: &[("HTTP://hc.example:80/a", "http://hc.example/a")],
        refused: &[
            "0",
            "7",
            "true",
            "hc.example/ping",
            "ftp://host",
            "https://",
            "http:host",
        ],
        expected: "expected a whole URL: http://HOST[:PORT]/PATH or https://",
    },
    Row {
        programs: &[Poller],
        name: "WEBHOOK_URLS",
        good: "https://chat.example/one,http://127.0.0.1:8000/two",
        same: &[(
            "HTTP://a.example:80/a, http://b.example",
            "http://a.example/a,http://b.example/",
        )],
        refused: &["0", "true", "chat.example", "https://a.example,b"],
        expected: "expected a whole URL: http://HOST[:PORT]/PATH or https://",
    },
    Row {
        programs: &[Poller],
        name: "WEBHOOK_SECRET",
        good: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        same: &[],
        refused: &[
            "0",
            "true",
            "whsec_",
            "whsec_c2hvcnQ=",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ],
        expected: "expected whsec_ and the Base64 of 24 to 64 random bytes",
    },
    Row {
        programs: BOTH,
        name: "LOG_FORMAT",
        good: "text",
        same: &[],
        refused: &["0", "7", "true", "xml", "json,text"],
        expected: "expected `json` or `text`",
    },
    Row {
        programs: BOTH,
        name: "LOG_LEVEL",
        good: "warn",
        same: &[
            ("Debug", "debug"),
            ("info, poller = debug", "info,poller=debug"),
            ("off", "OFF"),
        ],
        refused: &[
            "0",
            "3",
            "true",
            "warning",
            "verbose",
            "info;debug",
            "poler=debug",
            "info,",
        ],
        expected: "expected one of off, error, warn, info, debug, trace",
    },
];

/// The configuration from an environment, or its mistakes.
fn load(program: Program, environment: &[(OsString, OsString)]) -> Result<String, String> {
    let environment = environment.iter().cloned();
    match program {
        Poller => poller::config::PollerConfig::load(environment)
            .map(|config| format!("{config:?}"))
            .map_err(|mistakes| mistakes.to_string()),
        Server => server::config::ServerConfig::load(environment)
            .map(|config| format!("{config:?}"))
            .map_err(|mistakes| mistakes.to_string()),
    }
}

/// Runs the health check, which first reads the whole configuration. Nothing listens on port 1.
fn start(program: Program, environment: &[(OsString, OsString)]) -> (bool, String) {
    let binaries = binaries();
    let path = match program {
        Poller => binaries.poller,
        Server => binaries.server,
    };
    let output = Command::new(path)
        .arg("health")
        .env_clear()
        .env("ADMIN_ADDR", "127.0.0.1:1")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let is_refused = output.status.code() == Some(64);
    assert!(is_refused || output.status.code() == Some(1), "{output:?}");
    (is_refused, String::from_utf8(output.stderr).unwrap())
}

impl Row {
    fn environment(&self, value: impl AsRef<OsStr>) -> Vec<(OsString, OsString)> {
        let mut environment = vec![(self.name.into(), value.as_ref().into())];
        if self.name == "CACHE_CA_FILE" {
            environment.push(("CACHE_URL".into(), "rediss://cache".into()));
        }
        if self.name == "WEBHOOK_URLS" {
            let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
            environment.push(("WEBHOOK_SECRET".into(), secret.into()));
        }
        environment
    }

    fn is_taken_as(&self, program: Program, value: &str, same: &str) {
        let name = self.name;
        let meaning = load(program, &self.environment(value));
        let expected = load(program, &self.environment(same));
        assert_eq!(meaning, expected, "{name}={value:?}");
        assert!(meaning.is_ok(), "{name}={value:?}: {meaning:?}");
        let (is_refused, refusal) = start(program, &self.environment(value));
        assert!(!is_refused, "{name}={value:?}: {refusal}");
    }

    fn is_refused(&self, program: Program, value: impl AsRef<OsStr>, expected: &str) {
        let (value, name) = (value.as_ref(), self.name);
        let (is_refused, refusal) = start(program, &self.environment(value));
        let shown: String = value.to_string_lossy().chars().take(100).collect();
        assert!(is_refused, "{program:?} takes {name}={shown:?}: {refusal}");
        assert!(
            refusal.contains(&format!("\n  {name}: ")),
            "{shown}: {refusal}"
        );
        assert!(refusal.contains(expected), "{shown}: {refusal}");
        assert!(
            refusal.len() < 1000,
            "{name}={shown:?}: {} bytes",
            refusal.len()
        );
        assert!(
            !refusal.contains(|c: char| c.is_control() && c != '\n'),
            "{refusal:?}"
        );
    }

    fn hold(&self, program: Program, good: &str) {
        self.is_taken_as(program, "", " ");
        let unset = load(program, &self.environment(""));
        let set = load(program, &self.environment(good));
        assert_ne!(unset, set, "{} does nothing", self.name);

        for written in [
            format!("  {good}\t"),
            format!("{good}\r"),
            format!("{good}\r\n"),
            format!("\u{feff}{good}"),
            format!("\u{feff} {good} \r\n"),
        ] {
            self.is_taken_as(program, &written, good);
        }
        for (value, same) in self.same {
            self.is_taken_as(program, value, same);
        }
        for value in self.refused {
            self.is_refused(program, value, self.expected);
        }
        for quote in ["\"", "'"] {
            let quoted = format!("{quote}{good}{quote}");
            self.is_refused(program, quoted, "leave them out");
        }
        self.is_refused(
            program,
            format!("{good}\u{1b}[31m{good}"),
            "control character U+001B",
        );
        self.is_refused(
            program,
            format!("{good}\n{good}"),
            "control character U+000A",
        );
        let not_text = OsString::from_vec([good.as_bytes(), b"\xff"].concat());
        self.is_refused(program, not_text, "is not UTF-8");
        for huge in ["x", "0", good] {
            let huge = huge.repeat(HUGE / huge.len());
            self.is_refused(program, &huge, "is longer than 8192 bytes");
            // The longest value that the program checks.
            self.is_refused(program, &huge[..8192], "");
        }
    }
}

#[test]
fn every_variable_is_taken_as_the_table_says_or_refused_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = testkit::redis::Certificates::make();
    let authority = directory.path().join("authority.pem");
    std::fs::copy(certificates.authority(), &authority).unwrap();
    let authority = authority.to_str().unwrap();
    binaries();

    std::thread::scope(|scope| {
        for row in TABLE {
            for program in row.programs {
                let good = match row.name {
                    "CACHE_CA_FILE" => authority,
                    _ => row.good,
                };
                scope.spawn(move || row.hold(*program, good));
            }
        }
    });
}

#[test]
fn every_variable_stands_in_the_table_above() {
    let tested: BTreeSet<_> = TABLE
        .iter()
        .flat_map(|row| row.programs.iter().map(|program| (*program, row.name)))
        .collect();
    let of_poller = poller::config::VARIABLES.iter().map(|it| (Poller, it.name));
    let of_server = server::config::VARIABLES.iter().map(|it| (Server, it.name));
    assert_eq!(tested, of_poller.chain(of_server).collect());
}

/// Many terminals have eighty columns.
#[test]
fn help_has_every_variable_within_eighty_columns() {
    for table in [poller::config::VARIABLES, server::config::VARIABLES] {
        let help = shared::service::config::help(table);
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for variable in table {
            assert!(help.contains(&format!("\n  {} ", variable.name)), "{help}");
            let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(variable.help), "{help}");
        }
    }
}
