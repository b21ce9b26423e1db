//! Who is signed in. A session holds connections of its user and no password; it ends when they do.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mneme_driver::node::Node;
use tokio::sync::Semaphore;

use super::conversation::{Conversation, Silence};
use super::door::Caller;
use super::feed::Feed;
use crate::env::RealEnv;
use crate::passwords::fill_random;

/// Sessions at once: each holds three client connections.
const MAX_SESSIONS: usize = 64;
/// Of one user.
const OF_ONE_USER: usize = 8;
/// A session that nobody uses or watches for so long ends.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// Every session ends then: a working day, not a week.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// Pages of one session that watch at once.
const MAX_VIEWERS: usize = 16;

/// One sign-in.
#[derive(Debug)]
pub(super) struct Session {
    pub user: String,
    begun: Instant,
    used: Mutex<Instant>,
    /// What the pages ask: they show what this node has, also while there is no primary.
    pub pages: tokio::sync::Mutex<Conversation>,
    /// What the user types: its database and transaction are no matter of the pages.
    pub typed: tokio::sync::Mutex<Conversation>,
    pub feed: tokio::sync::Mutex<Feed>,
    pub viewers: Arc<Semaphore>,
}

/// Why nobody is signed in.
#[derive(Debug)]
pub(super) enum Refusal {
    /// In the node's words.
    Refused(String),
    Full,
    Silent(Silence),
}

impl Session {
    pub(super) async fn open(
        node: &Arc<Node<RealEnv>>,
        caller: &Caller,
        user: &str,
        password: &str,
    ) -> Result<Self, Refusal> {
        let open = async |is_eventual: bool| {
            let opened = Conversation::open(node, caller, user, password).await;
            let mut conversation = opened.map_err(Refusal::Silent)?.map_err(Refusal::Refused)?;
            if is_eventual {
                conversation.be_eventual().await.map_err(Refusal::Silent)?;
            }
            Ok(conversation)
        };
        let now = Instant::now();
        Ok(Self {
            user: user.into(),
            begun: now,
            used: Mutex::new(now),
            pages: tokio::sync::Mutex::new(open(true).await?),
            typed: tokio::sync::Mutex::new(open(false).await?),
            feed: tokio::sync::Mutex::new(Feed::new(open(true).await?)),
            viewers: Arc::new(Semaphore::new(MAX_VIEWERS)),
        })
    }

    /// Whether it has ended by itself.
    fn is_over(&self, now: Instant) -> bool {
        let idle = now.saturating_duration_since(*lock(&self.used));
        idle >= IDLE || now.saturating_duration_since(self.begun) >= LONGEST
    }
}

/// All of them, by a number that nobody can guess.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

impl Sessions {
    /// Keeps a session; the number by which it is found again.
    pub(super) fn add(&self, session: Session) -> Result<String, Refusal> {
        let mut bytes = [0; 32];
        fill_random(&mut bytes);
        let number = bytes.iter().fold(String::new(), |mut number, byte| {
            // Writing into memory cannot fail.
            let _ = write!(number, "{byte:02x}");
            number
        });
        let mut all = lock(&self.0);
        all.retain(|_, session| !session.is_over(Instant::now()));
        let own = || all.iter().filter(|(_, other)| other.user == session.user);
        if own().count() >= OF_ONE_USER {
            // A user takes the room of others with none of them: the one that was used longest ago gives way.
            let oldest = own().min_by_key(|(_, other)| *lock(&other.used)).map(|(number, _)| number.clone());
            oldest.map(|number| all.remove(&number));
        }
        if all.len() >= MAX_SESSIONS {
            return Err(Refusal::Full);
        }
        all.insert(number.clone(), Arc::new(session));
        Ok(number)
    }

    /// The session of this number, which counts as used now.
    pub(super) fn get(&self, number: &str) -> Option<Arc<Session>> {
        let now = Instant::now();
        let mut all = lock(&self.0);
        if all.get(number)?.is_over(now) {
            all.remove(number);
            return None;
        }
        let session = all.get(number)?.clone();
        *lock(&session.used) = now;
        Some(session)
    }

    pub(super) fn remove(&self, number: &str) {
        lock(&self.0).remove(number);
    }

    /// Ends those whose time is over, with their connections.
    pub(super) fn tidy(&self) {
        lock(&self.0).retain(|_, session| !session.is_over(Instant::now()));
    }
}

/// Tells what went wrong in a sentence for people.
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Refused(why) => f.write_str(why),
            Refusal::Full => write!(f, "{MAX_SESSIONS} sessions are open: sign out of one, or wait until one ends"),
            Refusal::Silent(Silence::Late) => f.write_str("the node did not answer in time: try again"),
            Refusal::Silent(Silence::Ended) => {
                f.write_str("the node closed the connection: it may have too many clients")
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
