//! A whole server: data folder, identity, node, ports, signals.

mod options;
mod ports;

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use mneme_driver::directory::Directory;
use mneme_driver::env::Env;
use mneme_driver::keeper::{RaftTimes, StartError};
use mneme_driver::node::FirstPassword;
use mneme_driver::server::{self, CoreOptions, KeeperOptions, Start};
use mneme_kernel::core::Config;
use mneme_kernel::limits;
use mneme_kernel::members::Member;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

pub use self::options::{CoreSettings, Options, ServerError};
use self::ports::{ClientPorts, Ports};
use crate::admin::{self, Admin};
use crate::certificate::Certificate;
use crate::certificates::{self, Certificates, ForClients, Own, Upkeep, Watch};
use crate::cluster::{Arrived, ClusterPort, serve_links};
use crate::disk::RealDisk;
use crate::env::{RealEnv, make_urgent};
use crate::founding::{Outcome, Seeker};
use crate::join::{Admission, Joiner, Membership, join_config};
use crate::links::NodeTls;
use crate::listen::{self, Threads};
use crate::notify;
use crate::passwords::{fill_random, make_secret};
use crate::renewal::Renewal;
use crate::secret::ClusterSecret;
use crate::trust::{Belonging, Identity, TrustError};

/// How long a node that was removed waits for clients to take their replies.
const LAST_REPLIES: Duration = Duration::from_secs(1);

/// Runs a server until it is told to stop.
///
/// # Errors
/// If it cannot start. After a start it ends in order, or the process ends at once.
pub fn run(options: Options) -> Result<(), ServerError> {
    crate::process::started();
    if let Err(error) = crate::process::raise_file_limit() {
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
    listen::runtime().block_on(serve(options))
}

async fn serve(options: Options) -> Result<(), ServerError> {
    let data = &options.data;
    // First: nothing is made for a configuration that is bad.
    let operators = options.core.as_ref().and_then(|core| core.tls.clone());
    let operators = operators.map(Watch::open).transpose().map_err(ServerError::OperatorsCertificate)?;
    fs::create_dir_all(data).map_err(|error| ServerError::Data { path: data.clone(), error })?;
    let _lock = lock(data)?;
    let ports = Ports::bind(&options)?;
    let mut signals = Signals::new()?;

    let this = This::new(options, ports.advertised)?;
    let (links, arriving) = mpsc::unbounded_channel();
    let node_tls = Arc::new(OnceLock::new());
    let cluster = ClusterPort {
        join: join_config().map_err(TrustError::from)?,
        admission: this.admission.clone(),
        node: node_tls.clone(),
        links,
        strangers: Arc::default(),
    };
    tokio::spawn(Arc::new(cluster).accept(ports.cluster));
    let admin = Admin { node: this.options.node.clone(), ..Admin::default() };
    tokio::spawn(admin::serve(ports.admin, admin.clone()));

    let belonging = tokio::select! {
        belonging = this.belong() => belonging?,
        () = signals.next() => return Ok(()),
    };
    let own = this.own_certificate()?;
    let tls = own.links.clone();
    let (rotations, asked) = mpsc::unbounded_channel();
    let env = RealEnv::new(RealDisk::new(&this.options.data), tls.clone(), rotations);
    let start = this.how_to_start(&env, belonging).await?;
    // From here on others are admitted, and may open links.
    let _ = node_tls.set(tls);
    this.admit_others(&admin);
    let mut upkeep =
        Upkeep { clients: None, renewal: this.renewal(), own, metrics: admin.tls.clone(), due: None, rotations: asked };
    // A Keeper alone has no clients, but an admin port.
    let client_tls = client_tls(&this, &mut upkeep, operators, &admin)?;
    let _ = admin.server_tls.set(client_tls.clone());
    listen::run_on_thread("certificates", upkeep.run());

    let founds = matches!(start, Start::Found { .. });
    let (server, ready) = tokio::select! {
        started = this.start(env, start, arriving) => started?,
        // While it recovers, nobody has been promised anything.
        () = signals.next() => return Ok(()),
    };
    let _ = admin.server.set(server.clone());
    let serving = async {
        let ready = ready.await.unwrap_or_else(|_| panic!("the node's thread has ended"));
        ready.map_err(|error| this.start_failed(error))?;
        if founds {
            this.note_founded();
        }
        admin.ready.store(true, Ordering::Relaxed);
        this.open(&server, client_tls, &admin, ports.clients);
        println!("{}", this.ready_line(&server));
        tracing::info!("console: {}", this.console());
        notify::tell(notify::READY);
        until_told_to_stop(&server).await;
        Ok::<(), ServerError>(())
    };
    let removed = tokio::select! {
        served = serving => served.map(|()| None)?,
        () = signals.next() => None,
        removed = server.removed() => Some(removed),
    };
    if let Some(removed) = removed {
        admin.ready.store(false, Ordering::Relaxed);
        tracing::error!("stopping: {removed}");
        // It cannot hand over or make anything durable any more; clients take the replies that are there.
        let _ = tokio::time::timeout(LAST_REPLIES, server.stop()).await;
        return Err(ServerError::Removed { data: this.options.data.clone(), removed });
    }
    notify::tell(notify::STOPPING);
    tracing::info!("stopping: answering what was executed; a second signal stops at once");
    tokio::select! {
        () = server.stop() => {}
        () = signals.next() => std::process::exit(1),
    }
    if let Some((path, _)) = this.options.core.as_ref().and_then(|core| core.unix_socket.as_ref()) {
        let _ = fs::remove_file(path);
    }
    Ok(())
}

async fn until_told_to_stop(server: &server::Server<RealEnv>) {
    match server.node() {
        Some(node) => node.shutdown_requested().await,
        None => std::future::pending().await,
    }
}

/// TLS for clients, with the operator's certificate if there is one, else the node's own.
fn client_tls(
    this: &This,
    upkeep: &mut Upkeep,
    operators: Option<(Watch, Certificate)>,
    admin: &Admin,
) -> Result<Arc<rustls::ServerConfig>, TrustError> {
    let (watch, certificate) = match operators {
        Some(operators) => operators,
        None => Watch::open(this.identity.files())?,
    };
    let certificates = Arc::new(Certificates::new(certificate)?);
    let tls = certificates::server_config(certificates.clone())?;
    let mut clients = ForClients { certificates, watch, metrics: admin.tls.clone(), looked_at_end: None };
    clients.tick(SystemTime::now());
    upkeep.clients = Some(clients);
    Ok(tls)
}

/// This node: who it is, and what it was told.
struct This {
    options: Options,
    identity: Identity,
    /// What other nodes dial.
    advertise: String,
    belonging: Belonging,
    admission: Arc<Admission>,
    instance: u64,
}

impl This {
    fn new(options: Options, advertise: String) -> Result<Self, ServerError> {
        let identity =
            Identity { data: options.data.clone(), node: options.node.clone(), names: options.names.clone() };
        let belonging = identity.belonging()?;
        let mut secret = ClusterSecret::find(&options.data, options.cluster_secret.as_deref())?;
        if belonging == Belonging::Nothing {
            match (options.join.is_empty(), &options.core) {
                (true, None) => return Err(ServerError::KeeperFounds),
                (true, Some(core)) if core.replica => return Err(ServerError::ReplicaFounds),
                (true, Some(_)) if secret.is_none() => secret = Some(ClusterSecret::make(&options.data)?),
                (false, _) if secret.is_none() => return Err(ServerError::JoinWithoutSecret),
                _ => {}
            }
        }
        let mut instance = [0; 8];
        fill_random(&mut instance);
        let instance = u64::from_le_bytes(instance);
        let admission = Arc::new(Admission::new(secret.map(Arc::new), instance));
        Ok(Self { options, identity, advertise, belonging, admission, instance })
    }

    /// Founds a cluster, joins one, or goes on in the one that it belongs to.
    async fn belong(&self) -> Result<Belonging, ServerError> {
        let (now, join) = (SystemTime::now(), &self.options.join);
        let secret = self.admission.secret.as_ref();
        if self.belonging != Belonging::Nothing && !join.is_empty() {
            tracing::info!("this node belongs to a cluster already: --join is ignored");
        }
        Ok(match (self.belonging, secret) {
            (Belonging::Nothing, Some(secret)) => {
                let outcome = if join.is_empty() { Outcome::Found } else { self.seek(secret).await? };
                match outcome {
                    Outcome::Found => {
                        self.identity.found(secret, now)?;
                        tracing::info!("founded a cluster");
                        Belonging::Founder
                    }
                    Outcome::Joined => {
                        tracing::info!("joined the cluster");
                        Belonging::Member
                    }
                }
            }
            (Belonging::Nothing, None) => return Err(ServerError::JoinWithoutSecret),
            (Belonging::Founder, secret) => {
                self.renew_own(secret, now)?;
                Belonging::Founder
            }
            (Belonging::Member, _) => Belonging::Member,
        })
    }

    /// What the driver is told, for the case that its data belong to no cluster yet.
    async fn how_to_start(&self, env: &RealEnv, belonging: Belonging) -> Result<Start, ServerError> {
        if belonging == Belonging::Founder && !self.identity.has_lost_its_log() {
            return Ok(Start::Found { expect_keepers: self.options.expect_keepers });
        }
        if belonging == Belonging::Founder {
            // It must not found a second cluster of the same CA: the others are joined anew.
            let directory = Directory::load(env).await;
            let directory = directory.map_err(|error| ServerError::Data { path: self.options.data.clone(), error })?;
            let others = directory.keepers().into_iter().filter(|keeper| keeper.name != self.options.node);
            let nodes: Vec<String> = others.map(|keeper| keeper.address).collect();
            if nodes.is_empty() {
                return Err(TrustError::FounderWithoutData(self.options.data.clone()).into());
            }
            tracing::warn!("this node founded the cluster, and its log is gone: it joins the others anew");
            return Ok(Start::Join { nodes });
        }
        let mut nodes = self.identity.remembered()?;
        nodes.extend(self.options.join.iter().filter(|node| **node != self.advertise).cloned());
        nodes.dedup();
        Ok(Start::Join { nodes })
    }

    async fn seek(&self, secret: &Arc<ClusterSecret>) -> Result<Outcome, ServerError> {
        let seeker = Seeker {
            joiner: Joiner::new(secret.clone()).map_err(TrustError::from)?,
            identity: self.identity.clone(),
            list: self.options.join.clone(),
            addresses: vec![self.advertise.clone(), self.options.cluster_listen.to_string()],
            instance: self.instance,
            may_found: self.options.core.as_ref().is_some_and(|core| !core.replica),
        };
        Ok(seeker.seek().await?)
    }

    /// At a founder's start: names that are new stand in the certificate from the first connection on. Also finds out
    /// whether the secret is the one that the CA's key is sealed under.
    fn renew_own(&self, secret: Option<&Arc<ClusterSecret>>, now: SystemTime) -> Result<(), TrustError> {
        let is_due = self.identity.is_due(now)?;
        match (secret, self.identity.sealed()) {
            (Some(secret), Some(sealed)) if is_due => self.identity.renew(&sealed, secret, now),
            (Some(secret), Some(sealed)) => self.identity.check_secret(&sealed, secret),
            (None, _) if !self.identity.files().certificate.exists() => Err(TrustError::NoSecret),
            (None, _) => {
                tracing::warn!("without MNEME_CLUSTER_SECRET no node is admitted here, and no certificate renewed");
                Ok(())
            }
            (Some(_), None) => Ok(()),
        }
    }

    /// How this node shows itself to others.
    fn own_certificate(&self) -> Result<Own, TrustError> {
        let (watch, certificate) = Watch::open(self.identity.files())?;
        let links = Arc::new(NodeTls::new(&self.identity.ca()?, &certificate)?);
        Ok(Own { watch, certificate, links })
    }

    /// The one place that says where the sealed key of the CA is had, and which nodes are known.
    fn admit_others(&self, admin: &Admin) {
        let Ok(ca) = self.identity.ca() else { return };
        let (server, known) = (admin.server.clone(), admin.server.clone());
        let (identity, advertise) = (self.identity.clone(), self.advertise.clone());
        let sealed = {
            let identity = identity.clone();
            // The founder's file until it stands in the replicated state, which every Core has.
            move || {
                let node = server.get().and_then(|server| server.node().cloned());
                let replicated = node.and_then(|node| node.with_core(|core| core.sealed_ca().map(<[u8]>::to_vec)));
                replicated.or_else(|| identity.sealed())
            }
        };
        let nodes = move || {
            let mut nodes = vec![advertise.clone()];
            let mut nodes_known = known.get().map(|server| server.addresses()).unwrap_or_default();
            nodes_known.extend(identity.remembered().unwrap_or_default());
            for node in nodes_known {
                if !nodes.contains(&node) {
                    nodes.push(node);
                }
            }
            nodes
        };
        let membership = Membership { ca, sealed: Box::new(sealed), nodes: Box::new(nodes) };
        let _ = self.admission.membership.set(membership);
    }

    fn renewal(&self) -> Renewal {
        Renewal { identity: self.identity.clone(), admission: self.admission.clone() }
    }

    /// Starts the node on its own thread, where Raft's tasks, the loop to the log and links with other nodes then run.
    async fn start(
        &self,
        env: RealEnv,
        start: Start,
        links: mpsc::UnboundedReceiver<Arrived>,
    ) -> Result<(Arc<server::Server<RealEnv>>, oneshot::Receiver<Result<(), StartError>>), ServerError> {
        let options = self.server_options(&env, start);
        let (started, node) = oneshot::channel();
        let (served, ready) = oneshot::channel();
        listen::run_on_thread("node", async move {
            make_urgent();
            match server::Server::new(env, options).await {
                Ok(server) => {
                    let _ = started.send(Ok(server.clone()));
                    let waiting = server.clone();
                    tokio::spawn(async move { served.send(waiting.ready().await) });
                    // What was spawned goes on here until the process ends.
                    serve_links(server, links).await;
                }
                Err(error) => drop(started.send(Err(error))),
            }
        });
        match node.await {
            Ok(Ok(server)) => Ok((server, ready)),
            Ok(Err(error)) => Err(self.start_failed(error)),
            Err(_) => panic!("the node's thread has ended"),
        }
    }

    fn start_failed(&self, error: StartError) -> ServerError {
        ServerError::Start { data: self.options.data.clone(), error }
    }

    /// The one place where settings reach the driver.
    fn server_options(&self, env: &RealEnv, start: Start) -> server::Options {
        let options = &self.options;
        let core = options.core.as_ref().map(|core| CoreOptions {
            config: Config {
                node: options.node.clone(),
                address: self.advertise.clone(),
                default_user: core.default_user.clone(),
                default_level: core.default_level,
                level_timeout: core.level_timeout,
                park_timeout: core.park_timeout,
                reads: options.reads,
                replica: core.replica,
                lease: limits::LEASE,
                founds: matches!(start, Start::Found { .. }),
                quorum_check: core.quorum_check,
                seed: env.random(),
                secret: [(); 4].map(|()| env.random()),
                started: env.monotonic(),
                process_id: std::process::id(),
                port: core.listen.port(),
                max_clients: core.max_clients,
                max_memory: core.max_memory,
                memory_policy: core.memory_policy,
                facade: core.facade.clone(),
                script_times: core.script_times,
                parameters: core.parameters.clone(),
                settings: core.settings.clone(),
            },
            admin_password: match &core.admin_password {
                Some(password) => FirstPassword::Given(password.clone()),
                None => FirstPassword::Made {
                    password: make_secret(),
                    show: |user, password| println!("made a password for user {user}, shown only now: {password}"),
                },
            },
            sealed_ca: self.identity.sealed(),
        });
        server::Options {
            member: Member { name: options.node.clone(), address: self.advertise.clone() },
            core,
            keeper: options.keeper.map(|snapshots| KeeperOptions {
                segment_bytes: limits::SEGMENT_BYTES,
                snapshots,
                raft: RaftTimes::default(),
            }),
            reads: options.reads,
            start,
        }
    }

    /// Has clients served, if there is a Core.
    fn open(
        &self,
        server: &server::Server<RealEnv>,
        tls: Arc<rustls::ServerConfig>,
        admin: &Admin,
        ports: ClientPorts,
    ) {
        if let (Some(core), Some(node)) = (&self.options.core, server.node()) {
            let threads = Threads::start(core.threads, node, &tls, &admin.tls, core.max_clients as usize);
            ports.serve(&threads, node);
        }
    }

    /// Where a browser finds the console.
    fn console(&self) -> String {
        let (at, (host, _)) = (self.options.admin_listen, &self.options.advertise);
        match at.ip() {
            ip if ip.to_canonical().is_loopback() => format!("http://{at}/"),
            ip if ip.is_unspecified() => format!("https://{host}:{}/", at.port()),
            _ => format!("https://{at}/"),
        }
    }

    fn note_founded(&self) {
        if self.options.keeper.is_some()
            && let Err(error) = self.identity.note_founded()
        {
            tracing::warn!("{error}: a lost log will not be noticed at the next start");
        }
    }

    fn ready_line(&self, server: &server::Server<RealEnv>) -> String {
        let options = &self.options;
        let role = match server.node() {
            Some(node) => node.with_core(|core| core.role_name()),
            None => "keeper",
        };
        let clients = options
            .core
            .as_ref()
            .map_or(String::new(), |core| format!(" listen={} read_listen={}", core.listen, core.read_listen));
        format!(
            "ready node={} role={role}{clients} cluster={} admin_listen={} data={}",
            options.node,
            self.advertise,
            options.admin_listen,
            options.data.display()
        )
    }
}

/// What tells a server to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, ServerError> {
        let of = |kind| signal(kind).map_err(ServerError::Signals);
        Ok(Self { interrupt: of(SignalKind::interrupt())?, terminate: of(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
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
