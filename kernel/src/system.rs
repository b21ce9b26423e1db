//! The state that is not keys: who leads, what was accepted, who the users are. It is the same on every node that has
//! read the same log, and a partition of its own in every snapshot (PROTOCOL rule 19).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::agreed::Agreed;
use crate::codec::{self, CodecError};
use crate::cores::Cores;
use crate::databases::Databases;
use crate::effect::Effect;
use crate::entry::Entry;
use crate::ids::{Epoch, Incarnation, Index};
use crate::programs::Programs;
use crate::requests::Requests;
use crate::rules::Rules;
use crate::time::Wall;
use crate::users::Users;
use crate::verdict::{Verdict, Verdicts};

/// What the log has said so far, beside the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Not encoded with the rest: the oldest format ends here. It stands behind, if there is any ([`System::append_newer`]).
    pub agreed: Agreed,
    /// The same.
    pub programs: Box<Programs>,
}

impl Encode for System {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let Self {
            verdicts,
            users,
            newest_wall,
            databases,
            cores,
            sealed_ca,
            requests,
            changed,
            agreed: _,
            programs: _,
        } = self;
        verdicts.encode(encoder)?;
        users.encode(encoder)?;
        newest_wall.encode(encoder)?;
        databases.encode(encoder)?;
        cores.encode(encoder)?;
        sealed_ca.encode(encoder)?;
        requests.encode(encoder)?;
        changed.encode(encoder)
    }
}

impl<C> Decode<C> for System {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self {
            verdicts: Decode::decode(decoder)?,
            users: Decode::decode(decoder)?,
            newest_wall: Decode::decode(decoder)?,
            databases: Decode::decode(decoder)?,
            cores: Decode::decode(decoder)?,
            sealed_ca: Decode::decode(decoder)?,
            requests: Decode::decode(decoder)?,
            changed: Decode::decode(decoder)?,
            agreed: Agreed::default(),
            programs: Box::default(),
        })
    }
}
bincode::impl_borrow_decode!(System);

impl System {
    /// Judges the entry at `index` and takes it into account, but for the effects of a batch: those of an accepted one
    /// are to be applied next.
    pub fn judge(&mut self, index: Index, entry: &Entry<'_>) -> Verdict {
        let verdict = match *entry {
            Entry::Hello { nonce, .. } if self.agreed.was_removed(nonce) => Verdict::Fenced,
            Entry::Claim { incarnation, .. } if self.agreed.has_left(incarnation) => Verdict::Fenced,
            Entry::Remove { node, incarnation } => self.judge_removal(node, incarnation),
            Entry::Format { format } => match self.agreed.raise(format) {
                true => Verdict::Accepted,
                false => Verdict::Duplicate,
            },
            _ => self.verdicts.judge(index, entry),
        };
        if verdict == Verdict::Accepted && entry.changes_cores() {
            self.cores.see(index, entry);
            self.requests.forget_replaced(&self.cores);
            self.changed = index;
        }
        if let Entry::Batch { wall, .. } = entry
            && verdict == Verdict::Accepted
        {
            self.newest_wall = self.newest_wall.max(Wall(*wall));
            self.changed = index;
        }
        verdict
    }

    /// Appends to its encoding what the oldest format does not know, as far as there is any: each newer one at the end.
    pub fn append_newer(&self, out: &mut Vec<u8>) {
        let rules: BTreeMap<String, Rules> =
            self.users.rules().map(|(name, rules)| (name.into(), rules.clone())).collect();
        let has_programs = !self.programs.is_empty();
        let has_rules = !rules.is_empty() || has_programs;
        if self.agreed != Agreed::default() || has_rules {
            codec::encode(&self.agreed, out);
        }
        if has_rules {
            codec::encode(&rules, out);
        }
        if has_programs {
            codec::encode(&*self.programs, out);
        }
    }

    /// Takes what stands behind its encoding.
    ///
    /// # Errors
    /// If that is something else.
    pub fn take_newer(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut rest;
        (self.agreed, rest) = codec::decode(bytes)?;
        if !rest.is_empty() {
            let rules: BTreeMap<String, Rules>;
            (rules, rest) = codec::decode(rest)?;
            rules.into_iter().for_each(|(name, rules)| self.users.set_rules(&name, Some(rules)));
        }
        if !rest.is_empty() {
            *self.programs = codec::decode_owned(rest)?;
        }
        Ok(())
    }

    /// A Core leaves, unless it has begun another life since, is primary, which hands over first, or is the last.
    fn judge_removal(&mut self, node: &str, incarnation: Incarnation) -> Verdict {
        let Verdicts { epoch, holder, released, .. } = self.verdicts;
        let is_primary = epoch != Epoch::ZERO && holder == incarnation && !released;
        if self.cores.get(node).is_none_or(|core| core.incarnation != incarnation)
            || is_primary
            || self.cores.iter().count() == 1
        {
            return Verdict::Fenced;
        }
        if let Some(nonce) = self.cores.remove(node) {
            self.agreed.remove(nonce, incarnation);
        }
        Verdict::Accepted
    }

    /// Applies an effect; those on keys do not concern it.
    pub fn apply(&mut self, effect: &Effect<'_>) {
        self.users.apply(effect);
        self.databases.apply(effect);
        self.requests.apply(effect, &self.cores);
        self.programs.apply(effect);
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
