//! The protocol as a transition system: which actions are possible in a state, and what each leads to. Actions of one
//! subject stand together: `serve` (requests and replies), `lead` (what a primary and a claimer propose), `follow` (the
//! log's entries), `world` (time, crashes, the log itself).

use stateright::{Model, Property};

use crate::action::Action;
use crate::check::{Subject, Violation};
use crate::explain;
use crate::mutant::Mutant;
use crate::numbers::{Node, Request};
use crate::op::Op;
use crate::properties;
use crate::scenario::Scenario;
use crate::state::State;

/// The protocol in a scenario, right or with one mistake.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub scenario: Scenario,
    pub mutant: Option<Mutant>,
}

impl Protocol {
    pub fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub fn op(&self, request: Request) -> Op {
        self.scenario.clients[usize::from(request.client)].1[usize::from(request.number)]
    }

    /// The Core that the client is connected to.
    pub fn home(&self, request: Request) -> Node {
        self.scenario.clients[usize::from(request.client)].0
    }

    /// Does what the action says, which must be possible.
    pub(crate) fn take_step(&self, state: &mut State, action: Action) {
        match action {
            Action::Execute(node, request) => self.execute_own(state, node, request),
            Action::Reply(node, request) => self.reply(state, node, request),
            Action::Forward(node, request) => self.forward(state, node, request),
            Action::Receive(forward) => self.receive(state, forward),
            Action::GiveUp(node, request) => self.give_up(state, node, request),

            Action::Claim(node) => self.claim(state, node),
            Action::Renew(node) => self.renew(state, node),
            Action::CloseBatch(node) => self.close_batch(state, node),
            Action::Resend(node) => self.resend(state, node),
            Action::Release(node) => self.release(state, node),

            Action::Deliver(node) => self.deliver(state, node),
            Action::Install(node) => self.install(state, node),

            Action::Commit(entry) => self.commit(state, entry),
            Action::Snapshot => self.snapshot(state),
            Action::LeaseEnds(index) => state.ended = index,
            Action::Tick(counted) => self.tick(state, &counted),
            Action::Pause(node) => self.pause(state, node),
            Action::Begin(node) => self.begin(state, node),
            Action::Crash(node) => self.crash(state, node),
            Action::Restart(node) => self.restart(state, node),
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.scenario.start(self.mutant)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.world_actions(state, actions);
        for node in state.nodes().filter(|&node| state.core(node).is_up) {
            self.serve_actions(state, node, actions);
            self.lead_actions(state, node, actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        self.take_step(&mut state, action);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let marks = self.scenario.marks.iter().map(|mark| Property::sometimes(mark.name, mark.is_reached));
        properties::always().into_iter().chain(marks).collect()
    }
}

impl Subject for Protocol {
    type Mutant = Mutant;
    const MUTANTS: &[(Mutant, &str)] = &Mutant::ALL;
    const HARM: &[&str] = &properties::SEEN_BY_CLIENTS;

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
        explain::explain(self, violation)
    }
}
