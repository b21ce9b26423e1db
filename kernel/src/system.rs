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
}

impl System {
    /// Judges the entry at `index` and takes it into account, but for the effects of a batch: those of an accepted one
    /// are to be applied next.
    pub fn judge(&mut self, index: Index, entry: &Entry<'_>) -> Verdict {
        let verdict = self.verdicts.judge(index, entry);
        self.cores.see(index, entry);
        if matches!(entry, Entry::Hello { .. }) {
            self.requests.forget_replaced(&self.cores);
        }
        if let Entry::Batch { wall, .. } = entry
            && verdict == Verdict::Accepted
        {
            self.newest_wall = self.newest_wall.max(Wall(*wall));
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
