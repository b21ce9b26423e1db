//! Where a value is in a document, as effects name it.

use alloc::vec::Vec;

use super::Json;
use crate::limits;
use crate::store::words::{self, Words, push_number, take_number};

/// A step from a container to one of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

const NAME: u8 = 0;
const INDEX: u8 = 1;

impl<'a> Step<'a> {
    /// Appends it as a word.
    pub fn push(self, out: &mut Vec<u8>) {
        match self {
            Step::Name(name) => words::push_joined(out, &[NAME], name.as_bytes()),
            Step::Index(index) => {
                let start = out.len();
                out.extend_from_slice(&[0, INDEX]);
                push_number(out, index as u64);
                // A number is a few bytes, whose length is one.
                out[start] = (out.len() - start - 1) as u8;
            }
        }
    }

    pub fn of_word(word: &'a [u8]) -> Option<Self> {
        match word.split_first()? {
            (&NAME, name) => core::str::from_utf8(name).ok().map(Step::Name),
            (&INDEX, number) => {
                let (index, []) = take_number(number)? else { return None };
                usize::try_from(index).ok().map(Step::Index)
            }
            _ => None,
        }
    }
}

/// The steps from the root to a value, as words: those to a value in it begin with the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(Vec<u8>);

impl Place {
    pub fn of<'a>(steps: impl IntoIterator<Item = Step<'a>>) -> Self {
        let mut words = Vec::new();
        steps.into_iter().for_each(|step| step.push(&mut words));
        Self(words)
    }

    pub fn words(&self) -> Words<'_> {
        Words::new(&self.0)
    }

    /// How many containers stand around the value.
    pub fn depth(&self) -> usize {
        self.words().count()
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is this value or one in it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    pub fn then(&self, step: Step<'_>) -> Self {
        let mut words = self.0.clone();
        step.push(&mut words);
        Self(words)
    }
}

/// The container's place, and the last step; `None` of the root, and of what is damaged.
pub fn split_last(place: Words<'_>) -> Option<(Words<'_>, &[u8])> {
    let mut rest = place;
    loop {
        let behind = rest.left();
        let last = rest.next()?;
        if rest.is_empty() {
            let bytes = place.bytes();
            return Some((Words::new(&bytes[..bytes.len() - behind]), last));
        }
    }
}

impl Json {
    /// The value that these steps lead to.
    pub fn at(&self, steps: Words<'_>) -> Option<&Json> {
        let mut value = self;
        for word in steps {
            value = match (value, Step::of_word(word)?) {
                (Json::Object(object), Step::Name(name)) => object.get(name)?,
                (Json::Array(items), Step::Index(index)) => items.get(index)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// The same, to be changed, and how many containers stand around it.
    pub(crate) fn at_mut(&mut self, steps: Words<'_>) -> Option<(&mut Json, usize)> {
        let (mut value, mut depth) = (self, 0);
        for word in steps {
            value = match (value, Step::of_word(word)?) {
                (Json::Object(object), Step::Name(name)) => object.get_mut(name)?,
                (Json::Array(items), Step::Index(index)) => items.get_mut(index)?,
                _ => return None,
            };
            depth += 1;
        }
        debug_assert!(depth <= limits::MAX_JSON_DEPTH);
        Some((value, depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_split_before_its_last_step() {
        let place = Place::of([Step::Name("a"), Step::Index(300), Step::Name("")]);
        let (words, last) = split_last(place.words()).expect("not the root");
        let container = Place::of([Step::Name("a"), Step::Index(300)]);
        assert_eq!((words, Step::of_word(last)), (container.words(), Some(Step::Name(""))));
        assert!(place.is_within(&container) && !container.is_within(&place));
        assert!(!Place::of([Step::Name("ab")]).is_within(&Place::of([Step::Name("a")])));
        assert_eq!(split_last(Words::default()), None);
        assert_eq!(split_last(Words::new(&[1, 0, 5])), None);
    }
}
