//! Removing a node: what can be said about it before anything happens. The rest needs other nodes, and is the driver's.

use alloc::format;
use alloc::string::String;

use crate::agreed::{Agreed, COLLECTIONS, REMOVALS, SCRIPTS};
use crate::core::Core;

/// What is to leave the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The node's name.
    pub node: String,
    /// Its Core stays.
    pub keeper_only: bool,
}

impl Core {
    /// Whether a node can be removed at all, as far as this one knows.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn check_departure(&self, departure: &Departure) -> Result<(), String> {
        let Departure { node, keeper_only } = departure;
        if !self.is_hot() {
            return Err("this node does not know all that the log says yet: ask again, or another node".into());
        }
        let has_core = self.cores().get(node).is_some();
        let has_keeper = self.has_keeper(node);
        if *node == self.config.node && !keeper_only {
            return Err(format!("{node} is the node that was asked: have another one remove it"));
        }
        // Its log would not tell it any more that this is done.
        if *node == self.config.node && self.keeper().keepers > 0 {
            return Err(format!(
                "the Keeper is inside of the node that was asked: start {node} with --keeper none first"
            ));
        }
        if *keeper_only && !has_keeper {
            return Err(format!("there is no Keeper {node}: see CLUSTER STATUS"));
        }
        if !has_core && !has_keeper {
            return Err(format!("there is no node {node}: see CLUSTER STATUS"));
        }
        if !keeper_only && has_core {
            if self.cores().iter().count() == 1 {
                return Err(format!("{node} has the only Core: nobody else could serve clients"));
            }
            if self.agreed().format < REMOVALS {
                return Err(format!(
                    "not every node has said that it reads format {REMOVALS}: bring all nodes to a newer version first"
                ));
            }
        }
        Ok(())
    }

    /// Whether the Raft group has a member of this name.
    fn has_keeper(&self, node: &str) -> bool {
        self.members().members.iter().any(|(_, member)| member.name == node)
    }

    /// What the nodes have agreed on.
    pub fn agreed(&self) -> &Agreed {
        &self.system.agreed
    }

    /// Whether all nodes know values other than byte strings.
    pub(crate) fn keeps_scripts(&self) -> bool {
        self.system.agreed.format >= SCRIPTS
    }

    /// Whether values other than byte strings may be made.
    pub(crate) fn writes_collections(&self) -> bool {
        self.system.agreed.format >= COLLECTIONS
    }
}
