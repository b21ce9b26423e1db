//! What a log says after a crash: its votes and entries, where it ends, and whether it is damaged.
//!
//! Un-synced writes reach a disk in any order, so behind the last sync anything may be missing: a torn tail, which is
//! cut. Below a position that the log itself attests as synced nothing may be missing: that is damage, and never cut
//! (DESIGN.md section 4).

use alloc::collections::VecDeque;
use alloc::string::String;

use crate::mutant::Mutant;

use super::{ALIGNMENT, Attested, Checksum, LogId, Record, SegmentHeader, Vote, file_name};

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
    /// The newest [`Record::Install`].
    pub installed: Option<LogId>,
    /// The entries behind `purged`, without gaps.
    pub entries: VecDeque<(LogId, Place)>,
    /// The header of the last segment and where its valid records end; `None` if there is no log yet.
    pub end: Option<(SegmentHeader, u64)>,
}

/// Reads a log, segment by segment.
#[derive(Debug)]
pub struct Recovery {
    checksum: Checksum,
    attested: Option<Attested>,
    /// The number of the first segment.
    first: Option<u64>,
    found: Recovered,
}

impl Recovery {
    /// `attested` is what the log says of itself outside of its segments, if it does.
    pub fn new(checksum: Checksum, attested: Option<Attested>) -> Self {
        Self { checksum, attested, first: None, found: Recovered::default() }
    }

    /// The header of the segment with this number.
    ///
    /// # Errors
    /// If it cannot be read, or is another one's.
    pub fn header(checksum: Checksum, number: u64, bytes: &[u8]) -> Result<SegmentHeader, Damage> {
        let damage = |what: &str| Damage { file: file_name(number), offset: 0, what: what.into() };
        let header = SegmentHeader::decode(checksum, bytes).map_err(damage)?;
        if header.number == number { Ok(header) } else { Err(damage("the segment's name is not its own")) }
    }

    /// Reads the next segment; returns where its records end. `next` is the header of the one behind it, if there is one.
    ///
    /// # Errors
    /// If something is missing that was synced, or does not belong here.
    pub fn segment(&mut self, number: u64, bytes: &[u8], next: Option<&SegmentHeader>) -> Result<u64, Damage> {
        let damage = |offset, what: &str| Damage { file: file_name(number), offset, what: what.into() };
        let header = Self::header(self.checksum, number, bytes)?;
        if self.found.end.as_ref().is_some_and(|(last, _)| header.log != last.log) {
            return Err(damage(0, "the segment belongs to another log"));
        }
        if next.is_some_and(|next| number.checked_add(1) != Some(next.number)) {
            return Err(missing(number.saturating_add(1), "the segment is missing"));
        }
        self.first.get_or_insert(number);
        let end = next.map(|next| next.previous_end);
        let mut offset = SegmentHeader::LEN;
        while end.is_none_or(|end| offset < end) {
            let Some((record, len)) = Record::decode(&header, self.checksum, bytes, offset) else {
                break;
            };
            self.record(&record, Place { segment: number, offset, len }).map_err(|what| damage(offset, what))?;
            offset += len;
        }
        let outside = self.attested.filter(|attested| attested.log == header.log && attested.segment == number);
        let synced_to = end
            .unwrap_or_else(|| self.highest_attestation(&header, bytes))
            .max(outside.map_or(0, |attested| attested.synced_to));
        let cuts_damage = Mutant::CutCorruptRecord.is_chosen() || Mutant::VoteWithDamagedLog.is_chosen();
        if offset < synced_to && !cuts_damage {
            return Err(damage(offset, "the record there was on disk and cannot be read"));
        }
        self.found.end = Some((header, offset));
        Ok(offset)
    }

    /// What was found.
    ///
    /// # Errors
    /// If segments are missing at the end, or between what was purged and the first entry that is there.
    pub fn finish(self) -> Result<Recovered, Damage> {
        let last = self.found.end.map(|(header, _)| header);
        if let Some(attested) = self.attested
            && last.is_none_or(|last| last.log == attested.log && last.number < attested.segment)
        {
            return Err(missing(attested.segment, "the segment is missing, and the log has written to it"));
        }
        let wanted = self.found.purged.map_or(0, |id| id.index.saturating_add(1));
        match self.found.entries.front() {
            Some((id, _)) if id.index != wanted => {
                // Segments go from the front, so it was the one before the first.
                let file = self.first.unwrap_or_default().saturating_sub(1);
                let what = alloc::format!("the log goes on with entry {}, but entry {wanted} is missing", id.index);
                Err(missing(file, &what))
            }
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
            Record::Install(id) => found.installed = Some(id),
        }
        Ok(())
    }
}

fn missing(segment: u64, what: &str) -> Damage {
    Damage { file: file_name(segment), offset: 0, what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::super::Body;
    use super::*;
    use alloc::vec;
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
        let mut recovery = Recovery::new(crc, None);
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

    /// Whatever becomes of the last sector, with the record in it and the attestation behind it.
    #[test]
    fn damage_that_takes_the_last_attestation_along_is_seen_from_outside() {
        let records = [entry(0), entry(1), Record::Attest { synced_to: 2 }];
        let (whole, offsets) = segment(&HEADER, &records);
        let attested = Attested { log: HEADER.log, segment: HEADER.number, synced_to: offsets[2] };
        let recover = |bytes: &[u8], attested| {
            let mut recovery = Recovery::new(crc, attested);
            recovery.segment(1, bytes, None)?;
            recovery.finish()
        };
        assert!(recover(&whole, Some(attested)).is_ok());
        let cut = &whole[..offsets[1] as usize];
        assert_eq!(recover(cut, None).map(|found| indexes(&found)), Ok(vec![0]), "it looks like a torn tail");
        assert_eq!(recover(cut, Some(attested)).expect_err("a record is missing").offset, offsets[1]);
        let other_log = Attested { log: 8, ..attested };
        assert!(recover(cut, Some(other_log)).is_ok(), "what another log says means nothing");
    }

    #[test]
    fn a_missing_segment_is_named() {
        let (bytes, offsets) = segment(&HEADER, &[entry(0)]);
        let third = SegmentHeader { number: 3, previous_end: offsets[1], ..HEADER };
        let damage = Recovery::new(crc, None).segment(1, &bytes, Some(&third)).expect_err("the second is missing");
        assert_eq!(damage.file, file_name(2));

        let attested = Attested { log: HEADER.log, segment: 2, synced_to: 100 };
        let mut recovery = Recovery::new(crc, Some(attested));
        recovery.segment(1, &bytes, None).expect("undamaged itself");
        assert_eq!(recovery.finish().expect_err("the last is missing").file, file_name(2));
        assert_eq!(Recovery::new(crc, Some(attested)).finish().expect_err("all are missing").file, file_name(2));

        let (bytes, _) = segment(&third, &[entry(7)]);
        let mut recovery = Recovery::new(crc, None);
        recovery.segment(3, &bytes, None).expect("undamaged itself");
        assert_eq!(recovery.finish().expect_err("the first is missing").file, file_name(2));
    }

    #[test]
    fn the_next_segments_header_attests_all_before_it() {
        let (mut bytes, offsets) = segment(&HEADER, &[entry(0), entry(1)]);
        let next = SegmentHeader { number: 2, previous_end: offsets[1], ..HEADER };
        let mut recovery = Recovery::new(crc, None);
        recovery.segment(1, &bytes, Some(&next)).expect("undamaged");
        assert_eq!(indexes(&recovery.found), [0], "what stands behind the attested end is void");
        bytes[offsets[0] as usize + 12] ^= 1;
        assert!(Recovery::new(crc, None).segment(1, &bytes, Some(&next)).is_err());
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
