//! Explores every scenario, then hunts every mutant. Exit code 1: the protocol does not hold, a scenario does not reach what
//! it is for, or a mutant was not caught.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use mneme_model::check::{self, Findings};
use mneme_model::explain;
use mneme_model::mutant::Mutant;
use mneme_model::protocol::Protocol;
use mneme_model::scenario::Scenario;

const USAGE: &str = "usage: mneme-model                     all scenarios, all mutants
       mneme-model --scenario NAME     this scenario
       mneme-model --explain MUTANT    how this mutant is caught, step by step";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let holds = match arguments[..] {
        [] => explore(Scenario::all()) & hunt(),
        ["--scenario", name] => match find(name) {
            Some(scenario) => explore(vec![scenario]),
            None => return usage(&format!("there is no scenario {name}")),
        },
        ["--explain", name] => match Mutant::ALL.into_iter().find(|(mutant, _)| mutant.name() == name) {
            Some((mutant, scenario)) => explain(mutant, scenario),
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

fn find(name: &str) -> Option<Scenario> {
    Scenario::all().into_iter().find(|scenario| scenario.name == name)
}

/// One scenario after the other, each with all processors. Whether all hold.
fn explore(scenarios: Vec<Scenario>) -> bool {
    println!("{:16} {:>9} {:>6} {:>8} {:>11}", "scenario", "states", "depth", "time", "properties");
    let (mut holds, mut states, mut time) = (true, 0, 0.0);
    for scenario in scenarios {
        let findings = check::explore(scenario.clone(), processors());
        let Findings { states: found, depth, properties, .. } = findings;
        let seconds = findings.time.as_secs_f64();
        (states, time) = (states + found, time + seconds);
        println!("{:16} {found:>9} {depth:>6} {seconds:>6.1} s {properties:>11}", scenario.name);
        for mark in &findings.missed {
            println!("    never reached: {mark}");
        }
        if let Some(violation) = &findings.violation {
            println!("{}", explain::explain(&Protocol { scenario, mutant: None }, violation));
        }
        holds &= findings.violation.is_none() && findings.missed.is_empty();
    }
    println!("{:16} {states:>9} {:>6} {time:>6.1} s\n", "", "");
    holds
}

/// Several mutants at a time, each with one thread, so that what is found is a shortest way. Whether all are caught.
fn hunt() -> bool {
    println!("{:28} {:16} {:>5}  violated", "mutant", "scenario", "steps");
    let ahead = Mutex::new(VecDeque::from(Mutant::ALL));
    let next = || ahead.lock().expect("no mutant panics").pop_front();
    let all_caught = || {
        let mut caught = true;
        while let Some((mutant, scenario)) = next() {
            let findings = check::hunt(find(scenario).expect("mutants name scenarios that exist"), mutant);
            let name = mutant.name();
            match &findings.violation {
                Some(violation) => {
                    println!("{name:28} {scenario:16} {:>5}  {}", violation.steps.len(), violation.property);
                }
                None => println!("{name:28} {scenario:16}     -  NOT CAUGHT in {} states", findings.states),
            }
            caught &= findings.violation.is_some();
        }
        caught
    };
    thread::scope(|scope| {
        let hunters: Vec<_> = (0..processors()).map(|_| scope.spawn(all_caught)).collect();
        hunters.into_iter().all(|hunter| hunter.join().expect("no mutant panics"))
    })
}

/// How a mutant is caught, if it is.
fn explain(mutant: Mutant, scenario: &str) -> bool {
    let scenario = find(scenario).expect("mutants name scenarios that exist");
    let findings = check::hunt(scenario.clone(), mutant);
    let Some(violation) = &findings.violation else {
        println!("not caught in {} states", findings.states);
        return false;
    };
    println!("{} in the scenario {}\n", mutant.name(), scenario.name);
    println!("{}", explain::explain(&Protocol { scenario, mutant: Some(mutant) }, violation));
    true
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
