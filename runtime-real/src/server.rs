//! A whole server: data folder, identity, node, ports, signals.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mneme_driver::env::Env;
use mneme_driver::keeper::{RaftTimes, Schedule, StartError};
use mneme_driver::node::FirstPassword;
use mneme_driver::server::{self, CoreOptions, KeeperOptions, Start};
use mneme_kernel::core::Config;
use mneme_kernel::level::Level;
use mneme_kernel::limits;
use mneme_kernel::members::Member;
use mneme_kernel::session::Port;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::admin::{self, Admin};
use crate::certificate::CertificateError;
use crate::certificates::{self, Certificates, Upkeep, Watch};
use crate::disk::RealDisk;
use crate::env::RealEnv;
use crate::listen::{self, Threads, bind_tcp, bind_unix};
use crate::metrics::TlsMetrics;
use crate::passwords::make_secret;
use crate::trust::{self, Identity, KeyFiles, TrustError};

/// Everything that an operator decides, typed.
#[derive(Clone, Debug)]
pub struct Options {
    pub node: String,
    pub data: PathBuf,
    pub listen: SocketAddr,
    pub read_listen: SocketAddr,
    /// A path and its file mode.
    pub unix_socket: Option<(PathBuf, u32)>,
    pub admin_listen: SocketAddr,
    /// What other nodes dial, `host:port`.
    pub advertise: String,
    pub threads: usize,
    pub max_clients: u64,
    /// Bytes that the data may take by its accounted sizes; 0: no limit.
    pub max_memory: u64,
    pub level_timeout: Duration,
    pub default_user: String,
    pub default_level: Level,
    pub snapshots: Schedule,
    /// The operator's own certificate for clients.
    pub tls: Option<KeyFiles>,
    /// What clients call this node beside what it knows itself.
    pub names: Vec<String>,
    /// Used only if the first user does not exist yet.
    pub admin_password: Option<Vec<u8>>,
    /// The cluster's secret; made if there is none.
    pub cluster_secret: Option<String>,
    /// What `CONFIG GET` shows.
    pub parameters: Vec<(String, String)>,
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
    #[error("{data}: {error}")]
    Start { data: PathBuf, error: StartError },
    #[error("signals: {0}")]
    Signals(io::Error),
}

impl ServerError {
    /// Whether the configuration is bad: exit code 2.
    pub fn is_bad_configuration(&self) -> bool {
        matches!(self, ServerError::OperatorsCertificate(_))
    }

    /// Whether the data on disk is damaged or foreign: exit code 3.
    pub fn is_damage(&self) -> bool {
        matches!(self, ServerError::Start { error: StartError::Open(error), .. } if error.is_damage())
    }
}

/// Runs a server until it is told to stop.
///
/// # Errors
/// If it cannot start. After a start it ends in order, or the process ends at once.
pub fn run(options: Options) -> Result<(), ServerError> {
    crate::process::started();
    raise_file_limit();
    listen::runtime().block_on(serve(options))
}

/// Lets the process have as many connections as the system allows it.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
}

async fn serve(options: Options) -> Result<(), ServerError> {
    let data = &options.data;
    // First: nothing is made for a configuration that is bad.
    let operators = options.tls.clone().map(Watch::open).transpose().map_err(ServerError::OperatorsCertificate)?;
    fs::create_dir_all(data).map_err(|error| ServerError::Data { path: data.clone(), error })?;
    let _lock = lock(data)?;
    let ports = Ports::bind(&options)?;
    let identity = Identity { data: data.clone(), node: options.node.clone(), names: options.names.clone() };
    let own_files = identity.find_or_make(SystemTime::now())?;
    keep_secret(data, options.cluster_secret.as_deref())?;
    let (watch, certificate) = match operators {
        Some(operators) => operators,
        None => Watch::open(own_files).map_err(TrustError::from)?,
    };
    let certificates = Arc::new(Certificates::new(certificate).map_err(TrustError::from)?);
    let tls = certificates::server_config(certificates.clone()).map_err(TrustError::from)?;
    let metrics = Arc::new(TlsMetrics::default());
    let mut upkeep = Upkeep { certificates, watch, identity, metrics: metrics.clone(), looked_at_end: None };
    upkeep.tick(SystemTime::now());
    listen::run_on_thread("certificates", upkeep.run());
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServerError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServerError::Signals)?;

    let server = start_server(&options).await?;
    let node = server.node().cloned().unwrap_or_else(|| unreachable!("it has a Core"));
    let threads = Threads::start(options.threads, &node, &tls, &metrics, options.max_clients as usize);
    tokio::spawn(threads.clone().accept_tcp(ports.main, Port::Main));
    tokio::spawn(threads.clone().accept_tcp(ports.read, Port::Read));
    if let Some(unix) = ports.unix {
        tokio::spawn(threads.accept_unix(unix));
    }
    tokio::spawn(admin::serve(ports.admin, Admin { node: node.clone(), tls: metrics }));

    println!(
        "ready node={} role=primary listen={} read_listen={} admin_listen={} data={}",
        options.node,
        options.listen,
        options.read_listen,
        options.admin_listen,
        data.display()
    );

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = node.shutdown_requested() => {}
    }
    tracing::info!("stopping: answering what was executed; a second signal stops at once");
    tokio::select! {
        () = server.stop() => {}
        _ = interrupt.recv() => std::process::exit(1),
        _ = terminate.recv() => std::process::exit(1),
    }
    if let Some((path, _)) = &options.unix_socket {
        let _ = fs::remove_file(path);
    }
    Ok(())
}

/// Starts the node on its own thread, where Raft's tasks and the loop to the log then run.
async fn start_server(options: &Options) -> Result<Arc<server::Server<RealEnv>>, ServerError> {
    let env = RealEnv::new(RealDisk::new(&options.data));
    let admin_password = match &options.admin_password {
        Some(password) => FirstPassword::Given(password.clone()),
        None => FirstPassword::Made {
            password: make_secret(),
            show: |user, password| println!("made a password for user {user}, shown only now: {password}"),
        },
    };
    let core = CoreOptions {
        config: Config {
            node: options.node.clone(),
            address: options.advertise.clone(),
            default_user: options.default_user.clone(),
            default_level: options.default_level,
            level_timeout: options.level_timeout,
            park_timeout: Duration::from_secs(5),
            lease: limits::LEASE,
            founds: false,
            quorum_check: false,
            seed: env.random(),
            started: env.monotonic(),
            process_id: std::process::id(),
            port: options.listen.port(),
            max_clients: options.max_clients,
            max_memory: options.max_memory,
            parameters: options.parameters.clone(),
        },
        admin_password,
        sealed_ca: None,
    };
    let server_options = server::Options {
        member: Member { name: options.node.clone(), address: options.advertise.clone() },
        core: Some(core),
        keeper: Some(KeeperOptions {
            segment_bytes: limits::SEGMENT_BYTES,
            snapshots: options.snapshots,
            raft: RaftTimes::default(),
        }),
        start: Start::Found { expect_keepers: 1 },
    };
    let (started, node) = oneshot::channel();
    listen::run_on_thread("node", async move {
        let _ = started.send(server::Server::start(env, server_options).await);
        // What it spawned goes on here until the process ends.
        std::future::pending().await
    });
    match node.await {
        Ok(node) => node.map_err(|error| ServerError::Start { data: options.data.clone(), error }),
        Err(_) => panic!("the node's thread has ended"),
    }
}

/// The sockets, bound before anything else is done: a port in use is found out at once.
struct Ports {
    main: TcpListener,
    read: TcpListener,
    admin: TcpListener,
    unix: Option<UnixListener>,
}

impl Ports {
    fn bind(options: &Options) -> Result<Self, ServerError> {
        let tcp = |address: SocketAddr| {
            bind_tcp(address).map_err(|error| ServerError::Listen { address: address.to_string(), error })
        };
        let unix = options.unix_socket.as_ref().map(|(path, mode)| {
            bind_unix(path, *mode).map_err(|error| ServerError::Listen { address: path.display().to_string(), error })
        });
        Ok(Self {
            main: tcp(options.listen)?,
            read: tcp(options.read_listen)?,
            admin: tcp(options.admin_listen)?,
            unix: unix.transpose()?,
        })
    }
}

/// Locks the data folder against a second process, until the process ends.
fn lock(data: &Path) -> Result<File, ServerError> {
    let path = data.join("lock");
    let failed = |error| ServerError::Data { path: path.clone(), error };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ServerError::Locked(data.into())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Keeps the cluster's secret for whoever adds nodes later; one is made if the operator gave none.
fn keep_secret(data: &Path, given: Option<&str>) -> Result<(), ServerError> {
    let path = data.join("cluster-secret");
    if given.is_none() && !path.exists() {
        trust::write_private(&path, &make_secret())?;
    }
    Ok(())
}
