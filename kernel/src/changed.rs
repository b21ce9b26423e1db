//! Which keys stand changed in batches that the log has not accepted yet. A `QUORUM` read of one of them waits
//! (PROTOCOL rule 13); it costs nothing per stored key, and commits empty it.

use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::ids::{DbId, Seq};
use crate::limits;

/// A key's hash with its database. Two keys with the same hash only make a read wait that need not.
pub type KeyHash = u64;

/// The newest batch that changed each key, for keys changed since the watermark.
#[derive(Debug)]
pub struct Changed {
    keys: HashMap<KeyHash, Seq, FixedState>,
    hasher: FixedState,
    databases: [DatabaseMarks; limits::STORED_DATABASES as usize],
    /// The newest batch that changed users or databases: what who asks for them waits for.
    system: Seq,
}

#[derive(Clone, Copy, Debug)]
struct DatabaseMarks {
    /// The newest batch with any change: what DBSIZE waits for.
    last: Seq,
    /// The newest batch that emptied the database: what every read there waits for.
    flush: Seq,
}

const NO_MARKS: [DatabaseMarks; limits::STORED_DATABASES as usize] =
    [DatabaseMarks { last: Seq::ZERO, flush: Seq::ZERO }; limits::STORED_DATABASES as usize];

impl Changed {
    pub fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self { keys: HashMap::with_hasher(hasher.clone()), hasher, databases: NO_MARKS, system: Seq::ZERO }
    }

    /// Notes that a key changes in batch `seq`; the result is for [`Changed::accepted`].
    pub fn mark(&mut self, db: DbId, key: &[u8], seq: Seq) -> KeyHash {
        let hash = self.hash(db, key);
        self.keys.insert(hash, seq);
        self.databases[usize::from(db.0)].last = seq;
        hash
    }

    pub fn mark_flush(&mut self, db: DbId, seq: Seq) {
        self.databases[usize::from(db.0)] = DatabaseMarks { last: seq, flush: seq };
    }

    pub fn mark_system(&mut self, seq: Seq) {
        self.system = seq;
    }

    /// The newest batch that an answer about users or databases depends on; may be accepted already.
    pub fn of_system(&self) -> Seq {
        self.system
    }

    /// The newest batch that a read of this key depends on; may be accepted already.
    pub fn of_key(&self, db: DbId, key: &[u8]) -> Seq {
        let flush = self.databases[usize::from(db.0)].flush;
        if self.keys.is_empty() {
            return flush;
        }
        self.keys.get(&self.hash(db, key)).copied().unwrap_or_default().max(flush)
    }

    /// The newest batch that a read of the whole database depends on; may be accepted already.
    pub fn of_database(&self, db: DbId) -> Seq {
        self.databases[usize::from(db.0)].last
    }

    /// Forgets the keys of an accepted batch, but for those that a later one changed again.
    pub fn accepted(&mut self, seq: Seq, keys: Vec<KeyHash>) {
        for key in keys {
            if let hashbrown::hash_map::Entry::Occupied(entry) = self.keys.entry(key)
                && *entry.get() == seq
            {
                entry.remove();
            }
        }
    }

    /// Everything is accepted: a new epoch counts its batches from 1.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.databases = NO_MARKS;
        self.system = Seq::ZERO;
    }

    /// How many keys stand changed.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn hash(&self, db: DbId, key: &[u8]) -> KeyHash {
        use core::hash::{BuildHasher, Hasher};
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u16(db.0);
        hasher.write(key);
        hasher.finish()
    }
}
