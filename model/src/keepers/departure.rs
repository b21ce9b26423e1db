//! How a Keeper is removed, and finds out (`kernel/driver/src/departure.rs`, `remove.rs`).

use std::cmp::Reverse;

use crate::keepers::Group;
use crate::keepers::action::Action;
use crate::keepers::config::{Config, Id, Ids};
use crate::keepers::mutant::Mutant;
use crate::keepers::state::{Content, Keeper, Leaving, Role, State, config};
use crate::numbers::Node;

/// What a leader does about a removal.
enum Step {
    /// There is none of them.
    Gone,
    Refuse,
    Voters(Ids),
    Members(Ids),
}

impl Group {
    pub(super) fn departure_actions(&self, state: &State, machine: Node, actions: &mut Vec<Action>) {
        let keeper = state.keeper(machine);
        if let Some((leaving, by)) = self.scenario.removal.filter(|(_, by)| state.may_remove && *by == machine) {
            let known = keeper.committed_config().map_or(Ids::default(), |(_, config)| config.members);
            if !known.of(leaving).is_empty() {
                actions.push(Action::Remove { machine: leaving, by });
            }
        }
        if let Some(leaving) = state.leaving {
            match leaving.gone_at {
                None if self.step(state, machine, leaving).is_some() => actions.push(Action::Leave(machine)),
                Some(at) if leaving.by == machine && keeper.committed >= at => actions.push(Action::Answer),
                _ => {}
            }
        }
        let proves = |&other: &Node| {
            let is_later = |(at, config): (u8, Config)| at > keeper.joined && !config.members.has(keeper.id);
            state.keeper(other).runs() && state.keeper(other).committed_config().is_some_and(is_later)
        };
        if keeper.joined > 0 {
            actions.extend(state.machines().filter(proves).map(|other| Action::FindOut(machine, other)));
        }
    }

    pub(super) fn remove(&self, state: &mut State, machine: Node, by: Node) {
        state.may_remove = false;
        let named = |config: Option<Config>| config.map_or(Ids::default(), |config| config.members.of(machine));
        let ids = named(state.keeper(by).committed_config().map(|(_, config)| config));
        let there = named(state.configs().last());
        state.leaving = Some(Leaving { machine, ids, there, by, begun: None, gone_at: None });
        state.asked = state.asked.and(ids);
        state.keeper_mut(machine).is_impaired |= ids.has(state.keeper(machine).id);
    }

    pub(super) fn leave(&self, state: &mut State, leader: Node) {
        let Some(leaving) = state.leaving else { return };
        match self.step(state, leader, leaving) {
            Some(Step::Gone) => {
                let at = config(&state.keeper(leader).log).map(|(at, _)| at);
                state.leaving = Some(Leaving { gone_at: at, ..leaving });
            }
            Some(Step::Refuse) => {
                state.leaving = None;
                state.asked = state.asked.without(leaving.ids);
            }
            Some(Step::Voters(voters)) => {
                let Keeper { id, term, .. } = *state.keeper(leader);
                state.leaving = Some(Leaving { begun: Some((id, term)), ..leaving });
                self.change_voters(state, leader, voters);
            }
            Some(Step::Members(members)) => {
                let config = Config { members, ..state.keeper(leader).config() };
                self.lead(state, leader, Content::Members(config));
            }
            None => {}
        }
    }

    /// Of those that then vote a majority must be alive. A leader that is to leave does nothing: another one is to lead first.
    fn step(&self, state: &State, leader: Node, leaving: Leaving) -> Option<Step> {
        let keeper = state.keeper(leader);
        let config = keeper.config();
        let Role::Leads(matched) = &keeper.role else { return None };
        if config.is_joint() {
            return None;
        }
        let ids = leaving.ids.common(config.members);
        if ids.is_empty() {
            return Some(Step::Gone);
        }
        if !keeper.is_settled() {
            return None;
        }
        if ids.common(config.voters).is_empty() {
            return Some(Step::Members(config.members.without(ids)));
        }
        let mut left: Vec<Id> = config.voters.without(ids).iter().collect();
        let is_alive = |id: &Id| state.is_alive(*id) || self.is(Mutant::DeadTakenForAlive);
        // The best first: a fourth voter goes too, the one that is missed least.
        left.sort_by_key(|id| Reverse((*id == keeper.id, is_alive(id), matched.get(id))));
        let rest = Config { members: config.members.without(ids), ..config };
        let wanted = Config::wanted_voters(rest.names());
        if left.len() > wanted || left.len() == 4 {
            left.truncate(wanted.min(3));
        }
        let alive = left.iter().filter(|id| is_alive(id)).count();
        if alive <= left.len() / 2 {
            // What was done stays done: it is refused only while nothing may have been.
            return leaving.begun.is_none().then_some(Step::Refuse);
        }
        (!ids.has(keeper.id)).then(|| Step::Voters(left.into_iter().collect()))
    }

    /// The node that sees to it has read the log so far that it can tell.
    pub(super) fn answer(&self, state: &mut State) {
        let Some(leaving) = state.leaving else { return };
        let known = state.keeper(leaving.by).committed_config().map_or(Ids::default(), |(_, config)| config.members);
        let named = known.of(leaving.machine);
        if !named.common(leaving.ids).is_empty() {
            // That entry was replaced by another leader's.
            state.leaving = Some(Leaving { gone_at: None, ..leaving });
            return;
        }
        state.leaving = None;
        if named.is_empty() || self.is(Mutant::FormerIdRemoved) {
            let members = state.configs().last().unwrap_or_default().members;
            state.is_told_wrong |= !members.common(leaving.there).is_empty();
        }
    }

    pub(super) fn find_out(&self, state: &mut State, machine: Node) {
        let keeper: &mut Keeper = state.keeper_mut(machine);
        (keeper.was_removed, keeper.is_up, keeper.role) = (true, false, Role::Follows);
    }
}
