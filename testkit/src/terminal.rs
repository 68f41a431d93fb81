//! A terminal that runs a program, as a person would have it: a screen and keys.

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use pty_process::{OwnedWritePty, Size};
use tokio::io::AsyncWriteExt;
use tokio::process::Child;
use tokio::time::timeout;

use crate::TIME_LIMIT;
use crate::process::Output;

/// The width of the terminal in characters.
pub const COLUMNS: u16 = 80;

/// The program's end of a terminal whose window is closed: every write fails.
///
/// # Panics
///
/// When the system has no terminals.
pub fn closed() -> OwnedFd {
    let (_window, inside) = pty_process::blocking::open().expect("the system has terminals");
    inside.as_fd().try_clone_to_owned().expect("a descriptor")
}

/// A program that runs in a terminal of its own. Dropping it kills the program.
#[derive(Debug)]
pub struct Terminal {
    name: String,
    child: Child,
    keys: Option<OwnedWritePty>,
    screen: Arc<Output>,
}

impl Terminal {
    /// Runs a command in a terminal with [`COLUMNS`] columns and colours.
    ///
    /// # Panics
    ///
    /// When the command does not start.
    pub fn run(command: &Command) -> Self {
        let name = format!("{command:?}");
        let (terminal, inside) = pty_process::open().expect("the system has terminals");
        terminal.resize(Size::new(24, COLUMNS)).expect("a size");
        // A test that runs under `nohup` ignores SIGHUP, and would hand that on.
        let mut program = pty_process::Command::new("env")
            .arg("--default-signal=HUP")
            .arg(command.get_program())
            .args(command.get_args())
            .env_remove("NO_COLOR")
            .env("TERM", "xterm-256color")
            .kill_on_drop(true);
        for (variable, value) in command.get_envs() {
            program = match value {
                Some(value) => program.env(variable, value),
                None => program.env_remove(variable),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            program = program.current_dir(directory);
        }
        let child = program
            .spawn(inside)
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let (screen, keys) = terminal.into_split();
        Self {
            name,
            child,
            keys: Some(keys),
            screen: Output::capture(screen),
        }
    }

    /// The process id of the program.
    ///
    /// # Panics
    ///
    /// When the test has already awaited the program.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Everything that the program printed, line by line, with the codes for colours.
    pub fn lines(&self) -> Vec<String> {
        self.screen.lines()
    }

    /// Waits until the program prints a line with this text, and returns the line.
    ///
    /// # Panics
    ///
    /// After a time limit, or when the program ends first; the message shows everything printed.
    pub async fn shows(&self, text: &str) -> String {
        let wanted = |line: &str| line.contains(text).then(|| line.to_owned());
        let found = timeout(5 * TIME_LIMIT, self.screen.find_from_start(wanted)).await;
        let shown = || self.lines().join("\n");
        let found =
            found.unwrap_or_else(|_| panic!("{} does not show {text:?}:\n{}", self.name, shown()));
        found.unwrap_or_else(|| panic!("{} ended without {text:?}:\n{}", self.name, shown()))
    }

    /// Types these bytes.
    ///
    /// # Panics
    ///
    /// When the terminal is closed.
    pub async fn types(&mut self, keys: &[u8]) {
        let terminal = self.keys.as_mut().expect("the terminal is open");
        terminal.write_all(keys).await.expect("keys can be typed");
    }

    /// Presses Ctrl-C.
    pub async fn interrupt(&mut self) {
        self.types(b"\x03").await;
    }

    /// Makes the window narrower or wider.
    ///
    /// # Panics
    ///
    /// When the terminal is closed.
    pub fn resize(&self, columns: u16) {
        let terminal = self.keys.as_ref().expect("the terminal is open");
        terminal.resize(Size::new(24, columns)).expect("a size");
    }

    /// Closes the terminal's window while the program runs.
    pub fn close(&mut self) {
        self.screen.stop();
        self.keys = None;
    }

    /// Waits until the program ends.
    ///
    /// # Panics
    ///
    /// After a time limit; the message shows everything printed.
    pub async fn wait(&mut self) -> ExitStatus {
        let ended = timeout(TIME_LIMIT, self.child.wait()).await;
        let shown = || self.screen.lines().join("\n");
        let ended = ended.unwrap_or_else(|_| panic!("{} goes on:\n{}", self.name, shown()));
        let _ = timeout(TIME_LIMIT, self.screen.closed()).await;
        ended.expect("a child can be awaited")
    }
}
