//! Integers in ascending order, as many bytes each as the widest of them needs: what sets of integers are kept in.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::packed::size_class;

/// Integers in ascending order, none of them twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Integers {
    /// Little-endian, one behind the other.
    bytes: Vec<u8>,
    width: Width,
}

/// How many bytes each has. It only grows: a set that was given one large number is likely to get others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    #[default]
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl Width {
    fn of(number: i64) -> Self {
        if i16::try_from(number).is_ok() {
            Width::Two
        } else if i32::try_from(number).is_ok() {
            Width::Four
        } else {
            Width::Eight
        }
    }

    fn bytes(self) -> usize {
        self as usize
    }
}

impl Integers {
    pub fn len(&self) -> usize {
        self.bytes.len() / self.width.bytes()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn get(&self, at: usize) -> Option<i64> {
        let width = self.width.bytes();
        self.bytes.get(at * width..(at + 1) * width).map(number)
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = i64> {
        self.bytes.chunks_exact(self.width.bytes()).map(number)
    }

    /// Where the number stands, or where it would.
    pub fn search(&self, wanted: i64) -> Result<usize, usize> {
        let (mut start, mut end) = (0, self.len());
        while start < end {
            let middle = start + (end - start) / 2;
            match self.get(middle).cmp(&Some(wanted)) {
                Ordering::Less => start = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => end = middle,
            }
        }
        Err(start)
    }

    /// Puts a number where [`Self::search`] says that it would stand.
    pub fn insert(&mut self, at: usize, number: i64) {
        let needed = Width::of(number).max(self.width);
        let len = (self.len() + 1) * needed.bytes();
        if len > self.bytes.capacity() || needed != self.width {
            let mut widened = Vec::with_capacity(size_class(len));
            self.iter().for_each(|known| widened.extend_from_slice(&known.to_le_bytes()[..needed.bytes()]));
            (self.bytes, self.width) = (widened, needed);
        }
        let width = self.width.bytes();
        self.bytes.extend_from_slice(&number.to_le_bytes()[..width]);
        self.bytes[at * width..].rotate_right(width);
    }

    pub fn remove(&mut self, at: usize) {
        let width = self.width.bytes();
        self.bytes.drain(at * width..(at + 1) * width);
    }

    /// Bytes accounted for them, as if none had ever been wider: a copy of them is not.
    pub fn cost(&self) -> usize {
        let ends = [self.get(0), self.len().checked_sub(1).and_then(|last| self.get(last))];
        let widest = ends.into_iter().flatten().map(Width::of).max().unwrap_or_default();
        size_class(self.len() * widest.bytes())
    }

    /// Asserts that they are in order.
    pub fn check(&self) {
        assert_eq!(self.bytes.len() % self.width.bytes(), 0);
        assert!(self.iter().zip(self.iter().skip(1)).all(|(a, b)| a < b), "in order");
    }
}

/// A number of two, four or eight bytes, with its sign.
fn number(bytes: &[u8]) -> i64 {
    let sign = bytes.last().map_or(0, |last| if last & 0x80 == 0 { 0 } else { 0xff });
    let mut all = [sign; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_stay_in_order_while_they_widen_and_go() {
        let given = [5, -1, 0, 32_767, -32_768, 32_768, 7, i64::from(i32::MIN), 1 << 31, i64::MAX, i64::MIN, 6];
        let (mut integers, mut model) = (Integers::default(), Vec::new());
        for number in given {
            assert_eq!(integers.search(number), model.binary_search(&number));
            let Err(at) = integers.search(number) else { panic!("{number} is there already") };
            integers.insert(at, number);
            model.insert(at, number);
            integers.check();
            assert!(integers.iter().eq(model.iter().copied()));
        }
        assert_eq!(integers.get(given.len()), None);
        for number in given {
            let mut anew = Integers::default();
            integers.iter().for_each(|number| anew.insert(anew.len(), number));
            assert_eq!(anew.cost(), integers.cost(), "the same, whatever was there before");
            let Ok(at) = integers.search(number) else { panic!("{number} is missing") };
            assert_eq!(integers.get(at), Some(number));
            integers.remove(at);
            model.remove(at);
            assert!(integers.iter().eq(model.iter().copied()));
        }
        assert!(integers.is_empty());
    }

    #[test]
    fn small_numbers_take_two_bytes_each() {
        let mut integers = Integers::default();
        for number in 0..100 {
            integers.insert(integers.len(), number);
        }
        assert_eq!(integers.bytes.len(), 200);
        integers.insert(100, 1 << 20);
        assert_eq!(integers.bytes.len(), 404);
    }
}
