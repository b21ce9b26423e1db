//! One node and the lives of its process.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use super::{PASSWORD, SECRET};
use crate::hosts::{Hosts, compose};

pub const CLIENTS: u16 = 6379;
pub const READERS: u16 = 6380;
pub const CLUSTER: u16 = 7379;
pub const ADMIN: u16 = 9090;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A Core with its Keeper inside.
    Both,
    Core,
    Keeper,
    Replica,
    /// No node of ours at all.
    Redis,
}

impl Role {
    pub fn has_core(self) -> bool {
        matches!(self, Role::Both | Role::Core | Role::Redis)
    }

    /// Whether clients can talk to it, if only to read.
    pub fn answers_clients(self) -> bool {
        self != Role::Keeper
    }

    pub fn has_keeper(self) -> bool {
        matches!(self, Role::Both | Role::Keeper)
    }
}

/// What a node is and where.
#[derive(Clone, Debug)]
pub struct Place {
    pub name: String,
    /// Its place among the nodes.
    pub number: usize,
    pub host: usize,
    pub address: Ipv4Addr,
    /// How far its ports lie behind those that it listens on.
    pub ports: u16,
    pub role: Role,
}

/// How its process is started.
#[derive(Clone, Debug)]
pub struct Settings {
    pub programs: PathBuf,
    /// The run's folder.
    pub folder: PathBuf,
    /// Whom it joins; nobody if it founds the cluster.
    pub join: Option<String>,
    pub members: Vec<String>,
    pub keepers: usize,
    pub flags: Vec<String>,
    pub fake_clock: Option<FakeClock>,
    /// The container that it is, if it is one.
    pub container: Option<String>,
}

/// A clock by libfaketime.
#[derive(Clone, Debug)]
pub struct FakeClock {
    pub library: PathBuf,
    /// Whether that which leases hang on is wrong, too.
    pub is_monotonic: bool,
}

#[derive(Debug)]
pub struct Node {
    place: Place,
    settings: Settings,
    life: Mutex<Life>,
    /// Whether a nemesis has it: others leave it alone.
    taken: AtomicBool,
}

#[derive(Debug, Default)]
struct Life {
    child: Option<Child>,
    /// How the last process ended, if it ended by itself.
    ended: Option<ExitStatus>,
    /// Where in its output this life begins.
    begins: u64,
    /// Whether it has ever been started.
    is_old: bool,
}

/// A node that one nemesis has for itself.
#[derive(Debug)]
pub struct Taken<'a>(pub &'a Node);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

impl Node {
    pub fn new(place: Place, settings: Settings) -> Node {
        Node { place, settings, life: Mutex::default(), taken: AtomicBool::new(false) }
    }

    pub fn name(&self) -> &str {
        &self.place.name
    }

    pub fn number(&self) -> usize {
        self.place.number
    }

    pub fn host(&self) -> usize {
        self.place.host
    }

    /// Where one of its ports is reached.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.place.address, port + self.place.ports))
    }

    pub fn role(&self) -> Role {
        self.place.role
    }

    pub fn is_container(&self) -> bool {
        self.settings.container.is_some()
    }

    /// The node for the caller alone; `None` if somebody has it.
    pub fn take(&self) -> Option<Taken<'_>> {
        // Made only if it is ours: dropping one gives the node back.
        (!self.taken.swap(true, Ordering::Acquire)).then(|| Taken(self))
    }

    pub fn folder(&self) -> PathBuf {
        self.settings.folder.join("nodes").join(self.name())
    }

    pub fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// What libfaketime reads how wrong the clock is from.
    pub fn clock_file(&self) -> PathBuf {
        self.settings.folder.join("nodes").join(format!("{}.clock", self.name()))
    }

    fn output(&self, kind: &str) -> PathBuf {
        self.settings.folder.join("logs").join(format!("{}.{kind}", self.name()))
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts its process, which must not run.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, hosts: &Hosts) -> anyhow::Result<()> {
        fs::create_dir_all(self.folder())?;
        let open = |kind| {
            let path = self.output(kind);
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)
                .with_context(|| format!("opening {}", path.display()))
        };
        let (out, log) = (open("out")?, open("log")?);
        let mut life = self.life();
        life.begins = out.metadata()?.len();
        life.ended = None;
        let mut command = self.command(life.is_old);
        command.stdin(Stdio::null()).stdout(out).stderr(log);
        life.child = Some(hosts.spawn(self.host(), &mut command)?);
        life.is_old = true;
        Ok(())
    }

    fn command(&self, is_old: bool) -> Command {
        if self.role() == Role::Redis {
            return self.redis();
        }
        if let Some(container) = &self.settings.container {
            // It says what the server says, and ends with it, with its code.
            let mut command = Command::new("docker");
            command.args(["start", "--attach", container]);
            return command;
        }
        let program = if self.role() == Role::Keeper { "mneme-keeper" } else { "mneme-core" };
        let mut command = Command::new(self.settings.programs.join(program));
        let address = |port: u16| self.at(port).to_string();
        command.env_clear().env("MNEME_ADMIN_PASSWORD", PASSWORD).env("MNEME_CLUSTER_SECRET", SECRET);
        command.args(["--node", self.name(), "--cluster-listen", &address(CLUSTER), "--admin-listen", &address(ADMIN)]);
        command.arg("--data").arg(self.data());
        // Only servers that are built with mistakes look at it.
        command.envs(std::env::var_os("MNEME_MUTANT").map(|mutant| ("MNEME_MUTANT", mutant)));
        if self.role() != Role::Keeper {
            command.args(["--listen", &address(CLIENTS), "--read-listen", &address(READERS)]);
        }
        match self.role() {
            Role::Core => _ = command.args(["--keeper", "none"]),
            Role::Replica => _ = command.args(["--role", "replica"]),
            _ => {}
        }
        let others = || {
            let own = address(CLUSTER);
            self.settings.members.iter().filter(|member| **member != own).cloned().collect::<Vec<_>>().join(",")
        };
        match &self.settings.join {
            Some(founder) if !is_old => _ = command.args(["--join", founder]),
            // Whoever has lost its data joins whom it can, the founder too.
            _ if is_old => _ = command.args(["--join", &others()]),
            _ => _ = command.args(["--expect-keepers", &self.settings.keepers.to_string()]),
        }
        if let Some(FakeClock { library, is_monotonic }) = &self.settings.fake_clock {
            command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", self.clock_file());
            command.env("FAKETIME_CACHE_DURATION", "1");
            if !is_monotonic {
                command.envs([("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("DONT_FAKE_MONOTONIC", "1")]);
            }
        }
        command.args(&self.settings.flags);
        command
    }

    fn redis(&self) -> Command {
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            &self.place.address.to_string(),
            "--port",
            &CLIENTS.to_string(),
            "--requirepass",
            PASSWORD,
        ]);
        command.args(["--save", "", "--appendonly", "no"]).arg("--dir").arg(self.folder());
        command
    }

    /// Whether this life has said that it is ready.
    pub fn is_ready(&self) -> bool {
        let begins = self.life().begins;
        let ready = if self.role() == Role::Redis { "Ready to accept connections" } else { "ready node=" };
        let mut text = String::new();
        let read = File::open(self.output("out")).and_then(|mut out| {
            out.seek(SeekFrom::Start(begins))?;
            out.read_to_string(&mut text)
        });
        read.is_ok() && text.contains(ready)
    }

    pub fn runs(&self) -> bool {
        self.look();
        self.life().child.is_some()
    }

    /// How it ended by itself, if it did.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.look();
        self.life().ended
    }

    fn look(&self) {
        let mut life = self.life();
        if let Some(status) = life.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
            life.child = None;
            life.ended = Some(status);
        }
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let text = fs::read(self.output("log")).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(1500)..]).into_owned()
    }

    /// Sends its process a signal, if it runs.
    pub fn signal(&self, signal: Signal) {
        let life = self.life();
        let Some(child) = &life.child else { return };
        if let Some(container) = &self.settings.container {
            let verb: &[&str] = match signal {
                Signal::STOP => &["pause"],
                Signal::CONT => &["unpause"],
                Signal::TERM => &["kill", "--signal", "TERM"],
                _ => &["kill"],
            };
            // As with a process, it may have ended by itself; and who is not suspended cannot go on.
            let _ = compose::docker(&[verb, &[container]].concat());
        } else {
            // It may have ended by itself.
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    /// Waits for the end of its process, which has got a signal to end by.
    pub fn reap(&self) -> Option<ExitStatus> {
        let child = self.life().child.take();
        child.and_then(|mut child| child.wait().ok())
    }

    /// `kill -9`, until it is dead.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        self.reap();
    }

    /// Whether its process has ended because it was told to: for a stop in order.
    pub fn has_stopped(&self) -> Option<bool> {
        let mut life = self.life();
        let status = life.child.as_mut()?.try_wait().ok().flatten()?;
        life.child = None;
        Some(status.success())
    }
}

/// How a process ended, for people.
pub fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("code {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => "no status".to_owned(),
    }
}

/// Where the cluster's CA is, on any node that belongs.
pub fn ca(node: &Node) -> PathBuf {
    node.data().join(Path::new("ca.crt"))
}

impl Drop for Node {
    fn drop(&mut self) {
        // No container is killed that is suspended.
        self.signal(Signal::CONT);
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_taken_stays_so_until_it_is_given_back() {
        let address = Ipv4Addr::LOCALHOST;
        let place = Place { name: "n1".into(), number: 0, host: 1, address, ports: 0, role: Role::Both };
        let (programs, folder) = (PathBuf::new(), PathBuf::new());
        let (join, members, flags) = (None, Vec::new(), Vec::new());
        let settings =
            Settings { programs, folder, join, members, keepers: 1, flags, fake_clock: None, container: None };
        let node = Node::new(place, settings);
        let taken = node.take();
        assert!(taken.is_some());
        assert!(node.take().is_none() && node.take().is_none());
        drop(taken);
        assert!(node.take().is_some());
    }
}
