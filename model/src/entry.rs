//! What Cores write into the log.

use std::fmt;

use crate::numbers::{Epoch, Incarnation, Index, Node, Number, Request, Seq};
use crate::op::{Data, Key};
use crate::table::{Record, Table};

/// One entry of the log, as Cores propose it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// A Core begins a life; the entry's index is its incarnation. The nonce tells its proposer that it is its own.
    Hello { node: Node, nonce: u16 },
    /// A Core asks to be primary (rule 1).
    Claim { node: Node, incarnation: Incarnation, previous_epoch: Epoch, last_renewal: Index },
    /// A primary renews its lease without a batch (rule 2).
    Renew { epoch: Epoch, number: Number },
    /// What a primary executed since its last batch. The content never changes after the first sending (rule 6).
    Batch { epoch: Epoch, seq: Seq, writes: Vec<Write>, records: Vec<Record> },
    /// A primary hands over (rule 5).
    Release { epoch: Epoch, seq: Seq },
    /// Whatever else stands in a real log and concerns none of this. No Core here proposes it.
    Other,
}

/// An effect: physical, so that whoever applies it cannot come to another result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Write {
    pub key: Key,
    pub value: u8,
    /// Whose it is: only the properties look at it, no Core does.
    pub request: Request,
}

impl Entry {
    /// Does what an accepted entry says.
    pub fn apply(&self, data: &mut Data, table: &mut Table) {
        match self {
            Entry::Hello { node, nonce } => table.hello(*node, *nonce),
            Entry::Batch { writes, records, .. } => {
                writes.iter().for_each(|write| data.put(write.key, write.value));
                records.iter().for_each(|record| table.record(record));
            }
            Entry::Claim { .. } | Entry::Renew { .. } | Entry::Release { .. } | Entry::Other => {}
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Hello { node, nonce } => write!(f, "Hello {{{node}, life {nonce}}}"),
            Entry::Claim { node, incarnation, previous_epoch, last_renewal } => {
                write!(
                    f,
                    "Claim {{{node}, incarnation {incarnation}, previous epoch {previous_epoch}, last renewal {last_renewal}}}"
                )
            }
            Entry::Renew { epoch, number } => write!(f, "Renew {{epoch {epoch}, number {number}}}"),
            Entry::Batch { epoch, seq, writes, records } => {
                write!(f, "Batch {{epoch {epoch}, seq {seq}")?;
                writes.iter().try_for_each(|write| write!(f, ", {:?} = {}", write.key, write.value))?;
                records.iter().try_for_each(|record| write!(f, ", {}: {}", record.request, record.reply.0))?;
                write!(f, "}}")
            }
            Entry::Release { epoch, seq } => write!(f, "Release {{epoch {epoch}, seq {seq}}}"),
            Entry::Other => write!(f, "Other"),
        }
    }
}
