//! Waiting in virtual time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;
use madsim::rand::{Rng, thread_rng};
pub use madsim::time::error::Elapsed;

/// The shortest sleep that madsim knows.
const SHORTEST: Duration = Duration::from_millis(1);

/// Waits for `duration`, 1 ms at least.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::new(madsim::time::sleep(duration))
}

/// Waits until `deadline`, 1 ms at least.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::new(madsim::time::sleep_until(deadline))
}

/// Gives up on `future` after `duration`.
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Timeout { future: Box::pin(future), sleep: sleep(duration) }
}

/// Gives up on `future` at `deadline`.
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Timeout { future: Box::pin(future), sleep: sleep_until(deadline) }
}

/// Waits for `duration` on average: what is shorter than madsim's shortest sleep becomes that or nothing, by chance.
pub async fn sleep_on_average(duration: Duration) {
    if duration >= SHORTEST || thread_rng().gen_bool(duration.div_duration_f64(SHORTEST)) {
        sleep(duration).await;
    } else {
        madsim::task::yield_now().await;
    }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// madsim's own registers one more timer at each poll, and none can be cancelled: a task that looks at a distant
/// deadline whenever it is woken for something else leaves thousands. This one registers one timer, which rings an
/// alarm, and the alarm wakes whoever polled last.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    timer: madsim::time::Sleep,
    alarm: Option<Arc<Alarm>>,
}

#[derive(Debug, Default)]
struct Alarm(AtomicWaker);

impl Sleep {
    fn new(timer: madsim::time::Sleep) -> Sleep {
        Sleep { timer, alarm: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.timer.is_elapsed() {
            return Poll::Ready(());
        }
        if let Some(alarm) = &this.alarm {
            alarm.0.register(cx.waker());
            return Poll::Pending;
        }
        let alarm = this.alarm.insert(Arc::default()).clone();
        alarm.0.register(cx.waker());
        Pin::new(&mut this.timer).poll(&mut Context::from_waker(&alarm.into()))
    }
}

impl Drop for Sleep {
    /// The timer stays until its deadline; it must not keep the task, nor wake it.
    fn drop(&mut self) {
        if let Some(alarm) = &self.alarm {
            alarm.0.take();
        }
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }
}

/// The future of [`timeout`] and [`timeout_at`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut self.sleep).poll(cx).map(|()| Err(Elapsed))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use madsim::runtime::Runtime;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicU32);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_sleep_polled_often_wakes_once_and_a_dropped_one_never() {
        Runtime::new().block_on(async {
            let [kept, dropped] = [Arc::new(Counter::default()), Arc::new(Counter::default())];
            let mut kept_sleep = sleep(Duration::from_millis(10));
            let mut dropped_sleep = sleep(Duration::from_millis(10));
            for _ in 0..100 {
                for (sleep, counter) in [(&mut kept_sleep, &kept), (&mut dropped_sleep, &dropped)] {
                    let waker = counter.clone().into();
                    assert!(Pin::new(sleep).poll(&mut Context::from_waker(&waker)).is_pending());
                }
            }
            drop(dropped_sleep);
            sleep(Duration::from_millis(20)).await;
            assert_eq!(kept.0.load(Ordering::Relaxed), 1);
            assert_eq!(dropped.0.load(Ordering::Relaxed), 0);
        });
    }

    #[test]
    fn the_last_one_to_poll_is_woken() {
        Runtime::new().block_on(async {
            let mut moved = sleep(Duration::from_millis(10));
            assert!(futures::poll!(&mut moved).is_pending());
            madsim::task::spawn(moved).await.expect("the other task is woken");
        });
    }

    #[test]
    fn short_sleeps_are_right_on_average() {
        Runtime::new().block_on(async {
            let start = Instant::now();
            for _ in 0..10_000 {
                sleep_on_average(Duration::from_micros(100)).await;
            }
            let took = start.elapsed().as_secs_f64();
            assert!((0.9..1.1).contains(&took), "{took} s");
        });
    }
}
