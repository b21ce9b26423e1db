//! A connection: bytes in, requests run in order, replies out through the gate. What is asynchronous about it (sockets,
//! password checks, waiting) is its driver's; every decision is here.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use crate::call::{Then, Wanted};
use crate::clients::Slot;
use crate::core::{Core, Now};
use crate::forward::{Answered, Void};
use crate::gate::{Delay, Gate, Marks, Place, Wait};
use crate::ids::{DbNumber, Index, Seq};
use crate::level::Level;
use crate::limits;
use crate::password::{Credentials, Password, PasswordCheck};
use crate::removal::Departure;
use crate::resp::{Pipeline, ProtocolError};
use crate::session::{HashedPassword, Replies, Session};
use crate::stopwatch::Pace;
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
    /// Hash this password, then call [`Connection::password_hashed`].
    HashPassword(Password),
    /// Make a snapshot, then call [`Connection::done`].
    Save,
    /// Remove this node from the cluster, then call [`Connection::done`].
    Remove(Departure),
    /// Have every node get a new certificate, then call [`Connection::done`].
    RotateCertificates,
    /// Make a snapshot without waiting for it; then run again.
    SaveLater,
    /// Read on in the log, then call [`Connection::backed_up`].
    Backup(Wanted),
    /// Close once all replies have left.
    Close,
    /// Close, and stop the server as asked.
    Shutdown,
    /// Run again after so long, or sooner; more may be read meanwhile.
    Delay(Duration),
    /// The same, and when another node is known to have more of what was written: `WAIT` counts.
    Count(Duration),
    /// Run again on a thread for which nobody waits, by [`Connection::run_long`]: what comes next takes long.
    Elsewhere,
    /// Close at once, whatever has not been sent.
    Kill,
}

/// A client's connection. The default is nobody's, and stands where one was that is elsewhere.
#[derive(Debug)]
pub struct Connection {
    slot: Slot,
    gate: Gate,
    input: Vec<u8>,
    /// Bytes at the front of `input` that have been run.
    consumed: usize,
    pipeline: Pipeline,
    /// A reply whose time has not come.
    delayed: Option<Delayed>,
    closing: bool,
    /// When the requests arrived that have not run.
    arrived: Option<Monotonic>,
    ran_until: Monotonic,
    /// Nobody waits for the thread that runs it.
    may_take_long: bool,
    /// What all connections have waiting, and what this one has of it.
    buffers: Arc<AtomicUsize>,
    buffered: usize,
}

/// A reply whose time has not come, and the batch that it waits for then.
#[derive(Debug)]
struct Delayed {
    until: Monotonic,
    reply: Vec<u8>,
    wait: Option<Seq>,
    level: Level,
    /// When its request arrived.
    since: Monotonic,
}

/// Bytes of buffer that an idle connection may keep.
const KEPT_BUFFER: usize = 16 << 10;

impl Default for Connection {
    fn default() -> Self {
        Self::new(Slot::MAX, Arc::default())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.buffers.fetch_sub(self.buffered, Ordering::Relaxed);
    }
}

impl Connection {
    /// See [`Core::connect`].
    pub(crate) fn new(slot: Slot, buffers: Arc<AtomicUsize>) -> Self {
        Self {
            slot,
            gate: Gate::default(),
            input: Vec::new(),
            consumed: 0,
            pipeline: Pipeline::default(),
            delayed: None,
            closing: false,
            arrived: None,
            ran_until: Monotonic::default(),
            may_take_long: false,
            buffers,
            buffered: 0,
        }
    }

    /// Whether it only stands where one was.
    pub(crate) fn is_nobodys(&self) -> bool {
        self.slot == Slot::MAX
    }

    /// Bytes that arrived and have not been run.
    pub fn unread(&self) -> usize {
        self.input.len() - self.consumed
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
        let wanted = self.pipeline.wants(self.input.len() - self.consumed);
        self.input.reserve(wanted.clamp(4 << 10, 1 << 20));
        &mut self.input
    }

    /// Decodes requests that have arrived: of what [`Connection::run`] does under the lock, what needs none.
    pub fn prepare(&mut self) {
        self.pipeline.decode_ahead(&self.input[self.consumed..]);
    }

    /// Runs the requests that have arrived.
    pub fn run(&mut self, core: &mut Core, now: Now) -> Step {
        if core.clients.is_killed(self.slot) {
            return Step::Kill;
        }
        // What a command that waited was answered comes first: a copy of that may be out of date by now.
        if core.clients.get(self.slot).is_none_or(|session| session.served.is_none()) {
            self.collect(core);
        }
        let arrived = *self.arrived.get_or_insert(now.monotonic);
        let mut session = core.clients.take(self.slot);
        session.may_take_long = self.may_take_long;
        for answered in core.clients.take_answered(self.slot) {
            self.answered(&mut session, answered, now.monotonic);
        }
        core.start_times(now);
        let mut leaning = None;
        let step = self.run_requests(core, &mut session, now, arrived, &mut leaning);
        self.ran_until = core.pause_times(now, &session);
        if let Some(from) = leaning
            && let Some(seq) = core.lean(self.ran_until)
        {
            let until = now.monotonic + core.config.level_timeout;
            let (level, since, ran) = (Level::Quorum, arrived, now.monotonic);
            self.gate.hold_reads(from, Wait { seq, until, level, since, ran, is_read: true });
        }
        self.gate.left(self.ran_until, arrived);
        if !matches!(step, Step::Held | Step::Full) {
            self.arrived = None;
        }
        session.buffered = (self.unread(), self.gate.len());
        session.protocol = self.gate.reply.protocol;
        core.clients.put_back(self.slot, session);
        self.count_buffers();
        step
    }

    fn count_buffers(&mut self) {
        let now = self.unread() + self.gate.len();
        if now != self.buffered {
            // Adding what was taken away wraps to the same.
            self.buffers.fetch_add(now.wrapping_sub(self.buffered), Ordering::Relaxed);
            self.buffered = now;
        }
    }

    /// As [`Connection::run`], where a script may take long.
    pub fn run_long(&mut self, core: &mut Core, now: Now) -> Step {
        self.may_take_long = true;
        let step = self.run(core, now);
        self.may_take_long = false;
        step
    }

    /// Takes what others have for this connection. Mail for one that does not take its replies stays where it is counted.
    fn collect(&mut self, core: &mut Core) {
        if self.gate.len() <= limits::MAX_REPLIES_WAITING {
            core.clients.collect(self.slot, &mut self.gate.reply);
        }
    }

    /// Says when the requests arrived that [`Connection::run`] will run, if that was before it could.
    pub fn arrived(&mut self, at: Monotonic) {
        self.arrived.get_or_insert(at);
    }

    /// When the last [`Connection::run`] ended.
    pub fn ran_until(&self) -> Monotonic {
        self.ran_until
    }

    /// Puts the reply of a command that another Core has executed in its place.
    fn answered(&mut self, session: &mut Session, answered: Answered, now: Monotonic) {
        session.forwarded = session.forwarded.saturating_sub(1);
        if let Some(db) = answered.db.filter(|_| session.awaits_db) {
            session.db = DbNumber(db);
        }
        session.awaits_db &= session.forwarded > 0;
        self.gate.answer(answered.number, &answered.reply, now);
    }

    /// Runs requests; the first byte of replies that lean on the lease goes to `leaning`.
    fn run_requests(
        &mut self,
        core: &mut Core,
        session: &mut Session,
        now: Now,
        arrived: Monotonic,
        leaning: &mut Option<usize>,
    ) -> Step {
        // What so many of the next requests search for has been fetched.
        let mut fetched = 0usize;
        loop {
            if self.closing {
                return Step::Close;
            }
            if let Some(delayed) = self.delayed.take() {
                if now.monotonic < delayed.until {
                    let time = delayed.until - now.monotonic;
                    self.delayed = Some(delayed);
                    return Step::Delay(time);
                }
                let start = self.gate.reply.bytes.len();
                self.gate.reply.bytes.extend(&delayed.reply);
                let Delayed { level, since, .. } = delayed;
                let ran = now.monotonic;
                match delayed.wait {
                    Some(seq) => {
                        let until = ran + core.config.level_timeout;
                        self.gate.hold(start, Wait { seq, until, level, since, ran, is_read: false });
                    }
                    None => self.gate.passed_since(level, since, now.monotonic),
                }
            }
            if core.clients.has_mail(self.slot) && session.served.is_none() {
                // It may have published what it hears itself, or changed what it keeps a copy of.
                self.collect(core);
            }
            if self.gate.len() > limits::MAX_REPLIES_WAITING {
                return Step::Full;
            }
            let rest = &self.input[self.consumed..];
            let len = match self.pipeline.decode(rest, session.trust()) {
                Ok(Some(len)) => len,
                Ok(None) => {
                    // What comes now begins to wait anew.
                    session.parked = None;
                    if core.is_closing() && rest.is_empty() {
                        self.closing = true;
                        return Step::Close;
                    }
                    return Step::Read;
                }
                Err(error) => {
                    self.protocol_error(core, error);
                    continue;
                }
            };
            let args = self.pipeline.args(rest);
            if args.is_empty() {
                self.consumed += len;
                self.pipeline.advance();
                continue;
            }
            let start = self.gate.reply.bytes.len();
            session.pace = Pace::of(len, rest.len());
            if fetched == 0 && session.pace == Pace::Group {
                fetched = core.look_ahead(session, self.pipeline.ahead(rest));
            }
            fetched = fetched.saturating_sub(1);
            if session.replies == Replies::SkipNext {
                session.replies = Replies::Skip;
            }
            let answer = core.execute(now, session, args, &mut self.gate.reply);
            match answer.then {
                Then::Retry => return Step::Held,
                Then::Elsewhere => return Step::Elsewhere,
                Then::HashPassword(password) => return Step::HashPassword(password),
                Then::Count(time) => {
                    self.gate.reply.bytes.truncate(start);
                    return Step::Count(time);
                }
                Then::Block(time) => {
                    self.gate.reply.bytes.truncate(start);
                    return Step::Delay(time);
                }
                _ => {}
            }
            self.consumed += len;
            self.pipeline.advance();
            if answer.leans {
                leaning.get_or_insert(start);
            }
            if let Then::Forwarded(number) = answer.then {
                let place = Place { number, level: answer.level, since: arrived, ran: now.monotonic };
                match session.replies {
                    Replies::On => self.gate.hold_place(place),
                    // A reply without a place is dropped.
                    Replies::Skip => session.replies = Replies::On,
                    Replies::Off | Replies::SkipNext => {}
                }
                continue;
            }
            if let Then::Delay(time) = answer.then {
                let reply = self.gate.reply.bytes.split_off(start);
                self.delayed = Some(Delayed {
                    until: now.monotonic + time,
                    reply,
                    wait: answer.wait,
                    level: answer.level,
                    since: arrived,
                });
                continue;
            }
            if session.replies != Replies::On {
                if !core.confirms(session.last_command) {
                    self.gate.reply.bytes.truncate(start);
                }
                if session.replies == Replies::Skip {
                    session.replies = Replies::On;
                }
            } else if let Some(seq) = answer.wait {
                let ran = now.monotonic;
                let (level, until) = (answer.level, ran + core.config.level_timeout);
                self.gate.hold(start, Wait { seq, until, level, since: arrived, ran, is_read: answer.leans });
            } else if answer.then.is_answered() {
                self.gate.pass(start, answer.level, answer.leans);
            }
            match answer.then {
                Then::Reply
                | Then::Retry
                | Then::Elsewhere
                | Then::HashPassword(_)
                | Then::Delay(_)
                | Then::Count(_)
                | Then::Block(_)
                | Then::Forwarded(_) => {}
                Then::Close => self.closing = true,
                Then::CheckPassword(credentials) => return Step::CheckPassword(credentials),
                Then::Save => return Step::Save,
                Then::Remove(departure) => return Step::Remove(departure),
                Then::RotateCertificates => return Step::RotateCertificates,
                Then::SaveLater => return Step::SaveLater,
                Then::Backup(wanted) => return Step::Backup(wanted),
                Then::Shutdown => {
                    self.closing = true;
                    return Step::Shutdown;
                }
            }
        }
    }

    /// The outcome of the password check that [`Step::CheckPassword`] asked for; then run again.
    pub fn password_checked(&mut self, core: &mut Core, now: Now, check: PasswordCheck) {
        let mut session = core.clients.take(self.slot);
        core.password_checked(now, &mut session, &mut self.gate.reply, check);
        core.clients.put_back(self.slot, session);
    }

    /// The hash that [`Step::HashPassword`] asked for, of that password; then run again.
    pub fn password_hashed(&mut self, core: &mut Core, password: Password, hash: alloc::string::String) {
        let mut session = core.clients.take(self.slot);
        session.hashed.push(HashedPassword { text: password.text, form: password.form, hash });
        core.clients.put_back(self.slot, session);
    }

    /// What became of what [`Step::Save`], [`Step::Remove`] or [`Step::RotateCertificates`] asked for; then run again.
    pub fn done(&mut self, core: &mut Core, done: Result<(), impl core::fmt::Display>) {
        let start = self.gate.reply.bytes.len();
        match done {
            Ok(()) => self.gate.reply.ok(),
            Err(error) => self.gate.reply.error(format_args!("ERR {error}")),
        }
        let mut session = core.clients.take(self.slot);
        core.finished(&mut session, &self.gate.reply.bytes[start..]);
        core.clients.put_back(self.slot, session);
    }

    /// What [`Step::Backup`] asked for, and the index of the log as of which it is; then run again.
    pub fn backed_up(&mut self, core: &mut Core, read: Result<(Index, &[u8]), impl core::fmt::Display>) {
        let start = self.gate.reply.bytes.len();
        match read {
            Ok((index, bytes)) => {
                self.gate.reply.array(2);
                self.gate.reply.integer(index.0 as i64);
                self.gate.reply.bulk(bytes);
            }
            Err(error) => self.gate.reply.error(format_args!("ERR {error}")),
        }
        let mut session = core.clients.take(self.slot);
        core.finished(&mut session, &self.gate.reply.bytes[start..]);
        core.clients.put_back(self.slot, session);
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
        self.count_buffers();
    }

    /// Opens the gate as far as batches have got, and tells the truth to what has waited too long.
    pub fn advance(&mut self, marks: Marks, voids: &[Void], now: Monotonic) {
        self.gate.open(marks, voids, now);
        self.gate.expire(marks, now);
    }

    /// How long the replies took that could leave since this was asked.
    pub fn take_delays(&mut self) -> impl Iterator<Item = Delay> {
        self.gate.delays.drain(..)
    }

    /// The batch that the next reply waits for, if it waits, and at which level.
    pub fn waits_for(&self) -> Option<(Seq, Level)> {
        self.gate.waits_for()
    }

    /// Whether all replies have left.
    pub fn is_drained(&self) -> bool {
        self.gate.is_empty()
    }

    pub fn slot(&self) -> Slot {
        self.slot
    }
}
