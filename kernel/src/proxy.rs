//! A Core's two sides of forwarding: what it has the primary execute for its clients, and what it executes for others.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::call::Then;
use crate::codec::{self, CodecError};
use crate::core::{Core, Now};
use crate::forward::{Delivery, FromPrimary, Proxies, Request, ToPrimary, Waiting};
use crate::ids::{DbNumber, Seq};
use crate::level::Level;
use crate::resp::{OwnedArgs, Reply};
use crate::session::{Peer, Port, Session};
use crate::stopwatch::Pace;
use crate::time::Monotonic;
use crate::transaction::Transaction;

impl Core {
    /// Keeps a command of a client here for the primary; its number.
    pub(crate) fn forward(&mut self, session: &mut Session, args: OwnedArgs, level: Level, now: Monotonic) -> u64 {
        let transaction = session.transaction.take_if(|_| args.args().len() == 1 && self.runs_transaction(&args));
        let command = self.commands.find(args.args().at(0));
        let writes = command.is_some_and(|(_, command)| command.is_write())
            || transaction.as_ref().is_some_and(|transaction| transaction.writes);
        let watched = session.remote_watch.filter(|_| transaction.is_some());
        let queue = transaction.map(|transaction| transaction.queue).unwrap_or_default();
        let request = Request {
            number: 0,
            epoch: self.epoch(),
            session: session.id,
            user: session.user.clone().unwrap_or_default(),
            stamp: session.stamp,
            db: session.db.0,
            protocol: if session.protocol == crate::resp::Protocol::Resp3 { 3 } else { 2 },
            level: level as u8,
            args,
            queue: queue.into_iter().map(|queued| queued.args).collect(),
        };
        session.forwarded += 1;
        session.has_proxy = true;
        self.stats.forwarded += 1;
        self.origin.push(session.slot, request, writes, watched, now)
    }

    fn runs_transaction(&self, args: &OwnedArgs) -> bool {
        self.commands.find(args.args().at(0)).is_some_and(|(_, command)| command.runs_transaction())
    }

    /// Whether there is something for [`Core::take_forwarded`].
    pub fn has_unsent(&self) -> bool {
        self.origin.has_unsent()
    }

    /// Whether the primary has commands that it has not answered.
    pub fn awaits_answers(&self) -> bool {
        self.origin.awaits_answers()
    }

    /// Commands that were forwarded and have no reply yet.
    pub fn forwarded_waiting(&self) -> usize {
        self.origin.len()
    }

    /// Those of them that wait for a primary: they have been sent to none, or can be sent again.
    pub fn parked(&self) -> usize {
        self.origin.unsent()
    }

    /// What is to be sent to the primary of the current epoch, as frames' contents.
    pub fn take_forwarded(&mut self) -> Vec<Vec<u8>> {
        let mut deliveries = Vec::new();
        let frames = self.origin.take_unsent(self.epoch(), &mut deliveries);
        self.deliver(deliveries);
        frames
    }

    /// What the primary has answered.
    ///
    /// # Errors
    /// If it is no answer that this version knows.
    pub fn forwarded_answer(&mut self, frame: &[u8]) -> Result<(), CodecError> {
        let answer: FromPrimary = codec::decode_owned(frame)?;
        let delivery = self.origin.answered(answer);
        self.deliver(delivery);
        Ok(())
    }

    /// The link by which commands were forwarded is gone.
    pub fn forward_link_lost(&mut self) {
        let mut deliveries = Vec::new();
        self.origin.link_lost(&mut deliveries);
        self.deliver(deliveries);
    }

    pub(crate) fn expire_forwarded(&mut self, now: Monotonic) {
        let mut deliveries = Vec::new();
        let (park, level) = (self.config.park_timeout, self.config.park_timeout + self.config.level_timeout);
        self.origin.expire(now, park, level, &mut deliveries);
        self.deliver(deliveries);
    }

    fn deliver(&mut self, deliveries: impl IntoIterator<Item = Delivery>) {
        for delivery in deliveries {
            self.clients.deliver(delivery.slot, delivery.session, delivery.answered);
        }
    }

    /// Runs what another Core has sent: `false` if it has to wait, and is to be given again when something was accepted.
    ///
    /// # Errors
    /// If it is nothing that this version knows.
    pub fn run_forwarded(&mut self, now: Now, proxies: &mut Proxies, frame: &[u8]) -> Result<bool, CodecError> {
        match codec::decode_owned(frame)? {
            ToPrimary::Run(request) => Ok(self.run_request(now, proxies, &request)),
            ToPrimary::End { session } => {
                if let Some(slot) = proxies.sessions.remove(&session) {
                    self.close_proxy(slot);
                }
                Ok(true)
            }
        }
    }

    fn run_request(&mut self, now: Now, proxies: &mut Proxies, request: &Request) -> bool {
        let number = request.number;
        if request.epoch > self.epoch() {
            // This Core will be its primary, but has not read so far.
            return false;
        }
        let is_sound = !request.args.args().is_empty() && number > proxies.highest;
        if request.epoch != self.epoch() || !self.serves() || !is_sound {
            proxies.highest = proxies.highest.max(number);
            proxies.ready.push(FromPrimary::Refused { number });
            return true;
        }
        let slot = *proxies.sessions.entry(request.session).or_insert_with(|| {
            self.clients.open_proxy(|id, slot| Session::new(id, slot, Port::Main, Peer::default(), now.monotonic))
        });
        let mut session = self.clients.take(slot);
        if session.user.as_ref() != Some(&request.user) || session.stamp != request.stamp {
            session.user = Some(request.user.clone());
            session.stamp = request.stamp;
            session.rights = None;
        }
        session.db = DbNumber(request.db);
        session.level = Some(request.level());
        session.protocol = request.protocol();
        session.pace = Pace::Last;
        session.transaction = None;
        if !request.queue.is_empty() || self.runs_transaction(&request.args) {
            session.transaction = Some(Box::new(self.transaction(&request.queue)));
        }
        let mut reply = Reply { protocol: request.protocol(), ..Reply::default() };
        self.start_times(now);
        let answer = self.execute(now, &mut session, request.args.args(), &mut reply);
        self.pause_times(now, &session);
        let db = session.db.0;
        self.clients.put_back(slot, session);
        if answer.then == Then::Retry {
            return false;
        }
        proxies.highest = number;
        let delay = if let Then::Delay(time) = answer.then { time } else { core::time::Duration::ZERO };
        let until = now.monotonic + self.config.level_timeout + delay;
        let waiting = Waiting { number, reply: reply.bytes, db, until, leans: answer.leans };
        match answer.wait {
            Some(seq) => {
                proxies.waiting.insert((seq, number), waiting);
            }
            None if answer.leans => proxies.fresh.push(waiting),
            None => proxies.ready.push(waiting.reply()),
        }
        true
    }

    /// A transaction of commands that the origin has looked at before it queued them; EXEC looks again.
    fn transaction(&self, queue: &[OwnedArgs]) -> Transaction {
        let mut transaction = Transaction::default();
        for args in queue {
            match self.commands.resolve(args.args()) {
                Ok((number, command)) if !command.is_barred_from_transactions() => {
                    transaction.push(number, command, args.args());
                }
                _ => transaction.is_broken = true,
            }
        }
        transaction
    }

    /// Looks at the lease after reads were executed (rule 4); `now` is later than their execution.
    pub fn settle_forwarded(&mut self, proxies: &mut Proxies, now: Monotonic) {
        let leaning = |(key, waiting): (&(Seq, u64), &mut Waiting)| core::mem::take(&mut waiting.leans).then_some(*key);
        let waits: Vec<(Seq, u64)> = proxies.waiting.iter_mut().filter_map(leaning).collect();
        if proxies.fresh.is_empty() && waits.is_empty() {
            return;
        }
        match self.lean(now) {
            None => proxies.ready.extend(proxies.fresh.drain(..).map(Waiting::reply)),
            Some(seq) => {
                let moved: Vec<Waiting> = waits.iter().filter_map(|key| proxies.waiting.remove(key)).collect();
                for waiting in moved.into_iter().chain(proxies.fresh.drain(..)) {
                    proxies.waiting.insert((seq, waiting.number), Waiting { leans: false, ..waiting });
                }
            }
        }
    }

    /// The link by which they came is gone.
    pub fn close_proxies(&mut self, proxies: &mut Proxies) {
        for slot in core::mem::take(&mut proxies.sessions).into_values() {
            self.close_proxy(slot);
        }
    }

    fn close_proxy(&mut self, slot: usize) {
        if let Some(mut session) = self.clients.close(slot) {
            self.forget(&mut session);
        }
    }

    /// Ends what the primary knows of a session.
    pub(crate) fn end_proxy(&mut self, session: &mut Session) {
        session.remote_watch = None;
        session.forwarded = 0;
        if core::mem::take(&mut session.has_proxy) {
            self.origin.end(session.id);
        }
    }
}
