//! A Core's way to Keepers that are all elsewhere: the feed and proposals over links, while Keepers come and go.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use madsim::net::TcpListener;
use madsim::runtime::{Handle, NodeHandle, Runtime};
use madsim::task::NodeId;
use madsim::time::{Instant, sleep, timeout};
use mneme_driver::directory::Directory;
use mneme_driver::env::Env;
use mneme_driver::keeper::{Keeper, Proposed, RaftTimes, Schedule};
use mneme_driver::keepers::{Fed, FedContent, FedEntry, Keepers};
use mneme_driver::link::{self, FrameReader, Open};
use mneme_driver::server::{KeeperOptions, Options, Server, Start};
use mneme_driver::sync::CoreLock;
use mneme_driver::types::Proposal;
use mneme_kernel::core::{Config, Content, Core, Input, Now};
use mneme_kernel::effect::{self, Effect};
use mneme_kernel::entry::Entry;
use mneme_kernel::eviction::Policy;
use mneme_kernel::facade::Facade;
use mneme_kernel::ids::{DbId, Epoch, Incarnation, Index, Seq};
use mneme_kernel::level::Level;
use mneme_kernel::members::{Member, Members};
use mneme_runtime_sim::{DiskOptions, SimDisk, SimEnv};

const PORT: u16 = 7000;
/// By when anything that is possible has happened.
const SOON: Duration = Duration::from_secs(30);
const SEEDS: u64 = 10;

/// A machine with a Keeper, which may be dead.
struct Machine {
    member: Member,
    id: NodeId,
    disk: SimDisk,
    env: SimEnv,
    server: Arc<Mutex<Option<Arc<Server<SimEnv>>>>>,
}

/// Three machines whose Keepers are voters of one group, and one for a Core.
struct World {
    machines: Vec<Machine>,
    core: NodeHandle,
    core_env: SimEnv,
}

/// What a Core far from its Keepers has heard.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<FedEntry>>>);

impl Machine {
    fn new(number: u8) -> Machine {
        let ip = format!("10.0.0.{number}");
        let id = Handle::current().create_node().ip(ip.parse().expect("an address")).build().id();
        let member = Member { name: format!("keeper-{number}"), address: format!("{ip}:{PORT}") };
        let disk = SimDisk::new(DiskOptions::default());
        let env = SimEnv::new(&disk);
        Machine { member, id, disk, env, server: Arc::default() }
    }

    fn start(&self, start: Start) {
        let options = Options {
            member: self.member.clone(),
            core: None,
            keeper: Some(KeeperOptions {
                segment_bytes: 64 << 10,
                snapshots: Schedule { log_bytes: 1 << 40, interval: Duration::from_secs(1 << 30) },
                raft: RaftTimes::default(),
            }),
            reads: mneme_kernel::agreed::NEWEST,
            start,
        };
        let (env, slot) = (self.env.clone(), self.server.clone());
        drop(self.node().spawn(async move {
            let server = Server::new(env, options).await.expect("the disk is sound");
            *slot.lock().expect("nobody panics") = Some(server.clone());
            let listener = TcpListener::bind(("0.0.0.0", PORT)).await.expect("the port is free");
            loop {
                let (stream, from) = listener.accept().await.expect("the network is there");
                let server = server.clone();
                drop(madsim::task::spawn(async move {
                    let _ = server.serve_link(stream, &from.to_string()).await;
                }));
            }
        }));
    }

    /// A node that has been restarted is another one to madsim.
    fn node(&self) -> NodeHandle {
        Handle::current().get_node(self.id).expect("it was made")
    }

    fn kill(&self) {
        Handle::current().kill(self.id);
        self.server.lock().expect("nobody panics").take();
    }

    fn server(&self) -> Option<Arc<Server<SimEnv>>> {
        self.server.lock().expect("nobody panics").clone()
    }

    fn keeper(&self) -> Option<Arc<Keeper<SimEnv>>> {
        self.server().and_then(|server| server.keeper().cloned())
    }
}

impl World {
    async fn new() -> World {
        let machines: Vec<Machine> = (1..=3).map(Machine::new).collect();
        let core = Handle::current().create_node().ip("10.0.0.9".parse().expect("an address")).build();
        let core_env = SimEnv::new(&SimDisk::new(DiskOptions::default()));
        let world = World { machines, core, core_env };
        world.machines[0].start(Start::Found { expect_keepers: 3 });
        for machine in &world.machines[1..] {
            machine.start(world.join());
        }
        let voters = |leader: Arc<Keeper<SimEnv>>| leader.status().members.iter().filter(|member| member.votes).count();
        until("three voters", || world.leader().map_or(0, voters) == 3).await;
        for machine in &world.machines {
            let keeper = machine.keeper().expect("it has started");
            timeout(SOON, keeper.caught_up()).await.expect("it catches up");
        }
        // Until the change is over: in the midst of it, in a joint configuration, the founder is a majority of the old
        // group, and without it nobody can be elected.
        sleep(Duration::from_secs(1)).await;
        world
    }

    fn join(&self) -> Start {
        Start::Join { nodes: self.machines.iter().map(|machine| machine.member.address.clone()).collect() }
    }

    fn leader(&self) -> Option<Arc<Keeper<SimEnv>>> {
        self.machines.iter().filter_map(Machine::keeper).find(|keeper| keeper.leads())
    }

    /// The next life of a machine.
    async fn restart(&mut self, i: usize) {
        let start = self.join();
        let machine = &mut self.machines[i];
        machine.env = machine.env.next_life(&machine.disk);
        Handle::current().restart(machine.id);
        machine.start(start);
        until("it is back", || machine.keeper().is_some()).await;
    }

    /// The Keepers, as the Core's machine sees them.
    async fn keepers(env: &SimEnv, members: Members) -> Keepers<SimEnv> {
        let directory = Directory::load(env).await.expect("the disk is sound");
        // As a Core that joins: it learns from the log who the Keepers are.
        let addresses: Vec<String> = members.members.into_iter().map(|(_, member)| member.address).collect();
        directory.hint(&addresses);
        Keepers::elsewhere(env, Arc::new(directory))
    }

    fn members(&self) -> Members {
        let members = self.machines.iter().zip(1..).map(|(machine, id)| (id, machine.member.clone())).collect();
        Members { voters: vec![vec![1, 2, 3]], members }
    }

    /// A Core's task that hears everything from the beginning, and looks whether anything is missing or comes twice.
    fn follow(&self) -> Heard {
        let heard = Heard::default();
        let (env, members, into) = (self.core_env.clone(), self.members(), heard.clone());
        drop(self.core.spawn(async move {
            let keepers = World::keepers(&env, members).await;
            let mut known = 0;
            loop {
                match keepers.next(known, None).await.expect("nothing is on this disk") {
                    Fed::Snapshot(_) => panic!("the log reaches back"),
                    Fed::Entries(entries) => {
                        for entry in entries {
                            assert_eq!(entry.index, known);
                            known += 1;
                            into.0.lock().expect("nobody panics").push(entry);
                        }
                    }
                }
                // Given up now and then, as a Core's loop may do.
                if known % 7 == 0 {
                    let _ = timeout(Duration::from_millis(3), keepers.next(known, None)).await.map(|fed| match fed {
                        Ok(Fed::Entries(entries)) => assert_eq!(entries[0].index, known),
                        other => panic!("{other:?}"),
                    });
                }
            }
        }));
        heard
    }

    /// Hands an entry to whoever leads.
    async fn propose(&self, entry: &Entry<'_>) {
        let proposal = Proposal(Bytes::from(entry.encode()));
        let begun = Instant::now();
        loop {
            if let Some(leader) = self.leader()
                && leader.propose(proposal.clone()).await.expect("Raft runs") == Proposed::Sent
            {
                return;
            }
            assert!(begun.elapsed() < SOON, "nobody leads: {:?}", self.states());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// For messages.
    fn states(&self) -> Vec<impl std::fmt::Debug> {
        let state = |keeper: Arc<Keeper<SimEnv>>| {
            let status = keeper.status();
            (keeper.leads(), status.leader, status.term, status.last, status.committed)
        };
        self.machines.iter().map(|machine| machine.keeper().map(state)).collect()
    }

    async fn hello(&self, nonces: std::ops::Range<u64>) {
        for nonce in nonces {
            self.propose(&Entry::Hello { node: "core", nonce, address: "core:7000", origin: None }).await;
        }
    }

    /// Begins an epoch; the log has nothing but `Hello`s.
    async fn claim(&self) -> Epoch {
        let claim =
            Entry::Claim { incarnation: Incarnation(1), previous_epoch: Epoch::ZERO, last_renewal: Index::ZERO };
        self.propose(&claim).await;
        let encoded = claim.encode();
        let mut epoch = None;
        let begun = Instant::now();
        while epoch.is_none() {
            assert!(begun.elapsed() < SOON, "no claim");
            sleep(Duration::from_millis(20)).await;
            let is_claim = |entry: &FedEntry| matches!(&entry.content, FedContent::Core(core) if core.0 == encoded);
            epoch = self.log(0).await.into_iter().find(is_claim).map(|entry| Epoch(entry.index));
        }
        epoch.unwrap_or_default()
    }

    /// Batches of an epoch, each with some keys.
    async fn batches(&self, epoch: Epoch, seqs: std::ops::Range<u64>) {
        for seq in seqs {
            let mut effects = Vec::new();
            for i in 0..20 {
                let key = format!("key-{}", (seq * 31 + i) % 500);
                let value = format!("{seq}-{i}-{}", "v".repeat(300));
                let put = Effect::Put { db: DbId(0), key: key.as_bytes(), value: value.as_bytes(), deadline: None };
                effect::record(&put, &mut effects);
            }
            self.propose(&Entry::Batch { epoch, seq: Seq(seq), wall: seq, effects: &effects }).await;
        }
    }

    /// What the leader's log says from an index on.
    async fn log(&self, from: u64) -> Vec<FedEntry> {
        let Some(keeper) = self.leader() else { return Vec::new() };
        let mut log: Vec<FedEntry> = Vec::new();
        loop {
            let known = log.last().map_or(from, |entry| entry.index + 1);
            let more = keeper.feed(known).await.expect("its disk is sound");
            if more.is_empty() {
                return log;
            }
            log.extend(more);
        }
    }
}

impl Heard {
    fn len(&self) -> usize {
        self.0.lock().expect("nobody panics").len()
    }

    /// Waits until as much has been heard as the leader's log has, and looks whether it is the same.
    async fn all_of(&self, world: &World) -> Duration {
        let begun = Instant::now();
        loop {
            let log = world.log(0).await;
            if !log.is_empty() && self.len() >= log.len() {
                let heard = self.0.lock().expect("nobody panics");
                for (heard, entry) in heard.iter().zip(&log) {
                    assert_eq!((heard.index, &heard.content), (entry.index, &entry.content));
                    assert!(heard.age <= Duration::from_secs(120));
                }
                return begun.elapsed();
            }
            assert!(begun.elapsed() < SOON, "{} of {} heard", self.len(), log.len());
            sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < SOON, "{what}: not within {SOON:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// With RUST_LOG set it tells what happens.
fn on_seeds<F: Future<Output = ()>>(test: impl Fn() -> F + Copy + Send + 'static) {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .without_time()
        .try_init();
    for seed in 0..SEEDS {
        let run = std::thread::spawn(move || {
            Runtime::with_seed_and_config(seed, madsim::Config::default()).block_on(test());
        });
        assert!(run.join().is_ok(), "seed {seed}");
    }
}

fn core(env: &SimEnv) -> Core {
    Core::new(Config {
        node: "core".into(),
        address: "core:7000".into(),
        default_user: "admin".into(),
        default_level: Level::Quorum,
        level_timeout: Duration::from_secs(5),
        park_timeout: Duration::from_secs(5),
        reads: mneme_kernel::agreed::NEWEST,
        replica: false,
        lease: Duration::from_secs(1),
        founds: false,
        quorum_check: false,
        seed: 1,
        secret: [1; 4],
        started: env.monotonic(),
        process_id: 1,
        port: 6379,
        max_clients: 10,
        max_memory: 0,
        memory_policy: Policy::NoEviction,
        facade: Facade::default(),
        script_times: Default::default(),
        parameters: Vec::new(),
        settings: Vec::new(),
    })
}

fn apply(env: &SimEnv, core: &mut Core, entry: &FedEntry) {
    let now = Now { wall: env.wall(), monotonic: env.monotonic() };
    let content = match &entry.content {
        FedContent::Core(proposal) => Content::Core(&proposal.0),
        FedContent::Members(members) => Content::Members(members),
        FedContent::Blank => Content::Blank,
    };
    let input = Input::Committed { index: Index(entry.index), content, age: entry.age };
    core.handle(now, input, &mut Vec::new()).expect("the entry is whole");
}

#[test]
fn what_was_and_what_comes_is_heard_once_and_in_order() {
    on_seeds(|| async {
        let world = World::new().await;
        world.hello(0..200).await;
        let heard = world.follow();
        heard.all_of(&world).await;
        for nonce in 200..230 {
            world.hello(nonce..nonce + 1).await;
            let took = heard.all_of(&world).await;
            assert!(took < Duration::from_millis(300), "a live entry took {took:?}");
        }
    });
}

#[test]
fn when_keepers_die_or_fall_silent_another_goes_on() {
    on_seeds(|| async {
        let mut world = World::new().await;
        let heard = world.follow();
        let mut nonce = 0;
        for round in 0..6 {
            let i = round % 3;
            let silent = round >= 3;
            world.hello(nonce..nonce + 20).await;
            if silent {
                Handle::current().pause(world.machines[i].id);
            } else {
                world.machines[i].kill();
            }
            // A leader that is paused still says that it leads: the others know better after a while.
            sleep(Duration::from_secs(2)).await;
            if silent {
                let before = heard.len();
                let others: Vec<_> = (0..3).filter(|other| *other != i).collect();
                let sent = |keeper: Arc<Keeper<SimEnv>>, nonce| async move {
                    let entry = Entry::Hello { node: "core", nonce, address: "core:7000", origin: None }.encode();
                    keeper.leads() && keeper.propose(Proposal(Bytes::from(entry))).await.is_ok()
                };
                let begun = Instant::now();
                let mut done = false;
                while !done {
                    assert!(begun.elapsed() < SOON, "nobody leads: {:?}", world.states());
                    for other in &others {
                        let keeper = world.machines[*other].keeper().expect("it runs");
                        done |= sent(keeper, 1_000 + round as u64).await;
                    }
                    sleep(Duration::from_millis(20)).await;
                }
                until("it is heard", || heard.len() > before).await;
                Handle::current().resume(world.machines[i].id);
                sleep(Duration::from_secs(1)).await;
            } else {
                world.hello(nonce + 20..nonce + 40).await;
                let took = heard.all_of(&world).await;
                assert!(took < Duration::from_secs(2), "it took {took:?}");
                world.restart(i).await;
            }
            nonce += 40;
        }
        world.hello(nonce..nonce + 20).await;
        heard.all_of(&world).await;
    });
}

#[test]
fn proposals_find_the_leader_wherever_it_is() {
    on_seeds(|| async {
        let mut world = World::new().await;
        let wanted: u64 = 60;
        let proposed = Arc::new(Mutex::new(0));
        let (env, members, at) = (world.core_env.clone(), world.members(), proposed.clone());
        let core = world.core.spawn(async move {
            let keepers = Arc::new(World::keepers(&env, members).await);
            let heard = Arc::new(Mutex::new(BTreeSet::new()));
            let (feed, into) = (keepers.clone(), heard.clone());
            drop(madsim::task::spawn(async move {
                let mut known = 0;
                loop {
                    let Ok(Fed::Entries(entries)) = feed.next(known, None).await else { panic!("no entries") };
                    known += entries.len() as u64;
                    for entry in entries {
                        if let FedContent::Core(proposal) = entry.content
                            && let Ok(Entry::Hello { nonce, .. }) = Entry::decode(&proposal.0)
                        {
                            into.lock().expect("nobody panics").insert(nonce);
                        }
                    }
                }
            }));
            let mut longest = Duration::ZERO;
            for nonce in 0..wanted {
                let begun = Instant::now();
                let encoded =
                    Bytes::from(Entry::Hello { node: "core", nonce, address: "core:7000", origin: None }.encode());
                let mut sent: Option<Instant> = None;
                let mut disturbances = 0;
                while !heard.lock().expect("nobody panics").contains(&nonce) {
                    // What is lost is said to be lost, mostly; the rest is a matter of patience.
                    let now = keepers.disturbances().value();
                    let disturbed = std::mem::replace(&mut disturbances, now) != now;
                    if disturbed || sent.is_none_or(|sent| sent.elapsed() >= Duration::from_secs(1)) {
                        sent = Some(Instant::now());
                        keepers.propose(Proposal(encoded.clone())).await.expect("there is no Keeper here");
                    }
                    sleep(Duration::from_millis(5)).await;
                }
                longest = longest.max(begun.elapsed());
                *at.lock().expect("nobody panics") += 1;
                sleep(Duration::from_millis(50)).await;
            }
            longest
        });
        for i in 0..3 {
            until("some are there", || *proposed.lock().expect("nobody panics") >= (i as u64 + 1) * 15).await;
            world.machines[i].kill();
            sleep(Duration::from_secs(1)).await;
            world.restart(i).await;
        }
        let longest = timeout(SOON, core).await;
        assert!(longest.is_ok(), "{} were accepted: {:?}", proposed.lock().expect("nobody panics"), world.states());
        let longest = longest.expect("in time").expect("it does not panic");
        assert!(longest < Duration::from_secs(4), "one took {longest:?}");
    });
}

#[test]
fn of_its_own_batches_a_core_gets_the_heads_and_all_of_them_when_it_begins_anew() {
    on_seeds(|| async {
        let world = World::new().await;
        world.hello(0..3).await;
        let own = world.claim().await;
        world.batches(own, 1..5).await;
        world.batches(Epoch(own.0 + 1), 1..3).await;
        sleep(Duration::from_secs(1)).await;
        let log = world.log(0).await;
        let (env, members) = (world.core_env.clone(), world.members());
        let check = world.core.spawn(async move {
            let keepers = World::keepers(&env, members).await;
            let mut known = 0;
            // In the middle the Core becomes primary, at the end it is no longer.
            for (until, wanted) in [(own.0 + 2, None), (log.len() as u64, Some(own)), (log.len() as u64, None)] {
                if until == known {
                    known = 0;
                }
                while known < until {
                    let Ok(Fed::Entries(entries)) = keepers.next(known, wanted).await else { panic!("no entries") };
                    for entry in entries {
                        let (FedContent::Core(proposal), FedContent::Core(whole)) =
                            (&entry.content, &log[known as usize].content)
                        else {
                            assert_eq!(entry.content, log[known as usize].content);
                            known += 1;
                            continue;
                        };
                        known += 1;
                        if proposal == whole {
                            continue;
                        }
                        let (Ok(heard), Ok(whole)) = (Entry::decode(&proposal.0), Entry::decode(&whole.0)) else {
                            panic!("not an entry")
                        };
                        let (
                            Entry::Batch { epoch, seq, wall, effects: &[] },
                            Entry::Batch { epoch: whole_epoch, seq: whole_seq, wall: whole_wall, .. },
                        ) = (heard, whole)
                        else {
                            panic!("not a head")
                        };
                        assert_eq!((epoch, seq, wall), (whole_epoch, whole_seq, whole_wall));
                        assert_eq!(wanted, Some(epoch));
                    }
                }
            }
            // One that begins with its epoch hears heads from the first.
            let mut heads = 0;
            let mut known = 0;
            while known < log.len() as u64 {
                let Ok(Fed::Entries(entries)) = keepers.next(known, Some(own)).await else { panic!("no entries") };
                for (entry, whole) in entries.iter().zip(&log[known as usize..]) {
                    heads += usize::from(entry.content != whole.content);
                }
                known += entries.len() as u64;
            }
            assert_eq!(heads, 4);
        });
        timeout(SOON, check).await.expect("in time").expect("it does not panic");
    });
}

#[test]
fn a_snapshot_and_what_follows_are_as_good_as_the_whole_log() {
    on_seeds(|| async {
        let world = World::new().await;
        world.hello(0..3).await;
        let epoch = world.claim().await;
        world.batches(epoch, 1..200).await;
        sleep(Duration::from_secs(1)).await;
        let mut whole = core(&world.core_env);
        let log = world.log(0).await;
        log.iter().for_each(|entry| apply(&world.core_env, &mut whole, entry));
        for machine in &world.machines {
            machine.keeper().expect("it runs").snapshot().await.expect("the disk is sound");
        }
        world.batches(epoch, 200..230).await;
        sleep(Duration::from_secs(1)).await;
        let end = log.len() as u64;
        world.log(end).await.iter().for_each(|entry| apply(&world.core_env, &mut whole, entry));
        let now = world.core_env.monotonic();
        let expected = whole.digest(now);
        let until = end + world.log(end).await.len() as u64;

        let (env, members) = (world.core_env.clone(), world.members());
        let loaded = world.core.spawn(async move {
            let keepers = World::keepers(&env, members).await;
            // One that has something, but less than the logs reach back to, begins anew as well.
            for mut known in [0, 5] {
                let loading = CoreLock::new(core(&env));
                let mut snapshots = 0;
                while known < until {
                    match keepers.next(known, None).await.expect("nothing is on this disk") {
                        Fed::Snapshot(snapshot) => {
                            let promised = snapshot.known();
                            let loaded = snapshot.load(&env, &loading).await.expect("nobody dies");
                            assert_eq!(loaded.known, promised);
                            assert_eq!(loaded.members.members.len(), 3);
                            known = loaded.known;
                            snapshots += 1;
                        }
                        Fed::Entries(entries) => {
                            let mut core = loading.lock();
                            for entry in &entries {
                                assert_eq!(entry.index, known);
                                apply(&env, &mut core, entry);
                                known += 1;
                            }
                        }
                    }
                }
                assert_eq!(snapshots, 1);
                assert_eq!(loading.lock().digest(now), expected);
            }
        });
        timeout(SOON, loaded).await.expect("in time").expect("it does not panic");
    });
}

#[test]
fn a_core_that_takes_nothing_is_dropped_and_one_that_is_slow_gets_everything() {
    Runtime::new().block_on(async {
        let world = World::new().await;
        let epoch = world.claim().await;
        world.batches(epoch, 1..400).await;
        sleep(Duration::from_secs(1)).await;
        let machine = &world.machines[0];
        let server = machine.server().expect("it runs");
        let total = machine.keeper().expect("it runs").committed().value();
        for takes in [false, true] {
            let (mut near, far) = tokio::io::duplex(16 << 10);
            let server = server.clone();
            let served = machine.node().spawn(async move { server.serve_link(far, "slow").await });
            link::send(&mut near, &Open::Feed { known: 0, own: None }).await.expect("there is room");
            let begun = Instant::now();
            if takes {
                let mut reader = FrameReader::new(near);
                let mut bytes = 0;
                while bytes < 2_400_000 {
                    let frame = timeout(SOON, reader.next()).await.expect("it goes on").expect("it is served");
                    bytes += frame.expect("it goes on").len();
                    sleep(Duration::from_secs(3)).await;
                }
                drop(reader);
                let _ = timeout(SOON, served).await.expect("it ends").expect("it does not panic");
            } else {
                let why = timeout(SOON, served).await.expect("it ends").expect("it does not panic");
                assert_eq!(why.expect_err("it takes nothing").kind(), std::io::ErrorKind::TimedOut);
                assert!((10..12).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
            }
        }
        assert!(total >= 400);
    });
}
