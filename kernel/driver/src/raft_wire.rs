//! What Keepers say to each other for Raft: requests one way, answers the other. Enums grow only at their end.

use std::io;

use bincode::{BorrowDecode, Decode, Encode};
use bytes::Bytes;
use mneme_kernel::codec;
use mneme_kernel::snapshot::Manifest;
use mneme_kernel::wal::{Body, LogId, Vote};
use openraft::entry::RaftEntry;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse};
use openraft::{AsyncRuntime, EntryPayload};

use crate::types::{self, Entry, Peer, Proposal, Types, log_id, to_wal_id, to_wal_vote, vote};

/// What a Keeper asks of another.
#[derive(Debug, Encode, BorrowDecode)]
pub(crate) enum Request<'a> {
    /// Entries, or none: a heartbeat.
    Append(Append<'a>),
    Vote(Ballot),
    /// Whether a vote would be given; nothing comes of it.
    PreVote(Ballot),
    /// The leader wants `to` to lead from now on.
    Transfer {
        leader: Vote,
        to: u64,
        last: Option<LogId>,
    },
    /// Chunks of the manifest's files follow, the partitions in their order and then the system partition. The first
    /// answer says whether they are wanted.
    Snapshot {
        leader: Vote,
        manifest: Box<Manifest>,
    },
}

#[derive(Debug, Encode, BorrowDecode)]
pub(crate) struct Append<'a> {
    pub leader: Vote,
    /// The entry before the first.
    pub previous: Option<LogId>,
    pub committed: Option<LogId>,
    pub entries: Vec<(LogId, Body<'a>)>,
}

#[derive(Clone, Copy, Debug, Encode, Decode)]
pub(crate) struct Ballot {
    pub vote: Vote,
    /// The candidate's last entry.
    pub last: Option<LogId>,
    /// The leader itself wants this election.
    pub transfer: bool,
}

#[derive(Debug, Encode, Decode)]
pub(crate) enum Answer {
    Appended,
    /// Only entries up to this one.
    AppendedTo(Option<LogId>),
    /// The entry before the first is another one here.
    Conflict,
    /// Somebody with this vote is followed.
    Higher(Vote),
    Vote {
        vote: Vote,
        granted: bool,
        last: Option<LogId>,
    },
    /// Whether the leadership is taken.
    Transfer(bool),
    /// The snapshot's files may come.
    Wanted,
    /// The snapshot is in place, or was not needed any more; this vote is held.
    Installed(Vote),
    /// This link is of no use, and why.
    Refused(String),
}

/// A request's bytes as a frame.
pub(crate) fn append_frame<R: AsyncRuntime>(request: &AppendEntriesRequest<Types<R>>) -> Vec<u8> {
    let mut memberships = vec![Vec::new(); request.entries.len()];
    let entries = request.entries.iter().zip(&mut memberships);
    let entries = entries
        .map(|(entry, buffer)| (to_wal_id::<R>(&entry.log_id), types::to_body(&entry.payload, buffer)))
        .collect();
    frame(&Request::Append(Append {
        leader: to_wal_vote::<R>(&request.vote),
        previous: request.prev_log_id.as_ref().map(to_wal_id::<R>),
        committed: request.leader_commit.as_ref().map(to_wal_id::<R>),
        entries,
    }))
}

/// The opposite of [`append_frame`]; the entries' bytes go on living in `frame`.
///
/// # Errors
/// If a membership cannot be decoded.
pub(crate) fn from_append<R: AsyncRuntime>(
    append: Append<'_>,
    frame: &Bytes,
) -> io::Result<AppendEntriesRequest<Types<R>>> {
    let entry = |(id, body)| -> io::Result<Entry<R>> {
        let payload: EntryPayload<Proposal, u64, Peer> = types::from_body(body, frame)?;
        Ok(Entry::<R>::new(log_id::<R>(id), payload))
    };
    Ok(AppendEntriesRequest {
        vote: vote::<R>(append.leader),
        prev_log_id: append.previous.map(log_id::<R>),
        leader_commit: append.committed.map(log_id::<R>),
        entries: append.entries.into_iter().map(entry).collect::<io::Result<_>>()?,
    })
}

pub(crate) fn of_appended<R: AsyncRuntime>(response: &AppendEntriesResponse<Types<R>>) -> Answer {
    match response {
        AppendEntriesResponse::Success => Answer::Appended,
        AppendEntriesResponse::PartialSuccess(to) => Answer::AppendedTo(to.as_ref().map(to_wal_id::<R>)),
        AppendEntriesResponse::Conflict => Answer::Conflict,
        AppendEntriesResponse::HigherVote(higher) => Answer::Higher(to_wal_vote::<R>(higher)),
    }
}

pub(crate) fn to_appended<R: AsyncRuntime>(answer: Answer) -> io::Result<AppendEntriesResponse<Types<R>>> {
    Ok(match answer {
        Answer::Appended => AppendEntriesResponse::Success,
        Answer::AppendedTo(to) => AppendEntriesResponse::PartialSuccess(to.map(log_id::<R>)),
        Answer::Conflict => AppendEntriesResponse::Conflict,
        Answer::Higher(higher) => AppendEntriesResponse::HigherVote(vote::<R>(higher)),
        other => return Err(unexpected(&other)),
    })
}

pub(crate) fn of_vote_request<R: AsyncRuntime>(request: &VoteRequest<Types<R>>) -> Ballot {
    Ballot {
        vote: to_wal_vote::<R>(&request.vote),
        last: request.last_log_id.as_ref().map(to_wal_id::<R>),
        transfer: request.leadership_transfer,
    }
}

pub(crate) fn to_vote_request<R: AsyncRuntime>(ballot: Ballot) -> VoteRequest<Types<R>> {
    let mut request = VoteRequest::new(vote::<R>(ballot.vote), ballot.last.map(log_id::<R>));
    request.leadership_transfer = ballot.transfer;
    request
}

pub(crate) fn of_vote<R: AsyncRuntime>(response: &VoteResponse<Types<R>>) -> Answer {
    Answer::Vote {
        vote: to_wal_vote::<R>(&response.vote),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(to_wal_id::<R>),
    }
}

pub(crate) fn to_vote<R: AsyncRuntime>(answer: Answer) -> io::Result<VoteResponse<Types<R>>> {
    match answer {
        Answer::Vote { vote: held, granted, last } => {
            Ok(VoteResponse::new(vote::<R>(held), last.map(log_id::<R>), granted))
        }
        other => Err(unexpected(&other)),
    }
}

pub(crate) fn of_transfer<R: AsyncRuntime>(request: &TransferLeaderRequest<Types<R>>) -> Request<'static> {
    Request::Transfer {
        leader: to_wal_vote::<R>(request.from_leader()),
        to: *request.to_node_id(),
        last: request.last_log_id().map(to_wal_id::<R>),
    }
}

/// What is no answer to what was asked.
pub(crate) fn unexpected(answer: &Answer) -> io::Error {
    let what = match answer {
        Answer::Refused(why) => format!("the other Keeper refuses: {why}"),
        other => format!("an answer to something else: {other:?}"),
    };
    io::Error::new(io::ErrorKind::InvalidData, what)
}

pub(crate) fn frame(request: &Request<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    crate::link::frame(request, &mut bytes);
    bytes
}

/// Decodes a request.
///
/// # Errors
/// If it is none.
pub(crate) fn request(frame: &[u8]) -> io::Result<Request<'_>> {
    codec::decode_all(frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}
