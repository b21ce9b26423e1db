//! Lists. What pops and moves elements is of use to commands that wait for them, too.

use alloc::vec::Vec;
use core::ops::Range;

use super::{Access, Command, CommandError, Keys, integer, is_word};
use crate::call::Call;
use crate::effect::{Change, Side};
use crate::events::Events;
use crate::resp::Args;
use crate::store::{List, Words, words};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "lpush",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Prepends one or more elements to a list. Creates the key if it doesn't exist.",
        run: |call| push(call, Side::Left, false),
    },
    Command {
        name: "rpush",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Appends one or more elements to a list. Creates the key if it doesn't exist.",
        run: |call| push(call, Side::Right, false),
    },
    Command {
        name: "lpushx",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Prepends one or more elements to a list only when the list exists.",
        run: |call| push(call, Side::Left, true),
    },
    Command {
        name: "rpushx",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Appends one or more elements to a list only when the list exists.",
        run: |call| push(call, Side::Right, true),
    },
    Command {
        name: "lpop",
        arity: -2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns and removes the first elements of a list. Deletes the list if no elements remain.",
        run: |call| pop_one_or_many(call, "lpop", Side::Left),
    },
    Command {
        name: "rpop",
        arity: -2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns and removes the last elements of a list. Deletes the list if no elements remain.",
        run: |call| pop_one_or_many(call, "rpop", Side::Right),
    },
    Command {
        name: "lmpop",
        arity: -4,
        access: Access::Write,
        keys: Keys::NONE,
        flags: &["movablekeys"],
        summary: "Returns and removes elements of the first of several lists that has some.",
        run: |call| {
            let (keys, side, count) = pop_arguments(call.args.skip(1), side)?;
            for key in keys.iter() {
                if pop(call, key, side, count, Form::Keyed)? {
                    return Ok(());
                }
            }
            call.reply.null_array();
            Ok(())
        },
    },
    Command {
        name: "llen",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the length of a list.",
        run: |call| {
            let (list, reply) = call.read::<List>(call.args.at(1))?;
            reply.integer(list.map_or(0, List::len) as i64);
            Ok(())
        },
    },
    Command {
        name: "lindex",
        arity: 3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns an element of a list by its index.",
        run: |call| {
            let index = call.args.at(2);
            let (list, reply) = call.read::<List>(call.args.at(1))?;
            let element = match list {
                Some(list) => place(integer(index)?, list.len()).and_then(|index| list.elements().get(index)),
                None => None,
            };
            reply.optional_bulk(element);
            Ok(())
        },
    },
    Command {
        name: "lrange",
        arity: 4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns a range of elements of a list.",
        run: |call| {
            let (start, end) = (integer(call.args.at(2))?, integer(call.args.at(3))?);
            let (list, reply) = call.read::<List>(call.args.at(1))?;
            let range = places(start, end, list.map_or(0, List::len));
            reply.array(range.len());
            let elements = list.into_iter().flat_map(|list| list.elements().iter_from(range.start));
            elements.take(range.len()).for_each(|element| reply.bulk(element));
            Ok(())
        },
    },
    Command {
        name: "lset",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Sets the value of an element of a list by its index.",
        run: |call| {
            let key = call.args.at(1);
            let index = call.args.at(2);
            let list = call.value::<List>(key)?.ok_or(CommandError::Other("no such key"))?;
            let index = place(integer(index)?, list.len()).ok_or(CommandError::Other("index out of range"))?;
            call.change(key, Change::SetAt { index: index as u64, element: call.args.at(3) });
            call.notify(Events::LIST, "lset", key);
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "linsert",
        arity: 5,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Inserts an element before or after another element of a list.",
        run: insert,
    },
    Command {
        name: "lrem",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &[],
        summary: "Removes elements that are equal to one from a list. Deletes the list if no elements remain.",
        run: remove,
    },
    Command {
        name: "ltrim",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &[],
        summary: "Removes elements from both ends of a list. Deletes the list if no elements remain.",
        run: |call| {
            let key = call.args.at(1);
            let (start, end) = (integer(call.args.at(2))?, integer(call.args.at(3))?);
            let len = call.value::<List>(key)?.map_or(0, List::len);
            let kept = places(start, end, len);
            for (side, count) in [(Side::Left, kept.start), (Side::Right, len - kept.end)] {
                if count > 0 {
                    call.change(key, Change::Pop { side, count: count as u64 });
                }
            }
            if kept.len() < len {
                call.notify_taken(Events::LIST, "ltrim", key);
            }
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "lmove",
        arity: 5,
        access: Access::Write,
        keys: Keys::TWO,
        flags: &["denyoom"],
        summary: "Moves an element from an end of a list to an end of another and returns it.",
        run: |call| {
            let (from, to) = (side(call.args.at(3))?, side(call.args.at(4))?);
            reply_moved(call, from, to)
        },
    },
    Command {
        name: "rpoplpush",
        arity: 3,
        access: Access::Write,
        keys: Keys::TWO,
        flags: &["denyoom"],
        summary: "Moves the last element of a list to the front of another and returns it.",
        run: |call| reply_moved(call, Side::Right, Side::Left),
    },
    Command {
        name: "lpos",
        arity: -3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the index of elements of a list that are equal to one.",
        run: find,
    },
];

/// What notifications call a push to this side.
fn pushed(side: Side) -> &'static str {
    if side == Side::Left { "lpush" } else { "rpush" }
}

fn popped(side: Side) -> &'static str {
    if side == Side::Left { "lpop" } else { "rpop" }
}

pub(super) fn side(word: &[u8]) -> Result<Side, CommandError> {
    if is_word(word, "left") {
        Ok(Side::Left)
    } else if is_word(word, "right") {
        Ok(Side::Right)
    } else {
        Err(CommandError::Syntax)
    }
}

/// The place that an index means; a negative one counts from the end.
fn place(index: i64, len: usize) -> Option<usize> {
    let from_end = usize::try_from(index.unsigned_abs()).ok();
    let place = if index < 0 { len.checked_sub(from_end?)? } else { from_end? };
    (place < len).then_some(place)
}

/// The places from one index to another, that one included; negative ones count from the end.
pub(super) fn places(start: i64, end: i64, len: usize) -> Range<usize> {
    let place = |index: i64| {
        let place = if index < 0 { index.saturating_add(len as i64) } else { index };
        usize::try_from(place.saturating_add(1)).map_or(0, |behind| behind.min(len + 1))
    };
    // Each as the place behind it, so that there is one before the first.
    let (start, end) = (place(start).max(1) - 1, place(end).min(len));
    if start < end { start..end } else { 0..0 }
}

/// A number within bounds, or this text as the error.
pub(super) fn at_least(least: i64, text: &[u8], wrong: &'static str) -> Result<usize, CommandError> {
    let number = integer(text).ok().filter(|number| *number >= least);
    number.and_then(|number| usize::try_from(number).ok()).ok_or(CommandError::Other(wrong))
}

pub(super) const NOT_POSITIVE: &str = "value is out of range, must be positive";

/// Any number but the lowest, whose opposite is none.
pub(super) fn with_opposite(text: &[u8]) -> Result<i64, CommandError> {
    let number = integer(text)?;
    let wrong = "value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    if number == i64::MIN { Err(CommandError::Other(wrong)) } else { Ok(number) }
}

fn push(call: &mut Call<'_>, side: Side, only_existing: bool) -> Result<(), CommandError> {
    let key = call.args.at(1);
    let before = call.value::<List>(key)?.map_or(0, List::len);
    let elements = call.args.skip(2);
    if only_existing && before == 0 {
        call.reply.integer(0);
        return Ok(());
    }
    let len = before + elements.len();
    let elements = words::collect(elements.iter());
    call.change(key, Change::Push { side, elements: Words::new(&elements) });
    call.notify(Events::LIST, pushed(side), key);
    call.reply.integer(len as i64);
    Ok(())
}

/// What stands around the elements that are popped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One element, alone.
    Alone,
    Array,
    /// The key, and an array.
    Keyed,
}

/// Takes up to `count` elements from an end of a list into the reply; whether there is such a list.
pub(super) fn pop(call: &mut Call<'_>, key: &[u8], side: Side, count: usize, form: Form) -> Result<bool, CommandError> {
    let (Some(list), reply) = call.value_and_reply::<List>(key)? else { return Ok(false) };
    let count = count.min(list.len());
    if form == Form::Keyed {
        reply.array(2);
        reply.bulk(key);
    }
    if form != Form::Alone {
        reply.array(count);
    }
    let elements = list.elements();
    match side {
        Side::Left => elements.iter().take(count).for_each(|element| reply.bulk(element)),
        Side::Right if count == 1 => elements.get(list.len() - 1).into_iter().for_each(|element| reply.bulk(element)),
        Side::Right => elements.iter_back_from(list.len()).take(count).for_each(|element| reply.bulk(element)),
    }
    if count > 0 {
        call.change(key, Change::Pop { side, count: count as u64 });
        call.notify_taken(Events::LIST, popped(side), key);
    }
    Ok(true)
}

fn pop_one_or_many(call: &mut Call<'_>, name: &'static str, side: Side) -> Result<(), CommandError> {
    if call.args.len() > 3 {
        return Err(CommandError::Arity(name));
    }
    let key = call.args.at(1);
    match call.args.get(2) {
        Some(count) => {
            let count = at_least(0, count, NOT_POSITIVE)?;
            if !pop(call, key, side, count, Form::Array)? {
                call.reply.null_array();
            }
        }
        None => {
            if !pop(call, key, side, 1, Form::Alone)? {
                call.reply.null();
            }
        }
    }
    Ok(())
}

/// `numkeys key [key ...] end [COUNT count]`: the keys, the end, the count.
pub(super) fn pop_arguments<'a, End>(
    args: Args<'a>,
    end: impl FnOnce(&[u8]) -> Result<End, CommandError>,
) -> Result<(Keyed<'a>, End, usize), CommandError> {
    let len = at_least(1, args.at(0), "numkeys should be greater than 0")?;
    let keys = Keyed { args: args.skip(1), len };
    // There are not so many arguments: more than that are no place.
    let behind = args.skip(len.saturating_add(1));
    let end = end(behind.get(0).ok_or(CommandError::Syntax)?)?;
    let mut count = None;
    let mut options = behind.skip(1).iter();
    while let Some(option) = options.next() {
        let value = options.next().filter(|_| count.is_none() && is_word(option, "count"));
        count = Some(at_least(1, value.ok_or(CommandError::Syntax)?, "count should be greater than 0")?);
    }
    Ok((keys, end, count.unwrap_or(1)))
}

/// The keys of a command that says how many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed<'a> {
    pub(super) args: Args<'a>,
    pub(super) len: usize,
}

impl<'a> Keyed<'a> {
    pub(super) fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.args.iter().take(self.len)
    }
}

/// Moves an element from an end of a list to an end of another; whether there was one to move.
pub(super) fn move_element(
    call: &mut Call<'_>,
    (key, from): (&[u8], Side),
    (other, to): (&[u8], Side),
) -> Result<bool, CommandError> {
    let Some(list) = call.value::<List>(key)? else { return Ok(false) };
    let index = if from == Side::Left { 0 } else { list.len() - 1 };
    let element: Vec<u8> = list.elements().get(index).unwrap_or_default().into();
    call.value::<List>(other)?;
    let elements = words::collect([&element[..]]);
    // In this order, for it may be the same list: it does not become empty, and keeps its deadline.
    call.change(other, Change::Push { side: to, elements: Words::new(&elements) });
    call.change(key, Change::Pop { side: from, count: 1 });
    call.notify(Events::LIST, pushed(to), other);
    call.notify_taken(Events::LIST, popped(from), key);
    call.reply.bulk(&element);
    Ok(true)
}

fn reply_moved(call: &mut Call<'_>, from: Side, to: Side) -> Result<(), CommandError> {
    let (key, other) = (call.args.at(1), call.args.at(2));
    if !move_element(call, (key, from), (other, to))? {
        call.reply.null();
    }
    Ok(())
}

fn insert(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (key, side) = (call.args.at(1), call.args.at(2));
    let behind = if is_word(side, "after") {
        1
    } else if is_word(side, "before") {
        0
    } else {
        return Err(CommandError::Syntax);
    };
    let pivot = call.args.at(3);
    let Some(list) = call.value::<List>(key)? else {
        call.reply.integer(0);
        return Ok(());
    };
    let len = list.len();
    let Some(index) = list.elements().iter().position(|element| element == pivot) else {
        call.reply.integer(-1);
        return Ok(());
    };
    call.change(key, Change::InsertAt { index: (index + behind) as u64, element: call.args.at(4) });
    call.notify(Events::LIST, "linsert", key);
    call.reply.integer(len as i64 + 1);
    Ok(())
}

fn remove(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (key, element) = (call.args.at(1), call.args.at(3));
    let count = integer(call.args.at(2))?;
    let Some(list) = call.value::<List>(key)? else {
        call.reply.integer(0);
        return Ok(());
    };
    let (elements, len) = (list.elements(), list.len());
    let most = if count == 0 { usize::MAX } else { usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX) };
    let is_equal = |(_, other): &(usize, &[u8])| *other == element;
    // In descending order, so that what is still to go stays in its place.
    let gone: Vec<usize> = if count < 0 {
        let back = (0..len).rev().zip(elements.iter_back_from(len));
        back.filter(is_equal).take(most).map(|(index, _)| index).collect()
    } else {
        let mut gone: Vec<usize> = elements.iter().enumerate().filter(is_equal).take(most).map(|(i, _)| i).collect();
        gone.reverse();
        gone
    };
    if gone.len() == len {
        call.delete(key);
    } else {
        gone.iter().for_each(|index| call.change(key, Change::RemoveAt { index: *index as u64 }));
    }
    if !gone.is_empty() {
        call.notify_taken(Events::LIST, "lrem", key);
    }
    call.reply.integer(gone.len() as i64);
    Ok(())
}

fn find(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (mut rank, mut count, mut most) = (1, None, 0);
    let mut options = call.args.skip(3).iter();
    while let Some(option) = options.next() {
        let value = options.next().ok_or(CommandError::Syntax)?;
        if is_word(option, "rank") {
            rank = with_opposite(value)?;
            if rank == 0 {
                return Err(CommandError::Other(
                    "RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
                ));
            }
        } else if is_word(option, "count") {
            count = Some(at_least(0, value, "COUNT can't be negative")?);
        } else if is_word(option, "maxlen") {
            most = at_least(0, value, "MAXLEN can't be negative")?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let most = if most == 0 { usize::MAX } else { most };
    let before = usize::try_from(rank.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let wanted = match count {
        None => 1,
        Some(0) => usize::MAX,
        Some(count) => count,
    };
    let element = call.args.at(2);
    let (list, reply) = call.read::<List>(call.args.at(1))?;
    let mut found = Vec::new();
    if let Some(list) = list {
        let len = list.len();
        let is_equal = |(_, other): &(usize, &[u8])| *other == element;
        let indices = |(index, _)| index as i64;
        if rank > 0 {
            let places = list.elements().iter().enumerate().take(most);
            found.extend(places.filter(is_equal).skip(before).take(wanted).map(indices));
        } else {
            let places = (0..len).rev().zip(list.elements().iter_back_from(len)).take(most);
            found.extend(places.filter(is_equal).skip(before).take(wanted).map(indices));
        }
    }
    if count.is_some() {
        reply.array(found.len());
        found.into_iter().for_each(|index| reply.integer(index));
    } else {
        match found.first() {
            Some(index) => reply.integer(*index),
            None => reply.null(),
        }
    }
    Ok(())
}
