//! Any stored document: damaged, from another build, or changed by a person with an editor.

use std::collections::HashSet;

use poller::cycle::restore::{knows, restore};
use poller::cycle::step::{Trust, advance};
use poller::upstream::Fetched;
use server::config::Posters;
use server::pages::Pages;
use server::render::{Links, RenderedCatalogue};
use shared::catalogue::snapshot::{LAST_GENERATION, Snapshot, Source};
use shared::catalogue::status::Status;
use shared::catalogue::stored::Unreadable;
use shared::catalogue::{Collection, Listing, PerCollection, Record};

/// The check ignores longer inputs: they take longer to render and show nothing new.
const LONGEST: usize = 64 << 10;

/// The input is a snapshot or a status in its stored form.
pub fn check(input: &[u8]) {
    if input.len() > LONGEST {
        return;
    }
    match Status::from_json(input) {
        Ok(status) => {
            let kept = Status::from_json(status.to_json().as_bytes());
            assert_eq!(kept.as_ref(), Ok(&status));
            status.confirmed_at();
        }
        Err(refusal) => explains(&refusal),
    }
    match Snapshot::from_json(input) {
        Ok(snapshot) => {
            let kept = Snapshot::from_json(snapshot.to_json().as_bytes());
            assert_eq!(kept.as_ref(), Ok(&snapshot));
            renders(&snapshot);
            if snapshot.generation < LAST_GENERATION {
                let next = goes_on(&snapshot);
                is_joined(&snapshot, &next);
            }
        }
        Err(refusal) => explains(&refusal),
    }
}

fn explains(refusal: &Unreadable) {
    let reason = refusal.to_string();
    assert!(!reason.is_empty() && reason.len() < 1000, "{reason}");
    if let Unreadable::NewerFormat { found, known } = refusal {
        assert!(found > known);
    }
}

/// The poller can sync on top of it, and can read the result again.
fn goes_on(snapshot: &Snapshot) -> Snapshot {
    let fetched = PerCollection::from_fn(|_| Fetched::Sent {
        listing: Listing::read(br#"[{"id":"a","title":"A"},{"id":"new"}]"#).expect("a collection"),
        etag: None,
        seen: String::new(),
    });
    let at = snapshot.committed_at;
    let step = advance(
        snapshot,
        "https://upstream.example",
        &fetched,
        Trust::Suspicious,
        at,
    );
    assert!(step.snapshot.generation >= snapshot.generation);
    let kept = Snapshot::from_json(step.snapshot.to_json().as_bytes());
    assert_eq!(kept.as_ref(), Ok(&step.snapshot));
    step.snapshot
}

/// Two copies have diverged, and either is restored over the other. The result has every record of
/// both, except built-in ones, and every entry of both logs.
fn is_joined(one: &Snapshot, two: &Snapshot) {
    let (mut one, mut two) = (one.clone(), two.clone());
    // No other commit has this signature, and none is as late.
    one.lineage.sign("one of two", u64::MAX);
    two.lineage.sign("the other one", u64::MAX);
    for (memory, stored) in [(&one, &two), (&two, &one)] {
        if knows(Some(stored), Some(memory)) {
            continue;
        }
        let restored = restore(memory, Some(stored), stored.committed_at).snapshot;
        assert!(knows(Some(&restored), Some(memory)) && knows(Some(&restored), Some(stored)));
        if restored.generation <= LAST_GENERATION {
            let kept = Snapshot::from_json(restored.to_json().as_bytes());
            assert_eq!(kept.as_ref(), Ok(&restored));
        }
        for source in [memory, stored] {
            for collection in Collection::ALL {
                if source.collections[collection].source == Source::BuiltIn {
                    continue;
                }
                let ids: HashSet<_> = restored
                    .records(collection)
                    .iter()
                    .map(Record::id)
                    .collect();
                for record in source.records(collection) {
                    assert!(ids.contains(record.id()), "{collection}: {}", record.id());
                }
            }
            let logged: HashSet<_> = restored.releases.iter().map(|one| &one.id).collect();
            for release in &source.releases {
                assert!(logged.contains(&release.id), "{}", release.id);
            }
        }
    }
}

/// Renders without a panic, each record under its id, and a second time to the same bytes.
fn renders(snapshot: &Snapshot) {
    let links = Links::To("https://mirror.example".into());
    let mut rewritten = snapshot.clone();
    links.rewrite(&mut rewritten);
    let catalogue = RenderedCatalogue::render(&rewritten, None).compressed();
    let again = RenderedCatalogue::render(snapshot, Some(&catalogue));
    for collection in Collection::ALL {
        for record in snapshot.records(collection) {
            let item = catalogue.collections[collection].item(record.id());
            assert_eq!(item.expect("is there").id(), record.id());
            let verbatim = again.collections[collection].item(record.id());
            assert_eq!(verbatim.expect("is there").fields(), record.fields());
        }
    }
    let pages = Pages::render(snapshot, &catalogue, &"".into(), Posters::On);
    for collection in Collection::ALL {
        for record in snapshot.records(collection) {
            assert!(pages.record(collection, record.id(), &catalogue).is_some());
        }
    }
}
