//! A file of blocks: each with its length and a checksum over its content and its place.
//!
//! A block is: length of the content (4 bytes, little endian), CRC32C (4), content. The file's own length stands in the
//! manifest, so that a file that was cut is noticed.

use alloc::vec::Vec;

use crate::wal::Checksum;

/// Bytes of content at which a block is closed.
pub const BLOCK_BYTES: usize = 64 << 10;
/// Bytes before a block's content.
const HEAD: usize = 8;

/// Which file a block belongs to: part of its checksum, so that a block in another place is never taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    /// Which log the snapshot is of.
    pub log: u64,
    /// The last entry of the snapshot that made the file.
    pub made_at: u64,
    /// The partition's number.
    pub number: u32,
}

/// A block that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the block at offset {offset} is damaged")]
pub struct BadBlock {
    pub offset: u64,
}

fn sum(file: FileId, checksum: Checksum, offset: u64, content: &[u8]) -> u32 {
    let mut place = [0u8; 32];
    place[..8].copy_from_slice(&file.log.to_le_bytes());
    place[8..16].copy_from_slice(&file.made_at.to_le_bytes());
    place[16..20].copy_from_slice(&file.number.to_le_bytes());
    place[20..24].copy_from_slice(&(content.len() as u32).to_le_bytes());
    place[24..].copy_from_slice(&offset.to_le_bytes());
    checksum(checksum(0, &place), content)
}

/// Appends a block with this content, standing at `offset` of the file.
pub fn encode(file: FileId, checksum: Checksum, offset: u64, content: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(&sum(file, checksum, offset, content).to_le_bytes());
    out.extend_from_slice(content);
}

/// Gathers content into blocks.
#[derive(Debug)]
pub struct BlockWriter {
    file: FileId,
    checksum: Checksum,
    content: Vec<u8>,
    /// Bytes of the blocks that have been closed.
    len: u64,
}

impl BlockWriter {
    pub fn new(file: FileId, checksum: Checksum) -> Self {
        Self { file, checksum, content: Vec::new(), len: 0 }
    }

    /// Where to append a value, whole. Call [`BlockWriter::close_full`] after each.
    pub fn content(&mut self) -> &mut Vec<u8> {
        &mut self.content
    }

    /// Closes the block into `out` if it is full.
    pub fn close_full(&mut self, out: &mut Vec<u8>) {
        if self.content.len() >= BLOCK_BYTES {
            self.close(out);
        }
    }

    /// Closes the last block into `out`; returns the file's length.
    pub fn finish(mut self, out: &mut Vec<u8>) -> u64 {
        if !self.content.is_empty() {
            self.close(out);
        }
        self.len
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        encode(self.file, self.checksum, self.len, &self.content, out);
        self.len += (HEAD + self.content.len()) as u64;
        self.content.clear();
    }
}

/// The contents of a file's blocks, in order, each verified.
#[derive(Debug)]
pub struct BlockReader<'a> {
    file: FileId,
    checksum: Checksum,
    bytes: &'a [u8],
    offset: u64,
}

impl<'a> BlockReader<'a> {
    /// Reads a whole file.
    pub fn new(file: FileId, checksum: Checksum, bytes: &'a [u8]) -> Self {
        Self::at(file, checksum, bytes, 0)
    }

    /// Reads blocks that stand at `offset` of the file.
    pub fn at(file: FileId, checksum: Checksum, bytes: &'a [u8], offset: u64) -> Self {
        Self { file, checksum, bytes, offset }
    }

    fn read(&self) -> Option<&'a [u8]> {
        let head = self.bytes.get(..HEAD)?;
        let len = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
        let claimed = u32::from_le_bytes(head[4..].try_into().ok()?);
        let content = self.bytes.get(HEAD..HEAD.checked_add(len)?)?;
        let is_right = claimed == sum(self.file, self.checksum, self.offset, content);
        (is_right || crate::mutant::Mutant::IgnoreBlockChecksum.is_chosen()).then_some(content)
    }
}

impl<'a> Iterator for BlockReader<'a> {
    type Item = Result<&'a [u8], BadBlock>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let Some(content) = self.read() else {
            self.bytes = &[];
            return Some(Err(BadBlock { offset: self.offset }));
        };
        self.bytes = &self.bytes[HEAD + content.len()..];
        self.offset += (HEAD + content.len()) as u64;
        Some(Ok(content))
    }
}
