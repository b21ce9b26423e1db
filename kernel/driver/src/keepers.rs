//! The Keepers as a Core sees them, wherever they are: where proposals go and committed entries come from.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mneme_kernel::ids::Epoch;
use mneme_kernel::members::Members;
use mneme_kernel::snapshot::{Manifest, SystemPartition};

use crate::env::Env;
use crate::keeper::{Keeper, RaftStopped};
use crate::types::Proposal;
use crate::watermark::Watermark;

/// The Keepers of the cluster, as this process's Core reaches them.
#[derive(Debug)]
pub struct Keepers<E: Env> {
    beside: Arc<Keeper<E>>,
    disturbances: Watermark,
}

/// What the feed gives.
#[derive(Debug)]
pub enum Fed {
    /// The next committed entries, none missing, at least one.
    Entries(Vec<FedEntry>),
    /// The log does not reach back to what the Core has: this has what it lacks, for an empty one.
    Snapshot(Box<FedSnapshot>),
}

/// A committed entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FedEntry {
    pub index: u64,
    pub content: FedContent,
    /// How long ago a Keeper has first seen it, at least so long: zero if that is not known (PROTOCOL rule 2).
    pub age: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FedContent {
    /// What a Core proposed.
    Core(Proposal),
    /// The Raft group has these members from here on.
    Members(Members),
    /// Raft's own.
    Blank,
}

/// A snapshot on its way to a Core.
#[derive(Debug)]
pub struct FedSnapshot {
    pub manifest: Manifest,
    pub system: SystemPartition,
}

impl<E: Env> Keepers<E> {
    /// Those of which one is in this process: its feed is the nearest.
    pub fn beside(keeper: Arc<Keeper<E>>) -> Self {
        Self { beside: keeper, disturbances: Watermark::default() }
    }

    /// Sends an entry to the Raft leader, wherever it is, behind those sent before. There is no answer, and it may be
    /// lost: what became of it is read from the log.
    ///
    /// # Errors
    /// If the Keeper beside has stopped for good.
    pub async fn propose(&self, proposal: Proposal) -> Result<(), RaftStopped> {
        self.beside.propose(proposal).await.map(drop)
    }

    /// Grows whenever what was proposed may have been lost at once, because another Keeper leads or a link broke.
    pub fn disturbances(&self) -> &Watermark {
        &self.disturbances
    }

    /// What is committed behind the first `known` entries: waits until there is something. Of batches of `own` epoch the
    /// heads suffice. Completes early, with no entry, only by an error.
    ///
    /// # Errors
    /// If no Keeper can be heard now; ask again.
    pub async fn next(&self, known: u64, own: Option<Epoch>) -> io::Result<Fed> {
        // In this process nothing is saved by leaving effects out.
        let _ = own;
        loop {
            self.beside.committed().reached(known + 1).await;
            let entries = self.beside.feed(known).await?;
            if !entries.is_empty() {
                return Ok(Fed::Entries(entries));
            }
        }
    }
}
