//! One client: a connection, and what it has asked.

use std::io::{self, ErrorKind};

use mio::{Registry, Token};

use super::answer::{Answer, MAX_LINE, Reader};
use super::keys::Draw;
use super::pace::{Flow, Nanos, Sent};
use super::wire::{ROOM, Wire};
use super::work::Work;

/// What [`Client::receive`] needs to work in: what was left of a line, and what comes.
pub const BUFFER: usize = MAX_LINE + 2 + ROOM;

/// A client of the server.
#[derive(Debug)]
pub struct Client {
    /// Of the levels that there are, the one that its connection has.
    pub level: usize,
    pub flow: Flow,
    pub draw: Draw,
    token: Token,
    /// None while the connection is lost.
    wire: Option<Wire>,
    reader: Reader,
    out: Vec<u8>,
    /// The beginning of a line that has not come wholly.
    rest: Vec<u8>,
    /// Whether the socket takes no more for now.
    is_full: bool,
    /// When it last sent something while nothing was outstanding, or received something.
    pub quiet_since: Nanos,
}

impl Client {
    /// A client whose events have this token; not connected.
    pub fn new(token: Token, level: usize, flow: Flow, draw: Draw) -> Client {
        Client {
            level,
            flow,
            draw,
            token,
            wire: None,
            reader: Reader::default(),
            out: Vec::new(),
            rest: Vec::new(),
            is_full: false,
            quiet_since: 0,
        }
    }

    /// Takes a connection that is open.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn connect(&mut self, mut wire: Wire, registry: &Registry, now: Nanos) -> io::Result<()> {
        wire.register(registry, self.token)?;
        self.wire = Some(wire);
        self.quiet_since = now;
        Ok(())
    }

    pub fn is_connected(&self) -> bool {
        self.wire.is_some()
    }

    /// Closes the connection; how many requests are lost with it.
    pub fn disconnect(&mut self) -> usize {
        self.wire = None;
        self.reader = Reader::default();
        self.out.clear();
        self.rest.clear();
        self.is_full = false;
        self.flow.lose()
    }

    /// Sends what may be sent now, at most so many requests; how many bytes that is.
    ///
    /// # Errors
    /// If the connection is lost.
    pub fn send(&mut self, now: Nanos, most: u64, work: &Work, registry: &Registry) -> io::Result<usize> {
        if self.wire.is_none() || self.is_full {
            return Ok(0);
        }
        let mut sent = 0;
        let room = self.flow.room() as u64;
        if self.flow.waiting() == 0 {
            self.quiet_since = now;
        }
        while sent < room.min(most) {
            let Some(since) = self.flow.next_since(now) else { break };
            let command = work.write(&mut self.draw, &mut self.out);
            self.flow.send(Sent { since, command });
            sent += 1;
        }
        let bytes = self.out.len();
        if sent > 0 {
            self.flush(registry)?;
        }
        Ok(bytes)
    }

    /// There is room again.
    ///
    /// # Errors
    /// If the connection is lost.
    pub fn resume(&mut self, registry: &Registry) -> io::Result<()> {
        if self.is_full { self.flush(registry) } else { Ok(()) }
    }

    fn flush(&mut self, registry: &Registry) -> io::Result<()> {
        let Some(wire) = &mut self.wire else { return Ok(()) };
        let is_full = !wire.send(&mut self.out)?;
        if is_full != self.is_full {
            self.is_full = is_full;
            wire.want_room(registry, self.token, is_full)?;
        }
        Ok(())
    }

    /// Takes the answers that have come, of bytes of which the number is given; `buffer` is at least [`BUFFER`] long.
    /// Once everything is answered nothing more comes, so that it need not read until it would block.
    ///
    /// # Errors
    /// If the connection is lost, or what comes is not the protocol.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        clock: impl Fn() -> Nanos,
        mut take: impl FnMut(Nanos, Sent, Answer<'_>),
    ) -> io::Result<usize> {
        let Some(wire) = &mut self.wire else { return Ok(0) };
        let mut have = self.rest.len();
        buffer[..have].copy_from_slice(&self.rest);
        self.rest.clear();
        let mut bytes = 0;
        while self.flow.waiting() > 0 {
            let got = match wire.receive(&mut buffer[have..]) {
                Ok(got) => got,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let now = clock();
            self.quiet_since = now;
            bytes += got;
            have += got;
            let mut used = 0;
            while used < have {
                let (taken, answer) = self.reader.next(&buffer[used..have]).map_err(io::Error::other)?;
                used += taken;
                let Some(answer) = answer else { break };
                let sent = self.flow.answered().ok_or_else(|| io::Error::other("more answers than requests"))?;
                take(now, sent, answer);
            }
            buffer.copy_within(used..have, 0);
            have -= used;
        }
        self.rest.extend_from_slice(&buffer[..have]);
        Ok(bytes)
    }
}
