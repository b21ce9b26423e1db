//! The world pretended: madsim's time, tasks and randomness, and a disk that breaks.
//!
//! Everything here draws from the seed of the running simulation and nothing else, so a run is repeated by its seed.
//! It works only inside of a madsim runtime.

#[cfg(not(madsim))]
compile_error!(
    "the simulation needs `--cfg madsim`; an environment `RUSTFLAGS` silently overrides the one in an alias"
);

mod clock;
mod disk;
mod env;
mod runtime;
pub mod sleep;
pub mod watch;
mod weather;

pub use clock::Skew;
pub use disk::{DiskImage, DiskOptions, DiskStats, Operation, SimDisk, SimFile, Sprung, Step, Trap};
pub use env::SimEnv;
pub use runtime::SimRuntime;
pub use weather::{Condition, Direction, SimLink, Weather};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks even after a holder panicked: that first panic is the one worth reporting.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
