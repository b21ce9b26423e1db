//! One campaign at a time.
//!
//! Raft's pre-vote promises nothing: of two Keepers whose timeouts end together, each tells the other that it would be
//! elected; then both ask for votes, nobody gets a majority, and the group waits for another timeout. So a pre-vote is
//! promised to one Keeper for a moment, and of two that ask each other the one with the higher id goes on. Nothing is
//! safer or less safe by this: whoever is refused asks again.

use std::sync::Mutex;
use std::time::Duration;

use mneme_kernel::time::Monotonic;
use mneme_kernel::wal::LogId;

use crate::raft_wire::Ballot;
use crate::sync::lock;

/// What a Keeper knows of campaigns, its own and others'.
#[derive(Debug)]
pub(crate) struct Campaigns {
    /// Its id in the group.
    id: u64,
    /// How long who asks waits for answers, and a promise holds.
    round: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When this Keeper last asked, and where its log ended.
    own: Option<(Monotonic, Option<LogId>)>,
    /// To whom it has promised its vote, and when.
    promised: Option<(Monotonic, u64)>,
}

impl Campaigns {
    pub(crate) fn new(id: u64, round: Duration) -> Self {
        Self { id, round, state: Mutex::default() }
    }

    /// Whether this Keeper may ask for pre-votes now: not while it has promised its own.
    pub(crate) fn may_ask(&self, now: Monotonic, last: Option<LogId>) -> bool {
        let mut state = lock(&self.state);
        let is_free = state.promised.is_none_or(|(at, _)| now - at >= self.round);
        if is_free {
            state.own = Some((now, last));
        }
        is_free
    }

    /// Promises this Keeper's vote, to which Raft has agreed, to whoever asks for it by this ballot; whether it may.
    pub(crate) fn promise(&self, now: Monotonic, asked: &Ballot) -> bool {
        let mut state = lock(&self.state);
        let candidate = asked.vote.candidate;
        let is_free = state.promised.is_none_or(|(at, to)| to == candidate || now - at >= self.round);
        // One whose log is longer does not vote for this Keeper anyway.
        let goes_first =
            |(at, last): (Monotonic, Option<LogId>)| now - at < self.round && self.id > candidate && last >= asked.last;
        let may = is_free && !state.own.is_some_and(goes_first);
        if may {
            state.promised = Some((now, candidate));
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use mneme_kernel::wal::Vote;

    use super::*;

    const ROUND: Duration = Duration::from_millis(70);

    fn at(millis: u64) -> Monotonic {
        Monotonic::default() + Duration::from_millis(millis)
    }

    fn last(index: u64) -> Option<LogId> {
        Some(LogId { term: 3, index })
    }

    fn ballot(candidate: u64, index: u64) -> Ballot {
        Ballot { vote: Vote { term: 4, candidate, committed: false }, last: last(index), transfer: false }
    }

    #[test]
    fn of_two_that_ask_each_other_one_goes_on() {
        let [low, high] = [1, 2].map(|id| Campaigns::new(id, ROUND));
        assert!(low.may_ask(at(0), last(9)) && high.may_ask(at(5), last(9)));
        assert!(!high.promise(at(10), &ballot(1, 9)));
        assert!(low.promise(at(10), &ballot(2, 9)));
    }

    #[test]
    fn nobody_goes_first_for_long_nor_with_less_of_the_log() {
        let high = Campaigns::new(2, ROUND);
        assert!(high.may_ask(at(0), last(9)));
        assert!(!high.promise(at(69), &ballot(1, 9)));
        assert!(high.promise(at(70), &ballot(1, 9)));
        let high = Campaigns::new(2, ROUND);
        assert!(high.may_ask(at(0), last(9)));
        assert!(high.promise(at(1), &ballot(1, 10)));
    }

    #[test]
    fn a_promise_holds_for_a_round() {
        let campaigns = Campaigns::new(9, ROUND);
        assert!(campaigns.promise(at(0), &ballot(1, 5)));
        assert!(!campaigns.may_ask(at(69), last(5)));
        assert!(!campaigns.promise(at(69), &ballot(2, 5)));
        assert!(campaigns.may_ask(at(70), last(5)));
        let campaigns = Campaigns::new(9, ROUND);
        assert!(campaigns.promise(at(0), &ballot(1, 5)));
        assert!(campaigns.promise(at(60), &ballot(1, 5)), "to the same one it may be said again");
        assert!(!campaigns.promise(at(100), &ballot(2, 5)));
        assert!(campaigns.promise(at(130), &ballot(2, 5)));
    }
}
