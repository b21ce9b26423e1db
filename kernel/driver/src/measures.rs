//! What the node counts beside the Core: what replies waited, what went over the wire, what the log's writer did.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use mneme_kernel::gate::Delay;
use mneme_kernel::histogram::Histogram;
use mneme_kernel::level::Level;
use mneme_kernel::stopwatch::Clock;
use mneme_kernel::time::Monotonic;

use crate::env::Env;
use crate::sync::lock;

/// What connections count where they do not hold the Core's lock.
#[derive(Debug, Default)]
pub struct Traffic {
    /// From requests' arrival until their replies could leave, by level.
    replies: Mutex<[Histogram; 3]>,
    /// Replies that became `-UNCERTAIN`.
    uncertain: AtomicU64,
    /// Bytes from and to clients.
    input: AtomicU64,
    output: AtomicU64,
    /// Connections whose next request may not run yet.
    held: AtomicUsize,
}

impl Traffic {
    /// How long replies took at a level.
    pub fn replies(&self, level: Level) -> Histogram {
        lock(&self.replies)[level as usize]
    }

    pub fn uncertain(&self) -> u64 {
        self.uncertain.load(Ordering::Relaxed)
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
            replies[delay.level as usize].observe_many(delay.took, delay.replies);
            if delay.uncertain {
                self.uncertain.fetch_add(delay.replies, Ordering::Relaxed);
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
