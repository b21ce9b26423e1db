//! What earlier versions wrote is read, and what a newer one wrote is refused and left as it is.
//!
//! `tests/fixtures/format-N` is the folder of a node on its own, and a backup of it, as the last version that wrote format
//! N left them. Before a format changes, this writes them anew, with the program as it still is:
//!
//! ```text
//! MNEME_FIXTURE=format-2 cargo test -p mneme-binaries --test upgrade -- --ignored
//! ```

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mneme_kernel::resp::Value;
use mneme_kernel::wal::Checksum;
use support::{Client, Folder, Node, PASSWORD, PATIENCE, program};

const CHECKSUM: Checksum = crc32c::crc32c_append;
/// The year 2100, in milliseconds.
const FAR: &str = "4102444800000";

/// What the node of a fixture was told; the log is snapshotted where it says `SAVE`, the rest is in the log alone.
const TOLD: &[&str] = &[
    "SET text hello",
    "SET number 41",
    "SETRANGE sparse 2000 end",
    "SET gone 1",
    "SET removed 1",
    "SET far kept PXAT 4102444800000",
    "SET soon lost PX 1",
    "SETBIT bits 100 1",
    "DATABASE CREATE dropped",
    "DATABASE CREATE shop",
    "DATABASE SET shop CONSISTENCY ALL",
    "DATABASE SET 3 CONSISTENCY EVENTUAL",
    "USER CREATE bob PASSWORD bobs-password ROLE readonly DATABASES shop 2 CONSISTENCY EVENTUAL",
    "USER CREATE eve PASSWORD p ROLE readwrite",
    "SELECT shop",
    "SET item 1",
    "SELECT 2",
    "SET two 2",
    "SELECT 0",
    "DATABASE DROP dropped",
    "SAVE",
    "DEL removed",
    "INCR number",
    "SELECT shop",
    "APPEND item 0",
    "PEXPIREAT item 4102444800000",
    "SELECT 2",
    "SWAPDB 2 5",
    "SELECT 0",
    "GETDEL gone",
    "MSET multi:1 a multi:2 b",
    "USER SET bob ROLE readwrite",
    "USER DROP eve",
    "USER CREATE ann PASSWORD p ROLE admin",
];

const USERS: [&str; 3] = [
    r#"{"name":"admin","role":"admin","databases":["*"],"consistency":null}"#,
    r#"{"name":"ann","role":"admin","databases":["*"],"consistency":null}"#,
    r#"{"name":"bob","role":"readwrite","databases":["2","shop"],"consistency":"EVENTUAL"}"#,
];

fn ask<S: std::io::Read + std::io::Write>(client: &mut Client<S>, line: &str) -> Value {
    client.ask(&line.split(' ').collect::<Vec<_>>()).expect("an answer")
}

fn start(folder: &Folder) -> Node {
    Node::start(&folder.0.join("data"), &folder.0.join("socket"), &[])
}

fn cli(node: &Node, args: &[&str]) -> Output {
    let mut cli = program(env!("CARGO_BIN_EXE_mneme-cli"));
    cli.env("MNEME_PASSWORD", PASSWORD).args(["-H", &format!("127.0.0.1:{}", node.port), "--insecure"]);
    cli.args(args).output().expect("the CLI runs")
}

fn done(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copied");
        }
    }
}

/// Everything that a node which was [`TOLD`] holds, and nothing else.
fn look(node: &Node) {
    let mut client = node.client().expect("the password is known");
    let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
    let far = Value::Int(FAR.parse().expect("a number"));
    let (for_ever, absent) = (Value::Int(-1), Value::Int(-2));
    ask(&mut client, "SELECT 0");
    assert_eq!(ask(&mut client, "DBSIZE"), Value::Int(7));
    let sparse = format!("{}end", "\0".repeat(2000));
    let bits = "\0".repeat(12) + "\x08";
    for (key, value, deadline) in [
        ("text", "hello", &for_ever),
        ("number", "42", &for_ever),
        ("sparse", sparse.as_str(), &for_ever),
        ("far", "kept", &far),
        ("bits", bits.as_str(), &for_ever),
        ("multi:1", "a", &for_ever),
        ("multi:2", "b", &for_ever),
    ] {
        assert_eq!(ask(&mut client, &format!("GET {key}")), bulk(value), "{key}");
        assert_eq!(ask(&mut client, &format!("PEXPIRETIME {key}")), *deadline, "{key}");
        assert_eq!(ask(&mut client, &format!("TYPE {key}")), Value::Simple("string".into()), "{key}");
    }
    for key in ["gone", "removed", "soon"] {
        assert_eq!(ask(&mut client, &format!("PEXPIRETIME {key}")), absent, "{key}");
    }
    for (database, key, value, deadline) in [("shop", "item", "10", far), ("5", "two", "2", for_ever)] {
        ask(&mut client, &format!("SELECT {database}"));
        assert_eq!(ask(&mut client, "DBSIZE"), Value::Int(1));
        assert_eq!(ask(&mut client, &format!("GET {key}")), bulk(value));
        assert_eq!(ask(&mut client, &format!("PEXPIRETIME {key}")), deadline);
    }
    ask(&mut client, "SELECT 2");
    assert_eq!(ask(&mut client, "DBSIZE"), Value::Int(0), "SWAPDB exchanged it");
    let listed = |what: &str| {
        let list = cli(node, &["--json", what, "list"]);
        done(&list);
        String::from_utf8(list.stdout).expect("text").trim_end().to_owned()
    };
    assert_eq!(listed("user"), format!("[{}]", USERS.join(",")));
    let databases = listed("database");
    for (number, name, keys, level) in [
        (0, "null", 7, "null"),
        (2, "null", 0, "null"),
        (3, "null", 0, "\"EVENTUAL\""),
        (5, "null", 1, "null"),
        (17, "\"shop\"", 1, "\"ALL\""),
    ] {
        let shown = format!("{{\"number\":{number},\"name\":{name},\"keys\":{keys},\"consistency\":{level}}}");
        assert!(databases.contains(&shown), "{shown}: {databases}");
    }
    assert_eq!(databases.matches("number").count(), 17);
    assert_eq!(ask(&mut client, "AUTH bob bobs-password"), Value::Simple("OK".into()));
    ask(&mut client, "SELECT shop");
    assert_eq!(ask(&mut client, "GET item"), bulk("10"));
    assert!(matches!(ask(&mut client, "SELECT 0"), Value::Error(_)), "no database of bob's");
}

#[test]
fn what_earlier_versions_wrote_is_read() {
    let mut formats = 0;
    for format in fs::read_dir(fixtures()).expect("there are some") {
        let format = format.expect("a folder").path();
        println!("{}", format.display());
        let folder = Folder::new("upgrade");
        copy(&format.join("data"), &folder.0.join("data"));
        let node = start(&folder);
        look(&node);
        node.stop();
        // What it has written by now is read as well.
        let node = start(&folder);
        look(&node);
        node.stop();

        let folder = Folder::new("restored");
        let node = start(&folder);
        let backup = format.join("backup").display().to_string();
        done(&cli(&node, &["backup", "verify", &backup]));
        done(&cli(&node, &["backup", "restore", &backup]));
        look(&node);
        node.stop();
        formats += 1;
    }
    assert!(formats > 0);
}

/// A node's folder with a snapshot and a log behind it; it is stopped.
fn written(name: &str) -> Folder {
    let folder = Folder::new(name);
    let node = start(&folder);
    let mut client = node.client().expect("it serves");
    for line in TOLD {
        let answer = ask(&mut client, line);
        assert!(!matches!(answer, Value::Error(_)), "{line}: {answer:?}");
    }
    // The key has to be gone before anybody counts.
    while ask(&mut client, "EXISTS soon") != Value::Int(0) {}
    done(&cli(&node, &["backup", "create", &folder.0.join("backup").display().to_string()]));
    node.stop();
    folder
}

/// All files with what is in them.
fn content(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            content(&path, files);
        } else {
            files.insert(path.clone(), fs::read(path).expect("its bytes"));
        }
    }
}

/// Raises the version in a head (magic, version, checksum); `summed` are the bytes that its checksum is over.
fn raise(file: &Path, summed: impl Fn(&[u8]) -> Vec<u8>) {
    let mut bytes = fs::read(file).expect("its bytes");
    let sum = |bytes: &[u8]| CHECKSUM(0, &summed(bytes)).to_le_bytes();
    assert_eq!(bytes[12..16], sum(&bytes), "the checksum is understood");
    bytes[8] += 1;
    let new = sum(&bytes);
    bytes[12..16].copy_from_slice(&new);
    fs::write(file, bytes).expect("written");
}

/// Starts a node on what a newer version left behind; it must refuse, name the file, and change nothing.
fn refused(node: &str, data: &Path, file: &Path) {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    content(data, &mut before);
    let mut core = program(env!("CARGO_BIN_EXE_mneme-core"));
    core.args(["--node", node, "--listen", "127.0.0.1:0", "--read-listen", "127.0.0.1:0"]);
    core.args(["--cluster-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"]).arg(data);
    let mut process = core.stderr(Stdio::piped()).spawn().expect("it starts");
    let begun = Instant::now();
    while process.try_wait().expect("it is ours").is_none() && begun.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(20));
    }
    // Nothing, once it has ended.
    let _ = process.kill();
    let refused = process.wait_with_output().expect("it has ended");
    content(data, &mut after);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    let name = file.strip_prefix(data).expect("in the folder").display();
    assert!(said.contains(&format!("{name} was written by a newer version of Mneme; start that version")), "{said}");
    assert!(!said.contains("damaged"), "{said}");
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(before == after, "something was changed");
}

/// What a segment's checksum is over.
fn of_segment(bytes: &[u8]) -> Vec<u8> {
    [&bytes[..12], &[0; 4], &bytes[16..48]].concat()
}

/// The log's segments in order.
fn segments(data: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join("log")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    files.sort();
    files
}

#[test]
fn what_a_newer_version_wrote_is_refused_and_left_as_it_is() {
    let folder = written("newer-log");
    let data = folder.0.join("data");
    let first = segments(&data).swap_remove(0);
    raise(&first, of_segment);
    refused("test", &data, &first);

    let folder = written("newer-end");
    let data = folder.0.join("data");
    start(&folder).stop();
    let segments = segments(&data);
    assert!(segments.len() > 1, "{segments:?}");
    let newest = segments.last().expect("there are several");
    raise(newest, of_segment);
    refused("test", &data, newest);

    let folder = written("newer-snap");
    let data = folder.0.join("data");
    let files = fs::read_dir(data.join("snapshot")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut manifests = files.filter(|path| path.extension().is_some_and(|end| end == "snapshot"));
    let manifest = manifests.next().expect("there is a snapshot");
    raise(&manifest, |bytes| [&bytes[..12], &bytes[16..]].concat());
    refused("test", &data, &manifest);
}

/// What is damaged is moved aside where others have it; this is not damaged.
#[test]
fn what_a_newer_version_wrote_stays_where_others_have_the_data_too() {
    let folder = Folder::new("newer-of-two");
    let first = Node::start(&folder.0.join("n1"), &folder.0.join("s1"), &[]);
    let cluster = first.ready.split(' ').find_map(|part| part.strip_prefix("cluster=")).expect("it is in the line");
    let mut joiner = program(env!("CARGO_BIN_EXE_mneme-core"));
    joiner.env("MNEME_CLUSTER_SECRET_FILE", folder.0.join("n1/cluster-secret"));
    let (data, socket) = (folder.0.join("n2"), folder.0.join("s2"));
    let mut second = Node::start_with(joiner, &data, &socket, &["--node", "n2", "--join", cluster]);
    let knows = || fs::read(data.join("cluster")).is_ok_and(|known| known.windows(4).any(|word| word == b"test"));
    let begun = Instant::now();
    while !knows() {
        assert!(begun.elapsed() < PATIENCE, "it does not hear of the other Keeper");
        thread::sleep(Duration::from_millis(20));
    }
    second.kill();
    let newest = segments(&data).pop().expect("it has a log");
    raise(&newest, of_segment);
    refused("n2", &data, &newest);
}

#[test]
fn a_backup_of_a_newer_version_is_refused() {
    let folder = written("newer-backup");
    let backup = folder.0.join("backup");
    let mut bytes = fs::read(&backup).expect("its bytes");
    bytes[8] += 1;
    // Each checksum is over everything before it but the checksums.
    let (mut sum, mut at) = (CHECKSUM(0, &bytes[..12]), 12);
    while at < bytes.len() {
        let end = at + 5 + u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        sum = CHECKSUM(sum, &bytes[at..end]);
        bytes[end..end + 4].copy_from_slice(&sum.to_le_bytes());
        at = end + 4;
    }
    fs::write(&backup, &bytes).expect("written");
    let target = Folder::new("target");
    let node = start(&target);
    for what in ["verify", "restore"] {
        let refused = cli(&node, &["backup", what, &backup.display().to_string()]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&backup.display().to_string()), "{said}");
        assert!(said.contains("newer version of Mneme, whose mneme-cli restores it"), "{said}");
    }
    assert_eq!(ask(&mut node.client().expect("it serves"), "DBSIZE"), Value::Int(0));
    assert_eq!(fs::read(&backup).expect("its bytes"), bytes);
    node.stop();
}

#[test]
#[ignore = "writes the fixtures"]
fn fixtures_are_written() {
    let name = std::env::var("MNEME_FIXTURE").expect("MNEME_FIXTURE=format-N");
    let to = fixtures().join(name);
    assert!(!to.exists(), "there is one already");
    let folder = written("fixture");
    copy(&folder.0.join("data"), &to.join("data"));
    fs::copy(folder.0.join("backup"), to.join("backup")).expect("copied");
    let _ = fs::remove_file(to.join("data/lock"));
    // The space that a segment was given, and did not need.
    for entry in fs::read_dir(to.join("data/log")).expect("it is there") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("its bytes");
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        fs::write(path, &bytes[..used.max(64).min(bytes.len())]).expect("written");
    }
}
