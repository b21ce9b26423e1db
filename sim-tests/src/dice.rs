//! Random numbers that belong to a seed and to nobody else: what the workload draws does not depend on what the network,
//! the disk or the scheduler draw from the simulation's own source.

use std::ops::RangeInclusive;
use std::time::Duration;

use madsim::rand::{Error, Rng, RngCore};

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and good enough to choose by.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The numbers of a seed; each `stream` of it has its own.
    pub fn new(seed: u64, stream: u64) -> Dice {
        let mut dice = Dice(seed ^ stream.wrapping_mul(0xa076_1d64_78bd_642f));
        dice.next_u64();
        Dice(dice.next_u64())
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.gen_bool(probability)
    }

    /// A number of the range, even over the orders of magnitude: small and large ones are equally frequent.
    pub fn log_uniform(&mut self, range: RangeInclusive<f64>) -> f64 {
        let (least, most) = range.into_inner();
        least * (most / least).powf(self.r#gen())
    }

    /// As [`Dice::log_uniform`], in milliseconds.
    pub fn millis(&mut self, range: RangeInclusive<f64>) -> Duration {
        Duration::from_secs_f64(self.log_uniform(range) / 1000.0)
    }

    /// One of `choices`, each as often as its weight says.
    pub fn weighted<T: Copy>(&mut self, choices: &[(u32, T)]) -> T {
        let mut rest = self.gen_range(0..choices.iter().map(|(weight, _)| weight).sum());
        for (weight, choice) in choices {
            match rest.checked_sub(*weight) {
                Some(left) => rest = left,
                None => return *choice,
            }
        }
        unreachable!("the rest is less than the sum of all weights")
    }
}

impl RngCore for Dice {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}
