//! Hashes.

use super::{Access, Command, CommandError, Keys};
use crate::call::Call;
use crate::effect::Change;
use crate::events::Events;
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
            let mut gone: alloc::vec::Vec<&[u8]> = alloc::vec::Vec::new();
            let fields = call.args.skip(2);
            if let Some(hash) = call.value::<Hash>(key)? {
                gone.extend(fields.iter().filter(|field| hash.get(field).is_some()));
                gone.sort_unstable();
                gone.dedup();
            }
            if !gone.is_empty() {
                let fields = words::collect(gone.iter().copied());
                call.change(key, Change::DropFields(Words::new(&fields)));
                call.notify(Events::HASH, "hdel", key);
                call.notify_if_gone(key);
            }
            call.reply.integer(gone.len() as i64);
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
];

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
