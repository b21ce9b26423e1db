//! `/metrics` of a real server: exact values, the form that Prometheus wants, and the table of docs/OPERATIONS.md.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mneme_kernel::resp::Value;

use support::{Folder, Node, PASSWORD, PATIENCE};

/// One answer of `/metrics`.
struct Page {
    text: String,
    samples: BTreeMap<String, f64>,
}

impl Page {
    fn of(node: &Node) -> Page {
        let (head, text) = node.admin_page("/metrics");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (name.to_string(), value.parse().expect("a number"))
        };
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(sample).collect();
        Page { text, samples }
    }

    fn at(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("no {sample} in\n{}", self.text))
    }

    fn calls(&self, command: &str) -> [f64; 3] {
        ["ok", "error", "rejected"]
            .map(|outcome| self.at(&format!("mneme_commands_total{{command=\"{command}\",outcome=\"{outcome}\"}}")))
    }

    /// Asks again until a sample has a value: what is counted after a reply was sent, or at a tick.
    fn until(node: &Node, sample: &str, mut wanted: impl FnMut(f64) -> bool) -> Page {
        let end = Instant::now() + PATIENCE;
        loop {
            let page = Page::of(node);
            if wanted(page.at(sample)) {
                return page;
            }
            assert!(Instant::now() < end, "{sample} stays {}", page.at(sample));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks until a sample has stayed as it is: what was sent is counted a moment later, perhaps after its reply has come.
    fn settled(node: &Node, sample: &str) -> Page {
        let mut before = f64::NAN;
        Page::until(node, sample, |now| std::mem::replace(&mut before, now) == now)
    }

    /// Metrics with their types.
    fn families(&self) -> BTreeMap<String, String> {
        let types = self.text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.map(|line| line.split_once(' ').expect("a type")).map(|(a, b)| (a.into(), b.into())).collect()
    }
}

fn start(folder: &Folder, options: &[&str]) -> Node {
    Node::start(&folder.0.join("data"), &folder.0.join("socket"), options)
}

#[test]
fn what_clients_did_is_counted_exactly() {
    let folder = Folder::new("metrics");
    let node = start(&folder, &["--max-clients", "2"]);
    let mut client = node.client().expect("it is ready");
    let mut ask = |command: &[&str]| client.ask(command).expect("a reply");
    for (key, deadline) in [("a", None), ("b", Some("1000")), ("c", Some("1000"))] {
        let set = ["SET", key, "1", "EX"];
        match deadline {
            Some(deadline) => ask(&[&set[..], &[deadline]].concat()),
            None => ask(&set[..3]),
        };
    }
    ask(&["SELECT", "3"]);
    ask(&["SET", "d", "1"]);
    ask(&["CONSISTENCY", "EVENTUAL", "GET", "d"]);
    ask(&["GET", "absent"]);
    ask(&["SET", "text", "x"]);
    ask(&["INCR", "text"]);
    ask(&["INCR"]);
    ask(&["NOSUCH"]);
    ask(&["AUTH", "wrong"]);
    ask(&["CONFIG", "GET", "maxmemory"]);
    ask(&["SAVE"]);
    let mut second = node.client().expect("two are allowed");
    assert!(node.client().is_err(), "three are too many");

    let page = Page::until(&node, "mneme_request_duration_seconds_count{level=\"QUORUM\"}", |n| n == 9.0);
    assert_eq!(page.calls("set"), [5.0, 0.0, 0.0]);
    assert_eq!(page.calls("get"), [2.0, 0.0, 0.0]);
    assert_eq!(page.calls("incr"), [0.0, 1.0, 1.0]);
    assert_eq!(page.calls("auth"), [2.0, 1.0, 0.0]);
    assert_eq!(page.calls("save"), [1.0, 0.0, 0.0]);
    for (sample, value) in [
        ("mneme_commands_total{command=\"other\",outcome=\"rejected\"}", 1.0),
        ("mneme_error_replies_total{code=\"ERR\"}", 3.0),
        ("mneme_error_replies_total{code=\"WRONGPASS\"}", 1.0),
        ("mneme_passwords_rejected_total", 1.0),
        ("mneme_connections", 2.0),
        ("mneme_connections_max", 2.0),
        ("mneme_connections_accepted_total", 2.0),
        ("mneme_connections_rejected_total", 1.0),
        ("mneme_connections_overflowed_total", 0.0),
        ("mneme_pubsub_channels", 0.0),
        ("mneme_pubsub_patterns", 0.0),
        ("mneme_pubsub_shard_channels", 0.0),
        ("mneme_pubsub_messages_dropped_total", 0.0),
        ("mneme_connections_held", 0.0),
        ("mneme_connections_replying", 0.0),
        ("mneme_keys{database=\"0\"}", 3.0),
        ("mneme_keys{database=\"3\"}", 2.0),
        ("mneme_expiring_keys{database=\"0\"}", 2.0),
        ("mneme_expiring_keys{database=\"3\"}", 0.0),
        ("mneme_keyspace_hits_total", 1.0),
        ("mneme_keyspace_misses_total", 1.0),
        ("mneme_expired_keys_total", 0.0),
        ("mneme_command_duration_seconds_count{class=\"write\"}", 6.0),
        ("mneme_command_duration_seconds_count{class=\"read\"}", 2.0),
        ("mneme_command_duration_seconds_bucket{class=\"read\",le=\"+Inf\"}", 2.0),
        ("mneme_command_duration_seconds_count{class=\"admin\"}", 2.0),
        // The read, and what was refused before it ran.
        ("mneme_request_duration_seconds_count{level=\"EVENTUAL\"}", 3.0),
        ("mneme_uncertain_replies_total", 0.0),
        ("mneme_primary", 1.0),
        ("mneme_ready", 1.0),
        ("mneme_disk_full", 0.0),
        ("mneme_batches_in_flight", 0.0),
        ("mneme_snapshots_total", 1.0),
        ("mneme_snapshot_failures_total", 0.0),
        ("mneme_slow_commands_total", 0.0),
    ] {
        assert_eq!(page.at(sample), value, "{sample}");
    }
    let proposed = page.at("mneme_batches_proposed_total");
    // The user, and each write by itself: the client waited for its reply.
    assert_eq!(page.at("mneme_batches_accepted_total"), 6.0);
    assert!(proposed >= 6.0 && page.at("mneme_effect_bytes_total") > 0.0);
    let groups = page.at("mneme_log_groups_total");
    assert!(groups >= 6.0 && page.at("mneme_log_entries_total") >= 8.0, "{}", page.text);
    assert_eq!(page.at("mneme_log_sync_duration_seconds_count"), groups);
    assert!(page.at("mneme_log_written_bytes_total") > page.at("mneme_effect_bytes_total"));
    assert!(page.at("mneme_log_segments") >= 1.0 && page.at("mneme_raft_term") >= 1.0);
    assert!(page.at("mneme_snapshot_index") > 0.0 && page.at("mneme_snapshot_bytes") > 0.0);
    assert_eq!(page.at("mneme_snapshot_seconds_total"), page.at("mneme_snapshot_last_duration_seconds"));
    assert!(page.at("mneme_lock_wait_seconds_count") >= 16.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs_f64();
    for past in ["mneme_snapshot_last_success_timestamp_seconds", "process_start_time_seconds"] {
        assert!(page.at(past) > now - 3600.0 && page.at(past) <= now, "{past}");
    }
    assert!(page.at("mneme_tls_certificate_expiry_timestamp_seconds") > now + 300.0 * 86_400.0);
    assert!(page.at("process_resident_memory_bytes") > 1e6 && page.at("process_cpu_seconds_total") > 0.0);
    assert!(page.at("process_open_fds") > 5.0 && page.at("process_threads") > 2.0);

    // A request and its reply, byte for byte.
    let page = Page::settled(&node, "mneme_output_bytes_total");
    let (input, output) = (page.at("mneme_input_bytes_total"), page.at("mneme_output_bytes_total"));
    assert_eq!(second.ask(&["GET", "a"]).expect("a reply"), Value::Bulk(b"1".to_vec()));
    let page = Page::until(&node, "mneme_output_bytes_total", |bytes| bytes > output);
    assert_eq!(page.at("mneme_input_bytes_total") - input, 20.0);
    assert_eq!(page.at("mneme_output_bytes_total") - output, 7.0);
    drop(second);
    Page::until(&node, "mneme_connections", |n| n == 1.0);
}

#[test]
fn handshakes_are_counted_by_what_came_of_them() {
    let folder = Folder::new("handshakes");
    let node = start(&folder, &[]);
    let ping = Command::new(env!("CARGO_BIN_EXE_mneme-cli"))
        .args(["-H", &format!("127.0.0.1:{}", node.port), "-u", "admin", "--insecure", "ping"])
        .env("MNEME_PASSWORD", PASSWORD)
        .output()
        .expect("the CLI runs");
    assert!(ping.status.success(), "{ping:?}");
    let mut stranger = TcpStream::connect(("127.0.0.1", node.port)).expect("it listens");
    stranger.write_all(b"PING\r\n").expect("it is taken");
    let _ = stranger.read(&mut [0; 64]);
    let failed = "mneme_tls_handshakes_total{outcome=\"error\",version=\"\",resumed=\"\"}";
    let page = Page::until(&node, failed, |n| n == 1.0);
    let done = |version, resumed| {
        page.at(&format!("mneme_tls_handshakes_total{{outcome=\"ok\",version=\"{version}\",resumed=\"{resumed}\"}}"))
    };
    assert_eq!([done("1.3", "no"), done("1.3", "yes"), done("1.2", "no"), done("1.2", "yes")], [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(page.at("mneme_tls_handshakes_total{outcome=\"timeout\",version=\"\",resumed=\"\"}"), 0.0);
}

#[test]
fn the_table_of_the_manual_is_complete_and_true() {
    let folder = Folder::new("manual");
    let node = start(&folder, &[]);
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPERATIONS.md"));
    let manual = manual.expect("it is there");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
        let is_metric = name.starts_with("mneme_") || name.starts_with("process_");
        is_metric.then(|| (name.to_string(), cells[2].to_string()))
    };
    let documented: BTreeMap<String, String> = manual.lines().filter_map(row).collect();
    assert_eq!(Page::of(&node).families(), documented);
}

#[test]
fn prometheus_finds_nothing_to_mend() {
    let folder = Folder::new("promtool");
    let node = start(&folder, &[]);
    let check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut check = match check {
        Ok(check) => check,
        Err(why) => {
            assert!(std::env::var_os("MNEME_REQUIRE_PROMTOOL").is_none(), "promtool does not run: {why}");
            println!("skipped: there is no promtool (Debian: apt-get install prometheus): {why}");
            return;
        }
    };
    let page = Page::of(&node);
    check.stdin.take().expect("it is piped").write_all(page.text.as_bytes()).expect("it reads");
    let output = check.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}
