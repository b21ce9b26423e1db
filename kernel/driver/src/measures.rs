//! What the node counts beside the Core: what replies waited, what went over the wire, what the log's writer did.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use mneme_kernel::gate::{Delay, Ending};
use mneme_kernel::histogram::Histogram;
use mneme_kernel::level::Level;
use mneme_kernel::stopwatch::Clock;
use mneme_kernel::time::Monotonic;

use crate::env::Env;
use crate::sync::lock;

/// What connections count where they do not hold the Core's lock.
#[derive(Debug, Default)]
pub struct Traffic {
    replies: Mutex<Replies>,
    /// Bytes from and to clients.
    input: AtomicU64,
    output: AtomicU64,
    /// Connections whose next request may not run yet.
    held: AtomicUsize,
}

/// What became of replies.
#[derive(Clone, Copy, Debug, Default)]
struct Replies {
    /// From requests' arrival until they could leave, by level.
    took: [Histogram; 3],
    /// Of that, how long they waited for their level.
    waited: [Histogram; 3],
    /// Those that became `-UNCERTAIN`, and those that became `-NOQUORUM`.
    uncertain: u64,
    not_everywhere: u64,
}

impl Traffic {
    /// How long replies took at a level.
    pub fn replies(&self, level: Level) -> Histogram {
        lock(&self.replies).took[level as usize]
    }

    /// How long they waited for it.
    pub fn waits(&self, level: Level) -> Histogram {
        lock(&self.replies).waited[level as usize]
    }

    /// Replies that became `-UNCERTAIN`, because they were not on disk at a majority in time.
    pub fn uncertain(&self) -> u64 {
        lock(&self.replies).uncertain
    }

    /// Replies that became `-NOQUORUM`, because they were not everywhere in time.
    pub fn not_everywhere(&self) -> u64 {
        lock(&self.replies).not_everywhere
    }

    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes that clients sent, without TLS.
    pub fn input_bytes(&self) -> u64 {
        self.input.load(Ordering::Relaxed)
    }

    /// Bytes that were sent to clients, without TLS.
    pub fn output_bytes(&self) -> u64 {
        self.output.load(Ordering::Relaxed)
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.input.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.output.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn hold(&self, held: bool) {
        if held {
            self.held.fetch_add(1, Ordering::Relaxed);
        } else {
            self.held.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn replied(&self, delays: impl Iterator<Item = Delay>) {
        let mut delays = delays.peekable();
        if delays.peek().is_none() {
            return;
        }
        let mut replies = lock(&self.replies);
        for delay in delays {
            replies.took[delay.level as usize].observe_many(delay.took, delay.replies);
            if let Some(waited) = delay.waited {
                replies.waited[delay.level as usize].observe_many(waited, delay.replies);
            }
            match delay.ending {
                Ending::Reached => {}
                Ending::Uncertain => replies.uncertain += delay.replies,
                Ending::NotEverywhere => replies.not_everywhere += delay.replies,
            }
        }
    }
}

/// What the log's writer did since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogMeasures {
    /// How long syncs took; one covers a group.
    pub syncs: Histogram,
    /// Groups that are on stable storage, and entries and bytes in them.
    pub groups: u64,
    pub entries: u64,
    pub bytes: u64,
}

/// The world's clock for the Core.
#[derive(Debug)]
pub(crate) struct EnvClock<E: Env>(pub E);

impl<E: Env> Clock for EnvClock<E> {
    fn monotonic(&self) -> Monotonic {
        self.0.monotonic()
    }
}
