//! Hashes, whose values are numbers.

use std::collections::BTreeMap;

use super::{Element, Outcomes, any_of, number};
use crate::model::Reply;

pub type Hash = BTreeMap<Element, i64>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Put(Vec<(Element, i64)>),
    PutAbsent(Element, i64),
    Increment(Element, i64),
    Remove(Vec<Element>),
    Get(Element),
    GetEach(Vec<Element>),
    All,
    Fields,
    Values,
    Length,
    Has(Element),
    /// Any one.
    Draw,
}

impl Call {
    pub fn is_read(&self) -> bool {
        !matches!(self, Call::Put(_) | Call::PutAbsent(..) | Call::Increment(..) | Call::Remove(_))
    }
}

pub fn run(call: &Call, mut hash: Hash) -> Outcomes<Hash> {
    let value = |hash: &Hash, field: &Element| hash.get(field).map_or(Reply::Nil, |value| Reply::Number(*value));
    let answer = match call {
        Call::Put(pairs) => number(pairs.iter().filter(|(field, value)| hash.insert(*field, *value).is_none()).count()),
        Call::PutAbsent(field, value) => {
            let absent = !hash.contains_key(field);
            hash.entry(*field).or_insert(*value);
            Reply::Number(i64::from(absent))
        }
        Call::Increment(field, by) => {
            let value = hash.entry(*field).or_default();
            *value += by;
            Reply::Number(*value)
        }
        Call::Remove(fields) => number(fields.iter().filter(|field| hash.remove(field).is_some()).count()),
        Call::Get(field) => value(&hash, field),
        Call::GetEach(fields) => Reply::Items(fields.iter().map(|field| value(&hash, field)).collect()),
        Call::All => Reply::Items(
            hash.iter().flat_map(|(field, value)| [Reply::Element(*field), Reply::Number(*value)]).collect(),
        ),
        Call::Fields => Reply::Items(hash.keys().copied().map(Reply::Element).collect()),
        Call::Values => {
            let mut values: Vec<Reply> = hash.values().copied().map(Reply::Number).collect();
            values.sort_unstable();
            Reply::Items(values)
        }
        Call::Length => number(hash.len()),
        Call::Has(field) => Reply::Number(i64::from(hash.contains_key(field))),
        Call::Draw => return any_of(hash.clone().into_keys(), hash),
    };
    vec![(answer, hash)]
}
