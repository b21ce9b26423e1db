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
use crate::stopwatch::{Clock, LARGE, Stopwatch, Tally, Timing, is_brisk};
use crate::time::{Monotonic, Wall};
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
    /// What takes so long is slow for the log or for the latency monitor.
    noteworthy: Duration,
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
            noteworthy: Tunables::default().noteworthy(),
            brisk: commands.all().iter().map(|command| is_brisk(command)).collect(),
        }
    }
}

impl Core {
    /// Where to look at the time that commands take. Without it, they take none.
    pub fn set_clock(&mut self, clock: Box<dyn Clock>) {
        self.diagnostics.watch.set_clock(clock);
    }

    pub fn tunables(&self) -> Tunables {
        self.diagnostics.tunables
    }

    /// Changes thresholds and bounds; the slow log and the ACL log are cut to their new lengths at once.
    pub fn set_tunables(&mut self, tunables: Tunables) {
        self.diagnostics.tunables = tunables;
        self.diagnostics.noteworthy = tunables.noteworthy();
        self.diagnostics.slowlog.cut(tunables.slowlog_max_len);
        self.acl_log.cut(tunables.acllog_max_len);
        self.diagnostics.watch.set_precise((0..PRECISE_BELOW).contains(&tunables.slowlog_slower_than));
    }

    pub(crate) fn tune(&mut self, change: impl FnOnce(&mut Tunables)) {
        let mut tunables = self.tunables();
        change(&mut tunables);
        self.set_tunables(tunables);
    }

    /// Commands that were slow since the start, those that the slow log has forgotten too.
    pub fn slow_commands(&self) -> u64 {
        self.diagnostics.slowlog.made()
    }

    /// How a command is timed that is about to run.
    #[inline]
    pub(crate) fn timing(&self, command: usize, session: &Session) -> Timing {
        self.diagnostics.watch.timing(self.diagnostics.brisk[command], session.pace)
    }

    /// Notes that a command has run, with the bytes that it replied; whether its lap is to be closed.
    #[inline]
    pub(crate) fn has_run(&mut self, command: usize, timing: Timing, bytes: usize) -> bool {
        self.diagnostics.watch.ran(command) || timing != Timing::Shared || bytes >= LARGE
    }

    /// When the clock was last looked at.
    pub(crate) fn looked_at(&self) -> Monotonic {
        self.diagnostics.watch.since()
    }

    /// What time it is, where the driver tells it.
    pub(crate) fn clock(&self) -> Option<Monotonic> {
        self.diagnostics.watch.now()
    }

    /// Has what is done meanwhile not count to the time of the command that runs.
    pub(crate) fn set_times_aside(&mut self) -> Stopwatch {
        self.diagnostics.watch.set_aside()
    }

    /// The opposite of [`Core::set_times_aside`].
    pub(crate) fn take_times_up(&mut self, watch: Stopwatch) {
        self.diagnostics.watch.take_up(watch);
    }

    /// Called before the first command of those that have come together.
    pub(crate) fn start_times(&mut self, now: Now) {
        self.diagnostics.watch.start(now.monotonic);
    }

    /// Called when no further command runs for now; says when that is.
    pub(crate) fn pause_times(&mut self, now: Now, session: &Session) -> Monotonic {
        self.close_times(now.wall, session, Args::none());
        self.diagnostics.watch.since()
    }

    /// Looks at the clock, if a command has run since the last look: how long they took together. `args` are those of the
    /// last command.
    #[inline]
    pub(crate) fn close_times(&mut self, at: Wall, session: &Session, args: Args<'_>) {
        let Diagnostics { watch, noteworthy, .. } = &mut self.diagnostics;
        if watch.is_idle() {
            return;
        }
        let took = watch.close();
        match watch.tallies() {
            [Tally { command, count: 1 }] => self.stats.calls[*command].times.observe(took),
            tallies => {
                let count: u64 = tallies.iter().map(|tally| tally.count).sum();
                let share = Duration::from_nanos(took.as_nanos() as u64 / count);
                for tally in tallies {
                    self.stats.calls[tally.command].times.observe_many(share, tally.count);
                }
            }
        }
        // Together they were faster than one may be, so each one was.
        if took >= *noteworthy {
            self.note_slow(at, took, session, args);
        }
        self.diagnostics.watch.clear();
    }

    #[cold]
    fn note_slow(&mut self, at: Wall, took: Duration, session: &Session, args: Args<'_>) {
        let Diagnostics { tunables, slowlog, spikes, watch, brisk, .. } = &mut self.diagnostics;
        if tunables.latency_threshold > 0 && took >= Duration::from_millis(tunables.latency_threshold) {
            let event = if watch.tallies().iter().all(|tally| brisk[tally.command]) { FAST_COMMAND } else { COMMAND };
            spikes.add(event, at, took);
        }
        if !u64::try_from(tunables.slowlog_slower_than).is_ok_and(|slow| took >= Duration::from_micros(slow)) {
            return;
        }
        let command = |tally: &Tally| self.commands.all()[tally.command];
        let logged: Vec<_> = watch.tallies().iter().map(command).filter(|command| !command.skips_slowlog()).collect();
        if logged.is_empty() {
            return;
        }
        let shown = if matches!(watch.tallies(), [Tally { count: 1, .. }]) && !args.is_empty() {
            slowlog::shown(args)
        } else {
            // Small commands that were timed together: which of them it was is not known.
            watch.be_wary();
            let names = logged.iter().map(|command| command.name.into());
            core::iter::once(b"(one of these)".to_vec()).chain(names).collect()
        };
        slowlog.add(at, took, shown, session, tunables.slowlog_max_len);
    }
}
