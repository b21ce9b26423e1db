//! Slows down whoever guesses passwords: by source and user, so that nobody else waits for it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mneme_driver::env::Source;
use tokio::sync::Mutex;

/// Wrong passwords in a row that cost nothing: people mistype.
const FREE: u32 = 2;
/// How long the next attempt waits after the failures that are free; doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// Failures are forgotten when none has been added for so long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Pairs of source and user that are remembered; then the one that tried longest ago is forgotten.
const REMEMBERED: usize = 10_000;

/// The failures in a row of one source as one user.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    count: u32,
    last: Option<Instant>,
}

impl Failures {
    /// How long the next attempt has to wait from now.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let doublings = match self.count.checked_sub(FREE) {
            // Far beyond the longest delay, and short of an overflow.
            Some(doublings) if self.is_remembered(now) => doublings.min(16),
            _ => return Duration::ZERO,
        };
        let delay = (FIRST_DELAY * (1 << doublings)).min(LONGEST_DELAY);
        self.last.map_or(Duration::ZERO, |last| (last + delay).saturating_duration_since(now))
    }

    /// Notes how an attempt ended; whether that is the failure from which on attempts wait.
    pub(crate) fn note(&mut self, right: bool, now: Instant) -> bool {
        let before = if self.is_remembered(now) { self.count } else { 0 };
        *self = if right { Self::default() } else { Self { count: before.saturating_add(1), last: Some(now) } };
        self.count == FREE
    }

    fn is_remembered(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.saturating_duration_since(last) < FORGOTTEN_AFTER)
    }
}

/// Who has a turn tries one password; the others of the same source and user wait. Guessing on many connections at once
/// is no faster than on one.
pub(crate) type Turn = Arc<Mutex<Failures>>;

/// The failures of all.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// Source and user by their hash, under a key of this process: names that strangers send take no memory.
    turns: HashMap<u64, (u64, Turn)>,
    /// The same by when they tried last.
    by_age: BTreeMap<u64, u64>,
    count: u64,
    hasher: RandomState,
}

impl Attempts {
    /// Where a source waits for its turn to try a password of a user.
    pub(crate) fn turn(&mut self, source: Source, user: &str) -> Turn {
        let who = self.hasher.hash_one((network(source), user));
        self.turn_of(who)
    }

    /// Where a source waits for its turn to have a password checked by Argon2id, whichever user's.
    pub(crate) fn turn_for_argon2(&mut self, source: Source) -> Turn {
        let who = self.hasher.hash_one(network(source));
        self.turn_of(who)
    }

    fn turn_of(&mut self, who: u64) -> Turn {
        let turn = match self.turns.remove(&who) {
            Some((age, turn)) => {
                self.by_age.remove(&age);
                turn
            }
            None => Turn::default(),
        };
        if self.turns.len() >= REMEMBERED
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.turns.remove(&oldest);
        }
        self.count += 1;
        self.by_age.insert(self.count, who);
        self.turns.insert(who, (self.count, turn.clone()));
        turn
    }
}

/// What counts as one source: an IPv4 address, or the 64 bits of an IPv6 address within which one machine may have any.
fn network(source: Source) -> Source {
    match source {
        Source::Address(IpAddr::V6(address)) if address.to_ipv4_mapped().is_none() => {
            let network = u128::from(address) >> 64 << 64;
            Source::Address(IpAddr::V6(Ipv6Addr::from(network)))
        }
        Source::Address(address) => Source::Address(address.to_canonical()),
        Source::Machine => source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// What each of `n` wrong passwords in a row had to wait for, each tried as soon as it could.
    fn waits(failures: &mut Failures, now: &mut Instant, n: usize) -> Vec<u128> {
        let mut waits = Vec::new();
        for _ in 0..n {
            let wait = failures.wait(*now);
            *now += wait;
            failures.note(false, *now);
            waits.push(wait.as_millis());
        }
        waits
    }

    #[test]
    fn each_further_wrong_password_waits_twice_as_long_up_to_a_bound() {
        let waited = waits(&mut Failures::default(), &mut Instant::now(), 11);
        assert_eq!(waited, [0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    }

    #[test]
    fn time_that_has_passed_counts_as_waited() {
        let (mut failures, mut now) = (Failures::default(), Instant::now());
        waits(&mut failures, &mut now, 5);
        assert_eq!(failures.wait(now), 800 * MILLISECOND);
        assert_eq!(failures.wait(now + 300 * MILLISECOND), 500 * MILLISECOND);
        assert_eq!(failures.wait(now + 900 * MILLISECOND), Duration::ZERO);
    }

    #[test]
    fn a_right_password_ends_the_row() {
        let (mut failures, mut now) = (Failures::default(), Instant::now());
        waits(&mut failures, &mut now, 20);
        failures.note(true, now);
        assert_eq!(waits(&mut failures, &mut now, 3), [0, 0, 100]);
    }

    #[test]
    fn failures_are_forgotten_a_minute_after_the_last() {
        let (mut failures, mut now) = (Failures::default(), Instant::now());
        waits(&mut failures, &mut now, 20);
        now += FORGOTTEN_AFTER;
        assert_eq!(waits(&mut failures, &mut now, 3), [0, 0, 100]);
    }

    #[test]
    fn the_failure_from_which_on_attempts_wait_is_told_once() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let told: Vec<bool> = (0..5).map(|_| failures.note(false, now)).collect();
        assert_eq!(told, [false, true, false, false, false]);
        assert!(!failures.note(true, now));
    }

    #[test]
    fn sources_and_users_have_turns_of_their_own() {
        let mut attempts = Attempts::default();
        let mut turn = |source: &str, user: &str| {
            let source = source.parse().map_or(Source::Machine, Source::Address);
            attempts.turn(source, user)
        };
        let first = turn("192.0.2.1", "u");
        for (source, user, same) in [
            ("192.0.2.1", "u", true),
            ("::ffff:192.0.2.1", "u", true),
            ("192.0.2.2", "u", false),
            ("192.0.2.1", "v", false),
            ("unix", "u", false),
        ] {
            assert_eq!(Arc::ptr_eq(&first, &turn(source, user)), same, "{source} {user}");
        }
        let sixth = turn("2001:db8::1", "u");
        assert!(Arc::ptr_eq(&sixth, &turn("2001:db8::ffff:2", "u")), "one machine has many addresses");
        assert!(!Arc::ptr_eq(&sixth, &turn("2001:db8:0:1::1", "u")));
    }

    #[test]
    fn the_one_that_tried_longest_ago_is_forgotten_first() {
        let mut attempts = Attempts::default();
        let (kept, forgotten) = (attempts.turn(Source::Machine, "kept"), attempts.turn(Source::Machine, "forgotten"));
        for i in 0..REMEMBERED - 1 {
            attempts.turn(Source::Machine, &i.to_string());
            if i == 0 {
                attempts.turn(Source::Machine, "kept");
            }
        }
        assert_eq!((attempts.turns.len(), attempts.by_age.len()), (REMEMBERED, REMEMBERED));
        assert!(Arc::ptr_eq(&kept, &attempts.turn(Source::Machine, "kept")));
        assert!(!Arc::ptr_eq(&forgotten, &attempts.turn(Source::Machine, "forgotten")));
    }
}
