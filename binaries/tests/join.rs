//! The cluster port as others see it: strangers, joiners with the secret, and joiners without.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mneme_driver::link::{Open, frame};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};

use support::{Folder, Node, PATIENCE, program};

const CORE: &str = env!("CARGO_BIN_EXE_mneme-core");
const KEEPER: &str = env!("CARGO_BIN_EXE_mneme-keeper");

fn founder(folder: &Folder) -> (Node, String) {
    let node = Node::start(&folder.0.join("n1"), &folder.0.join("socket"), &[]);
    let cluster = node.ready.split(' ').find_map(|part| part.strip_prefix("cluster=")).expect("it is in the line");
    let cluster = cluster.to_string();
    (node, cluster)
}

/// A node that is to join, on ports of its own.
fn joiner(path: &str, data: &Path, join: &str, secret: Option<&str>) -> Command {
    let mut joiner = program(path);
    if let Some(secret) = secret {
        joiner.env("MNEME_CLUSTER_SECRET", secret);
    }
    joiner.args(["--node", "n2", "--join", join, "--data"]).arg(data);
    joiner.args(["--cluster-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    if path == CORE {
        joiner.args(["--listen", "127.0.0.1:0", "--read-listen", "127.0.0.1:0"]);
    }
    joiner
}

fn refused(output: Output, code: i32, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.lines().last().is_some_and(|line| line.contains(why)), "{said}");
}

#[test]
fn a_stranger_gets_nothing() {
    let folder = Folder::new("stranger");
    let (_node, cluster) = founder(&folder);
    let mut valid = Vec::new();
    frame(&Open::Ask, &mut valid);

    let mut plain = TcpStream::connect(&cluster).expect("it listens");
    plain.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    plain.write_all(&valid).expect("it is taken");
    plain.write_all(&[0; 64]).expect("it is taken");
    let mut heard = Vec::new();
    let _ = plain.read_to_end(&mut heard);
    // No more than a TLS alert, which says that this was no TLS.
    assert!(heard.is_empty() || heard.len() == 7 && heard[0] == 21, "{heard:?}");

    let own = rcgen::generate_simple_self_signed(["localhost".to_string()]).expect("a certificate");
    for protocol in ["mneme-node/1", "http/1.1", ""] {
        for shows_one in [false, true] {
            let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
                .with_safe_default_protocol_versions()
                .expect("versions it knows")
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody));
            let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
            let mut config = match shows_one {
                true => config.with_client_auth_cert(vec![own.cert.der().clone()], key.into()).expect("a pair"),
                false => config.with_no_client_auth(),
            };
            config.alpn_protocols = if protocol.is_empty() { Vec::new() } else { vec![protocol.as_bytes().to_vec()] };
            let socket = TcpStream::connect(&cluster).expect("it listens");
            socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
            let name = ServerName::try_from("localhost").expect("a name");
            let connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
            let mut stream = StreamOwned::new(connection, socket);
            let _ = stream.write_all(&valid).and_then(|()| stream.flush());
            let mut heard = Vec::new();
            let ended = stream.read_to_end(&mut heard);
            assert!(ended.is_err() && heard.is_empty(), "{protocol:?} {shows_one}: {ended:?} {heard:?}");
        }
    }
}

#[test]
fn a_wrong_secret_stops_the_joiner() {
    let folder = Folder::new("wrong-secret");
    let (_node, cluster) = founder(&folder);
    for path in [CORE, KEEPER] {
        let output = joiner(path, &folder.0.join("n2"), &cluster, Some("wrong")).output().expect("it can be run");
        refused(output, 2, "cluster secret");
        assert!(!folder.0.join("n2/node.crt").exists());
    }
}

#[test]
fn the_secret_admits_and_each_node_has_its_own_key() {
    let folder = Folder::new("admitted");
    let (_node, cluster) = founder(&folder);
    let secret = fs::read_to_string(folder.0.join("n1/cluster-secret")).expect("the founder made one");
    let data = folder.0.join("n2");
    let mut process = joiner(KEEPER, &data, &cluster, Some(&secret)).stdout(Stdio::null()).spawn().expect("it starts");
    let begun = Instant::now();
    while !data.join("node.crt").exists() {
        assert!(begun.elapsed() < PATIENCE && process.try_wait().expect("it runs").is_none(), "it was not admitted");
        thread::sleep(Duration::from_millis(20));
    }
    process.kill().expect("it runs");
    process.wait().expect("it has ended");
    let read = |name: &str| fs::read(folder.0.join(name)).expect(name);
    assert_eq!(read("n1/ca.crt"), read("n2/ca.crt"));
    assert_ne!(read("n1/node.key"), read("n2/node.key"));
    for name in ["n1/node.key", "n1/ca.sealed", "n1/cluster-secret", "n2/node.key"] {
        let mode = fs::metadata(folder.0.join(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    assert!(!data.join("ca.sealed").exists() && !folder.0.join("n1/ca.key").exists());
}

#[test]
fn what_cannot_be_is_refused_at_once() {
    let folder = Folder::new("refused");
    let data = folder.0.join("n2");
    let joined = joiner(CORE, &data, "127.0.0.1:1", None).output().expect("it can be run");
    refused(joined, 2, "MNEME_CLUSTER_SECRET");
    let mut alone = program(KEEPER);
    alone.args(["--cluster-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"]);
    refused(alone.arg(&data).output().expect("it can be run"), 2, "--join");
    let mut replica = program(CORE);
    replica.args(["--role", "replica", "--listen", "127.0.0.1:0", "--read-listen", "127.0.0.1:0"]);
    replica.args(["--cluster-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"]).arg(&data);
    refused(replica.output().expect("it can be run"), 2, "a Replica founds no cluster");
    // Data whose identity is gone.
    fs::create_dir_all(data.join("log")).expect("a folder");
    fs::write(data.join("log/0000000000000001.log"), "x").expect("a file");
    let orphan = joiner(CORE, &data, "127.0.0.1:1", Some("x")).output().expect("it can be run");
    refused(orphan, 3, "ca.crt is missing");
}

#[test]
fn a_founder_whose_log_is_gone_does_not_found_again() {
    let folder = Folder::new("lost-log");
    let (node, _) = founder(&folder);
    node.stop();
    let data = folder.0.join("n1");
    fs::remove_dir_all(data.join("log")).expect("it is there");
    let mut again = program(CORE);
    again.args(["--node", "test", "--listen", "127.0.0.1:0", "--read-listen", "127.0.0.1:0"]);
    again.args(["--cluster-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"]).arg(&data);
    refused(again.output().expect("it can be run"), 3, "its log is gone");
}

/// Takes any certificate, as a stranger would.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
