//! What clients do. Keys change with time, so that no key has so long a history that judging it takes long.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use mneme_checks::appends;
use mneme_checks::history::{Level, Outcome};
use mneme_checks::model::{Command, Datum, DeadlineCondition, Key, Lifetime, Presence, Reply};
use mneme_checks::queue::Record;
use mneme_checks::wire::Request;
use rand::Rng;

use crate::client::{Client, request};

mod collections;
mod queue;
mod users;

pub use queue::read_all;
pub use users::Asked;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// GET, SET, and compare-and-set by a script and by WATCH, MULTI, EXEC, on a few keys at a time
    Register,
    /// RPUSH to lists and LRANGE of them, several in a MULTI: strictly serializable
    Append,
    /// Each SET a key of its own, SETNX of those that were just set; all are read in the end
    Set,
    /// INCR and GET of few counters: exactly once
    Counter,
    /// Transfers between accounts in a MULTI; the sum is always the same
    Bank,
    /// Keys that expire, and how long they still have
    Deadlines,
    /// Registers of up to a megabyte
    Large,
    /// Users that come, lose rights, and go, with connections to any node
    Users,
    /// Registers at EVENTUAL, QUORUM and ALL
    Levels,
    /// Hashes, sets, sorted sets, lists, streams and documents, changed in place, also by WATCH, MULTI, EXEC
    Collections,
    /// RPUSH, LPUSH and XADD of numbers, and clients that wait for them: each is delivered once
    Queue,
}

/// Keys that are in use at a time.
const ACTIVE: u32 = 6;
/// Turns that a key gets before the next ones take over.
const TURNS: u32 = 80;
/// Accounts of one bank.
const ACCOUNTS: u16 = 5;
const COUNTERS: u16 = 3;
/// How often a script does what a command or a transaction would.
const SCRIPTED: f64 = 0.1;
/// How large a large text may be, in bytes.
const LARGE: std::ops::RangeInclusive<usize> = 10_000..=1_000_000;

/// What all clients of a run share.
#[derive(Debug)]
pub struct Work {
    pub workload: Workload,
    turns: AtomicU32,
    words: AtomicU32,
    watchers: AtomicU64,
    /// The history of `queue`.
    queues: Mutex<Record>,
}

impl Work {
    pub fn new(workload: Workload) -> Work {
        let (words, queues) = (AtomicU32::new(1), Mutex::default());
        Work { workload, turns: AtomicU32::default(), words, watchers: AtomicU64::default(), queues }
    }

    /// What a client does next.
    pub async fn turn(&self, client: &mut Client) {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let reads = client.only_reads();
        let dice = &mut client.dice;
        let key = key(turn / (ACTIVE * TURNS) * ACTIVE + dice.random_range(0..ACTIVE));
        let chance = dice.random::<f64>();
        let command = match self.workload {
            Workload::Register | Workload::Large | Workload::Levels => {
                if chance < 0.1 && self.workload == Workload::Register {
                    return self.compare_and_set_by_script(client, key).await;
                }
                if chance < 0.2 && self.workload == Workload::Register {
                    let set = self.set(key, Lifetime::Forever);
                    return self.compare_and_set(client, key, Command::Get(key), vec![set]).await;
                }
                if chance < 0.55 || reads { Command::Get(key) } else { self.set(key, Lifetime::Forever) }
            }
            Workload::Users => return users::life(client, turn).await,
            Workload::Queue => return queue::turn(self, client).await,
            Workload::Append => self.transaction(client, turn),
            Workload::Collections if chance < 0.15 => {
                let change = collections::change(key, self.number(), dice);
                return self.compare_and_set(client, key, collections::whole(key), change).await;
            }
            Workload::Collections => collections::command(key, self.number(), dice),
            Workload::Set => match chance {
                // One that is probably there.
                _ if chance < 0.1 && turn > 50 => Command::Get(self::key(turn - 50)),
                // One that was just set changes nothing, and must wait for what it has seen.
                _ if chance < 0.25 && turn > 3 => {
                    Command::SetAbsent(self::key(turn - dice.random_range(1..=3)), self.word())
                }
                _ => self.set(self::key(turn), Lifetime::Forever),
            },
            Workload::Counter => {
                let key = Key { database: 0, number: dice.random_range(0..COUNTERS) };
                if chance < 0.3 { Command::Get(key) } else { Command::Increment { key, by: 1 } }
            }
            Workload::Bank => bank(client, turn),
            Workload::Deadlines => self.deadline(client, key),
        };
        let request = match self.workload {
            Workload::Large => Request { text: client.dice.random_range(LARGE), ..request(command) },
            Workload::Levels => Request { level: Some(level(client)), ..request(command) },
            _ => request(command),
        };
        let request = Request { scripted: client.dice.random_bool(SCRIPTED), ..request };
        client.send(&[request]).await;
    }

    pub fn queues(&self) -> MutexGuard<'_, Record> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn word(&self) -> Datum {
        Datum::Word(self.number())
    }

    /// A number that nobody else gets.
    fn number(&self) -> u32 {
        self.words.fetch_add(1, Ordering::Relaxed)
    }

    fn set(&self, key: Key, lifetime: Lifetime) -> Command {
        Command::Set { key, datum: self.word(), lifetime, presence: Presence::Any, get: false }
    }

    /// Reads a key and has a script set it if it still is what was read.
    async fn compare_and_set_by_script(&self, client: &mut Client, key: Key) {
        let seen = client.send(&[request(Command::Get(key))]).await;
        if let Some([Outcome::Acknowledged(Reply::Datum(expected))]) = seen.as_deref() {
            let command = Command::CompareAndSet { key, expected: expected.clone(), new: self.word() };
            client.send(&[request(command)]).await;
        }
    }

    /// Reads a key and changes it if nobody has meanwhile.
    async fn compare_and_set(&self, client: &mut Client, key: Key, read: Command, change: Vec<Command>) {
        let watcher = self.watchers.fetch_add(1, Ordering::Relaxed);
        let seen = client.send(&[request(Command::Watch(watcher, vec![key])), request(read)]).await;
        let is_fine =
            |outcomes: Vec<Outcome>| outcomes.iter().all(|outcome| matches!(outcome, Outcome::Acknowledged(_)));
        if seen.is_some_and(is_fine) {
            let block = Command::Block(Some(watcher), change);
            client.send(&[request(block)]).await;
        } else {
            // Whatever it watches is forgotten with the connection.
            client.hang_up();
        }
    }

    fn transaction(&self, client: &mut Client, turn: u32) -> Command {
        let first = (turn / (4 * TURNS)) * 4;
        let count = client.dice.random_range(1..=4);
        let mut step = || {
            let key = key(first + client.dice.random_range(0..4));
            match client.dice.random_bool(0.5) {
                true => appends::read(key),
                false => appends::append(key, self.number()),
            }
        };
        let steps: Vec<Command> = (0..count).map(|_| step()).collect();
        match steps.as_slice() {
            [alone] => alone.clone(),
            _ => Command::Block(None, steps),
        }
    }

    fn deadline(&self, client: &mut Client, key: Key) -> Command {
        let millis = client.dice.random_range(20..1500);
        match client.dice.random_range(0..10) {
            0..3 => self.set(key, Lifetime::In(millis)),
            3..6 => Command::Get(key),
            6 | 7 => Command::TimeLeft { key, seconds: false },
            8 => Command::Expire { key, millis, condition: DeadlineCondition::Always },
            _ => Command::Persist(key),
        }
    }

    /// What is read when all is over, at every Core.
    pub fn last_reads(&self) -> Vec<Request> {
        let turns = self.turns.load(Ordering::Relaxed);
        let keys = match self.workload {
            Workload::Set => turns,
            Workload::Append => (turns / (4 * TURNS) + 1) * 4,
            Workload::Users | Workload::Queue => 0,
            Workload::Counter => u32::from(COUNTERS),
            Workload::Bank => {
                return (0..=turns / (ACTIVE * TURNS)).map(|bank| request(Command::MultiGet(accounts(bank)))).collect();
            }
            _ => (turns / (ACTIVE * TURNS) + 1) * ACTIVE,
        };
        let read = match self.workload {
            Workload::Append => appends::read,
            Workload::Collections => collections::whole,
            _ => Command::Get,
        };
        (0..keys).map(|number| request(read(key(number)))).collect()
    }
}

fn bank(client: &mut Client, turn: u32) -> Command {
    let accounts = accounts(turn / (ACTIVE * TURNS));
    let dice = &mut client.dice;
    if dice.random_bool(0.4) {
        return Command::MultiGet(accounts);
    }
    let (from, to) = (dice.random_range(0..ACCOUNTS), dice.random_range(1..ACCOUNTS));
    let [from, to] = [from, (from + to) % ACCOUNTS].map(|place| accounts[usize::from(place)]);
    let by = dice.random_range(1..100);
    Command::Block(None, vec![Command::Increment { key: from, by: -by }, Command::Increment { key: to, by }])
}

fn accounts(bank: u32) -> Vec<Key> {
    (0..u32::from(ACCOUNTS)).map(|account| key(bank * u32::from(ACCOUNTS) + account)).collect()
}

fn level(client: &mut Client) -> Level {
    if client.only_reads() {
        return Level::Eventual;
    }
    match client.dice.random_range(0..10) {
        0..5 => Level::Eventual,
        5..8 => Level::Quorum,
        _ => Level::All,
    }
}

fn key(number: u32) -> Key {
    Key { database: 0, number: (number % u32::from(u16::MAX)) as u16 }
}

/// The sum of all accounts that a reply shows.
pub fn sum(reply: &Reply) -> Option<i64> {
    let Reply::Data(data) = reply else { return None };
    let number = |datum: &Option<Datum>| match datum {
        None => Some(0),
        Some(Datum::Number(n)) => Some(*n),
        Some(_) => None,
    };
    data.iter().map(number).sum()
}
