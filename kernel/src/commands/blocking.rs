//! Commands that wait for a key: see [`crate::waiters`].

use alloc::vec::Vec;
use core::time::Duration;

use super::lists::{self, Form, move_element, pop_arguments, side};
use super::sorted::{self, End, end};
use super::{Access, Command, CommandError, Keys};
use crate::call::{Call, MayWait};
use crate::effect::{Change, Side};
use crate::events::Events;
use crate::limits;
use crate::store::{SortedSet, Words, words};
use crate::waiters::For;

/// All arguments but the last, which is the time.
const BEFORE_TIMEOUT: Keys = Keys { first: 1, last: -2, step: 1 };

pub(super) const LISTS: &[Command] = &[
    Command {
        name: "blpop",
        arity: -3,
        access: Access::Write,
        keys: BEFORE_TIMEOUT,
        flags: &["blocking"],
        summary: "Removes and returns the first element of a list. Waits until there is one.",
        run: |call| pop(call, Side::Left),
    },
    Command {
        name: "brpop",
        arity: -3,
        access: Access::Write,
        keys: BEFORE_TIMEOUT,
        flags: &["blocking"],
        summary: "Removes and returns the last element of a list. Waits until there is one.",
        run: |call| pop(call, Side::Right),
    },
    Command {
        name: "blmove",
        arity: 6,
        access: Access::Write,
        keys: Keys::TWO,
        flags: &["denyoom", "blocking"],
        summary: "Moves an element from an end of a list to an end of another and returns it. Waits until there is one.",
        run: |call| {
            let (from, to) = (side(call.args.at(3))?, side(call.args.at(4))?);
            move_waiting(call, from, to, 5)
        },
    },
    Command {
        name: "brpoplpush",
        arity: 4,
        access: Access::Write,
        keys: Keys::TWO,
        flags: &["denyoom", "blocking"],
        summary: "Moves the last element of a list to the front of another and returns it. Waits until there is one.",
        run: |call| move_waiting(call, Side::Right, Side::Left, 3),
    },
    Command {
        name: "blmpop",
        arity: -5,
        access: Access::Write,
        keys: Keys::NONE,
        flags: &["blocking", "movablekeys"],
        summary: "Returns and removes elements of the first of several lists that has some. Waits until one has.",
        run: |call| {
            let timeout = timeout(call.args.at(1))?;
            let (keys, side, count) = pop_arguments(call.args.skip(2), side)?;
            let keys: Vec<&[u8]> = keys.iter().collect();
            first_of(call, For::List, &keys, timeout, |call, key| lists::pop(call, key, side, count, Form::Keyed))
        },
    },
];

pub(super) const SORTED_SETS: &[Command] = &[
    Command {
        name: "bzpopmin",
        arity: -3,
        access: Access::Write,
        keys: BEFORE_TIMEOUT,
        flags: &["blocking", "fast"],
        summary: "Removes and returns the member with the lowest score of a sorted set. Waits until there is one.",
        run: |call| pop_scored(call, End::Lowest),
    },
    Command {
        name: "bzpopmax",
        arity: -3,
        access: Access::Write,
        keys: BEFORE_TIMEOUT,
        flags: &["blocking", "fast"],
        summary: "Removes and returns the member with the highest score of a sorted set. Waits until there is one.",
        run: |call| pop_scored(call, End::Highest),
    },
    Command {
        name: "bzmpop",
        arity: -5,
        access: Access::Write,
        keys: Keys::NONE,
        flags: &["blocking", "movablekeys"],
        summary: "Returns and removes members of the first of several sorted sets that has some. Waits until one has.",
        run: |call| {
            let timeout = timeout(call.args.at(1))?;
            let (keys, end, count) = pop_arguments(call.args.skip(2), end)?;
            let keys: Vec<&[u8]> = keys.iter().collect();
            first_of(call, For::SortedSet, &keys, timeout, |call, key| sorted::pop(call, key, end, count, Form::Keyed))
        },
    },
];

/// A time in seconds that may have a fraction; `None`: for ever.
pub(super) fn timeout(text: &[u8]) -> Result<Option<Duration>, CommandError> {
    const NOT_A_FLOAT: CommandError = CommandError::Other("timeout is not a float or out of range");
    /// In milliseconds it must fit beside the clock, as in Redis.
    const LARGEST: f64 = (i64::MAX / 1000) as f64;
    let seconds: f64 = core::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(NOT_A_FLOAT)?;
    if !seconds.is_finite() {
        return Err(NOT_A_FLOAT);
    }
    if seconds < 0.0 {
        return Err(CommandError::Other("timeout is negative"));
    }
    if seconds > LARGEST {
        return Err(CommandError::Other("timeout is out of range"));
    }
    // Less than a millisecond still is some time; and none waits for longer than the longest pause.
    let time = Duration::from_millis(((seconds * 1000.0) as u64).max(1)).min(limits::MAX_PAUSE);
    Ok((seconds > 0.0).then_some(time))
}

/// Does it with the first key for which it can be done; if there is none, waits, and answers a null array in the end.
fn first_of<'a>(
    call: &mut Call<'a>,
    what: For,
    keys: &[&'a [u8]],
    timeout: Option<Duration>,
    mut act: impl FnMut(&mut Call<'a>, &'a [u8]) -> Result<bool, CommandError>,
) -> Result<(), CommandError> {
    for key in keys {
        if act(call, key)? {
            return Ok(());
        }
    }
    if !call.wait_for(what, keys, timeout) {
        call.reply.null_array();
    }
    Ok(())
}

/// The keys before the time, and the time.
fn keys_and_timeout<'a>(call: &Call<'a>) -> Result<(Vec<&'a [u8]>, Option<Duration>), CommandError> {
    let last = call.args.len() - 1;
    let timeout = timeout(call.args.at(last))?;
    Ok((call.args.iter().take(last).skip(1).collect(), timeout))
}

fn pop(call: &mut Call<'_>, side: Side) -> Result<(), CommandError> {
    let (keys, timeout) = keys_and_timeout(call)?;
    first_of(call, For::List, &keys, timeout, |call, key| {
        let start = call.reply.bytes.len();
        call.reply.array(2);
        call.reply.bulk(key);
        let found = lists::pop(call, key, side, 1, Form::Alone);
        if !matches!(found, Ok(true)) {
            call.reply.bytes.truncate(start);
        }
        found
    })
}

fn pop_scored(call: &mut Call<'_>, end: End) -> Result<(), CommandError> {
    let (keys, timeout) = keys_and_timeout(call)?;
    first_of(call, For::SortedSet, &keys, timeout, |call, key| {
        let (Some(sorted), reply) = call.value_and_reply::<SortedSet>(key)? else { return Ok(false) };
        let at = if end == End::Lowest { 0 } else { sorted.len() - 1 };
        let Some((member, score)) = sorted.at(at) else { return Ok(false) };
        reply.array(3);
        reply.bulk(key);
        reply.bulk(member);
        reply.double(score);
        let gone = words::collect([member]);
        call.change(key, Change::Unrank(Words::new(&gone)));
        call.notify_taken(Events::SORTED_SET, end.popped(), key);
        Ok(true)
    })
}

/// Moves an element; the time is the argument at this place.
fn move_waiting(call: &mut Call<'_>, from: Side, to: Side, time: usize) -> Result<(), CommandError> {
    let timeout = timeout(call.args.at(time))?;
    let (key, other) = (call.args.at(1), call.args.at(2));
    if !move_element(call, (key, from), (other, to))? && !call.wait_for(For::List, &[key], timeout) {
        // In a transaction it answers as what does not wait.
        if call.may_wait == MayWait::Never { call.reply.null() } else { call.reply.null_array() }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_redis_reads_them() {
        for (text, milliseconds) in
            [("0", None), ("0.0", None), ("1", Some(1000)), ("0.25", Some(250)), ("0.0001", Some(1))]
        {
            assert_eq!(timeout(text.as_bytes()), Ok(milliseconds.map(Duration::from_millis)), "{text}");
        }
        assert_eq!(timeout(b"1e15"), Ok(Some(limits::MAX_PAUSE)));
        for (text, error) in
            [("x", "not a float"), ("inf", "not a float"), ("-1", "is negative"), ("1e300", "is out of range")]
        {
            assert!(timeout(text.as_bytes()).is_err_and(|found| alloc::format!("{found}").contains(error)), "{text}");
        }
    }
}
