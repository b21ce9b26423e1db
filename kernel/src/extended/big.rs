//! Natural numbers of any size, as far as reading and showing a number needs them.

use alloc::string::String;
use alloc::vec::Vec;

/// A natural number: 32 bits a word, the lowest first, no zeros at the end.
#[derive(Debug)]
pub(super) struct Big(Vec<u32>);

impl Big {
    /// From digits by value, the highest first.
    pub(super) fn from_digits(digits: &[u8], radix: u32) -> Self {
        let mut n = Self(Vec::new());
        // As many digits at once as fit into a word, for each step touches all words.
        for some in digits.chunks(7) {
            let chunk = some.iter().fold(0, |chunk, digit| chunk * radix + u32::from(*digit));
            n.multiply(radix.pow(some.len() as u32), chunk);
        }
        n
    }

    pub(super) fn bits(&self) -> usize {
        self.0.last().map_or(0, |top| self.0.len() * 32 - top.leading_zeros() as usize)
    }

    /// `self * by + plus`
    fn multiply(&mut self, by: u32, plus: u32) {
        let mut carry = u64::from(plus);
        for word in &mut self.0 {
            let product = u64::from(*word) * u64::from(by) + carry;
            *word = product as u32;
            carry = product >> 32;
        }
        if carry != 0 {
            self.0.push(carry as u32);
        }
    }

    pub(super) fn add(&mut self, n: u64) {
        let mut carry = u128::from(n);
        for word in &mut self.0 {
            carry += u128::from(*word);
            *word = carry as u32;
            carry >>= 32;
        }
        while carry != 0 {
            self.0.push(carry as u32);
            carry >>= 32;
        }
    }

    /// Divides, rounding down; returns the remainder.
    fn divide(&mut self, by: u32) -> u32 {
        let mut rest = 0u64;
        for word in self.0.iter_mut().rev() {
            let part = rest << 32 | u64::from(*word);
            *word = (part / u64::from(by)) as u32;
            rest = part % u64::from(by);
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        rest as u32
    }

    /// `self * base^power`, for a base up to 10.
    pub(super) fn multiply_by_power(&mut self, base: u32, power: usize) {
        in_words(base, power).for_each(|factor| self.multiply(factor, 0));
    }

    /// `self / base^power`, rounding down, for a base up to 10; says whether there was a remainder.
    pub(super) fn divide_by_power(&mut self, base: u32, power: usize) -> bool {
        let mut inexact = false;
        for divisor in in_words(base, power) {
            inexact |= self.divide(divisor) != 0;
        }
        inexact
    }

    pub(super) fn shift_left(&mut self, bits: usize) {
        self.multiply(1 << (bits % 32), 0);
        if !self.0.is_empty() {
            self.0.splice(0..0, core::iter::repeat_n(0, bits / 32));
        }
    }

    /// The highest four words, how many bits stand below them, and whether any of those is set.
    pub(super) fn top(&self) -> (u128, usize, bool) {
        let below = self.0.len().saturating_sub(4);
        let top = self.0[below..].iter().rev().fold(0, |top, word| top << 32 | u128::from(*word));
        (top, below * 32, self.0[..below].iter().any(|word| *word != 0))
    }

    pub(super) fn into_decimal(mut self) -> String {
        let mut chunks = Vec::new();
        while !self.0.is_empty() {
            chunks.push(self.divide(1_000_000_000));
        }
        let mut text = alloc::format!("{}", chunks.pop().unwrap_or(0));
        for chunk in chunks.iter().rev() {
            text.push_str(&alloc::format!("{chunk:09}"));
        }
        text
    }
}

/// Factors of a word each whose product is `base^power`.
fn in_words(base: u32, power: usize) -> impl Iterator<Item = u32> {
    const AT_ONCE: usize = 9;
    let rest = base.pow((power % AT_ONCE) as u32);
    core::iter::repeat_n(base.pow(AT_ONCE as u32), power / AT_ONCE).chain([rest])
}
