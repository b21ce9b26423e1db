//! A lasting link to another Keeper for requests that are answered in order. It dials when it is first needed and again
//! after it broke; whoever stops waiting for an answer does not break it.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use futures::future::{Either, select};
use mneme_kernel::time::Monotonic;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};

use crate::addresses::Addresses;
use crate::env::Env;
use crate::link::{self, FrameReader, Open};
use crate::raft_wire::Answer;
use crate::sync::lock;

/// How long dialling may take.
pub(crate) const DIAL: Duration = Duration::from_secs(1);
/// How long an answer may take, and what each piece of so many bytes on the way adds to that.
const PATIENCE: Duration = Duration::from_secs(1);
const PATIENCE_BYTES: usize = 4 << 20;
/// How often it is looked whether an answer is overdue.
const LOOK: Duration = Duration::from_millis(100);
/// The pause after a link that broke or could not be made, doubling up to the second number.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(300);

/// The link's near end. Requests go out in the order of the calls.
#[derive(Debug)]
pub(crate) struct Channel {
    calls: mpsc::UnboundedSender<Call>,
}

/// The answer to a call; cancelled if there will be none.
pub(crate) type Reply = oneshot::Receiver<io::Result<Answer>>;

#[derive(Debug)]
struct Call {
    frame: Vec<u8>,
    answer: oneshot::Sender<io::Result<Answer>>,
}

impl Channel {
    pub(crate) fn new<E: Env>(env: &E, from: u64, to: u64, addresses: Addresses) -> Self {
        let (calls, queue) = mpsc::unbounded();
        let far = Far { env: env.clone(), from, to, addresses, is_down: false, has_answered: false };
        env.spawn("raft link", far.run(queue));
        Self { calls }
    }

    /// Sends a request's frame. Whoever calls bounds how many are on the way.
    pub(crate) fn call(&self, frame: Vec<u8>) -> Reply {
        let (answer, reply) = oneshot::channel();
        // If its task has ended, the runtime is going down: the reply is cancelled.
        let _ = self.calls.unbounded_send(Call { frame, answer });
        reply
    }
}

/// A request on its way.
struct Pending {
    answer: oneshot::Sender<io::Result<Answer>>,
    /// When there should be an answer.
    due: Monotonic,
}

/// The far end as its task sees it.
struct Far<E: Env> {
    env: E,
    from: u64,
    to: u64,
    addresses: Addresses,
    /// The outage has been logged.
    is_down: bool,
    /// The last link was of use.
    has_answered: bool,
}

impl<E: Env> Far<E> {
    async fn run(mut self, mut calls: mpsc::UnboundedReceiver<Call>) {
        let mut pause = SHORTEST_PAUSE;
        let mut not_before = Monotonic::default();
        while let Some(first) = calls.next().await {
            if self.env.monotonic() < not_before {
                fail(first, "it could not be reached a moment ago");
                continue;
            }
            if first.answer.is_canceled() {
                continue;
            }
            let address = self.addresses.get(self.to);
            let Some(address) = address else {
                fail(first, "it is no member");
                continue;
            };
            let purpose = Open::Raft { from: self.from, to: self.to };
            let error = match link::open(&self.env, &address, &purpose, DIAL).await {
                Ok(link) => match self.converse(link, first, &mut calls, &address).await {
                    Ok(()) => return,
                    Err(error) => error,
                },
                Err(error) => {
                    fail(first, "it cannot be reached");
                    error
                }
            };
            if std::mem::take(&mut self.has_answered) {
                pause = SHORTEST_PAUSE;
            }
            if !self.is_down {
                self.is_down = true;
                tracing::warn!("no link to the Keeper at {address}: {error}");
            }
            while let Ok(call) = calls.try_recv() {
                fail(call, "the link broke");
            }
            not_before = self.env.monotonic() + pause;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Sends calls and hands out answers until nobody can call any more.
    async fn converse(
        &mut self,
        link: E::Link,
        first: Call,
        calls: &mut mpsc::UnboundedReceiver<Call>,
        address: &str,
    ) -> io::Result<()> {
        let (read, write) = tokio::io::split(link);
        let pending = Mutex::new(VecDeque::new());
        let sending = send(&self.env, write, first, calls, &pending);
        let receiving = receive(&self.env, read, &pending, || {
            self.has_answered = true;
            if std::mem::take(&mut self.is_down) {
                tracing::info!("the Keeper at {address} answers again");
            }
        });
        match select(pin!(sending), pin!(receiving)).await {
            Either::Left((sent, _)) => sent,
            Either::Right((received, _)) => received,
        }
    }
}

fn fail(call: Call, why: &str) {
    let _ = call.answer.send(Err(io::Error::new(io::ErrorKind::NotConnected, why)));
}

async fn send<E: Env>(
    env: &E,
    mut write: WriteHalf<E::Link>,
    first: Call,
    calls: &mut mpsc::UnboundedReceiver<Call>,
    pending: &Mutex<VecDeque<Pending>>,
) -> io::Result<()> {
    let mut next = Some(first);
    loop {
        let Some(call) = (match next.take() {
            Some(call) => Some(call),
            None => calls.next().await,
        }) else {
            return Ok(());
        };
        // Nobody waits any more: a heartbeat that was late has been followed by another.
        if call.answer.is_canceled() {
            continue;
        }
        let due = env.monotonic() + PATIENCE * (1 + (call.frame.len() / PATIENCE_BYTES) as u32);
        lock(pending).push_back(Pending { answer: call.answer, due });
        write.write_all(&call.frame).await?;
        next = calls.try_recv().ok();
        if next.is_none() {
            write.flush().await?;
        }
    }
}

async fn receive<E: Env>(
    env: &E,
    read: ReadHalf<E::Link>,
    pending: &Mutex<VecDeque<Pending>>,
    mut answered: impl FnMut(),
) -> io::Result<()> {
    let mut reader = FrameReader::new(read);
    loop {
        match link::timeout(env, LOOK, reader.message::<Answer>()).await {
            Ok(Some(Answer::Refused(why))) => return Err(io::Error::new(io::ErrorKind::ConnectionRefused, why)),
            Ok(Some(answer)) => {
                let waiting = lock(pending).pop_front();
                let Some(waiting) = waiting else {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer to nothing"));
                };
                answered();
                // What stands behind it is not late because it waited for this one.
                let now = env.monotonic();
                if let Some(next) = lock(pending).front_mut() {
                    next.due = next.due.max(now + PATIENCE);
                }
                let _ = waiting.answer.send(Ok(answer));
            }
            Ok(None) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                if lock(pending).front().is_some_and(|first| first.due < env.monotonic()) {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"));
                }
            }
            Err(error) => return Err(error),
        }
    }
}
