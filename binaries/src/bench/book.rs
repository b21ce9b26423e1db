//! What one thread has counted.

use super::answer::Answer;
use super::pace::{Nanos, Sent};
use super::tally::Tally;
use super::worker::Plan;

/// Stands for the first word of an error where the answer is none, and not what it must be.
const UNEXPECTED: &str = "(unexpected)";

/// What was counted.
#[derive(Debug)]
pub struct Book {
    pub tally: Tally,
    /// What was sent before does not count.
    pub measured_from: Nanos,
    pub last_answer: Nanos,
    /// Which commands were answered at all.
    known: Vec<bool>,
    /// The server's error, if that was the answer to the first of a command's requests.
    pub refusal: Option<String>,
}

impl Book {
    /// An empty one.
    pub fn new(plan: &Plan) -> Book {
        Book {
            tally: plan.tally(),
            measured_from: plan.warm_up,
            last_answer: plan.warm_up,
            known: vec![false; plan.work.len()],
            refusal: None,
        }
    }

    /// A request was answered.
    pub fn answer(&mut self, plan: &Plan, level: usize, now: Nanos, sent: Sent, answer: Answer<'_>) {
        let row = plan.row(level, sent.command);
        if answer.is_error() {
            let message = String::from_utf8_lossy(answer.line);
            if !self.known[sent.command] {
                self.refusal.get_or_insert_with(|| message.clone().into_owned());
            }
            if sent.since >= self.measured_from {
                self.tally.error(row, &message);
            }
            return;
        }
        self.known[sent.command] = true;
        if sent.since < self.measured_from {
            return;
        }
        self.gap(now);
        if !plan.work.is_right(sent.command, answer) {
            self.tally.error(row, UNEXPECTED);
            return;
        }
        let counted = &mut self.tally.rows[row];
        counted.times.saturating_record((now - sent.since) / 1000);
        counted.nulls += u64::from(answer.is_null());
    }

    /// A request will not be answered any more.
    pub fn unanswered(&mut self, row: usize, since: Nanos, until: Nanos) {
        if since >= self.measured_from {
            let counted = &mut self.tally.rows[row];
            counted.times.saturating_record(until.saturating_sub(since) / 1000);
            counted.unanswered += 1;
        }
    }

    /// An answer has come, or it has ended.
    pub fn gap(&mut self, now: Nanos) {
        let gap = now.saturating_sub(self.last_answer) / 1000;
        self.tally.longest_gap = self.tally.longest_gap.max(gap);
        self.last_answer = self.last_answer.max(now);
    }
}
