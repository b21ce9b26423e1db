//! Clients that append to lists and read them, several at a time in one transaction: the workload from which a checker of
//! isolation learns most, because each list that is read tells the order of all appends to it (Kingsbury and Alvaro,
//! "Elle", VLDB 2020). A list is a string of numbers, each with a comma behind it, and every number is appended once.
//!
//! What they do is a history of its own ([`crate::world::World::appends`]), which [`crate::check::append`] judges.

use std::time::Duration;

use madsim::rand::Rng;
use mneme_runtime_sim::sleep::sleep;

use crate::client::{Client, Request};
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::export::{Completion, Form, Recorded};
use crate::history::{Operation, Outcome, Stamp};
use crate::model::{Command, Datum, Key, Reply};
use crate::options::Options;
use crate::world::World;

/// The database of the lists; nobody else writes there.
const DATABASE: u16 = 13;
const LISTS: u16 = 4;
pub const CLIENTS: u64 = 3;
/// How often one sends something at most.
const TURNS: u32 = 14;
/// Numbers that one client appends at most.
const NUMBERS: u32 = 1_000;

/// Whether nobody empties all databases.
pub fn are_safe(options: &Options) -> bool {
    options.clients.mix.flush == 0 || options.clients.databases > 1
}

/// One client's transactions.
pub async fn run(cluster: Cluster, number: u64) {
    let options = &cluster.world().options;
    let dice = Dice::new(options.seed, 4_000 + number);
    let mut draw = Draw { dice, next: number as u32 * NUMBERS };
    let mut client = client(&cluster, number as usize, options.clients.patience);
    for _ in 0..TURNS {
        if cluster.world().is_over() {
            return;
        }
        let requests: Vec<Request> = (0..draw.dice.weighted(&[(3, 1), (1, 2)])).map(|_| draw.request()).collect();
        client.send(DATABASE, &requests).await;
        if draw.dice.chance(0.8) {
            sleep((options.duration / TURNS).mul_f64(draw.dice.gen_range(0.0..1.8))).await;
        }
    }
}

/// Reads every list at a Core; whether it answers.
pub async fn read_all(cluster: &Cluster, core: usize, patience: Duration) -> bool {
    let reads = (0..LISTS).map(|number| Command::Get(Key { database: DATABASE, number })).collect();
    let request = Request { command: Command::Block(None, reads), level: None, text: 0, other_name: false };
    client(cluster, core, patience).send(DATABASE, &[request]).await
}

fn client(cluster: &Cluster, core: usize, patience: Duration) -> Client {
    Client::new(cluster.clone(), core, patience).recording_in(World::appends)
}

/// Draws what one client asks for.
struct Draw {
    dice: Dice,
    /// What it appends next.
    next: u32,
}

impl Draw {
    fn request(&mut self) -> Request {
        let lists: Vec<u16> = (0..self.dice.gen_range(1..=3)).map(|_| self.dice.gen_range(0..LISTS)).collect();
        let commands: Vec<Command> = (0..self.dice.gen_range(1..=4))
            .map(|_| {
                let number = lists[self.dice.gen_range(0..lists.len())];
                self.command(Key { database: DATABASE, number })
            })
            .collect();
        let command = match commands.as_slice() {
            [alone] if self.dice.chance(0.7) => alone.clone(),
            _ => Command::Block(None, commands),
        };
        Request { command, level: None, text: 0, other_name: false }
    }

    fn command(&mut self, key: Key) -> Command {
        if self.dice.chance(0.5) {
            return Command::Get(key);
        }
        self.next += 1;
        Command::Append(key, format!("{},", self.next).into_bytes())
    }
}

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

    const KEY: Key = Key { database: DATABASE, number: 3 };

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
