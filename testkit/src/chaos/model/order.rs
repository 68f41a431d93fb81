//! What is wrong with a list that should be a prefix of the released films. Pure.

use crate::chaos::promise::Promise;

/// Explains what is wrong with a list of films that is not a prefix of the released ones.
pub(super) fn explain(released: &[String], ids: &[String]) -> (Promise, String) {
    if let Some(twice) = first_twice(ids) {
        return (Promise::Once, format!("{twice} is served twice"));
    }
    if let Some(unknown) = ids.iter().find(|id| !released.contains(id)) {
        return (Promise::Genuine, format!("{unknown} was never released"));
    }
    let mut rest = released.iter();
    if ids.iter().all(|id| rest.any(|released| released == id)) {
        let gap = released
            .iter()
            .zip(ids)
            .find(|(released, id)| released != id);
        let missing = gap.map_or("", |(released, _)| released.as_str());
        return (
            Promise::Kept,
            format!("{missing} is not served, and later ones are"),
        );
    }
    (
        Promise::Order,
        format!("released as {released:?}, served as {ids:?}"),
    )
}

/// The first id that occurs a second time.
pub(super) fn first_twice(ids: &[String]) -> Option<&String> {
    ids.iter()
        .enumerate()
        .find_map(|(index, id)| ids[..index].contains(id).then_some(id))
}
