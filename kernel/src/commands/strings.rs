//! Strings: SET and GET, counters, several keys at once.

use alloc::vec::Vec;

use super::{Access, Command, CommandError, Keys, integer, is_word};
use crate::call::Call;
use crate::time::Wall;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "get",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the string value of a key.",
        run: |call| {
            call.reply_value(call.args.at(1));
            Ok(())
        },
    },
    Command {
        name: "set",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Sets the string value of a key, ignoring its type. The key is created if it doesn't exist.",
        run: set,
    },
    Command {
        name: "mget",
        arity: -2,
        access: Access::Read,
        keys: Keys::ALL,
        flags: &["fast"],
        summary: "Atomically returns the string values of one or more keys.",
        run: |call| {
            call.reply.array(call.args.len() - 1);
            for key in call.args.skip(1).iter() {
                call.reply_value(key);
            }
            Ok(())
        },
    },
    Command {
        name: "mset",
        arity: -3,
        access: Access::Write,
        keys: Keys::PAIRS,
        flags: &["denyoom"],
        summary: "Atomically creates or modifies the string values of one or more keys.",
        run: |call| {
            if call.args.len() % 2 == 0 {
                return Err(CommandError::Arity("mset"));
            }
            let args: Vec<&[u8]> = call.args.skip(1).iter().collect();
            for pair in args.chunks_exact(2) {
                call.put(pair[0], pair[1], None);
            }
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "incr",
        arity: 2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
        run: |call| increment(call, 1),
    },
    Command {
        name: "incrby",
        arity: 3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Increments the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
        run: |call| increment(call, integer(call.args.at(2))?),
    },
];

fn increment(call: &mut Call<'_>, by: i64) -> Result<(), CommandError> {
    let key = call.args.at(1);
    let (old, deadline) = match call.get(key) {
        Some(item) => (integer(item.value)?, item.deadline),
        None => (0, None),
    };
    let new = old.checked_add(by).ok_or(CommandError::Overflow)?;
    call.put(key, alloc::format!("{new}").as_bytes(), deadline);
    call.reply.integer(new);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Absent,
    Present,
}

/// What SET makes of the key's deadline.
#[derive(Clone, Copy)]
enum Lifetime {
    Forever,
    Keep,
    Until(u64),
}

fn set(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (key, value) = (call.args.at(1), call.args.at(2));
    let mut condition = None;
    let mut lifetime = None;
    let mut get = false;
    let mut options = call.args.skip(3).iter();
    while let Some(option) = options.next() {
        if is_word(option, "get") {
            get = true;
        } else if is_word(option, "nx") || is_word(option, "xx") {
            let wanted = if is_word(option, "nx") { Condition::Absent } else { Condition::Present };
            if condition.replace(wanted).is_some_and(|other| other != wanted) {
                return Err(CommandError::Syntax);
            }
        } else if is_word(option, "keepttl") {
            if lifetime.replace(Lifetime::Keep).is_some() {
                return Err(CommandError::Syntax);
            }
        } else if let Some(unit) = TimeUnit::of(option) {
            let time = options.next().ok_or(CommandError::Syntax)?;
            let until = unit.deadline(integer(time)?, call.now, "set")?;
            if lifetime.replace(Lifetime::Until(until)).is_some() {
                return Err(CommandError::Syntax);
            }
        } else {
            return Err(CommandError::Syntax);
        }
    }

    let old = call.get(key);
    let (existed, old_deadline) = (old.is_some(), old.and_then(|item| item.deadline));
    let reply_start = call.reply.bytes.len();
    if get {
        let old = call.core.store.database(call.db()).get(key);
        call.reply.optional_bulk(old.map(|item| item.value));
    }
    let holds = match condition {
        None => true,
        Some(Condition::Absent) => !existed,
        Some(Condition::Present) => existed,
    };
    if holds {
        match lifetime.unwrap_or(Lifetime::Forever) {
            Lifetime::Forever => call.put(key, value, None),
            Lifetime::Keep => call.put(key, value, old_deadline),
            // A deadline that has passed leaves nothing to store.
            Lifetime::Until(deadline) if deadline <= call.now.0 => call.delete(key),
            Lifetime::Until(deadline) => call.put(key, value, Some(deadline)),
        }
    }
    if call.reply.bytes.len() == reply_start {
        if holds {
            call.reply.ok();
        } else {
            call.reply.null();
        }
    }
    Ok(())
}

/// How a command gives a time: in seconds or milliseconds, from now or since 1970.
#[derive(Clone, Copy)]
pub(super) struct TimeUnit {
    milliseconds: u64,
    absolute: bool,
}

impl TimeUnit {
    pub(super) const SECONDS: TimeUnit = TimeUnit { milliseconds: 1000, absolute: false };
    pub(super) const MILLISECONDS: TimeUnit = TimeUnit { milliseconds: 1, absolute: false };

    /// SET's option for it.
    fn of(option: &[u8]) -> Option<Self> {
        [
            ("ex", Self::SECONDS),
            ("px", Self::MILLISECONDS),
            ("exat", TimeUnit { absolute: true, ..Self::SECONDS }),
            ("pxat", TimeUnit { absolute: true, ..Self::MILLISECONDS }),
        ]
        .into_iter()
        .find_map(|(word, unit)| is_word(option, word).then_some(unit))
    }

    /// The deadline that a positive number in this unit means.
    fn deadline(self, n: i64, now: Wall, command: &'static str) -> Result<u64, CommandError> {
        if n <= 0 {
            return Err(CommandError::ExpireTime(command));
        }
        self.deadline_at(n, now, command)
    }

    /// As for SET, but a number of zero or less is a time that has passed.
    pub(super) fn deadline_at(self, n: i64, now: Wall, command: &'static str) -> Result<u64, CommandError> {
        let wrong = CommandError::ExpireTime(command);
        let n = n.checked_mul(self.milliseconds as i64).ok_or(wrong.clone())?;
        let base = if self.absolute { 0 } else { now.0 as i64 };
        let deadline = n.checked_add(base).ok_or(wrong)?;
        Ok(u64::try_from(deadline).unwrap_or(0))
    }
}
