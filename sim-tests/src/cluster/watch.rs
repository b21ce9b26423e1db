//! Looks at all nodes all the time: what must hold at every moment, and what has happened.

use std::time::Duration;

use madsim::time::sleep;
use mneme_driver::env::{Disk, Env};
use mneme_driver::node::Node;
use mneme_kernel::probe::Probe;
use mneme_runtime_sim::SimEnv;

use super::{Cluster, Machine};
use crate::check::lease;
use crate::world::lock;

/// How often it is looked who leads.
const OFTEN: Duration = Duration::from_millis(3);
/// How often data is compared, in those.
const COMPARED: u32 = 8;

/// Files that are there only while something is made.
const UNFINISHED: [(&str, &str); 3] = [("snapshot", "incoming-"), ("snapshot", "new-"), ("log", "new-")];

/// What the cluster has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The newest epoch in which a Core is primary.
    pub epoch: u64,
    /// The newest term in which a Keeper leads.
    pub term: u64,
}

impl Cluster {
    pub(super) async fn watch(self) {
        loop {
            for round in 0..COMPARED {
                sleep(OFTEN).await;
                self.look_at_leaders();
                if round == 0 && !self.world().options.topology.is_solo() {
                    self.compare_data();
                }
            }
        }
    }

    fn look_at_leaders(&self) {
        self.show_conditions();
        let world = self.world();
        let mut leases = Vec::new();
        for machine in self.cores() {
            let Some(core) = machine.running_core() else { continue };
            let now = core.env().monotonic();
            let (epoch, is_primary, lasts) =
                core.with_core(|core| (core.epoch().0, core.is_primary(), core.lease().lasts(now)));
            leases.push((machine.name(), epoch, lasts));
            let life = world.history().life(machine.number());
            let seen = lock(&self.0.checks.reigns).sees(life, epoch, is_primary);
            if seen == Ok(true) {
                world.event(format_args!("{} is primary in epoch {epoch}", machine.name()));
                world.count("reigns", 1);
            }
            world.check("reign", seen.map(drop));
        }
        world.check("lease", lease::check(&leases));
        self.look_at_replicas();
        for machine in self.keepers() {
            let Some(keeper) = machine.running_keeper() else { continue };
            let (term, leads) = (keeper.term(), keeper.leads_in());
            let found = lock(&self.0.checks.terms).sees(keeper.id(), term, leads);
            if found == Ok(true) {
                world.event(format_args!("{} leads in term {leads:?}", machine.name()));
            }
            world.check("term", found.map(drop));
            // While it is suspended its log stands still, and no time passes for it.
            if leads.is_some() && !machine.is_paused() {
                let probes = machine.clock.probes();
                let decided = probes.count(Probe::VoterPromoted) + probes.count(Probe::VoterReplaced);
                let promoted = lock(&self.0.checks.voters).sees(&keeper.status(), decided);
                world.count("promoted", *promoted.as_ref().unwrap_or(&0));
                world.check("voter", promoted.map(drop));
            }
        }
    }

    /// No other node knows of a Replica, and it leads nothing.
    fn look_at_replicas(&self) {
        for machine in self.replicas() {
            let name = machine.name();
            let leads = machine.running_core().is_some_and(|replica| replica.with_core(|core| core.is_primary()));
            let is_known = |core: &Node<SimEnv>| {
                core.with_core(|core| {
                    core.cores().get(&name).is_some()
                        || core.members().members.iter().any(|(_, member)| member.name == name)
                })
            };
            let is_known = self.with_data().filter_map(|machine| machine.running_core()).any(|core| is_known(&core));
            let found = if leads || is_known { Err(format!("{name} is primary, or known to others")) } else { Ok(()) };
            self.world().check("replica", found);
        }
    }

    /// Counts the Replicas, and those of them that a Keeper feeds which does not lead.
    pub fn count_feeds(&self) {
        let leader = self.leader().map(|leader| self.machine(leader).cluster_address().to_string());
        for machine in self.replicas() {
            let Some(replica) = machine.running_core() else { continue };
            let fed_by = replica.keepers().fed_by();
            self.world().count("Replicas", 1);
            self.world().count("Replicas fed by a follower", u64::from(fed_by.is_some() && fed_by != leader));
        }
    }

    /// Compares the data of all Cores and Replicas that have nothing on its way, as far as their indexes meet.
    pub fn compare_data(&self) {
        for machine in self.with_data() {
            let Some(core) = machine.running_core() else { continue };
            let now = core.env().monotonic();
            let digest = core.with_core(|core| {
                // Whole memories only: one that is being read may be in the middle of a snapshot.
                let idle = core.is_hot() && core.accepted() == core.executed();
                idle.then(|| core.digest(now)).flatten()
            });
            let Some((index, digest)) = digest else { continue };
            let met = lock(&self.0.checks.digests).sees(&machine.name(), index, digest);
            self.world().count("data compared", u64::from(met == Ok(true)));
            self.world().check("digest", met.map(drop));
        }
    }

    /// Whether all Cores and Replicas have applied, and all Keepers committed, the same, and nothing is on its way.
    pub fn have_converged(&self) -> bool {
        self.have_converged_among(|_| true)
    }

    /// The same of some.
    pub fn have_converged_among(&self, counts: impl Fn(&Machine) -> bool) -> bool {
        let applied = self.with_data().filter(|machine| counts(machine)).map(|machine| {
            let core = machine.running_core()?;
            core.with_core(|core| (core.accepted() == core.executed()).then(|| core.applied().0 + 1))
        });
        let keepers = self.keepers().filter(|machine| counts(machine));
        let committed = keepers.map(|machine| Some(machine.running_keeper()?.committed().value()));
        let mut all = applied.chain(committed);
        let first = all.next().flatten();
        first.is_some() && all.all(|other| other == first)
    }

    /// What is left over where nothing is under way any more; empty if all is as it should be.
    pub async fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for machine in self.machines() {
            let mut note = |what: &str, count: usize| {
                if count > 0 {
                    found.push(format!("{}: {count} {what}", machine.name()));
                }
            };
            if let Some(node) = machine.running_core() {
                note("replies that have not left", node.replying());
                node.with_core(|core| {
                    note("batches on their way", core.in_flight());
                    note("forwarded commands without a reply", core.forwarded_waiting());
                });
            }
            if machine.disk_has_failed() {
                // What could not be removed goes with the next snapshot, or the next start.
                continue;
            }
            let env = lock(&machine.life).env.clone();
            for (folder, unfinished) in UNFINISHED {
                let names = env.disk().list(folder).await.unwrap_or_default();
                let left = names.iter().filter(|name| name.starts_with(unfinished));
                found.extend(left.map(|name| format!("{}: {folder}/{name}", machine.name())));
            }
        }
        found
    }

    /// Whether a Core has deleted keys in this life because their deadline had passed.
    pub fn has_expired_keys(&self) -> bool {
        let expired = |core: &Node<SimEnv>| core.with_core(|core| core.stats.expired_keys > 0);
        self.cores().any(|machine| machine.running_core().is_some_and(|core| expired(&core)))
    }

    pub fn progress(&self) -> Progress {
        Progress { epoch: lock(&self.0.checks.reigns).newest(), term: lock(&self.0.checks.terms).newest() }
    }

    /// The number of the machine whose Core is primary in the newest epoch.
    pub fn primary(&self) -> Option<usize> {
        let reigning = self.cores().filter_map(|machine| {
            let core = machine.running_core()?;
            core.with_core(|core| core.is_primary().then(|| (core.epoch(), machine.number())))
        });
        reigning.max().map(|(_, number)| number)
    }

    /// The number of the machine whose Keeper leads in the newest term.
    pub fn leader(&self) -> Option<usize> {
        let leading = self.keepers().filter_map(|machine| {
            let keeper = machine.running_keeper()?;
            keeper.leads_in().map(|term| (term, machine.number()))
        });
        leading.max().map(|(_, number)| number)
    }
}
