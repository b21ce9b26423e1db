//! Whether a seed really decides everything: the same seeds in several processes, and twice in each, must leave the same
//! traces, byte by byte. The second process has another environment, and shares its processors with somebody who is busy.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::simulation;

/// Threads that do nothing but use a processor, and for how long at most.
const BUSY: usize = 2;
const BUSY_FOR: Duration = Duration::from_secs(120);

/// Compares the traces of `seeds` seeds, the first of which is `from`.
pub fn meta(from: u64, seeds: u64) -> anyhow::Result<ExitCode> {
    let own = std::env::current_exe().context("finding this program")?;
    let mut prints = Command::new(&own);
    prints.args(["traces", &seeds.to_string(), &from.to_string()]);
    let elsewhere = std::env::temp_dir().join(format!("mneme-meta-{}", std::process::id()));
    std::fs::create_dir(&elsewhere).with_context(|| format!("making {}", elsewhere.display()))?;
    let elsewhere_prints = in_another_environment(&prints, &elsewhere);
    let printed = [("as it is", prints, false), ("in another environment, under load", elsewhere_prints, true)]
        .map(|(what, command, under_load)| traces(command, under_load).with_context(|| what));
    std::fs::remove_dir(&elsewhere).with_context(|| format!("removing {}", elsewhere.display()))?;
    let [first, second] = printed;
    let (Traces { once: a, again: b }, Traces { once: c, again: d }) = (first?, second?);
    let mut same = true;
    for (what, left, right) in [
        ("twice in one process", &a, &b),
        ("in another process", &a, &c),
        ("in another process, the second time", &b, &d),
    ] {
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

/// The same command with everything different that a process is told of where it runs.
fn in_another_environment(command: &Command, folder: &Path) -> Command {
    let mut changed = match renames_host() {
        true => {
            let mut unshare = Command::new("unshare");
            unshare.args(["--user", "--map-root-user", "--uts", "sh", "-c", RENAMED, "sh"]).arg(command.get_program());
            unshare
        }
        false => {
            println!("the host's name is the same in both: it cannot be changed here");
            Command::new(command.get_program())
        }
    };
    changed.args(command.get_args()).current_dir(folder).env("HOME", folder).env("TMPDIR", folder);
    changed.envs([("TZ", "Pacific/Chatham"), ("LANG", "tr_TR.UTF-8"), ("LC_ALL", "tr_TR.UTF-8"), ("USER", "somebody")]);
    // The arguments and the environment lie on the stack: now everything on it is elsewhere.
    changed.envs((0..300).map(|number| (format!("MNEME_META_{number}"), "x".repeat(number))));
    changed
}

/// Gives the host another name, then runs what follows.
const RENAMED: &str = r#"hostname elsewhere && exec "$@""#;

/// Whether that is permitted.
fn renames_host() -> bool {
    let tried = Command::new("unshare")
        .args(["--user", "--map-root-user", "--uts", "sh", "-c", RENAMED, "sh", "true"])
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

/// The traces of one process, of the first time and the second.
struct Traces {
    once: String,
    again: String,
}

fn traces(mut command: Command, under_load: bool) -> anyhow::Result<Traces> {
    let child = command.stdout(Stdio::piped()).spawn().context("starting this program again")?;
    let is_done = AtomicBool::new(false);
    let text = std::thread::scope(|scope| {
        if under_load {
            (0..BUSY).for_each(|_| drop(scope.spawn(|| be_busy(&is_done))));
        }
        let text = output(child);
        is_done.store(true, Ordering::Relaxed);
        text
    })?;
    let (once, again) = text.split_once(BETWEEN).context("a process printed no traces")?;
    Ok(Traces { once: once.to_owned(), again: again.to_owned() })
}

fn output(mut child: Child) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = child.stdout.take().context("it has an output")?.read_to_string(&mut text);
    let status = child.wait()?;
    read.context("reading traces")?;
    if !status.success() {
        bail!("printing traces ended with {status}");
    }
    Ok(text)
}

/// Takes a processor away from whoever else wants it, now and then.
fn be_busy(is_done: &AtomicBool) {
    let end = Instant::now() + BUSY_FOR;
    while !is_done.load(Ordering::Relaxed) && Instant::now() < end {
        std::hint::spin_loop();
    }
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
