//! JSON's text: read with serde_json, so that errors are those that RedisJSON's clients know, and written as it writes.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde_core::Deserialize;
use serde_core::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{Json, Object};
use crate::limits;

/// What is wrong with a text, and where.
pub type ParseError = serde_json::Error;

/// Reads a text. Containers stand in each other at most [`limits::MAX_JSON_DEPTH`] deep.
///
/// # Errors
/// If it is not one JSON value, or a name is longer than [`limits::MAX_JSON_NAME`].
pub fn parse(text: &[u8]) -> Result<Json, ParseError> {
    serde_json::from_slice(text)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Json, E> {
        Ok(Json::Integer(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Json, E> {
        Ok(i64::try_from(n).map_or(Json::Large(n), Json::Integer))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Json, E> {
        Ok(Json::Float(n))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        items.shrink_to_fit();
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = access.next_key::<String>()? {
            if name.len() > limits::MAX_JSON_NAME {
                let most = limits::MAX_JSON_NAME;
                return Err(A::Error::custom(format_args!("the name of a member has more than {most} bytes")));
            }
            members.push((name.into_boxed_str(), access.next_value()?));
        }
        Ok(Json::Object(Box::new(Object::of(members))))
    }
}

/// What stands between the parts of a text that is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout<'a> {
    /// Before each line, once for each container around it.
    pub indent: &'a [u8],
    pub newline: &'a [u8],
    /// Behind the colon of a member.
    pub space: &'a [u8],
    /// Bytes behind which nothing of this is written any more: it may be much more than the values.
    pub until: usize,
}

impl Layout<'_> {
    /// Appends the text of a value around which so many containers stand.
    pub fn write(&self, value: &Json, level: usize, out: &mut Vec<u8>) {
        match value {
            Json::Null => out.extend_from_slice(b"null"),
            Json::Bool(true) => out.extend_from_slice(b"true"),
            Json::Bool(false) => out.extend_from_slice(b"false"),
            Json::Integer(n) => out.extend_from_slice(&crate::digits::Digits::of(*n)),
            Json::Large(n) => out.extend_from_slice(alloc::format!("{n}").as_bytes()),
            Json::Float(n) => out.extend_from_slice(float_text(*n).as_bytes()),
            Json::Text(text) => write_text(text, out),
            Json::Array(items) => self.write_array(items.iter(), level, out),
            Json::Object(object) => {
                let members = object.iter();
                self.write_object(members, level, out, |value, out| self.write(value, level + 1, out));
            }
        }
    }

    /// An array of these.
    pub fn write_array<'a>(&self, items: impl ExactSizeIterator<Item = &'a Json>, level: usize, out: &mut Vec<u8>) {
        let is_empty = items.len() == 0;
        out.push(b'[');
        for (at, item) in items.enumerate() {
            self.begin_line(at, level + 1, out);
            self.write(item, level + 1, out);
        }
        self.close(b']', is_empty, level, out);
    }

    /// An object with these members, whose values `write` writes.
    pub fn write_object<'a, T>(
        &self,
        members: impl Iterator<Item = (&'a str, T)>,
        level: usize,
        out: &mut Vec<u8>,
        mut write: impl FnMut(T, &mut Vec<u8>),
    ) {
        let mut is_empty = true;
        out.push(b'{');
        for (at, (name, value)) in members.enumerate() {
            is_empty = false;
            self.begin_line(at, level + 1, out);
            write_text(name, out);
            out.push(b':');
            self.lay(self.space, out);
            write(value, out);
        }
        self.close(b'}', is_empty, level, out);
    }

    fn begin_line(&self, at: usize, level: usize, out: &mut Vec<u8>) {
        if at > 0 {
            out.push(b',');
        }
        self.line(level, out);
    }

    fn line(&self, level: usize, out: &mut Vec<u8>) {
        self.lay(self.newline, out);
        (0..level).for_each(|_| self.lay(self.indent, out));
    }

    fn lay(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if out.len() <= self.until {
            out.extend_from_slice(bytes);
        }
    }

    fn close(&self, bracket: u8, is_empty: bool, level: usize, out: &mut Vec<u8>) {
        if !is_empty {
            self.line(level, out);
        }
        out.push(bracket);
    }
}

impl Json {
    /// Its text in one line.
    pub fn to_text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        Layout::default().write(self, 0, &mut out);
        out
    }
}

/// In the fewest digits that mean the same number, with a point or an exponent.
fn float_text(n: f64) -> String {
    // Where RedisJSON has no exponent yet, and Rust has one.
    let is_small = (1e-5..1e-4).contains(&n.abs());
    if is_small { alloc::format!("{n}") } else { alloc::format!("{n:?}") }
}

/// In quotes, with escapes where they must be.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20)) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte => out.extend_from_slice(alloc::format!("\\u{byte:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        String::from_utf8(parse(text.as_bytes()).expect(text).to_text()).expect("text")
    }

    #[test]
    fn numbers_are_shown_as_redisjson_shows_them() {
        for (text, shown) in [
            ("0", "0"),
            ("-0", "-0.0"),
            ("1.0", "1.0"),
            ("1e2", "100.0"),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "9223372036854775808"),
            ("18446744073709551616", "1.8446744073709552e19"),
            ("-9223372036854775809", "-9.223372036854776e18"),
            ("1.6350000000001313e+308", "1.6350000000001313e308"),
            ("1512060373.222988", "1512060373.222988"),
            ("1e-7", "1e-7"),
            ("1.25e-5", "0.0000125"),
            ("9.5e-6", "9.5e-6"),
            ("1e15", "1000000000000000.0"),
            ("1.5e16", "1.5e16"),
            ("0.1", "0.1"),
        ] {
            assert_eq!(again(text), shown);
        }
    }

    #[test]
    fn texts_are_escaped_where_they_must_be() {
        assert_eq!(again(r#""\u0000\u001f\b\f\n\r\t\"\\\/\u00e4\ud83d\ude00""#), r#""\u0000\u001f\b\f\n\r\t\"\\/ä😀""#);
    }

    #[test]
    fn members_stay_in_order_and_the_last_of_a_name_counts() {
        assert_eq!(again(r#"{"b":1,"a":2,"b":[]}"#), r#"{"b":[],"a":2}"#);
        let many: String = (0..50).map(|n| alloc::format!("\"{}\":{n},", n % 20)).collect();
        let shown = again(&alloc::format!("{{{}\"x\":0}}", many));
        assert!(shown.starts_with(r#"{"0":40,"1":41,"#) && shown.ends_with(r#""19":39,"x":0}"#), "{shown}");
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let error = |text: &[u8]| alloc::format!("{}", parse(text).expect_err("no JSON"));
        assert_eq!(error(b""), "EOF while parsing a value at line 1 column 0");
        assert_eq!(error(b"{]"), "key must be a string at line 1 column 2");
        assert_eq!(error(b"1 2"), "trailing characters at line 1 column 3");
        assert_eq!(error(b"1e400"), "number out of range at line 1 column 5");
        assert!(error(b"\"\xff\"").starts_with("invalid unicode"));
        let named = |len: usize| alloc::format!("[{{\"{}\":1}}]", "n".repeat(len));
        assert!(parse(named(limits::MAX_JSON_NAME).as_bytes()).is_ok());
        let long = error(named(limits::MAX_JSON_NAME + 1).as_bytes());
        assert!(long.starts_with("the name of a member has more than 65536 bytes at line 1"), "{long}");
        let deep = [b'['; 128];
        assert_eq!(error(&deep), "recursion limit exceeded at line 1 column 128");
    }

    #[test]
    fn a_layout_stands_between_the_parts() {
        let value = parse(br#"{"a":[1,{}],"b":[]}"#).expect("JSON");
        let mut out = Vec::new();
        Layout { indent: b"-", newline: b"\n", space: b"~", until: 99 }.write(&value, 0, &mut out);
        assert_eq!(out, b"{\n-\"a\":~[\n--1,\n--{}\n-],\n-\"b\":~[]\n}");
    }
}
