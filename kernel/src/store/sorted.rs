//! Sorted sets: members with scores, in the order of the scores and of the members with the same score.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::{Bound, Range};

use super::dict::Dict;
use super::hasher::KeyHasher;
use super::sequence::Sequence;
use super::words;
use crate::limits;

/// A sorted set.
#[derive(Clone, Debug, Default)]
pub struct SortedSet {
    /// Scores and members, each as one word: see [`SortedSet::word`].
    order: Sequence,
    /// The score of each member, once there are many.
    scores: Option<Box<Dict>>,
}

/// A score as bytes whose order is that of the scores. Both zeros are one.
fn rank_of_score(score: f64) -> [u8; 8] {
    const SIGN: u64 = 1 << 63;
    let bits = (score + 0.0).to_bits();
    (if bits & SIGN == 0 { bits | SIGN } else { !bits }).to_be_bytes()
}

fn score_of_rank(bytes: [u8; 8]) -> f64 {
    const SIGN: u64 = 1 << 63;
    let bits = u64::from_be_bytes(bytes);
    f64::from_bits(if bits & SIGN == 0 { !bits } else { bits & !SIGN })
}

/// A member and its score.
pub type Scored<'a> = (&'a [u8], f64);

fn scored(word: &[u8]) -> Scored<'_> {
    SortedSet::of_word(word).unwrap_or((word, 0.0))
}

impl SortedSet {
    /// The member and its score in such a [`word`](SortedSet::word), if it is one.
    pub fn of_word(word: &[u8]) -> Option<Scored<'_>> {
        word.split_first_chunk().map(|(score, member)| (member, score_of_rank(*score)))
    }

    /// What stands in the order, and what [`Rank`](crate::effect::Change::Rank) takes: words are compared as bytes.
    pub fn word(score: f64, member: &[u8]) -> Vec<u8> {
        [&rank_of_score(score), member].concat()
    }

    /// Appends such a word.
    pub fn push_word(out: &mut Vec<u8>, score: f64, member: &[u8]) {
        words::push_joined(out, &rank_of_score(score), member);
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.scores {
            Some(scores) => scores.get(member)?.try_into().ok().map(score_of_rank),
            None => self.iter().find(|(known, _)| *known == member).map(|(_, score)| score),
        }
    }

    /// How many stand before the member.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        let score = self.score(member)?;
        Some(self.place(score, member))
    }

    fn place(&self, score: f64, member: &[u8]) -> usize {
        let wanted = (rank_of_score(score), member);
        self.order
            .partition_point(|word| word.split_first_chunk().is_some_and(|(rank, member)| (*rank, member) < wanted))
    }

    /// The member at this place.
    pub fn at(&self, rank: usize) -> Option<Scored<'_>> {
        self.order.get(rank).map(scored)
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Scored<'_>> {
        self.iter_from(0)
    }

    /// In ascending order, from this place on.
    pub fn iter_from(&self, rank: usize) -> impl Iterator<Item = Scored<'_>> {
        self.order.iter_from(rank).map(scored)
    }

    /// In descending order, from the place before this one on.
    pub fn iter_back_from(&self, end: usize) -> impl Iterator<Item = Scored<'_>> {
        self.order.iter_back_from(end).map(scored)
    }

    /// The places of those whose score is within these bounds.
    pub fn by_score(&self, min: Bound<f64>, max: Bound<f64>) -> Range<usize> {
        let start = match min {
            Bound::Included(min) => self.order.partition_point(|word| scored(word).1 < min),
            Bound::Excluded(min) => self.order.partition_point(|word| scored(word).1 <= min),
            Bound::Unbounded => 0,
        };
        let end = match max {
            Bound::Included(max) => self.order.partition_point(|word| scored(word).1 <= max),
            Bound::Excluded(max) => self.order.partition_point(|word| scored(word).1 < max),
            Bound::Unbounded => self.len(),
        };
        start..end.max(start)
    }

    /// The places of those whose member is within these bounds: of use where all scores are the same.
    pub fn by_member(&self, min: Bound<&[u8]>, max: Bound<&[u8]>) -> Range<usize> {
        let start = match min {
            Bound::Included(min) => self.order.partition_point(|word| scored(word).0 < min),
            Bound::Excluded(min) => self.order.partition_point(|word| scored(word).0 <= min),
            Bound::Unbounded => 0,
        };
        let end = match max {
            Bound::Included(max) => self.order.partition_point(|word| scored(word).0 <= max),
            Bound::Excluded(max) => self.order.partition_point(|word| scored(word).0 < max),
            Bound::Unbounded => self.len(),
        };
        start..end.max(start)
    }

    /// Visits about `count` members from a cursor on and gives the next cursor, as [`super::Database::scan`]; a small one at once.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(&'a [u8], f64)) -> u64 {
        match &self.scores {
            Some(scores) => scores.scan(cursor, count, |member, score| {
                visit(member, score.try_into().map_or(0.0, score_of_rank));
            }),
            None => {
                self.iter().for_each(|(member, score)| visit(member, score));
                0
            }
        }
    }

    pub fn encoding(&self) -> &'static str {
        if self.scores.is_some() { "skiplist" } else { "listpack" }
    }

    /// Its members, once there are many.
    pub(super) fn dict(&self) -> Option<&Dict> {
        self.scores.as_deref()
    }

    /// Its [`SortedSet::word`]s.
    pub(super) fn order(&self) -> &Sequence {
        &self.order
    }

    /// Gives a member a score, as [`SortedSet::word`] says them. What is no such word changes nothing.
    pub(super) fn add_word(&mut self, word: &[u8], hasher: &KeyHasher) {
        let (member, score) = scored(word);
        if score.is_nan() || word.first_chunk() != Some(&rank_of_score(score)) {
            return;
        }
        match self.score(member) {
            Some(old) if old == score => return,
            Some(old) => self.order.remove(self.place(old, member)),
            None => {}
        }
        self.order.insert(self.place(score, member), word);
        let len = self.len();
        match &mut self.scores {
            Some(scores) => {
                scores.put(member, &rank_of_score(score));
            }
            None if len > limits::SMALL_SORTED_SET || member.len() > limits::SMALL_ELEMENT => {
                let mut scores = Dict::new(hasher);
                for (member, score) in self.iter() {
                    scores.put(member, &rank_of_score(score));
                }
                self.scores = Some(Box::new(scores));
            }
            None => {}
        }
    }

    pub(super) fn remove(&mut self, member: &[u8]) {
        // Where most are taken from nobody needs to be searched for.
        let is_first = self.order.first().is_some_and(|word| scored(word).0 == member);
        let place = if is_first { Some(0) } else { self.rank(member) };
        if let Some(place) = place {
            self.order.remove(place);
            if let Some(scores) = &mut self.scores {
                scores.remove(member);
            }
        }
    }

    /// Bytes accounted for its members.
    pub(super) fn cost(&self) -> usize {
        self.order.cost() + self.scores.as_ref().map_or(0, |scores| scores.bytes())
    }

    pub(super) fn check(&self) {
        self.order.check();
        assert!(self.order.iter().zip(self.order.iter().skip(1)).all(|(a, b)| a < b), "in order");
        if let Some(scores) = &self.scores {
            scores.check();
            assert_eq!(scores.len(), self.len());
            assert!(self.iter().all(|(member, score)| scores.get(member) == Some(&rank_of_score(score))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_as_bytes_have_their_order() {
        let scores = [f64::NEG_INFINITY, -1e300, -1.5, -1.0, -f64::MIN_POSITIVE, 0.0, 1e-300, 1.0, 1.5, f64::INFINITY];
        let ranks = scores.map(rank_of_score);
        assert!(ranks.is_sorted());
        assert_eq!(ranks.map(score_of_rank), scores);
        assert_eq!(rank_of_score(-0.0), rank_of_score(0.0));
    }
}
