//! Whether the checks see anything: deliberate mistakes, each of which must be caught
//! ([`mneme_kernel::mutant`]).

use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};
use mneme_kernel::mutant::Mutant;

#[cfg(mneme_mutants)]
use crate::options::Options;
use crate::world::lock;

/// Where the build with mistakes in it goes, apart from those without.
const FOLDER: &str = "target/mutants";
/// How many are tried at the same time.
const THREADS: usize = 2;
const FLAGS: &str = r#"build.rustflags=["--cfg","madsim","--cfg","mneme_mutants"]"#;

/// Builds this program with all mistakes in it, and has it make each until a check sees it, in `seeds` seeds at most.
/// If some are named, only those; if a check is named, only what that one sees counts.
pub fn mutants(seeds: u64, only: &[String], by: Option<&str>) -> anyhow::Result<ExitCode> {
    if let Some(unknown) = only.iter().find(|only| Mutant::ALL.iter().all(|(name, _)| name != only)) {
        bail!("there is no mutant {unknown}");
    }
    let build = ["--quiet", "--package", env!("CARGO_PKG_NAME"), "--profile", "sim", "--target-dir", FOLDER];
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let built = Command::new(cargo).arg("build").args(build).args(["--config", FLAGS]).current_dir(root).status();
    if !built.context("starting cargo")?.success() {
        bail!("the build with mistakes in it failed");
    }
    let program = format!("{root}/{FOLDER}/sim/{}", env!("CARGO_BIN_NAME"));
    let chosen: Vec<&str> = Mutant::ALL.into_iter().map(|(name, _)| name).collect();
    let chosen: Vec<&str> =
        chosen.into_iter().filter(|name| only.is_empty() || only.iter().any(|only| only == name)).collect();
    let (next, start, escaped) = (AtomicUsize::new(0), Instant::now(), Mutex::new(Vec::new()));
    let run_all = || -> anyhow::Result<()> {
        while let Some(name) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let run = Command::new(&program)
                .args(["mutant", name, &seeds.to_string()])
                .args(by)
                .stderr(Stdio::null())
                .output();
            let output = run.with_context(|| format!("starting {program}"))?;
            print!("{}", String::from_utf8_lossy(&output.stdout));
            if !output.status.success() {
                lock(&escaped).push(*name);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let running = [(); THREADS].map(|()| scope.spawn(run_all));
        running.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })?;
    let escaped = escaped.into_inner()?;
    println!("{} mutants in {:.0} s; not caught: {}", chosen.len(), start.elapsed().as_secs_f64(), escaped.join(", "));
    Ok(if escaped.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes one mistake, seed by seed, until a check sees it, or this one.
#[cfg(mneme_mutants)]
pub fn mutant(name: &str, seeds: u64, by: Option<&str>) -> anyhow::Result<ExitCode> {
    let named = Mutant::ALL.into_iter().find(|(known, _)| *known == name);
    let (_, mutant) = named.with_context(|| format!("there is no mutant {name}"))?;
    crate::simulation::warm_up();
    mneme_kernel::mutant::choose(mutant);
    let start = Instant::now();
    let is_wanted = |seed: &u64| !needs_several_nodes(mutant) || !Options::from_seed(*seed).topology.is_solo();
    for seed in (1..).filter(is_wanted).take(seeds as usize) {
        let mut report = crate::simulation::run(seed, false);
        // Giving up a search sees nothing.
        report.violations.retain(|violation| match by {
            Some(by) => violation.check == by,
            None => violation.check != crate::simulation::UNDECIDED,
        });
        if report.violations.is_empty() {
            continue;
        }
        println!("{name}: caught by seed {seed} after {:.1} s", start.elapsed().as_secs_f64());
        let mut checks: Vec<&str> = Vec::new();
        for violation in &report.violations {
            // One line of each check is enough.
            if !checks.contains(&violation.check) {
                checks.push(violation.check);
                println!("  {}: {}", violation.check, violation.what.lines().next().unwrap_or_default());
            }
        }
        return Ok(if by.is_some() || is_seen_by_damage(mutant)? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    println!("{name}: NOT caught within {seeds} seeds, {:.1} s", start.elapsed().as_secs_f64());
    Ok(ExitCode::FAILURE)
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
    )
}

/// Whether damaging everything sees a mistake that is about damage, of a node alone and of one of three; `true` of all
/// others.
#[cfg(mneme_mutants)]
fn is_seen_by_damage(mutant: Mutant) -> anyhow::Result<bool> {
    let (alone, of_three) = match mutant {
        Mutant::CutCorruptRecord => (true, true),
        Mutant::IgnoreBlockChecksum => (true, false),
        Mutant::VoteWithDamagedLog => (false, true),
        _ => (false, false),
    };
    let mut is_seen = true;
    if alone {
        let failures = crate::damage::damage_all(2, 1, &mut Default::default())?;
        println!("  damage: {} cases fail", failures.len());
        is_seen &= !failures.is_empty();
    }
    if of_three {
        let failures = crate::damage::damage_one_of_three(2, 1, crate::damage::Part::Number(0))?;
        for scenario in crate::damage::Scenario::ALL {
            let failed = failures.iter().filter(|(of, _)| *of == scenario).count();
            println!("  damage to one of three, {scenario:?}: {failed} cases fail");
            is_seen &= failed > 0;
        }
    }
    Ok(is_seen)
}
