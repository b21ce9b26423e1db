//! Streams: entries in the order of their IDs.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::{Access, Command, CommandError, Keys, integer, is_word};
use crate::call::Call;
use crate::effect::Change;
use crate::events::Events;
use crate::mutant::Mutant;
use crate::resp::{Args, Reply};
use crate::store::{Entry, Keep, Stream, StreamId, Words, words};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "xadd",
        arity: -5,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Appends a new message to a stream. Creates the key if it doesn't exist.",
        run: add,
    },
    Command {
        name: "xlen",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the number of messages in a stream.",
        run: |call| {
            let (stream, reply) = call.read::<Stream>(call.args.at(1))?;
            reply.integer(stream.map_or(0, Stream::len) as i64);
            Ok(())
        },
    },
    Command {
        name: "xrange",
        arity: -4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the messages from a stream within a range of IDs.",
        run: |call| {
            let ids = interval(call.args.at(2), call.args.at(3))?;
            reply_range(call, |stream, count, reply| reply_entries(reply, stream.range(ids).take(count)))
        },
    },
    Command {
        name: "xrevrange",
        arity: -4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the messages from a stream within a range of IDs in reverse order.",
        run: |call| {
            let ids = interval(call.args.at(3), call.args.at(2))?;
            reply_range(call, |stream, count, reply| reply_entries(reply, stream.range_back(ids).take(count)))
        },
    },
    Command {
        name: "xdel",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns the number of messages after removing them from a stream.",
        run: |call| {
            let (key, ids) = (call.args.at(1), call.args.skip(2));
            let mut gone = Vec::new();
            if let Some(stream) = call.value::<Stream>(key)? {
                gone = all_ids(ids)?;
                gone.sort_unstable();
                gone.dedup();
                gone.retain(|id| stream.get(*id).is_some());
            }
            if !gone.is_empty() {
                call.change(key, Change::DropEntries(Words::new(&encode_ids(gone.iter().copied()))));
                call.notify(Events::STREAM, "xdel", key);
            }
            call.reply.integer(gone.len() as i64);
            Ok(())
        },
    },
    Command {
        name: "xtrim",
        arity: -4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &[],
        summary: "Deletes messages from the beginning of a stream.",
        run: |call| {
            let options = Options::parse(call, false)?;
            let trimmed = trim(call, options.trim)?;
            call.reply.integer(trimmed as i64);
            Ok(())
        },
    },
    Command {
        name: "xsetid",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "An internal command for replicating stream values.",
        run: set_id,
    },
];

const INVALID_ID: CommandError = CommandError::Other("Invalid stream ID specified as stream command argument");

/// An ID; one without a number has this one. There may stand `-` and `+` for the least and the greatest.
pub(super) fn any_id(text: &[u8], missing: u64) -> Result<StreamId, CommandError> {
    match until_nul(text) {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => id(text, missing),
    }
}

/// An ID; one without a number has this one.
pub(super) fn id(text: &[u8], missing: u64) -> Result<StreamId, CommandError> {
    let (ms, seq) = parts(text)?;
    let seq = seq.map_or(Some(missing), number).ok_or(INVALID_ID)?;
    Ok(StreamId { ms, seq })
}

/// All of these are IDs.
pub(super) fn all_ids(args: Args<'_>) -> Result<Vec<StreamId>, CommandError> {
    args.iter().map(|text| id(text, 0)).collect()
}

/// The milliseconds of an ID, and what stands for its number.
fn parts(text: &[u8]) -> Result<(u64, Option<&[u8]>), CommandError> {
    /// Redis copies an ID to here.
    const LONGEST: usize = 127;
    if text.len() > LONGEST {
        return Err(INVALID_ID);
    }
    let text = until_nul(text);
    let (ms, seq) = match text.iter().position(|byte| *byte == b'-') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    Ok((number(ms).ok_or(INVALID_ID)?, seq))
}

fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number as C's `strtoull` reads it, which Redis falls back upon: with spaces in front, a sign or zeros. What is plainly
/// negative is none.
fn number(text: &[u8]) -> Option<u64> {
    if let Some(number) = crate::resp::parse_i64(text) {
        return u64::try_from(number).ok();
    }
    let (sign, digits) = match text.trim_ascii_start() {
        [sign @ (b'-' | b'+'), digits @ ..] => (*sign, digits),
        digits => (b'+', digits),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = core::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if sign == b'-' { number.wrapping_neg() } else { number })
}

/// From one ID to another, either of which may be left out of it by a `(`.
pub(super) fn interval(from: &[u8], to: &[u8]) -> Result<RangeInclusive<StreamId>, CommandError> {
    let from = interval_start(from)?;
    let to = match to {
        [b'(', id_text @ ..] if !id_text.is_empty() => {
            let before = id(id_text, u64::MAX)?.previous();
            before.ok_or(CommandError::Other("invalid end ID for the interval"))?
        }
        _ => any_id(to, u64::MAX)?,
    };
    Ok(from..=to)
}

pub(super) fn interval_start(from: &[u8]) -> Result<StreamId, CommandError> {
    match from {
        [b'(', id_text @ ..] if !id_text.is_empty() => {
            id(id_text, 0)?.next().ok_or(CommandError::Other("invalid start ID for the interval"))
        }
        _ => any_id(from, 0),
    }
}

/// IDs as effects hold them.
pub(super) fn encode_ids(ids: impl IntoIterator<Item = StreamId>) -> Vec<u8> {
    let mut out = Vec::new();
    ids.into_iter().for_each(|id| words::push(&mut out, &id.bytes()));
    out
}

pub(super) fn reply_id(reply: &mut Reply, id: StreamId) {
    reply.bulk(id.to_string().as_bytes());
}

pub(super) fn reply_entry(reply: &mut Reply, entry: Entry<'_>) {
    reply.array(2);
    reply_id(reply, entry.id);
    reply.array(2 * entry.len());
    for (name, value) in entry.fields() {
        reply.bulk(name);
        reply.bulk(value);
    }
}

pub(super) fn reply_entries<'a>(reply: &mut Reply, entries: impl Iterator<Item = Entry<'a>>) {
    let start = reply.bytes.len();
    let count = entries.map(|entry| reply_entry(reply, entry)).count();
    announce(reply, start, |reply| reply.array(count));
}

/// Puts what announces it before what has been written from `start` on.
pub(super) fn announce(reply: &mut Reply, start: usize, header: impl FnOnce(&mut Reply)) {
    let written = reply.bytes.split_off(start);
    header(reply);
    reply.bytes.extend_from_slice(&written);
}

/// The common part of XRANGE and XREVRANGE, whose IDs have been read: how many, and of what.
fn reply_range(call: &mut Call<'_>, range: impl FnOnce(&Stream, usize, &mut Reply)) -> Result<(), CommandError> {
    let mut count = None;
    let mut options = call.args.skip(4);
    while !options.is_empty() {
        if !is_word(options.at(0), "count") || options.len() < 2 {
            return Err(CommandError::Syntax);
        }
        count = Some(integer(options.at(1))?.max(0));
        options = options.skip(2);
    }
    let (stream, reply) = call.read::<Stream>(call.args.at(1))?;
    match (stream, count) {
        (None, _) => reply.array(0),
        (Some(_), Some(0)) => reply.null_array(),
        (Some(stream), count) => range(stream, count.map_or(usize::MAX, |count| count as usize), reply),
    }
    Ok(())
}

/// Which entries are to stay.
#[derive(Clone, Copy, Debug)]
struct Trim {
    keep: Keep,
    /// Whole blocks only, and so many entries; see [`Stream::beyond`].
    whole: Option<usize>,
}

/// The ID that a new entry is to have.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// The time.
    Any,
    /// The next number in this millisecond.
    In(u64),
    Exactly(StreamId),
}

/// What stands before the fields of XADD, and all of XTRIM.
#[derive(Clone, Copy, Debug)]
struct Options {
    trim: Option<Trim>,
    /// No stream is to be made.
    makes_none: bool,
    wanted: Wanted,
    /// Where the fields begin.
    fields: usize,
}

impl Options {
    fn parse(call: &Call<'_>, adds: bool) -> Result<Self, CommandError> {
        let args = call.args;
        let (mut keep, mut approximate, mut limit) = (None, false, None);
        let (mut makes_none, mut wanted) = (false, Wanted::Any);
        let mut at = 2;
        while let Some(option) = args.get(at) {
            let more = args.len() - 1 - at;
            let is = |word| more > 0 && is_word(option, word);
            if adds && option == b"*" {
                break;
            } else if is("maxlen") || is("minid") {
                if keep.is_some() {
                    return Err(CommandError::Other(
                        "syntax error, MAXLEN and MINID options at the same time are not compatible",
                    ));
                }
                let sign = args.at(at + 1);
                let has_sign = more > 1 && (sign == b"~" || sign == b"=");
                approximate = has_sign && sign == b"~";
                at += 1 + usize::from(has_sign);
                keep = Some(if is("minid") {
                    Keep::From(id(args.at(at), 0)?)
                } else {
                    let negative = CommandError::Other("The MAXLEN argument must be >= 0.");
                    Keep::Newest(usize::try_from(integer(args.at(at))?).map_err(|_| negative)?)
                });
            } else if is("limit") {
                at += 1;
                let negative = CommandError::Other("The LIMIT argument must be >= 0.");
                limit = Some(usize::try_from(integer(args.at(at))?).map_err(|_| negative)?);
            } else if adds && is_word(option, "nomkstream") {
                makes_none = true;
            } else if adds {
                wanted = match parts(option)? {
                    (ms, Some(b"*")) => Wanted::In(ms),
                    _ => Wanted::Exactly(id(option, 0)?),
                };
                break;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        let wrong = match (keep, limit) {
            (None, Some(1..)) => "syntax error, LIMIT cannot be used without specifying a trimming strategy",
            (None, _) if !adds => "syntax error, XTRIM must be called with at least one trimming strategy",
            (_, Some(_)) if !approximate => "syntax error, LIMIT cannot be used without the special ~ option",
            _ => {
                let whole = approximate.then(|| limit.unwrap_or_else(|| default_limit(call)));
                let trim = keep.map(|keep| Trim { keep, whole });
                return Ok(Self { trim, makes_none, wanted, fields: at + 1 });
            }
        };
        Err(CommandError::Other(wrong))
    }
}

/// Entries that an approximate trim takes at most unless it is told: a hundred blocks.
fn default_limit(call: &Call<'_>) -> usize {
    const BLOCKS: usize = 100;
    match call.core.tunables().stream_block_entries.saturating_mul(BLOCKS) {
        0 => 10_000,
        limit => limit.min(1_000_000),
    }
}

fn add(call: &mut Call<'_>) -> Result<(), CommandError> {
    let options = Options::parse(call, true)?;
    let key = call.args.at(1);
    let fields = call.args.skip(options.fields);
    if fields.is_empty() || !fields.len().is_multiple_of(2) {
        return Err(CommandError::Arity("xadd"));
    }
    if matches!(options.wanted, Wanted::Exactly(StreamId::MIN)) {
        return Err(CommandError::Other("The ID specified in XADD must be greater than 0-0"));
    }
    let now = call.now.0;
    let tunables = call.core.tunables();
    let stream = call.value::<Stream>(key)?;
    if stream.is_none() && options.makes_none {
        call.reply.null();
        return Ok(());
    }
    let last = match stream {
        Some(stream) if Mutant::ReuseIds.is_chosen() => stream.last().map_or(StreamId::MIN, |newest| newest.id),
        _ => stream.map_or(StreamId::MIN, Stream::last_id),
    };
    if last == StreamId::MAX {
        return Err(CommandError::Other("The stream has exhausted the last possible ID, unable to add more items"));
    }
    let id = match options.wanted {
        Wanted::Exactly(id) => Some(id),
        Wanted::In(ms) if ms == last.ms => last.seq.checked_add(1).map(|seq| StreamId { ms, seq }),
        Wanted::In(ms) => Some(StreamId { ms, seq: 0 }),
        Wanted::Any if now > last.ms => Some(StreamId { ms: now, seq: 0 }),
        Wanted::Any => last.next(),
    };
    let id = id
        .filter(|id| *id > last)
        .ok_or(CommandError::Other("The ID specified in XADD is equal or smaller than the target stream top item"))?;
    let apart =
        stream.is_some_and(|stream| stream.is_block_full(tunables.stream_block_entries, tunables.stream_block_bytes));
    let entry = words::collect([&*Stream::word(id, fields.iter())]);
    call.change(key, Change::AddEntries { apart, entries: Words::new(&entry) });
    call.notify(Events::STREAM, "xadd", key);
    trim(call, options.trim)?;
    reply_id(call.reply, id);
    Ok(())
}

/// Takes from the front what is not to stay; how many entries that were.
fn trim(call: &mut Call<'_>, trim: Option<Trim>) -> Result<usize, CommandError> {
    let key = call.args.at(1);
    let Some(Trim { keep, whole }) = trim else { return Ok(0) };
    let count = call.value::<Stream>(key)?.map_or(0, |stream| stream.beyond(keep, whole));
    if count > 0 {
        call.change(key, Change::Trim { count: count as u64 });
        call.notify(Events::STREAM, "xtrim", key);
    }
    Ok(count)
}

fn set_id(call: &mut Call<'_>) -> Result<(), CommandError> {
    let key = call.args.at(1);
    let last = id(call.args.at(2), 0)?;
    let (mut new_added, mut new_deleted) = (None, StreamId::MIN);
    let mut options = call.args.skip(3);
    while !options.is_empty() {
        let has_value = options.len() > 1;
        if has_value && is_word(options.at(0), "entriesadded") {
            let negative = CommandError::Other("entries_added must be positive");
            new_added = Some(u64::try_from(integer(options.at(1))?).map_err(|_| negative)?);
        } else if has_value && is_word(options.at(0), "maxdeletedid") {
            new_deleted = id(options.at(1), 0)?;
            if last < new_deleted {
                return Err(CommandError::Other(
                    "The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(CommandError::Syntax);
        }
        options = options.skip(2);
    }
    let stream = call.value::<Stream>(key)?.ok_or(CommandError::Other("no such key"))?;
    let wrong = if last < stream.max_deleted() {
        Some("The ID specified in XSETID is smaller than current max_deleted_entry_id")
    } else if stream.last().is_some_and(|newest| last < newest.id) {
        Some("The ID specified in XSETID is smaller than the target stream top item")
    } else if !stream.is_empty() && new_added.is_some_and(|added| added < stream.len() as u64) {
        Some("The entries_added specified in XSETID is smaller than the target stream length")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        return Err(CommandError::Other(wrong));
    }
    let max_deleted = if new_deleted == StreamId::MIN { stream.max_deleted() } else { new_deleted };
    let added = new_added.unwrap_or_else(|| stream.added());
    call.change(key, Change::SetStream { last, max_deleted, added });
    call.notify(Events::STREAM, "xsetid", key);
    call.reply.ok();
    Ok(())
}
