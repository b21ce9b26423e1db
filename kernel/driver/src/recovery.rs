//! Fills an empty Core from a snapshot: several readers, each with partitions of its own, and one that puts into memory.

use std::sync::{Arc, Mutex};

use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use mneme_kernel::core::{BadEntry, Core, Input, Now};
use mneme_kernel::ids::Index;
use mneme_kernel::snapshot::{Manifest, manifest_file};
use mneme_kernel::system::System;

use crate::env::Env;
use crate::snapshot::{SnapshotError, blocks, read_partition};
use crate::sync::lock;

/// Tasks that read and verify partitions.
const READERS: usize = 2;
/// Partitions that each has ready before it waits.
const AHEAD: usize = 2;

/// Loads a snapshot.
pub(crate) async fn load<E: Env>(
    env: &E,
    core: &Mutex<Core>,
    manifest: &Manifest,
    system: System,
) -> Result<(), SnapshotError> {
    let mut outputs = Vec::new();
    let mut tell = |file: String, input: Input<'_>| {
        let now = Now { wall: env.wall(), monotonic: env.monotonic() };
        lock(core).handle(now, input, &mut outputs).map_err(|error: BadEntry| {
            // Its checksum was right: what wrote it was wrong, or newer.
            SnapshotError::damaged(&file, 0, error)
        })
    };
    let whole = Input::Snapshot { index: Index(manifest.last.index), system, items: &manifest.items() };
    tell(manifest_file(manifest.last.index), whole)?;
    let manifest = Arc::new(manifest.clone());
    let (sender, mut loaded) = mpsc::channel(READERS * AHEAD);
    for reader in 0..READERS {
        let (env_of_reader, manifest, mut sender) = (env.clone(), manifest.clone(), sender.clone());
        env.spawn_thread("recovery", async move {
            for i in (reader..manifest.partitions.len()).step_by(READERS) {
                let read = read_effects(&env_of_reader, &manifest, i).await;
                if sender.send(read.map(|effects| (i, effects))).await.is_err() {
                    // Somebody has found damage: nobody needs the rest.
                    return;
                }
            }
        });
    }
    drop(sender);
    while let Some(read) = loaded.next().await {
        let (partition, effects) = read?;
        tell(manifest.partitions[partition].name(), Input::Items(&effects))?;
    }
    Ok(())
}

/// A partition's effects, verified.
async fn read_effects<E: Env>(env: &E, manifest: &Manifest, partition: usize) -> Result<Vec<u8>, SnapshotError> {
    let file = &manifest.partitions[partition];
    let bytes = read_partition(env, file).await?;
    let mut effects = Vec::with_capacity(bytes.len());
    for block in blocks(manifest.log, file, &bytes) {
        effects.extend_from_slice(block?);
    }
    Ok(effects)
}
