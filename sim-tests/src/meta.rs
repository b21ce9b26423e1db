//! Whether a seed really decides everything: the same seeds in two processes, and twice in each, must leave the same
//! traces, byte by byte.

use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};

use crate::simulation;

/// Compares the traces of `seeds` seeds, the first of which is `from`.
pub fn meta(from: u64, seeds: u64) -> anyhow::Result<ExitCode> {
    let own = std::env::current_exe().context("finding this program")?;
    let children = [(), ()].map(|()| {
        Command::new(&own).args(["traces", &seeds.to_string(), &from.to_string()]).stdout(Stdio::piped()).spawn()
    });
    let mut outputs = Vec::new();
    for child in children {
        let output = child.context("starting this program again")?.wait_with_output()?;
        if !output.status.success() {
            bail!("printing traces ended with {}", output.status);
        }
        outputs.push(String::from_utf8(output.stdout)?);
    }
    let [first, second] = outputs.as_slice() else { unreachable!("two processes were started") };
    let halves = |text: &str| text.split_once(BETWEEN).map(|(once, again)| (once.to_owned(), again.to_owned()));
    let (Some((a, b)), Some((c, d))) = (halves(first), halves(second)) else { bail!("a process printed no traces") };
    let mut same = true;
    for (what, left, right) in
        [("twice in one process", &a, &b), ("in two processes", &a, &c), ("in two processes, the second time", &b, &d)]
    {
        if let Some((line, left, right)) = first_difference(left, right) {
            println!("DIFFERENT {what}, from line {line} on:\n  {left}\n  {right}");
            same = false;
        }
    }
    if !same {
        return Ok(ExitCode::FAILURE);
    }
    println!("{seeds} seeds from {from} on: {} bytes of traces, the same in two processes and twice in each", a.len());
    Ok(ExitCode::SUCCESS)
}

/// Between the traces of the first time and those of the second.
const BETWEEN: &str = "\n==== again ====\n";

/// Prints the traces of the seeds, twice.
pub fn print_traces(from: u64, seeds: u64) -> anyhow::Result<ExitCode> {
    simulation::warm_up();
    let mut out = io::stdout().lock();
    for between in [BETWEEN, ""] {
        for seed in from..from + seeds {
            let report = simulation::run(seed, true);
            writeln!(out, "seed {seed}, violations {:?}, trace {:016x}", report.violations, report.trace_hash)?;
            out.write_all(report.trace.unwrap_or_default().as_bytes())?;
        }
        out.write_all(between.as_bytes())?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The number of the first line that differs, and how it reads in each.
fn first_difference<'a>(left: &'a str, right: &'a str) -> Option<(usize, &'a str, &'a str)> {
    if left == right {
        return None;
    }
    let (mut lefts, mut rights) = (left.lines(), right.lines());
    (1..).find_map(|line| match (lefts.next(), rights.next()) {
        (Some(left), Some(right)) if left == right => None,
        (left, right) => Some((line, left.unwrap_or("(the end)"), right.unwrap_or("(the end)"))),
    })
}
