//! Client-side caching: of which keys clients keep copies, and who is told that one has changed. Every node sees every
//! change, so each tells its own clients; a copy is asked for before the change that it may miss, wherever it comes from.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::channels::{Channels, Kind};
use crate::clients::{Clients, Slot};
use crate::core::Core;
use crate::effect::Effect;
use crate::ids::DbId;
use crate::limits;
use crate::resp::{Protocol, Reply};
use crate::session::Session;
use crate::system::System;

/// Where a connection in RESP2 hears of changes.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Which keys a connection is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// What it reads.
    Default,
    /// What it reads by a command behind `CLIENT CACHING YES`.
    OptIn,
    /// What it reads, but by a command behind `CLIENT CACHING NO`.
    OptOut,
    /// All that begin with one of its prefixes.
    Broadcast,
}

/// What a connection has asked for.
#[derive(Clone, Debug)]
pub(crate) struct Tracker {
    pub mode: Mode,
    /// It is not told of what it changes itself.
    pub spares_itself: bool,
    /// Another connection is told.
    pub redirect: Option<Redirect>,
    pub prefixes: Vec<Box<[u8]>>,
}

/// The connection that is told in the place of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub id: u64,
    /// `None` once it has gone.
    pub slot: Option<Slot>,
}

/// Who has read a key: a connection, by its place and its number.
type Reader = (Slot, u64);

/// The keys of a database that somebody has read.
type Keys = HashMap<Box<[u8]>, Vec<Reader>, FixedState>;

/// All connections of this node that track, and what they have read.
#[derive(Debug)]
pub(crate) struct Tracking {
    trackers: BTreeMap<Slot, (u64, Tracker)>,
    keys: BTreeMap<DbId, Keys>,
    hasher: FixedState,
    /// How many keys somebody has read, and by how many connections together.
    len: usize,
    readers: usize,
    /// Bytes of the keys, and of who has read them.
    bytes: usize,
    /// So many keys at most are known; 0: as many as there is room for.
    pub most_keys: usize,
    /// The connection whose command runs.
    running: Option<Slot>,
}

/// Keys that have changed, or every key.
#[derive(Clone, Debug)]
pub(crate) enum Push {
    /// One key, or of those that begin with one of the connection's prefixes, by its place, all that changed together.
    Keys {
        keys: Vec<Box<[u8]>>,
        prefix: Option<usize>,
    },
    Everything,
    /// Who was to be told has gone.
    Lost {
        id: u64,
    },
}

/// Bytes around what is told.
const HEADS: usize = 64;

fn size(keys: &[Box<[u8]>]) -> usize {
    keys.iter().map(|key| HEADS + key.len()).sum()
}

impl Push {
    /// Bytes that it takes in a reply, about.
    pub(crate) fn size(&self) -> usize {
        HEADS + if let Push::Keys { keys, .. } = self { size(keys) } else { 0 }
    }

    /// Tells what the other one would, if it can: the bytes that it takes more then.
    pub(crate) fn takes_in(&mut self, other: &Push) -> Option<usize> {
        match (self, other) {
            (Push::Everything, Push::Everything) => Some(0),
            (Push::Keys { keys, prefix: own }, Push::Keys { keys: more, prefix }) if own == prefix => {
                if keys.last() == more.last() {
                    return Some(0);
                }
                prefix.is_some().then(|| {
                    keys.extend(more.iter().cloned());
                    size(more)
                })
            }
            _ => None,
        }
    }

    /// Tells it as a push; in RESP2 as a message, to who has subscribed to such.
    pub(crate) fn write(&self, is_subscribed: bool, reply: &mut Reply) {
        match (reply.protocol, self) {
            (Protocol::Resp2, Push::Lost { .. }) => return,
            (Protocol::Resp2, _) if !is_subscribed => return,
            (Protocol::Resp2, _) => {
                reply.array(3);
                reply.bulk(b"message");
                reply.bulk(CHANNEL);
            }
            (Protocol::Resp3, Push::Lost { id }) => {
                reply.push(2);
                reply.bulk(b"tracking-redir-broken");
                reply.integer(*id as i64);
                return;
            }
            (Protocol::Resp3, _) => {
                reply.push(2);
                reply.bulk(b"invalidate");
            }
        }
        match self {
            Push::Keys { keys, .. } => {
                reply.array(keys.len());
                keys.iter().for_each(|key| reply.bulk(key));
            }
            _ => reply.null(),
        }
    }
}

impl Tracking {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            trackers: BTreeMap::new(),
            keys: BTreeMap::new(),
            hasher: FixedState::with_seed(seed),
            len: 0,
            readers: 0,
            bytes: 0,
            most_keys: limits::TRACKED_KEYS,
            running: None,
        }
    }

    /// Whether nobody tracks.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.trackers.is_empty()
    }

    /// What a connection has asked for, if it tracks.
    pub(crate) fn of(&self, slot: Slot) -> Option<&Tracker> {
        self.trackers.get(&slot).map(|(_, tracker)| tracker)
    }

    pub(crate) fn clients(&self) -> usize {
        self.trackers.len()
    }

    /// The keys that somebody has read.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// By how many connections, all keys together.
    pub(crate) fn readers(&self) -> usize {
        self.readers
    }

    pub(crate) fn prefixes(&self) -> usize {
        let prefixes = self.trackers.values().flat_map(|(_, tracker)| &tracker.prefixes);
        prefixes.collect::<alloc::collections::BTreeSet<_>>().len()
    }

    pub(crate) fn start(&mut self, session: &mut Session, tracker: Tracker) {
        session.tracks = Some(tracker.mode);
        self.trackers.insert(session.slot, (session.id, tracker));
    }

    /// The connection tracks no more. What it has read is forgotten when that changes.
    pub(crate) fn stop(&mut self, session: &mut Session) {
        session.tracks = None;
        session.caching = None;
        self.trackers.remove(&session.slot);
        if self.trackers.is_empty() {
            self.forget_keys();
        }
    }

    /// A connection has gone, which others may have wanted to be told.
    pub(crate) fn has_gone(&mut self, slot: Slot) {
        let redirects = self.trackers.values_mut().filter_map(|(_, tracker)| tracker.redirect.as_mut());
        redirects.filter(|redirect| redirect.slot == Some(slot)).for_each(|redirect| redirect.slot = None);
    }

    fn forget_keys(&mut self) {
        self.keys.clear();
        (self.len, self.readers, self.bytes) = (0, 0, 0);
    }

    fn is_full(&self) -> bool {
        self.most_keys > 0 && self.len >= self.most_keys || self.bytes >= limits::TRACKED_BYTES
    }

    fn read(&mut self, by: Reader, db: DbId, key: &[u8]) {
        let keys = self.keys.entry(db).or_insert_with(|| HashMap::with_hasher(self.hasher.clone()));
        let readers = keys.entry_ref(key).or_insert_with(|| {
            self.len += 1;
            self.bytes += key.len() + size_of::<(Box<[u8]>, Vec<Reader>)>();
            Vec::new()
        });
        // One for each place: who had it before has gone.
        match readers.binary_search_by_key(&by.0, |(slot, _)| *slot) {
            Ok(at) => readers[at] = by,
            Err(at) => {
                readers.insert(at, by);
                self.readers += 1;
                self.bytes += size_of::<Reader>();
            }
        }
    }

    /// Who has read a key; it is forgotten.
    fn take_readers(&mut self, db: DbId, key: &[u8]) -> Vec<Reader> {
        let Some((key, readers)) = self.keys.get_mut(&db).and_then(|keys| keys.remove_entry(key)) else {
            return Vec::new();
        };
        self.len -= 1;
        self.readers -= readers.len();
        self.bytes -= key.len() + size_of::<(Box<[u8]>, Vec<Reader>)>() + readers.len() * size_of::<Reader>();
        readers
    }

    /// Tells whoever is told in the place of that connection.
    fn tell(&self, slot: Slot, push: Push, clients: &mut Clients, channels: &Channels) {
        match self.of(slot).and_then(|tracker| tracker.redirect) {
            None => clients.invalidate(slot, push, false),
            Some(Redirect { slot: Some(target), .. }) => {
                clients.invalidate(target, push, channels.has(Kind::Channel, CHANNEL, target));
            }
            Some(Redirect { id, slot: None }) => clients.invalidate(slot, Push::Lost { id }, false),
        }
    }

    /// Tells everybody that nothing holds any more that it has read.
    pub(crate) fn invalidate_all(&mut self, clients: &mut Clients, channels: &Channels) {
        self.forget_keys();
        self.trackers.keys().for_each(|slot| self.tell(*slot, Push::Everything, clients, channels));
    }

    /// An effect is about to change the store.
    fn see(&mut self, effect: &Effect<'_>, system: &System, clients: &mut Clients, channels: &Channels) {
        if matches!(effect, Effect::Flush { .. } | Effect::SwapDatabases { .. }) {
            return self.invalidate_all(clients, channels);
        }
        let Some((db, key)) = effect.key() else { return };
        for (slot, id) in self.take_readers(db, key) {
            match self.trackers.get(&slot).filter(|(_, tracker)| tracker.mode != Mode::Broadcast) {
                // What it has made of the key it knows, and of what others make of it then it is told.
                Some((there, tracker)) if *there == id && self.spares(slot, tracker) => self.read((slot, id), db, key),
                Some((there, _)) if *there == id => {
                    self.tell(slot, Push::Keys { keys: vec![key.into()], prefix: None }, clients, channels);
                }
                _ => {}
            }
        }
        let number = system.databases.number(db);
        let may = |user: &str| number.is_none_or(|db| system.users.get(user).is_some_and(|user| user.may_use(db)));
        for (slot, (_, tracker)) in &self.trackers {
            let is_told =
                tracker.mode == Mode::Broadcast && !self.spares(*slot, tracker) && clients.user(*slot).is_none_or(may);
            let prefix = tracker.prefixes.iter().position(|prefix| is_told && key.starts_with(prefix));
            if prefix.is_some() {
                self.tell(*slot, Push::Keys { keys: vec![key.into()], prefix }, clients, channels);
            }
        }
    }

    fn spares(&self, slot: Slot, tracker: &Tracker) -> bool {
        tracker.spares_itself && self.running == Some(slot)
    }
}

impl Core {
    /// The connection whose command runs from now on; none, if no client's does, or what happens is not its doing. Returns who
    /// it was.
    pub(crate) fn set_running(&mut self, slot: Option<Slot>) -> Option<Slot> {
        core::mem::replace(&mut self.tracking.running, slot)
    }

    /// A connection that tracks reads a key, now or where its command is executed.
    pub(crate) fn track(&mut self, session: &Session, db: DbId, key: &[u8]) {
        if self.tracking.is_full() {
            // Whoever would be forgotten is told that it has to ask again.
            self.tracking.invalidate_all(&mut self.clients, &self.channels);
        }
        self.tracking.read((session.slot, session.id), db, key);
    }

    /// An effect is about to change the store.
    #[inline]
    pub(crate) fn see_tracked(&mut self, effect: &Effect<'_>) {
        // While a memory is being filled nobody reads it, and everything is out of date in the end.
        if !self.tracking.is_empty() && self.is_hot() {
            let Core { tracking, system, clients, channels, .. } = self;
            tracking.see(effect, system, clients, channels);
        }
    }

    /// The memory is another one now.
    pub(crate) fn invalidate_all(&mut self) {
        self.tracking.invalidate_all(&mut self.clients, &self.channels);
    }
}
