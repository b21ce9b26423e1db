//! Transactions: commands that run together, and only if watched keys have not changed.

use alloc::boxed::Box;
use alloc::string::ToString;

use super::{Access, Command, CommandError, Keys, acl, keyspace, user};
use crate::call::{Call, Then};
use crate::level::Level;
use crate::limits;
use crate::mutant::Mutant;
use crate::probe::Probe;
use crate::stopwatch::Pace;
use crate::transaction::Transaction;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "multi",
        arity: 1,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale", "fast", "allow_busy"],
        summary: "Starts a transaction.",
        run: |call| {
            if call.session.transaction.is_some() {
                return Err(CommandError::Other("MULTI calls can not be nested"));
            }
            call.session.transaction = Some(Box::default());
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "exec",
        arity: 1,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale", "skip_slowlog"],
        summary: "Executes all commands in a transaction.",
        run: execute,
    },
    Command {
        name: "discard",
        arity: 1,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale", "fast", "allow_busy"],
        summary: "Discards a transaction.",
        run: |call| {
            // Said by `answer_here` for a client's own session; this is for one of another Core.
            call.session.transaction = None;
            unwatch(call);
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "watch",
        arity: -2,
        access: Access::Connection,
        keys: Keys::ALL,
        flags: &["noscript", "loading", "stale", "fast", "allow_busy"],
        summary: "Monitors changes to keys to determine the execution of a transaction.",
        run: |call| {
            if call.session.watching.len() + call.args.len() > limits::MAX_WATCHED {
                return Err(CommandError::Other("too many watched keys"));
            }
            for key in call.args.skip(1).iter() {
                // What is expired is gone before it is watched; but not between two steps of a script.
                if !call.core.is_busy() {
                    call.peek(key);
                }
                call.core.watch(call.session, key);
            }
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "unwatch",
        arity: 1,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale", "fast", "allow_busy"],
        summary: "Forgets about watched keys of a transaction.",
        run: |call| {
            unwatch(call);
            call.reply.ok();
            Ok(())
        },
    },
];

/// Keeps the call's command for EXEC.
pub(crate) fn queue(call: &mut Call<'_>, number: usize, command: &'static Command) -> Result<(), CommandError> {
    if command.is_barred_from_transactions() || acl::changes_users(command, call.args) {
        return Err(CommandError::Other("Command not allowed inside a transaction"));
    }
    let transaction = call.session.transaction.get_or_insert_default();
    if transaction.bytes > limits::MAX_TRANSACTION {
        return Err(CommandError::Other("transaction too large"));
    }
    if command.name == "select"
        && let Some(db) = keyspace::named(&call.core.system.databases, call.args.at(1))
    {
        transaction.selects = Some(db);
    }
    transaction.push(number, command, call.args);
    call.reply.simple("QUEUED");
    Ok(())
}

/// Ends the transaction and the watching.
pub(crate) fn discard(call: &mut Call<'_>) {
    call.session.transaction = None;
    unwatch(call);
}

/// What a command is answered that the server refuses: for EXEC, that nothing of the transaction was executed, and that
/// there is none any more. As in Redis, even if there was none.
pub(crate) fn refused(call: &mut Call<'_>, command: Option<&Command>, error: CommandError) -> CommandError {
    if !command.is_some_and(Command::runs_transaction) {
        return error;
    }
    discard(call);
    let text = error.to_string();
    CommandError::ExecRefused(text.strip_prefix("ERR ").unwrap_or(&text).into())
}

/// What there is to say about a transaction where its session is, before it is decided where it is executed; `None` if
/// there is nothing.
pub(crate) fn answer_here(call: &mut Call<'_>, command: &Command) -> Option<Result<(), CommandError>> {
    let in_transaction = call.session.transaction.is_some();
    match command.name {
        "watch" if in_transaction => Some(Err(CommandError::Other("WATCH inside MULTI is not allowed"))),
        "exec" if !in_transaction => Some(Err(CommandError::Other("EXEC without MULTI"))),
        "exec" if call.session.transaction.as_ref().is_some_and(|transaction| transaction.is_broken) => {
            call.session.transaction = None;
            unwatch(call);
            Some(Err(CommandError::ExecAbort))
        }
        "exec" if watches_elsewhere(call) => {
            call.session.transaction = None;
            unwatch(call);
            call.reply.null_array();
            Some(Ok(()))
        }
        "discard" if !in_transaction => Some(Err(CommandError::Other("DISCARD without MULTI"))),
        "discard" | "unwatch" => {
            if command.name == "discard" {
                call.session.transaction = None;
            }
            unwatch(call);
            call.reply.ok();
            Some(Ok(()))
        }
        _ => None,
    }
}

/// Whether keys are watched where they cannot be looked at any more: in another epoch (PROTOCOL rule 17).
fn watches_elsewhere(call: &Call<'_>) -> bool {
    let serves = call.core.serves();
    let elsewhere =
        call.session.remote_watch.is_some_and(|watch| serves || watch != call.core.origin.watch(call.core.epoch()));
    elsewhere || !serves && call.session.watching.len() > 0
}

/// Has the primary execute the command; the number that it has there.
pub(crate) fn forward(call: &mut Call<'_>, command: &Command, level: Level) -> u64 {
    // A HELLO may stand before it in the pipeline.
    call.session.protocol = call.reply.protocol;
    if let Some(transaction) = call.session.transaction.as_ref().filter(|_| command.runs_transaction()) {
        call.session.awaits_db |= transaction.queue.iter().any(|queued| queued.command.name == "select");
    }
    let args = match command.name {
        "user" => user::without_password(call),
        "acl" => acl::without_passwords(call),
        _ => call.args.into(),
    };
    let number = call.core.forward(call.session, args, level, call.monotonic);
    if command.name == "watch" {
        let watch = call.core.origin.watch(call.core.epoch());
        call.session.remote_watch.get_or_insert(watch);
    }
    if command.runs_transaction() {
        call.session.remote_watch = None;
    }
    number
}

/// Ends the watching, here and at the primary: the session's next command tells it.
fn unwatch(call: &mut Call<'_>) {
    call.core.watches.unwatch(&mut call.session.watching);
    call.session.remote_watch = None;
}

/// Ends the transaction; whether nothing that was watched has changed.
fn is_undisturbed(call: &mut Call<'_>) -> bool {
    let watching = core::mem::take(&mut call.session.watching);
    // A deadline that has passed is a change, and so is a database that was dropped.
    let mut undisturbed = true;
    for (db, key) in watching.keys() {
        let id = call.core.system.databases.find(db);
        undisturbed &= id.is_some();
        if let Some(id) = id {
            call.get_in(id, key);
        }
    }
    undisturbed &= call.core.watches.are_unchanged(&watching, call.core.epoch());
    call.session.watching = watching;
    unwatch(call);
    undisturbed
}

fn execute(call: &mut Call<'_>) -> Result<(), CommandError> {
    let transaction = call.session.transaction.take().ok_or(CommandError::Other("EXEC without MULTI"))?;
    let undisturbed = is_undisturbed(call);
    if transaction.is_broken {
        return Err(CommandError::ExecAbort);
    }
    call.core.probes.hit_if(!undisturbed, Probe::WatchBroken);
    if !undisturbed && !Mutant::IgnoreWatch.is_chosen() {
        call.reply.null_array();
        return Ok(());
    }
    let Transaction { queue, .. } = *transaction;
    call.reply.array(queue.len());
    // What runs inside shares its time as a pipeline does; what is not brisk is timed alone here too.
    call.session.pace = Pace::Group;
    call.session.in_transaction = true;
    for queued in &queue {
        let mut inner = call.with_args(queued.args.args());
        // Rights may have changed since it was queued.
        match inner.check_rights(queued.number, queued.command).and_then(|()| inner.core.check_batch(queued.command)) {
            Ok(()) => inner.run(queued.number, queued.command),
            Err(error) => {
                inner.core.stats.count_rejected(Some(queued.number));
                inner.refuse(inner.reply.bytes.len(), error);
            }
        }
        // Inside a transaction nothing waits, as in Redis; what else connections do is barred.
        let is_allowed = matches!(inner.then, Then::Reply | Then::Delay(_) | Then::Count(_));
        debug_assert!(is_allowed, "{} is to be barred", queued.command.name);
        inner.session.counting = None;
        let (depends, wrote) = (inner.depends, inner.wrote);
        call.depends = depends;
        call.wrote = wrote;
    }
    call.session.in_transaction = false;
    Ok(())
}
