//! Byte strings one behind the other, each with its length before it: how small collections are kept, and how the log and
//! snapshots hold many elements.

use alloc::vec::Vec;

use bincode::{BorrowDecode, Encode};

use super::packed::size_class;

/// Byte strings in one. What is damaged ends early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Words<'a>(&'a [u8]);

/// Bits of a length that a byte holds; the highest says that more follow.
const BITS: u32 = 7;
const MORE: u8 = 1 << BITS;

impl<'a> Words<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Two at a time: fields and values, or members and scores.
    pub fn pairs(mut self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        core::iter::from_fn(move || Some((self.next()?, self.next()?)))
    }

    /// The same words in parts of about so many bytes.
    pub fn parts(mut self, bytes: usize) -> impl Iterator<Item = Words<'a>> {
        core::iter::from_fn(move || {
            let rest = self.0;
            while rest.len() - self.0.len() < bytes && self.next().is_some() {}
            let part = &rest[..rest.len() - self.0.len()];
            (!part.is_empty()).then_some(Words(part))
        })
    }

    /// Bytes that are still to be read: where the next word begins, counted from the end.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (word, rest) = take_word(self.0)?;
        self.0 = rest;
        Some(word)
    }
}

/// The word at the front, and what is behind it.
#[inline]
pub(crate) fn take_word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = take_number(bytes)?;
    rest.split_at_checked(usize::try_from(len).ok()?)
}

/// The number at the front, and what is behind it.
#[inline]
pub(crate) fn take_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut number = u64::from(first & !MORE);
    if first & MORE != 0 {
        let mut shift = BITS;
        loop {
            let (&byte, behind) = rest.split_first()?;
            rest = behind;
            number |= u64::from(byte & !MORE).checked_shl(shift)?;
            shift += BITS;
            if byte & MORE == 0 {
                break;
            }
        }
    }
    Some((number, rest))
}

/// Appends a number: seven bits a byte, the lowest first.
#[inline]
pub(crate) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= u64::from(MORE) {
        out.push(number as u8 | MORE);
        number >>= BITS;
    }
    out.push(number as u8);
}

/// Bytes that a word of this length takes.
pub fn size_of_word(len: usize) -> usize {
    let bits = usize::BITS - len.leading_zeros();
    len + bits.div_ceil(BITS).max(1) as usize
}

/// Appends a word.
#[inline]
pub fn push(out: &mut Vec<u8>, word: &[u8]) {
    push_joined(out, word, &[]);
}

/// Appends two byte strings as one word.
#[inline]
pub(crate) fn push_joined(out: &mut Vec<u8>, start: &[u8], end: &[u8]) {
    push_number(out, (start.len() + end.len()) as u64);
    out.extend_from_slice(start);
    out.extend_from_slice(end);
}

/// Makes room for so many more bytes.
pub(super) fn make_room(out: &mut Vec<u8>, grows: usize) {
    let len = out.len() + grows;
    if out.capacity() < len {
        out.reserve_exact(size_class(len) - out.len());
    }
}

/// Gives back what is not needed: nothing will be appended any more.
pub(super) fn fit(bytes: &mut Vec<u8>) {
    let least = size_class(bytes.len());
    if least < bytes.capacity() {
        bytes.shrink_to(least);
    }
}

/// As [`push`], to what is kept for long.
pub(super) fn append(out: &mut Vec<u8>, word: &[u8]) {
    make_room(out, size_of_word(word.len()));
    push(out, word);
}

/// Replaces the bytes of a range by a word; what is behind moves.
pub(super) fn splice(out: &mut Vec<u8>, range: core::ops::Range<usize>, word: Option<&[u8]>) {
    let start = range.start;
    out.drain(range);
    if let Some(word) = word {
        append(out, word);
        out[start..].rotate_right(size_of_word(word.len()));
    }
}

/// All of these, one behind the other.
pub fn collect<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    words.into_iter().for_each(|word| push(&mut out, word));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_read() {
        let long = [7; 70_000];
        for len in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
            let mut bytes = Vec::new();
            push(&mut bytes, &long[..len]);
            assert_eq!(bytes.len(), size_of_word(len));
            push(&mut bytes, b"x");
            assert!(Words::new(&bytes).eq([&long[..len], b"x"]));
        }
    }

    #[test]
    fn parts_are_the_same_words() {
        let bytes = collect((0..100u8).map(|n| &[7; 300][..usize::from(n) * 3]));
        for size in [1, 100, 1000, 1 << 20] {
            let words = Words::new(&bytes);
            assert!(words.parts(size).flatten().eq(words), "{size}");
            assert!(words.parts(size).all(|part| part.bytes().len() < size + 300));
        }
    }

    #[test]
    fn what_is_damaged_ends_early() {
        for damaged in [&[5, 1, 2][..], &[0x80], &[0xff; 12], &[1]] {
            assert_eq!(Words::new(damaged).next(), None);
        }
    }
}
