//! Those who would wait for a script that takes long: they are let pass in between, by the thread that runs it.
//!
//! A script has the Core's lock from its first step to its last. Whoever wants the lock waits for it a little; then, if a
//! script has it that others are to hear of, he leaves what he has to do with its thread, which does it between two steps
//! of the script. There the Core refuses everything but what Redis allows while a script runs, so what is done changes
//! connections, and no data. Nobody waits for the lock for good, so clients are answered by every network thread.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use mneme_kernel::core::Core;
use mneme_kernel::script;

use crate::sync::{CoreLock, lock};

/// How long who wants the lock waits for it before he looks whether a script has it.
const PATIENCE: Duration = Duration::from_millis(2);

/// The way to a Core whose lock a script may have for long.
#[derive(Debug, Default)]
pub(crate) struct Guests(Arc<Queue>);

#[derive(Default)]
struct Queue {
    /// A script takes long, and its thread serves guests.
    is_open: AtomicBool,
    waiting: Mutex<VecDeque<Arc<dyn Visit>>>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("is_open", &self.is_open).finish_non_exhaustive()
    }
}

impl Queue {
    fn next(&self) -> Option<Arc<dyn Visit>> {
        lock(&self.waiting).pop_front()
    }
}

/// Something to be done with the Core.
trait Visit: Send + Sync {
    fn make(&self, core: &mut Core);
}

/// What is to be done, and what came of it.
struct Errand<F, T> {
    state: Mutex<(Option<F>, Option<T>)>,
    done: Condvar,
}

impl<F: FnOnce(&mut Core) -> T + Send, T: Send> Visit for Errand<F, T> {
    fn make(&self, core: &mut Core) {
        let mut state = lock(&self.state);
        // Who has left took it with him.
        if let Some(errand) = state.0.take() {
            state.1 = Some(errand(core));
            self.done.notify_one();
        }
    }
}

/// What the Core is given, to have guests served.
#[derive(Debug)]
struct Host(Arc<Queue>);

impl script::Guests for Host {
    fn serve(&mut self, core: &mut Core) {
        self.0.is_open.store(true, Ordering::Release);
        while let Some(visit) = self.0.next() {
            visit.make(core);
        }
    }

    fn leave(&mut self) {
        self.0.is_open.store(false, Ordering::Release);
        lock(&self.0.waiting).clear();
    }
}

impl Guests {
    pub(crate) fn host(&self) -> Box<dyn script::Guests> {
        Box::new(Host(self.0.clone()))
    }

    /// Does something with the Core: under its lock, or as a guest of the script that has it.
    pub(crate) fn enter<T, F>(&self, core: &CoreLock, mut errand: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&mut Core) -> T + Send + 'static,
    {
        loop {
            if let Some(mut core) = core.lock_for(PATIENCE) {
                return errand(&mut core);
            }
            if self.0.is_open.load(Ordering::Acquire) {
                match self.visit(errand) {
                    Ok(result) => return result,
                    Err(not_done) => errand = not_done,
                }
            }
        }
    }

    /// Leaves an errand with the script's thread; gives it back if that ends before.
    fn visit<T, F>(&self, errand: F) -> Result<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut Core) -> T + Send + 'static,
    {
        let errand = Arc::new(Errand { state: Mutex::new((Some(errand), None)), done: Condvar::new() });
        lock(&self.0.waiting).push_back(errand.clone());
        let mut state = lock(&errand.state);
        loop {
            if let Some(result) = state.1.take() {
                return Ok(result);
            }
            if !self.0.is_open.load(Ordering::Acquire)
                && let Some(errand) = state.0.take()
            {
                return Err(errand);
            }
            state = match errand.done.wait_timeout(state, PATIENCE) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use mneme_kernel::core::Config;
    use mneme_kernel::eviction::Policy;
    use mneme_kernel::level::Level;
    use mneme_kernel::limits;
    use mneme_kernel::time::Monotonic;

    use super::*;

    fn core() -> CoreLock {
        let time = Duration::from_secs(1);
        CoreLock::new(Core::new(Config {
            node: "n".into(),
            address: "n:1".into(),
            default_user: "admin".into(),
            default_level: Level::Quorum,
            level_timeout: time,
            park_timeout: time,
            lease: limits::LEASE,
            reads: mneme_kernel::agreed::NEWEST,
            replica: false,
            founds: false,
            quorum_check: false,
            seed: 1,
            started: Monotonic::default(),
            process_id: 1,
            port: 1,
            max_clients: 1,
            max_memory: 0,
            memory_policy: Policy::NoEviction,
            secret: [1; 4],
            facade: Default::default(),
            script_times: Default::default(),
            parameters: Vec::new(),
            settings: Vec::new(),
        }))
    }

    #[test]
    fn who_wants_the_lock_is_served_by_the_one_who_has_it() {
        let (core, guests) = (Arc::new(core()), Arc::new(Guests::default()));
        let mut held = core.lock();
        let mut host = guests.host();
        let visitor = {
            let (core, guests) = (core.clone(), guests.clone());
            std::thread::spawn(move || guests.enter(&core, |core| core.config().node.clone()))
        };
        while !visitor.is_finished() {
            host.serve(&mut held);
        }
        assert_eq!(visitor.join().ok().as_deref(), Some("n"));
    }

    #[test]
    fn who_was_not_served_takes_the_lock_when_it_is_free() {
        let (core, guests) = (Arc::new(core()), Arc::new(Guests::default()));
        let mut held = core.lock();
        let mut host = guests.host();
        host.serve(&mut held);
        let visitor = {
            let (core, guests) = (core.clone(), guests.clone());
            std::thread::spawn(move || guests.enter(&core, |core| core.config().node.clone()))
        };
        while lock(&guests.0.waiting).is_empty() {
            std::thread::yield_now();
        }
        host.leave();
        drop(held);
        assert_eq!(visitor.join().ok().as_deref(), Some("n"));
    }
}
