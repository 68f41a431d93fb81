//! Whether all is well, in one sentence; and if not, what is wrong, since when, and what happens next.
//!
//! Pure.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use shared::catalogue::snapshot::Source;
use shared::catalogue::status::{Confirmation, Status};
use shared::catalogue::{Collection, Suspicion};

use super::facts::Facts;
use super::words::{ago, counted, dated, list, moment, until};
use crate::follow::Known;

/// How long after it was due a sync counts as missing. A sync may take 40 s, and a standby waits
/// until the lease has run out.
const OVERDUE: TimeDelta = TimeDelta::seconds(90);

/// What can be wrong, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// This reader cannot read the cache.
    CacheUnreadable,
    /// This reader can read the cache, and nothing is in it.
    CacheEmpty,
    /// No poller syncs.
    NoPoller,
    /// Answers came, and the poller rejected them.
    Rejected,
    /// The upstream did not answer as it should.
    Unconfirmed,
    /// The upstream has never confirmed what is shown.
    BuiltIn,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    /// Since when, as far as this reader knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<DateTime<Utc>>,
    /// What, since when, and what happens next.
    pub(super) sentence: String,
}

/// Everything that is wrong, the most urgent first.
pub(super) fn troubles(
    facts: Option<&Facts>,
    known: &Known,
    started_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Vec<Trouble> {
    let Some(facts) = facts else {
        return vec![nothing_loaded(known, started_at, now)];
    };
    let status = known.status.as_ref();
    if known.trouble.is_some() {
        // What this reader knows of the poller is old then, and says nothing about it.
        return vec![cache_unreadable(facts, known, started_at, now)];
    }
    let Some(status) = status else {
        return vec![Trouble {
            kind: Kind::NoPoller,
            since: None,
            sentence: format!(
                "The cache does not say when it was last synced. The mirror shows what was \
                 committed at {}; the next sync of a poller puts this right.",
                dated(facts.committed_at, now)
            ),
        }];
    };
    [
        no_poller(status, now),
        rejected(status, now),
        unconfirmed(status, now),
        built_in(facts, status, now),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The sentence for the top.
pub(super) fn sentence(
    troubles: &[Trouble],
    status: Option<&Status>,
    now: DateTime<Utc>,
) -> String {
    if let Some(worst) = troubles.first() {
        return worst.sentence.clone();
    }
    let confirmed = status.and_then(Status::confirmed_at);
    let confirmed = confirmed.map_or_else(String::new, |at| {
        format!(": the upstream confirmed everything {}", ago(at, now))
    });
    let next = status.and_then(|status| status.next_attempt_at);
    let next = next.map_or_else(String::new, |at| {
        format!(", and the next sync is due {}", until(at, now))
    });
    let set_aside = status.map_or(0, |status| {
        let counts = status.collections.iter().map(|(_, one)| one.set_aside);
        counts.sum::<usize>()
    });
    let set_aside = match set_aside {
        0 => String::new(),
        count => format!(
            ". The poller has set {} aside that it cannot use",
            counted(count, "record")
        ),
    };
    format!("All is well{confirmed}{next}{set_aside}.")
}

fn nothing_loaded(known: &Known, started_at: DateTime<Utc>, now: DateTime<Utc>) -> Trouble {
    if known.trouble.is_some() {
        let since = known.trouble_since.unwrap_or(started_at);
        return Trouble {
            kind: Kind::CacheUnreadable,
            since: Some(since),
            sentence: format!(
                "This reader has nothing to show, because it has not been able to read the cache \
                 since {}. It tries again every few seconds; its log says why it fails.",
                dated(since, now)
            ),
        };
    }
    Trouble {
        kind: Kind::CacheEmpty,
        since: Some(started_at),
        sentence: format!(
            "This reader has nothing to show: it started at {} and has found the cache empty. It \
             shows the catalogue as soon as a poller has filled the cache, which a running poller \
             does within a minute.",
            dated(started_at, now)
        ),
    }
}

fn cache_unreadable(
    facts: &Facts,
    known: &Known,
    started_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Trouble {
    let since = known.trouble_since.unwrap_or(started_at);
    let confirmed = known.status.as_ref().and_then(Status::confirmed_at);
    let confirmed = confirmed.map_or_else(
        || "never confirmed by the upstream".into(),
        |at| format!("confirmed at {}", moment(at)),
    );
    Trouble {
        kind: Kind::CacheUnreadable,
        since: Some(since),
        sentence: format!(
            "This reader has not been able to read the cache since {}. It goes on with generation \
             {}, {confirmed}, and tries again every few seconds; its log says why it fails.",
            dated(since, now),
            facts.generation
        ),
    }
}

fn no_poller(status: &Status, now: DateTime<Utc>) -> Option<Trouble> {
    let due = status.next_attempt_at?;
    (now - due > OVERDUE).then(|| Trouble {
        kind: Kind::NoPoller,
        since: Some(due),
        sentence: format!(
            "No poller syncs: the last sync ended at {}, and the next was due at {}. The mirror \
             shows what it has until a poller runs again. A standby would have taken over by now, \
             so a poller has to be started.",
            dated(status.finished_at, now),
            moment(due)
        ),
    })
}

fn rejected(status: &Status, now: DateTime<Utc>) -> Option<Trouble> {
    let failing = failing(status, |one| one.rejected);
    of_collections(Kind::Rejected, &failing, |names, since, reason| {
        format!(
            "The poller rejects the upstream's answer for {names}{}: {reason}. The mirror keeps \
             what it has, and the poller asks again {}.",
            since.map_or_else(String::new, |at| format!(
                ", last confirmed at {}",
                dated(at, now)
            )),
            next_attempt(status, now)
        )
    })
}

fn unconfirmed(status: &Status, now: DateTime<Utc>) -> Option<Trouble> {
    let failing = failing(status, |one| !one.rejected);
    of_collections(Kind::Unconfirmed, &failing, |names, since, reason| {
        let since = since.map_or_else(
            || format!("The upstream has never confirmed {names}"),
            |at| {
                format!(
                    "The upstream has not confirmed {names} since {}",
                    dated(at, now)
                )
            },
        );
        format!(
            "{since}: {reason}. The mirror shows what it has, and the poller asks again {}.",
            next_attempt(status, now)
        )
    })
}

fn built_in(facts: &Facts, status: &Status, now: DateTime<Utc>) -> Option<Trouble> {
    let collections = facts.collections.iter();
    let built_in = collections.filter(|(_, counts)| counts.source == Source::BuiltIn);
    let names: Vec<_> = built_in.map(|(collection, _)| collection.name()).collect();
    (!names.is_empty()).then(|| Trouble {
        kind: Kind::BuiltIn,
        since: Some(facts.committed_at),
        sentence: format!(
            "The mirror shows its built-in catalogue for {}, since {}, because the upstream has not \
             answered yet. The poller asks again {}, and the first good answer replaces it.",
            list(&names),
            dated(facts.committed_at, now),
            next_attempt(status, now)
        ),
    })
}

fn failing(
    status: &Status,
    is_meant: impl Fn(&Confirmation) -> bool,
) -> Vec<(Collection, &Confirmation)> {
    let all = status.collections.iter();
    all.filter(|(_, one)| one.failure.is_some() && is_meant(one))
        .collect()
}

/// A trouble of some collections. Its reason is that of the first, whose failures usually have the
/// same cause; the table has them all.
fn of_collections(
    kind: Kind,
    failing: &[(Collection, &Confirmation)],
    sentence: impl FnOnce(&str, Option<DateTime<Utc>>, &str) -> String,
) -> Option<Trouble> {
    let (_, first) = failing.first()?;
    let reason = first.failure.as_deref()?;
    let names: Vec<_> = failing.iter().map(|(one, _)| one.name()).collect();
    let confirmed = failing.iter().map(|(_, one)| one.confirmed_at);
    let since = confirmed.collect::<Option<Vec<_>>>();
    let since = since.and_then(|moments| moments.into_iter().min());
    Some(Trouble {
        kind,
        since,
        sentence: sentence(&list(&names), since, reason.trim_end_matches('.')),
    })
}

fn next_attempt(status: &Status, now: DateTime<Utc>) -> String {
    status
        .next_attempt_at
        .map_or_else(|| "with the next sync".into(), |at| until(at, now))
}

/// What `accept` would do, where it would do anything.
pub(super) fn accepting(name: &str, confirmation: &Confirmation) -> Option<String> {
    let reason = confirmation.failure.as_deref()?;
    Suspicion::is_in(reason).then(|| {
        format!(
            "If the upstream means it, an operator runs `ghibli-poller accept`. The answer then \
             replaces the {name} as a whole: what it does not list is gone from the mirror, and \
             nothing in it is announced as a release."
        )
    })
}

#[cfg(test)]
mod tests;
