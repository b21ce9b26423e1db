//! The gate: finished replies in the order of their requests, each held until its batch is accepted
//! (DESIGN.md section 3, PROTOCOL rules 11, 12 and 15).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::ids::Seq;
use crate::level::Level;
use crate::resp::Reply;
use crate::time::Monotonic;

/// What a client hears of a reply whose batch was not accepted in time: its command was executed, its fate is open.
const UNCERTAIN: &[u8] = b"-UNCERTAIN executed, but not on disk at a majority of Keepers within the level timeout; it may or may not last\r\n";

/// A connection's replies that have not left.
#[derive(Debug, Default)]
pub struct Gate {
    pub(crate) reply: Reply,
    /// Bytes at the front of the replies that have been sent.
    sent: usize,
    held: VecDeque<Held>,
    /// Replies of the run that goes on which wait for nothing, by level.
    passed: [u64; 3],
    /// How long replies took that could leave.
    pub(crate) delays: Vec<Delay>,
}

/// How long some replies took from the arrival of their requests until they could leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    pub level: Level,
    /// When the requests arrived.
    since: Monotonic,
    pub took: Duration,
    pub replies: u64,
    /// They were not accepted in time.
    pub uncertain: bool,
}

/// A reply that waits, as a range of the reply bytes.
#[derive(Clone, Copy, Debug)]
struct Held {
    start: usize,
    end: usize,
    wait: Wait,
}

/// What a reply waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub seq: Seq,
    pub until: Monotonic,
    pub level: Level,
    /// When its request arrived.
    pub since: Monotonic,
}

impl Wait {
    fn over(&self, now: Monotonic, uncertain: bool) -> Delay {
        Delay { level: self.level, since: self.since, took: now - self.since, replies: 1, uncertain }
    }
}

impl Gate {
    /// Holds the reply that begins at `start` of the reply bytes and ends at their end.
    pub(crate) fn hold(&mut self, start: usize, wait: Wait) {
        self.held.push_back(Held { start, end: self.reply.bytes.len(), wait });
    }

    /// Notes a reply that waits for nothing.
    pub(crate) fn pass(&mut self, level: Level) {
        self.passed[level as usize] += 1;
    }

    /// Notes a reply that waits for nothing any more.
    pub(crate) fn passed_since(&mut self, level: Level, since: Monotonic, now: Monotonic) {
        self.delays.push(Delay { level, since, took: now - since, replies: 1, uncertain: false });
    }

    /// The run has ended: what waits for nothing could leave by now. Its requests arrived at `since`.
    pub(crate) fn left(&mut self, now: Monotonic, since: Monotonic) {
        for level in [Level::Eventual, Level::Quorum, Level::All] {
            let replies = core::mem::take(&mut self.passed[level as usize]);
            if replies > 0 {
                self.delays.push(Delay { level, since, took: now - since, replies, uncertain: false });
            }
        }
    }

    /// Opens the gate for every batch up to `accepted`.
    pub fn open(&mut self, accepted: Seq, now: Monotonic) {
        while let Some(held) = self.held.front().filter(|held| held.wait.seq <= accepted) {
            count(&mut self.delays, held.wait.over(now, false));
            self.held.pop_front();
        }
    }

    /// Tells the truth to those that have waited too long: their replies become `-UNCERTAIN`.
    pub fn expire(&mut self, now: Monotonic) {
        if !self.held.iter().any(|held| held.wait.until <= now) {
            return;
        }
        let mut bytes = Vec::with_capacity(self.reply.bytes.len());
        let mut copied = 0;
        let mut kept = VecDeque::new();
        for held in &self.held {
            bytes.extend_from_slice(&self.reply.bytes[copied..held.start]);
            let start = bytes.len();
            if held.wait.until <= now {
                count(&mut self.delays, held.wait.over(now, true));
                bytes.extend_from_slice(UNCERTAIN);
            } else {
                bytes.extend_from_slice(&self.reply.bytes[held.start..held.end]);
                kept.push_back(Held { start, end: bytes.len(), ..*held });
            }
            copied = held.end;
        }
        bytes.extend_from_slice(&self.reply.bytes[copied..]);
        self.reply.bytes = bytes;
        self.held = kept;
    }

    /// The bytes that may leave now.
    pub fn ready(&self) -> &[u8] {
        let end = self.held.front().map_or(self.reply.bytes.len(), |held| held.start);
        &self.reply.bytes[self.sent..end]
    }

    /// Notes that the first `n` bytes of [`Gate::ready`] have left.
    pub fn sent(&mut self, n: usize) {
        self.sent += n;
        debug_assert!(self.sent <= self.reply.bytes.len());
        if self.sent == self.reply.bytes.len() {
            self.reply.bytes.clear();
            self.sent = 0;
        } else if self.sent >= 1 << 16 {
            self.reply.bytes.drain(..self.sent);
            for held in &mut self.held {
                held.start -= self.sent;
                held.end -= self.sent;
            }
            self.sent = 0;
        }
    }

    /// The batch that the first held reply waits for.
    pub fn waits_for(&self) -> Option<Seq> {
        self.held.front().map(|held| held.wait.seq)
    }

    /// Bytes held and ready.
    pub fn len(&self) -> usize {
        self.reply.bytes.len() - self.sent
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Adds a delay to the last one if it is the same, as in a pipeline it mostly is.
fn count(delays: &mut Vec<Delay>, delay: Delay) {
    match delays.last_mut() {
        Some(last) if (Delay { replies: delay.replies, ..*last }) == delay => last.replies += delay.replies,
        _ => delays.push(delay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    fn gate(replies: &[(&str, Option<u64>, u64)]) -> Gate {
        let mut gate = Gate::default();
        for (text, seq, until) in replies {
            let start = gate.reply.bytes.len();
            gate.reply.simple(text);
            if let Some(seq) = seq {
                gate.hold(start, Wait { seq: Seq(*seq), until: at(*until), level: Level::Quorum, since: at(0) });
            }
        }
        gate
    }

    #[test]
    fn replies_leave_in_order_and_not_before_their_batch() {
        let mut gate = gate(&[("a", None, 0), ("b", Some(2), 9), ("c", None, 0), ("d", Some(1), 9), ("e", Some(3), 9)]);
        assert_eq!(gate.ready(), b"+a\r\n");
        gate.sent(4);
        gate.open(Seq(1), at(1));
        assert_eq!(gate.ready(), b"");
        gate.open(Seq(2), at(1));
        assert_eq!(gate.ready(), b"+b\r\n+c\r\n+d\r\n");
        gate.sent(3);
        gate.open(Seq(3), at(1));
        assert_eq!(gate.ready(), b"\n+c\r\n+d\r\n+e\r\n".as_slice());
        gate.sent(gate.ready().len());
        assert!(gate.is_empty() && gate.waits_for().is_none());
    }

    #[test]
    fn what_waited_too_long_is_uncertain_and_only_that() {
        let mut gate = gate(&[("a", Some(1), 5), ("b", None, 0), ("c", Some(2), 9)]);
        gate.expire(at(4));
        assert_eq!(gate.ready(), b"");
        gate.expire(at(5));
        assert!(gate.ready().starts_with(b"-UNCERTAIN") && gate.ready().ends_with(b"\r\n+b\r\n"));
        assert_eq!(gate.waits_for(), Some(Seq(2)));
        gate.sent(gate.ready().len());
        gate.open(Seq(2), at(1));
        assert_eq!(gate.ready(), b"+c\r\n");
    }
}
