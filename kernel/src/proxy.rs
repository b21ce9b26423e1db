//! A Core's two sides of forwarding: what it has the primary execute for its clients, and what it executes for others.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::call::Then;
use crate::codec::{self, CodecError};
use crate::commands::{acl, wait};
use crate::core::{Answer, Core, Now};
use crate::effect::Effect;
use crate::forward::{self, Blocked, Counts, Delivery, FromPrimary, Lost, Proxies, Request, ToPrimary, Waiting};
use crate::ids::{DbNumber, Epoch, Incarnation, Seq};
use crate::level::Level;
use crate::limits;
use crate::mutant::Mutant;
use crate::probe::Probe;
use crate::requests::Kept;
use crate::resp::{OwnedArgs, Reply};
use crate::served::Executed;
use crate::session::{Peer, Port, Session};
use crate::stopwatch::Pace;
use crate::time::Monotonic;
use crate::transaction::Transaction;
use crate::verdict::Verdicts;

impl Core {
    /// Keeps a command of a client here for the primary; its number.
    pub(crate) fn forward(&mut self, session: &mut Session, args: OwnedArgs, level: Level, now: Monotonic) -> u64 {
        let transaction = session.transaction.take_if(|_| args.args().len() == 1 && self.runs_transaction(&args));
        let command = self.commands.find(args.args().at(0));
        let writes = command.is_some_and(|(_, command)| command.is_write())
            || transaction.as_ref().is_some_and(|transaction| transaction.writes);
        let watched = session.remote_watch.filter(|_| transaction.is_some());
        let mut queued = transaction.iter().flat_map(|transaction| &transaction.queue).map(|queued| queued.command);
        let counts = command.is_some_and(|(_, command)| wait::counts(command)) || queued.any(wait::counts);
        let counts = counts.then(|| Counts { weak_since: session.weak_since.take() });
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
            acknowledged: 0,
            lost: Lost::Nothing,
            watches: session.remote_watch.is_some(),
        };
        session.waits_until = None;
        session.forwarded += 1;
        session.has_proxy = true;
        self.stats.forwarded += 1;
        self.origin.push(session.slot, request, writes, watched, counts, now)
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
        if self.primary().is_none() {
            return Vec::new();
        }
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
    pub fn forward_link_lost(&mut self, now: Monotonic) {
        self.origin.link_lost(now);
    }

    pub(crate) fn expire_forwarded(&mut self, now: Monotonic) {
        let mut deliveries = Vec::new();
        self.origin.expire(now, self.config.park_timeout, &mut deliveries);
        self.deliver(deliveries);
    }

    /// An epoch is over, or this memory is whole again: what was forwarded in epochs that are over has its outcome in the
    /// log, and this memory is exactly what the log says.
    pub(crate) fn settle_origin(&mut self, now: Monotonic) {
        let Some(origin) = self.origin_life() else { return };
        let Verdicts { epoch, released, .. } = self.system.verdicts;
        let requests = &self.system.requests;
        let mut deliveries = Vec::new();
        let is_over = |sent: Epoch| sent < epoch || sent == epoch && released;
        let find = |session, number| requests.get(origin, session, number);
        self.origin.settle(now, is_over, find, &mut deliveries);
        self.deliver(deliveries);
    }

    /// Nobody will say what became of what was forwarded.
    pub(crate) fn abandon_forwarded(&mut self) {
        let mut deliveries = Vec::new();
        self.origin.abandon(&mut deliveries);
        self.deliver(deliveries);
    }

    fn deliver(&mut self, deliveries: impl IntoIterator<Item = Delivery>) {
        for delivery in deliveries {
            self.clients.deliver(delivery.slot, delivery.session, delivery.answered);
        }
    }

    /// Runs what another Core has sent, or keeps it until its turn comes: see [`Core::run_blocked`].
    ///
    /// # Errors
    /// If it is nothing that this version knows.
    pub fn run_forwarded(&mut self, now: Now, proxies: &mut Proxies, frame: &[u8]) -> Result<(), CodecError> {
        match codec::decode_owned(frame)? {
            ToPrimary::Run(request) => self.run_in_turn(now, proxies, request.session, Blocked::Run(request)),
            ToPrimary::End { session } => self.run_in_turn(now, proxies, session, Blocked::End),
            ToPrimary::Resume { open } => self.resume(proxies, open.into_iter().collect()),
            ToPrimary::Acknowledge { session, number } => {
                self.served.acknowledge(proxies.origin, session, number);
                note_acknowledged(proxies, session, number);
            }
        }
        self.record_acknowledged(now.monotonic, proxies);
        Ok(())
    }

    /// Tries again what had to wait, because something was accepted or time has passed.
    pub fn run_blocked(&mut self, now: Now, proxies: &mut Proxies) {
        for (session, mut messages) in core::mem::take(&mut proxies.blocked) {
            // Nobody waits for what it counts.
            let has_ended = matches!(messages.back(), Some(Blocked::End));
            if has_ended && let Some(slot) = proxies.sessions.get(&session) {
                let mut session = self.clients.take(*slot);
                session.end_counting();
                self.clients.put_back(*slot, session);
            }
            while let Some(message) = messages.pop_front() {
                if !self.run_message(now, proxies, session, &message) {
                    messages.push_front(message);
                    proxies.blocked.insert(session, messages);
                    break;
                }
                proxies.blocked_bytes -= message.size();
            }
        }
        self.record_acknowledged(now.monotonic, proxies);
    }

    /// The messages of a session are run in their order; those of others do not wait for them.
    fn run_in_turn(&mut self, now: Now, proxies: &mut Proxies, session: u64, message: Blocked) {
        let is_first = !proxies.blocked.contains_key(&session);
        self.probes.hit_if(!is_first, Probe::BlockedInSession);
        if matches!(message, Blocked::End) {
            let slot = proxies.sessions.get(&session);
            let waits = slot.and_then(|slot| self.clients.get(*slot)).and_then(|session| session.waiting);
            // From now on it takes nothing away.
            waits.into_iter().for_each(|ticket| drop(self.waiters.remove(ticket)));
        }
        if !is_first || !self.run_message(now, proxies, session, &message) {
            proxies.blocked_bytes += message.size();
            proxies.blocked.entry(session).or_default().push_back(message);
        }
    }

    /// Whether it did not have to wait.
    fn run_message(&mut self, now: Now, proxies: &mut Proxies, session: u64, message: &Blocked) -> bool {
        match message {
            Blocked::Run(request) => self.run_request(now, proxies, request),
            Blocked::End => {
                self.served.end(proxies.origin, session);
                if let Some((_, highest)) = self.system.requests.numbers(proxies.origin, session) {
                    note_acknowledged(proxies, session, highest);
                }
                if let Some(slot) = proxies.sessions.remove(&session) {
                    self.close_proxy(slot);
                }
                true
            }
        }
    }

    /// A new link of an origin: what it does not ask for again has arrived, or nobody waits for it.
    fn resume(&mut self, proxies: &mut Proxies, open: BTreeMap<u64, u64>) {
        self.served.resume(proxies.origin, &open);
        for (session, _, highest) in self.system.requests.sessions(proxies.origin) {
            let number = open.get(&session).map_or(highest, |lowest| lowest.saturating_sub(1));
            note_acknowledged(proxies, session, number);
        }
    }

    /// Makes effects of what an origin has acknowledged.
    fn record_acknowledged(&mut self, now: Monotonic, proxies: &mut Proxies) {
        if proxies.acknowledged.is_empty() || !self.takes_writes() || self.holds_writes(now) {
            return;
        }
        for (session, number) in core::mem::take(&mut proxies.acknowledged) {
            self.acknowledge(proxies.origin, session, number);
        }
    }

    /// Clears the request table of what an origin has, if there is anything.
    fn acknowledge(&mut self, origin: Incarnation, session: u64, number: u64) {
        if self.system.requests.numbers(origin, session).is_some_and(|(lowest, _)| lowest <= number) {
            self.execute_effect(&Effect::Acknowledged { origin, session, number });
        }
    }

    /// Whether the request did not have to wait.
    fn run_request(&mut self, now: Now, proxies: &mut Proxies, request: &Request) -> bool {
        let (origin, number, epoch) = (proxies.origin, request.number, request.epoch);
        if epoch > self.epoch() || origin.0 > self.applied().0 {
            // This Core will be its primary, but has not read so far.
            self.probes.hit(Probe::ForwardedEarly);
            return false;
        }
        let is_sound = !request.args.args().is_empty() && self.system.cores.is_origin(origin);
        if epoch != self.epoch() || !self.serves() || !is_sound {
            // What has waited for a key may have been served: the log tells that (rule 11).
            if !proxies.waits.remove(&number) {
                proxies.ready.push(FromPrimary::Refused { number, epoch });
            }
            return true;
        }
        let in_reign = number <= self.served.highest(origin, request.session);
        let was_executed = in_reign || self.find_answered(origin, request).is_some();
        self.probes.hit_if(in_reign, Probe::DeduplicatedInReign);
        self.probes.hit_if(was_executed && !in_reign, Probe::DeduplicatedByLog);
        if was_executed && !Mutant::ExecuteAgain.is_chosen() {
            if proxies.waits.remove(&number)
                && let Some(slot) = proxies.sessions.get(&request.session)
            {
                // It may have been served in the line of another link.
                let mut session = self.clients.take(*slot);
                session.waiting.take().into_iter().for_each(|ticket| drop(self.waiters.remove(ticket)));
                self.clients.put_back(*slot, session);
            }
            self.answer_again(now.monotonic, proxies, request);
            return true;
        }
        if self.system.requests.bytes(origin) + self.served.bytes(origin) >= limits::REPLIES_KEPT {
            // Until it has acknowledged some.
            return false;
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
        if !request.watches {
            self.watches.unwatch(&mut session.watching);
        }
        if request.lost == Lost::Writes {
            session.weak_since = Some(Epoch::ZERO);
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
        let answer = if request.lost == Lost::Watch {
            reply.null_array();
            Answer { then: Then::Reply, level: Level::Eventual, wait: None, leans: false, wrote: false }
        } else {
            self.execute(now, &mut session, request.args.args(), &mut reply)
        };
        self.pause_times(now, &session);
        let db = session.db.0;
        self.clients.put_back(slot, session);
        if matches!(answer.then, Then::Retry | Then::Count(_)) {
            return false;
        }
        if matches!(answer.then, Then::Block(_)) {
            self.waiters_forwarded(slot, origin, request);
            proxies.waits.insert(number);
            return false;
        }
        proxies.waits.remove(&number);
        let delay = if let Then::Delay(time) = answer.then { time } else { Duration::ZERO };
        let until = now.monotonic + self.config.level_timeout + delay;
        let Answer { wait, level, leans, wrote, .. } = answer;
        let waiting = Waiting { number, epoch, reply: reply.bytes.clone(), db, level, until, leans };
        hold(proxies, wait, waiting);
        let kept = Some(Kept { reply: reply.bytes, db });
        self.keep(origin, request, Executed { kept, wait, level, until, leans }, wrote);
        true
    }

    /// Keeps the reply of a request that was just executed. What changed something is in the batch that is open, and so is
    /// its reply then; and those of the commands before it in its session that the origin may still ask for (rule 9).
    pub(crate) fn keep(&mut self, origin: Incarnation, request: &Request, mut executed: Executed, wrote: bool) {
        let Request { session, number, acknowledged, .. } = *request;
        if let Some(kept) = executed.kept.as_mut().filter(|kept| kept.reply.len() > limits::LARGEST_REPLY_KEPT) {
            kept.reply = Vec::new();
        }
        self.served.acknowledge(origin, session, acknowledged);
        self.served.add(origin, session, number, executed);
        if !wrote {
            return;
        }
        if Mutant::TableEntryDroppedEarly.is_chosen() {
            let all: Vec<u64> = self.system.requests.sessions(origin).map(|(session, ..)| session).collect();
            all.into_iter().for_each(|session| self.acknowledge(origin, session, number - 1));
        }
        self.acknowledge(origin, session, acknowledged);
        for (number, Kept { reply, db }) in self.served.take_kept(origin, session) {
            self.execute_effect(&Effect::Answered { origin, session, number, db, reply: &reply });
        }
    }

    /// The reply of a request that an earlier epoch executed.
    fn find_answered(&self, origin: Incarnation, request: &Request) -> Option<&Kept> {
        self.system.requests.get(origin, request.session, request.number)
    }

    /// Answers a request that was executed before: the reply was lost with a link.
    fn answer_again(&mut self, now: Monotonic, proxies: &mut Proxies, request: &Request) {
        let Request { number, epoch, .. } = *request;
        let executed = self.served.get(proxies.origin, request.session, number);
        let kept = executed.and_then(|executed| executed.kept.as_ref());
        let Some(kept) = kept.or_else(|| self.find_answered(proxies.origin, request)) else {
            // It was acknowledged, and nobody waits for it; or it came behind a later one, which no origin lets happen.
            return proxies.ready.push(FromPrimary::Refused { number, epoch });
        };
        let command = self.commands.find(request.args.args().at(0));
        let writes = command.is_some_and(|(_, command)| command.is_write()) || !request.queue.is_empty();
        let reply = forward::kept_reply(kept, writes);
        let db = kept.db;
        let (wait, level, until, leans) = match executed {
            Some(executed) => (executed.wait, executed.level, executed.until, executed.leans),
            // What an earlier epoch executed is accepted, and was so when this one began.
            None => {
                let (level, until) = (request.level(), now + self.config.level_timeout);
                let wait = (level == Level::All).then(|| self.executed());
                wait.into_iter().for_each(|seq| self.awaits_others(seq, until));
                (wait, level, until, false)
            }
        };
        hold(proxies, wait, Waiting { number, epoch, reply, db, level, until, leans });
    }

    /// A transaction of commands that the origin has looked at before it queued them; EXEC looks again.
    fn transaction(&self, queue: &[OwnedArgs]) -> Transaction {
        let mut transaction = Transaction::default();
        for args in queue {
            match self.commands.resolve(args.args()) {
                Ok((number, command))
                    if !command.is_barred_from_transactions() && !acl::changes_users(command, args.args()) =>
                {
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

/// Has a reply wait for what it waits for.
fn hold(proxies: &mut Proxies, wait: Option<Seq>, waiting: Waiting) {
    match wait {
        Some(seq) => {
            proxies.waiting.insert((seq, waiting.number), waiting);
        }
        None if waiting.leans => proxies.fresh.push(waiting),
        None => proxies.ready.push(waiting.reply()),
    }
}

/// Up to this number the origin has the replies of a session.
fn note_acknowledged(proxies: &mut Proxies, session: u64, number: u64) {
    let noted = proxies.acknowledged.entry(session).or_default();
    *noted = number.max(*noted);
}
