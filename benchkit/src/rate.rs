//! Requests at a fixed rate, whether or not the server keeps up.
//!
//! A request's time counts from the moment at which it was due, and not from when it was sent.
//! Otherwise a server that stalls would also stall the requests that would have shown it.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::Timespec;

use super::answer::Extent;

/// How long to wait for outstanding answers at the end.
const GRACE: Duration = Duration::from_secs(5);

/// The kernel wakes a thread up to this much too late, so shorter waits are spent awake.
const SLACK: Duration = Duration::from_micros(120);

/// What to send.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where.
    pub address: SocketAddr,
    /// One request.
    pub request: Vec<u8>,
    /// How many connections take turns.
    pub connections: usize,
    /// Requests per second.
    pub rate: f64,
    /// For how long.
    pub time: Duration,
}

/// How long answers took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latencies {
    /// Nanoseconds, in ascending order.
    sorted: Vec<u64>,
    /// Requests that had no answer at the end; they count with the time that they had waited.
    pub unanswered: usize,
}

impl Latencies {
    /// How many answers there were.
    pub fn answered(&self) -> usize {
        self.sorted.len() - self.unanswered
    }

    /// The time within which this share of answers was complete.
    ///
    /// # Panics
    ///
    /// Without a request.
    pub fn within(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count"
        )]
        let index = (self.sorted.len() as f64 * share) as usize;
        Duration::from_nanos(self.sorted[index.min(self.sorted.len() - 1)])
    }
}

/// Sends the load and measures.
///
/// # Errors
///
/// When a connection fails.
pub fn send(load: &Load) -> io::Result<Latencies> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut lines = Vec::new();
    for place in 0..load.connections {
        let stream = TcpStream::connect(load.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let data = EventData::new_u64(place as u64);
        epoll::add(&epoll, &stream, data, EventFlags::IN)?;
        lines.push(Line {
            stream,
            due: None,
            received: Vec::with_capacity(64 << 10),
        });
    }

    let gap = Duration::from_secs_f64(1.0 / load.rate);
    let began = Instant::now();
    let end = began + load.time;
    let mut next = began;
    let mut waiting = VecDeque::new();
    let mut idle: VecDeque<usize> = (0..lines.len()).collect();
    let mut latencies = Vec::new();
    let mut events = Vec::with_capacity(lines.len());
    let mut part = vec![0; 64 << 10];
    loop {
        let now = Instant::now();
        while next <= now && next < end {
            waiting.push_back(next);
            next += gap;
        }
        while !waiting.is_empty()
            && let Some(place) = idle.pop_front()
        {
            lines[place].ask(&load.request, waiting.pop_front())?;
        }
        let is_over = next >= end && waiting.is_empty() && idle.len() == lines.len();
        if is_over || now > end + GRACE {
            break;
        }
        let until = if next < end { next } else { end + GRACE };
        let pause = until
            .saturating_duration_since(Instant::now())
            .saturating_sub(SLACK);
        events.clear();
        let buffer = rustix::buffer::spare_capacity(&mut events);
        epoll::wait(&epoll, buffer, Some(&timespec(pause)))?;
        for event in &events {
            let place = usize::try_from(event.data.u64()).expect("an index");
            if let Some(due) = lines[place].receive(&mut part)? {
                latencies.push(nanoseconds(due.elapsed()));
                idle.push_back(place);
            }
        }
    }
    // What has no answer yet counts with the time that it has waited.
    let outstanding: Vec<_> = lines.iter().filter_map(|line| line.due).collect();
    let unanswered = waiting.iter().chain(&outstanding);
    let before = latencies.len();
    latencies.extend(unanswered.map(|due| nanoseconds(due.elapsed())));
    let unanswered = latencies.len() - before;
    latencies.sort_unstable();
    Ok(Latencies {
        sorted: latencies,
        unanswered,
    })
}

struct Line {
    stream: TcpStream,
    /// When the outstanding request was due.
    due: Option<Instant>,
    received: Vec<u8>,
}

impl Line {
    fn ask(&mut self, request: &[u8], due: Option<Instant>) -> io::Result<()> {
        self.due = due;
        self.received.clear();
        // A request fits the buffer of a connection on which nothing is outstanding.
        self.stream.write_all(request)
    }

    /// Reads what is there. Returns when the request was due once its answer is complete.
    fn receive(&mut self, part: &mut [u8]) -> io::Result<Option<Instant>> {
        match self.stream.read(part) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => self.received.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        let is_complete =
            Extent::of(&self.received)?.is_some_and(|extent| self.received.len() >= extent.whole);
        Ok(if is_complete { self.due.take() } else { None })
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_stall_shows_in_the_requests_that_were_due_meanwhile() {
        const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        const STALL: Duration = Duration::from_millis(200);

        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let load = Load {
            address: listener.local_addr().expect("an address"),
            request: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            connections: 1,
            rate: 1000.0,
            time: Duration::from_millis(500),
        };
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let began = Instant::now();
            while began.elapsed() < STALL {}
            while stream.read(&mut [0; 100]).is_ok_and(|read| read > 0) {
                stream.write_all(ANSWER).expect("a connection");
            }
        });
        let latencies = send(&load).expect("the server answers");
        assert_eq!((latencies.answered(), latencies.unanswered), (500, 0));
        assert!(latencies.within(0.99) > STALL * 9 / 10);
        // About 200 of 500 requests were due during the stall.
        assert!(latencies.within(0.8) > STALL / 10, "{latencies:?}");
    }
}
