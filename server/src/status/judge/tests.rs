use chrono::TimeZone;
use shared::catalogue::PerCollection;

use super::super::facts::Counts;
use super::*;

/// 16:00 on a day.
fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 26, 16, 0, 0).unwrap()
}

fn before(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

/// What a reader knows, and what it serves.
struct Scene {
    facts: Option<Facts>,
    known: Known,
}

impl Scene {
    /// All is well.
    fn well() -> Self {
        let confirmation = Confirmation {
            confirmed_at: Some(before(12)),
            ..Confirmation::default()
        };
        let counts = Counts {
            records: 22,
            withdrawn: 0,
            source: Source::Upstream,
            as_of: before(86_400),
        };
        let mut known = Known::default();
        known.generation = Some(7);
        known.status = Some(Status {
            format: 1,
            generation: 7,
            started_at: before(13),
            finished_at: before(12),
            next_attempt_at: Some(now() + TimeDelta::seconds(48)),
            last_success_at: Some(before(12)),
            failures_in_a_row: 0,
            collections: PerCollection::from_fn(|_| confirmation.clone()),
            outbox: std::collections::BTreeMap::new(),
        });
        Self {
            facts: Some(Facts {
                generation: 7,
                committed_at: before(86_400),
                upstream: "https://ghibli.example".into(),
                releases: 0,
                collections: PerCollection::from_fn(|_| counts),
            }),
            known,
        }
    }

    fn nothing_loaded() -> Self {
        Self {
            facts: None,
            known: Known::default(),
        }
    }

    fn status(&mut self) -> &mut Status {
        self.known.status.as_mut().unwrap()
    }

    /// The last sync failed for these collections; before that they were confirmed at 15:00.
    fn failing(mut self, collections: &[Collection], reason: &str, rejected: bool) -> Self {
        for collection in collections {
            self.status().collections[*collection] = Confirmation {
                confirmed_at: Some(before(3_600)),
                failure: Some(reason.into()),
                rejected,
                set_aside: 0,
            };
        }
        self
    }

    fn cut_off(mut self) -> Self {
        self.known.trouble = Some("unreachable: 10.0.0.7:6379: connection refused".into());
        self.known.trouble_since = Some(before(180));
        self
    }

    fn troubles(&self) -> Vec<Trouble> {
        troubles(self.facts.as_ref(), &self.known, before(600), now())
    }

    fn kinds(&self) -> Vec<Kind> {
        self.troubles().into_iter().map(|one| one.kind).collect()
    }

    fn sentence(&self) -> String {
        sentence(&self.troubles(), self.known.status.as_ref(), now())
    }

    /// Checks the sentence at the top.
    #[track_caller]
    fn says(&self, expected: &str) {
        assert_eq!(self.sentence(), expected);
    }
}

#[test]
fn all_is_well() {
    Scene::well().says(
        "All is well: the upstream confirmed everything 12 seconds ago, and the next sync is due in \
         48 seconds.",
    );
}

/// Fault: upstream down, slow, 5xx, 429.
#[test]
fn the_upstream_does_not_answer() {
    Scene::well()
        .failing(&Collection::ALL, "status 503", false)
        .says(
            "The upstream has not confirmed films, people, locations, species and vehicles since \
             2026-11-26 15:00:00 UTC (60 minutes ago): status 503. The mirror shows what it has, and \
             the poller asks again in 48 seconds.",
        );
}

/// Fault: upstream sends garbage.
#[test]
fn the_upstream_sends_garbage() {
    let reason = "not JSON: expected value at line 1 column 1";
    let scene = Scene::well().failing(&[Collection::Films], reason, true);
    scene.says(
        "The poller rejects the upstream's answer for films, last confirmed at 2026-11-26 15:00:00 \
         UTC (60 minutes ago): not JSON: expected value at line 1 column 1. The mirror keeps what it \
         has, and the poller asks again in 48 seconds.",
    );
    let films = &scene.known.status.unwrap().collections[Collection::Films];
    assert_eq!(accepting("films", films), None);
}

/// Fault: upstream sends nothing, or half.
#[test]
fn the_upstream_sends_less_than_it_had() {
    let suspicion = Suspicion {
        known: 22,
        gone: 11,
        set_aside: 0,
    };
    let reason = suspicion.to_string();
    let scene = Scene::well().failing(&[Collection::Films], &reason, true);
    assert_eq!(scene.kinds(), [Kind::Rejected]);
    let sentence = scene.sentence();
    assert!(
        sentence.contains("11 of 22 known records are gone"),
        "{sentence}"
    );
    let films = &scene.known.status.unwrap().collections[Collection::Films];
    let accepting = accepting("films", films).unwrap();
    assert!(accepting.contains("ghibli-poller accept"), "{accepting}");
}

/// Fault: cache down. The sentence has no word of its address.
#[test]
fn the_cache_does_not_answer() {
    Scene::well().cut_off().says(
        "This reader has not been able to read the cache since 2026-11-26 15:57:00 UTC (3 minutes \
         ago). It goes on with generation 7, confirmed at 2026-11-26 15:59:48 UTC, and tries again \
         every few seconds; its log says why it fails.",
    );
    Scene::nothing_loaded().cut_off().says(
        "This reader has nothing to show, because it has not been able to read the cache since \
         2026-11-26 15:57:00 UTC (3 minutes ago). It tries again every few seconds; its log says why \
         it fails.",
    );
}

/// A reader that cannot read the cache cannot know whether a poller runs.
#[test]
fn a_reader_without_a_cache_accuses_nobody() {
    let mut scene = Scene::well().cut_off();
    scene.status().next_attempt_at = Some(before(9_000));
    assert_eq!(scene.kinds(), [Kind::CacheUnreadable]);
}

/// Fault: cache flushed. Readers go on; one that starts before the poller has rebuilt it waits.
#[test]
fn the_cache_is_empty() {
    assert_eq!(Scene::well().kinds(), []);
    Scene::nothing_loaded().says(
        "This reader has nothing to show: it started at 2026-11-26 15:50:00 UTC (10 minutes ago) and \
         has found the cache empty. It shows the catalogue as soon as a poller has filled the cache, \
         which a running poller does within a minute.",
    );
}

/// Fault: poller dead.
#[test]
fn no_poller_runs() {
    let mut scene = Scene::well();
    scene.status().finished_at = before(3_600);
    scene.status().next_attempt_at = Some(before(3_540));
    scene.says(
        "No poller syncs: the last sync ended at 2026-11-26 15:00:00 UTC (60 minutes ago), and the \
         next was due at 2026-11-26 15:01:00 UTC. The mirror shows what it has until a poller runs \
         again. A standby would have taken over by now, so a poller has to be started.",
    );
    scene.status().next_attempt_at = Some(before(60));
    assert_eq!(scene.kinds(), [], "a long sync is not a dead poller");
}

/// The status was lost, and the snapshot was not.
#[test]
fn no_sync_is_on_record() {
    let mut scene = Scene::well();
    scene.known.status = None;
    scene.says(
        "The cache does not say when it was last synced. The mirror shows what was committed at \
         2026-11-25 16:00:00 UTC (24 hours ago); the next sync of a poller puts this right.",
    );
}

/// Fault: cold start, upstream dead.
#[test]
fn the_built_in_catalogue_is_shown() {
    let mut scene = Scene::well();
    for collection in Collection::ALL {
        let confirmation = &mut scene.status().collections[collection];
        confirmation.confirmed_at = None;
        confirmation.failure = Some("unreachable: connection refused".into());
        scene.facts.as_mut().unwrap().collections[collection].source = Source::BuiltIn;
    }
    assert_eq!(scene.kinds(), [Kind::Unconfirmed, Kind::BuiltIn]);
    scene.says(
        "The upstream has never confirmed films, people, locations, species and vehicles: \
         unreachable: connection refused. The mirror shows what it has, and the poller asks again in \
         48 seconds.",
    );
    assert_eq!(
        scene.troubles()[1].sentence,
        "The mirror shows its built-in catalogue for films, people, locations, species and vehicles, \
         since 2026-11-25 16:00:00 UTC (24 hours ago), because the upstream has not answered yet. \
         The poller asks again in 48 seconds, and the first good answer replaces it."
    );
}

/// Faults: log sink gone, reader dead. Neither is a matter of the data; records that are set aside
/// are, but the mirror shows their last good forms.
#[test]
fn records_that_are_set_aside_are_no_alarm() {
    let mut scene = Scene::well();
    scene.status().collections[Collection::People].set_aside = 2;
    scene.says(
        "All is well: the upstream confirmed everything 12 seconds ago, and the next sync is due in \
         48 seconds. The poller has set 2 records aside that it cannot use.",
    );
}

/// The top names what is most urgent; the page lists the rest below.
#[test]
fn several_troubles_are_all_named() {
    let mut scene = Scene::well()
        .failing(
            &[Collection::Films],
            "empty, expected an array of records",
            true,
        )
        .failing(&[Collection::People], "no complete answer in time", false);
    assert_eq!(scene.kinds(), [Kind::Rejected, Kind::Unconfirmed]);
    scene.status().next_attempt_at = Some(before(9_000));
    assert_eq!(
        scene.kinds(),
        [Kind::NoPoller, Kind::Rejected, Kind::Unconfirmed]
    );
}
