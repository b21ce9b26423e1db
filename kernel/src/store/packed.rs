//! A key, a deadline and a byte string in one allocation: most items, and the elements of large collections.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::segment::Stored;

/// `[head][key length, if long][deadline, if any][key][value]`; numbers are little-endian.
///
/// `head` holds a short key's length, and whether there is a deadline. One allocation instead of two, and no field that
/// most items do not need: of small items, the bytes around them are most of the cost.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed(Box<[u8]>);

/// In the head: eight bytes of deadline follow.
const HAS_DEADLINE: u8 = 0x80;
/// In the head instead of a length: four bytes of it follow.
const LONG_KEY: u8 = 0x7f;

/// What an allocator of size classes adds to an item, at most and about: its slot in the table with the room that is
/// free, and the rounding of its allocation.
pub(super) const OVERHEAD: usize = 24;
pub(super) const ROUNDING: usize = 16;

/// What an allocator of size classes gives for so many bytes: four sizes between a power of two and the next. What
/// grows takes all of it at once, and so grows by a fifth on average, not by doubling: most of it never grows again.
pub(super) fn size_class(bytes: usize) -> usize {
    /// Up to here the sizes are multiples of [`ROUNDING`].
    const SMALL: usize = 128;
    let step = if bytes <= SMALL { ROUNDING } else { bytes.next_power_of_two() / 8 };
    bytes.next_multiple_of(step)
}

impl Packed {
    pub(super) fn new(key: &[u8], value: &[u8], deadline: Option<u64>) -> Self {
        let long = key.len() >= usize::from(LONG_KEY);
        let len = 1 + usize::from(long) * 4 + usize::from(deadline.is_some()) * 8 + key.len() + value.len();
        let mut bytes = Vec::with_capacity(len);
        let key_len = if long { LONG_KEY } else { key.len() as u8 };
        bytes.push(key_len | if deadline.is_some() { HAS_DEADLINE } else { 0 });
        if long {
            // A key's bytes are bounded far below 4 GiB.
            bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        }
        if let Some(deadline) = deadline {
            bytes.extend_from_slice(&deadline.to_le_bytes());
        }
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        Self(bytes.into_boxed_slice())
    }

    #[inline]
    pub(super) fn value(&self) -> &[u8] {
        let (start, len) = self.key_range();
        &self.0[start + len..]
    }

    /// Gives the item another value and deadline; in place if the length stays what it was.
    pub(super) fn replace(&mut self, value: &[u8], deadline: Option<u64>) {
        let (start, len) = self.key_range();
        let key_end = start + len;
        if deadline.is_none() && !self.has_deadline() && self.0.len() - key_end == value.len() {
            self.0[key_end..].copy_from_slice(value);
        } else {
            *self = Self::new(self.key(), value, deadline);
        }
    }

    /// Overwrites a part of the value, lengthening it with zeros if it is too short.
    pub(super) fn patch(&mut self, start: usize, bytes: &[u8]) {
        let (key_start, key_len) = self.key_range();
        let from = key_start + key_len + start;
        let end = from + bytes.len();
        if end > self.0.len() {
            let mut longer = core::mem::take(&mut self.0).into_vec();
            longer.reserve_exact(end - longer.len());
            longer.resize(end, 0);
            self.0 = longer.into_boxed_slice();
        }
        self.0[from..end].copy_from_slice(bytes);
    }

    pub(super) fn set_deadline(&mut self, deadline: Option<u64>) {
        let (start, _) = self.key_range();
        match deadline {
            Some(deadline) if self.has_deadline() => {
                self.0[start - 8..start].copy_from_slice(&deadline.to_le_bytes());
            }
            None if !self.has_deadline() => {}
            _ => *self = Self::new(self.key(), self.value(), deadline),
        }
    }

    /// Bytes accounted for it: computed, so that every node counts the same.
    pub(super) fn cost(&self) -> usize {
        self.0.len().next_multiple_of(ROUNDING) + OVERHEAD
    }

    #[inline]
    fn has_deadline(&self) -> bool {
        self.0.first().is_some_and(|head| head & HAS_DEADLINE != 0)
    }

    /// Where the key starts, and its length.
    #[inline]
    fn key_range(&self) -> (usize, usize) {
        // In a free slot there is nothing.
        let Some(head) = self.0.first() else { return (0, 0) };
        let short = head & !HAS_DEADLINE;
        let deadline = usize::from(self.has_deadline()) * 8;
        if short == LONG_KEY {
            (5 + deadline, u32::from_le_bytes(self.array(1)) as usize)
        } else {
            (1 + deadline, usize::from(short))
        }
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.0[at..at + N]);
        array
    }
}

impl Stored for Packed {
    #[inline]
    fn key(&self) -> &[u8] {
        let (start, len) = self.key_range();
        &self.0[start..start + len]
    }

    fn deadline(&self) -> Option<u64> {
        let (start, _) = self.key_range();
        self.has_deadline().then(|| u64::from_le_bytes(self.array(start - 8)))
    }

    #[inline]
    fn touch(&self) -> u8 {
        self.0[0] ^ self.0[self.0.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked() {
        for key_len in [0, 1, 126, 127, 128, 70_000] {
            let key = alloc::vec![b'k'; key_len];
            for deadline in [None, Some(1), Some(u64::MAX)] {
                let mut packed = Packed::new(&key, b"value", deadline);
                let holds = |packed: &Packed, value: &[u8], deadline| {
                    assert_eq!((packed.key(), packed.value(), packed.deadline()), (&*key, value, deadline));
                };
                holds(&packed, b"value", deadline);
                for deadline in [None, Some(7), Some(8), None] {
                    packed.set_deadline(deadline);
                    holds(&packed, b"value", deadline);
                    packed.replace(b"other", deadline);
                    holds(&packed, b"other", deadline);
                    packed.replace(b"", deadline);
                    holds(&packed, b"", deadline);
                    packed.replace(b"value", deadline);
                }
            }
        }
    }
}
