//! Whether the checks see anything: deliberate mistakes, each of which must be caught
//! ([`mneme_kernel::mutant`]).

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};
use mneme_kernel::mutant::Mutant;
use serde::{Deserialize, Serialize};

#[cfg(mneme_mutants)]
use crate::options::Options;
use crate::world::lock;

/// Where the build with mistakes in it goes, apart from those without.
const FOLDER: &str = "target/mutants";
/// How many are tried at the same time.
const THREADS: usize = 2;
const FLAGS: &str = r#"build.rustflags=["--cfg","madsim","--cfg","mneme_mutants"]"#;
/// Between the first seeds of two rounds.
const ROUND: u64 = 1_000_000;

/// Which mistakes are made, and how often.
#[derive(Clone, Debug, clap::Args)]
pub struct Trial {
    /// Within how many seeds each must be caught.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// Only these.
    #[arg(long)]
    only: Vec<String>,
    /// Only what this check sees counts.
    #[arg(long)]
    by: Option<String>,
    /// So many times, from other first seeds each time.
    #[arg(long, default_value_t = 1)]
    rounds: u64,
    /// Only every Nth, from the one at place I on; what is left of I by N counts.
    #[arg(long, value_name = "I/N", value_parser = part)]
    part: Option<(usize, usize)>,
}

/// A part of all: from which place on, and every which one.
fn part(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/').and_then(|(at, of)| Some((at.parse().ok()?, of.parse().ok()?)));
    numbers
        .filter(|(_, of)| *of > 0)
        .map(|(at, of): (usize, usize)| (at % of, of))
        .ok_or_else(|| format!("{text} is no part such as 2/5"))
}

/// What came of looking for one mistake.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Verdict {
    mutant: String,
    /// The seed that caught it.
    seed: Option<u64>,
    /// How many were run until then.
    seeds: u64,
    /// Which checks saw it, with a line of what each said.
    checks: Vec<(String, String)>,
    /// How many cases of damage see it, if it is about damage.
    damage: Option<usize>,
    seconds: f64,
}

impl Verdict {
    fn is_caught(&self) -> bool {
        self.seed.is_some() && self.damage != Some(0)
    }

    fn print(&self) {
        let mut text = match self.seed {
            Some(seed) => format!("{}: caught by seed {seed} after {:.1} s\n", self.mutant, self.seconds),
            None => format!("{}: NOT caught within {} seeds, {:.1} s\n", self.mutant, self.seeds, self.seconds),
        };
        for (check, what) in &self.checks {
            text += &format!("  {check}: {what}\n");
        }
        if let Some(damage) = self.damage {
            text += &format!("  damage: {damage} cases fail\n");
        }
        print!("{text}");
        // It is only for the eye.
        let _ = std::io::stdout().flush();
    }
}

/// Builds this program with all mistakes in it, and has it make each of the chosen ones until a check sees it.
pub fn mutants(trial: &Trial) -> anyhow::Result<ExitCode> {
    if let Some(unknown) = trial.only.iter().find(|only| !is_known(only)) {
        bail!("there is no mutant {unknown}");
    }
    let program = build()?;
    let (at, of) = trial.part.unwrap_or((0, 1));
    let chosen: Vec<&str> = Mutant::ALL.into_iter().map(|(name, _)| name).skip(at).step_by(of).collect();
    let chosen: Vec<&str> =
        chosen.into_iter().filter(|name| trial.only.is_empty() || trial.only.iter().any(|only| only == name)).collect();
    let rounds: Vec<(&str, u64)> =
        (0..trial.rounds).flat_map(|round| chosen.iter().map(move |name| (*name, 1 + round * ROUND))).collect();
    let (next, start, verdicts) = (AtomicUsize::new(0), Instant::now(), Mutex::new(Vec::new()));
    let run_all = || -> anyhow::Result<()> {
        while let Some((name, from)) = rounds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let asked = ["mutant", name, &trial.seeds.to_string(), &from.to_string()];
            let run = Command::new(&program).args(asked).args(&trial.by).stderr(Stdio::null()).output();
            let output = run.with_context(|| format!("starting {}", program.display()))?;
            // Damage says more before it.
            let last = output.stdout.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
            let verdict: Verdict = serde_json::from_slice(last).with_context(|| format!("{name}: no verdict"))?;
            verdict.print();
            lock(&verdicts).push(verdict);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let running = [(); THREADS].map(|()| scope.spawn(run_all));
        running.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })?;
    let verdicts = verdicts.into_inner()?;
    println!("\n{}", table(&chosen, &verdicts));
    let escaped: Vec<&str> = chosen
        .iter()
        .copied()
        .filter(|name| verdicts.iter().any(|verdict| verdict.mutant == *name && !verdict.is_caught()))
        .collect();
    println!("{} mutants in {:.0} s; not caught: {}", chosen.len(), start.elapsed().as_secs_f64(), escaped.join(", "));
    Ok(if escaped.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One line a mutant, and how many seeds it takes to catch one.
fn table(chosen: &[&str], verdicts: &[Verdict]) -> String {
    let several = verdicts.len() > chosen.len();
    let mut table = format!(
        "{:28} {:>9} {:>7}{} {:>8}  checks\n",
        "mutant",
        "seed",
        "seeds",
        if several { "  (median)" } else { "" },
        "seconds"
    );
    let mut medians = Vec::new();
    for name in chosen {
        let own: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.mutant == *name).collect();
        let seeds = median(own.iter().map(|verdict| verdict.seeds));
        medians.push(seeds);
        let first = own.iter().filter_map(|verdict| verdict.seed).min();
        let mut checks: Vec<&str> = own.iter().flat_map(|verdict| &verdict.checks).map(|(check, _)| &**check).collect();
        checks.sort_unstable();
        checks.dedup();
        table += &format!(
            "{name:28} {:>9} {:>7}{} {:>8.1}  {}\n",
            first.map_or("none".to_owned(), |seed| seed.to_string()),
            own.first().map_or(0, |verdict| verdict.seeds),
            if several { format!("  {seeds:>8}") } else { String::new() },
            own.iter().map(|verdict| verdict.seconds).sum::<f64>(),
            checks.join(", ")
        );
    }
    table + &format!("half of the mutants are caught within {} seeds\n", median(medians.into_iter()))
}

/// The one in the middle; the lower of two.
fn median(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers.get(numbers.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

fn is_known(name: &str) -> bool {
    Mutant::ALL.iter().any(|(known, _)| *known == name)
}

/// Builds this program with all mistakes in it; where it is.
fn build() -> anyhow::Result<PathBuf> {
    let build = ["--quiet", "--package", env!("CARGO_PKG_NAME"), "--profile", "sim", "--target-dir", FOLDER];
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let built = Command::new(cargo).arg("build").args(build).args(["--config", FLAGS]).current_dir(root).status();
    if !built.context("starting cargo")?.success() {
        bail!("the build with mistakes in it failed");
    }
    Ok(format!("{root}/{FOLDER}/sim/{}", env!("CARGO_BIN_NAME")).into())
}

/// Sees to it that a mistake is made in all that follows. A build without mistakes cannot: there the build with them does
/// what this process was asked for, and this is how it ended.
#[cfg(not(mneme_mutants))]
pub fn make(name: &str) -> anyhow::Result<Option<ExitCode>> {
    if !is_known(name) {
        bail!("there is no mutant {name}");
    }
    let program = build()?;
    let status = Command::new(&program).args(std::env::args_os().skip(1)).status();
    let status = status.with_context(|| format!("starting {}", program.display()))?;
    Ok(Some(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

/// As above.
#[cfg(mneme_mutants)]
pub fn make(name: &str) -> anyhow::Result<Option<ExitCode>> {
    mneme_kernel::mutant::choose(named(name)?);
    Ok(None)
}

#[cfg(mneme_mutants)]
fn named(name: &str) -> anyhow::Result<Mutant> {
    let named = Mutant::ALL.into_iter().find(|(known, _)| *known == name);
    Ok(named.with_context(|| format!("there is no mutant {name}"))?.1)
}

/// Makes one mistake, seed by seed, until a check sees it, and says so to the process that asked.
#[cfg(mneme_mutants)]
pub fn mutant(name: &str, seeds: u64, from: u64, by: Option<&str>) -> anyhow::Result<ExitCode> {
    let mutant = named(name)?;
    crate::simulation::warm_up();
    mneme_kernel::mutant::choose(mutant);
    let start = Instant::now();
    let is_wanted = |seed: &u64| !needs_several_nodes(mutant) || !Options::from_seed(*seed).topology.is_solo();
    let mut verdict =
        Verdict { mutant: name.to_owned(), seed: None, seeds: 0, checks: Vec::new(), damage: None, seconds: 0.0 };
    for seed in (from..).filter(is_wanted).take(seeds as usize) {
        verdict.seeds += 1;
        let mut report = crate::simulation::run(seed, false);
        // Giving up a search sees nothing.
        report.violations.retain(|violation| match by {
            Some(by) => violation.check == by,
            None => violation.check != crate::simulation::UNDECIDED,
        });
        if report.violations.is_empty() {
            continue;
        }
        verdict.seed = Some(seed);
        for violation in &report.violations {
            // One line of each check is enough.
            if verdict.checks.iter().all(|(known, _)| known != violation.check) {
                let line = violation.what.lines().next().unwrap_or_default();
                verdict.checks.push((violation.check.to_owned(), line.to_owned()));
            }
        }
        if by.is_none() {
            verdict.damage = seen_by_damage(mutant)?;
        }
        break;
    }
    verdict.seconds = start.elapsed().as_secs_f64();
    println!("{}", serde_json::to_string(&verdict)?);
    Ok(ExitCode::SUCCESS)
}

/// Whether a mistake makes a difference only among several nodes.
#[cfg(mneme_mutants)]
fn needs_several_nodes(mutant: Mutant) -> bool {
    matches!(
        mutant,
        Mutant::ClaimWithoutRenewal
            | Mutant::AcceptDuplicate
            | Mutant::AcceptGap
            | Mutant::ClaimWithoutIncarnation
            | Mutant::LongLease
            | Mutant::LeaseFromResend
            | Mutant::LeaseFromAcknowledgement
            | Mutant::NoLeaseCheck
            | Mutant::ReadAfterRelease
            | Mutant::IgnoreVerdict
            | Mutant::KeepMemory
            | Mutant::CommitAppended
            | Mutant::VoteWithDamagedLog
            | Mutant::ExecuteAgain
            | Mutant::RequestTableNotInBatch
            | Mutant::TableEntryDroppedEarly
            | Mutant::PromoteEarly
            | Mutant::InstallUnannounced
            | Mutant::KeepIdWhenWiped
            | Mutant::StopClockInPause
            | Mutant::AllWithoutCores
            | Mutant::CountEverybody
            | Mutant::ServeHalfRead
            | Mutant::TwoFounders
            | Mutant::ComeBack
            | Mutant::ServeUnkept
    )
}

/// How many cases of damage see a mistake that is about damage, of a node alone and of one of three: none, if one of those
/// that should does not.
#[cfg(mneme_mutants)]
fn seen_by_damage(mutant: Mutant) -> anyhow::Result<Option<usize>> {
    let (alone, of_three) = match mutant {
        Mutant::CutCorruptRecord => (true, true),
        Mutant::IgnoreBlockChecksum => (true, false),
        Mutant::VoteWithDamagedLog => (false, true),
        _ => return Ok(None),
    };
    let mut seen = Vec::new();
    if alone {
        seen.push(crate::damage::damage_all(2, 1, &mut Default::default())?.len());
    }
    if of_three {
        let failures = crate::damage::damage_one_of_three(2, 1, crate::damage::Part::Number(0))?;
        let of = |scenario| failures.iter().filter(|(of, _)| *of == scenario).count();
        seen.extend(crate::damage::Scenario::ALL.map(of));
    }
    Ok(Some(if seen.contains(&0) { 0 } else { seen.iter().sum() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_together_are_all() {
        assert_eq!(part("7/5"), Ok((2, 5)));
        assert!(["3", "1/0", "/", "a/2"].iter().all(|text| part(text).is_err()));
        assert_eq!(median([9, 1, 5].into_iter()), 5);
        assert_eq!(median([4, 1].into_iter()), 1);
    }
}
