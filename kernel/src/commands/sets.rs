//! Sets.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Reverse;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::draws::{Count, Source};
use super::keyspace::{self, Walk};
use super::{Access, Command, CommandError, Keys, Logged, integer, is_word};
use crate::call::Call;
use crate::effect::Change;
use crate::events::Events;
use crate::mutant::Mutant;
use crate::random::Random;
use crate::resp::Reply;
use crate::store::{Kind, Member, PIECE, Set, Words, words};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "sadd",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Adds one or more members to a set. Creates the key if it doesn't exist.",
        run: |call| {
            let key = call.args.at(1);
            let members = call.args.skip(2);
            let set = call.value::<Set>(key)?;
            let before = set.map_or(0, Set::len);
            let new = words::collect(members.iter().filter(|member| set.is_none_or(|set| !set.contains(member))));
            if !new.is_empty() {
                call.change(key, Change::AddMembers(Words::new(&new)));
                call.notify(Events::SET, "sadd", key);
            }
            let after = call.value::<Set>(key)?.map_or(0, Set::len);
            call.reply.integer((after - before) as i64);
            Ok(())
        },
    },
    Command {
        name: "srem",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Removes one or more members from a set. Deletes the set if no members remain.",
        run: |call| {
            let key = call.args.at(1);
            let members = call.args.skip(2);
            let set = call.value::<Set>(key)?;
            let before = set.map_or(0, Set::len);
            let gone = words::collect(members.iter().filter(|member| set.is_some_and(|set| set.contains(member))));
            if !gone.is_empty() {
                call.change(key, Change::DropMembers(Words::new(&gone)));
                call.notify_taken(Events::SET, "srem", key);
            }
            let after = call.value::<Set>(key)?.map_or(0, Set::len);
            call.reply.integer((before - after) as i64);
            Ok(())
        },
    },
    Command {
        name: "sismember",
        arity: 3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Determines whether a member belongs to a set.",
        run: |call| {
            let member = call.args.at(2);
            let (set, reply) = call.read::<Set>(call.args.at(1))?;
            reply.integer(set.is_some_and(|set| set.contains(member)).into());
            Ok(())
        },
    },
    Command {
        name: "smismember",
        arity: -3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Determines whether multiple members belong to a set.",
        run: |call| {
            let members = call.args.skip(2);
            let (set, reply) = call.read::<Set>(call.args.at(1))?;
            reply.array(members.len());
            for member in members.iter() {
                reply.integer(set.is_some_and(|set| set.contains(member)).into());
            }
            Ok(())
        },
    },
    Command {
        name: "scard",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the number of members in a set.",
        run: |call| {
            let (set, reply) = call.read::<Set>(call.args.at(1))?;
            reply.integer(set.map_or(0, Set::len) as i64);
            Ok(())
        },
    },
    Command {
        name: "smembers",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns all members of a set.",
        run: |call| {
            let (set, reply) = call.read::<Set>(call.args.at(1))?;
            reply.set(set.map_or(0, Set::len));
            set.into_iter().flat_map(Set::iter).for_each(|member| reply.bulk(&member));
            Ok(())
        },
    },
    Command {
        name: "spop",
        arity: -2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Removes and returns one or more members of a set, chosen at random. Deletes the set if the last one was popped.",
        run: |call| match call.args.len() {
            2 => pop_one(call),
            3 => pop_many(call),
            _ => Err(CommandError::Syntax),
        },
    },
    Command {
        name: "srandmember",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns one or more members of a set, chosen at random.",
        run: |call| {
            let mut random = Random::new(call.core.random());
            let count = match call.args.len() {
                2 => None,
                3 => Some(Count::parse(call.args.at(2))?),
                _ => return Err(CommandError::Syntax),
            };
            let (set, reply) = call.read::<Set>(call.args.at(1))?;
            match (set, count) {
                (None, None) => reply.null(),
                (None, Some(_)) => reply.array(0),
                (Some(set), None) => reply.optional_bulk(set.random(random.next()).as_deref()),
                (Some(set), Some(count)) => {
                    source(set).reply(count, &mut random, reply, 1, |reply, member| reply.bulk(&member))?;
                }
            }
            Ok(())
        },
    },
    Command {
        name: "smove",
        arity: 4,
        access: Access::Write,
        keys: Keys::TWO,
        flags: &["fast"],
        summary: "Moves a member from one set to another.",
        run: |call| {
            let (from, to, member) = (call.args.at(1), call.args.at(2), call.args.at(3));
            let is_there = match call.value::<Set>(from)? {
                None => false,
                Some(set) => {
                    let is_there = set.contains(member);
                    // Its type matters even if there is nothing to move.
                    call.value::<Set>(to)?;
                    is_there
                }
            };
            if is_there && from != to {
                let word = words::collect([member]);
                call.change(from, Change::DropMembers(Words::new(&word)));
                call.notify_taken(Events::SET, "srem", from);
                if !call.value::<Set>(to)?.is_some_and(|set| set.contains(member)) {
                    call.change(to, Change::AddMembers(Words::new(&word)));
                    call.notify(Events::SET, "sadd", to);
                }
            }
            call.reply.integer(is_there.into());
            Ok(())
        },
    },
    Command {
        name: "sinter",
        arity: -2,
        access: Access::Read,
        keys: Keys::ALL,
        flags: &[],
        summary: "Returns the intersection of multiple sets.",
        run: |call| reply_with(call, Operation::Intersection),
    },
    Command {
        name: "sinterstore",
        arity: -3,
        access: Access::Write,
        keys: Keys::ALL,
        flags: &["denyoom"],
        summary: "Stores the intersection of multiple sets in a key.",
        run: |call| store(call, Operation::Intersection),
    },
    Command {
        name: "sintercard",
        arity: -3,
        access: Access::Read,
        keys: Keys::NONE,
        flags: &["movablekeys"],
        summary: "Returns the number of members of the intersection of multiple sets.",
        run: count_intersection,
    },
    Command {
        name: "sunion",
        arity: -2,
        access: Access::Read,
        keys: Keys::ALL,
        flags: &[],
        summary: "Returns the union of multiple sets.",
        run: |call| reply_with(call, Operation::Union),
    },
    Command {
        name: "sunionstore",
        arity: -3,
        access: Access::Write,
        keys: Keys::ALL,
        flags: &["denyoom"],
        summary: "Stores the union of multiple sets in a key.",
        run: |call| store(call, Operation::Union),
    },
    Command {
        name: "sdiff",
        arity: -2,
        access: Access::Read,
        keys: Keys::ALL,
        flags: &[],
        summary: "Returns the members of a set that are in none of the others.",
        run: |call| reply_with(call, Operation::Difference),
    },
    Command {
        name: "sdiffstore",
        arity: -3,
        access: Access::Write,
        keys: Keys::ALL,
        flags: &["denyoom"],
        summary: "Stores the members of a set that are in none of the others in a key.",
        run: |call| store(call, Operation::Difference),
    },
    Command {
        name: "sscan",
        arity: -3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Iterates over members of a set.",
        run: |call| {
            let (cursor, walk) = (keyspace::cursor(call.args.at(2))?, Walk::parse(call.args.skip(3)));
            let (set, reply) = call.read::<Set>(call.args.at(1))?;
            let mut members = Vec::new();
            let next = match set {
                // As in Redis, the options of nothing are not looked at.
                None => 0,
                Some(set) => {
                    let walk = walk?;
                    set.scan(cursor, walk.count, |member| {
                        if walk.shows(&member) {
                            members.push(member);
                        }
                    })
                }
            };
            keyspace::reply_walk(reply, next, members.len());
            members.iter().for_each(|member| reply.bulk(member));
            Ok(())
        },
    },
];

/// Members at random.
fn source<'a>(set: &'a Set) -> Source<impl Iterator<Item = Member<'a>>, impl Fn(u64) -> Option<Member<'a>>> {
    Source { len: set.len(), all: set.iter(), one: |bits| set.random(bits) }
}

fn pop_one(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (key, bits) = (call.args.at(1), call.core.random());
    let set = call.value::<Set>(key)?;
    let Some(member) = set.and_then(|set| set.random(bits)) else {
        call.reply.null();
        return Ok(());
    };
    let mut word = words::collect([&*member]);
    let another = set.filter(|_| Mutant::PopAnother.is_chosen()).and_then(|set| set.iter().next());
    let another = another.map(|member| words::collect([&*member]));
    Words::new(&word).for_each(|member| call.reply.bulk(member));
    word = another.unwrap_or(word);
    call.change(key, Change::DropMembers(Words::new(&word)));
    call.notify_taken(Events::SET, "spop", key);
    Ok(())
}

fn pop_many(call: &mut Call<'_>) -> Result<(), CommandError> {
    let count = integer(call.args.at(2)).ok().and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(CommandError::Other("value is out of range, must be positive"))?;
    let mut random = Random::new(call.core.random());
    let key = call.args.at(1);
    let (set, reply) = call.value_and_reply::<Set>(key)?;
    let Some(set) = set.filter(|_| count > 0) else {
        reply.set(0);
        return Ok(());
    };
    if count >= set.len() {
        reply.set(set.len());
        set.iter().for_each(|member| reply.bulk(&member));
        call.delete(key);
        call.notify_taken(Events::SET, "spop", key);
        return Ok(());
    }
    let mut popped = Vec::new();
    reply.set(count);
    source(set).choose(count, &mut random, |member| {
        reply.bulk(&member);
        words::push(&mut popped, &member);
    });
    check_parts(key, &popped)?;
    Words::new(&popped).parts(PIECE).for_each(|part| call.change(key, Change::DropMembers(part)));
    call.notify(Events::SET, "spop", key);
    Ok(())
}

/// Whether there is room in the log for parts of these words, each of which names the key.
fn check_parts(key: &[u8], words: &[u8]) -> Result<(), CommandError> {
    let mut logged = Logged::default();
    logged.add(words.len() / PIECE + 1, key, 0)?;
    logged.add(1, &[], words.len())
}

/// What is made of several sets.
#[derive(Clone, Copy)]
enum Operation {
    Intersection,
    Union,
    Difference,
}

impl Operation {
    /// What notifications call storing it.
    fn stored(self) -> &'static str {
        match self {
            Operation::Intersection => "sinterstore",
            Operation::Union => "sunionstore",
            Operation::Difference => "sdiffstore",
        }
    }

    /// The members of what is made of these sets; `None` is an empty one.
    fn of<'a>(self, sets: Vec<Option<&'a Set>>, seed: u64) -> Box<dyn Iterator<Item = Member<'a>> + 'a> {
        let largest_first = |mut sets: Vec<&'a Set>| {
            sets.sort_by_cached_key(|set| Reverse(set.len()));
            sets
        };
        match self {
            Operation::Intersection => {
                let all: Option<Vec<&Set>> = sets.into_iter().collect();
                let mut sets = largest_first(all.unwrap_or_default());
                let smallest = sets.pop();
                // Most often it is the next smaller ones that lack a member.
                let is_common = move |member: &Member<'_>| sets.iter().rev().all(|set| set.contains(member));
                Box::new(smallest.into_iter().flat_map(Set::iter).filter(is_common))
            }
            Operation::Union => {
                let mut sets = largest_first(sets.into_iter().flatten().collect()).into_iter();
                let Some(largest) = sets.next() else { return Box::new(core::iter::empty()) };
                // Of those that are not in it.
                let mut seen = HashSet::with_hasher(FixedState::with_seed(seed));
                let is_new = move |member: &Member<'a>| !largest.contains(member) && seen.insert(*member);
                Box::new(largest.iter().chain(sets.flat_map(Set::iter).filter(is_new)))
            }
            Operation::Difference => {
                let mut sets = sets.into_iter();
                let first = sets.next().flatten();
                // Most often it is the largest ones that have a member.
                let others = largest_first(sets.flatten().collect());
                let is_left = move |member: &Member<'_>| !others.iter().any(|set| set.contains(member));
                Box::new(first.into_iter().flat_map(Set::iter).filter(is_left))
            }
        }
    }
}

/// The sets at these keys, and where the reply goes.
fn sets<'a>(call: &'a mut Call<'_>, keys: &[&[u8]]) -> Result<(Vec<Option<&'a Set>>, &'a mut Reply), CommandError> {
    // What has expired is deleted now; only then nothing changes any more.
    for key in keys {
        call.read::<Set>(key)?;
    }
    let (database, now) = (call.core.store.database(call.db()), call.now);
    let alive = |key: &&[u8]| database.get(key).filter(|item| !item.is_expired(now));
    let sets = keys.iter().map(|key| alive(key).and_then(|item| Set::of(item.value))).collect();
    Ok((sets, call.reply))
}

fn reply_with(call: &mut Call<'_>, operation: Operation) -> Result<(), CommandError> {
    let seed = call.core.random();
    let keys: Vec<&[u8]> = call.args.skip(1).iter().collect();
    let (sets, reply) = sets(call, &keys)?;
    let (start, mut len) = (reply.bytes.len(), 0);
    for member in operation.of(sets, seed) {
        reply.bulk(&member);
        len += 1;
    }
    reply.set_from(start, len);
    Ok(())
}

fn store(call: &mut Call<'_>, operation: Operation) -> Result<(), CommandError> {
    let seed = call.core.random();
    let keys: Vec<&[u8]> = call.args.skip(2).iter().collect();
    let (sets, _) = sets(call, &keys)?;
    let (mut members, mut len) = (Vec::new(), 0);
    for member in operation.of(sets, seed) {
        words::push(&mut members, &member);
        len += 1;
    }
    let to = call.args.at(1);
    check_parts(to, &members)?;
    let was_there = call.clear(to);
    Words::new(&members).parts(PIECE).for_each(|part| call.change(to, Change::AddMembers(part)));
    call.notify_stored(Events::SET, operation.stored(), to, was_there);
    call.reply.integer(len);
    Ok(())
}

fn count_intersection(call: &mut Call<'_>) -> Result<(), CommandError> {
    let count = integer(call.args.at(1)).ok().and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or(CommandError::Other("numkeys should be greater than 0"))?;
    if count > call.args.len() - 2 {
        return Err(CommandError::Other("Number of keys can't be greater than number of args"));
    }
    let mut limit = 0;
    let mut options = call.args.skip(2 + count).iter();
    while let Some(option) = options.next() {
        let value = options.next().filter(|_| is_word(option, "limit")).ok_or(CommandError::Syntax)?;
        let value = integer(value).ok().and_then(|limit| usize::try_from(limit).ok());
        limit = value.ok_or(CommandError::Other("LIMIT can't be negative"))?;
    }
    let keys: Vec<&[u8]> = call.args.skip(2).iter().take(count).collect();
    let (sets, reply) = sets(call, &keys)?;
    let members = Operation::Intersection.of(sets, 0);
    let len = if limit == 0 { members.count() } else { members.take(limit).count() };
    reply.integer(len as i64);
    Ok(())
}
