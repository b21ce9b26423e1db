//! ACL: Redis's view of the users, as far as this node has read of them in the log. Nothing is changed by these commands:
//! USER does that.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::containers::{self, Subcommand};
use super::{Access, Command, CommandError, Keys, is_word, lossy, user};
use crate::call::Call;
use crate::rights;
use crate::users::{Role, User};

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "acl",
    arity: -2,
    access: Access::Connection,
    keys: Keys::NONE,
    flags: &["noscript", "loading", "stale", "skip_slowlog"],
    summary: "A container for Access List Control commands.",
    run: |call| containers::run(call, SUBCOMMANDS, "ACL"),
}];

/// Who else there is, only an admin is told.
pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("whoami", 2, Access::Connection, user::who_am_i),
    ("cat", -2, Access::Connection, categories),
    ("list", 2, Access::Admin, list),
    ("users", 2, Access::Admin, |call| {
        call.depend_on_system();
        let names: Vec<String> = call.core.system.users.iter().map(|(name, _)| name.into()).collect();
        call.reply.array(names.len());
        names.iter().for_each(|name| call.reply.bulk(name.as_bytes()));
        Ok(())
    }),
    ("getuser", 3, Access::Admin, |call| {
        call.depend_on_system();
        match call.core.system.users.get(&lossy(call.args.at(2))).cloned() {
            Some(user) => describe(call, &user),
            None => call.reply.null(),
        }
        Ok(())
    }),
    ("dryrun", -4, Access::Admin, dry_run),
    ("setuser", -3, Access::Admin, |_| Err(NO_CHANGES)),
    ("deluser", -3, Access::Admin, |_| Err(NO_CHANGES)),
    ("load", 2, Access::Admin, |_| Err(NO_CHANGES)),
    ("save", 2, Access::Admin, |_| Err(NO_CHANGES)),
    ("help", 2, Access::Connection, |call| {
        call.reply.help(HELP);
        Ok(())
    }),
];

/// Users have roles here, and no lists of rules.
const NO_CHANGES: CommandError =
    CommandError::Other("users are changed by USER CREATE, USER SET and USER DROP, and need no saving; see USER HELP");

/// Commands by who may run them, as `COMMAND INFO` shows it too.
const CATEGORIES: [(&str, &[Access]); 6] = [
    ("read", &[Access::Read]),
    ("write", &[Access::Write]),
    ("admin", &[Access::Admin]),
    ("connection", &[Access::Anyone, Access::Connection]),
    ("pubsub", &[Access::Subscribe, Access::Publish]),
    ("scripting", &[Access::Script]),
];

const HELP: &[&str] = &[
    "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Return whether the user may run the command on the selected database.",
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

fn categories(call: &mut Call<'_>) -> Result<(), CommandError> {
    let args = call.args;
    if args.len() == 2 {
        call.reply.array(CATEGORIES.len());
        CATEGORIES.iter().for_each(|(name, _)| call.reply.bulk(name.as_bytes()));
        return Ok(());
    }
    if args.len() > 3 {
        return Err(CommandError::SubcommandArity("acl", "cat"));
    }
    let wanted = CATEGORIES.iter().find(|(name, _)| is_word(args.at(2), name));
    let (_, classes) =
        wanted.ok_or_else(|| CommandError::Text(alloc::format!("Unknown category '{}'", lossy(args.at(2)))))?;
    let of_class = |command: &&&'static Command| classes.contains(&command.access);
    let names: Vec<&str> = call.core.commands.all().iter().filter(of_class).map(|command| command.name).collect();
    call.reply.array(names.len());
    names.iter().for_each(|name| call.reply.bulk(name.as_bytes()));
    Ok(())
}

fn list(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    let users = call.core.system.users.iter();
    let line = |(name, user)| alloc::format!("user {name} on ~* &* {} {}", databases(user), commands(user));
    let lines: Vec<String> = users.map(line).collect();
    call.reply.array(lines.len());
    lines.iter().for_each(|line| call.reply.bulk(line.as_bytes()));
    Ok(())
}

fn dry_run(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    let name = lossy(call.args.at(2));
    let inner = call.args.skip(3);
    let core = &*call.core;
    let user = core.system.users.get(&name).ok_or_else(|| user::no_such_user(&name))?;
    let (number, _) = core.commands.find(inner.at(0)).ok_or_else(|| {
        let text = alloc::format!("Command '{}' not found", lossy(inner.at(0)));
        CommandError::Text(text)
    })?;
    core.commands.resolve(inner)?;
    match rights::check(core, &name, user, call.session.db, number, inner) {
        Ok(()) => call.reply.ok(),
        Err(error) => {
            let text = error.to_string();
            let text = text.strip_prefix("NOPERM ").unwrap_or(&text);
            call.reply.bulk(text.as_bytes());
        }
    }
    Ok(())
}

/// A role in the words of Redis's rules.
fn commands(user: &User) -> &'static str {
    match user.role {
        Role::Admin => "+@all",
        Role::ReadWrite => "-@all +@read +@write +@connection +@pubsub",
        Role::ReadOnly => "-@all +@read +@connection +@pubsub -publish -spublish",
    }
}

/// The databases that a user may use. Redis has no words for that.
fn databases(user: &User) -> String {
    if user.may_use_all() {
        return "alldbs".into();
    }
    let numbers: Vec<String> = user.granted.iter().map(|db| db.0.to_string()).collect();
    alloc::format!("db={}", numbers.join(","))
}

fn describe(call: &mut Call<'_>, user: &User) {
    let reply = &mut *call.reply;
    reply.map(7);
    reply.bulk(b"flags");
    reply.set(1);
    reply.bulk(b"on");
    // Hashes are no use to anyone who may see them.
    reply.bulk(b"passwords");
    reply.array(0);
    reply.bulk(b"commands");
    reply.bulk(commands(user).as_bytes());
    reply.bulk(b"keys");
    reply.bulk(b"~*");
    reply.bulk(b"channels");
    reply.bulk(b"&*");
    reply.bulk(b"databases");
    reply.bulk(databases(user).as_bytes());
    reply.bulk(b"selectors");
    reply.array(0);
}
