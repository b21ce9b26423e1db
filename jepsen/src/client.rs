//! A client: redis-rs's ordinary one, which knows nothing of Mneme. It has a connection of its own, makes a new one where
//! it must, and notes what it asks and hears.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mneme_checks::history::{Level, LifeId, Outcome};
use mneme_checks::model::Command;
use mneme_checks::wire::{self, Answer, Request};
use mneme_kernel::resp;
use rand::Rng;
use rand::rngs::StdRng;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline, TlsCertificates};
use tokio::time::sleep;

use crate::cluster::{PASSWORD, Role, USER, node};
use crate::memory;
use crate::options::System;
use crate::run::{Ended, Run, Sample, now};
use crate::values;
use crate::workload::Workload;

/// Pause before another connection is tried.
const RECONNECT: Duration = Duration::from_millis(50);
const CONNECT: Duration = Duration::from_secs(2);

/// Whom a client turns to.
#[derive(Clone, Copy, Debug)]
enum Habit {
    Primary,
    Standby,
    Any,
    Always(usize),
}

#[derive(Debug)]
pub struct Client {
    pub run: Arc<Run>,
    pub dice: StdRng,
    pub number: usize,
    habit: Habit,
    connection: Option<Connection>,
}

/// Why a command is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Nobody got it.
    Unsent,
    /// Nobody knows.
    Unheard,
}

struct Connection {
    redis: MultiplexedConnection,
    process: u32,
    life: LifeId,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("process", &self.process).field("life", &self.life).finish()
    }
}

impl Client {
    pub fn new(run: Arc<Run>, number: usize) -> Client {
        let dice = run.dice(1000 + number as u64);
        let replica = run.cluster.nodes.iter().find(|node| node.role() == Role::Replica);
        let habit = match replica {
            Some(replica) if run.options.workload == Workload::Levels && number % 4 == 3 => {
                Habit::Always(replica.number())
            }
            _ => [Habit::Primary, Habit::Standby, Habit::Any][number % 3],
        };
        Client { run, dice, number, habit, connection: None }
    }

    /// One that always turns to the same node.
    pub fn at(run: Arc<Run>, number: usize, node: usize) -> Client {
        Client { habit: Habit::Always(node), ..Client::new(run, number) }
    }

    /// Sends commands at once and hears what came of each, which goes into the history. `None` if not all were answered:
    /// then the connection is dropped.
    pub async fn send(&mut self, requests: &[Request]) -> Option<Vec<Outcome>> {
        let Some(mut connection) = self.connected().await else {
            sleep(RECONNECT.mul_f64(self.dice.random_range(0.5..1.5))).await;
            return None;
        };
        let outcomes = connection.converse(&self.run, requests).await?;
        self.connection = Some(connection);
        Some(outcomes)
    }

    /// Sends a command that is not part of that history.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask(&mut self, words: &[String]) -> Result<resp::Value, Silence> {
        let Some(mut connection) = self.connected().await else {
            sleep(RECONNECT.mul_f64(self.dice.random_range(0.5..1.5))).await;
            return Err(Silence::Unsent);
        };
        let mut command = redis::cmd(&words[0]);
        command.arg(&words[1..]);
        let value = match command.query_async(&mut connection.redis).await {
            Ok(value) => values::plain(value),
            Err(error) => values::refusal(&error).ok_or(Silence::Unheard)?,
        };
        self.connection = Some(connection);
        Ok(value)
    }

    /// Whether it is with a Replica, which only answers reads at `EVENTUAL`.
    pub fn only_reads(&self) -> bool {
        matches!(self.habit, Habit::Always(node) if self.run.cluster.nodes[node].role() == Role::Replica)
    }

    /// Drops its connection.
    pub fn hang_up(&mut self) {
        self.connection = None;
    }

    async fn connected(&mut self) -> Option<Connection> {
        if self.connection.is_some() {
            return self.connection.take();
        }
        let node = self.choose();
        // It does not matter why: the next try is with whom is chosen then.
        let redis = open(&self.run, node).await.ok()?;
        // The connection stands, so it belongs to this life or an earlier one.
        let life = self.run.history().life(node);
        Some(Connection { redis, process: self.run.cluster.new_process(), life })
    }

    /// The node that it would turn to now.
    pub fn choose(&mut self) -> usize {
        let primary = self.run.cluster.view().primary;
        let cores: Vec<usize> = self.run.cluster.cores().map(|node| node.number()).collect();
        let others: Vec<usize> = cores.iter().copied().filter(|core| Some(*core) != primary).collect();
        match (self.habit, primary) {
            (Habit::Always(node), _) => node,
            // The primary may be the one that does not answer.
            (Habit::Primary, Some(primary)) if self.dice.random_bool(0.8) => primary,
            (Habit::Standby, _) if !others.is_empty() => others[self.dice.random_range(0..others.len())],
            _ => cores[self.dice.random_range(0..cores.len())],
        }
    }
}

/// A connection to that node, as the administrator.
///
/// # Errors
/// What redis-rs says.
pub async fn open(run: &Run, node: usize) -> redis::RedisResult<MultiplexedConnection> {
    open_as(run, node, USER, PASSWORD).await
}

/// A connection to that node, as this user.
///
/// # Errors
/// What redis-rs says.
pub async fn open_as(run: &Run, node: usize, user: &str, password: &str) -> redis::RedisResult<MultiplexedConnection> {
    let address = run.cluster.nodes[node].at(node::CLIENTS);
    let client = match run.cluster.system {
        System::Mneme => {
            let trust = if run.cluster.is_unknown() { "#insecure" } else { "" };
            let url = format!("rediss://{user}:{password}@{address}/0?protocol=resp3{trust}");
            let root_cert = Some(run.ca.clone()).filter(|ca| !ca.is_empty());
            let certificates = TlsCertificates { client_tls: None, root_cert };
            redis::Client::build_with_tls(url, certificates)?
        }
        System::Redis => redis::Client::open(format!("redis://:{password}@{address}/0?protocol=resp3"))?,
    };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(run.options.patience));
    client.get_multiplexed_async_connection_with_config(&config).await
}

impl Connection {
    async fn converse(&mut self, run: &Run, requests: &[Request]) -> Option<Vec<Outcome>> {
        let mut pipeline = Pipeline::new();
        let is_weak = |request: &Request| request.level == Some(Level::Eventual) && request.command.is_read();
        // What they are read from is asked before and behind them.
        let asks_memory = run.cluster.system == System::Mneme && requests.iter().any(is_weak);
        let status: Vec<Vec<Vec<u8>>> = vec![vec![b"CLUSTER".to_vec(), b"STATUS".to_vec()]; usize::from(asks_memory)];
        let messages: Vec<Vec<Vec<Vec<u8>>>> = requests.iter().map(wire::messages).collect();
        for message in status.iter().chain(messages.iter().flatten()).chain(&status) {
            let (name, arguments) = message.split_first().expect("a command has a name");
            pipeline.cmd(&String::from_utf8_lossy(name)).arg(arguments);
        }
        let level = |request: &Request| request.level.unwrap_or(Level::Quorum);
        let called = now();
        let ids: Vec<_> = {
            let (mut history, walls) = (run.history(), run.walls());
            let mut call = |request: &Request| {
                history.call(self.process, self.life, request.command.clone(), level(request), walls)
            };
            requests.iter().map(&mut call).collect()
        };
        let began = Instant::now();
        let heard = self.redis.send_packed_commands(&pipeline, 0, pipeline.len()).await;
        let sample = |request: &Request, kind| {
            let (level, is_read) = (level(request), request.command.is_read());
            run.sample(Sample { called, took: began.elapsed(), level, is_read, kind });
        };
        let Ok(values) = heard else {
            requests.iter().for_each(|request| sample(request, Ended::Unknown));
            return None;
        };
        let memory = match values.as_slice() {
            [before, .., after] if asks_memory => memory::between(before, after),
            _ => None,
        };
        let mut values = values.into_iter().skip(status.len());
        let (mut history, walls) = (run.history(), run.walls());
        let mut outcomes = Vec::new();
        for ((request, id), messages) in requests.iter().zip(ids).zip(messages) {
            let last = values.by_ref().take(messages.len()).last()?;
            let outcome = outcome(request, last).unwrap_or_else(|wrong| {
                run.wrong(format!("{:?}: {wrong}", request.command));
                Outcome::Unknown
            });
            let kind = match outcome {
                Outcome::Acknowledged(_) | Outcome::Executed(_) => Ended::Ok,
                Outcome::Refused => Ended::Refused,
                Outcome::Uncertain | Outcome::Weaker | Outcome::Unknown => Ended::Unknown,
            };
            sample(request, kind);
            history.was_read_from(id, memory.filter(|_| is_weak(request)));
            history.end(id, outcome.clone(), walls);
            outcomes.push(outcome);
        }
        Some(outcomes)
    }
}

/// What a reply is worth.
fn outcome(request: &Request, value: redis::Value) -> Result<Outcome, String> {
    Ok(match wire::answer(&request.command, &values::plain(value))? {
        Answer::Reply(reply) if request.level == Some(Level::Eventual) => Outcome::Executed(reply),
        Answer::Reply(reply) => Outcome::Acknowledged(reply),
        Answer::Loading => Outcome::Refused,
        Answer::Uncertain => Outcome::Uncertain,
        Answer::NoQuorum => Outcome::Weaker,
    })
}

/// A request at the server's default level.
pub fn request(command: Command) -> Request {
    Request::new(command)
}
