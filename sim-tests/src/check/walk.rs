//! A full SCAN finds every key that was there from its beginning to its end, and none that nobody wrote: the promise of
//! Redis's documentation of SCAN.

use crate::history::{Operation, Outcome};
use crate::model::{Command, Key, Lifetime, Presence, Reply};

pub fn check(operations: &[Operation]) -> Result<(), String> {
    for walk in operations {
        let (Command::Walk(database), Some(Reply::Keys(seen))) = (&walk.command, walk.acknowledged()) else { continue };
        for number in seen {
            let key = Key { database: *database, number: *number };
            if !operations.iter().any(|other| other.called < walk.ended && other.command.may_change(key)) {
                return Err(format!("a walk shows key {key:?}, which nobody wrote: {walk:?}"));
            }
        }
        let written = operations.iter().filter(|write| write.ended < walk.called && write.acknowledged().is_some());
        for (write, (key, _)) in
            written.flat_map(|write| write.command.writes().into_iter().map(move |pair| (write, pair)))
        {
            if key.database != *database || seen.contains(&key.number) || !leaves_it(&write.command) {
                continue;
            }
            let may_remove = |other: &&Operation| {
                other.command.may_change(key)
                    && !leaves_it(&other.command)
                    && other.outcome != Outcome::Refused
                    && other.called < walk.ended
                    && other.ended > write.called
            };
            if !operations.iter().any(|other| may_remove(&other)) {
                return Err(format!("a walk misses key {key:?}, which was there:\n    {write:?}\n    {walk:?}"));
            }
        }
    }
    Ok(())
}

/// Whether the keys that it writes are there afterwards, for good.
fn leaves_it(command: &Command) -> bool {
    match command {
        Command::Set { lifetime, presence, .. } => *lifetime == Lifetime::Forever && *presence == Presence::Any,
        Command::MultiSet(_) => true,
        _ => false,
    }
}
