//! Raft as openraft does it: elections, replication, what is committed.

use std::collections::BTreeMap;

use crate::keepers::Group;
use crate::keepers::action::Action;
use crate::keepers::config::{Config, Id, Ids};
use crate::keepers::mutant::Mutant;
use crate::keepers::state::{Content, Keeper, Role, State, is_as_new};
use crate::numbers::Node;

impl Group {
    pub(super) fn raft_actions(&self, state: &State, machine: Node, actions: &mut Vec<Action>) {
        let keeper = state.keeper(machine);
        if state.left.campaigns > 0 && !keeper.leads() && keeper.may_campaign() {
            actions.push(Action::Campaign(machine));
        }
        let others = || state.machines().filter(move |&other| other != machine);
        if let Role::Asks(granted) = &keeper.role {
            let may_vote = |&voter: &Node| {
                let voter = state.keeper(voter);
                voter.runs() && !granted.has(voter.id) && keeper.config().votes(voter.id) && is_granted(voter, keeper)
            };
            actions.extend(others().filter(may_vote).map(|voter| Action::Vote(voter, machine)));
        }
        let Role::Leads(matched) = &keeper.role else { return };
        if state.left.data > 0 {
            actions.push(Action::Propose(machine));
        }
        if usize::from(keeper.synced) < keeper.log.len() {
            actions.push(Action::Sync(machine));
        }
        for to in others() {
            let other = state.keeper(to);
            if !other.runs() || !keeper.config().members.has(other.id) || other.term > keeper.term {
                continue;
            }
            let is_news = other.log != keeper.log;
            let is_known = matched.get(&other.id) == Some(&(keeper.log.len() as u8));
            if is_news || !is_known || other.term < keeper.term || other.committed < keeper.committed {
                actions.push(Action::Append { from: machine, to, synced: true });
            }
            if is_news && self.scenario.has_tails {
                actions.push(Action::Append { from: machine, to, synced: false });
            }
        }
    }

    pub(super) fn campaign(&self, state: &mut State, machine: Node) {
        state.left.campaigns -= 1;
        let keeper = state.keeper_mut(machine);
        keeper.term += 1;
        keeper.vote = Some(keeper.id);
        keeper.role = Role::Asks(Ids::from_iter([keeper.id]));
        self.count_votes(state, machine);
    }

    pub(super) fn vote(&self, state: &mut State, voter: Node, candidate: Node) {
        let Keeper { id, term, .. } = *state.keeper(candidate);
        let voter = state.keeper_mut(voter);
        follow(voter, term, id);
        let voter = voter.id;
        if let Role::Asks(granted) = &mut state.keeper_mut(candidate).role {
            *granted = granted.and(Ids::from_iter([voter]));
        }
        self.count_votes(state, candidate);
    }

    fn count_votes(&self, state: &mut State, machine: Node) {
        let keeper = state.keeper_mut(machine);
        let Role::Asks(granted) = keeper.role else { return };
        if !self.is_quorum(&keeper.config(), granted) {
            return;
        }
        keeper.role = Role::Leads(BTreeMap::new());
        let elected = (keeper.term, keeper.id);
        state.leaders.push(elected);
        self.lead(state, machine, Content::Blank);
    }

    /// A leader's next entry.
    pub(super) fn lead(&self, state: &mut State, leader: Node, content: Content) {
        state.keeper_mut(leader).append(content);
        if !self.scenario.has_tails {
            self.sync(state, leader);
        }
    }

    pub(super) fn propose(&self, state: &mut State, leader: Node) {
        state.left.data -= 1;
        self.lead(state, leader, Content::Data);
    }

    pub(super) fn sync(&self, state: &mut State, leader: Node) {
        let keeper = state.keeper_mut(leader);
        keeper.synced = keeper.log.len() as u8;
        self.acknowledge(state, leader, leader);
    }

    pub(super) fn replicate(&self, state: &mut State, from: Node, to: Node, synced: bool) {
        let Keeper { id, term, committed, .. } = *state.keeper(from);
        let log = state.keeper(from).log.clone();
        let keeper = state.keeper_mut(to);
        follow(keeper, term, id);
        let common = keeper.log.iter().zip(&log).take_while(|(own, leaders)| own == leaders).count();
        keeper.synced = if synced { log.len() as u8 } else { keeper.synced.min(common as u8) };
        keeper.log = log;
        keeper.committed = keeper.committed.max(committed);
        if synced || self.is(Mutant::AcknowledgeUnsynced) {
            self.acknowledge(state, from, to);
        }
    }

    /// The leader hears what another one, or its own disk, has; perhaps more is committed by that.
    fn acknowledge(&self, state: &mut State, leader: Node, by: Node) {
        let (id, has) = (state.keeper(by).id, state.keeper(by).log.len() as u8);
        let keeper = state.keeper_mut(leader);
        let config = keeper.config();
        let Role::Leads(matched) = &mut keeper.role else { return };
        matched.insert(id, has);
        let is_committed = |&at: &u8| {
            let having = matched.iter().filter(|(_, has)| **has >= at).map(|(id, _)| *id).collect();
            keeper.log[usize::from(at) - 1].term == keeper.term && self.is_quorum(&config, having)
        };
        let Some(at) = (keeper.committed + 1..=keeper.log.len() as u8).rev().find(is_committed) else { return };
        keeper.committed = at;
        if !config.members.has(keeper.id) {
            keeper.role = Role::Follows;
        }
        let committed = keeper.log[..usize::from(at)].to_vec();
        let known = committed.len().min(state.log.len());
        state.is_changed |= committed[..known] != state.log[..known];
        if committed.len() > known {
            state.log = committed;
        }
    }

    fn is_quorum(&self, config: &Config, ids: Ids) -> bool {
        match self.is(Mutant::NewMajorityAlone) {
            true => Config { before: Ids::default(), ..*config }.is_quorum(ids),
            false => config.is_quorum(ids),
        }
    }
}

/// A Keeper votes once in a term, and for nobody whose log is older.
fn is_granted(voter: &Keeper, candidate: &Keeper) -> bool {
    let is_free = voter.term < candidate.term
        || voter.term == candidate.term && voter.vote.is_none_or(|vote| vote == candidate.id);
    is_free && is_as_new(&candidate.log, &voter.log)
}

/// It is on disk before anybody hears of it.
fn follow(keeper: &mut Keeper, term: u8, leader: Id) {
    (keeper.term, keeper.vote, keeper.role) = (term, Some(leader), Role::Follows);
}
