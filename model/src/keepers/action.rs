//! What may happen. A step of the model is one of these.

use std::fmt;

use crate::numbers::Node;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A Keeper that votes begins a term and asks for votes.
    Campaign(Node),
    /// The first one votes for the second one, which hears of it.
    Vote(Node, Node),
    /// The leader sends all of its log that the other one lacks, and what is committed. `synced`: it is on the other's disk,
    /// and the leader hears of it; else the other one has it in memory alone.
    Append {
        from: Node,
        to: Node,
        synced: bool,
    },
    /// The leader's own log is on its disk.
    Sync(Node),
    /// The leader takes an entry from a Core.
    Propose(Node),
    /// The leader takes a Keeper in that asks for it.
    Admit(Node, Node),
    /// The leader begins to make voters of those that have the log.
    Promote(Node),
    /// The leader ends a change of the voters, its own or a former leader's.
    End(Node),
    /// An operator asks the node `by` to remove a machine's Keeper.
    Remove {
        machine: Node,
        by: Node,
    },
    /// The leader does the next that this needs: voters change, or members leave, or it says why not.
    Leave(Node),
    /// The operator gets an answer.
    Answer,
    /// The first one hears from the second one that it is a member no more.
    FindOut(Node, Node),
    /// Its process ends; with `loses_tail` what was not synced is lost.
    Crash {
        machine: Node,
        loses_tail: bool,
    },
    Restart(Node),
    /// It loses its disk, and goes on with an empty one.
    Lose(Node),
    /// Its log is damaged, where so many entries end.
    Damage(Node, u8),
    /// It moves its damaged log out of the way, and begins anew.
    SetAside(Node),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Campaign(machine) => write!(f, "Campaign    {machine}"),
            Action::Vote(voter, candidate) => write!(f, "Vote        {voter} for {candidate}"),
            Action::Append { from, to, synced } => {
                write!(f, "Append      {from} to {to}{}", if *synced { "" } else { ", not synced" })
            }
            Action::Sync(machine) => write!(f, "Sync        {machine}"),
            Action::Propose(machine) => write!(f, "Propose     {machine}"),
            Action::Admit(leader, machine) => write!(f, "Admit       {machine}, by {leader}"),
            Action::Promote(leader) => write!(f, "Promote     by {leader}"),
            Action::End(leader) => write!(f, "End         by {leader}"),
            Action::Remove { machine, by } => write!(f, "Remove      {machine}, through {by}"),
            Action::Leave(leader) => write!(f, "Leave       by {leader}"),
            Action::Answer => write!(f, "Answer"),
            Action::FindOut(machine, by) => write!(f, "FindOut     {machine}, from {by}"),
            Action::Crash { machine, loses_tail } => {
                write!(f, "Crash       {machine}{}", if *loses_tail { ", what was not synced is lost" } else { "" })
            }
            Action::Restart(machine) => write!(f, "Restart     {machine}"),
            Action::Lose(machine) => write!(f, "Lose        {machine}'s disk"),
            Action::Damage(machine, entries) => write!(f, "Damage      {machine}'s log behind {entries} entries"),
            Action::SetAside(machine) => write!(f, "SetAside    {machine}'s log"),
        }
    }
}
