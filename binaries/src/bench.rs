//! `mneme-bench`: puts load on a server that speaks the Redis protocol, and tells how fast it answers.
//!
//! So many clients, on one thread or some, send in a closed loop or at a rate of their own ([`pace`]). The clock starts when
//! all are connected and what is read is there. Each thread tells every second what it has counted.

mod answer;
mod book;
mod client;
mod compare;
mod keys;
mod live;
mod load;
mod mix;
mod options;
mod pace;
mod presets;
mod redial;
mod report;
mod request;
mod run;
mod tally;
mod text;
mod timer;
mod wire;
mod work;
mod worker;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

pub use options::command;

use crate::cli::stop::Stop;
use options::{Options, Task};
use run::Outcome;

/// Runs the load generator with this process's arguments, environment and standard streams.
pub fn main() -> ExitCode {
    let password = std::env::var("MNEME_PASSWORD").ok();
    let done = Task::parse(std::env::args_os(), password).and_then(|task| match task {
        Task::Run(options) => tell(&options, &run::run(&options)?),
        Task::Compare { before, after } => print(&compare::run(&before, &after)?),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => stop.report(),
    }
}

/// Writes what a run has shown where it was asked for.
fn tell(options: &Options, outcome: &Outcome) -> Result<(), Stop> {
    let Outcome { report, times } = outcome;
    let json = |value: serde_json::Result<String>| value.map_err(|e| Stop::Stream(io::Error::other(e)));
    if let Some(path) = &options.series {
        let lines: Result<Vec<String>, Stop> =
            report.series.iter().map(|second| Ok(json(serde_json::to_string(second))? + "\n")).collect();
        write(path, &lines?.concat())?;
    }
    let is_printed = options.json.as_deref() == Some(Path::new("-"));
    if !is_printed {
        print(&text::report(report))?;
    }
    if let Some(path) = &options.json {
        write(path, &(json(serde_json::to_string_pretty(report))? + "\n"))?;
    }
    if let Some(path) = &options.percentiles {
        write(path, &text::percentiles(times))?;
    }
    Ok(())
}

/// Writes a file; `-` is standard output.
fn write(path: &Path, text: &str) -> Result<(), Stop> {
    match path == Path::new("-") {
        true => print(text),
        false => fs::write(path, text).map_err(|e| Stop::Usage(format!("{}: {e}", path.display()))),
    }
}

fn print(text: &str) -> Result<(), Stop> {
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}
