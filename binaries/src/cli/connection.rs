//! A connection to a server: dialled, verified, logged in.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mneme_kernel::resp::{Value, ValueDecoder, encode_command};

use super::Words;
use super::dial::{Dialled, Dialler, Link, Target};
use super::mode::Mode;
use super::stop::Stop;

/// How much is read at once.
const READ_SIZE: usize = 64 * 1024;

/// How often it is looked whether somebody has interrupted the waiting for messages.
const BLINK: Duration = Duration::from_millis(100);

/// A stream of commands one way and values the other.
pub struct Connection {
    link: Link,
    /// The server's name for people: where it was found.
    peer: String,
    decoder: ValueDecoder,
    input: Vec<u8>,
    /// How much of `input` is decoded.
    used: usize,
    /// Of the commands that began the connection, and of those that [`Connection::answer`] was asked about.
    mode: Mode,
}

impl Connection {
    /// Connects, and sends the commands that begin the connection all at once.
    ///
    /// # Errors
    /// If no server can be reached and trusted, or it refuses one of the commands.
    pub fn open(target: &Target, opening: &[Words]) -> Result<Connection, Stop> {
        Connection::begin(Dialler::new(target.clone())?.dial(0)?, opening)
    }

    /// As [`Connection::open`], by a link that is there.
    ///
    /// # Errors
    /// If the connection is lost, or the server refuses one of the commands.
    pub fn begin(Dialled { link, peer, .. }: Dialled, opening: &[Words]) -> Result<Connection, Stop> {
        let decoder = ValueDecoder::default();
        let mut connection = Connection { link, peer, decoder, input: Vec::new(), used: 0, mode: Mode::default() };
        let mut bytes = Vec::new();
        opening.iter().for_each(|command| encode_command(command, &mut bytes));
        connection.send(&bytes)?;
        for command in opening {
            if let Some(Value::Error(message)) = connection.answer(command)? {
                return Err(Stop::Server(message));
            }
        }
        Ok(connection)
    }

    /// When the server's certificate ends, Unix time in seconds; `None` without TLS.
    pub fn certificate_ends(&self) -> Option<i64> {
        self.link.certificate_ends()
    }

    /// What is below: for who sends and receives in a way of his own, once everything is answered.
    pub fn into_link(self) -> Link {
        self.link
    }

    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// From now on the connection is lost when nothing arrives for so long; without this an answer may take any time.
    ///
    /// # Errors
    /// If the time is zero.
    pub fn wait_at_most(&self, at_most: Duration) -> Result<(), Stop> {
        self.link.limit(Some(at_most)).map_err(|e| self.lost(&e))
    }

    /// Sends encoded commands.
    ///
    /// # Errors
    /// If the connection is lost.
    pub fn send(&mut self, commands: &[u8]) -> Result<(), Stop> {
        let sent = self.link.write_all(commands).and_then(|()| self.link.flush());
        sent.map_err(|e| self.lost(&e))
    }

    /// The answer to the oldest command not yet answered, which is given. What the server pushes meanwhile is dropped.
    ///
    /// # Errors
    /// If the connection is lost, or what arrives is not the protocol.
    pub fn reply(&mut self, command: &Words) -> Result<Value, Stop> {
        loop {
            match self.message()? {
                // SUBSCRIBE and its kin are answered by a push of their own name.
                Value::Push(items) if !is_named(&items, command) => {}
                value => return Ok(value),
            }
        }
    }

    /// As [`Connection::reply`], for a command that somebody typed; `None` if `CLIENT REPLY` says that none comes.
    ///
    /// # Errors
    /// As [`Connection::reply`].
    pub fn answer(&mut self, command: &Words) -> Result<Option<Value>, Stop> {
        let answer = match self.mode.is_answered(command) {
            true => Some(self.reply(command)?),
            false => None,
        };
        match answer {
            Some(Value::Error(_) | Value::Null) => self.mode.refused(command),
            _ => self.mode.done(command),
        }
        Ok(answer)
    }

    /// Waits until all that was sent is done, also what is not answered. The connection is as `RESET` leaves it.
    ///
    /// # Errors
    /// As [`Connection::reply`].
    pub fn settle(&mut self) -> Result<(), Stop> {
        if self.mode.is_answering() {
            return Ok(());
        }
        // Unlike CLIENT REPLY ON, it is done at once also within MULTI.
        let reset = vec![b"RESET".to_vec()];
        let mut bytes = Vec::new();
        encode_command(&reset, &mut bytes);
        self.send(&bytes)?;
        self.answer(&reset).map(drop)
    }

    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// Sends one command; the answer to it.
    ///
    /// # Errors
    /// If the connection is lost, or the answer is an error.
    pub fn ask(&mut self, words: &[&[u8]]) -> Result<Value, Stop> {
        let words: Words = words.iter().map(|word| word.to_vec()).collect();
        let mut bytes = Vec::new();
        encode_command(&words, &mut bytes);
        self.send(&bytes)?;
        self.value(&words)
    }

    /// As [`Connection::reply`], where an answer that is an error is one.
    ///
    /// # Errors
    /// As [`Connection::ask`].
    pub fn value(&mut self, command: &Words) -> Result<Value, Stop> {
        match self.reply(command)? {
            Value::Error(message) => Err(Stop::Server(message)),
            value => Ok(value),
        }
    }

    /// The next value, whatever it is.
    ///
    /// # Errors
    /// As [`Connection::reply`].
    pub fn message(&mut self) -> Result<Value, Stop> {
        loop {
            match self.decoded()? {
                Some(value) => return Ok(value),
                None => self.read().map_err(|e| self.lost(&e))?,
            }
        }
    }

    /// As [`Connection::message`]; `None` once the flag is set. It is looked at often, and at each value.
    ///
    /// # Errors
    /// As [`Connection::reply`].
    pub fn message_unless(&mut self, is_over: &AtomicBool) -> Result<Option<Value>, Stop> {
        self.wait_at_most(BLINK)?;
        while !is_over.load(Ordering::Relaxed) {
            if let Some(value) = self.decoded()? {
                return Ok(Some(value));
            }
            match self.read() {
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                read => read.map_err(|e| self.lost(&e))?,
            }
        }
        Ok(None)
    }

    /// A value that has arrived as a whole.
    fn decoded(&mut self) -> Result<Option<Value>, Stop> {
        let decoded = self.decoder.decode(&self.input[self.used..]);
        let (used, value) =
            decoded.map_err(|e| Stop::Connection(format!("{}: not the Redis protocol: {e}", self.peer)))?;
        self.used += used;
        Ok(value)
    }

    fn read(&mut self) -> io::Result<()> {
        self.input.drain(..self.used);
        self.used = 0;
        let have = self.input.len();
        self.input.resize(have + READ_SIZE, 0);
        let got = self.link.read(&mut self.input[have..]);
        self.input.truncate(have + *got.as_ref().unwrap_or(&0));
        match got {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(e),
            _ => Ok(()),
        }
    }

    fn lost(&self, error: &io::Error) -> Stop {
        Stop::Connection(match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                format!("{}: the server closed the connection", self.peer)
            }
            _ => format!("{}: connection lost: {error}", self.peer),
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Whether a push is what a command answers.
fn is_named(push: &[Value], command: &Words) -> bool {
    match (push.first().and_then(Value::as_bytes), command.first()) {
        (Some(kind), Some(name)) => kind.eq_ignore_ascii_case(name),
        _ => false,
    }
}
