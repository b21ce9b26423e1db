//! Strings as rows of bits. Bit 0 is the highest of the first byte.

use alloc::vec::Vec;
use core::ops::Range;

use super::ranges::{is_backwards, span};
use super::{Access, Command, CommandError, Keys, integer, is_word};
use crate::call::Call;
use crate::events::Events;
use crate::limits;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "setbit",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Sets or clears one bit of a string value. Creates the key if it doesn't exist.",
        run: set_bit,
    },
    Command {
        name: "getbit",
        arity: 3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Returns one bit of a string value; beyond its end all are 0.",
        run: |call| {
            let offset = bit_offset(call.args.at(2))?;
            let byte = call.read::<[u8]>(call.args.at(1))?.0.and_then(|value| value.get(offset / 8).copied());
            call.reply.integer(i64::from(byte.unwrap_or(0) & mask(offset) != 0));
            Ok(())
        },
    },
    Command {
        name: "bitcount",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Counts the set bits of a string value or of a part of it.",
        run: count,
    },
    Command {
        name: "bitpos",
        arity: -3,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Finds the first set or clear bit of a string value or of a part of it.",
        run: position,
    },
    Command {
        name: "bitop",
        arity: -4,
        access: Access::Write,
        keys: Keys { first: 2, last: -1, step: 1 },
        flags: &["denyoom"],
        summary: "Combines string values bit by bit, and stores the result.",
        run: combine,
    },
];

/// Where a bit is in its byte.
fn mask(offset: usize) -> u8 {
    0x80 >> (offset % 8)
}

const BAD_OFFSET: CommandError = CommandError::Other("bit offset is not an integer or out of range");

/// An argument that names a bit.
pub(super) fn bit_offset(text: &[u8]) -> Result<usize, CommandError> {
    let n = integer(text).map_err(|_| BAD_OFFSET)?;
    check_offset(Some(n))
}

pub(super) fn check_offset(n: Option<i64>) -> Result<usize, CommandError> {
    let n = n.and_then(|n| usize::try_from(n).ok());
    n.filter(|n| n / 8 < limits::MAX_BULK).ok_or(BAD_OFFSET)
}

fn set_bit(call: &mut Call<'_>) -> Result<(), CommandError> {
    const BAD_BIT: CommandError = CommandError::Other("bit is not an integer or out of range");
    let (key, offset) = (call.args.at(1), bit_offset(call.args.at(2))?);
    let on = match integer(call.args.at(3)).map_err(|_| BAD_BIT)? {
        0 => false,
        1 => true,
        _ => return Err(BAD_BIT),
    };
    let old = call.value::<[u8]>(key)?.and_then(|value| value.get(offset / 8).copied());
    let byte = old.unwrap_or(0);
    let was_on = byte & mask(offset) != 0;
    // Beyond the end a clear bit counts as a change too: the value gets as long as the bit needs.
    if was_on != on || old.is_none() {
        let byte = if on { byte | mask(offset) } else { byte & !mask(offset) };
        call.patch(key, offset / 8, &[byte]);
        call.notify(Events::STRING, "setbit", key);
    }
    call.reply.integer(i64::from(was_on));
    Ok(())
}

/// Whether positions are those of bits, rather than of bytes.
fn counts_bits(unit: Option<&[u8]>) -> Result<bool, CommandError> {
    match unit {
        None => Ok(false),
        Some(unit) if is_word(unit, "bit") => Ok(true),
        Some(unit) if is_word(unit, "byte") => Ok(false),
        Some(_) => Err(CommandError::Syntax),
    }
}

/// The bits of a value of `len` bytes between two positions.
fn bits_between(start: i64, end: i64, len: usize, positions_are_bits: bool) -> Range<usize> {
    if positions_are_bits {
        return span(start, end, len * 8);
    }
    let bytes = span(start, end, len);
    bytes.start * 8..bytes.end * 8
}

fn count(call: &mut Call<'_>) -> Result<(), CommandError> {
    let key = call.args.at(1);
    // As in Redis 7, nothing else is looked at if there is no key.
    let Some(len) = call.read::<[u8]>(key)?.0.map(<[u8]>::len) else {
        call.reply.integer(0);
        return Ok(());
    };
    let (start, end) = match call.args.len() {
        2 => (0, -1),
        4 | 5 => (integer(call.args.at(2))?, integer(call.args.at(3))?),
        _ => return Err(CommandError::Syntax),
    };
    if is_backwards(start, end) {
        call.reply.integer(0);
        return Ok(());
    }
    let bits = bits_between(start, end, len, counts_bits(call.args.get(4))?);
    let found = call.value::<[u8]>(key)?.map_or(0, |value| ones(value, bits));
    call.reply.integer(found as i64);
    Ok(())
}

fn position(call: &mut Call<'_>) -> Result<(), CommandError> {
    let key = call.args.at(1);
    let on = match integer(call.args.at(2))? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::Other("The bit argument must be 1 or 0.")),
    };
    let Some(len) = call.read::<[u8]>(key)?.0.map(<[u8]>::len) else {
        call.reply.integer(if on { -1 } else { 0 });
        return Ok(());
    };
    if call.args.len() > 6 {
        return Err(CommandError::Syntax);
    }
    let start = call.args.get(3).map_or(Ok(0), integer)?;
    let positions_are_bits = counts_bits(call.args.get(5))?;
    let end = call.args.get(4).map_or(Ok(-1), integer)?;
    let bits = bits_between(start, end, len, positions_are_bits);
    // Without an end, the value is as if zeros followed it.
    let is_open = call.args.len() < 5 && !on && !bits.is_empty();
    let behind = is_open.then_some(len * 8);
    let found = call.value::<[u8]>(key)?.and_then(|value| first(value, on, bits));
    call.reply.integer(found.or(behind).map_or(-1, |at| at as i64));
    Ok(())
}

/// How many of these bits are set.
fn ones(value: &[u8], bits: Range<usize>) -> u64 {
    if bits.is_empty() {
        return 0;
    }
    let (first, last) = (bits.start / 8, (bits.end - 1) / 8);
    let before = value[first] & !(0xff >> (bits.start % 8));
    let behind = value[last] & (0x7f >> ((bits.end - 1) % 8));
    let (words, rest) = value[first..=last].as_chunks::<8>();
    let all =
        words.iter().map(|word| u64::from_ne_bytes(*word).count_ones()).chain(rest.iter().map(|b| b.count_ones()));
    all.map(u64::from).sum::<u64>() - u64::from(before.count_ones()) - u64::from(behind.count_ones())
}

/// The first of these bits that is on, or off.
fn first(value: &[u8], on: bool, bits: Range<usize>) -> Option<usize> {
    let flipped = if on { 0 } else { 0xff };
    let from = bits.start / 8;
    let mut bytes = value.get(from..bits.end.div_ceil(8))?.iter().zip(from..);
    let head = bytes.next().map(|(byte, i)| ((byte ^ flipped) & (0xff >> (bits.start % 8)), i));
    let (byte, i) = match head {
        Some((0, _)) => bytes.map(|(byte, i)| (byte ^ flipped, i)).find(|(byte, _)| *byte != 0)?,
        head => head?,
    };
    Some(i * 8 + byte.leading_zeros() as usize).filter(|at| *at < bits.end)
}

#[derive(Clone, Copy)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

fn combine(call: &mut Call<'_>) -> Result<(), CommandError> {
    let operations = [("and", Operation::And), ("or", Operation::Or), ("xor", Operation::Xor), ("not", Operation::Not)];
    let name = call.args.at(1);
    let (_, operation) = operations.into_iter().find(|(word, _)| is_word(name, word)).ok_or(CommandError::Syntax)?;
    if matches!(operation, Operation::Not) && call.args.len() != 4 {
        return Err(CommandError::Other("BITOP NOT must be called with a single source key."));
    }
    let mut result: Option<Vec<u8>> = None;
    for key in call.args.skip(3).iter() {
        let value = call.read::<[u8]>(key)?.0.unwrap_or_default();
        match &mut result {
            None => result = Some(value.into()),
            Some(result) => apply(operation, result, value),
        }
    }
    let mut result = result.unwrap_or_default();
    if matches!(operation, Operation::Not) {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let to = call.args.at(2);
    if !result.is_empty() {
        call.put(to, &result, None);
        call.notify(Events::STRING, "set", to);
    } else if call.exists(to) {
        call.delete(to);
        call.notify(Events::GENERIC, "del", to);
    }
    call.reply.integer(result.len() as i64);
    Ok(())
}

/// Combines one more value; the shorter one is as if zeros followed it.
fn apply(operation: Operation, result: &mut Vec<u8>, value: &[u8]) {
    result.resize(result.len().max(value.len()), 0);
    let (common, rest) = result.split_at_mut(value.len());
    let pairs = common.iter_mut().zip(value);
    match operation {
        Operation::And => {
            pairs.for_each(|(byte, other)| *byte &= other);
            rest.fill(0);
        }
        Operation::Or => pairs.for_each(|(byte, other)| *byte |= other),
        Operation::Xor => pairs.for_each(|(byte, other)| *byte ^= other),
        Operation::Not => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_give_what_bits_give(value in prop::collection::vec(prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 1..40), a in 0usize..320, b in 0usize..320) {
            let bits = a.min(value.len() * 8)..b.min(value.len() * 8);
            let is_on = |at: &usize| value[at / 8] & mask(*at) != 0;
            prop_assert_eq!(ones(&value, bits.clone()), bits.clone().filter(is_on).count() as u64);
            for on in [false, true] {
                let wanted = bits.clone().find(|at| is_on(at) == on);
                prop_assert_eq!(first(&value, on, bits.clone()), wanted);
            }
        }
    }
}
