//! What was acknowledged is there after `kill -9`, whatever was being done: appending, making a snapshot, purging.
//!
//! `MNEME_KILL_ROUNDS` says how often; 5 unless it is set.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mneme_kernel::resp::Value;

use support::{Client, Folder, Node};

const WRITERS: u64 = 16;
/// Keys of each writer.
const KEYS: u64 = 40;

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let rounds = std::env::var("MNEME_KILL_ROUNDS").map_or(5, |rounds| rounds.parse().expect("a number of rounds"));
    let folder = Folder::new("kill");
    let (data, socket) = (folder.0.join("data"), folder.0.join("socket"));
    let start = || Node::start(&data, &socket, &["--snapshot-log-bytes", "1mb"]);
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    let mut made = BTreeSet::new();
    let mut node = start();
    for round in 0..rounds {
        let before: u64 = writers.iter().map(|writer| writer.acknowledged).sum();
        write_and_kill(&mut node, &mut writers, round);
        let acknowledged = writers.iter().map(|writer| writer.acknowledged).sum::<u64>() - before;
        assert!(acknowledged > 0, "nothing was acknowledged in round {round}");
        node = start();
        let mut client = node.client().expect("the server is ready");
        writers.iter_mut().for_each(|writer| writer.verify(&mut client));
        made.extend(snapshots(&data));
        println!("round {round}: {acknowledged} operations acknowledged, all there; {} snapshots so far", made.len());
    }
    assert!(!made.is_empty(), "no snapshot was made: the rounds were too short to mean anything");

    let digest = |node: &Node| match node.client().and_then(|mut client| client.ask(&["DEBUG", "DIGEST"])) {
        Ok(Value::Array(index_and_digest)) => index_and_digest[1].clone(),
        other => panic!("DEBUG DIGEST is answered {other:?}"),
    };
    let wanted = digest(&node);
    node.stop();
    assert_eq!(digest(&start()), wanted, "after a stop in order");
}

/// The names of the snapshots that are there: there is one at a time.
fn snapshots(data: &Path) -> impl Iterator<Item = OsString> {
    let files = std::fs::read_dir(data.join("snapshot")).expect("the snapshot folder");
    files.flatten().map(|file| file.file_name()).filter(|name| name.to_string_lossy().ends_with(".snapshot"))
}

/// All writers write until the server is killed under them, after a time that differs from round to round.
fn write_and_kill(node: &mut Node, writers: &mut [Writer], round: u64) {
    let clients: Vec<Client> = writers.iter().map(|_| node.client().expect("the server is ready")).collect();
    let killed = AtomicBool::new(false);
    thread::scope(|scope| {
        for (writer, client) in writers.iter_mut().zip(clients) {
            let killed = &killed;
            scope.spawn(move || {
                writer.write(client);
                assert!(killed.load(Ordering::SeqCst), "the server closed a connection before it was killed");
            });
        }
        thread::sleep(Duration::from_millis(200 + round * 7_919 % 1_301));
        killed.store(true, Ordering::SeqCst);
        node.kill();
    });
}

/// A client with keys of its own, that remembers what it was told.
struct Writer {
    number: u64,
    random: u64,
    /// What each key must hold; nothing: it must be absent.
    known: BTreeMap<String, String>,
    /// What was asked and not answered: this key may also hold this, or nothing.
    in_flight: Option<(String, Option<String>)>,
    acknowledged: u64,
}

impl Writer {
    fn new(number: u64) -> Self {
        Self { number, random: number + 1, known: BTreeMap::new(), in_flight: None, acknowledged: 0 }
    }

    /// Writes until the connection is lost.
    fn write(&mut self, mut client: Client) {
        loop {
            let key = self.draw(KEYS);
            let key = self.key(key);
            let old = self.known.get(&key);
            let is_counter = old.is_none_or(|old| old.parse::<i64>().is_ok());
            let (command, new, wanted) = match self.draw(4) {
                0 => (vec!["DEL"], None, Value::Int(i64::from(self.known.contains_key(&key)))),
                1 if is_counter => {
                    let new = 1 + self.known.get(&key).map_or(0, |old| old.parse().expect("a counter"));
                    (vec!["INCR"], Some(i64::to_string(&new)), Value::Int(new))
                }
                _ => {
                    let text = format!("{:x}-", self.draw(u64::MAX)).repeat(1 + self.draw(250) as usize);
                    (vec!["SET"], Some(text), Value::Simple("OK".into()))
                }
            };
            let mut command = [command, vec![&key]].concat();
            if command[0] == "SET" {
                command.extend(new.as_deref());
            }
            let reply = client.ask(&command);
            let Ok(reply) = reply else {
                self.in_flight = Some((key, new));
                return;
            };
            assert_eq!(reply, wanted, "{command:?}");
            self.acknowledged += 1;
            self.learn(key, new);
        }
    }

    fn key(&self, key: u64) -> String {
        format!("{}:{key}", self.number)
    }

    fn learn(&mut self, key: String, value: Option<String>) {
        match value {
            Some(value) => self.known.insert(key, value),
            None => self.known.remove(&key),
        };
    }

    /// Every key holds what was acknowledged; only the one that was being changed may hold the new value already.
    fn verify(&mut self, client: &mut Client) {
        let in_flight = self.in_flight.take();
        for key in 0..KEYS {
            let key = self.key(key);
            let found = match client.ask(&["GET", &key]) {
                Ok(Value::Bulk(value)) => Some(String::from_utf8(value).expect("what was written")),
                Ok(Value::Null) => None,
                other => panic!("GET {key} is answered {other:?}"),
            };
            let wanted = self.known.get(&key);
            match &in_flight {
                Some((changing, new)) if *changing == key && found == *new => self.learn(key, found),
                _ => assert_eq!(found.as_ref(), wanted, "{key}, with {in_flight:?} in flight"),
            }
        }
    }

    /// xorshift64
    fn draw(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }
}
