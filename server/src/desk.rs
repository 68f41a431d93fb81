//! Where answers that have to be computed are computed: on threads of their own, a few at a time.
//!
//! The costliest query that is allowed takes hundreds of times as long as a body that is ready. On
//! the threads that serve connections, everybody would wait for it; here only those wait who ask
//! for something to be computed themselves.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Below the two seconds after which the edge asks another reader, so that it never asks all of them
/// for the same, and long enough for some seventy of the costliest queries.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Does so many computations at once that half of the machine is left for everything else.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    seats: Arc<Semaphore>,
    /// How long a caller waits for its turn.
    patience: Duration,
}

/// The turn did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

impl Desk {
    pub(crate) fn new() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            seats: Arc::new(Semaphore::new(cores.div_ceil(2))),
            patience: PATIENCE,
        }
    }

    /// Computes once those are done who came before. A caller that goes away while it waits is
    /// forgotten.
    ///
    /// # Errors
    ///
    /// [`Busy`], when there were too many of them.
    ///
    /// # Panics
    ///
    /// When the computation does.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let seat = timeout(self.patience, self.seats.clone().acquire_owned()).await;
        let seat = seat.map_err(|_| Busy)?;
        let seat = seat.expect("the semaphore is never closed");
        let work = tokio::task::spawn_blocking(move || {
            // Kept to the end even when the caller goes away.
            let _seat = seat;
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
    async fn computations_wait_for_each_other_and_not_for_ever_nor_for_who_went_away() {
        let desk = Desk {
            seats: Arc::new(Semaphore::new(1)),
            patience: Duration::from_millis(100),
        };
        let (release, released) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let desk = desk.clone();
            async move { desk.compute(move || released.recv().is_ok()).await }
        });
        while desk.seats.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let waiting = timeout(Duration::from_millis(20), desk.compute(|| ()));
        assert!(waiting.await.is_err(), "there is one seat");
        assert_eq!(desk.compute(|| ()).await, Err(Busy));
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(true));
        assert_eq!(desk.compute(|| 7).await, Ok(7));
    }
}
