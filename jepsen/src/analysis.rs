//! How long clients had to wait, and for how long nobody was served.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use mneme_checks::history::Level;
use serde::Serialize;

use crate::run::{Ended, Sample};

/// What there is to say of one level, of all its commands or only of writes.
#[derive(Clone, Debug, Serialize)]
pub struct Service {
    pub ok: usize,
    pub refused: usize,
    pub unknown: usize,
    /// The longest time in which no command was answered, in seconds, and when it began.
    pub longest_gap: f64,
    pub gap_at: f64,
    /// Of those that were answered, in milliseconds.
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub longest: f64,
}

pub fn level_name(level: Level) -> &'static str {
    match level {
        Level::Eventual => "EVENTUAL",
        Level::Quorum => "QUORUM",
        Level::All => "ALL",
    }
}

/// By level, and there reads and writes apart.
pub fn services(samples: &[Sample], during: &Range<Duration>) -> BTreeMap<String, Service> {
    let mut by_kind: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| during.contains(&sample.called)) {
        let what = if sample.is_read { "reads" } else { "writes" };
        by_kind.entry(format!("{} {what}", level_name(sample.level))).or_default().push(*sample);
    }
    by_kind.into_iter().map(|(kind, samples)| (kind, service(&samples, during))).collect()
}

fn service(samples: &[Sample], during: &Range<Duration>) -> Service {
    let count = |kind| samples.iter().filter(|sample| sample.kind == kind).count();
    let answered = || samples.iter().filter(|sample| sample.kind == Ended::Ok);
    let mut took: Vec<Duration> = answered().map(|sample| sample.took).collect();
    took.sort_unstable();
    let at = |share: f64| {
        let place = ((took.len() as f64 * share).ceil() as usize).clamp(1, took.len().max(1)) - 1;
        took.get(place).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    };
    let mut ends: Vec<Duration> = answered().map(|sample| sample.called + sample.took).collect();
    ends.extend([during.start, during.end]);
    ends.sort_unstable();
    let gaps = ends.windows(2).map(|pair| (pair[1] - pair[0], pair[0]));
    let (gap, from) = gaps.max().unwrap_or_default();
    Service {
        ok: count(Ended::Ok),
        refused: count(Ended::Refused),
        unknown: count(Ended::Unknown),
        longest_gap: gap.as_secs_f64(),
        gap_at: from.as_secs_f64(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        longest: at(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_between_answers_and_counts_the_ends() {
        let sample = |called: u64, kind| Sample {
            called: Duration::from_secs(called),
            took: Duration::from_millis(500),
            level: Level::Quorum,
            is_read: false,
            kind,
        };
        let samples = [sample(1, Ended::Ok), sample(3, Ended::Refused), sample(6, Ended::Ok)];
        let services = services(&samples, &(Duration::ZERO..Duration::from_secs(8)));
        let service = &services["QUORUM writes"];
        assert_eq!((service.longest_gap, service.gap_at, service.p99), (5.0, 1.5, 500.0));
        assert_eq!((service.ok, service.refused), (2, 1));
    }
}
