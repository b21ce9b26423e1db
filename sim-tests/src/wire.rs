//! The model's commands and replies in the form that the server speaks.

use mneme_kernel::resp::Value;

use crate::history::Level;
use crate::model::{Command, Datum, DeadlineCondition, Key, Lifetime, Presence, Reply};

/// A command as its arguments. `level` is named if it is given; `text` is how long a text is, in bytes.
pub fn arguments(command: &Command, level: Option<Level>, text: usize) -> Vec<Vec<u8>> {
    let mut args: Vec<Vec<u8>> = Vec::new();
    let mut push = |arg: &str| args.push(arg.into());
    match level {
        Some(Level::Eventual) => ["CONSISTENCY", "EVENTUAL"].map(&mut push),
        Some(Level::Quorum) => ["consistency", "quorum"].map(&mut push),
        Some(Level::All) => ["CONSISTENCY", "all"].map(&mut push),
        None => [(), ()],
    };
    match command {
        Command::Set { key, datum, lifetime, presence, get } => {
            push("SET");
            push(&key_name(*key));
            push(&written(*datum, text));
            match lifetime {
                Lifetime::Forever => {}
                Lifetime::Keep => push("KEEPTTL"),
                // Both units are spoken.
                Lifetime::In(millis) if millis % 1000 == 0 => {
                    ["EX", &(millis / 1000).to_string()].into_iter().for_each(&mut push)
                }
                Lifetime::In(millis) => ["PX", &millis.to_string()].into_iter().for_each(&mut push),
                Lifetime::At(millis) if millis % 1000 == 0 => {
                    ["EXAT", &(millis / 1000).to_string()].into_iter().for_each(&mut push)
                }
                Lifetime::At(millis) => ["PXAT", &millis.to_string()].into_iter().for_each(&mut push),
            }
            match presence {
                Presence::Any => {}
                Presence::Absent => push("NX"),
                Presence::Present => push("xx"),
            }
            if *get {
                push("GET");
            }
        }
        Command::Get(key) => ["GET", &key_name(*key)].into_iter().for_each(push),
        Command::MultiGet(keys) => with_keys("MGET", keys, push),
        Command::MultiSet(pairs) => {
            push("MSET");
            for (key, datum) in pairs {
                push(&key_name(*key));
                push(&written(*datum, text));
            }
        }
        Command::Delete(keys) => with_keys("DEL", keys, push),
        Command::Exists(keys) => with_keys("EXISTS", keys, push),
        Command::Increment { key, by: 1 } => ["INCR", &key_name(*key)].into_iter().for_each(push),
        Command::Increment { key, by } => ["INCRBY", &key_name(*key), &by.to_string()].into_iter().for_each(push),
        Command::Expire { key, millis, condition } => {
            let key = key_name(*key);
            match millis % 1000 {
                0 => ["EXPIRE", &key, &(millis / 1000).to_string()].into_iter().for_each(&mut push),
                _ => ["PEXPIRE", &key, &millis.to_string()].into_iter().for_each(&mut push),
            }
            match condition {
                DeadlineCondition::Always => {}
                DeadlineCondition::None => push("NX"),
                DeadlineCondition::Some => push("XX"),
                DeadlineCondition::Later => push("GT"),
                DeadlineCondition::Earlier => push("LT"),
            }
        }
        Command::Persist(key) => ["PERSIST", &key_name(*key)].into_iter().for_each(push),
        Command::TimeLeft { key, seconds: true } => ["TTL", &key_name(*key)].into_iter().for_each(push),
        Command::TimeLeft { key, seconds: false } => ["PTTL", &key_name(*key)].into_iter().for_each(push),
        Command::Size => push("DBSIZE"),
        Command::Flush => push("FLUSHDB"),
    }
    args
}

fn key_name(key: Key) -> String {
    format!("key:{key}")
}

fn with_keys(name: &str, keys: &[Key], mut push: impl FnMut(&str)) {
    push(name);
    keys.iter().for_each(|key| push(&key_name(*key)));
}

/// A datum as it is stored. A text carries its length and is filled so that any change of it shows.
fn written(datum: Datum, text: usize) -> String {
    match datum {
        Datum::Number(n) => n.to_string(),
        Datum::Word(n) => {
            let mut written = format!("w{n}:{text}:");
            let filling = n.to_string();
            written.extend(filling.chars().cycle().take(text));
            written
        }
    }
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Reply(Reply),
    /// Certainly not executed.
    Loading,
    /// Executed; whether it lasts is not known.
    Uncertain,
}

/// Reads an answer.
///
/// # Errors
/// If no server that keeps what it is given answers so.
pub fn answer(value: &Value) -> Result<Answer, String> {
    let wrong = || format!("an answer that no command has: {value:.200?}");
    Ok(Answer::Reply(match value {
        Value::Simple(text) if text == "OK" => Reply::Ok,
        Value::Null => Reply::Nil,
        Value::Int(n) => Reply::Number(*n),
        Value::Bulk(bytes) => Reply::Datum(datum(bytes).ok_or_else(wrong)?),
        Value::Array(items) => {
            let data = items.iter().map(|item| match item {
                Value::Null => Ok(None),
                Value::Bulk(bytes) => datum(bytes).map(Some).ok_or_else(wrong),
                _ => Err(wrong()),
            });
            Reply::Data(data.collect::<Result<_, _>>()?)
        }
        // Both say that the command was not executed.
        Value::Error(text) if text.starts_with("LOADING ") || text.starts_with("NOQUORUM not executed") => {
            return Ok(Answer::Loading);
        }
        Value::Error(text) if text.starts_with("UNCERTAIN ") => return Ok(Answer::Uncertain),
        Value::Error(text) if text == "ERR value is not an integer or out of range" => Reply::NotANumber,
        Value::Error(text) if text == "ERR increment or decrement would overflow" => Reply::Overflow,
        _ => return Err(wrong()),
    }))
}

fn datum(bytes: &[u8]) -> Option<Datum> {
    let text = std::str::from_utf8(bytes).ok()?;
    let Some(word) = text.strip_prefix('w') else { return text.parse().ok().map(Datum::Number) };
    let mut parts = word.splitn(3, ':');
    let n = parts.next()?.parse().ok()?;
    let length = parts.next()?.parse().ok()?;
    (written(Datum::Word(n), length) == text).then_some(Datum::Word(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_only_if_it_is_whole() {
        for datum in [Datum::Word(17), Datum::Number(-3)] {
            let text = written(datum, 9);
            assert_eq!(super::datum(text.as_bytes()), Some(datum));
            assert_ne!(super::datum(&text.as_bytes()[..text.len() - 1]), Some(datum));
        }
        assert_eq!(super::datum(b"w17:9:171717178"), None);
    }
}
