//! One record: length, checksum, kind, payload.

use alloc::vec::Vec;

use bincode::{BorrowDecode, Decode, Encode};

use super::{ALIGNMENT, SegmentHeader};
use crate::codec;
use crate::limits;

/// Raft's name of a log entry: the term that it was proposed in (a term has one leader), and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct LogId {
    pub term: u64,
    pub index: u64,
}

/// Raft's vote: whom this Keeper follows or voted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Vote {
    pub term: u64,
    pub candidate: u64,
    /// Whether a majority elected it.
    pub committed: bool,
}

/// What a Raft entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub enum Body<'a> {
    /// Nothing: a new leader's first entry.
    Blank,
    /// The group's members, encoded by the driver.
    Membership(&'a [u8]),
    /// A [`crate::entry::Entry`].
    Entry(&'a [u8]),
}

/// One record of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// Every byte of this segment below `synced_to`, and all of the segments before, is on stable storage.
    Attest {
        synced_to: u64,
    },
    Vote(Vote),
    Entry {
        id: LogId,
        body: Body<'a>,
    },
    /// Every entry behind this index is void; `None`: every entry.
    TruncateAfter(Option<u64>),
    /// The entries up to this one are in a snapshot and are not needed any more.
    Purge(LogId),
    /// A snapshot from another Keeper that ends with this entry is about to take the log's place up to there. If it is
    /// found, the log may end before it; if not, the log goes on as it is.
    Install(LogId),
}

const ATTEST: u8 = 1;
const VOTE: u8 = 2;
const ENTRY: u8 = 3;
const TRUNCATE_AFTER: u8 = 4;
const PURGE: u8 = 5;
const INSTALL: u8 = 6;

/// Bytes before a record's payload: length (4, little endian), checksum (4, little endian), kind (1).
const HEAD: usize = 9;
/// Bytes of an attestation's payload.
const ATTEST_PAYLOAD: usize = 8;

/// Bytes that a record with so much payload takes, with the padding to the next one.
fn padded(payload: usize) -> u64 {
    ((HEAD + payload) as u64).next_multiple_of(ALIGNMENT)
}

impl<'a> Record<'a> {
    /// Appends the record as it stands at `offset` of the segment.
    pub fn encode(&self, segment: &SegmentHeader, checksum: super::Checksum, offset: u64, out: &mut Vec<u8>) {
        debug_assert_eq!(offset % ALIGNMENT, 0);
        let start = out.len();
        out.extend_from_slice(&[0; HEAD - 1]);
        out.push(match self {
            Record::Attest { .. } => ATTEST,
            Record::Vote(_) => VOTE,
            Record::Entry { .. } => ENTRY,
            Record::TruncateAfter(_) => TRUNCATE_AFTER,
            Record::Purge(_) => PURGE,
            Record::Install(_) => INSTALL,
        });
        match self {
            // Of fixed length, so that it can be looked for behind a hole.
            Record::Attest { synced_to } => out.extend_from_slice(&synced_to.to_le_bytes()),
            Record::Vote(vote) => codec::encode(vote, out),
            Record::Entry { id, body } => codec::encode(&(id, body), out),
            Record::TruncateAfter(index) => codec::encode(index, out),
            Record::Purge(id) | Record::Install(id) => codec::encode(id, out),
        }
        let payload = out.len() - start - HEAD;
        assert!(payload <= limits::MAX_ENTRY, "a record of {payload} bytes");
        out[start..start + 4].copy_from_slice(&(payload as u32).to_le_bytes());
        let sum = sum(segment, checksum, offset, &out[start..]);
        out[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
        out.resize(start + padded(payload) as usize, 0);
    }

    /// Reads the record at `offset` of a segment's bytes, and how many bytes it takes; `None` if there is none that is
    /// whole and right.
    pub fn decode(
        segment: &SegmentHeader,
        checksum: super::Checksum,
        bytes: &'a [u8],
        offset: u64,
    ) -> Option<(Self, u64)> {
        Self::decode_at(segment, checksum, bytes.get(usize::try_from(offset).ok()?..)?, offset)
    }

    /// As [`Record::decode`], from bytes that begin with the record.
    pub fn decode_at(
        segment: &SegmentHeader,
        checksum: super::Checksum,
        bytes: &'a [u8],
        offset: u64,
    ) -> Option<(Self, u64)> {
        let payload = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        if payload > limits::MAX_ENTRY {
            return None;
        }
        let record = bytes.get(..HEAD.checked_add(payload)?)?;
        let claimed = u32::from_le_bytes(record[4..8].try_into().ok()?);
        if claimed != sum(segment, checksum, offset, record) {
            return None;
        }
        let (kind, content) = (record[HEAD - 1], &record[HEAD..]);
        let record = match kind {
            ATTEST => Record::Attest { synced_to: u64::from_le_bytes(content.try_into().ok()?) },
            VOTE => Record::Vote(codec::decode_all(content).ok()?),
            ENTRY => {
                let (id, body) = codec::decode_all(content).ok()?;
                Record::Entry { id, body }
            }
            TRUNCATE_AFTER => Record::TruncateAfter(codec::decode_all(content).ok()?),
            PURGE => Record::Purge(codec::decode_all(content).ok()?),
            INSTALL => Record::Install(codec::decode_all(content).ok()?),
            _ => return None,
        };
        Some((record, padded(payload)))
    }

    /// The attestation at `offset`, if one stands there: cheap enough to ask at every offset.
    pub(super) fn attestation_at(
        segment: &SegmentHeader,
        checksum: super::Checksum,
        bytes: &[u8],
        offset: u64,
    ) -> Option<u64> {
        let at = usize::try_from(offset).ok()?;
        let head = bytes.get(at..at + HEAD)?;
        if head[..4] != (ATTEST_PAYLOAD as u32).to_le_bytes() || head[HEAD - 1] != ATTEST {
            return None;
        }
        match Record::decode(segment, checksum, bytes, offset)? {
            (Record::Attest { synced_to }, _) => Some(synced_to),
            _ => None,
        }
    }
}

/// The checksum of a record whose own sum field is left out: of its segment's secret, its place, and its content.
fn sum(segment: &SegmentHeader, checksum: super::Checksum, offset: u64, record: &[u8]) -> u32 {
    let mut place = [0u8; 24];
    place[..8].copy_from_slice(&segment.salt.to_le_bytes());
    place[8..16].copy_from_slice(&segment.number.to_le_bytes());
    place[16..].copy_from_slice(&offset.to_le_bytes());
    let sum = checksum(0, &place);
    let sum = checksum(sum, &record[..4]);
    checksum(sum, &record[8..])
}
