//! What was measured, under names such as `film.mirror.cpu_us`: case, server, and figure with its
//! unit.

use std::collections::BTreeMap;

/// All figures of a run: the value of each round, or one.
#[derive(Default)]
pub(super) struct Figures(BTreeMap<String, Vec<f64>>);

impl Figures {
    pub(super) fn set(&mut self, name: impl Into<String>, value: f64) {
        self.set_rounds(name, vec![value]);
    }

    pub(super) fn set_rounds(&mut self, name: impl Into<String>, values: Vec<f64>) {
        self.0.insert(name.into(), values);
    }

    /// The median of the rounds.
    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).cloned().map(median)
    }

    /// The first figure divided by the second. The servers of a case take turns, so a busy
    /// neighbour slows the same round of both. The median of the rounds' ratios therefore differs
    /// less between runs than the ratio of the medians.
    pub(super) fn ratio(&self, name: &str, other: &str) -> Option<f64> {
        let (values, others) = (self.0.get(name)?, self.0.get(other)?);
        if case(name) == case(other) && values.len() == others.len() {
            let rounds = values.iter().zip(others);
            return Some(median(rounds.map(|(value, other)| value / other).collect()));
        }
        Some(self.get(name)? / self.get(other)?)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, f64)> {
        let median = |values: &Vec<f64>| median(values.clone());
        self.0
            .iter()
            .map(move |(name, values)| (name.as_str(), median(values)))
    }
}

/// The case, or another part, that a figure's name begins with.
pub(super) fn case(name: &str) -> &str {
    name.split_once('.').map_or(name, |(case, _)| case)
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

    #[test]
    fn the_ratio_within_a_case_is_taken_round_by_round() {
        let mut figures = Figures::default();
        // Neighbours slow the machine in another round of each case.
        figures.set_rounds("film.mirror.cpu_us", vec![2.0, 20.0, 4.0]);
        figures.set_rounds("film.floor.cpu_us", vec![1.0, 10.0, 1.0]);
        figures.set_rounds("other.floor.cpu_us", vec![1.0, 1.0, 8.0]);
        let ratio = |other| figures.ratio("film.mirror.cpu_us", other);
        assert_eq!(ratio("film.floor.cpu_us"), Some(2.0));
        assert_eq!(ratio("other.floor.cpu_us"), Some(4.0));
        assert_eq!(ratio("film.nginx.cpu_us"), None);
    }
}
