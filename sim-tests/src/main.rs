//! Seeded fault simulations of the whole system: `cargo sim run --seeds 300`, `cargo sim replay SEED`,
//! `cargo sim shrink SEED`, `cargo sim report FILE`, `cargo sim meta`, `cargo sim damage`, `cargo sim mutants`.
//!
//! A seed decides everything: what clients ask for, what goes wrong and when, how long each packet and each sync takes.
//! [`simulation`] is one run; [`options`] is what seeds choose; [`nemesis`] is what goes wrong; [`check`] is what must
//! hold all the same.

#[cfg(not(madsim))]
compile_error!(
    "the simulation needs `--cfg madsim`; an environment `RUSTFLAGS` silently overrides the one in the alias"
);

mod appends;
mod check;
mod client;
mod cluster;
mod copies;
mod damage;
mod dice;
mod expected;
mod failure;
mod last_look;
mod meta;
mod mutants;
mod nemesis;
mod operators;
mod options;
mod plan;
mod publishers;
mod queues;
mod readers;
#[cfg(test)]
mod recovery;
mod report;
mod rights;
mod runs;
mod shrink;
mod simulation;
mod summary;
mod timeline;
mod topology;
mod trace;
mod waits;
mod workload;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use mneme_checks::{export, history, model, page, reduce, wire};

use plan::{Kept, Plan};

#[derive(Debug, Parser)]
#[command(name = "cargo sim", about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs many seeds and stops at the first that fails.
    Run(runs::Campaign),
    /// Runs one seed again and shows its options and its schedule of faults.
    Replay {
        #[command(flatten)]
        subject: Subject,
        /// Also show every event.
        #[arg(long)]
        trace: bool,
        /// Also show what the nodes log, for example `mneme_driver=debug`.
        #[arg(long)]
        log: Option<String>,
        /// Also writes all there is to know of it to this folder.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// Makes a failing run as small as it can be while the same check fails.
    Shrink {
        #[command(flatten)]
        subject: Subject,
        /// The check, if not the first that fails.
        #[arg(long)]
        check: Option<String>,
        #[command(flatten)]
        effort: shrink::Effort,
        /// Where the smallest plan goes [default: shrunk.json in the seed's folder below target/sim-failures].
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
    },
    /// Shows the result of a campaign as a page.
    Report {
        /// What `run --report` wrote.
        file: PathBuf,
        /// Where the page goes [default: beside the result].
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Runs one seed and prints what clients did and saw, as Jepsen writes it.
    History {
        seed: u64,
        #[arg(long, value_enum, default_value_t = export::Format::Edn)]
        format: export::Format,
        /// That of the transactions on lists, which Elle can judge.
        #[arg(long)]
        appends: bool,
        /// Where to, instead of printing it.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Runs seeds in two processes, and twice in each: all must do exactly the same.
    Meta {
        #[arg(long, default_value_t = 5)]
        seeds: u64,
        #[arg(long, default_value_t = 1)]
        from: u64,
    },
    /// Damages every record, block and manifest of a node's disk in every way, one at a time: of a node alone, and of one
    /// of three.
    Damage {
        /// How many nodes run at the same time.
        #[arg(long, default_value_t = 2)]
        threads: usize,
        /// Which part of the cases of one node of three; only one part is tried, unless all are.
        #[arg(long, default_value_t = 0)]
        part: usize,
        /// All of them, which takes minutes.
        #[arg(long)]
        all: bool,
        /// Only one node of three, and no node alone.
        #[arg(long)]
        only_group: bool,
    },
    /// Puts mistakes into the system, one at a time; each must be caught.
    Mutants(mutants::Trial),
    /// Prints the traces of seeds, for `meta`.
    #[command(hide = true)]
    Traces { seeds: u64, from: u64 },
    /// Makes a mistake until a check sees it, for `mutants`.
    #[cfg(mneme_mutants)]
    #[command(hide = true)]
    Mutant { name: String, seeds: u64, from: u64, by: Option<String> },
}

/// Which run.
#[derive(Debug, Args)]
struct Subject {
    /// A seed's.
    #[arg(required_unless_present = "plan")]
    seed: Option<u64>,
    /// That of a plan which was kept, with the mistake that it was kept for.
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    plan: Option<PathBuf>,
    /// With this mistake made on purpose.
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
}

impl Subject {
    /// The plan, and the mistake.
    fn find(self) -> anyhow::Result<(Plan, Option<String>)> {
        Ok(match self.plan {
            Some(path) => {
                let Kept { plan, mutant, .. } = Kept::read(&path)?;
                (plan, self.mutant.or(mutant))
            }
            None => (Plan::from_seed(self.seed.context("neither a seed nor a plan")?), self.mutant),
        })
    }
}

fn main() -> anyhow::Result<ExitCode> {
    simulation::keep_panics();
    match Arguments::parse().command {
        Command::Run(campaign) => match make(campaign.mutant.as_deref())? {
            Some(ended) => Ok(ended),
            None => runs::run(&campaign),
        },
        Command::Replay { subject, trace, log, out } => {
            let (plan, mutant) = subject.find()?;
            if let Some(ended) = make(mutant.as_deref())? {
                return Ok(ended);
            }
            log.into_iter().for_each(|filter| trace::show_logs(&filter));
            runs::replay(&plan, mutant, trace, out.as_deref())
        }
        Command::Shrink { subject, check, effort, save } => {
            let (plan, mutant) = subject.find()?;
            if let Some(ended) = make(mutant.as_deref())? {
                return Ok(ended);
            }
            let save = save
                .unwrap_or_else(|| Path::new(failure::FOLDER).join(plan.options.seed.to_string()).join("shrunk.json"));
            shrink::shrink(plan, check, mutant, effort, &save)
        }
        Command::Report { file, html } => report::report(&file, html.as_deref()),
        Command::History { seed, format, appends, out } => runs::history(seed, format, appends, out.as_deref()),
        Command::Meta { seeds, from } => meta::meta(from, seeds),
        Command::Damage { threads, part, all, only_group } => {
            let part = if all { damage::Part::All } else { damage::Part::Number(part) };
            damage::damage(threads, part, only_group)
        }
        Command::Mutants(trial) => mutants::mutants(&trial),
        Command::Traces { seeds, from } => meta::print_traces(from, seeds),
        #[cfg(mneme_mutants)]
        Command::Mutant { name, seeds, from, by } => mutants::mutant(&name, seeds, from, by.as_deref()),
    }
}

/// Sees to it that a mistake is made, if one is asked for; how it ended, if another process did all that is asked for.
fn make(mutant: Option<&str>) -> anyhow::Result<Option<ExitCode>> {
    mutant.map_or(Ok(None), mutants::make)
}
