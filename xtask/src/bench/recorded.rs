//! `--check`: compares ratios with those that stand in `docs/performance.md`.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::budgets::{BUDGETS, Budget};
use super::figures::Figures;
use crate::say;

/// The page with the recorded ratios.
pub(super) const PAGE: &str = "docs/performance.md";

/// How much worse a ratio may be.
const TOLERANCE: f64 = 1.1;

/// The ratios of the page, by the names of their budgets.
pub(super) struct Recorded(Value);

impl Recorded {
    /// Reads the page.
    pub(super) fn read() -> Result<Self> {
        let page = std::fs::read_to_string(crate::top().join(PAGE)).context(PAGE)?;
        Self::of(&page).with_context(|| format!("{PAGE} has no JSON block"))
    }

    /// The first block of JSON in a page.
    fn of(page: &str) -> Option<Self> {
        let (_, block) = page.split_once("```json\n")?;
        let (block, _) = block.split_once("```")?;
        serde_json::from_str(block).ok().map(Self)
    }

    /// The budgets whose measured ratios are worse.
    pub(super) fn worse(&self, figures: &Figures) -> Vec<&'static Budget> {
        let is_worse = |budget: &&Budget| {
            let values = self.values(budget, figures);
            values.is_some_and(|(now, before)| {
                budget.worsening(now, budget.reference(before)) > TOLERANCE
            })
        };
        BUDGETS.iter().filter(is_worse).collect()
    }

    /// The measured and the recorded ratio.
    fn values(&self, budget: &Budget, figures: &Figures) -> Option<(f64, f64)> {
        let now = budget.is_ratio().then(|| budget.value(figures)).flatten();
        now.zip(self.0[budget.name].as_f64())
    }

    /// # Errors
    /// Names the ratios that are worse.
    pub(super) fn check(&self, figures: &Figures) -> Result<()> {
        let worse = self.worse(figures).into_iter().filter_map(|budget| {
            let (now, before) = self.values(budget, figures)?;
            Some(format!("{}: {now:.3} instead of {before:.3}", budget.name))
        });
        let worse: Vec<_> = worse.collect();
        ensure!(
            worse.is_empty(),
            "worse than {PAGE} by more than a tenth, each time:\n{}",
            worse.join("\n")
        );
        say(format_args!(
            "\nno ratio is more than a tenth worse than in {PAGE}"
        ));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_that_is_worse_than_in_the_page_is_named() {
        let page = "text\n```json\n{ \"film: CPU / floor\": 1.5 }\n```\nmore";
        let recorded = Recorded::of(page).expect("has a block of JSON");
        for (measured, is_worse) in [(1.6, false), (1.7, true)] {
            let mut figures = Figures::default();
            figures.set("film.mirror.cpu_us", measured);
            figures.set("film.floor.cpu_us", 1.0);
            let found = recorded.check(&figures);
            assert_eq!(found.is_err(), is_worse, "{found:?}");
        }
        assert!(Recorded::of("no block").is_none());
    }
}
