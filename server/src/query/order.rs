//! `_sort` and `_order`.
//!
//! Owns the order of records. Sorting is stable. `DESC` exactly reverses the ascending order, equal
//! records included.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{js::Primitive, path::Path};

/// What to sort by, and in which direction.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) by: Path,
    pub(super) descending: bool,
}

impl Order {
    pub(super) fn sort(&self, records: &mut Vec<&Map<String, Value>>) {
        let mut keyed: Vec<_> = records
            .iter()
            .map(|record| (self.by.get(record).into_primitive(), *record))
            .collect();
        if has_total_order(keyed.iter().map(|(key, _)| key)) {
            keyed.sort_by(|(one, _), (two, _)| compare(one, two));
        } else {
            insert_sorted(&mut keyed, |(one, _), (two, _)| compare(one, two));
        }
        if self.descending {
            keyed.reverse();
        }
        records.clear();
        records.extend(keyed.into_iter().map(|(_, record)| record));
    }
}

/// Null comes after all values, a missing field after null. Values that cannot be compared count
/// as equal.
fn compare(one: &Primitive<'_>, two: &Primitive<'_>) -> Ordering {
    let rank = |key: &Primitive<'_>| match key {
        Primitive::Null => 1,
        Primitive::Undefined => 2,
        _ => 0,
    };
    match (rank(one), rank(two)) {
        (0, 0) => one.compare(two).unwrap_or(Ordering::Equal),
        (one, two) => one.cmp(&two),
    }
}

/// Whether all keys are texts, or none is. Mixed keys such as `"10"`, `9` and `"x"` have no order.
fn has_total_order<'a>(keys: impl Iterator<Item = &'a Primitive<'a>>) -> bool {
    let (mut texts, mut others) = (false, false);
    for key in keys {
        match key {
            Primitive::Text(_) => texts = true,
            Primitive::Bool(_) | Primitive::Number(_) => others = true,
            Primitive::Null | Primitive::Undefined => {}
        }
    }
    !(texts && others)
}

/// Binary insertion after the first sorted run. The upstream's engine sorts up to 63 records this
/// way. When keys have no order, the steps of the algorithm decide the result.
fn insert_sorted<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let descends = |pair: &[T]| compare(&pair[1], &pair[0]).is_lt();
    let Some(falling) = items.get(..2).map(descends) else {
        return;
    };
    let run = 1 + items
        .windows(2)
        .take_while(|pair| descends(pair) == falling)
        .count();
    if falling {
        items[..run].reverse();
    }
    for at in run..items.len() {
        // Not `partition_point`: it compares at other places than the upstream's engine does.
        let (mut place, mut end) = (0, at);
        while place < end {
            let middle = place + (end - place) / 2;
            if compare(&items[at], &items[middle]).is_lt() {
                end = middle;
            } else {
                place = middle + 1;
            }
        }
        items[place..=at].rotate_right(1);
    }
}
