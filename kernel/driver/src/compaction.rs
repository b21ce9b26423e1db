//! Makes a snapshot of the log's beginning, in bounded memory and without asking a Core (DESIGN.md section 4).
//!
//! The log behind the last snapshot is read once; the effects of accepted batches are sorted into buckets, one a
//! partition, that spill into one temporary file. Then each partition is made anew from its old file and its bucket.

use std::io;

use mneme_kernel::effect::{self, Effect, Effects};
use mneme_kernel::entry::Entry;
use mneme_kernel::ids::Index;
use mneme_kernel::mutant::Mutant;
use mneme_kernel::snapshot::{
    BlockReader, FileId, Manifest, PartitionFile, SystemPartition, bits_for, block, parent_of, partition_of,
};
use mneme_kernel::store::Store;
use mneme_kernel::verdict::Verdict;
use mneme_kernel::wal::LogId;
use openraft::EntryPayload;

use crate::env::{Env, File};
use crate::log::Log;
use crate::snapshot::{self, FileWriter, SnapshotError};
use crate::types;
use crate::wal::checksum;

/// Bytes of effects held in memory before they are spilled.
const BUCKET_BYTES: usize = 2 << 20;
/// The temporary file that buckets spill into.
const SPILL: &str = "new-buckets";

/// Why a snapshot was not made. The one before and the log are as they were.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompactionError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the log's entry {0} cannot be read: {1}")]
    Entry(u64, mneme_kernel::codec::CodecError),
}

/// Makes the snapshot that ends with `last` and gives it its name.
pub(crate) async fn compact<E: Env>(
    env: &E,
    log: &Log<E>,
    before: Option<&Manifest>,
    last: LogId,
) -> Result<Manifest, CompactionError> {
    let mut system = match before {
        Some(manifest) => snapshot::read_system(env, manifest).await?,
        None => SystemPartition::default(),
    };
    let bits_before = before.map_or(0, |manifest| manifest.bits);
    let bits = bits_for(before.map_or(0, Manifest::bytes) + log.bytes(), bits_before);
    let mut buckets = Buckets::create(env, log.id(), last.index, bits).await?;
    sort(log, before.map_or(0, |manifest| manifest.last.index + 1), last.index, &mut system, &mut buckets).await?;

    let mut manifest = Manifest {
        log: log.id(),
        last,
        bits,
        partitions: Vec::new(),
        system: PartitionFile { made_at: last.index, number: Manifest::SYSTEM, len: 0, items: Vec::new() },
    };
    for number in 0..1 << bits {
        let source =
            before.map(|manifest| (manifest, &manifest.partitions[parent_of(number, bits, bits_before) as usize]));
        let file = match source {
            Some((_, unchanged)) if bits == bits_before && buckets.is_empty(number) => unchanged.clone(),
            _ => merge(env, source, &mut buckets, number, &manifest).await?,
        };
        manifest.partitions.push(file);
    }
    if Mutant::ForgetSystemState.is_chosen() {
        system = SystemPartition { members: system.members, members_at: system.members_at, ..Default::default() };
    }
    let (name, id) = (manifest.system.name(), manifest.system.id(manifest.log));
    manifest.system.len = snapshot::write_system(env, &name, id, &system).await?;
    if Mutant::PurgeBeforeRename.is_chosen() {
        log.purge_to(last).await;
    }
    snapshot::publish(env, &manifest).await?;
    Ok(manifest)
}

/// Reads the log and sorts the effects of accepted batches.
async fn sort<E: Env>(
    log: &Log<E>,
    mut from: u64,
    to: u64,
    system: &mut SystemPartition,
    buckets: &mut Buckets<E>,
) -> Result<(), CompactionError> {
    while from <= to {
        let entries = log.read(from, to).await?;
        if entries.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("entry {from} is not in the log")).into());
        }
        for (id, payload) in entries {
            from = id.index + 1;
            match payload {
                EntryPayload::Blank => {}
                EntryPayload::Membership(membership) => {
                    system.members = types::to_members(&membership);
                    system.members_at = Some(id);
                }
                EntryPayload::Normal(proposal) => {
                    let damaged = |error| CompactionError::Entry(id.index, error);
                    let entry = Entry::decode(&proposal.0).map_err(damaged)?;
                    let verdict = system.system.judge(Index(id.index), &entry);
                    let Entry::Batch { effects, .. } = entry else { continue };
                    if verdict == Verdict::Accepted {
                        for effect in Effects::new(effects) {
                            let effect = effect.map_err(damaged)?;
                            system.system.apply(&effect);
                            buckets.add(&effect);
                            buckets.spill_full().await?;
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

/// Makes one partition from where its keys were and what has changed since.
async fn merge<E: Env>(
    env: &E,
    source: Option<(&Manifest, &PartitionFile)>,
    buckets: &mut Buckets<E>,
    number: u32,
    manifest: &Manifest,
) -> Result<PartitionFile, CompactionError> {
    let mut store = Store::new(env.random());
    if let Some((before, file)) = source {
        let bytes = snapshot::read_partition(env, file).await?;
        for block in snapshot::blocks(before.log, file, &bytes) {
            for effect in Effects::new(block?) {
                let effect = effect.map_err(|error| CompactionError::Entry(before.last.index, error))?;
                // When partitions have been split, the file holds another one's keys too.
                if effect.key().is_some_and(|(db, key)| partition_of(db, key, manifest.bits) == number) {
                    store.apply(&effect);
                }
            }
        }
    }
    for content in buckets.take(number).await? {
        for effect in Effects::new(&content) {
            store.apply(&effect.map_err(|error| CompactionError::Entry(manifest.last.index, error))?);
        }
    }
    let mut file = PartitionFile { made_at: manifest.last.index, number, len: 0, items: store.counts() };
    if Mutant::DropPartition.is_chosen() && number == 0 {
        store = Store::new(0);
    }
    file.len = snapshot::write_partition(env, &file.name(), file.id(manifest.log), store.pieces()).await?;
    Ok(file)
}

/// The effects of each partition, in the order of the log.
struct Buckets<E: Env> {
    file: FileWriter<E>,
    id: FileId,
    bits: u8,
    buckets: Vec<Bucket>,
    /// Bytes in memory.
    held: usize,
}

#[derive(Default)]
struct Bucket {
    held: Vec<u8>,
    /// Blocks in the file: where, and how many bytes.
    spilled: Vec<(u64, usize)>,
}

impl<E: Env> Buckets<E> {
    async fn create(env: &E, log: u64, made_at: u64, bits: u8) -> io::Result<Self> {
        let file = FileWriter::create(env, SPILL).await?;
        let id = FileId { log, made_at, number: u32::MAX };
        let buckets = (0..1u32 << bits).map(|_| Bucket::default()).collect();
        Ok(Self { file, id, bits, buckets, held: 0 })
    }

    fn add(&mut self, effect: &Effect<'_>) {
        let before = self.held;
        let into = |bucket: &mut Bucket| {
            let len = bucket.held.len();
            effect::record(effect, &mut bucket.held);
            bucket.held.len() - len
        };
        self.held = before
            + match (effect.key(), effect) {
                (Some((db, key)), _) => into(&mut self.buckets[partition_of(db, key, self.bits) as usize]),
                (None, Effect::Flush { .. }) => self.buckets.iter_mut().map(into).sum(),
                (None, _) => 0,
            };
    }

    /// Spills everything when there is too much.
    async fn spill_full(&mut self) -> io::Result<()> {
        if self.held < BUCKET_BYTES {
            return Ok(());
        }
        for bucket in self.buckets.iter_mut().filter(|bucket| !bucket.held.is_empty()) {
            let offset = self.file.written() + self.file.buffer.len() as u64;
            let before = self.file.buffer.len();
            block::encode(self.id, checksum, offset, &bucket.held, &mut self.file.buffer);
            bucket.spilled.push((offset, self.file.buffer.len() - before));
            bucket.held.clear();
        }
        self.held = 0;
        self.file.flush().await
    }

    fn is_empty(&self, number: u32) -> bool {
        let bucket = &self.buckets[number as usize];
        bucket.held.is_empty() && bucket.spilled.is_empty()
    }

    /// A bucket's content, in order, in pieces.
    async fn take(&mut self, number: u32) -> Result<Vec<Vec<u8>>, CompactionError> {
        let bucket = std::mem::take(&mut self.buckets[number as usize]);
        let mut pieces = Vec::new();
        for (offset, len) in bucket.spilled {
            let bytes = self.file.file().read_at(offset, len).await?;
            let content = BlockReader::at(self.id, checksum, &bytes, offset).next();
            match content {
                Some(Ok(content)) => pieces.push(content.to_vec()),
                _ => {
                    return Err(SnapshotError::damaged(SPILL, offset, "the block there cannot be read").into());
                }
            }
        }
        self.held -= bucket.held.len();
        pieces.push(bucket.held);
        Ok(pieces)
    }
}
