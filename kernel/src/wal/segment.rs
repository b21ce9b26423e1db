//! A segment's header and name.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Checksum, VERSION};

/// The first bytes of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Segments are numbered from 1 without gaps; purging removes from the front.
    pub number: u64,
    /// Which log this is: drawn when it was founded. Segments of another log are foreign.
    pub log: u64,
    /// Drawn for each segment and known to no client.
    pub salt: u64,
    /// Where the segment before validly ends. Everything below it is on stable storage; what stands behind it is void.
    /// Zero for the first segment of a log.
    pub previous_end: u64,
}

const MAGIC: &[u8; 8] = b"MNEMELOG";

impl SegmentHeader {
    /// Bytes of an encoded header; the first record follows.
    pub const LEN: u64 = 64;

    pub fn encode(&self, checksum: Checksum) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LEN as usize);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for number in [self.number, self.log, self.salt, self.previous_end] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(0, &out);
        out[12..16].copy_from_slice(&sum.to_le_bytes());
        out.resize(Self::LEN as usize, 0);
        out
    }

    /// Whether this is the sound header of a newer version, of which nothing else is known.
    pub fn is_newer(checksum: Checksum, bytes: &[u8]) -> bool {
        Self::version(checksum, bytes).is_ok_and(|version| version > VERSION)
    }

    /// Reads a header.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn decode(checksum: Checksum, bytes: &[u8]) -> Result<Self, &'static str> {
        if Self::version(checksum, bytes)? > VERSION {
            return Err("the segment was written by a newer version of Mneme");
        }
        let number = |i: usize| {
            let mut number = [0u8; 8];
            number.copy_from_slice(&bytes[16 + i * 8..24 + i * 8]);
            u64::from_le_bytes(number)
        };
        Ok(Self { number: number(0), log: number(1), salt: number(2), previous_end: number(3) })
    }

    /// The version of a sound header: a flipped bit is no newer version. Every version's header has its checksum there.
    fn version(checksum: Checksum, bytes: &[u8]) -> Result<u32, &'static str> {
        let header = bytes.get(..Self::LEN as usize).ok_or("the file is shorter than a segment's header")?;
        if &header[..8] != MAGIC {
            return Err("this is not a segment of a Mneme log");
        }
        let claimed = u32::from_le_bytes([header[12], header[13], header[14], header[15]]);
        let mut content = [0u8; 48];
        content.copy_from_slice(&header[..48]);
        content[12..16].fill(0);
        if claimed != checksum(0, &content) {
            return Err("the segment's header is damaged");
        }
        Ok(u32::from_le_bytes([header[8], header[9], header[10], header[11]]))
    }
}

/// The name of a segment's file.
pub fn file_name(number: u64) -> String {
    alloc::format!("{number:016x}.log")
}

/// The number of the segment in a file of this name, if it is one.
pub fn segment_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".log")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}
