//! Who a Keeper is, and what makes up a group.

use std::fmt;

use crate::numbers::Node;

/// One life of a machine's disk: who has lost it, or set aside what was damaged, is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u8);

/// Lives that a machine's disk may have in a scenario.
const LIVES: u8 = 4;

impl Id {
    pub fn first(machine: Node) -> Self {
        Self(machine.0 * LIVES)
    }

    /// Of the next disk of the same machine.
    #[must_use]
    pub fn next(self) -> Self {
        let next = Self(self.0 + 1);
        assert_eq!(next.machine(), self.machine(), "a scenario takes fewer disks from a machine");
        next
    }

    pub fn machine(self) -> Node {
        Node(self.0 / LIVES)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % LIVES {
            0 => self.machine().fmt(f),
            life => write!(f, "{}{}", self.machine(), life + 1),
        }
    }
}

/// A set of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ids(u32);

impl Ids {
    pub fn has(self, id: Id) -> bool {
        self.0 & (1 << id.0) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    #[must_use]
    pub fn and(self, other: Ids) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub fn without(self, other: Ids) -> Self {
        Self(self.0 & !other.0)
    }

    #[must_use]
    pub fn common(self, other: Ids) -> Self {
        Self(self.0 & other.0)
    }

    #[must_use]
    pub fn of(self, machine: Node) -> Self {
        self.iter().filter(|id| id.machine() == machine).collect()
    }

    pub fn iter(self) -> impl DoubleEndedIterator<Item = Id> {
        (0..32).map(Id).filter(move |id| self.has(*id))
    }

    /// More than half of these are in the other set.
    fn has_majority_in(self, others: Ids) -> bool {
        2 * self.common(others).len() > self.len()
    }
}

impl FromIterator<Id> for Ids {
    fn from_iter<T: IntoIterator<Item = Id>>(ids: T) -> Self {
        Self(ids.into_iter().fold(0, |set, id| set | 1 << id.0))
    }
}

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(|id| id.to_string()).collect();
        f.write_str(&names.join(" "))
    }
}

/// A configuration of the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Config {
    /// Who voted before the change that is under way (joint consensus); empty: none is.
    pub before: Ids,
    pub voters: Ids,
    /// All, learners too.
    pub members: Ids,
}

impl Config {
    pub fn is_joint(&self) -> bool {
        !self.before.is_empty()
    }

    /// Whether these are a majority of those that vote, and of those that did.
    pub fn is_quorum(&self, ids: Ids) -> bool {
        self.voters.has_majority_in(ids) && (!self.is_joint() || self.before.has_majority_in(ids))
    }

    pub fn votes(&self, id: Id) -> bool {
        self.voters.and(self.before).has(id)
    }

    /// Machines that have a Keeper in the group.
    pub fn names(&self) -> usize {
        let mut machines: Vec<_> = self.members.iter().map(Id::machine).collect();
        machines.dedup();
        machines.len()
    }

    /// Voters that a group of so many names is meant to have: 1, 2, 3 or 5.
    pub fn wanted_voters(names: usize) -> usize {
        match names {
            0..=3 => names,
            4 => 3,
            _ => 5,
        }
    }

    /// Whether a member is to become a voter sooner or later.
    pub fn wants(&self, id: Id) -> bool {
        let replaces = !self.voters.of(id.machine()).is_empty();
        !self.voters.has(id) && (replaces || self.voters.len() < Self::wanted_voters(self.names()))
    }

    /// The voters are to be these; the members stay for now.
    #[must_use]
    pub fn towards(self, voters: Ids) -> Self {
        Self { before: self.voters, voters, members: self.members }
    }

    /// The end of a change: an old id leaves whose new one has its place, and who only votes no more goes on learning.
    #[must_use]
    pub fn ended(self) -> Self {
        let is_replaced = |id: &Id| !self.voters.of(id.machine()).is_empty();
        let leaving = self.before.without(self.voters).iter().filter(is_replaced).collect();
        Self { before: Ids::default(), voters: self.voters, members: self.members.without(leaving) }
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_joint() {
            write!(f, "{} -> ", self.before)?;
        }
        self.voters.fmt(f)?;
        let learners = self.members.without(self.voters).without(self.before);
        if !learners.is_empty() {
            write!(f, "; learns: {learners}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(machines: &[u8]) -> Ids {
        machines.iter().map(|machine| Id::first(Node(*machine))).collect()
    }

    #[test]
    fn while_voters_change_a_majority_of_both_decides() {
        let all = Config { voters: ids(&[0, 1, 2]), members: ids(&[0, 1, 2, 3, 4]), ..Config::default() };
        let joint = all.towards(ids(&[2, 3, 4]));
        assert!(!joint.is_quorum(ids(&[0, 1])) && !joint.is_quorum(ids(&[3, 4])));
        assert!(joint.is_quorum(ids(&[1, 2, 3])));
        assert!(!Config::default().is_quorum(ids(&[0, 1])), "nobody votes");
    }

    #[test]
    fn only_an_old_id_leaves_by_the_end_of_a_change() {
        let all = Config { voters: ids(&[0, 1, 2, 3, 4]), members: ids(&[0, 1, 2, 3, 4]), ..Config::default() };
        assert_eq!(all.towards(ids(&[0, 1, 2])).ended().members, all.members);
        let (old, new) = (Id::first(Node(4)), Id::first(Node(4)).next());
        let members = all.members.and(Ids::from_iter([new]));
        let replacement = Config { members, ..all }.towards(ids(&[0, 1, 2, 3]).and(Ids::from_iter([new])));
        assert!(replacement.votes(old) && replacement.votes(new));
        assert_eq!(replacement.ended().members, ids(&[0, 1, 2, 3]).and(Ids::from_iter([new])));
    }

    #[test]
    fn a_new_id_wants_the_place_of_the_old_one() {
        let new = Id::first(Node(1)).next();
        let config = Config { voters: ids(&[0, 1, 2]), members: ids(&[0, 1, 2, 3]), ..Config::default() };
        assert!(!config.wants(Id::first(Node(3))), "a fourth one learns");
        assert!(Config { members: config.members.and(Ids::from_iter([new])), ..config }.wants(new));
    }
}
