//! Streams: entries that are appended with ascending IDs, and groups of consumers that read them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::entries::{Entries, Entry, ID_BYTES, Keep, StreamId, word};
use super::group::{Group, Pending, delivered, delivered_word};
use super::words::{self, Words};
use crate::effect::Change;

/// A stream. One without entries is one all the same.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    entries: Entries,
    last_id: StreamId,
    max_deleted: StreamId,
    added: u64,
    groups: BTreeMap<Box<[u8]>, Group>,
    /// Bytes accounted for the groups.
    groups_cost: usize,
}

/// Deliveries of a piece.
const PIECE: usize = 512;

impl Stream {
    /// An entry as [`AddEntries`](Change::AddEntries) takes it: its ID, and names and values one behind the other.
    pub fn word<'a>(id: StreamId, fields: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        word(id, fields)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The largest ID that there ever was, or that it was told to count on from.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The largest ID of an entry that was deleted, or zero. What was trimmed does not count.
    pub fn max_deleted(&self) -> StreamId {
        self.max_deleted
    }

    /// How many entries were ever added.
    pub fn added(&self) -> u64 {
        self.added
    }

    pub fn first(&self) -> Option<Entry<'_>> {
        self.entries.first()
    }

    pub fn last(&self) -> Option<Entry<'_>> {
        self.entries.last()
    }

    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.entries.get(id)
    }

    /// In ascending order.
    pub fn range(&self, ids: RangeInclusive<StreamId>) -> impl Iterator<Item = Entry<'_>> {
        self.entries.range(ids)
    }

    /// In descending order.
    pub fn range_back(&self, ids: RangeInclusive<StreamId>) -> impl Iterator<Item = Entry<'_>> {
        self.entries.range_back(ids)
    }

    /// Pieces that its entries are kept in.
    pub fn blocks(&self) -> usize {
        self.entries.blocks()
    }

    /// Whether the last block has so many entries or bytes, so that the next entry is to begin another; zero: as many as it
    /// likes.
    pub fn is_block_full(&self, most_entries: usize, most_bytes: usize) -> bool {
        self.entries.is_full(most_entries, most_bytes)
    }

    /// How many entries at the front are not to stay. `whole` is for those who are content with less: blocks go as a whole
    /// or not at all, and not more than this number of entries, if it is not zero.
    pub fn beyond(&self, keep: Keep, whole: Option<usize>) -> usize {
        self.entries.beyond(keep, whole)
    }

    /// By name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Whether an entry may have been deleted between this ID and the last.
    pub fn has_gap_from(&self, id: StreamId) -> bool {
        self.has_gap() && id <= self.max_deleted
    }

    /// Whether an entry may have been deleted between the first and the last.
    fn has_gap(&self) -> bool {
        self.max_deleted != StreamId::MIN && self.first().is_some_and(|first| first.id <= self.max_deleted)
    }

    /// How many entries were added up to this ID, if that can be told.
    pub fn added_up_to(&self, id: StreamId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if self.is_empty() && id <= self.last_id || id == self.last_id {
            return Some(self.added);
        }
        // Where nothing is missing behind the first, what is missing before it is known.
        let first = self.first().filter(|first| id <= first.id && !self.has_gap())?;
        Some(self.added.wrapping_sub(self.len() as u64).wrapping_add((id == first.id).into()))
    }

    /// How many entries a group has not read, if that can be told. Who sets counters may make it negative where they count:
    /// before a group that has come to no entry are all that there are, as newer versions of Redis have it.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let Some(first) = self.first().filter(|_| self.added != 0) else { return Some(0) };
        if group.last < first.id && !self.has_gap() {
            return Some(self.len() as i64);
        }
        let counted = group.read.filter(|_| !self.has_gap_from(group.last));
        let read = counted.or_else(|| self.added_up_to(group.last))?;
        Some(self.added.wrapping_sub(read) as i64)
    }

    /// Makes the change, if it is one of streams.
    pub(crate) fn change(&mut self, change: &Change<'_>) {
        match *change {
            Change::AddEntries { mut apart, entries } => {
                for word in entries {
                    let Some((id, fields)) = word.split_first_chunk::<ID_BYTES>() else { continue };
                    let id = StreamId::of_bytes(*id);
                    if id > self.last_id {
                        self.entries.push(id, Words::new(fields), apart);
                        self.last_id = id;
                        self.added = self.added.wrapping_add(1);
                        apart = false;
                    }
                }
            }
            Change::DropEntries(ids) => {
                for id in ids_of(ids) {
                    if self.entries.remove(id) {
                        self.max_deleted = self.max_deleted.max(id);
                    }
                }
            }
            Change::Trim { count } => self.entries.drop_front(usize::try_from(count).unwrap_or(usize::MAX)),
            Change::SetStream { last, max_deleted, added } => {
                let newest = self.last().map_or(StreamId::MIN, |entry| entry.id);
                (self.last_id, self.max_deleted, self.added) = (last.max(newest), max_deleted, added);
            }
            Change::PutGroup { group, last, read } => {
                if !self.groups.contains_key(group) {
                    self.groups_cost += Group::default().cost(group);
                    self.groups.insert(group.into(), Group::default());
                }
                self.change_group(group, |group| (group.last, group.read) = (last, read));
            }
            Change::DropGroup { group: name } => {
                self.groups_cost -= self.groups.remove(name).map_or(0, |group| group.cost(name));
            }
            Change::PutConsumer { group, consumer, seen, active } => {
                self.change_group(group, |group| group.put_consumer(consumer, seen, active));
            }
            Change::DropConsumer { group, consumer } => {
                self.change_group(group, |group| group.drop_consumer(consumer));
            }
            Change::Deliver { group: name, consumer, last, read, time } => {
                let Some(next) = self.groups.get(name).and_then(|group| group.last.next()) else { return };
                let delivered: Vec<_> = self.range(next..=last).map(|entry| (entry.id, time, 1)).collect();
                self.change_group(name, |group| {
                    (group.last, group.read) = (last, read);
                    group.put_consumer(consumer, time, Some(time));
                    group.pend(consumer, delivered.into_iter());
                });
            }
            Change::Pend { group, consumer, entries } => {
                self.change_group(group, |group| group.pend(consumer, delivered(entries)));
            }
            Change::Unpend { group, ids } => {
                self.change_group(group, |group| ids_of(ids).for_each(|id| group.unpend(id)));
            }
            _ => {}
        }
    }

    fn change_group(&mut self, name: &[u8], change: impl FnOnce(&mut Group)) {
        if let Some(group) = self.groups.get_mut(name) {
            self.groups_cost -= group.cost(name);
            change(group);
            self.groups_cost += group.cost(name);
        }
    }

    /// The changes that make it.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let counters = Change::SetStream { last: self.last_id, max_deleted: self.max_deleted, added: self.added };
        let groups = self.groups().flat_map(|(name, group)| {
            let made = Change::PutGroup { group: name, last: group.last, read: group.read };
            let consumers = group.consumers().flat_map(move |(consumer, state)| {
                let (seen, active) = (state.seen, state.active);
                let made = Change::PutConsumer { group: name, consumer, seen, active };
                let mut pending = group.all_pending(Some(state), StreamId::MIN..=StreamId::MAX);
                let pending = core::iter::from_fn(move || {
                    let mut entries = Vec::new();
                    for (id, Pending { time, count, .. }) in pending.by_ref().take(PIECE) {
                        words::push(&mut entries, &delivered_word(id, *time, *count));
                    }
                    (!entries.is_empty()).then_some(Piece::Pending { group: name, consumer, entries })
                });
                core::iter::once(Piece::Whole(made)).chain(pending)
            });
            core::iter::once(Piece::Whole(made)).chain(consumers)
        });
        self.entries.pieces().map(Piece::Entries).chain([Piece::Whole(counters)]).chain(groups)
    }

    /// Bytes accounted for it.
    pub(super) fn cost(&self) -> usize {
        size_of::<Self>() + self.entries.cost() + self.groups_cost
    }

    pub(crate) fn check(&self) {
        self.entries.check();
        assert!(self.last().is_none_or(|entry| entry.id <= self.last_id));
        assert_eq!(self.groups_cost, self.groups().map(|(name, group)| group.cost(name)).sum::<usize>());
        self.groups.values().for_each(Group::check);
    }
}

/// A change that makes a part of a stream.
pub(crate) enum Piece<'a> {
    /// Those of a block.
    Entries(Vec<u8>),
    Whole(Change<'a>),
    Pending {
        group: &'a [u8],
        consumer: &'a [u8],
        entries: Vec<u8>,
    },
}

impl Piece<'_> {
    /// Bytes that the change takes beside its key.
    pub(crate) fn len(&self) -> usize {
        match self {
            Piece::Entries(entries) => entries.len(),
            Piece::Whole(Change::PutGroup { group, .. }) => group.len(),
            Piece::Whole(Change::PutConsumer { group, consumer, .. }) => group.len() + consumer.len(),
            Piece::Whole(_) => 0,
            Piece::Pending { group, consumer, entries } => group.len() + consumer.len() + entries.len(),
        }
    }

    pub(crate) fn change(&self) -> Change<'_> {
        match self {
            Piece::Entries(entries) => Change::AddEntries { apart: true, entries: Words::new(entries) },
            Piece::Whole(change) => *change,
            Piece::Pending { group, consumer, entries } => {
                Change::Pend { group, consumer, entries: Words::new(entries) }
            }
        }
    }
}

fn ids_of(words: Words<'_>) -> impl Iterator<Item = StreamId> {
    words.filter_map(|word| word.try_into().ok().map(StreamId::of_bytes))
}
