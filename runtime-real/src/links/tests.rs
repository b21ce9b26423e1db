use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsAcceptor;

use super::*;

/// A CA, and what it signs.
struct Cluster {
    params: CertificateParams,
    key: KeyPair,
    ca: String,
}

impl Cluster {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("randomness");
        let ca = params.self_signed(&key).expect("a certificate").pem();
        Self { params, key, ca }
    }

    /// A certificate with this name in the place of a node's, for these uses.
    fn sign(&self, uri: &str, uses: &[ExtendedKeyUsagePurpose]) -> Arc<CertifiedKey> {
        let mut params = CertificateParams::new(["localhost".to_string()]).expect("a name");
        params.subject_alt_names.push(rcgen::SanType::URI(uri.try_into().expect("ASCII")));
        params.extended_key_usages = uses.to_vec();
        let key = KeyPair::generate().expect("randomness");
        let issuer = Issuer::from_params(&self.params, &self.key);
        let signed = params.signed_by(&key, &issuer).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = aws_lc_rs::default_provider();
        Arc::new(CertifiedKey::from_der(vec![signed.der().clone()], key.into(), &provider).expect("a pair"))
    }

    /// TLS of a node that shows this certificate.
    fn tls(&self, shown: Arc<CertifiedKey>) -> NodeTls {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.ca).expect("PEM")).expect("a certificate");
        let (roots, own) = (Arc::new(roots), Arc::new(Own(RwLock::new(shown))));
        NodeTls { server: server(&roots, &own).expect("TLS"), client: client(&roots, &own).expect("TLS"), own }
    }

    fn node(&self) -> NodeTls {
        self.tls(self.sign("mneme-node:n1", BOTH))
    }
}

const BOTH: &[ExtendedKeyUsagePurpose] = &[ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];

/// What the dialling node reads from the accepting one, which greets whoever it has accepted.
fn greeted(dialling: &NodeTls, accepting: &NodeTls) -> io::Result<Vec<u8>> {
    let (near, far): (DuplexStream, _) = duplex(1 << 16);
    let server = TlsAcceptor::from(accepting.server());
    crate::listen::runtime().block_on(async {
        tokio::spawn(async move {
            let mut stream = server.accept(far).await?;
            stream.write_all(b"hello").await?;
            stream.shutdown().await
        });
        let mut stream = dialling.client.connect(nameless(), near).await?;
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await?;
        Ok(heard)
    })
}

#[test]
fn nodes_of_one_cluster_link_wherever_they_are_and_nobody_else_does() {
    let (ours, theirs) = (Cluster::new(), Cluster::new());
    assert_eq!(greeted(&ours.node(), &ours.node()).expect("both are nodes"), b"hello");
    assert!(greeted(&ours.node(), &theirs.node()).is_err(), "another cluster's node was dialled");
    // It trusts our CA, and shows a certificate of its own.
    let stranger = ours.tls(theirs.sign("mneme-node:n1", BOTH));
    assert!(greeted(&stranger, &ours.node()).is_err(), "a stranger dials");
    assert!(greeted(&ours.node(), &stranger).is_err(), "a stranger is dialled");
    let client = ours.tls(ours.sign("mneme-node:n1", &BOTH[1..]));
    assert!(greeted(&ours.node(), &client).is_err(), "a certificate for clients is no server's");
    let server = ours.tls(ours.sign("mneme-node:n1", &BOTH[..1]));
    assert!(greeted(&server, &ours.node()).is_err(), "a certificate for servers is no client's");
    let nameless = ours.tls(ours.sign("https://example.org", BOTH));
    assert!(greeted(&ours.node(), &nameless).is_err(), "what is no node's certificate");
}

#[test]
fn a_new_certificate_is_shown_on_new_links() {
    let cluster = Cluster::new();
    let (dialling, other) = (cluster.node(), Cluster::new());
    let accepting = cluster.tls(other.sign("mneme-node:n2", BOTH));
    assert!(greeted(&dialling, &accepting).is_err());
    *accepting.own.0.write().expect("nobody panicked") = cluster.sign("mneme-node:n2", BOTH);
    assert_eq!(greeted(&dialling, &accepting).expect("both are nodes"), b"hello");
}
