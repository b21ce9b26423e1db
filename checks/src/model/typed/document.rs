//! JSON documents: an object of numbers, by name, and of one array.

use std::collections::BTreeMap;

use super::{Element, number};
use crate::model::Reply;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Document {
    numbers: BTreeMap<Element, i64>,
    row: Vec<Element>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A new one, that holds an empty array, in the place of whatever there is.
    Create,
    Put(Element, i64),
    Increment(Element, i64),
    Remove(Element),
    /// Behind the last one of the array.
    Append(Vec<Element>),
    /// The last one of the array.
    Pop,
    All,
}

impl Call {
    pub fn is_read(&self) -> bool {
        *self == Call::All
    }
}

pub fn run(call: &Call, document: Option<Document>) -> (Reply, Option<Document>) {
    let Some(mut document) = document else {
        return match call {
            Call::Create => (Reply::Ok, Some(Document::default())),
            Call::Remove(_) => (Reply::Number(0), None),
            Call::All => (Reply::Nil, None),
            _ => (Reply::NoDocument, None),
        };
    };
    let answer = match call {
        Call::Create => {
            document = Document::default();
            Reply::Ok
        }
        Call::Put(name, value) => {
            document.numbers.insert(*name, *value);
            Reply::Ok
        }
        Call::Increment(name, by) => {
            let value = document.numbers.get_mut(name).map(|value| {
                *value += by;
                Reply::Number(*value)
            });
            Reply::Items(value.into_iter().collect())
        }
        Call::Remove(name) => number(usize::from(document.numbers.remove(name).is_some())),
        Call::Append(elements) => {
            document.row.extend(elements);
            Reply::Items(vec![number(document.row.len())])
        }
        Call::Pop => Reply::Items(vec![document.row.pop().map_or(Reply::Nil, Reply::Element)]),
        Call::All => {
            let numbers = document.numbers.iter().flat_map(|(name, n)| [Reply::Element(*name), Reply::Number(*n)]);
            Reply::Items(numbers.chain(document.row.iter().copied().map(Reply::Element)).collect())
        }
    };
    (answer, Some(document))
}
