//! The Cores that have said hello: who they are in this life, and where.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use bincode::{Decode, Encode};

use crate::agreed::identity;
use crate::entry::Entry;
use crate::ids::{Incarnation, Index};
use crate::limits;

/// Every Core by name. Part of the replicated state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Cores(BTreeMap<String, KnownCore>);

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KnownCore {
    /// Its newest life.
    pub incarnation: Incarnation,
    /// What other Cores dial: `host:port`.
    pub address: String,
    /// The nonces of its newest lives, the last one behind the others: a `Hello` that was sent twice begins no life.
    nonces: Vec<u64>,
    /// The first life of its process: what it forwards comes from there, whichever life it is in now.
    pub origin: Incarnation,
}

impl KnownCore {
    /// What its folder is known by, also in later lives; 0: by nothing.
    pub fn identity(&self) -> u32 {
        self.nonces.last().and_then(|nonce| identity(*nonce)).unwrap_or_default()
    }
}

impl Cores {
    /// Takes an entry of the log into account.
    pub(crate) fn see(&mut self, index: Index, entry: &Entry<'_>) {
        let Entry::Hello { node, nonce, address, origin } = *entry else { return };
        let mut nonces = self.0.get(node).map_or_else(Vec::new, |known| known.nonces.clone());
        if nonces.contains(&nonce) {
            return;
        }
        if nonces.len() == limits::LIVES_REMEMBERED {
            nonces.remove(0);
        }
        nonces.push(nonce);
        let incarnation = Incarnation(index.0);
        let origin = origin.unwrap_or(incarnation);
        self.0.insert(node.into(), KnownCore { incarnation, address: address.into(), nonces, origin });
    }

    /// Forgets the Core of this name; returns the nonce of its newest `Hello`.
    pub(crate) fn remove(&mut self, node: &str) -> Option<u64> {
        self.0.remove(node)?.nonces.last().copied()
    }

    pub fn get(&self, node: &str) -> Option<&KnownCore> {
        self.0.get(node)
    }

    /// Whether it is the origin of a process that lives, as far as the log says.
    pub(crate) fn is_origin(&self, origin: Incarnation) -> bool {
        self.0.values().any(|core| core.origin == origin)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &KnownCore)> {
        self.0.iter().map(|(name, core)| (&**name, core))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(nonce: u64) -> Entry<'static> {
        Entry::Hello { node: "node-1", nonce, address: "node-1:1", origin: None }
    }

    #[test]
    fn a_hello_that_was_sent_twice_begins_no_life() {
        let mut cores = Cores::default();
        cores.see(Index(3), &hello(7));
        cores.see(Index(4), &hello(7));
        assert_eq!(cores.get("node-1").map(|core| core.incarnation), Some(Incarnation(3)));
        cores.see(Index(5), &hello(8));
        cores.see(Index(6), &hello(7));
        assert_eq!(cores.get("node-1").map(|core| core.incarnation), Some(Incarnation(5)));
    }
}
