//! Times commands without looking at the clock after each one.
//!
//! A look at the clock costs about 25 ns, a small command in a pipeline a few hundred. So small commands of constant
//! time are timed in groups: each gets the share of the group's time that its bytes have in the group's. Every other
//! command is timed alone, and so is one that comes alone.

use alloc::boxed::Box;
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
#[derive(Clone, Copy, Debug, Default)]
struct Timed {
    /// Its place in the command table.
    command: usize,
    weight: u64,
}

/// The time since the clock was last looked at, and the commands that have run since.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    clock: Option<Box<dyn Clock>>,
    /// Time each command alone.
    precise: bool,
    since: Monotonic,
    group: [Timed; GROUP],
    len: usize,
}

/// What a group took.
#[derive(Debug)]
pub(crate) struct Lap {
    group: [Timed; GROUP],
    len: usize,
    pub took: Duration,
    /// Of one unit of weight.
    nanos: f64,
}

impl Lap {
    /// Each command by its place in the command table, with its share in nanoseconds.
    pub(crate) fn shares(&self) -> impl DoubleEndedIterator<Item = (usize, u64)> {
        self.group[..self.len].iter().map(|timed| (timed.command, (timed.weight as f64 * self.nanos + 0.5) as u64))
    }

    /// What the last command took.
    pub(crate) fn last(&self) -> Duration {
        Duration::from_nanos(self.shares().next_back().map_or(0, |(_, nanos)| nanos))
    }
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
        !brisk && self.len > 0
    }

    /// Notes that a command has run, with the bytes that it read and wrote; whether the group must be closed.
    #[inline]
    pub(crate) fn ran(&mut self, command: usize, brisk: bool, bytes: usize) -> bool {
        self.group[self.len] = Timed { command, weight: (BASE + bytes) as u64 };
        self.len += 1;
        !brisk || self.precise || bytes >= LARGE || self.len == GROUP
    }

    /// Looks at the clock and closes the group.
    pub(crate) fn close(&mut self) -> Lap {
        let now = self.clock.as_ref().map_or(self.since, |clock| clock.monotonic());
        let took = now - self.since;
        self.since = now;
        let weight: u64 = self.group[..self.len].iter().map(|timed| timed.weight).sum();
        let nanos = took.as_nanos() as u64 as f64 / weight as f64;
        Lap { group: self.group, len: core::mem::take(&mut self.len), took, nanos }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.len == 0
    }
}

/// Whether a command takes constant or logarithmic time, but for the bytes that it moves: Redis marks most of these as
/// fast.
pub(crate) fn is_brisk(command: &crate::commands::Command) -> bool {
    command.flags.contains(&"fast") || ["set", "setex", "psetex", "getset", "append", "mset"].contains(&command.name)
}
