//! The CA's private key at rest: sealed under the cluster's secret, so that whoever holds the file or the replicated
//! state, and not the secret, cannot admit nodes.
//!
//! Layout: `MNCA`, a version, a salt, a nonce, and the key's PEM under AES-256-GCM with its tag. The key of the cipher is
//! Argon2id of the secret and the salt. The CA's certificate is authenticated with it: a sealed key cannot be passed off
//! as that of another cluster.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rustls::pki_types::CertificateDer;

use crate::passwords::fill_random;
use crate::secret::{ClusterSecret, stretch};

const HEAD: [u8; 5] = *b"MNCA\x01";
const SALT: usize = 16;

/// Why a sealed key cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    #[error("it is no sealed key of this version")]
    Foreign,
    #[error("the cluster secret is not the one that it was sealed under, or it is damaged")]
    WrongSecret,
}

/// Seals the private key, PEM, of the CA with this certificate.
pub(crate) fn seal(key: &str, ca: &CertificateDer<'_>, secret: &ClusterSecret) -> Vec<u8> {
    let (mut salt, mut nonce) = ([0; SALT], [0; NONCE_LEN]);
    fill_random(&mut salt);
    fill_random(&mut nonce);
    let mut content = key.as_bytes().to_vec();
    let sealed = cipher(secret, &salt).seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(ca.as_ref()),
        &mut content,
    );
    assert!(sealed.is_ok(), "AES-GCM seals whatever is shorter than 64 GiB");
    [&HEAD[..], &salt, &nonce, &content].concat()
}

/// The private key, PEM.
///
/// # Errors
/// If it was sealed under another secret or for another CA, or is damaged.
pub(crate) fn unseal(sealed: &[u8], ca: &CertificateDer<'_>, secret: &ClusterSecret) -> Result<String, UnsealError> {
    let rest = sealed.strip_prefix(&HEAD).ok_or(UnsealError::Foreign)?;
    let (salt, rest) = rest.split_first_chunk::<SALT>().ok_or(UnsealError::Foreign)?;
    let (nonce, content) = rest.split_first_chunk::<NONCE_LEN>().ok_or(UnsealError::Foreign)?;
    let mut content = content.to_vec();
    let opened = cipher(secret, salt)
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(ca.as_ref()), &mut content)
        .map_err(|_| UnsealError::WrongSecret)?;
    String::from_utf8(opened.to_vec()).map_err(|_| UnsealError::Foreign)
}

fn cipher(secret: &ClusterSecret, salt: &[u8; SALT]) -> LessSafeKey {
    let key = stretch(secret.expose(), salt);
    let key = UnboundKey::new(&AES_256_GCM, &key);
    LessSafeKey::new(key.unwrap_or_else(|error| panic!("a key of 256 bits: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_key_opens_with_its_secret_for_its_ca_and_not_otherwise() {
        let (ours, other) = (ClusterSecret::new("ours".into()), ClusterSecret::new("other".into()));
        let (ca, other_ca) = (CertificateDer::from(vec![1, 2, 3]), CertificateDer::from(vec![1, 2, 4]));
        let sealed = seal("the key", &ca, &ours);
        assert!(!sealed.windows(7).any(|window| window == b"the key"));
        assert_eq!(unseal(&sealed, &ca, &ours).as_deref(), Ok("the key"));
        assert_eq!(unseal(&sealed, &ca, &other), Err(UnsealError::WrongSecret));
        assert_eq!(unseal(&sealed, &other_ca, &ours), Err(UnsealError::WrongSecret));
        for i in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[i] ^= 1;
            // One Argon2id each: a few places stand for all.
            if i % 29 == 0 || i == sealed.len() - 1 {
                assert!(unseal(&damaged, &ca, &ours).is_err(), "byte {i}");
            }
        }
        for len in [0, 5, HEAD.len() + SALT, HEAD.len() + SALT + NONCE_LEN] {
            assert!(unseal(&sealed[..len], &ca, &ours).is_err(), "{len} bytes");
        }
        assert_ne!(seal("the key", &ca, &ours), sealed, "each has its own salt and nonce");
    }
}
