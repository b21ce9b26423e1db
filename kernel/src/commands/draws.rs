//! Elements of collections at random: what SRANDMEMBER, SPOP and HRANDFIELD have in common.

use core::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::{CommandError, integer};
use crate::limits;
use crate::random::Random;
use crate::resp::Reply;

/// A reply would be larger than [`limits::MAX_DRAWN`].
pub(super) const TOO_LARGE: CommandError = CommandError::Other("the reply would be too large: ask for fewer");

/// How many elements are wanted.
#[derive(Clone, Copy)]
pub(super) enum Count {
    /// So many different ones, or all.
    Distinct(usize),
    /// So many, each drawn from all.
    Any(usize),
}

impl Count {
    /// The second is what a negative number means.
    pub(super) fn parse(text: &[u8]) -> Result<Self, CommandError> {
        let number = integer(text)?;
        let count = number.unsigned_abs() as usize;
        match number {
            i64::MIN => Err(CommandError::Other(
                "value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            )),
            0.. => Ok(Count::Distinct(count)),
            _ => Ok(Count::Any(count)),
        }
    }

    pub(super) fn number(self) -> usize {
        let (Count::Distinct(number) | Count::Any(number)) = self;
        number
    }
}

/// What a collection of `len` elements of type `T` lets choose from it.
pub(super) struct Source<A, O> {
    pub(super) len: usize,
    /// All elements.
    pub(super) all: A,
    /// One of them, chosen by 64 random bits.
    pub(super) one: O,
}

impl<T: Hash + Eq + Clone, A: Iterator<Item = T>, O: Fn(u64) -> Option<T>> Source<A, O> {
    /// Replies with an array of elements at random. `width` is how many replies `write` makes of one.
    pub(super) fn reply(
        self,
        count: Count,
        random: &mut Random,
        reply: &mut Reply,
        width: usize,
        write: impl Fn(&mut Reply, T),
    ) -> Result<(), CommandError> {
        match count {
            Count::Distinct(count) => {
                let count = count.min(self.len);
                reply.array(count * width);
                self.choose(count, random, |element| write(reply, element));
            }
            Count::Any(count) => {
                // No element takes less than an empty bulk string.
                const SMALLEST: usize = b"$0\r\n\r\n".len();
                if count > limits::MAX_DRAWN / SMALLEST {
                    return Err(TOO_LARGE);
                }
                let start = reply.bytes.len();
                reply.array(count * width);
                for element in (0..count).map_while(|_| (self.one)(random.next())) {
                    write(reply, element);
                    if reply.bytes.len() - start > limits::MAX_DRAWN {
                        return Err(TOO_LARGE);
                    }
                }
            }
        }
        Ok(())
    }

    /// Visits `count` different elements, which there are: every choice of them is as likely as any other.
    pub(super) fn choose(self, count: usize, random: &mut Random, mut visit: impl FnMut(T)) {
        /// From one of so many on, going through all is no more work than drawing and remembering.
        const FEW: usize = 4;
        if count < self.len / FEW {
            let mut seen = HashSet::with_hasher(FixedState::with_seed(random.next()));
            while seen.len() < count
                && let Some(element) = (self.one)(random.next())
            {
                if seen.insert(element.clone()) {
                    visit(element);
                }
            }
            return;
        }
        // Selection sampling: Knuth, The Art of Computer Programming, 3.4.2, algorithm S.
        let mut wanted = count;
        for (element, left) in self.all.zip((0..=self.len).rev()) {
            if wanted == 0 {
                break;
            }
            if random.below(left) < wanted {
                visit(element);
                wanted -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn every_element_is_chosen_as_often() {
        const ROUNDS: usize = 4000;
        let (len, mut random) = (40, Random::new(7));
        for count in [1, 3, 9, 10, 25, 39, 40] {
            let mut times = vec![0usize; len];
            for _ in 0..ROUNDS {
                let source = Source { len, all: 0..len, one: |bits| Some(bits as usize % len) };
                let mut chosen = Vec::new();
                source.choose(count, &mut random, |element| chosen.push(element));
                chosen.sort_unstable();
                chosen.dedup();
                assert_eq!(chosen.len(), count);
                chosen.iter().for_each(|element| times[*element] += 1);
            }
            // Six standard deviations.
            let mean = ROUNDS * count / len;
            let spread = 6 * mean.isqrt() + 1;
            assert!(times.iter().all(|n| n.abs_diff(mean) <= spread), "{count}: {times:?}");
        }
    }
}
