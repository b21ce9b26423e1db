//! The settings as the servers use them: typed, checked, complete.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use mneme_kernel::agreed;
use mneme_kernel::core::Setting;
use mneme_kernel::eviction::Policy;
use mneme_kernel::level::Level;
use tracing::level_filters::LevelFilter;

use super::parse::{self, Parsed};
use super::values::Values;
use super::{Machine, Secret};
use crate::address::HostPort;

/// A server's settings. A Keeper alone has the defaults in what only a Core uses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of the Keeper's log and snapshots and of the node's identity.
    pub data: PathBuf,
    /// This node's name.
    pub node: String,
    pub role: Role,
    pub keeper: KeeperPlace,
    /// Network threads; at least 1.
    pub threads: usize,

    /// Where clients connect, with TLS.
    pub listen: SocketAddr,
    /// Where clients connect for `EVENTUAL` reads, with TLS.
    pub read_listen: SocketAddr,
    /// Where clients of this machine connect, without TLS.
    pub unix_socket: Option<PathBuf>,
    /// The file mode of that socket.
    pub unix_socket_mode: u32,
    /// Where other nodes connect.
    pub cluster_listen: SocketAddr,
    /// What other nodes dial; never a wildcard. Its port is 0 only if that of `cluster_listen` is.
    pub advertise: HostPort,
    /// What clients dial, and for reads at `EVENTUAL`: what the facades tell them.
    pub advertise_clients: HostPort,
    pub advertise_reads: HostPort,
    /// Metrics, health and console.
    pub admin_listen: SocketAddr,

    /// Nodes of the cluster to join; empty: found one. Perhaps the node itself is among them.
    pub join: Vec<HostPort>,
    /// How many Keepers a new cluster waits for; at least 1.
    pub expect_keepers: u32,
    /// The newest format that this node agrees to write.
    pub newest_format: u32,

    /// How many clients may be connected; at least 1.
    pub max_clients: usize,
    /// Which of Redis's ways to find a primary are answered.
    pub facade: Vec<Facade>,
    /// What `SENTINEL` calls the primary.
    pub sentinel_name: String,
    /// Whom `AUTH password` means.
    pub default_user: String,
    /// The operator's own certificate for clients.
    pub tls: Option<TlsFiles>,
    /// Further names in the certificate that the cluster's CA makes.
    pub tls_san: Vec<String>,

    /// The level where neither request, connection, user nor database says.
    pub default_consistency: Level,
    /// How long a command waits for its level.
    pub level_timeout: Duration,
    /// From when on others hear that a script runs.
    pub script_timeout: Duration,
    /// When a script is ended.
    pub script_kill_after: Duration,
    /// How long a command waits for a primary.
    pub park_timeout: Duration,
    pub reads: ReadSafety,

    /// The most memory that data may take, in bytes.
    pub maxmemory: Option<NonZeroU64>,
    /// Which keys make room for others then.
    pub maxmemory_policy: Policy,
    /// Keepers compact at least this often, if anything changed.
    pub snapshot_interval: Duration,
    /// Keepers compact when the log has grown by so many bytes.
    pub snapshot_log_bytes: u64,

    pub log_level: LevelFilter,
    pub log_format: LogFormat,

    /// The admin user's first password.
    pub admin_password: Option<Secret>,
    /// What admits nodes to the cluster.
    pub cluster_secret: Option<Secret>,

    /// The file that was read.
    pub file: Option<String>,
    /// All but the secrets, as they were written.
    pub written: Vec<Setting>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Core,
    Replica,
}

/// Where a Core's Keeper is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeeperPlace {
    /// Inside the process.
    Embedded,
    /// In other processes.
    None,
}

/// A way of Redis to find a primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facade {
    Cluster,
    Sentinel,
}

/// How `QUORUM` reads are made safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadSafety {
    /// By the primary's lease.
    Lease,
    /// By asking a majority, at the price of a round trip.
    QuorumCheck,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// A certificate chain and its private key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Settings {
    /// Understands the values. The secrets and the file are left out.
    ///
    /// # Errors
    /// If a value is malformed, or two do not go together; the message says where it was written.
    pub(super) fn read(from: &Values, machine: &Machine) -> Parsed<Settings> {
        let cluster_listen = from.one("cluster-listen", parse::listen)?;
        let (listen, read_listen) = (from.one("listen", parse::listen)?, from.one("read-listen", parse::listen)?);
        let advertise = from
            .maybe("advertise", parse::dial)?
            .unwrap_or_else(|| dialled_by_default(cluster_listen, &machine.host_name));
        let dialled = |listen| dialled_by_default(listen, &advertise.host);
        let facade = parse::list(parse::word(&[("cluster", Facade::Cluster), ("sentinel", Facade::Sentinel)]));
        Ok(Settings {
            data: from.one("data", parse::path)?,
            node: from.one("node", parse::name)?,
            role: from.one("role", parse::word(&[("core", Role::Core), ("replica", Role::Replica)]))?,
            keeper: from
                .one("keeper", parse::word(&[("embedded", KeeperPlace::Embedded), ("none", KeeperPlace::None)]))?,
            threads: from.one("threads", parse::count)?,
            listen,
            read_listen,
            unix_socket: from.maybe("unix-socket", parse::path)?,
            unix_socket_mode: from.one("unix-socket-mode", parse::file_mode)?,
            cluster_listen,
            advertise_clients: from.maybe("advertise-clients", parse::dial)?.unwrap_or_else(|| dialled(listen)),
            advertise_reads: from.maybe("advertise-reads", parse::dial)?.unwrap_or_else(|| dialled(read_listen)),
            advertise,
            admin_listen: from.one("admin-listen", parse::listen)?,
            join: from.maybe("join", parse::list(parse::dial))?.unwrap_or_default(),
            expect_keepers: from.one("expect-keepers", parse::count)?,
            newest_format: from.maybe("newest-format", parse::format)?.unwrap_or(agreed::NEWEST),
            max_clients: from.one("max-clients", parse::count)?,
            facade: from.maybe("facade", facade)?.unwrap_or_default(),
            sentinel_name: from.one("sentinel-name", parse::name)?,
            default_user: from.one("default-user", parse::name)?,
            tls: tls_files(from)?,
            tls_san: from.maybe("tls-san", parse::list(parse::san))?.unwrap_or_default(),
            default_consistency: from.one("default-consistency", parse::level)?,
            level_timeout: from.one("level-timeout", parse::duration)?,
            script_timeout: from.one("script-timeout", parse::duration)?,
            script_kill_after: from.one("script-kill-after", parse::duration)?,
            park_timeout: from.one("park-timeout", parse::duration)?,
            reads: from.one(
                "reads",
                parse::word(&[("lease", ReadSafety::Lease), ("quorum-check", ReadSafety::QuorumCheck)]),
            )?,
            maxmemory: NonZeroU64::new(from.one("maxmemory", parse::bytes)?),
            maxmemory_policy: from.one("maxmemory-policy", parse::word(&Policy::ALL))?,
            snapshot_interval: from.one("snapshot-interval", parse::duration)?,
            snapshot_log_bytes: from.one("snapshot-log-bytes", parse::bytes)?,
            log_level: from.one("log-level", parse::log_level)?,
            log_format: from.one("log-format", parse::word(&[("text", LogFormat::Text), ("json", LogFormat::Json)]))?,
            admin_password: None,
            cluster_secret: None,
            file: None,
            written: from.written(),
        })
    }
}

/// What others dial if nobody says: the address that is listened on, or this host if that is a wildcard.
fn dialled_by_default(listen: SocketAddr, host: &str) -> HostPort {
    let host = match listen.ip() {
        ip if ip.is_unspecified() => host.to_owned(),
        ip => ip.to_string(),
    };
    let port = listen.port();
    HostPort { host, port }
}

fn tls_files(values: &Values) -> Parsed<Option<TlsFiles>> {
    let cert = values.maybe("tls-cert", parse::path)?;
    let key = values.maybe("tls-key", parse::path)?;
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(format!("{}: given without tls-key", values.get("tls-cert"))),
        (None, Some(_)) => Err(format!("{}: given without tls-cert", values.get("tls-key"))),
    }
}
