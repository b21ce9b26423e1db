//! Explores a scenario, and says what it found.

use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// A protocol in a scenario, right or with one mistake.
pub trait Subject:
    Model<
        State: Clone + Debug + PartialEq + std::hash::Hash + Send + Sync,
        Action: Clone + Debug + Display + PartialEq + Send + Sync,
    > + Clone
    + Send
    + Sync
    + 'static
{
    type Mutant: Copy + Debug + Send + Sync + 'static;
    /// Each mistake with the scenario that must catch it.
    const MUTANTS: &[(Self::Mutant, &str)];
    /// Properties whose violation somebody comes to see: a mistake counts as caught by one of these. The others say why.
    const HARM: &[&str];

    /// The right protocol in each scenario.
    fn all() -> Vec<Self>;

    /// The scenario's.
    fn name(&self) -> &'static str;

    #[must_use]
    fn with(self, mutant: Self::Mutant) -> Self;

    /// A violation as a story.
    fn explain(&self, violation: &Violation<Self>) -> String;
}

/// As the command line names a mistake: `LongLease` is `long-lease`.
pub fn mutant_name(mutant: impl Debug) -> String {
    let mut name = String::new();
    for c in format!("{mutant:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.extend(c.to_lowercase());
    }
    name
}

/// What exploring a scenario came to.
#[derive(Debug)]
pub struct Findings<S: Subject> {
    /// Different states, all there are unless a violation ended the search.
    pub states: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    pub time: Duration,
    pub violation: Option<Violation<S>>,
    /// Marks that were not reached.
    pub missed: Vec<&'static str>,
    pub properties: usize,
}

/// A property that does not hold, and a way to a state that shows it.
#[derive(Debug)]
pub struct Violation<S: Subject> {
    pub property: &'static str,
    pub start: S::State,
    /// Each step with the state that it leads to.
    pub steps: Vec<(S::Action, S::State)>,
}

/// Every state of the scenario, with as many threads; it ends at the first violation.
pub fn explore<S: Subject>(subject: &S, threads: usize) -> Findings<S> {
    run(subject, threads, HasDiscoveries::AnyFailures, None)
}

/// The states of the scenario with a mistake, nearest first, until somebody could see it.
///
/// The checker looks at many states at a time and keeps the last violation among them. So shorter ways are looked for until
/// there is none.
pub fn hunt<S: Subject>(subject: &S) -> Findings<S> {
    let until = HasDiscoveries::AnyOf(S::HARM.iter().copied().collect());
    let mut findings = run(subject, 1, until.clone(), None);
    while let Some(known) = &findings.violation {
        let shorter = run(subject, 1, until.clone(), Some(known.steps.len() - 1)).violation;
        match shorter.filter(|shorter| shorter.is_harm() || !known.is_harm()) {
            Some(shorter) => findings.violation = Some(shorter),
            None => break,
        }
    }
    findings
}

fn run<S: Subject>(subject: &S, threads: usize, until: HasDiscoveries, steps: Option<usize>) -> Findings<S> {
    let start = Instant::now();
    let mut builder = subject.clone().checker().threads(threads).finish_when(until);
    if let Some(steps) = steps {
        // The start has depth 1, and what has this depth is left out.
        builder = builder.target_max_depth(steps + 2);
    }
    let checker = builder.spawn_bfs().join();
    let mut discoveries = checker.discoveries();
    let properties = subject.properties();
    let is_mark = |expectation: &Expectation| matches!(expectation, Expectation::Sometimes);
    let missed = properties.iter().filter(|p| is_mark(&p.expectation) && !discoveries.contains_key(p.name));
    let missed = missed.map(|p| p.name).collect();
    let broken = properties.iter().filter(|p| !is_mark(&p.expectation));
    let violations = broken.filter_map(|p| Some(Violation::new(p.name, discoveries.remove(p.name)?.into_vec())));
    // Harm says most; then the shortest way.
    let violation = violations.min_by_key(|violation| (!violation.is_harm(), violation.steps.len()));
    Findings {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        time: start.elapsed(),
        violation,
        missed,
        properties: properties.len(),
    }
}

impl<S: Subject> Violation<S> {
    pub fn is_harm(&self) -> bool {
        S::HARM.contains(&self.property)
    }

    /// Each state comes with the action that leaves it.
    fn new(property: &'static str, path: Vec<(S::State, Option<S::Action>)>) -> Self {
        let (mut states, actions): (Vec<_>, Vec<_>) = path.into_iter().unzip();
        let start = states.remove(0);
        Self { property, start, steps: actions.into_iter().flatten().zip(states).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keepers::{self, Group};
    use crate::marks;
    use crate::mutant::Mutant;
    use crate::protocol::Protocol;

    fn scenario<S: Subject>(name: &str) -> S {
        S::all().into_iter().find(|subject| subject.name() == name).expect("there is such a scenario")
    }

    #[test]
    fn a_scenario_without_a_mistake_holds_and_reaches_its_marks() {
        let findings = explore(&scenario::<Protocol>("no-effects"), 1);
        assert!(findings.violation.is_none());
        assert!(findings.missed.is_empty(), "{:?}", findings.missed);
    }

    #[test]
    fn what_does_not_exist_is_said_to_be_missed() {
        let mut short: Protocol = scenario("no-effects");
        short.scenario.longest_log = 3;
        let findings = explore(&short, 1);
        assert!(findings.missed.contains(&marks::FAILOVER.name), "{:?}", findings.missed);
    }

    #[test]
    fn a_mistake_is_shown_by_a_shortest_way() {
        let findings = hunt(&scenario::<Protocol>("failover").with(Mutant::ReplyBeforeCommit));
        let violation = findings.violation.expect("it is caught");
        // Execute, Reply: the write is not in the log yet.
        assert_eq!((violation.property, violation.steps.len()), ("an acknowledged write is in the log", 2));
    }

    #[test]
    fn the_keepers_hold_and_a_mistake_of_theirs_is_caught() {
        let findings = explore(&scenario::<Group>("keepers-lost-disk"), 1);
        assert!(findings.violation.is_none() && findings.missed.is_empty(), "{:?}", findings.missed);
        let subject = scenario::<Group>("keepers-lost-disk").with(keepers::mutant::Mutant::KeepIdWhenWiped);
        let violation = hunt(&subject).violation.expect("it is caught");
        assert!(violation.is_harm());
    }

    #[test]
    fn each_name_means_one_thing() {
        let scenarios = || Protocol::all().into_iter().map(|subject| subject.name());
        assert!(Group::all().iter().all(|group| scenarios().all(|name| name != group.name())));
        let mutants = || Protocol::MUTANTS.iter().map(|(mutant, _)| mutant_name(mutant));
        assert!(Group::MUTANTS.iter().all(|(mutant, _)| mutants().all(|name| name != mutant_name(mutant))));
    }
}
