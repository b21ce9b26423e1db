//! The certificate that clients see, read anew whenever its files change, and kept from ending.
//!
//! Files are looked at once a second instead of being watched by the kernel: that also sees mounted secrets, whose files
//! are links that are swapped, and file systems that report nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::mpsc;

use crate::certificate::{Certificate, CertificateError};
use crate::env::Rotation;
use crate::links::NodeTls;
use crate::metrics::TlsMetrics;
use crate::renewal::Renewal;
use crate::trust::KeyFiles;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often the certificate's end is looked at.
const DAY: Duration = Duration::from_secs(86_400);
/// How soon it is tried again to renew the node's own.
const HOUR: Duration = Duration::from_secs(3600);

/// What new connections get: the certificate, and tickets to resume their sessions with.
#[derive(Debug)]
pub struct Certificates(RwLock<Current>);

#[derive(Clone, Debug)]
struct Current {
    certificate: Certificate,
    /// Made anew with each certificate: who resumes a session does not see the certificate, so a session must not
    /// outlast it. The keys are random, known to this process alone, and replaced every six hours.
    tickets: Arc<dyn ProducesTickets>,
}

impl Current {
    fn new(certificate: Certificate) -> Result<Self, rustls::Error> {
        Ok(Self { certificate, tickets: rustls::crypto::aws_lc_rs::Ticketer::new()? })
    }
}

impl Certificates {
    /// # Errors
    /// If the system gives no randomness.
    pub fn new(certificate: Certificate) -> Result<Self, rustls::Error> {
        Ok(Self(RwLock::new(Current::new(certificate)?)))
    }

    fn current(&self) -> Current {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// New connections get this certificate; open ones live on. Whether it is another one than before.
    fn replace(&self, certificate: Certificate) -> Result<bool, rustls::Error> {
        if self.current().certificate.certified.cert == certificate.certified.cert {
            return Ok(false);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Current::new(certificate)?;
        Ok(true)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().certificate.certified)
    }
}

impl ProducesTickets for Certificates {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.current().tickets.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.current().tickets.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.current().tickets.decrypt(cipher)
    }
}

/// TLS 1.2 and 1.3 for clients, who show who they are by a password.
///
/// # Errors
/// If the cryptography knows neither version: a mistake in this file.
pub fn server_config(certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates.clone());
    // Clients keep their sessions, as tickets: nothing here grows with their number.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = certificates;
    Ok(Arc::new(config))
}

/// What tells whether a file is still the same: device, inode, size, and when content and inode changed.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

/// Two files, and what they were like.
#[derive(Debug)]
pub struct Watch {
    files: KeyFiles,
    /// When they were read, whether they could be used or not.
    read: [Option<Stamp>; 2],
    /// When they were looked at last.
    seen: [Option<Stamp>; 2],
}

impl Watch {
    /// Reads the pair.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn open(files: KeyFiles) -> Result<(Self, Certificate), CertificateError> {
        // First this: what changes while they are read is read again.
        let read = stamps(&files);
        let certificate = Certificate::read(&files)?;
        Ok((Self { files, read, seen: read }, certificate))
    }

    /// Reads the pair again if it has changed and has then been left alone between two looks: the two files are written
    /// one after the other.
    fn look(&mut self) -> Option<Result<Certificate, CertificateError>> {
        let now = stamps(&self.files);
        let is_settled = now == self.seen;
        self.seen = now;
        (is_settled && now != self.read).then(|| {
            self.read = now;
            Certificate::read(&self.files)
        })
    }
}

fn stamps(files: &KeyFiles) -> [Option<Stamp>; 2] {
    let stamp = |path: &Path| {
        // Of the file at the end of all links.
        let file = fs::metadata(path).ok()?;
        let (modified, changed) = ((file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec()));
        Some((file.dev(), file.ino(), file.size(), modified, changed))
    };
    [stamp(&files.certificate), stamp(&files.key)]
}

/// Keeps certificates current, and tells the log about it.
#[derive(Debug)]
pub(crate) struct Upkeep {
    /// The one that clients see, if there are any.
    pub clients: Option<ForClients>,
    /// The node's own, renewed before it ends, whether clients see that one or the operator's.
    pub renewal: Renewal,
    pub own: Own,
    pub metrics: Arc<TlsMetrics>,
    /// When the node's own is to be looked at next; `None`: now.
    pub due: Option<SystemTime>,
    /// Wishes for a new one of the node's own.
    pub rotations: mpsc::UnboundedReceiver<Rotation>,
}

/// The certificate that this node shows to others.
#[derive(Debug)]
pub(crate) struct Own {
    pub watch: Watch,
    pub certificate: Certificate,
    pub links: Arc<NodeTls>,
}

impl Upkeep {
    /// Goes on for ever.
    pub(crate) async fn run(mut self) {
        loop {
            self.tick(SystemTime::now()).await;
            if let Ok(Some(done)) = tokio::time::timeout(LOOK, self.rotations.recv()).await {
                // Whoever asked may have gone.
                let _ = done.send(self.rotate(SystemTime::now()).await);
            }
        }
    }

    /// Makes the node's own certificate anew, and uses it at once.
    pub(crate) async fn rotate(&mut self, now: SystemTime) -> Result<(), String> {
        self.renewal.renew(now).await.map_err(|error| error.to_string())?;
        tracing::info!("this node's own certificate was made anew, as was asked for");
        let (watch, certificate) = Watch::open(self.own.watch.files.clone()).map_err(|error| error.to_string())?;
        self.own.links.replace(&certificate);
        self.own.certificate = certificate.clone();
        // Clients may see the operator's instead, which is his to replace.
        if let Some(clients) = self.clients.as_mut().filter(|clients| clients.watch.files == watch.files) {
            clients.watch.read = watch.read;
            clients.use_from_now_on(certificate, now);
        }
        self.own.watch = watch;
        Ok(())
    }

    /// Looks at everything once.
    pub(crate) async fn tick(&mut self, now: SystemTime) {
        // A clock that was set back far is not waited for.
        let is_due = self.due.is_none_or(|due| now >= due || due.duration_since(now).is_ok_and(|wait| wait > DAY));
        if is_due {
            let again = match self.renewal.renew_if_due(now).await {
                Ok(true) => {
                    tracing::info!("this node's own certificate was made anew");
                    DAY
                }
                Ok(false) => DAY,
                Err(error) => {
                    tracing::error!("this node's own certificate cannot be renewed: {error}; tried again in an hour");
                    HOUR
                }
            };
            self.due = Some(now + again);
            if let Some(trouble) = self.own.certificate.trouble(now) {
                tracing::warn!("this node's own certificate needs to be renewed: {trouble}");
            }
        }
        match self.own.watch.look() {
            Some(Ok(certificate)) => {
                self.own.links.replace(&certificate);
                self.own.certificate = certificate;
            }
            Some(Err(error)) => tracing::error!("this node's own certificate cannot be used: {error}"),
            None => {}
        }
        let ends = u64::try_from(self.own.certificate.ends().timestamp()).unwrap_or(0);
        self.metrics.node_certificate_expiry.store(ends, Ordering::Relaxed);
        if let Some(clients) = &mut self.clients {
            clients.tick(now);
        }
    }
}

/// The certificate that clients see, the node's own or the operator's.
#[derive(Debug)]
pub(crate) struct ForClients {
    pub certificates: Arc<Certificates>,
    pub watch: Watch,
    pub metrics: Arc<TlsMetrics>,
    /// When the end was looked at last; `None` before the first time.
    pub looked_at_end: Option<SystemTime>,
}

impl ForClients {
    pub(crate) fn tick(&mut self, now: SystemTime) {
        // A clock that was set back has not yet been looked at today either.
        let is_new_day =
            self.looked_at_end.is_none_or(|last| now.duration_since(last).is_ok_and(|passed| passed >= DAY));
        if is_new_day {
            self.looked_at_end = Some(now);
            self.report(now);
        }
        match self.watch.look() {
            Some(Ok(certificate)) => self.use_from_now_on(certificate, now),
            Some(Err(error)) => self.keep(&error),
            None => {}
        }
    }

    fn use_from_now_on(&mut self, certificate: Certificate, now: SystemTime) {
        let path = self.watch.files.certificate.display();
        let ends = certificate.ends();
        match self.certificates.replace(certificate) {
            Ok(true) => {
                tracing::info!("new connections get the new certificate in {path}, which ends on {ends}");
                self.report(now);
            }
            Ok(false) => tracing::info!("{path} was read again: it is the certificate in use, which ends on {ends}"),
            Err(error) => self.keep(&error),
        }
    }

    fn keep(&self, error: &dyn std::fmt::Display) {
        self.metrics.reload_failures.fetch_add(1, Ordering::Relaxed);
        let ends = self.certificates.current().certificate.ends();
        tracing::error!(
            "the new certificate cannot be used, and the one before, which ends on {ends}, stays in use: {error}; the files are read again when they change"
        );
    }

    /// Tells metrics when the certificate in use ends, and the log if that is soon.
    fn report(&self, now: SystemTime) {
        let certificate = self.certificates.current().certificate;
        let ends = u64::try_from(certificate.ends().timestamp()).unwrap_or(0);
        self.metrics.certificate_expiry.store(ends, Ordering::Relaxed);
        if let Some(trouble) = certificate.trouble(now) {
            let path = self.watch.files.certificate.display();
            tracing::warn!("the certificate in {path} needs to be renewed: {trouble}");
        }
    }
}

#[cfg(test)]
mod tests;
