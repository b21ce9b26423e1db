//! A snapshot on its way from one Keeper to another, in bounded memory: a partition at a time.
//!
//! Blocks are verified as the sender's and written as the receiver's own, under temporary names: the names and the
//! checksums of files tell which Keeper's they are, so those of two Keepers can never be taken for each other.

use std::io;
use std::time::Duration;

use futures::channel::{mpsc, oneshot};
use futures::{SinkExt, StreamExt};
use mneme_kernel::snapshot::{FileId, Manifest, PartitionFile, SystemPartition, block};
use mneme_kernel::wal::Vote;
use tokio::io::{AsyncRead, AsyncWriteExt};

use crate::channel::DIAL;
use crate::env::Env;
use crate::link::{self, FrameReader, Open};
use crate::raft_wire::{self as wire, Answer, Request};
use crate::snapshot::{self, FileWriter, Reading};
use crate::state_machine::{Progress, SnapshotFiles, SnapshotOf, meta_of};
use crate::wal::checksum;

/// Bytes of a chunk, and chunks that are ready before the disk or the link waits.
const CHUNK: usize = 256 << 10;
const AHEAD: usize = 4;
/// How long the other side may take for a chunk, and for its disk at the end.
const CHUNK_PATIENCE: Duration = Duration::from_secs(10);
const LAST_PATIENCE: Duration = Duration::from_secs(60);

/// Who sends to whom, and where that is.
pub(crate) struct Ends<'a> {
    pub from: u64,
    pub to: u64,
    pub address: &'a str,
}

/// Sends a snapshot; returns the vote that the receiver holds when it is in place there.
pub(crate) async fn send<E: Env>(env: &E, ends: Ends<'_>, leader: Vote, snapshot: Reading) -> io::Result<Vote> {
    let manifest = &snapshot.manifest;
    let purpose = Open::Raft { from: ends.from, to: ends.to };
    let stream = link::open(env, ends.address, &purpose, DIAL).await?;
    let (read, mut writer) = tokio::io::split(stream);
    let mut reader = FrameReader::new(read);
    let offer = wire::frame(&Request::Snapshot { leader, manifest: Box::new(manifest.clone()) });
    writer.write_all(&offer).await?;
    writer.flush().await?;
    match answer(env, &mut reader, CHUNK_PATIENCE).await? {
        Answer::Wanted => {}
        Answer::Higher(held) => return Ok(held),
        other => return Err(wire::unexpected(&other)),
    }
    // On a thread of its own, because it blocks on the disk.
    let (chunks, mut ready) = mpsc::channel::<io::Result<Vec<u8>>>(AHEAD);
    env.spawn_background("transfer", read_files(env.clone(), manifest.clone(), chunks));
    while let Some(chunk) = ready.next().await {
        let mut frame = Vec::new();
        link::frame(&chunk?, &mut frame);
        link::timeout(env, CHUNK_PATIENCE, async {
            writer.write_all(&frame).await?;
            writer.flush().await
        })
        .await?;
    }
    match answer(env, &mut reader, LAST_PATIENCE).await? {
        Answer::Installed(held) => {
            tracing::info!(last = manifest.last.index, to = ends.address, "a snapshot has been sent");
            Ok(held)
        }
        other => Err(wire::unexpected(&other)),
    }
}

async fn answer<E: Env>(
    env: &E,
    reader: &mut FrameReader<impl AsyncRead + Unpin>,
    within: Duration,
) -> io::Result<Answer> {
    let answer = link::timeout(env, within, reader.message::<Answer>()).await?;
    answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

async fn read_files<E: Env>(env: E, manifest: Manifest, mut chunks: mpsc::Sender<io::Result<Vec<u8>>>) {
    for file in files(&manifest) {
        let bytes = match snapshot::read_partition(&env, file).await {
            Ok(bytes) => bytes,
            Err(error) => {
                let _ = chunks.send(Err(io::Error::other(error.to_string()))).await;
                return;
            }
        };
        for chunk in bytes.chunks(CHUNK) {
            if chunks.send(Ok(chunk.to_vec())).await.is_err() {
                // The link has broken.
                return;
            }
        }
    }
}

/// A snapshot's files in the order in which they are sent.
fn files(manifest: &Manifest) -> impl Iterator<Item = &PartitionFile> {
    manifest.partitions.iter().chain([&manifest.system])
}

/// Takes the files of the sender's manifest from the link, as those of the Keeper `own`; returns what Raft is to put
/// in place. If that fails, some of the files are there.
pub(crate) async fn receive<E: Env>(
    env: &E,
    mut reader: FrameReader<impl AsyncRead + Unpin>,
    offered: &Manifest,
    own: u64,
    progress: &Progress,
) -> io::Result<SnapshotOf<E>> {
    let (mut chunks, ready) = mpsc::channel(AHEAD);
    let (done, written) = oneshot::channel();
    let (writing_env, offered) = (env.clone(), offered.clone());
    let mut expected: u64 = offered.bytes();
    env.spawn_background("transfer", async move {
        let _ = done.send(write_files(&writing_env, ready, &offered, own).await);
    });
    let taken = async {
        while expected > 0 {
            let chunk = link::timeout(env, CHUNK_PATIENCE, reader.message::<Vec<u8>>()).await?;
            let chunk = chunk.ok_or(io::ErrorKind::UnexpectedEof)?;
            expected = expected
                .checked_sub(chunk.len() as u64)
                .filter(|_| !chunk.is_empty())
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not what the manifest says"))?;
            if chunks.send(chunk).await.is_err() {
                // It says below what was wrong.
                break;
            }
        }
        Ok::<(), io::Error>(())
    };
    let taken = taken.await;
    drop(chunks);
    // It is waited for, whatever came: nothing is written any more when this returns.
    let written = written.await.map_err(|_| io::Error::other("its thread has ended"))?;
    taken?;
    let (manifest, system) = written?;
    // One that is being made is finished first; none begins before this one is in place.
    let building = progress.building.clone().lock_owned().await;
    let meta = meta_of::<E>(&manifest, system)?;
    Ok(SnapshotOf::<E> { meta, snapshot: SnapshotFiles::Incoming { manifest, building } })
}

/// Verifies and writes the files under temporary names; returns them as this Keeper's own.
async fn write_files<E: Env>(
    env: &E,
    mut chunks: mpsc::Receiver<Vec<u8>>,
    offered: &Manifest,
    own: u64,
) -> io::Result<(Manifest, SystemPartition)> {
    snapshot::remove_incoming(env).await?;
    let mut manifest = Manifest { log: own, ..offered.clone() };
    let mut rest = Vec::new();
    let mut received = Vec::new();
    let numbers = (0u32..offered.partitions.len() as u32).chain([Manifest::SYSTEM]);
    for (file, number) in files(offered).zip(numbers) {
        while (rest.len() as u64) < file.len {
            let chunk = chunks.next().await.ok_or(io::ErrorKind::UnexpectedEof)?;
            rest.extend_from_slice(&chunk);
        }
        let mut bytes = std::mem::take(&mut rest);
        rest = bytes.split_off(file.len as usize);
        let taken = PartitionFile { made_at: offered.last.index, number, ..file.clone() };
        rewrite(env, offered.log, file, &bytes, &taken, taken.id(own)).await?;
        received.push(taken);
        if number == Manifest::SYSTEM {
            let content = content(offered.log, file, &bytes)?;
            let system = SystemPartition::decode(&content)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            manifest.system = received.pop().unwrap_or_else(|| unreachable!("it has just been pushed"));
            manifest.partitions = received;
            return Ok((manifest, system));
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn content(log: u64, file: &PartitionFile, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    for block in snapshot::blocks(log, file, bytes) {
        content.extend_from_slice(block.map_err(|error| io::Error::other(error.to_string()))?);
    }
    Ok(content)
}

async fn rewrite<E: Env>(
    env: &E,
    log: u64,
    file: &PartitionFile,
    bytes: &[u8],
    taken: &PartitionFile,
    id: FileId,
) -> io::Result<()> {
    let mut writer = FileWriter::create(env, &snapshot::incoming(&taken.name())).await?;
    for content in snapshot::blocks(log, file, bytes) {
        let content = content.map_err(|error| io::Error::other(error.to_string()))?;
        let offset = writer.written() + writer.buffer.len() as u64;
        block::encode(id, checksum, offset, content, &mut writer.buffer);
        writer.flush_full().await?;
    }
    writer.finish().await
}
