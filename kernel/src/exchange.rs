//! How messages that are published come to the other nodes: each node has one link with the primary, by which it sends what
//! its own clients publish, and hears what those of all others do. The primary passes on what comes, once by each link.
//!
//! Nothing of it goes through the log, and nothing is sent twice: what is on a link that breaks, or on its way when another
//! Core becomes primary, is lost for those behind that link. A node listens by one link at a time, and knows the primary by
//! its epoch: so what comes from one publisher comes in order, whoever passes it on.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bincode::{Decode, Encode};

use crate::channels::Message;
use crate::codec::{self, CodecError};
use crate::core::Core;
use crate::events::Events;
use crate::ids::Epoch;
use crate::limits;
use crate::time::Monotonic;

/// What goes over such a link, either way. Grows only at its end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Frame {
    Message(Message),
    /// To the primary: which keyspace notifications this node's operator wants.
    Wants(Events),
    /// Nothing, so that the other side knows that the link holds.
    Beat,
}

/// What a node has for the others, and who they are.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// For the primary, whoever that will be.
    outbox: Queue,
    /// Which notifications it was told that are wanted here.
    told: Events,
    /// This being the primary: for the nodes that have a link with it.
    nodes: BTreeMap<u64, Node>,
    /// Links that were ever opened.
    links: u64,
    /// Which notifications the others want.
    wanted: Events,
    /// There is something that a link does not know of.
    is_fresh: bool,
    /// Messages that were not sent to a node: it was too slow, or there was no primary for too long.
    pub dropped: u64,
}

/// A node that listens to this primary.
#[derive(Debug, Default)]
struct Node {
    /// Its newest link.
    link: u64,
    queue: Queue,
    wants: Events,
}

/// Encoded messages that wait to be sent, with the time when they were published.
#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<(Monotonic, Arc<[u8]>)>,
    bytes: usize,
}

impl Queue {
    /// Whether there was room.
    fn push(&mut self, message: Arc<[u8]>, now: Monotonic) -> bool {
        let has_room = self.bytes + message.len() <= limits::EXCHANGE_BYTES;
        if has_room {
            self.bytes += message.len();
            self.messages.push_back((now, message));
        }
        has_room
    }

    fn take(&mut self) -> VecDeque<(Monotonic, Arc<[u8]>)> {
        core::mem::take(self).messages
    }

    /// Forgets what has waited too long; how much that was.
    fn expire(&mut self, now: Monotonic, patience: Duration) -> u64 {
        let fresh = self.messages.partition_point(|(since, _)| now - *since >= patience);
        self.messages.drain(..fresh).for_each(|(_, message)| self.bytes -= message.len());
        fresh as u64
    }
}

impl Exchange {
    /// Sends a message of this node to the others, or keeps it for a primary.
    pub(crate) fn send(&mut self, message: &Message, is_primary: bool, now: Monotonic) {
        if is_primary && self.nodes.is_empty() {
            return;
        }
        let message = encode(&Frame::Message(message.clone())).into();
        if is_primary {
            self.pass_on(&message, None, now);
        } else {
            self.dropped += u64::from(!self.outbox.push(message, now));
            self.is_fresh = true;
        }
    }

    /// Sends a message to all nodes but the one that it came from.
    fn pass_on(&mut self, message: &Arc<[u8]>, from: Option<u64>, now: Monotonic) {
        for (_, node) in self.nodes.iter_mut().filter(|(node, _)| Some(**node) != from) {
            self.dropped += u64::from(!node.queue.push(message.clone(), now));
            self.is_fresh = true;
        }
    }

    /// This Core has become primary: what it had for another one is for whoever listens to it.
    pub(crate) fn lead(&mut self) {
        for (since, message) in self.outbox.take() {
            self.pass_on(&message, None, since);
        }
    }

    /// This Core is primary no more.
    pub(crate) fn end_reign(&mut self) {
        self.nodes.clear();
        self.count_wants();
        self.is_fresh = true;
    }

    /// Links are to look whether there is something to send.
    pub(crate) fn refresh(&mut self) {
        self.is_fresh = true;
    }

    /// Which notifications any other node wants.
    #[inline]
    pub(crate) fn wanted(&self) -> Events {
        self.wanted
    }

    fn count_wants(&mut self) {
        self.wanted = self.nodes.values().fold(Events::NONE, |all, node| all | node.wants);
    }

    pub(crate) fn expire(&mut self, now: Monotonic, patience: Duration) {
        self.dropped += self.outbox.expire(now, patience);
    }

    fn node(&mut self, link: &Listener) -> Option<&mut Node> {
        self.nodes.get_mut(&link.node).filter(|node| node.link == link.link)
    }
}

fn encode(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(frame, &mut bytes);
    bytes
}

/// A link with the primary, at the node that has opened it.
#[derive(Debug)]
pub struct Uplink {
    pub epoch: Epoch,
    /// Where the primary is.
    pub address: String,
}

/// The same link at the primary.
#[derive(Debug)]
pub struct Listener {
    node: u64,
    link: u64,
    epoch: Epoch,
}

/// The link's other end is not what it was: another Core is primary, or the node has opened another link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("another Core is primary, or there is another link")]
    Over,
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// At the node that has opened the link.
impl Core {
    /// The link that this node should have: with the primary, if that is another one.
    pub fn uplink(&mut self) -> Option<Uplink> {
        let (_, address) = self.primary().filter(|_| self.is_hot() && !self.is_primary())?;
        let uplink = Uplink { epoch: self.epoch(), address: address.into() };
        self.exchange.told = Events::NONE;
        Some(uplink)
    }

    fn check_uplink(&self, link: &Uplink) -> Result<(), LinkError> {
        let is_primary = self.primary().is_some() && !self.is_primary() && self.is_hot();
        if is_primary && self.epoch() == link.epoch { Ok(()) } else { Err(LinkError::Over) }
    }

    /// What is to be sent to the primary now, as frames' contents. What was taken is not sent again.
    ///
    /// # Errors
    /// If the link is to be closed.
    pub fn take_for_primary(&mut self, link: &Uplink) -> Result<Vec<Arc<[u8]>>, LinkError> {
        self.check_uplink(link)?;
        let mut frames = Vec::new();
        if self.exchange.told != self.events {
            self.exchange.told = self.events;
            frames.push(encode(&Frame::Wants(self.events)).into());
        }
        frames.extend(self.exchange.outbox.take().into_iter().map(|(_, message)| message));
        Ok(frames)
    }

    /// Takes what the primary has passed on.
    ///
    /// # Errors
    /// If the link is to be closed.
    pub fn hear_primary(&mut self, link: &Uplink, frame: &[u8]) -> Result<(), LinkError> {
        self.check_uplink(link)?;
        if let Frame::Message(message) = codec::decode_owned(frame)? {
            self.hear(message);
        }
        Ok(())
    }
}

/// At the primary.
impl Core {
    /// A node, known by a number of its own, has opened a link; an older one of it counts no more. `None`: this Core is not
    /// primary.
    pub fn listen(&mut self, node: u64) -> Option<Listener> {
        if !self.is_primary() {
            return None;
        }
        self.exchange.links += 1;
        let link = self.exchange.links;
        self.exchange.nodes.insert(node, Node { link, ..Node::default() });
        self.exchange.count_wants();
        Some(Listener { node, link, epoch: self.epoch() })
    }

    fn listening(&mut self, link: &Listener) -> Result<&mut Node, LinkError> {
        let is_primary = self.is_primary() && self.epoch() == link.epoch;
        self.exchange.node(link).filter(|_| is_primary).ok_or(LinkError::Over)
    }

    /// What is to be sent to a node now, as frames' contents. What was taken is not sent again.
    ///
    /// # Errors
    /// If the link is to be closed.
    pub fn take_for_node(&mut self, link: &Listener) -> Result<Vec<Arc<[u8]>>, LinkError> {
        Ok(self.listening(link)?.queue.take().into_iter().map(|(_, message)| message).collect())
    }

    /// Takes what a node has published, and passes it on.
    ///
    /// # Errors
    /// If the link is to be closed.
    pub fn hear_node(&mut self, link: &Listener, frame: &[u8], now: Monotonic) -> Result<(), LinkError> {
        let node = self.listening(link)?;
        match codec::decode_owned(frame)? {
            Frame::Message(message) => {
                self.exchange.pass_on(&frame.into(), Some(link.node), now);
                self.hear(message);
            }
            Frame::Wants(events) => {
                node.wants = events;
                self.exchange.count_wants();
            }
            Frame::Beat => {}
        }
        Ok(())
    }

    /// A link is gone.
    pub fn listens_no_more(&mut self, link: &Listener) {
        if self.exchange.node(link).is_some() {
            self.exchange.nodes.remove(&link.node);
            self.exchange.count_wants();
        }
    }

    /// Whether there is something to send since this was asked last: links are to look.
    pub fn take_published(&mut self) -> bool {
        core::mem::take(&mut self.exchange.is_fresh)
    }

    /// Messages that were not sent to some other node.
    pub fn messages_dropped(&self) -> u64 {
        self.exchange.dropped
    }
}
