//! A Redis client inside the simulation: RESP3 over a simulated socket.

use std::collections::BTreeSet;
use std::io;
use std::sync::MutexGuard;
use std::time::Duration;

use madsim::net::TcpStream;
use madsim::time::Instant;
use mneme_kernel::ids::Incarnation;
use mneme_kernel::resp::{Value, encode_command};
use mneme_runtime_sim::sleep::{sleep, timeout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::check::uncertain;
use crate::cluster::{Cluster, PASSWORD, USER};
use crate::history::{History, Level, LifeId, Memory, Outcome};
use crate::model::{Command, Reply};
use crate::topology::Role;
use crate::wire::{self, Answer, Request};
use crate::world::World;

/// Pause before a refused connection is tried again.
const RECONNECT: Duration = Duration::from_millis(20);

/// One of the world's histories.
type Records = for<'a> fn(&'a World) -> MutexGuard<'a, History>;

/// A client. It has at most one connection, and makes a new one when it needs it: with another Core if this one refused
/// it or let it wait for too long.
#[derive(Debug)]
pub struct Client {
    cluster: Cluster,
    /// Which of the Cores it turns to.
    core: usize,
    patience: Duration,
    /// As whom it authenticates, and its password.
    user: (String, String),
    connection: Option<Connection>,
    /// The machine that it turns to, if it is always the same one.
    stays_at: Option<usize>,
    /// Where what it does goes into.
    records: Records,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// The life of the server at its other end.
    life: LifeId,
    /// As what the history knows this client: a new one for every connection.
    process: u32,
    database: u16,
}

impl Client {
    /// A client that turns to that Core first and gives up on a reply after `patience`.
    pub fn new(cluster: Cluster, core: usize, patience: Duration) -> Client {
        let user = (USER.into(), PASSWORD.into());
        Client { cluster, core, patience, user, connection: None, stays_at: None, records: World::history }
    }

    /// The same, always at this machine.
    pub fn staying_at(self, machine: usize) -> Client {
        Client { stays_at: Some(machine), ..self }
    }

    /// The same, with what it does in another history.
    pub fn recording_in(self, records: Records) -> Client {
        Client { records, ..self }
    }

    /// The same for another user.
    pub fn of_user(self, user: &str, password: &str) -> Client {
        Client { user: (user.into(), password.into()), ..self }
    }

    /// Sends commands at once and hears what came of each, which goes into the history.
    /// Whether all were answered; a client that gives up on one drops its connection.
    pub async fn send(&mut self, database: u16, requests: &[Request]) -> bool {
        let Ok(mut connection) = self.connected(database).await else {
            sleep(RECONNECT).await;
            return false;
        };
        let heard = connection.converse(&self.cluster, self.records, self.patience, requests).await;
        match heard {
            true => self.connection = Some(connection),
            false => self.core += 1,
        }
        heard
    }

    /// Walks through a database; a walk to the end goes into the history.
    pub async fn walk(&mut self, database: u16) -> bool {
        let Ok(mut connection) = self.connected(database).await else {
            sleep(RECONNECT).await;
            return false;
        };
        let world = self.cluster.world();
        let walk = Command::Walk(database);
        let id = world.history().call(connection.process, connection.life, walk, Level::Quorum, self.cluster.walls());
        let Ok(seen) = connection.walk(self.patience).await else {
            self.core += 1;
            return false;
        };
        world.event(format_args!("p{} walks past {seen:?} in {database}", connection.process));
        world.count("SCAN", 1);
        world.history().end(id, Outcome::Acknowledged(Reply::Keys(seen)), self.cluster.walls());
        self.connection = Some(connection);
        true
    }

    /// Sends a command that is not part of the history.
    ///
    /// # Errors
    /// If there is no answer in time.
    pub async fn ask(&mut self, command: &[&str]) -> io::Result<Value> {
        self.ask_in(0, command).await
    }

    /// The same in this database.
    ///
    /// # Errors
    /// If there is no answer in time.
    pub async fn ask_in(&mut self, database: u16, command: &[&str]) -> io::Result<Value> {
        let mut connection = self.connected(database).await?;
        let answer = connection.ask(command, self.patience).await?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// What the server says by itself, if it does in time.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn hear(&mut self, within: Duration) -> io::Result<Option<Value>> {
        let connection = self.connection.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        match timeout(within, connection.read()).await {
            Ok(value) => value.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Sends a command on the connection that there is, whose answer is heard like anything else.
    ///
    /// # Errors
    /// If there is no connection.
    pub async fn tell(&mut self, command: &[&str]) -> io::Result<()> {
        let connection = self.connection.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut bytes = Vec::new();
        encode_command(command, &mut bytes);
        connection.write(&bytes).await
    }

    /// As [`Client::ask`], on the connection that there is and on the database that is selected there.
    ///
    /// # Errors
    /// If there is no connection, or no answer in time.
    pub async fn ask_where_it_was(&mut self, command: &[&str]) -> io::Result<Value> {
        let mut connection = self.connection.take().ok_or(io::ErrorKind::NotConnected)?;
        let answer = connection.ask(command, self.patience).await?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// A connection that has authenticated and selected this database.
    async fn connected(&mut self, database: u16) -> io::Result<Connection> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let machine = self.stays_at.unwrap_or_else(|| self.cluster.core(self.core).number());
                let opened = Connection::open(&self.cluster, machine, self.patience, &self.user).await;
                self.core += usize::from(opened.is_err());
                opened?
            }
        };
        if connection.database != database {
            let selected = connection.ask(&["SELECT", &database.to_string()], self.patience).await?;
            if selected != Value::Simple("OK".into()) {
                return Err(refused(&selected));
            }
            connection.database = database;
        }
        Ok(connection)
    }
}

impl Connection {
    async fn open(
        cluster: &Cluster,
        machine: usize,
        patience: Duration,
        (user, password): &(String, String),
    ) -> io::Result<Connection> {
        let machine = cluster.machine(machine);
        let connecting = TcpStream::connect(machine.client_address());
        let stream = timeout(patience, connecting).await.map_err(|_| io::ErrorKind::TimedOut)??;
        // The connection stands from this moment on, so it belongs to the life that is current.
        let life = cluster.world().history().life(machine.number());
        let process = cluster.world().new_process();
        let mut connection = Connection { stream, received: Vec::new(), life, process, database: 0 };
        match connection.ask(&["HELLO", "3", "AUTH", user, password], patience).await? {
            Value::Map(_) => Ok(connection),
            other => Err(refused(&other)),
        }
    }

    async fn ask(&mut self, command: &[&str], patience: Duration) -> io::Result<Value> {
        let mut bytes = Vec::new();
        encode_command(command, &mut bytes);
        self.write(&bytes).await?;
        timeout(patience, self.read()).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    async fn converse(
        &mut self,
        cluster: &Cluster,
        records: Records,
        patience: Duration,
        requests: &[Request],
    ) -> bool {
        let world = cluster.world();
        let mut bytes = Vec::new();
        let mut ids = Vec::new();
        for request in requests {
            wire::messages(request).iter().for_each(|message| encode_command(message, &mut bytes));
            let Request { command, level, .. } = request;
            let level = level.unwrap_or(Level::Quorum);
            world.event(format_args!("p{} calls {command:?} at {level:?} in {}", self.process, self.database));
            ids.push(records(world).call(self.process, self.life, command.clone(), level, cluster.walls()));
        }
        world.count("operations", requests.len() as u64);
        let (asked, standby, memory) = (Instant::now(), self.standby(cluster), self.memory(cluster));
        if self.write(&bytes).await.is_err() {
            return false;
        }
        for (id, request) in ids.into_iter().zip(requests) {
            let value = match self.read_last(wire::messages(request).len(), patience).await {
                Ok(value) => value,
                Err(_) => {
                    world.event(format_args!("p{} gives up", self.process));
                    return false;
                }
            };
            let outcome = match wire::answer(&request.command, &value) {
                Ok(Answer::Reply(reply)) => outcome(request, reply),
                Ok(Answer::Loading) => Outcome::Refused,
                Ok(Answer::Uncertain) => {
                    if standby.is_some() && self.standby(cluster) == standby {
                        let waited = asked.elapsed();
                        world.check("uncertain", uncertain::check(&world.options, &request.command, waited));
                    }
                    Outcome::Uncertain
                }
                Ok(Answer::NoQuorum) => Outcome::Weaker,
                Err(wrong) => {
                    world.check("durable", Err(format!("{:?}: {wrong}", request.command)));
                    return false;
                }
            };
            world.event(format_args!("p{} hears {outcome:?}", self.process));
            let counted = match outcome {
                Outcome::Acknowledged(_) => "acknowledged",
                Outcome::Executed(_) => "answered at EVENTUAL",
                Outcome::Uncertain => "UNCERTAIN",
                Outcome::Weaker => "NOQUORUM",
                Outcome::Refused => "LOADING",
                Outcome::Unknown => "unknown",
            };
            world.count(counted, 1);
            if let Outcome::Acknowledged(reply) = &outcome {
                if *reply != Reply::WrongType {
                    cluster.acknowledges(&request.command);
                }
                wire::names(request).into_iter().for_each(|name| world.count(name, 1));
            }
            records(world).was_read_from(id, self.memory(cluster).filter(|same| memory == Some(*same)));
            records(world).end(id, outcome, cluster.walls());
        }
        true
    }

    /// What the node at the other end answers from at `EVENTUAL`.
    fn memory(&self, cluster: &Cluster) -> Option<Memory> {
        let machine = cluster.machine(self.life.machine);
        if machine.role() == Role::Replica {
            return Some(Memory::Replica);
        }
        if machine.is_leaving() {
            return Some(Memory::Leaving);
        }
        machine.running_core()?.with_core(|core| core.incarnation().map(Memory::Core))
    }

    /// The Core at the other end and its life in the log, if it is not primary.
    fn standby(&self, cluster: &Cluster) -> Option<Incarnation> {
        let core = cluster.machine(self.life.machine).running_core()?;
        core.with_core(|core| core.incarnation().filter(|_| !core.is_primary()))
    }

    /// The last of so many replies.
    async fn read_last(&mut self, count: usize, patience: Duration) -> io::Result<Value> {
        for _ in 1..count {
            timeout(patience, self.read()).await.map_err(|_| io::ErrorKind::TimedOut)??;
        }
        timeout(patience, self.read()).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Asks for all keys, a few at a time.
    async fn walk(&mut self, patience: Duration) -> io::Result<BTreeSet<u16>> {
        let (mut cursor, mut seen) = ("0".to_owned(), BTreeSet::new());
        loop {
            let Value::Array(parts) = self.ask(&["SCAN", &cursor, "COUNT", "2"], patience).await? else {
                return Err(io::ErrorKind::Other.into());
            };
            let [Value::Bulk(next), Value::Array(keys)] = parts.as_slice() else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            seen.extend(keys.iter().filter_map(|key| match key {
                Value::Bulk(name) => wire::key_number(name),
                _ => None,
            }));
            cursor = String::from_utf8_lossy(next).into_owned();
            if cursor == "0" {
                return Ok(seen);
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    async fn read(&mut self) -> io::Result<Value> {
        loop {
            match Value::decode(&self.received) {
                Ok(Some((value, len))) => {
                    self.received.drain(..len);
                    return Ok(value);
                }
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// What a reply at the level of its request is worth.
fn outcome(request: &Request, reply: Reply) -> Outcome {
    match request.level {
        Some(Level::Eventual) => Outcome::Executed(reply),
        None | Some(Level::Quorum | Level::All) => Outcome::Acknowledged(reply),
    }
}

fn refused(answer: &Value) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, format!("the server answered {answer:?}"))
}
