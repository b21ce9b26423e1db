//! Keeps a network thread awake for a moment when it has nothing to do, if that pays.
//!
//! To wake a thread whose processor has gone idle costs whoever does it several microseconds, in a virtual machine most:
//! then it takes an interrupt that leaves the machine. Under load that is every client, several thousand times a second,
//! for sleeps that are over at once. So a thread whose last sleep was short looks for work instead of sleeping, as long
//! as work keeps coming; the first wait that is longer ends that, until a sleep is short again. A thread with little to
//! do never does this, and whoever else wants its processor gets it first.
//!
//! It also tells when the thread has served all clients whose requests are there. Writes that are to be durable go to the
//! log then, and not one by one: each batch costs a sync and several changes of thread.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use mneme_driver::node::Node;

use crate::env::RealEnv;

/// A sleep that is shorter was not worth it; so long is looked for work.
const SHORT: Duration = Duration::from_micros(30);

/// Turns of clients' tasks for which the log may be kept waiting by them.
const TURNS: u64 = 64;

#[derive(Debug, Default)]
struct Vigil {
    /// Whom this thread serves, if it is a network thread.
    node: RefCell<Option<Arc<Node<RealEnv>>>>,
    /// The log is to get something when there is no more to do; how much work had been done when it was first said.
    rests_since: Cell<Option<u64>>,
    asleep_since: Cell<Option<Instant>>,
    /// The last sleep was short.
    pays: Cell<bool>,
    /// How often work was done.
    work: Cell<u64>,
    /// Wakes [`keep`].
    keeper: RefCell<Option<Waker>>,
}

thread_local! {
    static VIGIL: Vigil = Vigil::default();
}

/// This is a network thread of that node.
pub(crate) fn serves(node: Arc<Node<RealEnv>>) {
    VIGIL.with(|vigil| vigil.node.replace(Some(node)));
}

/// Whether the node will be told when this thread has nothing more to do, or soon.
pub(crate) fn will_rest() -> bool {
    VIGIL.with(|vigil| {
        if vigil.rests_since.get().is_none() && vigil.node.borrow().is_some() {
            vigil.rests_since.set(Some(vigil.work.get()));
        }
        vigil.rests_since.get().is_some()
    })
}

impl Vigil {
    /// There is nothing more to do.
    fn rests(&self) {
        if self.rests_since.take().is_some()
            && let Some(node) = &*self.node.borrow()
        {
            node.rests();
        }
    }
}

/// To be called before the thread sleeps.
pub(crate) fn falls_asleep() {
    VIGIL.with(|vigil| {
        vigil.rests();
        vigil.asleep_since.set(Some(Instant::now()));
    });
}

/// To be called when the thread has slept.
pub(crate) fn wakes_up() {
    VIGIL.with(|vigil| {
        if vigil.asleep_since.take().is_some_and(|since| since.elapsed() < SHORT) {
            vigil.pays.set(true);
            if let Some(keeper) = vigil.keeper.take() {
                keeper.wake();
            }
        }
    });
}

/// Does a task's work, and counts it.
pub(crate) async fn counted<T>(task: impl Future<Output = T>) -> T {
    let mut task = pin!(task);
    poll_fn(|context| {
        let polled = task.as_mut().poll(context);
        VIGIL.with(|vigil| {
            let work = vigil.work.get() + 1;
            vigil.work.set(work);
            if vigil.rests_since.get().is_some_and(|since| work >= since + TURNS) {
                vigil.rests();
            }
        });
        polled
    })
    .await
}

/// Keeps this thread awake while that pays, for ever.
pub(crate) async fn keep() {
    loop {
        poll_fn(|context| {
            VIGIL.with(|vigil| {
                if vigil.pays.take() {
                    return Poll::Ready(());
                }
                vigil.keeper.replace(Some(context.waker().clone()));
                Poll::Pending
            })
        })
        .await;
        let mut idle_since = Instant::now();
        let mut seen = None;
        loop {
            // Others first: those who want this processor, then what has arrived on this thread's sockets.
            std::thread::yield_now();
            tokio::task::yield_now().await;
            let work = VIGIL.with(|vigil| vigil.work.get());
            if seen.replace(work) != Some(work) {
                idle_since = Instant::now();
                continue;
            }
            VIGIL.with(Vigil::rests);
            if idle_since.elapsed() >= SHORT {
                break;
            }
        }
    }
}
