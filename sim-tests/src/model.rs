//! The reference: what Redis's commands do to one small database, written apart from the system under test.
//!
//! Nobody outside of a server knows what its clock said when it ran a command, only between which two times that was.
//! So a deadline is known as an interval, and a command on a key that may or may not have expired has several outcomes:
//! [`apply`] gives every state that the database may be in afterwards.

use std::collections::BTreeMap;
use std::fmt;

/// A key, by number.
pub type Key = u16;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datum {
    /// A text that is written once in a history, so that who reads it names who wrote it.
    Word(u32),
    /// A counter.
    Number(i64),
}

/// When a key shall expire, as a command says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    Forever,
    /// The deadline that the key had stays.
    Keep,
    /// Milliseconds from now.
    In(i64),
    /// Milliseconds since 1970.
    At(u64),
}

/// Whether SET shall write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Any,
    Absent,
    Present,
}

/// Whether EXPIRE shall set its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineCondition {
    Always,
    None,
    Some,
    Later,
    Earlier,
}

/// A command on one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Set {
        key: Key,
        datum: Datum,
        lifetime: Lifetime,
        presence: Presence,
        get: bool,
    },
    Get(Key),
    MultiGet(Vec<Key>),
    MultiSet(Vec<(Key, Datum)>),
    Delete(Vec<Key>),
    Exists(Vec<Key>),
    Increment {
        key: Key,
        by: i64,
    },
    /// In milliseconds; zero or less is a time that has passed.
    Expire {
        key: Key,
        millis: i64,
        condition: DeadlineCondition,
    },
    Persist(Key),
    /// Asked in milliseconds, or in seconds, rounded to the nearest.
    TimeLeft {
        key: Key,
        seconds: bool,
    },
    Size,
    Flush,
}

impl Command {
    /// The keys that it names; none if it is about the whole database.
    pub fn keys(&self) -> Vec<Key> {
        match self {
            Command::MultiSet(pairs) => pairs.iter().map(|(key, _)| *key).collect(),
            _ => self.reads(),
        }
    }

    /// The keys whose old state decides the outcome.
    fn reads(&self) -> Vec<Key> {
        match self {
            Command::Set { key, .. }
            | Command::Get(key)
            | Command::Increment { key, .. }
            | Command::Expire { key, .. }
            | Command::Persist(key)
            | Command::TimeLeft { key, .. } => vec![*key],
            Command::MultiGet(keys) | Command::Delete(keys) | Command::Exists(keys) => keys.clone(),
            Command::MultiSet(_) | Command::Size | Command::Flush => Vec::new(),
        }
    }

    /// Whether it may change this key, other than by finding it expired.
    pub fn may_change(&self, key: Key) -> bool {
        match self {
            Command::Set { key: own, .. }
            | Command::Increment { key: own, .. }
            | Command::Expire { key: own, .. }
            | Command::Persist(own) => *own == key,
            Command::MultiSet(pairs) => pairs.iter().any(|(own, _)| *own == key),
            Command::Delete(keys) => keys.contains(&key),
            Command::Flush => true,
            Command::Get(_) | Command::MultiGet(_) | Command::Exists(_) | Command::TimeLeft { .. } | Command::Size => {
                false
            }
        }
    }

    /// Whether it changes nothing, other than by finding keys expired.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Command::Get(_) | Command::MultiGet(_) | Command::Exists(_) | Command::TimeLeft { .. } | Command::Size
        )
    }

    /// What it writes, if it writes data of its own.
    pub fn writes(&self) -> Vec<(Key, Datum)> {
        match self {
            Command::Set { key, datum, .. } => vec![(*key, *datum)],
            Command::MultiSet(pairs) => pairs.clone(),
            _ => Vec::new(),
        }
    }
}

/// What a client was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Ok,
    Nil,
    Number(i64),
    Datum(Datum),
    Data(Vec<Option<Datum>>),
    /// INCR of a text.
    NotANumber,
    /// INCR past the largest number.
    Overflow,
}

impl Reply {
    fn optional(datum: Option<Datum>) -> Reply {
        datum.map_or(Reply::Nil, Reply::Datum)
    }
}

/// Between which two times something lies: milliseconds of the server's wall clock, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Between {
    pub least: u64,
    pub most: u64,
}

impl Between {
    /// So many milliseconds later.
    fn plus(self, millis: i64) -> Between {
        Between { least: self.least.saturating_add_signed(millis), most: self.most.saturating_add_signed(millis) }
    }

    fn and(self, other: Between) -> Option<Between> {
        let both = Between { least: self.least.max(other.least), most: self.most.min(other.most) };
        (both.least <= both.most).then_some(both)
    }
}

/// A key's content. A key that has expired stands here until a command finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    pub datum: Datum,
    /// From when on the key counts as gone.
    pub deadline: Option<Between>,
}

/// A database.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Database(BTreeMap<Key, Item>);

/// All states that a command leaves, which ran at a time within `clock` and was answered `reply`; `None` if the answer
/// is not known. Empty if there is no such state: the answer was wrong.
pub fn apply(before: &Database, command: &Command, clock: Between, reply: Option<&Reply>) -> Vec<Database> {
    before
        .resolved(&command.reads(), clock)
        .into_iter()
        .flat_map(|database| database.run(command, clock, reply))
        .filter(|(possible, _)| reply.is_none_or(|reply| possible.agrees(reply)))
        .map(|(_, after)| after)
        .collect()
}

/// What a command may answer.
#[derive(Debug)]
enum Possible {
    Exactly(Reply),
    /// A number within these bounds.
    Within(i64, i64),
}

impl Possible {
    fn agrees(&self, reply: &Reply) -> bool {
        match self {
            Possible::Exactly(own) => own == reply,
            Possible::Within(least, most) => matches!(reply, Reply::Number(n) if (*least..=*most).contains(n)),
        }
    }
}

impl Database {
    /// This database in every way that its keys may be found alive or expired. In each, those that are left are alive.
    fn resolved(&self, keys: &[Key], clock: Between) -> Vec<Database> {
        let mut ways = vec![self.clone()];
        for key in keys {
            ways = ways.into_iter().flat_map(|database| database.resolved_key(*key, clock)).collect();
        }
        ways
    }

    fn resolved_key(self, key: Key, clock: Between) -> Vec<Database> {
        let Some(deadline) = self.0.get(&key).and_then(|item| item.deadline) else { return vec![self] };
        let mut ways = Vec::new();
        if deadline.least <= clock.most {
            let mut gone = self.clone();
            gone.0.remove(&key);
            ways.push(gone);
        }
        // Alive means that the deadline is later than the time it was looked at.
        if let Some(deadline) = deadline.and(Between { least: clock.least + 1, most: u64::MAX }) {
            let mut alive = self;
            alive.0.entry(key).and_modify(|item| item.deadline = Some(deadline));
            ways.push(alive);
        }
        ways
    }

    fn datum(&self, key: Key) -> Option<Datum> {
        self.0.get(&key).map(|item| item.datum)
    }

    fn with(mut self, key: Key, item: Item) -> Database {
        self.0.insert(key, item);
        self
    }

    fn without(mut self, key: Key) -> Database {
        self.0.remove(&key);
        self
    }

    /// Runs a command whose keys are resolved: each outcome that there may be.
    fn run(mut self, command: &Command, clock: Between, reply: Option<&Reply>) -> Vec<(Possible, Database)> {
        let answer = match command {
            Command::Set { key, datum, lifetime, presence, get } => {
                return self.set(*key, *datum, *lifetime, *presence, *get, clock);
            }
            Command::Expire { key, millis, condition } => return self.expire(*key, *millis, *condition, clock),
            Command::TimeLeft { key, seconds } => return self.time_left(*key, *seconds, clock, reply),
            Command::Size => {
                let expired = |item: &Item| item.deadline.is_some_and(|deadline| deadline.least <= clock.most);
                let certain = self.0.values().filter(|item| !expired(item)).count();
                return vec![(Possible::Within(certain as i64, self.0.len() as i64), self)];
            }
            Command::Get(key) => Reply::optional(self.datum(*key)),
            Command::MultiGet(keys) => Reply::Data(keys.iter().map(|key| self.datum(*key)).collect()),
            Command::MultiSet(pairs) => {
                self.0.extend(pairs.iter().map(|(key, datum)| (*key, Item { datum: *datum, deadline: None })));
                Reply::Ok
            }
            Command::Delete(keys) => {
                Reply::Number(keys.iter().map(|key| i64::from(self.0.remove(key).is_some())).sum())
            }
            Command::Exists(keys) => Reply::Number(keys.iter().map(|key| i64::from(self.0.contains_key(key))).sum()),
            Command::Increment { key, by } => match self.datum(*key).unwrap_or(Datum::Number(0)) {
                Datum::Word(_) => Reply::NotANumber,
                Datum::Number(old) => match old.checked_add(*by) {
                    None => Reply::Overflow,
                    Some(new) => {
                        let deadline = self.0.get(key).and_then(|item| item.deadline);
                        self.0.insert(*key, Item { datum: Datum::Number(new), deadline });
                        Reply::Number(new)
                    }
                },
            },
            Command::Persist(key) => {
                let had = self.0.get_mut(key).and_then(|item| item.deadline.take());
                Reply::Number(i64::from(had.is_some()))
            }
            Command::Flush => {
                self.0.clear();
                Reply::Ok
            }
        };
        vec![(Possible::Exactly(answer), self)]
    }

    fn set(
        self,
        key: Key,
        datum: Datum,
        lifetime: Lifetime,
        presence: Presence,
        get: bool,
        clock: Between,
    ) -> Vec<(Possible, Database)> {
        let old = self.0.get(&key).copied();
        let writes = match presence {
            Presence::Any => true,
            Presence::Absent => old.is_none(),
            Presence::Present => old.is_some(),
        };
        let answer = match (get, writes) {
            (true, _) => Reply::optional(old.map(|item| item.datum)),
            (false, true) => Reply::Ok,
            (false, false) => Reply::Nil,
        };
        let after = if !writes {
            vec![self]
        } else {
            match lifetime {
                Lifetime::Forever => vec![self.with(key, Item { datum, deadline: None })],
                Lifetime::Keep => vec![self.with(key, Item { datum, deadline: old.and_then(|item| item.deadline) })],
                Lifetime::In(millis) => {
                    vec![self.with(key, Item { datum, deadline: Some(clock.plus(millis)) })]
                }
                Lifetime::At(at) => {
                    let deadline = Some(Between { least: at, most: at });
                    let mut after = Vec::new();
                    if at > clock.least {
                        after.push(self.clone().with(key, Item { datum, deadline }));
                    }
                    if at <= clock.most {
                        after.push(self.without(key));
                    }
                    after
                }
            }
        };
        after.into_iter().map(|database| (Possible::Exactly(answer.clone()), database)).collect()
    }

    fn expire(self, key: Key, millis: i64, condition: DeadlineCondition, clock: Between) -> Vec<(Possible, Database)> {
        let Some(item) = self.0.get(&key).copied() else {
            return vec![(Possible::Exactly(Reply::Number(0)), self)];
        };
        let new = clock.plus(millis);
        // Whether the condition may hold, and whether it may not. Without a deadline a key lives longer than any.
        let (may, may_not) = match (condition, item.deadline) {
            (DeadlineCondition::Always, _) => (true, false),
            (DeadlineCondition::None, old) => (old.is_none(), old.is_some()),
            (DeadlineCondition::Some, old) => (old.is_some(), old.is_none()),
            (DeadlineCondition::Later, None) => (false, true),
            (DeadlineCondition::Later, Some(old)) => (new.most > old.least, new.least <= old.most),
            (DeadlineCondition::Earlier, None) => (true, false),
            (DeadlineCondition::Earlier, Some(old)) => (new.least < old.most, new.most >= old.least),
        };
        let mut outcomes = Vec::new();
        if may_not {
            outcomes.push((Possible::Exactly(Reply::Number(0)), self.clone()));
        }
        if may {
            let after = match millis {
                ..=0 => self.without(key),
                _ => self.with(key, Item { deadline: Some(new), ..item }),
            };
            outcomes.push((Possible::Exactly(Reply::Number(1)), after));
        }
        outcomes
    }

    /// The answer narrows down when the deadline is.
    fn time_left(self, key: Key, seconds: bool, clock: Between, reply: Option<&Reply>) -> Vec<(Possible, Database)> {
        let Some(item) = self.0.get(&key).copied() else {
            return vec![(Possible::Exactly(Reply::Number(-2)), self)];
        };
        let Some(deadline) = item.deadline else {
            return vec![(Possible::Exactly(Reply::Number(-1)), self)];
        };
        let Some(Reply::Number(left)) = reply else {
            return vec![(Possible::Within(0, i64::MAX), self)];
        };
        let (least, most) = if seconds { (left * 1000 - 500, left * 1000 + 499) } else { (*left, *left) };
        let told = Between { least: clock.plus(least.max(1)).least, most: clock.plus(most).most };
        match deadline.and(told) {
            Some(deadline) if *left >= 0 => {
                let item = Item { deadline: Some(deadline), ..item };
                vec![(Possible::Within(0, i64::MAX), self.with(key, item))]
            }
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Datum::Word(n) => write!(f, "w{n}"),
            Datum::Number(n) => write!(f, "{n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: Command = Command::Set {
        key: 1,
        datum: Datum::Word(7),
        lifetime: Lifetime::In(100),
        presence: Presence::Any,
        get: false,
    };

    fn at(least: u64, most: u64) -> Between {
        Between { least, most }
    }

    fn after_set() -> Database {
        apply(&Database::default(), &SET, at(1000, 1010), Some(&Reply::Ok)).remove(0)
    }

    fn is_possible(database: &Database, command: &Command, clock: Between, reply: Reply) -> bool {
        !apply(database, command, clock, Some(&reply)).is_empty()
    }

    #[test]
    fn between_its_bounds_a_deadline_may_have_passed_or_not() {
        let database = after_set();
        let alive = Reply::Datum(Datum::Word(7));
        for (clock, may_live, may_be_gone) in [
            (at(1050, 1099), true, false),
            (at(1050, 1100), true, true),
            (at(1109, 1200), true, true),
            (at(1110, 1200), false, true),
        ] {
            assert_eq!(is_possible(&database, &Command::Get(1), clock, alive.clone()), may_live, "{clock:?}");
            assert_eq!(is_possible(&database, &Command::Get(1), clock, Reply::Nil), may_be_gone, "{clock:?}");
        }
    }

    #[test]
    fn an_answer_narrows_the_deadline_down() {
        let left = Command::TimeLeft { key: 1, seconds: false };
        let told = apply(&after_set(), &left, at(1040, 1040), Some(&Reply::Number(65)));
        assert_eq!(told.len(), 1);
        assert!(is_possible(&told[0], &Command::Get(1), at(1104, 1104), Reply::Datum(Datum::Word(7))));
        assert!(!is_possible(&told[0], &Command::Get(1), at(1104, 1104), Reply::Nil));
        assert!(!is_possible(&after_set(), &left, at(1040, 1040), Reply::Number(71)));
        assert!(!is_possible(&after_set(), &left, at(1040, 1040), Reply::Number(-1)));
    }

    #[test]
    fn a_key_that_was_seen_expired_stays_gone() {
        let gone = apply(&after_set(), &Command::Get(1), at(1105, 1105), Some(&Reply::Nil));
        assert_eq!(gone, [Database::default()]);
    }

    #[test]
    fn the_size_may_count_what_has_expired() {
        for (size, possible) in [(0, true), (1, true), (2, false)] {
            assert_eq!(is_possible(&after_set(), &Command::Size, at(2000, 2000), Reply::Number(size)), possible);
        }
        assert!(!is_possible(&after_set(), &Command::Size, at(1010, 1010), Reply::Number(0)));
    }

    #[test]
    fn an_unknown_answer_leaves_every_outcome() {
        let keep = Command::Set {
            key: 1,
            datum: Datum::Word(8),
            lifetime: Lifetime::Keep,
            presence: Presence::Any,
            get: false,
        };
        assert_eq!(apply(&after_set(), &keep, at(1105, 1105), None).len(), 2);
    }
}
