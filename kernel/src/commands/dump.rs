//! Values in Redis's own format: how keys move from Redis, and back.

use super::{Access, Command, CommandError, Keys, Logged, integer, is_word};
use crate::call::Call;
use crate::effect::{Change, Side};
use crate::events::Events;
use crate::rdb::{self, Loaded};
use crate::store::Words;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "dump",
        arity: 2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns a serialized representation of the value stored at a key.",
        run: |call| {
            const DOCUMENT: CommandError = CommandError::Other("documents cannot be dumped: read them by JSON.GET");
            let item = call.look_up(call.args.at(1));
            let dumped = item.map(|item| rdb::dump(item.value).ok_or(DOCUMENT)).transpose()?;
            call.reply.optional_bulk(dumped.as_deref());
            Ok(())
        },
    },
    Command {
        name: "restore",
        arity: -4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Creates a key from the serialized representation of a value.",
        run: restore,
    },
];

/// What options say.
#[derive(Default)]
struct Options {
    replaces: bool,
    /// The time is one since 1970.
    absolute: bool,
    /// How long the key was idle, in seconds, or how often it was used.
    idle: Option<u64>,
    uses: Option<u8>,
}

impl Options {
    fn of(call: &Call<'_>) -> Result<Self, CommandError> {
        let mut found = Options::default();
        let mut options = call.args.skip(4).iter();
        while let Some(option) = options.next() {
            if is_word(option, "replace") {
                found.replaces = true;
            } else if is_word(option, "absttl") {
                found.absolute = true;
            } else if is_word(option, "idletime") && found.uses.is_none() {
                let idle = u64::try_from(integer(options.next().ok_or(CommandError::Syntax)?)?);
                found.idle = Some(idle.map_err(|_| CommandError::Other("Invalid IDLETIME value, must be >= 0"))?);
            } else if is_word(option, "freq") && found.idle.is_none() {
                let uses = u8::try_from(integer(options.next().ok_or(CommandError::Syntax)?)?);
                let wrong = CommandError::Other("Invalid FREQ value, must be >= 0 and <= 255");
                found.uses = Some(uses.map_err(|_| wrong)?);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(found)
    }
}

/// Sees that the changes which make it are not more than the log takes of a command: each names the key, and those of groups
/// their names.
fn check_logged(key: &[u8], loaded: &Loaded) -> Result<(), CommandError> {
    let mut logged = Logged::default();
    // What was there goes, and a deadline comes.
    logged.add(2, key, 0)?;
    match loaded {
        Loaded::Text(words)
        | Loaded::List(words)
        | Loaded::Set(words)
        | Loaded::Sorted(words)
        | Loaded::Hash(words) => logged.add(1, key, words.len()),
        Loaded::Stream(stream) => stream.pieces().try_for_each(|piece| logged.add(1, key, piece.len())),
    }
}

fn restore(call: &mut Call<'_>) -> Result<(), CommandError> {
    let key = call.args.at(1);
    let options = Options::of(call)?;
    let exists = call.exists(key);
    if exists && !options.replaces {
        return Err(CommandError::BusyKey);
    }
    let time = integer(call.args.at(2))?;
    let time = u64::try_from(time).map_err(|_| CommandError::Other("Invalid TTL value, must be >= 0"))?;
    let value = rdb::open(call.args.at(3));
    let value = value.ok_or(CommandError::Other("DUMP payload version or checksum are wrong"))?;
    let loaded = rdb::load(value).map_err(|_| CommandError::Other("Bad data format"))?;
    let deadline = (time > 0).then(|| if options.absolute { time } else { call.now.0.saturating_add(time) });
    check_logged(key, &loaded)?;
    if exists {
        call.delete(key);
    }
    call.reply.ok();
    if deadline.is_some_and(|deadline| deadline <= call.now.0) {
        if exists {
            call.notify(Events::GENERIC, "del", key);
        }
        return Ok(());
    }
    match &loaded {
        Loaded::Text(text) => call.put(key, text, deadline),
        Loaded::List(words) => call.change(key, Change::Push { side: Side::Right, elements: Words::new(words) }),
        Loaded::Set(words) => call.change(key, Change::AddMembers(Words::new(words))),
        Loaded::Sorted(words) => call.change(key, Change::Rank(Words::new(words))),
        Loaded::Hash(words) => call.change(key, Change::PutFields(Words::new(words))),
        Loaded::Stream(stream) => stream.pieces().for_each(|piece| call.change(key, piece.change())),
    }
    call.set_past(key, options.idle, options.uses);
    if deadline.is_some() && !matches!(loaded, Loaded::Text(_)) {
        call.set_deadline(key, deadline);
    }
    call.notify(Events::GENERIC, "restore", key);
    Ok(())
}
