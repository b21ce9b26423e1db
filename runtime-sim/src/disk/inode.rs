//! A file: what is on the platter, and the changes that are still on their way to it.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use madsim::rand::{Rng, thread_rng};

use super::DiskStats;
use super::content::{Content, PAGE, Page, pieces};
use super::history::History;

/// Bytes that a disk writes as a whole or not at all.
pub const SECTOR: u64 = 512;

#[derive(Debug, Default)]
pub struct Inode {
    synced: Content,
    history: History,
    /// In the order in which they were made.
    pending: Vec<Change>,
    /// How many changes are pending no longer.
    settled: u64,
}

#[derive(Debug)]
pub enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Grow { len: u64 },
    Cut { len: u64 },
}

/// How many changes a file had seen at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

impl Inode {
    /// A file of which only what is synced is left.
    pub fn durable_copy(&self) -> Inode {
        Inode { synced: self.synced.clone(), history: self.history.clone(), ..Inode::default() }
    }

    pub fn len(&self) -> u64 {
        self.pending.iter().fold(self.synced.len(), |file_len, change| match change {
            Change::Write { offset, bytes } => file_len.max(offset + bytes.len() as u64),
            Change::Grow { len } => file_len.max(*len),
            Change::Cut { len } => file_len.min(*len),
        })
    }

    /// Reads through the pending changes.
    pub fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        if offset.checked_add(len as u64).is_none_or(|end| end > self.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; len];
        self.synced.read(offset, &mut bytes);
        for change in &self.pending {
            change.overlay(offset, &mut bytes);
        }
        Ok(bytes)
    }

    pub fn change(&mut self, change: Change) {
        self.pending.push(change);
    }

    pub fn mark(&self) -> Mark {
        Mark(self.settled + self.pending.len() as u64)
    }

    /// Makes the changes before `mark` durable.
    pub fn settle(&mut self, mark: Mark) {
        let changes = self.take_pending(mark);
        let pages = changes.iter().flat_map(Change::pages);
        let before: BTreeMap<u64, Option<Page>> = pages.map(|page| (page, self.synced.page(page).cloned())).collect();
        for change in changes {
            change.apply(&mut self.synced);
        }
        self.history.note(before, &self.synced);
    }

    /// Decides by chance which of the changes before `mark` reach the platter, each by itself. That is no history: what
    /// they replaced is as good an outcome, while what was there before *that* is not.
    pub fn lose(&mut self, mark: Mark, stats: &mut DiskStats) {
        for change in self.take_pending(mark) {
            change.apply_by_chance(&mut self.synced, stats);
        }
    }

    /// What is durable of a range, up to the file's end; an error if it begins past that.
    pub fn durable(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let rest = self.synced.len().checked_sub(offset).filter(|rest| *rest > 0);
        let rest = rest.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "past the end of the file"))?;
        let mut bytes = vec![0; rest.min(len) as usize];
        self.synced.read(offset, &mut bytes);
        Ok(bytes)
    }

    /// What a range would be if each of its pages were what it was before; as long as [`Inode::durable`].
    pub fn stale(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = self.durable(offset, len)?;
        for piece in pieces(offset, bytes.len(), PAGE) {
            let at = offset + piece.start as u64;
            let start = (at % PAGE) as usize;
            match self.history.before(at / PAGE) {
                Some(Some(page)) => bytes[piece.clone()].copy_from_slice(&page[start..start + piece.len()]),
                Some(None) => bytes[piece].fill(0),
                None => {}
            }
        }
        Ok(bytes)
    }

    /// The pages of which it is known what they held before, in order.
    pub fn overwritten_pages(&self) -> Vec<u64> {
        self.history.pages()
    }

    /// All that is durable.
    pub fn whole(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.synced.len() as usize];
        self.synced.read(0, &mut bytes);
        bytes
    }

    /// Puts bytes onto the platter, within the file and below what is pending; whether they are others than before.
    pub fn damage(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let mut before = vec![0; bytes.len()];
        self.synced.read(offset, &mut before);
        self.synced.write(offset, bytes);
        before != bytes
    }

    /// Cuts what is durable; whether there was something to cut.
    pub fn cut_durable(&mut self, len: u64) -> bool {
        let longer = self.synced.len() > len;
        self.synced.cut(len);
        longer
    }

    /// Replaces all that is durable.
    pub fn replace(&mut self, bytes: &[u8]) {
        self.synced = Content::default();
        self.synced.write(0, bytes);
    }

    fn take_pending(&mut self, mark: Mark) -> Vec<Change> {
        // A later sync may have been the first to finish.
        let count = mark.0.saturating_sub(self.settled);
        self.settled += count;
        self.pending.drain(..count as usize).collect()
    }
}

impl Change {
    /// The pages whose bytes it changes, except those that it cuts off.
    fn pages(&self) -> Range<u64> {
        match self {
            Change::Write { offset, bytes } => offset / PAGE..(offset + bytes.len() as u64).div_ceil(PAGE),
            Change::Grow { .. } => 0..0,
            Change::Cut { len } => len / PAGE..len.div_ceil(PAGE),
        }
    }

    fn apply(self, content: &mut Content) {
        match self {
            Change::Write { offset, bytes } => content.write(offset, &bytes),
            Change::Grow { len } => content.grow(len),
            Change::Cut { len } => content.cut(len),
        }
    }

    fn apply_by_chance(self, content: &mut Content, stats: &mut DiskStats) {
        match self {
            Change::Write { offset, bytes } => {
                let sectors: Vec<_> = pieces(offset, bytes.len(), SECTOR).collect();
                let survives = survivors(sectors.len());
                let survivors = survives.iter().filter(|survives| **survives).count();
                match survivors {
                    0 => stats.writes_dropped += 1,
                    count if count == sectors.len() => stats.writes_kept += 1,
                    _ => stats.writes_torn += 1,
                }
                for (sector, _) in sectors.into_iter().zip(survives).filter(|(_, survives)| *survives) {
                    content.write(offset + sector.start as u64, &bytes[sector]);
                }
            }
            _ if thread_rng().gen_bool(0.5) => {
                stats.writes_kept += 1;
                self.apply(content);
            }
            _ => stats.writes_dropped += 1,
        }
    }

    /// Shows the change to a reader who got `bytes` at `offset` from below it.
    fn overlay(&self, offset: u64, bytes: &mut [u8]) {
        let inside = |position: u64| position.saturating_sub(offset).min(bytes.len() as u64) as usize;
        match self {
            Change::Write { offset: at, bytes: written } => {
                let (start, end) = (inside(*at), inside(at + written.len() as u64));
                if start < end {
                    let skipped = (offset + start as u64 - at) as usize;
                    bytes[start..end].copy_from_slice(&written[skipped..skipped + end - start]);
                }
            }
            Change::Grow { .. } => {}
            Change::Cut { len } => {
                let start = inside(*len);
                bytes[start..].fill(0);
            }
        }
    }
}

/// Which sectors of a write survive: all, none, the first few, or any.
fn survivors(sectors: usize) -> Vec<bool> {
    let mut rng = thread_rng();
    match rng.gen_range(0..4) {
        0 => vec![true; sectors],
        1 => vec![false; sectors],
        2 => {
            let first = rng.gen_range(0..=sectors);
            (0..sectors).map(|sector| sector < first).collect()
        }
        _ => (0..sectors).map(|_| rng.gen_bool(0.5)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(offset: u64, bytes: &[u8]) -> Change {
        Change::Write { offset, bytes: bytes.to_vec() }
    }

    /// Pending or settled, whole or in parts: a reader sees the same.
    #[test]
    fn a_reader_sees_every_change_in_order() {
        let changes = || {
            [
                write(3, b"abcdef"),
                Change::Grow { len: 12 },
                write(0, b"XY"),
                Change::Cut { len: 6 },
                Change::Grow { len: 4 },
                write(8, b"end"),
            ]
        };
        let expected = b"XY\0abc\0\0end";
        for settled in 0..=changes().len() {
            let mut inode = Inode::default();
            for (index, change) in changes().into_iter().enumerate() {
                if index == settled {
                    inode.settle(inode.mark());
                }
                inode.change(change);
            }
            assert_eq!(inode.len(), 11);
            for start in 0..11 {
                for end in start..=11 {
                    let read = inode.read(start as u64, end - start).expect("within the file");
                    assert_eq!(read, expected[start..end], "{start}..{end} with {settled} settled");
                }
            }
        }
    }

    #[test]
    fn reading_past_the_end_is_an_error_however_far() {
        let mut inode = Inode::default();
        inode.change(write(0, b"abc"));
        for (offset, len) in [(0, 4), (3, 1), (4, 0), (u64::MAX, 2), (0, usize::MAX)] {
            let error = inode.read(offset, len).expect_err("past the end");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        assert!(inode.read(3, 0).is_ok());
    }

    #[test]
    fn an_earlier_sync_that_finishes_late_settles_nothing_twice() {
        let mut inode = Inode::default();
        inode.change(write(0, b"1"));
        let early = inode.mark();
        inode.change(write(0, b"2"));
        inode.settle(inode.mark());
        inode.change(write(0, b"3"));
        inode.settle(early);
        assert_eq!(inode.pending.len(), 1);
        assert_eq!(inode.durable_copy().read(0, 1).ok(), Some(b"2".to_vec()));
    }
}
