//! How a Keeper leaves the Raft group: what the leader decides about it, and how the one that has left finds out.
//!
//! An id that has left never comes back. Who was a member and hears from anybody that a later configuration is without
//! it, takes no part any more: that is certain, whoever says it, for the configuration is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;

use crate::admission::{Seen, Silence, wanted_voters};
use crate::ask::{Answer, Ask, ask};
use crate::env::Env;
use crate::keeper::Keeper;
use crate::types::{Membership, Peer};

/// How often a Keeper looks whether anything is committed, and how long one that is asked then may take.
const LOOK: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a process cannot go on, and never will with this folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Removed {
    #[error(
        "this node's Keeper was removed from the cluster; to go on without one, start the node with --keeper none; to join again, as a new one, start it with --join and an empty data folder"
    )]
    Keeper,
    #[error(
        "this node was removed from the cluster; to join again, as a new one, start it with --join and an empty data folder"
    )]
    Core,
}

/// What removes Keepers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// There is none of them.
    Done,
    /// The leader is one of them: this one is to lead first.
    HandOver(u64),
    /// First this change of who votes, if one is needed, after which those that leave are learners; then they leave.
    Leave { voters: Option<ChangeMembers<u64, Peer>>, ids: BTreeSet<u64> },
}

/// How Keepers of a name leave a group that `leader` leads; of those that remain a majority must be alive. They are known by
/// their ids: another one may have come under the same name since.
pub(crate) fn removal(
    membership: &Membership,
    seen: &BTreeMap<u64, Seen>,
    silence: Silence,
    leader: u64,
    leaving: &[u64],
    name: &str,
) -> Result<Removal, String> {
    if silence.is_too_early() {
        return Err("this leader does not know yet who is alive: ask again".into());
    }
    let [voters] = membership.get_joint_config().as_slice() else {
        return Err("the Keepers that vote are just changing: ask again".into());
    };
    let is_of = |id: &u64| leaving.contains(id);
    let ids: BTreeSet<u64> = membership.nodes().map(|(id, _)| *id).filter(is_of).collect();
    if ids.is_empty() {
        return Ok(Removal::Done);
    }
    if ids.is_disjoint(voters) {
        return Ok(Removal::Leave { voters: None, ids });
    }
    let mut left: Vec<u64> = voters.iter().copied().filter(|id| !is_of(id)).collect();
    if left.is_empty() {
        return Err(match membership.nodes().count() - ids.len() {
            0 => format!("{name} has the only Keeper: nobody else has the data"),
            _ => format!("{name} has the only Keeper that votes, until the others have the data: ask again then"),
        });
    }
    let of = |id: &u64| seen.get(id).copied().unwrap_or_default();
    let rank = |id: &u64| (*id == leader, silence.is_alive(of(id)), of(id).matched);
    // The best first: a fourth voter goes with it, the one that is missed least.
    left.sort_by_key(|id| std::cmp::Reverse(rank(id)));
    let rest = membership.nodes().filter(|(id, _)| !is_of(id));
    let names: BTreeSet<&str> = rest.map(|(_, peer)| peer.0.name.as_str()).collect();
    let wanted = wanted_voters(names.len());
    if left.len() > wanted || left.len() == 4 {
        left.truncate(wanted.min(3));
    }
    let alive = left.iter().filter(|id| silence.is_alive(of(id))).count();
    if alive <= left.len() / 2 {
        return Err(format!(
            "without {name}, {} Keepers would vote, and of these only {alive} answer: start the others, or remove them first",
            left.len()
        ));
    }
    if is_of(&leader) {
        return Ok(Removal::HandOver(left[0]));
    }
    let without = voters.iter().copied().filter(|id| !left.contains(id)).collect();
    Ok(Removal::Leave { voters: Some(ChangeMembers::RemoveVoters(without)), ids })
}

/// While nothing is committed here, asks others whether this Keeper is a member still: a leader that has removed one says
/// nothing to it any more.
pub(crate) async fn watch<E: Env>(keeper: Arc<Keeper<E>>) {
    let mut before = None;
    while !keeper.has_stopped() && !keeper.was_removed() {
        keeper.env().sleep(LOOK).await;
        let committed = Some(keeper.committed().value());
        let is_idle = std::mem::replace(&mut before, committed) == committed;
        if is_idle && !keeper.leads() {
            find_out(&keeper).await;
        }
    }
}

/// Asks all others that are known.
pub(crate) async fn find_out<E: Env>(keeper: &Keeper<E>) {
    if keeper.was_member() {
        let mut nodes = keeper.directory().addresses();
        nodes.extend(keeper.members().into_iter().map(|(_, member)| member.address));
        let mut asked = BTreeSet::from([keeper.member().address.clone()]);
        for address in nodes {
            if !asked.insert(address.clone()) {
                continue;
            }
            if let Ok(Answer::Removed { at }) =
                ask(keeper.env(), &address, &Ask::Member { id: keeper.id() }, PATIENCE).await
            {
                keeper.hear_removed(at).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mneme_kernel::members::Member;

    use super::*;

    const SILENCE: Silence = Silence { patience: Duration::from_secs(1), led_for: Duration::from_secs(60) };

    /// Keepers by their ids, those that vote first; the name of each is its letter.
    fn group(voters: &[u64], learners: &[u64]) -> Membership {
        let nodes: BTreeMap<u64, Peer> = voters
            .iter()
            .chain(learners)
            .map(|id| (*id, Peer(Member { name: format!("k{id}"), address: format!("k{id}:7000") })))
            .collect();
        Membership::new(vec![voters.iter().copied().collect()], nodes).expect("voters are members")
    }

    fn alive(ids: &[u64]) -> BTreeMap<u64, Seen> {
        let seen = Seen { matched: Some(9), ago: Some(Duration::from_millis(20)) };
        ids.iter().map(|id| (*id, seen)).collect()
    }

    fn leaves(voters: &[u64], id: u64) -> Removal {
        let voters = (!voters.is_empty()).then(|| ChangeMembers::RemoveVoters(voters.iter().copied().collect()));
        Removal::Leave { voters, ids: BTreeSet::from([id]) }
    }

    #[test]
    fn a_voter_leaves_if_the_rest_has_a_majority_that_lives() {
        let three = group(&[1, 2, 3], &[]);
        assert_eq!(removal(&three, &alive(&[1, 2, 3]), SILENCE, 1, &[3], "k3"), Ok(leaves(&[3], 3)));
        assert_eq!(removal(&three, &alive(&[1, 2]), SILENCE, 1, &[3], "k3"), Ok(leaves(&[3], 3)), "the dead one");
        let refused = removal(&three, &alive(&[1, 2]), SILENCE, 1, &[2], "k2").expect_err("1 of 2 is no majority");
        assert!(refused.contains("2 Keepers would vote") && refused.contains("only 1"), "{refused}");
        assert_eq!(removal(&group(&[1, 2], &[]), &alive(&[1, 2]), SILENCE, 1, &[2], "k2"), Ok(leaves(&[2], 2)));
        assert_eq!(removal(&three, &alive(&[1, 2, 3]), SILENCE, 1, &[33], "k3"), Ok(Removal::Done), "it has left");
    }

    #[test]
    fn a_new_leader_takes_nobody_for_alive_that_it_has_not_heard() {
        let three = group(&[1, 2, 3], &[]);
        let new = Silence { led_for: Duration::from_millis(100), ..SILENCE };
        let refused = removal(&three, &alive(&[2]), new, 2, &[1], "k1").expect_err("3 may have died long ago");
        assert!(refused.contains("ask again"), "{refused}");
        assert!(removal(&three, &alive(&[2]), SILENCE, 2, &[1], "k1").is_err(), "3 is dead");
    }

    #[test]
    fn the_last_one_stays() {
        assert!(removal(&group(&[1], &[]), &alive(&[1]), SILENCE, 1, &[1], "k1").is_err());
        let refused =
            removal(&group(&[1], &[2]), &alive(&[1, 2]), SILENCE, 1, &[1], "k1").expect_err("k2 is not ready");
        assert!(refused.contains("ask again"), "{refused}");
    }

    #[test]
    fn a_fourth_voter_goes_with_the_fifth_the_one_that_is_missed_least() {
        let five = group(&[1, 2, 3, 4, 5], &[]);
        assert_eq!(removal(&five, &alive(&[1, 2, 3, 5]), SILENCE, 1, &[5], "k5"), Ok(leaves(&[4, 5], 5)), "4 is dead");
        let mut slow = alive(&[1, 2, 3, 4, 5]);
        slow.entry(2).or_default().matched = Some(3);
        assert_eq!(removal(&five, &slow, SILENCE, 1, &[5], "k5"), Ok(leaves(&[2, 5], 5)));
        let four = group(&[1, 2, 3], &[4]);
        assert_eq!(removal(&four, &alive(&[1, 2, 3, 4]), SILENCE, 1, &[4], "k4"), Ok(leaves(&[], 4)));
        assert_eq!(removal(&four, &alive(&[1, 2, 3, 4]), SILENCE, 1, &[3], "k3"), Ok(leaves(&[3], 3)));
    }

    #[test]
    fn a_leader_that_is_to_leave_hands_over_first() {
        let three = group(&[1, 2, 3], &[]);
        let mut seen = alive(&[1, 2, 3]);
        seen.entry(2).or_default().matched = Some(4);
        assert_eq!(removal(&three, &seen, SILENCE, 1, &[1], "k1"), Ok(Removal::HandOver(3)));
    }
}
