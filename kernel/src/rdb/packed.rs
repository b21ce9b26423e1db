//! Redis's forms of small collections in one piece: listpacks and sets of integers.

use alloc::borrow::Cow;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::read::{Bad, Bytes};

/// Integers are given as text, as they are in commands.
pub(super) type Element<'a> = Cow<'a, [u8]>;

pub(super) fn integer<'a>(number: i64) -> Element<'a> {
    Cow::Owned(number.to_string().into_bytes())
}

/// The elements of a set of integers.
pub(super) fn integers(bytes: &[u8]) -> Result<impl Iterator<Item = Element<'static>>, Bad> {
    let mut bytes = Bytes(bytes);
    let (size, count) = (u32::from_le_bytes(bytes.chunk()?), u32::from_le_bytes(bytes.chunk()?));
    let size = usize::try_from(size).ok().filter(|size| [2, 4, 8].contains(size)).ok_or(Bad)?;
    let fits = (count as usize).checked_mul(size) == Some(bytes.0.len());
    fits.then(|| bytes.0.chunks_exact(size).map(|number| integer(signed(number)))).ok_or(Bad)
}

/// A number of up to eight bytes, little end first.
fn signed(bytes: &[u8]) -> i64 {
    let unsigned = bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let unused = 64 - 8 * bytes.len() as u32;
    (unsigned << unused) as i64 >> unused
}

/// The elements of a listpack.
pub(super) fn listpack(bytes: &[u8]) -> Result<Vec<Element<'_>>, Bad> {
    const END: u8 = 0xff;
    /// A number of elements that says that it is not known.
    const UNKNOWN: u16 = u16::MAX;
    let all = bytes.len();
    let mut bytes = Bytes(bytes);
    let (size, count) = (u32::from_le_bytes(bytes.chunk()?), u16::from_le_bytes(bytes.chunk()?));
    let mut elements = Vec::new();
    loop {
        let before = bytes.0.len();
        let first = bytes.byte()?;
        if first == END {
            let is_whole = bytes.0.is_empty() && size as usize == all;
            let is_counted = count == UNKNOWN || usize::from(count) == elements.len();
            return (is_whole && is_counted).then_some(elements).ok_or(Bad);
        }
        let low = u16::from(first);
        let len = match first {
            0..=0x7f => {
                elements.push(integer(first.into()));
                None
            }
            0x80..=0xbf => Some(usize::from(first & 0x3f)),
            0xc0..=0xdf => {
                let bits = (low & 0x1f) << 8 | u16::from(bytes.byte()?);
                // Thirteen bits with their sign.
                elements.push(integer(((bits << 3) as i16 >> 3).into()));
                None
            }
            0xe0..=0xef => Some(usize::from((low & 0xf) << 8 | u16::from(bytes.byte()?))),
            0xf0 => Some(u32::from_le_bytes(bytes.chunk()?) as usize),
            0xf1..=0xf4 => {
                let size = [2, 3, 4, 8][usize::from(first - 0xf1)];
                elements.push(integer(signed(bytes.take(size)?)));
                None
            }
            _ => return Err(Bad),
        };
        if let Some(len) = len {
            elements.push(Cow::Borrowed(bytes.take(len)?));
        }
        bytes.take(size_of_back_length(before - bytes.0.len()))?;
    }
}

/// Bytes behind an element that tell its size to who comes from behind.
fn size_of_back_length(size: usize) -> usize {
    match size {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}
