//! One state of the world.

use std::collections::BTreeSet;

use crate::action::Forward;
use crate::core::Core;
use crate::entry::Entry;
use crate::history::History;
use crate::numbers::{Index, Node, Request};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Committed: what Raft guarantees is that this only grows, and is the same for all.
    pub log: Vec<Entry>,
    /// Proposals on their way. They may be committed in any order, late, or never, and may be sent again.
    pub proposals: BTreeSet<Entry>,
    /// Forwarded requests on their way, the same.
    pub forwards: BTreeSet<Forward>,
    /// The Keepers' newest snapshot contains the log up to here; before that the log is purged, except for the properties.
    pub snapshot: Index,
    pub cores: Vec<Core>,
    pub clients: Vec<Client>,
    /// Leases that rest on a renewal up to this one are over ([`crate::lease::Leases::Untimed`]).
    pub ended: Index,
    /// What clients saw.
    pub history: History,
    /// A write that was acknowledged at `QUORUM` when no accepted entry contained it.
    pub lost: Option<Request>,
    /// Requests whose clients were told that they were not executed.
    pub denied: Vec<Request>,
    pub left: Budget,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// How many requests it has sent.
    pub sent: u8,
    /// The numbers of those whose answers it waits for.
    pub open: Vec<u8>,
}

/// What bounds a scenario: how often a thing may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    pub claims: u8,
    pub renews: u8,
    pub resends: u8,
    pub releases: u8,
    pub forwards: u8,
    pub crashes: u8,
    /// Requests that wait for longer than clients are kept waiting.
    pub timeouts: u8,
    pub snapshots: u8,
}

impl State {
    pub fn core(&self, node: Node) -> &Core {
        &self.cores[usize::from(node.0)]
    }

    pub fn core_mut(&mut self, node: Node) -> &mut Core {
        &mut self.cores[usize::from(node.0)]
    }

    pub fn nodes(&self) -> impl Iterator<Item = Node> + use<> {
        (0..self.cores.len() as u8).map(Node)
    }

    /// Hands an entry to the network that leads to the log.
    pub fn propose(&mut self, entry: Entry) {
        self.proposals.insert(entry);
    }

    /// Whether this client waits for the answer of this request.
    pub fn awaits(&self, request: Request) -> bool {
        self.clients[usize::from(request.client)].open.contains(&request.number)
    }

    /// The client waits no more, and never learns what became of its request.
    pub fn abandon(&mut self, request: Request) {
        if self.awaits(request) {
            self.history.abandon(request);
            self.close(request);
        }
    }

    /// The client is told that the request was certainly not executed (`-LOADING`).
    pub fn deny(&mut self, request: Request) {
        if self.awaits(request) {
            self.history.deny(request);
            self.denied.push(request);
            self.close(request);
        }
    }

    /// The client has an answer.
    pub fn close(&mut self, request: Request) {
        self.clients[usize::from(request.client)].open.retain(|number| *number != request.number);
    }
}
