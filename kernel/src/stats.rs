//! What a Core counts. Plain integers under the store's lock; they are read when somebody asks.

use alloc::vec;
use alloc::vec::Vec;

/// Counters since the process started.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// By place in the command table: calls that answered, and those that answered an error.
    pub calls: Vec<Calls>,
    /// Requests that named no command.
    pub unknown_commands: u64,
    pub keyspace_hits: u64,
    pub keyspace_misses: u64,
    pub expired_keys: u64,
    pub rejected_passwords: u64,
    pub connections_rejected: u64,
    /// Batches proposed, again and for the first time.
    pub batches_proposed: u64,
    pub batches_accepted: u64,
    /// Bytes of effects in accepted batches.
    pub effect_bytes: u64,
}

/// One command's calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calls {
    pub ok: u64,
    pub failed: u64,
}

impl Stats {
    pub(crate) fn new(commands: usize) -> Self {
        Self { calls: vec![Calls::default(); commands], ..Self::default() }
    }

    pub(crate) fn count_lookup(&mut self, hit: bool) {
        self.keyspace_hits += u64::from(hit);
        self.keyspace_misses += u64::from(!hit);
    }

    /// All commands together.
    pub fn total_calls(&self) -> u64 {
        self.calls.iter().map(|calls| calls.ok + calls.failed).sum::<u64>() + self.unknown_commands
    }
}
