//! Durations counted into buckets, for Prometheus's classic histograms and for `LATENCY HISTOGRAM`.

use core::time::Duration;

/// The first bucket's upper bound; each further one is twice as wide, the last one has none.
const FIRST: u64 = 10_000;
/// Buckets with an upper bound: the widest ends at 5.2 seconds.
pub const BOUNDED: usize = 20;

/// How often something took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; BOUNDED + 1],
    /// Nanoseconds.
    sum: u64,
}

impl Histogram {
    /// Counts a duration.
    pub fn observe(&mut self, took: Duration) {
        self.observe_many(took, 1);
    }

    /// Counts the same duration `n` times.
    pub fn observe_many(&mut self, took: Duration, n: u64) {
        let nanos = took.as_nanos() as u64;
        self.buckets[bucket(nanos)] += n;
        self.sum += nanos * n;
    }

    /// Counts what another one has counted.
    pub fn add(&mut self, other: &Histogram) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(n, more)| *n += more);
        self.sum += other.sum;
    }

    /// What was counted since it was as this earlier one; after it began anew, all.
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        if earlier.count() > self.count() {
            return *self;
        }
        let mut since = *self;
        since.buckets.iter_mut().zip(earlier.buckets).for_each(|(n, before)| *n = n.saturating_sub(before));
        since.sum = since.sum.saturating_sub(earlier.sum);
        since
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// Each upper bound with how many took at most so long; what took longer is only in [`Histogram::count`].
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut below = 0;
        (0..BOUNDED).map(move |i| {
            below += self.buckets[i];
            (bound(i), below)
        })
    }

    /// The upper bound of the bucket that the given share of all, from 0 to 1, falls into; zero if there are none. What
    /// took longer than the last bound counts as that.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = self.count() as f64 * share;
        if self.count() == 0 {
            return Duration::ZERO;
        }
        self.cumulative().find(|(_, n)| *n as f64 >= rank).map_or(bound(BOUNDED - 1), |(bound, _)| bound)
    }
}

fn bound(i: usize) -> Duration {
    Duration::from_nanos(FIRST << i)
}

/// The first bucket whose bound is not below.
fn bucket(nanos: u64) -> usize {
    let widths = nanos.saturating_sub(1) / FIRST;
    let doublings = u64::BITS - widths.leading_zeros();
    (doublings as usize).min(BOUNDED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_since_is_told_apart() {
        let mut earlier = Histogram::default();
        earlier.observe(Duration::from_secs(1));
        let mut now = earlier;
        now.observe_many(Duration::from_micros(15), 3);
        let since = now.since(&earlier);
        assert_eq!((since.count(), since.sum()), (3, Duration::from_micros(45)));
        assert_eq!(since.quantile(0.99), Duration::from_micros(20));
        assert_eq!(earlier.since(&now), earlier);
    }

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_is_not_below_it() {
        let wanted = |nanos: u64| (0..BOUNDED).find(|i| nanos <= FIRST << i).unwrap_or(BOUNDED);
        for i in 0..BOUNDED + 2 {
            for nanos in [(FIRST << i) - 1, FIRST << i, (FIRST << i) + 1] {
                assert_eq!(bucket(nanos), wanted(nanos), "{nanos}");
            }
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BOUNDED));
    }

    #[test]
    fn sums_counts_and_quantiles_agree() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        histogram.observe_many(Duration::from_micros(15), 98);
        let mut other = Histogram::default();
        other.observe(Duration::from_millis(1));
        other.observe(Duration::from_secs(60));
        histogram.add(&other);
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.sum(), Duration::from_micros(98 * 15 + 1_000 + 60_000_000));
        assert_eq!(histogram.quantile(0.5), Duration::from_micros(20));
        assert_eq!(histogram.quantile(0.99), Duration::from_micros(1280));
        assert_eq!(histogram.quantile(1.0), Duration::from_micros(10 << 19));
        assert_eq!(histogram.cumulative().last(), Some((Duration::from_micros(10 << 19), 99)));
    }
}
