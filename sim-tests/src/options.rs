//! Everything that differs between seeds. This is the only place where a seed chooses a knob.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use madsim::rand::Rng;
use madsim::rand::seq::SliceRandom;
use mneme_driver::keeper::{RaftTimes, Schedule};
use mneme_kernel::agreed::{NEWEST, OLDEST};
use mneme_kernel::eviction::Policy;
use mneme_runtime_sim::{DiskOptions, Skew};
use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use crate::topology::Topology;

/// The knobs of one run. Ranges are wide, so that seeds differ in kind and not only in detail (swarm testing: Groce et
/// al., ISSTA 2012).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    pub seed: u64,
    /// What is not drawn beforehand draws from this: latencies, losses, what a disk keeps, whose turn it is.
    pub chance: u64,
    pub topology: Topology,
    /// How long faults are drawn for; when the last is over, everything heals.
    pub duration: Duration,
    /// How long faults and commands go on at least. A seed leaves it to its faults.
    pub lasts: Duration,
    pub clients: ClientOptions,
    pub faults: FaultOptions,
    /// Latency of a packet, one way.
    pub latency: Range<Duration>,
    /// Probability that a packet is lost and sent again.
    pub loss: f64,
    /// Probability that a read from a link gives only a piece of what has come.
    pub pieces: f64,
    /// Latency of the disk's syncs.
    pub sync: RangeInclusive<Duration>,
    /// When the server makes snapshots.
    #[serde(with = "SnapshotSchedule")]
    pub snapshots: Schedule,
    /// Bytes of a segment of the server's log.
    pub segment_bytes: u64,
    /// How long the server lets a reply wait for its level.
    pub level_timeout: Duration,
    /// How long a command may wait for a primary.
    pub park_timeout: Duration,
    /// How long a primary may answer reads without asking.
    pub lease: Duration,
    /// Whether it always asks.
    pub quorum_check: bool,
    /// Raft's clock.
    #[serde(with = "Raft")]
    pub raft: RaftTimes,
    /// Bytes that items may take; 0 is no limit.
    pub max_memory: u64,
    /// By Redis's name, which keys make room for others then; empty: none.
    #[serde(default)]
    pub memory_policy: String,
    /// The newest format that each machine reads at first, where that is not the newest of all; a restart with a newer version
    /// raises it.
    pub reads: Vec<u32>,
    /// How far each machine's clocks are off from the beginning.
    pub skews: Vec<Skew>,
    /// Whether users and databases come and go.
    pub changes_rights: bool,
    /// Whether an operator asks for snapshots, digests, hand-overs and the like.
    pub is_operated: bool,
    /// Whether clients read at `EVENTUAL`, each at one node.
    pub reads_everywhere: bool,
    /// Whether a client counts by `WAIT` who has what it wrote.
    pub counts_waits: bool,
    /// Whether clients publish and subscribe, at every node.
    pub publishes: bool,
}

/// [`RaftTimes`] in a file.
#[derive(Serialize, Deserialize)]
#[serde(remote = "RaftTimes")]
struct Raft {
    heartbeat: Duration,
    election_min: Duration,
    election_max: Duration,
}

/// [`Schedule`] in a file.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Schedule")]
struct SnapshotSchedule {
    log_bytes: u64,
    interval: Duration,
}

/// What clients do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientOptions {
    pub count: u64,
    /// Those of them that do nothing. No seed has any.
    pub silent: BTreeSet<u64>,
    /// Commands that all clients together send at most.
    pub commands: usize,
    /// Numbered databases in use; each has keys of its own.
    pub databases: u16,
    pub keys: u16,
    /// Further keys, whose values change in place.
    pub texts: u16,
    /// Further keys, which are meant for collections and sketches: for each, which.
    pub types: Vec<Type>,
    /// Probability that a command is on its database's first key.
    pub skew: f64,
    /// Commands that one client sends at once, at most.
    pub pipeline: usize,
    /// Average pause between two pipelines of a client.
    pub think: Duration,
    /// After how long a client gives up on a reply.
    pub patience: Duration,
    /// Bytes of a text, at most.
    pub text: usize,
    /// Share of commands at `EVENTUAL`.
    pub eventual: f64,
    /// Share of commands that name `ALL` or `QUORUM`.
    pub named_level: f64,
    /// Milliseconds for which a key with a deadline lives, at most.
    pub lifetime: i64,
    /// How often each kind of command is sent.
    pub mix: Mix,
}

/// Weights of the kinds of commands.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Mix {
    pub set: u32,
    pub get: u32,
    pub delete: u32,
    pub increment: u32,
    pub deadline: u32,
    pub several: u32,
    pub size: u32,
    pub flush: u32,
    /// Commands on texts.
    pub text: u32,
    /// RENAME and COPY.
    pub rename: u32,
    /// SWAPDB, MOVE, and COPY into another database.
    pub across: u32,
    /// KEYS and RANDOMKEY.
    pub list: u32,
    /// Further ways to write and to read and to set deadlines.
    pub further: u32,
    /// Commands on collections and sketches.
    pub typed: u32,
    /// Per thousand pipelines, so many transactions instead.
    pub block: u32,
    /// Per thousand, walks through a database.
    pub walk: u32,
    /// Per thousand, disturbances of other clients.
    pub disturb: u32,
    /// Per thousand, writes at `ALL` that are looked for.
    pub look: u32,
}

/// The number of the first key whose value changes in place.
pub const TEXTS: u16 = 100;
/// The number of the first key that is meant for collections and sketches.
pub const TYPED: u16 = 200;

/// What a key may be meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Type {
    List,
    Hash,
    Set,
    Sorted,
    Stream,
    Sketch,
    Document,
}

impl Type {
    pub const ALL: [Type; 7] =
        [Type::List, Type::Hash, Type::Set, Type::Sorted, Type::Stream, Type::Sketch, Type::Document];
}

/// What goes wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FaultOptions {
    /// Time between two faults.
    pub gap: RangeInclusive<Duration>,
    /// How long a dead server stays down.
    pub down: RangeInclusive<Duration>,
    /// How often each kind of fault happens.
    pub weights: FaultWeights,
    /// Probability that a sync fails while the disk is bad.
    pub failed_sync: f64,
    /// Probability that a read or a write fails, or a read finds the end too early, while the disk fails.
    pub failed_operation: f64,
}

/// Weights of the kinds of faults.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct FaultWeights {
    pub kill: u32,
    pub power_cut: u32,
    pub stop: u32,
    pub pause: u32,
    pub cut_link: u32,
    pub jump_clock: u32,
    pub bad_disk: u32,
    pub slow_disk: u32,
    pub full_disk: u32,
    pub damage: u32,
    pub damage_what_decides: u32,
    pub failing_disk: u32,
    pub end_in: u32,
    pub outage: u32,
    pub partition: u32,
    pub flapping: u32,
    pub storm: u32,
    pub wipe: u32,
    pub fall_behind: u32,
    pub remove: u32,
    pub slow: u32,
    pub lossy: u32,
    pub break_links: u32,
    pub echo: u32,
    pub upgrade: u32,
    pub reconfigure: u32,
}

impl Options {
    /// Which keys make room for others.
    pub fn policy(&self) -> Policy {
        let named = Policy::ALL.into_iter().find(|(name, _)| *name == self.memory_policy);
        named.map(|(_, policy)| policy).unwrap_or_default()
    }

    /// Whether keys may go though nobody has asked for that. What clients see of them is not judged then, but whether all nodes
    /// have the same.
    pub fn evicts(&self) -> bool {
        self.max_memory > 0 && self.policy() != Policy::NoEviction
    }

    pub fn from_seed(seed: u64) -> Options {
        let mut dice = Dice::new(seed, 0);
        let slowest_sync = dice.millis(0.1..=30.0);
        let slowest_packet = dice.millis(0.5..=20.0);
        let topology = Topology::draw(&mut dice);
        let duration = dice.millis(3_000.0..=15_000.0);
        // The last one, under which nothing goes, in half of all.
        let policy = Policy::ALL[Dice::new(seed, 9_000).gen_range(0..14).min(7)].0;
        Options {
            seed,
            chance: seed,
            duration,
            lasts: Duration::ZERO,
            clients: ClientOptions::draw(&mut dice, &topology, duration),
            faults: FaultOptions::draw(&mut dice, &topology),
            latency: slowest_packet / 10..slowest_packet,
            loss: if dice.chance(0.3) { dice.log_uniform(0.001..=0.05) } else { 0.0 },
            sync: slowest_sync / 20..=slowest_sync,
            snapshots: draw_snapshots(&mut dice),
            segment_bytes: draw_segment_bytes(&mut dice),
            level_timeout: dice.millis(300.0..=5_000.0),
            park_timeout: dice.millis(500.0..=10_000.0),
            lease: dice.millis(150.0..=3_000.0),
            quorum_check: dice.chance(0.1),
            skews: draw_skews(&mut dice, &topology),
            changes_rights: dice.chance(0.3),
            pieces: if dice.chance(0.2) { dice.log_uniform(0.01..=0.5) } else { 0.0 },
            raft: draw_raft(&mut dice),
            max_memory: if dice.chance(0.1) { dice.log_uniform(500.0..=10_000.0) as u64 } else { 0 },
            // Of a single node it is looked at whether its data is the same after a restart, though a tick may make room in between.
            memory_policy: if topology.is_solo() { "noeviction" } else { policy }.to_owned(),
            reads: draw_reads(&mut dice, &topology),
            is_operated: dice.chance(0.4),
            reads_everywhere: true,
            counts_waits: true,
            publishes: true,
            topology,
        }
    }

    /// The disk while it is sound.
    pub fn sound_disk(&self) -> DiskOptions {
        DiskOptions { sync: self.sync.clone(), ..DiskOptions::default() }
    }

    /// The disk while its syncs take so long.
    pub fn slow_disk(&self, sync: Duration) -> DiskOptions {
        DiskOptions { sync: sync / 4..=sync, ..self.sound_disk() }
    }

    /// The disk while it is bad.
    pub fn bad_disk(&self) -> DiskOptions {
        DiskOptions { failed_sync: self.faults.failed_sync, ..self.sound_disk() }
    }
}

impl Options {
    /// The disk while its operations fail.
    pub fn failing_disk(&self) -> DiskOptions {
        let often = self.faults.failed_operation;
        DiskOptions { failed_read: often, failed_write: often, short_read: often, ..self.sound_disk() }
    }
}

pub fn draw_snapshots(dice: &mut Dice) -> Schedule {
    Schedule { log_bytes: dice.log_uniform(2_000.0..=1_000_000.0) as u64, interval: dice.millis(500.0..=60_000.0) }
}

pub fn draw_segment_bytes(dice: &mut Dice) -> u64 {
    dice.log_uniform(2_000.0..=1_000_000.0) as u64
}

/// Mostly as in production; else faster or slower.
fn draw_raft(dice: &mut Dice) -> RaftTimes {
    let usual = RaftTimes::default();
    let factor = if dice.chance(0.25) { dice.log_uniform(0.7..=3.0) } else { 1.0 };
    RaftTimes {
        heartbeat: usual.heartbeat.mul_f64(factor),
        election_min: usual.election_min.mul_f64(factor),
        election_max: usual.election_max.mul_f64(factor),
    }
}

/// Now and then some members of a cluster are of an older version.
fn draw_reads(dice: &mut Dice, topology: &Topology) -> Vec<u32> {
    let is_mixed = !topology.is_solo() && dice.chance(0.15);
    let members = topology.members();
    let mut reads = |machine| if is_mixed && members.contains(&machine) && dice.chance(0.5) { OLDEST } else { NEWEST };
    (0..topology.roles().len()).map(&mut reads).collect()
}

/// A rate that is wrong by more, in millionths, is not allowed for.
pub const WORST_RATE: i32 = 10_000;

fn draw_skews(dice: &mut Dice, topology: &Topology) -> Vec<Skew> {
    let (wall, rates) = (dice.chance(0.3), dice.weighted(&[(3, Rates::Right), (3, Rates::Any), (4, Rates::Worst)]));
    let skew = |_| Skew {
        wall: if wall { dice.gen_range(-100_000..=100_000) } else { 0 },
        monotonic: dice.millis(1.0..=1e9),
        rate: match rates {
            Rates::Right => 0,
            Rates::Any => dice.gen_range(-WORST_RATE..=WORST_RATE),
            Rates::Worst => *[-WORST_RATE, WORST_RATE].choose(dice).expect("two rates"),
        },
    };
    topology.roles().iter().map(skew).collect()
}

/// How fast machines' clocks run.
#[derive(Clone, Copy)]
enum Rates {
    Right,
    Any,
    /// As fast or as slow as is allowed for: the slow primary's lease seems long to the fast standby.
    Worst,
}

impl ClientOptions {
    fn draw(dice: &mut Dice, topology: &Topology, duration: Duration) -> ClientOptions {
        let mut options = ClientOptions::draw_solo(dice);
        if topology.is_solo() {
            return options;
        }
        // What nobody knows the fate of stays open for ever, which makes the search for a linearization long; longest
        // where all databases are searched as one.
        let joined = options.mix.across > 0;
        options.databases = options.databases.min(if joined { 2 } else { 3 });
        let most = if joined { 70.0 } else { 120.0 };
        options.commands = usize::from(options.databases) * dice.log_uniform(50.0..=most) as usize;
        options.text = options.text.min(60);
        // The commands are spread over the time in which there are faults.
        let turns = options.commands as f64 / options.count as f64 / (1.0 + options.pipeline as f64) * 2.0;
        options.think = duration.mul_f64(dice.gen_range(0.4..1.2) / turns);
        options.patience = dice.millis(3_000.0..=15_000.0);
        options
    }

    fn draw_solo(dice: &mut Dice) -> ClientOptions {
        let mix = Mix::draw(dice);
        // Databases between which commands go are searched as one.
        let joined = mix.across > 0;
        let databases = dice.gen_range(1..=if joined { 3 } else { 6 });
        let most = if joined || mix.block > 0 { 160.0 } else { 300.0 };
        ClientOptions {
            count: dice.gen_range(1..=8),
            silent: BTreeSet::new(),
            // Every database is searched for a linearization as one: the work for that is bounded here.
            commands: usize::from(databases) * dice.log_uniform(60.0..=most) as usize,
            databases,
            keys: dice.gen_range(1..=8),
            skew: if dice.chance(0.5) { dice.gen_range(0.0..0.8) } else { 0.0 },
            pipeline: dice.gen_range(1..=6),
            think: dice.millis(0.5..=60.0),
            patience: dice.millis(1_000.0..=12_000.0),
            text: if dice.chance(0.2) { 60_000 } else { 60 },
            eventual: if dice.chance(0.4) { dice.gen_range(0.02..0.4) } else { 0.0 },
            named_level: 0.1,
            lifetime: dice.log_uniform(20.0..=20_000.0) as i64,
            texts: if mix.text > 0 { dice.gen_range(1..=3) } else { 0 },
            types: draw_types(dice, &mix),
            mix,
        }
    }
}

/// One or two types: a few keys of one type meet more often than one of each.
fn draw_types(dice: &mut Dice, mix: &Mix) -> Vec<Type> {
    let mut types: Vec<Type> = Vec::new();
    for _ in 0..if mix.typed > 0 { dice.gen_range(1..=3) } else { 0 } {
        let fresh = *Type::ALL.choose(dice).expect("there are types");
        types.push(types.last().copied().filter(|_| dice.chance(0.6)).unwrap_or(fresh));
    }
    types
}

impl Mix {
    fn draw(dice: &mut Dice) -> Mix {
        let mut weight = |usual: u32, absent: f64| if dice.chance(absent) { 0 } else { usual };
        Mix {
            set: 20,
            get: 20,
            delete: weight(8, 0.2),
            increment: weight(10, 0.3),
            deadline: weight(10, 0.3),
            several: weight(8, 0.3),
            size: weight(2, 0.3),
            flush: weight(1, 0.6),
            text: weight(15, 0.4),
            rename: weight(5, 0.4),
            across: weight(3, 0.6),
            list: weight(3, 0.4),
            further: weight(12, 0.3),
            typed: weight(40, 0.4),
            block: weight(150, 0.4),
            walk: weight(20, 0.4),
            disturb: weight(5, 0.6),
            look: weight(60, 0.4),
        }
    }
}

impl FaultOptions {
    fn draw(dice: &mut Dice, topology: &Topology) -> FaultOptions {
        let shortest_gap = dice.millis(60.0..=1_500.0);
        let longest_down = dice.millis(1.0..=1_000.0);
        FaultOptions {
            gap: shortest_gap..=shortest_gap * 4,
            down: Duration::ZERO..=longest_down,
            weights: if topology.is_solo() { FaultWeights::solo() } else { FaultWeights::draw(dice, topology) },
            failed_sync: dice.log_uniform(0.01..=0.7),
            failed_operation: dice.log_uniform(0.002..=0.2),
        }
    }
}

impl FaultWeights {
    fn solo() -> FaultWeights {
        FaultWeights {
            kill: 10,
            power_cut: 20,
            stop: 5,
            pause: 3,
            cut_link: 5,
            jump_clock: 4,
            bad_disk: 5,
            slow_disk: 4,
            full_disk: 4,
            damage: 4,
            damage_what_decides: 0,
            failing_disk: 4,
            end_in: 14,
            outage: 0,
            partition: 0,
            flapping: 0,
            storm: 0,
            wipe: 0,
            fall_behind: 0,
            remove: 0,
            slow: 0,
            lossy: 0,
            break_links: 3,
            echo: 3,
            upgrade: 0,
            reconfigure: 2,
        }
    }

    /// Some kinds are left out: what all of them together hide, a few may show.
    fn draw(dice: &mut Dice, topology: &Topology) -> FaultWeights {
        let spare = topology.spare_keepers() > 0;
        let mut weight = |usual: u32| if dice.chance(0.3) { 0 } else { usual };
        FaultWeights {
            kill: weight(12),
            power_cut: weight(10),
            stop: weight(6),
            pause: weight(12),
            cut_link: 3,
            jump_clock: weight(4),
            bad_disk: weight(2),
            slow_disk: weight(4),
            full_disk: weight(2),
            damage: if spare { weight(3) } else { 0 },
            damage_what_decides: if spare { weight(2) } else { 0 },
            failing_disk: weight(2),
            end_in: weight(6),
            outage: weight(4),
            partition: weight(20),
            flapping: weight(4),
            storm: weight(4),
            wipe: if spare { weight(4) } else { 0 },
            fall_behind: if topology.followers().is_empty() { 0 } else { weight(5) },
            remove: if spare { weight(6) } else { 0 },
            slow: weight(5),
            lossy: weight(5),
            break_links: weight(6),
            echo: weight(8),
            upgrade: weight(3),
            reconfigure: weight(3),
        }
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
