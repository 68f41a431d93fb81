//! The log lines of cycles and of lasting troubles, in both formats. Operators and their programs
//! rely on them. `testkit/tests/day_of_trouble.rs` pins the lines of whole processes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use poller::cycle::log::log_failure;
use poller::cycle::report::Report;
use poller::cycle::shape::Drift;
use poller::cycle::verdict::{CycleOutcome, Verdict};
use poller::trouble::Troubles;
use shared::catalogue::snapshot::{Release, Source};
use shared::catalogue::status::{Confirmation, FORMAT, Status};
use shared::catalogue::{Changes, Listing, PerCollection, Update};
use shared::service::telemetry::{Format, captured};

fn at(time: &str) -> DateTime<Utc> {
    format!("2020-11-23T{time}Z").parse().unwrap()
}

/// A cycle with these verdicts; collections without a reason are confirmed at 21:28:00, others were
/// at 21:00:00.
fn report(verdicts: PerCollection<Verdict>) -> Report {
    let collections = PerCollection::from_fn(|collection| {
        let failure = verdicts[collection].reason().map(str::to_owned);
        let confirmed = if failure.is_some() {
            "21:00:00"
        } else {
            "21:28:00"
        };
        Confirmation {
            rejected: false,
            confirmed_at: Some(at(confirmed)),
            failure,
            set_aside: 0,
        }
    });
    let outcome = CycleOutcome::of(&verdicts, false);
    let last = if outcome.is_success() {
        "21:28:00"
    } else {
        "21:00:00"
    };
    Report {
        withdrawn: PerCollection::default(),
        outcome,
        status: Status {
            format: FORMAT,
            generation: 1_795_469_304,
            started_at: at("21:28:00"),
            finished_at: at("21:28:00"),
            next_attempt_at: Some(at("21:29:00")),
            last_success_at: Some(at(last)),
            failures_in_a_row: 0,
            collections,
            outbox: BTreeMap::new(),
        },
        source: Source::Upstream,
        duration: Duration::from_millis(28),
        verdicts,
        counts: PerCollection::from_fn(|_| 23),
        duplicates: PerCollection::default(),
        newly_set_aside: PerCollection::default(),
        drift: PerCollection::default(),
        released: Vec::new(),
    }
}

fn failed() -> PerCollection<Verdict> {
    PerCollection::from_fn(|_| Verdict::Failed("no answer within 10s".into()))
}

fn rejected() -> PerCollection<Verdict> {
    PerCollection {
        films: Verdict::Rejected("suspicious: 11 of 22 known records are gone".into()),
        ..PerCollection::default()
    }
}

fn both(action: impl Fn()) -> String {
    let formats = [Format::Text, Format::Json];
    formats.map(|format| captured(format, &action)).join("\n\n")
}

#[test]
fn a_cycle_that_changes_much() {
    let ids = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
    let many: Vec<_> = (0..12).map(|id| format!("p{id}")).collect();
    let mut report = report(PerCollection {
        films: Verdict::Changed(Changes {
            appended: ids(&["7"]),
            updated: vec![Update {
                id: "3".into(),
                fields: ids(&["rt_score", "title"]),
            }],
            withdrawn: ids(&["4"]),
            returned: ids(&["5"]),
        }),
        people: Verdict::Changed(Changes {
            returned: many,
            ..Changes::default()
        }),
        species: Verdict::Baseline,
        ..PerCollection::default()
    });
    report.duplicates.people = ids(&["9"]);
    let listing = Listing::read(b"[{\"title\": \"no id\"}]").unwrap();
    report.status.collections.films.set_aside = 1;
    report.newly_set_aside.films = listing.set_aside;
    let drift = |field: &str, before: Option<&str>, after: Option<&str>| Drift {
        field: field.to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    };
    report.drift.films = vec![
        drift("image", None, Some("string")),
        drift("rt_score", Some("string"), Some("number")),
        drift("url", Some("string"), None),
    ];
    report.released = vec![Release {
        sequence: 1,
        id: "7".into(),
        title: "The Boy and the Heron".into(),
        first_seen: at("21:28:00"),
    }];
    insta::assert_snapshot!(both(|| report.log()));
}

#[test]
fn cycles_in_which_nothing_changes_or_fails() {
    insta::assert_snapshot!(both(|| {
        report(PerCollection::default()).log();
        report(failed()).log();
        report(rejected()).log();
        let reason = "cannot take the lease: unreachable: connection refused";
        log_failure(reason, Duration::from_millis(3), Some(at("21:29:00")));
    }));
}

#[test]
fn troubles_that_begin_last_and_end() {
    insta::assert_snapshot!(both(|| {
        let mut troubles = Troubles::default();
        let mut after = |verdicts, time: DateTime<Utc>| troubles.after(&report(verdicts), time);
        // The second line comes an hour after the first; the third says that all is well.
        after(failed(), at("21:28:00"));
        after(failed(), at("21:29:00"));
        after(failed(), at("22:28:00"));
        after(PerCollection::default(), at("22:29:00"));
        after(rejected(), at("22:30:00"));
        after(rejected(), at("22:31:00"));
        after(rejected(), at("23:30:00"));
        after(PerCollection::default(), at("23:31:00"));
        troubles.backoff(at("21:35:00"), at("21:29:00"));
        troubles.backoff(at("21:40:00"), at("21:36:00"));
        troubles.cache(Some("cannot take the lease: unreachable"), at("21:28:00"));
        troubles.cache(Some("cannot read the cache: refused"), at("21:29:00"));
        troubles.cache(Some("cannot read the cache: refused"), at("22:28:00"));
        troubles.cache(None, at("22:28:05"));
        troubles.aborted(Some("no end within 40s"), at("21:28:00"));
    }));
}

#[test]
fn an_upstream_that_is_gone_for_days_costs_a_line_a_day() {
    let lines = captured(Format::Text, || {
        let mut troubles = Troubles::default();
        for minute in 0..5 * 24 * 60 {
            let now = at("21:01:00") + TimeDelta::minutes(minute);
            troubles.after(&report(failed()), now);
        }
        troubles.after(&report(PerCollection::default()), at("21:28:00"));
    });
    let lines: Vec<_> = lines.lines().collect();
    let dead = |line: &&&str| line.contains("presumed dead");
    // Hourly for three days, then one each day, and the recovery.
    assert_eq!(lines.len(), 72 + 3 + 1, "{lines:#?}");
    assert_eq!(lines.iter().filter(dead).count(), 3);
    insta::assert_snapshot!(lines[72..].join("\n"));
}
