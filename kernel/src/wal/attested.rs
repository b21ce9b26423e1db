//! How far an idle log is on stable storage, said outside of its segments: damage to one place must not take a record
//! and all that knows of it.

use alloc::vec::Vec;

use super::{Checksum, VERSION};

/// A second witness of the last sync. It may be behind, never ahead: it is written once the sync has completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attested {
    /// Which log it is of.
    pub log: u64,
    pub segment: u64,
    /// Every byte of the segment below this is on stable storage.
    pub synced_to: u64,
}

const MAGIC: &[u8; 8] = b"MNEMEATT";

impl Attested {
    /// Bytes of an encoded one: within a sector, which a disk writes as a whole.
    pub const LEN: u64 = 40;

    pub fn encode(&self, checksum: Checksum) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LEN as usize);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for number in [self.log, self.segment, self.synced_to] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(0, &out);
        out[12..16].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// What the bytes say; `None` if nothing can be made of them. Then the log has one witness less, and is no worse.
    pub fn decode(checksum: Checksum, bytes: &[u8]) -> Option<Self> {
        let mut bytes: [u8; Self::LEN as usize] = bytes.get(..Self::LEN as usize)?.try_into().ok()?;
        let claimed: [u8; 4] = bytes[12..16].try_into().ok()?;
        bytes[12..16].fill(0);
        let version = u32::from_le_bytes(bytes[8..12].try_into().ok()?);
        if bytes[..8] != *MAGIC || version > VERSION || claimed != checksum(0, &bytes).to_le_bytes() {
            return None;
        }
        let number = |at: usize| Some(u64::from_le_bytes(bytes[at..at + 8].try_into().ok()?));
        Some(Self { log: number(16)?, segment: number(24)?, synced_to: number(32)? })
    }
}
