//! What goes over a link of the feed. Enums grow only at their ends.

use std::io;
use std::time::Duration;

use bincode::{Decode, Encode};
use bytes::Bytes;
use mneme_kernel::codec::{self, CodecError};
use mneme_kernel::ids::Epoch;
use mneme_kernel::members::Members;
use mneme_kernel::system::System;
use mneme_kernel::wal::LogId;

use super::size;
use crate::keepers::{FedContent, FedEntry};
use crate::types::Proposal;

/// From the Keeper to the subscriber.
#[derive(Debug, Encode, Decode)]
pub(crate) enum Frame {
    /// So many committed entries stand behind this in the frame, none missing: each a [`Head`], then its bytes.
    Entries { first: u64, count: u64 },
    /// The Keeper is there; so many entries are committed.
    Beat { committed: u64 },
    /// A snapshot comes: frames of items, then the end. What its system state has that the oldest format does not know
    /// stands behind this in the frame.
    Snapshot(Box<SnapshotHead>),
    /// Effects that make items stand behind this in the frame.
    Items,
    /// The snapshot is whole; entries follow.
    End,
    /// The Keeper does not serve, for this reason, and closes the link.
    Refused(String),
}

/// From the subscriber to the Keeper.
#[derive(Debug, Encode, Decode)]
pub(crate) enum Wish {
    /// From now on the heads of this epoch's batches suffice.
    Own(Epoch),
}

/// A snapshot but for its items.
#[derive(Debug, Default, Encode, Decode)]
pub(crate) struct SnapshotHead {
    /// The last entry that it contains.
    pub index: u64,
    /// Items by database.
    pub items: Vec<u64>,
    pub system: System,
    pub members: Members,
    pub members_at: Option<LogId>,
}

/// What stands before an entry's bytes.
#[derive(Debug, Encode, Decode)]
struct Head {
    /// Milliseconds.
    age: u64,
    content: HeadContent,
}

#[derive(Debug, Encode, Decode)]
enum HeadContent {
    /// So many bytes.
    Core(u64),
    Members(Members),
    Blank,
}

/// Cuts entries into portions for a frame each: at least one entry, and no more behind so many bytes.
pub(crate) fn portions(mut entries: &[FedEntry], bytes: usize) -> impl Iterator<Item = &[FedEntry]> {
    std::iter::from_fn(move || {
        let mut sum = 0;
        let fits = |entry: &&FedEntry| {
            let before = sum;
            sum += size(entry);
            before == 0 || sum <= bytes
        };
        let count = entries.iter().take_while(fits).count();
        let (some, rest) = entries.split_at(count);
        entries = rest;
        (!some.is_empty()).then_some(some)
    })
}

/// Appends a frame with these entries, which have waited so long since they were read. `own_head` has what is sent in
/// place of a proposal.
pub(crate) fn entries(
    entries: &[FedEntry],
    waited: Duration,
    own_head: impl Fn(&Proposal) -> Option<Vec<u8>>,
    out: &mut Vec<u8>,
) {
    let start = begin(out);
    let first = entries.first().map_or(0, |entry| entry.index);
    codec::encode(&Frame::Entries { first, count: entries.len() as u64 }, out);
    for entry in entries {
        let age = (entry.age + waited).as_millis() as u64;
        let head = |content| Head { age, content };
        match &entry.content {
            FedContent::Core(proposal) => {
                let own = own_head(proposal);
                let bytes = own.as_deref().unwrap_or(&proposal.0);
                codec::encode(&head(HeadContent::Core(bytes.len() as u64)), out);
                out.extend_from_slice(bytes);
            }
            FedContent::Members(members) => codec::encode(&head(HeadContent::Members(members.clone())), out),
            FedContent::Blank => codec::encode(&head(HeadContent::Blank), out),
        }
    }
    end(start, 0, out);
}

/// Appends the frame that a snapshot begins with.
pub(crate) fn snapshot_head(head: SnapshotHead, out: &mut Vec<u8>) {
    let start = begin(out);
    let mut newer = Vec::new();
    head.system.append_newer(&mut newer);
    codec::encode(&Frame::Snapshot(Box::new(head)), out);
    out.extend_from_slice(&newer);
    end(start, 0, out);
}

/// Appends the beginning of a frame of items, of which so many bytes follow.
pub(crate) fn items_head(bytes: usize, out: &mut Vec<u8>) {
    let start = begin(out);
    codec::encode(&Frame::Items, out);
    end(start, bytes, out);
}

fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; 4]);
    out.len()
}

fn end(start: usize, following: usize, out: &mut [u8]) {
    let len = (out.len() - start + following) as u32;
    out[start - 4..start].copy_from_slice(&len.to_le_bytes());
}

/// Reads a frame's beginning; returns what stands behind it.
pub(crate) fn decode(frame: &[u8]) -> io::Result<(Frame, &[u8])> {
    codec::decode(frame).map_err(invalid)
}

/// Reads the entries that stand behind [`Frame::Entries`].
pub(crate) fn decode_entries(first: u64, count: u64, bytes: &[u8]) -> io::Result<Vec<FedEntry>> {
    // One copy for all of them: they share it.
    let bytes = Bytes::copy_from_slice(bytes);
    let mut rest: &[u8] = &bytes;
    let mut entries = Vec::new();
    for i in 0..count {
        let (head, behind): (Head, _) = codec::decode(rest).map_err(invalid)?;
        rest = behind;
        let content = match head.content {
            HeadContent::Core(len) => {
                let cut = usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len));
                let (proposal, behind) = cut.ok_or(io::ErrorKind::InvalidData)?;
                rest = behind;
                FedContent::Core(Proposal(bytes.slice_ref(proposal)))
            }
            HeadContent::Members(members) => FedContent::Members(members),
            HeadContent::Blank => FedContent::Blank,
        };
        let index = first.checked_add(i).ok_or(io::ErrorKind::InvalidData)?;
        entries.push(FedEntry { index, content, age: Duration::from_millis(head.age) });
    }
    if !rest.is_empty() {
        return Err(invalid(CodecError::Trailing(rest.len())));
    }
    Ok(entries)
}

pub(crate) fn invalid(error: CodecError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
