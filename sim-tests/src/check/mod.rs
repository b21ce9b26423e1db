//! One invariant a file (DESIGN.md section 8).
//!
//! [`conforms`], [`log`], [`term`], [`voter`], [`reign`], [`lease`] and [`digest`] look into the nodes; [`append`], [`durable`],
//! [`linearizable`], [`eventual`], [`uncertain`] and [`walk`] know only what clients have seen; all of those but [`uncertain`] judge real
//! processes too, and stand in [`mneme_checks`]. Beside them, `wait` (who is counted has it)
//! stands in [`crate::waits`], `heard` (what was published) in [`crate::publishers`], and `replica` (no other node knows of one), `fatal` (no life ends itself but for a disk that failed), `liveness` (what has
//! healed serves within a bounded time), `undecided` (a search for a linearization that was given up) and `panic` stand where they are found out, in [`crate::cluster`] and
//! [`crate::simulation`].

use std::sync::Mutex;

pub use mneme_checks::check::{Found, append, durable, eventual, linearizable, queue, walk};

pub mod conforms;
pub mod digest;
pub mod lease;
pub mod log;
pub mod reign;
pub mod term;
pub mod uncertain;
pub mod voter;

/// What the checks that look into the nodes remember in a run.
#[derive(Debug)]
pub struct Checks {
    pub conforms: Mutex<conforms::Conforms>,
    pub digests: Mutex<digest::Digests>,
    pub entries: Mutex<log::Entries>,
    pub reigns: Mutex<reign::Reigns>,
    pub terms: Mutex<term::Terms>,
    pub voters: Mutex<voter::Voters>,
}

impl Checks {
    /// Of a run on so many machines.
    pub fn new(machines: usize) -> Self {
        Self {
            conforms: Mutex::new(conforms::Conforms::new(machines)),
            digests: Mutex::default(),
            entries: Mutex::default(),
            reigns: Mutex::default(),
            terms: Mutex::default(),
            voters: Mutex::default(),
        }
    }
}
