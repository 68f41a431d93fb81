//! A part of a document that a test writes: what real processes logged, with times that do not change.

use std::path::PathBuf;
use std::{env, fs};

use chrono::NaiveTime;
use regex::{Captures, Regex};

/// The text between two marks of a file in `docs`.
#[derive(Debug)]
pub struct Section {
    file: PathBuf,
    before: String,
    /// What the document says now.
    pub text: String,
    after: String,
}

impl Section {
    /// Reads the section.
    ///
    /// # Panics
    ///
    /// When the file or a mark is missing.
    pub fn read(file: &str, begin: &str, end: &str) -> Self {
        let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).join(file);
        let document = fs::read_to_string(&file).expect("a document that can be read");
        let (before, rest) = document.split_once(begin).expect(begin);
        let (text, after) = rest.split_once(end).expect(end);
        Self {
            before: format!("{before}{begin}"),
            text: text.to_owned(),
            after: format!("{end}{after}"),
            file,
        }
    }

    /// Replaces it if `UPDATE_DOCS` is set. Returns whether it did.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn update(&self, text: &str) -> bool {
        let is_wanted = env::var_os("UPDATE_DOCS").is_some();
        if is_wanted {
            let document = [&self.before, text, &self.after].concat();
            fs::write(&self.file, document).expect("a document that can be written");
        }
        is_wanted
    }
}

/// The text with its times of day as if `start` had been nine o'clock.
///
/// # Panics
///
/// When the text has a time of day that does not exist.
pub fn from_nine(text: &str, start: NaiveTime) -> String {
    let clock = Regex::new(r"\b\d\d:\d\d:\d\d\b").expect("a pattern");
    let since_start = |found: &Captures<'_>| {
        let at: NaiveTime = found[0].parse().expect("a time of day");
        let nine = NaiveTime::MIN + chrono::TimeDelta::hours(9);
        (nine + (at - start)).format("%H:%M:%S").to_string()
    };
    clock.replace_all(text, since_start).into_owned()
}
