//! How many films, and how much of the release log, the cache and each poller's memory surely know.

use std::collections::VecDeque;
use std::time::Duration;

use crate::chaos::schedule::POLLERS;

/// After this time without trouble, a poller surely remembers what the cache held at its
/// beginning: a standby looks at every trigger, or at least every five seconds.
const FOLLOWS: Duration = Duration::from_secs(7);

/// After this time without trouble, a poller has surely restored what it remembers: a standby
/// leaves that to the last leader for fifteen seconds, looks every five, and then syncs.
const RESTORES: Duration = Duration::from_secs(25);

#[derive(Debug, Default)]
pub(super) struct Copies {
    /// `None` once the cache is lost, until somebody has written it again.
    cache: Option<Copy>,
    /// What the cache held at the last looks; the first is the last that every poller knows.
    earlier: VecDeque<(Duration, Copy)>,
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
    /// It lived when the cache was lost, so it may remember more than it surely does.
    may_remember: bool,
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
            self.earlier.clear();
            return;
        }
        self.earlier.push_back((now, copy));
        while matches!(self.earlier.get(1), Some((since, _)) if *since + FOLLOWS <= now) {
            self.earlier.pop_front();
        }
        let (since, earlier) = self.earlier[0];
        for poller in &mut self.pollers {
            let is_calm = poller.pid.is_some() && !poller.away && poller.calm_since <= since;
            if is_calm && since + FOLLOWS <= now {
                poller.remember(earlier);
            }
        }
    }

    /// No poller could work with the cache until now.
    pub(super) fn cache_in_trouble(&mut self, now: Duration) {
        for poller in &mut self.pollers {
            poller.calm_since = now;
        }
    }

    pub(super) fn cache_lost(&mut self) {
        self.cache = None;
        self.earlier.clear();
        for poller in &mut self.pollers {
            poller.may_remember = poller.pid.is_some();
        }
    }

    /// Whether a poller may still restore more of the release log than any surely remembers.
    pub(super) fn may_grow(&self, now: Duration) -> bool {
        let may_restore = |poller: &Poller| poller.calm_since + RESTORES > now;
        let mut pollers = self.pollers.iter();
        pollers.any(|poller| poller.may_remember && may_restore(poller))
    }

    /// How many films a lost cache will surely get back; `None` while the cache is not lost. Zero if
    /// a poller in reach may be new, because it cannot know that the cache was ever filled.
    pub(super) fn left(&self) -> Option<usize> {
        let within_reach = self.pollers.iter();
        let within_reach = within_reach.filter(|poller| poller.pid.is_some() && !poller.away);
        let films = within_reach.map(|poller| Some(poller.memory?.films));
        let films: Option<Vec<usize>> = films.collect();
        let left = films.and_then(|films| films.into_iter().max());
        self.cache.is_none().then(|| left.unwrap_or(0))
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
