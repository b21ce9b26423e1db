//! The node that is asked.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use mneme_driver::env::Source;
use rcgen::CertificateSigningRequestParams;
use rustls::ServerConfig;
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

use super::{
    Admitted, Answer, Greeting, JOIN_PROTOCOL, MAX_QUESTIONS, Question, Request, Session, State, meaningless, receive,
    send,
};
use crate::attempts::Attempts;
use crate::authority::{Authority, AuthorityError};
use crate::secret::{ClusterSecret, Proof};

/// How long a joiner waits for others of its address before it is turned away: as for passwords.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers joiners.
pub(crate) struct Admission {
    /// Without it nobody is admitted here.
    pub secret: Option<Arc<ClusterSecret>>,
    /// Of this process, drawn at its start.
    pub instance: u64,
    /// Set once this node belongs to a cluster.
    pub membership: OnceLock<Membership>,
    attempts: Mutex<Attempts>,
}

/// What a node needs to admit others.
pub(crate) struct Membership {
    /// The CA's certificate, PEM.
    pub ca: String,
    /// The CA's sealed key, if it can be had here now.
    pub sealed: Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync>,
    /// The cluster addresses of the nodes that are known, this one first.
    pub nodes: Box<dyn Fn() -> Vec<String> + Send + Sync>,
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("belongs", &self.membership.get().is_some()).finish_non_exhaustive()
    }
}

/// TLS for joiners: 1.3, with a certificate that means nothing.
///
/// # Errors
/// If the system gives no randomness.
pub(crate) fn join_config() -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Always(meaningless()?)));
    config.alpn_protocols = vec![JOIN_PROTOCOL.into()];
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl Admission {
    pub(crate) fn new(secret: Option<Arc<ClusterSecret>>, instance: u64) -> Self {
        Self { secret, instance, membership: OnceLock::new(), attempts: Mutex::default() }
    }

    /// Serves one joiner.
    ///
    /// # Errors
    /// If the connection broke, or what came was no message that is known.
    pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: TlsStream<S>,
        from: IpAddr,
    ) -> io::Result<()> {
        let session = Session::of(stream.get_ref().1)?;
        let proof: Proof = receive(&mut stream).await?;
        let greeting = self.greet(&session, &proof, from).await;
        send(&mut stream, &greeting).await?;
        if !matches!(greeting, Greeting::Welcome(_)) {
            return Ok(());
        }
        for _ in 0..MAX_QUESTIONS {
            let question = match receive(&mut stream).await {
                Ok(question) => question,
                // It knows what it wanted to.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            };
            let answer = match question {
                Question::State => self.state(),
                Question::Admit(request) => self.admit(request, from).await,
            };
            send(&mut stream, &answer).await?;
        }
        Ok(())
    }

    /// Looks at a joiner's proof. Wrong ones are slowed down by their source, as wrong passwords are.
    async fn greet(&self, session: &Session, proof: &Proof, from: IpAddr) -> Greeting {
        let Some(secret) = &self.secret else { return Greeting::KnowsNoSecret };
        let turn = {
            let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            attempts.turn(Source::Address(from), "")
        };
        let Ok(mut failures) = tokio::time::timeout(PATIENCE, turn.lock()).await else { return Greeting::TooMany };
        // Before the proof is looked at: else who hangs up instead of waiting has learnt that it was wrong.
        tokio::time::sleep(failures.wait(Instant::now())).await;
        let right = secret.is_proof(&session.joiner, proof);
        failures.note(right, Instant::now());
        if right {
            return Greeting::Welcome(secret.prove(&session.member));
        }
        tracing::warn!(%from, "a node that does not know the cluster secret was turned away");
        Greeting::WrongSecret
    }

    fn state(&self) -> Answer {
        Answer::State(State { instance: self.instance, belongs: self.membership.get().is_some() })
    }

    async fn admit(&self, request: Request, from: IpAddr) -> Answer {
        let Some(membership) = self.membership.get() else {
            return Answer::Refused { why: "this node belongs to no cluster itself".into() };
        };
        let nodes = (membership.nodes)();
        let (Some(secret), Some(sealed)) = (self.secret.clone(), (membership.sealed)()) else {
            return Answer::Elsewhere { nodes };
        };
        let (node, ca) = (request.node.clone(), membership.ca.clone());
        // To open the sealed key takes some 20 ms of a processor.
        let signed = tokio::task::spawn_blocking(move || sign(&request, ca, &sealed, &secret)).await;
        let signed = match signed {
            Ok(signed) => signed,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        match signed {
            Ok(certificate) => {
                tracing::info!(node, %from, "admitted to the cluster");
                Answer::Admitted(Box::new(Admitted { ca: membership.ca.clone(), certificate, nodes }))
            }
            Err(error @ AuthorityError::Sealed(_)) => {
                // Not the joiner's fault: another node may have the secret that the key was sealed under.
                tracing::error!("no node can be admitted here: {error}");
                Answer::Elsewhere { nodes }
            }
            Err(error) => {
                tracing::warn!(%from, "a node was not admitted: {error}");
                Answer::Refused { why: error.to_string() }
            }
        }
    }
}

/// Signs a certificate for the key in a request: whose it is and how long it lasts is decided here.
fn sign(request: &Request, ca: String, sealed: &[u8], secret: &ClusterSecret) -> Result<String, AuthorityError> {
    let key = CertificateSigningRequestDer::from(request.key.as_slice());
    let key = CertificateSigningRequestParams::from_der(&key)?.public_key;
    Authority::open(ca, sealed, secret)?.certify(&request.node, &request.names, &key, SystemTime::now())
}
