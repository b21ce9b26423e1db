//! Lists.

use std::collections::VecDeque;

use super::{Element, number, part};
use crate::model::Reply;

pub type List = VecDeque<Element>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Push {
        elements: Vec<Element>,
        left: bool,
        /// Only if there is a list.
        only_present: bool,
    },
    Pop {
        left: bool,
        count: Option<usize>,
    },
    Range(i64, i64),
    Length,
    At(i64),
    Put(i64, Element),
    /// So many, from the left; from the right, if it is less than zero; all, if it is zero.
    Remove(i64, Element),
    Insert {
        before: bool,
        pivot: Element,
        element: Element,
    },
    Trim(i64, i64),
    Find(Element),
}

impl Call {
    pub fn is_read(&self) -> bool {
        matches!(self, Call::Range(..) | Call::Length | Call::At(_) | Call::Find(_))
    }
}

pub fn run(call: &Call, mut list: List) -> (Reply, List) {
    let index = |at: i64, list: &List| usize::try_from(if at < 0 { at + list.len() as i64 } else { at }).ok();
    let answer = match call {
        Call::Push { only_present: true, .. } if list.is_empty() => Reply::Number(0),
        Call::Push { elements, left, .. } => {
            elements.iter().for_each(|element| push(&mut list, *element, *left));
            number(list.len())
        }
        Call::Pop { .. } if list.is_empty() => Reply::Nil,
        Call::Pop { left, count: None } => pop(&mut list, *left).map_or(Reply::Nil, Reply::Element),
        Call::Pop { left, count: Some(count) } => {
            let popped = std::iter::from_fn(|| pop(&mut list, *left)).take(*count);
            Reply::Items(popped.map(Reply::Element).collect())
        }
        Call::Range(from, to) => {
            Reply::Items(list.range(part(list.len(), *from, *to)).copied().map(Reply::Element).collect())
        }
        Call::Length => number(list.len()),
        Call::At(at) => {
            index(*at, &list).and_then(|at| list.get(at)).map_or(Reply::Nil, |element| Reply::Element(*element))
        }
        Call::Put(..) if list.is_empty() => Reply::NoSuchKey,
        Call::Put(at, element) => match index(*at, &list).and_then(|at| list.get_mut(at)) {
            Some(old) => {
                *old = *element;
                Reply::Ok
            }
            None => Reply::NoSuchIndex,
        },
        Call::Remove(count, element) => {
            let mut places: Vec<usize> = (0..list.len()).filter(|at| list[*at] == *element).collect();
            if *count < 0 {
                places.reverse();
            }
            if *count != 0 {
                places.truncate(count.unsigned_abs() as usize);
            }
            places.sort_unstable();
            for at in places.iter().rev() {
                list.remove(*at);
            }
            number(places.len())
        }
        Call::Insert { .. } if list.is_empty() => Reply::Number(0),
        Call::Insert { before, pivot, element } => match list.iter().position(|other| other == pivot) {
            Some(at) => {
                list.insert(if *before { at } else { at + 1 }, *element);
                number(list.len())
            }
            None => Reply::Number(-1),
        },
        Call::Trim(from, to) => {
            list = list.range(part(list.len(), *from, *to)).copied().collect();
            Reply::Ok
        }
        Call::Find(element) => list.iter().position(|other| other == element).map_or(Reply::Nil, number),
    };
    (answer, list)
}

pub fn push(list: &mut List, element: Element, left: bool) {
    if left { list.push_front(element) } else { list.push_back(element) }
}

pub fn pop(list: &mut List, left: bool) -> Option<Element> {
    if left { list.pop_front() } else { list.pop_back() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_removed_from_the_end_that_is_asked_for() {
        let list = || List::from([1, 2, 1, 3, 1]);
        for (count, left) in [(2, vec![2, 3, 1]), (-1, vec![1, 2, 1, 3]), (0, vec![2, 3])] {
            assert_eq!(run(&Call::Remove(count, 1), list()).1, left);
        }
    }

    #[test]
    fn a_pop_takes_from_its_end() {
        let popped = run(&Call::Pop { left: false, count: Some(2) }, List::from([1, 2, 3]));
        assert_eq!(popped, (Reply::Items(vec![Reply::Element(3), Reply::Element(2)]), List::from([1])));
        assert_eq!(run(&Call::Put(-4, 1), List::from([1, 2, 3])).0, Reply::NoSuchIndex);
    }
}
