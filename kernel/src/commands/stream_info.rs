//! XINFO: what there is to know about streams, their groups and their consumers.

use super::containers::{self, Subcommand};
use super::stream_groups::{group_of, no_group_in};
use super::streams::{announce, reply_entries, reply_entry, reply_id};
use super::{Access, Command, CommandError, Keys, integer, is_word};
use crate::call::Call;
use crate::resp::Reply;
use crate::store::{Consumer, Entry, Group, Stream, StreamId};

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "xinfo",
    arity: -2,
    access: Access::Read,
    keys: Keys { first: 2, last: 2, step: 1 },
    flags: &[],
    summary: "A container for stream introspection commands.",
    run: |call| containers::run(call, SUBCOMMANDS, "XINFO"),
}];

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("consumers", 4, Access::Read, consumers),
    ("groups", 3, Access::Read, groups),
    ("stream", -3, Access::Read, stream),
    ("help", 2, Access::Connection, |call| {
        call.reply.help(HELP);
        Ok(())
    }),
];

const HELP: &[&str] = &[
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <groupname>",
    "    Show the consumers of the group.",
    "GROUPS <key>",
    "    Show the groups of the stream.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show what there is to know about the stream.",
    "HELP",
    "    Print this help.",
];

const NO_KEY: CommandError = CommandError::Other("no such key");
const EVERYTHING: core::ops::RangeInclusive<StreamId> = StreamId::MIN..=StreamId::MAX;

fn consumers(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (key, name, now) = (call.args.at(2), call.args.at(3), call.now.0);
    let (stream, reply) = call.read::<Stream>(key)?;
    let stream = stream.ok_or(NO_KEY)?;
    let (_, group) = group_of(Some(stream), name).ok_or_else(|| no_group_in(key, name))?;
    reply.array(group.consumers().len());
    for (name, consumer) in group.consumers() {
        let since = |time: u64| now.saturating_sub(time) as i64;
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(name);
        reply_number(reply, "pending", consumer.pending() as i64);
        reply_number(reply, "idle", since(consumer.seen));
        reply_number(reply, "inactive", consumer.active.map_or(-1, since));
    }
    Ok(())
}

fn groups(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (stream, reply) = call.read::<Stream>(call.args.at(2))?;
    let stream = stream.ok_or(NO_KEY)?;
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        reply_number(reply, "consumers", group.consumers().len() as i64);
        reply_number(reply, "pending", group.pending_len() as i64);
        reply_progress(reply, stream, group);
    }
    Ok(())
}

fn stream(call: &mut Call<'_>) -> Result<(), CommandError> {
    let args = call.args;
    let (stream, reply) = call.read::<Stream>(args.at(2))?;
    let stream = stream.ok_or(NO_KEY)?;
    let options = args.skip(3);
    let is = |at: usize, word| options.get(at).is_none_or(|option| is_word(option, word));
    if !matches!(options.len(), 0 | 1 | 3) || !is(0, "full") || !is(1, "count") {
        return Err(CommandError::subcommand_syntax(args, "XINFO"));
    }
    if options.is_empty() {
        reply.map(10);
        reply_counters(reply, stream);
        reply_number(reply, "groups", stream.groups().len() as i64);
        let end = |reply: &mut Reply, name: &str, entry: Option<Entry<'_>>| {
            reply.bulk(name.as_bytes());
            match entry {
                Some(entry) => reply_entry(reply, entry),
                None => reply.null(),
            }
        };
        end(reply, "first-entry", stream.first());
        end(reply, "last-entry", stream.last());
        return Ok(());
    }
    let count = options.get(2).map_or(Ok(10), integer)?;
    let count = match usize::try_from(count) {
        Ok(0) => usize::MAX,
        Ok(count) => count,
        Err(_) => 10,
    };
    reply.map(9);
    reply_counters(reply, stream);
    reply.bulk(b"entries");
    reply_entries(reply, stream.range(EVERYTHING).take(count));
    reply.bulk(b"groups");
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(7);
        reply.bulk(b"name");
        reply.bulk(name);
        reply_progress(reply, stream, group);
        reply_pending(reply, group, None, count);
        reply.bulk(b"consumers");
        reply.array(group.consumers().len());
        for (name, consumer) in group.consumers() {
            reply.map(5);
            reply.bulk(b"name");
            reply.bulk(name);
            reply_number(reply, "seen-time", consumer.seen as i64);
            reply_number(reply, "active-time", consumer.active.map_or(-1, |time| time as i64));
            reply_pending(reply, group, Some(consumer), count);
        }
    }
    Ok(())
}

fn reply_number(reply: &mut Reply, name: &str, number: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(number);
}

/// The seven fields with which both forms begin.
fn reply_counters(reply: &mut Reply, stream: &Stream) {
    let id = |reply: &mut Reply, name: &str, id| {
        reply.bulk(name.as_bytes());
        reply_id(reply, id);
    };
    reply_number(reply, "length", stream.len() as i64);
    // Redis has a key for each block, and a tree with a root above them.
    reply_number(reply, "radix-tree-keys", stream.blocks() as i64);
    reply_number(reply, "radix-tree-nodes", stream.blocks() as i64 + 1);
    id(reply, "last-generated-id", stream.last_id());
    id(reply, "max-deleted-entry-id", stream.max_deleted());
    reply_number(reply, "entries-added", stream.added() as i64);
    id(reply, "recorded-first-entry-id", stream.first().map_or(StreamId::MIN, |entry| entry.id));
}

/// How far a group is.
fn reply_progress(reply: &mut Reply, stream: &Stream, group: &Group) {
    let optional = |reply: &mut Reply, name: &str, number: Option<i64>| {
        reply.bulk(name.as_bytes());
        match number {
            Some(number) => reply.integer(number),
            None => reply.null(),
        }
    };
    reply.bulk(b"last-delivered-id");
    reply_id(reply, group.last);
    optional(reply, "entries-read", group.read.map(|read| read as i64));
    optional(reply, "lag", stream.lag(group));
}

/// What is pending in a group or, without naming it, with one consumer.
fn reply_pending(reply: &mut Reply, group: &Group, of: Option<&Consumer>, count: usize) {
    reply_number(reply, "pel-count", of.map_or(group.pending_len(), Consumer::pending) as i64);
    reply.bulk(b"pending");
    let start = reply.bytes.len();
    let mut len = 0;
    for (id, pending) in group.all_pending(of, EVERYTHING).take(count) {
        len += 1;
        reply.array(if of.is_some() { 3 } else { 4 });
        reply_id(reply, id);
        if of.is_none() {
            reply.bulk(&pending.consumer);
        }
        reply.integer(pending.time as i64);
        reply.integer(pending.count as i64);
    }
    announce(reply, start, |reply| reply.array(len));
}
