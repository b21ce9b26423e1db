//! What hostile and damaged bytes must not do, as functions of arbitrary bytes: fuzz targets call them, and so do the
//! property tests in `tests/hostile.rs`.

use mneme_kernel::effect::{self, Effect, Effects};
use mneme_kernel::entry::Entry;
use mneme_kernel::ids::DbId;
use mneme_kernel::json::{self, Path, Search};
use mneme_kernel::resp::{Decoder, Trust, ValueDecoder};
use mneme_kernel::snapshot::{BlockReader, BlockWriter, FileId, Manifest, PartitionFile, SystemPartition};
use mneme_kernel::store::Store;
use mneme_kernel::wal::{Body, Damage, LogId, Record, Recovered, Recovery, SegmentHeader, Vote};

fn crc(before: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(before, bytes)
}

/// Draws numbers from arbitrary bytes, then zeros.
struct Dice<'a>(&'a [u8]);

impl Dice<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()])) % bound
    }

    /// Mostly small, at times huge.
    fn number(&mut self) -> u64 {
        match self.byte() {
            255 => u64::MAX,
            254 => u64::MAX - 1,
            small => u64::from(small % 8),
        }
    }
}

/// A client's bytes: whole or in pieces they are the same requests and end in the same error.
pub fn resp_request(bytes: &[u8]) {
    let (step, bytes) = bytes.split_first().map_or((1, bytes), |(step, rest)| (usize::from(*step).max(1), rest));
    for trust in [Trust::Stranger, Trust::Known] {
        assert_eq!(requests(bytes, bytes.len().max(1), trust), requests(bytes, step, trust));
    }
}

/// The requests in these bytes, which arrive in pieces, and what is wrong with the next one.
fn requests(bytes: &[u8], step: usize, trust: Trust) -> (Vec<Vec<Vec<u8>>>, Option<String>) {
    let (mut found, mut decoder, mut start) = (Vec::new(), Decoder::default(), 0);
    for arrived in (0..bytes.len()).step_by(step).map(|at| (at + step).min(bytes.len())) {
        loop {
            let rest = &bytes[start..arrived];
            match decoder.decode(rest, trust) {
                Ok(Some(len)) => {
                    found.push(decoder.args(rest).iter().map(<[u8]>::to_vec).collect());
                    assert!((1..=rest.len()).contains(&len));
                    start += len;
                }
                Ok(None) => break,
                Err(error) => return (found, Some(error.to_string())),
            }
        }
    }
    (found, None)
}

/// A server's bytes: whole or in pieces they are the same values and end in the same error.
pub fn resp_value(bytes: &[u8]) {
    let (step, bytes) = bytes.split_first().map_or((1, bytes), |(step, rest)| (usize::from(*step).max(1), rest));
    assert_eq!(values(bytes, bytes.len().max(1)), values(bytes, step));
}

fn values(bytes: &[u8], step: usize) -> (Vec<String>, Option<String>) {
    let (mut found, mut decoder, mut start) = (Vec::new(), ValueDecoder::default(), 0);
    for arrived in (0..bytes.len()).step_by(step).map(|at| (at + step).min(bytes.len())) {
        loop {
            match decoder.decode(&bytes[start..arrived]) {
                Ok((used, value)) => {
                    start += used;
                    let Some(value) = value else { break };
                    // As text, in which a number that is none equals itself.
                    found.push(format!("{value:?}"));
                }
                Err(error) => return (found, Some(error.to_string())),
            }
        }
    }
    (found, None)
}

/// A log's bytes: what is arbitrary is refused, and of a log that was damaged, everything is kept that stands before
/// the damage, unless the damage stands below what the log attests as synced: then it is refused.
pub fn wal_record(bytes: &[u8]) {
    let _ = recover(1, bytes);
    let _ = Record::decode(&HEADER, crc, bytes, 0);
    let _ = Entry::decode(bytes);
    let mut dice = Dice(bytes);
    let log = Log::draw(&mut dice);
    assert_eq!(recover(1, &log.bytes).is_ok(), replay(&log.records).is_some());
    let damaged = log.damage(&mut dice);
    let found = recover(1, &damaged.bytes);
    match damaged.left(&log) {
        Some(records) => assert_eq!(found.ok().map(|found| entries(&found)), replay(records)),
        None => assert!(found.is_err()),
    }
}

const HEADER: SegmentHeader = SegmentHeader { number: 1, log: 7, salt: 0x5a17, previous_end: 0 };

fn recover(number: u64, bytes: &[u8]) -> Result<Recovered, Damage> {
    let mut recovery = Recovery::new(crc, None);
    recovery.segment(number, bytes, None)?;
    recovery.finish()
}

fn entries(found: &Recovered) -> Vec<u64> {
    found.entries.iter().map(|(id, _)| id.index).collect()
}

/// The indexes of a log's entries, or `None` if these records make no log.
fn replay(records: &[Record<'_>]) -> Option<Vec<u64>> {
    let (mut entries, mut purged): (Vec<LogId>, Option<u64>) = (Vec::new(), None);
    for record in records {
        match *record {
            // What is installed replaces entries only once its snapshot is there.
            Record::Attest { .. } | Record::Vote(_) | Record::Install(_) => {}
            Record::Entry { id, .. } => {
                let fits = |last: &LogId| last.index.checked_add(1) == Some(id.index) && last.term <= id.term;
                if !entries.last().is_none_or(fits) {
                    return None;
                }
                entries.push(id);
            }
            Record::TruncateAfter(index) => entries.retain(|id| index.is_some_and(|index| id.index <= index)),
            Record::Purge(id) => {
                entries.retain(|entry| entry.index > id.index);
                purged = Some(id.index);
            }
        }
    }
    let wanted = purged.map_or(0, |index| index.saturating_add(1));
    let begins = entries.first().is_none_or(|id| id.index == wanted);
    begins.then(|| entries.iter().map(|id| id.index).collect())
}

/// A segment of a log.
struct Log {
    bytes: Vec<u8>,
    records: Vec<Record<'static>>,
    /// Where each record begins and its content ends.
    spans: Vec<(usize, usize)>,
    /// Where the first damaged record begins, if one is.
    damage: usize,
}

impl Log {
    fn draw(dice: &mut Dice<'_>) -> Self {
        let mut log = Log { bytes: HEADER.encode(crc), records: Vec::new(), spans: Vec::new(), damage: usize::MAX };
        let mut next = LogId { term: 1, index: 0 };
        for _ in 0..dice.below(24) {
            let record = match dice.byte() % 16 {
                0..7 => {
                    next.term += u64::from(dice.byte() == 0);
                    let body = [Body::Entry(b"content of an entry"), Body::Membership(b"members"), Body::Blank];
                    Record::Entry { id: next, body: body[dice.below(3)] }
                }
                7..11 => Record::Attest { synced_to: log.bytes.len() as u64 },
                11 => Record::Vote(Vote { term: dice.number(), candidate: dice.number(), committed: true }),
                12 => Record::TruncateAfter(Some(next.index.saturating_sub(dice.number()))),
                13 => {
                    Record::Purge(LogId { index: next.index.saturating_sub(dice.number().saturating_add(1)), ..next })
                }
                14 => Record::TruncateAfter(None),
                _ => Record::Entry { id: LogId { term: dice.number(), index: dice.number() }, body: Body::Blank },
            };
            if let Record::Entry { id, .. } | Record::Purge(id) = record {
                next.index = next.index.max(id.index.saturating_add(1));
            } else if let Record::TruncateAfter(index) = record {
                next.index = index.map_or(next.index, |index| index.saturating_add(1).min(next.index));
            }
            log.push(record);
        }
        log.bytes.resize(log.bytes.len() + 256, 0);
        log
    }

    fn push(&mut self, record: Record<'static>) {
        let start = self.bytes.len();
        record.encode(&HEADER, crc, start as u64, &mut self.bytes);
        let payload = u32::from_le_bytes([0, 1, 2, 3].map(|i| self.bytes[start + i])) as usize;
        /// Bytes before a record's payload.
        const HEAD: usize = 9;
        self.spans.push((start, start + HEAD + payload));
        self.records.push(record);
    }

    /// The same with some bytes changed.
    fn damage(&self, dice: &mut Dice<'_>) -> Self {
        let mut bytes = self.bytes.clone();
        for _ in 0..dice.below(4) {
            bytes[dice.below(self.bytes.len())] ^= dice.byte();
        }
        let mut log = Log { bytes, records: Vec::new(), spans: Vec::new(), damage: usize::MAX };
        let header = SegmentHeader::LEN as usize;
        if log.bytes[..header] != self.bytes[..header] && SegmentHeader::decode(crc, &log.bytes) != Ok(HEADER) {
            log.damage = 0;
        }
        for (record, (start, end)) in self.records.iter().zip(&self.spans) {
            if log.bytes[*start..*end] == self.bytes[*start..*end] {
                log.records.push(*record);
                log.spans.push((*start, *end));
            } else {
                log.damage = log.damage.min(*start);
            }
        }
        log
    }

    /// What must be left of the whole log, unless it is to be refused.
    fn left<'a>(&self, whole: &'a Log) -> Option<&'a [Record<'static>]> {
        let attested = self.records.iter().filter_map(|record| match record {
            Record::Attest { synced_to } => Some(*synced_to as usize),
            _ => None,
        });
        if attested.max().is_some_and(|synced_to| self.damage < synced_to) || self.damage == 0 {
            return None;
        }
        let kept = whole.spans.iter().filter(|(start, _)| *start < self.damage).count();
        let kept = &whole.records[..kept];
        replay(kept).map(|_| kept)
    }
}

const FILE: FileId = FileId { log: 7, made_at: 70_000, number: 1 };

/// A snapshot's bytes: what is arbitrary is refused even if its checksum is right, and no changed byte goes unnoticed.
pub fn snapshot_block(bytes: &[u8]) {
    let _ = Manifest::decode(crc, bytes);
    if let Ok(manifest) = Manifest::decode(crc, &sealed(bytes)) {
        assert_eq!(manifest.partitions.len(), 1 << manifest.bits);
    }
    let _ = SystemPartition::decode(bytes);
    let _: Vec<_> = BlockReader::new(FILE, crc, bytes).collect();
    let mut store = Store::new(0);
    for effect in Effects::new(bytes).map_while(Result::ok) {
        // Far out it would only cost memory.
        if !matches!(effect, Effect::Patch { offset: FAR.., .. }) {
            store.apply(&effect);
        }
        let mut again = Vec::new();
        effect::record(&effect, &mut again);
        assert_eq!(Effects::new(&again).next(), Some(Ok(effect)));
    }
    store.check();

    let mut dice = Dice(bytes);
    let manifest = draw_manifest(&mut dice).encode(crc);
    assert!(Manifest::decode(crc, &manifest).is_ok());
    assert!(Manifest::decode(crc, &changed(&manifest, &mut dice)).is_err());
    let (file, effects) = draw_partition(&mut dice);
    assert_eq!(read(FILE, &file).as_ref(), Some(&effects));
    assert_eq!(read(FileId { number: 2, ..FILE }, &file), None);
    assert_eq!(read(FILE, &changed(&file, &mut dice)), None);
    let cut = read(FILE, &file[..dice.below(file.len())]);
    assert!(cut.is_none_or(|cut| effects.starts_with(&cut)));
}

/// A path's text and a document: whatever they are, reading ends, and so does searching, within its bounds. What is found
/// stands in its place, and what was found once is found there again.
pub fn json_path(bytes: &[u8]) {
    let split = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (path, document) = bytes.split_at(split);
    let document = document.get(1..).and_then(|text| json::parse(text).ok());
    if let Some(document) = &document {
        let mut encoded = Vec::new();
        json::encode(document, &mut encoded);
        let decoded = json::decode(&encoded, 0).expect("what was encoded");
        assert_eq!(decoded.to_text(), document.to_text());
        let again = json::parse(&document.to_text()).expect("what was written");
        assert_eq!(again.to_text(), document.to_text());
    }
    let _ = json::decode(bytes, 0);
    let Ok(path) = Path::parse(path) else { return };
    let small = json::parse(br#"{"a":[1,{"a":"b","c":[null,2.5]},[]],"b":{"a":{"b":true}},"":-1}"#).expect("JSON");
    for document in [Some(&small), document.as_ref()].into_iter().flatten() {
        let search = Search::with_visits(document, 100_000);
        let (Ok(values), Ok(places)) = (search.values(&path), search.places(&path)) else { continue };
        let found: Vec<_> = places.iter().map(|place| document.at(place.words())).collect();
        assert_eq!(found, values.iter().copied().map(Some).collect::<Vec<_>>());
        if let Ok(first) = search.first(&path) {
            assert_eq!(first, values.first().copied());
        }
    }
}

/// Bytes of a value that arbitrary effects may ask for.
const FAR: u64 = 1 << 20;

/// A manifest with this content and the checksum that it should have.
fn sealed(content: &[u8]) -> Vec<u8> {
    let mut manifest = draw_manifest(&mut Dice(&[])).encode(crc);
    manifest.truncate(12);
    let sum = crc(crc(0, &manifest), content);
    manifest.extend(sum.to_le_bytes());
    manifest.extend(content);
    manifest
}

fn draw_manifest(dice: &mut Dice<'_>) -> Manifest {
    let file = |number, len| PartitionFile { made_at: 5, number, len, items: vec![1; 16] };
    let bits = dice.byte() % 4;
    Manifest {
        log: dice.number(),
        last: LogId { term: dice.number(), index: dice.number() },
        bits,
        partitions: (0..1 << bits).map(|number| file(number, dice.number())).collect(),
        system: file(Manifest::SYSTEM, 9),
    }
}

fn draw_partition(dice: &mut Dice<'_>) -> (Vec<u8>, Vec<u8>) {
    let (mut blocks, mut file, mut effects) = (BlockWriter::new(FILE, crc), Vec::new(), Vec::new());
    for i in 0..=dice.below(4) {
        let (key, value) = (i.to_le_bytes(), vec![dice.byte(); dice.below(60_000)]);
        let put = Effect::Put { db: DbId(3), key: &key, value: &value, deadline: None };
        effect::record(&put, blocks.content());
        effect::record(&put, &mut effects);
        blocks.close_full(&mut file);
    }
    assert_eq!(blocks.finish(&mut file), file.len() as u64);
    (file, effects)
}

/// The content of a file of blocks, or `None` if a block is damaged.
fn read(id: FileId, file: &[u8]) -> Option<Vec<u8>> {
    let blocks: Result<Vec<&[u8]>, _> = BlockReader::new(id, crc, file).collect();
    blocks.ok().map(|blocks| blocks.concat())
}

/// The same with one byte changed.
fn changed(bytes: &[u8], dice: &mut Dice<'_>) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[dice.below(bytes.len())] ^= dice.byte().max(1);
    changed
}
