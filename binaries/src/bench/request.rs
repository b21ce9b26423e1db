//! What a request looks like, with what is drawn anew for each.

use std::fmt;
use std::str::FromStr;

use super::keys::Draw;
use crate::suggest::did_you_mean;

/// A number's digits, so that requests are all of one length.
pub const DIGITS: usize = 12;
/// The most keys: so many have numbers of [`DIGITS`].
pub const MAX_KEYS: u64 = 1_000_000_000_000;

/// The placeholders, and what stands before the number in place of them.
const NUMBERS: [(&str, &str); 4] =
    [("{key}", "key:"), ("{member}", "element:"), ("{number}", ""), ("__rand_int__", "")];
const VALUES: [&str; 2] = ["{value}", "__data__"];

/// How long values are, bytes; each is drawn from this range, its end included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub least: usize,
    pub most: usize,
}

/// The longest value: what Redis takes.
const MAX_VALUE: usize = 512 << 20;

impl Sizes {
    /// The one size of all values, if there is one.
    pub fn fixed(self) -> Option<usize> {
        (self.least == self.most).then_some(self.least)
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        match (least.parse(), most.parse()) {
            (Ok(least), Ok(most)) if least <= most && most <= MAX_VALUE => Ok(Sizes { least, most }),
            _ => Err(format!("\"{text}\" is no number of bytes up to {MAX_VALUE}, nor a range such as 16-1024")),
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fixed() {
            Some(size) => write!(f, "{size}"),
            None => write!(f, "{}-{}", self.least, self.most),
        }
    }
}

/// A command that is written again and again.
#[derive(Debug, Default)]
pub struct Request {
    pieces: Vec<Piece>,
    sizes: Option<Sizes>,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    /// A key's number.
    Number,
    /// The head of an argument that has so many bytes and a value, whose size is drawn here.
    Head(usize),
    Value,
}

impl Request {
    /// The command with these words.
    ///
    /// # Errors
    /// If a placeholder is mistyped, or an argument has several values whose sizes differ.
    pub fn new<W: AsRef<str>>(words: &[W], sizes: Sizes) -> Result<Request, String> {
        let mut request = Request { sizes: sizes.fixed().is_none().then_some(sizes), ..Request::default() };
        request.bytes(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            request.argument(word.as_ref(), sizes)?;
        }
        Ok(request)
    }

    /// Appends it, with what is drawn.
    pub fn write(&self, draw: &mut Draw, out: &mut Vec<u8>) {
        let mut size = 0;
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(bytes) => out.extend_from_slice(bytes),
                Piece::Number => push_number(draw.key(), out),
                Piece::Head(others) => {
                    size = self.sizes.map_or(0, |sizes| draw.within(sizes.least, sizes.most));
                    out.extend_from_slice(format!("${}\r\n", others + size).as_bytes());
                }
                Piece::Value => out.resize(out.len() + size, b'x'),
            }
        }
    }

    fn argument(&mut self, word: &str, sizes: Sizes) -> Result<(), String> {
        let parts = parts(word)?;
        let values = parts.iter().filter(|part| matches!(part, Part::Value)).count();
        let others: usize = parts.iter().map(Part::length).sum();
        match sizes.fixed() {
            Some(size) => self.bytes(format!("${}\r\n", others + values * size).as_bytes()),
            None if values == 0 => self.bytes(format!("${others}\r\n").as_bytes()),
            None if values == 1 => self.pieces.push(Piece::Head(others)),
            None => return Err(format!("\"{word}\": several values whose sizes differ; give one --size")),
        }
        for part in parts {
            match (part, sizes.fixed()) {
                (Part::Text(text), _) => self.bytes(text.as_bytes()),
                (Part::Number, _) => self.pieces.push(Piece::Number),
                (Part::Value, Some(size)) => self.bytes(&vec![b'x'; size]),
                (Part::Value, None) => self.pieces.push(Piece::Value),
            }
        }
        self.bytes(b"\r\n");
        Ok(())
    }

    fn bytes(&mut self, more: &[u8]) {
        match self.pieces.last_mut() {
            Some(Piece::Bytes(bytes)) => bytes.extend_from_slice(more),
            _ => self.pieces.push(Piece::Bytes(more.to_vec())),
        }
    }
}

fn push_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits);
}

/// A part of an argument.
enum Part<'a> {
    Text(&'a str),
    Number,
    Value,
}

impl Part<'_> {
    /// Without values.
    fn length(&self) -> usize {
        match self {
            Part::Text(text) => text.len(),
            Part::Number => DIGITS,
            Part::Value => 0,
        }
    }
}

fn parts(mut word: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let names = || NUMBERS.into_iter().map(|(name, _)| name).chain(VALUES);
    while let Some((at, name)) = names().filter_map(|name| Some((word.find(name)?, name))).min() {
        parts.push(Part::Text(checked(&word[..at])?));
        match NUMBERS.into_iter().find(|(known, _)| *known == name) {
            Some((_, prefix)) => parts.extend([Part::Text(prefix), Part::Number]),
            None => parts.push(Part::Value),
        }
        word = &word[at + name.len()..];
    }
    parts.push(Part::Text(checked(word)?));
    Ok(parts)
}

/// Text without a placeholder. Braces are common in JSON and Lua: only what is nearly one is refused.
fn checked(text: &str) -> Result<&str, String> {
    let words = text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(word, _)| word);
    for word in words {
        let known = NUMBERS.iter().map(|(name, _)| *name).chain(VALUES).filter_map(|name| name.strip_prefix('{'));
        let known = known.filter_map(|name| name.strip_suffix('}'));
        let hint = did_you_mean(&word.to_lowercase(), known, "");
        if !hint.is_empty() {
            return Err(format!("no placeholder is named \"{word}\"{hint} in braces"));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::keys::Distribution;
    use super::*;

    fn written(words: &[&str], sizes: &str) -> String {
        let request = Request::new(words, sizes.parse().expect("sizes")).expect("a request");
        let mut draw = Draw::new(Distribution::Sequential, 100, 1, 7, 1);
        let mut out = Vec::new();
        request.write(&mut draw, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn placeholders_are_filled_in() {
        assert_eq!(
            written(&["SET", "{key}", "{value}"], "3"),
            "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000007\r\n$3\r\nxxx\r\n"
        );
        assert_eq!(
            written(&["ZADD", "z", "{number}", "a{member}b", "__rand_int__"], "3"),
            "*5\r\n$4\r\nZADD\r\n$1\r\nz\r\n$12\r\n000000000007\r\n$22\r\naelement:000000000008b\r\n$12\r\n000000000009\r\n"
        );
        assert_eq!(
            written(&["X", "<{value}{value}>", "__data__"], "2"),
            "*3\r\n$1\r\nX\r\n$6\r\n<xxxx>\r\n$2\r\nxx\r\n"
        );
    }

    #[test]
    fn the_head_of_an_argument_tells_the_size_that_was_drawn() {
        let request = Request::new(&["SET", "{key}", "<{value}>"], Sizes { least: 0, most: 20 }).expect("a request");
        let mut draw = Draw::new(Distribution::Uniform, 100, 1, 0, 1);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let mut out = Vec::new();
            request.write(&mut draw, &mut out);
            let text = String::from_utf8(out).expect("text");
            let [.., head, value, ""] = text.split("\r\n").collect::<Vec<_>>()[..] else { panic!("{text}") };
            assert_eq!(head, format!("${}", value.len()), "{text}");
            seen.insert(value.len());
        }
        assert_eq!(seen, (2..=22).collect());
    }

    #[test]
    fn braces_that_mean_something_else_stay() {
        assert_eq!(
            written(&["JSON.SET", "{\"a\":{}}", "{user1}"], "1"),
            "*3\r\n$8\r\nJSON.SET\r\n$8\r\n{\"a\":{}}\r\n$7\r\n{user1}\r\n"
        );
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let sizes = Sizes { least: 1, most: 2 };
        let error = Request::new(&["GET", "{keey}"], sizes).expect_err("a typing error");
        assert!(error.contains("did you mean \"key\""), "{error}");
        assert!(Request::new(&["SET", "k", "{value}{value}"], sizes).is_err());
        for text in ["", "x", "5-4", "1-", "-1", "99999999999"] {
            assert!(text.parse::<Sizes>().is_err(), "{text}");
        }
    }
}
