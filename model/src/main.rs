use mneme_model::{protocol::Protocol, scenario::Scenario, mutant::Mutant};
use stateright::*;
use std::time::Instant; use std::env::args;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let secs: u64 = args.get(2).map_or(20, |s| s.parse().unwrap());
    for scenario in Scenario::all() {
        if args[1] != "all" && !args[1].split(',').any(|n| n == scenario.name) { continue; }
        run(scenario, None, secs);
    }
    if args[1] == "mutants" {
        for (m, name) in Mutant::ALL {
            let s = Scenario::all().into_iter().find(|s| s.name == name).unwrap();
            run(s, Some(m), secs);
        }
    }
}
fn run(scenario: Scenario, mutant: Option<Mutant>, secs: u64) {
        let t = Instant::now();
        let p = Protocol { scenario: scenario.clone(), mutant };
        let c = p.clone().checker().threads(if mutant.is_some() {1} else {2}).timeout(std::time::Duration::from_secs(secs)).finish_when(if mutant.is_some() && args().nth(3).is_some() { HasDiscoveries::AnyOf(["QUORUM operations are linearizable", "an acknowledged write is in the log", "a write is executed at most once"].into_iter().collect()) } else { HasDiscoveries::AnyFailures }).spawn_bfs().join();
        let d = c.discoveries();
        println!("{:15} {:30} {:>8} unique {:>8} total depth {} {:.1}s done {}", scenario.name, mutant.map_or(String::new(), |m| m.name()), c.unique_state_count(), c.state_count(), c.max_depth(), t.elapsed().as_secs_f64(), c.is_done());
        for pr in p.properties() {
            let f = d.contains_key(pr.name);
            if matches!(pr.expectation, Expectation::Sometimes) { if !f && mutant.is_none() { println!("    NEVER {}", pr.name); } }
            else if f { println!("    VIOLATED {} ({})", pr.name, d[pr.name].clone().into_actions().len()); if mutant.is_none() { for a in d[pr.name].clone().into_actions() { println!("        {a}"); } } }
        }
}
