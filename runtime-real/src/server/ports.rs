//! The sockets, bound before anything else is done: a port in use is found out at once.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use mneme_driver::node::Node;
use mneme_kernel::session::Port;
use tokio::net::{TcpListener, UnixListener};

use super::{Options, ServerError};
use crate::env::RealEnv;
use crate::listen::{Threads, bind_tcp, bind_unix};

#[derive(Debug)]
pub(super) struct Ports {
    pub clients: ClientPorts,
    pub admin: TcpListener,
    pub cluster: TcpListener,
    /// What other nodes dial, `host:port`.
    pub advertised: String,
}

/// Those of a Core.
#[derive(Debug, Default)]
pub(super) struct ClientPorts {
    tcp: Vec<(TcpListener, Port)>,
    unix: Option<UnixListener>,
}

impl Ports {
    pub(super) fn bind(options: &Options) -> Result<Self, ServerError> {
        let tcp = |address: SocketAddr| {
            bind_tcp(address).map_err(|error| ServerError::Listen { address: address.to_string(), error })
        };
        let mut clients = ClientPorts::default();
        if let Some(core) = &options.core {
            clients.tcp = vec![(tcp(core.listen)?, Port::Main), (tcp(core.read_listen)?, Port::Read)];
            let unix = core.unix_socket.as_ref().map(|(path, mode)| {
                bind_unix(path, *mode)
                    .map_err(|error| ServerError::Listen { address: path.display().to_string(), error })
            });
            clients.unix = unix.transpose()?;
        }
        let cluster = tcp(options.cluster_listen)?;
        let bound = cluster.local_addr().map_or(0, |address| address.port());
        let (host, port) = &options.advertise;
        let port = if *port == 0 { bound } else { *port };
        let advertised = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Ok(Self { clients, admin: tcp(options.admin_listen)?, cluster, advertised })
    }
}

impl ClientPorts {
    /// Has clients served from now on, until the node lets no more in.
    pub(super) fn serve(self, threads: &Threads, node: &Arc<Node<RealEnv>>) {
        for (listener, port) in self.tcp {
            accept(node, threads.clone().accept_tcp(listener, port));
        }
        if let Some(unix) = self.unix {
            accept(node, threads.clone().accept_unix(unix));
        }
    }
}

fn accept(node: &Arc<Node<RealEnv>>, accepting: impl Future<Output = ()> + Send + 'static) {
    let node = node.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = accepting => {}
            () = node.closes() => {}
        }
    });
}
