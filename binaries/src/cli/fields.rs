//! The fields of an answer that is a map.

use std::collections::BTreeMap;

use mneme_kernel::resp::Value;

/// A map, whichever protocol it came by; empty if it is none.
pub fn fields(map: Value) -> BTreeMap<String, Value> {
    match map {
        Value::Map(pairs) => pairs.into_iter().map(|(key, value)| (text(&key), value)).collect(),
        Value::Array(flat) => flat.chunks_exact(2).map(|pair| (text(&pair[0]), pair[1].clone())).collect(),
        _ => BTreeMap::new(),
    }
}

/// A number, also if it came as text; 0 if it is none.
pub fn integer(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        other => text(other).parse().unwrap_or(0),
    }
}

/// A string; empty if it is none.
pub fn text(value: &Value) -> String {
    String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned()
}
