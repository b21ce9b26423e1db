//! What a Core notes about the commands that have run: outcome, time, errors, slow ones.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use crate::commands::Commands;
use crate::core::{Core, Now};
use crate::resp::Args;
use crate::session::Session;
use crate::slowlog::{self, SlowLog};
use crate::spikes::Spikes;
use crate::stopwatch::{Clock, Stopwatch, is_brisk};
use crate::time::Wall;
use crate::tunables::Tunables;

/// Below this threshold every command is timed alone, for even a fast one may be slow.
const PRECISE_BELOW: i64 = 1000;

/// Events of `LATENCY`: Redis's names.
const COMMAND: &str = "command";
const FAST_COMMAND: &str = "fast-command";

#[derive(Debug)]
pub(crate) struct Diagnostics {
    pub tunables: Tunables,
    pub slowlog: SlowLog,
    pub spikes: Spikes,
    watch: Stopwatch,
    /// By place in the command table, see [`is_brisk`].
    brisk: Vec<bool>,
}

impl Diagnostics {
    pub(crate) fn new(commands: &Commands) -> Self {
        Self {
            tunables: Tunables::default(),
            slowlog: SlowLog::default(),
            spikes: Spikes::default(),
            watch: Stopwatch::default(),
            brisk: commands.all().iter().map(|command| is_brisk(command)).collect(),
        }
    }
}

/// A command that was executed just now.
pub(crate) struct Ran<'a> {
    /// Its place in the command table; `None` if it was refused before it ran.
    pub command: Option<usize>,
    pub args: Args<'a>,
    /// What it has replied so far.
    pub reply: &'a [u8],
}

impl Core {
    /// Where to look at the time that commands take. Without it, they take none.
    pub fn set_clock(&mut self, clock: Box<dyn Clock>) {
        self.diagnostics.watch.set_clock(clock);
    }

    pub fn tunables(&self) -> Tunables {
        self.diagnostics.tunables
    }

    /// Changes thresholds and bounds; the slow log is cut to its new length at once.
    pub fn set_tunables(&mut self, tunables: Tunables) {
        self.diagnostics.tunables = tunables;
        self.diagnostics.slowlog.cut(tunables.slowlog_max_len);
        self.diagnostics.watch.set_precise((0..PRECISE_BELOW).contains(&tunables.slowlog_slower_than));
    }

    /// Commands that were slow since the start, those that the slow log has forgotten too.
    pub fn slow_commands(&self) -> u64 {
        self.diagnostics.slowlog.made()
    }

    /// Called before a command runs.
    pub(crate) fn begins(&mut self, now: Now, session: &Session, command: usize) {
        if self.diagnostics.watch.must_close(self.diagnostics.brisk[command]) {
            self.close_times(now.wall, session, None);
        }
    }

    /// Called when a command has run.
    #[inline]
    pub(crate) fn ran(&mut self, now: Now, session: &Session, ran: &Ran<'_>) {
        self.stats.count_error(ran.reply);
        let Some(command) = ran.command else { return };
        let brisk = self.diagnostics.brisk[command] && session.pipelined;
        let bytes = ran.args.bytes() + ran.reply.len();
        if self.diagnostics.watch.ran(command, brisk, bytes) {
            self.close_times(now.wall, session, Some(ran.args));
        }
    }

    /// Called when no further command runs for now.
    pub(crate) fn pause_times(&mut self, now: Now, session: &Session) {
        if !self.diagnostics.watch.is_idle() {
            self.close_times(now.wall, session, None);
        }
    }

    /// Called before the first command of those that have come together.
    pub(crate) fn start_times(&mut self, now: Now) {
        self.diagnostics.watch.start(now.monotonic);
    }

    /// Looks at the clock: how long it took what has run since. `args` are those of the last command.
    fn close_times(&mut self, at: Wall, session: &Session, args: Option<Args<'_>>) {
        let Diagnostics { tunables, slowlog, spikes, watch, brisk } = &mut self.diagnostics;
        let lap = watch.close();
        for (command, nanos) in lap.shares() {
            self.stats.calls[command].times.observe_nanos(nanos);
        }
        let took = lap.took;
        if tunables.latency_threshold > 0 && took >= Duration::from_millis(tunables.latency_threshold) {
            let event = if lap.shares().all(|(command, _)| brisk[command]) { FAST_COMMAND } else { COMMAND };
            spikes.add(event, at, took);
        }
        let slow = u64::try_from(tunables.slowlog_slower_than).map(Duration::from_micros);
        if slow.is_ok_and(|slow| took >= slow) {
            let (took, shown) = match args {
                Some(args) if slow.is_ok_and(|slow| lap.last() >= slow) => (lap.last(), slowlog::shown(args)),
                // Small commands that were timed together: which of them it was is not known.
                _ => {
                    let names = lap.shares().map(|(command, _)| self.commands.all()[command].name.into());
                    (took, core::iter::once(b"(one of these)".to_vec()).chain(names).collect())
                }
            };
            slowlog.add(at, took, shown, session, tunables.slowlog_max_len);
        }
    }
}
