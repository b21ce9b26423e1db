//! What memory is used for, by accounted sizes.

use alloc::format;
use alloc::string::String;

use super::containers::Subcommand;
use super::{Access, Command, CommandError, Keys, containers, integer, is_word};
use crate::call::Call;
use crate::core::Core;
use crate::eviction::Policy;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "memory",
    arity: -2,
    access: Access::Read,
    keys: Keys { first: 2, last: 2, step: 1 },
    flags: &[],
    summary: "A container for memory diagnostics commands.",
    run: |call| containers::run(call, SUBCOMMANDS, "MEMORY"),
}];

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("doctor", 2, Access::Connection, |call| {
        let text = advice(call.core);
        call.reply.verbatim(&text);
        Ok(())
    }),
    ("stats", 2, Access::Connection, |call| {
        stats(call);
        Ok(())
    }),
    ("usage", -3, Access::Read, usage),
    ("help", 2, Access::Connection, |call| {
        call.reply.help(HELP);
        Ok(())
    }),
];

const HELP: &[&str] = &[
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Return what is noteworthy about this node's memory, and what to do.",
    "STATS",
    "    Return what this node's memory is used for.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return the bytes that are accounted for <key> and its value.",
    "HELP",
    "    Print this help.",
];

fn usage(call: &mut Call<'_>) -> Result<(), CommandError> {
    let mut options = call.args.skip(3).iter();
    while let Some(option) = options.next() {
        let samples = options.next().filter(|_| is_word(option, "samples")).ok_or(CommandError::Syntax)?;
        // All is accounted for, however many samples are asked for.
        if integer(samples)? < 0 {
            return Err(CommandError::Syntax);
        }
    }
    let (db, key) = (call.db(), call.args.at(2));
    call.peek(key);
    match call.core.store.database(db).cost(key) {
        Some(cost) => call.reply.integer(cost as i64),
        None => call.reply.null(),
    }
    Ok(())
}

/// What memory beside the data is used for, in bytes.
pub(crate) struct Buffers {
    /// What clients have sent and was not run, and what they were not sent yet.
    pub clients: usize,
    /// What was executed and the log has not accepted.
    pub log: usize,
    /// Scripts and what they keep.
    pub scripts: usize,
    /// The code of libraries.
    pub functions: usize,
}

impl Buffers {
    pub(crate) fn sum(&self) -> usize {
        self.clients + self.unbounded()
    }

    /// What does not count for `maxmemory`.
    pub(crate) fn unbounded(&self) -> usize {
        self.log + self.scripts + self.functions
    }
}

impl Core {
    pub(crate) fn buffers(&self) -> Buffers {
        Buffers {
            clients: self.clients.buffered(),
            log: self.log_buffers(),
            scripts: self.scripts.memory(),
            functions: self.system.programs.library_bytes(),
        }
    }

    /// The data and all else that is accounted.
    pub(crate) fn total_memory(&self) -> usize {
        self.used_memory() + self.buffers().sum()
    }

    /// What `maxmemory` bounds: the data, and what clients have waiting. What waits for the log is left out, as in Redis:
    /// to evict makes more of it.
    pub(crate) fn bounded_memory(&self) -> usize {
        self.used_memory() + self.clients.buffered()
    }
}

fn stats(call: &mut Call<'_>) {
    let core = &*call.core;
    let (data, buffers) = (core.used_memory(), core.buffers());
    let total = data + buffers.sum();
    let peak = core.stats.peak_memory.max(total);
    let filled: alloc::vec::Vec<_> = core
        .system
        .databases
        .iter()
        .map(|(number, id)| (number, core.store.database(id)))
        .filter(|(_, database)| !database.is_empty())
        .collect();
    let keys: usize = filled.iter().map(|(_, database)| database.len()).sum();
    let percent = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 * 100.0 / of as f64 };
    let reply = &mut *call.reply;
    let numbers = [
        ("peak.allocated", peak),
        ("total.allocated", total),
        ("startup.allocated", 0),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", buffers.clients),
        ("cluster.links", 0),
        ("aof.buffer", buffers.log),
        ("lua.caches", buffers.scripts),
        ("functions.caches", buffers.functions),
    ];
    let totals = [
        ("overhead.total", buffers.sum()),
        ("keys.count", keys),
        ("keys.bytes-per-key", data.checked_div(keys).unwrap_or(0)),
        ("dataset.bytes", data),
    ];
    let shares = [("dataset.percentage", percent(data, total)), ("peak.percentage", percent(total, peak))];
    reply.map(numbers.len() + filled.len() + totals.len() + shares.len());
    let number = |reply: &mut crate::resp::Reply, (name, n): (&str, usize)| {
        reply.bulk(name.as_bytes());
        reply.integer(n as i64);
    };
    numbers.into_iter().for_each(|field| number(reply, field));
    for (db, database) in filled {
        reply.bulk(format!("db.{}", db.0).as_bytes());
        reply.map(3);
        number(reply, ("dataset.bytes", database.bytes()));
        number(reply, ("keys.count", database.len()));
        number(reply, ("keys.volatile", database.volatile()));
    }
    totals.into_iter().for_each(|field| number(reply, field));
    for (name, share) in shares {
        reply.bulk(name.as_bytes());
        reply.double(share);
    }
}

/// What is noteworthy, and what to do.
fn advice(core: &Core) -> String {
    /// Below so much nothing is worth a word.
    const LITTLE: usize = 5 << 20;
    let (data, buffers) = (core.used_memory(), core.buffers());
    let (total, limit) = (data + buffers.sum(), core.config.max_memory as usize);
    let policy = core.eviction.policy();
    let mut text = String::new();
    if core.is_out_of_memory() {
        text.push_str(match policy {
            Policy::NoEviction => {
                "maxmemory is reached and the policy is noeviction: writes are refused. Raise maxmemory, choose a \
                 maxmemory-policy, or remove keys.\n"
            }
            _ => {
                "maxmemory is reached and the policy finds no key that may go: writes are refused. Raise maxmemory, or \
                 choose a maxmemory-policy that takes keys without a deadline.\n"
            }
        });
    } else if limit > 0 && core.bounded_memory() >= limit / 10 * 9 {
        text.push_str(&format!(
            "{} of {limit} bytes of maxmemory are used; the policy is {}.\n",
            core.bounded_memory(),
            policy.name()
        ));
    }
    if total > LITTLE && buffers.clients > total / 4 {
        text.push_str(&format!(
            "Clients have {} bytes waiting: CLIENT LIST shows in qbuf and omem whose; such clients send or ask for too \
             much at a time, or do not read.\n",
            buffers.clients
        ));
    }
    if total > LITTLE && buffers.log > total / 4 {
        text.push_str(&format!(
            "{} bytes wait for the log: disks or the network of Keepers are slower than what is written.\n",
            buffers.log
        ));
    }
    let peak = core.stats.peak_memory;
    if peak > LITTLE && peak / 2 > total {
        text.push_str(&format!(
            "There were {peak} bytes once and are {total} now: the process may hold more than is accounted until the \
             allocator has given it back.\n"
        ));
    }
    if text.is_empty() {
        text.push_str(&format!(
            "Nothing is noteworthy: {data} bytes of data and {} bytes beside them.\n",
            buffers.sum()
        ));
    }
    text
}
