//! One life of a node on a disk, and a client of it that needs no network.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use madsim::runtime::Handle;
use madsim::task::{JoinHandle, NodeId};
use mneme_driver::connection;
use mneme_driver::env::{Env, Source};
use mneme_driver::keeper::{RaftTimes, Schedule, StartError};
use mneme_driver::server::{CoreOptions, KeeperOptions, Options, Server, Start};
use mneme_kernel::core::Config;
use mneme_kernel::eviction::Policy;
use mneme_kernel::facade::Facade;
use mneme_kernel::level::Level;
use mneme_kernel::members::Member;
use mneme_kernel::resp::{Value, encode_command};
use mneme_kernel::session::{Peer, Port};
use mneme_runtime_sim::sleep::timeout;
use mneme_runtime_sim::{SimDisk, SimEnv};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::cluster::{PASSWORD, USER};

/// Small, so that a few hundred records fill several.
pub const SEGMENT_BYTES: u64 = 8_000;
/// Virtual time within which a node has started or said why not.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running node.
#[derive(Debug)]
pub struct Life {
    machine: NodeId,
    server: Arc<Server<SimEnv>>,
}

/// Why a node does not start.
#[derive(Debug)]
pub struct Refusal {
    pub why: String,
    /// Whether it says that its data is damaged or foreign.
    pub is_damage: bool,
}

impl Life {
    /// Starts a node on the disk; the life before must have ended.
    pub async fn start(disk: &SimDisk) -> Result<Life, Refusal> {
        let node = Handle::current().create_node().name("server").build();
        let machine = node.id();
        let env = SimEnv::new(disk);
        let start = {
            let env = env.clone();
            node.spawn(async move {
                let member = Member { name: "one".into(), address: "one:7379".into() };
                let options = options(&env, member, Start::Found { expect_keepers: 1 });
                Server::start(env, options).await
            })
        };
        let other = |why: String| Refusal { why, is_damage: false };
        let refusal = match timeout(PATIENCE, start).await {
            Ok(Ok(Ok(server))) => return Ok(Life { machine, server }),
            Ok(Ok(Err(error))) => {
                let is_damage = matches!(&error, StartError::Open(open) if open.is_damage());
                Refusal { why: error.to_string(), is_damage }
            }
            Ok(Err(_)) => other(env.fatal_reason().unwrap_or_else(|| "it panicked".into())),
            Err(_) => other(format!("it has not started within {PATIENCE:?}")),
        };
        Handle::current().kill(machine);
        Err(refusal)
    }

    /// A client that has authenticated.
    pub async fn client(&self) -> io::Result<Client> {
        Client::of(self.machine, &self.server).await
    }

    /// Stops in order.
    pub async fn stop(self) {
        let server = self.server.clone();
        let stopped = spawn(self.machine, async move { server.stop().await });
        stopped.expect("it runs").await.expect("a node that is asked to stop does so");
        self.kill();
    }

    /// The process dies.
    pub fn kill(self) {
        Handle::current().kill(self.machine);
    }
}

fn spawn(machine: NodeId, task: impl Future<Output = ()> + Send + 'static) -> io::Result<JoinHandle<()>> {
    let machine = Handle::current().get_node(machine);
    machine.map(|machine| machine.spawn(task)).ok_or_else(|| io::Error::other("the node has ended"))
}

/// A node with a Core and a Keeper.
pub fn options(env: &SimEnv, member: Member, start: Start) -> Options {
    let config = Config {
        node: member.name.clone(),
        address: member.address.clone(),
        default_user: USER.into(),
        default_level: Level::Quorum,
        level_timeout: Duration::from_secs(5),
        park_timeout: Duration::from_secs(5),
        reads: mneme_kernel::agreed::NEWEST,
        replica: false,
        lease: Duration::from_secs(1),
        founds: false,
        quorum_check: false,
        seed: env.random(),
        secret: [0; 4],
        started: env.monotonic(),
        process_id: 1,
        port: 6379,
        max_clients: 10_000,
        max_memory: 0,
        memory_policy: Policy::NoEviction,
        facade: Facade::default(),
        script_times: Default::default(),
        parameters: Vec::new(),
        settings: Vec::new(),
    };
    // Snapshots are made when they are asked for.
    let snapshots = Schedule { log_bytes: u64::MAX, interval: Duration::MAX };
    Options {
        member,
        core: Some(CoreOptions { config, admin_password: PASSWORD.into(), sealed_ca: None }),
        keeper: Some(KeeperOptions { segment_bytes: SEGMENT_BYTES, snapshots, raft: RaftTimes::default() }),
        reads: mneme_kernel::agreed::NEWEST,
        start,
    }
}

/// A client of the node.
#[derive(Debug)]
pub struct Client {
    stream: DuplexStream,
    received: Vec<u8>,
}

impl Client {
    /// A client of this server's Core, which runs on that machine; it has authenticated.
    pub async fn of(machine: NodeId, server: &Server<SimEnv>) -> io::Result<Client> {
        let (near, far) = tokio::io::duplex(1 << 20);
        let node = server.node().expect("it runs a Core").clone();
        drop(spawn(machine, connection::serve(node, far, Port::Main, Peer::default(), Source::Machine))?);
        let mut client = Client { stream: near, received: Vec::new() };
        match client.ask(&["AUTH", USER, PASSWORD]).await? {
            Value::Simple(_) => Ok(client),
            refused => Err(io::Error::other(format!("AUTH is answered {refused:?}"))),
        }
    }

    pub async fn ask(&mut self, command: &[&str]) -> io::Result<Value> {
        let answers = self.ask_all(&[command.to_vec()]).await?;
        answers.into_iter().next().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Sends commands at once; an answer for each.
    pub async fn ask_all(&mut self, commands: &[Vec<&str>]) -> io::Result<Vec<Value>> {
        let mut bytes = Vec::new();
        commands.iter().for_each(|command| encode_command(command, &mut bytes));
        self.stream.write_all(&bytes).await?;
        let mut answers = Vec::new();
        while answers.len() < commands.len() {
            answers.push(timeout(PATIENCE, self.read()).await.map_err(|_| io::ErrorKind::TimedOut)??);
        }
        Ok(answers)
    }

    async fn read(&mut self) -> io::Result<Value> {
        loop {
            let decoded = Value::decode(&self.received);
            if let Some((value, len)) = decoded.map_err(|error| io::Error::other(error.to_string()))? {
                self.received.drain(..len);
                return Ok(value);
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
