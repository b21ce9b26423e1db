//! TLS as a client of the real server sees it: versions, resumed sessions, certificates that change, too many clients.

mod support;

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mneme_kernel::resp::Value;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, StreamOwned,
    SupportedProtocolVersion, version,
};

use support::{Client, Folder, Node, PATIENCE};

type TlsClient = Client<StreamOwned<ClientConnection, TcpStream>>;

/// A certificate of the operator's own, and its key, PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Pair {
    fn new() -> Pair {
        let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).expect("a certificate");
        Pair { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a certificate")
    }
}

/// A server with a certificate of the operator's own, and its files.
struct Server {
    folder: Folder,
    node: Node,
}

impl Server {
    fn start(name: &str, pair: &Pair, options: &[&str]) -> Server {
        let folder = Folder::new(name);
        let (certificate, key) = files(&folder, pair);
        let log = File::create(folder.0.join("log")).expect("a new file");
        let mut all = vec!["--tls-cert", &certificate, "--tls-key", &key];
        all.extend(options);
        let node = Node::start_logging(&folder.0.join("data"), &folder.0.join("socket"), &all, Stdio::from(log));
        Server { folder, node }
    }

    /// How often the log contains this text.
    fn logged(&self, text: &str) -> usize {
        let log = fs::read_to_string(self.folder.0.join("log")).expect("the log");
        log.lines().filter(|line| line.contains(text)).count()
    }

    fn connect(&self, config: &Arc<ClientConfig>) -> io::Result<TlsClient> {
        let socket = TcpStream::connect(("127.0.0.1", self.node.port))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let connection = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Client::new(stream))
    }

    /// A client that has logged in.
    fn client(&self, config: &Arc<ClientConfig>) -> TlsClient {
        self.connect(config).and_then(Client::log_in).expect("the server is ready")
    }
}

/// Writes the pair where the server looks for it.
fn files(folder: &Folder, pair: &Pair) -> (String, String) {
    let path = |name: &str| folder.0.join(name).to_string_lossy().into_owned();
    let (certificate, key) = (path("tls.crt"), path("tls.key"));
    fs::write(&certificate, &pair.certificate).expect("a folder that can be written");
    fs::write(&key, &pair.key).expect("a folder that can be written");
    (certificate, key)
}

/// A client's memory of sessions, and whom it trusts.
fn trusting(pairs: &[&Pair], versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    pairs.iter().for_each(|pair| roots.add(pair.der()).expect("a certificate"));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
    Arc::new(config.expect("versions it knows").with_root_certificates(roots).with_no_client_auth())
}

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}: not in time");
        thread::sleep(Duration::from_millis(50));
    }
}

fn shown(client: &TlsClient) -> CertificateDer<'static> {
    client.stream.conn.peer_certificates().expect("a server shows one")[0].clone().into_owned()
}

#[test]
fn a_changed_certificate_is_for_new_connections_and_open_ones_live_on() {
    let (first, second, third) = (Pair::new(), Pair::new(), Pair::new());
    let server = Server::start("reload", &first, &[]);
    let shows = |pair: &Pair| shown(&server.client(&trusting(&[&first, &second, &third], BOTH))) == pair.der();
    let mut open = server.client(&trusting(&[&first], BOTH));
    assert!(shows(&first));

    files(&server.folder, &second);
    until("the second certificate is shown", || shows(&second));
    assert_eq!(open.ask(&["PING"]).expect("it was not closed"), Value::Simple("PONG".into()));
    assert_eq!(shown(&open), first.der());
    until("it is logged", || server.logged("new connections get the new certificate") == 1);

    // A pair that does not fit: the one in use stays, until the other half comes.
    fs::write(server.folder.0.join("tls.crt"), &third.certificate).expect("a folder that can be written");
    let complaint = "tls.key: not the private key of the first certificate in";
    until("the misfit is logged", || server.logged(complaint) > 0);
    assert!(shows(&second));
    fs::write(server.folder.0.join("tls.key"), &third.key).expect("a folder that can be written");
    until("the third certificate is shown", || shows(&third));
    assert_eq!(server.logged(complaint), 1, "once, however often the files are looked at");
    assert_eq!(open.ask(&["PING"]).expect("it was not closed"), Value::Simple("PONG".into()));
}

#[test]
fn both_versions_are_spoken_and_sessions_are_resumed_until_the_certificate_changes() {
    let (first, second) = (Pair::new(), Pair::new());
    let server = Server::start("resume", &first, &[]);
    let resumed = |config: &Arc<ClientConfig>, version| {
        let client = server.client(config);
        assert_eq!(client.stream.conn.protocol_version(), Some(version));
        client.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    };
    let clients = [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
        .map(|(supported, version)| (trusting(&[&first, &second], &[supported]), version));
    for (config, version) in &clients {
        assert!(!resumed(config, *version), "{version:?}: nothing to resume yet");
        for _ in 0..3 {
            assert!(resumed(config, *version), "{version:?}");
        }
    }

    files(&server.folder, &second);
    let stranger = || trusting(&[&first, &second], BOTH);
    until("the second certificate is shown", || shown(&server.client(&stranger())) == second.der());
    for (config, version) in &clients {
        assert!(!resumed(config, *version), "{version:?}: the certificate has to be seen");
        assert!(resumed(config, *version), "{version:?}");
    }
}

#[test]
fn a_pair_that_cannot_be_used_stops_the_start() {
    let folder = Folder::new("bad-pair");
    let good = Pair::new();
    let other = Pair::new();
    let encrypted = good.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for (certificate, key, wanted) in [
        (&good.certificate, &other.key, "tls.key: not the private key of the first certificate in"),
        (&good.key, &good.key, "tls.crt: no certificate in it"),
        (&good.certificate, &good.certificate, "tls.key: no private key in it"),
        (&good.certificate, &encrypted, "tls.key: the private key is encrypted"),
    ] {
        let (certificate, key) = files(&folder, &Pair { certificate: certificate.clone(), key: key.clone() });
        let data: PathBuf = folder.0.join("data");
        let ended = Command::new(env!("CARGO_BIN_EXE_mneme-core"))
            .args(["--tls-cert", &certificate, "--tls-key", &key, "--data"])
            .arg(&data)
            .args(["--listen", "127.0.0.1:0", "--read-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .output()
            .expect("it can be run");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains(wanted), "{said}");
        assert!(!data.exists(), "nothing is made for a bad configuration");
    }
}

#[test]
fn a_client_too_many_is_told_so_and_unfinished_handshakes_are_bounded() {
    let pair = Pair::new();
    let server = Server::start("too-many", &pair, &["--max-clients", "2"]);
    let config = trusting(&[&pair], BOTH);
    let clients = [server.client(&config), server.client(&config)];
    let mut refused = server.connect(&config).expect("a handshake, so that it can be told");
    let told = Value::Error("ERR max number of clients reached".into());
    assert_eq!(refused.answer().expect("an answer"), told);
    drop(refused);

    // Now nobody is told any more: as many as ever get a handshake have begun theirs and do not go on.
    let silent: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect(("127.0.0.1", server.node.port)).expect("the port listens")).collect();
    let mut last = silent.last().expect("there are many");
    last.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    assert_eq!(last.read(&mut [0]).expect("it is closed in order"), 0);
    assert!(server.connect(&config).is_err());

    drop((clients, silent));
    until("there is room again", || server.connect(&config).and_then(Client::log_in).is_ok());
}

#[test]
fn wrong_passwords_are_refused_and_slow_down_only_where_they_come_from() {
    let pair = Pair::new();
    let server = Server::start("passwords", &pair, &[]);
    let mut guesser = server.connect(&trusting(&[&pair], BOTH)).expect("the server is ready");
    for _ in 0..4 {
        let refused = guesser.ask(&["AUTH", "guess"]).expect("an answer");
        assert!(matches!(&refused, Value::Error(error) if error.starts_with("WRONGPASS")), "{refused:?}");
    }
    assert_eq!(server.logged("slowed down"), 1);
    server.node.client().expect("by the Unix socket");
    guesser.log_in().expect("the right password is right, also after wrong ones");
    assert_eq!(server.logged("slowed down"), 1);
}
