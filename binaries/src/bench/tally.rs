//! What is counted.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// Latencies are counted in microseconds, and what takes longer than an hour as that.
const LONGEST: u64 = 3_600_000_000;
/// Digits of a latency that are kept.
const DIGITS: u8 = 3;

/// What happened in a time.
#[derive(Debug)]
pub struct Tally {
    /// By command, and by level if there are several.
    pub rows: Vec<Row>,
    /// Replies that are errors, by their first word.
    pub errors: BTreeMap<String, u64>,
    /// Requests whose connection broke before their answer.
    pub lost: u64,
    pub connections_lost: u64,
    pub reconnected: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// The longest time without any answer, microseconds.
    pub longest_gap: u64,
}

/// What happened to the requests of one command.
#[derive(Clone, Debug)]
pub struct Row {
    /// Microseconds, of all answers but errors, and of what was not answered.
    pub times: Histogram<u64>,
    /// Requests that had no answer when time was up. Their time is how long they had waited by then.
    pub unanswered: u64,
    pub errors: u64,
    /// Answers that there is nothing: a key that is not there, an empty list.
    pub nulls: u64,
}

impl Tally {
    /// Nothing yet, for so many rows.
    pub fn new(rows: usize) -> Tally {
        Tally {
            rows: vec![Row::new(); rows],
            errors: BTreeMap::new(),
            lost: 0,
            connections_lost: 0,
            reconnected: 0,
            bytes_in: 0,
            bytes_out: 0,
            longest_gap: 0,
        }
    }

    pub fn add(&mut self, other: &Tally) {
        for (row, more) in self.rows.iter_mut().zip(&other.rows) {
            row.add(more);
        }
        for (word, count) in &other.errors {
            *self.errors.entry(word.clone()).or_default() += count;
        }
        self.lost += other.lost;
        self.connections_lost += other.connections_lost;
        self.reconnected += other.reconnected;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.longest_gap = self.longest_gap.max(other.longest_gap);
    }

    /// Counts an error by its first word, which says what kind it is.
    pub fn error(&mut self, row: usize, message: &str) {
        self.rows[row].errors += 1;
        let word = message.split(' ').next().unwrap_or_default();
        *self.errors.entry(word.to_owned()).or_default() += 1;
    }

    /// All rows in one.
    pub fn all(&self) -> Row {
        let mut all = Row::new();
        self.rows.iter().for_each(|row| all.add(row));
        all
    }
}

impl Row {
    fn new() -> Row {
        Row { times: times(), unanswered: 0, errors: 0, nulls: 0 }
    }

    /// Answers that are no errors.
    pub fn requests(&self) -> u64 {
        self.times.len() - self.unanswered
    }

    fn add(&mut self, other: &Row) {
        // Both have the same bounds.
        let _ = self.times.add(&other.times);
        self.unanswered += other.unanswered;
        self.errors += other.errors;
        self.nulls += other.nulls;
    }
}

fn times() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST, DIGITS).expect("the bounds are good")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up() {
        let (mut one, mut two) = (Tally::new(2), Tally::new(2));
        one.rows[0].times.saturating_record(5);
        one.error(1, "LOADING wait");
        one.longest_gap = 7;
        two.rows[1].times.saturating_record(LONGEST * 2);
        two.error(1, "LOADING go away");
        two.error(0, "ERR");
        two.longest_gap = 3;
        one.add(&two);
        let all = one.all();
        assert_eq!((all.times.len(), all.errors, one.longest_gap), (2, 3, 7));
        assert_eq!(one.errors, BTreeMap::from([("ERR".to_owned(), 1), ("LOADING".to_owned(), 2)]));
    }
}
