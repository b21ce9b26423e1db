//! Publish and subscribe. Whoever has authenticated may subscribe; to publish takes the right to write.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::containers::{self, Subcommand};
use super::{Access, Command, CommandError, Keys};
use crate::call::Call;
use crate::channels::{Kind, Message};
use crate::glob;
use crate::limits;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "subscribe",
        arity: -2,
        access: Access::Subscribe,
        keys: Keys::NONE,
        flags: &["pubsub", "noscript", "loading", "stale"],
        summary: "Listens for messages published to channels.",
        run: |call| subscribe(call, Kind::Channel, "subscribe"),
    },
    Command {
        name: "unsubscribe",
        arity: -1,
        access: Access::Subscribe,
        keys: Keys::NONE,
        flags: &["pubsub", "noscript", "loading", "stale"],
        summary: "Stops listening to messages posted to channels.",
        run: |call| unsubscribe(call, Kind::Channel, "unsubscribe"),
    },
    Command {
        name: "psubscribe",
        arity: -2,
        access: Access::Subscribe,
        keys: Keys::NONE,
        flags: &["pubsub", "noscript", "loading", "stale"],
        summary: "Listens for messages published to channels that match one or more patterns.",
        run: |call| subscribe(call, Kind::Pattern, "psubscribe"),
    },
    Command {
        name: "punsubscribe",
        arity: -1,
        access: Access::Subscribe,
        keys: Keys::NONE,
        flags: &["pubsub", "noscript", "loading", "stale"],
        summary: "Stops listening to messages published to channels that match one or more patterns.",
        run: |call| unsubscribe(call, Kind::Pattern, "punsubscribe"),
    },
    Command {
        name: "ssubscribe",
        arity: -2,
        access: Access::Subscribe,
        keys: Keys::ALL,
        flags: &["pubsub", "noscript", "loading", "stale"],
        summary: "Listens for messages published to shard channels.",
        run: |call| {
            if call.session.in_transaction {
                return Err(CommandError::Other("SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
            }
            subscribe(call, Kind::Shard, "ssubscribe")
        },
    },
    Command {
        name: "sunsubscribe",
        arity: -1,
        access: Access::Subscribe,
        keys: Keys::ALL,
        flags: &["pubsub", "noscript", "loading", "stale"],
        summary: "Stops listening to messages posted to shard channels.",
        run: |call| unsubscribe(call, Kind::Shard, "sunsubscribe"),
    },
    Command {
        name: "publish",
        arity: 3,
        access: Access::Publish,
        keys: Keys::NONE,
        flags: &["pubsub", "loading", "stale", "fast"],
        summary: "Posts a message to a channel.",
        run: |call| publish(call, false),
    },
    Command {
        name: "spublish",
        arity: 3,
        access: Access::Publish,
        keys: Keys::ONE,
        flags: &["pubsub", "loading", "stale", "fast"],
        summary: "Posts a message to a shard channel.",
        run: |call| publish(call, true),
    },
    Command {
        name: "pubsub",
        arity: -2,
        access: Access::Subscribe,
        keys: Keys::NONE,
        flags: &[],
        summary: "A container for Pub/Sub commands.",
        run: |call| containers::run(call, SUBCOMMANDS, "PUBSUB"),
    },
];

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("channels", -2, Access::Subscribe, |call| list(call, Kind::Channel)),
    ("numsub", -2, Access::Subscribe, |call| count(call, Kind::Channel)),
    ("numpat", 2, Access::Subscribe, |call| {
        call.reply.integer(call.core.channels.len(Kind::Pattern) as i64);
        Ok(())
    }),
    ("shardchannels", -2, Access::Subscribe, |call| list(call, Kind::Shard)),
    ("shardnumsub", -2, Access::Subscribe, |call| count(call, Kind::Shard)),
    ("help", 2, Access::Subscribe, |call| {
        call.reply.help(HELP);
        Ok(())
    }),
];

const HELP: &[&str] = &[
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    Return the currently active channels matching a <pattern> (default: '*').",
    "NUMPAT",
    "    Return number of subscriptions to patterns.",
    "NUMSUB [<channel> ...]",
    "    Return the number of subscribers for the specified channels, excluding",
    "    pattern subscriptions(default: no channels).",
    "SHARDCHANNELS [<pattern>]",
    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Return the number of subscribers for the specified shard level channel(s)",
    "HELP",
    "    Print this help.",
];

fn subscribe(call: &mut Call<'_>, kind: Kind, word: &str) -> Result<(), CommandError> {
    if call.session.is_proxy {
        // The primary has no connection with who would hear.
        return Err(CommandError::Other(
            "subscriptions in a transaction that touches data are for clients of the primary: subscribe outside of it",
        ));
    }
    if call.session.subscriptions.len() + call.args.len() - 1 > limits::MAX_SUBSCRIPTIONS {
        return Err(CommandError::Other("too many subscriptions"));
    }
    for name in call.args.skip(1).iter() {
        call.core.channels.subscribe(call.session.slot, &mut call.session.subscriptions, kind, name);
        confirm(call, kind, word, Some(name));
    }
    Ok(())
}

fn unsubscribe(call: &mut Call<'_>, kind: Kind, word: &str) -> Result<(), CommandError> {
    let all: Vec<Arc<[u8]>> = match call.args.len() {
        1 => call.session.subscriptions.of(kind).iter().cloned().collect(),
        _ => Vec::new(),
    };
    // Whoever ends all and has none is told so once.
    if call.args.len() == 1 && all.is_empty() {
        confirm(call, kind, word, None);
    }
    for name in call.args.skip(1).iter().chain(all.iter().map(|name| &**name)) {
        call.core.channels.unsubscribe(call.session.slot, &mut call.session.subscriptions, kind, name);
        confirm(call, kind, word, Some(name));
    }
    Ok(())
}

/// Says how many subscriptions there are now.
fn confirm(call: &mut Call<'_>, kind: Kind, word: &str, name: Option<&[u8]>) {
    call.reply.push(3);
    call.reply.bulk(word.as_bytes());
    call.reply.optional_bulk(name);
    call.reply.integer(call.session.subscriptions.counted(kind) as i64);
}

fn publish(call: &mut Call<'_>, is_sharded: bool) -> Result<(), CommandError> {
    let (channel, text) = (call.args.at(1).into(), call.args.at(2).into());
    let heard = call.core.publish(Message { channel, text, is_sharded }, call.monotonic);
    call.reply.integer(heard as i64);
    Ok(())
}

fn list(call: &mut Call<'_>, kind: Kind) -> Result<(), CommandError> {
    if call.args.len() > 3 {
        return Err(CommandError::subcommand_syntax(call.args, "PUBSUB"));
    }
    let pattern = call.args.get(2);
    let is_wanted = |name: &&[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name));
    let names: Vec<&[u8]> = call.core.channels.all(kind).filter(is_wanted).collect();
    call.reply.array(names.len());
    names.into_iter().for_each(|name| call.reply.bulk(name));
    Ok(())
}

fn count(call: &mut Call<'_>, kind: Kind) -> Result<(), CommandError> {
    let names = call.args.skip(2);
    call.reply.array(names.len() * 2);
    for name in names.iter() {
        call.reply.bulk(name);
        call.reply.integer(call.core.channels.subscribers(kind, name) as i64);
    }
    Ok(())
}
