//! Computes the answers to queries, on separate threads and a few at a time.
//!
//! The costliest allowed query takes hundreds of times as long as a rendered body. On the threads
//! that serve connections, every client would wait for it. Here only clients that send a query
//! themselves wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a caller waits. After two seconds the edge would ask another reader; this is shorter,
/// so that a single query never goes to all readers. It is enough for about seventy of the
/// costliest queries.
const LONGEST_WAIT: Duration = Duration::from_millis(1500);

/// Runs computations on half of the cores at most; the other half stays free for everything else.
#[derive(Clone, Debug)]
pub(crate) struct QueryPool {
    slots: Arc<Semaphore>,
    /// How long a caller waits for its turn.
    wait: Duration,
    load: QueryLoad,
}

/// What the pool has to do, for the metrics.
#[derive(Clone, Debug, Default)]
pub struct QueryLoad {
    /// The callers that wait for a slot.
    pub(crate) waiting: Arc<AtomicU64>,
    /// The callers that waited too long.
    pub(crate) refused: Arc<AtomicU64>,
}

/// A caller that waits, until dropped.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicU64) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// No slot became free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

impl QueryPool {
    pub(crate) fn new(load: QueryLoad) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            slots: Arc::new(Semaphore::new(cores.div_ceil(2))),
            wait: LONGEST_WAIT,
            load,
        }
    }

    /// Runs `work` when a slot is free; callers queue in order. A caller that is dropped while it
    /// waits leaves the queue.
    ///
    /// # Errors
    ///
    /// [`Busy`], when no slot becomes free in time.
    ///
    /// # Panics
    ///
    /// When `work` panics.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let waiting = Waiting::new(&self.load.waiting);
        let slot = timeout(self.wait, self.slots.clone().acquire_owned()).await;
        drop(waiting);
        let slot = slot.map_err(|_| {
            self.load.refused.fetch_add(1, Ordering::Relaxed);
            Busy
        })?;
        let slot = slot.expect("the semaphore is never closed");
        let work = tokio::task::spawn_blocking(move || {
            // `work` keeps its slot to the end, even when the caller is dropped.
            let _slot = slot;
            work()
        });
        match work.await {
            Ok(result) => Ok(result),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_computation_waits_for_a_slot_but_not_too_long_and_a_dropped_one_leaves_the_queue() {
        let pool = QueryPool {
            slots: Arc::new(Semaphore::new(1)),
            wait: Duration::from_millis(100),
            load: QueryLoad::default(),
        };
        let (release, released) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let pool = pool.clone();
            async move { pool.compute(move || released.recv().is_ok()).await }
        });
        while pool.slots.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let waiting = timeout(Duration::from_millis(20), pool.compute(|| ()));
        assert!(waiting.await.is_err(), "there is one slot");
        assert_eq!(pool.compute(|| ()).await, Err(Busy));
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        assert_eq!(
            [count(&pool.load.waiting), count(&pool.load.refused)],
            [0, 1]
        );
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(true));
        assert_eq!(pool.compute(|| 7).await, Ok(7));
    }
}
