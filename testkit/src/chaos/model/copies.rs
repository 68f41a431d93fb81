//! How many films, and which release log, the cache and each poller's memory know.

use crate::chaos::trouble::POLLERS;

#[derive(Debug, Default)]
pub(super) struct Copies {
    /// `None` once the cache is lost, until a sync has certainly written it again.
    cache: Option<Copy>,
    pollers: [Poller; POLLERS],
}

#[derive(Debug, Default, Clone, Copy)]
struct Copy {
    films: usize,
    /// Whether this copy has the release log, not a new log of a poller that did not know the old
    /// one.
    has_log: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Poller {
    runs: bool,
    memory: Option<Copy>,
    away: bool,
    /// The model may learn of this poller's last sync before the loss only after the loss.
    may_tell_of_the_past: bool,
}

/// While the cache is lost: the least number of films that the restored cache will know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    /// If the poller in reach that remembers most restores the cache.
    pub(super) in_reach: usize,
    /// If any poller in reach restores it first; zero if one of them has just started, because that
    /// poller cannot know that the cache was ever filled.
    pub(super) for_sure: usize,
}

impl Copies {
    pub(super) fn memory(&self, poller: usize) -> Option<usize> {
        self.pollers[poller].memory.map(|memory| memory.films)
    }

    pub(super) fn committed(&mut self, poller: usize, films: usize) {
        // If several pollers may restore the cache, the model cannot know whose log will count.
        let mut others = (0..POLLERS).filter(|other| *other != poller);
        let begins_the_log = self.with_log().next().is_none()
            && others.all(|other| self.pollers[other].memory.is_none());
        let in_cache = self.cache.is_some_and(|cache| cache.has_log);
        let poller = &mut self.pollers[poller];
        let remembered = poller.memory.is_some_and(|memory| memory.has_log);
        let has_log = begins_the_log || in_cache || remembered;
        poller.runs = true;
        poller.memory = Some(Copy { films, has_log });
        if !std::mem::take(&mut poller.may_tell_of_the_past) {
            let films = self.cache.map_or(films, |cache| cache.films.max(films));
            self.cache = Some(Copy { films, has_log });
        }
    }

    pub(super) fn remembered(&mut self, poller: usize, films: usize) {
        let in_cache = self.cache.is_some_and(|cache| cache.has_log);
        let memory = self.pollers[poller].memory.get_or_insert_default();
        memory.films = memory.films.max(films);
        memory.has_log |= in_cache;
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

    /// The cache has this many films, and its release log counts.
    pub(super) fn settled(&mut self, films: usize) {
        let has_log = true;
        self.cache = Some(Copy { films, has_log });
    }

    /// What remains of a lost cache; `None` while the cache is not lost.
    pub(super) fn left(&self) -> Option<Left> {
        if self.cache.is_some() {
            return None;
        }
        let within_reach = || {
            self.pollers
                .iter()
                .filter(|poller| poller.runs && !poller.away)
        };
        let films = within_reach().filter_map(|poller| poller.memory);
        let in_reach = films.map(|memory| memory.films).max().unwrap_or(0);
        let is_anyone_new = within_reach().any(|poller| poller.memory.is_none());
        let for_sure = if is_anyone_new { 0 } else { in_reach };
        Some(Left { in_reach, for_sure })
    }

    /// How many films the release log contains, in the cache or in the memory of any living poller,
    /// even one that is away.
    pub(super) fn logged(&self) -> usize {
        self.with_log().map(|copy| copy.films).max().unwrap_or(0)
    }

    fn with_log(&self) -> impl Iterator<Item = Copy> {
        let memories = self.pollers.iter().filter_map(|poller| poller.memory);
        let all = memories.chain(self.cache);
        all.filter(|copy| copy.has_log)
    }
}
