//! Reads at `EVENTUAL` on one connection do not go back, as long as the node that answers them keeps its memory: none finds
//! what was overwritten before what an earlier one found was written, nor nothing where nothing was removed.
//!
//! That what they find was written at all is held by [`durable`](super::durable).

use std::collections::BTreeMap;

use super::Found;
use super::durable::read_by;
use crate::history::{Level, Memory, Operation, Outcome};
use crate::model::{Command, Datum, Key, Lifetime, Presence, Reply};

pub fn check(operations: &[Operation]) -> Result<(), Found> {
    if operations.iter().any(|operation| operation.command.moves()) {
        // Then what stands where was perhaps written elsewhere.
        return Ok(());
    }
    let mut writes: BTreeMap<(Key, Datum), &Operation> = BTreeMap::new();
    for operation in operations {
        let written = operation.command.writes().into_iter().filter(|(_, datum)| matches!(datum, Datum::Word(_)));
        writes.extend(written.map(|written| (written, operation)));
    }
    // What each process has found last, in which memory.
    let mut found: BTreeMap<(u32, Key), (Memory, &Operation)> = BTreeMap::new();
    for read in operations {
        let (Some(memory), Level::Eventual, Outcome::Executed(reply)) = (read.memory, read.level, &read.outcome) else {
            continue;
        };
        if !read.command.is_read() {
            // A write finds what the primary has, wherever its client is.
            continue;
        }
        for (key, datum) in read_by(read) {
            let Some(write) = writes.get(&(key, datum)) else {
                found.remove(&(read.process, key));
                continue;
            };
            if let Some((before, newer)) = found.insert((read.process, key), (memory, *write))
                && before == memory
                && write.ended < newer.called
            {
                let what = format!("{read:?} went back to\n    {write:?} after it had found\n    {newer:?}");
                return Err(Found { what, at: read.ended });
            }
        }
        if let (Command::Get(key), Reply::Nil) = (&read.command, reply)
            && let Some((before, write)) = found.remove(&(read.process, *key))
            && before == memory
            && lasts(&write.command)
            && !is_removed(operations, *key, write, read)
        {
            let what = format!("{read:?} found nothing after it had found\n    {write:?}");
            return Err(Found { what, at: read.ended });
        }
    }
    Ok(())
}

/// Whether what it writes stays until somebody changes it.
fn lasts(command: &Command) -> bool {
    match command {
        Command::Set { lifetime, presence, .. } => *lifetime == Lifetime::Forever && *presence == Presence::Any,
        Command::MultiSet(_) => true,
        _ => false,
    }
}

/// Whether another operation may have come behind the write and before the read. One that was refused in the end may have
/// been in the primary's memory until then, for such a read to find: its client heard so when that memory was given up.
fn is_removed(operations: &[Operation], key: Key, write: &Operation, read: &Operation) -> bool {
    let may = |other: &Operation| {
        let since = if other.outcome == Outcome::Refused { read.called } else { write.called };
        other.command.may_change(key)
            && other.called != write.called
            && other.called < read.ended
            && other.ended > since
    };
    operations.iter().any(may)
}

#[cfg(test)]
mod tests {
    use mneme_kernel::ids::Incarnation;

    use super::*;
    use crate::history::operation;

    const KEY: Key = Key { database: 0, number: 0 };
    const FIRST: Memory = Memory::Core(Incarnation(1));

    fn set(called: u64, n: u32) -> Operation {
        operation(called, called + 1, Command::MultiSet(vec![(KEY, Datum::Word(n))]), Outcome::Acknowledged(Reply::Ok))
    }

    fn read(called: u64, n: Option<u32>, memory: Memory) -> Operation {
        let reply = n.map_or(Reply::Nil, |n| Reply::Datum(Datum::Word(n)));
        let read = operation(called, called + 1, Command::Get(KEY), Outcome::Executed(reply));
        Operation { process: 7, level: Level::Eventual, memory: Some(memory), ..read }
    }

    #[test]
    fn reads_of_one_memory_do_not_go_back() {
        let second = Memory::Core(Incarnation(2));
        for (memories, is_kept) in [([FIRST, FIRST], false), ([Memory::Replica; 2], false), ([FIRST, second], true)] {
            let reads = [read(5, Some(2), memories[0]), read(7, Some(1), memories[1])];
            let history = [&[set(1, 1), set(3, 2)][..], &reads].concat();
            assert_eq!(check(&history).is_ok(), is_kept);
        }
    }

    #[test]
    fn what_a_write_finds_is_the_primarys() {
        let found = read(5, Some(2), FIRST);
        let writes = [set(1, 1), set(3, 2), Operation { command: Command::GetDelete(KEY), ..found.clone() }];
        let behind = read(7, Some(1), FIRST);
        assert_eq!(check(&[&writes[..], std::slice::from_ref(&behind)].concat()), Ok(()));
        assert!(check(&[&writes[..2], &[found, behind]].concat()).is_err());
    }

    #[test]
    fn writes_at_the_same_time_have_no_order() {
        let slow = Operation { called: crate::history::Stamp(0), ..set(3, 2) };
        assert_eq!(check(&[slow, set(1, 1), read(5, Some(2), FIRST), read(7, Some(1), FIRST)]), Ok(()));
    }

    #[test]
    fn what_was_found_is_gone_only_if_somebody_removed_it() {
        let reads = [read(5, Some(1), FIRST), read(9, None, FIRST)];
        assert!(check(&[&[set(1, 1)][..], &reads].concat()).is_err());
        let deleted = operation(3, 4, Command::Delete(vec![KEY]), Outcome::Unknown);
        assert_eq!(check(&[&[set(1, 1), deleted][..], &reads].concat()), Ok(()));
        for (ended, is_fine) in [(20, true), (8, false)] {
            let refused = operation(7, ended, Command::Delete(vec![KEY]), Outcome::Refused);
            assert_eq!(check(&[&[set(1, 1), refused][..], &reads].concat()).is_ok(), is_fine);
        }
        let before = operation(0, 1, Command::Delete(vec![KEY]), Outcome::Acknowledged(Reply::Number(0)));
        assert!(check(&[&[before, set(3, 1)][..], &reads].concat()).is_err());
    }
}
