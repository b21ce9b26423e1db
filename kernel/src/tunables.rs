//! What `CONFIG SET` may change while the server runs, as far as the kernel needs it.

use core::time::Duration;

/// Thresholds and bounds of what is written down about slow commands, and of how streams are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunables {
    /// `slowlog-log-slower-than`: microseconds from which on a command is slow; 0 is every command, negative none.
    pub slowlog_slower_than: i64,
    /// `slowlog-max-len`: entries kept.
    pub slowlog_max_len: usize,
    /// `latency-monitor-threshold`: milliseconds from which on a command is a latency spike; 0 is none.
    pub latency_threshold: u64,
    /// `stream-node-max-bytes` and `stream-node-max-entries`: what a block of a stream has at least when the next one is
    /// begun; 0 is no bound. Streams are trimmed approximately by whole blocks.
    pub stream_block_bytes: usize,
    pub stream_block_entries: usize,
    /// `acllog-max-len`: entries of the ACL log.
    pub acllog_max_len: usize,
}

impl Default for Tunables {
    /// Redis's defaults.
    fn default() -> Self {
        Self {
            slowlog_slower_than: 10_000,
            slowlog_max_len: 128,
            latency_threshold: 0,
            stream_block_bytes: 4096,
            stream_block_entries: 100,
            acllog_max_len: 128,
        }
    }
}

impl Tunables {
    /// What takes less is neither slow nor a spike.
    pub(crate) fn noteworthy(self) -> Duration {
        let slow = u64::try_from(self.slowlog_slower_than).map_or(Duration::MAX, Duration::from_micros);
        let spike =
            if self.latency_threshold == 0 { Duration::MAX } else { Duration::from_millis(self.latency_threshold) };
        slow.min(spike)
    }
}
