//! The table of keys: that it holds what was put, that a walk sees every key while the table grows and shrinks, that no
//! operation touches more than a part of it.

use std::collections::{BTreeMap, BTreeSet};

use mneme_kernel::effect::Effect;
use mneme_kernel::ids::DbId;
use mneme_kernel::store::{Store, Value};
use proptest::prelude::*;

const DB: DbId = DbId(0);

fn put(store: &mut Store, key: &str, value: &str, deadline: Option<u64>) {
    store.apply(&Effect::Put { db: DB, key: key.as_bytes(), value: value.as_bytes(), deadline });
}

fn delete(store: &mut Store, key: &str) {
    store.apply(&Effect::Delete { db: DB, key: key.as_bytes() });
}

fn scan(store: &Store, cursor: u64, count: usize, seen: &mut BTreeSet<String>) -> u64 {
    let before = seen.len();
    let mut visited = 0;
    let next = store.database(DB).scan(cursor, count, |key, _| {
        seen.insert(String::from_utf8_lossy(key).into_owned());
        visited += 1;
    });
    assert!(visited <= count + 8, "{visited} visited where {count} were asked for");
    assert!(seen.len() - before <= visited);
    assert!(next < 1 << 53, "clients may keep cursors as doubles");
    next
}

#[derive(Clone, Debug)]
enum Step {
    Put(u16, u8, Option<u64>),
    Delete(u16),
    Deadline(u16, Option<u64>),
    PutMany(u16, u16),
    DeleteMany(u16, u16),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let deadline = || proptest::option::of(1..1000u64);
    prop_oneof![
        10 => (0..9000u16, 0..40u8, deadline()).prop_map(|(key, len, deadline)| Step::Put(key, len, deadline)),
        10 => (0..9000u16).prop_map(Step::Delete),
        5 => (0..9000u16, deadline()).prop_map(|(key, deadline)| Step::Deadline(key, deadline)),
        3 => (0..6000u16, 0..3000u16).prop_map(|(from, count)| Step::PutMany(from, count)),
        3 => (0..6000u16, 0..3000u16).prop_map(|(from, count)| Step::DeleteMany(from, count)),
        1 => Just(Step::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn it_holds_what_was_put(steps in proptest::collection::vec(step(), 1..60), seed: u64) {
        let mut store = Store::new(seed);
        let mut model = BTreeMap::<String, (String, Option<u64>)>::new();
        for step in steps {
            let key = |n: u16| format!("key:{n}");
            match step {
                Step::Put(n, len, deadline) => {
                    let value = "v".repeat(len.into());
                    put(&mut store, &key(n), &value, deadline);
                    model.insert(key(n), (value, deadline));
                }
                Step::Delete(n) => {
                    delete(&mut store, &key(n));
                    model.remove(&key(n));
                }
                Step::Deadline(n, deadline) => {
                    store.apply(&Effect::Deadline { db: DB, key: key(n).as_bytes(), deadline });
                    model.entry(key(n)).and_modify(|item| item.1 = deadline);
                }
                Step::PutMany(from, count) => for n in from..from + count {
                    put(&mut store, &key(n), "many", None);
                    model.insert(key(n), ("many".into(), None));
                },
                Step::DeleteMany(from, count) => for n in from..from + count {
                    delete(&mut store, &key(n));
                    model.remove(&key(n));
                },
                Step::Flush => {
                    store.apply(&Effect::Flush { db: DB });
                    model.clear();
                }
            }
        }
        store.check();
        let found: BTreeMap<_, _> = store.database(DB).iter().map(|(key, item)| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            let Value::Text(value) = item.value else { panic!("not a text") };
            (text(key), (text(value), item.deadline))
        }).collect();
        prop_assert_eq!(found, model);
    }

    #[test]
    fn a_walk_sees_every_key_that_stays(
        seed: u64,
        count in 1..700usize,
        churn in proptest::collection::vec((any::<bool>(), 0..12_000u32, 1..6000u32), 0..25),
    ) {
        let mut store = Store::new(seed);
        for n in 0..1500 {
            put(&mut store, &format!("stay:{n}"), "", None);
        }
        let mut churn = churn.into_iter();
        let (mut seen, mut cursor) = (BTreeSet::new(), 0);
        loop {
            cursor = scan(&store, cursor, count, &mut seen);
            if cursor == 0 {
                break;
            }
            if let Some((grows, from, count)) = churn.next() {
                for n in from..from + count {
                    let key = format!("churn:{n}");
                    if grows { put(&mut store, &key, "", None) } else { delete(&mut store, &key) }
                }
            }
        }
        store.check();
        prop_assert_eq!(seen.iter().filter(|key| key.starts_with("stay")).count(), 1500);
    }
}

/// A client's next SCAN may come to another Core, which has the same keys in another order.
#[test]
fn a_walk_that_goes_on_in_another_memory_misses_nothing() {
    let (mut here, mut there) = (Store::new(1), Store::new(2));
    for n in 0..5000 {
        put(&mut here, &format!("{n}"), "x", None);
        put(&mut there, &format!("{n}"), "x", None);
    }
    let mut seen = BTreeSet::new();
    let mut cursor = 0;
    for _ in 0..100 {
        cursor = scan(&here, cursor, 10, &mut seen);
    }
    assert!(cursor != 0 && cursor < 1 << 53);
    while cursor != 0 {
        cursor = scan(&there, cursor, 10, &mut seen);
    }
    assert_eq!(seen.len(), 5000);
}

#[test]
fn a_table_gives_back_what_it_no_longer_needs() {
    let mut store = Store::new(1);
    for n in 0..20_000 {
        put(&mut store, &format!("{n}"), "x", None);
    }
    let full = store.bytes();
    for n in 0..20_000 {
        delete(&mut store, &format!("{n}"));
    }
    assert_eq!(full, 20_000 * 40);
    assert_eq!((store.bytes(), store.database(DB).len()), (0, 0));
    store.check();
    let steps = std::iter::successors(Some(0), |cursor| {
        let next = store.database(DB).scan(*cursor, 1, |_, _| unreachable!("it is empty"));
        (next != 0).then_some(next)
    });
    assert_eq!(steps.count(), 1, "an empty table is one segment again");
}

#[test]
fn room_made_in_advance_changes_nothing_but_the_room() {
    let mut store = Store::new(1);
    store.reserve(&[100_000]);
    store.check();
    for n in 0..5000 {
        put(&mut store, &format!("{n}"), "x", None);
    }
    store.check();
    let mut seen = BTreeSet::new();
    let mut cursor = scan(&store, 0, 100, &mut seen);
    while cursor != 0 {
        cursor = scan(&store, cursor, 100, &mut seen);
    }
    assert_eq!(seen.len(), 5000);
}
