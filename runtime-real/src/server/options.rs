//! What a server is told, and why it does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mneme_driver::departure::Removed;
use mneme_driver::keeper::{Schedule, StartError};
use mneme_kernel::core::Setting;
use mneme_kernel::eviction::Policy;
use mneme_kernel::facade::Facade;
use mneme_kernel::level::Level;
use mneme_kernel::script::Times;

use crate::certificate::CertificateError;
use crate::founding::FoundingError;
use crate::trust::{KeyFiles, TrustError};

/// Everything that an operator decides, typed.
#[derive(Clone, Debug)]
pub struct Options {
    pub node: String,
    pub data: PathBuf,
    /// `None`: a Keeper alone.
    pub core: Option<CoreSettings>,
    /// When the Keeper inside makes snapshots; `None`: the Keepers are other processes.
    pub keeper: Option<Schedule>,
    pub admin_listen: SocketAddr,
    pub cluster_listen: SocketAddr,
    /// What other nodes dial: a host and a port. Port 0 is that which `cluster_listen` got.
    pub advertise: (String, u16),
    /// Cluster addresses of nodes whose cluster to join; none: found one.
    pub join: Vec<String>,
    /// How many Keepers a new cluster waits for.
    pub expect_keepers: usize,
    /// The newest format that this node agrees to write ([`mneme_kernel::agreed`]).
    pub reads: u32,
    /// What clients and nodes call this node beside what it knows itself.
    pub names: Vec<String>,
    /// The cluster's secret; a founder makes one if there is none.
    pub cluster_secret: Option<String>,
}

/// What an operator decides for a Core.
#[derive(Clone, Debug)]
pub struct CoreSettings {
    pub listen: SocketAddr,
    pub read_listen: SocketAddr,
    /// A path and its file mode.
    pub unix_socket: Option<(PathBuf, u32)>,
    pub threads: usize,
    pub max_clients: u64,
    /// Bytes that the data may take by its accounted sizes; 0: no limit.
    pub max_memory: u64,
    /// Which keys make room for others then.
    pub memory_policy: Policy,
    pub level_timeout: Duration,
    pub script_times: Times,
    /// How long a command waits for a primary.
    pub park_timeout: Duration,
    /// Which of Redis's ways to find a primary it answers, and where clients are told to go.
    pub facade: Facade,
    /// It is a Replica.
    pub replica: bool,
    /// Whether a `QUORUM` read asks a majority instead of relying on the lease.
    pub quorum_check: bool,
    pub default_user: String,
    pub default_level: Level,
    /// The operator's own certificate for clients.
    pub tls: Option<KeyFiles>,
    /// Used only if the first user does not exist yet.
    pub admin_password: Option<Vec<u8>>,
    /// What `CONFIG GET` shows.
    pub parameters: Vec<(String, String)>,
    /// What `CONFIG ORIGIN` shows.
    pub settings: Vec<Setting>,
}

/// Why a server does not start, or did not stop in order.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("{path}: {error}")]
    Data { path: PathBuf, error: io::Error },
    #[error("{0} is in use by another process; give each server a --data of its own")]
    Locked(PathBuf),
    #[error("cannot listen on {address}: {error}")]
    Listen { address: String, error: io::Error },
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("{0}")]
    OperatorsCertificate(CertificateError),
    #[error("--join needs the cluster secret: set MNEME_CLUSTER_SECRET to that of the cluster")]
    JoinWithoutSecret,
    #[error("a Keeper alone founds no cluster: give --join with the address of a node of the cluster")]
    KeeperFounds,
    #[error("a Replica founds no cluster: give --join with the address of a node of the cluster")]
    ReplicaFounds,
    #[error("{0}")]
    Founding(FoundingError),
    #[error("{data}: {error}")]
    Start { data: PathBuf, error: StartError },
    #[error("{data}: {removed}")]
    Removed { data: PathBuf, removed: Removed },
    #[error("signals: {0}")]
    Signals(io::Error),
}

impl From<FoundingError> for ServerError {
    fn from(error: FoundingError) -> Self {
        match error {
            FoundingError::Trust(error) => Self::Trust(error),
            error => Self::Founding(error),
        }
    }
}

impl ServerError {
    /// Whether the configuration is bad: exit code 2.
    pub fn is_bad_configuration(&self) -> bool {
        match self {
            ServerError::OperatorsCertificate(_)
            | ServerError::JoinWithoutSecret
            | ServerError::KeeperFounds
            | ServerError::ReplicaFounds => true,
            ServerError::Founding(FoundingError::Join(error)) => error.is_wrong_secret(),
            ServerError::Trust(error) => error.is_wrong_secret(),
            _ => false,
        }
    }

    /// Whether the data on disk is damaged or foreign: exit code 3.
    pub fn is_damage(&self) -> bool {
        match self {
            ServerError::Start { error: StartError::Open(error), .. } => error.is_damage(),
            // What its folder holds belongs to no cluster any more.
            ServerError::Start { error: StartError::Removed(_), .. } | ServerError::Removed { .. } => true,
            ServerError::Trust(error) => error.is_damage(),
            _ => false,
        }
    }
}
