//! The gate: finished replies in the order of their requests, each held until its batch is accepted
//! (DESIGN.md section 3, PROTOCOL rules 11, 12 and 15).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::forward::Void;
use crate::ids::Seq;
use crate::level::Level;
use crate::resp::Reply;
use crate::time::Monotonic;

/// What a client hears of a reply whose batch was not accepted in time: its command was executed, its fate is open.
pub(crate) const UNCERTAIN: &[u8] = b"-UNCERTAIN executed, but not on disk at a majority of Keepers within the level timeout; it may or may not last\r\n";

/// What it hears of one at `ALL` that is durable, and not everywhere in time.
pub(crate) const NOT_EVERYWHERE: &[u8] =
    b"-NOQUORUM on disk at a majority of Keepers, but not at every Keeper and Core within the level timeout\r\n";

/// What it hears of one whose batch will never be accepted: nothing of it has happened.
const VOID: &[u8] = b"-LOADING another primary took over before this command was on disk; it has no effect\r\n";

/// A connection's replies that have not left.
#[derive(Debug, Default)]
pub struct Gate {
    pub(crate) reply: Reply,
    /// Bytes at the front of the replies that have been sent.
    sent: usize,
    held: VecDeque<Held>,
    /// Replies of the run that goes on which lean on the lease and wait for nothing else.
    leaning: Vec<Leaning>,
    /// Replies of the run that goes on which wait for nothing, by level.
    passed: [u64; 3],
    /// How long replies took that could leave.
    pub(crate) delays: Vec<Delay>,
}

/// How long some replies took until they could leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    pub level: Level,
    /// When the requests arrived, and when their commands had run, or were left to another Core.
    since: Monotonic,
    ran: Monotonic,
    /// From the arrival on.
    pub took: Duration,
    /// From then on: what the level took. `None`: it asks for nothing.
    pub waited: Option<Duration>,
    pub replies: u64,
    pub ending: Ending,
}

/// What became of replies that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Their level was reached.
    Reached,
    /// They were not accepted in time, or are void.
    Uncertain,
    /// They were not everywhere in time.
    NotEverywhere,
}

/// A reply that waits, as a range of the reply bytes; or several, one behind the other, that wait for the same.
#[derive(Clone, Copy, Debug)]
struct Held {
    start: usize,
    end: usize,
    replies: u64,
    until: Until,
}

/// Replies, one behind the other, that wait for nothing if there is a lease.
#[derive(Clone, Copy, Debug)]
struct Leaning {
    start: usize,
    end: usize,
    replies: u64,
    level: Level,
}

/// What a reply waits for.
#[derive(Clone, Copy, Debug)]
enum Until {
    Accepted(Wait),
    /// There is none yet: another Core has the command of this number. Who forwards looks at the time.
    Answered(Place),
    /// Nothing any more; those before it wait.
    Passed,
}

/// The place of a reply that another Core will give.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub number: u64,
    pub level: Level,
    /// When its request arrived, and when it was left to the other Core.
    pub since: Monotonic,
    pub ran: Monotonic,
}

/// How far this Core's batches have got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// All up to this one are accepted, or void.
    pub accepted: Seq,
    /// All up to this one are synced by every Keeper and applied by every Core, or void. `None`: nothing is known to be.
    pub everywhere: Option<Seq>,
}

impl Marks {
    /// Where nobody else holds the data.
    pub fn alone(accepted: Seq) -> Self {
        Self { accepted, everywhere: Some(accepted) }
    }

    /// Whether what waits for this batch at this level may leave.
    pub(crate) fn reach(self, seq: Seq, level: Level) -> bool {
        Some(seq) <= if level == Level::All { self.everywhere } else { Some(self.accepted) }
    }
}

/// The batch that a reply waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub seq: Seq,
    pub until: Monotonic,
    pub level: Level,
    /// When its request arrived, and when its command ran.
    pub since: Monotonic,
    pub ran: Monotonic,
    /// It changed nothing, so that it leans on the lease (PROTOCOL rules 4 and 12).
    pub is_read: bool,
}

impl Wait {
    fn over(&self, now: Monotonic, replies: u64, ending: Ending) -> Delay {
        let Wait { level, since, ran, .. } = *self;
        Delay { level, since, ran, took: now - since, waited: Some(now - ran), replies, ending }
    }
}

impl Ending {
    /// What another Core's reply says of it.
    fn of(reply: &[u8]) -> Self {
        if reply.starts_with(b"-UNCERTAIN ") {
            Ending::Uncertain
        } else if reply == NOT_EVERYWHERE {
            Ending::NotEverywhere
        } else {
            Ending::Reached
        }
    }
}

impl Gate {
    /// Holds the reply that begins at `start` of the reply bytes and ends at their end.
    pub(crate) fn hold(&mut self, start: usize, wait: Wait) {
        self.held.push_back(Held { start, end: self.reply.bytes.len(), replies: 1, until: Until::Accepted(wait) });
    }

    /// Keeps the place of a reply that another Core will give.
    pub(crate) fn hold_place(&mut self, place: Place) {
        let end = self.reply.bytes.len();
        self.held.push_back(Held { start: end, end, replies: 1, until: Until::Answered(place) });
    }

    /// Puts a reply in its place.
    pub(crate) fn answer(&mut self, number: u64, reply: &[u8], now: Monotonic) {
        let place = |held: &Held| match held.until {
            Until::Answered(place) if place.number == number => Some(place),
            _ => None,
        };
        let Some((i, place)) = self.held.iter().enumerate().find_map(|(i, held)| Some((i, place(held)?))) else {
            return;
        };
        let Place { level, since, ran, .. } = place;
        let ending = Ending::of(reply);
        self.delays.push(Delay { level, since, ran, took: now - since, waited: Some(now - ran), replies: 1, ending });
        let at = self.held[i].start;
        if at == self.reply.bytes.len() {
            self.reply.bytes.extend_from_slice(reply);
        } else {
            self.reply.bytes.splice(at..at, reply.iter().copied());
        }
        self.held[i].end += reply.len();
        self.held[i].until = Until::Passed;
        for held in self.held.iter_mut().skip(i + 1) {
            held.start += reply.len();
            held.end += reply.len();
        }
        self.pass_front();
    }

    /// Lets go of those in front that wait for nothing any more.
    fn pass_front(&mut self) {
        while self.held.front().is_some_and(|held| matches!(held.until, Until::Passed)) {
            self.held.pop_front();
        }
    }

    /// The reads that were executed from byte `from` on did so without a lease: all wait for the batch `wait.seq`, which
    /// is first sent later (rule 4). Writes lean on no lease.
    pub(crate) fn hold_reads(&mut self, from: usize, wait: Wait) {
        let mut held = VecDeque::with_capacity(self.held.len() + self.leaning.len());
        let mut leaning = self.leaning.drain(..).peekable();
        let passed = &mut self.passed;
        let mut hold = |Leaning { start, end, replies, level }: Leaning| {
            passed[level as usize] -= replies;
            Held { start, end, replies, until: Until::Accepted(Wait { level, ..wait }) }
        };
        for mut this in self.held.drain(..) {
            while let Some(reads) = leaning.next_if(|reads| reads.start < this.start) {
                held.push_back(hold(reads));
            }
            if this.start >= from
                && let Until::Accepted(own) = &mut this.until
                && own.is_read
            {
                own.seq = own.seq.max(wait.seq);
            }
            held.push_back(this);
        }
        held.extend(leaning.map(hold));
        self.held = held;
    }

    /// Notes a reply, from byte `start` to the end, that waits for nothing; one that `leans` may have to after all: see
    /// [`Gate::hold_reads`].
    pub(crate) fn pass(&mut self, start: usize, level: Level, leans: bool) {
        self.passed[level as usize] += 1;
        if !leans {
            return;
        }
        let end = self.reply.bytes.len();
        match self.leaning.last_mut() {
            // None that waits stands between them, not even an empty place.
            Some(last)
                if last.end == start
                    && last.level == level
                    && self.held.back().is_none_or(|held| held.start < last.start) =>
            {
                last.end = end;
                last.replies += 1;
            }
            _ => self.leaning.push(Leaning { start, end, replies: 1, level }),
        }
    }

    /// Notes a reply that waits for nothing any more.
    pub(crate) fn passed_since(&mut self, level: Level, since: Monotonic, now: Monotonic) {
        let (took, ending) = (now - since, Ending::Reached);
        self.delays.push(Delay { level, since, ran: now, took, waited: None, replies: 1, ending });
    }

    /// The run has ended: what waits for nothing could leave by now. Its requests arrived at `since`.
    pub(crate) fn left(&mut self, now: Monotonic, since: Monotonic) {
        self.leaning.clear();
        for level in [Level::Eventual, Level::Quorum, Level::All] {
            let replies = core::mem::take(&mut self.passed[level as usize]);
            if replies > 0 {
                let (waited, ending) = ((level != Level::Eventual).then_some(Duration::ZERO), Ending::Reached);
                self.delays.push(Delay { level, since, ran: now, took: now - since, waited, replies, ending });
            }
        }
    }

    /// Opens the gate as far as the log has got; what waits for a void batch is told that nothing of it happened, if that is
    /// certain.
    pub fn open(&mut self, marks: Marks, voids: &[Void], now: Monotonic) {
        let instead = |held: &Held| match held.until {
            Until::Accepted(wait) if wait.seq <= marks.accepted => {
                let void = voids.iter().find(|void| void.contains(wait.seq))?;
                Some((if void.is_certain { VOID } else { UNCERTAIN }, Ending::Uncertain))
            }
            _ => None,
        };
        if !voids.is_empty() && self.held.iter().any(|held| instead(held).is_some()) {
            self.replace(now, instead);
        }
        while let Some(held) = self.held.front() {
            match held.until {
                Until::Accepted(wait) if marks.reach(wait.seq, wait.level) => {
                    count(&mut self.delays, wait.over(now, held.replies, Ending::Reached));
                }
                Until::Passed => {}
                _ => break,
            }
            self.held.pop_front();
        }
    }

    /// Tells the truth to those that have waited too long: that what they wait for is not everywhere, or of uncertain fate.
    pub fn expire(&mut self, marks: Marks, now: Monotonic) {
        let truth = |held: &Held| match held.until {
            // What has reached its level waits for those before it alone.
            Until::Accepted(wait) if wait.until <= now && !marks.reach(wait.seq, wait.level) => {
                Some(match wait.seq <= marks.accepted {
                    true => (NOT_EVERYWHERE, Ending::NotEverywhere),
                    false => (UNCERTAIN, Ending::Uncertain),
                })
            }
            _ => None,
        };
        if self.held.iter().any(|held| truth(held).is_some()) {
            self.replace(now, truth);
        }
    }

    /// Puts other replies in the place of some.
    fn replace(&mut self, now: Monotonic, other: impl Fn(&Held) -> Option<(&'static [u8], Ending)>) {
        let mut bytes = Vec::with_capacity(self.reply.bytes.len());
        let mut copied = 0;
        let mut kept = VecDeque::new();
        for held in &self.held {
            bytes.extend_from_slice(&self.reply.bytes[copied..held.start]);
            let start = bytes.len();
            match (other(held), held.until) {
                (Some((reply, ending)), Until::Accepted(wait)) => {
                    count(&mut self.delays, wait.over(now, held.replies, ending));
                    (0..held.replies).for_each(|_| bytes.extend_from_slice(reply));
                    kept.push_back(Held { start, end: bytes.len(), replies: held.replies, until: Until::Passed });
                }
                _ => {
                    bytes.extend_from_slice(&self.reply.bytes[held.start..held.end]);
                    kept.push_back(Held { start, end: bytes.len(), ..*held });
                }
            }
            copied = held.end;
        }
        bytes.extend_from_slice(&self.reply.bytes[copied..]);
        self.reply.bytes = bytes;
        self.held = kept;
        self.pass_front();
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
        // Places that another Core's replies will take are held although all bytes have left.
        if self.sent == self.reply.bytes.len() || self.sent >= 1 << 16 {
            self.reply.bytes.drain(..self.sent);
            for held in &mut self.held {
                held.start -= self.sent;
                held.end -= self.sent;
            }
            self.sent = 0;
        }
    }

    /// The batch that the first held reply waits for, if it waits for one, and at which level.
    pub fn waits_for(&self) -> Option<(Seq, Level)> {
        match self.held.front()?.until {
            Until::Accepted(wait) => Some((wait.seq, wait.level)),
            Until::Answered(_) | Until::Passed => None,
        }
    }

    /// Bytes held and ready.
    pub fn len(&self) -> usize {
        self.reply.bytes.len() - self.sent
    }

    /// Whether everything has left, and nothing is to come from another Core.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.held.is_empty()
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

    fn accepted(seq: u64) -> Marks {
        Marks { accepted: Seq(seq), everywhere: None }
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    fn place(number: u64) -> Place {
        Place { number, level: Level::Quorum, since: at(0), ran: at(0) }
    }

    fn read(gate: &mut Gate, text: &str) {
        let start = gate.reply.bytes.len();
        gate.reply.simple(text);
        gate.pass(start, Level::Quorum, true);
    }

    fn write(gate: &mut Gate, text: &str, seq: u64) {
        let start = gate.reply.bytes.len();
        gate.reply.simple(text);
        let wait = Wait { seq: Seq(seq), until: at(9), level: Level::Quorum, since: at(0), ran: at(0), is_read: false };
        gate.hold(start, wait);
    }

    fn gate(replies: &[(&str, Option<u64>, u64)]) -> Gate {
        let mut gate = Gate::default();
        for (text, seq, until) in replies {
            let start = gate.reply.bytes.len();
            gate.reply.simple(text);
            if let Some(seq) = seq {
                gate.hold(
                    start,
                    Wait {
                        seq: Seq(*seq),
                        until: at(*until),
                        level: Level::Quorum,
                        since: at(0),
                        ran: at(0),
                        is_read: false,
                    },
                );
            }
        }
        gate
    }

    #[test]
    fn replies_leave_in_order_and_not_before_their_batch() {
        let mut gate = gate(&[("a", None, 0), ("b", Some(2), 9), ("c", None, 0), ("d", Some(1), 9), ("e", Some(3), 9)]);
        assert_eq!(gate.ready(), b"+a\r\n");
        gate.sent(4);
        gate.open(accepted(1), &[], at(1));
        assert_eq!(gate.ready(), b"");
        gate.open(accepted(2), &[], at(1));
        assert_eq!(gate.ready(), b"+b\r\n+c\r\n+d\r\n");
        gate.sent(3);
        gate.open(accepted(3), &[], at(1));
        assert_eq!(gate.ready(), b"\n+c\r\n+d\r\n+e\r\n".as_slice());
        gate.sent(gate.ready().len());
        assert!(gate.is_empty() && gate.waits_for().is_none());
    }

    #[test]
    fn what_waited_too_long_is_uncertain_and_only_that() {
        let mut gate = gate(&[("a", Some(1), 5), ("b", None, 0), ("c", Some(2), 9)]);
        gate.expire(Marks::default(), at(4));
        assert_eq!(gate.ready(), b"");
        gate.expire(Marks::default(), at(5));
        assert!(gate.ready().starts_with(b"-UNCERTAIN") && gate.ready().ends_with(b"\r\n+b\r\n"));
        assert_eq!(gate.waits_for(), Some((Seq(2), Level::Quorum)));
        gate.sent(gate.ready().len());
        gate.open(accepted(2), &[], at(1));
        assert_eq!(gate.ready(), b"+c\r\n");
    }

    #[test]
    fn what_another_core_answers_comes_in_its_turn() {
        let mut gate = gate(&[("a", Some(1), 9)]);
        gate.hold_place(place(7));
        gate.hold_place(place(8));
        gate.reply.simple("d");
        gate.answer(8, b"+c\r\n", at(1));
        gate.open(accepted(1), &[], at(1));
        assert_eq!(gate.ready(), b"+a\r\n");
        gate.answer(7, b"+b\r\n", at(1));
        assert_eq!(gate.ready(), b"+a\r\n+b\r\n+c\r\n+d\r\n");
        assert!(!gate.is_empty());
        gate.sent(16);
        assert!(gate.is_empty());
        assert_eq!(gate.delays.iter().map(|delay| delay.replies).sum::<u64>(), 3);
        assert!(gate.delays.iter().all(|delay| delay.waited == Some(Duration::from_secs(1))));
    }

    #[test]
    fn places_stay_right_when_all_that_was_there_has_left() {
        let mut gate = Gate::default();
        for number in [1, 2, 3] {
            gate.hold_place(place(number));
        }
        gate.answer(1, b"+a\r\n", at(1));
        assert_eq!(gate.ready(), b"+a\r\n");
        gate.sent(4);
        gate.answer(3, b"+c\r\n", at(1));
        assert_eq!(gate.ready(), b"");
        gate.answer(2, b"+b\r\n", at(1));
        assert_eq!(gate.ready(), b"+b\r\n+c\r\n");
        gate.sent(8);
        assert!(gate.is_empty());
    }

    #[test]
    fn what_is_void_had_no_effect_and_is_told_so() {
        // A primary whose tail was purged before it heard of it told its clients that nothing had happened.
        for (is_certain, told) in [(true, b"+a\r\n-LOADING".as_slice()), (false, b"+a\r\n-UNCERTAIN")] {
            let voids = [Void { first: Seq(2), last: Seq(3), is_certain }];
            let mut gate = gate(&[("a", Some(1), 9), ("b", Some(3), 9), ("c", Some(4), 9)]);
            gate.open(accepted(3), &voids, at(1));
            assert!(gate.ready().starts_with(told), "{:?}", gate.ready());
            gate.sent(gate.ready().len());
            gate.open(accepted(4), &voids, at(1));
            assert_eq!(gate.ready(), b"+c\r\n");
        }
    }

    #[test]
    fn reads_without_a_lease_wait_and_writes_do_not() {
        let mut gate = gate(&[("before", None, 0)]);
        read(&mut gate, "read");
        write(&mut gate, "write", 1);
        read(&mut gate, "read");
        let wait = Wait { seq: Seq(2), until: at(9), level: Level::Quorum, since: at(0), ran: at(0), is_read: true };
        gate.hold_reads("+before\r\n".len(), wait);
        assert_eq!(gate.ready(), b"+before\r\n");
        gate.open(accepted(1), &[], at(1));
        assert_eq!(gate.ready(), b"+before\r\n");
        gate.open(accepted(2), &[], at(1));
        assert_eq!(gate.ready(), b"+before\r\n+read\r\n+write\r\n+read\r\n");
    }

    #[test]
    fn each_read_that_is_void_or_uncertain_is_told_so_and_no_other_reply() {
        for void in [true, false] {
            let mut gate = Gate::default();
            for text in ["one", "two"] {
                read(&mut gate, text);
            }
            gate.reply.simple("select");
            gate.pass(gate.reply.bytes.len() - "+select\r\n".len(), Level::Eventual, false);
            read(&mut gate, "three");
            let wait =
                Wait { seq: Seq(2), until: at(9), level: Level::Quorum, since: at(0), ran: at(0), is_read: true };
            gate.hold_reads(0, wait);
            assert_eq!(gate.ready(), b"");
            if void {
                gate.open(accepted(2), &[Void { first: Seq(2), last: Seq(2), is_certain: true }], at(1));
            } else {
                gate.expire(Marks::default(), at(9));
            }
            let words: Vec<&[u8]> =
                gate.ready().split(|b| *b == b'\n').map(|line| &line[..line.len().min(4)]).collect();
            let (error, select) = (if void { b"-LOA" } else { b"-UNC" }.as_slice(), b"+sel".as_slice());
            assert_eq!(words, [error, error, select, error, b""]);
            let delays: u64 = gate.delays.iter().map(|delay| delay.replies).sum();
            assert_eq!(delays, 3);
        }
    }

    #[test]
    fn a_reply_at_all_waits_until_it_is_everywhere() {
        let mut gate = Gate::default();
        for (text, level) in [("all", Level::All), ("quorum", Level::Quorum)] {
            let start = gate.reply.bytes.len();
            gate.reply.simple(text);
            gate.hold(start, Wait { seq: Seq(3), until: at(5), level, since: at(0), ran: at(0), is_read: false });
        }
        gate.open(accepted(3), &[], at(1));
        assert_eq!(gate.ready(), b"", "the other one stands behind it");
        assert_eq!(gate.waits_for(), Some((Seq(3), Level::All)));
        gate.open(Marks { accepted: Seq(3), everywhere: Some(Seq(3)) }, &[], at(1));
        assert_eq!(gate.ready(), b"+all\r\n+quorum\r\n");
    }

    #[test]
    fn who_waits_behind_one_that_waits_in_vain_is_answered() {
        let mut gate = Gate::default();
        for (text, level) in [("all", Level::All), ("quorum", Level::Quorum)] {
            let start = gate.reply.bytes.len();
            gate.reply.simple(text);
            gate.hold(start, Wait { seq: Seq(3), until: at(5), level, since: at(0), ran: at(0), is_read: false });
        }
        gate.expire(accepted(3), at(5));
        gate.open(accepted(3), &[], at(5));
        assert_eq!(gate.ready(), [NOT_EVERYWHERE, b"+quorum\r\n"].concat());
    }

    #[test]
    fn who_waited_in_vain_for_all_hears_what_is_true() {
        for (mark, heard) in [(3, NOT_EVERYWHERE), (2, UNCERTAIN)] {
            let mut gate = Gate::default();
            gate.reply.simple("all");
            gate.hold(
                0,
                Wait { seq: Seq(3), until: at(5), level: Level::All, since: at(0), ran: at(0), is_read: false },
            );
            gate.expire(accepted(mark), at(4));
            assert_eq!(gate.ready(), b"");
            gate.expire(accepted(mark), at(5));
            assert_eq!(gate.ready(), heard);
        }
    }
}
