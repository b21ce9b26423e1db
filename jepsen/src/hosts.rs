//! Where nodes and clients live: each host in a network namespace of its own, with its own address, all on one [`Switch`] of
//! ours. Without the right to make namespaces they are processes on loopback, and their network cannot be disturbed. Or they are
//! [containers](compose).
//!
//! What a killed run has left is known by its names, which hold the process id of the run, and removed by the next one.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use compose::Compose;
pub use switch::{Disturbance, LinkFault, Switch};

pub mod compose;
mod switch;

/// The host of half of the clients, which also looks at the nodes; nodes have the numbers behind it, and behind those
/// comes the host of the [other clients](Hosts::other_clients).
pub const CLIENTS: usize = 0;
/// What names of namespaces and file systems begin with; the run's process id and the host's number follow.
const PREFIX: &str = "mneme-jepsen";

/// All hosts of a run. Dropping it removes them, with every process that still runs there.
#[derive(Debug)]
pub struct Hosts {
    /// `None` on loopback, and of containers.
    switch: Option<Switch>,
    compose: Option<Compose>,
    nodes: usize,
}

impl Hosts {
    /// Hosts of so many nodes, and of clients.
    ///
    /// # Errors
    /// If namespaces may be made and this does not work all the same.
    pub fn new(nodes: usize, on_loopback: bool) -> anyhow::Result<Hosts> {
        remove_stale()?;
        let mut hosts = Hosts { switch: None, compose: None, nodes };
        if on_loopback {
            return Ok(hosts);
        }
        if let Err(why) = ip(["netns", "add", &name(CLIENTS)]) {
            eprintln!(
                "no network namespaces ({why:#}): nodes are processes on loopback, and no network fault is possible"
            );
            return Ok(hosts);
        }
        let mut devices = Vec::new();
        for host in 0..=hosts.other_clients() {
            if host != CLIENTS {
                ip(["netns", "add", &name(host)])?;
            }
            ip(["-n", &name(host), "link", "set", "lo", "up"])?;
            let device = within(host, || tun_rs::DeviceBuilder::new().name("eth0").enable(false).build_sync())?;
            devices.push(device.with_context(|| format!("making a TUN device in {}", name(host)))?);
            ip(["-n", &name(host), "address", "add", &format!("{}/24", address(host)), "dev", "eth0"])?;
            ip(["-n", &name(host), "link", "set", "eth0", "up"])?;
        }
        hosts.switch = Some(Switch::start(devices)?);
        Ok(hosts)
    }

    /// Containers, with these secrets.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn in_containers(nodes: usize, password: &str, secret: &str) -> anyhow::Result<Hosts> {
        let mut hosts = Hosts { switch: None, compose: None, nodes };
        hosts.compose = Some(Compose::new(hosts.address(CLIENTS), password, secret)?);
        Ok(hosts)
    }

    pub fn compose(&self) -> Option<&Compose> {
        self.compose.as_ref()
    }

    /// The host of clients that may reach fewer nodes than those of [`CLIENTS`].
    pub fn other_clients(&self) -> usize {
        self.nodes + 1
    }

    /// What can disturb the network, if something can.
    pub fn switch(&self) -> Option<&Switch> {
        self.switch.as_ref()
    }

    pub fn address(&self, host: usize) -> Ipv4Addr {
        match self.switch {
            Some(_) => address(host),
            None => {
                // Each run has a net of its own.
                let [.., high, low] = std::process::id().to_be_bytes();
                // What containers publish differs by its port.
                let host = if self.compose.is_some() { CLIENTS } else { host };
                Ipv4Addr::new(127, high | 1, low, host as u8 + 1)
            }
        }
    }

    /// Has the calling thread open its sockets on that host from now on.
    ///
    /// # Errors
    /// If there is no such host any more.
    pub fn enter(&self, host: usize) -> io::Result<()> {
        if self.switch.is_some() { enter(host) } else { Ok(()) }
    }

    /// Starts a process on that host.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(&self, host: usize, command: &mut Command) -> anyhow::Result<Child> {
        // A child is where the thread is that made it.
        let spawn = || self.enter(host).and_then(|()| command.spawn());
        let spawned = thread::scope(|scope| scope.spawn(spawn).join());
        spawned.ok().context("the thread panicked")?.with_context(|| format!("starting {:?}", command.get_program()))
    }

    /// Mounts a file system of that many bytes in memory.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn mount(&self, host: usize, folder: &Path, bytes: u64) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        let options = format!("size={bytes}");
        let (host, folder) = (name(host), folder.as_os_str());
        run("mount", ["-t".as_ref(), "tmpfs".as_ref(), "-o".as_ref(), options.as_ref(), host.as_ref(), folder])
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        drop(self.switch.take());
        warn(remove_stale());
    }
}

/// Has a panic, after which nothing is dropped, remove what there is.
pub fn clear_when_panicking() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |why| {
        usual(why);
        warn(remove_stale());
    }));
}

fn warn(done: anyhow::Result<()>) {
    if let Err(why) = done {
        eprintln!("cleaning up: {why:#}");
    }
}

fn name(host: usize) -> String {
    format!("{PREFIX}-{}-{host}", std::process::id())
}

fn address(host: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, host as u8 + 1)
}

fn enter(host: usize) -> io::Result<()> {
    let namespace = File::open(Path::new("/run/netns").join(name(host)))?;
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// Does something in that host's namespace.
fn within<T: Send>(host: usize, what: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    let done = thread::scope(|scope| scope.spawn(|| enter(host).map(|()| what())).join());
    done.ok().context("the thread panicked")?.with_context(|| format!("entering {}", name(host)))
}

fn ip<const N: usize>(arguments: [&str; N]) -> anyhow::Result<()> {
    run("ip", arguments.map(OsStr::new))
}

fn run<const N: usize>(program: &str, arguments: [&OsStr; N]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("running {program}"))?;
    if !output.status.success() {
        bail!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Ends what runs in a namespace and removes it.
fn remove(namespace: &str) -> anyhow::Result<()> {
    let pids = Command::new("ip").args(["netns", "pids", namespace]).output()?;
    for pid in String::from_utf8_lossy(&pids.stdout).split_whitespace() {
        // This process has threads there.
        if let Some(pid) = pid.parse().ok().and_then(rustix::process::Pid::from_raw)
            && pid != rustix::process::getpid()
        {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    ip(["netns", "delete", namespace])
}

/// Whether what has this name is of this run, or of one that is over.
fn is_stale(name: &str) -> bool {
    let run = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-')?.split('-').next());
    run.is_some_and(|pid| pid == std::process::id().to_string() || !Path::new("/proc").join(pid).exists())
}

/// Removes namespaces and file systems of this run, and of runs that are over.
fn remove_stale() -> anyhow::Result<()> {
    let names = fs::read_dir("/run/netns").into_iter().flatten().flatten().map(|entry| entry.file_name());
    for name in names.filter_map(|name| name.into_string().ok()).filter(|name| is_stale(name)) {
        remove(&name)?;
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    for (_, folder) in mounts.lines().filter_map(|line| line.split_once(' ')).filter(|(source, _)| is_stale(source)) {
        run("umount", ["-l", folder.split(' ').next().unwrap_or_default()].map(OsStr::new))?;
    }
    Ok(())
}
