//! What a person chose on `/movies`, in its address: the view, words to search for, filters, order.
//!
//! A form sends every field, so an empty value counts as not chosen. Parameters with other names
//! are ignored.

use form_urlencoded::Serializer;

/// How long `q` and `director` may be, in characters.
const LONGEST: usize = 200;

/// How the films are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Look {
    /// The reference application's five columns.
    #[default]
    Table,
    Cards,
}

/// By what the films are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Year,
    Title,
    Score,
}

impl Sort {
    pub(super) const ALL: [Self; 3] = [Self::Year, Self::Title, Self::Score];

    /// The value of `sort`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Title => "title",
            Self::Score => "score",
        }
    }

    /// The order without `order`: the newest and the best first, titles from A to Z.
    pub(super) fn is_descending(self) -> bool {
        self != Self::Title
    }

    /// The order in words.
    pub(super) fn words(self, is_descending: bool) -> &'static str {
        match (self, is_descending) {
            (Self::Year, true) => "newest first",
            (Self::Year, false) => "oldest first",
            (Self::Title, false) => "by title",
            (Self::Title, true) => "by title, Z to A",
            (Self::Score, true) => "best score first",
            (Self::Score, false) => "lowest score first",
        }
    }
}

/// What a person chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(super) look: Look,
    /// The words to search for, as typed.
    pub(super) search: String,
    pub(super) director: String,
    /// The first year.
    pub(super) decade: Option<u32>,
    pub(super) sort: Sort,
    /// `None` is the usual order of `sort`.
    pub(super) is_descending: Option<bool>,
}

/// A value that no choice has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadChoice {
    pub(crate) parameter: &'static str,
    pub(crate) detail: String,
}

impl Choice {
    /// All films as cards.
    pub(super) fn cards() -> Self {
        Self {
            look: Look::Cards,
            ..Self::default()
        }
    }

    /// Reads a query string. The first of several values counts.
    pub(crate) fn parse(query: &str) -> Result<Self, BadChoice> {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let value = |wanted: &str| {
            let found = pairs.iter().find(|(name, _)| name == wanted);
            found.map_or("", |(_, value)| value.trim())
        };
        let text = |parameter: &'static str| {
            let value = value(parameter);
            if value.chars().count() > LONGEST {
                let detail = format!("`{parameter}` is longer than {LONGEST} characters");
                return Err(BadChoice { parameter, detail });
            }
            Ok(value.to_owned())
        };
        Ok(Self {
            look: match value("view") {
                "" | "table" => Look::Table,
                "cards" => Look::Cards,
                _ => return Err(bad("view", "`table` or `cards`")),
            },
            search: text("q")?,
            director: text("director")?,
            decade: match value("decade") {
                "" => None,
                decade => {
                    Some(first_year(decade).ok_or_else(|| {
                        bad("decade", "the first year of a decade, such as `1980`")
                    })?)
                }
            },
            sort: match value("sort") {
                "" | "year" => Sort::Year,
                "title" => Sort::Title,
                "score" => Sort::Score,
                _ => return Err(bad("sort", "`year`, `title` or `score`")),
            },
            is_descending: match value("order") {
                "" => None,
                "asc" => Some(false),
                "desc" => Some(true),
                _ => return Err(bad("order", "`asc` or `desc`")),
            },
        }
        .normal())
    }

    /// The same choice, spelt without what goes without saying.
    fn normal(mut self) -> Self {
        let usual = Some(self.sort.is_descending());
        self.is_descending = self.is_descending.filter(|it| Some(*it) != usual);
        self
    }

    /// Whether posters are on the page.
    pub(crate) fn has_posters(&self) -> bool {
        self.look == Look::Cards
    }

    pub(super) fn descends(&self) -> bool {
        self.is_descending.unwrap_or(self.sort.is_descending())
    }

    /// The same films in another look.
    pub(super) fn in_look(&self, look: Look) -> Self {
        let choice = self.clone();
        Self { look, ..choice }
    }

    /// Sorted by this; the other way round if that is the case already.
    pub(super) fn by(&self, sort: Sort) -> Self {
        let is_descending = (self.sort == sort).then_some(!self.descends());
        let choice = Self {
            sort,
            is_descending,
            ..self.clone()
        };
        choice.normal()
    }

    /// All films of a director, in the same look.
    pub(super) fn of_director(&self, director: &str) -> Self {
        Self {
            look: self.look,
            director: director.to_owned(),
            ..Self::default()
        }
    }

    /// Whether all films are chosen.
    pub(super) fn is_everything(&self) -> bool {
        self.search.is_empty() && self.director.is_empty() && self.decade.is_none()
    }

    /// The address of the chosen films.
    pub(super) fn href(&self, prefix: &str) -> String {
        let decade = self.decade.map(|year| year.to_string());
        let is_sorted = self.sort != Sort::default();
        let order = self.is_descending.map(|it| if it { "desc" } else { "asc" });
        let mut query = Serializer::new(String::new());
        for (name, value) in [
            ("view", (self.look == Look::Cards).then_some("cards")),
            ("q", Some(&*self.search)),
            ("director", Some(&*self.director)),
            ("decade", decade.as_deref()),
            ("sort", is_sorted.then(|| self.sort.name())),
            ("order", order),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{prefix}/movies{mark}{query}")
    }
}

fn bad(parameter: &'static str, expected: &str) -> BadChoice {
    BadChoice {
        parameter,
        detail: format!("`{parameter}` must be {expected}"),
    }
}

/// `1980` or `1980s`.
fn first_year(decade: &str) -> Option<u32> {
    let year = decade.strip_suffix('s').unwrap_or(decade);
    let is_year = year.len() == 4 && year.bytes().all(|digit| digit.is_ascii_digit());
    let year = year.parse().ok().filter(|_| is_year)?;
    (year % 10 == 0).then_some(year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_what_its_address_says() {
        for (query, href) in [
            ("", "/movies"),
            ("x=1", "/movies"),
            (
                "q=&director=&decade=&sort=year&order=&view=table",
                "/movies",
            ),
            ("sort=year&order=desc", "/movies"),
            ("sort=title&order=asc", "/movies?sort=title"),
            ("order=asc", "/movies?order=asc"),
            ("view=cards&view=other", "/movies?view=cards"),
            ("q=+a%26b+", "/movies?q=a%26b"),
            (
                "decade=1980s&director=Hayao%20Miyazaki",
                "/movies?director=Hayao+Miyazaki&decade=1980",
            ),
        ] {
            assert_eq!(Choice::parse(query).unwrap().href(""), href, "{query}");
        }
        let by_score = Choice::parse("sort=score&q=sky").unwrap();
        assert_eq!(
            by_score.by(Sort::Score).href(""),
            "/movies?q=sky&sort=score&order=asc"
        );
        assert_eq!(by_score.by(Sort::Score).by(Sort::Score), by_score);
        assert_eq!(by_score.by(Sort::Year).href(""), "/movies?q=sky");
    }

    #[test]
    fn values_that_no_choice_has_are_refused_by_name() {
        let long = format!("q={}", "x".repeat(LONGEST + 1));
        for (query, parameter) in [
            ("view=list", "view"),
            ("sort=release_date", "sort"),
            ("order=up", "order"),
            ("decade=1985", "decade"),
            ("decade=%2B980", "decade"),
            (&*long, "q"),
            (&*long.replace('q', "director"), "director"),
        ] {
            let bad = Choice::parse(query).unwrap_err();
            assert_eq!(bad.parameter, parameter, "{query}");
            assert!(bad.detail.contains(&format!("`{parameter}`")), "{bad:?}");
        }
    }
}
