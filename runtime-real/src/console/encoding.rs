//! Commands and replies as JSON. What is no UTF-8, or more exact than a number of JavaScript, stands in an object of one
//! field.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mneme_kernel::resp::Value;
use serde_json::{Map, Number, json};

use super::conversation::Words;

/// The largest integer that a number of JavaScript holds exactly.
const MAX_EXACT: u64 = (1 << 53) - 1;

/// A command: an array of at least one word, each a string or `{"base64": "..."}`.
pub(super) fn command(json: &serde_json::Value) -> Option<Words> {
    let words: Words = json.as_array()?.iter().map(word).collect::<Option<_>>()?;
    (!words.is_empty()).then_some(words)
}

fn word(json: &serde_json::Value) -> Option<Vec<u8>> {
    match json {
        serde_json::Value::String(text) => Some(text.clone().into_bytes()),
        serde_json::Value::Number(number) => Some(number.to_string().into_bytes()),
        other => BASE64_STANDARD.decode(other.get("base64")?.as_str()?).ok(),
    }
}

/// A reply. An error is `{"error": "..."}`, a map `{"map": [[key, value], ...]}`: its keys may be anything.
pub(super) fn reply(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(truth) => json!(truth),
        Value::Int(number) if number.unsigned_abs() <= MAX_EXACT => json!(number),
        Value::Int(number) => json!({ "number": number.to_string() }),
        Value::BigNumber(digits) => json!({ "number": digits }),
        Value::Double(number) => match Number::from_f64(*number) {
            Some(number) => serde_json::Value::Number(number),
            None => json!({ "number": number.to_string() }),
        },
        Value::Error(why) => json!({ "error": why }),
        Value::Simple(text) => json!(text),
        Value::Bulk(bytes) | Value::Verbatim { text: bytes, .. } => match std::str::from_utf8(bytes) {
            Ok(text) => json!(text),
            Err(_) => json!({ "base64": BASE64_STANDARD.encode(bytes) }),
        },
        Value::Array(items) | Value::Set(items) | Value::Push(items) => items.iter().map(reply).collect(),
        Value::Map(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| json!([reply(key), reply(value)])).collect();
            serde_json::Value::Object(Map::from_iter([("map".to_owned(), pairs)]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_large_numbers_survive() {
        let cases = [
            (Value::Bulk(b"\xff\0".to_vec()), json!({ "base64": "/wA=" })),
            (Value::Int(i64::MIN), json!({ "number": "-9223372036854775808" })),
            (Value::Int(-7), json!(-7)),
            (Value::Double(f64::INFINITY), json!({ "number": "inf" })),
            (Value::Error("ERR no".into()), json!({ "error": "ERR no" })),
            (Value::Map(vec![(Value::Int(1), Value::Null)]), json!({ "map": [[1, null]] })),
            (Value::Set(vec![Value::Bool(true)]), json!([true])),
        ];
        cases.into_iter().for_each(|(value, expected)| assert_eq!(reply(&value), expected));
        let words = command(&json!(["GET", { "base64": "/wA=" }, 7]));
        assert_eq!(words, Some(vec![b"GET".to_vec(), b"\xff\0".to_vec(), b"7".to_vec()]));
        for wrong in [json!([]), json!("GET"), json!([["GET"]]), json!([null]), json!([{ "base64": "?" }])] {
            assert_eq!(command(&wrong), None, "{wrong}");
        }
    }
}
