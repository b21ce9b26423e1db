//! Commands that wait for a key: see [`crate::waiters`].

use alloc::vec::Vec;
use core::time::Duration;

use super::{Access, Command, CommandError, Keys};
use crate::call::Call;
use crate::effect::{Change, Side};
use crate::limits;
use crate::store::List;
use crate::waiters::For;

/// All arguments but the last, which is the time.
const BEFORE_TIMEOUT: Keys = Keys { first: 1, last: -2, step: 1 };

pub(super) const LISTS: &[Command] = &[
    Command {
        name: "blpop",
        arity: -3,
        access: Access::Write,
        keys: BEFORE_TIMEOUT,
        flags: &["blocking"],
        summary: "Removes and returns the first element in a list. Blocks until an element is available otherwise.",
        run: |call| pop(call, Side::Left),
    },
    Command {
        name: "brpop",
        arity: -3,
        access: Access::Write,
        keys: BEFORE_TIMEOUT,
        flags: &["blocking"],
        summary: "Removes and returns the last element in a list. Blocks until an element is available otherwise.",
        run: |call| pop(call, Side::Right),
    },
];

/// A time in seconds that may have a fraction; `None`: for ever.
pub(super) fn timeout(text: &[u8]) -> Result<Option<Duration>, CommandError> {
    const NOT_A_FLOAT: CommandError = CommandError::Other("timeout is not a float or out of range");
    let seconds: f64 = core::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(NOT_A_FLOAT)?;
    if !seconds.is_finite() {
        return Err(NOT_A_FLOAT);
    }
    if seconds < 0.0 {
        return Err(CommandError::Other("timeout is negative"));
    }
    // In milliseconds it must fit beside the clock, as in Redis; none waits for longer than the longest pause.
    const LARGEST: f64 = (i64::MAX / 1000) as f64;
    if seconds > LARGEST {
        return Err(CommandError::Other("timeout is out of range"));
    }
    let milliseconds = seconds * 1000.0;
    // Less than one still is some time.
    let milliseconds = if milliseconds > 0.0 { (milliseconds as u64).max(1) } else { 0 };
    Ok((milliseconds > 0).then(|| Duration::from_millis(milliseconds).min(limits::MAX_PAUSE)))
}

/// The keys before the time, and the time.
fn keys_and_timeout<'a>(call: &Call<'a>) -> Result<(Vec<&'a [u8]>, Option<Duration>), CommandError> {
    let last = call.args.len() - 1;
    let timeout = timeout(call.args.at(last))?;
    Ok((call.args.iter().take(last).skip(1).collect(), timeout))
}

fn pop(call: &mut Call<'_>, side: Side) -> Result<(), CommandError> {
    let (keys, timeout) = keys_and_timeout(call)?;
    for key in &keys {
        let (list, reply) = call.read::<List>(key)?;
        let Some(elements) = list.map(List::elements) else { continue };
        let at = if side == Side::Left { 0 } else { elements.len() - 1 };
        reply.array(2);
        reply.bulk(key);
        reply.optional_bulk(elements.get(at));
        call.change(key, Change::Pop { side, count: 1 });
        return Ok(());
    }
    if !call.wait_for(For::List, &keys, timeout) {
        call.reply.null_array();
    }
    Ok(())
}
