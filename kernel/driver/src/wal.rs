//! Opens the write-ahead log, and writes it: one task, so that one sync covers everything that came together.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc;
use futures::future::{Either, select};
use mneme_kernel::mutant::Mutant;
use mneme_kernel::probe::Probe;
use mneme_kernel::wal::{
    ALIGNMENT, Attested, Damage, LogId, Place, Record, Recovered, Recovery, SegmentHeader, Vote, file_name, segment_of,
};
use openraft::EntryPayload;

use crate::attested::{self, Witness};
use crate::env::{Disk, Env, File};
use crate::snapshot::SnapshotError;
use crate::types::{self, Peer, Proposal};

/// The folder of the log's segments.
pub(crate) const FOLDER: &str = "log";

/// Bytes of records that one group gathers at most, unless a single one is larger.
const GROUP_BYTES: usize = 8 << 20;
/// Bytes of memory that an empty buffer may keep for the next group.
const KEPT_BYTES: usize = 2 << 20;

/// How long to wait before a full disk is tried again.
pub(crate) const FULL_PAUSE: Duration = Duration::from_millis(100);

/// After how long without a request the log is idle.
const IDLE: Duration = Duration::from_millis(5);

/// CRC32C as the kernel wants it.
pub fn checksum(before: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(before, bytes)
}

/// What to say of a file that only a newer version understands.
pub(crate) const NEWER: &str = "was written by a newer version of Mneme; start that version, or a later one, on this \
                                folder, in which nothing was changed";

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{FOLDER}/{0}")]
    Damaged(#[from] Damage),
    #[error("{0}")]
    Snapshot(#[from] SnapshotError),
    #[error("the log and the snapshot do not belong together: {0}")]
    Foreign(String),
    #[error("{FOLDER}/{0} {NEWER}")]
    Newer(String),
    #[error("the log cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl OpenError {
    /// Whether what is on disk cannot be used, damaged, foreign or newer, rather than out of reach.
    pub fn is_damage(&self) -> bool {
        match self {
            OpenError::Damaged(_) | OpenError::Foreign(_) | OpenError::Snapshot(SnapshotError::Damaged { .. }) => true,
            OpenError::Newer(_) | OpenError::Snapshot(SnapshotError::Newer { .. }) => true,
            OpenError::Snapshot(SnapshotError::Io { .. }) | OpenError::Io(_) => false,
        }
    }

    /// Whether a newer version can use what is on disk: it must not be moved aside.
    pub fn is_newer(&self) -> bool {
        matches!(self, OpenError::Newer(_) | OpenError::Snapshot(SnapshotError::Newer { .. }))
    }
}

/// Why a group was not written.
enum WriteError {
    /// There is no space: it can be tried again, nothing has happened.
    Full(io::Error),
    /// What is on disk is not known any more.
    Fatal(io::Error),
}

impl WriteError {
    fn of_write(error: io::Error) -> Self {
        if is_full(&error) { Self::Full(error) } else { Self::Fatal(error) }
    }
}

/// Whether there is no space.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Something to write.
pub(crate) enum Write {
    Vote(Vote),
    Entry(LogId, EntryPayload<Proposal, u64, Peer>),
    TruncateAfter(Option<u64>),
    Purge(LogId),
    Install(LogId),
    /// Not a record: the log may be closed behind this, so what is synced is said at once.
    Close,
}

/// A request to the writer: records that become durable together, and who hears of it.
pub(crate) struct Request {
    pub records: Vec<Write>,
    /// Called once they are on stable storage.
    pub done: Box<dyn FnOnce() + Send>,
}

/// Who learns where the writer put the entries.
pub(crate) trait Places<F>: Send + Sync + 'static {
    /// An entry stands here now and can be read from there.
    fn placed(&self, id: LogId, place: Place);
    /// A segment begins.
    fn opened(&self, segment: u64, file: Arc<F>);
    /// So many entries and bytes are on stable storage, by a sync that took so long.
    fn synced(&self, entries: usize, bytes: u64, took: Duration);
    /// Whether there is no space for what is to be written; returns what was known before.
    fn set_full(&self, full: bool) -> bool;
    /// Which segments before this one hold no entry that is needed; they will be removed.
    fn obsolete(&self, current: u64) -> Vec<u64>;
}

/// A log's files by segment.
pub(crate) type Files<F> = Vec<(u64, Arc<F>)>;

/// Reads the whole log and says what is in it.
pub(crate) async fn recover<E: Env>(env: &E) -> Result<(Recovered, Files<<E::Disk as Disk>::File>), OpenError> {
    let disk = env.disk();
    disk.create_dir(FOLDER).await?;
    disk.sync_dir("").await?;
    // A life that was killed may have left a name that no sync has covered: one that comes now must not outlast it.
    disk.sync_dir(FOLDER).await?;
    let mut segments: Vec<u64> = disk.list(FOLDER).await?.iter().filter_map(|name| segment_of(name)).collect();
    segments.sort_unstable();
    let mut files = Vec::new();
    for number in &segments {
        files.push((*number, Arc::new(disk.open(&path(*number)).await?)));
    }
    let mut recovery = Recovery::new(checksum, attested::read(env).await?);
    let (mut void, mut has_torn_tail) = (Vec::new(), false);
    for (i, (number, file)) in files.iter().enumerate() {
        let next = match files.get(i + 1) {
            Some((next, file)) => {
                let len = file.size().await?.min(SegmentHeader::LEN);
                let bytes = file.read_at(0, len as usize).await?;
                known(*next, &bytes)?;
                Some(Recovery::header(checksum, *next, &bytes)?)
            }
            None => None,
        };
        let size = file.size().await?;
        let end = next.as_ref().map_or(size, |next| size.min(next.previous_end));
        let bytes = file.read_at(0, end as usize).await?;
        known(*number, &bytes)?;
        let read_to = recovery.segment(*number, &bytes, next.as_ref())?;
        has_torn_tail = bytes.get(read_to as usize..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0));
        if end < size {
            void.push((file.clone(), end));
        }
    }
    let recovered = recovery.finish()?;
    env.probes().hit_if(has_torn_tail, Probe::TornTail);
    // A life that ended early left the space of a whole segment; a loop of crashes would fill the disk with them.
    for (file, end) in void {
        env.probes().hit(Probe::SpaceReturned);
        file.truncate(end).await?;
    }
    Ok((recovered, files))
}

fn known(segment: u64, bytes: &[u8]) -> Result<(), OpenError> {
    if SegmentHeader::is_newer(checksum, bytes) { Err(OpenError::Newer(file_name(segment))) } else { Ok(()) }
}

fn path(segment: u64) -> String {
    format!("{FOLDER}/{}", file_name(segment))
}

/// Writes the log.
pub(crate) struct Writer<E: Env, P> {
    env: E,
    places: Arc<P>,
    file: Arc<<E::Disk as Disk>::File>,
    header: SegmentHeader,
    /// Bytes of a segment, unless a record needs more.
    segment_bytes: u64,
    /// Bytes that this segment has room for.
    capacity: u64,
    /// Where the next record goes.
    offset: u64,
    /// Everything of this segment below this is on stable storage.
    synced_to: u64,
    /// What a new segment repeats, so that older ones can go.
    vote: Option<Vote>,
    purged: Option<LogId>,
    installed: Option<LogId>,
    witness: Witness<E>,
    buffer: Vec<u8>,
}

impl<E: Env, P: Places<<E::Disk as Disk>::File>> Writer<E, P> {
    /// Begins a new segment behind what was recovered. What recovery read is synced first: a crash of the process alone
    /// leaves bytes that no sync has covered.
    pub(crate) async fn open(
        env: E,
        places: Arc<P>,
        recovered: &Recovered,
        files: &Files<<E::Disk as Disk>::File>,
        segment_bytes: u64,
    ) -> io::Result<Self> {
        let header = match (&recovered.end, files.last()) {
            // Nobody has used the last one yet, perhaps because its name could not be made durable, and a later sync
            // would not tell: it is made again.
            (Some((last, end)), Some(_)) if *end == SegmentHeader::LEN => {
                env.probes().hit(Probe::SegmentRemade);
                SegmentHeader { salt: env.random(), ..*last }
            }
            (Some((last, end)), Some((_, file))) => {
                file.sync().await?;
                SegmentHeader { number: last.number + 1, log: last.log, salt: env.random(), previous_end: *end }
            }
            // It is the Keeper's id in the Raft group too, where zero is nobody's.
            _ => SegmentHeader { number: 1, log: env.random().max(1), salt: env.random(), previous_end: 0 },
        };
        let witness = Witness::open(&env).await?;
        let (file, capacity) = create(&env, &header, segment_bytes).await?;
        if let (Some((_, end)), Some((_, file))) = (&recovered.end, files.last()) {
            // What stands behind the end is void from now on; its space can go.
            file.truncate(*end).await?;
        }
        let mut writer = Self {
            env,
            places,
            file,
            header,
            segment_bytes,
            capacity,
            offset: SegmentHeader::LEN,
            synced_to: SegmentHeader::LEN,
            vote: recovered.vote,
            purged: recovered.purged,
            installed: recovered.installed,
            witness,
            buffer: Vec::new(),
        };
        writer.begin_segment();
        Ok(writer)
    }

    /// Which log it is.
    pub(crate) fn log_id(&self) -> u64 {
        self.header.log
    }

    /// Writes what is asked, group by group, until nobody can ask any more.
    pub(crate) async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        let mut next = None;
        loop {
            let Some(first) = (match next.take() {
                Some(request) => Some(request),
                None => self.next_request(&mut requests).await,
            }) else {
                return;
            };
            let mut bytes = first.size();
            let mut group = vec![first];
            while bytes < GROUP_BYTES {
                let Ok(request) = requests.try_recv() else { break };
                bytes += request.size();
                group.push(request);
            }
            while let Err(error) = self.write_group(&mut group, bytes).await {
                let file = path(self.header.number);
                match error {
                    WriteError::Full(error) => {
                        if !self.places.set_full(true) {
                            self.env.probes().hit(Probe::LogFull);
                            tracing::error!(
                                "no space for the log: {error}; nothing is acknowledged until there is some"
                            );
                        }
                        self.env.sleep(FULL_PAUSE).await;
                    }
                    // What a failed sync left on disk is unknown, and asking again would be answered "done" (DESIGN.md
                    // section 4). Recovery finds out what is there.
                    WriteError::Fatal(error) => {
                        self.env.fatal(format!("cannot write the log {file}: {error}")).await;
                    }
                }
            }
            if self.places.set_full(false) {
                self.env.probes().hit(Probe::LogGoesOn);
                tracing::info!("there is space for the log again");
            }
            next = requests.try_recv().ok();
            if next.is_none() {
                // Nobody waits: say now what is synced, for the next group may be far away.
                self.attest().await;
            }
        }
    }

    /// Waits for a request; if none comes for a while, it is said outside of the segment, too, what is synced.
    async fn next_request(&mut self, requests: &mut mpsc::UnboundedReceiver<Request>) -> Option<Request> {
        let soon = {
            let idle = pin!(self.env.sleep(IDLE));
            match select(requests.next(), idle).await {
                Either::Left((request, _)) => Some(request),
                Either::Right(_) => None,
            }
        };
        if let Some(request) = soon {
            return request;
        }
        self.bear_witness().await;
        requests.next().await
    }

    async fn bear_witness(&mut self) {
        if self.synced_to > SegmentHeader::LEN {
            let Self { header, synced_to, .. } = *self;
            self.witness.say(Attested { log: header.log, segment: header.number, synced_to }).await;
        }
    }

    /// Writes and syncs a group and lets everybody know; then it is empty. If there is no space, nothing has happened.
    async fn write_group(&mut self, group: &mut Vec<Request>, bytes: usize) -> Result<(), WriteError> {
        let room = bytes as u64 + ATTEST_BYTES;
        if self.offset + self.buffer.len() as u64 + room > self.capacity {
            self.rotate(room).await?;
        }
        let begun = self.buffer.len();
        let (vote, purged, installed) = (self.vote, self.purged, self.installed);
        let placed = self.append_group(group);
        if let Err(error) = self.write_buffer().await {
            self.buffer.truncate(begun);
            (self.vote, self.purged, self.installed) = (vote, purged, installed);
            return Err(WriteError::of_write(error));
        }
        let purges = self.purged != purged;
        let acknowledge = |group: &mut Vec<Request>, places: &P| {
            for (id, place) in &placed {
                places.placed(*id, *place);
            }
            group.drain(..).for_each(|request| (request.done)());
        };
        if Mutant::AcknowledgeBeforeSync.is_chosen() {
            acknowledge(group, &self.places);
        }
        let begun = self.env.monotonic();
        if !Mutant::SkipSync.is_chosen() {
            self.sync().await?;
        }
        self.places.synced(placed.len(), self.offset - self.synced_to, self.env.monotonic() - begun);
        self.synced_to = self.offset;
        if group.iter().flat_map(|request| &request.records).any(|write| matches!(write, Write::Close)) {
            self.bear_witness().await;
            self.witness.sync().await;
        }
        if !Mutant::AcknowledgeBeforeSync.is_chosen() {
            acknowledge(group, &self.places);
        }
        if purges {
            self.remove_obsolete().await.map_err(WriteError::Fatal)?;
        }
        Ok(())
    }

    /// Puts a group's records into the buffer; returns where each entry will stand.
    fn append_group(&mut self, group: &[Request]) -> Vec<(LogId, Place)> {
        let mut placed = Vec::new();
        let mut membership = Vec::new();
        self.append(&Record::Attest { synced_to: self.synced_to });
        for write in group.iter().flat_map(|request| &request.records) {
            match write {
                Write::Vote(vote) => {
                    self.vote = Some(*vote);
                    self.append(&Record::Vote(*vote));
                }
                Write::Entry(id, payload) => {
                    let offset = self.offset + self.buffer.len() as u64;
                    membership.clear();
                    let body = types::to_body(payload, &mut membership);
                    self.append(&Record::Entry { id: *id, body });
                    let len = self.offset + self.buffer.len() as u64 - offset;
                    placed.push((*id, Place { segment: self.header.number, offset, len }));
                }
                Write::TruncateAfter(index) => self.append(&Record::TruncateAfter(*index)),
                Write::Purge(id) => {
                    self.purged = Some(*id);
                    self.append(&Record::Purge(*id));
                }
                Write::Install(id) => {
                    self.installed = Some(*id);
                    self.append(&Record::Install(*id));
                }
                Write::Close => {}
            }
        }
        placed
    }

    async fn sync(&self) -> Result<(), WriteError> {
        match self.file.sync().await {
            Err(_) if Mutant::RetryFailedSync.is_chosen() => self.file.sync().await,
            synced => synced,
        }
        .map_err(WriteError::Fatal)
    }

    /// Removes the segments that a purge has made obsolete. The current one repeats what is still needed of them, and
    /// has been synced.
    async fn remove_obsolete(&self) -> io::Result<()> {
        let obsolete = self.places.obsolete(self.header.number);
        // From the front, each durably: a log may lack its beginning, but never something in its middle.
        for segment in obsolete {
            self.env.disk().remove(&path(segment)).await?;
            self.env.disk().sync_dir(FOLDER).await?;
        }
        Ok(())
    }

    /// Says in the log what is synced. Not synced itself: it is lost only together with the knowledge that it adds.
    async fn attest(&mut self) {
        if self.offset + ATTEST_BYTES > self.capacity {
            return;
        }
        self.append(&Record::Attest { synced_to: self.synced_to });
        if let Err(error) = self.write_buffer().await {
            // Nothing rests on it. If the disk is broken, the next group will find out.
            tracing::warn!("cannot attest the log's last sync: {error}");
        }
    }

    /// Begins the next segment; the one before is synced to its last record.
    async fn rotate(&mut self, room: u64) -> Result<(), WriteError> {
        self.sync().await?;
        let header = SegmentHeader {
            number: self.header.number + 1,
            salt: self.env.random(),
            previous_end: self.offset,
            ..self.header
        };
        let needed = SegmentHeader::LEN + CARRIED_BYTES + room;
        let created = create(&self.env, &header, self.segment_bytes.max(needed)).await;
        (self.file, self.capacity) = created.map_err(WriteError::of_write)?;
        self.header = header;
        // What was to be repeated in the old segment and never went out is repeated in the new one.
        self.buffer.clear();
        self.offset = SegmentHeader::LEN;
        self.synced_to = SegmentHeader::LEN;
        self.begin_segment();
        Ok(())
    }

    /// Repeats the vote, what was purged and what is being installed; they go out with the next group.
    fn begin_segment(&mut self) {
        self.places.opened(self.header.number, self.file.clone());
        if let Some(vote) = self.vote {
            self.append(&Record::Vote(vote));
        }
        if let Some(purged) = self.purged {
            self.append(&Record::Purge(purged));
        }
        if let Some(installed) = self.installed.filter(|installed| Some(*installed) > self.purged) {
            self.append(&Record::Install(installed));
        }
    }

    fn append(&mut self, record: &Record<'_>) {
        let offset = self.offset + self.buffer.len() as u64;
        record.encode(&self.header, checksum, offset, &mut self.buffer);
    }

    async fn write_buffer(&mut self) -> io::Result<()> {
        self.file.write_at(self.offset, &self.buffer).await?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BYTES);
        Ok(())
    }
}

/// Bytes of an attestation in the log, with room to spare.
const ATTEST_BYTES: u64 = 4 * ALIGNMENT;
/// Bytes of the records that a segment begins with, with room to spare.
const CARRIED_BYTES: u64 = 256;

impl Request {
    /// At least the bytes that its records will take.
    fn size(&self) -> usize {
        /// A record's head, ids and padding.
        const OVERHEAD: usize = 64;
        let size = |write: &Write| match write {
            Write::Entry(_, EntryPayload::Normal(proposal)) => proposal.0.len() + OVERHEAD,
            Write::Entry(_, EntryPayload::Membership(membership)) => {
                let nodes = membership.nodes().map(|(_, peer)| peer.0.name.len() + peer.0.address.len() + OVERHEAD);
                nodes.sum::<usize>() * (membership.get_joint_config().len() + 1) + OVERHEAD
            }
            Write::Entry(_, EntryPayload::Blank)
            | Write::Vote(_)
            | Write::TruncateAfter(_)
            | Write::Purge(_)
            | Write::Install(_)
            | Write::Close => OVERHEAD,
        };
        self.records.iter().map(size).sum()
    }
}

/// Makes a segment's file: it gets its name when its header and its space are on stable storage.
async fn create<E: Env>(
    env: &E,
    header: &SegmentHeader,
    capacity: u64,
) -> io::Result<(Arc<<E::Disk as Disk>::File>, u64)> {
    let disk = env.disk();
    let name = path(header.number);
    let unfinished = format!("{FOLDER}/new-segment");
    if disk.list(FOLDER).await?.iter().any(|name| name == "new-segment") {
        disk.remove(&unfinished).await?;
    }
    let file = disk.create(&unfinished).await?;
    file.allocate(capacity).await?;
    file.write_at(0, &header.encode(checksum)).await?;
    file.sync().await?;
    disk.rename(&unfinished, &name).await?;
    disk.sync_dir(FOLDER).await?;
    Ok((Arc::new(file), capacity))
}
