//! The Keepers: what they add to Raft. Members come and go, disks are lost and damaged, and a Keeper says that it is
//! ready. Beside the protocol of the Cores, whose log is what comes out of this one. Actions of one subject stand together:
//! `raft` (elections, replication), `members` (who votes), `departure` (who leaves), `disk` (crashes, losses, damage).
//!
//! A link delivers all or nothing, and an answer comes with its request: what comes late or twice is not here.

use std::fmt;

use stateright::{Model, Property};

use crate::check::{Subject, Violation};
use crate::keepers::action::Action;
use crate::keepers::mutant::Mutant;
use crate::keepers::scenario::Scenario;
use crate::keepers::state::State;

pub mod action;
pub mod config;
mod departure;
mod disk;
pub mod explain;
pub mod marks;
mod members;
pub mod mutant;
pub mod properties;
mod raft;
pub mod scenario;
pub mod state;

/// The Keepers in a scenario, right or with one mistake.
#[derive(Clone, Debug)]
pub struct Group {
    pub scenario: Scenario,
    pub mutant: Option<Mutant>,
}

impl Group {
    pub fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// What is known at once: by which configuration a Keeper is a member, and whether it is ready.
    fn settle(&self, state: &mut State) {
        for machine in state.machines() {
            let keeper = state.keeper(machine);
            if !keeper.runs() {
                continue;
            }
            let joined = self.joined(keeper);
            let is_leaving = state.asked.has(keeper.id);
            let is_impaired = keeper.is_impaired && (is_leaving || !self.is_ready(keeper));
            let keeper = state.keeper_mut(machine);
            (keeper.joined, keeper.is_impaired) = (joined, is_impaired);
        }
    }
}

impl Model for Group {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.scenario.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for machine in state.machines() {
            self.disk_actions(state, machine, actions);
            if state.keeper(machine).runs() {
                self.raft_actions(state, machine, actions);
                self.member_actions(state, machine, actions);
                self.departure_actions(state, machine, actions);
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        match action {
            Action::Campaign(machine) => self.campaign(&mut state, machine),
            Action::Vote(voter, candidate) => self.vote(&mut state, voter, candidate),
            Action::Append { from, to, synced } => self.replicate(&mut state, from, to, synced),
            Action::Sync(machine) => self.sync(&mut state, machine),
            Action::Propose(machine) => self.propose(&mut state, machine),

            Action::Admit(leader, machine) => self.admit(&mut state, leader, machine),
            Action::Promote(leader) => self.promote(&mut state, leader),
            Action::End(leader) => self.end_change(&mut state, leader),

            Action::Remove { machine, by } => self.remove(&mut state, machine, by),
            Action::Leave(leader) => self.leave(&mut state, leader),
            Action::Answer => self.answer(&mut state),
            Action::FindOut(machine, _) => self.find_out(&mut state, machine),

            Action::Crash { machine, loses_tail } => self.crash(&mut state, machine, loses_tail),
            Action::Restart(machine) => state.keeper_mut(machine).is_up = true,
            Action::Lose(machine) => self.lose(&mut state, machine),
            Action::Damage(machine, entries) => self.damage(&mut state, machine, entries),
            Action::SetAside(machine) => self.set_aside(&mut state, machine),
        }
        self.settle(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let marks = self.scenario.marks.iter().map(|mark| Property::sometimes(mark.name, mark.is_reached));
        properties::always().into_iter().chain(marks).collect()
    }
}

impl Subject for Group {
    type Mutant = Mutant;
    const MUTANTS: &[(Mutant, &str)] = &Mutant::ALL;
    const HARM: &[&str] = &properties::HARM;

    fn all() -> Vec<Self> {
        Scenario::all().into_iter().map(|scenario| Self { scenario, mutant: None }).collect()
    }

    fn name(&self) -> &'static str {
        self.scenario.name
    }

    fn with(self, mutant: Mutant) -> Self {
        Self { mutant: Some(mutant), ..self }
    }

    fn explain(&self, violation: &Violation<Self>) -> String {
        explain::explain(violation)
    }
}

/// So many entries, in words.
struct Entries(u8);

impl fmt::Display for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { "entry" } else { "entries" })
    }
}
