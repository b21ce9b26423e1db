//! Single values in the format of Redis's RDB files, as `DUMP` gives them and `RESTORE` takes them: a byte for the type,
//! the value, the version of the format in two bytes and a CRC-64 of all before it in eight, both little end first.
//!
//! What is written is the plainest form of each type, which every Redis since 7.0 reads. Read is all that Redis up to 7.2
//! ever wrote, but for types of modules: files of old versions hold old forms.

mod compressed;
mod packed;
mod read;
mod stream;
mod write;

use alloc::vec::Vec;

pub use read::{Bad, Loaded};

use crate::store::Value;

/// The version that is written: that of Redis 7.0.
const WRITTEN: u16 = 10;
/// The newest that is read: that of Redis 7.4, of which only the hashes whose fields expire are not known.
pub const NEWEST: u16 = 12;
/// Bytes of the version and of the checksum.
const TAIL: usize = 10;
const CHECKSUM: usize = 8;

/// What the first byte of a value says, and the byte before a key in a file.
pub mod types {
    pub const TEXT: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    /// Scores as text.
    pub const SORTED: u8 = 3;
    pub const HASH: u8 = 4;
    /// Scores as doubles.
    pub const SORTED_2: u8 = 5;
    /// A value of a module, in the first form and in the second.
    pub const MODULE: u8 = 6;
    pub const MODULE_2: u8 = 7;
    /// Until Redis 2.6.
    pub const HASH_ZIPMAP: u8 = 9;
    /// Ziplists: until Redis 6.2.
    pub const LIST_ZIPLIST: u8 = 10;
    pub const INTEGER_SET: u8 = 11;
    pub const SORTED_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    /// Ziplists of elements: until Redis 6.2.
    pub const QUICKLIST: u8 = 14;
    /// Until Redis 6.2.
    pub const STREAM: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const SORTED_LISTPACK: u8 = 17;
    /// Elements, and listpacks of them.
    pub const QUICKLIST_2: u8 = 18;
    /// With what was deleted and read: Redis 7.0.
    pub const STREAM_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    /// With when consumers were active: Redis 7.2.
    pub const STREAM_3: u8 = 21;
    /// A library's code: no type, but an opcode of the file.
    pub const FUNCTION: u8 = 245;
}

/// The value as `DUMP` gives it; `None` of a document, for which Redis has no form.
pub fn dump(value: Value<'_>) -> Option<Vec<u8>> {
    let mut out = write::value(value)?;
    end(&mut out);
    Some(out)
}

/// Libraries of functions as `FUNCTION DUMP` gives them.
pub fn dump_libraries<'a>(codes: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for code in codes {
        out.push(types::FUNCTION);
        write::string(code, &mut out);
    }
    end(&mut out);
    out
}

/// The code of each library in what [`open`] gave; `None` if it is something else.
pub fn load_libraries(dumped: &[u8]) -> Option<Vec<Vec<u8>>> {
    read::libraries(dumped).ok()
}

/// Appends version and checksum.
fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(&WRITTEN.to_le_bytes());
    let checksum = crc64(0, out);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// A value as a file has it, behind its type, as `RESTORE` takes it.
pub fn closed(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + value.len() + TAIL);
    out.push(kind);
    out.extend_from_slice(value);
    end(&mut out);
    out
}

/// What stands before version and checksum, if they are right.
pub fn open(dumped: &[u8]) -> Option<&[u8]> {
    let (value, tail) = dumped.split_at_checked(dumped.len().checked_sub(TAIL)?)?;
    let (version, checksum) = tail.split_first_chunk()?;
    let is_right = checksum == crc64(0, &dumped[..dumped.len() - CHECKSUM]).to_le_bytes();
    (is_right && u16::from_le_bytes(*version) <= NEWEST).then_some(value)
}

/// Reads what [`open`] gave.
pub fn load(value: &[u8]) -> Result<Loaded, Bad> {
    read::value(value)
}

/// CRC-64 with the polynomial of David T. Jones, "An Improved 64-bit Cyclic Redundancy Check for Protein Sequences"
/// (2002); low bits first. `before` is that of what stands before, or zero.
pub fn crc64(before: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(before, |crc, byte| crc >> 8 ^ CRCS[usize::from(crc as u8 ^ byte)])
}

const CRCS: [u64; 256] = {
    const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests;
