//! The server itself: what it knows of its commands, its configuration and its state.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Access, Command, CommandError, Keys, is_word};
use crate::call::{Call, Then};
use crate::glob;
use crate::info;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "command",
        arity: -1,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["loading", "stale"],
        summary: "Returns detailed information about all commands.",
        run: command,
    },
    Command {
        name: "info",
        arity: -1,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["loading", "stale"],
        summary: "Returns information and statistics about the server.",
        run: |call| {
            let sections: Vec<String> =
                call.args.skip(1).iter().map(|s| super::lossy(s).to_ascii_lowercase()).collect();
            let text = info::text(call.core, call.session.port, call.now, call.monotonic, &sections);
            call.reply.verbatim(&text);
            Ok(())
        },
    },
    Command {
        name: "config",
        arity: -2,
        access: Access::Admin,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale"],
        summary: "A container for server configuration commands.",
        run: |call| {
            if is_word(call.args.at(1), "resetstat") {
                call.core.reset_stats();
                call.reply.ok();
                return Ok(());
            }
            if !is_word(call.args.at(1), "get") {
                return Err(CommandError::unknown_subcommand(call.args, "CONFIG"));
            }
            if call.args.len() < 3 {
                return Err(CommandError::SubcommandArity("config", "get".into()));
            }
            let patterns: Vec<Vec<u8>> = call.args.skip(2).iter().map(<[u8]>::to_ascii_lowercase).collect();
            let wanted = |name: &str| patterns.iter().any(|pattern| glob::matches(pattern, name.as_bytes()));
            let found: Vec<_> = call.core.config.parameters.iter().filter(|(name, _)| wanted(name)).collect();
            call.reply.map(found.len());
            for (name, value) in found {
                call.reply.bulk(name.as_bytes());
                call.reply.bulk(value.as_bytes());
            }
            Ok(())
        },
    },
    Command {
        name: "debug",
        arity: -2,
        access: Access::Admin,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale"],
        summary: "A container for debugging commands.",
        run: |call| {
            if !is_word(call.args.at(1), "digest") {
                return Err(CommandError::unknown_subcommand(call.args, "DEBUG"));
            }
            match call.core.digest(call.monotonic) {
                None => call.then = Then::Retry,
                Some((index, digest)) => {
                    call.reply.array(2);
                    call.reply.integer(index.0 as i64);
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
        flags: &["noscript"],
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
        flags: &["noscript"],
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
        flags: &["noscript", "loading", "stale", "allow_busy"],
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

fn command(call: &mut Call<'_>) -> Result<(), CommandError> {
    let all: Vec<&'static Command> = call.core.commands.all().to_vec();
    let Some(subcommand) = call.args.get(1) else {
        call.reply.array(all.len());
        all.iter().for_each(|command| describe(call, command));
        return Ok(());
    };
    if is_word(subcommand, "count") {
        call.reply.integer(all.len() as i64);
    } else if is_word(subcommand, "list") {
        call.reply.array(all.len());
        all.iter().for_each(|command| call.reply.bulk(command.name.as_bytes()));
    } else if is_word(subcommand, "info") {
        let names = call.args.skip(2);
        if names.is_empty() {
            call.reply.array(all.len());
            all.iter().for_each(|command| describe(call, command));
            return Ok(());
        }
        call.reply.array(names.len());
        for name in names.iter() {
            match call.core.commands.find(name) {
                Some((_, command)) => describe(call, command),
                None => call.reply.null(),
            }
        }
    } else if is_word(subcommand, "getkeys") {
        if call.args.len() < 3 {
            return Err(CommandError::SubcommandArity("command", "getkeys".into()));
        }
        let mut inner = call.args.skip(2);
        if is_word(inner.at(0), "consistency") && inner.len() > 2 {
            inner = inner.skip(2);
        }
        let (_, command) =
            call.core.commands.find(inner.at(0)).ok_or(CommandError::Other("Invalid command specified"))?;
        if !command.accepts(inner.len()) {
            return Err(CommandError::Other("Invalid number of arguments specified for command"));
        }
        let keys: Vec<usize> = command.keys.positions(inner.len()).collect();
        if keys.is_empty() {
            return Err(CommandError::Other("The command has no key arguments"));
        }
        call.reply.array(keys.len());
        keys.into_iter().for_each(|i| call.reply.bulk(inner.at(i)));
    } else {
        return Err(CommandError::unknown_subcommand(call.args, "COMMAND"));
    }
    Ok(())
}

/// One entry of `COMMAND INFO`, in the form of Redis 7.
fn describe(call: &mut Call<'_>, command: &Command) {
    let access = match command.access {
        Access::Write => "write",
        Access::Read => "readonly",
        Access::Admin => "admin",
        Access::Anyone | Access::Connection => "",
    };
    let category = match command.access {
        Access::Write => "@write",
        Access::Read => "@read",
        Access::Admin => "@admin",
        Access::Anyone | Access::Connection => "@connection",
    };
    let reply = &mut *call.reply;
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.integer(i64::from(command.arity));
    reply.set(command.flags.len() + usize::from(!access.is_empty()));
    if !access.is_empty() {
        reply.simple(access);
    }
    command.flags.iter().for_each(|flag| reply.simple(flag));
    reply.integer(i64::from(command.keys.first));
    reply.integer(i64::from(command.keys.last));
    reply.integer(i64::from(command.keys.step));
    reply.set(1);
    reply.simple(category);
    reply.array(0);
    reply.array(0);
    reply.array(0);
}
