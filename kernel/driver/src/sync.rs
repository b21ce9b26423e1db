//! Locks.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mneme_kernel::core::Core;

/// Locks, also after a panic elsewhere: production aborts on a panic, and a simulation must be able to look.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The Core's lock. Who wants it may wait for a while only: a script can have it for long.
#[derive(Debug)]
pub struct CoreLock(parking_lot::Mutex<Core>);

impl CoreLock {
    pub fn new(core: Core) -> Self {
        Self(parking_lot::Mutex::new(core))
    }

    pub fn lock(&self) -> parking_lot::MutexGuard<'_, Core> {
        self.0.lock()
    }

    pub(crate) fn try_lock(&self) -> Option<parking_lot::MutexGuard<'_, Core>> {
        self.0.try_lock()
    }

    pub(crate) fn lock_for(&self, patience: Duration) -> Option<parking_lot::MutexGuard<'_, Core>> {
        self.0.try_lock_for(patience)
    }
}
