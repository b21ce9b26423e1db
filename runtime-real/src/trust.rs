//! Who is who: the cluster's certificate authority, this node's key and certificate, and TLS for clients.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// How long certificates last.
const CA_LIFETIME: Duration = days(3650);
const NODE_LIFETIME: Duration = days(365);
/// A node's certificate is made anew at a start when it has less than this left.
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
}

/// A certificate and key in PEM files.
#[derive(Clone, Debug)]
pub struct KeyFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Finds the node's identity in its data folder, or makes what is missing: `ca.crt` and `ca.key`, `node.crt` and
/// `node.key`. `names` are what clients and other nodes call this node.
pub fn identity(data: &Path, node: &str, names: &[String]) -> Result<KeyFiles, TrustError> {
    let ca = KeyFiles { certificate: data.join("ca.crt"), key: data.join("ca.key") };
    let own = KeyFiles { certificate: data.join("node.crt"), key: data.join("node.key") };
    // The key first: a certificate that is there has a key.
    if !ca.certificate.exists() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        write_private(&ca.key, &key.serialize_pem())?;
        write_file(&ca.certificate, &ca_params().self_signed(&key)?.pem(), 0o644)?;
    }
    let is_current = own.key.exists() && own.certificate.exists() && covers(&own, names)?;
    if !is_current {
        let ca_key = KeyPair::from_pem(&read(&ca.key)?)?;
        let issuer = Issuer::from_ca_cert_pem(&read(&ca.certificate)?, ca_key)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = node_params(node, names)?.signed_by(&key, &issuer)?;
        write_private(&own.key, &key.serialize_pem())?;
        write_file(&own.certificate, &certificate.pem(), 0o644)?;
    }
    Ok(own)
}

/// TLS 1.2 and 1.3 for clients, who show who they are by a password.
pub fn server_config(files: &KeyFiles) -> Result<Arc<ServerConfig>, TrustError> {
    let content = |path: &Path| {
        let path = path.to_path_buf();
        move |error: rustls::pki_types::pem::Error| TrustError::Content { path, what: error.to_string() }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(content(&files.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(content(&files.key))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}

/// When a certificate file ends, seconds since 1970.
pub fn expiry(certificate: &Path) -> Result<i64, TrustError> {
    parse(certificate, |parsed| parsed.validity().not_after.timestamp())
}

/// Whether a certificate is that of its key, lasts long enough and names all of these.
fn covers(own: &KeyFiles, names: &[String]) -> Result<bool, TrustError> {
    use x509_parser::extensions::GeneralName;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
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

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Mneme cluster CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    lasts(&mut params, CA_LIFETIME);
    params
}

fn node_params(node: &str, names: &[String]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, node);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    lasts(&mut params, NODE_LIFETIME);
    Ok(params)
}

fn lasts(params: &mut CertificateParams, lifetime: Duration) {
    let now = SystemTime::now();
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
