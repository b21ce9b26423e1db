//! Which processes a cluster consists of.

use madsim::rand::Rng;
use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// What a machine's process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A Core; the Keepers are elsewhere.
    Core,
    /// A Keeper alone.
    Keeper,
    /// A Core and a Keeper.
    Both,
    /// A copy of the data for reads at `EVENTUAL`.
    Replica,
}

impl Role {
    pub fn has_core(self) -> bool {
        matches!(self, Role::Core | Role::Both)
    }

    pub fn has_keeper(self) -> bool {
        matches!(self, Role::Keeper | Role::Both)
    }

    /// Whether clients read there.
    pub fn has_data(self) -> bool {
        self != Role::Keeper
    }
}

/// How often each kind of cluster is drawn, by what [`Topology::draw`] makes of its number.
const SHARES: [(u32, u8); 8] = [(45, 0), (20, 1), (8, 2), (14, 3), (5, 4), (5, 5), (3, 6), (3, 7)];

/// The processes of a cluster, one a machine. The first founds it, the others join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology(Vec<Role>);

impl Topology {
    /// One process that is everything.
    pub fn solo() -> Topology {
        Topology(vec![Role::Both])
    }

    pub fn draw(dice: &mut Dice) -> Topology {
        let apart =
            |cores: usize, keepers: usize| Topology([vec![Role::Core; cores], vec![Role::Keeper; keepers]].concat());
        let Topology(mut roles) = match dice.weighted(&SHARES) {
            0 => Topology::solo(),
            // Three nodes, each with both.
            1 => Topology(vec![Role::Both; 3]),
            2 => apart(1, 3),
            3 => apart(dice.gen_range(2..=3), if dice.chance(0.7) { 3 } else { 5 }),
            // Two Keepers: the majority is both.
            4 => Topology(vec![Role::Both; 2]),
            5 => apart(dice.gen_range(1..=2), 2),
            // Cores, one with a Keeper beside it and one without.
            6 => Topology(vec![Role::Both, Role::Keeper, Role::Keeper, Role::Core]),
            // One node, and copies of it.
            _ => Topology(vec![Role::Both, Role::Replica]),
        };
        if roles.len() > 1 && dice.chance(0.3) {
            let count = dice.gen_range(1..=2);
            roles.extend([Role::Replica; 2].into_iter().take(count));
        }
        Topology(roles)
    }

    pub fn roles(&self) -> &[Role] {
        &self.0
    }

    /// Whether one process is all there is: then nothing of an operation outlives it but what is on its disk.
    pub fn is_solo(&self) -> bool {
        self.0.len() == 1
    }

    /// The numbers of the machines with a Core.
    pub fn cores(&self) -> Vec<usize> {
        self.machines(Role::has_core)
    }

    /// The numbers of the machines with a Keeper.
    pub fn keepers(&self) -> Vec<usize> {
        self.machines(Role::has_keeper)
    }

    /// The numbers of the machines that follow the log without a Keeper beside them.
    pub fn followers(&self) -> Vec<usize> {
        self.machines(|role| role.has_data() && !role.has_keeper())
    }

    /// The numbers of the machines that are members of the cluster, which a Replica is not.
    pub fn members(&self) -> Vec<usize> {
        self.machines(|role| role != Role::Replica)
    }

    fn machines(&self, has: fn(Role) -> bool) -> Vec<usize> {
        (0..self.0.len()).filter(|number| has(self.0[*number])).collect()
    }

    /// Of how many Keepers the disks may be lost at a time, with nothing acknowledged lost.
    pub fn spare_keepers(&self) -> usize {
        (self.keepers().len() - 1) / 2
    }
}
