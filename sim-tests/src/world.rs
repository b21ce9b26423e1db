//! What everybody in one run shares: its trace, its history, and what was found wrong.

use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::check::Found;
use crate::history::{History, Remains, Stamp};
use crate::nemesis::Schedule;
use crate::options::Options;
use crate::plan::Plan;
use crate::timeline::{self, Lane, Timeline};
use crate::trace::Trace;
use mneme_checks::queue::Record;

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The check that saw it: the name of its file below `check/`.
    pub check: &'static str,
    pub what: String,
    /// The operation that shows it, if one does.
    pub at: Option<Stamp>,
}

/// How often each kind of event happened, by its name.
pub type Counts = BTreeMap<&'static str, u64>;

/// One run.
#[derive(Debug)]
pub struct World {
    pub options: Options,
    pub schedule: Schedule,
    trace: Mutex<Trace>,
    timeline: Mutex<Timeline>,
    history: Mutex<History>,
    appends: Mutex<History>,
    queues: Mutex<Record>,
    violations: Mutex<Vec<Violation>>,
    counts: Mutex<Counts>,
    marks: Mutex<Counts>,
    numbers: Mutex<Numbers>,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Numbers {
    words: u32,
    processes: u32,
}

impl World {
    pub fn new(Plan { options, schedule }: Plan, keeps_trace: bool) -> World {
        let remains = if options.topology.is_solo() { Remains::Disk } else { Remains::Elsewhere };
        World {
            options,
            schedule,
            trace: Mutex::new(Trace::new(keeps_trace)),
            timeline: Mutex::new(Timeline::new(keeps_trace)),
            history: Mutex::new(History::new(remains, timeline::now)),
            // It hears of nobody's death.
            appends: Mutex::new(History::new(Remains::Elsewhere, timeline::now)),
            queues: Mutex::default(),
            violations: Mutex::default(),
            counts: Mutex::default(),
            marks: Mutex::default(),
            numbers: Mutex::default(),
            over: AtomicBool::new(false),
        }
    }

    /// Adds an event to the trace.
    pub fn event(&self, event: Arguments<'_>) {
        lock(&self.trace).event(event);
    }

    /// Notes what is so in a lane of the timeline from now on.
    pub fn shows(&self, lane: Lane, now_so: Option<String>) {
        lock(&self.timeline).shows(lane, now_so);
    }

    /// Whether there is anybody to look at it.
    pub fn keeps_timeline(&self) -> bool {
        lock(&self.timeline).keeps()
    }

    pub fn timeline(&self) -> MutexGuard<'_, Timeline> {
        lock(&self.timeline)
    }

    pub fn trace(&self) -> MutexGuard<'_, Trace> {
        lock(&self.trace)
    }

    pub fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }

    /// What clients of [`crate::appends`] did: with it, the search for a linearization would take long.
    pub fn appends(&self) -> MutexGuard<'_, History> {
        lock(&self.appends)
    }

    /// What clients of [`crate::queues`] did.
    pub fn queues(&self) -> MutexGuard<'_, Record> {
        lock(&self.queues)
    }

    /// Notes what a check found; the same thing once.
    pub fn check(&self, check: &'static str, found: Result<(), String>) {
        if let Err(what) = found {
            self.note(Violation { check, what, at: None });
        }
    }

    /// The same, of what a check finds in the history when all is over.
    pub fn check_history(&self, check: &'static str, found: Result<(), Found>) {
        if let Err(Found { what, at }) = found {
            self.note(Violation { check, what, at: Some(at) });
        }
    }

    fn note(&self, violation: Violation) {
        let mut violations = lock(&self.violations);
        if !violations.contains(&violation) {
            lock(&self.timeline).fails(violation.check);
            violations.push(violation);
        }
    }

    pub fn violations(&self) -> Vec<Violation> {
        lock(&self.violations).clone()
    }

    pub fn count(&self, what: &'static str, times: u64) {
        *lock(&self.counts).entry(what).or_default() += times;
    }

    pub fn counts(&self) -> Counts {
        lock(&self.counts).clone()
    }

    /// Counts rare states.
    pub fn mark(&self, what: &'static str, times: u64) {
        if times > 0 {
            *lock(&self.marks).entry(what).or_default() += times;
        }
    }

    pub fn marks(&self) -> Counts {
        lock(&self.marks).clone()
    }

    /// Tells clients that no more commands are wanted.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// A text that nobody has written yet.
    pub fn new_word(&self) -> u32 {
        let mut numbers = lock(&self.numbers);
        numbers.words += 1;
        numbers.words
    }

    /// A process that has not done anything yet.
    pub fn new_process(&self) -> u32 {
        let mut numbers = lock(&self.numbers);
        numbers.processes += 1;
        numbers.processes
    }
}

/// Locks, also after a panic elsewhere: what was noted before it is worth reading.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
