//! What this process uses of the machine, read from `/proc`. Systems without it have no such
//! metrics.

use std::fmt;
use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};

use crate::service::metrics::Page;

/// Writes the metrics that every Prometheus client library has under these names.
pub(super) fn describe(page: &mut Page<'_>) -> fmt::Result {
    if let Some(usage) = usage() {
        page.gauge(
            "process_resident_memory_bytes",
            "Resident memory",
            usage.resident,
        )?;
        page.counter(
            "process_cpu_seconds",
            "Processor time, of user and system",
            usage.cpu,
        )?;
        page.gauge(
            "process_start_time_seconds",
            "When the process started, in Unix time",
            usage.started,
        )?;
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        page.gauge("process_open_fds", "Open files and sockets", files.count())?;
    }
    Ok(())
}

struct Usage {
    resident: u64,
    cpu: f64,
    started: f64,
}

#[expect(clippy::cast_precision_loss, reason = "ticks of years are exact")]
fn usage() -> Option<Usage> {
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
