//! What a disk did.

/// How often each fault has fired, since the disk was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStats {
    pub crashes: u64,
    /// Syncs that failed, of files and folders.
    pub failed_syncs: u64,
    /// Un-synced changes of a file's content or length that a crash or a failed sync left whole.
    pub writes_kept: u64,
    /// The same, nothing left.
    pub writes_dropped: u64,
    /// The same, some of their sectors left.
    pub writes_torn: u64,
    /// Un-synced creations, renames and removals that a crash or a failed sync left standing.
    pub entries_kept: u64,
    /// The same, undone.
    pub entries_lost: u64,
    /// Operations that read and failed with `EIO`.
    pub eio_reads: u64,
    /// Operations that change and failed with `EIO`.
    pub eio_writes: u64,
    /// Reads that were told of an end that is not there.
    pub short_reads: u64,
    /// Operations for which there was no space.
    pub out_of_space: u64,
    /// Operations that a trap has caught.
    pub traps_sprung: u64,
    pub bits_flipped: u64,
    /// Ranges that the test turned to zeros.
    pub ranges_zeroed: u64,
    /// Files that the test cut.
    pub files_cut: u64,
    /// Blocks that now hold another block's content.
    pub blocks_misdirected: u64,
    /// Blocks that went back to an earlier content.
    pub blocks_stale: u64,
    /// Files that the test took away.
    pub files_removed: u64,
}

impl DiskStats {
    /// How often what is durable has been damaged; only what made a difference counts.
    pub fn damages(&self) -> u64 {
        let DiskStats {
            bits_flipped, ranges_zeroed, files_cut, blocks_misdirected, blocks_stale, files_removed, ..
        } = self;
        bits_flipped + ranges_zeroed + files_cut + blocks_misdirected + blocks_stale + files_removed
    }
}
