//! The write-ahead log: its bytes, and what recovery makes of them. Files are the driver's business.
//!
//! A log is a row of segment files. A segment starts with a [`SegmentHeader`] and holds records, each at a multiple of
//! [`ALIGNMENT`]. Positions are written once: after recovery a new segment begins, and its header says where the one
//! before validly ends. A record's checksum covers its place and a secret of its segment, so bytes that stand in the
//! wrong place, or that a client made up, are never taken for a record.

mod attested;
mod record;
mod recovery;
mod segment;

pub use attested::Attested;
pub use record::{Body, LogId, Record, Vote};
pub use recovery::{Damage, Place, Recovered, Recovery};
pub use segment::{SegmentHeader, file_name, segment_of};

/// CRC32C of `bytes`, going on from the checksum of what stands before them (0 at the start). Handed in, because the
/// fast ones need the processor's own instructions.
pub type Checksum = fn(before: u32, bytes: &[u8]) -> u32;

/// Where records may start: multiples of so many bytes.
pub const ALIGNMENT: u64 = 8;

/// The version of the format of segments and records.
pub const VERSION: u32 = 1;
