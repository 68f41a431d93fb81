//! What goes wrong when: rounds of troubles that only a seed determines.
//!
//! Pure. Each process, Redis and the upstream has a lane of its own. In one lane, troubles follow
//! one another; troubles of different lanes overlap at random. At the end of a round, all its
//! troubles are over.

use std::time::Duration;

use super::random::Random;
use super::trouble::{Node, POLLERS, READERS, Trouble};
use crate::sample::COLLECTIONS;
use crate::upstream::Fault;

/// The time in which troubles begin and end; quiet follows.
pub const ROUND: Duration = Duration::from_secs(18);

/// A trouble with its place in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// When it begins, from the round's start.
    pub at: Duration,
    /// How long it lasts; zero for an event of one moment.
    pub lasts: Duration,
    /// The trouble itself.
    pub trouble: Trouble,
}

/// All rounds of a seed, without an end.
#[derive(Debug, Clone)]
pub struct TroubleSchedule(Random);

/// What else may happen in a round.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Character {
    /// Nothing that changes the cache's content.
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
    pub const fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    fn round(&mut self) -> Vec<Planned> {
        let random = &mut self.0;
        let character = match random.below(8) {
            0 => Character::Forgotten,
            1..=3 => Character::Flushed,
            _ => Character::Plain,
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
        for reader in 0..READERS {
            lane(random, &mut planned, |random| {
                of_process(random, Node::Reader(reader))
            });
        }
        lane(random, &mut planned, of_upstream);
        if character == Character::Plain && random.below(2) == 0 {
            planned.push(Planned {
                at: random.time(0, 8_000),
                lasts: random.time(1_000, 8_000),
                trouble: Trouble::Withdraw,
            });
        }
        edits(random, &mut planned);
        planned.sort_by_key(|planned| planned.at);
        planned
    }
}

impl Iterator for TroubleSchedule {
    type Item = Vec<Planned>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.round())
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
        2 => Trouble::Freeze(node),
        _ => of_network(random, node),
    }
}

/// A trouble that takes a process away for a while; the process returns unchanged.
fn of_network(random: &mut Random, node: Node) -> Trouble {
    let troubles = [
        Trouble::Freeze(node),
        Trouble::Cut(node),
        Trouble::Stall(node),
    ];
    random.pick(&troubles).clone()
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
    if random.below(8) == 0 {
        return Trouble::UpstreamDown;
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
        let trouble = if random.below(3) == 0 {
            Trouble::Change
        } else {
            Trouble::Release
        };
        planned.push(Planned {
            at,
            lasts: Duration::ZERO,
            trouble,
        });
        at += random.time(1_000, 6_000);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_rounds() {
        let rounds = |seed| TroubleSchedule::new(seed).take(20).collect::<Vec<_>>();
        assert_eq!(rounds(7), rounds(7));
        assert_ne!(rounds(7), rounds(8));
    }

    #[test]
    fn every_kind_of_trouble_occurs() {
        let kinds: BTreeSet<_> = TroubleSchedule::new(1)
            .take(300)
            .flatten()
            .map(|planned| planned.trouble.kind())
            .collect();
        // 14 of processes, the network and Redis, 17 of the upstream, 3 edits.
        assert_eq!(kinds.len(), 34, "{kinds:?}");
    }

    #[test]
    fn every_trouble_ends_with_its_round() {
        for planned in TroubleSchedule::new(3).take(300).flatten() {
            assert!(planned.at + planned.lasts <= ROUND, "{planned:?}");
        }
    }

    #[test]
    fn the_cache_is_emptied_only_under_true_clocks_and_with_every_film_listed() {
        let has = |round: &[Planned], wanted: &[&str]| {
            round
                .iter()
                .any(|planned| wanted.contains(&planned.trouble.kind()))
        };
        let (mut flushed, mut plain) = (0, 0);
        for round in TroubleSchedule::new(4).take(300) {
            if has(&round, &["Redis flushed", "everything lost"]) {
                flushed += 1;
                assert!(
                    !has(&round, &["clock jumped", "film withdrawn"]),
                    "{round:?}"
                );
            } else {
                plain += 1;
            }
        }
        assert!(flushed > 60 && plain > 60, "{flushed} and {plain}");
    }
}
