//! HyperLogLogs: estimated numbers of different elements, kept in strings.

use super::{Access, Command, CommandError, Keys, is_word, lossy};
use crate::call::Call;
use crate::events::Events;
use crate::hyperloglog::{Corrupted, REGISTERS, Sketch, Union};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "pfadd",
        arity: -2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "fast"],
        summary: "Adds elements to a HyperLogLog key. Creates the key if it doesn't exist.",
        run: |call| {
            let key = call.args.at(1);
            let known = sketch(call, key)?;
            let mut new = known.clone().unwrap_or_default();
            let mut has_changed = known.is_none();
            for element in call.args.skip(2).iter() {
                has_changed |= new.add(element)?;
            }
            if has_changed {
                new.forget_estimate();
                keep(call, key, known.as_ref(), &new);
                call.notify(Events::STRING, "pfadd", key);
            }
            call.reply.integer(has_changed.into());
            Ok(())
        },
    },
    Command {
        name: "pfcount",
        arity: -2,
        access: Access::Read,
        keys: Keys::ALL,
        flags: &[],
        summary: "Returns the approximated cardinality of the sets observed by the HyperLogLog keys.",
        run: |call| {
            let estimate = match call.args.len() {
                // The estimate is not noted in the value, as Redis does: who reads changes nothing.
                2 => looked_up(call, call.args.at(1))?.map_or(Ok(0), |sketch| sketch.estimate())?,
                _ => {
                    let mut union = Union::default();
                    for key in call.args.skip(1).iter() {
                        if let Some(sketch) = looked_up(call, key)? {
                            union.add(&sketch)?;
                        }
                    }
                    union.estimate()
                }
            };
            call.reply.integer(estimate as i64);
            Ok(())
        },
    },
    Command {
        name: "pfmerge",
        arity: -2,
        access: Access::Write,
        keys: Keys::ALL,
        flags: &["denyoom"],
        summary: "Merges one or more HyperLogLog values into a single key.",
        run: |call| {
            let to = call.args.at(1);
            let (mut union, mut is_dense) = (Union::default(), false);
            for key in call.args.skip(1).iter() {
                if let Some(sketch) = sketch(call, key)? {
                    is_dense |= sketch.is_dense();
                    union.add(&sketch)?;
                }
            }
            let known = sketch(call, to)?;
            let mut merged = known.clone().unwrap_or_default();
            if is_dense {
                merged.make_dense()?;
            }
            merged.add_union(&union)?;
            merged.forget_estimate();
            keep(call, to, known.as_ref(), &merged);
            // Redis's word for this, too.
            call.notify(Events::STRING, "pfadd", to);
            call.reply.ok();
            Ok(())
        },
    },
    Command {
        name: "pfdebug",
        arity: 3,
        access: Access::Write,
        keys: Keys { first: 2, last: 2, step: 1 },
        flags: &["denyoom", "admin"],
        summary: "Internal commands for debugging HyperLogLog values.",
        run: debug,
    },
];

impl From<Corrupted> for CommandError {
    fn from(_: Corrupted) -> Self {
        CommandError::CorruptedSketch
    }
}

/// The key's value.
fn sketch(call: &mut Call<'_>, key: &[u8]) -> Result<Option<Sketch>, CommandError> {
    call.value::<[u8]>(key)?.map(|text| Sketch::of(text).ok_or(CommandError::NotASketch)).transpose()
}

/// The same, counted as a hit or a miss.
fn looked_up(call: &mut Call<'_>, key: &[u8]) -> Result<Option<Sketch>, CommandError> {
    call.read::<[u8]>(key)?.0.map(|text| Sketch::of(text).ok_or(CommandError::NotASketch)).transpose()
}

/// Equal bytes between two changed ones from which on they are two patches.
const GAP: usize = 32;

/// The key now holds this value; its deadline stays. Only what has changed goes into the log.
fn keep(call: &mut Call<'_>, key: &[u8], old: Option<&Sketch>, new: &Sketch) {
    let old = old.map_or(&[][..], Sketch::bytes);
    let new = new.bytes();
    if new.len() < old.len() {
        let deadline = call.get(key).and_then(|item| item.deadline);
        return call.put(key, new, deadline);
    }
    let differs = |at: &usize| old.get(*at) != new.get(*at);
    let mut next = (0..new.len()).find(differs);
    while let Some(start) = next {
        let mut end = start + 1;
        next = loop {
            match (end..new.len()).find(differs) {
                Some(at) if at < end + GAP => end = at + 1,
                found => break found,
            }
        };
        call.patch(key, start, &new[start..end]);
    }
}

fn debug(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (subcommand, key) = (call.args.at(1), call.args.at(2));
    let known = sketch(call, key)?.ok_or(CommandError::Other("The specified key does not exist"))?;
    if is_word(subcommand, "encoding") {
        call.reply.simple(if known.is_dense() { "dense" } else { "sparse" });
    } else if is_word(subcommand, "getreg") {
        let mut union = Union::default();
        union.add(&known)?;
        call.reply.array(REGISTERS);
        union.registers().iter().for_each(|count| call.reply.integer((*count).into()));
    } else if is_word(subcommand, "todense") {
        let mut dense = known.clone();
        let was_sparse = dense.make_dense()?;
        if was_sparse {
            keep(call, key, Some(&known), &dense);
        }
        call.reply.integer(was_sparse.into());
    } else if is_word(subcommand, "decode") {
        if known.is_dense() {
            return Err(CommandError::Other("HLL encoding is not sparse"));
        }
        call.reply.bulk(known.decoded().as_bytes());
    } else {
        return Err(CommandError::Text(alloc::format!("Unknown PFDEBUG subcommand '{}'", lossy(subcommand))));
    }
    Ok(())
}
