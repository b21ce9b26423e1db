//! ACL: Redis's rules of users, beneath their roles. `USER` makes the same users, with a role; here it is the rules that make
//! one, if the user is new: the least role that allows what they allow.
//!
//! As with `USER`, passwords are hashed where the client is, and what goes to the primary are the hashes.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::containers::{self, Subcommand};
use super::{Access, Command, CommandError, Keys, categories, connection, integer, is_word, lossy, user};
use crate::agreed;
use crate::call::{Call, NOT_AGREED};
use crate::codec;
use crate::effect::Effect;
use crate::level::Level;
use crate::limits;
use crate::password::{self, Form, Password};
use crate::permits::{self, Permits, join_selectors, least_role};
use crate::resp::{Args, OwnedArgs};
use crate::rights::Rights;
use crate::rules::{RuleError, Rules, Selector};
use crate::users::{Role, User};

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "acl",
    arity: -2,
    access: Access::Admin,
    keys: Keys::NONE,
    flags: &["write", "noscript", "loading", "stale", "skip_slowlog"],
    summary: "A container for Access List Control commands.",
    run: |call| containers::run(call, SUBCOMMANDS, "ACL"),
}];

/// Who else there is, only an admin is told.
pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("whoami", 2, Access::Connection, user::who_am_i),
    ("cat", -2, Access::Connection, categories),
    ("genpass", -2, Access::Connection, make_secret),
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
    ("setuser", -3, Access::Admin, set_user),
    ("deluser", -3, Access::Admin, delete_users),
    // Users are in the log as soon as their change is answered: there is nothing to be saved, and nothing else to load.
    ("load", 2, Access::Admin, is_saved),
    ("save", 2, Access::Admin, is_saved),
    ("log", -2, Access::Operator, log),
    ("help", 2, Access::Connection, |call| {
        call.reply.help(HELP);
        Ok(())
    }),
];

const HELP: &[&str] = &[
    "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DELUSER <username> [<username> ...]",
    "    Delete a list of users.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Return whether the user may run the command on the selected database.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOAD",
    "    Do nothing: users are always those that are stored.",
    "LOG [<count> | RESET]",
    "    Show this node's ACL log entries.",
    "SAVE",
    "    Do nothing: users are stored by the commands that change them.",
    "SETUSER <username> <attribute> [<attribute> ...]",
    "    Create or modify a user with the specified attributes.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
    "HELP",
    "    Print this help.",
];

fn categories(call: &mut Call<'_>) -> Result<(), CommandError> {
    let args = call.args;
    if args.len() > 3 {
        return Err(CommandError::subcommand_syntax(args, "ACL"));
    }
    let commands = &call.core.commands;
    let names: Vec<&str> = match args.get(2) {
        None => categories::NAMES.into(),
        Some(wanted) => {
            let wanted = core::str::from_utf8(wanted).unwrap_or_default().to_ascii_lowercase();
            if !commands.is_category(&wanted) {
                return Err(CommandError::Text(format!("Unknown category '{}'", lossy(args.at(2)))));
            }
            commands.of_category(&wanted).map(|unit| commands.unit_name(unit)).collect()
        }
    };
    call.reply.array(names.len());
    names.into_iter().for_each(|name| call.reply.bulk(name.as_bytes()));
    Ok(())
}

fn make_secret(call: &mut Call<'_>) -> Result<(), CommandError> {
    const MOST: i64 = 4096;
    let bits = match call.args.len() {
        2 => 256,
        3 => integer(call.args.at(2))?,
        _ => return Err(CommandError::subcommand_syntax(call.args, "ACL")),
    };
    if !(1..=MOST).contains(&bits) {
        return Err(CommandError::Other(
            "ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ));
    }
    let secret = call.core.secret((bits as usize).div_ceil(4));
    call.reply.bulk(&secret);
    Ok(())
}

fn list(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    let line = |(name, user): (&str, &User)| {
        let hashes: Vec<&str> = user.hashes().collect();
        [b"user ", name.as_bytes(), b" ", &rules_of(user).shown(&hashes)].concat()
    };
    let lines: Vec<Vec<u8>> = call.core.system.users.iter().map(line).collect();
    call.reply.array(lines.len());
    lines.iter().for_each(|line| call.reply.bulk(line));
    Ok(())
}

fn dry_run(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    let name = lossy(call.args.at(2));
    let mut inner = call.args.skip(3);
    if is_word(inner.at(0), "consistency") && inner.len() > 2 {
        // Whoever may authenticate may ask for a level; what counts is the command behind it.
        Level::parse(inner.at(1)).ok_or(connection::UNKNOWN_LEVEL)?;
        inner = inner.skip(2);
    }
    let user = call.core.system.users.get(&name).cloned();
    let user = user.ok_or_else(|| CommandError::Text(format!("User '{name}' not found")))?;
    let (number, _) = call.core.commands.find(inner.at(0)).ok_or_else(|| {
        let text = format!("Command '{}' not found", lossy(inner.at(0)));
        CommandError::Text(text)
    })?;
    call.core.commands.resolve(inner)?;
    let permits = call.core.permits(&name, &user);
    let rights = Rights { user: &user, permits: permits.as_deref() };
    match rights.check(call.core, call.session.db, number, inner) {
        Ok(()) => call.reply.ok(),
        Err(refused) => {
            let text = match refused.place() {
                Some((kind, place)) => {
                    format!("User {name} has no permissions to access the '{}' {kind}", lossy(inner.at(place)))
                }
                None => refused.error(&name, &call.core.commands, number, inner).to_string(),
            };
            call.reply.bulk(text.strip_prefix("NOPERM ").unwrap_or(&text).as_bytes());
        }
    }
    Ok(())
}

/// A user's rules; of one that has none, the role in the words of rules.
fn rules_of(user: &User) -> Rules {
    if let Some(rules) = &user.rules {
        return Rules::clone(rules);
    }
    let mut rules = Rules::unrestricted();
    let restricted: &[&str] = match user.role {
        Role::Admin => return rules,
        Role::ReadWrite => &["-@admin", "-@dangerous"],
        Role::ReadOnly => &["-@admin", "-@dangerous", "-@write", "-publish", "-spublish"],
    };
    rules.selectors[0].commands = restricted.iter().map(|rule| (*rule).into()).collect();
    rules
}

fn describe(call: &mut Call<'_>, user: &User) {
    let rules = rules_of(user);
    let reply = &mut *call.reply;
    reply.map(6);
    reply.bulk(b"flags");
    let flags: Vec<&str> = rules.flags().collect();
    reply.set(flags.len());
    flags.into_iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    let hashes: Vec<&str> = user.hashes().collect();
    reply.array(hashes.len());
    hashes.into_iter().for_each(|hash| reply.bulk(hash.as_bytes()));
    let fields = |reply: &mut crate::resp::Reply, selector: &Selector| {
        reply.bulk(b"commands");
        reply.bulk(selector.shown_commands().as_bytes());
        reply.bulk(b"keys");
        reply.bulk(&selector.shown_keys());
        reply.bulk(b"channels");
        reply.bulk(&selector.shown_channels());
    };
    fields(reply, &rules.selectors[0]);
    reply.bulk(b"selectors");
    reply.array(rules.selectors.len() - 1);
    for selector in &rules.selectors[1..] {
        reply.map(3);
        fields(reply, selector);
    }
}

/// A word of `ACL SETUSER` that is about a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PasswordWord<'a> {
    /// To be hashed.
    Text(&'a [u8], Form),
    /// A hash as it is stored.
    Hash(&'a [u8]),
}

impl<'a> PasswordWord<'a> {
    /// What the word says, and whether it is to be added.
    fn of(word: &'a [u8], trusts_hashes: bool) -> Option<Result<(Self, bool), RuleError>> {
        let (sign, text) = word.split_first()?;
        let adds = matches!(sign, b'>' | b'#');
        match sign {
            b'>' | b'<' => Some(Ok((PasswordWord::Text(text, Form::Redis), adds))),
            b'#' | b'!' if password::is_sha256(text) => Some(Ok((PasswordWord::Text(text, Form::Sha256), adds))),
            b'#' | b'!' if trusts_hashes || password::is_hash(text) => Some(Ok((PasswordWord::Hash(text), adds))),
            b'#' | b'!' => Some(Err(RuleError::NoHash)),
            _ => None,
        }
    }
}

/// Whether the command changes users: then it has no place in a transaction, for its passwords are hashed before it runs.
pub(crate) fn changes_users(command: &Command, args: Args<'_>) -> bool {
    command.name == "acl" && is_word(args.at(1), "setuser")
}

/// The next password of the command that is to be hashed before it can go on. What is wrong with the command is found first:
/// hashing is slow.
pub(crate) fn unhashed(call: &Call<'_>) -> Result<Option<Password>, CommandError> {
    if !is_word(call.args.at(1), "setuser") {
        return Ok(None);
    }
    let is_made =
        |text: &[u8], form: Form| call.session.hashed.iter().any(|made| made.text == text && made.form == form);
    let mut passwords: Vec<(&[u8], Form)> = Vec::new();
    for word in call.args.skip(3).iter() {
        match PasswordWord::of(word, false) {
            Some(Ok((PasswordWord::Text(text, form), _))) => passwords.push((text, form)),
            // The primary trusts the hashes of the node that sends them.
            Some(Err(error)) => return Err(wrong(word, error)),
            Some(Ok((PasswordWord::Hash(_), _))) | None => {}
        }
    }
    let Some((text, form)) = passwords.iter().find(|(text, form)| !is_made(text, *form)) else { return Ok(None) };
    // Looked at once, before the first: with stand-ins for the hashes.
    if call.session.hashed.is_empty() {
        changed(call, true)?;
        if passwords.len() > limits::MAX_PASSWORDS {
            return Err(too_many_passwords());
        }
        if passwords.iter().any(|(text, _)| text.len() > limits::MAX_PASSWORD) {
            return Err(CommandError::Text(format!("a password has at most {} bytes", limits::MAX_PASSWORD)));
        }
    }
    let user = call.core.system.users.get(&lossy(call.args.at(2)));
    let mut known: Vec<String> = user.into_iter().flat_map(|user| user.hashes()).map(String::from).collect();
    // The command may say the same password in another form.
    for hash in call.session.hashed.iter().flat_map(|made| password::split_hashes(&made.hash)) {
        if !known.iter().any(|known| known == hash) {
            known.push(hash.into());
        }
    }
    Ok(Some(Password { text: (*text).into(), form: *form, known }))
}

fn wrong(word: &[u8], error: RuleError) -> CommandError {
    CommandError::Text(format!("Error in ACL SETUSER modifier '{}': {error}", String::from_utf8_lossy(word)))
}

fn too_many_passwords() -> CommandError {
    CommandError::Text(format!("a user has at most {} passwords", limits::MAX_PASSWORDS))
}

/// The call's arguments as the primary gets them: with hashes in place of passwords.
pub(crate) fn without_passwords(call: &mut Call<'_>) -> OwnedArgs {
    if !is_word(call.args.at(1), "setuser") {
        return call.args.into();
    }
    let made = core::mem::take(&mut call.session.hashed);
    let hashed = |word: &[u8]| -> Option<Vec<Vec<u8>>> {
        let Some(Ok((PasswordWord::Text(text, form), adds))) = PasswordWord::of(word, false) else { return None };
        let made = made.iter().find(|made| made.text == text && made.form == form)?;
        let (sign, most): (&[u8], usize) = if adds { (b"#", 1) } else { (b"!", usize::MAX) };
        let hashes = password::split_hashes(&made.hash).take(most);
        Some(hashes.map(|hash| [sign, hash.as_bytes()].concat()).collect())
    };
    let words: Vec<Vec<u8>> =
        call.args.iter().flat_map(|word| hashed(word).unwrap_or_else(|| vec![word.to_owned()])).collect();
    OwnedArgs::from_words(&words.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// What a user is to become.
struct Changed {
    name: String,
    user: User,
    rules: Rules,
}

/// What the user that the command names becomes by its rules, all of which are looked at. For now, stand-ins may take the
/// place of hashes that are still to be made.
fn changed(call: &Call<'_>, has_stand_ins: bool) -> Result<Changed, CommandError> {
    let users = &call.core.system.users;
    let name = call.args.at(2);
    if name.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0) {
        return Err(CommandError::Other("Usernames can't contain spaces or null characters"));
    }
    let name = user::new_name(name)?;
    let known = users.get(&name).map(|user| User::clone(user));
    let mut rules = match &known {
        None => Rules::of_new_user(),
        Some(user) => user.rules.as_ref().map_or_else(Rules::unrestricted, |rules| Rules::clone(rules)),
    };
    let mut user = known.unwrap_or_else(User::nobody);
    let mut hashes: Vec<String> = user.hashes().map(String::from).collect();
    let words = join_selectors(call.args.skip(3).iter())
        .map_err(|open| CommandError::Text(format!("Unmatched parenthesis in acl selector starting at '{open}'.")))?;
    let commands = &call.core.commands;
    let check = |name: &str, is_allowed: bool| permits::check_name(commands, name, is_allowed);
    for word in &words {
        let fails = |error: RuleError| wrong(word, error);
        let Some(about) = PasswordWord::of(word, call.session.is_proxy) else {
            rules.apply(word, &check).map_err(fails)?;
            if ["nopass", "resetpass", "reset"].iter().any(|ends| is_word(word, ends)) {
                hashes.clear();
            }
            continue;
        };
        let (about, adds) = about.map_err(fails)?;
        let of_password: Vec<String> = match about {
            PasswordWord::Hash(hash) => vec![lossy_hash(hash)],
            PasswordWord::Text(text, form) => {
                let mut made = call.session.hashed.iter().filter(|made| made.form == form);
                match made.find(|made| made.text == text) {
                    Some(made) => password::split_hashes(&made.hash).map(String::from).collect(),
                    None if has_stand_ins => continue,
                    None => return Err(user::NOT_HASHED),
                }
            }
        };
        let is_known = hashes.iter().any(|known| of_password.contains(known));
        if adds {
            hashes.extend(of_password.into_iter().take(usize::from(!is_known)));
            rules.needs_no_password = false;
        } else if is_known {
            hashes.retain(|known| !of_password.contains(known));
        } else {
            return Err(fails(RuleError::NoSuchPassword));
        }
    }
    if hashes.len() > limits::MAX_PASSWORDS {
        return Err(too_many_passwords());
    }
    if rules.shown(&[]).len() > limits::MAX_RULES {
        let text = format!("the rules of a user have at most {} bytes", limits::MAX_RULES);
        return Err(CommandError::Text(text));
    }
    user.password_hash = password::join_hashes(&hashes);
    if rules.makes_role {
        user.role = least_role(Permits::of(&rules, commands).as_ref(), commands);
    }
    Ok(Changed { name, user, rules })
}

/// A hash has no other characters.
fn lossy_hash(hash: &[u8]) -> String {
    String::from_utf8_lossy(hash).into_owned()
}

fn set_user(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    if !call.core.writes(agreed::RULES) {
        return Err(NOT_AGREED);
    }
    let changed = changed(call, false);
    call.session.hashed.clear();
    let Changed { name, mut user, rules } = changed?;
    let known = call.core.system.users.get(&name).cloned();
    if known.is_none() && call.core.system.users.len() >= limits::MAX_USERS {
        return Err(CommandError::Other("there are too many users, ACL DELUSER removes some"));
    }
    user.rules = Some(rules.clone().into());
    if user::is_last_admin(call, &name) && !call.core.administers(&user) {
        return Err(user::last_admin(&name));
    }
    let is_same = |known: &User| known.role == user.role && known.password_hash == user.password_hash;
    if !known.as_deref().is_some_and(is_same) {
        let User { password_hash, role, .. } = &user;
        call.effect(&Effect::User { name: &name, password_hash, role: *role });
    }
    set_rules(call, &name, &rules);
    call.reply.ok();
    Ok(())
}

/// Has a user that there is have these rules.
pub(super) fn set_rules(call: &mut Call<'_>, name: &str, rules: &Rules) {
    let mut encoded = Vec::new();
    codec::encode(rules, &mut encoded);
    call.effect(&Effect::Rules { user: name, rules: &encoded });
}

/// Those that there are, of those that are named. None of them if one must not go.
fn delete_users(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    let mut names: Vec<String> = call.args.skip(2).iter().map(lossy).collect();
    if names.iter().any(|name| name == "default") {
        return Err(CommandError::Other("The 'default' user cannot be removed"));
    }
    names.retain(|name| call.core.system.users.get(name).is_some());
    names.sort();
    names.dedup();
    let stays = |name: &str| !names.iter().any(|gone| gone == name);
    let is_kept = call.core.system.users.iter().any(|(name, user)| stays(name) && call.core.administers(user));
    if !names.is_empty() && !is_kept {
        return Err(user::last_admin(&names[0]));
    }
    names.iter().for_each(|name| call.effect(&Effect::DropUser { name }));
    call.reply.integer(names.len() as i64);
    Ok(())
}

fn is_saved(call: &mut Call<'_>) -> Result<(), CommandError> {
    call.depend_on_system();
    call.reply.ok();
    Ok(())
}

fn log(call: &mut Call<'_>) -> Result<(), CommandError> {
    let count = match call.args.get(2) {
        Some(_) if call.args.len() > 3 => return Err(CommandError::subcommand_syntax(call.args, "ACL")),
        Some(word) if is_word(word, "reset") => {
            call.core.acl_log.clear();
            call.reply.ok();
            return Ok(());
        }
        Some(count) => usize::try_from(integer(count)?.max(0)).unwrap_or(usize::MAX),
        None => 10,
    };
    let now = call.now;
    let entries = call.core.acl_log.entries();
    let reply = &mut *call.reply;
    reply.array(entries.len().min(count));
    for entry in entries.iter().take(count) {
        reply.map(10);
        reply.bulk(b"count");
        reply.integer(entry.count as i64);
        let texts: [(&[u8], &[u8]); 4] = [
            (b"reason", entry.refusal.reason.name().as_bytes()),
            (b"context", entry.refusal.context.as_bytes()),
            (b"object", &entry.refusal.object),
            (b"username", entry.refusal.user.as_bytes()),
        ];
        for (name, text) in texts {
            reply.bulk(name);
            reply.bulk(text);
        }
        reply.bulk(b"age-seconds");
        reply.double(now.0.saturating_sub(entry.updated.0) as f64 / 1000.0);
        reply.bulk(b"client-info");
        reply.bulk(entry.client.as_bytes());
        let numbers = [
            ("entry-id", entry.id),
            ("timestamp-created", entry.created.0),
            ("timestamp-last-updated", entry.updated.0),
        ];
        for (name, number) in numbers {
            reply.bulk(name.as_bytes());
            reply.integer(number as i64);
        }
    }
    Ok(())
}
