//! Tables and JSON.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::Options;
use super::budgets::{BUDGETS, Budget};
use super::cases::CASES;
use super::figures::Figures;
use super::recorded::{PAGE, Recorded};
use super::stage::Stage;
use crate::say;

/// What the recorded figures stand between in it.
const BEGIN: &str = "<!-- recorded by cargo xtask bench all --record -->";
const END: &str = "<!-- end of the record -->";

/// How the names of figures begin that are in no table of servers.
const OTHERS: &[&str] = &[
    "binary.",
    "connections.",
    "idle.",
    "scale",
    "spread.",
    "start.",
    "sync-",
];

/// The head of the table of servers.
pub(super) const HEADER: &str = "\n\
| case | server | CPU us/request | / floor | / nginx | requests/s | p50 ms | p99 ms | p99 ms at 70 % | MiB | body bytes |\n\
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

/// One server's row.
pub(super) fn row(figures: &Figures, case: &str, server: &str) -> String {
    let name = |server: &str, figure: &str| format!("{case}.{server}.{figure}");
    let cell = |value: Option<f64>, digits: usize| {
        value.map_or_else(String::new, |value| format!("{value:.digits$}"))
    };
    let figure = |figure: &str, digits| cell(figures.get(&name(server, figure)), digits);
    let ratio = |other: &str| {
        let ratio = figures.ratio(&name(server, "cpu_us"), &name(other, "cpu_us"));
        cell(ratio, 2)
    };
    format!(
        "| {case} | {server} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        figure("cpu_us", 2),
        ratio("floor"),
        ratio("nginx"),
        figure("rate", 0),
        figure("p50_ms", 3),
        figure("p99_ms", 3),
        figure("steady_p99_ms", 3),
        figure("rss_mib", 1),
        figure("body_bytes", 0),
    )
}

/// Figures beside the table of servers: those whose names begin so.
pub(super) fn list(figures: &Figures, prefixes: &[&str]) -> String {
    let mut list = String::from("\n| figure | |\n|---|--:|");
    for (name, value) in figures.all() {
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            list.extend([format!("\n| {name} | {value:.3} |")]);
        }
    }
    list
}

/// The budgets that can be compared with figures.
fn budgets(figures: &Figures) -> String {
    let mut table = String::from("\n| budget | limit | measured | |\n|---|--:|--:|---|");
    for budget in BUDGETS {
        if let Some(value) = budget.value(figures) {
            let verdict = if budget.is_met(value) {
                "met"
            } else {
                "**not met**"
            };
            let (name, limit) = (budget.name, budget.limit());
            table.extend([format!("\n| {name} | {limit} | {value:.3} | {verdict} |")]);
        }
    }
    table
}

/// The ratios, by the names of their budgets.
fn ratios(figures: &Figures) -> Value {
    let ratio = |budget: &&Budget| budget.is_ratio();
    let named = BUDGETS.iter().filter(ratio).filter_map(|budget| {
        let value = budget.value(figures)?;
        Some((budget.name.to_owned(), json!((value * 1e3).round() / 1e3)))
    });
    Value::Object(named.collect())
}

/// Prints the budgets. Writes the JSON, records the figures and compares them with the recorded
/// ones, as far as that is wanted.
pub(super) fn finish(
    stage: &Stage,
    options: &Options,
    figures: &Figures,
    recorded: Option<&Recorded>,
) -> Result<()> {
    say(budgets(figures));
    if let Some(file) = &options.json {
        let named = figures
            .all()
            .map(|(name, value)| (name.to_owned(), json!(value)));
        let named: Map<_, _> = named.collect();
        let ratios = ratios(figures);
        let all = json!({ "machine": stage.machine, "figures": named, "ratios": ratios });
        let text = serde_json::to_string_pretty(&all)?;
        std::fs::write(file, text + "\n").with_context(|| file.display().to_string())?;
    }
    // Before they are recorded, so that worse figures do not replace better ones.
    recorded.map_or(Ok(()), |recorded| recorded.check(figures))?;
    if options.record {
        record(stage, options, figures)?;
    }
    Ok(())
}

/// Replaces what stands between the marks in [`PAGE`].
fn record(stage: &Stage, options: &Options, figures: &Figures) -> Result<()> {
    let page = crate::top().join(PAGE);
    let text = std::fs::read_to_string(&page).context(PAGE)?;
    let (before, rest) = text.split_once(BEGIN).context("no mark to write after")?;
    let (_, after) = rest.split_once(END).context("no mark to write before")?;
    let mut table = String::from(HEADER);
    for case in CASES {
        for rival in case.rivals {
            if figures
                .get(&format!("{}.{}.rate", case.name, rival.name()))
                .is_some()
            {
                table.extend(["\n", &row(figures, case.name, rival.name())]);
            }
        }
    }
    let ratios = serde_json::to_string_pretty(&ratios(figures))?;
    let recorded = format!(
        "{before}{BEGIN}\n\n{}; {} rounds of {} s.\n{table}\n{}\n{}\n\n\
         `--check` compares with these ratios:\n\n```json\n{ratios}\n```\n\n{END}{after}",
        stage.machine,
        options.rounds,
        options.seconds,
        list(figures, OTHERS),
        budgets(figures),
    );
    std::fs::write(page, recorded)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_place_for_the_record() {
        let page = std::fs::read_to_string(crate::top().join(PAGE)).expect("the page");
        let (_, rest) = page.split_once(BEGIN).expect("a mark to write after");
        assert!(rest.contains(END));
    }
}
