//! Clients that wait for a key: `BLPOP` and its kin. Whoever came first is served first, whichever node it is connected to,
//! right behind the command that brings what it waits for, and before anybody else's.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::call::Then;
use crate::clients::Slot;
use crate::core::{Answer, Core, Now};
use crate::databases::Databases;
use crate::effect::Effect;
use crate::forward::Request;
use crate::ids::{DbNumber, Incarnation};
use crate::level::Level;
use crate::mutant::Mutant;
use crate::requests::Kept;
use crate::resp::{OwnedArgs, Reply};
use crate::served::Executed;
use crate::session::Session;
use crate::store::{Item, Kind, List, SortedSet, Stream};
use crate::time::Monotonic;

/// A waiter's number: they grow in the order of arrival.
pub(crate) type Ticket = u64;

/// What a command waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    List,
    SortedSet,
    Stream,
    /// A group of a stream: also that it is gone.
    Group,
}

impl For {
    /// Whether it is worth trying again, now that the key holds this.
    fn is_met(self, item: Option<Item<'_>>) -> bool {
        let Some(item) = item else { return self == For::Group };
        match self {
            For::List => List::of(item.value).is_some(),
            For::SortedSet => SortedSet::of(item.value).is_some(),
            For::Stream => Stream::of(item.value).is_some(),
            For::Group => true,
        }
    }
}

/// A command that waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub slot: Slot,
    pub what: For,
    pub args: OwnedArgs,
    pub level: Level,
    /// Of one that another Core has sent: where it comes from.
    pub forwarded: Option<Box<(Incarnation, Request)>>,
    db: DbNumber,
    keys: Vec<Box<[u8]>>,
    until: Option<Monotonic>,
}

/// What a command that is about to wait says.
#[derive(Debug)]
pub(crate) struct Wish {
    pub what: For,
    pub keys: Vec<Box<[u8]>>,
    pub until: Option<Monotonic>,
    /// What it asks again, if that differs from what it has asked.
    pub args: Option<OwnedArgs>,
}

/// All that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    last: Ticket,
    by_ticket: BTreeMap<Ticket, Waiter>,
    by_key: BTreeMap<(DbNumber, Box<[u8]>), BTreeSet<Ticket>>,
    /// Keys that have changed, in the order in which they did.
    ready: Vec<(DbNumber, Box<[u8]>)>,
}

impl Waiters {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_ticket.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_ticket.len()
    }

    pub(crate) fn add(&mut self, slot: Slot, db: DbNumber, args: OwnedArgs, level: Level, wish: Wish) -> Ticket {
        self.last += 1;
        let Wish { what, keys, until, args: again } = wish;
        let args = again.unwrap_or(args);
        for key in &keys {
            self.by_key.entry((db, key.clone())).or_default().insert(self.last);
        }
        self.by_ticket.insert(self.last, Waiter { slot, what, args, level, forwarded: None, db, keys, until });
        self.last
    }

    pub(crate) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Waiter> {
        self.by_ticket.get_mut(&ticket)
    }

    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.by_ticket.remove(&ticket)?;
        for key in &waiter.keys {
            let place = (waiter.db, key.clone());
            if let Some(tickets) = self.by_key.get_mut(&place) {
                tickets.remove(&ticket);
                if tickets.is_empty() {
                    self.by_key.remove(&place);
                }
            }
        }
        Some(waiter)
    }

    /// Nobody waits here any more.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waiter> {
        self.by_key.clear();
        self.ready.clear();
        core::mem::take(&mut self.by_ticket).into_values()
    }

    /// How long a waiter still waits at most; `None` if its time is over, or was ended.
    pub(crate) fn left(&self, ticket: Ticket, now: Monotonic) -> Option<core::time::Duration> {
        let until = self.by_ticket.get(&ticket)?.until;
        let left = until.map_or(crate::limits::MAX_PAUSE, |until| until - now);
        (!left.is_zero()).then_some(left)
    }

    /// An effect has changed the data, and perhaps which number means which database.
    pub(crate) fn see(&mut self, effect: &Effect<'_>, databases: &Databases) {
        match *effect {
            Effect::SwapDatabases { a, b } => {
                self.see_databases([databases.number(a), databases.number(b)]);
            }
            // Who reads for a group is told that it is gone.
            Effect::Flush { db } => self.see_databases([databases.number(db), None]),
            _ => {
                let Some((db, key)) = effect.key() else { return };
                let Some(number) = databases.number(db) else { return };
                let place = (number, key.into());
                if self.by_key.contains_key(&place) && !self.ready.contains(&place) {
                    self.ready.push(place);
                }
            }
        }
    }

    fn see_databases(&mut self, changed: [Option<DbNumber>; 2]) {
        let keys = self.by_key.keys().filter(|(db, _)| changed.contains(&Some(*db)));
        self.ready.extend(keys.cloned());
    }

    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(crate) fn take_ready(&mut self) -> Vec<(DbNumber, Box<[u8]>)> {
        core::mem::take(&mut self.ready)
    }

    /// To be looked at again, first.
    pub(crate) fn put_back(&mut self, mut keys: Vec<(DbNumber, Box<[u8]>)>) {
        keys.append(&mut self.ready);
        self.ready = keys;
    }

    /// The first behind `after` that waits for what the key holds now.
    pub(crate) fn next(&self, key: &(DbNumber, Box<[u8]>), after: Ticket, item: Option<Item<'_>>) -> Option<Ticket> {
        let tickets = self.by_key.get(key)?.range(after + 1..);
        let met = |ticket: &&Ticket| self.by_ticket.get(ticket).is_some_and(|waiter| waiter.what.is_met(item));
        tickets.copied().find(|ticket| met(&ticket))
    }

    /// Asserts what must hold between its parts.
    pub(crate) fn check(&self) {
        let listed: usize = self.by_key.values().map(BTreeSet::len).sum();
        let mut keys = 0;
        for (ticket, waiter) in &self.by_ticket {
            let own: BTreeSet<&Box<[u8]>> = waiter.keys.iter().collect();
            keys += own.len();
            assert!(own.iter().all(|key| self.by_key[&(waiter.db, (*key).clone())].contains(ticket)));
        }
        assert_eq!(listed, keys, "somebody is listed who does not wait");
    }
}

/// What a command that waited was answered, until its connection takes it.
#[derive(Debug)]
pub(crate) struct Served {
    pub reply: Vec<u8>,
    pub answer: Answer,
}

impl Core {
    /// Serves those that wait for keys that have changed.
    pub(crate) fn serve_waiters(&mut self, now: Now) {
        // Who is not primary has only those who read what is there. One that hands over answers nobody any more.
        let may = |core: &Self| core.serves() || !core.is_primary() && core.is_hot() && !core.is_stopping();
        while self.waiters.has_ready() && may(self) {
            let mut keys = self.waiters.take_ready().into_iter();
            while let Some(key) = keys.next() {
                if !self.serve_key(now, &key) {
                    // It is not the time to write.
                    self.waiters.put_back(core::iter::once(key).chain(keys).collect());
                    return;
                }
            }
        }
    }

    /// Serves those that wait for a key, as far as there is something for them; whether nothing has to be put off.
    fn serve_key(&mut self, now: Now, key: &(DbNumber, Box<[u8]>)) -> bool {
        let mut after = 0;
        loop {
            let Some(id) = self.system.databases.find(key.0) else { return true };
            let item = self.store.database(id).get(&key.1);
            let Some(ticket) = self.waiters.next(key, after, item) else { return true };
            after = ticket;
            if !self.serve(now, ticket) {
                return false;
            }
        }
    }

    /// Runs a command that waits; whether it did not have to be put off.
    fn serve(&mut self, now: Now, ticket: Ticket) -> bool {
        let Some(waiter) = self.waiters.get_mut(ticket) else { return true };
        let (slot, level, args) = (waiter.slot, waiter.level, waiter.args.clone());
        // It has come again by another link, while the end of its own was not noticed yet.
        if let Some((origin, request)) = waiter.forwarded.as_deref()
            && request.number <= self.served.highest(*origin, request.session)
        {
            return true;
        }
        // What it would take is for the next one: it will hear of nothing any more.
        if self.clients.is_killed(slot) {
            self.waiters.remove(ticket);
            return true;
        }
        // Whoever runs now has just looked for itself.
        let Some(mut session) = self.clients.take_idle(slot) else { return true };
        let mut reply = Reply { protocol: session.protocol, ..Reply::default() };
        let (then, answer) = self.call_again(now, &mut session, &args, level, &mut reply);
        if !matches!(then, Then::Retry | Then::Block(_)) {
            session.waiting = None;
            let db = session.db.0;
            match self.waiters.remove(ticket).and_then(|waiter| waiter.forwarded) {
                Some(_) if Mutant::ServeUnkept.is_chosen() => {}
                Some(forwarded) => {
                    // With its effects, so that whoever asks for it again in another epoch hears the same.
                    let (origin, request) = *forwarded;
                    let Answer { wait, level, leans, wrote, .. } = answer;
                    let until = now.monotonic + self.config.level_timeout;
                    let kept = Some(Kept { reply: reply.bytes, db });
                    self.keep(origin, &request, Executed { kept, wait, level, until, leans }, wrote);
                }
                None => session.served = Some(Box::new(Served { reply: reply.bytes, answer })),
            }
            self.clients.wake(slot);
        }
        self.clients.put_back(slot, session);
        then != Then::Retry
    }

    /// A command that has begun to wait came from another Core.
    pub(crate) fn waiters_forwarded(&mut self, slot: Slot, origin: Incarnation, request: &Request) {
        let ticket = self.clients.get(slot).and_then(|session| session.waiting);
        if let Some(waiter) = ticket.and_then(|ticket| self.waiters.get_mut(ticket)) {
            waiter.forwarded.get_or_insert_with(|| Box::new((origin, request.clone())));
        }
    }

    /// This Core executes no more: whoever waits here asks the next primary.
    pub(crate) fn dissolve_waiters(&mut self) {
        for waiter in self.waiters.take_all() {
            if let Some(mut session) = self.clients.take_idle(waiter.slot) {
                session.waiting = None;
                session.next_level = Some(waiter.level);
                session.waits_until = waiter.until;
                self.clients.put_back(waiter.slot, session);
                self.clients.wake(waiter.slot);
            }
        }
    }

    /// Ends the waiting of a connection here, as if its time were over, or with an error; whether it waited.
    pub(crate) fn unblock(&mut self, id: u64, error: Option<&str>) -> bool {
        let found = self.clients.sessions().into_iter().find(|(_, session)| session.id == id);
        let Some((slot, ticket)) = found.and_then(|(slot, session)| Some((slot, session.waiting?))) else {
            return false;
        };
        let waiter = self.waiters.remove(ticket);
        if let Some(error) = error
            && let Some(mut session) = self.clients.take_idle(slot)
        {
            let mut reply = Reply { protocol: session.protocol, ..Reply::default() };
            reply.error(error);
            self.stats.count_error(&reply.bytes);
            if let Some((number, _)) = waiter.and_then(|waiter| self.commands.find(waiter.args.args().at(0))) {
                self.stats.count_outcome(number, false);
            }
            let answer = Answer { then: Then::Reply, level: Level::Eventual, wait: None, leans: false, wrote: false };
            session.waiting = None;
            session.served = Some(Box::new(Served { reply: reply.bytes, answer }));
            self.clients.put_back(slot, session);
        }
        self.clients.wake(slot);
        true
    }

    /// What a session that waits is told when it asks again: what it was served, or that it goes on waiting. `None`: it
    /// does not wait, or its time is over.
    pub(crate) fn wait_on(&mut self, now: Monotonic, session: &mut Session, reply: &mut Reply) -> Option<Answer> {
        if let Some(served) = session.served.take() {
            reply.bytes.extend_from_slice(&served.reply);
            return Some(served.answer);
        }
        let left = self.waiters.left(session.waiting?, now)?;
        Some(Answer { then: Then::Block(left), level: Level::Eventual, wait: None, leans: false, wrote: false })
    }
}
