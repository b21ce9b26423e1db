//! A connection: bytes in, requests run in order, replies out through the gate. What is asynchronous about it (sockets,
//! password checks, waiting) is its driver's; every decision is here.

use alloc::string::String;
use alloc::vec::Vec;

use crate::call::{Credentials, Then};
use crate::core::{Core, Now};
use crate::gate::{Delay, Gate, Wait};
use crate::ids::Seq;
use crate::limits;
use crate::resp::{Decoder, ProtocolError};
use crate::session::{Port, Session};
use crate::time::Monotonic;

/// Why [`Connection::run`] stopped running requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is no whole request: read on.
    Read,
    /// The next request may not run yet: run again when the watermark has moved.
    Held,
    /// Too many replies wait to be sent: run again when some have left.
    Full,
    /// Check this password, then call [`Connection::password_checked`].
    CheckPassword(Credentials),
    /// Make a snapshot, then call [`Connection::saved`].
    Save,
    /// Make a snapshot without waiting for it; then run again.
    SaveLater,
    /// Close once all replies have left.
    Close,
    /// Close, and stop the server as asked.
    Shutdown,
}

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    session: Session,
    gate: Gate,
    input: Vec<u8>,
    /// Bytes at the front of `input` that have been run.
    consumed: usize,
    decoder: Decoder,
    closing: bool,
    /// When the requests arrived that have not run.
    arrived: Option<Monotonic>,
}

/// Bytes of buffer that an idle connection may keep.
const KEPT_BUFFER: usize = 16 << 10;

impl Connection {
    pub fn new(id: u64, port: Port, since: Monotonic) -> Self {
        Self {
            session: Session::new(id, port, since),
            gate: Gate::default(),
            input: Vec::new(),
            consumed: 0,
            decoder: Decoder::default(),
            closing: false,
            arrived: None,
        }
    }

    /// Says where the client is.
    #[must_use]
    pub fn from_address(mut self, address: String) -> Self {
        self.session.address = address;
        self
    }

    /// Where to append bytes that arrived, with room for what the current request is known to lack.
    pub fn input(&mut self) -> &mut Vec<u8> {
        if self.consumed == self.input.len() {
            self.input.clear();
            self.input.shrink_to(KEPT_BUFFER);
            self.consumed = 0;
        } else if self.consumed >= KEPT_BUFFER {
            self.input.drain(..self.consumed);
            self.consumed = 0;
        }
        let wanted = self.decoder.wants(self.input.len() - self.consumed);
        self.input.reserve(wanted.clamp(4 << 10, 1 << 20));
        &mut self.input
    }

    /// Runs the requests that have arrived.
    pub fn run(&mut self, core: &mut Core, now: Now) -> Step {
        self.gate.left(now.monotonic);
        let arrived = *self.arrived.get_or_insert(now.monotonic);
        core.start_times(now);
        let step = self.run_requests(core, now, arrived);
        core.pause_times(now, &self.session);
        if !matches!(step, Step::Held | Step::Full) {
            self.arrived = None;
        }
        step
    }

    /// Says when the requests arrived that [`Connection::run`] will run, if that was before it could.
    pub fn arrived(&mut self, at: Monotonic) {
        self.arrived.get_or_insert(at);
    }

    fn run_requests(&mut self, core: &mut Core, now: Now, arrived: Monotonic) -> Step {
        loop {
            if self.closing {
                return Step::Close;
            }
            if self.gate.len() > limits::MAX_REPLIES_WAITING {
                return Step::Full;
            }
            let rest = &self.input[self.consumed..];
            let len = match self.decoder.decode(rest, self.session.trust()) {
                Ok(Some(len)) => len,
                Ok(None) => return Step::Read,
                Err(error) => {
                    self.protocol_error(core, error);
                    continue;
                }
            };
            let args = self.decoder.args(rest);
            if args.is_empty() {
                self.consumed += len;
                continue;
            }
            let start = self.gate.reply.bytes.len();
            self.session.pipelined = rest.len() > len;
            let answer = core.execute(now, &mut self.session, args, &mut self.gate.reply);
            match answer.wait {
                Some(seq) => {
                    let until = now.monotonic + core.config.level_timeout;
                    self.gate.hold(start, Wait { seq, until, level: answer.level, since: arrived });
                }
                None if answer.then.is_answered() => self.gate.pass(answer.level, arrived),
                None => {}
            }
            match answer.then {
                Then::Reply => self.consumed += len,
                Then::Retry => return Step::Held,
                Then::Close => {
                    self.consumed += len;
                    self.closing = true;
                }
                Then::CheckPassword(credentials) => {
                    self.consumed += len;
                    return Step::CheckPassword(credentials);
                }
                Then::Save | Then::SaveLater => {
                    self.consumed += len;
                    return if answer.then == Then::Save { Step::Save } else { Step::SaveLater };
                }
                Then::Shutdown => {
                    self.consumed += len;
                    self.closing = true;
                    return Step::Shutdown;
                }
            }
        }
    }

    /// The outcome of the password check that [`Step::CheckPassword`] asked for; then run again.
    pub fn password_checked(&mut self, core: &mut Core, now: Now, right: bool) {
        core.password_checked(now, &mut self.session, &mut self.gate.reply, right);
    }

    /// What became of the snapshot that [`Step::Save`] asked for; then run again.
    pub fn saved(&mut self, core: &mut Core, made: Result<(), impl core::fmt::Display>) {
        let start = self.gate.reply.bytes.len();
        match made {
            Ok(()) => self.gate.reply.ok(),
            Err(error) => self.gate.reply.error(format_args!("ERR {error}")),
        }
        core.finished(&mut self.session, &self.gate.reply.bytes[start..]);
    }

    /// Says why the connection will be closed, once what was answered before has left.
    fn protocol_error(&mut self, core: &mut Core, error: ProtocolError) {
        let start = self.gate.reply.bytes.len();
        self.gate.reply.error(format_args!("ERR Protocol error: {error}"));
        core.stats.count_error(&self.gate.reply.bytes[start..]);
        self.closing = true;
    }

    /// The bytes that may leave now.
    pub fn ready(&self) -> &[u8] {
        self.gate.ready()
    }

    /// Notes that the first `n` of the ready bytes have left.
    pub fn sent(&mut self, n: usize) {
        self.gate.sent(n);
    }

    /// Opens the gate up to a batch, and tells the truth to what has waited too long.
    pub fn advance(&mut self, accepted: Seq, now: Monotonic) {
        self.gate.left(now);
        self.gate.open(accepted, now);
        self.gate.expire(now);
    }

    /// How long the replies took that could leave since this was asked.
    pub fn take_delays(&mut self) -> impl Iterator<Item = Delay> {
        self.gate.delays.drain(..)
    }

    /// The batch that the next reply waits for, if it waits.
    pub fn waits_for(&self) -> Option<Seq> {
        self.gate.waits_for()
    }

    /// Whether all replies have left.
    pub fn is_drained(&self) -> bool {
        self.gate.is_empty()
    }

    pub fn session(&self) -> &Session {
        &self.session
    }
}
