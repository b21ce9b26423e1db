//! Trying again: in turn, with growing pauses, and saying so once.

use std::time::Duration;

/// How often something failed in a row.
#[derive(Debug)]
pub(crate) struct Outage {
    /// What there is none of.
    what: &'static str,
    failures: u32,
    /// It has been said.
    said: bool,
}

impl Outage {
    /// Between two tries of one round.
    const SHORT: Duration = Duration::from_millis(10);
    /// After the first round, doubling with each up to the longest.
    const FIRST: Duration = Duration::from_millis(50);
    pub(crate) const LONGEST: Duration = Duration::from_secs(1);

    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, failures: 0, said: false }
    }

    /// One of so many that can be tried has failed; when all have, it is said.
    pub(crate) fn failed(&mut self, count: usize, why: &str) {
        self.failures = self.failures.saturating_add(1);
        if self.failures as usize >= count.max(1) && !self.said {
            self.said = true;
            tracing::warn!("there is not {}, trying on; last {why}", self.what);
        }
    }

    pub(crate) fn over(&mut self) {
        if self.said {
            tracing::info!("there is {} again", self.what);
        }
        (self.failures, self.said) = (0, false);
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// How long to wait before the next try of one of so many.
    pub(crate) fn pause(&self, count: usize) -> Duration {
        let rounds = self.failures as usize / count.max(1);
        match (self.failures, rounds) {
            (0, _) => Duration::ZERO,
            (_, 0) => Self::SHORT,
            _ => (Self::FIRST * (1 << (rounds - 1).min(8))).min(Self::LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_each_round_up_to_the_longest() {
        let mut outage = Outage::new("anything");
        let mut pauses = Vec::new();
        for _ in 0..40 {
            pauses.push(outage.pause(2).as_millis());
            outage.failed(2, "gone");
        }
        assert_eq!(pauses[..8], [0, 10, 50, 50, 100, 100, 200, 200]);
        assert_eq!(pauses.last(), Some(&1000));
        outage.over();
        assert_eq!(outage.pause(2), Duration::ZERO);
    }
}
