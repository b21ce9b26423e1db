//! The Cores that have said hello: who they are in this life, and where.

use alloc::collections::BTreeMap;
use alloc::string::String;

use bincode::{Decode, Encode};

use crate::entry::Entry;
use crate::ids::{Incarnation, Index};

/// Every Core by name. Part of the replicated state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Cores(BTreeMap<String, KnownCore>);

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KnownCore {
    /// Its newest life.
    pub incarnation: Incarnation,
    /// What other Cores dial: `host:port`.
    pub address: String,
}

impl Cores {
    /// Takes an entry of the log into account.
    pub(crate) fn see(&mut self, index: Index, entry: &Entry<'_>) {
        if let Entry::Hello { node, address, .. } = *entry {
            let known = KnownCore { incarnation: Incarnation(index.0), address: address.into() };
            self.0.insert(node.into(), known);
        }
    }

    pub fn get(&self, node: &str) -> Option<&KnownCore> {
        self.0.get(node)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &KnownCore)> {
        self.0.iter().map(|(name, core)| (&**name, core))
    }
}
