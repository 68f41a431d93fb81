//! Tables and JSON.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::Options;
use super::budgets::BUDGETS;
use super::figures::Figures;
use super::stage::Stage;
use crate::say;

/// The page with the recorded ratios.
const PAGE: &str = "docs/performance.md";

/// How much worse than recorded a ratio may be.
const TOLERANCE: f64 = 1.10;

/// The head of the table of servers.
pub(super) const HEADER: &str = "\n\
| case | server | CPU us/request | / floor | / nginx | requests/s | p50 ms | p99 ms | p99 ms at 70 % | MiB | body bytes |\n\
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

/// One server's row.
pub(super) fn row(figures: &Figures, case: &str, server: &str) -> String {
    let get = |server: &str, figure: &str| figures.get(&format!("{case}.{server}.{figure}"));
    let cell = |value: Option<f64>, digits: usize| {
        value.map_or_else(String::new, |value| format!("{value:.digits$}"))
    };
    let figure = |name: &str, digits| cell(get(server, name), digits);
    let ratio = |other: &str| {
        let ratio = get(server, "cpu_us").zip(get(other, "cpu_us"));
        cell(ratio.map(|(own, other)| own / other), 2)
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

/// Prints the figures whose names begin so.
pub(super) fn list(figures: &Figures, prefixes: &[&str]) {
    say("\n| figure | |\n|---|--:|");
    for (name, value) in figures.all() {
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            say(format_args!("| {name} | {value:.3} |"));
        }
    }
}

/// Prints the budgets, writes the JSON, and compares with the recorded ratios if that is wanted.
pub(super) fn finish(stage: &Stage, options: &Options, figures: &Figures) -> Result<()> {
    say("\n| budget | limit | measured | |\n|---|--:|--:|---|");
    let mut ratios = Map::new();
    for budget in BUDGETS {
        let Some(value) = budget.value(figures) else {
            continue;
        };
        let verdict = if budget.is_met(value) {
            "met"
        } else {
            "NOT MET"
        };
        let (name, limit) = (budget.name, budget.limit());
        say(format_args!(
            "| {name} | {limit} | {value:.3} | {verdict} |"
        ));
        if budget.is_ratio() {
            ratios.insert(name.to_owned(), json!((value * 1e3).round() / 1e3));
        }
    }
    if let Some(file) = &options.json {
        let figures: Map<_, _> = figures
            .all()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        let all = json!({ "machine": stage.machine, "figures": figures, "ratios": ratios });
        let text = serde_json::to_string_pretty(&all)?;
        std::fs::write(file, text + "\n").with_context(|| file.display().to_string())?;
    }
    if options.check {
        check(figures)?;
    }
    Ok(())
}

fn check(figures: &Figures) -> Result<()> {
    let page = crate::top().join(PAGE);
    let page = std::fs::read_to_string(page).context(PAGE)?;
    let recorded = recorded(&page).with_context(|| format!("{PAGE} has no JSON block"))?;
    let mut worse = Vec::new();
    for budget in BUDGETS {
        let now = budget.is_ratio().then(|| budget.value(figures)).flatten();
        let before = recorded[budget.name].as_f64();
        let Some((now, before)) = now.zip(before) else {
            continue;
        };
        if budget.worsening(now, before) > TOLERANCE {
            worse.push(format!("{}: {now:.3} instead of {before:.3}", budget.name));
        }
    }
    ensure!(
        worse.is_empty(),
        "worse than {PAGE} by more than a tenth:\n{}",
        worse.join("\n")
    );
    say(format_args!(
        "\nno ratio is more than a tenth worse than in {PAGE}"
    ));
    Ok(())
}

/// The first block of JSON in a page.
fn recorded(page: &str) -> Option<Value> {
    let (_, block) = page.split_once("```json\n")?;
    let (block, _) = block.split_once("```")?;
    serde_json::from_str(block).ok()
}
