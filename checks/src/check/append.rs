//! Transactions on lists are strictly serializable (`QUORUM`: PROTOCOL.md), judged twice.
//!
//! By what can be said of lists without a search: nothing is in a list that nobody appended, nothing twice, what was
//! acknowledged is in every later read, what was refused in none; all reads of a list are beginnings of the longest; and
//! where an RPUSH said that it ended, it ended.
//!
//! And by adya, which knows nothing of us: it infers who depends on whom, and looks for cycles in that and in real time
//! (Adya, "Weak Consistency", 1999; Kingsbury and Alvaro, "Elle", VLDB 2020).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use adya::{Opts, Valid, Workload};

use crate::appends::Transaction;
use crate::export::{self, Completion};
use crate::history::{Operation, Stamp};
use crate::reduce::{Data, reduce};

pub fn check(operations: &[Operation]) -> Result<(), String> {
    let transactions = operations.iter().map(Transaction::of).collect::<Result<Vec<_>, _>>()?;
    Lists::of(&transactions).check()?;
    has_no_cycle(&transactions)
}

/// The smallest part of operations that are no strictly serializable ones which is found in that time, and is none either.
pub fn smallest(operations: Vec<Operation>, patience: Duration) -> Vec<Operation> {
    reduce(operations, Data::Lists, patience, |part| check(part).is_err())
}

/// How many of the last transactions read, with no append behind them: they tell whether what was acknowledged lasts.
pub fn last_reads(transactions: &[Transaction]) -> usize {
    let is_last = |transaction: &&Transaction| {
        transaction.appends().count() == 0 && transaction.refused.is_empty() && transaction.completion == Completion::Ok
    };
    transactions.iter().rev().take_while(is_last).count()
}

/// What was appended, and how that ended.
struct Append {
    called: Stamp,
    ended: Stamp,
    completion: Completion,
    length: Option<usize>,
}

struct Read<'a> {
    called: Stamp,
    ended: Stamp,
    found: &'a [u32],
    by: &'a Transaction,
}

#[derive(Default)]
struct List<'a> {
    appends: BTreeMap<u32, Append>,
    reads: Vec<Read<'a>>,
}

struct Lists<'a>(BTreeMap<u16, List<'a>>);

impl<'a> Lists<'a> {
    fn of(transactions: &'a [Transaction]) -> Lists<'a> {
        let mut lists: BTreeMap<u16, List<'_>> = BTreeMap::new();
        for by in transactions {
            let Transaction { called, ended, completion, .. } = *by;
            for (list, number, length) in by.appends() {
                lists.entry(list).or_default().appends.insert(number, Append { called, ended, completion, length });
            }
            for (list, number) in by.refused_appends() {
                let append = Append { called, ended, completion: Completion::Fail, length: None };
                lists.entry(list).or_default().appends.insert(number, append);
            }
            for (list, found) in by.reads() {
                lists.entry(list).or_default().reads.push(Read { called, ended, found, by });
            }
        }
        Lists(lists)
    }

    fn check(&self) -> Result<(), String> {
        self.0.iter().try_for_each(|(number, list)| list.check().map_err(|what| format!("list {number}: {what}")))
    }
}

impl List<'_> {
    fn check(&self) -> Result<(), String> {
        self.reads.iter().try_for_each(|read| self.check_read(read))?;
        let Some(longest) = self.reads.iter().max_by_key(|read| read.found.len()) else { return Ok(()) };
        if let Some(other) = self.reads.iter().find(|read| !longest.found.starts_with(read.found)) {
            return Err(format!("no order of appends explains both {:?} and {:?}", longest.by, other.by));
        }
        self.check_lengths(longest)
    }

    fn check_read(&self, read: &Read<'_>) -> Result<(), String> {
        let mut found = BTreeSet::new();
        for number in read.found {
            let wrong = match self.appends.get(number) {
                _ if !found.insert(number) => "is there twice",
                None => "was never appended",
                Some(append) if append.called > read.ended => "had not been appended yet",
                Some(append) if append.completion == Completion::Fail => "was refused",
                Some(_) => continue,
            };
            return Err(format!("{number} {wrong}: {:?}", read.by));
        }
        let mut expected =
            self.appends.iter().filter(|(_, of)| of.completion == Completion::Ok && of.ended < read.called);
        match expected.find(|(number, _)| !found.contains(number)) {
            Some((number, _)) => Err(format!("{number} was acknowledged before and is not there: {:?}", read.by)),
            None => Ok(()),
        }
    }

    /// An RPUSH answers how long the list then is.
    fn check_lengths(&self, longest: &Read<'_>) -> Result<(), String> {
        for (number, length) in longest.found.iter().zip(1..) {
            match self.appends.get(number).and_then(|append| append.length) {
                Some(told) if told != length => {
                    return Err(format!("appending {number} made it {told} long, and {length} in {:?}", longest.by));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What adya says.
fn has_no_cycle(transactions: &[Transaction]) -> Result<(), String> {
    let history = adya::History::from_json(&export::jsonl(transactions)).map_err(|error| error.to_string())?;
    let report = adya::check(&history, Workload::ListAppend, &Opts::default());
    if report.valid == Valid::True || report.anomaly_types == ["empty-transaction-graph"] {
        return Ok(());
    }
    let explained = report.anomalies.values().flatten().map(|anomaly| anomaly.explanation.as_str());
    Err(format!("{}\n{}", report.anomaly_types.join(", "), explained.collect::<Vec<_>>().join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appends;
    use crate::history::{NEVER, Outcome, operation};
    use crate::model::{Command, Key, Reply};

    fn get(list: u16) -> Command {
        appends::read(Key { database: 13, number: list })
    }

    fn append(list: u16, number: u32) -> Command {
        appends::append(Key { database: 13, number: list }, number)
    }

    fn list(numbers: &[u32]) -> Reply {
        Reply::Items(numbers.iter().copied().map(Reply::Element).collect())
    }

    fn done(called: u64, ended: u64, steps: Vec<(Command, Reply)>) -> Operation {
        let (commands, replies) = steps.into_iter().unzip();
        operation(called, ended, Command::Block(None, commands), Outcome::Acknowledged(Reply::Block(replies)))
    }

    fn read(called: u64, numbers: &[u32]) -> Operation {
        done(called, called + 1, vec![(get(1), list(numbers))])
    }

    fn wrote(called: u64, number: u32, length: i64) -> Operation {
        done(called, called + 1, vec![(append(1, number), Reply::Number(length))])
    }

    #[test]
    fn what_happened_one_after_the_other_is_fine() {
        let open = operation(5, NEVER.0, append(1, 7), Outcome::Uncertain);
        let refused = operation(7, 8, append(1, 9), Outcome::Refused);
        let history = [wrote(1, 4, 1), read(3, &[4]), open, refused, read(9, &[4]), read(11, &[4, 7])];
        assert_eq!(check(&history), Ok(()));
        let transactions: Vec<_> =
            history.iter().map(|operation| Transaction::of(operation).expect("a list")).collect();
        assert_eq!(last_reads(&transactions), 2);
    }

    #[test]
    fn lists_that_cannot_be_are_told() {
        let open = || operation(3, NEVER.0, append(1, 5), Outcome::Unknown);
        let refused = || operation(3, 4, append(1, 6), Outcome::Refused);
        for (what, history) in [
            ("never appended", vec![wrote(1, 4, 1), read(3, &[8])]),
            ("twice", vec![wrote(1, 4, 1), read(3, &[4, 4])]),
            ("not been appended yet", vec![read(1, &[4]), wrote(3, 4, 1)]),
            ("refused", vec![wrote(1, 4, 1), refused(), read(5, &[4, 6])]),
            ("not there", vec![wrote(1, 4, 1), read(3, &[])]),
            ("no order", vec![wrote(1, 4, 1), open(), read(5, &[4, 5]), read(7, &[5, 4])]),
            ("made it 1 long", vec![wrote(1, 4, 1), wrote(3, 7, 1), read(5, &[4, 7])]),
        ] {
            let found = check(&history).expect_err(what);
            assert!(found.contains(what), "{what}: {found}");
        }
    }

    #[test]
    fn adya_sees_what_each_list_alone_does_not_show() {
        // Both at the same time, and neither saw the other.
        let skew = [(1, 5, 2), (2, 6, 1)].map(|(called, ended, other)| {
            done(called, ended, vec![(get(other), list(&[])), (append(3 - other, 7), Reply::Number(1))])
        });
        let both = done(8, 9, vec![(get(1), list(&[7])), (get(2), list(&[7]))]);
        let found = check(&[skew[0].clone(), skew[1].clone(), both]).expect_err("write skew");
        assert!(found.starts_with("G2-item"), "{found}");
        // A read of list 2 that is over saw the later of two appends, and one of list 1 that began behind it not the first.
        let first = operation(1, NEVER.0, append(1, 4), Outcome::Unknown);
        let second = done(2, 9, vec![(get(1), list(&[4])), (append(2, 5), Reply::Number(1))]);
        let sees = done(3, 4, vec![(get(2), list(&[5]))]);
        let late = done(5, 6, vec![(get(1), list(&[]))]);
        let found = check(&[first, second, sees, late]).expect_err("a stale read");
        assert!(found.contains("realtime"), "{found}");
    }
}
