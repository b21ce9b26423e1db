//! Parts of strings.

use core::ops::Range;

use super::{Access, Command, CommandError, Keys, TOO_LONG, integer};
use crate::call::Call;
use crate::events::Events;
use crate::limits;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "append",
        arity: 3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Appends to the string value of a key. Creates the key if it doesn't exist.",
        run: |call| {
            let (key, tail) = (call.args.at(1), call.args.at(2));
            let old = call.value::<[u8]>(key)?.map(<[u8]>::len);
            let len = old.unwrap_or(0);
            check_end(len, tail)?;
            if old.is_none() || !tail.is_empty() {
                call.patch(key, len, tail);
            }
            call.notify(Events::STRING, "append", key);
            call.reply.integer((len + tail.len()) as i64);
            Ok(())
        },
    },
    Command {
        name: "strlen",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the length in bytes of a string value.",
        run: |call| {
            let len = call.read::<[u8]>(call.args.at(1))?.0.map_or(0, <[u8]>::len);
            call.reply.integer(len as i64);
            Ok(())
        },
    },
    Command {
        name: "getrange",
        arity: 4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the part of a string value between two positions.",
        run: get_range,
    },
    Command {
        name: "substr",
        arity: 4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "The old name of GETRANGE.",
        run: get_range,
    },
    Command {
        name: "setrange",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Overwrites a part of a string value from a position on. Creates the key if it doesn't exist.",
        run: |call| {
            let (key, bytes) = (call.args.at(1), call.args.at(3));
            let offset = integer(call.args.at(2))?;
            let offset = usize::try_from(offset).map_err(|_| CommandError::Other("offset is out of range"))?;
            let len = call.value::<[u8]>(key)?.map_or(0, <[u8]>::len);
            if bytes.is_empty() {
                call.reply.integer(len as i64);
                return Ok(());
            }
            check_end(offset, bytes)?;
            call.patch(key, offset, bytes);
            call.notify(Events::STRING, "setrange", key);
            call.reply.integer(len.max(offset + bytes.len()) as i64);
            Ok(())
        },
    },
];

/// A value with these bytes at `start` must not be too long.
fn check_end(start: usize, bytes: &[u8]) -> Result<(), CommandError> {
    let end = start.checked_add(bytes.len());
    if end.is_some_and(|end| end <= limits::MAX_BULK) { Ok(()) } else { Err(TOO_LONG) }
}

fn get_range(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (start, end) = (integer(call.args.at(2))?, integer(call.args.at(3))?);
    let (value, reply) = call.read::<[u8]>(call.args.at(1))?;
    let value = value.unwrap_or_default();
    let part = if is_backwards(start, end) { 0..0 } else { span(start, end, value.len()) };
    reply.bulk(&value[part]);
    Ok(())
}

/// Two positions from the end in the wrong order: nothing, whatever they would be cut to.
pub(super) fn is_backwards(start: i64, end: i64) -> bool {
    start < 0 && end < 0 && start > end
}

/// The part of `len` elements between two positions, both included. Negative ones count from the end; what is beyond
/// is cut.
pub(super) fn span(start: i64, end: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from_front = |at: i64| if at < 0 { (len + at).max(0) } else { at };
    let (start, end) = (from_front(start), from_front(end).min(len - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_both_ends() {
        assert_eq!(span(0, -1, 5), 0..5);
        assert_eq!(span(-3, -2, 5), 2..4);
        assert_eq!(span(i64::MIN, i64::MAX, 5), 0..5);
        assert_eq!(span(3, 2, 5), 0..0);
        assert_eq!(span(5, 9, 5), 0..0);
        assert_eq!(span(-9, -9, 5), 0..1);
        assert_eq!(span(0, -1, 0), 0..0);
    }
}
