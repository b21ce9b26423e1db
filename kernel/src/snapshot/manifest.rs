//! The list of a snapshot's files.

use alloc::string::String;
use alloc::vec::Vec;

use bincode::{Decode, Encode};

use super::{FileId, VERSION};
use crate::codec::{self, CodecError};
use crate::members::Members;
use crate::system::System;
use crate::wal::{Checksum, LogId};

/// One file of items.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PartitionFile {
    /// The last entry of the snapshot that made the file, which may be an older one.
    pub made_at: u64,
    /// The partition's number in that snapshot.
    pub number: u32,
    /// Bytes.
    pub len: u64,
    /// Items by database.
    pub items: Vec<u64>,
}

impl PartitionFile {
    /// The file's name.
    pub fn name(&self) -> String {
        alloc::format!("{:016x}-{:03x}.part", self.made_at, self.number)
    }

    pub fn id(&self, log: u64) -> FileId {
        FileId { log, made_at: self.made_at, number: self.number }
    }
}

/// A snapshot: what the log says up to and with `last`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Manifest {
    /// Which log it is of.
    pub log: u64,
    /// The last entry that it contains.
    pub last: LogId,
    /// There are 2 to the power of so many partitions.
    pub bits: u8,
    pub partitions: Vec<PartitionFile>,
    pub system: PartitionFile,
}

/// What the system partition holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemPartition {
    pub system: System,
    pub members: Members,
    /// The entry that made them the members; `None` before the first.
    pub members_at: Option<LogId>,
}

impl SystemPartition {
    /// Appends its encoding. What the oldest format does not know stands at the end, if there is any.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Self { system, members, members_at } = self;
        codec::encode(system, out);
        codec::encode(members, out);
        codec::encode(members_at, out);
        system.append_newer(out);
    }

    /// The opposite of [`SystemPartition::encode`].
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (mut system, rest): (System, _) = codec::decode(bytes)?;
        let (members, rest) = codec::decode(rest)?;
        let (members_at, rest) = codec::decode(rest)?;
        system.take_newer(rest)?;
        Ok(Self { system, members, members_at })
    }
}

/// A manifest that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    #[error("this is not the manifest of a Mneme snapshot")]
    Foreign,
    #[error("the snapshot was written by a newer version of Mneme")]
    Newer,
    #[error("the manifest is damaged")]
    Damaged,
}

const MAGIC: &[u8; 8] = b"MNEMESNP";
/// Bytes before the content: magic (8), version (4), CRC32C of both and the content (4).
const HEAD: usize = 16;

fn sum(checksum: Checksum, bytes: &[u8]) -> u32 {
    checksum(checksum(0, &bytes[..12]), &bytes[HEAD..])
}

impl Manifest {
    /// The number that the system partition's file has in place of a partition's.
    pub const SYSTEM: u32 = 0x00ff_ffff;

    pub fn encode(&self, checksum: Checksum) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        codec::encode(self, &mut out);
        let sum = sum(checksum, &out);
        out[12..HEAD].copy_from_slice(&sum.to_le_bytes());
        out
    }

    pub fn decode(checksum: Checksum, bytes: &[u8]) -> Result<Self, BadManifest> {
        let (head, content) = bytes.split_at_checked(HEAD).ok_or(BadManifest::Foreign)?;
        if &head[..8] != MAGIC {
            return Err(BadManifest::Foreign);
        }
        let claimed = u32::from_le_bytes([head[12], head[13], head[14], head[15]]);
        if claimed != sum(checksum, bytes) {
            return Err(BadManifest::Damaged);
        }
        // Only now: a flipped bit is no newer version. Every version's manifest has its checksum here.
        if u32::from_le_bytes([head[8], head[9], head[10], head[11]]) > VERSION {
            return Err(BadManifest::Newer);
        }
        let manifest: Self = codec::decode_all(content).map_err(|_| BadManifest::Damaged)?;
        if 1usize.checked_shl(manifest.bits.into()) != Some(manifest.partitions.len()) {
            return Err(BadManifest::Damaged);
        }
        Ok(manifest)
    }

    /// Bytes of all files but the manifest.
    pub fn bytes(&self) -> u64 {
        self.partitions.iter().map(|file| file.len).sum::<u64>() + self.system.len
    }

    /// Items by database.
    pub fn items(&self) -> Vec<u64> {
        let mut sum = Vec::new();
        for file in &self.partitions {
            sum.resize(sum.len().max(file.items.len()), 0);
            for (sum, items) in sum.iter_mut().zip(&file.items) {
                *sum += items;
            }
        }
        sum
    }

    /// The names of all files but the manifest.
    pub fn files(&self) -> impl Iterator<Item = String> {
        self.partitions.iter().chain([&self.system]).map(PartitionFile::name)
    }
}

/// The name of the manifest of the snapshot whose last entry is `last`.
pub fn manifest_file(last: u64) -> String {
    alloc::format!("{last:016x}.snapshot")
}

/// The last entry of the snapshot whose manifest has this name, if it is one.
pub fn snapshot_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".snapshot")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}
