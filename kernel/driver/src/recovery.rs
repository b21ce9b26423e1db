//! Fills an empty Core from a snapshot, which is on this node's disk or comes over a link: several readers, each with
//! partitions of its own, and one that puts into memory.

use std::io;
use std::sync::Arc;

use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use mneme_kernel::core::{BadEntry, Input};
use mneme_kernel::ids::Index;
use mneme_kernel::members::Members;
use mneme_kernel::snapshot::{Manifest, SystemPartition, manifest_file};
use mneme_kernel::system::System;
use mneme_kernel::wal::LogId;

use crate::courier::Courier;
use crate::env::Env;
use crate::observer;
use crate::snapshot::{Reading, SnapshotError, blocks, read_partition, read_system};
use crate::subscription::RemoteSnapshot;
use crate::sync::CoreLock;

/// Tasks that read and verify partitions.
const READERS: usize = 2;
/// Chunks that each has ready before it waits.
const AHEAD: usize = 4;
/// Bytes of a chunk at which it is full.
const CHUNK: usize = 512 << 10;

/// A snapshot on its way to a Core.
#[derive(Debug)]
pub struct FedSnapshot<E: Env>(Source<E>);

#[derive(Debug)]
enum Source<E: Env> {
    Disk(Reading, Arc<Courier<E>>),
    Link(RemoteSnapshot<E>),
}

/// What a loaded snapshot held beside the Core's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// How many entries of the log the Core has now, counted from the log's beginning.
    pub known: u64,
    /// The Raft group's members there, and the entry that made them so.
    pub members: Members,
    pub members_at: Option<LogId>,
}

/// A snapshot that has not been loaded, or not in whole: the Core is void.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// This node's own disk.
    #[error(transparent)]
    Disk(#[from] SnapshotError),
    /// The link broke, or what came over it cannot be read: another Keeper may give a whole one.
    #[error("the snapshot did not come in whole: {0}")]
    Link(#[from] io::Error),
}

impl<E: Env> FedSnapshot<E> {
    pub(crate) fn on_disk(snapshot: Reading, courier: Arc<Courier<E>>) -> Self {
        Self(Source::Disk(snapshot, courier))
    }

    pub(crate) fn on_link(snapshot: RemoteSnapshot<E>) -> Self {
        Self(Source::Link(snapshot))
    }

    /// How many entries of the log it stands for.
    pub fn known(&self) -> u64 {
        match &self.0 {
            Source::Disk(reading, _) => reading.manifest.last.index + 1,
            Source::Link(snapshot) => snapshot.known(),
        }
    }

    /// Fills the Core, which must be empty: a snapshot is never installed over memory that has something (PROTOCOL
    /// rule 20).
    ///
    /// # Errors
    /// If not all could be read. What the Core has then is worth nothing.
    pub async fn load(self, env: &E, core: &CoreLock) -> Result<Loaded, LoadError> {
        match self.0 {
            Source::Disk(reading, courier) => Ok(load_from_disk(env, core, reading, &courier).await?),
            Source::Link(snapshot) => Ok(snapshot.load(env, core).await?),
        }
    }
}

impl<E: Env> FedSnapshot<E> {
    /// What it holds beside keys, and the keys to be read part by part.
    ///
    /// # Errors
    /// If this node's own disk cannot be read.
    pub(crate) async fn open(self, env: &E) -> Result<(System, Parts<E>), LoadError> {
        match self.0 {
            Source::Disk(reading, _) => {
                let reading = Arc::new(reading);
                let SystemPartition { system, .. } = read_system(env, &reading.manifest).await?;
                Ok((system, Parts::Disk(read_chunks(env, reading))))
            }
            Source::Link(mut snapshot) => Ok((snapshot.take_system(), Parts::Link(Some(snapshot)))),
        }
    }
}

/// The keys of a snapshot, read as fast as somebody asks for them.
pub(crate) enum Parts<E: Env> {
    Disk(mpsc::Receiver<Result<Chunk, SnapshotError>>),
    /// `None` once all have come.
    Link(Option<RemoteSnapshot<E>>),
}

impl<E: Env> std::fmt::Debug for Parts<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parts")
    }
}

impl<E: Env> Parts<E> {
    /// The next items, as the effects that make them; `None` behind the last.
    ///
    /// # Errors
    /// If not all can be read.
    pub(crate) async fn next(&mut self, env: &E) -> Result<Option<Vec<u8>>, LoadError> {
        match self {
            Parts::Disk(chunks) => Ok(chunks.next().await.transpose()?.map(|chunk| chunk.effects)),
            Parts::Link(link) => {
                let Some(snapshot) = link else { return Ok(None) };
                let mut items = Vec::new();
                let keep = |effects: &[u8]| {
                    items = effects.to_vec();
                    Ok(())
                };
                if snapshot.items(env, keep).await? {
                    return Ok(Some(items));
                }
                if let Some(snapshot) = link.take() {
                    snapshot.finish(env);
                }
                Ok(None)
            }
        }
    }
}

async fn load_from_disk<E: Env>(
    env: &E,
    core: &CoreLock,
    reading: Reading,
    courier: &Courier<E>,
) -> Result<Loaded, SnapshotError> {
    let reading = Arc::new(reading);
    let manifest = &reading.manifest;
    let SystemPartition { system, members, members_at } = read_system(env, manifest).await?;
    // Its checksum was right: what wrote it was wrong, or newer.
    let damaged = |file: String| move |error: BadEntry| SnapshotError::damaged(&file, 0, error);
    let index = Index(manifest.last.index);
    let whole = Input::Snapshot { index, system, items: &manifest.items() };
    tell(env, core, whole).map_err(damaged(manifest_file(index.0)))?;
    let mut chunks = read_chunks(env, reading.clone());
    while let Some(chunk) = chunks.next().await {
        let Chunk { partition, effects } = chunk?;
        tell(env, core, Input::Items(&effects)).map_err(damaged(manifest.partitions[partition].name()))?;
        // What was proposed cannot be heard of before this is over.
        courier.heard();
    }
    Ok(Loaded { known: index.0 + 1, members, members_at })
}

pub(crate) fn tell<E: Env>(env: &E, core: &CoreLock, input: Input<'_>) -> Result<(), BadEntry> {
    let mut outputs = Vec::new();
    let told = observer::handle(env, &mut core.lock(), input, &mut outputs);
    debug_assert!(outputs.is_empty(), "a Core that is being filled wants nothing: {outputs:?}");
    told
}

/// Some of a partition's effects, verified.
pub(crate) struct Chunk {
    pub partition: usize,
    pub effects: Vec<u8>,
}

/// Reads a snapshot's partitions, several at once, in chunks of bounded size: whole effects, those of a partition in
/// their order. It ends early with an error.
pub(crate) fn read_chunks<E: Env>(env: &E, reading: Arc<Reading>) -> mpsc::Receiver<Result<Chunk, SnapshotError>> {
    let (sender, chunks) = mpsc::channel(READERS * AHEAD);
    for reader in 0..READERS {
        let (env_of_reader, reading, mut sender) = (env.clone(), reading.clone(), sender.clone());
        env.spawn_thread("recovery", async move {
            for partition in (reader..reading.manifest.partitions.len()).step_by(READERS) {
                match read_partition_chunks(&env_of_reader, &reading.manifest, partition, &mut sender).await {
                    Ok(true) => {}
                    // Somebody has found damage, or the one who wanted it is gone: nobody needs the rest.
                    Ok(false) => return,
                    Err(error) => {
                        let _ = sender.send(Err(error)).await;
                        return;
                    }
                }
            }
        });
    }
    chunks
}

/// `false` if nobody takes them any more.
async fn read_partition_chunks<E: Env>(
    env: &E,
    manifest: &Manifest,
    partition: usize,
    sender: &mut mpsc::Sender<Result<Chunk, SnapshotError>>,
) -> Result<bool, SnapshotError> {
    let file = &manifest.partitions[partition];
    let bytes = read_partition(env, file).await?;
    let mut effects = Vec::new();
    let mut rest = bytes.len();
    for block in blocks(manifest.log, file, &bytes) {
        let block = block?;
        if effects.is_empty() {
            effects.reserve(block.len().max(rest.min(CHUNK)));
        } else if effects.len() + block.len() > CHUNK {
            let full = std::mem::replace(&mut effects, Vec::with_capacity(block.len().max(rest.min(CHUNK))));
            if sender.send(Ok(Chunk { partition, effects: full })).await.is_err() {
                return Ok(false);
            }
        }
        effects.extend_from_slice(block);
        rest -= block.len();
    }
    Ok(effects.is_empty() || sender.send(Ok(Chunk { partition, effects })).await.is_ok())
}
