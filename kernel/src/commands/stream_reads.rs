//! XREAD and XREADGROUP: what is new in streams, now or when it comes.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::stream_groups::{group_of, no_group, see};
use super::streams::{announce, id, reply_entries, reply_entry, reply_id};
use super::{Access, Command, CommandError, Keys, integer, is_word};
use crate::call::Call;
use crate::effect::Change;
use crate::events::Events;
use crate::limits;
use crate::resp::{Args, OwnedArgs, Protocol, Reply};
use crate::store::{Stream, StreamId, Words, delivered_word, words};
use crate::waiters::For;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "xread",
        arity: -4,
        access: Access::Read,
        keys: Keys::NONE,
        flags: &["blocking", "movablekeys"],
        summary: "Returns messages from multiple streams with IDs greater than the ones requested.",
        run: |call| read(call, false),
    },
    Command {
        name: "xreadgroup",
        arity: -7,
        access: Access::Write,
        keys: Keys::NONE,
        flags: &["blocking", "movablekeys"],
        summary: "Returns new or historical messages from a stream for a consumer in a group.",
        run: |call| read(call, true),
    },
];

/// What is asked for.
#[derive(Clone, Copy, Debug)]
struct Request<'a> {
    count: usize,
    group: Option<Reader<'a>>,
    /// Whether it waits if there is nothing, and how long at most.
    waits: Option<Option<Duration>>,
    /// Keys, and then as many IDs.
    streams: Args<'a>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
struct Reader<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    /// Nothing becomes pending.
    acknowledges: bool,
}

/// Stands for `>`: what nobody in the group has read. Redis does not tell it from the largest ID either.
const NEW: StreamId = StreamId::MAX;

fn read(call: &mut Call<'_>, by_group: bool) -> Result<(), CommandError> {
    let request = Request::parse(call, by_group)?;
    let after = request.resolve(call)?;
    if request.serve(call, &after)? || request.wait(call, &after) {
        return Ok(());
    }
    call.reply.null_array();
    Ok(())
}

impl<'a> Request<'a> {
    fn parse(call: &Call<'a>, by_group: bool) -> Result<Self, CommandError> {
        let args = call.args;
        let (mut count, mut group, mut acknowledges, mut streams) = (0, None, false, None);
        let mut waits = None;
        let mut at = 1;
        while let Some(option) = args.get(at) {
            let more = args.len() - 1 - at;
            if is_word(option, "block") && more > 0 {
                at += 1;
                waits = Some(timeout(args.at(at), call.now.0)?);
            } else if is_word(option, "count") && more > 0 {
                at += 1;
                count = integer(args.at(at))?.max(0);
            } else if is_word(option, "streams") && more > 0 {
                streams = Some(args.skip(at + 1));
                break;
            } else if is_word(option, "group") && more > 1 {
                if !by_group {
                    return Err(CommandError::Other(
                        "The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                group = Some((args.at(at + 1), args.at(at + 2)));
                at += 2;
            } else if is_word(option, "noack") {
                if !by_group {
                    return Err(CommandError::Other(
                        "The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                acknowledges = true;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        let streams = streams.ok_or(CommandError::Syntax)?;
        if !streams.len().is_multiple_of(2) {
            return Err(CommandError::Other(if by_group {
                "Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified."
            } else {
                "Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified."
            }));
        }
        if by_group && group.is_none() {
            return Err(CommandError::Other("Missing GROUP option for XREADGROUP"));
        }
        let group = group.map(|(group, consumer)| Reader { group, consumer, acknowledges });
        Ok(Self { count: if count == 0 { usize::MAX } else { count as usize }, group, waits, streams })
    }

    /// Each key, and what stands for its ID.
    fn keys(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.streams.iter().zip(self.streams.skip(self.streams.len() / 2).iter())
    }

    /// Behind which ID each stream is to be read. To be asked once: what `$` means is the end as it is now.
    fn resolve(&self, call: &mut Call<'_>) -> Result<Vec<StreamId>, CommandError> {
        let mut after = Vec::new();
        for (key, text) in self.keys() {
            let (stream, _) = call.read::<Stream>(key)?;
            if let Some(reader) = self.group
                && stream.and_then(|stream| stream.group(reader.group)).is_none()
            {
                return Err(no_group(key, reader.group, " in XREADGROUP with GROUP option"));
            }
            after.push(match (text, self.group) {
                (b"$", None) => stream.map_or(StreamId::MIN, Stream::last_id),
                (b"$", Some(_)) => {
                    return Err(CommandError::Other(
                        "The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
                    ));
                }
                (b">", Some(_)) => NEW,
                (b">", None) => {
                    return Err(CommandError::Other(
                        "The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
                    ));
                }
                _ => id(text, 0)?,
            });
        }
        Ok(after)
    }

    /// Waits for something to come, if it is to; whether it does. What `$` meant is said by its ID from now on.
    fn wait(&self, call: &mut Call<'_>, after: &[StreamId]) -> bool {
        let Some(timeout) = self.waits else { return false };
        let keys: Vec<&[u8]> = self.keys().map(|(key, _)| key).collect();
        let what = if self.group.is_some() { For::Group } else { For::Stream };
        if !call.wait_for(what, &keys, timeout) {
            return false;
        }
        let ids: Vec<String> = after.iter().map(|id| alloc::format!("{id}")).collect();
        let mut words: Vec<&[u8]> = call.args.iter().collect();
        let start = words.len() - ids.len();
        for (word, id) in words[start..].iter_mut().zip(&ids) {
            if *word == b"$" {
                *word = id.as_bytes();
            }
        }
        let args = OwnedArgs::from_words(&words);
        if let Some(wish) = &mut call.wish {
            wish.args = Some(args);
        }
        true
    }

    /// Replies with what there is; whether there was anything.
    fn serve(&self, call: &mut Call<'_>, after: &[StreamId]) -> Result<bool, CommandError> {
        let start = call.reply.bytes.len();
        let mut served = 0;
        for ((key, _), after) in self.keys().zip(after) {
            let found = match self.group {
                None => self.read_stream(call, key, *after)?,
                Some(reader) if *after == NEW => self.read_new(call, key, reader)?,
                Some(reader) => self.read_again(call, key, reader, *after)?,
            };
            served += usize::from(found);
        }
        if served > 0 {
            announce(call.reply, start, |reply| match reply.protocol {
                Protocol::Resp2 => reply.array(served),
                Protocol::Resp3 => reply.map(served),
            });
        }
        Ok(served > 0)
    }

    fn read_stream(&self, call: &mut Call<'_>, key: &[u8], after: StreamId) -> Result<bool, CommandError> {
        let (stream, reply) = call.read::<Stream>(key)?;
        let Some((stream, next)) = stream.zip(after.next()) else { return Ok(false) };
        if stream.last().is_none_or(|newest| newest.id <= after) {
            return Ok(false);
        }
        reply_key(reply, key);
        reply_entries(reply, stream.range(next..=StreamId::MAX).take(self.count));
        Ok(true)
    }

    /// Delivers what nobody in the group has read.
    fn read_new(&self, call: &mut Call<'_>, key: &[u8], reader: Reader<'_>) -> Result<bool, CommandError> {
        let Reader { group: name, consumer, acknowledges } = reader;
        let time = call.now.0;
        let (stream, reply) = call.read::<Stream>(key)?;
        let Some((stream, group)) = group_of(stream, name) else { return Ok(false) };
        let is_new = stream.last().is_some_and(|newest| newest.id > group.last);
        let Some(next) = group.last.next().filter(|_| is_new) else {
            see(call, key, name, consumer, false)?;
            return Ok(false);
        };
        let is_known = group.consumer(consumer).is_some();
        reply_key(reply, key);
        let (mut last, mut read) = (group.last, group.read);
        let delivered = stream.range(next..=StreamId::MAX).take(self.count).inspect(|entry| {
            last = entry.id;
            read = count_read(stream, read, last);
        });
        reply_entries(reply, delivered);
        if acknowledges {
            see(call, key, name, consumer, false)?;
            call.change(key, Change::PutGroup { group: name, last, read });
        } else {
            call.change(key, Change::Deliver { group: name, consumer, last, read, time });
            if !is_known {
                call.notify(Events::STREAM, "xgroup-createconsumer", key);
            }
        }
        Ok(true)
    }

    /// Delivers again what the consumer has not acknowledged.
    fn read_again(
        &self,
        call: &mut Call<'_>,
        key: &[u8],
        reader: Reader<'_>,
        after: StreamId,
    ) -> Result<bool, CommandError> {
        let now = call.now.0;
        see(call, key, reader.group, reader.consumer, false)?;
        let (stream, reply) = call.read::<Stream>(key)?;
        let Some(((stream, group), next)) = group_of(stream, reader.group).zip(after.next()) else { return Ok(false) };
        let Some(consumer) = group.consumer(reader.consumer) else { return Ok(false) };
        let (mut count, mut again) = (0, Vec::new());
        reply_key(reply, key);
        let start = reply.bytes.len();
        let pending = group.all_pending(Some(consumer), next..=StreamId::MAX);
        for (id, pending) in pending.take(self.count) {
            count += 1;
            match stream.get(id) {
                Some(entry) => {
                    reply_entry(reply, entry);
                    words::push(&mut again, &delivered_word(id, now, pending.count.wrapping_add(1)));
                }
                None => {
                    reply.array(2);
                    reply_id(reply, id);
                    reply.null_array();
                }
            }
        }
        announce(reply, start, |reply| reply.array(count));
        if !again.is_empty() {
            let (group, consumer) = (reader.group, reader.consumer);
            call.change(key, Change::Pend { group, consumer, entries: Words::new(&again) });
        }
        Ok(true)
    }
}

/// How many entries the group has read when this one has been delivered, if that can be told.
fn count_read(stream: &Stream, read: Option<u64>, id: StreamId) -> Option<u64> {
    match read {
        Some(read) if !stream.has_gap_from(id) => Some(read.wrapping_add(1)),
        _ => stream.added_up_to(id),
    }
}

/// What stands before a stream's entries.
fn reply_key(reply: &mut Reply, key: &[u8]) {
    if reply.protocol == Protocol::Resp2 {
        reply.array(2);
    }
    reply.bulk(key);
}

/// Milliseconds to wait; `None`: for ever.
fn timeout(text: &[u8], now: u64) -> Result<Option<Duration>, CommandError> {
    let timeout = integer(text).map_err(|_| CommandError::Other("timeout is not an integer or out of range"))?;
    if timeout < 0 {
        return Err(CommandError::Other("timeout is negative"));
    }
    if timeout > i64::MAX - now as i64 {
        return Err(CommandError::Other("timeout is out of range"));
    }
    Ok((timeout > 0).then(|| Duration::from_millis(timeout as u64).min(limits::MAX_PAUSE)))
}
