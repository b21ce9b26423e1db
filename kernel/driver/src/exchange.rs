//! What is published, on its way between nodes: each has one link with the primary. Who hears what is decided in the kernel
//! (`exchange.rs` there); here bytes go to and fro, and a link ends that is silent, or of a reign that is over.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::future::select;
use mneme_kernel::core::Core;
use mneme_kernel::exchange::{Frame, LinkError, Uplink};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::core_loop::lock_core;
use crate::env::{Env, Stream};
use crate::link::{self, FrameReader, Open};
use crate::node::{Messages, Node};

/// How long dialling the primary may take, and how long to wait before it is dialled again.
const DIAL: Duration = Duration::from_millis(300);
const AGAIN: Duration = Duration::from_millis(50);
/// How long the other side may take nothing: then it is told nothing any more, and opens another link if it lives.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often each side says that it is there, and how long the other one waits for that.
const BEAT: Duration = Duration::from_millis(150);
const SILENCE: Duration = Duration::from_millis(600);

/// Keeps the link with the primary, whoever that is, until the process ends.
pub(crate) async fn run<E: Env>(node: Arc<Node<E>>) {
    let from = node.env.random();
    loop {
        let uplink = lock_core(&node).await.uplink();
        if let Some(uplink) = uplink {
            let ended = match link::open(&node.env, &uplink.address, &Open::Exchange { from }, DIAL).await {
                Ok(link) => listen(&node, link, &uplink).await,
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::debug!(epoch = uplink.epoch.0, "what is published is not exchanged: {error}");
            }
        }
        node.env.sleep(AGAIN).await;
    }
}

/// Exchanges with the primary, as long as it is primary.
async fn listen<E: Env, S: Stream>(node: &Node<E>, link: S, uplink: &Uplink) -> io::Result<()> {
    let take = |core: &mut Core| core.take_for_primary(uplink);
    let hear = |core: &mut Core, frame: &[u8]| core.hear_primary(uplink, frame);
    converse(node, FrameReader::new(link), take, hear).await
}

/// Exchanges with a node that has opened a link, as long as this Core is primary.
///
/// # Errors
/// If the link broke, is to be closed, or what comes is nothing that is known.
pub(crate) async fn serve<E: Env, S: Stream>(node: &Node<E>, reader: FrameReader<S>, from: u64) -> io::Result<()> {
    let Some(listener) = lock_core(node).await.listen(from) else {
        return Err(io::Error::new(io::ErrorKind::NotConnected, "this Core is not primary"));
    };
    let take = |core: &mut Core| core.take_for_node(&listener);
    let hear = |core: &mut Core, frame: &[u8]| core.hear_node(&listener, frame, node.env.monotonic());
    let ended = converse(node, reader, take, hear).await;
    lock_core(node).await.listens_no_more(&listener);
    ended
}

/// Sends and receives at the same time, so that two sides that have much for each other do not wait for each other.
async fn converse<E: Env, S: Stream>(
    node: &Node<E>,
    reader: FrameReader<S>,
    take: impl FnMut(&mut Core) -> Result<Vec<Arc<[u8]>>, LinkError>,
    hear: impl FnMut(&mut Core, &[u8]) -> Result<(), LinkError>,
) -> io::Result<()> {
    let (reader, writer) = reader.split();
    let (sent, received) = (pin!(send(node, writer, take)), pin!(receive(node, reader, hear)));
    select(sent, received).await.factor_first().0
}

async fn send<E: Env>(
    node: &Node<E>,
    mut writer: impl AsyncWrite + Unpin,
    mut take: impl FnMut(&mut Core) -> Result<Vec<Arc<[u8]>>, LinkError>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut beat = pin!(node.env.sleep(Duration::ZERO));
    loop {
        let published = node.published.value();
        let frames = take(&mut *lock_core(node).await).map_err(io::Error::other)?;
        frames.iter().for_each(|frame| link::raw_frame(frame, &mut bytes));
        link::write(&node.env, &mut writer, &bytes, PATIENCE).await?;
        bytes.clear();
        let mut more = pin!(node.published.reached(published + 1));
        let beats = poll_fn(|context| {
            let beats = beat.as_mut().poll(context).is_ready();
            if beats | more.as_mut().poll(context).is_ready() { Poll::Ready(beats) } else { Poll::Pending }
        });
        if beats.await {
            link::frame(&Frame::Beat, &mut bytes);
            beat.set(node.env.sleep(BEAT));
        }
    }
}

async fn receive<E: Env>(
    node: &Node<E>,
    mut reader: FrameReader<impl AsyncRead + Unpin>,
    mut hear: impl FnMut(&mut Core, &[u8]) -> Result<(), LinkError>,
) -> io::Result<()> {
    while link::timeout(&node.env, SILENCE, reader.fill()).await? {
        let (heard, messages) = {
            let mut core = lock_core(node).await;
            (hear_all(&mut core, &mut reader, &mut hear), Messages::take(&mut core))
        };
        node.deliver(&messages);
        heard?;
    }
    Ok(())
}

/// Takes every frame that has come in whole.
fn hear_all<R: AsyncRead + Unpin>(
    core: &mut Core,
    reader: &mut FrameReader<R>,
    mut hear: impl FnMut(&mut Core, &[u8]) -> Result<(), LinkError>,
) -> io::Result<()> {
    while let Some(frame) = reader.buffered()? {
        hear(core, frame).map_err(io::Error::other)?;
    }
    Ok(())
}
