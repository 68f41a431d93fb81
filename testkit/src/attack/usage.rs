//! What a process uses, as Linux reports it in `/proc`.
//!
//! Memory is the resident set: its peak since the process began, and its present size. Bytes that a
//! server has written and its clients have not taken lie in the kernel and in no process's memory,
//! so [`unsent`] counts them separately.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

/// One reading of a process's use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Open sockets of any kind.
    pub sockets: usize,
    /// Resident memory, in bytes.
    pub resident: usize,
    /// The most resident memory since it began, in bytes.
    pub peak_resident: usize,
    /// Processor time since it began: its own, and the kernel's work for it.
    pub cpu: Duration,
}

impl Usage {
    /// What a process uses now.
    ///
    /// # Panics
    ///
    /// When the process does not exist, or the system is not Linux.
    pub fn of(pid: u32) -> Self {
        let status = read(pid, "status");
        Self {
            sockets: sockets(pid),
            resident: memory(&status, "VmRSS:"),
            peak_resident: memory(&status, "VmHWM:"),
            cpu: cpu(&read(pid, "stat")),
        }
    }
}

/// Bytes that this machine wrote to the connections of an address and that the other sides have not
/// acknowledged.
///
/// # Panics
///
/// When the system is not Linux.
pub fn unsent(address: SocketAddr) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux lists its connections");
    let port = format!(":{:04X}", address.port());
    let queues = table.lines().skip(1).filter_map(|line| {
        // `sl local remote state tx:rx ...`, numbers in hexadecimal.
        let mut columns = line.split_whitespace().skip(1);
        let local = columns.next()?;
        let (sending, _) = columns.nth(2)?.split_once(':')?;
        local
            .ends_with(&port)
            .then(|| usize::from_str_radix(sending, 16).ok())?
    });
    queues.sum()
}

fn read(pid: u32, name: &str) -> String {
    let path = format!("/proc/{pid}/{name}");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

fn sockets(pid: u32) -> usize {
    let path = format!("/proc/{pid}/fd");
    let open = fs::read_dir(&path).unwrap_or_else(|error| panic!("cannot list {path}: {error}"));
    open.filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

/// `VmRSS:     1234 kB`
fn memory(status: &str, name: &str) -> usize {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes = kilobytes.and_then(|number| number.parse::<usize>().ok());
    kilobytes.unwrap_or_else(|| panic!("no {name} in {status}")) << 10
}

/// The 14th and 15th columns, in ticks. The second is a name in brackets that may contain spaces.
fn cpu(stat: &str) -> Duration {
    let (_, columns) = stat.rsplit_once(')').expect("a name in brackets");
    let ticks = columns.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks
        .map(|ticks| ticks.parse::<u64>().expect("ticks are a number"))
        .sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_measured_usage_of_a_process_grows_with_its_usage() {
        let me = std::process::id();
        let before = Usage::of(me);
        // A margin for sockets that other tests of this process close at the same time.
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let listeners: Vec<_> = std::iter::repeat_with(listen).take(64).collect();
        let memory = vec![1_u8; 64 << 20];
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(200) {}
        let after = Usage::of(me);
        assert!(after.sockets > before.sockets, "{before:?} {after:?}");
        assert!(after.resident > before.resident + (32 << 20), "{after:?}");
        assert!(after.peak_resident >= after.resident, "{after:?}");
        assert!(after.cpu > before.cpu, "{before:?} {after:?}");
        drop((listeners, memory));
    }

    #[test]
    fn unread_bytes_count_as_unsent() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let _client = TcpStream::connect(address).expect("a connection");
        let (mut stream, _) = listener.accept().expect("a connection");
        assert_eq!(unsent(address), 0);
        stream.set_nonblocking(true).expect("a mode of sockets");
        while stream.write(&[0; 4 << 10]).is_ok() {}
        assert!(unsent(address) > 0);
    }
}
