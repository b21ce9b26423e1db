//! What a log says after a crash: its votes and entries, where it ends, and whether it is damaged.
//!
//! Un-synced writes reach a disk in any order, so behind the last sync anything may be missing: a torn tail, which is
//! cut. Below a position that the log itself attests as synced nothing may be missing: that is damage, and never cut
//! (DESIGN.md section 4).

use alloc::collections::VecDeque;
use alloc::string::String;

use crate::mutant::Mutant;

use super::{ALIGNMENT, Checksum, LogId, Record, SegmentHeader, Vote, file_name};

/// Where an entry stands, so that it can be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub segment: u64,
    pub offset: u64,
    /// Bytes of the record.
    pub len: u64,
}

/// A log that cannot be trusted. Nothing is changed on disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} is damaged at offset {offset}: {what}")]
pub struct Damage {
    pub file: String,
    pub offset: u64,
    pub what: String,
}

/// What a log says.
#[derive(Debug, Default)]
pub struct Recovered {
    pub vote: Option<Vote>,
    pub purged: Option<LogId>,
    /// The entries behind `purged`, without gaps.
    pub entries: VecDeque<(LogId, Place)>,
    /// The header of the last segment and where its valid records end; `None` if there is no log yet.
    pub end: Option<(SegmentHeader, u64)>,
}

/// Reads a log, segment by segment.
#[derive(Debug)]
pub struct Recovery {
    checksum: Checksum,
    found: Recovered,
}

impl Recovery {
    pub fn new(checksum: Checksum) -> Self {
        Self { checksum, found: Recovered::default() }
    }

    /// Reads the next segment. `next` is the header of the one behind it, if there is one.
    ///
    /// # Errors
    /// If something is missing that was synced, or does not belong here.
    pub fn segment(&mut self, number: u64, bytes: &[u8], next: Option<&SegmentHeader>) -> Result<(), Damage> {
        let damage = |offset, what: &str| Damage { file: file_name(number), offset, what: what.into() };
        let header = SegmentHeader::decode(self.checksum, bytes).map_err(|what| damage(0, what))?;
        if header.number != number {
            return Err(damage(0, "the segment's name is not its own"));
        }
        if let Some((last, _)) = &self.found.end {
            if header.log != last.log {
                return Err(damage(0, "the segment belongs to another log"));
            }
            if number != last.number + 1 {
                return Err(Damage {
                    file: file_name(last.number + 1),
                    offset: 0,
                    what: "the segment is missing".into(),
                });
            }
        }
        let attested = next.map(|next| next.previous_end);
        let mut offset = SegmentHeader::LEN;
        while attested.is_none_or(|end| offset < end) {
            let Some((record, len)) = Record::decode(&header, self.checksum, bytes, offset) else {
                break;
            };
            self.record(&record, Place { segment: number, offset, len }).map_err(|what| damage(offset, what))?;
            offset += len;
        }
        let synced_to = attested.unwrap_or_else(|| self.highest_attestation(&header, bytes));
        if offset < synced_to && !Mutant::CutCorruptRecord.is_chosen() {
            return Err(damage(offset, "the record there was on disk and cannot be read"));
        }
        self.found.end = Some((header, offset));
        Ok(())
    }

    /// What was found.
    ///
    /// # Errors
    /// If entries are missing between what was purged and the first that is there.
    pub fn finish(self) -> Result<Recovered, Damage> {
        let wanted = self.found.purged.map_or(0, |id| id.index.saturating_add(1));
        match self.found.entries.front() {
            Some((id, place)) if id.index != wanted => Err(Damage {
                file: file_name(place.segment),
                offset: place.offset,
                what: alloc::format!("the log goes on with entry {}, but entry {wanted} is missing", id.index),
            }),
            _ => Ok(self.found),
        }
    }

    /// The highest position that any record of the segment attests, also behind a hole.
    fn highest_attestation(&self, header: &SegmentHeader, bytes: &[u8]) -> u64 {
        (SegmentHeader::LEN..bytes.len() as u64)
            .step_by(ALIGNMENT as usize)
            .filter_map(|offset| Record::attestation_at(header, self.checksum, bytes, offset))
            .max()
            .unwrap_or(0)
    }

    fn record(&mut self, record: &Record<'_>, place: Place) -> Result<(), &'static str> {
        let found = &mut self.found;
        match *record {
            Record::Attest { .. } => {}
            Record::Vote(vote) => found.vote = Some(vote),
            Record::Entry { id, .. } => {
                if found.entries.back().is_some_and(|(last, _)| last.index.checked_add(1) != Some(id.index)) {
                    return Err("the entry is not the next one");
                }
                if found.entries.back().is_some_and(|(last, _)| id.term < last.term) {
                    return Err("the entry's term is older than that of the one before it");
                }
                found.entries.push_back((id, place));
            }
            Record::TruncateAfter(index) => {
                while found.entries.back().is_some_and(|(id, _)| index.is_none_or(|index| id.index > index)) {
                    found.entries.pop_back();
                }
            }
            Record::Purge(id) => {
                while found.entries.front().is_some_and(|(first, _)| first.index <= id.index) {
                    found.entries.pop_front();
                }
                found.purged = Some(id);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Body;
    use super::*;
    use alloc::vec::Vec;

    const HEADER: SegmentHeader = SegmentHeader { number: 1, log: 7, salt: 99, previous_end: 0 };

    fn crc(before: u32, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(before, bytes)
    }

    fn entry(index: u64) -> Record<'static> {
        Record::Entry { id: LogId { term: 1, index }, body: Body::Entry(b"some content") }
    }

    /// A segment with these records, preallocated, and the offset of each.
    fn segment(header: &SegmentHeader, records: &[Record<'_>]) -> (Vec<u8>, Vec<u64>) {
        let mut bytes = header.encode(crc);
        let mut offsets = Vec::new();
        for record in records {
            let offset = bytes.len() as u64;
            offsets.push(offset);
            // A test names records by number where it means their offset.
            let record = match *record {
                Record::Attest { synced_to } => Record::Attest { synced_to: offsets[synced_to as usize] },
                other => other,
            };
            record.encode(header, crc, offset, &mut bytes);
        }
        offsets.push(bytes.len() as u64);
        bytes.resize(4096, 0);
        (bytes, offsets)
    }

    fn recover(bytes: &[u8]) -> Result<Recovered, Damage> {
        let mut recovery = Recovery::new(crc);
        recovery.segment(1, bytes, None)?;
        recovery.finish()
    }

    fn indexes(found: &Recovered) -> Vec<u64> {
        found.entries.iter().map(|(id, _)| id.index).collect()
    }

    #[test]
    fn everything_written_is_found() {
        let vote = Vote { term: 3, candidate: 1, committed: true };
        let records = [
            entry(0),
            entry(1),
            Record::Vote(vote),
            Record::TruncateAfter(Some(0)),
            entry(1),
            entry(2),
            Record::Purge(LogId { term: 1, index: 0 }),
        ];
        let (bytes, offsets) = segment(&HEADER, &records);
        let found = recover(&bytes).expect("an undamaged log");
        assert_eq!(indexes(&found), [1, 2]);
        assert_eq!((found.vote, found.purged.map(|id| id.index)), (Some(vote), Some(0)));
        assert_eq!(found.end, Some((HEADER, offsets[7])));
    }

    #[test]
    fn a_torn_tail_is_cut_even_with_good_records_behind_it() {
        let (mut bytes, offsets) = segment(&HEADER, &[entry(0), Record::Attest { synced_to: 1 }, entry(1), entry(2)]);
        bytes[offsets[2] as usize + 12] ^= 1;
        let found = recover(&bytes).expect("damage behind the last sync is a torn tail");
        assert_eq!((indexes(&found).as_slice(), found.end), ([0].as_slice(), Some((HEADER, offsets[2]))));
    }

    #[test]
    fn damage_below_an_attestation_is_never_cut() {
        let records = [entry(0), Record::Attest { synced_to: 1 }, entry(1), Record::Attest { synced_to: 3 }, entry(2)];
        let (whole, offsets) = segment(&HEADER, &records);
        for i in SegmentHeader::LEN as usize..offsets[3] as usize {
            let mut bytes = whole.clone();
            bytes[i] ^= 0x10;
            match recover(&bytes) {
                // Padding is not content: nothing depends on it.
                Ok(found) => assert_eq!(indexes(&found), [0, 1, 2], "byte {i}"),
                Err(damage) => assert!(damage.offset <= i as u64 && damage.file == file_name(1)),
            }
        }
    }

    #[test]
    fn the_next_segments_header_attests_all_before_it() {
        let (mut bytes, offsets) = segment(&HEADER, &[entry(0), entry(1)]);
        let next = SegmentHeader { number: 2, previous_end: offsets[1], ..HEADER };
        let mut recovery = Recovery::new(crc);
        recovery.segment(1, &bytes, Some(&next)).expect("undamaged");
        assert_eq!(indexes(&recovery.found), [0], "what stands behind the attested end is void");
        bytes[offsets[0] as usize + 12] ^= 1;
        assert!(Recovery::new(crc).segment(1, &bytes, Some(&next)).is_err());
    }

    #[test]
    fn a_record_in_another_place_is_none() {
        let (bytes, offsets) = segment(&HEADER, &[entry(0)]);
        let moved = [&bytes[..SegmentHeader::LEN as usize], &[0; 8], &bytes[SegmentHeader::LEN as usize..]].concat();
        assert!(Record::decode(&HEADER, crc, &bytes, SegmentHeader::LEN).is_some());
        assert!(Record::decode(&HEADER, crc, &moved, SegmentHeader::LEN + 8).is_none());
        assert!(offsets[1] > offsets[0]);
    }
}
