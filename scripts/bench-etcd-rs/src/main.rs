//! Puts on an etcd cluster, as redis-benchmark sets on Mneme: so many clients, each with one put outstanding, random keys
//! of 16 bytes, values of 64. One thread, as redis-benchmark has. Prints one line of JSON.

use std::collections::BTreeMap;
use std::env::args;
use std::error::Error;
use std::time::{Duration, Instant};

use etcd_client::{Certificate, Client, ConnectOptions, KvClient, TlsOptions};
use tokio::task::{JoinSet, LocalSet};

type Outcome<T> = Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: mneme-bench-etcd --ca FILE --endpoints URL,URL,... [--at leader|follower] [--clients N] \
                     [--connections N] [--seconds S] [--keys N]";
const VALUE: [u8; 64] = [b'x'; 64];

struct Options {
    ca: String,
    endpoints: Vec<String>,
    at_leader: bool,
    clients: usize,
    /// Clients share connections, in turn.
    connections: usize,
    duration: Duration,
    keys: u64,
}

fn main() -> Outcome<()> {
    let options = options()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run(options))
}

fn options() -> Outcome<Options> {
    let words: Vec<String> = args().skip(1).collect();
    let mut given: BTreeMap<&str, &str> = BTreeMap::new();
    for pair in words.chunks(2) {
        let [name, value] = pair else { return Err(USAGE.into()) };
        given.insert(name, value);
    }
    let mut take = |name: &str, default: Option<&'static str>| given.remove(name).or(default).ok_or(USAGE);
    let options = Options {
        ca: take("--ca", None)?.into(),
        endpoints: take("--endpoints", None)?.split(',').map(String::from).collect(),
        at_leader: match take("--at", Some("leader"))? {
            "leader" => true,
            "follower" => false,
            _ => return Err(USAGE.into()),
        },
        clients: take("--clients", Some("50"))?.parse()?,
        connections: take("--connections", Some("50"))?.parse()?,
        duration: Duration::from_secs_f64(take("--seconds", Some("4"))?.parse()?),
        keys: take("--keys", Some("100000"))?.parse()?,
    };
    let positive = options.clients > 0 && options.connections > 0 && options.keys > 0;
    if given.is_empty() && positive { Ok(options) } else { Err(USAGE.into()) }
}

async fn run(options: Options) -> Outcome<()> {
    let ca = std::fs::read(&options.ca)?;
    let endpoint = find(&options, &ca).await?;
    let mut connections = Vec::new();
    for _ in 0..options.connections.min(options.clients) {
        let connection = connect(&endpoint, &ca).await?;
        // It connects when it is first used, and that shall not be measured.
        revision(&connection).await?;
        connections.push(connection);
    }
    let before = revision(&connections[0]).await?;
    let start = Instant::now();
    let end = start + options.duration;
    let mut clients = JoinSet::new();
    for number in 0..options.clients {
        let kv = connections[number % connections.len()].kv_client();
        clients.spawn_local(put_until(end, kv, options.keys, number as u64));
    }
    let mut micros = Vec::new();
    while let Some(done) = clients.join_next().await {
        micros.extend(done??);
    }
    let elapsed = start.elapsed().as_secs_f64();
    let changes = revision(&connections[0]).await? - before;
    if changes != micros.len() as i64 {
        // Then somebody counts wrongly, or somebody else writes.
        return Err(format!("{} puts were answered, and etcd counted {changes}", micros.len()).into());
    }
    report(&mut micros, elapsed)
}

/// One client: a put, its answer, the next.
async fn put_until(end: Instant, mut kv: KvClient, keys: u64, number: u64) -> Result<Vec<u32>, etcd_client::Error> {
    let mut random = Xorshift::new(number);
    let mut micros = Vec::new();
    let mut before = Instant::now();
    while before < end {
        let key = format!("key:{:012}", random.next() % keys);
        kv.put(key, VALUE, None).await?;
        let after = Instant::now();
        micros.push((after - before).as_micros() as u32);
        before = after;
    }
    Ok(micros)
}

/// The endpoint that leads, or the first that does not.
async fn find(options: &Options, ca: &[u8]) -> Outcome<String> {
    for endpoint in &options.endpoints {
        let status = connect(endpoint, ca).await?.status().await?;
        let me = status.header().map(|header| header.member_id());
        if (me == Some(status.leader())) == options.at_leader {
            return Ok(endpoint.clone());
        }
    }
    Err("there is no such endpoint: is there a leader?".into())
}

async fn connect(endpoint: &str, ca: &[u8]) -> Outcome<Client> {
    let tls = TlsOptions::new().ca_certificate(Certificate::from_pem(ca));
    let options = ConnectOptions::new().with_tls(tls).with_connect_timeout(Duration::from_secs(10));
    Ok(Client::connect([endpoint], Some(options)).await?)
}

/// etcd's count of changes.
async fn revision(client: &Client) -> Outcome<i64> {
    // A linearizable read, so it has seen every put that was answered.
    let answer = client.kv_client().get("key:", None).await?;
    Ok(answer.header().ok_or("an answer without a header")?.revision())
}

fn report(micros: &mut [u32], elapsed: f64) -> Outcome<()> {
    if micros.is_empty() {
        return Err("no put was answered in time".into());
    }
    micros.sort_unstable();
    let at = |share: f64| f64::from(micros[((micros.len() - 1) as f64 * share) as usize]) / 1000.0;
    let mean = micros.iter().map(|&m| f64::from(m)).sum::<f64>() / micros.len() as f64 / 1000.0;
    println!(
        r#"{{"requests": {}, "seconds": {elapsed:.3}, "rps": {:.1}, "avg_ms": {mean:.3}, "p50_ms": {:.3}, "p99_ms": {:.3}, "max_ms": {:.3}}}"#,
        micros.len(),
        micros.len() as f64 / elapsed,
        at(0.5),
        at(0.99),
        at(1.0)
    );
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
