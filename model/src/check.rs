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
    run(&Protocol { scenario, mutant: None }, threads, HasDiscoveries::AnyFailures, None)
}

/// The states of the scenario with a mistake, nearest first, until a client could see it.
///
/// The checker looks at many states at a time and keeps the last violation among them. So shorter ways are looked for until
/// there is none.
pub fn hunt(scenario: Scenario, mutant: Mutant) -> Findings {
    let protocol = Protocol { scenario, mutant: Some(mutant) };
    let until = HasDiscoveries::AnyOf(properties::SEEN_BY_CLIENTS.into_iter().collect());
    let mut findings = run(&protocol, 1, until.clone(), None);
    while let Some(known) = &findings.violation {
        let shorter = run(&protocol, 1, until.clone(), Some(known.steps.len() - 1)).violation;
        match shorter.filter(|shorter| shorter.is_seen_by_clients() || !known.is_seen_by_clients()) {
            Some(shorter) => findings.violation = Some(shorter),
            None => break,
        }
    }
    findings
}

fn run(protocol: &Protocol, threads: usize, until: HasDiscoveries, steps: Option<usize>) -> Findings {
    let start = Instant::now();
    let mut builder = protocol.clone().checker().threads(threads).finish_when(until);
    if let Some(steps) = steps {
        // The start has depth 1, and what has this depth is left out.
        builder = builder.target_max_depth(steps + 2);
    }
    let checker = builder.spawn_bfs().join();
    let mut discoveries = checker.discoveries();
    let properties = protocol.properties();
    let is_mark = |expectation: &Expectation| matches!(expectation, Expectation::Sometimes);
    let missed = properties.iter().filter(|p| is_mark(&p.expectation) && !discoveries.contains_key(p.name));
    let missed = missed.map(|p| p.name).collect();
    let broken = properties.iter().filter(|p| !is_mark(&p.expectation));
    let violations = broken.filter_map(|p| Some(Violation::new(p.name, discoveries.remove(p.name)?.into_vec())));
    // What a client sees says most; then the shortest way.
    let violation = violations.min_by_key(|violation| (!violation.is_seen_by_clients(), violation.steps.len()));
    Findings {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        time: start.elapsed(),
        violation,
        missed,
        properties: properties.len(),
    }
}

impl Violation {
    pub fn is_seen_by_clients(&self) -> bool {
        properties::SEEN_BY_CLIENTS.contains(&self.property)
    }

    /// Each state comes with the action that leaves it.
    fn new(property: &'static str, path: Vec<(State, Option<Action>)>) -> Self {
        let (mut states, actions): (Vec<_>, Vec<_>) = path.into_iter().unzip();
        let start = states.remove(0);
        Self { property, start, steps: actions.into_iter().flatten().zip(states).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marks;

    fn scenario(name: &str) -> Scenario {
        Scenario::all().into_iter().find(|scenario| scenario.name == name).expect("there is such a scenario")
    }

    #[test]
    fn a_scenario_without_a_mistake_holds_and_reaches_its_marks() {
        let findings = explore(scenario("no-effects"), 1);
        assert!(findings.violation.is_none());
        assert!(findings.missed.is_empty(), "{:?}", findings.missed);
    }

    #[test]
    fn what_does_not_exist_is_said_to_be_missed() {
        let findings = explore(Scenario { longest_log: 3, ..scenario("no-effects") }, 1);
        assert!(findings.missed.contains(&marks::FAILOVER.name), "{:?}", findings.missed);
    }

    #[test]
    fn a_mistake_is_shown_by_a_shortest_way() {
        let findings = hunt(scenario("failover"), Mutant::ReplyBeforeCommit);
        let violation = findings.violation.expect("it is caught");
        // Execute, Reply: the write is not in the log yet.
        assert_eq!((violation.property, violation.steps.len()), ("an acknowledged write is in the log", 2));
    }
}
