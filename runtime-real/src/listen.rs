//! Clients' sockets: one acceptor a port, connections dealt in turn to network threads.
//!
//! One acceptor, not one a thread with SO_REUSEPORT: threads get equal shares of the connections, and a second server
//! on the same port is an error instead of half of the clients.

use std::fs;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mneme_driver::connection;
use mneme_driver::env::Source;
use mneme_driver::node::Node;
use mneme_kernel::session::{Peer, Port};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;

use crate::env::RealEnv;
use crate::metrics::TlsMetrics;
use crate::vigil;

/// How long a client may take to finish its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections beyond the permitted number that get a handshake, to be told that there are too many.
const SEATS_TO_BE_REFUSED: usize = 64;
/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 4096;
/// How long to wait after an accept that failed, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Runs a task on a thread of its own, with its own runtime.
pub(crate) fn run_on_thread(name: &str, task: impl Future<Output = ()> + Send + 'static) {
    run_in(runtime(), name, task);
}

/// As [`run_on_thread`], on a thread that stays awake under load.
fn run_network_thread(name: &str, node: Arc<Node<RealEnv>>, task: impl Future<Output = ()> + Send + 'static) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().on_thread_park(vigil::falls_asleep).on_thread_unpark(vigil::wakes_up);
    run_in(built(builder), name, async move {
        vigil::serves(node);
        tokio::spawn(vigil::keep());
        task.await;
    });
}

fn run_in(runtime: Runtime, name: &str, task: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::Builder::new().name(name.into()).spawn(move || runtime.block_on(task));
    // Only at a start; without the thread there is no server.
    thread.unwrap_or_else(|error| panic!("cannot start the thread {name}: {error}"));
}

/// A runtime of one thread.
pub(crate) fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all();
    built(builder)
}

fn built(mut builder: tokio::runtime::Builder) -> Runtime {
    builder.build().unwrap_or_else(|error| panic!("cannot start a runtime: {error}"))
}

/// A client that has just connected.
enum Arrival {
    Tcp(Newcomer),
    Unix(std::os::unix::net::UnixStream),
}

/// A client on a TCP port, whose handshake has not begun.
struct Newcomer {
    socket: std::net::TcpStream,
    address: SocketAddr,
    port: Port,
    /// Held until the connection ends.
    seat: OwnedSemaphorePermit,
}

/// The network threads.
#[derive(Clone, Debug)]
pub(crate) struct Threads {
    queues: Arc<[mpsc::UnboundedSender<Arrival>]>,
    next: Arc<AtomicUsize>,
    /// One for each connection over TCP from its first moment, so that unfinished handshakes are bounded too.
    seats: Arc<Semaphore>,
    metrics: Arc<TlsMetrics>,
}

impl Threads {
    pub(crate) fn start(
        count: usize,
        node: &Arc<Node<RealEnv>>,
        tls: &Arc<ServerConfig>,
        metrics: &Arc<TlsMetrics>,
        max_clients: usize,
    ) -> Self {
        let start = |i| {
            // Bounded by the number of clients: who is one too many is told so and closed.
            let (queue, arrivals) = mpsc::unbounded_channel();
            let desk = Desk { node: node.clone(), tls: TlsAcceptor::from(tls.clone()), metrics: metrics.clone() };
            run_network_thread(&format!("network-{i}"), node.clone(), desk.receive(arrivals));
            queue
        };
        let seats = max_clients.saturating_add(SEATS_TO_BE_REFUSED).min(Semaphore::MAX_PERMITS);
        Self {
            queues: (0..count).map(start).collect(),
            next: Arc::default(),
            seats: Arc::new(Semaphore::new(seats)),
            metrics: metrics.clone(),
        }
    }

    fn deal(&self, arrival: Arrival) {
        let i = self.next.fetch_add(1, Ordering::Relaxed) % self.queues.len();
        // The threads end only with the process.
        let _ = self.queues[i].send(arrival);
    }

    /// Accepts clients on a TCP port until its future is dropped.
    pub(crate) async fn accept_tcp(self, listener: TcpListener, port: Port) {
        loop {
            let accepted = listener.accept().await.and_then(|(socket, peer)| Ok((socket.into_std()?, peer)));
            match (accepted, self.seats.clone().try_acquire_owned()) {
                (Ok((socket, address)), Ok(seat)) => {
                    self.deal(Arrival::Tcp(Newcomer { socket, address, port, seat }));
                }
                (Ok(_), Err(_)) => {
                    // Closed at once: to say why would take a handshake.
                    self.metrics.turned_away.fetch_add(1, Ordering::Relaxed);
                }
                (Err(error), _) => pause(&error).await,
            }
        }
    }

    /// Accepts clients on a Unix socket until its future is dropped.
    pub(crate) async fn accept_unix(self, listener: UnixListener) {
        loop {
            match listener.accept().await.and_then(|(socket, _)| socket.into_std()) {
                Ok(socket) => self.deal(Arrival::Unix(socket)),
                Err(error) => pause(&error).await,
            }
        }
    }
}

/// Waits a little after an accept that failed.
pub(crate) async fn pause(error: &io::Error) {
    tracing::warn!("cannot accept a connection: {error}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// One network thread's work.
struct Desk {
    node: Arc<Node<RealEnv>>,
    tls: TlsAcceptor,
    metrics: Arc<TlsMetrics>,
}

impl Desk {
    async fn receive(self, mut arrivals: mpsc::UnboundedReceiver<Arrival>) {
        while let Some(arrival) = arrivals.recv().await {
            match arrival {
                Arrival::Tcp(newcomer) => {
                    let (node, tls, metrics) = (self.node.clone(), self.tls.clone(), self.metrics.clone());
                    tokio::spawn(vigil::counted(serve_tcp(node, tls, metrics, newcomer)));
                }
                Arrival::Unix(socket) => match UnixStream::from_std(socket) {
                    Ok(stream) => {
                        let (node, peer) = (self.node.clone(), peer_of(&stream));
                        tokio::spawn(vigil::counted(connection::serve(
                            node,
                            stream,
                            Port::Main,
                            peer,
                            Source::Machine,
                        )));
                    }
                    Err(error) => tracing::warn!("cannot serve a connection: {error}"),
                },
            }
        }
    }
}

/// A client of the Unix socket has no address of its own; it is shown by the socket's path, as in Redis.
fn peer_of(stream: &UnixStream) -> Peer {
    let address = stream.local_addr().ok();
    let path = address.as_ref().and_then(|address| address.as_pathname()).map(|path| path.display().to_string());
    let shown = format!("{}:0", path.unwrap_or_default());
    Peer { address: shown.clone(), local_address: shown }
}

async fn serve_tcp(node: Arc<Node<RealEnv>>, tls: TlsAcceptor, metrics: Arc<TlsMetrics>, newcomer: Newcomer) {
    let Newcomer { socket, address, port, seat: _seat } = newcomer;
    let local_address = socket.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let peer = Peer { address: address.to_string(), local_address };
    let shaken = async {
        socket.set_nodelay(true)?;
        let socket = TcpStream::from_std(socket)?;
        tokio::time::timeout(HANDSHAKE, tls.accept(socket)).await.unwrap_or_else(|late| Err(late.into()))
    };
    match shaken.await {
        Ok(stream) => {
            metrics.completed(stream.get_ref().1);
            connection::serve(node, stream, port, peer, Source::Address(address.ip())).await;
        }
        Err(error) => {
            metrics.failed(&error);
            tracing::debug!("a client's TLS handshake failed: {error}");
        }
    }
}

/// Binds a TCP port. A port that a stopped server has just left can be bound at once.
pub(crate) fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Binds a Unix socket; one that a stopped server left behind is replaced.
pub(crate) fn bind_unix(path: &Path, mode: u32) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process is listening there"));
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "what is there is no socket")),
        Err(_) => {}
    }
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    // Nobody connects before it listens, and then it has its mode.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    UnixListener::from_std(socket.into())
}
