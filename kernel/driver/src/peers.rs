//! Raft's links to other Keepers. A group of one has none.

use std::future::Future;

use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{AnyError, AsyncRuntime, OptionalSend, RaftNetworkFactory, RaftNetworkV2};

use crate::types::{Peer, Types, Vote};

/// Makes links to Keepers.
pub(crate) struct Peers;

/// A link to a Keeper that cannot be reached.
pub(crate) struct Link {
    target: u64,
}

impl<R: AsyncRuntime> RaftNetworkFactory<Types<R>> for Peers {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _: &Peer) -> Link {
        Link { target }
    }
}

impl Link {
    fn unreachable<R: AsyncRuntime>(&self) -> Unreachable<Types<R>> {
        Unreachable::new(&AnyError::error(format!("there is no link to Keeper {}", self.target)))
    }
}

impl<R: AsyncRuntime> RaftNetworkV2<Types<R>> for Link {
    type SnapshotData = ();

    async fn append_entries(
        &mut self,
        _: AppendEntriesRequest<Types<R>>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types<R>>, RPCError<Types<R>>> {
        Err(self.unreachable().into())
    }

    async fn vote(
        &mut self,
        _: VoteRequest<Types<R>>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types<R>>, RPCError<Types<R>>> {
        Err(self.unreachable().into())
    }

    /// openraft's own default grants.
    async fn pre_vote(
        &mut self,
        _: VoteRequest<Types<R>>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types<R>>, RPCError<Types<R>>> {
        Err(self.unreachable().into())
    }

    async fn full_snapshot(
        &mut self,
        _: Vote<R>,
        _: openraft::alias::SnapshotOf<Types<R>, ()>,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types<R>>, StreamingError<Types<R>>> {
        Err(self.unreachable().into())
    }
}
