//! The feed as a Keeper serves it over a link: committed entries behind those that the subscriber has, if need be a
//! snapshot first, then what is committed from then on. What goes over such a link stands in `feed/frames.rs`.
//!
//! What is read ahead of a slow subscriber is bounded: the next entries are read when those before have been taken by
//! the socket. It does not hold back the log's purging either; when it falls behind that, it gets a snapshot.
//! Only while it gets one, and what follows on that, the next one waits for a while: else it might never catch up.

pub(crate) mod frames;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt;
use mneme_kernel::entry::Entry;
use mneme_kernel::ids::Epoch;
use mneme_kernel::snapshot::SystemPartition;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::env::Env;
use crate::keeper::Keeper;
use crate::keepers::{FedContent, FedEntry};
use crate::link::{self, FrameReader};
use crate::recovery::{Chunk, read_chunks};
use crate::snapshot::{Reading, read_system};
use crate::state_machine::CatchingUp;
use crate::types::Proposal;
use frames::{Frame, SnapshotHead, Wish};

/// How often a subscriber hears something, so that it notices a Keeper that is gone.
pub(crate) const BEAT: Duration = Duration::from_millis(50);
/// A subscriber that takes nothing for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a frame at which it is full.
const FRAME_BYTES: usize = 256 << 10;

/// Serves a subscriber that has the first `known` entries, until the link ends. Of batches of `own` epoch it wants only
/// the heads.
///
/// # Errors
/// If the link broke, the subscriber took nothing, or this Keeper cannot read what it has: the subscriber is told so.
pub(crate) async fn serve<E: Env>(
    env: &E,
    keeper: &Keeper<E>,
    wishes: FrameReader<impl AsyncRead + Unpin + Send>,
    stream: impl AsyncWrite + Unpin + Send,
    known: u64,
    own: Option<Epoch>,
) -> io::Result<()> {
    let mut feed = Feed { env, wishes, stream, buffer: Vec::new(), own };
    let served = feed.run(keeper, known).await;
    if let Err(error) = &served
        && error.kind() != io::ErrorKind::TimedOut
    {
        // If it was the link, this fails too, and at once: one that takes nothing is not tried again.
        let _ = feed.send(&Frame::Refused(error.to_string())).await;
    }
    served
}

struct Feed<'a, E, R, W> {
    env: &'a E,
    wishes: FrameReader<R>,
    stream: W,
    buffer: Vec<u8>,
    own: Option<Epoch>,
}

impl<E: Env, R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> Feed<'_, E, R, W> {
    async fn run(&mut self, keeper: &Keeper<E>, mut known: u64) -> io::Result<()> {
        let env = self.env;
        let mut beat = pin!(env.sleep(BEAT));
        let mut catching_up = None;
        // At once: the subscriber hears that it has found a Keeper.
        self.send(&Frame::Beat { committed: keeper.committed().value() }).await?;
        loop {
            let next = match keeper.committed().value() > known {
                true => keeper.next(known).await?,
                false => Next::Entries(Vec::new()),
            };
            // What is to be waited for, if there is nothing to do.
            let mut idle = None;
            match next {
                Next::Snapshot(reading) => {
                    catching_up.get_or_insert_with(|| CatchingUp::begin(keeper.progress()));
                    known = self.send_snapshot(reading).await?;
                }
                // Committed and not there: it has been purged just now. Next time there is a snapshot.
                Next::Entries(entries) if entries.is_empty() && keeper.committed().value() > known => {
                    idle = Some(u64::MAX);
                }
                Next::Entries(entries) if entries.is_empty() => {
                    catching_up = None;
                    idle = Some(known + 1);
                }
                Next::Entries(entries) => {
                    let (read, own) = (env.monotonic(), self.own);
                    for some in frames::portions(&entries, FRAME_BYTES) {
                        let waited = env.monotonic() - read;
                        frames::entries(some, waited, |proposal| own_head(proposal, own), &mut self.buffer);
                        self.write().await?;
                    }
                    known += entries.len() as u64;
                }
            }
            let woken = self.wait(keeper, idle, beat.as_mut()).await?;
            match woken {
                Woken::Committed => {}
                Woken::Beat => {
                    beat.set(env.sleep(BEAT));
                    self.send(&Frame::Beat { committed: keeper.committed().value() }).await?;
                }
                Woken::Wish(Wish::Own(epoch)) => self.own = Some(epoch),
                Woken::Gone => return Ok(()),
            }
        }
    }

    /// Waits until there is something to do; only looks if it is not idle.
    async fn wait(
        &mut self,
        keeper: &Keeper<E>,
        idle: Option<u64>,
        mut beat: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> io::Result<Woken> {
        let mut committed = pin!(keeper.committed().reached(idle.unwrap_or_default()));
        let mut wish = pin!(self.wishes.message::<Wish>());
        poll_fn(|context| {
            if let Poll::Ready(wish) = wish.as_mut().poll(context) {
                return Poll::Ready(wish.map(|wish| wish.map_or(Woken::Gone, Woken::Wish)));
            }
            if beat.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(Woken::Beat));
            }
            if committed.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(Woken::Committed));
            }
            Poll::Pending
        })
        .await
    }

    /// Returns how many entries the subscriber has then.
    async fn send_snapshot(&mut self, reading: Reading) -> io::Result<u64> {
        let env = self.env;
        let SystemPartition { system, members, members_at } =
            read_system(env, &reading.manifest).await.map_err(io::Error::other)?;
        let index = reading.manifest.last.index;
        let items = reading.manifest.items();
        frames::snapshot_head(SnapshotHead { index, items, system, members, members_at }, &mut self.buffer);
        self.write().await?;
        let mut chunks = read_chunks(env, Arc::new(reading));
        let mut beat = pin!(env.sleep(BEAT));
        loop {
            // The disk may be slow: that is not silence.
            let chunk = poll_fn(|context| match chunks.poll_next_unpin(context) {
                Poll::Ready(chunk) => Poll::Ready(Some(chunk)),
                Poll::Pending => beat.as_mut().poll(context).map(|()| None),
            })
            .await;
            match chunk {
                None => {
                    beat.set(env.sleep(BEAT));
                    self.send(&Frame::Beat { committed: index + 1 }).await?;
                }
                Some(None) => break,
                Some(Some(chunk)) => {
                    let Chunk { effects, .. } = chunk.map_err(io::Error::other)?;
                    frames::items_head(effects.len(), &mut self.buffer);
                    self.write().await?;
                    link::write(env, &mut self.stream, &effects, PATIENCE).await?;
                }
            }
        }
        self.send(&Frame::End).await?;
        Ok(index + 1)
    }

    async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        link::frame(frame, &mut self.buffer);
        self.write().await
    }

    /// Writes the buffer.
    async fn write(&mut self) -> io::Result<()> {
        let written = link::write(self.env, &mut self.stream, &self.buffer, PATIENCE).await;
        self.buffer.clear();
        self.buffer.shrink_to(2 * FRAME_BYTES);
        written
    }
}

/// The head of a batch, if the subscriber made it: it needs no more (PROTOCOL rule 20).
fn own_head(proposal: &Proposal, own: Option<Epoch>) -> Option<Vec<u8>> {
    let own = own?;
    match Entry::decode(&proposal.0) {
        Ok(Entry::Batch { epoch, seq, wall, .. }) if epoch == own => {
            Some(Entry::Batch { epoch, seq, wall, effects: &[] }.encode())
        }
        _ => None,
    }
}

enum Woken {
    Committed,
    Beat,
    Wish(Wish),
    /// The subscriber has closed the link.
    Gone,
}

/// What a subscriber gets next.
pub(crate) enum Next {
    /// None if they are not there yet.
    Entries(Vec<FedEntry>),
    Snapshot(Reading),
}

impl<E: Env> Keeper<E> {
    /// What comes behind the first `known` entries.
    pub(crate) async fn next(&self, known: u64) -> io::Result<Next> {
        if let Some(reading) = self.snapshot_behind(known) {
            return Ok(Next::Snapshot(reading));
        }
        // They may have been purged just now: then there is nothing, and it is asked again.
        let entries = self.feed(known).await?;
        let index = entries.first().map_or(known, |entry| entry.index);
        if index != known {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("entry {index} follows on {known}")));
        }
        Ok(Next::Entries(entries))
    }
}

/// The bytes of an entry in a frame, about.
pub(crate) fn size(entry: &FedEntry) -> usize {
    const HEAD: usize = 16;
    HEAD + match &entry.content {
        FedContent::Core(proposal) => proposal.0.len(),
        FedContent::Members(_) | FedContent::Blank => 0,
    }
}
