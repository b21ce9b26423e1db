//! What came of many runs: the result of a campaign, as it is printed, kept in a file, and shown as a page.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::expected::mark;
use crate::simulation::Report;
use crate::world::Violation;

/// So many of the slowest runs are named.
const SLOWEST: usize = 10;
/// Operations of clients in a second of virtual time, at least, in a busy run.
pub const BUSY: f64 = 100.0;
/// So many failing runs of one cause are named.
const NAMED: usize = 20;

/// The result of a campaign. Times are in seconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// The version of the code.
    pub commit: String,
    /// What was asked for.
    pub asked: String,
    /// The first seed.
    pub from: u64,
    /// Runs of seeds.
    pub seeds: u64,
    /// Runs of plans that are kept.
    pub regressions: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Runs whose history was too large to be searched.
    pub undecided: u64,
    pub virtual_time: f64,
    /// Operations of clients in it.
    pub operations: u64,
    /// Real time, from first to last.
    pub took: f64,
    /// Real time of all runs, one after the other.
    pub took_together: f64,
    /// How much of that went into judging what clients saw.
    pub judging: f64,
    pub busy: Busy,
    /// What happened, by its name.
    pub happened: BTreeMap<String, Tally>,
    pub failures: Vec<Cause>,
    /// The slowest first.
    pub slowest: Vec<Slow>,
}

/// The runs in which clients were busy: how fast the simulator is under load. Times are in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Busy {
    pub runs: u64,
    pub operations: u64,
    pub virtual_time: f64,
    /// Real time of all of them, one after the other, without judging.
    pub simulating: f64,
}

/// How often something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub times: u64,
    /// In how many runs.
    pub runs: u64,
}

/// Failures that look the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    pub check: String,
    /// What the check said, without what differs from run to run.
    pub cause: String,
    pub runs: u64,
    /// The first of them.
    pub named: Vec<String>,
    /// What the check said the first time.
    pub example: String,
}

/// A run that took long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slow {
    pub name: String,
    pub took: f64,
    pub virtual_time: f64,
}

impl Summary {
    /// Adds what came of a run of this name.
    pub fn add(&mut self, name: &str, report: &Report) {
        let virtual_time = report.virtual_time.as_secs_f64();
        self.virtual_time += virtual_time;
        self.took_together += report.took.as_secs_f64();
        self.judging += report.judging.as_secs_f64();
        self.operations += report.load;
        if report.load as f64 >= BUSY * virtual_time {
            self.busy.runs += 1;
            self.busy.operations += report.load;
            self.busy.virtual_time += virtual_time;
            self.busy.simulating += (report.took - report.judging).as_secs_f64();
        }
        for (what, count) in &report.counts {
            let tally = self.happened.entry((*what).to_owned()).or_default();
            tally.times += count;
            tally.runs += u64::from(*count > 0);
        }
        for (what, count) in &report.marks {
            let tally = self.happened.entry(mark(what)).or_default();
            tally.times += count;
            tally.runs += 1;
        }
        self.slowest.push(Slow { name: name.to_owned(), took: report.took.as_secs_f64(), virtual_time });
        self.slowest.sort_by(|a, b| b.took.total_cmp(&a.took));
        self.slowest.truncate(SLOWEST);
        self.failed += u64::from(!report.violations.is_empty());
        report.violations.iter().for_each(|violation| self.add_failure(name, violation));
    }

    fn add_failure(&mut self, name: &str, Violation { check, what, .. }: &Violation) {
        let cause = cause(what);
        let known = self.failures.iter_mut().find(|failure| failure.check == *check && failure.cause == cause);
        let Some(known) = known else {
            let (check, named) = ((*check).to_owned(), vec![name.to_owned()]);
            return self.failures.push(Cause { check, cause, runs: 1, named, example: what.clone() });
        };
        if known.named.last().is_none_or(|last| last != name) {
            known.runs += 1;
            if known.named.len() < NAMED {
                known.named.push(name.to_owned());
            }
        }
    }

    /// In how many runs before it was seen what a violation says.
    pub fn seen(&self, violation: &Violation) -> u64 {
        let cause = cause(&violation.what);
        let known = self.failures.iter().find(|known| known.check == violation.check && known.cause == cause);
        known.map_or(0, |known| known.runs)
    }

    pub fn times(&self, what: &str) -> u64 {
        self.happened.get(what).map_or(0, |tally| tally.times)
    }

    /// Seconds of virtual time in a second of real time, on all threads together and on one.
    pub fn speed(&self) -> (f64, f64) {
        (self.virtual_time / self.took.max(f64::EPSILON), self.virtual_time / self.took_together.max(f64::EPSILON))
    }

    /// Operations of clients in a second of virtual time.
    pub fn load(&self) -> f64 {
        self.operations as f64 / self.virtual_time.max(f64::EPSILON)
    }

    /// Of how many operations in a hundred nobody knows the fate.
    pub fn unknown(&self) -> f64 {
        let known: u64 =
            ["acknowledged", "answered at EVENTUAL", "LOADING", "NOQUORUM"].iter().map(|what| self.times(what)).sum();
        let all = self.times("operations");
        100.0 * all.saturating_sub(known) as f64 / all.max(1) as f64
    }
}

/// What a check said in its first line, without the numbers and the names in it: what failures of one cause have in common.
fn cause(what: &str) -> String {
    let first = what.lines().next().unwrap_or_default();
    let mut cause = String::new();
    let mut letters = first.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '0'..='9' => {
                while letters.next_if(|next| next.is_ascii_digit() || matches!(next, '.' | '_')).is_some() {}
                cause.push('#');
            }
            '"' => {
                letters.by_ref().find(|next| *next == '"');
                cause.push('…');
            }
            other => cause.push(other),
        }
    }
    // A list is the same cause however long it is.
    for list in ["#, #", "…, …"] {
        while cause.contains(list) {
            cause = cause.replace(list, &list[..list.find(',').unwrap_or_default()]);
        }
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(seed: u64, what: &str) -> Report {
        let violations = vec![Violation { check: "log", what: what.to_owned(), at: None }];
        Report { seed, violations, ..Report::default() }
    }

    #[test]
    fn numbers_and_names_make_no_other_cause() {
        assert_eq!(cause("node3 has \"x7\", \"y\" at 12.5 s\nand more"), "node# has … at # s");
        assert_eq!(cause("databases {0, 1, 2} up to 77"), cause("databases {4} up to 1"));
        assert_ne!(cause("node1 is primary"), cause("node1 is dead"));
    }

    #[test]
    fn failures_of_one_cause_are_one() {
        let mut summary = Summary::default();
        for (seed, what) in [(1, "node1 lost 3"), (2, "node2 lost 14"), (3, "node2 found 14")] {
            summary.add(&format!("seed {seed}"), &failed(seed, what));
        }
        let [lost, found] = summary.failures.as_slice() else { panic!("{:?}", summary.failures) };
        assert_eq!((lost.runs, lost.named.len(), found.runs), (2, 2, 1));
        assert_eq!((summary.failed, lost.example.as_str()), (3, "node1 lost 3"));
    }

    #[test]
    fn what_happened_in_no_run_has_none() {
        let mut summary = Summary::default();
        let counts = [("killed", 3), ("storms", 0)].into_iter().collect();
        summary.add("seed 1", &Report { counts, ..Report::default() });
        assert_eq!(summary.happened["killed"], Tally { times: 3, runs: 1 });
        assert_eq!(summary.happened["storms"], Tally { times: 0, runs: 0 });
    }
}
