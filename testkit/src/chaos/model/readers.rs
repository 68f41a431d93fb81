//! What each reader has shown, and whether it runs.

use crate::chaos::trouble::READERS;

/// The least that a reader must return for a request; the client takes it before it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// At least this many films.
    pub films: usize,
    /// This generation, or a later one.
    pub generation: u64,
    life: u64,
    presence: u64,
    era: u64,
}

/// The readers that could answer when a request began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket([Option<u64>; READERS]);

#[derive(Debug, Default)]
pub(super) struct Readers {
    readers: [Reader; READERS],
    /// Grows when the model's expectations change.
    era: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Reader {
    films: usize,
    generation: u64,
    /// Counts the reader's starts.
    life: u64,
    /// Counts starts, interruptions and resumptions.
    presence: u64,
    /// The run has killed or frozen it, or is about to.
    away: bool,
    /// It runs, and has answered since its start or resumption.
    serves: bool,
}

impl Readers {
    pub(super) fn started(&mut self, reader: usize, films: usize) {
        let reader = &mut self.readers[reader];
        *reader = Reader {
            films,
            generation: 0,
            life: reader.life + 1,
            presence: reader.presence + 1,
            away: false,
            serves: false,
        };
    }

    pub(super) fn interrupt(&mut self, reader: usize) -> bool {
        let mut others = (0..READERS).filter(|other| *other != reader);
        if !others.any(|other| self.readers[other].serves) {
            return false;
        }
        let reader = &mut self.readers[reader];
        reader.presence += 1;
        reader.away = true;
        reader.serves = false;
        true
    }

    pub(super) fn resumed(&mut self, reader: usize) {
        self.readers[reader].presence += 1;
        self.readers[reader].away = false;
    }

    pub(super) fn expect(&self, reader: usize) -> Expected {
        let Reader {
            films,
            generation,
            life,
            presence,
            ..
        } = self.readers[reader];
        Expected {
            films,
            generation,
            life,
            presence,
            era: self.era,
        }
    }

    /// The least that any reader must return.
    pub(super) fn expect_of_any(&self) -> Expected {
        let all = (0..READERS).map(|reader| self.expect(reader));
        all.min_by_key(|expected| expected.films)
            .expect("there are readers")
    }

    pub(super) fn is_outdated(&self, expected: Expected) -> bool {
        expected.era != self.era
    }

    pub(super) fn is_same_life(&self, reader: usize, expected: Expected) -> bool {
        self.readers[reader].life == expected.life
    }

    pub(super) fn answered(&mut self, reader: usize, expected: Expected) {
        let reader = &mut self.readers[reader];
        // An answer counts only if no interruption came between the request and the answer, and if
        // the model does not expect an interruption now.
        reader.serves |= !reader.away && reader.presence == expected.presence;
    }

    pub(super) fn has_shown(&mut self, reader: usize, expected: Expected, films: usize) {
        let reader = &mut self.readers[reader];
        if reader.life == expected.life {
            reader.films = reader.films.max(films);
        }
    }

    pub(super) fn is_at(&mut self, reader: usize, expected: Expected, generation: u64) {
        let reader = &mut self.readers[reader];
        if reader.life == expected.life {
            reader.generation = reader.generation.max(generation);
        }
    }

    /// From here on every reader shows this many films; zero when it may have lost them for a
    /// while.
    pub(super) fn all_show(&mut self, films: usize) {
        self.era += 1;
        for reader in &mut self.readers {
            reader.films = films;
        }
    }

    pub(super) fn ticket(&self) -> Ticket {
        Ticket(
            self.readers
                .map(|reader| reader.serves.then_some(reader.presence)),
        )
    }

    /// Whether a reader of this ticket has been away since the client took the ticket, or is away
    /// now.
    pub(super) fn was_interrupted(&self, ticket: &Ticket) -> bool {
        (0..READERS).any(|reader| {
            ticket.0[reader].is_some_and(|presence| presence != self.readers[reader].presence)
        })
    }

    /// A reader of this ticket that has run ever since.
    pub(super) fn survivor(&self, ticket: &Ticket) -> Option<usize> {
        (0..READERS).find(|&reader| {
            let Reader {
                serves, presence, ..
            } = self.readers[reader];
            serves && ticket.0[reader] == Some(presence)
        })
    }
}
