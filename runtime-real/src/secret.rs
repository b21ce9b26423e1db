//! The cluster's secret: what a node shows that it knows, without saying it, to be admitted.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use argon2::Argon2;
use aws_lc_rs::hmac;

use crate::passwords::make_secret;
use crate::trust::{TrustError, write_private};

/// Where a founder keeps the secret that it made.
const FILE: &str = "cluster-secret";
/// Bytes of an own secret below which it is warned about: whoever gets hold of a sealed CA key, or poses as a node to a
/// joiner, may then find it by trying.
const SHORT: usize = 16;
/// The same in every cluster: both sides stretch the secret before they have said anything to each other.
const PROOF_SALT: &[u8; 16] = b"mneme-join/1 key";

/// What a proof is made from: keying material of one TLS session, exported for one of its sides.
pub(crate) type Keying = [u8; 32];
/// Shows that who made it knows the secret and is an end of that session.
pub(crate) type Proof = [u8; 32];

/// The secret.
pub struct ClusterSecret {
    text: String,
    /// Stretched by Argon2id when it is first needed: whoever gets a proof from a joiner by posing as a node pays that for
    /// each secret he tries.
    key: OnceLock<hmac::Key>,
}

impl std::fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterSecret")
    }
}

impl ClusterSecret {
    pub fn new(text: String) -> Self {
        Self { text, key: OnceLock::new() }
    }

    fn key(&self) -> &hmac::Key {
        self.key.get_or_init(|| hmac::Key::new(hmac::HMAC_SHA256, &stretch(&self.text, PROOF_SALT)))
    }

    /// The operator's, or the one that was made here.
    ///
    /// # Errors
    /// If there is a file that cannot be read.
    pub fn find(data: &Path, given: Option<&str>) -> Result<Option<Self>, TrustError> {
        if let Some(given) = given {
            if given.len() < SHORT {
                tracing::warn!(
                    "the cluster secret has {} characters: {SHORT} random ones or more cannot be guessed",
                    given.len()
                );
            }
            return Ok(Some(Self::new(given.into())));
        }
        let path = data.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => Err(TrustError::Content { path, what: "it is empty".into() }),
            Ok(text) => Ok(Some(Self::new(text.trim().into()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TrustError::File { path, error }),
        }
    }

    /// A new one of 128 bits, kept in the data folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn make(data: &Path) -> Result<Self, TrustError> {
        let text = make_secret();
        write_private(&data.join(FILE), text.as_bytes())?;
        Ok(Self::new(text))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.text
    }

    pub(crate) fn prove(&self, keying: &Keying) -> Proof {
        let mut proof = [0; 32];
        proof.copy_from_slice(hmac::sign(self.key(), keying).as_ref());
        proof
    }

    /// Whether that is a proof for this session and side, in a time that tells nothing.
    pub(crate) fn is_proof(&self, keying: &Keying, proof: &Proof) -> bool {
        hmac::verify(self.key(), keying, proof).is_ok()
    }
}

/// A key of 256 bits from a secret: Argon2id with 19 MiB and two passes.
pub(crate) fn stretch(secret: &str, salt: &[u8; 16]) -> [u8; 32] {
    let mut key = [0; 32];
    let stretched = Argon2::default().hash_password_into(secret.as_bytes(), salt, &mut key);
    stretched.unwrap_or_else(|error| panic!("Argon2id with its default parameters: {error}"));
    key
}
