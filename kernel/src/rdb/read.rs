//! Reading values.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::packed::{Element, Elements, integer, integers, listpack, ziplist, zipmap};
use super::{compressed, stream, types};
use crate::limits;
use crate::store::{SortedSet, Stream, Words, words};

/// These bytes are no value, or one that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad;

/// A value that was read. Of most collections there are the words that the effects take which make them: elements, members,
/// scores with members, fields with values.
#[derive(Clone, Debug)]
pub enum Loaded {
    Text(Vec<u8>),
    List(Vec<u8>),
    Set(Vec<u8>),
    Sorted(Vec<u8>),
    Hash(Vec<u8>),
    Stream(Box<Stream>),
}

/// The same value, whatever form it was in: order counts where it means something. When a consumer was active last does not
/// count, which not every form tells.
impl PartialEq for Loaded {
    fn eq(&self, other: &Self) -> bool {
        fn members(words: &[u8]) -> BTreeSet<&[u8]> {
            Words::new(words).collect()
        }
        fn fields(words: &[u8]) -> BTreeMap<&[u8], &[u8]> {
            Words::new(words).pairs().collect()
        }
        match (self, other) {
            (Loaded::Text(a), Loaded::Text(b)) | (Loaded::List(a), Loaded::List(b)) => a == b,
            (Loaded::Set(a), Loaded::Set(b)) | (Loaded::Sorted(a), Loaded::Sorted(b)) => members(a) == members(b),
            (Loaded::Hash(a), Loaded::Hash(b)) => fields(a) == fields(b),
            (Loaded::Stream(a), Loaded::Stream(b)) => stream::is_same(a, b),
            _ => false,
        }
    }
}

impl Loaded {
    /// As `TYPE` says it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Loaded::Text(_) => "string",
            Loaded::List(_) => "list",
            Loaded::Set(_) => "set",
            Loaded::Sorted(_) => "zset",
            Loaded::Hash(_) => "hash",
            Loaded::Stream(_) => "stream",
        }
    }
}

/// What is still to be read.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

/// How a length is given.
enum Length {
    Plain(u64),
    /// The string is in this special form.
    Special(u8),
}

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Bad> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Bad)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        self.take(N)?.try_into().map_err(|_| Bad)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Bad> {
        self.chunk().map(|[byte]| byte)
    }

    fn length(&mut self) -> Result<Length, Bad> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match first {
            0..=0x3f => Length::Plain(low.into()),
            0x40..=0x7f => Length::Plain(u64::from(low) << 8 | u64::from(self.byte()?)),
            0x80 => Length::Plain(u32::from_be_bytes(self.chunk()?).into()),
            0x81 => Length::Plain(u64::from_be_bytes(self.chunk()?)),
            0xc0.. => Length::Special(low),
            _ => return Err(Bad),
        })
    }

    /// A number in the form of a length.
    pub(super) fn number(&mut self) -> Result<u64, Bad> {
        if let Length::Plain(number) = self.length()? { Ok(number) } else { Err(Bad) }
    }

    pub(super) fn plain_length(&mut self) -> Result<usize, Bad> {
        usize::try_from(self.number()?).map_err(|_| Bad)
    }

    pub(super) fn string(&mut self) -> Result<Element<'a>, Bad> {
        const COMPRESSED: u8 = 3;
        Ok(match self.length()? {
            Length::Plain(len) => Cow::Borrowed(self.take(usize::try_from(len).map_err(|_| Bad)?)?),
            Length::Special(0) => integer(i8::from_le_bytes(self.chunk()?).into()),
            Length::Special(1) => integer(i16::from_le_bytes(self.chunk()?).into()),
            Length::Special(2) => integer(i32::from_le_bytes(self.chunk()?).into()),
            Length::Special(COMPRESSED) => {
                let (compressed, len) = (self.plain_length()?, self.plain_length()?);
                let compressed = self.take(compressed)?;
                let is_sane = len <= limits::MAX_BULK;
                Cow::Owned(is_sane.then(|| compressed::expanded(compressed, len)).flatten().ok_or(Bad)?)
            }
            Length::Special(_) => return Err(Bad),
        })
    }

    /// A score as text, with its length before it.
    fn old_score(&mut self) -> Result<f64, Bad> {
        match self.byte()? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => Err(Bad),
            len => score(self.take(len.into())?),
        }
    }
}

fn score(text: &[u8]) -> Result<f64, Bad> {
    core::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Bad)
}

/// Words that are collected.
#[derive(Default)]
pub(super) struct Collected(pub(super) Vec<u8>);

impl Collected {
    pub(super) fn push(&mut self, word: &[u8]) -> Result<(), Bad> {
        words::push(&mut self.0, word);
        // What is compressed may be far more than what it comes from; the log takes no command of any size.
        if self.0.len() <= limits::MAX_BULK { Ok(()) } else { Err(Bad) }
    }

    fn push_scored(&mut self, member: &[u8], score: f64) -> Result<(), Bad> {
        if score.is_nan() { Err(Bad) } else { self.push(&SortedSet::word(score, member)) }
    }

    fn extend<'a>(&mut self, mut elements: impl Iterator<Item = Result<Element<'a>, Bad>>) -> Result<(), Bad> {
        elements.try_for_each(|element| self.push(&element?))
    }

    /// There are no empty collections.
    fn done(self, kind: fn(Vec<u8>) -> Loaded) -> Result<Loaded, Bad> {
        if self.0.is_empty() { Err(Bad) } else { Ok(kind(self.0)) }
    }
}

pub(super) fn value(value: &[u8]) -> Result<Loaded, Bad> {
    let mut bytes = Bytes(value);
    let loaded = typed(bytes.byte()?, &mut bytes)?;
    if bytes.0.is_empty() { Ok(loaded) } else { Err(Bad) }
}

/// What stands behind a type.
fn typed(kind: u8, bytes: &mut Bytes<'_>) -> Result<Loaded, Bad> {
    let mut collected = Collected::default();
    match kind {
        types::TEXT => bytes.string().map(|text| Loaded::Text(text.into_owned())),
        types::LIST | types::SET => {
            for _ in 0..bytes.plain_length()? {
                collected.push(&bytes.string()?)?;
            }
            collected.done(if kind == types::LIST { Loaded::List } else { Loaded::Set })
        }
        types::HASH => {
            for _ in 0..bytes.plain_length()? {
                collected.push(&bytes.string()?)?;
                collected.push(&bytes.string()?)?;
            }
            collected.done(Loaded::Hash)
        }
        types::SORTED | types::SORTED_2 => {
            for _ in 0..bytes.plain_length()? {
                let member = bytes.string()?;
                let score = if kind == types::SORTED { bytes.old_score()? } else { f64::from_le_bytes(bytes.chunk()?) };
                collected.push_scored(&member, score)?;
            }
            collected.done(Loaded::Sorted)
        }
        types::INTEGER_SET => {
            collected.extend(integers(&bytes.string()?)?)?;
            collected.done(Loaded::Set)
        }
        types::QUICKLIST | types::QUICKLIST_2 => quicklist(kind, bytes, collected),
        types::STREAM | types::STREAM_2 | types::STREAM_3 => {
            stream::read(kind, bytes).map(|stream| Loaded::Stream(Box::new(stream)))
        }
        _ => packed(kind, &bytes.string()?, collected),
    }
}

/// What is kept in one piece.
fn packed(kind: u8, piece: &[u8], mut collected: Collected) -> Result<Loaded, Bad> {
    let mut elements = match kind {
        types::LIST_ZIPLIST | types::SORTED_ZIPLIST | types::HASH_ZIPLIST => ziplist(piece)?,
        types::SET_LISTPACK | types::SORTED_LISTPACK | types::HASH_LISTPACK => listpack(piece)?,
        types::HASH_ZIPMAP => zipmap(piece)?,
        _ => return Err(Bad),
    };
    match kind {
        types::LIST_ZIPLIST | types::SET_LISTPACK => {
            collected.extend(elements)?;
            collected.done(if kind == types::LIST_ZIPLIST { Loaded::List } else { Loaded::Set })
        }
        types::SORTED_ZIPLIST | types::SORTED_LISTPACK => {
            while let Some(member) = elements.next() {
                collected.push_scored(&member?, score(&elements.expect()?)?)?;
            }
            collected.done(Loaded::Sorted)
        }
        _ => {
            fields(elements, &mut collected)?;
            collected.done(Loaded::Hash)
        }
    }
}

fn fields(mut elements: Elements<'_>, collected: &mut Collected) -> Result<(), Bad> {
    while let Some(field) = elements.next() {
        collected.push(&field?)?;
        collected.push(&elements.expect()?)?;
    }
    Ok(())
}

/// Elements, and pieces of them.
fn quicklist(kind: u8, bytes: &mut Bytes<'_>, mut collected: Collected) -> Result<Loaded, Bad> {
    const PLAIN: usize = 1;
    const PACKED: usize = 2;
    for _ in 0..bytes.plain_length()? {
        if kind == types::QUICKLIST {
            collected.extend(ziplist(&bytes.string()?)?)?;
            continue;
        }
        let form = bytes.plain_length()?;
        let node = bytes.string()?;
        match form {
            PLAIN => collected.push(&node)?,
            PACKED => collected.extend(listpack(&node)?)?,
            _ => return Err(Bad),
        }
    }
    collected.done(Loaded::List)
}

/// The code of each library, one behind the other.
pub(super) fn libraries(dumped: &[u8]) -> Result<Vec<Vec<u8>>, Bad> {
    let mut bytes = Bytes(dumped);
    let mut codes = Vec::new();
    while !bytes.0.is_empty() {
        if bytes.byte()? != types::FUNCTION {
            return Err(Bad);
        }
        codes.push(bytes.string()?.into_owned());
    }
    Ok(codes)
}
