//! Times commands without looking at the clock after each one.
//!
//! A look at the clock costs about 25 ns, a small command in a pipeline a few hundred. So small commands of constant
//! time are timed in groups: each gets the share of the group's time that its bytes have in the group's. Every other
//! command is timed alone, and so is one that comes alone.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::time::Duration;

use crate::time::Monotonic;

/// Where the kernel is told the time by its driver. In simulation it stands still while commands run.
pub trait Clock: Debug + Send + Sync {
    fn monotonic(&self) -> Monotonic;
}

/// Commands that share one look at the clock.
const GROUP: usize = 8;
/// Bytes of request and reply from which on a command is not small.
const LARGE: usize = 4096;
/// Bytes that a command counts for beside its own: what finding and running it takes.
const BASE: usize = 128;

/// A command of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timed {
    /// Its place in the command table.
    pub command: usize,
    pub took: Duration,
    weight: usize,
}

/// The time since the clock was last looked at, and the commands that have run since.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    clock: Option<Box<dyn Clock>>,
    /// Time each command alone.
    precise: bool,
    since: Monotonic,
    group: Vec<Timed>,
    weight: usize,
}

impl Stopwatch {
    /// Without a clock, everything takes no time.
    pub(crate) fn set_clock(&mut self, clock: Box<dyn Clock>) {
        self.clock = Some(clock);
    }

    pub(crate) fn set_precise(&mut self, precise: bool) {
        self.precise = precise;
    }

    /// Begins at `now`, or where it has got to if that is later.
    pub(crate) fn start(&mut self, now: Monotonic) {
        self.since = self.since.max(now);
    }

    /// Whether the group must be closed before a command begins.
    pub(crate) fn must_close(&self, brisk: bool) -> bool {
        !brisk && !self.group.is_empty()
    }

    /// Notes that a command has run, with the bytes that it read and wrote; whether the group must be closed.
    pub(crate) fn ran(&mut self, command: usize, brisk: bool, bytes: usize) -> bool {
        let weight = BASE + bytes;
        self.group.push(Timed { command, took: Duration::ZERO, weight });
        self.weight += weight;
        !brisk || self.precise || bytes >= LARGE || self.group.len() == GROUP
    }

    /// Looks at the clock and closes the group: its time, and what each command has of it.
    pub(crate) fn close(&mut self) -> (Duration, &mut Vec<Timed>) {
        let now = self.clock.as_ref().map_or(self.since, |clock| clock.monotonic());
        let took = now - self.since;
        self.since = now;
        if let [only] = &mut self.group[..] {
            only.took = took;
        } else {
            let by_weight = took.as_nanos() as f64 / self.weight as f64;
            for timed in &mut self.group {
                timed.took = Duration::from_nanos((timed.weight as f64 * by_weight) as u64);
            }
        }
        self.weight = 0;
        (took, &mut self.group)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.group.is_empty()
    }
}

/// Whether a command takes constant or logarithmic time, but for the bytes that it moves: Redis marks most of these as
/// fast.
pub(crate) fn is_brisk(command: &crate::commands::Command) -> bool {
    command.flags.contains(&"fast") || ["set", "setex", "psetex", "getset", "append", "mset"].contains(&command.name)
}
