//! The node that asks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme, version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Admitted, Answer, Greeting, JOIN_PROTOCOL, Question, Request, Session, State, receive, send, within};
use crate::links::nameless;
use crate::secret::ClusterSecret;

/// How long a node may take to be connected with.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Why a node got no answer, or not the one that it wanted.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("{address} does not know this node's cluster secret: MNEME_CLUSTER_SECRET must be the same on every node")]
    WrongSecret { address: String },
    #[error(
        "{address} took the proof of the cluster secret and gave a wrong one itself: it is not a node of this cluster"
    )]
    Impostor { address: String },
    #[error("{address} was not told the cluster secret, and admits nobody")]
    KnowsNoSecret { address: String },
    #[error("{address} has seen too many wrong cluster secrets from here lately")]
    TooMany { address: String },
    #[error("{address} cannot sign certificates now")]
    Elsewhere { address: String, nodes: Vec<String> },
    #[error("{address} refuses: {why}")]
    Refused { address: String, why: String },
    #[error("{address}: {error}")]
    Connection { address: String, error: io::Error },
}

impl JoinError {
    pub(crate) fn is_wrong_secret(&self) -> bool {
        matches!(self, JoinError::WrongSecret { .. })
    }
}

/// Asks other nodes.
#[derive(Clone)]
pub(crate) struct Joiner {
    secret: Arc<ClusterSecret>,
    tls: TlsConnector,
}

impl std::fmt::Debug for Joiner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Joiner")
    }
}

impl Joiner {
    /// # Errors
    /// If the cryptography does not know TLS 1.3: a mistake in this file.
    pub(crate) fn new(secret: Arc<ClusterSecret>) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let anybody = Arc::new(Anybody(provider.clone()));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(anybody)
            .with_no_client_auth();
        config.alpn_protocols = vec![JOIN_PROTOCOL.into()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(Self { secret, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// What the node at this address says of itself.
    ///
    /// # Errors
    /// If it cannot be asked, or does not know the secret.
    pub(crate) async fn state(&self, address: &str) -> Result<State, JoinError> {
        let mut conversation = self.connect(address).await?;
        match conversation.ask(&Question::State).await? {
            Answer::State(state) => Ok(state),
            _ => Err(conversation.beside_the_point()),
        }
    }

    /// Has the node at this address sign a certificate.
    ///
    /// # Errors
    /// If it cannot be asked, does not know the secret, or does not sign.
    pub(crate) async fn admit(&self, address: &str, request: Request) -> Result<Admitted, JoinError> {
        let mut conversation = self.connect(address).await?;
        let address = address.to_string();
        match conversation.ask(&Question::Admit(request)).await? {
            Answer::Admitted(admitted) => Ok(*admitted),
            Answer::Elsewhere { nodes } => Err(JoinError::Elsewhere { address, nodes }),
            Answer::Refused { why } => Err(JoinError::Refused { address, why }),
            Answer::State(_) => Err(conversation.beside_the_point()),
        }
    }

    async fn connect(&self, address: &str) -> Result<Conversation<TcpStream>, JoinError> {
        let connected = within(CONNECT, async {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            Ok(socket)
        });
        let failed = |error| JoinError::Connection { address: address.into(), error };
        self.begin(address, connected.await.map_err(failed)?).await
    }

    pub(super) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(&self, socket: S) -> io::Result<TlsStream<S>> {
        within(HANDSHAKE, self.tls.connect(nameless(), socket)).await
    }

    /// Shakes hands, proves, and has the other side prove.
    pub(super) async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        address: &str,
        socket: S,
    ) -> Result<Conversation<S>, JoinError> {
        let address = address.to_string();
        let greeted = async {
            let mut stream = self.shake_hands(socket).await?;
            let session = Session::of(stream.get_ref().1)?;
            send(&mut stream, &self.secret.prove(&session.joiner)).await?;
            // A node may let wait whoever comes from an address with wrong secrets.
            let greeting = within(HANDSHAKE * 2, receive(&mut stream)).await?;
            Ok((stream, session, greeting))
        };
        match greeted.await {
            Ok((stream, session, Greeting::Welcome(proof))) if self.secret.is_proof(&session.member, &proof) => {
                Ok(Conversation { address, stream })
            }
            Ok((_, _, Greeting::Welcome(_))) => Err(JoinError::Impostor { address }),
            Ok((_, _, Greeting::WrongSecret)) => Err(JoinError::WrongSecret { address }),
            Ok((_, _, Greeting::KnowsNoSecret)) => Err(JoinError::KnowsNoSecret { address }),
            Ok((_, _, Greeting::TooMany)) => Err(JoinError::TooMany { address }),
            Err(error) => Err(JoinError::Connection { address, error }),
        }
    }
}

/// A conversation in which both sides have proved.
#[derive(Debug)]
pub(super) struct Conversation<S> {
    address: String,
    stream: TlsStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    pub(super) async fn ask(&mut self, question: &Question) -> Result<Answer, JoinError> {
        let answer = async {
            send(&mut self.stream, question).await?;
            receive(&mut self.stream).await
        };
        answer.await.map_err(|error| JoinError::Connection { address: self.address.clone(), error })
    }

    fn beside_the_point(&self) -> JoinError {
        let error = io::Error::new(io::ErrorKind::InvalidData, "an answer to another question");
        JoinError::Connection { address: self.address.clone(), error }
    }
}

/// Accepts any certificate whose key the other side has: what it is worth is found out by the proof.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
