//! The log's entries in the model's terms. What the model does not know is [`Entry::Other`] there, an entry that means
//! nothing:
//! - Raft's own, because they say nothing about primaries;
//! - `Format`, because what is written in which form changes no verdict;
//! - `Remove`, because the model's Cores are always the same ones; and the `Hello`s and claims of who was removed, which the
//!   log does not accept (PROTOCOL rule 26). To know them, who was removed is found out here.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use mneme_kernel::entry::Entry as Logged;
use mneme_kernel::limits::LIVES_REMEMBERED;
use mneme_model::entry::Entry;
use mneme_model::numbers::{Epoch, Incarnation, Index, Node, Number, Seq};
use mneme_model::trace::{Trace, executed};

/// Who is meant by the names and numbers in entries.
#[derive(Debug, Default)]
pub struct Names {
    /// By nonce, whose life it is, and which.
    lives: BTreeMap<u64, (Node, u16)>,
    /// By name, the Cores that have said hello and were not removed.
    members: BTreeMap<String, Member>,
    /// The folders and incarnations of those that were.
    removed: Vec<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Member {
    incarnation: u64,
    /// Of its newest lives.
    nonces: Vec<u64>,
}

/// What all nonces of one folder have in common.
fn folder(nonce: u64) -> u64 {
    nonce >> 32
}

impl Names {
    /// A life of a Core begins with this nonce.
    pub fn begins(&mut self, node: Node, life: u16, nonce: u64) {
        self.lives.insert(nonce, (node, life));
    }

    /// An entry as a Core proposes it.
    ///
    /// # Errors
    /// If it names a life that there is not.
    pub fn translate(&self, logged: &Logged<'_>, trace: &Trace) -> Result<Entry, String> {
        Ok(match *logged {
            Logged::Hello { nonce, .. } => {
                let (node, nonce) = *self.lives.get(&nonce).ok_or(format!("nobody has begun a life with {nonce}"))?;
                Entry::Hello { node, nonce }
            }
            Logged::Claim { incarnation, previous_epoch, last_renewal } => {
                let hello = incarnation.0.checked_sub(1).and_then(|place| trace.log().get(place as usize));
                let Some(Entry::Hello { node, .. }) = hello else {
                    return Err(format!("a claim of incarnation {incarnation}, where the log has {hello:?}"));
                };
                Entry::Claim {
                    node: *node,
                    incarnation: Incarnation(narrow(incarnation.0)?),
                    previous_epoch: Epoch(narrow(previous_epoch.0)?),
                    last_renewal: Index(narrow(last_renewal.0)?),
                }
            }
            Logged::Batch { epoch, seq, wall, effects } => {
                let mut hasher = DefaultHasher::new();
                (wall, effects).hash(&mut hasher);
                let writes = vec![executed(hasher.finish())];
                Entry::Batch { epoch: Epoch(narrow(epoch.0)?), seq: Seq(narrow(seq.0)?), writes, records: vec![] }
            }
            Logged::Renew { epoch, number } => {
                Entry::Renew { epoch: Epoch(narrow(epoch.0)?), number: Number(narrow(number)?) }
            }
            Logged::Release { epoch, seq } => {
                Entry::Release { epoch: Epoch(narrow(epoch.0)?), seq: Seq(narrow(seq.0)?) }
            }
            Logged::Format { .. } | Logged::Remove { .. } => Entry::Other,
        })
    }

    /// An entry as it stands in the log at this index, and is taken into account.
    ///
    /// # Errors
    /// As above.
    pub fn commits(&mut self, index: u64, logged: &Logged<'_>, trace: &Trace) -> Result<Entry, String> {
        match *logged {
            Logged::Hello { nonce, .. } if self.removed.iter().any(|(left, _)| *left == folder(nonce)) => {
                return Ok(Entry::Other);
            }
            Logged::Claim { incarnation, .. } if self.removed.iter().any(|(_, left)| *left == incarnation.0) => {
                return Ok(Entry::Other);
            }
            Logged::Hello { node, nonce, .. } => self.says_hello(index, node, nonce),
            Logged::Remove { node, incarnation } => self.leaves(node, incarnation.0, trace),
            _ => {}
        }
        self.translate(logged, trace)
    }

    fn says_hello(&mut self, index: u64, name: &str, nonce: u64) {
        let member = self.members.entry(name.to_owned()).or_default();
        if member.nonces.contains(&nonce) {
            return;
        }
        if member.nonces.len() == LIVES_REMEMBERED {
            member.nonces.remove(0);
        }
        member.nonces.push(nonce);
        member.incarnation = index;
    }

    fn leaves(&mut self, name: &str, incarnation: u64, trace: &Trace) {
        let verdicts = trace.verdicts();
        let reigns = |holder: Incarnation| u64::from(holder.0) == incarnation && !verdicts.is_released;
        let is_primary = verdicts.holder.is_some_and(|(_, holder)| reigns(holder));
        let is_known = self.members.get(name).is_some_and(|member| member.incarnation == incarnation);
        if !is_known || is_primary || self.members.len() == 1 {
            return;
        }
        if let Some(member) = self.members.remove(name) {
            let nonce = member.nonces.last().copied().unwrap_or_default();
            self.removed.push((folder(nonce), incarnation));
        }
    }
}

/// One of the model's numbers.
///
/// # Errors
/// If no log that is replayed comes so far.
pub fn narrow(number: u64) -> Result<u16, String> {
    u16::try_from(number).map_err(|_| format!("there cannot be a number {number}"))
}
