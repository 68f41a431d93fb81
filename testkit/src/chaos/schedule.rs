//! What can go wrong, and when: rounds of troubles that only a seed determines.
//!
//! Pure. Each process, Redis and the upstream has a lane of its own. In one lane, troubles follow
//! one another; troubles of different lanes overlap at random. At the end of a round, all its
//! troubles are over.

use std::time::Duration;

use crate::proxy::Network;
use crate::receiver::Taking;
use crate::sample::COLLECTIONS;
use crate::upstream::Fault;

/// How many pollers there are; one of them syncs.
pub(super) const POLLERS: usize = 2;

/// How many readers there are.
pub(super) const READERS: usize = 3;

/// The time in which troubles begin and end; quiet follows.
const ROUND: Duration = Duration::from_secs(18);

/// A process that can get into trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Poller(usize),
    Reader(usize),
}

/// Something that goes wrong for a while, or something that happens upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// SIGKILL, and a new start later.
    Kill(Node),
    Freeze(Node),
    /// The process cannot connect to Redis, or connects and hears nothing.
    Network(Network, Node),
    /// A poller's clock is wrong by this many seconds.
    ClockJump(usize, i64),
    /// Redis is killed, and starts later with its data on disk.
    RedisKill,
    RedisFreeze,
    /// Redis is a replica, which accepts no writes.
    ReadOnly,
    OutOfMemory,
    /// Redis demands a password that no client has.
    NoAuth,
    /// The cache is emptied.
    Flush,
    /// Both pollers are killed, so only the cache remembers anything.
    LoseMemory,
    /// Both pollers are killed and the cache is emptied, so no process remembers anything.
    LoseEverything,
    /// Nothing listens on the upstream's port.
    UpstreamDown,
    /// The upstream has this fault, everywhere or on one collection.
    Upstream(Option<&'static str>, Fault),
    /// Another poller, which never commits, takes the lease in the middle of a cycle that the
    /// upstream draws out.
    LeaseStolen,
    /// The receiver of webhooks takes requests like this.
    Receiver(Taking),
    /// The upstream releases a film.
    Release,
    /// The upstream changes a film's score.
    Change,
    /// The upstream withdraws a film, and lists it again later.
    Withdraw,
}

/// A trouble, when it begins in its round, and how long it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) at: Duration,
    pub(super) lasts: Duration,
    pub(super) trouble: Trouble,
}

impl Trouble {
    /// The kind of trouble, for the figures: its name without which process or which number.
    pub(super) fn kind(&self) -> String {
        let text = match self {
            Self::Upstream(_, fault) => format!("Upstream {fault:?}"),
            other => format!("{other:?}"),
        };
        let words = text.split(|letter: char| !letter.is_alphabetic());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).take(2).collect();
        words.join(" ")
    }
}

/// What else may happen in a round.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Character {
    /// The cache keeps its content, and the upstream withdraws a film.
    Plain,
    /// As `Plain`, and nothing else happens to the pollers and the cache but this: both pollers
    /// start anew at the same time, as in an upgrade, and continue from what the cache holds.
    Restarted,
    /// The cache is emptied. Clocks stay right, because a poller that starts anew has only the
    /// clock to number generations. The upstream withdraws nothing, because a mirror that lost
    /// everything cannot know of withdrawn records.
    Flushed,
    /// As `Flushed`, and nothing else happens to the pollers but this: one remembers everything
    /// and is cut off, and the other starts anew with an empty cache.
    Anew,
    /// As `Flushed`, and the pollers lose their memory too.
    Forgotten,
}

/// All rounds of a seed, without an end. Characters take turns, so that a short run has each.
pub(super) fn rounds(seed: u64) -> impl Iterator<Item = Vec<Planned>> {
    let mut random = Random(seed);
    // Of its own, so that what happens to the receiver leaves the other troubles as they are.
    let mut of_receiver = Random(!seed);
    (0..).map(move |number| {
        let character = match number % 6 {
            0 | 3 => Character::Plain,
            1 => Character::Anew,
            5 => Character::Restarted,
            4 if random.below(2) == 0 => Character::Forgotten,
            _ => Character::Flushed,
        };
        let mut planned = round(&mut random, character);
        lane(&mut of_receiver, &mut planned, 0, |random| {
            Trouble::Receiver(random.pick(&[Taking::Status(503), Taking::Holds]))
        });
        planned.sort_by_key(|planned| planned.at);
        planned
    })
}

fn round(random: &mut Random, character: Character) -> Vec<Planned> {
    let mut planned = Vec::new();
    let mut plan = |at, lasts, trouble| {
        let (at, lasts) = (Duration::from_millis(at), Duration::from_millis(lasts));
        planned.push(Planned { at, lasts, trouble });
    };
    let is_anew = character == Character::Anew;
    if !is_anew {
        plan(0, 1_300, Trouble::LeaseStolen);
    }
    let (at, lasts) = (random.within(1_000, 10_000), random.within(200, 7_000));
    match character {
        Character::Plain => plan(at, lasts, Trouble::Withdraw),
        Character::Restarted => plan(at, lasts, Trouble::LoseMemory),
        Character::Flushed => plan(at, 0, Trouble::Flush),
        Character::Forgotten => plan(at, lasts, Trouble::LoseEverything),
        Character::Anew => {
            let poller = random.below(POLLERS);
            let (remembers, anew) = (Node::Poller(poller), Node::Poller(1 - poller));
            plan(9_000, lasts, Trouble::Network(Network::Cut, remembers));
            plan(9_000, 500, Trouble::Kill(anew));
            plan(9_300, 0, Trouble::Flush);
        }
    }
    if matches!(character, Character::Plain | Character::Flushed) {
        // In a flushed round, usually one poller keeps its memory and its way to the cache.
        let is_one_spared = character == Character::Flushed && random.below(3) > 0;
        let spared = is_one_spared.then(|| random.below(POLLERS));
        for poller in (0..POLLERS).filter(|poller| Some(*poller) != spared) {
            lane(random, &mut planned, 0, |random| {
                of_poller(random, poller, character)
            });
        }
        lane(random, &mut planned, 0, |random| {
            of_redis(random, character)
        });
    }
    // One reader is never killed or frozen, so that every request can be answered.
    let spared = random.below(READERS);
    for reader in 0..READERS {
        lane(random, &mut planned, 0, |random| {
            of_process(random, Node::Reader(reader), reader != spared)
        });
    }
    lane(random, &mut planned, 4_000, of_upstream);
    // The upstream changes its data. A poller that begins anew does so after some calm, in which
    // the other surely learns of everything.
    let mut at = random.time(0, 4_000) + Duration::from_millis(u64::from(is_anew) * 9_500);
    while at < ROUND {
        planned.push(Planned {
            at,
            lasts: Duration::ZERO,
            trouble: random.pick(&[Trouble::Release, Trouble::Release, Trouble::Change]),
        });
        at += random.time(1_000, 6_000);
    }
    planned.sort_by_key(|planned| planned.at);
    planned
}

/// Fills one lane of a round, from that moment on, with troubles and pauses.
fn lane(
    random: &mut Random,
    planned: &mut Vec<Planned>,
    from: u64,
    mut trouble: impl FnMut(&mut Random) -> Trouble,
) {
    let mut at = random.time(from, 7_000);
    loop {
        let lasts = random.time(200, 7_000);
        let trouble = trouble(random);
        if at + lasts > ROUND {
            return;
        }
        planned.push(Planned { at, lasts, trouble });
        at += lasts + random.time(500, 7_000);
    }
}

fn of_process(random: &mut Random, node: Node, may_stop: bool) -> Trouble {
    match random.below(6) {
        0 | 1 if may_stop => Trouble::Kill(node),
        2 | 3 if may_stop => Trouble::Freeze(node),
        which if which % 2 == 0 => Trouble::Network(Network::Cut, node),
        _ => Trouble::Network(Network::Stalls, node),
    }
}

fn of_poller(random: &mut Random, poller: usize, character: Character) -> Trouble {
    if character == Character::Plain && random.below(5) == 0 {
        let seconds = random.pick(&[-3600, -90, -5, 5, 90, 3600]);
        return Trouble::ClockJump(poller, seconds);
    }
    of_process(random, Node::Poller(poller), true)
}

fn of_redis(random: &mut Random, character: Character) -> Trouble {
    if character == Character::Flushed && random.below(3) == 0 {
        return Trouble::Flush;
    }
    random.pick(&[
        Trouble::RedisKill,
        Trouble::RedisFreeze,
        Trouble::ReadOnly,
        Trouble::OutOfMemory,
        Trouble::NoAuth,
    ])
}

fn of_upstream(random: &mut Random) -> Trouble {
    if random.below(8) == 0 {
        return Trouble::UpstreamDown;
    }
    let fault = random.pick(&[
        Fault::Refuse,
        Fault::Stall,
        Fault::Drip,
        Fault::ResetMidBody,
        Fault::Truncate,
        Fault::Html,
        Fault::EmptyObject,
        Fault::EmptyList,
        Fault::NotJson,
        Fault::Status(500),
        Fault::Status(404),
        Fault::RateLimited {
            retry_after: Duration::from_secs(1),
        },
        Fault::RedirectTo("http://127.0.0.1:1/films".to_owned()),
        Fault::GzipBomb {
            decompressed_bytes: 20 << 20,
        },
        Fault::DuplicateIds,
        Fault::DeeplyNested { depth: 10_000 },
        Fault::HalfEmoji,
    ]);
    // Five bombs a second would be too much work for this machine, not for the poller.
    let is_bomb = matches!(fault, Fault::GzipBomb { .. });
    let on = (is_bomb || random.below(2) == 0).then(|| random.pick(&COLLECTIONS));
    Trouble::Upstream(on, fault)
}

/// Numbers that look random, and are always the same for the same seed, on every machine:
/// Splitmix64, by Sebastiano Vigna, which no dependency update can change.
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }

    /// One of these things.
    pub(super) fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())].clone()
    }

    fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }

    /// A time between two bounds in milliseconds.
    fn time(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.within(from, to))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_rounds_with_every_kind_of_trouble() {
        let some = |seed| rounds(seed).take(300).collect::<Vec<_>>();
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
        let mut all = BTreeSet::new();
        for round in some(1) {
            let kinds: BTreeSet<_> = round.iter().map(|planned| planned.trouble.kind()).collect();
            let has = |kind: &str| kinds.contains(kind);
            let is_lossy = has("Flush") || has("LoseEverything");
            assert!(
                !is_lossy || !has("ClockJump") && !has("Withdraw"),
                "{round:?}"
            );
            let mut ends = round.iter().map(|planned| planned.at + planned.lasts);
            assert!(ends.all(|end| end <= ROUND), "{round:?}");
            all.extend(kinds);
        }
        // 16 of processes, the network and Redis, 17 of the upstream, 2 of the receiver, 3 edits.
        assert_eq!(all.len(), 38, "{all:?}");
    }
}
