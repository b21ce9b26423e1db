//! The Raft group's members, as the log and snapshots hold them.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bincode::{Decode, Encode};

/// One Keeper.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Member {
    /// The node's name.
    pub name: String,
    /// What other nodes dial: `host:port`.
    pub address: String,
}

/// A configuration of the group; two sets of voters while it changes from one to the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Members {
    pub voters: Vec<Vec<u64>>,
    /// All members by id, voters and learners.
    pub members: Vec<(u64, Member)>,
}

/// What a Core hears of the Raft group beside the log's entries, from the Keeper that feeds it: to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// How many entries, counted from the log's beginning, are committed as far as that Keeper has said.
    pub committed: u64,
    /// The address of the Keeper that leads, if that is known. It may have died since.
    pub leader: Option<String>,
    /// The last entry that each Keeper is known to have, by id: only if the Keeper beside leads.
    pub matched: Vec<(u64, u64)>,
    /// How long ago each Keeper has answered, by id: only if the Keeper beside leads, and only of those that have.
    pub heard: Vec<(u64, Duration)>,
}
