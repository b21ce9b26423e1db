//! What clients did and what they learnt, in the order in which it happened.
//!
//! Times can be equal; a [`Stamp`] never is. An operation whose fate its client does not know stays open for ever:
//! some other node may have it still. Where there is no other node it ends with the life of the server that got it: what
//! a life has not executed, no later life does (persistent atomicity: Guerraoui and Levy, "Robust emulations of shared
//! memory in a crash-recovery model", ICDCS 2004).

use std::collections::BTreeMap;
use std::time::Duration;

use mneme_kernel::ids::Incarnation;

use crate::model::{Between, Command, Reply};

/// A moment. Later ones are greater, and no two are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

/// The end of everything.
pub const NEVER: Stamp = Stamp(i64::MAX as u64);

/// How strongly an operation asks to be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Eventual,
    Quorum,
    All,
}

/// What a client knows of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged at the level that it asked for.
    Acknowledged(Reply),
    /// Executed at `EVENTUAL`: it may be undone by a crash.
    Executed(Reply),
    /// It was or will be executed and may be undone by a crash, or neither: `-UNCERTAIN`.
    Uncertain,
    /// It was executed before this answer and lasts, but not at the level that it asked for.
    Weaker,
    /// Not executed and never will be.
    Refused,
    /// Nothing was heard of it.
    Unknown,
}

/// A process of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LifeId {
    /// The machine.
    pub machine: usize,
    /// How many lives its server had before.
    pub number: usize,
}

/// One command of one client.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Who sent it. A client that gives up on an operation goes on as another process.
    pub process: u32,
    /// Which life of which server it was sent to.
    pub life: LifeId,
    pub command: Command,
    /// What it asks for.
    pub level: Level,
    pub called: Stamp,
    /// When its effect, if it has one, had taken place.
    pub ended: Stamp,
    pub outcome: Outcome,
    /// The wall clocks while it ran.
    pub clock: Between,
    /// What it was read from if it is a read at `EVENTUAL`, as far as that is certain.
    pub memory: Option<Memory>,
}

/// A memory that reads at `EVENTUAL` are answered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// A Core's, until it throws it away and begins another life in the log.
    Core(Incarnation),
    /// A Replica's.
    Replica,
    /// That of a node which is being removed: it may be no member, and not know yet.
    Leaving,
}

impl Operation {
    /// The reply, if it may be relied upon.
    pub fn acknowledged(&self) -> Option<&Reply> {
        match &self.outcome {
            Outcome::Acknowledged(reply) => Some(reply),
            _ => None,
        }
    }

    /// Whether it certainly did what it was asked for: SET with GET writes nothing where a collection stands.
    pub fn has_written(&self) -> bool {
        self.acknowledged().is_some_and(|reply| *reply != Reply::WrongType)
    }

    /// The reply, however weak.
    pub fn answered(&self) -> Option<&Reply> {
        match &self.outcome {
            Outcome::Acknowledged(reply) | Outcome::Executed(reply) => Some(reply),
            _ => None,
        }
    }
}

/// An operation for tests of checks, by a process of its own.
#[cfg(test)]
pub fn operation(called: u64, ended: u64, command: Command, outcome: Outcome) -> Operation {
    let clock = Between { least: called, most: ended };
    let life = LifeId { machine: 0, number: 0 };
    let (process, level, memory) = (called as u32, Level::Quorum, None);
    Operation { process, life, command, level, called: Stamp(called), ended: Stamp(ended), outcome, clock, memory }
}

/// The end of one life.
#[derive(Clone, Copy, Debug)]
struct Death {
    at: Stamp,
    /// The highest that a wall clock has ever been.
    highest_wall: u64,
}

/// What is left of what a process held when it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// Nothing but what is on its disk.
    Disk,
    /// Other nodes may have got some of it and go on with it at any time.
    Elsewhere,
}

/// A history in the making.
#[derive(Debug)]
pub struct History {
    remains: Remains,
    /// How long the run has lasted.
    clock: fn() -> Duration,
    last: Stamp,
    /// By stamp, how long the run had lasted when it was given.
    times: Vec<Duration>,
    operations: Vec<Operation>,
    deaths: BTreeMap<LifeId, Death>,
    /// When a wall clock was set, and what to.
    jumps: Vec<(Stamp, u64)>,
    highest_wall: u64,
}

/// An operation that is under way.
#[derive(Clone, Copy, Debug)]
pub struct OperationId(usize);

impl History {
    pub fn new(remains: Remains, clock: fn() -> Duration) -> History {
        History {
            remains,
            clock,
            last: Stamp::default(),
            times: vec![Duration::ZERO],
            operations: Vec::new(),
            deaths: BTreeMap::new(),
            jumps: Vec::new(),
            highest_wall: 0,
        }
    }

    /// A moment of its own, for what is noted elsewhere.
    pub fn stamp(&mut self) -> Stamp {
        self.last.0 += 1;
        self.times.push((self.clock)());
        self.last
    }

    /// By stamp, how long the run had lasted when it was given.
    pub fn times(&self) -> &[Duration] {
        &self.times
    }

    /// Notes that a client sends a command, while the servers' wall clocks say `walls`.
    pub fn call(&mut self, process: u32, life: LifeId, command: Command, level: Level, walls: Between) -> OperationId {
        self.highest_wall = self.highest_wall.max(walls.most);
        let called = self.stamp();
        let clock = Between { least: walls.least, most: u64::MAX };
        let (outcome, memory) = (Outcome::Unknown, None);
        self.operations.push(Operation { process, life, command, level, called, ended: NEVER, outcome, clock, memory });
        OperationId(self.operations.len() - 1)
    }

    /// Notes what came of it.
    pub fn end(&mut self, id: OperationId, outcome: Outcome, walls: Between) {
        self.highest_wall = self.highest_wall.max(walls.most);
        let ended = self.stamp();
        let operation = &mut self.operations[id.0];
        operation.ended = ended;
        operation.outcome = outcome;
        operation.clock.most = self.highest_wall;
    }

    /// Notes what an answer was read from.
    pub fn was_read_from(&mut self, id: OperationId, memory: Option<Memory>) {
        self.operations[id.0].memory = memory;
    }

    /// Notes that the current life of a machine's server has ended.
    pub fn death(&mut self, machine: usize, walls: Between) {
        self.highest_wall = self.highest_wall.max(walls.most);
        let at = self.stamp();
        self.deaths.insert(self.life(machine), Death { at, highest_wall: self.highest_wall });
    }

    /// Notes that a wall clock jumps.
    pub fn jump(&mut self, before: u64, after: u64) {
        self.highest_wall = self.highest_wall.max(before).max(after);
        let at = self.stamp();
        self.jumps.push((at, after));
    }

    /// The current life of a machine's server.
    pub fn life(&self, machine: usize) -> LifeId {
        let ended = self.deaths.keys().filter(|life| life.machine == machine);
        LifeId { machine, number: ended.count() }
    }

    /// All operations, in the order of their calls. What the end of a life and jumps of a clock say about when an
    /// operation took place is worked in.
    pub fn finish(&self) -> Vec<Operation> {
        let mut operations = self.operations.clone();
        for operation in &mut operations {
            let is_open = matches!(operation.outcome, Outcome::Unknown | Outcome::Uncertain);
            if let Some(death) = self.deaths.get(&operation.life).filter(|death| death.at < operation.ended) {
                if death.at < operation.called {
                    // Sent to a dead server.
                    operation.outcome = Outcome::Refused;
                    continue;
                }
                // What has been answered had been done by then.
                if !is_open || self.remains == Remains::Disk {
                    operation.ended = death.at;
                    operation.clock.most = operation.clock.most.min(death.highest_wall);
                }
            }
            if is_open && self.remains == Remains::Elsewhere {
                operation.ended = NEVER;
                operation.clock.most = u64::MAX;
            }
            let during = self.jumps.iter().filter(|(at, _)| (operation.called..operation.ended).contains(at));
            let lowest = during.map(|(_, wall)| *wall).min();
            operation.clock.least = lowest.map_or(operation.clock.least, |wall| wall.min(operation.clock.least));
        }
        operations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONLY: LifeId = LifeId { machine: 0, number: 0 };

    fn at(wall: u64) -> Between {
        Between { least: wall, most: wall }
    }

    #[test]
    fn an_unknown_operation_ends_with_the_life_that_got_it() {
        let mut history = History::new(Remains::Disk, || Duration::ZERO);
        let [lost, _] = [0, 1].map(|process| history.call(process, ONLY, Command::Size(0), Level::Quorum, at(500)));
        history.death(0, at(600));
        history.call(3, ONLY, Command::Size(0), Level::Quorum, at(600));
        history.jump(700, 400);
        let next = history.call(2, history.life(0), Command::Size(0), Level::Quorum, at(410));
        history.end(next, Outcome::Refused, at(420));
        history.end(lost, Outcome::Acknowledged(Reply::Ok), at(430));
        let [lost, open, late, next] = history.finish().try_into().expect("four operations");
        assert_eq!(late.outcome, Outcome::Refused);
        assert_eq!((lost.ended, open.ended), (Stamp(3), Stamp(3)));
        assert_eq!(lost.clock, Between { least: 500, most: 600 });
        assert_eq!(next.clock, Between { least: 410, most: 700 });
    }

    #[test]
    fn with_other_nodes_it_stays_open_for_ever() {
        let mut history = History::new(Remains::Elsewhere, || Duration::ZERO);
        let [answered, uncertain, _] =
            [0, 1, 2].map(|process| history.call(process, ONLY, Command::Size(0), Level::Quorum, at(500)));
        history.end(uncertain, Outcome::Uncertain, at(510));
        history.death(1, at(550));
        history.death(0, at(600));
        history.end(answered, Outcome::Acknowledged(Reply::Ok), at(620));
        history.call(3, ONLY, Command::Size(0), Level::Quorum, at(600));
        let [answered, uncertain, unknown, late] = history.finish().try_into().expect("four operations");
        assert_eq!((answered.ended, answered.clock.most), (Stamp(6), 600));
        assert_eq!((uncertain.ended, unknown.ended), (NEVER, NEVER));
        assert_eq!((uncertain.clock.most, unknown.clock.most), (u64::MAX, u64::MAX));
        assert_eq!(late.outcome, Outcome::Refused);
    }

    #[test]
    fn a_clock_set_back_during_an_operation_lowers_its_bound() {
        let mut history = History::new(Remains::Disk, || Duration::ZERO);
        let id = history.call(0, ONLY, Command::Size(0), Level::Quorum, at(500));
        history.jump(510, 100);
        history.end(id, Outcome::Refused, at(110));
        assert_eq!(history.finish()[0].clock, Between { least: 100, most: 510 });
    }
}
