//! What was measured, under names such as `film.mirror.cpu_us`: case, server, and figure with its
//! unit.

use std::collections::BTreeMap;

/// All figures of a run.
#[derive(Default)]
pub(super) struct Figures(BTreeMap<String, f64>);

impl Figures {
    pub(super) fn set(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), value);
    }

    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

/// The middle value; with an even number of values the lower of the two in the middle.
pub(super) fn median(values: Vec<f64>) -> f64 {
    percentile(values, 0.5)
}

/// The smallest value that is at least as large as this share of the values; NaN without values.
pub(super) fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    let rank = (count(values.len()) * share).ceil() as usize;
    let value = values.get(rank.saturating_sub(1));
    value.copied().unwrap_or(f64::NAN)
}

#[expect(clippy::cast_precision_loss, reason = "a count of things in memory")]
pub(super) fn count(things: usize) -> f64 {
    things as f64
}

#[expect(clippy::cast_precision_loss, reason = "a size in memory")]
pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_99th_percentile_near_the_end() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(median(values.clone()).to_bits(), 50_f64.to_bits());
        assert_eq!(percentile(values, 0.99).to_bits(), 99_f64.to_bits());
        assert_eq!(median(vec![3.0, 1.0, 2.0]).to_bits(), 2_f64.to_bits());
        assert!(median(Vec::new()).is_nan());
    }
}
