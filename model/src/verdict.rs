//! The log's verdict: which entries count. A pure function of the log (rules 1, 2, 3, 5 and 6).

use crate::entry::Entry;
use crate::mutant::Mutant;
use crate::numbers::{Epoch, Incarnation, Index, Node, Number, Seq};
use crate::op::Data;
use crate::table::Table;

/// What an entry is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Accepted,
    /// It is of another epoch than the current one, or of a released one, or a claim that missed something.
    Fenced,
    /// It was accepted before, or a later renewal was: a resend. It renews nothing.
    Duplicate,
    /// A batch whose predecessor has not been accepted.
    Gap,
}

/// What decides about the next entry: all there is to know of the log so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Verdicts {
    /// The current epoch; zero before the first accepted claim.
    pub epoch: Epoch,
    /// Whose epoch it is.
    pub holder: Option<(Node, Incarnation)>,
    /// The seq that the next batch or `Release` must carry.
    pub next_seq: Seq,
    /// The lowest number that the next `Renew` may carry. Others may be left out: a lost one is not sent again for its
    /// own sake.
    pub next_number: Number,
    /// The newest accepted entry that renews the epoch: its claim, a batch or a `Renew`.
    pub last_renewal: Index,
    /// The epoch was handed over: nothing of it is accepted any more, and anyone may claim.
    pub is_released: bool,
}

impl Verdicts {
    /// Judges the entry at `index` and takes it into account.
    pub fn judge(&mut self, index: Index, entry: &Entry, mutant: Option<Mutant>) -> Verdict {
        let verdict = self.of(entry, mutant);
        if verdict == Verdict::Accepted {
            self.accept(index, entry);
        }
        verdict
    }

    fn of(&self, entry: &Entry, mutant: Option<Mutant>) -> Verdict {
        match *entry {
            Entry::Hello { .. } | Entry::Other => Verdict::Accepted,
            Entry::Claim { previous_epoch, last_renewal, .. } => {
                let saw_all = last_renewal == self.last_renewal || mutant == Some(Mutant::ClaimWithoutRenewal);
                match previous_epoch == self.epoch && (self.is_released || saw_all) {
                    true => Verdict::Accepted,
                    false => Verdict::Fenced,
                }
            }
            Entry::Renew { epoch, .. } | Entry::Batch { epoch, .. } | Entry::Release { epoch, .. }
                if epoch != self.epoch || self.is_released =>
            {
                Verdict::Fenced
            }
            Entry::Renew { number, .. } if number < self.next_number => Verdict::Duplicate,
            Entry::Renew { .. } => Verdict::Accepted,
            Entry::Batch { seq, .. } | Entry::Release { seq, .. } => {
                if seq < self.next_seq && mutant != Some(Mutant::DuplicateAccepted) {
                    Verdict::Duplicate
                } else if seq > self.next_seq && mutant != Some(Mutant::GapAccepted) {
                    Verdict::Gap
                } else {
                    Verdict::Accepted
                }
            }
        }
    }

    fn accept(&mut self, index: Index, entry: &Entry) {
        match *entry {
            Entry::Hello { .. } | Entry::Other => return,
            Entry::Claim { node, incarnation, .. } => {
                self.epoch = Epoch(index.0);
                self.holder = Some((node, incarnation));
                self.next_seq = Seq(1);
                self.next_number = Number(1);
                self.is_released = false;
            }
            Entry::Renew { number, .. } => self.next_number = number.next(),
            Entry::Batch { seq, .. } => self.next_seq = seq.next(),
            Entry::Release { seq, .. } => {
                self.next_seq = seq.next();
                self.is_released = true;
                // It renews nothing.
                return;
            }
        }
        self.last_renewal = index;
    }
}

/// What every node holds that applied some entries, and what each was worth.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    pub verdicts: Verdicts,
    pub data: Data,
    pub table: Table,
    pub each: Vec<Verdict>,
}

pub fn replay(log: &[Entry], mutant: Option<Mutant>) -> Replay {
    let mut replay = Replay::default();
    for (entry, index) in log.iter().zip(1..) {
        let verdict = replay.verdicts.judge(Index(index), entry, mutant);
        if verdict == Verdict::Accepted {
            entry.apply(&mut replay.data, &mut replay.table);
        }
        replay.each.push(verdict);
    }
    replay
}

#[cfg(test)]
mod tests {
    use Verdict::{Accepted, Duplicate, Fenced, Gap};

    use super::*;

    fn claim(previous_epoch: u16, last_renewal: u16) -> Entry {
        Entry::Claim {
            node: Node(0),
            incarnation: Incarnation(1),
            previous_epoch: Epoch(previous_epoch),
            last_renewal: Index(last_renewal),
        }
    }

    fn renew(epoch: u16, number: u16) -> Entry {
        Entry::Renew { epoch: Epoch(epoch), number: Number(number) }
    }

    fn batch(epoch: u16, seq: u16) -> Entry {
        Entry::Batch { epoch: Epoch(epoch), seq: Seq(seq), writes: vec![], records: vec![] }
    }

    fn release(epoch: u16, seq: u16) -> Entry {
        Entry::Release { epoch: Epoch(epoch), seq: Seq(seq) }
    }

    /// Entries from index 1 on, each with its verdict.
    fn check(log: &[(Entry, Verdict)]) {
        let entries: Vec<_> = log.iter().map(|(entry, _)| entry.clone()).collect();
        let expected: Vec<_> = log.iter().map(|(_, verdict)| *verdict).collect();
        assert_eq!(replay(&entries, None).each, expected);
    }

    #[test]
    fn each_batch_counts_once_and_in_order() {
        check(&[
            (claim(0, 0), Accepted),
            (batch(1, 2), Gap),
            (batch(1, 1), Accepted),
            (batch(1, 1), Duplicate),
            (batch(4, 2), Fenced),
            (batch(1, 2), Accepted),
        ]);
    }

    #[test]
    fn a_claim_that_missed_a_renewal_is_fenced() {
        check(&[
            (claim(0, 0), Accepted),
            (batch(1, 1), Accepted),
            (claim(1, 1), Fenced),
            (renew(1, 1), Accepted),
            (claim(1, 2), Fenced),
            (claim(0, 4), Fenced),
            (claim(1, 4), Accepted),
            (batch(1, 2), Fenced),
            (renew(1, 2), Fenced),
            (batch(7, 1), Accepted),
        ]);
    }

    #[test]
    fn what_does_not_count_renews_nothing() {
        check(&[
            (claim(0, 0), Accepted),
            (renew(1, 2), Accepted),
            (renew(1, 2), Duplicate),
            (renew(1, 1), Duplicate),
            (batch(1, 3), Gap),
            (release(1, 3), Gap),
            (claim(1, 2), Accepted),
        ]);
    }

    #[test]
    fn after_a_release_the_epoch_alone_decides_about_a_claim() {
        check(&[
            (claim(0, 0), Accepted),
            (batch(1, 1), Accepted),
            (release(1, 2), Accepted),
            (batch(1, 3), Fenced),
            (renew(1, 1), Fenced),
            (release(1, 2), Fenced),
            (claim(0, 3), Fenced),
            (claim(1, 1), Accepted),
            (claim(1, 1), Fenced),
        ]);
    }

    #[test]
    fn a_release_renews_nothing() {
        let verdicts = replay(&[claim(0, 0), batch(1, 1), release(1, 2)], None).verdicts;
        assert_eq!((verdicts.last_renewal, verdicts.is_released), (Index(2), true));
    }

    #[test]
    fn a_hello_changes_nothing() {
        let hello = Entry::Hello { node: Node(1), nonce: 1 };
        check(&[(claim(0, 0), Accepted), (hello, Accepted), (Entry::Other, Accepted), (claim(1, 1), Accepted)]);
    }
}
