//! How slow and how bad a disk is.

use std::ops::RangeInclusive;
use std::time::Duration;

use madsim::rand::{Rng, thread_rng};

const FASTEST_SYNC: Duration = Duration::from_micros(50);
const SLOWEST_SYNC: Duration = Duration::from_millis(30);

/// How slow and how bad a [`SimDisk`](super::SimDisk) is.
///
/// Each operation draws its latency from a range. Those below 1 ms, the shortest sleep there is, are right on average.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Latency of a read, of asking for a length, of opening and of listing.
    pub read: RangeInclusive<Duration>,
    /// Latency of every change: of a file's content or of a name.
    pub write: RangeInclusive<Duration>,
    /// Latency of a sync, of a file or a folder. Only slow syncs expose an acknowledgement that comes before its sync.
    pub sync: RangeInclusive<Duration>,
    /// Probability that a sync fails and may lose what it should have made durable.
    pub failed_sync: f64,
    /// Probability that a read, asking for a length, opening or listing fails with `EIO`, this once.
    pub failed_read: f64,
    /// Probability that a change fails with `EIO`, this once. Nothing is changed then, except that a write may have
    /// written a part of its beginning.
    pub failed_write: f64,
    /// Probability that a read is told `UnexpectedEof` although the file is long enough, this once.
    pub short_read: f64,
}

impl DiskOptions {
    /// A sound disk with a range of sync latencies of its own, within 50 us to 30 ms.
    pub fn draw() -> DiskOptions {
        // Even over the orders of magnitude, so that fast and slow disks are equally frequent.
        let slowest = FASTEST_SYNC.mul_f64(SLOWEST_SYNC.div_duration_f64(FASTEST_SYNC).powf(thread_rng().r#gen()));
        DiskOptions { sync: FASTEST_SYNC..=slowest, ..DiskOptions::default() }
    }
}

impl Default for DiskOptions {
    /// A sound disk with the widest range of sync latencies.
    fn default() -> Self {
        DiskOptions {
            read: Duration::ZERO..=Duration::from_micros(200),
            write: Duration::ZERO..=Duration::from_micros(50),
            sync: FASTEST_SYNC..=SLOWEST_SYNC,
            failed_sync: 0.0,
            failed_read: 0.0,
            failed_write: 0.0,
            short_read: 0.0,
        }
    }
}

/// Whether something of this probability happens. What never does takes nothing from the seed, so that runs without it
/// stay as they are.
pub fn happens(probability: f64) -> bool {
    probability > 0.0 && thread_rng().gen_bool(probability)
}
