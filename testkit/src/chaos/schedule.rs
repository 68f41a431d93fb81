//! What can go wrong, and when: rounds of troubles that only a seed determines.
//!
//! Pure. Each process, Redis and the upstream has a lane of its own. In one lane, troubles follow
//! one another; troubles of different lanes overlap at random. At the end of a round, all its
//! troubles are over.

use std::time::Duration;

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
    /// SIGSTOP, and SIGCONT later.
    Freeze(Node),
    /// The process cannot connect to Redis.
    Cut(Node),
    /// The process connects to Redis and hears nothing.
    Stall(Node),
    /// A running poller's clock is wrong by this many seconds.
    ClockJump(usize, i64),
    /// Redis is killed, and starts later with its data on disk.
    RedisKill,
    /// Redis is frozen.
    RedisFreeze,
    /// FLUSHALL.
    Flush,
    /// Redis is a replica, which accepts no writes.
    ReadOnly,
    /// Redis has no memory left for writes.
    OutOfMemory,
    /// Redis demands a password that no client has.
    NoAuth,
    /// Both pollers are killed and Redis is flushed, so no process remembers anything.
    LoseEverything,
    /// Nothing listens on the upstream's port.
    UpstreamDown,
    /// The upstream has this fault, everywhere or on one collection.
    Upstream(Option<&'static str>, Fault),
    /// Another poller, which never commits, takes the lease in the middle of a cycle that the
    /// upstream draws out.
    LeaseStolen,
    /// The upstream releases a film.
    Release,
    /// The upstream changes a film's score.
    Change,
    /// The upstream withdraws a film, and lists it again later.
    Withdraw,
}

/// A trouble with its place in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    /// When it begins, from the round's start.
    pub(super) at: Duration,
    /// How long it lasts; zero for an event of one moment.
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

/// All rounds of a seed, without an end.
#[derive(Debug, Clone)]
pub(super) struct TroubleSchedule {
    random: Random,
    round: usize,
}

/// What else may happen in a round.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Character {
    /// The cache keeps its content, and the upstream withdraws a film.
    Plain,
    /// The cache is emptied. Clocks stay right, because a poller that starts anew has only the
    /// clock to number generations. The upstream withdraws nothing, because a mirror that lost
    /// everything cannot know of withdrawn records.
    Flushed,
    /// As `Flushed`, and the pollers lose their memory too.
    Forgotten,
}

impl TroubleSchedule {
    /// The schedule of a seed.
    pub(super) const fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        Self { random, round: 0 }
    }
}

impl Iterator for TroubleSchedule {
    type Item = Vec<Planned>;

    fn next(&mut self) -> Option<Self::Item> {
        let random = &mut self.random;
        self.round += 1;
        // By turns, so that a short run has each kind too.
        let character = match self.round % 4 {
            1 | 3 => Character::Plain,
            0 if random.below(2) == 0 => Character::Forgotten,
            _ => Character::Flushed,
        };
        let mut planned = Vec::new();
        if character == Character::Forgotten {
            planned.push(Planned {
                at: random.time(1_000, 10_000),
                lasts: random.time(200, 4_000),
                trouble: Trouble::LoseEverything,
            });
        } else {
            // In a flushed round, usually one poller keeps its memory and its way to the cache.
            let spared = (character == Character::Flushed && random.below(3) > 0)
                .then(|| random.below(POLLERS));
            for poller in (0..POLLERS).filter(|poller| Some(*poller) != spared) {
                lane(random, &mut planned, |random| {
                    of_poller(random, poller, character)
                });
            }
            lane(random, &mut planned, |random| of_redis(random, character));
        }
        // One reader is never killed or frozen, so that every request can be answered.
        let spared = random.below(READERS);
        for reader in 0..READERS {
            lane(random, &mut planned, |random| match Node::Reader(reader) {
                node if reader == spared => of_network(random, node),
                node => of_process(random, node),
            });
        }
        lane(random, &mut planned, of_upstream);
        if character == Character::Plain {
            planned.push(Planned {
                at: random.time(0, 8_000),
                lasts: random.time(1_000, 8_000),
                trouble: Trouble::Withdraw,
            });
        }
        edits(random, &mut planned);
        planned.sort_by_key(|planned| planned.at);
        Some(planned)
    }
}

/// Fills one lane of a round with troubles and pauses.
fn lane(
    random: &mut Random,
    planned: &mut Vec<Planned>,
    mut trouble: impl FnMut(&mut Random) -> Trouble,
) {
    let mut at = random.time(0, 7_000);
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

fn of_process(random: &mut Random, node: Node) -> Trouble {
    match random.below(6) {
        0 | 1 => Trouble::Kill(node),
        2 | 3 => Trouble::Freeze(node),
        _ => of_network(random, node),
    }
}

/// A trouble that takes a process's network away for a while; the process returns unchanged.
fn of_network(random: &mut Random, node: Node) -> Trouble {
    match random.below(2) {
        0 => Trouble::Cut(node),
        _ => Trouble::Stall(node),
    }
}

fn of_poller(random: &mut Random, poller: usize, character: Character) -> Trouble {
    if character == Character::Plain && random.below(5) == 0 {
        let seconds = [-3600, -90, -5, 5, 90, 3600];
        return Trouble::ClockJump(poller, *random.pick(&seconds));
    }
    of_process(random, Node::Poller(poller))
}

fn of_redis(random: &mut Random, character: Character) -> Trouble {
    if character == Character::Flushed && random.below(2) == 0 {
        return Trouble::Flush;
    }
    let troubles = [
        Trouble::RedisKill,
        Trouble::RedisFreeze,
        Trouble::ReadOnly,
        Trouble::OutOfMemory,
        Trouble::NoAuth,
    ];
    random.pick(&troubles).clone()
}

fn of_upstream(random: &mut Random) -> Trouble {
    let faults = [
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
    ];
    match random.below(6) {
        0 => return Trouble::UpstreamDown,
        1 | 2 => return Trouble::LeaseStolen,
        _ => {}
    }
    let fault = random.pick(&faults).clone();
    // Five bombs a second would be too much work for this machine, not for the poller.
    let is_bomb = matches!(fault, Fault::GzipBomb { .. });
    let on = (is_bomb || random.below(2) == 0).then(|| *random.pick(&COLLECTIONS));
    Trouble::Upstream(on, fault)
}

/// The upstream changes its data.
fn edits(random: &mut Random, planned: &mut Vec<Planned>) {
    let mut at = random.time(0, 4_000);
    while at < ROUND {
        let is_change = random.below(3) == 0;
        planned.push(Planned {
            at,
            lasts: Duration::ZERO,
            trouble: [Trouble::Release, Trouble::Change][usize::from(is_change)].clone(),
        });
        at += random.time(1_000, 6_000);
    }
}

/// Numbers that look random, and are always the same for the same seed, on every machine:
/// Splitmix64, by Sebastiano Vigna, which no dependency update can change.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("a small bound");
        usize::try_from(self.next() % bound).expect("below a usize")
    }

    /// One of these things.
    pub(super) fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }

    /// A time between two bounds in milliseconds.
    fn time(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.next() % (to - from))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_rounds_with_every_kind_of_trouble() {
        let rounds = |seed| TroubleSchedule::new(seed).take(300).collect::<Vec<_>>();
        assert_eq!(rounds(1), rounds(1));
        assert_ne!(rounds(1), rounds(2));
        let all: Vec<_> = rounds(1).into_iter().flatten().collect();
        let kinds: BTreeSet<_> = all.iter().map(|planned| planned.trouble.kind()).collect();
        // 17 of processes, the network and Redis, 17 of the upstream, 3 edits.
        assert_eq!(kinds.len(), 37, "{kinds:?}");
        let late = all
            .iter()
            .find(|planned| planned.at + planned.lasts > ROUND);
        assert_eq!(late, None, "every trouble ends with its round");
    }

    #[test]
    fn the_cache_is_emptied_only_under_true_clocks_and_with_every_film_listed() {
        let (mut flushed, mut plain) = (0, 0);
        for round in TroubleSchedule::new(4).take(300) {
            let kinds: BTreeSet<_> = round.iter().map(|planned| planned.trouble.kind()).collect();
            let has = |kind: &str| kinds.contains(kind);
            if has("Flush") || has("LoseEverything") {
                flushed += 1;
                assert!(!has("ClockJump") && !has("Withdraw"), "{round:?}");
            } else {
                plain += 1;
            }
        }
        assert!(flushed > 60 && plain > 60, "{flushed} and {plain}");
    }
}
