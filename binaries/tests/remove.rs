//! Removing nodes of a cluster of real processes, and new certificates for all of them.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::{Folder, Node, PASSWORD, PATIENCE, program};

const CORE: &str = env!("CARGO_BIN_EXE_mneme-core");

fn cli(folder: &Path, host: &str, args: &[&str]) -> Output {
    let mut cli = Command::new(env!("CARGO_BIN_EXE_mneme-cli"));
    cli.env("MNEME_PASSWORD", PASSWORD).env_remove("MNEME_DATA").current_dir(folder);
    cli.args(["-u", "admin", "--insecure", "-H", host]).args(args).output().expect("the CLI runs")
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn failed(output: &Output, code: i32, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(why), "{said}");
}

fn host(node: &Node) -> String {
    format!("127.0.0.1:{}", node.port)
}

fn joiner(secret: &Path) -> Command {
    let mut joiner = program(CORE);
    joiner.env("MNEME_CLUSTER_SECRET_FILE", secret);
    joiner
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_node_is_removed_says_so_and_comes_back_only_as_a_new_one() {
    let folder = Folder::new("remove");
    let path = |name: &str| folder.0.join(name);
    let first = Node::start(&path("n1"), &path("s1"), &[]);
    let one = host(&first);
    let cluster = first.ready.split(' ').find_map(|part| part.strip_prefix("cluster=")).expect("it is in the line");
    let cluster = cluster.to_owned();
    let secret = path("n1/cluster-secret");
    let join = ["--node", "n2", "--join", &cluster];
    let second = Node::start_with(joiner(&secret), &path("n2"), &path("s2"), &join);
    let two = host(&second);
    printed(&cli(&folder.0, &two, &["set", "k", "v"]));

    // The certificates of both change, and connections that are open live on.
    let mut client = second.client().expect("it serves");
    let certificate = |node: &str| fs::read(path(node).join("node.crt")).expect("it has one");
    let before = ["n1", "n2"].map(certificate);
    assert_eq!(printed(&cli(&folder.0, &two, &["cluster", "rotate-certs"])), "OK\n");
    let after = ["n1", "n2"].map(certificate);
    assert!(before.iter().zip(&after).all(|(before, after)| before != after));
    client.ask(&["PING"]).expect("it is still connected");
    printed(&cli(&folder.0, &two, &["set", "k", "w"]));

    failed(&cli(&folder.0, &one, &["cluster", "remove", "test", "--keeper"]), 1, "start test with --keeper none first");
    let hosts = format!("{two},{one}");
    failed(&cli(&folder.0, &one, &["cluster", "remove", "n9"]), 1, "there is no node n9");
    failed(&cli(&folder.0, &one, &["cluster", "remove", "test"]), 2, "test does not remove itself");
    failed(&cli(&folder.0, &two, &["CLUSTER", "REMOVE", "n2", "x"]), 2, "usage");
    until("both are voters", || printed(&cli(&folder.0, &one, &["cluster", "status"])).contains("voters     2"));
    assert_eq!(printed(&cli(&folder.0, &hosts, &["cluster", "remove", "n2"])), "OK\n");

    let mut second = second;
    assert_eq!(second.wait(), Some(3));
    let text = printed(&cli(&folder.0, &one, &["cluster", "status"]));
    assert!(text.contains("voters     1") && !text.contains("n2"), "{text}");
    printed(&cli(&folder.0, &one, &["-c", "all", "set", "k", "x"]));
    failed(&cli(&folder.0, &one, &["cluster", "remove", "n2"]), 1, "there is no node n2");

    // With its old folder it stays out, however often it is started.
    let refused = joiner(&secret)
        .args(["--listen", "127.0.0.1:0", "--read-listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0"])
        .args(["--admin-listen", "127.0.0.1:0", "--data"])
        .arg(path("n2"))
        .args(join)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    failed(&refused, 3, "was removed from the cluster");

    fs::remove_dir_all(path("n2")).expect("it was there");
    let second = Node::start_with(joiner(&secret), &path("n2"), &path("s2"), &join);
    assert_eq!(printed(&cli(&folder.0, &host(&second), &["get", "k"])), "x\n");
    until("both are voters", || printed(&cli(&folder.0, &one, &["cluster", "status"])).contains("voters     2"));
}

#[test]
fn an_inside_keeper_is_removed_and_its_core_goes_on_with_others() {
    let folder = Folder::new("keeper-only");
    let path = |name: &str| folder.0.join(name);
    let mut first = Node::start_with(program(CORE), &path("n1"), &path("s1"), &["--node", "n1"]);
    let cluster = first.ready.split(' ').find_map(|part| part.strip_prefix("cluster=")).expect("it is in the line");
    let secret = path("n1/cluster-secret");
    let join = ["--node", "n2", "--join", cluster];
    let second = Node::start_with(joiner(&secret), &path("n2"), &path("s2"), &join);
    let (one, two) = (host(&first), host(&second));
    printed(&cli(&folder.0, &one, &["set", "k", "v"]));
    until("both are voters", || printed(&cli(&folder.0, &one, &["cluster", "status"])).contains("voters     2"));
    // It is primary, leads, and founded all of it.
    assert_eq!(printed(&cli(&folder.0, &two, &["cluster", "remove", "n1", "--keeper"])), "OK\n");
    assert_eq!(first.wait(), Some(3));
    let text = printed(&cli(&folder.0, &two, &["cluster", "status"]));
    assert!(text.contains("voters     1") && text.contains("primary    n2") && text.contains("\nn1 "), "{text}");
    drop(first);
    let first = Node::start_with(joiner(&secret), &path("n1"), &path("s1"), &["--node", "n1", "--keeper", "none"]);
    assert_eq!(printed(&cli(&folder.0, &host(&first), &["get", "k"])), "v\n");
    printed(&cli(&folder.0, &host(&first), &["-c", "all", "set", "k", "w"]));
}

#[test]
fn a_newer_format_is_written_only_once_all_nodes_read_it() {
    let folder = Folder::new("format");
    let path = |name: &str| folder.0.join(name);
    let format = |node: &Node| {
        let text = printed(&cli(&folder.0, &host(node), &["cluster", "status"]));
        let line = text.lines().find(|line| line.starts_with("format ")).expect("it is shown").to_owned();
        line.trim_start_matches("format").trim().to_owned()
    };
    let old = ["--newest-format", "1"];
    let mut first = Node::start_with(program(CORE), &path("n1"), &path("s1"), &[&["--node", "n1"][..], &old].concat());
    let cluster = first.ready.split(' ').find_map(|part| part.strip_prefix("cluster=")).expect("it is in the line");
    let (secret, port) = (path("n1/cluster-secret"), cluster.to_owned());
    let join = ["--node", "n2", "--join", &port];
    let start_second =
        |more: &[&str]| Node::start_with(joiner(&secret), &path("n2"), &path("s2"), &[&join[..], more].concat());
    let mut second = start_second(&old);
    until("both are voters", || {
        printed(&cli(&folder.0, &host(&first), &["cluster", "status"])).contains("voters     2")
    });

    // One of them was brought to the newer version.
    second.kill();
    second = start_second(&[]);
    printed(&cli(&folder.0, &host(&second), &["set", "k", "v"]));
    thread::sleep(Duration::from_secs(2));
    assert_eq!((format(&first), format(&second)), ("1".into(), "1".into()));
    failed(
        &cli(&folder.0, &host(&first), &["cluster", "remove", "n2"]),
        1,
        "not every node has said that it reads format 2",
    );

    // The other one too.
    let newest = mneme_kernel::agreed::NEWEST.to_string();
    first.kill();
    first = Node::start_with(joiner(&secret), &path("n1"), &path("s1"), &["--node", "n1", "--join", &port]);
    until("all read the newer one", || format(&first) == newest && format(&second) == newest);
    assert_eq!(printed(&cli(&folder.0, &host(&first), &["get", "k"])), "v\n");

    // There is no way back.
    second.kill();
    let refused = joiner(&secret)
        .args(["--listen", "127.0.0.1:0", "--read-listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0"])
        .args(["--admin-listen", "127.0.0.1:0", "--data"])
        .arg(path("n2"))
        .args(join)
        .args(old)
        .output()
        .expect("it runs");
    failed(&refused, 1, &format!("the cluster writes format {newest}, and this node reads up to 1"));
}
