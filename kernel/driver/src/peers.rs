//! Raft's links to other Keepers, as openraft asks for them. Heartbeats and votes share one link; entries have one of
//! their own, and each snapshot: none queues behind another.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::future::FutureExt;
use futures::stream::{self, Stream, StreamExt};
use mneme_kernel::probe::Probe;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};

use crate::addresses::Addresses;
use crate::campaign::Campaigns;
use crate::channel::{Channel, Reply};
use crate::env::Env;
use crate::link;
use crate::raft_wire::{self as wire, Answer, Request};
use crate::state_machine::SnapshotFiles;
use crate::transfer;
use crate::types::{LogId, Peer, Types, Vote, to_wal_vote, vote};

type Config<E> = Types<<E as Env>::Runtime>;

/// Requests with entries, and their bytes, that may be on the way to one Keeper.
const WINDOW: usize = 32;
const WINDOW_BYTES: usize = 8 << 20;

/// The first pause after a Keeper could not be reached, doubling up to the second number: entries only, heartbeats go
/// on by their own clock.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(300);

/// Makes links to Keepers.
pub(crate) struct Peers<E: Env> {
    env: E,
    id: u64,
    addresses: Addresses,
    campaigns: Arc<Campaigns>,
    /// For heartbeats and votes, by Keeper: they outlast elections.
    control: BTreeMap<u64, Arc<Channel>>,
}

/// Links to one Keeper.
pub(crate) struct Link<E: Env> {
    env: E,
    id: u64,
    target: u64,
    addresses: Addresses,
    campaigns: Arc<Campaigns>,
    control: Arc<Channel>,
    /// For entries; `None` where they go with the heartbeats, because there are none.
    entries: Option<Arc<Channel>>,
    is_heartbeat: bool,
}

impl<E: Env> Peers<E> {
    pub(crate) fn new(env: &E, id: u64, addresses: Addresses, campaigns: Arc<Campaigns>) -> Self {
        Self { env: env.clone(), id, addresses, campaigns, control: BTreeMap::new() }
    }

    fn link(&mut self, target: u64, peer: &Peer, is_heartbeat: bool) -> Link<E> {
        self.addresses.suppose(target, &peer.0.address);
        // Who has left needs no link any more.
        self.control.retain(|id, _| self.addresses.contains(*id));
        let open = || Arc::new(Channel::new(&self.env, self.id, target, self.addresses.clone()));
        let control = self.control.entry(target).or_insert_with(open).clone();
        let (env, addresses, campaigns) = (self.env.clone(), self.addresses.clone(), self.campaigns.clone());
        Link { env, id: self.id, target, addresses, campaigns, control, entries: None, is_heartbeat }
    }
}

impl<E: Env> RaftNetworkFactory<Config<E>> for Peers<E> {
    type Network = Link<E>;

    async fn new_client(&mut self, target: u64, peer: &Peer) -> Link<E> {
        self.link(target, peer, false)
    }

    async fn new_heartbeat_client(&mut self, target: u64, peer: &Peer) -> Link<E> {
        self.link(target, peer, true)
    }
}

impl<E: Env> Link<E> {
    fn channel(&mut self) -> Arc<Channel> {
        if self.is_heartbeat {
            return self.control.clone();
        }
        let open = || Arc::new(Channel::new(&self.env, self.id, self.target, self.addresses.clone()));
        self.entries.get_or_insert_with(open).clone()
    }

    async fn ask(&self, request: &Request<'_>, within: Duration) -> io::Result<Answer> {
        answer_within(&self.env, self.control.call(wire::frame(request)), within).await
    }
}

async fn answer_within<E: Env>(env: &E, reply: Reply, within: Duration) -> io::Result<Answer> {
    link::timeout(env, within, reply.map(flatten)).await
}

fn flatten(reply: Result<io::Result<Answer>, futures::channel::oneshot::Canceled>) -> io::Result<Answer> {
    reply.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::NotConnected, "the link broke")))
}

fn unreachable<E: Env>(error: &io::Error) -> Unreachable<Config<E>> {
    Unreachable::from_string(error)
}

impl<E: Env> RaftNetworkV2<Config<E>> for Link<E> {
    type SnapshotData = SnapshotFiles;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Config<E>>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Config<E>>, RPCError<Config<E>>> {
        let reply = self.channel().call(wire::append_frame::<E::Runtime>(&request));
        let answer = answer_within(&self.env, reply, option.soft_ttl()).await;
        answer.and_then(wire::to_appended::<E::Runtime>).map_err(|error| unreachable::<E>(&error).into())
    }

    /// Several requests are on the way at once, in order, bounded in number and bytes. An answer that is overdue breaks
    /// the link: see [`Channel`].
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Config<E>>, RPCError<Config<E>>>>, RPCError<Config<E>>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Config<E>>> + OptionalSend + Unpin + 'static,
    {
        let pipeline: Pipeline<E, S> =
            Pipeline { channel: self.channel(), input: Some(input), sent: VecDeque::new(), bytes: 0, is_over: false };
        let answers = stream::unfold(pipeline, |mut pipeline| async move {
            let answer = pipeline.next().await?;
            Some((answer, pipeline))
        });
        Box::pin(async move {
            let answers: BoxStream<'s, _> = Box::pin(answers);
            Ok(answers)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Config<E>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Config<E>>, RPCError<Config<E>>> {
        let answer = self.ask(&Request::Vote(wire::of_vote_request::<E::Runtime>(&request)), option.hard_ttl()).await;
        answer.and_then(wire::to_vote::<E::Runtime>).map_err(|error| unreachable::<E>(&error).into())
    }

    /// openraft's own default grants.
    async fn pre_vote(
        &mut self,
        request: VoteRequest<Config<E>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Config<E>>, RPCError<Config<E>>> {
        let ballot = wire::of_vote_request::<E::Runtime>(&request);
        if !self.campaigns.may_ask(self.env.monotonic(), ballot.last) {
            self.env.probes().hit(Probe::CampaignDeferred);
            let why = io::Error::other("this Keeper has promised its vote a moment ago");
            return Err(unreachable::<E>(&why).into());
        }
        let answer = self.ask(&Request::PreVote(ballot), option.hard_ttl()).await;
        answer.and_then(wire::to_vote::<E::Runtime>).map_err(|error| unreachable::<E>(&error).into())
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Config<E>>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Config<E>>, RPCError<Config<E>>> {
        let failed = |error: io::Error| RPCError::from(unreachable::<E>(&error));
        match self.ask(&wire::of_transfer::<E::Runtime>(&request), option.hard_ttl()).await.map_err(failed)? {
            Answer::Transfer(true) => Ok(Ok(())),
            Answer::Transfer(false) => {
                Ok(Err(TransferLeaderError::LogNotFlushed { expected: request.last_log_id().cloned(), actual: None }))
            }
            other => Err(failed(wire::unexpected(&other))),
        }
    }

    async fn full_snapshot(
        &mut self,
        leader: Vote<E::Runtime>,
        snapshot: openraft::alias::SnapshotOf<Config<E>, SnapshotFiles>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Config<E>>, StreamingError<Config<E>>> {
        let address = self.addresses.get(self.target);
        let address = address.ok_or_else(|| Unreachable::from_string("it is no member"))?;
        let ends = transfer::Ends { from: self.id, to: self.target, address: &address };
        let leader = to_wal_vote::<E::Runtime>(&leader);
        let SnapshotFiles::Own(reading) = snapshot.snapshot else {
            return Err(Unreachable::from_string("what is still coming is not sent on").into());
        };
        let sending = transfer::send(&self.env, ends, leader, reading);
        match futures::future::select(Box::pin(sending), Box::pin(cancel)).await {
            futures::future::Either::Left((Ok(held), _)) => Ok(SnapshotResponse::new(vote::<E::Runtime>(held))),
            futures::future::Either::Left((Err(error), _)) => {
                tracing::warn!("the snapshot did not get to the Keeper at {address}: {error}");
                Err(unreachable::<E>(&error).into())
            }
            futures::future::Either::Right((closed, _)) => Err(closed.into()),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        let pauses = std::iter::successors(Some(SHORTEST_PAUSE), |pause| Some((*pause * 2).min(LONGEST_PAUSE)));
        Some(Backoff::new(pauses))
    }
}

/// Appends on their way to one Keeper.
struct Pipeline<E: Env, S> {
    channel: Arc<Channel>,
    /// `None` once it has ended.
    input: Option<S>,
    sent: VecDeque<Sent<E>>,
    /// Bytes on the way.
    bytes: usize,
    is_over: bool,
}

struct Sent<E: Env> {
    reply: Reply,
    bytes: usize,
    previous: Option<LogId<E::Runtime>>,
    last: Option<LogId<E::Runtime>>,
}

impl<E: Env, S: Stream<Item = AppendEntriesRequest<Config<E>>> + Unpin> Pipeline<E, S> {
    async fn next(&mut self) -> Option<Result<StreamAppendResult<Config<E>>, RPCError<Config<E>>>> {
        if self.is_over {
            return None;
        }
        let reply = poll_fn(|context| {
            while self.sent.len() < WINDOW
                && self.bytes < WINDOW_BYTES
                && let Some(input) = &mut self.input
            {
                match input.poll_next_unpin(context) {
                    Poll::Ready(Some(request)) => self.send(&request),
                    Poll::Ready(None) => self.input = None,
                    Poll::Pending => break,
                }
            }
            match self.sent.front_mut() {
                Some(first) => first.reply.poll_unpin(context).map(|reply| Some(flatten(reply))),
                None if self.input.is_none() => Poll::Ready(None),
                None => Poll::Pending,
            }
        })
        .await?;
        let sent = self.sent.pop_front()?;
        self.bytes -= sent.bytes;
        match reply.and_then(wire::to_appended::<E::Runtime>) {
            Ok(response) => {
                // What follows an append that was cut short does not fit behind it.
                let is_whole = match &response {
                    AppendEntriesResponse::Success => true,
                    AppendEntriesResponse::PartialSuccess(to) => *to == sent.last,
                    AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => false,
                };
                self.is_over = !is_whole;
                if matches!(response, AppendEntriesResponse::Conflict) && sent.previous.is_none() {
                    let error = io::Error::new(io::ErrorKind::InvalidData, "a conflict with nothing");
                    return Some(Err(unreachable::<E>(&error).into()));
                }
                Some(Ok(response.into_stream_result(sent.previous, sent.last)))
            }
            Err(error) => {
                self.is_over = true;
                Some(Err(unreachable::<E>(&error).into()))
            }
        }
    }

    fn send(&mut self, request: &AppendEntriesRequest<Config<E>>) {
        let frame = wire::append_frame::<E::Runtime>(request);
        let bytes = frame.len();
        let last = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
        self.bytes += bytes;
        self.sent.push_back(Sent { reply: self.channel.call(frame), bytes, previous: request.prev_log_id, last });
    }
}
