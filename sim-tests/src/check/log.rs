//! A committed entry never changes, is never lost over all crashes, and is the same at every Keeper: the State Machine
//! Safety of the Raft paper (Ongaro and Ousterhout, 2014, figure 3), seen from the feed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many of the newest known entries a new life must show again: when older ones are wrong, so is the digest.
const SHOWN_AGAIN: u64 = 64;

/// What any feed has ever handed out.
#[derive(Debug, Default)]
pub struct Entries {
    /// By index, a hash of the entry, and which Keeper has shown it first.
    hashes: BTreeMap<u64, (u64, String)>,
}

impl Entries {
    /// How many entries are known to be committed.
    fn known(&self) -> u64 {
        self.hashes.last_key_value().map_or(0, |(newest, _)| newest + 1)
    }

    /// A new life of the only Keeper knows the first `committed` entries to be committed.
    pub fn recovered_alone(&self, committed: u64) -> Result<(), String> {
        let known = self.known();
        if committed < known {
            return Err(format!("{known} entries were committed, and after a restart there are {committed}"));
        }
        Ok(())
    }

    /// From which index on the feed of a new life is to be read, which knows `committed` entries to be committed.
    pub fn read_from(&self, committed: u64) -> u64 {
        self.known().min(committed).saturating_sub(SHOWN_AGAIN)
    }

    /// The feed of a Keeper hands out an entry; whether another one has shown it before.
    pub fn committed(&mut self, keeper: &str, index: u64, entry: &impl Hash) -> Result<bool, String> {
        let mut hasher = DefaultHasher::new();
        entry.hash(&mut hasher);
        let hash = hasher.finish();
        let (known, whose) = self.hashes.entry(index).or_insert_with(|| (hash, keeper.to_owned()));
        if *known != hash {
            return Err(format!("entry {index} is committed at {whose}, and another one in its place at {keeper}"));
        }
        Ok(whose != keeper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keeper_has_committed_the_same() {
        let mut entries = Entries::default();
        assert_eq!(entries.committed("a", 0, &"x"), Ok(false));
        assert_eq!(entries.committed("b", 0, &"x"), Ok(true));
        assert!(entries.committed("b", 0, &"y").is_err());
        assert_eq!(entries.recovered_alone(1), Ok(()));
        assert!(entries.recovered_alone(0).is_err());
    }
}
