//! What goes wrong and when. The schedule is data: drawn before the run, so that it can be printed.

use std::fmt;
use std::time::Duration;

use madsim::rand::Rng;
use madsim::time::sleep;
use mneme_runtime_sim::Trap;
use serde::{Deserialize, Serialize};

use crate::cluster::{Cluster, Ending};
use crate::dice::Dice;
use crate::options::Options;
use crate::timeline::Lane;

mod moment;
mod partition;

use moment::Moment;
use partition::Shape;

/// A machine, by what it is at the time of the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    Machine(usize),
    /// The one with the primary.
    Primary,
    /// The one with the Keeper that leads.
    Leader,
}

/// A fault.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Fault {
    /// The server's process dies; the machine runs on.
    Kill { who: Who, down: Duration },
    /// The machine loses its power.
    PowerCut { who: Who, down: Duration },
    /// The server is stopped in order; then the machine perhaps loses its power.
    Stop { who: Who, then: Ending, down: Duration },
    /// Several machines at once, those whose bit is set.
    Outage { machines: u32, ending: Ending, down: Duration },
    /// The server's process is suspended.
    Pause { who: Who, lasts: Duration },
    /// Nothing passes between one client and a Core.
    CutLink { client: u64, core: usize, lasts: Duration },
    /// Machines stop hearing each other.
    Partition { shape: Shape, lasts: Duration },
    /// The same, again and again, each time for so long.
    Flapping { shape: Shape, period: Duration, times: u32 },
    /// Packets are late and lost everywhere; it may come and go by and by.
    Storm { loss: f64, slowest: Duration, lasts: Duration, swells: bool },
    /// All that one machine sends and is sent is late.
    Slow { who: Who, late: Duration, lasts: Duration },
    /// Much of what goes from one machine to another one is lost, and comes by the second or third try; the other way it
    /// goes well.
    Lossy { from: usize, to: usize, lost: f64, lasts: Duration },
    /// Every link of a machine breaks in the middle of what is sent next over it.
    BreakLinks { who: Who },
    /// Proposals of some time ago come to the Keeper that leads once more, in any order.
    Echo { draw: u64, times: u32 },
    /// A server is replaced by the newest version.
    Upgrade { machine: usize },
    /// A server is stopped, and started with other settings.
    Reconfigure { machine: usize, draw: u64 },
    /// Somebody sets a machine's wall clock; negative is back.
    JumpClock { who: Who, millis: i64 },
    /// Some of the disk's syncs fail.
    BadDisk { keeper: usize, lasts: Duration },
    /// Syncs take longer than usual, perhaps longer than a reply may wait.
    SlowDisk { keeper: usize, sync: Duration, lasts: Duration },
    /// Something on the disk is damaged while the server is stopped; `draw` says what and how.
    Damage { keeper: usize, draw: u64 },
    /// Something is damaged where it decides what a majority knows.
    DamageWhatDecides { keeper: usize, draw: u64, down: Duration },
    /// A machine's disk is lost with all that is on it.
    Wipe { keeper: usize, down: Duration },
    /// A Core without a Keeper beside it, or a Replica, hears no Keeper until the log is too short for it.
    FallBehind { machine: usize },
    /// A node is removed from the cluster, and joins again as a new one.
    Remove { machine: usize, draw: u64 },
    /// There is no space beyond what is used, so often, with some in between.
    FullDisk { keeper: usize, lasts: Duration, times: u32 },
    /// Some reads and writes fail, and some reads find the end too early.
    FailingDisk { keeper: usize, lasts: Duration },
    /// A life ends in the middle of something.
    EndIn {
        keeper: usize,
        moment: Moment,
        #[serde(with = "moment::written")]
        trap: Trap,
        then: Ending,
        down: Duration,
    },
}

/// Faults, each with the time that passes before it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schedule(pub Vec<(Duration, Fault)>);

impl Schedule {
    pub fn draw(options: &Options) -> Schedule {
        let mut dice = Dice::new(options.seed, 1);
        let mut faults = Vec::new();
        let mut left = options.duration;
        loop {
            let gap = dice.gen_range(options.faults.gap.clone());
            if gap > left {
                return Schedule(faults);
            }
            left -= gap;
            faults.push((gap, Fault::draw(&mut dice, options)));
        }
    }

    /// Lets it all happen. Where there are several machines, faults do not wait for each other.
    pub async fn carry_out(&self, cluster: &Cluster) {
        let is_solo = cluster.world().options.topology.is_solo();
        let mut happening = Vec::new();
        for (number, (gap, fault)) in self.0.iter().enumerate() {
            sleep(*gap).await;
            cluster.event(format_args!("nemesis: {fault:?}"));
            if is_solo {
                fault.happen_as(number, cluster).await;
            } else {
                let (fault, cluster) = (*fault, cluster.clone());
                happening.push(madsim::task::spawn(async move { fault.happen_as(number, &cluster).await }));
            }
        }
        for fault in happening {
            fault.await.expect("a fault is not cancelled");
        }
    }
}

impl Who {
    fn draw(dice: &mut Dice, options: &Options) -> Who {
        let machines = options.topology.roles().len();
        match dice.weighted(&[(2, 0), (3, 1), (2, 2)]) {
            0 => Who::Machine(dice.gen_range(0..machines)),
            1 => Who::Primary,
            _ => Who::Leader,
        }
    }

    /// The machine that it is now; none if nobody has that role.
    fn find(self, cluster: &Cluster) -> Option<usize> {
        match self {
            Who::Machine(number) => Some(number),
            Who::Primary => cluster.primary(),
            Who::Leader => cluster.leader(),
        }
    }
}

impl Fault {
    fn draw(dice: &mut Dice, options: &Options) -> Fault {
        fn down(dice: &mut Dice, options: &Options) -> Duration {
            dice.gen_range(options.faults.down.clone())
        }
        fn keeper(dice: &mut Dice, options: &Options) -> usize {
            let keepers = options.topology.keepers();
            keepers[dice.gen_range(0..keepers.len())]
        }
        fn ending(dice: &mut Dice, power_cuts: f64) -> Ending {
            if dice.chance(power_cuts) { Ending::PowerCut } else { Ending::Kill }
        }
        let weights = options.faults.weights;
        let draw = dice.weighted::<fn(&mut Dice, &Options) -> Fault>(&[
            (weights.kill, |dice, options| Fault::Kill { who: Who::draw(dice, options), down: down(dice, options) }),
            (weights.power_cut, |dice, options| Fault::PowerCut {
                who: Who::draw(dice, options),
                down: down(dice, options),
            }),
            (weights.stop, |dice, options| Fault::Stop {
                who: Who::draw(dice, options),
                then: ending(dice, 0.5),
                down: down(dice, options),
            }),
            (weights.outage, |dice, options| {
                let all = (1 << options.topology.roles().len()) - 1;
                Fault::Outage {
                    machines: if dice.chance(0.5) { all } else { dice.gen_range(1..=all) },
                    ending: ending(dice, 0.7),
                    down: down(dice, options),
                }
            }),
            (weights.pause, |dice, options| Fault::Pause {
                who: Who::draw(dice, options),
                lasts: if dice.chance(0.5) {
                    // About a lease.
                    options.lease.mul_f64(dice.log_uniform(0.3..=4.0))
                } else {
                    // Some are longer than a reply may wait for its level.
                    options.level_timeout.mul_f64(dice.log_uniform(0.01..=1.5))
                },
            }),
            (weights.cut_link, |dice, options| {
                let cores = options.topology.cores();
                Fault::CutLink {
                    client: dice.gen_range(0..options.clients.count),
                    core: cores[dice.gen_range(0..cores.len())],
                    lasts: dice.millis(10.0..=3_000.0),
                }
            }),
            (weights.partition, |dice, options| Fault::Partition {
                shape: Shape::draw(dice, options),
                lasts: dice.millis(50.0..=6_000.0),
            }),
            (weights.flapping, |dice, options| Fault::Flapping {
                shape: Shape::draw(dice, options),
                period: dice.millis(20.0..=800.0),
                times: dice.gen_range(2..8),
            }),
            (weights.storm, |dice, _| Fault::Storm {
                loss: dice.log_uniform(0.001..=0.3),
                slowest: dice.millis(1.0..=400.0),
                lasts: dice.millis(100.0..=4_000.0),
                swells: dice.chance(0.5),
            }),
            (weights.slow, |dice, options| Fault::Slow {
                who: Who::draw(dice, options),
                late: dice.millis(5.0..=1_000.0),
                lasts: dice.millis(200.0..=5_000.0),
            }),
            (weights.lossy, |dice, options| {
                let machines = options.topology.roles().len();
                let from = dice.gen_range(0..machines);
                let to = (from + dice.gen_range(1..machines)) % machines;
                Fault::Lossy { from, to, lost: dice.gen_range(0.1..0.9), lasts: dice.millis(200.0..=5_000.0) }
            }),
            (weights.break_links, |dice, options| Fault::BreakLinks { who: Who::draw(dice, options) }),
            (weights.echo, |dice, _| Fault::Echo { draw: dice.r#gen(), times: dice.gen_range(1..=6) }),
            (weights.upgrade, |dice, options| {
                let members = options.topology.members();
                Fault::Upgrade { machine: members[dice.gen_range(0..members.len())] }
            }),
            (weights.reconfigure, |dice, options| Fault::Reconfigure {
                machine: dice.gen_range(0..options.topology.roles().len()),
                draw: dice.r#gen(),
            }),
            (weights.jump_clock, |dice, options| {
                let millis = dice.log_uniform(1.0..=20_000.0) as i64;
                let millis = if dice.chance(0.5) { millis } else { -millis };
                Fault::JumpClock { who: Who::draw(dice, options), millis }
            }),
            (weights.bad_disk, |dice, options| Fault::BadDisk {
                keeper: keeper(dice, options),
                lasts: dice.millis(20.0..=1_000.0),
            }),
            (weights.slow_disk, |dice, options| Fault::SlowDisk {
                keeper: keeper(dice, options),
                sync: options.level_timeout.mul_f64(dice.log_uniform(0.1..=1.5)),
                lasts: options.level_timeout.mul_f64(dice.log_uniform(0.3..=2.0)),
            }),
            (weights.damage, |dice, options| Fault::Damage { keeper: keeper(dice, options), draw: dice.r#gen() }),
            (weights.damage_what_decides, |dice, options| Fault::DamageWhatDecides {
                keeper: keeper(dice, options),
                draw: dice.r#gen(),
                down: down(dice, options),
            }),
            (weights.wipe, |dice, options| Fault::Wipe { keeper: keeper(dice, options), down: down(dice, options) }),
            (weights.fall_behind, |dice, options| {
                let followers = options.topology.followers();
                Fault::FallBehind { machine: followers[dice.gen_range(0..followers.len())] }
            }),
            (weights.remove, |dice, options| {
                let members = options.topology.members();
                Fault::Remove { machine: members[dice.gen_range(0..members.len())], draw: dice.gen_range(0..8) }
            }),
            (weights.full_disk, |dice, options| Fault::FullDisk {
                keeper: keeper(dice, options),
                lasts: dice.millis(100.0..=3_000.0),
                times: dice.gen_range(1..=3),
            }),
            (weights.failing_disk, |dice, options| Fault::FailingDisk {
                keeper: keeper(dice, options),
                lasts: dice.millis(20.0..=1_000.0),
            }),
            (weights.end_in, |dice, options| {
                let moment = Moment::draw(dice, options);
                Fault::EndIn {
                    keeper: keeper(dice, options),
                    moment,
                    trap: moment.draw_trap(dice),
                    then: ending(dice, 0.7),
                    down: down(dice, options),
                }
            }),
        ]);
        draw(dice, options)
    }

    /// Happens as the fault of this number in the schedule.
    async fn happen_as(self, number: usize, cluster: &Cluster) {
        cluster.world().shows(Lane::Fault(number), Some(format!("{self:?}")));
        self.happen(cluster).await;
        cluster.world().shows(Lane::Fault(number), None);
    }

    async fn happen(self, cluster: &Cluster) {
        match self {
            Fault::Kill { who, down } => {
                let Some(machine) = who.find(cluster) else { return };
                cluster.restart(machine, Ending::Kill, down).await;
            }
            Fault::PowerCut { who, down } => {
                let Some(machine) = who.find(cluster) else { return };
                cluster.restart(machine, Ending::PowerCut, down).await;
            }
            Fault::Stop { who, then, down } => {
                let Some(machine) = who.find(cluster) else { return };
                cluster.stop_and_restart(machine, then, down).await;
            }
            Fault::Outage { machines, ending, down } => cluster.outage(machines, ending, down).await,
            Fault::Pause { who, lasts } => {
                let Some(machine) = who.find(cluster) else { return };
                cluster.pause(machine, lasts).await;
            }
            Fault::CutLink { client, core, lasts } => cluster.cut_link(client, core, lasts).await,
            Fault::Partition { shape, lasts } => partition(cluster, shape, lasts).await,
            Fault::Flapping { shape, period, times } => {
                cluster.world().count("flapped", 1);
                for _ in 0..times {
                    partition(cluster, shape, period).await;
                    sleep(period).await;
                }
            }
            Fault::Storm { loss, slowest, lasts, swells } => cluster.storm(loss, slowest, lasts, swells).await,
            Fault::Slow { who, late, lasts } => {
                let Some(machine) = who.find(cluster) else { return };
                cluster.slow_down(machine, late, lasts).await;
            }
            Fault::Lossy { from, to, lost, lasts } => cluster.lose_much(from, to, lost, lasts).await,
            Fault::BreakLinks { who } => {
                let Some(machine) = who.find(cluster) else { return };
                cluster.break_links(machine);
            }
            Fault::Echo { draw, times } => cluster.echo(draw, times).await,
            Fault::Upgrade { machine } => cluster.upgrade(machine).await,
            Fault::Reconfigure { machine, draw } => cluster.reconfigure(machine, draw).await,
            Fault::JumpClock { who, millis } => {
                let Some(machine) = who.find(cluster) else { return };
                cluster.jump_clock(machine, millis);
            }
            Fault::BadDisk { keeper, lasts } => cluster.break_disk(keeper, lasts).await,
            Fault::SlowDisk { keeper, sync, lasts } => cluster.slow_disk(keeper, sync, lasts).await,
            Fault::Damage { keeper, draw } => cluster.damage(keeper, draw).await,
            Fault::DamageWhatDecides { keeper, draw, down } => cluster.damage_what_decides(keeper, draw, down).await,
            Fault::Wipe { keeper, down } => cluster.wipe(keeper, down).await,
            Fault::FallBehind { machine } => cluster.fall_behind(machine).await,
            Fault::Remove { machine, draw } => cluster.remove(machine, draw).await,
            Fault::FullDisk { keeper, lasts, times } => cluster.fill_disk(keeper, lasts, times).await,
            Fault::FailingDisk { keeper, lasts } => cluster.fail_operations(keeper, lasts).await,
            Fault::EndIn { keeper, moment: moment @ Moment::Install, trap, then, down } => {
                cluster.end_in_install(keeper, moment.name(), trap, then, down).await;
            }
            Fault::EndIn { keeper, moment, trap, then, down } => {
                cluster.end_in(keeper, moment.name(), trap, moment == Moment::Recovery, then, down).await;
            }
        }
    }
}

/// Lets the network fall apart for a while, and counts it, and whether somebody else took over meanwhile.
async fn partition(cluster: &Cluster, shape: Shape, lasts: Duration) {
    let cut = shape.cut(cluster);
    if cut.is_empty() {
        return;
    }
    cluster.world().count(shape.name(), 1);
    let before = cluster.progress();
    cluster.cut(&cut);
    sleep(lasts).await;
    let after = cluster.progress();
    cluster.mend(&cut);
    cluster.world().count("epochs that began in a partition", u64::from(after.epoch > before.epoch));
    cluster.world().count("terms that began in a partition", u64::from(after.term > before.term));
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = Duration::ZERO;
        for (number, (gap, fault)) in self.0.iter().enumerate() {
            at += *gap;
            writeln!(f, "{number:>4} {:8.3} s of running  {fault:?}", at.as_secs_f64())?;
        }
        Ok(())
    }
}
