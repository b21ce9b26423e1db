//! Whether what clients saw may be: the rules of `mneme-checks`, each key apart where keys have nothing to do with each other.

use std::collections::BTreeMap;
use std::time::Duration;

use mneme_checks::check::linearizable::Finding;
use mneme_checks::check::{Found, append, counter, durable, eventual, linearizable};
use mneme_checks::history::{Operation, Stamp};
use mneme_checks::model::Command;
use mneme_checks::reduce::{apart, up_to};

use crate::workload::{Workload, sum};

/// How long the smallest part of a history that is wrong is looked for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came of each check.
#[derive(Debug, Default)]
pub struct Verdict {
    pub checks: BTreeMap<&'static str, Result<(), Wrong>>,
}

/// Why a check fails.
#[derive(Clone, Debug)]
pub struct Wrong {
    pub what: String,
    /// The operation that shows it ended then.
    pub at: Option<Stamp>,
    /// Not wrong, but nobody found out in time.
    pub is_undecided: bool,
    /// The fewest operations that we know to contradict each other.
    pub part: Vec<Operation>,
}

impl Wrong {
    fn new(what: String, at: Option<Stamp>) -> Wrong {
        Wrong { what, at, is_undecided: false, part: Vec::new() }
    }
}

impl Verdict {
    /// Notes what came of a check; what was wrong first stays.
    pub fn note(&mut self, check: &'static str, came: anyhow::Result<()>) {
        self.add(check, came.map_err(|why| Wrong::new(format!("{why:#}"), None)));
    }

    fn add(&mut self, check: &'static str, came: Result<(), Wrong>) {
        let entry = self.checks.entry(check).or_insert(Ok(()));
        if entry.is_ok() {
            *entry = came;
        }
    }

    fn found(&mut self, check: &'static str, came: Result<(), Found>) {
        self.add(check, came.map_err(|Found { what, at }| Wrong::new(what, Some(at))));
    }
}

/// Judges a history, in the order of its calls.
pub fn judge(workload: Workload, operations: &[Operation], verdict: &mut Verdict) {
    match workload {
        Workload::Append => {
            let came = append::check(operations);
            verdict.add("append", came.map_err(|what| Wrong::new(what, None)));
        }
        // These have been judged already: they have histories of their own.
        Workload::Users | Workload::Queue => {}
        Workload::Counter => verdict.found("counter", counter::check(operations)),
        Workload::Register
        | Workload::Set
        | Workload::Bank
        | Workload::Deadlines
        | Workload::Large
        | Workload::Collections
        | Workload::Levels => {
            for part in apart(operations) {
                verdict.found("durable", durable::check(&part));
                verdict.found("eventual", eventual::check(&part));
                match linearizable::check(&part) {
                    Ok(()) => verdict.add("linearizable", Ok(())),
                    Err(Finding::Broken(found)) => verdict.found("linearizable", Err(found)),
                    Err(Finding::Undecided(what)) => {
                        verdict.add("undecided", Err(Wrong { is_undecided: true, ..Wrong::new(what, None) }));
                    }
                }
            }
        }
    }
    if workload == Workload::Bank {
        verdict.found("sum", sums(operations));
    }
    for (check, came) in &mut verdict.checks {
        if let Err(wrong) = came {
            wrong.part = smallest(check, operations, wrong);
        }
    }
}

/// Transfers leave the sum of a bank as it was: nothing.
fn sums(operations: &[Operation]) -> Result<(), Found> {
    for read in operations.iter().filter(|operation| matches!(operation.command, Command::MultiGet(_))) {
        if let Some(reply) = read.acknowledged()
            && sum(reply) != Some(0)
        {
            return Err(Found {
                what: format!("the sum of all accounts is {:?}: {read:?}", sum(reply)),
                at: read.ended,
            });
        }
    }
    Ok(())
}

/// Of the operations on one key, or on keys that hang together, as few as are still wrong; of checks that do not look for an order,
/// the shortest beginning.
fn smallest(check: &str, operations: &[Operation], wrong: &Wrong) -> Vec<Operation> {
    if check == "append" {
        let is_wrong = |part: &Vec<Operation>| append::check(part).is_err();
        let part = apart(operations).into_iter().find(is_wrong);
        return append::smallest(part.unwrap_or_else(|| operations.to_vec()), PATIENCE);
    }
    let Some(at) = wrong.at else { return Vec::new() };
    let part = up_to(operations, at);
    match check {
        "linearizable" => linearizable::smallest(part, PATIENCE),
        "durable" => durable::smallest(part, PATIENCE),
        _ => part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mneme_checks::history::{History, Level, LifeId, Outcome, Remains};
    use mneme_checks::model::{Between, Datum, Key, Lifetime, Presence, Reply};

    #[test]
    fn of_a_contradiction_one_key_and_few_operations_are_shown() {
        let mut history = History::new(Remains::Elsewhere, || Duration::ZERO);
        let walls = Between { least: 0, most: 0 };
        let mut run = |process, command, reply| {
            let life = LifeId { machine: 0, number: 0 };
            let id = history.call(process, life, command, Level::Quorum, walls);
            history.end(id, Outcome::Acknowledged(reply), walls);
        };
        let key = |number| Key { database: 0, number };
        let set = |number, word| {
            let (datum, lifetime, presence) = (Datum::Word(word), Lifetime::Forever, Presence::Any);
            Command::Set { key: key(number), datum, lifetime, presence, get: false }
        };
        for word in 0..60_u32 {
            let number = (word % 3) as u16;
            run(word, set(number, word), Reply::Ok);
            run(word, Command::Get(key(number)), Reply::Datum(Datum::Word(word)));
        }
        run(90, Command::Get(key(1)), Reply::Datum(Datum::Word(40)));
        run(91, set(1, 91), Reply::Ok);
        let (mut verdict, operations) = (Verdict::default(), history.finish());
        judge(Workload::Register, &operations, &mut verdict);
        let part = &verdict.checks["linearizable"].as_ref().expect_err("a stale read").part;
        assert_eq!(part.len(), 3, "{part:?}");
        assert!(part.iter().all(|operation| operation.command.keys() == [key(1)]));
    }
}
