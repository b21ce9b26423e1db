//! What is seen while it runs: a line on a terminal, repainted each second. Nothing is shown where standard error is none.

use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::report::Second;
use super::text::milliseconds;

/// A line that says how far it is.
#[derive(Debug)]
pub struct Live(ProgressBar);

impl Live {
    /// Of so many steps, if that is known.
    pub fn new(steps: Option<u64>, what: &'static str) -> Live {
        let (bar, template) = match steps {
            Some(steps) => (ProgressBar::new(steps), "{prefix} {bar:20} {pos}/{len} {msg}"),
            None => (ProgressBar::new_spinner(), "{prefix} {elapsed} {msg}"),
        };
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(what);
        Live(bar)
    }

    /// So many steps more.
    pub fn step(&self, steps: u64) {
        self.0.inc(steps);
    }

    /// A second of the run is over.
    pub fn second(&self, second: &Second) {
        let latency = &second.latency_ms;
        let count = |count: u64| HumanCount(count).to_string();
        let mut line = format!(
            "{}/s  p50 {}  p99 {}  max {} ms",
            count(second.requests),
            milliseconds(latency.p50),
            milliseconds(latency.p99),
            milliseconds(latency.max),
        );
        for (name, number) in [("errors", second.errors), ("lost", second.lost), ("reconnected", second.reconnected)] {
            if number > 0 {
                line += &format!("  {name} {}", count(number));
            }
        }
        self.0.set_position(second.second as u64 + 1);
        self.0.set_message(line);
    }

    pub fn end(self) {
        self.0.finish_and_clear();
    }
}

/// Whole seconds, for a bar.
pub fn seconds(duration: Duration) -> u64 {
    duration.as_secs_f64().ceil() as u64
}
