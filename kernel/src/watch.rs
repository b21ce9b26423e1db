//! `WATCH`: which keys connections watch, and whether somebody changed them. As in Redis a key is watched under its
//! database's number: after SWAPDB that is another key, and what counts is what happens to that one.

use alloc::boxed::Box;
use alloc::collections::btree_map::{self, BTreeMap};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::databases::Databases;
use crate::effect::Effect;
use crate::ids::{DbId, DbNumber, Epoch};
use crate::mutant::Mutant;
use crate::store::Store;

/// The keys that any connection watches, with how often each was changed since somebody began to.
#[derive(Debug)]
pub(crate) struct Watches {
    /// By the number of their database.
    keys: BTreeMap<DbNumber, HashMap<Box<[u8]>, Watched, FixedState>>,
    hasher: FixedState,
    /// How many keys are watched in all databases.
    len: usize,
}

#[derive(Debug)]
struct Watched {
    watchers: usize,
    changes: u64,
}

/// What one connection watches.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    /// Each with the number of changes when the watching began.
    keys: BTreeMap<(DbNumber, Box<[u8]>), u64>,
    /// What is known of changes is known for this epoch only (PROTOCOL rule 17).
    epoch: Epoch,
}

impl Watching {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The watched keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (DbNumber, &[u8])> {
        self.keys.keys().map(|(db, key)| (*db, &**key))
    }
}

impl Watches {
    pub(crate) fn new(seed: u64) -> Self {
        Self { keys: BTreeMap::new(), hasher: FixedState::with_seed(seed), len: 0 }
    }

    /// Whether nobody watches anything.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn watch(&mut self, by: &mut Watching, epoch: Epoch, db: DbNumber, key: &[u8]) {
        if by.keys.is_empty() {
            by.epoch = epoch;
        }
        let btree_map::Entry::Vacant(place) = by.keys.entry((db, key.into())) else { return };
        let keys = self.keys.entry(db).or_insert_with(|| HashMap::with_hasher(self.hasher.clone()));
        let watched = keys.entry_ref(key).or_insert_with(|| {
            self.len += 1;
            Watched { watchers: 0, changes: 0 }
        });
        watched.watchers += 1;
        place.insert(watched.changes);
    }

    pub(crate) fn unwatch(&mut self, by: &mut Watching) {
        for (db, key) in core::mem::take(&mut by.keys).into_keys() {
            let Some(keys) = self.keys.get_mut(&db) else { continue };
            let Some(watched) = keys.get_mut(&key) else { continue };
            watched.watchers -= 1;
            if watched.watchers == 0 {
                keys.remove(&key);
                self.len -= 1;
            }
            if keys.is_empty() {
                self.keys.remove(&db);
            }
        }
    }

    /// An effect is about to change the store and, perhaps, which number means which database.
    pub(crate) fn see(&mut self, effect: &Effect<'_>, store: &Store, databases: &Databases) {
        let number = |db: DbId| match Mutant::WatchPlace.is_chosen() {
            true => Some(DbNumber(db.0)),
            false => databases.number(db),
        };
        match *effect {
            Effect::Flush { db } => self.touch_all(number(db), |key| store.database(db).get(key).is_some()),
            Effect::SwapDatabases { a, b } => {
                let differs = |key: &[u8]| [a, b].iter().any(|db| store.database(*db).get(key).is_some());
                self.touch_all(number(a), differs);
                self.touch_all(number(b), differs);
            }
            // As in Redis, to read by a group is no change of a stream that is there.
            Effect::Change { db, key, ref change }
                if change.spares_entries() && store.database(db).get(key).is_some() => {}
            _ => {
                if let Some((db, key)) = effect.key()
                    && let Some(keys) = number(db).and_then(|number| self.keys.get_mut(&number))
                    && let Some(watched) = keys.get_mut(key)
                {
                    watched.changes += 1;
                }
            }
        }
    }

    fn touch_all(&mut self, db: Option<DbNumber>, changes: impl Fn(&[u8]) -> bool) {
        let keys = db.and_then(|db| self.keys.get_mut(&db)).into_iter().flatten();
        keys.filter(|(key, _)| changes(key)).for_each(|(_, watched)| watched.changes += 1);
    }

    /// Whether nothing that it watches has changed.
    pub(crate) fn are_unchanged(&self, by: &Watching, epoch: Epoch) -> bool {
        by.keys.is_empty()
            || by.epoch == epoch
                && by.keys.iter().all(|((db, key), changes)| {
                    self.keys.get(db).and_then(|keys| keys.get(key)).is_some_and(|watched| watched.changes == *changes)
                })
    }
}
