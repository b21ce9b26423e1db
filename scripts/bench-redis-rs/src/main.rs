//! Puts load on a server that speaks RESP: so many clients, each with one pipeline of GETs or SETs of random keys
//! outstanding. One thread, as redis-benchmark has, but cheaper, so that it is the server that is measured. Every reply is
//! compared with what it must be. The clock starts when all clients are connected. Prints one line of JSON.

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

type Outcome<T> = Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: mneme-bench-redis (--unix PATH | --port N --ca FILE) --password WORD [--command get|set] \
                     [--clients N] [--pipeline N] [--seconds S] [--keys N] [--size N] [--consistency LEVEL]";

struct Options {
    target: Target,
    password: String,
    writes: bool,
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
    let work = Work::new(&options);
    let mut poll = Poll::new()?;
    let mut clients = connect(&options, &work, &poll)?;
    for client in &mut clients {
        client.send(&work)?;
    }
    let mut latencies = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    let mut requests = 0_u64;
    let mut events = Events::with_capacity(clients.len());
    let start = Instant::now();
    let end = start + options.duration;
    let mut now = start;
    while now < end {
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
        writes: match take("--command", Some("get"))? {
            "get" => false,
            "set" => true,
            _ => return Err(USAGE.into()),
        },
        clients: take("--clients", Some("50"))?.parse()?,
        pipeline: take("--pipeline", Some("1"))?.parse()?,
        duration: Duration::from_secs_f64(take("--seconds", Some("4"))?.parse()?),
        keys: take("--keys", Some("100000"))?.parse()?,
        size: take("--size", Some("64"))?.parse()?,
    };
    let positive = options.clients > 0 && options.pipeline > 0 && options.keys > 0;
    if given.is_empty() && positive { Ok(options) } else { Err(USAGE.into()) }
}

/// What each pipeline looks like, and its replies.
struct Work {
    request: Vec<u8>,
    /// Where the twelve digits of a request's key begin.
    digits: usize,
    reply: Vec<u8>,
    pipeline: usize,
    keys: u64,
}

impl Work {
    fn new(options: &Options) -> Self {
        let value = "x".repeat(options.size);
        let bulk = format!("${}\r\n{value}\r\n", options.size);
        let key = format!("$16\r\nkey:{:012}\r\n", 0);
        let (request, reply) = if options.writes {
            (format!("*3\r\n$3\r\nSET\r\n{key}{bulk}"), "+OK\r\n".into())
        } else {
            (format!("*2\r\n$3\r\nGET\r\n{key}"), bulk)
        };
        let digits = request.find("key:").expect("the request has a key") + 4;
        Self {
            request: request.into(),
            digits,
            reply: reply.into_bytes(),
            pipeline: options.pipeline,
            keys: options.keys,
        }
    }

    /// A pipeline's requests.
    fn write(&self, random: &mut Xorshift, out: &mut Vec<u8>) {
        out.clear();
        for _ in 0..self.pipeline {
            let start = out.len();
            out.extend_from_slice(&self.request);
            let mut key = random.next() % self.keys;
            for digit in out[start + self.digits..][..12].iter_mut().rev() {
                *digit = b'0' + (key % 10) as u8;
                key /= 10;
            }
        }
    }

    /// Fails unless these are the replies that must come, as far as they have.
    fn check(&self, replies: &[u8]) -> Outcome<()> {
        let wrong = replies.chunks(self.reply.len()).find(|reply| *reply != &self.reply[..reply.len()]);
        wrong.map_or(Ok(()), |reply| Err(format!("a wrong reply: {}", String::from_utf8_lossy(reply)).into()))
    }
}

struct Client {
    wire: Wire,
    random: Xorshift,
    requests: Vec<u8>,
    /// As long as the replies of a pipeline are.
    replies: Vec<u8>,
    received: usize,
    sent: Instant,
}

impl Client {
    fn send(&mut self, work: &Work) -> Outcome<()> {
        work.write(&mut self.random, &mut self.requests);
        self.received = 0;
        self.sent = Instant::now();
        self.wire.send(&self.requests)
    }

    /// Takes what has come; whether the whole pipeline is answered. Then nothing more comes before the next is sent, so
    /// that it need not read until it would block.
    fn receive(&mut self, work: &Work) -> Outcome<bool> {
        while self.received < self.replies.len() {
            match self.wire.receive(&mut self.replies[self.received..]) {
                Ok(got) => self.received += got,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    work.check(&self.replies[..self.received])?;
                    return Ok(false);
                }
                Err(e) => return Err(e.into()),
            }
        }
        work.check(&self.replies)?;
        Ok(true)
    }
}

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
                    return Err(io::Error::other("more replies than requests"));
                }
                tls.reader().read_exact(&mut out[..come])?;
                Ok(come)
            }
        }
    }
}

/// Connects and authenticates the clients, one after the other.
fn connect(options: &Options, work: &Work, poll: &Poll) -> Outcome<Vec<Client>> {
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
            replies: vec![0; options.pipeline * work.reply.len()],
            received: 0,
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

/// Enough randomness to choose keys, and cheap.
struct Xorshift(u64);

impl Xorshift {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
