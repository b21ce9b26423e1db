//! What a disk keeps, what it may lose, and how it can break.

mod damage;
mod durability;
mod errors;
mod space;
mod trap;

use std::future::Future;
use std::io;
use std::time::Duration;

use madsim::runtime::Runtime;
use mneme_driver::env::{Disk, File};
use mneme_runtime_sim::{DiskOptions, SimDisk};

const SEEDS: u64 = 200;
const SECTOR: usize = 512;

/// Runs `test` on an empty disk once for each seed.
fn for_each_seed<T, F>(test: impl Fn(SimDisk) -> F) -> Vec<T>
where
    F: Future<Output = io::Result<T>>,
{
    (0..SEEDS).map(|seed| with_seed(seed, &test)).collect()
}

fn with_seed<T, F>(seed: u64, test: impl Fn(SimDisk) -> F) -> T
where
    F: Future<Output = io::Result<T>>,
{
    let runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
    let result = runtime.block_on(async { test(SimDisk::new(DiskOptions::draw())).await });
    result.unwrap_or_else(|error| panic!("seed {seed}: {error}"))
}

async fn crash(disk: &SimDisk) -> SimDisk {
    disk.crash();
    disk.mount()
}

/// Makes a file with content, all of it durable.
async fn make(disk: &SimDisk, path: &str, bytes: &[u8]) -> io::Result<()> {
    let file = disk.create(path).await?;
    file.write_at(0, bytes).await?;
    file.sync().await?;
    disk.sync_dir("").await
}

/// The content of a file, if there is one.
async fn content(disk: &SimDisk, path: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let len = file.size().await?;
    file.read_at(0, len as usize).await.map(Some)
}

fn latencies(write_millis: u64, sync_millis: u64) -> DiskOptions {
    let [write, sync] = [write_millis, sync_millis].map(Duration::from_millis);
    DiskOptions { write: write..=write, sync: sync..=sync, ..DiskOptions::default() }
}

fn error_kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}
