//! Reading the whole cluster as of one index, and writing it into another one: for `mneme-cli backup`, which is the only
//! one that needs to know how.

use alloc::string::String;

use super::{Access, Command, CommandError, Keys, is_word, lossy};
use crate::agreed;
use crate::backup::Outline;
use crate::call::{Call, NOT_AGREED, Then, Wanted};
use crate::codec;
use crate::effect::{Effect, Effects};
use crate::ids::{DbId, DbNumber};
use crate::limits;
use crate::users::User;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "backup",
        arity: 2,
        access: Access::Admin,
        keys: Keys::NONE,
        flags: &["noscript", "no_multi"],
        summary: "A container for reading a backup, which mneme-cli does.",
        run: backup,
    },
    Command {
        name: "load",
        arity: -2,
        access: Access::Admin,
        keys: Keys::NONE,
        flags: &["write", "noscript", "no_multi", "skip_slowlog"],
        summary: "A container for restoring a backup, which mneme-cli does.",
        run: load,
    },
];

const BACKUP_HELP: &[&str] = &[
    "BACKUP <subcommand>. Subcommands are:",
    "NEXT",
    "    Return the next changes since the log's beginning, and the index of the last: first a snapshot, if there is one.",
    "OUTLINE",
    "    Return the databases and users as of the last index that NEXT has returned.",
    "END",
    "    Forget how far NEXT has got.",
    "HELP",
    "    Print this help.",
];

fn backup(call: &mut Call<'_>) -> Result<(), CommandError> {
    let words = [("next", Wanted::Next), ("outline", Wanted::Outline), ("end", Wanted::End)];
    if let Some((_, wanted)) = words.into_iter().find(|(word, _)| is_word(call.args.at(1), word)) {
        call.then = Then::Backup(wanted);
        return Ok(());
    }
    if !is_word(call.args.at(1), "help") {
        return Err(CommandError::unknown_subcommand(call.args, "BACKUP"));
    }
    call.reply.help(BACKUP_HELP);
    Ok(())
}

const LOAD_HELP: &[&str] = &[
    "LOAD <subcommand> [<arg>]. Subcommands are:",
    "DATA <changes>",
    "    Make changes to keys, as BACKUP NEXT returns them, but with databases by their numbers.",
    "OUTLINE <outline>",
    "    Make the databases and users of an outline, or have them be as it says.",
    "MARK <word>",
    "    Write into the log that a key of database 0 is gone that was never there, for BACKUP NEXT to find.",
    "HELP",
    "    Print this help.",
];

fn load(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (word, argument) = (call.args.at(1), call.args.get(2));
    match (argument, call.args.len()) {
        (None, _) if is_word(word, "help") => {
            call.reply.help(LOAD_HELP);
            Ok(())
        }
        (Some(bytes), 3) if is_word(word, "data") => data(call, bytes),
        (Some(bytes), 3) if is_word(word, "outline") => outline(call, bytes),
        (Some(name), 3) if is_word(word, "mark") => mark(call, name),
        _ => Err(CommandError::subcommand_syntax(call.args, "LOAD")),
    }
}

/// All of it is looked at before any of it is done.
fn data(call: &mut Call<'_>, bytes: &[u8]) -> Result<(), CommandError> {
    call.core.make_room(call.monotonic, bytes.len(), limits::EVICTED_AT_ONCE);
    if call.core.is_out_of_memory() {
        return Err(CommandError::OutOfMemory);
    }
    let mut count = 0;
    for effect in Effects::new(bytes) {
        placed(call, &effect.map_err(|_| MALFORMED)?)?;
        count += 1;
    }
    for effect in Effects::new(bytes) {
        let effect = placed(call, &effect.map_err(|_| MALFORMED)?)?;
        call.effect(&effect);
    }
    call.reply.integer(count);
    Ok(())
}

const MALFORMED: CommandError = CommandError::Other("these are no changes that this version knows");

/// An effect on keys with its database where this cluster keeps it.
fn placed<'a>(call: &Call<'_>, effect: &Effect<'a>) -> Result<Effect<'a>, CommandError> {
    let here = |DbId(number): DbId| {
        let missing = || CommandError::Text(alloc::format!("there is no database {number}"));
        call.core.system.databases.find(DbNumber(number)).ok_or_else(missing)
    };
    let fits = |key: &[u8], value: usize| match key.len().max(value) <= limits::MAX_BULK {
        true => Ok(()),
        false => Err(MALFORMED),
    };
    match *effect {
        Effect::Put { key, value, .. } => fits(key, value.len())?,
        Effect::Patch { key, offset, bytes, .. } => {
            fits(key, usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(bytes.len()))?;
        }
        Effect::Change { change, .. } if !call.core.writes(change.format()) => return Err(NOT_AGREED),
        _ => {}
    }
    let mut missing = None;
    let placed = effect.placed(|db| here(db).map_err(|error| missing = Some(error)).ok());
    placed.ok_or(missing.unwrap_or(MALFORMED))
}

fn outline(call: &mut Call<'_>, bytes: &[u8]) -> Result<(), CommandError> {
    call.depend_on_system();
    let outline: Outline =
        codec::decode_owned(bytes).map_err(|_| CommandError::Other("this is no outline that this version knows"))?;
    let mut changes = alloc::vec::Vec::new();
    let system = &call.core.system;
    if outline.users.iter().any(|outline| outline.user.rules.is_some()) && !call.core.writes(agreed::RULES) {
        return Err(NOT_AGREED);
    }
    let administers = |user: &User| call.core.administers(user);
    let taken = outline.impose(system, administers, |effect| crate::effect::record(effect, &mut changes));
    taken.map_err(|error| CommandError::Text(alloc::format!("{error}")))?;
    for effect in Effects::new(&changes) {
        call.effect(&effect.map_err(|_| MALFORMED)?);
    }
    call.reply.ok();
    Ok(())
}

fn mark(call: &mut Call<'_>, name: &[u8]) -> Result<(), CommandError> {
    let db = call.core.system.databases.id(DbNumber(0));
    if call.get_in(db, name).is_some() {
        let name: String = lossy(name);
        return Err(CommandError::Text(alloc::format!("there is a key '{name}' in database 0")));
    }
    call.effect(&Effect::Delete { db, key: name });
    call.reply.ok();
    Ok(())
}
