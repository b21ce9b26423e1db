//! A key as a line of JSON: what `export` writes and `import` takes. docs/OPERATIONS.md describes it for whoever reads it.
//!
//! A byte string is a JSON string if it is UTF-8, else `{"base64": "..."}`, so that it is never in doubt which it is.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mneme_kernel::effect::{Change, Effect, Side};
use mneme_kernel::ids::DbId;
use mneme_kernel::rdb::{self, Loaded};
use mneme_kernel::store::{SortedSet, Store, Stream, StreamId, Words, delivered_word, words};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A line. A document is in `value` as it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub db: Database,
    pub key: Text,
    #[serde(rename = "type")]
    pub kind: String,
    /// Unix time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    pub value: Box<RawValue>,
}

/// A database by its number, or by its name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Database {
    Number(u16),
    Name(String),
}

/// A byte string.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    Plain(String),
    Binary { base64: String },
}

/// A score; what JSON has no number for is `"inf"` or `"-inf"`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Score {
    Number(f64),
    Infinite(String),
}

/// A stream. IDs are as commands have them, times are Unix times in milliseconds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamLine {
    entries: Vec<(String, Vec<(Text, Text)>)>,
    last_id: String,
    max_deleted_id: String,
    entries_added: u64,
    groups: Vec<GroupLine>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupLine {
    name: Text,
    last_id: String,
    entries_read: Option<u64>,
    consumers: Vec<ConsumerLine>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsumerLine {
    name: Text,
    seen_ms: u64,
    /// IDs, when they were delivered last, and how often they were.
    pending: Vec<(String, u64, u64)>,
}

impl Text {
    pub fn of(bytes: &[u8]) -> Text {
        match std::str::from_utf8(bytes) {
            Ok(text) => Text::Plain(text.to_owned()),
            Err(_) => Text::Binary { base64: BASE64_STANDARD.encode(bytes) },
        }
    }

    /// # Errors
    /// If it is not base64.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Text::Plain(text) => Ok(text.as_bytes().to_vec()),
            Text::Binary { base64 } => BASE64_STANDARD.decode(base64).map_err(|error| format!("base64: {error}")),
        }
    }
}

/// A value as JSON.
///
/// # Errors
/// None that can happen: every value has a form.
pub fn value(loaded: &Loaded) -> serde_json::Result<Box<RawValue>> {
    let texts = |bytes: &[u8]| Words::new(bytes).map(Text::of).collect::<Vec<_>>();
    let json = match loaded {
        Loaded::Text(text) => serde_json::to_string(&Text::of(text)),
        Loaded::List(elements) | Loaded::Set(elements) => serde_json::to_string(&texts(elements)),
        Loaded::Hash(fields) => {
            let pairs = Words::new(fields).pairs().map(|(field, value)| (Text::of(field), Text::of(value)));
            serde_json::to_string(&pairs.collect::<Vec<_>>())
        }
        Loaded::Sorted(words) => {
            let pairs = Words::new(words).filter_map(SortedSet::of_word);
            let pairs = pairs.map(|(member, score)| (Text::of(member), Score::of(score)));
            serde_json::to_string(&pairs.collect::<Vec<_>>())
        }
        Loaded::Stream(stream) => serde_json::to_string(&StreamLine::of(stream)),
    };
    json.and_then(RawValue::from_string)
}

impl Score {
    fn of(score: f64) -> Score {
        if score.is_finite() { Score::Number(score) } else { Score::Infinite(score.to_string()) }
    }

    fn number(&self) -> Result<f64, String> {
        match self {
            Score::Number(score) => Ok(*score),
            Score::Infinite(text) => match text.as_str() {
                "inf" => Ok(f64::INFINITY),
                "-inf" => Ok(f64::NEG_INFINITY),
                other => Err(format!("\"{other}\" is no score")),
            },
        }
    }
}

impl StreamLine {
    fn of(stream: &Stream) -> StreamLine {
        let all = || StreamId::MIN..=StreamId::MAX;
        let entries = stream.range(all()).map(|entry| {
            let fields = entry.fields().map(|(name, value)| (Text::of(name), Text::of(value)));
            (entry.id.to_string(), fields.collect())
        });
        let groups = stream.groups().map(|(name, group)| GroupLine {
            name: Text::of(name),
            last_id: group.last.to_string(),
            entries_read: group.read,
            consumers: group
                .consumers()
                .map(|(name, consumer)| ConsumerLine {
                    name: Text::of(name),
                    seen_ms: consumer.seen,
                    pending: group
                        .all_pending(Some(consumer), all())
                        .map(|(id, pending)| (id.to_string(), pending.time, pending.count))
                        .collect(),
                })
                .collect(),
        });
        StreamLine {
            entries: entries.collect(),
            last_id: stream.last_id().to_string(),
            max_deleted_id: stream.max_deleted().to_string(),
            entries_added: stream.added(),
            groups: groups.collect(),
        }
    }

    /// Makes the stream by the changes that make it.
    fn make(&self, mut change: impl FnMut(Change<'_>)) -> Result<(), String> {
        let mut before = StreamId::MIN;
        for (number, (name, fields)) in self.entries.iter().enumerate() {
            let (id, fields) = (id(name)?, pairs(fields)?);
            if id <= before {
                return Err(format!("entry {name} does not come behind the one before it"));
            }
            before = id;
            let entry = Stream::word(id, Words::new(&fields));
            // As Redis has them by default.
            let apart = number % 100 == 0;
            change(Change::AddEntries { apart, entries: Words::new(&words::collect([&entry[..]])) });
        }
        let (last, max_deleted) = (id(&self.last_id)?, id(&self.max_deleted_id)?);
        change(Change::SetStream { last, max_deleted, added: self.entries_added });
        for group in &self.groups {
            let name = group.name.bytes()?;
            change(Change::PutGroup { group: &name, last: id(&group.last_id)?, read: group.entries_read });
            for consumer in &group.consumers {
                let ConsumerLine { name: consumer, seen_ms: seen, pending } = consumer;
                let (group, consumer, seen) = (&name, &consumer.bytes()?, *seen);
                change(Change::PutConsumer { group, consumer, seen, active: Some(seen) });
                let mut entries = Vec::new();
                for (entry, time, count) in pending {
                    words::push(&mut entries, &delivered_word(id(entry)?, *time, *count));
                }
                change(Change::Pend { group, consumer, entries: Words::new(&entries) });
            }
        }
        Ok(())
    }
}

fn id(text: &str) -> Result<StreamId, String> {
    let parsed =
        text.split_once('-').and_then(|(ms, seq)| Some(StreamId { ms: ms.parse().ok()?, seq: seq.parse().ok()? }));
    parsed.ok_or_else(|| format!("\"{text}\" is no ID of a stream's entry"))
}

fn pairs(pairs: &[(Text, Text)]) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for (name, value) in pairs {
        words::push(&mut all, &name.bytes()?);
        words::push(&mut all, &value.bytes()?);
    }
    Ok(all)
}

/// Makes values of lines, as `DUMP` would give them.
#[derive(Debug)]
pub struct Maker(Store);

impl Default for Maker {
    fn default() -> Self {
        // Nobody chooses which keys collide: there is one at a time.
        Maker(Store::new(0))
    }
}

impl Maker {
    /// # Errors
    /// If this is no value of that type.
    pub fn dumped(&mut self, kind: &str, json: &RawValue) -> Result<Vec<u8>, String> {
        const DB: DbId = DbId(0);
        let key = &b""[..];
        let store = &mut self.0;
        store.apply(&Effect::Delete { db: DB, key });
        let mut change = |change: Change<'_>| store.apply(&Effect::Change { db: DB, key, change });
        match kind {
            "string" => {
                let value = parsed::<Text>(json)?.bytes()?;
                store.apply(&Effect::Put { db: DB, key, value: &value, deadline: None });
            }
            "list" | "set" => {
                let mut all = Vec::new();
                for element in parsed::<Vec<Text>>(json)? {
                    words::push(&mut all, &element.bytes()?);
                }
                let words = Words::new(&all);
                change(match kind {
                    "set" => Change::AddMembers(words),
                    _ => Change::Push { side: Side::Right, elements: words },
                });
            }
            "hash" => change(Change::PutFields(Words::new(&pairs(&parsed::<Vec<(Text, Text)>>(json)?)?))),
            "zset" => {
                let mut all = Vec::new();
                for (member, score) in parsed::<Vec<(Text, Score)>>(json)? {
                    words::push(&mut all, &SortedSet::word(score.number()?, &member.bytes()?));
                }
                change(Change::Rank(Words::new(&all)));
            }
            "stream" => parsed::<StreamLine>(json)?.make(change)?,
            other => return Err(format!("\"{other}\" is no type")),
        }
        let item = store.database(DB).get(key).ok_or("a collection is never empty")?;
        rdb::dump(item.value).ok_or_else(|| "it cannot be dumped".to_owned())
    }
}

fn parsed<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(json.get()).map_err(|error| format!("value: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_every_type_comes_back_from_its_line() {
        let mut maker = Maker::default();
        for (kind, json) in [
            ("string", r#""text""#),
            ("string", r#"{"base64":"/wA="}"#),
            ("list", r#"["b",{"base64":"gA=="},"b"]"#),
            ("set", r#"["member"]"#),
            ("hash", r#"[["f","v"],[{"base64":"/w=="},""]]"#),
            ("zset", r#"[["low","-inf"],["a",0.1],["b",1e+300],["high","inf"]]"#),
            (
                "stream",
                concat!(
                    r#"{"entries":[["1-1",[["a","1"],["b","2"]]],["1-2",[["a","3"]]]],"last_id":"7-0","max_deleted_id":"1-0","#,
                    r#""entries_added":4,"groups":[{"name":"g","last_id":"1-1","entries_read":null,"#,
                    r#""consumers":[{"name":"c","seen_ms":99,"pending":[["1-1",77,3]]}]}]}"#
                ),
            ),
        ] {
            let json = RawValue::from_string(json.to_owned()).expect("JSON");
            let dumped = maker.dumped(kind, &json).expect(kind);
            let loaded = rdb::load(rdb::open(&dumped).expect("a checksum")).expect("a value");
            assert_eq!(loaded.type_name(), kind);
            assert_eq!(value(&loaded).expect("JSON").get(), json.get());
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for (kind, json) in [
            ("string", "1"),
            ("list", "[]"),
            ("list", r#"[{"base64":"?"}]"#),
            ("zset", r#"[["a","high"]]"#),
            (
                "stream",
                r#"{"entries":[["x",[]]],"last_id":"0-0","max_deleted_id":"0-0","entries_added":0,"groups":[]}"#,
            ),
            ("module", "1"),
        ] {
            let json = RawValue::from_string(json.to_owned()).expect("JSON");
            assert!(Maker::default().dumped(kind, &json).is_err(), "{kind} {json}");
        }
    }
}
