//! Asks this mirror and the software that the upstream runs the same questions, and compares.
//!
//! Two tests: one against the live oracle (`npm ci` in `testkit/oracle` first), one against
//! answers recorded from it, which needs nothing installed. Where `CI` is set, the live one does
//! not let itself be skipped.
//!
//! | variable | means | unless set |
//! |---|---|---|
//! | `ORACLE_SEEDS` | seeds of the questions, with commas | `1` |
//! | `ORACLE_QUERIES` | questions for each seed | `1000` |

mod answerer;
mod ask;
mod compare;
mod generate;
mod node;
mod recorded;

use std::{collections::BTreeMap, env};

use answerer::Answerer;
use compare::{Verdict, judge};
use generate::questions;
use node::Oracle;

fn setting(name: &str, default: &str) -> String {
    let value = env::var_os(name).map(|value| value.into_string().expect("text"));
    value.unwrap_or_else(|| default.to_owned())
}

#[test]
fn the_mirror_answers_as_the_live_oracle_does() {
    let Some(oracle) = Oracle::start() else {
        assert!(
            env::var_os("CI").is_none(),
            "node and `npm ci` in testkit/oracle are needed"
        );
        eprintln!("skipped: node, or `npm ci` in testkit/oracle, is missing");
        return;
    };
    let mirror = Answerer::start();
    let count = setting("ORACLE_QUERIES", "1000").parse().expect("a number");
    let mut unexplained = 0;
    for seed in setting("ORACLE_SEEDS", "1").split(',') {
        let mut tally: BTreeMap<String, usize> = BTreeMap::new();
        for question in questions(seed.parse().expect("a number"), count) {
            let verdict = judge(&mirror.base, &oracle.base, &question);
            *tally.entry(verdict.name()).or_default() += 1;
            if let Verdict::Unexplained(report) = verdict {
                unexplained += 1;
                println!("{report}\n");
            }
        }
        println!("seed {seed}, {count} questions: {tally:?}");
    }
    assert_eq!(
        unexplained, 0,
        "answers that differ for no named reason are printed above"
    );
}

#[test]
fn the_mirror_answers_as_recorded() {
    let mirror = Answerer::start();
    let wrong: Vec<_> = recorded::all()
        .iter()
        .filter_map(|recording| recording.difference(&mirror.base))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Writes the recorded answers anew, from questions on which both sides agree.
#[test]
#[ignore = "changes a file of the repository"]
fn record() {
    let oracle = Oracle::start().expect("node, and `npm ci` in testkit/oracle");
    let mirror = Answerer::start();
    let agreed = questions(400, 4000).into_iter().filter(|question| {
        ask::ask(&oracle.base, question).body.len() < 20_000
            && matches!(judge(&mirror.base, &oracle.base, question), Verdict::Same)
    });
    recorded::write(&oracle.base, agreed.take(400));
}
