//! What a key holds: a byte string or a collection.

use alloc::boxed::Box;

use super::dict::Search;
use super::document::Document;
use super::hash::Hash;
use super::hasher::KeyHasher;
use super::list::List;
use super::set::Set;
use super::sorted::SortedSet;
use super::stream::Stream;
use crate::effect::Change;

/// A value that is no byte string.
#[derive(Debug)]
pub(super) enum Collection {
    Hash(Hash),
    List(List),
    Set(Set),
    Sorted(SortedSet),
    Stream(Box<Stream>),
    Document(Document),
}

/// What a key holds.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Text(&'a [u8]),
    Hash(&'a Hash),
    List(&'a List),
    Set(&'a Set),
    Sorted(&'a SortedSet),
    Stream(&'a Stream),
    Document(&'a Document),
}

/// A type of values.
pub trait Kind {
    /// The value, if it is of this type.
    fn of(value: Value<'_>) -> Option<&Self>;
}

impl Kind for [u8] {
    #[inline]
    fn of(value: Value<'_>) -> Option<&Self> {
        if let Value::Text(text) = value { Some(text) } else { None }
    }
}

impl Kind for Hash {
    fn of(value: Value<'_>) -> Option<&Self> {
        if let Value::Hash(hash) = value { Some(hash) } else { None }
    }
}

impl Kind for List {
    fn of(value: Value<'_>) -> Option<&Self> {
        if let Value::List(list) = value { Some(list) } else { None }
    }
}

impl Kind for Set {
    fn of(value: Value<'_>) -> Option<&Self> {
        if let Value::Set(set) = value { Some(set) } else { None }
    }
}

impl Kind for SortedSet {
    fn of(value: Value<'_>) -> Option<&Self> {
        if let Value::Sorted(sorted) = value { Some(sorted) } else { None }
    }
}

impl Kind for Stream {
    fn of(value: Value<'_>) -> Option<&Self> {
        if let Value::Stream(stream) = value { Some(stream) } else { None }
    }
}

impl Kind for Document {
    fn of(value: Value<'_>) -> Option<&Self> {
        if let Value::Document(document) = value { Some(document) } else { None }
    }
}

impl Value<'_> {
    /// As `TYPE` says it.
    pub fn type_name(self) -> &'static str {
        match self {
            Value::Text(_) => "string",
            Value::Hash(_) => "hash",
            Value::List(_) => "list",
            Value::Set(_) => "set",
            Value::Sorted(_) => "zset",
            Value::Stream(_) => "stream",
            // The name of RedisJSON's type, which was ReJSON when it got it.
            Value::Document(_) => "ReJSON-RL",
        }
    }

    /// What Redis would call its encoding; programs look at it.
    pub fn encoding(self) -> &'static str {
        /// Redis keeps strings up to here in one allocation with their head.
        const EMBEDDED: usize = 44;
        match self {
            Value::Text(text) if crate::resp::parse_i64(text).is_some() => "int",
            Value::Text(text) if text.len() <= EMBEDDED => "embstr",
            Value::Text(_) => "raw",
            Value::Hash(hash) => hash.encoding(),
            Value::List(list) => list.encoding(),
            Value::Set(set) => set.encoding(),
            Value::Sorted(sorted) => sorted.encoding(),
            Value::Stream(_) => "stream",
            // As of every type of a module.
            Value::Document(_) => "raw",
        }
    }
}

impl Collection {
    /// What such a change begins with; `None` if it only takes away.
    pub(super) fn for_change(change: &Change<'_>) -> Option<Self> {
        match change {
            Change::PutFields(_) => Some(Collection::Hash(Hash::default())),
            Change::Push { .. } => Some(Collection::List(List::default())),
            Change::AddMembers(_) => Some(Collection::Set(Set::default())),
            Change::Rank(_) => Some(Collection::Sorted(SortedSet::default())),
            Change::AddEntries { .. } | Change::SetStream { .. } | Change::PutGroup { .. } => {
                Some(Collection::Stream(Box::default()))
            }
            Change::JsonSet { place, value } if place.is_empty() => Document::of(value).map(Collection::Document),
            Change::DropFields(_)
            | Change::Pop { .. }
            | Change::InsertAt { .. }
            | Change::SetAt { .. }
            | Change::RemoveAt { .. }
            | Change::DropMembers(_)
            | Change::Unrank(_)
            | Change::DropEntries(_)
            | Change::Trim { .. }
            | Change::DropGroup { .. }
            | Change::PutConsumer { .. }
            | Change::DropConsumer { .. }
            | Change::Deliver { .. }
            | Change::Pend { .. }
            | Change::Unpend { .. }
            | Change::JsonSet { .. }
            | Change::JsonPut { .. }
            | Change::JsonDrop { .. }
            | Change::JsonInsert { .. }
            | Change::JsonKeep { .. }
            | Change::JsonAppend { .. } => None,
        }
    }

    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Collection::Hash(hash) => Value::Hash(hash),
            Collection::List(list) => Value::List(list),
            Collection::Set(set) => Value::Set(set),
            Collection::Sorted(sorted) => Value::Sorted(sorted),
            Collection::Stream(stream) => Value::Stream(stream),
            Collection::Document(document) => Value::Document(document),
        }
    }

    /// Where a command whose words behind the key begin and end with these would search for an element, if that takes long.
    pub(super) fn searched(&self, [first, last]: [&[u8]; 2]) -> Option<Search<'_>> {
        let (dict, element) = match self {
            Collection::Hash(hash) => (hash.dict()?, first),
            Collection::Set(set) => (set.dict()?, first),
            // ZADD says the score first.
            Collection::Sorted(sorted) => (sorted.dict()?, last),
            Collection::List(_) | Collection::Stream(_) | Collection::Document(_) => return None,
        };
        Some(dict.search(element))
    }

    /// Makes the change, if it is one of this type.
    pub(super) fn change(&mut self, change: &Change<'_>, hasher: &KeyHasher) {
        // What is beyond a place that can be is beyond every list.
        let place = |index: u64| usize::try_from(index).unwrap_or(usize::MAX);
        match (self, *change) {
            (Collection::Hash(hash), Change::PutFields(fields)) => {
                fields.pairs().for_each(|(field, value)| hash.put(field, value, hasher));
            }
            (Collection::Hash(hash), Change::DropFields(fields)) => fields.for_each(|field| hash.remove(field)),
            (Collection::List(list), Change::Push { side, elements }) => {
                elements.for_each(|element| list.push(side, element));
            }
            (Collection::List(list), Change::Pop { side, count }) => list.pop(side, place(count)),
            (Collection::List(list), Change::InsertAt { index, element }) => list.insert(place(index), element),
            (Collection::List(list), Change::SetAt { index, element }) => list.set(place(index), element),
            (Collection::List(list), Change::RemoveAt { index }) => list.remove(place(index)),
            (Collection::Set(set), Change::AddMembers(members)) => members.for_each(|member| set.add(member, hasher)),
            (Collection::Set(set), Change::DropMembers(members)) => members.for_each(|member| set.remove(member)),
            (Collection::Sorted(sorted), Change::Rank(words)) => words.for_each(|word| sorted.add_word(word, hasher)),
            (Collection::Sorted(sorted), Change::Unrank(members)) => members.for_each(|member| sorted.remove(member)),
            (Collection::Stream(stream), _) => stream.change(change),
            (Collection::Document(document), _) => document.change(change),
            _ => {}
        }
    }

    /// Whether a key with it is no key.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Collection::Hash(hash) => hash.is_empty(),
            Collection::List(list) => list.is_empty(),
            Collection::Set(set) => set.is_empty(),
            Collection::Sorted(sorted) => sorted.is_empty(),
            Collection::Stream(_) | Collection::Document(_) => false,
        }
    }

    pub(super) fn cost(&self) -> usize {
        match self {
            Collection::Hash(hash) => hash.cost(),
            Collection::List(list) => list.cost(),
            Collection::Set(set) => set.cost(),
            Collection::Sorted(sorted) => sorted.cost(),
            Collection::Stream(stream) => stream.cost(),
            Collection::Document(document) => document.cost(),
        }
    }

    pub(super) fn check(&self) {
        assert!(!self.is_gone(), "an empty collection");
        match self {
            Collection::Hash(hash) => hash.check(),
            Collection::List(list) => list.check(),
            Collection::Set(set) => set.check(),
            Collection::Sorted(sorted) => sorted.check(),
            Collection::Stream(stream) => stream.check(),
            Collection::Document(document) => document.check(),
        }
    }
}
