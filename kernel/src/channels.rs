//! Publish and subscribe on one node: who has subscribed to what, and who hears a message. How messages come to other nodes
//! stands in [`crate::exchange`].

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bincode::{Decode, Encode};

use crate::clients::Slot;
use crate::commands::keyspace;
use crate::core::Core;
use crate::events;
use crate::glob;
use crate::mutant::Mutant;
use crate::permits::Permits;
use crate::resp::Reply;
use crate::session::Session;
use crate::time::Monotonic;
use crate::tracking::Mode;

/// What somebody has published.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Message {
    pub channel: Vec<u8>,
    pub text: Vec<u8>,
    /// By `SPUBLISH`: only who has subscribed by `SSUBSCRIBE` hears it, and no pattern matches.
    pub is_sharded: bool,
}

/// What one subscribes to. As in Redis, a channel and a shard channel of the same name are two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Channel,
    Pattern,
    Shard,
}

/// A message, as one subscription hears it.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    message: Arc<Message>,
    /// The pattern that it matches, if it is heard by one.
    pattern: Option<Arc<[u8]>>,
}

impl Push {
    /// Bytes that it takes in a reply, about.
    pub(crate) fn size(&self) -> usize {
        const HEADS: usize = 64;
        HEADS
            + self.message.channel.len()
            + self.message.text.len()
            + self.pattern.as_ref().map_or(0, |name| name.len())
    }

    pub(crate) fn write(&self, reply: &mut Reply) {
        let Message { channel, text, is_sharded } = &*self.message;
        match &self.pattern {
            Some(pattern) => {
                reply.push(4);
                reply.bulk(b"pmessage");
                reply.bulk(pattern);
            }
            None => {
                reply.push(3);
                reply.bulk(if *is_sharded { b"smessage" } else { b"message" });
            }
        }
        reply.bulk(channel);
        reply.bulk(text);
    }
}

type Names = BTreeMap<Arc<[u8]>, BTreeSet<Slot>>;

/// All subscriptions of this node's connections.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// Who has subscribed, by [`Kind`] and name.
    names: [Names; 3],
    /// [`Core::rights_changes`] as of which every subscriber was a user who may hear what it has subscribed to.
    rights_of: u64,
}

/// What one connection has subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions([BTreeSet<Arc<[u8]>>; 3]);

impl Subscriptions {
    pub(crate) fn of(&self, kind: Kind) -> &BTreeSet<Arc<[u8]>> {
        &self.0[kind as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(BTreeSet::len).sum()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(BTreeSet::is_empty)
    }

    fn are_allowed(&self, permits: &Permits) -> bool {
        let kinds = [Kind::Channel, Kind::Pattern, Kind::Shard];
        kinds.into_iter().all(|kind| self.of(kind).iter().all(|name| permits.may_hear(kind, name)))
    }

    /// What replies count: shard channels are counted by themselves.
    pub(crate) fn counted(&self, kind: Kind) -> usize {
        match kind {
            Kind::Channel | Kind::Pattern => self.of(Kind::Channel).len() + self.of(Kind::Pattern).len(),
            Kind::Shard => self.of(Kind::Shard).len(),
        }
    }
}

impl Channels {
    fn names(&self, kind: Kind) -> &Names {
        &self.names[kind as usize]
    }

    pub(crate) fn subscribe(&mut self, slot: Slot, of: &mut Subscriptions, kind: Kind, name: &[u8]) {
        let names = &mut self.names[kind as usize];
        // The name is kept once, however many have subscribed.
        let known = names.get_key_value(name).map(|(name, _)| name.clone());
        let name = known.unwrap_or_else(|| name.into());
        names.entry(name.clone()).or_default().insert(slot);
        of.0[kind as usize].insert(name);
    }

    pub(crate) fn unsubscribe(&mut self, slot: Slot, of: &mut Subscriptions, kind: Kind, name: &[u8]) {
        if of.0[kind as usize].remove(name) {
            self.forget_name(slot, kind, name);
        }
    }

    /// Ends all subscriptions of a connection.
    pub(crate) fn forget(&mut self, slot: Slot, of: &mut Subscriptions) {
        let Subscriptions(all) = core::mem::take(of);
        for (kind, names) in [Kind::Channel, Kind::Pattern, Kind::Shard].into_iter().zip(all) {
            names.iter().for_each(|name| self.forget_name(slot, kind, name));
        }
    }

    fn forget_name(&mut self, slot: Slot, kind: Kind, name: &[u8]) {
        let names = &mut self.names[kind as usize];
        if let Some(subscribers) = names.get_mut(name) {
            subscribers.remove(&slot);
            if subscribers.is_empty() {
                names.remove(name);
            }
        }
    }

    /// The channels, or shard channels, that somebody here has subscribed to.
    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.names(kind).keys().map(|name| &**name)
    }

    /// How many different names somebody here has subscribed to.
    pub(crate) fn len(&self, kind: Kind) -> usize {
        self.names(kind).len()
    }

    /// Whether that connection has subscribed to it.
    pub(crate) fn has(&self, kind: Kind, name: &[u8], slot: Slot) -> bool {
        self.names(kind).get(name).is_some_and(|slots| slots.contains(&slot))
    }

    pub(crate) fn subscribers(&self, kind: Kind, name: &[u8]) -> usize {
        self.names(kind).get(name).map_or(0, BTreeSet::len)
    }

    /// Gives every subscription that the message is for its copy.
    fn spread(&self, message: &Arc<Message>, mut hear: impl FnMut(Slot, Push)) {
        let mut tell = |slots: &BTreeSet<Slot>, pattern: Option<&Arc<[u8]>>| {
            slots.iter().for_each(|slot| hear(*slot, Push { message: message.clone(), pattern: pattern.cloned() }));
        };
        let kind = if message.is_sharded { Kind::Shard } else { Kind::Channel };
        if let Some(slots) = self.names(kind).get(&*message.channel) {
            tell(slots, None);
        }
        if !message.is_sharded {
            let matching = self.names(Kind::Pattern).iter().filter(|(name, _)| glob::matches(name, &message.channel));
            matching.for_each(|(pattern, slots)| tell(slots, Some(pattern)));
        }
    }
}

impl Core {
    /// Publishes here and for all other nodes; how many subscriptions of this node heard it.
    pub(crate) fn publish(&mut self, message: Message, now: Monotonic) -> usize {
        let is_primary = self.is_primary();
        self.exchange.send(&message, is_primary, now);
        self.hear(message)
    }

    /// Whether a command's replies are told as messages are: see [`Command::confirms`](crate::commands::Command).
    pub(crate) fn confirms(&self, command: &str) -> bool {
        self.commands.find(command.as_bytes()).is_some_and(|(_, command)| command.confirms())
    }

    /// How many channels, patterns and shard channels have subscribers here.
    pub fn subscribed(&self) -> [usize; 3] {
        [Kind::Channel, Kind::Pattern, Kind::Shard].map(|kind| self.channels.len(kind))
    }

    /// Gives a message to the subscribers of this node; how many there are. The keys of a database are for whom it was
    /// granted to.
    pub(crate) fn hear(&mut self, message: Message) -> usize {
        self.send_off(None);
        let (clients, users) = (&mut self.clients, &self.system.users);
        let about = events::database(&message.channel).and_then(|db| keyspace::named(&self.system.databases, db));
        let may = |user: &str| about.is_none_or(|db| users.get(user).is_some_and(|user| user.may_use(db)));
        let mut heard = 0;
        let message = Arc::new(message);
        for _ in 0..1 + u32::from(Mutant::HearTwice.is_chosen()) {
            self.channels.spread(&message, |slot, push| {
                if clients.user(slot).is_none_or(may) {
                    clients.push(slot, push);
                    heard += 1;
                }
            });
        }
        heard
    }

    /// Has the connections of subscribers closed, before they hear anything more, whose users are gone or may not hear any
    /// more what they have subscribed to. The connection that runs now is not among the others.
    pub(crate) fn send_off(&mut self, running: Option<&Session>) {
        // While the log is being read, nobody knows who is a user.
        if self.channels.rights_of == self.rights_changes || !self.is_hot() {
            return;
        }
        self.channels.rights_of = self.rights_changes;
        let Self { clients, permits, commands, .. } = self;
        let users = &self.system.users;
        let mut may_hear_on = |session: &Session| {
            let Some(name) = session.user.as_deref() else { return false };
            let Some(user) = users.get(name).filter(|user| user.knows(session.stamp)) else { return false };
            // Of many subscribers that are one user, what it may is made once.
            let permits = permits.of(name, user, users, commands);
            let is_broadcast = session.tracks == Some(Mode::Broadcast);
            permits.is_none_or(|permits| {
                session.subscriptions.are_allowed(&permits) && (!is_broadcast || permits.reads_every_key())
            })
        };
        let others = clients.sessions().into_iter().map(|(_, session)| session);
        let hears = |session: &&Session| !session.subscriptions.is_empty() || session.tracks == Some(Mode::Broadcast);
        let subscribers = others.chain(running).filter(hears);
        let sent_off: Vec<Slot> =
            subscribers.filter(|session| !may_hear_on(session)).map(|session| session.slot).collect();
        sent_off.into_iter().for_each(|slot| clients.kill(slot));
    }
}
