//! What this process uses of the machine, read from `/proc`. Systems without it have no such
//! figures.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};

/// Files and sockets that are open now.
pub(super) fn open_files() -> Option<usize> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count())
}

/// What a process uses.
pub(super) struct Usage {
    /// Memory, in bytes.
    pub(super) resident: u64,
    /// Processor time, of user and system, in seconds.
    pub(super) cpu: f64,
    /// When it started, in seconds of Unix time.
    pub(super) started: f64,
}

/// What this process uses now.
#[expect(clippy::cast_precision_loss, reason = "ticks of years are exact")]
pub(super) fn usage() -> Option<Usage> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; the field after it is the third.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let (user, system, started, pages) = (field(14)?, field(15)?, field(22)?, field(24)?);
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let booted = machine.lines().find_map(|line| line.strip_prefix("btime "));
    let booted: u64 = booted?.trim().parse().ok()?;
    let seconds = |ticks: u64| ticks as f64 / clock_ticks_per_second() as f64;
    Some(Usage {
        resident: pages * page_size() as u64,
        cpu: seconds(user + system),
        started: booted as f64 + seconds(started),
    })
}
