//! The log's verdict: which entries count. A pure function of the log, so every node that read up to an index has
//! passed the same verdicts (DESIGN.md section 3, PROTOCOL rules 1, 3 and 6).

use bincode::{Decode, Encode};

use crate::entry::Entry;
use crate::ids::{Epoch, Incarnation, Index, Seq};

/// What an entry is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Accepted,
    /// It is of another epoch than the current one, or a claim that missed something.
    Fenced,
    /// A batch that was accepted before: a resend.
    Duplicate,
    /// A batch whose predecessor has not been accepted: it was lost, the primary resends from there.
    Gap,
}

/// What decides about the next entry: all there is to know of the log so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Verdicts {
    /// The current epoch; zero before the first accepted claim.
    pub epoch: Epoch,
    /// Whose epoch it is.
    pub holder: Incarnation,
    /// The seq that the next batch must carry.
    pub next_seq: Seq,
    /// The newest accepted entry that renews the epoch: its claim or a batch.
    pub last_renewal: Index,
}

impl Verdicts {
    /// Judges the entry at `index` and takes it into account.
    pub fn judge(&mut self, index: Index, entry: &Entry<'_>) -> Verdict {
        match *entry {
            Entry::Hello { .. } => Verdict::Accepted,
            Entry::Claim { incarnation, previous_epoch, last_renewal } => {
                if previous_epoch != self.epoch || last_renewal != self.last_renewal {
                    return Verdict::Fenced;
                }
                *self = Verdicts { epoch: Epoch(index.0), holder: incarnation, next_seq: Seq(1), last_renewal: index };
                Verdict::Accepted
            }
            Entry::Batch { epoch, seq, .. } => {
                if epoch != self.epoch {
                    Verdict::Fenced
                } else if seq < self.next_seq {
                    Verdict::Duplicate
                } else if seq > self.next_seq {
                    Verdict::Gap
                } else {
                    self.next_seq = seq.next();
                    self.last_renewal = index;
                    Verdict::Accepted
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(previous_epoch: u64, last_renewal: u64) -> Entry<'static> {
        Entry::Claim {
            incarnation: Incarnation(1),
            previous_epoch: Epoch(previous_epoch),
            last_renewal: Index(last_renewal),
        }
    }

    fn batch(epoch: u64, seq: u64) -> Entry<'static> {
        Entry::Batch { epoch: Epoch(epoch), seq: Seq(seq), wall: 0, effects: &[] }
    }

    #[test]
    fn the_log_accepts_each_batch_once_and_in_order() {
        let mut log = Verdicts::default();
        assert_eq!(log.judge(Index(5), &claim(0, 0)), Verdict::Accepted);
        assert_eq!(log.judge(Index(6), &batch(5, 2)), Verdict::Gap);
        assert_eq!(log.judge(Index(7), &batch(5, 1)), Verdict::Accepted);
        assert_eq!(log.judge(Index(8), &batch(5, 1)), Verdict::Duplicate);
        assert_eq!(log.judge(Index(9), &batch(4, 2)), Verdict::Fenced);
        assert_eq!(log.judge(Index(10), &batch(5, 2)), Verdict::Accepted);
    }

    #[test]
    fn a_claim_that_missed_a_renewal_is_fenced() {
        let mut log = Verdicts::default();
        log.judge(Index(5), &claim(0, 0));
        log.judge(Index(6), &batch(5, 1));
        assert_eq!(log.judge(Index(7), &claim(5, 5)), Verdict::Fenced);
        assert_eq!(log.judge(Index(8), &claim(0, 6)), Verdict::Fenced);
        assert_eq!(log.judge(Index(9), &claim(5, 6)), Verdict::Accepted);
        assert_eq!(log.judge(Index(10), &batch(5, 2)), Verdict::Fenced);
        assert_eq!(log.judge(Index(11), &batch(9, 1)), Verdict::Accepted);
    }
}
