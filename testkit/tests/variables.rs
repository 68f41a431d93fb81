//! Every variable that the programs read can be set in compose, and the README and `.env.example`
//! have it with the same default.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use shared::service::config::Variable;

const COMPOSE: &str = include_str!("../../docker-compose.yml");
const EXAMPLE: &str = include_str!("../../.env.example");
const README: &str = include_str!("../../README.md");

/// What the stack fixes, and nobody can set: its own addresses, and its own cache.
const FIXED: [&str; 5] = [
    "CACHE_URL",
    "CACHE_CA_FILE",
    "LISTEN_ADDR",
    "ADMIN_ADDR",
    "PUBLIC_PORT",
];

/// With these, the poller's HTTP client finds its way.
const PROXIES: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// The variables of a service, with their values as the file has them.
fn environment(service: &str) -> BTreeMap<&'static str, &'static str> {
    let after = format!("\n  {service}:\n");
    let (_, service) = COMPOSE.split_once(&after).unwrap();
    let ours = service
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    let inside = ours
        .skip_while(|line| *line != "    environment:")
        .skip(1)
        .take_while(|line| line.starts_with("      "));
    let pairs = inside.filter_map(|line| line.trim().split_once(':'));
    pairs
        .filter(|(name, _)| !name.starts_with('#'))
        .map(|(name, value)| (name, value.trim()))
        .collect()
}

/// The variables of `.env.example`, with their values.
fn example() -> BTreeMap<&'static str, &'static str> {
    let line = Regex::new("(?m)^#([A-Za-z_]+)=(.*)$").unwrap();
    let found = line.captures_iter(EXAMPLE);
    let pairs = found
        .map(|it| it.extract().1)
        .map(|[name, value]| (name, value));
    pairs.collect()
}

#[track_caller]
fn assert_settable(service: &str, table: &[Variable]) {
    let (passed, example) = (environment(service), example());
    for Variable { name, default, .. } in table {
        if FIXED.contains(name) {
            continue;
        }
        let through = format!("${{{name}:-}}");
        assert_eq!(
            passed.get(name),
            Some(&&*through),
            "{service} in docker-compose.yml"
        );
        let shown = example.get(name);
        let shown = shown.unwrap_or_else(|| panic!("{name} is not in .env.example"));
        assert!(shown == default || shown.is_empty(), "{name}={shown}");
    }
    for name in passed.keys() {
        let is_known = table
            .iter()
            .any(|known| known.name == name.trim_end_matches("_FILE"));
        assert!(
            is_known || PROXIES.contains(name),
            "{service} reads no {name}"
        );
    }
}

#[test]
fn every_variable_reaches_its_process() {
    assert_settable("poller", poller::config::VARIABLES);
    assert_settable("server", server::config::VARIABLES);
    let poller = environment("poller");
    for name in PROXIES {
        assert_eq!(poller.get(name), Some(&""), "{name}");
    }
    // The fallback reads the same table, and uses only these of it.
    let fallback = environment("fallback");
    assert!(
        fallback.keys().eq(["LOG_FORMAT", "LOG_LEVEL"].iter()),
        "{fallback:?}"
    );
}

#[test]
fn the_readme_lists_every_variable_with_its_default() {
    for (program, table) in [
        ("poller", poller::config::VARIABLES),
        ("server", server::config::VARIABLES),
    ] {
        for Variable { name, default, .. } in table {
            let is_row = |line: &&str| {
                let readers = ["both", program].map(|who| format!("| {who} |"));
                readers.iter().any(|cell| line.contains(cell))
                    && line.contains(&format!("`{name}`"))
            };
            let row = README.lines().find(is_row);
            let row = row.unwrap_or_else(|| panic!("no row for {name} of the {program}"));
            assert!(row.contains(&format!("`{default}`")), "{default}: {row}");
        }
    }
}

#[test]
fn the_example_has_every_setting_of_compose_and_no_other() {
    let named = Regex::new(r"\$\{([A-Za-z_]+)").unwrap();
    let named = named
        .captures_iter(COMPOSE)
        .map(|it| it.extract::<1>().1[0]);
    let settings: BTreeSet<_> = named.chain(PROXIES).collect();
    let example: BTreeSet<_> = example().into_keys().collect();
    assert_eq!(settings, example);
}

/// The defaults that compose itself has.
#[test]
fn the_example_has_the_defaults_of_compose() {
    let default = Regex::new(r"\$\{([A-Za-z_]+):-([^}]+)\}").unwrap();
    let example = example();
    for found in default.captures_iter(COMPOSE) {
        let (_, [name, default]) = found.extract();
        assert_eq!(example[name], default, "{name}");
    }
}
