//! A watch channel whose receivers wake in a fixed order: that in which they were made.
//!
//! tokio's spreads its waiters over several lists by a random number that no seed governs.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::task::{Poll, Waker};

use openraft_rt::watch::{RecvError, SendError, Watch, WatchReceiver, WatchSender};
use openraft_rt::{OptionalSend, OptionalSync};

use crate::lock;

/// The implementation of openraft's [`Watch`].
#[derive(Debug)]
pub struct SimWatch;

impl Watch for SimWatch {
    type Sender<T: OptionalSend + OptionalSync> = Sender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = Receiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (Sender<T>, Receiver<T>) {
        let channel = Arc::new(Channel { value: RwLock::new(init), state: Mutex::default() });
        (Sender::new(channel.clone()), Receiver::new(channel, 0))
    }
}

#[derive(Debug)]
struct Channel<T> {
    value: RwLock<T>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often the value changed.
    version: u64,
    senders: usize,
    receivers: usize,
    /// How many receivers there ever were.
    next_receiver: u64,
    /// By receiver.
    waiters: BTreeMap<u64, Waker>,
}

impl<T> Channel<T> {
    fn borrow(&self) -> Ref<'_, T> {
        Ref(self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn wake_all(&self) {
        // Not under the lock: a waker may drop a task, and with it a receiver.
        let waiters = std::mem::take(&mut lock(&self.state).waiters);
        waiters.into_values().for_each(Waker::wake);
    }
}

/// The sending half.
#[derive(Debug)]
pub struct Sender<T>(Arc<Channel<T>>);

impl<T> Sender<T> {
    fn new(channel: Arc<Channel<T>>) -> Sender<T> {
        lock(&channel.state).senders += 1;
        Sender(channel)
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<SimWatch, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if lock(&self.0.state).receivers == 0 {
            return Err(SendError(value));
        }
        self.send_if_modified(|current| {
            *current = value;
            true
        });
        Ok(())
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        let modified = modify(&mut self.0.value.write().unwrap_or_else(PoisonError::into_inner));
        if modified {
            lock(&self.0.state).version += 1;
            self.0.wake_all();
        }
        modified
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.0.borrow()
    }

    fn subscribe(&self) -> Receiver<T> {
        let version = lock(&self.0.state).version;
        Receiver::new(self.0.clone(), version)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender::new(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.senders -= 1;
        let last = state.senders == 0;
        drop(state);
        if last {
            self.0.wake_all();
        }
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
    id: u64,
    /// The version that this receiver has seen.
    seen: u64,
}

impl<T> Receiver<T> {
    fn new(channel: Arc<Channel<T>>, seen: u64) -> Receiver<T> {
        let mut state = lock(&channel.state);
        let id = state.next_receiver;
        state.next_receiver += 1;
        state.receivers += 1;
        drop(state);
        Receiver { channel, id, seen }
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<SimWatch, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        poll_fn(|cx| {
            let mut state = lock(&self.channel.state);
            if self.seen != state.version {
                self.seen = state.version;
                Poll::Ready(Ok(()))
            } else if state.senders == 0 {
                Poll::Ready(Err(RecvError(())))
            } else {
                state.waiters.insert(self.id, cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.channel.borrow()
    }

    fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.seen = lock(&self.channel.state).version;
        self.channel.borrow()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver::new(self.channel.clone(), self.seen)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.channel.state);
        state.receivers -= 1;
        let waiter = state.waiters.remove(&self.id);
        drop(state);
        drop(waiter);
    }
}

/// The value, locked against change while this lives.
#[derive(Debug)]
pub struct Ref<'a, T>(RwLockReadGuard<'a, T>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Wake};

    use madsim::runtime::Runtime;

    use super::*;

    struct Log {
        name: usize,
        woken: Arc<Mutex<Vec<usize>>>,
    }

    impl Wake for Log {
        fn wake(self: Arc<Self>) {
            lock(&self.woken).push(self.name);
        }
    }

    #[test]
    fn receivers_wake_in_the_order_in_which_they_were_made() {
        let (sender, _first) = SimWatch::channel(0);
        let mut receivers: Vec<_> = (0..20).map(|_| sender.subscribe()).collect();
        let woken = Arc::default();
        for (name, receiver) in receivers.iter_mut().enumerate().rev() {
            let waker = Arc::new(Log { name, woken: Arc::clone(&woken) }).into();
            let changed = pin!(receiver.changed());
            assert!(changed.poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(sender.send(1), Ok(()));
        assert_eq!(*lock(&woken), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn the_last_value_is_seen_before_the_end() {
        let (sender, mut receiver) = SimWatch::channel(0);
        assert_eq!(sender.send(1), Ok(()));
        drop(sender);
        Runtime::new().block_on(async {
            assert_eq!(receiver.changed().await, Ok(()));
            assert_eq!(*receiver.borrow_watched(), 1);
            assert_eq!(receiver.changed().await, Err(RecvError(())));
        });
    }
}
