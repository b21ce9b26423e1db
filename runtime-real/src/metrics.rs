//! What Prometheus reads. Counters are plain numbers where things happen; they are summed up when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};

use mneme_driver::node::Node;
use prometheus::{Encoder, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::env::RealEnv;

/// Counts of TLS handshakes with clients.
#[derive(Debug, Default)]
pub struct TlsMetrics {
    pub completed: AtomicU64,
    pub failed: AtomicU64,
    /// When the certificate that clients see ends, seconds since 1970.
    pub certificate_expiry: AtomicU64,
    /// Changed certificate files that could not be used.
    pub reload_failures: AtomicU64,
    /// Clients closed before their handshake because there were far too many.
    pub turned_away: AtomicU64,
}

/// The metrics of a node in Prometheus's text format.
///
/// # Errors
/// If a metric is made wrongly: a mistake in this file.
pub(crate) fn text(node: &Node<RealEnv>, tls: &TlsMetrics) -> prometheus::Result<String> {
    let page = Page(Registry::new());
    node.with_core(|core| {
        let stats = &core.stats;
        page.counter(
            "connections_accepted_total",
            "Client connections accepted.",
            &[],
            &[(&[], core.clients.accepted())],
        )?;
        page.counter(
            "connections_rejected_total",
            "Client connections refused because there were too many.",
            &[],
            &[(&[], stats.connections_rejected)],
        )?;
        page.gauge("connections", "Open client connections.", &[], &[(&[], core.clients.len() as u64)])?;
        let commands: Vec<_> = core.commands().all().iter().zip(&stats.calls).collect();
        let mut calls: Vec<([&str; 2], u64)> = Vec::new();
        for (command, count) in commands {
            calls.push(([command.name, "ok"], count.ok));
            calls.push(([command.name, "error"], count.failed));
        }
        calls.push((["other", "error"], stats.unknown_commands));
        let calls: Vec<(&[&str], u64)> = calls.iter().map(|(labels, n)| (labels.as_slice(), *n)).collect();
        page.counter("commands_total", "Commands by name and outcome.", &["command", "outcome"], &calls)?;
        page.counter(
            "passwords_rejected_total",
            "Authentications with a wrong user or password.",
            &[],
            &[(&[], stats.rejected_passwords)],
        )?;
        page.counter("keyspace_hits_total", "Reads that found their key.", &[], &[(&[], stats.keyspace_hits)])?;
        page.counter("keyspace_misses_total", "Reads that found no key.", &[], &[(&[], stats.keyspace_misses)])?;
        page.counter(
            "expired_keys_total",
            "Keys deleted because their deadline had passed.",
            &[],
            &[(&[], stats.expired_keys)],
        )?;
        page.gauge("memory_used_bytes", "Memory accounted for the data.", &[], &[(&[], core.used_memory() as u64)])?;
        let databases: Vec<(String, usize)> =
            core.store().databases().map(|(db, d)| (db.0.to_string(), d.len())).collect();
        let databases: Vec<([&str; 1], u64)> = databases.iter().map(|(db, n)| ([db.as_str()], *n as u64)).collect();
        let databases: Vec<(&[&str], u64)> = databases.iter().map(|(labels, n)| (labels.as_slice(), *n)).collect();
        page.gauge("keys", "Keys by database.", &["database"], &databases)?;
        page.counter(
            "batches_proposed_total",
            "Batches handed to Raft, repeated ones counted again.",
            &[],
            &[(&[], stats.batches_proposed)],
        )?;
        page.counter(
            "batches_accepted_total",
            "Batches that the log accepted.",
            &[],
            &[(&[], stats.batches_accepted)],
        )?;
        page.counter("effect_bytes_total", "Bytes of changes in accepted batches.", &[], &[(&[], stats.effect_bytes)])?;
        page.gauge(
            "batches_in_flight",
            "Batches handed to Raft and not accepted yet.",
            &[],
            &[(&[], core.in_flight() as u64)],
        )?;
        page.gauge("applied_index", "The last log entry that the memory contains.", &[], &[(&[], core.applied().0)])?;
        page.gauge("epoch", "The current epoch.", &[], &[(&[], core.epoch().0)])?;
        let keeper = core.keeper();
        page.gauge("disk_full", "1 if there is no space for the log.", &[], &[(&[], u64::from(keeper.disk_full))])?;
        page.gauge("log_bytes", "Bytes of the log since the newest snapshot.", &[], &[(&[], keeper.log_bytes)])?;
        page.gauge("snapshot_bytes", "Bytes of the newest snapshot.", &[], &[(&[], keeper.snapshot_bytes)])?;
        page.gauge(
            "snapshot_index",
            "The last log entry of the newest snapshot.",
            &[],
            &[(&[], keeper.snapshot_index.unwrap_or_default().0)],
        )?;
        page.counter(
            "snapshot_failures_total",
            "Snapshots that could not be made.",
            &[],
            &[(&[], keeper.snapshot_failures)],
        )?;
        page.gauge("primary", "1 if this Core is the primary.", &[], &[(&[], u64::from(core.is_primary()))])
    })?;
    page.gauge("raft_term", "Raft's term.", &[], &[(&[], node.keeper().term())])?;
    let handshakes: [(&[&str], u64); 2] =
        [(&["ok"], tls.completed.load(Ordering::Relaxed)), (&["error"], tls.failed.load(Ordering::Relaxed))];
    page.counter("tls_handshakes_total", "TLS handshakes with clients by outcome.", &["outcome"], &handshakes)?;
    let expiry = tls.certificate_expiry.load(Ordering::Relaxed);
    page.gauge(
        "tls_certificate_expiry_timestamp_seconds",
        "When the clients' certificate ends.",
        &[],
        &[(&[], expiry)],
    )?;
    page.gauge("build_info", "This program.", &["version"], &[(&[mneme_kernel::VERSION], 1)])?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&page.0.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// One answer to Prometheus.
struct Page(Registry);

/// A metric's values, each with its labels' values.
type Values<'a> = [(&'a [&'a str], u64)];

impl Page {
    fn counter(&self, name: &str, help: &str, labels: &[&str], values: &Values<'_>) -> prometheus::Result<()> {
        let counter = IntCounterVec::new(Opts::new(format!("mneme_{name}"), help), labels)?;
        for (labels, value) in values {
            counter.get_metric_with_label_values(labels)?.inc_by(*value);
        }
        self.0.register(Box::new(counter))
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str], values: &Values<'_>) -> prometheus::Result<()> {
        let gauge = IntGaugeVec::new(Opts::new(format!("mneme_{name}"), help), labels)?;
        for (labels, value) in values {
            gauge.get_metric_with_label_values(labels)?.set(i64::try_from(*value).unwrap_or(i64::MAX));
        }
        self.0.register(Box::new(gauge))
    }
}
