//! One numbered database: a table of items and what is counted about them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Item;
use super::dict;
use super::hasher::KeyHasher;
use super::kept::Kept;
use super::segment::{Stamp, Stored, UNUSED};
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
    /// What items that are made now are stamped with.
    pub(super) fresh: Stamp,
}

impl Database {
    pub(super) fn new(hasher: KeyHasher) -> Self {
        Self { table: Table::new(hasher.clone()), hasher, volatile: 0, bytes: 0, expiry: 0, fresh: UNUSED }
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

    /// When the item at a place that was just found was used.
    #[inline]
    pub(crate) fn stamp(&self, place: Place) -> Stamp {
        self.table.stamp(place)
    }

    /// Notes when the item at a place that was just found was used.
    #[inline]
    pub(crate) fn set_stamp(&mut self, place: Place, stamp: Stamp) {
        self.table.set_stamp(place, stamp);
    }

    /// Forgets when items were used.
    pub(super) fn forget_stamps(&mut self) {
        self.table.forget_stamps();
    }

    /// Visits up to `count` keys that were chosen by 64 random bits, with their deadlines and stamps: see [`Table::sample`].
    pub(crate) fn sample(
        &mut self,
        bits: u64,
        count: usize,
        volatile: bool,
        mut visit: impl FnMut(&[u8], Option<u64>, Stamp),
    ) {
        self.table.sample(bits, count, volatile, |item, stamp| visit(item.key(), item.deadline(), stamp));
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
            self.table.insert(hash, item, self.fresh);
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
            self.table.insert(hash, item, self.fresh);
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

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        /// However the table grows, shrinks, splits and joins, every item keeps its stamp, and a sample shows it.
        #[test]
        fn stamps_stay_with_their_items(
            rounds in proptest::collection::vec((any::<bool>(), 0..3000u32, 0..1500u32, 1..1000u32), 1..12),
            seed in any::<u64>(),
        ) {
            let mut database = Database::new(KeyHasher::new(seed));
            let mut model: BTreeMap<u32, Stamp> = BTreeMap::new();
            for (adds, from, count, stamp) in rounds {
                database.fresh = stamp % 3 * stamp;
                for i in from..from + count {
                    let key = i.to_be_bytes();
                    if !adds {
                        database.delete(&key);
                        model.remove(&i);
                        continue;
                    }
                    database.put(&key, b"value", i.is_multiple_of(5).then_some(1));
                    model.entry(i).or_insert(database.fresh);
                    if i % 7 == 0 {
                        let place = database.find(&key).expect("it was just put");
                        database.set_stamp(place, stamp + i);
                        model.insert(i, stamp + i);
                    }
                }
            }
            database.check();
            prop_assert_eq!(database.len(), model.len());
            let number = |key: &[u8]| key.try_into().map(u32::from_be_bytes).expect("four bytes");
            for (i, stamp) in &model {
                let place = database.find(&i.to_be_bytes()).expect("it is in the model");
                prop_assert_eq!(database.stamp(place), *stamp);
            }
            for volatile in [false, true] {
                let there = if volatile { database.volatile() } else { database.len() };
                let mut seen = 0;
                database.sample(seed, 5, volatile, |key, deadline, stamp| {
                    assert_eq!(model.get(&number(key)), Some(&stamp));
                    assert!(deadline.is_some() || !volatile);
                    seen += 1;
                });
                prop_assert!((1..=5).contains(&seen) || there == 0, "{} of {}", seen, there);
            }
            database.forget_stamps();
            database.check();
        }
    }
}
