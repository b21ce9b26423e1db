//! Lists: elements in an order.

use super::sequence::Sequence;
use crate::effect::Side;

/// A list.
#[derive(Clone, Debug, Default)]
pub struct List(Sequence);

impl List {
    /// Its elements by their places from the front.
    pub fn elements(&self) -> &Sequence {
        &self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn encoding(&self) -> &'static str {
        /// Bytes of what Redis keeps in one listpack by default.
        const LISTPACK: usize = 8192;
        if self.0.bytes() <= LISTPACK { "listpack" } else { "quicklist" }
    }

    pub(super) fn push(&mut self, side: Side, element: &[u8]) {
        match side {
            Side::Left => self.0.insert(0, element),
            Side::Right => self.0.push_back(element),
        }
    }

    pub(super) fn pop(&mut self, side: Side, count: usize) {
        match side {
            Side::Left => self.0.drop_front(count),
            Side::Right => self.0.drop_back(count),
        }
    }

    /// Puts an element before the one at `index`, or behind the last.
    pub(super) fn insert(&mut self, index: usize, element: &[u8]) {
        if index <= self.len() {
            self.0.insert(index, element);
        }
    }

    pub(super) fn set(&mut self, index: usize, element: &[u8]) {
        self.0.set(index, element);
    }

    pub(super) fn remove(&mut self, index: usize) {
        self.0.remove(index);
    }

    /// Bytes accounted for its elements.
    pub(super) fn cost(&self) -> usize {
        self.0.cost()
    }

    pub(super) fn check(&self) {
        self.0.check();
    }
}
