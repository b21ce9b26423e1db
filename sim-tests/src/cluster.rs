//! The system under test: one node on a machine whose disk outlives it, and everything that can be done to it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use madsim::net::{NetSim, TcpListener};
use madsim::runtime::{Handle, NodeHandle};
use madsim::task::NodeId;
use madsim::time::{Instant, sleep};
use mneme_driver::connection;
use mneme_driver::env::{Env, Source};
use mneme_driver::keeper::{Keeper, StartError};
use mneme_driver::keepers::FedContent;
use mneme_driver::node::Node;
use mneme_driver::server::{CoreOptions, KeeperOptions, Options as ServerOptions, Server, Start};
use mneme_kernel::core::Config;
use mneme_kernel::level::Level;
use mneme_kernel::members::Member;
use mneme_kernel::session::{Peer, Port};
use mneme_runtime_sim::{DiskStats, SimDisk, SimEnv};

use crate::check::digest::Digests;
use crate::check::log::Entries;
use crate::check::term::Terms;
use crate::world::{World, lock};

mod faults;

/// Where clients reach the server.
pub const ADDRESS: SocketAddr = SocketAddr::new(SERVER, 6379);
pub const USER: &str = "admin";
pub const PASSWORD: &str = "correct horse";

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// How often a death that nobody ordered is looked for.
const WATCH: Duration = Duration::from_millis(10);
/// How long it takes to notice a dead process and to start it again.
const REVIVAL: Duration = Duration::from_millis(50);
/// How long a stop in order may take.
const STOP: Duration = Duration::from_secs(30);

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The process dies; what it wrote is still in the machine's memory.
    Kill,
    /// What was not synced is kept, dropped or torn by chance.
    PowerCut,
}

/// The server, as the nemesis and clients see it. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Cluster {
    machine: Arc<Machine>,
    server: NodeId,
}

/// What stays through all lives.
#[derive(Debug)]
struct Machine {
    world: Arc<World>,
    disk: SimDisk,
    /// The first life's; it serves to read and to set the wall clock.
    clock: SimEnv,
    /// By client.
    clients: Mutex<Vec<NodeId>>,
    life: Mutex<Life>,
    digests: Mutex<Digests>,
    entries: Mutex<Entries>,
    terms: Mutex<Terms>,
}

/// The current life.
#[derive(Debug)]
struct Life {
    env: SimEnv,
    /// Once it serves clients.
    server: Option<Arc<Server<SimEnv>>>,
    /// Why it did not get that far.
    start_error: Option<String>,
    /// Whether that is because its data is damaged.
    sees_damage: bool,
    /// How many syncs, reads and writes had failed when it began.
    failures: u64,
    /// How often there had been no space when it began.
    out_of_space: u64,
    /// The fate of how many names had been settled by crashes and failed syncs when it began.
    settled_names: u64,
}

impl Life {
    fn begin(env: SimEnv, disk: DiskStats) -> Life {
        let DiskStats { out_of_space, entries_kept, entries_lost, .. } = disk;
        let settled_names = entries_kept + entries_lost;
        let failures = failures(&disk);
        Life { env, server: None, start_error: None, sees_damage: false, failures, out_of_space, settled_names }
    }
}

/// Operations of a disk that failed although there was space.
fn failures(disk: &DiskStats) -> u64 {
    disk.failed_syncs + disk.eio_reads + disk.eio_writes + disk.short_reads
}

impl Cluster {
    /// Makes the machine and starts the server on it.
    pub fn start(world: Arc<World>) -> Cluster {
        let disk = SimDisk::new(world.options.sound_disk());
        let env = SimEnv::new(&disk);
        env.set_wall_offset(world.options.wall_offset);
        let machine = Arc::new(Machine {
            world,
            disk,
            clock: env.clone(),
            clients: Mutex::default(),
            life: Mutex::new(Life::begin(env, DiskStats::default())),
            digests: Mutex::default(),
            entries: Mutex::default(),
            terms: Mutex::default(),
        });
        let init = machine.clone();
        let server =
            Handle::current().create_node().name("server").ip(SERVER).init(move || init.clone().live()).build();
        Cluster { machine, server: server.id() }
    }

    /// Makes the machine of a client.
    pub fn add_client(&self) -> NodeHandle {
        let mut clients = lock(&self.machine.clients);
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 1, clients.len() as u8 + 1));
        let client = Handle::current().create_node().name(format!("client {}", clients.len())).ip(ip).build();
        clients.push(client.id());
        client
    }

    /// The server machine's wall clock, in milliseconds.
    pub fn wall(&self) -> u64 {
        self.machine.clock.wall().0
    }

    pub fn world(&self) -> &Arc<World> {
        &self.machine.world
    }

    pub fn event(&self, event: std::fmt::Arguments<'_>) {
        self.machine.world.event(event);
    }

    /// Whether clients can be served.
    pub fn is_up(&self) -> bool {
        lock(&self.machine.life).server.is_some() && !Handle::current().is_exit(self.server)
    }

    /// Whether this life has deleted keys because their deadline had passed.
    pub fn has_expired_keys(&self) -> bool {
        let server = lock(&self.machine.life).server.clone();
        server.is_some_and(|server| core_of(&server).with_core(|core| core.stats.expired_keys > 0))
    }

    /// Lets time pass. A server that ends itself meanwhile is started again.
    pub async fn run_for(&self, duration: Duration) {
        let end = Instant::now() + duration;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(left.min(WATCH)).await;
            if Handle::current().is_exit(self.server) {
                self.restart(Ending::Kill, REVIVAL).await;
            }
        }
    }

    /// Lets time pass until the server is up, `limit` at most.
    pub async fn until_up(&self, limit: Duration) -> Result<(), String> {
        let end = Instant::now() + limit;
        while !self.is_up() {
            if Instant::now() > end {
                return Err(format!("the server is not up within {limit:?} of virtual time"));
            }
            self.run_for(WATCH).await;
        }
        Ok(())
    }

    /// Ends the current life and begins the next one.
    pub async fn restart(&self, ending: Ending, down: Duration) {
        self.end_life(ending);
        sleep(down).await;
        self.begin_life();
    }

    fn begin_life(&self) {
        let mut life = lock(&self.machine.life);
        *life = Life::begin(life.env.next_life(), self.machine.disk.stats());
        drop(life);
        Handle::current().restart(self.server);
    }

    fn end_life(&self, ending: Ending) {
        let machine = &self.machine;
        let world = &machine.world;
        let ending = if self.needs_reboot() { Ending::PowerCut } else { ending };
        Handle::current().kill(self.server);
        if ending == Ending::PowerCut {
            machine.disk.crash();
        }
        world.history().death(self.wall());
        world.count(if ending == Ending::Kill { "killed" } else { "power cut" }, 1);

        let mut life = lock(&machine.life);
        let env = life.env.clone();
        // A full disk may keep a server from starting; one that runs must live with it.
        let stats = machine.disk.stats();
        let was_full = life.start_error.is_some() && stats.out_of_space > life.out_of_space;
        if let Some(why) = env.fatal_reason().or(life.start_error.take()) {
            world.event(format_args!("the server ended itself: {why}"));
            world.count("ended itself", 1);
            // An operation that failed is no damage.
            let excused = !life.sees_damage && (failures(&stats) > life.failures || was_full);
            world.check(
                "fatal",
                if excused { Ok(()) } else { Err(format!("the server ended itself without cause: {why}")) },
            );
        }
        let Some(server) = life.server.take() else { return };
        let keeper = keeper_of(&server);
        let (idle, epoch) = core_of(&server).with_core(|core| {
            core.check();
            let idle = core.accepted() == core.executed();
            (idle.then(|| core.digest(env.monotonic())).flatten(), core.epoch())
        });
        world.event(format_args!(
            "life {} ends by {ending:?} in term {}, epoch {epoch}, {} entries committed, idle at {idle:?}",
            world.history().life() - 1,
            keeper.term(),
            keeper.committed().value(),
        ));
        lock(&machine.digests).died(idle);
    }

    /// Whether a sync of a folder has failed. What programs see of its names may then differ for ever from what is
    /// durable; the file systems of Linux take no more changes until they are mounted anew.
    fn needs_reboot(&self) -> bool {
        let stats = self.machine.disk.stats();
        stats.entries_kept + stats.entries_lost > lock(&self.machine.life).settled_names
    }

    /// Stops the server in order. Whatever it holds must then be on disk.
    pub async fn stop(&self) {
        let Some(server) = lock(&self.machine.life).server.clone() else { return };
        let Some(machine) = Handle::current().get_node(self.server) else { return };
        let stopping = server.clone();
        let stop = machine.spawn(async move { stopping.stop().await });
        let end = Instant::now() + STOP;
        while !stop.is_finished() && !Handle::current().is_exit(self.server) {
            if Instant::now() > end {
                return self
                    .world()
                    .check("liveness", Err(format!("a stop takes longer than {STOP:?} of virtual time")));
            }
            sleep(WATCH).await;
        }
        if stop.is_finished() {
            self.world().count("stopped in order", 1);
            let left = core_of(&server).with_core(|core| core.executed().0 - core.accepted().0);
            let stopped = if left == 0 { Ok(()) } else { Err(format!("a stopped server left {left} batches behind")) };
            self.world().check("digest", stopped);
        }
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.machine.disk.set_capacity(None);
        self.machine.disk.set_options(self.world().options.sound_disk());
        NetSim::current().update_config(|network| network.packet_loss_rate = 0.0);
        for client in lock(&self.machine.clients).iter() {
            self.set_link(*client, true);
        }
    }

    /// Counts what the disk did.
    pub fn count_disk(&self) {
        let stats = self.machine.disk.stats();
        let world = self.world();
        world.event(format_args!("disk: {stats:?}"));
        world.count("syncs failed", stats.failed_syncs);
        world.count("reads failed", stats.eio_reads);
        world.count("reads cut short", stats.short_reads);
        world.count("writes failed", stats.eio_writes);
        world.count("no space", stats.out_of_space);
        world.count("writes kept", stats.writes_kept);
        world.count("writes dropped", stats.writes_dropped);
        world.count("writes torn", stats.writes_torn);
        world.count("names kept", stats.entries_kept);
        world.count("names lost", stats.entries_lost);
    }
}

impl Machine {
    /// One life of the server.
    async fn live(self: Arc<Self>) {
        let env = lock(&self.life).env.clone();
        let options = self.server_options(&env);
        let server = match Server::start(env.clone(), options).await {
            Ok(server) => server,
            Err(error) => {
                let mut life = lock(&self.life);
                life.sees_damage = matches!(&error, StartError::Open(open) if open.is_damage());
                life.start_error = Some(error.to_string());
                return;
            }
        };
        let node = core_of(&server).clone();
        self.check_recovery(&node, keeper_of(&server));
        env.spawn("follow", self.clone().follow(keeper_of(&server).clone()));
        let listener = TcpListener::bind(ADDRESS).await.expect("the address is free once the node before is dead");
        lock(&self.life).server = Some(server);
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let source = Source::Address(peer.ip());
                    let peer = Peer { address: peer.to_string(), local_address: ADDRESS.to_string() };
                    env.spawn("client", connection::serve(node.clone(), stream, Port::Main, peer, source));
                }
                Err(error) => unreachable!("a simulated listener has no errors: {error}"),
            }
        }
    }

    fn server_options(&self, env: &SimEnv) -> ServerOptions {
        let config = Config {
            node: "one".into(),
            default_user: USER.into(),
            default_level: Level::Quorum,
            level_timeout: self.world.options.level_timeout,
            seed: env.random(),
            started: env.monotonic(),
            process_id: 1,
            port: ADDRESS.port(),
            max_clients: 10_000,
            max_memory: 0,
            parameters: Vec::new(),
        };
        let member = Member { name: "one".into(), address: ADDRESS.to_string() };
        let snapshots = self.world.options.snapshots;
        let segment_bytes = self.world.options.segment_bytes;
        ServerOptions {
            member,
            core: Some(CoreOptions { config, admin_password: PASSWORD.into() }),
            keeper: Some(KeeperOptions { segment_bytes, snapshots }),
            start: Start::Found { expect_keepers: 1 },
        }
    }

    /// Compares what a new life has found with what the lives before have promised.
    fn check_recovery(&self, node: &Node<SimEnv>, keeper: &Keeper<SimEnv>) {
        let now = node.env().monotonic();
        let (found, epoch, expired) = node.with_core(|core| {
            core.check();
            (core.digest(now), core.epoch(), core.stats.expired_keys)
        });
        let term = keeper.term();
        let snapshot = keeper.state().snapshot_index;
        self.world.event(format_args!("recovered {found:?} in term {term}, epoch {epoch}, snapshot at {snapshot:?}"));
        self.world.count("lives", 1);
        self.world.count("lives from a snapshot", u64::from(snapshot.is_some()));
        self.world.check("term", lock(&self.terms).leads(term, epoch.0));
        if expired > 0 {
            // It has gone on already: its clock said that it was time to delete some.
            return;
        }
        let found = found.ok_or_else(|| "a server that has just recovered has something on its way".to_owned());
        let compared = found.and_then(|found| lock(&self.digests).recovered(found));
        self.world.count("digests compared", u64::from(compared == Ok(true)));
        self.world.check("digest", compared.map(drop));
    }

    /// Reads all that the node's feed hands out.
    async fn follow(self: Arc<Self>, keeper: Arc<Keeper<SimEnv>>) {
        let recovered = lock(&self.entries).recovered(keeper.committed().value());
        let mut known = match recovered {
            Ok(from) => from,
            Err(lost) => return self.world.check("log", Err(lost)),
        };
        loop {
            keeper.committed().reached(known + 1).await;
            let entries = match keeper.feed(known).await {
                Ok(entries) => entries,
                // The disk failed this once; the server ends itself if it met that.
                Err(error) if error.kind() != io::ErrorKind::InvalidData => {
                    sleep(WATCH).await;
                    continue;
                }
                Err(error) => return self.world.check("log", Err(format!("the feed cannot be read: {error}"))),
            };
            if entries.is_empty() && keeper.committed().value() > known {
                // A snapshot has taken its place.
                known += 1;
            }
            for entry in entries {
                let content = match &entry.content {
                    FedContent::Core(proposal) => Some(&*proposal.0),
                    FedContent::Members(_) | FedContent::Blank => None,
                };
                if let Err(changed) = lock(&self.entries).committed(entry.index, content) {
                    return self.world.check("log", Err(changed));
                }
                known = entry.index + 1;
            }
        }
    }
}

fn core_of(server: &Server<SimEnv>) -> &Arc<Node<SimEnv>> {
    server.node().expect("it runs a Core")
}

fn keeper_of(server: &Server<SimEnv>) -> &Arc<Keeper<SimEnv>> {
    server.keeper().expect("it runs a Keeper")
}
