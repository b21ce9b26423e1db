//! Queues: numbers that are pushed once each to one end of a list, and popped from its other end, by clients that wait for them.

use mneme_kernel::resp::Value;

use crate::export::{Completion, Form, Recorded};
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

/// What an answer means that is none of a command that took place.
pub fn failed(answer: Option<&Value>) -> Completion {
    match answer {
        Some(Value::Error(text))
            if ["LOADING ", "NOQUORUM not executed", "OOM ", "NOGROUP ", "ERR not every node"]
                .iter()
                .any(|start| text.starts_with(start)) =>
        {
            Completion::Fail
        }
        _ => Completion::Info,
    }
}

/// The number in an answer.
pub fn number(value: &Value) -> Option<u32> {
    match value {
        Value::Bulk(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        _ => None,
    }
}

/// As Jepsen's queues write it: `:enqueue [1 17]`, `:dequeue [1 17]`, `:drain [1 [18 19]]`, each with its list.
impl Recorded for Event {
    fn client(&self) -> u32 {
        self.client
    }

    fn called(&self) -> Stamp {
        self.called
    }

    fn ended(&self) -> Stamp {
        self.ended
    }

    fn function(&self) -> String {
        let function = match self.action {
            Action::Push { .. } => "enqueue",
            Action::Pop { .. } => "dequeue",
            Action::Read { .. } => "drain",
        };
        function.to_owned()
    }

    fn asked(&self) -> Form {
        match &self.action {
            Action::Push { list, number } => row([Form::Number((*list).into()), Form::Number((*number).into())]),
            Action::Pop { lists, .. } => row(lists.iter().map(|list| Form::Number((*list).into()))),
            Action::Read { list, .. } => row([Form::Number((*list).into())]),
        }
    }

    fn heard(&self) -> (Completion, Form) {
        let form = match &self.action {
            Action::Pop { got: Some((list, number)), .. } => {
                row([Form::Number((*list).into()), Form::Number((*number).into())])
            }
            Action::Pop { got: None, .. } => Form::Nil,
            Action::Read { list, found } => {
                let found = row(found.iter().map(|number| Form::Number((*number).into())));
                row([Form::Number((*list).into()), found])
            }
            Action::Push { .. } => self.asked(),
        };
        (self.completion, form)
    }
}

fn row(forms: impl IntoIterator<Item = Form>) -> Form {
    Form::List(forms.into_iter().collect())
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
