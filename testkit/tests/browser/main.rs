//! The pages and bodies in a real browser: what they show, what they refuse, and that text from the
//! upstream always stays text.
//!
//! This needs Chromium and chromedriver. Without them, the tests are skipped.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod accessible;
mod age;
mod browser;
mod elsewhere;
mod films;
mod hostile;
mod live;
mod measured;
mod pages;
mod pictures;
mod scripts;
mod stage;
mod strings;
mod tries;
mod visits;

use browser::Browser;
use elsewhere::Elsewhere;
use stage::Stage;
