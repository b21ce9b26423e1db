//! The one place that says how peers and disks see our types: bincode 2.0.1, variable-length little-endian integers,
//! decoding bounded by [`limits::MAX_ENTRY`]. Encoded enums only ever grow at their end.

use alloc::vec::Vec;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::de::BorrowDecode;
use bincode::enc::Encode;

use crate::limits;

type Config = Configuration<LittleEndian, Varint, Limit<{ limits::MAX_ENTRY }>>;

const CONFIG: Config = bincode::config::standard().with_limit::<{ limits::MAX_ENTRY }>();

/// Bytes that do not decode: damaged, hostile, or written by a newer version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("the bytes are not a known value: {0}")]
    Malformed(alloc::string::String),
    #[error("{0} bytes stand behind the value")]
    Trailing(usize),
    #[error("the cluster writes format {format}, and this node reads up to {reads}: start a newer version of it")]
    Newer { format: u32, reads: u32 },
}

struct Appender<'a>(&'a mut Vec<u8>);

impl bincode::enc::write::Writer for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Appends a value's encoding.
pub fn encode(value: &impl Encode, out: &mut Vec<u8>) {
    // The writer cannot fail, and derived encoders of our types have no other error.
    let done = bincode::encode_into_writer(value, Appender(out), CONFIG);
    assert!(done.is_ok(), "encoding into memory failed: {done:?}");
}

/// Decodes a value from the front of `bytes`, borrowing from them; returns what is left.
pub fn decode<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), CodecError> {
    match bincode::borrow_decode_from_slice(bytes, CONFIG) {
        Ok((value, used)) => Ok((value, &bytes[used..])),
        Err(error) => Err(CodecError::Malformed(alloc::format!("{error:?}"))),
    }
}

/// Decodes a value that takes up all of `bytes`.
pub fn decode_all<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<T, CodecError> {
    match decode(bytes)? {
        (value, []) => Ok(value),
        (_, rest) => Err(CodecError::Trailing(rest.len())),
    }
}

/// Decodes a value that owns its content and takes up all of `bytes`.
pub fn decode_owned<T: bincode::Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    match bincode::decode_from_slice(bytes, CONFIG) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok((_, used)) => Err(CodecError::Trailing(bytes.len() - used)),
        Err(error) => Err(CodecError::Malformed(alloc::format!("{error:?}"))),
    }
}
