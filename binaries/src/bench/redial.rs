//! Opens connections; those that were lost on a thread of its own, while the others go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use mio::Waker;

use crate::cli::Words;
use crate::cli::connection::Connection;
use crate::cli::dial::{Dialler, Link};
use crate::cli::stop::Stop;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a server may take for what begins a connection.
const PATIENCE: Duration = Duration::from_secs(3);

/// How connections are opened.
#[derive(Debug)]
pub struct Opener {
    pub dialler: Dialler,
    /// What begins a connection, by level.
    pub openings: Vec<Vec<Words>>,
}

impl Opener {
    /// Opens a connection of this level, at this host if it answers; also which it is.
    ///
    /// # Errors
    /// If no server can be reached and trusted, or it refuses what begins the connection.
    pub fn open(&self, level: usize, first: usize) -> Result<(Connection, usize), Stop> {
        let dialled = self.dialler.dial(first)?;
        let host = dialled.host;
        dialled.link.limit(Some(PATIENCE))?;
        Ok((Connection::begin(dialled, &self.openings[level])?, host))
    }

    /// As [`Opener::open`], for who sends and receives in a way of his own.
    ///
    /// # Errors
    /// As [`Opener::open`].
    pub fn link(&self, level: usize, first: usize) -> Result<(Link, usize), Stop> {
        let (connection, host) = self.open(level, first)?;
        Ok((connection.into_link(), host))
    }
}

/// A thread that opens connections again.
#[derive(Debug)]
pub struct Redial {
    lost: Sender<Lost>,
    back: Receiver<(usize, Link)>,
}

/// A client without a connection.
#[derive(Clone, Copy, Debug)]
struct Lost {
    client: usize,
    level: usize,
}

impl Redial {
    /// It wakes by this waker, and ends when it is dropped or the flag is set.
    pub fn start(opener: Arc<Opener>, waker: Waker, is_over: Arc<AtomicBool>) -> Redial {
        let (lost, asked) = channel();
        let (answer, back) = channel();
        thread::spawn(move || run(&opener, &asked, &answer, &waker, &is_over));
        Redial { lost, back }
    }

    pub fn ask(&self, client: usize, level: usize) {
        // The thread is there as long as this is.
        let _ = self.lost.send(Lost { client, level });
    }

    /// A connection for the client of this number.
    pub fn next(&self) -> Option<(usize, Link)> {
        self.back.try_recv().ok()
    }
}

fn run(opener: &Opener, asked: &Receiver<Lost>, answer: &Sender<(usize, Link)>, waker: &Waker, is_over: &AtomicBool) {
    let mut host = 0;
    for Lost { client, level } in asked {
        let link = loop {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            match opener.link(level, host) {
                Ok((link, answered)) => {
                    host = answered;
                    break link;
                }
                Err(_) => {
                    // The one that was tried first may be there and refuse everybody.
                    host += 1;
                    thread::sleep(PAUSE);
                }
            }
        };
        if answer.send((client, link)).is_err() || waker.wake().is_err() {
            return;
        }
    }
}
