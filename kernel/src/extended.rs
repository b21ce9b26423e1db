//! Floating-point numbers of 80 bits: what Redis computes `INCRBYFLOAT` with on x86-64, where C's `long double` has a
//! mantissa of 64 bits. Computed in integers, so that every machine gets the same result.
//!
//! Every operation rounds once, to the nearest, a tie to the even neighbour (IEEE 754-2019, section 4.3.1).

mod big;

use alloc::string::String;

use big::Big;

/// `mantissa * 2^exponent`. The mantissa's top bit is set, but for zero and for numbers at the lowest exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

const LOWEST: i32 = -16_445;
const HIGHEST: i32 = 16_320;
/// Bytes of text from which on a number is refused, as in Redis.
const LONGEST: usize = 5 * 1024;
/// Digits after the point that are shown.
const DECIMALS: u32 = 17;

impl Extended {
    pub const ZERO: Self = Self { negative: false, mantissa: 0, exponent: LOWEST };
    const INFINITY: Self = Self { negative: false, mantissa: 1 << 63, exponent: HIGHEST + 1 };

    pub fn is_finite(self) -> bool {
        self.exponent <= HIGHEST
    }

    /// The number that a text means, in the grammar of C's `strtold`: decimal, hexadecimal with `0x`, or `inf`. `None`
    /// for what is no number, or one too large or too small to tell from infinity or zero.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= LONGEST {
            return None;
        }
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let magnitude = if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
            Self::INFINITY
        } else if let [b'0', b'x' | b'X', hex @ ..] = digits {
            let number = Numeral::read(hex, 16, b'p')?;
            let exponent = number.exponent - 4 * number.decimals;
            Self::from_big(&Big::from_digits(&number.digits, 16), exponent, false)?
        } else {
            let number = Numeral::read(digits, 10, b'e')?;
            Self::from_decimal(&number.digits, number.exponent - number.decimals)?
        };
        Some(Self { negative, ..magnitude })
    }

    /// `digits * 10^exponent`, without leading zeros.
    fn from_decimal(digits: &[u8], exponent: i64) -> Option<Self> {
        // The number is below 10 to the power of this; beyond these bounds it is out of range anyway.
        let magnitude = digits.len() as i64 + exponent;
        if !digits.is_empty() && !(-5000..5000).contains(&magnitude) {
            return None;
        }
        let mut n = Big::from_digits(digits, 10);
        if digits.is_empty() {
            return Some(Self::ZERO);
        }
        let power = exponent.unsigned_abs() as usize;
        if exponent >= 0 {
            n.multiply_by_power(10, power);
            return Self::from_big(&n, 0, false);
        }
        // Dividing by ten is dividing by five and by two; the latter is the exponent's business. A power of five has
        // less than 7/3 bits a digit, so that the quotient has more bits than a mantissa.
        let shift = (power * 7 / 3 + 130).saturating_sub(n.bits());
        n.shift_left(shift);
        let inexact = n.divide_by_power(5, power);
        Self::from_big(&n, exponent - shift as i64, inexact)
    }

    /// `n * 2^exponent`, and a little more if it is inexact. `None` beyond the range.
    fn from_big(n: &Big, exponent: i64, inexact: bool) -> Option<Self> {
        let (top, dropped, more) = n.top();
        if top == 0 {
            return Some(Self::ZERO);
        }
        let rounded = Self::round(top, exponent + dropped as i64, inexact || more);
        (rounded.is_finite() && rounded.mantissa != 0).then_some(rounded)
    }

    /// The number nearest to `n * 2^exponent`, or to a little more if it is inexact.
    fn round(n: u128, exponent: i64, inexact: bool) -> Self {
        let bits = i64::from(u128::BITS - n.leading_zeros());
        let dropped = (bits - 64).max(i64::from(LOWEST) - exponent);
        let mut exponent = exponent + dropped;
        let mut mantissa = match u32::try_from(dropped) {
            Err(_) => n << (-dropped).min(127),
            Ok(0) => n,
            Ok(128..) => 0,
            Ok(dropped) => {
                let (rest, half) = (n & ((1 << dropped) - 1), 1 << (dropped - 1));
                let kept = n.checked_shr(dropped).unwrap_or(0);
                let up = rest > half || (rest == half && (inexact || kept & 1 == 1));
                kept + u128::from(up)
            }
        };
        if mantissa >> 64 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
        if exponent > i64::from(HIGHEST) {
            return Self::INFINITY;
        }
        Self { negative: false, mantissa: mantissa as u64, exponent: exponent as i32 }
    }

    /// The nearest number of 64 bits.
    pub fn to_f64(self) -> f64 {
        let magnitude = if self.is_finite() { libm::ldexp(self.mantissa as f64, self.exponent) } else { f64::INFINITY };
        if self.negative { -magnitude } else { magnitude }
    }

    /// The sum; `None` if it is not finite.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if !self.is_finite() || !other.is_finite() {
            return None;
        }
        let key = |x: Self| (x.exponent, x.mantissa);
        let (large, small) = if key(self) >= key(other) { (self, other) } else { (other, self) };
        // Room below for what the smaller one has there, and one bit above for the carry.
        const ROOM: u32 = 62;
        let distance = large.exponent.abs_diff(small.exponent);
        let (x, y) = (u128::from(large.mantissa) << ROOM, u128::from(small.mantissa) << ROOM);
        let aligned = y.checked_shr(distance).unwrap_or(0);
        let inexact = aligned.checked_shl(distance).unwrap_or(0) != y;
        let sum = if large.negative == small.negative { x + aligned } else { x - aligned - u128::from(inexact) };
        if sum == 0 {
            return Some(Self::ZERO);
        }
        let rounded = Self::round(sum, i64::from(large.exponent) - i64::from(ROOM), inexact);
        rounded.is_finite().then_some(Self { negative: large.negative, ..rounded })
    }

    /// The number for people, as Redis shows it: at most 17 digits after the point, no exponent, no zeros at the end.
    pub fn to_text(self) -> String {
        let mut text = if self.exponent >= 0 {
            let mut n = Big::from_digits(&[], 10);
            n.add(self.mantissa);
            n.shift_left(self.exponent.unsigned_abs() as usize);
            n.into_decimal()
        } else {
            let scaled = u128::from(self.mantissa) * 10u128.pow(DECIMALS);
            let shift = self.exponent.unsigned_abs();
            let shown = match shift {
                // Less than a half: the scaled mantissa has 121 bits at most.
                128.. => 0,
                _ => {
                    let (kept, rest, half) = (scaled >> shift, scaled & ((1 << shift) - 1), 1 << (shift - 1));
                    kept + u128::from(rest > half || (rest == half && kept & 1 == 1))
                }
            };
            let unit = 10u128.pow(DECIMALS);
            let text = alloc::format!("{}.{:017}", shown / unit, shown % unit);
            text.trim_end_matches('0').trim_end_matches('.').into()
        };
        if self.negative && text != "0" {
            text.insert(0, '-');
        }
        text
    }
}

/// A number as it was written: `digits * radix^-decimals`, times its base (10, or 2 for hexadecimal) to the exponent.
struct Numeral {
    /// Values, not characters; no leading zeros.
    digits: alloc::vec::Vec<u8>,
    decimals: i64,
    exponent: i64,
}

impl Numeral {
    fn read(text: &[u8], radix: u32, marker: u8) -> Option<Self> {
        let (mantissa, exponent) = match text.iter().position(|byte| byte.eq_ignore_ascii_case(&marker)) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let point = mantissa.iter().position(|byte| *byte == b'.');
        let is_point = |at: usize| point == Some(at);
        let mut digits = alloc::vec::Vec::with_capacity(mantissa.len());
        let mut any = false;
        for (_, byte) in mantissa.iter().enumerate().filter(|(at, _)| !is_point(*at)) {
            let digit = char::from(*byte).to_digit(radix)? as u8;
            any = true;
            if digit != 0 || !digits.is_empty() {
                digits.push(digit);
            }
        }
        let decimals = point.map_or(0, |at| mantissa.len() - at - 1) as i64;
        let exponent = exponent.map_or(Some(0), Self::read_exponent)?;
        any.then_some(Self { digits, decimals, exponent })
    }

    /// Bounded: whatever is beyond is out of range with any mantissa.
    fn read_exponent(text: &[u8]) -> Option<i64> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let n = digits.iter().fold(0i64, |n, digit| (n * 10 + i64::from(digit - b'0')).min(1 << 40));
        Some(if negative { -n } else { n })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn sum(a: &str, b: &str) -> Option<String> {
        let parsed = Extended::parse(a.as_bytes()).zip(Extended::parse(b.as_bytes()));
        parsed.and_then(|(a, b)| a.checked_add(b)).map(Extended::to_text)
    }

    #[test]
    fn sums_are_shown_as_people_write_them() {
        for (a, b, wanted) in [
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3", "-3", "0"),
            ("-0.0", "0", "0"),
            ("1", "1e-18", "1"),
            ("0", "-1e-17", "-0.00000000000000001"),
            ("0", "5.01e-18", "0.00000000000000001"),
            ("0", "4.9e-18", "0"),
            ("0x1.8p1", ".5", "3.5"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("18446744073709551615", "2", "18446744073709551616"),
            ("1e22", "0", "10000000000000000000000"),
            // The mantissa holds no more.
            ("1e30", "1", "1000000000000000000024696061952"),
        ] {
            assert_eq!(sum(a, b).as_deref(), Some(wanted), "{a} + {b}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in
            ["", " 1", "1 ", "1e", "1e+", "0x", "0x.", ".", "+-1", "1.2.3", "nan", "abc", "1e5000", "1e-5000", "--1"]
        {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_range_ends_where_that_of_80_bits_ends() {
        let largest = "1.18973149535723176502e4932";
        assert!(Extended::parse(largest.as_bytes()).is_some());
        assert_eq!(Extended::parse(b"1.18973149535723176509e4932"), None);
        assert_eq!(sum(largest, largest), None);
        assert_eq!(sum("inf", "1"), None);
        let smallest = Extended::parse(b"3.6452e-4951").expect("half of the smallest number rounds to it");
        assert_eq!((smallest.mantissa, smallest.exponent), (1, LOWEST));
        assert_eq!(Extended::parse(b"1.8e-4951"), None);
        assert_eq!(Extended::parse(b"0e99999999999999999999"), Some(Extended::ZERO));
    }

    proptest! {
        /// A mantissa of 64 bits holds every integer of 64 bits.
        #[test]
        fn integers_are_exact(a in any::<i64>(), b in any::<i32>()) {
            let wanted = i128::from(a) + i128::from(b);
            prop_assert_eq!(sum(&a.to_string(), &b.to_string()), Some(wanted.to_string()));
        }

        /// With more bits than an `f64` has, what is rounded to one is what was read.
        #[test]
        fn what_is_read_is_near(a in any::<f64>().prop_filter("finite", |a| a.is_finite())) {
            let text = alloc::format!("{a:e}");
            let read = Extended::parse(text.as_bytes()).expect("a number");
            if a.abs() < 1e17 {
                let shown: f64 = read.to_text().parse().expect("a number");
                prop_assert!((shown - a).abs() <= 5.1e-18 + a.abs() * f64::EPSILON, "{} {}", shown, a);
            }
            let exact = read.checked_add(Extended::ZERO);
            prop_assert_eq!(exact, Some(if a == 0.0 { Extended::ZERO } else { read }));
        }

        #[test]
        fn any_text_is_survived(text in prop_oneof!["[-+]?(0x)?[0-9a-f]{0,8}\\.?[0-9]{0,8}([ep][-+]?[0-9]{0,5})?", ".{0,20}"]) {
            if let Some(number) = Extended::parse(text.as_bytes()) {
                let _ = number.checked_add(number).map(Extended::to_text);
            }
        }
    }
}
