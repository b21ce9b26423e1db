//! What a run has shown, as it is written to a file and compared.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::tally::{Row, Tally};

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Of the program.
    pub version: String,
    /// What was asked for, by the flags' names.
    pub options: BTreeMap<String, String>,
    /// How long it was measured, without the warm-up.
    pub seconds: f64,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    pub all: Summary,
    /// By command, and by level if there are several; also if there is only one.
    pub commands: Vec<Summary>,
    /// Replies that are errors, by their first word.
    pub errors: BTreeMap<String, u64>,
    /// Requests whose connection broke before their answer.
    pub lost: u64,
    /// Requests that had no answer when time was up; they count in the latencies with the time that they had waited.
    pub unanswered: u64,
    pub connections_lost: u64,
    pub reconnected: u64,
    /// The longest time in which no answer came, of the thread that waited longest.
    pub longest_gap_ms: f64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Second by second.
    pub series: Vec<Second>,
}

/// What became of requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    pub name: String,
    /// Answers that are no errors.
    pub requests: u64,
    pub per_second: f64,
    pub errors: u64,
    /// Answers that there is nothing.
    pub nulls: u64,
    pub latency_ms: Latency,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    #[serde(rename = "p99.9")]
    pub p99_9: f64,
    #[serde(rename = "p99.99")]
    pub p99_99: f64,
    pub max: f64,
}

/// A second of a run. The last may be shorter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Second {
    /// The first is 0.
    pub second: usize,
    pub requests: u64,
    pub errors: u64,
    pub lost: u64,
    pub reconnected: u64,
    pub latency_ms: Latency,
}

impl Latency {
    /// Of a histogram of microseconds.
    pub fn of(times: &Histogram<u64>) -> Latency {
        if times.is_empty() {
            return Latency::default();
        }
        let at = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
        Latency {
            min: times.min() as f64 / 1000.0,
            mean: times.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: times.max() as f64 / 1000.0,
        }
    }

    /// The columns of a table.
    pub fn columns(&self) -> [(&'static str, f64); 8] {
        [
            ("min", self.min),
            ("mean", self.mean),
            ("p50", self.p50),
            ("p90", self.p90),
            ("p99", self.p99),
            ("p99.9", self.p99_9),
            ("p99.99", self.p99_99),
            ("max", self.max),
        ]
    }
}

impl Summary {
    pub fn of(name: &str, row: &Row, seconds: f64) -> Summary {
        Summary {
            name: name.to_owned(),
            requests: row.requests(),
            per_second: if seconds > 0.0 { row.requests() as f64 / seconds } else { 0.0 },
            errors: row.errors,
            nulls: row.nulls,
            latency_ms: Latency::of(&row.times),
        }
    }
}

impl Second {
    pub fn of(second: usize, tally: &Tally) -> Second {
        let all = tally.all();
        Second {
            second,
            requests: all.requests(),
            errors: all.errors,
            lost: tally.lost,
            reconnected: tally.reconnected,
            latency_ms: Latency::of(&all.times),
        }
    }
}

impl Report {
    /// Of all that was counted in this time; `names` are those of the tally's rows.
    pub fn new(options: BTreeMap<String, String>, names: &[String], tally: &Tally, seconds: f64) -> Report {
        let rows = names.iter().zip(&tally.rows).filter(|(_, row)| !row.times.is_empty() || row.errors > 0);
        let all = tally.all();
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            options,
            seconds,
            interrupted: false,
            all: Summary::of("all", &all, seconds),
            commands: rows.map(|(name, row)| Summary::of(name, row, seconds)).collect(),
            errors: tally.errors.clone(),
            lost: tally.lost,
            unanswered: all.unanswered,
            connections_lost: tally.connections_lost,
            reconnected: tally.reconnected,
            longest_gap_ms: tally.longest_gap as f64 / 1000.0,
            bytes_in: tally.bytes_in,
            bytes_out: tally.bytes_out,
            series: Vec::new(),
        }
    }
}
