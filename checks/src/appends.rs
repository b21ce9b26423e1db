//! Transactions on lists, as a checker of isolation judges them: each list that is read tells the order of all appends to it
//! (Kingsbury and Alvaro, "Elle", VLDB 2020). A list is a string of numbers, each with a comma behind it, and every number is
//! appended once.

use crate::export::{Completion, Form, Recorded};
use crate::history::{Operation, Outcome, Stamp};
use crate::model::{Command, Datum, Reply};

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
    /// The number, and how long the list then was in bytes, if it is known.
    Append(u32, Option<usize>),
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
    let (key, action) = match (command, reply) {
        (Command::Get(key), None) => (key, Action::Read(None)),
        (Command::Get(key), Some(Reply::Nil)) => (key, Action::Read(Some(Vec::new()))),
        (Command::Get(key), Some(Reply::Datum(Datum::Text(bytes)))) => (key, Action::Read(Some(numbers(bytes)?))),
        (Command::Append(key, bytes), None) => (key, Action::Append(*numbers(bytes)?.first()?, None)),
        (Command::Append(key, bytes), Some(Reply::Number(length))) => {
            (key, Action::Append(*numbers(bytes)?.first()?, Some(usize::try_from(*length).ok()?)))
        }
        _ => return None,
    };
    Some(Step { list: key.number, action })
}

fn numbers(bytes: &[u8]) -> Option<Vec<u32>> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix(',')?;
    text.split(',').map(|number| number.parse().ok()).collect()
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
    use crate::model::Key;

    const KEY: Key = Key { database: 13, number: 3 };

    fn append(number: u32) -> Command {
        Command::Append(KEY, format!("{number},").into_bytes())
    }

    #[test]
    fn transactions_as_elle_reads_them() {
        let block = || Command::Block(None, vec![Command::Get(KEY), append(2), append(3)]);
        let list = Reply::Datum(Datum::Text(b"1,".to_vec()));
        let replies = Reply::Block(vec![list, Reply::Number(4), Reply::Refused]);
        let history = [
            operation(1, 2, append(1), Outcome::Acknowledged(Reply::Number(2))),
            operation(3, 4, block(), Outcome::Acknowledged(replies)),
            operation(5, 6, append(4), Outcome::Refused),
            operation(7, NEVER.0, block(), Outcome::Unknown),
            operation(8, 9, Command::Get(Key { number: 0, ..KEY }), Outcome::Acknowledged(Reply::Nil)),
        ];
        let transactions: Vec<_> =
            history.iter().map(|operation| Transaction::of(operation).expect("a list")).collect();
        insta::assert_snapshot!(format!("{}\n{}", export::edn(&transactions), export::jsonl(&transactions)));
    }

    #[test]
    fn what_is_no_list_is_told() {
        for bytes in ["1", "1,2", "x,", ",", "1,,", ""] {
            let reply = Reply::Datum(Datum::Text(bytes.as_bytes().to_vec()));
            let read = operation(1, 2, Command::Get(KEY), Outcome::Acknowledged(reply));
            assert!(Transaction::of(&read).is_err(), "{bytes}");
        }
    }
}
