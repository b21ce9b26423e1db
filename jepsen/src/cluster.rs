//! The cluster under test: its nodes, and who among them is what.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::time::sleep;

use crate::hosts::{Hosts, compose};
use crate::nemesis;
use crate::options::{Options, System, Topology};

pub use digest::digests_agree;
pub use node::{FakeClock, Node, Role, Taken, told};
pub use watch::{View, watch};

mod digest;
mod http;
pub mod node;
mod watch;

pub const USER: &str = "admin";
pub const PASSWORD: &str = "a-password-of-tests";
pub const SECRET: &str = "a-secret-of-tests-alone";
/// How long nodes may take to be ready when nothing is wrong (any more).
pub const READY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Cluster {
    pub system: System,
    pub nodes: Vec<Node>,
    /// What [`watch`] has seen last.
    view: Mutex<View>,
    next_process: AtomicUsize,
}

impl Cluster {
    /// The nodes of these options, none of them started. Their files are below `folder`.
    pub fn new(options: &Options, hosts: &Hosts, folder: &Path) -> anyhow::Result<Cluster> {
        let (roles, compose) = (roles(options), hosts.compose());
        let programs = options.bin_dir.canonicalize();
        if options.system == System::Mneme
            && compose.is_none()
            && !programs.as_ref().is_ok_and(|bin| bin.join("mneme-core").exists())
        {
            bail!("{}: no mneme-core there; `cargo build --release` makes it", options.bin_dir.display());
        }
        let mut flags = Vec::new();
        if options.nemesis.contains(&nemesis::Kind::DiskFull) {
            // Or small disks would stay full.
            flags.push("--snapshot-log-bytes=48mb".into());
        }
        let programs = programs.unwrap_or_default();
        let fake_clock = nemesis::wanted_clocks(&options.nemesis, &programs)?;
        let keepers = roles.iter().filter(|(_, role)| role.has_keeper()).count();
        let members: Vec<String> =
            (1..=roles.len()).map(|host| format!("{}:{}", hosts.address(host), node::CLUSTER)).collect();
        let nodes = roles.iter().enumerate().map(|(place, (name, role))| {
            let host = place + 1;
            // mneme-keeper knows fewer.
            let further = options.server_flag.iter().filter(|_| role.answers_clients()).cloned();
            let join = (place > 0).then(|| members[0].clone());
            Node::new(
                node::Place {
                    name: (*name).to_owned(),
                    number: place,
                    host,
                    address: hosts.address(host),
                    ports: compose.map_or(0, |_| compose::PORTS_APART * place as u16),
                    role: *role,
                },
                node::Settings {
                    programs: programs.clone(),
                    folder: folder.to_owned(),
                    join,
                    // A founder that has lost its data joins the others.
                    members: members.clone(),
                    keepers,
                    flags: flags.iter().cloned().chain(further).collect(),
                    fake_clock: fake_clock.clone(),
                    container: compose.map(|compose| compose.container(place).to_owned()),
                },
            )
        });
        let nodes = nodes.collect();
        Ok(Cluster { system: options.system, nodes, view: Mutex::default(), next_process: AtomicUsize::new(0) })
    }

    /// Starts all nodes and waits until they are ready.
    ///
    /// # Errors
    /// If one is not in time.
    pub async fn start(&self, hosts: &Hosts) -> anyhow::Result<()> {
        for node in &self.nodes {
            node.start(hosts)?;
        }
        self.all_ready().await
    }

    /// # Errors
    /// If a node is not ready in time, or has ended.
    pub async fn all_ready(&self) -> anyhow::Result<()> {
        let end = Instant::now() + READY;
        for node in &self.nodes {
            while !node.is_ready() {
                // Any that has ended may be what this one waits for.
                let ended = self.nodes.iter().find_map(|node| Some((node, node.ended()?)));
                if let Some((node, code)) = ended {
                    bail!("{} has ended with {code}:\n{}", node.name(), node.last_words());
                }
                if Instant::now() > end {
                    bail!("{} is not ready within {READY:?}:\n{}", node.name(), node.last_words());
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// Nodes that take clients' commands at any level.
    pub fn cores(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.role().has_core())
    }

    pub fn keepers(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.role().has_keeper())
    }

    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The certificate of the CA that clients trust; empty if there is none.
    ///
    /// # Errors
    /// If the founder has not made it.
    pub fn ca(&self) -> anyhow::Result<Vec<u8>> {
        match self.system {
            System::Mneme if !self.is_unknown() => Ok(std::fs::read(node::ca(&self.nodes[0]))?),
            _ => Ok(Vec::new()),
        }
    }

    /// Whether its certificates are not for the addresses that clients know it by.
    pub fn is_unknown(&self) -> bool {
        self.nodes.iter().any(Node::is_container)
    }

    /// As what the history knows a connection.
    pub fn new_process(&self) -> u32 {
        self.next_process.fetch_add(1, Ordering::Relaxed) as u32
    }
}

/// How many nodes there are.
pub fn count(options: &Options) -> usize {
    roles(options).len()
}

fn roles(options: &Options) -> Vec<(&'static str, Role)> {
    match (options.system, options.topology) {
        (System::Redis, _) => vec![("r1", Role::Redis)],
        (_, Topology::Ha3) if options.compose => named("ha-", 3, Role::Both),
        (_, Topology::Ha3) => named("n", 3, Role::Both),
        (_, Topology::Ha5) => named("n", 5, Role::Both),
        (_, Topology::OneAndThree) => [named("c", 1, Role::Core), named("k", 3, Role::Keeper)].concat(),
        (_, Topology::ThreeAndThree) => {
            [named("c", 3, Role::Core), named("k", 3, Role::Keeper), vec![("r1", Role::Replica)]].concat()
        }
    }
}

fn named(prefix: &str, count: usize, role: Role) -> Vec<(&'static str, Role)> {
    let names: &'static [&'static str] = match prefix {
        "n" => &["n1", "n2", "n3", "n4", "n5"],
        "ha-" => &["ha-1", "ha-2", "ha-3"],
        "c" => &["c1", "c2", "c3"],
        _ => &["k1", "k2", "k3"],
    };
    names[..count].iter().map(|name| (*name, role)).collect()
}
