//! `mneme-cli import` and `export` against a real redis-server. What arrives is compared by ordinary commands on both sides.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mneme_kernel::resp::{Value, encode_command};
use support::{Client, Folder, Node, PASSWORD, PATIENCE, free_port};

const DATABASES: usize = 16;

/// A running redis-server. It is killed when this is dropped.
struct Redis {
    process: Child,
    socket: PathBuf,
    port: u16,
}

impl Redis {
    /// `None` where there is none, unless there must be.
    fn start(folder: &Path, options: &[&str]) -> Option<Redis> {
        let socket = folder.join("redis");
        let port = free_port();
        let mut redis = Command::new("redis-server");
        redis.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--unixsocket"]).arg(&socket);
        redis.arg("--dir").arg(folder).args(options).stdout(Stdio::null());
        let process = match redis.spawn() {
            Ok(process) => process,
            Err(why) => {
                assert!(std::env::var_os("MNEME_REQUIRE_REDIS").is_none(), "redis-server does not run: {why}");
                eprintln!("skipped: there is no redis-server here");
                return None;
            }
        };
        let redis = Redis { process, socket, port };
        let begun = Instant::now();
        while UnixStream::connect(&redis.socket).is_err() {
            assert!(begun.elapsed() < PATIENCE, "redis-server does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Some(redis)
    }

    fn client(&self) -> Client {
        let stream = UnixStream::connect(&self.socket).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Client::new(stream)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn cli(folder: &Path, node: &Node) -> Command {
    cli_as("admin", PASSWORD, folder, node)
}

fn cli_as(user: &str, password: &str, folder: &Path, node: &Node) -> Command {
    let mut cli = support::program(env!("CARGO_BIN_EXE_mneme-cli"));
    let host = format!("127.0.0.1:{}", node.port);
    cli.env("MNEME_PASSWORD", password).current_dir(folder).args(["-H", &host, "-u", user, "--insecure"]);
    cli
}

fn run(folder: &Path, node: &Node, args: &[&str]) -> Output {
    cli(folder, node).args(args).output().expect("the CLI runs")
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn refused(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn ask(client: &mut Client, words: &[&[u8]]) -> Value {
    let mut bytes = Vec::new();
    encode_command(words, &mut bytes);
    client.stream.write_all(&bytes).expect("it takes commands");
    client.answer().expect("an answer")
}

/// Does what a line says, of words without spaces; it must not be refused.
fn tell(client: &mut Client, line: &str) -> Value {
    let answer = client.ask(&line.split(' ').collect::<Vec<_>>()).expect("an answer");
    assert!(!matches!(answer, Value::Error(_)), "{line}: {answer:?}");
    answer
}

/// Every type in every encoding that this version makes.
fn fill(client: &mut Client) {
    let every: Vec<u8> = (0..=255).collect();
    ask(client, &[b"SET", b"text:bytes", &every]);
    ask(client, &[b"SET", &every, b"a key of bytes"]);
    ask(client, &[b"SET", b"text:long", &b"abc".repeat(5000)]);
    ask(client, &[b"HSET", b"hash:bytes", &every, &every]);
    for line in [
        "SET text:number 12345",
        "SET text:negative -70000",
        "SET text:large 123456789012",
        "SET text:deadline v PX 100000000",
        "SET text:seconds v EX 100000",
        "SETBIT text:bits 100 1",
        "PFADD text:sketch a b c",
        "ZADD zset:ends -inf low 0.1 mid inf high -0.5 neg",
        "GEOADD zset:places 13.361389 38.115556 Palermo",
        "RPUSH list:plain short",
    ] {
        tell(client, line);
    }
    ask(client, &[b"RPUSH", b"list:plain", &[b'x'; 100_000], &[b'y'; 70_000], b"z"]);
    ask(client, &[b"HSET", b"hash:value", b"field", &[b'z'; 1000]]);
    for size in [3usize, 700] {
        for n in 0..size {
            let word = if n % 3 == 0 { n.to_string() } else { format!("word-{n}") };
            for line in [
                format!("RPUSH list:{size} {word}"),
                format!("SADD set:{size} {word}"),
                format!("SADD numbers:{size} {}", n as i64 * 70_000 - 9),
                format!("HSET hash:{size} {word} {n}"),
                format!("ZADD zset:{size} {} {word}", n as f64 * 0.37),
            ] {
                tell(client, &line);
            }
        }
        tell(client, &format!("PEXPIRE hash:{size} 100000000"));
    }
    fill_streams(client);
    for line in [
        "SELECT 5",
        "SET five 5",
        "HSET five:hash a b",
        "PEXPIRE five:hash 90000000",
        "SELECT 15",
        "SADD last 1",
        "SELECT 0",
    ] {
        tell(client, line);
    }
    let code = b"#!lua name=mylib\nredis.register_function('answer', function() return 42 end)";
    ask(client, &[b"FUNCTION", b"LOAD", code]);
}

fn fill_streams(client: &mut Client) {
    for n in 0..700 {
        tell(client, &format!("XADD stream:700 {}-{} a {n} b word-{n}", 1000 + n / 3, n % 3 + 1));
    }
    for n in 0..40 {
        tell(client, &format!("XADD stream:700 {}-0 other{n} {n}", 5000 + n));
    }
    for line in [
        "XDEL stream:700 1050-1 1100-2",
        "XTRIM stream:700 MAXLEN 600",
        "XGROUP CREATE stream:700 first 0",
        "XGROUP CREATE stream:700 second $",
        "XGROUP CREATE stream:700 third 1100-1 ENTRIESREAD 77",
        "XGROUP CREATECONSUMER stream:700 first idle",
        "XREADGROUP GROUP first ann COUNT 20 STREAMS stream:700 >",
        "XREADGROUP GROUP first bob COUNT 5 STREAMS stream:700 >",
        "XCLAIM stream:700 first bob 0 1047-1 1047-2 1047-3 RETRYCOUNT 9",
        "XACK stream:700 first 1048-1",
        "XDEL stream:700 1049-2",
        "XADD stream:empty 1-1 a b",
        "XGROUP CREATE stream:empty g 0",
        "XDEL stream:empty 1-1",
        "XADD stream:id 7-7 a b",
        "XSETID stream:id 99-1 ENTRIESADDED 500 MAXDELETEDID 8-8",
    ] {
        tell(client, line);
    }
}

/// What each key of each database is, in the words of ordinary commands.
fn contents(client: &mut Client) -> BTreeMap<(usize, Vec<u8>), String> {
    let mut all = BTreeMap::new();
    for database in 0..DATABASES {
        tell(client, &format!("SELECT {database}"));
        let Value::Array(keys) = tell(client, "KEYS *") else { panic!("no keys") };
        for key in keys {
            let key = key.as_bytes().expect("a key").to_vec();
            let value = content(client, &key);
            let deadline = ask(client, &[b"PEXPIRETIME", &key]);
            all.insert((database, key), format!("{value} {deadline:?}"));
        }
    }
    tell(client, "SELECT 0");
    all
}

fn content(client: &mut Client, key: &[u8]) -> String {
    let Value::Simple(kind) = ask(client, &[b"TYPE", key]) else { panic!("no type") };
    let mut words = |words: &[&[u8]]| match ask(client, words) {
        Value::Array(items) => items.iter().map(|item| item.as_bytes().expect("a word").to_vec()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let shown = match kind.as_str() {
        "string" => format!("{:?}", ask(client, &[b"GET", key])),
        "list" => format!("{:?}", words(&[b"LRANGE", key, b"0", b"-1"])),
        "set" => format!("{:?}", words(&[b"SMEMBERS", key]).into_iter().collect::<BTreeSet<_>>()),
        "hash" => format!("{:?}", pairs(words(&[b"HGETALL", key])).into_iter().collect::<BTreeMap<_, _>>()),
        "zset" => {
            // 7.0 writes scores with more digits than they need.
            let score = |text: Vec<u8>| String::from_utf8(text).expect("text").parse::<f64>().expect("a number");
            let scored = pairs(words(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"])).into_iter();
            format!("{:?}", scored.map(|(member, text)| (member, score(text))).collect::<Vec<_>>())
        }
        "stream" => format!("{:?}", plain(ask(client, &[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"]))),
        "ReJSON-RL" => format!("{:?}", ask(client, &[b"JSON.GET", key])),
        other => panic!("{other}"),
    };
    format!("{kind} {shown}")
}

fn pairs(words: Vec<Vec<u8>>) -> Vec<(Vec<u8>, Vec<u8>)> {
    words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// Without what is of one server only.
fn plain(value: Value) -> Value {
    const LEFT_OUT: [&[u8]; 3] = [b"radix-tree-keys", b"radix-tree-nodes", b"active-time"];
    let Value::Array(items) = value else { return value };
    let mut items = items.into_iter();
    let mut kept = Vec::new();
    while let Some(item) = items.next() {
        if item.as_bytes().is_some_and(|name| LEFT_OUT.contains(&name)) {
            items.next();
        } else {
            kept.push(plain(item));
        }
    }
    Value::Array(kept)
}

fn start(folder: &Folder) -> Node {
    Node::start(&folder.0.join("data"), &folder.0.join("socket"), &[])
}

/// Compares, and names what differs.
fn assert_same(source: &mut Client, target: &mut Client) {
    let (source, target) = (contents(source), contents(target));
    for (key, value) in &source {
        let of_target = target.get(key);
        assert_eq!(of_target, Some(value), "{} {}", key.0, key.1.escape_ascii());
    }
    let others: Vec<_> = target.keys().filter(|key| !source.contains_key(key)).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn a_file_of_redis_arrives_whole() {
    let folder = Folder::new("rdb");
    let Some(redis) = Redis::start(&folder.0, &[]) else { return };
    let mut source = redis.client();
    fill(&mut source);
    let encodings: BTreeSet<String> = contents(&mut source)
        .keys()
        .filter(|(database, _)| *database == 0)
        .map(|(_, key)| format!("{:?}", ask(&mut source, &[b"OBJECT", b"ENCODING", key])))
        .collect();
    assert!(encodings.len() >= 9, "every encoding is to be there: {encodings:?}");
    tell(&mut source, "SAVE");

    let node = start(&folder);
    let looked = done(&run(&folder.0, &node, &["import", "dump.rdb", "--dry-run"]));
    assert!(looked.starts_with("in the file: ") && looked.contains("database 5: hash: 1 keys"), "{looked}");
    assert!(looked.contains("big: \"stream:700\" in database 0"), "{looked}");
    let report = done(&run(&folder.0, &node, &["import", "dump.rdb"]));
    assert!(report.contains("1 libraries") && report.contains("database 0: stream: 3 keys"), "{report}");
    assert!(report.contains("keys were read back and are the same"), "{report}");
    let mut target = node.client().expect("it serves");
    assert_same(&mut source, &mut target);
    assert_eq!(tell(&mut target, "FCALL answer 0"), Value::Int(42));
    assert!(!folder.0.join("dump.rdb.import-state").exists(), "it is done");

    // What is there stays, unless it is said what is to become of it.
    let why = refused(&run(&folder.0, &node, &["import", "dump.rdb"]), 1);
    assert!(why.contains("--replace") && why.contains("database 0 holds"), "{why}");
    tell(&mut target, "SET other 1");
    done(&run(&folder.0, &node, &["import", "dump.rdb", "--merge"]));
    assert_eq!(tell(&mut target, "GET other"), Value::Bulk(b"1".to_vec()));
    let json = done(&run(&folder.0, &node, &["--json", "import", "dump.rdb", "--replace"]));
    assert!(json.starts_with("{\"import\":\"imported\",\"keys\":"), "{json}");
    assert_same(&mut source, &mut target);
    let why = refused(&run(&folder.0, &node, &["import", "dump.rdb", "--replace", "--database", "5=shop"]), 1);
    assert!(why.contains("DATABASE CREATE"), "{why}");
    tell(&mut target, "DATABASE CREATE shop");
    done(&run(&folder.0, &node, &["import", "dump.rdb", "--replace", "--database", "5=shop"]));
    tell(&mut target, "SELECT shop");
    assert_eq!(tell(&mut target, "GET five"), Value::Bulk(b"5".to_vec()));
    node.stop();
}

#[test]
fn a_damaged_file_changes_nothing() {
    let folder = Folder::new("rdbbad");
    let Some(redis) = Redis::start(&folder.0, &[]) else { return };
    let mut source = redis.client();
    fill(&mut source);
    tell(&mut source, "SAVE");
    let node = start(&folder);
    let path = folder.0.join("dump.rdb");
    let sound = fs::read(&path).expect("the file");
    let mut damaged = sound.clone();
    damaged[sound.len() / 2] ^= 1;
    fs::write(&path, &damaged).expect("written");
    let why = refused(&run(&folder.0, &node, &["import", "dump.rdb", "--replace"]), 1);
    assert!(why.contains("damaged"), "{why}");
    fs::write(&path, &sound[..sound.len() - 20]).expect("written");
    refused(&run(&folder.0, &node, &["import", "dump.rdb", "--replace"]), 1);
    assert_eq!(tell(&mut node.client().expect("it serves"), "DBSIZE"), Value::Int(0));
    refused(&run(&folder.0, &node, &["import", "none.rdb"]), 2);
    refused(&run(&folder.0, &node, &["-n", "3", "import", "dump.rdb"]), 2);
    node.stop();
}

#[test]
fn what_is_not_known_is_named_or_left_out() {
    let folder = Folder::new("unknown");
    // A value of a module and a string; without a checksum.
    let module = b"\x07\x01m\x81\x82\x1a\x57\x7d\xa5\xab\x5a\x00\x05\x02hi\x00";
    let bytes = [b"REDIS0009\xfe\x00", &module[..], b"\x00\x01a\x01b\xff\0\0\0\0\0\0\0\0"].concat();
    fs::write(folder.0.join("dump.rdb"), bytes).expect("written");
    let node = start(&folder);
    let looked = done(&run(&folder.0, &node, &["import", "dump.rdb", "--dry-run"]));
    assert!(looked.contains("left out: 1 keys: a value of the module type"), "{looked}");
    let why = refused(&run(&folder.0, &node, &["import", "dump.rdb"]), 1);
    assert!(why.contains("key \"m\" in database 0") && why.contains("--skip-unknown"), "{why}");
    let mut client = node.client().expect("it serves");
    assert_eq!(tell(&mut client, "DBSIZE"), Value::Int(0));
    let report = done(&run(&folder.0, &node, &["import", "dump.rdb", "--skip-unknown"]));
    assert!(report.contains("left out: 1 keys") && report.contains("verified: 1 keys"), "{report}");
    assert_eq!(tell(&mut client, "GET a"), Value::Bulk(b"b".to_vec()));
    assert_eq!(tell(&mut client, "DBSIZE"), Value::Int(1));
    node.stop();
}

/// One user may write no key `bad`: there the first import ends.
#[test]
fn an_import_that_was_interrupted_goes_on_where_it_stopped() {
    let folder = Folder::new("goon");
    let node = start(&folder);
    let line = |key: String| format!("{{\"db\":0,\"key\":\"{key}\",\"type\":\"string\",\"value\":\"v\"}}\n");
    let keys = (0..200).map(|n| if n == 150 { "bad".to_owned() } else { format!("ok:{n}") });
    fs::write(folder.0.join("lines"), keys.map(line).collect::<String>()).expect("written");
    let mut client = node.client().expect("it serves");
    tell(&mut client, "USER CREATE app PASSWORD secret ROLE readwrite");
    tell(&mut client, "ACL SETUSER app resetkeys ~ok:*");
    let as_app = |args: &[&str]| cli_as("app", "secret", &folder.0, &node).args(args).output().expect("the CLI runs");
    let why = refused(&as_app(&["import", "lines"]), 1);
    assert!(why.contains("key \"bad\"") && why.contains("goes on"), "{why}");
    // What was acknowledged is not written again.
    assert_eq!(tell(&mut client, "DEL ok:7"), Value::Int(1));
    let other = refused(&as_app(&["import", "lines", "--database", "0=1"]), 2);
    assert!(other.contains("notes how far"), "{other}");
    let why = refused(&run(&folder.0, &node, &["import", "lines"]), 1);
    assert!(why.contains("\"ok:7\" in database 0") && why.contains("not the same"), "{why}");
    assert_eq!(tell(&mut client, "EXISTS bad ok:149 ok:199"), Value::Int(3));
    assert_eq!(tell(&mut client, "DBSIZE"), Value::Int(199));
    node.stop();
}

#[test]
fn a_running_redis_is_followed_until_it_is_cut_over() {
    let folder = Folder::new("live");
    let Some(redis) = Redis::start(&folder.0, &["--notify-keyspace-events", "Ex"]) else { return };
    let mut source = redis.client();
    fill(&mut source);
    for n in 0..3000 {
        tell(&mut source, &format!("SET before:{n} {n}"));
    }
    tell(&mut source, "SELECT 2");
    tell(&mut source, "SET goes unnoticed");
    tell(&mut source, "SELECT 0");
    let node = start(&folder);
    let why = refused(&run(&folder.0, &node, &["import", &redis.url()]), 1);
    assert!(why.contains("--set-notifications") && why.contains("CONFIG SET notify-keyspace-events"), "{why}");

    let writing = AtomicBool::new(true);
    let mut target = node.client().expect("it serves");
    thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(&mut redis.client(), &writing));
        let mut import = cli(&folder.0, &node);
        import.args(["import", &redis.url(), "--set-notifications"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut import = import.spawn().expect("the CLI runs");
        let mut said = BufReader::new(import.stderr.take().expect("piped")).lines().map_while(Result::ok);
        assert!(said.any(|line| line.starts_with("copied")), "it does not follow");
        // What changes from now on arrives.
        tell(&mut source, "SET mark 1");
        wait_for(|| tell(&mut target, "GET mark") == Value::Bulk(b"1".to_vec()));
        tell(&mut source, "DEL mark");
        wait_for(|| tell(&mut target, "GET mark") == Value::Null);
        // A listener that is cut off listens again, and everything is compared.
        tell(&mut source, "CLIENT KILL TYPE pubsub");
        assert!(said.any(|line| line.starts_with("changes were missed")), "it goes unnoticed");
        assert!(said.any(|line| line.starts_with("compared")), "it does not follow again");
        tell(&mut source, "SET mark 2");
        wait_for(|| tell(&mut target, "GET mark") == Value::Bulk(b"2".to_vec()));
        // Of this no notification tells.
        tell(&mut source, "SELECT 2");
        tell(&mut source, "FLUSHDB");
        tell(&mut source, "SELECT 0");
        writing.store(false, Ordering::Relaxed);
        writer.join().expect("it wrote");
        let interrupted = Command::new("kill").args(["-INT", &import.id().to_string()]).status();
        assert!(interrupted.expect("kill runs").success());
        let rest: Vec<String> = said.collect();
        let output = import.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{rest:?} {output:?}");
        let report = done(&output);
        assert!(report.contains("verified: ") && report.contains("mended: 1 keys"), "{report}");
    });
    assert_same(&mut source, &mut target);
    assert_eq!(tell(&mut target, "FCALL answer 0"), Value::Int(42));
    let Value::Array(setting) = tell(&mut source, "CONFIG GET notify-keyspace-events") else { panic!("no setting") };
    let letters: BTreeSet<u8> = setting[1].as_bytes().expect("text").iter().copied().collect();
    assert_eq!(letters, BTreeSet::from(*b"Ex"), "it is put back");

    // And without anybody who says when: it ends by itself.
    tell(&mut source, "SET later 1");
    let url = redis.url();
    let args = ["import", &url, "--until-caught-up", "--set-notifications", "--replace", "--state", "s"];
    done(&run(&folder.0, &node, &args));
    assert_same(&mut source, &mut target);
    tell(&mut source, "SET once 1");
    done(&run(&folder.0, &node, &["import", &redis.url(), "--once", "--replace"]));
    assert_same(&mut source, &mut target);
    node.stop();
}

#[test]
fn an_import_of_a_running_redis_that_was_killed_goes_on() {
    let folder = Folder::new("again");
    let Some(redis) = Redis::start(&folder.0, &["--notify-keyspace-events", "KA"]) else { return };
    let mut source = redis.client();
    fill(&mut source);
    let node = start(&folder);
    let mut import = cli(&folder.0, &node);
    let mut import = import.args(["import", &redis.url()]).stderr(Stdio::piped()).spawn().expect("the CLI runs");
    let mut said = BufReader::new(import.stderr.take().expect("piped")).lines().map_while(Result::ok);
    assert!(said.any(|line| line.starts_with("copied")), "it does not follow");
    import.kill().expect("it runs");
    import.wait().expect("it has ended");
    for line in ["DEL set:3", "SET text:number 6", "XADD stream:id * later 1", "PERSIST hash:3"] {
        tell(&mut source, line);
    }
    let report = done(&run(&folder.0, &node, &["import", &redis.url(), "--until-caught-up"]));
    assert!(report.contains("verified") && !report.contains("mended"), "{report}");
    assert_same(&mut source, &mut node.client().expect("it serves"));
    let why = refused(&run(&folder.0, &node, &["import", &redis.url(), "--once"]), 1);
    assert!(why.contains("--replace"), "it was done, and this is another one: {why}");
    node.stop();
}

#[test]
fn an_import_that_goes_on_takes_no_database_that_was_not_free() {
    let folder = Folder::new("foreign");
    let Some(redis) = Redis::start(&folder.0, &["--notify-keyspace-events", "KA"]) else { return };
    let mut source = redis.client();
    for line in ["SET first 1", "SELECT 3", "SET passing 1"] {
        tell(&mut source, line);
    }
    let node = start(&folder);
    let mut target = node.client().expect("it serves");
    for line in ["SELECT 7", "SET foreign 1"] {
        tell(&mut target, line);
    }
    let mut import = cli(&folder.0, &node);
    let mut import = import.args(["import", &redis.url()]).stderr(Stdio::piped()).spawn().expect("the CLI runs");
    let mut said = BufReader::new(import.stderr.take().expect("piped")).lines().map_while(Result::ok);
    assert!(said.any(|line| line.starts_with("copied")), "it does not follow");
    import.kill().expect("it runs");
    import.wait().expect("it has ended");
    for line in ["FLUSHDB", "SELECT 7", "SET late 1"] {
        tell(&mut source, line);
    }
    for _ in 0..2 {
        let why = refused(&run(&folder.0, &node, &["import", &redis.url(), "--until-caught-up"]), 1);
        assert!(why.contains("database 7 holds 1 keys"), "{why}");
    }
    assert_eq!(tell(&mut target, "GET foreign"), Value::Bulk(b"1".to_vec()), "it was there before");
    tell(&mut target, "DEL foreign");
    done(&run(&folder.0, &node, &["import", &redis.url(), "--until-caught-up"]));
    assert_same(&mut source, &mut target);
    node.stop();
}

/// As far as an import can tell: it does not know PEXPIRETIME.
#[test]
fn of_an_old_redis_deadlines_are_taken_as_it_tells_them() {
    let folder = Folder::new("old");
    let Some(redis) = Redis::start(&folder.0, &["--rename-command", "PEXPIRETIME", ""]) else { return };
    let mut source = redis.client();
    let Value::Array(time) = tell(&mut source, "TIME") else { panic!("no time") };
    let seconds: u64 = std::str::from_utf8(time[0].as_bytes().expect("text")).expect("text").parse().expect("a number");
    let deadline = seconds * 1000 + 100_000_000;
    tell(&mut source, &format!("SET a 1 PXAT {deadline}"));
    tell(&mut source, "SET b 2");
    let node = start(&folder);
    let report = done(&run(&folder.0, &node, &["import", &redis.url(), "--once"]));
    assert!(report.contains("verified: 2 keys") && !report.contains("mended"), "{report}");
    let mut target = node.client().expect("it serves");
    let Value::Int(taken) = tell(&mut target, "PEXPIRETIME a") else { panic!("no deadline") };
    // A tenth of what is left: more than any machine takes.
    assert!(deadline.abs_diff(taken.unsigned_abs()) < 10_000_000, "{taken} for {deadline}");
    assert_eq!(tell(&mut target, "PEXPIRETIME b"), Value::Int(-1));
    node.stop();
}

#[test]
fn another_cluster_is_imported_by_tls() {
    let (from, to) = (Folder::new("from"), Folder::new("to"));
    let (source, target) = (start(&from), start(&to));
    let mut old = source.client().expect("it serves");
    fill(&mut old);
    tell(&mut old, "JSON.SET document $ {\"b\":[1,\"x\"],\"a\":null}");
    tell(&mut old, "PEXPIRE document 100000000");
    let url = format!("rediss://admin@127.0.0.1:{}", source.port);
    let import_from = |url: &str, args: &[&str]| {
        let mut cli = cli(&to.0, &target);
        cli.env("MNEME_SOURCE_PASSWORD", PASSWORD).args(["import", url, "--once"]).args(args);
        cli.output().expect("the CLI runs")
    };
    let import = |args: &[&str]| import_from(&url, args);
    let why = refused(&import(&[]), 3);
    assert!(why.contains("certificate") && why.contains("--source-ca-cert"), "{why}");
    let why = refused(&import_from(&url.replace("rediss", "redis"), &[]), 3);
    assert!(why.contains("begins with rediss://"), "{why}");
    let ca = from.0.join("data/ca.crt");
    let report = done(&import(&["--source-ca-cert", ca.to_str().expect("text")]));
    assert!(report.contains("document: 1 keys") && report.contains("1 libraries"), "{report}");
    let mut new = target.client().expect("it serves");
    assert_same(&mut old, &mut new);
    // Two databases do not become one.
    let twice = refused(&import(&["--source-insecure", "--replace", "--database", "5=15"]), 2);
    assert!(twice.contains("would both become 15"), "{twice}");
    assert_same(&mut old, &mut new);
    done(&import(&["--source-insecure", "--replace", "--database", "5=6"]));
    tell(&mut new, "SELECT 6");
    assert_eq!(tell(&mut new, "GET five"), Value::Bulk(b"5".to_vec()));
    source.stop();
    target.stop();
}

fn wait_for(mut what: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < PATIENCE, "it does not happen");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Changes keys of all types, old ones and new ones, in two databases.
fn write_until(client: &mut Client, writing: &AtomicBool) {
    let mut n = 0;
    while writing.load(Ordering::Relaxed) {
        n += 1;
        let near = n % 97;
        for line in [
            format!("SELECT {}", if n % 5 == 0 { 5 } else { 0 }),
            format!("SET before:{} {n}", n * 7 % 3000),
            format!("DEL before:{}", n * 13 % 3000),
            format!("APPEND live:text:{near} more"),
            format!("RPUSH live:list:{near} {n}"),
            format!("LPOP live:list:{}", n % 89),
            format!("HSET live:hash:{near} f{} {n}", n % 11),
            format!("SADD live:set:{near} {n}"),
            format!("ZINCRBY live:zset:{near} 0.5 m{}", n % 7),
            format!("XADD live:stream:{near} * n {n}"),
            format!("XTRIM live:stream:{near} MAXLEN 5"),
            format!("PEXPIRE live:text:{} 100000000", n % 53),
            format!("SET live:short:{near} x PX {}", 20 + n % 50),
            format!("RENAME live:text:{near} live:renamed:{near}"),
        ] {
            tell(client, &line);
        }
    }
}

#[test]
fn lines_that_were_exported_are_taken_back() {
    let folder = Folder::new("lines");
    let node = start(&folder);
    let mut client = node.client().expect("it serves");
    fill(&mut client);
    for line in [
        "JSON.SET document $ {\"b\":[1,2.50,null,\"x\"],\"a\":{\"c\":true}}",
        "PEXPIRE document 100000000",
        "DATABASE CREATE shop",
        "SELECT shop",
        "SET item 1",
        "SELECT 0",
    ] {
        tell(&mut client, line);
    }
    let before = contents(&mut client);
    done(&run(&folder.0, &node, &["export", "all.jsonl"]));
    let lines = fs::read_to_string(folder.0.join("all.jsonl")).expect("the file");
    assert_eq!(lines.lines().count(), before.len() + 1);
    let document = lines.lines().find(|line| line.contains("\"key\":\"document\"")).expect("it is there");
    assert!(document.ends_with(r#""value":{"b":[1,2.5,null,"x"],"a":{"c":true}}}"#), "{document}");
    refused(&run(&folder.0, &node, &["export", "all.jsonl"]), 2);
    // As on a full disk.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_mneme-cli")]);
    limited.env("MNEME_PASSWORD", PASSWORD).current_dir(&folder.0).args(["-H", &format!("127.0.0.1:{}", node.port)]);
    let limited = limited.args(["-u", "admin", "--insecure", "export", "full.jsonl"]).output().expect("a shell");
    let why = refused(&limited, 1);
    assert!(why.contains("full.jsonl: not written: ") && !folder.0.join("full.jsonl").exists(), "{why}");
    let some = done(&run(&folder.0, &node, &["export", "-", "--match", "hash:*", "--type", "hash", "--database", "0"]));
    assert_eq!(some.lines().count(), 4, "{some}");
    assert_eq!(
        done(&run(&folder.0, &node, &["-n", "shop", "export"])),
        "{\"db\":\"shop\",\"key\":\"item\",\"type\":\"string\",\"value\":\"1\"}\n"
    );

    tell(&mut client, "SELECT shop");
    tell(&mut client, "FLUSHALL");
    let report = done(&run(&folder.0, &node, &["import", "all.jsonl"]));
    assert!(report.contains("database 0: document: 1 keys") && report.contains("verified"), "{report}");
    assert_eq!(contents(&mut client), before);
    tell(&mut client, "SELECT shop");
    assert_eq!(tell(&mut client, "GET item"), Value::Bulk(b"1".to_vec()));
    fs::write(folder.0.join("bad.jsonl"), format!("{lines}{{\"db\":0}}\n")).expect("written");
    let why = refused(&run(&folder.0, &node, &["import", "bad.jsonl", "--replace"]), 1);
    assert!(why.contains(&format!("line {}", before.len() + 2)), "{why}");
    node.stop();
}

#[test]
fn redis_takes_back_what_is_dumped() {
    let folder = Folder::new("back");
    let Some(redis) = Redis::start(&folder.0, &["--sanitize-dump-payload", "yes"]) else { return };
    let node = start(&folder);
    let (mut client, mut back) = (node.client().expect("it serves"), redis.client());
    fill(&mut client);
    for (database, key) in contents(&mut client).into_keys() {
        for client in [&mut client, &mut back] {
            tell(client, &format!("SELECT {database}"));
        }
        let dumped = ask(&mut client, &[b"DUMP", &key]);
        let time = ask(&mut client, &[b"PEXPIRETIME", &key]);
        let time = if let Value::Int(time @ 0..) = time { time.to_string() } else { "0".to_owned() };
        let restored =
            ask(&mut back, &[b"RESTORE", &key, time.as_bytes(), dumped.as_bytes().expect("a form"), b"ABSTTL"]);
        assert_eq!(restored, Value::Simple("OK".into()), "{}", key.escape_ascii());
    }
    assert_same(&mut client, &mut back);
    node.stop();
}
