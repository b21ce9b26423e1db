//! The connection itself: greeting, authentication, database, name, level.

use alloc::string::String;
use alloc::vec::Vec;

use super::client::client_name;
use super::{Access, Command, CommandError, Keys, integer, is_word, keyspace, lossy};
use crate::acllog::{Reason, Refusal};
use crate::call::{Call, Then};
use crate::limits;
use crate::password::{Credentials, PasswordCheck};
use crate::resp::Protocol;
use crate::session::{Greeting, Port};
use crate::users::stamp;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "hello",
        arity: -1,
        access: Access::Anyone,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale", "fast", "no_auth", "no_multi", "allow_busy"],
        summary: "Handshakes with the server.",
        run: hello,
    },
    Command {
        name: "auth",
        arity: -2,
        access: Access::Anyone,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale", "fast", "no_auth", "no_multi", "allow_busy"],
        summary: "Authenticates the connection.",
        run: |call| {
            let (user, password) = match call.args.len() {
                2 => (call.core.config.default_user.clone(), call.args.at(1)),
                3 => (user_meant(call, lossy(call.args.at(1))), call.args.at(2)),
                _ => return Err(CommandError::Syntax),
            };
            authenticate(call, password, Greeting { hashes: hashes_of(call, &user), user, protocol: None, name: None })
        },
    },
    Command {
        name: "ping",
        arity: -1,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["fast"],
        summary: "Returns the server's liveliness response.",
        run: |call| {
            if call.args.len() <= 2 && call.hears_only() {
                call.reply.array(2);
                call.reply.bulk(b"pong");
                call.reply.bulk(call.args.get(1).unwrap_or_default());
                return Ok(());
            }
            match call.args.len() {
                1 => call.reply.simple("PONG"),
                2 => call.reply.bulk(call.args.at(1)),
                _ => return Err(CommandError::Arity("ping")),
            }
            Ok(())
        },
    },
    Command {
        name: "echo",
        arity: 2,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["loading", "stale", "fast"],
        summary: "Returns the given string.",
        run: |call| {
            call.reply.bulk(call.args.at(1));
            Ok(())
        },
    },
    Command {
        name: "quit",
        arity: -1,
        access: Access::Anyone,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],
        summary: "Closes the connection.",
        run: |call| {
            call.reply.ok();
            call.then = Then::Close;
            Ok(())
        },
    },
    Command {
        name: "reset",
        arity: 1,
        access: Access::Anyone,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],
        summary: "Resets the connection.",
        run: |call| {
            call.core.forget(call.session);
            call.session.reset();
            call.reply.protocol = Protocol::Resp2;
            call.reply.simple("RESET");
            Ok(())
        },
    },
    Command {
        name: "select",
        arity: 2,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["loading", "stale", "fast"],
        summary: "Changes the selected database.",
        run: |call| {
            call.session.db = keyspace::database(&call.core.system.databases, call.args.at(1))?;
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "readonly",
        arity: 1,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["loading", "stale", "fast"],
        summary: "Has this connection's reads answered at EVENTUAL.",
        run: |call| {
            call.session.reads_eventually = true;
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "readwrite",
        arity: 1,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["loading", "stale", "fast"],
        summary: "Has this connection's reads answered at its own level again.",
        run: |call| {
            call.session.reads_eventually = false;
            call.reply.ok();
            Ok(())
        },
    },
    // The prefix is taken off before the table is asked; this entry gives its arity, its place in COMMAND and its rights.
    Command {
        name: "consistency",
        arity: -3,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["movablekeys"],
        summary: "Runs one command at a consistency level: EVENTUAL, QUORUM or ALL.",
        run: |_| Err(CommandError::Syntax),
    },
];

/// What a wrong level is answered.
pub(crate) const UNKNOWN_LEVEL: CommandError =
    CommandError::Other("unknown consistency level, use EVENTUAL, QUORUM or ALL");

/// What whoever tries too many passwords is answered: the one that came with it was not looked at.
const TOO_MANY_PASSWORDS: CommandError =
    CommandError::Other("too many wrong passwords from this address for this user, try again in a few seconds");

fn hello(call: &mut Call<'_>) -> Result<(), CommandError> {
    let protocol = match call.args.get(1) {
        None => None,
        Some(version) => match integer(version) {
            Ok(2) => Some(Protocol::Resp2),
            Ok(3) => Some(Protocol::Resp3),
            Ok(_) => return Err(CommandError::NoProto),
            Err(_) => return Err(CommandError::Other("Protocol version is not an integer or out of range")),
        },
    };
    let mut credentials = None;
    let mut name = None;
    let mut i = 2;
    while let Some(option) = call.args.get(i) {
        let rest = call.args.len() - i - 1;
        if is_word(option, "auth") && rest >= 2 {
            credentials = Some((lossy(call.args.at(i + 1)), call.args.at(i + 2)));
            i += 3;
        } else if is_word(option, "setname") && rest >= 1 {
            name = Some(client_name(call.args.at(i + 1))?);
            i += 2;
        } else {
            return Err(CommandError::Text(alloc::format!("Syntax error in HELLO option '{}'", lossy(option))));
        }
    }
    match credentials {
        Some((user, password)) => {
            let user = user_meant(call, user);
            let protocol = protocol.or(Some(call.reply.protocol));
            authenticate(call, password, Greeting { hashes: hashes_of(call, &user), user, protocol, name })
        }
        None if call.session.user.is_none() => Err(CommandError::HelloNoAuth),
        None => {
            greet(call, protocol, name);
            Ok(())
        }
    }
}

fn greet(call: &mut Call<'_>, protocol: Option<Protocol>, name: Option<String>) {
    if let Some(protocol) = protocol {
        call.reply.protocol = protocol;
    }
    if let Some(name) = name {
        call.session.name = name;
    }
    let proto = match call.reply.protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    let mode = call.core.mode();
    // Here Redis calls a replica so, elsewhere a slave.
    let role = match call.session.port {
        Port::Main => "master",
        Port::Read => "replica",
    };
    let reply = &mut *call.reply;
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(crate::REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(proto);
    reply.bulk(b"id");
    reply.integer(call.session.id as i64);
    reply.bulk(b"mode");
    reply.bulk(mode.as_bytes());
    reply.bulk(b"role");
    reply.bulk(role.as_bytes());
    reply.bulk(b"modules");
    reply.array(0);
}

fn authenticate(call: &mut Call<'_>, password: &[u8], greeting: Greeting) -> Result<(), CommandError> {
    if password.len() > limits::MAX_PASSWORD {
        return Err(CommandError::WrongPass);
    }
    let user = call.core.system.users.get(&greeting.user);
    if user.is_some_and(|user| user.is_on() && user.needs_no_password()) {
        authenticated(call, greeting, 0);
        return Ok(());
    }
    call.then = Then::CheckPassword(Credentials {
        user: greeting.user.clone(),
        password: password.into(),
        hashes: greeting.hashes.clone(),
    });
    call.session.greeting = Some(greeting);
    Ok(())
}

/// Clients that know a password alone say `HELLO 3 AUTH default password`, for Redis's user of that name.
fn user_meant(call: &Call<'_>, user: String) -> String {
    let is_meant = user == "default" && call.core.system.users.get(&user).is_none();
    if is_meant { call.core.config.default_user.clone() } else { user }
}

/// The hashes of which a password may be; none of who may not authenticate.
fn hashes_of(call: &Call<'_>, user: &str) -> Vec<String> {
    let user = call.core.system.users.get(user).filter(|user| user.is_on());
    user.into_iter().flat_map(|user| user.hashes()).map(String::from).collect()
}

/// Goes on where [`authenticate`] left off.
pub(crate) fn password_checked(call: &mut Call<'_>, check: PasswordCheck) -> Result<(), CommandError> {
    let greeting = call.session.greeting.take().ok_or(CommandError::WrongPass)?;
    let hash = match check {
        // A check takes long enough for the password to be changed, or the user removed.
        PasswordCheck::Right(place) => greeting.hashes.get(place).cloned().filter(|hash| {
            let user = call.core.system.users.get(&greeting.user).filter(|user| user.is_on());
            user.is_some_and(|user| user.hashes().any(|known| known == hash))
        }),
        PasswordCheck::Wrong | PasswordCheck::TooMany => None,
    };
    if let Some(hash) = hash {
        authenticated(call, greeting, stamp(&hash));
        return Ok(());
    }
    call.core.stats.rejected_passwords += 1;
    let refusal = Refusal {
        reason: Reason::Auth,
        context: "toplevel",
        object: if greeting.protocol.is_some() { b"HELLO".into() } else { b"AUTH".into() },
        user: greeting.user,
    };
    call.core.note_refusal(call.session, call.monotonic, refusal);
    Err(if check == PasswordCheck::TooMany { TOO_MANY_PASSWORDS } else { CommandError::WrongPass })
}

/// The client is this user from now on.
fn authenticated(call: &mut Call<'_>, greeting: Greeting, stamp: u64) {
    call.session.stamp = stamp;
    call.session.rights = None;
    call.session.user = Some(greeting.user);
    match greeting.protocol {
        None => call.reply.ok(),
        Some(protocol) => greet(call, Some(protocol), greeting.name),
    }
}
