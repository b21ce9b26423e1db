//! What was slow: the slow log and the latency monitor.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Access, Command, CommandError, Keys, integer, is_word};
use crate::call::Call;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "slowlog",
        arity: -2,
        access: Access::Admin,
        keys: Keys::NONE,
        flags: &["loading", "stale"],
        summary: "A container for slow log commands.",
        run: slowlog,
    },
    Command {
        name: "latency",
        arity: -2,
        access: Access::Admin,
        keys: Keys::NONE,
        flags: &["noscript", "loading", "stale"],
        summary: "A container for latency diagnostics commands.",
        run: latency,
    },
];

const SLOWLOG_HELP: &[&str] = &[
    "SLOWLOG subcommand [argument ...]. Subcommands:",
    "GET [count]",
    "    The newest slow commands, 10 unless told otherwise, all for -1: id, Unix time,",
    "    microseconds, arguments, client address, client name.",
    "LEN",
    "    How many are kept.",
    "RESET",
    "    Forgets all.",
    "HELP",
    "    This text.",
];

const LATENCY_HELP: &[&str] = &[
    "LATENCY subcommand [argument ...]. Subcommands:",
    "DOCTOR",
    "    What was slow, in words.",
    "HISTOGRAM [command ...]",
    "    How long commands ran: calls by upper bound in microseconds, cumulative.",
    "HISTORY event",
    "    The event's spikes: Unix time and milliseconds.",
    "LATEST",
    "    By event: Unix time and milliseconds of the last spike, milliseconds of the longest.",
    "RESET [event ...]",
    "    Forgets the events, or all, and says how many there were.",
    "HELP",
    "    This text.",
];

/// Entries of `SLOWLOG GET` without a number, as in Redis.
const SHOWN: i64 = 10;

fn slowlog(call: &mut Call<'_>) -> Result<(), CommandError> {
    let subcommand = call.args.at(1);
    if is_word(subcommand, "get") && call.args.len() <= 3 {
        let wrong = CommandError::Other("count should be greater than or equal to -1");
        let count = call.args.get(2).map_or(Ok(SHOWN), integer).ok().filter(|count| *count >= -1).ok_or(wrong)?;
        show_slow(call, usize::try_from(count).unwrap_or(usize::MAX));
    } else if is_word(subcommand, "len") {
        call.reply.integer(call.core.diagnostics.slowlog.entries().len() as i64);
    } else if is_word(subcommand, "reset") {
        call.core.diagnostics.slowlog.clear();
        call.reply.ok();
    } else if is_word(subcommand, "help") {
        help(call, SLOWLOG_HELP);
    } else {
        return Err(CommandError::subcommand_syntax(call.args, "SLOWLOG"));
    }
    Ok(())
}

fn show_slow(call: &mut Call<'_>, count: usize) {
    let entries = call.core.diagnostics.slowlog.entries();
    let reply = &mut *call.reply;
    reply.array(entries.len().min(count));
    for entry in entries.iter().take(count) {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer((entry.at.0 / 1000) as i64);
        reply.integer(entry.took.as_micros() as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.address.as_bytes());
        reply.bulk(entry.client.as_bytes());
    }
}

fn latency(call: &mut Call<'_>) -> Result<(), CommandError> {
    let subcommand = call.args.at(1);
    if is_word(subcommand, "latest") {
        let events = call.core.diagnostics.spikes.all();
        call.reply.array(events.len());
        for (name, event) in events {
            let last = event.spikes.back();
            call.reply.array(4);
            call.reply.bulk(name.as_bytes());
            call.reply.integer(last.map_or(0, |spike| spike.at) as i64);
            call.reply.integer(last.map_or(0, |spike| spike.millis) as i64);
            call.reply.integer(event.longest as i64);
        }
    } else if is_word(subcommand, "history") {
        let spikes = call.core.diagnostics.spikes.of(call.args.at(2)).map(|event| &event.spikes);
        call.reply.array(spikes.map_or(0, |spikes| spikes.len()));
        for spike in spikes.into_iter().flatten() {
            call.reply.array(2);
            call.reply.integer(spike.at as i64);
            call.reply.integer(spike.millis as i64);
        }
    } else if is_word(subcommand, "reset") {
        let spikes = &mut call.core.diagnostics.spikes;
        let forgotten = match call.args.len() {
            2 => spikes.clear(),
            _ => call.args.skip(2).iter().filter(|event| spikes.forget(event)).count(),
        };
        call.reply.integer(forgotten as i64);
    } else if is_word(subcommand, "histogram") {
        histogram(call);
    } else if is_word(subcommand, "doctor") {
        let text = doctor(call);
        call.reply.verbatim(&text);
    } else if is_word(subcommand, "help") {
        help(call, LATENCY_HELP);
    } else {
        return Err(CommandError::unknown_subcommand(call.args, "LATENCY"));
    }
    Ok(())
}

/// By command that was called: calls, and how many of them took at most so many microseconds. Bounds that add nothing to
/// the one before are left out.
fn histogram(call: &mut Call<'_>) {
    let (commands, stats) = (&call.core.commands, &call.core.stats);
    let wanted: Vec<usize> = match call.args.len() {
        2 => (0..commands.all().len()).collect(),
        _ => call.args.skip(2).iter().filter_map(|name| commands.find(name)).map(|(i, _)| i).collect(),
    };
    let called: Vec<usize> = wanted.into_iter().filter(|i| stats.calls[*i].times.count() > 0).collect();
    let reply = &mut *call.reply;
    reply.map(called.len());
    for i in called {
        let times = &stats.calls[i].times;
        let mut before = 0;
        let steps: Vec<_> = times.cumulative().filter(|(_, n)| core::mem::replace(&mut before, *n) != *n).collect();
        reply.bulk(commands.all()[i].name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(times.count() as i64);
        reply.bulk(b"histogram_usec");
        reply.map(steps.len());
        for (bound, n) in steps {
            reply.integer(bound.as_micros() as i64);
            reply.integer(n as i64);
        }
    }
}

/// What can be said without knowing the machine.
fn doctor(call: &Call<'_>) -> String {
    let tunables = call.core.tunables();
    let spikes = &call.core.diagnostics.spikes;
    if tunables.latency_threshold == 0 {
        return "Nothing is watched: latency-monitor-threshold is 0. Set it to the milliseconds from which on a command \
                is too slow for you.\n"
            .into();
    }
    if spikes.all().len() == 0 {
        return format!("No command has taken {} ms or more.\n", tunables.latency_threshold);
    }
    let mut text = String::new();
    for (name, event) in spikes.all() {
        let sum: u64 = event.spikes.iter().map(|spike| spike.millis).sum();
        let seconds = event.spikes.len() as u64;
        let mean = sum / seconds.max(1);
        text.push_str(&format!(
            "{name}: {seconds} seconds with spikes, {mean} ms on average, {} ms at worst.\n",
            event.longest
        ));
    }
    if spikes.of(b"command").is_some() {
        text.push_str("SLOWLOG GET shows which commands were slow: ask them for less at a time.\n");
    }
    if spikes.of(b"fast-command").is_some() {
        text.push_str(
            "Commands that take constant time were slow: their values are large, or the machine had no processor or \
             memory for this process.\n",
        );
    }
    text
}

fn help(call: &mut Call<'_>, lines: &[&str]) {
    call.reply.array(lines.len());
    lines.iter().for_each(|line| call.reply.simple(line));
}
