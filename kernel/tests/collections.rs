//! Collections hold what changes say, however they are kept, and whoever makes them anew from their pieces has the same.

use std::collections::{BTreeMap, BTreeSet};

use mneme_kernel::effect::{Change, Effect, Effects, Side};
use mneme_kernel::ids::DbId;
use mneme_kernel::store::{Hash, Kind, List, Set, SortedSet, Store, Value, Words, words};
use mneme_kernel::system::System;
use mneme_kernel::time::Wall;
use proptest::prelude::*;

const DB: DbId = DbId(0);
const KEY: &[u8] = b"key";

fn change(store: &mut Store, change: Change<'_>) {
    store.apply(&Effect::Change { db: DB, key: KEY, change });
    store.check();
}

fn held<K: Kind + ?Sized>(store: &Store) -> Option<&K> {
    let item = store.database(DB).get(KEY)?;
    assert!(!item.is_expired(Wall(0)));
    Some(K::of(item.value).expect("of the type that it began with"))
}

/// The same data, made anew from pieces, as a snapshot is read.
fn check_pieces(store: &Store) {
    let (mut pieces, mut bytes, mut again) = (store.pieces(), Vec::new(), Store::new(2));
    while pieces.append_next(&mut bytes) {}
    for effect in Effects::new(&bytes) {
        again.apply(&effect.expect("an effect"));
    }
    again.check();
    let system = System::default();
    assert_eq!(store.digest(&system), again.digest(&system));
    assert_eq!(store.counts(), again.counts());
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (0..400i64).prop_map(|n| n.to_string().into_bytes()),
        2 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        6 => "[a-z]{0,3}".prop_map(String::into_bytes),
        1 => (60..70usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

/// Rarely one that is larger than a leaf of a list.
fn large_element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![60 => element(), 1 => (3000..9000usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len])]
}

fn elements() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![4 => prop::collection::vec(element(), 1..4), 1 => prop::collection::vec(element(), 1..300)]
}

fn encoded(elements: &[Vec<u8>]) -> Vec<u8> {
    words::collect(elements.iter().map(Vec::as_slice))
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<Vec<u8>>),
    Drop(Vec<Vec<u8>>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![3 => elements().prop_map(Step::Put), 1 => elements().prop_map(Step::Drop)];
    prop::collection::vec(step, 1..40)
}

#[derive(Clone, Debug)]
enum ListStep {
    Push(bool, Vec<Vec<u8>>),
    Pop(bool, usize),
    Insert(usize, Vec<u8>),
    Set(usize, Vec<u8>),
    Remove(usize),
    RemoveMany(usize, usize),
}

fn list_steps() -> impl Strategy<Value = Vec<ListStep>> {
    let elements = || prop_oneof![4 => prop::collection::vec(large_element(), 1..4), 2 => prop::collection::vec(large_element(), 1..400)];
    let step = prop_oneof![
        6 => (any::<bool>(), elements()).prop_map(|(left, elements)| ListStep::Push(left, elements)),
        2 => (any::<bool>(), 0..300usize).prop_map(|(left, count)| ListStep::Pop(left, count)),
        3 => (any::<usize>(), large_element()).prop_map(|(at, element)| ListStep::Insert(at, element)),
        3 => (any::<usize>(), large_element()).prop_map(|(at, element)| ListStep::Set(at, element)),
        2 => any::<usize>().prop_map(ListStep::Remove),
        2 => (any::<usize>(), 0..300usize).prop_map(|(at, count)| ListStep::RemoveMany(at, count)),
    ];
    prop::collection::vec(step, 1..60)
}

fn side(left: bool) -> Side {
    if left { Side::Left } else { Side::Right }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_hash_holds_its_fields(steps in steps()) {
        let (mut store, mut model) = (Store::new(1), BTreeMap::new());
        for step in steps {
            match step {
                Step::Put(fields) => {
                    let pairs: Vec<Vec<u8>> = fields.iter().flat_map(|field| [field.clone(), [field, &b"!"[..]].concat()]).collect();
                    change(&mut store, Change::PutFields(Words::new(&encoded(&pairs))));
                    model.extend(pairs.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())));
                }
                Step::Drop(fields) => {
                    change(&mut store, Change::DropFields(Words::new(&encoded(&fields))));
                    fields.iter().for_each(|field| { model.remove(field); });
                }
            }
            let hash = held::<Hash>(&store);
            prop_assert_eq!(hash.map_or(0, Hash::len), model.len());
            let found: BTreeMap<Vec<u8>, Vec<u8>> =
                hash.into_iter().flat_map(Hash::iter).map(|(field, value)| (field.into(), value.into())).collect();
            prop_assert_eq!(&found, &model);
            prop_assert!(model.iter().all(|(field, value)| hash.and_then(|hash| hash.get(field)) == Some(value)));
        }
        check_pieces(&store);
    }

    #[test]
    fn a_set_holds_its_members(steps in steps()) {
        let (mut store, mut model) = (Store::new(1), BTreeSet::new());
        for step in steps {
            match step {
                Step::Put(members) => {
                    change(&mut store, Change::AddMembers(Words::new(&encoded(&members))));
                    model.extend(members);
                }
                Step::Drop(members) => {
                    change(&mut store, Change::DropMembers(Words::new(&encoded(&members))));
                    members.iter().for_each(|member| { model.remove(member); });
                }
            }
            let set = held::<Set>(&store);
            prop_assert_eq!(set.map_or(0, Set::len), model.len());
            let found: BTreeSet<Vec<u8>> = set.into_iter().flat_map(Set::iter).map(|member| member.to_vec()).collect();
            prop_assert_eq!(&found, &model);
            prop_assert!(model.iter().all(|member| set.is_some_and(|set| set.contains(member))));
        }
        check_pieces(&store);
    }

    #[test]
    fn a_sorted_set_is_in_order(steps in steps(), scores in prop::collection::vec(-20..20i32, 7)) {
        let (mut store, mut model) = (Store::new(1), BTreeMap::new());
        for step in steps {
            match step {
                Step::Put(members) => {
                    let scored: Vec<(Vec<u8>, f64)> =
                        members.into_iter().zip(scores.iter().cycle()).map(|(member, score)| (member, f64::from(*score) / 3.0)).collect();
                    let ranked: Vec<Vec<u8>> = scored.iter().map(|(member, score)| SortedSet::word(*score, member)).collect();
                    change(&mut store, Change::Rank(Words::new(&encoded(&ranked))));
                    model.extend(scored);
                }
                Step::Drop(members) => {
                    change(&mut store, Change::Unrank(Words::new(&encoded(&members))));
                    members.iter().for_each(|member| { model.remove(member); });
                }
            }
            let sorted = held::<SortedSet>(&store);
            let mut expected: Vec<(Vec<u8>, f64)> = model.iter().map(|(member, score)| (member.clone(), *score)).collect();
            expected.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
            let found: Vec<(Vec<u8>, f64)> =
                sorted.into_iter().flat_map(SortedSet::iter).map(|(member, score)| (member.into(), score)).collect();
            prop_assert_eq!(&found, &expected);
            for (rank, (member, score)) in expected.iter().enumerate().step_by(7) {
                let sorted = sorted.expect("it has members");
                prop_assert_eq!(sorted.score(member), Some(*score));
                prop_assert_eq!(sorted.rank(member), Some(rank));
                prop_assert_eq!(sorted.at(rank), Some((&member[..], *score)));
            }
            if let Some(sorted) = sorted {
                let back: Vec<&[u8]> = sorted.iter_back_from(sorted.len()).map(|(member, _)| member).collect();
                prop_assert!(back.iter().rev().copied().eq(expected.iter().map(|(member, _)| &member[..])));
            }
        }
        check_pieces(&store);
    }

    #[test]
    fn a_list_keeps_its_order(steps in list_steps()) {
        let (mut store, mut model) = (Store::new(1), Vec::<Vec<u8>>::new());
        for step in steps {
            match step {
                ListStep::Push(left, elements) => {
                    change(&mut store, Change::Push { side: side(left), elements: Words::new(&encoded(&elements)) });
                    if left { elements.into_iter().for_each(|element| model.insert(0, element)) } else { model.extend(elements) }
                }
                ListStep::Pop(left, count) => {
                    change(&mut store, Change::Pop { side: side(left), count: count as u64 });
                    let count = count.min(model.len());
                    if left { drop(model.drain(..count)) } else { model.truncate(model.len() - count) }
                }
                ListStep::Insert(at, element) if !model.is_empty() => {
                    let at = at % (model.len() + 1);
                    change(&mut store, Change::InsertAt { index: at as u64, element: &element });
                    model.insert(at, element);
                }
                ListStep::Set(at, element) if !model.is_empty() => {
                    let at = at % model.len();
                    change(&mut store, Change::SetAt { index: at as u64, element: &element });
                    model[at] = element;
                }
                ListStep::Remove(at) if !model.is_empty() => {
                    let at = at % model.len();
                    change(&mut store, Change::RemoveAt { index: at as u64 });
                    model.remove(at);
                }
                ListStep::RemoveMany(at, count) if !model.is_empty() => {
                    let at = at % model.len();
                    for _ in 0..count.min(model.len() - at) {
                        change(&mut store, Change::RemoveAt { index: at as u64 });
                        model.remove(at);
                    }
                }
                _ => {}
            }
            let list = held::<List>(&store);
            prop_assert_eq!(list.map_or(0, List::len), model.len());
            if let Some(list) = list {
                let elements = list.elements();
                prop_assert!(elements.iter().eq(model.iter().map(Vec::as_slice)));
                prop_assert!(elements.iter_back_from(model.len()).eq(model.iter().rev().map(Vec::as_slice)));
                let from = model.len() / 3;
                prop_assert!(elements.iter_from(from).eq(model[from..].iter().map(Vec::as_slice)));
                prop_assert_eq!(elements.get(from), model.get(from).map(Vec::as_slice));
            }
        }
        check_pieces(&store);
    }
}

/// However a collection is kept, and however unequal the parts of its table are.
#[test]
fn every_element_is_drawn_as_often() {
    const TIMES: usize = 30;
    let numbers: fn(usize) -> Vec<u8> = |n| n.to_string().into_bytes();
    let names: fn(usize) -> Vec<u8> = |n| format!("member {n}").into_bytes();
    for (member, len, removed) in
        [(numbers, 300, 0), (names, 100, 0), (names, 700, 0), (names, 2600, 0), (names, 2600, 1500)]
    {
        let mut store = Store::new(1);
        let members: Vec<Vec<u8>> = (0..len).map(member).collect();
        change(&mut store, Change::AddMembers(Words::new(&encoded(&members))));
        change(&mut store, Change::DropMembers(Words::new(&encoded(&members[..removed]))));
        let set = held::<Set>(&store).expect("it has members");
        let mut times = BTreeMap::new();
        let mut bits = 1u64;
        for _ in 0..set.len() * TIMES {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *times.entry(set.random(bits ^ bits >> 32).expect("there are some").to_vec()).or_insert(0usize) += 1;
        }
        assert_eq!(times.len(), set.len());
        // Pearson's test: the sum is about the number of members, and its deviation the root of twice that.
        let sum: usize = times.values().map(|n| n.abs_diff(TIMES).pow(2)).sum::<usize>() / TIMES;
        assert!(sum.abs_diff(set.len()) < 5 * (2 * set.len()).isqrt(), "{len}, {removed}: {sum}");
    }
}

#[test]
fn a_change_of_another_type_changes_nothing() {
    let mut store = Store::new(1);
    store.apply(&Effect::Put { db: DB, key: KEY, value: b"text", deadline: Some(7) });
    let words = words::collect([&b"a"[..], b"b"]);
    let words = Words::new(&words);
    let changes = [
        Change::PutFields(words),
        Change::Push { side: Side::Left, elements: words },
        Change::AddMembers(words),
        Change::Unrank(words),
        Change::Pop { side: Side::Left, count: 1 },
    ];
    for other in changes {
        change(&mut store, other);
    }
    let item = store.database(DB).get(KEY).expect("it is there");
    assert!(matches!(item.value, Value::Text(b"text")));
    assert_eq!(item.deadline, Some(7));
}

#[test]
fn nothing_is_made_of_no_elements() {
    let mut store = Store::new(1);
    for other in [Change::AddMembers(Words::default()), Change::Pop { side: Side::Left, count: 1 }] {
        change(&mut store, other);
        assert!(store.database(DB).is_empty());
    }
}
