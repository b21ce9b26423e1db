//! `CLIENT TRACKING` and its kin: see [`crate::tracking`].

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use super::{Access, Command, CommandError, integer, is_word, keyspace, lossy, movable};
use crate::call::Call;
use crate::ids::DbId;
use crate::limits;
use crate::tracking::{Mode, Redirect, Tracker};

/// A key that a command reads, and in which database.
type Read = (DbId, Box<[u8]>);

pub(super) fn tracking(call: &mut Call<'_>) -> Result<(), CommandError> {
    check_own(call)?;
    let wanted = Wanted::parse(call)?;
    match call.args.at(2) {
        word if is_word(word, "on") => {
            let tracker = wanted.tracker(call)?;
            call.core.tracking.start(call.session, tracker);
        }
        word if is_word(word, "off") => call.core.tracking.stop(call.session),
        _ => return Err(CommandError::Syntax),
    }
    call.reply.ok();
    Ok(())
}

/// It is about the connection that asks, not about the session that the primary has for it, and about the commands behind it.
fn check_own(call: &Call<'_>) -> Result<(), CommandError> {
    let is_queued = call.session.in_transaction || call.session.is_proxy;
    if is_queued { Err(CommandError::Other("Command not allowed inside a transaction")) } else { Ok(()) }
}

/// The options, as they are said.
#[derive(Default)]
struct Wanted {
    redirect: Option<Redirect>,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    spares_itself: bool,
    prefixes: Vec<Box<[u8]>>,
}

impl Wanted {
    fn parse(call: &Call<'_>) -> Result<Self, CommandError> {
        let mut wanted = Wanted::default();
        let mut options = call.args.skip(3).iter();
        while let Some(option) = options.next() {
            match option {
                option if is_word(option, "bcast") => wanted.broadcast = true,
                option if is_word(option, "optin") => wanted.opt_in = true,
                option if is_word(option, "optout") => wanted.opt_out = true,
                option if is_word(option, "noloop") => wanted.spares_itself = true,
                option if is_word(option, "prefix") => {
                    wanted.prefixes.push(options.next().ok_or(CommandError::Syntax)?.into());
                }
                option if is_word(option, "redirect") => {
                    let id = options.next().ok_or(CommandError::Syntax)?;
                    if wanted.redirect.is_some() {
                        return Err(CommandError::Other("A client can only redirect to a single other client"));
                    }
                    wanted.redirect = to(call, integer(id)?)?;
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        Ok(wanted)
    }

    /// What the connection asks for, beside what it has asked for before.
    fn tracker(mut self, call: &Call<'_>) -> Result<Tracker, CommandError> {
        let old = call.core.tracking.of(call.session.slot);
        if !self.prefixes.is_empty() && !self.broadcast {
            return Err(CommandError::Other("PREFIX option requires BCAST mode to be enabled"));
        }
        if old.is_some_and(|old| (old.mode == Mode::Broadcast) != self.broadcast) {
            return Err(CommandError::Other(
                "You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.",
            ));
        }
        if self.broadcast && (self.opt_in || self.opt_out) {
            return Err(CommandError::Other("OPTIN and OPTOUT are not compatible with BCAST"));
        }
        if self.opt_in && self.opt_out {
            return Err(CommandError::Other("You can't specify both OPTIN mode and OPTOUT mode"));
        }
        let switches =
            |old: &Tracker| self.opt_in && old.mode == Mode::OptOut || self.opt_out && old.mode == Mode::OptIn;
        if old.is_some_and(switches) {
            return Err(CommandError::Other(
                "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.",
            ));
        }
        let mode = match () {
            () if self.broadcast => Mode::Broadcast,
            () if self.opt_in => Mode::OptIn,
            () if self.opt_out => Mode::OptOut,
            () => Mode::Default,
        };
        if mode == Mode::Broadcast {
            check_hears_all(call)?;
            let known = old.map_or(&[][..], |old| &old.prefixes);
            if self.prefixes.is_empty() && !known.iter().any(|prefix| prefix.is_empty()) {
                // Of all keys, whatever it has asked for before.
                self.prefixes.push(Box::default());
            } else {
                check_few(&self.prefixes, known)?;
                check_apart(&self.prefixes, known)?;
            }
            self.prefixes.extend(known.iter().cloned());
        }
        Ok(Tracker { mode, spares_itself: self.spares_itself, redirect: self.redirect, prefixes: self.prefixes })
    }
}

/// The connection with this number; `None` of 0, which is nobody.
fn to(call: &Call<'_>, id: i64) -> Result<Option<Redirect>, CommandError> {
    let gone = CommandError::Other("The client ID you want redirect to does not exist");
    let id = u64::try_from(id).map_err(|_| gone.clone())?;
    if id == call.session.id {
        return Ok(Some(Redirect { id, slot: Some(call.session.slot) }));
    }
    if id == 0 {
        return Ok(None);
    }
    let sessions = call.core.clients.sessions();
    let slot = sessions.into_iter().find(|(_, session)| session.id == id).map(|(slot, _)| slot).ok_or(gone)?;
    Ok(Some(Redirect { id, slot: Some(slot) }))
}

/// Who is told of every key must be allowed to read every key.
fn check_hears_all(call: &Call<'_>) -> Result<(), CommandError> {
    match call.session.permits.as_deref() {
        Some(permits) if !permits.reads_every_key() => {
            Err(CommandError::Other("BCAST tells of every key: it is for users that may read every key"))
        }
        _ => Ok(()),
    }
}

/// Each change is held against all of them.
fn check_few(new: &[Box<[u8]>], known: &[Box<[u8]>]) -> Result<(), CommandError> {
    let all = || new.iter().chain(known);
    let bytes: usize = all().map(|prefix| prefix.len()).sum();
    if all().count() > limits::MAX_PREFIXES || bytes > limits::MAX_PREFIX_BYTES {
        return Err(CommandError::Other("too many prefixes, or too long ones"));
    }
    Ok(())
}

/// A key is told once, so no prefix of a connection begins with another one.
fn check_apart(new: &[Box<[u8]>], known: &[Box<[u8]>]) -> Result<(), CommandError> {
    let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    let told = |prefix: &[u8], which: &str, other: &[u8]| {
        let (prefix, other) = (lossy(prefix), lossy(other));
        CommandError::Text(format!(
            "Prefix '{prefix}' overlaps with {which} prefix '{other}'. Prefixes for a single client must not overlap."
        ))
    };
    for (at, prefix) in new.iter().enumerate() {
        if let Some(other) = known.iter().find(|other| overlap(prefix, other)) {
            return Err(told(prefix, "an existing", other));
        }
        if let Some(other) = new[at + 1..].iter().find(|other| overlap(prefix, other)) {
            return Err(told(prefix, "another provided", other));
        }
    }
    Ok(())
}

pub(super) fn caching(call: &mut Call<'_>) -> Result<(), CommandError> {
    check_own(call)?;
    let (mode, word) = (call.session.tracks, call.args.at(2));
    if !matches!(mode, Some(Mode::OptIn | Mode::OptOut)) {
        return Err(CommandError::Other(
            "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    }
    call.session.caching = Some(match word {
        word if is_word(word, "yes") && mode == Some(Mode::OptIn) => true,
        word if is_word(word, "yes") => {
            return Err(CommandError::Other(
                "CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
        word if is_word(word, "no") && mode == Some(Mode::OptOut) => false,
        word if is_word(word, "no") => {
            return Err(CommandError::Other(
                "CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
        _ => return Err(CommandError::Syntax),
    });
    call.reply.ok();
    Ok(())
}

pub(super) fn info(call: &mut Call<'_>) -> Result<(), CommandError> {
    let tracker = call.core.tracking.of(call.session.slot);
    let redirect = tracker.and_then(|tracker| tracker.redirect);
    let mode = tracker.map(|tracker| tracker.mode);
    let flags = [
        ("off", mode.is_none()),
        ("on", mode.is_some()),
        ("bcast", mode == Some(Mode::Broadcast)),
        ("optin", mode == Some(Mode::OptIn)),
        ("caching-yes", call.session.caching == Some(true)),
        ("optout", mode == Some(Mode::OptOut)),
        ("caching-no", call.session.caching == Some(false)),
        ("noloop", tracker.is_some_and(|tracker| tracker.spares_itself)),
        ("broken_redirect", redirect.is_some_and(|redirect| redirect.slot.is_none())),
    ];
    let flags: Vec<&str> = flags.into_iter().filter(|(_, holds)| *holds).map(|(flag, _)| flag).collect();
    let prefixes = tracker.map_or(&[][..], |tracker| &tracker.prefixes);
    let reply = &mut *call.reply;
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(tracker.map_or(-1, |_| redirect.map_or(0, |redirect| redirect.id as i64)));
    reply.bulk(b"prefixes");
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}

/// What the call's command, which is about to run, reads for a client that keeps copies of it.
pub(crate) fn reads(call: &Call<'_>, number: usize, command: &Command) -> Vec<Read> {
    let wants = match call.session.tracks {
        None | Some(Mode::Broadcast) => false,
        Some(Mode::Default) => true,
        Some(Mode::OptIn) => call.session.caching == Some(true),
        Some(Mode::OptOut) => call.session.caching != Some(false),
    };
    let mut reads = Vec::new();
    if !wants {
        return reads;
    }
    let (commands, databases) = (&call.core.commands, &call.core.system.databases);
    let mut read = |number, command, args: crate::resp::Args<'_>, db| {
        if matches!(commands.access(number, args), Access::Read | Access::Script)
            && let Some(db) = databases.find(db)
        {
            let places = movable::keys(command, args).unwrap_or_default();
            reads.extend(places.into_iter().map(|place| (db, args.at(place).into())));
        }
    };
    let mut db = call.session.db;
    match call.session.transaction.as_deref().filter(|_| command.runs_transaction()) {
        None => read(number, command, call.args, db),
        Some(transaction) => {
            for queued in &transaction.queue {
                if queued.command.name == "select" {
                    db = keyspace::named(databases, queued.args.args().at(1)).unwrap_or(db);
                }
                read(queued.number, queued.command, queued.args.args(), db);
            }
        }
    }
    reads
}
