//! What the nodes have agreed on about themselves: which format they write, and which Cores are members no more.
//!
//! **The format** is one number for all that is on disk and in the log. A program reads every format up to
//! [`NEWEST`], and nodes write no newer one than all members have said that they read: the primary asks them, and then
//! says so in the log ([`crate::entry::Entry::Format`]). From there on a program that does not read it cannot take part.
//!
//! | format | new in it |
//! |---|---|
//! | 1 | everything but what follows |
//! | 2 | the entries `Format` and `Remove`; this state behind the other one in snapshots |
//! | 3 | the effect `Change`: values other than byte strings |
//! | 4 | the effect `Rules`; users' ACL rules behind this state in snapshots |
//! | 5 | changes of JSON documents |
//! | 6 | the effects `LoadScript` to `DropLibrary`; what they brought, behind that in snapshots |

use alloc::vec::Vec;

use bincode::{Decode, Encode};

use crate::ids::Incarnation;
use crate::limits;

/// The format that every program reads and writes.
pub const OLDEST: u32 = 1;
/// The newest format that this program reads and writes.
pub const NEWEST: u32 = SCRIPTS;
/// From this one on Cores can be removed.
pub const REMOVALS: u32 = 2;
/// From this one on there are values other than byte strings.
pub const COLLECTIONS: u32 = 3;
/// From this one on users can have ACL rules.
pub const RULES: u32 = 4;
/// From this one on there are JSON documents.
pub const DOCUMENTS: u32 = 5;
/// From this one on scripts and libraries are kept.
pub const SCRIPTS: u32 = 6;

/// Part of the replicated state.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Agreed {
    /// All nodes read it.
    pub format: u32,
    /// The latest ones, in the order in which they left.
    removed: Vec<Removed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Removed {
    /// Of the node's folder: see [`identity`].
    identity: u32,
    incarnation: Incarnation,
}

impl Default for Agreed {
    fn default() -> Self {
        Self { format: OLDEST, removed: Vec::new() }
    }
}

/// What a node's folder is told from any other's by, also from a later one of the same node: the upper half of every
/// nonce that it says hello with. `None`: of a node that had none.
pub(crate) fn identity(nonce: u64) -> Option<u32> {
    Some((nonce >> 32) as u32).filter(|identity| *identity != 0)
}

impl Agreed {
    /// Notes a format that is newer; whether it is.
    pub(crate) fn raise(&mut self, format: u32) -> bool {
        let is_newer = format > self.format;
        self.format = self.format.max(format);
        is_newer
    }

    /// A Core is no member any more; its newest hello had this nonce.
    pub(crate) fn remove(&mut self, nonce: u64, incarnation: Incarnation) {
        if self.removed.len() == limits::REMOVED_REMEMBERED {
            self.removed.remove(0);
        }
        self.removed.push(Removed { identity: identity(nonce).unwrap_or_default(), incarnation });
    }

    /// Whether the folder with which this hello was said is that of a Core that was removed.
    pub(crate) fn was_removed(&self, nonce: u64) -> bool {
        identity(nonce).is_some_and(|identity| self.removed.iter().any(|removed| removed.identity == identity))
    }

    /// Whether this was the life of a Core that was removed.
    pub(crate) fn has_left(&self, incarnation: Incarnation) -> bool {
        self.removed.iter().any(|removed| removed.incarnation == incarnation)
    }
}
