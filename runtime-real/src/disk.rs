//! A folder of the file system.
//!
//! Calls block their thread: the log's writer has one of its own, and what else reads is recovery or finds the page
//! cached. io_uring was measured and gained nothing for write and sync (DESIGN.md section 10).

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mneme_driver::env::{Disk, File};

/// The folder that a node keeps its data in.
#[derive(Clone, Debug)]
pub struct RealDisk {
    root: Arc<Path>,
}

impl RealDisk {
    pub fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    async fn create_dir(&self, dir: &str) -> io::Result<()> {
        // What clients store, and password hashes, are nobody else's business.
        match fs::DirBuilder::new().mode(0o700).create(self.path(dir)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            created => created,
        }
    }

    async fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let entries = match fs::read_dir(self.path(dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                // A name that is not text is not one of ours.
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    async fn create(&self, path: &str) -> io::Result<RealFile> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.path(path))?;
        Ok(RealFile(file))
    }

    async fn open(&self, path: &str) -> io::Result<RealFile> {
        Ok(RealFile(OpenOptions::new().read(true).write(true).open(self.path(path))?))
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    async fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    async fn sync_dir(&self, dir: &str) -> io::Result<()> {
        fs::File::open(self.path(dir))?.sync_all()
    }
}

/// An open file.
#[derive(Debug)]
pub struct RealFile(fs::File);

impl File for RealFile {
    async fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.0.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    async fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    async fn allocate(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, len) {
            // Not every file system can reserve; then the space is found missing when it is written.
            Err(rustix::io::Errno::OPNOTSUPP) => self.0.set_len(len),
            result => Ok(result?),
        }
    }

    async fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    async fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
