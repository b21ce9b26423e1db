//! Keys whatever they hold: existence, deletion, deadlines, whole databases.

use super::strings::TimeUnit;
use super::{Access, Command, CommandError, Keys, integer, is_word};
use crate::call::Call;
use crate::ids::DbId;
use crate::limits;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "del",
        arity: -2,
        access: Access::Write,
        keys: Keys::ALL,
        flags: &[],
        summary: "Deletes one or more keys.",
        run: |call| {
            let mut deleted = 0;
            for key in call.args.skip(1).iter() {
                if call.exists(key) {
                    call.delete(key);
                    deleted += 1;
                }
            }
            call.reply.integer(deleted);
            Ok(())
        },
    },
    Command {
        name: "exists",
        arity: -2,
        access: Access::Read,
        keys: Keys::ALL,
        flags: &["fast"],
        summary: "Determines whether one or more keys exist.",
        run: |call| {
            let mut found = 0;
            for key in call.args.skip(1).iter() {
                found += i64::from(call.look_up(key).is_some());
            }
            call.reply.integer(found);
            Ok(())
        },
    },
    Command {
        name: "type",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Determines the type of value stored at a key.",
        run: |call| {
            let found = call.exists(call.args.at(1));
            call.reply.simple(if found { "string" } else { "none" });
            Ok(())
        },
    },
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
        name: "ttl",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the expiration time in seconds of a key.",
        run: |call| {
            let left = time_left(call);
            // Rounded to the nearest second, as Redis does.
            call.reply.integer(if left < 0 { left } else { (left + 500) / 1000 });
            Ok(())
        },
    },
    Command {
        name: "pttl",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the expiration time in milliseconds of a key.",
        run: |call| {
            let left = time_left(call);
            call.reply.integer(left);
            Ok(())
        },
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
            }
            call.reply.integer(i64::from(had));
            Ok(())
        },
    },
    Command {
        name: "dbsize",
        arity: 1,
        access: Access::Read,
        keys: Keys::NONE,
        flags: &["fast"],
        summary: "Returns the number of keys in the database.",
        run: |call| {
            let db = call.db();
            call.depend_on_database(db);
            call.reply.integer(call.core.store.database(db).len() as i64);
            Ok(())
        },
    },
    Command {
        name: "flushdb",
        arity: -1,
        access: Access::Write,
        keys: Keys::NONE,
        flags: &[],
        summary: "Removes all keys from the current database.",
        run: |call| {
            check_flush_mode(call)?;
            call.flush(call.db());
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "flushall",
        arity: -1,
        access: Access::Write,
        keys: Keys::NONE,
        flags: &[],
        summary: "Removes all keys from all databases.",
        run: |call| {
            check_flush_mode(call)?;
            for db in 0..limits::DATABASES {
                call.flush(DbId(db));
            }
            call.reply.ok();
            Ok(())
        },
    },
];

/// FLUSHALL and FLUSHDB take ASYNC or SYNC; here both mean the same.
fn check_flush_mode(call: &Call<'_>) -> Result<(), CommandError> {
    match call.args.get(1) {
        None => Ok(()),
        Some(mode) if call.args.len() == 2 && (is_word(mode, "async") || is_word(mode, "sync")) => Ok(()),
        Some(_) => Err(CommandError::Syntax),
    }
}

/// Milliseconds until the key's deadline; -1 if it has none, -2 if there is no such key.
fn time_left(call: &mut Call<'_>) -> i64 {
    let now = call.now.0;
    match call.get(call.args.at(1)) {
        None => -2,
        Some(item) => item.deadline.map_or(-1, |deadline| (deadline - now) as i64),
    }
}

fn expire(call: &mut Call<'_>, unit: TimeUnit, name: &'static str) -> Result<(), CommandError> {
    let key = call.args.at(1);
    let deadline = unit.deadline_at(integer(call.args.at(2))?, call.now, name)?;
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
            return Err(CommandError::Text(alloc::format!("Unsupported option {}", super::lossy(option))));
        }
    }
    if nx && (xx || gt || lt) {
        return Err(CommandError::Other("NX and XX, GT or LT options at the same time are not compatible"));
    }
    if gt && lt {
        return Err(CommandError::Other("GT and LT options at the same time are not compatible"));
    }
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
        if deadline <= call.now.0 {
            call.delete(key);
        } else {
            call.set_deadline(key, Some(deadline));
        }
    }
    call.reply.integer(i64::from(holds));
    Ok(())
}
