//! openraft's types as Mneme uses them, and how they stand in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::marker::PhantomData;

use bytes::Bytes;
use mneme_kernel::codec;
use mneme_kernel::members::{Member, Members};
use mneme_kernel::wal;
use openraft::impls::leader_id_std::LeaderId;
use openraft::{AsyncRuntime, EntryPayload, OptionalSend, RaftTypeConfig};

/// openraft's parameters, in a world whose runtime is `R`. One leader a term, as in the Raft paper.
pub struct Types<R>(PhantomData<fn() -> R>);

impl<R: AsyncRuntime> RaftTypeConfig for Types<R> {
    type D = Proposal;
    type R = ();
    type NodeId = u64;
    type Node = Peer;
    type Term = u64;
    type LeaderId = LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = EntryPayload<Proposal, u64, Peer>;
    type Entry = openraft::Entry<<Self::LeaderId as openraft::vote::RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = R;
    type Responder<T>
        = openraft::impls::OneshotResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

pub type Entry<R> = <Types<R> as RaftTypeConfig>::Entry;
pub type Vote<R> = <Types<R> as RaftTypeConfig>::Vote;
pub type LogId<R> = openraft::alias::LogIdOf<Types<R>>;
pub type Membership = openraft::Membership<u64, Peer>;

// Derived, these would ask the same of `R`.
impl<R> Clone for Types<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for Types<R> {}
impl<R> fmt::Debug for Types<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Types")
    }
}
impl<R> Default for Types<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}
impl<R> PartialEq for Types<R> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<R> Eq for Types<R> {}
impl<R> PartialOrd for Types<R> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<R> Ord for Types<R> {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// An encoded [`mneme_kernel::entry::Entry`]: Raft orders it and does not look inside.
#[derive(Clone, PartialEq, Eq)]
pub struct Proposal(pub Bytes);

impl Proposal {
    /// Shares a Core's proposal without copying it.
    pub fn new(proposal: mneme_kernel::core::Proposal) -> Self {
        struct Shared(mneme_kernel::core::Proposal);
        impl AsRef<[u8]> for Shared {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        Self(Bytes::from_owner(Shared(proposal)))
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proposal({} bytes)", self.0.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A Keeper, as the group's membership names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer(pub Member);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.0.name, self.0.address)
    }
}

/// A Raft entry's place in the log.
pub fn log_id<R: AsyncRuntime>(id: wal::LogId) -> LogId<R> {
    openraft::LogId::new(id.term.into(), id.index)
}

/// The log's own form of a place.
pub fn to_wal_id<R: AsyncRuntime>(id: &LogId<R>) -> wal::LogId {
    wal::LogId { term: id.leader_id.term, index: id.index }
}

pub fn vote<R: AsyncRuntime>(vote: wal::Vote) -> Vote<R> {
    if vote.committed {
        Vote::<R>::new_committed(vote.term, vote.candidate)
    } else {
        Vote::<R>::new(vote.term, vote.candidate)
    }
}

pub fn to_wal_vote<R: AsyncRuntime>(vote: &Vote<R>) -> wal::Vote {
    let leader = vote.leader_id();
    wal::Vote { term: leader.term, candidate: leader.voted_for, committed: vote.is_committed() }
}

/// What an entry carries, as a body of the log; a membership is encoded into `buffer`.
pub fn to_body<'a>(payload: &'a EntryPayload<Proposal, u64, Peer>, buffer: &'a mut Vec<u8>) -> wal::Body<'a> {
    match payload {
        EntryPayload::Blank => wal::Body::Blank,
        EntryPayload::Normal(proposal) => wal::Body::Entry(&proposal.0),
        EntryPayload::Membership(membership) => {
            codec::encode(&to_members(membership), buffer);
            wal::Body::Membership(buffer)
        }
    }
}

/// The opposite of [`to_body`]: the body stands in `record`, and an entry's bytes go on living there.
pub fn from_body(body: wal::Body<'_>, record: &Bytes) -> io::Result<EntryPayload<Proposal, u64, Peer>> {
    Ok(match body {
        wal::Body::Blank => EntryPayload::Blank,
        wal::Body::Entry(bytes) => EntryPayload::Normal(Proposal(record.slice_ref(bytes))),
        wal::Body::Membership(bytes) => {
            let invalid = |error: &dyn fmt::Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
            let members: Members = codec::decode_all(bytes).map_err(|error| invalid(&error))?;
            EntryPayload::Membership(from_members(members)?)
        }
    })
}

/// A membership as the log and snapshots hold it.
pub fn to_members(membership: &Membership) -> Members {
    Members {
        voters: membership.get_joint_config().iter().map(|set| set.iter().copied().collect()).collect(),
        members: membership.nodes().map(|(id, peer)| (*id, peer.0.clone())).collect(),
    }
}

/// The opposite of [`to_members`].
///
/// # Errors
/// If there are voters that are no members.
pub fn from_members(members: Members) -> io::Result<Membership> {
    let voters = members.voters.into_iter().map(BTreeSet::from_iter).collect();
    let nodes: BTreeMap<u64, Peer> = members.members.into_iter().map(|(id, member)| (id, Peer(member))).collect();
    Membership::new(voters, nodes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}
