//! The floor: one thread that answers every request with the same bytes and reads nothing but where
//! requests end. No server that answers from memory can cost less than the kernel's share of it.

use std::convert::Infallible;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// The listener's place among the events.
const LISTENER: u64 = u64::MAX;

/// Answers for ever. Closes each connection after one answer if the answer's head says so.
///
/// # Errors
///
/// When the system refuses to poll.
pub fn serve(listener: &TcpListener, answer: &[u8]) -> io::Result<Infallible> {
    let closes = is_last(answer);
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let data = EventData::new_u64(LISTENER);
    epoll::add(&epoll, listener, data, EventFlags::IN)?;

    let mut events = Vec::with_capacity(256);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut input = vec![0; 16 << 10];
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            if event.data.u64() == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let place = free.pop().unwrap_or(connections.len());
                    let data = EventData::new_u64(place as u64);
                    let wanted = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
                    epoll::add(&epoll, &stream, data, wanted)?;
                    let connection = Some(Connection::new(stream));
                    if place == connections.len() {
                        connections.push(connection);
                    } else {
                        connections[place] = connection;
                    }
                }
                continue;
            }
            let place = usize::try_from(event.data.u64()).expect("an index");
            let Some(connection) = &mut connections[place] else {
                continue;
            };
            let is_open = connection.turn(&mut input, answer);
            let is_done = closes && connection.answered > 0 && connection.owed == 0;
            if !is_open.unwrap_or(false) || is_done {
                connections[place] = None;
                free.push(place);
            }
        }
    }
}

fn is_last(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    head.lines()
        .any(|line| line.eq_ignore_ascii_case("connection: close"))
}

struct Connection {
    stream: TcpStream,
    /// The last two bytes that arrived; a request's end may be spread over two reads.
    last: [u8; 2],
    /// Answers that the client waits for.
    owed: usize,
    /// Complete answers.
    answered: usize,
    /// How much of the next answer is written.
    written: usize,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            last: [0; 2],
            owed: 0,
            answered: 0,
            written: 0,
        }
    }

    /// Reads and writes what is possible now. `false` when the client has gone.
    fn turn(&mut self, input: &mut [u8], answer: &[u8]) -> io::Result<bool> {
        loop {
            input[..2].copy_from_slice(&self.last);
            let read = match self.stream.read(&mut input[2..]) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let end = read + 2;
            self.owed += ends(&input[..end]);
            self.last.copy_from_slice(&input[end - 2..end]);
            // After a short read nothing more is there; the next bytes bring another event.
            if end < input.len() {
                break;
            }
        }
        while self.owed > 0 {
            match self.stream.write(&answer[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            if self.written == answer.len() {
                self.written = 0;
                self.owed -= 1;
                self.answered += 1;
            }
        }
        Ok(true)
    }
}

/// How many requests end in these bytes: `\n`, `\r`, `\n`. Looks only at the line ends, as the
/// compiler makes this loop fast and no header has a name of one character.
fn ends(bytes: &[u8]) -> usize {
    let pairs = bytes.iter().zip(&bytes[2..]);
    pairs
        .filter(|(first, third)| **first == b'\n' && **third == b'\n')
        .count()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    fn started(answer: &'static [u8]) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || serve(&listener, answer));
        TcpStream::connect(address).expect("a connection")
    }

    #[test]
    fn the_floor_answers_each_request_however_they_arrive() {
        let mut client = started(b"answer\n");
        for part in [
            "GET / HTTP/1.1\r\nhost: a\r",
            "\n\r",
            "\nGET / HTTP/1.1\r\n\r\n",
        ] {
            client.write_all(part.as_bytes()).expect("a connection");
        }
        let mut lines = BufReader::new(client).lines();
        for _ in 0..2 {
            assert_eq!(lines.next().expect("a line").expect("an answer"), "answer");
        }
    }

    #[test]
    fn the_floor_closes_when_its_answer_says_so() {
        let mut client = started(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
        client
            .write_all(b"GET / HTTP/1.1\r\n\r\n")
            .expect("a connection");
        let mut all = Vec::new();
        client.read_to_end(&mut all).expect("the end");
        assert!(all.ends_with(b"close\r\n\r\n"));
    }
}
