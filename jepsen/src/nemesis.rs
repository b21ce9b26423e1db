//! What goes wrong. Each nemesis has rounds of its own: it waits, does harm, waits, and mends it. Several work at the same
//! time; none touches a node that another one has ([`Node::take`](crate::cluster::Node::take)).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng, rngs::StdRng};
use rustix::process::Signal;

use crate::cluster::{self, Cluster};
use crate::hosts::Hosts;
use crate::options::{self, Options};
use crate::run::Run;

mod clock;
mod disk;
mod members;
mod network;
mod processes;

pub use clock::{most_wrong, wanted as wanted_clocks};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// kill -9 of one node
    Kill,
    /// kill -9 of the primary
    KillPrimary,
    /// kill -9 of fewer than half of the nodes with Keepers, at once
    KillMinority,
    /// kill -9 of more than half of them, at once
    KillMajority,
    /// kill -9 of all nodes, at once
    KillAll,
    /// SIGSTOP of one node, for longer than a lease
    Pause,
    /// SIGSTOP of the primary
    PausePrimary,
    /// SIGSTOP of more than half of the nodes
    PauseMajority,
    /// One node hears nobody and is not heard
    PartitionOne,
    /// The primary, likewise
    PartitionPrimary,
    /// Two halves
    PartitionHalves,
    /// Each node hears a majority, and no two hear the same one
    PartitionRing,
    /// Two halves, and one node that hears both
    PartitionBridge,
    /// One node is not heard, or hears nobody
    PartitionOneWay,
    /// The Cores from the Keepers: of other topologies, of the nodes that have both, each from the others
    PartitionCores,
    /// A part of the clients reaches only one half of the nodes, which perhaps does not reach the other one either
    PartitionClients,
    /// One node is cut off and back, many times a second
    Flapping,
    /// Wall clocks of nodes jump, by up to five seconds (libfaketime)
    Clock,
    /// All clocks run by up to 1 % too fast or too slow, leases' too: what is allowed for (libfaketime; servers of its own)
    ClockRate,
    /// All clocks run at half to double speed: QUORUM reads may be stale but with --server-flag=--reads=quorum-check
    ClockWild,
    /// Packets take up to some 100 ms longer, of one node or of all
    Slow,
    /// A link takes no more than 30 to 300 kB a second
    Narrow,
    /// A part of all packets is lost
    Loss,
    /// A node's disk fills up
    DiskFull,
    /// Bits of a dead Keeper's log flip, at one node at a time
    BitFlip,
    /// A dead Keeper's log is cut off, at one node at a time
    Truncate,
    /// A dead node's data is gone, at one node at a time
    DataLost,
    /// Nodes are removed and join anew, and the primary hands over
    Members,
    /// CLUSTER TRANSFER
    Transfer,
    /// SIGTERM and a new start, one node after the other
    Rolling,
    /// Three of these, drawn from the seed
    Random,
}

impl Kind {
    /// Whether it takes network namespaces.
    pub fn needs_network(self) -> bool {
        use Kind::*;
        matches!(
            self,
            PartitionOne
                | PartitionPrimary
                | PartitionHalves
                | PartitionRing
                | PartitionBridge
                | PartitionOneWay
                | PartitionCores
                | PartitionClients
                | Flapping
                | Slow
                | Narrow
                | Loss
        )
    }

    /// Whether it can be done to containers.
    pub fn works_in_compose(self) -> bool {
        use Kind::*;
        matches!(
            self,
            Kill | KillPrimary
                | KillMinority
                | KillMajority
                | KillAll
                | Pause
                | PausePrimary
                | PauseMajority
                | PartitionOne
                | PartitionPrimary
                | Transfer
                | Rolling
        )
    }

    /// Whether it takes libfaketime.
    pub fn needs_clocks(self) -> bool {
        self == Kind::Clock || self.needs_own_servers()
    }

    /// Whether it takes servers that are built for it, so that it is done only where it is asked for by its name.
    pub fn needs_own_servers(self) -> bool {
        matches!(self, Kind::ClockRate | Kind::ClockWild)
    }

    /// All that `random` draws from, and that a matrix goes through.
    pub fn usual() -> Vec<Kind> {
        let is_usual = |kind: &Kind| *kind != Kind::Random && !kind.needs_own_servers();
        Kind::value_variants().iter().copied().filter(is_usual).collect()
    }
}

/// Puts those that are drawn in the place of `random`.
pub fn draw_if_asked(kinds: &mut Vec<Kind>, seed: u64) {
    if !kinds.contains(&Kind::Random) {
        return;
    }
    kinds.retain(|kind| *kind != Kind::Random);
    let mut dice = StdRng::seed_from_u64(seed);
    kinds.extend(Kind::usual().choose_multiple(&mut dice, 3).copied());
}

/// Makes what must be there before nodes start.
///
/// # Errors
/// If a kind cannot work here.
pub fn prepare(options: &Options, cluster: &Cluster, hosts: &Hosts, seed: u64) -> anyhow::Result<()> {
    std::fs::create_dir_all(options.out.join(""))?;
    for kind in &options.nemesis {
        match kind {
            kind if kind.needs_clocks() => clock::prepare(cluster, *kind, &mut StdRng::seed_from_u64(seed))?,
            Kind::DiskFull => disk::prepare(cluster, hosts)?,
            _ => {}
        }
    }
    Ok(())
}

/// Does harm until the run is over, and mends it.
///
/// # Errors
/// If it cannot do what it is there for.
pub async fn run(run: Arc<Run>, kind: Kind, number: usize) -> anyhow::Result<()> {
    let mut dice = run.dice(number as u64 + 1);
    while !run.is_over() {
        let quiet = run.options.interval.mul_f64(dice.random_range(0.2..1.0));
        run.rest(quiet).await;
        if !run.is_over() {
            let name = options::name(&kind);
            round(&run, kind, &name, &mut dice).await.with_context(|| name.clone())?;
        }
    }
    Ok(())
}

async fn round(run: &Run, kind: Kind, name: &str, dice: &mut StdRng) -> anyhow::Result<()> {
    let nodes = run.cluster.nodes.len();
    let keepers = run.cluster.keepers().count().max(1);
    match kind {
        Kind::Kill => processes::kill(run, name, dice, processes::Whom::Any(1)).await,
        Kind::KillPrimary => processes::kill(run, name, dice, processes::Whom::Primary).await,
        Kind::KillMinority => processes::kill(run, name, dice, processes::Whom::Keepers((keepers - 1) / 2)).await,
        Kind::KillMajority => processes::kill(run, name, dice, processes::Whom::Keepers(keepers / 2 + 1)).await,
        Kind::KillAll => processes::kill(run, name, dice, processes::Whom::Any(nodes)).await,
        Kind::Pause => processes::pause(run, name, dice, processes::Whom::Any(1)).await,
        Kind::PausePrimary => processes::pause(run, name, dice, processes::Whom::Primary).await,
        Kind::PauseMajority => processes::pause(run, name, dice, processes::Whom::Any(nodes / 2 + 1)).await,
        Kind::Rolling => processes::rolling(run, name).await,
        Kind::Clock => clock::jump(run, name, dice).await,
        Kind::ClockRate | Kind::ClockWild => clock::change_rate(run, kind, name, dice).await,
        Kind::DiskFull => disk::fill(run, name, dice).await,
        Kind::BitFlip => disk::damage(run, name, dice, disk::Damage::Flip).await,
        Kind::Truncate => disk::damage(run, name, dice, disk::Damage::Truncate).await,
        Kind::DataLost => disk::damage(run, name, dice, disk::Damage::Lose).await,
        Kind::Members => members::change(run, name, dice).await,
        Kind::Transfer => members::transfer(run, name).await,
        _ => network::disturb(run, kind, name, dice).await,
    }
}

/// Mends everything and waits until all nodes are ready.
///
/// # Errors
/// If they are not in time.
pub async fn heal(run: &Run) -> anyhow::Result<()> {
    run.band("healing", Some("all".into()));
    if let Some(switch) = run.hosts.switch() {
        switch.heal_all();
    }
    for node in &run.cluster.nodes {
        node.signal(Signal::CONT);
        if !node.runs() && node.ended().is_none() {
            node.start(&run.hosts)?;
        }
    }
    run.cluster.all_ready().await?;
    run.band("healing", None);
    Ok(())
}

/// Waits until a node is ready again.
///
/// # Errors
/// If it is not within [`cluster::READY`], though nothing else goes wrong.
async fn ready(run: &Run, node: &cluster::Node) -> anyhow::Result<()> {
    let end = tokio::time::Instant::now() + cluster::READY;
    while !node.is_ready() {
        if let Some(status) = node.ended() {
            bail!("{} has ended by itself with {}:\n{}", node.name(), cluster::told(status), node.last_words());
        }
        // What others do at the same time, or who else is down, may keep it from being ready until all is healed.
        if run.is_over() || tokio::time::Instant::now() > end {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// So many seconds, drawn.
fn seconds(dice: &mut StdRng, range: std::ops::Range<f64>) -> Duration {
    Duration::from_secs_f64(dice.random_range(range))
}
