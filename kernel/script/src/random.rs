//! `math.random`: the 48-bit linear congruence of `drand48` (POSIX), as in Redis, so that a seed gives the same numbers.

use std::cell::Cell;

#[derive(Debug)]
pub(crate) struct Random(Cell<u64>);

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;

impl Random {
    pub(crate) fn new(seed: i32) -> Self {
        let random = Self(Cell::new(0));
        random.seed(seed);
        random
    }

    pub(crate) fn seed(&self, seed: i32) {
        self.0.set(u64::from(seed as u32) << 16 | 0x330E);
    }

    /// The next number, from 0 inclusive to 1 exclusive.
    pub(crate) fn next(&self) -> f64 {
        let state = self.0.get().wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        self.0.set(state);
        let number = (state >> 17) as u32;
        f64::from(number % i32::MAX as u32) / f64::from(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_gives_the_same_numbers() {
        let numbers = |seed| {
            let random = Random::new(seed);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        // lrand48 of a generator seeded with 0 begins with 366850414.
        assert_eq!(numbers(0)[0], 366_850_414.0 / 2_147_483_647.0);
        assert!(numbers(1).iter().all(|number| (0.0..1.0).contains(number)));
    }
}
