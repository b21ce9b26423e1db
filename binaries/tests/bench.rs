//! The load generator against a real server, and against redis-server where that is installed.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use mneme_kernel::resp::Value;

mod support;

use support::{Folder, Node, PASSWORD, PATIENCE, free_port, program};

fn command(args: &[&str]) -> Command {
    let mut bench = program(env!("CARGO_BIN_EXE_mneme-bench"));
    bench.env("MNEME_PASSWORD", PASSWORD).args(args);
    bench
}

fn bench(args: &[&str]) -> Output {
    command(args).output().expect("it runs")
}

/// The numbers of a run that succeeds.
fn report(args: &[&str]) -> serde_json::Value {
    // What follows a command is the command's.
    let output = bench(&[&["--json", "-"], args].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn path(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn number(value: &serde_json::Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// How often a command ran on the server.
fn calls(node: &Node, command: &str) -> u64 {
    let mut client = node.client().expect("it serves");
    let info = client.ask(&["INFO", "commandstats"]).expect("an answer");
    let info = String::from_utf8_lossy(info.as_bytes().unwrap_or_default()).into_owned();
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn every_request_is_sent_answered_and_counted_once() {
    let folder = Folder::new("bench");
    let socket = folder.0.join("socket");
    let data = folder.0.join("data");
    let node = Node::start(&data, &socket, &[]);
    let load = ["--mix", "get=3,set=1", "--requests", "5000", "--keys", "1000", "--load", "--strict", "--clients", "7"];
    let tls = format!("127.0.0.1:{}", node.port);
    let ca = data.join("ca.crt");
    let targets = [vec!["--unix-socket", path(&socket)], vec!["-H", &tls, "--ca-cert", path(&ca)]];
    for (round, target) in targets.iter().enumerate() {
        for pipeline in ["1", "16"] {
            let report = report(&[target, &load[..], &["--pipeline", pipeline, "--threads", "2"]].concat());
            assert_eq!(number(&report["all"]["requests"]), 5000, "{report}");
            assert_eq!(report["errors"], serde_json::json!({}));
            assert_eq!(number(&report["all"]["nulls"]), 0, "every key was loaded");
            let [get, set] = [0, 1].map(|row| number(&report["commands"][row]["requests"]));
            assert!(get + set == 5000 && get > 2 * set, "{get} and {set}");
        }
        let sent = calls(&node, "get") + calls(&node, "set");
        assert_eq!(sent, 10_000 * (round as u64 + 1));
    }
    assert_eq!(node.client().expect("it serves").ask(&["DBSIZE"]).expect("an answer"), Value::Int(1000));
}

#[test]
fn connections_have_the_levels_that_were_asked_for() {
    let folder = Folder::new("bench");
    let socket = folder.0.join("socket");
    let _node = Node::start(&folder.0.join("data"), &socket, &[]);
    let mix = ["--mix", "get,set", "-c", "EVENTUAL=3,ALL=1", "--clients", "8", "--requests", "1000"];
    let report = report(&[&["--unix-socket", path(&socket)], &mix[..]].concat());
    let rows = report["commands"].as_array().expect("rows").iter();
    let names: Vec<&str> = rows.filter_map(|row| row["name"].as_str()).collect();
    // Of the slower level perhaps not both commands came about.
    for (level, wanted) in [("EVENTUAL", 2), ("ALL", 1)] {
        let found = names.iter().filter(|name| name.ends_with(&format!(" {level}"))).count();
        assert!(found >= wanted, "{names:?}");
    }
}

#[test]
fn an_open_loop_is_as_fast_as_it_was_told_to_be() {
    let folder = Folder::new("bench");
    let socket = folder.0.join("socket");
    let _node = Node::start(&folder.0.join("data"), &socket, &[]);
    let report = report(&["--unix-socket", path(&socket), "--rate", "1000", "--requests", "500", "PING"]);
    assert_eq!(number(&report["all"]["requests"]), 500);
    // The last is due 499 ms after the first.
    assert!(report["seconds"].as_f64().is_some_and(|seconds| seconds >= 0.499), "{report}");
}

#[test]
fn a_server_that_dies_is_found_again_and_an_interrupted_run_is_told() {
    let folder = Folder::new("bench");
    let (socket, data) = (folder.0.join("socket"), folder.0.join("data"));
    let mut node = Node::start(&data, &socket, &[]);
    let args = ["--unix-socket", path(&socket), "--duration", "150", "--mix", "set", "--clients", "3", "--json", "-"];
    let run = command(&args).stdout(Stdio::piped()).spawn().expect("it runs");
    until(|| calls(&node, "set") > 100);
    node.kill();
    let node = Node::start(&data, &socket, &[]);
    until(|| calls(&node, "set") > 100);
    let report = interrupted(run);
    assert_eq!((number(&report["connections_lost"]), number(&report["reconnected"])), (3, 3), "{report}");
    assert_eq!(report["interrupted"], true);
    assert!(number(&report["all"]["requests"]) > 200, "{report}");
    assert!(report["longest_gap_ms"].as_f64() >= report["all"]["latency_ms"]["p50"].as_f64(), "{report}");
}

fn until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it does not happen");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// The numbers of a run that is ended by Ctrl-C.
fn interrupted(mut run: Child) -> serde_json::Value {
    let told = Command::new("kill").args(["-INT", &run.id().to_string()]).status().expect("kill runs");
    assert!(told.success());
    let mut out = String::new();
    run.stdout.take().expect("it is piped").read_to_string(&mut out).expect("text");
    assert!(run.wait().expect("it ends").success());
    serde_json::from_str(&out).expect("JSON")
}

#[test]
fn each_way_to_fail_has_its_exit_code_and_says_why() {
    let folder = Folder::new("bench");
    let socket = folder.0.join("socket");
    let _node = Node::start(&folder.0.join("data"), &socket, &[]);
    let here = ["--unix-socket", path(&socket), "--requests", "10"];
    for (code, args, why) in [
        (2, vec!["--mix", "gett"], "did you mean \"get\""),
        (2, vec!["SET", "{keey}", "x"], "did you mean \"key\""),
        (2, vec!["-c", "ALL=1,QUORUM=1", "--clients", "1"], "none is left for"),
        (1, vec!["-p", "wrong"], "WRONGPASS"),
        (1, vec!["NOSUCHCOMMAND"], "unknown command"),
        (1, vec!["--before", "GET a b c"], "wrong number of arguments"),
    ] {
        let output = bench(&[&here[..], &args].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains(why), "{args:?}: {:?} {said}", output.status);
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    let nobody = bench(&["-H", "127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&nobody.stderr).starts_with("127.0.0.1:1: "), "{nobody:?}");
}

#[test]
fn files_tell_the_same_as_the_report_and_are_compared() {
    let folder = Folder::new("bench");
    let socket = folder.0.join("socket");
    let _node = Node::start(&folder.0.join("data"), &socket, &[]);
    let [a, b, series, percentiles] = ["a.json", "b.json", "series", "hgrm"].map(|name| folder.0.join(name));
    let common = ["--unix-socket", path(&socket), "--requests", "300", "--distribution", "zipf", "--size", "1-100"];
    let files = ["--series", path(&series), "--hgrm", path(&percentiles), "--json", path(&a)];
    let told = bench(&[&common[..], &files].concat());
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(text.contains("300 requests in ") && text.contains("p99.9") && text.contains("get"), "{text}");
    let lines = std::fs::read_to_string(series).expect("written");
    let seconds = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    assert_eq!(seconds.map(|second| number(&second["requests"])).sum::<u64>(), 300);
    let percentiles = std::fs::read_to_string(percentiles).expect("written");
    assert!(percentiles.contains("1/(1-Percentile)") && percentiles.contains("Total count    =          300]"));
    assert!(bench(&[&common[..], &["--clients", "2", "--json", path(&b)]].concat()).status.success());
    let compared = bench(&["compare", path(&a), path(&b)]);
    let text = String::from_utf8_lossy(&compared.stdout);
    assert!(text.contains("clients: A 50, B 2") && text.contains("all per second") && text.contains("B / A"), "{text}");
}

/// A redis-server without TLS.
struct Redis(Child);

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn redis_is_measured_by_the_same_commands() {
    let folder = Folder::new("bench");
    let socket = folder.0.join("socket");
    let port = free_port().to_string();
    let mut redis = Command::new("redis-server");
    redis.args(["--port", &port, "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--save", ""]);
    redis.args(["--unixsocket", path(&socket), "--dir", path(&folder.0)]).stdout(Stdio::null());
    let Ok(redis) = redis.spawn().map(Redis) else {
        println!("skipped: there is no redis-server here");
        return;
    };
    until(|| socket.exists());
    let host = format!("127.0.0.1:{port}");
    for target in [["--plain", "-H", host.as_str()], ["--no-tls", "--host", &host]] {
        let mix = "get,set,incr,mget,mset,lpush,lpop,lrange_100,sadd,spop,hset,hget,zadd,zpopmin,xadd,eval";
        let report = report(&[&target, &["--mix", mix, "--requests", "2000", "--load", "-P", "4"][..]].concat());
        assert_eq!(number(&report["all"]["requests"]), 2000, "{report}");
        assert_eq!(report["errors"], serde_json::json!({}));
    }
    let refused = bench(&["--unix-socket", path(&socket), "-c", "QUORUM"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    drop(redis);
}
