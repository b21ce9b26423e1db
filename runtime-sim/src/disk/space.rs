//! How much a disk can hold.

use std::io;

use super::{Platter, SimDisk};
use crate::lock;

impl SimDisk {
    /// Sets how many bytes the disk can hold; it may be fewer than it holds, and `None` is no limit. What needs more
    /// fails with `StorageFull`: an allocation then changes nothing, a write may have written a part of its beginning.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        lock(&self.platter).capacity = bytes;
    }

    /// Bytes that the files take that have names now: their lengths, whether written or only allocated. A removal frees
    /// a file's bytes at once, also if it is still open.
    pub fn used_bytes(&self) -> u64 {
        lock(&self.platter).names.used_bytes()
    }
}

impl Platter {
    /// How long a file may become that has `len` bytes and wants `wanted`.
    pub fn longest(&self, len: u64, wanted: u64) -> u64 {
        match self.capacity {
            Some(capacity) if wanted > len => {
                wanted.min(len.saturating_add(capacity.saturating_sub(self.names.used_bytes())))
            }
            _ => wanted,
        }
    }

    /// The error of an operation for which there is no space.
    pub fn out_of_space(&mut self) -> io::Error {
        self.stats.out_of_space += 1;
        io::ErrorKind::StorageFull.into()
    }
}
