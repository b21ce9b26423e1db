//! Commands on values that have a type, and their answers.

use mneme_kernel::resp::Value;

use super::key_name;
use crate::model::typed::joint::{How, Joint};
use crate::model::typed::sorted::{Only, PLACES, STEP};
use crate::model::typed::stream::{Asked, Id};
use crate::model::typed::{ELEMENTS, Element, Kind, Typed, document, hash, list, set, sketch, sorted, stream};
use crate::model::{Command, Key, Reply};

/// The only group of a stream.
const GROUP: &str = "g";
/// This one is long: servers keep collections in another way then.
const LONG: Element = ELEMENTS - 1;

/// The words of a command on the value of one key.
pub fn words(key: Key, call: &Typed, other_name: bool) -> Vec<String> {
    let key = key_name(key);
    match call {
        Typed::List(call) => of_list(&key, call),
        Typed::Hash(call) => of_hash(&key, call),
        Typed::Set(call) => of_set(&key, call),
        Typed::Sorted(call) => of_sorted(&key, call, other_name),
        Typed::Stream(call) => of_stream(&key, call),
        Typed::Document(call) => of_document(&key, call),
        Typed::Sketch(sketch::Call::Add(elements)) => with("PFADD", &key, names(elements)),
    }
}

/// The words of a command on values of several keys.
pub fn joint_words(joint: &Joint) -> Vec<String> {
    let side = |left: bool| if left { "LEFT" } else { "RIGHT" }.to_owned();
    let keys = |keys: &[Key]| keys.iter().copied().map(key_name).collect::<Vec<_>>();
    match joint {
        Joint::Combine { sorted, how, of, into } => {
            let how = match how {
                How::All => "INTER",
                How::Any => "UNION",
                How::First => "DIFF",
            };
            let kind = if *sorted { "Z" } else { "S" };
            let mut words = vec![format!("{kind}{how}{}", if into.is_some() { "STORE" } else { "" })];
            words.extend(into.map(key_name));
            words.extend(sorted.then(|| of.len().to_string()));
            words.extend(keys(of));
            if *sorted && how != "DIFF" {
                words.extend(["AGGREGATE", "MAX"].map(str::to_owned));
            }
            words.extend((*sorted && into.is_none()).then(|| "WITHSCORES".to_owned()));
            words
        }
        Joint::MoveElement { from, to, from_left: false, to_left: true } => {
            vec!["RPOPLPUSH".into(), key_name(*from), key_name(*to)]
        }
        Joint::MoveElement { from, to, from_left, to_left } => {
            vec!["LMOVE".into(), key_name(*from), key_name(*to), side(*from_left), side(*to_left)]
        }
        Joint::MoveMember { from, to, member } => vec!["SMOVE".into(), key_name(*from), key_name(*to), name(*member)],
        Joint::Estimate(of) => [vec!["PFCOUNT".to_owned()], keys(of)].concat(),
        Joint::Merge { into, of } => [vec!["PFMERGE".to_owned(), key_name(*into)], keys(of)].concat(),
    }
}

fn of_list(key: &str, call: &list::Call) -> Vec<String> {
    use list::Call;
    let side = |left: bool, name: &str| format!("{}{name}", if left { "L" } else { "R" });
    match call {
        Call::Push { elements, left, only_present } => {
            with(&side(*left, if *only_present { "PUSHX" } else { "PUSH" }), key, names(elements))
        }
        Call::Pop { left, count } => with(&side(*left, "POP"), key, count.map(|count| count.to_string())),
        Call::Range(from, to) => with("LRANGE", key, [from, to].map(i64::to_string)),
        Call::Length => with("LLEN", key, []),
        Call::At(at) => with("LINDEX", key, [at.to_string()]),
        Call::Put(at, element) => with("LSET", key, [at.to_string(), name(*element)]),
        Call::Remove(count, element) => with("LREM", key, [count.to_string(), name(*element)]),
        Call::Insert { before, pivot, element } => {
            with("LINSERT", key, [if *before { "BEFORE" } else { "AFTER" }.into(), name(*pivot), name(*element)])
        }
        Call::Trim(from, to) => with("LTRIM", key, [from, to].map(i64::to_string)),
        Call::Find(element) => with("LPOS", key, [name(*element)]),
    }
}

fn of_hash(key: &str, call: &hash::Call) -> Vec<String> {
    use hash::Call;
    match call {
        Call::Put(pairs) => {
            with("HSET", key, pairs.iter().flat_map(|(field, value)| [name(*field), value.to_string()]))
        }
        Call::PutAbsent(field, value) => with("HSETNX", key, [name(*field), value.to_string()]),
        Call::Increment(field, by) => with("HINCRBY", key, [name(*field), by.to_string()]),
        Call::Remove(fields) => with("HDEL", key, names(fields)),
        Call::Get(field) => with("HGET", key, [name(*field)]),
        Call::GetEach(fields) => with("HMGET", key, names(fields)),
        Call::All => with("HGETALL", key, []),
        Call::Fields => with("HKEYS", key, []),
        Call::Values => with("HVALS", key, []),
        Call::Length => with("HLEN", key, []),
        Call::Has(field) => with("HEXISTS", key, [name(*field)]),
        Call::Draw => with("HRANDFIELD", key, []),
    }
}

fn of_set(key: &str, call: &set::Call) -> Vec<String> {
    use set::Call;
    match call {
        Call::Add(members) => with("SADD", key, names(members)),
        Call::Remove(members) => with("SREM", key, names(members)),
        Call::Pop(count) => with("SPOP", key, count.map(|count| count.to_string())),
        Call::All => with("SMEMBERS", key, []),
        Call::Length => with("SCARD", key, []),
        Call::Has(member) => with("SISMEMBER", key, [name(*member)]),
        Call::HasEach(members) => with("SMISMEMBER", key, names(members)),
        Call::Draw => with("SRANDMEMBER", key, []),
    }
}

fn of_sorted(key: &str, call: &sorted::Call, other_name: bool) -> Vec<String> {
    use sorted::Call;
    let scores = || "WITHSCORES".to_owned();
    match call {
        Call::Add { members, only, changed } => {
            let only = match only {
                Only::Any => None,
                Only::Absent => Some("NX"),
                Only::Present => Some("XX"),
                Only::Greater => Some("GT"),
                Only::Less => Some("LT"),
            };
            let options = only.into_iter().chain(changed.then_some("CH")).map(str::to_owned);
            with(
                "ZADD",
                key,
                options.chain(members.iter().flat_map(|(member, score)| [score.to_string(), name(*member)])),
            )
        }
        Call::Place(members) => {
            let place = |(member, place): &(Element, usize)| {
                let (longitude, latitude) = PLACES[*place];
                [longitude.to_string(), latitude.to_string(), name(*member)]
            };
            with("GEOADD", key, members.iter().flat_map(place))
        }
        Call::Increment(member, by) => with("ZINCRBY", key, [by.to_string(), name(*member)]),
        Call::Remove(members) => with("ZREM", key, names(members)),
        Call::Score(member) => with("ZSCORE", key, [name(*member)]),
        Call::Rank(member) => with("ZRANK", key, [name(*member)]),
        Call::Length => with("ZCARD", key, []),
        Call::Count(least, most) => with("ZCOUNT", key, [least, most].map(i64::to_string)),
        Call::Range(from, to) => with("ZRANGE", key, [from.to_string(), to.to_string(), scores()]),
        Call::ByScore(least, most) if other_name => {
            with("ZRANGEBYSCORE", key, [least.to_string(), most.to_string(), scores()])
        }
        Call::ByScore(least, most) => {
            with("ZRANGE", key, [least.to_string(), most.to_string(), "BYSCORE".into(), scores()])
        }
        Call::Pop { least, count } => {
            with(if *least { "ZPOPMIN" } else { "ZPOPMAX" }, key, count.map(|count| count.to_string()))
        }
        Call::Draw => with("ZRANDMEMBER", key, []),
        Call::Near(others) => {
            let (longitude, latitude) = PLACES[0];
            let meters = STEP * (*others as f64 + 0.5);
            let near = format!("FROMLONLAT {longitude} {latitude} BYRADIUS {meters} m");
            with("GEOSEARCH", key, near.split(' ').map(str::to_owned))
        }
    }
}

fn of_stream(key: &str, call: &stream::Call) -> Vec<String> {
    use stream::Call;
    let ids = |ids: &[Id]| ids.iter().copied().map(id_name).collect::<Vec<_>>();
    match call {
        Call::Add { asked, word, most } => {
            let limit = most.iter().flat_map(|most| ["MAXLEN".to_owned(), most.to_string()]);
            let id = match asked {
                Asked::ByClock => "*".to_owned(),
                Asked::In(millis) => format!("{millis}-*"),
                Asked::Exactly(id) => id_name(*id),
            };
            with("XADD", key, limit.chain([id, name(0), word.to_string()]))
        }
        Call::Delete(these) => with("XDEL", key, ids(these)),
        Call::Trim(most) => with("XTRIM", key, ["MAXLEN".into(), most.to_string()]),
        Call::Length => with("XLEN", key, []),
        Call::Range { newest, count } => {
            let (name, ends) = if *newest { ("XREVRANGE", ["+", "-"]) } else { ("XRANGE", ["-", "+"]) };
            with(name, key, ends.map(str::to_owned).into_iter().chain(["COUNT".into(), count.to_string()]))
        }
        Call::Group { from_start } => {
            let from = if *from_start { "0" } else { "$" };
            ["XGROUP", "CREATE", key, GROUP, from, "MKSTREAM"].map(str::to_owned).to_vec()
        }
        Call::ReadNew { consumer, count } => {
            let count = count.to_string();
            let words = ["XREADGROUP", "GROUP", GROUP, &name(*consumer), "COUNT", &count, "STREAMS", key, ">"];
            words.map(str::to_owned).to_vec()
        }
        Call::Acknowledge(these) => with("XACK", key, [vec![GROUP.to_owned()], ids(these)].concat()),
        Call::Pending => with("XPENDING", key, [GROUP.to_owned()]),
    }
}

fn of_document(key: &str, call: &document::Call) -> Vec<String> {
    use document::Call;
    let at = |element: Element| format!("$[\"{}\"]", name(element));
    let row = || "$.row".to_owned();
    match call {
        Call::Create => with("JSON.SET", key, ["$", r#"{"row":[]}"#].map(str::to_owned)),
        Call::Put(element, value) => with("JSON.SET", key, [at(*element), value.to_string()]),
        Call::Increment(element, by) => with("JSON.NUMINCRBY", key, [at(*element), by.to_string()]),
        Call::Remove(element) => with("JSON.DEL", key, [at(*element)]),
        Call::Append(elements) => {
            let quoted = elements.iter().map(|element| format!("\"{}\"", name(*element)));
            with("JSON.ARRAPPEND", key, [row()].into_iter().chain(quoted))
        }
        Call::Pop => with("JSON.ARRPOP", key, [row()]),
        Call::All => with("JSON.GET", key, []),
    }
}

fn with(command: &str, key: &str, more: impl IntoIterator<Item = String>) -> Vec<String> {
    [command.to_owned(), key.to_owned()].into_iter().chain(more).collect()
}

/// An element by its name.
pub fn name(element: Element) -> String {
    let filling = if element == LONG { 100 } else { 0 };
    format!("e{element}{}", "-".repeat(filling))
}

fn names(elements: &[Element]) -> Vec<String> {
    elements.iter().copied().map(name).collect()
}

pub fn id_name(Id { millis, seq }: Id) -> String {
    format!("{millis}-{seq}")
}

/// The answer to such a command, unless it is an error; `None` if no server that keeps what it is given answers so.
pub fn read(command: &Command, value: &Value) -> Option<Reply> {
    let is_alone = !matches!(value, Value::Array(_) | Value::Map(_) | Value::Set(_));
    let mut items = Vec::new();
    match (command, value) {
        (Command::Typed(_, Typed::Document(call)), _) => return document(call, value),
        (Command::Kind(_), Value::Simple(kind)) => return kind_of(kind),
        // Which of the streams it is of: there is only one.
        (_, Value::Map(streams)) if matches!(command, Command::Typed(_, Typed::Stream(_))) => {
            streams.iter().try_for_each(|(_, entries)| flatten(entries, &mut items))?;
        }
        // The same in RESP2.
        (Command::Typed(_, Typed::Stream(stream::Call::ReadNew { .. })), Value::Array(streams)) => {
            streams.iter().try_for_each(|stream| match stream {
                Value::Array(named) => flatten(named.get(1)?, &mut items),
                _ => None,
            })?;
        }
        _ => flatten(value, &mut items)?,
    }
    if is_alone {
        return items.pop();
    }
    // In which order a server names these is its own affair.
    match command {
        Command::Typed(_, Typed::Hash(hash::Call::All)) => items = sorted(items.chunks(2)),
        Command::Typed(_, Typed::Hash(hash::Call::Fields | hash::Call::Values))
        | Command::Typed(_, Typed::Set(set::Call::All | set::Call::Pop(_)))
        | Command::Typed(_, Typed::Sorted(sorted::Call::Near(_)))
        | Command::Joint(Joint::Combine { sorted: false, .. }) => items.sort(),
        _ => {}
    }
    Some(Reply::Items(items))
}

/// The answer of a JSON command: what is not a number comes as JSON, and in RESP2 all that a path finds comes as one text.
fn document(call: &document::Call, value: &Value) -> Option<Reply> {
    let json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).ok();
    let found = match value {
        Value::Bulk(text) => json(text)?,
        Value::Array(items) => {
            let each = items.iter().map(|item| match item {
                Value::Int(n) => Some((*n).into()),
                Value::Null => Some(serde_json::Value::Null),
                Value::Bulk(text) => json(text),
                _ => None,
            });
            each.collect::<Option<Vec<_>>>()?.into()
        }
        Value::Simple(text) if text == "OK" => return Some(Reply::Ok),
        Value::Int(n) => return Some(Reply::Number(*n)),
        Value::Null => return Some(Reply::Nil),
        _ => return None,
    };
    let items = |values: &[serde_json::Value]| values.iter().map(scalar).collect::<Option<Vec<_>>>();
    match (call, found) {
        (document::Call::All, serde_json::Value::Object(mut members)) => {
            let serde_json::Value::Array(row) = members.remove("row")? else { return None };
            let pair = |(name, value): (&String, &serde_json::Value)| Some([item(name)?, scalar(value)?]);
            let mut pairs = members.iter().map(pair).collect::<Option<Vec<_>>>()?;
            pairs.sort();
            Some(Reply::Items([pairs.concat(), items(&row)?].concat()))
        }
        (document::Call::All, _) => None,
        (_, serde_json::Value::Array(values)) => Some(Reply::Items(items(&values)?)),
        _ => None,
    }
}

fn scalar(value: &serde_json::Value) -> Option<Reply> {
    match value {
        serde_json::Value::Null => Some(Reply::Nil),
        serde_json::Value::String(name) => item(name).filter(|item| matches!(item, Reply::Element(_))),
        number => number.as_i64().map(Reply::Number),
    }
}

fn sorted<'a>(rows: impl Iterator<Item = &'a [Reply]>) -> Vec<Reply> {
    let mut rows: Vec<&[Reply]> = rows.collect();
    rows.sort();
    rows.concat()
}

fn flatten(value: &Value, items: &mut Vec<Reply>) -> Option<()> {
    match value {
        Value::Array(values) | Value::Set(values) => return values.iter().try_for_each(|value| flatten(value, items)),
        Value::Map(pairs) => {
            return pairs.iter().flat_map(|(name, value)| [name, value]).try_for_each(|value| flatten(value, items));
        }
        Value::Null => items.push(Reply::Nil),
        Value::Simple(text) if text == "OK" => items.push(Reply::Ok),
        Value::Int(n) => items.push(Reply::Number(*n)),
        Value::Double(n) if n.fract() == 0.0 => items.push(Reply::Number(*n as i64)),
        Value::Bulk(bytes) => items.push(item(std::str::from_utf8(bytes).ok()?)?),
        _ => return None,
    }
    Some(())
}

/// What a text in a collection is.
fn item(text: &str) -> Option<Reply> {
    if let Some(rest) = text.strip_prefix('e') {
        let element = rest.trim_end_matches('-').parse().ok().filter(|element| text == name(*element));
        return element.map(Reply::Element);
    }
    if let Ok(number) = text.parse() {
        return Some(Reply::Number(number));
    }
    let (millis, seq) = text.split_once('-')?;
    Some(Reply::Id(Id { millis: millis.parse().ok()?, seq: seq.parse().ok()? }))
}

fn kind_of(name: &str) -> Option<Reply> {
    Some(Reply::Kind(match name {
        "none" => None,
        "string" => Some(Kind::String),
        "list" => Some(Kind::List),
        "hash" => Some(Kind::Hash),
        "set" => Some(Kind::Set),
        "zset" => Some(Kind::Sorted),
        "stream" => Some(Kind::Stream),
        "ReJSON-RL" => Some(Kind::Document),
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { database: 0, number: 200 };

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.as_bytes().to_vec())
    }

    #[test]
    fn what_has_no_order_is_put_into_one() {
        let all = Command::Typed(KEY, Typed::Hash(hash::Call::All));
        let pairs = Value::Map(vec![(bulk("e5"), bulk("-1")), (bulk("e2"), bulk("30"))]);
        let expected = [Reply::Element(2), Reply::Number(30), Reply::Element(5), Reply::Number(-1)];
        assert_eq!(read(&all, &pairs), Some(Reply::Items(expected.to_vec())));
        let range = Command::Typed(KEY, Typed::List(list::Call::Range(0, -1)));
        let row = Value::Array(vec![bulk("e5"), bulk("e2")]);
        assert_eq!(read(&range, &row), Some(Reply::Items(vec![Reply::Element(5), Reply::Element(2)])));
    }

    #[test]
    fn an_element_is_read_only_if_it_is_whole() {
        let get = Command::Typed(KEY, Typed::List(list::Call::At(0)));
        for element in [0, LONG] {
            assert_eq!(read(&get, &bulk(&name(element))), Some(Reply::Element(element)));
        }
        assert_eq!(read(&get, &bulk(&name(LONG)[1..])), None);
        assert_eq!(read(&get, &bulk(&name(LONG)[..9])), None);
    }

    #[test]
    fn a_document_is_read_only_if_it_is_whole() {
        let answer = |call, value: &Value| read(&Command::Typed(KEY, Typed::Document(call)), value);
        let whole = bulk(r#"{"e5":7,"row":["e1","e0"],"e2":-1}"#);
        let [two, five, one, zero] = [2, 5, 1, 0].map(Reply::Element);
        let expected = Reply::Items(vec![two, Reply::Number(-1), five, Reply::Number(7), one.clone(), zero]);
        assert_eq!(answer(document::Call::All, &whole), Some(expected));
        for broken in [r#"{"e5":7}"#, r#"{"row":["e1"],"x":1}"#, r#"{"row":[1.5]}"#, r#"{"row":["#, "[]"] {
            assert_eq!(answer(document::Call::All, &bulk(broken)), None, "{broken}");
        }
        let (number, nothing) = (Reply::Items(vec![Reply::Number(5)]), Reply::Items(Vec::new()));
        let increment = document::Call::Increment(1, 2);
        assert_eq!(answer(increment.clone(), &Value::Array(vec![Value::Int(5)])), Some(number.clone()));
        assert_eq!(answer(increment.clone(), &bulk("[5]")), Some(number));
        assert_eq!(answer(increment, &bulk("[]")), Some(nothing));
        let popped = answer(document::Call::Pop, &Value::Array(vec![bulk("\"e1\"")]));
        assert_eq!(popped, Some(Reply::Items(vec![one])));
    }

    #[test]
    fn entries_are_read_from_either_form() {
        let entry = Value::Array(vec![bulk("7-2"), Value::Array(vec![bulk("e0"), bulk("12")])]);
        let expected = Reply::Items(vec![Reply::Id(Id { millis: 7, seq: 2 }), Reply::Element(0), Reply::Number(12)]);
        let range = Command::Typed(KEY, Typed::Stream(stream::Call::Range { newest: false, count: 2 }));
        assert_eq!(read(&range, &Value::Array(vec![entry.clone()])), Some(expected.clone()));
        let group = Command::Typed(KEY, Typed::Stream(stream::Call::ReadNew { consumer: 1, count: 2 }));
        let by_stream = Value::Map(vec![(bulk("key:200"), Value::Array(vec![entry]))]);
        assert_eq!(read(&group, &by_stream), Some(expected.clone()));
        let Value::Map(streams) = by_stream else { unreachable!("it is a map") };
        let named = streams.into_iter().map(|(name, entries)| Value::Array(vec![name, entries]));
        assert_eq!(read(&group, &Value::Array(named.collect())), Some(expected));
    }
}
