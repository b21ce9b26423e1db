//! A primary's own state: the batch that is open, and those that wait for the log's verdict.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::changed::KeyHash;
use crate::core::Proposal;
use crate::entry::Entry;
use crate::ids::{Epoch, Seq};
use crate::limits;

/// What a primary executed and has not heard of yet.
#[derive(Debug)]
pub(crate) struct Reign {
    pub epoch: Epoch,
    /// The seq that the open batch will have.
    pub next_seq: Seq,
    pub accepted: Seq,
    pub in_flight: VecDeque<Sent>,
    /// Effects executed since the last batch.
    pub open: Vec<u8>,
    /// The keys that they change.
    pub open_keys: Vec<KeyHash>,
    /// A reply waits for the open batch.
    pub is_awaited: bool,
}

/// A batch that was handed to Raft.
#[derive(Debug)]
pub(crate) struct Sent {
    pub seq: Seq,
    pub proposal: Proposal,
    pub keys: Vec<KeyHash>,
    pub effect_bytes: usize,
}

impl Reign {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            next_seq: Seq(1),
            accepted: Seq::ZERO,
            in_flight: VecDeque::new(),
            open: Vec::new(),
            open_keys: Vec::new(),
            is_awaited: false,
        }
    }

    /// Makes a batch of what was executed, if anything was and the pipeline has room. Its content never changes again.
    pub(crate) fn close_batch(&mut self, wall: u64) -> Option<Proposal> {
        if self.open.is_empty() || self.in_flight.len() >= limits::BATCHES_IN_FLIGHT {
            return None;
        }
        let batch = Entry::Batch { epoch: self.epoch, seq: self.next_seq, wall, effects: &self.open };
        let proposal = Arc::new(batch.encode());
        self.in_flight.push_back(Sent {
            seq: self.next_seq,
            proposal: proposal.clone(),
            keys: core::mem::take(&mut self.open_keys),
            effect_bytes: self.open.len(),
        });
        self.next_seq = self.next_seq.next();
        self.is_awaited = false;
        self.open.clear();
        // A huge batch must not hold its memory for ever.
        self.open.shrink_to(limits::KEPT_BATCH);
        Some(proposal)
    }

    /// Takes the log's word that batch `seq` was accepted.
    pub(crate) fn accept(&mut self, seq: Seq) -> Sent {
        let sent = self.in_flight.pop_front();
        let sent = sent.unwrap_or_else(|| panic!("batch {seq} of our own epoch was accepted but never sent"));
        assert_eq!(sent.seq, seq, "the log accepts batches in order");
        self.accepted = seq;
        sent
    }

    /// The batch that contains the newest executed change, whether sent or not.
    pub(crate) fn executed(&self) -> Seq {
        if self.open.is_empty() { Seq(self.next_seq.0 - 1) } else { self.next_seq }
    }

    /// Whether writers must wait: the pipeline is full and so is the batch that cannot join it, or this batch alone is
    /// large.
    pub(crate) fn is_full(&self) -> bool {
        let room = self.in_flight.len() < limits::BATCHES_IN_FLIGHT;
        self.open.len() >= if room { limits::LARGEST_BATCH } else { limits::BATCH_BYTES }
    }

    pub(crate) fn check(&self) {
        assert!(self.in_flight.len() <= limits::BATCHES_IN_FLIGHT);
        assert_eq!(self.next_seq.0, self.accepted.0 + self.in_flight.len() as u64 + 1);
        assert!(self.in_flight.iter().zip(self.accepted.0 + 1..).all(|(sent, seq)| sent.seq == Seq(seq)));
    }
}
