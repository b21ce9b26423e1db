//! What the others are known to have of what this Core made as primary: which Keepers have synced it, which Cores have
//! applied it. Replies at `ALL` wait until everybody has it, dead or alive, until it is removed (PROTOCOL rule 22); `WAIT`
//! and `WAITAOF` count.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::core::Core;
use crate::ids::{Index, Seq};
use crate::mutant::Mutant;
use crate::time::Monotonic;

/// What is known of the others, and what somebody wants to be known.
#[derive(Debug, Default)]
pub(crate) struct Everywhere {
    /// The newest batch that everybody has; `None`: not even what was there when this Core became primary first.
    pub reached: Option<Seq>,
    /// The newest batch that somebody waits for others to have, and until when somebody does.
    wanted: Option<(Seq, Monotonic)>,
    /// Up to which batch each of the others has everything, at least.
    known: BTreeMap<Holder, Seq>,
}

impl Everywhere {
    fn want(&mut self, seq: Seq, until: Monotonic) {
        let wanted = self.wanted.map_or((seq, until), |(newest, last)| (newest.max(seq), last.max(until)));
        self.wanted = Some(wanted);
    }

    /// Who waits for something now waits for this batch too.
    pub(crate) fn raise(&mut self, seq: Seq, now: Monotonic) {
        if let Some((wanted, until)) = &mut self.wanted
            && now < *until
        {
            *wanted = seq.max(*wanted);
        }
    }

    /// Whether it is known to have everything up to a batch.
    fn has(&self, holder: &Holder, seq: Seq) -> bool {
        self.known.get(holder).is_some_and(|known| *known >= seq)
    }
}

/// Whom to ask whether they have the log up to an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// All batches up to this one are in the log up to that entry.
    pub seq: Seq,
    pub index: Index,
    /// Those that are not known to have what somebody waits for.
    pub holders: Vec<Holder>,
}

/// A part of a node that must have what is to be everywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    pub node: String,
    pub address: String,
    pub part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A Keeper, by its id in the Raft group: it has what it has synced.
    Keeper(u64),
    /// A Core: it has what it has applied.
    Core,
}

impl Core {
    /// Whether others hold the data too. If nobody does, what is accepted is everywhere.
    pub(crate) fn is_shared(&self) -> bool {
        self.has_other_cores() || self.members().members.len() > 1
    }

    /// Somebody waits until then for others to have this batch.
    pub(crate) fn awaits_others(&mut self, seq: Seq, until: Monotonic) {
        if self.is_shared() {
            self.everywhere.want(seq, until);
        }
    }

    /// Whether somebody waits for something that not everybody is known to have, and this is the primary.
    pub fn awaits_spread(&self, now: Monotonic) -> bool {
        let is_wanted = |(seq, until): (Seq, Monotonic)| now < until && self.everywhere.reached < Some(seq);
        self.is_primary() && self.everywhere.wanted.is_some_and(is_wanted)
    }

    /// Whom to ask about what is accepted now, if somebody waits for an answer.
    pub fn spread(&self, now: Monotonic) -> Option<Spread> {
        let (wanted, _) = self.everywhere.wanted.filter(|_| self.awaits_spread(now))?;
        let (seq, index) = (self.accepted(), self.applied());
        let mut holders = self.holders();
        holders.retain(|holder| !self.everywhere.has(holder, wanted.min(seq)));
        Some(Spread { seq, index, holders })
    }

    /// All that count, this node's among them.
    pub fn holders(&self) -> Vec<Holder> {
        let keepers = self.members().members.iter().map(|(id, member)| Holder {
            node: member.name.clone(),
            address: member.address.clone(),
            part: Part::Keeper(*id),
        });
        let cores = self.cores().iter().map(|(name, core)| Holder {
            node: name.into(),
            address: core.address.clone(),
            part: Part::Core,
        });
        keepers.chain(cores).collect()
    }

    /// A holder has said that it has everything up to a batch.
    pub fn holds(&mut self, holder: Holder, seq: Seq) {
        let known = self.everywhere.known.entry(holder).or_default();
        *known = seq.max(*known);
        self.count_everywhere();
    }

    /// Counts anew what everybody has: somebody has more, or has left.
    pub(crate) fn count_everywhere(&mut self) {
        if !self.is_primary() {
            return;
        }
        if !self.is_shared() {
            self.everywhere.reached = self.everywhere.reached.max(Some(self.accepted()));
        }
        let mut holders = self.holders();
        self.everywhere.known.retain(|holder, _| holders.contains(holder));
        holders.retain(|holder| holder.part != Part::Core || !Mutant::AllWithoutCores.is_chosen());
        let known = &self.everywhere.known;
        let everybody: Option<Vec<Seq>> = holders.iter().map(|holder| known.get(holder).copied()).collect();
        let least = everybody.and_then(|known| known.into_iter().min());
        self.everywhere.reached = self.everywhere.reached.max(least);
    }

    /// The newest batch that is known to be everywhere.
    pub fn everywhere(&self) -> Option<Seq> {
        self.everywhere.reached
    }

    /// How many other Cores are known to have applied everything up to a batch of this primary.
    pub(crate) fn cores_with(&self, seq: Seq) -> usize {
        if !self.is_primary() {
            return 0;
        }
        let others = self.holders().into_iter().filter(|holder| holder.node != self.config.node);
        let has = |holder: &Holder| self.everywhere.has(holder, seq) || Mutant::CountEverybody.is_chosen();
        others.filter(|holder| holder.part == Part::Core && has(holder)).count()
    }

    /// How many Keepers are known to have synced everything up to a batch: at least a majority, if it is accepted.
    pub(crate) fn keepers_with(&self, seq: Seq) -> usize {
        if !self.is_primary() {
            return 0;
        }
        let majority = if self.accepted() >= seq { self.voters() / 2 + 1 } else { 0 };
        let holders = self.holders();
        let keepers = holders.iter().filter(|holder| holder.part != Part::Core);
        keepers.filter(|holder| self.everywhere.has(holder, seq)).count().max(majority)
    }
}
