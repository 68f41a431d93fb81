//! One recorded exchange: the typed `curl` line, and the answer.

use std::path::Path;

use bytes::Bytes;
use http::Method;

/// A request, and the answer of the original server.
#[derive(Debug)]
pub(crate) struct Transcript {
    pub(crate) name: String,
    pub(crate) method: Method,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) path: String,
    pub(crate) status: u16,
    answer: Vec<(String, String)>,
    /// `None` if the recording lacks the body.
    pub(crate) body: Option<Bytes>,
}

impl Transcript {
    /// All exchanges of a folder, sorted by name.
    pub(crate) fn read_all(folder: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|kind| kind == "txt"));
        files.sort();
        files.iter().map(|file| Self::read(file)).collect()
    }

    fn read(file: &Path) -> Self {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(file).unwrap();
        let (typed, answer) = text.split_once('\n').unwrap();
        let answer = answer.replace("\r\n", "\n");
        let (head, body) = answer.split_once("\n\n").unwrap_or((&answer, ""));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());

        let mut transcript = Self {
            name,
            method: Method::GET,
            headers: Vec::new(),
            path: String::new(),
            status: status.parse().unwrap(),
            answer: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: None,
        };
        let kept = transcript.ask(typed.strip_prefix("# curl ").expect("a curl line"));
        if kept && transcript.status != 500 && transcript.method != "HEAD" {
            // The file ends with a line end that the server did not send.
            let length = transcript.answer("content-length");
            let length = length.map_or(0, |length| length.parse().unwrap());
            let body = Bytes::copy_from_slice(body.as_bytes());
            transcript.body = Some(body.slice(..length));
        }
        transcript
    }

    /// Parses the typed line, and returns whether it kept the answer's body.
    fn ask(&mut self, typed: &str) -> bool {
        let mut kept = true;
        let mut words = words(typed).into_iter();
        while let Some(word) = words.next() {
            let mut next = || words.next().expect("an option's value");
            match word.as_str() {
                "-si" => {}
                "-I" => self.method = Method::HEAD,
                "-X" => self.method = next().parse().unwrap(),
                "-H" => {
                    let header = next();
                    let (name, value) = header.split_once(": ").unwrap();
                    self.headers.push((name.to_owned(), value.to_owned()));
                }
                // The mirror refuses any written data.
                "-d" | "-D" => drop(next()),
                "-o" => {
                    next();
                    kept = false;
                }
                _ => {
                    assert!(word.starts_with('/'), "{}: {word}", self.name);
                    self.path = word;
                }
            }
        }
        kept
    }

    /// A header of the recorded answer, by its lower-case name.
    pub(crate) fn answer(&self, name: &str) -> Option<&str> {
        let mut headers = self.answer.iter();
        let (_, value) = headers.find(|(known, _)| known == name)?;
        Some(value)
    }
}

/// The words of a shell line that has a backslash before every special character.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => words.last_mut().unwrap().extend(characters.next()),
            ' ' => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
