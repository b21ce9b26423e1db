//! Forwarding over links: what this Core has the primary execute, and what it executes for others. Both sides decide in
//! the kernel (`forward.rs`, `proxy.rs` there); here bytes go to and fro.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use mneme_kernel::forward::{FromPrimary, Proxies};
use mneme_kernel::ids::{Epoch, Incarnation};
use mneme_kernel::probe::Probe;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::env::{Env, Stream};
use crate::link::{self, FrameReader, Open};
use crate::node::{Messages, Node, log_lines};
use crate::signal::Signal;
use crate::sync::lock;
use crate::watermark::Reached;

/// How long dialling the primary may take: it may be cut off, and another one be primary soon.
const DIAL: Duration = Duration::from_millis(300);
/// How long writing to it may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait before the primary is dialled again.
const AGAIN: Duration = Duration::from_millis(25);
/// How long a primary that is none any more may take to answer what it was sent: it refuses what it has not executed.
const FAREWELL: Duration = Duration::from_millis(100);
/// How often a primary says that it is there, and how long an origin waits for that before it takes the link for lost.
const BEAT: Duration = Duration::from_millis(150);
const SILENCE: Duration = Duration::from_millis(600);
/// How often the time is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes between the two ends of a link within one process.
const LOOPBACK: usize = 1 << 20;

/// The newest link of each origin's life: what came by an older one and was not executed is discarded (PROTOCOL rule 8).
#[derive(Debug, Default)]
pub(crate) struct Origins(Mutex<BTreeMap<Incarnation, u64>>);

impl Origins {
    fn open(&self, origin: Incarnation) -> u64 {
        let mut links = lock(&self.0);
        let link = links.entry(origin).or_default();
        *link += 1;
        *link
    }

    fn is_newest(&self, origin: Incarnation, link: u64) -> bool {
        lock(&self.0).get(&origin) == Some(&link)
    }
}

/// The primary, as this Core knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Primary {
    epoch: Epoch,
    /// `None`: this Core itself.
    address: Option<String>,
    /// The life under which this Core forwards.
    from: Incarnation,
}

/// Sends commands to the primary, whoever that is, until the process ends.
pub(crate) async fn run<E: Env>(node: Arc<Node<E>>) {
    let mut said = None;
    loop {
        let Some(primary) = wanted(&node) else {
            wait(&node, LOOK).await;
            continue;
        };
        let from = primary.from;
        let ended = match &primary.address {
            Some(address) => match link::open(&node.env, address, &Open::Forward { from }, DIAL).await {
                Ok(link) => {
                    said = None;
                    converse(&node, link, &primary).await
                }
                Err(error) => Err(error),
            },
            None => {
                // What was meant for another primary is executed here, in the same way.
                node.env.probes().hit(Probe::ForwardedToSelf);
                let (near, far) = tokio::io::duplex(LOOPBACK);
                let serving = node.clone();
                node.env.spawn("forward-here", async move {
                    let _ = serve(serving, FrameReader::new(far), from).await;
                });
                converse(&node, near, &primary).await
            }
        };
        lose(&node);
        if let Err(error) = ended {
            if said.as_ref() != Some(&primary) {
                tracing::info!(epoch = primary.epoch.0, "the link to the primary has ended: {error}");
                said = Some(primary);
            }
            wait(&node, AGAIN).await;
        }
    }
}

/// Whom there is something to send to.
fn wanted<E: Env>(node: &Node<E>) -> Option<Primary> {
    node.with_core(|core| {
        if !core.has_unsent() || !core.is_hot() {
            return None;
        }
        let from = core.origin_life()?;
        let address = if core.is_primary() { None } else { Some(core.primary()?.1.to_owned()) };
        Some(Primary { epoch: core.epoch(), address, from })
    })
}

/// Waits until there may be something to send, for a while at most.
async fn wait<E: Env>(node: &Node<E>, at_most: Duration) {
    let mut sleep = pin!(node.env.sleep(at_most));
    poll_fn(|context| {
        let woken = node.forwarding.poll(context).is_ready() | sleep.as_mut().poll(context).is_ready();
        if woken { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// The link is gone: what it had is asked again over the next.
fn lose<E: Env>(node: &Node<E>) {
    let now = node.env.monotonic();
    node.with_core(|core| core.forward_link_lost(now));
}

/// Sends commands over one link, and takes the replies, as long as its primary is primary and the link holds.
async fn converse<E: Env, S: Stream + 'static>(node: &Arc<Node<E>>, stream: S, primary: &Primary) -> io::Result<()> {
    let (read, mut write) = tokio::io::split(stream);
    let ended = Arc::new(Ended::default());
    let _over = Over(ended.clone());
    let (reading, at_end) = (node.clone(), ended.clone());
    node.env.spawn("forward-replies", async move {
        let read = receive(&reading, FrameReader::new(read), &at_end).await;
        at_end.because(read);
    });
    let mut bytes = Vec::new();
    let mut deposed = None;
    loop {
        if let Some(why) = ended.take() {
            return why;
        }
        let now = node.env.monotonic();
        let (is_primary, awaits, frames, woken) = node.with_core(|core| {
            let is_primary = core.epoch() == primary.epoch
                && core.origin_life() == Some(primary.from)
                && core.primary().is_some()
                && core.is_primary() == primary.address.is_none();
            let frames = if is_primary { core.take_forwarded() } else { Vec::new() };
            (is_primary, core.awaits_answers(), frames, core.clients.take_woken())
        });
        node.doors.knock(&woken);
        if !is_primary && (!awaits || now - *deposed.get_or_insert(now) >= FAREWELL) {
            return Ok(());
        }
        if frames.is_empty() {
            let mut sleep = pin!(node.env.sleep(if is_primary { LOOK } else { FAREWELL / 10 }));
            poll_fn(|context| {
                let woken = node.forwarding.poll(context).is_ready()
                    | ended.signal.poll(context).is_ready()
                    | sleep.as_mut().poll(context).is_ready();
                if woken { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            continue;
        }
        bytes.clear();
        frames.iter().for_each(|frame| link::raw_frame(frame, &mut bytes));
        link::write(&node.env, &mut write, &bytes, PATIENCE).await?;
    }
}

/// That the reading half of a link has ended, and how.
#[derive(Debug, Default)]
struct Ended {
    signal: Signal,
    why: Mutex<Option<io::Result<()>>>,
    /// Nothing more is sent over it.
    is_over: AtomicBool,
}

/// Ends the reading half of a link with its writing half.
struct Over(Arc<Ended>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

impl Ended {
    fn because(&self, why: io::Result<()>) {
        *lock(&self.why) = Some(why);
        self.signal.raise();
    }

    fn take(&self) -> Option<io::Result<()>> {
        lock(&self.why).take().map(|why| why.and(Err(io::ErrorKind::ConnectionAborted.into())))
    }
}

/// Takes the primary's replies until the link ends. What comes later is nobody's: the next primary has been asked the same by
/// then, and the former one, which did not know of it, may still say that it has executed nothing.
async fn receive<E: Env, R: AsyncRead + Unpin>(
    node: &Node<E>,
    mut reader: FrameReader<R>,
    ended: &Ended,
) -> io::Result<()> {
    while link::timeout(&node.env, SILENCE, reader.fill()).await? {
        let (woken, unsent) = node.with_core(|core| {
            if ended.is_over.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            while let Some(frame) = reader.buffered()? {
                core.forwarded_answer(frame).map_err(io::Error::other)?;
            }
            Ok::<_, io::Error>((core.clients.take_woken(), core.has_unsent()))
        })?;
        node.doors.knock(&woken);
        if unsent {
            node.forwarding.raise();
        }
    }
    Ok(())
}

/// Executes the commands of another Core until its link ends.
///
/// # Errors
/// If the link breaks, or what comes is nothing that is known.
pub(crate) async fn serve<E: Env, S: Stream>(
    node: Arc<Node<E>>,
    reader: FrameReader<S>,
    from: Incarnation,
) -> io::Result<()> {
    let link = node.origins.open(from);
    let mut proxies = Proxies::new(from);
    let ended = execute(&node, reader, &mut proxies, || node.origins.is_newest(from, link)).await;
    node.with_core(|core| core.close_proxies(&mut proxies));
    ended
}

async fn execute<E: Env, S: AsyncRead + AsyncWrite + Unpin>(
    node: &Arc<Node<E>>,
    mut reader: FrameReader<S>,
    proxies: &mut Proxies,
    is_newest: impl Fn() -> bool,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut beat = pin!(node.env.sleep(BEAT));
    let mut beats = true;
    loop {
        let spreads = node.spreads.value();
        let (open, messages, counts, lines) = node.with_core(|core| {
            if !is_newest() {
                node.env.probes().hit(Probe::StaleLink);
                return Err(io::Error::other("its origin has opened another link"));
            }
            let now = node.now();
            core.run_blocked(now, proxies);
            while let Some(frame) = reader.buffered()? {
                core.run_forwarded(now, proxies, frame).map_err(io::Error::other)?;
            }
            if proxies.is_flooded() {
                return Err(io::Error::other("its origin sends more than it may before it has replies"));
            }
            core.settle_forwarded(proxies, node.env.monotonic());
            let counts = core.awaits_spread(now.monotonic);
            Ok((core.open_batch(), Messages::take(core), counts, core.take_script_lines()))
        })?;
        log_lines(&lines);
        node.deliver(&messages);
        node.announce(open);
        if counts {
            node.spreading.raise();
        }
        let marks = node.marks();
        node.voids.look(|voids| proxies.advance(marks, voids, node.env.monotonic()));
        bytes.clear();
        if std::mem::take(&mut beats) {
            beat.set(node.env.sleep(BEAT));
            link::frame(&FromPrimary::Beat, &mut bytes);
        }
        proxies.take_ready().iter().for_each(|answer| link::frame(answer, &mut bytes));
        if !bytes.is_empty() {
            link::write(&node.env, reader.stream(), &bytes, PATIENCE).await?;
        }
        let [accepted, everywhere] = proxies.waits_for(marks);
        let accepted = if proxies.is_blocked() { Some(marks.accepted.next()) } else { accepted };
        let waits = [
            accepted.map(|seq| node.accepted.reached(seq.0)),
            everywhere.map(|seq| node.everywhere.reached(seq.0 + 1)),
            // A blocked one may count.
            proxies.is_blocked().then(|| node.spreads.reached(spreads + 1)),
        ];
        let mut moved: Vec<_> = waits.into_iter().flatten().collect();
        let mut filled = pin!(reader.fill());
        let more = poll_fn(|context| {
            beats = beat.as_mut().poll(context).is_ready();
            let poll = |moved: &mut Reached<'_>| Pin::new(moved).poll(context).is_ready();
            let moved = moved.iter_mut().map(poll).fold(false, |any, moved| any | moved);
            if beats | moved { Poll::Ready(Ok(true)) } else { filled.as_mut().poll(context) }
        })
        .await?;
        if !more {
            return Ok(());
        }
    }
}
