//! A Keeper: a member of the Raft group with a durable log, snapshots of it, and the feed of what the group has
//! committed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::lock::Mutex as AsyncMutex;
use mneme_kernel::core::KeeperState;
use mneme_kernel::ids::Index;
use mneme_kernel::members::Member;
use mneme_kernel::mutant::Mutant;
use mneme_kernel::probe::Probe;
use mneme_kernel::snapshot::{Manifest, SystemPartition};
use mneme_kernel::time::Monotonic;
use mneme_kernel::wal;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Config, EntryPayload, Instant, Raft, RaftMetrics, ServerState, SnapshotPolicy};

use crate::addresses::Addresses;
use crate::admission;
use crate::campaign::Campaigns;
use crate::departure::{self, Removed};
use crate::directory::Directory;
use crate::env::Env;
use crate::keepers::{FedContent, FedEntry};
use crate::log::Log;
use crate::measures::LogMeasures;
use crate::peers::Peers;
use crate::server::{KeeperOptions, Start};
use crate::set_aside;
use crate::snapshot::{self, Reading};
use crate::state_machine::{Applied, Progress};
use crate::sync::lock;
use crate::types::{Peer, Proposal, Types, to_members};
use crate::wal::OpenError;
use crate::watermark::Watermark;

mod group;

pub use group::{KeeperStatus, MemberStatus};

/// Why a Keeper does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("Raft does not start: {0}")]
    Raft(String),
    #[error(transparent)]
    Removed(#[from] Removed),
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

/// How fast Raft notices that its leader is gone. openraft has a follower wait `election_max` (the leader's lease, in
/// which it votes for nobody) and then a time between `election_min` and `election_max`, drawn anew each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftTimes {
    pub heartbeat: Duration,
    pub election_min: Duration,
    pub election_max: Duration,
}

impl Default for RaftTimes {
    /// Another Keeper leads within 290 to 440 ms and the time of two syncs; of two that ask at once one goes on
    /// ([`Campaigns`]). A group whose heartbeats are late by less than 240 ms holds no election.
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self { heartbeat: millis(50), election_min: millis(70), election_max: millis(220) }
    }
}

/// What became of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposed {
    /// This Keeper leads: Raft has it.
    Sent,
    /// It does not; this one does, if that is known.
    NotLeader(Option<Member>),
}

type RaftOf<E> = Raft<Types<<E as Env>::Runtime>, Applied<E>>;
type MetricsOf<E> = RaftMetrics<Types<<E as Env>::Runtime>>;

/// A running Keeper.
pub struct Keeper<E: Env> {
    env: E,
    id: u64,
    member: Member,
    times: RaftTimes,
    raft: RaftOf<E>,
    log: Log<E>,
    progress: Arc<Progress>,
    directory: Arc<Directory<E>>,
    /// Of the others.
    addresses: Addresses,
    campaigns: Arc<Campaigns>,
    leader_changes: Watermark,
    stopped: AtomicBool,
    /// Since when it leads.
    leads_since: Mutex<Option<Monotonic>>,
    /// When it last asked to lead.
    wanted_to_lead: Mutex<Option<Monotonic>>,
    /// Whom this Keeper has last asked to lead instead of it, and when.
    transferred: Mutex<Option<(u64, Monotonic)>>,
    /// Held while the members change.
    changing: AsyncMutex<()>,
    /// The newest committed configuration that it is a member by, or was, as the index of its entry.
    member_at: Mutex<Option<u64>>,
    /// 1 once it is a member no more.
    removed: Watermark,
}

impl<E: Env> std::fmt::Debug for Keeper<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let committed = self.progress.committed.value();
        f.debug_struct("Keeper").field("id", &self.id).field("committed", &committed).finish_non_exhaustive()
    }
}

/// How often it is looked whether a snapshot is due.
const SCHEDULE_TICK: Duration = Duration::from_millis(100);
/// How long a proposal waits for a leader that is new, or that the disks of others keep waiting.
const LEASE_PATIENCE: Duration = Duration::from_millis(500);
const LEASE_LOOK: Duration = Duration::from_millis(2);
/// A log so many times as long as is due for a snapshot no longer waits for the Core beside.
const PASS_BY: u64 = 4;

impl<E: Env> Keeper<E> {
    /// Recovers the log and goes on as a member of its group; one that is in none founds one or begins to ask for
    /// admission, as `start` says. Also returns the snapshot that the log goes on from.
    ///
    /// If log or snapshot are damaged and there are other Keepers, it takes no part until those have a leader without
    /// it; then what is damaged is moved aside, and it joins them with an empty log and another id.
    ///
    /// # Errors
    /// If log or snapshot are damaged and there is no other Keeper, or they cannot be read; then nothing has been changed.
    pub async fn start(
        env: &E,
        member: Member,
        options: &KeeperOptions,
        start: &Start,
        has_core: bool,
    ) -> Result<(Arc<Self>, Option<(Manifest, SystemPartition)>), StartError> {
        let directory = Arc::new(Directory::load(env).await.map_err(OpenError::from)?);
        let others: Vec<String> = directory
            .keepers()
            .into_iter()
            .filter(|known| known.name != member.name && known.address != member.address)
            .map(|known| known.address)
            .collect();
        // One that was never admitted knows of nobody yet but those that it is to ask.
        let helpers = match start {
            Start::Join { nodes } if directory.keepers().is_empty() => nodes.clone(),
            _ => others.clone(),
        };
        // With others to fall back on, damage is looked for before this Keeper takes part; alone, whoever loads finds it.
        let mut opened = Self::open(env, options.segment_bytes, !helpers.is_empty()).await;
        if let Err(error) = &opened
            && error.is_damage()
            && !error.is_newer()
            && !helpers.is_empty()
        {
            tracing::error!("{error}; this Keeper takes no part until the others have a leader without it");
            set_aside::until_others_lead(env, &helpers).await;
            let folder = set_aside::set_aside(env).await.map_err(OpenError::from)?;
            tracing::warn!("what was damaged lies in {folder} now; this Keeper begins anew");
            opened = Self::open(env, options.segment_bytes, false).await;
        }
        let (log, found) = opened?;
        let current = found.as_ref().map(|(manifest, _)| manifest);
        snapshot::remove_incoming(env).await.map_err(OpenError::from)?;
        let (applied, progress) = Applied::new(env.clone(), log.clone(), found.clone()).map_err(OpenError::from)?;
        snapshot::clean(env, current, &progress.in_use).await.map_err(OpenError::from)?;
        progress.has_core.store(has_core, Ordering::Release);

        let failed = |error: &dyn std::fmt::Display| StartError::Raft(error.to_string());
        let id = if Mutant::KeepIdWhenWiped.is_chosen() { id_of(&member.name) } else { log.id() };
        if directory.keeper_was_removed(id) {
            return Err(Removed::Keeper.into());
        }
        // Its log may not tell any more that it was a member.
        let member_at = directory.keeper_joined(id);
        let config = raft_config(options.raft).validate().map_err(|error| failed(&error))?;
        let addresses = Addresses::default();
        let campaigns = Arc::new(Campaigns::new(id, options.raft.election_min));
        let peers = Peers::new(env, id, addresses.clone(), campaigns.clone());
        let raft = Raft::new(id, Arc::new(config), peers, log.clone(), applied).await;
        let raft = raft.map_err(|error| failed(&error))?;
        let keeper = Arc::new(Self {
            env: env.clone(),
            id,
            member,
            times: options.raft,
            raft,
            log,
            progress,
            directory,
            addresses,
            campaigns,
            leader_changes: Watermark::default(),
            stopped: AtomicBool::new(false),
            leads_since: Mutex::default(),
            wanted_to_lead: Mutex::default(),
            transferred: Mutex::default(),
            changing: AsyncMutex::default(),
            member_at: Mutex::new(member_at),
            removed: Watermark::default(),
        });
        env.spawn("raft watch", keeper.clone().watch());
        env.spawn("raft end", keeper.clone().end_with_raft());
        env.spawn("promotion", admission::promote(keeper.clone()));
        env.spawn("membership", departure::watch(keeper.clone()));
        if let Some((manifest, _)) = &found {
            // The last life may have ended between the snapshot and the purge.
            env.probes().hit_if(keeper.log.first() <= manifest.last.index, Probe::PurgeRepeated);
            keeper.raft.trigger().purge_log(manifest.last.index).await.map_err(|error| failed(&error))?;
        }
        keeper.begin(start, others).await.map_err(|error| failed(&error))?;
        Ok((keeper, found))
    }

    /// Opens log and snapshot, which belong together; `verify` has every block of the snapshot read.
    async fn open(
        env: &E,
        segment_bytes: u64,
        verify: bool,
    ) -> Result<(Log<E>, Option<(Manifest, SystemPartition)>), OpenError> {
        if set_aside::has_begun(env).await? {
            set_aside::set_aside(env).await?;
        }
        let found = match snapshot::newest(env).await? {
            Some(manifest) => {
                let system = snapshot::read_system(env, &manifest).await?;
                if verify {
                    snapshot::verify(env, &manifest).await?;
                }
                Some((manifest, system))
            }
            None => None,
        };
        let log = Log::open(env, found.as_ref().map(|(manifest, _)| manifest), segment_bytes).await?;
        Ok((log, found))
    }

    /// Takes its place; `others` are the addresses of Keepers that it has known.
    async fn begin(self: &Arc<Self>, start: &Start, others: Vec<String>) -> Result<(), RaftStopped> {
        let is_member = self.raft.is_initialized().await.map_err(|error| RaftStopped(error.to_string()))?;
        self.note_membership(&self.metrics().committed_membership_config);
        // Where there is a group, an empty log is one that was lost.
        let founds = !is_member && others.is_empty() && matches!(start, Start::Found { .. });
        if founds {
            self.found().await;
        }
        let mut nodes = others;
        if let Start::Join { nodes: given } = start {
            nodes.extend(given.iter().cloned());
        }
        let voters: BTreeSet<u64> = self.metrics().membership_config.membership().voter_ids().collect();
        if founds || voters == BTreeSet::from([self.id]) {
            let stopped = |error: &dyn std::fmt::Display| RaftStopped(error.to_string());
            if is_member {
                // The only voter need not wait to find out that nobody else leads.
                self.raft.trigger().elect(false).await.map_err(|error| stopped(&error))?;
            }
            let leads = self.raft.wait(None).state(ServerState::Leader, "the only voter leads").await;
            leads.map_err(|error| stopped(&error))?;
        }
        if !self.is_known() {
            self.env.spawn("join", admission::join(self.clone(), nodes));
        }
        Ok(())
    }

    /// Founds a group of which this is the only member; nothing, if it is in one.
    pub(crate) async fn found(&self) {
        let members = BTreeMap::from([(self.id, Peer(self.member.clone()))]);
        match self.raft.initialize(members).await {
            Ok(()) => tracing::info!("this Keeper has founded the Raft group"),
            Err(error) => tracing::debug!("not founded: {error}"),
        }
    }

    /// Lets everybody know what changes in the group.
    async fn watch(self: Arc<Self>) {
        let mut metrics = self.raft.server_metrics();
        let mut leader = None;
        let mut learnt = None;
        loop {
            let mut removed_at = None;
            let (leads, known) = {
                let now = metrics.borrow_watched();
                let members = now.membership_config.membership().nodes();
                let members: BTreeMap<u64, String> = members.map(|(id, peer)| (*id, peer.0.address.clone())).collect();
                if !members.is_empty() {
                    self.addresses.learn(members);
                }
                let committed = &now.committed_membership_config;
                self.note_membership(committed);
                if committed.membership().get_node(&self.id).is_none() {
                    removed_at = committed.log_id().as_ref().map(|id| id.index);
                }
                if let Some(at) = committed.log_id().as_ref().map(|id| id.index).filter(|at| learnt < Some(*at)) {
                    learnt = Some(at);
                    let (directory, members) = (self.directory.clone(), to_members(committed.membership()));
                    let own = self.id;
                    // On a thread of its own: it writes a file.
                    self.env.spawn_background("directory", async move {
                        directory.learn(at, &members).await;
                        if members.members.iter().any(|(id, _)| *id == own) {
                            directory.note_keeper_joined(own, at).await;
                        }
                    });
                }
                (now.state == ServerState::Leader, now.current_leader)
            };
            if let Some(at) = removed_at {
                self.hear_removed(at).await;
            }
            {
                let mut since = lock(&self.leads_since);
                *since = if leads { since.or(Some(self.env.monotonic())) } else { None };
            }
            if leader != known {
                leader = known;
                self.leader_changes.count();
            }
            if metrics.changed().await.is_err() {
                return;
            }
        }
    }

    /// Ends the process when Raft stops by itself, because the log could not be read or written: nobody is served by a
    /// Keeper that only seems to be there, and the next life may read what this one could not.
    async fn end_with_raft(self: Arc<Self>) {
        let mut metrics = self.raft.metrics();
        let why = loop {
            let running = metrics.borrow_watched().running_state.clone();
            match running {
                Err(why) => break why.to_string(),
                Ok(()) if metrics.changed().await.is_err() => break "it is gone".to_owned(),
                Ok(()) => {}
            }
        };
        if !self.stopped.load(Ordering::Acquire) {
            self.env.fatal(RaftStopped(why).to_string()).await;
        }
    }

    fn metrics(&self) -> MetricsOf<E> {
        self.raft.metrics().borrow_watched().clone()
    }

    /// Its id in the group; one that has lost its disk has another.
    pub fn id(&self) -> u64 {
        self.id
    }

    pub fn member(&self) -> &Member {
        &self.member
    }

    /// Which nodes are known, also to the next life.
    pub fn directory(&self) -> &Arc<Directory<E>> {
        &self.directory
    }

    pub(crate) fn env(&self) -> &E {
        &self.env
    }

    pub(crate) fn raft(&self) -> &RaftOf<E> {
        &self.raft
    }

    pub(crate) fn campaigns(&self) -> &Campaigns {
        &self.campaigns
    }

    pub(crate) fn log(&self) -> &Log<E> {
        &self.log
    }

    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire) || self.raft.metrics().borrow_watched().running_state.is_err()
    }

    /// Grows whenever another Keeper leads, or none.
    pub fn leader_changes(&self) -> &Watermark {
        &self.leader_changes
    }

    /// Hands an entry to Raft, if this Keeper leads. There is no answer: what became of it is read from the log.
    ///
    /// # Errors
    /// If Raft has stopped.
    pub async fn propose(&self, proposal: Proposal) -> Result<Proposed, RaftStopped> {
        let until = self.env.monotonic() + LEASE_PATIENCE;
        loop {
            let (leads, has_lease) = {
                let metrics = self.raft.metrics();
                let metrics = metrics.borrow_watched();
                (metrics.state == ServerState::Leader, self.has_lease(&metrics))
            };
            if !leads {
                return Ok(Proposed::NotLeader(
                    self.leader().filter(|(id, _)| *id != self.id).map(|(_, leader)| leader),
                ));
            }
            if has_lease || self.env.monotonic() >= until {
                self.env.probes().hit_if(!has_lease, Probe::ProposedWithoutMajority);
                break;
            }
            self.env.sleep(LEASE_LOOK).await;
        }
        let sent = self.raft.client_write_ff(proposal, None).await;
        sent.map(|()| Proposed::Sent).map_err(|error| RaftStopped(error.to_string()))
    }

    /// Whether a majority has answered the leader a moment ago; else openraft drops what is proposed.
    fn has_lease(&self, metrics: &MetricsOf<E>) -> bool {
        let alone = metrics.membership_config.membership().voter_ids().count() == 1;
        let acked = metrics.last_quorum_acked.as_ref().map(|at| at.elapsed());
        // A new leader has none before its first entry is committed.
        let begun = metrics.cluster_committed.as_ref().is_some_and(|id| id.leader_id.term == metrics.current_term);
        alone || (begun && acked.is_some_and(|ago| ago < self.times.election_max))
    }

    /// How many entries, counted from the log's beginning, are committed.
    pub fn committed(&self) -> &Watermark {
        &self.progress.committed
    }

    /// Completes when an entry is committed, and on this Keeper's disk.
    pub(crate) async fn has_synced(&self, index: u64) {
        while self.progress.committed.value() <= index {
            self.progress.committed.reached(index + 1).await;
        }
        self.log.flushed().await;
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
        let ages = self.log.ages(known, entries.len());
        let content = |payload| match payload {
            EntryPayload::Normal(proposal) => FedContent::Core(proposal),
            EntryPayload::Blank => FedContent::Blank,
            EntryPayload::Membership(membership) => FedContent::Members(to_members(&membership)),
        };
        let entry =
            |((id, payload), age): ((wal::LogId, _), _)| FedEntry { index: id.index, content: content(payload), age };
        Ok(entries.into_iter().zip(ages).map(entry).collect())
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
        while !self.has_stopped() {
            env.sleep(SCHEDULE_TICK).await;
            let purgeable = lock(&self.progress.snapshot).as_ref().map(|manifest| manifest.last.index);
            if let Some(upto) = purgeable.filter(|upto| self.log.first() <= *upto) {
                // openraft puts it off while an entry is on its way to somebody, and does not come back to it by itself.
                // Another snapshot would free nothing meanwhile.
                let _ = self.raft.trigger().purge_log(upto).await;
                continue;
            }
            if self.is_due(schedule, last, env.monotonic()) {
                // Why it failed has been said where it failed.
                let _ = self.snapshot().await;
                last = env.monotonic();
            }
        }
    }

    fn is_due(&self, schedule: Schedule, last: Monotonic, now: Monotonic) -> bool {
        let bytes = lock(&self.progress.snapshot).as_ref().map_or(0, Manifest::bytes);
        let due = schedule.log_bytes.max(bytes / 2);
        if self.log.bytes() > due.saturating_mul(PASS_BY)
            && self.progress.committed.value() > self.progress.snapshotted.value()
        {
            // The Core beside is stuck, or cannot keep up: it will need a snapshot rather than so long a log.
            let before = self.progress.passed_by.swap(true, Ordering::Release);
            self.env.probes().hit_if(!before, Probe::CorePassedBy);
        }
        if self.progress.catching_up.load(Ordering::Relaxed) > 0 && self.log.bytes() <= due.saturating_mul(PASS_BY) {
            // A newer snapshot would take from under them what follows on theirs.
            self.env.probes().hit(Probe::SnapshotPutOff);
            return false;
        }
        let changed = self.log.bytes() > 0 && self.progress.may_contain(&self.log) > self.progress.snapshotted.value();
        changed && (self.log.bytes() > due || now - last >= schedule.interval)
    }

    /// Makes a snapshot that contains at least what the Core beside has applied now.
    ///
    /// # Errors
    /// If it could not be made this time; the Keeper goes on trying.
    pub async fn snapshot(&self) -> Result<(), SnapshotFailed> {
        let Progress { snapshotted, failures, .. } = &*self.progress;
        let wanted = self.progress.may_contain(&self.log);
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
        let (leads, voters, keepers) = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            let membership = metrics.membership_config.membership();
            let leads = metrics.state == ServerState::Leader;
            (leads, membership.voter_ids().count() as u32, membership.nodes().count() as u32)
        };
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
            leads,
            voters,
            keepers,
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

    /// Hands over, stops Raft, and waits until the log is on stable storage.
    pub async fn stop(&self) {
        if !self.was_removed() {
            self.hand_over_lead().await;
        }
        self.stopped.store(true, Ordering::Release);
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!("Raft did not stop in order: {error}");
        }
        self.log.close().await;
    }
}

/// For a deliberate mistake only.
fn id_of(name: &str) -> u64 {
    name.bytes().fold(1, |id, byte| id * 31 + u64::from(byte))
}

fn raft_config(times: RaftTimes) -> Config {
    let millis = |time: Duration| time.as_millis() as u64;
    Config {
        cluster_name: "mneme".into(),
        heartbeat_interval: millis(times.heartbeat),
        election_timeout_min: millis(times.election_min),
        election_timeout_max: millis(times.election_max),
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
