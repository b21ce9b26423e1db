//! In the middle of what a life ends.

use madsim::rand::Rng;
use mneme_runtime_sim::{Operation, Trap};

use crate::dice::Dice;

/// What a life ends in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Snapshot,
    Rotation,
    Purge,
    Recovery,
}

impl Moment {
    pub fn draw(dice: &mut Dice) -> Moment {
        let moments = [Moment::Snapshot, Moment::Rotation, Moment::Purge, Moment::Recovery];
        moments[dice.gen_range(0..moments.len())]
    }

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

    pub fn draw_trap(self, dice: &mut Dice) -> Trap {
        let operations = self.operations();
        let (operation, prefix) = operations[dice.gen_range(0..operations.len())];
        Trap { operation, prefix, skip: dice.gen_range(0..3) }
    }

    pub fn name(self) -> &'static str {
        match self {
            Moment::Snapshot => "ended in a snapshot",
            Moment::Rotation => "ended in a rotation",
            Moment::Purge => "ended in a purge",
            Moment::Recovery => "ended in recovery",
        }
    }
}
