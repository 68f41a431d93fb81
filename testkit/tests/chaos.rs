//! The mirror under random troubles. `testkit::chaos` describes the promises and their checks.

use std::time::Duration;

use testkit::chaos::{disk, left_out, run};
use testkit::skip;

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
    for left_out in left_out() {
        skip("chaos", left_out);
    }
    match run(seed, time, |line| println!("{line}")).await {
        Ok(figures) => println!("{figures}"),
        Err(broken) => {
            panic!("{broken}\nto replay: cargo xtask chaos --minutes {minutes} --seed {seed}")
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_takes_nothing_away() {
    match disk::run().await {
        Ok(answered) => assert!(answered > 100, "{answered}"),
        Err(reason) => skip("full disk", &format!("no disk can be mounted: {reason}")),
    }
}
