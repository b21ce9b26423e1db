//! Where the other Keepers of the group are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// The addresses of Keepers by id, for all that dial them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// As the newest membership says that this Keeper knows, committed or not.
    members: BTreeMap<u64, String>,
    /// Where members have said that they are now. The membership may be unable to follow before they are reached there:
    /// a change of it may be under way that needs them.
    moved: BTreeMap<u64, String>,
}

impl Addresses {
    pub(crate) fn get(&self, id: u64) -> Option<String> {
        let known = lock(&self.0);
        let member = known.members.get(&id)?;
        Some(known.moved.get(&id).unwrap_or(member).clone())
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        lock(&self.0).members.contains_key(&id)
    }

    /// A membership has these.
    pub(crate) fn learn(&self, members: BTreeMap<u64, String>) {
        let mut known = lock(&self.0);
        known.moved.retain(|id, address| members.get(id).is_some_and(|member| member != address));
        known.members = members;
    }

    /// This member is there, until more is known.
    pub(crate) fn suppose(&self, id: u64, address: &str) {
        lock(&self.0).members.entry(id).or_insert_with(|| address.to_owned());
    }

    /// A member has said where it is now.
    pub(crate) fn moved(&self, id: u64, address: &str) {
        let mut known = lock(&self.0);
        if known.members.get(&id).is_some_and(|member| member != address) {
            known.moved.insert(id, address.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(all: &[(u64, &str)]) -> BTreeMap<u64, String> {
        all.iter().map(|(id, address)| (*id, (*address).to_owned())).collect()
    }

    #[test]
    fn a_member_is_where_it_says_until_the_membership_says_so_too() {
        let addresses = Addresses::default();
        addresses.learn(members(&[(1, "a:1"), (2, "b:1")]));
        addresses.moved(2, "b:2");
        assert_eq!(addresses.get(2).as_deref(), Some("b:2"));
        addresses.learn(members(&[(1, "a:1"), (2, "b:1")]));
        assert_eq!(addresses.get(2).as_deref(), Some("b:2"), "the same membership says nothing new");
        addresses.learn(members(&[(1, "a:1"), (2, "b:2")]));
        addresses.learn(members(&[(1, "a:1"), (2, "b:3")]));
        assert_eq!(addresses.get(2).as_deref(), Some("b:3"), "what was said is done with");
    }

    #[test]
    fn who_is_no_member_is_nowhere() {
        let addresses = Addresses::default();
        addresses.moved(2, "b:2");
        assert_eq!(addresses.get(2), None);
        addresses.learn(members(&[(2, "b:1")]));
        addresses.moved(2, "b:2");
        addresses.learn(members(&[(1, "a:1")]));
        assert_eq!(addresses.get(2), None);
    }
}
