//! Passwords: Argon2id once per user and process, then an HMAC under a key of this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use aws_lc_rs::{hmac, rand};
use mneme_kernel::call::Credentials;
use tokio::sync::Semaphore;

/// Argon2 runs at once: each takes 19 MiB and some 20 ms of a processor, which strangers must not multiply.
const AT_ONCE: usize = 2;

/// Checks passwords.
pub struct Passwords {
    key: hmac::Key,
    /// By stored hash: the HMAC of the password that has been found right.
    known: Mutex<HashMap<String, hmac::Tag>>,
    slots: Arc<Semaphore>,
    /// What the password of a user that does not exist is compared with.
    nobody: String,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

impl Passwords {
    pub fn new() -> Self {
        let mut key = [0; 32];
        fill_random(&mut key);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            known: Mutex::default(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            nobody: hash(b"nobody's password"),
        }
    }

    pub async fn hash(&self, password: Vec<u8>) -> String {
        self.slowly(move || hash(&password)).await
    }

    pub async fn check(&self, credentials: Credentials) -> bool {
        let Credentials { password, hash, .. } = credentials;
        let exists = hash.is_some();
        let stored = hash.unwrap_or_else(|| self.nobody.clone());
        // The user's name is not needed: two users never share a salted hash.
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&stored).copied();
        if let Some(tag) = known
            && hmac::verify(&self.key, &password, tag.as_ref()).is_ok()
        {
            return exists;
        }
        let tag = hmac::sign(&self.key, &password);
        let (right, stored) = self.slowly(move || (verify(&password, &stored), stored)).await;
        if right && exists {
            // At most one entry a user and password change.
            self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(stored, tag);
        }
        right && exists
    }

    /// Runs off the network threads, a bounded number at once.
    async fn slowly<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let slot = self.slots.clone().acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        });
        match done.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

fn hash(password: &[u8]) -> String {
    let mut salt = [0; 16];
    fill_random(&mut salt);
    let salted = SaltString::encode_b64(&salt)
        .and_then(|salt| Ok(Argon2::default().hash_password(password, &salt)?.to_string()));
    salted.unwrap_or_else(|error| panic!("Argon2id with its default parameters: {error}"))
}

fn verify(password: &[u8], stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|stored| Argon2::default().verify_password(password, &stored).is_ok())
}

/// Fills with bytes that nobody can foresee.
pub fn fill_random(bytes: &mut [u8]) {
    // Fails only if the kernel gives no randomness at all; going on without would be worse.
    rand::fill(bytes).unwrap_or_else(|_| panic!("the system gives no randomness"));
}

/// A secret of 128 bits, for people to copy: 26 characters that cannot be mistaken for each other.
pub fn make_secret() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 26];
    fill_random(&mut bytes);
    bytes.iter().map(|b| char::from(ALPHABET[usize::from(b % 32)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_an_existing_user_is_right() {
        let passwords = Passwords::new();
        let stored = passwords.hash(b"secret".to_vec()).await;
        let try_with = |password: &str, hash: Option<&String>| {
            passwords.check(Credentials { user: "u".into(), password: password.into(), hash: hash.cloned() })
        };
        for _ in 0..2 {
            assert!(try_with("secret", Some(&stored)).await);
            assert!(!try_with("Secret", Some(&stored)).await);
            assert!(!try_with("nobody's password", None).await);
        }
    }
}
