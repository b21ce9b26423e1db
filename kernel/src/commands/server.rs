//! The server itself: what it knows of its commands, its configuration and its state.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use super::{Access, Command, CommandError, Keys, is_word, lossy};
use crate::call::{Call, Then};
use crate::info;
use crate::session::Port;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "info",
        arity: -1,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["loading", "stale"],
        summary: "Returns information and statistics about the server.",
        run: |call| {
            let sections: Vec<String> = call.args.skip(1).iter().map(|s| lossy(s).to_ascii_lowercase()).collect();
            let text = info::text(call.core, call.session.port, call.now, call.monotonic, &sections);
            call.reply.verbatim(&text);
            Ok(())
        },
    },
    Command {
        name: "monitor",
        arity: 1,
        access: Access::Admin,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale", "no_multi"],
        summary: "Listens for all requests received by the server in real time.",
        run: |call| {
            if !call.session.is_monitor {
                call.session.is_monitor = true;
                call.core.clients.monitor(call.session);
            }
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "role",
        arity: 1,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale", "fast"],
        summary: "Returns the replication role.",
        run: |call| {
            role(call);
            Ok(())
        },
    },
    Command {
        name: "debug",
        arity: -2,
        access: Access::Admin,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale", "no_multi"],
        summary: "A container for debugging commands.",
        run: |call| {
            if is_word(call.args.at(1), "sleep") && call.args.len() == 3 {
                let seconds = core::str::from_utf8(call.args.at(2)).ok().and_then(|text| text.parse().ok());
                let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                call.then = Then::Delay(time.ok_or(CommandError::Other("value is not a valid float"))?);
                call.reply.ok();
                return Ok(());
            }
            if is_word(call.args.at(1), "error") && call.args.len() == 3 {
                // For tests of clients: whatever they want to be told.
                call.reply.error(lossy(call.args.at(2)));
                return Ok(());
            }
            if !is_word(call.args.at(1), "digest") {
                return Err(CommandError::subcommand_syntax(call.args, "DEBUG"));
            }
            match call.core.digest(call.monotonic) {
                None => call.then = Then::Retry,
                // The index of the last change, not of the last entry: an idle cluster's log grows by renewals, and
                // two nodes that hold the same data are to say the same.
                Some((_, digest)) => {
                    call.reply.array(2);
                    call.reply.integer(call.core.system.changed.0 as i64);
                    call.reply.bulk(digest.to_string().as_bytes());
                }
            }
            Ok(())
        },
    },
    Command {
        name: "save",
        arity: 1,
        access: Access::Admin,
        keys: Keys::NONE,
        flags: &["noscript", "no_multi"],
        summary: "Makes a snapshot and waits for it. Other clients are served meanwhile.",
        run: |call| {
            call.then = Then::Save;
            Ok(())
        },
    },
    Command {
        name: "bgsave",
        arity: -1,
        access: Access::Admin,
        keys: Keys::NONE,
        flags: &["noscript", "no_multi"],
        summary: "Makes a snapshot in the background.",
        run: |call| {
            match call.args.get(1) {
                Some(option) if call.args.len() > 2 || !is_word(option, "schedule") => {
                    return Err(CommandError::Syntax);
                }
                _ => call.reply.simple("Background saving started"),
            }
            call.then = Then::SaveLater;
            Ok(())
        },
    },
    Command {
        name: "bgrewriteaof",
        arity: 1,
        access: Access::Admin,
        keys: Keys::NONE,
        flags: &["noscript", "no_multi"],
        summary: "Makes a snapshot in the background, which is what shortens the log.",
        run: |call| {
            call.reply.simple("Background append only file rewriting started");
            call.then = Then::SaveLater;
            Ok(())
        },
    },
    Command {
        name: "lolwut",
        arity: -1,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["fast"],
        summary: "Displays the version.",
        run: |call| {
            call.reply.verbatim(&alloc::format!("Mneme ver. {}\n", crate::VERSION));
            Ok(())
        },
    },
    Command {
        name: "module",
        arity: -2,
        access: Access::Admin,
        keys: Keys::NONE,
        flags: &["noscript"],
        summary: "A container for module commands.",
        run: |call| {
            if !is_word(call.args.at(1), "list") || call.args.len() != 2 {
                return Err(CommandError::unknown_subcommand(call.args, "MODULE"));
            }
            call.reply.array(0);
            Ok(())
        },
    },
    Command {
        name: "lastsave",
        arity: 1,
        access: Access::Admin,
        keys: Keys::NONE,
        flags: &["loading", "stale", "fast"],
        summary: "Returns the Unix time of the last snapshot, or of the start if there was none since.",
        run: |call| {
            let at = call.core.last_save(call.now, call.monotonic);
            call.reply.integer((at.0 / 1000) as i64);
            Ok(())
        },
    },
    Command {
        name: "shutdown",
        arity: -1,
        access: Access::Admin,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale", "no_multi", "allow_busy"],
        summary: "Stops the server as SIGTERM does. What was acknowledged is on disk in any case.",
        run: |call| {
            let known = |option: &[u8]| ["save", "nosave", "now", "force"].iter().any(|word| is_word(option, word));
            if !call.args.skip(1).iter().all(known) {
                return Err(CommandError::Syntax);
            }
            call.then = Then::Shutdown;
            Ok(())
        },
    },
];

/// As in Redis: a master with its replicas, or a replica with its master.
fn role(call: &mut Call<'_>) {
    let core = &*call.core;
    let nodes = core.shown();
    let (master, replicas) = (&nodes[0].reach.main, &nodes[1..]);
    let reply = &mut *call.reply;
    if call.session.port == Port::Read {
        reply.array(5);
        reply.bulk(b"slave");
        reply.bulk(master.host.as_bytes());
        reply.integer(master.port.into());
        reply.bulk(if core.primary().is_some() { b"connected" } else { b"connect" });
        reply.integer(core.applied().0 as i64);
        return;
    }
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(core.applied().0 as i64);
    reply.array(replicas.iter().filter(|node| node.answers).count());
    for node in replicas.iter().filter(|node| node.answers) {
        let texts = [node.reach.read.host.clone(), node.reach.read.port.to_string(), node.offset(core).to_string()];
        reply.array(texts.len());
        texts.iter().for_each(|text| reply.bulk(text.as_bytes()));
    }
}
