//! USER: who may do what. Users are part of the replicated state: a change is an effect like any other, and applies to
//! open connections with it.
//!
//! A password is hashed where its client is, away from the Core's lock ([`crate::call::Then::HashPassword`]); what goes
//! to the primary, and into the log, is the hash.

use alloc::string::String;
use alloc::vec::Vec;

use super::containers::{self, Subcommand};
use super::{Access, Command, CommandError, Keys, acl, connection, is_word, keyspace, lossy};
use crate::call::Call;
use crate::effect::Effect;
use crate::ids::DbNumber;
use crate::level::Level;
use crate::limits;
use crate::password::{Form, Password};
use crate::resp::OwnedArgs;
use crate::rules::Rules;
use crate::session::HashedPassword;
use crate::users::{Role, User};

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "user",
    arity: -2,
    access: Access::Admin,
    keys: Keys::NONE,
    flags: &["write", "noscript", "no_multi", "skip_slowlog"],
    summary: "A container for the commands that make, change, show and drop users.",
    run: |call| containers::run(call, SUBCOMMANDS, "USER"),
}];

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("create", -3, Access::Admin, create),
    ("set", -3, Access::Admin, set),
    ("drop", 3, Access::Admin, drop),
    ("list", 2, Access::Admin, list),
    ("show", 3, Access::Admin, |call| {
        call.depend_on_system();
        let (name, user) = existing(call)?;
        show(call, &name, &user);
        Ok(())
    }),
    ("whoami", 2, Access::Connection, who_am_i),
    ("help", 2, Access::Connection, |call| {
        call.reply.help(HELP);
        Ok(())
    }),
];

const HELP: &[&str] = &[
    "USER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <name> PASSWORD <password> ROLE admin|readwrite|readonly [DATABASES *|<database> ...] [CONSISTENCY <level>]",
    "    Make a user, who may use every database unless some are listed.",
    "SET <name> [PASSWORD <password>] [ROLE <role>] [DATABASES *|<database> ...] [CONSISTENCY <level>|DEFAULT]",
    "    Change a user. Open connections are concerned at once; a new password ends their authentication.",
    "DROP <name>",
    "    Remove a user.",
    "LIST",
    "    Show all users.",
    "SHOW <name>",
    "    Show a user's role, databases and consistency level.",
    "WHOAMI",
    "    Return the current connection's user.",
    "HELP",
    "    Print this help.",
];

/// The words that options begin with: no database has such a name.
pub(super) const OPTIONS: [&str; 5] = ["password", "hash", "role", "databases", "consistency"];

/// Which databases a user is granted.
#[derive(PartialEq, Eq)]
enum Grants {
    All,
    Only(Vec<DbNumber>),
}

/// What a user is to be; `None` of what was not said.
#[derive(Default)]
struct Wish<'a> {
    password: Option<&'a [u8]>,
    hash: Option<&'a [u8]>,
    role: Option<Role>,
    /// As they were typed: which there are, the primary knows.
    databases: Option<Vec<&'a [u8]>>,
    level: Option<Option<Level>>,
}

impl<'a> Wish<'a> {
    fn parse(call: &Call<'a>) -> Result<Self, CommandError> {
        let mut wish = Wish::default();
        let mut words = call.args.skip(3).iter().peekable();
        while let Some(option) = words.next() {
            let mut value = || words.next().ok_or(CommandError::Syntax);
            if is_word(option, "password") {
                wish.password = Some(value()?);
            } else if is_word(option, "hash") && call.session.is_proxy {
                // Only what another Core has made: it is not looked at.
                wish.hash = Some(value()?);
            } else if is_word(option, "role") {
                let role = value()?;
                wish.role = Some(Role::parse(role).ok_or_else(|| {
                    let text = alloc::format!("unknown role '{}', use admin, readwrite or readonly", lossy(role));
                    CommandError::Text(text)
                })?);
            } else if is_word(option, "consistency") {
                wish.level = Some(level(value()?)?);
            } else if is_word(option, "databases") {
                let is_option = |word: &&[u8]| OPTIONS.iter().any(|option| is_word(word, option));
                let mut names = Vec::new();
                while let Some(name) = words.next_if(|word| !is_option(word)) {
                    names.push(name);
                }
                wish.databases = Some(names);
            } else {
                return Err(CommandError::Text(alloc::format!(
                    "unknown option '{}', use PASSWORD, ROLE, DATABASES or CONSISTENCY",
                    lossy(option)
                )));
            }
        }
        if wish.password.is_some_and(|password| password.is_empty() || password.len() > limits::MAX_PASSWORD) {
            let text = alloc::format!("a password has from 1 to {} bytes", limits::MAX_PASSWORD);
            return Err(CommandError::Text(text));
        }
        Ok(wish)
    }

    /// The hash of the password, which whoever was asked to make it has left; `None` if there is no password.
    fn take_hash(&self, call: &mut Call<'_>) -> Result<Option<String>, CommandError> {
        let made = core::mem::take(&mut call.session.hashed);
        match (self.hash, self.password) {
            (Some(hash), _) => Ok(Some(String::from_utf8_lossy(hash).into_owned())),
            (None, None) => Ok(None),
            (None, Some(password)) => match made.into_iter().find(|made| made.text == password) {
                Some(made) => Ok(Some(made.hash)),
                None => Err(NOT_HASHED),
            },
        }
    }

    /// The databases that a user of this role is to be granted.
    fn grants(&self, call: &Call<'_>, role: Role) -> Result<Option<Grants>, CommandError> {
        let Some(names) = &self.databases else { return Ok(None) };
        let grants = match names.as_slice() {
            [] => return Err(CommandError::Other("DATABASES needs numbers or names of databases, or * for all")),
            [b"*"] => Grants::All,
            names => Grants::Only(names.iter().map(|name| keyspace::existing(call, name)).collect::<Result<_, _>>()?),
        };
        if role == Role::Admin && grants != Grants::All {
            return Err(CommandError::Other(
                "an admin may use every database, give another role or leave DATABASES out",
            ));
        }
        Ok(Some(grants))
    }

    /// Changes what was said beside role and password.
    fn fulfil(&self, call: &mut Call<'_>, name: &str, grants: Option<Grants>) {
        match grants {
            None => {}
            Some(Grants::All) => call.effect(&Effect::Reach { user: name, everywhere: true }),
            Some(Grants::Only(databases)) => {
                call.effect(&Effect::Reach { user: name, everywhere: false });
                databases.into_iter().for_each(|db| call.effect(&Effect::Grant { user: name, db }));
            }
        }
        if let Some(level) = self.level {
            call.effect(&Effect::UserLevel { user: name, level });
        }
    }
}

/// The driver has lost what it was asked to make.
pub(super) const NOT_HASHED: CommandError = CommandError::Other("the password was not hashed; send the command again");

/// A level, or DEFAULT for none.
pub(super) fn level(text: &[u8]) -> Result<Option<Level>, CommandError> {
    if is_word(text, "default") {
        return Ok(None);
    }
    Level::parse(text).map(Some).ok_or(connection::UNKNOWN_LEVEL)
}

fn create(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    let name = new_name(call.args.at(2))?;
    let wish = Wish::parse(call)?;
    let hash = wish.take_hash(call)?;
    if call.core.system.users.get(&name).is_some() {
        let text = alloc::format!("there is a user '{name}' already, USER SET changes it");
        return Err(CommandError::Text(text));
    }
    let (Some(password_hash), Some(role)) = (hash, wish.role) else {
        return Err(CommandError::Other("USER CREATE needs a PASSWORD and a ROLE, see USER HELP"));
    };
    let grants = wish.grants(call, role)?;
    if call.core.system.users.len() >= limits::MAX_USERS {
        return Err(CommandError::Other("there are too many users, USER DROP removes one"));
    }
    call.effect(&Effect::User { name: &name, password_hash: &password_hash, role });
    wish.fulfil(call, &name, grants);
    call.reply.ok();
    Ok(())
}

fn set(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    let wish = Wish::parse(call)?;
    let hash = wish.take_hash(call)?;
    let (name, user) = existing(call)?;
    let role = wish.role.unwrap_or(user.role);
    let grants = wish.grants(call, role)?;
    if role != Role::Admin && is_last_admin(call, &name) {
        return Err(last_admin(&name));
    }
    if let Some(rules) = &user.rules {
        // Who gets a role has it whatever the rules say, and who gets a password needs it.
        let changed = Rules {
            makes_role: rules.makes_role && wish.role.is_none(),
            needs_no_password: rules.needs_no_password && hash.is_none(),
            ..Rules::clone(rules)
        };
        if changed != **rules {
            acl::set_rules(call, &name, &changed);
        }
    }
    if hash.is_some() || wish.role.is_some() {
        let password_hash = hash.unwrap_or(user.password_hash);
        call.effect(&Effect::User { name: &name, password_hash: &password_hash, role });
    }
    wish.fulfil(call, &name, grants);
    call.reply.ok();
    Ok(())
}

fn drop(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    let (name, _) = existing(call)?;
    if is_last_admin(call, &name) {
        return Err(last_admin(&name));
    }
    call.effect(&Effect::DropUser { name: &name });
    call.reply.ok();
    Ok(())
}

fn list(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    let users: Vec<(String, User)> =
        call.core.system.users.iter().map(|(name, user)| (name.into(), user.clone())).collect();
    call.reply.array(users.len());
    users.iter().for_each(|(name, user)| show(call, name, user));
    Ok(())
}

pub(super) fn who_am_i(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.reply.bulk(call.session.user.as_deref().unwrap_or_default().as_bytes());
    Ok(())
}

/// Everything about a user but the password's hash, which is of no use to anyone who may see it.
fn show(call: &mut Call<'_>, name: &str, user: &User) {
    let databases: Vec<String> = match user.everywhere {
        true => alloc::vec!["*".into()],
        false => user.granted.iter().map(|db| call.core.system.databases.shown(*db)).collect(),
    };
    let reply = &mut *call.reply;
    reply.map(4);
    reply.bulk(b"name");
    reply.bulk(name.as_bytes());
    reply.bulk(b"role");
    reply.bulk(user.role.name().as_bytes());
    reply.bulk(b"databases");
    reply.array(databases.len());
    databases.iter().for_each(|database| reply.bulk(database.as_bytes()));
    reply.bulk(b"consistency");
    reply.optional_bulk(user.level.map(|level| level.name().as_bytes()));
}

/// The user that the command names.
fn existing(call: &Call<'_>) -> Result<(String, User), CommandError> {
    let name = lossy(call.args.at(2));
    match call.core.system.users.get(&name) {
        Some(user) => Ok((name, User::clone(user))),
        None => Err(no_such_user(&name)),
    }
}

/// Whether nobody else could make users: somebody must be able to.
pub(super) fn is_last_admin(call: &Call<'_>, name: &str) -> bool {
    let is_admin = call.core.system.users.get(name).is_some_and(|user| call.core.administers(user));
    is_admin && !call.core.has_other_admin(name)
}

fn no_such_user(name: &str) -> CommandError {
    CommandError::Text(alloc::format!("there is no user '{name}', USER LIST shows all"))
}

pub(super) fn last_admin(name: &str) -> CommandError {
    CommandError::Text(alloc::format!("'{name}' is the last admin, make another user an admin first"))
}

/// The name of a user that is to be made.
pub(super) fn new_name(name: &[u8]) -> Result<String, CommandError> {
    let is_sound = (1..=limits::MAX_NAME).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic);
    if !is_sound {
        let text = alloc::format!(
            "the name of a user has from 1 to {} characters of ASCII, without spaces or control characters",
            limits::MAX_NAME
        );
        return Err(CommandError::Text(text));
    }
    Ok(lossy(name))
}

/// The password that is to be hashed before the command can go on, if it has one that was not. What is wrong with the
/// command is found first: hashing is slow.
pub(crate) fn unhashed(call: &Call<'_>) -> Result<Option<Password>, CommandError> {
    let changes = |subcommand: &[u8]| is_word(subcommand, "create") || is_word(subcommand, "set");
    if !changes(call.args.at(1)) {
        return Ok(None);
    }
    let is_made = |password: &[u8]| call.session.hashed.iter().any(|made| made.text == password);
    let password = Wish::parse(call)?.password.filter(|password| !is_made(password));
    Ok(password.map(|text| Password { text: text.into(), form: Form::Plain, known: Vec::new() }))
}

/// The call's arguments as the primary gets them: with a hash in place of the password.
pub(crate) fn without_password(call: &mut Call<'_>) -> OwnedArgs {
    let Some(HashedPassword { text, hash, .. }) = call.session.hashed.pop() else { return call.args.into() };
    let mut words: Vec<&[u8]> = call.args.iter().collect();
    let mut at = 3;
    while at + 1 < words.len() {
        if is_word(words[at], "password") && words[at + 1] == text {
            words[at] = b"HASH";
            words[at + 1] = hash.as_bytes();
        }
        // An option's word may be the value of another: a password can be anything.
        at += if is_word(words[at], "databases") { 1 } else { 2 };
        while at < words.len() && !OPTIONS.iter().any(|option| is_word(words[at], option)) {
            at += 1;
        }
    }
    OwnedArgs::from_words(&words)
}
