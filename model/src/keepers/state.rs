//! One state of the group: its machines, and what is remembered for the properties alone.

use std::collections::BTreeMap;

use crate::keepers::config::{Config, Id, Ids};
use crate::numbers::Node;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// By machine.
    pub keepers: Vec<Keeper>,
    /// What any leader has ever committed.
    pub log: Vec<Entry>,
    /// A leader has committed something else in the place of what was committed.
    pub is_changed: bool,
    /// Who was elected, in which term.
    pub leaders: Vec<(u8, Id)>,
    /// The operator has not asked yet.
    pub may_remove: bool,
    pub leaving: Option<Leaving>,
    /// Whom an operator has had removed.
    pub asked: Ids,
    /// An operator was told that a name has no Keeper, and it had one.
    pub is_told_wrong: bool,
    pub left: Budget,
}

/// The Keeper of a machine: what is on its disk, and what its process knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Keeper {
    /// Its log's own.
    pub id: Id,
    pub is_up: bool,
    /// Its log cannot be trusted: it is found out at the next start, and its process is down until then.
    pub is_damaged: bool,
    pub term: u8,
    /// For whom it has voted in this term, or who leads in it.
    pub vote: Option<Id>,
    pub log: Vec<Entry>,
    /// So many entries outlast a power cut.
    pub synced: u8,
    /// So many are committed, as its process knows.
    pub committed: u8,
    /// The newest configuration by which it is a member, or was: as the number of the log's entries up to it. It is on
    /// disk. Zero: it asks to be admitted.
    pub joined: u8,
    /// It has found out that it is a member no more, and has ended.
    pub was_removed: bool,
    /// Its disk was lost, or it is new or to leave, and it was not ready since: others are not lost meanwhile, unless they
    /// can be spared too.
    pub is_impaired: bool,
    pub role: Role,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Follows,
    /// It has these votes.
    Asks(Ids),
    /// So many entries of each are known to be its own.
    Leads(BTreeMap<Id, u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub term: u8,
    pub content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// A new leader's first.
    Blank,
    Data,
    Members(Config),
}

/// What an operator has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leaving {
    pub machine: Node,
    /// Those of its name when that was asked for, as far as `by` knew.
    pub ids: Ids,
    /// Those that were members when that was asked for, by what was committed.
    pub there: Ids,
    /// The node that sees to it.
    pub by: Node,
    /// The leader and its term that began to remove them last: it does nothing else about members until they are gone.
    pub begun: Option<(Id, u8)>,
    /// So many entries its log must have until it can tell.
    pub gone_at: Option<u8>,
}

/// How often a thing may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    pub campaigns: u8,
    pub data: u8,
    pub crashes: u8,
    /// Disks that are lost with all that is on them.
    pub losses: u8,
    /// Disks that are damaged below what was synced.
    pub damages: u8,
}

impl State {
    pub fn keeper(&self, machine: Node) -> &Keeper {
        &self.keepers[usize::from(machine.0)]
    }

    pub fn keeper_mut(&mut self, machine: Node) -> &mut Keeper {
        &mut self.keepers[usize::from(machine.0)]
    }

    pub fn machines(&self) -> impl Iterator<Item = Node> + use<> {
        (0..self.keepers.len() as u8).map(Node)
    }

    /// Whether the disk that has this identity is still there, sound, and its Keeper runs.
    pub fn is_alive(&self, id: Id) -> bool {
        let keeper = self.keeper(id.machine());
        keeper.id == id && keeper.runs()
    }

    /// It leads, knows that an entry of its own is committed, and a majority answers it.
    pub fn has_majority(&self, leader: Node) -> bool {
        let leader = self.keeper(leader);
        let answers = |keeper: &&Keeper| keeper.runs() && keeper.term <= leader.term;
        let answering = self.keepers.iter().filter(answers).map(|keeper| keeper.id).collect();
        leader.has_begun() && leader.config().is_quorum(answering)
    }

    /// The committed configurations, the oldest first.
    pub fn configs(&self) -> impl Iterator<Item = Config> + Clone {
        self.log.iter().filter_map(Entry::config)
    }

    /// Those that were in a committed configuration, and are in a later one no more.
    pub fn gone(&self) -> Ids {
        let members = self.configs().map(|config| config.members);
        let all = members.clone().fold(Ids::default(), Ids::and);
        all.without(members.last().unwrap_or_default())
    }
}

impl Keeper {
    /// An empty disk.
    pub fn empty(id: Id) -> Self {
        Self {
            id,
            is_up: true,
            is_damaged: false,
            term: 0,
            vote: None,
            log: vec![],
            synced: 0,
            committed: 0,
            joined: 0,
            was_removed: false,
            is_impaired: true,
            role: Role::Follows,
        }
    }

    /// It takes part in the group's protocol.
    pub fn runs(&self) -> bool {
        self.is_up && self.may_run()
    }

    /// It does, or will when it is started again.
    pub fn may_run(&self) -> bool {
        !self.is_damaged && !self.was_removed
    }

    pub fn leads(&self) -> bool {
        matches!(self.role, Role::Leads(_))
    }

    /// It leads, and knows that an entry of its own is committed.
    pub fn has_begun(&self) -> bool {
        self.leads() && self.log[..usize::from(self.committed)].last().is_some_and(|last| last.term == self.term)
    }

    /// The configuration that it acts by, the last one in its log.
    pub fn config(&self) -> Config {
        config(&self.log).map_or(Config::default(), |(_, config)| config)
    }

    /// The last one that it knows to be committed, and how many entries end with it.
    pub fn committed_config(&self) -> Option<(u8, Config)> {
        config(&self.log[..usize::from(self.committed)])
    }

    /// The configuration that it acts by is committed: another one may follow.
    pub fn is_settled(&self) -> bool {
        config(&self.log).is_some_and(|(at, _)| at <= self.committed)
    }

    /// Whether it may ask for votes: who votes no more by a configuration that is not committed may have to lead once more, for
    /// it may be the only one that has that.
    pub fn may_campaign(&self) -> bool {
        may_campaign(self.id, &self.log, self.committed)
    }

    pub fn append(&mut self, content: Content) {
        self.log.push(Entry { term: self.term, content });
    }
}

/// The last configuration in a log, and how many entries end with it.
pub fn config(log: &[Entry]) -> Option<(u8, Config)> {
    let at = log.iter().rposition(|entry| entry.config().is_some())?;
    Some((at as u8 + 1, log[at].config()?))
}

/// As [`Keeper::may_campaign`], with a part of what it has and knows.
pub fn may_campaign(id: Id, log: &[Entry], committed: u8) -> bool {
    let Some((at, newest)) = config(log) else { return false };
    let before = config(&log[..usize::from(at) - 1]).filter(|_| at > committed);
    newest.votes(id) || before.is_some_and(|(_, before)| before.votes(id))
}

/// Whether the first log is no older than the second: then the second one's Keeper may vote for the first one's.
pub fn is_as_new(log: &[Entry], other: &[Entry]) -> bool {
    let rank = |log: &[Entry]| (log.last().map_or(0, |last| last.term), log.len());
    rank(log) >= rank(other)
}

impl Entry {
    pub fn config(&self) -> Option<Config> {
        match self.content {
            Content::Members(config) => Some(config),
            _ => None,
        }
    }
}
