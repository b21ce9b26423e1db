//! JSON documents beside a naive model: the same values in `serde_json`, with paths evaluated as plainly as can be.

#[path = "support/stage.rs"]
mod stage;
mod support;

use mneme_kernel::connection::Connection;
use mneme_kernel::effect::{Change, Effect, Effects};
use mneme_kernel::ids::DbId;
use mneme_kernel::json::{self, Place, Step as Into};
use mneme_kernel::limits;
use mneme_kernel::store::Words;
use mneme_kernel::store::{Document, Kind, Store, words};
use mneme_kernel::system::System;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};
use stage::Stage;

/// A step of a path, and of a place.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Name(String),
    Index(i64),
    All,
    /// This name here and in everything below.
    Everywhere(String),
}

type Steps = Vec<Step>;

fn text_of(steps: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::Name(name) => format!("[\"{name}\"]"),
        Step::Index(index) => format!("[{index}]"),
        Step::All => ".*".into(),
        Step::Everywhere(name) => format!("..{name}"),
    };
    format!("${}", steps.iter().map(step).collect::<String>())
}

/// Where the path leads from a value, in the document's order.
fn evaluate(value: &Value, steps: &[Step], here: &Steps, found: &mut Vec<Steps>) {
    let Some((step, rest)) = steps.split_first() else { return found.push(here.clone()) };
    let deeper = |step: Step| [&here[..], &[step]].concat();
    let mut children: Vec<(Step, &Value)> = Vec::new();
    match value {
        Value::Array(items) => children.extend((0..).map(Step::Index).zip(items)),
        Value::Object(members) => {
            children.extend(members.iter().map(|(name, value)| (Step::Name(name.clone()), value)));
        }
        _ => {}
    }
    let len = value.as_array().map_or(0, Vec::len) as i64;
    for (child, inner) in &children {
        let is_meant = match (step, child) {
            (Step::Index(wanted), Step::Index(at)) => wanted == at || wanted + len == *at,
            (Step::All, _) => true,
            (Step::Everywhere(wanted), Step::Name(name)) => wanted == name,
            _ => step == child,
        };
        if is_meant {
            evaluate(inner, rest, &deeper(child.clone()), found);
        }
    }
    if matches!(step, Step::Everywhere(_)) {
        // Of the older order of RedisJSON: what is found in a value first, then what is in each of its children.
        for (child, inner) in &children {
            evaluate(inner, steps, &deeper(child.clone()), found);
        }
    }
}

fn at_mut<'a>(value: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Name(name) => value.get_mut(name),
        Step::Index(index) => value.get_mut(usize::try_from(*index).ok()?),
        _ => None,
    })
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        4 => (-3i64..9).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => (-9i64..9).prop_map(|n| Value::from(n as f64 / 4.0)),
        1 => any::<f64>().prop_filter("a number", |n| n.is_finite()).prop_map(Value::from),
        2 => "[a-c\"\\\\ä\n\u{1}]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(("[a-d]", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_path() -> impl Strategy<Value = Steps> {
    let step = prop_oneof![
        4 => "[a-d]".prop_map(Step::Name),
        2 => (-3i64..4).prop_map(Step::Index),
        1 => Just(Step::All),
        1 => "[a-d]".prop_map(Step::Everywhere),
    ];
    prop::collection::vec(step, 0..4)
}

#[derive(Clone, Debug)]
enum Ask {
    Set(Steps, Value, Option<bool>),
    Delete(Steps),
    Merge(Steps, Value),
    Clear(Steps),
    Toggle(Steps),
    Add(Steps, i64),
    Append(Steps, String),
    Extend(Steps, Vec<Value>),
    Insert(Steps, i64, Vec<Value>),
    Pop(Steps, i64),
    Trim(Steps, i64, i64),
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let path = any_path;
    let values = || prop::collection::vec(any_value(), 1..4);
    let at = || -4i64..5;
    prop_oneof![
        4 => (path(), any_value(), prop::option::weighted(0.3, any::<bool>())).prop_map(|(path, value, new)| Ask::Set(path, value, new)),
        2 => path().prop_map(Ask::Delete),
        2 => (path(), any_value()).prop_map(|(path, value)| Ask::Merge(path, value)),
        1 => path().prop_map(Ask::Clear),
        1 => path().prop_map(Ask::Toggle),
        2 => (path(), -9i64..9).prop_map(|(path, by)| Ask::Add(path, by)),
        1 => (path(), "[a-c]{0,3}").prop_map(|(path, text)| Ask::Append(path, text)),
        1 => (path(), values()).prop_map(|(path, values)| Ask::Extend(path, values)),
        1 => (path(), 0i64..2, values()).prop_map(|(path, at, values)| Ask::Insert(path, at, values)),
        1 => (path(), at()).prop_map(|(path, at)| Ask::Pop(path, at)),
        1 => (path(), at(), at()).prop_map(|(path, start, stop)| Ask::Trim(path, start, stop)),
    ]
}

/// What a command makes of the document, if it is not refused.
struct Model(Option<Value>);

impl Model {
    fn places(&self, path: &[Step]) -> Vec<Steps> {
        let mut found = Vec::new();
        if let Some(root) = &self.0 {
            evaluate(root, path, &Vec::new(), &mut found);
        }
        found
    }

    /// Each of them once, without those within others.
    fn outermost(&self, path: &[Step]) -> Vec<Steps> {
        let all = self.places(path);
        let mut kept: Vec<Steps> = Vec::new();
        for place in &all {
            let is_within = |other: &Steps| place.starts_with(other) && place != other;
            if !all.iter().any(is_within) && !kept.contains(place) {
                kept.push(place.clone());
            }
        }
        kept
    }

    /// Changes each value once, what is in others before them; whether each was of the right type, as they were found.
    fn each(&mut self, path: &[Step], change: impl Fn(&mut Value) -> Option<Value>) -> Vec<Value> {
        let mut found: Vec<Steps> = Vec::new();
        for place in self.places(path) {
            if !found.contains(&place) {
                found.push(place);
            }
        }
        let mut order_of_changes: Vec<usize> = (0..found.len()).collect();
        order_of_changes.sort_by(|a, b| order(&found[*b], &found[*a]));
        let mut answers = vec![Value::Null; found.len()];
        for at in order_of_changes {
            let value = self.0.as_mut().and_then(|root| at_mut(root, &found[at]));
            answers[at] = value.and_then(&change).unwrap_or(Value::Null);
        }
        answers
    }
}

/// A container before what is in it, elements in their order.
fn order(a: &Steps, b: &Steps) -> std::cmp::Ordering {
    for (a, b) in a.iter().zip(b) {
        let order = match (a, b) {
            (Step::Index(a), Step::Index(b)) => a.cmp(b),
            (Step::Name(a), Step::Name(b)) => a.cmp(b),
            _ => std::cmp::Ordering::Equal,
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return *target = patch.clone() };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (name, value) in patch {
        let members = target.as_object_mut().expect("an object");
        if value.is_null() {
            members.shift_remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

struct Pair {
    stage: Stage,
    client: Connection,
    model: Model,
}

impl Pair {
    fn new() -> Self {
        let mut stage = Stage::new();
        let client = stage.client();
        Self { stage, client, model: Model(None) }
    }

    fn ask(&mut self, command: &[&str]) -> String {
        self.stage.ask(&mut self.client, command).0
    }

    /// A reply that is one bulk string.
    fn bulk(&mut self, command: &[&str]) -> Option<String> {
        let reply = self.ask(command);
        let (head, rest) = reply.split_once("\r\n")?;
        (head != "$-1").then(|| rest.strip_suffix("\r\n").expect("a reply").to_string())
    }

    fn check(&mut self) {
        let text = self.bulk(&["JSON.GET", "k"]);
        let value = text.map(|text| serde_json::from_str::<Value>(&text).expect("JSON"));
        // As text: the order of members counts.
        assert_eq!(value.map(|value| value.to_string()), self.model.0.as_ref().map(Value::to_string));
    }

    fn step(&mut self, ask: &Ask) {
        let text = |values: &[Value]| values.iter().map(Value::to_string).collect::<Vec<_>>();
        match ask {
            Ask::Set(path, value, new) => {
                let mut command = vec!["JSON.SET".to_string(), "k".into(), text_of(path), value.to_string()];
                command.extend(new.map(|new| if new { "NX".into() } else { "XX".into() }));
                let reply = self.ask(&command.iter().map(String::as_str).collect::<Vec<_>>());
                self.set(path, value, *new, &reply);
            }
            Ask::Delete(path) => {
                let reply = self.ask(&["JSON.DEL", "k", &text_of(path)]);
                let mut places = self.model.outermost(path);
                assert_eq!(reply, format!(":{}\r\n", places.len()));
                places.sort_by(order);
                for place in places.iter().rev() {
                    let Some((last, container)) = place.split_last() else {
                        self.model.0 = None;
                        break;
                    };
                    match (at_mut(self.model.0.as_mut().expect("a document"), container), last) {
                        (Some(Value::Object(members)), Step::Name(name)) => drop(members.shift_remove(name)),
                        (Some(Value::Array(items)), Step::Index(at)) => drop(items.remove(*at as usize)),
                        other => panic!("{other:?}"),
                    }
                }
            }
            Ask::Merge(path, patch) => {
                let reply = self.ask(&["JSON.MERGE", "k", &text_of(path), &patch.to_string()]);
                if self.model.0.is_none() || self.model.places(path).is_empty() {
                    return self.set(path, patch, None, &reply);
                }
                assert_eq!(reply, "+OK\r\n");
                for place in self.model.outermost(path) {
                    merge(at_mut(self.model.0.as_mut().expect("a document"), &place).expect("found"), patch);
                }
            }
            Ask::Clear(path) => {
                let reply = self.ask(&["JSON.CLEAR", "k", &text_of(path)]);
                if self.model.0.is_none() {
                    return assert!(reply.starts_with("-ERR could not"), "{reply}");
                }
                let cleared = |value: &Value| match value {
                    Value::Array(items) if !items.is_empty() => Some(json!([])),
                    Value::Object(members) if !members.is_empty() => Some(json!({})),
                    Value::Number(n) if n.as_f64() != Some(0.0) => Some(json!(0)),
                    _ => None,
                };
                let mut places = self.model.places(path);
                let root = self.model.0.as_mut().expect("a document");
                places.retain(|place| at_mut(root, place).is_some_and(|value| cleared(value).is_some()));
                let all = places.clone();
                places.retain(|place| !all.iter().any(|other| place.starts_with(other) && place != other));
                places.sort_by(order);
                places.dedup();
                assert_eq!(reply, format!(":{}\r\n", places.len()));
                for place in places {
                    let value = at_mut(root, &place).expect("found");
                    *value = cleared(value).expect("to be cleared");
                }
            }
            Ask::Toggle(path) => self.each(&["JSON.TOGGLE", "k", &text_of(path)], path, |value| {
                let on = !value.as_bool()?;
                *value = on.into();
                Some(i64::from(on).into())
            }),
            Ask::Add(path, by) => self.add(path, *by),
            Ask::Append(path, more) => {
                self.each(&["JSON.STRAPPEND", "k", &text_of(path), &json!(more).to_string()], path, |value| {
                    let text = format!("{}{more}", value.as_str()?);
                    let len = text.len();
                    *value = text.into();
                    Some(len.into())
                });
            }
            Ask::Extend(path, values) => {
                let (text, path_text) = (text(values), text_of(path));
                let command: Vec<&str> =
                    ["JSON.ARRAPPEND", "k", &path_text].into_iter().chain(text.iter().map(String::as_str)).collect();
                self.each(&command, path, |value| {
                    let items = value.as_array_mut()?;
                    items.extend(values.iter().cloned());
                    Some(items.len().into())
                });
            }
            Ask::Insert(path, at, values) => {
                let root = self.model.0.clone().unwrap_or_default();
                let too_short = self.model.places(path).iter().any(|place| {
                    let value = at_mut(&mut root.clone(), place).cloned().unwrap_or_default();
                    value.as_array().is_some_and(|items| (items.len() as i64) < *at)
                });
                let (text, path_text, at_text) = (text(values), text_of(path), at.to_string());
                let command: Vec<&str> = ["JSON.ARRINSERT", "k", &path_text, &at_text]
                    .into_iter()
                    .chain(text.iter().map(String::as_str))
                    .collect();
                if too_short {
                    return assert_eq!(self.ask(&command), "-ERR index out of bounds\r\n");
                }
                self.each(&command, path, |value| {
                    let items = value.as_array_mut()?;
                    let at = *at as usize;
                    items.splice(at..at, values.iter().cloned());
                    Some(items.len().into())
                });
            }
            Ask::Pop(path, at) => {
                let at = *at;
                self.each(&["JSON.ARRPOP", "k", &text_of(path), &at.to_string()], path, |value| {
                    let items = value.as_array_mut()?;
                    let last = items.len().checked_sub(1)?;
                    let at = if at < 0 { (at + items.len() as i64).max(0) } else { at };
                    Some(items.remove((at as usize).min(last)).to_string().into())
                });
            }
            Ask::Trim(path, start, stop) => {
                let command = ["JSON.ARRTRIM", "k", &text_of(path), &start.to_string(), &stop.to_string()];
                self.each(&command, path, |value| {
                    let items = value.as_array_mut()?;
                    let len = items.len() as i64;
                    let from_start = |at: i64| if at < 0 { (at + len).max(0) } else { at };
                    let range = from_start(*start)..=from_start(*stop);
                    let mut at = 0;
                    items.retain(|_| (range.contains(&at), at += 1).0);
                    Some(items.len().into())
                });
            }
        }
    }

    fn set(&mut self, path: &[Step], value: &Value, new: Option<bool>, reply: &str) {
        let places = if new == Some(true) { Vec::new() } else { self.model.outermost(path) };
        let is_static = path.iter().all(|step| matches!(step, Step::Name(_) | Step::Index(_)));
        if path.is_empty() {
            let fits = new.is_none_or(|new| new == self.model.0.is_none());
            assert_eq!(reply, if fits { "+OK\r\n" } else { "$-1\r\n" });
            if fits {
                self.model.0 = Some(value.clone());
            }
        } else if self.model.0.is_none() {
            let told = if new == Some(false) { "$-1" } else { "-ERR new objects must be created at the root" };
            assert_eq!(reply, format!("{told}\r\n"));
        } else if !places.is_empty() {
            assert_eq!(reply, "+OK\r\n");
            for place in places {
                *at_mut(self.model.0.as_mut().expect("a document"), &place).expect("found") = value.clone();
            }
        } else if new == Some(false) {
            assert_eq!(reply, "$-1\r\n");
        } else if !is_static {
            assert_eq!(reply, "-ERR wrong static path\r\n");
        } else if let Some((Step::Name(name), container)) = path.split_last() {
            let found = self.model.places(container);
            let object = found.first().and_then(|place| at_mut(self.model.0.as_mut()?, place));
            let members = object.and_then(Value::as_object_mut).filter(|members| !members.contains_key(name));
            assert_eq!(reply, if members.is_some() { "+OK\r\n" } else { "$-1\r\n" });
            members.map(|members| members.insert(name.clone(), value.clone()));
        } else {
            assert_eq!(reply, "-ERR array index out of range\r\n");
        }
    }

    fn each(&mut self, command: &[&str], path: &[Step], change: impl Fn(&mut Value) -> Option<Value>) {
        let reply = self.ask(command);
        if self.model.0.is_none() {
            return assert!(reply.starts_with("-ERR could not"), "{reply}");
        }
        let answers = self.model.each(path, change);
        let mut wanted = format!("*{}\r\n", answers.len());
        for answer in answers {
            wanted += &match answer {
                Value::Null => "$-1\r\n".to_string(),
                Value::Number(n) => format!(":{n}\r\n"),
                // What was taken away, whose text differs in the form of floats.
                Value::String(text) if text.contains("e+") => return,
                Value::String(text) => format!("${}\r\n{text}\r\n", text.len()),
                other => panic!("{other}"),
            };
        }
        if !command[0].ends_with("POP") || !wanted.contains(['.', 'e']) {
            assert_eq!(reply, wanted);
        }
    }

    fn add(&mut self, path: &[Step], by: i64) {
        let reply = self.ask(&["JSON.NUMINCRBY", "k", &text_of(path), &by.to_string()]);
        if self.model.0.is_none() {
            return assert!(reply.starts_with("-ERR could not"), "{reply}");
        }
        if reply == "-ERR numeric overflow\r\n" || reply == "-ERR result is not a number\r\n" {
            let root = self.model.0.as_mut().expect("a document");
            let mut places = Vec::new();
            evaluate(root, path, &Vec::new(), &mut places);
            let overflows = |place: &Steps| {
                let value = at_mut(root, place).and_then(|value| value.as_i64());
                value.is_some_and(|value| value.checked_add(by * 2).is_none())
            };
            return assert!(places.iter().any(overflows), "{reply}");
        }
        let answers = self.model.each(path, |value| {
            let n = value.as_number()?;
            *value = match n.as_i64() {
                Some(n) => n.checked_add(by)?.into(),
                None => (n.as_f64()? + by as f64).into(),
            };
            Some(value.clone())
        });
        let text = reply.lines().nth(1).expect("a bulk string");
        assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), Value::from(answers));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn commands_do_what_a_naive_model_does(asks in prop::collection::vec(any_ask(), 1..25)) {
        let mut pair = Pair::new();
        pair.step(&Ask::Set(Vec::new(), json!({"a": [1, {"b": [true]}], "c": {"a": "x", "d": 2.5}}), None));
        for ask in &asks {
            // Only a test of depth needs it, and has it below.
            if pair.model.0.as_ref().is_some_and(|root| depth(root) > limits::MAX_JSON_DEPTH / 2) {
                break;
            }
            pair.step(ask);
            pair.check();
        }
    }
}

const DB: DbId = DbId(0);
const KEY: &[u8] = b"key";

fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    json::encode(&json::parse(value.to_string().as_bytes()).expect("JSON"), &mut bytes);
    bytes
}

fn change(store: &mut Store, change: Change<'_>) {
    store.apply(&Effect::Change { db: DB, key: KEY, change });
    store.check();
}

fn document(store: &Store) -> &Document {
    Document::of(store.database(DB).get(KEY).expect("it is there").value).expect("a document")
}

/// The same made anew from pieces, as a snapshot is read; how many there were, and the largest.
fn check_pieces(store: &Store) -> (usize, usize) {
    let (mut pieces, mut bytes, mut again) = (store.pieces(), Vec::new(), Store::new(2));
    let (mut count, mut largest) = (0, 0);
    while pieces.append_next(&mut bytes) {
        for effect in Effects::new(&bytes) {
            again.apply(&effect.expect("an effect"));
        }
        (count, largest) = (count + 1, largest.max(bytes.len()));
        bytes.clear();
    }
    again.check();
    let system = System::default();
    assert_eq!(store.digest(&system), again.digest(&system));
    assert_eq!(store.bytes(), again.bytes());
    assert_eq!(document(&again).root().to_text(), document(store).root().to_text());
    (count, largest)
}

proptest! {
    #[test]
    fn a_document_is_made_again_by_its_pieces(
        values in prop::collection::vec((any_value(), 0..9usize), 1..9),
        many in 0..4000usize,
        at in any::<Index>(),
    ) {
        let mut store = Store::new(1);
        let long = "x".repeat(at.index(40_000));
        let list: Vec<Value> = (0..many).map(|n| values[n % values.len()].0.clone()).collect();
        let members: Map<String, Value> = values.iter().map(|(value, n)| (format!("m{n}"), value.clone())).collect();
        let named: Map<String, Value> = list.iter().enumerate().map(|(n, value)| (n.to_string(), value.clone())).collect();
        let value = json!({"list": [list, long], "members": members, "named": named, "last": [[[]]]});
        change(&mut store, Change::JsonSet { place: Words::default(), value: &encode(&value) });
        let (count, largest) = check_pieces(&store);
        prop_assert!(largest < (40 << 10) + 40_000, "{largest}");
        prop_assert!(many < 3000 || count > 3);
    }

    /// Names in any order, many and few at a time: members are found, in the order in which they came.
    #[test]
    fn an_object_holds_its_members_in_their_order(
        steps in prop::collection::vec((any::<bool>(), prop::collection::vec((0u16..60, 0i64..5), 1..40)), 1..12),
    ) {
        let mut store = Store::new(1);
        change(&mut store, Change::JsonSet { place: Words::default(), value: &encode(&json!({})) });
        let mut model: Map<String, Value> = Map::new();
        for (puts, members) in steps {
            let names: Vec<String> = members.iter().map(|(name, _)| format!("name{}", u32::from(*name) * 7919 % 61)).collect();
            if puts {
                let values: Vec<Vec<u8>> = members.iter().map(|(_, value)| encode(&json!(value))).collect();
                let pairs = words::collect(names.iter().zip(&values).flat_map(|(name, value)| [name.as_bytes(), value]));
                change(&mut store, Change::JsonPut { place: Words::default(), members: Words::new(&pairs) });
                for (name, (_, value)) in names.into_iter().zip(members) {
                    model.insert(name, value.into());
                }
            } else {
                let steps = Place::of(names.iter().map(|name| Into::Name(name)));
                change(&mut store, Change::JsonDrop { place: Words::default(), steps: steps.words() });
                for name in names {
                    model.shift_remove(&name);
                }
            }
            let root = document(&store).root();
            prop_assert_eq!(String::from_utf8(root.to_text()).expect("text"), Value::from(model.clone()).to_string());
            for (name, value) in &model {
                let found = root.as_object().and_then(|object| object.get(name)).expect("a member");
                prop_assert_eq!(found.to_text(), value.to_string().into_bytes());
            }
        }
    }
}

#[test]
fn a_change_that_does_not_fit_changes_nothing() {
    let mut store = Store::new(1);
    let at = |steps: &[Into<'_>]| Place::of(steps.iter().copied());
    let (none, list) = (at(&[Into::Name("none"), Into::Index(0)]), at(&[Into::Name("list")]));
    // Nothing begins but with its root.
    change(&mut store, Change::JsonSet { place: list.words(), value: &[0] });
    assert!(store.database(DB).is_empty());
    change(&mut store, Change::JsonSet { place: Words::default(), value: &[9] });
    assert!(store.database(DB).is_empty());
    change(&mut store, Change::JsonSet { place: Words::default(), value: &encode(&json!({"list": [1], "t": "x"})) });
    let before = document(&store).root().to_text();
    let members = words::collect([&b"\xff"[..], &[0]]);
    for unfit in [
        Change::JsonSet { place: none.words(), value: &[0] },
        Change::JsonSet { place: at(&[Into::Name("list"), Into::Index(1)]).words(), value: &[0] },
        Change::JsonSet { place: list.words(), value: &[0, 0] },
        Change::JsonSet { place: Words::new(&[9]), value: &[0] },
        Change::JsonPut { place: list.words(), members: Words::default() },
        Change::JsonPut { place: Words::default(), members: Words::new(&members) },
        Change::JsonDrop { place: list.words(), steps: at(&[Into::Index(1), Into::Name("x")]).words() },
        Change::JsonInsert { place: list.words(), index: 2, values: &[0] },
        Change::JsonInsert { place: list.words(), index: 0, values: &[7, 255, 255, 255, 255, 1] },
        Change::JsonKeep { place: Words::default(), start: 0, count: 0 },
        Change::JsonAppend { place: list.words(), text: b"x" },
        Change::JsonAppend { place: at(&[Into::Name("t")]).words(), text: b"\xff" },
        Change::AddMembers(Words::new(&[1, 1])),
    ] {
        change(&mut store, unfit);
        assert_eq!(document(&store).root().to_text(), before, "{unfit:?}");
    }
}

/// The number, its place and no more.
#[test]
fn a_number_of_a_large_document_costs_the_log_a_few_bytes() {
    let mut pair = Pair::new();
    let filler: Vec<String> = (0..20_000).map(|n| format!("filler of some length {n}")).collect();
    let text = json!({"filler": filler, "counter": {"n": 1}}).to_string();
    assert!(text.len() > 500_000);
    assert_eq!(pair.ask(&["JSON.SET", "k", "$", &text]), "+OK\r\n");
    let before = pair.stage.logged;
    assert_eq!(pair.ask(&["JSON.NUMINCRBY", "k", "$.counter.n", "1"]), "$3\r\n[2]\r\n");
    assert!(pair.stage.logged - before < 80, "{}", pair.stage.logged - before);
}

#[test]
fn what_is_too_deep_is_refused_wherever_it_would_be() {
    const MOST: usize = limits::MAX_JSON_DEPTH;
    let mut pair = Pair::new();
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let refused = "-ERR recursion limit exceeded";
    assert!(pair.ask(&["JSON.SET", "k", "$", &nested(MOST + 1)]).starts_with(refused));
    let innermost = format!("${}", "[0]".repeat(MOST));
    // Each as deep as it may be, and one deeper.
    for (command, fits, deeper) in [
        (&["JSON.SET", "k", "$[0]"][..], &*nested(MOST - 1), &*nested(MOST)),
        (&["JSON.SET", "k", &innermost], "2", "[]"),
        (&["JSON.SET", "k", "$[0,0]"], &nested(MOST - 1), &nested(MOST)),
        (&["JSON.MSET", "k", "$[0]"], &nested(MOST - 1), &nested(MOST)),
        (&["JSON.MERGE", "k", "$[0]"], &nested(MOST - 1), &nested(MOST)),
        (&["JSON.MERGE", "k", &innermost], "2", "{\"a\":1}"),
        (&["JSON.ARRAPPEND", "k", "$[0]", "1"], &nested(MOST - 2), &nested(MOST - 1)),
        (&["JSON.ARRAPPEND", "k", "$..[?(@[0]==1)]"], "2", "[]"),
        (&["JSON.ARRINSERT", "k", "$[0]", "0"], &nested(MOST - 2), &nested(MOST - 1)),
    ] {
        let ask = |pair: &mut Pair, value| pair.ask(&[command, &[value]].concat());
        assert_eq!(pair.ask(&["JSON.SET", "k", "$", &nested(MOST)]), "+OK\r\n");
        assert_eq!(ask(&mut pair, deeper), format!("{refused}\r\n"), "{command:?}");
        assert_eq!(pair.bulk(&["JSON.GET", "k"]), Some(nested(MOST)), "{command:?}");
        let reply = ask(&mut pair, fits);
        assert!(reply == "+OK\r\n" || reply.starts_with("*1\r\n:"), "{command:?} {reply}");
        pair.stage.core.check();
    }
}

/// The log has a bound for what goes into it together, and each of a command's changes names its key.
#[test]
fn changes_that_would_not_fit_into_the_log_with_their_keys_are_refused() {
    let mut pair = Pair::new();
    let (key, count) = ("k".repeat(2 << 20), 300);
    assert!(key.len() * count > limits::MAX_BULK);
    let text = json!(vec![json!({"n": 1, "t": "x", "b": true, "l": [1, 2], "o": {"x": null}}); count]).to_string();
    assert_eq!(pair.ask(&["JSON.SET", &key, "$", &text]), "+OK\r\n");
    let before = pair.stage.logged;
    let all: &[&[&str]] = &[
        &["JSON.SET", &key, "$[*].n", "2"],
        &["JSON.MSET", &key, "$[:150].n", "2", &key, "$[150:].n", "2"],
        &["JSON.MERGE", &key, "$[*]", "{\"n\":2}"],
        &["JSON.MERGE", &key, "$[*]", "{\"n\":null}"],
        &["JSON.MERGE", &key, "$[*].n", "2"],
        &["JSON.DEL", &key, "$[*].n"],
        &["JSON.CLEAR", &key, "$[*].n"],
        &["JSON.NUMINCRBY", &key, "$[*].n", "1"],
        &["JSON.TOGGLE", &key, "$[*].b"],
        &["JSON.STRAPPEND", &key, "$[*].t", "\"y\""],
        &["JSON.ARRAPPEND", &key, "$[*].l", "3"],
        &["JSON.ARRPOP", &key, "$[*].l"],
        &["JSON.ARRTRIM", &key, "$[*].l", "0", "0"],
    ];
    for command in all {
        let reply = pair.ask(command);
        assert_eq!(reply, "-ERR not executed: what is to be stored is too large for one command\r\n", "{}", command[0]);
    }
    assert_eq!(pair.stage.logged, before);
    assert_eq!(pair.ask(&["JSON.NUMINCRBY", &key, "$[0].n", "1"]), "$3\r\n[2]\r\n");
}

/// Every piece names its place, and is about as large as that at most.
#[test]
fn a_document_with_long_names_has_small_pieces() {
    let mut store = Store::new(1);
    let mut value = json!((0..300_000).collect::<Vec<_>>());
    for _ in 0..4 {
        value = json!({"x".repeat(limits::MAX_JSON_NAME): [value, {"y": [1, "z"]}], "after": true});
    }
    change(&mut store, Change::JsonSet { place: Words::default(), value: &encode(&value) });
    let (count, largest) = check_pieces(&store);
    assert!(count > 4 && largest < 12 * limits::MAX_JSON_NAME, "{count} {largest}");
}

#[test]
fn names_that_are_too_long_are_refused() {
    let mut pair = Pair::new();
    assert_eq!(pair.ask(&["JSON.SET", "k", "$", "{\"a\":[]}"]), "+OK\r\n");
    let long = format!("{{\"{}\":1}}", "n".repeat(limits::MAX_JSON_NAME + 1));
    for command in [
        &["JSON.SET", "k", "$"][..],
        &["JSON.SET", "k", "$.a"],
        &["JSON.MSET", "k", "$"],
        &["JSON.MERGE", "k", "$"],
        &["JSON.ARRAPPEND", "k", "$.a"],
    ] {
        let reply = pair.ask(&[command, &[&long]].concat());
        assert!(reply.starts_with("-ERR the name of a member has more than 65536 bytes at line 1"), "{reply}");
    }
    assert_eq!(pair.bulk(&["JSON.GET", "k"]).as_deref(), Some("{\"a\":[]}"));
}

#[test]
fn what_is_found_twice_is_changed_once() {
    let mut pair = Pair::new();
    assert_eq!(pair.ask(&["JSON.SET", "k", "$", r#"[1,{"a":{"a":[2,3]}},[5]]"#]), "+OK\r\n");
    assert_eq!(pair.ask(&["JSON.NUMINCRBY", "k", "$[0,2,-3,0]", "1"]), "$8\r\n[2,null]\r\n");
    assert_eq!(pair.ask(&["JSON.ARRAPPEND", "k", "$..a..a", "4"]), "*1\r\n:3\r\n");
    assert_eq!(pair.ask(&["JSON.ARRPOP", "k", "$[2,2]"]), "*1\r\n$1\r\n5\r\n");
    assert_eq!(pair.bulk(&["JSON.GET", "k"]).as_deref(), Some(r#"[2,{"a":{"a":[2,3,4]}},[]]"#));
}

const TOO_MANY: &str = "-ERR the path looks at too many values\r\n";

#[test]
fn what_is_looked_for_in_vain_is_work_too() {
    let mut pair = Pair::new();
    let texts = json!(vec![json!({"a": [1]}); 1500]).to_string();
    assert_eq!(pair.ask(&["JSON.SET", "k", "$", &texts]), "+OK\r\n");
    let indexes = format!("$[*].a[{}0]", "9,".repeat(30_000));
    let names = |count: usize| format!("$[*]['a'{}]", (0..count).map(|n| format!(",'{n}'")).collect::<String>());
    assert_eq!(pair.ask(&["JSON.TYPE", "k", &indexes]), TOO_MANY);
    // 7,500 names are fewer than what a command may look for in 1,500 values, and more than half of it.
    let most = names(7_500);
    assert_eq!(pair.ask(&["JSON.SET", "k", &most, "1"]), "+OK\r\n");
    // A command has so much for all of its paths.
    assert_eq!(pair.ask(&["JSON.MSET", "k", &most, "2", "k", &most, "3"]), TOO_MANY);
    assert_eq!(pair.ask(&["JSON.MSET", "k", &most, "2"]), "+OK\r\n");
    // A patch is looked at in each place.
    let patch = format!("{{{}\"b\":null}}", (0..7_500).map(|n| format!("\"{n}\":null,")).collect::<String>());
    assert_eq!(pair.ask(&["JSON.MERGE", "k", "$[*]", &patch]), TOO_MANY);
    assert_eq!(pair.ask(&["JSON.MERGE", "k", "$[:100]", &patch]), "+OK\r\n");
}

#[test]
fn what_is_read_again_and_again_is_work_too() {
    let mut pair = Pair::new();
    let members: Map<String, Value> = (0..1500).map(|n| (format!("{n}"), n.into())).collect();
    let text = json!([members, vec![0; 3000]]).to_string();
    assert_eq!(pair.ask(&["JSON.SET", "k", "$", &text]), "+OK\r\n");
    let again = |at: usize, times: usize| format!("$[{}{at}]", format!("{at},").repeat(times));
    for (at, command) in
        [(0, &["JSON.OBJKEYS", "k"][..]), (0, &["JSON.DEBUG", "MEMORY", "k"]), (1, &["JSON.DEBUG", "MEMORY", "k"])]
    {
        assert_eq!(pair.ask(&[command, &[&again(at, 30_000)]].concat()), TOO_MANY, "{command:?}");
        assert!(pair.ask(&[command, &[&again(at, 10)]].concat()).starts_with("*11\r\n"), "{command:?}");
    }
    assert_eq!(pair.ask(&["JSON.ARRINDEX", "k", &again(1, 30_000), "1"]), TOO_MANY);
    assert!(pair.ask(&["JSON.ARRINDEX", "k", &again(1, 10), "1"]).starts_with("*11\r\n:-1\r\n"));
}

#[test]
fn a_reply_of_many_paths_or_keys_has_a_bound() {
    let mut pair = Pair::new();
    assert_eq!(pair.ask(&["JSON.SET", "k", "$", &json!({"t": "x".repeat(9 << 20)}).to_string()]), "+OK\r\n");
    let paths: Vec<String> = (0..40).map(|spaces| format!("[{}'t']", " ".repeat(spaces))).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let keys = ["k"; 40];
    let too_large = "-ERR the reply would be too large: ask for fewer\r\n";
    assert_eq!(pair.ask(&[&["JSON.GET", "k"], &paths[..]].concat()), too_large);
    assert_eq!(pair.ask(&[&["JSON.MGET"], &keys[..], &["."]].concat()), too_large);
    // One that is asked for twice is answered once.
    assert_eq!(pair.ask(&["JSON.GET", "k", "$.n", ".t[0]", "$.n", "$.n"]), "$21\r\n{\"$.n\":[],\".t[0]\":[]}\r\n");
}

#[test]
fn regular_expressions_are_few_and_short() {
    let mut pair = Pair::new();
    let long = "a".repeat(limits::MAX_JSON_PATTERN_TEXT);
    let items: Vec<Value> = (0..200).map(|_| json!({"t": "b", "q": long})).collect();
    assert_eq!(pair.ask(&["JSON.SET", "k", "$", &json!(items).to_string()]), "+OK\r\n");
    let path = |pattern: &str| format!("$[?(@.t=~'{pattern}')]");
    assert_eq!(pair.ask(&["JSON.GET", "k", &path(&long)]), "$2\r\n[]\r\n");
    assert!(pair.ask(&["JSON.GET", "k", &path(&format!("{long}a"))]).starts_with("-ERR path error: it is too long"));
    let paths: Vec<String> = (0..=limits::MAX_JSON_PATTERNS).map(|n| path(&n.to_string())).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    assert!(pair.ask(&[&["JSON.GET", "k"], &paths[1..]].concat()).starts_with('$'));
    assert!(pair.ask(&[&["JSON.GET", "k"], &paths[..]].concat()).starts_with("-ERR path error: it is too long"));
    let triples: Vec<&str> = paths.iter().flat_map(|path| ["k", path, "1"]).collect();
    let reply = pair.ask(&[&["JSON.MSET", "k", "$[?(@.t=~'b')].n", "1"], &triples[..]].concat());
    assert!(reply.starts_with("-ERR"), "{reply}");
    // One that stands in the document is built for each value that it is tried on.
    assert_eq!(pair.ask(&["JSON.GET", "k", "$[?(@.t=~@.q)]"]), TOO_MANY);
    assert_eq!(pair.ask(&["JSON.GET", "k", "$[:9]..[?(@.t=~@.q)]"]), "$2\r\n[]\r\n");
}

/// Each `..` multiplies what is found by the depth of the document: no path may cost more than a bound says.
#[test]
fn a_path_that_would_never_end_is_refused() {
    let mut pair = Pair::new();
    let depth = 120;
    let wide = format!("{}{}{}", "{\"a\":[".repeat(depth / 2), "[1,2,3]", "]}".repeat(depth / 2));
    assert_eq!(pair.ask(&["JSON.SET", "k", "$", &wide]), "+OK\r\n");
    for path in ["$..*..*..*..*..*", "$..[?(@..*..*..*..b==1)]", "$..*[?($..*..*..*..b==1)]"] {
        for command in [&["JSON.GET", "k", path][..], &["JSON.DEL", "k", path], &["JSON.TYPE", "k", path]] {
            assert_eq!(pair.ask(command), TOO_MANY, "{path}");
        }
    }
    let long = format!("$[?({}@{})]", "(".repeat(10_000), ")".repeat(10_000));
    assert!(pair.ask(&["JSON.GET", "k", &long]).starts_with("-ERR path error"));
    let long = "$.a".to_string() + &"[0].a".repeat(20_000);
    assert!(pair.ask(&["JSON.GET", "k", &long]).starts_with("-ERR path error"));
}
