//! Queues: numbers that are pushed once each to the right of a list, and popped from its left, by clients that wait for them.

use std::fmt::Write;

use crate::export::Completion;
use crate::history::Stamp;

/// What one client did at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub client: u32,
    pub called: Stamp,
    /// [`crate::history::NEVER`], if nobody knows whether it took place, or still will.
    pub ended: Stamp,
    pub completion: Completion,
    pub action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Push {
        list: u16,
        number: u32,
    },
    /// From the first of these lists that has something.
    Pop {
        lists: Vec<u16>,
        /// The list and the number; `None`: there was nothing for as long as it waited, or nobody knows.
        got: Option<(u16, u32)>,
    },
    /// All that a list held.
    Read {
        list: u16,
        found: Vec<u32>,
    },
}

/// One line an event, in the order of their calls.
pub fn lines(events: &[Event]) -> String {
    let mut text = String::new();
    for Event { client, called, ended, completion, action } in events {
        let ended = if *ended == crate::history::NEVER { "never".to_owned() } else { ended.0.to_string() };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{} to {ended}: client {client} {completion:?} {action:?}", called.0);
    }
    text
}

/// A record in the making.
#[derive(Clone, Debug, Default)]
pub struct Record {
    last: Stamp,
    events: Vec<Event>,
}

impl Record {
    fn stamp(&mut self) -> Stamp {
        self.last.0 += 1;
        self.last
    }

    /// A client begins; what it does is told by [`Record::end`]. Until then its fate is unknown.
    pub fn call(&mut self, client: u32, actions: impl IntoIterator<Item = Action>) -> std::ops::Range<usize> {
        let (called, start) = (self.stamp(), self.events.len());
        let (ended, completion) = (crate::history::NEVER, Completion::Info);
        self.events.extend(actions.into_iter().map(|action| Event { client, called, ended, completion, action }));
        start..self.events.len()
    }

    /// What came of it, and what it turned out to be.
    pub fn end(&mut self, calls: std::ops::Range<usize>, completion: Completion, became: Option<Action>) {
        let ended = self.stamp();
        for event in &mut self.events[calls] {
            event.completion = completion;
            if completion != Completion::Info {
                event.ended = ended;
            }
            if let Some(action) = &became {
                event.action = action.clone();
            }
        }
    }

    pub fn events(&self) -> &[Event] {
        &self.events
    }
}
