//! JSON values as the log and snapshots hold them: a byte that says what follows, then that.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Json, Object};
use crate::limits;
use crate::store::words::{push, push_number, take_number, take_word};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
/// Twice the number; the lowest bit says that it is negative, and then every bit is the other one.
const INTEGER: u8 = 3;
const LARGE: u8 = 4;
/// Eight bytes, the lowest first.
const FLOAT: u8 = 5;
const TEXT: u8 = 6;
/// How many, then each.
const ARRAY: u8 = 7;
/// How many, then each one's name and value.
const OBJECT: u8 = 8;

/// Appends a value.
pub fn encode(value: &Json, out: &mut Vec<u8>) {
    match value {
        Json::Null => out.push(NULL),
        Json::Bool(false) => out.push(FALSE),
        Json::Bool(true) => out.push(TRUE),
        Json::Integer(n) => {
            out.push(INTEGER);
            push_number(out, (n << 1 ^ n >> 63) as u64);
        }
        Json::Large(n) => {
            out.push(LARGE);
            push_number(out, *n);
        }
        Json::Float(n) => {
            out.push(FLOAT);
            out.extend_from_slice(&n.to_le_bytes());
        }
        Json::Text(text) => {
            out.push(TEXT);
            push(out, text.as_bytes());
        }
        Json::Array(items) => {
            out.push(ARRAY);
            push_number(out, items.len() as u64);
            items.iter().for_each(|item| encode(item, out));
        }
        Json::Object(object) => {
            out.push(OBJECT);
            push_number(out, object.len() as u64);
            for (name, value) in object.iter() {
                push(out, name.as_bytes());
                encode(value, out);
            }
        }
    }
}

/// The one value that this is, around which so many containers stand; `None` if it is none, or too deep.
pub fn decode(bytes: &[u8], around: usize) -> Option<Json> {
    let (value, rest) = take(bytes, around)?;
    rest.is_empty().then_some(value)
}

/// All values that stand there one behind the other.
pub fn decode_all(mut bytes: &[u8], around: usize) -> Option<Vec<Json>> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let (value, rest) = take(bytes, around)?;
        values.push(value);
        bytes = rest;
    }
    Some(values)
}

/// The value at the front, and what is behind it.
fn take(bytes: &[u8], around: usize) -> Option<(Json, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let value = match *kind {
        NULL => Json::Null,
        FALSE => Json::Bool(false),
        TRUE => Json::Bool(true),
        INTEGER => {
            let (n, rest) = take_number(rest)?;
            return Some((Json::Integer((n >> 1) as i64 ^ -((n & 1) as i64)), rest));
        }
        LARGE => {
            let (n, rest) = take_number(rest)?;
            return Some((i64::try_from(n).map_or(Json::Large(n), Json::Integer), rest));
        }
        FLOAT => {
            let (bytes, rest) = rest.split_first_chunk()?;
            let n = Some(f64::from_le_bytes(*bytes)).filter(|n| n.is_finite())?;
            return Some((Json::Float(n), rest));
        }
        TEXT => {
            let (text, rest) = take_text(rest)?;
            return Some((Json::Text(text), rest));
        }
        ARRAY | OBJECT if around >= limits::MAX_JSON_DEPTH => return None,
        ARRAY => {
            let (count, mut rest) = take_count(rest)?;
            let mut items = Vec::with_capacity(count);
            for _ in 0..count {
                let (item, behind) = take(rest, around + 1)?;
                items.push(item);
                rest = behind;
            }
            return Some((Json::Array(items), rest));
        }
        OBJECT => {
            let (count, mut rest) = take_count(rest)?;
            let mut members = Vec::with_capacity(count);
            for _ in 0..count {
                let (name, behind) = take_text(rest)?;
                let (value, behind) = take(behind, around + 1)?;
                members.push((name, value));
                rest = behind;
            }
            return Some((Json::Object(Box::new(Object::of(members))), rest));
        }
        _ => return None,
    };
    Some((value, rest))
}

/// How many values follow: each takes a byte at least.
fn take_count(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (count, rest) = take_number(bytes)?;
    let count = usize::try_from(count).ok().filter(|count| *count <= rest.len())?;
    Some((count, rest))
}

fn take_text(bytes: &[u8]) -> Option<(Box<str>, &[u8])> {
    let (word, rest) = take_word(bytes)?;
    Some((core::str::from_utf8(word).ok()?.into(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded() {
        let text = br#"[null,true,false,0,-1,9223372036854775807,-9223372036854775808,18446744073709551615,
            1.5,-0.0,"","text",[],{},{"a":[{"b":null}],"c":1}]"#;
        let value = super::super::parse(text).expect("JSON");
        let mut bytes = Vec::new();
        encode(&value, &mut bytes);
        let decoded = decode(&bytes, 0).expect("a value");
        assert_eq!(decoded.to_text(), value.to_text());
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len], 0), None, "cut at {len}");
        }
    }

    #[test]
    fn what_is_too_deep_is_no_value() {
        let nested = |depth: usize| [[ARRAY, 1].repeat(depth), [NULL].to_vec()].concat();
        assert!(decode(&nested(limits::MAX_JSON_DEPTH), 0).is_some());
        assert_eq!(decode(&nested(limits::MAX_JSON_DEPTH + 1), 0), None);
        assert_eq!(decode(&nested(limits::MAX_JSON_DEPTH), 1), None);
        assert_eq!(decode(&nested(100_000), 0), None);
    }
}
