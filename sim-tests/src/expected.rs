//! What many seeds must come to: a simulation whose faults do not fire, and that reaches nothing rare, proves nothing.

use mneme_kernel::probe::Probe;

use crate::summary::Summary;

/// In so many seeds all of it must have happened.
const SEEDS: u64 = 1_000;

/// What the nemesis does, and what comes of it, by the names under which it is counted.
pub const FAULTS: [&str; 60] = [
    "all down at once",
    "bits flipped",
    "bridge cut",
    "clients held back",
    "clients killed",
    "clock set",
    "Cores cut from Keepers",
    "damage refused",
    "damage repaired",
    "echoes",
    "ended in a purge",
    "ended in a rotation",
    "ended in a snapshot",
    "ended in an install",
    "ended in recovery",
    "ended in setting aside",
    "ended itself",
    "epochs that began in a partition",
    "fell behind",
    "flapped",
    "halves cut",
    "joined anew",
    "joins after a removal",
    "killed",
    "leader isolated",
    "link cut",
    "links broken",
    "links torn in a message",
    "lossy in one direction",
    "machine deaf",
    "machine isolated",
    "machine mute",
    "made to lag",
    "misdirected",
    "names lost",
    "no space",
    "outages",
    "pause outlasted the lease",
    "paused",
    "power cut",
    "primary isolated",
    "reads cut short",
    "reads failed",
    "reconfigured",
    "removed",
    "removed while down",
    "ring cut",
    "served without some",
    "set aside",
    "slowed down",
    "stopped in order",
    "storms",
    "storms that swell",
    "syncs failed",
    "upgraded",
    "what decides repaired",
    "writes dropped",
    "writes failed",
    "writes torn",
    "written in vain",
];

/// The same, where it need not happen.
pub const SOMETIMES: [&str; 2] = ["damage not needed", "removal refused"];

/// What else must happen.
const OTHERS: [&str; 37] = [
    "acknowledged",
    "acknowledged in the model",
    "answered at EVENTUAL",
    "converged",
    "copies that hold",
    "copies told of",
    "data compared",
    "databases made",
    "digests asked",
    "digests compared",
    "entries compared",
    "handed over",
    "lists read at the end",
    "keys evicted",
    "lives",
    "lives from a snapshot",
    "LOADING",
    "messages heard",
    "messages heard by all",
    "messages published",
    "model steps",
    "names kept",
    "numbers delivered by queues",
    "numbers left in queues",
    "operations",
    "promoted",
    "reigns",
    "Replicas",
    "Replicas fed by a follower",
    "rights changed",
    "rights refused",
    "rights used",
    "saved",
    "terms that began in a partition",
    "UNCERTAIN",
    "waits counted",
    "writes kept",
];

/// Rare states that need not be reached: each is in less than one seed of a hundred.
const TOO_RARE: [Probe; 9] = [
    Probe::BatchGap,
    Probe::PipelineFull,
    Probe::RemovalFenced,
    Probe::ReplacedBeforeSync,
    Probe::Replaced,
    Probe::SnapshotFeedBroken,
    Probe::TransferBroken,
    Probe::TransferRefused,
    Probe::TransferUnderWay,
];

/// What the names of rare states begin with, among all that happened.
pub const MARK: &str = "mark: ";

/// The name of a rare state among all that happened.
pub fn mark(name: &str) -> String {
    format!("{MARK}{name}")
}

/// All that must happen in enough seeds.
pub fn all() -> impl Iterator<Item = String> {
    let marks = Probe::ALL.into_iter().filter(|probe| !TOO_RARE.contains(probe)).map(|probe| mark(probe.name()));
    FAULTS.into_iter().chain(OTHERS).chain(crate::wire::COMMANDS).map(str::to_owned).chain(marks)
}

/// What should have happened and did not; nothing is expected of few seeds.
pub fn missing(summary: &Summary) -> Vec<String> {
    all().filter(|what| summary.seeds >= SEEDS && summary.times(what) == 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_enough_seeds_everything_is_expected_and_of_few_nothing() {
        let happened =
            || Summary { seeds: SEEDS, happened: all().map(|what| (what, ONCE)).collect(), ..Summary::default() };
        assert_eq!(missing(&happened()), Vec::<String>::new());
        for never in ["echoes", "converged", "SETRANGE", "mark: torn-tail"] {
            let mut summary = happened();
            summary.happened.remove(never);
            assert_eq!(missing(&summary), [never]);
            assert_eq!(missing(&Summary { seeds: SEEDS - 1, ..summary }), Vec::<String>::new());
        }
    }

    const ONCE: crate::summary::Tally = crate::summary::Tally { times: 1, runs: 1 };
}
