//! Ranges of sorted sets: by place, by score, and by member where all scores are the same.

use alloc::vec::Vec;
use core::ops::{Bound, Range};

use super::sorted::{begin_members, reply_member, store};
use super::{Access, Command, CommandError, Keys, integer, is_word, lists};
use crate::call::Call;
use crate::effect::Change;
use crate::events::Events;
use crate::resp::double::parse_bound;
use crate::store::{Scored, SortedSet, Words, words};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "zcount",
        arity: 4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns how many members of a sorted set have scores within a range.",
        run: |call| count(call, By::Score),
    },
    Command {
        name: "zlexcount",
        arity: 4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns how many members of a sorted set are within a range of members.",
        run: |call| count(call, By::Member),
    },
    Command {
        name: "zrange",
        arity: -4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns members of a sorted set within a range of places, scores or members.",
        run: |call| range(call, None, None),
    },
    Command {
        name: "zrevrange",
        arity: -4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns members of a sorted set within a range of places in descending order.",
        run: |call| range(call, Some(By::Rank), Some(true)),
    },
    Command {
        name: "zrangebyscore",
        arity: -4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns members of a sorted set within a range of scores.",
        run: |call| range(call, Some(By::Score), Some(false)),
    },
    Command {
        name: "zrevrangebyscore",
        arity: -4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns members of a sorted set within a range of scores in descending order.",
        run: |call| range(call, Some(By::Score), Some(true)),
    },
    Command {
        name: "zrangebylex",
        arity: -4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns members of a sorted set within a range of members.",
        run: |call| range(call, Some(By::Member), Some(false)),
    },
    Command {
        name: "zrevrangebylex",
        arity: -4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns members of a sorted set within a range of members in descending order.",
        run: |call| range(call, Some(By::Member), Some(true)),
    },
    Command {
        name: "zrangestore",
        arity: -5,
        access: Access::Write,
        keys: Keys::TWO,
        flags: &["denyoom"],
        summary: "Stores members of a sorted set within a range of places, scores or members in a key.",
        run: store_range,
    },
    Command {
        name: "zremrangebyrank",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &[],
        summary: "Removes members of a sorted set within a range of places. Deletes it if none remain.",
        run: |call| remove(call, By::Rank),
    },
    Command {
        name: "zremrangebyscore",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &[],
        summary: "Removes members of a sorted set within a range of scores. Deletes it if none remain.",
        run: |call| remove(call, By::Score),
    },
    Command {
        name: "zremrangebylex",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &[],
        summary: "Removes members of a sorted set within a range of members. Deletes it if none remain.",
        run: |call| remove(call, By::Member),
    },
];

/// What bounds are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Member,
}

/// From where to where.
#[derive(Clone, Copy, Debug)]
enum Bounds<'a> {
    Ranks(i64, i64),
    Scores(Bound<f64>, Bound<f64>),
    Members(Border<'a>, Border<'a>),
}

/// A bound of members.
#[derive(Clone, Copy, Debug)]
enum Border<'a> {
    Lowest,
    Highest,
    At(Bound<&'a [u8]>),
}

impl<'a> Bounds<'a> {
    fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Self, CommandError> {
        match by {
            By::Rank => Ok(Bounds::Ranks(integer(min)?, integer(max)?)),
            By::Score => {
                let bounds = score(min).zip(score(max)).map(|(min, max)| Bounds::Scores(min, max));
                bounds.ok_or(CommandError::Other("min or max is not a float"))
            }
            By::Member => {
                let bounds = Border::parse(min).zip(Border::parse(max)).map(|(min, max)| Bounds::Members(min, max));
                bounds.ok_or(CommandError::Other("min or max not valid string range item"))
            }
        }
    }

    /// The places within, in ascending order. Only places are counted from the other end.
    fn places(self, sorted: &SortedSet, descending: bool) -> Range<usize> {
        let len = sorted.len();
        match self {
            Bounds::Ranks(start, end) => {
                let range = lists::places(start, end, len);
                if descending { len - range.end..len - range.start } else { range }
            }
            Bounds::Scores(min, max) => sorted.by_score(min, max),
            Bounds::Members(Border::Highest, _) | Bounds::Members(_, Border::Lowest) => 0..0,
            Bounds::Members(min, max) => sorted.by_member(min.bound(), max.bound()),
        }
    }
}

fn score(text: &[u8]) -> Option<Bound<f64>> {
    match text {
        [b'(', text @ ..] => parse_bound(text).map(Bound::Excluded),
        text => parse_bound(text).map(Bound::Included),
    }
}

impl<'a> Border<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        match text {
            // As C reads them, a text ends with a zero.
            [b'-'] | [b'-', 0, ..] => Some(Border::Lowest),
            [b'+'] | [b'+', 0, ..] => Some(Border::Highest),
            [b'(', member @ ..] => Some(Border::At(Bound::Excluded(member))),
            [b'[', member @ ..] => Some(Border::At(Bound::Included(member))),
            _ => None,
        }
    }

    fn bound(self) -> Bound<&'a [u8]> {
        match self {
            Border::Lowest | Border::Highest => Bound::Unbounded,
            Border::At(bound) => bound,
        }
    }
}

fn count(call: &mut Call<'_>, by: By) -> Result<(), CommandError> {
    let bounds = Bounds::parse(by, call.args.at(2), call.args.at(3))?;
    let (sorted, reply) = call.read::<SortedSet>(call.args.at(1))?;
    reply.integer(sorted.map_or(0, |sorted| bounds.places(sorted, false).len()) as i64);
    Ok(())
}

fn remove(call: &mut Call<'_>, by: By) -> Result<(), CommandError> {
    let key = call.args.at(1);
    let bounds = Bounds::parse(by, call.args.at(2), call.args.at(3))?;
    let Some(sorted) = call.value::<SortedSet>(key)? else {
        call.reply.integer(0);
        return Ok(());
    };
    let places = bounds.places(sorted, false);
    if places.len() == sorted.len() {
        call.delete(key);
    } else if !places.is_empty() {
        let gone = sorted.iter_from(places.start).take(places.len());
        let gone = words::collect(gone.map(|(member, _)| member));
        call.change(key, Change::Unrank(Words::new(&gone)));
    }
    if !places.is_empty() {
        let event = match by {
            By::Rank => "zremrangebyrank",
            By::Score => "zremrangebyscore",
            By::Member => "zremrangebylex",
        };
        call.notify_taken(Events::SORTED_SET, event, key);
    }
    call.reply.integer(places.len() as i64);
    Ok(())
}

/// What a range asks for.
#[derive(Clone, Copy, Debug)]
struct Query<'a> {
    bounds: Bounds<'a>,
    descending: bool,
    with_scores: bool,
    /// Those that are left out, and how many there are at most: a negative number is any.
    limit: (i64, i64),
}

impl<'a> Query<'a> {
    /// Reads the bounds and the options; what is known already is no option any more.
    fn parse(
        call: &Call<'a>,
        first: usize,
        mut by: Option<By>,
        mut descending: Option<bool>,
        stores: bool,
    ) -> Result<Self, CommandError> {
        let (mut with_scores, mut limit) = (false, (0, -1));
        let mut options = call.args.skip(first + 2).iter();
        while let Some(option) = options.next() {
            if !stores && is_word(option, "withscores") {
                with_scores = true;
            } else if is_word(option, "limit") {
                let (offset, count) = options.next().zip(options.next()).ok_or(CommandError::Syntax)?;
                limit = (integer(offset)?, integer(count)?);
            } else if descending.is_none() && is_word(option, "rev") {
                descending = Some(true);
            } else if by.is_none() && is_word(option, "bylex") {
                by = Some(By::Member);
            } else if by.is_none() && is_word(option, "byscore") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        let (by, descending) = (by.unwrap_or(By::Rank), descending.unwrap_or(false));
        if by == By::Rank && limit.1 != -1 {
            return Err(CommandError::Other(
                "syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if by == By::Member && with_scores {
            return Err(CommandError::Other("syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let (start, end) = (call.args.at(first), call.args.at(first + 1));
        let (min, max) = if descending && by != By::Rank { (end, start) } else { (start, end) };
        Ok(Self { bounds: Bounds::parse(by, min, max)?, descending, with_scores, limit })
    }

    /// The places that are asked for, in ascending order.
    fn places(self, sorted: &SortedSet) -> Range<usize> {
        let all = self.bounds.places(sorted, self.descending);
        if let Bounds::Ranks(..) = self.bounds {
            return all;
        }
        let (offset, count) = self.limit;
        // A negative number of those that are left out is all of them.
        let left_out = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
        let shown = usize::try_from(count).unwrap_or(usize::MAX).min(all.len() - left_out);
        if self.descending {
            let end = all.end - left_out;
            end - shown..end
        } else {
            let start = all.start + left_out;
            start..start + shown
        }
    }

    /// Visits members in the order that is asked for.
    fn visit<'s>(self, sorted: &'s SortedSet, places: Range<usize>, visit: impl FnMut(Scored<'s>)) {
        if self.descending {
            sorted.iter_back_from(places.end).take(places.len()).for_each(visit);
        } else {
            sorted.iter_from(places.start).take(places.len()).for_each(visit);
        }
    }
}

fn range(call: &mut Call<'_>, by: Option<By>, descending: Option<bool>) -> Result<(), CommandError> {
    let query = Query::parse(call, 2, by, descending, false)?;
    let (sorted, reply) = call.read::<SortedSet>(call.args.at(1))?;
    let Some(sorted) = sorted else {
        reply.array(0);
        return Ok(());
    };
    let places = query.places(sorted);
    begin_members(reply, places.len(), query.with_scores);
    query.visit(sorted, places, |member| reply_member(reply, member, query.with_scores));
    Ok(())
}

fn store_range(call: &mut Call<'_>) -> Result<(), CommandError> {
    let query = Query::parse(call, 3, None, None, true)?;
    let (mut ranked, mut len) = (Vec::new(), 0);
    if let (Some(sorted), _) = call.read::<SortedSet>(call.args.at(2))? {
        let places = query.places(sorted);
        len = places.len();
        let words = sorted.iter_from(places.start).take(len);
        words.for_each(|(member, score)| SortedSet::push_word(&mut ranked, score, member));
    }
    store(call, "zrangestore", call.args.at(1), &ranked)?;
    call.reply.integer(len as i64);
    Ok(())
}
