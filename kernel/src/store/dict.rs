//! Byte strings by byte string: what large hashes and sets are kept in, and the scores of large sorted sets.

use super::hasher::KeyHasher;
use super::packed::Packed;
use super::segment::{Stored, UNUSED};
use super::table::Table;

/// A table of elements, and what is counted about them.
#[derive(Clone, Debug)]
pub(super) struct Dict {
    table: Table<Packed>,
    bytes: usize,
}

/// A search that is about to be made, in one of several.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search<'a> {
    table: &'a Table<Packed>,
    hash: u64,
}

/// As [`Table::fetch`], for searches in any tables.
pub(super) fn fetch<'a>(searches: impl Iterator<Item = &'a Search<'a>> + Clone) {
    let tags = searches.clone().fold(0, |sum, search| sum ^ search.table.touch(search.hash));
    // What nobody looks at would not be read.
    core::hint::black_box(tags);
    let items = searches.filter_map(|search| search.table.likely(search.hash));
    core::hint::black_box(items.fold(0, |sum, item| sum ^ item.touch()));
}

impl Dict {
    pub(super) fn new(hasher: &KeyHasher) -> Self {
        Self { table: Table::new(hasher.clone()), bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes accounted for all elements, and for what there is without any: the first segment and its free slots.
    pub(super) fn bytes(&self) -> usize {
        const EMPTY: usize = 240;
        size_of::<Self>() + EMPTY + self.bytes
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.table.find(self.table.hash(key), key).map(|place| self.table.at(place).value())
    }

    /// What is about to be done.
    pub(super) fn search(&self, key: &[u8]) -> Search<'_> {
        Search { table: &self.table, hash: self.table.hash(key) }
    }

    /// Whether the key is new.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> bool {
        let hash = self.table.hash(key);
        let bytes = &mut self.bytes;
        let found = self.table.update(hash, key, |item| {
            *bytes -= item.cost();
            item.replace(value, None);
            *bytes += item.cost();
        });
        if !found {
            let item = Packed::new(key, value, None);
            self.bytes += item.cost();
            self.table.insert(hash, item, UNUSED);
        }
        !found
    }

    /// Whether the key was there.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        let removed = self.table.remove(self.table.hash(key), key);
        self.bytes -= removed.as_ref().map_or(0, Packed::cost);
        removed.is_some()
    }

    /// In no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.table.iter().map(|item| (item.key(), item.value()))
    }

    /// See [`Table::scan`].
    pub(super) fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(&'a [u8], &'a [u8])) -> u64 {
        self.table.scan(cursor, count, |item| visit(item.key(), item.value()))
    }

    /// One chosen by 64 random bits.
    pub(super) fn random(&self, bits: u64) -> Option<(&[u8], &[u8])> {
        self.table.random(bits).map(|item| (item.key(), item.value()))
    }

    pub(super) fn check(&self) {
        self.table.check();
        assert_eq!(self.bytes, self.table.iter().map(Packed::cost).sum::<usize>());
    }
}
