//! What clients did and what they learnt, in the order in which it happened.
//!
//! Virtual times can be equal; a [`Stamp`] never is. An operation whose fate its client does not know ends with the life
//! of the server that got it: what a life has not executed, no later life does (persistent atomicity: Guerraoui and
//! Levy, "Robust emulations of shared memory in a crash-recovery model", ICDCS 2004).

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
    /// Executed, and it may be undone by a crash: an `EVENTUAL` answer, or none at a stronger level (`-UNCERTAIN`).
    Executed(Option<Reply>),
    /// Not executed and never will be.
    Refused,
    /// Nothing was heard of it.
    Unknown,
}

/// One command of one client.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Who sent it. A client that gives up on an operation goes on as another process.
    pub process: u32,
    /// Which life of the server it was sent to, from 0.
    pub life: usize,
    pub command: Command,
    pub called: Stamp,
    /// When its effect, if it has one, had taken place.
    pub ended: Stamp,
    pub outcome: Outcome,
    /// The server's wall clock while it ran.
    pub clock: Between,
}

impl Operation {
    /// The reply, if it may be relied upon.
    pub fn acknowledged(&self) -> Option<&Reply> {
        match &self.outcome {
            Outcome::Acknowledged(reply) => Some(reply),
            _ => None,
        }
    }

    /// The reply, however weak.
    pub fn answered(&self) -> Option<&Reply> {
        match &self.outcome {
            Outcome::Acknowledged(reply) | Outcome::Executed(Some(reply)) => Some(reply),
            _ => None,
        }
    }
}

/// The end of one life of the server.
#[derive(Clone, Copy, Debug)]
struct Death {
    at: Stamp,
    /// The highest that a wall clock has ever been.
    highest_wall: u64,
}

/// A history in the making.
#[derive(Debug, Default)]
pub struct History {
    last: Stamp,
    operations: Vec<Operation>,
    deaths: Vec<Death>,
    /// When the wall clock was set, and what to.
    jumps: Vec<(Stamp, u64)>,
    highest_wall: u64,
}

/// An operation that is under way.
#[derive(Clone, Copy, Debug)]
pub struct OperationId(usize);

impl History {
    fn stamp(&mut self) -> Stamp {
        self.last.0 += 1;
        self.last
    }

    /// Notes that a client sends a command, while the wall clock says `wall`.
    pub fn call(&mut self, process: u32, life: usize, command: Command, wall: u64) -> OperationId {
        self.highest_wall = self.highest_wall.max(wall);
        let called = self.stamp();
        let clock = Between { least: wall, most: u64::MAX };
        let outcome = Outcome::Unknown;
        self.operations.push(Operation { process, life, command, called, ended: NEVER, outcome, clock });
        OperationId(self.operations.len() - 1)
    }

    /// Notes what came of it.
    pub fn end(&mut self, id: OperationId, outcome: Outcome, wall: u64) {
        self.highest_wall = self.highest_wall.max(wall);
        let ended = self.stamp();
        let operation = &mut self.operations[id.0];
        operation.ended = ended;
        operation.outcome = outcome;
        operation.clock.most = self.highest_wall;
    }

    /// Notes that the server's current life has ended.
    pub fn death(&mut self, wall: u64) {
        self.highest_wall = self.highest_wall.max(wall);
        let at = self.stamp();
        self.deaths.push(Death { at, highest_wall: self.highest_wall });
    }

    /// Notes that the wall clock jumps.
    pub fn jump(&mut self, before: u64, after: u64) {
        self.highest_wall = self.highest_wall.max(before).max(after);
        let at = self.stamp();
        self.jumps.push((at, after));
    }

    /// How many lives have ended: the number of the current one.
    pub fn life(&self) -> usize {
        self.deaths.len()
    }

    /// All operations, in the order of their calls. What the end of a life and jumps of the clock say about when an
    /// operation took place is worked in.
    pub fn finish(&self) -> Vec<Operation> {
        let mut operations = self.operations.clone();
        for operation in &mut operations {
            if let Some(death) = self.deaths.get(operation.life).filter(|death| death.at < operation.ended) {
                if death.at < operation.called {
                    // Sent to a dead server.
                    operation.outcome = Outcome::Refused;
                    continue;
                }
                operation.ended = death.at;
                operation.clock.most = operation.clock.most.min(death.highest_wall);
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

    #[test]
    fn an_unknown_operation_ends_with_the_life_that_got_it() {
        let mut history = History::default();
        let [lost, _] = [0, 1].map(|process| history.call(process, 0, Command::Size(0), 500));
        history.death(600);
        history.call(3, 0, Command::Size(0), 600);
        history.jump(700, 400);
        let next = history.call(2, 1, Command::Size(0), 410);
        history.end(next, Outcome::Refused, 420);
        history.end(lost, Outcome::Acknowledged(Reply::Ok), 430);
        let [lost, open, late, next] = history.finish().try_into().expect("four operations");
        assert_eq!(late.outcome, Outcome::Refused);
        assert_eq!((lost.ended, open.ended), (Stamp(3), Stamp(3)));
        assert_eq!(lost.clock, Between { least: 500, most: 600 });
        assert_eq!(next.clock, Between { least: 410, most: 700 });
    }

    #[test]
    fn a_clock_set_back_during_an_operation_lowers_its_bound() {
        let mut history = History::default();
        let id = history.call(0, 0, Command::Size(0), 500);
        history.jump(510, 100);
        history.end(id, Outcome::Refused, 110);
        assert_eq!(history.finish()[0].clock, Between { least: 100, most: 510 });
    }
}
