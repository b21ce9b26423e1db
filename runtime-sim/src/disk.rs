//! A disk that breaks.
//!
//! It keeps what is synced apart from what is pending. Programs see both; a crash leaves the first, and of the second
//! what chance decides.

mod content;
mod damage;
mod file;
mod history;
mod image;
mod inode;
mod names;
mod options;
mod space;
mod stats;
mod trap;

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::channel::oneshot;
use madsim::rand::{Rng, thread_rng};
use mneme_driver::env::Disk;

pub use self::file::SimFile;
pub use self::image::DiskImage;
pub use self::options::DiskOptions;
pub use self::stats::DiskStats;
pub use self::trap::{Operation, Sprung, Step, Trap};

use self::inode::Inode;
use self::names::Names;
use self::options::happens;
use self::trap::{Armed, Caught, Target};
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
    /// Bytes; no limit if `None`.
    capacity: Option<u64>,
    trap: Option<Armed>,
    /// Operations in a trap: they go on when these are dropped.
    hanging: Vec<oneshot::Sender<()>>,
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
        platter.end_life();
        SimDisk { platter: self.platter.clone(), life: platter.life }
    }

    /// Cuts the power: each pending write is kept, dropped or torn by itself, and each pending creation, rename and
    /// removal stands or is undone by itself. Then [`mount`](SimDisk::mount) it.
    pub fn crash(&self) {
        let platter = &mut *lock(&self.platter);
        platter.end_life();
        let Platter { names, stats, .. } = platter;
        stats.crashes += 1;
        names.crash(stats);
    }

    /// Changes how slow and bad the disk is, from the next operation on.
    pub fn set_options(&self, options: DiskOptions) {
        lock(&self.platter).options = options;
    }

    pub fn stats(&self) -> DiskStats {
        lock(&self.platter).stats
    }

    fn holding(names: Names, options: DiskOptions) -> SimDisk {
        let platter = Platter {
            options,
            names,
            stats: DiskStats::default(),
            life: 0,
            capacity: None,
            trap: None,
            hanging: Vec::new(),
        };
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

    async fn read<T>(
        &self,
        operation: Operation,
        target: Target<'_>,
        act: impl FnOnce(&mut Platter) -> io::Result<T>,
    ) -> io::Result<T> {
        let latency = self.live()?.draw_latency(|options| &options.read);
        let act = |platter: &mut Platter| {
            platter.may_fail_read()?;
            act(platter)
        };
        self.perform(latency, operation, target, act).await
    }

    async fn write<T>(
        &self,
        operation: Operation,
        target: Target<'_>,
        act: impl FnOnce(&mut Platter) -> io::Result<T>,
    ) -> io::Result<T> {
        let act = |platter: &mut Platter| {
            platter.may_fail_write()?;
            act(platter)
        };
        self.write_in_parts(operation, target, act).await
    }

    /// A change that sees to its failing itself.
    async fn write_in_parts<T>(
        &self,
        operation: Operation,
        target: Target<'_>,
        act: impl FnOnce(&mut Platter) -> io::Result<T>,
    ) -> io::Result<T> {
        let latency = self.live()?.draw_latency(|options| &options.write);
        self.perform(latency, operation, target, act).await
    }

    async fn perform<T>(
        &self,
        latency: Duration,
        operation: Operation,
        target: Target<'_>,
        act: impl FnOnce(&mut Platter) -> io::Result<T>,
    ) -> io::Result<T> {
        let caught = self.live()?.catch(operation, target);
        if thread_rng().gen_bool(0.5) {
            let result = act(&mut *self.live()?);
            sleep_on_average(latency).await;
            self.hang_if(caught).await?;
            drop(self.live()?);
            result
        } else {
            sleep_on_average(latency).await;
            self.hang_if(caught).await?;
            act(&mut *self.live()?)
        }
    }

    /// Waits for a sync; `finish` is told whether it failed.
    async fn sync(
        &self,
        operation: Operation,
        target: Target<'_>,
        finish: impl FnOnce(&mut Platter, bool),
    ) -> io::Result<()> {
        let latency = self.live()?.draw_latency(|options| &options.sync);
        let mut caught = self.live()?.catch(operation, target);
        sleep_on_average(latency).await;
        if caught.is_some() && thread_rng().gen_bool(0.5) {
            self.hang_if(caught.take()).await?;
        }
        let failed = {
            let mut platter = self.live()?;
            let failed = thread_rng().gen_bool(platter.options.failed_sync);
            finish(&mut platter, failed);
            platter.stats.failed_syncs += u64::from(failed);
            failed
        };
        self.hang_if(caught).await?;
        match failed {
            false => Ok(()),
            true => Err(io::Error::from_raw_os_error(IO_ERROR)),
        }
    }

    /// Hangs to the end of this life, if the trap has caught this operation and somebody still waits for that.
    async fn hang_if(&self, caught: Option<Caught>) -> io::Result<()> {
        let Some(caught) = caught else { return Ok(()) };
        let end = {
            let mut platter = self.live()?;
            if caught.send(()).is_err() {
                return Ok(());
            }
            platter.stats.traps_sprung += 1;
            let (sender, end) = oneshot::channel();
            platter.hanging.push(sender);
            end
        };
        // Nothing is ever sent: it is dropped.
        let _ = end.await;
        self.live().map(drop)
    }

    fn file(&self, inode: Arc<Mutex<Inode>>) -> SimFile {
        SimFile { disk: self.clone(), inode }
    }
}

impl Platter {
    fn draw_latency(&self, range: fn(&DiskOptions) -> &RangeInclusive<Duration>) -> Duration {
        thread_rng().gen_range(range(&self.options).clone())
    }

    fn may_fail_read(&mut self) -> io::Result<()> {
        if happens(self.options.failed_read) {
            self.stats.eio_reads += 1;
            return Err(io::Error::from_raw_os_error(IO_ERROR));
        }
        Ok(())
    }

    fn may_fail_write(&mut self) -> io::Result<()> {
        if happens(self.options.failed_write) {
            self.stats.eio_writes += 1;
            return Err(io::Error::from_raw_os_error(IO_ERROR));
        }
        Ok(())
    }

    fn end_life(&mut self) {
        self.life += 1;
        self.hanging.clear();
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    async fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.write(Operation::CreateFolder, Target::Folder(dir), |platter| platter.names.create_folder(dir)).await
    }

    async fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.read(Operation::List, Target::Folder(dir), |platter| Ok(platter.names.list(dir))).await
    }

    async fn create(&self, path: &str) -> io::Result<SimFile> {
        let inode =
            self.write(Operation::Create, Target::Path(path), |platter| platter.names.create_file(path)).await?;
        Ok(self.file(inode))
    }

    async fn open(&self, path: &str) -> io::Result<SimFile> {
        let inode = self.read(Operation::Open, Target::Path(path), |platter| platter.names.file(path)).await?;
        Ok(self.file(inode))
    }

    /// As the trait says; durable once the *target's* folder is synced.
    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.write(Operation::Rename, Target::Path(to), |platter| platter.names.rename(from, to)).await
    }

    async fn remove(&self, path: &str) -> io::Result<()> {
        self.write(Operation::Remove, Target::Path(path), |platter| platter.names.remove(path)).await
    }

    /// Makes the changes made before the call durable. If it fails, each is durable or never will be, by chance.
    async fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mark = {
            let platter = self.live()?;
            platter.names.check_folder(dir)?;
            platter.names.mark()
        };
        self.sync(Operation::SyncFolder, Target::Folder(dir), |Platter { names, stats, .. }, failed| match failed {
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
