//! Byte strings in an order, found by their place: what lists and the order of sorted sets are kept in.
//!
//! A tree whose leaves hold words one behind the other and whose inner nodes count: every step costs a path and a part of a
//! leaf, however many there are, and an element costs its bytes, one or two for its length, and its part of a leaf.

use alloc::vec::Vec;

use super::words::{self, Words};

/// Bytes, but for one word that may be of any length, and words of a full leaf. The bytes are a size that allocators have;
/// the words are few enough to be looked through.
const LEAF_BYTES: usize = 2048;
const LEAF_WORDS: usize = 128;
/// Children of a full inner node.
const CHILDREN: usize = 32;
/// Two neighbours with less than this become one.
const JOINED_BYTES: usize = LEAF_BYTES / 2;
const JOINED_WORDS: usize = LEAF_WORDS / 2;

/// Words in an order.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    root: Node,
    /// Of all words with their lengths.
    bytes: usize,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Leaf),
    Inner(Inner),
}

#[derive(Clone, Debug, Default)]
struct Leaf {
    words: Vec<u8>,
    count: usize,
}

#[derive(Clone, Debug)]
struct Inner {
    children: Vec<Node>,
    count: usize,
}

impl Default for Node {
    fn default() -> Self {
        Node::Leaf(Leaf::default())
    }
}

impl Sequence {
    pub fn len(&self) -> usize {
        self.root.count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all words with their lengths.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes accounted for it, leaves and all.
    pub(super) fn cost(&self) -> usize {
        /// What a leaf takes beside its words, by the word, if it is full.
        const SHARE: usize = 1;
        self.bytes + self.len() * SHARE
    }

    pub fn first(&self) -> Option<&[u8]> {
        self.root.first()
    }

    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let (leaf, at) = self.root.leaf(index)?;
        leaf.words().nth(at)
    }

    /// Puts a word before the one at `index`, or behind the last.
    ///
    /// # Panics
    /// If `index` is larger than the number of words.
    pub fn insert(&mut self, index: usize, word: &[u8]) {
        assert!(index <= self.len());
        self.bytes += words::size_of_word(word.len());
        if let Some(right) = self.root.insert(index, word) {
            let left = core::mem::take(&mut self.root);
            let count = left.count() + right.count();
            let mut children = Vec::with_capacity(4);
            children.extend([left, right]);
            self.root = Node::Inner(Inner { children, count });
        }
    }

    pub fn push_back(&mut self, word: &[u8]) {
        self.insert(self.len(), word);
    }

    /// Takes the word at `index` away, if there is one.
    pub fn remove(&mut self, index: usize) {
        if index < self.len() {
            self.bytes -= self.root.remove(index);
            self.shorten();
        }
    }

    /// Puts another word in the place of one, if there is one.
    pub fn set(&mut self, index: usize, word: &[u8]) {
        if index < self.len() {
            self.remove(index);
            self.insert(index, word);
        }
    }

    /// Takes so many words from the front.
    pub fn drop_front(&mut self, count: usize) {
        self.bytes -= self.root.drop_front(count.min(self.len()));
        self.shorten();
    }

    /// Takes so many words from the back.
    pub fn drop_back(&mut self, count: usize) {
        self.bytes -= self.root.drop_back(count.min(self.len()));
        self.shorten();
    }

    /// An inner root with one child is of no use.
    fn shorten(&mut self) {
        while let Node::Inner(inner) = &mut self.root
            && inner.children.len() <= 1
        {
            self.root = inner.children.pop().unwrap_or_default();
        }
    }

    /// How many words stand at the front for which this is true: it must not be true behind one for which it is not.
    pub fn partition_point(&self, mut holds: impl FnMut(&[u8]) -> bool) -> usize {
        let mut node = &self.root;
        let mut before = 0;
        loop {
            match node {
                Node::Leaf(leaf) => return before + leaf.words().take_while(|word| holds(word)).count(),
                Node::Inner(inner) => {
                    let child = inner.children[1..].partition_point(|child| child.first().is_some_and(&mut holds));
                    before += inner.children[..child].iter().map(Node::count).sum::<usize>();
                    node = &inner.children[child];
                }
            }
        }
    }

    pub fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// From the word at `index` to the last.
    pub fn iter_from(&self, index: usize) -> Iter<'_> {
        let mut iter = Iter { sequence: self, words: Words::default(), next_leaf: index };
        if let Some((leaf, at)) = self.root.leaf(index) {
            iter.words = leaf.words();
            iter.next_leaf = index - at + leaf.count;
            for _ in 0..at {
                iter.words.next();
            }
        }
        iter
    }

    /// From the word before `end` to the first, backwards.
    pub fn iter_back_from(&self, end: usize) -> IterBack<'_> {
        IterBack { sequence: self, words: Vec::new(), end: end.min(self.len()) }
    }

    /// The words of each leaf, in order.
    pub(super) fn leaves(&self) -> impl Iterator<Item = Words<'_>> {
        let mut at = 0;
        core::iter::from_fn(move || {
            let (leaf, _) = self.root.leaf(at)?;
            at += leaf.count;
            Some(leaf.words())
        })
    }

    /// Asserts what must hold between its parts.
    pub(super) fn check(&self) {
        self.root.check();
        assert_eq!(self.bytes, self.leaves().map(|words| words.bytes().len()).sum::<usize>());
    }
}

/// Forwards through a [`Sequence`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    sequence: &'a Sequence,
    words: Words<'a>,
    /// Index of the first word that is in no leaf that was looked at.
    next_leaf: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if let Some(word) = self.words.next() {
                return Some(word);
            }
            let (leaf, _) = self.sequence.root.leaf(self.next_leaf)?;
            self.words = leaf.words();
            self.next_leaf += leaf.count;
        }
    }
}

/// Backwards through a [`Sequence`].
#[derive(Clone, Debug)]
pub struct IterBack<'a> {
    sequence: &'a Sequence,
    /// Those of a leaf that come next, the next one last.
    words: Vec<&'a [u8]>,
    /// Index behind those that have not been looked at.
    end: usize,
}

impl<'a> Iterator for IterBack<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.words.is_empty() {
            let last = self.end.checked_sub(1)?;
            let (leaf, at) = self.sequence.root.leaf(last)?;
            self.words.extend(leaf.words().take(at + 1));
            self.end = last - at;
        }
        self.words.pop()
    }
}

impl Leaf {
    fn words(&self) -> Words<'_> {
        Words::new(&self.words)
    }

    /// Where the word at this place begins.
    fn offset(&self, at: usize) -> usize {
        let mut words = self.words();
        for _ in 0..at {
            words.next();
        }
        self.words.len() - words.left()
    }

    fn is_full_for(&self, word: &[u8]) -> bool {
        let len = self.words.len() + words::size_of_word(word.len());
        self.count >= LEAF_WORDS || self.count > 0 && len > LEAF_BYTES
    }

    fn insert(&mut self, at: usize, word: &[u8]) {
        let offset = if at == self.count { self.words.len() } else { self.offset(at) };
        words::splice(&mut self.words, offset..offset, Some(word));
        self.count += 1;
    }

    /// A neighbour of this full one, that will probably grow as large.
    fn next(&mut self, word: &[u8]) -> Self {
        words::fit(&mut self.words);
        let mut next = Self::default();
        next.words.reserve_exact(self.words.len().min(LEAF_BYTES).max(words::size_of_word(word.len())));
        next.insert(0, word);
        next
    }

    /// Takes the words from this place on.
    fn split_off(&mut self, at: usize) -> Self {
        let words = self.words.split_off(self.offset(at));
        words::fit(&mut self.words);
        let count = self.count - at;
        self.count = at;
        Self { words, count }
    }

    fn is_small(&self) -> bool {
        self.words.len() < JOINED_BYTES && self.count < JOINED_WORDS
    }
}

impl Node {
    fn count(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.count,
            Node::Inner(inner) => inner.count,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.words.len(),
            Node::Inner(inner) => inner.children.iter().map(Node::bytes).sum(),
        }
    }

    fn first(&self) -> Option<&[u8]> {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.words().next(),
                Node::Inner(inner) => node = inner.children.first()?,
            }
        }
    }

    /// The leaf with the word at `index`, and its place there.
    fn leaf(&self, mut index: usize) -> Option<(&Leaf, usize)> {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(leaf) => return (index < leaf.count).then_some((leaf, index)),
                Node::Inner(inner) => {
                    let (child, at) = inner.child(index);
                    node = inner.children.get(child)?;
                    index = at;
                }
            }
        }
    }

    /// A new right neighbour, if it had to be split.
    fn insert(&mut self, index: usize, word: &[u8]) -> Option<Node> {
        match self {
            Node::Leaf(leaf) if !leaf.is_full_for(word) => {
                leaf.insert(index, word);
                None
            }
            // Whoever appends leaves full leaves behind.
            Node::Leaf(leaf) if index == leaf.count => Some(Node::Leaf(leaf.next(word))),
            Node::Leaf(leaf) if index == 0 => {
                let first = leaf.next(word);
                Some(Node::Leaf(core::mem::replace(leaf, first)))
            }
            Node::Leaf(leaf) => {
                let at = (leaf.count / 2).max(1);
                let mut right = leaf.split_off(at);
                if index <= at {
                    leaf.insert(index, word)
                } else {
                    right.insert(index - at, word)
                }
                Some(Node::Leaf(right))
            }
            Node::Inner(inner) => inner.insert(index, word),
        }
    }

    /// The bytes of the word that is gone.
    fn remove(&mut self, index: usize) -> usize {
        match self {
            Node::Leaf(leaf) => {
                let start = leaf.offset(index);
                let end = leaf.offset(index + 1);
                words::splice(&mut leaf.words, start..end, None);
                leaf.count -= 1;
                end - start
            }
            Node::Inner(inner) => {
                let (child, at) = inner.child(index);
                let bytes = inner.children[child].remove(at);
                inner.count -= 1;
                inner.tidy(child);
                bytes
            }
        }
    }

    fn drop_front(&mut self, mut count: usize) -> usize {
        match self {
            Node::Leaf(leaf) => {
                let end = leaf.offset(count);
                leaf.words.drain(..end);
                leaf.count -= count;
                end
            }
            Node::Inner(inner) => {
                inner.count -= count;
                let mut whole = 0;
                while inner.children.get(whole).is_some_and(|child| child.count() <= count) {
                    count -= inner.children[whole].count();
                    whole += 1;
                }
                let mut bytes = inner.children.drain(..whole).map(|child| child.bytes()).sum();
                if count > 0 {
                    bytes += inner.children[0].drop_front(count);
                }
                inner.tidy(0);
                bytes
            }
        }
    }

    fn drop_back(&mut self, mut count: usize) -> usize {
        match self {
            Node::Leaf(leaf) => {
                let start = leaf.offset(leaf.count - count);
                let bytes = leaf.words.len() - start;
                leaf.words.truncate(start);
                leaf.count -= count;
                bytes
            }
            Node::Inner(inner) => {
                inner.count -= count;
                let mut bytes = 0;
                while let Some(child) = inner.children.pop_if(|child| child.count() <= count) {
                    count -= child.count();
                    bytes += child.bytes();
                }
                let last = inner.children.len().saturating_sub(1);
                if count > 0 {
                    bytes += inner.children[last].drop_back(count);
                }
                inner.tidy(last);
                bytes
            }
        }
    }

    /// Takes in what the right neighbour holds, if it fits.
    fn join(&mut self, right: &mut Node) -> bool {
        match (self, right) {
            (Node::Leaf(left), Node::Leaf(right)) if left.is_small() && right.is_small() => {
                left.words.reserve_exact(right.words.len());
                left.words.extend_from_slice(&right.words);
                left.count += right.count;
                true
            }
            (Node::Inner(left), Node::Inner(right)) if left.children.len() + right.children.len() <= CHILDREN / 2 => {
                left.count += right.count;
                left.children.append(&mut right.children);
                true
            }
            _ => false,
        }
    }

    fn check(&self) -> u32 {
        match self {
            Node::Leaf(leaf) => {
                assert_eq!(leaf.count, leaf.words().count());
                // But for one word that may be of any length, and another that came between when it was split.
                let mut sizes: Vec<_> = leaf.words().map(|word| words::size_of_word(word.len())).collect();
                sizes.sort_unstable();
                let longest: usize = sizes.iter().rev().take(2).sum();
                assert!(leaf.count <= LEAF_WORDS && leaf.words.len() - longest <= LEAF_BYTES);
                0
            }
            Node::Inner(inner) => {
                assert_eq!(inner.count, inner.children.iter().map(Node::count).sum::<usize>());
                assert!(!inner.children.is_empty() && inner.children.len() <= CHILDREN);
                assert!(inner.children.iter().all(|child| child.count() > 0), "an empty node");
                let mut depths = inner.children.iter().map(Node::check);
                let depth = depths.next().unwrap_or_default();
                assert!(depths.all(|other| other == depth), "leaves at different depths");
                depth + 1
            }
        }
    }
}

impl Inner {
    /// The child with the word at `index`, and its place there; beyond the last word, the last child.
    fn child(&self, mut index: usize) -> (usize, usize) {
        let last = self.children.len().saturating_sub(1);
        // Most are asked for at an end.
        let before_last = self.count - self.children.last().map_or(0, Node::count);
        if index >= before_last {
            return (last, index - before_last);
        }
        for (i, child) in self.children.iter().enumerate() {
            let count = child.count();
            if index < count {
                return (i, index);
            }
            index -= count;
        }
        (last, index)
    }

    fn insert(&mut self, index: usize, word: &[u8]) -> Option<Node> {
        let (mut child, mut at) = self.child(index);
        if at == 0 && child > 0 {
            // At the end of the one before, which may have room.
            child -= 1;
            at = self.children[child].count();
        }
        let right = self.children[child].insert(at, word);
        self.count += 1;
        let right = right?;
        self.children.insert(child + 1, right);
        if self.children.len() <= CHILDREN {
            return None;
        }
        // Whoever appends leaves full nodes behind.
        let at = if child + 2 == self.children.len() { CHILDREN } else { CHILDREN / 2 };
        let children = self.children.split_off(at);
        let count = children.iter().map(Node::count).sum();
        self.count -= count;
        Some(Node::Inner(Inner { children, count }))
    }

    /// Words of this child were taken away.
    fn tidy(&mut self, child: usize) {
        if self.children.get(child).is_some_and(|node| node.count() == 0) {
            self.children.remove(child);
        }
        for left in [child, child.saturating_sub(1)] {
            if let Some([node, right]) = self.children.get_mut(left..left + 2)
                && node.join(right)
            {
                self.children.remove(left + 1);
            }
        }
    }
}
