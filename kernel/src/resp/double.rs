//! Floating-point numbers as Redis 7.2 reads and shows them.

use alloc::string::String;
use core::fmt::Write;

use super::parse_i64;
use crate::extended::Extended;

/// The fewest digits that mean this number.
pub(crate) fn text(n: f64) -> String {
    /// Redis shows whole numbers up to here as integers.
    const WHOLE: f64 = (i64::MAX / 2) as f64;
    let mut text = String::new();
    // Writing to memory cannot fail.
    let _ = if n.is_infinite() {
        text.write_str(if n > 0.0 { "inf" } else { "-inf" })
    } else if n == 0.0 {
        text.write_str(if n.is_sign_negative() { "-0" } else { "0" })
    } else if n.abs() <= WHOLE && n as i64 as f64 == n {
        write!(text, "{}", n as i64)
    } else {
        show(n, &mut text)
    };
    text
}

/// Redis's rules for where the point stands, and when there is an exponent.
fn show(n: f64, text: &mut String) -> core::fmt::Result {
    let scientific = alloc::format!("{:e}", n.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let mut digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    // Of the first digit, and of the last.
    let exponent = parse_i64(exponent.as_bytes()).unwrap_or(0);
    let last = exponent - digits.len() as i64 + 1;
    if n < 0.0 {
        text.push('-');
    }
    if last >= 0 && exponent < digits.len() as i64 + 7 {
        write!(text, "{digits}{:0<1$}", "", last as usize)
    } else if last < 0 && (last > -7 || exponent.abs() < 4) {
        match usize::try_from(exponent) {
            Ok(exponent) => {
                digits.insert(exponent + 1, '.');
                text.write_str(&digits)
            }
            Err(_) => write!(text, "0.{:0<1$}{digits}", "", (-exponent - 1) as usize),
        }
    } else {
        if digits.len() > 1 {
            digits.insert(1, '.');
        }
        write!(text, "{digits}e{exponent:+}")
    }
}

/// The number that a text means, in the grammar of C's `strtod`. `None` for what is no number, and for one too large or too
/// small to tell from infinity or zero.
pub(crate) fn parse_f64(text: &[u8]) -> Option<f64> {
    let n = number(text)?;
    let says_infinity = || text.iter().any(|byte| byte.eq_ignore_ascii_case(&b'n'));
    let marker = if text.iter().any(|byte| byte.eq_ignore_ascii_case(&b'x')) { b'p' } else { b'e' };
    let mut mantissa = text.iter().take_while(|byte| !byte.eq_ignore_ascii_case(&marker));
    let is_in_range = match n {
        0.0 => mantissa.all(|byte| *byte == b'0' || !byte.is_ascii_hexdigit()),
        _ => n.is_finite() || says_infinity(),
    };
    is_in_range.then_some(n)
}

/// The number that a bound means: Redis lets `strtod` skip spaces and round to infinity or zero here, takes no text for
/// zero, and reads no further than to a byte that is zero.
pub(crate) fn parse_bound(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let spaces = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    number(&text[spaces..])
}

fn number(text: &[u8]) -> Option<f64> {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    if let [b'0', b'x' | b'X', ..] = digits {
        return Extended::parse(text).map(Extended::to_f64);
    }
    let n: f64 = core::str::from_utf8(text).ok()?.parse().ok()?;
    (!n.is_nan()).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_shown_as_redis_shows_them() {
        for (n, shown) in [
            (0.1, "0.1"),
            (-1.5, "-1.5"),
            (3.0, "3"),
            (-0.0, "-0"),
            (f64::NEG_INFINITY, "-inf"),
            (1e17, "100000000000000000"),
            (4e18, "4000000000000000000"),
            (5e18, "5e+18"),
            (1e21, "1e+21"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (0.0001, "0.0001"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.25e-5, "1.25e-5"),
            (0.00123456789, "0.00123456789"),
            (1234567890.125, "1234567890.125"),
            (123456789.12345678, "1.2345678912345678e+8"),
            (-1.25e25, "-1.25e+25"),
        ] {
            assert_eq!(text(n), shown);
        }
    }

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, n) in [
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("+5.", 5.0),
            ("-.5e1", -5.0),
            ("0x1.8p1", 3.0),
            ("-0X10", -16.0),
            ("0e999", 0.0),
            ("0x0p-9", 0.0),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), Some(n), "{text}");
        }
        for text in ["", " 1", "1 ", "nan", "-NaN", "1e", "0x", "1e400", "-1e400", "1e-400", "0x1p-1100", ".", "1\0"] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
        for (text, n) in [("", 0.0), (" 1", 1.0), ("1e400", f64::INFINITY), ("1\0x", 1.0)] {
            assert_eq!(parse_bound(text.as_bytes()), Some(n), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read(n in any::<f64>().prop_filter("a number", |n| !n.is_nan())) {
            prop_assert_eq!(parse_f64(text(n).as_bytes()), Some(n));
        }
    }
}
