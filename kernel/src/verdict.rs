//! The log's verdict: which entries count. A pure function of the log, so every node that read up to an index has
//! passed the same verdicts (DESIGN.md section 3, PROTOCOL rules 1, 3 and 6).

use bincode::{Decode, Encode};

use crate::entry::Entry;
use crate::ids::{Epoch, Incarnation, Index, Seq};
use crate::mutant::Mutant;

/// What an entry is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Accepted,
    /// It is of another epoch than the current one, or a claim that missed something.
    Fenced,
    /// A batch, a renewal or a release that was accepted before: a resend.
    Duplicate,
    /// A batch or a release whose predecessor has not been accepted: it was lost, the primary resends from there.
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
    /// The newest accepted entry that renews the epoch: its claim, a batch or a renewal.
    pub last_renewal: Index,
    /// The number of the newest accepted `Renew` of the epoch.
    pub renewal: u64,
    /// The epoch has ended: its primary has handed over.
    pub released: bool,
}

impl Verdicts {
    /// Judges the entry at `index` and takes it into account.
    pub fn judge(&mut self, index: Index, entry: &Entry<'_>) -> Verdict {
        match *entry {
            // The system judges them: they are about who is a member.
            Entry::Hello { .. } | Entry::Format { .. } | Entry::Remove { .. } => Verdict::Accepted,
            Entry::Claim { incarnation, previous_epoch, last_renewal } => {
                let missed = !self.released && last_renewal != self.last_renewal;
                if previous_epoch != self.epoch || missed && !Mutant::ClaimWithoutRenewal.is_chosen() {
                    return Verdict::Fenced;
                }
                let epoch = Epoch(index.0);
                *self =
                    Verdicts { epoch, holder: incarnation, next_seq: Seq(1), last_renewal: index, ..Self::default() };
                Verdict::Accepted
            }
            Entry::Batch { epoch, seq, .. } => {
                let verdict = self.judge_seq(epoch, seq);
                if verdict == Verdict::Accepted {
                    self.next_seq = seq.next();
                    self.last_renewal = index;
                }
                verdict
            }
            Entry::Renew { epoch, number } => {
                if epoch != self.epoch || self.released {
                    Verdict::Fenced
                } else if number <= self.renewal {
                    Verdict::Duplicate
                } else {
                    self.renewal = number;
                    self.last_renewal = index;
                    Verdict::Accepted
                }
            }
            Entry::Release { epoch, seq } => {
                let verdict = self.judge_seq(epoch, seq);
                if verdict == Verdict::Accepted {
                    self.next_seq = seq.next();
                    self.released = true;
                }
                verdict
            }
        }
    }

    /// What takes a seq is accepted in the order of these, and nothing behind a release.
    fn judge_seq(&self, epoch: Epoch, seq: Seq) -> Verdict {
        if epoch != self.epoch || self.released {
            Verdict::Fenced
        } else if seq < self.next_seq && !Mutant::AcceptDuplicate.is_chosen() {
            Verdict::Duplicate
        } else if seq > self.next_seq && !Mutant::AcceptGap.is_chosen() {
            Verdict::Gap
        } else {
            Verdict::Accepted
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

    #[test]
    fn a_release_takes_its_turn_and_ends_the_epoch() {
        let mut log = Verdicts::default();
        log.judge(Index(5), &claim(0, 0));
        let release = |seq| Entry::Release { epoch: Epoch(5), seq: Seq(seq) };
        assert_eq!(log.judge(Index(6), &release(2)), Verdict::Gap);
        assert_eq!(log.judge(Index(7), &batch(5, 1)), Verdict::Accepted);
        assert_eq!(log.judge(Index(8), &release(2)), Verdict::Accepted);
        assert_eq!(log.judge(Index(9), &batch(5, 3)), Verdict::Fenced);
        assert_eq!(log.judge(Index(10), &Entry::Renew { epoch: Epoch(5), number: 1 }), Verdict::Fenced);
        // After a release the epoch alone decides.
        assert_eq!(log.judge(Index(11), &claim(5, 0)), Verdict::Accepted);
        assert_eq!(log.judge(Index(12), &claim(5, 0)), Verdict::Fenced);
    }

    #[test]
    fn a_renewal_counts_once_and_fences_older_claims() {
        let mut log = Verdicts::default();
        log.judge(Index(5), &claim(0, 0));
        let renew = |number| Entry::Renew { epoch: Epoch(5), number };
        assert_eq!(log.judge(Index(6), &renew(2)), Verdict::Accepted);
        assert_eq!(log.judge(Index(7), &renew(1)), Verdict::Duplicate);
        assert_eq!(log.judge(Index(8), &renew(2)), Verdict::Duplicate);
        assert_eq!(log.judge(Index(9), &claim(5, 5)), Verdict::Fenced);
        assert_eq!(log.judge(Index(10), &claim(5, 6)), Verdict::Accepted);
    }
}
