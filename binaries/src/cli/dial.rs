//! The way to a server: dialled, and trusted.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::stop::Stop;
use super::trust::Trust;
use crate::address::HostPort;

/// How long dialling one address may take, and then TLS. Afterwards a command may take as long as it likes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the server is.
#[derive(Clone, Debug)]
pub enum Target {
    /// The first of these that answers, and is trusted.
    Hosts { hosts: Vec<HostPort>, trust: Trust },
    /// The first of these that answers, in clear: for servers without TLS, such as a Redis.
    Plain(Vec<HostPort>),
    /// A socket of this machine, in clear.
    Socket(PathBuf),
}

impl Target {
    /// Each server by itself, with its name for people.
    pub fn each(&self) -> Vec<(String, Target)> {
        let named = |hosts: &[HostPort], alone: &dyn Fn(HostPort) -> Target| {
            hosts.iter().map(|host| (host.to_string(), alone(host.clone()))).collect()
        };
        match self {
            Target::Hosts { hosts, trust } => {
                named(hosts, &|host| Target::Hosts { hosts: vec![host], trust: trust.clone() })
            }
            Target::Plain(hosts) => named(hosts, &|host| Target::Plain(vec![host])),
            Target::Socket(path) => vec![(path.display().to_string(), Target::Socket(path.clone()))],
        }
    }
}

/// Dials a target as often as is wanted; the roots of its trust are read once, and its sessions of TLS resumed.
#[derive(Debug)]
pub struct Dialler {
    target: Target,
    tls: Option<Arc<ClientConfig>>,
}

/// A stream to a server that is trusted.
#[derive(Debug)]
pub enum Link {
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A link, and where it leads.
#[derive(Debug)]
pub struct Dialled {
    pub link: Link,
    /// The server's name for people.
    pub peer: String,
    /// Which of the hosts it is.
    pub host: usize,
}

impl Dialler {
    /// # Errors
    /// If the file of a CA cannot be read or holds no certificate.
    pub fn new(target: Target) -> Result<Dialler, Stop> {
        let tls = match &target {
            Target::Hosts { trust, .. } => Some(trust.config()?),
            Target::Plain(_) | Target::Socket(_) => None,
        };
        Ok(Dialler { target, tls })
    }

    /// How many hosts there are.
    pub fn hosts(&self) -> usize {
        match &self.target {
            Target::Hosts { hosts, .. } | Target::Plain(hosts) => hosts.len(),
            Target::Socket(_) => 1,
        }
    }

    /// Tries the hosts in turn, beginning with this one.
    ///
    /// # Errors
    /// If none answers and is trusted: why, for each.
    pub fn dial(&self, first: usize) -> Result<Dialled, Stop> {
        let hosts = match &self.target {
            Target::Hosts { hosts, .. } | Target::Plain(hosts) => hosts,
            Target::Socket(path) => {
                let peer = path.display().to_string();
                return match UnixStream::connect(path) {
                    Ok(stream) => Ok(Dialled { link: Link::Unix(stream), peer, host: 0 }),
                    Err(e) => Err(Stop::Connection(format!("{peer}: {e}"))),
                };
            }
        };
        let mut problems = Vec::new();
        for number in 0..hosts.len() {
            let at = (first + number) % hosts.len();
            let host = &hosts[at];
            match self.dial_host(host) {
                Ok(link) => return Ok(Dialled { link, peer: host.to_string(), host: at }),
                Err(problem) => problems.push(format!("{host}: {problem}")),
            }
        }
        Err(Stop::Connection(problems.join("\n")))
    }

    fn dial_host(&self, host: &HostPort) -> Result<Link, String> {
        let (Target::Hosts { trust, .. }, Some(config)) = (&self.target, &self.tls) else {
            let tcp = connect(host)?;
            tcp.set_nodelay(true).map_err(|e| e.to_string())?;
            return Ok(Link::Tcp(tcp));
        };
        let name =
            ServerName::try_from(host.host.clone()).map_err(|_| "neither a host name nor an address".to_owned())?;
        let mut tls = ClientConnection::new(Arc::clone(config), name).map_err(|e| e.to_string())?;
        let mut tcp = connect(host)?;
        handshake(&mut tls, &mut tcp).map_err(|e| trust.explain(&host.host, &e))?;
        Ok(Link::Tls(Box::new(StreamOwned::new(tls, tcp))))
    }
}

impl Link {
    /// How long sending and receiving may wait; `None`: for ever.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn limit(&self, time: Option<Duration>) -> io::Result<()> {
        match self {
            Link::Tls(stream) => limit(&stream.sock, time),
            Link::Tcp(stream) => limit(stream, time),
            Link::Unix(stream) => stream.set_read_timeout(time).and_then(|()| stream.set_write_timeout(time)),
        }
    }

    /// When the certificate ends that the server has shown, Unix time in seconds; `None` without TLS.
    pub fn certificate_ends(&self) -> Option<i64> {
        let Link::Tls(stream) = self else { return None };
        let certificate = stream.conn.peer_certificates()?.first()?;
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        Some(certificate.validity().not_after.timestamp())
    }
}

impl Read for Link {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Link::Tls(stream) => stream.read(out),
            Link::Tcp(stream) => stream.read(out),
            Link::Unix(stream) => stream.read(out),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Link::Tls(stream) => stream.write(bytes),
            Link::Tcp(stream) => stream.write(bytes),
            Link::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Link::Tls(stream) => stream.flush(),
            Link::Tcp(stream) => stream.flush(),
            Link::Unix(stream) => stream.flush(),
        }
    }
}

/// Dials a host's addresses in turn.
fn connect(host: &HostPort) -> Result<TcpStream, String> {
    let mut problem = String::new();
    for address in host.resolve()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(e) => problem = e.to_string(),
        }
    }
    Err(problem)
}

fn handshake(tls: &mut ClientConnection, tcp: &mut TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    limit(tcp, Some(CONNECT_TIMEOUT))?;
    while tls.is_handshaking() {
        tls.complete_io(tcp)?;
    }
    limit(tcp, None)
}

fn limit(tcp: &TcpStream, time: Option<Duration>) -> io::Result<()> {
    tcp.set_read_timeout(time).and_then(|()| tcp.set_write_timeout(time))
}
