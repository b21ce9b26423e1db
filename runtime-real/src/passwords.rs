//! Passwords: Argon2id once per user and process, then an HMAC under a key of this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use aws_lc_rs::{constant_time, hmac, rand};
use mneme_driver::env::Source;
use mneme_kernel::password::{Credentials, Password, PasswordCheck, hashed};
use tokio::sync::Semaphore;
use tokio::time;

use crate::attempts::Attempts;

/// Argon2 runs at once: each takes 19 MiB and some 20 ms of a processor, which strangers must not multiply.
const AT_ONCE: usize = 2;
/// How long an attempt waits for others of the same source and user before it is refused: it holds a connection
/// meanwhile, also that of a client which has gone. Twice the longest delay, so that the next in line gets its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// Users whose password is recognised; one more, and another one's is checked by Argon2id again.
const RECOGNISED: usize = 10_000;

/// Checks passwords.
pub struct Passwords {
    key: hmac::Key,
    /// By user: the HMACs of what has been found right, the oldest first; no more than the user has passwords.
    known: Mutex<HashMap<String, Vec<hmac::Tag>>>,
    attempts: Mutex<Attempts>,
    patience: Duration,
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
            attempts: Mutex::default(),
            patience: PATIENCE,
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            nobody: hash(b"nobody's password"),
        }
    }

    pub async fn hash(&self, password: Password) -> String {
        self.slowly(move || password.hash(verify, hash)).await
    }

    pub async fn check(&self, credentials: Credentials, source: Source) -> PasswordCheck {
        let turn = lock(&self.attempts).turn(source, &credentials.user);
        let Ok(mut failures) = time::timeout(self.patience, turn.lock()).await else { return PasswordCheck::TooMany };
        // Before the password is looked at: else who hangs up instead of waiting has learnt that it was wrong.
        let wait = failures.wait(Instant::now());
        if !wait.is_zero() {
            time::sleep(wait).await;
        }
        let user = (!credentials.hashes.is_empty()).then(|| credentials.user.clone());
        let right = self.find_right(credentials, source).await;
        if failures.note(right.is_some(), Instant::now()) {
            // A name that is no user's may be anything, also a password.
            let user = user.as_deref().unwrap_or("(no such user)");
            tracing::warn!(?source, user, "wrong passwords: further ones from there for this user are slowed down");
        }
        right.map_or(PasswordCheck::Wrong, PasswordCheck::Right)
    }

    /// Which of the user's hashes is of the password.
    async fn find_right(&self, credentials: Credentials, source: Source) -> Option<usize> {
        let Credentials { user, password, hashes } = credentials;
        let tags: Vec<hmac::Tag> = hashes.iter().map(|stored| self.tag(&user, stored, &password)).collect();
        let known = lock(&self.known).get(&user).cloned().unwrap_or_default();
        let is_known = |tag: &hmac::Tag| {
            known.iter().any(|known| constant_time::verify_slices_are_equal(known.as_ref(), tag.as_ref()).is_ok())
        };
        if let Some(place) = tags.iter().position(is_known) {
            return Some(place);
        }
        // One at a time for each source, whatever users it tries: others get the next slot, not the thousandth.
        let turn = lock(&self.attempts).turn_for_argon2(source);
        let _turn = turn.lock().await;
        let exists = !hashes.is_empty();
        let hashes = if exists { hashes } else { vec![self.nobody.clone()] };
        let is_of = move |stored: &String| {
            let (text, hash) = hashed(&password, stored);
            verify(&text, hash)
        };
        let right = self.slowly(move || hashes.iter().position(is_of)).await.filter(|_| exists)?;
        let mut known = lock(&self.known);
        if known.len() >= RECOGNISED
            && let Some(other) = known.keys().next().cloned()
        {
            known.remove(&other);
        }
        let known = known.entry(user).or_default();
        known.push(tags[right]);
        if known.len() > tags.len() {
            known.remove(0);
        }
        Some(right)
    }

    /// What a password is recognised by. It contains the stored hash, so that a changed password ends it.
    fn tag(&self, user: &str, stored: &str, password: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user.as_bytes(), stored.as_bytes(), password] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        context.sign()
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use mneme_kernel::password::Form;

    use super::*;

    fn credentials(user: &str, password: &str, hash: Option<&String>) -> Credentials {
        Credentials { user: user.into(), password: password.into(), hashes: hash.into_iter().cloned().collect() }
    }

    fn plain(password: &str) -> Password {
        Password { text: password.into(), form: Form::Plain, known: Vec::new() }
    }

    /// What is known without waiting for anything.
    fn at_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn only_the_right_password_of_an_existing_user_is_right() {
        let passwords = Passwords::new();
        let stored = passwords.hash(plain("secret")).await;
        for _ in 0..2 {
            for (password, hash, wanted) in [
                ("secret", Some(&stored), PasswordCheck::Right(0)),
                ("Secret", Some(&stored), PasswordCheck::Wrong),
                ("secret", Some(&stored), PasswordCheck::Right(0)),
                ("nobody's password", None, PasswordCheck::Wrong),
                ("secret", Some(&stored), PasswordCheck::Right(0)),
            ] {
                let user = if hash.is_some() { "u" } else { "stranger" };
                assert_eq!(passwords.check(credentials(user, password, hash), Source::Machine).await, wanted);
            }
        }
    }

    #[tokio::test]
    async fn a_password_found_right_once_is_recognised_without_argon2() {
        let passwords = Passwords::new();
        let stored = passwords.hash(plain("secret")).await;
        let changed = passwords.hash(plain("secret")).await;
        let right = credentials("u", "secret", Some(&stored));
        assert_eq!(passwords.check(right.clone(), Source::Machine).await, PasswordCheck::Right(0));

        // Now Argon2 cannot run.
        let _slots = passwords.slots.acquire_many(AT_ONCE as u32).await;
        assert_eq!(at_once(pin!(passwords.find_right(right.clone(), Source::Machine))), Poll::Ready(Some(0)));
        assert_eq!(
            at_once(pin!(passwords.check(right, Source::Machine))),
            Poll::Ready(PasswordCheck::Right(0)),
            "no delay either"
        );
        for other in [
            credentials("u", "Secret", Some(&stored)),
            credentials("v", "secret", Some(&stored)),
            credentials("u", "secret", Some(&changed)),
            credentials("u", "secret", None),
        ] {
            assert_eq!(at_once(pin!(passwords.find_right(other.clone(), Source::Machine))), Poll::Pending, "{other:?}");
        }
    }

    #[tokio::test]
    async fn a_changed_password_replaces_the_one_before() {
        let passwords = Passwords::new();
        for password in ["first", "second"] {
            let stored = passwords.hash(plain(password)).await;
            assert_eq!(passwords.find_right(credentials("u", password, Some(&stored)), Source::Machine).await, Some(0));
            assert_eq!(passwords.find_right(credentials("u", "old", Some(&stored)), Source::Machine).await, None);
            assert_eq!(lock(&passwords.known).len(), 1);
        }
    }

    #[tokio::test]
    async fn a_source_that_guesses_waits_and_nobody_else_does() {
        let passwords = Passwords::new();
        let stored = passwords.hash(plain("secret")).await;
        let right = credentials("u", "secret", Some(&stored));
        let guesser = Source::Address([192, 0, 2, 1].into());
        let other = Source::Address([192, 0, 2, 2].into());
        assert_eq!(passwords.check(right.clone(), other).await, PasswordCheck::Right(0));
        let turn = lock(&passwords.attempts).turn(guesser, "u");
        for _ in 0..20 {
            turn.lock().await.note(false, Instant::now());
        }

        let mut slowed = pin!(passwords.check(right.clone(), guesser));
        assert_eq!(at_once(slowed.as_mut()), Poll::Pending, "not even a right password is told apart before");
        let mut second = pin!(passwords.check(right.clone(), guesser));
        assert_eq!(at_once(second.as_mut()), Poll::Pending, "another connection is no way around");
        for source in [other, Source::Machine] {
            assert_eq!(at_once(pin!(passwords.check(right.clone(), source))), Poll::Ready(PasswordCheck::Right(0)));
        }
    }

    #[tokio::test]
    async fn a_source_that_tries_many_users_leaves_argon2_to_others() {
        let passwords = Passwords::new();
        let stored = passwords.hash(plain("secret")).await;
        let other = Source::Address([192, 0, 2, 2].into());
        let slots = passwords.slots.acquire_many(AT_ONCE as u32).await.expect("they are never closed");
        let mut tries: Vec<_> = (0..10)
            .map(|i| Box::pin(passwords.check(credentials(&i.to_string(), "guess", None), Source::Machine)))
            .collect();
        for check in &mut tries {
            assert_eq!(at_once(check.as_mut()), Poll::Pending);
        }
        let mut right = pin!(passwords.check(credentials("u", "secret", Some(&stored)), other));
        assert_eq!(at_once(right.as_mut()), Poll::Pending);
        // Slots go to whoever waits for one longest. The guesser's tasks make no further step: it has at most one.
        drop(slots);
        assert_eq!(time::timeout(PATIENCE, right).await, Ok(PasswordCheck::Right(0)));
    }

    #[tokio::test]
    async fn who_waits_too_long_for_others_of_the_same_source_is_refused() {
        let passwords = Passwords { patience: Duration::from_millis(1), ..Passwords::new() };
        let turn = lock(&passwords.attempts).turn(Source::Machine, "u");
        let _held = turn.lock().await;
        let refused = passwords.check(credentials("u", "secret", None), Source::Machine);
        assert_eq!(refused.await, PasswordCheck::TooMany);
    }

    #[tokio::test]
    async fn the_passwords_recognised_are_bounded_in_number() {
        let passwords = Passwords::new();
        let tag = passwords.tag("u", "hash", b"password");
        lock(&passwords.known).extend((0..RECOGNISED).map(|i| (i.to_string(), vec![tag])));
        let stored = passwords.hash(plain("secret")).await;
        assert_eq!(passwords.find_right(credentials("u", "secret", Some(&stored)), Source::Machine).await, Some(0));
        let known = lock(&passwords.known);
        assert_eq!(known.len(), RECOGNISED);
        assert!(known.contains_key("u"));
    }
}
