//! Points in time, as the kernel is told them. It never asks a clock.

use core::ops::{Add, Sub};
use core::time::Duration;

use bincode::{Decode, Encode};

/// Wall-clock time in milliseconds since 1970-01-01 UTC, as in Redis's `EXPIREAT`. May jump either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Wall(pub u64);

/// Time since an arbitrary start. Never goes back; counts suspended time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub Duration);

impl Add<Duration> for Monotonic {
    type Output = Monotonic;
    fn add(self, after: Duration) -> Monotonic {
        Monotonic(self.0 + after)
    }
}

impl Sub for Monotonic {
    type Output = Duration;
    /// The time between, or zero if `earlier` is later.
    fn sub(self, earlier: Monotonic) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
