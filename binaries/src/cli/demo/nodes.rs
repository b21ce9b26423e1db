//! The three nodes: processes that are started, broken and healed.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use rustix::process::{Pid, Signal, kill_process};

use super::access::Secrets;
use super::ports::Ports;
use super::relay::{self, Cuts};
use super::{COUNT, NAMES, dialler, launch};
use crate::cli::stop::Stop;

/// How long nodes have to stop in order when their data is kept; then they are killed.
const STOPPING: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);
/// So many lines of its log are shown of a node that does not start.
const LAST_LINES: usize = 12;

/// The process of each node, if it has one.
pub type Processes = Arc<Mutex<[Option<u32>; COUNT]>>;

/// What was done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Up,
    Killed,
    Paused,
    CutOff,
    /// It ended, and nobody had asked it to.
    Ended,
}

impl State {
    pub fn text(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Killed => "killed",
            State::Paused => "paused",
            State::CutOff => "cut off",
            State::Ended => "ended",
        }
    }
}

/// They are ended when this is dropped.
#[derive(Debug)]
pub struct Nodes {
    server: PathBuf,
    folder: PathBuf,
    secrets: Secrets,
    ports: [Ports; COUNT],
    cuts: Arc<Cuts>,
    processes: Processes,
    children: [Option<Child>; COUNT],
    states: [State; COUNT],
}

impl Nodes {
    /// Starts all of them, and the relays between them.
    ///
    /// # Errors
    /// If one cannot be started.
    pub fn start(server: PathBuf, folder: &Path, ports: [Ports; COUNT], secrets: Secrets) -> Result<Nodes, Stop> {
        let mut nodes = Nodes {
            server,
            folder: folder.to_owned(),
            secrets,
            ports,
            cuts: Arc::default(),
            processes: Arc::default(),
            children: Default::default(),
            states: [State::Up; COUNT],
        };
        for node in 0..COUNT {
            nodes.start_relay(node).map_err(|error| Stop::Server(format!("{}: {error}", nodes.ports[node].relay)))?;
            nodes.start_process(node)?;
        }
        Ok(nodes)
    }

    pub fn state(&self, node: usize) -> State {
        self.states[node]
    }

    /// What ends the processes when nothing else does.
    pub fn processes(&self) -> Processes {
        Arc::clone(&self.processes)
    }

    /// Whether all have said that they are ready.
    ///
    /// # Errors
    /// If one has ended; with the last lines of its log.
    pub fn are_ready(&mut self) -> Result<bool, Stop> {
        if let Some((node, status)) = self.ended() {
            return Err(Stop::Server(format!("{} did not start: {status}\n{}", NAMES[node], self.last_lines(node))));
        }
        Ok((0..COUNT).all(|node| self.log(node).lines().any(|line| line.starts_with("ready "))))
    }

    /// The end of a node's log.
    pub fn last_lines(&self, node: usize) -> String {
        let log = self.log(node);
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.len().saturating_sub(LAST_LINES);
        format!("{}:\n{}", self.log_path(node).display(), lines[last..].join("\n"))
    }

    /// The next node that has ended and was not killed, and how.
    pub fn ended(&mut self) -> Option<(usize, ExitStatus)> {
        for (node, child) in self.children.iter_mut().enumerate() {
            if let Some(Ok(Some(status))) = child.as_mut().map(Child::try_wait) {
                self.forget(node);
                self.states[node] = State::Ended;
                return Some((node, status));
            }
        }
        None
    }

    pub fn kill(&mut self, node: usize) {
        self.end(node);
        self.states[node] = State::Killed;
    }

    pub fn pause(&mut self, node: usize) {
        self.signal(node, Signal::STOP);
        self.states[node] = State::Paused;
    }

    pub fn cut_off(&mut self, node: usize) {
        self.cuts.set(node, true);
        self.states[node] = State::CutOff;
    }

    /// Undoes what was done to a node: it goes on, is reached again, or is started with the data that it had.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn heal(&mut self, node: usize) -> Result<(), Stop> {
        match self.states[node] {
            State::Up => {}
            State::Killed | State::Ended => self.start_process(node)?,
            State::Paused => self.signal(node, Signal::CONT),
            State::CutOff => self.cuts.set(node, false),
        }
        self.states[node] = State::Up;
        Ok(())
    }

    /// Has all of them stop in order, where somebody will look at their data.
    pub fn stop(&mut self) {
        for node in 0..COUNT {
            self.signal(node, Signal::TERM);
            self.signal(node, Signal::CONT);
            self.cuts.set(node, false);
        }
        let until = Instant::now() + STOPPING;
        while self.children.iter().any(Option::is_some) && Instant::now() < until {
            if self.ended().is_none() {
                thread::sleep(LOOK);
            }
        }
    }

    fn start_relay(&self, node: usize) -> io::Result<()> {
        let Ports { relay, cluster, .. } = self.ports[node];
        let processes = self.processes();
        let who = move |stream: &TcpStream| {
            let processes = *processes.lock().unwrap_or_else(PoisonError::into_inner);
            dialler::of(stream, &processes)
        };
        relay::start(TcpListener::bind(relay)?, node, cluster, Arc::clone(&self.cuts), who)
    }

    fn start_process(&mut self, node: usize) -> Result<(), Stop> {
        let Ports { clients, reads, admin, cluster, relay } = self.ports[node];
        let log = self.log_path(node);
        let bad = |error: io::Error| Stop::Server(format!("{}: {error}", log.display()));
        let log_file = File::options().create(true).append(true).open(&log).map_err(bad)?;
        let addresses = [
            ("--listen", clients),
            ("--read-listen", reads),
            ("--admin-listen", admin),
            ("--cluster-listen", cluster),
            ("--advertise", relay),
        ];
        let mut command = launch::server(&self.server)?;
        command.args(["--node", NAMES[node], "--data"]).arg(self.data_path(node));
        for (flag, address) in addresses {
            command.arg(flag).arg(address.to_string());
        }
        match node {
            0 => command.args(["--expect-keepers", &COUNT.to_string()]),
            _ => command.args(["--join", &self.ports[0].relay.to_string()]),
        };
        command.env("MNEME_ADMIN_PASSWORD", &self.secrets.password).env("MNEME_CLUSTER_SECRET", &self.secrets.cluster);
        let child = command.stdin(Stdio::null()).stdout(log_file.try_clone()?).stderr(log_file).spawn()?;
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)[node] = Some(child.id());
        self.children[node] = Some(child);
        Ok(())
    }

    fn signal(&self, node: usize, signal: Signal) {
        // A child that has not been waited for keeps its number, so that nobody else can be meant.
        if let Some(child) = &self.children[node] {
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    fn end(&mut self, node: usize) {
        self.signal(node, Signal::KILL);
        if let Some(child) = &mut self.children[node] {
            let _ = child.wait();
        }
        self.forget(node);
    }

    fn forget(&mut self, node: usize) {
        self.children[node] = None;
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)[node] = None;
    }

    fn data_path(&self, node: usize) -> PathBuf {
        self.folder.join(NAMES[node])
    }

    fn log_path(&self, node: usize) -> PathBuf {
        self.folder.join(format!("{}.log", NAMES[node]))
    }

    fn log(&self, node: usize) -> String {
        fs::read_to_string(self.log_path(node)).unwrap_or_default()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        (0..COUNT).for_each(|node| self.end(node));
    }
}
