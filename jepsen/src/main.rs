//! Jepsen-style tests of the real thing: `cargo run --release -p jepsen -- test --workload register --nemesis kill,partition`.
//!
//! It starts a cluster of real processes ([`cluster`]), each on a host of its own ([`hosts`]), lets ordinary clients of Redis
//! work on it ([`client`], [`workload`]) while things go wrong ([`nemesis`]), and judges what they saw ([`judge`]) by the rules
//! that the simulation is judged by. [`report`] writes down all of it.

mod analysis;
mod client;
mod cluster;
mod hosts;
mod judge;
mod matrix;
mod memory;
mod nemesis;
mod options;
mod report;
mod run;
mod values;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "jepsen", about = "Real clusters under real faults, judged by what clients saw", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One run: exit code 1 if a check fails
    Test(Box<options::Options>),
    /// Each workload against each nemesis, one after the other, and a table of what came of it
    Matrix(Box<matrix::Options>),
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let test = match &command {
        Command::Test(options) => options,
        Command::Matrix(options) => &options.test,
    };
    if test.compose && !hosts::compose::answers() {
        println!("skipped: no container engine answers here, or there is no compose");
        return ExitCode::SUCCESS;
    }
    let done = match command {
        Command::Test(options) => run::test(*options).map(|report| report.is_valid()),
        Command::Matrix(options) => matrix::run(*options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("jepsen: {error:#}");
            ExitCode::from(2)
        }
    }
}
