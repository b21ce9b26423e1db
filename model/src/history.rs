//! Linearizability, judged while the history happens.
//!
//! A history is what clients saw so far. Instead of it, the set of all its possible explanations is kept: which data there
//! may be, and which of the open operations have then taken effect. A reply removes the explanations that it contradicts;
//! none left means that the history is not linearizable. Histories with the same explanations have the same futures, so
//! they are one state: that keeps the state space small, and loses nothing.
//! The unit tests compare it with stateright's tester, which keeps the whole history.

use std::collections::BTreeSet;

use crate::numbers::Request;
use crate::op::{Data, Op, Reply};

/// What may have happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct History {
    explanations: BTreeSet<Explanation>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Explanation {
    data: Data,
    /// Sorted by request.
    open: Vec<Open>,
}

/// An operation that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Open {
    request: Request,
    op: Op,
    /// What it must answer, if it has taken effect.
    taken: Option<Reply>,
    /// Nobody waits for its answer: once it has taken effect, there is nothing more to know of it.
    is_abandoned: bool,
}

impl Default for History {
    fn default() -> Self {
        Self { explanations: BTreeSet::from([Explanation::default()]) }
    }
}

impl History {
    pub fn is_linearizable(&self) -> bool {
        !self.explanations.is_empty()
    }

    /// The request was sent. It may take effect from now on.
    pub fn begin(&mut self, request: Request, op: Op) {
        self.replace(|mut explanation| {
            explanation.open.push(Open { request, op, taken: None, is_abandoned: false });
            explanation.open.sort_unstable();
            vec![explanation]
        });
    }

    /// It was answered: it has taken effect by now, and so.
    pub fn answer(&mut self, request: Request, reply: Reply) {
        self.replace(|explanation| explanation.answered(request, reply));
    }

    /// It was said not to be executed, and will not be: it has not taken effect.
    pub fn deny(&mut self, request: Request) {
        self.replace(|mut explanation| {
            let is_taken = |open: &Open| open.request == request && open.taken.is_some();
            if explanation.open.iter().any(is_taken) {
                return vec![];
            }
            explanation.open.retain(|open| open.request != request);
            vec![explanation]
        });
    }

    /// It will never be answered. It may have taken effect, or may at any later time, or never.
    pub fn abandon(&mut self, request: Request) {
        self.replace(|mut explanation| {
            // A read changes nothing, and an operation that took effect has: both are over.
            explanation.open.retain(|open| open.request != request || (open.taken.is_none() && !open.op.is_read()));
            explanation
                .open
                .iter_mut()
                .filter(|open| open.request == request)
                .for_each(|open| open.is_abandoned = true);
            vec![explanation]
        });
    }

    fn replace(&mut self, f: impl FnMut(Explanation) -> Vec<Explanation>) {
        self.explanations = std::mem::take(&mut self.explanations).into_iter().flat_map(f).collect();
    }
}

impl Explanation {
    /// The explanations that follow from this one: any open operations take effect in any order, and then this one.
    fn answered(mut self, request: Request, reply: Reply) -> Vec<Explanation> {
        let place = self.open.iter().position(|open| open.request == request).expect("what is answered was asked");
        match self.open[place].taken {
            Some(taken) if taken == reply => {
                self.open.remove(place);
                vec![self]
            }
            Some(_) => vec![],
            None => (0..self.open.len())
                .filter(|&i| self.open[i].taken.is_none() && self.is_next(i))
                .flat_map(|i| self.take(i).answered(request, reply))
                .collect(),
        }
    }

    /// Requests of one client take effect in their order, but for those that it has given up.
    fn is_next(&self, place: usize) -> bool {
        let this = &self.open[place];
        let holds_it_up = |other: &Open| {
            other.request.client == this.request.client
                && other.request.number < this.request.number
                && other.taken.is_none()
                && !other.is_abandoned
        };
        this.is_abandoned || !self.open.iter().any(holds_it_up)
    }

    /// The same, but that one more operation has taken effect.
    fn take(&self, place: usize) -> Explanation {
        let mut next = self.clone();
        let (reply, _) = next.open[place].op.execute(&mut next.data);
        match next.open[place].is_abandoned {
            true => drop(next.open.remove(place)),
            false => next.open[place].taken = Some(reply),
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

    use super::*;
    use crate::op::Key::{X, Y};

    const A: Request = Request { client: 0, number: 0 };
    const B: Request = Request { client: 1, number: 0 };

    #[test]
    fn a_read_that_began_after_a_write_was_answered_sees_it() {
        let mut history = History::default();
        history.begin(A, Op::Incr(X));
        history.answer(A, Reply(1, 0));
        history.begin(B, Op::Get(X));
        let mut stale = history.clone();
        stale.answer(B, Reply(0, 0));
        history.answer(B, Reply(1, 0));
        assert!(history.is_linearizable());
        assert!(!stale.is_linearizable());
    }

    #[test]
    fn an_abandoned_write_may_take_effect_late_but_once() {
        let mut history = History::default();
        history.begin(A, Op::Incr(X));
        history.abandon(A);
        for (number, value) in [0, 1, 1].into_iter().enumerate() {
            let read = Request { client: 1, number: number as u8 };
            history.begin(read, Op::Get(X));
            history.answer(read, Reply(value, 0));
            assert!(history.is_linearizable());
        }
        history.begin(A, Op::Get(X));
        history.answer(A, Reply(0, 0));
        assert!(!history.is_linearizable());
    }

    #[test]
    fn a_pipeline_takes_effect_in_its_order() {
        let later = Request { number: 1, ..A };
        for (read, holds) in [(0, true), (1, false)] {
            let mut history = History::default();
            history.begin(A, Op::Get(X));
            history.begin(later, Op::Incr(X));
            history.answer(later, Reply(1, 0));
            history.answer(A, Reply(read, 0));
            assert_eq!(history.is_linearizable(), holds);
        }
    }

    #[test]
    fn what_was_denied_has_no_effect() {
        for (read, holds) in [(0, true), (1, false)] {
            let mut history = History::default();
            history.begin(A, Op::Incr(X));
            history.begin(B, Op::Get(X));
            history.answer(B, Reply(read, 0));
            history.deny(A);
            assert_eq!(history.is_linearizable(), holds);
        }
    }

    impl SequentialSpec for Data {
        type Op = Op;
        type Ret = Reply;

        fn invoke(&mut self, op: &Op) -> Reply {
            op.execute(self).0
        }
    }

    /// Every history of three clients with one request each and every reply: both testers say the same.
    #[test]
    fn it_agrees_with_the_tester_of_stateright() {
        let ops = [Op::Incr(X), Op::SetNx(X), Op::Get(X), Op::GetBoth, Op::Incr(Y)];
        let mut compared = 0;
        for a in ops {
            for b in ops {
                for c in ops {
                    let tester = LinearizabilityTester::new(Data::default());
                    compared += compare(&[a, b, c], [0; 3], History::default(), tester);
                }
            }
        }
        assert!(compared > 100_000, "{compared}");
    }

    /// Extends the history by each possible event; `stages` says whether an operation is ahead, open or answered.
    fn compare(ops: &[Op; 3], stages: [u8; 3], history: History, tester: LinearizabilityTester<usize, Data>) -> u32 {
        assert_eq!(history.is_linearizable(), tester.is_consistent());
        if !history.is_linearizable() {
            return 1;
        }
        let mut compared = 1;
        for client in 0..3 {
            let request = Request { client: client as u8, number: 0 };
            let mut stages = stages;
            stages[client] += 1;
            match stages[client] {
                1 => {
                    let (mut history, mut tester) = (history.clone(), tester.clone());
                    history.begin(request, ops[client]);
                    tester.on_invoke(client, ops[client]).expect("it is not open");
                    compared += compare(ops, stages, history, tester);
                }
                2 => {
                    for reply in [Reply(0, 0), Reply(1, 0), Reply(2, 0), Reply(0, 1)] {
                        let (mut history, mut tester) = (history.clone(), tester.clone());
                        history.answer(request, reply);
                        tester.on_return(client, reply).expect("it is open");
                        compared += compare(ops, stages, history, tester);
                    }
                }
                _ => {}
            }
        }
        compared
    }
}
