//! The smallest part of a history that still contradicts itself, for people to read.
//!
//! Only what the rest does not rest upon is left out: what changed nothing, and writes of data of their own that nothing which is left
//! has seen. So a history that may be never becomes one that may not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::history::{NEVER, Operation, Outcome, Stamp};
use crate::model::typed::{Typed, list};
use crate::model::{Command, Datum, Key, Lifetime, Presence, Reply};

/// What a judge looks at, and so which writes may go unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// SET of words; a write that nobody has seen has no other effect if there are no deadlines, counters and the like.
    Registers,
    /// RPUSH of numbers to lists, of which only what is read counts.
    Lists,
}

/// Leaves out operations as long as the rest is still wrong: whole clients, then halves, quarters and so on down to single ones, the
/// last ones first, until nothing more can go or `patience` is over.
pub fn reduce(
    operations: Vec<Operation>,
    data: Data,
    patience: Duration,
    is_wrong: impl Fn(&[Operation]) -> bool,
) -> Vec<Operation> {
    let end = Instant::now() + patience;
    let mut kept = operations;
    loop {
        let before = kept.len();
        let processes: BTreeSet<u32> = kept.iter().map(|operation| operation.process).collect();
        for process in processes.into_iter().rev() {
            try_without(&mut kept, data, end, &is_wrong, |_, operation| operation.process == process);
        }
        let mut size = kept.len() / 2;
        while size > 0 {
            let mut from = kept.len();
            while from > 0 {
                let piece = from.saturating_sub(size)..from;
                from = piece.start;
                try_without(&mut kept, data, end, &is_wrong, |place, _| piece.contains(&place));
            }
            size /= 2;
        }
        if kept.len() == before || Instant::now() > end {
            return kept;
        }
    }
}

/// Leaves out what is meant and may go, if the rest is still wrong.
fn try_without(
    kept: &mut Vec<Operation>,
    data: Data,
    end: Instant,
    is_wrong: impl Fn(&[Operation]) -> bool,
    is_meant: impl Fn(usize, &Operation) -> bool,
) {
    if Instant::now() > end {
        return;
    }
    let meant = |(place, operation): (usize, &Operation)| is_meant(place, operation);
    let mut goes: Vec<bool> = kept.iter().enumerate().map(meant).collect();
    // Who stays may have seen what another one wrote.
    loop {
        let rest = || kept.iter().zip(&goes).filter(|(_, goes)| !**goes).map(|(operation, _)| operation);
        let seen: BTreeSet<Datum> = rest().filter_map(Operation::answered).flat_map(seen).collect();
        let may_go = |operation: &Operation| {
            let is_unseen = || written(&operation.command).iter().all(|datum| !seen.contains(datum));
            let is_met_by_plain = || rest().all(|other| is_apart(other, operation) || is_plain(&other.command, data));
            changed_nothing(operation) || is_plain(&operation.command, data) && is_unseen() && is_met_by_plain()
        };
        let stay: Vec<usize> = (0..kept.len()).filter(|place| goes[*place] && !may_go(&kept[*place])).collect();
        if stay.is_empty() {
            break;
        }
        stay.into_iter().for_each(|place| goes[place] = false);
    }
    if !goes.contains(&true) {
        return;
    }
    let rest = kept.iter().zip(&goes).filter(|(_, goes)| !**goes);
    let rest: Vec<Operation> = rest.map(|(operation, _)| operation.clone()).collect();
    if is_wrong(&rest) {
        *kept = rest;
    }
}

/// Whether they are on different keys for certain.
fn is_apart(a: &Operation, b: &Operation) -> bool {
    let (a, b) = (a.command.keys(), b.command.keys());
    !a.is_empty() && !b.is_empty() && !a.iter().any(|key| b.contains(key))
}

/// Whether it left the data as it was, for certain.
fn changed_nothing(operation: &Operation) -> bool {
    let is_read = match &operation.command {
        Command::Block(_, commands) => commands.iter().all(Command::is_read),
        command => command.is_read(),
    };
    // An EXEC that answers nothing was not executed.
    let is_void = matches!(operation.outcome, Outcome::Acknowledged(Reply::Nil))
        && matches!(operation.command, Command::Block(Some(_), _));
    is_read || is_void || operation.outcome == Outcome::Refused
}

/// Whether a command reads, or writes whatever was there before.
fn is_plain(command: &Command, data: Data) -> bool {
    match command {
        Command::Get(_) | Command::MultiGet(_) | Command::Watch(..) | Command::Discard(_) => true,
        Command::Set {
            lifetime: Lifetime::Forever,
            presence: Presence::Any,
            get: false,
            datum: Datum::Word(_),
            ..
        } => data == Data::Registers,
        Command::Typed(_, Typed::List(list::Call::Range(..))) => true,
        Command::Typed(_, Typed::List(list::Call::Push { .. })) => data == Data::Lists,
        Command::Block(_, commands) => commands.iter().all(|command| is_plain(command, data)),
        _ => false,
    }
}

fn written(command: &Command) -> Vec<Datum> {
    match command {
        Command::Typed(_, Typed::List(list::Call::Push { elements, .. })) => {
            elements.iter().map(|element| Datum::Number((*element).into())).collect()
        }
        Command::Block(_, commands) => commands.iter().flat_map(written).collect(),
        command => command.writes().into_iter().map(|(_, datum)| datum).collect(),
    }
}

/// The data that a reply shows; of a list each number.
fn seen(reply: &Reply) -> Vec<Datum> {
    match reply {
        Reply::Datum(datum) => vec![datum.clone()],
        Reply::Data(data) => data.iter().flatten().cloned().collect(),
        Reply::Element(number) => vec![Datum::Number((*number).into())],
        Reply::Items(items) => items.iter().flat_map(seen).collect(),
        Reply::Block(replies) => replies.iter().flat_map(seen).collect(),
        _ => Vec::new(),
    }
}

/// The operations on keys that hang together with those of the operation that ended then, as far as they were known by then: all
/// operations if some are on a whole database.
pub fn up_to(operations: &[Operation], at: Stamp) -> Vec<Operation> {
    let is_apart = operations.iter().all(|operation| !operation.command.keys().is_empty());
    let parts = if is_apart { apart(operations) } else { vec![operations.to_vec()] };
    let mut part =
        parts.into_iter().find(|part| part.iter().any(|operation| operation.ended == at)).unwrap_or_default();
    part.retain(|operation| operation.called <= at);
    for operation in part.iter_mut().filter(|operation| operation.ended > at && operation.outcome != Outcome::Refused) {
        (operation.ended, operation.outcome) = (NEVER, Outcome::Unknown);
    }
    part
}

/// The operations of keys that no operation joins, each in its order.
pub fn apart(operations: &[Operation]) -> Vec<Vec<Operation>> {
    let mut groups = Groups::default();
    for operation in operations {
        groups.join(&operation.command.keys());
    }
    let mut parts: BTreeMap<Key, Vec<Operation>> = BTreeMap::new();
    for operation in operations {
        if let Some(key) = operation.command.keys().first() {
            parts.entry(groups.root(*key)).or_default().push(operation.clone());
        }
    }
    parts.into_values().collect()
}

/// Disjoint sets of keys, each known by one of them.
#[derive(Debug, Default)]
struct Groups(BTreeMap<Key, Key>);

impl Groups {
    fn root(&mut self, key: Key) -> Key {
        let mut root = key;
        while let Some(above) = self.0.get(&root).copied().filter(|above| *above != root) {
            root = above;
        }
        self.0.insert(key, root);
        root
    }

    fn join(&mut self, keys: &[Key]) {
        let Some(first) = keys.first() else { return };
        let root = self.root(*first);
        for key in keys {
            let other = self.root(*key);
            self.0.insert(other, root);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appends;
    use crate::check::{append, linearizable};
    use crate::history::operation;

    const PATIENCE: Duration = Duration::from_secs(20);
    const KEY: Key = Key { database: 0, number: 0 };

    fn set(called: u64, n: u32) -> Operation {
        let (lifetime, presence) = (Lifetime::Forever, Presence::Any);
        let command = Command::Set { key: KEY, datum: Datum::Word(n), lifetime, presence, get: false };
        operation(called, called + 1, command, Outcome::Acknowledged(Reply::Ok))
    }

    fn get(called: u64, n: u32) -> Operation {
        operation(called, called + 1, Command::Get(KEY), Outcome::Acknowledged(Reply::Datum(Datum::Word(n))))
    }

    fn calls(operations: &[Operation]) -> Vec<u64> {
        operations.iter().map(|operation| operation.called.0).collect()
    }

    #[test]
    fn of_a_long_history_the_stale_read_is_left_and_what_it_contradicts() {
        // Each is written and read; one read too late.
        let mut history: Vec<Operation> =
            (0..40).flat_map(|n| [set(4 * u64::from(n) + 1, n), get(4 * u64::from(n) + 3, n)]).collect();
        history.push(get(161, 20));
        let left = linearizable::smallest(history, PATIENCE);
        assert_eq!(left.len(), 3, "{:?}", calls(&left));
        assert_eq!(left.iter().filter(|operation| operation.command.is_read()).count(), 1);
        assert_eq!(calls(&left)[0], 81, "what was read was written");
        assert_eq!(calls(&left)[2], 161);
    }

    #[test]
    fn what_somebody_has_seen_stays() {
        // Without the write of 2, both reads would be wrong for another reason.
        let history = vec![set(1, 1), set(3, 2), get(5, 2), get(7, 1)];
        let left = linearizable::smallest(history, PATIENCE);
        assert!(matches!(calls(&left).as_slice(), [1, 3, 7] | [1, 3, 5, 7]), "{:?}", calls(&left));
        assert!(left.iter().any(|operation| operation.called.0 == 7));
    }

    #[test]
    fn writes_with_deadlines_stay_though_nobody_saw_them() {
        let mut short = set(3, 2);
        if let Command::Set { lifetime, .. } = &mut short.command {
            *lifetime = Lifetime::In(1);
        }
        short.clock = crate::model::Between { least: 0, most: 0 };
        let gone = operation(9, 10, Command::Get(KEY), Outcome::Acknowledged(Reply::Nil));
        let history = vec![set(1, 1), short, gone, set(11, 3), get(13, 1)];
        let left = linearizable::smallest(history, PATIENCE);
        assert_eq!(calls(&left)[..2], [1, 3]);
    }

    #[test]
    fn of_lists_the_reads_that_no_order_explains_are_left() {
        let append = |called, number: u32| operation(called, NEVER.0, appends::append(KEY, number), Outcome::Unknown);
        let read = |called, numbers: &[u32]| {
            let reply = Reply::Items(numbers.iter().copied().map(Reply::Element).collect());
            operation(called, called + 1, appends::read(KEY), Outcome::Acknowledged(reply))
        };
        let mut history: Vec<Operation> = (1..8).map(|number| append(u64::from(number), number)).collect();
        history.extend([
            read(10, &[1]),
            read(12, &[1, 2]),
            read(14, &[1, 2, 3]),
            read(16, &[1, 3, 2]),
            read(18, &[1, 3, 2]),
        ]);
        let left = append::smallest(history, PATIENCE);
        assert_eq!(calls(&left), [1, 2, 3, 12, 16]);
    }

    #[test]
    fn keys_that_a_transaction_joins_are_judged_together() {
        let key = |number| Key { database: 0, number };
        let mut groups = Groups::default();
        groups.join(&[key(1), key(2)]);
        groups.join(&[key(3)]);
        groups.join(&[key(4), key(3), key(2)]);
        groups.join(&[key(5)]);
        let roots = [1, 2, 3, 4].map(|number| groups.root(key(number)));
        assert!(roots.iter().all(|root| *root == roots[0]));
        assert_ne!(groups.root(key(5)), roots[0]);
    }
}
