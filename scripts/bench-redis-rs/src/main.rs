//! Puts load on a server that speaks RESP: so many clients, each with one pipeline of one command outstanding. Strings have
//! random keys; a collection is one key, as in redis-benchmark. One thread, as redis-benchmark has, but cheaper, so that it
//! is the server that is measured. Every reply is compared with what it must be, as far as that is known: `work`. The clock
//! starts when all clients are connected and what is read or popped is there. Prints one line of JSON.

mod work;

use std::collections::BTreeMap;
use std::env::args;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::{TcpStream, UnixStream};
use mio::{Events, Interest, Poll, Token};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use work::{Answered, Work, Xorshift};

type Outcome<T> = Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: mneme-bench-redis (--unix PATH | --port N --ca FILE) --password WORD [--command NAME] \
                     [--clients N] [--pipeline N] [--seconds S] [--keys N] [--size N] [--consistency LEVEL]";

struct Options {
    target: Target,
    password: String,
    command: String,
    clients: usize,
    pipeline: usize,
    duration: Duration,
    keys: u64,
    size: usize,
    /// What each connection asks for first; only Mneme knows this.
    consistency: Option<String>,
}

enum Target {
    Unix(String),
    /// On loopback.
    Tls {
        port: u16,
        ca: String,
    },
}

fn main() -> Outcome<()> {
    let options = options()?;
    let work = Work::new(&options.command, options.pipeline, options.keys, options.size)?;
    let mut poll = Poll::new()?;
    let mut clients = connect(&options, &poll)?;
    prepare(&mut poll, &mut clients[0], &work)?;
    for client in &mut clients {
        client.send(&work)?;
    }
    let mut latencies = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    let mut requests = 0_u64;
    let mut events = Events::with_capacity(clients.len());
    let start = Instant::now();
    let end = start + options.duration;
    let mut now = start;
    // Where elements are popped, it ends early when there are none left.
    let mut left = work.elements();
    while now < end && left > 0 {
        poll.poll(&mut events, Some(Duration::from_secs(10)))?;
        if events.is_empty() {
            return Err("no reply for 10 s".into());
        }
        for event in &events {
            let client = &mut clients[event.token().0];
            if client.receive(&work)? {
                now = Instant::now();
                latencies.record((now - client.sent).as_micros().max(1) as u64)?;
                requests += options.pipeline as u64;
                left = left.saturating_sub(options.pipeline as u64);
                client.send(&work)?;
            }
        }
    }
    let seconds = (now - start).as_secs_f64();
    let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    println!(
        r#"{{"requests": {requests}, "seconds": {seconds:.3}, "rps": {:.1}, "avg_ms": {:.3}, "p50_ms": {:.3}, "p99_ms": {:.3}, "max_ms": {:.3}}}"#,
        requests as f64 / seconds,
        latencies.mean() / 1000.0,
        at(0.5),
        at(0.99),
        latencies.max() as f64 / 1000.0
    );
    Ok(())
}

/// Makes what the load works on.
fn prepare(poll: &mut Poll, client: &mut Client, work: &Work) -> Outcome<()> {
    let mut events = Events::with_capacity(1);
    for request in work.preparation() {
        client.received = 0;
        client.wire.send(&request)?;
        let mut answered = Answered::default();
        while !answered.count(&client.replies[..client.received], 1, |_| true)? {
            poll.poll(&mut events, Some(Duration::from_secs(10)))?;
            client.replies.resize(client.received + ROOM, 0);
            match client.wire.receive(&mut client.replies[client.received..]) {
                Ok(got) => client.received += got,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(())
}

fn options() -> Outcome<Options> {
    let words: Vec<String> = args().skip(1).collect();
    let mut given: BTreeMap<&str, &str> = BTreeMap::new();
    for pair in words.chunks(2) {
        let [name, value] = pair else { return Err(USAGE.into()) };
        given.insert(name, value);
    }
    let target = match (given.remove("--unix"), given.remove("--port"), given.remove("--ca")) {
        (Some(path), None, None) => Target::Unix(path.into()),
        (None, Some(port), Some(ca)) => Target::Tls { port: port.parse()?, ca: ca.into() },
        _ => return Err(USAGE.into()),
    };
    let consistency = given.remove("--consistency").map(String::from);
    let mut take = |name: &str, default: Option<&'static str>| given.remove(name).or(default).ok_or(USAGE);
    let options = Options {
        target,
        consistency,
        password: take("--password", None)?.into(),
        command: take("--command", Some("get"))?.into(),
        clients: take("--clients", Some("50"))?.parse()?,
        pipeline: take("--pipeline", Some("1"))?.parse()?,
        duration: Duration::from_secs_f64(take("--seconds", Some("4"))?.parse()?),
        keys: take("--keys", Some("100000"))?.parse()?,
        size: take("--size", Some("64"))?.parse()?,
    };
    let positive = options.clients > 0 && options.pipeline > 0 && options.keys > 0;
    if given.is_empty() && positive { Ok(options) } else { Err(USAGE.into()) }
}

struct Client {
    wire: Wire,
    random: Xorshift,
    requests: Vec<u8>,
    /// What has come of a pipeline's replies; behind it, room.
    replies: Vec<u8>,
    received: usize,
    answered: Answered,
    sent: Instant,
}

impl Client {
    fn send(&mut self, work: &Work) -> Outcome<()> {
        work.write(&mut self.random, &mut self.requests);
        self.received = 0;
        self.answered = Answered::default();
        self.sent = Instant::now();
        self.wire.send(&self.requests)
    }

    /// Takes what has come; whether the whole pipeline is answered. Then nothing more comes before the next is sent, so
    /// that it need not read until it would block.
    fn receive(&mut self, work: &Work) -> Outcome<bool> {
        while !work.is_answered(&mut self.answered, &self.replies[..self.received])? {
            if self.replies.len() - self.received < ROOM {
                self.replies.resize(self.received + 2 * ROOM, 0);
            }
            match self.wire.receive(&mut self.replies[self.received..]) {
                Ok(got) => self.received += got,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e.into()),
            }
        }
        Ok(true)
    }
}

/// More than a TLS connection hands over at once: a record, and what was left of the one before.
const ROOM: usize = 64 * 1024;

enum Wire {
    Unix(UnixStream),
    Tls(TcpStream, Box<ClientConnection>),
}

impl Wire {
    /// Sends all at once: a pipeline is smaller than a socket's buffer.
    fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        match self {
            Wire::Unix(stream) => stream.write_all(bytes)?,
            Wire::Tls(stream, tls) => {
                tls.writer().write_all(bytes)?;
                while tls.wants_write() {
                    tls.write_tls(stream)?;
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Unix(stream) => match stream.read(out)? {
                0 => Err(ErrorKind::UnexpectedEof.into()),
                got => Ok(got),
            },
            Wire::Tls(stream, tls) => {
                if tls.read_tls(stream)? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                let state = tls.process_new_packets().map_err(io::Error::other)?;
                let come = state.plaintext_bytes_to_read();
                if come > out.len() {
                    return Err(io::Error::other("more at once than there is room for"));
                }
                tls.reader().read_exact(&mut out[..come])?;
                Ok(come)
            }
        }
    }
}

/// Connects and authenticates the clients, one after the other.
fn connect(options: &Options, poll: &Poll) -> Outcome<Vec<Client>> {
    let tls = match &options.target {
        Target::Unix(_) => None,
        Target::Tls { ca, .. } => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(ca)? {
                roots.add(certificate?)?;
            }
            Some(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
        }
    };
    let mut greeting = vec![format!("AUTH {}", options.password)];
    greeting.extend(options.consistency.as_ref().map(|level| format!("CLIENT CONSISTENCY {level}")));
    let mut clients = Vec::new();
    for number in 0..options.clients {
        let mut wire = match &options.target {
            Target::Unix(path) => {
                let mut stream = StdUnixStream::connect(path)?;
                greet(&mut stream, &greeting)?;
                stream.set_nonblocking(true)?;
                Wire::Unix(UnixStream::from_std(stream))
            }
            Target::Tls { port, .. } => {
                let mut stream = std::net::TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], *port)))?;
                stream.set_nodelay(true)?;
                let config = tls.clone().ok_or("TLS is not configured")?;
                let mut tls = ClientConnection::new(config, ServerName::try_from("localhost")?)?;
                greet(&mut rustls::Stream::new(&mut tls, &mut stream), &greeting)?;
                stream.set_nonblocking(true)?;
                Wire::Tls(TcpStream::from_std(stream), Box::new(tls))
            }
        };
        let (registry, token) = (poll.registry(), Token(number));
        match &mut wire {
            Wire::Unix(stream) => registry.register(stream, token, Interest::READABLE)?,
            Wire::Tls(stream, _) => registry.register(stream, token, Interest::READABLE)?,
        }
        clients.push(Client {
            wire,
            random: Xorshift::new(number as u64),
            requests: Vec::new(),
            replies: Vec::new(),
            received: 0,
            answered: Answered::default(),
            sent: Instant::now(),
        });
    }
    Ok(clients)
}

/// Sends these inline commands; each must be answered +OK.
fn greet(stream: &mut (impl Read + Write), commands: &[String]) -> Outcome<()> {
    for command in commands {
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        stream.flush()?;
        let mut reply = [0; 5];
        stream.read_exact(&mut reply)?;
        if &reply != b"+OK\r\n" {
            return Err("the server refuses the password or the level".into());
        }
    }
    Ok(())
}
