//! Sorted sets: single members, and those at the ends.

use alloc::vec::Vec;

use super::draws::{Count, Source};
use super::lists::{self, Form, NOT_POSITIVE, at_least};
use super::{Access, Command, CommandError, Keys, check_stored, integer, is_word};
use crate::call::Call;
use crate::effect::Change;
use crate::events::Events;
use crate::glob;
use crate::random::Random;
use crate::resp::double::parse_f64;
use crate::resp::{Protocol, Reply};
use crate::store::{Scored, SortedSet, Words, words};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "zadd",
        arity: -4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Adds members to a sorted set, or updates their scores. Creates the key if it doesn't exist.",
        run: |call| add_scored(call, Rules::default()),
    },
    Command {
        name: "zincrby",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Increments the score of a member of a sorted set. One that is new begins with 0.",
        run: |call| add_scored(call, Rules { increments: true, ..Rules::default() }),
    },
    Command {
        name: "zrem",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Removes members from a sorted set. Deletes the sorted set if no members remain.",
        run: |call| {
            let key = call.args.at(1);
            let mut gone: Vec<&[u8]> = Vec::new();
            let members = call.args.skip(2);
            if let Some(sorted) = call.value::<SortedSet>(key)? {
                gone.extend(members.iter().filter(|member| sorted.score(member).is_some()));
                gone.sort_unstable();
                gone.dedup();
            }
            if !gone.is_empty() {
                let members = words::collect(gone.iter().copied());
                call.change(key, Change::Unrank(Words::new(&members)));
                call.notify_taken(Events::SORTED_SET, "zrem", key);
            }
            call.reply.integer(gone.len() as i64);
            Ok(())
        },
    },
    Command {
        name: "zcard",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the number of members of a sorted set.",
        run: |call| {
            let (sorted, reply) = call.read::<SortedSet>(call.args.at(1))?;
            reply.integer(sorted.map_or(0, SortedSet::len) as i64);
            Ok(())
        },
    },
    Command {
        name: "zscore",
        arity: 3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the score of a member of a sorted set.",
        run: |call| {
            let member = call.args.at(2);
            let (sorted, reply) = call.read::<SortedSet>(call.args.at(1))?;
            reply_score(reply, sorted.and_then(|sorted| sorted.score(member)));
            Ok(())
        },
    },
    Command {
        name: "zmscore",
        arity: -3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the scores of members of a sorted set.",
        run: |call| {
            let members = call.args.skip(2);
            let (sorted, reply) = call.read::<SortedSet>(call.args.at(1))?;
            reply.array(members.len());
            for member in members.iter() {
                reply_score(reply, sorted.and_then(|sorted| sorted.score(member)));
            }
            Ok(())
        },
    },
    Command {
        name: "zrank",
        arity: -3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns how many members of a sorted set stand before one in ascending order.",
        run: |call| rank(call, "zrank", false),
    },
    Command {
        name: "zrevrank",
        arity: -3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns how many members of a sorted set stand before one in descending order.",
        run: |call| rank(call, "zrevrank", true),
    },
    Command {
        name: "zpopmin",
        arity: -2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns and removes the members with the lowest scores of a sorted set. Deletes it if none remain.",
        run: |call| pop_some(call, End::Lowest),
    },
    Command {
        name: "zpopmax",
        arity: -2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns and removes the members with the highest scores of a sorted set. Deletes it if none remain.",
        run: |call| pop_some(call, End::Highest),
    },
    Command {
        name: "zmpop",
        arity: -4,
        access: Access::Write,
        keys: Keys::NONE,
        flags: &["movablekeys"],
        summary: "Returns and removes the lowest or highest members of the first of several sorted sets that has some.",
        run: |call| {
            let (keys, end, count) = lists::pop_arguments(call.args.skip(1), end)?;
            for key in keys.iter() {
                if pop(call, key, end, count, Form::Keyed)? {
                    return Ok(());
                }
            }
            call.reply.null_array();
            Ok(())
        },
    },
    Command {
        name: "zrandmember",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["nondeterministic_output"],
        summary: "Returns random members of a sorted set.",
        run: random_members,
    },
    Command {
        name: "zscan",
        arity: -3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["nondeterministic_output"],
        summary: "Iterates over the members and scores of a sorted set.",
        run: scan,
    },
];

pub(super) const NOT_A_FLOAT: CommandError = CommandError::Other("value is not a valid float");

/// A score.
pub(super) fn score(text: &[u8]) -> Result<f64, CommandError> {
    parse_f64(text).ok_or(NOT_A_FLOAT)
}

fn reply_score(reply: &mut Reply, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

/// Announces so many members, with their scores or without.
pub(super) fn begin_members(reply: &mut Reply, len: usize, with_scores: bool) {
    let flat = with_scores && reply.protocol == Protocol::Resp2;
    reply.array(if flat { 2 * len } else { len });
}

pub(super) fn reply_member(reply: &mut Reply, (member, score): Scored<'_>, with_scores: bool) {
    if with_scores && reply.protocol == Protocol::Resp3 {
        reply.array(2);
    }
    reply.bulk(member);
    if with_scores {
        reply.double(score);
    }
}

/// Under which conditions a member gets a score, and which.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    pub(super) only_new: bool,
    pub(super) only_known: bool,
    pub(super) only_greater: bool,
    pub(super) only_less: bool,
    /// The reply counts what has changed, too.
    pub(super) counts_changed: bool,
    /// The score is what is added to the one that the member has, and the reply is the sum.
    pub(super) increments: bool,
}

impl Rules {
    /// Takes an option in; whether it is one.
    fn take(&mut self, option: &[u8]) -> bool {
        let options = [
            ("nx", &mut self.only_new),
            ("xx", &mut self.only_known),
            ("gt", &mut self.only_greater),
            ("lt", &mut self.only_less),
            ("ch", &mut self.counts_changed),
            ("incr", &mut self.increments),
        ];
        let found = options.into_iter().find(|(name, _)| is_word(option, name));
        found.map(|(_, set)| *set = true).is_some()
    }

    /// The score that a member with this one gets, if it gets one.
    fn decide(self, old: Option<f64>, score: f64) -> Result<Option<f64>, CommandError> {
        let Some(old) = old else { return Ok((!self.only_known).then_some(score)) };
        if self.only_new {
            return Ok(None);
        }
        let new = if self.increments { old + score } else { score };
        if new.is_nan() {
            return Err(CommandError::Other("resulting score is not a number (NaN)"));
        }
        let refused = self.only_greater && new <= old || self.only_less && new >= old;
        Ok((!refused).then_some(new))
    }
}

fn add_scored(call: &mut Call<'_>, mut rules: Rules) -> Result<(), CommandError> {
    let mut rest = call.args.skip(2);
    while rest.get(0).is_some_and(|option| rules.take(option)) {
        rest = rest.skip(1);
    }
    if rest.is_empty() || !rest.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    if rules.only_new && rules.only_known {
        return Err(CommandError::Other("XX and NX options at the same time are not compatible"));
    }
    if u8::from(rules.only_greater) + u8::from(rules.only_less) + u8::from(rules.only_new) > 1 {
        return Err(CommandError::Other("GT, LT, and/or NX options at the same time are not compatible"));
    }
    if rules.increments && rest.len() > 2 {
        return Err(CommandError::Other("INCR option supports a single increment-element pair"));
    }
    let mut scored = Vec::with_capacity(rest.len() / 2);
    for at in (0..rest.len()).step_by(2) {
        scored.push((rest.at(at + 1), score(rest.at(at))?));
    }
    add(call, call.args.at(1), rules, &scored)
}

/// Gives members scores, and replies.
pub(super) fn add(call: &mut Call<'_>, key: &[u8], rules: Rules, scored: &[Scored<'_>]) -> Result<(), CommandError> {
    let mut members: Vec<&[u8]> = scored.iter().map(|(member, _)| *member).collect();
    members.sort_unstable();
    // A member that comes twice finds what it got the first time.
    let at_once = if members.is_sorted_by(|a, b| a < b) { scored.len() } else { 1 };
    let (mut added, mut changed, mut result) = (0, 0, None);
    let mut ranked = Vec::new();
    for scored in scored.chunks(at_once) {
        ranked.clear();
        let sorted = call.value::<SortedSet>(key)?;
        for (member, score) in scored {
            let old = sorted.and_then(|sorted| sorted.score(member));
            result = rules.decide(old, *score)?;
            if let Some(new) = result
                && old != result
            {
                SortedSet::push_word(&mut ranked, new, member);
                *(if old.is_none() { &mut added } else { &mut changed }) += 1;
            }
        }
        if !ranked.is_empty() {
            call.change(key, Change::Rank(Words::new(&ranked)));
        }
    }
    if added + changed > 0 {
        call.notify(Events::SORTED_SET, if rules.increments { "zincr" } else { "zadd" }, key);
    }
    if rules.increments {
        reply_score(call.reply, result);
    } else {
        call.reply.integer(if rules.counts_changed { added + changed } else { added });
    }
    Ok(())
}

/// The key now holds the sorted set of these [`SortedSet::word`]s, whatever it held, or nothing if there are none.
pub(super) fn store(call: &mut Call<'_>, event: &str, key: &[u8], ranked: &[u8]) -> Result<(), CommandError> {
    check_stored(ranked.len())?;
    let was_there = call.clear(key);
    if !ranked.is_empty() {
        call.change(key, Change::Rank(Words::new(ranked)));
    }
    call.notify_stored(Events::SORTED_SET, event, key, was_there);
    Ok(())
}

fn rank(call: &mut Call<'_>, name: &'static str, descending: bool) -> Result<(), CommandError> {
    let with_score = match call.args.get(3) {
        _ if call.args.len() > 4 => return Err(CommandError::Arity(name)),
        Some(option) if !is_word(option, "withscore") => return Err(CommandError::Syntax),
        option => option.is_some(),
    };
    let member = call.args.at(2);
    let (sorted, reply) = call.read::<SortedSet>(call.args.at(1))?;
    let found = sorted.and_then(|sorted| Some((sorted.len(), sorted.rank(member)?, sorted.score(member)?)));
    match found {
        Some((len, rank, score)) => {
            if with_score {
                reply.array(2);
            }
            reply.integer(if descending { len - 1 - rank } else { rank } as i64);
            if with_score {
                reply.double(score);
            }
        }
        None if with_score => reply.null_array(),
        None => reply.null(),
    }
    Ok(())
}

/// Of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Lowest,
    Highest,
}

impl End {
    /// What notifications call a pop from it.
    pub(super) fn popped(self) -> &'static str {
        if self == End::Lowest { "zpopmin" } else { "zpopmax" }
    }
}

pub(super) fn end(word: &[u8]) -> Result<End, CommandError> {
    if is_word(word, "min") {
        Ok(End::Lowest)
    } else if is_word(word, "max") {
        Ok(End::Highest)
    } else {
        Err(CommandError::Syntax)
    }
}

/// Takes up to `count` members with their scores from an end of a sorted set into the reply; whether there is such a set.
/// [`Form::Alone`] is one array of both; what is in the others has the form of [`reply_member`], and has it in any version of
/// the protocol beside a key.
pub(super) fn pop(call: &mut Call<'_>, key: &[u8], end: End, count: usize, form: Form) -> Result<bool, CommandError> {
    let (Some(sorted), reply) = call.value_and_reply::<SortedSet>(key)? else { return Ok(false) };
    let count = count.min(sorted.len());
    let is_nested = match form {
        Form::Alone => false,
        Form::Array => reply.protocol == Protocol::Resp3,
        Form::Keyed => true,
    };
    if form == Form::Keyed {
        reply.array(2);
        reply.bulk(key);
    }
    reply.array(if is_nested { count } else { 2 * count });
    let mut gone = Vec::new();
    let mut take = |(member, score): Scored<'_>| {
        if is_nested {
            reply.array(2);
        }
        reply.bulk(member);
        reply.double(score);
        words::push(&mut gone, member);
    };
    match end {
        End::Lowest => sorted.iter().take(count).for_each(&mut take),
        End::Highest if count == 1 => sorted.at(sorted.len() - 1).into_iter().for_each(&mut take),
        End::Highest => sorted.iter_back_from(sorted.len()).take(count).for_each(&mut take),
    }
    if !gone.is_empty() {
        call.change(key, Change::Unrank(Words::new(&gone)));
        call.notify_taken(Events::SORTED_SET, end.popped(), key);
    }
    Ok(true)
}

fn pop_some(call: &mut Call<'_>, end: End) -> Result<(), CommandError> {
    if call.args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let (count, form) = match call.args.get(2) {
        Some(count) => (at_least(0, count, NOT_POSITIVE)?, Form::Array),
        None => (1, Form::Alone),
    };
    if !pop(call, call.args.at(1), end, count, form)? {
        call.reply.array(0);
    }
    Ok(())
}

fn random_members(call: &mut Call<'_>) -> Result<(), CommandError> {
    let key = call.args.at(1);
    let Some(count) = call.args.get(2) else {
        let len = call.read::<SortedSet>(key)?.0.map_or(0, SortedSet::len);
        let bits = call.core.random();
        let (sorted, reply) = call.value_and_reply::<SortedSet>(key)?;
        let chosen = sorted.and_then(|sorted| sorted.at((bits % len as u64) as usize));
        reply.optional_bulk(chosen.map(|(member, _)| member));
        return Ok(());
    };
    let count = Count::parse(count)?;
    let with_scores = match call.args.get(3) {
        _ if call.args.len() > 4 => return Err(CommandError::Syntax),
        Some(option) if !is_word(option, "withscores") => return Err(CommandError::Syntax),
        option => option.is_some(),
    };
    if with_scores && count.number() > i64::MAX as usize / 2 {
        return Err(CommandError::Other("value is out of range"));
    }
    let mut random = Random::new(call.core.random());
    let (sorted, reply) = call.read::<SortedSet>(key)?;
    let Some(sorted) = sorted else {
        reply.array(0);
        return Ok(());
    };
    let len = sorted.len();
    let ranks = Source { len, all: 0..len, one: |bits| (bits as usize).checked_rem(len) };
    let width = if with_scores && reply.protocol == Protocol::Resp2 { 2 } else { 1 };
    ranks.reply(count, &mut random, reply, width, |reply, rank| {
        if let Some(member) = sorted.at(rank) {
            reply_member(reply, member, with_scores);
        }
    })
}

fn scan(call: &mut Call<'_>) -> Result<(), CommandError> {
    let cursor = core::str::from_utf8(call.args.at(2)).ok().and_then(|text| text.parse::<u64>().ok());
    let cursor = cursor.ok_or(CommandError::Other("invalid cursor"))?;
    let args = call.args;
    let (sorted, reply) = call.read::<SortedSet>(args.at(1))?;
    // Redis does not look at the options of a walk through nothing.
    let mut found = Vec::new();
    let mut next = 0;
    if let Some(sorted) = sorted {
        let (mut pattern, mut count) = (None, 10);
        let mut options = args.skip(3).iter();
        while let Some(option) = options.next() {
            let value = options.next().ok_or(CommandError::Syntax)?;
            if is_word(option, "match") {
                pattern = Some(value);
            } else if is_word(option, "count") {
                count = usize::try_from(integer(value)?).ok().filter(|n| *n > 0).ok_or(CommandError::Syntax)?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        next = sorted.scan(cursor, count, |member, score| {
            if pattern.is_none_or(|pattern| glob::matches(pattern, member)) {
                found.push((member, score));
            }
        });
    }
    reply.array(2);
    reply.bulk(alloc::format!("{next}").as_bytes());
    reply.array(2 * found.len());
    for (member, score) in found {
        reply.bulk(member);
        reply.bulk(crate::resp::double::text(score).as_bytes());
    }
    Ok(())
}
