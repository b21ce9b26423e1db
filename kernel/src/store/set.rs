//! Sets of byte strings.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::dict::Dict;
use super::hasher::KeyHasher;
use super::integers::Integers;
use super::packed::size_class;
use super::words::{self, Words};
use crate::digits::Digits;
use crate::limits;
use crate::resp::parse_i64;

/// A set.
#[derive(Clone, Debug)]
pub struct Set(Members);

#[derive(Clone, Debug)]
enum Members {
    /// Integers in ascending order, as Redis's intset.
    Integers(Integers),
    /// One behind the other, in the order in which they came.
    Small(Vec<u8>),
    Large(Box<Dict>),
}

impl Set {
    /// Its members, once there are many.
    pub(super) fn dict(&self) -> Option<&Dict> {
        if let Members::Large(dict) = &self.0 { Some(dict) } else { None }
    }
}

impl Default for Set {
    fn default() -> Self {
        Self(Members::Integers(Integers::default()))
    }
}

/// A member: integers are kept as numbers.
#[derive(Clone, Copy, Debug)]
pub enum Member<'a> {
    Bytes(&'a [u8]),
    Number(Digits),
}

impl core::ops::Deref for Member<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Member::Bytes(bytes) => bytes,
            Member::Number(digits) => digits,
        }
    }
}

impl PartialEq for Member<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Member<'_> {}

impl core::hash::Hash for Member<'_> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl Member<'_> {
    fn of_number(number: i64) -> Self {
        Member::Number(Digits::of(number))
    }
}

impl Set {
    pub fn len(&self) -> usize {
        match &self.0 {
            Members::Integers(integers) => integers.len(),
            Members::Small(small) => Words::new(small).count(),
            Members::Large(dict) => dict.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Members::Integers(integers) => integers.is_empty(),
            Members::Small(small) => small.is_empty(),
            Members::Large(dict) => dict.len() == 0,
        }
    }

    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Members::Integers(integers) => parse_i64(member).is_some_and(|number| integers.search(number).is_ok()),
            Members::Small(small) => Words::new(small).any(|known| known == member),
            Members::Large(dict) => dict.get(member).is_some(),
        }
    }

    /// In no order that means anything; integers in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Member<'_>> {
        let (integers, small, dict) = match &self.0 {
            Members::Integers(integers) => (Some(integers), Words::default(), None),
            Members::Small(small) => (None, Words::new(small), None),
            Members::Large(dict) => (None, Words::default(), Some(dict)),
        };
        let large = dict.into_iter().flat_map(|dict| dict.iter()).map(|(member, _)| member);
        integers
            .into_iter()
            .flat_map(Integers::iter)
            .map(Member::of_number)
            .chain(small.chain(large).map(Member::Bytes))
    }

    /// Visits about `count` members from a cursor on and gives the next cursor, as [`super::Database::scan`]; a small one at once.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(Member<'a>)) -> u64 {
        match &self.0 {
            Members::Large(dict) => dict.scan(cursor, count, |member, _| visit(Member::Bytes(member))),
            _ => {
                self.iter().for_each(visit);
                0
            }
        }
    }

    /// A member chosen by 64 random bits, each as likely as any other.
    pub fn random(&self, bits: u64) -> Option<Member<'_>> {
        match &self.0 {
            Members::Integers(integers) => {
                let at = (bits as usize).checked_rem(integers.len())?;
                integers.get(at).map(Member::of_number)
            }
            Members::Small(small) => {
                let at = (bits as usize).checked_rem(self.len())?;
                Words::new(small).nth(at).map(Member::Bytes)
            }
            Members::Large(dict) => dict.random(bits).map(|(member, _)| Member::Bytes(member)),
        }
    }

    pub fn encoding(&self) -> &'static str {
        match self.0 {
            Members::Integers(_) => "intset",
            Members::Small(_) => "listpack",
            Members::Large(_) => "hashtable",
        }
    }

    pub(super) fn add(&mut self, member: &[u8], hasher: &KeyHasher) {
        if let Members::Integers(integers) = &mut self.0 {
            let number = parse_i64(member);
            let place = number.map(|number| (number, integers.search(number)));
            match place {
                Some((_, Ok(_))) => return,
                Some((number, Err(at))) if integers.len() < limits::INTEGER_SET => {
                    return integers.insert(at, number);
                }
                _ => {
                    // Of integers only a few become a listpack, as in Redis.
                    let fits = self.len() < limits::SMALL_SET && member.len() <= limits::SMALL_ELEMENT;
                    if fits { self.make_small() } else { self.enlarge(hasher) }
                }
            }
        }
        if let Members::Small(small) = &mut self.0 {
            let mut count = 0;
            let is_known = Words::new(small).inspect(|_| count += 1).any(|known| known == member);
            if is_known {
                return;
            }
            if count < limits::SMALL_SET && member.len() <= limits::SMALL_ELEMENT {
                return words::append(small, member);
            }
            self.enlarge(hasher);
        }
        if let Members::Large(dict) = &mut self.0 {
            dict.put(member, &[]);
        }
    }

    pub(super) fn remove(&mut self, member: &[u8]) {
        match &mut self.0 {
            Members::Integers(integers) => {
                if let Some(Ok(at)) = parse_i64(member).map(|number| integers.search(number)) {
                    integers.remove(at);
                }
            }
            Members::Small(small) => {
                let mut at = 0;
                let found = Words::new(small).find_map(|known| {
                    let start = at;
                    at += words::size_of_word(known.len());
                    (known == member).then_some(start..at)
                });
                if let Some(range) = found {
                    words::splice(small, range, None);
                }
            }
            Members::Large(dict) => {
                dict.remove(member);
            }
        }
    }

    fn make_small(&mut self) {
        let mut small = Vec::new();
        self.iter().for_each(|member| words::push(&mut small, &member));
        self.0 = Members::Small(small);
    }

    fn enlarge(&mut self, hasher: &KeyHasher) {
        let mut dict = Dict::new(hasher);
        for member in self.iter() {
            dict.put(&member, &[]);
        }
        self.0 = Members::Large(Box::new(dict));
    }

    /// Bytes accounted for its members.
    pub(super) fn cost(&self) -> usize {
        match &self.0 {
            Members::Integers(integers) => integers.cost(),
            Members::Small(small) => size_class(small.len()),
            Members::Large(dict) => dict.bytes(),
        }
    }

    pub(super) fn check(&self) {
        match &self.0 {
            Members::Integers(integers) => {
                integers.check();
                assert!(integers.len() <= limits::INTEGER_SET);
            }
            Members::Small(_) => assert!(self.len() <= limits::SMALL_SET),
            Members::Large(dict) => dict.check(),
        }
    }
}
