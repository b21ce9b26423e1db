//! The runtime that openraft's tasks and timers run on.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use madsim::runtime::Runtime;
use openraft_rt::{AsyncRuntime, OptionalSend};
use openraft_rt_tokio::{TokioMpsc, TokioMutex, TokioOneshot};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::sleep::{self, Elapsed, Sleep, Timeout};
use crate::watch::SimWatch;

/// openraft's runtime over madsim. As a type it uses the simulation that it is called in.
///
/// A value of it is a simulation of its own, with seed 0, and serves only openraft's test suite.
pub struct SimRuntime(Runtime);

impl AsyncRuntime for SimRuntime {
    type JoinError = madsim::task::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = madsim::task::JoinHandle<T>;
    type Sleep = Sleep;
    type Instant = Instant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = SmallRng;
    type Mpsc = TokioMpsc;
    type Watch = SimWatch;
    type Oneshot = TokioOneshot;
    type Mutex<T: OptionalSend + 'static> = TokioMutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        madsim::task::spawn(future)
    }

    fn sleep(duration: Duration) -> Sleep {
        sleep::sleep(duration)
    }

    fn sleep_until(deadline: Instant) -> Sleep {
        sleep::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Timeout<F> {
        sleep::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Instant, future: F) -> Timeout<F> {
        sleep::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        join_error.is_panic()
    }

    fn thread_rng() -> SmallRng {
        SmallRng::seed_from_u64(madsim::rand::random())
    }

    /// Runs `f` at once: the default starts a thread, which no seed governs.
    fn spawn_blocking<F, T>(f: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        std::future::ready(Ok(f()))
    }

    fn new(_threads: usize) -> Self {
        SimRuntime(Runtime::new())
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

impl fmt::Debug for SimRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimRuntime")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openrafts_own_suite_passes() {
        openraft_rt::testing::Suite::<SimRuntime>::test_all();
    }

    #[test]
    fn a_seed_repeats_the_random_numbers() {
        use rand::Rng;
        let draw = |seed| {
            Runtime::with_seed_and_config(seed, madsim::Config::default())
                .block_on(async { [SimRuntime::thread_rng().next_u64(), SimRuntime::thread_rng().next_u64()] })
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1)[0], draw(1)[1]);
    }
}
