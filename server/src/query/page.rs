//! `_page`, `_limit`, `_start`, `_end`: which slice of the records, and the pages around it.
//!
//! Owns the arithmetic of slices and the queries of the `Link` header. As in the upstream, only the
//! leading digits of a number count, and negative numbers count from the end.

use super::{
    error::BadQuery,
    js, params,
    tree::{NoText, Param, Tree},
};

/// Records on a page without `_limit`.
const PAGE: f64 = 10.0;

/// Queries that lead to other pages, for the `Link` header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageLinks {
    /// The first page.
    pub first: Option<String>,
    /// The previous page, unless this is the first.
    pub prev: Option<String>,
    /// The next page, unless this is the last.
    pub next: Option<String>,
    /// The last page.
    pub last: Option<String>,
}

impl PageLinks {
    /// The value of the `Link` header. `url` is the address without `?` and query.
    ///
    /// Empty when all records fit on the page; the upstream sends the header even then.
    pub fn header(&self, url: &str) -> String {
        let links = [
            ("first", &self.first),
            ("prev", &self.prev),
            ("next", &self.next),
            ("last", &self.last),
        ];
        let links: Vec<_> = links
            .into_iter()
            .filter_map(|(rel, query)| Some(format!("<{url}?{}>; rel=\"{rel}\"", query.as_ref()?)))
            .collect();
        links.join(", ")
    }
}

/// Which part of the records the client asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Slice {
    #[default]
    All,
    Page {
        number: f64,
        size: f64,
    },
    Range {
        start: f64,
        end: f64,
    },
}

impl Slice {
    /// Reads the parameters. A parameter that another one overrides is not read.
    pub(super) fn parse(params: &Tree) -> Result<Self, BadQuery> {
        let given = |name| params.get(name).filter(|param| param.is_given());
        let number = |name| {
            let text = given(name).map_or_else(|| Ok(String::new()), Param::text);
            let text = text.map_err(|NoText| BadQuery::no_text(name))?;
            Ok(js::parse_int(&text))
        };
        if given("_page").is_some() {
            let page = number("_page")?;
            Ok(Self::Page {
                number: if page >= 1.0 { page } else { 1.0 },
                size: some(number("_limit")?).unwrap_or(PAGE),
            })
        } else if given("_end").is_some() {
            let start = some(number("_start")?).unwrap_or(0.0);
            let end = number("_end")?;
            Ok(Self::Range { start, end })
        } else if given("_limit").is_some() {
            let start = some(number("_start")?).unwrap_or(0.0);
            let end = start + number("_limit")?;
            Ok(Self::Range { start, end })
        } else {
            Ok(Self::All)
        }
    }

    /// The slice of `records`.
    pub(super) fn cut<'r, T>(&self, records: &'r [T]) -> &'r [T] {
        let (start, end) = match *self {
            Self::All => return records,
            Self::Page { number, size } => ((number - 1.0) * size, number * size),
            Self::Range { start, end } => (start, end),
        };
        let (start, end) = (place(start, records.len()), place(end, records.len()));
        records.get(start..end).unwrap_or_default()
    }

    /// The pages around this one, which shows `shown` of `total` records. Each link is `raw`, the
    /// client's query, with the page number replaced. A link that would lead to a wrong page is
    /// left out: `_page=0` shows the first page, but leaves no number to replace, so that `next`
    /// would lead to the same page for ever.
    pub(super) fn pages(&self, raw: &str, shown: usize, total: usize) -> Option<PageLinks> {
        let Self::Page { number, size } = *self else {
            return None;
        };
        if shown == 0 || shown == total {
            return Some(PageLinks::default());
        }
        let link = |to: f64| {
            let from = format!("page={}", js::number_text(number));
            let link = raw.replacen(&from, &format!("page={}", js::number_text(to)), 1);
            (Self::page(&link) == Some(to)).then_some(link)
        };
        let total = count(total);
        Some(PageLinks {
            first: link(1.0),
            prev: Some(number - 1.0).filter(|to| *to >= 1.0).and_then(link),
            next: Some(number + 1.0)
                .filter(|_| number * size < total)
                .and_then(link),
            last: some((total / size).ceil()).and_then(link),
        })
    }

    /// The page that a query asks for.
    fn page(raw: &str) -> Option<f64> {
        match Self::parse(&params::parse(raw)) {
            Ok(Self::Page { number, .. }) => Some(number),
            _ => None,
        }
    }
}

/// The number, unless it is zero or not a number.
fn some(number: f64) -> Option<f64> {
    Some(number).filter(|number| !number.is_nan() && *number != 0.0)
}

/// A position in a list of `length`, counted from the end when negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the list's length; not a number becomes 0"
)]
fn place(number: f64, length: usize) -> usize {
    let length = count(length);
    let from_start = if number < 0.0 {
        length + number
    } else {
        number
    };
    from_start.clamp(0.0, length) as usize
}

#[expect(clippy::cast_precision_loss, reason = "no list has 2^53 items")]
fn count(length: usize) -> f64 {
    length as f64
}
