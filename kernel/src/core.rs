//! The Core: executes commands in memory, gathers their effects into batches, and knows what the log has accepted.
//!
//! Requests come in by [`Core::execute`], because they bring borrowed bytes and take a borrowed reply buffer; everything
//! else comes in by [`Core::handle`]. Nothing leaves but return values and [`Output`]s.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::call::{Call, PasswordCheck, Then};
use crate::changed::Changed;
use crate::clients::Clients;
use crate::codec::CodecError;
use crate::commands::{Command, CommandError, Commands, connection};
use crate::connection::Connection;
use crate::diagnostics::Diagnostics;
use crate::effect::{self, Effect, Effects};
use crate::entry::Entry;
use crate::ids::{DbId, DbNumber, Epoch, Incarnation, Index, Seq};
use crate::level::Level;
use crate::limits;
use crate::lookahead::Lookahead;
use crate::mutant::Mutant;
use crate::rates::Rates;
use crate::reign::Reign;
use crate::resp::{Args, Reply};
use crate::session::{Peer, Port, Session};
use crate::stats::Stats;
use crate::store::{Digest, Store};
use crate::system::System;
use crate::time::{Monotonic, Wall};
use crate::users::Role as UserRole;
use crate::verdict::Verdict;
use crate::watch::Watches;

/// What a Core is told once, at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's name.
    pub node: String,
    /// Whom `AUTH password` means.
    pub default_user: String,
    pub default_level: Level,
    /// How long a reply waits for its level before it becomes `-UNCERTAIN`.
    pub level_timeout: core::time::Duration,
    /// Seeds the hash tables; unpredictable in production.
    pub seed: u64,
    pub started: Monotonic,
    pub process_id: u32,
    /// The port that clients use, for `INFO`.
    pub port: u16,
    pub max_clients: u64,
    /// Bytes that items may take by their accounted sizes; 0: as many as there are.
    pub max_memory: u64,
    /// What `CONFIG GET` shows, by name.
    pub parameters: Vec<(String, String)>,
}

/// Both clocks at once.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub wall: Wall,
    pub monotonic: Monotonic,
}

/// What a Core is told beside requests.
#[derive(Debug)]
pub enum Input<'a> {
    /// The log can be written, and whatever was committed before this start will come: begin a life. The nonce is new.
    Begin { nonce: u64 },
    /// The next committed entry; `None` for one of Raft's own. Indexes grow by one.
    Committed { index: Index, entry: Option<&'a [u8]> },
    /// The Keeper's newest state.
    Keeper(KeeperState),
    /// There is time to send what was executed, if anything was.
    CloseBatch,
    /// Some time has passed; so many bytes came from clients and went to them since the start.
    Tick { input_bytes: u64, output_bytes: u64 },
    /// There is time to delete some of the keys whose deadline has passed.
    Expire,
    /// Nothing was heard of the oldest proposal for too long: it may be lost.
    Resend,
    /// A snapshot, which contains everything up to and with `index`, begins; the Core is empty. Its items follow.
    Snapshot { index: Index, system: System, items: &'a [u64] },
    /// Some of the snapshot's items.
    Items(&'a [u8]),
    /// There is no user yet: this is the first, an admin.
    Found { admin: &'a str, password_hash: &'a str },
}

/// What a Core knows of the Keeper beside it: to refuse what cannot become durable, and to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeeperState {
    /// There is no space for the log.
    pub disk_full: bool,
    /// Bytes of the log since the newest snapshot.
    pub log_bytes: u64,
    /// The last entry of the newest snapshot.
    pub snapshot_index: Option<Index>,
    pub snapshot_bytes: u64,
    /// Snapshots that could not be made since the start.
    pub snapshot_failures: u64,
    /// Snapshots made since the start.
    pub snapshots: u64,
    /// How long they took together, and the last one.
    pub snapshot_time: core::time::Duration,
    pub last_snapshot_time: core::time::Duration,
    /// When the last of them was made.
    pub snapshot_made_at: Option<Wall>,
    /// The last attempt failed.
    pub last_snapshot_failed: bool,
}

/// What a Core wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this into the log, behind everything proposed before.
    Propose(Proposal),
    /// The log accepted every batch up to this one: open the gates.
    Accepted(Seq),
    /// This Core is primary and has applied all there is.
    Leads(Epoch),
    /// Another claim was accepted. What was executed and not accepted is void; this memory must not be used again.
    Deposed(Epoch),
}

/// An encoded entry, shared with whoever writes it.
pub type Proposal = Arc<Vec<u8>>;

/// A committed entry that cannot be applied: it is damaged, or a newer version wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log's entry {index} cannot be read: {error}")]
pub struct BadEntry {
    pub index: Index,
    pub error: CodecError,
}

/// What is to be sent to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenBatch {
    Empty,
    /// Nobody waits for it: it may wait for more.
    Lingering,
    /// It goes when the next verdict comes: enough are on their way.
    Queued,
    /// Somebody waits for it, or it is large.
    Due,
}

/// Commands wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub until: Monotonic,
    /// Only those that write.
    pub writes_only: bool,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub then: Then,
    pub level: Level,
    /// The reply must not leave before this batch is accepted.
    pub wait: Option<Seq>,
}

#[derive(Debug)]
enum Role {
    /// Applies what comes; clients wait.
    Recovering,
    /// Has proposed its `Hello`.
    Greeting { nonce: u64, proposal: Proposal },
    /// Has proposed its `Claim`.
    Claiming { incarnation: Incarnation, proposal: Proposal },
    /// Executes.
    Primary(Reign),
    /// Executed things that never were.
    Deposed,
}

/// A Core's whole state.
#[derive(Debug)]
pub struct Core {
    pub(crate) config: Config,
    pub(crate) commands: Commands,
    pub(crate) store: Store,
    pub(crate) system: System,
    pub(crate) changed: Changed,
    pub(crate) watches: Watches,
    pub clients: Clients,
    /// Commands wait until then, or those that write do.
    pub(crate) pause: Option<Pause>,
    /// As many as at most may be allowed while this process runs.
    pub(crate) most_clients: u64,
    pub stats: Stats,
    pub(crate) diagnostics: Diagnostics,
    pub(crate) rates: Rates,
    role: Role,
    /// The last committed entry that this memory contains.
    applied: Option<Index>,
    /// The highest wall clock in the log or used here, sent or not: time never goes back for the data.
    newest_wall: Wall,
    /// Until then writers wait, so that a digest can be taken between batches.
    hold_writes_until: Option<Monotonic>,
    /// Nothing is executed any more.
    stopping: bool,
    pub(crate) keeper: KeeperState,
    /// Bytes from and to clients as of the last tick.
    traffic: (u64, u64),
    lookahead: Lookahead,
    /// The state of [`Core::random`], which is the generator SplitMix64.
    random: u64,
    /// When a newer snapshot was first heard of.
    last_save: Option<Wall>,
}

impl Core {
    pub fn new(config: Config) -> Self {
        let commands = Commands::default();
        Self {
            store: Store::new(config.seed),
            changed: Changed::new(config.seed),
            watches: Watches::new(config.seed),
            clients: Clients::default(),
            pause: None,
            most_clients: config.max_clients,
            stats: Stats::new(commands.all().len()),
            diagnostics: Diagnostics::new(&commands),
            rates: Rates::default(),
            system: System::default(),
            role: Role::Recovering,
            applied: None,
            newest_wall: Wall::default(),
            hold_writes_until: None,
            stopping: false,
            keeper: KeeperState::default(),
            traffic: (0, 0),
            last_save: None,
            lookahead: Lookahead::default(),
            random: config.seed,
            commands,
            config,
        }
    }

    /// A new client, or `None` if there are too many.
    pub fn connect(&mut self, port: Port, peer: Peer, now: Monotonic) -> Option<Connection> {
        if self.clients.len() as u64 >= self.config.max_clients {
            self.stats.connections_rejected += 1;
            return None;
        }
        let slot = self.clients.open(|id, slot| Session::new(id, slot, port, peer, now));
        Some(Connection::new(slot))
    }

    /// A client has gone.
    pub fn disconnect(&mut self, connection: &Connection) {
        if let Some(mut session) = self.clients.close(connection.slot()) {
            self.forget(&mut session);
        }
    }

    /// Ends what others know of a session: its watching and its monitoring.
    pub(crate) fn forget(&mut self, session: &mut Session) {
        self.watches.unwatch(&mut session.watching);
        self.clients.stop_monitoring(session.slot);
    }

    /// Runs one request at once, in memory. The reply is appended to `reply`, unless the answer says otherwise.
    pub fn execute(&mut self, now: Now, session: &mut Session, args: Args<'_>, reply: &mut Reply) -> Answer {
        let mut call = self.call(now, session, args, reply);
        // A request that is refused before it runs touches nothing, so its reply waits for nothing.
        let level = call.dispatch().unwrap_or_else(|error| {
            call.refuse(call.reply.bytes.len(), error);
            Level::Eventual
        });
        call.answer(level)
    }

    /// Fetches what the first requests of a pipeline will search for; returns how many bytes they take.
    pub(crate) fn look_ahead(&mut self, session: &Session, input: &[u8]) -> usize {
        let database = self.store.database(self.system.databases.id(session.db));
        self.lookahead.fetch(database, input)
    }

    /// Goes on with the request that asked for a password check.
    pub fn password_checked(&mut self, now: Now, session: &mut Session, reply: &mut Reply, check: PasswordCheck) {
        let start = reply.bytes.len();
        let mut call = self.call(now, session, Args::none(), reply);
        if let Err(error) = connection::password_checked(&mut call, check) {
            call.reply.error(error);
        }
        self.finished(session, &reply.bytes[start..]);
    }

    /// Counts the outcome of a command that was left unfinished.
    pub(crate) fn finished(&mut self, session: &mut Session, reply: &[u8]) {
        self.stats.count_error(reply);
        if let Some(command) = session.unfinished.take() {
            self.stats.count_outcome(command, reply.first() != Some(&b'-'));
        }
    }

    fn call<'a>(&'a mut self, now: Now, session: &'a mut Session, args: Args<'a>, reply: &'a mut Reply) -> Call<'a> {
        self.newest_wall = self.newest_wall.max(now.wall);
        Call {
            now: self.newest_wall,
            monotonic: now.monotonic,
            core: self,
            session,
            args,
            reply,
            then: Then::Reply,
            depends: Seq::ZERO,
            level: None,
            wrote: false,
        }
    }

    /// Everything but requests.
    ///
    /// # Errors
    /// If a committed entry cannot be read; the Core must then stop.
    pub fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Vec<Output>) -> Result<(), BadEntry> {
        match input {
            Input::Begin { nonce } => {
                let hello = Entry::Hello { node: &self.config.node, nonce };
                let proposal = Arc::new(hello.encode());
                self.role = Role::Greeting { nonce, proposal: proposal.clone() };
                out.push(Output::Propose(proposal));
            }
            Input::Committed { index, entry } => {
                assert!(
                    self.applied.is_none_or(|applied| applied.next() == index),
                    "entry {index} after {:?}",
                    self.applied
                );
                if let Some(bytes) = entry {
                    self.committed(index, bytes, out).map_err(|error| BadEntry { index, error })?;
                }
                self.applied = Some(index);
            }
            Input::Snapshot { index, system, items } => {
                assert!(self.applied.is_none(), "a snapshot is installed into an empty Core");
                self.applied = Some(index);
                self.newest_wall = self.newest_wall.max(system.newest_wall);
                self.system = system;
                self.store.reserve(items);
            }
            Input::Items(effects) => {
                self.apply_all(effects).map_err(|error| BadEntry { index: self.applied(), error })?;
            }
            Input::Keeper(state) => {
                if state.snapshot_index != self.keeper.snapshot_index {
                    self.last_save = Some(now.wall);
                }
                self.keeper = state;
            }
            Input::CloseBatch => self.close_batch(now, out),
            Input::Tick { input_bytes, output_bytes } => self.tick(now, input_bytes, output_bytes),
            Input::Expire => self.expire(now),
            Input::Resend => self.resend(out),
            Input::Found { admin, password_hash } => {
                assert!(self.is_primary(), "only a primary founds");
                self.execute_effect(&Effect::User { name: admin, password_hash, role: UserRole::Admin });
            }
        }
        Ok(())
    }

    fn committed(&mut self, index: Index, bytes: &[u8], out: &mut Vec<Output>) -> Result<(), CodecError> {
        let entry = Entry::decode(bytes)?;
        let verdict = self.system.judge(index, &entry);
        match (entry, &mut self.role) {
            (Entry::Hello { nonce, .. }, Role::Greeting { nonce: own, .. }) if nonce == *own => {
                self.claim(Incarnation(index.0), out);
            }
            (Entry::Claim { incarnation, .. }, Role::Claiming { incarnation: own, .. }) if incarnation == *own => {
                if verdict == Verdict::Accepted {
                    self.changed.clear();
                    self.role = Role::Primary(Reign::new(self.system.verdicts.epoch));
                    out.push(Output::Leads(self.system.verdicts.epoch));
                } else {
                    // It named a renewal that was not the newest any more.
                    self.claim(incarnation, out);
                }
            }
            (Entry::Claim { .. }, Role::Primary(_)) if verdict == Verdict::Accepted => {
                self.role = Role::Deposed;
                out.push(Output::Deposed(self.system.verdicts.epoch));
            }
            (Entry::Batch { epoch, seq, .. }, Role::Primary(reign))
                if epoch == reign.epoch && verdict == Verdict::Accepted =>
            {
                // It was executed when it was made.
                let sent = reign.accept(seq);
                self.stats.batches_accepted += 1;
                self.stats.effect_bytes += sent.effect_bytes as u64;
                self.changed.accepted(seq, sent.keys);
                out.push(Output::Accepted(seq));
            }
            (Entry::Batch { effects, .. }, _) if verdict == Verdict::Accepted => {
                self.newest_wall = self.newest_wall.max(self.system.newest_wall);
                self.apply_all(effects)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn apply_all(&mut self, effects: &[u8]) -> Result<(), CodecError> {
        for effect in Effects::new(effects) {
            let mut effect = effect?;
            if let Effect::Put { deadline, .. } = &mut effect
                && Mutant::LoseDeadline.is_chosen()
            {
                *deadline = None;
            }
            if let Effect::Patch { offset, .. } = &mut effect
                && Mutant::MisplacePatch.is_chosen()
            {
                *offset += 1;
            }
            self.store.apply(&effect);
            self.system.apply(&effect);
        }
        Ok(())
    }

    fn claim(&mut self, incarnation: Incarnation, out: &mut Vec<Output>) {
        let (previous_epoch, last_renewal) = (self.system.verdicts.epoch, self.system.verdicts.last_renewal);
        let proposal = Arc::new(Entry::Claim { incarnation, previous_epoch, last_renewal }.encode());
        self.role = Role::Claiming { incarnation, proposal: proposal.clone() };
        out.push(Output::Propose(proposal));
    }

    /// Deletes keys whose deadline has passed: those of a few parts of the table, for bounded time.
    fn expire(&mut self, now: Now) {
        self.newest_wall = self.newest_wall.max(now.wall);
        if !self.takes_writes()
            || self.holds_writes(now.monotonic)
            || self.pause.is_some_and(|p| now.monotonic < p.until)
        {
            return;
        }
        let mut parts = limits::EXPIRY_PARTS;
        for db in (0..limits::DATABASES).map(DbId) {
            while parts > 0
                && let Some(keys) = self.store.database_mut(db).expired(self.newest_wall)
            {
                parts -= 1;
                self.stats.expired_keys += keys.len() as u64;
                keys.iter().for_each(|key| self.execute_effect(&Effect::Delete { db, key }));
            }
        }
    }

    fn close_batch(&mut self, now: Now, out: &mut Vec<Output>) {
        self.newest_wall = self.newest_wall.max(now.wall);
        let wall = self.newest_wall.0;
        let Role::Primary(reign) = &mut self.role else { return };
        if let Some(proposal) = reign.close_batch(wall) {
            self.stats.batches_proposed += 1;
            out.push(Output::Propose(proposal));
        }
    }

    fn tick(&mut self, now: Now, input_bytes: u64, output_bytes: u64) {
        let used = self.used_memory();
        let stats = &mut self.stats;
        stats.input_bytes += input_bytes - self.traffic.0;
        stats.output_bytes += output_bytes - self.traffic.1;
        self.traffic = (input_bytes, output_bytes);
        stats.peak_memory = stats.peak_memory.max(used);
        self.rates.sample(now.monotonic, [stats.total_calls(), stats.input_bytes, stats.output_bytes]);
    }

    /// Sends again, with the same content, all that has not been accepted (rule 6). The log ignores what it knows.
    fn resend(&mut self, out: &mut Vec<Output>) {
        match &self.role {
            Role::Greeting { proposal, .. } | Role::Claiming { proposal, .. } => {
                out.push(Output::Propose(proposal.clone()))
            }
            Role::Primary(reign) => {
                self.stats.batches_proposed += reign.in_flight.len() as u64;
                out.extend(reign.in_flight.iter().map(|sent| Output::Propose(sent.proposal.clone())));
            }
            Role::Recovering | Role::Deposed => {}
        }
    }

    /// Makes a change: in memory at once, in the open batch for everybody else.
    pub(crate) fn execute_effect(&mut self, effect: &Effect<'_>) {
        let Role::Primary(reign) = &mut self.role else { panic!("only a primary executes") };
        if !self.watches.is_empty() {
            self.watches.see(effect, &self.store, &self.system.databases);
        }
        self.store.apply(effect);
        self.system.apply(effect);
        if !(matches!(effect, Effect::SwapDatabases { .. }) && Mutant::LoseSwap.is_chosen()) {
            effect::record(effect, &mut reign.open);
        }
        match *effect {
            Effect::Put { db, key, .. }
            | Effect::Delete { db, key }
            | Effect::Deadline { db, key, .. }
            | Effect::Patch { db, key, .. } => {
                reign.open_keys.push(self.changed.mark(db, key, reign.next_seq));
            }
            Effect::Flush { db } => self.changed.mark_flush(db, reign.next_seq),
            Effect::SwapDatabases { a, b } => {
                self.changed.mark_flush(a, reign.next_seq);
                self.changed.mark_flush(b, reign.next_seq);
            }
            Effect::User { .. } => {}
        }
    }

    /// Whether a command of a transaction, whose effects are one batch, still has room there.
    pub(crate) fn check_batch(&self, command: &Command) -> Result<(), CommandError> {
        match &self.role {
            Role::Primary(reign) if command.is_write() && reign.open.len() > limits::MAX_TRANSACTION => {
                Err(CommandError::Other("not executed: the transaction changes too much"))
            }
            _ => Ok(()),
        }
    }

    /// The session watches a key of the database that it has selected.
    pub(crate) fn watch(&mut self, session: &mut Session, key: &[u8]) {
        let System { verdicts, databases, .. } = &self.system;
        let db = match Mutant::WatchPlace.is_chosen() {
            true => DbNumber(databases.id(session.db).0),
            false => session.db,
        };
        self.watches.watch(&mut session.watching, verdicts.epoch, db, key);
    }

    /// Whether nothing more may be stored.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.config.max_memory > 0 && self.used_memory() as u64 >= self.config.max_memory
    }

    /// 64 random bits, for commands that choose; not for secrets.
    pub(crate) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether writers must wait: the pipeline is full, or a digest is being taken.
    pub(crate) fn holds_writes(&self, now: Monotonic) -> bool {
        let Role::Primary(reign) = &self.role else { return true };
        reign.is_full() || self.hold_writes_until.is_some_and(|until| now < until)
    }

    /// Executes nothing from now on: commands that need the data are answered `-LOADING`, which means that they were not
    /// executed and may be sent again.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// The digest of the data at the index that it contains, or `None` while something executed is not accepted; then
    /// writers are held back for a moment, so that asking again succeeds.
    pub fn digest(&mut self, now: Monotonic) -> Option<(Index, Digest)> {
        if self.accepted() != self.executed() {
            self.hold_writes_until = Some(now + limits::DIGEST_HOLD);
            return None;
        }
        self.hold_writes_until = None;
        Some((self.applied?, self.store.digest(&self.system)))
    }

    /// The batch that contains the newest executed change, whether sent or not.
    pub fn executed(&self) -> Seq {
        match &self.role {
            Role::Primary(reign) => reign.executed(),
            _ => Seq::ZERO,
        }
    }

    /// The newest accepted batch of this reign.
    pub fn accepted(&self) -> Seq {
        match &self.role {
            Role::Primary(reign) => reign.accepted,
            _ => Seq::ZERO,
        }
    }

    /// How soon [`Input::CloseBatch`] is to come.
    pub fn open_batch(&self) -> OpenBatch {
        match &self.role {
            Role::Primary(reign) if reign.open.is_empty() => OpenBatch::Empty,
            Role::Primary(reign) if reign.open.len() >= limits::LINGERING_BATCH => OpenBatch::Due,
            Role::Primary(reign) if !reign.is_awaited => OpenBatch::Lingering,
            Role::Primary(reign) if reign.in_flight.len() >= limits::BATCHES_HURRIED => OpenBatch::Queued,
            Role::Primary(_) => OpenBatch::Due,
            _ => OpenBatch::Empty,
        }
    }

    /// Somebody waits for this batch.
    pub(crate) fn awaits(&mut self, seq: Seq) {
        if let Role::Primary(reign) = &mut self.role
            && seq == reign.next_seq
        {
            reign.is_awaited = true;
        }
    }

    pub fn in_flight(&self) -> usize {
        match &self.role {
            Role::Primary(reign) => reign.in_flight.len(),
            _ => 0,
        }
    }

    /// Whether something was proposed whose verdict has not been heard.
    pub fn awaits_verdict(&self) -> bool {
        matches!(self.role, Role::Greeting { .. } | Role::Claiming { .. }) || self.in_flight() > 0
    }

    pub fn is_primary(&self) -> bool {
        matches!(self.role, Role::Primary(_))
    }

    /// When the newest snapshot was made, or this process started.
    pub(crate) fn last_save(&self, now: Wall, monotonic: Monotonic) -> Wall {
        let uptime = (monotonic - self.config.started).as_millis() as u64;
        self.last_save.unwrap_or(Wall(now.0.saturating_sub(uptime)))
    }

    pub fn keeper(&self) -> &KeeperState {
        &self.keeper
    }

    /// What `CONFIG RESETSTAT` does.
    pub(crate) fn reset_stats(&mut self) {
        self.stats.reset();
        self.rates = Rates::default();
    }

    /// Whether writes are executed now.
    pub fn takes_writes(&self) -> bool {
        self.serves() && !self.keeper.disk_full
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether commands are executed now.
    pub fn serves(&self) -> bool {
        self.is_primary() && !self.stopping
    }

    pub fn epoch(&self) -> Epoch {
        self.system.verdicts.epoch
    }

    /// The last committed entry that this memory contains; zero before the first.
    pub fn applied(&self) -> Index {
        self.applied.unwrap_or_default()
    }

    pub fn has_user(&self, name: &str) -> bool {
        self.system.users.get(name).is_some()
    }

    /// Bytes accounted for the data.
    pub fn used_memory(&self) -> usize {
        self.store.bytes()
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The role as Redis clients understand it: who writes to `master` may.
    pub(crate) fn role_for_clients(&self, port: Port) -> &'static str {
        match port {
            Port::Main => "master",
            Port::Read => "slave",
        }
    }

    /// Asserts what must always hold. Reads everything: for tests and simulations.
    pub fn check(&self) {
        self.store.check();
        if let Role::Primary(reign) = &self.role {
            reign.check();
            assert!(
                self.accepted() != self.executed() || self.changed.is_empty(),
                "keys stand changed with nothing open"
            );
        }
    }
}
