//! The clocks of a machine: they run faster or slower than the simulation's, and stand elsewhere.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use madsim::time::TimeHandle;
use mneme_kernel::time::{Monotonic, Wall};
use serde::{Deserialize, Serialize};

use crate::lock;

const MILLION: i128 = 1_000_000;

/// How far a machine's clocks are off; none of it changes when a process ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skew {
    /// How far the wall clock is ahead of the simulation's, in milliseconds; negative is behind.
    pub wall: i64,
    /// How far the monotonic clock is ahead: what the machine had been running for when the simulation began.
    pub monotonic: Duration,
    /// By how many millionths the monotonic clock is too fast; negative is too slow.
    pub rate: i32,
}

/// A machine's clocks. Those of all its processes are the same.
#[derive(Debug, Default)]
pub(crate) struct Clock(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    skew: Skew,
    /// Time that did not count: zero unless a mistake is made on purpose.
    uncounted: Duration,
}

impl Clock {
    pub(crate) fn set_skew(&self, skew: Skew) {
        lock(&self.0).skew = skew;
    }

    pub(crate) fn set_wall(&self, millis: i64) {
        lock(&self.0).skew.wall = millis;
    }

    /// Leaves out time that has passed.
    pub(crate) fn leave_out(&self, time: Duration) {
        lock(&self.0).uncounted += time;
    }

    pub(crate) fn monotonic(&self) -> Monotonic {
        let State { skew: Skew { monotonic, rate, .. }, uncounted } = *lock(&self.0);
        let elapsed = TimeHandle::current().elapsed() - uncounted;
        Monotonic(monotonic + scaled(elapsed, MILLION + i128::from(rate), MILLION))
    }

    pub(crate) fn wall(&self) -> Wall {
        let now = TimeHandle::current().now_time();
        let millis = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        Wall(millis.saturating_add_signed(lock(&self.0).skew.wall))
    }

    /// How much time of the simulation passes while this clock counts `duration`; never less.
    pub(crate) fn true_duration(&self, duration: Duration) -> Duration {
        let rate = lock(&self.0).skew.rate;
        if rate == 0 {
            return duration;
        }
        scaled(duration, MILLION, MILLION + i128::from(rate)) + Duration::from_nanos(1)
    }
}

/// `duration * numerator / denominator`, rounded down.
fn scaled(duration: Duration, numerator: i128, denominator: i128) -> Duration {
    if numerator == denominator {
        return duration;
    }
    let nanos = duration.as_nanos() as i128 * numerator / denominator;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
