//! Groups of consumers, and what is pending with them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::containers::{self, Subcommand};
use super::streams::{all_ids, announce, any_id, encode_ids, id, interval, reply_id};
use super::{Access, Command, CommandError, Keys, integer, is_word};
use crate::call::Call;
use crate::effect::Change;
use crate::events::Events;
use crate::resp::{Args, Reply};
use crate::store::{Group, Pending, Stream, StreamId, Words};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "xgroup",
        arity: -2,
        access: Access::Write,
        keys: Keys { first: 2, last: 2, step: 1 },
        flags: &[],
        summary: "A container for consumer groups commands.",
        run: |call| containers::run(call, SUBCOMMANDS, "XGROUP"),
    },
    Command {
        name: "xack",
        arity: -4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the number of messages that were successfully acknowledged by the consumer group member of a stream.",
        run: acknowledge,
    },
    Command {
        name: "xpending",
        arity: -3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the information and entries from a stream consumer group's pending entries list.",
        run: pending,
    },
];

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("create", -5, Access::Write, create),
    ("setid", -5, Access::Write, set_id),
    ("destroy", 4, Access::Write, destroy),
    ("createconsumer", 5, Access::Write, create_consumer),
    ("delconsumer", 5, Access::Write, drop_consumer),
    ("help", 2, Access::Connection, |call| {
        call.reply.help(HELP);
        Ok(())
    }),
];

const HELP: &[&str] = &[
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <groupname> <id|$> [option]",
    "    Make a group of consumers. Options are:",
    "    * MKSTREAM",
    "      Make an empty stream if there is none.",
    "    * ENTRIESREAD entries_read",
    "      Say how many entries the group has read.",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Make a consumer in the group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set what the group has read, and how many entries that were.",
    "HELP",
    "    Print this help.",
];

/// Neither the key nor the group, for those who cannot tell which is missing.
pub(super) fn no_group(key: &[u8], group: &[u8], where_: &str) -> CommandError {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    CommandError::NoGroup(format!("key '{key}' or consumer group '{group}'{where_}"))
}

/// The key is there, the group is not.
pub(super) fn no_group_in(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    CommandError::NoGroup(format!("consumer group '{group}' for key name '{key}'"))
}

/// A group with its stream.
pub(super) fn group_of<'a>(stream: Option<&'a Stream>, name: &[u8]) -> Option<(&'a Stream, &'a Group)> {
    stream.and_then(|stream| Some((stream, stream.group(name)?)))
}

/// The consumer has asked for something, and perhaps got it; it is made if there is none.
pub(super) fn see(
    call: &mut Call<'_>,
    key: &[u8],
    group: &[u8],
    consumer: &[u8],
    is_served: bool,
) -> Result<(), CommandError> {
    let seen = call.now.0;
    let found = call.value::<Stream>(key)?.and_then(|stream| stream.group(group));
    let known = found.and_then(|group| group.consumer(consumer)).map(|known| (known.seen, known.active));
    let active = if is_served { Some(seen) } else { known.and_then(|(_, active)| active) };
    if known != Some((seen, active)) {
        call.change(key, Change::PutConsumer { group, consumer, seen, active });
    }
    if known.is_none() {
        call.notify(Events::STREAM, "xgroup-createconsumer", key);
    }
    Ok(())
}

/// What stands behind the ID of XGROUP CREATE and SETID: whether a stream is to be made, and how many entries were read.
fn options(call: &Call<'_>, creates: bool) -> Result<(bool, Option<u64>), CommandError> {
    let (mut makes_stream, mut read) = (false, None);
    let mut options = call.args.skip(5);
    while !options.is_empty() {
        if creates && is_word(options.at(0), "mkstream") {
            makes_stream = true;
            options = options.skip(1);
        } else if is_word(options.at(0), "entriesread") && options.len() > 1 {
            read = match integer(options.at(1))? {
                -1 => None,
                count => {
                    let wrong = CommandError::Other("value for ENTRIESREAD must be positive or -1");
                    Some(u64::try_from(count).map_err(|_| wrong)?)
                }
            };
            options = options.skip(2);
        } else {
            return Err(CommandError::subcommand_syntax(call.args, "XGROUP"));
        }
    }
    Ok((makes_stream, read))
}

const NO_STREAM: CommandError = CommandError::Other(
    "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
);

fn create(call: &mut Call<'_>) -> Result<(), CommandError> {
    /// As in Redis; more could only be said twice.
    const MOST_ARGS: usize = 8;
    let args = call.args;
    let (makes_stream, read) = options(call, true)?;
    let (key, group, text) = (args.at(2), args.at(3), args.at(4));
    let stream = call.value::<Stream>(key)?;
    if stream.is_none() && !makes_stream {
        return Err(NO_STREAM);
    }
    if args.len() > MOST_ARGS {
        return Err(CommandError::subcommand_syntax(args, "XGROUP"));
    }
    let last = match text {
        b"$" => stream.map_or(StreamId::MIN, Stream::last_id),
        _ => id(text, 0)?,
    };
    if stream.is_some_and(|stream| stream.group(group).is_some()) {
        return Err(CommandError::BusyGroup);
    }
    call.change(key, Change::PutGroup { group, last, read });
    call.notify(Events::STREAM, "xgroup-create", key);
    call.reply.ok();
    Ok(())
}

fn set_id(call: &mut Call<'_>) -> Result<(), CommandError> {
    const MOST_ARGS: usize = 7;
    let args = call.args;
    let (_, read) = options(call, false)?;
    let (key, group, text) = (args.at(2), args.at(3), args.at(4));
    let (stream, _) = existing(call)?;
    if args.len() > MOST_ARGS {
        return Err(CommandError::subcommand_syntax(args, "XGROUP"));
    }
    let last = match text {
        b"$" => stream.last_id(),
        _ => any_id(text, 0)?,
    };
    call.change(key, Change::PutGroup { group, last, read });
    call.notify(Events::STREAM, "xgroup-setid", key);
    call.reply.ok();
    Ok(())
}

/// The group that a subcommand of XGROUP is about, and its stream.
fn existing<'a>(call: &'a mut Call<'_>) -> Result<(&'a Stream, &'a Group), CommandError> {
    let (key, group) = (call.args.at(2), call.args.at(3));
    let stream = call.value::<Stream>(key)?.ok_or(NO_STREAM)?;
    group_of(Some(stream), group).ok_or_else(|| no_group_in(key, group))
}

fn destroy(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (key, group) = (call.args.at(2), call.args.at(3));
    let is_there = call.value::<Stream>(key)?.ok_or(NO_STREAM)?.group(group).is_some();
    if is_there {
        call.change(key, Change::DropGroup { group });
        call.notify(Events::STREAM, "xgroup-destroy", key);
    }
    call.reply.integer(is_there.into());
    Ok(())
}

fn create_consumer(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (key, group, consumer) = (call.args.at(2), call.args.at(3), call.args.at(4));
    let is_new = existing(call)?.1.consumer(consumer).is_none();
    if is_new {
        see(call, key, group, consumer, false)?;
    }
    call.reply.integer(is_new.into());
    Ok(())
}

fn drop_consumer(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (key, group, consumer) = (call.args.at(2), call.args.at(3), call.args.at(4));
    let known = existing(call)?.1.consumer(consumer).map(|consumer| consumer.pending());
    if known.is_some() {
        call.change(key, Change::DropConsumer { group, consumer });
        call.notify(Events::STREAM, "xgroup-delconsumer", key);
    }
    call.reply.integer(known.unwrap_or(0) as i64);
    Ok(())
}

fn acknowledge(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (key, name, ids) = (call.args.at(1), call.args.at(2), call.args.skip(3));
    let mut gone = Vec::new();
    let (stream, _) = call.read::<Stream>(key)?;
    if let Some((_, group)) = group_of(stream, name) {
        gone = all_ids(ids)?;
        gone.retain(|id| group.pending(*id).is_some());
        gone.sort_unstable();
        gone.dedup();
    }
    if !gone.is_empty() {
        call.change(key, Change::Unpend { group: name, ids: Words::new(&encode_ids(gone.iter().copied())) });
    }
    call.reply.integer(gone.len() as i64);
    Ok(())
}

/// Milliseconds since a time, which may be in the future if the clock was set.
pub(super) fn since(time: u64, now: u64) -> i64 {
    now.saturating_sub(time) as i64
}

/// What an extended XPENDING asks for.
struct Wanted<'a> {
    idle: i64,
    ids: RangeInclusive<StreamId>,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    /// From what stands behind the group; `None` if that is nothing.
    fn parse(mut args: Args<'a>) -> Result<Option<Self>, CommandError> {
        if args.is_empty() {
            return Ok(None);
        }
        if args.len() < 3 || args.len() > 6 {
            return Err(CommandError::Syntax);
        }
        let mut idle = 0;
        if is_word(args.at(0), "idle") {
            idle = integer(args.at(1))?;
            args = args.skip(2);
            if args.len() < 3 {
                return Err(CommandError::Syntax);
            }
        }
        let count = integer(args.at(2))?.max(0) as usize;
        Ok(Some(Self { idle, ids: interval(args.at(0), args.at(1))?, count, consumer: args.get(3) }))
    }
}

fn pending(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (key, name, now) = (call.args.at(1), call.args.at(2), call.now.0);
    let wanted = Wanted::parse(call.args.skip(3))?;
    let (stream, reply) = call.read::<Stream>(key)?;
    let (_, group) = group_of(stream, name).ok_or_else(|| no_group(key, name, ""))?;
    match wanted {
        Some(wanted) => reply_pending(reply, group, &wanted, now),
        None => reply_pending_summary(reply, group),
    }
    Ok(())
}

fn reply_pending_summary(reply: &mut Reply, group: &Group) {
    reply.array(4);
    reply.integer(group.pending_len() as i64);
    let Some((first, last)) = group.pending_ends() else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    reply_id(reply, first);
    reply_id(reply, last);
    let busy = || group.consumers().filter(|(_, consumer)| consumer.pending() > 0);
    reply.array(busy().count());
    for (name, consumer) in busy() {
        reply.array(2);
        reply.bulk(name);
        reply.bulk(format!("{}", consumer.pending()).as_bytes());
    }
}

fn reply_pending(reply: &mut Reply, group: &Group, wanted: &Wanted<'_>, now: u64) {
    let consumer = wanted.consumer.map(|name| group.consumer(name));
    if let Some(None) = consumer {
        return reply.array(0);
    }
    let start = reply.bytes.len();
    let mut count = 0;
    let all = group.all_pending(consumer.flatten(), wanted.ids.clone());
    let is_idle = |(_, pending): &(StreamId, &Pending)| wanted.idle == 0 || since(pending.time, now) >= wanted.idle;
    for (id, pending) in all.filter(is_idle).take(wanted.count) {
        count += 1;
        reply.array(4);
        reply_id(reply, id);
        reply.bulk(&pending.consumer);
        reply.integer(since(pending.time, now));
        reply.integer(pending.count as i64);
    }
    announce(reply, start, |reply| reply.array(count));
}
