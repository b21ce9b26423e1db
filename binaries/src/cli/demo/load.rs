//! A small load: clients that count, and hold the nodes to what they answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use mneme_kernel::resp::Value;

use super::COUNT;
use super::access::Access;
use super::tally::Tally;
use super::watch::Watch;
use crate::cli::connection::Connection;
use crate::cli::fields::integer;
use crate::cli::stop::Stop;

/// As many on each node.
const CLIENTS: usize = 2 * COUNT;
/// Between two commands of a client: the load is to be seen, and not to be the machine's.
const PAUSE: Duration = Duration::from_millis(4);
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a client leaves a node alone that failed it.
const AVOID: Duration = Duration::from_secs(4);
/// What takes longer, in microseconds, counts as this; nobody waits so long.
const LONGEST: u64 = 60_000_000;
/// How long the counters may take to be read at the end.
const VERIFYING: Duration = Duration::from_secs(15);

/// How often each counter was read.
pub type Reads = [u64; CLIENTS];

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    access: Access,
    watch: Watch,
    is_over: AtomicBool,
    second: Mutex<Second>,
    counters: [Mutex<Counter>; CLIENTS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    tally: Tally,
    /// How often it was read.
    reads: u64,
}

/// What the clients saw since it was last asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub operations: u64,
    pub errors: u64,
    pub p99: Duration,
    /// The longest time in which nobody was answered, also if it is not over.
    pub gap: Duration,
}

impl Load {
    /// Begins to send.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(access: &Access, watch: &Watch) -> Result<Load, Stop> {
        let shared = Arc::new(Shared {
            access: access.clone(),
            watch: watch.clone(),
            is_over: AtomicBool::new(false),
            second: Mutex::new(Second::new()),
            counters: Default::default(),
        });
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let client = Client { number, shared: Arc::clone(&shared), failed: [None; COUNT] };
            clients.push(thread::Builder::new().name("load".to_owned()).spawn(move || client.run())?);
        }
        Ok(Load { shared, clients })
    }

    pub fn figures(&self) -> Figures {
        locked(&self.shared.second).take()
    }

    pub fn tally(&self) -> Tally {
        self.shared.counters.iter().map(|counter| locked(counter).tally).sum()
    }

    /// For [`Load::was_read_since`].
    pub fn reads(&self) -> Reads {
        std::array::from_fn(|number| locked(&self.shared.counters[number]).reads)
    }

    /// Whether each counter was read again: every client reads its own between two increments.
    pub fn was_read_since(&self, then: &Reads) -> bool {
        self.reads().iter().zip(then).all(|(now, then)| now > then)
    }

    /// Ends the clients, and then reads every counter once more.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn end(mut self) -> Result<Tally, Stop> {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.clients.drain(..).for_each(|client| drop(client.join()));
        let until = Instant::now() + VERIFYING;
        for node in (0..COUNT).cycle() {
            match self.shared.read_all(node) {
                Err(stop) if Instant::now() >= until => return Err(stop),
                Err(_) => thread::sleep(PAUSE),
                Ok(()) => break,
            }
        }
        Ok(self.tally())
    }
}

impl Shared {
    fn read_all(&self, node: usize) -> Result<(), Stop> {
        let mut connection = self.access.open(node, PATIENCE)?;
        self.counters.iter().enumerate().try_for_each(|(number, counter)| {
            let value = connection.ask(&[b"GET", key("counter", number).as_bytes()])?;
            locked(counter).tally.read(integer(&value) as u64);
            Ok(())
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(what: &str, number: usize) -> String {
    format!("demo:{what}:{number}")
}

/// One client, with a counter and a value of its own.
struct Client {
    number: usize,
    shared: Arc<Shared>,
    /// When each node failed it.
    failed: [Option<Instant>; COUNT],
}

impl Client {
    fn run(mut self) {
        while !self.is_over() {
            let node = self.choose();
            let served = self.shared.access.open(node, PATIENCE).and_then(|connection| self.work(node, connection));
            // Why it failed, the nodes' logs say.
            if served.is_err() {
                locked(&self.shared.second).errors += 1;
                self.failed[node] = Some(Instant::now());
                thread::sleep(PAUSE);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::SeqCst)
    }

    /// The node that it is at home at, or else the next that may serve it.
    fn choose(&self) -> usize {
        let home = self.number % COUNT;
        let mut nodes = (0..COUNT).map(|next| (home + next) % COUNT);
        nodes.find(|node| self.may_serve(*node)).unwrap_or(home)
    }

    fn may_serve(&self, node: usize) -> bool {
        self.failed[node].is_none_or(|at| at.elapsed() > AVOID) && self.shared.watch.said(node).is_some()
    }

    /// Sends commands until it is over, or this is not the right node any more.
    fn work(&self, node: usize, mut connection: Connection) -> Result<(), Stop> {
        let counter = key("counter", self.number);
        let value = key("value", self.number);
        while !self.is_over() && self.choose() == node {
            self.increment(&mut connection, &counter)?;
            let read = self.timed(&mut connection, &[b"GET", counter.as_bytes()])?;
            self.with_counter(|counter| {
                counter.tally.read(integer(&read) as u64);
                counter.reads += 1;
            });
            self.timed(&mut connection, &[b"SET", value.as_bytes(), b"what a client wrote"])?;
        }
        Ok(())
    }

    fn increment(&self, connection: &mut Connection, counter: &str) -> Result<(), Stop> {
        let answer = self.timed(connection, &[b"INCR", counter.as_bytes()]);
        match &answer {
            Ok(Value::Int(value)) => self.with_counter(|counter| counter.tally.acknowledge(*value as u64)),
            // This error promises that nothing was executed.
            Err(Stop::Server(message)) if message.starts_with("LOADING") => {}
            _ => self.with_counter(|counter| counter.tally.leave_open()),
        }
        answer.map(drop)
    }

    fn with_counter(&self, change: impl FnOnce(&mut Counter)) {
        change(&mut locked(&self.shared.counters[self.number]));
    }

    fn timed(&self, connection: &mut Connection, command: &[&[u8]]) -> Result<Value, Stop> {
        let sent = Instant::now();
        let answer = connection.ask(command)?;
        locked(&self.shared.second).answered(sent.elapsed());
        thread::sleep(PAUSE);
        Ok(answer)
    }
}

/// What is counted for [`Figures`].
#[derive(Debug)]
struct Second {
    /// Microseconds.
    times: Histogram<u64>,
    errors: u64,
    last: Instant,
    gap: Duration,
}

impl Second {
    fn new() -> Second {
        let times = Histogram::new_with_max(LONGEST, 3).expect("the bounds are good");
        Second { times, errors: 0, last: Instant::now(), gap: Duration::ZERO }
    }

    fn answered(&mut self, time: Duration) {
        self.times.saturating_record(time.as_micros() as u64);
        self.gap = self.gap.max(self.last.elapsed());
        self.last = Instant::now();
    }

    fn take(&mut self) -> Figures {
        let figures = Figures {
            operations: self.times.len(),
            errors: self.errors,
            p99: Duration::from_micros(self.times.value_at_quantile(0.99)),
            gap: self.gap.max(self.last.elapsed()),
        };
        self.times.reset();
        (self.errors, self.gap) = (0, Duration::ZERO);
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_time_since_they_were_asked() {
        let mut second = Second::new();
        (1..=100).for_each(|ms| second.answered(Duration::from_millis(ms)));
        second.errors = 2;
        let figures = second.take();
        assert_eq!((figures.operations, figures.errors, figures.p99.as_millis()), (100, 2, 99));
        let figures = second.take();
        assert_eq!((figures.operations, figures.errors, figures.p99), (0, 0, Duration::ZERO));
    }

    #[test]
    fn a_gap_that_is_not_over_is_seen() {
        let mut second = Second::new();
        second.last = Instant::now().checked_sub(Duration::from_secs(3)).expect("this machine is up for longer");
        assert!(second.take().gap >= Duration::from_secs(3));
        second.answered(Duration::ZERO);
        assert!(second.take().gap >= Duration::from_secs(3), "it is over only now");
        assert!(second.take().gap < Duration::from_secs(3));
    }
}
