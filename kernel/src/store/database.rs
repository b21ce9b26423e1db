//! One numbered database: a table of items and what is counted about them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Item;
use super::dict;
use super::hasher::KeyHasher;
use super::kept::Kept;
use super::segment::Stored;
use super::table::{Place, Table};
use crate::effect::Change;
use crate::limits;
use crate::time::Wall;

/// One numbered database.
#[derive(Debug)]
pub struct Database {
    table: Table<Kept>,
    hasher: KeyHasher,
    /// Keys with a deadline.
    volatile: usize,
    /// Bytes accounted for all items.
    bytes: usize,
    /// Where the search for items whose deadline has passed goes on.
    expiry: usize,
}

impl Database {
    pub(super) fn new(hasher: KeyHasher) -> Self {
        Self { table: Table::new(hasher.clone()), hasher, volatile: 0, bytes: 0, expiry: 0 }
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys have a deadline.
    pub fn volatile(&self) -> usize {
        self.volatile
    }

    /// Bytes accounted for all items.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<Item<'_>> {
        self.find(key).map(|place| self.at(place))
    }

    /// Where the key's item is: as long as nothing is changed.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<Place> {
        self.table.find(self.hasher.hash(key), key)
    }

    /// A key's hash here.
    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    /// Brings into the processor's cache what searches for the keys with these hashes will read, and then those for elements
    /// of large collections; of at most [`limits::KEYS_AHEAD`] of them. Each command's words behind its key begin and end with
    /// these.
    pub(crate) fn fetch<'a>(&self, hashes: &[u64], words: impl Iterator<Item = [&'a [u8]; 2]>) {
        let items = self.table.fetch(hashes);
        let mut searches = [None; limits::KEYS_AHEAD];
        let mut count = 0;
        for (item, words) in items.iter().zip(words) {
            if let Some(search) = item.and_then(|item| item.searched(words)) {
                searches[count] = Some(search);
                count += 1;
            }
        }
        if count > 1 {
            dict::fetch(searches.iter().flatten());
        }
    }

    /// The item at a place that was just found.
    #[inline]
    pub fn at(&self, place: Place) -> Item<'_> {
        self.table.at(place).item()
    }

    /// Bytes accounted for a key's item.
    pub fn cost(&self, key: &[u8]) -> Option<usize> {
        self.find(key).map(|place| self.table.at(place).cost())
    }

    /// All keys and items, in hash order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Item<'_>)> {
        self.table.iter().map(|item| (item.key(), item.item()))
    }

    /// Visits about `count` items from a cursor on and gives the next cursor: see [`Table::scan`].
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(&'a [u8], Item<'a>)) -> u64 {
        self.table.scan(cursor, count, |item| visit(item.key(), item.item()))
    }

    /// A key chosen by 64 random bits.
    pub fn random(&self, bits: u64) -> Option<&[u8]> {
        self.table.random(bits).map(Kept::key)
    }

    /// Keys whose deadline has passed, of the next part of the table that may have any; `None` if there is no such part up
    /// to the end, then it starts anew. Who asks removes them.
    pub(crate) fn expired(&mut self, now: Wall) -> Option<Vec<Box<[u8]>>> {
        let mut keys = Vec::new();
        let next = self.table.expired(now.0, self.expiry, |item| keys.push(item.key().into()));
        self.expiry = next.unwrap_or(0);
        next.map(|_| keys)
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8], deadline: Option<u64>) {
        let hash = self.hasher.hash(key);
        if !self.update(hash, key, |item| item.replace(value, deadline)) {
            let item = Kept::text(key, value, deadline);
            self.volatile += usize::from(deadline.is_some());
            self.bytes += item.cost();
            self.table.insert(hash, item);
        }
    }

    /// Changes the key's item; whether there is one.
    fn update(&mut self, hash: u64, key: &[u8], change: impl FnOnce(&mut Kept)) -> bool {
        let (volatile, bytes) = (&mut self.volatile, &mut self.bytes);
        self.table.update(hash, key, |item| {
            *volatile -= usize::from(item.deadline().is_some());
            *bytes -= item.cost();
            change(item);
            *volatile += usize::from(item.deadline().is_some());
            *bytes += item.cost();
        })
    }

    /// A patch beyond [`limits::MAX_BULK`] was never executed and changes nothing.
    pub(super) fn patch(&mut self, key: &[u8], offset: u64, bytes: &[u8]) {
        let start = usize::try_from(offset).ok().filter(|start| start.saturating_add(bytes.len()) <= limits::MAX_BULK);
        let Some(start) = start else { return };
        let hash = self.hasher.hash(key);
        if self.table.find(hash, key).is_none() {
            self.put(key, &[], None);
        }
        self.update(hash, key, |item| item.patch(start, bytes));
    }

    /// Changes a collection; one that is absent begins empty, and one that becomes empty is gone.
    pub(super) fn change(&mut self, key: &[u8], change: &Change<'_>) {
        let hash = self.hasher.hash(key);
        if self.table.find(hash, key).is_none() {
            let Some(item) = Kept::for_change(key, change) else { return };
            self.bytes += item.cost();
            self.table.insert(hash, item);
        }
        let hasher = self.hasher.clone();
        let mut is_gone = false;
        self.update(hash, key, |item| is_gone = item.change(change, &hasher));
        if is_gone {
            self.delete(key);
        }
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        if let Some(old) = self.table.remove(self.hasher.hash(key), key) {
            self.bytes -= old.cost();
            self.volatile -= usize::from(old.deadline().is_some());
        }
    }

    pub(super) fn set_deadline(&mut self, key: &[u8], deadline: Option<u64>) {
        self.update(self.hasher.hash(key), key, |item| item.set_deadline(deadline));
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.hasher.clone());
    }

    pub(super) fn reserve(&mut self, items: u64) {
        self.table.reserve(items);
    }

    /// Asserts what must hold between its parts. Reads everything: for tests and simulations.
    pub fn check(&self) {
        self.table.check();
        assert_eq!(self.volatile, self.iter().filter(|(_, item)| item.deadline.is_some()).count());
        assert_eq!(self.bytes, self.table.iter().map(Kept::cost).sum::<usize>());
        self.table.iter().for_each(Kept::check);
    }
}
