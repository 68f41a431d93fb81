//! Decides whether two answers count as the same, and for which reasons they may differ.

use std::fmt;

use crate::ask::{Observation, ask};

/// An intended difference. Each has a rule that decides when it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// The upstream fails; the mirror names the wrong parameter.
    Refused,
    /// The mirror refuses a fault that the upstream does not reach with these records.
    RefusedAtOnce,
    /// Look-around, back-references and patterns too large for linear time.
    Dialect,
    /// The query exceeds the mirror's limits on size or number.
    TooMuch,
    /// `95` equals `"95"`.
    NumberAsText,
    /// The mirror replaces links with records.
    Embedded,
    /// In the mirror, methods of JavaScript are not fields.
    Inherited,
    /// The mirror leaves out a link that leads to a wrong page.
    LeadsNowhere,
    /// The mirror reads unescaped letters beyond ASCII as UTF-8; the upstream misreads some and
    /// refuses others. If an escape is broken, the upstream leaves raw characters beside it
    /// unchanged.
    Unescaped,
}

/// The result of a comparison.
pub(crate) enum Verdict {
    Same,
    Named(Vec<Difference>),
    Unexplained(String),
}

impl Verdict {
    /// The name under which the test counts this result.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Same => "same".to_owned(),
            Self::Named(differences) => format!("{differences:?}"),
            Self::Unexplained(_) => "unexplained".to_owned(),
        }
    }
}

/// The addresses of both sides.
struct Sides<'a> {
    mirror: &'a str,
    oracle: &'a str,
}

/// Sends the question to both sides and compares the answers.
pub(crate) fn judge(mirror: &str, oracle: &str, question: &str) -> Verdict {
    let sides = Sides { mirror, oracle };
    let (ours, theirs) = sides.ask(question);
    if ours == theirs {
        return Verdict::Same;
    }
    if leads_nowhere(question, &ours, &theirs) {
        return Verdict::Named(vec![Difference::LeadsNowhere]);
    }
    let named = match ours.status {
        400 => sides.refusal(question, &ours, &theirs).map(|one| vec![one]),
        _ => sides.meanings(question, theirs.status),
    };
    named.map_or_else(
        || {
            Verdict::Unexplained(
                Report {
                    sides: &sides,
                    question,
                    ours: &ours,
                    theirs: &theirs,
                }
                .to_string(),
            )
        },
        Verdict::Named,
    )
}

impl Sides<'_> {
    fn ask(&self, question: &str) -> (Observation, Observation) {
        (ask(self.mirror, question), ask(self.oracle, question))
    }

    /// Why the mirror may refuse.
    fn refusal(
        &self,
        question: &str,
        ours: &Observation,
        theirs: &Observation,
    ) -> Option<Difference> {
        let (path, query) = question.split_once('?')?;
        if ours.content_type != "application/problem+json" {
            return None;
        }
        let problem: serde_json::Value = serde_json::from_str(&ours.body).ok()?;
        let parameter = problem["parameter"].as_str()?;
        let guilty: Vec<_> = query
            .split('&')
            .filter(|piece| top_name(piece) == parameter)
            .collect();
        if theirs.status == 400 && !query.is_ascii()
            || guilty.iter().any(|piece| is_raw_beside_broken(piece))
        {
            return Some(Difference::Unescaped);
        }
        if theirs.status == 500 {
            return (!guilty.is_empty()).then_some(Difference::Refused);
        }
        if query.len() > 4096
            || query.split('&').count() > 64
            || guilty.iter().any(|piece| piece.len() > 128)
        {
            return Some(Difference::TooMuch);
        }
        if guilty
            .iter()
            .any(|piece| name(piece).contains("_like") && is_beyond_linear(&value(piece)))
        {
            return Some(Difference::Dialect);
        }
        let is_fraction = |piece: &&str| {
            value(piece)
                .trim()
                .parse()
                .is_ok_and(|number: f64| number > 0.0 && number.fract() != 0.0)
        };
        if parameter == "limit" && guilty.iter().any(is_fraction) {
            return Some(Difference::RefusedAtOnce);
        }
        // In a list of steps, the upstream fails only when it reaches the faulty step.
        if parameter == "_sort"
            && guilty
                .iter()
                .any(|piece| name(piece).contains("[toString]"))
        {
            return Some(Difference::RefusedAtOnce);
        }
        // Without the other parameters, and with records to read, the upstream must fail too.
        let collection = path.split('/').nth(1)?;
        let alone = ask(self.oracle, &format!("/{collection}?{}", guilty.join("&")));
        (alone.status == 500).then_some(Difference::RefusedAtOnce)
    }

    /// The reasons why both sides read some parameters differently. Without these parameters both
    /// sides must agree, so that a reason hides no other difference. Tries each single reason
    /// before all of them together.
    fn meanings(&self, question: &str, status: u16) -> Option<Vec<Difference>> {
        let (path, query) = question.split_once('?')?;
        let pieces: Vec<_> = query
            .split('&')
            .map(|piece| (piece, meaning(piece)))
            .collect();
        let mut present: Vec<Difference> = Vec::new();
        for difference in pieces.iter().filter_map(|(_, difference)| *difference) {
            if !present.contains(&difference) {
                present.push(difference);
            }
        }
        let single = present.iter().map(|difference| vec![*difference]);
        let mut candidates = single.chain([present.clone()]).filter(|candidate| {
            // Of these reasons, only names of relations can make the upstream fail.
            status < 500 || candidate.contains(&Difference::Embedded)
        });
        candidates.find(|candidate| {
            let rest = pieces
                .iter()
                .filter(|(_, difference)| !difference.is_some_and(|one| candidate.contains(&one)));
            let rest: Vec<_> = rest.map(|(piece, _)| *piece).collect();
            let rest = format!("{path}?{}", rest.join("&"));
            let (ours, theirs) = self.ask(&rest);
            let is_same = ours == theirs || leads_nowhere(&rest, &ours, &theirs);
            !candidate.is_empty() && is_same
        })
    }
}

/// Whether the only difference is that the mirror leaves out links that lead to a wrong page,
/// because the upstream did not find the page number in the query.
pub(crate) fn leads_nowhere(question: &str, ours: &Observation, theirs: &Observation) -> bool {
    let (Some(our_links), Some(their_links)) = (&ours.link, &theirs.link) else {
        return false;
    };
    let ours_with_theirs = Observation {
        link: theirs.link.clone(),
        ..ours.clone()
    };
    let our_links: Vec<_> = links(our_links).collect();
    let mut missing = links(their_links).filter(|link| !our_links.contains(link));
    let mut kept = our_links.iter();
    ours_with_theirs == *theirs
        && kept.all(|kept| links(their_links).any(|link| link == *kept))
        && missing.all(|(url, relation)| {
            let (asked, leads_to) = (page(question), page(url));
            match relation {
                "next" => leads_to != asked + 1,
                "prev" => leads_to + 1 != asked,
                "first" => leads_to != 1,
                // There are links, so there is more than one page.
                _ => leads_to == asked || leads_to == 1,
            }
        })
}

/// The addresses and relations of a `Link` header. An address may hold raw `<` and `>`.
fn links(header: &str) -> impl Iterator<Item = (&str, &str)> {
    let links = header.trim_start_matches('<').split("\", <");
    links.filter_map(|link| link.trim_end_matches('"').rsplit_once(">; rel=\""))
}

/// The page that an address asks for, by the first parameter for it: `_page=2`, or `_page[]=2`.
fn page(url: &str) -> u64 {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut pages = query.split('&').filter(|piece| top_name(piece) == "_page");
    let digits: String = pages
        .next()
        .map(value)
        .unwrap_or_default()
        .trim_start()
        .trim_start_matches('+')
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(1).max(1)
}

/// The difference that a single parameter can cause in an answer.
fn meaning(piece: &str) -> Option<Difference> {
    if !piece.is_ascii() || is_raw_beside_broken(piece) {
        return Some(Difference::Unescaped);
    }
    let (name, value) = (name(piece), value(piece));
    let top = top_name(piece);
    let compares = ["_gte", "_lte", "_like"]
        .iter()
        .any(|suffix| top.contains(suffix));
    if matches!(top.as_str(), "_embed" | "_expand") {
        return Some(Difference::Embedded);
    }
    if compares && is_inherited(&top)
        || top == "_sort" && (is_inherited(&value) || is_inherited(&name))
    {
        return Some(Difference::Inherited);
    }
    let reserved = [
        "q", "_start", "_end", "_sort", "_order", "_limit", "callback", "_",
    ];
    let equates = !compares && !reserved.contains(&top.as_str());
    (equates && is_number_or_truth(&value)).then_some(Difference::NumberAsText)
}

/// Whether the piece has a raw character that the mirror escapes at once, and also a broken escape,
/// so that all of its characters stay as they are.
fn is_raw_beside_broken(piece: &str) -> bool {
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let is_whole = piece.split('%').skip(1).all(is_escape);
    let text = percent_encoding::percent_decode_str(piece).decode_utf8();
    piece.contains(['"', '<', '>', '`']) && !(is_whole && text.is_ok())
}

/// Whether the upstream converts the text to another type.
fn is_number_or_truth(text: &str) -> bool {
    let number = !text.starts_with('0') && text.parse::<f64>().is_ok_and(|number| !number.is_nan());
    matches!(text, "true" | "false" | "0") || number
}

fn is_inherited(path: &str) -> bool {
    let methods = [
        "constructor",
        "__proto__",
        "toString",
        "hasOwnProperty",
        "valueOf",
        "trim",
        "concat",
    ];
    let suffixes = ["_gte", "_lte", "_like", "_ne"];
    let path = suffixes
        .iter()
        .find_map(|suffix| path.strip_suffix(suffix))
        .unwrap_or(path);
    path.split(['.', '[', ']'])
        .any(|step| methods.contains(&step))
}

fn is_beyond_linear(pattern: &str) -> bool {
    let mut after_backslash = pattern.split('\\').skip(1);
    ["(?=", "(?!", "(?<=", "(?<!"]
        .iter()
        .any(|group| pattern.contains(group))
        || after_backslash
            .any(|rest| rest.starts_with(|next: char| next == 'k' || next.is_ascii_digit()))
}

fn name(piece: &str) -> String {
    decoded(piece.split('=').next().unwrap_or_default())
}

/// The part of the name before any brackets.
fn top_name(piece: &str) -> String {
    let name = name(piece);
    match name.strip_prefix('[') {
        Some(inside) => inside.split(']').next().unwrap_or_default().to_owned(),
        None => name.split('[').next().unwrap_or_default().to_owned(),
    }
}

fn value(piece: &str) -> String {
    decoded(piece.split_once('=').map_or("", |(_, value)| value))
}

/// Decodes escapes. As in the upstream, one broken escape leaves the whole text as it is.
fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    let is_escape = |rest: &str| {
        let hex = rest.as_bytes().get(..2);
        hex.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(is_escape) {
        return text;
    }
    let decoded = percent_encoding::percent_decode_str(&text)
        .decode_utf8()
        .map(String::from);
    decoded.unwrap_or(text)
}

/// Describes two answers that should be the same.
struct Report<'a> {
    sides: &'a Sides<'a>,
    question: &'a str,
    ours: &'a Observation,
    theirs: &'a Observation,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = self.question.replace('\'', "'\\''");
        writeln!(out, "curl -gs '{}{quoted}'    # mirror", self.sides.mirror)?;
        writeln!(out, "curl -gs '{}{quoted}'    # oracle", self.sides.oracle)?;
        for (side, seen) in [("mirror", self.ours), ("oracle", self.theirs)] {
            let body: String = seen.body.chars().take(700).collect();
            writeln!(
                out,
                "  {side}: {} {} total {:?} link {:?} {} bytes\n    {}",
                seen.status,
                seen.content_type,
                seen.total,
                seen.link,
                seen.body.len(),
                body.replace('\n', " ")
            )?;
        }
        Ok(())
    }
}
