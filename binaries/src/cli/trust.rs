//! Whom the client believes to be the server.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::stop::Stop;

/// Where a server in the same folder keeps its cluster's CA by default.
const LOCAL_CA: &str = "./mneme-data/ca.crt";

/// Which certificates are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    pub roots: Roots,
    /// The flag that names a file of CAs.
    pub flag: &'static str,
}

/// Who must have signed a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Anybody: whoever answers can read and change everything.
    Anyone,
    /// One of the CAs in this file.
    File(PathBuf),
    /// One of the CAs that this system trusts.
    System,
}

impl Trust {
    /// What the flags say, else the CA of a server in this folder, else the system.
    pub fn choose(insecure: bool, ca_cert: Option<&PathBuf>) -> Trust {
        match (Roots::choose(insecure, ca_cert), Path::new(LOCAL_CA)) {
            (Roots::System, local) if local.exists() => Trust::file(local),
            (roots, _) => Trust { roots, flag: "--ca-cert" },
        }
    }

    /// The CAs of this file, and no flag has named another.
    pub fn file(path: &Path) -> Trust {
        Trust { roots: Roots::File(path.into()), flag: "--ca-cert" }
    }

    /// What the flags say of the server that keys are imported from, else the system.
    pub fn choose_of_source(insecure: bool, ca_cert: Option<&PathBuf>) -> Trust {
        Trust { roots: Roots::choose(insecure, ca_cert), flag: "--source-ca-cert" }
    }

    /// How to speak TLS with this trust.
    ///
    /// # Errors
    /// If the file cannot be read or holds no certificate.
    pub fn config(&self) -> Result<Arc<ClientConfig>, Stop> {
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Stop::Connection(e.to_string()))?;
        let config = match &self.roots {
            Roots::Anyone => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified(provider)))
                .with_no_client_auth(),
            Roots::File(path) => builder.with_root_certificates(roots_of(path)?).with_no_client_auth(),
            Roots::System => builder.with_root_certificates(system_roots()).with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    /// Why a handshake with a host failed, and what would mend it.
    pub fn explain(&self, host: &str, error: &io::Error) -> String {
        let tls = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
        match tls {
            Some(Error::InvalidCertificate(problem)) => self.explain_certificate(host, problem),
            Some(Error::InvalidMessage(_)) => format!("does not speak TLS here ({error})"),
            Some(other) => format!("no TLS connection: {other}"),
            None if is_timeout(error) => "connected, but it does not answer in TLS".to_owned(),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                "closed the connection before TLS was set up".to_owned()
            }
            None => format!("no TLS connection: {error}"),
        }
    }

    fn explain_certificate(&self, host: &str, problem: &CertificateError) -> String {
        use CertificateError as E;
        let flag = self.flag;
        let known = match &self.roots {
            Roots::File(path) => format!("in {}", path.display()),
            _ => "among this system's roots".to_owned(),
        };
        match problem {
            E::UnknownIssuer => format!(
                "its certificate is signed by a CA that is not {known}; \
                 pass {flag} DATA/ca.crt, from the server's data folder"
            ),
            E::NotValidForName | E::NotValidForNameContext { .. } => format!(
                "its certificate is not for \"{host}\" ({problem}); \
                 connect by one of its names, or start the server with --tls-san {host}"
            ),
            E::Expired | E::ExpiredContext { .. } => format!(
                "its certificate has expired ({problem}); restart the server to renew it, \
                 or set this machine's clock"
            ),
            E::NotValidYet | E::NotValidYetContext { .. } => {
                format!("its certificate is not valid yet ({problem}); set this machine's clock")
            }
            other => format!(
                "its certificate cannot be verified ({other}); \
                 pass {flag} with the CA that signed it"
            ),
        }
    }
}

impl Roots {
    fn choose(insecure: bool, ca_cert: Option<&PathBuf>) -> Roots {
        match ca_cert {
            _ if insecure => Roots::Anyone,
            Some(file) => Roots::File(file.clone()),
            None => Roots::System,
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn roots_of(path: &Path) -> Result<RootCertStore, Stop> {
    let bad = |problem: &dyn std::fmt::Display| Stop::Usage(format!("{}: {problem}", path.display()));
    let certificates = CertificateDer::pem_file_iter(path).map_err(|e| bad(&e))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.map_err(|e| bad(&e))?).map_err(|e| bad(&e))?;
    }
    match roots.is_empty() {
        true => Err(bad(&"no certificate in it")),
        false => Ok(roots),
    }
}

/// The system's roots, as far as they can be read. If none can, no server is verified, and that is said then.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Accepts every certificate, because `--insecure` says so. The handshake's own signature is still checked.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_cause_and_its_mend() {
        let trust = Trust::file(Path::new("ca.crt"));
        let certificate = |e| io::Error::other(Error::InvalidCertificate(e));
        for (error, parts) in [
            (certificate(CertificateError::UnknownIssuer), ["not in ca.crt", "--ca-cert DATA/ca.crt"]),
            (certificate(CertificateError::NotValidForName), ["not for \"n1\"", "--tls-san n1"]),
            (certificate(CertificateError::Expired), ["expired", "clock"]),
            (certificate(CertificateError::NotValidYet), ["not valid yet", "clock"]),
            (certificate(CertificateError::BadSignature), ["cannot be verified", "--ca-cert"]),
            (io::ErrorKind::WouldBlock.into(), ["does not answer", "TLS"]),
            (io::ErrorKind::UnexpectedEof.into(), ["closed", "TLS"]),
        ] {
            let message = trust.explain("n1", &error);
            assert!(parts.iter().all(|part| message.contains(part)), "{error}: {message}");
        }
        let source = Trust::choose_of_source(false, None);
        let message = source.explain("n1", &certificate(CertificateError::UnknownIssuer));
        assert!(message.contains("this system's roots") && message.contains("--source-ca-cert"), "{message}");
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        for path in ["/nowhere/ca.crt", "/dev/null"] {
            assert!(matches!(roots_of(Path::new(path)), Err(Stop::Usage(m)) if m.starts_with(path)));
        }
    }
}
