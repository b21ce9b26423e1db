//! Seeded fault simulations of the whole system: `cargo sim run --seeds 300`, `cargo sim replay SEED`, `cargo sim meta`,
//! `cargo sim damage`, `cargo sim mutants`.
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
mod damage;
mod dice;
mod export;
mod history;
mod last_look;
mod meta;
mod model;
mod mutants;
mod nemesis;
mod operators;
mod options;
mod readers;
#[cfg(test)]
mod recovery;
mod rights;
mod runs;
mod simulation;
mod topology;
mod trace;
mod waits;
mod wire;
mod workload;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo sim", about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs many seeds and stops at the first that fails.
    Run {
        /// How many.
        #[arg(long, default_value_t = 100)]
        seeds: u64,
        /// The first.
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// How many run at the same time.
        #[arg(long, default_value_t = 2)]
        threads: usize,
    },
    /// Runs one seed again and shows its options and its schedule of faults.
    Replay {
        seed: u64,
        /// Also show every event.
        #[arg(long)]
        trace: bool,
        /// Also show what the nodes log, for example `mneme_driver=debug`.
        #[arg(long)]
        log: Option<String>,
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
    Mutants {
        /// Within how many seeds.
        #[arg(long, default_value_t = 1000)]
        seeds: u64,
        /// Only these.
        #[arg(long)]
        only: Vec<String>,
        /// Only what this check sees counts.
        #[arg(long)]
        by: Option<String>,
    },
    /// Prints the traces of seeds, for `meta`.
    #[command(hide = true)]
    Traces { seeds: u64, from: u64 },
    /// Makes a mistake until a check sees it, for `mutants`.
    #[cfg(mneme_mutants)]
    #[command(hide = true)]
    Mutant { name: String, seeds: u64, by: Option<String> },
}

fn main() -> anyhow::Result<ExitCode> {
    simulation::keep_panics();
    match Arguments::parse().command {
        Command::Run { seeds, from, threads } => runs::run(from, seeds, threads),
        Command::Replay { seed, trace, log } => {
            log.into_iter().for_each(|filter| trace::show_logs(&filter));
            runs::replay(seed, trace)
        }
        Command::History { seed, format, appends, out } => runs::history(seed, format, appends, out.as_deref()),
        Command::Meta { seeds, from } => meta::meta(from, seeds),
        Command::Damage { threads, part, all, only_group } => {
            let part = if all { damage::Part::All } else { damage::Part::Number(part) };
            damage::damage(threads, part, only_group)
        }
        Command::Mutants { seeds, only, by } => mutants::mutants(seeds, &only, by.as_deref()),
        Command::Traces { seeds, from } => meta::print_traces(from, seeds),
        #[cfg(mneme_mutants)]
        Command::Mutant { name, seeds, by } => mutants::mutant(&name, seeds, by.as_deref()),
    }
}
