//! What is left of a run: a folder with its history, the nodes' logs, the result, and a page for people.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use mneme_checks::appends::Transaction;
use mneme_checks::export::{self, Format, Recorded};
use mneme_checks::history::Operation;
use serde::Serialize;

use crate::analysis::{self, Service};
use crate::judge::Verdict;
use crate::options::{self, System};
use crate::run::{Band, Run, Sample};
use crate::workload::Workload;

mod drawing;
mod page;

/// Operations that are shown of what is wrong; the rest is in `smallest.jsonl`.
const SHOWN: usize = 40;

/// A run's result, as `results.json` has it.
#[derive(Debug, Serialize)]
pub struct Report {
    pub folder: PathBuf,
    pub system: String,
    pub topology: String,
    pub workload: String,
    pub nemesis: Vec<String>,
    pub seed: u64,
    /// How long clients worked, in seconds.
    pub seconds: f64,
    pub operations: usize,
    /// By check: nothing, or what is wrong.
    pub checks: BTreeMap<&'static str, Option<String>>,
    /// Checks that came to no end in time; they are among those that found something.
    pub undecided: Vec<&'static str>,
    pub service: BTreeMap<String, Service>,
    pub packets_passed: u64,
    pub packets_dropped: u64,
    pub bands: Vec<Band>,
}

impl Report {
    /// Whether every check is content.
    pub fn is_valid(&self) -> bool {
        self.checks.values().all(Option::is_none)
    }
}

/// Writes everything and says what came of the run.
///
/// # Errors
/// If a file cannot be written.
pub fn write(
    run: &Run,
    operations: &[Operation],
    times: &[Duration],
    samples: &[Sample],
    during: Range<Duration>,
    verdict: Verdict,
) -> anyhow::Result<Report> {
    let (packets_passed, packets_dropped) = run.hosts.switch().map_or((0, 0), |switch| switch.packets());
    let wrong = |name: &&'static str| verdict.checks[name].as_ref().is_err_and(|wrong| wrong.is_undecided);
    let report = Report {
        folder: run.folder.clone(),
        system: options::name(&run.options.system),
        topology: match run.options.system {
            System::Mneme => options::name(&run.options.topology),
            System::Redis => "one server".to_owned(),
        },
        workload: options::name(&run.options.workload),
        nemesis: run.options.nemesis.iter().map(options::name).collect(),
        seed: run.seed,
        seconds: (during.end - during.start).as_secs_f64(),
        operations: operations.len() + run.asked().len() + run.work.queues().events().len(),
        checks: verdict
            .checks
            .iter()
            .map(|(name, came)| (*name, came.as_ref().err().map(|wrong| wrong.what.clone())))
            .collect(),
        undecided: verdict.checks.keys().copied().filter(wrong).collect(),
        service: analysis::services(samples, &during),
        packets_passed,
        packets_dropped,
        bands: run.bands(),
    };
    let write = |name: &str, text: &str| {
        let path = run.folder.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    match run.options.workload {
        // What is no transaction has been told by the check.
        Workload::Append => histories(&transactions(operations).unwrap_or_default(), write)?,
        Workload::Users => histories(&run.asked(), write)?,
        Workload::Queue => histories(run.work.queues().events(), write)?,
        _ => histories(operations, write)?,
    }
    let parts = verdict.checks.values().filter_map(|came| Some(came.as_ref().err()?.part.as_slice()));
    let smallest: String = parts.map(|part| shown(part, run.options.workload, jsonl, jsonl)).collect();
    if !smallest.is_empty() {
        write("smallest.jsonl", &smallest)?;
    }
    write("results.json", &(serde_json::to_string_pretty(&report)? + "\n"))?;
    write("report.html", &page::page(&report, samples, &during, times, &verdict, run.options.workload))?;
    print(&report, &verdict, run.options.workload);
    Ok(report)
}

fn transactions(operations: &[Operation]) -> Result<Vec<Transaction>, String> {
    operations.iter().map(Transaction::of).collect()
}

fn jsonl<R: Recorded>(history: &[R]) -> String {
    Format::Jsonl.write(history)
}

/// Operations in the form of their workload.
fn shown(
    operations: &[Operation],
    workload: Workload,
    plain: impl Fn(&[Operation]) -> String,
    lists: impl Fn(&[Transaction]) -> String,
) -> String {
    match transactions(operations) {
        Ok(transactions) if workload == Workload::Append => lists(&transactions),
        _ => plain(operations),
    }
}

/// The last of them, for people, an operation a line.
fn told(operations: &[Operation], workload: Workload) -> String {
    let last = &operations[operations.len().saturating_sub(SHOWN)..];
    shown(last, workload, export::told, export::told)
}

fn histories<R: Recorded>(history: &[R], write: impl Fn(&str, &str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    write("history.jsonl", &Format::Jsonl.write(history))?;
    write("history.edn", &Format::Edn.write(history))
}

fn print(report: &Report, verdict: &Verdict, workload: Workload) {
    for (kind, service) in &report.service {
        println!(
            "{kind}: {} answered, {} refused, {} unknown; p50 {:.1} ms, p99 {:.1} ms, longest {:.0} ms; nobody answered for {:.2} s from {:.1} s on",
            service.ok,
            service.refused,
            service.unknown,
            service.p50,
            service.p99,
            service.longest,
            service.longest_gap,
            service.gap_at
        );
    }
    println!("packets: {} passed, {} dropped", report.packets_passed, report.packets_dropped);
    for (check, wrong) in &report.checks {
        match wrong {
            None => println!("{check}: ok"),
            Some(what) => println!("{check}: FAILED: {what}"),
        }
    }
    for (check, came) in &verdict.checks {
        if let Err(wrong) = came
            && !wrong.part.is_empty()
        {
            println!("{check}: {} operations that contradict each other:", wrong.part.len());
            print!("{}", told(&wrong.part, workload));
        }
    }
    let verdict = if report.is_valid() { "all is well" } else { "NOT all is well" };
    println!("{verdict}: {} operations; {}", report.operations, report.folder.join("report.html").display());
}
