//! Every INCR of a counter takes place exactly once, and in the order of real time: no two are answered the same number, one
//! that began when another had ended is answered a higher one, and no number is higher than there were INCRs by then. For
//! counters that only INCR and GET know, this is as strict as a search for a linearization but for commands whose fate is
//! unknown, and takes no search: it judges histories of any length.

use std::collections::BTreeMap;

use super::Found;
use crate::history::{Operation, Outcome};
use crate::model::{Command, Datum, Key, Reply};

pub fn check(operations: &[Operation]) -> Result<(), Found> {
    let mut counters: BTreeMap<Key, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        if let Command::Increment { key, by: 1 } | Command::Get(key) = operation.command {
            counters.entry(key).or_default().push(operation);
        }
    }
    counters.values().try_for_each(|operations| counter(operations))
}

/// What it was told, and whether by an INCR.
fn told(operation: &Operation) -> Option<(i64, bool)> {
    match (&operation.command, operation.acknowledged()?) {
        (Command::Get(_), Reply::Nil) => Some((0, false)),
        (Command::Get(_), Reply::Datum(Datum::Number(n))) => Some((*n, false)),
        (Command::Increment { .. }, Reply::Number(n)) => Some((*n, true)),
        _ => None,
    }
}

/// `operations` are in the order of their calls.
fn counter(operations: &[&Operation]) -> Result<(), Found> {
    let mut by_end: Vec<&Operation> = operations.iter().copied().filter(|one| told(one).is_some()).collect();
    by_end.sort_by_key(|operation| operation.ended);
    no_number_twice(&by_end)?;
    let (mut over, mut highest) = (by_end.iter().peekable(), None::<(i64, &Operation)>);
    for operation in operations {
        while let Some(before) = over.next_if(|before| before.ended < operation.called) {
            let (number, _) = told(before).unwrap_or_default();
            if highest.is_none_or(|(high, _)| number > high) {
                highest = Some((number, before));
            }
        }
        let (Some((number, adds)), Some((high, before))) = (told(operation), highest) else { continue };
        if number < high + i64::from(adds) {
            return Err(found(operation, &format!("{number} came after {before:?}")));
        }
    }
    let mut calls = operations
        .iter()
        .filter(|operation| {
            matches!(operation.command, Command::Increment { .. }) && operation.outcome != Outcome::Refused
        })
        .peekable();
    let mut begun = 0;
    for operation in by_end {
        while calls.next_if(|call| call.called < operation.ended).is_some() {
            begun += 1;
        }
        if told(operation).is_some_and(|(number, _)| number > begun) {
            return Err(found(operation, &format!("there were only {begun} INCRs by then")));
        }
    }
    Ok(())
}

fn no_number_twice(operations: &[&Operation]) -> Result<(), Found> {
    let mut by_number: BTreeMap<i64, &Operation> = BTreeMap::new();
    for operation in operations {
        if let Some((number, true)) = told(operation)
            && let Some(other) = by_number.insert(number, operation)
        {
            return Err(found(operation, &format!("{number} is the reply of two: {other:?}")));
        }
    }
    Ok(())
}

fn found(operation: &Operation, why: &str) -> Found {
    Found { what: format!("{operation:?}: {why}"), at: operation.ended }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::operation;

    const KEY: Key = Key { database: 0, number: 0 };

    fn incr(called: u64, ended: u64, number: i64) -> Operation {
        operation(called, ended, Command::Increment { key: KEY, by: 1 }, Outcome::Acknowledged(Reply::Number(number)))
    }

    fn get(called: u64, number: i64) -> Operation {
        let reply = Reply::Datum(Datum::Number(number));
        operation(called, called + 1, Command::Get(KEY), Outcome::Acknowledged(reply))
    }

    fn lost(called: u64) -> Operation {
        let command = Command::Increment { key: KEY, by: 1 };
        Operation { ended: crate::history::NEVER, ..operation(called, called + 1, command, Outcome::Unknown) }
    }

    #[test]
    fn what_was_added_once_is_fine() {
        assert_eq!(check(&[incr(1, 4, 2), incr(2, 3, 1), lost(5), get(6, 3), get(8, 3)]), Ok(()));
    }

    #[test]
    fn each_way_to_miscount_is_told() {
        for (why, history) in [
            ("the reply of two", vec![incr(1, 2, 1), incr(3, 4, 1)]),
            ("came after", vec![incr(1, 2, 1), incr(3, 4, 2), get(5, 1)]),
            ("came after", vec![incr(1, 9, 2), get(2, 2), incr(4, 5, 1)]),
            ("only 2 INCRs", vec![incr(1, 2, 1), lost(3), get(5, 3)]),
        ] {
            assert!(check(&history).is_err_and(|found| found.what.contains(why)), "{why}");
        }
    }
}
