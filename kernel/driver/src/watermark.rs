//! A number that only grows, and those who wait for it. Only those whose number has come are woken, in a fixed order.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use crate::sync::lock;

/// A growing number that tasks can wait for.
#[derive(Debug, Default)]
pub struct Watermark {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    value: u64,
    /// How often [`Watermark::nudge`] was called.
    nudges: u64,
    next_waiter: u64,
    /// By the number waited for, then by who came first.
    waiters: BTreeMap<(u64, u64), Waker>,
}

impl Watermark {
    pub fn value(&self) -> u64 {
        lock(&self.state).value
    }

    /// Raises the number and wakes those who waited for it; a lower one changes nothing.
    pub fn advance(&self, value: u64) {
        self.raise(|_| value);
    }

    /// Raises the number by one: something has happened once more.
    pub fn count(&self) {
        self.raise(|value| value + 1);
    }

    fn raise(&self, to: impl FnOnce(u64) -> u64) {
        let mut state = lock(&self.state);
        let value = to(state.value);
        if value <= state.value {
            return;
        }
        state.value = value;
        let later = state.waiters.split_off(&(value + 1, 0));
        let due = std::mem::replace(&mut state.waiters, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
    }

    /// Wakes everyone, so that they look at the time.
    pub fn nudge(&self) {
        let mut state = lock(&self.state);
        state.nudges += 1;
        let all = std::mem::take(&mut state.waiters);
        drop(state);
        all.into_values().for_each(Waker::wake);
    }

    /// Completes when the number is at least `threshold`, or after the next nudge.
    pub fn reached(&self, threshold: u64) -> Reached<'_> {
        let nudges = lock(&self.state).nudges;
        Reached { watermark: self, threshold, nudges, waiter: None }
    }
}

/// See [`Watermark::reached`].
#[derive(Debug)]
pub struct Reached<'a> {
    watermark: &'a Watermark,
    threshold: u64,
    nudges: u64,
    waiter: Option<(u64, u64)>,
}

impl Future for Reached<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.watermark.state);
        if state.value >= self.threshold || state.nudges != self.nudges {
            return Poll::Ready(());
        }
        let waiter = self.waiter.unwrap_or_else(|| {
            state.next_waiter += 1;
            (self.threshold, state.next_waiter)
        });
        match state.waiters.entry(waiter) {
            std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().clone_from(context.waker()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(context.waker().clone());
            }
        }
        drop(state);
        self.waiter = Some(waiter);
        Poll::Pending
    }
}

impl Drop for Reached<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            lock(&self.watermark.state).waiters.remove(&waiter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::pin::pin;

    #[test]
    fn waiting_ends_at_the_threshold_or_with_a_nudge() {
        let watermark = Watermark::default();
        watermark.advance(3);
        assert!(watermark.reached(3).now_or_never().is_some());
        let mut fourth = pin!(watermark.reached(4));
        assert!(fourth.as_mut().now_or_never().is_none());
        watermark.advance(2);
        assert!(fourth.as_mut().now_or_never().is_none());
        watermark.advance(4);
        assert!(fourth.as_mut().now_or_never().is_some());
        let mut fifth = pin!(watermark.reached(5));
        assert!(fifth.as_mut().now_or_never().is_none());
        watermark.nudge();
        assert!(fifth.as_mut().now_or_never().is_some());
    }

    #[test]
    fn who_stops_waiting_is_forgotten() {
        let watermark = Watermark::default();
        assert!(watermark.reached(1).now_or_never().is_none());
        assert!(lock(&watermark.state).waiters.is_empty());
    }
}
