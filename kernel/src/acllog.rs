//! What was refused on this node for want of rights, as `ACL LOG` shows it: the same again within a minute counts as one.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::time::Wall;

/// Milliseconds within which the same counts as one, as in Redis.
const TOGETHER: u64 = 60_000;
/// Bytes that are kept of what was refused: a key can have any length.
const OBJECT_BYTES: usize = 256;

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Command,
    Key,
    Channel,
    Auth,
}

impl Reason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Auth => "auth",
        }
    }
}

/// What was refused, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub reason: Reason,
    /// `toplevel`, `multi` or `lua`.
    pub context: &'static str,
    /// The command, the key or the channel.
    pub object: Vec<u8>,
    pub user: String,
}

/// An entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Unique in this process, from 0.
    pub id: u64,
    pub count: u64,
    pub refusal: Refusal,
    /// The client of the newest one, as in `CLIENT LIST`.
    pub client: String,
    pub created: Wall,
    pub updated: Wall,
}

/// The newest refusals.
#[derive(Debug, Default)]
pub(crate) struct AclLog {
    /// The newest first.
    entries: VecDeque<Entry>,
    next_id: u64,
}

impl AclLog {
    pub(crate) fn add(&mut self, mut refusal: Refusal, client: String, now: Wall, bound: usize) {
        refusal.object.truncate(OBJECT_BYTES);
        let is_same = |entry: &Entry| entry.refusal == refusal && now.0 - entry.updated.0.min(now.0) <= TOGETHER;
        let known = self.entries.iter().position(is_same).and_then(|place| self.entries.remove(place));
        let entry = match known {
            Some(entry) => Entry { count: entry.count + 1, client, updated: now, ..entry },
            None => {
                self.next_id += 1;
                Entry { id: self.next_id - 1, count: 1, refusal, client, created: now, updated: now }
            }
        };
        self.entries.push_front(entry);
        self.cut(bound);
    }

    pub(crate) fn cut(&mut self, bound: usize) {
        self.entries.truncate(bound);
    }

    pub(crate) fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(log: &mut AclLog, object: &[u8], at: u64) {
        let refusal = Refusal { reason: Reason::Key, context: "toplevel", object: object.into(), user: "ann".into() };
        log.add(refusal, "client".into(), Wall(at), 2);
    }

    fn shown(log: &AclLog) -> Vec<(u64, u64, &[u8])> {
        log.entries().iter().map(|entry| (entry.id, entry.count, &entry.refusal.object[..])).collect()
    }

    #[test]
    fn the_same_within_a_minute_counts_as_one_and_comes_first() {
        let mut log = AclLog::default();
        add(&mut log, b"a", 0);
        add(&mut log, b"b", 1);
        add(&mut log, b"a", 60_000);
        assert_eq!(shown(&log), [(0, 2, &b"a"[..]), (1, 1, b"b")]);
        add(&mut log, b"a", 120_001);
        assert_eq!(shown(&log), [(2, 1, &b"a"[..]), (0, 2, b"a")]);
    }

    #[test]
    fn it_is_bounded_in_entries_and_in_bytes() {
        let mut log = AclLog::default();
        (0..5).for_each(|i| add(&mut log, &[i; 1000], 0));
        assert_eq!(shown(&log), [(4, 1, &[4u8; OBJECT_BYTES][..]), (3, 1, &[3; OBJECT_BYTES])]);
    }
}
