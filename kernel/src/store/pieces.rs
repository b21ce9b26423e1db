//! Items as the effects that make them: what snapshots hold, and what a copy of a key is made by.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::document::Parts;
use super::stream::Piece;
use super::words::{self, Words};
use super::{Item, Store, Value};
use crate::effect::{self, Change, Effect, Side};
use crate::ids::DbId;

/// Bytes of elements at which a piece ends.
pub(crate) const PIECE: usize = 16 << 10;

/// All items of a store, piece by piece: see [`Store::pieces`].
pub struct Pieces<'a> {
    items: Box<dyn Iterator<Item = (DbId, &'a [u8], Item<'a>)> + Send + 'a>,
    current: Option<ItemPieces<'a>>,
}

impl core::fmt::Debug for Pieces<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Pieces")
    }
}

impl<'a> Pieces<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        let items =
            store.databases().flat_map(|(db, database)| database.iter().map(move |(key, item)| (db, key, item)));
        Self { items: Box::new(items), current: None }
    }

    /// Appends the next effect, encoded; whether there was one.
    pub fn append_next(&mut self, out: &mut Vec<u8>) -> bool {
        loop {
            if let Some(current) = &mut self.current
                && current.append_next(out)
            {
                return true;
            }
            let Some((db, key, item)) = self.items.next() else { return false };
            self.current = Some(ItemPieces::new(db, key, item));
        }
    }
}

/// The effects that make one item, under any key.
pub(crate) struct ItemPieces<'a> {
    db: DbId,
    key: &'a [u8],
    deadline: Option<u64>,
    rest: Rest<'a>,
}

/// What of an item is still to come.
enum Rest<'a> {
    Text(&'a [u8]),
    Elements {
        kind: Elements,
        words: Box<dyn Iterator<Item = &'a [u8]> + Send + 'a>,
    },
    /// Members that are no bytes in memory.
    Made {
        members: Box<dyn Iterator<Item = super::Member<'a>> + Send + 'a>,
    },
    Stream {
        pieces: Box<dyn Iterator<Item = Piece<'a>> + Send + 'a>,
    },
    Document {
        parts: Parts<'a>,
    },
    Deadline,
    Nothing,
}

#[derive(Clone, Copy)]
enum Elements {
    Fields,
    List,
    Sorted,
}

impl<'a> ItemPieces<'a> {
    pub(crate) fn new(db: DbId, key: &'a [u8], item: Item<'a>) -> Self {
        let rest = match item.value {
            Value::Text(text) => Rest::Text(text),
            Value::Hash(hash) => {
                let words = Box::new(hash.iter().flat_map(|(field, value)| [field, value]));
                Rest::Elements { kind: Elements::Fields, words }
            }
            Value::List(list) => Rest::Elements { kind: Elements::List, words: Box::new(list.elements().iter()) },
            Value::Set(set) => Rest::Made { members: Box::new(set.iter()) },
            Value::Stream(stream) => Rest::Stream { pieces: Box::new(stream.pieces()) },
            Value::Sorted(sorted) => Rest::Elements { kind: Elements::Sorted, words: Box::new(sorted.order().iter()) },
            Value::Document(document) => Rest::Document { parts: document.parts() },
        };
        Self { db, key, deadline: item.deadline, rest }
    }

    /// Appends the next effect, encoded; whether there was one.
    pub(crate) fn append_next(&mut self, out: &mut Vec<u8>) -> bool {
        let (db, key, deadline) = (self.db, self.key, self.deadline);
        let mut change = |change| effect::record(&Effect::Change { db, key, change }, out);
        loop {
            let mut piece = Vec::new();
            match &mut self.rest {
                Rest::Text(value) => {
                    effect::record(&Effect::Put { db, key, value, deadline }, out);
                    self.rest = Rest::Nothing;
                    return true;
                }
                Rest::Elements { kind, words } => {
                    let kind = *kind;
                    while piece.len() < PIECE
                        && let Some(word) = words.next()
                    {
                        words::push(&mut piece, word);
                        if matches!(kind, Elements::Fields)
                            && let Some(value) = words.next()
                        {
                            words::push(&mut piece, value);
                        }
                    }
                    if !piece.is_empty() {
                        let words = Words::new(&piece);
                        change(match kind {
                            Elements::Fields => Change::PutFields(words),
                            Elements::List => Change::Push { side: Side::Right, elements: words },
                            Elements::Sorted => Change::Rank(words),
                        });
                        return true;
                    }
                    self.rest = Rest::Deadline;
                }
                Rest::Made { members } => {
                    while piece.len() < PIECE
                        && let Some(member) = members.next()
                    {
                        words::push(&mut piece, &member);
                    }
                    if !piece.is_empty() {
                        change(Change::AddMembers(Words::new(&piece)));
                        return true;
                    }
                    self.rest = Rest::Deadline;
                }
                Rest::Stream { pieces } => {
                    if let Some(piece) = pieces.next() {
                        change(piece.change());
                        return true;
                    }
                    self.rest = Rest::Deadline;
                }
                Rest::Document { parts } => {
                    if let Some(part) = parts.next() {
                        change(part.change());
                        return true;
                    }
                    self.rest = Rest::Deadline;
                }
                Rest::Deadline => {
                    self.rest = Rest::Nothing;
                    if deadline.is_some() {
                        effect::record(&Effect::Deadline { db, key, deadline }, out);
                        return true;
                    }
                }
                Rest::Nothing => return false,
            }
        }
    }
}
