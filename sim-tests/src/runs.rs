//! Many seeds, and one again.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use mneme_kernel::probe::Probe;

use crate::export;
use crate::nemesis::Schedule;
use crate::options::Options;
use crate::simulation::{self, Report};
use crate::world::{Counts, lock};

/// What must have happened at least once in this many seeds: a simulation whose faults do not fire proves nothing.
const SEEDS_FOR_ALL: u64 = 100;
const MUST_HAPPEN: [&str; 70] = [
    "acknowledged",
    "all down at once",
    "answered at EVENTUAL",
    "bridge cut",
    "clients held back",
    "clients killed",
    "clock set",
    "converged",
    "Cores cut from Keepers",
    "damage refused",
    "damage repaired",
    "data compared",
    "databases made",
    "digests compared",
    "ended in a purge",
    "ended in a rotation",
    "ended in a snapshot",
    "ended in an install",
    "ended in recovery",
    "ended itself",
    "entries compared",
    "epochs that began in a partition",
    "fell behind",
    "flapped",
    "halves cut",
    "joined anew",
    "joins after a removal",
    "killed",
    "leader isolated",
    "link cut",
    "lives",
    "lists read at the end",
    "lives from a snapshot",
    "LOADING",
    "machine deaf",
    "machine isolated",
    "machine mute",
    "made to lag",
    "names kept",
    "names lost",
    "no space",
    "operations",
    "outages",
    "pause outlasted the lease",
    "paused",
    "power cut",
    "primary isolated",
    "promoted",
    "reads cut short",
    "reads failed",
    "reigns",
    "Replicas",
    "Replicas fed by a follower",
    "removed",
    "rights changed",
    "rights refused",
    "rights used",
    "ring cut",
    "set aside",
    "stopped in order",
    "storms",
    "syncs failed",
    "terms that began in a partition",
    "UNCERTAIN",
    "waits counted",
    "what decides repaired",
    "writes dropped",
    "writes failed",
    "writes kept",
    "writes torn",
];

/// Runs `seeds` seeds, the first of which is `from`.
pub fn run(from: u64, seeds: u64, threads: usize) -> anyhow::Result<ExitCode> {
    simulation::warm_up();
    let start = Instant::now();
    let summary = Mutex::new(Summary::default());
    let next = AtomicU64::new(from);
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    let report = simulation::run(seed, false);
                    failed.fetch_or(!report.violations.is_empty(), Ordering::Relaxed);
                    lock(&summary).add(report, seeds);
                }
            });
        }
    });
    let mut summary = summary.into_inner()?;
    summary.print(start.elapsed());
    summary.failures.sort_by_key(|report| report.seed);
    for report in &summary.failures {
        print_violations(report);
    }
    let missing: Vec<&str> = MUST_HAPPEN
        .into_iter()
        .chain(crate::wire::COMMANDS)
        .filter(|what| summary.counts.get(what).is_none_or(|n| *n == 0))
        .collect();
    if seeds >= SEEDS_FOR_ALL && summary.failures.is_empty() && !missing.is_empty() {
        println!("in {seeds} seeds this never happened: {}", missing.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    Ok(if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one seed and shows all there is to know of it.
pub fn replay(seed: u64, trace: bool) -> anyhow::Result<ExitCode> {
    simulation::warm_up();
    let options = Options::from_seed(seed);
    println!("{options:#?}\n{}", Schedule::draw(&options));
    let report = simulation::run(seed, trace);
    if let Some(trace) = &report.trace {
        // Whoever closes the pipe has seen enough.
        let _ = io::stdout().write_all(trace.as_bytes());
    }
    println!("{}", listed(&report.counts));
    println!(
        "trace {:016x}, {:.1} s of virtual time in {:.2} s",
        report.trace_hash,
        report.virtual_time.as_secs_f64(),
        report.took.as_secs_f64()
    );
    if report.violations.is_empty() {
        println!("seed {seed} passes");
        return Ok(ExitCode::SUCCESS);
    }
    print_violations(&report);
    Ok(ExitCode::FAILURE)
}

/// Runs one seed and writes its history to a file, or prints it.
pub fn history(seed: u64, format: export::Format, appends: bool, out: Option<&Path>) -> anyhow::Result<ExitCode> {
    simulation::warm_up();
    let report = simulation::run(seed, false);
    let text = match appends {
        true => format.write(&report.transactions),
        false => format.write(&report.operations),
    };
    match out {
        Some(path) => std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?,
        // Whoever closes the pipe has seen enough.
        None => drop(io::stdout().write_all(text.as_bytes())),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_violations(report: &Report) {
    for violation in &report.violations {
        println!("seed {} FAILS ({}): {}", report.seed, violation.check, violation.what);
    }
    println!("again: cargo sim replay {}", report.seed);
}

fn listed(counts: &Counts) -> String {
    counts.iter().map(|(what, count)| format!("{what}: {count}")).collect::<Vec<_>>().join(", ")
}

#[derive(Debug, Default)]
struct Summary {
    seeds: u64,
    virtual_time: Duration,
    counts: Counts,
    /// Of each rare state, how often it was reached, and in how many seeds.
    marks: BTreeMap<&'static str, (u64, u64)>,
    /// How long the slowest took, and its seed.
    slowest: (Duration, u64),
    failures: Vec<Report>,
}

impl Summary {
    fn add(&mut self, report: Report, of: u64) {
        self.seeds += 1;
        self.virtual_time += report.virtual_time;
        self.slowest = self.slowest.max((report.took, report.seed));
        for (what, count) in &report.counts {
            *self.counts.entry(what).or_default() += count;
        }
        for (what, count) in &report.marks {
            let (times, seeds) = self.marks.entry(what).or_default();
            *times += count;
            *seeds += 1;
        }
        if !report.violations.is_empty() {
            self.failures.push(report);
        }
        if io::stdout().is_terminal() {
            print!("\r{} of {of} seeds", self.seeds);
            // It is only for the eye.
            let _ = io::stdout().flush();
        } else if self.seeds.is_multiple_of(50) {
            println!("{} of {of} seeds", self.seeds);
        }
    }

    fn print(&self, took: Duration) {
        let get = |what| self.counts.get(what).copied().unwrap_or_default();
        let unknown =
            get("operations") - get("acknowledged") - get("answered at EVENTUAL") - get("LOADING") - get("NOQUORUM");
        println!(
            "\n{} seeds, {:.0} s of virtual time in {:.1} s, the slowest, {}, in {:.1} s; {:.1} % of operations with an unknown fate",
            self.seeds,
            self.virtual_time.as_secs_f64(),
            took.as_secs_f64(),
            self.slowest.1,
            self.slowest.0.as_secs_f64(),
            100.0 * unknown as f64 / get("operations").max(1) as f64
        );
        println!("{}", listed(&self.counts));
        let marks = self.marks.iter().map(|(what, (times, seeds))| format!("{what}: {times} in {seeds}"));
        println!("rare states, how often and in how many seeds: {}", marks.collect::<Vec<_>>().join(", "));
        let never = Probe::ALL.into_iter().map(Probe::name).filter(|name| !self.marks.contains_key(name));
        println!("never: {}", never.collect::<Vec<_>>().join(", "));
    }
}
