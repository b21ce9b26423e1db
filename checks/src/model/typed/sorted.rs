//! Sorted sets, whose scores are whole numbers; and the places that they are used for.

use std::collections::BTreeMap;

use super::{Element, Outcomes, any_of, number, part};
use crate::model::Reply;

pub type Sorted = BTreeMap<Element, i64>;

/// Which members ZADD shall write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    Any,
    Absent,
    Present,
    Greater,
    Less,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Add {
        members: Vec<(Element, i64)>,
        only: Only,
        /// Whether changes count too.
        changed: bool,
    },
    /// Each at one of the [`PLACES`].
    Place(Vec<(Element, usize)>),
    Increment(Element, i64),
    Remove(Vec<Element>),
    Score(Element),
    Rank(Element),
    Length,
    /// Between two scores, both included.
    Count(i64, i64),
    /// By rank, with scores.
    Range(i64, i64),
    /// Between two scores, both included; with scores.
    ByScore(i64, i64),
    Pop {
        least: bool,
        count: Option<usize>,
    },
    /// Any one.
    Draw,
    /// What is no farther away from the first of the [`PLACES`] than so many others.
    Near(usize),
}

impl Call {
    pub fn is_read(&self) -> bool {
        !matches!(self, Call::Add { .. } | Call::Place(_) | Call::Increment(..) | Call::Remove(_) | Call::Pop { .. })
    }
}

pub fn run(call: &Call, mut sorted: Sorted) -> Outcomes<Sorted> {
    let answer = match call {
        Call::Add { members, only, changed } => add(&mut sorted, members, *only, *changed),
        Call::Place(members) => {
            let members: Vec<_> = members.iter().map(|(member, place)| (*member, score_of(PLACES[*place]))).collect();
            add(&mut sorted, &members, Only::Any, false)
        }
        Call::Increment(member, by) => {
            let score = sorted.entry(*member).or_default();
            *score += by;
            Reply::Number(*score)
        }
        Call::Remove(members) => number(members.iter().filter(|member| sorted.remove(member).is_some()).count()),
        Call::Score(member) => sorted.get(member).map_or(Reply::Nil, |score| Reply::Number(*score)),
        Call::Rank(member) => ranked(&sorted).iter().position(|(other, _)| other == member).map_or(Reply::Nil, number),
        Call::Length => number(sorted.len()),
        Call::Count(least, most) => number(sorted.values().filter(|score| (least..=most).contains(score)).count()),
        Call::Range(from, to) => {
            let ranked = ranked(&sorted);
            shown(&ranked[part(ranked.len(), *from, *to)])
        }
        Call::ByScore(least, most) => {
            let mut ranked = ranked(&sorted);
            ranked.retain(|(_, score)| (least..=most).contains(&score));
            shown(&ranked)
        }
        Call::Pop { least, count } => {
            let mut ranked = ranked(&sorted);
            if !least {
                ranked.reverse();
            }
            ranked.truncate(count.unwrap_or(1));
            ranked.iter().for_each(|(member, _)| _ = sorted.remove(member));
            shown(&ranked)
        }
        Call::Draw => return any_of(sorted.clone().into_keys(), sorted),
        Call::Near(others) => {
            let is_near = |score: &i64| PLACES[..=*others].iter().any(|place| (score - score_of(*place)).abs() < SPOT);
            Reply::Items(
                sorted.iter().filter(|(_, at)| is_near(at)).map(|(member, _)| Reply::Element(*member)).collect(),
            )
        }
    };
    vec![(answer, sorted)]
}

fn add(sorted: &mut Sorted, members: &[(Element, i64)], only: Only, changed: bool) -> Reply {
    let mut count = 0;
    for (member, score) in members {
        let old = sorted.get(member).copied();
        let writes = match only {
            Only::Any => true,
            Only::Absent => old.is_none(),
            Only::Present => old.is_some(),
            Only::Greater => old.is_none_or(|old| *score > old),
            Only::Less => old.is_none_or(|old| *score < old),
        };
        if writes {
            sorted.insert(*member, *score);
            count += usize::from(old.is_none() || changed && old != Some(*score));
        }
    }
    number(count)
}

/// By score, and by name where that is equal.
pub fn ranked(sorted: &Sorted) -> Vec<(Element, i64)> {
    let mut ranked: Vec<(Element, i64)> = sorted.iter().map(|(member, score)| (*member, *score)).collect();
    ranked.sort_by_key(|(member, score)| (*score, *member));
    ranked
}

pub fn shown(ranked: &[(Element, i64)]) -> Reply {
    Reply::Items(ranked.iter().flat_map(|(member, score)| [Reply::Element(*member), Reply::Number(*score)]).collect())
}

/// Longitudes and latitudes, each next one farther away from the first.
pub const PLACES: [(f64, f64); 4] = [(10.5, 48.5), (11.5, 48.5), (12.5, 48.5), (13.5, 48.5)];
/// Meters between two of them: a degree at their latitude.
pub const STEP: f64 = 73_700.0;
/// A score that is changed by less stands for the same place, within a few meters.
const SPOT: i64 = 1_000;

/// The score of a place: 26 bits each of how far east and north it is, a bit of one after a bit of the other
/// (the documentation of GEOADD). North ends where the Mercator projection is a square.
fn score_of((longitude, latitude): (f64, f64)) -> i64 {
    const NORTH: f64 = 85.05112878;
    let cell = |at: f64, most: f64| ((at + most) / (2.0 * most) * f64::from(1 << 26)) as i64;
    let spread = |cell: i64| (0..26).map(|bit| (cell >> bit & 1) << (2 * bit)).sum::<i64>();
    spread(cell(latitude, NORTH)) | spread(cell(longitude, 180.0)) << 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_by_score_and_then_by_name() {
        let sorted = Sorted::from([(1, 5), (2, -1), (0, 5)]);
        assert_eq!(ranked(&sorted), [(2, -1), (0, 5), (1, 5)]);
        let popped = run(&Call::Pop { least: false, count: None }, sorted);
        assert_eq!(popped, [(shown(&[(1, 5)]), Sorted::from([(0, 5), (2, -1)]))]);
    }

    #[test]
    fn a_score_is_written_only_if_its_condition_holds() {
        for (only, answer, score) in
            [(Only::Greater, 1, 3), (Only::Less, 0, 2), (Only::Absent, 0, 2), (Only::Present, 1, 3)]
        {
            let add = Call::Add { members: vec![(1, 3)], only, changed: true };
            assert_eq!(run(&add, Sorted::from([(1, 2)])), [(Reply::Number(answer), Sorted::from([(1, score)]))]);
        }
    }

    /// The example of Redis's documentation: Palermo.
    #[test]
    fn a_place_is_a_score() {
        assert_eq!(score_of((13.361389, 38.115556)), 3_479_099_956_230_698);
    }
}
