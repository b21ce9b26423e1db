//! Snapshots: what a Keeper keeps instead of the log's beginning. Files are the driver's business.
//!
//! The keys are hashed into partitions, each a file of [`block`]s that hold the effects which make its items. A
//! [`Manifest`] names the files; a snapshot exists when its manifest has its name. A partition that nothing changed is
//! taken over from the snapshot before.

pub mod block;
mod manifest;
mod partition;

pub use block::{BadBlock, BlockReader, BlockWriter, FileId};
pub use manifest::{BadManifest, Manifest, PartitionFile, SystemPartition, manifest_file, snapshot_of};
pub use partition::{MAX_BITS, bits_for, parent_of, partition_of};

/// The version of the format of manifests and partitions.
pub const VERSION: u32 = 1;
