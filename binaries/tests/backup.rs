//! `mneme-cli backup` against real nodes.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use mneme_kernel::resp::Value;
use support::{Client, Folder, Node, PASSWORD};

fn cli(folder: &Path, node: &Node, args: &[&str]) -> Output {
    let mut cli = Command::new(env!("CARGO_BIN_EXE_mneme-cli"));
    let host = format!("127.0.0.1:{}", node.port);
    cli.env("MNEME_PASSWORD", PASSWORD).env_remove("MNEME_DATA").current_dir(folder);
    cli.args(["-H", &host, "-u", "admin", "--insecure"]).args(args).output().expect("the CLI runs")
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn start(folder: &Folder) -> Node {
    // A log of so few bytes has snapshots made all the time.
    let options = ["--snapshot-log-bytes", "64kb"];
    Node::start(&folder.0.join("data"), &folder.0.join("socket"), &options)
}

fn ask(client: &mut Client, line: &str) -> Value {
    client.ask(&line.split(' ').collect::<Vec<_>>()).expect("an answer")
}

fn digest(client: &mut Client) -> Value {
    match ask(client, "DEBUG DIGEST") {
        Value::Array(mut items) => items.pop().expect("the digest"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_backup_made_under_load_restores_to_the_same_digest() {
    let (from, to) = (Folder::new("from"), Folder::new("to"));
    let source = start(&from);
    let mut client = source.client().expect("it serves");
    assert_eq!(ask(&mut client, "DATABASE CREATE dropped"), Value::Int(16));
    assert_eq!(ask(&mut client, "DATABASE CREATE shop"), Value::Int(17));
    for line in [
        "DATABASE SET shop CONSISTENCY ALL",
        "DATABASE SET 3 CONSISTENCY EVENTUAL",
        "USER CREATE bob PASSWORD p ROLE readonly DATABASES shop 2",
        "SELECT shop",
        "SET item 1 PX 100000000",
        "SELECT 2",
        "SET two 2",
        "SETRANGE two 5 patched",
        "SELECT dropped",
        "SET lost 1",
        "SELECT 0",
        "SWAPDB 2 5",
        "DATABASE DROP dropped",
        "SAVE",
    ] {
        let answer = ask(&mut client, line);
        assert!(!matches!(answer, Value::Error(_)), "{line}: {answer:?}");
    }
    let stop = AtomicBool::new(false);
    let file = from.0.join("b.mneme");
    let file = file.to_str().expect("text");
    thread::scope(|scope| {
        for writer in 0..2 {
            let (source, stop) = (&source, &stop);
            scope.spawn(move || {
                let mut client = source.client().expect("it serves");
                let mut round = 0;
                while !stop.load(Ordering::Relaxed) {
                    let key = format!("key:{writer}:{}", round % 500);
                    let value = "v".repeat(round % 300);
                    client.ask(&["SET", &key, &value]).expect("written");
                    client.ask(&["APPEND", &key, "more"]).expect("written");
                    if round % 7 == 0 {
                        client.ask(&["DEL", &format!("key:{writer}:{}", (round + 250) % 500)]).expect("written");
                    }
                    round += 1;
                }
            });
        }
        // What was acknowledged before must be in it; what comes meanwhile may be.
        let mut client = source.client().expect("it serves");
        for number in 0..200 {
            client.ask(&["SET", &format!("before:{number}"), "1"]).expect("written");
        }
        let made = cli(&from.0, &source, &["backup", "create", file]);
        stop.store(true, Ordering::Relaxed);
        done(&made);
    });
    done(&cli(&from.0, &source, &["backup", "verify", file]));

    let target = start(&to);
    let dry = done(&cli(&to.0, &target, &["backup", "restore", file, "--dry-run"]));
    assert!(dry.starts_with("would be restored"), "{dry}");
    let mut restored = target.client().expect("it serves");
    assert_eq!(ask(&mut restored, "DBSIZE"), Value::Int(0));
    done(&cli(&to.0, &target, &["backup", "restore", file]));
    let mut restored = target.client().expect("the password is the same, and yet another hash");
    assert_eq!(ask(&mut restored, "EXISTS before:0 before:199"), Value::Int(2));

    // Under load nobody knows the source's digest at the backup's index; so the copy is the source now.
    let again = to.0.join("again.mneme");
    let again = again.to_str().expect("text");
    done(&cli(&to.0, &target, &["backup", "create", again]));
    let of_copy = digest(&mut restored);
    let refused = cli(&from.0, &source, &["backup", "restore", again]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--replace"), "{refused:?}");
    ask(&mut client, "USER CREATE eve PASSWORD p ROLE admin");
    done(&cli(&from.0, &source, &["backup", "restore", again, "--replace"]));
    let mut client = source.client().expect("it serves");
    assert_eq!(digest(&mut client), of_copy);
    assert_eq!(ask(&mut client, "EXISTS before:0 before:199"), Value::Int(2));
    ask(&mut client, "SELECT shop");
    assert_eq!(ask(&mut client, "GET item"), Value::Bulk(b"1".to_vec()));
    ask(&mut client, "SELECT 5");
    assert_eq!(ask(&mut client, "GET two"), Value::Bulk(b"2\0\0\0\0patched".to_vec()));
    source.stop();
    target.stop();
}

#[test]
fn a_quiet_node_and_its_copy_have_the_same_digest() {
    let (from, to) = (Folder::new("quiet"), Folder::new("copy"));
    let source = start(&from);
    let mut client = source.client().expect("it serves");
    ask(&mut client, "USER CREATE bob PASSWORD p ROLE readwrite DATABASES 1 2 CONSISTENCY ALL");
    for number in 0..2000 {
        client.ask(&["SET", &format!("k{number}"), &"x".repeat(number % 100)]).expect("written");
    }
    ask(&mut client, "SAVE");
    ask(&mut client, "DEL k1");
    let file = from.0.join("b");
    let file = file.to_str().expect("text");
    let made = done(&cli(&from.0, &source, &["--json", "backup", "create", file]));
    assert!(made.starts_with("{\"backup\":\"created\",\"index\":"), "{made}");

    let target = start(&to);
    done(&cli(&to.0, &target, &["backup", "restore", file]));
    let mut restored = target.client().expect("it serves");
    assert_eq!(digest(&mut restored), digest(&mut client));

    let mut bytes = fs::read(file).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).expect("written");
    for what in ["verify", "restore"] {
        let refused = cli(&from.0, &source, &["backup", what, file]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("damaged"), "{refused:?}");
    }
    source.stop();
    target.stop();
}

#[test]
fn a_command_that_is_misspelt_is_explained() {
    let folder = Folder::new("misspelt");
    let node = start(&folder);
    let said = |line: &str, code: i32| {
        let refused = cli(&folder.0, &node, &line.split(' ').collect::<Vec<_>>());
        assert_eq!(refused.status.code(), Some(code), "{line}");
        String::from_utf8_lossy(&refused.stderr).into_owned()
    };
    for (line, wrong, meant) in [
        ("gett a", "unknown command 'gett'", "\"get\""),
        ("docter", "unknown command 'docter'", "\"doctor\""),
        ("cluster statsu", "cluster support disabled", "\"status\""),
        ("cluster secert", "cluster support disabled", "\"secret\""),
        ("user lst", "unknown subcommand 'lst'", "\"list\""),
    ] {
        let said = said(line, 1);
        assert!(said.contains(wrong) && said.contains(&format!("; did you mean {meant}?")), "{line}: {said}");
    }
    assert!(!said("user secert", 1).contains("did you mean"));
    assert!(said("--jsno ping", 2).contains("'--json'"));
    assert!(said("backup creat", 2).contains("backup create FILE"));
    node.stop();
}

#[test]
fn all_keys_are_walked_through() {
    let folder = Folder::new("walk");
    let node = start(&folder);
    let mut client = node.client().expect("it serves");
    for number in 0..3000 {
        client.ask(&["SET", &format!("k{number}"), "v"]).expect("written");
    }
    client.ask(&["SET", "big", &"x".repeat(10_000)]).expect("written");
    let keys = done(&cli(&folder.0, &node, &["--scan", "--pattern", "k*"]));
    assert_eq!(keys.lines().collect::<std::collections::BTreeSet<_>>().len(), 3000);
    let big = done(&cli(&folder.0, &node, &["--json", "--bigkeys"]));
    assert!(big.contains(r#""type":"string","keys":3001"#) && big.contains(r#""largest":"big""#), "{big}");
    let lines = done(&cli(&folder.0, &node, &["--stat", "-r", "2", "-i", "0.01"]));
    assert!(lines.lines().count() == 3 && lines.contains("primary") && lines.contains("3001"), "{lines}");
    let times = done(&cli(&folder.0, &node, &["--latency", "-i", "0.1"]));
    assert!(times.starts_with("min ") && times.contains("samples"), "{times}");
    let spread = done(&cli(&folder.0, &node, &["--latency-dist", "-i", "0.1"]));
    assert!(spread.starts_with("up to ") && spread.contains("% (") && spread.lines().count() == 1, "{spread}");
    let begun = std::time::Instant::now();
    assert_eq!(done(&cli(&folder.0, &node, &["-r", "3", "-i", "0.05", "incr", "count"])), "1\n2\n3\n");
    assert!(begun.elapsed().as_millis() >= 100, "there is a pause between two");
    for (form, shown) in [("--json", "[\"3\",null]\n"), ("--csv", "\"3\",\n"), ("--raw", "3\n\n")] {
        assert_eq!(done(&cli(&folder.0, &node, &[form, "mget", "count", "none"])), shown, "{form}");
    }
    done(&cli(&folder.0, &node, &["user", "create", "ann", "password", "p", "role", "readonly"]));
    assert!(done(&cli(&folder.0, &node, &["--json", "user", "list"])).contains("\"ann\""));
    let well = cli(&folder.0, &node, &["doctor"]);
    assert!(well.status.success() && String::from_utf8_lossy(&well.stdout).contains("test is primary"), "{well:?}");
    node.stop();
}
