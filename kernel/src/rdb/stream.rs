//! Streams: listpacks of entries, counters, and groups with their consumers and what they have not acknowledged.
//!
//! A listpack begins with the first entry's field names, how many entries there are and how many of them were deleted. Then
//! come the entries: flags, the ID as a difference, and the values, with names if these are others; behind each, how many
//! elements it has, for who comes from behind.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::packed::{Elements, listpack, size_of_back_length};
use super::read::{Bad, Bytes, Collected};
use super::types;
use super::write::{length, string};
use crate::effect::Change;
use crate::limits;
use crate::store::{Entry, Group, Piece, Stream, StreamId, Words, delivered_word, words};

/// Flags of an entry.
const DELETED: i64 = 1;
const SAME_NAMES: i64 = 2;
/// How many entries a group has read, where that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Reads a stream of this type.
pub(super) fn read(kind: u8, bytes: &mut Bytes<'_>) -> Result<Stream, Bad> {
    let mut stream = Stream::default();
    let (mut size, mut packed_size) = (0, 0);
    for _ in 0..bytes.plain_length()? {
        let base = StreamId::of_bytes(whole(&bytes.string()?)?);
        let packed = bytes.string()?;
        // What was deleted is in none of the entries, and takes its time.
        packed_size += packed.len();
        if packed_size > 2 * limits::MAX_BULK {
            return Err(Bad);
        }
        let entries = node(base, &packed)?;
        // Entries that are few bytes here may be many with all their names: the log takes no command of any size.
        size += entries.len();
        if size > limits::MAX_BULK {
            return Err(Bad);
        }
        let expected = stream.added() + Words::new(&entries).count() as u64;
        stream.change(&Change::AddEntries { apart: true, entries: Words::new(&entries) });
        // IDs that do not ascend are not added.
        if stream.added() != expected {
            return Err(Bad);
        }
    }
    let _entries = bytes.number()?;
    let last = id(bytes)?;
    let (mut max_deleted, mut added) = (StreamId::MIN, stream.len() as u64);
    if kind != types::STREAM {
        let _first = id(bytes)?;
        max_deleted = id(bytes)?;
        added = bytes.number()?;
    }
    stream.change(&Change::SetStream { last, max_deleted, added });
    for _ in 0..bytes.plain_length()? {
        group(kind, bytes, &mut stream)?;
    }
    Ok(stream)
}

fn whole<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Bad> {
    bytes.try_into().map_err(|_| Bad)
}

fn id(bytes: &mut Bytes<'_>) -> Result<StreamId, Bad> {
    Ok(StreamId { ms: bytes.number()?, seq: bytes.number()? })
}

/// A time in milliseconds; one before 1970 is none.
fn time(bytes: &mut Bytes<'_>) -> Result<Option<u64>, Bad> {
    Ok(u64::try_from(i64::from_le_bytes(bytes.chunk()?)).ok())
}

/// The entries of a listpack, as effects have them.
fn node(base: StreamId, packed: &[u8]) -> Result<Vec<u8>, Bad> {
    let mut elements = listpack(packed)?;
    let (left, deleted) = (elements.expect_integer()?, elements.expect_integer()?);
    let names_len = elements.expect_integer()?;
    let mut names = Collected::default();
    for _ in 0..names_len {
        names.push(&elements.expect()?)?;
    }
    if elements.expect_integer()? != 0 || left < 0 || deleted < 0 {
        return Err(Bad);
    }
    let mut entries = Collected::default();
    for _ in 0..left.checked_add(deleted).ok_or(Bad)? {
        entry(base, Words::new(&names.0), &mut elements, &mut entries)?;
    }
    if elements.next().is_none() && Words::new(&entries.0).count() as i64 == left { Ok(entries.0) } else { Err(Bad) }
}

/// Reads an entry, and keeps it unless it was deleted.
fn entry(base: StreamId, names: Words<'_>, elements: &mut Elements<'_>, entries: &mut Collected) -> Result<(), Bad> {
    let flags = elements.expect_integer()?;
    let (ms, seq) = (elements.expect_integer()?, elements.expect_integer()?);
    let id = StreamId { ms: base.ms.wrapping_add(ms as u64), seq: base.seq.wrapping_add(seq as u64) };
    let is_kept = flags & DELETED == 0;
    let mut fields = Collected::default();
    let mut count = 3;
    if flags & SAME_NAMES != 0 {
        for name in names {
            let value = elements.expect()?;
            if is_kept {
                fields.push(name)?;
                fields.push(&value)?;
            }
            count += 1;
        }
    } else {
        // More than there are bytes end too early all the same.
        let len = elements.expect_integer()?.clamp(0, i64::MAX / 4);
        for _ in 0..2 * len {
            let element = elements.expect()?;
            if is_kept {
                fields.push(&element)?;
            }
        }
        count += 1 + 2 * len;
    }
    if elements.expect_integer()? != count || is_kept && fields.0.is_empty() {
        return Err(Bad);
    }
    if is_kept { entries.push(&Stream::word(id, Words::new(&fields.0))) } else { Ok(()) }
}

fn group(kind: u8, bytes: &mut Bytes<'_>, stream: &mut Stream) -> Result<(), Bad> {
    let name = &bytes.string()?;
    let last = id(bytes)?;
    let read = match kind {
        types::STREAM => stream.added_up_to(last),
        _ => Some(bytes.number()?).filter(|read| *read != UNKNOWN),
    };
    if stream.group(name).is_some() {
        return Err(Bad);
    }
    stream.change(&Change::PutGroup { group: name, last, read });
    let mut pending = BTreeMap::new();
    for _ in 0..bytes.plain_length()? {
        let id = StreamId::of_bytes(bytes.chunk()?);
        let delivered = (time(bytes)?.unwrap_or_default(), bytes.number()?);
        if pending.insert(id, delivered).is_some() {
            return Err(Bad);
        }
    }
    for _ in 0..bytes.plain_length()? {
        consumer(kind, bytes, stream, name, &mut pending)?;
    }
    // What nobody has cannot be pending.
    if pending.is_empty() { Ok(()) } else { Err(Bad) }
}

/// Reads a consumer, whose entries are taken from those that are pending.
fn consumer(
    kind: u8,
    bytes: &mut Bytes<'_>,
    stream: &mut Stream,
    group: &[u8],
    pending: &mut BTreeMap<StreamId, (u64, u64)>,
) -> Result<(), Bad> {
    let consumer = &bytes.string()?;
    let seen = time(bytes)?.unwrap_or_default();
    let active = if kind == types::STREAM_3 { time(bytes)? } else { Some(seen) };
    if stream.group(group).is_none_or(|group| group.consumer(consumer).is_some()) {
        return Err(Bad);
    }
    stream.change(&Change::PutConsumer { group, consumer, seen, active });
    let mut entries = Vec::new();
    for _ in 0..bytes.plain_length()? {
        let id = StreamId::of_bytes(bytes.chunk()?);
        let (time, count) = pending.remove(&id).ok_or(Bad)?;
        words::push(&mut entries, &delivered_word(id, time, count));
    }
    stream.change(&Change::Pend { group, consumer, entries: Words::new(&entries) });
    Ok(())
}

/// Appends a stream in the form of Redis 7.0, behind its type. Entries that are kept in one piece are in one listpack: whoever
/// trims a stream nearly, by `~`, comes to the same on both sides.
pub(super) fn write(stream: &Stream, out: &mut Vec<u8>) {
    length(stream.blocks() as u64, out);
    for piece in stream.pieces() {
        if let Piece::Entries(entries) = piece {
            Node::of(Words::new(&entries)).write(out);
        }
    }
    write_rest(stream, out);
}

/// Whether these are the same streams, in however many pieces they are kept.
pub(super) fn is_same(a: &Stream, b: &Stream) -> bool {
    let rest = |stream: &Stream| {
        let mut rest = Vec::new();
        write_rest(stream, &mut rest);
        rest
    };
    let all = || StreamId::MIN..=StreamId::MAX;
    let is_same = |(a, b): (Entry<'_>, Entry<'_>)| a.id == b.id && a.fields().eq(b.fields());
    a.len() == b.len() && a.range(all()).zip(b.range(all())).all(is_same) && rest(a) == rest(b)
}

/// Everything but the entries.
fn write_rest(stream: &Stream, out: &mut Vec<u8>) {
    length(stream.len() as u64, out);
    let first = stream.first().map_or(StreamId::MIN, |entry| entry.id);
    for id in [stream.last_id(), first, stream.max_deleted()] {
        write_id(id, out);
    }
    length(stream.added(), out);
    length(stream.groups().len() as u64, out);
    for (name, group) in stream.groups() {
        string(name, out);
        write_group(group, out);
    }
}

fn write_id(id: StreamId, out: &mut Vec<u8>) {
    length(id.ms, out);
    length(id.seq, out);
}

fn write_group(group: &Group, out: &mut Vec<u8>) {
    let all = StreamId::MIN..=StreamId::MAX;
    write_id(group.last, out);
    length(group.read.unwrap_or(UNKNOWN), out);
    length(group.pending_len() as u64, out);
    for (id, pending) in group.all_pending(None, all) {
        out.extend_from_slice(&id.bytes());
        out.extend_from_slice(&pending.time.to_le_bytes());
        length(pending.count, out);
    }
    length(group.consumers().len() as u64, out);
    for (name, consumer) in group.consumers() {
        string(name, out);
        out.extend_from_slice(&consumer.seen.to_le_bytes());
        length(consumer.pending() as u64, out);
        consumer.pending_from(StreamId::MIN).for_each(|id| out.extend_from_slice(&id.bytes()));
    }
}

/// A listpack of entries that is being written.
#[derive(Default)]
struct Node<'a> {
    base: StreamId,
    names: Vec<&'a [u8]>,
    entries: Listpack,
    count: i64,
}

impl<'a> Node<'a> {
    /// Of entries as effects have them.
    fn of(entries: Words<'a>) -> Self {
        let mut node = Node::default();
        for entry in entries {
            if let Some((id, fields)) = entry.split_first_chunk() {
                node.push(StreamId::of_bytes(*id), Words::new(fields));
            }
        }
        node
    }

    fn push(&mut self, id: StreamId, fields: Words<'a>) {
        if self.count == 0 {
            self.base = id;
            self.names = fields.pairs().map(|(name, _)| name).collect();
        }
        let is_same = self.names.iter().copied().eq(fields.pairs().map(|(name, _)| name));
        let (entries, len) = (&mut self.entries, fields.pairs().count() as i64);
        entries.integer(if is_same { SAME_NAMES } else { 0 });
        entries.integer(id.ms.wrapping_sub(self.base.ms) as i64);
        entries.integer(id.seq.wrapping_sub(self.base.seq) as i64);
        if !is_same {
            entries.integer(len);
        }
        for (name, value) in fields.pairs() {
            if !is_same {
                entries.text(name);
            }
            entries.text(value);
        }
        entries.integer(if is_same { 3 + len } else { 4 + 2 * len });
        self.count += 1;
    }

    fn write(self, out: &mut Vec<u8>) {
        let mut head = Listpack::default();
        head.integer(self.count);
        // None of them is deleted.
        head.integer(0);
        head.integer(self.names.len() as i64);
        self.names.iter().for_each(|name| head.text(name));
        head.integer(0);
        string(&self.base.bytes(), out);
        string(&head.closed_with(&self.entries), out);
    }
}

/// Elements of a listpack, without its head and its end.
#[derive(Default)]
struct Listpack {
    bytes: Vec<u8>,
    count: usize,
}

impl Listpack {
    fn integer(&mut self, number: i64) {
        if let 0..=0x7f = number {
            self.element(&[number as u8], &[]);
        } else if let Ok(number) = i16::try_from(number) {
            self.element(&[0xf1], &number.to_le_bytes());
        } else if let Ok(number) = i32::try_from(number) {
            self.element(&[0xf3], &number.to_le_bytes());
        } else {
            self.element(&[0xf4], &number.to_le_bytes());
        }
    }

    fn text(&mut self, text: &[u8]) {
        match text.len() {
            len @ 0..0x40 => self.element(&[0x80 | len as u8], text),
            len @ 0x40..0x1000 => self.element(&[0xe0 | (len >> 8) as u8, len as u8], text),
            len => {
                let [a, b, c, d] = (len as u32).to_le_bytes();
                self.element(&[0xf0, a, b, c, d], text);
            }
        }
    }

    fn element(&mut self, head: &[u8], body: &[u8]) {
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(body);
        let size = head.len() + body.len();
        // Seven bits a byte, the highest first, which is the last from behind.
        for place in (0..size_of_back_length(size)).rev() {
            let more = if place + 1 < size_of_back_length(size) { 0x80 } else { 0 };
            self.bytes.push((size >> (7 * place)) as u8 & 0x7f | more);
        }
        self.count += 1;
    }

    fn closed_with(self, rest: &Listpack) -> Vec<u8> {
        /// Bytes of the head, and of the end.
        const AROUND: usize = 6 + 1;
        let size = AROUND + self.bytes.len() + rest.bytes.len();
        // A number that it has no room for says that it is not known.
        let count = u16::try_from(self.count + rest.count).unwrap_or(u16::MAX);
        [&(size as u32).to_le_bytes()[..], &count.to_le_bytes(), &self.bytes, &rest.bytes, &[0xff]].concat()
    }
}
