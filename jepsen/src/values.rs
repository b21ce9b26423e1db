//! From redis-rs's values to those that the checks read.

use mneme_kernel::resp;
use redis::Value;

/// What redis-rs made of a reply, as it was.
pub fn plain(value: Value) -> resp::Value {
    match value {
        Value::Nil => resp::Value::Null,
        Value::Int(n) => resp::Value::Int(n),
        Value::BulkString(bytes) => resp::Value::Bulk(bytes),
        Value::SimpleString(text) => resp::Value::Simple(text),
        Value::Okay => resp::Value::Simple("OK".into()),
        Value::Double(n) => resp::Value::Double(n),
        Value::Boolean(is) => resp::Value::Bool(is),
        Value::Array(items) => resp::Value::Array(items.into_iter().map(plain).collect()),
        Value::Set(items) => resp::Value::Set(items.into_iter().map(plain).collect()),
        Value::Map(pairs) => resp::Value::Map(pairs.into_iter().map(|(a, b)| (plain(a), plain(b))).collect()),
        Value::ServerError(error) => resp::Value::Error(text(error.code(), error.details())),
        // No command of ours answers so.
        other => resp::Value::Error(format!("ERR of a kind that is not expected: {other:?}")),
    }
}

/// What the server refused something by; `None` if it did not say anything.
pub fn refusal(error: &redis::RedisError) -> Option<resp::Value> {
    Some(resp::Value::Error(text(error.code()?, error.detail())))
}

/// An error as the server wrote it.
fn text(code: &str, details: Option<&str>) -> String {
    details.map_or_else(|| code.to_owned(), |details| format!("{code} {details}"))
}
