//! Whole databases: walking through their keys, exchanging them, what an item costs.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Access, Command, CommandError, Keys, integer, is_word, lossy};
use crate::call::Call;
use crate::databases::Databases;
use crate::effect::Effect;
use crate::glob;
use crate::ids::{DbId, DbNumber};
use crate::resp::{Args, Reply};

/// How many keys RANDOMKEY looks at where those that have expired must not be deleted; as in Redis.
const RANDOM_TRIES: u32 = 100;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "keys",
        arity: 2,
        access: Access::Read,
        keys: Keys::NONE,
        flags: &[],
        summary: "Returns all key names that match a pattern.",
        run: |call| {
            let db = call.db();
            let mut keys = Vec::new();
            let pattern = call.args.at(1);
            call.core.store.database(db).scan(0, usize::MAX, |key, _| {
                if glob::matches(pattern, key) {
                    keys.push(key.into());
                }
            });
            let keys = alive(call, db, keys);
            call.reply.array(keys.len());
            keys.iter().for_each(|key| call.reply.bulk(key));
            Ok(())
        },
    },
    Command {
        name: "scan",
        arity: -2,
        access: Access::Read,
        keys: Keys::NONE,
        flags: &[],
        summary: "Iterates over the key names in the database.",
        run: scan,
    },
    Command {
        name: "randomkey",
        arity: 1,
        access: Access::Read,
        keys: Keys::NONE,
        flags: &[],
        summary: "Returns a random key name from the database.",
        run: |call| {
            let db = call.db();
            let mut tries = 0;
            loop {
                let bits = call.core.random();
                let Some(key) = call.core.store.database(db).random(bits).map(Box::<[u8]>::from) else { break };
                // One that has expired is deleted by a primary. Others must not: then one that has may be all there is, and it
                // is named in the end, as by Redis's replicas.
                tries += 1;
                let is_last = !call.core.serves() && tries == RANDOM_TRIES;
                if call.get_in(db, &key).is_some() || is_last {
                    call.depend_on_database(db);
                    call.reply.bulk(&key);
                    return Ok(());
                }
            }
            call.depend_on_database(db);
            call.reply.null();
            Ok(())
        },
    },
    Command {
        name: "swapdb",
        arity: 3,
        access: Access::Write,
        keys: Keys::NONE,
        flags: &["fast"],
        summary: "Swaps two databases.",
        run: |call| {
            let databases = &call.core.system.databases;
            let [a, b] =
                [(1, "invalid first DB index"), (2, "invalid second DB index")].map(|(i, wrong)| {
                    match database(databases, call.args.at(i)) {
                        Err(CommandError::DbRange) => Ok(None),
                        found => found.map(Some).map_err(|_| CommandError::Other(wrong)),
                    }
                });
            let (a, b) = (a?, b?);
            let (a, b) = (a.ok_or(CommandError::DbRange)?, b.ok_or(CommandError::DbRange)?);
            let (a, b) = (databases.id(a), databases.id(b));
            if a != b {
                call.effect(&Effect::SwapDatabases { a, b });
            }
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "object",
        arity: -2,
        access: Access::Read,
        keys: Keys { first: 2, last: 2, step: 1 },
        flags: &[],
        summary: "A container for object introspection commands.",
        run: object,
    },
];

/// The database that a number or a name means, if there is one.
pub(crate) fn named(databases: &Databases, text: &[u8]) -> Option<DbNumber> {
    database(databases, text).ok()
}

/// The database that a number or a name means. A word that is no name gets Redis's answer.
pub(super) fn database(databases: &Databases, text: &[u8]) -> Result<DbNumber, CommandError> {
    if let Some(number) = databases.by_name(text) {
        return Ok(number);
    }
    let wrong = CommandError::Other("value is out of range, value must between -2147483648 and 2147483647");
    // Redis reads numbers of databases as 32 bits, and says so.
    let number = i32::try_from(integer(text)?).map_err(|_| wrong)?;
    let number = u16::try_from(number).ok().map(DbNumber);
    number.filter(|number| databases.find(*number).is_some()).ok_or(CommandError::DbRange)
}

/// As [`database`], for commands that Redis does not have.
pub(super) fn existing(call: &Call<'_>, text: &[u8]) -> Result<DbNumber, CommandError> {
    named(&call.core.system.databases, text).ok_or_else(|| {
        let text = alloc::format!("there is no database '{}', DATABASE LIST shows all", lossy(text));
        CommandError::Text(text)
    })
}

/// Those of the keys that have not expired; the reply waits for the database's last change.
pub(super) fn alive(call: &mut Call<'_>, db: DbId, mut keys: Vec<Box<[u8]>>) -> Vec<Box<[u8]>> {
    keys.retain(|key| call.get_in(db, key).is_some());
    call.depend_on_database(db);
    keys
}

/// The cursor of a SCAN command, in the grammar of C's `strtoul`.
pub(super) fn cursor(text: &[u8]) -> Result<u64, CommandError> {
    let (is_negative, digits) = match text {
        [] => return Ok(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let digits = core::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'));
    let number = digits.and_then(|digits| digits.parse::<u64>().ok()).ok_or(CommandError::Other("invalid cursor"))?;
    Ok(if is_negative { number.wrapping_neg() } else { number })
}

/// What a SCAN command shows, and how much of it at once.
pub(super) struct Walk<'a> {
    pattern: Option<&'a [u8]>,
    pub(super) count: usize,
}

impl<'a> Walk<'a> {
    /// From the command's options.
    pub(super) fn parse(options: Args<'a>) -> Result<Self, CommandError> {
        Self::parse_with(options, |_, _| false)
    }

    /// With options that only this command has: whether this is one.
    fn parse_with(options: Args<'a>, mut other: impl FnMut(&[u8], &'a [u8]) -> bool) -> Result<Self, CommandError> {
        let mut walk = Self { pattern: None, count: 10 };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let value = options.next().ok_or(CommandError::Syntax)?;
            if is_word(option, "match") {
                walk.pattern = Some(value);
            } else if is_word(option, "count") {
                walk.count = usize::try_from(integer(value)?).ok().filter(|n| *n > 0).ok_or(CommandError::Syntax)?;
            } else if !other(option, value) {
                return Err(CommandError::Syntax);
            }
        }
        Ok(walk)
    }

    pub(super) fn shows(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name))
    }
}

/// Begins the reply of a SCAN command: the next cursor, and how many words follow.
pub(super) fn reply_walk(reply: &mut Reply, next: u64, words: usize) {
    reply.array(2);
    reply.bulk(alloc::format!("{next}").as_bytes());
    reply.array(words);
}

fn scan(call: &mut Call<'_>) -> Result<(), CommandError> {
    let cursor = cursor(call.args.at(1))?;
    let mut kind = None;
    let walk = Walk::parse_with(call.args.skip(2), |option, value| {
        let is_kind = is_word(option, "type");
        if is_kind {
            kind = Some(value);
        }
        is_kind
    })?;
    let db = call.db();
    let mut keys = Vec::new();
    let next = call.core.store.database(db).scan(cursor, walk.count, |key, item| {
        if walk.shows(key) && kind.is_none_or(|kind| is_word(kind, item.value.type_name())) {
            keys.push(key.into());
        }
    });
    let keys = alive(call, db, keys);
    reply_walk(call.reply, next, keys.len());
    keys.iter().for_each(|key| call.reply.bulk(key));
    Ok(())
}

const OBJECT_HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return how Redis would keep the value that is stored at <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the key <key>.",
    "IDLETIME <key>",
    "    Return the idle time of the key <key>.",
    "REFCOUNT <key>",
    "    Return the number of references of the value stored at <key>.",
    "HELP",
    "    Print this help.",
];

fn object(call: &mut Call<'_>) -> Result<(), CommandError> {
    let subcommand = call.args.at(1);
    if is_word(subcommand, "help") {
        call.reply.help(OBJECT_HELP);
        return Ok(());
    }
    let known = ["encoding", "refcount", "idletime", "freq"].into_iter().find(|word| is_word(subcommand, word));
    let known = known.ok_or_else(|| CommandError::unknown_subcommand(call.args, "OBJECT"))?;
    let db = call.db();
    let Some(place) = call.find(db, call.args.at(2)) else {
        call.reply.null();
        return Ok(());
    };
    let item = call.core.store.database(db).at(place);
    match known {
        "encoding" => {
            let encoding = item.value.encoding();
            call.reply.bulk(encoding.as_bytes());
        }
        "refcount" => call.reply.integer(1),
        "idletime" => {
            let idle = call.core.idle_time(db, place, call.now).ok_or(CommandError::Other(
                "An LRU maxmemory policy is not selected, idle time not tracked. CONFIG SET maxmemory-policy selects one.",
            ))?;
            call.reply.integer((idle / 1000) as i64);
        }
        _ => {
            let uses = call.core.frequency(db, place, call.now).ok_or(CommandError::Other(
                "An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ))?;
            call.reply.integer(uses.into());
        }
    }
    Ok(())
}
