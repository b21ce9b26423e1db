//! What Cores write into the Raft log.

use alloc::vec::Vec;

use bincode::{BorrowDecode, Encode};

use crate::codec::{self, CodecError};
use crate::ids::{Epoch, Incarnation, Index, Seq};

/// One entry of the log, as Cores propose it. Raft's own entries (blank, membership) are none of these.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub enum Entry<'a> {
    /// A Core begins a life; the entry's index is its [`Incarnation`]. The nonce tells its proposer that it is its own; its
    /// upper half is the same in all lives with the same folder.
    Hello {
        node: &'a str,
        nonce: u64,
        /// What other Cores dial: `host:port`.
        address: &'a str,
        /// The first life of the same process, if this is not it: the Core read the log anew, but its clients are still
        /// there, and what it forwarded for them counts.
        origin: Option<Incarnation>,
    },
    /// A Core asks to be primary (PROTOCOL rule 1).
    Claim {
        incarnation: Incarnation,
        /// The epoch that the claimer believes is current.
        previous_epoch: Epoch,
        /// The newest accepted renewing entry of that epoch that the claimer has seen.
        last_renewal: Index,
    },
    /// What a primary executed since its last batch.
    Batch {
        epoch: Epoch,
        seq: Seq,
        /// The primary's wall clock, milliseconds; never less than in the batch before.
        wall: u64,
        /// [`crate::effect::Effects`].
        effects: &'a [u8],
    },
    /// A primary is alive. The number, from 1 in each epoch, tells which sending its lease counts from (rule 2).
    Renew { epoch: Epoch, number: u64 },
    /// A primary hands over: it has stopped executing and answering reads (rule 5). Takes the next seq.
    Release { epoch: Epoch, seq: Seq },
    /// All members read this format: it is written from here on ([`crate::agreed`]).
    Format { format: u32 },
    /// The Core of this name is a member no more, neither in this life nor in a later one with the same folder. Accepted only
    /// if that is its newest life, and it is not primary.
    Remove { node: &'a str, incarnation: Incarnation },
}

impl<'a> Entry<'a> {
    /// Whether it says who the Cores are.
    pub fn changes_cores(&self) -> bool {
        matches!(self, Entry::Hello { .. } | Entry::Remove { .. })
    }

    /// Whether it tells that a primary lives, or that somebody else is one.
    pub(crate) fn is_about_reigns(&self) -> bool {
        matches!(self, Entry::Claim { .. } | Entry::Batch { .. } | Entry::Renew { .. } | Entry::Release { .. })
    }

    pub fn encode(&self) -> Vec<u8> {
        // A batch is kept until it is accepted and a while longer: no more room than it needs.
        const HEAD: usize = 64;
        let mut out = Vec::with_capacity(match self {
            Entry::Batch { effects, .. } => HEAD + effects.len(),
            _ => HEAD,
        });
        codec::encode(self, &mut out);
        out
    }

    pub fn decode(bytes: &'a [u8]) -> Result<Self, CodecError> {
        codec::decode_all(bytes)
    }
}
