//! Explores a scenario, and says what it found.

use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::action::Action;
use crate::mutant::Mutant;
use crate::properties;
use crate::protocol::Protocol;
use crate::scenario::Scenario;
use crate::state::State;

/// What exploring a scenario came to.
#[derive(Debug)]
pub struct Findings {
    /// Different states, all there are unless a violation ended the search.
    pub states: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    pub time: Duration,
    pub violation: Option<Violation>,
    /// Marks that were not reached.
    pub missed: Vec<&'static str>,
    pub properties: usize,
}

/// A property that does not hold, and a way to a state that shows it.
#[derive(Debug)]
pub struct Violation {
    pub property: &'static str,
    pub start: State,
    /// Each step with the state that it leads to.
    pub steps: Vec<(Action, State)>,
}

/// Every state of the scenario, with as many threads; it ends at the first violation.
pub fn explore(scenario: Scenario, threads: usize) -> Findings {
    run(Protocol { scenario, mutant: None }, threads, HasDiscoveries::AnyFailures)
}

/// The states of the scenario with a mistake, nearest first, until a client could see it. So the counterexample is a
/// shortest one.
pub fn hunt(scenario: Scenario, mutant: Mutant) -> Findings {
    let seen = properties::SEEN_BY_CLIENTS.into_iter().collect();
    run(Protocol { scenario, mutant: Some(mutant) }, 1, HasDiscoveries::AnyOf(seen))
}

fn run(protocol: Protocol, threads: usize, until: HasDiscoveries) -> Findings {
    let start = Instant::now();
    let checker = protocol.clone().checker().threads(threads).finish_when(until).spawn_bfs().join();
    let mut discoveries = checker.discoveries();
    let properties = protocol.properties();
    let is_mark = |expectation: &Expectation| matches!(expectation, Expectation::Sometimes);
    let missed = properties.iter().filter(|p| is_mark(&p.expectation) && !discoveries.contains_key(p.name));
    let missed = missed.map(|p| p.name).collect();
    let broken = properties.iter().filter(|p| !is_mark(&p.expectation));
    let violation = broken.filter_map(|p| Some((p.name, discoveries.remove(p.name)?))).next();
    Findings {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        time: start.elapsed(),
        violation: violation.map(|(property, path)| Violation::new(property, path.into_vec())),
        missed,
        properties: properties.len(),
    }
}

impl Violation {
    /// Each state comes with the action that leaves it.
    fn new(property: &'static str, path: Vec<(State, Option<Action>)>) -> Self {
        let (mut states, actions): (Vec<_>, Vec<_>) = path.into_iter().unzip();
        let start = states.remove(0);
        Self { property, start, steps: actions.into_iter().flatten().zip(states).collect() }
    }
}
