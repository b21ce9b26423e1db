//! How the nodes are reached, by the demonstration itself and by whoever watches it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::crypto;

use super::ports::Ports;
use super::{COUNT, quoted};
use crate::address::HostPort;
use crate::cli::connection::Connection;
use crate::cli::dial::Target;
use crate::cli::stop::Stop;
use crate::cli::trust::Trust;

const USER: &str = "admin";

/// What the nodes are told by their environment.
#[derive(Clone)]
pub struct Secrets {
    pub password: String,
    pub cluster: String,
}

impl Secrets {
    /// New ones, which nobody can guess.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn make() -> Result<Secrets, Stop> {
        Ok(Secrets { password: random::<8>()?, cluster: random::<16>()? })
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

fn random<const BYTES: usize>() -> Result<String, Stop> {
    let mut bytes = [0; BYTES];
    let filled = crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| Stop::Server("this system has no random numbers".to_owned()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Where the nodes take clients, and who may be one.
#[derive(Clone, Debug)]
pub struct Access {
    ports: [Ports; COUNT],
    ca: PathBuf,
    secrets: Secrets,
}

impl Access {
    /// `folder` is that of the nodes.
    pub fn new(ports: [Ports; COUNT], folder: &Path, secrets: Secrets) -> Access {
        Access { ports, ca: folder.join("n1").join("ca.crt"), secrets }
    }

    /// A connection to a node, logged in, on which no answer is waited for longer than `patience`.
    ///
    /// # Errors
    /// If it cannot be reached, or refuses.
    pub fn open(&self, node: usize, patience: Duration) -> Result<Connection, Stop> {
        let at = self.clients(node);
        let hosts = vec![HostPort { host: at.ip().to_string(), port: at.port() }];
        let mut connection = Connection::open(&Target::Hosts { hosts, trust: Trust::file(&self.ca) }, &[])?;
        connection.wait_at_most(patience)?;
        connection.ask(&[b"AUTH", USER.as_bytes(), self.secrets.password.as_bytes()])?;
        connection.ask(&[b"HELLO", b"3"])?;
        connection.ask(&[b"CLIENT", b"CONSISTENCY", b"QUORUM"])?;
        Ok(connection)
    }

    pub fn clients(&self, node: usize) -> SocketAddr {
        self.ports[node].clients
    }

    /// The page of a node for people.
    pub fn console(&self, node: usize) -> String {
        format!("http://{}/", self.ports[node].admin)
    }

    /// What to type in another terminal.
    pub fn commands(&self) -> [String; 3] {
        let Secrets { password, .. } = &self.secrets;
        let (port, ca) = (self.clients(0).port(), quoted(&self.ca));
        let hosts: Vec<_> = (0..COUNT).map(|node| self.clients(node).to_string()).collect();
        // As it was called here, so that it is found there.
        let cli = std::env::args_os().next().map_or("mneme-cli".to_owned(), |name| quoted(Path::new(&name)));
        [
            format!("export MNEME_PASSWORD={password} REDISCLI_AUTH={password}"),
            format!("redis-cli --tls --cacert {ca} -p {port} --user {USER}"),
            format!("{cli} --ca-cert {ca} -u {USER} -H {} cluster status", hosts.join(",")),
        ]
    }
}
