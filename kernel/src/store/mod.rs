//! The data set: databases of keys with deadlines. It holds what effects say and decides nothing.

mod collection;
mod database;
mod dict;
mod digest;
mod document;
mod entries;
mod group;
mod hash;
mod hasher;
mod integers;
mod kept;
mod list;
mod packed;
mod pieces;
mod segment;
mod sequence;
mod set;
mod sorted;
mod stream;
mod table;
pub mod words;

use alloc::vec::Vec;

pub use collection::{Kind, Value};
pub use database::Database;
pub use digest::Digest;
pub use document::Document;
pub use entries::{Entry, Keep, StreamId};
pub use group::{Consumer, Group, Pending, delivered_word};
pub use hash::Hash;
pub use list::List;
pub use pieces::Pieces;
pub(crate) use pieces::{ItemPieces, PIECE};
pub(crate) use segment::{Stamp, UNUSED};
pub use sequence::Sequence;
pub use set::{Member, Set};
pub use sorted::{Scored, SortedSet};
pub(crate) use stream::Piece;
pub use stream::Stream;
pub use table::Place;
pub use words::Words;

use crate::effect::Effect;
use crate::ids::DbId;
use crate::limits;
use crate::time::Wall;
use collection::Collection;
use hasher::KeyHasher;

/// What a key holds.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    pub value: Value<'a>,
    /// Wall-clock milliseconds from which on the key counts as gone.
    pub deadline: Option<u64>,
}

impl Item<'_> {
    pub fn is_expired(&self, now: Wall) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now.0)
    }
}

/// All databases.
#[derive(Debug)]
pub struct Store {
    databases: Vec<Database>,
    /// What items that are made now are stamped with.
    pub(crate) fresh: Stamp,
}

impl Store {
    /// An empty store. The seed keeps strangers from choosing keys that collide; results do not depend on it.
    pub fn new(seed: u64) -> Self {
        let hasher = KeyHasher::new(seed);
        let databases = (0..limits::STORED_DATABASES).map(|_| Database::new(hasher.clone())).collect();
        Self { databases, fresh: UNUSED }
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
        self.databases.iter().map(Database::bytes).sum()
    }

    /// Makes room for so many items by database, so that loading them moves little.
    pub fn reserve(&mut self, items: &[u64]) {
        for (database, items) in self.databases.iter_mut().zip(items) {
            database.reserve(*items);
        }
    }

    /// Items by database, up to the last that has some.
    pub fn counts(&self) -> Vec<u64> {
        let used = self.databases.iter().rposition(|database| !database.is_empty()).map_or(0, |last| last + 1);
        self.databases[..used].iter().map(|database| database.len() as u64).collect()
    }

    /// Every item as the effects that make it, in no order that means anything.
    pub fn pieces(&self) -> Pieces<'_> {
        Pieces::new(self)
    }

    /// Applies a change. Effects on keys that are gone change nothing.
    pub fn apply(&mut self, effect: &Effect<'_>) {
        match *effect {
            Effect::Put { db, key, value, deadline } => self.database_mut(db).put(key, value, deadline),
            Effect::Delete { db, key } => self.database_mut(db).delete(key),
            Effect::Deadline { db, key, deadline } => self.database_mut(db).set_deadline(key, deadline),
            Effect::Flush { db } => self.database_mut(db).clear(),
            Effect::Patch { db, key, offset, bytes } => self.database_mut(db).patch(key, offset, bytes),
            Effect::Change { db, key, ref change } => self.database_mut(db).change(key, change),
            Effect::User { .. }
            | Effect::SwapDatabases { .. }
            | Effect::SealCa { .. }
            | Effect::Answered { .. }
            | Effect::Acknowledged { .. }
            | Effect::Reach { .. }
            | Effect::Grant { .. }
            | Effect::UserLevel { .. }
            | Effect::DropUser { .. }
            | Effect::Rules { .. }
            | Effect::CreateDatabase { .. }
            | Effect::DropDatabase { .. }
            | Effect::DatabaseLevel { .. }
            | Effect::LoadScript { .. }
            | Effect::FlushScripts
            | Effect::LoadLibrary { .. }
            | Effect::DropLibrary { .. } => {}
        }
    }

    pub(crate) fn database_mut(&mut self, db: DbId) -> &mut Database {
        let database = &mut self.databases[usize::from(db.0)];
        database.fresh = self.fresh;
        database
    }

    /// Forgets when items were used.
    pub(crate) fn forget_stamps(&mut self) {
        self.databases.iter_mut().for_each(Database::forget_stamps);
    }

    /// Asserts what must hold between its parts. Reads everything: for tests and simulations.
    pub fn check(&self) {
        self.databases.iter().for_each(Database::check);
    }
}
