//! `WAIT` and `WAITAOF`: who has what was written, at whatever level that was. Only what others have said is counted.

use core::time::Duration;

use super::{Access, Command, CommandError, Keys, integer};
use crate::call::{Call, Then};
use crate::ids::Seq;
use crate::level::Level;
use crate::limits;
use crate::session::{Counting, Port};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "wait",
        arity: 3,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["noscript"],
        summary: "Blocks until the asynchronous replication of all preceding write commands sent by the connection is completed.",
        run: |call| {
            let replicas = integer(call.args.at(1))?;
            let timeout = timeout(call.args.at(2))?;
            check_port(call, WAIT_ON_REPLICA)?;
            let Some(seq) = begin(call, timeout) else {
                call.reply.integer(0);
                return Ok(());
            };
            let cores = call.core.cores_with(seq) as i64;
            call.reply.integer(cores);
            end(call, cores >= replicas);
            Ok(())
        },
    },
    Command {
        name: "waitaof",
        arity: 4,
        access: Access::Connection,
        keys: Keys::NONE,
        flags: &["noscript"],
        summary: "Blocks until all of the preceding write commands sent by the connection are written to the append-only file of the master and/or replicas.",
        run: |call| {
            let local = integer(call.args.at(1))?;
            if !(0..=1).contains(&local) {
                return Err(CommandError::Other("value is out of range, must be between 0 and 1"));
            }
            let replicas = integer(call.args.at(2))?;
            let timeout = timeout(call.args.at(3))?;
            check_port(call, WAITAOF_ON_REPLICA)?;
            let Some(seq) = begin(call, timeout) else {
                call.reply.array(2);
                call.reply.integer(0);
                call.reply.integer(0);
                return Ok(());
            };
            // What is accepted is on disk at a majority of Keepers, one of which stands for the server's own file.
            let accepted = i64::from(call.core.is_primary() && call.core.accepted() >= seq);
            let others = call.core.keepers_with(seq).saturating_sub(1) as i64;
            call.reply.array(2);
            call.reply.integer(accepted);
            call.reply.integer(others);
            end(call, accepted >= local && others >= replicas);
            Ok(())
        },
    },
];

/// How long others may be silent before it is looked at the time: who waits for longer says so again.
const LOOK: Duration = Duration::from_millis(500);

const WAIT_ON_REPLICA: &str = "WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.";
const WAITAOF_ON_REPLICA: &str = "WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.";

/// A time to wait for others: none is for ever, which is a long time.
fn timeout(text: &[u8]) -> Result<Duration, CommandError> {
    let milliseconds = integer(text).map_err(|_| CommandError::Other("timeout is not an integer or out of range"))?;
    match u64::try_from(milliseconds) {
        Err(_) => Err(CommandError::Other("timeout is negative")),
        Ok(0) => Ok(limits::MAX_PAUSE),
        Ok(milliseconds) => Ok(Duration::from_millis(milliseconds).min(limits::MAX_PAUSE)),
    }
}

fn check_port(call: &Call<'_>, error: &'static str) -> Result<(), CommandError> {
    if call.session.port == Port::Read { Err(CommandError::Other(error)) } else { Ok(()) }
}

/// The batch with everything that had been executed, whoever asked for it, when the command ran first. `None` if the
/// connection has changed something at `EVENTUAL` in an epoch that is over: who has that, nobody knows.
fn begin(call: &mut Call<'_>, timeout: Duration) -> Option<Seq> {
    // What was counted is so whoever is primary now.
    call.level = Some(Level::Eventual);
    let epoch = call.core.epoch();
    let elsewhere = call.core.origin.weak_since(call.session.id);
    if call.session.weak_since.into_iter().chain(elsewhere).any(|since| since != epoch) {
        call.session.weak_since = None;
        call.core.origin.forget_weak(call.session.id);
        call.session.counting = None;
        return None;
    }
    let new = Counting { seq: call.core.executed(), epoch, until: call.monotonic + timeout };
    let counting = call.session.counting.get_or_insert(new);
    if counting.epoch != epoch {
        // Another memory's batches had that number.
        (counting.seq, counting.epoch) = (new.seq, epoch);
    }
    Some(counting.seq)
}

/// The reply stands if there are enough, or the time is over.
fn end(call: &mut Call<'_>, are_enough: bool) {
    let Some(Counting { seq, until, .. }) = call.session.counting else { return };
    let left = until - call.monotonic;
    if are_enough || left.is_zero() {
        call.session.counting = None;
        return;
    }
    call.core.awaits(seq);
    call.core.awaits_others(seq, call.monotonic + LOOK * 2);
    call.then = Then::Count(left.min(LOOK));
}

/// Whether a command counts who has what its connection wrote.
pub(crate) fn counts(command: &Command) -> bool {
    matches!(command.name, "wait" | "waitaof")
}
