//! The reference: what Redis's commands do to one small database, written apart from the system under test.
//!
//! Nobody outside of a server knows what its clock said when it ran a command, only between which two times that was.
//! So a deadline is known as an interval, and a command on a key that may or may not have expired has several outcomes:
//! [`apply`] gives every state that the database may be in afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use self::typed::joint::{self, Joint};
use self::typed::{Element, Kind, Typed, document, list, set, sorted, stream};

mod text;
pub mod typed;

/// A key, by number, in a numbered database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub database: u16,
    pub number: u16,
}

impl Key {
    /// What SWAPDB of these databases makes of it.
    fn swapped(self, a: u16, b: u16) -> Key {
        match self.database {
            n if n == a => Key { database: b, ..self },
            n if n == b => Key { database: a, ..self },
            _ => self,
        }
    }
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datum {
    /// A text that is written once in a history, so that who reads it names who wrote it.
    Word(u32),
    /// A counter.
    Number(i64),
    /// Short bytes that commands change in place; never what would be one of the others.
    Text(Vec<u8>),
    /// A HyperLogLog: what it has heard of. Read as bytes it is one of no elements: nobody here knows what they mean.
    Sketch(typed::sketch::Sketch),
    List(list::List),
    Hash(typed::hash::Hash),
    Set(set::Set),
    Sorted(sorted::Sorted),
    Stream(stream::Stream),
    /// `None` where a key is absent.
    Document(Option<document::Document>),
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
    /// Of a database.
    Size(u16),
    Flush(u16),
    /// Every database; only where one is in use.
    FlushAll,
    /// The keys of a database.
    Keys(u16),
    RandomKey(u16),
    /// All keys of a database, asked for piece by piece; takes place at no one point.
    Walk(u16),
    Swap(u16, u16),
    SetAbsent(Key, Datum),
    MultiSetAbsent(Vec<(Key, Datum)>),
    /// By a script, of strings: 1 if it was what is expected, and is the new one now, or 0.
    CompareAndSet {
        key: Key,
        expected: Datum,
        new: Datum,
    },
    GetDelete(Key),
    GetExpire(Key, Lifetime),
    /// Milliseconds since 1970.
    ExpireAt(Key, u64),
    ExpireTime {
        key: Key,
        seconds: bool,
    },
    Rename {
        from: Key,
        to: Key,
        only_absent: bool,
    },
    Copy {
        from: Key,
        to: Key,
        replace: bool,
    },
    /// To the key of the same number in another database.
    Move(Key, u16),
    Append(Key, Vec<u8>),
    SetRange(Key, usize, Vec<u8>),
    GetRange(Key, i64, i64),
    Length(Key),
    SetBit(Key, usize, bool),
    GetBit(Key, usize),
    CountBits(Key),
    /// By so many halves.
    IncrementHalves(Key, i64),
    /// TYPE.
    Kind(Key),
    Typed(Key, Typed),
    Joint(Joint),
    /// From here on, changes of these keys make this watcher's block fail.
    Watch(u64, Vec<Key>),
    /// Commands that take place at one point, if what this watcher watches has not changed.
    Block(Option<u64>, Vec<Command>),
    /// Commands that are given up.
    Discard(Vec<Command>),
}

impl Command {
    /// The keys that it names; none if it is about whole databases.
    pub fn keys(&self) -> Vec<Key> {
        match self {
            Command::MultiSet(pairs) | Command::MultiSetAbsent(pairs) => pairs.iter().map(|(key, _)| *key).collect(),
            Command::Watch(_, keys) => keys.clone(),
            Command::Block(_, commands) => commands.iter().flat_map(Command::keys).collect(),
            Command::Joint(joint) => {
                joint.reads().into_iter().chain(joint.reads_then()).chain(joint.overwrites()).collect()
            }
            _ => self.reads().into_iter().chain(self.reads_then()).collect(),
        }
    }

    /// The databases that it is about.
    pub fn databases(&self) -> BTreeSet<u16> {
        match self {
            Command::Size(database)
            | Command::Flush(database)
            | Command::Keys(database)
            | Command::RandomKey(database)
            | Command::Walk(database) => BTreeSet::from([*database]),
            Command::Swap(a, b) => BTreeSet::from([*a, *b]),
            Command::FlushAll => BTreeSet::from([0]),
            Command::Block(_, commands) => commands.iter().flat_map(Command::databases).collect(),
            _ => self.keys().iter().map(|key| key.database).collect(),
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
            | Command::TimeLeft { key, .. }
            | Command::ExpireTime { key, .. }
            | Command::SetAbsent(key, _)
            | Command::CompareAndSet { key, .. }
            | Command::GetDelete(key)
            | Command::GetExpire(key, _)
            | Command::ExpireAt(key, _)
            | Command::Append(key, _)
            | Command::SetRange(key, ..)
            | Command::GetRange(key, ..)
            | Command::Length(key)
            | Command::SetBit(key, ..)
            | Command::GetBit(key, _)
            | Command::CountBits(key)
            | Command::IncrementHalves(key, _)
            | Command::Kind(key)
            | Command::Typed(key, _) => vec![*key],
            Command::Joint(joint) => joint.reads(),
            Command::Rename { from, .. } | Command::Copy { from, .. } | Command::Move(from, _) => vec![*from],
            Command::MultiGet(keys) | Command::Delete(keys) | Command::Exists(keys) | Command::Watch(_, keys) => {
                keys.clone()
            }
            Command::MultiSetAbsent(pairs) => pairs.iter().map(|(key, _)| *key).collect(),
            Command::MultiSet(_)
            | Command::Size(_)
            | Command::Flush(_)
            | Command::FlushAll
            | Command::Keys(_)
            | Command::RandomKey(_)
            | Command::Walk(_)
            | Command::Swap(..)
            | Command::Block(..)
            | Command::Discard(_) => Vec::new(),
        }
    }

    /// The key that it looks at as well, but only if those are there.
    fn reads_then(&self) -> Option<Key> {
        match self {
            Command::Rename { to, .. } | Command::Copy { to, .. } => Some(*to),
            Command::Move(key, to) => Some(Key { database: *to, ..*key }),
            Command::Joint(joint) => joint.reads_then(),
            _ => None,
        }
    }

    /// Whether it may change this key, other than by finding it expired.
    pub fn may_change(&self, key: Key) -> bool {
        match self {
            Command::Flush(database) => *database == key.database,
            Command::FlushAll => true,
            Command::Swap(a, b) => [a, b].contains(&&key.database),
            Command::Block(_, commands) => commands.iter().any(|command| command.may_change(key)),
            _ => !self.is_read() && self.keys().contains(&key),
        }
    }

    /// Whether it changes nothing, other than by finding keys expired.
    pub fn is_read(&self) -> bool {
        match self {
            Command::Typed(_, typed) => return typed.is_read(),
            Command::Joint(joint) => return joint.is_read(),
            _ => {}
        }
        matches!(
            self,
            Command::Get(_)
                | Command::MultiGet(_)
                | Command::Exists(_)
                | Command::TimeLeft { .. }
                | Command::ExpireTime { .. }
                | Command::Size(_)
                | Command::Keys(_)
                | Command::RandomKey(_)
                | Command::Walk(_)
                | Command::GetRange(..)
                | Command::Length(_)
                | Command::GetBit(..)
                | Command::CountBits(_)
                | Command::Kind(_)
                | Command::Watch(..)
                | Command::Discard(_)
        )
    }

    /// Whether it may bring what stands at one key to another.
    pub fn moves(&self) -> bool {
        match self {
            Command::Swap(..) | Command::Rename { .. } | Command::Copy { .. } | Command::Move(..) => true,
            Command::Block(_, commands) => commands.iter().any(Command::moves),
            _ => false,
        }
    }

    /// What it writes, if it writes data of its own.
    pub fn writes(&self) -> Vec<(Key, Datum)> {
        match self {
            Command::Set { key, datum, .. } | Command::SetAbsent(key, datum) => vec![(*key, datum.clone())],
            Command::CompareAndSet { key, new, .. } => vec![(*key, new.clone())],
            Command::MultiSet(pairs) | Command::MultiSetAbsent(pairs) => pairs.clone(),
            Command::Block(_, commands) => commands.iter().flat_map(Command::writes).collect(),
            _ => Vec::new(),
        }
    }
}

/// What a client was answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    NotAFloat,
    NoSuchKey,
    /// What TYPE says; none of a key that is absent.
    Kind(Option<Kind>),
    Element(Element),
    Id(stream::Id),
    /// What a collection holds, and how much of it: all in one row, whatever the server groups.
    Items(Vec<Reply>),
    /// A command of another type.
    WrongType,
    /// A command on sketches, of a string that is none.
    NotASketch,
    NoSuchIndex,
    /// XADD of an id that is not above the last one.
    IdTooSmall,
    NoGroup,
    GroupExists,
    /// A JSON command that needs a document, of a key that is absent.
    NoDocument,
    /// Numbers of keys.
    Keys(BTreeSet<u16>),
    /// What a block's commands answered.
    Block(Vec<Reply>),
    /// A command of a block that was not executed.
    Refused,
}

impl Reply {
    fn optional(datum: Option<Datum>) -> Reply {
        match datum {
            None => Reply::Nil,
            Some(datum) if datum.kind() != Kind::String => Reply::WrongType,
            Some(datum) => Reply::Datum(datum.into_read()),
        }
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    pub datum: Datum,
    /// From when on the key counts as gone.
    pub deadline: Option<Between>,
}

/// All databases, and who watches what.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Database(BTreeMap<Key, Item>, BTreeMap<u64, Watched>);

/// What a watcher has seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Watched {
    keys: Vec<Key>,
    has_changed: bool,
}

/// All states that a command leaves, which ran at a time within `clock` and was answered `reply`; `None` if the answer
/// is not known. Empty if there is no such state: the answer was wrong.
pub fn apply(before: &Database, command: &Command, clock: Between, reply: Option<&Reply>) -> Vec<Database> {
    if let Command::Block(watcher, commands) = command {
        return block(before, *watcher, commands, clock, reply);
    }
    before
        .found(command, clock)
        .into_iter()
        .map(|database| database.seen_since(before))
        .flat_map(|database| {
            database.clone().run(command, clock, reply).into_iter().map(move |outcome| (database.clone(), outcome))
        })
        .filter(|(_, (possible, _))| reply.is_none_or(|reply| possible.agrees(reply)))
        .map(|(before, (_, after))| after.seen_since(&before))
        .collect()
}

/// What a block leaves. One that answers nothing has changed nothing; one that answers had nothing changed before it
/// that it watched.
fn block(
    before: &Database,
    watcher: Option<u64>,
    commands: &[Command],
    clock: Between,
    reply: Option<&Reply>,
) -> Vec<Database> {
    let watched = watcher.and_then(|watcher| before.1.get(&watcher)).map(|watched| watched.keys.clone());
    let mut after = Vec::new();
    for mut state in before.resolved(&watched.unwrap_or_default(), clock) {
        state = state.seen_since(before);
        let seen = watcher.and_then(|watcher| state.1.remove(&watcher));
        if watcher.is_some() && reply.is_none_or(|reply| *reply == Reply::Nil) {
            after.push(state.clone());
        }
        let replies = match reply {
            Some(Reply::Block(replies)) if replies.len() == commands.len() => Some(replies),
            None => None,
            Some(_) => continue,
        };
        if seen.is_some_and(|seen| seen.has_changed) {
            continue;
        }
        let mut states = BTreeSet::from([state]);
        for (i, command) in commands.iter().enumerate() {
            let reply = replies.map(|replies| &replies[i]);
            if reply == Some(&Reply::Refused) {
                continue;
            }
            states = states.iter().flat_map(|state| apply(state, command, clock, reply)).collect();
        }
        after.extend(states);
    }
    after
}

/// What a command may answer.
#[derive(Debug)]
enum Possible {
    Exactly(Reply),
    /// A number within these bounds.
    Within(i64, i64),
    /// At least these keys, at most those.
    Keys(BTreeSet<u16>, BTreeSet<u16>),
    /// One of those keys; none if there are none for certain.
    OneOf(BTreeSet<u16>, BTreeSet<u16>),
}

impl Possible {
    fn agrees(&self, reply: &Reply) -> bool {
        match self {
            Possible::Exactly(own) => own == reply,
            Possible::Keys(least, most) => {
                matches!(reply, Reply::Keys(keys) if least.is_subset(keys) && keys.is_subset(most))
            }
            Possible::OneOf(certain, all) => match reply {
                Reply::Nil => certain.is_empty(),
                Reply::Keys(keys) => keys.len() == 1 && keys.is_subset(all),
                _ => false,
            },
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

    /// This database in every way that a command may find what it looks at.
    fn found(&self, command: &Command, clock: Between) -> Vec<Database> {
        if let Command::Swap(a, b) = command {
            return self.found_by_swap(*a, *b, clock);
        }
        let reads = command.reads();
        let ways = self.resolved(&reads, clock);
        let Some(then) = command.reads_then() else { return ways };
        let looks = |way: &Database| reads.iter().all(|key| way.0.contains_key(key));
        ways.into_iter().flat_map(|way| if looks(&way) { way.resolved_key(then, clock) } else { vec![way] }).collect()
    }

    fn resolved_key(self, key: Key, clock: Between) -> Vec<Database> {
        let Some(deadline) = self.0.get(&key).and_then(|item| item.deadline) else { return vec![self] };
        let mut ways = Vec::from_iter(self.expired(key, clock));
        // Alive means that the deadline is later than the time it was looked at.
        if let Some(deadline) = deadline.and(Between { least: clock.least + 1, most: u64::MAX }) {
            let mut alive = self;
            alive.0.entry(key).and_modify(|item| item.deadline = Some(deadline));
            ways.push(alive);
        }
        ways
    }

    /// This database without a key, if that may have expired.
    fn expired(&self, key: Key, clock: Between) -> Option<Database> {
        let deadline = self.0.get(&key)?.deadline?;
        (deadline.least <= clock.most).then(|| self.clone().without(key))
    }

    /// This database in every way that SWAPDB may find what it brings to watched keys. It looks at none, so that what
    /// has expired may still be there, and counts as a change. But the server also deletes by itself what has
    /// expired, and from then on that changes nothing for who watches the other database's key.
    fn found_by_swap(&self, a: u16, b: u16, clock: Between) -> Vec<Database> {
        let watched = self.1.values().flat_map(|watched| &watched.keys);
        let brought: BTreeSet<Key> =
            watched.filter(|key| [a, b].contains(&key.database)).map(|key| key.swapped(a, b)).collect();
        let mut ways = vec![self.clone()];
        for key in brought {
            let gone: Vec<Database> = ways.iter().filter_map(|way| way.expired(key, clock)).collect();
            ways.extend(gone);
        }
        ways
    }

    fn datum(&self, key: Key) -> Option<Datum> {
        self.0.get(&key).map(|item| item.datum.clone())
    }

    /// Whether what a key holds is no string.
    fn is_collection(&self, key: Key) -> bool {
        self.0.get(&key).is_some_and(|item| item.datum.kind() != Kind::String)
    }

    /// Puts another datum in the place of a key's, which keeps its deadline; or nothing.
    fn put(&mut self, key: Key, datum: Option<Datum>) {
        match (datum, self.0.get_mut(&key)) {
            (Some(datum), Some(item)) => item.datum = datum,
            (Some(datum), None) => drop(self.0.insert(key, Item { datum, deadline: None })),
            (None, _) => drop(self.0.remove(&key)),
        }
    }

    /// This database, in which watchers know what has changed since `before`.
    fn seen_since(mut self, before: &Database) -> Database {
        for watched in self.1.values_mut() {
            let same = |key: &Key| match (before.0.get(key), self.0.get(key)) {
                (Some(before), Some(after)) => before.datum.looks_like(&after.datum),
                (before, after) => before.is_none() && after.is_none(),
            };
            watched.has_changed |= !watched.keys.iter().all(same);
        }
        self
    }

    /// The keys of a database that are there for certain, and all that may be.
    fn keys_of(&self, database: u16, clock: Between) -> (BTreeSet<u16>, BTreeSet<u16>) {
        let own = || self.0.iter().filter(|(key, _)| key.database == database);
        let expired = |item: &Item| item.deadline.is_some_and(|deadline| deadline.least <= clock.most);
        let certain = own().filter(|(_, item)| !expired(item)).map(|(key, _)| key.number).collect();
        (certain, own().map(|(key, _)| key.number).collect())
    }

    /// Puts what stands at `from` also to another key, deadline included.
    fn copy(&mut self, from: Key, to: Key) {
        if let Some(item) = self.0.get(&from).cloned() {
            self.0.insert(to, item);
        }
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
                return self.set(*key, datum.clone(), *lifetime, *presence, *get, clock);
            }
            Command::Expire { key, millis, condition } => return self.expire(*key, *millis, *condition, clock),
            Command::TimeLeft { key, seconds } => return self.time_left(*key, *seconds, clock, reply),
            Command::Size(database) => {
                let (certain, all) = self.keys_of(*database, clock);
                return vec![(Possible::Within(certain.len() as i64, all.len() as i64), self)];
            }
            Command::Keys(database) => {
                let (certain, all) = self.keys_of(*database, clock);
                return vec![(Possible::Keys(certain, all), self)];
            }
            Command::RandomKey(database) => {
                let (certain, all) = self.keys_of(*database, clock);
                return vec![(Possible::OneOf(certain, all), self)];
            }
            Command::GetExpire(key, lifetime) => {
                let Some(datum) = self.datum(*key).filter(|datum| datum.kind() == Kind::String) else {
                    return vec![(Possible::Exactly(Reply::optional(self.datum(*key))), self)];
                };
                return self.set(*key, datum, *lifetime, Presence::Any, true, clock);
            }
            Command::ExpireAt(key, at) => return self.expire_at(*key, *at, clock),
            Command::ExpireTime { key, seconds } => return self.expire_time(*key, *seconds, reply),
            Command::Walk(_) | Command::Block(..) => return Vec::new(),
            Command::Discard(_) => Reply::Ok,
            Command::Watch(watcher, keys) => {
                self.1.insert(*watcher, Watched { keys: keys.clone(), has_changed: false });
                Reply::Ok
            }
            Command::Swap(a, b) => {
                self.0 = self.0.into_iter().map(|(key, item)| (key.swapped(*a, *b), item)).collect();
                Reply::Ok
            }
            Command::SetAbsent(key, datum) => {
                let absent = !self.0.contains_key(key);
                if absent {
                    self.0.insert(*key, Item { datum: datum.clone(), deadline: None });
                }
                Reply::Number(i64::from(absent))
            }
            Command::CompareAndSet { key, expected, new } => {
                let same = self.datum(*key).as_ref() == Some(expected);
                if same {
                    self.0.insert(*key, Item { datum: new.clone(), deadline: None });
                }
                Reply::Number(i64::from(same))
            }
            Command::MultiSetAbsent(pairs) => {
                let absent = pairs.iter().all(|(key, _)| !self.0.contains_key(key));
                if absent {
                    self.0
                        .extend(pairs.iter().map(|(key, datum)| (*key, Item { datum: datum.clone(), deadline: None })));
                }
                Reply::Number(i64::from(absent))
            }
            Command::GetDelete(key) if self.is_collection(*key) => Reply::WrongType,
            Command::GetDelete(key) => Reply::optional(self.0.remove(key).map(|item| item.datum)),
            Command::Rename { from, to, only_absent } => {
                if !self.0.contains_key(from) {
                    Reply::NoSuchKey
                } else if *only_absent && self.0.contains_key(to) {
                    Reply::Number(0)
                } else {
                    self.copy(*from, *to);
                    if from != to {
                        self.0.remove(from);
                    }
                    if *only_absent { Reply::Number(1) } else { Reply::Ok }
                }
            }
            Command::Copy { from, to, replace } => {
                let copies = self.0.contains_key(from) && (*replace || !self.0.contains_key(to));
                if copies {
                    self.copy(*from, *to);
                }
                Reply::Number(i64::from(copies))
            }
            Command::Move(key, to) => {
                let to = Key { database: *to, ..*key };
                let moves = self.0.contains_key(key) && !self.0.contains_key(&to);
                if moves {
                    self.copy(*key, to);
                    self.0.remove(key);
                }
                Reply::Number(i64::from(moves))
            }
            Command::Append(key, _)
            | Command::SetRange(key, ..)
            | Command::GetRange(key, ..)
            | Command::Length(key)
            | Command::SetBit(key, ..)
            | Command::GetBit(key, _)
            | Command::CountBits(key)
            | Command::IncrementHalves(key, _) => {
                let (answer, after) = text::run(command, self.datum(*key).as_ref());
                if let Some(datum) = after {
                    self.put(*key, Some(datum));
                }
                answer
            }
            Command::Kind(key) => Reply::Kind(self.datum(*key).map(|datum| datum.kind())),
            Command::Typed(key, call) => {
                let old = self.0.get(key).map(|item| &item.datum);
                let outcomes = typed::run(call, old, clock, reply);
                let after = |(answer, datum)| {
                    let mut after = self.clone();
                    after.put(*key, datum);
                    (Possible::Exactly(answer), after)
                };
                return outcomes.into_iter().map(after).collect();
            }
            Command::Joint(joint) => joint::run(joint, &mut self).unwrap_or_else(|refusal| refusal),
            Command::Get(key) => Reply::optional(self.datum(*key)),
            Command::MultiGet(keys) => {
                let read = |key| match Reply::optional(self.datum(key)) {
                    Reply::Datum(datum) => Some(datum),
                    _ => None,
                };
                Reply::Data(keys.iter().map(|key| read(*key)).collect())
            }
            Command::MultiSet(pairs) => {
                self.0.extend(pairs.iter().map(|(key, datum)| (*key, Item { datum: datum.clone(), deadline: None })));
                Reply::Ok
            }
            Command::Delete(keys) => {
                Reply::Number(keys.iter().map(|key| i64::from(self.0.remove(key).is_some())).sum())
            }
            Command::Exists(keys) => Reply::Number(keys.iter().map(|key| i64::from(self.0.contains_key(key))).sum()),
            Command::Increment { key, by } => match self.datum(*key).unwrap_or(Datum::Number(0)) {
                Datum::Number(old) => match old.checked_add(*by) {
                    None => Reply::Overflow,
                    Some(new) => {
                        self.put(*key, Some(Datum::Number(new)));
                        Reply::Number(new)
                    }
                },
                _ if self.is_collection(*key) => Reply::WrongType,
                _ => Reply::NotANumber,
            },
            Command::Persist(key) => {
                let had = self.0.get_mut(key).and_then(|item| item.deadline.take());
                Reply::Number(i64::from(had.is_some()))
            }
            Command::Flush(database) => {
                self.0.retain(|key, _| key.database != *database);
                Reply::Ok
            }
            Command::FlushAll => {
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
        let old = self.0.get(&key).cloned();
        if get && self.is_collection(key) {
            return vec![(Possible::Exactly(Reply::WrongType), self)];
        }
        let writes = match presence {
            Presence::Any => true,
            Presence::Absent => old.is_none(),
            Presence::Present => old.is_some(),
        };
        let answer = match (get, writes) {
            (true, _) => Reply::optional(old.as_ref().map(|item| item.datum.clone())),
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
        let Some(item) = self.0.get(&key).cloned() else {
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

    fn expire_at(self, key: Key, at: u64, clock: Between) -> Vec<(Possible, Database)> {
        let Some(item) = self.0.get(&key).cloned() else {
            return vec![(Possible::Exactly(Reply::Number(0)), self)];
        };
        let mut outcomes = Vec::new();
        if at > clock.least {
            let deadline = Some(Between { least: at, most: at });
            outcomes.push((Possible::Exactly(Reply::Number(1)), self.clone().with(key, Item { deadline, ..item })));
        }
        if at <= clock.most {
            outcomes.push((Possible::Exactly(Reply::Number(1)), self.without(key)));
        }
        outcomes
    }

    fn expire_time(self, key: Key, seconds: bool, reply: Option<&Reply>) -> Vec<(Possible, Database)> {
        let Some(item) = self.0.get(&key).cloned() else {
            return vec![(Possible::Exactly(Reply::Number(-2)), self)];
        };
        let Some(deadline) = item.deadline else {
            return vec![(Possible::Exactly(Reply::Number(-1)), self)];
        };
        let Some(Reply::Number(told)) = reply else {
            return vec![(Possible::Within(0, i64::MAX), self)];
        };
        let told = u64::try_from(*told).unwrap_or_default();
        let told = match seconds {
            true => Between { least: (told * 1000).saturating_sub(500), most: told * 1000 + 499 },
            false => Between { least: told, most: told },
        };
        let deadline = deadline.and(told).map(|deadline| Item { deadline: Some(deadline), ..item });
        deadline.map(|item| (Possible::Within(0, i64::MAX), self.with(key, item))).into_iter().collect()
    }

    /// The answer narrows down when the deadline is.
    fn time_left(self, key: Key, seconds: bool, clock: Between, reply: Option<&Reply>) -> Vec<(Possible, Database)> {
        let Some(item) = self.0.get(&key).cloned() else {
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
            Datum::Text(bytes) => write!(f, "{}", bytes.escape_ascii()),
            collection => write!(f, "{collection:?}"),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.database, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { database: 0, number: 1 };

    const SET: Command = Command::Set {
        key: KEY,
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
            assert_eq!(is_possible(&database, &Command::Get(KEY), clock, alive.clone()), may_live, "{clock:?}");
            assert_eq!(is_possible(&database, &Command::Get(KEY), clock, Reply::Nil), may_be_gone, "{clock:?}");
        }
    }

    #[test]
    fn an_answer_narrows_the_deadline_down() {
        let left = Command::TimeLeft { key: KEY, seconds: false };
        let told = apply(&after_set(), &left, at(1040, 1040), Some(&Reply::Number(65)));
        assert_eq!(told.len(), 1);
        assert!(is_possible(&told[0], &Command::Get(KEY), at(1104, 1104), Reply::Datum(Datum::Word(7))));
        assert!(!is_possible(&told[0], &Command::Get(KEY), at(1104, 1104), Reply::Nil));
        assert!(!is_possible(&after_set(), &left, at(1040, 1040), Reply::Number(71)));
        assert!(!is_possible(&after_set(), &left, at(1040, 1040), Reply::Number(-1)));
    }

    #[test]
    fn a_key_that_was_seen_expired_stays_gone() {
        let gone = apply(&after_set(), &Command::Get(KEY), at(1105, 1105), Some(&Reply::Nil));
        assert_eq!(gone, [Database::default()]);
    }

    #[test]
    fn the_size_may_count_what_has_expired() {
        for (size, possible) in [(0, true), (1, true), (2, false)] {
            assert_eq!(is_possible(&after_set(), &Command::Size(0), at(2000, 2000), Reply::Number(size)), possible);
        }
        assert!(!is_possible(&after_set(), &Command::Size(0), at(1010, 1010), Reply::Number(0)));
    }

    /// RENAME of a key that is absent does not look at the other one, so that the size may still count that.
    #[test]
    fn what_has_expired_is_found_out_only_by_who_looks() {
        let rename = Command::Rename { from: Key { number: 2, ..KEY }, to: KEY, only_absent: false };
        let after = apply(&after_set(), &rename, at(2000, 2000), Some(&Reply::NoSuchKey)).remove(0);
        assert!(is_possible(&after, &Command::Size(0), at(2000, 2000), Reply::Number(1)));
        let get = apply(&after, &Command::Get(KEY), at(2000, 2000), Some(&Reply::Nil)).remove(0);
        assert!(!is_possible(&get, &Command::Size(0), at(2000, 2000), Reply::Number(1)));
    }

    /// What has expired may be deleted before SWAPDB brings it to a watched key. What has not, is brought there.
    #[test]
    fn what_has_expired_need_not_disturb_a_watcher_that_swap_brings_it_to() {
        let watched = Key { database: 1, ..KEY };
        let watch = Command::Watch(5, vec![watched]);
        let block = Command::Block(Some(5), vec![Command::Get(watched)]);
        for (swapped_at, possible) in [(1099, false), (1100, true), (2000, true)] {
            let mut states = vec![after_set()];
            for (command, at) in [(&watch, at(1050, 1050)), (&Command::Swap(0, 1), at(1050, swapped_at))] {
                states = states.iter().flat_map(|state| apply(state, command, at, Some(&Reply::Ok))).collect();
            }
            let runs =
                |reply: Reply| states.iter().any(|state| is_possible(state, &block, at(2000, 2000), reply.clone()));
            assert_eq!(runs(Reply::Block(vec![Reply::Nil])), possible, "{swapped_at}");
            assert!(runs(Reply::Nil));
        }
    }

    #[test]
    fn an_unknown_answer_leaves_every_outcome() {
        let keep = Command::Set {
            key: KEY,
            datum: Datum::Word(8),
            lifetime: Lifetime::Keep,
            presence: Presence::Any,
            get: false,
        };
        assert_eq!(apply(&after_set(), &keep, at(1105, 1105), None).len(), 2);
    }
}
