//! The mirror under random troubles. `testkit::chaos` describes the promises and their checks.

use std::time::Duration;

use testkit::chaos::disk::{self, Ran};
use testkit::chaos::{left_out, run};

/// The seed of a plain test run; longer runs have another.
const SEED: u64 = 1;

/// Runs a short time unless `GHIBLI_CHAOS_MINUTES` sets another; `GHIBLI_CHAOS_SEED` chooses the
/// troubles.
#[tokio::test(flavor = "multi_thread")]
async fn the_mirror_keeps_its_promises_under_random_troubles() {
    let variable = |name| Some(std::env::var_os(name)?.into_string().unwrap());
    let minutes = variable("GHIBLI_CHAOS_MINUTES").map_or(0.5, |text| text.parse().unwrap());
    let seed = variable("GHIBLI_CHAOS_SEED").map_or(SEED, |text| text.parse().unwrap());
    let time = Duration::from_secs_f64(minutes * 60.0);
    let left_out = left_out();
    println!("{left_out:?}");
    assert!(
        left_out.is_empty() || std::env::var_os("CI").is_none(),
        "{left_out:?}"
    );
    let outcome = run(seed, time, |line| println!("{line}")).await;
    println!("{outcome}");
    assert!(
        outcome.is_good(),
        "a promise was broken; to replay: cargo xtask chaos --minutes {minutes} --seed {seed}"
    );
    assert!(outcome.figures.answered > 100, "the clients read");
    assert!(outcome.figures.edge_answered > 30 || !left_out.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_takes_nothing_away() {
    match disk::run().await {
        Ok(Ran::Whole { answered }) => assert!(answered > 100, "{answered}"),
        Ok(Ran::NotPermitted(reason)) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "no disk can be mounted: {reason}"
            );
            println!("skipped, no disk can be mounted: {reason}");
        }
        Err(violation) => panic!("{violation}"),
    }
}
