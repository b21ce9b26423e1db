//! TLS between nodes: both sides show a certificate that the cluster's CA made for a node, and accept nothing else.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{self, CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, IpAddr, Ipv4Addr, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme, version,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::authority::node_name;
use crate::certificate::Certificate;

/// What nodes speak with each other.
pub(crate) const NODE_PROTOCOL: &[u8] = b"mneme-node/1";

/// A link that this node opened.
pub type Link = TlsStream<TcpStream>;

/// How this node shows itself to others, and what it wants to see of them.
pub(crate) struct NodeTls {
    own: Arc<Own>,
    server: Arc<ServerConfig>,
    client: TlsConnector,
}

impl std::fmt::Debug for NodeTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeTls")
    }
}

impl NodeTls {
    /// With the certificate of the cluster's CA, PEM, and this node's.
    pub(crate) fn new(ca: &str, own: &Certificate) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(ca)?)?;
        let roots = Arc::new(roots);
        let own = Arc::new(Own(RwLock::new(own.certified.clone())));
        Ok(Self { server: server(&roots, &own)?, client: client(&roots, &own)?, own })
    }

    /// For links that other nodes open.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }

    /// Opens a link to the node at this address, by name or number.
    pub(crate) async fn dial(&self, address: &str) -> io::Result<Link> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        self.client.connect(nameless(), socket).await
    }

    /// New links show this certificate; open ones live on.
    pub(crate) fn replace(&self, own: &Certificate) {
        *self.own.0.write().unwrap_or_else(PoisonError::into_inner) = own.certified.clone();
    }
}

/// Nodes are known by their certificates, not by where they are found: no name is asked for or compared.
pub(crate) fn nameless() -> ServerName<'static> {
    ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0, 0, 0, 0])))
}

fn certificate(pem: &str) -> Result<CertificateDer<'static>, Error> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CertificateError::BadEncoding.into())
}

fn server(roots: &Arc<RootCertStore>, own: &Arc<Own>) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build();
    let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(own.clone());
    config.alpn_protocols = vec![NODE_PROTOCOL.into()];
    // Every link shows its certificates: nothing is resumed.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn client(roots: &Arc<RootCertStore>, own: &Arc<Own>) -> Result<TlsConnector, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(NodeVerifier { roots: roots.clone(), provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(own.clone());
    config.alpn_protocols = vec![NODE_PROTOCOL.into()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// This node's certificate, which changes when it is renewed.
#[derive(Debug)]
struct Own(RwLock<Arc<CertifiedKey>>);

impl Own {
    fn current(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Own {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Accepts a node's certificate of the cluster's CA, wherever the node was found.
#[derive(Debug)]
struct NodeVerifier {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        match node_name(end_entity) {
            Some(_) => Ok(ServerCertVerified::assertion()),
            None => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
