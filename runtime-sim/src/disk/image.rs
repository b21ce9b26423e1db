//! A disk's durable content as a value.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::inode::Inode;
use super::names::Names;
use super::{DiskOptions, SimDisk};
use crate::lock;

/// What was durable on a disk at some moment. It shares its bytes with the disk and with all that is made of it, so
/// that thousands are cheap.
#[derive(Clone)]
pub struct DiskImage(Arc<Entries>);

/// By path, what has no pending changes; a folder is `None`.
pub type Entries = BTreeMap<String, Option<Inode>>;

impl SimDisk {
    /// What is durable now: what a crash would leave that drops everything un-synced.
    pub fn image(&self) -> DiskImage {
        DiskImage(Arc::new(lock(&self.platter).names.durable_entries()))
    }

    /// A new disk that holds what an image does, without a limit of its capacity; its first handle.
    pub fn from_image(image: &DiskImage, options: DiskOptions) -> SimDisk {
        SimDisk::holding(Names::of(&image.0), options)
    }

    /// A disk of its own with what is durable on this one now.
    #[must_use]
    pub fn durable_copy(&self) -> SimDisk {
        let options = lock(&self.platter).options.clone();
        SimDisk::from_image(&self.image(), options)
    }
}

impl fmt::Debug for DiskImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.0.iter().filter_map(|(path, inode)| inode.as_ref().map(|inode| (path, inode.len())));
        f.debug_map().entries(files).finish()
    }
}
