//! LCS: the longest common subsequence of two values.

use alloc::vec;
use alloc::vec::Vec;

use super::{Access, Command, CommandError, Keys, integer, is_word};
use crate::call::Call;
use crate::limits;
use crate::store::Kind;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "lcs",
    arity: -3,
    access: Access::Read,
    keys: Keys::TWO,
    flags: &[],
    summary: "Finds the longest common subsequence of two string values.",
    run: lcs,
}];

fn lcs(call: &mut Call<'_>) -> Result<(), CommandError> {
    let keys = [call.args.at(1), call.args.at(2)];
    for key in keys {
        // As in Redis, here another type is no WRONGTYPE, and comes before what is wrong with the options.
        call.read::<[u8]>(key).map_err(|_| CommandError::Other("The specified keys must contain string values"))?;
    }
    let (mut len, mut idx, mut with_len, mut min_len) = (false, false, false, 0);
    let mut options = call.args.skip(3).iter();
    while let Some(option) = options.next() {
        if is_word(option, "len") {
            len = true;
        } else if is_word(option, "idx") {
            idx = true;
        } else if is_word(option, "withmatchlen") {
            with_len = true;
        } else if is_word(option, "minmatchlen") {
            min_len = integer(options.next().ok_or(CommandError::Syntax)?)?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if len && idx {
        return Err(CommandError::Other("If you want both the length and indexes, please just use IDX."));
    }
    let database = call.core.store.database(call.db());
    // Borrowed beside the reply.
    let [a, b] = keys.map(|key| database.get(key).and_then(|item| <[u8]>::of(item.value)).unwrap_or_default());
    // Redis's table has four bytes for each pair of positions, and is bounded. Ours has one bit, so that it has at most
    // 16 MiB; the bound is the same, for it is also one on time.
    let cells = (a.len() as u64 + 1) * (b.len() as u64 + 1);
    if cells * 4 > limits::MAX_BULK as u64 {
        return Err(CommandError::Other("Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"));
    }
    let reply = &mut *call.reply;
    if len {
        reply.integer(i64::from(Table::fill(a, b, false).len));
        return Ok(());
    }
    let table = Table::fill(a, b, true);
    let matches = table.matches(a, b);
    if !idx {
        let common: Vec<u8> = matches.iter().rev().flat_map(|m| &a[m.in_a..m.in_a + m.len]).copied().collect();
        reply.bulk(&common);
        return Ok(());
    }
    let shown: Vec<&Match> = matches.iter().filter(|m| m.len as i64 >= min_len).collect();
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(shown.len());
    for m in shown {
        reply.array(2 + usize::from(with_len));
        for start in [m.in_a, m.in_b] {
            reply.array(2);
            reply.integer(start as i64);
            reply.integer((start + m.len - 1) as i64);
        }
        if with_len {
            reply.integer(m.len as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(i64::from(table.len));
    Ok(())
}

/// A run of bytes that is common to both.
#[derive(Debug, PartialEq, Eq)]
struct Match {
    in_a: usize,
    in_b: usize,
    len: usize,
}

/// The usual dynamic program (Wagner and Fischer, 1974), of which only two rows and one bit a cell are kept: whether
/// the way back leads to the cell with one byte less of `a`, rather than of `b`, where the bytes differ. Rows run along
/// the shorter value, so that they stay small.
struct Table {
    len: u32,
    up: Vec<u64>,
    /// Bytes of a row; rows run along `a` if it is the shorter one.
    width: usize,
    rows_along_a: bool,
}

impl Table {
    fn fill(a: &[u8], b: &[u8], with_ways: bool) -> Self {
        let rows_along_a = a.len() < b.len();
        let (long, short) = if rows_along_a { (b, a) } else { (a, b) };
        let (mut above, mut row) = (vec![0u32; short.len() + 1], vec![0u32; short.len() + 1]);
        let mut up = vec![0u64; if with_ways { (long.len() * short.len()).div_ceil(64) } else { 0 }];
        for (i, x) in long.iter().enumerate() {
            for (j, y) in short.iter().enumerate() {
                let (from_above, from_left) = (above[j + 1], row[j]);
                row[j + 1] = if x == y { above[j] + 1 } else { from_above.max(from_left) };
                let (less_of_a, less_of_b) =
                    if rows_along_a { (from_left, from_above) } else { (from_above, from_left) };
                if with_ways && less_of_a > less_of_b {
                    let cell = i * short.len() + j;
                    up[cell / 64] |= 1 << (cell % 64);
                }
            }
            core::mem::swap(&mut above, &mut row);
        }
        Self { len: above[short.len()], up, width: short.len(), rows_along_a }
    }

    fn is_up(&self, in_a: usize, in_b: usize) -> bool {
        let (row, column) = if self.rows_along_a { (in_b, in_a) } else { (in_a, in_b) };
        let cell = row * self.width + column;
        self.up[cell / 64] >> (cell % 64) & 1 == 1
    }

    /// The runs of one longest common subsequence, the last first: the same one that Redis finds.
    fn matches(&self, a: &[u8], b: &[u8]) -> Vec<Match> {
        let mut found: Vec<Match> = Vec::new();
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                match found.last_mut() {
                    Some(m) if m.in_a == i + 1 && m.in_b == j + 1 => {
                        *m = Match { in_a: i, in_b: j, len: m.len + 1 };
                    }
                    _ => found.push(Match { in_a: i, in_b: j, len: 1 }),
                }
                continue;
            }
            if self.is_up(i - 1, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_are_common_to_both_and_none_is_longer(a in "[abc]{0,9}", b in "[abc]{0,9}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let table = Table::fill(a, b, true);
            let matches = table.matches(a, b);
            prop_assert_eq!(table.len as usize, longest(a, b));
            prop_assert_eq!(table.len as usize, matches.iter().map(|m| m.len).sum::<usize>());
            for m in &matches {
                prop_assert_eq!(&a[m.in_a..m.in_a + m.len], &b[m.in_b..m.in_b + m.len]);
            }
            for pair in matches.windows(2) {
                prop_assert!(pair[1].in_a + pair[1].len <= pair[0].in_a && pair[1].in_b + pair[1].len <= pair[0].in_b);
            }
        }
    }

    fn longest(a: &[u8], b: &[u8]) -> usize {
        match (a, b) {
            ([x, a @ ..], [y, b @ ..]) if x == y => 1 + longest(a, b),
            ([_, rest_a @ ..], [_, rest_b @ ..]) => longest(rest_a, b).max(longest(a, rest_b)),
            _ => 0,
        }
    }
}
