//! What a person sees while a command works: a spinner on a terminal, a plain line elsewhere.

use std::fmt::Display;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use shared::service::console;

/// Work that takes time. Dropping it removes the spinner.
#[derive(Debug)]
pub struct Progress(Option<ProgressBar>);

impl Progress {
    /// Shows what is being done.
    pub fn start(what: impl Display) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
        if !stderr().is_terminal() || is_dumb {
            console::note(format_args!("{what} …"));
            return Self(None);
        }
        let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("a template");
        let spinner = ProgressBar::new_spinner().with_style(style);
        spinner.set_message(format!("{what} …"));
        spinner.enable_steady_tick(Duration::from_millis(100));
        Self(Some(spinner))
    }

    /// Shows what is being done now.
    pub fn step(&self, what: impl Display) {
        match &self.0 {
            Some(spinner) => spinner.set_message(format!("{what} …")),
            None => console::note(format_args!("{what} …")),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(spinner) = &self.0 {
            spinner.finish_and_clear();
        }
    }
}
