//! A part of a table: items whose hashes share their first bits, in the order of the bits that follow.
//!
//! Linear probing where every item stands in the order of its tag, so that a search ends as soon as it meets a larger
//! one, a table may be nearly full, and a position in hash order can be found again.

use alloc::vec::Vec;

use super::hasher::KeyHasher;

/// The bits of a hash that follow the segment's own, and a mark that the slot is taken.
type Tag = u16;

/// Bits of a tag that come from the hash.
pub(super) const TAG_BITS: u32 = 15;
const TAKEN: Tag = 1 << TAG_BITS;
const EMPTY: Tag = 0;

/// When, or how often, an item was last used, as [`Eviction`](crate::eviction::Eviction) writes it; [`UNUSED`] if that
/// was not noted.
pub(crate) type Stamp = u32;
pub(crate) const UNUSED: Stamp = 0;

/// Items of a full segment: it is split before it takes another.
pub(super) const FULL: usize = 1024;
/// No segment has as many slots: a third more than items, and what neighbours push behind them.
pub(super) const MOST_SLOTS: usize = 2 * FULL;
/// Slots of the smallest segment that has any.
const SMALLEST: usize = 4;
/// Slots behind the homes that are made room for at once.
const BEHIND: usize = 8;

/// What a table is made of. Its default stands in free slots.
pub(super) trait Stored: Default {
    fn key(&self) -> &[u8];

    /// When it is to be looked at again, if ever.
    fn deadline(&self) -> Option<u64>;

    /// Reads what a look at its key and at its end would wait for.
    fn touch(&self) -> u8;
}

/// A part of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment<I> {
    /// By slot. As long as `slots`.
    tags: Vec<Tag>,
    slots: Vec<I>,
    /// By slot: empty as long as nothing was noted, else as long as `slots`.
    stamps: Vec<Stamp>,
    /// Slots that are some tag's home. Behind them stand only items that their neighbours pushed there.
    homes: usize,
    len: usize,
    /// How many leading bits its items' hashes share.
    pub(super) depth: u32,
    /// No item's deadline is earlier than this.
    pub(super) earliest: u64,
}

impl<I: Stored> Segment<I> {
    pub(super) fn new(depth: u32) -> Self {
        Self { depth, earliest: u64::MAX, ..Self::default() }
    }

    /// An empty one with room for so many items.
    fn with_room(depth: u32, items: usize) -> Self {
        let homes = if items == 0 { 0 } else { (items * 4 / 3).max(SMALLEST) };
        let mut empty = Self { homes, ..Self::new(depth) };
        empty.tags.reserve_exact(homes + BEHIND);
        empty.slots.reserve_exact(homes + BEHIND);
        empty.tags.resize(homes, EMPTY);
        empty.slots.resize_with(homes, I::default);
        empty
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The tag of a hash here.
    pub(super) fn tag(&self, hash: u64) -> u16 {
        ((hash << self.depth) >> (64 - TAG_BITS)) as u16
    }

    fn home(&self, tag: Tag) -> usize {
        (usize::from(tag & !TAKEN) * self.homes) >> TAG_BITS
    }

    /// Reads the first tag that a search for this hash looks at.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u16 {
        self.tags.get(self.home(self.tag(hash))).copied().unwrap_or_default()
    }

    /// The first slot whose tag is that of this hash: most often that of its key.
    #[inline]
    pub(super) fn likely(&self, hash: u64) -> Option<&I> {
        let wanted = self.tag(hash) | TAKEN;
        let start = self.home(wanted);
        let i = self.tags.get(start..)?.iter().position(|tag| *tag == EMPTY || *tag >= wanted)?;
        self.item(start + i)
    }

    /// The item in a slot, if there is such a slot and it is taken.
    #[inline]
    pub(super) fn item(&self, slot: usize) -> Option<&I> {
        self.tags.get(slot).filter(|tag| **tag != EMPTY).map(|_| &self.slots[slot])
    }

    /// The slot of a key's item.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let wanted = self.tag(hash) | TAKEN;
        let start = self.home(wanted);
        for (i, tag) in self.tags.get(start..)?.iter().enumerate() {
            if *tag == wanted {
                let at = start + i;
                if self.slots[at].key() == key {
                    return Some(at);
                }
            } else if *tag == EMPTY || *tag > wanted {
                break;
            }
        }
        None
    }

    /// The item in a slot where one was found.
    #[inline]
    pub(super) fn at(&self, slot: usize) -> &I {
        &self.slots[slot]
    }

    pub(super) fn get_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut I> {
        let at = self.find(hash, key)?;
        Some(&mut self.slots[at])
    }

    /// When the item in a slot was used.
    #[inline]
    pub(super) fn stamp(&self, slot: usize) -> Stamp {
        self.stamps.get(slot).copied().unwrap_or(UNUSED)
    }

    /// Notes when the item in a slot was used.
    #[inline]
    pub(super) fn set_stamp(&mut self, slot: usize, stamp: Stamp) {
        if self.stamps.is_empty() && stamp != UNUSED {
            self.stamps.reserve_exact(self.tags.capacity());
            self.stamps.resize(self.tags.len(), UNUSED);
        }
        if let Some(place) = self.stamps.get_mut(slot) {
            *place = stamp;
        }
    }

    /// Forgets when items were used.
    pub(super) fn forget_stamps(&mut self) {
        self.stamps = Vec::new();
    }

    /// Adds an item whose key is not there.
    pub(super) fn insert(&mut self, hash: u64, item: I, stamp: Stamp) {
        debug_assert!(self.find(hash, item.key()).is_none());
        if (self.len + 1) * 8 > self.homes * 7 {
            self.resize(self.len + 1);
        }
        self.note_deadline(item.deadline());
        self.place(self.tag(hash) | TAKEN, item, stamp);
        self.len += 1;
    }

    /// An item here has this deadline from now on.
    pub(super) fn note_deadline(&mut self, deadline: Option<u64>) {
        self.earliest = self.earliest.min(deadline.unwrap_or(u64::MAX));
    }

    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) -> Option<I> {
        let at = self.find(hash, key)?;
        // Whoever was pushed to the right moves back to the left.
        let mut end = at + 1;
        while end < self.tags.len() && self.tags[end] != EMPTY && self.home(self.tags[end]) < end {
            end += 1;
        }
        self.tags[at..end].rotate_left(1);
        self.slots[at..end].rotate_left(1);
        if !self.stamps.is_empty() {
            self.stamps[at..end].rotate_left(1);
            self.stamps[end - 1] = UNUSED;
        }
        self.tags[end - 1] = EMPTY;
        let item = core::mem::take(&mut self.slots[end - 1]);
        self.len -= 1;
        if self.len == 0 {
            *self = Self::new(self.depth);
        } else if self.len * 4 < self.homes && self.homes > SMALLEST {
            self.resize(self.len * 3 / 2);
        }
        Some(item)
    }

    /// Puts an item into its place in the order, pushing those behind it to the right.
    fn place(&mut self, tag: Tag, item: I, stamp: Stamp) {
        let mut at = self.home(tag);
        while at < self.tags.len() && self.tags[at] != EMPTY && self.tags[at] <= tag {
            at += 1;
        }
        let mut end = at;
        while end < self.tags.len() && self.tags[end] != EMPTY {
            end += 1;
        }
        if end == self.tags.len() {
            // Not by `push` alone, which would double what is allocated.
            self.tags.reserve_exact(BEHIND);
            self.slots.reserve_exact(BEHIND);
            self.tags.push(EMPTY);
            self.slots.push(I::default());
            if !self.stamps.is_empty() {
                self.stamps.reserve_exact(BEHIND);
                self.stamps.push(UNUSED);
            }
        }
        self.tags[at..=end].rotate_right(1);
        self.slots[at..=end].rotate_right(1);
        self.tags[at] = tag;
        self.slots[at] = item;
        if !self.stamps.is_empty() {
            self.stamps[at..=end].rotate_right(1);
        }
        self.set_stamp(at, stamp);
    }

    /// Makes itself as large as so many items want it, a quarter of it free.
    fn resize(&mut self, items: usize) {
        let resized = Self { len: self.len, earliest: self.earliest, ..Self::with_room(self.depth, items) };
        let mut old = core::mem::replace(self, resized);
        for (tag, item, stamp) in old.drain() {
            self.place(tag, item, stamp);
        }
    }

    /// Empties itself into two, by the next bit of their hashes.
    pub(super) fn split(&mut self, hasher: &KeyHasher) -> [Self; 2] {
        let half = || Self::with_room(self.depth + 1, self.len / 2);
        let mut halves = [half(), half()];
        for (_, item, stamp) in self.drain() {
            let hash = hasher.hash(item.key());
            halves[usize::from((hash << self.depth) >> 63 == 1)].insert(hash, item, stamp);
        }
        halves
    }

    /// Takes in the items of its neighbour, with which it shares all bits but the last.
    pub(super) fn join(mut self, mut other: Self, hasher: &KeyHasher) -> Self {
        let mut joined = Self::with_room(self.depth - 1, self.len + other.len);
        for (_, item, stamp) in self.drain().chain(other.drain()) {
            joined.insert(hasher.hash(item.key()), item, stamp);
        }
        joined
    }

    fn drain(&mut self) -> impl Iterator<Item = (Tag, I, Stamp)> + use<I> {
        let (tags, slots) = (core::mem::take(&mut self.tags), core::mem::take(&mut self.slots));
        let stamps = core::mem::take(&mut self.stamps).into_iter().chain(core::iter::repeat(UNUSED));
        let all = tags.into_iter().zip(slots).zip(stamps);
        all.map(|((tag, item), stamp)| (tag, item, stamp)).filter(|(tag, ..)| *tag != EMPTY)
    }

    /// All items with their stamps, from one chosen by 32 random bits on and round to it.
    pub(super) fn items_around(&self, bits: u32) -> impl Iterator<Item = (&I, Stamp)> {
        let start = ((u64::from(bits) * self.tags.len() as u64) >> u32::BITS) as usize;
        let slots = (start..self.tags.len()).chain(0..start);
        slots.filter_map(|slot| Some((self.item(slot)?, self.stamp(slot))))
    }

    /// All items in the order of their tags.
    pub(super) fn iter(&self) -> impl Iterator<Item = &I> {
        self.tags.iter().zip(&self.slots).filter(|(tag, _)| **tag != EMPTY).map(|(_, item)| item)
    }

    /// Items from this tag on, with their tags, in order.
    pub(super) fn items_from(&self, tag: u16) -> impl Iterator<Item = (u16, &I)> {
        let start = self.home(tag);
        let all = self.tags[start..].iter().zip(&self.slots[start..]);
        all.filter(|(found, _)| **found != EMPTY)
            .map(|(found, item)| (found & !TAKEN, item))
            .filter(move |(found, _)| *found >= tag)
    }

    /// Asserts what must hold between its parts.
    pub(super) fn check(&self, hasher: &KeyHasher) {
        assert_eq!(self.tags.len(), self.slots.len());
        assert!(self.slots.len() <= MOST_SLOTS);
        assert!(self.stamps.is_empty() || self.stamps.len() == self.slots.len());
        assert_eq!(self.len, self.iter().count());
        let mut last = (EMPTY, 0);
        for (at, (tag, item)) in self.tags.iter().zip(&self.slots).enumerate() {
            if *tag == EMPTY {
                assert!(item.key().is_empty() && self.stamp(at) == UNUSED, "something is in a free slot");
                continue;
            }
            assert_eq!(*tag, self.tag(hasher.hash(item.key())) | TAKEN);
            assert!(last.0 <= *tag, "in order");
            assert!(self.home(*tag) <= at && (self.home(*tag) == at || last.1 + 1 == at), "no gap before it");
            assert!(item.deadline().is_none_or(|deadline| deadline >= self.earliest));
            last = (*tag, at);
        }
    }
}
