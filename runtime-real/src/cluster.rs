//! The cluster port: nodes with a certificate of the cluster open links here, those without ask to be admitted.
//!
//! Which of both a connection is, its ALPN says. Handshakes and admission run on the main thread; a link moves to the
//! node's thread once its peer is known, so that strangers take no time from Raft.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use mneme_driver::server::Server;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::{StartHandshake, TlsStream};

use crate::authority::node_name;
use crate::env::RealEnv;
use crate::join::{Admission, JOIN_PROTOCOL};
use crate::links::{NODE_PROTOCOL, NodeTls};
use crate::listen::pause;
use crate::seats::{Seat, Seats};

/// How long a peer may take to show who it is.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a joiner's whole conversation may take.
const CONVERSATION: Duration = Duration::from_secs(60);

/// A link that another node has opened, on its way to the node's thread.
#[derive(Debug)]
pub(crate) struct Arrived {
    stream: TlsStream<Socket>,
    peer: String,
}

/// What the cluster port works with.
#[derive(Debug)]
pub(crate) struct ClusterPort {
    pub join: Arc<ServerConfig>,
    pub admission: Arc<Admission>,
    /// Set once this node belongs to a cluster; until then there are no links.
    pub node: Arc<OnceLock<Arc<NodeTls>>>,
    pub links: mpsc::UnboundedSender<Arrived>,
    /// For connections whose peer is not known yet.
    pub strangers: Arc<Seats>,
}

impl ClusterPort {
    /// Accepts connections for ever.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((socket, from)) => match self.strangers.clone().seat(from.ip()) {
                    Some(seat) => {
                        tokio::spawn(self.clone().serve(socket, from, seat));
                    }
                    None => tracing::debug!(%from, "closed: too many connections whose peers are not known yet"),
                },
                Err(error) => pause(&error).await,
            }
        }
    }

    async fn serve(self: Arc<Self>, socket: TcpStream, from: SocketAddr, _seat: Seat) {
        if let Err(error) = self.shake_hands(socket, from).await {
            tracing::debug!(%from, "a connection to the cluster port: {error}");
        }
    }

    async fn shake_hands(&self, socket: TcpStream, from: SocketAddr) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let greeting = LazyConfigAcceptor::new(Acceptor::default(), Socket::new(socket));
        let start = within(HANDSHAKE, greeting).await?;
        match Protocol::of(&start) {
            Some(Protocol::Join) => {
                let stream = within(HANDSHAKE, start.into_stream(self.join.clone())).await?;
                within(CONVERSATION, self.admission.serve(stream, from.ip())).await
            }
            Some(Protocol::Node) => {
                let Some(node) = self.node.get() else { return Err(refused("this node belongs to no cluster yet")) };
                let mut stream = within(HANDSHAKE, start.into_stream(node.server())).await?;
                let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                let peer = shown.and_then(node_name).ok_or_else(|| refused("no node's certificate"))?;
                stream.get_mut().0.leave_thread()?;
                // The node's thread ends only with the process.
                let _ = self.links.send(Arrived { stream, peer });
                Ok(())
            }
            None => Err(refused("it speaks none of our protocols")),
        }
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

async fn within<T>(time: Duration, task: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(time, task).await.unwrap_or_else(|late| Err(late.into()))
}

enum Protocol {
    Join,
    Node,
}

impl Protocol {
    fn of(start: &StartHandshake<Socket>) -> Option<Self> {
        start.client_hello().alpn()?.find_map(|protocol| match protocol {
            JOIN_PROTOCOL => Some(Self::Join),
            NODE_PROTOCOL => Some(Self::Node),
            _ => None,
        })
    }
}

/// Serves the links that arrive, on the node's thread, for ever.
pub(crate) async fn serve_links(server: Arc<Server<RealEnv>>, mut links: mpsc::UnboundedReceiver<Arrived>) {
    while let Some(Arrived { mut stream, peer }) = links.recv().await {
        let server = server.clone();
        tokio::spawn(async move {
            let served = match stream.get_mut().0.enter_thread() {
                Ok(()) => server.serve_link(stream, &peer).await,
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                tracing::debug!(peer, "a link ended: {error}");
            }
        });
    }
}

/// A socket that can move from one thread's runtime to another's.
#[derive(Debug)]
pub(crate) struct Socket {
    here: Option<TcpStream>,
    between: Option<std::net::TcpStream>,
}

impl Socket {
    fn new(socket: TcpStream) -> Self {
        Self { here: Some(socket), between: None }
    }

    fn leave_thread(&mut self) -> io::Result<()> {
        self.between = self.here.take().map(TcpStream::into_std).transpose()?;
        Ok(())
    }

    fn enter_thread(&mut self) -> io::Result<()> {
        self.here = self.between.take().map(TcpStream::from_std).transpose()?;
        Ok(())
    }

    fn here(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.here.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_read(context, into)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.here()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.here()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_shutdown(context)
    }
}
