//! Nodes as containers: the profile `ha` of compose.yaml, under a project of this run's own.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::{PREFIX, is_stale};

const SERVICES: [&str; 3] = ["ha-1", "ha-2", "ha-3"];
/// What is published of each node lies so many ports behind that of the one before.
pub const PORTS_APART: u16 = 10;

/// The containers of a run. Dropping it removes them, with their volumes.
#[derive(Debug)]
pub struct Compose {
    project: String,
    /// By the nodes' places.
    containers: Vec<String>,
}

/// Whether there is an engine, and compose.
pub fn answers() -> bool {
    said(Command::new("docker").arg("version")).is_ok() && said(compose().arg("version")).is_ok()
}

impl Compose {
    /// Makes them, without starting one.
    ///
    /// # Errors
    /// If there are no images, or no compose.yaml here.
    pub(super) fn new(bind: Ipv4Addr, password: &str, secret: &str) -> anyhow::Result<Compose> {
        remove_stale()?;
        docker(&["image", "inspect", "mneme/core"]).context("there is no image mneme/core: `just images` makes it")?;
        let mut made = Compose { project: format!("{PREFIX}-{}", std::process::id()), containers: Vec::new() };
        let mut up = of_project(&made.project);
        up.env("MNEME_ADMIN_PASSWORD", password).env("MNEME_CLUSTER_SECRET", secret);
        up.env("MNEME_BIND", bind.to_string()).args(["up", "--no-start"]).args(SERVICES);
        said(&mut up)?;
        let project = format!("label=com.docker.compose.project={}", made.project);
        for service in SERVICES {
            let service = format!("label=com.docker.compose.service={service}");
            made.containers.push(docker(&["ps", "--all", "--quiet", "--filter", &project, "--filter", &service])?);
        }
        Ok(made)
    }

    pub fn container(&self, node: usize) -> &str {
        &self.containers[node]
    }

    /// Cuts a node off from everybody, clients too, or connects it again.
    ///
    /// # Errors
    /// What docker says.
    pub fn connect(&self, node: usize, is_connected: bool) -> anyhow::Result<()> {
        let (network, container) = (format!("{}_mneme", self.project), self.container(node));
        match is_connected {
            true => docker(&["network", "connect", "--alias", SERVICES[node], &network, container]),
            false => docker(&["network", "disconnect", &network, container]),
        }?;
        Ok(())
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        super::warn(remove(&self.project));
    }
}

fn remove_stale() -> anyhow::Result<()> {
    let label = "com.docker.compose.project";
    let projects = docker(&[
        "ps",
        "--all",
        "--filter",
        &format!("label={label}"),
        "--format",
        &format!("{{{{.Label \"{label}\"}}}}"),
    ])?;
    projects.lines().filter(|project| is_stale(project)).try_for_each(remove)
}

fn remove(project: &str) -> anyhow::Result<()> {
    said(of_project(project).args(["down", "--volumes", "--timeout", "1"])).map(|_| ())
}

/// Has docker do something, and what it says.
///
/// # Errors
/// What it says then.
pub fn docker(arguments: &[&str]) -> anyhow::Result<String> {
    said(Command::new("docker").args(arguments))
}

fn of_project(project: &str) -> Command {
    let mut command = compose();
    command.args(["--project-name", project, "--profile", "ha"]);
    command
}

/// Compose as docker's own command, or where that is not there, as the older program.
fn compose() -> Command {
    let mut own = Command::new("docker");
    own.arg("compose");
    if said(Command::new("docker").args(["compose", "version"])).is_ok() { own } else { Command::new("docker-compose") }
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("running {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
