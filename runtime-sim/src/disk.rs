//! A disk that breaks.
//!
//! It keeps what is synced apart from what is pending. Programs see both; a crash leaves the first, and of the second
//! what chance decides.

mod content;
mod inode;
mod names;
mod options;

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use madsim::rand::{Rng, thread_rng};
use mneme_driver::env::{Disk, File};

pub use self::options::{DiskOptions, DiskStats};

use self::inode::{Change, Inode};
use self::names::Names;
use crate::lock;
use crate::sleep::sleep_on_average;

/// `EIO`: what Linux answers when a device failed.
const IO_ERROR: i32 = 5;

/// A disk, made by the test outside of the node; it outlives the node's crashes.
///
/// Clones are handles on the same disk. A handle, and each file opened through it, serves one life of the node: after
/// the next [`mount`](SimDisk::mount) or [`crash`](SimDisk::crash) each of its operations fails, also one that is under
/// way. The methods for the test, those that do not wait, always work.
///
/// An operation takes effect when it starts or when its latency is over, by chance; one that is dropped before its end
/// may have taken effect. A path's folder must exist, and is durable itself only after a sync of the folder above it,
/// the topmost being `""`.
#[derive(Clone)]
pub struct SimDisk {
    platter: Arc<Mutex<Platter>>,
    life: u64,
}

struct Platter {
    options: DiskOptions,
    names: Names,
    stats: DiskStats,
    /// Of the node that may use the disk; handles of earlier ones are dead.
    life: u64,
}

impl SimDisk {
    /// An empty disk, and its first handle.
    pub fn new(options: DiskOptions) -> SimDisk {
        SimDisk::holding(Names::default(), options)
    }

    /// A handle for the next life of the node. What is pending stays so, as when a process is killed on a machine that
    /// runs on.
    #[must_use]
    pub fn mount(&self) -> SimDisk {
        let mut platter = lock(&self.platter);
        platter.life += 1;
        SimDisk { platter: self.platter.clone(), life: platter.life }
    }

    /// Cuts the power: each pending write is kept, dropped or torn by itself, and each pending creation, rename and
    /// removal stands or is undone by itself. Then [`mount`](SimDisk::mount) it.
    pub fn crash(&self) {
        let Platter { names, stats, life, .. } = &mut *lock(&self.platter);
        *life += 1;
        stats.crashes += 1;
        names.crash(stats);
    }

    /// A disk of its own with what is durable on this one now: as after a crash that dropped everything un-synced.
    #[must_use]
    pub fn durable_copy(&self) -> SimDisk {
        let platter = lock(&self.platter);
        SimDisk::holding(platter.names.durable_copy(), platter.options.clone())
    }

    /// Changes how slow and bad the disk is, from the next operation on.
    pub fn set_options(&self, options: DiskOptions) {
        lock(&self.platter).options = options;
    }

    pub fn stats(&self) -> DiskStats {
        lock(&self.platter).stats
    }

    fn holding(names: Names, options: DiskOptions) -> SimDisk {
        let platter = Platter { options, names, stats: DiskStats::default(), life: 0 };
        SimDisk { platter: Arc::new(Mutex::new(platter)), life: 0 }
    }

    /// The disk, unless this handle is dead.
    fn live(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let platter = lock(&self.platter);
        if platter.life != self.life {
            return Err(io::Error::other("a disk handle of an earlier life of the node"));
        }
        Ok(platter)
    }

    async fn read<T>(&self, operation: impl FnOnce(&mut Platter) -> io::Result<T>) -> io::Result<T> {
        let latency = self.live()?.draw_latency(|options| &options.read);
        self.perform(latency, operation).await
    }

    async fn write<T>(&self, operation: impl FnOnce(&mut Platter) -> io::Result<T>) -> io::Result<T> {
        let latency = self.live()?.draw_latency(|options| &options.write);
        self.perform(latency, operation).await
    }

    async fn perform<T>(
        &self,
        latency: Duration,
        operation: impl FnOnce(&mut Platter) -> io::Result<T>,
    ) -> io::Result<T> {
        if thread_rng().gen_bool(0.5) {
            let result = operation(&mut *self.live()?);
            sleep_on_average(latency).await;
            drop(self.live()?);
            result
        } else {
            sleep_on_average(latency).await;
            operation(&mut *self.live()?)
        }
    }

    /// Waits for a sync; `finish` is told whether it failed.
    async fn sync(&self, finish: impl FnOnce(&mut Platter, bool)) -> io::Result<()> {
        let latency = self.live()?.draw_latency(|options| &options.sync);
        sleep_on_average(latency).await;
        let mut platter = self.live()?;
        let failed = thread_rng().gen_bool(platter.options.failed_sync);
        finish(&mut platter, failed);
        if failed {
            platter.stats.failed_syncs += 1;
            return Err(io::Error::from_raw_os_error(IO_ERROR));
        }
        Ok(())
    }

    fn file(&self, inode: Arc<Mutex<Inode>>) -> SimFile {
        SimFile { disk: self.clone(), inode }
    }
}

impl Platter {
    fn draw_latency(&self, range: fn(&DiskOptions) -> &RangeInclusive<Duration>) -> Duration {
        thread_rng().gen_range(range(&self.options).clone())
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    async fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.write(|platter| platter.names.create_folder(dir)).await
    }

    async fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.read(|platter| Ok(platter.names.list(dir))).await
    }

    async fn create(&self, path: &str) -> io::Result<SimFile> {
        let inode = self.write(|platter| platter.names.create_file(path)).await?;
        Ok(self.file(inode))
    }

    async fn open(&self, path: &str) -> io::Result<SimFile> {
        let inode = self.read(|platter| platter.names.file(path)).await?;
        Ok(self.file(inode))
    }

    /// As the trait says; durable once the *target's* folder is synced.
    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.write(|platter| platter.names.rename(from, to)).await
    }

    async fn remove(&self, path: &str) -> io::Result<()> {
        self.write(|platter| platter.names.remove(path)).await
    }

    /// Makes the changes made before the call durable. If it fails, each is durable or never will be, by chance.
    async fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mark = {
            let platter = self.live()?;
            platter.names.check_folder(dir)?;
            platter.names.mark()
        };
        self.sync(|Platter { names, stats, .. }, failed| match failed {
            false => names.settle(dir, mark),
            true => names.lose(dir, mark, stats),
        })
        .await
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").field("life", &self.life).finish_non_exhaustive()
    }
}

/// An open file of a [`SimDisk`]. It stays readable and writable when its name is removed.
#[derive(Clone)]
pub struct SimFile {
    disk: SimDisk,
    inode: Arc<Mutex<Inode>>,
}

impl SimFile {
    async fn change(&self, change: Change) -> io::Result<()> {
        self.disk
            .write(|_| {
                lock(&self.inode).change(change);
                Ok(())
            })
            .await
    }
}

impl File for SimFile {
    async fn size(&self) -> io::Result<u64> {
        self.disk.read(|_| Ok(lock(&self.inode).len())).await
    }

    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.disk.read(|_| lock(&self.inode).read(offset, len)).await
    }

    async fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset.checked_add(bytes.len() as u64).is_none() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.change(Change::Write { offset, bytes: bytes.to_vec() }).await
    }

    async fn allocate(&self, len: u64) -> io::Result<()> {
        self.change(Change::Grow { len }).await
    }

    async fn truncate(&self, len: u64) -> io::Result<()> {
        self.change(Change::Cut { len }).await
    }

    /// Makes the changes made before the call durable. If it fails, each is kept, dropped or torn, by chance.
    async fn sync(&self) -> io::Result<()> {
        let mark = lock(&self.inode).mark();
        self.disk
            .sync(|Platter { stats, .. }, failed| match failed {
                false => lock(&self.inode).settle(mark),
                true => lock(&self.inode).lose(mark, stats),
            })
            .await
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("disk", &self.disk).finish_non_exhaustive()
    }
}
