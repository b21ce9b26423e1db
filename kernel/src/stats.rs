//! What a Core counts. Plain integers under the store's lock; they are read when somebody asks.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use crate::histogram::Histogram;

/// Counters since the process started.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// By place in the command table.
    pub calls: Vec<Calls>,
    /// Requests that named no command.
    pub unknown_commands: u64,
    /// Error replies by their first word; `other` when there are too many words.
    pub errors: BTreeMap<String, u64>,
    pub keyspace_hits: u64,
    pub keyspace_misses: u64,
    pub expired_keys: u64,
    /// Keys that made room for others.
    pub evicted_keys: u64,
    /// Claims that this Core has made.
    pub claims: u64,
    /// How often another Core took over from this one.
    pub depositions: u64,
    /// Commands that were sent to the primary.
    pub forwarded: u64,
    /// Reads that had to wait for the log, because the lease had ended.
    pub reads_without_lease: u64,
    pub rejected_passwords: u64,
    /// What was refused for want of rights, by [`Reason`](crate::acllog::Reason).
    pub(crate) refused: [u64; 4],
    pub connections_rejected: u64,
    /// How long clients waited for the store's lock; once for all requests that came together.
    pub lock_waits: Histogram,
    /// Bytes that clients sent and were sent, without TLS, up to the last tick.
    pub input_bytes: u64,
    pub output_bytes: u64,
    /// Batches proposed, again and for the first time.
    pub batches_proposed: u64,
    pub batches_accepted: u64,
    /// Bytes of effects in accepted batches.
    pub effect_bytes: u64,
    /// The most memory that was accounted at a tick, bytes.
    pub peak_memory: usize,
}

/// One command's calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calls {
    /// Answered.
    pub ok: u64,
    /// Answered with an error when they ran.
    pub failed: u64,
    /// Refused before they ran: number of arguments, rights, no space.
    pub rejected: u64,
    /// How long they ran, without what their replies then waited for.
    pub times: Histogram,
}

/// Kinds of errors that are told apart: a script can make up any.
const ERRORS: usize = 64;

impl Stats {
    pub(crate) fn new(commands: usize) -> Self {
        Self { calls: vec![Calls::default(); commands], ..Self::default() }
    }

    /// What `CONFIG RESETSTAT` does: everything begins at zero, but for what is so now.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.calls.len());
    }

    pub(crate) fn count_lookup(&mut self, hit: bool) {
        self.keyspace_hits += u64::from(hit);
        self.keyspace_misses += u64::from(!hit);
    }

    /// Counts a request that was refused before it ran; `None` if it named no command.
    pub(crate) fn count_rejected(&mut self, command: Option<usize>) {
        match command {
            Some(command) => self.calls[command].rejected += 1,
            None => self.unknown_commands += 1,
        }
    }

    pub(crate) fn count_outcome(&mut self, command: usize, ok: bool) {
        let calls = &mut self.calls[command];
        calls.ok += u64::from(ok);
        calls.failed += u64::from(!ok);
    }

    /// Counts a reply if it is an error.
    #[inline]
    pub(crate) fn count_error(&mut self, reply: &[u8]) {
        if let Some((b'-', text)) = reply.split_first() {
            self.count_error_text(text);
        }
    }

    #[cold]
    fn count_error_text(&mut self, text: &[u8]) {
        let end = text.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(text.len());
        let word = core::str::from_utf8(&text[..end.min(32)]).unwrap_or("other");
        if let Some(n) = self.errors.get_mut(word) {
            *n += 1;
        } else {
            let word = if self.errors.len() < ERRORS { word } else { "other" };
            *self.errors.entry(word.into()).or_default() += 1;
        }
    }

    /// All commands that ran or should have.
    pub fn total_calls(&self) -> u64 {
        self.calls.iter().map(|calls| calls.ok + calls.failed + calls.rejected).sum::<u64>() + self.unknown_commands
    }

    /// All error replies.
    pub fn total_errors(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The time that commands ran.
    pub fn busy(&self) -> Duration {
        self.calls.iter().map(|calls| calls.times.sum()).sum()
    }
}
