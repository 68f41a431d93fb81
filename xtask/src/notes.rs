//! `cargo xtask notes TAG`: prints what CHANGELOG.md says of a release, and refuses a tag that is
//! not ready to be one. Never changes a file.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// The release's tag: `v` and the version of Cargo.toml
    tag: String,
}

/// Prints the notes of the release.
///
/// # Errors
/// When the tag is not the version of Cargo.toml, or CHANGELOG.md has no section of that version
/// with a date and a text.
pub(crate) fn notes(options: &Options) -> Result<()> {
    let changelog = fs::read_to_string(crate::top().join("CHANGELOG.md"))?;
    let notes = section(&options.tag, env!("CARGO_PKG_VERSION"), &changelog)?;
    crate::say(notes);
    Ok(())
}

/// The text below `## [VERSION] - DATE`, up to the next heading of a release.
fn section<'a>(tag: &str, version: &str, changelog: &'a str) -> Result<&'a str> {
    ensure!(
        tag.strip_prefix('v') == Some(version),
        "the tag is {tag}, but Cargo.toml has version {version}: expected v{version}"
    );
    let heading = format!("## [{version}] - ");
    let mut sections = changelog.split("\n## ").skip(1);
    let section = sections
        .find_map(|one| one.strip_prefix(&heading["## ".len()..]))
        .with_context(|| format!("CHANGELOG.md has no heading `{heading}YYYY-MM-DD`"))?;
    let (date, text) = section.split_once('\n').unwrap_or((section, ""));
    if chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_err() {
        bail!("CHANGELOG.md: expected a date such as 2026-11-26 after `{heading}`, not `{date}`");
    }
    let text = text.trim();
    ensure!(
        !text.is_empty(),
        "CHANGELOG.md says nothing below `{heading}{date}`"
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::section;

    const CHANGELOG: &str = "# Changelog\n\n## Unreleased\n\n- Next.\n\n## [1.2.0] - 2026-11-26\n\n\
                             ### Added\n\n- This.\n\n## [1.1.0] - soon\n\n- Old.\n\n\
                             ## [1.0.0] - 2026-01-01\n";

    #[test]
    fn the_notes_are_the_section_of_the_version() {
        let notes = section("v1.2.0", "1.2.0", CHANGELOG).unwrap();
        assert_eq!(notes, "### Added\n\n- This.");
    }

    #[test]
    fn a_tag_that_is_not_ready_is_refused_with_the_reason() {
        for (tag, version, reason) in [
            ("v1.3.0", "1.2.0", "Cargo.toml has version 1.2.0"),
            ("1.2.0", "1.2.0", "expected v1.2.0"),
            ("v1.3.0", "1.3.0", "no heading `## [1.3.0] - YYYY-MM-DD`"),
            ("v1.1.0", "1.1.0", "not `soon`"),
            (
                "v1.0.0",
                "1.0.0",
                "says nothing below `## [1.0.0] - 2026-01-01`",
            ),
        ] {
            let error = section(tag, version, CHANGELOG).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
