//! `_like`: JavaScript's regular expressions on an engine that takes linear time.
//!
//! Compiles patterns within limits, and matches them. [`syntax`] owns the syntax.

mod syntax;

use regex::{Regex, RegexBuilder};

use super::units;

/// Longest pattern, in bytes. It is longer than the longest value, so that a client can search for
/// any value. The longest description of a film has 740 bytes.
const LONGEST: usize = 2048;

/// Largest compiled pattern, in bytes: a few thousand states, built in about a millisecond.
const COMPILED: usize = 128 * 1024;

/// Largest size of all compiled patterns of one query together, in bytes. The matching time grows
/// with this size: at the limit, the descriptions of all films take about 20 ms.
const COMPILED_TOGETHER: usize = 256 * 1024;

/// Largest size of all translated patterns of one query together, in bytes. Translation makes plain
/// text at most six times as long. A class such as `\W` becomes a hundred bytes, and takes as long
/// to translate as hundreds of letters.
const TRANSLATED_TOGETHER: usize = 16 * 1024;

/// The second half of an error message about a pattern that would take too long.
const TOO_LARGE: &str = "is too large a pattern; repeat less";

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Compiles one pattern. All patterns of a query share the size limits equally. The error is
    /// the second half of a sentence about the parameter.
    pub(super) fn parse(source: &str, patterns: usize) -> Result<Self, String> {
        if source.len() > LONGEST {
            return Err(format!("is a pattern of more than {LONGEST} bytes"));
        }
        let translated = syntax::translate(source, TRANSLATED_TOGETHER / patterns.max(1))?;
        let share = COMPILED.min(COMPILED_TOGETHER / patterns.max(1));
        let compiled = RegexBuilder::new(&translated)
            .size_limit(share)
            .dfa_size_limit(COMPILED)
            .build();
        compiled.map(Self).map_err(|_| TOO_LARGE.to_owned())
    }

    /// Whether the pattern matches anywhere in the text.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.is_match(&units::folded(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn like(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern, 1).unwrap().matches(text)
    }

    #[test]
    fn means_what_a_script_means() {
        for (pattern, text) in [
            ("castle", "Howl's Moving Castle"),
            ("", ""),
            ("^.$", "é"),
            ("^..$", "😀"),
            ("a{,5}", "a{,5}"),
            ("a{", "a{"),
            ("}]", "}]"),
            ("^a{2}$", "aa"),
            ("\\/", "/"),
            ("[^]", "\n"),
            ("\\1", "\u{1}"),
            ("\\8", "8"),
            ("\\u0041\\x42", "ab"),
            ("^\\u{3}$", "uuu"),
            ("[\\w-z]", "-"),
            ("[😀]", "😀"),
            ("(?<word>x)", "x"),
            ("\\cj", "\n"),
            ("\\c!", "\\c!"),
            ("\\p{2}", "pp"),
            ("É", "é"),
            ("\\Bb", "ab"),
        ] {
            assert!(like(pattern, text), "{pattern} on {text}");
        }
        for (pattern, text) in [
            ("[]", "x"),
            ("^.$", "\u{2028}"),
            ("a$", "a\n"),
            ("\\d", "٣"),
            ("\\w", "é"),
            ("k", "\u{212a}"),
            ("\\B", "aéb"),
            ("[^A]", "a"),
        ] {
            assert!(!like(pattern, text), "{pattern} on {text}");
        }
    }

    #[test]
    fn large_patterns_are_accepted_alone_and_not_together() {
        let large = "[ -Z]{1,1000}!";
        assert!(Pattern::parse(large, 1).is_ok());
        assert!(Pattern::parse(large, 8).is_err());
        assert!(Pattern::parse(&"a".repeat(256), 8).is_ok());
    }

    #[test]
    fn any_value_can_be_looked_for_by_the_whole_of_it() {
        let built_in = include_str!("../../../poller/src/builtin.json");
        let catalogue: serde_json::Value = serde_json::from_str(built_in).unwrap();
        let mut longest = 0;
        for film in catalogue["films"].as_array().unwrap() {
            let text = film["description"].as_str().unwrap();
            longest = longest.max(text.len());
            // The value as a person pastes it, and as a script escapes it.
            assert!(like(text, text), "{text}");
            assert!(like(&regex::escape(text), text), "{text}");
        }
        assert!(longest * 2 <= LONGEST, "{longest} bytes are near the bound");
        for longest in ["a".repeat(LONGEST), "\u{2019}".repeat(LONGEST / 3)] {
            assert!(like(&longest, &longest));
        }
    }

    #[test]
    fn long_patterns_that_mean_harm_are_refused_early() {
        for hostile in [
            "\\W".repeat(LONGEST / 2),
            "[^x]".repeat(LONGEST / 4),
            "(".repeat(LONGEST / 2) + &")".repeat(LONGEST / 2),
            "(a|".repeat(LONGEST / 4) + &")".repeat(LONGEST / 4),
            "a{99}".repeat(LONGEST / 5),
        ] {
            assert!(Pattern::parse(&hostile, 1).is_err(), "{hostile:.20}");
        }
        // Plain text only: the search for a closing brace must not take long.
        let braces = "{".repeat(LONGEST - 1) + "}";
        assert!(like(&braces, &braces));
    }

    #[test]
    fn refuses_what_a_script_refuses_and_what_takes_longer_than_linear() {
        for pattern in [
            "(",
            ")",
            "[",
            "\\",
            "*",
            "a**",
            "a++",
            "^*",
            "\\b+",
            "{1}",
            "a{2,1}",
            "[b-a]",
            "(?",
            "(?i)a",
            "(?<1>a)",
            "(?<a>x)(?<a>y)",
            "(?=a)",
            "(?<!a)",
            "(a)\\1",
            "\\k<a>(?<a>x)",
            "a{100000}",
            "((a{99}){99}){99}",
        ] {
            assert!(Pattern::parse(pattern, 1).is_err(), "{pattern}");
        }
        assert!(Pattern::parse(&"a".repeat(LONGEST + 1), 1).is_err());
        assert!(Pattern::parse(&"(".repeat(128), 1).is_err());
        assert!(like(
            &format!("{}a{}", "(".repeat(120), ")".repeat(120)),
            "A"
        ));
    }
}
