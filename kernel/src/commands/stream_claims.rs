//! XCLAIM and XAUTOCLAIM: a consumer takes over what is pending with others.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::stream_groups::{group_of, no_group, see, since};
use super::streams::{announce, encode_ids, id, interval_start, reply_entry, reply_id};
use super::{Access, Command, CommandError, Keys, integer, is_word};
use crate::call::Call;
use crate::effect::Change;
use crate::resp::{Args, Reply};
use crate::store::{Group, Stream, StreamId, Words, delivered_word, words};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "xclaim",
        arity: -6,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Changes, or acquires, ownership of a message in a consumer group, as if the message was delivered a consumer group member.",
        run: claim,
    },
    Command {
        name: "xautoclaim",
        arity: -6,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Changes, or acquires, ownership of messages in a consumer group, as if the messages were delivered to as consumer group member.",
        run: auto_claim,
    },
];

/// How claimed entries are to be pending.
#[derive(Clone, Copy, Debug, Default)]
struct Terms {
    /// Milliseconds since the last delivery, at least.
    idle: i64,
    time: u64,
    /// Deliveries, if they are set.
    count: Option<u64>,
    /// Also what was not pending.
    forced: bool,
    /// Their IDs are enough, and this is no delivery.
    ids_only: bool,
    /// What the group has read at least.
    last: StreamId,
}

impl Terms {
    /// From what stands behind the IDs of XCLAIM.
    fn parse(mut options: Args<'_>, idle: i64, now: u64) -> Result<Self, CommandError> {
        let mut terms = Terms { idle, ..Self::default() };
        let mut time = None;
        while !options.is_empty() {
            let has_value = options.len() > 1;
            let is = |word| has_value && is_word(options.at(0), word);
            let number = |wrong| integer(options.at(1)).map_err(|_| CommandError::Other(wrong));
            if is_word(options.at(0), "force") {
                terms.forced = true;
                options = options.skip(1);
                continue;
            }
            if is_word(options.at(0), "justid") {
                terms.ids_only = true;
                options = options.skip(1);
                continue;
            }
            if is("idle") {
                let idle = number("Invalid IDLE option argument for XCLAIM")?;
                time = Some((now as i64).wrapping_sub(idle));
            } else if is("time") {
                time = Some(number("Invalid TIME option argument for XCLAIM")?);
            } else if is("retrycount") {
                let count = number("Invalid RETRYCOUNT option argument for XCLAIM")?;
                terms.count = u64::try_from(count).ok();
            } else if is("lastid") {
                terms.last = id(options.at(1), 0)?;
            } else {
                let option = String::from_utf8_lossy(options.at(0));
                return Err(CommandError::Text(format!("Unrecognized XCLAIM option '{option}'")));
            }
            options = options.skip(2);
        }
        // A time that cannot be is now: who computed it may have another clock.
        terms.time = time.and_then(|time| u64::try_from(time).ok()).filter(|time| *time <= now).unwrap_or(now);
        Ok(terms)
    }

    /// Whether something that is pending since a time and was delivered so often, or that is not, may be claimed; how often
    /// it is delivered then.
    fn claims(&self, pending: Option<(u64, u64)>, now: u64) -> Option<u64> {
        let before = match pending {
            Some((time, _)) if self.idle > 0 && since(time, now) < self.idle => return None,
            Some((_, count)) => count,
            None if self.forced => 1,
            None => return None,
        };
        Some(self.count.unwrap_or_else(|| before.wrapping_add(u64::from(!self.ids_only))))
    }
}

/// What a claim changes.
#[derive(Debug, Default)]
struct Claimed {
    /// How often each entry is delivered now.
    entries: BTreeMap<StreamId, u64>,
    /// How many are in the reply: who names an entry twice gets it twice.
    replied: usize,
    /// Entries that are pending and no longer in the stream.
    gone: BTreeSet<StreamId>,
}

impl Claimed {
    /// Claims an entry if the terms allow it, and replies with it.
    fn take(&mut self, terms: &Terms, (stream, group): (&Stream, &Group), id: StreamId, now: u64, reply: &mut Reply) {
        let pending = group.pending(id).map(|pending| (pending.time, pending.count));
        let Some(entry) = stream.get(id) else {
            if pending.is_some() {
                self.gone.insert(id);
            }
            return;
        };
        let again = self.entries.get(&id).map(|count| (terms.time, *count));
        let Some(count) = terms.claims(again.or(pending), now) else { return };
        self.entries.insert(id, count);
        self.replied += 1;
        if terms.ids_only {
            reply_id(reply, id);
        } else {
            reply_entry(reply, entry);
        }
    }

    /// Makes the changes.
    fn apply(self, call: &mut Call<'_>, terms: &Terms) -> Result<(), CommandError> {
        let (key, group, consumer) = (call.args.at(1), call.args.at(2), call.args.at(3));
        see(call, key, group, consumer, !self.entries.is_empty())?;
        if !self.gone.is_empty() {
            call.change(key, Change::Unpend { group, ids: Words::new(&encode_ids(self.gone)) });
        }
        if !self.entries.is_empty() {
            let mut entries = Vec::new();
            for (id, count) in self.entries {
                words::push(&mut entries, &delivered_word(id, terms.time, count));
            }
            call.change(key, Change::Pend { group, consumer, entries: Words::new(&entries) });
        }
        Ok(())
    }
}

fn claim(call: &mut Call<'_>) -> Result<(), CommandError> {
    let args = call.args;
    let (key, name, now) = (args.at(1), args.at(2), call.now.0);
    let (stream, reply) = call.read::<Stream>(key)?;
    let found = group_of(stream, name).ok_or_else(|| no_group(key, name, ""))?;
    let (_, group) = found;
    let idle = integer(args.at(4)).map_err(|_| CommandError::Other("Invalid min-idle-time argument for XCLAIM"))?;
    let ids: Vec<StreamId> = args.skip(5).iter().map_while(|text| id(text, 0).ok()).collect();
    let terms = Terms::parse(args.skip(5 + ids.len()), idle, now)?;
    let mut claimed = Claimed::default();
    let start = reply.bytes.len();
    ids.into_iter().for_each(|id| claimed.take(&terms, found, id, now, reply));
    announce(reply, start, |reply| reply.array(claimed.replied));
    if terms.last > group.last {
        let read = group.read;
        call.change(key, Change::PutGroup { group: name, last: terms.last, read });
    }
    claimed.apply(call, &terms)
}

fn auto_claim(call: &mut Call<'_>) -> Result<(), CommandError> {
    /// Redis's bound: so many IDs must fit into memory.
    const MOST: i64 = i64::MAX / 16;
    /// Pending entries that are looked at for each that may be claimed.
    const ATTEMPTS: usize = 10;
    let (key, name, now) = (call.args.at(1), call.args.at(2), call.now.0);
    let wrong = CommandError::Other("Invalid min-idle-time argument for XAUTOCLAIM");
    let idle = integer(call.args.at(4)).map_err(|_| wrong)?;
    let from = interval_start(call.args.at(5))?;
    let (mut most, mut ids_only) = (100, false);
    let mut options = call.args.skip(6);
    while !options.is_empty() {
        if is_word(options.at(0), "count") && options.len() > 1 {
            let count = integer(options.at(1)).ok().filter(|count| (1..=MOST).contains(count));
            most = count.ok_or(CommandError::Other("COUNT must be > 0"))? as usize;
            options = options.skip(2);
        } else if is_word(options.at(0), "justid") {
            ids_only = true;
            options = options.skip(1);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let terms = Terms { idle, time: now, ids_only, ..Terms::default() };
    let (stream, reply) = call.read::<Stream>(key)?;
    let found = group_of(stream, name).ok_or_else(|| no_group(key, name, ""))?;
    let mut claimed = Claimed::default();
    let start = reply.bytes.len();
    let mut attempts = most.saturating_mul(ATTEMPTS);
    let mut pending = found.1.all_pending(None, from..=StreamId::MAX).map(|(id, _)| id);
    while attempts > 0
        && claimed.replied + claimed.gone.len() < most
        && let Some(id) = pending.next()
    {
        attempts -= 1;
        claimed.take(&terms, found, id, now, reply);
    }
    let next = pending.next().unwrap_or(StreamId::MIN);
    drop(pending);
    announce(reply, start, |reply| {
        reply.array(3);
        reply_id(reply, next);
        reply.array(claimed.replied);
    });
    reply.array(claimed.gone.len());
    claimed.gone.iter().for_each(|id| reply_id(reply, *id));
    claimed.apply(call, &terms)
}
