//! Decodes requests as they arrive, without copying arguments, and with bounds that hold before memory is spent.

use alloc::vec::Vec;

use bincode::de::Decoder as WireDecoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::limits;

/// What breaks the protocol. The texts are Redis's, without `ERR Protocol error: `; the connection is closed after one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("invalid multibulk length")]
    MultibulkLength,
    #[error("unauthenticated multibulk length")]
    StrangerMultibulkLength,
    #[error("too big mbulk count string")]
    MultibulkLine,
    #[error("expected '$', got '{}'", char::from(*.0).escape_default())]
    ExpectedBulk(u8),
    #[error("invalid bulk length")]
    BulkLength,
    #[error("unauthenticated bulk length")]
    StrangerBulkLength,
    #[error("too big bulk count string")]
    BulkLine,
    #[error("expected CRLF behind an argument")]
    BulkEnd,
    #[error("too big request")]
    Request,
    #[error("too big inline request")]
    InlineLine,
    #[error("unbalanced quotes in request")]
    Quotes,
}

/// Whether the sender has authenticated; strangers get far smaller bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    Stranger,
    Known,
}

/// The arguments of one request, the command's name first.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    start: usize,
    end: usize,
}

impl<'a> Args<'a> {
    pub(super) fn new(bytes: &'a [u8], spans: &'a [Span]) -> Self {
        Args { bytes, spans }
    }

    /// No arguments at all, not even a name.
    pub fn none() -> Self {
        Args { bytes: &[], spans: &[] }
    }

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The argument at `i`; the caller knows by the command's arity that it is there.
    ///
    /// # Panics
    /// If there is no such argument.
    pub fn at(&self, i: usize) -> &'a [u8] {
        &self.bytes[self.spans[i].start..self.spans[i].end]
    }

    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        self.spans.get(i).map(|span| &self.bytes[span.start..span.end])
    }

    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.spans.iter().map(move |span| &bytes[span.start..span.end])
    }

    /// The bytes that the arguments take where they arrived.
    pub fn bytes(&self) -> usize {
        match (self.spans.first(), self.spans.last()) {
            (Some(first), Some(last)) => last.end - first.start,
            _ => 0,
        }
    }

    /// The first `n` arguments.
    #[must_use]
    pub fn first(&self, n: usize) -> Args<'a> {
        Args { bytes: self.bytes, spans: &self.spans[..n.min(self.spans.len())] }
    }

    /// The same request without its first `n` arguments.
    #[must_use]
    pub fn skip(&self, n: usize) -> Args<'a> {
        Args { bytes: self.bytes, spans: &self.spans[n.min(self.spans.len())..] }
    }
}

/// A request's arguments, kept for later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// No words yet.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), spans: Vec::new() }
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// A request of these words.
    pub(crate) fn from_words(words: &[&[u8]]) -> Self {
        let mut this = Self { bytes: Vec::new(), spans: Vec::new() };
        words.iter().for_each(|word| this.push(word));
        this
    }

    /// Adds a word.
    pub fn push(&mut self, arg: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(arg);
        self.spans.push(Span { start, end: self.bytes.len() });
    }

    pub fn args(&self) -> Args<'_> {
        Args { bytes: &self.bytes, spans: &self.spans }
    }

    /// Bytes that it takes in memory.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.spans.len() * size_of::<Span>()
    }
}

impl From<Args<'_>> for OwnedArgs {
    fn from(args: Args<'_>) -> Self {
        let bytes = Vec::with_capacity(args.iter().map(<[u8]>::len).sum());
        let mut this = Self { bytes, spans: Vec::with_capacity(args.len()) };
        args.iter().for_each(|arg| this.push(arg));
        this
    }
}

/// To other Cores: each argument by itself, so that what is decoded cannot point elsewhere.
impl Encode for OwnedArgs {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.args().iter().collect::<Vec<&[u8]>>().encode(encoder)
    }
}

impl<C> Decode<C> for OwnedArgs {
    fn decode<D: WireDecoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let words: Vec<Vec<u8>> = Decode::decode(decoder)?;
        let mut this = Self { bytes: Vec::new(), spans: Vec::with_capacity(words.len()) };
        words.iter().for_each(|word| this.push(word));
        Ok(this)
    }
}
bincode::impl_borrow_decode!(OwnedArgs);

/// Decodes one request after the other. It remembers how far it got, so that a large request which arrives in pieces
/// is not read again from its start.
#[derive(Debug, Default)]
pub struct Decoder {
    spans: Vec<Span>,
    /// How far the current request has been decoded.
    at: usize,
    /// Arguments that are still to come; `None` before the request's first line.
    missing: Option<usize>,
    /// The length of the argument at `at`, once its length line has been read.
    bulk: Option<usize>,
    /// Unquoted arguments of an inline command.
    inline: Vec<u8>,
    is_inline: bool,
}

impl Decoder {
    /// Looks for a whole request at the front of `buffer`, which must start where the last request ended and may only
    /// have grown since the last call. Returns the request's length, or `None` if more bytes are needed. The request's
    /// arguments are then [`Decoder::args`]; there may be none, such a request is to be skipped.
    pub fn decode(&mut self, buffer: &[u8], trust: Trust) -> Result<Option<usize>, ProtocolError> {
        if self.missing.is_none() {
            self.start();
            match buffer.first() {
                None => return Ok(None),
                Some(b'*') => {}
                Some(_) => return self.decode_inline(buffer),
            }
            let Some((line, next)) = read_line(buffer, 1, ProtocolError::MultibulkLine)? else { return Ok(None) };
            let count = parse_i64(line).ok_or(ProtocolError::MultibulkLength)?;
            if count > limits::MAX_ARGS as i64 {
                return Err(ProtocolError::MultibulkLength);
            }
            if count > limits::MAX_ARGS_STRANGER as i64 && trust == Trust::Stranger {
                return Err(ProtocolError::StrangerMultibulkLength);
            }
            self.at = next;
            self.missing = Some(usize::try_from(count).unwrap_or(0));
        }
        while self.missing != Some(0) {
            if !self.decode_bulk(buffer, trust)? {
                return Ok(None);
            }
        }
        self.missing = None;
        Ok(Some(self.at))
    }

    /// The arguments of the request that [`Decoder::decode`] found at the front of `buffer`.
    pub fn args<'a>(&'a self, buffer: &'a [u8]) -> Args<'a> {
        Args { bytes: if self.is_inline { &self.inline } else { buffer }, spans: &self.spans }
    }

    /// The spans of the arguments of such a request, which is not an inline command.
    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Whether it has read a part of a request.
    pub(super) fn is_midway(&self) -> bool {
        self.missing.is_some()
    }

    /// How many bytes of the current request are known to be still missing, so that a reader can make room at once.
    pub fn wants(&self, buffered: usize) -> usize {
        self.bulk.map_or(0, |len| (self.at + len + 2).saturating_sub(buffered))
    }

    /// Forgets how far it got with a request that is not whole.
    pub fn restart(&mut self) {
        self.missing = None;
    }

    fn start(&mut self) {
        self.spans.clear();
        self.at = 0;
        self.bulk = None;
        self.is_inline = false;
    }

    /// Decodes one argument; false if it has not arrived whole.
    fn decode_bulk(&mut self, buffer: &[u8], trust: Trust) -> Result<bool, ProtocolError> {
        let len = match self.bulk {
            Some(len) => len,
            None => {
                match buffer.get(self.at) {
                    None => return Ok(false),
                    Some(b'$') => {}
                    Some(other) => return Err(ProtocolError::ExpectedBulk(*other)),
                }
                let Some((line, next)) = read_line(buffer, self.at + 1, ProtocolError::BulkLine)? else {
                    return Ok(false);
                };
                let len = parse_i64(line).and_then(|n| usize::try_from(n).ok()).ok_or(ProtocolError::BulkLength)?;
                if len > limits::MAX_BULK {
                    return Err(ProtocolError::BulkLength);
                }
                if len > limits::MAX_BULK_STRANGER && trust == Trust::Stranger {
                    return Err(ProtocolError::StrangerBulkLength);
                }
                if next + len > limits::MAX_REQUEST {
                    return Err(ProtocolError::Request);
                }
                self.at = next;
                *self.bulk.insert(len)
            }
        };
        let end = self.at + len;
        let Some(tail) = buffer.get(end..end + 2) else { return Ok(false) };
        if tail != b"\r\n" {
            return Err(ProtocolError::BulkEnd);
        }
        self.spans.push(Span { start: self.at, end });
        self.at = end + 2;
        self.bulk = None;
        self.missing = self.missing.map(|n| n - 1);
        Ok(true)
    }

    /// An inline command: words on a line, with Redis's quotes.
    fn decode_inline(&mut self, buffer: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let searched = &buffer[..buffer.len().min(limits::MAX_LINE)];
        let Some(newline) = searched.iter().position(|b| *b == b'\n') else {
            return if buffer.len() >= limits::MAX_LINE { Err(ProtocolError::InlineLine) } else { Ok(None) };
        };
        let line = buffer[..newline].strip_suffix(b"\r").unwrap_or(&buffer[..newline]);
        self.is_inline = true;
        self.inline.clear();
        let mut rest = line;
        while let Some(start) = rest.iter().position(|b| !b.is_ascii_whitespace()) {
            let from = self.inline.len();
            rest = unquote_word(&rest[start..], &mut self.inline)?;
            self.spans.push(Span { start: from, end: self.inline.len() });
        }
        Ok(Some(newline + 1))
    }
}

/// Appends the word at the front of `line` without its quotes; returns what stands behind it.
fn unquote_word<'a>(line: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    let mut i = 0;
    let mut quote = None;
    while let Some(&byte) = line.get(i) {
        match (quote, byte) {
            (None, b) if b.is_ascii_whitespace() => break,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), b) if b == open => {
                // A closing quote ends the word, as in Redis.
                return match line.get(i + 1) {
                    Some(next) if !next.is_ascii_whitespace() => Err(ProtocolError::Quotes),
                    _ => Ok(&line[i + 1..]),
                };
            }
            (Some(b'"'), b'\\') => {
                let hex = |at: usize| line.get(at).and_then(|b| char::from(*b).to_digit(16));
                if let (Some(b'x'), Some(high), Some(low)) = (line.get(i + 1), hex(i + 2), hex(i + 3)) {
                    word.push((high * 16 + low) as u8);
                    i += 3;
                } else if let Some(&escaped) = line.get(i + 1) {
                    word.push(match escaped {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 8,
                        b'a' => 7,
                        other => other,
                    });
                    i += 1;
                }
            }
            (Some(b'\''), b'\\') if line.get(i + 1) == Some(&b'\'') => {
                word.push(b'\'');
                i += 1;
            }
            (_, b) => word.push(b),
        }
        i += 1;
    }
    if quote.is_some() { Err(ProtocolError::Quotes) } else { Ok(&line[i..]) }
}

/// The line that starts at `from`, without its CRLF, and where the next one starts.
fn read_line(buffer: &[u8], from: usize, too_long: ProtocolError) -> Result<Option<(&[u8], usize)>, ProtocolError> {
    let rest = &buffer[from..];
    // A length has at most 20 characters; whoever sends more without an end is not speaking the protocol.
    match rest.iter().take(limits::MAX_LINE).position(|b| *b == b'\r') {
        Some(end) if end + 1 < rest.len() => Ok(Some((&rest[..end], from + end + 2))),
        Some(_) => Ok(None),
        None if rest.len() >= limits::MAX_LINE => Err(too_long),
        None => Ok(None),
    }
}

/// A decimal integer in Redis's strict form: no plus sign, no leading zeros, no spaces.
pub(crate) fn parse_i64(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [] => return None,
        [b'0'] if !is_negative => return Some(0),
        [b'0', ..] => return None,
        // Nineteen digits are less than 2^64.
        _ if digits.len() > 19 => return None,
        _ => {}
    }
    let mut number = 0u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    if is_negative { 0i64.checked_sub_unsigned(number) } else { i64::try_from(number).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn decode_all(mut input: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let mut decoder = Decoder::default();
        let mut requests = vec![];
        while let Some(len) = decoder.decode(input, Trust::Known)? {
            requests.push(decoder.args(input).iter().map(<[u8]>::to_vec).collect());
            input = &input[len..];
        }
        Ok(requests)
    }

    fn words(words: &[&str]) -> Vec<Vec<u8>> {
        words.iter().map(|w| w.as_bytes().to_vec()).collect()
    }

    #[test]
    fn requests_follow_each_other() {
        let got = decode_all(
            b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\nECHO \"a b\\x41\\n\" 'c\\'d' e\r\n*0\r\n\r\n",
        );
        assert_eq!(
            got,
            Ok(vec![words(&["GET", "a"]), words(&["PING"]), words(&["ECHO", "a bA\n", "c'd", "e"]), vec![], vec![]])
        );
    }

    #[test]
    fn what_is_not_the_protocol_is_named_as_redis_names_it() {
        for (input, text) in [
            (&b"*1000000000\r\n"[..], "invalid multibulk length"),
            (b"*x\r\n", "invalid multibulk length"),
            (b"*1\r\n$99999999999\r\n", "invalid bulk length"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*2\r\n$3\r\nGET\r\n:5\r\n", "expected '$', got ':'"),
            (b"GET 'a\r\n", "unbalanced quotes in request"),
            (b"*1\r\n$1\r\nabc", "expected CRLF behind an argument"),
        ] {
            assert_eq!(
                decode_all(input).map_err(|e| alloc::string::ToString::to_string(&e)),
                Err(text.into()),
                "{input:?}"
            );
        }
        assert_eq!(decode_all(&vec![b'a'; 70_000]), Err(ProtocolError::InlineLine));
    }

    #[test]
    fn integers_are_strict() {
        for (text, number) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("10000000000000000000", None),
            ("99999999999999999999", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("1x", None),
            ("--1", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn strangers_get_little() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(b"*11\r\n", Trust::Stranger), Err(ProtocolError::StrangerMultibulkLength));
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(b"*1\r\n$20000\r\n", Trust::Stranger), Err(ProtocolError::StrangerBulkLength));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(input in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_all(&input);
        }

        #[test]
        fn pieces_decode_as_the_whole(args in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..6), cuts in proptest::collection::vec(0usize..200, 0..8)) {
            let mut bytes = vec![];
            crate::resp::encode_command(&args, &mut bytes);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len() - 1)).collect();
            cuts.sort_unstable();
            let mut decoder = Decoder::default();
            for cut in cuts {
                prop_assert_eq!(decoder.decode(&bytes[..cut], Trust::Known), Ok(None));
            }
            prop_assert_eq!(decoder.decode(&bytes, Trust::Known), Ok(Some(bytes.len())));
            let got: Vec<Vec<u8>> = decoder.args(&bytes).iter().map(<[u8]>::to_vec).collect();
            prop_assert_eq!(got, args);
        }
    }
}
