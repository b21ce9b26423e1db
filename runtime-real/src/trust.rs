//! Who is who: the cluster's certificate authority, and this node's key and certificate.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::certificate::CertificateError;

/// How long certificates last.
const CA_LIFETIME: Duration = days(3650);
const NODE_LIFETIME: Duration = days(365);
/// A node's certificate is made anew when it has less than this left.
const RENEW_BEFORE: Duration = days(60);
/// Clocks of other machines may be behind by so much.
const BACKDATE: Duration = days(1);

const fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("{path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("{path}: {what}")]
    Content { path: PathBuf, what: String },
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// A certificate and key in PEM files.
#[derive(Clone, Debug)]
pub struct KeyFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
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
    /// Finds the identity, or makes what is missing or about to end: `ca.crt` and `ca.key`, `node.crt` and `node.key`.
    ///
    /// # Errors
    /// If a file cannot be read or written, or a certificate is due and the CA's key is not here.
    pub fn find_or_make(&self, now: SystemTime) -> Result<KeyFiles, TrustError> {
        let (data, names) = (&self.data, &self.names);
        let ca = KeyFiles { certificate: data.join("ca.crt"), key: data.join("ca.key") };
        let own = KeyFiles { certificate: data.join("node.crt"), key: data.join("node.key") };
        // The key first: a certificate that is there has a key.
        if !ca.certificate.exists() {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            write_private(&ca.key, &key.serialize_pem())?;
            write_file(&ca.certificate, &ca_params(now).self_signed(&key)?.pem(), 0o644)?;
        }
        let is_current = own.key.exists() && own.certificate.exists() && covers(&own, names, now)?;
        if !is_current {
            let ca_key = KeyPair::from_pem(&read(&ca.key)?)?;
            let issuer = Issuer::from_ca_cert_pem(&read(&ca.certificate)?, ca_key)?;
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            let certificate = node_params(&self.node, names, now)?.signed_by(&key, &issuer)?;
            write_private(&own.key, &key.serialize_pem())?;
            write_file(&own.certificate, &certificate.pem(), 0o644)?;
        }
        Ok(own)
    }
}

/// Whether a certificate is that of its key, lasts long enough and names all of these.
fn covers(own: &KeyFiles, names: &[String], now: SystemTime) -> Result<bool, TrustError> {
    use x509_parser::extensions::GeneralName;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fresh_until = (now + RENEW_BEFORE).as_secs() as i64;
    // A crash between the two files leaves a new key with an old certificate.
    let key = KeyPair::from_pem(&read(&own.key)?)?;
    parse(&own.certificate, |parsed| {
        let named: Vec<String> = match parsed.subject_alternative_name() {
            Ok(Some(san)) => san
                .value
                .general_names
                .iter()
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some((*name).to_string()),
                    GeneralName::IPAddress(bytes) => match bytes.len() {
                        4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
                        _ => <[u8; 16]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
                    },
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        parsed.public_key().subject_public_key.data == key.public_key_raw()
            && parsed.validity().not_after.timestamp() > fresh_until
            && names.iter().all(|name| named.contains(name))
    })
}

fn parse<T>(
    certificate: &Path,
    look: impl FnOnce(&x509_parser::certificate::X509Certificate<'_>) -> T,
) -> Result<T, TrustError> {
    let bad = |what: String| TrustError::Content { path: certificate.to_path_buf(), what };
    let der = CertificateDer::from_pem_file(certificate).map_err(|error| bad(error.to_string()))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|error| bad(error.to_string()))?;
    Ok(look(&parsed))
}

fn ca_params(now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Mneme cluster CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    lasts(&mut params, now, CA_LIFETIME);
    params
}

fn node_params(node: &str, names: &[String], now: SystemTime) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, node);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    lasts(&mut params, now, NODE_LIFETIME);
    Ok(params)
}

fn lasts(params: &mut CertificateParams, now: SystemTime, lifetime: Duration) {
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + lifetime).into();
}

fn read(path: &Path) -> Result<String, TrustError> {
    fs::read_to_string(path).map_err(|error| TrustError::File { path: path.into(), error })
}

/// Writes a file that only this user may read.
pub(crate) fn write_private(path: &Path, content: &str) -> Result<(), TrustError> {
    write_file(path, content, 0o600)
}

/// Writes a file that is there whole or not at all, also after a crash.
fn write_file(path: &Path, content: &str, mode: u32) -> Result<(), TrustError> {
    let temporary = path.with_extension("new");
    let write = || {
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error| TrustError::File { path: path.into(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::Certificate;

    #[test]
    fn a_certificate_that_is_about_to_end_is_made_anew() {
        let folder = std::env::temp_dir().join(format!("mneme-identity-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        let identity = Identity { data: folder.clone(), node: "n1".into(), names: vec!["localhost".into()] };
        let now = SystemTime::now();
        let chain = |now| {
            let files = identity.find_or_make(now).expect("a sound folder");
            Certificate::read(&files).expect("a pair").certified.cert.clone()
        };

        let first = chain(now);
        let last_moment = now + NODE_LIFETIME - RENEW_BEFORE - Duration::from_secs(10);
        assert_eq!(chain(last_moment), first);
        let second = chain(last_moment + Duration::from_secs(20));
        assert_ne!(second, first);
        assert_eq!(chain(last_moment + NODE_LIFETIME / 2), second);

        fs::remove_file(folder.join("ca.key")).expect("it is there");
        let error = identity.find_or_make(now + NODE_LIFETIME * 2).expect_err("nobody can sign");
        assert!(error.to_string().contains("ca.key"), "{error}");
        fs::remove_dir_all(&folder).expect("it is there");
    }
}
