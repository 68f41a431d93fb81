//! How each trouble starts, and how it ends.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::record::Record;
use super::schedule::Planned;
use super::stack::{Slot, Stack};
use super::trouble::{Node, POLLERS, Trouble};
use crate::process::Signal;
use crate::proxy::Network;
use crate::redis::Redis;
use crate::upstream::Upstream;

/// The password that Redis demands for a while.
const PASSWORD: &str = "nobody-knows";

/// Starts a trouble, and waits until it is over.
pub(super) async fn inflict(stack: &Stack, record: &Record, planned: Planned) {
    let Planned { lasts, trouble, .. } = planned;
    if let Trouble::Kill(Node::Reader(reader)) | Trouble::Freeze(Node::Reader(reader)) = trouble
        && !record.with(|known| known.model.interrupt_reader(reader))
    {
        record.with(|known| known.figures.held_back += 1);
        record.log_event(&format!(
            "held back, no other reader could answer: {trouble}"
        ));
        return;
    }
    if matches!(trouble, Trouble::ClockJump(..)) && !super::clock::can_be_wrong() {
        record.with(|known| known.figures.held_back += 1);
        return;
    }
    record.with(|known| *known.figures.troubles.entry(trouble.kind()).or_default() += 1);
    let time = match lasts {
        Duration::ZERO => String::new(),
        lasts => format!(", for {:.1} s", lasts.as_secs_f64()),
    };
    record.log_event(&format!("{trouble}{time}"));
    match trouble {
        Trouble::Kill(node) => {
            stack.slot(node).kill(record).await;
            sleep(lasts).await;
            stack.slot(node).start(record).await;
        }
        Trouble::Freeze(node) => {
            away(record, node);
            stack.slot(node).signal(Signal::Stop).await;
            sleep(lasts).await;
            stack.slot(node).signal(Signal::Cont).await;
            back(record, node);
        }
        Trouble::Cut(node) => network(stack.slot(node), record, Network::Cut, lasts).await,
        Trouble::Stall(node) => network(stack.slot(node), record, Network::Stalls, lasts).await,
        Trouble::ClockJump(poller, seconds) => {
            let Some(clock) = &stack.slot(Node::Poller(poller)).clock else {
                return;
            };
            clock.set(seconds);
            out_of_turn(record);
            sleep(lasts).await;
            clock.set(0);
            out_of_turn(record);
        }
        Trouble::LoseEverything => lose_everything(stack, record, lasts).await,
        Trouble::Release => release(&stack.upstream, record),
        Trouble::Change => change(&stack.upstream, record),
        Trouble::Withdraw => withdraw(&stack.upstream, record, lasts).await,
        Trouble::UpstreamDown | Trouble::Upstream(..) => {
            upstream(&stack.upstream, record, trouble, lasts).await;
        }
        Trouble::Flush => flush(stack, record).await,
        of_redis => redis(&mut *stack.redis.lock().await, record, of_redis, lasts).await,
    }
}

fn away(record: &Record, node: Node) {
    if let Node::Poller(poller) = node {
        record.with(|known| known.model.poller_away(poller));
    }
}

fn back(record: &Record, node: Node) {
    let now = record.now();
    record.with(|known| match node {
        Node::Poller(poller) => {
            known.model.poller_back(poller);
            known.share.out_of_turn(now);
        }
        Node::Reader(reader) => known.model.reader_resumed(reader),
    });
}

fn out_of_turn(record: &Record) {
    let now = record.now();
    record.with(|known| known.share.out_of_turn(now));
}

/// Without a network, a reader still serves, but a poller cannot work.
async fn network(slot: &Slot, record: &Record, network: Network, lasts: Duration) {
    away(record, slot.node);
    slot.proxy.set(network);
    sleep(lasts).await;
    slot.proxy.set(Network::Works);
    if let Node::Poller(_) = slot.node {
        back(record, slot.node);
    }
}

async fn redis(redis: &mut Redis, record: &Record, trouble: Trouble, lasts: Duration) {
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
    out_of_turn(record);
}

async fn with_password(redis: &Redis, command: &[&str]) {
    let password = ["--no-auth-warning", "-a", PASSWORD];
    redis.cli(&[&password, command].concat()).await;
}

/// Empties the cache. Informs the model before and after, so that the model takes no commit for a
/// later or an earlier one.
async fn flush(stack: &Stack, record: &Record) {
    for poller in 0..POLLERS {
        stack.slot(Node::Poller(poller)).hear(record).await;
    }
    let redis = stack.redis.lock().await;
    record.with(|known| known.model.cache_lost());
    redis.cli(&["FLUSHALL"]).await;
    record.with(|known| known.model.cache_lost());
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

async fn upstream(upstream: &Upstream, record: &Record, trouble: Trouble, lasts: Duration) {
    record.with(|known| known.share.fault_begins());
    match trouble {
        Trouble::Upstream(Some(collection), fault) => upstream.misbehave_on(collection, fault),
        Trouble::Upstream(None, fault) => upstream.misbehave(fault),
        _ => upstream.go_down(),
    }
    sleep(lasts).await;
    upstream.behave();
    upstream.come_back();
    let now = record.now();
    record.with(|known| known.share.fault_ends(now));
}

fn release(upstream: &Upstream, record: &Record) {
    record.with(|known| {
        let title = format!("Film {}", known.model.released().len() + 1);
        let id = upstream.release(&title);
        known.model.film_released(id);
        known.figures.released += 1;
    });
}

fn change(upstream: &Upstream, record: &Record) {
    let changes = record.with(|known| known.figures.troubles["film changed"]);
    upstream.edit(|catalogue| {
        let films = films(catalogue);
        let film = changes * 7 % films.len();
        films[film]["rt_score"] = format!("{changes}").into();
    });
}

/// Withdraws a film of the baseline, which every mirror has already seen. The film returns to its
/// place, so that a mirror that starts anew finds the same order.
async fn withdraw(upstream: &Upstream, record: &Record, lasts: Duration) {
    let withdrawals = record.with(|known| known.figures.troubles["film withdrawn"]);
    let (place, film) = upstream.edit(|catalogue| {
        let place = withdrawals * 5 % crate::catalogue()["films"].as_array().map_or(1, Vec::len);
        (place, films(catalogue).remove(place))
    });
    sleep(lasts).await;
    upstream.edit(|catalogue| films(catalogue).insert(place, film));
}

fn films(catalogue: &mut Value) -> &mut Vec<Value> {
    catalogue["films"].as_array_mut().expect("a list of films")
}
