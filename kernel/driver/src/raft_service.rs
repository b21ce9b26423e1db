//! Answers what another Keeper asks on a Raft link, in order; several requests may be in Raft's hands at once.

use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use futures::future::{Either, select};
use mneme_kernel::probe::Probe;
use mneme_kernel::wal::Vote as WalVote;
use openraft::raft::TransferLeaderRequest;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};

use crate::env::{Env, Stream};
use crate::keeper::Keeper;
use crate::link::{self, FrameReader};
use crate::raft_wire::{self as wire, Answer, Request};
use crate::snapshot;
use crate::transfer;
use crate::types::{log_id, to_wal_vote, vote};

/// Requests and their bytes that may be in Raft's hands before no more is read: more than a Keeper sends.
const WINDOW: usize = 64;
const WINDOW_BYTES: usize = 64 << 20;

/// An answer in the making, and the bytes of its request.
struct Making<'a> {
    answer: Pin<Box<dyn Future<Output = io::Result<Answer>> + Send + 'a>>,
    bytes: usize,
}

/// Serves a link that was opened for the Keeper `to`; returns when it ends.
///
/// # Errors
/// If the link broke, what came was no request, or Raft has stopped.
pub(crate) async fn serve<E: Env, S: Stream>(
    keeper: &Keeper<E>,
    mut reader: FrameReader<ReadHalf<S>>,
    mut writer: WriteHalf<S>,
    to: u64,
) -> io::Result<()> {
    if to != keeper.id() {
        let why = format!("this is Keeper {:016x}, not {to:016x}", keeper.id());
        return link::send(&mut writer, &Answer::Refused(why)).await;
    }
    let mut making: VecDeque<Making<'_>> = VecDeque::new();
    let mut bytes = 0;
    loop {
        let has_room = making.len() < WINDOW && bytes < WINDOW_BYTES;
        let event = {
            let made = poll_fn(|context| match making.front_mut() {
                Some(first) => first.answer.as_mut().poll(context),
                None => Poll::Pending,
            });
            let frame = async {
                match has_room {
                    true => reader.next().await.map(|frame| frame.map(Bytes::copy_from_slice)),
                    false => pending().await,
                }
            };
            match select(pin!(made), pin!(frame)).await {
                Either::Left((answer, _)) => Either::Left(answer?),
                Either::Right((frame, _)) => Either::Right(frame?),
            }
        };
        match event {
            Either::Left(answer) => {
                let mut out = Vec::new();
                link::frame(&answer, &mut out);
                bytes -= making.pop_front().map_or(0, |made| made.bytes);
                writer.write_all(&out).await?;
                writer.flush().await?;
            }
            Either::Right(None) => return Ok(()),
            Either::Right(Some(frame)) => match wire::request(&frame)? {
                Request::Snapshot { leader, manifest } => {
                    return receive_snapshot(keeper, reader, writer, leader, *manifest).await;
                }
                request => {
                    let mut answer = begin(keeper, request, &frame)?;
                    // The first poll hands it to Raft, behind what came before.
                    let at_once = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
                    let answer = match at_once {
                        Poll::Ready(answer) => Box::pin(std::future::ready(answer)),
                        Poll::Pending => answer,
                    };
                    bytes += frame.len();
                    making.push_back(Making { answer, bytes: frame.len() });
                }
            },
        }
    }
}

type Answering<'a> = Pin<Box<dyn Future<Output = io::Result<Answer>> + Send + 'a>>;

fn begin<'a, E: Env>(keeper: &'a Keeper<E>, request: Request<'_>, frame: &Bytes) -> io::Result<Answering<'a>> {
    let raft = keeper.raft();
    Ok(match request {
        Request::Append(append) => {
            let append = wire::from_append::<E::Runtime>(append, frame)?;
            Box::pin(async move {
                let appended = raft.append_entries(append).await.map_err(stopped)?;
                Ok(wire::of_appended::<E::Runtime>(&appended))
            })
        }
        Request::Vote(ballot) => Box::pin(async move {
            let response = raft.vote(wire::to_vote_request::<E::Runtime>(ballot)).await.map_err(stopped)?;
            Ok(wire::of_vote::<E::Runtime>(&response))
        }),
        Request::PreVote(ballot) => Box::pin(async move {
            let mut response = raft.pre_vote(wire::to_vote_request::<E::Runtime>(ballot)).await.map_err(stopped)?;
            let granted = response.vote_granted;
            response.vote_granted = granted && keeper.campaigns().promise(keeper.env().monotonic(), &ballot);
            keeper.env().probes().hit_if(granted && !response.vote_granted, Probe::PreVoteDenied);
            Ok(wire::of_vote::<E::Runtime>(&response))
        }),
        Request::Transfer { leader, to, last } => {
            let request = TransferLeaderRequest::new(vote::<E::Runtime>(leader), to, last.map(log_id::<E::Runtime>));
            Box::pin(async move {
                Ok(Answer::Transfer(raft.handle_transfer_leader(request).await.map_err(stopped)?.is_ok()))
            })
        }
        Request::Snapshot { .. } => Box::pin(std::future::ready(Ok(Answer::Refused("not here".into())))),
    })
}

fn stopped(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Takes a snapshot over: its files first, then in one step in place of what there is.
async fn receive_snapshot<E: Env, S: Stream>(
    keeper: &Keeper<E>,
    reader: FrameReader<ReadHalf<S>>,
    mut writer: WriteHalf<S>,
    leader: WalVote,
    manifest: mneme_kernel::snapshot::Manifest,
) -> io::Result<()> {
    let last = manifest.last.index;
    // Who has been deposed sends nothing large.
    if let Some(held) = keeper.log().vote().filter(|held| (held.term, held.committed) > (leader.term, leader.committed))
    {
        keeper.env().probes().hit(Probe::TransferRefused);
        return link::send(&mut writer, &Answer::Higher(held)).await;
    }
    let Some(_one) = keeper.progress().receiving.try_lock() else {
        return link::send(&mut writer, &Answer::Refused("another snapshot is on its way".into())).await;
    };
    link::send(&mut writer, &Answer::Wanted).await?;
    tracing::info!(last, bytes = manifest.bytes(), "a snapshot comes from another Keeper");
    let installed = async {
        let received = transfer::receive(keeper.env(), reader, &manifest, keeper.log().id(), keeper.progress()).await;
        keeper.env().probes().hit_if(received.is_err(), Probe::TransferBroken);
        keeper.raft().install_full_snapshot(vote::<E::Runtime>(leader), received?).await.map_err(stopped)
    };
    let installed = installed.await;
    // One that broke off leaves files, and so does one that has nothing new for Raft, which does not put it in place then.
    let is_over = keeper.progress().building.lock().await;
    snapshot::remove_incoming(keeper.env()).await?;
    drop(is_over);
    link::send(&mut writer, &Answer::Installed(to_wal_vote::<E::Runtime>(&installed?.vote))).await
}
