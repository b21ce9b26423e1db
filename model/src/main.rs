//! Explores every scenario, then hunts every mutant. Exit code 1: the protocol does not hold, a scenario does not reach what
//! it is for, or a mutant was not caught.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use mneme_model::check::{self, Findings, Subject, mutant_name};
use mneme_model::keepers::Group;
use mneme_model::protocol::Protocol;

const USAGE: &str = "usage: mneme-model                     all scenarios, all mutants
       mneme-model --scenario NAME     this scenario
       mneme-model --explain MUTANT    how this mutant is caught, step by step";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let holds = match arguments[..] {
        [] => explore_all() & hunt_all(),
        ["--scenario", name] => match explore_one::<Protocol>(name).or_else(|| explore_one::<Group>(name)) {
            Some(holds) => holds,
            None => return usage(&format!("there is no scenario {name}")),
        },
        ["--explain", name] => match explain::<Protocol>(name).or_else(|| explain::<Group>(name)) {
            Some(is_caught) => is_caught,
            None => return usage(&format!("there is no mutant {name}")),
        },
        _ => return usage("no such arguments"),
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage(error: &str) -> ExitCode {
    eprintln!("{error}\n{USAGE}");
    ExitCode::from(2)
}

fn find<S: Subject>(name: &str) -> Option<S> {
    S::all().into_iter().find(|subject| subject.name() == name)
}

/// States and seconds of several scenarios, and whether all hold.
struct Sum {
    states: usize,
    seconds: f64,
    holds: bool,
}

fn explore_all() -> bool {
    let mut sum = Sum { states: 0, seconds: 0.0, holds: true };
    print_head();
    explore(Protocol::all(), &mut sum);
    explore(Group::all(), &mut sum);
    println!("{:22} {:>9} {:>6} {:>6.1} s\n", "", sum.states, "", sum.seconds);
    sum.holds
}

fn explore_one<S: Subject>(name: &str) -> Option<bool> {
    let mut sum = Sum { states: 0, seconds: 0.0, holds: true };
    let subject = find::<S>(name)?;
    print_head();
    explore(vec![subject], &mut sum);
    Some(sum.holds)
}

fn print_head() {
    println!("{:22} {:>9} {:>6} {:>8} {:>11}", "scenario", "states", "depth", "time", "properties");
}

/// One scenario after the other, each with all processors.
fn explore<S: Subject>(subjects: Vec<S>, sum: &mut Sum) {
    for subject in subjects {
        let findings = check::explore(&subject, processors());
        let Findings { states, depth, properties, .. } = findings;
        let seconds = findings.time.as_secs_f64();
        println!("{:22} {states:>9} {depth:>6} {seconds:>6.1} s {properties:>11}", subject.name());
        for mark in &findings.missed {
            println!("    never reached: {mark}");
        }
        if let Some(violation) = &findings.violation {
            println!("{}", subject.explain(violation));
        }
        sum.states += states;
        sum.seconds += seconds;
        sum.holds &= findings.violation.is_none() && findings.missed.is_empty();
    }
}

/// Several mutants at a time, each with one thread, so that what is found is a shortest way. Whether all are caught.
fn hunt_all() -> bool {
    println!("{:28} {:22} {:>5}  violated", "mutant", "scenario", "steps");
    let ahead = Mutex::new(hunts::<Protocol>().chain(hunts::<Group>()).collect::<VecDeque<_>>());
    let next = || ahead.lock().expect("no mutant panics").pop_front();
    let all_caught = || {
        let mut caught = true;
        while let Some(hunt) = next() {
            caught &= hunt();
        }
        caught
    };
    thread::scope(|scope| {
        let hunters: Vec<_> = (0..processors()).map(|_| scope.spawn(all_caught)).collect();
        hunters.into_iter().all(|hunter| hunter.join().expect("no mutant panics"))
    })
}

/// For each mutant, what tells whether it is caught.
fn hunts<S: Subject>() -> impl Iterator<Item = Box<dyn FnOnce() -> bool + Send>> {
    S::MUTANTS.iter().map(|&(mutant, scenario)| -> Box<dyn FnOnce() -> bool + Send> {
        Box::new(move || {
            let findings = check::hunt(&mistaken::<S>(mutant, scenario));
            let name = mutant_name(mutant);
            match &findings.violation {
                Some(violation) => {
                    println!("{name:28} {scenario:22} {:>5}  {}", violation.steps.len(), violation.property);
                }
                None => println!("{name:28} {scenario:22}     -  NOT CAUGHT in {} states", findings.states),
            }
            findings.violation.is_some()
        })
    })
}

fn mistaken<S: Subject>(mutant: S::Mutant, scenario: &str) -> S {
    find::<S>(scenario).expect("mutants name scenarios that exist").with(mutant)
}

/// How a mutant is caught, if it is; `None` if there is no such mutant.
fn explain<S: Subject>(name: &str) -> Option<bool> {
    let &(mutant, scenario) = S::MUTANTS.iter().find(|(mutant, _)| mutant_name(mutant) == name)?;
    let subject: S = mistaken(mutant, scenario);
    let findings = check::hunt(&subject);
    let Some(violation) = &findings.violation else {
        println!("not caught in {} states", findings.states);
        return Some(false);
    };
    println!("{name} in the scenario {scenario}\n");
    println!("{}", subject.explain(violation));
    Some(true)
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
