//! Who is who: the cluster's certificate authority, and this node's key and certificate, as files in its data folder.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::authority::{Authority, AuthorityError, covers};
use crate::certificate::CertificateError;
use crate::secret::ClusterSecret;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("{path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("{path}: {what}")]
    Content { path: PathBuf, what: String },
    #[error("{sealed}: {error}")]
    Authority { sealed: PathBuf, error: AuthorityError },
    #[error("cannot make a key or a certificate: {0}")]
    Make(#[from] rcgen::Error),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(
        "{data} holds a node's data, and {missing} is missing: restore it, or let the node join anew with an empty folder"
    )]
    DataWithoutIdentity { data: PathBuf, missing: &'static str },
    #[error(
        "{0} is that of a node which founded a cluster, its log is gone, and it knows no other Keepers: restore it, or, if others hold the data, let the node join them with an empty folder and --join"
    )]
    FounderWithoutData(PathBuf),
    #[error(
        "this node's certificate has to be made anew, for which the cluster secret is needed: set MNEME_CLUSTER_SECRET"
    )]
    NoSecret,
}

impl TrustError {
    /// Whether files are missing that only a backup, or an operator's decision, brings back.
    pub fn is_damage(&self) -> bool {
        matches!(self, TrustError::DataWithoutIdentity { .. } | TrustError::FounderWithoutData(_))
    }

    /// Whether the cluster's secret is missing or another one.
    pub fn is_wrong_secret(&self) -> bool {
        matches!(self, TrustError::NoSecret | TrustError::Authority { error: AuthorityError::Sealed(_), .. })
    }
}

/// A certificate and key in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What a data folder says of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belonging {
    /// It belongs to no cluster.
    Nothing,
    /// It made the cluster's CA.
    Founder,
    /// It was admitted by another node.
    Member,
}

/// This node's identity in its data folder.
#[derive(Clone, Debug)]
pub struct Identity {
    pub data: PathBuf,
    pub node: String,
    /// What clients and other nodes call this node.
    pub names: Vec<String>,
}

impl Identity {
    /// What the folder says.
    ///
    /// # Errors
    /// If what it holds does not go together.
    pub fn belonging(&self) -> Result<Belonging, TrustError> {
        let has = |name: &str| self.path(name).exists();
        let has_data = self.holds_files("log") || self.holds_files("snapshot") || has(FOUNDED);
        match (has(CA), has(CERTIFICATE) && has(KEY), has(SEALED)) {
            // Without its certificate it has one made: it can sign.
            (true, _, true) => Ok(Belonging::Founder),
            (true, true, false) => Ok(Belonging::Member),
            (false, ..) if has_data => Err(self.incomplete(CA)),
            (true, false, false) if has_data => Err(self.incomplete("node.crt or node.key")),
            // What a crash left of founding or joining is made anew.
            _ => Ok(Belonging::Nothing),
        }
    }

    fn incomplete(&self, missing: &'static str) -> TrustError {
        TrustError::DataWithoutIdentity { data: self.data.clone(), missing }
    }

    fn holds_files(&self, dir: &str) -> bool {
        fs::read_dir(self.path(dir)).is_ok_and(|mut files| files.next().is_some())
    }

    /// Makes the cluster's CA, and this node's certificate by it.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(crate) fn found(&self, secret: &ClusterSecret, now: SystemTime) -> Result<(), TrustError> {
        let authority = Authority::make(now).map_err(|error| self.authority_failed(error))?;
        let sealed = authority.sealed(secret).map_err(|error| self.authority_failed(error))?;
        // The key first: a certificate that is there has a key.
        write_private(&self.path(SEALED), &sealed)?;
        write_file(&self.path(CA), authority.certificate().as_bytes(), 0o644)?;
        self.certify(&authority, now)
    }

    /// Notes that the cluster that this node founded has begun its log here: from now on that must be there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn note_founded(&self) -> Result<(), TrustError> {
        let path = self.path(FOUNDED);
        if path.exists() { Ok(()) } else { write_file(&path, b"", 0o644) }
    }

    /// Whether the log of the cluster that this node founded began here, and is not here any more.
    pub(crate) fn has_lost_its_log(&self) -> bool {
        self.path(FOUNDED).exists() && !self.holds_files("log")
    }

    /// Whether the certificate is missing or has to be made anew: it ends soon, or names are missing in it.
    ///
    /// # Errors
    /// If a file is there and cannot be read.
    pub(crate) fn is_due(&self, now: SystemTime) -> Result<bool, TrustError> {
        let files = self.files();
        if !files.certificate.exists() || !files.key.exists() {
            return Ok(true);
        }
        let key = KeyPair::from_pem(&read(&files.key)?)?;
        let covers = parse(&files.certificate, |parsed| covers(parsed, &key, &self.node, &self.names, now))?;
        Ok(!covers)
    }

    /// Makes the node's certificate anew with the CA's sealed key.
    ///
    /// # Errors
    /// If the secret is not that of the key, or a file cannot be read or written.
    pub(crate) fn renew(&self, sealed: &[u8], secret: &ClusterSecret, now: SystemTime) -> Result<(), TrustError> {
        let authority = Authority::open(self.ca()?, sealed, secret).map_err(|error| self.authority_failed(error))?;
        self.certify(&authority, now)
    }

    fn certify(&self, authority: &Authority, now: SystemTime) -> Result<(), TrustError> {
        let certificate = authority.certify(&self.node, &self.names, &self.key()?, now);
        let certificate = certificate.map_err(|error| self.authority_failed(error))?;
        write_file(&self.files().certificate, certificate.as_bytes(), 0o644)
    }

    /// Whether the secret is the one that the CA's key was sealed under.
    ///
    /// # Errors
    /// If it is not, or a file cannot be read.
    pub(crate) fn check_secret(&self, sealed: &[u8], secret: &ClusterSecret) -> Result<(), TrustError> {
        match Authority::open(self.ca()?, sealed, secret) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.authority_failed(error)),
        }
    }

    fn authority_failed(&self, error: AuthorityError) -> TrustError {
        TrustError::Authority { sealed: self.path(SEALED), error }
    }

    /// A request, DER, for a certificate of this node's key. The key does not leave the folder.
    ///
    /// # Errors
    /// If there is no key and none can be written.
    pub(crate) fn request(&self) -> Result<Vec<u8>, TrustError> {
        let request = CertificateParams::default().serialize_request(&self.key()?)?;
        Ok(request.der().to_vec())
    }

    /// Keeps what another node signed, both PEM, and the nodes that are known by it.
    ///
    /// # Errors
    /// If the certificate is not of this node's key, or a file cannot be written.
    pub(crate) fn accept(&self, ca: &str, certificate: &str, nodes: &[String]) -> Result<(), TrustError> {
        self.check(ca, certificate)?;
        // The certificate last: with it the node belongs.
        write_file(&self.path(NODES), nodes.join("\n").as_bytes(), 0o644)?;
        write_file(&self.path(CA), ca.as_bytes(), 0o644)?;
        write_file(&self.files().certificate, certificate.as_bytes(), 0o644)
    }

    /// Keeps what another node signed when the certificate was due.
    ///
    /// # Errors
    /// If it is not of this node's key or of its CA, or the file cannot be written.
    pub(crate) fn renewed(&self, ca: &str, certificate: &str) -> Result<(), TrustError> {
        if ca != self.ca()? {
            let what = "another cluster's CA answered when the certificate was to be renewed".into();
            return Err(TrustError::Content { path: self.path(CA), what });
        }
        self.check(ca, certificate)?;
        write_file(&self.files().certificate, certificate.as_bytes(), 0o644)
    }

    /// Whether a certificate is what this node asked for.
    fn check(&self, ca: &str, certificate: &str) -> Result<(), TrustError> {
        let bad = |what: String| TrustError::Content { path: self.files().certificate, what };
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| bad(error.to_string()))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|error| bad(error.to_string()))?;
        if !covers(&parsed, &self.key()?, &self.node, &[], SystemTime::UNIX_EPOCH) {
            return Err(bad("what was signed is no certificate of this node and its key".into()));
        }
        let ca = CertificateDer::from_pem_slice(ca.as_bytes()).map_err(|error| bad(error.to_string()))?;
        let (_, ca) = x509_parser::parse_x509_certificate(&ca).map_err(|error| bad(error.to_string()))?;
        parsed
            .verify_signature(Some(ca.public_key()))
            .map_err(|error| bad(format!("what was signed is not by the CA that came with it: {error}")))
    }

    /// The nodes that were known when this one was admitted.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub(crate) fn remembered(&self) -> Result<Vec<String>, TrustError> {
        let path = self.path(NODES);
        if !path.exists() {
            return Ok(Vec::new());
        }
        Ok(read(&path)?.lines().filter(|line| !line.is_empty()).map(String::from).collect())
    }

    /// This node's key; made if there is none. It stays the same when the certificate is renewed: both files would have
    /// to change at once otherwise.
    fn key(&self) -> Result<KeyPair, TrustError> {
        let path = self.files().key;
        if path.exists() {
            return Ok(KeyPair::from_pem(&read(&path)?)?);
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        write_private(&path, key.serialize_pem().as_bytes())?;
        Ok(key)
    }

    pub(crate) fn files(&self) -> KeyFiles {
        KeyFiles { certificate: self.path(CERTIFICATE), key: self.path(KEY) }
    }

    /// The CA's certificate, PEM.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn ca(&self) -> Result<String, TrustError> {
        read(&self.path(CA))
    }

    /// The CA's sealed key, if this node made it.
    pub(crate) fn sealed(&self) -> Option<Vec<u8>> {
        fs::read(self.path(SEALED)).ok()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }
}

const CA: &str = "ca.crt";
const SEALED: &str = "ca.sealed";
const CERTIFICATE: &str = "node.crt";
const KEY: &str = "node.key";
const NODES: &str = "nodes";
const FOUNDED: &str = "founded";

fn parse<T>(
    certificate: &Path,
    look: impl FnOnce(&x509_parser::certificate::X509Certificate<'_>) -> T,
) -> Result<T, TrustError> {
    let bad = |what: String| TrustError::Content { path: certificate.to_path_buf(), what };
    let der = CertificateDer::from_pem_file(certificate).map_err(|error| bad(error.to_string()))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|error| bad(error.to_string()))?;
    Ok(look(&parsed))
}

fn read(path: &Path) -> Result<String, TrustError> {
    fs::read_to_string(path).map_err(|error| TrustError::File { path: path.into(), error })
}

/// Writes a file that only this user may read.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), TrustError> {
    write_file(path, content, 0o600)
}

/// Writes a file that is there whole or not at all, also after a crash.
fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<(), TrustError> {
    let temporary = path.with_added_extension("new");
    let write = || {
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error| TrustError::File { path: path.into(), error })
}

#[cfg(test)]
mod tests;
