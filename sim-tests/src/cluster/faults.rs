//! What the nemesis does to machines and links.

use std::time::Duration;

use madsim::net::NetSim;
use madsim::runtime::Handle;
use madsim::time::{Instant, sleep};
use mneme_kernel::mutant::Mutant;
use mneme_runtime_sim::sleep::timeout;
use mneme_runtime_sim::{Condition, Direction, SimDisk, Sprung, Trap};

use super::lives::REVIVAL;
use super::machine::Hold;
use super::{Cluster, Ending, WATCH, client_ip};
use crate::world::lock;

/// What the slowest packet takes at least.
const SHORTEST_STORM: Duration = Duration::from_millis(1);
/// How long a trap may take to catch something.
const TRAPPING: Duration = Duration::from_secs(2);
/// How long a Keeper is down at least, for others to go on without it, and how long a leader may take to purge its log.
pub(super) const FALLING_BEHIND: Duration = Duration::from_secs(1);
const PURGING: Duration = Duration::from_millis(500);

/// Faults of one machine. Each waits until it is over; while something else is being done to the machine, nothing happens.
impl Cluster {
    pub(super) fn take(&self, machine: usize) -> Option<Hold> {
        self.machine(machine).take()
    }

    /// Ends the life of a server, and begins the next one.
    pub async fn restart(&self, machine: usize, ending: Ending, down: Duration) {
        let Some(hold) = self.take(machine) else { return };
        hold.machine().restart(ending, down).await;
    }

    /// Stops a server in order, then ends what is left, and begins the next life.
    pub async fn stop_and_restart(&self, machine: usize, ending: Ending, down: Duration) {
        let Some(hold) = self.take(machine) else { return };
        hold.machine().stop().await;
        hold.machine().restart(ending, down).await;
    }

    /// Ends the lives of several servers at once, those whose bit is set; they come back one after the other.
    pub async fn outage(&self, machines: u32, ending: Ending, down: Duration) {
        let hit = self.machines().iter().filter(|machine| machines >> machine.number() & 1 == 1);
        let holds: Vec<Hold> = hit.filter_map(|machine| machine.take()).collect();
        holds.iter().for_each(|hold| hold.machine().end_life(ending));
        self.world().count("outages", 1);
        self.world().count("all down at once", u64::from(holds.len() == self.machines().len()));
        let pause = down / holds.len().max(1) as u32;
        for hold in holds {
            sleep(pause).await;
            hold.machine().begin_life();
        }
    }

    /// Suspends a server's process. Its machine's clocks go on.
    pub async fn pause(&self, machine: usize, lasts: Duration) {
        let Some(hold) = self.take(machine) else { return };
        let node = hold.machine().node();
        if hold.machine().is_dead() {
            return;
        }
        self.world().count("paused", 1);
        let was_primary = self.primary() == Some(machine);
        let before = self.progress();
        Handle::current().pause(node);
        hold.machine().set_paused(true);
        sleep(lasts).await;
        if Mutant::StopClockInPause.is_chosen() {
            hold.machine().clock.leave_out(lasts);
        }
        let overtaken = self.progress().epoch > before.epoch;
        hold.machine().set_paused(false);
        Handle::current().resume(node);
        self.world().count("pause outlasted the lease", u64::from(was_primary && overtaken));
    }

    /// Sets a machine's wall clock ahead, or back.
    pub fn jump_clock(&self, machine: usize, millis: i64) {
        self.world().count("clock set", 1);
        let machine = self.machine(machine);
        let before = machine.wall();
        let offset = i64::try_from(before).unwrap_or_default() - true_wall() + millis;
        machine.clock.set_wall_offset(offset);
        self.world().history().jump(before, machine.wall());
    }

    /// Lets syncs of the disk fail for a while.
    pub async fn break_disk(&self, machine: usize, lasts: Duration) {
        let options = self.world().options.bad_disk();
        self.with_disk(machine, lasts, |disk| disk.set_options(options)).await;
    }

    /// Makes syncs slow for a while.
    pub async fn slow_disk(&self, machine: usize, sync: Duration, lasts: Duration) {
        let options = self.world().options.slow_disk(sync);
        self.with_disk(machine, lasts, |disk| disk.set_options(options)).await;
    }

    /// Lets the disk be full for a while, so often.
    pub async fn fill_disk(&self, machine: usize, lasts: Duration, times: u32) {
        for _ in 0..times {
            self.with_disk(machine, lasts, |disk| disk.set_capacity(Some(0))).await;
            sleep(lasts / 4).await;
        }
    }

    /// Lets reads and writes fail for a while, and reads find the end too early.
    pub async fn fail_operations(&self, machine: usize, lasts: Duration) {
        let options = self.world().options.failing_disk();
        self.with_disk(machine, lasts, |disk| disk.set_options(options)).await;
    }

    /// Changes a disk for a while.
    async fn with_disk(&self, machine: usize, lasts: Duration, change: impl FnOnce(&SimDisk)) {
        let Some(hold) = self.take(machine) else { return };
        change(&hold.machine().disk());
        hold.machine().run_for(lasts).await;
        hold.machine().heal_disk();
    }

    /// Ends the life in the middle of an operation, of recovery if it is told so; counts it under this name. If the
    /// operation does not occur for a while, nothing happens.
    pub async fn end_in(
        &self,
        machine: usize,
        what: &'static str,
        trap: Trap,
        in_recovery: bool,
        ending: Ending,
        down: Duration,
    ) {
        let Some(hold) = self.take(machine) else { return };
        let sprung = hold.machine().disk().trap(trap);
        if in_recovery {
            hold.machine().restart(Ending::Kill, REVIVAL).await;
        }
        self.end_when(sprung, &hold, what, ending, down).await;
    }

    /// Ends the life in the middle of putting a snapshot from another Keeper in place; counts it under this name. To need
    /// one, the server stays down until the log of the Keeper that leads no longer reaches back to the end of its own.
    pub async fn end_in_install(&self, machine: usize, what: &'static str, trap: Trap, ending: Ending, down: Duration) {
        let Some(hold) = self.take(machine) else { return };
        hold.machine().end_life(Ending::Kill);
        sleep(FALLING_BEHIND + down).await;
        self.purge_log().await;
        let sprung = hold.machine().disk().trap(trap);
        hold.machine().begin_life();
        self.end_when(sprung, &hold, what, ending, down).await;
    }

    /// Has the Keeper that leads make a snapshot, and gives it the time to purge its log.
    async fn purge_log(&self) {
        let Some(leader) = self.leader() else { return };
        self.make_snapshot(leader).await;
        sleep(PURGING).await;
    }

    async fn make_snapshot(&self, machine: usize) {
        let machine = self.machine(machine);
        let Some(keeper) = machine.running_keeper() else { return };
        let Some(node) = Handle::current().get_node(machine.node()) else { return };
        // It may fail, and its process may end meanwhile: then the log stays.
        let _ = timeout(TRAPPING, node.spawn(async move { keeper.snapshot().await })).await;
    }

    /// Lets a Core or a Replica hear no Keeper until the logs of all no longer reach back to what it has.
    pub async fn fall_behind(&self, machine: usize) {
        let cut = self.feeds_of(machine);
        self.cut(&cut);
        sleep(FALLING_BEHIND).await;
        for keeper in self.world().options.topology.keepers() {
            self.make_snapshot(keeper).await;
        }
        sleep(PURGING).await;
        self.mend(&cut);
        self.world().count("fell behind", 1);
    }

    /// Ends the life when an operation hangs in the trap, and begins the next one.
    pub(super) async fn end_when(
        &self,
        mut sprung: Sprung,
        hold: &Hold,
        what: &'static str,
        ending: Ending,
        down: Duration,
    ) {
        let machine = hold.machine();
        let end = Instant::now() + TRAPPING;
        let mut has_caught = false;
        while !has_caught && Instant::now() < end {
            match timeout(WATCH, &mut sprung).await {
                Ok(true) => has_caught = true,
                Ok(false) => return,
                // As for a server that ends itself at any time.
                Err(_) => machine.run_for(Duration::from_millis(1)).await,
            }
        }
        // What it has caught since it was last looked at would hang as long as the life lasts, and the server with it.
        if has_caught || sprung.give_up() {
            self.world().count(what, 1);
            machine.restart(ending, down).await;
        }
    }
}

/// Faults of links.
impl Cluster {
    /// Cuts the link between a client and a machine, in both directions.
    pub async fn cut_link(&self, client: u64, machine: usize, lasts: Duration) {
        let Some(client) = lock(&self.0.clients).get(client as usize).copied() else { return };
        self.world().count("link cut", 1);
        self.set_client_link(client, machine, false);
        sleep(lasts).await;
        self.set_client_link(client, machine, true);
    }

    /// Lets packets be late and lost everywhere for a while. One that swells grows by and by, and ebbs as slowly.
    pub async fn storm(&self, loss: f64, slowest: Duration, lasts: Duration, swells: bool) {
        /// How strong it is, one after the other.
        const TIDE: [f64; 7] = [0.1, 0.3, 0.6, 1.0, 0.6, 0.3, 0.1];
        self.world().count(if swells { "storms that swell" } else { "storms" }, 1);
        let strengths = if swells { &TIDE[..] } else { &[1.0] };
        for strength in strengths {
            NetSim::current().update_config(|network| {
                let slowest = slowest.mul_f64(*strength).max(SHORTEST_STORM);
                network.packet_loss_rate = loss * strength;
                network.send_latency = slowest / 10..slowest;
            });
            sleep(lasts / strengths.len() as u32).await;
        }
        let options = &self.world().options;
        NetSim::current().update_config(|network| {
            network.packet_loss_rate = options.loss;
            network.send_latency = options.latency.clone();
        });
    }

    /// Lets all that a machine sends and is sent be late for a while.
    pub async fn slow_down(&self, machine: usize, late: Duration, lasts: Duration) {
        self.world().count("slowed down", 1);
        let own = self.machine(machine).ip();
        let others = self.machines().iter().map(|other| other.ip()).filter(|other| *other != own);
        let directions = others.flat_map(|other| [(own, other), (other, own)]).collect();
        self.in_condition(directions, Condition { late, lost: 0.0 }, lasts).await;
    }

    /// Lets much of what goes in one direction be lost for a while.
    pub async fn lose_much(&self, from: usize, to: usize, lost: f64, lasts: Duration) {
        self.world().count("lossy in one direction", 1);
        let direction = (self.machine(from).ip(), self.machine(to).ip());
        self.in_condition(vec![direction], Condition { late: Duration::ZERO, lost }, lasts).await;
    }

    async fn in_condition(&self, directions: Vec<Direction>, condition: Condition, lasts: Duration) {
        directions.iter().for_each(|direction| self.0.weather.set(*direction, condition));
        sleep(lasts).await;
        directions.iter().for_each(|direction| self.0.weather.set(*direction, Condition::default()));
    }

    /// Breaks every link of a machine in the middle of what is sent next, those of clients too.
    pub fn break_links(&self, machine: usize) {
        let own = self.machine(machine).ip();
        let clients = (0..lock(&self.0.clients).len()).map(client_ip);
        let others = self.machines().iter().map(|other| other.ip()).chain(clients).filter(|other| *other != own);
        others.for_each(|other| self.0.weather.break_links(own, other));
        self.world().count("links broken", 1);
    }
}

/// What the wall clock would say if nobody had set it.
fn true_wall() -> i64 {
    let now = madsim::time::TimeHandle::current().now_time();
    let since = now.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or_default()
}
