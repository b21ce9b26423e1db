//! Carries proposals to the Raft leader when that is another process: one link, to whoever was named last or is found in
//! turn. Nothing is answered; who proposed hears from the feed, and sends again what was lost.
//!
//! So nothing is kept for later either: without a link, what is offered is dropped, and when there is one, it is said
//! that something may be lost.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bincode::{Decode, Encode};
use bytes::Bytes;
use futures::future::{Either, select};
use mneme_kernel::limits;
use mneme_kernel::members::Member;
use mneme_kernel::probe::Probe;
use mneme_kernel::time::Monotonic;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::directory::Directory;
use crate::env::Env;
use crate::feed::BEAT;
use crate::keeper::{Keeper, Proposed};
use crate::link::{self, FrameReader, Open};
use crate::outage::Outage;
use crate::signal::Signal;
use crate::subscription::{DIAL, SILENCE};
use crate::sync::lock;
use crate::types::Proposal;
use crate::watermark::Watermark;

/// Bytes of proposals that wait for the link; beyond that they are dropped. As many as a primary has on their way at
/// most, unless a single one is larger.
const QUEUE_BYTES: usize = limits::LARGEST_BATCH + limits::BATCHES_IN_FLIGHT * limits::BATCH_BYTES;
/// Bytes gathered into one write.
const WRITE_BYTES: usize = 256 << 10;
/// What was sent and has not been followed by anything from the feed for so long did not reach a leader that can commit.
const UNHEARD: Duration = Duration::from_secs(1);
/// A link over which nothing was sent for so long is closed: this node leads, or has nothing to propose.
const IDLE: Duration = Duration::from_secs(10);
/// A leader that takes nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a Keeper says on a link of proposals. Grows only at its end.
#[derive(Debug, Encode, Decode)]
enum Answer {
    /// It is there.
    Beat,
    /// Another one leads, or none: what came before may be lost.
    LeaderChanged,
    /// It does not lead; this one does, if that is known. What comes now is lost.
    NotLeader(Option<Member>),
}

/// The sender.
#[derive(Debug)]
pub(crate) struct Courier<E: Env> {
    env: E,
    /// Where to look for the leader if nobody names one.
    directory: Option<Arc<Directory<E>>>,
    state: Mutex<State>,
    /// There is something to send, or a reason to dial.
    work: Signal,
    disturbances: Watermark,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Proposal>,
    queued_bytes: usize,
    /// Whom the link leads to, if there is one.
    linked: Option<String>,
    /// There was something to send, and no link.
    wanted: bool,
    /// Who leads, as was said last.
    named: Option<String>,
    /// Nobody has dialled that yet.
    named_is_new: bool,
    /// When something was sent first since the feed brought something.
    unheard_since: Option<Monotonic>,
    /// What was sent over this link was followed by something.
    proven: bool,
}

impl<E: Env> Courier<E> {
    /// Starts it.
    pub(crate) fn start(env: E, directory: Option<Arc<Directory<E>>>) -> Arc<Self> {
        let (state, work, disturbances) = Default::default();
        let courier = Arc::new(Self { env: env.clone(), directory, state, work, disturbances });
        env.spawn("courier", courier.clone().run());
        courier
    }

    /// Sends a proposal behind those offered before, or drops it.
    pub(crate) fn offer(&self, proposal: Proposal) {
        let mut state = lock(&self.state);
        let State { queue, queued_bytes, linked, wanted, .. } = &mut *state;
        if linked.is_some() && (queue.is_empty() || *queued_bytes + proposal.0.len() <= QUEUE_BYTES) {
            *queued_bytes += proposal.0.len();
            queue.push_back(proposal);
        } else {
            *wanted |= linked.is_none();
            self.env.probes().hit(Probe::ProposalDropped);
        }
        drop(state);
        self.work.raise();
    }

    /// This one leads, as far as somebody knows. A link that there is stays: its other end knows better.
    pub(crate) fn name(&self, leader: &str) {
        let mut state = lock(&self.state);
        if state.linked.is_none() && state.named.as_deref() != Some(leader) {
            state.named = Some(leader.into());
            state.named_is_new = true;
        }
    }

    /// The feed has brought something.
    pub(crate) fn heard(&self) {
        let mut state = lock(&self.state);
        state.proven |= state.unheard_since.take().is_some();
    }

    /// This node leads: there is no need to dial anyone.
    pub(crate) fn rest(&self) {
        lock(&self.state).wanted = false;
    }

    /// Whether something was sent and the feed has brought nothing since, for too long.
    pub(crate) fn is_unheard(&self) -> bool {
        let since = lock(&self.state).unheard_since;
        since.is_some_and(|since| self.env.monotonic() - since >= UNHEARD)
    }

    /// Who leads, as far as is known.
    pub(crate) fn leader(&self) -> Option<String> {
        let state = lock(&self.state);
        state.linked.clone().or_else(|| state.named.clone())
    }

    pub(crate) fn disturbances(&self) -> &Watermark {
        &self.disturbances
    }

    async fn run(self: Arc<Self>) {
        let mut outage = Outage::new("a way to the Raft leader");
        let turn = self.env.random();
        // Who has led and does not answer any more comes last.
        let (mut tries, mut spare) = (0, None);
        loop {
            poll_fn(|context| self.work.poll(context)).await;
            while lock(&self.state).wanted {
                let (address, count, pause) = self.choose(turn, &mut tries, spare.as_deref(), &outage);
                if !pause.is_zero() {
                    self.env.sleep(pause).await;
                }
                let Some(address) = address else { continue };
                let why = match link::open(&self.env, &address, &Open::Propose, DIAL).await {
                    Ok(link) => {
                        self.begin(&address);
                        let why = self.carry(link, &mut outage).await;
                        self.end();
                        if outage.failures() == 0 {
                            (tries, spare) = (0, Some(address.clone()));
                        }
                        match why {
                            None => break,
                            Some(why) => why,
                        }
                    }
                    Err(why) => why,
                };
                tracing::debug!("proposals do not go to {address} any more: {why}");
                outage.failed(count, &format!("{address}: {why}"));
            }
        }
    }

    /// Whom to dial, of how many, and how long to wait before that: whoever was named and not tried, else each in turn.
    fn choose(
        &self,
        turn: u64,
        tries: &mut usize,
        spare: Option<&str>,
        outage: &Outage,
    ) -> (Option<String>, usize, Duration) {
        let candidates = self.directory.as_ref().map(|directory| directory.candidates(turn, spare));
        let count = candidates.as_ref().map_or(1, Vec::len);
        let pause = outage.pause(count);
        let mut state = lock(&self.state);
        if std::mem::take(&mut state.named_is_new) {
            // The first time at once.
            let pause = if outage.failures() <= 1 { Duration::ZERO } else { pause };
            return (state.named.clone(), count, pause);
        }
        match candidates {
            None => (state.named.clone(), count, pause.max(BEAT)),
            Some(mut candidates) if count > 0 => {
                let chosen = candidates.swap_remove(*tries % count);
                *tries += 1;
                (Some(chosen), count, pause)
            }
            Some(_) => (None, count, Outage::LONGEST),
        }
    }

    /// There is a link: what was dropped before can be sent again.
    fn begin(&self, address: &str) {
        let mut state = lock(&self.state);
        state.linked = Some(address.into());
        (state.wanted, state.proven, state.unheard_since) = (false, false, None);
        drop(state);
        self.disturbances.count();
    }

    /// It is over, and what it had is lost.
    fn end(&self) {
        let mut state = lock(&self.state);
        state.linked = None;
        state.queue.clear();
        state.queued_bytes = 0;
        state.unheard_since = None;
        drop(state);
        self.disturbances.count();
    }

    /// Sends until the link is of no use any more; `None` if it was not used for long.
    async fn carry(&self, link: E::Link, outage: &mut Outage) -> Option<io::Error> {
        let (read, write) = tokio::io::split(link);
        let mut answers = FrameReader::new(read);
        let sending = pin!(self.send(write));
        let mut used = self.env.monotonic();
        let hearing = pin!(async {
            loop {
                let answer = answers.next_within(&self.env, SILENCE).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
                match link::decode(answer)? {
                    Answer::Beat => {}
                    Answer::LeaderChanged => self.disturbances.count(),
                    Answer::NotLeader(leader) => {
                        self.env.probes().hit(Probe::ProposedToFollower);
                        self.not_leader(leader);
                        return Err(io::Error::other("it does not lead"));
                    }
                }
                let now = self.env.monotonic();
                let mut state = lock(&self.state);
                if std::mem::take(&mut state.proven) {
                    outage.over();
                }
                match state.unheard_since {
                    Some(since) if now - since >= UNHEARD => {
                        self.env.probes().hit(Probe::ProposalsUnheard);
                        return Err(io::Error::other("it does not commit"));
                    }
                    Some(_) => used = now,
                    None if now - used >= IDLE => return Ok::<(), io::Error>(()),
                    None => {}
                }
            }
        });
        match select(sending, hearing).await {
            Either::Left((why, _)) => Some(why),
            Either::Right((Err(why), _)) => Some(why),
            Either::Right((Ok(()), _)) => None,
        }
    }

    fn not_leader(&self, leader: Option<Member>) {
        let mut state = lock(&self.state);
        state.named_is_new = leader.is_some();
        state.named = leader.map(|leader| leader.address);
    }

    /// Sends what is offered until that fails.
    async fn send(&self, mut stream: impl AsyncWrite + Unpin) -> io::Error {
        let mut buffer = Vec::new();
        loop {
            let mut next = self.pop();
            if next.is_none() {
                poll_fn(|context| self.work.poll(context)).await;
                continue;
            }
            while let Some(proposal) = next {
                link::raw_frame(&proposal.0, &mut buffer);
                next = if buffer.len() < WRITE_BYTES { self.pop() } else { None };
            }
            if let Err(error) = link::write(&self.env, &mut stream, &buffer, PATIENCE).await {
                return error;
            }
            buffer.clear();
            buffer.shrink_to(2 * WRITE_BYTES);
        }
    }

    fn pop(&self) -> Option<Proposal> {
        let mut state = lock(&self.state);
        let proposal = state.queue.pop_front()?;
        state.queued_bytes -= proposal.0.len();
        if state.unheard_since.is_none() {
            state.unheard_since = Some(self.env.monotonic());
        }
        Some(proposal)
    }
}

/// Serves a link of proposals on a Keeper, until it ends: hands them to Raft, in order, and says if it does not lead.
///
/// # Errors
/// If the link broke, or Raft has stopped.
pub(crate) async fn serve<E: Env>(
    env: &E,
    keeper: &Keeper<E>,
    proposals: FrameReader<impl AsyncRead + Unpin + Send>,
    stream: impl AsyncWrite + Unpin + Send,
) -> io::Result<()> {
    let refusal = Refusal::default();
    // Beside each other: while Raft does not take a proposal, beats go on.
    let taking = pin!(take(keeper, proposals, &refusal));
    let answering = pin!(answer(env, keeper, stream, &refusal));
    match select(taking, answering).await {
        Either::Left((done, _)) | Either::Right((done, _)) => done,
    }
}

/// That this Keeper does not lead, and who does, until it is said.
#[derive(Debug, Default)]
struct Refusal {
    leader: Mutex<Option<Option<Member>>>,
    raised: Signal,
}

/// Takes proposals until the link ends.
async fn take<E: Env>(
    keeper: &Keeper<E>,
    mut proposals: FrameReader<impl AsyncRead + Unpin + Send>,
    refusal: &Refusal,
) -> io::Result<()> {
    let mut refused = false;
    while let Some(proposal) = proposals.next().await? {
        if refused {
            // The other side closes the link: if this one did, the answer might be lost with what is not read.
            continue;
        }
        let proposal = Proposal(Bytes::copy_from_slice(proposal));
        if let Proposed::NotLeader(leader) = keeper.propose(proposal).await.map_err(io::Error::other)? {
            refused = true;
            *lock(&refusal.leader) = Some(leader);
            refusal.raised.raise();
        }
    }
    Ok(())
}

/// Says what there is to say, until that fails.
async fn answer<E: Env>(
    env: &E,
    keeper: &Keeper<E>,
    mut stream: impl AsyncWrite + Unpin + Send,
    refusal: &Refusal,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut beat = pin!(env.sleep(BEAT));
    let mut changes = keeper.leader_changes().value();
    link::frame(&Answer::Beat, &mut buffer);
    loop {
        link::write(env, &mut stream, &buffer, PATIENCE).await?;
        buffer.clear();
        let mut changed = pin!(keeper.leader_changes().reached(changes + 1));
        let beats = poll_fn(|context| {
            let beats = beat.as_mut().poll(context).is_ready();
            let something = refusal.raised.poll(context).is_ready() | changed.as_mut().poll(context).is_ready();
            if beats || something { Poll::Ready(beats) } else { Poll::Pending }
        })
        .await;
        if beats {
            beat.set(env.sleep(BEAT));
            link::frame(&Answer::Beat, &mut buffer);
        }
        if let Some(leader) = lock(&refusal.leader).take() {
            link::frame(&Answer::NotLeader(leader), &mut buffer);
        }
        let now = keeper.leader_changes().value();
        if std::mem::replace(&mut changes, now) != now {
            link::frame(&Answer::LeaderChanged, &mut buffer);
        }
    }
}
