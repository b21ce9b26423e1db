//! The entries of a stream, in the order of their IDs.
//!
//! They stand in blocks, one behind the other. A block has the first ID and the field names of its first entry once, and
//! its entries have what differs from that: an entry with the same names costs its values, a byte for the length of each,
//! and four or five bytes. Entries are appended to the last block until somebody says that a new one begins.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use bincode::{Decode, Encode};

use super::words::{self, Words, push_number, take_number};

/// The ID of an entry: milliseconds since 1970, and a number among the entries of the same millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct StreamId {
    pub ms: u64,
    pub seq: u64,
}

/// Bytes of an ID whose order is that of the IDs.
pub(super) const ID_BYTES: usize = 16;

impl core::fmt::Display for StreamId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl StreamId {
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// What effects hold: bytes whose order is that of the IDs.
    pub fn bytes(self) -> [u8; ID_BYTES] {
        (u128::from(self.ms) << u64::BITS | u128::from(self.seq)).to_be_bytes()
    }

    /// See [`StreamId::bytes`].
    pub fn of_bytes(bytes: [u8; ID_BYTES]) -> Self {
        let number = u128::from_be_bytes(bytes);
        Self { ms: (number >> u64::BITS) as u64, seq: number as u64 }
    }
}

/// An entry of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub id: StreamId,
    /// The names of its fields, if they are those of the block; else each stands before its value.
    names: Option<Words<'a>>,
    values: Words<'a>,
    len: usize,
}

impl<'a> Entry<'a> {
    /// How many fields it has.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn fields(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let (mut names, mut values) = (self.names, self.values);
        core::iter::from_fn(move || {
            let name = match &mut names {
                Some(names) => names.next()?,
                None => values.next()?,
            };
            Some((name, values.next()?))
        })
    }
}

/// Which entries of a stream are to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// So many of the newest.
    Newest(usize),
    /// Those from this ID on.
    From(StreamId),
}

/// Bytes for which a new block makes room at once, at most: as many as one has by default, and an entry.
const LIKELY: usize = 5 << 10;

/// All entries of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    /// All blocks but the last, by the ID with which they began. None of them is empty.
    closed: BTreeMap<StreamId, Block>,
    /// Empty only if all is.
    last: Block,
    len: usize,
    cost: usize,
}

/// Entries one behind the other: the number of names and the names, then each entry as what [`Block::push`] writes.
#[derive(Clone, Debug, Default)]
struct Block {
    /// The ID of the entry that it began with, which may be gone.
    base: StreamId,
    bytes: Vec<u8>,
    count: usize,
}

impl Entries {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn blocks(&self) -> usize {
        self.closed.len() + usize::from(self.len > 0)
    }

    /// Bytes accounted for them.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// Whether the last block has so many entries or bytes; zero: as many as it likes.
    pub fn is_full(&self, most_entries: usize, most_bytes: usize) -> bool {
        let has_reached = |has: usize, most: usize| most > 0 && has >= most;
        has_reached(self.last.count, most_entries) || has_reached(self.last.bytes.len(), most_bytes)
    }

    pub fn first(&self) -> Option<Entry<'_>> {
        self.all_blocks().next()?.entries().next()
    }

    pub fn last(&self) -> Option<Entry<'_>> {
        self.last.entries().last()
    }

    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.block_of(id)?.entries().find(|entry| entry.id == id)
    }

    /// In ascending order.
    pub fn range(&self, ids: RangeInclusive<StreamId>) -> impl Iterator<Item = Entry<'_>> {
        let (from, to) = ids.into_inner();
        let begins = |(base, _): (&StreamId, _)| *base;
        let first = if self.last.base <= from { from } else { self.before(from).next_back().map_or(from, begins) };
        let closed = self.closed.range(first..).map(|(_, block)| block);
        let all = closed.chain([&self.last]).flat_map(Block::entries);
        all.skip_while(move |entry| entry.id < from).take_while(move |entry| entry.id <= to)
    }

    /// In descending order.
    pub fn range_back(&self, ids: RangeInclusive<StreamId>) -> impl Iterator<Item = Entry<'_>> {
        let (from, to) = ids.into_inner();
        let last = (self.last.base <= to).then_some(&self.last);
        let closed = self.before(to).rev().map(|(_, block)| block);
        let all =
            last.into_iter().chain(closed).flat_map(|block| block.entries().collect::<Vec<_>>().into_iter().rev());
        all.skip_while(move |entry| entry.id > to).take_while(move |entry| entry.id >= from)
    }

    /// The closed blocks that begin with this ID or before.
    fn before(&self, id: StreamId) -> alloc::collections::btree_map::Range<'_, StreamId, Block> {
        self.closed.range(..=id)
    }

    fn block_of(&self, id: StreamId) -> Option<&Block> {
        if self.last.base <= id {
            return Some(&self.last);
        }
        self.before(id).next_back().map(|(_, block)| block)
    }

    fn all_blocks(&self) -> impl Iterator<Item = &Block> {
        self.closed.values().chain((self.len > 0).then_some(&self.last))
    }

    /// How many at the front are not to stay. `whole` is for those who are content with less: blocks go as a whole or
    /// not at all, and not more than this number of entries, if it is not zero.
    pub fn beyond(&self, keep: Keep, whole: Option<usize>) -> usize {
        let excess = match keep {
            Keep::Newest(most) => self.len.saturating_sub(most),
            Keep::From(_) => usize::MAX,
        };
        let mut count = 0;
        for block in self.all_blocks() {
            let goes = match keep {
                Keep::Newest(_) => block.count.min(excess - count),
                Keep::From(id) => block.entries().take_while(|entry| entry.id < id).count(),
            };
            let limit = whole.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
            if whole.is_some() && (goes < block.count || count + goes > limit) {
                break;
            }
            count += goes;
            if goes < block.count {
                break;
            }
        }
        count
    }

    /// Appends an entry, whose ID is above all others; in a new block if it is to stand apart.
    pub fn push(&mut self, id: StreamId, fields: Words<'_>, apart: bool) {
        if apart && self.len > 0 {
            let mut full = core::mem::take(&mut self.last);
            words::fit(&mut full.bytes);
            // The next one will probably grow as large, but for an entry that is larger than others.
            self.last.bytes.reserve_exact(full.bytes.len().min(LIKELY));
            self.closed.insert(full.base, full);
        }
        self.change_last(|last| last.push(id, fields));
        self.len += 1;
    }

    /// Takes an entry away; whether there was one.
    pub fn remove(&mut self, id: StreamId) -> bool {
        let mut removed = false;
        if self.last.base <= id {
            self.change_last(|last| removed = last.remove(id));
        } else if let Some((base, block)) = self.closed.range_mut(..=id).next_back() {
            self.cost -= block.cost();
            removed = block.remove(id);
            self.cost += block.cost();
            if block.count == 0 {
                let base = *base;
                self.closed.remove(&base);
            }
        }
        self.len -= usize::from(removed);
        self.reopen();
        removed
    }

    /// Takes so many from the front.
    pub fn drop_front(&mut self, count: usize) {
        let mut left = count.min(self.len);
        self.len -= left;
        while left > 0
            && let Some(mut first) = self.closed.first_entry()
        {
            let block = first.get_mut();
            self.cost -= block.cost();
            if block.count > left {
                block.drop_front(left);
                self.cost += block.cost();
                return;
            }
            left -= block.count;
            first.remove();
        }
        self.change_last(|last| last.drop_front(left));
    }

    fn change_last(&mut self, change: impl FnOnce(&mut Block)) {
        self.cost -= self.last.cost();
        change(&mut self.last);
        self.cost += self.last.cost();
    }

    /// A last block that has become empty gives way to the one before.
    fn reopen(&mut self) {
        if self.last.count == 0
            && let Some((_, block)) = self.closed.pop_last()
        {
            self.last = block;
        }
    }

    pub fn check(&self) {
        let mut before = None;
        for block in self.all_blocks() {
            assert!(block.count > 0, "an empty block");
            assert_eq!(block.count, block.entries().count());
            for entry in block.entries() {
                assert!(before < Some(entry.id) && block.base <= entry.id, "in order");
                assert_eq!(entry.len, entry.fields().count());
                before = Some(entry.id);
            }
        }
        assert_eq!(self.len, self.all_blocks().map(|block| block.count).sum::<usize>());
        assert_eq!(self.cost, self.all_blocks().map(Block::cost).sum::<usize>());
        assert!(self.len > 0 || self.closed.is_empty());
        assert!(self.closed.iter().all(|(base, block)| *base == block.base && *base < self.last.base));
    }

    /// Each block's entries, as [`AddEntries`](crate::effect::Change::AddEntries) has them.
    pub fn pieces(&self) -> impl Iterator<Item = Vec<u8>> {
        self.all_blocks().map(|block| {
            let mut out = Vec::new();
            for entry in block.entries() {
                words::push(&mut out, &word(entry.id, entry.fields().flat_map(|(name, value)| [name, value])));
            }
            out
        })
    }
}

/// An entry as effects hold it: its ID, then names and values as words.
pub(super) fn word<'a>(id: StreamId, fields: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut word = id.bytes().to_vec();
    fields.into_iter().for_each(|field| words::push(&mut word, field));
    word
}

impl Block {
    /// What it is accounted for: its bytes, and itself with its place in the tree. An empty one is no block.
    fn cost(&self) -> usize {
        /// A node of the tree is a little more than half full.
        const BLOCK: usize = 2 * (size_of::<Block>() + size_of::<StreamId>());
        if self.count == 0 { 0 } else { BLOCK + self.bytes.len() }
    }

    /// The names, how many they are, and where they end.
    fn names(&self) -> (Words<'_>, usize, usize) {
        let Some((len, rest)) = take_number(&self.bytes) else { return (Words::default(), 0, 0) };
        let mut behind = Words::new(rest);
        let len = behind.by_ref().take(len as usize).count();
        let names = &rest[..rest.len() - behind.left()];
        (Words::new(names), len, self.bytes.len() - behind.left())
    }

    /// Whether its names are these; no further than to the first that is another.
    fn has_names<'a>(&self, names: impl Iterator<Item = &'a [u8]>) -> bool {
        take_number(&self.bytes).is_some_and(|(len, rest)| Words::new(rest).take(len as usize).eq(names))
    }

    fn entries(&self) -> BlockEntries<'_> {
        let (names, names_len, end) = self.names();
        BlockEntries { base: self.base, names, names_len, rest: &self.bytes[end..] }
    }

    /// Appends an entry: how far its ID is from the first; zero if the names are those of the block, else how many fields
    /// there are and one more, and the names; the values.
    fn push(&mut self, id: StreamId, fields: Words<'_>) {
        let mut encoded = Vec::new();
        let len = fields.pairs().count();
        if self.count == 0 {
            self.base = id;
            push_number(&mut encoded, len as u64);
            fields.pairs().for_each(|(name, _)| words::push(&mut encoded, name));
        }
        let ms = id.ms - self.base.ms;
        push_number(&mut encoded, ms);
        push_number(&mut encoded, if ms == 0 { id.seq - self.base.seq } else { id.seq });
        if self.count == 0 || self.has_names(fields.pairs().map(|(name, _)| name)) {
            push_number(&mut encoded, 0);
            fields.pairs().for_each(|(_, value)| words::push(&mut encoded, value));
        } else {
            push_number(&mut encoded, len as u64 + 1);
            fields.pairs().flat_map(|(name, value)| [name, value]).for_each(|word| words::push(&mut encoded, word));
        }
        words::make_room(&mut self.bytes, encoded.len());
        self.bytes.extend_from_slice(&encoded);
        self.count += 1;
    }

    fn remove(&mut self, id: StreamId) -> bool {
        let mut entries = self.entries();
        let mut start = self.bytes.len() - entries.rest.len();
        while let Some(entry) = entries.next() {
            let end = self.bytes.len() - entries.rest.len();
            if entry.id == id {
                self.cut(start..end, 1);
                return true;
            }
            start = end;
        }
        false
    }

    fn drop_front(&mut self, count: usize) {
        let mut entries = self.entries();
        let start = self.bytes.len() - entries.rest.len();
        let count = entries.by_ref().take(count).count();
        let end = self.bytes.len() - entries.rest.len();
        self.cut(start..end, count);
    }

    fn cut(&mut self, bytes: core::ops::Range<usize>, count: usize) {
        self.count -= count;
        if self.count == 0 {
            *self = Self::default();
        } else {
            self.bytes.drain(bytes);
        }
    }
}

/// Forwards through the entries of a block.
#[derive(Clone, Debug)]
struct BlockEntries<'a> {
    base: StreamId,
    names: Words<'a>,
    names_len: usize,
    rest: &'a [u8],
}

impl<'a> Iterator for BlockEntries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (ms, rest) = take_number(self.rest)?;
        let (seq, rest) = take_number(rest)?;
        let (own, rest) = take_number(rest)?;
        let seq = if ms == 0 { self.base.seq.wrapping_add(seq) } else { seq };
        let id = StreamId { ms: self.base.ms.wrapping_add(ms), seq };
        let (names, len) = match own.checked_sub(1) {
            None => (Some(self.names), self.names_len),
            Some(len) => (None, len as usize),
        };
        let mut behind = Words::new(rest);
        behind.by_ref().take(if names.is_some() { len } else { 2 * len }).for_each(drop);
        let values = Words::new(&rest[..rest.len() - behind.left()]);
        self.rest = behind.bytes();
        Some(Entry { id, names, values, len })
    }
}
