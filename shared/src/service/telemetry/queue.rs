//! The queue between all code that logs and the thread that writes to standard error.
//!
//! Logging never waits and never fails. While the disk behind standard error is full, or nobody
//! reads the pipe, the queue drops lines and counts them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The name of the thread that writes.
const WRITER: &str = "log";

/// How many bytes may wait: thousands of lines, and little next to a container's memory limit.
const CAPACITY: usize = 4 << 20;

/// How long to wait before retrying a non-blocking standard error that is full.
const BUSY: Duration = Duration::from_millis(20);

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    lost: AtomicU64,
}

struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether the writer holds a line that is not written yet.
    is_writing: bool,
    /// The writer's own line, which says how many lines were lost.
    notice: Option<Vec<u8>>,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                lines: VecDeque::new(),
                bytes: 0,
                is_writing: false,
                notice: None,
            }),
            changed: Condvar::new(),
            lost: AtomicU64::new(0),
        }
    }

    /// Starts the thread that writes to standard error. `notice` logs how many lines were lost.
    pub(super) fn start(&'static self, notice: fn(u64)) -> io::Result<()> {
        // Its own descriptor: the writer may block for ever, and must not hold the lock of
        // `io::stderr` in the meantime.
        let sink = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        self.write_to(sink, notice)
    }

    fn write_to(
        &'static self,
        sink: impl Write + Send + 'static,
        notice: impl Fn(u64) + Send + 'static,
    ) -> io::Result<()> {
        let writer = thread::Builder::new().name(WRITER.into());
        writer.spawn(move || self.write(sink, notice)).map(drop)
    }

    /// Gives a line, including its line end, to the writer. A full queue drops it.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if thread::current().name() == Some(WRITER) {
            waiting.notice = Some(line.to_vec());
        } else if waiting.bytes + line.len() > CAPACITY {
            self.lose();
        } else {
            waiting.bytes += line.len();
            waiting.lines.push_back(line.to_vec());
            self.changed.notify_all();
        }
    }

    /// How many lines were dropped, or could not be written, since the start.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until every line is written or lost, but not longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let is_busy = |waiting: &mut Waiting| waiting.is_writing || !waiting.lines.is_empty();
        let waited = self
            .changed
            .wait_timeout_while(self.waiting(), limit, is_busy);
        drop(waited);
    }

    /// Writes for ever. When lines were lost, a notice follows the next line that can be written.
    fn write(&self, mut sink: impl Write, notice: impl Fn(u64)) -> ! {
        let mut reported = 0;
        let mut is_torn = false;
        loop {
            let line = self.next();
            if write_line(&mut sink, &line, &mut is_torn).is_err() {
                self.lose();
                continue;
            }
            let lost = self.lost();
            if lost == reported {
                continue;
            }
            notice(lost - reported);
            let line = self.waiting().notice.take().unwrap_or_default();
            // If the notice is lost too, it is sent again later, with its number.
            if write_line(&mut sink, &line, &mut is_torn).is_ok() {
                reported = lost;
            }
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut waiting = self.waiting();
        waiting.is_writing = false;
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                waiting.bytes -= line.len();
                waiting.is_writing = true;
                return line;
            }
            self.changed.notify_all();
            waiting = self
                .changed
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `is_torn`: whether only a part of the line before was written, so that it has no end.
fn write_line(sink: &mut impl Write, line: &[u8], is_torn: &mut bool) -> io::Result<()> {
    if *is_torn {
        write_some(sink, b"\n")?;
        *is_torn = false;
    }
    let mut rest = line;
    while !rest.is_empty() {
        match write_some(sink, rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) => {
                *is_torn = rest.len() < line.len();
                return Err(error);
            }
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the writer is a thread of its own, which nothing awaits"
)]
fn write_some(sink: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match sink.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another process with this descriptor may have made it non-blocking. The queue waits.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(BUSY),
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    /// Handles each write as the test orders: takes that many bytes, or fails.
    struct Sink {
        orders: Receiver<Result<usize, ErrorKind>>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let order = self.orders.recv_timeout(SOON).expect("an order");
            let taken = bytes.len().min(order?);
            self.written.send(bytes[..taken].to_vec()).expect("a test");
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Stage {
        queue: &'static Queue,
        orders: Sender<Result<usize, ErrorKind>>,
        written: Receiver<Vec<u8>>,
    }

    /// A queue whose writer does as the test orders.
    fn stage() -> Stage {
        let queue: &Queue = Box::leak(Box::new(Queue::new()));
        let (orders, taken) = channel();
        let (given, written) = channel();
        let sink = Sink {
            orders: taken,
            written: given,
        };
        let notice = |lost| queue.push(format!("lost {lost}\n").as_bytes());
        queue.write_to(sink, notice).expect("a thread");
        Stage {
            queue,
            orders,
            written,
        }
    }

    impl Stage {
        fn order(&self, orders: &[Result<usize, ErrorKind>]) {
            for order in orders {
                self.orders.send(*order).expect("a writer");
            }
        }

        fn next(&self) -> String {
            let bytes = self.written.recv_timeout(SOON).expect("something written");
            String::from_utf8(bytes).expect("text")
        }
    }

    const ALL: Result<usize, ErrorKind> = Ok(usize::MAX);

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_reported_once() {
        let stage = stage();
        for error in [ErrorKind::StorageFull, ErrorKind::BrokenPipe] {
            stage.order(&[Err(error)]);
            stage.queue.push(b"lost\n");
        }
        stage.queue.flush(SOON);
        assert_eq!(stage.queue.lost(), 2);
        // The first notice is lost and sent again.
        stage.order(&[ALL, Err(ErrorKind::StorageFull), ALL, ALL, ALL]);
        for line in ["one\n", "two\n", "three\n"] {
            stage.queue.push(line.as_bytes());
        }
        let written = [stage.next(), stage.next(), stage.next(), stage.next()];
        assert_eq!(written, ["one\n", "two\n", "lost 2\n", "three\n"]);
        stage.order(&[Err(ErrorKind::BrokenPipe), ALL, ALL]);
        stage.queue.push(b"lost\n");
        stage.queue.push(b"four\n");
        assert_eq!([stage.next(), stage.next()], ["four\n", "lost 1\n"]);
        assert_eq!(stage.queue.lost(), 3);
    }

    #[test]
    fn a_line_that_was_torn_does_not_run_into_the_next() {
        let stage = stage();
        stage.order(&[Ok(2), Err(ErrorKind::StorageFull)]);
        stage.queue.push(b"first\n");
        stage.queue.flush(SOON);
        stage.order(&[Err(ErrorKind::WouldBlock), ALL]);
        stage.order(&[Err(ErrorKind::Interrupted), Ok(3), ALL, ALL]);
        stage.queue.push(b"second\n");
        let written: Vec<_> = (0..5).map(|_| stage.next()).collect();
        assert_eq!(written, ["fi", "\n", "sec", "ond\n", "lost 1\n"]);
    }

    #[test]
    fn a_writer_that_is_stuck_costs_lines_and_neither_time_nor_memory() {
        let stage = stage();
        let line = vec![b'x'; CAPACITY / 4];
        for _ in 0..10 {
            stage.queue.push(&line);
        }
        // The writer may have taken the first line; then the queue has room for one more.
        let lost = stage.queue.lost();
        assert!((5..=6).contains(&lost), "{lost}");
        stage.queue.flush(Duration::from_millis(1));
    }
}
