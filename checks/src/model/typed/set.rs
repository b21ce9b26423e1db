//! Sets.

use std::collections::BTreeSet;

use super::{Element, Outcomes, any_of, number};
use crate::model::Reply;

pub type Set = BTreeSet<Element>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Add(Vec<Element>),
    Remove(Vec<Element>),
    /// Any one, or any so many.
    Pop(Option<usize>),
    All,
    Length,
    Has(Element),
    HasEach(Vec<Element>),
    /// Any one.
    Draw,
}

impl Call {
    pub fn is_read(&self) -> bool {
        !matches!(self, Call::Add(_) | Call::Remove(_) | Call::Pop(_))
    }
}

pub fn run(call: &Call, mut set: Set) -> Outcomes<Set> {
    let has = |set: &Set, member: &Element| Reply::Number(i64::from(set.contains(member)));
    let answer = match call {
        Call::Add(members) => number(members.iter().filter(|member| set.insert(**member)).count()),
        Call::Remove(members) => number(members.iter().filter(|member| set.remove(member)).count()),
        Call::Pop(count) => return pop(*count, set),
        Call::All => all(&set),
        Call::Length => number(set.len()),
        Call::Has(member) => has(&set, member),
        Call::HasEach(members) => Reply::Items(members.iter().map(|member| has(&set, member)).collect()),
        Call::Draw => return any_of(set.clone().into_iter(), set),
    };
    vec![(answer, set)]
}

pub fn all(set: &Set) -> Reply {
    Reply::Items(set.iter().copied().map(Reply::Element).collect())
}

/// Whatever is taken is then gone.
fn pop(count: Option<usize>, set: Set) -> Outcomes<Set> {
    let Some(count) = count else {
        let taken = set.iter().map(|member| (Reply::Element(*member), &set - &Set::from([*member])));
        let taken: Outcomes<Set> = taken.collect();
        return if taken.is_empty() { vec![(Reply::Nil, set)] } else { taken };
    };
    let mut taken: Vec<Set> = vec![Set::new()];
    for member in &set {
        let more: Vec<Set> =
            taken.iter().filter(|taken| taken.len() < count).map(|set| set | &[*member].into()).collect();
        taken.extend(more);
    }
    taken.retain(|taken| taken.len() == count.min(set.len()));
    taken.into_iter().map(|taken| (all(&taken), &set - &taken)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_members_may_be_popped_and_no_others() {
        let popped = run(&Call::Pop(Some(2)), Set::from([1, 4, 6]));
        let pairs: BTreeSet<Set> = popped.iter().map(|(_, left)| left.clone()).collect();
        assert_eq!(pairs, BTreeSet::from([Set::from([1]), Set::from([4]), Set::from([6])]));
        assert!(popped.contains(&(all(&Set::from([1, 6])), Set::from([4]))));
        assert_eq!(run(&Call::Pop(Some(2)), Set::from([1])), [(all(&Set::from([1])), Set::new())]);
        assert_eq!(run(&Call::Pop(None), Set::new()), [(Reply::Nil, Set::new())]);
    }
}
