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
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::env::Env;

/// Bytes of a frame; a larger one ends the link. Entries are the largest: see [`mneme_kernel::limits::MAX_ENTRY`].
const MAX_FRAME: usize = mneme_kernel::limits::MAX_ENTRY + (1 << 20);
/// Bytes before a frame's content: its length, little-endian.
const HEAD: usize = 4;
/// Bytes that a reader makes room for at least, and at most before they have come: a length is only a claim.
const READ: usize = 64 << 10;
const READ_AHEAD: usize = 1 << 20;
/// Bytes of memory that a reader keeps for the next frames.
const KEPT: usize = 2 << 20;

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
    /// What is published, either way, between the primary and a node that is known by this number of its own: see
    /// [`crate::exchange`].
    Exchange { from: u64 },
}

/// Reads frames from a stream.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    buffer: Vec<u8>,
    consumed: usize,
    /// Bytes that have come since the beginning.
    received: u64,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(stream: R) -> Self {
        Self { stream, buffer: Vec::new(), consumed: 0, received: 0 }
    }

    /// The next frame's content; `None` at the end of the stream. Nothing is lost if it is given up.
    ///
    /// # Errors
    /// If the stream fails, ends inside a frame, or a frame is too large.
    pub async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        Ok(if self.arrived().await? { self.take() } else { None })
    }

    /// As [`FrameReader::next`], if something comes at least that often: a large frame may take longer. A call that was
    /// given up begins to wait anew.
    ///
    /// # Errors
    /// As there, and `TimedOut`.
    pub async fn next_within<E: Env>(&mut self, env: &E, silence: Duration) -> io::Result<Option<&[u8]>> {
        loop {
            let before = self.received;
            match timeout(env, silence, self.arrived()).await {
                Ok(true) => return Ok(self.take()),
                Ok(false) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::TimedOut && self.received > before => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until a frame is there in whole; `false` at the end of the stream.
    async fn arrived(&mut self) -> io::Result<bool> {
        while self.whole()?.is_none() {
            if !self.fill().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The next frame's content, if all of it has arrived already.
    ///
    /// # Errors
    /// If it is too large.
    pub fn buffered(&mut self) -> io::Result<Option<&[u8]>> {
        Ok(if self.whole()?.is_some() { self.take() } else { None })
    }

    /// Takes what has arrived, at least something; whether there was anything before the end of the stream. Nothing is
    /// lost if it is given up.
    ///
    /// # Errors
    /// If the stream fails, ends inside a frame, or a frame is too large.
    pub async fn fill(&mut self) -> io::Result<bool> {
        let missing = self.missing()?;
        if self.consumed > 0 {
            self.buffer.drain(..self.consumed);
            self.consumed = 0;
            if self.buffer.capacity() > KEPT {
                self.buffer.shrink_to(KEPT);
            }
        }
        self.buffer.reserve(missing.clamp(READ, READ_AHEAD));
        let read = self.stream.read_buf(&mut self.buffer).await?;
        self.received += read as u64;
        if read > 0 || self.buffer.is_empty() { Ok(read > 0) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// The length of the next frame's content, if all of it has arrived.
    fn whole(&self) -> io::Result<Option<usize>> {
        Ok(self.head()?.filter(|(len, arrived)| arrived >= len).map(|(len, _)| len))
    }

    /// Bytes that the next frame is known to lack.
    fn missing(&self) -> io::Result<usize> {
        Ok(self.head()?.map_or(0, |(len, arrived)| len.saturating_sub(arrived)))
    }

    /// The length of the next frame's content, and how much of it has arrived.
    fn head(&self) -> io::Result<Option<(usize, usize)>> {
        let Some((head, body)) = self.buffer[self.consumed..].split_first_chunk::<HEAD>() else { return Ok(None) };
        let len = u32::from_le_bytes(*head) as usize;
        if len > MAX_FRAME {
            return Err(invalid(format!("a frame of {len} bytes")));
        }
        Ok(Some((len, body.len())))
    }

    /// Takes the frame that has arrived.
    fn take(&mut self) -> Option<&[u8]> {
        let (head, body) = self.buffer[self.consumed..].split_first_chunk::<HEAD>()?;
        let len = u32::from_le_bytes(*head) as usize;
        self.consumed += HEAD + len;
        body.get(..len)
    }

    /// The reader and the other half of its stream.
    pub fn split(self) -> (FrameReader<ReadHalf<R>>, WriteHalf<R>)
    where
        R: AsyncWrite,
    {
        let Self { stream, buffer, consumed, received } = self;
        let (stream, write) = tokio::io::split(stream);
        (FrameReader { stream, buffer, consumed, received }, write)
    }

    /// The stream, to write to it.
    pub fn stream(&mut self) -> &mut R {
        &mut self.stream
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

/// Appends a frame with this content.
pub fn raw_frame(content: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(content);
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

/// Writes everything and flushes it, however long that takes if the other side goes on taking some.
///
/// # Errors
/// If the stream fails, or nothing was taken for so long.
pub async fn write<E: Env, W: AsyncWrite + Unpin>(
    env: &E,
    stream: &mut W,
    mut bytes: &[u8],
    patience: Duration,
) -> io::Result<()> {
    if bytes.is_empty() {
        // A flush of nothing looks like the stream's end to the simulation.
        return Ok(());
    }
    while !bytes.is_empty() {
        match timeout(env, patience, stream.write(bytes)).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    timeout(env, patience, stream.flush()).await
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
