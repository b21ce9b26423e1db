//! Unions, intersections and differences of sorted sets, and of sets, whose members count as having the score 1.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::lists::{Keyed, at_least};
use super::sorted::{begin_members, reply_member, store};
use super::{Access, Command, CommandError, Keys, integer, is_word};
use crate::call::Call;
use crate::core::Core;
use crate::ids::DbId;
use crate::resp::double::parse_f64;
use crate::store::{Member, Set, SortedSet, Value};
use crate::time::Wall;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "zunion",
        arity: -3,
        access: Access::Read,
        keys: Keys::NONE,
        flags: &["movablekeys"],
        summary: "Returns the union of sorted sets.",
        run: |call| reply(call, "zunion", Operation::Union),
    },
    Command {
        name: "zunionstore",
        arity: -4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "movablekeys"],
        summary: "Stores the union of sorted sets in a key.",
        run: |call| store_result(call, "zunionstore", Operation::Union),
    },
    Command {
        name: "zinter",
        arity: -3,
        access: Access::Read,
        keys: Keys::NONE,
        flags: &["movablekeys"],
        summary: "Returns the intersection of sorted sets.",
        run: |call| reply(call, "zinter", Operation::Intersection),
    },
    Command {
        name: "zinterstore",
        arity: -4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "movablekeys"],
        summary: "Stores the intersection of sorted sets in a key.",
        run: |call| store_result(call, "zinterstore", Operation::Intersection),
    },
    Command {
        name: "zintercard",
        arity: -3,
        access: Access::Read,
        keys: Keys::NONE,
        flags: &["movablekeys"],
        summary: "Returns how many members the intersection of sorted sets has.",
        run: |call| {
            let query = Query::parse(call, "zintercard", 1, Operation::Intersection, Wanted::Count)?;
            let len = query.result(call.core, call.db(), call.now).len();
            call.reply.integer(len as i64);
            Ok(())
        },
    },
    Command {
        name: "zdiff",
        arity: -3,
        access: Access::Read,
        keys: Keys::NONE,
        flags: &["movablekeys"],
        summary: "Returns the members of a sorted set that are in none of others.",
        run: |call| reply(call, "zdiff", Operation::Difference),
    },
    Command {
        name: "zdiffstore",
        arity: -4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "movablekeys"],
        summary: "Stores the members of a sorted set that are in none of others in a key.",
        run: |call| store_result(call, "zdiffstore", Operation::Difference),
    },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What a command makes of the result; its options depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Reply,
    Count,
    Key,
}

/// What becomes of the scores of a member in several sets.
#[derive(Clone, Copy, Debug)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, score: f64, other: f64) -> f64 {
        match self {
            // Infinities that cancel each other are zero.
            Aggregate::Sum => zero_if_nan(score + other),
            Aggregate::Min if other < score => other,
            Aggregate::Max if other > score => other,
            Aggregate::Min | Aggregate::Max => score,
        }
    }
}

fn zero_if_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What is asked for.
#[derive(Debug)]
struct Query<'a> {
    operation: Operation,
    keys: Keyed<'a>,
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// How many members the result has at most.
    limit: usize,
}

impl<'a> Query<'a> {
    /// `numkeys` stands at `first`. As in Redis, the types of the keys are looked at before the options.
    fn parse(
        call: &mut Call<'a>,
        name: &'static str,
        first: usize,
        operation: Operation,
        wanted: Wanted,
    ) -> Result<Self, CommandError> {
        let len = integer(call.args.at(first))?;
        let Some(len) = usize::try_from(len).ok().filter(|len| *len > 0) else {
            return Err(CommandError::Text(alloc::format!("at least 1 input key is needed for '{name}' command")));
        };
        let keys = Keyed { args: call.args.skip(first + 1), len };
        if len > keys.args.len() {
            return Err(CommandError::Syntax);
        }
        for key in keys.iter() {
            let item = call.look_up(key);
            if item.is_some_and(|item| Input::of(item.value).is_none()) {
                return Err(CommandError::WrongType);
            }
        }
        let mut query = Self {
            operation,
            keys,
            weights: Vec::new(),
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: usize::MAX,
        };
        let combines = operation != Operation::Difference && wanted != Wanted::Count;
        let mut rest = keys.args.skip(len);
        while let Some(option) = rest.get(0) {
            let taken = if combines && rest.len() > len && is_word(option, "weights") {
                let weights = rest.skip(1).iter().take(len).map(parse_f64).collect::<Option<_>>();
                query.weights = weights.ok_or(CommandError::Other("weight value is not a float"))?;
                1 + len
            } else if combines && rest.len() > 1 && is_word(option, "aggregate") {
                let known = [("sum", Aggregate::Sum), ("min", Aggregate::Min), ("max", Aggregate::Max)];
                let found = known.into_iter().find(|(word, _)| is_word(rest.at(1), word));
                query.aggregate = found.ok_or(CommandError::Syntax)?.1;
                2
            } else if wanted == Wanted::Reply && is_word(option, "withscores") {
                query.with_scores = true;
                1
            } else if wanted == Wanted::Count && rest.len() > 1 && is_word(option, "limit") {
                let limit = at_least(0, rest.at(1), "LIMIT can't be negative")?;
                query.limit = if limit == 0 { usize::MAX } else { limit };
                2
            } else {
                return Err(CommandError::Syntax);
            };
            rest = rest.skip(taken);
        }
        Ok(query)
    }

    /// The members and scores of the result, in no order that means anything.
    fn result<'s>(&self, core: &'s Core, db: DbId, now: Wall) -> Vec<(Member<'s>, f64)> {
        let database = core.store.database(db);
        let mut inputs = Vec::with_capacity(self.keys.len);
        for (at, key) in self.keys.iter().enumerate() {
            let item = database.get(key).filter(|item| !item.is_expired(now));
            let input = item.and_then(|item| Input::of(item.value)).unwrap_or(Input::Nothing);
            inputs.push((input, self.weights.get(at).copied().unwrap_or(1.0)));
        }
        if self.operation != Operation::Difference {
            // Small ones first, as in Redis, where sums come out according to it.
            inputs.sort_by_key(|(input, _)| input.len());
        }
        let Some(((first, weight), others)) = inputs.split_first() else { return Vec::new() };
        let members = first.members();
        match self.operation {
            Operation::Union => self.union(&inputs),
            Operation::Intersection => {
                let in_all = |(member, score): (Member<'s>, f64)| {
                    let start = zero_if_nan(score * weight);
                    let combine = |all: f64, (other, weight): &(Input<'_>, f64)| {
                        Some(self.aggregate.of(all, other.score(&member)? * weight))
                    };
                    others.iter().try_fold(start, combine).map(|score| (member, score))
                };
                members.filter_map(in_all).take(self.limit).collect()
            }
            Operation::Difference => {
                members.filter(|(member, _)| others.iter().all(|(other, _)| other.score(member).is_none())).collect()
            }
        }
    }

    fn union<'s>(&self, inputs: &[(Input<'s>, f64)]) -> Vec<(Member<'s>, f64)> {
        let weighted = |(input, weight): &(Input<'s>, f64)| {
            let weight = *weight;
            input.members().map(move |(member, score)| (member, zero_if_nan(score * weight)))
        };
        let mut union: Vec<_> = inputs.iter().flat_map(weighted).collect();
        // Those with the same member stay in the order of the inputs.
        union.sort_by(|(a, _), (b, _)| a[..].cmp(&b[..]));
        union.dedup_by(|(other, other_score), (member, score)| {
            let is_same = other[..] == member[..];
            if is_same {
                *score = self.aggregate.of(*score, *other_score);
            }
            is_same
        });
        union
    }
}

/// A key that is read.
#[derive(Clone, Copy, Debug)]
enum Input<'a> {
    Sorted(&'a SortedSet),
    Set(&'a Set),
    Nothing,
}

impl<'a> Input<'a> {
    fn of(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Sorted(sorted) => Some(Input::Sorted(sorted)),
            Value::Set(set) => Some(Input::Set(set)),
            _ => None,
        }
    }

    fn len(self) -> usize {
        match self {
            Input::Sorted(sorted) => sorted.len(),
            Input::Set(set) => set.len(),
            Input::Nothing => 0,
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Input::Sorted(sorted) => sorted.score(member),
            Input::Set(set) => set.contains(member).then_some(1.0),
            Input::Nothing => None,
        }
    }

    fn members(self) -> impl Iterator<Item = (Member<'a>, f64)> {
        let (sorted, set) = match self {
            Input::Sorted(sorted) => (Some(sorted), None),
            Input::Set(set) => (None, Some(set)),
            Input::Nothing => (None, None),
        };
        let sorted = sorted.into_iter().flat_map(SortedSet::iter);
        let set = set.into_iter().flat_map(Set::iter);
        sorted.map(|(member, score)| (Member::Bytes(member), score)).chain(set.map(|member| (member, 1.0)))
    }
}

fn in_order((a, score): &(Member<'_>, f64), (b, other): &(Member<'_>, f64)) -> Ordering {
    score.partial_cmp(other).unwrap_or(Ordering::Equal).then_with(|| a[..].cmp(&b[..]))
}

fn reply(call: &mut Call<'_>, name: &'static str, operation: Operation) -> Result<(), CommandError> {
    let query = Query::parse(call, name, 1, operation, Wanted::Reply)?;
    let mut result = query.result(call.core, call.db(), call.now);
    result.sort_unstable_by(in_order);
    begin_members(call.reply, result.len(), query.with_scores);
    for (member, score) in &result {
        reply_member(call.reply, (member, *score), query.with_scores);
    }
    Ok(())
}

fn store_result(call: &mut Call<'_>, name: &'static str, operation: Operation) -> Result<(), CommandError> {
    let query = Query::parse(call, name, 2, operation, Wanted::Key)?;
    let mut result = query.result(call.core, call.db(), call.now);
    result.sort_unstable_by(in_order);
    let (len, mut ranked) = (result.len(), Vec::new());
    result.iter().for_each(|(member, score)| SortedSet::push_word(&mut ranked, *score, member));
    store(call, name, call.args.at(1), &ranked)?;
    call.reply.integer(len as i64);
    Ok(())
}
