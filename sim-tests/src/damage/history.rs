//! What a node did before its disk is damaged, and what it had acknowledged by then.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use mneme_driver::env::{Disk, File};
use mneme_kernel::resp::Value;
use mneme_runtime_sim::{DiskImage, DiskOptions, SimDisk};

use super::node::{Client, Life};

/// What a node left behind.
#[derive(Clone, Debug)]
pub struct Left {
    pub name: &'static str,
    pub image: DiskImage,
    pub items: Items,
}

/// The acknowledged values, by database and key.
pub type Items = BTreeMap<(u16, String), String>;

/// How the last life ended; the node was idle then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Stop,
    Kill,
}

/// The databases that are used.
pub const DATABASES: [u16; 2] = [0, 3];
/// Longer than an idle log waits before it attests its last sync.
pub const IDLE: Duration = Duration::from_millis(100);

/// Two snapshots, and about a thousand records of the log behind them.
pub async fn long_log(end: End) -> Left {
    let mut history = History::new(60, 20);
    let (life, mut client) = history.begin().await;
    history.writer.write(&mut client, 80).await;
    save(&mut client).await;
    history.writer.write(&mut client, 40).await;
    save(&mut client).await;
    history.writer.write(&mut client, 20).await;
    life.kill();
    let (life, mut client) = history.begin().await;
    history.writer.write(&mut client, 140).await;
    life.stop().await;
    let (life, mut client) = history.begin().await;
    history.writer.write(&mut client, 140).await;
    let name = if end == End::Stop { "a long log, stopped" } else { "a long log, killed" };
    history.finish(name, life, end).await
}

/// Two snapshots of several partitions with many blocks; the second takes one partition over from the first.
pub async fn large_snapshot(end: End) -> Left {
    let mut history = History::new(280, 8_000);
    let (life, mut client) = history.begin().await;
    for key in 0..280 {
        history.writer.set(&mut client, key).await;
    }
    save(&mut client).await;
    history.writer.set(&mut client, 17).await;
    save(&mut client).await;
    history.writer.write(&mut client, 5).await;
    let name = if end == End::Stop { "a large snapshot, stopped" } else { "a large snapshot, killed" };
    history.finish(name, life, end).await
}

struct History {
    disk: SimDisk,
    writer: Writer,
}

impl History {
    fn new(keys: u64, value: usize) -> History {
        History { disk: SimDisk::new(fast()), writer: Writer::new(keys, value) }
    }

    async fn begin(&self) -> (Life, Client) {
        let life = Life::start(&self.disk).await.expect("nothing has been damaged yet");
        let client = life.client().await.expect("a node that has started serves");
        (life, client)
    }

    async fn finish(self, name: &'static str, life: Life, end: End) -> Left {
        madsim::time::sleep(IDLE).await;
        match end {
            End::Stop => life.stop().await,
            End::Kill => life.kill(),
        }
        write_back(&self.disk).await.expect("the disk is sound");
        Left { name, image: self.disk.image(), items: self.writer.items }
    }
}

/// Who writes, and what has been acknowledged.
#[derive(Debug)]
pub struct Writer {
    keys: u64,
    /// Bytes of a value, at least.
    value: usize,
    version: u64,
    pub items: Items,
}

impl Writer {
    pub fn new(keys: u64, value: usize) -> Writer {
        Writer { keys, value, version: 0, items: Items::new() }
    }

    /// Writes so many times, each acknowledged before the next; most set a key, some delete one.
    pub async fn write(&mut self, client: &mut Client, times: u64) {
        for _ in 0..times {
            let key = self.version * 7_919 % self.keys;
            if self.version % 10 == 9 { self.delete(client, key).await } else { self.set(client, key).await }
        }
    }

    async fn set(&mut self, client: &mut Client, key: u64) {
        let (database, key) = self.select(client, key).await;
        let mut value = format!("{key} version {} ", self.version);
        let filling = value.clone();
        value.extend(filling.chars().cycle().take(self.value));
        acknowledged(client, &["SET", &key, &value]).await;
        self.items.insert((database, key), value);
    }

    async fn delete(&mut self, client: &mut Client, key: u64) {
        let (database, key) = self.select(client, key).await;
        acknowledged(client, &["DEL", &key]).await;
        self.items.remove(&(database, key));
    }

    async fn select(&mut self, client: &mut Client, key: u64) -> (u16, String) {
        self.version += 1;
        let database = DATABASES[(key % 5 / 4) as usize];
        acknowledged(client, &["SELECT", &database.to_string()]).await;
        (database, format!("key:{key}"))
    }
}

async fn save(client: &mut Client) {
    acknowledged(client, &["SAVE"]).await;
}

async fn acknowledged(client: &mut Client, command: &[&str]) {
    let answer = client.ask(command).await;
    assert!(matches!(answer, Ok(Value::Simple(_) | Value::Int(_))), "{command:?} is answered {answer:?}");
}

/// The machine runs on after its process has died: sooner or later everything written is on the disk.
pub async fn write_back(disk: &SimDisk) -> io::Result<()> {
    let disk = disk.mount();
    for folder in ["log", "snapshot"] {
        for file in disk.list(folder).await? {
            disk.open(&format!("{folder}/{file}")).await?.sync().await?;
        }
        disk.sync_dir(folder).await?;
    }
    disk.sync_dir("").await
}

/// A disk without latency: here it does not matter what happens meanwhile.
pub fn fast() -> DiskOptions {
    let none = Duration::ZERO..=Duration::ZERO;
    DiskOptions { read: none.clone(), write: none.clone(), sync: none, ..DiskOptions::default() }
}
