//! The conditions in a path.

use alloc::vec::Vec;
use core::cmp::Ordering;

use regex::Regex;
use regex::RegexBuilder;

use super::{Exhausted, Json, Search, Selector};
use crate::limits;

/// A condition on a value, `@`.
#[derive(Debug)]
pub enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    /// The term means one value.
    Exists(Term),
    Compares(Term, Comparison, Term),
    /// A text that the pattern matches somewhere; `None` matches nothing.
    Matches(Term, Option<Pattern>),
    /// The same with a pattern that is a value itself.
    MatchesValue(Term, Term),
}

#[derive(Debug)]
pub enum Term {
    Value(Json),
    FromCurrent(Vec<Selector>),
    FromRoot(Vec<Selector>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Same,
    NotSame,
    Less,
    NotMore,
    More,
    NotLess,
}

/// A regular expression.
#[derive(Debug)]
pub struct Pattern {
    regex: Regex,
    /// How many states it has at most, in multiples of what the smallest have: so many steps may a byte of text take.
    weight: usize,
}

/// What the largest regular expressions weigh.
const HEAVIEST: usize = 64;

impl Pattern {
    /// `None` if it is none, or too large.
    pub fn new(pattern: &str) -> Option<Self> {
        if pattern.len() > limits::MAX_JSON_PATTERN_TEXT {
            return None;
        }
        /// Bytes that the smallest take in memory.
        const SMALLEST: usize = limits::MAX_JSON_PATTERN / HEAVIEST;
        [1, 4, 16, HEAVIEST].into_iter().find_map(|weight| {
            let built = RegexBuilder::new(pattern).size_limit(weight * SMALLEST).nest_limit(32).build();
            built.ok().map(|regex| Self { regex, weight })
        })
    }
}

impl Filter {
    /// Whether it holds for a value of the document that is searched.
    pub(super) fn holds<'a>(&self, search: &Search<'a>, current: &'a Json) -> Result<bool, Exhausted> {
        search.charge(1)?;
        match self {
            Filter::All(filters) => {
                for filter in filters {
                    if !filter.holds(search, current)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Filter::Any(filters) => {
                for filter in filters {
                    if filter.holds(search, current)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Filter::Exists(term) => Ok(term.value(search, current)?.is_some()),
            Filter::Compares(left, comparison, right) => {
                let (left, right) = (left.value(search, current)?, right.value(search, current)?);
                search.charge(size(left, right))?;
                Ok(comparison.holds(left, right))
            }
            Filter::Matches(term, pattern) => {
                let text = term.value(search, current)?.and_then(Json::as_text);
                matches(search, text, pattern.as_ref())
            }
            Filter::MatchesValue(term, pattern) => {
                let text = term.value(search, current)?.and_then(Json::as_text);
                let Some(pattern) = pattern.value(search, current)?.and_then(Json::as_text) else { return Ok(false) };
                let read = pattern.len().min(limits::MAX_JSON_PATTERN_TEXT);
                search.charge(read * limits::JSON_PATTERN_BYTE_VISITS)?;
                let pattern = Pattern::new(pattern);
                // Whoever is none may have been too large, after all that work.
                let weight = pattern.as_ref().map_or(HEAVIEST, |pattern| pattern.weight);
                search.charge(weight * limits::JSON_PATTERN_VISITS)?;
                matches(search, text, pattern.as_ref())
            }
        }
    }
}

fn matches(search: &Search<'_>, text: Option<&str>, pattern: Option<&Pattern>) -> Result<bool, Exhausted> {
    let Some((text, pattern)) = text.zip(pattern) else { return Ok(false) };
    search.charge(text.len().saturating_mul(pattern.weight * limits::JSON_MATCH_VISITS))?;
    Ok(pattern.regex.is_match(text))
}

impl Term {
    /// The one value that it means.
    fn value<'a>(&'a self, search: &Search<'a>, current: &'a Json) -> Result<Option<&'a Json>, Exhausted> {
        match self {
            Term::Value(value) => Ok(Some(value)),
            Term::FromCurrent(selectors) => search.only(selectors, current),
            Term::FromRoot(selectors) => search.only(selectors, search.root()),
        }
    }
}

/// What a comparison looks at, in values.
fn size(left: Option<&Json>, right: Option<&Json>) -> usize {
    match (left, right) {
        (Some(Json::Text(left)), Some(Json::Text(right))) => left.len().min(right.len()) / limits::JSON_COMPARED_BYTES,
        (Some(left @ Json::Array(_)), Some(right @ Json::Array(_)))
        | (Some(left @ Json::Object(_)), Some(right @ Json::Object(_))) => left.work() + right.work(),
        _ => 0,
    }
}

impl Comparison {
    /// What is not there, or of another type, is only not the same.
    fn holds(self, left: Option<&Json>, right: Option<&Json>) -> bool {
        let order = left.zip(right).and_then(|(left, right)| compare(left, right));
        let is_same = || match (left, right) {
            (Some(left @ (Json::Array(_) | Json::Object(_))), Some(right)) => left == right,
            _ => order == Some(Ordering::Equal),
        };
        match self {
            Comparison::Same => is_same(),
            Comparison::NotSame => !is_same(),
            Comparison::Less => order == Some(Ordering::Less),
            Comparison::NotMore => order.is_some_and(Ordering::is_le),
            Comparison::More => order == Some(Ordering::Greater),
            Comparison::NotLess => order.is_some_and(Ordering::is_ge),
        }
    }
}

/// The order of two scalars of one type. Numbers are of one type.
fn compare(left: &Json, right: &Json) -> Option<Ordering> {
    match (left, right) {
        (Json::Null, Json::Null) => Some(Ordering::Equal),
        (Json::Bool(left), Json::Bool(right)) => Some(left.cmp(right)),
        (Json::Text(left), Json::Text(right)) => Some(left.cmp(right)),
        (Json::Integer(left), Json::Integer(right)) => Some(left.cmp(right)),
        (Json::Large(left), Json::Large(right)) => Some(left.cmp(right)),
        _ => left.as_float()?.partial_cmp(&right.as_float()?),
    }
}
