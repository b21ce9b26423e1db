//! Two runs beside each other.

use std::fs;
use std::path::Path;

use indicatif::HumanCount;

use super::report::{Report, Summary};
use super::text::milliseconds;
use crate::cli::stop::Stop;
use crate::table;

/// Ratios this near to 1 say nothing.
const SAME: f64 = 0.02;

/// What differs between the reports in these two files.
///
/// # Errors
/// If one of them cannot be read.
pub fn run(before: &Path, after: &Path) -> Result<String, Stop> {
    Ok(compared(&read(before)?, &read(after)?))
}

fn read(path: &Path) -> Result<Report, Stop> {
    let bad = |problem: &dyn std::fmt::Display| Stop::Usage(format!("{}: {problem}", path.display()));
    let text = fs::read_to_string(path).map_err(|e| bad(&e))?;
    serde_json::from_str(&text).map_err(|e| bad(&format!("not what mneme-bench --json writes: {e}")))
}

fn compared(before: &Report, after: &Report) -> String {
    let mut out = differences(before, after);
    let head = ["", "A", "B", "B / A", ""].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    both(&before.all, &after.all, &mut rows);
    let several = before.commands.len() > 1 || after.commands.len() > 1;
    for first in before.commands.iter().filter(|_| several) {
        if let Some(second) = after.commands.iter().find(|summary| summary.name == first.name) {
            both(first, second, &mut rows);
        }
    }
    out += &table::text(&rows, 1);
    out
}

/// The options in which the runs differ: then it is these that are compared.
fn differences(before: &Report, after: &Report) -> String {
    let mut out = String::new();
    let names: std::collections::BTreeSet<_> = before.options.keys().chain(after.options.keys()).collect();
    for name in names {
        let value = |report: &Report| report.options.get(name).cloned().unwrap_or_else(|| "-".to_owned());
        if value(before) != value(after) {
            out += &format!("{name}: A {}, B {}\n", value(before), value(after));
        }
    }
    if !out.is_empty() {
        out += "\n";
    }
    out
}

fn both(before: &Summary, after: &Summary, rows: &mut Vec<Vec<String>>) {
    let name = &before.name;
    let count = |value: f64| HumanCount(value.round() as u64).to_string();
    let mut push = |what: &str, (a, b): (f64, f64), shown: &dyn Fn(f64) -> String, more_is_better: bool| {
        let (ratio, verdict) = judged(a, b, more_is_better);
        rows.push(vec![format!("{name} {what}"), shown(a), shown(b), ratio, verdict.to_owned()]);
    };
    push("per second", (before.per_second, after.per_second), &count, true);
    let latencies = before.latency_ms.columns().into_iter().zip(after.latency_ms.columns());
    for ((quantile, a), (_, b)) in latencies.filter(|((quantile, _), _)| *quantile != "min") {
        push(&format!("{quantile} ms"), (a, b), &milliseconds, false);
    }
    if before.errors + after.errors > 0 {
        push("errors", (before.errors as f64, after.errors as f64), &count, false);
    }
}

/// How many times as much it is, and what that means.
fn judged(before: f64, after: f64, more_is_better: bool) -> (String, &'static str) {
    if before == 0.0 {
        return ("-".to_owned(), if after == 0.0 || more_is_better { "" } else { "worse" });
    }
    let ratio = after / before;
    let verdict = match (ratio - 1.0).abs() < SAME {
        true => "",
        false if (ratio > 1.0) == more_is_better => "better",
        false => "worse",
    };
    (format!("{ratio:.2}"), verdict)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tally::Tally;
    use super::*;

    fn run(clients: &str, times: &[u64], seconds: f64) -> Report {
        let mut tally = Tally::new(1);
        times.iter().for_each(|time| tally.rows[0].times.saturating_record(*time));
        let options =
            BTreeMap::from([("clients".to_owned(), clients.to_owned()), ("mix".to_owned(), "get".to_owned())]);
        Report::new(options, &["get".to_owned()], &tally, seconds)
    }

    #[test]
    fn ratios_of_throughput_and_quantiles_are_told() {
        let text = compared(&run("5", &[1000, 1000, 8000], 1.0), &run("50", &[2000, 2000, 4000], 0.5));
        let line = |start: &str| {
            let line = text.lines().find(|line| line.starts_with(start)).expect(start);
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("clients"), "clients: A 5, B 50");
        assert!(!text.contains("mix"), "{text}");
        assert_eq!(line("all per second"), "all per second 3 6 2.00 better");
        assert!(line("all p50").ends_with("2.00 worse"), "{text}");
        assert!(line("all max").ends_with("0.50 better"), "{text}");
    }

    #[test]
    fn what_is_nearly_the_same_is_not_judged() {
        assert_eq!(judged(100.0, 101.0, true), ("1.01".to_owned(), ""));
        assert_eq!(judged(0.0, 0.0, false), ("-".to_owned(), ""));
        assert_eq!(judged(0.0, 3.0, false), ("-".to_owned(), "worse"));
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let report = run("1", &[5, 7], 2.0);
        let text = serde_json::to_string(&report).expect("JSON");
        let again: Report = serde_json::from_str(&text).expect("a report");
        assert_eq!(again.all.latency_ms, report.all.latency_ms);
        assert_eq!(again.options, report.options);
    }

    #[test]
    fn a_file_that_is_no_report_is_named() {
        let error = super::run(Path::new("/dev/null"), Path::new("/nowhere")).expect_err("no report");
        assert!(matches!(error, Stop::Usage(m) if m.starts_with("/dev/null: ")));
    }
}
