//! JSON documents.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::pieces::PIECE;
use super::words::{self, Words};
use crate::effect::Change;
use crate::json::{self, Json, Place, Step};
use crate::limits;

/// A JSON document.
#[derive(Clone, Debug)]
pub struct Document {
    root: Json,
    /// Of the root and all in it.
    cost: usize,
}

impl Document {
    /// Of an encoded value; `None` if it is none.
    pub(super) fn of(value: &[u8]) -> Option<Self> {
        let root = json::decode(value, 0)?;
        Some(Self { cost: root.cost(), root })
    }

    pub fn root(&self) -> &Json {
        &self.root
    }

    /// Makes the change, if it is one of documents. One that does not fit changes nothing.
    pub(super) fn change(&mut self, change: &Change<'_>) {
        if let Some(growth) = self.try_change(change) {
            self.cost = self.cost.wrapping_add_signed(growth);
        }
    }

    fn try_change(&mut self, change: &Change<'_>) -> Option<isize> {
        let place = |index: u64| usize::try_from(index).unwrap_or(usize::MAX);
        match *change {
            Change::JsonSet { place, value } => {
                if place.is_empty() {
                    return Some(self.root.replace(json::decode(value, 0)?));
                }
                let (container, last) = json::split_last(place)?;
                let (found, around) = self.root.at_mut(container)?;
                let value = json::decode(value, around + 1)?;
                match (found, Step::of_word(last)?) {
                    (Json::Object(object), Step::Name(name)) => Some(object.put_all([(name.into(), value)].into())),
                    (Json::Array(items), Step::Index(index)) => Some(items.get_mut(index)?.replace(value)),
                    _ => None,
                }
            }
            Change::JsonPut { place, members } => {
                let (Json::Object(object), around) = self.root.at_mut(place)? else { return None };
                let member = |(name, value): (&[u8], &[u8])| {
                    Some((core::str::from_utf8(name).ok()?.into(), json::decode(value, around + 1)?))
                };
                let members = members.pairs().map(member).collect::<Option<Vec<(Box<str>, Json)>>>()?;
                Some(object.put_all(members))
            }
            Change::JsonDrop { place, steps } => match self.root.at_mut(place)?.0 {
                Json::Object(object) => {
                    let name = |word| if let Some(Step::Name(name)) = Step::of_word(word) { Some(name) } else { None };
                    Some(object.take_all(steps.filter_map(name)))
                }
                array @ Json::Array(_) => {
                    let len = array.as_array()?.len();
                    let index = |word| match Step::of_word(word) {
                        Some(Step::Index(index)) => Some(index).filter(|index| *index < len),
                        _ => None,
                    };
                    Some(array.remove(steps.filter_map(index).collect()))
                }
                _ => None,
            },
            Change::JsonInsert { place: at, index, values } => {
                let (array, around) = self.root.at_mut(at)?;
                Some(array.insert(place(index), json::decode_all(values, around + 1)?))
            }
            Change::JsonKeep { place: at, start, count } => {
                Some(self.root.at_mut(at)?.0.keep(place(start), place(count)))
            }
            Change::JsonAppend { place, text } => {
                let (found, _) = self.root.at_mut(place)?;
                let fits = found.as_text()?.len() + text.len() <= limits::MAX_BULK;
                fits.then_some(core::str::from_utf8(text).ok()?).map(|text| found.append_text(text))
            }
            _ => None,
        }
    }

    /// Bytes accounted for it.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// The changes that make it, none much larger than [`PIECE`] or twice its place, but for what is one text.
    pub(super) fn parts(&self) -> Parts<'_> {
        Parts { open: Vec::new(), whole: Some(&self.root) }
    }

    pub(super) fn check(&self) {
        assert!(self.root.depth() <= limits::MAX_JSON_DEPTH);
        assert_eq!(self.cost, self.root.cost());
        self.root.check();
    }
}

/// A document in parts.
pub(super) struct Parts<'a> {
    /// The containers that are made member by member, each in the one before it, and what of them is still to come.
    open: Vec<Open<'a>>,
    /// What is to be made next in the innermost of these, or as the root.
    whole: Option<&'a Json>,
}

struct Open<'a> {
    place: Place,
    rest: Box<dyn Iterator<Item = (Step<'a>, &'a Json)> + Send + 'a>,
}

/// A change that makes a part of a document.
pub(super) enum Part {
    Set { place: Place, value: Vec<u8> },
    Put { place: Place, members: Vec<u8> },
    Insert { place: Place, index: usize, values: Vec<u8> },
}

impl Part {
    pub(super) fn change(&self) -> Change<'_> {
        match self {
            Part::Set { place, value } => Change::JsonSet { place: place.words(), value },
            Part::Put { place, members } => Change::JsonPut { place: place.words(), members: Words::new(members) },
            Part::Insert { place, index, values } => {
                Change::JsonInsert { place: place.words(), index: *index as u64, values }
            }
        }
    }
}

/// Appends a value; a container that takes more than so many bytes without what is in it, and then it is `false`.
fn encode_small(value: &Json, mut most: usize, out: &mut Vec<u8>) -> bool {
    let is_small = fits(value, &mut most);
    match value {
        Json::Array(_) if !is_small => json::encode(&Json::Array(Vec::new()), out),
        Json::Object(_) if !is_small => json::encode(&Json::Object(Box::default()), out),
        _ => json::encode(value, out),
    }
    is_small
}

/// Whether a value takes no more than what is left of these bytes, about. Looks at no more than that.
fn fits(value: &Json, left: &mut usize) -> bool {
    /// Of a number, or of a name or text beside its bytes.
    const HEAD: usize = 4;
    let own = HEAD + value.as_text().map_or(0, str::len);
    let Some(rest) = left.checked_sub(own) else { return false };
    *left = rest;
    let mut names = value.as_object().into_iter().flat_map(|object| object.iter());
    match value {
        Json::Array(items) => items.iter().all(|item| fits(item, left)),
        _ => names.all(|(name, value)| {
            let rest = left.checked_sub(HEAD + name.len());
            rest.is_some_and(|rest| {
                *left = rest;
                fits(value, left)
            })
        }),
    }
}

impl<'a> Parts<'a> {
    fn open(&mut self, place: Place, value: &'a Json) {
        let rest: Box<dyn Iterator<Item = (Step<'a>, &'a Json)> + Send + 'a> = match value {
            Json::Array(items) => Box::new(items.iter().enumerate().map(|(at, item)| (Step::Index(at), item))),
            Json::Object(object) => Box::new(object.iter().map(|(name, value)| (Step::Name(name), value))),
            _ => return,
        };
        self.open.push(Open { place, rest });
    }
}

impl Iterator for Parts<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if let Some(root) = self.whole.take() {
            let mut value = Vec::new();
            if !encode_small(root, PIECE, &mut value) {
                self.open(Place::default(), root);
            }
            return Some(Part::Set { place: Place::default(), value });
        }
        loop {
            let open = self.open.last_mut()?;
            let (mut bytes, mut first, mut inner) = (Vec::new(), None, None);
            // Every part names its place, so that is to be the smaller of the two.
            let around = open.place.words().bytes().len();
            while bytes.len() < PIECE.max(around)
                && inner.is_none()
                && let Some((step, value)) = open.rest.next()
            {
                first.get_or_insert(step);
                let mut one = Vec::new();
                let name = if let Step::Name(name) = step { name.len() } else { 0 };
                if !encode_small(value, PIECE.max(around + name), &mut one) {
                    inner = Some((open.place.then(step), value));
                }
                match step {
                    Step::Name(name) => {
                        words::push(&mut bytes, name.as_bytes());
                        words::push(&mut bytes, &one);
                    }
                    Step::Index(_) => bytes.extend_from_slice(&one),
                }
            }
            let part = first.map(|first| match first {
                Step::Name(_) => Part::Put { place: open.place.clone(), members: bytes },
                Step::Index(index) => Part::Insert { place: open.place.clone(), index, values: bytes },
            });
            if part.is_none() {
                self.open.pop();
            }
            if let Some((place, value)) = inner {
                self.open(place, value);
            }
            if part.is_some() {
                return part;
            }
        }
    }
}
