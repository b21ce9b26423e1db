//! Deadlines of keys, however they are given, and the clock they are compared with.

use super::{Access, Command, CommandError, Keys, integer, is_word, lossy};
use crate::call::Call;
use crate::events::Events;
use crate::time::Wall;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "expire",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Sets the expiration time of a key in seconds.",
        run: |call| expire(call, TimeUnit::SECONDS, "expire"),
    },
    Command {
        name: "pexpire",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Sets the expiration time of a key in milliseconds.",
        run: |call| expire(call, TimeUnit::MILLISECONDS, "pexpire"),
    },
    Command {
        name: "expireat",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Sets the expiration time of a key to a Unix time in seconds.",
        run: |call| expire(call, TimeUnit::SECONDS.since_1970(), "expireat"),
    },
    Command {
        name: "pexpireat",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Sets the expiration time of a key to a Unix time in milliseconds.",
        run: |call| expire(call, TimeUnit::MILLISECONDS.since_1970(), "pexpireat"),
    },
    Command {
        name: "ttl",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the expiration time in seconds of a key.",
        run: |call| reply_deadline(call, TimeUnit::SECONDS),
    },
    Command {
        name: "pttl",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the expiration time in milliseconds of a key.",
        run: |call| reply_deadline(call, TimeUnit::MILLISECONDS),
    },
    Command {
        name: "expiretime",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the expiration time of a key as a Unix time in seconds.",
        run: |call| reply_deadline(call, TimeUnit::SECONDS.since_1970()),
    },
    Command {
        name: "pexpiretime",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the expiration time of a key as a Unix time in milliseconds.",
        run: |call| reply_deadline(call, TimeUnit::MILLISECONDS.since_1970()),
    },
    Command {
        name: "persist",
        arity: 2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Removes the expiration time of a key.",
        run: |call| {
            let key = call.args.at(1);
            let had = call.get(key).is_some_and(|item| item.deadline.is_some());
            if had {
                call.set_deadline(key, None);
                call.notify(Events::GENERIC, "persist", key);
            }
            call.reply.integer(i64::from(had));
            Ok(())
        },
    },
    Command {
        name: "time",
        arity: 1,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["loading", "stale", "fast"],
        summary: "Returns the time of the data: Unix seconds, and microseconds in steps of a thousand.",
        run: |call| {
            let Wall(ms) = call.now;
            call.reply.array(2);
            call.reply.bulk(alloc::format!("{}", ms / 1000).as_bytes());
            call.reply.bulk(alloc::format!("{}", ms % 1000 * 1000).as_bytes());
            Ok(())
        },
    },
];

/// How a command gives a time: in seconds or milliseconds, from now or since 1970.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeUnit {
    milliseconds: u64,
    absolute: bool,
}

impl TimeUnit {
    pub(super) const SECONDS: TimeUnit = TimeUnit { milliseconds: 1000, absolute: false };
    pub(super) const MILLISECONDS: TimeUnit = TimeUnit { milliseconds: 1, absolute: false };

    const fn since_1970(self) -> Self {
        TimeUnit { absolute: true, ..self }
    }

    /// The option for it of SET and GETEX.
    fn of(option: &[u8]) -> Option<Self> {
        [
            ("ex", Self::SECONDS),
            ("px", Self::MILLISECONDS),
            ("exat", Self::SECONDS.since_1970()),
            ("pxat", Self::MILLISECONDS.since_1970()),
        ]
        .into_iter()
        .find_map(|(word, unit)| is_word(option, word).then_some(unit))
    }

    /// The deadline that a positive number in this unit means.
    pub(super) fn deadline(self, n: i64, now: Wall, command: &'static str) -> Result<u64, CommandError> {
        if n <= 0 {
            return Err(CommandError::ExpireTime(command));
        }
        self.deadline_at(n, now, command)
    }

    /// The same, but a number of zero or less is a time that has passed.
    fn deadline_at(self, n: i64, now: Wall, command: &'static str) -> Result<u64, CommandError> {
        let wrong = CommandError::ExpireTime(command);
        let n = n.checked_mul(self.milliseconds as i64).ok_or(wrong.clone())?;
        let base = if self.absolute { 0 } else { now.0 as i64 };
        let deadline = n.checked_add(base).ok_or(wrong)?;
        Ok(u64::try_from(deadline).unwrap_or(0))
    }
}

/// What SET or GETEX makes of the key's deadline.
#[derive(Clone, Copy)]
pub(super) enum Lifetime<'a> {
    /// `KEEPTTL`
    Keep,
    /// `PERSIST`
    Forever,
    /// `EX` and its kin, with a number that has not been looked at.
    Until(TimeUnit, &'a [u8]),
}

impl<'a> Lifetime<'a> {
    /// What an option says, taking its number from those that follow; `None` if it is about something else.
    pub(super) fn of(
        option: &[u8],
        following: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Result<Option<Self>, CommandError> {
        if is_word(option, "keepttl") {
            return Ok(Some(Lifetime::Keep));
        }
        if is_word(option, "persist") {
            return Ok(Some(Lifetime::Forever));
        }
        let Some(unit) = TimeUnit::of(option) else { return Ok(None) };
        let time = following.next().ok_or(CommandError::Syntax)?;
        Ok(Some(Lifetime::Until(unit, time)))
    }

    /// Notes an option. One kind excludes the others; said twice, the second counts, as in Redis.
    pub(super) fn choose(chosen: &mut Option<Self>, new: Self) -> Result<(), CommandError> {
        let is_same_kind = match (&*chosen, &new) {
            (None, _) | (Some(Lifetime::Keep), Lifetime::Keep) | (Some(Lifetime::Forever), Lifetime::Forever) => true,
            (Some(Lifetime::Until(old, _)), Lifetime::Until(new, _)) => old == new,
            _ => false,
        };
        *chosen = Some(new);
        if is_same_kind { Ok(()) } else { Err(CommandError::Syntax) }
    }
}

/// Replies with the key's deadline or what is left until it; -1 if it has none, -2 if there is no such key.
fn reply_deadline(call: &mut Call<'_>, unit: TimeUnit) -> Result<(), CommandError> {
    let base = if unit.absolute { 0 } else { call.now.0 };
    let ms = match call.look_at(call.args.at(1)) {
        None => -2,
        Some(item) => item.deadline.map_or(-1, |deadline| (deadline - base) as i64),
    };
    // Rounded to the nearest, as Redis does.
    let rounded = |ms: i64| ms.saturating_add(unit.milliseconds as i64 / 2) / unit.milliseconds as i64;
    call.reply.integer(if ms < 0 { ms } else { rounded(ms) });
    Ok(())
}

fn expire(call: &mut Call<'_>, unit: TimeUnit, name: &'static str) -> Result<(), CommandError> {
    let key = call.args.at(1);
    let (mut nx, mut xx, mut gt, mut lt) = (false, false, false, false);
    for option in call.args.skip(3).iter() {
        if is_word(option, "nx") {
            nx = true;
        } else if is_word(option, "xx") {
            xx = true;
        } else if is_word(option, "gt") {
            gt = true;
        } else if is_word(option, "lt") {
            lt = true;
        } else {
            return Err(CommandError::Text(alloc::format!("Unsupported option {}", lossy(option))));
        }
    }
    if nx && (xx || gt || lt) {
        return Err(CommandError::Other("NX and XX, GT or LT options at the same time are not compatible"));
    }
    if gt && lt {
        return Err(CommandError::Other("GT and LT options at the same time are not compatible"));
    }
    let deadline = unit.deadline_at(integer(call.args.at(2))?, call.now, name)?;
    let Some(item) = call.get(key) else {
        call.reply.integer(0);
        return Ok(());
    };
    let old = item.deadline;
    // A key without a deadline lives for ever, which is later than any deadline.
    let holds = (!nx || old.is_none())
        && (!xx || old.is_some())
        && (!gt || old.is_some_and(|old| deadline > old))
        && (!lt || old.is_none_or(|old| deadline < old));
    if holds {
        call.expire_at(key, deadline);
    }
    call.reply.integer(i64::from(holds));
    Ok(())
}
