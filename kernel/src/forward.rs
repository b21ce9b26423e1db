//! Commands that one Core has another one execute (PROTOCOL rules 8, 11, 16 and 17).
//!
//! The **origin** is the Core that a client is connected to. It keeps each command until it has its reply, so that one
//! that was certainly not executed, or that cannot change anything, can be sent to the next primary. The **primary** runs
//! it in a session of its own for that connection, and answers when the reply may leave.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use bincode::{Decode, Encode};

use crate::clients::Slot;
use crate::codec;
use crate::ids::{Epoch, Seq};
use crate::level::Level;
use crate::limits;
use crate::mutant::Mutant;
use crate::resp::{OwnedArgs, Protocol};
use crate::time::Monotonic;

/// What an origin sends to the primary. Grows only at its end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToPrimary {
    Run(Request),
    /// The session has ended: what it watches is forgotten.
    End {
        session: u64,
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
}

/// What the primary answers. Grows only at its end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FromPrimary {
    /// The reply of a request, and the database that its session has selected then.
    Reply { number: u64, reply: Vec<u8>, db: u16 },
    /// It was not executed and will not be, or what it did is void.
    Refused { number: u64 },
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
/// What it hears of one that changes nothing, and that cannot be asked again in its place.
const NOT_AGAIN: &[u8] =
    b"-LOADING the primary was lost while it had this command; it had no effect, send it again\r\n";
/// What it hears of one that was certainly not executed.
const LOADING: &[u8] = b"-LOADING there was no primary to execute this command in time; it was not executed\r\n";
/// What EXEC answers if a watched key may have changed: it was watched in another epoch (rule 17).
const NULL_ARRAY: [&[u8]; 2] = [b"*-1\r\n", b"_\r\n"];

/// An origin's commands that have no reply yet.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    last_number: u64,
    /// By number: in the order in which they are sent.
    pending: BTreeMap<u64, Pending>,
    bytes: usize,
    /// Sessions that ended, which the primary is to be told.
    ended: Vec<u64>,
    unsent: usize,
    /// How many links to a primary have been lost.
    lost_links: u64,
}

#[derive(Debug)]
struct Pending {
    slot: Slot,
    request: Request,
    /// It may change something.
    writes: bool,
    /// It is an EXEC of a session that watches keys there.
    watched: Option<RemoteWatch>,
    since: Monotonic,
    is_sent: bool,
    /// The primary of this epoch will not execute it.
    refused_in: Option<Epoch>,
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
        since: Monotonic,
    ) -> u64 {
        self.last_number += 1;
        request.number = self.last_number;
        self.bytes += request.size();
        self.unsent += 1;
        let pending = Pending { slot, request, writes, watched, since, is_sent: false, refused_in: None };
        self.pending.insert(self.last_number, pending);
        self.last_number
    }

    /// Where keys are watched that are watched in this epoch from now on.
    pub(crate) fn watch(&self, epoch: Epoch) -> RemoteWatch {
        RemoteWatch { epoch, link: self.lost_links }
    }

    /// A connection has closed, or ended its session: nobody waits for its replies. What was sent may be executed.
    pub(crate) fn end(&mut self, session: u64) {
        self.ended.push(session);
        let theirs = |pending: &Pending| pending.request.session == session;
        let numbers: Vec<u64> = self.pending.iter().filter(|(_, p)| theirs(p)).map(|(number, _)| *number).collect();
        for number in numbers {
            self.take(number);
        }
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent > 0 || !self.ended.is_empty()
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

    /// Frames' contents for the primary of this epoch: all that has not been sent.
    pub(crate) fn take_unsent(&mut self, epoch: Epoch, deliveries: &mut Vec<Delivery>) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut encode = |message: &ToPrimary| {
            let mut bytes = Vec::new();
            codec::encode(message, &mut bytes);
            frames.push(bytes);
        };
        for session in self.ended.drain(..) {
            encode(&ToPrimary::End { session });
        }
        let now = self.watch(epoch);
        let stale = |pending: &Pending| !pending.is_sent && pending.watched.is_some_and(|watch| watch != now);
        let stale: Vec<u64> = self.pending.iter().filter(|(_, p)| stale(p)).map(|(number, _)| *number).collect();
        for number in stale {
            let Some(pending) = self.take(number) else { continue };
            let reply = NULL_ARRAY[usize::from(pending.request.protocol == 3)].to_vec();
            deliveries.push(pending.delivery(reply));
        }
        for pending in self.pending.values_mut() {
            // Asking again in the same epoch is of no use.
            if !pending.is_sent && pending.refused_in != Some(epoch) {
                pending.is_sent = true;
                pending.request.epoch = epoch;
                self.unsent -= 1;
                encode(&ToPrimary::Run(pending.request.clone()));
            }
        }
        frames
    }

    pub(crate) fn answered(&mut self, message: FromPrimary) -> Option<Delivery> {
        match message {
            FromPrimary::Reply { number, reply, db } => {
                let pending = self.take(number)?;
                let mut delivery = pending.delivery(reply);
                delivery.answered.db = Some(db);
                Some(delivery)
            }
            FromPrimary::Refused { number } => {
                let pending = self.pending.get_mut(&number).filter(|pending| pending.is_sent)?;
                pending.is_sent = false;
                pending.refused_in = Some(pending.request.epoch);
                self.unsent += 1;
                None
            }
        }
    }

    /// The link to the primary is gone, and with it the replies of what was sent. What cannot have changed anything is
    /// sent again, unless its session has sent something behind it that may have been executed: it would see too much. The
    /// fate of the rest is not known.
    pub(crate) fn link_lost(&mut self, deliveries: &mut Vec<Delivery>) {
        self.lost_links += 1;
        let sent: Vec<u64> = self.pending.iter().filter(|(_, p)| p.is_sent).map(|(number, _)| *number).collect();
        let writes = self.pending.iter().filter(|(_, p)| p.is_sent && p.writes);
        let last_writes: BTreeMap<u64, u64> = writes.map(|(number, p)| (p.request.session, *number)).collect();
        for number in sent {
            let Some(pending) = self.pending.get_mut(&number) else { continue };
            let is_last = last_writes.get(&pending.request.session).is_none_or(|write| *write < number);
            if !pending.writes && is_last || Mutant::ForwardAgain.is_chosen() {
                pending.is_sent = false;
                self.unsent += 1;
            } else if let Some(pending) = self.take(number) {
                let reply = if pending.writes { UNCERTAIN } else { NOT_AGAIN };
                deliveries.push(pending.delivery(reply.to_vec()));
            }
        }
    }

    /// Tells the truth to those that have waited too long: `park` for a primary, `level` for a reply.
    pub(crate) fn expire(
        &mut self,
        now: Monotonic,
        park: core::time::Duration,
        level: core::time::Duration,
        deliveries: &mut Vec<Delivery>,
    ) {
        let late = |p: &Pending| now - p.since >= if p.is_sent { level } else { park };
        let late: Vec<u64> = self.pending.iter().filter(|(_, p)| late(p)).map(|(number, _)| *number).collect();
        for number in late {
            let Some(pending) = self.take(number) else { continue };
            let reply = if pending.is_sent { UNCERTAIN } else { LOADING };
            deliveries.push(pending.delivery(reply.to_vec()));
        }
    }

    fn take(&mut self, number: u64) -> Option<Pending> {
        let pending = self.pending.remove(&number)?;
        self.bytes -= pending.request.size();
        self.unsent -= usize::from(!pending.is_sent);
        Some(pending)
    }
}

impl Pending {
    fn delivery(self, reply: Vec<u8>) -> Delivery {
        let Request { number, session, .. } = self.request;
        Delivery { slot: self.slot, session, answered: Answered { number, reply, db: None } }
    }
}

/// The primary's side of one link: a session for each connection of the origin, and the replies that wait.
#[derive(Debug, Default)]
pub struct Proxies {
    pub(crate) sessions: BTreeMap<u64, Slot>,
    /// The highest number that was executed or refused (rule 8).
    pub(crate) highest: u64,
    /// By the batch that they wait for, then by number.
    pub(crate) waiting: BTreeMap<(Seq, u64), Waiting>,
    /// Reads executed since the clock was looked at.
    pub(crate) fresh: Vec<Waiting>,
    /// What can be sent.
    pub(crate) ready: Vec<FromPrimary>,
}

/// A reply that may not leave yet.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub number: u64,
    pub reply: Vec<u8>,
    pub db: u16,
    /// When it becomes `-UNCERTAIN`.
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
    /// What can be sent now.
    pub fn take_ready(&mut self) -> Vec<FromPrimary> {
        core::mem::take(&mut self.ready)
    }

    /// The batch that the next reply waits for, if one waits.
    pub fn waits_for(&self) -> Option<Seq> {
        self.waiting.keys().next().map(|(seq, _)| *seq)
    }

    /// Opens the gate up to a batch: what waited for a void one is refused, for it has no effect, if that is certain;
    /// what has waited too long is told so.
    pub fn advance(&mut self, accepted: Seq, voids: &[Void], now: Monotonic) {
        while let Some(entry) = self.waiting.first_entry().filter(|entry| entry.key().0 <= accepted) {
            let (seq, _) = *entry.key();
            let mut waiting = entry.remove();
            self.ready.push(match voids.iter().find(|void| void.contains(seq)) {
                Some(Void { is_certain: true, .. }) => FromPrimary::Refused { number: waiting.number },
                Some(_) => {
                    waiting.reply = crate::gate::UNCERTAIN.to_vec();
                    waiting.reply()
                }
                None => waiting.reply(),
            });
        }
        let late: Vec<(Seq, u64)> = self.waiting.iter().filter(|(_, w)| w.until <= now).map(|(key, _)| *key).collect();
        for key in late {
            if let Some(mut waiting) = self.waiting.remove(&key) {
                waiting.reply = crate::gate::UNCERTAIN.to_vec();
                self.ready.push(waiting.reply());
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
