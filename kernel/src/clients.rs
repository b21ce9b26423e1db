//! Every open connection, as the others see it: for `CLIENT LIST` and `CLIENT KILL`, and to send one client what another
//! one caused.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::channels::Push;
use crate::forward::Answered;
use crate::limits;
use crate::resp::Reply;
use crate::session::Session;
use crate::tracking;

/// An open connection's place, taken by another one after it has closed.
pub type Slot = usize;

/// So many of the newest invalidations may take in another one: one for each prefix, mostly.
const TELLS_APART: usize = 8;

/// All open connections.
#[derive(Debug, Default)]
pub struct Clients {
    /// By slot; a connection has its session in its own hands while it runs requests.
    sessions: Vec<Option<Box<Session>>>,
    mail: Vec<Mailbox>,
    vacant: Vec<Slot>,
    last_id: u64,
    /// Who has mail that its connection does not know of.
    woken: Vec<Slot>,
    /// Who sees every command.
    monitors: Vec<Monitor>,
    /// Sessions of connections with other Cores.
    proxies: usize,
    /// Connections that were closed because they did not take their mail.
    overflowed: u64,
    /// Bytes that have arrived and were not run, and of replies that have not left, of all connections.
    buffers: Arc<AtomicUsize>,
    /// Bytes of all mail.
    mailed: usize,
}

/// A connection that sees every command, and as whom it asked for that.
#[derive(Debug)]
struct Monitor {
    slot: Slot,
    user: String,
    /// See [`Session::stamp`].
    stamp: u64,
}

/// What others have for a connection.
#[derive(Debug, Default)]
struct Mailbox {
    mail: Vec<Mail>,
    /// Bytes of it, about.
    bytes: usize,
    /// It is to be closed.
    killed: bool,
    /// Replies of commands that another Core has executed.
    answered: Vec<Answered>,
}

#[derive(Debug)]
enum Mail {
    /// Of a monitor.
    Line(Arc<[u8]>),
    Push(Push),
    /// A copy that the client keeps is out of date; whether it hears so in RESP2.
    Invalidation(tracking::Push, bool),
}

impl Mail {
    fn size(&self) -> usize {
        match self {
            Mail::Line(line) => line.len(),
            Mail::Push(push) => push.size(),
            Mail::Invalidation(push, _) => push.size(),
        }
    }
}

impl Clients {
    /// How many are open.
    pub fn len(&self) -> usize {
        self.sessions.len() - self.vacant.len() - self.proxies
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Connections since the start.
    pub fn accepted(&self) -> u64 {
        self.last_id
    }

    /// Gives a new connection a number and a place.
    pub(crate) fn open(&mut self, make: impl FnOnce(u64, Slot) -> Session) -> Slot {
        self.last_id += 1;
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            self.mail.push(Mailbox::default());
            self.sessions.len() - 1
        });
        self.sessions[slot] = Some(Box::new(make(self.last_id, slot)));
        slot
    }

    /// As [`Clients::open`], for a connection that another Core has: clients do not see it.
    pub(crate) fn open_proxy(&mut self, make: impl FnOnce(u64, Slot) -> Session) -> Slot {
        self.proxies += 1;
        self.open(|id, slot| Session { is_proxy: true, ..make(id, slot) })
    }

    pub(crate) fn close(&mut self, slot: Slot) -> Option<Box<Session>> {
        self.woken.retain(|woken| *woken != slot);
        self.mailed -= core::mem::take(&mut self.mail[slot]).bytes;
        self.vacant.push(slot);
        let session = self.sessions[slot].take();
        self.proxies -= usize::from(session.as_ref().is_some_and(|session| session.is_proxy));
        session
    }

    /// Leaves a reply that another Core has given, unless the connection has gone.
    pub(crate) fn deliver(&mut self, slot: Slot, session: u64, answered: Answered) {
        // A connection that runs now has its session in its own hands; whoever delivers has the lock, so none does.
        if self.sessions.get(slot).and_then(Option::as_ref).is_some_and(|there| there.id == session) {
            self.mail[slot].answered.push(answered);
            self.wake(slot);
        }
    }

    /// Takes the replies that other Cores have given.
    pub(crate) fn take_answered(&mut self, slot: Slot) -> Vec<Answered> {
        core::mem::take(&mut self.mail[slot].answered)
    }

    /// Hands a connection its session, for as long as it runs requests.
    pub(crate) fn take(&mut self, slot: Slot) -> Box<Session> {
        let session = self.sessions[slot].take();
        session.unwrap_or_else(|| panic!("connection {slot} is closed, or runs already"))
    }

    /// The session of a connection that does not run.
    pub(crate) fn get(&self, slot: Slot) -> Option<&Session> {
        self.sessions.get(slot)?.as_deref()
    }

    /// As [`Clients::take`], unless it is running.
    pub(crate) fn take_idle(&mut self, slot: Slot) -> Option<Box<Session>> {
        self.sessions.get_mut(slot)?.take()
    }

    pub(crate) fn put_back(&mut self, slot: Slot, session: Box<Session>) {
        self.sessions[slot] = Some(session);
    }

    /// Who it is; `None` of the connection that runs now, which knows what it does itself.
    pub(crate) fn user(&self, slot: Slot) -> Option<&str> {
        self.sessions[slot].as_ref()?.user.as_deref()
    }

    /// All sessions but that of the connection that runs now, by age. One that is to be closed is gone already, as in Redis.
    pub(crate) fn sessions(&self) -> Vec<(Slot, &Session)> {
        let there = self.sessions.iter().enumerate();
        let mut all: Vec<_> = there
            .filter_map(|(slot, session)| Some((slot, session.as_deref()?)))
            .filter(|(slot, session)| !session.is_proxy && !self.is_killed(*slot))
            .collect();
        all.sort_by_key(|(_, session)| session.id);
        all
    }

    /// Has a connection closed, with nothing more said.
    pub(crate) fn kill(&mut self, slot: Slot) {
        self.mail[slot].killed = true;
        self.woken.push(slot);
    }

    /// Has a connection run: something has come for it.
    pub(crate) fn wake(&mut self, slot: Slot) {
        if self.woken.last() != Some(&slot) {
            self.woken.push(slot);
        }
    }

    /// Leaves a message for a subscriber.
    pub(crate) fn push(&mut self, slot: Slot, push: Push) {
        self.send(slot, Mail::Push(push));
    }

    /// Tells a connection that a copy is out of date.
    pub(crate) fn invalidate(&mut self, slot: Slot, push: tracking::Push, is_subscribed: bool) {
        let mailbox = &mut self.mail[slot];
        let newest = mailbox.mail.iter_mut().rev().take(TELLS_APART);
        let mut told = newest.map_while(|mail| if let Mail::Invalidation(told, _) = mail { Some(told) } else { None });
        let Some(added) = told.find_map(|told| told.takes_in(&push)) else {
            return self.send(slot, Mail::Invalidation(push, is_subscribed));
        };
        mailbox.bytes += added;
        self.mailed += added;
        if mailbox.bytes > limits::MAX_MAIL {
            self.overflow(slot);
        }
    }

    /// Whether a connection has mail.
    #[inline]
    pub(crate) fn has_mail(&self, slot: Slot) -> bool {
        !self.mail[slot].mail.is_empty()
    }

    /// Leaves something for a connection. One that does not take its mail is closed, as Redis closes subscribers that are
    /// too slow.
    fn send(&mut self, slot: Slot, mail: Mail) {
        let mailbox = &mut self.mail[slot];
        if mailbox.killed {
            return;
        }
        let size = mail.size();
        if mailbox.bytes + size > limits::MAX_MAIL {
            return self.overflow(slot);
        }
        self.mailed += size;
        mailbox.bytes += size;
        mailbox.mail.push(mail);
        self.wake(slot);
    }

    fn overflow(&mut self, slot: Slot) {
        let mailbox = &mut self.mail[slot];
        self.mailed -= core::mem::take(&mut mailbox.bytes);
        mailbox.mail = Vec::new();
        mailbox.killed = true;
        self.overflowed += 1;
        self.wake(slot);
    }

    /// Takes a connection's mail.
    pub(crate) fn collect(&mut self, slot: Slot, reply: &mut Reply) {
        let mailbox = &mut self.mail[slot];
        self.mailed -= core::mem::take(&mut mailbox.bytes);
        for mail in mailbox.mail.drain(..) {
            match mail {
                Mail::Line(line) => reply.bytes.extend_from_slice(&line),
                Mail::Push(push) => push.write(reply),
                Mail::Invalidation(push, is_subscribed) => push.write(is_subscribed, reply),
            }
        }
    }

    /// Where a connection counts what it has waiting: what leaves, leaves without the store's lock.
    pub(crate) fn buffers(&self) -> Arc<AtomicUsize> {
        self.buffers.clone()
    }

    /// Bytes that all connections have waiting, either way.
    pub(crate) fn buffered(&self) -> usize {
        self.buffers.load(Ordering::Relaxed) + self.mailed
    }

    /// Whether a connection is to be closed at once.
    pub(crate) fn is_killed(&self, slot: Slot) -> bool {
        self.mail[slot].killed
    }

    /// Connections that were closed because they did not take their mail.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    pub(crate) fn reset_stats(&mut self) {
        self.overflowed = 0;
    }

    /// Whether anyone is to be woken.
    #[inline]
    pub fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// The connections that have to be run, because something has come for them.
    pub fn take_woken(&mut self) -> Vec<Slot> {
        core::mem::take(&mut self.woken)
    }

    #[inline]
    pub(crate) fn is_monitored(&self) -> bool {
        !self.monitors.is_empty()
    }

    pub(crate) fn monitor(&mut self, session: &Session) {
        let user = session.user.clone().unwrap_or_default();
        self.monitors.push(Monitor { slot: session.slot, user, stamp: session.stamp });
    }

    pub(crate) fn stop_monitoring(&mut self, slot: Slot) {
        self.monitors.retain(|monitor| monitor.slot != slot);
    }

    /// Shows a line to everyone who sees every command. A connection whose user may not any more is closed.
    pub(crate) fn show(&mut self, line: &[u8], may: impl Fn(&str, u64) -> bool) {
        let (monitors, former): (Vec<Monitor>, Vec<Monitor>) =
            core::mem::take(&mut self.monitors).into_iter().partition(|monitor| may(&monitor.user, monitor.stamp));
        former.iter().for_each(|monitor| self.kill(monitor.slot));
        let line: Arc<[u8]> = line.into();
        monitors.iter().for_each(|monitor| self.send(monitor.slot, Mail::Line(line.clone())));
        self.monitors = monitors;
    }
}
