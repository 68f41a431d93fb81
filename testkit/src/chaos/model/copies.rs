//! Who knows how many films: the cache, and each poller's memory.

use crate::chaos::POLLERS;

#[derive(Debug, Default)]
pub(super) struct Copies {
    /// `None` once it is lost, until a sync has certainly written it again.
    cache: Option<usize>,
    pollers: [Poller; POLLERS],
}

#[derive(Debug, Default, Clone, Copy)]
struct Poller {
    runs: bool,
    memory: Option<usize>,
    away: bool,
    /// Its last sync before the loss may be told of after it.
    may_tell_of_the_past: bool,
}

impl Copies {
    pub(super) fn memory(&self, poller: usize) -> Option<usize> {
        self.pollers[poller].memory
    }

    pub(super) fn committed(&mut self, poller: usize, films: usize) {
        let poller = &mut self.pollers[poller];
        poller.runs = true;
        poller.memory = Some(films);
        if !std::mem::take(&mut poller.may_tell_of_the_past) {
            self.cache = self.cache.max(Some(films));
        }
    }

    pub(super) fn remembered(&mut self, poller: usize, films: usize) {
        let memory = &mut self.pollers[poller].memory;
        *memory = (*memory).max(Some(films));
    }

    pub(super) fn started(&mut self, poller: usize) {
        self.pollers[poller] = Poller {
            runs: true,
            ..Poller::default()
        };
    }

    pub(super) fn died(&mut self, poller: usize) {
        self.pollers[poller] = Poller::default();
    }

    pub(super) fn away(&mut self, poller: usize, away: bool) {
        self.pollers[poller].away = away;
    }

    pub(super) fn cache_lost(&mut self) {
        self.cache = None;
        for poller in &mut self.pollers {
            poller.may_tell_of_the_past = true;
        }
    }

    /// While the cache is lost: what will be known once it is restored, at the least.
    ///
    /// That is the most that a poller within reach remembers; but nothing if one has just started,
    /// which may find the empty cache first and cannot tell that it has ever been filled.
    pub(super) fn best_without_cache(&self) -> Option<usize> {
        if self.cache.is_some() {
            return None;
        }
        let within_reach = || {
            self.pollers
                .iter()
                .filter(|poller| poller.runs && !poller.away)
        };
        if within_reach().any(|poller| poller.memory.is_none()) {
            return Some(0);
        }
        let most = within_reach().filter_map(|poller| poller.memory).max();
        Some(most.unwrap_or(0))
    }
}
