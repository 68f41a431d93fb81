//! How many films, and how much of the release log, the cache and each poller's memory surely know.

use std::time::Duration;

use crate::chaos::schedule::POLLERS;

/// After this time without trouble, a poller surely remembers what the cache held at its
/// beginning: a standby looks at every trigger, or at least every five seconds.
const FOLLOWS: Duration = Duration::from_secs(7);

#[derive(Debug, Default)]
pub(super) struct Copies {
    /// `None` once the cache is lost, until somebody has written it again.
    cache: Option<Copy>,
    /// What the cache held at an earlier moment.
    earlier: Option<(Duration, Copy)>,
    pollers: [Poller; POLLERS],
}

/// What one copy knows.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Copy {
    /// The first films of the upstream's list.
    pub(super) films: usize,
    /// The first entries of the release log.
    pub(super) log: usize,
}

#[derive(Debug, Default, Clone, Copy)]
struct Poller {
    /// The process, if it runs.
    pid: Option<u32>,
    away: bool,
    calm_since: Duration,
    memory: Option<Copy>,
}

/// While the cache is lost: the least number of films that the restored cache will know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    /// If the poller in reach that remembers most restores the cache.
    pub(super) in_reach: usize,
    /// If any poller in reach restores it first; zero if one of them may be new, because that
    /// poller cannot know that the cache was ever filled.
    pub(super) for_sure: usize,
}

impl Copies {
    pub(super) fn started(&mut self, poller: usize, pid: u32, now: Duration) {
        self.pollers[poller] = Poller {
            pid: Some(pid),
            calm_since: now,
            ..Poller::default()
        };
    }

    pub(super) fn died(&mut self, poller: usize) {
        self.pollers[poller] = Poller::default();
    }

    pub(super) fn away(&mut self, poller: usize, away: bool, now: Duration) {
        self.pollers[poller].away = away;
        self.pollers[poller].calm_since = now;
    }

    /// The poller with this name, which contains its process id, has just committed this.
    pub(super) fn committed(&mut self, name: &str, copy: Copy) {
        let is_it = |poller: &&mut Poller| {
            let pid = poller.pid.filter(|_| !poller.away);
            pid.is_some_and(|pid| name.contains(&format!("-{pid}-")))
        };
        if let Some(poller) = self.pollers.iter_mut().find(is_it) {
            poller.remember(copy);
        }
    }

    /// The cache holds this now. It is `whole` if no poller can remember anything else.
    pub(super) fn stored(&mut self, now: Duration, copy: Copy, whole: bool) {
        self.cache = Some(copy);
        if !whole {
            self.earlier = None;
            return;
        }
        let (since, earlier) = *self.earlier.get_or_insert((now, copy));
        if since + FOLLOWS > now {
            return;
        }
        let runs = |poller: &&mut Poller| poller.pid.is_some() && !poller.away;
        for poller in self.pollers.iter_mut().filter(runs) {
            if poller.calm_since <= since {
                poller.remember(earlier);
            }
        }
        self.earlier = Some((now, copy));
    }

    /// No poller could work with the cache until now.
    pub(super) fn cache_in_trouble(&mut self, now: Duration) {
        for poller in &mut self.pollers {
            poller.calm_since = now;
        }
    }

    pub(super) fn cache_lost(&mut self) {
        self.cache = None;
        self.earlier = None;
    }

    /// What remains of a lost cache; `None` while the cache is not lost.
    pub(super) fn left(&self) -> Option<Left> {
        if self.cache.is_some() {
            return None;
        }
        let runs = |poller: &&Poller| poller.pid.is_some() && !poller.away;
        let within_reach = || self.pollers.iter().filter(runs).map(|poller| poller.memory);
        let in_reach = within_reach().flatten().map(|memory| memory.films).max();
        let in_reach = in_reach.unwrap_or(0);
        let for_sure = if within_reach().any(|memory| memory.is_none()) {
            0
        } else {
            in_reach
        };
        Some(Left { in_reach, for_sure })
    }

    /// How much of the release log is in the cache, or in the memory of any living poller, even one
    /// that is away.
    pub(super) fn logged(&self) -> usize {
        let memories = self.pollers.iter().filter_map(|poller| poller.memory);
        let all = memories.chain(self.cache);
        all.map(|copy| copy.log).max().unwrap_or(0)
    }
}

impl Poller {
    fn remember(&mut self, copy: Copy) {
        let memory = self.memory.get_or_insert_default();
        memory.films = memory.films.max(copy.films);
        memory.log = memory.log.max(copy.log);
    }
}
