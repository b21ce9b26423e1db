//! A folder that says all there is to know of a run that failed: `target/sim-failures/SEED/`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::check::linearizable;
use crate::export;
use crate::history::Stamp;
use crate::plan::{Kept, Plan};
use crate::reduce::up_to;
use crate::simulation::{Record, Report};
use crate::world::Violation;

mod drawing;

/// Where failing runs are written if nobody says otherwise.
pub const FOLDER: &str = "target/sim-failures";
/// How long the smallest part of a history that is wrong is looked for.
const PATIENCE: Duration = Duration::from_secs(20);

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
    write("history.jsonl", &export::Format::Jsonl.write(&report.operations))?;
    write("appends.jsonl", &export::Format::Jsonl.write(&report.transactions))?;
    write("violations.txt", &violations(&report.violations))?;
    let broken = report.violations.iter().find(|violation| violation.check == "linearizable");
    if let Some(at) = broken.and_then(|violation| violation.at) {
        let smallest = linearizable::smallest(up_to(&report.operations, at), PATIENCE);
        write("smallest.txt", &export::told(&smallest))?;
    }
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

/// When in virtual time something happened; nothing does at the end of everything.
fn time_of(record: &Record, stamp: Stamp) -> Option<Duration> {
    record.times.get(usize::try_from(stamp.0).ok()?).copied()
}
