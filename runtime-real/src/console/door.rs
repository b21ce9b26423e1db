//! Connections to the admin port: plain HTTP and TLS on one port, told apart by their first byte.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::listen::pause;
use crate::seats::Seats;

/// How long a caller may take to finish its TLS handshake, and to send a request's head.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long what was sent may stay unacknowledged until the connection is given up.
const UNTAKEN: Duration = Duration::from_secs(30);
/// The most bytes of a request's head, and of what is read at once.
const BUFFER: usize = 64 << 10;
/// The first byte of a TLS handshake. No HTTP request begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// Who has connected, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub peer: SocketAddr,
    /// This side of the connection.
    pub local: SocketAddr,
    /// The peer is this machine, and the port is bound to an address that only this machine reaches.
    pub is_on_loopback: bool,
    pub tls: bool,
}

impl Caller {
    /// Nobody on the way can listen.
    pub(super) fn is_private(&self) -> bool {
        self.tls || self.is_on_loopback
    }

    pub(super) fn is_loopback(address: SocketAddr) -> bool {
        address.ip().to_canonical().is_loopback()
    }
}

/// The admin port's door.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub routes: Router,
    /// Set once there is a certificate.
    pub tls: Arc<OnceLock<Arc<ServerConfig>>>,
    pub seats: Arc<Seats>,
}

impl Door {
    /// Accepts connections for ever.
    pub(crate) async fn accept(self, listener: TcpListener) {
        let listens_on_loopback = listener.local_addr().is_ok_and(Caller::is_loopback);
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => match self.seats.clone().seat(peer.ip()) {
                    Some(seat) => {
                        let door = self.clone();
                        let is_on_loopback = listens_on_loopback && Caller::is_loopback(peer);
                        tokio::spawn(async move {
                            let _seat = seat;
                            if let Err(error) = door.serve(socket, peer, is_on_loopback).await {
                                tracing::debug!(%peer, "a connection to the admin port: {error}");
                            }
                        });
                    }
                    None => tracing::debug!(%peer, "closed: too many connections to the admin port"),
                },
                Err(error) => pause(&error).await,
            }
        }
    }

    async fn serve(self, socket: TcpStream, peer: SocketAddr, is_on_loopback: bool) -> io::Result<()> {
        socket.set_nodelay(true)?;
        socket2::SockRef::from(&socket).set_tcp_user_timeout(Some(UNTAKEN))?;
        let local = socket.local_addr()?;
        let mut first = [0];
        within(socket.peek(&mut first)).await?;
        let caller = Caller { peer, local, is_on_loopback, tls: first[0] == TLS_HANDSHAKE };
        if !caller.tls {
            return self.converse(socket, caller).await;
        }
        let Some(tls) = self.tls.get() else { return Err(io::Error::other("there is no certificate yet")) };
        let stream = within(TlsAcceptor::from(tls.clone()).accept(socket)).await?;
        self.converse(stream, caller).await
    }

    async fn converse<S>(&self, stream: S, caller: Caller) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let routes = TowerToHyperService::new(self.routes.clone().layer(Extension(caller)));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HANDSHAKE).max_buf_size(BUFFER);
        http.serve_connection(TokioIo::new(stream), routes).await.map_err(io::Error::other)
    }
}

async fn within<T>(task: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(HANDSHAKE, task).await.unwrap_or_else(|late| Err(late.into()))
}
