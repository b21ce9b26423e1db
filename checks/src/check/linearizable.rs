//! `QUORUM` operations are linearizable over all keys of a database, and each takes place between its call and
//! its answer (DESIGN.md section 8, invariants 1, 2 and 8).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use porcupine_rs::CheckResult;

use super::Found;
use crate::history::{Operation, Outcome, Stamp};
use crate::model::{self, Between, Command, Database, Reply};
use crate::reduce::{Data, reduce};

/// How long the search may take, in real time. It usually takes milliseconds. Where mistakes are made on purpose, the next
/// seed tells more than a long search.
const PATIENCE: Duration = Duration::from_secs(if cfg!(mneme_mutants) { 10 } else { 20 });

/// Why operations do not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// No order explains them.
    Broken(Found),
    /// Whether one does was not found out in time: a seed that proves nothing, and shows no mistake either.
    Undecided(String),
}

/// Searches the operations of databases that no command joins, each for an order that explains them.
pub fn check(operations: &[Operation]) -> Result<(), Finding> {
    for (databases, operations) in separate(operations) {
        let history = history(&operations);
        match porcupine_rs::check_operations_timeout::<Model>(&history, PATIENCE) {
            CheckResult::Ok => {}
            CheckResult::Unknown => {
                let count = history.len();
                return Err(Finding::Undecided(format!(
                    "whether the {count} operations on databases {databases:?} are linearizable is not decided in {PATIENCE:?}"
                )));
            }
            CheckResult::Illegal => return Err(Finding::Broken(explain(&databases, &history))),
        }
    }
    Ok(())
}

/// The smallest part of operations that no order explains which is found in that time, and which no order explains either.
pub fn smallest(operations: Vec<Operation>, patience: Duration) -> Vec<Operation> {
    /// A part that takes longer than this to judge is not for people.
    const EACH: Duration = Duration::from_secs(1);
    let is_illegal = |operations: Vec<&Operation>| {
        porcupine_rs::check_operations_timeout::<Model>(&history(&operations), EACH) == CheckResult::Illegal
    };
    let is_wrong = |part: &[Operation]| separate(part).into_iter().any(|(_, operations)| is_illegal(operations));
    reduce(operations, Data::Registers, patience, is_wrong)
}

/// Groups of databases that commands join, each with the operations on them.
fn separate(operations: &[Operation]) -> Vec<(BTreeSet<u16>, Vec<&Operation>)> {
    let mut groups: Vec<BTreeSet<u16>> = Vec::new();
    for operation in operations {
        let mut joined = operation.command.databases();
        if joined.is_empty() || groups.iter().any(|group| joined.is_subset(group)) {
            continue;
        }
        let (met, apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| !group.is_disjoint(&joined));
        joined.extend(met.into_iter().flatten());
        groups = apart;
        groups.push(joined);
    }
    let own = |group: &BTreeSet<u16>| {
        operations.iter().filter(|operation| !operation.command.databases().is_disjoint(group)).collect()
    };
    groups.into_iter().map(|group| (group.clone(), own(&group))).collect()
}

/// One database's operations in the form that is searched.
fn history(operations: &[&Operation]) -> Vec<porcupine_rs::Operation<Model>> {
    let mut history: Vec<porcupine_rs::Operation<Model>> = Vec::new();
    let mut last_of_process: BTreeMap<u32, usize> = BTreeMap::new();
    for operation in operations {
        let Some(mut step) = Step::of(operation) else { continue };
        let number = history.len();
        if let Some(before) = last_of_process.insert(operation.process, number)
            && history[before].return_time > operation.called.0 as i64
        {
            history[before].op.is_followed = true;
            step.follows = Some(before);
        }
        step.number = number;
        history.push(porcupine_rs::Operation {
            client_id: Some(operation.process),
            call_time: operation.called.0 as i64,
            return_time: operation.ended.0 as i64,
            op: step,
            metadata: None,
        });
    }
    history
}

/// Finds the shortest beginning of a history that cannot be explained, and shows its end.
fn explain(databases: &BTreeSet<u16>, history: &[porcupine_rs::Operation<Model>]) -> Found {
    /// How many operations before the impossible one are shown.
    const SHOWN: usize = 12;
    // An operation that had not ended by then may not have happened.
    let until = |end: i64| -> Vec<_> {
        let begun = history.iter().filter(|operation| operation.call_time <= end).cloned();
        begun
            .map(|mut operation| {
                if operation.return_time > end {
                    operation.op.reply = None;
                    operation.op.certain = false;
                    operation.return_time = i64::MAX;
                }
                operation
            })
            .collect()
    };
    let mut ends: Vec<i64> = history.iter().map(|operation| operation.return_time).collect();
    ends.sort_unstable();
    let explained = ends
        .partition_point(|end| porcupine_rs::check_operations_timeout(&until(*end), PATIENCE) != CheckResult::Illegal);
    let end = ends[explained.min(ends.len() - 1)];
    let mut shown = until(end);
    shown.sort_by_key(|operation| operation.call_time);
    let keys = history.iter().find(|operation| operation.return_time == end).map(|operation| operation.op.clone());
    let shown: Vec<String> = shown
        .iter()
        .filter(|operation| keys.as_ref().is_none_or(|last| last.touches(&operation.op)))
        .rev()
        .take(SHOWN)
        .map(|operation| {
            format!("\n    {:>6} to {:<6} {}", operation.call_time, ending(operation.return_time), operation.op)
        })
        .collect();
    let what = format!(
        "no order explains the operations on databases {databases:?} up to the one that ends at {end}; the last of those on its keys:{}",
        shown.into_iter().rev().collect::<String>()
    );
    Found { what, at: Stamp(end as u64) }
}

fn ending(at: i64) -> String {
    if at == i64::MAX { "?".to_owned() } else { at.to_string() }
}

/// An operation as the search sees it.
#[derive(Clone, Debug)]
struct Step {
    command: Command,
    clock: Between,
    reply: Option<Reply>,
    /// Whether it happened for certain.
    certain: bool,
    number: usize,
    /// The one before it in a pipeline. A connection's commands run in their order, though nobody outside sees the end
    /// of one before the beginning of the next.
    follows: Option<usize>,
    is_followed: bool,
}

impl Step {
    /// `None` if the operation says nothing about the data.
    fn of(operation: &Operation) -> Option<Step> {
        if matches!(operation.command, Command::Walk(_)) {
            return None;
        }
        let (reply, certain) = match &operation.outcome {
            Outcome::Acknowledged(reply) => (Some(reply.clone()), true),
            Outcome::Refused => return None,
            Outcome::Executed(_) | Outcome::Weaker | Outcome::Uncertain | Outcome::Unknown
                if operation.command.is_read() =>
            {
                return None;
            }
            // What it said may have been undone with what it saw.
            Outcome::Executed(_) | Outcome::Uncertain | Outcome::Unknown => (None, false),
            Outcome::Weaker => (None, true),
        };
        Some(Step {
            command: operation.command.clone(),
            clock: operation.clock,
            reply,
            certain,
            number: 0,
            follows: None,
            is_followed: false,
        })
    }

    fn touches(&self, other: &Step) -> bool {
        let keys = |step: &Step| step.command.keys();
        let (own, others) = (keys(self), keys(other));
        own.is_empty() || others.is_empty() || own.iter().any(|key| others.contains(key))
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} at {} to {} ms: ", self.command, self.clock.least, self.clock.most)?;
        match (&self.reply, self.certain) {
            (Some(reply), _) => write!(f, "{reply:?}"),
            (None, true) => f.write_str("done"),
            (None, false) => f.write_str("perhaps"),
        }
    }
}

/// The sequential behaviour, for the search.
#[derive(Clone, Debug)]
struct Model;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    /// All states that the database may be in.
    databases: BTreeSet<Database>,
    /// Operations after which it is the turn of the next one in their pipeline.
    turns: BTreeSet<usize>,
}

impl porcupine_rs::Model for Model {
    type State = State;
    type Op = Step;
    type Metadata = ();

    fn init() -> State {
        State { databases: BTreeSet::from([Database::default()]), turns: BTreeSet::new() }
    }

    fn step(state: &State, step: &Step) -> (bool, State) {
        if step.follows.is_some_and(|before| !state.turns.contains(&before)) {
            return (false, State::default());
        }
        let mut databases: BTreeSet<Database> = state
            .databases
            .iter()
            .flat_map(|database| model::apply(database, &step.command, step.clock, step.reply.as_ref()))
            .collect();
        if !step.certain {
            databases.extend(state.databases.iter().cloned());
        }
        if databases.is_empty() {
            return (false, State::default());
        }
        let mut turns = state.turns.clone();
        if let Some(before) = &step.follows {
            turns.remove(before);
        }
        if step.is_followed {
            turns.insert(step.number);
        }
        (true, State { databases, turns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::operation;
    use crate::model::{Datum, Key, Lifetime, Presence};

    const KEY: Key = Key { database: 0, number: 0 };

    fn set(n: u32) -> Command {
        Command::Set {
            key: KEY,
            datum: Datum::Word(n),
            lifetime: Lifetime::Forever,
            presence: Presence::Any,
            get: false,
        }
    }

    fn read(n: u32) -> Outcome {
        Outcome::Acknowledged(Reply::Datum(Datum::Word(n)))
    }

    #[test]
    fn a_lost_write_has_no_explanation() {
        let mut history = vec![
            operation(1, 2, set(1), Outcome::Acknowledged(Reply::Ok)),
            operation(3, 4, set(2), Outcome::Acknowledged(Reply::Ok)),
            operation(5, 6, Command::Get(KEY), read(2)),
        ];
        assert_eq!(check(&history), Ok(()));
        history.push(operation(7, 8, Command::Get(KEY), read(1)));
        assert!(matches!(check(&history), Err(Finding::Broken(why)) if why.what.contains("7 to 8")));
    }

    #[test]
    fn a_pipeline_runs_in_its_order() {
        let pipelined = |reads: u32| {
            let mut history = vec![
                operation(1, 10, set(1), Outcome::Acknowledged(Reply::Ok)),
                operation(2, 11, set(2), Outcome::Acknowledged(Reply::Ok)),
                operation(12, 13, Command::Get(KEY), read(reads)),
            ];
            history[..2].iter_mut().for_each(|operation| operation.process = 7);
            history
        };
        assert_eq!(check(&pipelined(2)), Ok(()));
        assert!(check(&pipelined(1)).is_err());
    }

    #[test]
    fn what_is_not_everywhere_has_happened() {
        for (outcome, possible) in [(Outcome::Weaker, false), (Outcome::Uncertain, true)] {
            let first = operation(1, 2, set(1), Outcome::Acknowledged(Reply::Ok));
            let history = [first, operation(3, 4, set(2), outcome), operation(5, 6, Command::Get(KEY), read(1))];
            assert_eq!(check(&history).is_ok(), possible);
        }
    }

    #[test]
    fn what_may_have_happened_did_so_within_its_life_or_never() {
        let unknown = operation(3, 5, set(2), Outcome::Unknown);
        let first = operation(1, 2, set(1), Outcome::Acknowledged(Reply::Ok));
        for (reads, possible) in [([1, 1], true), ([2, 2], true), ([2, 1], false), ([1, 2], false)] {
            let [a, b] = reads;
            let history = [
                first.clone(),
                unknown.clone(),
                operation(6, 7, Command::Get(KEY), read(a)),
                operation(8, 9, Command::Get(KEY), read(b)),
            ];
            assert_eq!(check(&history).is_ok(), possible, "{reads:?}");
        }
    }
}
