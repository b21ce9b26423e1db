//! Queues: numbers that are pushed once each to one end of a list, and popped from its other end, by clients that wait for them.

use std::time::Duration;

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

/// Lists that are pushed to at the right, and popped at the left.
const RIGHT: [u16; 2] = [0, 1];
/// A list that is pushed to at the left.
const LEFT: u16 = 2;
/// A stream, which a group reads.
pub const STREAM: u16 = 3;
/// How many queues there are.
pub const QUEUES: u16 = 4;
const GROUP: &str = "g";

/// What pushes these numbers; only one of them to the [`STREAM`].
pub fn push(list: u16, numbers: std::ops::Range<u32>) -> Vec<String> {
    let command = match list {
        STREAM => return words(&format!("XADD queue:{list} * n {}", numbers.start)),
        LEFT => "LPUSH",
        _ => "RPUSH",
    };
    let numbers = numbers.map(|number| number.to_string());
    [command.to_owned(), format!("queue:{list}")].into_iter().chain(numbers).collect()
}

/// Each way to take the oldest number, and from which lists. `swapped`: which of two lists comes first. The first ones wait.
pub fn pops(swapped: bool, wait: Duration, consumer: u32) -> [(Vec<u16>, Vec<String>); 8] {
    let mut right = RIGHT;
    if swapped {
        right.reverse();
    }
    let [first, second] = right;
    let (seconds, millis) = (format!("{:.3}", wait.as_secs_f64()), wait.as_millis().max(1));
    [
        (vec![first], format!("BLPOP queue:{first} {seconds}")),
        (right.to_vec(), format!("BLPOP queue:{first} queue:{second} {seconds}")),
        (vec![LEFT], format!("BRPOP queue:{LEFT} {seconds}")),
        (vec![first], format!("BLMOVE queue:{first} taken LEFT RIGHT {seconds}")),
        (vec![STREAM], format!("XREADGROUP GROUP {GROUP} c{consumer} COUNT 1 BLOCK {millis} STREAMS queue:{STREAM} >")),
        (vec![first], format!("LPOP queue:{first}")),
        (vec![LEFT], format!("RPOP queue:{LEFT}")),
        (right.to_vec(), format!("LMPOP 2 queue:{first} queue:{second} LEFT")),
    ]
    .map(|(lists, command)| (lists, words(&command)))
}

/// What makes the group, without which nobody reads the stream.
pub fn group() -> Vec<String> {
    words(&format!("XGROUP CREATE queue:{STREAM} {GROUP} 0 MKSTREAM"))
}

/// Whether an answer says that nobody has made it yet.
pub fn lacks_group(answer: &Value) -> bool {
    matches!(answer, Value::Error(text) if text.starts_with("NOGROUP "))
}

/// What an answer says was taken: from the list that it names, or else from the first of those that were asked for.
pub fn taken(answer: &Value, lists: &[u16]) -> Option<(u16, u32)> {
    let texts = texts(answer);
    let named = texts.first().and_then(|text| text.strip_prefix("queue:")?.parse().ok());
    Some((named.or(lists.first().copied())?, texts.last()?.parse().ok()?))
}

/// What shows up to where the group has read.
pub fn progress() -> Vec<String> {
    words(&format!("XINFO GROUPS queue:{STREAM}"))
}

/// What shows all that is left of a list; of the stream, behind what the group has read.
pub fn rest(list: u16, progress: Option<&Value>) -> Vec<String> {
    let Some(progress) = progress else { return words(&format!("LRANGE queue:{list} 0 -1")) };
    let texts = texts(progress);
    let at = texts.iter().position(|text| *text == "last-delivered-id");
    // Nobody has read, or not even written.
    let last = at.and_then(|at| texts.get(at + 1)).unwrap_or(&"0-0");
    words(&format!("XRANGE queue:{list} ({last} +"))
}

/// The numbers in that answer.
pub fn left(answer: &Value) -> Option<Vec<u32>> {
    let Value::Array(items) = answer else { return None };
    items.iter().map(|item| texts(item).last()?.parse().ok()).collect()
}

/// What an answer means that is none of a command that took place.
///
/// # Errors
/// If it is no answer that such a command has.
pub fn failed(answer: Option<&Value>) -> Result<Completion, String> {
    const REFUSED: [&str; 5] = ["LOADING ", "NOQUORUM not executed", "OOM ", "NOGROUP ", "ERR not every node"];
    const UNKNOWN: [&str; 2] = ["UNCERTAIN ", "NOQUORUM "];
    let is_one = |text: &str, starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
    match answer {
        None => Ok(Completion::Info),
        Some(Value::Error(text)) if is_one(text, &REFUSED) => Ok(Completion::Fail),
        Some(Value::Error(text)) if is_one(text, &UNKNOWN) => Ok(Completion::Info),
        Some(answer) => Err(format!("{answer:?} is no answer of a queue")),
    }
}

/// All texts of an answer.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Bulk(text) => std::str::from_utf8(text).into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Map(pairs) => pairs.iter().flat_map(|(name, value)| [name, value]).flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.into())
    }

    #[test]
    fn what_was_taken_is_read_from_every_kind_of_answer() {
        let entry = Value::Array(vec![bulk("7-0"), Value::Array(vec![bulk("n"), bulk("17")])]);
        for (answer, got) in [
            (Value::Array(vec![bulk("queue:1"), bulk("17")]), Some((1, 17))),
            (Value::Array(vec![bulk("queue:1"), Value::Array(vec![bulk("17")])]), Some((1, 17))),
            (bulk("17"), Some((3, 17))),
            (Value::Map(vec![(bulk("queue:3"), Value::Array(vec![entry.clone()]))]), Some((3, 17))),
            (entry.clone(), Some((3, 17))),
            (Value::Null, None),
            (Value::Error("UNCERTAIN 17".into()), None),
        ] {
            assert_eq!(taken(&answer, &[3]), got, "{answer:?}");
        }
        assert_eq!(left(&Value::Array(vec![entry, bulk("4")])), Some(vec![17, 4]));
        assert_eq!(left(&Value::Null), None);
    }

    #[test]
    fn what_a_group_has_read_is_not_left() {
        let group = Value::Map(vec![(bulk("name"), bulk(GROUP)), (bulk("last-delivered-id"), bulk("7-1"))]);
        assert_eq!(rest(STREAM, Some(&Value::Array(vec![group]))), ["XRANGE", "queue:3", "(7-1", "+"]);
        assert_eq!(rest(STREAM, Some(&Value::Array(Vec::new()))), ["XRANGE", "queue:3", "(0-0", "+"]);
    }
}
