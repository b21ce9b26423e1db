//! The hash that a table's places come from.

use core::hash::{BuildHasher, Hasher};

use foldhash::quality::FixedState;

/// Hashes keys. Seeded, so that strangers cannot choose keys that collide.
#[derive(Clone, Debug)]
pub(super) struct KeyHasher(FixedState);

impl KeyHasher {
    pub(super) fn new(seed: u64) -> Self {
        Self(FixedState::with_seed(seed))
    }

    /// So many bits that tell this order of keys from others; with another seed they are the same by chance only.
    pub(super) fn mark(&self, bits: u32) -> u64 {
        self.hash(b"") >> (64 - bits)
    }

    /// Every bit depends on every bit of the key: the first ones choose the segment.
    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(key);
        hasher.finish()
    }
}
