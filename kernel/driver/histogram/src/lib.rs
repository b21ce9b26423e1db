//! The histograms in which openraft keeps statistics of its own that nothing here reads.
//!
//! The published crate makes tables for sixteen precisions at its first use, of which openraft uses one: 29 MB of memory
//! in every process, a tenth of what two million small keys take. This one has the part of its interface that openraft
//! uses, and a bucket for each power of two. `[patch.crates-io]` in the workspace's `Cargo.toml` puts it in its place;
//! when the published one no longer does that, this folder and that line can go.

use std::fmt;
use std::marker::PhantomData;

/// Counts of values, by the position of their highest bit. The parameter means nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    /// The first is for zero, the next for 1, then for 2 and 3, then for 4 to 7, and so on.
    buckets: [u64; 65],
    parameter: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self { buckets: [0; 65], parameter: PhantomData }
    }
}

/// What a [`Histogram`] says of its values; each is the smallest one of its bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PercentileStats {
    /// How many values there are.
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl<T> Histogram<T> {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// The same value `count` times.
    pub fn record_n(&mut self, value: u64, count: u64) {
        self.buckets[(u64::BITS - value.leading_zeros()) as usize] += count;
    }

    /// The smallest value of the bucket that this share of all values, in thousandths, lies at or below.
    fn percentile(&self, thousandths: u64) -> u64 {
        let samples: u64 = self.buckets.iter().sum();
        let rank = (u128::from(samples) * u128::from(thousandths)).div_ceil(1000).max(1) as u64;
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        bucket.filter(|bucket| *bucket > 0).map_or(0, |bucket| 1 << (bucket - 1))
    }

    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.buckets.iter().sum(),
            p0_1: self.percentile(1),
            p1: self.percentile(10),
            p5: self.percentile(50),
            p10: self.percentile(100),
            p50: self.percentile(500),
            p90: self.percentile(900),
            p99: self.percentile(990),
            p99_9: self.percentile(999),
        }
    }
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p50, p90, p99, p99_9, .. } = self;
        write!(f, "[samples: {samples}, P50: {p50}, P90: {p90}, P99: {p99}, P99.9: {p99_9}]")
    }
}

/// Several histograms with their names, a line each.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart(Vec<(String, Histogram)>);

impl AsciiChart {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn add(mut self, name: impl Into<String>, histogram: Histogram) -> Self {
        self.0.push((name.into(), histogram));
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, histogram)| writeln!(f, "{name}: {}", histogram.percentile_stats()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_bucket_that_enough_values_lie_in() {
        let mut histogram = Histogram::<()>::new();
        assert_eq!(histogram.percentile_stats(), PercentileStats::default());
        (0..100).for_each(|value| histogram.record(value));
        let stats = histogram.percentile_stats();
        assert_eq!((stats.samples, stats.p1, stats.p10, stats.p50, stats.p99), (100, 0, 8, 32, 64));
        histogram.record(u64::MAX);
        assert_eq!(histogram.percentile_stats().p99_9, 1 << 63);
    }
}
