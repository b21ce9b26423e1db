//! The lives of a machine's server: how they begin, what they find, and how they end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use madsim::net::TcpListener;
use madsim::runtime::Handle;
use madsim::time::{Instant, sleep};
use mneme_driver::connection;
use mneme_driver::env::{Env, Source};
use mneme_driver::keeper::{Keeper, StartError};
use mneme_driver::keepers::FedContent;
use mneme_driver::node::Node;
use mneme_driver::server::{CoreOptions, KeeperOptions, Options, Server, Start};
use mneme_kernel::core::Config;
use mneme_kernel::facade::Facade;
use mneme_kernel::level::Level;
use mneme_kernel::members::Member;
use mneme_kernel::session::{Peer, Port};
use mneme_runtime_sim::{DiskStats, SimEnv};
use serde::{Deserialize, Serialize};

use super::changes::Settings;
use super::machine::Machine;
use super::{PASSWORD, USER, WATCH};
use crate::model::Between;
use crate::topology::Role;
use crate::world::lock;

/// How long it takes to notice a dead process and to start it again.
pub(super) const REVIVAL: Duration = Duration::from_millis(50);
/// How long a stop in order may take.
pub(super) const STOP: Duration = Duration::from_secs(30);
/// The same, if others must help and perhaps cannot: then it is killed.
const STOP_WITH_OTHERS: Duration = Duration::from_secs(3);

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The process dies; what it wrote is still in the machine's memory.
    Kill,
    /// What was not synced is kept, dropped or torn by chance.
    PowerCut,
}

/// The current life of a server.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) env: SimEnv,
    /// Once it has recovered what is on its disk.
    pub(super) server: Option<Arc<Server<SimEnv>>>,
    /// Whether it serves its role.
    pub(super) is_ready: bool,
    /// Why it did not get that far.
    pub(super) start_error: Option<String>,
    /// Whether that is because its data is damaged.
    pub(super) sees_damage: bool,
    /// Its node is a member of the cluster no more.
    pub(super) is_removed: bool,
    /// How many syncs, reads and writes had failed when it began.
    failures: u64,
    /// How often there had been no space when it began.
    out_of_space: u64,
    /// The fate of how many names had been settled by crashes and failed syncs when it began.
    settled_names: u64,
}

impl Life {
    pub(super) fn begin(env: SimEnv, disk: DiskStats) -> Life {
        let DiskStats { out_of_space, entries_kept, entries_lost, .. } = disk;
        Life {
            env,
            server: None,
            is_ready: false,
            start_error: None,
            sees_damage: false,
            is_removed: false,
            failures: failures(&disk),
            out_of_space,
            settled_names: entries_kept + entries_lost,
        }
    }
}

/// Operations of a disk that failed although there was space.
fn failures(disk: &DiskStats) -> u64 {
    disk.failed_syncs + disk.eio_reads + disk.eio_writes + disk.short_reads
}

impl Machine {
    /// Ends the current life and begins the next one.
    pub(super) async fn restart(self: &Arc<Self>, ending: Ending, down: Duration) {
        self.end_life(ending);
        sleep(down).await;
        self.begin_life();
    }

    /// Starts a server again that has ended itself.
    pub(super) async fn revive(self: &Arc<Self>) {
        self.restart(Ending::Kill, REVIVAL).await;
    }

    pub(super) fn begin_life(self: &Arc<Self>) {
        let disk = self.disk();
        let mut life = lock(&self.life);
        *life = Life::begin(life.env.next_life(&disk), disk.stats());
        drop(life);
        Handle::current().restart(self.node());
        let node = Handle::current().get_node(self.node()).expect("a machine is never taken away");
        node.spawn(self.clone().live());
    }

    /// One life of the server.
    async fn live(self: Arc<Self>) {
        let env = lock(&self.life).env.clone();
        let server = match Server::new(env.clone(), self.server_options(&env)).await {
            Ok(server) => server,
            Err(error) => return self.does_not_start(&error),
        };
        env.spawn("removed", self.clone().end_when_removed(server.clone()));
        self.check_set_aside();
        lock(&self.life).server = Some(server.clone());
        if let Some(keeper) = server.keeper() {
            env.spawn("follow", self.clone().follow(keeper.clone()));
        }
        env.spawn("cluster", self.clone().serve_nodes(env.clone(), server.clone()));
        if let Err(error) = server.ready().await {
            return self.does_not_start(&error);
        }
        self.check_recovery(&server).await;
        let clients = match server.node() {
            Some(core) => Some((core, self.listen(self.client_address()).await)),
            None => None,
        };
        lock(&self.life).is_ready = true;
        // Of one that is to leave, what is on its disk may count no more, and it not know yet.
        if !self.is_leaving() {
            self.set_impaired(false);
        }
        if let Some((core, listener)) = clients {
            self.serve_clients(&env, core, listener).await;
        }
    }

    /// As the real server does.
    async fn end_when_removed(self: Arc<Self>, server: Arc<Server<SimEnv>>) {
        self.note_removed(server.removed().await);
        Handle::current().kill(self.node());
    }

    fn does_not_start(&self, error: &StartError) {
        if let StartError::Removed(removed) = error {
            return self.note_removed(*removed);
        }
        let mut life = lock(&self.life);
        life.sees_damage = matches!(error, StartError::Open(open) if open.is_damage());
        life.start_error = Some(error.to_string());
    }

    async fn serve_nodes(self: Arc<Self>, env: SimEnv, server: Arc<Server<SimEnv>>) {
        let listener = self.listen(self.cluster_address()).await;
        loop {
            let (stream, peer) = listener.accept().await.expect("a simulated listener has no errors");
            let (server, stream) = (server.clone(), env.accepted(stream));
            let name = peer.ip().to_string();
            // How a link ends is its dialler's concern.
            env.spawn("link", async move { drop(server.serve_link(stream, &name).await) });
        }
    }

    async fn serve_clients(&self, env: &SimEnv, core: &Arc<Node<SimEnv>>, listener: TcpListener) {
        loop {
            let (stream, peer) = listener.accept().await.expect("a simulated listener has no errors");
            let source = Source::Address(peer.ip());
            let peer = Peer { address: peer.to_string(), local_address: self.client_address().to_string() };
            let stream = env.accepted(stream);
            env.spawn("client", connection::serve(core.clone(), stream, Port::Main, peer, source));
        }
    }

    async fn listen(&self, address: std::net::SocketAddr) -> TcpListener {
        TcpListener::bind(address).await.expect("the address is free once the node before is dead")
    }

    fn server_options(&self, env: &SimEnv) -> Options {
        let options = &self.world.options;
        let Settings { segment_bytes, snapshots, quorum_check, reads } = *lock(&self.settings);
        let config = Config {
            node: self.name(),
            address: self.cluster_address().to_string(),
            default_user: USER.into(),
            default_level: Level::Quorum,
            level_timeout: options.level_timeout,
            park_timeout: options.park_timeout,
            replica: self.role() == Role::Replica,
            reads,
            lease: options.lease,
            founds: false,
            quorum_check,
            seed: env.random(),
            secret: [0; 4],
            started: env.monotonic(),
            process_id: 1,
            port: self.client_address().port(),
            max_clients: 10_000,
            max_memory: options.max_memory,
            memory_policy: options.policy(),
            facade: Facade::default(),
            script_times: Default::default(),
            parameters: Vec::new(),
            settings: Vec::new(),
        };
        let core = CoreOptions { config, admin_password: PASSWORD.into(), sealed_ca: None };
        let keeper = KeeperOptions { segment_bytes, snapshots, raft: options.raft };
        Options {
            member: Member { name: self.name(), address: self.cluster_address().to_string() },
            core: self.role().has_data().then_some(core),
            keeper: self.role().has_keeper().then_some(keeper),
            reads,
            start: if self.number() == 0 && !self.is_impaired() {
                Start::Found { expect_keepers: options.topology.keepers().len() }
            } else {
                Start::Join { nodes: self.others.clone() }
            },
        }
    }

    pub(super) fn end_life(&self, ending: Ending) {
        let world = &self.world;
        let ending = if self.needs_reboot() { Ending::PowerCut } else { ending };
        let server = lock(&self.life).server.take();
        let was_dead = self.is_dead();
        Handle::current().kill(self.node());
        let disk = self.disk();
        if ending == Ending::PowerCut {
            disk.crash();
        }
        if self.role().has_data() {
            let wall = self.wall();
            world.history().death(self.number(), Between { least: wall, most: wall });
        }
        world.count(if ending == Ending::Kill { "killed" } else { "power cut" }, 1);

        let mut life = lock(&self.life);
        let env = life.env.clone();
        // A full disk may keep a server from starting; one that runs must live with it.
        let stats = disk.stats();
        let was_full = life.start_error.is_some() && stats.out_of_space > life.out_of_space;
        if let Some(why) = env.fatal_reason().or(life.start_error.take()) {
            world.event(format_args!("{} ended itself: {why}", self.name()));
            world.count("ended itself", 1);
            // An operation that failed is no damage.
            let excused = !life.sees_damage && (failures(&stats) > life.failures || was_full);
            let found =
                if excused { Ok(()) } else { Err(format!("{} ended itself without cause: {why}", self.name())) };
            world.check("fatal", found);
        }
        drop(life);
        self.renew_if_removed();
        let Some(server) = server else { return };
        let idle = server.node().and_then(|node| {
            node.with_core(|core| {
                core.check();
                // One that has not read all of the log has only a part of the data.
                let idle = core.is_hot() && core.accepted() == core.executed();
                idle.then(|| core.digest(env.monotonic())).flatten()
            })
        });
        world.event(format_args!(
            "{} ends by {ending:?}, dead before: {was_dead}, in term {:?}, epoch {:?}, {:?} entries committed, idle at {idle:?}",
            self.name(),
            server.keeper().map(|keeper| keeper.term()),
            server.node().map(|node| node.with_core(|core| core.epoch().0)),
            server.keeper().map(|keeper| keeper.committed().value()),
        ));
        if world.options.topology.is_solo() {
            lock(&self.checks.digests).died(idle);
        }
    }

    /// Whether an operation of its disk has failed in this life, though there was space.
    pub(super) fn disk_has_failed(&self) -> bool {
        failures(&self.disk().stats()) > lock(&self.life).failures
    }

    /// Whether a sync of a folder has failed. What programs see of its names may then differ for ever from what is
    /// durable; the file systems of Linux take no more changes until they are mounted anew.
    fn needs_reboot(&self) -> bool {
        let stats = self.disk().stats();
        stats.entries_kept + stats.entries_lost > lock(&self.life).settled_names
    }

    /// Stops the server in order; whether it did. Whatever it holds must then be on disk.
    pub(super) async fn stop(&self) -> bool {
        let Some(server) = self.server() else { return false };
        let Some(machine) = Handle::current().get_node(self.node()) else { return false };
        let stopping = server.clone();
        let stop = machine.spawn(async move { stopping.stop().await });
        let is_solo = self.world.options.topology.is_solo();
        let end = Instant::now() + if is_solo { STOP } else { STOP_WITH_OTHERS };
        while !stop.is_finished() && !self.is_dead() {
            if Instant::now() > end {
                if is_solo {
                    let late = format!("a stop takes longer than {STOP:?} of virtual time");
                    self.world.check("liveness", Err(late));
                }
                return false;
            }
            sleep(WATCH).await;
        }
        if !stop.is_finished() {
            return false;
        }
        self.world.count("stopped in order", 1);
        if !lock(&self.life).is_ready {
            // The first user may be made just now; nobody has been told of it.
            return true;
        }
        let left = server.node().map(|node| node.with_core(|core| core.executed().0 - core.accepted().0));
        let left = left.unwrap_or_default();
        let stopped = if left == 0 { Ok(()) } else { Err(format!("a stopped server left {left} batches behind")) };
        self.world.check("digest", stopped);
        true
    }

    /// Compares what a new life has found with what the lives before have promised.
    async fn check_recovery(&self, server: &Server<SimEnv>) {
        let keeper = server.keeper();
        let term = keeper.map(|keeper| keeper.term());
        let snapshot = keeper.and_then(|keeper| keeper.state().snapshot_index);
        self.world.count("lives", 1);
        self.world.count("lives from a snapshot", u64::from(snapshot.is_some()));
        let Some(node) = server.node() else { return };
        if !until_idle(node).await {
            return;
        }
        let now = node.env().monotonic();
        let is_solo = self.world.options.topology.is_solo();
        let (found, epoch, expired) = node.with_core(|core| {
            core.check();
            (is_solo.then(|| core.digest(now)).flatten(), core.epoch(), core.stats.expired_keys)
        });
        let name = self.name();
        self.world
            .event(format_args!("{name} found {found:?} in term {term:?}, epoch {epoch}, snapshot at {snapshot:?}"));
        let (true, Some(keeper), Some(term)) = (is_solo, keeper, term) else { return };
        self.world.check("log", lock(&self.checks.entries).recovered_alone(keeper.committed().value()));
        self.world.check("term", lock(&self.checks.terms).leads_alone(term, epoch.0));
        if expired > 0 {
            // It has gone on already: its clock said that it was time to delete some.
            return;
        }
        let found = found.ok_or_else(|| "a server that has just recovered has something on its way".to_owned());
        let compared = found.and_then(|found| lock(&self.checks.digests).recovered(found));
        self.world.count("digests compared", u64::from(compared == Ok(true)));
        self.world.check("digest", compared.map(drop));
    }

    /// Reads all that the Keeper's feed hands out.
    async fn follow(self: Arc<Self>, keeper: Arc<Keeper<SimEnv>>) {
        let world = &self.world;
        // What it had recovered, if anything, is known with its first entry.
        keeper.committed().reached(1).await;
        let mut known = lock(&self.checks.entries).read_from(keeper.committed().value());
        loop {
            keeper.committed().reached(known + 1).await;
            let entries = match keeper.feed(known).await {
                Ok(entries) => entries,
                // The disk failed this once; the server ends itself if it met that.
                Err(error) if error.kind() != io::ErrorKind::InvalidData => {
                    sleep(WATCH).await;
                    continue;
                }
                Err(error) => return world.check("log", Err(format!("the feed cannot be read: {error}"))),
            };
            if entries.is_empty() && keeper.committed().value() > known {
                // A snapshot has taken its place.
                known += 1;
            }
            for entry in entries {
                let content = match &entry.content {
                    FedContent::Core(proposal) => proposal.0.to_vec(),
                    FedContent::Members(members) => format!("{members:?}").into_bytes(),
                    FedContent::Blank => Vec::new(),
                };
                match lock(&self.checks.entries).committed(&self.name(), entry.index, &content) {
                    Ok(shared) => world.count("entries compared", u64::from(shared)),
                    Err(changed) => return world.check("log", Err(changed)),
                }
                known = entry.index + 1;
            }
        }
    }
}

/// Waits until nothing is on its way to the log, for a moment only. Clients are not served yet, but the first user may
/// just be made, and keys are deleted whose deadline has passed.
async fn until_idle(node: &Node<SimEnv>) -> bool {
    for _ in 0..100 {
        if node.with_core(|core| core.accepted() == core.executed()) {
            return true;
        }
        sleep(Duration::from_millis(5)).await;
    }
    false
}
