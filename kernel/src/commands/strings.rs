//! Whole strings: GET and SET with their kin.

use alloc::vec::Vec;

use super::deadlines::{Lifetime, TimeUnit};
use super::{Access, Command, CommandError, Keys, integer, is_word};
use crate::call::Call;
use crate::events::Events;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "get",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the string value of a key.",
        run: |call| {
            call.reply_value(call.args.at(1))?;
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
        name: "setnx",
        arity: 3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Sets the string value of a key that doesn't exist yet.",
        run: |call| {
            let key = call.args.at(1);
            let is_new = !call.exists(key);
            if is_new {
                call.put(key, call.args.at(2), None);
                call.notify(Events::STRING, "set", key);
            }
            call.reply.integer(i64::from(is_new));
            Ok(())
        },
    },
    Command {
        name: "setex",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Sets a string value with an expiration time in seconds.",
        run: |call| set_until(call, TimeUnit::SECONDS, "setex"),
    },
    Command {
        name: "psetex",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Sets a string value with an expiration time in milliseconds.",
        run: |call| set_until(call, TimeUnit::MILLISECONDS, "psetex"),
    },
    Command {
        name: "getset",
        arity: 3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Sets the string value of a key and returns the one before.",
        run: |call| {
            let key = call.args.at(1);
            call.reply_value(key)?;
            call.put(key, call.args.at(2), None);
            call.notify(Events::STRING, "set", key);
            Ok(())
        },
    },
    Command {
        name: "getdel",
        arity: 2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the string value of a key and deletes the key.",
        run: |call| {
            let key = call.args.at(1);
            if call.reply_value(key)? {
                call.delete(key);
                call.notify(Events::GENERIC, "del", key);
            }
            Ok(())
        },
    },
    Command {
        name: "getex",
        arity: -2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the string value of a key and changes its expiration time.",
        run: get_until,
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
                if call.reply_value(key).is_err() {
                    // It is no string.
                    call.reply.null();
                }
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
            let pairs = pairs(call, "mset")?;
            put_all(call, &pairs);
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "msetnx",
        arity: -3,
        access: Access::Write,
        keys: Keys::PAIRS,
        flags: &["denyoom"],
        summary: "Atomically sets the string values of one or more keys, if none of them exists.",
        run: |call| {
            let pairs = pairs(call, "msetnx")?;
            // Every key is looked at, for the answer depends on each.
            let found = pairs.iter().filter(|(key, _)| call.exists(key)).count();
            if found == 0 {
                put_all(call, &pairs);
            }
            call.reply.integer(i64::from(found == 0));
            Ok(())
        },
    },
];

/// A key and its value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// What MSET sets.
fn pairs<'a>(call: &Call<'a>, name: &'static str) -> Result<Vec<Pair<'a>>, CommandError> {
    if call.args.len().is_multiple_of(2) {
        return Err(CommandError::Arity(name));
    }
    let words: Vec<&[u8]> = call.args.skip(1).iter().collect();
    Ok(words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

fn put_all(call: &mut Call<'_>, pairs: &[Pair<'_>]) {
    for (key, value) in pairs {
        call.use_key(key);
        call.put(key, value, None);
        call.notify(Events::STRING, "set", key);
    }
}

fn set_until(call: &mut Call<'_>, unit: TimeUnit, name: &'static str) -> Result<(), CommandError> {
    let deadline = unit.deadline(integer(call.args.at(2))?, call.now, name)?;
    call.use_key(call.args.at(1));
    call.put(call.args.at(1), call.args.at(3), Some(deadline));
    call.notify(Events::STRING, "set", call.args.at(1));
    call.notify(Events::GENERIC, "expire", call.args.at(1));
    call.reply.ok();
    Ok(())
}

fn get_until(call: &mut Call<'_>) -> Result<(), CommandError> {
    let key = call.args.at(1);
    let mut lifetime = None;
    let mut options = call.args.skip(2).iter();
    while let Some(option) = options.next() {
        let new = Lifetime::of(option, &mut options)?.filter(|new| !matches!(new, Lifetime::Keep));
        Lifetime::choose(&mut lifetime, new.ok_or(CommandError::Syntax)?)?;
    }
    // As in Redis, the time is looked at only if there is a key.
    if !call.reply_value(key)? {
        return Ok(());
    }
    match lifetime {
        None | Some(Lifetime::Keep) => {}
        Some(Lifetime::Forever) => {
            if call.get(key).is_some_and(|item| item.deadline.is_some()) {
                call.set_deadline(key, None);
                call.notify(Events::GENERIC, "persist", key);
            }
        }
        Some(Lifetime::Until(unit, time)) => {
            let deadline = unit.deadline(integer(time)?, call.now, "getex")?;
            call.expire_at(key, deadline);
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Absent,
    Present,
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
        } else {
            let new = Lifetime::of(option, &mut options)?.filter(|new| !matches!(new, Lifetime::Forever));
            Lifetime::choose(&mut lifetime, new.ok_or(CommandError::Syntax)?)?;
        }
    }
    let until = match lifetime {
        Some(Lifetime::Until(unit, time)) => Some(unit.deadline(integer(time)?, call.now, "set")?),
        _ => None,
    };

    // Nothing is looked up that does not matter: most often, nothing does.
    let holds = match condition {
        None if get => {
            call.reply_value(key)?;
            true
        }
        None => true,
        Some(condition) => {
            let existed = if get { call.reply_value(key)? } else { call.exists(key) };
            existed == (condition == Condition::Present)
        }
    };
    if holds {
        if !get {
            call.use_key(key);
        }
        match until {
            // A deadline that has passed leaves nothing to store.
            Some(deadline) if deadline <= call.now.0 => call.delete(key),
            Some(_) => call.put(key, value, until),
            None => {
                let keeps = matches!(lifetime, Some(Lifetime::Keep));
                let old = if keeps { call.peek(key).and_then(|item| item.deadline) } else { None };
                call.put(key, value, old);
            }
        }
        call.notify(Events::STRING, "set", key);
        if let Some(deadline) = until {
            call.notify(Events::GENERIC, "expire", key);
            if deadline <= call.now.0 {
                call.notify(Events::EXPIRED, "expired", key);
            }
        }
    }
    if !get && holds {
        call.reply.ok();
    } else if !get {
        call.reply.null();
    }
    Ok(())
}
