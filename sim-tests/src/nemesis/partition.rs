//! Which machines stop hearing each other. Clients go on reaching all of them: a primary that is cut off must not answer
//! what it cannot know.

use madsim::rand::Rng;
use serde::{Deserialize, Serialize};

use super::Who;
use crate::cluster::{Cluster, Cut};
use crate::dice::Dice;
use crate::options::Options;

/// How the network falls apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// Two halves; whose bit is set is in one of them.
    Halves(u32),
    /// One machine hears nobody, and nobody hears it.
    Isolated(Who),
    /// One machine is not heard, but hears.
    Mute(Who),
    /// One machine does not hear, but is heard.
    Deaf(Who),
    /// No machine with a Core alone hears a Keeper.
    CoresFromKeepers,
    /// Each machine hears the next one and the one before it, as they stand in a ring.
    Ring,
    /// Two halves, and one machine that hears both.
    Bridge { halves: u32, over: usize },
}

impl Shape {
    pub fn draw(dice: &mut Dice, options: &Options) -> Shape {
        let machines = options.topology.roles().len();
        let halves = dice.gen_range(1..(1 << machines) - 1);
        let who = Who::draw(dice, options);
        match dice.weighted(&[(3, 0), (6, 1), (2, 2), (2, 3), (2, 4), (1, 5), (2, 6)]) {
            0 => Shape::Halves(halves),
            1 => Shape::Isolated(who),
            2 => Shape::Mute(who),
            3 => Shape::Deaf(who),
            4 => Shape::CoresFromKeepers,
            5 => Shape::Ring,
            _ => Shape::Bridge { halves, over: dice.gen_range(0..machines) },
        }
    }

    /// The directions in which nothing passes; who is meant is found out now.
    pub fn cut(self, cluster: &Cluster) -> Cut {
        let machines = cluster.machines().len();
        let pairs = (0..machines).flat_map(|from| (0..machines).map(move |to| (from, to))).filter(|(a, b)| a != b);
        let one = |who: Who| who.find(cluster);
        let apart = |halves: u32, a: usize, b: usize| (halves >> a & 1) != (halves >> b & 1);
        match self {
            Shape::Halves(halves) => pairs.filter(|(a, b)| apart(halves, *a, *b)).collect(),
            Shape::Isolated(who) => {
                let one = one(who);
                pairs.filter(|(from, to)| one == Some(*from) || one == Some(*to)).collect()
            }
            Shape::Mute(who) => {
                let one = one(who);
                pairs.filter(|(from, _)| one == Some(*from)).collect()
            }
            Shape::Deaf(who) => {
                let one = one(who);
                pairs.filter(|(_, to)| one == Some(*to)).collect()
            }
            Shape::CoresFromKeepers => {
                let has_keeper = |number: usize| cluster.machine(number).role().has_keeper();
                pairs.filter(|(a, b)| has_keeper(*a) != has_keeper(*b)).collect()
            }
            Shape::Ring => {
                let next = |a: usize, b: usize| (a + 1) % machines == b;
                pairs.filter(|(a, b)| !next(*a, *b) && !next(*b, *a)).collect()
            }
            Shape::Bridge { halves, over } => {
                pairs.filter(|(a, b)| apart(halves, *a, *b) && *a != over && *b != over).collect()
            }
        }
    }

    /// What it is counted as.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Halves(_) => "halves cut",
            Shape::Isolated(Who::Primary) => "primary isolated",
            Shape::Isolated(Who::Leader) => "leader isolated",
            Shape::Isolated(_) => "machine isolated",
            Shape::Mute(_) => "machine mute",
            Shape::Deaf(_) => "machine deaf",
            Shape::CoresFromKeepers => "Cores cut from Keepers",
            Shape::Ring => "ring cut",
            Shape::Bridge { .. } => "bridge cut",
        }
    }
}
