//! What clients ask for, and what a right answer is: two counters and no time.

use std::fmt;

/// One of two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    X,
    Y,
}

/// A request. All are at `QUORUM` but the one that says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    Get(Key),
    /// Both keys at one time.
    GetBoth,
    Incr(Key),
    /// Sets to 1 what is 0; otherwise it changes nothing and says so.
    SetNx(Key),
    /// `INCR` at `EVENTUAL`: answered when executed, perhaps rolled back later.
    EventualIncr(Key),
}

/// What a client is told. One number, but for [`Op::GetBoth`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reply(pub u8, pub u8);

/// The whole data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Data {
    pub x: u8,
    pub y: u8,
}

impl Op {
    /// Executes it: what it says, and what it changed, physically ("key, new value").
    pub fn execute(self, data: &mut Data) -> (Reply, Option<(Key, u8)>) {
        let change = match self {
            Op::Get(_) | Op::GetBoth => None,
            Op::Incr(key) | Op::EventualIncr(key) => Some((key, data.get(key) + 1)),
            Op::SetNx(key) => (data.get(key) == 0).then_some((key, 1)),
        };
        if let Some((key, value)) = change {
            data.put(key, value);
        }
        let reply = match (self, change) {
            (Op::Get(key), _) => Reply(data.get(key), 0),
            (Op::GetBoth, _) => Reply(data.x, data.y),
            (_, Some((_, value))) => Reply(value, 0),
            (_, None) => Reply(0, 0),
        };
        (reply, change)
    }

    pub fn touches(self, key: Key) -> bool {
        match self {
            Op::Get(k) | Op::Incr(k) | Op::SetNx(k) | Op::EventualIncr(k) => k == key,
            Op::GetBoth => true,
        }
    }

    pub fn is_read(self) -> bool {
        matches!(self, Op::Get(_) | Op::GetBoth)
    }

    pub fn is_eventual(self) -> bool {
        matches!(self, Op::EventualIncr(_))
    }
}

impl Data {
    pub fn get(&self, key: Key) -> u8 {
        match key {
            Key::X => self.x,
            Key::Y => self.y,
        }
    }

    pub fn put(&mut self, key: Key, value: u8) {
        match key {
            Key::X => self.x = value,
            Key::Y => self.y = value,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Get(key) => write!(f, "GET {key:?}"),
            Op::GetBoth => write!(f, "MGET X Y"),
            Op::Incr(key) => write!(f, "INCR {key:?}"),
            Op::SetNx(key) => write!(f, "SETNX {key:?}"),
            Op::EventualIncr(key) => write!(f, "INCR {key:?} at EVENTUAL"),
        }
    }
}
