//! Keys whose places only the arguments tell, beside those of [`Keys`].

use alloc::vec::Vec;

use super::{Command, is_word};
use crate::resp::Args;

/// Where a command has further keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Movable {
    /// The argument at this place says how many follow it.
    Counted(usize),
    /// One behind one of these words, among the options from this place on: the last one counts.
    Behind(&'static [&'static str], usize),
    /// Half of what is behind the word STREAMS, among the options.
    Streams,
}

fn of(command: &Command) -> Option<Movable> {
    match command.name {
        "lmpop" | "sintercard" | "zdiff" | "zinter" | "zintercard" | "zmpop" | "zunion" => Some(Movable::Counted(1)),
        "eval" | "eval_ro" | "evalsha" | "evalsha_ro" | "fcall" | "fcall_ro" | "blmpop" | "bzmpop" | "zdiffstore"
        | "zinterstore" | "zunionstore" => Some(Movable::Counted(2)),
        "georadius" => Some(Movable::Behind(&["store", "storedist"], 6)),
        "georadiusbymember" => Some(Movable::Behind(&["store", "storedist"], 5)),
        "sort" => Some(Movable::Behind(&["store"], 2)),
        "xread" | "xreadgroup" => Some(Movable::Streams),
        _ => None,
    }
}

/// How many arguments an option takes, so that no value is taken for an option: what a user may do hangs on that.
const OPTIONS: &[(&str, usize)] =
    &[("block", 1), ("by", 1), ("count", 1), ("get", 1), ("group", 2), ("limit", 2), ("store", 1), ("storedist", 1)];

/// The places of options among a command's arguments, from this one on.
fn options<'a>(args: Args<'a>, from: usize) -> impl Iterator<Item = usize> + use<'a> {
    let behind = move |at: &usize| {
        let word = args.get(*at)?;
        let values = OPTIONS.iter().find(|(option, _)| is_word(word, option)).map_or(0, |(_, values)| *values);
        Some(at + 1 + values)
    };
    core::iter::successors(Some(from), behind).take_while(move |at| *at < args.len())
}

/// The places of all keys of a command with these arguments; `None` if they are not in order.
pub(super) fn keys(command: &Command, args: Args<'_>) -> Option<Vec<usize>> {
    let mut places: Vec<usize> = command.keys.positions(args.len()).collect();
    match of(command) {
        None => {}
        Some(Movable::Counted(at)) => {
            let count: usize = core::str::from_utf8(args.get(at)?).ok()?.parse().ok()?;
            let end = (at + 1).checked_add(count).filter(|end| count > 0 && *end <= args.len())?;
            places.extend(at + 1..end);
        }
        Some(Movable::Behind(words, from)) => {
            let is_named = |at: &usize| words.iter().any(|word| is_word(args.at(*at), word)) && at + 1 < args.len();
            places.extend(options(args, from).filter(is_named).last().map(|at| at + 1));
        }
        Some(Movable::Streams) => {
            let first = options(args, 1).find(|at| is_word(args.at(*at), "streams"))? + 1;
            let count = (args.len() - first) / 2;
            places.extend(first..first + count);
        }
    }
    (!places.is_empty()).then_some(places)
}

/// Whether a command has keys whose places only the arguments tell.
pub(super) fn is(command: &Command) -> bool {
    of(command).is_some()
}

/// Whether a BITFIELD with these arguments changes nothing. What is not in order is refused anyway.
pub(super) fn only_gets(args: Args<'_>) -> bool {
    let mut at = 2;
    while let Some(word) = args.get(at) {
        at += match word {
            word if is_word(word, "get") && at + 2 < args.len() => 3,
            word if is_word(word, "overflow") && at + 1 < args.len() => 2,
            _ => return false,
        };
    }
    true
}

/// Whether a command may have keys.
pub(super) fn has_keys(command: &Command) -> bool {
    command.keys != super::Keys::NONE || of(command).is_some()
}
