//! Commands that look into a value, or change it in place.

use super::{Command, Datum, Reply};

impl Datum {
    /// What these bytes are, if they are no word.
    pub fn of_bytes(bytes: &[u8]) -> Datum {
        let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<i64>().ok());
        // `+1` and `01` are no numbers for Redis.
        number.filter(|n| n.to_string().as_bytes() == bytes).map_or_else(|| Datum::Text(bytes.to_vec()), Datum::Number)
    }

    /// The bytes, of numbers and texts: how long words are is not known here.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Datum::Number(n) => n.to_string().into_bytes(),
            Datum::Text(bytes) => bytes.clone(),
            _ => Vec::new(),
        }
    }
}

/// The answer, and what the key then holds, if it was written.
pub(super) fn run(command: &Command, old: Option<&Datum>) -> (Reply, Option<Datum>) {
    let mut bytes = old.map(Datum::bytes).unwrap_or_default();
    let number = |n: usize| Reply::Number(n as i64);
    match command {
        Command::Append(_, more) => {
            bytes.extend(more);
            (number(bytes.len()), Some(Datum::of_bytes(&bytes)))
        }
        Command::SetRange(_, offset, new) => {
            bytes.resize(bytes.len().max(offset + new.len()), 0);
            bytes[*offset..offset + new.len()].copy_from_slice(new);
            (number(bytes.len()), Some(Datum::of_bytes(&bytes)))
        }
        Command::GetRange(_, from, to) => (Reply::Datum(Datum::of_bytes(range(&bytes, *from, *to))), None),
        Command::Length(_) => (number(bytes.len()), None),
        Command::SetBit(_, position, on) => {
            let (byte, mask) = (position / 8, 0x80 >> (position % 8));
            bytes.resize(bytes.len().max(byte + 1), 0);
            let was = bytes[byte] & mask != 0;
            bytes[byte] = if *on { bytes[byte] | mask } else { bytes[byte] & !mask };
            (number(usize::from(was)), Some(Datum::of_bytes(&bytes)))
        }
        Command::GetBit(_, position) => {
            let byte = bytes.get(position / 8).copied().unwrap_or_default();
            (number(usize::from(byte & (0x80 >> (position % 8)) != 0)), None)
        }
        Command::CountBits(_) => (number(bytes.iter().map(|byte| byte.count_ones() as usize).sum()), None),
        Command::IncrementHalves(_, by) => match halves(&bytes, old.is_some()) {
            None => (Reply::NotAFloat, None),
            Some(old) => {
                let new = Datum::of_bytes(show_halves(old + by).as_bytes());
                (Reply::Datum(new.clone()), Some(new))
            }
        },
        _ => unreachable!("it is about no text"),
    }
}

/// GETRANGE: both ends included, negative ones counted from the end.
fn range(bytes: &[u8], from: i64, to: i64) -> &[u8] {
    // Also where both would be moved to the first byte.
    if from < 0 && to < 0 && from > to {
        return &[];
    }
    let len = bytes.len() as i64;
    let at = |n: i64| if n < 0 { (n + len).max(0) } else { n };
    let (from, end) = (at(from), (at(to) + 1).min(len));
    if from < end { &bytes[from as usize..end as usize] } else { &[] }
}

/// How many halves a text says.
fn halves(bytes: &[u8], exists: bool) -> Option<i64> {
    if !exists {
        return Some(0);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let (whole, half) = text.strip_suffix(".5").map_or((text, 0), |whole| (whole, 1));
    let doubled = whole.parse::<i64>().ok()? * 2;
    Some(if whole.starts_with('-') { doubled - half } else { doubled + half })
}

fn show_halves(halves: i64) -> String {
    let sign = if halves < 0 { "-" } else { "" };
    let (whole, half) = (halves.abs() / 2, halves.abs() % 2);
    if half == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.5") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_from_both_ends() {
        for (from, to, shown) in
            [(0, -1, "hello"), (1, 2, "el"), (-3, -2, "ll"), (3, 1, ""), (-100, 0, "h"), (9, 12, ""), (-8, -9, "")]
        {
            assert_eq!(range(b"hello", from, to), shown.as_bytes(), "{from} {to}");
        }
        assert_eq!(range(b"", 0, -1), b"");
    }

    #[test]
    fn halves_are_read_as_they_are_shown() {
        for n in [-3, -2, -1, 0, 1, 2, 7] {
            assert_eq!(halves(show_halves(n).as_bytes(), true), Some(n));
        }
        assert_eq!(halves(b"x", true), None);
    }
}
