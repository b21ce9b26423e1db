//! Keyspace notifications: messages about what happens to keys, which a primary publishes on channels that Redis's clients
//! know. They are published when what they tell of is in the log, so that none tells of what never happened.

use alloc::format;
use alloc::string::String;
use core::ops::BitOr;

use bincode::{Decode, Encode};

use crate::call::Call;
use crate::channels::Message;
use crate::core::Core;
use crate::ids::DbId;
use crate::time::Monotonic;

/// Which notifications are wanted: how, and of which classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Events(u16);

/// Each by its character in `notify-keyspace-events`.
const CHARACTERS: &str = "g$lshzxetdnKEm";

impl Events {
    pub const NONE: Events = Events(0);
    pub const GENERIC: Events = Events(1);
    pub const STRING: Events = Events(1 << 1);
    pub const LIST: Events = Events(1 << 2);
    pub const SET: Events = Events(1 << 3);
    pub const HASH: Events = Events(1 << 4);
    pub const SORTED_SET: Events = Events(1 << 5);
    /// A deadline had passed.
    pub const EXPIRED: Events = Events(1 << 6);
    /// It made room for others.
    pub const EVICTED: Events = Events(1 << 7);
    pub const STREAM: Events = Events(1 << 8);
    /// Of a type that a module of Redis has.
    pub const MODULE: Events = Events(1 << 9);
    /// There is a key that was not there.
    pub const NEW: Events = Events(1 << 10);
    /// On channels named after the key.
    const KEYSPACE: Events = Events(1 << 11);
    /// On channels named after the event.
    const KEYEVENT: Events = Events(1 << 12);
    /// A read found no key.
    pub const MISS: Events = Events(1 << 13);
    /// What `A` stands for: all classes but keys that are new, and misses.
    const ALL: Events = Events((1 << 10) - 1);

    /// Reads the value of `notify-keyspace-events`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        text.iter().try_fold(Events::NONE, |all, character| match character {
            b'A' => Some(all | Events::ALL),
            character => CHARACTERS.bytes().position(|known| known == *character).map(|bit| all | Events(1 << bit)),
        })
    }

    /// That value, in Redis's order.
    pub fn shown(self) -> String {
        let has_all = self.has(Events::ALL);
        let bits = CHARACTERS.chars().enumerate().filter(|(bit, _)| self.has(Events(1 << bit)));
        let bits = bits.filter(|(bit, _)| !has_all || Events::ALL.0 >> bit & 1 == 0).map(|(_, character)| character);
        has_all.then_some('A').into_iter().chain(bits).collect()
    }

    /// From a number that [`Events::number`] gave.
    pub(crate) fn from_number(number: i128) -> Self {
        Events(number as u16)
    }

    pub(crate) fn number(self) -> i128 {
        self.0.into()
    }

    fn has(self, other: Events) -> bool {
        self.0 & other.0 == other.0
    }

    fn meets(self, other: Events) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether anybody is told of events of this class.
    fn tells(self, class: Events) -> bool {
        self.meets(class) && self.meets(Events::KEYSPACE | Events::KEYEVENT)
    }
}

impl BitOr for Events {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Events(self.0 | other.0)
    }
}

/// The database that a channel's messages are about, if they are notifications, as they call it.
pub(crate) fn database(channel: &[u8]) -> Option<&[u8]> {
    let rest = channel.strip_prefix(b"__keyspace@").or_else(|| channel.strip_prefix(b"__keyevent@"))?;
    let end = rest.windows(3).position(|end| end == b"__:")?;
    rest.get(..end)
}

impl Call<'_> {
    /// Tells of what the command has done to a key of the selected database, with Redis's word for it. Comes behind the
    /// change.
    #[inline]
    pub(crate) fn notify(&mut self, class: Events, event: &str, key: &[u8]) {
        if self.core.tells(class) {
            self.core.tell_of(class, event, self.db(), key, self.monotonic);
        }
    }

    /// The same in any database.
    pub(crate) fn notify_in(&mut self, db: DbId, class: Events, event: &str, key: &[u8]) {
        self.core.tell_of(class, event, db, key, self.monotonic);
    }

    /// Tells of what the command has taken from a key, and of the key if nothing is left.
    pub(crate) fn notify_taken(&mut self, class: Events, event: &str, key: &[u8]) {
        self.notify(class, event, key);
        self.notify_if_gone(key);
    }

    /// Tells of a result that was stored in a key; or, if there was nothing to store, that the key which was there is not.
    pub(crate) fn notify_stored(&mut self, class: Events, event: &str, key: &[u8], was_there: bool) {
        if self.exists(key) {
            self.notify(class, event, key);
        } else if was_there {
            self.notify(Events::GENERIC, "del", key);
        }
    }

    /// Tells of a key that was deleted: it had become empty, for example.
    pub(crate) fn notify_if_gone(&mut self, key: &[u8]) {
        if self.core.tells(Events::GENERIC) && !self.exists(key) {
            self.notify(Events::GENERIC, "del", key);
        }
    }
}

impl Core {
    /// Whether any node wants events of this class.
    #[inline]
    pub(crate) fn tells(&self, class: Events) -> bool {
        (self.events | self.exchange.wanted()).tells(class)
    }

    /// Sets which events this node's operator wants. The primary tells of what any node wants.
    pub(crate) fn want_events(&mut self, events: Events) {
        self.events = events;
        self.exchange.refresh();
    }

    /// Tells of an event, if any node wants it.
    pub(crate) fn tell_of(&mut self, class: Events, event: &str, db: DbId, key: &[u8], now: Monotonic) {
        let wanted = self.events | self.exchange.wanted();
        let Some(number) = self.system.databases.number(db).filter(|_| wanted.tells(class)) else { return };
        let db = self.system.databases.shown(number);
        let message = |way: &str, name: &[u8], text: &[u8]| {
            let mut channel = format!("__{way}@{db}__:").into_bytes();
            channel.extend_from_slice(name);
            Message { channel, text: text.into(), is_sharded: false }
        };
        let keyspace = wanted.has(Events::KEYSPACE).then(|| message("keyspace", key, event.as_bytes()));
        let keyevent = wanted.has(Events::KEYEVENT).then(|| message("keyevent", event.as_bytes(), key));
        for message in keyspace.into_iter().chain(keyevent) {
            self.publish_when_accepted(message, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_as_redis_shows_it() {
        let shown = |text: &str| Events::parse(text.as_bytes()).map(Events::shown);
        assert_eq!(shown("KEA").as_deref(), Some("AKE"));
        assert_eq!(shown("").as_deref(), Some(""));
        assert_eq!(shown("Ex$").as_deref(), Some("$xE"));
        assert_eq!(shown("g$lshzxetdKEmn").as_deref(), Some("AnKEm"));
        assert_eq!(shown("Kq"), None);
    }

    #[test]
    fn nothing_is_told_on_no_channel() {
        let tells = |text: &str, class| Events::parse(text.as_bytes()).is_some_and(|events| events.tells(class));
        assert!(tells("K$", Events::STRING) && tells("EA", Events::EXPIRED) && tells("Kn", Events::NEW));
        assert!(!tells("A", Events::STRING) && !tells("KE", Events::STRING) && !tells("KEA", Events::NEW));
        assert!(!tells("KEA", Events::MISS) && tells("Km", Events::MISS));
    }
}
