//! The text of `INFO`. Fields that clients read have Redis's names.

use alloc::string::String;
use core::fmt::Write;

use crate::core::Core;
use crate::session::Port;
use crate::time::{Monotonic, Wall};

/// The sections asked for, or the default ones. Unknown sections are left out, as in Redis.
pub(crate) fn text(core: &Core, port: Port, wall: Wall, now: Monotonic, sections: &[String]) -> String {
    let all: [(&str, Writer); 7] = [
        ("Server", server),
        ("Clients", clients),
        ("Memory", memory),
        ("Persistence", persistence),
        ("Stats", stats),
        ("Replication", replication),
        ("Keyspace", keyspace),
    ];
    let wanted = |name: &str| {
        sections.is_empty()
            || sections
                .iter()
                .any(|s| s.eq_ignore_ascii_case(name) || ["default", "all", "everything"].contains(&s.as_str()))
    };
    let mut out = String::new();
    for (name, write) in all.into_iter().filter(|(name, _)| wanted(name)) {
        if !out.is_empty() {
            out.push_str("\r\n");
        }
        out.push_str("# ");
        out.push_str(name);
        out.push_str("\r\n");
        write(&mut Section { out: &mut out, core, port, wall, now });
    }
    out
}

/// What writes a section's lines.
type Writer = fn(&mut Section<'_>);

struct Section<'a> {
    out: &'a mut String,
    core: &'a Core,
    port: Port,
    wall: Wall,
    now: Monotonic,
}

impl Section<'_> {
    fn line(&mut self, name: &str, value: impl core::fmt::Display) {
        // Writing into memory cannot fail.
        let _ = write!(self.out, "{name}:{value}\r\n");
    }
}

fn server(s: &mut Section<'_>) {
    let config = &s.core.config;
    let uptime = (s.now - config.started).as_secs();
    s.line("redis_version", crate::REDIS_VERSION);
    s.line("mneme_version", crate::VERSION);
    s.line("redis_mode", "standalone");
    s.line("process_id", config.process_id);
    s.line("tcp_port", config.port);
    s.line("uptime_in_seconds", uptime);
    s.line("uptime_in_days", uptime / 86_400);
    s.line("node", &config.node);
}

fn clients(s: &mut Section<'_>) {
    s.line("connected_clients", s.core.clients.len());
    s.line("maxclients", s.core.config.max_clients);
    s.line("blocked_clients", 0);
}

fn memory(s: &mut Section<'_>) {
    s.line("used_memory", s.core.used_memory());
    s.line("maxmemory", 0);
    s.line("maxmemory_policy", "noeviction");
    s.line("number_of_cached_scripts", 0);
}

fn persistence(s: &mut Section<'_>) {
    s.line("loading", u8::from(!s.core.is_primary()));
    if !s.core.is_primary() {
        s.line("loading_eta_seconds", 1);
    }
    s.line("aof_enabled", 1);
    s.line("rdb_bgsave_in_progress", 0);
    s.line("rdb_last_save_time", s.core.last_save(s.wall, s.now).0 / 1000);
    s.line("disk_full", u8::from(s.core.keeper.disk_full));
    s.line("log_bytes", s.core.keeper.log_bytes);
    s.line("snapshot_bytes", s.core.keeper.snapshot_bytes);
    s.line("snapshot_failures", s.core.keeper.snapshot_failures);
    if let Some(index) = s.core.keeper.snapshot_index {
        s.line("snapshot_index", index);
    }
    s.line("batches_in_flight", s.core.in_flight());
    s.line("applied_index", s.core.applied());
}

fn stats(s: &mut Section<'_>) {
    let stats = &s.core.stats;
    s.line("total_connections_received", s.core.clients.accepted());
    s.line("total_commands_processed", stats.total_calls());
    s.line("instantaneous_ops_per_sec", 0);
    s.line("instantaneous_input_kbps", "0.00");
    s.line("instantaneous_output_kbps", "0.00");
    s.line("rejected_connections", stats.connections_rejected);
    s.line("expired_keys", stats.expired_keys);
    s.line("evicted_keys", 0);
    s.line("keyspace_hits", stats.keyspace_hits);
    s.line("keyspace_misses", stats.keyspace_misses);
}

fn replication(s: &mut Section<'_>) {
    let core = s.core;
    s.line("role", core.role_for_clients(s.port));
    s.line("connected_slaves", 0);
    s.line("node_role", if core.is_primary() { "primary" } else { "standby" });
    if core.is_primary() {
        s.line("primary", &core.config.node);
    }
    s.line("epoch", core.epoch());
    s.line("master_repl_offset", core.applied());
}

fn keyspace(s: &mut Section<'_>) {
    for (number, id) in s.core.system.databases.iter() {
        let database = s.core.store.database(id);
        if database.is_empty() {
            continue;
        }
        let name = alloc::format!("db{}", number.0);
        s.line(&name, format_args!("keys={},expires={},avg_ttl=0", database.len(), database.volatile()));
    }
}
