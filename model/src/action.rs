//! What may happen, in the kernel's terms. A step of the model is one of these.

use std::fmt;

use crate::entry::Entry;
use crate::numbers::{Epoch, Index, Node, Request};
use crate::table::Origin;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new process proposes its `Hello`.
    Begin(Node),
    /// The log takes one of the proposals that are on their way.
    Commit(Entry),
    /// The Keepers make a snapshot of all that is committed, and purge the log before it.
    Snapshot,
    /// The next committed entry reaches a Core, which applies it.
    Deliver(Node),
    /// A Core gets a snapshot, because the log does not reach back to what it has applied.
    Install(Node),
    /// Every lease that rests on a renewal up to this one is over ([`crate::lease::Leases::Untimed`]).
    LeaseEnds(Index),
    /// Some time passes; each Core's clock counts so much of it.
    Tick(Vec<u8>),
    /// Some time passes in which this Core is suspended.
    Pause(Node),
    /// A standby proposes to be primary.
    Claim(Node),
    /// A primary proposes to prolong its lease.
    Renew(Node),
    /// A primary proposes what it executed since its last batch.
    CloseBatch(Node),
    /// A Core proposes again what it has not seen accepted.
    Resend(Node),
    /// A primary proposes to hand over.
    Release(Node),
    /// A primary executes a request of one of its clients, sent now or earlier.
    Execute(Node, Request),
    /// A reply leaves the gate of this Core.
    Reply(Node, Request),
    /// A Core sends a request to the Core that it takes for the primary.
    Forward(Node, Request),
    /// A forwarded request arrives: it is executed, or refused.
    Receive(Forward),
    /// A request has waited too long: its client is told what is known of it.
    GiveUp(Node, Request),
    Crash(Node),
    Restart(Node),
}

/// A forwarded request on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Forward {
    pub request: Request,
    pub to: Node,
    pub epoch: Epoch,
    /// The origin has the replies of all requests of this client below this number.
    pub acknowledged: u8,
    pub origin: Origin,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Begin(node) => write!(f, "Begin       {node}"),
            Action::Commit(entry) => write!(f, "Commit      {entry}"),
            Action::Deliver(node) => write!(f, "Deliver     {node}"),
            Action::Install(node) => write!(f, "Install     {node}"),
            Action::Snapshot => write!(f, "Snapshot"),
            Action::LeaseEnds(index) => write!(f, "LeaseEnds   what rests on a renewal up to {index}"),
            Action::Tick(counted) => write!(f, "Tick        the clocks count {counted:?}"),
            Action::Pause(node) => write!(f, "Pause       {node}"),
            Action::Claim(node) => write!(f, "Claim       {node}"),
            Action::Renew(node) => write!(f, "Renew       {node}"),
            Action::CloseBatch(node) => write!(f, "CloseBatch  {node}"),
            Action::Resend(node) => write!(f, "Resend      {node}"),
            Action::Release(node) => write!(f, "Release     {node}"),
            Action::Execute(node, request) => write!(f, "Execute     {node}, {request}"),
            Action::Reply(node, request) => write!(f, "Reply       {node}, {request}"),
            Action::Forward(node, request) => write!(f, "Forward     {node}, {request}"),
            Action::Receive(forward) => {
                write!(f, "Receive     {}, {}, meant for epoch {}", forward.to, forward.request, forward.epoch)
            }
            Action::GiveUp(node, request) => write!(f, "GiveUp      {node}, {request}"),
            Action::Crash(node) => write!(f, "Crash       {node}"),
            Action::Restart(node) => write!(f, "Restart     {node}"),
        }
    }
}
