//! What Prometheus reads. Counters are plain numbers where things happen; they are summed up when somebody asks.
//!
//! Every metric stands in `docs/OPERATIONS.md`; a test holds both together.

mod page;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use mneme_driver::env::Env;
use mneme_driver::keeper::Keeper;
use mneme_driver::measures::Traffic;
use mneme_driver::server::Server;
use mneme_kernel::commands::Access;
use mneme_kernel::core::{Core, KeeperState};
use mneme_kernel::histogram::Histogram;
use mneme_kernel::level::Level;
use mneme_kernel::probe::{Probe, Probes};
use mneme_kernel::time::Monotonic;
use rustls::{HandshakeKind, ProtocolVersion, ServerConnection};

use self::page::Page;
use crate::env::RealEnv;
use crate::process::{self, Process};

/// Counts of TLS handshakes with clients.
#[derive(Debug, Default)]
pub struct TlsMetrics {
    /// By version, 1.2 and 1.3, and whether they resumed a session.
    completed: [[AtomicU64; 2]; 2],
    failed: AtomicU64,
    timed_out: AtomicU64,
    /// When the certificate that clients see ends, seconds since 1970.
    pub certificate_expiry: AtomicU64,
    /// When the certificate that other nodes see ends.
    pub node_certificate_expiry: AtomicU64,
    /// Changed certificate files that could not be used.
    pub reload_failures: AtomicU64,
    /// Clients closed before their handshake because there were far too many.
    pub turned_away: AtomicU64,
}

impl TlsMetrics {
    pub(crate) fn completed(&self, connection: &ServerConnection) {
        let version = usize::from(connection.protocol_version() == Some(ProtocolVersion::TLSv1_3));
        let resumed = usize::from(connection.handshake_kind() == Some(HandshakeKind::Resumed));
        self.completed[version][resumed].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, error: &io::Error) {
        let counter = if error.kind() == io::ErrorKind::TimedOut { &self.timed_out } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The metrics of a process in Prometheus's text format: what there is of Core and Keeper.
pub(crate) fn text(server: Option<&Server<RealEnv>>, tls: &TlsMetrics) -> String {
    let mut page = Page::default();
    if let Some(node) = server.and_then(Server::node) {
        // In this order: entries that come meanwhile are no lag.
        let (now, committed) = (node.env().monotonic(), node.keepers().committed());
        node.with_core(|core| {
            commands(&mut page, core);
            clients(&mut page, core);
            data(&mut page, core);
            role(&mut page, core, now);
            forwarding(&mut page, core);
            page.gauge("mneme_feed_lag_entries", "Committed log entries that the memory does not contain yet.")
                .is(committed.saturating_sub(core.known()));
        });
        replies(&mut page, node.traffic(), node.replying());
        tls_metrics(&mut page, tls);
    }
    if let Some(server) = server {
        rare_states(&mut page, server.env().probes());
    }
    if let Some(keeper) = server.and_then(Server::keeper) {
        let state = keeper.state();
        raft(&mut page, keeper);
        log(&mut page, keeper, &state);
        snapshots(&mut page, &state);
    }
    page.gauge("mneme_node_certificate_expiry_timestamp_seconds", "When the certificate that other nodes see ends.")
        .is(tls.node_certificate_expiry.load(Ordering::Relaxed));
    page.gauge("mneme_build_info", "This program.").with(&[("version", mneme_kernel::VERSION)], 1);
    process_metrics(&mut page);
    page.text()
}

fn commands(page: &mut Page, core: &Core) {
    let stats = &core.stats;
    let all = || core.commands().all().iter().zip(&stats.calls);
    let mut family = page.counter("mneme_commands_total", "Commands by name and outcome.");
    for (command, calls) in all() {
        for (outcome, n) in [("ok", calls.ok), ("error", calls.failed), ("rejected", calls.rejected)] {
            family.with(&[("command", command.name), ("outcome", outcome)], n);
        }
    }
    family.with(&[("command", "other"), ("outcome", "rejected")], stats.unknown_commands);

    let mut family = page.counter("mneme_command_seconds_total", "Time that commands ran, by name.");
    for (command, calls) in all() {
        family.with(&[("command", command.name)], calls.times.sum().as_secs_f64());
    }

    let mut family = page.histogram("mneme_command_duration_seconds", "Time that a command ran, by class.");
    let classes: [(&str, &[Access]); 6] = [
        ("connection", &[Access::Anyone, Access::Connection]),
        ("read", &[Access::Read]),
        ("write", &[Access::Write]),
        ("admin", &[Access::Admin]),
        ("pubsub", &[Access::Subscribe, Access::Publish]),
        ("scripting", &[Access::Script]),
    ];
    for (class, accesses) in classes {
        let mut times = Histogram::default();
        let of_class = all().filter(|(command, _)| accesses.contains(&command.access));
        of_class.for_each(|(_, calls)| times.add(&calls.times));
        family.buckets(&[("class", class)], &times);
    }

    let mut family = page.counter("mneme_error_replies_total", "Error replies by their first word.");
    for (code, n) in &stats.errors {
        family.with(&[("code", code)], n);
    }
    page.counter("mneme_slow_commands_total", "Commands that the slow log took.").is(core.slow_commands());
    page.counter("mneme_passwords_rejected_total", "Authentications with a wrong user or password.")
        .is(stats.rejected_passwords);
    page.histogram("mneme_lock_wait_seconds", "Time that requests waited for the data's lock.")
        .buckets(&[], &stats.lock_waits);
}

fn clients(page: &mut Page, core: &Core) {
    let stats = &core.stats;
    page.gauge("mneme_connections", "Open client connections.").is(core.clients.len());
    page.gauge("mneme_connections_max", "Client connections that are allowed.").is(core.config().max_clients);
    page.counter("mneme_connections_accepted_total", "Client connections accepted.").is(core.clients.accepted());
    page.counter("mneme_connections_rejected_total", "Client connections refused because there were too many.")
        .is(stats.connections_rejected);
    page.counter("mneme_connections_overflowed_total", "Client connections closed because they did not take messages.")
        .is(core.clients.overflowed());
    let [channels, patterns, shard_channels] = core.subscribed();
    page.gauge("mneme_pubsub_channels", "Channels that have subscribers.").is(channels);
    page.gauge("mneme_pubsub_patterns", "Patterns that have subscribers.").is(patterns);
    page.gauge("mneme_pubsub_shard_channels", "Shard channels that have subscribers.").is(shard_channels);
    page.counter("mneme_pubsub_messages_dropped_total", "Messages that were not sent to another node.")
        .is(core.messages_dropped());
}

fn data(page: &mut Page, core: &Core) {
    let stats = &core.stats;
    page.gauge("mneme_memory_used_bytes", "Memory accounted for the data.").is(core.used_memory());
    let databases: Vec<_> = core.databases().collect();
    let mut family = page.gauge("mneme_keys", "Keys by database.");
    for (db, database) in &databases {
        family.with(&[("database", db)], database.len());
    }
    let mut family = page.gauge("mneme_expiring_keys", "Keys with a deadline by database.");
    for (db, database) in &databases {
        family.with(&[("database", db)], database.volatile());
    }
    page.counter("mneme_keyspace_hits_total", "Reads that found their key.").is(stats.keyspace_hits);
    page.counter("mneme_keyspace_misses_total", "Reads that found no key.").is(stats.keyspace_misses);
    page.counter("mneme_expired_keys_total", "Keys deleted because their deadline had passed.").is(stats.expired_keys);
    page.counter("mneme_evicted_keys_total", "Keys deleted to make room for others.").is(stats.evicted_keys);
}

fn role(page: &mut Page, core: &Core, now: Monotonic) {
    page.gauge("mneme_primary", "1 if this Core is the primary.").is(u8::from(core.is_primary()));
    let mut family = page.gauge("mneme_role", "1 for the role that this Core has.");
    for role in ["recovering", "standby", "primary", "replica"] {
        family.with(&[("role", role)], u8::from(core.role_name() == role));
    }
    page.gauge("mneme_ready", "1 if writes are executed.").is(u8::from(core.takes_writes()));
    page.gauge("mneme_epoch", "The current epoch.").is(core.epoch());
    page.gauge("mneme_applied_index", "The last log entry that the memory contains.").is(core.applied());
    page.counter("mneme_batches_proposed_total", "Batches handed to Raft, repeated ones counted again.")
        .is(core.stats.batches_proposed);
    page.counter("mneme_batches_accepted_total", "Batches that the log accepted.").is(core.stats.batches_accepted);
    page.counter("mneme_effect_bytes_total", "Bytes of changes in accepted batches.").is(core.stats.effect_bytes);
    page.gauge("mneme_batches_in_flight", "Batches handed to Raft and not accepted yet.").is(core.in_flight());
    page.gauge("mneme_lease_remaining_seconds", "How long a primary's lease still lasts, 0 if it does not.")
        .is(core.lease().remaining(now).as_secs_f64());
    page.counter("mneme_reads_without_lease_total", "Reads that waited for the log because the lease had ended.")
        .is(core.stats.reads_without_lease);
    page.counter("mneme_claims_total", "Times that this Core asked to be primary.").is(core.stats.claims);
    page.counter("mneme_depositions_total", "Times that another Core took over from this one unasked.")
        .is(core.stats.depositions);
}

fn forwarding(page: &mut Page, core: &Core) {
    page.counter("mneme_forwarded_commands_total", "Commands that were left to the primary.").is(core.stats.forwarded);
    page.gauge("mneme_forwarded_waiting", "Commands left to the primary that have no reply yet.")
        .is(core.forwarded_waiting());
    page.gauge("mneme_parked_commands", "Commands that wait for a primary.").is(core.parked());
}

fn replies(page: &mut Page, traffic: &Traffic, replying: usize) {
    let help = "Time from a request's arrival until its reply could leave, by level.";
    let mut family = page.histogram("mneme_request_duration_seconds", help);
    for level in [Level::Eventual, Level::Quorum, Level::All] {
        family.buckets(&[("level", level.name())], &traffic.replies(level));
    }
    let help =
        "Time from a command's end until the level of its reply was reached; at a standby, until the primary answered.";
    let mut family = page.histogram("mneme_level_wait_seconds", help);
    for level in [Level::Eventual, Level::Quorum, Level::All] {
        family.buckets(&[("level", level.name())], &traffic.waits(level));
    }
    page.counter("mneme_uncertain_replies_total", "Replies that were not on disk at a majority of Keepers in time.")
        .is(traffic.uncertain());
    page.counter("mneme_not_everywhere_replies_total", "Replies at ALL that were not everywhere in time.")
        .is(traffic.not_everywhere());
    page.counter("mneme_input_bytes_total", "Bytes that clients sent, without TLS.").is(traffic.input_bytes());
    page.counter("mneme_output_bytes_total", "Bytes that were sent to clients, without TLS.")
        .is(traffic.output_bytes());
    page.gauge("mneme_connections_held", "Connections whose next request may not run yet.").is(traffic.held());
    page.gauge("mneme_connections_replying", "Connections with replies that have not left.").is(replying);
}

fn rare_states(page: &mut Page, probes: &Probes) {
    let mut family = page.counter("mneme_rare_states_total", "Times that a rare state was reached, by its name.");
    for probe in Probe::ALL {
        family.with(&[("state", probe.name())], probes.count(probe));
    }
}

/// The Raft group as this Keeper knows it.
fn raft(page: &mut Page, keeper: &Keeper<RealEnv>) {
    let status = keeper.status();
    let voters = status.members.iter().filter(|member| member.votes).count();
    page.gauge("mneme_raft_leader", "1 if this Keeper leads the Raft group.").is(u8::from(keeper.leads()));
    page.gauge("mneme_raft_term", "Raft's term.").is(keeper.term());
    page.counter("mneme_raft_leader_changes_total", "Times that another Keeper led the Raft group, or none.")
        .is(keeper.leader_changes().value());
    page.gauge("mneme_raft_voters", "Keepers that vote.").is(voters);
    page.gauge("mneme_raft_learners", "Keepers that do not vote.").is(status.members.len() - voters);
    page.gauge("mneme_raft_committed_index", "The last log entry that is committed, as this Keeper knows.")
        .is(status.committed.unwrap_or_default());
    page.gauge("mneme_raft_last_index", "The last log entry of this Keeper.").is(status.last.unwrap_or_default());
}

fn log(page: &mut Page, beside: &Keeper<RealEnv>, keeper: &KeeperState) {
    let measures = beside.log_measures();
    page.gauge("mneme_log_bytes", "Bytes of the log since the newest snapshot.").is(keeper.log_bytes);
    page.gauge("mneme_log_segments", "Files of the log.").is(beside.segments());
    page.counter("mneme_log_groups_total", "Groups of entries that one sync made durable.").is(measures.groups);
    page.counter("mneme_log_entries_total", "Entries that were made durable.").is(measures.entries);
    page.counter("mneme_log_written_bytes_total", "Bytes of the log that were made durable.").is(measures.bytes);
    page.histogram("mneme_log_sync_duration_seconds", "Time that a sync of the log took.")
        .buckets(&[], &measures.syncs);
    page.gauge("mneme_disk_full", "1 if there is no space for the log.").is(u8::from(keeper.disk_full));
}

fn snapshots(page: &mut Page, keeper: &KeeperState) {
    page.gauge("mneme_snapshot_bytes", "Bytes of the newest snapshot.").is(keeper.snapshot_bytes);
    page.gauge("mneme_snapshot_index", "The last log entry of the newest snapshot.")
        .is(keeper.snapshot_index.unwrap_or_default());
    page.counter("mneme_snapshots_total", "Snapshots made.").is(keeper.snapshots);
    page.counter("mneme_snapshot_seconds_total", "Time that making snapshots took.")
        .is(keeper.snapshot_time.as_secs_f64());
    page.gauge("mneme_snapshot_last_duration_seconds", "Time that making the last snapshot took.")
        .is(keeper.last_snapshot_time.as_secs_f64());
    let made_at = keeper.snapshot_made_at.map_or(0.0, |wall| wall.0 as f64 / 1000.0);
    page.gauge("mneme_snapshot_last_success_timestamp_seconds", "When the last snapshot was made, 0 if none was yet.")
        .is(made_at);
    page.counter("mneme_snapshot_failures_total", "Snapshots that could not be made.").is(keeper.snapshot_failures);
}

fn tls_metrics(page: &mut Page, tls: &TlsMetrics) {
    let mut family = page.counter("mneme_tls_handshakes_total", "TLS handshakes with clients.");
    for (version, by_resumed) in ["1.2", "1.3"].into_iter().zip(&tls.completed) {
        for (resumed, n) in ["no", "yes"].into_iter().zip(by_resumed) {
            let labels = [("outcome", "ok"), ("version", version), ("resumed", resumed)];
            family.with(&labels, n.load(Ordering::Relaxed));
        }
    }
    for (outcome, n) in [("error", &tls.failed), ("timeout", &tls.timed_out)] {
        family.with(&[("outcome", outcome), ("version", ""), ("resumed", "")], n.load(Ordering::Relaxed));
    }
    page.counter("mneme_tls_reload_failures_total", "Changed certificate files that could not be used.")
        .is(tls.reload_failures.load(Ordering::Relaxed));
    page.counter("mneme_connections_turned_away_total", "Clients closed before their handshake: far too many.")
        .is(tls.turned_away.load(Ordering::Relaxed));
    page.gauge("mneme_tls_certificate_expiry_timestamp_seconds", "When the certificate that clients see ends.")
        .is(tls.certificate_expiry.load(Ordering::Relaxed));
}

/// By the names that every program gives them.
fn process_metrics(page: &mut Page) {
    let process = Process::now();
    page.counter("process_cpu_seconds_total", "Processor time of all threads.").is(process.cpu.as_secs_f64());
    page.gauge("process_start_time_seconds", "When the process started.").is(process::started().as_secs_f64());
    let known = [
        ("process_resident_memory_bytes", "Memory that is resident.", process.resident_bytes),
        ("process_virtual_memory_bytes", "Memory that is mapped.", process.virtual_bytes),
        ("process_threads", "Threads.", process.threads),
        ("process_open_fds", "Open file descriptors.", process.open_files),
        ("process_max_fds", "File descriptors that are allowed.", process.max_files),
    ];
    for (name, help, value) in known {
        if let Some(value) = value {
            page.gauge(name, help).is(value);
        }
    }
}
