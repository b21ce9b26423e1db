//! One log, the Core that is primary, others that follow it, and clients.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mneme_kernel::agreed::NEWEST;
use mneme_kernel::core::{Content, Core, Input, KeeperState, Now, OpenBatch, Output, Proposal};
use mneme_kernel::effect::{self, Effect};
use mneme_kernel::entry::Entry;
use mneme_kernel::forward::Void;
use mneme_kernel::ids::{DbId, Epoch, Incarnation, Index, Seq};
use mneme_kernel::session::Port;
use mneme_kernel::store::Digest;
use mneme_kernel::time::{Monotonic, Wall};
use mneme_kernel::users::Role;
use mneme_kernel::verdict::Verdict;

use crate::Action;
use crate::client::Client;
use crate::keeper::{Keeper, Snapshot};
use crate::requests::Request;
use crate::support;

/// A change that another primary made: database, key, new value and deadline, or none: deleted.
pub type Change = (u8, u8, Option<(u8, Option<u16>)>);

const START: Wall = Wall(1_700_000_000_000);
/// Cores that follow from a snapshot at most, so that a long run stays quick.
const FOLLOWERS: usize = 5;

#[derive(Debug)]
pub struct World {
    now: Now,
    core: Core,
    /// The newest batch that the primary was told is accepted, as the driver keeps it.
    accepted: Seq,
    /// Batches that never will be.
    voids: Vec<Void>,
    /// Nobody can question the primary.
    alone: bool,
    /// What was proposed and is not in the log, in order.
    pending: VecDeque<Proposal>,
    log: Vec<Option<Vec<u8>>>,
    followers: Vec<Core>,
    keeper: Keeper,
    /// What the data was after each entry.
    digests: BTreeMap<Index, Digest>,
    snapshot: Snapshot,
    /// The epoch of the last other Core that was primary.
    foreign_epoch: Epoch,
    clients: Vec<Client>,
    /// Lives and clients that there were.
    count: u64,
}

impl World {
    /// A log that another Core began, and a primary that has taken over.
    pub fn new() -> Self {
        let keeper = Keeper::new();
        let mut world = Self {
            now: Now { wall: START, monotonic: Monotonic::default() },
            core: support::core(),
            accepted: Seq::ZERO,
            voids: Vec::new(),
            alone: true,
            pending: VecDeque::new(),
            log: Vec::new(),
            followers: vec![support::core()],
            snapshot: keeper.snapshot(),
            keeper,
            digests: BTreeMap::new(),
            foreign_epoch: Epoch::ZERO,
            clients: Vec::new(),
            count: 0,
        };
        world.commit(None);
        world.commit(Some(&Entry::Format { format: NEWEST }.encode()));
        world.foreign_claim(true);
        let mut users = Vec::new();
        for (name, role) in [("reader", Role::ReadOnly), ("writer", Role::ReadWrite)] {
            effect::record(&Effect::User { name, password_hash: "hash of secret", role }, &mut users);
        }
        world.foreign_batch(0, &users);
        world.begin(false);
        world.settle();
        world.tell(Input::Found { admin: "admin", password_hash: "hash of secret", sealed_ca: None });
        (0..4).for_each(|i| world.connect(i));
        world
    }

    pub fn act(&mut self, action: &Action) {
        match action {
            Action::Ask(client, request) => self.ask(client.index(self.clients.len()), std::slice::from_ref(request)),
            Action::Pipeline(client, requests) => self.ask(client.index(self.clients.len()), requests),
            Action::CloseBatch => self.tell(Input::CloseBatch),
            Action::Commit(n) => (0..*n).for_each(|_| self.commit_next()),
            Action::Lose => drop(self.pending.pop_front()),
            Action::Resend => self.tell(Input::Resend),
            Action::Blank => self.commit(None),
            Action::ForeignHello => {
                self.commit(Some(&Entry::Hello { node: "node-2", nonce: 0, address: "", origin: None }.encode()))
            }
            Action::ForeignClaim { is_current } => self.foreign_claim(*is_current),
            Action::ForeignBatch { seq_offset, effects } => {
                self.foreign_batch(*seq_offset, &encode(effects, self.now.wall))
            }
            Action::Clock { wall_ms, elapsed_ms } => {
                self.now.wall.0 = self.now.wall.0.saturating_add_signed(*wall_ms);
                self.elapse(Duration::from_millis(*elapsed_ms));
            }
            Action::Disk { full } => {
                self.tell(Input::Keeper(KeeperState { disk_full: *full, ..KeeperState::default() }));
            }
            Action::Snapshot => {
                self.snapshot = self.keeper.snapshot();
                if self.followers.len() < FOLLOWERS {
                    let follower = self.recovered(true);
                    self.followers.push(follower);
                }
            }
            Action::Kill { from_snapshot } => self.begin(*from_snapshot),
            Action::Expire => self.tell(Input::Expire),
            Action::Tick => self.tell(Input::Tick { input_bytes: 0, output_bytes: 0 }),
            Action::Alone(alone) => {
                self.alone = *alone;
                self.core.set_alone(self.alone);
            }
            Action::Renew => self.renew(),
            Action::Settle => self.settle(),
        }
        self.run_clients();
    }

    /// Asserts what must hold at any moment.
    pub fn check(&mut self) {
        let now = self.now;
        let wanted = self.keeper.digest();
        let primary = (self.core.accepted() == self.core.executed()).then_some(&mut self.core);
        for core in primary.into_iter().chain(&mut self.followers) {
            core.check();
            let (index, digest) = core.digest(now.monotonic).expect("nothing is open");
            assert_eq!((index.0 + 1, digest), (self.log.len() as u64, wanted));
        }
        self.core.check();
    }

    /// Commits what there is until nothing is left to do and every request is answered.
    pub fn settle(&mut self) {
        for _ in 0..100 {
            self.tell(Input::Tick { input_bytes: 0, output_bytes: 0 });
            self.tell(Input::CloseBatch);
            while !self.pending.is_empty() {
                self.commit_next();
            }
            self.run_clients();
            if self.core.awaits_verdict() {
                self.tell(Input::Resend);
            } else if self.core.open_batch() == OpenBatch::Empty {
                if self.clients.iter().all(Client::is_at_rest) {
                    return self.check();
                }
                // Writers are held while somebody asks for a digest, and somebody may have gone away meanwhile.
                self.elapse(Duration::from_secs(1));
            }
        }
        let clients: Vec<_> = self.clients.iter().filter(|client| !client.is_at_rest()).collect();
        panic!("{} does not come to rest: {clients:?}", self.core.role_name());
    }

    fn renew(&mut self) {
        if let Some((epoch, number)) = self.core.lease().renew(self.now.monotonic) {
            self.pending.push_back(Proposal::new(Entry::Renew { epoch, number }.encode()));
        }
    }

    fn elapse(&mut self, time: Duration) {
        self.now.monotonic = self.now.monotonic + time;
    }

    fn tell(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.core.handle(self.now, input, &mut outputs).expect("entries that Cores wrote");
        for output in outputs {
            match output {
                Output::Propose(proposal) => self.pending.push_back(proposal),
                Output::Accepted(seq) => self.accepted = seq,
                Output::Void(void) => self.voids.push(void),
                Output::Leads(_) | Output::Follows(_) => {}
                // Its memory is void, and it reads the log anew.
                Output::Removed => panic!("nobody removes it"),
                Output::Deposed(_) => {
                    self.begin_life();
                    let log = self.log.clone();
                    for (index, entry) in (0..).map(Index).zip(&log) {
                        self.tell(committed(index, entry.as_deref()));
                    }
                }
            }
        }
    }

    fn commit_next(&mut self) {
        if let Some(proposal) = self.pending.pop_front() {
            self.commit(Some(&proposal));
        }
    }

    fn commit(&mut self, entry: Option<&[u8]>) {
        let index = Index(self.log.len() as u64);
        self.log.push(entry.map(Into::into));
        self.keeper.take(index, entry);
        self.digests.insert(index, self.keeper.digest());
        for follower in &mut self.followers {
            let mut outputs = Vec::new();
            follower.handle(self.now, committed(index, entry), &mut outputs).expect("a readable entry");
            assert!(outputs.is_empty(), "who only follows does nothing: {outputs:?}");
        }
        // One that is deposed by this entry begins a new life, and reads it again.
        self.tell(committed(index, entry));
    }

    fn foreign_claim(&mut self, is_current: bool) {
        let verdicts = &self.keeper.system.verdicts;
        let seen = if is_current { verdicts.last_renewal } else { Index(verdicts.last_renewal.0.wrapping_sub(1)) };
        let claim = Entry::Claim {
            incarnation: Incarnation(self.log.len() as u64),
            previous_epoch: verdicts.epoch,
            last_renewal: seen,
        };
        if is_current {
            self.foreign_epoch = Epoch(self.log.len() as u64);
        }
        self.commit(Some(&claim.encode()));
        assert_eq!(self.keeper.system.verdicts.epoch == self.foreign_epoch, is_current || self.foreign_rules());
    }

    /// Whether the last other Core that was primary still is.
    fn foreign_rules(&self) -> bool {
        self.keeper.system.verdicts.epoch == self.foreign_epoch
    }

    fn foreign_batch(&mut self, seq_offset: i64, effects: &[u8]) {
        let verdicts = &self.keeper.system.verdicts;
        let seq = Seq(verdicts.next_seq.0.saturating_add_signed(seq_offset));
        let wall = self.keeper.system.newest_wall.max(START).0 + 1;
        let batch = Entry::Batch { epoch: self.foreign_epoch, seq, wall, effects };
        let wanted = match (self.foreign_rules(), seq_offset) {
            (false, _) => Verdict::Fenced,
            (true, 0) => Verdict::Accepted,
            (true, ..0) => Verdict::Duplicate,
            (true, 1..) => Verdict::Gap,
        };
        let before = self.keeper.digest();
        self.commit(Some(&batch.encode()));
        assert!(
            wanted == Verdict::Accepted || before == self.keeper.digest(),
            "{wanted:?} and yet it changed the data"
        );
    }

    /// A Core with all that is committed.
    fn recovered(&self, from_snapshot: bool) -> Core {
        let mut core = support::core();
        let known = if from_snapshot { self.snapshot.install(&mut core, self.now) } else { 0 };
        for (index, entry) in (0..).map(Index).zip(&self.log).skip(known as usize) {
            core.handle(self.now, committed(index, entry.as_deref()), &mut Vec::new()).expect("a readable entry");
        }
        core
    }

    /// A new life of the Core that is to be primary. What the last one proposed may still reach the log.
    fn begin(&mut self, from_snapshot: bool) {
        self.core = self.recovered(from_snapshot);
        self.core.set_alone(self.alone);
        self.accepted = Seq::ZERO;
        self.voids.clear();
        self.begin_life();
        let clients = std::mem::take(&mut self.clients).len();
        (0..clients).for_each(|i| self.connect(i));
    }

    fn begin_life(&mut self) {
        self.count += 1;
        self.tell(Input::Begin { nonce: self.count });
    }

    /// The client in this place is a new one from now on; the last comes in by the read port.
    fn connect(&mut self, i: usize) {
        let port = if i == 3 { Port::Read } else { Port::Main };
        if let Some(gone) = self.clients.get_mut(i) {
            gone.leave(&mut self.core);
        }
        let client = Client::new(&mut self.core, port, self.now.monotonic);
        if i == self.clients.len() {
            self.clients.push(client)
        } else {
            self.clients[i] = client
        }
        self.ask(i, &[Request::new("AUTH secret")]);
    }

    fn ask(&mut self, i: usize, requests: &[Request]) {
        requests.iter().for_each(|request| self.clients[i].send(request));
        self.run_client(i);
    }

    fn run_clients(&mut self) {
        (0..self.clients.len()).for_each(|i| self.run_client(i));
    }

    fn run_client(&mut self, i: usize) {
        let client = &mut self.clients[i];
        client.run(&mut self.core, self.now);
        client.receive(self.accepted, &self.voids, self.now.monotonic, &self.digests);
        if client.has_gone() {
            self.connect(i);
        }
    }
}

fn committed(index: Index, entry: Option<&[u8]>) -> Input<'_> {
    Input::Committed { index, content: entry.map_or(Content::Blank, Content::Core), age: Duration::ZERO }
}

fn encode(changes: &[Change], now: Wall) -> Vec<u8> {
    let mut out = Vec::new();
    for (db, key, change) in changes {
        let (db, key) = (DbId(u16::from(db % 4)), format!("k{}", key % 8));
        let key = key.as_bytes();
        let deadline = |ms: &Option<u16>| ms.map(|ms| now.0 + u64::from(ms));
        let effect = match change {
            None if db.0 == 3 => Effect::Flush { db },
            None => Effect::Delete { db, key },
            Some((0..64, ms)) => Effect::Deadline { db, key, deadline: deadline(ms) },
            Some((value @ 64..96, _)) => Effect::Patch { db, key, offset: u64::from(value % 8), bytes: &[*value] },
            Some((value, ms)) => Effect::Put { db, key, value: &[*value], deadline: deadline(ms) },
        };
        effect::record(&effect, &mut out);
    }
    out
}
