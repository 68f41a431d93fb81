//! One attack on a new server, as a row of a table.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::force::{AttackCounts, Force};
use super::list::Attack;
use super::steady::{PACE, Seen, Steady};
use super::usage::{Usage, unsent};
use crate::client;
use crate::mirror::Mirror;

/// The time between two looks at the server.
const LOOK: Duration = Duration::from_millis(500);

/// What an attack cost the server, or what the server used without an attack.
#[derive(Debug, Clone)]
pub struct Row {
    /// The attack's name.
    pub name: &'static str,
    /// How long the measurement took.
    pub time: Duration,
    /// What the attacker did.
    pub attacker: AttackCounts,
    /// The most connections that the server held at any look.
    pub connections: usize,
    /// The server's most resident memory since its start, in bytes.
    pub peak_resident: usize,
    /// The most bytes, at any look, that the server had sent and clients had not taken.
    pub unsent: usize,
    /// The server's processor time.
    pub cpu: Duration,
    /// What the well-behaved client saw.
    pub seen: Seen,
}

/// The head of the table, and a key to its columns.
pub fn header() -> String {
    format!(
        "Attacker: connections made and requests written a second. Server: most connections held, \
         most resident memory, most bytes written but not taken by clients (they lie in the \
         kernel), processor seconds a second. Client: GET /films every {} ms, every tenth on a new \
         connection.\n\n\
         | attack | connections/s | requests/s | held | resident, MiB | unsent, MiB | CPU, s/s | \
         p50, ms | p99, ms | failed |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        PACE.as_millis()
    )
}

impl Row {
    /// The row in Markdown.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn markdown(&self) -> String {
        let seconds = self.time.as_secs_f64();
        let per_second = |count: u64| count as f64 / seconds;
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        let ms = |percent| self.seen.percentile(percent).as_secs_f64() * 1000.0;
        let mut row = String::new();
        let _ = write!(
            row,
            "| {} | {:.0} | {:.0} | {} | {:.0} | {:.0} | {:.2} | {:.1} | {:.1} | {} of {} |",
            self.name,
            per_second(self.attacker.connections),
            per_second(self.attacker.requests),
            self.connections,
            mib(self.peak_resident),
            mib(self.unsent),
            self.cpu.as_secs_f64() / seconds,
            ms(50),
            ms(99),
            self.seen.failed,
            self.seen.times.len(),
        );
        row
    }
}

/// Measures one attack on a new server for `time`; without an attack, measures the server at rest.
///
/// # Panics
///
/// When the server does not start, or dies.
pub async fn measure(mirror: &Mirror, attack: Option<&Attack>, time: Duration) -> Row {
    let server = mirror.server(&[]).await;
    let expected = client::get(&format!("{}/films", server.url())).await.body;
    let pid = server.process.pid();
    let address: SocketAddr = server.address.parse().expect("the server logs its address");
    let before = Usage::of(pid);
    let force =
        attack.map(|attack| Force::start(address, attack.connections, attack.manner.clone()));
    let steady = Steady::start(&server.url(), expected);

    let began = Instant::now();
    let (mut connections, mut queued) = (0, 0);
    while began.elapsed() < time {
        sleep(LOOK.min(time)).await;
        connections = connections.max(Usage::of(pid).sockets.saturating_sub(before.sockets));
        queued = queued.max(unsent(address));
    }
    let (after, time) = (Usage::of(pid), began.elapsed());
    let attacker = force.as_ref().map(Force::counts).unwrap_or_default();
    let seen = steady.stop().await;
    drop(force);
    Row {
        name: attack.map_or("(none)", |attack| attack.name),
        time,
        attacker,
        connections,
        peak_resident: after.peak_resident,
        unsent: queued,
        cpu: after.cpu.saturating_sub(before.cpu),
        seen,
    }
}
