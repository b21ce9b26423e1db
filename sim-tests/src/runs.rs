//! Many runs, and one again.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use mneme_kernel::probe::Probe;

use crate::expected;
use crate::export;
use crate::failure;
use crate::plan::{Kept, Plan};
use crate::simulation::{self, Report, UNDECIDED};
use crate::summary::{BUSY, Busy, Summary};
use crate::world::{Counts, Violation, lock};

/// How long a run may take in real time; it takes a fraction of a second, and searches of its history a minute at most.
const STUCK: Duration = Duration::from_secs(300);
/// At most one seed of so many may be left undecided: it shows no mistake, and proves nothing.
const DECIDED: u64 = 100;

/// What fails where two runs of one plan differ.
const DETERMINISM: &str = "determinism";
/// So many failing runs of one cause get a folder.
const FOLDERS: u64 = 3;
/// Where seeds and plans are kept that failed once.
const REGRESSIONS: &str = "sim-tests/regressions";
/// Below [`REGRESSIONS`], the file of seeds: one a line, and why.
const SEEDS: &str = "seeds.txt";

/// Which runs, and what to do about those that fail.
#[derive(Clone, Debug, Args)]
pub struct Campaign {
    /// How many seeds [default: 100, or as many as there is time for].
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Derives the first seed from a text, for example from a commit's hash.
    #[arg(long, value_name = "TEXT", conflicts_with = "from")]
    fresh: Option<String>,
    /// Begins no run after so long: 90s, 30m, 8h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// How many run at the same time.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Goes on when a run fails, and says at the end which failures have the same cause.
    #[arg(long)]
    keep_going: bool,
    /// Runs each seed twice: both must do exactly the same.
    #[arg(long)]
    twice: bool,
    /// Also, and first, runs what failed once: the seeds and plans of a file or a folder.
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = REGRESSIONS)]
    regressions: Option<PathBuf>,
    /// Where a folder is made for each run that fails.
    #[arg(long, default_value = failure::FOLDER)]
    out: PathBuf,
    /// Writes the result to this file, for `cargo sim report`.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// With this mistake made on purpose.
    #[arg(long, value_name = "NAME")]
    pub mutant: Option<String>,
}

/// One that is to be run.
struct Subject {
    name: String,
    plan: Plan,
}

impl Subject {
    fn of_seed(seed: u64) -> Subject {
        Subject { name: seed.to_string(), plan: Plan::from_seed(seed) }
    }

    /// Runs it; again, and comparing, if it is told so.
    fn run(&self, twice: bool) -> Report {
        let mut report = simulation::run_plan(self.plan.clone(), false);
        if twice {
            let again = simulation::run_plan(self.plan.clone(), false);
            report.violations.extend(difference(&report, &again));
            report.took += again.took;
            report.judging += again.judging;
            report.load += again.load;
            report.virtual_time += again.virtual_time;
        }
        report
    }

    /// Runs it once more, and writes all there is to know of it to a folder.
    fn record(&self, campaign: &Campaign, report: &Report) -> anyhow::Result<Option<Violation>> {
        let again = simulation::run_plan(self.plan.clone(), true);
        let kept = kept(&self.plan, campaign.mutant.clone(), report);
        failure::write(&campaign.out.join(&self.name), &kept, &again)?;
        Ok(difference(report, &again))
    }
}

/// A plan as it is kept.
pub fn kept(plan: &Plan, mutant: Option<String>, report: &Report) -> Kept {
    let first = report.violations.first();
    Kept {
        check: first.map(|violation| violation.check.to_owned()).unwrap_or_default(),
        what: first.map(|violation| violation.what.lines().next().unwrap_or_default().to_owned()).unwrap_or_default(),
        mutant,
        drawn_faults: Plan::from_seed(plan.options.seed).schedule.0.len(),
        plan: plan.clone(),
    }
}

/// In what two runs of one plan differ. How long a search takes in real time is not a part of them.
fn difference(once: &Report, again: &Report) -> Option<Violation> {
    let decided = |report: &Report| -> Vec<Violation> {
        let found = report.violations.iter().filter(|found| ![UNDECIDED, DETERMINISM].contains(&found.check));
        found.cloned().collect()
    };
    let (one, other) = (decided(once), decided(again));
    let is_undecided = |report: &Report| report.violations.iter().any(|found| found.check == UNDECIDED);
    let same_checks = one == other || is_undecided(once) || is_undecided(again);
    if once.trace_hash == again.trace_hash && same_checks {
        return None;
    }
    let what = format!(
        "run again it does not do the same:\n    trace {:016x} and {:016x}\n    violations {one:?} and {other:?}",
        once.trace_hash, again.trace_hash
    );
    Some(Violation { check: DETERMINISM, what, at: None })
}

/// Ends this process, and says why, if a run does not come to its end: a loop without an end stops no virtual clock.
struct Watch {
    ended: mpsc::Sender<()>,
}

impl Watch {
    fn over(name: &str) -> Watch {
        let (ended, heard) = mpsc::channel();
        let name = name.to_owned();
        std::thread::spawn(move || {
            if heard.recv_timeout(STUCK) == Err(mpsc::RecvTimeoutError::Timeout) {
                println!("seed {name} FAILS (end): it has not come to its end in {STUCK:?} of real time");
                std::process::exit(1);
            }
        });
        Watch { ended }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Nobody hears it that has given up.
        let _ = self.ended.send(());
    }
}

/// Runs a campaign.
pub fn run(campaign: &Campaign) -> anyhow::Result<ExitCode> {
    let regressions = match &campaign.regressions {
        Some(path) => regressions(path)?,
        None => Vec::new(),
    };
    let from = campaign.fresh.as_deref().map_or(campaign.from, seed_of);
    let seeds = campaign.seeds.unwrap_or(if campaign.time.is_some() { u64::MAX / 2 } else { 100 });
    let of = (campaign.seeds.is_some() || campaign.time.is_none()).then_some(seeds + regressions.len() as u64);
    if campaign.fresh.is_some() {
        println!("the first seed is {from}");
    }
    simulation::warm_up();
    let start = Instant::now();
    let summary = Mutex::new(Summary { commit: commit(), asked: asked(), from, ..Summary::default() });
    let (next_kept, next_seed, stops) = (AtomicUsize::new(0), AtomicU64::new(from), AtomicBool::new(false));
    let run_all = || -> anyhow::Result<()> {
        while !stops.load(Ordering::Relaxed) && campaign.time.is_none_or(|time| start.elapsed() < time) {
            let kept = regressions.get(next_kept.fetch_add(1, Ordering::Relaxed));
            let drawn;
            let subject = match kept {
                Some(kept) => kept,
                None => {
                    let seed = next_seed.fetch_add(1, Ordering::Relaxed);
                    if seed - from >= seeds {
                        break;
                    }
                    drawn = Subject::of_seed(seed);
                    &drawn
                }
            };
            let watch = Watch::over(&subject.name);
            let mut report = subject.run(campaign.twice);
            drop(watch);
            let before = report.violations.len();
            report.violations.retain(|violation| violation.check != UNDECIDED);
            if report.violations.len() < before {
                println!("{} is not decided: the search was given up", subject.name);
                lock(&summary).undecided += 1;
            }
            if !report.violations.is_empty() {
                let is_new = report.violations.iter().any(|violation| lock(&summary).seen(violation) < FOLDERS);
                if is_new {
                    let other = subject.record(campaign, &report)?;
                    let is_known = report.violations.iter().any(|violation| violation.check == DETERMINISM);
                    report.violations.extend(other.filter(|_| !is_known));
                }
                stops.fetch_or(!campaign.keep_going, Ordering::Relaxed);
                print_failures(&subject.name, &report);
                if is_new {
                    println!("all there is to know: {}", campaign.out.join(&subject.name).display());
                }
            }
            let mut summary = lock(&summary);
            summary.regressions += u64::from(kept.is_some());
            summary.seeds += u64::from(kept.is_none());
            summary.add(&subject.name, &report);
            print_progress(&summary, of);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..campaign.threads).map(|_| scope.spawn(run_all)).collect();
        running.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked")))
    })?;
    let mut summary = summary.into_inner()?;
    summary.took = start.elapsed().as_secs_f64();
    for what in expected::all().chain(Probe::ALL.map(|probe| expected::mark(probe.name()))) {
        summary.happened.entry(what).or_default();
    }
    print(&summary);
    if let Some(path) = &campaign.report {
        let text = serde_json::to_string_pretty(&summary)? + "\n";
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    let missing = expected::missing(&summary);
    if summary.undecided * DECIDED > summary.seeds.max(DECIDED) {
        println!("{} of {} seeds are not decided", summary.undecided, summary.seeds);
        return Ok(ExitCode::FAILURE);
    }
    if summary.failed == 0 && !missing.is_empty() {
        println!("in {} seeds this never happened: {}", summary.seeds, missing.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    Ok(if summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a seed or a plan and shows all there is to know of it; also writes that to a folder if one is given.
pub fn replay(plan: &Plan, mutant: Option<String>, trace: bool, out: Option<&Path>) -> anyhow::Result<ExitCode> {
    simulation::warm_up();
    let Plan { options, schedule } = plan;
    println!("{options:#?}\n{schedule}");
    let report = simulation::run_plan(plan.clone(), trace || out.is_some());
    if let Some(trace) = report.trace.as_ref().filter(|_| trace) {
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
    if let Some(out) = out {
        failure::write(out, &kept(plan, mutant, &report), &report)?;
        println!("written to {}", out.display());
    }
    if report.violations.is_empty() {
        println!("seed {} passes", report.seed);
        return Ok(ExitCode::SUCCESS);
    }
    print_failures(&report.seed.to_string(), &report);
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

/// What failed once: plans in files of their own, seeds in one.
fn regressions(path: &Path) -> anyhow::Result<Vec<Subject>> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = fs::read_dir(path).with_context(|| format!("reading {}", path.display()))?;
        files = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        files.sort();
    }
    let mut subjects = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if file.extension().is_some_and(|extension| extension == "json") {
            subjects.push(Subject { name, plan: Kept::read(&file)?.plan });
        } else if file == path || file.ends_with(SEEDS) {
            let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            subjects.extend(seeds_of(&text)?.into_iter().map(Subject::of_seed));
        }
    }
    Ok(subjects)
}

/// The seeds of a text: the first word of each line that is no comment.
fn seeds_of(text: &str) -> anyhow::Result<Vec<u64>> {
    let lines = text.lines().filter_map(|line| line.split_whitespace().next()).filter(|word| !word.starts_with('#'));
    lines.map(|word| word.parse().with_context(|| format!("{word} is no seed"))).collect()
}

/// A seed that a text stands for (FNV-1a), short enough to be typed.
fn seed_of(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash >> 28
}

/// A time as people write it: 90s, 30m, 8h.
pub fn duration(text: &str) -> Result<Duration, String> {
    let units = [('s', 1), ('m', 60), ('h', 3_600)];
    let unit = units.iter().find_map(|(name, seconds)| Some((text.strip_suffix(*name)?, *seconds)));
    let number = unit.and_then(|(number, seconds): (&str, u64)| number.parse::<u64>().ok()?.checked_mul(seconds));
    number.map(Duration::from_secs).ok_or_else(|| format!("{text} is no time such as 90s, 30m or 8h"))
}

/// The version of the code, as far as git knows it.
fn commit() -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let said = Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(root).output();
    let said = said.ok().filter(|said| said.status.success());
    said.map_or_else(|| "unknown".to_owned(), |said| String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

/// What this program was asked for.
fn asked() -> String {
    std::env::args().skip(1).collect::<Vec<_>>().join(" ")
}

fn print_failures(name: &str, report: &Report) {
    for Violation { check, what, .. } in &report.violations {
        println!("seed {name} FAILS ({check}): {what}");
    }
}

fn listed(counts: &Counts) -> String {
    counts.iter().map(|(what, count)| format!("{what}: {count}")).collect::<Vec<_>>().join(", ")
}

fn print_progress(summary: &Summary, of: Option<u64>) {
    let done = summary.seeds + summary.regressions;
    let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
    if io::stdout().is_terminal() {
        print!("\r{done}{of} runs");
        // It is only for the eye.
        let _ = io::stdout().flush();
    } else if done.is_multiple_of(50) {
        println!("{done}{of} runs");
    }
}

fn print(summary: &Summary) {
    let slowest = summary.slowest.first();
    println!(
        "\n{} seeds{}, {:.0} s of virtual time in {:.1} s, the slowest, {}, in {:.1} s; {:.1} % of operations with an unknown fate",
        summary.seeds,
        if summary.regressions > 0 { format!(" and {} kept runs", summary.regressions) } else { String::new() },
        summary.virtual_time,
        summary.took,
        slowest.map_or("none", |slow| &slow.name),
        slowest.map_or(0.0, |slow| slow.took),
        summary.unknown()
    );
    let (together, one) = summary.speed();
    println!(
        "{together:.1} s of virtual time a second, {one:.1} on each core; {:.1} operations of clients in a second of virtual time",
        summary.load()
    );
    println!("{:.0} % of the time went into judging what clients saw", 100.0 * summary.judging / summary.took_together);
    let Busy { runs, operations, virtual_time, simulating } = summary.busy;
    if runs > 0 {
        println!(
            "without it {:.1} s of virtual time a second on a core in the {runs} runs with at least {BUSY} operations, {:.1} on average",
            virtual_time / simulating,
            operations as f64 / virtual_time
        );
    }
    let happened = summary.happened.iter().filter(|(_, tally)| tally.times > 0);
    let happened: Vec<String> = happened.map(|(what, tally)| format!("{what}: {}", tally.times)).collect();
    println!("{}", happened.join(", "));
    if !summary.failures.is_empty() {
        println!("failed: {}, by cause:", summary.failed);
    }
    for failure in &summary.failures {
        println!("  {} × ({}): {}", failure.runs, failure.check, failure.cause);
        println!("    {}", failure.named.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("30m"), Ok(Duration::from_secs(1_800)));
        assert_eq!(duration("8h"), Ok(Duration::from_secs(28_800)));
        assert!(["", "h", "8", "8d", "-1h"].iter().all(|text| duration(text).is_err()));
    }

    #[test]
    fn a_text_stands_for_a_seed() {
        assert_ne!(seed_of("a1b2"), seed_of("a1b3"));
        assert_eq!(seeds_of("# why\n17  lost a write\n\n4\n").expect("seeds"), [17, 4]);
        assert!(seeds_of("seventeen").is_err());
    }

    #[test]
    fn a_run_that_does_something_else_the_second_time_fails() {
        let report = |trace_hash| Report { trace_hash, ..Report::default() };
        assert_eq!(difference(&report(1), &report(1)), None);
        assert_eq!(difference(&report(1), &report(2)).map(|found| found.check), Some(DETERMINISM));
        let found = Violation { check: "log", what: String::new(), at: None };
        let failed = Report { violations: vec![found], ..report(1) };
        assert_eq!(difference(&report(1), &failed).map(|found| found.check), Some(DETERMINISM));
    }
}
