//! Snapshots on disk: reading them, writing their files, and which one is current.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use mneme_kernel::mutant::Mutant;
use mneme_kernel::snapshot::{
    BadManifest, BlockReader, BlockWriter, FileId, Manifest, PartitionFile, SystemPartition, manifest_file, snapshot_of,
};
use mneme_kernel::store::Pieces;

use crate::env::{Disk, Env, File};
use crate::sync::lock;
use crate::wal::{NEWER, checksum};

/// The folder of snapshots.
pub(crate) const FOLDER: &str = "snapshot";
/// A manifest before it has its name.
const UNFINISHED: &str = "new-manifest";

/// Bytes written between two syncs, so that a snapshot's syncs do not hold up those of the log for long.
const SYNC_BYTES: u64 = 4 << 20;

/// A snapshot that cannot be used; nothing is changed on disk.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("{FOLDER}/{file} is damaged at offset {offset}: {what}")]
    Damaged { file: String, offset: u64, what: String },
    #[error("{FOLDER}/{file} {NEWER}")]
    Newer { file: String },
    #[error("{FOLDER}/{file}: {error}")]
    Io { file: String, error: io::Error },
}

impl SnapshotError {
    pub(crate) fn damaged(file: &str, offset: u64, what: impl ToString) -> Self {
        Self::Damaged { file: file.into(), offset, what: what.to_string() }
    }

    /// A file that should be there and is not is damage. Anything else may pass, also a read that found the end too
    /// early: what is too short is known by its size.
    fn io(file: &str) -> impl FnOnce(io::Error) -> Self + '_ {
        move |error| match error.kind() {
            io::ErrorKind::NotFound => Self::damaged(file, 0, error),
            _ => Self::Io { file: file.into(), error },
        }
    }
}

pub(crate) fn path(file: &str) -> String {
    format!("{FOLDER}/{file}")
}

/// Finds the newest snapshot, if there is one.
pub(crate) async fn newest<E: Env>(env: &E) -> Result<Option<Manifest>, SnapshotError> {
    let disk = env.disk();
    disk.create_dir(FOLDER).await.map_err(SnapshotError::io(""))?;
    disk.sync_dir("").await.map_err(SnapshotError::io(""))?;
    // A life that was killed may have left names that no sync has covered: what follows relies on them.
    disk.sync_dir(FOLDER).await.map_err(SnapshotError::io(""))?;
    let names = disk.list(FOLDER).await.map_err(SnapshotError::io(""))?;
    let Some(last) = names.iter().filter_map(|name| snapshot_of(name)).max() else { return Ok(None) };
    let name = manifest_file(last);
    let bytes = read_file(env, &name).await?;
    let manifest = Manifest::decode(checksum, &bytes).map_err(|error| match error {
        BadManifest::Newer => SnapshotError::Newer { file: name.clone() },
        error => SnapshotError::damaged(&name, 0, error),
    })?;
    if manifest.last.index != last {
        return Err(SnapshotError::damaged(&name, 0, "the manifest's name is not its own"));
    }
    Ok(Some(manifest))
}

async fn read_file<E: Env>(env: &E, name: &str) -> Result<Vec<u8>, SnapshotError> {
    let file = env.disk().open(&path(name)).await.map_err(SnapshotError::io(name))?;
    let len = file.size().await.map_err(SnapshotError::io(name))?;
    file.read_at(0, len as usize).await.map_err(SnapshotError::io(name))
}

/// Reads a partition's file; its blocks are verified by [`blocks`].
pub(crate) async fn read_partition<E: Env>(env: &E, file: &PartitionFile) -> Result<Vec<u8>, SnapshotError> {
    let name = file.name();
    let bytes = read_file(env, &name).await?;
    if bytes.len() as u64 != file.len {
        let (found, wanted) = (bytes.len() as u64, file.len);
        let what = format!("it has {found} bytes instead of {wanted}");
        return Err(SnapshotError::damaged(&name, found.min(wanted), what));
    }
    Ok(bytes)
}

/// The verified contents of a partition's blocks.
pub(crate) fn blocks<'a>(
    log: u64,
    file: &'a PartitionFile,
    bytes: &'a [u8],
) -> impl Iterator<Item = Result<&'a [u8], SnapshotError>> {
    BlockReader::new(file.id(log), checksum, bytes).map(|block| {
        block.map_err(|error| SnapshotError::damaged(&file.name(), error.offset, "the block there cannot be read"))
    })
}

/// Reads all of a snapshot's items and checks them.
pub(crate) async fn verify<E: Env>(env: &E, manifest: &Manifest) -> Result<(), SnapshotError> {
    for file in &manifest.partitions {
        let bytes = read_partition(env, file).await?;
        blocks(manifest.log, file, &bytes).try_for_each(|block| block.map(drop))?;
    }
    Ok(())
}

pub(crate) async fn read_system<E: Env>(env: &E, manifest: &Manifest) -> Result<SystemPartition, SnapshotError> {
    let bytes = read_partition(env, &manifest.system).await?;
    let mut content = Vec::new();
    for block in blocks(manifest.log, &manifest.system, &bytes) {
        content.extend_from_slice(block?);
    }
    SystemPartition::decode(&content).map_err(|error| SnapshotError::damaged(&manifest.system.name(), 0, error))
}

/// Writes a file of effects and syncs it; returns its length.
pub(crate) async fn write_partition<E: Env>(
    env: &E,
    name: &str,
    id: FileId,
    mut pieces: Pieces<'_>,
) -> io::Result<u64> {
    let mut blocks = BlockWriter::new(id, checksum);
    let mut writer = FileWriter::create(env, name).await?;
    while pieces.append_next(blocks.content()) {
        blocks.close_full(&mut writer.buffer);
        writer.flush_full().await?;
    }
    let len = blocks.finish(&mut writer.buffer);
    writer.finish().await?;
    Ok(len)
}

/// Writes the system partition and syncs it; returns its length.
pub(crate) async fn write_system<E: Env>(env: &E, name: &str, id: FileId, system: &SystemPartition) -> io::Result<u64> {
    let mut blocks = BlockWriter::new(id, checksum);
    let mut writer = FileWriter::create(env, name).await?;
    system.encode(blocks.content());
    let len = blocks.finish(&mut writer.buffer);
    writer.finish().await?;
    Ok(len)
}

/// Files that come from another Keeper, before they have their names.
const INCOMING: &str = "incoming-";

/// A file's name until the snapshot that it belongs to is in place.
pub(crate) fn incoming(name: &str) -> String {
    format!("{INCOMING}{name}")
}

/// Removes what came from another Keeper and has not been put in place.
pub(crate) async fn remove_incoming<E: Env>(env: &E) -> io::Result<()> {
    for name in env.disk().list(FOLDER).await?.iter().filter(|name| name.starts_with(INCOMING)) {
        env.disk().remove(&path(name)).await?;
    }
    Ok(())
}

/// Gives the files of a snapshot from another Keeper their names. No manifest names them yet: it is newer than all
/// that have been here.
pub(crate) async fn take_over<E: Env>(env: &E, manifest: &Manifest) -> io::Result<()> {
    for name in manifest.files() {
        env.disk().rename(&path(&incoming(&name)), &path(&name)).await?;
    }
    Ok(())
}

/// Gives a snapshot its name: from here on it is the newest. What is in its files is on stable storage already.
pub(crate) async fn publish<E: Env>(env: &E, manifest: &Manifest) -> io::Result<()> {
    let disk = env.disk();
    let mut writer = FileWriter::create(env, UNFINISHED).await?;
    writer.buffer = manifest.encode(checksum);
    writer.finish().await?;
    // The names of its files first: a manifest must not outlast what it names.
    disk.sync_dir(FOLDER).await?;
    disk.rename(&path(UNFINISHED), &path(&manifest_file(manifest.last.index))).await?;
    if !Mutant::SkipFolderSync.is_chosen() {
        disk.sync_dir(FOLDER).await?;
    }
    Ok(())
}

/// The snapshots that are being read: their files stay when newer ones replace them. A clone is the same set.
#[derive(Clone, Debug, Default)]
pub(crate) struct InUse(Arc<Mutex<BTreeMap<u64, Vec<String>>>>);

impl InUse {
    /// Begins to read a snapshot, which is the current one now.
    pub(crate) fn read(&self, manifest: &Manifest) -> Reading {
        let mut readers = lock(&self.0);
        let number = readers.last_key_value().map_or(0, |(last, _)| last + 1);
        readers.insert(number, manifest.files().collect());
        Reading { manifest: manifest.clone(), number, in_use: self.clone() }
    }
}

/// A snapshot that is being read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub manifest: Manifest,
    number: u64,
    in_use: InUse,
}

impl Drop for Reading {
    fn drop(&mut self) {
        lock(&self.in_use.0).remove(&self.number);
    }
}

/// Removes what no snapshot needs any more, and what unfinished ones left behind. What is read meanwhile stays until the
/// next time.
pub(crate) async fn clean<E: Env>(env: &E, current: Option<&Manifest>, in_use: &InUse) -> io::Result<()> {
    let disk = env.disk();
    let mut unneeded = disk.list(FOLDER).await?;
    let mut needed: Vec<String> = current
        .map(|manifest| manifest.files().chain([manifest_file(manifest.last.index)]).collect())
        .unwrap_or_default();
    needed.extend(lock(&in_use.0).values().flatten().cloned());
    // What is coming from another Keeper is that one's business.
    unneeded.retain(|name| !needed.contains(name) && !name.starts_with(INCOMING));
    // Older manifests first, durably: one must not outlive the files that it names.
    let (manifests, files): (Vec<String>, Vec<String>) =
        unneeded.into_iter().partition(|name| snapshot_of(name).is_some());
    for names in [manifests, files] {
        for name in &names {
            disk.remove(&path(name)).await?;
        }
        if !names.is_empty() && !Mutant::SkipFolderSync.is_chosen() {
            disk.sync_dir(FOLDER).await?;
        }
    }
    Ok(())
}

/// Writes a new file from its beginning.
pub(crate) struct FileWriter<E: Env> {
    file: <E::Disk as Disk>::File,
    pub buffer: Vec<u8>,
    written: u64,
    synced: u64,
}

impl<E: Env> FileWriter<E> {
    /// Begins a file. One that an unfinished attempt left is replaced.
    pub(crate) async fn create(env: &E, name: &str) -> io::Result<Self> {
        let path = path(name);
        let file = match env.disk().create(&path).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                env.disk().remove(&path).await?;
                env.disk().create(&path).await?
            }
            created => created?,
        };
        Ok(Self { file, buffer: Vec::new(), written: 0, synced: 0 })
    }

    /// Writes the buffer out if it has grown large.
    pub(crate) async fn flush_full(&mut self) -> io::Result<()> {
        if self.buffer.len() >= 1 << 20 { self.flush().await } else { Ok(()) }
    }

    /// Writes the buffer out; returns where in the file it stands.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(self.written, &self.buffer).await?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.synced >= SYNC_BYTES {
            self.file.sync().await?;
            self.synced = self.written;
        }
        Ok(())
    }

    /// Writes what is left and syncs the file.
    pub(crate) async fn finish(mut self) -> io::Result<()> {
        self.flush().await?;
        self.file.sync().await
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn file(&self) -> &<E::Disk as Disk>::File {
        &self.file
    }
}
