//! A machine: its disk and its clocks outlive every process on it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use madsim::runtime::Handle;
use madsim::task::NodeId;
use mneme_driver::env::Env;
use mneme_driver::keeper::Keeper;
use mneme_driver::node::Node;
use mneme_driver::server::Server;
use mneme_runtime_sim::{DiskStats, SimDisk, SimEnv, Weather};

use super::changes::Settings;
use super::lives::Life;
use super::observed::Observed;
use crate::check::Checks;
use crate::topology::Role;
use crate::world::{World, lock};

/// Where clients reach a Core.
const CLIENT_PORT: u16 = 6379;
/// Where other nodes reach a node.
const CLUSTER_PORT: u16 = 7379;

/// The number of a machine that there is not.
const NOBODY: usize = 99;

/// A machine with one server.
#[derive(Debug)]
pub struct Machine {
    pub(super) world: Arc<World>,
    pub(super) checks: Arc<Checks>,
    number: usize,
    role: Role,
    /// As the simulation knows it.
    node: NodeId,
    ip: IpAddr,
    /// Where the other nodes are reached.
    pub(super) others: Vec<String>,
    /// The first life's; it serves to read and to set the clocks.
    pub(super) clock: SimEnv,
    /// The newest, and those before it that were lost.
    disks: Mutex<Vec<SimDisk>>,
    pub(super) life: Mutex<Life>,
    /// Something is being done to it that nothing else may come between.
    is_held: AtomicBool,
    /// What it held on disk is lost or damaged, and it has not been ready since.
    is_impaired: AtomicBool,
    /// Its server's process is suspended.
    is_paused: AtomicBool,
    /// Somebody was asked to remove it, and it has not joined again since.
    is_leaving: AtomicBool,
    /// How often it was removed.
    removals: AtomicUsize,
    /// Folders on its disk with what a Keeper has moved aside as damaged.
    set_aside: AtomicUsize,
    pub(super) settings: Mutex<Settings>,
}

impl Machine {
    /// Makes all machines of a cluster; nothing runs on them yet.
    pub(super) fn make_all(world: &Arc<World>, checks: &Arc<Checks>, weather: &Arc<Weather>) -> Vec<Arc<Machine>> {
        let roles = world.options.topology.roles();
        let machine = |number: usize| {
            let ip = address(number);
            let name = format!("node {}", number + 1);
            let node = Handle::current().create_node().name(name).ip(ip).build();
            let disk = SimDisk::new(world.options.sound_disk());
            let observer = Observed { world: world.clone(), checks: checks.clone(), machine: number };
            let env = SimEnv::new(&disk).in_weather(weather.clone()).observed_by(Arc::new(observer));
            env.set_skew(world.options.skews[number]);
            let others = (0..roles.len()).filter(|other| *other != number);
            Arc::new(Machine {
                world: world.clone(),
                checks: checks.clone(),
                number,
                role: roles[number],
                node: node.id(),
                ip,
                // Nobody was ever at the last one: a list may be stale.
                others: others
                    .chain([NOBODY])
                    .map(|other| SocketAddr::new(address(other), CLUSTER_PORT).to_string())
                    .collect(),
                clock: env.clone(),
                disks: Mutex::new(vec![disk]),
                life: Mutex::new(Life::begin(env, DiskStats::default())),
                is_held: AtomicBool::new(false),
                is_impaired: AtomicBool::new(false),
                is_paused: AtomicBool::new(false),
                is_leaving: AtomicBool::new(false),
                removals: AtomicUsize::new(0),
                set_aside: AtomicUsize::new(0),
                settings: Mutex::new(Settings::first(&world.options, number)),
            })
        };
        (0..roles.len()).map(machine).collect()
    }

    /// From 0.
    pub fn number(&self) -> usize {
        self.number
    }

    pub fn name(&self) -> String {
        format!("node{}", self.number + 1)
    }

    pub fn role(&self) -> Role {
        self.role
    }

    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    pub(super) fn ip(&self) -> IpAddr {
        self.ip
    }

    pub fn client_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, CLIENT_PORT)
    }

    pub(super) fn cluster_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, CLUSTER_PORT)
    }

    /// Its wall clock, in milliseconds.
    pub(super) fn wall(&self) -> u64 {
        self.clock.wall().0
    }

    /// The disk that is in it now.
    pub(super) fn disk(&self) -> SimDisk {
        lock(&self.disks).last().expect("a machine has a disk").clone()
    }

    /// Puts an empty disk in the place of the one that it had. Nothing must run on it.
    pub(super) fn lose_disk(&self) {
        lock(&self.disks).push(SimDisk::new(self.world.options.sound_disk()));
    }

    pub(super) fn disk_stats(&self) -> Vec<DiskStats> {
        lock(&self.disks).iter().map(SimDisk::stats).collect()
    }

    pub(super) fn heal_disk(&self) {
        let disk = self.disk();
        disk.set_capacity(None);
        disk.set_options(self.world.options.sound_disk());
    }

    /// Whether its process has ended.
    pub fn is_dead(&self) -> bool {
        Handle::current().is_exit(self.node)
    }

    /// Whether somebody who watches it would start its server again: it has ended, or does not start because its disk
    /// failed. One that sees damage does so again.
    pub(super) fn wants_reviving(&self) -> bool {
        let life = lock(&self.life);
        self.is_dead() || life.is_removed || (life.start_error.is_some() && !life.sees_damage)
    }

    /// Whether it would serve its role.
    pub fn is_up(&self) -> bool {
        lock(&self.life).is_ready && !self.is_dead()
    }

    /// What it is like, in words.
    pub(super) fn condition(&self) -> String {
        let life = lock(&self.life);
        let what = match (&life.start_error, self.is_dead()) {
            (Some(why), _) => format!("does not start: {why}"),
            (None, true) => "has ended".to_owned(),
            (None, false) => "is not ready".to_owned(),
        };
        format!("{} {what}", self.name())
    }

    /// The running server.
    pub(super) fn server(&self) -> Option<Arc<Server<SimEnv>>> {
        if self.is_dead() { None } else { lock(&self.life).server.clone() }
    }

    /// The running Core.
    pub fn running_core(&self) -> Option<Arc<Node<SimEnv>>> {
        self.server()?.node().cloned()
    }

    /// The running Keeper.
    pub(super) fn running_keeper(&self) -> Option<Arc<Keeper<SimEnv>>> {
        self.server()?.keeper().cloned()
    }

    /// Whether what it held on disk is lost or damaged, and it has not recovered from that.
    pub(super) fn is_impaired(&self) -> bool {
        self.is_impaired.load(Ordering::Relaxed)
    }

    pub(super) fn set_impaired(&self, is_impaired: bool) {
        self.is_impaired.store(is_impaired, Ordering::Relaxed);
    }

    /// Whether its server's process is suspended.
    pub(super) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    pub(super) fn set_paused(&self, is_paused: bool) {
        self.is_paused.store(is_paused, Ordering::Relaxed);
    }

    /// Whether somebody was asked to remove it, and it has not joined again since.
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    pub(super) fn set_leaving(&self, is_leaving: bool) {
        self.is_leaving.store(is_leaving, Ordering::Relaxed);
    }

    /// How often it was removed and has found out.
    pub(super) fn removals(&self) -> usize {
        self.removals.load(Ordering::Relaxed)
    }

    pub(super) fn count_removal(&self) {
        self.removals.fetch_add(1, Ordering::Relaxed);
    }

    /// A Keeper moves its log aside only if it is damaged, and nothing but the nemesis damages it.
    pub(super) fn check_set_aside(&self) {
        let files = self.disk().list_files();
        let folders = files.iter().filter_map(|path| path.split_once('/')).map(|(folder, _)| folder);
        let folders: BTreeSet<&str> = folders.filter(|folder| folder.starts_with("damaged-")).collect();
        let before = self.set_aside.swap(folders.len(), Ordering::Relaxed);
        if folders.len() > before {
            self.world.count("set aside", 1);
            let what = || format!("{} has moved its log aside, and nothing had damaged it", self.name());
            self.world.check("damage", if self.is_impaired() { Ok(()) } else { Err(what()) });
        }
    }

    /// Keeps others from doing anything to it, unless somebody does already.
    pub(super) fn take(self: &Arc<Self>) -> Option<Hold> {
        let taken = !self.is_held.swap(true, Ordering::Relaxed);
        taken.then(|| Hold(self.clone()))
    }

    /// Lets time pass, as on a machine where a dead server is started again.
    pub(super) async fn run_for(self: &Arc<Self>, duration: Duration) {
        use madsim::time::{Instant, sleep};
        let end = Instant::now() + duration;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(left.min(super::WATCH)).await;
            if self.wants_reviving() {
                self.revive().await;
            }
        }
    }
}

fn address(number: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number as u8 + 1))
}

/// A machine to which its holder alone does something.
#[derive(Debug)]
pub(super) struct Hold(Arc<Machine>);

impl Hold {
    pub(super) fn machine(&self) -> &Arc<Machine> {
        &self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.is_held.store(false, Ordering::Relaxed);
    }
}
