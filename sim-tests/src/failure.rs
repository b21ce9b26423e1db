//! A folder that says all there is to know of a run that failed: `target/sim-failures/SEED/`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use crate::history::{NEVER, Stamp};
use crate::plan::{Kept, Plan};
use crate::simulation::{Record, Report};
use crate::world::Violation;

mod drawing;

/// Where failing runs are written if nobody says otherwise.
pub const FOLDER: &str = "target/sim-failures";

/// Writes what a plan's run, of which the record was kept, has left.
///
/// # Errors
/// If a file cannot be written.
pub fn write(folder: &Path, kept: &Kept, report: &Report) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    let record = report.record.as_ref().context("the run's record was not kept")?;
    let Plan { options, schedule } = &kept.plan;
    write("options.txt", &format!("{options:#?}\n"))?;
    write("schedule.txt", &schedule.to_string())?;
    write("trace.txt", report.trace.as_deref().unwrap_or_default())?;
    write("history.jsonl", &history(record))?;
    write("violations.txt", &violations(&report.violations))?;
    write("timeline.html", &drawing::page(&kept.plan, report, record))?;
    kept.write(&folder.join("plan.json"))
}

fn violations(violations: &[Violation]) -> String {
    violations.iter().fold(String::new(), |mut text, Violation { check, what, .. }| {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{check}: {what}");
        text
    })
}

/// One operation a line, in the order of their calls. Stamps are in the order of what happened, and no two are equal.
fn history(record: &Record) -> String {
    let line = |operation: &crate::history::Operation| {
        let line = json!({
            "process": operation.process,
            "machine": operation.life.machine,
            "life": operation.life.number,
            "what": format!("{:?}", operation.command),
            "level": format!("{:?}", operation.level),
            "called": operation.called.0,
            "ended": (operation.ended != NEVER).then_some(operation.ended.0),
            "outcome": format!("{:?}", operation.outcome),
            "called_at": time_of(record, operation.called).map(|at| at.as_secs_f64()),
            "ended_at": time_of(record, operation.ended).map(|at| at.as_secs_f64()),
        });
        format!("{line}\n")
    };
    record.operations.iter().map(line).collect()
}

/// When in virtual time something happened; nothing does at the end of everything.
fn time_of(record: &Record, stamp: Stamp) -> Option<Duration> {
    record.times.get(usize::try_from(stamp.0).ok()?).copied()
}
