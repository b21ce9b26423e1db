//! What operators see of a cluster: `CLUSTER STATUS`, the CLI's view of it, and the metrics of its Keepers.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use mneme_kernel::resp::Value;
use support::{Folder, Node, PASSWORD, PATIENCE, program};

fn cli(folder: &Path, args: &[&str]) -> Output {
    let mut cli = Command::new(env!("CARGO_BIN_EXE_mneme-cli"));
    cli.env("MNEME_PASSWORD", PASSWORD).env_remove("MNEME_DATA").current_dir(folder);
    cli.args(["-u", "admin", "--insecure"]).args(args).output().expect("the CLI runs")
}

/// What it printed, if it succeeded.
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn failed(output: &Output, code: i32, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(why) && output.stdout.is_empty(), "{said}");
}

fn host(node: &Node) -> String {
    format!("127.0.0.1:{}", node.port)
}

/// A metric without labels.
fn metric(node: &Node, name: &str) -> f64 {
    let (_, page) = node.admin_page("/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{page}")).parse().expect("a number")
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_not_answered_is_not_waited_for() {
    let folder = Folder::new("unanswered");
    let node = Node::start(&folder.0.join("data"), &folder.0.join("socket"), &[]);
    let host = host(&node);
    assert_eq!(printed(&cli(&folder.0, &["-H", &host, "CLIENT", "REPLY", "OFF"])), "");
    let lines = "CLIENT REPLY SKIP\nSET n 1\nGET n\nCLIENT REPLY OFF\nINCR n\n";
    fs::write(folder.0.join("lines"), lines).expect("written");
    let mut piped = Command::new(env!("CARGO_BIN_EXE_mneme-cli"));
    piped.env("MNEME_PASSWORD", PASSWORD).current_dir(&folder.0).args(["-H", &host, "-u", "admin", "--insecure"]);
    piped.stdin(fs::File::open(folder.0.join("lines")).expect("it is there"));
    assert_eq!(printed(&piped.output().expect("the CLI runs")), "1\n");
    assert_eq!(printed(&cli(&folder.0, &["-H", &host, "GET", "n"])), "2\n");
    node.stop();
}

#[test]
fn a_node_alone_shows_itself() {
    let folder = Folder::new("seen-alone");
    let node = Node::start(&folder.0.join("data"), &folder.0.join("socket"), &[]);
    let host = host(&node);

    let text = printed(&cli(&folder.0, &["-H", &host, "cluster", "status"]));
    assert!(text.starts_with("node       test\nrole       primary\nprimary    test\n"), "{text}");
    let keeper = text.lines().last().expect("a Keeper");
    assert!(keeper.starts_with("test    voter  yes     "), "{text}");

    for protocol in ["-2", "-3"] {
        let json = printed(&cli(&folder.0, &["-H", &host, protocol, "--json", "cluster", "status"]));
        assert!(json.starts_with("{\"node\":\"test\",\"role\":\"primary\",\"primary\":\"test\",\"epoch\":"), "{json}");
        assert!(json.contains("\"leader\":1,\"matched\":") && json.contains("\"lag\":0,"), "{json}");
        assert_eq!(json.lines().count(), 1);
    }
    assert!(printed(&cli(&folder.0, &["-H", &host, "--raw", "cluster", "status"])).starts_with("node\ntest\nrole\n"));

    let info = node.client().and_then(|mut client| client.ask(&["CLIENT", "INFO"])).expect("it serves");
    let shown = format!("addr={}:0 ", folder.0.join("socket").display());
    let Value::Bulk(info) = info else { panic!("{info:?}") };
    let info = String::from_utf8_lossy(&info);
    assert!(info.contains(&shown), "{info}");

    failed(&cli(&folder.0, &["-H", &host, "cluster", "transfer"]), 1, "no other Core");
    failed(&cli(&folder.0, &["-H", "127.0.0.1:1", "cluster", "status"]), 3, "127.0.0.1:1: ");

    let made = fs::read_to_string(folder.0.join("data/cluster-secret")).expect("the founder made one");
    let secret = printed(&cli(&folder.0, &["cluster", "secret", "--data", "data"]));
    assert_eq!(secret.trim_end(), made.trim_end());
    failed(&cli(&folder.0, &["cluster", "secret"]), 2, "--data DIR");

    for (name, value) in [
        ("mneme_raft_leader", 1.0),
        ("mneme_raft_voters", 1.0),
        ("mneme_raft_learners", 0.0),
        ("mneme_depositions_total", 0.0),
        ("mneme_forwarded_commands_total", 0.0),
        ("mneme_forwarded_waiting", 0.0),
        ("mneme_parked_commands", 0.0),
        ("mneme_role{role=\"primary\"}", 1.0),
        ("mneme_role{role=\"standby\"}", 0.0),
    ] {
        assert_eq!(metric(&node, name), value, "{name}");
    }
    assert!(metric(&node, "mneme_raft_leader_changes_total") >= 1.0 && metric(&node, "mneme_claims_total") >= 1.0);
    until("all that is committed is applied", || metric(&node, "mneme_feed_lag_entries") == 0.0);
    let committed = metric(&node, "mneme_raft_committed_index");
    assert!(committed > 0.0 && metric(&node, "mneme_raft_last_index") >= committed);
    assert!(metric(&node, "mneme_lease_remaining_seconds") < 10.0);
}

#[test]
fn another_core_is_seen_and_takes_over() {
    let folder = Folder::new("seen-two");
    let first = Node::start(&folder.0.join("n1"), &folder.0.join("s1"), &[]);
    let cluster = first.ready.split(' ').find_map(|part| part.strip_prefix("cluster=")).expect("it is in the line");
    let secret = folder.0.join("n1/cluster-secret");
    let mut joiner = program(env!("CARGO_BIN_EXE_mneme-core"));
    joiner.env("MNEME_CLUSTER_SECRET_FILE", &secret);
    let second = Node::start_with(
        joiner,
        &folder.0.join("n2"),
        &folder.0.join("s2"),
        &["--node", "n2", "--join", cluster, "--keeper", "none"],
    );
    let (one, two) = (host(&first), host(&second));

    let text = printed(&cli(&folder.0, &["-H", &two, "cluster", "status"]));
    assert!(text.starts_with("node       n2\nrole       standby\nprimary    test\n"), "{text}");
    // Its feed comes from the Keeper of the other process.
    until("the feed has said what is committed", || metric(&second, "mneme_feed_lag_entries") == 0.0);
    assert_eq!(metric(&second, "mneme_lease_remaining_seconds"), 0.0);
    until("the primary has a lease", || metric(&first, "mneme_lease_remaining_seconds") > 0.0);

    // A write there is the primary's to execute.
    printed(&cli(&folder.0, &["-H", &two, "set", "k", "v"]));
    assert!(metric(&second, "mneme_forwarded_commands_total") >= 1.0);

    failed(&cli(&folder.0, &["-H", &two, "cluster", "transfer"]), 2, "the primary is test");
    failed(&cli(&folder.0, &["-H", &format!("127.0.0.1:1,{two}"), "cluster", "transfer"]), 3, "the primary is test");
    let moved = printed(&cli(&folder.0, &["-H", &format!("{two},{one}"), "cluster", "transfer"]));
    assert!(moved.starts_with("primary n2\nepoch "), "{moved}");
    until("the other one is primary", || metric(&second, "mneme_primary") == 1.0);
    assert_eq!(metric(&first, "mneme_depositions_total"), 0.0);
    // The Raft group is where it was.
    assert_eq!(metric(&first, "mneme_raft_leader"), 1.0);
    until("the leader is known by its address", || {
        let json = printed(&cli(&folder.0, &["-H", &two, "--json", "cluster", "status"]));
        json.contains("\"leader\":1,\"matched\":null")
    });
}
