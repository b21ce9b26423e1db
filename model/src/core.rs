//! A Core: what it has in memory. What it does with it is in `serve`, `lead` and `follow`.

use crate::entry::{Entry, Write};
use crate::lease::Lease;
use crate::numbers::{Epoch, Incarnation, Index, Number, Ordinal, Request, Seq};
use crate::op::{Data, Op, Reply};
use crate::table::{Record, Table};
use crate::verdict::{Replay, Verdicts};

/// Everything here is lost in a crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Core {
    /// How many lives this node has had, this one included. Known to the process alone: the nonce of its `Hello`.
    pub life: u16,
    pub is_up: bool,
    /// The `Hello` that was proposed, until it comes back.
    pub greeting: Option<Entry>,
    /// Known from then on.
    pub incarnation: Option<Incarnation>,
    /// The last committed entry that was applied.
    pub applied: Index,
    pub verdicts: Verdicts,
    /// A primary's is ahead of the log by what it executed.
    pub data: Data,
    /// As the data.
    pub table: Table,
    /// How long ago it received the newest renewal, by its own clock.
    pub waited: u8,
    pub claiming: Option<Sent>,
    pub reign: Option<Reign>,
    /// Requests of this Core's clients that certainly have no effect so far.
    pub parked: Vec<Request>,
    /// Requests of this Core's clients that were sent to a primary and not answered.
    pub forwarded: Vec<Forwarded>,
    /// Replies that wait.
    pub gate: Vec<Gated>,
}

/// A primary's own state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reign {
    pub epoch: Epoch,
    /// The seq that the open batch will have.
    pub next_seq: Seq,
    pub accepted: Seq,
    pub next_number: Number,
    /// How many entries were sent, each counted at its first sending.
    pub sent: Ordinal,
    /// Sent, and not accepted.
    pub in_flight: Vec<Sent>,
    /// Effects executed since the last batch.
    pub open: Vec<Write>,
    pub open_records: Vec<Record>,
    pub lease: Lease,
    /// It has sent its `Release`: it executes and reads nothing any more (rule 5).
    pub is_releasing: bool,
    /// The high-water mark of each client whose requests came from another Core (rule 8).
    pub seen: Vec<Option<u8>>,
    /// Replies of forwarded requests that changed nothing, in no batch so far and not acknowledged (rule 9).
    pub kept: Vec<(Request, Reply)>,
}

/// An entry that was handed to the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sent {
    pub entry: Entry,
    pub ordinal: Ordinal,
    /// How long ago it was first sent, by the sender's clock.
    pub age: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Forwarded {
    pub request: Request,
    /// It is to be executed in this epoch or not at all.
    pub epoch: Epoch,
    /// How often it was sent.
    pub sendings: u8,
}

/// A finished reply, and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gated {
    pub request: Request,
    pub epoch: Epoch,
    pub outcome: Outcome,
    /// This batch must be accepted first.
    pub batch: Option<Seq>,
    /// An entry sent at least this late must be accepted first (rule 4's way without a lease).
    pub proof: Option<Ordinal>,
    pub under_lease: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Executed(Reply),
    /// It was executed in a memory that is void: it never happened.
    Void,
}

impl Core {
    /// A process that just started, with the newest snapshot in memory.
    pub fn start(life: u16, applied: Index, replay: Replay) -> Self {
        let Replay { verdicts, data, table, .. } = replay;
        Self {
            life,
            is_up: true,
            greeting: None,
            incarnation: None,
            applied,
            verdicts,
            data,
            table,
            waited: 0,
            claiming: None,
            reign: None,
            parked: Vec::new(),
            forwarded: Vec::new(),
            gate: Vec::new(),
        }
    }

    /// The process is gone, and everything with it but how many there were.
    pub fn crash(&mut self) {
        *self = Core { is_up: false, ..Core::start(self.life, Index(0), Replay::default()) };
    }
}

impl Reign {
    pub fn new(epoch: Epoch, lease: Lease, clients: usize) -> Self {
        Self {
            epoch,
            next_seq: Seq(1),
            accepted: Seq(0),
            next_number: Number(1),
            sent: Ordinal(0),
            in_flight: Vec::new(),
            open: Vec::new(),
            open_records: Vec::new(),
            lease,
            is_releasing: false,
            seen: vec![None; clients],
            kept: Vec::new(),
        }
    }

    /// Writes that were executed and not accepted, each with its batch.
    pub fn unaccepted(&self) -> impl Iterator<Item = (Seq, &Write)> {
        let sent = self.in_flight.iter().flat_map(|sent| match &sent.entry {
            Entry::Batch { seq, writes, .. } => writes.iter().map(|write| (*seq, write)).collect(),
            _ => vec![],
        });
        sent.chain(self.open.iter().map(|write| (self.next_seq, write)))
    }

    /// Records of batches that were not accepted.
    pub fn unaccepted_records(&self) -> impl Iterator<Item = &Record> {
        let sent = self.in_flight.iter().flat_map(|sent| match &sent.entry {
            Entry::Batch { records, .. } => &records[..],
            _ => &[],
        });
        sent.chain(&self.open_records)
    }

    /// The last batch that changes what the operation reads (rule 13).
    pub fn last_change(&self, op: Op) -> Option<Seq> {
        self.unaccepted().filter(|(_, write)| op.touches(write.key)).map(|(seq, _)| seq).max()
    }
}

impl Gated {
    /// Whether nothing keeps the reply any more.
    pub fn is_open(&self) -> bool {
        self.batch.is_none() && self.proof.is_none()
    }
}
