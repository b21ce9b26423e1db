//! CLIENT: what a connection is called, what it wants, who else is connected.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

use super::connection::UNKNOWN_LEVEL;
use super::containers::{self, Subcommand};
use super::{Access, Command, CommandError, Keys, integer, is_word, lossy, tracking};
use crate::call::{Call, Then};
use crate::channels::Kind;
use crate::clients::Slot;
use crate::core::Pause;
use crate::level::Level;
use crate::limits;
use crate::resp::Protocol;
use crate::session::{Replies, Session};
use crate::time::Monotonic;
use crate::tracking::{Mode, Tracking};

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "client",
    arity: -2,
    access: Access::Connection,
    keys: Keys::NONE,
    flags: &["noscript", "loading", "stale"],
    summary: "A container for client connection commands.",
    run: |call| containers::run(call, SUBCOMMANDS, "CLIENT"),
}];

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("id", 2, Access::Connection, |call| {
        call.reply.integer(call.session.id as i64);
        Ok(())
    }),
    ("getname", 2, Access::Connection, |call| {
        let name = call.session.name.as_bytes();
        call.reply.optional_bulk((!name.is_empty()).then_some(name));
        Ok(())
    }),
    ("setname", 3, Access::Connection, |call| {
        call.session.name = client_name(call.args.at(2))?;
        call.reply.ok();
        Ok(())
    }),
    ("setinfo", 4, Access::Connection, set_info),
    ("consistency", -2, Access::Connection, consistency),
    ("info", 2, Access::Connection, |call| {
        let line = describe(call.session, &call.core.tracking, call.monotonic) + "\n";
        call.reply.verbatim(&line);
        Ok(())
    }),
    ("list", -2, Access::Admin, list),
    ("kill", -3, Access::Admin, kill),
    ("pause", -3, Access::Admin, pause),
    ("unpause", 2, Access::Admin, |call| {
        call.core.pause = None;
        call.reply.ok();
        Ok(())
    }),
    ("reply", 3, Access::Connection, |call| {
        let wanted = [("on", Replies::On), ("off", Replies::Off), ("skip", Replies::SkipNext)];
        let wanted = wanted.into_iter().find(|(word, _)| is_word(call.args.at(2), word)).ok_or(CommandError::Syntax)?;
        // SKIP while there are no replies anyway changes nothing.
        if wanted.1 != Replies::SkipNext || call.session.replies != Replies::Off {
            call.session.replies = wanted.1;
        }
        call.reply.ok();
        Ok(())
    }),
    ("no-evict", 3, Access::Admin, |call| {
        call.session.no_evict = switch(call)?;
        call.reply.ok();
        Ok(())
    }),
    ("no-touch", 3, Access::Connection, |call| {
        call.session.no_touch = switch(call)?;
        call.reply.ok();
        Ok(())
    }),
    ("unblock", -3, Access::Admin, |call| {
        if call.args.len() > 4 {
            return Err(CommandError::subcommand_syntax(call.args, "CLIENT"));
        }
        let known = |how: &[u8]| is_word(how, "timeout") || is_word(how, "error");
        if !call.args.get(3).is_none_or(known) {
            return Err(CommandError::Other("CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
        let id = integer(call.args.at(2))?;
        let is_error = call.args.get(3).is_some_and(|how| is_word(how, "error"));
        let error = is_error.then_some("UNBLOCKED client unblocked via CLIENT UNBLOCK");
        let unblocked = u64::try_from(id).is_ok_and(|id| call.core.unblock(id, error));
        call.reply.integer(i64::from(unblocked));
        Ok(())
    }),
    ("getredir", 2, Access::Connection, |call| {
        let redirect = call.core.tracking.of(call.session.slot).map(|tracker| tracker.redirect.map_or(0, |to| to.id));
        call.reply.integer(redirect.map_or(-1, |id| id as i64));
        Ok(())
    }),
    ("trackinginfo", 2, Access::Connection, tracking::info),
    ("tracking", -3, Access::Connection, tracking::tracking),
    ("caching", 3, Access::Connection, tracking::caching),
    ("help", 2, Access::Connection, |call| {
        call.reply.help(HELP);
        Ok(())
    }),
];

const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CACHING (YES|NO)",
    "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
    "CONSISTENCY [<level> | NEXT <level>]",
    "    Show or set the consistency level of this connection, or of its next command.",
    "GETNAME",
    "    Return the name of the current connection.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are: ADDR, LADDR, TYPE, USER, ID, SKIPME.",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <id> ...]",
    "    Return information about client connections.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "NO-TOUCH (ON|OFF)",
    "    Will not touch LRU/LFU stats when this mode is on.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are: LIB-NAME, LIB-VER.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Control server assisted client side caching.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "HELP",
    "    Print this help.",
];

pub(super) fn client_name(name: &[u8]) -> Result<String, CommandError> {
    if name.len() > limits::MAX_CLIENT_NAME || !name.iter().all(|b| (b'!'..=b'~').contains(b)) {
        return Err(CommandError::Other("Client names cannot contain spaces, newlines or special characters."));
    }
    Ok(String::from_utf8_lossy(name).into_owned())
}

fn set_info(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (option, value) = (call.args.at(2), client_name(call.args.at(3)));
    let named = |name: &str| {
        let text = alloc::format!("{name} cannot contain spaces, newlines or special characters.");
        value.clone().map_err(|_| CommandError::Text(text))
    };
    if is_word(option, "lib-name") {
        call.session.library = named("lib-name")?;
    } else if is_word(option, "lib-ver") {
        call.session.library_version = named("lib-ver")?;
    } else {
        return Err(CommandError::Text(alloc::format!("Unrecognized option '{}'", lossy(option))));
    }
    call.reply.ok();
    Ok(())
}

fn switch(call: &Call<'_>) -> Result<bool, CommandError> {
    match call.args.at(2) {
        on if is_word(on, "on") => Ok(true),
        off if is_word(off, "off") => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

/// A line of `CLIENT LIST`, in Redis's form.
pub(crate) fn describe(session: &Session, tracking: &Tracking, now: Monotonic) -> String {
    let mut flags = String::new();
    let redirect = tracking.of(session.slot).and_then(|tracker| tracker.redirect);
    let states = [
        ('O', session.is_monitor),
        ('P', !session.subscriptions.is_empty()),
        ('x', session.transaction.is_some()),
        ('t', session.tracks.is_some()),
        ('R', redirect.is_some_and(|redirect| redirect.slot.is_none())),
        ('B', session.tracks == Some(Mode::Broadcast)),
        ('r', session.port == crate::session::Port::Read),
        ('e', session.no_evict),
        ('T', session.no_touch),
    ];
    flags.extend(states.iter().filter(|(_, on)| *on).map(|(flag, _)| flag));
    if flags.is_empty() {
        flags.push('N');
    }
    let (queued, queued_bytes) = match &session.transaction {
        Some(transaction) => (transaction.queue.len() as i64, transaction.bytes),
        None => (-1, 0),
    };
    let (input, output) = session.buffered;
    let mut line = String::new();
    // Writing into memory cannot fail.
    let _ = write!(
        line,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={flags} db={} sub={} psub={} ssub={} multi={queued} \
         watch={} qbuf={input} qbuf-free=0 argv-mem=0 multi-mem={queued_bytes} rbs=0 rbp=0 obl={output} oll=0 \
         omem={output} tot-mem={} events=r cmd={} user={} redir={} resp={} lib-name={} lib-ver={}",
        session.id,
        session.peer.address,
        session.peer.local_address,
        session.slot,
        session.name,
        (now - session.since).as_secs(),
        (now - session.last_active).as_secs(),
        session.db.0,
        session.subscriptions.of(Kind::Channel).len(),
        session.subscriptions.of(Kind::Pattern).len(),
        session.subscriptions.of(Kind::Shard).len(),
        session.watching.len(),
        size_of::<Session>() + input + output + queued_bytes,
        if session.last_command.is_empty() { "NULL" } else { session.last_command },
        session.user.as_deref().unwrap_or("(none)"),
        session.tracks.map_or(-1, |_| redirect.map_or(0, |redirect| redirect.id as i64)),
        if session.protocol == Protocol::Resp3 { 3 } else { 2 },
        session.library,
        session.library_version,
    );
    line
}

/// What Redis tells apart about connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Normal,
    Subscriber,
    /// Of another server: no client is.
    Server,
}

impl Type {
    fn of(session: &Session) -> Self {
        if session.subscriptions.is_empty() { Type::Normal } else { Type::Subscriber }
    }

    fn parse(name: &[u8]) -> Result<Self, CommandError> {
        match name {
            name if is_word(name, "normal") => Ok(Type::Normal),
            name if is_word(name, "pubsub") => Ok(Type::Subscriber),
            name if ["master", "slave", "replica"].iter().any(|other| is_word(name, other)) => Ok(Type::Server),
            name => Err(CommandError::Text(alloc::format!("Unknown client type '{}'", lossy(name)))),
        }
    }
}

/// Any number may be asked for; only those above 0 are of a connection.
fn listed_id(text: &[u8]) -> Result<u64, CommandError> {
    let id = integer(text).map_err(|_| CommandError::Other("Invalid client ID"))?;
    Ok(u64::try_from(id).unwrap_or(0))
}

fn list(call: &mut Call<'_>) -> Result<(), CommandError> {
    let mut ids: Option<Vec<u64>> = None;
    let mut of_type = None;
    match call.args.get(2) {
        None => {}
        Some(option) if is_word(option, "type") && call.args.len() == 4 => {
            of_type = Some(Type::parse(call.args.at(3))?)
        }
        Some(option) if is_word(option, "id") && call.args.len() > 3 => {
            ids = Some(call.args.skip(3).iter().map(listed_id).collect::<Result<_, _>>()?);
        }
        Some(_) => return Err(CommandError::Syntax),
    }
    let mut sessions: Vec<&Session> = call.core.clients.sessions().into_iter().map(|(_, session)| session).collect();
    let own = sessions.partition_point(|session| session.id < call.session.id);
    sessions.insert(own, call.session);
    let mut text = String::new();
    for session in sessions {
        let is_of_type = of_type.is_none_or(|wanted| wanted == Type::of(session));
        if is_of_type && ids.as_ref().is_none_or(|ids| ids.contains(&session.id)) {
            text.push_str(&describe(session, &call.core.tracking, call.monotonic));
            text.push('\n');
        }
    }
    call.reply.verbatim(&text);
    Ok(())
}

/// Which connections `CLIENT KILL` means.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    of_type: Option<Type>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    user: Option<&'a [u8]>,
    spares_itself: bool,
}

impl<'a> Filter<'a> {
    fn parse(call: &Call<'a>) -> Result<Self, CommandError> {
        let mut filter = Filter { spares_itself: true, ..Filter::default() };
        let mut options = call.args.skip(2).iter();
        while let Some(option) = options.next() {
            let value = options.next().ok_or(CommandError::Syntax)?;
            if is_word(option, "id") {
                let wrong = CommandError::Other("client-id should be greater than 0");
                filter.id = Some(listed_id(value).ok().filter(|id| *id > 0).ok_or(wrong)?);
            } else if is_word(option, "type") {
                filter.of_type = Some(Type::parse(value)?);
            } else if is_word(option, "addr") {
                filter.address = Some(value);
            } else if is_word(option, "laddr") {
                filter.local_address = Some(value);
            } else if is_word(option, "user") {
                if !call.core.has_user(&lossy(value)) {
                    return Err(CommandError::Text(alloc::format!("No such user '{}'", lossy(value))));
                }
                filter.user = Some(value);
            } else if is_word(option, "skipme") && is_word(value, "yes") {
                filter.spares_itself = true;
            } else if is_word(option, "skipme") && is_word(value, "no") {
                filter.spares_itself = false;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(filter)
    }

    fn means(&self, session: &Session) -> bool {
        let is = |wanted: Option<&[u8]>, text: &str| wanted.is_none_or(|wanted| wanted == text.as_bytes());
        self.id.is_none_or(|id| id == session.id)
            && self.of_type.is_none_or(|wanted| wanted == Type::of(session))
            && is(self.address, &session.peer.address)
            && is(self.local_address, &session.peer.local_address)
            && is(self.user, session.user.as_deref().unwrap_or(""))
    }
}

fn kill(call: &mut Call<'_>) -> Result<(), CommandError> {
    let by_address = call.args.len() == 3;
    let filter =
        if by_address { Filter { address: Some(call.args.at(2)), ..Filter::default() } } else { Filter::parse(call)? };
    let sessions = call.core.clients.sessions();
    let slots: Vec<Slot> =
        sessions.iter().filter(|(_, session)| filter.means(session)).map(|(slot, _)| *slot).collect();
    let itself = !filter.spares_itself && filter.means(call.session);
    let killed = slots.len() + usize::from(itself);
    slots.into_iter().for_each(|slot| call.core.clients.kill(slot));
    if itself {
        // It gets its answer first.
        call.then = Then::Close;
    }
    match (by_address, killed) {
        (true, 0) => return Err(CommandError::Other("No such client")),
        (true, _) => call.reply.ok(),
        (false, killed) => call.reply.integer(killed as i64),
    }
    Ok(())
}

fn pause(call: &mut Call<'_>) -> Result<(), CommandError> {
    let writes_only = match call.args.get(3) {
        None => false,
        Some(_) if call.args.len() > 4 => return Err(CommandError::subcommand_syntax(call.args, "CLIENT")),
        Some(mode) if is_word(mode, "write") => true,
        Some(mode) if is_word(mode, "all") => false,
        Some(_) => return Err(CommandError::Other("CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let wrong = CommandError::Other("timeout is not an integer or out of range");
    let time = integer(call.args.at(2)).map_err(|_| wrong)?;
    let time = u64::try_from(time).map_err(|_| CommandError::Other("timeout is negative"))?;
    let time = Duration::from_millis(time.min(limits::MAX_PAUSE.as_millis() as u64));
    call.core.pause = Some(Pause { until: call.monotonic + time, writes_only });
    call.reply.ok();
    Ok(())
}

/// `CLIENT CONSISTENCY [level | NEXT level]`.
fn consistency(call: &mut Call<'_>) -> Result<(), CommandError> {
    let args = call.args;
    match args.len() {
        2 => {
            let level = call.session.level.unwrap_or(call.default_level());
            call.reply.bulk(level.name().as_bytes());
        }
        3 => {
            call.session.level = Some(Level::parse(args.at(2)).ok_or(UNKNOWN_LEVEL)?);
            call.reply.ok();
        }
        4 if is_word(args.at(2), "next") => {
            call.session.next_level = Some(Level::parse(args.at(3)).ok_or(UNKNOWN_LEVEL)?);
            call.reply.ok();
        }
        _ => return Err(CommandError::SubcommandArity("client", "consistency")),
    }
    Ok(())
}
