//! Streams hold what changes say, and whoever makes them anew from their pieces has the same: beside a model of lists.

use std::collections::BTreeMap;

use mneme_kernel::effect::{Change, Effect, Effects};
use mneme_kernel::ids::DbId;
use mneme_kernel::rdb::{self, Loaded};
use mneme_kernel::store::{Keep, Kind, Store, Stream, StreamId, Value, Words, delivered_word, words};
use mneme_kernel::system::System;
use proptest::prelude::*;
use proptest::sample::Index;

const DB: DbId = DbId(0);
const KEY: &[u8] = b"key";

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What a stream is, in the plainest words.
#[derive(Debug, Default, PartialEq)]
struct Model {
    entries: Vec<(StreamId, Fields)>,
    last: StreamId,
    max_deleted: StreamId,
    added: u64,
    groups: BTreeMap<Vec<u8>, GroupModel>,
}

#[derive(Debug, Default, PartialEq)]
struct GroupModel {
    last: StreamId,
    read: Option<u64>,
    consumers: BTreeMap<Vec<u8>, (u64, Option<u64>)>,
    pending: BTreeMap<StreamId, (Vec<u8>, u64, u64)>,
}

#[derive(Clone, Debug)]
enum Step {
    Add { ms: u64, seq: u64, fields: Fields, apart: bool },
    AddMany(usize, Vec<u8>),
    Drop(Vec<Index>),
    Trim(usize),
    TrimTo(Keep),
    TrimBlocks(usize, usize),
    Set(u64),
    PutGroup(u8, Index, Option<u64>),
    DropGroup(u8),
    PutConsumer(u8, u8, u64, Option<u64>),
    DropConsumer(u8, u8),
    Deliver(u8, u8, Index, u64),
    Pend(u8, u8, Vec<(Index, u64, u64)>),
    Unpend(u8, Vec<Index>),
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[a-c]{0,3}".prop_map(String::into_bytes),
        1 => (100..400usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

fn fields() -> impl Strategy<Value = Fields> {
    let same = (word(), word()).prop_map(|(a, b)| vec![(b"x".to_vec(), a), (b"y".to_vec(), b)]);
    prop_oneof![3 => same, 1 => prop::collection::vec((word(), word()), 1..4)]
}

fn step() -> impl Strategy<Value = Step> {
    let some = || prop::collection::vec(any::<Index>(), 1..8);
    let (group, consumer) = (|| 0u8..3, || 0u8..3);
    let time = || 0u64..1000;
    prop_oneof![
        12 => (0u64..3, prop_oneof![0u64..9, any::<u64>()], fields(), prop::bool::weighted(0.2))
            .prop_map(|(ms, seq, fields, apart)| Step::Add { ms, seq, fields, apart }),
        3 => (1..300usize, word()).prop_map(|(count, value)| Step::AddMany(count, value)),
        3 => some().prop_map(Step::Drop),
        1 => (0..20usize).prop_map(Step::Trim),
        1 => (0..200usize).prop_map(|most| Step::TrimTo(Keep::Newest(most))),
        1 => (0..500u64).prop_map(|ms| Step::TrimTo(Keep::From(StreamId { ms, seq: 3 }))),
        1 => (0..200usize, 0..200usize).prop_map(|(most, limit)| Step::TrimBlocks(most, limit)),
        1 => (0..9u64).prop_map(Step::Set),
        3 => (group(), any::<Index>(), prop::option::of(0..9u64)).prop_map(|(group, at, read)| Step::PutGroup(group, at, read)),
        1 => group().prop_map(Step::DropGroup),
        1 => (group(), consumer(), time(), prop::option::of(time()))
            .prop_map(|(group, consumer, seen, active)| Step::PutConsumer(group, consumer, seen, active)),
        1 => (group(), consumer()).prop_map(|(group, consumer)| Step::DropConsumer(group, consumer)),
        4 => (group(), consumer(), any::<Index>(), time())
            .prop_map(|(group, consumer, at, time)| Step::Deliver(group, consumer, at, time)),
        2 => (group(), consumer(), prop::collection::vec((any::<Index>(), time(), 0..9u64), 1..8))
            .prop_map(|(group, consumer, entries)| Step::Pend(group, consumer, entries)),
        2 => (group(), some()).prop_map(|(group, ids)| Step::Unpend(group, ids)),
    ]
}

fn encode_ids(ids: &[StreamId]) -> Vec<u8> {
    words::collect(ids.iter().map(|id| id.bytes()).collect::<Vec<_>>().iter().map(|id| &id[..]))
}

/// A store with one stream, and its model.
struct Pair {
    store: Store,
    model: Model,
}

impl Pair {
    fn change(&mut self, change: Change<'_>) {
        self.store.apply(&Effect::Change { db: DB, key: KEY, change });
    }

    fn stream(&self) -> &Stream {
        Stream::of(self.store.database(DB).get(KEY).expect("it is there").value).expect("a stream")
    }

    /// An entry's ID, or one of none.
    fn id(&self, at: &Index) -> StreamId {
        match at.index(self.model.entries.len() + 1) {
            0 => StreamId { ms: 1, seq: 77 },
            at => self.model.entries[at - 1].0,
        }
    }

    fn add(&mut self, id: StreamId, fields: Fields, apart: bool) {
        let entry = Stream::word(id, fields.iter().flat_map(|(name, value)| [&name[..], value]));
        self.change(Change::AddEntries { apart, entries: Words::new(&words::collect([&entry[..]])) });
        if id > self.model.last {
            self.model.entries.push((id, fields));
            self.model.last = id;
            self.model.added += 1;
        }
    }

    fn step(&mut self, step: Step) {
        let name = |n: u8| [b'n', n].to_vec();
        match step {
            Step::Add { ms, seq, fields, apart } => {
                let id = StreamId { ms: self.model.last.ms + ms, seq };
                self.add(id, fields, apart);
            }
            Step::AddMany(count, value) => {
                for _ in 0..count {
                    let id = StreamId { ms: self.model.last.ms + 1, seq: 0 };
                    let apart = self.stream().is_block_full(100, 4096);
                    self.add(id, vec![(b"x".to_vec(), value.clone())], apart);
                }
            }
            Step::Drop(at) => {
                let ids: Vec<StreamId> = at.iter().map(|at| self.id(at)).collect();
                self.change(Change::DropEntries(Words::new(&encode_ids(&ids))));
                for id in ids {
                    if self.model.entries.iter().any(|(known, _)| *known == id) {
                        self.model.max_deleted = self.model.max_deleted.max(id);
                    }
                    self.model.entries.retain(|(known, _)| *known != id);
                }
            }
            Step::Trim(count) => {
                self.change(Change::Trim { count: count as u64 });
                self.model.entries.drain(..count.min(self.model.entries.len()));
            }
            Step::TrimTo(keep) => {
                let len = self.model.entries.len();
                let beyond = match keep {
                    Keep::Newest(most) => len.saturating_sub(most),
                    Keep::From(id) => self.model.entries.iter().take_while(|(known, _)| *known < id).count(),
                };
                assert_eq!(self.stream().beyond(keep, None), beyond);
                self.step(Step::Trim(beyond));
            }
            Step::TrimBlocks(most, limit) => {
                let blocks = self.stream().blocks();
                let count = self.stream().beyond(Keep::Newest(most), Some(limit));
                assert!(count <= self.model.entries.len().saturating_sub(most) && (limit == 0 || count <= limit));
                self.step(Step::Trim(count));
                assert_eq!(count > 0, self.stream().blocks() < blocks, "whole ones go");
            }
            Step::Set(ms) => {
                let last = StreamId { ms: self.model.last.ms + ms, seq: 3 }.max(self.model.last);
                let (max_deleted, added) = (StreamId { ms, seq: 1 }, self.model.added + ms);
                self.change(Change::SetStream { last, max_deleted, added });
                (self.model.last, self.model.max_deleted, self.model.added) = (last, max_deleted, added);
            }
            Step::PutGroup(group, at, read) => {
                let (group, last) = (name(group), self.id(&at));
                self.change(Change::PutGroup { group: &group, last, read });
                let group = self.model.groups.entry(group).or_default();
                (group.last, group.read) = (last, read);
            }
            Step::DropGroup(group) => {
                let group = name(group);
                self.change(Change::DropGroup { group: &group });
                self.model.groups.remove(&group);
            }
            Step::PutConsumer(group, consumer, seen, active) => {
                let (group, consumer) = (name(group), name(consumer));
                self.change(Change::PutConsumer { group: &group, consumer: &consumer, seen, active });
                if let Some(group) = self.model.groups.get_mut(&group) {
                    group.consumers.insert(consumer, (seen, active));
                }
            }
            Step::DropConsumer(group, consumer) => {
                let (group, consumer) = (name(group), name(consumer));
                self.change(Change::DropConsumer { group: &group, consumer: &consumer });
                if let Some(group) = self.model.groups.get_mut(&group) {
                    group.consumers.remove(&consumer);
                    group.pending.retain(|_, (of, ..)| *of != consumer);
                }
            }
            Step::Deliver(group, consumer, at, time) => {
                let (group, consumer, last) = (name(group), name(consumer), self.id(&at));
                self.change(Change::Deliver { group: &group, consumer: &consumer, last, read: Some(time), time });
                if let Some(group) = self.model.groups.get_mut(&group) {
                    let is_new = |id: &StreamId| *id > group.last && *id <= last;
                    for (id, _) in self.model.entries.iter().filter(|(id, _)| is_new(id)) {
                        group.pending.insert(*id, (consumer.clone(), time, 1));
                    }
                    group.consumers.insert(consumer, (time, Some(time)));
                    (group.last, group.read) = (last, Some(time));
                }
            }
            Step::Pend(group, consumer, entries) => {
                let (group, consumer) = (name(group), name(consumer));
                let entries: Vec<_> = entries.iter().map(|(at, time, count)| (self.id(at), *time, *count)).collect();
                let encoded: Vec<_> =
                    entries.iter().map(|(id, time, count)| delivered_word(*id, *time, *count)).collect();
                let encoded = words::collect(encoded.iter().map(|word| &word[..]));
                self.change(Change::Pend { group: &group, consumer: &consumer, entries: Words::new(&encoded) });
                if let Some(group) = self.model.groups.get_mut(&group) {
                    group.consumers.entry(consumer.clone()).or_default();
                    group
                        .pending
                        .extend(entries.into_iter().map(|(id, time, count)| (id, (consumer.clone(), time, count))));
                }
            }
            Step::Unpend(group, at) => {
                let (group, ids) = (name(group), at.iter().map(|at| self.id(at)).collect::<Vec<_>>());
                self.change(Change::Unpend { group: &group, ids: Words::new(&encode_ids(&ids)) });
                if let Some(group) = self.model.groups.get_mut(&group) {
                    group.pending.retain(|id, _| !ids.contains(id));
                }
            }
        }
    }

    fn check(&self, from: &Index, to: &Index) {
        self.store.check();
        let (stream, model) = (self.stream(), &self.model);
        assert!(read(stream) == *model, "{:?}\n{model:?}", read(stream));
        let (from, to) = (self.id(from), self.id(to));
        let wanted: Vec<StreamId> =
            model.entries.iter().map(|(id, _)| *id).filter(|id| *id >= from && *id <= to).collect();
        assert!(stream.range(from..=to).map(|entry| entry.id).eq(wanted.iter().copied()));
        assert!(stream.range_back(from..=to).map(|entry| entry.id).eq(wanted.iter().rev().copied()));
        assert_eq!(stream.get(from).is_some(), model.entries.iter().any(|(id, _)| *id == from));
        assert_eq!(stream.first().map(|entry| entry.id), model.entries.first().map(|(id, _)| *id));
        assert_eq!(stream.last().map(|entry| entry.id), model.entries.last().map(|(id, _)| *id));
    }

    /// The same data, made anew from pieces, as a snapshot is read.
    fn check_pieces(&self) {
        let (mut pieces, mut bytes, mut again) = (self.store.pieces(), Vec::new(), Store::new(2));
        while pieces.append_next(&mut bytes) {}
        for effect in Effects::new(&bytes) {
            again.apply(&effect.expect("an effect"));
        }
        again.check();
        let system = System::default();
        assert_eq!(self.store.digest(&system), again.digest(&system));
        let again = Pair { store: again, model: Model::default() };
        assert_eq!(read(again.stream()), self.model);
        assert_eq!(again.stream().blocks(), self.stream().blocks());
    }

    /// The same data, from what `DUMP` gives: without when consumers were active, which Redis 7.0 does not note.
    fn check_dump(&self) {
        let dumped = rdb::dump(Value::Stream(self.stream())).expect("a form");
        let loaded = rdb::load(rdb::open(&dumped).expect("a checksum")).expect("a value");
        let Loaded::Stream(again) = loaded else { panic!("{loaded:?}") };
        let mut model = read(self.stream());
        let consumers = model.groups.values_mut().flat_map(|group| group.consumers.values_mut());
        consumers.for_each(|(seen, active)| *active = Some(*seen));
        assert_eq!(read(&again), model);
    }
}

/// All that can be read of a stream.
fn read(stream: &Stream) -> Model {
    let all = StreamId::MIN..=StreamId::MAX;
    let owned = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
    let groups = stream.groups().map(|(name, group)| {
        let read = GroupModel {
            last: group.last,
            read: group.read,
            consumers: group
                .consumers()
                .map(|(name, consumer)| (name.to_vec(), (consumer.seen, consumer.active)))
                .collect(),
            pending: group
                .all_pending(None, all.clone())
                .map(|(id, pending)| (id, (pending.consumer.to_vec(), pending.time, pending.count)))
                .collect(),
        };
        assert_eq!(group.pending_len(), read.pending.len());
        for (name, consumer) in group.consumers() {
            let theirs = read.pending.iter().filter(|(_, (of, ..))| of == name).map(|(id, _)| *id);
            assert!(group.all_pending(Some(consumer), all.clone()).map(|(id, _)| id).eq(theirs));
        }
        (name.to_vec(), read)
    });
    let entries: Vec<_> =
        stream.range(all.clone()).map(|entry| (entry.id, entry.fields().map(owned).collect())).collect();
    assert_eq!(stream.len(), entries.len());
    let (last, max_deleted, added) = (stream.last_id(), stream.max_deleted(), stream.added());
    Model { entries, last, max_deleted, added, groups: groups.collect() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_holds_what_changes_say(steps in prop::collection::vec(step(), 1..60), at in any::<[Index; 2]>()) {
        let mut pair = Pair { store: Store::new(1), model: Model::default() };
        let zero = StreamId::MIN;
        pair.change(Change::SetStream { last: zero, max_deleted: zero, added: 0 });
        for step in steps {
            pair.step(step);
            pair.check(&at[0], &at[1]);
        }
        pair.check_pieces();
        pair.check_dump();
    }
}

/// The names of the fields and the beginning of the ID are not repeated.
#[test]
fn an_entry_with_the_usual_fields_costs_little_more_than_its_values() {
    let mut pair = Pair { store: Store::new(1), model: Model::default() };
    let zero = StreamId::MIN;
    pair.change(Change::SetStream { last: zero, max_deleted: zero, added: 0 });
    pair.step(Step::AddMany(10_000, b"twelve bytes".to_vec()));
    let cost = pair.store.bytes() / 10_000;
    assert!(cost <= 12 + 7, "{cost}");
}

/// Redis takes any number for what a group is said to have read: where the group stands says more.
#[test]
fn the_lag_of_a_group_is_what_it_has_not_read() {
    let mut pair = Pair { store: Store::new(1), model: Model::default() };
    let zero = StreamId::MIN;
    let id = |ms| StreamId { ms, seq: 0 };
    pair.change(Change::SetStream { last: zero, max_deleted: zero, added: 0 });
    let mut lag = |changes: &[Change<'_>]| {
        changes.iter().for_each(|change| pair.change(*change));
        let stream = pair.stream();
        stream.lag(stream.group(b"g").expect("it is there"))
    };
    let entry = |ms| words::collect([&Stream::word(id(ms), [&b"a"[..], b"b"])[..]]);
    let entries: Vec<_> = (1..6).map(entry).collect();
    let add = |i: usize| Change::AddEntries { apart: false, entries: Words::new(&entries[i]) };
    let dropped = [encode_ids(&[id(1)]), encode_ids(&[id(3)])];
    let drop = |i: usize| Change::DropEntries(Words::new(&dropped[i]));
    let group = |ms, read| Change::PutGroup { group: b"g", last: id(ms), read };

    assert_eq!(lag(&[group(0, Some(7))]), Some(0), "nothing was ever there");
    assert_eq!(lag(&[add(0)]), Some(1));
    assert_eq!(lag(&[add(1), add(2), add(3)]), Some(4));
    assert_eq!(lag(&[drop(0)]), Some(3));
    assert_eq!(lag(&[group(2, Some(2))]), Some(2));
    assert_eq!(lag(&[add(4), drop(1)]), None, "the one that was deleted may have been read or not");
    assert_eq!(lag(&[group(0, Some(2))]), None);
    assert_eq!(lag(&[Change::Trim { count: 3 }]), Some(0), "there is nothing to read");
}
