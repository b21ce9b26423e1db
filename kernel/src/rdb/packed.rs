//! Redis's forms of small collections in one piece: listpacks, the ziplists and zipmaps that were before them, and sets of
//! integers.

use alloc::borrow::Cow;
use alloc::string::ToString;

use super::read::{Bad, Bytes};

/// Integers are given as text, as they are in commands.
pub(super) type Element<'a> = Cow<'a, [u8]>;

/// The byte behind the last element.
const END: u8 = 0xff;
/// A number of elements that says that it is not known.
const UNKNOWN: u16 = u16::MAX;

pub(super) fn integer<'a>(number: i64) -> Element<'a> {
    Cow::Owned(number.to_string().into_bytes())
}

/// The elements of a set of integers.
pub(super) fn integers(bytes: &[u8]) -> Result<impl Iterator<Item = Result<Element<'static>, Bad>>, Bad> {
    let mut bytes = Bytes(bytes);
    let (size, count) = (u32::from_le_bytes(bytes.chunk()?), u32::from_le_bytes(bytes.chunk()?));
    let size = usize::try_from(size).ok().filter(|size| [2, 4, 8].contains(size)).ok_or(Bad)?;
    let fits = (count as usize).checked_mul(size) == Some(bytes.0.len());
    fits.then(|| bytes.0.chunks_exact(size).map(|number| Ok(integer(signed(number))))).ok_or(Bad)
}

/// A number of up to eight bytes, little end first.
fn signed(bytes: &[u8]) -> i64 {
    let unsigned = bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let unused = 64 - 8 * bytes.len() as u32;
    (unsigned << unused) as i64 >> unused
}

/// Elements one after the other, for a piece may have far more of them than there is memory for all at once. The last is an
/// error if the piece is damaged.
pub(super) struct Elements<'a> {
    bytes: Bytes<'a>,
    /// Reads the next one, which so many stand before; `None` at the end.
    read: fn(&mut Bytes<'a>, usize) -> Result<Option<Element<'a>>, Bad>,
    seen: usize,
    /// How many there are to be, if that is told.
    count: Option<usize>,
    ended: bool,
}

impl<'a> Elements<'a> {
    fn new(
        bytes: Bytes<'a>,
        count: Option<usize>,
        read: fn(&mut Bytes<'a>, usize) -> Result<Option<Element<'a>>, Bad>,
    ) -> Self {
        Self { bytes, read, seen: 0, count, ended: false }
    }

    /// The next one, where there has to be one.
    pub(super) fn expect(&mut self) -> Result<Element<'a>, Bad> {
        self.next().unwrap_or(Err(Bad))
    }

    /// The next one, where there has to be an integer.
    pub(super) fn expect_integer(&mut self) -> Result<i64, Bad> {
        crate::resp::parse_i64(&self.expect()?).ok_or(Bad)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, Bad>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = (self.read)(&mut self.bytes, self.seen);
        self.ended = !matches!(next, Ok(Some(_)));
        match next {
            Ok(None) => {
                let is_whole = self.bytes.0.is_empty() && self.count.is_none_or(|count| count == self.seen);
                (!is_whole).then_some(Err(Bad))
            }
            next => {
                self.seen += 1;
                next.transpose()
            }
        }
    }
}

/// The elements of a listpack.
pub(super) fn listpack(bytes: &[u8]) -> Result<Elements<'_>, Bad> {
    let all = bytes.len();
    let mut bytes = Bytes(bytes);
    let (size, count) = (u32::from_le_bytes(bytes.chunk()?), u16::from_le_bytes(bytes.chunk()?));
    let count = (count != UNKNOWN).then_some(count.into());
    if size as usize == all { Ok(Elements::new(bytes, count, |bytes, _| of_listpack(bytes))) } else { Err(Bad) }
}

fn of_listpack<'a>(bytes: &mut Bytes<'a>) -> Result<Option<Element<'a>>, Bad> {
    let before = bytes.0.len();
    let first = bytes.byte()?;
    let low = u16::from(first);
    let element = match first {
        0..=0x7f => integer(first.into()),
        0x80..=0xbf => Cow::Borrowed(bytes.take(usize::from(first & 0x3f))?),
        0xc0..=0xdf => {
            let bits = (low & 0x1f) << 8 | u16::from(bytes.byte()?);
            // Thirteen bits with their sign.
            integer(((bits << 3) as i16 >> 3).into())
        }
        0xe0..=0xef => {
            let len = (low & 0xf) << 8 | u16::from(bytes.byte()?);
            Cow::Borrowed(bytes.take(len.into())?)
        }
        0xf0 => {
            let len = u32::from_le_bytes(bytes.chunk()?);
            Cow::Borrowed(bytes.take(len as usize)?)
        }
        0xf1..=0xf4 => integer(signed(bytes.take([2, 3, 4, 8][usize::from(first - 0xf1)])?)),
        END => return Ok(None),
        _ => return Err(Bad),
    };
    bytes.take(size_of_back_length(before - bytes.0.len()))?;
    Ok(Some(element))
}

/// Bytes behind an element that tell its size to who comes from behind.
pub(super) fn size_of_back_length(size: usize) -> usize {
    match size {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// The elements of a ziplist.
pub(super) fn ziplist(bytes: &[u8]) -> Result<Elements<'_>, Bad> {
    let all = bytes.len();
    let mut bytes = Bytes(bytes);
    let size = u32::from_le_bytes(bytes.chunk()?);
    // Where the last element begins, for who comes from behind.
    bytes.take(4)?;
    let count = u16::from_le_bytes(bytes.chunk()?);
    let count = (count != UNKNOWN).then_some(count.into());
    if size as usize == all { Ok(Elements::new(bytes, count, |bytes, _| of_ziplist(bytes))) } else { Err(Bad) }
}

fn of_ziplist<'a>(bytes: &mut Bytes<'a>) -> Result<Option<Element<'a>>, Bad> {
    /// The size of the element before has more than a byte.
    const LARGE: u8 = 254;
    match bytes.byte()? {
        END => return Ok(None),
        LARGE => drop(bytes.take(4)?),
        _ => {}
    }
    let first = bytes.byte()?;
    Ok(Some(match first {
        0..=0x3f => Cow::Borrowed(bytes.take(first.into())?),
        0x40..=0x7f => {
            let len = usize::from(first & 0x3f) << 8 | usize::from(bytes.byte()?);
            Cow::Borrowed(bytes.take(len)?)
        }
        0x80 => {
            let len = u32::from_be_bytes(bytes.chunk()?);
            Cow::Borrowed(bytes.take(len as usize)?)
        }
        0xc0 => integer(signed(bytes.take(2)?)),
        0xd0 => integer(signed(bytes.take(4)?)),
        0xe0 => integer(signed(bytes.take(8)?)),
        0xf0 => integer(signed(bytes.take(3)?)),
        0xfe => integer(signed(bytes.take(1)?)),
        0xf1..=0xfd => integer(i64::from(first & 0xf) - 1),
        _ => return Err(Bad),
    }))
}

/// The keys and values of a zipmap, by turns.
pub(super) fn zipmap(bytes: &[u8]) -> Result<Elements<'_>, Bad> {
    /// From here on the number of pairs is not known.
    const MANY: u8 = 254;
    let mut bytes = Bytes(bytes);
    let pairs = bytes.byte()?;
    let count = (pairs < MANY).then_some(2 * usize::from(pairs));
    Ok(Elements::new(bytes, count, of_zipmap))
}

fn of_zipmap<'a>(bytes: &mut Bytes<'a>, seen: usize) -> Result<Option<Element<'a>>, Bad> {
    const LONG: u8 = 254;
    let is_value = seen % 2 == 1;
    let len = match bytes.byte()? {
        END if is_value => return Err(Bad),
        END => return Ok(None),
        LONG => u32::from_le_bytes(bytes.chunk()?) as usize,
        len => len.into(),
    };
    // Behind a value may be room that it does not need.
    let unused = if is_value { bytes.byte()? } else { 0 };
    let element = bytes.take(len)?;
    bytes.take(unused.into())?;
    Ok(Some(Cow::Borrowed(element)))
}
