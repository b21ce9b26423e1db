//! What happens to processes and disks. No more is lost than the others can give back.

use crate::keepers::Group;
use crate::keepers::action::Action;
use crate::keepers::mutant::Mutant;
use crate::keepers::state::{Keeper, Role, State};
use crate::numbers::Node;

impl Group {
    pub(super) fn disk_actions(&self, state: &State, machine: Node, actions: &mut Vec<Action>) {
        let keeper = state.keeper(machine);
        if keeper.is_damaged {
            if others_lead(state, machine) {
                actions.push(Action::SetAside(machine));
            }
            return;
        }
        if !keeper.may_run() {
            return;
        }
        if !keeper.is_up {
            if self.scenario.stays_down(machine) {
                return;
            }
            actions.push(Action::Restart(machine));
        } else if state.left.crashes > 0 && self.scenario.crash.is_none_or(|only| only == machine) {
            actions.push(Action::Crash { machine, loses_tail: false });
            if usize::from(keeper.synced) < keeper.log.len() {
                actions.push(Action::Crash { machine, loses_tail: true });
            }
        }
        if state.asked.has(keeper.id) || !self.can_spare(state, machine) {
            return;
        }
        if state.left.losses > 0 {
            actions.push(Action::Lose(machine));
        }
        if state.left.damages > 0 && keeper.synced > 0 {
            // Where makes no difference to who sets the whole log aside.
            let places = if self.is(Mutant::CutDamage) { keeper.synced } else { 1 };
            actions.extend((0..places).map(|entries| Action::Damage(machine, entries)));
        }
    }

    /// Whether the disk of a machine may be lost without losing what is acknowledged, as far as the Keepers have said.
    pub(super) fn can_spare(&self, state: &State, machine: Node) -> bool {
        let impaired = state.machines().filter(|&other| other == machine || state.keeper(other).is_impaired);
        impaired.count() <= self.scenario.spare()
    }

    pub(super) fn crash(&self, state: &mut State, machine: Node, loses_tail: bool) {
        state.left.crashes -= 1;
        let keeper = state.keeper_mut(machine);
        end_process(keeper);
        if loses_tail {
            keeper.log.truncate(usize::from(keeper.synced));
        }
        keeper.synced = keeper.log.len() as u8;
        if self.is(Mutant::ForgetVote) {
            (keeper.term, keeper.vote) = (keeper.log.last().map_or(0, |last| last.term), None);
        }
    }

    pub(super) fn lose(&self, state: &mut State, machine: Node) {
        state.left.losses -= 1;
        let id = state.keeper(machine).id;
        let id = if self.is(Mutant::KeepIdWhenWiped) { id } else { id.next() };
        *state.keeper_mut(machine) = Keeper::empty(id);
    }

    pub(super) fn damage(&self, state: &mut State, machine: Node, entries: u8) {
        state.left.damages -= 1;
        let keeper = state.keeper_mut(machine);
        end_process(keeper);
        keeper.is_impaired = true;
        if self.is(Mutant::CutDamage) {
            keeper.log.truncate(usize::from(entries));
            (keeper.synced, keeper.is_up) = (entries, true);
        } else {
            keeper.is_damaged = true;
        }
    }

    pub(super) fn set_aside(&self, state: &mut State, machine: Node) {
        let id = state.keeper(machine).id;
        *state.keeper_mut(machine) = Keeper::empty(id.next());
    }
}

/// What a process knows goes with it.
fn end_process(keeper: &mut Keeper) {
    (keeper.is_up, keeper.committed, keeper.role) = (false, 0, Role::Follows);
}

/// Whether another one leads a group of which a majority answers.
fn others_lead(state: &State, machine: Node) -> bool {
    state.machines().any(|other| other != machine && state.keeper(other).runs() && state.has_majority(other))
}
