//! Parameters as lists and trees, and how to merge two spellings of one name.
//!
//! Owns the shapes and their merging, including what the upstream's parser makes of
//! contradictions such as `a[b]=1&a=2`. Knows no syntax.

use std::fmt;

use super::js;

/// From this index on, an index is a name and not a place in a list.
pub(super) const LIST_LIMIT: usize = 1000;

/// What a parameter holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Param {
    Text(String),
    List(List),
    Tree(Tree),
}

/// A list. An index without a value stays empty until [`Tree::compact`] closes the gaps.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct List {
    pub(super) items: Vec<Option<Param>>,
    conflict: bool,
}

/// Named values in order of appearance.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tree {
    entries: Vec<(String, Param)>,
    /// The highest index, if this tree stands for a list that is too long.
    overflow: Option<usize>,
    /// The last index given to a text that was merged into this tree.
    conflict: Option<usize>,
}

/// The value has no text: its own field `toString` hides JavaScript's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoText;

impl Default for Param {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl From<Vec<Option<Param>>> for List {
    fn from(items: Vec<Option<Param>>) -> Self {
        Self {
            items,
            conflict: false,
        }
    }
}

impl Param {
    /// Whether JavaScript's `if (value)` holds: true for everything except the empty text.
    pub(super) fn is_given(&self) -> bool {
        !matches!(self, Self::Text(text) if text.is_empty())
    }

    /// The items of a list; any other value as the only item.
    pub(super) fn into_items(self) -> Vec<Self> {
        match self {
            Self::List(list) => list.items.into_iter().flatten().collect(),
            other => vec![other],
        }
    }

    /// The result of `String(value)`.
    pub(super) fn text(&self) -> Result<String, NoText> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Tree(tree) if tree.get("toString").is_some() => Err(NoText),
            Self::Tree(_) => Ok(js::OBJECT.to_owned()),
            Self::List(list) => {
                let texts: Result<Vec<_>, _> =
                    list.items.iter().flatten().map(Self::text).collect();
                Ok(texts?.join(","))
            }
        }
    }

    fn merge(self, source: Self) -> Self {
        match (self, source) {
            (target, source) if !source.is_given() => target,
            (Self::List(target), Self::Text(text)) => target.push(Self::Text(text)),
            (Self::Tree(mut target), Self::Text(text)) => {
                let source = Self::Text(text);
                if let Some(highest) = target.overflow {
                    target.set(&(highest + 1).to_string(), source);
                    target.overflow = Some(highest + 1);
                } else if let Some(last) = target.conflict {
                    target.set(&(last + 1).to_string(), source);
                    target.conflict = Some(last + 1);
                } else {
                    return Self::List(List {
                        items: vec![Some(Self::Tree(target)), Some(source)],
                        conflict: true,
                    });
                }
                Self::Tree(target)
            }
            (Self::Text(target), Self::Tree(source)) if source.overflow.is_some() => {
                Self::Tree(source.shifted_behind(Self::Text(target)))
            }
            (Self::Text(target), Self::List(source)) => {
                let mut items = vec![Some(Self::Text(target))];
                items.extend(source.items);
                List::from(items).limited()
            }
            (Self::Text(target), source) => {
                Self::List(List::from(vec![Some(Self::Text(target)), Some(source)]))
            }
            (Self::List(target), Self::List(source)) => target.merge(source),
            (Self::List(target), Self::Tree(source)) => {
                let mut target = target.into_tree();
                target.merge(Self::Tree(source));
                Self::Tree(target)
            }
            (Self::Tree(mut target), source) => {
                target.merge(source);
                Self::Tree(target)
            }
        }
    }
}

impl List {
    fn push(mut self, item: Param) -> Param {
        self.items.push(Some(item));
        self.limited()
    }

    fn merge(mut self, source: Self) -> Param {
        for (at, item) in source.items.into_iter().enumerate() {
            let Some(item) = item else { continue };
            match self.items.get_mut(at) {
                None => {
                    self.items.resize(at, None);
                    self.items.push(Some(item));
                }
                Some(place @ None) => *place = Some(item),
                Some(Some(known)) if known.is_nested() && item.is_nested() => {
                    *known = std::mem::take(known).merge(item);
                }
                Some(Some(_)) => self.items.push(Some(item)),
            }
        }
        self.limited()
    }

    /// The list itself, or a tree of its indexes if it is longer than lists may be.
    fn limited(self) -> Param {
        if self.items.len() <= LIST_LIMIT {
            return Param::List(self);
        }
        let highest = self.items.len() - 1;
        let mut tree = self.into_tree();
        tree.overflow = Some(highest);
        Param::Tree(tree)
    }

    fn into_tree(self) -> Tree {
        let conflict = self.conflict.then(|| self.items.len() - 1);
        let places = self.items.into_iter().enumerate();
        Tree {
            entries: places
                .filter_map(|(at, item)| Some((at.to_string(), item?)))
                .collect(),
            overflow: None,
            conflict,
        }
    }
}

impl Tree {
    pub(super) fn single(name: &str, value: Param) -> Self {
        Self {
            entries: vec![(name.to_owned(), value)],
            ..Self::default()
        }
    }

    pub(super) fn overflowing(name: &str, value: Param, at: usize) -> Self {
        Self {
            overflow: Some(at),
            ..Self::single(name, value)
        }
    }

    pub(super) fn overflows(&self) -> bool {
        self.overflow.is_some()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Param> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Param)> {
        self.entries
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// Adds the values of `source`, one by one.
    pub(super) fn merge(&mut self, source: Param) {
        let (entries, overflow) = match source {
            Param::Text(_) => return,
            Param::List(list) => (list.into_tree().entries, None),
            Param::Tree(tree) => (tree.entries, tree.overflow),
        };
        for (name, value) in entries {
            let at = js::index(&name);
            match self.entries.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = std::mem::take(known).merge(value),
                None => self.entries.push((name, value)),
            }
            if let (Some(least), None) = (overflow, self.overflow) {
                let highest = self
                    .entries
                    .iter()
                    .filter_map(|(name, _)| js::index(name))
                    .max();
                self.overflow = highest.max(Some(least));
            }
            self.overflow = self.overflow.map(|highest| highest.max(at.unwrap_or(0)));
            self.conflict = self.conflict.map(|last| last.max(at.unwrap_or(0)));
        }
    }

    /// Closes the gaps in all lists.
    pub(super) fn compact(&mut self) {
        for (_, value) in &mut self.entries {
            value.compact();
        }
    }

    fn set(&mut self, name: &str, value: Param) {
        match self.entries.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.entries.push((name.to_owned(), value)),
        }
    }

    fn shifted_behind(self, first: Param) -> Self {
        let mut entries = vec![("0".to_owned(), first)];
        for (name, value) in self.entries {
            let name = js::index(&name).map_or(name, |at| (at + 1).to_string());
            entries.push((name, value));
        }
        Self {
            entries,
            overflow: self.overflow.map(|highest| highest + 1),
            conflict: None,
        }
    }
}

impl Param {
    fn is_nested(&self) -> bool {
        !matches!(self, Self::Text(_))
    }

    fn compact(&mut self) {
        match self {
            Self::Text(_) => {}
            Self::List(list) => {
                list.items.retain(Option::is_some);
                list.items.iter_mut().flatten().for_each(Self::compact);
            }
            Self::Tree(tree) => tree.compact(),
        }
    }
}

impl fmt::Display for Param {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Tree(tree) => tree.fmt(out),
            Self::List(list) => {
                let items: Vec<_> = list.items.iter().flatten().map(Self::to_string).collect();
                write!(out, "[{}]", items.join(","))
            }
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<_> = self
            .iter()
            .map(|(name, value)| format!("{name}:{value}"))
            .collect();
        write!(out, "{{{}}}", entries.join(","))
    }
}
