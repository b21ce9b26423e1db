//! What operators change while faults go on: versions and settings. And what the network says again.

use madsim::rand::Rng;
use mneme_driver::keeper::Schedule;
use mneme_driver::keepers::FedContent;
use mneme_kernel::agreed::NEWEST;

use super::{Cluster, Ending};
use crate::dice::Dice;
use crate::options::{Options, draw_segment_bytes, draw_snapshots};
use crate::world::lock;

/// How many entries back an echo reaches.
const ECHO: u64 = 60;

/// What a server is started with, and the next one on the machine may be started with otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub segment_bytes: u64,
    pub snapshots: Schedule,
    pub quorum_check: bool,
    /// The newest format that its version reads.
    pub reads: u32,
}

impl Settings {
    pub(super) fn first(options: &Options, machine: usize) -> Settings {
        let Options { segment_bytes, snapshots, quorum_check, .. } = *options;
        Settings { segment_bytes, snapshots, quorum_check, reads: options.reads[machine] }
    }
}

impl Cluster {
    /// Replaces a machine's server by the newest version, in order.
    pub async fn upgrade(&self, machine: usize) {
        let is_older = {
            let mut settings = lock(&self.machine(machine).settings);
            std::mem::replace(&mut settings.reads, NEWEST) < NEWEST
        };
        if is_older {
            self.world().count("upgraded", 1);
            self.stop_and_restart(machine, Ending::Kill, super::lives::REVIVAL).await;
        }
    }

    /// Stops a machine's server in order, and starts it with other settings.
    pub async fn reconfigure(&self, machine: usize, draw: u64) {
        let mut dice = Dice::new(draw, 2_000);
        {
            let mut settings = lock(&self.machine(machine).settings);
            let reads = settings.reads;
            *settings = Settings {
                segment_bytes: draw_segment_bytes(&mut dice),
                snapshots: draw_snapshots(&mut dice),
                quorum_check: dice.chance(0.2),
                reads,
            };
        }
        self.world().count("reconfigured", 1);
        self.stop_and_restart(machine, Ending::Kill, super::lives::REVIVAL).await;
    }

    /// Proposes again what is in the log already: what Cores send may come to the Keeper that leads late, or twice.
    pub async fn echo(&self, draw: u64, times: u32) {
        let mut dice = Dice::new(draw, 2_001);
        let Some(leader) = self.leader() else { return };
        let Some(keeper) = self.machine(leader).running_keeper() else { return };
        for _ in 0..times {
            let known = keeper.committed().value().saturating_sub(dice.gen_range(1..=ECHO));
            let Ok(entries) = keeper.feed(known).await else { return };
            let Some(FedContent::Core(proposal)) = entries.into_iter().next().map(|entry| entry.content) else {
                continue;
            };
            self.world().count("echoes", 1);
            if keeper.propose(proposal).await.is_err() {
                return;
            }
        }
    }
}
