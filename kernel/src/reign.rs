//! A primary's reign: the batch that is open, what is on its way to the log, and the lease (PROTOCOL rules 2, 4 to 7).
//!
//! Batches are numbered twice. In the log a batch's seq counts from 1 in each epoch. In this process, where gates and
//! changed keys outlive a reign, it goes on from the reign before: here a [`Seq`] is of the second kind, and `base` lies
//! between them.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::changed::KeyHash;
use crate::channels::Message;
use crate::core::Proposal;
use crate::entry::Entry;
use crate::ids::{Epoch, Seq};
use crate::lease::Lease;
use crate::limits;
use crate::mutant::Mutant;
use crate::time::Monotonic;

/// What a primary executed and has not heard of yet.
#[derive(Debug)]
pub(crate) struct Reign {
    pub epoch: Epoch,
    /// The newest seq of this process before this reign.
    base: u64,
    /// The seq that the open batch will have.
    pub next_seq: Seq,
    pub accepted: Seq,
    pub in_flight: VecDeque<Sent>,
    /// Effects executed since the last batch.
    pub open: Vec<u8>,
    /// The keys that they change.
    pub open_keys: Vec<KeyHash>,
    /// What is published once they are accepted.
    open_messages: Vec<Message>,
    /// A reply waits for the open batch.
    pub is_awaited: bool,
    /// A read without a lease waits for the open batch, even if it stays empty (rule 4).
    is_demanded: bool,
    lease: Arc<Lease>,
    /// It has asked to hand over, and neither executes nor reads any more.
    release: Option<Proposal>,
}

/// A batch that was handed to Raft.
#[derive(Debug)]
pub(crate) struct Sent {
    pub seq: Seq,
    pub proposal: Proposal,
    pub keys: Vec<KeyHash>,
    pub messages: Vec<Message>,
    pub effect_bytes: usize,
    at: Monotonic,
}

/// How far an open batch had got.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    effects: usize,
    keys: usize,
    messages: usize,
}

impl Reign {
    pub(crate) fn mark(&self) -> Mark {
        Mark { effects: self.open.len(), keys: self.open_keys.len(), messages: self.open_messages.len() }
    }

    /// Takes what came since out of the open batch. The keys stay marked as changed until this reign ends, as it must.
    pub(crate) fn cut(&mut self, mark: Mark) {
        self.open.truncate(mark.effects);
        self.open_keys.truncate(mark.keys);
        self.open_messages.truncate(mark.messages);
    }

    /// A reign whose first batch comes behind `base` of this process.
    pub(crate) fn new(epoch: Epoch, base: Seq, lease: Arc<Lease>) -> Self {
        Self {
            epoch,
            base: base.0,
            next_seq: base.next(),
            accepted: base,
            in_flight: VecDeque::new(),
            open: Vec::new(),
            open_keys: Vec::new(),
            open_messages: Vec::new(),
            is_awaited: false,
            is_demanded: false,
            lease,
            release: None,
        }
    }

    /// Makes a batch of what was executed, if anything was and the pipeline has room. Its content never changes again.
    pub(crate) fn close_batch(&mut self, wall: u64, now: Monotonic) -> Option<Proposal> {
        let nothing = self.open.is_empty() && !self.is_demanded;
        if nothing || self.in_flight.len() >= limits::BATCHES_IN_FLIGHT || self.release.is_some() {
            return None;
        }
        let batch = Entry::Batch { epoch: self.epoch, seq: self.in_log(self.next_seq), wall, effects: &self.open };
        let proposal = Arc::new(batch.encode());
        self.in_flight.push_back(Sent {
            seq: self.next_seq,
            proposal: proposal.clone(),
            keys: core::mem::take(&mut self.open_keys),
            messages: core::mem::take(&mut self.open_messages),
            effect_bytes: self.open.len(),
            at: now,
        });
        self.lease.sent(now);
        self.next_seq = self.next_seq.next();
        self.is_awaited = false;
        self.is_demanded = false;
        self.open.clear();
        // A huge batch must not hold its memory for ever.
        self.open.shrink_to(limits::KEPT_BATCH);
        Some(proposal)
    }

    /// Takes the log's word that the batch with this seq of the log was accepted.
    pub(crate) fn accept(&mut self, seq: Seq, now: Monotonic) -> Sent {
        let sent = self.in_flight.pop_front();
        let sent = sent.unwrap_or_else(|| panic!("batch {seq} of our own epoch was accepted but never sent"));
        assert_eq!(self.in_log(sent.seq), seq, "the log accepts batches in order");
        self.accepted = sent.seq;
        self.lease.renewed(sent.at, now);
        sent
    }

    /// Keeps a message until what has been executed by now is accepted; gives it back if it is.
    pub(crate) fn hold_message(&mut self, message: Message) -> Option<Message> {
        if !self.open.is_empty() {
            self.open_messages.push(message);
        } else if let Some(sent) = self.in_flight.back_mut() {
            sent.messages.push(message);
        } else {
            return Some(message);
        }
        None
    }

    /// Asks to hand over, if everything executed is sent. From then on it neither executes nor reads (rule 5).
    pub(crate) fn release(&mut self) -> Option<Proposal> {
        if self.release.is_none() && self.open.is_empty() && self.in_flight.len() < limits::BATCHES_IN_FLIGHT {
            let release = Entry::Release { epoch: self.epoch, seq: self.in_log(self.next_seq) };
            self.release = Some(Arc::new(release.encode()));
            self.lease.end();
            return self.release.clone();
        }
        None
    }

    pub(crate) fn is_releasing(&self) -> bool {
        self.release.is_some()
    }

    /// All that has not been accepted, as it was sent (rule 6).
    pub(crate) fn resend(&mut self, now: Monotonic) -> impl Iterator<Item = Proposal> {
        if Mutant::LeaseFromResend.is_chosen() {
            self.in_flight.iter_mut().for_each(|sent| sent.at = now);
        }
        self.in_flight.iter().map(|sent| sent.proposal.clone()).chain(self.release.clone())
    }

    /// A read that was executed without a lease waits for an entry that is first sent from now on: its seq.
    pub(crate) fn demand(&mut self) -> Seq {
        self.is_demanded = true;
        self.is_awaited = true;
        self.next_seq
    }

    /// Whether there is something that [`Reign::close_batch`] would send.
    pub(crate) fn has_open(&self) -> bool {
        !self.open.is_empty() || self.is_demanded
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

    fn in_log(&self, seq: Seq) -> Seq {
        Seq(seq.0 - self.base)
    }

    pub(crate) fn check(&self) {
        assert!(self.in_flight.len() <= limits::BATCHES_IN_FLIGHT);
        assert_eq!(self.next_seq.0, self.accepted.0 + self.in_flight.len() as u64 + 1);
        assert!(self.in_flight.iter().zip(self.accepted.0 + 1..).all(|(sent, seq)| sent.seq == Seq(seq)));
    }
}
