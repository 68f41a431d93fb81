//! What all the processes of a process group have used: a server's workers are part of its cost.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// One reading of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Time on a processor since the start, of all threads that still exist.
    pub cpu: Duration,
    /// Resident memory in bytes. Counts pages that processes share once for each.
    pub resident: u64,
}

impl Spent {
    /// What the group's processes have used so far.
    ///
    /// # Errors
    ///
    /// When the group has no process, or the system is not Linux.
    pub fn by_group(group: u32) -> io::Result<Self> {
        let mut all = Self::default();
        let processes = processes(group)?;
        for process in &processes {
            // It may have ended meanwhile.
            let process = Path::new("/proc").join(process);
            all.cpu += cpu(&process).unwrap_or_default();
            all.resident += resident(&process).unwrap_or_default();
        }
        if processes.is_empty() {
            return Err(io::Error::other("no process of the group runs"));
        }
        Ok(all)
    }
}

/// The ids of a group's processes.
///
/// # Errors
///
/// When the system is not Linux.
pub fn processes(group: u32) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        if group_of(&path) == Some(group) {
            let name = path.file_name().unwrap_or_default();
            found.push(name.to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

/// The fifth column of `stat`. The second is a name in brackets that may contain spaces.
fn group_of(process: &Path) -> Option<u32> {
    process.file_name()?.to_str()?.parse::<u32>().ok()?;
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let (_, columns) = stat.rsplit_once(')')?;
    columns.split_whitespace().nth(2)?.parse().ok()
}

/// `schedstat` counts nanoseconds, and `stat` only hundredths of a second.
fn cpu(process: &Path) -> Option<Duration> {
    let threads = fs::read_dir(process.join("task")).ok()?;
    let each = threads.filter_map(|thread| {
        let schedstat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        schedstat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(each.sum()))
}

fn resident(process: &Path) -> Option<u64> {
    let statm = fs::read_to_string(process.join("statm")).ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_group_uses_what_its_processes_use() {
        let group = group_of(
            Path::new("/proc/self")
                .canonicalize()
                .expect("Linux")
                .as_path(),
        );
        let group = group.expect("every process has a group");
        let before = Spent::by_group(group).expect("this process");
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(50) {}
        let after = Spent::by_group(group).expect("this process");
        assert!(after.cpu > before.cpu, "{before:?} {after:?}");
        assert!(after.resident > 0);
    }
}
