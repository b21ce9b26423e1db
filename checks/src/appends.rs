//! Transactions on lists, as a checker of isolation judges them: each list that is read tells the order of all appends to it
//! (Kingsbury and Alvaro, "Elle", VLDB 2020). Every number is appended once.

use crate::export::{Completion, Form, Recorded};
use crate::history::{Operation, Outcome, Stamp};
use crate::model::typed::{Typed, list};
use crate::model::{Command, Key, Reply};

/// What one client did at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    pub client: u32,
    pub called: Stamp,
    pub ended: Stamp,
    pub completion: Completion,
    /// Without those that the server left out of what it acknowledged.
    pub steps: Vec<Step>,
    /// Those, as certainly not executed.
    pub refused: Vec<Step>,
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub list: u16,
    pub action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// What was found, if it is known.
    Read(Option<Vec<u32>>),
    /// The number, and how long the list then was, if it is known.
    Append(u32, Option<usize>),
}

/// What appends a number to a list.
pub fn append(list: Key, number: u32) -> Command {
    Command::Typed(list, Typed::List(list::Call::Push { elements: vec![number], left: false, only_present: false }))
}

/// What reads a list.
pub fn read(list: Key) -> Command {
    Command::Typed(list, Typed::List(list::Call::Range(0, -1)))
}

impl Transaction {
    /// # Errors
    /// If an answer is none that a list of numbers has.
    pub fn of(operation: &Operation) -> Result<Transaction, String> {
        let one = std::slice::from_ref(&operation.command);
        let (commands, replies) = match (&operation.command, operation.acknowledged()) {
            (Command::Block(_, commands), Some(Reply::Block(replies))) => {
                (commands.as_slice(), Some(replies.as_slice()))
            }
            (Command::Block(_, commands), None) => (commands.as_slice(), None),
            (_, reply) => (one, reply.map(std::slice::from_ref)),
        };
        if replies.is_some_and(|replies| replies.len() != commands.len()) {
            return Err(format!("a transaction has another number of answers: {operation:?}"));
        }
        let (mut steps, mut refused) = (Vec::new(), Vec::new());
        for (i, command) in commands.iter().enumerate() {
            let reply = replies.map(|replies| &replies[i]);
            let step = step(command, reply.filter(|reply| **reply != Reply::Refused));
            let step = step.ok_or_else(|| format!("{command:?} is answered {reply:?}: {operation:?}"))?;
            if reply == Some(&Reply::Refused) { refused.push(step) } else { steps.push(step) }
        }
        let completion = match operation.outcome {
            Outcome::Acknowledged(_) => Completion::Ok,
            Outcome::Refused => Completion::Fail,
            Outcome::Executed(_) | Outcome::Uncertain | Outcome::Weaker | Outcome::Unknown => Completion::Info,
        };
        let Operation { process: client, called, ended, .. } = *operation;
        Ok(Transaction { client, called, ended, completion, steps, refused })
    }

    /// What it appends and may have appended, each with its list.
    pub fn appends(&self) -> impl Iterator<Item = (u16, u32, Option<usize>)> {
        self.steps.iter().filter_map(|step| match step.action {
            Action::Append(number, length) => Some((step.list, number, length)),
            Action::Read(_) => None,
        })
    }

    /// What it asked to append and certainly did not.
    pub fn refused_appends(&self) -> impl Iterator<Item = (u16, u32)> {
        self.refused.iter().filter_map(|step| match step.action {
            Action::Append(number, _) => Some((step.list, number)),
            Action::Read(_) => None,
        })
    }

    /// What it found in lists.
    pub fn reads(&self) -> impl Iterator<Item = (u16, &[u32])> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::Read(Some(found)) => Some((step.list, found.as_slice())),
            _ => None,
        })
    }
}

fn step(command: &Command, reply: Option<&Reply>) -> Option<Step> {
    let Command::Typed(key, Typed::List(call)) = command else { return None };
    let action = match (call, reply) {
        (list::Call::Range(0, -1), None) => Action::Read(None),
        (list::Call::Range(0, -1), Some(Reply::Items(items))) => {
            let number = |item: &Reply| if let Reply::Element(number) = item { Some(*number) } else { None };
            Action::Read(Some(items.iter().map(number).collect::<Option<_>>()?))
        }
        (list::Call::Push { elements, left: false, .. }, None) => Action::Append(*elements.first()?, None),
        (list::Call::Push { elements, left: false, .. }, Some(Reply::Number(length))) => {
            Action::Append(*elements.first()?, Some(usize::try_from(*length).ok()?))
        }
        _ => return None,
    };
    Some(Step { list: key.number, action })
}

/// As Jepsen's list-append workload writes it: `:txn [[:r 3 [1 2]] [:append 3 4]]`.
impl Recorded for Transaction {
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
        "txn".to_owned()
    }

    fn asked(&self) -> Form {
        let asked = self.steps.iter().chain(&self.refused).map(|step| step.form(false));
        Form::List(asked.collect())
    }

    fn heard(&self) -> (Completion, Form) {
        (self.completion, Form::List(self.steps.iter().map(|step| step.form(true)).collect()))
    }
}

impl Step {
    fn form(&self, is_heard: bool) -> Form {
        let (name, value) = match &self.action {
            Action::Read(Some(found)) if is_heard => {
                ("r", Form::List(found.iter().map(|number| Form::Number((*number).into())).collect()))
            }
            Action::Read(_) => ("r", Form::Nil),
            Action::Append(number, _) => ("append", Form::Number((*number).into())),
        };
        Form::List(vec![Form::keyword(name), Form::Number(self.list.into()), value])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export;
    use crate::history::{NEVER, operation};

    const KEY: Key = Key { database: 13, number: 3 };

    #[test]
    fn transactions_as_elle_reads_them() {
        let block = || Command::Block(None, vec![read(KEY), append(KEY, 2), append(KEY, 3)]);
        let list = Reply::Items(vec![Reply::Element(1)]);
        let replies = Reply::Block(vec![list, Reply::Number(2), Reply::Refused]);
        let history = [
            operation(1, 2, append(KEY, 1), Outcome::Acknowledged(Reply::Number(1))),
            operation(3, 4, block(), Outcome::Acknowledged(replies)),
            operation(5, 6, append(KEY, 4), Outcome::Refused),
            operation(7, NEVER.0, block(), Outcome::Unknown),
            operation(8, 9, read(Key { number: 0, ..KEY }), Outcome::Acknowledged(Reply::Items(Vec::new()))),
        ];
        let transactions: Vec<_> =
            history.iter().map(|operation| Transaction::of(operation).expect("a list")).collect();
        insta::assert_snapshot!(format!("{}\n{}", export::edn(&transactions), export::jsonl(&transactions)));
    }

    #[test]
    fn what_is_no_list_is_told() {
        for reply in [Reply::Nil, Reply::Number(1), Reply::WrongType, Reply::Items(vec![Reply::Number(1)])] {
            let read = operation(1, 2, read(KEY), Outcome::Acknowledged(reply));
            assert!(Transaction::of(&read).is_err(), "{read:?}");
        }
    }
}
