//! Finding values.

use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;

use super::{Json, Object, Path, Place, Selector, Step};
use crate::limits;

/// A path would look at more values than [`limits::MAX_JSON_VISITS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path looks at too many values")]
pub struct Exhausted;

/// One command's search of a document, with what it may still cost.
pub struct Search<'a> {
    root: &'a Json,
    visits: Cell<usize>,
}

impl fmt::Debug for Search<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").field("visits", &self.visits).finish_non_exhaustive()
    }
}

/// Why a walk ends early.
enum End {
    Exhausted,
    /// Who asked has enough.
    Enough,
}

impl From<Exhausted> for End {
    fn from(Exhausted: Exhausted) -> Self {
        End::Exhausted
    }
}

impl<'a> Search<'a> {
    pub fn new(root: &'a Json) -> Self {
        Self::with_visits(root, limits::MAX_JSON_VISITS)
    }

    /// As a command does that has searched other documents before.
    pub fn with_visits(root: &'a Json, visits: usize) -> Self {
        Self { root, visits: Cell::new(visits) }
    }

    pub fn visits_left(&self) -> usize {
        self.visits.get()
    }

    pub(super) fn root(&self) -> &'a Json {
        self.root
    }

    /// Counts other work, as that of so many values.
    pub(crate) fn charge(&self, visits: usize) -> Result<(), Exhausted> {
        self.visits.set(self.visits.get().checked_sub(visits).ok_or(Exhausted)?);
        Ok(())
    }

    /// What the path finds, in the order of the document.
    pub fn values(&self, path: &'a Path) -> Result<Vec<&'a Json>, Exhausted> {
        let mut found = Vec::new();
        self.walk(&path.selectors, self.root, &mut |_, value| {
            found.push(value);
            Ok(())
        })?;
        Ok(found)
    }

    /// The first of those.
    pub fn first(&self, path: &'a Path) -> Result<Option<&'a Json>, Exhausted> {
        let mut found = None;
        self.walk(&path.selectors, self.root, &mut |_, value| {
            found = Some(value);
            Err(End::Enough)
        })?;
        Ok(found)
    }

    /// Where the values stand that the path finds; some of them twice, if the path says so twice.
    pub fn places(&self, path: &'a Path) -> Result<Vec<Place>, Exhausted> {
        self.places_of(&path.selectors)
    }

    pub fn places_of(&self, selectors: &'a [Selector]) -> Result<Vec<Place>, Exhausted> {
        let mut found = Vec::new();
        self.walk(selectors, self.root, &mut |trail, _| {
            let names = trail.iter().map(|step| if let Step::Name(name) = step { name.len() } else { 0 });
            self.charge(limits::JSON_PLACE_VISITS + trail.len() + names.sum::<usize>() / limits::JSON_PLACE_BYTES)?;
            found.push(Place::of(trail.iter().copied()));
            Ok(())
        })?;
        Ok(found)
    }

    /// What is found, if that is one value.
    pub(super) fn only(&self, selectors: &'a [Selector], from: &'a Json) -> Result<Option<&'a Json>, Exhausted> {
        let (mut found, mut count) = (None, 0);
        self.walk(selectors, from, &mut |_, value| {
            found = Some(value);
            count += 1;
            if count > 1 { Err(End::Enough) } else { Ok(()) }
        })?;
        Ok(found.filter(|_| count == 1))
    }

    fn walk(&self, selectors: &'a [Selector], from: &'a Json, found: Found<'_, 'a>) -> Result<(), Exhausted> {
        let mut walk = Walk { search: self, trail: Vec::new(), found };
        match walk.go(selectors, from) {
            Err(End::Exhausted) => Err(Exhausted),
            Err(End::Enough) | Ok(()) => Ok(()),
        }
    }
}

type Found<'f, 'a> = &'f mut dyn FnMut(&[Step<'a>], &'a Json) -> Result<(), End>;

struct Walk<'s, 'f, 'a> {
    search: &'s Search<'a>,
    /// The steps to the value that is looked at.
    trail: Vec<Step<'a>>,
    found: Found<'f, 'a>,
}

impl<'a> Walk<'_, '_, 'a> {
    /// Each selector but `..` goes a step into the document, whose depth is bounded: so is that of the recursion.
    fn go(&mut self, selectors: &'a [Selector], value: &'a Json) -> Result<(), End> {
        self.search.charge(1)?;
        let Some((selector, rest)) = selectors.split_first() else { return (self.found)(&self.trail, value) };
        match (selector, value) {
            (Selector::Names(names), Json::Object(object)) => self.names(names, rest, object),
            (Selector::Indexes(indexes), Json::Array(items)) => {
                // Whoever is not there was looked for, too; one of them is in what the value counts for.
                self.search.charge(indexes.len().saturating_sub(1))?;
                for index in indexes {
                    let index = from_start(*index, items.len());
                    if let Some((index, item)) = index.and_then(|index| Some((index, items.get(index)?))) {
                        self.step(Step::Index(index), rest, item)?;
                    }
                }
                Ok(())
            }
            (Selector::Slice { start, end, step }, Json::Array(items)) => {
                let bound = |given: Option<i64>, default: usize| match given {
                    None => default,
                    Some(index) => from_start(index, items.len()).unwrap_or(0).min(items.len()),
                };
                let (start, end) = (bound(*start, 0), bound(*end, items.len()));
                for (index, item) in items.iter().enumerate().take(end).skip(start).step_by(*step) {
                    self.step(Step::Index(index), rest, item)?;
                }
                Ok(())
            }
            (Selector::All, _) => self.children(value, |walk, step, child| walk.step(step, rest, child)),
            (Selector::Filter(filter), _) => {
                self.children(value, |walk, step, child| match filter.holds(walk.search, child)? {
                    true => walk.step(step, rest, child),
                    false => Ok(()),
                })
            }
            (Selector::Descend, _) => {
                self.go(rest, value)?;
                self.children(value, |walk, step, child| walk.step(step, selectors, child))
            }
            _ => Ok(()),
        }
    }

    fn names(&mut self, names: &[alloc::boxed::Box<str>], rest: &'a [Selector], object: &'a Object) -> Result<(), End> {
        let bytes = names.iter().map(|name| name.len()).sum::<usize>();
        self.search.charge(names.len().saturating_sub(1) + bytes / limits::JSON_COMPARED_BYTES)?;
        for name in names {
            if let Some((name, value)) = object.member(name) {
                self.step(Step::Name(name), rest, value)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, step: Step<'a>, rest: &'a [Selector], value: &'a Json) -> Result<(), End> {
        self.trail.push(step);
        self.go(rest, value)?;
        self.trail.pop();
        Ok(())
    }

    fn children(
        &mut self,
        value: &'a Json,
        mut visit: impl FnMut(&mut Self, Step<'a>, &'a Json) -> Result<(), End>,
    ) -> Result<(), End> {
        match value {
            Json::Array(items) => {
                items.iter().enumerate().try_for_each(|(index, item)| visit(self, Step::Index(index), item))
            }
            Json::Object(object) => object.iter().try_for_each(|(name, value)| visit(self, Step::Name(name), value)),
            _ => Ok(()),
        }
    }
}

/// An index that may count from the end, counted from the start; `None` if that is before the start.
pub fn from_start(index: i64, len: usize) -> Option<usize> {
    let at = if index < 0 { i64::try_from(len).ok()?.checked_add(index)? } else { index };
    usize::try_from(at).ok()
}
