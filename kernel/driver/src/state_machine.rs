//! What a Keeper does with committed entries: it knows how far they reach and who the members are, lets the feed know,
//! and makes snapshots of them. The data is the Cores' business.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::oneshot;
use futures::lock::{Mutex as AsyncMutex, OwnedMutexGuard};
use futures::{Stream, StreamExt};
use mneme_kernel::ids::Index;
use mneme_kernel::mutant::Mutant;
use mneme_kernel::probe::Probe;
use mneme_kernel::snapshot::{Manifest, SystemPartition};
use mneme_kernel::time::Wall;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, StoredMembership};

use crate::compaction::compact;
use crate::env::Env;
use crate::log::Log;
use crate::snapshot::{self, InUse, Reading};
use crate::sync::lock;
use crate::types::{LogId, Types, from_members, log_id};
use crate::wal;
use crate::watermark::Watermark;

type Config<E> = Types<<E as Env>::Runtime>;
pub(crate) type SnapshotOf<E> = openraft::alias::SnapshotOf<Config<E>, SnapshotFiles>;
type SnapshotMetaOf<E> = openraft::alias::SnapshotMetaOf<Config<E>>;
pub(crate) type StoredMembershipOf<E> = openraft::alias::StoredMembershipOf<Config<E>>;

/// How long to wait after a snapshot that could not be made, doubling up to the second number.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// A snapshot as openraft hands it on.
#[derive(Debug)]
pub(crate) enum SnapshotFiles {
    /// This Keeper's newest.
    Own(Reading),
    /// It came from another Keeper and is to be put in place; until then no other is made.
    Incoming { manifest: Manifest, building: OwnedMutexGuard<()> },
}

/// What openraft wants to know of a snapshot.
pub(crate) fn meta_of<E: Env>(manifest: &Manifest, system: SystemPartition) -> io::Result<SnapshotMetaOf<E>> {
    let last_membership = match system.members_at {
        Some(at) => StoredMembership::new(Some(log_id::<E::Runtime>(at)), from_members(system.members)?),
        None => StoredMembership::default(),
    };
    Ok(SnapshotMetaOf::<E> { last_log_id: Some(log_id::<E::Runtime>(manifest.last)), last_membership })
}

/// What the state machine shares with its Keeper.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// One more than the last committed index: how many entries the feed may hand out.
    pub committed: Watermark,
    /// How many entries the Core beside this Keeper has taken. A snapshot must not purge what it has not read.
    pub fed: AtomicU64,
    /// One more than the last entry of the newest snapshot.
    pub snapshotted: Watermark,
    /// Snapshots that could not be made.
    pub failures: AtomicU64,
    pub made: Mutex<Made>,
    /// There is a Core beside this Keeper, so `fed` grows.
    pub has_core: AtomicBool,
    /// The Core beside is too far behind to be waited for.
    pub passed_by: AtomicBool,
    /// The newest snapshot.
    pub snapshot: Mutex<Option<Manifest>>,
    /// Those that somebody is reading.
    pub in_use: InUse,
    /// See [`CatchingUp`].
    pub catching_up: AtomicU64,
    /// Held while a snapshot is made, or one from another Keeper is put in place.
    pub building: Arc<AsyncMutex<()>>,
    /// Held while one comes from another Keeper.
    pub receiving: AsyncMutex<()>,
}

impl Progress {
    /// How many entries a snapshot may contain: none that this Keeper's own log could lose in a power cut, for a log that ends
    /// before its snapshot is taken for a damaged one.
    pub(crate) fn may_contain<E: Env>(&self, log: &Log<E>) -> u64 {
        let committed = self.committed.value().min(log.synced_end());
        match self.has_core.load(Ordering::Acquire) && !self.passed_by.load(Ordering::Acquire) {
            true => self.fed.load(Ordering::Acquire).min(committed),
            false => committed,
        }
    }
}

/// While there is one, somebody gets a snapshot over a link or for a backup, or what follows on it.
#[derive(Debug)]
pub(crate) struct CatchingUp(Arc<Progress>);

impl CatchingUp {
    pub(crate) fn begin(progress: &Arc<Progress>) -> Self {
        progress.catching_up.fetch_add(1, Ordering::Relaxed);
        Self(progress.clone())
    }
}

impl Drop for CatchingUp {
    fn drop(&mut self) {
        self.0.catching_up.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The snapshots made since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Made {
    pub snapshots: u64,
    /// How long they took together, and the last one.
    pub time: Duration,
    pub last: Duration,
    /// When that was done.
    pub at: Option<Wall>,
    /// The last attempt failed.
    pub failed: bool,
}

/// The state machine that openraft applies to.
pub(crate) struct Applied<E: Env> {
    env: E,
    log: Log<E>,
    state: Arc<Mutex<State<E>>>,
    progress: Arc<Progress>,
}

struct State<E: Env> {
    last: Option<LogId<E::Runtime>>,
    membership: StoredMembershipOf<E>,
    /// The membership that the newest snapshot contains.
    snapshot_membership: StoredMembershipOf<E>,
}

impl<E: Env> Applied<E> {
    /// Starts behind a snapshot, or at the log's beginning.
    pub(crate) fn new(
        env: E,
        log: Log<E>,
        start: Option<(Manifest, SystemPartition)>,
    ) -> io::Result<(Self, Arc<Progress>)> {
        let progress = Arc::new(Progress::default());
        let mut state = State {
            last: None,
            membership: StoredMembership::default(),
            snapshot_membership: StoredMembership::default(),
        };
        if let Some((manifest, system)) = start {
            let next = manifest.last.index + 1;
            state.last = Some(log_id::<E::Runtime>(manifest.last));
            if let Some(at) = system.members_at {
                state.membership = StoredMembership::new(Some(log_id::<E::Runtime>(at)), from_members(system.members)?);
            }
            state.snapshot_membership = state.membership.clone();
            progress.committed.advance(next);
            progress.snapshotted.advance(next);
            *lock(&progress.snapshot) = Some(manifest);
        }
        let applied = Self { env, log, state: Arc::new(Mutex::new(state)), progress: progress.clone() };
        Ok((applied, progress))
    }

    fn current_snapshot(&self) -> Option<SnapshotOf<E>> {
        // Both are changed under the lock of the state.
        let state = lock(&self.state);
        let reading = lock(&self.progress.snapshot).as_ref().map(|manifest| self.progress.in_use.read(manifest))?;
        let last_log_id = Some(log_id::<E::Runtime>(reading.manifest.last));
        let last_membership = state.snapshot_membership.clone();
        let meta = SnapshotMetaOf::<E> { last_log_id, last_membership };
        Some(SnapshotOf::<E> { meta, snapshot: SnapshotFiles::Own(reading) })
    }
}

impl<E: Env> Clone for Applied<E> {
    fn clone(&self) -> Self {
        Self {
            env: self.env.clone(),
            log: self.log.clone(),
            state: self.state.clone(),
            progress: self.progress.clone(),
        }
    }
}

impl<E: Env> RaftStateMachine<Config<E>> for Applied<E> {
    type SnapshotData = SnapshotFiles;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId<E::Runtime>>, StoredMembershipOf<E>)> {
        let state = lock(&self.state);
        Ok((state.last, state.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Config<E>>>> + Unpin + OptionalSend,
    {
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            let index = entry.log_id.index;
            if let Some(observer) = self.env.observer() {
                let proposal = match &entry.payload {
                    EntryPayload::Normal(proposal) => Some(&*proposal.0),
                    EntryPayload::Blank | EntryPayload::Membership(_) => None,
                };
                observer.committed(Index(index), proposal);
            }
            {
                let mut state = lock(&self.state);
                state.last = Some(entry.log_id);
                if let EntryPayload::Membership(membership) = entry.payload {
                    state.membership = StoredMembership::new(Some(entry.log_id), membership);
                }
            }
            let known = if Mutant::CommitAppended.is_chosen() { self.log.end() } else { index + 1 };
            self.progress.committed.advance(known);
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    /// Puts a snapshot from another Keeper in place. After a crash there is either what was before or the snapshot, for
    /// which the log may be too short: it has been told so, durably, before the manifest gets its name.
    async fn install_snapshot(&mut self, meta: &SnapshotMetaOf<E>, snapshot: SnapshotFiles) -> io::Result<()> {
        let SnapshotFiles::Incoming { manifest, building: _building } = snapshot else {
            // What is here is in place.
            return Ok(());
        };
        snapshot::take_over(&self.env, &manifest).await?;
        if !Mutant::InstallUnannounced.is_chosen() {
            self.log.announce(manifest.last).await;
        }
        while let Err(error) = snapshot::publish(&self.env, &manifest).await {
            if !wal::is_full(&error) {
                return Err(error);
            }
            // The log waits for space too.
            self.env.sleep(wal::FULL_PAUSE).await;
        }
        // What the log has up to there may be another leader's, never committed: the feed must not find it.
        self.env.probes().hit_if(self.log.first() < self.log.end(), Probe::InstalledOverEntries);
        self.log.purge_to(manifest.last).await;
        tracing::info!(last = manifest.last.index, "the snapshot from another Keeper is in place");
        self.env.probes().hit(Probe::SnapshotInstalled);
        let next = manifest.last.index + 1;
        {
            let mut state = lock(&self.state);
            state.last = meta.last_log_id;
            state.membership = meta.last_membership.clone();
            state.snapshot_membership = meta.last_membership.clone();
            *lock(&self.progress.snapshot) = Some(manifest.clone());
        }
        self.progress.snapshotted.advance(next);
        self.progress.committed.advance(next);
        if let Err(error) = snapshot::clean(&self.env, Some(&manifest), &self.progress.in_use).await {
            tracing::warn!("cannot remove what older snapshots left: {error}");
        }
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<E>>> {
        Ok(self.current_snapshot())
    }
}

impl<E: Env> RaftSnapshotBuilder<Config<E>> for Applied<E> {
    type SnapshotData = SnapshotFiles;

    /// Tries until it succeeds: an error here would stop Raft, and the log is whole without a snapshot.
    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<E>> {
        let mut pause = RETRY;
        while let Err(why) = self.try_build().await {
            self.progress.failures.fetch_add(1, Ordering::Relaxed);
            self.env.probes().hit(Probe::SnapshotFailed);
            lock(&self.progress.made).failed = true;
            self.progress.snapshotted.nudge();
            tracing::error!("cannot make a snapshot, the log is kept: {why}");
            self.env.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_RETRY);
        }
        self.current_snapshot().ok_or_else(|| io::Error::other("the snapshot that was made is not there"))
    }
}

impl<E: Env> Applied<E> {
    async fn try_build(&self) -> Result<(), String> {
        let _building = self.progress.building.lock().await;
        let membership = lock(&self.state).membership.clone();
        let fed = self.progress.may_contain(&self.log);
        let before = lock(&self.progress.snapshot).clone();
        if fed <= before.as_ref().map_or(0, |manifest| manifest.last.index + 1) {
            return if before.is_some() { Ok(()) } else { Err("nothing has been applied yet".into()) };
        }
        let last = self.log.id_at(fed - 1).ok_or("the last applied entry is not in the log")?;
        if membership.log_id().is_some_and(|id| id.index > last.index) {
            return Err("the membership has just changed".into());
        }
        let begun = self.env.monotonic();
        // On a thread of its own: it blocks on the disk and takes its time.
        let (done, made) = oneshot::channel();
        let (env, log, in_use) = (self.env.clone(), self.log.clone(), self.progress.in_use.clone());
        self.env.spawn_background("snapshot", async move {
            let made = compact(&env, &log, before.as_ref(), last).await;
            if made.is_err() {
                // What it has written so far may be what fills the disk.
                let _ = snapshot::clean(&env, before.as_ref(), &in_use).await;
            }
            let _ = done.send(made);
        });
        let made = made.await.map_err(|_| "its thread has ended")?;
        let manifest = made.map_err(|error| error.to_string())?;
        tracing::info!(last = manifest.last.index, bytes = manifest.bytes(), "made a snapshot");
        let took = self.env.monotonic() - begun;
        {
            let mut made = lock(&self.progress.made);
            let Made { snapshots, time, .. } = *made;
            let at = Some(self.env.wall());
            *made = Made { snapshots: snapshots + 1, time: time + took, last: took, at, failed: false };
        }
        {
            let mut state = lock(&self.state);
            state.snapshot_membership = membership;
            *lock(&self.progress.snapshot) = Some(manifest.clone());
        }
        self.progress.snapshotted.advance(manifest.last.index + 1);
        self.progress.passed_by.store(false, Ordering::Release);
        if let Err(error) = snapshot::clean(&self.env, Some(&manifest), &self.progress.in_use).await {
            tracing::warn!("cannot remove what older snapshots left: {error}");
        }
        Ok(())
    }
}
