//! The text of `INFO`. Fields that clients read have Redis's names.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use crate::core::Core;
use crate::facade::{Shown, id_of};
use crate::session::Port;
use crate::time::{Monotonic, Wall};

/// The sections by name, and whether they are shown unless others are asked for: as in Redis 7.2.
const SECTIONS: [(&str, bool, Writer); 13] = [
    ("Server", true, server),
    ("Clients", true, clients),
    ("Memory", true, memory),
    ("Persistence", true, persistence),
    ("Stats", true, stats),
    ("Replication", true, replication),
    ("Modules", true, |_| {}),
    ("Commandstats", false, commandstats),
    ("Errorstats", true, errorstats),
    ("Latencystats", false, latencystats),
    ("Cluster", true, |s| s.line("cluster_enabled", u8::from(s.core.config.facade.cluster))),
    (SENTINEL, true, sentinel),
    ("Keyspace", true, keyspace),
];

/// Only there if this node answers as a Sentinel.
const SENTINEL: &str = "Sentinel";

/// The sections asked for, or the default ones. Unknown sections are left out, as in Redis.
pub(crate) fn text(core: &Core, port: Port, wall: Wall, now: Monotonic, sections: &[String]) -> String {
    let asked = |word: &str| sections.iter().any(|section| section.eq_ignore_ascii_case(word));
    let all = asked("all") || asked("everything");
    let default = sections.is_empty() || asked("default");
    let mut out = String::new();
    let is_there = |name: &str| name != SENTINEL || core.config.facade.sentinel.is_some();
    let wanted = |(name, by_default, _): &(&str, bool, Writer)| {
        is_there(name) && (all || (default && *by_default) || asked(name))
    };
    for (name, _, write) in SECTIONS.into_iter().filter(wanted) {
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
    s.line("redis_mode", s.core.mode());
    s.line("arch_bits", usize::BITS);
    s.line("process_id", config.process_id);
    let life = alloc::format!("{} {}", config.node, s.core.origin_life().unwrap_or_default());
    s.line("run_id", id_of("life", &life));
    s.line("tcp_port", config.port);
    s.line("uptime_in_seconds", uptime);
    s.line("uptime_in_days", uptime / 86_400);
    s.line("node", &config.node);
}

fn clients(s: &mut Section<'_>) {
    s.line("connected_clients", s.core.clients.len());
    s.line("maxclients", s.core.config.max_clients);
    s.line("tracking_clients", s.core.tracking.clients());
    s.line("blocked_clients", s.core.waiters.len());
}

fn memory(s: &mut Section<'_>) {
    let buffers = s.core.buffers();
    let used = s.core.total_memory();
    let peak = s.core.stats.peak_memory.max(used);
    s.line("used_memory", used);
    s.line("used_memory_human", Human(used));
    s.line("used_memory_peak", peak);
    s.line("used_memory_peak_human", Human(peak));
    s.line("used_memory_overhead", buffers.sum());
    s.line("used_memory_dataset", s.core.used_memory());
    s.line("maxmemory", s.core.config.max_memory);
    s.line("maxmemory_human", Human(s.core.config.max_memory as usize));
    s.line("maxmemory_policy", s.core.eviction.policy().name());
    let libraries = s.core.system.programs.libraries();
    let (libraries, functions) = libraries
        .fold((0, 0), |(libraries, functions), (_, library)| (libraries + 1, functions + library.functions.len()));
    s.line("mem_clients_normal", buffers.clients);
    s.line("mem_aof_buffer", buffers.log);
    s.line("mem_not_counted_for_evict", buffers.unbounded());
    s.line("used_memory_lua", s.core.scripts.memory());
    s.line("used_memory_vm_total", s.core.scripts.memory());
    s.line("number_of_cached_scripts", s.core.scripts.len());
    s.line("number_of_functions", functions);
    s.line("number_of_libraries", libraries);
}

/// Bytes as people read them, in Redis's form.
struct Human(usize);

impl core::fmt::Display for Human {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let units = [("G", 30), ("M", 20), ("K", 10)];
        match units.into_iter().find(|(_, bits)| self.0 >> bits > 0) {
            Some((unit, bits)) => write!(f, "{:.2}{unit}", self.0 as f64 / (1u64 << bits) as f64),
            None => write!(f, "{}B", self.0),
        }
    }
}

fn persistence(s: &mut Section<'_>) {
    s.line("loading", u8::from(!s.core.is_hot()));
    if !s.core.is_hot() {
        s.line("loading_eta_seconds", 1);
    }
    s.line("aof_enabled", 1);
    s.line("rdb_bgsave_in_progress", 0);
    s.line("rdb_last_save_time", s.core.last_save(s.wall, s.now).0 / 1000);
    let keeper = &s.core.keeper;
    s.line("rdb_last_bgsave_status", if keeper.last_snapshot_failed { "err" } else { "ok" });
    s.line(
        "rdb_last_bgsave_time_sec",
        if keeper.snapshots > 0 { keeper.last_snapshot_time.as_secs() as i64 } else { -1 },
    );
    s.line("rdb_saves", keeper.snapshots);
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
    s.line("instantaneous_ops_per_sec", s.core.rates.commands());
    s.line("total_net_input_bytes", stats.input_bytes);
    s.line("total_net_output_bytes", stats.output_bytes);
    s.line("instantaneous_input_kbps", format_args!("{:.2}", s.core.rates.input() as f64 / 1024.0));
    s.line("instantaneous_output_kbps", format_args!("{:.2}", s.core.rates.output() as f64 / 1024.0));
    s.line("rejected_connections", stats.connections_rejected);
    s.line("expired_keys", stats.expired_keys);
    s.line("evicted_keys", stats.evicted_keys);
    // No client is ended for the memory of others.
    s.line("evicted_clients", 0);
    s.line("keyspace_hits", stats.keyspace_hits);
    s.line("keyspace_misses", stats.keyspace_misses);
    let [channels, patterns, shard_channels] = s.core.subscribed();
    s.line("pubsub_channels", channels);
    s.line("pubsub_patterns", patterns);
    s.line("pubsubshard_channels", shard_channels);
    s.line("tracking_total_keys", s.core.tracking.len());
    s.line("tracking_total_items", s.core.tracking.readers());
    s.line("tracking_total_prefixes", s.core.tracking.prefixes());
    s.line("pubsub_messages_dropped", s.core.messages_dropped());
    s.line("slow_commands", s.core.slow_commands());
    s.line("total_error_replies", stats.total_errors());
    s.line("client_output_buffer_limit_disconnections", s.core.clients.overflowed());
    let [commands, keys, channels, passwords] = stats.refused;
    s.line("acl_access_denied_auth", passwords);
    s.line("acl_access_denied_cmd", commands);
    s.line("acl_access_denied_key", keys);
    s.line("acl_access_denied_channel", channels);
}

fn replication(s: &mut Section<'_>) {
    let core = s.core;
    s.line("role", core.role_for_clients(s.port));
    let nodes = core.shown();
    if s.port == Port::Read {
        let master = &nodes[0];
        s.line("master_host", &master.reach.main.host);
        s.line("master_port", master.reach.main.port);
        s.line("master_link_status", if core.primary().is_some() { "up" } else { "down" });
        s.line("slave_repl_offset", core.applied());
        s.line("slave_read_only", 1);
    }
    let is_shown = |node: &&Shown<'_>| s.port == Port::Main && node.answers;
    let replicas: Vec<&Shown<'_>> = nodes[1..].iter().filter(is_shown).collect();
    s.line("connected_slaves", replicas.len());
    for (i, node) in replicas.into_iter().enumerate() {
        let (at, offset) = (&node.reach.read, node.offset(core));
        s.line(
            &alloc::format!("slave{i}"),
            format_args!("ip={},port={},state=online,offset={offset},lag=0", at.host, at.port),
        );
    }
    s.line("node_role", core.role_name());
    if let Some((name, _)) = core.primary() {
        s.line("primary", name);
    }
    s.line("epoch", core.epoch());
    // Entries that are committed, as far as this node has heard, and not applied here.
    s.line("lag", core.lag());
    s.line("master_failover_state", "no-failover");
    s.line("master_replid", id_of("epoch", &core.epoch().to_string()));
    s.line("master_repl_offset", core.applied());
}

fn sentinel(s: &mut Section<'_>) {
    let core = s.core;
    let nodes = core.shown();
    let name = core.config.facade.sentinel.as_deref().unwrap_or_default();
    s.line("sentinel_masters", 1);
    s.line("sentinel_tilt", 0);
    s.line("sentinel_running_scripts", 0);
    s.line("sentinel_scripts_queue_length", 0);
    s.line("sentinel_simulate_failure_flags", 0);
    let (at, slaves, sentinels) = (&nodes[0].reach.main, nodes.len() - 1, nodes.len());
    let status = if core.primary().is_some() { "ok" } else { "odown" };
    s.line("master0", format_args!("name={name},status={status},address={at},slaves={slaves},sentinels={sentinels}"));
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

fn commandstats(s: &mut Section<'_>) {
    let core = s.core;
    for (command, calls) in core.commands.all().iter().zip(&core.stats.calls) {
        let ran = calls.ok + calls.failed;
        if ran + calls.rejected == 0 {
            continue;
        }
        let micros = calls.times.sum().as_micros();
        let mean = micros as f64 / ran.max(1) as f64;
        s.line(
            &alloc::format!("cmdstat_{}", command.name),
            format_args!(
                "calls={ran},usec={micros},usec_per_call={mean:.2},rejected_calls={},failed_calls={}",
                calls.rejected, calls.failed
            ),
        );
    }
}

fn errorstats(s: &mut Section<'_>) {
    for (word, n) in &s.core.stats.errors {
        s.line(&alloc::format!("errorstat_{word}"), format_args!("count={n}"));
    }
}

/// Percentiles as far as the buckets tell: each is the upper bound of its bucket.
fn latencystats(s: &mut Section<'_>) {
    let core = s.core;
    for (command, calls) in core.commands.all().iter().zip(&core.stats.calls) {
        if calls.times.count() == 0 {
            continue;
        }
        let micros = |share| calls.times.quantile(share).as_nanos() as f64 / 1000.0;
        s.line(
            &alloc::format!("latency_percentiles_usec_{}", command.name),
            format_args!("p50={:.3},p99={:.3},p99.9={:.3}", micros(0.5), micros(0.99), micros(0.999)),
        );
    }
}
