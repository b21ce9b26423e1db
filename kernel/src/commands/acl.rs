//! ACL: Redis's view of the users. Roles decide what a user may do; nothing is changed by these commands.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Access, Command, CommandError, Keys, is_word, lossy};
use crate::call::Call;
use crate::users::{Role, User};

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "acl",
    arity: -2,
    access: Access::Connection,
    keys: Keys::NONE,
    flags: &["noscript", "loading", "stale"],
    summary: "A container for Access List Control commands.",
    run: acl,
}];

/// Commands by who may run them, as `COMMAND INFO` shows it too.
const CATEGORIES: [(&str, &[Access]); 4] = [
    ("read", &[Access::Read]),
    ("write", &[Access::Write]),
    ("admin", &[Access::Admin]),
    ("connection", &[Access::Anyone, Access::Connection]),
];

const HELP: &[&str] = &[
    "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "GETUSER <username>",
    "    Get the user's details.",
    "LIST",
    "    Show users details in config file format.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
    "HELP",
    "    Print this help.",
];

fn acl(call: &mut Call<'_>) -> Result<(), CommandError> {
    let args = call.args;
    let is = |name: &str, len: usize| is_word(args.at(1), name) && args.len() == len;
    if is("whoami", 2) {
        let user = call.session.user.clone().unwrap_or_default();
        call.reply.bulk(user.as_bytes());
        return Ok(());
    }
    if is("cat", 2) {
        call.reply.array(CATEGORIES.len());
        CATEGORIES.iter().for_each(|(name, _)| call.reply.bulk(name.as_bytes()));
        return Ok(());
    }
    if is("cat", 3) {
        let wanted = CATEGORIES.iter().find(|(name, _)| is_word(args.at(2), name));
        let (_, classes) =
            wanted.ok_or_else(|| CommandError::Text(alloc::format!("Unknown category '{}'", lossy(args.at(2)))))?;
        let of_class = |command: &&&'static Command| classes.contains(&command.access);
        let names: Vec<&str> = call.core.commands.all().iter().filter(of_class).map(|command| command.name).collect();
        call.reply.array(names.len());
        names.iter().for_each(|name| call.reply.bulk(name.as_bytes()));
        return Ok(());
    }
    if is("help", 2) {
        call.reply.help(HELP);
        return Ok(());
    }
    // Who else there is, only an admin is told.
    call.check_access(Access::Admin, "acl")?;
    if is("users", 2) {
        let names: Vec<String> = call.core.system.users.iter().map(|(name, _)| name.into()).collect();
        call.reply.array(names.len());
        names.iter().for_each(|name| call.reply.bulk(name.as_bytes()));
    } else if is("list", 2) {
        let users = call.core.system.users.iter();
        let lines: Vec<String> =
            users.map(|(name, user)| alloc::format!("user {name} on ~* resetchannels {}", rules(user))).collect();
        call.reply.array(lines.len());
        lines.iter().for_each(|line| call.reply.bulk(line.as_bytes()));
    } else if is("getuser", 3) {
        match call.core.system.users.get(&lossy(args.at(2))).map(rules) {
            Some(rules) => describe(call, rules),
            None => call.reply.null(),
        }
    } else {
        return Err(CommandError::unknown_subcommand(args, "ACL"));
    }
    Ok(())
}

/// A role in the words of Redis's rules.
fn rules(user: &User) -> &'static str {
    match user.role {
        Role::Admin => "+@all",
        Role::ReadWrite => "-@all +@read +@write +@connection",
        Role::ReadOnly => "-@all +@read +@connection",
    }
}

fn describe(call: &mut Call<'_>, rules: &str) {
    let reply = &mut *call.reply;
    reply.map(6);
    reply.bulk(b"flags");
    reply.set(1);
    reply.bulk(b"on");
    // Hashes are no use to anyone who may see them.
    reply.bulk(b"passwords");
    reply.array(0);
    reply.bulk(b"commands");
    reply.bulk(rules.as_bytes());
    reply.bulk(b"keys");
    reply.bulk(b"~*");
    reply.bulk(b"channels");
    reply.bulk(b"");
    reply.bulk(b"selectors");
    reply.array(0);
}
