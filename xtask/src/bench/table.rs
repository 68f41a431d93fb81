//! The table of servers: runs the cases, and prints a row for each server of each.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::cases::{CASES, Case, Place, Rival};
use super::figures::{Figures, count, mebibytes};
use super::measure::{self, Round, round};
use super::rivals::{self, Running};
use super::stage::{self, Stage};
use super::{Options, report};
use crate::say;

/// How long each server is warmed up.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long the mirror's peak is measured before each round of slowest answers.
const PEAK: Duration = Duration::from_secs(1);

/// The share of the mirror's own peak at which latencies are compared.
const STEADY: f64 = 0.7;

/// Runs all wanted cases.
pub(super) async fn run(stage: &Stage, options: &Options, figures: &mut Figures) -> Result<()> {
    rivals::install_all()?;
    stage.write_bodies().await?;
    say(report::HEADER);
    for case in CASES.iter().filter(|case| options.wants(case.name)) {
        one(stage, options, case, figures)
            .await
            .with_context(|| format!("case {}", case.name))?;
        for rival in case.rivals {
            say(report::row(figures, case.name, rival.name()));
        }
    }
    Ok(())
}

/// A server, its headers, and its rounds.
struct Lane {
    rival: Rival,
    running: Running,
    headers: Vec<(String, String)>,
    body: usize,
    rounds: Vec<Round>,
}

async fn one(stage: &Stage, options: &Options, case: &Case, figures: &mut Figures) -> Result<()> {
    let mut lanes = Vec::new();
    for rival in case.rivals {
        let lane = lane(stage, case, *rival)
            .await
            .with_context(|| rival.name())?;
        round(stage, case, &lane.running, &lane.headers, WARM_UP)
            .await
            .with_context(|| rival.name())?;
        lanes.push(lane);
    }
    let time = Duration::from_secs(options.seconds);
    for _ in 0..options.rounds {
        for lane in &mut lanes {
            let round = round(stage, case, &lane.running, &lane.headers, time).await;
            lane.rounds.push(round.with_context(|| lane.rival.name())?);
        }
    }
    steady(stage, options, case, &lanes, figures).await?;
    for lane in &lanes {
        let name = |figure: &str| format!("{}.{}.{figure}", case.name, lane.rival.name());
        let mut rounds = |figure: &str, of: fn(&Round) -> f64| {
            figures.set_rounds(name(figure), lane.rounds.iter().map(of).collect());
        };
        rounds("rate", |round| round.rate);
        rounds("cpu_us", |round| round.cpu);
        rounds("p50_ms", |round| round.p50);
        rounds("p99_ms", |round| round.p99);
        figures.set(
            name("rss_mib"),
            mebibytes(lane.running.program.spent()?.resident),
        );
        figures.set(name("body_bytes"), count(lane.body));
    }
    Ok(())
}

/// How many rounds of slowest answers go with one round of the rest, as they differ more.
const STEADY_ROUNDS: u32 = 3;

/// The slowest answers at a rate that the mirror still keeps easily.
async fn steady(
    stage: &Stage,
    options: &Options,
    case: &Case,
    lanes: &[Lane],
    figures: &mut Figures,
) -> Result<()> {
    let mirror = &lanes[0];
    let time = Duration::from_secs(options.seconds);
    let mut slowest = vec![Vec::new(); lanes.len()];
    if case.steady.is_empty() {
        return Ok(());
    }
    for _ in 0..options.rounds * STEADY_ROUNDS {
        // Other machines on the same host may slow this one by a third from one minute to the next. It
        // then cannot keep up with a rate that was chosen in a quicker minute.
        let peak = round(stage, case, &mirror.running, &mirror.headers, PEAK).await?;
        for (lane, slowest) in lanes.iter().zip(&mut slowest) {
            if !case.steady.contains(&lane.rival) {
                continue;
            }
            let (running, headers) = (&lane.running, &lane.headers);
            let p99 = measure::p99_at(stage, running, headers, peak.rate * STEADY, time).await;
            slowest.push(p99.with_context(|| lane.rival.name())?);
        }
    }
    for (lane, slowest) in lanes.iter().zip(slowest) {
        if !slowest.is_empty() {
            let name = format!("{}.{}.steady_p99_ms", case.name, lane.rival.name());
            figures.set_rounds(name, slowest);
        }
    }
    Ok(())
}

/// Starts a server and checks its answer.
async fn lane(stage: &Stage, case: &Case, rival: Rival) -> Result<Lane> {
    let running = rival.start(stage, case).await?;
    if case.place == Place::Crowded {
        running.program.move_to(&stage.cores.server)?;
    }
    let headers = match rival {
        Rival::Floor => case
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        _ => rivals::headers(case, running.address, &running.path)?,
    };
    let answer = stage::answer(running.address, &running.path, &headers)?;
    ensure!(
        answer.status() == case.status,
        "status {} instead of {}",
        answer.status(),
        case.status
    );
    Ok(Lane {
        rival,
        running,
        headers,
        body: answer.body().len(),
        rounds: Vec::new(),
    })
}
