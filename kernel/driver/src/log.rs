//! The Raft log as openraft sees it, and as the feed reads it: recent entries in memory, older ones where the writer put
//! them on disk.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use futures::stream;
use mneme_kernel::mutant::Mutant;
use mneme_kernel::probe::Probe;
use mneme_kernel::snapshot::{Manifest, manifest_file};
use mneme_kernel::time::Monotonic;
use mneme_kernel::wal::{LogId as WalId, Place, Record, Recovered, SegmentHeader, Vote as WalVote};
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend};

use crate::env::{Disk, Env, File};
use crate::measures::LogMeasures;
use crate::sync::lock;
use crate::types::{self, Entry, LogId, Peer, Proposal, Types, Vote, log_id};
use crate::wal::{self, OpenError, Places, Request, Write, Writer};

/// Bytes of entries kept in memory, after the feed has handed them out, so that followers need not read the disk.
const CACHE_BYTES: usize = 8 << 20;
/// The same before the feed has: a primary has no more on their way.
const UNFED_BYTES: usize = 64 << 20;
/// Bytes of entries read at once; more are read in several steps.
const READ_BYTES: usize = 4 << 20;

type FileOf<E> = <<E as Env>::Disk as Disk>::File;
type Payload = EntryPayload<Proposal, u64, Peer>;

/// The log of one Keeper. A clone is the same log.
#[derive(Debug)]
pub struct Log<E: Env> {
    env: E,
    id: u64,
    requests: mpsc::UnboundedSender<Request>,
    index: Arc<Index<FileOf<E>>>,
}

impl<E: Env> Clone for Log<E> {
    fn clone(&self) -> Self {
        Self { env: self.env.clone(), id: self.id, requests: self.requests.clone(), index: self.index.clone() }
    }
}

/// What is known of every entry.
#[derive(Debug)]
struct Index<F> {
    entries: Mutex<Entries<F>>,
    /// Whether there is no space for what is to be written.
    full: AtomicBool,
    measures: Mutex<LogMeasures>,
}

#[derive(Debug)]
struct Entries<F> {
    vote: Option<WalVote>,
    purged: Option<WalId>,
    /// The index of the first slot.
    first: u64,
    slots: VecDeque<Slot>,
    /// Behind which index everything is cut off, where the disk has not been told.
    truncated: Option<Option<u64>>,
    files: BTreeMap<u64, SegmentFile<F>>,
    cached_bytes: usize,
    /// The feed has handed out everything before this one.
    fed: u64,
    placed_bytes: u64,
    /// Slots before this index have no payload in memory.
    cached_from: u64,
}

#[derive(Debug)]
struct SegmentFile<F> {
    file: Arc<F>,
    header: Option<SegmentHeader>,
}

#[derive(Debug)]
struct Slot {
    term: u64,
    /// Where it stands on disk, once it does.
    place: Option<Place>,
    payload: Option<Payload>,
    /// When it was appended in this life.
    appended: Option<Monotonic>,
}

/// How to get at an entry.
enum Found<F> {
    InMemory(Payload),
    OnDisk(Place, Arc<F>, Option<SegmentHeader>),
}

impl<E: Env> Log<E> {
    /// Recovers the log and starts its writer. `snapshot` is what there is of the log's beginning.
    ///
    /// # Errors
    /// If it is damaged or cannot be read; then nothing has been changed.
    pub async fn open(env: &E, snapshot: Option<&Manifest>, segment_bytes: u64) -> Result<Self, OpenError> {
        let (recovered, files) = wal::recover(env).await?;
        check_together(&recovered, snapshot)?;
        let first = recovered.purged.map_or(0, |id| id.index + 1);
        let slots: VecDeque<Slot> = recovered
            .entries
            .iter()
            .map(|(id, place)| Slot { term: id.term, place: Some(*place), payload: None, appended: None })
            .collect();
        let entries = Mutex::new(Entries {
            vote: recovered.vote,
            purged: recovered.purged,
            first,
            cached_bytes: 0,
            fed: 0,
            placed_bytes: recovered.entries.iter().map(|(_, place)| place.len).sum(),
            cached_from: first + slots.len() as u64,
            slots,
            truncated: None,
            files: files.iter().map(|(n, file)| (*n, SegmentFile { file: file.clone(), header: None })).collect(),
        });
        let index = Arc::new(Index { entries, full: AtomicBool::new(false), measures: Mutex::default() });
        let writer = Writer::open(env.clone(), index.clone(), &recovered, &files, segment_bytes).await?;
        let id = writer.log_id();
        let (requests, receiver) = mpsc::unbounded();
        env.spawn_thread("log", writer.run(receiver));
        let log = Self { env: env.clone(), id, requests, index };
        if let Some(snapshot) = snapshot
            && is_replaced(&recovered, snapshot.last)
        {
            // The last life ended between a snapshot that came from another Keeper and the purge.
            env.probes().hit(Probe::InstallCompleted);
            lock(&log.index.entries).truncate_after(None);
            log.purge_to(snapshot.last).await;
        }
        Ok(log)
    }

    /// Entries from `from` on and up to `to`, a bounded number of bytes of them and at least one, if there is one.
    pub async fn read(&self, from: u64, to: u64) -> io::Result<Vec<(WalId, Payload)>> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        for at in from..=to {
            let Some((id, found)) = self.find(at) else { break };
            let payload = match found {
                Found::InMemory(payload) => payload,
                Found::OnDisk(place, file, header) => self.read_place(id, place, &file, header).await?,
            };
            bytes += size(&payload);
            entries.push((id, payload));
            if bytes >= READ_BYTES {
                break;
            }
        }
        Ok(entries)
    }

    /// The feed has handed out the first `known` entries.
    pub(crate) fn fed(&self, known: u64) {
        let mut entries = lock(&self.index.entries);
        entries.fed = known;
        entries.evict();
    }

    /// The first entry that has not been purged, or would be the next one.
    pub(crate) fn first(&self) -> u64 {
        lock(&self.index.entries).first
    }

    /// The index behind the last entry.
    pub(crate) fn end(&self) -> u64 {
        lock(&self.index.entries).end()
    }

    /// The index behind the last entry that is on stable storage here. What is committed may go further: others have it.
    pub(crate) fn synced_end(&self) -> u64 {
        let entries = lock(&self.index.entries);
        // They get their places in their order, once they are synced.
        entries.first + entries.slots.partition_point(|slot| slot.place.is_some()) as u64
    }

    /// Which log this is: drawn when it was founded.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Bytes on disk of the entries that have not been purged.
    pub fn bytes(&self) -> u64 {
        lock(&self.index.entries).placed_bytes
    }

    /// Files that it consists of.
    pub fn segments(&self) -> usize {
        lock(&self.index.entries).files.len()
    }

    /// What its writer did.
    pub fn measures(&self) -> LogMeasures {
        *lock(&self.index.measures)
    }

    /// Whether there is no space for what is to be written.
    pub fn is_full(&self) -> bool {
        self.index.full.load(Ordering::Relaxed)
    }

    /// The place of an entry that is in the log.
    pub fn id_at(&self, index: u64) -> Option<WalId> {
        self.find(index).map(|(id, _)| id)
    }

    /// Forgets the entries up to this one, which a snapshot contains; completes when that is on stable storage.
    pub(crate) async fn purge_to(&self, id: WalId) {
        {
            let mut entries = lock(&self.index.entries);
            entries.purge(id);
            let truncated = entries.truncated.take().map(Write::TruncateAfter);
            // Under the lock: nothing may be appended between.
            self.write(truncated.into_iter().chain([Write::Purge(id)]).collect(), || {});
        }
        self.flushed().await;
    }

    /// Notes, durably, that a snapshot from another Keeper is about to take the log's place up to this entry.
    pub(crate) async fn announce(&self, id: WalId) {
        self.written(vec![Write::Install(id)]).await;
    }

    /// How long ago entries from `first` on have been appended; zero where that is not known.
    pub(crate) fn ages(&self, first: u64, count: usize) -> Vec<Duration> {
        let now = self.env.monotonic();
        let entries = lock(&self.index.entries);
        let age = |i: u64| {
            let at = usize::try_from((first + i).checked_sub(entries.first)?).ok()?;
            Some(now - entries.slots.get(at)?.appended?)
        };
        (0..count as u64).map(|i| age(i).unwrap_or_default()).collect()
    }

    /// The newest vote.
    pub fn vote(&self) -> Option<WalVote> {
        lock(&self.index.entries).vote
    }

    /// Completes when everything asked for before is on stable storage.
    pub async fn flushed(&self) {
        self.written(Vec::new()).await;
    }

    /// As [`Log::flushed`]; nothing is asked for behind this.
    pub(crate) async fn close(&self) {
        self.written(vec![Write::Close]).await;
    }

    async fn written(&self, records: Vec<Write>) {
        let (done, flushed) = oneshot::channel();
        self.write(records, move || {
            let _ = done.send(());
        });
        // The writer ends only with the process.
        let _ = flushed.await;
    }

    fn find(&self, at: u64) -> Option<(WalId, Found<FileOf<E>>)> {
        let entries = lock(&self.index.entries);
        let slot = entries.slots.get(usize::try_from(at.checked_sub(entries.first)?).ok()?)?;
        let id = WalId { term: slot.term, index: at };
        let found = match (&slot.payload, slot.place) {
            (Some(payload), _) => Found::InMemory(payload.clone()),
            (None, Some(place)) => {
                let segment = &entries.files[&place.segment];
                Found::OnDisk(place, segment.file.clone(), segment.header)
            }
            (None, None) => unreachable!("an entry that is not on disk yet stays in memory"),
        };
        Some((id, found))
    }

    async fn read_place(
        &self,
        id: WalId,
        place: Place,
        file: &FileOf<E>,
        header: Option<SegmentHeader>,
    ) -> io::Result<Payload> {
        let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let header = match header {
            Some(header) => header,
            None => {
                let bytes = file.read_at(0, SegmentHeader::LEN as usize).await?;
                let header = SegmentHeader::decode(wal::checksum, &bytes).map_err(|what| damaged(what.into()))?;
                if let Some(segment) = lock(&self.index.entries).files.get_mut(&place.segment) {
                    segment.header = Some(header);
                }
                header
            }
        };
        let bytes = Bytes::from(file.read_at(place.offset, place.len as usize).await?);
        match Record::decode_at(&header, wal::checksum, &bytes, place.offset) {
            Some((Record::Entry { id: found, body }, _)) if found == id => types::from_body(body, &bytes),
            _ => {
                let file = mneme_kernel::wal::file_name(place.segment);
                Err(damaged(format!(
                    "log/{file} is damaged at offset {}: entry {} cannot be read any more",
                    place.offset, id.index
                )))
            }
        }
    }

    fn write(&self, records: Vec<Write>, done: impl FnOnce() + Send + 'static) {
        // The writer ends only with the process; then nobody waits for an answer either.
        let _ = self.requests.unbounded_send(Request { records, done: Box::new(done) });
    }
}

/// Whether a log and a snapshot are of one history, without a hole between them.
fn check_together(recovered: &Recovered, snapshot: Option<&Manifest>) -> Result<(), OpenError> {
    let wrong = |what: String| Err(OpenError::Foreign(what));
    let purged = recovered.purged.map(|id| id.index);
    let Some(snapshot) = snapshot else {
        return match purged {
            Some(purged) => wrong(format!(
                "the log begins behind entry {purged}, and snapshot/{} is missing, or a newer one",
                manifest_file(purged)
            )),
            None => Ok(()),
        };
    };
    let last = snapshot.last.index;
    match &recovered.end {
        None => wrong(format!("there is a snapshot up to entry {last}, and no log")),
        Some((header, _)) if header.log != snapshot.log => wrong("they are of different logs".into()),
        _ if purged.is_some_and(|purged| purged > last) => wrong(format!(
            "the log begins behind entry {}, the snapshot ends with entry {last}",
            purged.unwrap_or_default()
        )),
        _ if is_replaced(recovered, snapshot.last) && recovered.installed != Some(snapshot.last) => {
            wrong(format!("the snapshot ends with entry {last}, the log before it or with another one"))
        }
        _ => Ok(()),
    }
}

/// Whether a snapshot that ends with this entry took the place of a log that ends before it, or has another entry there.
fn is_replaced(recovered: &Recovered, last: WalId) -> bool {
    match recovered.entries.iter().find(|(id, _)| id.index == last.index) {
        Some((id, _)) => *id != last,
        None => newest(recovered).is_none_or(|newest| newest < last.index),
    }
}

/// The last entry that a log knows of.
fn newest(recovered: &Recovered) -> Option<u64> {
    recovered.entries.back().map(|(id, _)| id.index).or(recovered.purged.map(|id| id.index))
}

impl<F: Send + Sync + 'static> Places<F> for Index<F> {
    fn placed(&self, id: WalId, place: Place) {
        let mut entries = lock(&self.entries);
        let entries = &mut *entries;
        // It may have been truncated and replaced meanwhile.
        let i = id.index.checked_sub(entries.first).map(|i| i as usize);
        if let Some(slot) = i.and_then(|i| entries.slots.get_mut(i)).filter(|slot| slot.term == id.term) {
            slot.place = Some(place);
            entries.placed_bytes += place.len;
        }
        entries.evict();
    }

    fn opened(&self, segment: u64, file: Arc<F>) {
        lock(&self.entries).files.insert(segment, SegmentFile { file, header: None });
    }

    fn synced(&self, entries: usize, bytes: u64, took: Duration) {
        let mut measures = lock(&self.measures);
        measures.syncs.observe(took);
        measures.groups += 1;
        measures.entries += entries as u64;
        measures.bytes += bytes;
    }

    fn set_full(&self, full: bool) -> bool {
        self.full.swap(full, Ordering::Relaxed)
    }

    fn obsolete(&self, current: u64) -> Vec<u64> {
        let mut entries = lock(&self.entries);
        // Without a place it is still to be written, into the current segment or a later one.
        let needed = entries.slots.front().and_then(|slot| slot.place).map_or(current, |place| place.segment);
        let kept = entries.files.split_off(&needed);
        std::mem::replace(&mut entries.files, kept).into_keys().collect()
    }
}

impl<F> Entries<F> {
    fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    fn append(&mut self, id: WalId, payload: Payload, now: Monotonic) {
        if self.slots.is_empty() {
            self.first = id.index;
            self.cached_from = id.index;
        }
        assert_eq!(id.index, self.end(), "entries are appended without gaps");
        let newest = self.slots.back().map(|slot| slot.term).or(self.purged.map(|id| id.term));
        assert!(newest.is_none_or(|newest| newest <= id.term), "entry {id:?} is of an older term than {newest:?}");
        self.cached_bytes += size(&payload);
        self.slots.push_back(Slot { term: id.term, place: None, payload: Some(payload), appended: Some(now) });
    }

    /// Whether some of what goes had not been synced.
    fn truncate_after(&mut self, index: Option<u64>) -> bool {
        let mut unsynced = false;
        let keep = index.map_or(0, |index| (index + 1).saturating_sub(self.first)) as usize;
        while self.slots.len() > keep {
            if let Some(slot) = self.slots.pop_back() {
                unsynced |= slot.place.is_none();
                self.drop_slot(&slot);
            }
        }
        self.cached_from = self.cached_from.min(self.end());
        self.truncated = Some(self.truncated.map_or(index, |before| before.min(index)));
        unsynced
    }

    fn purge(&mut self, id: WalId) {
        while self.first <= id.index {
            let Some(slot) = self.slots.pop_front() else { break };
            self.drop_slot(&slot);
            self.first += 1;
        }
        self.first = self.first.max(id.index + 1);
        self.cached_from = self.cached_from.max(self.first);
        self.purged = Some(id);
    }

    fn drop_slot(&mut self, slot: &Slot) {
        self.cached_bytes -= slot.payload.as_ref().map_or(0, size);
        self.placed_bytes -= slot.place.map_or(0, |place| place.len);
    }

    /// Drops from memory what is on disk, the oldest first, down to the bound.
    fn evict(&mut self) {
        let bound = |fed| if fed { CACHE_BYTES } else { UNFED_BYTES };
        while self.cached_bytes > bound(self.cached_from < self.fed) {
            let i = (self.cached_from - self.first) as usize;
            match self.slots.get_mut(i) {
                Some(slot) if slot.place.is_some() => {
                    self.cached_bytes -= slot.payload.take().as_ref().map_or(0, size);
                    self.cached_from += 1;
                }
                _ => break,
            }
        }
    }
}

fn size(payload: &Payload) -> usize {
    /// Bytes of a slot and of what hangs on it.
    const OVERHEAD: usize = 128;
    OVERHEAD
        + match payload {
            EntryPayload::Normal(proposal) => proposal.0.len(),
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        }
}

impl<E: Env> RaftLogReader<Types<E::Runtime>> for Log<E> {
    async fn try_get_log_entries<B: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: B,
    ) -> io::Result<Vec<Entry<E::Runtime>>> {
        let (mut from, to) = bounds(&range);
        let mut entries = Vec::new();
        while from <= to {
            let more = self.limited_get_log_entries(from, to.saturating_add(1)).await?;
            let Some(last) = more.last() else { break };
            from = last.log_id.index + 1;
            entries.extend(more);
        }
        Ok(entries)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry<E::Runtime>>> {
        let Some(last) = end.checked_sub(1) else { return Ok(Vec::new()) };
        let entries = self.read(start, last).await?;
        Ok(entries
            .into_iter()
            .map(|(id, payload)| Entry::<E::Runtime>::new(log_id::<E::Runtime>(id), payload))
            .collect())
    }

    /// In bounded memory: recovery reads the whole log by this.
    async fn entries_stream<B: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: B,
    ) -> impl futures::Stream<Item = io::Result<Entry<E::Runtime>>> + OptionalSend {
        let (from, to) = bounds(&range);
        let log = self.clone();
        let pieces = stream::unfold(Some((log, from)), move |state| async move {
            let (mut log, from) = state?;
            match log.limited_get_log_entries(from, to.saturating_add(1)).await {
                Ok(entries) => {
                    let next = entries.last()?.log_id.index + 1;
                    Some((entries.into_iter().map(Ok).collect::<Vec<_>>(), Some((log, next))))
                }
                Err(error) => Some((vec![Err(error)], None)),
            }
        });
        Box::pin(pieces.map(stream::iter).flatten())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote<E::Runtime>>> {
        Ok(self.vote().map(types::vote::<E::Runtime>))
    }
}

/// A range as its first and last index.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(before) => before + 1,
        Bound::Unbounded => 0,
    };
    match range.end_bound() {
        Bound::Included(to) => (from, *to),
        Bound::Excluded(0) => (1, 0),
        Bound::Excluded(end) => (from, end - 1),
        Bound::Unbounded => (from, u64::MAX),
    }
}

impl<E: Env> RaftLogStorage<Types<E::Runtime>> for Log<E> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types<E::Runtime>>> {
        let entries = lock(&self.index.entries);
        let purged = entries.purged.map(log_id::<E::Runtime>);
        let last =
            entries.slots.back().map(|slot| log_id::<E::Runtime>(WalId { term: slot.term, index: entries.end() - 1 }));
        Ok(LogState { last_purged_log_id: purged, last_log_id: last.or(purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<E::Runtime>) -> io::Result<()> {
        let vote = types::to_wal_vote::<E::Runtime>(vote);
        lock(&self.index.entries).vote = Some(vote);
        let records = if Mutant::ForgetVote.is_chosen() { vec![] } else { vec![Write::Vote(vote)] };
        let (done, flushed) = oneshot::channel();
        self.write(records, move || {
            let _ = done.send(());
        });
        flushed.await.map_err(|_| io::Error::other("the log's writer has ended"))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types<E::Runtime>>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry<E::Runtime>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let now = self.env.monotonic();
        let mut index = lock(&self.index.entries);
        let mut records: Vec<Write> = index.truncated.take().map(Write::TruncateAfter).into_iter().collect();
        for entry in entries {
            let id = types::to_wal_id::<E::Runtime>(&entry.log_id);
            index.append(id, entry.payload.clone(), now);
            records.push(Write::Entry(id, entry.payload));
        }
        self.write(records, move || callback.io_completed(Ok(())));
        Ok(())
    }

    /// On disk only with what comes next: openraft cuts off all that it does not know to be committed before it installs a
    /// snapshot that conflicts with any of it, and if the process ends between, what was acknowledged must still be there.
    async fn truncate_after(&mut self, last: Option<LogId<E::Runtime>>) -> io::Result<()> {
        let index = last.map(|id| id.index);
        let probes = self.env.probes();
        probes.hit(Probe::LogTruncated);
        probes.hit_if(lock(&self.index.entries).truncate_after(index), Probe::ReplacedBeforeSync);
        Ok(())
    }

    async fn purge(&mut self, id: LogId<E::Runtime>) -> io::Result<()> {
        self.purge_to(types::to_wal_id::<E::Runtime>(&id)).await;
        Ok(())
    }
}
