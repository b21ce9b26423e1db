//! Which partition a key is in. Stands in files: pinned for ever.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::ids::DbId;

/// At most 4096 partitions: beyond 8 GiB of data they grow instead.
pub const MAX_BITS: u8 = 12;

/// Bytes of data that a partition is meant to have: a few of them are in memory at once while one is merged.
const PARTITION_BYTES: u64 = 2 << 20;

/// The key's partition, when there are 2 to the power of `bits`: the top bits of its hash. So partition `p` becomes
/// `2p` and `2p + 1` when their number doubles.
pub fn partition_of(db: DbId, key: &[u8], bits: u8) -> u32 {
    let mut hasher = SipHasher13::new();
    hasher.write(&db.0.to_le_bytes());
    hasher.write(key);
    hasher.finish().checked_shr(64 - u32::from(bits)).unwrap_or(0) as u32
}

/// How many bits so much data wants; never fewer than there were.
pub fn bits_for(bytes: u64, before: u8) -> u8 {
    let partitions = bytes.div_ceil(PARTITION_BYTES).max(1);
    let bits = partitions.next_power_of_two().trailing_zeros() as u8;
    bits.clamp(before, MAX_BITS.max(before))
}

/// Where the keys of a partition were when there were fewer bits.
pub fn parent_of(partition: u32, bits: u8, bits_before: u8) -> u32 {
    partition >> (bits - bits_before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_split_in_two() {
        for i in 0..1000u32 {
            let key = i.to_le_bytes();
            let db = DbId((i % 16) as u16);
            assert_eq!(partition_of(db, &key, 0), 0);
            for bits in 0..MAX_BITS {
                let fine = partition_of(db, &key, bits + 1);
                assert!(fine < 1 << (bits + 1));
                assert_eq!(parent_of(fine, bits + 1, bits), partition_of(db, &key, bits));
            }
        }
    }

    #[test]
    fn a_keys_partition_never_changes() {
        assert_eq!(partition_of(DbId(0), b"hello", 12), PINNED);
    }

    /// What the first version wrote.
    const PINNED: u32 = 1126;

    #[test]
    fn there_are_as_many_as_the_data_wants() {
        assert_eq!(bits_for(0, 0), 0);
        assert_eq!(bits_for(PARTITION_BYTES + 1, 0), 1);
        assert_eq!(bits_for(PARTITION_BYTES, 3), 3);
        assert_eq!(bits_for(u64::MAX, 0), MAX_BITS);
    }
}
