//! What a counter must hold, by what its only writer was told.

use std::iter::Sum;

use indicatif::HumanCount;

/// Of one counter, or the sum of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Increments that were acknowledged.
    pub acknowledged: u64,
    /// Increments that were sent and not answered, or answered by an error that leaves it open.
    pub unknown: u64,
    /// How many of these were executed, as far as that has been seen.
    pub executed: u64,
    /// Increments that had been acknowledged or seen, and were gone.
    pub lost: u64,
    /// Increments that nobody asked for, or that were executed twice.
    pub surplus: u64,
    /// What it held when it was last seen.
    value: u64,
}

impl Tally {
    /// An increment was answered: this is what the counter holds behind it.
    pub fn acknowledge(&mut self, value: u64) {
        self.acknowledged += 1;
        self.compare(self.value + 1, value);
    }

    /// An increment was sent, and whether it was executed is not known. It may still be executed later.
    pub fn leave_open(&mut self) {
        self.unknown += 1;
    }

    /// The counter was read.
    pub fn read(&mut self, value: u64) {
        self.compare(self.value, value);
    }

    /// It must hold at least so much, and at most all that is open besides.
    fn compare(&mut self, least: u64, value: u64) {
        let open = self.unknown - self.executed;
        let above = value.saturating_sub(least);
        self.lost += least.saturating_sub(value);
        self.executed += above.min(open);
        self.surplus += above.saturating_sub(open);
        self.value = value;
    }

    /// Whether everything is as promised.
    pub fn is_kept(&self) -> bool {
        self.lost == 0 && self.surplus == 0
    }

    /// In words.
    pub fn text(&self) -> String {
        let Tally { acknowledged, unknown, lost, surplus, .. } = self;
        let mut text = format!(
            "{} acknowledged, {} lost, {} of unknown fate",
            HumanCount(*acknowledged),
            HumanCount(*lost),
            HumanCount(*unknown)
        );
        if *surplus > 0 {
            text += &format!(", {} executed that should not be", HumanCount(*surplus));
        }
        text
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Tally>>(tallies: I) -> Tally {
        tallies.fold(Tally::default(), |sum, tally| Tally {
            acknowledged: sum.acknowledged + tally.acknowledged,
            unknown: sum.unknown + tally.unknown,
            executed: sum.executed + tally.executed,
            lost: sum.lost + tally.lost,
            surplus: sum.surplus + tally.surplus,
            value: sum.value + tally.value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(to: u64) -> Tally {
        let mut tally = Tally::default();
        (1..=to).for_each(|value| tally.acknowledge(value));
        tally
    }

    #[test]
    fn what_was_acknowledged_and_is_there_is_kept() {
        let mut tally = counted(12_345);
        tally.read(12_345);
        assert!(tally.is_kept());
        assert_eq!(tally.text(), "12,345 acknowledged, 0 lost, 0 of unknown fate");
    }

    #[test]
    fn what_was_acknowledged_and_is_gone_is_lost() {
        let mut tally = counted(10);
        tally.read(8);
        assert_eq!((tally.lost, tally.is_kept()), (2, false));
        // It is told once.
        tally.read(8);
        assert_eq!(tally.lost, 2);

        let mut tally = counted(10);
        tally.acknowledge(10);
        assert_eq!((tally.lost, tally.acknowledged), (1, 11));
    }

    #[test]
    fn what_was_not_answered_may_be_there_or_not() {
        for value in 10..=12 {
            let mut tally = counted(10);
            tally.leave_open();
            tally.leave_open();
            tally.read(value);
            assert!(tally.is_kept(), "{value}");
            assert_eq!((tally.unknown, tally.executed), (2, value - 10));
        }
    }

    #[test]
    fn what_was_not_answered_hides_no_loss_that_an_answer_shows() {
        let mut tally = counted(10);
        tally.leave_open();
        tally.acknowledge(11);
        assert_eq!((tally.executed, tally.is_kept()), (0, true));
        // The open one may come late, once.
        tally.acknowledge(13);
        assert_eq!((tally.executed, tally.is_kept()), (1, true));
        tally.acknowledge(15);
        assert_eq!((tally.surplus, tally.is_kept()), (1, false));
        assert!(tally.text().ends_with(", 1 executed that should not be"), "{}", tally.text());
    }

    #[test]
    fn several_counters_are_one_sum() {
        let mut open = counted(1);
        open.leave_open();
        let sum: Tally = [counted(2), open].into_iter().sum();
        assert_eq!((sum.acknowledged, sum.unknown, sum.lost), (3, 1, 0));
    }
}
