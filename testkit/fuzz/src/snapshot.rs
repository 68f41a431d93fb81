//! Any stored document: what damage, another build or a person with an editor may leave behind.

use poller::advance::{Outcome, Trust, advance};
use server::pages::MoviesPage;
use server::render::{Links, Site};
use shared::catalogue::{Answer, Collection, PerCollection};
use shared::snapshot::{FORMAT, LAST_GENERATION, Snapshot, Unreadable};
use shared::status::Status;

/// Longer ones are ignored: rendering them takes longer and shows nothing new.
const LONGEST: usize = 64 << 10;

/// The input is a snapshot or a status, as it is stored.
pub fn check(input: &[u8]) {
    if input.len() > LONGEST {
        return;
    }
    let status = match Status::from_json(input) {
        Ok(status) => {
            let kept = Status::from_json(status.to_json().as_bytes());
            assert_eq!(kept.as_ref(), Ok(&status));
            status.confirmed_at();
            Some(status)
        }
        Err(refusal) => {
            explains(&refusal);
            None
        }
    };
    match Snapshot::from_json(input) {
        Ok(snapshot) => {
            let kept = Snapshot::from_json(snapshot.to_json().as_bytes());
            assert_eq!(kept.as_ref(), Ok(&snapshot));
            renders(&snapshot, status.as_ref());
            if snapshot.generation < LAST_GENERATION {
                goes_on(&snapshot);
            }
        }
        Err(refusal) => explains(&refusal),
    }
}

fn explains(refusal: &Unreadable) {
    let reason = refusal.to_string();
    assert!(!reason.is_empty() && reason.len() < 1000, "{reason}");
    if let Unreadable::NewerFormat { found, .. } = refusal {
        assert!(*found > FORMAT);
    }
}

/// The poller can sync on top of it, and what it makes of it can be read again.
fn goes_on(snapshot: &Snapshot) {
    let outcomes = PerCollection::from_fn(|_| Outcome::Sent {
        answer: Answer::read(br#"[{"id":"a","title":"A"},{"id":"new"}]"#).expect("a collection"),
        etag: None,
    });
    let at = snapshot.committed_at;
    let step = advance(
        snapshot,
        "https://upstream.example",
        outcomes,
        Trust::Suspicious,
        at,
    );
    assert!(step.snapshot.generation >= snapshot.generation);
    let kept = Snapshot::from_json(step.snapshot.to_json().as_bytes());
    assert_eq!(kept, Ok(step.snapshot));
}

/// Renders without a panic, every record under its id, and again to the same bytes.
fn renders(snapshot: &Snapshot, status: Option<&Status>) {
    let links = Links::To("https://mirror.example".into());
    let site = Site::render(snapshot, &links, None);
    let again = Site::render(snapshot, &Links::Verbatim, Some(&site));
    for collection in Collection::ALL {
        for record in snapshot.records(collection) {
            let item = site.shelves[collection].item(record.id());
            assert_eq!(item.expect("is there").id, record.id());
            let verbatim = again.shelves[collection].item(record.id());
            let verbatim = &verbatim.expect("is there").fields;
            assert_eq!(verbatim, record.fields());
        }
    }
    let page = MoviesPage::render(snapshot, status, "");
    page.at(snapshot.committed_at);
}
