//! Hashes.

use alloc::vec::Vec;

use super::counters::float;
use super::draws::{Count, Source};
use super::keyspace::{self, Walk};
use super::{Access, Command, CommandError, Keys, integer, is_word};
use crate::call::Call;
use crate::digits::Digits;
use crate::effect::Change;
use crate::events::Events;
use crate::extended::Extended;
use crate::random::Random;
use crate::resp::{Protocol, parse_i64};
use crate::store::{Hash, Words, words};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "hset",
        arity: -4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Creates or modifies the value of a field in a hash.",
        run: |call| {
            let new = put_fields(call, "hset")?;
            call.reply.integer(new as i64);
            Ok(())
        },
    },
    Command {
        name: "hmset",
        arity: -4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Sets the values of multiple fields.",
        run: |call| {
            put_fields(call, "hmset")?;
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "hget",
        arity: 3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the value of a field in a hash.",
        run: |call| {
            let field = call.args.at(2);
            let (hash, reply) = call.read::<Hash>(call.args.at(1))?;
            reply.optional_bulk(hash.and_then(|hash| hash.get(field)));
            Ok(())
        },
    },
    Command {
        name: "hdel",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain.",
        run: |call| {
            let key = call.args.at(1);
            let fields = call.args.skip(2);
            let hash = call.value::<Hash>(key)?;
            let before = hash.map_or(0, Hash::len);
            let gone = words::collect(fields.iter().filter(|field| hash.is_some_and(|hash| hash.get(field).is_some())));
            if !gone.is_empty() {
                call.change(key, Change::DropFields(Words::new(&gone)));
                call.notify_taken(Events::HASH, "hdel", key);
            }
            let after = call.value::<Hash>(key)?.map_or(0, Hash::len);
            call.reply.integer((before - after) as i64);
            Ok(())
        },
    },
    Command {
        name: "hlen",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the number of fields in a hash.",
        run: |call| {
            let (hash, reply) = call.read::<Hash>(call.args.at(1))?;
            reply.integer(hash.map_or(0, Hash::len) as i64);
            Ok(())
        },
    },
    Command {
        name: "hgetall",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns all fields and values in a hash.",
        run: |call| {
            let (hash, reply) = call.read::<Hash>(call.args.at(1))?;
            reply.map(hash.map_or(0, Hash::len));
            for (field, value) in hash.into_iter().flat_map(Hash::iter) {
                reply.bulk(field);
                reply.bulk(value);
            }
            Ok(())
        },
    },
    Command {
        name: "hsetnx",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Sets the value of a field in a hash only if the field doesn't exist.",
        run: |call| {
            let (key, field) = (call.args.at(1), call.args.at(2));
            let is_new = call.value::<Hash>(key)?.and_then(|hash| hash.get(field)).is_none();
            if is_new {
                put_field(call, key, field, call.args.at(3), "hset");
            }
            call.reply.integer(is_new.into());
            Ok(())
        },
    },
    Command {
        name: "hmget",
        arity: -3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the values of multiple fields in a hash.",
        run: |call| {
            let fields = call.args.skip(2);
            let (hash, reply) = call.read::<Hash>(call.args.at(1))?;
            reply.array(fields.len());
            fields.iter().for_each(|field| reply.optional_bulk(hash.and_then(|hash| hash.get(field))));
            Ok(())
        },
    },
    Command {
        name: "hexists",
        arity: 3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Determines whether a field exists in a hash.",
        run: |call| {
            let field = call.args.at(2);
            let (hash, reply) = call.read::<Hash>(call.args.at(1))?;
            reply.integer(hash.is_some_and(|hash| hash.get(field).is_some()).into());
            Ok(())
        },
    },
    Command {
        name: "hstrlen",
        arity: 3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the length of the value of a field.",
        run: |call| {
            let field = call.args.at(2);
            let (hash, reply) = call.read::<Hash>(call.args.at(1))?;
            reply.integer(hash.and_then(|hash| hash.get(field)).map_or(0, <[u8]>::len) as i64);
            Ok(())
        },
    },
    Command {
        name: "hkeys",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns all fields in a hash.",
        run: |call| {
            let (hash, reply) = call.read::<Hash>(call.args.at(1))?;
            reply.array(hash.map_or(0, Hash::len));
            hash.into_iter().flat_map(Hash::iter).for_each(|(field, _)| reply.bulk(field));
            Ok(())
        },
    },
    Command {
        name: "hvals",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns all values in a hash.",
        run: |call| {
            let (hash, reply) = call.read::<Hash>(call.args.at(1))?;
            reply.array(hash.map_or(0, Hash::len));
            hash.into_iter().flat_map(Hash::iter).for_each(|(_, value)| reply.bulk(value));
            Ok(())
        },
    },
    Command {
        name: "hincrby",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field doesn't exist.",
        run: |call| {
            let by = integer(call.args.at(3))?;
            let (key, field) = (call.args.at(1), call.args.at(2));
            let old = match call.value::<Hash>(key)?.and_then(|hash| hash.get(field)) {
                Some(text) => parse_i64(text).ok_or(CommandError::Other("hash value is not an integer"))?,
                None => 0,
            };
            let new = old.checked_add(by).ok_or(CommandError::Overflow)?;
            put_field(call, key, field, &Digits::of(new), "hincrby");
            call.reply.integer(new);
            Ok(())
        },
    },
    Command {
        name: "hincrbyfloat",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Increments the floating-point value of a field by a number. Uses 0 as initial value if the field doesn't exist.",
        run: |call| {
            let by = float(call.args.at(3))?;
            if !by.is_finite() {
                return Err(CommandError::Other("value is NaN or Infinity"));
            }
            let (key, field) = (call.args.at(1), call.args.at(2));
            let old = match call.value::<Hash>(key)?.and_then(|hash| hash.get(field)) {
                Some(text) => Extended::parse(text).ok_or(CommandError::Other("hash value is not a float"))?,
                None => Extended::ZERO,
            };
            let new = old.checked_add(by).ok_or(CommandError::Other("increment would produce NaN or Infinity"))?;
            let new = new.to_text();
            put_field(call, key, field, new.as_bytes(), "hincrbyfloat");
            call.reply.bulk(new.as_bytes());
            Ok(())
        },
    },
    Command {
        name: "hscan",
        arity: -3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Iterates over fields and values of a hash.",
        run: |call| {
            let (cursor, walk) = (keyspace::cursor(call.args.at(2))?, Walk::parse(call.args.skip(3)));
            let (hash, reply) = call.read::<Hash>(call.args.at(1))?;
            let mut fields = Vec::new();
            let next = match hash {
                // As in Redis, the options of nothing are not looked at.
                None => 0,
                Some(hash) => {
                    let walk = walk?;
                    hash.scan(cursor, walk.count, |field, value| {
                        if walk.shows(field) {
                            fields.push((field, value));
                        }
                    })
                }
            };
            keyspace::reply_walk(reply, next, fields.len() * 2);
            for (field, value) in fields {
                reply.bulk(field);
                reply.bulk(value);
            }
            Ok(())
        },
    },
    Command {
        name: "hrandfield",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns one or more fields of a hash, chosen at random.",
        run: random_fields,
    },
];

fn put_field(call: &mut Call<'_>, key: &[u8], field: &[u8], value: &[u8], event: &str) {
    let words = words::collect([field, value]);
    call.change(key, Change::PutFields(Words::new(&words)));
    call.notify(Events::HASH, event, key);
}

/// Gives fields values; how many fields are new.
fn put_fields(call: &mut Call<'_>, name: &'static str) -> Result<usize, CommandError> {
    if !call.args.len().is_multiple_of(2) {
        return Err(CommandError::Arity(name));
    }
    let key = call.args.at(1);
    let before = call.value::<Hash>(key)?.map_or(0, Hash::len);
    let fields = words::collect(call.args.skip(2).iter());
    call.change(key, Change::PutFields(Words::new(&fields)));
    call.notify(Events::HASH, "hset", key);
    Ok(call.value::<Hash>(key)?.map_or(0, Hash::len) - before)
}

fn random_fields(call: &mut Call<'_>) -> Result<(), CommandError> {
    let mut random = Random::new(call.core.random());
    let Some(count) = call.args.get(2) else {
        let (hash, reply) = call.read::<Hash>(call.args.at(1))?;
        reply.optional_bulk(hash.and_then(|hash| hash.random(random.next())).map(|(field, _)| field));
        return Ok(());
    };
    let count = Count::parse(count)?;
    let with_values = match call.args.get(3) {
        None => false,
        Some(option) if call.args.len() == 4 && is_word(option, "withvalues") => true,
        Some(_) => return Err(CommandError::Syntax),
    };
    if with_values && count.number() > i64::MAX as usize / 2 {
        return Err(CommandError::Other("value is out of range"));
    }
    let (hash, reply) = call.read::<Hash>(call.args.at(1))?;
    let Some(hash) = hash else {
        reply.array(0);
        return Ok(());
    };
    let fields = Source { len: hash.len(), all: hash.iter(), one: |bits| hash.random(bits) };
    let in_pairs = with_values && reply.protocol == Protocol::Resp3;
    let width = if with_values && !in_pairs { 2 } else { 1 };
    fields.reply(count, &mut random, reply, width, |reply, (field, value)| {
        if in_pairs {
            reply.array(2);
        }
        reply.bulk(field);
        if with_values {
            reply.bulk(value);
        }
    })
}
