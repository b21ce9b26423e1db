//! The Core: executes commands in memory, gathers their effects into batches, and knows what the log has accepted.
//!
//! Requests come in by [`Core::execute`], because they bring borrowed bytes and take a borrowed reply buffer; everything
//! else comes in by [`Core::handle`]. Nothing leaves but return values and [`Output`]s.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::acllog::AclLog;
use crate::call::{Call, MayWait, Then};
use crate::changed::Changed;
use crate::channels::{Channels, Message};
use crate::clients::Clients;
use crate::codec::CodecError;
use crate::commands::{Command, CommandError, Commands, Keys, connection};
use crate::connection::Connection;
use crate::cores::Cores;
use crate::diagnostics::Diagnostics;
use crate::effect::{self, Effect, Effects};
use crate::entry::Entry;
use crate::events::Events;
use crate::everywhere::Everywhere;
use crate::eviction::{Eviction, Policy};
use crate::exchange::Exchange;
use crate::facade::{Facade, Heard};
use crate::forward::{Origin, Void};
use crate::ids::{DbId, DbNumber, Epoch, Incarnation, Index, Seq};
use crate::lease::Lease;
use crate::level::Level;
use crate::limits;
use crate::lookahead;
use crate::members::{Group, Members};
use crate::mutant::Mutant;
use crate::password::{self, PasswordCheck};
use crate::permits::OfUsers;
use crate::probe::{Probe, Probes};
use crate::random::Random;
use crate::rates::Rates;
use crate::reign::{Mark, Reign};
use crate::resp::{Args, OwnedArgs, Reply};
use crate::script::Times;
use crate::scripting::Scripts;
use crate::served::Served;
use crate::session::{Peer, Port, Session};
use crate::stats::Stats;
use crate::store::{Database, Digest, Store};
use crate::system::System;
use crate::time::{Monotonic, Wall};
use crate::tracking::Tracking;
use crate::users::Role as UserRole;
use crate::verdict::{Verdict, Verdicts};
use crate::waiters::Waiters;
use crate::watch::Watches;

/// What a Core is told once, at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's name.
    pub node: String,
    /// What other Cores dial: `host:port`.
    pub address: String,
    /// Whom `AUTH password` means.
    pub default_user: String,
    pub default_level: Level,
    /// How long a reply waits for its level before it becomes `-UNCERTAIN`.
    pub level_timeout: Duration,
    /// How long a command waits for a primary before it becomes `-LOADING`.
    pub park_timeout: Duration,
    /// How long a primary may answer reads after it has sent what was accepted last. The same on every node: standbys wait
    /// as long, and a little longer.
    pub lease: Duration,
    /// The newest format that it reads; [`crate::agreed::NEWEST`], unless it claims less.
    pub reads: u32,
    /// It is a Replica: a copy for reads at `EVENTUAL`, that never becomes primary and that `ALL` does not count.
    pub replica: bool,
    /// It makes the first user, once it is primary and the cluster is complete.
    pub founds: bool,
    /// QUORUM reads do not lean on the lease: each waits for an entry of the log.
    pub quorum_check: bool,
    /// Seeds the hash tables; unpredictable in production.
    pub seed: u64,
    /// Unpredictable in production: `ACL GENPASS` draws from it.
    pub secret: [u64; 4],
    pub started: Monotonic,
    pub process_id: u32,
    /// The port that clients use, for `INFO`.
    pub port: u16,
    pub max_clients: u64,
    /// Bytes that items may take by their accounted sizes; 0: as many as there are.
    pub max_memory: u64,
    /// Which keys make room for others then.
    pub memory_policy: Policy,
    /// Which of Redis's ways to find a primary it answers.
    pub facade: Facade,
    pub script_times: Times,
    /// What `CONFIG GET` shows, by name.
    pub parameters: Vec<(String, String)>,
    /// What `CONFIG ORIGIN` shows; grows by what `CONFIG SET` changes.
    pub settings: Vec<Setting>,
}

/// A setting, and who has given it its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The flag's, without its dashes.
    pub name: String,
    pub value: String,
    /// In words: `default`, `flag`, a variable, a line of a file.
    pub origin: String,
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
    /// The next committed entry, and how long ago a Keeper had it first, at least. Indexes grow by one.
    Committed { index: Index, content: Content<'a>, age: Duration },
    /// The Keeper's newest state.
    Keeper(KeeperState),
    /// What is known of the Raft group now.
    Group(Group),
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
    /// Hand over to another Core, if there is one.
    Release,
    /// The log does not reach back to what this memory contains: it is empty again. The log comes from a snapshot, then
    /// [`Input::Begin`].
    Forget,
    /// There is no user yet: this is the first, an admin.
    Found { admin: &'a str, password_hash: &'a str, sealed_ca: Option<&'a [u8]> },
}

/// What a committed entry holds.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// What a Core proposed.
    Core(&'a [u8]),
    /// The Raft group has these members from here on.
    Members(&'a Members),
    /// Raft's own.
    Blank,
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
    pub last_snapshot_time: Duration,
    /// When the last of them was made.
    pub snapshot_made_at: Option<Wall>,
    /// The last attempt failed.
    pub last_snapshot_failed: bool,
    /// It leads the Raft group.
    pub leads: bool,
    /// Voters of the group, and all its Keepers.
    pub voters: u32,
    pub keepers: u32,
}

/// What a Core wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this into the log, behind everything proposed before.
    Propose(Proposal),
    /// The log accepted every batch up to this one: open the gates.
    Accepted(Seq),
    /// These batches will never be accepted, or nobody hears of it. Comes before the [`Output::Accepted`] that opens their gates.
    Void(Void),
    /// This Core is primary and has applied all there is.
    Leads(Epoch),
    /// Another Core is primary.
    Follows(Epoch),
    /// Another Core is primary, and this one had executed what is void now. Its memory is empty again: give it the log from
    /// the beginning, then [`Input::Begin`].
    Deposed(Epoch),
    /// This Core is a member of the cluster no more, and nothing that it has counts: end the process.
    Removed,
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
    /// It rests on data and changed nothing: the lease must have lasted when it was executed (PROTOCOL rule 4).
    pub leans: bool,
    /// It changed something.
    pub wrote: bool,
}

impl Answer {
    /// There is none yet.
    pub(crate) fn later(then: Then) -> Self {
        Self { then, level: Level::Eventual, wait: None, leans: false, wrote: false }
    }
}

#[derive(Debug)]
enum Role {
    /// Applies what comes; clients wait.
    Recovering,
    /// Has proposed its `Hello`.
    Greeting { nonce: u64, proposal: Proposal },
    /// Is hot: has applied everything that was committed when it began this life.
    Standby,
    /// Is hot, and has proposed to be primary.
    Claiming(Claim),
    /// Executes.
    Primary(Reign),
}

/// A claim on its way.
#[derive(Debug)]
struct Claim {
    proposal: Proposal,
    previous_epoch: Epoch,
    last_renewal: Index,
}

/// A Core's whole state.
#[derive(Debug)]
pub struct Core {
    pub(crate) config: Config,
    pub(crate) commands: Commands,
    pub(crate) store: Store,
    pub(crate) system: System,
    /// Grows whenever somebody's rights may have changed: sessions then look anew.
    pub(crate) rights_changes: u64,
    /// What users' rules allow, beside the rules that it was made from; `None` if that is everything.
    pub(crate) permits: OfUsers,
    pub(crate) acl_log: AclLog,
    pub(crate) changed: Changed,
    pub(crate) watches: Watches,
    pub(crate) waiters: Waiters,
    pub(crate) tracking: Tracking,
    pub(crate) scripts: Scripts,
    pub clients: Clients,
    pub(crate) channels: Channels,
    pub(crate) exchange: Exchange,
    pub(crate) heard_of: Heard,
    /// Which keyspace notifications this node's operator wants.
    pub(crate) events: Events,
    /// Commands wait until then, or those that write do.
    pub(crate) pause: Option<Pause>,
    /// As many as at most may be allowed while this process runs.
    pub(crate) most_clients: u64,
    pub stats: Stats,
    pub(crate) probes: Arc<Probes>,
    pub(crate) diagnostics: Diagnostics,
    pub(crate) eviction: Eviction,
    pub(crate) rates: Rates,
    role: Role,
    /// This life's number, once its `Hello` is in the log.
    incarnation: Option<Incarnation>,
    /// The first life of this process: what it forwards comes from there.
    origin_life: Option<Incarnation>,
    /// The newest entry that renewed the epoch is at least so old.
    heard: Monotonic,
    /// When the first claim was sent of those that may still be accepted: a lease counts from there.
    claimed: Option<Monotonic>,
    /// No other node can have anything committed: this process has the only Keeper, and no link with anybody.
    alone: bool,
    /// It is to hand over as soon as what it executed is sent.
    releasing: bool,
    pub(crate) lease: Arc<Lease>,
    /// The Raft group: its members as of the last applied entry, and what is known of it beyond that.
    members: Members,
    group: Group,
    /// The newest seq of this process in all reigns that have ended.
    last_seq: Seq,
    pub(crate) origin: Origin,
    pub(crate) served: Served,
    verdicts_heard: u64,
    pub(crate) everywhere: Everywhere,
    /// The last committed entry that this memory contains.
    applied: Option<Index>,
    /// The highest wall clock in the log or used here, sent or not: time never goes back for the data.
    newest_wall: Wall,
    /// Until then writers wait, so that a digest can be taken between batches.
    hold_writes_until: Option<Monotonic>,
    /// Clients are to go.
    closing: bool,
    /// Nothing is executed any more.
    stopping: bool,
    pub(crate) keeper: KeeperState,
    /// Bytes from and to clients as of the last tick.
    traffic: (u64, u64),
    pub(crate) random: Random,
    /// How many secrets were made for clients.
    secrets_made: u64,
    /// When a newer snapshot was first heard of.
    last_save: Option<Wall>,
}

impl Core {
    pub fn new(config: Config) -> Self {
        let commands = Commands::new(&config.facade);
        Self {
            store: Store::new(config.seed),
            changed: Changed::new(config.seed),
            watches: Watches::new(config.seed),
            waiters: Waiters::default(),
            tracking: Tracking::new(config.seed),
            scripts: Scripts::default(),
            clients: Clients::default(),
            channels: Channels::default(),
            exchange: Exchange::default(),
            heard_of: Heard::default(),
            events: Events::NONE,
            pause: None,
            most_clients: config.max_clients,
            stats: Stats::new(commands.all().len()),
            probes: Arc::default(),
            diagnostics: Diagnostics::new(&commands),
            eviction: Eviction::new(config.memory_policy),
            rates: Rates::default(),
            system: System::default(),
            rights_changes: 0,
            permits: OfUsers::default(),
            acl_log: AclLog::default(),
            secrets_made: 0,
            role: Role::Recovering,
            incarnation: None,
            origin_life: None,
            heard: config.started,
            claimed: None,
            alone: false,
            releasing: false,
            lease: Arc::new(Lease::new(config.lease, config.started)),
            members: Members::default(),
            group: Group::default(),
            last_seq: Seq::ZERO,
            origin: Origin::default(),
            served: Served::default(),
            verdicts_heard: 0,
            everywhere: Everywhere::default(),
            applied: None,
            newest_wall: Wall::default(),
            hold_writes_until: None,
            closing: false,
            stopping: false,
            keeper: KeeperState::default(),
            traffic: (0, 0),
            last_save: None,
            random: Random::new(config.seed),
            commands,
            config,
        }
    }

    /// Counts the rare states that it comes to there, with those of the rest of its node.
    pub fn count_in(&mut self, probes: Arc<Probes>) {
        self.origin.probes = probes.clone();
        self.probes = probes;
    }

    /// A new client, or `None` if there are too many.
    pub fn connect(&mut self, port: Port, peer: Peer, now: Monotonic) -> Option<Connection> {
        if self.clients.len() as u64 >= self.config.max_clients {
            self.stats.connections_rejected += 1;
            return None;
        }
        let port = if self.config.replica { Port::Read } else { port };
        let slot = self.clients.open(|id, slot| Session::new(id, slot, port, peer, now));
        Some(Connection::new(slot, self.clients.buffers()))
    }

    /// A client has gone.
    pub fn disconnect(&mut self, connection: &Connection) {
        if connection.is_nobodys() {
            return;
        }
        if let Some(mut session) = self.clients.close(connection.slot()) {
            self.forget(&mut session);
            self.tracking.has_gone(session.slot);
        }
    }

    /// Ends what others know of a session: its watching, its tracking, its monitoring and its subscriptions.
    pub(crate) fn forget(&mut self, session: &mut Session) {
        self.watches.unwatch(&mut session.watching);
        self.tracking.stop(session);
        if let Some(ticket) = session.waiting.take() {
            self.waiters.remove(ticket);
        }
        self.clients.stop_monitoring(session.slot);
        self.channels.forget(session.slot, &mut session.subscriptions);
        self.end_proxy(session);
    }

    /// Runs one request at once, in memory. The reply is appended to `reply`, unless the answer says otherwise.
    pub fn execute(&mut self, now: Now, session: &mut Session, args: Args<'_>, reply: &mut Reply) -> Answer {
        if let Some(answer) = self.wait_on(now.monotonic, session, reply) {
            return answer;
        }
        if session.waiting.is_some() && self.is_busy() {
            // Its time is over, but nothing is looked at while a script runs.
            return Answer::later(Then::Block(limits::BUSY_AGAIN));
        }
        let has_waited = session.waiting.take();
        if let Some(ticket) = has_waited {
            self.waiters.remove(ticket);
        }
        self.set_running(Some(session.slot));
        let mut call = self.call(now, session, args, reply);
        if has_waited.is_some() {
            call.may_wait = MayWait::NoMore;
        }
        // A request that is refused before it runs touches nothing, so its reply waits for nothing.
        let level = call.dispatch().unwrap_or_else(|error| {
            call.refuse(call.reply.bytes.len(), error);
            Level::Eventual
        });
        let answer = call.answer(level);
        self.set_running(None);
        let is_over = !matches!(answer.then, Then::Retry | Then::Elsewhere | Then::Block(_) | Then::Count(_));
        if session.caching.is_some()
            && is_over
            && session.transaction.is_none()
            && !args.at(0).eq_ignore_ascii_case(b"client")
        {
            session.caching = None;
        }
        self.send_off(Some(session));
        if self.waiters.has_ready() && !self.is_busy() {
            self.serve_waiters(now);
        }
        answer
    }

    /// Runs a request again that waits for a key; what comes of it, and the answer if it waits no more.
    pub(crate) fn call_again(
        &mut self,
        now: Now,
        session: &mut Session,
        args: &OwnedArgs,
        level: Level,
        reply: &mut Reply,
    ) -> (Then, Answer) {
        let mut call = self.call(now, session, args.args(), reply);
        call.run_again();
        let then = call.then.clone();
        if !matches!(then, Then::Retry | Then::Block(_)) {
            call.session.caching = None;
        }
        (then, call.answer(level))
    }

    /// Fetches what the next requests of a pipeline will search for; returns of how many.
    pub(crate) fn look_ahead<'a>(&self, session: &Session, requests: impl Iterator<Item = Args<'a>>) -> usize {
        let Some(id) = self.system.databases.find(session.db) else { return 0 };
        lookahead::fetch(self.store.database(id), requests)
    }

    /// Fetches what a command with many keys will search for.
    pub(crate) fn fetch_keys(&self, session: &Session, args: Args<'_>, keys: Keys) {
        if let Some(id) = self.system.databases.find(session.db) {
            lookahead::fetch_keys(self.store.database(id), args, keys);
        }
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
        self.note_wall(now.wall);
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
            failed: false,
            replaces: false,
            touches_data: false,
            may_wait: MayWait::Yes,
            wish: None,
        }
    }

    /// Everything but requests.
    ///
    /// # Errors
    /// If a committed entry cannot be read; the Core must then stop.
    pub fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Vec<Output>) -> Result<(), BadEntry> {
        match input {
            // Nobody needs to know of a Replica.
            Input::Begin { .. } if self.config.replica => {}
            Input::Begin { nonce } => {
                let Config { node, address, .. } = &self.config;
                let hello = Entry::Hello { node, nonce, address, origin: self.origin_life };
                let proposal = Arc::new(hello.encode());
                self.role = Role::Greeting { nonce, proposal: proposal.clone() };
                out.push(Output::Propose(proposal));
            }
            Input::Committed { index, content, age } => {
                assert!(
                    self.applied.is_none_or(|applied| applied.next() == index),
                    "entry {index} after {:?}",
                    self.applied
                );
                let kept = match content {
                    Content::Core(bytes) => self.committed(now.monotonic, index, bytes, age, out),
                    Content::Members(members) => {
                        self.members = members.clone();
                        self.count_everywhere();
                        Ok(true)
                    }
                    Content::Blank => Ok(true),
                };
                if kept.map_err(|error| BadEntry { index, error })? {
                    self.applied = Some(index);
                }
                self.serve_waiters(now);
                self.send_off(None);
            }
            Input::Release => self.hand_over(),
            Input::Forget => {
                self.probes.hit(match &self.role {
                    Role::Primary(_) => Probe::ForgottenAsPrimary,
                    Role::Claiming(_) => Probe::ForgottenWhileClaiming,
                    Role::Recovering | Role::Greeting { .. } | Role::Standby => Probe::MemoryForgotten,
                });
                if self.is_primary() {
                    self.end_reign(false, out);
                }
                self.empty(now.monotonic);
                out.push(Output::Deposed(self.epoch()));
            }
            Input::Snapshot { index, system, items } => {
                assert!(self.applied.is_none(), "a snapshot is installed into an empty Core");
                self.probes.hit(Probe::SnapshotLoaded);
                self.check_format(system.agreed.format).map_err(|error| BadEntry { index, error })?;
                self.applied = Some(index);
                self.note_wall(system.newest_wall);
                self.system = system;
                self.forget_programs();
                self.rights_changes += 1;
                // How old the newest renewal in it is, nobody knows: the wait begins here (rule 2).
                self.heard = self.heard.max(now.monotonic);
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
            Input::Group(group) => {
                self.group = group;
                self.open_replica();
            }
            Input::CloseBatch => self.close_batch(now, out),
            Input::Tick { input_bytes, output_bytes } => self.tick(now, input_bytes, output_bytes, out),
            Input::Expire => {
                self.expire(now);
                self.make_room(now.monotonic, 0, limits::EVICTED_AT_TICK);
            }
            Input::Resend => self.resend(now.monotonic, out),
            Input::Found { admin, password_hash, sealed_ca } => {
                assert!(self.is_primary(), "only a primary founds");
                if let Some(sealed) = sealed_ca {
                    self.execute_effect(&Effect::SealCa { sealed });
                }
                self.execute_effect(&Effect::User { name: admin, password_hash, role: UserRole::Admin });
            }
        }
        Ok(())
    }

    /// A Replica answers once it has what was committed as far as the Keeper that feeds it knows.
    fn open_replica(&mut self) {
        let caught_up = self.applied.is_some() && self.known() >= self.group.committed;
        if self.config.replica && matches!(self.role, Role::Recovering) && caught_up {
            self.role = Role::Standby;
            self.invalidate_all();
        }
    }

    /// Takes what a Core proposed; whether this memory goes on.
    fn committed(
        &mut self,
        now: Monotonic,
        index: Index,
        bytes: &[u8],
        age: Duration,
        out: &mut Vec<Output>,
    ) -> Result<bool, CodecError> {
        let entry = Entry::decode(bytes)?;
        if let Entry::Format { format } = entry {
            self.check_format(format)?;
        }
        let verdict = self.system.judge(index, &entry);
        self.note_verdict(&entry, verdict);
        if self.has_other_cores() {
            self.lease.watch();
        }
        let accepted = verdict == Verdict::Accepted;
        if accepted && entry.is_about_reigns() {
            // As old as it is, if that is known: an election of Raft's must not add to what standbys wait (rule 2).
            self.heard = self.heard.max(Monotonic(now.0.saturating_sub(age)));
        }
        let ends_epoch = accepted && matches!(entry, Entry::Claim { .. } | Entry::Release { .. });
        if ends_epoch {
            self.exchange.refresh();
        }
        let changes_cores = entry.changes_cores();
        if changes_cores {
            self.served.forget_replaced(|origin| self.system.cores.is_origin(origin));
            self.count_everywhere();
        }
        let before = self.awaited();
        let was_hot = self.is_hot();
        let mut kept = self.take_verdict(now, entry, accepted, out);
        // Either way this memory is what the log says now: that of a new primary is not ahead of it yet.
        if self.is_hot() && (ends_epoch || !was_hot) {
            self.settle_origin(now);
        }
        // What the former primary had read out and was lost with it was perhaps kept.
        if self.is_hot() && (ends_epoch || !was_hot) {
            self.invalidate_all();
        }
        if (changes_cores || ends_epoch) && self.is_hot() && !self.is_primary() && self.is_replaced() {
            self.begin_anew(now, out);
            kept = Ok(false);
        }
        if changes_cores || ends_epoch {
            self.look_for_primary();
        }
        if self.awaited() != before {
            self.verdicts_heard += 1;
        }
        kept
    }

    /// Counts what is rare of what the log says.
    fn note_verdict(&self, entry: &Entry<'_>, verdict: Verdict) {
        let probe = match (entry, verdict) {
            (Entry::Format { .. }, Verdict::Accepted) => Probe::FormatRaised,
            (_, Verdict::Accepted) => return,
            (Entry::Batch { .. }, Verdict::Fenced) => Probe::BatchFenced,
            (Entry::Batch { .. }, Verdict::Duplicate) => Probe::BatchDuplicate,
            (Entry::Batch { .. }, Verdict::Gap) => Probe::BatchGap,
            (Entry::Claim { .. }, _) => Probe::ClaimFenced,
            (Entry::Renew { .. }, Verdict::Duplicate) => Probe::RenewalDuplicate,
            (Entry::Renew { .. }, _) => Probe::RenewalFenced,
            (Entry::Release { .. }, _) => Probe::ReleaseRefused,
            (Entry::Remove { .. }, _) => Probe::RemovalFenced,
            (Entry::Hello { .. } | Entry::Format { .. }, _) => return,
        };
        self.probes.hit(probe);
    }

    fn take_verdict(
        &mut self,
        now: Monotonic,
        entry: Entry<'_>,
        accepted: bool,
        out: &mut Vec<Output>,
    ) -> Result<bool, CodecError> {
        match (entry, &mut self.role) {
            (Entry::Hello { nonce, .. }, Role::Greeting { nonce: own, .. }) if nonce == *own => {
                if !accepted {
                    self.leave(out);
                    return Ok(true);
                }
                // It may be the second of two, the first of which was in a snapshot: that one began this life.
                let known = self.system.cores.get(&self.config.node);
                self.incarnation = known.map(|known| known.incarnation);
                self.origin_life = known.map(|known| known.origin);
                self.role = Role::Standby;
                self.claim_if_due(now, out);
            }
            (Entry::Claim { incarnation, .. }, Role::Standby | Role::Claiming(_)) if accepted => {
                let own = self.incarnation == Some(incarnation)
                    || Mutant::ClaimWithoutIncarnation.is_chosen() && self.is_earlier_life(incarnation);
                if own {
                    self.lead(now, out);
                } else {
                    self.probes.hit_if(matches!(self.role, Role::Claiming(_)), Probe::OvertakenWhileClaiming);
                    self.role = Role::Standby;
                    out.push(Output::Follows(self.system.verdicts.epoch));
                }
            }
            (Entry::Claim { incarnation, .. }, Role::Claiming(_)) if self.incarnation == Some(incarnation) => {
                // It missed something, and waits anew (rule 1).
                self.probes.hit(Probe::OwnClaimFenced);
                self.role = Role::Standby;
                self.claim_if_due(now, out);
            }
            (Entry::Claim { .. }, Role::Primary(_)) if accepted => return Ok(self.depose(now, out)),
            (Entry::Batch { epoch, seq, .. }, Role::Primary(reign)) if epoch == reign.epoch && accepted => {
                // It was executed when it was made.
                let sent = reign.accept(seq, now);
                self.stats.batches_accepted += 1;
                self.stats.effect_bytes += sent.effect_bytes as u64;
                out.push(Output::Accepted(sent.seq));
                self.changed.accepted(sent.seq, sent.keys);
                for message in sent.messages {
                    self.publish(message, now);
                }
                if !self.is_shared() {
                    self.everywhere.reached = Some(sent.seq);
                }
            }
            (Entry::Renew { epoch, number }, Role::Primary(reign)) if epoch == reign.epoch && accepted => {
                self.lease.accepted(number, now);
            }
            (Entry::Release { epoch, .. }, Role::Primary(reign)) if epoch == reign.epoch && accepted => {
                // Everything before it was accepted too: this memory is what the log says.
                self.probes.hit(Probe::Released);
                self.end_reign(true, out);
                self.role = Role::Standby;
                out.push(Output::Follows(self.system.verdicts.epoch));
            }
            (Entry::Release { .. }, Role::Standby) if accepted => self.claim_if_due(now, out),
            (Entry::Remove { incarnation, .. }, _) if accepted && self.incarnation == Some(incarnation) => {
                self.leave(out)
            }
            (Entry::Batch { effects, .. }, _) if accepted || Mutant::IgnoreVerdict.is_chosen() => {
                self.note_wall(self.system.newest_wall);
                self.apply_all(effects)?;
            }
            _ => {}
        }
        Ok(true)
    }

    /// What the oldest proposal without a verdict is, as a number that changes with it.
    fn awaited(&self) -> (u8, Seq) {
        match &self.role {
            Role::Recovering | Role::Standby => (0, self.last_seq),
            Role::Greeting { .. } => (1, self.last_seq),
            Role::Claiming(_) => (2, self.last_seq),
            Role::Primary(reign) => (3, reign.accepted),
        }
    }

    /// Grows whenever something that this Core proposed has its verdict.
    pub fn verdicts_heard(&self) -> u64 {
        self.verdicts_heard
    }

    fn is_earlier_life(&self, incarnation: Incarnation) -> bool {
        self.incarnation.is_some_and(|own| incarnation < own)
    }

    /// Becomes primary: everything before its claim has been applied.
    fn lead(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        let epoch = self.system.verdicts.epoch;
        let claimed = self.claimed.take().unwrap_or(now);
        self.changed.clear();
        self.served = Served::default();
        self.releasing = false;
        self.lease.begin(epoch, claimed);
        self.role = Role::Primary(Reign::new(epoch, self.last_seq, self.lease.clone()));
        if !self.is_shared() {
            self.everywhere.reached = Some(self.last_seq);
        }
        self.exchange.lead();
        out.push(Output::Leads(epoch));
    }

    /// Another Core's claim was accepted. What was executed and not accepted never will be (rule 11): if there is any,
    /// the memory is void with it. Whether the memory goes on.
    fn depose(&mut self, now: Monotonic, out: &mut Vec<Output>) -> bool {
        let epoch = self.system.verdicts.epoch;
        let is_sound = self.accepted() == self.executed() || Mutant::KeepMemory.is_chosen();
        self.end_reign(true, out);
        self.stats.depositions += 1;
        self.probes.hit(if is_sound { Probe::DeposedSound } else { Probe::DeposedVoid });
        if is_sound {
            self.role = Role::Standby;
            out.push(Output::Follows(epoch));
            return true;
        }
        self.empty(now);
        out.push(Output::Deposed(epoch));
        false
    }

    /// Whether a `Hello` of a former process of this node came into the log behind this one's, so late: then nobody knows
    /// any more what this one forwarded.
    fn is_replaced(&self) -> bool {
        self.origin_life.is_some_and(|origin| !self.system.cores.is_origin(origin))
    }

    /// This Core was removed: it takes no part any more. It is not primary, or it would not have been.
    fn leave(&mut self, out: &mut Vec<Output>) {
        self.probes.hit(Probe::CoreRemoved);
        self.role = Role::Recovering;
        self.incarnation = None;
        out.push(Output::Removed);
    }

    /// Whether this program reads what the cluster writes.
    fn check_format(&self, format: u32) -> Result<(), CodecError> {
        let reads = self.config.reads;
        if format > reads { Err(CodecError::Newer { format, reads }) } else { Ok(()) }
    }

    /// Begins as a new process would.
    fn begin_anew(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        self.probes.hit(Probe::Replaced);
        self.abandon_forwarded();
        self.origin_life = None;
        let epoch = self.epoch();
        self.empty(now);
        out.push(Output::Deposed(epoch));
    }

    /// Throws the memory away.
    fn empty(&mut self, now: Monotonic) {
        if !self.config.replica || !Mutant::ServeHalfRead.is_chosen() {
            self.role = Role::Recovering;
        }
        self.dissolve_waiters();
        self.invalidate_all();
        self.incarnation = None;
        self.claimed = None;
        self.store = Store::new(self.config.seed);
        self.note_wall(self.newest_wall);
        self.system = System::default();
        self.forget_programs();
        self.scripts.is_spoilt = false;
        self.rights_changes += 1;
        self.applied = None;
        self.heard = now;
    }

    /// Ends the reign: what still waits for a batch of it waits in vain, either because that is certainly void, or because
    /// its verdict will not be heard.
    fn end_reign(&mut self, is_certain: bool, out: &mut Vec<Output>) {
        self.lease.end();
        self.exchange.end_reign();
        if let Role::Primary(reign) = &self.role {
            // Reads may wait for the batch that was not closed any more.
            self.last_seq = reign.next_seq;
            out.push(Output::Void(Void { first: reign.accepted.next(), last: reign.next_seq, is_certain }));
            out.push(Output::Accepted(reign.next_seq));
        }
        self.changed.clear();
        self.served = Served::default();
        self.dissolve_waiters();
        self.releasing = false;
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
            self.see_tracked(&effect);
            self.store.apply(&effect);
            self.system.apply(&effect);
            if effect.changes_programs() {
                self.scripts.see(&effect);
            }
            if !self.waiters.is_empty() {
                self.waiters.see(&effect, &self.system.databases);
            }
            self.rights_changes += u64::from(effect.changes_rights());
        }
        Ok(())
    }

    /// Claims, if a standby has waited long enough for the primary (rules 1 and 2).
    fn claim_if_due(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        let (Role::Standby, Some(incarnation)) = (&self.role, self.incarnation) else { return };
        let Verdicts { epoch, holder, last_renewal, released, .. } = self.system.verdicts;
        // Who has released leaves it to the others for a while.
        let vacant = epoch == Epoch::ZERO || self.alone || released && holder != incarnation;
        // Before the first user there is, only who makes it may lead.
        if self.stopping || !self.has_users() && !self.config.founds || !vacant && now - self.heard < self.patience() {
            return;
        }
        let claim = Entry::Claim { incarnation, previous_epoch: epoch, last_renewal };
        let proposal = Arc::new(claim.encode());
        self.role = Role::Claiming(Claim { proposal: proposal.clone(), previous_epoch: epoch, last_renewal });
        self.claimed.get_or_insert(now);
        self.probes.hit_if(!vacant, Probe::ClaimedAfterLease);
        self.probes.hit_if(released && epoch != Epoch::ZERO, Probe::ClaimedAfterRelease);
        self.stats.claims += 1;
        out.push(Output::Propose(proposal));
    }

    /// How long a standby waits after the newest renewal: longer than the lease, even if its own clock is fast and the
    /// primary's slow.
    fn patience(&self) -> Duration {
        let error = limits::CLOCK_RATE_ERROR_PER_MILLE;
        // (1 + e) / (1 - e), rounded up.
        self.config.lease * (1000 + error) / (1000 - error) + Duration::from_millis(1)
    }

    /// What is done as time passes: a standby claims, a primary hands over.
    fn tend(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        self.claim_if_due(now, out);
        // One that is replaced nobody finds any more: once its epoch has ended it begins anew.
        if (self.releasing && self.has_other_cores() || self.is_replaced())
            && let Role::Primary(reign) = &mut self.role
            && let Some(release) = reign.release()
        {
            out.push(Output::Propose(release));
        }
    }

    /// Deletes keys whose deadline has passed: those of a few parts of the table, for bounded time.
    fn expire(&mut self, now: Now) {
        self.note_wall(now.wall);
        if !self.takes_writes()
            || self.holds_writes(now.monotonic)
            || self.pause.is_some_and(|p| now.monotonic < p.until)
        {
            return;
        }
        let mut parts = limits::EXPIRY_PARTS;
        for db in (0..limits::STORED_DATABASES).map(DbId) {
            while parts > 0
                && let Some(keys) = self.store.database_mut(db).expired(self.newest_wall)
            {
                parts -= 1;
                self.stats.expired_keys += keys.len() as u64;
                for key in &keys {
                    self.execute_effect(&Effect::Delete { db, key });
                    self.tell_of(Events::EXPIRED, "expired", db, key, now.monotonic);
                }
            }
        }
    }

    fn close_batch(&mut self, now: Now, out: &mut Vec<Output>) {
        self.lease.alive(now.monotonic);
        self.newest_wall = self.newest_wall.max(now.wall);
        let wall = self.newest_wall.0;
        let Role::Primary(reign) = &mut self.role else { return };
        if let Some(proposal) = reign.close_batch(wall, now.monotonic) {
            self.stats.batches_proposed += 1;
            out.push(Output::Propose(proposal));
        }
        if self.releasing {
            self.tend(now.monotonic, out);
        }
    }

    /// Whether a QUORUM read that was executed before `now` may be answered: nobody else can have been primary by then.
    /// Otherwise it waits for a batch that is first sent from now on: its seq.
    pub(crate) fn lean(&mut self, now: Monotonic) -> Option<Seq> {
        let Role::Primary(reign) = &mut self.role else { return None };
        if self.alone || !self.config.quorum_check && self.lease.holds(now) || Mutant::NoLeaseCheck.is_chosen() {
            return None;
        }
        self.stats.reads_without_lease += 1;
        self.probes.hit_if(!self.config.quorum_check, Probe::LeaseLostBeforeReply);
        let seq = reign.demand();
        self.everywhere.raise(seq, now);
        Some(seq)
    }

    fn tick(&mut self, now: Now, input_bytes: u64, output_bytes: u64, out: &mut Vec<Output>) {
        self.tend(now.monotonic, out);
        self.look_for_primary();
        self.serve_waiters(now);
        self.expire_forwarded(now.monotonic);
        self.exchange.expire(now.monotonic, self.config.park_timeout);
        let used = self.total_memory();
        let stats = &mut self.stats;
        stats.input_bytes += input_bytes - self.traffic.0;
        stats.output_bytes += output_bytes - self.traffic.1;
        self.traffic = (input_bytes, output_bytes);
        stats.peak_memory = stats.peak_memory.max(used);
        self.rates.sample(now.monotonic, [stats.total_calls(), stats.input_bytes, stats.output_bytes]);
    }

    /// Sends again, with the same content, all that has not been accepted (rule 6). The log ignores what it knows.
    fn resend(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        match &mut self.role {
            Role::Greeting { proposal, .. } => {
                self.probes.hit(Probe::GreetingResent);
                out.push(Output::Propose(proposal.clone()));
            }
            Role::Claiming(claim) => {
                let Verdicts { epoch, last_renewal, .. } = self.system.verdicts;
                if claim.previous_epoch == epoch && claim.last_renewal == last_renewal {
                    self.probes.hit(Probe::ClaimResent);
                    out.push(Output::Propose(claim.proposal.clone()));
                } else {
                    // It has been overtaken, and can only be fenced.
                    self.probes.hit(Probe::ClaimWithdrawn);
                    self.role = Role::Standby;
                    self.claim_if_due(now, out);
                }
            }
            Role::Primary(reign) => {
                let before = out.len();
                out.extend(reign.resend(now).map(Output::Propose));
                self.stats.batches_proposed += (out.len() - before) as u64;
                self.probes.hit_if(out.len() > before, Probe::BatchesResent);
            }
            Role::Recovering | Role::Standby => {}
        }
    }

    /// Makes a change: in memory at once, in the open batch for everybody else.
    pub(crate) fn execute_effect(&mut self, effect: &Effect<'_>) {
        self.see_tracked(effect);
        let Role::Primary(reign) = &mut self.role else { panic!("only a primary executes") };
        if !self.watches.is_empty() {
            self.watches.see(effect, &self.store, &self.system.databases);
        }
        self.store.apply(effect);
        self.system.apply(effect);
        if effect.changes_programs() {
            self.scripts.see(effect);
        }
        if !self.waiters.is_empty() {
            self.waiters.see(effect, &self.system.databases);
        }
        self.rights_changes += u64::from(effect.changes_rights());
        let is_lost = matches!(effect, Effect::SwapDatabases { .. }) && Mutant::LoseSwap.is_chosen()
            || matches!(effect, Effect::Answered { .. }) && Mutant::RequestTableNotInBatch.is_chosen();
        if !is_lost {
            effect::record(effect, &mut reign.open);
        }
        let is_overlooked = matches!(effect, Effect::Change { .. }) && Mutant::ReadOpenCollection.is_chosen();
        if let Some((db, key)) = effect.key().filter(|_| !is_overlooked) {
            reign.open_keys.push(self.changed.mark(db, key, reign.next_seq));
        }
        match *effect {
            Effect::Flush { db } => self.changed.mark_flush(db, reign.next_seq),
            Effect::SwapDatabases { a, b } => {
                self.changed.mark_flush(a, reign.next_seq);
                self.changed.mark_flush(b, reign.next_seq);
            }
            _ if effect.changes_system() => self.changed.mark_system(reign.next_seq),
            _ => {}
        }
    }

    /// How far the open batch has got.
    pub(crate) fn mark(&self) -> Mark {
        match &self.role {
            Role::Primary(reign) => reign.mark(),
            _ => Mark::default(),
        }
    }

    /// Bytes of what was executed and the log has not accepted.
    pub(crate) fn log_buffers(&self) -> usize {
        match &self.role {
            Role::Primary(reign) => {
                reign.open.len() + reign.in_flight.iter().map(|sent| sent.proposal.len()).sum::<usize>()
            }
            _ => 0,
        }
    }

    /// Takes what was executed since out of the open batch; this memory contains it all the same.
    pub(crate) fn cut(&mut self, mark: Mark) {
        if let Role::Primary(reign) = &mut self.role {
            reign.cut(mark);
        }
    }

    /// Publishes as soon as all is accepted that has been executed by now; never, if it will not be.
    pub(crate) fn publish_when_accepted(&mut self, message: Message, now: Monotonic) {
        if let Role::Primary(reign) = &mut self.role
            && let Some(message) = reign.hold_message(message)
        {
            self.publish(message, now);
        }
    }

    /// Whether a command of a transaction may run: this memory is not void, and its effects, which are one batch with those
    /// of the others, still have room there.
    pub(crate) fn check_batch(&self, command: &Command) -> Result<(), CommandError> {
        if self.is_spoilt() {
            return Err(CommandError::Other(
                "not executed: a script before it was ended, and nothing of what it did is kept",
            ));
        }
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

    /// So many hexadecimal digits that nobody can foresee.
    pub(crate) fn secret(&mut self, digits: usize) -> Vec<u8> {
        self.secrets_made += 1;
        password::unforeseeable(&self.config.secret, self.secrets_made, digits)
    }

    /// The data's time is at least this.
    #[inline]
    fn note_wall(&mut self, wall: Wall) {
        self.newest_wall = self.newest_wall.max(wall);
        if self.eviction.notes_uses() {
            self.store.fresh = self.eviction.fresh(self.newest_wall);
        }
    }

    /// The highest wall clock in the log or used here.
    pub(crate) fn newest_wall(&self) -> Wall {
        self.newest_wall
    }

    /// 64 random bits, for commands that choose; not for secrets.
    pub(crate) fn random(&mut self) -> u64 {
        self.random.next()
    }

    /// Whether writers must wait: the pipeline is full, or a digest is being taken.
    pub(crate) fn holds_writes(&self, now: Monotonic) -> bool {
        let Role::Primary(reign) = &self.role else { return true };
        let (is_full, for_digest) = (reign.is_full(), self.hold_writes_until.is_some_and(|until| now < until));
        self.probes.hit_if(is_full, Probe::PipelineFull);
        self.probes.hit_if(for_digest, Probe::HeldForDigest);
        is_full || for_digest
    }

    /// Has connections closed from now on when all that has arrived on them is run and answered.
    pub fn close_clients(&mut self) {
        self.closing = true;
    }

    /// Whether clients are to go: see [`Core::close_clients`].
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Executes nothing from now on: commands that need the data are answered `-LOADING`, which means that they were not
    /// executed and may be sent again.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// The digest of the data and the last index that it contains, or `None` while something executed is not accepted; then
    /// writers are held back for a moment, so that asking again succeeds.
    pub fn digest(&mut self, now: Monotonic) -> Option<(Index, Digest)> {
        if self.is_spoilt() {
            return None;
        }
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
            _ => self.last_seq,
        }
    }

    /// The newest batch that was accepted, or never will be.
    pub fn accepted(&self) -> Seq {
        match &self.role {
            Role::Primary(reign) => reign.accepted,
            _ => self.last_seq,
        }
    }

    /// How soon [`Input::CloseBatch`] is to come.
    pub fn open_batch(&self) -> OpenBatch {
        match &self.role {
            Role::Primary(reign) if !reign.has_open() => OpenBatch::Empty,
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
        match &self.role {
            Role::Greeting { .. } | Role::Claiming(_) => true,
            Role::Primary(reign) => reign.is_releasing() || !reign.in_flight.is_empty(),
            Role::Recovering | Role::Standby => false,
        }
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
        self.clients.reset_stats();
        self.exchange.dropped = 0;
        self.rates = Rates::default();
    }

    /// Whether writes are executed now.
    pub fn takes_writes(&self) -> bool {
        self.serves() && !self.is_disk_full()
    }

    /// Whether nothing can become durable for want of space: with several Keepers the others go on.
    pub(crate) fn is_disk_full(&self) -> bool {
        self.keeper.disk_full && self.voters() <= 1
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether commands are executed now.
    pub fn serves(&self) -> bool {
        match &self.role {
            Role::Primary(reign) => {
                !self.stopping && !self.is_spoilt() && (!reign.is_releasing() || Mutant::ReadAfterRelease.is_chosen())
            }
            _ => false,
        }
    }

    /// Whether this memory is whole: then it answers reads at `EVENTUAL`.
    pub fn is_hot(&self) -> bool {
        matches!(self.role, Role::Standby | Role::Claiming(_) | Role::Primary(_)) && !self.is_spoilt()
    }

    /// No other node can have anything committed while this is set. Who clears it holds the Core's lock, and lets no other
    /// node in before.
    pub fn set_alone(&mut self, alone: bool) {
        self.alone = alone;
    }

    /// The Keepers that vote.
    pub fn voters(&self) -> usize {
        self.members.voters.iter().map(Vec::len).max().unwrap_or_default()
    }

    /// The Raft group as of the last applied entry.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// What was last heard of the Raft group beyond the entries that came.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// How many entries, counted from the log's beginning, this memory contains.
    pub fn known(&self) -> u64 {
        self.applied.map_or(0, |applied| applied.0 + 1)
    }

    /// As [`Core::members`], from a snapshot.
    pub fn set_members(&mut self, members: Members) {
        self.members = members;
    }

    /// What the log has said about who is primary.
    pub fn verdicts(&self) -> &Verdicts {
        &self.system.verdicts
    }

    /// Every Core that has said hello and was not removed since, by name.
    pub fn cores(&self) -> &Cores {
        &self.system.cores
    }

    /// What the cluster's CA signs with, sealed under its secret.
    pub fn sealed_ca(&self) -> Option<&[u8]> {
        Some(&*self.system.sealed_ca).filter(|sealed| !sealed.is_empty())
    }

    /// Hands over to another Core as soon as what was executed is sent.
    pub(crate) fn hand_over(&mut self) {
        self.releasing = true;
    }

    /// Whether nothing has been applied yet.
    pub fn is_empty(&self) -> bool {
        self.applied.is_none()
    }

    /// Whether somebody can authenticate: the cluster has been founded.
    pub fn has_users(&self) -> bool {
        self.system.users.iter().next().is_some()
    }

    pub fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    pub fn has_other_cores(&self) -> bool {
        self.system.cores.iter().any(|(name, _)| name != self.config.node)
    }

    /// The Core that is primary as far as this one knows: its name and address. It may have died since.
    pub fn primary(&self) -> Option<(&str, &str)> {
        let Verdicts { holder, released, .. } = self.system.verdicts;
        let found = self.system.cores.iter().find(|(_, core)| core.incarnation == holder && !released);
        found.map(|(name, core)| (name, &*core.address))
    }

    /// How many entries are committed, as far as this node has heard, that its memory does not contain.
    pub fn lag(&self) -> u64 {
        // What was heard of the group may be older than the last entry.
        self.group.committed.saturating_sub(self.known())
    }

    /// The life under which this process forwards: its first.
    pub fn origin_life(&self) -> Option<Incarnation> {
        self.origin_life
    }

    /// This life's number.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.incarnation
    }

    pub fn role_name(&self) -> &'static str {
        match self.role {
            Role::Recovering | Role::Greeting { .. } => "recovering",
            Role::Standby if self.config.replica => "replica",
            Role::Standby | Role::Claiming(_) => "standby",
            Role::Primary(_) => "primary",
        }
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

    /// Which databases there are, and what each holds.
    pub fn databases(&self) -> impl Iterator<Item = (String, &Database)> {
        let databases = &self.system.databases;
        databases.iter().map(|(number, id)| (databases.shown(number), self.store.database(id)))
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What kind of Redis this is to clients.
    pub(crate) fn mode(&self) -> &'static str {
        if self.config.facade.cluster { "cluster" } else { "standalone" }
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
        self.served.check();
        self.waiters.check();
        if let Role::Primary(reign) = &self.role {
            reign.check();
            assert!(
                self.accepted() != self.executed() || self.changed.is_empty() || self.is_spoilt(),
                "keys stand changed with nothing open"
            );
        }
    }
}
