//! The server's configuration: what it was started with, and what may be changed while it runs.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use super::{Access, Command, CommandError, Keys, is_word, lossy};
use crate::call::Call;
use crate::core::{Core, Setting};
use crate::events::Events;
use crate::eviction::Policy;
use crate::glob;
use crate::limits;
use crate::resp::parse_i64;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "config",
    arity: -2,
    access: Access::Admin,
    keys: Keys::NONE,
    flags: &["noscript", "loading", "stale"],
    summary: "A container for server configuration commands.",
    run: config,
}];

const HELP: &[&str] = &[
    "CONFIG subcommand [argument ...]. Subcommands:",
    "GET pattern [pattern ...]",
    "    The parameters whose names match, and their values.",
    "ORIGIN [pattern ...]",
    "    The settings whose names match, or all: the value of each, and who has given it.",
    "SET parameter value [parameter value ...]",
    "    Changes parameters until the next start: all of them or, if one cannot be, none.",
    "RESETSTAT",
    "    Begins the counters of INFO anew.",
    "HELP",
    "    This text.",
];

/// A parameter that may be changed while the server runs.
#[derive(Debug)]
struct Parameter {
    name: &'static str,
    kind: Kind,
    get: fn(&Core) -> i128,
    set: fn(&mut Core, i128),
}

/// Which values a parameter takes.
#[derive(Debug)]
enum Kind {
    /// Integers from the one up to the other.
    Number(i64, fn(&Core) -> i64),
    /// Bytes, with Redis's units.
    Memory,
    /// Characters of classes of events.
    Events,
    /// A policy's name.
    Policy,
}

/// By name.
const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "acllog-max-len",
        kind: Kind::Number(0, |_| limits::MAX_ACL_LOG as i64),
        get: |core| core.tunables().acllog_max_len as i128,
        set: |core, value| core.tune(|tunables| tunables.acllog_max_len = value as usize),
    },
    Parameter {
        name: "busy-reply-threshold",
        kind: Kind::Number(0, |_| i64::MAX),
        get: |core| core.config.script_times.timeout.as_millis() as i128,
        set: |core, value| core.config.script_times.timeout = Duration::from_millis(value as u64),
    },
    Parameter {
        name: "latency-monitor-threshold",
        kind: Kind::Number(0, |_| i64::MAX),
        get: |core| core.tunables().latency_threshold.into(),
        set: |core, value| core.tune(|tunables| tunables.latency_threshold = value as u64),
    },
    // What Redis called it before.
    Parameter {
        name: "lua-time-limit",
        kind: Kind::Number(0, |_| i64::MAX),
        get: |core| core.config.script_times.timeout.as_millis() as i128,
        set: |core, value| core.config.script_times.timeout = Duration::from_millis(value as u64),
    },
    Parameter {
        name: "lfu-decay-time",
        kind: Kind::Number(0, |_| i32::MAX.into()),
        get: |core| core.eviction.decay_minutes as i128,
        set: |core, value| core.eviction.decay_minutes = value as usize,
    },
    Parameter {
        name: "lfu-log-factor",
        kind: Kind::Number(0, |_| i32::MAX.into()),
        get: |core| core.eviction.log_factor as i128,
        set: |core, value| core.eviction.log_factor = value as usize,
    },
    Parameter {
        name: "maxclients",
        // There are seats for no more than at the start.
        kind: Kind::Number(1, |core| core.most_clients as i64),
        get: |core| core.config.max_clients.into(),
        set: |core, value| core.config.max_clients = value as u64,
    },
    Parameter {
        name: "maxmemory",
        kind: Kind::Memory,
        get: |core| core.config.max_memory.into(),
        set: |core, value| core.config.max_memory = value as u64,
    },
    Parameter {
        name: "maxmemory-policy",
        kind: Kind::Policy,
        get: |core| core.eviction.policy() as i128,
        set: |core, value| core.set_policy(Policy::ALL[value as usize].1),
    },
    Parameter {
        name: "maxmemory-samples",
        kind: Kind::Number(1, |_| limits::MAX_SAMPLES as i64),
        get: |core| core.eviction.samples as i128,
        set: |core, value| core.eviction.samples = value as usize,
    },
    Parameter {
        name: "notify-keyspace-events",
        kind: Kind::Events,
        get: |core| core.events.number(),
        set: |core, value| core.want_events(Events::from_number(value)),
    },
    Parameter {
        name: "script-kill-after",
        kind: Kind::Number(0, |_| i64::MAX),
        get: |core| core.config.script_times.kill_after.as_millis() as i128,
        set: |core, value| core.config.script_times.kill_after = Duration::from_millis(value as u64),
    },
    Parameter {
        name: "slowlog-log-slower-than",
        kind: Kind::Number(-1, |_| i64::MAX),
        get: |core| core.tunables().slowlog_slower_than.into(),
        set: |core, value| core.tune(|tunables| tunables.slowlog_slower_than = value as i64),
    },
    Parameter {
        name: "slowlog-max-len",
        kind: Kind::Number(0, |_| limits::MAX_SLOWLOG as i64),
        get: |core| core.tunables().slowlog_max_len as i128,
        set: |core, value| core.tune(|tunables| tunables.slowlog_max_len = value as usize),
    },
    Parameter {
        name: "stream-node-max-bytes",
        kind: Kind::Memory,
        get: |core| core.tunables().stream_block_bytes as i128,
        set: |core, value| core.tune(|tunables| tunables.stream_block_bytes = value as usize),
    },
    Parameter {
        name: "stream-node-max-entries",
        kind: Kind::Number(0, |_| i64::MAX),
        get: |core| core.tunables().stream_block_entries as i128,
        set: |core, value| core.tune(|tunables| tunables.stream_block_entries = value as usize),
    },
    Parameter {
        name: "tracking-table-max-keys",
        kind: Kind::Number(0, |_| i64::MAX),
        get: |core| core.tracking.most_keys as i128,
        set: |core, value| core.tracking.most_keys = value as usize,
    },
];

/// What Redis lets be changed and is a constant here, by Redis's names.
const CONSTANTS: &[(&str, i64)] = &[
    ("hash-max-listpack-entries", limits::SMALL_HASH as i64),
    ("hash-max-listpack-value", limits::SMALL_ELEMENT as i64),
    ("list-max-listpack-size", -2),
    ("set-max-intset-entries", limits::INTEGER_SET as i64),
    ("set-max-listpack-entries", limits::SMALL_SET as i64),
    ("set-max-listpack-value", limits::SMALL_ELEMENT as i64),
    ("zset-max-listpack-entries", limits::SMALL_SORTED_SET as i64),
    ("zset-max-listpack-value", limits::SMALL_ELEMENT as i64),
];

/// Settings that have another name as parameters.
const RENAMED: &[(&str, &str)] =
    &[("busy-reply-threshold", "script-timeout"), ("lua-time-limit", "script-timeout"), ("maxclients", "max-clients")];

/// What `CONFIG ORIGIN` says of what was changed.
const CHANGED: &str = "CONFIG SET";

impl Kind {
    /// The value, or what is wrong with it in Redis's words.
    fn parse(&self, core: &Core, text: &[u8]) -> Result<i128, String> {
        match self {
            Kind::Memory => bytes(text).map(i128::from).ok_or_else(|| "argument must be a memory value".into()),
            Kind::Events => {
                let events = Events::parse(text).ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
                Ok(events.number())
            }
            Kind::Policy => {
                let names = Policy::ALL.map(|(name, _)| name).join(", ");
                let wrong = || format!("argument(s) must be one of the following: {names}");
                Policy::parse(text).map(|policy| policy as i128).ok_or_else(wrong)
            }
            Kind::Number(least, most) => {
                let most = most(core);
                let value = parse_i64(text).ok_or("argument couldn't be parsed into an integer")?;
                if !(*least..=most).contains(&value) {
                    return Err(format!("argument must be between {least} and {most} inclusive"));
                }
                Ok(value.into())
            }
        }
    }
}

impl Parameter {
    /// The setting that it has its first value from, if there is one of this name.
    fn setting(&self) -> &'static str {
        RENAMED.iter().find(|(parameter, _)| *parameter == self.name).map_or(self.name, |(_, setting)| setting)
    }

    fn shown(&self, core: &Core) -> String {
        let value = (self.get)(core);
        match self.kind {
            Kind::Number(..) | Kind::Memory => value.to_string(),
            Kind::Events => Events::from_number(value).shown(),
            Kind::Policy => Policy::ALL[value as usize].0.into(),
        }
    }
}

fn config(call: &mut Call<'_>) -> Result<(), CommandError> {
    let subcommand = call.args.at(1);
    if is_word(subcommand, "get") {
        show(call);
    } else if is_word(subcommand, "set") {
        change(call)?;
    } else if is_word(subcommand, "origin") {
        show_origins(call);
    } else if is_word(subcommand, "resetstat") {
        call.core.reset_stats();
        call.reply.ok();
    } else if is_word(subcommand, "rewrite") {
        let has_file = call.core.config.parameters.iter().any(|(name, _)| name == "config");
        // A file is the operator's, with comments; environment and flags stand above it.
        return Err(CommandError::Other(if has_file {
            "CONFIG REWRITE is not supported: change the settings where the server gets them"
        } else {
            "The server is running without a config file"
        }));
    } else if is_word(subcommand, "help") {
        call.reply.help(HELP);
    } else {
        return Err(CommandError::unknown_subcommand(call.args, "CONFIG"));
    }
    Ok(())
}

/// The parameters that match any of the patterns, by name.
fn show(call: &mut Call<'_>) {
    let patterns: Vec<Vec<u8>> = call.args.skip(2).iter().map(<[u8]>::to_ascii_lowercase).collect();
    let core = &*call.core;
    let fixed = core.config.parameters.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let constants = CONSTANTS.iter().map(|(name, value)| (*name, value.to_string()));
    let changeable = PARAMETERS.iter().map(|parameter| (parameter.name, parameter.shown(core)));
    let wanted = |name: &str| patterns.iter().position(|pattern| glob::matches(pattern, name.as_bytes()));
    let wanted = |(name, value)| wanted(name).map(|pattern| (name, value, pattern));
    let mut found: Vec<_> = fixed.chain(constants).chain(changeable).filter_map(wanted).collect();
    found.sort();
    call.reply.map(found.len());
    for (name, value, pattern) in found {
        // As in Redis, who asks for a name is shown it as it was spelt.
        let asked = call.args.at(2 + pattern);
        call.reply.bulk(if is_word(asked, name) { asked } else { name.as_bytes() });
        call.reply.bulk(value.as_bytes());
    }
}

/// The settings that match any of the patterns, or all, by name: what holds now, and who has said so.
fn show_origins(call: &mut Call<'_>) {
    let patterns: Vec<Vec<u8>> = call.args.skip(2).iter().map(<[u8]>::to_ascii_lowercase).collect();
    let core = &*call.core;
    let settings = &core.config.settings;
    let origin = |name: &str| settings.iter().find(|setting| setting.name == name).map(|setting| &*setting.origin);
    let changeable = PARAMETERS
        .iter()
        .map(|parameter| (parameter.name, parameter.shown(core), origin(parameter.setting()).unwrap_or("default")));
    let is_changeable = |name: &str| PARAMETERS.iter().any(|parameter| parameter.setting() == name);
    let fixed = settings.iter().filter(|setting| !is_changeable(&setting.name));
    let fixed = fixed.map(|setting| (&*setting.name, setting.value.clone(), &*setting.origin));
    let is_wanted =
        |name: &str| patterns.is_empty() || patterns.iter().any(|pattern| glob::matches(pattern, name.as_bytes()));
    let mut found: Vec<_> = fixed.chain(changeable).filter(|(name, ..)| is_wanted(name)).collect();
    found.sort_unstable();
    call.reply.map(found.len());
    for (name, value, origin) in found {
        call.reply.bulk(name.as_bytes());
        call.reply.array(2);
        call.reply.bulk(value.as_bytes());
        call.reply.bulk(origin.as_bytes());
    }
}

/// Looks at all pairs before it changes anything.
fn change(call: &mut Call<'_>) -> Result<(), CommandError> {
    let pairs = call.args.skip(2);
    if !pairs.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let failed = |name: &str, why: &str| {
        CommandError::Text(format!("CONFIG SET failed (possibly related to argument '{name}') - {why}"))
    };
    // Names come before values, as in Redis.
    let mut parameters: Vec<&Parameter> = Vec::new();
    for name in pairs.iter().step_by(2) {
        let Some(parameter) = PARAMETERS.iter().find(|parameter| is_word(name, parameter.name)) else {
            let name = lossy(name);
            let fixed = call.core.config.parameters.iter().map(|(known, _)| known.as_str());
            if fixed.chain(CONSTANTS.iter().map(|(known, _)| *known)).any(|known| is_word(name.as_bytes(), known)) {
                return Err(failed(&name, "can't set immutable config"));
            }
            return Err(CommandError::Text(format!("Unknown option or number of arguments for CONFIG SET - '{name}'")));
        };
        if parameters.iter().any(|other| other.name == parameter.name) {
            return Err(failed(&lossy(name), "duplicate parameter"));
        }
        parameters.push(parameter);
    }
    let mut changes: Vec<(&Parameter, i128)> = Vec::new();
    for (parameter, text) in parameters.into_iter().zip(pairs.skip(1).iter().step_by(2)) {
        let value = parameter.kind.parse(call.core, text).map_err(|why| failed(parameter.name, &why))?;
        changes.push((parameter, value));
    }
    for (parameter, value) in changes {
        (parameter.set)(call.core, value);
        note_change(&mut call.core.config.settings, parameter.setting());
    }
    call.reply.ok();
    Ok(())
}

/// Has a setting be one that was changed while the server ran.
fn note_change(settings: &mut Vec<Setting>, name: &str) {
    match settings.iter_mut().find(|setting| setting.name == name) {
        Some(setting) => setting.origin = CHANGED.into(),
        None => settings.push(Setting { name: name.into(), value: String::new(), origin: CHANGED.into() }),
    }
}

/// A number of bytes such as `1048576`, `100mb` or `1g`: with a `b` units are powers of 1024, without it of 1000.
fn bytes(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = core::str::from_utf8(number).ok()?.parse().ok()?;
    let scale = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(scale)
}
