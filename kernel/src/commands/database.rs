//! DATABASE: which databases there are beside the numbered ones, and their levels.

use alloc::string::String;
use alloc::vec::Vec;

use super::containers::{self, Subcommand};
use super::{Access, Command, CommandError, Keys, is_word, keyspace, lossy, user};
use crate::call::Call;
use crate::effect::Effect;
use crate::ids::{DbId, DbNumber};
use crate::level::Level;
use crate::limits;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "database",
    arity: -2,
    access: Access::Admin,
    keys: Keys::NONE,
    flags: &["write", "noscript", "no_multi"],
    summary: "A container for the commands that make, change, list and drop databases.",
    run: |call| containers::run(call, SUBCOMMANDS, "DATABASE"),
}];

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("create", 3, Access::Admin, create),
    ("list", 2, Access::Read, list),
    ("drop", 3, Access::Admin, drop),
    ("set", 5, Access::Admin, set),
    ("help", 2, Access::Connection, |call| {
        call.reply.help(HELP);
        Ok(())
    }),
];

const HELP: &[&str] = &[
    "DATABASE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <name>",
    "    Make a database with a name, and return its number: SELECT takes either.",
    "DROP <name>",
    "    Remove a database with a name, and all that it holds.",
    "LIST",
    "    Show the databases that the user may use.",
    "SET <name|number> CONSISTENCY <level>|DEFAULT",
    "    Set the level of commands on it, unless a user or a client has set another.",
    "HELP",
    "    Print this help.",
];

fn create(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    let name = new_name(call.args.at(2))?;
    let databases = &call.core.system.databases;
    if databases.by_name(name.as_bytes()).is_some() {
        return Err(CommandError::Text(alloc::format!("there is a database '{name}' already")));
    }
    let Some((db, id)) = databases.vacant() else {
        return Err(CommandError::Other("there are too many databases, DATABASE DROP removes one"));
    };
    call.effect(&Effect::CreateDatabase { name: &name, db, id });
    call.reply.integer(i64::from(db.0));
    Ok(())
}

fn drop(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    let db = keyspace::existing(call, call.args.at(2))?;
    if call.core.system.databases.name(db).is_none() {
        return Err(CommandError::Other("a numbered database is always there, FLUSHDB empties it"));
    }
    // Its place may be given to another one.
    call.flush(call.core.system.databases.id(db));
    call.effect(&Effect::DropDatabase { db });
    call.reply.ok();
    Ok(())
}

fn set(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    if !is_word(call.args.at(3), "consistency") {
        return Err(CommandError::Syntax);
    }
    let level = user::level(call.args.at(4))?;
    let db = keyspace::existing(call, call.args.at(2))?;
    call.effect(&Effect::DatabaseLevel { db, level });
    call.reply.ok();
    Ok(())
}

/// What `DATABASE LIST` shows of a database.
struct Row {
    db: DbNumber,
    id: DbId,
    name: Option<String>,
    level: Option<Level>,
}

fn list(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    let databases = &call.core.system.databases;
    let may_use = |db| call.session.rights.as_ref().is_some_and(|user| user.may_use(db));
    let rows: Vec<Row> = databases
        .iter()
        .filter(|(db, _)| may_use(*db))
        .map(|(db, id)| Row { db, id, name: databases.name(db).map(String::from), level: databases.level(db) })
        .collect();
    call.reply.array(rows.len());
    for Row { db, id, name, level } in rows {
        call.depend_on_database(id);
        let keys = call.core.store.database(id).len();
        let reply = &mut *call.reply;
        reply.map(4);
        reply.bulk(b"number");
        reply.integer(i64::from(db.0));
        reply.bulk(b"name");
        reply.optional_bulk(name.as_deref().map(str::as_bytes));
        reply.bulk(b"keys");
        reply.integer(keys as i64);
        reply.bulk(b"consistency");
        reply.optional_bulk(level.map(|level| level.name().as_bytes()));
    }
    Ok(())
}

/// The name of a database that is to be made: one that is taken neither for a number nor for an option of USER.
fn new_name(name: &[u8]) -> Result<String, CommandError> {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let is_sound = (1..=limits::MAX_NAME).contains(&name.len())
        && name[0].is_ascii_alphabetic()
        && name.iter().all(is_allowed)
        && !user::OPTIONS.iter().any(|option| is_word(name, option));
    if !is_sound {
        let text = alloc::format!(
            "the name of a database begins with a letter and has up to {} letters, digits, '_', '-' and '.'; it is no \
             option of USER",
            limits::MAX_NAME
        );
        return Err(CommandError::Text(text));
    }
    Ok(lossy(name))
}
