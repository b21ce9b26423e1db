//! Links between nodes: frames on an authenticated stream. Whoever dials says first what the link is for.
//!
//! A link serves one purpose, so that none queues behind another: Raft's heartbeats do not wait for a snapshot.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bincode::{Decode, Encode};
use mneme_kernel::codec;
use mneme_kernel::ids::{Epoch, Incarnation};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::env::Env;

/// Bytes of a frame; a larger one ends the link. Entries are the largest: see [`mneme_kernel::limits::MAX_ENTRY`].
const MAX_FRAME: usize = mneme_kernel::limits::MAX_ENTRY + (1 << 20);
/// Bytes before a frame's content: its length, little-endian.
const HEAD: usize = 4;
/// Bytes that a reader takes at once at least.
const READ: usize = 64 << 10;

/// The first frame of a link: what it is for. Grows only at its end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Open {
    /// Raft between two Keepers, by their ids: requests one way, answers the other, in order.
    Raft { from: u64, to: u64 },
    /// Entries for the Keeper, which hands them to Raft if it leads. There are no answers.
    Propose,
    /// Committed entries for a Core or a Replica that has the first `known` of them. Of batches of `own` epoch only the
    /// heads are wanted: the subscriber made them.
    Feed { known: u64, own: Option<Epoch> },
    /// Commands for the primary from a Core of this incarnation.
    Forward { from: Incarnation },
    /// Questions with an answer each, in order: see [`crate::ask`].
    Ask,
}

/// Reads frames from a stream.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    buffer: Vec<u8>,
    consumed: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(stream: R) -> Self {
        Self { stream, buffer: Vec::new(), consumed: 0 }
    }

    /// The stream, to write to.
    pub fn stream(&mut self) -> &mut R {
        &mut self.stream
    }

    /// The next frame's content; `None` at the end of the stream. Whoever drops it unfinished loses nothing.
    ///
    /// # Errors
    /// If the stream fails, ends inside a frame, or a frame is too large.
    pub async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        while self.whole()?.is_none() {
            if !self.fill().await? {
                return Ok(None);
            }
        }
        self.buffered()
    }

    /// The next frame's content, if all of it has arrived already.
    ///
    /// # Errors
    /// If it is too large.
    pub fn buffered(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(len) = self.whole()? else { return Ok(None) };
        let start = self.consumed + HEAD;
        self.consumed = start + len;
        Ok(Some(&self.buffer[start..start + len]))
    }

    /// Takes what has arrived, at least something; whether there was anything before the end of the stream. Whoever drops
    /// it unfinished loses nothing.
    ///
    /// # Errors
    /// If the stream fails, or ends inside a frame.
    pub async fn fill(&mut self) -> io::Result<bool> {
        if self.consumed > 0 {
            self.buffer.drain(..self.consumed);
            self.consumed = 0;
            self.buffer.shrink_to(READ);
        }
        self.buffer.reserve(READ);
        if self.stream.read_buf(&mut self.buffer).await? > 0 {
            return Ok(true);
        }
        if self.buffer.is_empty() { Ok(false) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// The length of the next frame's content, if all of it has arrived.
    fn whole(&self) -> io::Result<Option<usize>> {
        let rest = &self.buffer[self.consumed..];
        let Some((head, body)) = rest.split_first_chunk::<HEAD>() else { return Ok(None) };
        let len = u32::from_le_bytes(*head) as usize;
        if len > MAX_FRAME {
            return Err(invalid(format!("a frame of {len} bytes")));
        }
        Ok((body.len() >= len).then_some(len))
    }

    /// The next frame, decoded.
    ///
    /// # Errors
    /// As [`FrameReader::next`], or if it does not decode.
    pub async fn message<T: Decode<()>>(&mut self) -> io::Result<Option<T>> {
        match self.next().await? {
            Some(frame) => decode(frame).map(Some),
            None => Ok(None),
        }
    }
}

/// Decodes a frame's content.
///
/// # Errors
/// If it is not a value of that type.
pub fn decode<T: Decode<()>>(frame: &[u8]) -> io::Result<T> {
    codec::decode_owned(frame).map_err(|error| invalid(error.to_string()))
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Appends a frame with this message to bytes that will be written.
pub fn frame(message: &impl Encode, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    codec::encode(message, out);
    let len = (out.len() - start - HEAD) as u32;
    out[start..start + HEAD].copy_from_slice(&len.to_le_bytes());
}

/// Appends a frame with content that is encoded already.
pub fn frame_of(content: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(content);
}

/// Writes bytes and flushes them: TLS and the simulation keep them otherwise.
///
/// # Errors
/// If the stream fails, or does not take them in time.
pub async fn write<E: Env, W: AsyncWrite + Unpin>(
    env: &E,
    stream: &mut W,
    bytes: &[u8],
    within: Duration,
) -> io::Result<()> {
    timeout(env, within, async {
        stream.write_all(bytes).await?;
        stream.flush().await
    })
    .await
}

/// Writes a message and flushes it: TLS and the simulation keep it otherwise.
///
/// # Errors
/// If the stream fails.
pub async fn send<W: AsyncWrite + Unpin>(stream: &mut W, message: &impl Encode) -> io::Result<()> {
    let mut bytes = Vec::new();
    frame(message, &mut bytes);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// Dials a node and says what the link is for.
///
/// # Errors
/// If it cannot be reached within the time.
pub async fn open<E: Env>(env: &E, address: &str, purpose: &Open, within: Duration) -> io::Result<E::Link> {
    timeout(env, within, async {
        let mut link = env.dial(address).await?;
        send(&mut link, purpose).await?;
        Ok(link)
    })
    .await
}

/// Waits for something no longer than that.
///
/// # Errors
/// Its own, or `TimedOut`.
pub async fn timeout<E: Env, T>(env: &E, within: Duration, task: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let mut task = pin!(task);
    let mut sleep = pin!(env.sleep(within));
    poll_fn(|context| match task.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending => sleep.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into())),
    })
    .await
}
