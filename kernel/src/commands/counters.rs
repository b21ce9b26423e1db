//! Strings that are numbers.

use super::{Access, Command, CommandError, Keys, integer};
use crate::call::Call;
use crate::events::Events;
use crate::extended::Extended;

pub(super) const COMMANDS: &[Command] = &[
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
    Command {
        name: "decr",
        arity: 2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
        run: |call| increment(call, -1),
    },
    Command {
        name: "decrby",
        arity: 3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Decrements the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
        run: |call| {
            let by = integer(call.args.at(2))?;
            increment(call, by.checked_neg().ok_or(CommandError::Other("decrement would overflow"))?)
        },
    },
    Command {
        name: "incrbyfloat",
        arity: 3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Increments the floating-point value of a key. Uses 0 as initial value if the key doesn't exist.",
        run: increment_float,
    },
];

fn increment(call: &mut Call<'_>, by: i64) -> Result<(), CommandError> {
    let key = call.args.at(1);
    let (old, deadline) = match call.text(key)? {
        Some((text, deadline)) => (integer(text)?, deadline),
        None => (0, None),
    };
    let new = old.checked_add(by).ok_or(CommandError::Overflow)?;
    call.put(key, alloc::format!("{new}").as_bytes(), deadline);
    call.notify(Events::STRING, "incrby", key);
    call.reply.integer(new);
    Ok(())
}

/// A text that must be a number.
pub(super) fn float(text: &[u8]) -> Result<Extended, CommandError> {
    Extended::parse(text).ok_or(CommandError::Other("value is not a valid float"))
}

fn increment_float(call: &mut Call<'_>) -> Result<(), CommandError> {
    let key = call.args.at(1);
    let (old, deadline) = match call.text(key)? {
        Some((text, deadline)) => (float(text)?, deadline),
        None => (Extended::ZERO, None),
    };
    let new = old.checked_add(float(call.args.at(2))?);
    let new = new.ok_or(CommandError::Other("increment would produce NaN or Infinity"))?.to_text();
    call.put(key, new.as_bytes(), deadline);
    call.notify(Events::STRING, "incrbyfloat", key);
    call.reply.bulk(new.as_bytes());
    Ok(())
}
