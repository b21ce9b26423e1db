//! A table of items: a directory of small segments by the first bits of their keys' hashes. A segment that is full is
//! split by its next bit, so no operation moves more than one of them.

use alloc::vec;
use alloc::vec::Vec;

use super::hasher::KeyHasher;
use super::segment::{FULL, MOST_SLOTS, Segment, Stamp, Stored, TAG_BITS};
use crate::limits;
use crate::random::Random;

/// Bits of a position in hash order.
const POSITION_BITS: u32 = 42;
/// Bits of a cursor: few enough for clients that keep numbers as doubles.
const CURSOR_BITS: u32 = 53;
/// Bits of a hash that choose a segment, at most.
const MAX_DEPTH: u32 = POSITION_BITS - TAG_BITS;
/// Two neighbours with fewer items than this become one.
const JOINED: usize = FULL / 2;
/// Depth that a table is given at once when many items are about to come.
const MAX_RESERVED_DEPTH: u32 = 16;

/// How often an item is drawn from where there may be none: enough that it is in vain once in 10^7 times if an eighth of the
/// slots is taken.
const RANDOM_TRIES: u32 = 128;

/// A table of items.
#[derive(Clone, Debug)]
pub(super) struct Table<I> {
    /// By the first `depth` bits of a hash: where its segment is.
    directory: Vec<u32>,
    depth: u32,
    segments: Vec<Segment<I>>,
    /// Places of `segments` that are free.
    vacant: Vec<u32>,
    len: usize,
    hasher: KeyHasher,
}

/// Where an item is, as long as the table is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    segment: usize,
    slot: usize,
}

/// The first bits of a hash, as a number.
fn first_bits(hash: u64, bits: u32) -> usize {
    hash.checked_shr(64 - bits).unwrap_or(0) as usize
}

impl<I: Stored> Table<I> {
    pub(super) fn new(hasher: KeyHasher) -> Self {
        Self { directory: vec![0], depth: 0, segments: vec![Segment::new(0)], vacant: Vec::new(), len: 0, hasher }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    fn segment_of(&self, hash: u64) -> usize {
        self.directory[first_bits(hash, self.depth)] as usize
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        let segment = self.segment_of(hash);
        let slot = self.segments[segment].find(hash, key)?;
        Some(Place { segment, slot })
    }

    /// Reads what searches for these hashes are about to read, step by step for all of them: the waits for memory, which
    /// are most of a search, are then waited for together. Gives what they most likely find.
    pub(super) fn fetch(&self, hashes: &[u64]) -> [Option<&I>; limits::KEYS_AHEAD] {
        let tags = hashes.iter().fold(0, |sum, hash| sum ^ self.touch(*hash));
        // What nobody looks at would not be read.
        core::hint::black_box(tags);
        let mut items = [None; limits::KEYS_AHEAD];
        for (item, hash) in items.iter_mut().zip(hashes) {
            *item = self.likely(*hash);
        }
        let bytes = items.iter().flatten().fold(0, |sum, item| sum ^ item.touch());
        core::hint::black_box(bytes);
        items
    }

    /// See [`Segment::touch`].
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u16 {
        self.segments[self.segment_of(hash)].touch(hash)
    }

    /// See [`Segment::likely`].
    #[inline]
    pub(super) fn likely(&self, hash: u64) -> Option<&I> {
        self.segments[self.segment_of(hash)].likely(hash)
    }

    /// # Panics
    /// If the table was changed since the place was found, perhaps.
    #[inline]
    pub(super) fn at(&self, place: Place) -> &I {
        self.segments[place.segment].at(place.slot)
    }

    /// Lets the item of a key be changed, if there is one.
    pub(super) fn update(&mut self, hash: u64, key: &[u8], change: impl FnOnce(&mut I)) -> bool {
        let i = self.segment_of(hash);
        let segment = &mut self.segments[i];
        let Some(item) = segment.get_mut(hash, key) else { return false };
        change(item);
        let deadline = item.deadline();
        segment.note_deadline(deadline);
        true
    }

    /// When the item at a place that was just found was used.
    #[inline]
    pub(super) fn stamp(&self, place: Place) -> Stamp {
        self.segments[place.segment].stamp(place.slot)
    }

    /// Notes when the item at a place that was just found was used.
    #[inline]
    pub(super) fn set_stamp(&mut self, place: Place, stamp: Stamp) {
        self.segments[place.segment].set_stamp(place.slot, stamp);
    }

    /// Forgets when items were used.
    pub(super) fn forget_stamps(&mut self) {
        self.segments.iter_mut().for_each(Segment::forget_stamps);
    }

    /// Adds an item whose key is not there.
    pub(super) fn insert(&mut self, hash: u64, item: I, stamp: Stamp) {
        let mut i = self.segment_of(hash);
        while self.segments[i].len() >= FULL && self.segments[i].depth < MAX_DEPTH {
            self.split(i, hash);
            i = self.segment_of(hash);
        }
        self.segments[i].insert(hash, item, stamp);
        self.len += 1;
    }

    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) -> Option<I> {
        let i = self.segment_of(hash);
        let removed = self.segments[i].remove(hash, key)?;
        self.len -= 1;
        self.join(hash);
        Some(removed)
    }

    fn split(&mut self, i: usize, hash: u64) {
        if self.segments[i].depth == self.depth {
            self.directory = self.directory.iter().flat_map(|i| [*i, *i]).collect();
            self.depth += 1;
        }
        let [low, high] = self.segments[i].split(&self.hasher);
        let depth = high.depth;
        self.segments[i] = low;
        let new = self.vacant.pop().unwrap_or_else(|| {
            self.segments.push(Segment::new(0));
            // Segments are hundreds of items: their number fits.
            self.segments.len() as u32 - 1
        });
        self.segments[new as usize] = high;
        let range = self.range(hash, depth - 1);
        let middle = range.start.midpoint(range.end);
        self.directory[middle..range.end].fill(new);
    }

    /// The places in the directory of all hashes that share the first `depth` bits with this one.
    fn range(&self, hash: u64, depth: u32) -> core::ops::Range<usize> {
        let width = 1 << (self.depth - depth);
        let start = first_bits(hash, depth) * width;
        start..start + width
    }

    /// Joins a segment that has become small with its neighbour, if that is as small.
    fn join(&mut self, hash: u64) {
        let i = self.segment_of(hash);
        let depth = self.segments[i].depth;
        if depth == 0 || self.segments[i].len() * 2 > JOINED {
            return;
        }
        let range = self.range(hash, depth - 1);
        let (a, b) = (self.directory[range.start] as usize, self.directory[range.end - 1] as usize);
        if self.segments[a].depth != self.segments[b].depth || self.segments[a].len() + self.segments[b].len() > JOINED
        {
            return;
        }
        let [low, high] = [a, b].map(|i| core::mem::replace(&mut self.segments[i], Segment::new(0)));
        self.segments[a] = low.join(high, &self.hasher);
        self.directory[range].fill(a as u32);
        self.vacant.push(b as u32);
        self.halve();
    }

    /// Halves the directory if no segment needs its last bit and it is far too large.
    fn halve(&mut self) {
        let used = self.segments.len() - self.vacant.len();
        if used * 4 > self.directory.len() || self.segments.iter().any(|s| s.depth == self.depth) {
            return;
        }
        self.directory = self.directory.iter().step_by(2).copied().collect();
        self.depth -= 1;
    }

    /// Makes room for so many items in advance.
    pub(super) fn reserve(&mut self, items: u64) {
        if self.len > 0 {
            return;
        }
        let segments = items.div_ceil(FULL as u64 * 3 / 4).max(1).next_power_of_two();
        let depth = segments.ilog2().min(MAX_RESERVED_DEPTH);
        self.depth = depth;
        self.segments = (0..1 << depth).map(|_| Segment::new(depth)).collect();
        self.directory = (0..1 << depth).collect();
    }

    /// All items in hash order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &I> {
        self.segments_in_order().flat_map(|i| self.segments[i].iter())
    }

    fn segments_in_order(&self) -> impl Iterator<Item = usize> {
        let mut at = 0;
        core::iter::from_fn(move || {
            let i = *self.directory.get(at)? as usize;
            at += 1 << (self.depth - self.segments[i].depth);
            Some(i)
        })
    }

    /// Visits about `count` items from a cursor on and gives the next cursor; zero is the first, and the end.
    ///
    /// A walk from zero to zero visits every item that is there all the time, however the table grows or shrinks meanwhile,
    /// some of them twice. Looks at no more than `count` slots and what shares the last one's tag, plus one segment's free
    /// slots. The cursor of another memory means nothing here, for keys have another order there: the walk begins anew.
    pub(super) fn scan<'a>(&'a self, cursor: u64, count: usize, visit: impl FnMut(&'a I)) -> u64 {
        let own = self.hasher.mark(CURSOR_BITS - POSITION_BITS);
        let is_own = cursor >> POSITION_BITS == own;
        let position = if is_own { cursor & ((1 << POSITION_BITS) - 1) } else { 0 };
        let next = self.visit_from(position, count, visit);
        if next == 0 { 0 } else { own << POSITION_BITS | next }
    }

    /// Visits about `count` items from a position in hash order on, and gives the next position; zero at the end.
    fn visit_from<'a>(&'a self, position: u64, count: usize, mut visit: impl FnMut(&'a I)) -> u64 {
        let mut position = position << (64 - POSITION_BITS);
        let mut visited = 0;
        loop {
            let segment = &self.segments[self.segment_of(position)];
            let mut last = None;
            for (tag, item) in segment.items_from(segment.tag(position)) {
                if visited >= count && last != Some(tag) {
                    let prefix = first_bits(position, segment.depth) as u64;
                    let next = (prefix << TAG_BITS | u64::from(tag)) << (POSITION_BITS - TAG_BITS - segment.depth);
                    return next;
                }
                visit(item);
                visited += 1;
                last = Some(tag);
            }
            let next_prefix = first_bits(position, segment.depth) as u64 + 1;
            if next_prefix >> segment.depth != 0 {
                return 0;
            }
            position = next_prefix << (64 - segment.depth);
            // An empty segment costs as much to look at as an item.
            visited += 1;
            if visited >= count {
                return position >> (64 - POSITION_BITS);
            }
        }
    }

    /// An item chosen by 64 random bits, each as likely as any other, if there is any.
    pub(super) fn random(&self, bits: u64) -> Option<&I> {
        let mut random = Random::new(bits);
        // A segment is drawn and a slot in it as if all had the most there are; where there is nothing, both are drawn again.
        let tries = if self.directory.len() > 1 { RANDOM_TRIES } else { 0 };
        for _ in 0..tries {
            let (at, slot) = (random.below(self.directory.len()), random.below(MOST_SLOTS));
            let segment = &self.segments[self.directory[at] as usize];
            // Of the places in the directory that a segment has, the first counts.
            let is_first = at.is_multiple_of(1 << (self.depth - segment.depth));
            if is_first && let Some(item) = segment.item(slot) {
                return Some(item);
            }
        }
        // Most of it is free: then they are counted.
        let mut place = random.below(self.len);
        for i in self.segments_in_order() {
            let segment = &self.segments[i];
            if place < segment.len() {
                return segment.iter().nth(place);
            }
            place -= segment.len();
        }
        None
    }

    /// Visits up to `count` items that stand together at a place chosen by 64 random bits, with their stamps; only such as
    /// have a deadline, if those are wanted. Visits none only if there is none.
    pub(super) fn sample(&mut self, bits: u64, count: usize, volatile: bool, mut visit: impl FnMut(&I, Stamp)) {
        let mut at = first_bits(bits, self.depth);
        let mut visited = 0;
        let mut left = self.directory.len();
        while left > 0 && visited == 0 {
            let segment = &mut self.segments[self.directory[at] as usize];
            // A segment is drawn as often as it has places in the directory, which is about as often as it has items.
            let width = 1 << (self.depth - segment.depth);
            at = (at / width + 1) * width % self.directory.len();
            left = left.saturating_sub(width);
            if volatile && segment.earliest == u64::MAX {
                continue;
            }
            let items = segment.items_around(bits as u32).filter(|(item, _)| !volatile || item.deadline().is_some());
            for (item, stamp) in items.take(count) {
                visit(item, stamp);
                visited += 1;
            }
            if volatile && visited == 0 {
                // It had some once: it is not searched again for them.
                segment.earliest = u64::MAX;
            }
        }
    }

    /// Visits the items whose deadline has passed in the next segment that may have any, from place `from` on; who
    /// visits them removes them. Returns where to go on, or `None` if there is no such segment up to the end.
    pub(super) fn expired(&mut self, now: u64, from: usize, mut visit: impl FnMut(&I)) -> Option<usize> {
        let i = (from..self.segments.len()).find(|i| self.segments[*i].earliest <= now)?;
        let segment = &mut self.segments[i];
        let mut earliest = u64::MAX;
        for item in segment.iter() {
            match item.deadline() {
                Some(deadline) if deadline <= now => visit(item),
                Some(deadline) => earliest = earliest.min(deadline),
                None => {}
            }
        }
        segment.earliest = earliest;
        Some(i + 1)
    }

    /// Asserts what must hold between its parts.
    pub(super) fn check(&self) {
        assert_eq!(self.directory.len(), 1 << self.depth);
        assert_eq!(self.len, self.segments.iter().map(Segment::len).sum::<usize>());
        let mut at = 0;
        let mut seen = vec![false; self.segments.len()];
        for i in self.segments_in_order() {
            let segment = &self.segments[i];
            assert!(!core::mem::replace(&mut seen[i], true), "a segment stands in one place");
            let width = 1usize << (self.depth - segment.depth);
            assert!(self.directory[at..at + width].iter().all(|place| *place as usize == i));
            for item in segment.iter() {
                let place = first_bits(self.hasher.hash(item.key()), self.depth);
                assert!((at..at + width).contains(&place), "an item is in its hash's segment");
            }
            segment.check(&self.hasher);
            at += width;
        }
        for vacant in &self.vacant {
            assert!(!core::mem::replace(&mut seen[*vacant as usize], true), "what is vacant is in no place");
        }
        assert!(seen.into_iter().all(|seen| seen), "every segment is in the directory");
    }
}
