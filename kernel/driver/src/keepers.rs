//! The Keepers as a Core sees them, wherever they are: where proposals go and committed entries come from.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mneme_kernel::ids::Epoch;
use mneme_kernel::members::{Group, Members};

use crate::courier::Courier;
use crate::directory::Directory;
use crate::env::Env;
use crate::feed::Next;
use crate::keeper::{Keeper, Proposed, RaftStopped};
pub use crate::recovery::{FedSnapshot, LoadError, Loaded};
use crate::subscription::Subscriber;
use crate::types::Proposal;
use crate::watermark::Watermark;

/// How long to wait for a snapshot that is about to replace a part of the log.
const AGAIN: Duration = Duration::from_millis(1);

/// The Keepers of the cluster, as this process's Core reaches them.
#[derive(Debug)]
pub struct Keepers<E: Env> {
    env: E,
    feed: Feed<E>,
    courier: Arc<Courier<E>>,
}

#[derive(Debug)]
enum Feed<E: Env> {
    Beside(Arc<Keeper<E>>),
    Elsewhere(Arc<Subscriber<E>>),
}

/// What the feed gives.
#[derive(Debug)]
pub enum Fed<E: Env> {
    /// The next committed entries, none missing, at least one.
    Entries(Vec<FedEntry>),
    /// The log does not reach back to what the Core has: this has what it lacks, for an empty one.
    Snapshot(Box<FedSnapshot<E>>),
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

impl<E: Env> Keepers<E> {
    /// Those of which one is in this process: its feed is the nearest.
    pub fn beside(env: &E, keeper: Arc<Keeper<E>>) -> Self {
        let courier = Courier::start(env.clone(), None);
        let (watched, disturbed) = (keeper.clone(), courier.clone());
        env.spawn("leader", async move {
            loop {
                let changes = watched.leader_changes().value();
                watched.leader_changes().reached(changes + 1).await;
                disturbed.disturbances().count();
            }
        });
        Self { env: env.clone(), feed: Feed::Beside(keeper), courier }
    }

    /// Those that are all in other processes: the directory knows where. Call it where the Core's loop runs.
    pub fn elsewhere(env: &E, directory: Arc<Directory<E>>) -> Self {
        let courier = Courier::start(env.clone(), Some(directory.clone()));
        Self {
            env: env.clone(),
            feed: Feed::Elsewhere(Arc::new(Subscriber::new(env.clone(), directory, courier.clone()))),
            courier,
        }
    }

    /// The same Keepers for a reader of its own: its feed begins anew.
    pub(crate) fn again(&self) -> Self {
        let feed = match &self.feed {
            Feed::Beside(keeper) => Feed::Beside(keeper.clone()),
            Feed::Elsewhere(subscriber) => Feed::Elsewhere(Arc::new(subscriber.again())),
        };
        Self { env: self.env.clone(), feed, courier: self.courier.clone() }
    }

    /// Sends an entry to the Raft leader, wherever it is, behind those sent before. There is no answer, and it may be
    /// lost: what became of it is read from the log. It is lost for certain while no leader is known or there is no link
    /// with it; when there is one again, [`Keepers::disturbances`] grows.
    ///
    /// # Errors
    /// If the Keeper beside has stopped for good.
    pub async fn propose(&self, proposal: Proposal) -> Result<(), RaftStopped> {
        match &self.feed {
            Feed::Beside(keeper) => match keeper.propose(proposal.clone()).await? {
                Proposed::Sent => self.courier.rest(),
                Proposed::NotLeader(Some(leader)) => {
                    self.courier.name(&leader.address);
                    self.courier.offer(proposal);
                }
                Proposed::NotLeader(None) => {}
            },
            Feed::Elsewhere(_) => self.courier.offer(proposal),
        }
        Ok(())
    }

    /// Grows whenever what was proposed may have been lost at once, because another Keeper leads or a link broke, and
    /// when there is a link again: send again then what has no verdict.
    pub fn disturbances(&self) -> &Watermark {
        self.courier.disturbances()
    }

    /// How many entries, counted from the log's beginning, are committed: as the Keeper beside knows, or as far as the
    /// one that feeds has said.
    pub fn committed(&self) -> u64 {
        match &self.feed {
            Feed::Beside(keeper) => keeper.committed().value(),
            Feed::Elsewhere(subscriber) => subscriber.committed(),
        }
    }

    /// The address of the Keeper that fed last, if it is in another process.
    pub fn fed_by(&self) -> Option<String> {
        match &self.feed {
            Feed::Beside(_) => None,
            Feed::Elsewhere(subscriber) => subscriber.fed_by(),
        }
    }

    /// What the Core shows of the Raft group.
    pub(crate) fn group(&self) -> Group {
        match &self.feed {
            Feed::Beside(keeper) => keeper.group(),
            Feed::Elsewhere(subscriber) => {
                Group { committed: subscriber.committed(), leader: self.courier.leader(), ..Group::default() }
            }
        }
    }

    /// What is committed behind the first `known` entries: waits until there is something, however long. Of batches of
    /// `own` epoch the heads may come without their effects, and only of those: a Core that has thrown its memory away
    /// asks without it.
    ///
    /// A call may be given up, and the next one may name another number: nothing is lost, and nothing comes twice.
    /// Who has nothing gets a snapshot if there is one, and does not wait for the log's beginning.
    ///
    /// # Errors
    /// If the log of the Keeper beside cannot be read.
    pub async fn next(&self, known: u64, own: Option<Epoch>) -> io::Result<Fed<E>> {
        let keeper = match &self.feed {
            Feed::Beside(keeper) => keeper,
            Feed::Elsewhere(subscriber) => return Ok(subscriber.next(known, own).await),
        };
        // In this process nothing is saved by leaving effects out.
        loop {
            keeper.committed().reached(known + 1).await;
            if keeper.committed().value() <= known {
                continue;
            }
            match keeper.next(known).await? {
                Next::Snapshot(reading) => {
                    return Ok(Fed::Snapshot(Box::new(FedSnapshot::on_disk(reading, self.courier.clone()))));
                }
                // Purged just now: the snapshot that has them is there in a moment.
                Next::Entries(entries) if entries.is_empty() => self.env.sleep(AGAIN).await,
                Next::Entries(entries) => {
                    self.courier.heard();
                    return Ok(Fed::Entries(entries));
                }
            }
        }
    }
}
