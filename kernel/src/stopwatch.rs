//! Times commands with two looks at the clock for all that came together.
//!
//! A look at the clock costs as much as a small command in a pipeline. So small commands of constant time share the time
//! of their run: each is counted, and gets an equal part. Every other command is timed alone, and so is one that comes
//! alone; and for a while all are, after a run that was slow as a whole.

use alloc::boxed::Box;
use core::fmt::Debug;
use core::time::Duration;

use crate::time::Monotonic;

/// Where the kernel is told the time by its driver. In simulation it stands still while commands run.
pub trait Clock: Debug + Send + Sync {
    fn monotonic(&self) -> Monotonic;
}

/// Different commands that can share a lap; one more begins a new lap.
const KINDS: usize = 8;
/// Bytes of request or reply from which on a command is not small.
pub(crate) const LARGE: usize = 4096;
/// Runs whose commands are timed alone after a lap that was slow.
const WARY_RUNS: u32 = 1000;

/// What is known of a request before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// It is small, and more have come behind it.
    Group,
    /// It is small, and the last one.
    Last,
    Large,
}

impl Pace {
    /// Of a request of so many bytes at the front of all that have arrived.
    #[inline]
    pub(crate) fn of(len: usize, arrived: usize) -> Self {
        if len >= LARGE {
            Pace::Large
        } else if arrived > len {
            Pace::Group
        } else {
            Pace::Last
        }
    }
}

/// Which look at the clock ends a command's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    /// One for several commands, later.
    Shared,
    /// That after it, for those before it too.
    Closing,
    /// That after it, and its time begins with another one.
    Alone,
}

/// How often a command has run in a lap.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Its place in the command table.
    pub command: usize,
    pub count: u64,
}

/// The time since the clock was last looked at, and the commands that have run since.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    clock: Option<Box<dyn Clock>>,
    /// Time each command alone.
    precise: bool,
    /// Do so for so many more runs.
    wary: u32,
    /// Whether this run does so.
    alone: bool,
    since: Monotonic,
    /// The command that ran last; of several in a row only their number is noted.
    last: Tally,
    /// Those before it.
    kinds: [Tally; KINDS],
    len: usize,
}

impl Stopwatch {
    /// Without a clock, everything takes no time.
    pub(crate) fn set_clock(&mut self, clock: Box<dyn Clock>) {
        self.clock = Some(clock);
    }

    /// Begins anew with the same clock; what is given back is to be taken up later.
    pub(crate) fn set_aside(&mut self) -> Self {
        let anew = Self { precise: self.precise, since: self.since, ..Self::default() };
        let mut aside = core::mem::replace(self, anew);
        self.clock = aside.clock.take();
        aside
    }

    /// Goes on with what was set aside.
    pub(crate) fn take_up(&mut self, mut aside: Self) {
        aside.clock = self.clock.take();
        *self = aside;
    }

    pub(crate) fn now(&self) -> Option<Monotonic> {
        self.clock.as_ref().map(|clock| clock.monotonic())
    }

    pub(crate) fn set_precise(&mut self, precise: bool) {
        self.precise = precise;
        self.alone |= precise;
    }

    /// A lap of several commands was slow: the next one like it shall be told more exactly.
    pub(crate) fn be_wary(&mut self) {
        self.wary = WARY_RUNS;
        self.alone = true;
    }

    /// Begins a run at `now`, or where it has got to if that is later.
    pub(crate) fn start(&mut self, now: Monotonic) {
        self.since = self.since.max(now);
        self.wary = self.wary.saturating_sub(1);
        self.alone = self.precise || self.wary > 0;
    }

    /// How a command is timed that is about to run.
    #[inline]
    pub(crate) fn timing(&self, brisk: bool, pace: Pace) -> Timing {
        if !brisk || pace == Pace::Large || self.alone {
            Timing::Alone
        } else if pace == Pace::Last {
            Timing::Closing
        } else {
            Timing::Shared
        }
    }

    /// Notes that a command has run; whether there is no place for one of another name.
    #[inline]
    pub(crate) fn ran(&mut self, command: usize) -> bool {
        if self.last.command == command {
            self.last.count += 1;
        } else {
            self.put_away();
            self.last = Tally { command, count: 1 };
        }
        self.len == KINDS - 1
    }

    /// Puts the last command to the others.
    fn put_away(&mut self) {
        let last = core::mem::take(&mut self.last);
        if last.count == 0 {
            return;
        }
        match self.kinds[..self.len].iter_mut().find(|tally| tally.command == last.command) {
            Some(tally) => tally.count += last.count,
            None => {
                self.kinds[self.len] = last;
                self.len += 1;
            }
        }
    }

    /// Looks at the clock and ends the lap: what its commands took together.
    pub(crate) fn close(&mut self) -> Duration {
        let now = self.clock.as_ref().map_or(self.since, |clock| clock.monotonic());
        let took = now - self.since;
        self.since = now;
        self.put_away();
        took
    }

    /// How often each command ran in the lap that was closed.
    pub(crate) fn tallies(&self) -> &[Tally] {
        &self.kinds[..self.len]
    }

    /// Begins the next lap.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.len == 0 && self.last.count == 0
    }

    /// When the clock was last looked at.
    pub(crate) fn since(&self) -> Monotonic {
        self.since
    }
}

/// Whether a command takes constant or logarithmic time, but for the bytes that it moves: Redis marks most of these as
/// fast.
pub(crate) fn is_brisk(command: &crate::commands::Command) -> bool {
    command.flags.contains(&"fast") || ["set", "setex", "psetex", "getset", "append", "mset"].contains(&command.name)
}
