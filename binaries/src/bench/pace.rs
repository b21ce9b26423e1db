//! When a client sends, and since when a request counts.
//!
//! In a closed loop a client sends its next pipeline when the last one is answered: a server that stalls is asked less, and
//! the wait of all who would have come meanwhile is seen nowhere ("coordinated omission"). In an open loop requests are due
//! at times that do not depend on the server, and each counts from when it was due, however late it could be sent.

use std::collections::VecDeque;

/// Nanoseconds since the start.
pub type Nanos = u64;

const SECOND: f64 = 1e9;

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    Closed,
    /// So many a second, by so many clients in turn.
    Open {
        rate: f64,
        clients: u64,
    },
}

impl Pace {
    /// When a client's request is due; both are counted from 0.
    pub fn due(self, client: u64, request: u64) -> Nanos {
        match self {
            Pace::Closed => 0,
            Pace::Open { rate, clients } => ((request * clients + client) as f64 / rate * SECOND) as Nanos,
        }
    }
}

/// A request that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Since when it counts.
    pub since: Nanos,
    /// Which command of the mix it is.
    pub command: usize,
}

/// What one client has sent and what it may send.
#[derive(Debug)]
pub struct Flow {
    pace: Pace,
    client: u64,
    /// The most requests that may be unanswered.
    pipeline: usize,
    /// Requests so far; those that broken connections have lost count.
    issued: u64,
    waiting: VecDeque<Sent>,
}

impl Flow {
    /// For the client of this number.
    pub fn new(pace: Pace, client: u64, pipeline: usize) -> Flow {
        Flow { pace, client, pipeline, issued: 0, waiting: VecDeque::with_capacity(pipeline) }
    }

    /// The client's number.
    pub fn number(&self) -> u64 {
        self.client
    }

    /// How many requests may be sent now: in a closed loop a pipeline or none.
    pub fn room(&self) -> usize {
        match self.pace {
            Pace::Closed if self.waiting.is_empty() => self.pipeline,
            Pace::Closed => 0,
            Pace::Open { .. } => self.pipeline.saturating_sub(self.waiting.len()),
        }
    }

    /// Since when the next request counts; none in an open loop while it is not due.
    pub fn next_since(&self, now: Nanos) -> Option<Nanos> {
        match self.pace {
            Pace::Closed => Some(now),
            Pace::Open { .. } => Some(self.pace.due(self.client, self.issued)).filter(|due| *due <= now),
        }
    }

    pub fn send(&mut self, sent: Sent) {
        self.issued += 1;
        self.waiting.push_back(sent);
    }

    /// The request that an answer belongs to, if any waits for one.
    pub fn answered(&mut self) -> Option<Sent> {
        self.waiting.pop_front()
    }

    /// Requests that wait for their answer.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The connection is lost, and the answers with it: how many.
    pub fn lose(&mut self) -> usize {
        self.waiting.drain(..).count()
    }

    /// What should have been answered by now and was not: since when it counts, and its command if it was sent.
    pub fn overdue(&self, now: Nanos) -> impl Iterator<Item = (Nanos, Option<usize>)> + '_ {
        let sent = self.waiting.iter().map(|sent| (sent.since, Some(sent.command)));
        let unsent = (self.issued..).map(|request| (self.pace.due(self.client, request), None));
        let unsent = unsent.take_while(move |(due, _)| matches!(self.pace, Pace::Open { .. }) && *due < now);
        sent.chain(unsent)
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::*;

    const MILLISECOND: Nanos = 1_000_000;

    /// A server that answers each request after a millisecond, one after the other, and stalls once from 5 s to 6 s; asked
    /// for 10 s by one client. What it took in milliseconds.
    fn stalled(pace: Pace) -> Histogram<u64> {
        let mut times = Histogram::<u64>::new(3).expect("digits");
        let mut flow = Flow::new(pace, 0, 1);
        let mut now = 0;
        while now < 10_000 * MILLISECOND {
            let Some(since) = flow.next_since(now) else {
                now += MILLISECOND / 10;
                continue;
            };
            assert_eq!(flow.room(), 1);
            flow.send(Sent { since, command: 0 });
            assert_eq!(flow.room(), 0);
            now += MILLISECOND;
            if (5000 * MILLISECOND..6000 * MILLISECOND).contains(&now) {
                now = 6000 * MILLISECOND;
            }
            let sent = flow.answered().expect("it waits");
            times.record((now - sent.since) / MILLISECOND).expect("it is in bounds");
        }
        times
    }

    #[test]
    fn a_stall_is_seen_by_all_who_were_due_in_it() {
        let open = stalled(Pace::Open { rate: 500.0, clients: 1 });
        // A tenth of the requests was due in the stall; they waited half a second on average, and those behind them.
        assert!(open.value_at_quantile(0.5) <= 2, "p50 {}", open.value_at_quantile(0.5));
        assert!(open.value_at_quantile(0.99) >= 850, "p99 {}", open.value_at_quantile(0.99));
        assert!((4900..=5000).contains(&open.len()), "{}", open.len());
        let above = open.count_between(100, u64::MAX);
        assert!(above >= 700, "only {above} waited");
    }

    #[test]
    fn a_closed_loop_sees_a_stall_once() {
        let closed = stalled(Pace::Closed);
        assert!(closed.value_at_quantile(0.99) <= 1, "p99 {}", closed.value_at_quantile(0.99));
        assert_eq!(closed.count_between(100, u64::MAX), 1);
    }

    #[test]
    fn requests_are_due_in_turn_and_evenly() {
        let pace = Pace::Open { rate: 1000.0, clients: 4 };
        let mut due: Vec<Nanos> =
            (0..4).flat_map(|client| (0..3).map(move |request| pace.due(client, request))).collect();
        due.sort_unstable();
        assert_eq!(due, (0..12).map(|turn| turn * MILLISECOND).collect::<Vec<_>>());
        // Also after a week.
        let late = pace.due(0, 151_200_000);
        assert_eq!(late, 604_800 * 1_000_000_000);
    }

    #[test]
    fn a_closed_loop_sends_whole_pipelines() {
        let mut flow = Flow::new(Pace::Closed, 3, 2);
        assert_eq!((flow.room(), flow.next_since(7)), (2, Some(7)));
        flow.send(Sent { since: 7, command: 0 });
        flow.send(Sent { since: 7, command: 1 });
        assert_eq!(flow.answered(), Some(Sent { since: 7, command: 0 }));
        assert_eq!(flow.room(), 0);
        assert_eq!(flow.lose(), 1);
        assert_eq!((flow.room(), flow.answered()), (2, None));
    }

    #[test]
    fn what_was_due_and_never_answered_is_known() {
        let mut flow = Flow::new(Pace::Open { rate: 10.0, clients: 2 }, 1, 1);
        flow.send(Sent { since: flow.next_since(100 * MILLISECOND).expect("it is due"), command: 0 });
        let overdue: Vec<_> =
            flow.overdue(600 * MILLISECOND).map(|(since, command)| (since / MILLISECOND, command)).collect();
        assert_eq!(overdue, [(100, Some(0)), (300, None), (500, None)]);
        assert_eq!(Flow::new(Pace::Closed, 1, 1).overdue(600).count(), 0);
    }
}
