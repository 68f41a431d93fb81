//! How each trouble starts, and how it ends.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::clock;
use super::record::Record;
use super::schedule::{Node, POLLERS, Planned, Trouble};
use super::stack::Stack;
use crate::process::Signal;
use crate::proxy::Network;
use crate::redis::Redis;
use crate::upstream::{Fault, RequestCounts, Upstream};

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
            stack.slot(node).kill(record).await;
            sleep(lasts).await;
            stack.slot(node).start(record).await;
        }
        Trouble::Freeze(node) => {
            away(record, node, true);
            record.with(|known| known.wrong_time |= matches!(node, Node::Poller(_)));
            stack.slot(node).signal(Signal::Stop).await;
            sleep(lasts).await;
            stack.slot(node).signal(Signal::Cont).await;
            away(record, node, false);
        }
        Trouble::Network(network, node) => {
            away(record, node, true);
            stack.slot(node).proxy.set(network);
            sleep(lasts).await;
            stack.slot(node).proxy.set(Network::Works);
            away(record, node, false);
        }
        Trouble::ClockJump(poller, seconds) => {
            record.with(|known| known.wrong_time = true);
            for seconds in [seconds, 0] {
                if let Some(clock) = &stack.slot(Node::Poller(poller)).clock {
                    clock.set(seconds);
                }
                out_of_turn(record);
                sleep(lasts / 2).await;
            }
        }
        Trouble::LoseMemory | Trouble::LoseEverything => {
            let pollers = || (0..POLLERS).map(|poller| stack.slot(Node::Poller(poller)));
            for poller in pollers() {
                poller.kill(record).await;
            }
            if trouble == Trouble::LoseEverything {
                flush(stack, record).await;
            }
            sleep(lasts).await;
            for poller in pollers() {
                poller.start(record).await;
            }
        }
        Trouble::Flush => flush(stack, record).await,
        Trouble::Receiver(taking) => {
            stack.receiver.take(Some(taking));
            sleep(lasts).await;
            stack.receiver.take(None);
        }
        Trouble::Release => release(&stack.upstream, record),
        Trouble::Change => stack.upstream.edit(|catalogue| {
            let films = films(catalogue);
            let film = times * 7 % films.len();
            films[film]["rt_score"] = times.to_string().into();
        }),
        Trouble::Withdraw => withdraw(&stack.upstream, times, lasts).await,
        Trouble::UpstreamDown | Trouble::Upstream(..) | Trouble::LeaseStolen => {
            upstream(stack, record, trouble, lasts).await;
        }
        of_redis => {
            let mut redis = stack.redis.lock().await;
            redis_trouble(&mut redis, of_redis, lasts).await;
            let now = record.now();
            record.with(|known| known.model.cache_in_trouble(now));
            out_of_turn(record);
        }
    }
}

/// A poller becomes unable to work, or able again. A reader still serves.
fn away(record: &Record, node: Node, away: bool) {
    if let Node::Poller(poller) = node {
        let now = record.now();
        record.with(|known| known.model.poller_away(poller, away, now));
        out_of_turn(record);
    }
}

fn out_of_turn(record: &Record) {
    let now = record.now();
    record.with(|known| known.share.out_of_turn(now));
}

async fn flush(stack: &Stack, record: &Record) {
    stack.flush(record).await;
    // The lease is gone too, perhaps in the middle of a cycle.
    out_of_turn(record);
}

async fn redis_trouble(redis: &mut Redis, trouble: Trouble, lasts: Duration) {
    let (begin, end): (&[&str], &str) = match trouble {
        Trouble::RedisKill => {
            redis.kill().await;
            sleep(lasts).await;
            return redis.restart().await;
        }
        Trouble::RedisFreeze => {
            redis.pause();
            sleep(lasts).await;
            return redis.resume();
        }
        Trouble::ReadOnly => (&["REPLICAOF 127.0.0.1 1"], "REPLICAOF NO ONE"),
        Trouble::OutOfMemory => (&["CONFIG SET maxmemory 1"], "CONFIG SET maxmemory 0"),
        // Connected clients have already logged in, so their connections end too.
        Trouble::NoAuth => (
            &[
                "CONFIG SET requirepass nobody-knows",
                "CLIENT KILL TYPE normal",
                "CLIENT KILL TYPE pubsub",
            ],
            "CONFIG SET requirepass ",
        ),
        other => unreachable!("no trouble of Redis: {other:?}"),
    };
    let cli = async |command: &str| {
        let mut words = vec!["--no-auth-warning", "-a", "nobody-knows"];
        words.extend(command.split(' '));
        redis.cli(&words).await;
    };
    for command in begin {
        cli(command).await;
    }
    sleep(lasts).await;
    cli(end).await;
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
