//! Consumer groups: how far a group has read in a stream, its consumers, and what was delivered and not acknowledged.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::entries::{ID_BYTES, StreamId};
use super::packed::{OVERHEAD, ROUNDING};
use super::words::Words;

/// A group of consumers.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The ID that was delivered last.
    pub last: StreamId,
    /// How many entries were read up to there, since the stream began; not always known.
    pub read: Option<u64>,
    consumers: BTreeMap<Arc<[u8]>, Consumer>,
    pending: BTreeMap<StreamId, Pending>,
    /// Bytes accounted for the consumers.
    cost: usize,
}

/// A consumer of a group. Times are wall-clock milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Consumer {
    /// When it asked for something.
    pub seen: u64,
    /// When it got something, if it ever did.
    pub active: Option<u64>,
    pending: BTreeSet<StreamId>,
}

/// What was delivered to a consumer and not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub consumer: Arc<[u8]>,
    /// When it was delivered last, and how often it was.
    pub time: u64,
    pub count: u64,
}

impl Consumer {
    /// How many entries it has not acknowledged.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Their IDs, in order, from one on.
    pub fn pending_from(&self, from: StreamId) -> impl Iterator<Item = StreamId> {
        self.pending.range(from..).copied()
    }
}

impl Group {
    /// By name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (&[u8], &Consumer)> {
        self.consumers.iter().map(|(name, consumer)| (&**name, consumer))
    }

    pub fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.consumers.get(name)
    }

    /// How many entries were delivered and not acknowledged.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The least and the greatest ID of these.
    pub fn pending_ends(&self) -> Option<(StreamId, StreamId)> {
        Some((*self.pending.first_key_value()?.0, *self.pending.last_key_value()?.0))
    }

    pub fn pending(&self, id: StreamId) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// What was delivered and not acknowledged, in the order of the IDs; of one consumer if one is given.
    pub fn all_pending<'a>(
        &'a self,
        of: Option<&'a Consumer>,
        ids: RangeInclusive<StreamId>,
    ) -> impl Iterator<Item = (StreamId, &'a Pending)> {
        let (from, to) = ids.into_inner();
        let theirs = of.into_iter().flat_map(move |consumer| consumer.pending_from(from));
        let theirs = theirs.filter_map(|id| Some((id, self.pending.get(&id)?)));
        let all = of.is_none().then(|| self.pending.range(from..)).into_iter().flatten();
        theirs.chain(all.map(|(id, pending)| (*id, pending))).take_while(move |(id, _)| *id <= to)
    }

    pub(super) fn put_consumer(&mut self, name: &[u8], seen: u64, active: Option<u64>) {
        let (_, consumer) = self.consumer_mut(name);
        consumer.seen = seen;
        consumer.active = active;
    }

    pub(super) fn drop_consumer(&mut self, name: &[u8]) {
        if let Some(consumer) = self.consumers.remove(name) {
            self.cost -= cost_of_consumer(name);
            consumer.pending.iter().for_each(|id| drop(self.pending.remove(id)));
        }
    }

    /// These were delivered to the consumer, each at its time and so many times.
    pub(super) fn pend(&mut self, name: &[u8], delivered: impl Iterator<Item = (StreamId, u64, u64)>) {
        let (name, _) = self.consumer_mut(name);
        for (id, time, count) in delivered {
            let before = self.pending.insert(id, Pending { consumer: name.clone(), time, count });
            let before = before.map(|pending| pending.consumer);
            if before.as_ref() != Some(&name) {
                if let Some(other) = before.and_then(|before| self.consumers.get_mut(&before)) {
                    other.pending.remove(&id);
                }
                if let Some(consumer) = self.consumers.get_mut(&name) {
                    consumer.pending.insert(id);
                }
            }
        }
    }

    pub(super) fn unpend(&mut self, id: StreamId) {
        if let Some(pending) = self.pending.remove(&id)
            && let Some(consumer) = self.consumers.get_mut(&pending.consumer)
        {
            consumer.pending.remove(&id);
        }
    }

    /// The consumer with this name, which is made if there is none.
    fn consumer_mut(&mut self, name: &[u8]) -> (Arc<[u8]>, &mut Consumer) {
        let name = match self.consumers.get_key_value(name) {
            Some((name, _)) => name.clone(),
            None => {
                self.cost += cost_of_consumer(name);
                name.into()
            }
        };
        let consumer = self.consumers.entry(name.clone()).or_default();
        (name, consumer)
    }

    /// Bytes accounted for it, and for its name.
    pub(super) fn cost(&self, name: &[u8]) -> usize {
        /// In the group's tree and in the consumer's, whose nodes are a little more than half full.
        const PENDING: usize = 2 * (size_of::<(StreamId, Pending)>() + size_of::<StreamId>());
        let own = 2 * size_of::<(Box<[u8]>, Group)>() + OVERHEAD + name.len().next_multiple_of(ROUNDING);
        own + self.cost + PENDING * self.pending.len()
    }

    pub(super) fn check(&self) {
        assert_eq!(self.cost, self.consumers.keys().map(|name| cost_of_consumer(name)).sum::<usize>());
        assert_eq!(self.pending.len(), self.consumers.values().map(Consumer::pending).sum::<usize>());
        for (name, consumer) in &self.consumers {
            let is_theirs = |id: &StreamId| self.pending.get(id).is_some_and(|pending| pending.consumer == *name);
            assert!(consumer.pending.iter().all(is_theirs), "pending with one consumer");
        }
    }
}

fn cost_of_consumer(name: &[u8]) -> usize {
    let name = OVERHEAD + name.len().next_multiple_of(ROUNDING);
    name + 2 * size_of::<(Arc<[u8]>, Consumer)>()
}

/// Something that was delivered, as [`Pend`](crate::effect::Change::Pend) has it: an ID, a time and a count.
pub fn delivered_word(id: StreamId, time: u64, count: u64) -> Vec<u8> {
    [&id.bytes()[..], &time.to_be_bytes(), &count.to_be_bytes()].concat()
}

pub(super) fn delivered(words: Words<'_>) -> impl Iterator<Item = (StreamId, u64, u64)> {
    words.filter_map(|word| {
        let (id, rest) = word.split_first_chunk::<ID_BYTES>()?;
        let (time, count) = rest.split_first_chunk()?;
        Some((StreamId::of_bytes(*id), u64::from_be_bytes(*time), u64::from_be_bytes(count.try_into().ok()?)))
    })
}
