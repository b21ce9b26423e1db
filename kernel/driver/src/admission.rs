//! Who is a member of the Raft group, and who votes.
//!
//! A Keeper asks to be admitted until it is. The leader takes it in as a learner, and makes it a voter once it has the
//! log. A Keeper that lost its disk comes under a new id: the old one leaves in the change that makes the new one a
//! voter, so the majority is never shrunk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mneme_kernel::members::Member;
use mneme_kernel::mutant::Mutant;
use mneme_kernel::probe::Probe;
use openraft::ChangeMembers;

use crate::ask::{Answer, Ask, ask};
use crate::env::Env;
use crate::keeper::Keeper;
use crate::types::{Membership, Peer};

type Change = ChangeMembers<u64, Peer>;

/// How often the leader looks whether somebody can become a voter.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// How long somebody who is asked may take; the leader waits for a commit before it answers.
const ASK_PATIENCE: Duration = Duration::from_secs(3);
/// How long a change of the members may take before it is tried again.
pub(crate) const CHANGE_PATIENCE: Duration = Duration::from_secs(5);
/// The pause between two rounds of asking, doubling up to the second number.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Members of a group: enough for 5 voters, as many learners as anybody runs, and those who are leaving.
const MOST_MEMBERS: usize = 64;

/// What the leader knows of a member's log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Its last entry that is known to be the leader's.
    pub matched: Option<u64>,
    /// How long ago it last answered; `None` if it has not since this leader was elected.
    pub ago: Option<Duration>,
}

/// How long silence may last before a member counts as gone, and how long this leader has led.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence {
    pub patience: Duration,
    pub led_for: Duration,
}

impl Silence {
    /// This leader cannot have heard yet of all that are alive.
    pub(crate) fn is_too_early(self) -> bool {
        self.led_for < self.patience
    }

    /// A new leader has heard of nobody yet: until it could have, everybody counts as alive.
    pub(crate) fn is_alive(&self, seen: Seen) -> bool {
        seen.ago.unwrap_or(self.led_for) < self.patience
    }
}

/// Voters that a group with Keepers of so many names is meant to have.
pub(crate) fn wanted_voters(names: usize) -> usize {
    match names {
        0..=3 => names,
        4 => 3,
        _ => 5,
    }
}

fn names(membership: &Membership) -> BTreeSet<&str> {
    membership.nodes().map(|(_, peer)| peer.0.name.as_str()).collect()
}

/// Those who vote, or will when a change that has begun is done.
fn voters(membership: &Membership) -> BTreeSet<u64> {
    membership.get_joint_config().last().cloned().unwrap_or_default()
}

/// Whether a member is to become a voter sooner or later.
pub(crate) fn is_wanted_as_voter(membership: &Membership, id: u64) -> bool {
    let voters = voters(membership);
    let name = membership.get_node(&id).map(|peer| &peer.0.name);
    let replaces = |voter: &u64| membership.get_node(voter).map(|peer| &peer.0.name) == name;
    !voters.contains(&id) && (voters.len() < wanted_voters(names(membership).len()) || voters.iter().any(replaces))
}

/// What admits a Keeper; `None` if it is a member.
pub(crate) fn admission(
    membership: &Membership,
    seen: &BTreeMap<u64, Seen>,
    silence: Silence,
    id: u64,
    member: &Member,
) -> Result<Option<Change>, String> {
    let known = membership.get_node(&id).map(|peer| &peer.0);
    if known == Some(member) {
        return Ok(None);
    }
    if membership.get_joint_config().len() > 1 {
        // This would end that change, and drop who votes no more.
        return Err("the Keepers that vote are just changing: ask again".into());
    }
    let joining = BTreeMap::from([(id, Peer(member.clone()))]);
    if known.is_some() {
        return Ok(Some(Change::SetNodes(joining)));
    }
    let namesakes: BTreeSet<u64> =
        membership.nodes().filter(|(_, peer)| peer.0.name == member.name).map(|(id, _)| *id).collect();
    if namesakes.iter().any(|id| silence.is_alive(seen.get(id).copied().unwrap_or_default())) {
        return Err(format!("the cluster has a Keeper {}, and that one is alive", member.name));
    }
    if membership.nodes().count() >= MOST_MEMBERS {
        return Err(format!("the cluster has {MOST_MEMBERS} Keepers already"));
    }
    let voters = voters(membership);
    // Those that vote leave when the new one is ready to take their place.
    let leaving = namesakes.difference(&voters).copied().collect();
    Ok(Some(Change::Batch(vec![Change::RemoveNodes(leaving), Change::AddNodes(joining)])))
}

/// What ends a change that a leader which is gone has begun, if there is one. Who votes no more goes on learning: it may be
/// a fourth voter that is only not needed. An old id leaves whose new one has its place.
pub(crate) fn completion(membership: &Membership) -> Option<Change> {
    let [before, .., after] = membership.get_joint_config().as_slice() else { return None };
    let name = |id: &u64| membership.get_node(id).map(|peer| &peer.0.name);
    let replaced = |id: &&u64| after.iter().any(|voter| name(voter) == name(id));
    let leaving = before.difference(after).filter(replaced).copied().collect();
    Some(Change::Batch(vec![Change::ReplaceAllVoters(after.clone()), Change::RemoveNodes(leaving)]))
}

/// The next change that brings the voters nearer to what is wanted, if one is possible now. `mark` is an index that
/// everybody who keeps up has.
pub(crate) fn promotion(
    membership: &Membership,
    seen: &BTreeMap<u64, Seen>,
    silence: Silence,
    mark: u64,
) -> Option<Change> {
    let voters = voters(membership);
    let of = |id: &u64| seen.get(id).copied().unwrap_or_default();
    let is_ready = |id: &u64| {
        let seen = of(id);
        let is_heard = seen.ago.is_some_and(|ago| ago < silence.patience);
        (is_heard && seen.matched.is_some_and(|matched| matched >= mark)) || Mutant::PromoteEarly.is_chosen()
    };
    let name = |id: &u64| membership.get_node(id).map(|peer| peer.0.name.as_str());
    let mut ready = Vec::new();
    for (id, _) in membership.nodes().filter(|(id, _)| !voters.contains(id) && is_ready(id)) {
        match voters.iter().find(|voter| name(voter) == name(id)) {
            Some(voter) if !silence.is_alive(of(voter)) => {
                let leaving = BTreeSet::from([*voter]);
                let change = [Change::AddVoterIds(BTreeSet::from([*id])), Change::RemoveVoters(leaving)];
                return Some(Change::Batch(change.into()));
            }
            Some(_) => {}
            None => ready.push(*id),
        }
    }
    let possible = (voters.len() + ready.len()).min(wanted_voters(names(membership).len()));
    // Four voters survive no more than three do.
    let size = if possible == 4 { 3 } else { possible };
    let more = size.checked_sub(voters.len()).filter(|more| *more > 0)?;
    Some(Change::AddVoterIds(ready.into_iter().take(more).collect()))
}

/// Asks until this Keeper is a member, and the group knows where it is. One that was a member is not admitted again: it
/// only says where it is now. `nodes` are addresses of nodes that may know.
pub(crate) async fn join<E: Env>(keeper: Arc<Keeper<E>>, nodes: Vec<String>) {
    let own = keeper.member().clone();
    let mut pause = SHORTEST_PAUSE;
    let mut said = None;
    let mut hint: Option<String> = None;
    while !keeper.has_stopped() && !keeper.is_known() && !keeper.was_removed() {
        let (id, member) = (keeper.id(), own.clone());
        let question = if keeper.was_member() { Ask::Moved { id, member } } else { Ask::Admit { id, member } };
        // It may have moved and lead already.
        if keeper.leads() && keeper.admit(keeper.id(), own.clone()).await == Answer::Done {
            keeper.env().sleep(pause).await;
            continue;
        }
        let mut round: Vec<String> = hint.take().into_iter().collect();
        round.extend(keeper.leader().map(|(_, leader)| leader.address));
        round.extend(nodes.iter().cloned());
        round.extend(keeper.members().into_iter().map(|(_, member)| member.address));
        let mut asked = BTreeSet::from([own.address.clone()]);
        let mut why = String::from("nobody is known");
        for address in round {
            if !asked.insert(address.clone()) {
                continue;
            }
            match ask(keeper.env(), &address, &question, ASK_PATIENCE).await {
                Ok(Answer::Done) => {
                    pause = SHORTEST_PAUSE;
                    "admitted; nothing has come from the leader yet".clone_into(&mut why);
                    break;
                }
                Ok(Answer::Found) => {
                    keeper.found().await;
                    break;
                }
                Ok(Answer::NotLeader(Some(leader))) if !asked.contains(&leader.address) => {
                    hint = Some(leader.address);
                    pause = SHORTEST_PAUSE;
                    why = format!("{address} knows who leads");
                    break;
                }
                Ok(Answer::Removed { at }) => {
                    if keeper.hear_removed(at).await {
                        return;
                    }
                    why = format!("{address} knows less of the members");
                }
                Ok(Answer::NotLeader(_)) => why = format!("{address} knows of no leader"),
                Ok(Answer::Refused(refusal)) => why = format!("{address}: {refusal}"),
                Ok(Answer::Reads(_) | Answer::Reach(_) | Answer::Group { .. }) => {
                    why = format!("{address} gave no answer to this")
                }
                Err(error) => why = format!("{address}: {error}"),
            }
        }
        if hint.is_none() {
            if said.as_ref() != Some(&why) {
                tracing::info!("this Keeper is not admitted yet, trying on; {why}");
                said = Some(why);
            }
            keeper.env().sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// While this Keeper leads, makes voters of those who are ready; for ever.
pub(crate) async fn promote<E: Env>(keeper: Arc<Keeper<E>>) {
    let mut mark = None;
    while !keeper.has_stopped() {
        keeper.env().sleep(TICK).await;
        let before = mark.take();
        let Some(view) = keeper.view() else { continue };
        // What was the last entry a tick ago.
        let (change, retain) = match completion(&view.membership) {
            Some(change) => (Some(change), true),
            None => (before.and_then(|mark| promotion(&view.membership, &view.seen, view.silence, mark)), false),
        };
        let Some(change) = change else {
            mark = Some(view.last);
            continue;
        };
        let replaces = matches!(&change, ChangeMembers::Batch(_));
        keeper.env().probes().hit(match (retain, replaces) {
            (true, _) => Probe::JointCompleted,
            (false, true) => Probe::VoterReplaced,
            (false, false) => Probe::VoterPromoted,
        });
        tracing::info!(?change, "the members change");
        // It may take long: the next mark is made after it.
        if let Err(why) = keeper.change(&view, change, retain).await {
            tracing::warn!("the members could not be changed, trying on: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Silence = Silence { patience: Duration::from_secs(1), led_for: Duration::from_secs(60) };
    const HEARD: Duration = Duration::from_millis(20);

    fn member(name: &str) -> Member {
        Member { name: name.into(), address: format!("{name}:7000") }
    }

    fn group(voters: &[u64], all: &[(u64, &str)]) -> Membership {
        let nodes: BTreeMap<u64, Peer> = all.iter().map(|(id, name)| (*id, Peer(member(name)))).collect();
        Membership::new(vec![voters.iter().copied().collect()], nodes).expect("voters are members")
    }

    fn seen(all: &[(u64, u64)]) -> BTreeMap<u64, Seen> {
        all.iter().map(|(id, matched)| (*id, Seen { matched: Some(*matched), ago: Some(HEARD) })).collect()
    }

    fn after(membership: &Membership, change: Change) -> (Vec<u64>, Vec<u64>) {
        let mut voters = voters(membership);
        let mut nodes: BTreeSet<u64> = membership.nodes().map(|(id, _)| *id).collect();
        let changes = match change {
            Change::Batch(changes) => changes,
            one => vec![one],
        };
        for change in changes {
            match change {
                Change::AddVoterIds(ids) => voters.extend(ids),
                Change::RemoveVoters(ids) => {
                    voters.retain(|id| !ids.contains(id));
                    nodes.retain(|id| !ids.contains(id));
                }
                Change::AddNodes(new) => nodes.extend(new.into_keys()),
                Change::RemoveNodes(ids) => nodes.retain(|id| !ids.contains(id)),
                Change::ReplaceAllVoters(ids) => voters = ids,
                other => unreachable!("{other:?}"),
            }
        }
        (voters.into_iter().collect(), nodes.into_iter().collect())
    }

    #[test]
    fn nobody_is_admitted_while_the_voters_change() {
        let nodes = [1, 2, 3, 4].map(|id| (id, Peer(member(&format!("k{id}")))));
        let joint = Membership::new(vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([1, 2])], BTreeMap::from(nodes));
        let joint = joint.expect("voters are members");
        let asks = |id, name: &str| admission(&joint, &seen(&[]), SILENCE, id, &member(name));
        assert!(asks(5, "k5").is_err_and(|why| why.contains("ask again")));
        assert!(asks(4, "elsewhere").is_err(), "one that has moved");
        assert!(matches!(asks(4, "k4"), Ok(None)), "it is a member");
    }

    #[test]
    fn who_has_the_log_becomes_a_voter_and_nobody_else() {
        let three = group(&[1], &[(1, "a"), (2, "b"), (3, "c")]);
        assert_eq!(promotion(&three, &seen(&[(1, 9), (2, 3), (3, 4)]), SILENCE, 5), None);
        let change = promotion(&three, &seen(&[(1, 9), (2, 5), (3, 4)]), SILENCE, 5).expect("b is ready");
        assert_eq!(after(&three, change).0, [1, 2]);
        let change = promotion(&three, &seen(&[(1, 9), (2, 5), (3, 9)]), SILENCE, 5).expect("both are ready");
        assert_eq!(after(&three, change).0, [1, 2, 3]);
        let silent = BTreeMap::from([(2, Seen { matched: Some(9), ago: Some(Duration::from_secs(2)) })]);
        assert_eq!(promotion(&three, &silent, SILENCE, 5), None);
    }

    #[test]
    fn there_are_never_four_voters() {
        let five = group(&[1, 2, 3], &[(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")]);
        assert_eq!(promotion(&five, &seen(&[(4, 9)]), SILENCE, 5), None);
        let change = promotion(&five, &seen(&[(4, 9), (5, 9)]), SILENCE, 5).expect("two at once");
        assert_eq!(after(&five, change).0, [1, 2, 3, 4, 5]);
        let four = group(&[1, 2, 3], &[(1, "a"), (2, "b"), (3, "c"), (4, "d")]);
        assert_eq!(promotion(&four, &seen(&[(4, 9)]), SILENCE, 5), None);
        assert!(!is_wanted_as_voter(&four, 4));
        assert!(is_wanted_as_voter(&five, 4));
    }

    #[test]
    fn who_was_wiped_takes_the_place_of_its_old_id_when_it_is_ready() {
        let all = group(&[1, 2, 3], &[(1, "a"), (2, "b"), (3, "c")]);
        let change = admission(&all, &seen(&[(1, 9), (2, 9)]), SILENCE, 33, &member("c")).expect("c is silent");
        assert_eq!(after(&all, change.expect("it is new")), (vec![1, 2, 3], vec![1, 2, 3, 33]));
        let both = group(&[1, 2, 3], &[(1, "a"), (2, "b"), (3, "c"), (33, "c")]);
        assert!(is_wanted_as_voter(&both, 33));
        assert_eq!(promotion(&both, &seen(&[(33, 4)]), SILENCE, 5), None);
        let change = promotion(&both, &seen(&[(33, 5)]), SILENCE, 5).expect("it is ready");
        assert_eq!(after(&both, change), (vec![1, 2, 33], vec![1, 2, 33]));
        assert_eq!(promotion(&both, &seen(&[(33, 5), (3, 5)]), SILENCE, 5), None, "the old one is alive");
    }

    #[test]
    fn a_change_that_was_begun_is_ended_and_drops_nobody_but_old_ids() {
        let joint = |voters: &[&[u64]], all: &[(u64, &str)]| {
            let nodes: BTreeMap<u64, Peer> = all.iter().map(|(id, name)| (*id, Peer(member(name)))).collect();
            let configs = voters.iter().map(|ids| ids.iter().copied().collect()).collect();
            Membership::new(configs, nodes).expect("voters are members")
        };
        let five = [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")];
        let removal = joint(&[&[1, 2, 3, 4, 5], &[1, 2, 3]], &five);
        let change = completion(&removal).expect("it was begun");
        assert_eq!(after(&removal, change), (vec![1, 2, 3], vec![1, 2, 3, 4, 5]));
        let replacement = joint(&[&[1, 2, 3], &[1, 2, 33]], &[(1, "a"), (2, "b"), (3, "c"), (33, "c")]);
        let change = completion(&replacement).expect("it was begun");
        assert_eq!(after(&replacement, change), (vec![1, 2, 33], vec![1, 2, 33]));
        assert_eq!(completion(&group(&[1, 2], &[(1, "a"), (2, "b")])), None);
    }

    #[test]
    fn nobody_is_admitted_under_the_name_of_one_that_is_alive() {
        let all = group(&[1, 2], &[(1, "a"), (2, "b"), (4, "d")]);
        assert!(admission(&all, &seen(&[(2, 9)]), SILENCE, 22, &member("b")).is_err());
        let new_leader = Silence { led_for: Duration::from_millis(10), ..SILENCE };
        assert!(admission(&all, &BTreeMap::new(), new_leader, 22, &member("b")).is_err());
        // A learner has no vote to keep.
        let change = admission(&all, &BTreeMap::new(), SILENCE, 44, &member("d")).expect("d is silent");
        assert_eq!(after(&all, change.expect("it is new")).1, [1, 2, 44]);
    }

    #[test]
    fn a_member_that_moved_is_noted_and_others_are_left_alone() {
        let all = group(&[1, 2], &[(1, "a"), (2, "b")]);
        assert_eq!(admission(&all, &BTreeMap::new(), SILENCE, 2, &member("b")), Ok(None));
        let moved = Member { name: "b".into(), address: "elsewhere:1".into() };
        let change = admission(&all, &BTreeMap::new(), SILENCE, 2, &moved);
        assert_eq!(change, Ok(Some(Change::SetNodes(BTreeMap::from([(2, Peer(moved))])))));
    }
}
