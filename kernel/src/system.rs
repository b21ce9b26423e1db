//! The state that is not keys: who leads, what was accepted, who the users are. It is the same on every node that has
//! read the same log, and a partition of its own in every snapshot (PROTOCOL rule 19).

use alloc::vec::Vec;

use bincode::{Decode, Encode};

use crate::cores::Cores;
use crate::databases::Databases;
use crate::effect::Effect;
use crate::entry::Entry;
use crate::ids::Index;
use crate::requests::Requests;
use crate::time::Wall;
use crate::users::Users;
use crate::verdict::{Verdict, Verdicts};

/// What the log has said so far, beside the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct System {
    pub verdicts: Verdicts,
    pub users: Users,
    /// The highest wall clock in an accepted batch.
    pub newest_wall: Wall,
    pub databases: Databases,
    pub cores: Cores,
    /// The key of the cluster's CA, sealed under the cluster's secret; empty before there is one.
    pub sealed_ca: Vec<u8>,
    pub requests: Requests,
    /// The newest entry that may have changed the data or anything else here that a digest is of.
    pub changed: Index,
}

impl System {
    /// Judges the entry at `index` and takes it into account, but for the effects of a batch: those of an accepted one
    /// are to be applied next.
    pub fn judge(&mut self, index: Index, entry: &Entry<'_>) -> Verdict {
        let verdict = self.verdicts.judge(index, entry);
        self.cores.see(index, entry);
        match entry {
            Entry::Hello { .. } => {
                self.requests.forget_replaced(&self.cores);
                self.changed = index;
            }
            Entry::Batch { wall, .. } if verdict == Verdict::Accepted => {
                self.newest_wall = self.newest_wall.max(Wall(*wall));
                self.changed = index;
            }
            _ => {}
        }
        verdict
    }

    /// Applies an effect; those on keys do not concern it.
    pub fn apply(&mut self, effect: &Effect<'_>) {
        self.users.apply(effect);
        self.databases.apply(effect);
        self.requests.apply(effect, &self.cores);
        if let Effect::SealCa { sealed } = effect {
            self.sealed_ca = sealed.to_vec();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Epoch, Incarnation, Seq};

    #[test]
    fn what_changes_nothing_leaves_the_index_of_the_last_change() {
        let mut system = System::default();
        let mut judge = |index, entry: Entry<'_>| {
            system.judge(Index(index), &entry);
            system.changed.0
        };
        let batch = |seq| Entry::Batch { epoch: Epoch(2), seq: Seq(seq), wall: 0, effects: &[] };
        assert_eq!(judge(1, Entry::Hello { node: "a", nonce: 1, address: "a:1", origin: None }), 1);
        let claim = Entry::Claim { incarnation: Incarnation(1), previous_epoch: Epoch(0), last_renewal: Index(0) };
        assert_eq!(judge(2, claim), 1);
        assert_eq!(judge(3, batch(1)), 3);
        assert_eq!(judge(4, Entry::Renew { epoch: Epoch(2), number: 1 }), 3);
        assert_eq!(judge(5, batch(3)), 3, "there is a gap");
        assert_eq!(judge(6, batch(1)), 3, "it is a duplicate");
        assert_eq!(judge(7, batch(2)), 7);
    }
}
