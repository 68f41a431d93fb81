//! The query language of collections and records, as clients of the upstream know it.
//!
//! Parses a query string into a [`Plan`], and applies a plan to records. Never touches the
//! network, the cache, a clock or anything global, and renders nothing: routes pass the records in
//! and write the result out.
//!
//! | parameter | effect |
//! |---|---|
//! | `q` | records that contain the text anywhere in their values, whatever its case |
//! | `field=`, `field_ne=` | records whose field is, or is not, the value; `a.0` reaches inside |
//! | `field_gte=`, `field_lte=` | bounds, compared as numbers where both sides look like one |
//! | `field_like=` | a regular expression, whatever the case |
//! | `_sort`, `_order=DESC` | order by a field |
//! | `_page`, `_limit`, `_start`, `_end` | a slice; headers give the total, and links for `_page` |
//! | `_embed`, `_expand` | records in place of links |
//! | `fields`, `limit` | only these fields; only so many records |
//! | `callback` | JSONP |
//!
//! The answers are the same as the upstream's, with these differences, each on purpose:
//!
//! - What makes the upstream fail (a broken `_like` or `limit`, a repeated `fields`, `limit` or
//!   `q`) is a [`BadQuery`], even where the upstream would never evaluate the faulty part.
//! - A record's text equals what the client typed: `1986` finds `"1986"` as well as `1986`, and
//!   `_ne` leaves both out.
//! - Patterns run in linear time, so look-around and back-references are refused.
//! - `_embed` and `_expand` follow the records' own links.
//! - Properties of the language (`constructor`, `toString`) are not part of a record.
//! - Unescaped text is read as UTF-8; half of an emoji stands for the whole emoji. Raw quotes and
//!   angle brackets beside a broken escape are read as if they were escaped.
//! - A link that would lead to a wrong page is left out.
//! - Sorting by a field that mixes texts and numbers agrees only for fewer than 64 records.
//! - The size of query strings, patterns and callback names is limited, and so is the number of
//!   conditions and patterns.

mod clauses;
mod condition;
mod error;
mod js;
mod order;
mod page;
mod params;
mod path;
mod pattern;
pub mod pool;
mod relation;
mod tree;
mod units;

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use self::{condition::Condition, order::Order, page::Slice, tree::Tree};
pub use self::{error::BadQuery, page::PageLinks, relation::Resolve};

/// Longest query string, in bytes. Real ones stay below 200.
const LONGEST_QUERY: usize = 4096;

/// A query string, read and checked.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    raw: String,
    text: Option<String>,
    conditions: Vec<Condition>,
    order: Option<Order>,
    slice: Slice,
    embeds: Vec<String>,
    fields: Option<Vec<String>>,
    limit: Option<usize>,
    callback: Option<String>,
}

/// The records that a plan selects, and what the headers say about them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection<'a> {
    /// The records in order.
    pub records: Vec<Shown<'a>>,
    /// The number of records before slicing, for `X-Total-Count`; absent without a slice.
    pub total: Option<usize>,
    /// The pages around this one, for `Link`; absent without `_page`.
    pub links: Option<PageLinks>,
}

/// A record as a plan shows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown<'a> {
    /// As it is.
    Whole(&'a Map<String, Value>),
    /// Only these fields, or with other values.
    Part(Vec<(&'a str, Cow<'a, Value>)>),
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole(record) => record.serialize(serializer),
            Self::Part(fields) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

impl Plan {
    /// Reads the query string of a request for a collection. `raw` has no `?`, and still has its
    /// escapes.
    ///
    /// # Errors
    ///
    /// [`BadQuery`] where the upstream fails, and when a size limit is exceeded.
    pub fn parse(raw: &str) -> Result<Self, BadQuery> {
        let mut plan = Self::default();
        let params = plan.read_common(raw)?;
        plan.limit = clauses::limit(raw)?;
        plan.text = clauses::full_text(params.get("q"))?;
        plan.conditions = clauses::conditions(&params)?;
        plan.order = clauses::order(&params)?;
        plan.slice = Slice::parse(&params)?;
        Ok(plan)
    }

    /// Reads the query string of a request for a single record. Only `fields`, `callback`,
    /// `_embed` and `_expand` have a meaning; other parameters are ignored, valid or not.
    ///
    /// # Errors
    ///
    /// [`BadQuery`] where the upstream fails, and when a size limit is exceeded.
    pub fn parse_for_record(raw: &str) -> Result<Self, BadQuery> {
        let mut plan = Self::default();
        plan.read_common(raw)?;
        Ok(plan)
    }

    /// Whether a query string surely asks for little work: about as much as it takes to have another
    /// thread do it, if there are not many records.
    pub fn is_light(raw: &str) -> bool {
        clauses::is_light(raw)
    }

    fn read_common(&mut self, raw: &str) -> Result<Tree, BadQuery> {
        if raw.len() > LONGEST_QUERY {
            let problem =
                format!("string is longer than {LONGEST_QUERY} bytes; ask for less at once");
            return Err(BadQuery::new("query", problem));
        }
        raw.clone_into(&mut self.raw);
        let params = params::parse(raw);
        self.fields = clauses::fields(raw)?;
        self.callback = clauses::callback(params.get("callback"))?;
        self.embeds = clauses::embeds(&params);
        Ok(params)
    }

    /// Whether the plan leaves the answer unchanged, so that the server can send the rendered body.
    pub fn is_plain(&self) -> bool {
        self.conditions.is_empty()
            && self.text.is_none()
            && self.order.is_none()
            && self.slice == Slice::All
            && self.embeds.is_empty()
            && self.fields.is_none()
            && self.limit.is_none()
            && self.callback.is_none()
    }

    /// The JSONP callback, reduced to letters, digits and `_ $ . [ ]`; the result may be empty.
    pub fn callback(&self) -> Option<&str> {
        self.callback.as_deref()
    }

    /// The relations whose links the plan replaces with records.
    pub fn embeds(&self) -> &[String] {
        &self.embeds
    }

    /// Selects from a collection. `records` are in the upstream's order. The plan calls `resolve`
    /// only when [`embeds`](Self::embeds) has names.
    pub fn apply<'a>(
        &self,
        records: impl IntoIterator<Item = &'a Map<String, Value>>,
        resolve: Resolve<'_>,
    ) -> Selection<'a> {
        let mut records: Vec<_> = records.into_iter().collect();
        let conditions: Vec<_> = self
            .conditions
            .iter()
            .filter(|one| one.counts(&records))
            .collect();
        records.retain(|record| {
            let text = self.text.as_ref();
            text.is_none_or(|text| condition::mentions(record, text))
                && conditions.iter().all(|condition| condition.admits(record))
        });
        if let Some(order) = &self.order {
            order.sort(&mut records);
        }
        let total = records.len();
        let shown = self.slice.cut(&records);
        let links = self.slice.pages(&self.raw, shown.len(), total);
        let kept = self
            .limit
            .map_or(shown, |most| &shown[..most.min(shown.len())]);
        Selection {
            records: kept
                .iter()
                .map(|record| self.project(record, resolve))
                .collect(),
            total: (self.slice != Slice::All).then_some(total),
            links,
        }
    }

    /// Applies the plan to a single record: first replaces links, then chooses fields.
    pub fn project<'a>(&self, record: &'a Map<String, Value>, resolve: Resolve<'_>) -> Shown<'a> {
        let embeds = |name: &str| self.embeds.iter().any(|embed| embed == name);
        let keeps = |name: &str| {
            let fields = self.fields.as_ref();
            fields.is_none_or(|fields| fields.iter().any(|field| field == name))
        };
        if record.keys().all(|name| keeps(name) && !embeds(name)) {
            return Shown::Whole(record);
        }
        let fields = record
            .iter()
            .filter(|(name, _)| keeps(name))
            .map(|(name, value)| {
                let value = if embeds(name) {
                    Cow::Owned(relation::embedded(value, resolve))
                } else {
                    Cow::Borrowed(value)
                };
                (name.as_str(), value)
            });
        Shown::Part(fields.collect())
    }
}
