//! What a Keeper does with committed entries: it knows how far they reach and who the members are, and lets the feed
//! know. The data is the Cores' business.

use std::io;
use std::sync::{Arc, Mutex};

use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{AsyncRuntime, EntryPayload, OptionalSend, StoredMembership};

use crate::sync::lock;
use crate::types::{LogId, Types};
use crate::watermark::Watermark;

type Config<R> = Types<R>;
type SnapshotOf<R> = openraft::alias::SnapshotOf<Config<R>, ()>;
type SnapshotMetaOf<R> = openraft::alias::SnapshotMetaOf<Config<R>>;
type StoredMembershipOf<R> = openraft::alias::StoredMembershipOf<Config<R>>;

/// The state machine that openraft applies to. Snapshots are not made yet: the whole log is kept.
pub(crate) struct Applied<R: AsyncRuntime> {
    state: Arc<Mutex<State<R>>>,
    /// One more than the last committed index: how many entries the feed may hand out.
    committed: Arc<Watermark>,
}

struct State<R: AsyncRuntime> {
    last: Option<LogId<R>>,
    membership: StoredMembershipOf<R>,
}

impl<R: AsyncRuntime> Applied<R> {
    pub(crate) fn new(committed: Arc<Watermark>) -> Self {
        let state = State { last: None, membership: StoredMembership::default() };
        Self { state: Arc::new(Mutex::new(state)), committed }
    }
}

impl<R: AsyncRuntime> Clone for Applied<R> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), committed: self.committed.clone() }
    }
}

impl<R: AsyncRuntime> RaftStateMachine<Config<R>> for Applied<R> {
    type SnapshotData = ();
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId<R>>, StoredMembershipOf<R>)> {
        let state = lock(&self.state);
        Ok((state.last, state.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Config<R>>>> + Unpin + OptionalSend,
    {
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            let index = entry.log_id.index;
            {
                let mut state = lock(&self.state);
                state.last = Some(entry.log_id);
                if let EntryPayload::Membership(membership) = entry.payload {
                    state.membership = StoredMembership::new(Some(entry.log_id), membership);
                }
            }
            self.committed.advance(index + 1);
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, _: &SnapshotMetaOf<R>, _: ()) -> io::Result<()> {
        Err(unsupported())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<R>>> {
        Ok(None)
    }
}

impl<R: AsyncRuntime> RaftSnapshotBuilder<Config<R>> for Applied<R> {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<R>> {
        Err(unsupported())
    }
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this version makes no snapshots")
}
