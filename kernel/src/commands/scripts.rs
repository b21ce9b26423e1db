//! Scripts that clients bring: `EVAL` and its kin.

use alloc::vec::Vec;

use super::containers::{self, Subcommand};
use super::{Access, Command, CommandError, Keys, check_mode, integer, is_word, lossy};
use crate::agreed;
use crate::call::Call;
use crate::effect::Effect;
use crate::limits;
use crate::resp::Args;
use crate::script::{Flags, Program, Sha};
use crate::scripting::{self, How};

pub(super) const COMMANDS: &[Command] = &[
    runs("eval", Access::Script, "Executes a server-side Lua script.", |call| eval(call, false)),
    runs("eval_ro", Access::Read, "Executes a read-only server-side Lua script.", |call| eval(call, true)),
    runs("evalsha", Access::Script, "Executes a server-side Lua script by SHA1 digest.", |call| eval_sha(call, false)),
    runs("evalsha_ro", Access::Read, "Executes a read-only server-side Lua script by SHA1 digest.", |call| {
        eval_sha(call, true)
    }),
    Command {
        name: "script",
        arity: -2,
        // Of each subcommand its own; the widest, for those who ask about the command.
        access: Access::Script,
        keys: Keys::NONE,
        flags: &["noscript"],
        summary: "Loads scripts, tells which there are, forgets them, or ends one.",
        run: |call| containers::run(call, SUBCOMMANDS, "SCRIPT"),
    },
];

/// A command that runs a script or a function.
pub(super) const fn runs(
    name: &'static str,
    access: Access,
    summary: &'static str,
    run: fn(&mut Call<'_>) -> Result<(), CommandError>,
) -> Command {
    let flags = &["noscript", "stale", "skip_monitor", "no_mandatory_keys", "movablekeys"];
    Command { name, arity: -3, access, keys: Keys::NONE, flags, summary, run }
}

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("load", 3, Access::Script, load),
    ("exists", -3, Access::Read, exists),
    ("flush", -2, Access::Write, flush),
    ("kill", 2, Access::Connection, |call| {
        call.core.kill_script(false)?;
        call.reply.ok();
        Ok(())
    }),
    ("debug", 3, Access::Connection, |call| {
        if !["yes", "sync", "no"].iter().any(|mode| is_word(call.args.at(2), mode)) {
            return Err(CommandError::Other("Use SCRIPT DEBUG YES/SYNC/NO"));
        }
        if !is_word(call.args.at(2), "no") {
            return Err(CommandError::Other("there is no debugger for scripts here"));
        }
        call.reply.ok();
        Ok(())
    }),
    ("help", 2, Access::Connection, |call| {
        call.reply.help(HELP);
        Ok(())
    }),
];

const HELP: &[&str] = &[
    "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DEBUG NO",
    "    There is no debugger for scripts.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Whether these scripts can be called by their SHA1.",
    "FLUSH [ASYNC|SYNC]",
    "    Forgets all scripts, on every node.",
    "KILL",
    "    Ends the script that runs.",
    "LOAD <script>",
    "    Keeps a script, on every node, without executing it.",
    "HELP",
    "    This text.",
];

/// What a script's first line says of it, if it begins with `#!`, and its code: without that, but with its line break, so
/// that lines are counted as their author does.
pub(super) fn parse(body: &[u8]) -> Result<(Option<Flags>, &[u8]), CommandError> {
    let Some(rest) = body.strip_prefix(b"#!") else { return Ok((None, body)) };
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(CommandError::Other("Invalid script shebang"))?;
    let (line, code) = rest.split_at(end);
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    if words.next() != Some(b"lua") {
        return Err(CommandError::Text(alloc::format!(
            "Unexpected engine in script shebang: {}",
            lossy(line.split(u8::is_ascii_whitespace).next().unwrap_or_default())
        )));
    }
    let mut flags = Flags::NONE;
    for word in words {
        let names = word
            .strip_prefix(b"flags=")
            .ok_or_else(|| CommandError::Text(alloc::format!("Unknown lua shebang option: {}", lossy(word))))?;
        for name in names.split(|byte| *byte == b',').filter(|name| !name.is_empty()) {
            let flag = Flags::parse(name).ok_or_else(|| {
                CommandError::Text(alloc::format!("Unexpected flag in script shebang: {}", lossy(name)))
            })?;
            flags = flags.with(flag);
        }
    }
    Ok((Some(flags), code))
}

/// The keys and the other arguments of a script, of which the argument at `at` counts the keys.
pub(super) fn split<'a>(
    args: Args<'a>,
    at: usize,
    not_a_number: &CommandError,
) -> Result<(Args<'a>, Args<'a>), CommandError> {
    let count = integer(args.at(at)).map_err(|_| not_a_number.clone())?;
    let rest = args.skip(at + 1);
    if count > rest.len() as i64 {
        return Err(CommandError::Other("Number of keys can't be greater than number of args"));
    }
    let count = usize::try_from(count).map_err(|_| CommandError::Other("Number of keys can't be negative"))?;
    Ok((rest.first(count), rest.skip(count)))
}

fn eval(call: &mut Call<'_>, reads: bool) -> Result<(), CommandError> {
    let body = call.args.at(1);
    let (keys, args) = split(call.args, 2, &CommandError::NotAnInteger)?;
    let sha = Sha::of(body);
    let flags = known(call, sha, Some(body))?;
    scripting::run(call, Program::Script(sha), How { flags, reads }, keys, args)
}

fn eval_sha(call: &mut Call<'_>, reads: bool) -> Result<(), CommandError> {
    let sha = Sha::parse(call.args.at(1)).ok_or(CommandError::NoScript)?;
    let (keys, args) = split(call.args, 2, &CommandError::NotAnInteger)?;
    let flags = known(call, sha, None)?;
    scripting::run(call, Program::Script(sha), How { flags, reads }, keys, args)
}

/// Has a script compiled, if it is not: one that the client has brought, or one that is kept. What it says of itself.
fn known(call: &mut Call<'_>, sha: Sha, body: Option<&[u8]>) -> Result<Option<Flags>, CommandError> {
    let core = &mut *call.core;
    if let Some(flags) = core.scripts.flags(sha) {
        return Ok(flags);
    }
    let body = body.or_else(|| core.system.programs.script(sha)).ok_or(CommandError::NoScript)?;
    let (flags, code) = parse(body)?;
    core.scripts.compile(sha, code, flags)?;
    Ok(flags)
}

fn load(call: &mut Call<'_>) -> Result<(), CommandError> {
    let body = call.args.at(2);
    if body.len() > limits::SCRIPT_BYTES {
        return Err(CommandError::Other("the script is too large to be kept"));
    }
    let sha = Sha::of(body);
    known(call, sha, Some(body))?;
    match call.core.system.programs.script(sha) {
        Some(_) => call.depend_on_system(),
        None => call.effect(&Effect::LoadScript { body }),
    }
    call.reply.bulk(&sha.hex());
    Ok(())
}

fn exists(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    let shas: Vec<Option<Sha>> = call.args.skip(2).iter().map(Sha::parse).collect();
    call.reply.array(shas.len());
    for sha in shas {
        let core = &*call.core;
        let is_known = |sha| core.scripts.flags(sha).is_some() || core.system.programs.script(sha).is_some();
        call.reply.integer(sha.is_some_and(is_known).into());
    }
    Ok(())
}

fn flush(call: &mut Call<'_>) -> Result<(), CommandError> {
    check_mode(call.args.skip(2), CommandError::Other("SCRIPT FLUSH only support SYNC|ASYNC option"))?;
    if call.core.writes(agreed::SCRIPTS) {
        call.effect(&Effect::FlushScripts);
    }
    call.core.scripts.forget_all();
    call.reply.ok();
    Ok(())
}
