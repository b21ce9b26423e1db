//! Which keys of a running Redis have changed, by its keyspace notifications.

use std::collections::HashSet;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mneme_kernel::resp::{Value, encode_command};

use crate::cli::connection::Connection;
use crate::cli::stop::Stop;

/// Keys that may wait. With more of them they are forgotten, and everything is compared instead.
const MOST: usize = 1 << 20;
const SUBSCRIPTIONS: usize = 2;

/// A key of a database.
pub(super) type Key = (String, Vec<u8>);

/// Listens on a thread of its own, so that the source never has to wait with what it tells.
#[derive(Debug)]
pub(super) struct Changes {
    shared: Arc<Shared>,
    channel: Vec<u8>,
    marks: u64,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    keys: HashSet<Key>,
    /// Since when some have been waiting.
    since: Option<Instant>,
    /// The greatest mark that came by.
    mark: u64,
    /// Changes may have been missed, and why.
    missed: Option<String>,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Whoever panicked left no half of a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    /// Begins to listen: every change from now on is told.
    pub(super) fn listen(mut connection: Connection) -> Result<Changes, Stop> {
        let channel = format!("mneme-import:{}", std::process::id()).into_bytes();
        let mut bytes = Vec::new();
        encode_command(&[&b"PSUBSCRIBE"[..], b"__keyspace@*__:*"], &mut bytes);
        encode_command(&[&b"SUBSCRIBE"[..], &channel], &mut bytes);
        connection.send(&bytes)?;
        for _ in 0..SUBSCRIPTIONS {
            if let Value::Error(why) = connection.message()? {
                return Err(Stop::Server(format!("changes cannot be listened to: {why}")));
            }
        }
        let shared = Arc::new(Shared::default());
        let listener = Arc::clone(&shared);
        let mark = channel.clone();
        thread::spawn(move || {
            let why = loop {
                match connection.message() {
                    Ok(message) => hear(&listener, &mark, message),
                    Err(Stop::Connection(why)) => break why,
                    Err(stop) => break format!("{stop:?}"),
                }
            };
            listener.waiting().missed = Some(why);
            listener.changed.notify_all();
        });
        Ok(Changes { shared, channel, marks: 0 })
    }

    /// Those that have changed since they were taken last.
    pub(super) fn take(&self) -> HashSet<Key> {
        let mut waiting = self.shared.waiting();
        waiting.since = None;
        mem::take(&mut waiting.keys)
    }

    /// How many wait, and for how long.
    pub(super) fn lag(&self) -> (usize, Duration) {
        let waiting = self.shared.waiting();
        (waiting.keys.len(), waiting.since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    /// Why changes may have been missed, if they may.
    pub(super) fn missed(&self) -> Option<String> {
        self.shared.waiting().missed.clone()
    }

    /// Waits until there is something, or so long.
    pub(super) fn wait(&self, time: Duration) {
        let waiting = self.shared.waiting();
        if waiting.keys.is_empty() && waiting.missed.is_none() {
            drop(self.shared.changed.wait_timeout(waiting, time));
        }
    }

    /// Waits until everything has been told that had changed when this was called: a message of our own comes behind it.
    /// Not if changes are missed.
    pub(super) fn catch_up(&mut self, source: &mut Connection) -> Result<(), Stop> {
        self.marks += 1;
        source.ask(&[b"PUBLISH", &self.channel, self.marks.to_string().as_bytes()])?;
        let mut waiting = self.shared.waiting();
        while waiting.mark < self.marks && waiting.missed.is_none() {
            waiting = self.shared.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }
}

fn hear(shared: &Shared, mark: &[u8], message: Value) {
    let (Value::Array(items) | Value::Push(items)) = message else { return };
    let words: Vec<&[u8]> = items.iter().filter_map(Value::as_bytes).collect();
    let mut waiting = shared.waiting();
    match words.as_slice() {
        [b"message", channel, number] if *channel == mark => {
            waiting.mark =
                std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()).unwrap_or(waiting.mark);
        }
        [b"pmessage", _, channel, _event] => {
            let Some(key) = key_of(channel) else { return };
            waiting.keys.insert(key);
            waiting.since.get_or_insert_with(Instant::now);
            if waiting.keys.len() > MOST {
                waiting.keys.clear();
                waiting.missed = Some(format!("more than {MOST} changed keys waited"));
            }
        }
        _ => return,
    }
    shared.changed.notify_all();
}

/// The key in `__keyspace@3__:key`.
fn key_of(channel: &[u8]) -> Option<Key> {
    let rest = channel.strip_prefix(b"__keyspace@")?;
    let end = rest.iter().position(|byte| *byte == b'_')?;
    let database = String::from_utf8(rest[..end].to_vec()).ok()?;
    Some((database, rest[end..].strip_prefix(b"__:")?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_names_a_key() {
        assert_eq!(key_of(b"__keyspace@12__:a__:b\xff"), Some(("12".to_owned(), b"a__:b\xff".to_vec())));
        assert_eq!(key_of(b"__keyspace@0__:"), Some(("0".to_owned(), Vec::new())));
        for other in [&b"__keyevent@0__:set"[..], b"__keyspace@0", b"news"] {
            assert_eq!(key_of(other), None);
        }
    }
}
