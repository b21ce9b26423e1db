//! A committed entry never changes and is never lost, over all crashes: the State Machine Safety of the Raft paper
//! (Ongaro and Ousterhout, 2014, figure 3), seen from the feed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many of the newest known entries a new life must show again: when older ones are wrong, so is the digest.
const SHOWN_AGAIN: u64 = 64;

/// What the feed has ever handed out.
#[derive(Debug, Default)]
pub struct Entries {
    /// A hash of each entry, by index.
    hashes: BTreeMap<u64, u64>,
}

impl Entries {
    /// A new life knows the first `committed` entries to be committed. Returns from which index on its feed is to be
    /// read.
    pub fn recovered(&self, committed: u64) -> Result<u64, String> {
        let known = self.hashes.last_key_value().map_or(0, |(newest, _)| newest + 1);
        if committed < known {
            return Err(format!("{known} entries were committed, and after a restart there are {committed}"));
        }
        Ok(known.saturating_sub(SHOWN_AGAIN))
    }

    /// The feed hands out an entry; `None` is one of Raft's own.
    pub fn committed(&mut self, index: u64, entry: Option<&[u8]>) -> Result<(), String> {
        let mut hasher = DefaultHasher::new();
        entry.hash(&mut hasher);
        let hash = hasher.finish();
        match self.hashes.insert(index, hash) {
            Some(before) if before != hash => {
                Err(format!("entry {index} was committed, and after a restart it is another one"))
            }
            _ => Ok(()),
        }
    }
}
