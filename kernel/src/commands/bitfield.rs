//! BITFIELD: integers of any width up to 64 bits in a string.

use alloc::vec::Vec;

use super::bits::{bit_offset, check_offset};
use super::{Access, Command, CommandError, Keys, Logged, TOO_LONG, integer, is_word};
use crate::call::Call;
use crate::events::Events;
use crate::limits;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "bitfield",
        arity: -2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Reads and changes integers of any width in a string value.",
        run: |call| {
            let steps = parse(call)?;
            run(call, &steps)
        },
    },
    Command {
        name: "bitfield_ro",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["fast"],
        summary: "Reads integers of any width in a string value.",
        run: |call| {
            let steps = parse(call)?;
            if steps.iter().any(|step| !matches!(step.action, Action::Get)) {
                return Err(CommandError::Other("BITFIELD_RO only supports the GET subcommand"));
            }
            run(call, &steps)
        },
    },
];

/// A type such as `u8` or `i64`.
#[derive(Clone, Copy)]
struct Kind {
    signed: bool,
    bits: u32,
}

#[derive(Clone, Copy)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

struct Step {
    kind: Kind,
    /// Its first bit.
    offset: usize,
    action: Action,
    overflow: Overflow,
}

impl Kind {
    fn parse(text: &[u8]) -> Option<Self> {
        let (signed, bits) = match text {
            [b'i', bits @ ..] => (true, bits),
            [b'u', bits @ ..] => (false, bits),
            _ => return None,
        };
        let most = if signed { 64 } else { 63 };
        let bits = integer(bits).ok().filter(|bits| (1..=most).contains(bits))?;
        Some(Self { signed, bits: bits as u32 })
    }

    /// The lowest and the highest number.
    fn range(self) -> (i128, i128) {
        if self.signed { (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1) } else { (0, (1 << self.bits) - 1) }
    }

    /// The number that these bits mean, whatever stands above them.
    fn number(self, bits: u128) -> i64 {
        let unused = 128 - self.bits;
        // A shift of a signed number to the right fills with its sign.
        if self.signed { ((bits << unused) as i128 >> unused) as i64 } else { (bits << unused >> unused) as i64 }
    }

    /// What an exact result becomes; `None` if it does not fit and must.
    fn fit(self, exact: i128, overflow: Overflow) -> Option<i64> {
        let (lowest, highest) = self.range();
        match overflow {
            _ if (lowest..=highest).contains(&exact) => Some(exact as i64),
            Overflow::Wrap => Some(self.number(exact as u128)),
            Overflow::Saturate => Some(exact.clamp(lowest, highest) as i64),
            Overflow::Fail => None,
        }
    }
}

fn parse(call: &Call<'_>) -> Result<Vec<Step>, CommandError> {
    const BAD_KIND: CommandError = CommandError::Other(
        "Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
    );
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut rest = call.args.skip(2);
    while let Some(word) = rest.get(0) {
        if is_word(word, "overflow") && rest.len() >= 2 {
            let kinds = [("wrap", Overflow::Wrap), ("sat", Overflow::Saturate), ("fail", Overflow::Fail)];
            let found = kinds.into_iter().find(|(word, _)| is_word(rest.at(1), word));
            overflow = found.ok_or(CommandError::Other("Invalid OVERFLOW type specified"))?.1;
            rest = rest.skip(2);
            continue;
        }
        let is = |name, len| is_word(word, name) && rest.len() >= len;
        let number = || integer(rest.at(3));
        let (make, len): (fn(i64) -> Action, _) = if is("get", 3) {
            (|_| Action::Get, 3)
        } else if is("set", 4) {
            (Action::Set, 4)
        } else if is("incrby", 4) {
            (Action::Increment, 4)
        } else {
            return Err(CommandError::Syntax);
        };
        let kind = Kind::parse(rest.at(1)).ok_or(BAD_KIND)?;
        let offset = match rest.at(2) {
            // So many fields of this width.
            [b'#', n @ ..] => check_offset(integer(n).ok().and_then(|n| n.checked_mul(i64::from(kind.bits))))?,
            n => bit_offset(n)?,
        };
        let action = make(if len == 4 { number()? } else { 0 });
        steps.push(Step { kind, offset, action, overflow });
        rest = rest.skip(len);
    }
    Ok(steps)
}

fn run(call: &mut Call<'_>, steps: &[Step]) -> Result<(), CommandError> {
    let key = call.args.at(1);
    let writes = steps.iter().filter(|step| !matches!(step.action, Action::Get));
    // Only who just reads has missed a key that is not there.
    let value = if writes.clone().next().is_some() { call.value::<[u8]>(key)? } else { call.read::<[u8]>(key)?.0 };
    let len = value.map(<[u8]>::len);
    let mut changed = false;
    // Whatever becomes of the writes, the value gets as long as the furthest of them needs, as in Redis.
    if let Some(end) = writes.clone().map(|step| step.offset + step.kind.bits as usize).max() {
        // One change more, because that may be one.
        Logged::default().add(writes.count() + 1, key, Window::LONGEST)?;
        let wanted = end.div_ceil(8);
        if wanted > limits::MAX_BULK {
            return Err(TOO_LONG);
        }
        if len.unwrap_or(0) < wanted {
            call.patch(key, wanted - 1, &[0]);
            changed = true;
        }
    }
    call.reply.array(steps.len());
    for step in steps {
        match step.run(call, key, &mut changed)? {
            Some(n) => call.reply.integer(n),
            None => call.reply.null(),
        }
    }
    if changed {
        call.notify(Events::STRING, "setbit", key);
    }
    Ok(())
}

impl Step {
    /// Returns what is to be answered; `None` if nothing was changed because it does not fit. Notes that something was.
    fn run(&self, call: &mut Call<'_>, key: &[u8], has_changed: &mut bool) -> Result<Option<i64>, CommandError> {
        let window = Window::of(self.offset, self.kind.bits);
        let bytes = window.read(call.value::<[u8]>(key)?.unwrap_or_default());
        let old = self.kind.number(bytes >> window.below);
        let fitting = match self.action {
            Action::Get => return Ok(Some(old)),
            Action::Set(n) => {
                // An unsigned field takes a negative number for the large one with the same bits, as in Redis.
                let exact = if self.kind.signed { i128::from(n) } else { i128::from(n as u64) };
                self.kind.fit(exact, self.overflow).map(|new| (new, old))
            }
            Action::Increment(by) => {
                self.kind.fit(i128::from(old) + i128::from(by), self.overflow).map(|new| (new, new))
            }
        };
        let Some((new, answer)) = fitting else { return Ok(None) };
        let mask = ((1u128 << self.kind.bits) - 1) << window.below;
        let changed = bytes & !mask | (new as u128) << window.below & mask;
        if changed != bytes {
            call.patch(key, window.start, &changed.to_be_bytes()[16 - window.len..]);
            *has_changed = true;
        }
        Ok(Some(answer))
    }
}

/// The bytes that hold a field.
struct Window {
    start: usize,
    len: usize,
    /// Bits behind the field.
    below: u32,
}

impl Window {
    /// Of a field of 64 bits that begins within a byte.
    const LONGEST: usize = 9;

    fn of(offset: usize, bits: u32) -> Self {
        let end = offset + bits as usize;
        let (start, last) = (offset / 8, end.div_ceil(8));
        Self { start, len: last - start, below: (last * 8 - end) as u32 }
    }

    /// The bytes as a number; beyond the end of the value they are zero.
    fn read(&self, value: &[u8]) -> u128 {
        (self.start..self.start + self.len)
            .fold(0, |bytes, i| bytes << 8 | u128::from(value.get(i).copied().unwrap_or(0)))
    }
}
