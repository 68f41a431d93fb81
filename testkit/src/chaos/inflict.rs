//! How each trouble starts, and how it ends.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::clock;
use super::record::Record;
use super::schedule::{Node, POLLERS, Planned, Trouble};
use super::stack::{Slot, Stack};
use crate::process::Signal;
use crate::proxy::Network;
use crate::redis::Redis;
use crate::upstream::{Fault, RequestCounts, Upstream};

/// The password that Redis demands for a while.
const PASSWORD: &str = "nobody-knows";

/// Starts a trouble, and waits until it is over.
pub(super) async fn inflict(stack: &Stack, record: &Record, planned: Planned) {
    let Planned { lasts, trouble, .. } = planned;
    if matches!(trouble, Trouble::ClockJump(..)) && !clock::can_be_wrong() {
        return;
    }
    let times = record.with(|known| {
        let times = known.figures.troubles.entry(trouble.kind()).or_default();
        *times += 1;
        *times
    });
    record.log_event(&format!("{trouble:?} for {:.1} s", lasts.as_secs_f64()));
    match trouble {
        Trouble::Kill(node) => {
            if let Node::Reader(reader) = node {
                record.with(|known| known.model.interrupt_reader(reader));
            }
            stack.slot(node).kill(record).await;
            sleep(lasts).await;
            stack.slot(node).start(record).await;
        }
        Trouble::Freeze(node) => {
            away(record, node, true);
            if let Node::Reader(reader) = node {
                record.with(|known| known.model.interrupt_reader(reader));
            } else {
                record.with(|known| known.wrong_time = true);
            }
            stack.slot(node).signal(Signal::Stop).await;
            sleep(lasts).await;
            stack.slot(node).signal(Signal::Cont).await;
            if let Node::Reader(reader) = node {
                record.with(|known| known.model.reader_back(reader));
            }
            away(record, node, false);
        }
        Trouble::Cut(node) => network(stack.slot(node), record, Network::Cut, lasts).await,
        Trouble::Stall(node) => network(stack.slot(node), record, Network::Stalls, lasts).await,
        Trouble::ClockJump(poller, seconds) => {
            let Some(clock) = &stack.slot(Node::Poller(poller)).clock else {
                return;
            };
            record.with(|known| known.wrong_time = true);
            for seconds in [seconds, 0] {
                clock.set(seconds);
                out_of_turn(record);
                sleep(lasts / 2).await;
            }
        }
        Trouble::LoseEverything => lose_everything(stack, record, lasts).await,
        Trouble::Flush => flush(stack, record).await,
        Trouble::Release => release(&stack.upstream, record),
        Trouble::Change => change(&stack.upstream, times),
        Trouble::Withdraw => withdraw(&stack.upstream, times, lasts).await,
        Trouble::UpstreamDown | Trouble::Upstream(..) | Trouble::LeaseStolen => {
            upstream(stack, record, trouble, lasts).await;
        }
        of_redis => {
            let mut redis = stack.redis().await;
            redis_trouble(&mut redis, of_redis, lasts).await;
            let now = record.now();
            record.with(|known| known.model.cache_in_trouble(now));
            out_of_turn(record);
        }
    }
}

/// A poller becomes unable to work, or able again. A reader still serves.
fn away(record: &Record, node: Node, away: bool) {
    let Node::Poller(poller) = node else { return };
    let now = record.now();
    record.with(|known| {
        known.model.poller_away(poller, away, now);
        if !away {
            known.share.out_of_turn(now);
        }
    });
}

fn out_of_turn(record: &Record) {
    let now = record.now();
    record.with(|known| known.share.out_of_turn(now));
}

async fn network(slot: &Slot, record: &Record, network: Network, lasts: Duration) {
    away(record, slot.node, true);
    slot.proxy.set(network);
    sleep(lasts).await;
    slot.proxy.set(Network::Works);
    away(record, slot.node, false);
}

async fn redis_trouble(redis: &mut Redis, trouble: Trouble, lasts: Duration) {
    match trouble {
        Trouble::RedisKill => {
            redis.kill().await;
            sleep(lasts).await;
            redis.restart().await;
        }
        Trouble::RedisFreeze => {
            redis.pause();
            sleep(lasts).await;
            redis.resume();
        }
        Trouble::ReadOnly => {
            redis.cli(&["REPLICAOF", "127.0.0.1", "1"]).await;
            sleep(lasts).await;
            redis.cli(&["REPLICAOF", "NO", "ONE"]).await;
        }
        Trouble::OutOfMemory => {
            redis.cli(&["CONFIG", "SET", "maxmemory", "1"]).await;
            sleep(lasts).await;
            redis.cli(&["CONFIG", "SET", "maxmemory", "0"]).await;
        }
        Trouble::NoAuth => {
            redis.cli(&["CONFIG", "SET", "requirepass", PASSWORD]).await;
            // Connected clients have already logged in with the right password.
            with_password(redis, &["CLIENT", "KILL", "TYPE", "normal"]).await;
            with_password(redis, &["CLIENT", "KILL", "TYPE", "pubsub"]).await;
            sleep(lasts).await;
            with_password(redis, &["CONFIG", "SET", "requirepass", ""]).await;
        }
        other => unreachable!("no trouble of Redis: {other:?}"),
    }
}

async fn with_password(redis: &Redis, command: &[&str]) {
    let password = ["--no-auth-warning", "-a", PASSWORD];
    redis.cli(&[&password, command].concat()).await;
}

/// Empties the cache. The model learns what was in it at the last moment.
async fn flush(stack: &Stack, record: &Record) {
    for poller in 0..POLLERS {
        stack.slot(Node::Poller(poller)).hear(record).await;
    }
    stack.look(record, "", "redis.call('FLUSHALL')").await;
    // The lease is gone too, perhaps in the middle of a cycle.
    out_of_turn(record);
}

async fn lose_everything(stack: &Stack, record: &Record, lasts: Duration) {
    for poller in 0..POLLERS {
        stack.slot(Node::Poller(poller)).kill(record).await;
    }
    flush(stack, record).await;
    sleep(lasts).await;
    for poller in 0..POLLERS {
        stack.slot(Node::Poller(poller)).start(record).await;
    }
}

async fn upstream(stack: &Stack, record: &Record, trouble: Trouble, lasts: Duration) {
    let upstream = &stack.upstream;
    let fault = |begins| {
        let now = record.now();
        record.with(|known| known.share.fault(begins, now));
    };
    fault(true);
    match trouble {
        Trouble::Upstream(Some(collection), fault) => upstream.misbehave_on(collection, fault),
        Trouble::Upstream(None, fault) => upstream.misbehave(fault),
        Trouble::LeaseStolen => steal_the_lease(stack, record).await,
        _ => upstream.go_down(),
    }
    sleep(lasts).await;
    upstream.behave();
    upstream.come_back();
    fault(false);
}

/// Gives the lease to a poller that never commits, in the middle of a cycle that has a film to
/// commit. The lease then expires.
async fn steal_the_lease(stack: &Stack, record: &Record) {
    stack.upstream.misbehave_on("species", Fault::Stall);
    release(&stack.upstream, record);
    let before = stack.upstream.counts().requests;
    let is_asked = |counts: &RequestCounts| counts.requests > before;
    let asked = stack.upstream.wait_for("a cycle", is_asked);
    // There is no cycle while the pollers are in trouble.
    let _ = tokio::time::timeout(Duration::from_secs(2), asked).await;
    let steal = "redis.call('SET', '{ghibli}:lease', 'thief', 'PX', 5000)";
    stack.look(record, steal, "").await;
    out_of_turn(record);
}

fn release(upstream: &Upstream, record: &Record) {
    let now = record.now();
    record.with(|known| {
        known.figures.released += 1;
        let id = upstream.release(&format!("Film {}", known.figures.released));
        known.model.film_released(id, now);
    });
}

fn change(upstream: &Upstream, times: usize) {
    upstream.edit(|catalogue| {
        let films = films(catalogue);
        let film = times * 7 % films.len();
        films[film]["rt_score"] = times.to_string().into();
    });
}

/// Withdraws a film of the baseline, which every mirror has already seen. The film returns to its
/// place, so that a mirror that starts anew finds the same order.
async fn withdraw(upstream: &Upstream, times: usize, lasts: Duration) {
    let baseline = crate::catalogue()["films"].as_array().map_or(1, Vec::len);
    let place = times * 5 % baseline;
    let film = upstream.edit(|catalogue| films(catalogue).remove(place));
    sleep(lasts).await;
    upstream.edit(|catalogue| films(catalogue).insert(place, film));
}

fn films(catalogue: &mut Value) -> &mut Vec<Value> {
    catalogue["films"].as_array_mut().expect("a list of films")
}
