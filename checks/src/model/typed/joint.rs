//! Commands on values of several keys.

use super::sketch::Sketch;
use super::sorted::{self, Sorted};
use super::{Element, Kind, list, number, set};
use crate::model::{Database, Datum, Key, Reply};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joint {
    /// What is in all sets, in any, or in the first alone: answered, or put at another key. Of sorted ones, with the greatest
    /// of a member's scores; those of the first alone.
    Combine {
        sorted: bool,
        how: How,
        of: Vec<Key>,
        into: Option<Key>,
    },
    /// From one end of a list to one of another, or of the same.
    MoveElement {
        from: Key,
        to: Key,
        from_left: bool,
        to_left: bool,
    },
    MoveMember {
        from: Key,
        to: Key,
        member: Element,
    },
    /// Of how many different elements these have heard together.
    Estimate(Vec<Key>),
    Merge {
        into: Key,
        of: Vec<Key>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    All,
    Any,
    First,
}

impl Joint {
    /// The keys whose old state decides the outcome.
    pub fn reads(&self) -> Vec<Key> {
        match self {
            Joint::Combine { of, .. } | Joint::Estimate(of) => of.clone(),
            Joint::MoveElement { from, .. } | Joint::MoveMember { from, .. } => vec![*from],
            Joint::Merge { into, of } => [std::slice::from_ref(into), of].concat(),
        }
    }

    /// The key that it looks at as well, if those are there.
    pub fn reads_then(&self) -> Option<Key> {
        match self {
            Joint::MoveElement { to, .. } | Joint::MoveMember { to, .. } => Some(*to),
            _ => None,
        }
    }

    /// The key that it writes to, whatever stood there.
    pub fn overwrites(&self) -> Option<Key> {
        match self {
            Joint::Combine { into, .. } => *into,
            _ => None,
        }
    }

    pub fn is_read(&self) -> bool {
        matches!(self, Joint::Combine { into: None, .. } | Joint::Estimate(_))
    }
}

/// Runs a command whose keys are resolved; what it answers, or why it does nothing.
pub(in crate::model) fn run(joint: &Joint, database: &mut Database) -> Result<Reply, Reply> {
    match joint {
        Joint::Combine { sorted, how, of, into } => {
            let members = of.iter().map(|key| members(database, *key, *sorted)).collect::<Result<Vec<_>, _>>()?;
            let combined = combine(*how, members);
            let Some(into) = into else {
                return Ok(if *sorted {
                    sorted::shown(&sorted::ranked(&combined))
                } else {
                    set::all(&names(&combined))
                });
            };
            let count = number(combined.len());
            let datum = if *sorted { Datum::Sorted(combined) } else { Datum::Set(names(&combined)) };
            *database = std::mem::take(database).without(*into);
            database.put(*into, datum.kept());
            Ok(count)
        }
        Joint::MoveElement { from, to, from_left, to_left } => {
            let mut source = elements(database, *from)?;
            if source.is_empty() {
                return Ok(Reply::Nil);
            }
            let mut target = if from == to { list::List::new() } else { elements(database, *to)? };
            let moved = list::pop(&mut source, *from_left).ok_or(Reply::Nil)?;
            if from == to {
                list::push(&mut source, moved, *to_left);
            } else {
                list::push(&mut target, moved, *to_left);
                database.put(*to, Datum::List(target).kept());
            }
            database.put(*from, Datum::List(source).kept());
            Ok(Reply::Element(moved))
        }
        Joint::MoveMember { from, to, member } => {
            if database.datum(*from).is_none() {
                return Ok(Reply::Number(0));
            }
            let (mut source, mut target) = (own_set(database, *from)?, own_set(database, *to)?);
            let moves = source.contains(member);
            if moves && from != to {
                source.remove(member);
                target.insert(*member);
                database.put(*from, Datum::Set(source).kept());
                database.put(*to, Datum::Set(target).kept());
            }
            Ok(Reply::Number(i64::from(moves)))
        }
        Joint::Estimate(of) => Ok(number(heard(database, of)?.len())),
        Joint::Merge { into, .. } => {
            let heard = heard(database, &joint.reads())?;
            database.put(*into, Some(Datum::Sketch(heard)));
            Ok(Reply::Ok)
        }
    }
}

/// The members at a key, with scores; those of a set, which stand for sorted ones, have the score 1.
fn members(database: &Database, key: Key, sorted: bool) -> Result<Sorted, Reply> {
    match database.datum(key) {
        None => Ok(Sorted::new()),
        Some(Datum::Sorted(members)) if sorted => Ok(members),
        Some(Datum::Set(members)) => Ok(members.into_iter().map(|member| (member, 1)).collect()),
        Some(_) => Err(Reply::WrongType),
    }
}

fn combine(how: How, members: Vec<Sorted>) -> Sorted {
    let mut all = members.into_iter();
    let mut combined = all.next().unwrap_or_default();
    for other in all {
        match how {
            How::All => combined.retain(|member, _| other.contains_key(member)),
            How::First => combined.retain(|member, _| !other.contains_key(member)),
            How::Any => {}
        }
        for (member, score) in other {
            match how {
                How::Any => _ = combined.entry(member).and_modify(|old| *old = score.max(*old)).or_insert(score),
                How::All => _ = combined.entry(member).and_modify(|old| *old = score.max(*old)),
                How::First => {}
            }
        }
    }
    combined
}

fn names(members: &Sorted) -> set::Set {
    members.keys().copied().collect()
}

fn elements(database: &Database, key: Key) -> Result<list::List, Reply> {
    match database.datum(key) {
        None => Ok(list::List::new()),
        Some(Datum::List(list)) => Ok(list),
        Some(_) => Err(Reply::WrongType),
    }
}

fn own_set(database: &Database, key: Key) -> Result<set::Set, Reply> {
    match database.datum(key) {
        None => Ok(set::Set::new()),
        Some(Datum::Set(set)) => Ok(set),
        Some(_) => Err(Reply::WrongType),
    }
}

fn heard(database: &Database, of: &[Key]) -> Result<Sketch, Reply> {
    let mut heard = Sketch::new();
    for key in of {
        match database.datum(*key) {
            None => {}
            Some(Datum::Sketch(own)) => heard.extend(own),
            Some(other) if other.kind() == Kind::String => return Err(Reply::NotASketch),
            Some(_) => return Err(Reply::WrongType),
        }
    }
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [Key; 3] =
        [Key { database: 0, number: 0 }, Key { database: 0, number: 1 }, Key { database: 0, number: 2 }];

    fn after(joint: Joint, before: &[(Key, Datum)]) -> (Reply, Vec<Option<Datum>>) {
        let mut database = Database::default();
        before.iter().for_each(|(key, datum)| database.put(*key, Some(datum.clone())));
        let answer = run(&joint, &mut database).unwrap_or_else(|refusal| refusal);
        (answer, KEYS.map(|key| database.datum(key)).to_vec())
    }

    #[test]
    fn the_last_element_that_is_moved_takes_its_key_along() {
        let moves = |to| Joint::MoveElement { from: KEYS[0], to, from_left: true, to_left: false };
        let list = |elements: &[Element]| Datum::List(elements.iter().copied().collect());
        let moved = after(moves(KEYS[1]), &[(KEYS[0], list(&[3])), (KEYS[1], list(&[5]))]);
        assert_eq!(moved, (Reply::Element(3), vec![None, Some(list(&[5, 3])), None]));
        let turned = after(moves(KEYS[0]), &[(KEYS[0], list(&[1, 2]))]);
        assert_eq!(turned, (Reply::Element(1), vec![Some(list(&[2, 1])), None, None]));
        let refused = after(moves(KEYS[1]), &[(KEYS[0], list(&[3])), (KEYS[1], Datum::Word(1))]);
        assert_eq!(refused, (Reply::WrongType, vec![Some(list(&[3])), Some(Datum::Word(1)), None]));
    }

    #[test]
    fn the_greater_score_counts() {
        let sorted = |members: &[(Element, i64)]| Datum::Sorted(members.iter().copied().collect());
        let before = [(KEYS[0], sorted(&[(1, 5), (2, 1)])), (KEYS[1], sorted(&[(1, 7), (3, 2)]))];
        let of = vec![KEYS[0], KEYS[1]];
        for (how, left) in
            [(How::All, vec![(1, 7)]), (How::Any, vec![(1, 7), (2, 1), (3, 2)]), (How::First, vec![(2, 1)])]
        {
            let combined = after(Joint::Combine { sorted: true, how, of: of.clone(), into: Some(KEYS[2]) }, &before);
            assert_eq!(combined.0, number(left.len()));
            assert_eq!(combined.1[2], Some(sorted(&left)));
        }
    }
}
