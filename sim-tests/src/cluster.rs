//! The system under test: its machines, its network, and everybody who looks at it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use madsim::net::NetSim;
use madsim::runtime::{Handle, NodeHandle};
use madsim::task::NodeId;
use madsim::time::{Instant, sleep};
use mneme_driver::env::Env;
use mneme_kernel::probe::Probe;
use mneme_runtime_sim::Weather;

use crate::check::Checks;
use crate::model::Between;
use crate::topology::Role;
use crate::world::{World, lock};

mod changes;
mod condition;
mod departures;
mod faults;
mod lives;
mod loss;
mod machine;
mod network;
mod observed;
mod suffices;
mod watch;

pub use lives::Ending;
pub use machine::Machine;
pub use network::Cut;

use network::Network;

pub const USER: &str = "admin";
pub const PASSWORD: &str = "correct horse";

/// How often a death that nobody ordered is looked for.
const WATCH: Duration = Duration::from_millis(10);

/// The cluster, as the nemesis and clients see it. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Cluster(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    world: Arc<World>,
    machines: Vec<Arc<Machine>>,
    network: Network,
    weather: Arc<Weather>,
    checks: Arc<Checks>,
    /// By client.
    clients: Mutex<Vec<NodeId>>,
}

impl Cluster {
    /// Makes the machines and starts the servers on them.
    pub fn start(world: Arc<World>) -> Cluster {
        let checks = Arc::new(Checks::new(world.options.topology.roles().len()));
        let weather = Arc::new(Weather::default());
        weather.set_pieces(world.options.pieces);
        let machines = Machine::make_all(&world, &checks, &weather);
        let parts = Parts { world, machines, network: Network::default(), weather, checks, clients: Mutex::default() };
        let cluster = Cluster(Arc::new(parts));
        for machine in cluster.machines() {
            machine.begin_life();
        }
        madsim::task::spawn(cluster.clone().revive());
        madsim::task::spawn(cluster.clone().watch());
        cluster
    }

    /// Makes the machine of a client.
    pub fn add_client(&self) -> NodeHandle {
        let mut clients = lock(&self.0.clients);
        let ip = client_ip(clients.len());
        let client = Handle::current().create_node().name(format!("client {}", clients.len())).ip(ip).build();
        clients.push(client.id());
        client
    }

    pub fn world(&self) -> &Arc<World> {
        &self.0.world
    }

    pub fn machines(&self) -> &[Arc<Machine>] {
        &self.0.machines
    }

    pub fn machine(&self, number: usize) -> &Arc<Machine> {
        &self.0.machines[number]
    }

    /// The machines with a Core.
    pub fn cores(&self) -> impl Iterator<Item = &Arc<Machine>> {
        self.machines().iter().filter(|machine| machine.role().has_core())
    }

    /// The machines where clients read.
    pub fn with_data(&self) -> impl Iterator<Item = &Arc<Machine>> {
        self.machines().iter().filter(|machine| machine.role().has_data())
    }

    /// The machines with a Replica.
    pub fn replicas(&self) -> impl Iterator<Item = &Arc<Machine>> {
        self.machines().iter().filter(|machine| machine.role() == Role::Replica)
    }

    /// The machines with a Keeper.
    pub fn keepers(&self) -> impl Iterator<Item = &Arc<Machine>> {
        self.machines().iter().filter(|machine| machine.role().has_keeper())
    }

    /// One of the machines with a Core, by any number.
    pub fn core(&self, number: usize) -> &Arc<Machine> {
        let count = self.cores().count();
        self.cores().nth(number % count).expect("every cluster has a Core")
    }

    /// Between which two times the wall clocks of all Cores are, in milliseconds.
    pub fn walls(&self) -> Between {
        let walls = self.cores().map(|machine| machine.wall());
        walls.fold(Between { least: u64::MAX, most: 0 }, |Between { least, most }, wall| Between {
            least: least.min(wall),
            most: most.max(wall),
        })
    }

    pub fn event(&self, event: std::fmt::Arguments<'_>) {
        self.0.world.event(event);
    }

    /// Whether every node would serve its role.
    pub fn is_up(&self) -> bool {
        self.machines().iter().all(|machine| machine.is_up())
    }

    /// Lets time pass until every node is up, `limit` at most.
    pub async fn until_up(&self, limit: Duration) -> Result<(), String> {
        let end = Instant::now() + limit;
        while !self.is_up() {
            if Instant::now() > end {
                let missing = self.machines().iter().filter(|machine| !machine.is_up());
                let missing: Vec<String> = missing.map(|machine| machine.condition()).collect();
                return Err(format!("not up within {limit:?} of virtual time: {}", missing.join(", ")));
            }
            sleep(WATCH).await;
        }
        Ok(())
    }

    /// Starts servers again that end themselves.
    async fn revive(self) {
        loop {
            sleep(WATCH).await;
            for machine in self.machines() {
                if machine.wants_reviving()
                    && let Some(hold) = machine.take()
                {
                    madsim::task::spawn(async move { hold.machine().revive().await });
                }
            }
        }
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.0.weather.clear();
        for machine in self.machines() {
            machine.heal_disk();
        }
        self.0.network.heal();
        NetSim::current().update_config(|network| {
            network.packet_loss_rate = 0.0;
            network.send_latency = self.world().options.latency.clone();
        });
    }

    /// Counts the rare states that the nodes came to.
    pub fn count_marks(&self) {
        for machine in self.machines() {
            let probes = machine.clock.probes();
            Probe::ALL.into_iter().for_each(|probe| self.world().mark(probe.name(), probes.count(probe)));
        }
    }

    /// Counts the keys that made room for others.
    pub fn count_evictions(&self) {
        let cores = self.machines().iter().filter_map(|machine| machine.running_core());
        let evicted = cores.map(|node| node.with_core(|core| core.stats.evicted_keys)).sum();
        self.world().count("keys evicted", evicted);
    }

    /// Counts what the disks and the network did.
    pub fn count_disks(&self) {
        let world = self.world();
        world.count("links torn in a message", self.0.weather.torn());
        for machine in self.keepers() {
            for stats in machine.disk_stats() {
                world.event(format_args!("disk of {}: {stats:?}", machine.name()));
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
    }
}

/// Where a client is.
fn client_ip(number: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 1, number as u8 + 1))
}
