//! Keys whose places only the arguments tell, beside those of [`Keys`].

use alloc::vec::Vec;

use super::{Command, is_word};
use crate::resp::Args;

/// Where a command has further keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Movable {
    /// The argument at this place says how many follow it.
    Counted(usize),
    /// One behind one of these words, from this place on: the last one counts.
    Behind(&'static [&'static str], usize),
    /// Half of what is behind the word STREAMS, which is looked for from this place on.
    Streams(usize),
}

fn of(command: &Command) -> Option<Movable> {
    match command.name {
        "lmpop" | "sintercard" | "zdiff" | "zinter" | "zintercard" | "zmpop" | "zunion" => Some(Movable::Counted(1)),
        "eval" | "eval_ro" | "evalsha" | "evalsha_ro" | "fcall" | "fcall_ro" | "blmpop" | "bzmpop" | "zdiffstore"
        | "zinterstore" | "zunionstore" => Some(Movable::Counted(2)),
        "georadius" => Some(Movable::Behind(&["store", "storedist"], 6)),
        "georadiusbymember" => Some(Movable::Behind(&["store", "storedist"], 5)),
        "sort" => Some(Movable::Behind(&["store"], 2)),
        "xread" => Some(Movable::Streams(1)),
        "xreadgroup" => Some(Movable::Streams(4)),
        _ => None,
    }
}

/// The places of all keys of a command with these arguments; `None` if they are not in order.
pub(super) fn keys(command: &Command, args: Args<'_>) -> Option<Vec<usize>> {
    let mut places: Vec<usize> = command.keys.positions(args.len()).collect();
    let find = |words: &[&str], from: usize| {
        (from..args.len().saturating_sub(1)).find(|at| words.iter().any(|word| is_word(args.at(*at), word)))
    };
    match of(command) {
        None => {}
        Some(Movable::Counted(at)) => {
            let count: usize = core::str::from_utf8(args.get(at)?).ok()?.parse().ok()?;
            let end = (at + 1).checked_add(count).filter(|end| count > 0 && *end <= args.len())?;
            places.extend(at + 1..end);
        }
        Some(Movable::Behind(words, from)) => {
            let (mut from, mut last) = (from, None);
            while let Some(at) = find(words, from) {
                last = Some(at + 1);
                from = at + 2;
            }
            places.extend(last);
        }
        Some(Movable::Streams(from)) => {
            let first = find(&["streams"], from)? + 1;
            let count = (args.len() - first) / 2;
            places.extend(first..first + count);
        }
    }
    (!places.is_empty()).then_some(places)
}

/// Whether a command may have keys.
pub(super) fn has_keys(command: &Command) -> bool {
    command.keys != super::Keys::NONE || of(command).is_some()
}
