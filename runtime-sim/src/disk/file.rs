//! An open file.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use madsim::rand::{Rng, thread_rng};
use mneme_driver::env::File;

use super::inode::{Change, Inode};
use super::options::happens;
use super::trap::Target;
use super::{Operation, Platter, SimDisk};
use crate::lock;

/// An open file of a [`SimDisk`]. It stays readable and writable when its name is removed.
#[derive(Clone)]
pub struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) inode: Arc<Mutex<Inode>>,
}

impl SimFile {
    fn read_now(&self, platter: &mut Platter, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let bytes = lock(&self.inode).read(offset, len)?;
        if len > 0 && happens(platter.options.short_read) {
            platter.stats.short_reads += 1;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }

    /// A write that fails for whatever reason may have written a part of its beginning.
    fn write_now(&self, platter: &mut Platter, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // Not under the file's lock: all files are asked for their lengths.
        let len = lock(&self.inode).len();
        let longest = platter.longest(len, offset + bytes.len() as u64);
        let fitting = longest.saturating_sub(offset) as usize;
        let result = match platter.may_fail_write() {
            Ok(()) if fitting < bytes.len() => Err(platter.out_of_space()),
            result => result,
        };
        let written = if result.is_ok() { bytes.len() } else { thread_rng().gen_range(0..=fitting) };
        if written > 0 {
            lock(&self.inode).change(Change::Write { offset, bytes: bytes[..written].to_vec() });
        }
        result
    }

    fn allocate_now(&self, platter: &mut Platter, len: u64) -> io::Result<()> {
        let before = lock(&self.inode).len();
        if platter.longest(before, len) < len {
            return Err(platter.out_of_space());
        }
        lock(&self.inode).change(Change::Grow { len });
        Ok(())
    }
}

impl File for SimFile {
    async fn size(&self) -> io::Result<u64> {
        self.disk.read(Operation::Size, Target::File(&self.inode), |_| Ok(lock(&self.inode).len())).await
    }

    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let read = |platter: &mut Platter| self.read_now(platter, offset, len);
        self.disk.read(Operation::Read, Target::File(&self.inode), read).await
    }

    async fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset.checked_add(bytes.len() as u64).is_none() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let write = |platter: &mut Platter| self.write_now(platter, offset, bytes);
        self.disk.write_in_parts(Operation::Write, Target::File(&self.inode), write).await
    }

    async fn allocate(&self, len: u64) -> io::Result<()> {
        let allocate = |platter: &mut Platter| self.allocate_now(platter, len);
        self.disk.write(Operation::Allocate, Target::File(&self.inode), allocate).await
    }

    async fn truncate(&self, len: u64) -> io::Result<()> {
        let truncate = |_: &mut Platter| {
            lock(&self.inode).change(Change::Cut { len });
            Ok(())
        };
        self.disk.write(Operation::Truncate, Target::File(&self.inode), truncate).await
    }

    /// Makes the changes made before the call durable. If it fails, each is kept, dropped or torn, by chance.
    async fn sync(&self) -> io::Result<()> {
        let mark = lock(&self.inode).mark();
        let finish = |platter: &mut Platter, failed| match failed {
            false => lock(&self.inode).settle(mark),
            true => lock(&self.inode).lose(mark, &mut platter.stats),
        };
        self.disk.sync(Operation::Sync, Target::File(&self.inode), finish).await
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("disk", &self.disk).finish_non_exhaustive()
    }
}
