//! In the middle of what a life ends.

use madsim::rand::Rng;
use mneme_runtime_sim::{Operation, Step, Trap};

use crate::dice::Dice;
use crate::options::Options;

/// What a life ends in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Snapshot,
    Rotation,
    Purge,
    Recovery,
    /// A snapshot from another Keeper is put in place.
    Install,
}

/// The steps of an installation; only what comes before distinguishes them from those of a snapshot of its own, and the
/// purge from other writes to the log. The life ends in any but the first.
const INSTALL: [Step; 7] = [
    (Operation::Create, "snapshot/incoming-"),
    (Operation::Rename, "snapshot/"),
    (Operation::Create, "snapshot/new-manifest"),
    (Operation::Rename, "snapshot/"),
    (Operation::SyncFolder, "snapshot/"),
    (Operation::Write, "log/0"),
    (Operation::Sync, "log/0"),
];

impl Moment {
    pub fn draw(dice: &mut Dice, options: &Options) -> Moment {
        let moments = [Moment::Snapshot, Moment::Rotation, Moment::Purge, Moment::Recovery, Moment::Install];
        // Alone there is nobody to get a snapshot from.
        let possible = moments.len() - usize::from(options.topology.is_solo());
        moments[dice.gen_range(0..possible)]
    }

    /// The operations that make it up.
    fn operations(self) -> &'static [Step] {
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
            Moment::Install => &INSTALL,
        }
    }

    pub fn draw_trap(self, dice: &mut Dice) -> Trap {
        let operations = self.operations();
        if self == Moment::Install {
            let step = dice.gen_range(1..operations.len());
            let (operation, prefix) = operations[step];
            return Trap { after: &operations[..step], operation, prefix, skip: 0 };
        }
        let (operation, prefix) = operations[dice.gen_range(0..operations.len())];
        Trap { after: &[], operation, prefix, skip: dice.gen_range(0..3) }
    }

    pub fn name(self) -> &'static str {
        match self {
            Moment::Snapshot => "ended in a snapshot",
            Moment::Rotation => "ended in a rotation",
            Moment::Purge => "ended in a purge",
            Moment::Recovery => "ended in recovery",
            Moment::Install => "ended in an install",
        }
    }
}
