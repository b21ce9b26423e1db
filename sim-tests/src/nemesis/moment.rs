//! In the middle of what a life ends.

use madsim::rand::Rng;
use mneme_runtime_sim::{Operation, Step, Trap};
use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use crate::options::Options;

/// What a life ends in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    const ALL: [Moment; 5] = [Moment::Snapshot, Moment::Rotation, Moment::Purge, Moment::Recovery, Moment::Install];

    pub fn draw(dice: &mut Dice, options: &Options) -> Moment {
        // Alone there is nobody to get a snapshot from.
        let possible = Moment::ALL.len() - usize::from(options.topology.is_solo());
        Moment::ALL[dice.gen_range(0..possible)]
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

/// A trap in a file. Its steps are found again among the moments' own.
pub mod written {
    use mneme_runtime_sim::{Step, Trap};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Moment;

    #[derive(Serialize, Deserialize)]
    struct Written {
        /// How many steps of the moment come before.
        after: usize,
        operation: String,
        prefix: String,
        skip: u64,
    }

    pub fn serialize<S: Serializer>(trap: &Trap, serializer: S) -> Result<S::Ok, S::Error> {
        let Trap { after, operation, prefix, skip } = *trap;
        let (operation, prefix) = (format!("{operation:?}"), prefix.to_owned());
        Written { after: after.len(), operation, prefix, skip }.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Trap, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let is_it =
            |(operation, prefix): &Step| format!("{operation:?}") == written.operation && *prefix == written.prefix;
        // Only the last moment has traps that come after others.
        let moments = Moment::ALL.into_iter().rev().map(Moment::operations);
        let found = moments.into_iter().find_map(|steps| match written.after {
            0 => steps.iter().find(|step| is_it(step)).map(|step| (&steps[..0], *step)),
            after => steps.get(after).filter(|step| is_it(step)).map(|step| (&steps[..after], *step)),
        });
        let Some((after, (operation, prefix))) = found else {
            return Err(D::Error::custom(format!("no moment has {} of {}", written.operation, written.prefix)));
        };
        Ok(Trap { after, operation, prefix, skip: written.skip })
    }
}
