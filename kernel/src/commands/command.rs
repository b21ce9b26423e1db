//! What clients are told about the commands.

use alloc::vec::Vec;

use super::{Access, Command, CommandError, Keys, is_word, movable};
use crate::call::Call;
use crate::glob;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "command",
    arity: -1,
    access: Access::Connection,
    keys: Keys::NONE,
    flags: &["loading", "stale"],
    summary: "Returns detailed information about all commands.",
    run: command,
}];

const HELP: &[&str] = &[
    "COMMAND [subcommand [argument ...]]. Subcommands:",
    "(none)",
    "    All commands in detail.",
    "COUNT",
    "    How many commands there are.",
    "DOCS [command ...]",
    "    What commands do.",
    "GETKEYS command [argument ...]",
    "    The keys of a whole command.",
    "INFO [command ...]",
    "    Commands in detail.",
    "LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]",
    "    The commands' names.",
    "HELP",
    "    This text.",
];

/// The version of Mneme that brought the commands.
const SINCE: &str = "0.1.0";

fn command(call: &mut Call<'_>) -> Result<(), CommandError> {
    let all: Vec<usize> = (0..call.core.commands.all().len()).collect();
    let len = call.args.len();
    let subcommand = call.args.get(1).unwrap_or_default();
    if len == 1 || (is_word(subcommand, "info") && len == 2) {
        call.reply.array(all.len());
        all.into_iter().for_each(|number| describe(call, number));
    } else if is_word(subcommand, "count") {
        call.reply.integer(all.len() as i64);
    } else if is_word(subcommand, "list") {
        list(call)?;
    } else if is_word(subcommand, "info") {
        let names = call.args.skip(2);
        call.reply.array(names.len());
        for name in names.iter() {
            match call.core.commands.find(name) {
                Some((number, _)) => describe(call, number),
                None => call.reply.null(),
            }
        }
    } else if is_word(subcommand, "docs") {
        document(call);
    } else if is_word(subcommand, "getkeys") {
        get_keys(call)?;
    } else if is_word(subcommand, "help") {
        call.reply.help(HELP);
    } else {
        return Err(CommandError::unknown_subcommand(call.args, "COMMAND"));
    }
    Ok(())
}

/// The names of all commands, or of those that a filter lets through. A category is also one of subcommands.
fn list(call: &mut Call<'_>) -> Result<(), CommandError> {
    let commands = &call.core.commands;
    let all = commands.all().iter().map(|command| command.name);
    let names: Vec<&str> = if call.args.len() == 2 {
        all.collect()
    } else {
        if call.args.len() != 5 || !is_word(call.args.at(2), "filterby") {
            return Err(CommandError::Syntax);
        }
        let wanted = call.args.at(4).to_ascii_lowercase();
        let by = call.args.at(3);
        if is_word(by, "module") {
            Vec::new()
        } else if is_word(by, "aclcat") {
            let category = core::str::from_utf8(&wanted).unwrap_or_default();
            commands.of_category(category).map(|unit| commands.unit_name(unit)).collect()
        } else if is_word(by, "pattern") {
            all.filter(|name| glob::matches(&wanted, name.as_bytes())).collect()
        } else {
            return Err(CommandError::Syntax);
        }
    };
    call.reply.array(names.len());
    names.into_iter().for_each(|name| call.reply.bulk(name.as_bytes()));
    Ok(())
}

/// What the named commands do, or all. Names of none are left out.
fn document(call: &mut Call<'_>) {
    let commands = &call.core.commands;
    let wanted: Vec<usize> = match call.args.len() {
        2 => (0..commands.all().len()).collect(),
        _ => call.args.skip(2).iter().filter_map(|name| commands.find(name)).map(|(number, _)| number).collect(),
    };
    let reply = &mut *call.reply;
    reply.map(wanted.len());
    for number in wanted {
        let command = commands.all()[number];
        reply.bulk(command.name.as_bytes());
        let fields = [("summary", command.summary), ("since", SINCE), ("group", commands.group(number))];
        reply.map(fields.len());
        for (name, value) in fields {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        }
    }
}

fn get_keys(call: &mut Call<'_>) -> Result<(), CommandError> {
    let mut inner = call.args.skip(2);
    if is_word(inner.at(0), "consistency") && inner.len() > 2 {
        inner = inner.skip(2);
    }
    let (_, command) = call.core.commands.find(inner.at(0)).ok_or(CommandError::Other("Invalid command specified"))?;
    if !movable::has_keys(command) {
        return Err(CommandError::Other("The command has no key arguments"));
    }
    if !command.accepts(inner.len()) {
        return Err(CommandError::Other("Invalid number of arguments specified for command"));
    }
    let none = command.has_flag("no_mandatory_keys").then(Vec::new);
    let wrong = CommandError::Other("Invalid arguments specified for command");
    let keys = movable::keys(command, inner).or(none).ok_or(wrong)?;
    call.reply.array(keys.len());
    keys.into_iter().for_each(|i| call.reply.bulk(inner.at(i)));
    Ok(())
}

/// One entry of `COMMAND INFO`, in the form of Redis 7.
fn describe(call: &mut Call<'_>, number: usize) {
    let command = call.core.commands.all()[number];
    let categories = call.core.commands.categories(number);
    let access = match command.access {
        Access::Write => "write",
        Access::Read => "readonly",
        Access::Admin | Access::Operator => "admin",
        Access::Anyone | Access::Connection | Access::Subscribe | Access::Publish | Access::Script => "",
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
    reply.set(categories.len());
    categories.for_each(|category| reply.simple(&alloc::format!("@{category}")));
    reply.array(0);
    reply.array(0);
    reply.array(0);
}
