//! A full SCAN finds every key that was there from its beginning to its end, and none that nobody wrote: the promise of
//! Redis's documentation of SCAN.

use super::Found;
use crate::history::{Operation, Outcome};
use crate::model::{Command, Key, Lifetime, Presence, Reply};

pub fn check(operations: &[Operation]) -> Result<(), Found> {
    for walk in operations {
        let (Command::Walk(database), Some(Reply::Keys(seen))) = (&walk.command, walk.acknowledged()) else { continue };
        for number in seen {
            let key = Key { database: *database, number: *number };
            if !operations.iter().any(|other| other.called < walk.ended && other.command.may_change(key)) {
                let what = format!("a walk shows key {key:?}, which nobody wrote: {walk:?}");
                return Err(Found { what, at: walk.ended });
            }
        }
        let written = operations.iter().filter(|write| write.ended < walk.called && write.has_written());
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
                let what = format!("a walk misses key {key:?}, which was there:\n    {write:?}\n    {walk:?}");
                return Err(Found { what, at: walk.ended });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::operation;
    use crate::model::Datum;

    fn written(called: u64, number: u16) -> Operation {
        let pairs = vec![(Key { database: 0, number }, Datum::Word(1))];
        operation(called, called + 1, Command::MultiSet(pairs), Outcome::Acknowledged(Reply::Ok))
    }

    fn walked(called: u64, seen: &[u16]) -> Operation {
        let seen = Reply::Keys(seen.iter().copied().collect());
        operation(called, called + 9, Command::Walk(0), Outcome::Acknowledged(seen))
    }

    #[test]
    fn a_walk_misses_nothing_that_was_there_all_the_time() {
        assert_eq!(check(&[written(1, 5), walked(10, &[5])]), Ok(()));
        assert!(check(&[written(1, 5), walked(10, &[])]).is_err());
        assert_eq!(check(&[written(12, 5), walked(10, &[])]), Ok(()), "it came in the middle");
        let delete = Command::Delete(vec![Key { database: 0, number: 5 }]);
        let deleted = operation(12, 13, delete, Outcome::Unknown);
        assert_eq!(check(&[written(1, 5), deleted, walked(10, &[])]), Ok(()), "it may have gone");
    }

    #[test]
    fn a_walk_shows_nothing_that_nobody_wrote() {
        assert!(check(&[walked(10, &[5])]).is_err());
        assert!(check(&[walked(10, &[5]), written(30, 5)]).is_err());
    }
}
