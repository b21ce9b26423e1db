//! Libraries of functions: brought once, kept as data is, called by name.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::containers::{self, Subcommand};
use super::scripts::{runs, split};
use super::{Access, Command, CommandError, Keys, check_mode, is_word, lossy};
use crate::call::Call;
use crate::codec;
use crate::effect::Effect;
use crate::glob;
use crate::limits;
use crate::rdb;
use crate::script::{Function, Program, Sha, Source};
use crate::scripting::{self, How};

pub(super) const COMMANDS: &[Command] = &[
    runs("fcall", Access::Script, "Invokes a function.", |call| invoke(call, false)),
    runs("fcall_ro", Access::Read, "Invokes a read-only function.", |call| invoke(call, true)),
    Command {
        name: "function",
        arity: -2,
        access: Access::Write,
        keys: Keys::NONE,
        flags: &["noscript"],
        summary: "Keeps libraries of functions.",
        run: |call| containers::run(call, SUBCOMMANDS, "FUNCTION"),
    },
];

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("load", -3, Access::Write, load),
    ("delete", 3, Access::Write, delete),
    ("flush", -2, Access::Write, flush),
    ("list", -2, Access::Read, list),
    ("dump", 2, Access::Read, dump),
    ("restore", -3, Access::Write, restore),
    ("stats", 2, Access::Connection, stats),
    ("kill", 2, Access::Connection, |call| {
        call.core.kill_script(true)?;
        call.reply.ok();
        Ok(())
    }),
    ("help", 2, Access::Connection, |call| {
        call.reply.help(HELP);
        Ok(())
    }),
];

const HELP: &[&str] = &[
    "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LOAD [REPLACE] <code>",
    "    Keeps a library of functions.",
    "DELETE <library>",
    "    Deletes a library.",
    "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
    "    The libraries and their functions.",
    "STATS",
    "    The function that runs, and how many there are.",
    "KILL",
    "    Ends the function that runs.",
    "FLUSH [ASYNC|SYNC]",
    "    Deletes all libraries.",
    "DUMP",
    "    All libraries, for RESTORE.",
    "RESTORE <dump> [FLUSH|APPEND|REPLACE]",
    "    Brings back what DUMP gave.",
    "HELP",
    "    This text.",
];

const ENGINE: &str = "LUA";
const UNKNOWN: CommandError = CommandError::Other("Library not found");

/// The library's name and where its code begins, as its first line tells.
fn parse(code: &[u8]) -> Result<(String, &[u8]), CommandError> {
    let rest = code.strip_prefix(b"#!").ok_or(CommandError::Other("Missing library metadata"))?;
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(CommandError::Other("Invalid library metadata"))?;
    let (line, body) = rest.split_at(end);
    let engine = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let mut name = None;
    for word in line[engine.len()..].split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        let Some(value) = word.strip_prefix(b"name=") else {
            return Err(CommandError::Text(alloc::format!("Invalid metadata value given: {}", lossy(word))));
        };
        if name.is_some() {
            return Err(CommandError::Other("Invalid metadata value, name argument was given multiple times"));
        }
        let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        name = Some(quoted.unwrap_or(value));
    }
    let name = name.ok_or(CommandError::Other("Library name was not given"))?;
    if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return Err(CommandError::Other(
            "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        ));
    }
    if !is_word(engine, ENGINE) {
        return Err(CommandError::Text(alloc::format!("Engine '{}' not found", lossy(engine))));
    }
    Ok((lossy(name), body))
}

/// A library that is to be kept.
struct New<'a> {
    name: String,
    code: &'a [u8],
    functions: Vec<Function>,
    /// Bytes of the library whose place it takes.
    replaced: usize,
}

/// Looks at a library, which comes behind `others` at once. `gone`: none of those that are there stays. The quotes are
/// Redis's.
fn look<'a>(
    call: &mut Call<'_>,
    code: &'a [u8],
    others: &[New<'_>],
    replaces: bool,
    gone: bool,
    quote: &str,
) -> Result<New<'a>, CommandError> {
    // What is said here of other libraries rests on their being accepted.
    call.depend_on_system();
    let (name, body) = parse(code)?;
    let programs = &call.core.system.programs;
    let replaced = programs.library(&name).filter(|_| !gone).map_or(0, |library| library.code.len());
    if replaced > 0 && !replaces || others.iter().any(|other| other.name == name) {
        return Err(CommandError::Text(alloc::format!("Library {quote}{name}{quote} already exists")));
    }
    let there = if gone { 0 } else { programs.library_bytes() };
    let come = others.iter().fold(code.len(), |bytes, other| bytes + other.code.len());
    let go = others.iter().fold(replaced, |bytes, other| bytes + other.replaced);
    if there - go + come > limits::LIBRARY_BYTES {
        return Err(CommandError::Other("there is no more room for libraries"));
    }
    let functions = scripting::inspect(call, Source { name: &name, sha: Sha::of(code), code: body })?;
    for function in &functions {
        let there = call.core.system.programs.function(function.name.as_bytes()).filter(|_| !gone);
        let is_named = |other: &Function| other.name.eq_ignore_ascii_case(&function.name);
        if there.is_some_and(|(library, ..)| library != name)
            || others.iter().any(|other| other.functions.iter().any(is_named))
        {
            return Err(CommandError::Text(alloc::format!("Function {} already exists", function.name)));
        }
    }
    Ok(New { name, code, functions, replaced })
}

fn keep(call: &mut Call<'_>, new: &New<'_>) {
    let mut functions = Vec::new();
    codec::encode(&new.functions, &mut functions);
    call.effect(&Effect::LoadLibrary { name: &new.name, code: new.code, functions: &functions });
}

fn load(call: &mut Call<'_>) -> Result<(), CommandError> {
    let args = call.args;
    let mut replaces = false;
    for option in args.first(args.len() - 1).skip(2).iter() {
        if !is_word(option, "replace") {
            return Err(CommandError::Text(alloc::format!("Unknown option given: {}", lossy(option))));
        }
        replaces = true;
    }
    let new = look(call, args.at(args.len() - 1), &[], replaces, false, "'")?;
    keep(call, &new);
    call.reply.bulk(new.name.as_bytes());
    Ok(())
}

fn delete(call: &mut Call<'_>) -> Result<(), CommandError> {
    let name = lossy(call.args.at(2));
    call.depend_on_system();
    call.core.system.programs.library(&name).ok_or(UNKNOWN)?;
    call.effect(&Effect::DropLibrary { name: &name });
    call.reply.ok();
    Ok(())
}

fn drop_all(call: &mut Call<'_>) {
    let names: Vec<String> = call.core.system.programs.libraries().map(|(name, _)| name.to_string()).collect();
    names.iter().for_each(|name| call.effect(&Effect::DropLibrary { name }));
}

fn flush(call: &mut Call<'_>) -> Result<(), CommandError> {
    match call.args.get(2) {
        None => {}
        Some(_) if call.args.len() > 3 => return Err(CommandError::subcommand_syntax(call.args, "FUNCTION")),
        Some(_) => {
            check_mode(call.args.skip(2), CommandError::Other("FUNCTION FLUSH only supports SYNC|ASYNC option"))?
        }
    }
    call.depend_on_system();
    drop_all(call);
    call.reply.ok();
    Ok(())
}

fn list(call: &mut Call<'_>) -> Result<(), CommandError> {
    let args = call.args;
    let (mut with_code, mut pattern) = (false, None);
    let mut at = 2;
    while let Some(option) = args.get(at) {
        if !with_code && is_word(option, "withcode") {
            with_code = true;
        } else if pattern.is_none() && is_word(option, "libraryname") {
            at += 1;
            pattern = Some(args.get(at).ok_or(CommandError::Other("library name argument was not given"))?);
        } else {
            return Err(CommandError::Text(alloc::format!("Unknown argument {}", lossy(option))));
        }
        at += 1;
    }
    call.depend_on_system();
    let Call { core, reply, .. } = call;
    let wanted: Vec<_> = core
        .system
        .programs
        .libraries()
        .filter(|(name, _)| {
            pattern.is_none_or(|pattern| {
                glob::matches(&pattern.to_ascii_lowercase(), name.to_ascii_lowercase().as_bytes())
            })
        })
        .collect();
    reply.array(wanted.len());
    for (name, library) in wanted {
        reply.map(if with_code { 4 } else { 3 });
        reply.bulk(b"library_name");
        reply.bulk(name.as_bytes());
        reply.bulk(b"engine");
        reply.bulk(ENGINE.as_bytes());
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        for function in &library.functions {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(function.name.as_bytes());
            reply.bulk(b"description");
            reply.optional_bulk(function.description.as_deref().map(str::as_bytes));
            reply.bulk(b"flags");
            reply.set(function.flags.names().count());
            function.flags.names().for_each(|name| reply.simple(name));
        }
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.code);
        }
    }
    Ok(())
}

fn dump(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    let codes = call.core.system.programs.libraries().map(|(_, library)| library.code.as_slice());
    let dumped = rdb::dump_libraries(codes);
    call.reply.bulk(&dumped);
    Ok(())
}

fn restore(call: &mut Call<'_>) -> Result<(), CommandError> {
    let args = call.args;
    if args.len() > 4 {
        return Err(CommandError::subcommand_syntax(args, "FUNCTION"));
    }
    let policy = args.get(3).unwrap_or(b"append");
    let (flushes, replaces) = (is_word(policy, "flush"), is_word(policy, "replace"));
    if !flushes && !replaces && !is_word(policy, "append") {
        return Err(CommandError::Other(
            "Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
        ));
    }
    let value = rdb::open(args.at(2)).ok_or(CommandError::Other("DUMP payload version or checksum are wrong"))?;
    let codes = rdb::load_libraries(value).ok_or(CommandError::Other("failed loading functions payload"))?;
    let mut libraries: Vec<New<'_>> = Vec::new();
    for code in &codes {
        let new = look(call, code, &libraries, replaces, flushes, "")?;
        libraries.push(new);
    }
    if flushes {
        drop_all(call);
    }
    libraries.iter().for_each(|new| keep(call, new));
    call.reply.ok();
    Ok(())
}

fn stats(call: &mut Call<'_>) -> Result<(), CommandError> {
    let Call { core, reply, .. } = call;
    reply.map(2);
    reply.bulk(b"running_script");
    match core.scripts.running.as_ref().and_then(|running| Some((running, running.function.as_ref()?))) {
        None => reply.null(),
        Some((running, name)) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(name.as_bytes());
            reply.bulk(b"command");
            let words = running.command.args();
            reply.array(words.len());
            words.iter().for_each(|word| reply.bulk(word));
            reply.bulk(b"duration_ms");
            reply.integer(running.lasts().as_millis() as i64);
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(ENGINE.as_bytes());
    reply.map(2);
    let (libraries, functions) =
        core.system.programs.libraries().fold((0, 0), |(libraries, functions), (_, library)| {
            (libraries + 1, functions + library.functions.len() as i64)
        });
    reply.bulk(b"libraries_count");
    reply.integer(libraries);
    reply.bulk(b"functions_count");
    reply.integer(functions);
    Ok(())
}

fn invoke(call: &mut Call<'_>, reads: bool) -> Result<(), CommandError> {
    call.depend_on_system();
    let found = call.core.system.programs.function(call.args.at(1));
    let (library, kept, function) = found.ok_or(CommandError::Other("Function not found"))?;
    let (keys, args) = split(call.args, 2, &CommandError::Other("Bad number of keys provided"))?;
    // The engine may have to load it, while the Core is lent to the function.
    let (library, function) = (library.to_string(), function.clone());
    let kept = kept.clone();
    let (_, code) = parse(&kept.code)?;
    let program =
        Program::Function { library: Source { name: &library, sha: kept.sha, code }, function: &function.name };
    scripting::run(call, program, How { flags: Some(function.flags), reads }, keys, args)
}
