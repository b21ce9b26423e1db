//! One thread of clients. It is cheap for each request, so that it is the server that is measured.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token, Waker};

use super::book::Book;
use super::client::{BUFFER, Client};
use super::keys::{Distribution, Draw};
use super::pace::{Flow, Nanos, Pace};
use super::redial::{Opener, Redial};
use super::tally::Tally;
use super::timer::Timer;
use super::wire::Wire;
use super::work::Work;
use crate::cli::dial::Link;

const SECOND: Nanos = 1_000_000_000;
/// How long answers are waited for when time is up.
const GRACE: Nanos = 2 * SECOND;
/// How often it is looked whether the run was interrupted, and whether somebody waits in vain.
const LOOK: Duration = Duration::from_millis(100);

const WAKER: Token = Token(usize::MAX);
const TIMER: Token = Token(usize::MAX - 1);

/// What all threads share.
#[derive(Debug)]
pub struct Plan {
    pub work: Work,
    pub pace: Pace,
    /// Of each client, by its number.
    pub levels: Vec<usize>,
    pub pipeline: usize,
    pub distribution: Distribution,
    pub keys: u64,
    pub seed: u64,
    /// Nothing is counted before.
    pub warm_up: Nanos,
    /// The end, warm-up included, unless requests are counted.
    pub end: Option<Nanos>,
    /// Requests of all clients together.
    pub requests: Option<u64>,
    /// A connection is given up that did not answer for so long.
    pub answer_timeout: Nanos,
    pub threads: usize,
    pub opener: Arc<Opener>,
    /// Set by whoever wants the run to end.
    pub is_over: Arc<AtomicBool>,
}

/// What a thread tells.
#[derive(Debug)]
pub enum News {
    /// What happened in a second of those that count.
    Second(usize, Tally),
    /// It has ended, at this time; with the server's error, if that was the answer to the first of a command's requests.
    Done { until: Nanos, refusal: Option<String> },
    /// It cannot go on.
    Failed(io::Error),
}

/// A thread's clients: of all, each so-many-th.
#[derive(Debug)]
pub struct Worker {
    plan: Arc<Plan>,
    poll: Poll,
    timer: Timer,
    redial: Redial,
    clients: Vec<Client>,
    /// Of an open loop, the request of these clients that is due next.
    turn: u64,
    /// Requests that these clients may still send.
    left: u64,
    outstanding: u64,
    book: Book,
    second: usize,
    start: Instant,
    end: Nanos,
    news: Sender<News>,
}

impl Worker {
    /// The thread of this number, with the connections of its clients.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn new(plan: Arc<Plan>, thread: usize, links: Vec<Link>, news: Sender<News>) -> io::Result<Worker> {
        let poll = Poll::new()?;
        let registry = poll.registry();
        let timer = Timer::new(registry, TIMER)?;
        let waker = Waker::new(registry, WAKER)?;
        let redial = Redial::start(Arc::clone(&plan.opener), waker, Arc::clone(&plan.is_over));
        let mut clients = Vec::new();
        for (at, link) in links.into_iter().enumerate() {
            let number = thread + at * plan.threads;
            let flow = Flow::new(plan.pace, number as u64, plan.pipeline);
            let draw = Draw::new(plan.distribution, plan.keys, plan.seed, number as u64, plan.levels.len() as u64);
            let mut client = Client::new(Token(at), plan.levels[number], flow, draw);
            client.connect(Wire::new(link)?, registry, 0)?;
            clients.push(client);
        }
        let share = |all: u64| {
            let threads = plan.threads as u64;
            all / threads + u64::from((thread as u64) < all % threads)
        };
        let book = Book::new(&plan);
        Ok(Worker {
            left: plan.requests.map_or(u64::MAX, share),
            end: plan.end.unwrap_or(Nanos::MAX),
            start: Instant::now(),
            turn: 0,
            outstanding: 0,
            second: 0,
            plan,
            poll,
            timer,
            redial,
            clients,
            book,
            news,
        })
    }

    /// Puts the load on, and tells of it, until it is over; `start` is the same for all threads.
    pub fn run(mut self, start: Instant) {
        self.start = start;
        let news = self.news.clone();
        // Who listens has gone when the run is of no interest any more.
        let _ = news.send(match self.load() {
            Ok(until) => News::Done { until, refusal: self.book.refusal.take() },
            Err(error) => News::Failed(error),
        });
    }

    fn load(&mut self) -> io::Result<Nanos> {
        let mut events = Events::with_capacity(self.clients.len() + 2);
        let mut buffer = vec![0; BUFFER];
        let mut look = 0;
        (0..self.clients.len()).for_each(|client| self.send(client, self.now()));
        loop {
            let now = self.now();
            if now >= look || now >= self.second_ends() {
                look = now + LOOK.as_nanos() as Nanos;
                self.look_after(now);
            }
            if self.is_done(now) {
                return Ok(self.finish(now));
            }
            self.send_due(now)?;
            match self.poll.poll(&mut events, Some(LOOK)) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                match event.token() {
                    WAKER => self.welcome(),
                    TIMER => {}
                    _ => self.serve(event, &mut buffer),
                }
            }
        }
    }

    fn now(&self) -> Nanos {
        self.start.elapsed().as_nanos() as Nanos
    }

    /// What is not done for each request.
    fn look_after(&mut self, now: Nanos) {
        if self.plan.is_over.load(Ordering::Relaxed) {
            self.end = self.end.min(now);
        }
        let patience = self.plan.answer_timeout;
        for client in 0..self.clients.len() {
            let known = &self.clients[client];
            if known.is_connected() && known.flow.waiting() > 0 && now.saturating_sub(known.quiet_since) > patience {
                self.lose(client);
            }
        }
        while now >= self.second_ends() {
            self.tell_second();
        }
    }

    fn second_ends(&self) -> Nanos {
        self.plan.warm_up + (self.second as Nanos + 1) * SECOND
    }

    fn tell_second(&mut self) {
        let tally = std::mem::replace(&mut self.book.tally, self.plan.tally());
        let _ = self.news.send(News::Second(self.second, tally));
        self.second += 1;
    }

    fn is_done(&self, now: Nanos) -> bool {
        let has_asked_all = now >= self.end || self.left == 0;
        let gave_up = now >= self.end.saturating_add(GRACE);
        (has_asked_all && self.outstanding == 0) || gave_up || self.book.refusal.is_some()
    }

    /// Counts what was never answered; when it ended.
    fn finish(&mut self, now: Nanos) -> Nanos {
        let until = match self.plan.requests {
            Some(_) if self.outstanding == 0 => self.book.last_answer,
            _ if self.outstanding == 0 => self.end.max(self.book.last_answer),
            _ => now,
        };
        let plan = Arc::clone(&self.plan);
        // What is due after the end, or after the last request, is nobody's.
        let due_until = if self.left == 0 { 0 } else { self.end.min(now) };
        for client in &mut self.clients {
            let overdue: Vec<_> = client.flow.overdue(due_until).collect();
            for (since, command) in overdue {
                let command = command.unwrap_or_else(|| plan.work.choose(&mut client.draw));
                let row = plan.row(client.level, command);
                self.book.unanswered(row, since, until);
            }
        }
        self.book.gap(until);
        self.tell_second();
        until
    }

    /// Of an open loop: sends what is due, and sets the alarm for what will be.
    fn send_due(&mut self, now: Nanos) -> io::Result<()> {
        if self.plan.pace == Pace::Closed || self.clients.is_empty() {
            return Ok(());
        }
        let clients = self.clients.len() as u64;
        loop {
            let (client, request) = (self.turn % clients, self.turn / clients);
            let number = self.clients[client as usize].flow.number();
            let due = self.plan.pace.due(number, request);
            if due > now {
                return self.timer.set(due - now);
            }
            self.send(client as usize, now);
            self.turn += 1;
        }
    }

    /// Has a client send what it may.
    fn send(&mut self, client: usize, now: Nanos) {
        let most = if now < self.end { self.left } else { 0 };
        let sender = &mut self.clients[client];
        let before = sender.flow.waiting();
        let sent = sender.send(now, most, &self.plan.work, self.poll.registry());
        // Also if the connection broke at it.
        let asked = (sender.flow.waiting() - before) as u64;
        self.outstanding += asked;
        if now >= self.book.measured_from {
            self.left -= asked;
        }
        match sent {
            Ok(bytes) => self.book.tally.bytes_out += bytes as u64,
            Err(_) => self.lose(client),
        }
    }

    fn serve(&mut self, event: &Event, buffer: &mut [u8]) {
        let at = event.token().0;
        let Worker { clients, book, plan, start, outstanding, .. } = self;
        let client = &mut clients[at];
        if event.is_writable() && client.resume(self.poll.registry()).is_err() {
            return self.lose(at);
        }
        let level = client.level;
        let is_idle = client.flow.waiting() == 0;
        let received = client.receive(
            buffer,
            || start.elapsed().as_nanos() as Nanos,
            |now, sent, answer| {
                *outstanding -= 1;
                book.answer(plan, level, now, sent, answer);
            },
        );
        match received {
            Ok(_) if is_idle && event.is_read_closed() => self.lose(at),
            Ok(bytes) => {
                book.tally.bytes_in += bytes as u64;
                if client.flow.room() > 0 {
                    // That is as long ago as its answers.
                    let now = client.quiet_since;
                    self.send(at, now);
                }
            }
            Err(_) => self.lose(at),
        }
    }

    /// The connection of a client is gone.
    fn lose(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if !client.is_connected() {
            return;
        }
        let lost = client.disconnect() as u64;
        self.outstanding -= lost;
        self.book.tally.lost += lost;
        self.book.tally.connections_lost += 1;
        self.redial.ask(at, self.clients[at].level);
    }

    /// Connections are there again.
    fn welcome(&mut self) {
        while let Some((client, link)) = self.redial.next() {
            let now = self.now();
            let level = self.clients[client].level;
            let connected =
                Wire::new(link).and_then(|wire| self.clients[client].connect(wire, self.poll.registry(), now));
            match connected {
                Ok(()) => {
                    self.book.tally.reconnected += 1;
                    self.send(client, now);
                }
                Err(_) => self.redial.ask(client, level),
            }
        }
    }
}

impl Plan {
    /// Where a command of a level is counted.
    pub fn row(&self, level: usize, command: usize) -> usize {
        level * self.work.len() + command
    }

    /// Nothing counted yet.
    pub fn tally(&self) -> Tally {
        Tally::new(self.opener.openings.len() * self.work.len())
    }
}
