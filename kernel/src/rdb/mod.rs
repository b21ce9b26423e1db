//! Single values in the format of Redis's RDB files, as `DUMP` gives them and `RESTORE` takes them: a byte for the type,
//! the value, the version of the format in two bytes and a CRC-64 of all before it in eight, both little end first.
//!
//! What is written is the plainest form of each type, which every Redis since 7.0 reads. Read is all that Redis 7.0 and 7.2
//! write of strings, lists, sets, sorted sets and hashes.

mod compressed;
mod packed;
mod read;
mod write;

use alloc::vec::Vec;

pub use read::{Bad, Loaded};

use crate::store::Value;

/// The version that is written: that of Redis 7.0.
const WRITTEN: u16 = 10;
/// The newest that is read: that of Redis 7.2.
const READ: u16 = 11;
/// Bytes of the version and of the checksum.
const TAIL: usize = 10;
const CHECKSUM: usize = 8;

mod types {
    pub(super) const TEXT: u8 = 0;
    pub(super) const LIST: u8 = 1;
    pub(super) const SET: u8 = 2;
    /// Scores as text.
    pub(super) const SORTED: u8 = 3;
    pub(super) const HASH: u8 = 4;
    /// Scores as doubles.
    pub(super) const SORTED_2: u8 = 5;
    pub(super) const INTEGER_SET: u8 = 11;
    pub(super) const HASH_LISTPACK: u8 = 16;
    pub(super) const SORTED_LISTPACK: u8 = 17;
    /// Elements, and listpacks of them.
    pub(super) const QUICKLIST_2: u8 = 18;
    pub(super) const SET_LISTPACK: u8 = 20;
    /// A library's code: no type, but an opcode of the file.
    pub(super) const FUNCTION: u8 = 245;
}

/// The value as `DUMP` gives it; `None` of a stream, whose form is neither written nor read.
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
    let checksum = crc64(out);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// What stands before version and checksum, if they are right.
pub fn open(dumped: &[u8]) -> Option<&[u8]> {
    let (value, tail) = dumped.split_at_checked(dumped.len().checked_sub(TAIL)?)?;
    let (version, checksum) = tail.split_first_chunk()?;
    let is_right = checksum == crc64(&dumped[..dumped.len() - CHECKSUM]).to_le_bytes();
    (is_right && u16::from_le_bytes(*version) <= READ).then_some(value)
}

/// Reads what [`open`] gave.
pub fn load(value: &[u8]) -> Result<Loaded, Bad> {
    read::value(value)
}

/// CRC-64 with the polynomial of David T. Jones, "An Improved 64-bit Cyclic Redundancy Check for Protein Sequences"
/// (2002); low bits first.
fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, byte| crc >> 8 ^ CRCS[usize::from(crc as u8 ^ byte)])
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
mod tests {
    use super::*;
    use crate::store::{SortedSet, words};
    use proptest::prelude::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn texts_are_read_in_every_form() {
        let dumped = b"\x00\xc0\x0a\x0a\x00n\x9fWE\x0e\xaec\xbb";
        assert_eq!(open(dumped), Some(&b"\x00\xc0\x0a"[..]));
        let value = |bytes: &[u8]| load(bytes);
        assert_eq!(value(b"\x00\xc0\x0a"), Ok(Loaded::Text(b"10".into())));
        assert_eq!(value(b"\x00\x03abc"), Ok(Loaded::Text(b"abc".into())));
        assert_eq!(value(b"\x00\xc1\xff\xff"), Ok(Loaded::Text(b"-1".into())));
        assert_eq!(value(b"\x00\xc2\x00\x00\x00\x80"), Ok(Loaded::Text(b"-2147483648".into())));
        // A byte, and a copy of it that overlaps itself.
        assert_eq!(value(b"\x00\xc3\x05\x0a\x00a\xe0\x00\x00"), Ok(Loaded::Text(b"aaaaaaaaaa".into())));
        assert_eq!(value(b"\x00\xc3\x05\x0b\x00a\xe0\x00\x00"), Err(Bad));
        assert_eq!(value(b"\x00\x04abc"), Err(Bad));
    }

    #[test]
    fn packed_forms_are_read() {
        let integers = b"\x0b\x0c\x02\0\0\0\x02\0\0\0\xff\xff\x05\x00";
        assert_eq!(load(integers), Ok(Loaded::Set(words::collect([&b"-1"[..], b"5"]))));
        // Of seven and thirteen bits, a text, and of sixteen bits.
        let listpack = b"\x14\x14\x14\0\0\0\x04\0\x07\x01\xdf\xff\x02\x82hi\x03\xf1\xe8\x03\x03\xff";
        assert_eq!(load(listpack), Ok(Loaded::Set(words::collect([&b"7"[..], b"-1", b"hi", b"1000"]))));
        let mut scored = listpack.to_vec();
        scored[0] = types::SORTED_LISTPACK;
        assert_eq!(
            load(&scored),
            Ok(Loaded::Sorted(words::collect([&SortedSet::word(-1.0, b"7")[..], &SortedSet::word(1000.0, b"hi")])))
        );
    }

    proptest! {
        #[test]
        fn whatever_bytes_are_read_or_refused(kind in 0u8..24, bytes in prop::collection::vec(prop_oneof![0u8..5, 0xc0u8..0xc4, any::<u8>()], 0..40)) {
            let value = [&[kind][..], &bytes].concat();
            let _ = load(&value);
            let _ = open(&value);
        }
    }
}
