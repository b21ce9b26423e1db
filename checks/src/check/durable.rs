//! Nothing acknowledged is lost, what was deleted stays deleted, and nothing is read that nobody wrote (DESIGN.md
//! section 8, invariants 1, 7 and 8); and what was acknowledged at `ALL` is found wherever it is looked for (PROTOCOL rule 22).
//!
//! The search for a linearization sees the first two as well. This check is simple enough to be believed without it, and
//! it names the write that is missing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Found;
use crate::history::{Level, Memory, Operation, Outcome, Stamp};
use crate::model::typed::{Typed, stream};
use crate::model::{self, Command, Database, Datum, Key, Lifetime, Presence, Reply};
use crate::reduce::{Data, reduce};

pub fn check(operations: &[Operation]) -> Result<(), Found> {
    nothing_is_invented(operations)?;
    nothing_acknowledged_is_lost(operations)
}

/// The smallest part of operations of which one was lost or invented that is found in that time, and shows as much.
pub fn smallest(operations: Vec<Operation>, patience: Duration) -> Vec<Operation> {
    reduce(operations, Data::Registers, patience, |part| check(part).is_err())
}

/// Every text that was read, also at `EVENTUAL`, had been written to that key.
fn nothing_is_invented(operations: &[Operation]) -> Result<(), Found> {
    let mut written: BTreeMap<(Option<Key>, Datum), Stamp> = BTreeMap::new();
    // What commands move is looked for everywhere.
    let moves = operations.iter().any(|operation| operation.command.moves());
    let place = |key: Key| (!moves).then_some(key);
    for operation in operations {
        for (key, datum) in operation.command.writes().into_iter().chain(added(&operation.command)) {
            written.entry((place(key), datum)).or_insert(operation.called);
        }
    }
    for operation in operations {
        for (key, datum) in read_by(operation).into_iter().chain(shown(operation)) {
            // Numbers and texts are also made by INCR and APPEND; the search for a linearization knows more of those.
            let invented = matches!(datum, Datum::Word(_))
                && written.get(&(place(key), datum.clone())).is_none_or(|called| *called > operation.ended);
            if invented {
                let what = format!("{datum} was read from key {key:?} and never written there: {operation:?}");
                return Err(Found { what, at: operation.ended });
            }
        }
    }
    Ok(())
}

/// The words that a command adds to streams.
fn added(command: &Command) -> Vec<(Key, Datum)> {
    match command {
        Command::Typed(key, Typed::Stream(stream::Call::Add { word, .. })) => vec![(*key, Datum::Word(*word))],
        Command::Block(_, commands) => commands.iter().flat_map(added).collect(),
        _ => Vec::new(),
    }
}

/// The words in the entries of a stream that an operation was shown.
fn shown(operation: &Operation) -> Vec<(Key, Datum)> {
    use stream::Call::{Range, ReadNew};
    match (&operation.command, operation.answered()) {
        (Command::Typed(key, Typed::Stream(Range { .. } | ReadNew { .. })), Some(Reply::Items(items))) => {
            let word = |item: &Reply| if let Reply::Number(word) = item { u32::try_from(*word).ok() } else { None };
            items.iter().filter_map(word).map(|word| (*key, Datum::Word(word))).collect()
        }
        _ => Vec::new(),
    }
}

/// The data that an operation has read.
pub fn read_by(operation: &Operation) -> Vec<(Key, Datum)> {
    match (&operation.command, operation.answered()) {
        (
            Command::Get(key)
            | Command::Set { key, get: true, .. }
            | Command::GetDelete(key)
            | Command::GetExpire(key, _),
            Some(Reply::Datum(datum)),
        ) => vec![(*key, datum.clone())],
        (Command::MultiGet(keys), Some(Reply::Data(data))) => {
            keys.iter().zip(data).filter_map(|(key, datum)| datum.clone().map(|datum| (*key, datum))).collect()
        }
        _ => Vec::new(),
    }
}

/// A read that follows an acknowledged write, with nothing between that may have changed the key, finds what it left; one
/// at `EVENTUAL` if the write was acknowledged at `ALL`.
fn nothing_acknowledged_is_lost(operations: &[Operation]) -> Result<(), Found> {
    for read in operations {
        let (Command::Get(key), Some(reply)) = (&read.command, read.answered()) else { continue };
        // One that came to nothing may have been seen at `EVENTUAL` as long as nobody knew that.
        let counts_not = |other: &Operation| {
            other.outcome == Outcome::Refused && (read.acknowledged().is_some() || other.ended < read.called)
        };
        let changes = || {
            operations
                .iter()
                .filter(|other| other.command.may_change(*key) && !counts_not(other) && other.called < read.ended)
        };
        let Some(last) = changes().filter(|change| change.ended < read.called).max_by_key(|change| change.ended) else {
            continue;
        };
        // Only a write that stands alone decides what is read.
        let alone = changes().all(|other| other.called == last.called || other.ended < last.called);
        // A Replica does not count, nor who is removed.
        let counts = matches!(read.memory, Some(Memory::Core(_)));
        let is_found = read.acknowledged().is_some() || last.level == Level::All && counts;
        if !alone || !is_found || !last.has_written() || !leaves_one_state(&last.command) {
            continue;
        }
        let kept = model::apply(&Database::default(), &last.command, last.clock, None)
            .iter()
            .any(|left| !model::apply(left, &read.command, read.clock, Some(reply)).is_empty());
        if !kept {
            let what = format!("an acknowledged write is lost:\n    {last:?}\n    was followed by\n    {read:?}");
            return Err(Found { what, at: read.ended });
        }
    }
    Ok(())
}

/// Whether a command leaves its keys in a state that does not depend on the one before.
fn leaves_one_state(command: &Command) -> bool {
    match command {
        Command::Set { lifetime, presence, .. } => *lifetime != Lifetime::Keep && *presence == Presence::Any,
        Command::MultiSet(_) | Command::Delete(_) | Command::Flush(_) | Command::FlushAll => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use mneme_kernel::ids::Incarnation;

    use super::*;
    use crate::history::operation;

    const KEY: Key = Key { database: 0, number: 0 };

    fn set(called: u64, n: u32, outcome: Outcome) -> Operation {
        operation(called, called + 1, Command::MultiSet(vec![(KEY, Datum::Word(n))]), outcome)
    }

    fn read(called: u64, datum: Option<u32>) -> Operation {
        let reply = datum.map_or(Reply::Nil, |n| Reply::Datum(Datum::Word(n)));
        operation(called, called + 1, Command::Get(KEY), Outcome::Acknowledged(reply))
    }

    fn done() -> Outcome {
        Outcome::Acknowledged(Reply::Ok)
    }

    #[test]
    fn what_was_acknowledged_is_read() {
        assert_eq!(check(&[set(1, 1, done()), read(10, Some(1))]), Ok(()));
        assert!(check(&[set(1, 1, done()), read(10, None)]).is_err_and(|why| why.what.contains("lost")));
        assert!(check(&[set(1, 1, done()), set(3, 2, done()), read(10, Some(1))]).is_err());
        assert_eq!(check(&[set(1, 1, done()), set(3, 2, Outcome::Unknown), read(10, Some(1))]), Ok(()));
        assert_eq!(check(&[set(1, 1, done()), set(3, 2, Outcome::Refused), read(10, Some(1))]), Ok(()));
    }

    #[test]
    fn what_comes_to_nothing_may_be_seen_at_eventual_until_that_is_known() {
        let memory = Some(Memory::Core(Incarnation(3)));
        let everywhere = Operation { level: Level::All, ..set(1, 1, done()) };
        let in_vain = |ended| Operation { ended: Stamp(ended), ..set(3, 2, Outcome::Refused) };
        let outcome = Outcome::Executed(Reply::Datum(Datum::Word(2)));
        let seen = Operation { level: Level::Eventual, outcome, memory, ..read(10, Some(2)) };
        assert_eq!(check(&[everywhere.clone(), in_vain(20), seen.clone()]), Ok(()));
        assert!(check(&[everywhere.clone(), in_vain(5), seen]).is_err(), "it was known by then");
        assert!(check(&[everywhere, in_vain(20), read(10, Some(2))]).is_err(), "not at QUORUM");
    }

    #[test]
    fn what_was_deleted_stays_deleted() {
        let deleted = operation(3, 4, Command::Delete(vec![KEY]), Outcome::Acknowledged(Reply::Number(1)));
        assert_eq!(check(&[set(1, 1, done()), deleted.clone(), read(10, None)]), Ok(()));
        assert!(check(&[set(1, 1, done()), deleted, read(10, Some(1))]).is_err());
    }

    #[test]
    fn no_stream_has_an_entry_that_nobody_added() {
        let id = stream::Id { millis: 7, seq: 0 };
        let add = |word| stream::Call::Add { asked: stream::Asked::ByClock, word, most: None };
        let add = operation(1, 2, Command::Typed(KEY, Typed::Stream(add(5))), Outcome::Unknown);
        for (word, is_fine) in [(5, true), (6, false)] {
            let items = Reply::Items(vec![Reply::Id(id), Reply::Element(0), Reply::Number(word)]);
            let range = Command::Typed(KEY, Typed::Stream(stream::Call::Range { newest: true, count: 1 }));
            let seen = operation(3, 4, range, Outcome::Executed(items));
            assert_eq!(check(&[add.clone(), seen]).is_ok(), is_fine);
        }
    }

    #[test]
    fn nothing_is_read_before_it_was_written() {
        assert!(check(&[read(1, Some(7))]).is_err_and(|why| why.what.contains("never written")));
        assert!(check(&[read(1, Some(7)), set(10, 7, done())]).is_err());
    }
}
