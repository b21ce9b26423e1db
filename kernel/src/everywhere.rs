//! How far what this Core made as primary is everywhere: synced by every Keeper and applied by every Core, dead or alive,
//! until it is removed (PROTOCOL rule 22). Replies at `ALL` wait for it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::core::Core;
use crate::ids::{Index, Seq};
use crate::time::Monotonic;

/// What is known to be everywhere, and what somebody wants to be.
#[derive(Debug, Default)]
pub(crate) struct Everywhere {
    pub reached: Seq,
    /// The newest batch that a reply at `ALL` waits for, and until when one does.
    wanted: Option<(Seq, Monotonic)>,
}

/// Whom to ask whether they have the log up to an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// All batches up to this one are in the log up to that entry.
    pub seq: Seq,
    pub index: Index,
    pub holders: Vec<Holder>,
}

/// A node that must have what is to be everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub node: String,
    pub address: String,
    /// Its Keeper's id in the Raft group, if it has one.
    pub keeper: Option<u64>,
    /// It has a Core.
    pub core: bool,
}

impl Core {
    /// Whether others hold the data too. If nobody does, what is accepted is everywhere.
    pub(crate) fn is_shared(&self) -> bool {
        self.has_other_cores() || self.members().members.len() > 1
    }

    /// A reply waits until this batch is everywhere.
    pub(crate) fn awaits_everywhere(&mut self, seq: Seq, now: Monotonic) {
        if self.is_shared() && seq > self.everywhere.reached {
            let wanted = self.everywhere.wanted.map_or(seq, |(wanted, _)| wanted.max(seq));
            self.everywhere.wanted = Some((wanted, now + self.config.level_timeout));
        }
    }

    /// The batch that somebody wants to be everywhere, if it is not and this is the primary.
    pub fn wanted_everywhere(&self, now: Monotonic) -> Option<Seq> {
        let (seq, until) = self.everywhere.wanted?;
        (self.is_primary() && seq > self.everywhere.reached && now < until).then_some(seq)
    }

    /// Whom to ask about what is accepted now.
    pub fn spread(&self) -> Spread {
        let mut holders: Vec<Holder> = Vec::new();
        for (id, member) in &self.members().members {
            let (node, address) = (member.name.clone(), member.address.clone());
            holders.push(Holder { node, address, keeper: Some(*id), core: false });
        }
        for (name, core) in self.cores().iter() {
            match holders.iter_mut().find(|holder| holder.node == name) {
                Some(holder) => holder.core = true,
                None => {
                    let (node, address) = (name.into(), core.address.clone());
                    holders.push(Holder { node, address, keeper: None, core: true });
                }
            }
        }
        Spread { seq: self.accepted(), index: self.applied(), holders }
    }

    /// All of them have said that they have it.
    pub fn is_everywhere(&mut self, seq: Seq) {
        self.everywhere.reached = self.everywhere.reached.max(seq);
    }

    /// The newest batch that is known to be everywhere.
    pub fn everywhere(&self) -> Seq {
        self.everywhere.reached
    }
}
