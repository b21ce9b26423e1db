//! An item as memory keeps it: a byte string in one allocation with its key, or a collection.

use alloc::boxed::Box;

use super::dict::Search;
use super::hasher::KeyHasher;
use super::packed::{OVERHEAD, Packed, ROUNDING};
use super::segment::Stored;
use super::{Collection, Item, Value};
use crate::effect::Change;

/// A slot of the table of keys: sixteen bytes, whatever it holds.
#[derive(Debug)]
pub(super) enum Kept {
    Text(Packed),
    Object(Box<Object>),
}

const _: () = assert!(size_of::<Kept>() == 16);

/// A key with a collection.
#[derive(Debug)]
pub(super) struct Object {
    key: Box<[u8]>,
    /// [`NEVER`], or when it is gone.
    deadline: u64,
    collection: Collection,
}

/// No time that can be asked for.
const NEVER: u64 = u64::MAX;

// A size that allocators have: eight bytes more would cost sixteen.
const _: () = assert!(size_of::<Object>() == 80);

impl Object {
    fn deadline(&self) -> Option<u64> {
        (self.deadline != NEVER).then_some(self.deadline)
    }
}

impl Default for Kept {
    fn default() -> Self {
        Kept::Text(Packed::default())
    }
}

impl Kept {
    pub(super) fn text(key: &[u8], value: &[u8], deadline: Option<u64>) -> Self {
        Kept::Text(Packed::new(key, value, deadline))
    }

    /// What such a change begins with where there is nothing; `None` if it changes nothing there.
    pub(super) fn for_change(key: &[u8], change: &Change<'_>) -> Option<Self> {
        let collection = Collection::for_change(change)?;
        Some(Kept::Object(Box::new(Object { key: key.into(), deadline: NEVER, collection })))
    }

    #[inline]
    pub(super) fn item(&self) -> Item<'_> {
        match self {
            Kept::Text(packed) => Item { value: Value::Text(packed.value()), deadline: packed.deadline() },
            Kept::Object(object) => Item { value: object.collection.value(), deadline: object.deadline() },
        }
    }

    /// See [`Collection::searched`].
    #[inline]
    pub(super) fn searched(&self, words: [&[u8]; 2]) -> Option<Search<'_>> {
        match self {
            Kept::Text(_) => None,
            Kept::Object(object) => object.collection.searched(words),
        }
    }

    /// It is a byte string now, with this deadline.
    pub(super) fn replace(&mut self, value: &[u8], deadline: Option<u64>) {
        match self {
            Kept::Text(packed) => packed.replace(value, deadline),
            Kept::Object(object) => *self = Self::text(&object.key, value, deadline),
        }
    }

    /// Overwrites a part of a byte string.
    pub(super) fn patch(&mut self, start: usize, bytes: &[u8]) {
        if let Kept::Text(packed) = self {
            packed.patch(start, bytes);
        }
    }

    pub(super) fn set_deadline(&mut self, deadline: Option<u64>) {
        match self {
            Kept::Text(packed) => packed.set_deadline(deadline),
            Kept::Object(object) => object.deadline = deadline.unwrap_or(NEVER),
        }
    }

    /// Changes a collection of that type; whether it is empty now, and such as are gone then.
    pub(super) fn change(&mut self, change: &Change<'_>, hasher: &KeyHasher) -> bool {
        match self {
            Kept::Text(_) => false,
            Kept::Object(object) => {
                object.collection.change(change, hasher);
                object.collection.is_gone()
            }
        }
    }

    /// Bytes accounted for it: computed, so that every node counts the same.
    pub(super) fn cost(&self) -> usize {
        match self {
            Kept::Text(packed) => packed.cost(),
            Kept::Object(object) => {
                let key = object.key.len().next_multiple_of(ROUNDING);
                OVERHEAD + size_of::<Object>() + key + object.collection.cost()
            }
        }
    }

    pub(super) fn check(&self) {
        if let Kept::Object(object) = self {
            object.collection.check();
        }
    }
}

impl Stored for Kept {
    #[inline]
    fn key(&self) -> &[u8] {
        match self {
            Kept::Text(packed) => packed.key(),
            Kept::Object(object) => &object.key,
        }
    }

    fn deadline(&self) -> Option<u64> {
        match self {
            Kept::Text(packed) => packed.deadline(),
            Kept::Object(object) => object.deadline(),
        }
    }

    #[inline]
    fn touch(&self) -> u8 {
        match self {
            Kept::Text(packed) => packed.touch(),
            Kept::Object(object) => (object.deadline == NEVER).into(),
        }
    }
}
