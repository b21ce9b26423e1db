//! The cluster's certificate authority: makes itself, and the certificates of nodes.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::sealed::{UnsealError, seal, unseal};
use crate::secret::ClusterSecret;

/// How long certificates last.
const CA_LIFETIME: Duration = days(3650);
pub(crate) const NODE_LIFETIME: Duration = days(365);
/// A node's certificate is made anew when it has less than this left.
pub(crate) const RENEW_BEFORE: Duration = days(60);
/// Clocks of other machines may be behind by so much.
const BACKDATE: Duration = days(1);
/// Before a node's name, in its certificate: only a node's has it, whatever else the CA may sign one day.
const NODE_URI: &str = "mneme-node:";
/// Bytes of a node's name, and of a name by which it is called.
const MAX_NODE_NAME: usize = 64;
const MAX_NAME: usize = 253;
/// Names in one certificate.
const MAX_NAMES: usize = 64;

const fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("the sealed key of the CA cannot be opened: {0}")]
    Sealed(#[from] UnsealError),
    #[error("the certificate of the CA is no certificate: {0}")]
    Certificate(rustls::pki_types::pem::Error),
    #[error("\"{0}\" is no name of a node: up to 64 letters, digits, dots, dashes and underscores")]
    NodeName(String),
    #[error("\"{0}\" is neither a host name nor an address")]
    Name(String),
    #[error("more than {MAX_NAMES} names")]
    TooManyNames,
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// The CA with its private key. Held only while something is signed.
pub(crate) struct Authority {
    /// PEM.
    certificate: String,
    key: KeyPair,
}

impl Authority {
    /// A new one.
    pub(crate) fn make(now: SystemTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = ca_params(now).self_signed(&key)?.pem();
        Ok(Self { certificate, key })
    }

    /// The one with this certificate, PEM, and sealed key.
    pub(crate) fn open(certificate: String, sealed: &[u8], secret: &ClusterSecret) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(&unseal(sealed, &der(&certificate)?, secret)?)?;
        Ok(Self { certificate, key })
    }

    pub(crate) fn sealed(&self, secret: &ClusterSecret) -> Result<Vec<u8>, AuthorityError> {
        Ok(seal(&self.key.serialize_pem(), &der(&self.certificate)?, secret))
    }

    /// PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate, PEM, for the node of this name and key, which may be called by these names.
    pub(crate) fn certify(
        &self,
        node: &str,
        names: &[String],
        key: &impl PublicKeyData,
        now: SystemTime,
    ) -> Result<String, AuthorityError> {
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, &self.key)?;
        Ok(node_params(node, names, now)?.signed_by(key, &issuer)?.pem())
    }
}

fn der(certificate: &str) -> Result<CertificateDer<'static>, AuthorityError> {
    CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(AuthorityError::Certificate)
}

fn ca_params(now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Mneme cluster CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    lasts(&mut params, now, CA_LIFETIME);
    params
}

fn node_params(node: &str, names: &[String], now: SystemTime) -> Result<CertificateParams, AuthorityError> {
    if !is_node_name(node) {
        return Err(AuthorityError::NodeName(node.into()));
    }
    if let Some(bad) = names.iter().find(|name| !is_name(name)) {
        return Err(AuthorityError::Name(bad.clone()));
    }
    if names.len() > MAX_NAMES {
        return Err(AuthorityError::TooManyNames);
    }
    let mut params = CertificateParams::new(names)?;
    params.subject_alt_names.push(SanType::URI(format!("{NODE_URI}{node}").try_into()?));
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

fn is_node_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=MAX_NODE_NAME).contains(&name.len()) && name.bytes().all(plain)
}

fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    name.parse::<IpAddr>().is_ok() || (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain)
}

/// The name of the node whose certificate this is; `None` if it is no node's.
pub(crate) fn node_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let san = parsed.subject_alternative_name().ok()??;
    let named = san.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix(NODE_URI),
        _ => None,
    })?;
    is_node_name(named).then(|| named.into())
}

/// Whether a certificate is of this key, lasts long enough, and names the node and all that it is called by.
pub(crate) fn covers(
    certificate: &X509Certificate<'_>,
    key: &KeyPair,
    node: &str,
    names: &[String],
    now: SystemTime,
) -> bool {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fresh_until = (now + RENEW_BEFORE).as_secs() as i64;
    let named: Vec<String> = match certificate.subject_alternative_name() {
        Ok(Some(san)) => san.value.general_names.iter().filter_map(shown).collect(),
        _ => Vec::new(),
    };
    certificate.public_key().subject_public_key.data == key.public_key_raw()
        && certificate.validity().not_after.timestamp() > fresh_until
        && named.contains(&format!("{NODE_URI}{node}"))
        && names.iter().all(|name| named.contains(name))
}

fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_string()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
        },
        _ => None,
    }
}
