//! A certificate and its key as an operator gives them: two PEM files, checked as a pair before they are used.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::time::ASN1Time;

use crate::trust::KeyFiles;

/// A certificate is reported when it has less left than this, or than a quarter of its lifetime if that is shorter: one
/// that is made anew every week would be reported all the time otherwise.
const REPORT_BEFORE: Duration = Duration::from_secs(30 * 86_400);

/// Why two files are no usable pair. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{path}: cannot be read: {error}")]
    Read { path: PathBuf, error: io::Error },
    #[error("{path}: damaged PEM: {}; give the file as it was issued", pem_damage(error))]
    Pem { path: PathBuf, error: pem::Error },
    #[error(
        "{path}: no certificate in it; it must be PEM, the server's own certificate first, then those that signed it"
    )]
    NoCertificate { path: PathBuf },
    #[error("{path}: not a certificate: {what}")]
    Malformed { path: PathBuf, what: String },
    #[error("{path}: no private key in it; it must be PEM: PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY")]
    NoKey { path: PathBuf },
    #[error(
        "{path}: the private key is encrypted; decrypt it, as with `openssl pkey -in KEY -out PLAIN`, and keep it unreadable for others"
    )]
    EncryptedKey { path: PathBuf },
    #[error(
        "{path}: this private key cannot be used: {error}; RSA of at least 2048 bits, ECDSA P-256, P-384 or P-521, or Ed25519 can"
    )]
    UnusableKey { path: PathBuf, error: rustls::Error },
    #[error(
        "{key}: not the private key of the first certificate in {certificate}; give the two that were issued together, the server's own certificate first"
    )]
    Mismatch { key: PathBuf, certificate: PathBuf },
}

/// A certificate chain with its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub(crate) certified: Arc<CertifiedKey>,
    begins: ASN1Time,
    ends: ASN1Time,
}

impl Certificate {
    /// Reads a pair from its files.
    ///
    /// # Errors
    /// If they are no pair that a server can use. One that has ended can be used: see [`Certificate::trouble`].
    pub fn read(files: &KeyFiles) -> Result<Self, CertificateError> {
        let chain = read_chain(&files.certificate)?;
        let key = read_key(&files.key)?;
        let (begins, ends) = validity(&files.certificate, &chain)?;
        let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                CertificateError::Mismatch { key: files.key.clone(), certificate: files.certificate.clone() }
            }
            error => CertificateError::UnusableKey { path: files.key.clone(), error },
        })?;
        Ok(Self { certified: Arc::new(certified), begins, ends })
    }

    /// When it ends.
    pub fn ends(&self) -> ASN1Time {
        self.ends
    }

    /// What an operator should know about its time now, if anything.
    pub fn trouble(&self, now: SystemTime) -> Option<String> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
        let left = self.ends.timestamp() - now;
        let lifetime = self.ends.timestamp() - self.begins.timestamp();
        if left < 0 {
            Some(format!("it ended on {}, and clients refuse it", self.ends))
        } else if now < self.begins.timestamp() {
            Some(format!("it begins on {}, and clients refuse it until then; is the clock right?", self.begins))
        } else if left < (REPORT_BEFORE.as_secs() as i64).min(lifetime / 4) {
            Some(format!("it ends on {}, in {}", self.ends, whole(left)))
        } else {
            None
        }
    }
}

/// Days, or hours where there is none.
fn whole(seconds: i64) -> String {
    match seconds / 86_400 {
        0 => format!("{} hours", seconds / 3600),
        days => format!("{days} days"),
    }
}

fn pem_damage(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "an END line is missing".into(),
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed".into(),
        pem::Error::Base64Decode(what) => format!("not base64: {what}"),
        other => format!("{other:?}"),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|error| CertificateError::Read { path: path.into(), error })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(CertificateError::NoCertificate { path: path.into() }),
        Ok(chain) => Ok(chain),
        Err(error) => Err(CertificateError::Pem { path: path.into(), error }),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let content = read(path)?;
    // The two forms of PEM that hold an encrypted key; the parser would skip one and misread the other.
    let holds = |text: &[u8]| content.windows(text.len()).any(|window| window == text);
    if holds(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || holds(b"Proc-Type: 4,ENCRYPTED") {
        return Err(CertificateError::EncryptedKey { path: path.into() });
    }
    PrivateKeyDer::from_pem_slice(&content).map_err(|error| match error {
        pem::Error::NoItemsFound => CertificateError::NoKey { path: path.into() },
        error => CertificateError::Pem { path: path.into(), error },
    })
}

fn validity(path: &Path, chain: &[CertificateDer<'_>]) -> Result<(ASN1Time, ASN1Time), CertificateError> {
    let malformed = |what: String| CertificateError::Malformed { path: path.into(), what };
    let own = chain.first().ok_or_else(|| CertificateError::NoCertificate { path: path.into() })?;
    let (_, parsed) = x509_parser::parse_x509_certificate(own).map_err(|error| malformed(error.to_string()))?;
    Ok((parsed.validity().not_before, parsed.validity().not_after))
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A folder with a pair in it, removed at the end.
    pub(crate) struct Pair {
        pub folder: PathBuf,
        pub files: KeyFiles,
    }

    impl Pair {
        pub(crate) fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("mneme-pair-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).expect("a temporary folder");
            let files = KeyFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key") };
            let pair = Self { folder, files };
            pair.write(&make(0, 90));
            pair
        }

        pub(crate) fn write(&self, (certificate, key): &(String, String)) {
            fs::write(&self.files.certificate, certificate).expect("a folder that can be written");
            fs::write(&self.files.key, key).expect("a folder that can be written");
        }
    }

    impl Drop for Pair {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    /// A certificate, from and until so many days from now, and its key.
    pub(crate) fn make(from: i64, until: i64) -> (String, String) {
        let day = |n: i64| match u64::try_from(n) {
            Ok(n) => SystemTime::now() + Duration::from_secs(n * 86_400),
            Err(_) => SystemTime::now() - Duration::from_secs(n.unsigned_abs() * 86_400),
        };
        let mut params = CertificateParams::new(["localhost".to_string()]).expect("a name");
        params.not_before = day(from).into();
        params.not_after = day(until).into();
        let key = KeyPair::generate().expect("randomness");
        (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
    }

    #[test]
    fn a_pair_that_cannot_be_used_is_refused_with_its_file_and_a_mend() {
        let pair = Pair::new("refused");
        let (certificate, key) = make(0, 90);
        let (_, other_key) = make(0, 90);
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        let no_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let cut = &certificate[..certificate.len() / 2];
        for (certificate, key, file, what) in [
            (&*certificate, &*other_key, "tls.key", "not the private key of the first certificate in"),
            (&*certificate, &*encrypted, "tls.key", "openssl pkey"),
            (&*certificate, legacy, "tls.key", "openssl pkey"),
            (&*certificate, &*certificate, "tls.key", "no private key in it"),
            (&*certificate, "", "tls.key", "no private key in it"),
            (&*certificate, no_key, "tls.key", "cannot be used"),
            (&*key, &*key, "tls.crt", "no certificate in it"),
            ("no PEM at all", &*key, "tls.crt", "no certificate in it"),
            (no_x509, &*key, "tls.crt", "not a certificate"),
            (cut, &*key, "tls.crt", "an END line is missing"),
        ] {
            pair.write(&(certificate.into(), key.into()));
            let error = Certificate::read(&pair.files).expect_err(what).to_string();
            assert!(error.starts_with(&*pair.folder.join(file).to_string_lossy()), "{error}");
            assert!(error.contains(what), "{error}");
        }
        pair.write(&(certificate.clone(), key.clone()));
        fs::remove_file(&pair.files.key).expect("it is there");
        let error = Certificate::read(&pair.files).expect_err("there is no key").to_string();
        assert!(error.contains("tls.key: cannot be read"), "{error}");
    }

    #[test]
    fn a_certificate_near_its_end_is_reported_and_used() {
        let pair = Pair::new("near-its-end");
        let now = SystemTime::now() + Duration::from_secs(90 * 60);
        for (from, until, wanted) in [
            (-1, 364, None),
            (-335, 29, Some("in 28 days")),
            (-335, 31, None),
            (-5, 2, None),
            (-7, 1, Some("in 22 hours")),
            (-7, -1, Some("it ended on")),
            (1, 90, Some("is the clock right?")),
        ] {
            pair.write(&make(from, until));
            let trouble = Certificate::read(&pair.files).expect("a pair").trouble(now);
            match (wanted, &trouble) {
                (None, None) => {}
                (Some(wanted), Some(trouble)) if trouble.contains(wanted) => {}
                _ => panic!("from day {from} until day {until}: {trouble:?}"),
            }
        }
    }
}
