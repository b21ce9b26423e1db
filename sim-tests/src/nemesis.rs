//! What goes wrong and when. The schedule is data: drawn before the run, so that it can be printed.

use std::fmt;
use std::time::Duration;

use madsim::rand::Rng;
use mneme_runtime_sim::{Operation, Trap};

use crate::cluster::{Cluster, Ending};
use crate::dice::Dice;
use crate::options::Options;

/// A fault.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The server's process dies; the machine runs on.
    Kill { down: Duration },
    /// The machine loses its power.
    PowerCut { down: Duration },
    /// The server is stopped in order; then the machine perhaps loses its power.
    Stop { then: Ending, down: Duration },
    /// The server's process is suspended.
    Pause { lasts: Duration },
    /// Nothing passes between one client and the server.
    CutLink { client: u64, lasts: Duration },
    /// Somebody sets the machine's wall clock; negative is back.
    JumpClock { millis: i64 },
    /// Some of the disk's syncs fail.
    BadDisk { lasts: Duration },
    /// Syncs take longer than usual, perhaps longer than a reply may wait.
    SlowDisk { sync: Duration, lasts: Duration },
    /// A bit flips while the server is stopped; `draw` says which.
    Damage { draw: u64 },
    /// There is no space beyond what is used.
    FullDisk { lasts: Duration },
    /// Some reads and writes fail, and some reads find the end too early.
    FailingDisk { lasts: Duration },
    /// A life ends in the middle of something.
    EndIn { moment: Moment, trap: Trap, then: Ending, down: Duration },
}

/// In the middle of what a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Snapshot,
    Rotation,
    Purge,
    Recovery,
}

impl Moment {
    /// The operations that make it up, each with what its path begins with.
    fn operations(self) -> &'static [(Operation, &'static str)] {
        match self {
            Moment::Snapshot => &[
                (Operation::Create, "snapshot/"),
                (Operation::Write, "snapshot/"),
                (Operation::Sync, "snapshot/"),
                (Operation::SyncFolder, "snapshot/"),
                (Operation::Rename, "snapshot/"),
                (Operation::Remove, "snapshot/"),
            ],
            Moment::Rotation => &[
                (Operation::Create, "log/new-segment"),
                (Operation::Allocate, "log/new-segment"),
                (Operation::Sync, "log/new-segment"),
                (Operation::Rename, "log/"),
                (Operation::SyncFolder, "log/"),
            ],
            Moment::Purge => &[(Operation::Remove, "log/0")],
            Moment::Recovery => &[
                (Operation::List, ""),
                (Operation::Open, ""),
                (Operation::Read, "log/"),
                (Operation::Read, "snapshot/"),
                (Operation::Sync, "log/"),
                (Operation::Truncate, "log/"),
                (Operation::Rename, "log/"),
                (Operation::SyncFolder, ""),
            ],
        }
    }

    fn draw_trap(self, dice: &mut Dice) -> Trap {
        let operations = self.operations();
        let (operation, prefix) = operations[dice.gen_range(0..operations.len())];
        Trap { operation, prefix, skip: dice.gen_range(0..3) }
    }

    fn name(self) -> &'static str {
        match self {
            Moment::Snapshot => "ended in a snapshot",
            Moment::Rotation => "ended in a rotation",
            Moment::Purge => "ended in a purge",
            Moment::Recovery => "ended in recovery",
        }
    }
}

/// Faults, each with the time that passes before it.
#[derive(Clone, Debug)]
pub struct Schedule(Vec<(Duration, Fault)>);

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

    /// Lets it all happen.
    pub async fn carry_out(&self, cluster: &Cluster) {
        for (gap, fault) in &self.0 {
            cluster.run_for(*gap).await;
            cluster.event(format_args!("nemesis: {fault:?}"));
            fault.happen(cluster).await;
        }
    }
}

impl Fault {
    fn draw(dice: &mut Dice, options: &Options) -> Fault {
        fn down(dice: &mut Dice, options: &Options) -> Duration {
            dice.gen_range(options.faults.down.clone())
        }
        let weights = options.faults.weights;
        let draw = dice.weighted::<fn(&mut Dice, &Options) -> Fault>(&[
            (weights.kill, |dice, options| Fault::Kill { down: down(dice, options) }),
            (weights.power_cut, |dice, options| Fault::PowerCut { down: down(dice, options) }),
            (weights.stop, |dice, options| Fault::Stop {
                then: if dice.chance(0.5) { Ending::PowerCut } else { Ending::Kill },
                down: down(dice, options),
            }),
            (weights.pause, |dice, options| Fault::Pause {
                // Some are longer than a reply may wait for its level.
                lasts: options.level_timeout.mul_f64(dice.log_uniform(0.01..=1.5)),
            }),
            (weights.cut_link, |dice, options| Fault::CutLink {
                client: dice.gen_range(0..options.clients.count),
                lasts: dice.millis(10.0..=3_000.0),
            }),
            (weights.jump_clock, |dice, _| {
                let millis = dice.log_uniform(1.0..=20_000.0) as i64;
                Fault::JumpClock { millis: if dice.chance(0.5) { millis } else { -millis } }
            }),
            (weights.bad_disk, |dice, _| Fault::BadDisk { lasts: dice.millis(20.0..=1_000.0) }),
            (weights.slow_disk, |dice, options| Fault::SlowDisk {
                sync: options.level_timeout.mul_f64(dice.log_uniform(0.1..=1.5)),
                lasts: options.level_timeout.mul_f64(dice.log_uniform(0.3..=2.0)),
            }),
            (weights.damage, |dice, _| Fault::Damage { draw: dice.r#gen() }),
            (weights.full_disk, |dice, _| Fault::FullDisk { lasts: dice.millis(100.0..=3_000.0) }),
            (weights.failing_disk, |dice, _| Fault::FailingDisk { lasts: dice.millis(20.0..=1_000.0) }),
            (weights.end_in, |dice, options| {
                let moments = [Moment::Snapshot, Moment::Rotation, Moment::Purge, Moment::Recovery];
                let moment = moments[dice.gen_range(0..moments.len())];
                Fault::EndIn {
                    moment,
                    trap: moment.draw_trap(dice),
                    then: if dice.chance(0.7) { Ending::PowerCut } else { Ending::Kill },
                    down: down(dice, options),
                }
            }),
        ]);
        draw(dice, options)
    }

    async fn happen(self, cluster: &Cluster) {
        match self {
            Fault::Kill { down } => cluster.restart(Ending::Kill, down).await,
            Fault::PowerCut { down } => cluster.restart(Ending::PowerCut, down).await,
            Fault::Stop { then, down } => {
                cluster.stop().await;
                cluster.restart(then, down).await;
            }
            Fault::Pause { lasts } => cluster.pause(lasts).await,
            Fault::CutLink { client, lasts } => cluster.cut_link(client, lasts),
            Fault::JumpClock { millis } => cluster.jump_clock(millis),
            Fault::BadDisk { lasts } => cluster.break_disk(lasts).await,
            Fault::SlowDisk { sync, lasts } => cluster.slow_disk(sync, lasts).await,
            Fault::Damage { draw } => cluster.damage(draw).await,
            Fault::FullDisk { lasts } => cluster.fill_disk(lasts).await,
            Fault::FailingDisk { lasts } => cluster.fail_operations(lasts).await,
            Fault::EndIn { moment, trap, then, down } => {
                cluster.end_in(moment.name(), trap, moment == Moment::Recovery, then, down).await;
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = Duration::ZERO;
        for (gap, fault) in &self.0 {
            at += *gap;
            writeln!(f, "{:8.3} s of running  {fault:?}", at.as_secs_f64())?;
        }
        Ok(())
    }
}
