//! The lease: how long a primary may answer reads without asking (PROTOCOL rules 2 and 4).
//!
//! It lasts for a fixed time from the first sending of what was accepted last; standbys wait for longer before they claim.
//! It stands beside the Core and not in it, so that renewals never wait for the store: whoever sends them does so without
//! the Core's lock. All of it is atomic numbers, and every race between the two makes the lease shorter, not longer.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

use crate::ids::Epoch;
use crate::limits;
use crate::mutant::Mutant;
use crate::time::Monotonic;

/// A primary's lease. Times are nanoseconds of the node's monotonic clock.
#[derive(Debug)]
pub struct Lease {
    lasts: Duration,
    /// The epoch that it is of; zero if this Core is not primary.
    epoch: AtomicU64,
    until: AtomicU64,
    /// When something that renews was last sent for the first time.
    last_sent: AtomicU64,
    next_number: AtomicU64,
    /// When the renewals were sent, by their number.
    sent: [AtomicU64; limits::RENEWALS_IN_FLIGHT],
    /// A read has leant on it since the last renewal.
    is_used: AtomicBool,
    /// Other Cores watch.
    is_watched: AtomicBool,
    /// When the store was last seen to make progress.
    alive: AtomicU64,
}

impl Lease {
    pub(crate) fn new(lasts: Duration, now: Monotonic) -> Self {
        Self {
            lasts,
            epoch: AtomicU64::new(0),
            until: AtomicU64::new(0),
            last_sent: AtomicU64::new(0),
            next_number: AtomicU64::new(1),
            sent: [const { AtomicU64::new(0) }; limits::RENEWALS_IN_FLIGHT],
            is_used: AtomicBool::new(false),
            is_watched: AtomicBool::new(false),
            alive: AtomicU64::new(nanos(now)),
        }
    }

    /// A reign begins with a claim that was first sent then.
    pub(crate) fn begin(&self, epoch: Epoch, claimed: Monotonic) {
        self.next_number.store(1, Ordering::Relaxed);
        self.sent.iter().for_each(|at| at.store(0, Ordering::Relaxed));
        self.until.store(nanos(claimed + self.lasts), Ordering::Relaxed);
        // Its holder is new: a renewal is due at once.
        self.last_sent.store(0, Ordering::Relaxed);
        self.epoch.store(epoch.0, Ordering::Release);
    }

    /// The reign has ended, or is about to: nothing leans on it any more, nothing renews it.
    pub(crate) fn end(&self) {
        self.epoch.store(0, Ordering::Release);
        if !Mutant::ReadAfterRelease.is_chosen() {
            self.until.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn watch(&self) {
        self.is_watched.store(true, Ordering::Relaxed);
    }

    /// The store makes progress.
    pub(crate) fn alive(&self, now: Monotonic) {
        self.alive.store(nanos(now), Ordering::Relaxed);
    }

    /// A batch, which renews, is sent for the first time.
    pub(crate) fn sent(&self, now: Monotonic) {
        self.last_sent.store(nanos(now), Ordering::Relaxed);
    }

    /// Something that was first sent at `sent` has been accepted.
    pub(crate) fn renewed(&self, sent: Monotonic, now: Monotonic) {
        let from = if Mutant::LeaseFromAcknowledgement.is_chosen() { now } else { sent };
        let lasts = if Mutant::LongLease.is_chosen() { self.lasts * 3 } else { self.lasts };
        if self.has_ended() {
            return;
        }
        self.until.fetch_max(nanos(from + lasts), Ordering::Relaxed);
        if self.has_ended() {
            self.end();
        }
    }

    /// What was sent before the end may be accepted behind it, and is worth nothing then.
    fn has_ended(&self) -> bool {
        self.epoch.load(Ordering::Acquire) == 0
    }

    /// The renewal of that number has been accepted.
    pub(crate) fn accepted(&self, number: u64, now: Monotonic) {
        let newest = self.next_number.load(Ordering::Acquire) - 1;
        // Older ones have lost their place.
        if number <= newest && newest - number < limits::RENEWALS_IN_FLIGHT as u64 {
            let sent = self.place(number).load(Ordering::Acquire);
            self.renewed(Monotonic(Duration::from_nanos(sent)), now);
        }
    }

    /// Whether it lasts at `now`, a moment after a read was executed.
    pub fn holds(&self, now: Monotonic) -> bool {
        self.is_used.store(true, Ordering::Relaxed);
        nanos(now) < self.until.load(Ordering::Relaxed)
    }

    /// Whether it lasts at `now`. As [`Lease::holds`], for who only looks.
    pub fn lasts(&self, now: Monotonic) -> bool {
        nanos(now) < self.until.load(Ordering::Relaxed)
    }

    /// How long it still lasts at `now`; zero if it has ended, or this Core is not primary.
    pub fn remaining(&self, now: Monotonic) -> Duration {
        Duration::from_nanos(self.until.load(Ordering::Relaxed).saturating_sub(nanos(now)))
    }

    /// The epoch and number of a renewal that is due: several times a lease, so that one may be late or lost, if other
    /// Cores watch or reads lean on it. A store that has stalled gives its role up. For one caller only.
    pub fn renew(&self, now: Monotonic) -> Option<(Epoch, u64)> {
        let epoch = self.epoch.load(Ordering::Acquire);
        let since = |at: &AtomicU64| nanos(now).saturating_sub(at.load(Ordering::Relaxed));
        let wanted = self.is_watched.load(Ordering::Relaxed) || self.is_used.load(Ordering::Relaxed);
        let due = since(&self.last_sent) >= nanos(Monotonic(self.lasts / limits::RENEWALS_A_LEASE));
        let stalled = since(&self.alive) >= nanos(Monotonic(limits::STALLED_STORE));
        if epoch == 0 || !wanted || !due || stalled {
            return None;
        }
        let number = self.next_number.load(Ordering::Relaxed);
        self.place(number).store(nanos(now), Ordering::Release);
        self.next_number.store(number + 1, Ordering::Release);
        self.last_sent.store(nanos(now), Ordering::Relaxed);
        self.is_used.store(false, Ordering::Relaxed);
        Some((Epoch(epoch), number))
    }

    fn place(&self, number: u64) -> &AtomicU64 {
        &self.sent[(number % limits::RENEWALS_IN_FLIGHT as u64) as usize]
    }
}

fn nanos(at: Monotonic) -> u64 {
    at.0.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic(Duration::from_millis(millis))
    }

    fn lease() -> Lease {
        let lease = Lease::new(Duration::from_millis(300), at(1000));
        lease.begin(Epoch(7), at(1000));
        lease.alive(at(1000));
        lease
    }

    #[test]
    fn it_counts_from_the_sending() {
        let lease = lease();
        assert!(lease.holds(at(1299)) && !lease.holds(at(1300)));
        assert_eq!([at(1299), at(1300), at(1400)].map(|now| lease.remaining(now).as_millis()), [1, 0, 0]);
        assert_eq!(lease.renew(at(1100)), Some((Epoch(7), 1)));
        assert_eq!(lease.renew(at(1101)), None);
        lease.accepted(1, at(1290));
        assert!(lease.holds(at(1399)) && !lease.holds(at(1400)));
        lease.renewed(at(1050), at(1390));
        assert!(!lease.holds(at(1400)), "an older one does not shorten or lengthen it");
        lease.accepted(2, at(1390));
        assert!(!lease.holds(at(1400)), "a renewal that was never sent is worth nothing");
    }

    #[test]
    fn what_is_accepted_behind_its_end_does_not_renew_it() {
        let lease = lease();
        lease.watch();
        assert_eq!(lease.renew(at(1100)), Some((Epoch(7), 1)));
        lease.end();
        lease.accepted(1, at(1110));
        lease.renewed(at(1105), at(1110));
        assert!(!lease.lasts(at(1111)));
    }

    #[test]
    fn it_is_renewed_only_while_somebody_needs_it_and_the_store_lives() {
        let lease = lease();
        assert_eq!(lease.renew(at(1200)), None, "nobody leans on it");
        lease.watch();
        assert!(lease.renew(at(1200)).is_some());
        assert_eq!(lease.renew(at(1000 + 10_000)), None, "the store has stalled");
        lease.alive(at(11_000));
        assert!(lease.renew(at(11_000)).is_some());
        lease.end();
        assert_eq!(lease.renew(at(12_000)), None);
        assert!(!lease.holds(at(11_001)));
    }
}
