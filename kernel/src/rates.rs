//! How much happens per second now: samples of growing counters, as behind Redis's `instantaneous_*` fields.

use core::time::Duration;

use crate::time::Monotonic;

/// Counters that are watched: commands, bytes in, bytes out.
const COUNTERS: usize = 3;
/// Samples that the mean is taken of.
const SAMPLES: usize = 16;
/// At least so long between two samples.
const INTERVAL: Duration = Duration::from_millis(100);

/// The means of the last samples.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    last: Option<(Monotonic, [u64; COUNTERS])>,
    /// Per second.
    samples: [[u64; COUNTERS]; SAMPLES],
    next: usize,
}

impl Rates {
    /// Takes a sample if it is time to.
    pub(crate) fn sample(&mut self, now: Monotonic, counters: [u64; COUNTERS]) {
        let Some((at, before)) = self.last else {
            self.last = Some((now, counters));
            return;
        };
        let millis = (now - at).as_millis() as u64;
        if now - at < INTERVAL {
            return;
        }
        self.last = Some((now, counters));
        let grown = |i| u64::saturating_sub(counters[i], before[i]).saturating_mul(1000) / millis;
        self.samples[self.next] = core::array::from_fn(grown);
        self.next = (self.next + 1) % SAMPLES;
    }

    /// Commands per second.
    pub(crate) fn commands(&self) -> u64 {
        self.mean(0)
    }

    /// Bytes per second that arrived.
    pub(crate) fn input(&self) -> u64 {
        self.mean(1)
    }

    /// Bytes per second that were sent.
    pub(crate) fn output(&self) -> u64 {
        self.mean(2)
    }

    fn mean(&self, counter: usize) -> u64 {
        self.samples.iter().map(|sample| sample[counter]).sum::<u64>() / SAMPLES as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_found_and_fades_when_it_ends() {
        let mut rates = Rates::default();
        let at = |millis| Monotonic(Duration::from_millis(millis));
        for i in 0..=40 {
            rates.sample(at(i * 50), [i * 5, i * 1000, i * 2000]);
        }
        assert_eq!((rates.commands(), rates.input(), rates.output()), (100, 20_000, 40_000));
        for i in 0..8 {
            rates.sample(at(2100 + i * 100), [200, 40_000, 80_000]);
        }
        assert_eq!(rates.commands(), 50);
    }
}
