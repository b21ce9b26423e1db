//! A Keeper: a voter of the Raft group with a durable log, snapshots of it, and the feed of what the group has committed.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mneme_kernel::core::KeeperState;
use mneme_kernel::ids::Index;
use mneme_kernel::members::Member;
use mneme_kernel::snapshot::{Manifest, SystemPartition};
use mneme_kernel::time::Monotonic;
use mneme_kernel::wal;
use openraft::{Config, EntryPayload, Raft, ServerState, SnapshotPolicy};

use crate::env::Env;
use crate::keepers::{FedContent, FedEntry};
use crate::log::Log;
use crate::measures::LogMeasures;
use crate::peers::Peers;
use crate::snapshot::{self, InUse, Reading};
use crate::state_machine::{Applied, Progress};
use crate::sync::lock;
use crate::types::{Peer, Proposal, Types, to_members};
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

/// When snapshots are made.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// When the log since the last one has so many bytes, or half of the last one's if that is more.
    pub log_bytes: u64,
    /// After so long, if anything changed.
    pub interval: Duration,
}

/// A snapshot could not be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum SnapshotFailed {
    #[error("the snapshot could not be made, the log is kept; the server's log says why")]
    Disk,
    #[error("this node has no Keeper: those elsewhere make snapshots by themselves")]
    Elsewhere,
}

/// Raft has stopped: nothing can become durable any more.
#[derive(Clone, Debug, thiserror::Error)]
#[error("Raft has stopped: {0}")]
pub struct RaftStopped(String);

/// What became of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposed {
    /// This Keeper leads: Raft has it.
    Sent,
    /// It does not; this one does, if that is known.
    NotLeader(Option<Member>),
}

/// A running Keeper.
pub struct Keeper<E: Env> {
    raft: Raft<Types<E::Runtime>, Applied<E>>,
    log: Log<E>,
    progress: Arc<Progress>,
    leader_changes: Watermark,
}

impl<E: Env> std::fmt::Debug for Keeper<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("committed", &self.progress.committed.value()).finish_non_exhaustive()
    }
}

/// The id of the Keeper that founds a group.
const FOUNDER: u64 = 1;
/// How often it is looked whether a snapshot is due.
const SCHEDULE_TICK: Duration = Duration::from_millis(100);

impl<E: Env> Keeper<E> {
    /// Recovers the log and runs a group of which this is the only voter. Also returns the snapshot that the log goes
    /// on from.
    ///
    /// # Errors
    /// If log or snapshot are damaged or cannot be read; then nothing has been changed.
    pub async fn start(
        env: &E,
        member: Member,
        segment_bytes: u64,
    ) -> Result<(Self, Option<(Manifest, SystemPartition)>), StartError> {
        let manifest = snapshot::newest(env).await.map_err(OpenError::from)?;
        let start = match manifest {
            Some(manifest) => {
                let system = snapshot::read_system(env, &manifest).await.map_err(OpenError::from)?;
                Some((manifest, system))
            }
            None => None,
        };
        let current = start.as_ref().map(|(manifest, _)| manifest);
        let log = Log::open(env, current, segment_bytes).await?;
        snapshot::clean(env, current, &InUse::default()).await.map_err(OpenError::from)?;
        let (applied, progress) = Applied::new(env.clone(), log.clone(), start.clone()).map_err(OpenError::from)?;

        let failed = |error: &dyn std::fmt::Display| StartError::Raft(error.to_string());
        let config = raft_config().validate().map_err(|error| failed(&error))?;
        let raft = Raft::new(FOUNDER, Arc::new(config), Peers, log.clone(), applied).await;
        let raft = raft.map_err(|error| failed(&error))?;
        if !raft.is_initialized().await.map_err(|error| failed(&error))? {
            raft.initialize(BTreeMap::from([(FOUNDER, Peer(member))])).await.map_err(|error| failed(&error))?;
        } else {
            // The only voter need not wait to find out that nobody else leads.
            raft.trigger().elect(false).await.map_err(|error| failed(&error))?;
        }
        let leads = raft.wait(None).state(ServerState::Leader, "the only voter leads").await;
        leads.map_err(|error| failed(&error))?;
        if let Some((manifest, _)) = &start {
            // The last life may have ended between the snapshot and the purge.
            raft.trigger().purge_log(manifest.last.index).await.map_err(|error| failed(&error))?;
        }
        Ok((Self { raft, log, progress, leader_changes: Watermark::default() }, start))
    }

    /// Hands an entry to Raft. There is no answer: what became of it is read from the log.
    ///
    /// # Errors
    /// If Raft has stopped.
    pub async fn propose(&self, proposal: Proposal) -> Result<Proposed, RaftStopped> {
        let sent = self.raft.client_write_ff(proposal, None).await;
        sent.map(|()| Proposed::Sent).map_err(|error| RaftStopped(error.to_string()))
    }

    /// Grows whenever another Keeper leads, or none.
    pub fn leader_changes(&self) -> &Watermark {
        &self.leader_changes
    }

    /// How many entries, counted from the log's beginning, are committed.
    pub fn committed(&self) -> &Watermark {
        &self.progress.committed
    }

    /// The feed: the next committed entries behind the first `known` ones, as many as can be had in one read; none if
    /// there are none.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn feed(&self, known: u64) -> io::Result<Vec<FedEntry>> {
        let committed = self.progress.committed.value();
        if committed <= known {
            return Ok(Vec::new());
        }
        let entries = self.log.read(known, committed - 1).await?;
        let content = |payload| match payload {
            EntryPayload::Normal(proposal) => FedContent::Core(proposal),
            EntryPayload::Blank => FedContent::Blank,
            EntryPayload::Membership(membership) => FedContent::Members(to_members(&membership)),
        };
        let entry = |(id, payload): (wal::LogId, _)| FedEntry {
            index: id.index,
            content: content(payload),
            age: Duration::ZERO,
        };
        Ok(entries.into_iter().map(entry).collect())
    }

    /// The snapshot that a subscriber with the first `known` entries needs, because the log does not reach back so far,
    /// or takes less time with, because it has nothing. Its files stay while it is held.
    pub(crate) fn snapshot_behind(&self, known: u64) -> Option<Reading> {
        if known > 0 && known >= self.log.first() {
            return None;
        }
        // Under this lock: who replaces it removes files only afterwards.
        let snapshot = lock(&self.progress.snapshot);
        snapshot.as_ref().map(|manifest| self.progress.in_use.read(manifest))
    }

    /// Notes that the Core beside this Keeper has taken the first `known` entries.
    pub(crate) fn fed(&self, known: u64) {
        self.progress.fed.store(known, Ordering::Release);
        self.log.fed(known);
    }

    /// Makes snapshots when they are due, for ever.
    pub async fn make_snapshots(&self, env: &E, schedule: Schedule) {
        let mut last = env.monotonic();
        loop {
            env.sleep(SCHEDULE_TICK).await;
            if self.is_due(schedule, last, env.monotonic()) {
                // Why it failed has been said where it failed.
                let _ = self.snapshot().await;
                last = env.monotonic();
            }
        }
    }

    fn is_due(&self, schedule: Schedule, last: Monotonic, now: Monotonic) -> bool {
        let bytes = lock(&self.progress.snapshot).as_ref().map_or(0, Manifest::bytes);
        let changed =
            self.log.bytes() > 0 && self.progress.fed.load(Ordering::Relaxed) > self.progress.snapshotted.value();
        changed && (self.log.bytes() > schedule.log_bytes.max(bytes / 2) || now - last >= schedule.interval)
    }

    /// Makes a snapshot that contains at least what the Core beside has applied now.
    ///
    /// # Errors
    /// If it could not be made this time; the Keeper goes on trying.
    pub async fn snapshot(&self) -> Result<(), SnapshotFailed> {
        let Progress { fed, snapshotted, failures, .. } = &*self.progress;
        let wanted = fed.load(Ordering::Acquire);
        let failed_before = failures.load(Ordering::Relaxed);
        loop {
            let reached = snapshotted.value();
            if reached >= wanted {
                return Ok(());
            }
            // One that is being made already is followed by another if it does not reach far enough.
            let moved = snapshotted.reached(reached + 1);
            self.raft.trigger().snapshot().await.map_err(|_| SnapshotFailed::Disk)?;
            moved.await;
            if failures.load(Ordering::Relaxed) != failed_before {
                return Err(SnapshotFailed::Disk);
            }
        }
    }

    /// What the Core beside shows of this Keeper.
    pub fn state(&self) -> KeeperState {
        let made = *lock(&self.progress.made);
        let snapshot = lock(&self.progress.snapshot);
        KeeperState {
            disk_full: self.log.is_full(),
            log_bytes: self.log.bytes(),
            snapshot_index: snapshot.as_ref().map(|manifest| Index(manifest.last.index)),
            snapshot_bytes: snapshot.as_ref().map_or(0, Manifest::bytes),
            snapshot_failures: self.progress.failures.load(Ordering::Relaxed),
            snapshots: made.snapshots,
            snapshot_time: made.time,
            last_snapshot_time: made.last,
            snapshot_made_at: made.at,
            last_snapshot_failed: made.failed,
        }
    }

    /// Files that the log consists of.
    pub fn segments(&self) -> usize {
        self.log.segments()
    }

    /// What the log's writer did.
    pub fn log_measures(&self) -> LogMeasures {
        self.log.measures()
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
        self.log.close().await;
    }
}

fn raft_config() -> Config {
    Config {
        cluster_name: "mneme".into(),
        heartbeat_interval: 100,
        election_timeout_min: 300,
        election_timeout_max: 600,
        // The Keeper's own schedule decides, by bytes; what a snapshot contains is purged at once.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        // A restarted leader that goes on leading served stale reads in simulation (DESIGN.md section 10).
        enable_leader_restore: Some(false),
        allow_log_reversion: Some(false),
        enable_pre_vote: Some(true),
        ..Config::default()
    }
}
