//! Keys whatever they hold: existence, deletion, moving, whole databases.

use alloc::vec::Vec;

use super::{Access, Command, CommandError, Keys, check_mode, check_stored, is_word, keyspace};
use crate::call::Call;
use crate::effect::{Effect, Effects};
use crate::events::Events;
use crate::ids::DbId;
use crate::store::{ItemPieces, Value};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "del",
        arity: -2,
        access: Access::Write,
        keys: Keys::ALL,
        flags: &[],
        summary: "Deletes one or more keys.",
        run: delete,
    },
    Command {
        name: "unlink",
        arity: -2,
        access: Access::Write,
        keys: Keys::ALL,
        flags: &["fast"],
        summary: "Deletes one or more keys, as DEL does.",
        run: delete,
    },
    Command {
        name: "exists",
        arity: -2,
        access: Access::Read,
        keys: Keys::ALL,
        flags: &["fast"],
        summary: "Determines whether one or more keys exist.",
        run: |call| count_existing(call, |call, key| call.look_at(key).is_some()),
    },
    Command {
        name: "touch",
        arity: -2,
        access: Access::Read,
        keys: Keys::ALL,
        flags: &["fast"],
        summary: "Counts those of the keys that exist, and notes that they were used.",
        run: |call| {
            // It is what it is for, whatever CLIENT NO-TOUCH says.
            let quiet = core::mem::take(&mut call.session.no_touch);
            let done = count_existing(call, |call, key| call.look_up(key).is_some());
            call.session.no_touch = quiet;
            done
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
            let found = call.peek(call.args.at(1)).map_or("none", |item| item.value.type_name());
            call.reply.simple(found);
            Ok(())
        },
    },
    Command {
        name: "rename",
        arity: 3,
        access: Access::Write,
        keys: Keys::TWO,
        flags: &[],
        summary: "Gives a key another name, in place of a key that may have had it.",
        run: |call| {
            if !call.exists(call.args.at(1)) {
                return Err(NO_SUCH_KEY);
            }
            let (db, from, to) = (call.db(), call.args.at(1), call.args.at(2));
            if from != to {
                rename(call, from, db, to)?;
            }
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "renamenx",
        arity: 3,
        access: Access::Write,
        keys: Keys::TWO,
        flags: &["fast"],
        summary: "Gives a key another name that no key has.",
        run: |call| {
            if !call.exists(call.args.at(1)) {
                return Err(NO_SUCH_KEY);
            }
            let (db, from, to) = (call.db(), call.args.at(1), call.args.at(2));
            let is_free = from != to && !call.exists(to);
            if is_free {
                rename(call, from, db, to)?;
            }
            call.reply.integer(i64::from(is_free));
            Ok(())
        },
    },
    Command {
        name: "move",
        arity: 3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Moves a key to another database where it doesn't exist.",
        run: |call| {
            let (key, db) = (call.args.at(1), database(call, call.args.at(2))?);
            if db == call.db() {
                return Err(SAME_KEY);
            }
            let holds = call.exists(key) && call.get_in(db, key).is_none();
            if holds {
                move_to(call, key, db, key)?;
                call.notify(Events::GENERIC, "move_from", key);
                call.notify_in(db, Events::GENERIC, "move_to", key);
            }
            call.reply.integer(i64::from(holds));
            Ok(())
        },
    },
    Command {
        name: "copy",
        arity: -3,
        access: Access::Write,
        keys: Keys::TWO,
        flags: &["denyoom"],
        summary: "Copies the value and the expiration time of a key to another key.",
        run: copy,
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
            check_mode(call.args.skip(1), CommandError::Syntax)?;
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
            check_mode(call.args.skip(1), CommandError::Syntax)?;
            let all: Vec<DbId> = call.core.system.databases.iter().map(|(_, id)| id).collect();
            all.into_iter().for_each(|db| call.flush(db));
            call.reply.ok();
            Ok(())
        },
    },
];

const NO_SUCH_KEY: CommandError = CommandError::Other("no such key");
const SAME_KEY: CommandError = CommandError::Other("source and destination objects are the same");

fn delete(call: &mut Call<'_>) -> Result<(), CommandError> {
    let mut deleted = 0;
    for key in call.args.skip(1).iter() {
        if call.exists(key) {
            call.delete(key);
            call.notify(Events::GENERIC, "del", key);
            deleted += 1;
        }
    }
    call.reply.integer(deleted);
    Ok(())
}

fn count_existing(call: &mut Call<'_>, exists: impl Fn(&mut Call<'_>, &[u8]) -> bool) -> Result<(), CommandError> {
    let mut found = 0;
    for key in call.args.skip(1).iter() {
        found += i64::from(exists(call, key));
    }
    call.reply.integer(found);
    Ok(())
}

fn copy(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (from, to) = (call.args.at(1), call.args.at(2));
    let (mut db, mut replaces) = (call.db(), false);
    let mut options = call.args.skip(3).iter();
    while let Some(option) = options.next() {
        if is_word(option, "replace") {
            replaces = true;
        } else if is_word(option, "db") {
            db = database(call, options.next().ok_or(CommandError::Syntax)?)?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if db == call.db() && from == to {
        return Err(SAME_KEY);
    }
    let holds = call.look_up(from).is_some() && (call.get_in(db, to).is_none() || replaces);
    if holds {
        copy_to(call, from, db, to)?;
        call.notify_in(db, Events::GENERIC, "copy_to", to);
    }
    call.reply.integer(i64::from(holds));
    Ok(())
}

/// Where the database is kept that a command names beside the session's.
fn database(call: &Call<'_>, text: &[u8]) -> Result<DbId, CommandError> {
    let databases = &call.core.system.databases;
    keyspace::database(databases, text).map(|number| databases.id(number))
}

fn copy_to(call: &mut Call<'_>, from: &[u8], db: DbId, to: &[u8]) -> Result<(), CommandError> {
    let mut copied = Vec::new();
    if let Some(item) = call.get(from) {
        // A string has its own bound.
        let is_collection = !matches!(item.value, Value::Text(_));
        let mut pieces = ItemPieces::new(db, to, item);
        while pieces.append_next(&mut copied) {
            if is_collection {
                check_stored(copied.len())?;
            }
        }
    }
    if call.get_in(db, to).is_some() {
        call.effect(&Effect::Delete { db, key: to });
    }
    for effect in Effects::new(&copied).flatten() {
        call.effect(&effect);
    }
    Ok(())
}

fn rename(call: &mut Call<'_>, from: &[u8], db: DbId, to: &[u8]) -> Result<(), CommandError> {
    move_to(call, from, db, to)?;
    call.notify(Events::GENERIC, "rename_from", from);
    call.notify(Events::GENERIC, "rename_to", to);
    Ok(())
}

fn move_to(call: &mut Call<'_>, from: &[u8], db: DbId, to: &[u8]) -> Result<(), CommandError> {
    copy_to(call, from, db, to)?;
    call.delete(from);
    Ok(())
}
