//! Hashes: fields with values.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::dict::Dict;
use super::hasher::KeyHasher;
use super::packed::size_class;
use super::words::{self, Words};
use crate::limits;

/// A hash.
#[derive(Clone, Debug)]
pub struct Hash(Fields);

#[derive(Clone, Debug)]
enum Fields {
    /// Fields and values one behind the other, in the order in which they came.
    Small(Vec<u8>),
    Large(Box<Dict>),
}

impl Default for Hash {
    fn default() -> Self {
        Self(Fields::Small(Vec::new()))
    }
}

impl Hash {
    /// Its fields, once there are many.
    pub(super) fn dict(&self) -> Option<&Dict> {
        if let Fields::Large(dict) = &self.0 { Some(dict) } else { None }
    }

    pub fn len(&self) -> usize {
        match &self.0 {
            Fields::Small(small) => Words::new(small).count() / 2,
            Fields::Large(dict) => dict.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Fields::Small(small) => small.is_empty(),
            Fields::Large(dict) => dict.len() == 0,
        }
    }

    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        match &self.0 {
            Fields::Small(small) => {
                Words::new(small).pairs().find(|(known, _)| *known == field).map(|(_, value)| value)
            }
            Fields::Large(dict) => dict.get(field),
        }
    }

    /// In no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (small, dict) = match &self.0 {
            Fields::Small(small) => (Words::new(small), None),
            Fields::Large(dict) => (Words::default(), Some(dict)),
        };
        small.pairs().chain(dict.into_iter().flat_map(|dict| dict.iter()))
    }

    /// Visits about `count` fields from a cursor on and gives the next cursor, as [`super::Database::scan`]; a small one at once.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(&'a [u8], &'a [u8])) -> u64 {
        match &self.0 {
            Fields::Small(small) => {
                Words::new(small).pairs().for_each(|(field, value)| visit(field, value));
                0
            }
            Fields::Large(dict) => dict.scan(cursor, count, visit),
        }
    }

    /// A field chosen by 64 random bits, each as likely as any other.
    pub fn random(&self, bits: u64) -> Option<(&[u8], &[u8])> {
        match &self.0 {
            Fields::Small(small) => {
                let at = (bits as usize).checked_rem(self.len())?;
                Words::new(small).pairs().nth(at)
            }
            Fields::Large(dict) => dict.random(bits),
        }
    }

    pub fn encoding(&self) -> &'static str {
        match self.0 {
            Fields::Small(_) => "listpack",
            Fields::Large(_) => "hashtable",
        }
    }

    pub(super) fn put(&mut self, field: &[u8], value: &[u8], hasher: &KeyHasher) {
        if let Fields::Small(small) = &mut self.0 {
            let mut pairs = Words::new(small).pairs();
            let mut at = 0;
            let mut count = 0;
            let found = pairs.find_map(|(known, old)| {
                let value_at = at + words::size_of_word(known.len());
                let end = value_at + words::size_of_word(old.len());
                at = end;
                count += 1;
                (known == field).then_some(value_at..end)
            });
            let fits = field.len().max(value.len()) <= limits::SMALL_ELEMENT
                && (found.is_some() || count < limits::SMALL_HASH);
            drop(pairs);
            match found {
                Some(range) if fits => return words::splice(small, range, Some(value)),
                None if fits => {
                    words::append(small, field);
                    return words::append(small, value);
                }
                _ => self.enlarge(hasher),
            }
        }
        if let Fields::Large(dict) = &mut self.0 {
            dict.put(field, value);
        }
    }

    pub(super) fn remove(&mut self, field: &[u8]) {
        match &mut self.0 {
            Fields::Small(small) => {
                let mut at = 0;
                let found = Words::new(small).pairs().find_map(|(known, value)| {
                    let start = at;
                    at += words::size_of_word(known.len()) + words::size_of_word(value.len());
                    (known == field).then_some(start..at)
                });
                if let Some(range) = found {
                    words::splice(small, range, None);
                }
            }
            Fields::Large(dict) => {
                dict.remove(field);
            }
        }
    }

    fn enlarge(&mut self, hasher: &KeyHasher) {
        let mut dict = Dict::new(hasher);
        for (field, value) in self.iter() {
            dict.put(field, value);
        }
        self.0 = Fields::Large(Box::new(dict));
    }

    /// Bytes accounted for its elements.
    pub(super) fn cost(&self) -> usize {
        match &self.0 {
            Fields::Small(small) => size_class(small.len()),
            Fields::Large(dict) => dict.bytes(),
        }
    }

    pub(super) fn check(&self) {
        match &self.0 {
            Fields::Small(small) => {
                assert!(Words::new(small).count().is_multiple_of(2) && self.len() <= limits::SMALL_HASH)
            }
            Fields::Large(dict) => dict.check(),
        }
    }
}
