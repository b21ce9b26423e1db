//! The data set: numbered databases of keys with deadlines. It holds what effects say and decides nothing.

mod digest;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU64;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

pub use digest::Digest;

use crate::effect::Effect;
use crate::ids::DbId;
use crate::limits;
use crate::time::Wall;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    pub value: &'a [u8],
    /// Wall-clock milliseconds from which on the key counts as gone.
    pub deadline: Option<u64>,
}

impl Item<'_> {
    pub fn is_expired(&self, now: Wall) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now.0)
    }
}

/// An item as the table keeps it.
#[derive(Debug)]
struct Stored {
    value: Box<[u8]>,
    deadline: Option<NonZeroU64>,
}

/// One numbered database.
#[derive(Debug)]
pub struct Database {
    items: HashMap<Box<[u8]>, Stored, FixedState>,
    /// Keys with a deadline.
    volatile: usize,
    /// Bytes accounted for all items.
    bytes: usize,
}

/// Bytes that an item costs beside its key and its value: table slot, two allocations' headers.
const ITEM_OVERHEAD: usize = 64;

fn cost(key: &[u8], item: &Stored) -> usize {
    key.len() + item.value.len() + ITEM_OVERHEAD
}

impl Database {
    fn empty(hasher: &FixedState) -> Self {
        Self { items: HashMap::with_hasher(hasher.clone()), volatile: 0, bytes: 0 }
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many keys have a deadline.
    pub fn volatile(&self) -> usize {
        self.volatile
    }

    pub fn get(&self, key: &[u8]) -> Option<Item<'_>> {
        let stored = self.items.get(key)?;
        Some(Item { value: &stored.value, deadline: stored.deadline.map(NonZeroU64::get) })
    }

    fn put(&mut self, key: &[u8], value: &[u8], deadline: Option<u64>) {
        let item = Stored { value: value.into(), deadline: deadline.and_then(NonZeroU64::new) };
        self.bytes += cost(key, &item);
        self.volatile += usize::from(item.deadline.is_some());
        if let Some(old) = self.items.insert(key.into(), item) {
            self.bytes -= cost(key, &old);
            self.volatile -= usize::from(old.deadline.is_some());
        }
    }

    /// A patch beyond [`limits::MAX_BULK`] was never executed and changes nothing.
    fn patch(&mut self, key: &[u8], offset: u64, bytes: &[u8]) {
        let Some(start) = usize::try_from(offset).ok().filter(|start| *start <= limits::MAX_BULK) else { return };
        let end = start + bytes.len();
        if end > limits::MAX_BULK {
            return;
        }
        if !self.items.contains_key(key) {
            self.put(key, &[], None);
        }
        if let Some(item) = self.items.get_mut(key) {
            if end > item.value.len() {
                self.bytes += end - item.value.len();
                let mut longer = core::mem::take(&mut item.value).into_vec();
                longer.reserve_exact(end - longer.len());
                longer.resize(end, 0);
                item.value = longer.into();
            }
            item.value[start..end].copy_from_slice(bytes);
        }
    }

    fn delete(&mut self, key: &[u8]) {
        if let Some(old) = self.items.remove(key) {
            self.bytes -= cost(key, &old);
            self.volatile -= usize::from(old.deadline.is_some());
        }
    }

    fn set_deadline(&mut self, key: &[u8], deadline: Option<u64>) {
        if let Some(item) = self.items.get_mut(key) {
            let deadline = deadline.and_then(NonZeroU64::new);
            self.volatile += usize::from(deadline.is_some());
            self.volatile -= usize::from(item.deadline.is_some());
            item.deadline = deadline;
        }
    }
}

/// All databases.
#[derive(Debug)]
pub struct Store {
    databases: Vec<Database>,
    hasher: FixedState,
}

impl Store {
    /// An empty store. The seed keeps strangers from choosing keys that collide; results do not depend on it.
    pub fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self { databases: (0..limits::DATABASES).map(|_| Database::empty(&hasher)).collect(), hasher }
    }

    /// # Panics
    /// If there is no such database: who makes a [`DbId`] from input checks it.
    pub fn database(&self, db: DbId) -> &Database {
        &self.databases[usize::from(db.0)]
    }

    pub fn databases(&self) -> impl Iterator<Item = (DbId, &Database)> {
        (0..).map(DbId).zip(&self.databases)
    }

    /// Bytes accounted for all items: computed from their sizes, never asked of the allocator.
    pub fn bytes(&self) -> usize {
        self.databases.iter().map(|db| db.bytes).sum()
    }

    /// Makes room for so many items by database, so that loading them moves nothing.
    pub fn reserve(&mut self, items: &[u64]) {
        for (database, items) in self.databases.iter_mut().zip(items) {
            database.items.reserve(usize::try_from(*items).unwrap_or(0));
        }
    }

    /// Items by database.
    pub fn counts(&self) -> Vec<u64> {
        self.databases.iter().map(|database| database.len() as u64).collect()
    }

    /// Every item as the effect that makes it, in no order that means anything.
    pub fn effects(&self) -> impl Iterator<Item = Effect<'_>> {
        self.databases().flat_map(|(db, database)| {
            database.items.iter().map(move |(key, item)| Effect::Put {
                db,
                key,
                value: &item.value,
                deadline: item.deadline.map(NonZeroU64::get),
            })
        })
    }

    /// Applies a change. Effects on keys that are gone change nothing.
    pub fn apply(&mut self, effect: &Effect<'_>) {
        match *effect {
            Effect::Put { db, key, value, deadline } => self.database_mut(db).put(key, value, deadline),
            Effect::Delete { db, key } => self.database_mut(db).delete(key),
            Effect::Deadline { db, key, deadline } => self.database_mut(db).set_deadline(key, deadline),
            Effect::Flush { db } => {
                let empty = Database::empty(&self.hasher);
                *self.database_mut(db) = empty;
            }
            Effect::User { .. } => {}
            Effect::Patch { db, key, offset, bytes } => self.database_mut(db).patch(key, offset, bytes),
        }
    }

    fn database_mut(&mut self, db: DbId) -> &mut Database {
        &mut self.databases[usize::from(db.0)]
    }

    /// Asserts what must hold between its parts. Reads everything: for tests and simulations.
    pub fn check(&self) {
        for db in &self.databases {
            assert_eq!(db.volatile, db.items.values().filter(|item| item.deadline.is_some()).count());
            assert_eq!(db.bytes, db.items.iter().map(|(key, item)| cost(key, item)).sum::<usize>());
        }
    }
}
