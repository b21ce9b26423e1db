//! What the test does to what is durable: it damages it, and looks at it.
//!
//! It is meant for the time between two lives of a node. During one, what is pending stays, and still hides what is
//! below it.

use std::io;
use std::sync::{Arc, Mutex};

use madsim::rand::{Rng, thread_rng};

use super::content::PAGE;
use super::inode::{Inode, SECTOR};
use super::{DiskStats, SimDisk};
use crate::lock;

/// Damage, done to what is durable. Where a result says so, it is whether the content is another now; only such damage
/// is counted.
///
/// # Errors
/// All of them: `NotFound` if no such file is durable. Those with an offset: `InvalidInput` if that is not within the
/// file. A range may go beyond the file's end, of which it then touches nothing.
impl SimDisk {
    /// Flips a bit, drawn by chance, of the byte at an offset.
    pub fn flip_bit(&self, path: &str, offset: u64) -> io::Result<()> {
        self.damage(path, |inode, stats| {
            let byte = inode.durable(offset, 1)?;
            inode.damage(offset, &[byte[0] ^ 1 << thread_rng().gen_range(0..8)]);
            stats.bits_flipped += 1;
            Ok(())
        })
    }

    /// Turns a range to zeros.
    pub fn zero(&self, path: &str, offset: u64, len: u64) -> io::Result<bool> {
        self.damage(path, |inode, stats| {
            let zeros = vec![0; inode.durable(offset, len)?.len()];
            let changed = inode.damage(offset, &zeros);
            stats.ranges_zeroed += u64::from(changed);
            Ok(changed)
        })
    }

    /// Cuts a file that is longer to `len` bytes.
    pub fn truncate_file(&self, path: &str, len: u64) -> io::Result<bool> {
        self.damage(path, |inode, stats| {
            let changed = inode.cut_durable(len);
            stats.files_cut += u64::from(changed);
            Ok(changed)
        })
    }

    /// A write goes astray: what stands at `from` stands at `to` of the same file, too. All three are of whole sectors,
    /// 512 bytes; if not, the error is `InvalidInput`.
    pub fn misdirect(&self, path: &str, from: u64, to: u64, len: u64) -> io::Result<bool> {
        check_sectors(&[from, to, len])?;
        self.damage(path, |inode, stats| {
            let mut bytes = inode.durable(from, len)?;
            bytes.truncate(inode.durable(to, len)?.len());
            let changed = inode.damage(to, &bytes);
            stats.blocks_misdirected += u64::from(changed);
            Ok(changed)
        })
    }

    /// A write is lost: a range of whole sectors, 512 bytes, goes back to what it held before the sync that last
    /// changed its page. What no sync has changed, or only long ago, stays; see [`stale_pages`](SimDisk::stale_pages).
    pub fn stale(&self, path: &str, offset: u64, len: u64) -> io::Result<bool> {
        check_sectors(&[offset, len])?;
        self.damage(path, |inode, stats| {
            let bytes = inode.stale(offset, len)?;
            let changed = inode.damage(offset, &bytes);
            stats.blocks_stale += u64::from(changed);
            Ok(changed)
        })
    }

    /// The offsets of the pages, of 4096 bytes, that [`stale`](SimDisk::stale) would change.
    pub fn stale_pages(&self, path: &str) -> io::Result<Vec<u64>> {
        self.damage(path, |inode, _| {
            let mut offsets: Vec<u64> = inode.overwritten_pages().iter().map(|page| page * PAGE).collect();
            offsets.retain(|offset| {
                let now = inode.durable(*offset, PAGE);
                now.is_ok_and(|now| inode.stale(*offset, PAGE).is_ok_and(|before| before != now))
            });
            Ok(offsets)
        })
    }

    /// Takes a file away.
    pub fn remove_file(&self, path: &str) -> io::Result<()> {
        let mut platter = lock(&self.platter);
        platter.names.remove_durable(path)?;
        platter.stats.files_removed += 1;
        Ok(())
    }

    fn damage<T>(&self, path: &str, act: impl FnOnce(&mut Inode, &mut DiskStats) -> io::Result<T>) -> io::Result<T> {
        let platter = &mut *lock(&self.platter);
        let inode: Arc<Mutex<Inode>> = platter.names.durable_file(path)?;
        let mut inode = lock(&inode);
        act(&mut inode, &mut platter.stats)
    }
}

/// What is durable, for the test to look at and to replace.
impl SimDisk {
    /// The paths of all files whose names are durable, sorted.
    pub fn list_files(&self) -> Vec<String> {
        lock(&self.platter).names.durable_files()
    }

    /// All bytes of a file that are durable.
    ///
    /// # Errors
    /// `NotFound` if no such file is.
    pub fn read_file(&self, path: &str) -> io::Result<Vec<u8>> {
        self.damage(path, |inode, _| Ok(inode.whole()))
    }

    /// Replaces what is durable of a file, or makes one; whatever the capacity is.
    ///
    /// # Errors
    /// `NotFound` if its folder is not durable, `IsADirectory` if it is one itself.
    pub fn write_file(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let inode = lock(&self.platter).names.make_durable(path)?;
        lock(&inode).replace(bytes);
        Ok(())
    }
}

fn check_sectors(values: &[u64]) -> io::Result<()> {
    match values.iter().all(|value| value.is_multiple_of(SECTOR)) {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not of whole sectors")),
    }
}
