//! A connection to a server: dialled, verified, logged in.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mneme_kernel::resp::{Value, ValueDecoder, encode_command};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::Words;
use super::stop::Stop;
use super::trust::Trust;
use crate::address::HostPort;

/// How long dialling one address may take, and then TLS. Afterwards a command may take as long as it likes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How much is read at once.
const READ_SIZE: usize = 64 * 1024;

/// Where the server is.
#[derive(Clone, Debug)]
pub enum Target {
    /// The first of these that answers, and is trusted.
    Hosts { hosts: Vec<HostPort>, trust: Trust },
    /// A socket of this machine, in clear.
    Socket(PathBuf),
    /// A server of another kind, which speaks no TLS: a Redis that keys are imported from.
    Clear(HostPort),
}

/// A stream of commands one way and values the other.
pub struct Connection {
    stream: Box<dyn Stream>,
    /// The server's name for people: where it was found.
    peer: String,
    decoder: ValueDecoder,
    input: Vec<u8>,
    /// How much of `input` is decoded.
    used: usize,
    certificate_ends: Option<i64>,
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

impl Connection {
    /// Connects, and sends the commands that begin the connection all at once.
    ///
    /// # Errors
    /// If no server can be reached and trusted, or it refuses one of the commands.
    pub fn open(target: &Target, opening: &[Words]) -> Result<Connection, Stop> {
        let Dialled { stream, peer, certificate_ends } = dial(target)?;
        let decoder = ValueDecoder::default();
        let mut connection = Connection { stream, peer, decoder, input: Vec::new(), used: 0, certificate_ends };
        let mut bytes = Vec::new();
        opening.iter().for_each(|command| encode_command(command, &mut bytes));
        connection.send(&bytes)?;
        for command in opening {
            if let Value::Error(message) = connection.reply(command)? {
                return Err(Stop::Server(message));
            }
        }
        Ok(connection)
    }

    /// When the server's certificate ends, Unix time in seconds; `None` without TLS.
    pub fn certificate_ends(&self) -> Option<i64> {
        self.certificate_ends
    }

    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Sends encoded commands.
    ///
    /// # Errors
    /// If the connection is lost.
    pub fn send(&mut self, commands: &[u8]) -> Result<(), Stop> {
        let sent = self.stream.write_all(commands).and_then(|()| self.stream.flush());
        sent.map_err(|e| self.lost(&e))
    }

    /// The answer to the oldest command not yet answered, which is given. What the server pushes meanwhile is dropped.
    ///
    /// # Errors
    /// If the connection is lost, or what arrives is not the protocol.
    pub fn reply(&mut self, command: &Words) -> Result<Value, Stop> {
        loop {
            match self.message()? {
                // SUBSCRIBE and its kin are answered by a push of their own name.
                Value::Push(items) if !is_named(&items, command) => {}
                value => return Ok(value),
            }
        }
    }

    /// Sends one command; the answer to it.
    ///
    /// # Errors
    /// If the connection is lost, or the answer is an error.
    pub fn ask(&mut self, words: &[&[u8]]) -> Result<Value, Stop> {
        let words: Words = words.iter().map(|word| word.to_vec()).collect();
        let mut bytes = Vec::new();
        encode_command(&words, &mut bytes);
        self.send(&bytes)?;
        self.value(&words)
    }

    /// As [`Connection::reply`], where an answer that is an error is one.
    ///
    /// # Errors
    /// As [`Connection::ask`].
    pub fn value(&mut self, command: &Words) -> Result<Value, Stop> {
        match self.reply(command)? {
            Value::Error(message) => Err(Stop::Server(message)),
            value => Ok(value),
        }
    }

    /// The next value, whatever it is.
    ///
    /// # Errors
    /// As [`Connection::reply`].
    pub fn message(&mut self) -> Result<Value, Stop> {
        loop {
            let decoded = self.decoder.decode(&self.input[self.used..]);
            let (used, value) =
                decoded.map_err(|e| Stop::Connection(format!("{}: not the Redis protocol: {e}", self.peer)))?;
            self.used += used;
            match value {
                Some(value) => return Ok(value),
                None => self.read().map_err(|e| self.lost(&e))?,
            }
        }
    }

    fn read(&mut self) -> io::Result<()> {
        self.input.drain(..self.used);
        self.used = 0;
        let have = self.input.len();
        self.input.resize(have + READ_SIZE, 0);
        let got = self.stream.read(&mut self.input[have..]);
        self.input.truncate(have + *got.as_ref().unwrap_or(&0));
        match got {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(e),
            _ => Ok(()),
        }
    }

    fn lost(&self, error: &io::Error) -> Stop {
        Stop::Connection(match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                format!("{}: the server closed the connection", self.peer)
            }
            _ => format!("{}: connection lost: {error}", self.peer),
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// A map, whichever protocol it came by.
pub fn fields(row: Value) -> BTreeMap<String, Value> {
    let name = |key: &Value| String::from_utf8_lossy(key.as_bytes().unwrap_or_default()).into_owned();
    match row {
        Value::Map(pairs) => pairs.into_iter().map(|(key, value)| (name(&key), value)).collect(),
        Value::Array(flat) => flat.chunks_exact(2).map(|pair| (name(&pair[0]), pair[1].clone())).collect(),
        _ => BTreeMap::new(),
    }
}

/// Whether a push is what a command answers.
fn is_named(push: &[Value], command: &Words) -> bool {
    match (push.first().and_then(Value::as_bytes), command.first()) {
        (Some(kind), Some(name)) => kind.eq_ignore_ascii_case(name),
        _ => false,
    }
}

/// A stream to a server that is trusted.
struct Dialled {
    stream: Box<dyn Stream>,
    peer: String,
    certificate_ends: Option<i64>,
}

fn dial(target: &Target) -> Result<Dialled, Stop> {
    let (hosts, trust) = match target {
        Target::Hosts { hosts, trust } => (hosts, trust),
        Target::Clear(host) => {
            let peer = host.to_string();
            let stream = connect(host).and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp).map_err(|e| e.to_string()));
            return match stream {
                Ok(stream) => Ok(Dialled { stream: Box::new(stream), peer, certificate_ends: None }),
                Err(problem) => Err(Stop::Connection(format!("{peer}: {problem}"))),
            };
        }
        Target::Socket(path) => {
            let peer = path.display().to_string();
            return match UnixStream::connect(path) {
                Ok(stream) => Ok(Dialled { stream: Box::new(stream), peer, certificate_ends: None }),
                Err(e) => Err(Stop::Connection(format!("{peer}: {e}"))),
            };
        }
    };
    let config = trust.config()?;
    let mut problems = Vec::new();
    for host in hosts {
        match dial_host(host, trust, &config) {
            Ok(stream) => {
                let certificate_ends = end_of(&stream.conn);
                return Ok(Dialled { stream: Box::new(stream), peer: host.to_string(), certificate_ends });
            }
            Err(problem) => problems.push(format!("{host}: {problem}")),
        }
    }
    Err(Stop::Connection(problems.join("\n")))
}

/// When the certificate ends that the server has shown.
fn end_of(tls: &ClientConnection) -> Option<i64> {
    let certificate = tls.peer_certificates()?.first()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

fn dial_host(
    host: &HostPort,
    trust: &Trust,
    config: &Arc<ClientConfig>,
) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
    let name = ServerName::try_from(host.host.clone()).map_err(|_| "neither a host name nor an address".to_owned())?;
    let mut tls = ClientConnection::new(Arc::clone(config), name).map_err(|e| e.to_string())?;
    let mut tcp = connect(host)?;
    handshake(&mut tls, &mut tcp).map_err(|e| trust.explain(&host.host, &e))?;
    Ok(StreamOwned::new(tls, tcp))
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
    tcp.set_read_timeout(Some(CONNECT_TIMEOUT))?;
    tcp.set_write_timeout(Some(CONNECT_TIMEOUT))?;
    while tls.is_handshaking() {
        tls.complete_io(tcp)?;
    }
    tcp.set_read_timeout(None)?;
    tcp.set_write_timeout(None)
}
