//! A Keeper: a voter of the Raft group with a durable log, and the feed of what the group has committed.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use mneme_kernel::members::Member;
use openraft::{Config, EntryPayload, Raft, ServerState, SnapshotPolicy};

use crate::env::Env;
use crate::log::Log;
use crate::peers::Peers;
use crate::state_machine::Applied;
use crate::types::{Peer, Proposal, Types};
use crate::wal::OpenError;
use crate::watermark::Watermark;

/// Why a Keeper does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("Raft does not start: {0}")]
    Raft(String),
}

/// A running Keeper.
pub struct Keeper<E: Env> {
    raft: Raft<Types<E::Runtime>, Applied<E::Runtime>>,
    log: Log<E>,
    committed: Arc<Watermark>,
}

impl<E: Env> std::fmt::Debug for Keeper<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("committed", &self.committed.value()).finish_non_exhaustive()
    }
}

/// The id of the Keeper that founds a group.
const FOUNDER: u64 = 1;

impl<E: Env> Keeper<E> {
    /// Recovers the log and runs a group of which this is the only voter.
    ///
    /// # Errors
    /// If the log is damaged or cannot be read.
    pub async fn start(env: &E, member: Member) -> Result<Self, StartError> {
        let log = Log::open(env).await?;
        let committed = Arc::new(Watermark::default());
        let failed = |error: &dyn std::fmt::Display| StartError::Raft(error.to_string());
        let config = raft_config().validate().map_err(|error| failed(&error))?;
        let state_machine = Applied::new(committed.clone());
        let raft = Raft::new(FOUNDER, Arc::new(config), Peers, log.clone(), state_machine)
            .await
            .map_err(|error| failed(&error))?;
        if !raft.is_initialized().await.map_err(|error| failed(&error))? {
            raft.initialize(BTreeMap::from([(FOUNDER, Peer(member))])).await.map_err(|error| failed(&error))?;
        } else {
            // The only voter need not wait to find out that nobody else leads.
            raft.trigger().elect(false).await.map_err(|error| failed(&error))?;
        }
        let leads = raft.wait(None).state(ServerState::Leader, "the only voter leads").await;
        leads.map_err(|error| failed(&error))?;
        Ok(Self { raft, log, committed })
    }

    /// Hands an entry to Raft. There is no answer: what became of it is read from the log.
    pub async fn propose(&self, proposal: Proposal) {
        if let Err(error) = self.raft.client_write_ff(proposal, None).await {
            tracing::error!("Raft has stopped: {error}");
        }
    }

    /// How many entries, counted from the log's beginning, are committed.
    pub fn committed(&self) -> &Watermark {
        &self.committed
    }

    /// The feed: the next committed entries behind the first `known` ones, as many as can be had in one read; none if
    /// there are none. Each index with what a Core wrote there, or `None` for one of Raft's own.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn feed(&self, known: u64) -> io::Result<Vec<(u64, Option<Proposal>)>> {
        let committed = self.committed.value();
        if committed <= known {
            return Ok(Vec::new());
        }
        let entries = self.log.read(known, committed - 1).await?;
        let own = |payload| match payload {
            EntryPayload::Normal(proposal) => Some(proposal),
            EntryPayload::Blank | EntryPayload::Membership(_) => None,
        };
        Ok(entries.into_iter().map(|(id, payload)| (id.index, own(payload))).collect())
    }

    /// Raft's current term.
    pub fn term(&self) -> u64 {
        self.log.vote().map_or(0, |vote| vote.term)
    }

    /// Stops Raft and waits until the log is on stable storage.
    pub async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!("Raft did not stop in order: {error}");
        }
        self.log.flushed().await;
    }
}

fn raft_config() -> Config {
    Config {
        cluster_name: "mneme".into(),
        heartbeat_interval: 100,
        election_timeout_min: 300,
        election_timeout_max: 600,
        // Snapshots are the Keeper's own business.
        snapshot_policy: SnapshotPolicy::Never,
        // A restarted leader that goes on leading served stale reads in simulation (DESIGN.md section 10).
        enable_leader_restore: Some(false),
        allow_log_reversion: Some(false),
        enable_pre_vote: Some(true),
        ..Config::default()
    }
}
