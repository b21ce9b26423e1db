//! Passwords, as far as the kernel knows them: which form of a password a hash is of. Making hashes and comparing them is
//! slow on purpose, and the driver's.
//!
//! What is stored is always a salted hash, Argon2id in production. `USER` hashes the password itself. `ACL` hashes what Redis
//! stores: the password's SHA-256 in hexadecimal digits, so that a user can come from Redis by that alone (`#...`), and no
//! hash is kept here that can be searched fast. Such a hash has a mark before it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::borrow::Borrow;

use sha2::{Digest, Sha256};

/// Stands before a hash that is of the SHA-256 of a password.
const MARK: &str = "sha256:";
/// Stands between the hashes of a user's passwords.
const BETWEEN_HASHES: &str = "\n";
/// How the hashes of this version begin. What a client hands in as one must, too: else it would choose what checking costs.
const ARGON2ID: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

/// A password to be checked away from the store's lock.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub password: Vec<u8>,
    /// The user's hashes; none if there is no such user, which must take as long to find out.
    pub hashes: Vec<String>,
}

impl core::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What became of a password check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// It is the one of this hash, by its place.
    Right(usize),
    /// Or there is no such user: strangers are not told which.
    Wrong,
    /// Not checked: too many wrong ones have come from there.
    TooMany,
}

/// What a stored hash is of, and the hash as whoever made it knows it.
pub fn hashed<'a>(password: &[u8], stored: &'a str) -> (Vec<u8>, &'a str) {
    match stored.strip_prefix(MARK) {
        Some(hash) => (sha256(password), hash),
        None => (password.into(), stored),
    }
}

/// Which form of a password there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The password, to be hashed itself.
    Plain,
    /// The password, to be hashed as Redis would store it.
    Redis,
    /// What Redis would store of the password.
    Sha256,
}

/// A password to be hashed away from the store's lock, or to be recognised there.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    pub text: Vec<u8>,
    pub form: Form,
    /// Hashes that may be of it: then it is one of those.
    pub known: Vec<String>,
}

impl core::fmt::Debug for Password {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Password")
    }
}

impl Password {
    /// The password's hash: all of those known that are of it, as they are stored, or a new one. Who may not know what others
    /// are making just now adds a second one, and a password that is removed must be with all of them.
    pub fn hash(&self, mut verify: impl FnMut(&[u8], &str) -> bool, make: impl FnOnce(&[u8]) -> String) -> String {
        let is_of = |stored: &&str| match (stored.strip_prefix(MARK), self.form) {
            (Some(hash), _) => verify(&self.redis(), hash),
            (None, Form::Sha256) => false,
            (None, _) => verify(&self.text, stored),
        };
        let known: Vec<&str> = self.known.iter().map(String::as_str).filter(is_of).collect();
        if !known.is_empty() {
            return join_hashes(&known);
        }
        match self.form {
            Form::Plain => make(&self.text),
            Form::Redis | Form::Sha256 => format!("{MARK}{}", make(&self.redis())),
        }
    }

    /// What Redis would store of it.
    fn redis(&self) -> Vec<u8> {
        if self.form == Form::Sha256 { self.text.clone() } else { sha256(&self.text) }
    }
}

/// Whether this is a hash as this version makes them, which `ACL LIST` shows.
pub(crate) fn is_hash(text: &[u8]) -> bool {
    let hash = text.strip_prefix(MARK.as_bytes()).unwrap_or(text);
    let is_sound = |byte: &u8| byte.is_ascii_alphanumeric() || b"$+/=,".contains(byte);
    hash.starts_with(ARGON2ID.as_bytes()) && hash.len() <= 160 && hash.iter().all(is_sound)
}

/// Whether this is what Redis would store of some password.
pub(crate) fn is_sha256(text: &[u8]) -> bool {
    text.len() == 64 && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// In hexadecimal digits.
fn sha256(bytes: &[u8]) -> Vec<u8> {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}

/// So many hexadecimal digits that nobody can foresee, who does not know the key; other ones for every number.
pub(crate) fn unforeseeable(key: &[u64; 4], number: u64, digits: usize) -> Vec<u8> {
    let block = |counter: u64| {
        let mut hasher = Sha256::new();
        key.iter().chain(&[number, counter]).for_each(|word| hasher.update(word.to_le_bytes()));
        hex(&hasher.finalize())
    };
    (0..).flat_map(block).take(digits).collect()
}

/// Hashes as they are stored, one behind the other.
pub(crate) fn join_hashes(hashes: &[impl Borrow<str>]) -> String {
    hashes.join(BETWEEN_HASHES)
}

/// The hashes that are stored so; none of nothing.
pub(crate) fn split_hashes(stored: &str) -> impl Iterator<Item = &str> {
    stored.split(BETWEEN_HASHES).filter(|hash| !hash.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(text: &[u8]) -> String {
        format!("hash of {}", String::from_utf8_lossy(text))
    }

    fn verify(text: &[u8], stored: &str) -> bool {
        make(text) == stored
    }

    fn hash(text: &[u8], form: Form, known: &[&str]) -> String {
        let known = known.iter().map(|hash| String::from(*hash)).collect();
        Password { text: text.into(), form, known }.hash(verify, |text| format!("new {}", make(text)))
    }

    /// `printf passwd4 | sha256sum`.
    const DIGEST: &[u8] = b"34344e4d60c2b6d639b7bd22e18f2b0b91bc34bf0ac5f9952744435093cfb4e6";

    #[test]
    fn what_redis_stores_is_hashed_like_the_password_that_it_is_of() {
        let stored = format!("{MARK}{}", make(DIGEST));
        assert_eq!(hash(DIGEST, Form::Sha256, &[]), format!("{MARK}new {}", make(DIGEST)));
        for (text, form) in [(&b"passwd4"[..], Form::Redis), (DIGEST, Form::Sha256), (b"passwd4", Form::Plain)] {
            assert_eq!(hash(text, form, &["x", &stored]), stored);
        }
        let (of, rest) = hashed(b"passwd4", &stored);
        assert!(verify(&of, rest));
    }

    #[test]
    fn a_hash_of_the_password_itself_is_recognised_by_the_password_alone() {
        assert_eq!(hash(b"passwd4", Form::Redis, &["hash of passwd4"]), "hash of passwd4");
        assert_ne!(hash(DIGEST, Form::Sha256, &["hash of passwd4"]), "hash of passwd4");
    }

    #[test]
    fn a_password_that_was_hashed_twice_is_recognised_by_both_salts() {
        let verify = |text: &[u8], stored: &str| stored.starts_with(&make(text));
        let known: Vec<String> = ["hash of p 1", "hash of q", "hash of p 2"].map(String::from).into();
        let password = Password { text: b"p".into(), form: Form::Redis, known };
        assert_eq!(password.hash(verify, make), "hash of p 1\nhash of p 2");
    }

    #[test]
    fn only_hashes_that_cost_what_ours_cost_are_taken() {
        assert!(is_hash(b"$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"));
        assert!(is_hash(b"sha256:$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"));
        assert!(!is_hash(b"$argon2id$v=19$m=4194304,t=90,p=1$c2FsdA$aGFzaA"));
        assert!(!is_hash(b"$argon2id$v=19$m=19456,t=2,p=1$c2FsdA\n$aGFzaA"));
    }

    #[test]
    fn secrets_differ_and_have_the_length_that_is_asked_for() {
        let (one, other) = (unforeseeable(&[7; 4], 1, 150), unforeseeable(&[7; 4], 2, 150));
        assert_eq!((one.len(), other.len()), (150, 150));
        assert_ne!(one, other);
        assert_ne!(one[..64], one[64..128]);
    }
}
