//! A client connection inside the process. It says who it is and is served as one from outside is: what a user may not see
//! by commands, the console cannot show.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use mneme_driver::connection;
use mneme_driver::env::Source;
use mneme_driver::node::Node;
use mneme_kernel::resp::{Value, encode_command};
use mneme_kernel::session::{Peer, Port};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};

use super::door::Caller;
use super::outline::Outline;
use crate::env::RealEnv;

/// A command's words.
pub(super) type Words = Vec<Vec<u8>>;

/// Bytes on the way in either direction.
const PIPE: usize = 64 << 10;
/// How long an answer may take: longer than a command waits for a primary, and then for its level.
const PATIENCE: Duration = Duration::from_secs(12);
/// The most bytes of the replies to one request of the browser. What is longer is for a program, not for a page.
const MAX_REPLIES: usize = 8 << 20;

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Not in time. The conversation goes on.
    Late,
    /// The node has ended the conversation.
    Ended,
}

/// A conversation with the node.
#[derive(Debug)]
pub(super) struct Conversation {
    from: ReadHalf<DuplexStream>,
    to: WriteHalf<DuplexStream>,
    /// What is still to be sent.
    output: Vec<u8>,
    input: Vec<u8>,
    /// The reply that is arriving, and how much of the input is its.
    outline: Outline,
    seen: usize,
    /// Its beginning was dropped.
    is_too_long: bool,
    /// Commands whose replies have not come, also those that nobody waits for any more.
    awaited: usize,
}

impl Conversation {
    /// Connects, and says who it is; the node's error if that is refused.
    pub(super) async fn open(
        node: &Arc<Node<RealEnv>>,
        caller: &Caller,
        user: &str,
        password: &str,
    ) -> Result<Result<Self, String>, Silence> {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let peer = Peer { address: caller.peer.to_string(), local_address: caller.local.to_string() };
        let source = Source::Address(caller.peer.ip());
        tokio::spawn(connection::serve(node.clone(), theirs, Port::Main, peer, source));
        let (from, to) = tokio::io::split(ours);
        let mut conversation = Self {
            from,
            to,
            output: Vec::new(),
            input: Vec::new(),
            outline: Outline::default(),
            seen: 0,
            is_too_long: false,
            awaited: 0,
        };
        let hello = ["HELLO", "3", "AUTH", user, password, "SETNAME", "console"].map(|word| word.as_bytes().to_vec());
        match conversation.ask(&[hello.into()]).await?.pop() {
            Some(Value::Error(why)) => Ok(Err(why)),
            _ => Ok(Ok(conversation)),
        }
    }

    /// Has its commands answered by what this node has, whether or not there is a primary.
    pub(super) async fn be_eventual(&mut self) -> Result<(), Silence> {
        let command = ["CLIENT", "CONSISTENCY", "EVENTUAL"].map(|word| word.as_bytes().to_vec());
        self.ask(&[command.into()]).await.map(drop)
    }

    /// The replies to these commands. May be given up at any time; what then comes too late is passed over.
    pub(super) async fn ask(&mut self, commands: &[Words]) -> Result<Vec<Value>, Silence> {
        let stale = self.awaited;
        commands.iter().for_each(|command| encode_command(command, &mut self.output));
        self.awaited += commands.len();
        let answered = tokio::time::timeout(PATIENCE, async {
            for _ in 0..stale {
                self.reply(0).await?;
            }
            let (mut replies, mut room) = (Vec::with_capacity(commands.len()), MAX_REPLIES);
            for _ in commands {
                let (reply, bytes) = self.reply(room).await?;
                room -= bytes;
                replies.push(reply);
            }
            Ok::<_, io::Error>(replies)
        });
        match answered.await {
            Ok(Ok(replies)) => Ok(replies),
            Ok(Err(error)) => {
                tracing::debug!("a session of the console ended: {error}");
                Err(Silence::Ended)
            }
            Err(_) => Err(Silence::Late),
        }
    }

    /// The next reply with the bytes that it takes; an error in its place if it is longer than there is room for. Nothing
    /// is lost if it is given up.
    async fn reply(&mut self, room: usize) -> io::Result<(Value, usize)> {
        loop {
            let (used, kind) = self.outline.take(&self.input[self.seen..]);
            self.seen += used;
            let Some(kind) = kind else {
                if self.is_too_long || self.seen > room {
                    self.is_too_long = true;
                    self.input.clear();
                    self.seen = 0;
                }
                self.exchange().await?;
                continue;
            };
            let whole: Vec<u8> = self.input.drain(..mem::take(&mut self.seen)).collect();
            let is_too_long = mem::take(&mut self.is_too_long) || whole.len() > room;
            // What the node tells unasked is no reply.
            if kind != b'>' {
                self.awaited -= 1;
                return if is_too_long { Ok((too_long(), 0)) } else { Ok((decode(&whole)?, whole.len())) };
            }
        }
    }

    /// Sends and receives what can be sent and received, at least something.
    async fn exchange(&mut self) -> io::Result<()> {
        tokio::select! {
            sent = self.to.write(&self.output), if !self.output.is_empty() => {
                self.output.drain(..sent?);
            }
            received = self.from.read_buf(&mut self.input) => {
                if received? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        Ok(())
    }
}

fn decode(whole: &[u8]) -> io::Result<Value> {
    let decoded = Value::decode(whole).map_err(io::Error::other)?;
    decoded.map(|(value, _)| value).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn too_long() -> Value {
    Value::Error(format!("ERR the reply is longer than the {} MiB that a page shows: ask for less", MAX_REPLIES >> 20))
}
