//! The bytes of a file, stored sparsely: a preallocated segment costs nothing until it is written.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// What a page holds.
pub type Page = Arc<[u8; PAGE as usize]>;

/// Bytes of a file. A page that is absent is zeros, and so is everything past the end.
///
/// Clones share their pages, and the table of them, until one writes.
#[derive(Clone, Debug, Default)]
pub struct Content {
    len: u64,
    pages: Arc<BTreeMap<u64, Page>>,
}

impl Content {
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Fills `bytes` with what stands at `offset`; zeros past the end.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) {
        for piece in pieces(offset, bytes.len(), PAGE) {
            let (page, start) = locate(offset + piece.start as u64);
            match self.pages.get(&page) {
                Some(page) => bytes[piece.clone()].copy_from_slice(&page[start..start + piece.len()]),
                None => bytes[piece].fill(0),
            }
        }
    }

    /// A page, unless it is zeros because it was never written.
    pub fn page(&self, page: u64) -> Option<&Page> {
        self.pages.get(&page)
    }

    /// Writes, growing the content if it must.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        let pages = Arc::make_mut(&mut self.pages);
        for piece in pieces(offset, bytes.len(), PAGE) {
            let (page, start) = locate(offset + piece.start as u64);
            let page = pages.entry(page).or_insert_with(|| Arc::new([0; PAGE as usize]));
            Arc::make_mut(page)[start..start + piece.len()].copy_from_slice(&bytes[piece]);
        }
        if !bytes.is_empty() {
            self.grow(offset + bytes.len() as u64);
        }
    }

    pub fn grow(&mut self, len: u64) {
        self.len = self.len.max(len);
    }

    pub fn cut(&mut self, len: u64) {
        self.len = self.len.min(len);
        let pages = Arc::make_mut(&mut self.pages);
        pages.split_off(&len.div_ceil(PAGE));
        let (page, start) = locate(len);
        if let Some(page) = pages.get_mut(&page) {
            Arc::make_mut(page)[start..].fill(0);
        }
    }
}

/// The page of an offset, and where in it.
fn locate(offset: u64) -> (u64, usize) {
    (offset / PAGE, (offset % PAGE) as usize)
}

/// Splits `len` bytes that stand at `offset` where multiples of `unit` fall. Each piece is a range of the bytes.
pub fn pieces(offset: u64, len: usize, unit: u64) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest_of_unit = unit - (offset + start as u64) % unit;
        let end = len.min(start + rest_of_unit as usize);
        let piece = start..end;
        start = end;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preallocated_file_costs_only_what_is_written() {
        let mut content = Content::default();
        content.grow(64 << 20);
        content.write((32 << 20) - 2, b"abcd");
        assert_eq!(content.len(), 64 << 20);
        assert_eq!(content.pages.len(), 2);
        let mut bytes = [1; 8];
        content.read((32 << 20) - 4, &mut bytes);
        assert_eq!(&bytes, b"\0\0abcd\0\0");
    }

    #[test]
    fn what_was_cut_off_reads_as_zeros_after_growing_again() {
        let mut content = Content::default();
        content.write(0, &[7; 10_000]);
        content.cut(5_000);
        content.grow(10_000);
        let mut bytes = [1; 10_000];
        content.read(0, &mut bytes);
        assert!(bytes[..5_000].iter().all(|&byte| byte == 7));
        assert!(bytes[5_000..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_clone_keeps_what_it_had() {
        let mut content = Content::default();
        content.write(0, b"old");
        let clone = content.clone();
        content.write(0, b"new");
        let mut bytes = [0; 3];
        clone.read(0, &mut bytes);
        assert_eq!(&bytes, b"old");
    }

    #[test]
    fn pieces_end_at_multiples_of_the_unit() {
        let ranges: Vec<_> = pieces(510, 1030, 512).collect();
        assert_eq!(ranges, [0..2, 2..514, 514..1026, 1026..1030]);
        assert_eq!(pieces(512, 0, 512).count(), 0);
    }
}
