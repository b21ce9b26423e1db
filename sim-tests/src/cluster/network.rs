//! Which machines hear each other.

use std::collections::BTreeMap;
use std::sync::Mutex;

use madsim::net::NetSim;
use madsim::task::NodeId;

use super::Cluster;
use crate::world::lock;

/// Directions in which nothing passes, each with how many faults want it so.
#[derive(Debug, Default)]
pub(super) struct Network(Mutex<BTreeMap<(NodeId, NodeId), u32>>);

/// Directions, from one machine to another, by their numbers.
pub type Cut = Vec<(usize, usize)>;

impl Network {
    fn cut(&self, from: NodeId, to: NodeId) {
        let mut cut = lock(&self.0);
        let wanted = cut.entry((from, to)).or_default();
        *wanted += 1;
        if *wanted == 1 {
            NetSim::current().clog_link(from, to);
        }
    }

    fn mend(&self, from: NodeId, to: NodeId) {
        let mut cut = lock(&self.0);
        // Everything may have been healed meanwhile.
        let Some(wanted) = cut.get_mut(&(from, to)) else { return };
        *wanted -= 1;
        if *wanted == 0 {
            cut.remove(&(from, to));
            NetSim::current().unclog_link(from, to);
        }
    }

    pub(super) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        lock(&self.0).contains_key(&(from, to))
    }

    pub(super) fn heal(&self) {
        for (from, to) in std::mem::take(&mut *lock(&self.0)).into_keys() {
            NetSim::current().unclog_link(from, to);
        }
    }
}

impl Cluster {
    /// Lets nothing pass in these directions, once more.
    pub fn cut(&self, cut: &Cut) {
        for (from, to) in self.ends(cut) {
            self.0.network.cut(from, to);
        }
    }

    /// Undoes one [`Cluster::cut`].
    pub fn mend(&self, cut: &Cut) {
        for (from, to) in self.ends(cut) {
            self.0.network.mend(from, to);
        }
    }

    /// The directions between a machine and all with a Keeper.
    pub fn feeds_of(&self, machine: usize) -> Cut {
        let keepers = self.keepers().map(|keeper| keeper.number()).filter(|keeper| *keeper != machine);
        keepers.flat_map(|keeper| [(keeper, machine), (machine, keeper)]).collect()
    }

    fn ends(&self, cut: &Cut) -> Vec<(NodeId, NodeId)> {
        cut.iter().map(|(from, to)| (self.machine(*from).node(), self.machine(*to).node())).collect()
    }

    /// Lets nothing pass between a client and a machine, or again, as often as it had been cut.
    pub(super) fn set_client_link(&self, client: NodeId, machine: usize, passes: bool) {
        let server = self.machine(machine).node();
        for (from, to) in [(client, server), (server, client)] {
            if passes { self.0.network.mend(from, to) } else { self.0.network.cut(from, to) }
        }
    }
}
