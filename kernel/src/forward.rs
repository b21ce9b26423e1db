//! Commands that one Core has another one execute (PROTOCOL rules 8, 11, 16 and 17).
//!
//! The **origin** is the Core that a client is connected to. It keeps each command until it has its reply, and sends it
//! again over the next link or to the next primary: none is executed twice. The **primary** runs it in a session of its own
//! for that connection, and answers when the reply may leave. In its reign it knows what it has executed (`served.rs`);
//! what an epoch that is over has executed, the log says (`requests.rs`), and the origin reads that as well.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bincode::{Decode, Encode};

use crate::clients::Slot;
use crate::codec;
use crate::gate::{self, Marks};
use crate::ids::{Epoch, Incarnation, Seq};
use crate::level::Level;
use crate::limits;
use crate::probe::{Probe, Probes};
use crate::requests::Kept;
use crate::resp::{OwnedArgs, Protocol};
use crate::time::Monotonic;

/// What an origin sends to the primary. Grows only at its end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToPrimary {
    Run(Request),
    /// The session has ended: what it watches is forgotten, and nobody asks for its replies.
    End {
        session: u64,
    },
    /// The first on each link: the sessions that have commands which were sent before and lack a reply, each with the lowest
    /// of their numbers. They follow. All other replies have come.
    Resume {
        open: Vec<(u64, u64)>,
    },
    /// The replies of a session up to this number have come.
    Acknowledge {
        session: u64,
        number: u64,
    },
}

/// A command with all that its execution depends on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Request {
    /// Grows with each request of an origin's life.
    pub number: u64,
    /// It may be executed in this epoch only.
    pub epoch: Epoch,
    /// The origin's number of the connection.
    pub session: u64,
    /// Whom the client authenticated as. The primary looks up what the user may do now.
    pub user: String,
    /// Of [`crate::users::User::stamp`]: the user may have been dropped and made anew since.
    pub stamp: u64,
    pub db: u16,
    /// 2 or 3.
    pub protocol: u8,
    /// Of [`Level`], as in its declaration.
    pub level: u8,
    pub args: OwnedArgs,
    /// What EXEC executes.
    pub queue: Vec<OwnedArgs>,
    /// The replies of the session up to this number have come.
    pub acknowledged: u64,
    /// What it leans on and was lost with a primary.
    pub lost: Lost,
    /// Its session watches keys. If not, what the primary has watched for it is to be forgotten.
    pub watches: bool,
}

/// What an earlier primary knew of a session, and this one does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Lost {
    Nothing,
    /// It is an EXEC, and what its session watches cannot be looked at any more: unless it was executed before, it answers
    /// nil (rule 17).
    Watch,
    /// It counts who has what its session wrote, and of some of that nobody knows whether anybody has.
    Writes,
}

/// What the primary answers. Grows only at its end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FromPrimary {
    /// The reply of a request, and the database that its session has selected then.
    Reply { number: u64, reply: Vec<u8>, db: u16 },
    /// It was not executed in this epoch and will not be, as often as this was sent once; or what it did is void.
    Refused { number: u64, epoch: Epoch },
    /// The primary is there. Comes from time to time, so that an origin notices a link that leads nowhere any more.
    Beat,
}

impl Request {
    pub(crate) fn level(&self) -> Level {
        match self.level {
            0 => Level::Eventual,
            1 => Level::Quorum,
            _ => Level::All,
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        if self.protocol == 3 { Protocol::Resp3 } else { Protocol::Resp2 }
    }

    fn size(&self) -> usize {
        const OVERHEAD: usize = 256;
        OVERHEAD + self.args.size() + self.queue.iter().map(OwnedArgs::size).sum::<usize>()
    }
}

/// What a client hears of a command that the primary may have executed before it could not be asked any more.
const UNCERTAIN: &[u8] =
    b"-UNCERTAIN the primary was lost while it had this command; it may or may not have been executed\r\n";
/// What it hears of one that changes nothing.
const NO_EFFECT: &[u8] =
    b"-LOADING the primary was lost while it had this command; it had no effect, send it again\r\n";
/// What it hears of one that was certainly not executed.
const LOADING: &[u8] = b"-LOADING there was no primary to execute this command in time; it was not executed\r\n";
/// What it hears of one that was executed, whose reply was lost and is not kept.
const TOO_LARGE: &[u8] =
    b"-UNCERTAIN executed, but its reply was lost with the primary, and is too large to be kept\r\n";
/// What EXEC answers if a watched key may have changed: it was watched in another epoch (rule 17).
const NULL_ARRAY: [&[u8]; 2] = [b"*-1\r\n", b"_\r\n"];

/// An origin's commands that have no reply yet.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    last_number: u64,
    /// By number: in the order in which they are sent.
    pending: BTreeMap<u64, Pending>,
    /// The same, by session and number.
    by_session: BTreeSet<(u64, u64)>,
    bytes: usize,
    /// Sessions that ended, which the primary is to be told.
    ended: Vec<u64>,
    /// Sessions with replies that the primary does not know of; their next command tells, or after a while the second.
    answered: BTreeSet<u64>,
    acknowledges: BTreeSet<u64>,
    /// Those of the pending that have not been sent over this link.
    unsent: usize,
    /// Something was sent over this link.
    has_resumed: bool,
    /// Sessions that have had something executed at `EVENTUAL` by a primary, and the first of its epochs, since a `WAIT` told
    /// what became of such.
    weak: BTreeMap<u64, Epoch>,
    /// How many links to a primary have been lost.
    lost_links: u64,
    /// Since when there is no link.
    cut_off: Option<Monotonic>,
    pub(crate) probes: Arc<Probes>,
}

#[derive(Debug)]
struct Pending {
    slot: Slot,
    request: Request,
    /// It may change something.
    writes: bool,
    /// It is an EXEC of a session that watches keys there.
    watched: Option<RemoteWatch>,
    /// It counts who has what its session wrote.
    counts: Option<Counts>,
    /// Since when it waits for the primary of this epoch.
    since: Monotonic,
    /// It was sent over this link, and not refused.
    is_sent: bool,
    /// How often it was sent in an epoch whose outcome is open: the request's.
    sendings: u32,
    /// The primary of this epoch will not execute it.
    refused_in: Option<Epoch>,
    /// Its reply has come over this link, and an earlier one's has not.
    reply: Option<(Vec<u8>, u16)>,
    /// An earlier epoch has executed it, and its effects count. Now it waits for its level, which only a primary knows of.
    was_executed: bool,
}

impl Pending {
    /// Whether it may have been executed.
    fn is_open(&self) -> bool {
        self.sendings > 0 || self.was_executed
    }
}

/// Of a `WAIT`: what its session had written here at `EVENTUAL`, see [`crate::session::Session::weak_since`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub weak_since: Option<Epoch>,
}

/// Where keys are watched: the primary forgets them with its epoch, and with the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RemoteWatch {
    epoch: Epoch,
    /// Of [`Origin::lost_links`].
    link: u64,
}

/// A reply for a connection here.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub slot: Slot,
    pub session: u64,
    pub answered: Answered,
}

/// The reply of a forwarded command, on its way to its place in the gate.
#[derive(Debug)]
pub(crate) struct Answered {
    pub number: u64,
    pub reply: Vec<u8>,
    /// The database that is selected then.
    pub db: Option<u16>,
}

impl Origin {
    /// Whether there are too many to take another one.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= limits::FORWARDED_BYTES
    }

    /// Keeps a command until it is answered; its number.
    pub(crate) fn push(
        &mut self,
        slot: Slot,
        mut request: Request,
        writes: bool,
        watched: Option<RemoteWatch>,
        counts: Option<Counts>,
        since: Monotonic,
    ) -> u64 {
        self.last_number += 1;
        request.number = self.last_number;
        self.bytes += request.size();
        self.unsent += 1;
        self.by_session.insert((request.session, request.number));
        let pending = Pending {
            slot,
            request,
            writes,
            watched,
            counts,
            since,
            is_sent: false,
            sendings: 0,
            refused_in: None,
            reply: None,
            was_executed: false,
        };
        self.pending.insert(self.last_number, pending);
        self.last_number
    }

    /// Where keys are watched that are watched in this epoch from now on.
    pub(crate) fn watch(&self, epoch: Epoch) -> RemoteWatch {
        RemoteWatch { epoch, link: self.lost_links }
    }

    /// The first epoch in which a primary has executed a change of this session at `EVENTUAL`, since that was forgotten.
    pub(crate) fn weak_since(&self, session: u64) -> Option<Epoch> {
        self.weak.get(&session).copied()
    }

    pub(crate) fn forget_weak(&mut self, session: u64) {
        self.weak.remove(&session);
    }

    /// A connection has closed, or ended its session: nobody waits for its replies. What was sent may be executed.
    pub(crate) fn end(&mut self, session: u64) {
        self.ended.push(session);
        for number in self.numbers(session) {
            self.take(number);
        }
        self.answered.remove(&session);
        self.acknowledges.remove(&session);
        self.weak.remove(&session);
    }

    fn numbers(&self, session: u64) -> Vec<u64> {
        self.by_session.range((session, 0)..=(session, u64::MAX)).map(|(_, number)| *number).collect()
    }

    /// The number up to which all replies of the session have come.
    fn acknowledged(&self, session: u64) -> u64 {
        let lowest = self.by_session.range((session, 0)..=(session, u64::MAX)).next();
        lowest.map_or(self.last_number, |(_, number)| number - 1)
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent > 0 || !self.ended.is_empty() || !self.acknowledges.is_empty()
    }

    /// Whether something was sent that has no answer.
    pub(crate) fn awaits_answers(&self) -> bool {
        self.pending.len() > self.unsent
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn unsent(&self) -> usize {
        self.unsent
    }

    /// Frames' contents for the primary of this epoch: all that has not been sent over this link.
    pub(crate) fn take_unsent(&mut self, epoch: Epoch, deliveries: &mut Vec<Delivery>) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut encode = |message: &ToPrimary| {
            let mut bytes = Vec::new();
            codec::encode(message, &mut bytes);
            frames.push(bytes);
        };
        self.cut_off = None;
        if !core::mem::replace(&mut self.has_resumed, true) {
            let is_open = |number: &u64| self.pending.get(number).is_some_and(Pending::is_open);
            let mut open: Vec<(u64, u64)> =
                self.by_session.iter().filter(|(_, number)| is_open(number)).copied().collect();
            open.dedup_by_key(|(session, _)| *session);
            encode(&ToPrimary::Resume { open });
            self.ended.clear();
            self.answered.clear();
            self.acknowledges.clear();
        }
        for session in self.ended.drain(..) {
            encode(&ToPrimary::End { session });
        }
        for session in core::mem::take(&mut self.acknowledges) {
            encode(&ToPrimary::Acknowledge { session, number: self.acknowledged(session) });
        }
        if self.unsent == 0 {
            return frames;
        }
        let watch = self.watch(epoch);
        // Asking again in the same epoch is of no use.
        let goes = |pending: &Pending| !pending.is_sent && pending.refused_in != Some(epoch);
        let going: Vec<u64> = self.pending.iter().filter(|(_, p)| goes(p)).map(|(number, _)| *number).collect();
        for number in going {
            let Some(pending) = self.pending.get_mut(&number) else { continue };
            if pending.watched.is_some_and(|watched| watched != watch) {
                self.probes.hit(Probe::WatchLost);
                if !pending.is_open() {
                    let reply = NULL_ARRAY[usize::from(pending.request.protocol == 3)].to_vec();
                    let session = pending.request.session;
                    deliveries.extend(self.take(number).map(|pending| pending.delivery(reply, None)));
                    self.deliver_next(session, deliveries);
                    continue;
                }
                pending.request.lost = Lost::Watch;
            }
            let session = pending.request.session;
            let acknowledged = self.acknowledged(session);
            self.answered.remove(&session);
            let Some(pending) = self.pending.get_mut(&number) else { continue };
            if let Some(counts) = pending.counts {
                let mut weak = counts.weak_since.iter().chain(self.weak.get(&session));
                if pending.request.lost == Lost::Nothing && weak.any(|since| *since != epoch) {
                    self.probes.hit(Probe::WeakWritesLost);
                    pending.request.lost = Lost::Writes;
                }
            }
            self.probes.hit_if(pending.is_open(), Probe::ForwardedAgain);
            pending.is_sent = true;
            pending.sendings += 1;
            pending.request.epoch = epoch;
            pending.request.acknowledged = acknowledged;
            self.unsent -= 1;
            encode(&ToPrimary::Run(pending.request.clone()));
        }
        frames
    }

    /// Takes an answer; returns the replies that can go to their connections by it. Those of one connection go in their order:
    /// one that has come stays here while an earlier one has not, for if the primary is lost first, both are asked again,
    /// and the later one must not have been executed before the earlier one.
    pub(crate) fn answered(&mut self, message: FromPrimary) -> Vec<Delivery> {
        match message {
            FromPrimary::Reply { number, reply, db } => {
                let Some(pending) = self.pending.get_mut(&number) else { return Vec::new() };
                pending.reply = Some((reply, db));
                let (session, mut deliveries) = (pending.request.session, Vec::new());
                self.deliver_next(session, &mut deliveries);
                self.probes.hit_if(deliveries.is_empty(), Probe::ReplyHeldForOrder);
                deliveries
            }
            FromPrimary::Refused { number, epoch } => {
                let Some(pending) = self.pending.get_mut(&number) else { return Vec::new() };
                if !pending.is_sent || pending.request.epoch != epoch {
                    return Vec::new();
                }
                self.probes.hit(Probe::ForwardedRefused);
                pending.is_sent = false;
                pending.refused_in = Some(epoch);
                self.unsent += 1;
                if pending.sendings == 1 {
                    // It speaks of one sending: of an earlier one it does not know (rule 8).
                    pending.sendings = 0;
                }
                Vec::new()
            }
            FromPrimary::Beat => Vec::new(),
        }
    }

    /// Hands out the next replies of a session that have come.
    fn deliver_next(&mut self, session: u64, deliveries: &mut Vec<Delivery>) {
        loop {
            let next = self.by_session.range((session, 0)..=(session, u64::MAX)).next();
            let Some((_, number)) = next.copied() else { break };
            let Some((reply, db)) = self.pending.get_mut(&number).and_then(|pending| pending.reply.take()) else {
                break;
            };
            let Some(pending) = self.take(number) else { break };
            self.answered.insert(session);
            if pending.request.lost == Lost::Writes {
                self.weak.remove(&session);
            } else if pending.writes && pending.request.level() == Level::Eventual {
                self.weak.entry(session).or_insert(pending.request.epoch);
            }
            deliveries.push(pending.delivery(reply, Some(db)));
        }
    }

    /// The link to the primary is gone, and with it the replies of what was sent: all that is asked again over the next.
    pub(crate) fn link_lost(&mut self, now: Monotonic) {
        // One that did not come about had nothing to lose.
        self.lost_links += u64::from(core::mem::take(&mut self.has_resumed));
        self.cut_off.get_or_insert(now);
        self.probes.hit_if(self.awaits_answers(), Probe::LinkLostWithCommands);
        for pending in self.pending.values_mut() {
            pending.is_sent = false;
            pending.reply = None;
        }
        self.unsent = self.pending.len();
    }

    /// What was sent in epochs that are over is answered if it was executed: `find` looks into the request table, by
    /// session and number. What is to be everywhere first has to be asked for again: the next primary finds it there too.
    /// The rest certainly was not executed, and goes to the next primary; from now on it waits for that.
    pub(crate) fn settle<'a>(
        &mut self,
        now: Monotonic,
        is_over: impl Fn(Epoch) -> bool,
        find: impl Fn(u64, u64) -> Option<&'a Kept>,
        deliveries: &mut Vec<Delivery>,
    ) {
        self.pending.values_mut().for_each(|pending| pending.since = now);
        let settled = |pending: &Pending| pending.sendings > 0 && is_over(pending.request.epoch);
        let settled: Vec<u64> = self.pending.iter().filter(|(_, p)| settled(p)).map(|(number, _)| *number).collect();
        for number in settled {
            let Some(pending) = self.pending.get_mut(&number) else { continue };
            let session = pending.request.session;
            let found = find(session, number);
            pending.was_executed |= found.is_some();
            self.probes.hit(if found.is_some() { Probe::SettledAsExecuted } else { Probe::SettledAsNotExecuted });
            if let Some(kept) = found.filter(|_| pending.request.level() != Level::All) {
                let reply = kept_reply(kept, pending.writes);
                self.answered.insert(session);
                deliveries.extend(self.take(number).map(|pending| pending.delivery(reply, Some(kept.db))));
                continue;
            }
            pending.sendings = 0;
            pending.reply = None;
            self.unsent += usize::from(core::mem::take(&mut pending.is_sent));
        }
    }

    /// Tells the truth to those that have waited for a primary for so long; one that has them answers in time. And from now
    /// on it may be told of replies that no command has acknowledged by then.
    pub(crate) fn expire(&mut self, now: Monotonic, park: Duration, deliveries: &mut Vec<Delivery>) {
        self.acknowledges.append(&mut self.answered);
        let cut_off = self.cut_off;
        let late = |pending: &Pending| match cut_off {
            _ if pending.sendings == 0 => now - pending.since >= park,
            Some(cut_off) => now - pending.since.max(cut_off) >= park,
            None => false,
        };
        self.give_up(late, deliveries);
    }

    /// Gives up on all whose outcome is open.
    pub(crate) fn abandon(&mut self, deliveries: &mut Vec<Delivery>) {
        self.give_up(Pending::is_open, deliveries);
    }

    /// Says what is known of some.
    fn give_up(&mut self, which: impl Fn(&Pending) -> bool, deliveries: &mut Vec<Delivery>) {
        let all = self.pending.iter().filter(|(_, pending)| which(pending));
        let numbers: Vec<u64> = all.map(|(number, _)| *number).collect();
        for number in numbers {
            let Some(pending) = self.take(number) else { continue };
            self.answered.insert(pending.request.session);
            self.probes.hit(if pending.is_open() { Probe::ForwardedUncertain } else { Probe::ParkedTooLong });
            let reply = match (pending.sendings, pending.writes) {
                _ if pending.was_executed => gate::NOT_EVERYWHERE,
                (0, _) => LOADING,
                (_, false) => NO_EFFECT,
                (_, true) => UNCERTAIN,
            };
            let session = pending.request.session;
            deliveries.push(pending.delivery(reply.to_vec(), None));
            self.deliver_next(session, deliveries);
        }
    }

    fn take(&mut self, number: u64) -> Option<Pending> {
        let pending = self.pending.remove(&number)?;
        self.by_session.remove(&(pending.request.session, number));
        self.bytes -= pending.request.size();
        self.unsent -= usize::from(!pending.is_sent);
        Some(pending)
    }
}

impl Pending {
    fn delivery(self, reply: Vec<u8>, db: Option<u16>) -> Delivery {
        let Request { number, session, .. } = self.request;
        Delivery { slot: self.slot, session, answered: Answered { number, reply, db } }
    }
}

/// The reply of a command that was executed; if it is not kept, what its client hears instead.
pub(crate) fn kept_reply(kept: &Kept, writes: bool) -> Vec<u8> {
    match (kept.reply.is_empty(), writes) {
        (false, _) => kept.reply.clone(),
        (true, false) => NO_EFFECT.to_vec(),
        (true, true) => TOO_LARGE.to_vec(),
    }
}

/// The primary's side of one link: a session for each connection of the origin, and the replies that wait.
#[derive(Debug)]
pub struct Proxies {
    /// Whose commands come by the link.
    pub(crate) origin: Incarnation,
    pub(crate) sessions: BTreeMap<u64, Slot>,
    /// Sessions whose next message has to wait, with what came behind it: the others go on.
    pub(crate) blocked: BTreeMap<u64, VecDeque<Blocked>>,
    pub(crate) blocked_bytes: usize,
    /// Those of them that wait for a key: somebody may have served them since.
    pub(crate) waits: BTreeSet<u64>,
    /// Up to where the origin has the replies of sessions, as far as no batch says so yet.
    pub(crate) acknowledged: BTreeMap<u64, u64>,
    /// By the batch that they wait for, then by number.
    pub(crate) waiting: BTreeMap<(Seq, u64), Waiting>,
    /// Reads executed since the clock was looked at.
    pub(crate) fresh: Vec<Waiting>,
    /// What can be sent.
    pub(crate) ready: Vec<FromPrimary>,
}

/// A message that waits for its turn.
#[derive(Debug)]
pub(crate) enum Blocked {
    Run(Request),
    End,
}

impl Blocked {
    pub(crate) fn size(&self) -> usize {
        match self {
            Blocked::Run(request) => request.size(),
            Blocked::End => 0,
        }
    }
}

/// A reply that may not leave yet.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub number: u64,
    /// The epoch in which it was executed.
    pub epoch: Epoch,
    pub reply: Vec<u8>,
    pub db: u16,
    pub level: Level,
    /// When it becomes an error that says what it waits for.
    pub until: Monotonic,
    /// It changed nothing, and the lease has not been looked at since it was executed.
    pub leans: bool,
}

impl Waiting {
    pub(crate) fn reply(self) -> FromPrimary {
        FromPrimary::Reply { number: self.number, reply: self.reply, db: self.db }
    }
}

impl Proxies {
    /// A link has been opened by this origin.
    pub fn new(origin: Incarnation) -> Self {
        Self {
            origin,
            sessions: BTreeMap::new(),
            blocked: BTreeMap::new(),
            blocked_bytes: 0,
            waits: BTreeSet::new(),
            acknowledged: BTreeMap::new(),
            waiting: BTreeMap::new(),
            fresh: Vec::new(),
            ready: Vec::new(),
        }
    }

    /// Whether something is to be tried again when something was accepted: see [`crate::core::Core::run_blocked`].
    pub fn is_blocked(&self) -> bool {
        !self.blocked.is_empty() || !self.acknowledged.is_empty()
    }

    /// Requests that wait for their turn, and ends of sessions behind them.
    pub fn waiting_requests(&self) -> usize {
        self.blocked.values().map(VecDeque::len).sum()
    }

    /// Whether the origin has sent more than it may.
    pub fn is_flooded(&self) -> bool {
        self.blocked_bytes > limits::FORWARDED_WAITING
    }

    /// What can be sent now.
    pub fn take_ready(&mut self) -> Vec<FromPrimary> {
        core::mem::take(&mut self.ready)
    }

    /// The batches that the next replies wait for, if some do: to be accepted, and to be everywhere.
    pub fn waits_for(&self, marks: Marks) -> [Option<Seq>; 2] {
        let all = self.waiting.iter().map(|((seq, _), waiting)| (*seq, waiting.level));
        let accepted = all.clone().find(|(seq, _)| *seq > marks.accepted);
        let everywhere = all.into_iter().find(|(_, level)| *level == Level::All);
        [accepted, everywhere].map(|found| found.map(|(seq, _)| seq))
    }

    /// Opens the gate as far as batches have got: what waited for a void one is refused, for it has no effect, if that is
    /// certain; if it is not, the log tells the origin. What has waited too long is told the truth.
    pub fn advance(&mut self, marks: Marks, voids: &[Void], now: Monotonic) {
        let void = |seq: Seq| voids.iter().find(|void| seq <= marks.accepted && void.contains(seq));
        let is_due = |(key, waiting): &(&(Seq, u64), &Waiting)| {
            waiting.until <= now || marks.reach(key.0, waiting.level) || void(key.0).is_some()
        };
        let due: Vec<(Seq, u64)> = self.waiting.iter().filter(is_due).map(|(key, _)| *key).collect();
        for key in due {
            let Some(mut waiting) = self.waiting.remove(&key) else { continue };
            match void(key.0) {
                Some(Void { is_certain: true, .. }) => {
                    self.ready.push(FromPrimary::Refused { number: waiting.number, epoch: waiting.epoch });
                }
                Some(_) => {}
                None => {
                    if !marks.reach(key.0, waiting.level) {
                        let is_accepted = key.0 <= marks.accepted;
                        let truth = if is_accepted { gate::NOT_EVERYWHERE } else { gate::UNCERTAIN };
                        waiting.reply = truth.to_vec();
                    }
                    self.ready.push(waiting.reply());
                }
            }
        }
    }
}

/// Batches whose verdicts this process does not hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Void {
    pub first: Seq,
    pub last: Seq,
    /// They will never be accepted: another Core's claim came before them (rule 11). Else the log that tells their fate
    /// has been purged (rule 20).
    pub is_certain: bool,
}

impl Void {
    pub fn contains(&self, seq: Seq) -> bool {
        self.first <= seq && seq <= self.last
    }
}
