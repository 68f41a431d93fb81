//! `cargo xtask screenshots`: pictures of every page and state, for people to look at.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use testkit::process::cargo;

use crate::install::run;
use crate::say;

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder for the pictures; created, if it is not there
    #[arg(long, default_value = "target/screenshots")]
    folder: PathBuf,
}

/// Starts mirrors in each state, and pictures their pages with Chromium.
pub(crate) fn screenshots(options: &Options) -> Result<()> {
    crate::test::browser()?;
    let folder = std::path::absolute(&options.folder).context("no current folder")?;
    let pictures = ["--ignored", "--exact", "pictures::the_pages_are_pictured"];
    let mut test = cargo();
    test.args(["test", "--workspace", "--test", "browser", "--"])
        .args(pictures)
        .env("PICTURES", &folder);
    run(&mut test)?;
    say(format_args!("pictures are in {}", folder.display()));
    Ok(())
}
