//! What a client reads: the values of RESP2 and RESP3, decoded from bytes as they arrive.
//!
//! The server's own reading of *commands* is elsewhere; this side trusts a server as little as that side trusts a client.
//! Nothing is allocated for what is only announced, nesting is bounded, and a value that arrives in pieces is not
//! parsed again from its start.

use alloc::string::String;
use alloc::vec::Vec;

use thiserror::Error;

/// How deep aggregates may stand in each other.
pub const MAX_DEPTH: usize = 32;

/// The longest bulk string: Redis's `proto-max-bulk-len`, 512 MiB.
pub const MAX_BULK: usize = 512 * 1024 * 1024;

/// The most elements of one aggregate, or pairs of one map. They take memory only as they arrive.
pub const MAX_ELEMENTS: usize = 1 << 30;

/// The longest line, in bytes: simple strings, errors, numbers and the heads of everything else.
pub const MAX_LINE: usize = 64 * 1024;

/// A reply of the server, or a message that it pushes.
///
/// Text that cannot carry binary data (simple strings, errors) is kept as a `String`; bytes in it that are not UTF-8 are
/// replaced. Streamed strings and aggregates (`$?`, `*?`) are refused, as no server sends them; attributes are skipped.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+`
    Simple(String),
    /// `-`, and RESP3's `!`
    Error(String),
    /// `:`
    Int(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `_`, and RESP2's `$-1` and `*-1`
    Null,
    /// `*`
    Array(Vec<Value>),
    /// `%`; in the order of the server, which may repeat a key
    Map(Vec<(Value, Value)>),
    /// `~`
    Set(Vec<Value>),
    /// `>`; not the answer to a command, unless the command is one of the `SUBSCRIBE` family
    Push(Vec<Value>),
    /// `,`
    Double(f64),
    /// `#`
    Bool(bool),
    /// `(`; decimal digits, perhaps with a sign
    BigNumber(String),
    /// `=`
    Verbatim {
        /// `txt`, `mkd` or another three bytes.
        format: [u8; 3],
        text: Vec<u8>,
    },
}

/// Why bytes are not a reply. The connection that they came from is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ValueError {
    #[error("unknown type byte 0x{0:02x}")]
    UnknownType(u8),
    #[error("a line is longer than {MAX_LINE} bytes")]
    LineTooLong,
    #[error("a carriage return without its line feed")]
    BareCarriageReturn,
    #[error("a malformed number")]
    Number,
    #[error("a malformed boolean or null")]
    Constant,
    #[error("a verbatim string without its format")]
    Verbatim,
    #[error("a length of {0} is out of bounds")]
    Length(i64),
    #[error("a bulk string is longer than it announced")]
    Unterminated,
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
}

impl Value {
    /// The value at the start of `buf` and the number of its bytes; `None` if they have not all arrived.
    ///
    /// Starts from the first byte every time. A connection whose values arrive in many pieces uses a [`ValueDecoder`].
    ///
    /// # Errors
    /// If no continuation can make the bytes a value, or it exceeds a limit of this module.
    pub fn decode(buf: &[u8]) -> Result<Option<(Value, usize)>, ValueError> {
        let (used, value) = ValueDecoder::default().decode(buf)?;
        Ok(value.map(|v| (v, used)))
    }

    /// The bytes of a string of any kind; `None` for numbers, aggregates and errors.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Simple(text) | Value::BigNumber(text) => Some(text.as_bytes()),
            Value::Bulk(bytes) | Value::Verbatim { text: bytes, .. } => Some(bytes),
            _ => None,
        }
    }
}

/// Appends a command as clients send it: an array of bulk strings.
pub fn encode_command<A: AsRef<[u8]>>(args: &[A], out: &mut Vec<u8>) {
    push_head(b'*', args.len(), out);
    for arg in args {
        let arg = arg.as_ref();
        push_head(b'$', arg.len(), out);
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes `*3\r\n` and the like without allocating.
fn push_head(kind: u8, mut n: usize, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.push(kind);
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// Decodes one value after another from a stream, keeping what it has of an unfinished one.
#[derive(Debug, Default)]
pub struct ValueDecoder {
    /// The aggregates that are open, the outermost first; at most [`MAX_DEPTH`].
    open: Vec<Open>,
}

impl ValueDecoder {
    /// Takes bytes from the start of `buf`: how many, which the caller drops, and the value if it is whole now.
    /// Without a value, call again with the rest and at least one more byte.
    ///
    /// # Errors
    /// As [`Value::decode`]. The decoder is of no further use.
    pub fn decode(&mut self, buf: &[u8]) -> Result<(usize, Option<Value>), ValueError> {
        let mut used = 0;
        while let Some((token, len)) = token(&buf[used..])? {
            used += len;
            let done = match token {
                Token::Whole(value) => Some(value),
                Token::Open(kind, left) if self.open.len() < MAX_DEPTH => {
                    let items = Vec::new();
                    self.open.push(Open { kind, left, items });
                    None
                }
                Token::Open(..) => return Err(ValueError::TooDeep),
            };
            if let Some(value) = self.place(done) {
                return Ok((used, Some(value)));
            }
        }
        Ok((used, None))
    }

    /// Puts a finished value where it belongs and closes what is full. Answers the outermost value when it is whole.
    fn place(&mut self, mut done: Option<Value>) -> Option<Value> {
        loop {
            let Some(top) = self.open.last_mut() else {
                return done;
            };
            if let Some(value) = done.take() {
                top.items.push(value);
                top.left -= 1;
            }
            if top.left > 0 {
                return None;
            }
            let full = self.open.pop()?;
            done = full.close(); // Nothing for an attribute: the value that it describes follows.
        }
    }
}

/// An aggregate some of whose elements have arrived.
#[derive(Debug)]
struct Open {
    kind: Kind,
    /// How many values are still to come; a map counts its keys and its values.
    left: usize,
    items: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Array,
    Map,
    Set,
    Push,
    /// `|`: out-of-band notes about the value that follows; they do not count as an element.
    Attribute,
}

impl Open {
    fn close(self) -> Option<Value> {
        Some(match self.kind {
            Kind::Array => Value::Array(self.items),
            Kind::Set => Value::Set(self.items),
            Kind::Push => Value::Push(self.items),
            Kind::Map => {
                let mut pairs = Vec::with_capacity(self.items.len() / 2);
                let mut items = self.items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    pairs.push((key, value));
                }
                Value::Map(pairs)
            }
            Kind::Attribute => return None,
        })
    }
}

/// The smallest piece that is decoded at once: a value without parts, or the head of an aggregate.
enum Token {
    Whole(Value),
    Open(Kind, usize),
}

/// The token at the start of `buf` and its length, if it has arrived.
fn token(buf: &[u8]) -> Result<Option<(Token, usize)>, ValueError> {
    let Some(&kind) = buf.first() else {
        return Ok(None);
    };
    if !b"+-:,#_($!=*%~>|".contains(&kind) {
        return Err(ValueError::UnknownType(kind));
    }
    let Some(line) = line(&buf[1..])? else {
        return Ok(None);
    };
    let head = 1 + line.len() + 2;
    let value = match kind {
        b'+' => Value::Simple(text(line)),
        b'-' => Value::Error(text(line)),
        b':' => Value::Int(number(line)?),
        b',' => Value::Double(double(line)?),
        b'(' => Value::BigNumber(big_number(line)?),
        b'#' => Value::Bool(boolean(line)?),
        b'_' if line.is_empty() => Value::Null,
        b'_' => return Err(ValueError::Constant),
        b'$' | b'!' | b'=' => match length(line, MAX_BULK)? {
            None => Value::Null,
            Some(len) => {
                return Ok(blob(kind, &buf[head..], len)?.map(|v| (Token::Whole(v), head + len + 2)));
            }
        },
        _ => match length(line, MAX_ELEMENTS)? {
            None => Value::Null,
            Some(count) => return Ok(Some((open(kind, count), head))),
        },
    };
    Ok(Some((Token::Whole(value), head)))
}

/// The bytes up to the first `\r\n`, if that has arrived.
fn line(buf: &[u8]) -> Result<Option<&[u8]>, ValueError> {
    let window = &buf[..buf.len().min(MAX_LINE + 1)];
    match window.iter().position(|&b| b == b'\r') {
        None if window.len() > MAX_LINE => Err(ValueError::LineTooLong),
        None => Ok(None),
        Some(end) => match buf.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some(&buf[..end])),
            Some(_) => Err(ValueError::BareCarriageReturn),
        },
    }
}

/// The body of a bulk string, bulk error or verbatim string, if it has arrived.
fn blob(kind: u8, body: &[u8], len: usize) -> Result<Option<Value>, ValueError> {
    if kind == b'=' && len < 4 {
        return Err(ValueError::Verbatim);
    }
    // The end is looked at byte by byte, so that a wrong one is refused as soon as it is seen.
    let end = body.get(len..).unwrap_or_default();
    if end.iter().zip(b"\r\n").any(|(have, want)| have != want) {
        return Err(ValueError::Unterminated);
    }
    if end.len() < 2 {
        return Ok(None);
    }
    let body = &body[..len];
    Ok(Some(match (kind, body) {
        (b'!', _) => Value::Error(text(body)),
        (b'=', &[a, b, c, b':', ref text @ ..]) => Value::Verbatim { format: [a, b, c], text: text.to_vec() },
        (b'=', _) => return Err(ValueError::Verbatim),
        _ => Value::Bulk(body.to_vec()),
    }))
}

fn open(kind: u8, count: usize) -> Token {
    match kind {
        b'%' => Token::Open(Kind::Map, count * 2),
        b'|' => Token::Open(Kind::Attribute, count * 2),
        b'~' => Token::Open(Kind::Set, count),
        b'>' => Token::Open(Kind::Push, count),
        _ => Token::Open(Kind::Array, count),
    }
}

/// An announced length; `None` for RESP2's null, `-1`.
fn length(line: &[u8], max: usize) -> Result<Option<usize>, ValueError> {
    match number(line)? {
        -1 => Ok(None),
        n => match usize::try_from(n) {
            Ok(len) if len <= max => Ok(Some(len)),
            _ => Err(ValueError::Length(n)),
        },
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn number(line: &[u8]) -> Result<i64, ValueError> {
    str(line)?.parse().map_err(|_| ValueError::Number)
}

fn double(line: &[u8]) -> Result<f64, ValueError> {
    str(line)?.parse().map_err(|_| ValueError::Number)
}

fn big_number(line: &[u8]) -> Result<String, ValueError> {
    let digits = line.strip_prefix(b"-").or(line.strip_prefix(b"+")).unwrap_or(line);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ValueError::Number);
    }
    Ok(text(line))
}

fn boolean(line: &[u8]) -> Result<bool, ValueError> {
    match line {
        b"t" => Ok(true),
        b"f" => Ok(false),
        _ => Err(ValueError::Constant),
    }
}

fn str(line: &[u8]) -> Result<&str, ValueError> {
    core::str::from_utf8(line).map_err(|_| ValueError::Number)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::{format, vec};

    use proptest::prelude::*;

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.as_bytes().to_vec())
    }

    #[test]
    fn every_type_is_decoded() {
        let table: &[(&str, Value)] = &[
            ("+OK\r\n", Value::Simple("OK".into())),
            ("+\r\n", Value::Simple("".into())),
            ("-ERR no\r\n", Value::Error("ERR no".into())),
            (":-7\r\n", Value::Int(-7)),
            ("$5\r\nhe\r\no\r\n", bulk("he\r\no")),
            ("$0\r\n\r\n", bulk("")),
            ("$-1\r\n", Value::Null),
            ("*-1\r\n", Value::Null),
            ("_\r\n", Value::Null),
            ("*0\r\n", Value::Array(vec![])),
            ("*2\r\n:1\r\n*1\r\n_\r\n", Value::Array(vec![Value::Int(1), Value::Array(vec![Value::Null])])),
            (
                "%1\r\n+k\r\n~1\r\n#t\r\n",
                Value::Map(vec![(Value::Simple("k".into()), Value::Set(vec![Value::Bool(true)]))]),
            ),
            (">1\r\n+m\r\n", Value::Push(vec![Value::Simple("m".into())])),
            (",1.5\r\n", Value::Double(1.5)),
            (",-inf\r\n", Value::Double(f64::NEG_INFINITY)),
            ("#f\r\n", Value::Bool(false)),
            (
                "(-3492890328409238509324850943850943825024385\r\n",
                Value::BigNumber("-3492890328409238509324850943850943825024385".into()),
            ),
            ("!6\r\nERR no\r\n", Value::Error("ERR no".into())),
            ("=7\r\ntxt:abc\r\n", Value::Verbatim { format: *b"txt", text: b"abc".to_vec() }),
        ];
        for (wire, value) in table {
            assert_eq!(Value::decode(wire.as_bytes()), Ok(Some((value.clone(), wire.len()))), "{wire:?}");
        }
    }

    #[test]
    fn a_value_ends_where_the_next_begins() {
        assert_eq!(Value::decode(b"+OK\r\n:1\r\n"), Ok(Some((Value::Simple("OK".into()), 5))));
    }

    #[test]
    fn attributes_are_skipped_wherever_they_stand() {
        let wire = b"|1\r\n+ttl\r\n:9\r\n*2\r\n|1\r\n+a\r\n*1\r\n:0\r\n:1\r\n|0\r\n:2\r\n";
        let value = Value::Array(vec![Value::Int(1), Value::Int(2)]);
        assert_eq!(Value::decode(wire), Ok(Some((value, wire.len()))));
    }

    #[test]
    fn what_cannot_become_a_value_is_refused() {
        let table: &[(&str, ValueError)] = &[
            ("x", ValueError::UnknownType(b'x')),
            ("+a\rb", ValueError::BareCarriageReturn),
            (":1x\r\n", ValueError::Number),
            (":9223372036854775808\r\n", ValueError::Number),
            ("(1e5\r\n", ValueError::Number),
            (",one\r\n", ValueError::Number),
            ("#y\r\n", ValueError::Constant),
            ("_x\r\n", ValueError::Constant),
            ("$-2\r\n", ValueError::Length(-2)),
            ("$536870913\r\n", ValueError::Length(536_870_913)),
            ("*1073741825\r\n", ValueError::Length(1_073_741_825)),
            ("%-9\r\n", ValueError::Length(-9)),
            ("$?\r\n", ValueError::Number),
            ("$1\r\nab", ValueError::Unterminated),
            ("$1\r\na\rb", ValueError::Unterminated),
            ("=3\r\n", ValueError::Verbatim),
            ("=5\r\nabcde\r\n", ValueError::Verbatim),
        ];
        for (wire, error) in table {
            assert_eq!(Value::decode(wire.as_bytes()), Err(*error), "{wire:?}");
        }
        let endless = vec![b'a'; MAX_LINE + 2];
        assert_eq!(Value::decode(&[b"+", &endless[..]].concat()), Err(ValueError::LineTooLong));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| ["*1\r\n".repeat(depth), ":1\r\n".to_string()].concat();
        assert!(matches!(Value::decode(nested(MAX_DEPTH).as_bytes()), Ok(Some(_))));
        assert_eq!(Value::decode(nested(MAX_DEPTH + 1).as_bytes()), Err(ValueError::TooDeep));
    }

    #[test]
    fn an_announcement_takes_no_memory() {
        let wire = "*1073741824\r\n".repeat(MAX_DEPTH);
        let mut decoder = ValueDecoder::default();
        assert_eq!(decoder.decode(wire.as_bytes()), Ok((wire.len(), None)));
        assert!(decoder.open.iter().all(|o| o.items.capacity() == 0));
        assert_eq!(Value::decode(b"$536870912\r\nabc"), Ok(None));
    }

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        let mut out = Vec::new();
        encode_command(&["SET", "k", "0123456789"], &mut out);
        encode_command::<&str>(&[], &mut out);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\n0123456789\r\n*0\r\n");
    }

    /// The wire form of a value, for the tests alone: servers have an encoder of their own.
    fn encode(value: &Value, out: &mut Vec<u8>) {
        let mut all = |kind: char, items: &[&Value]| {
            let pairs = if kind == '%' { 2 } else { 1 };
            out.extend(format!("{kind}{}\r\n", items.len() / pairs).bytes());
            items.iter().for_each(|v| encode(v, out));
        };
        match value {
            Value::Simple(s) => out.extend(format!("+{s}\r\n").bytes()),
            Value::Error(s) => out.extend(format!("!{}\r\n{s}\r\n", s.len()).bytes()),
            Value::Int(n) => out.extend(format!(":{n}\r\n").bytes()),
            Value::Bulk(b) => out.extend([format!("${}\r\n", b.len()).as_bytes(), b, b"\r\n"].concat()),
            Value::Null => out.extend(b"_\r\n"),
            Value::Array(v) => all('*', &v.iter().collect::<Vec<_>>()),
            Value::Set(v) => all('~', &v.iter().collect::<Vec<_>>()),
            Value::Push(v) => all('>', &v.iter().collect::<Vec<_>>()),
            Value::Map(v) => all('%', &v.iter().flat_map(|(k, v)| [k, v]).collect::<Vec<_>>()),
            Value::Double(d) => out.extend(format!(",{d}\r\n").bytes()),
            Value::Bool(b) => out.extend(if *b { b"#t\r\n" } else { b"#f\r\n" }),
            Value::BigNumber(n) => out.extend(format!("({n}\r\n").bytes()),
            Value::Verbatim { format: f, text } => {
                out.extend([format!("={}\r\n", text.len() + 4).as_bytes(), f, b":", text, b"\r\n"].concat());
            }
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..20);
        let leaf = prop_oneof![
            "[ -~äあ]{0,9}".prop_map(Value::Simple),
            "[ -~\r\n]{0,9}".prop_map(Value::Error),
            any::<i64>().prop_map(Value::Int),
            bytes().prop_map(Value::Bulk),
            Just(Value::Null),
            (-1e300..1e300).prop_map(Value::Double),
            any::<bool>().prop_map(Value::Bool),
            "-?[0-9]{1,30}".prop_map(Value::BigNumber),
            (any::<[u8; 3]>(), bytes()).prop_map(|(format, text)| Value::Verbatim { format, text }),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let many = prop::collection::vec(inner.clone(), 0..6);
            prop_oneof![
                many.clone().prop_map(Value::Array),
                many.clone().prop_map(Value::Set),
                many.prop_map(Value::Push),
                prop::collection::vec((inner.clone(), inner), 0..4).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(value in any_value()) {
            let mut wire = Vec::new();
            encode(&value, &mut wire);
            prop_assert_eq!(Value::decode(&wire), Ok(Some((value, wire.len()))));
        }

        #[test]
        fn a_prefix_of_a_value_is_incomplete(value in any_value(), cut in any::<prop::sample::Index>()) {
            let mut wire = Vec::new();
            encode(&value, &mut wire);
            prop_assert_eq!(Value::decode(&wire[..cut.index(wire.len())]), Ok(None));
        }

        #[test]
        fn pieces_of_any_size_make_the_same_value(value in any_value(), step in 1usize..9) {
            let mut wire = Vec::new();
            encode(&value, &mut wire);
            let (mut decoder, mut buf, mut got) = (ValueDecoder::default(), Vec::new(), None);
            for piece in wire.chunks(step) {
                prop_assert_eq!(got, None);
                buf.extend_from_slice(piece);
                let (used, value) = decoder.decode(&buf).expect("valid");
                buf.drain(..used);
                got = value;
            }
            prop_assert_eq!((got, buf.len()), (Some(value), 0));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Value::decode(&bytes);
        }

        #[test]
        fn nothing_that_looks_like_the_protocol_makes_it_panic(text in "([-+:,#_($!=*%~>|]-?[0-9]{0,11}(\r\n)?[a-z:]{0,3}){0,20}") {
            let _ = Value::decode(text.as_bytes());
        }
    }
}
