//! A JSON value in memory.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// A JSON value. Numbers without fraction and exponent are integers as long as 64 bits hold them.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json {
    #[default]
    Null,
    Bool(bool),
    Integer(i64),
    /// Above [`i64::MAX`].
    Large(u64),
    /// Finite.
    Float(f64),
    Text(Box<str>),
    Array(Vec<Json>),
    Object(Box<Object>),
}

const _: () = assert!(size_of::<Json>() == 24);

/// Members in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Object {
    members: Vec<Member>,
    /// The places of the members by their names, unless they are few: then they are looked through.
    sorted: Vec<u32>,
}

type Member = (Box<str>, Json);

/// Members up to which an object has no index, and so many at once are added one by one.
const FEW: usize = 8;

/// Byte strings in memory take whole multiples of this.
const ROUNDING: usize = 16;

/// Bytes accounted for so many slots, with the room that is made behind them.
fn slots(len: usize, size: usize) -> usize {
    (len + len / 8) * size
}

/// Makes room for more. Not by doubling: most of them never grow again.
fn make_room<T>(items: &mut Vec<T>, more: usize) {
    if items.capacity() - items.len() < more {
        items.reserve_exact(more + items.len() / 8);
    }
}

/// Gives room back, if behind what is left is much more than is made for more. Not each time: that would move all of it.
fn give_back<T>(items: &mut Vec<T>) {
    if items.capacity() - items.len() > items.len() / 4 {
        items.shrink_to(items.len() + items.len() / 8);
    }
}

fn text_cost(len: usize) -> usize {
    len.next_multiple_of(ROUNDING)
}

impl Json {
    /// As `JSON.TYPE` says it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Integer(_) | Json::Large(_) => "integer",
            Json::Float(_) => "number",
            Json::Text(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    pub fn as_object(&self) -> Option<&Object> {
        if let Json::Object(object) = self { Some(object) } else { None }
    }

    pub fn as_array(&self) -> Option<&[Json]> {
        if let Json::Array(items) = self { Some(items) } else { None }
    }

    pub fn as_text(&self) -> Option<&str> {
        if let Json::Text(text) = self { Some(text) } else { None }
    }

    /// A number as the nearest float.
    pub fn as_float(&self) -> Option<f64> {
        match *self {
            Json::Integer(n) => Some(n as f64),
            Json::Large(n) => Some(n as f64),
            Json::Float(n) => Some(n),
            _ => None,
        }
    }

    /// How many containers stand in each other here, at most: none, if it is none.
    pub fn depth(&self) -> usize {
        let inner = match self {
            Json::Array(items) => items.iter().map(Json::depth).max(),
            Json::Object(object) => object.iter().map(|(_, value)| value.depth()).max(),
            _ => return 0,
        };
        1 + inner.unwrap_or(0)
    }

    /// Bytes accounted for what it holds beside its own slot, which is its container's: computed, so that every node
    /// counts the same.
    pub fn cost(&self) -> usize {
        self.own_cost() + self.children().map(Json::cost).sum::<usize>()
    }

    /// How much it is to look at as a whole, in values.
    pub fn work(&self) -> usize {
        1 + self.cost() / size_of::<Self>()
    }

    /// The same without what its children hold.
    fn own_cost(&self) -> usize {
        match self {
            Json::Text(text) => text_cost(text.len()),
            Json::Array(items) => Self::array_cost(items.len()),
            Json::Object(object) => {
                Object::own_cost(object.len()) + object.iter().map(|(name, _)| text_cost(name.len())).sum::<usize>()
            }
            _ => 0,
        }
    }

    fn array_cost(len: usize) -> usize {
        slots(len, size_of::<Json>())
    }

    fn children(&self) -> impl Iterator<Item = &Json> {
        let items = self.as_array().unwrap_or_default().iter();
        items.chain(self.as_object().into_iter().flat_map(|object| object.iter().map(|(_, value)| value)))
    }
}

/// What a change did to what is accounted for.
pub(crate) type Growth = isize;

fn grown(before: usize, after: usize) -> Growth {
    after as Growth - before as Growth
}

/// Changes of one value, each with what it costs more than before.
impl Json {
    pub(crate) fn replace(&mut self, value: Json) -> Growth {
        let old = core::mem::replace(self, value);
        grown(old.cost(), self.cost())
    }

    /// Puts values before the one at `index`, or behind the last; none beyond that.
    pub(crate) fn insert(&mut self, index: usize, values: Vec<Json>) -> Growth {
        let Json::Array(items) = self else { return 0 };
        if index > items.len() {
            return 0;
        }
        let before = Self::array_cost(items.len());
        let held: usize = values.iter().map(Json::cost).sum();
        make_room(items, values.len());
        items.splice(index..index, values);
        grown(before, Self::array_cost(items.len()) + held)
    }

    /// Leaves so many of an array's elements, from one on.
    pub(crate) fn keep(&mut self, start: usize, count: usize) -> Growth {
        let Json::Array(items) = self else { return 0 };
        let before = Self::array_cost(items.len());
        let end = start.saturating_add(count).min(items.len());
        let behind: usize = items.drain(end..).map(|gone| gone.cost()).sum();
        let ahead: usize = items.drain(..start.min(end)).map(|gone| gone.cost()).sum();
        give_back(items);
        grown(before + behind + ahead, Self::array_cost(items.len()))
    }

    /// Takes away the elements with these places, whatever their order.
    pub(crate) fn remove(&mut self, mut places: Vec<usize>) -> Growth {
        let Json::Array(items) = self else { return 0 };
        places.sort_unstable();
        places.dedup();
        let before = Self::array_cost(items.len());
        let mut held = 0;
        remove_places(items, &places, |gone| held += gone.cost());
        give_back(items);
        grown(before + held, Self::array_cost(items.len()))
    }

    pub(crate) fn append_text(&mut self, more: &str) -> Growth {
        let Json::Text(text) = self else { return 0 };
        let before = text_cost(text.len());
        let mut long = core::mem::take(text).into_string();
        long.reserve_exact(more.len());
        long.push_str(more);
        *text = long.into_boxed_str();
        grown(before, text_cost(text.len()))
    }
}

/// Takes away what stands in these places, which are in order, in one pass.
fn remove_places<T>(items: &mut Vec<T>, places: &[usize], mut gone: impl FnMut(T)) {
    let Some((first, last)) = places.first().zip(places.last()) else { return };
    if *last == items.len() - 1 && last - first == places.len() - 1 {
        // At the end: nothing moves.
        items.drain(*first..).for_each(gone);
        return;
    }
    let mut places = places.iter().peekable();
    let mut at = 0;
    for item in items.extract_if(.., |_| {
        let is_gone = places.next_if(|place| **place == at).is_some();
        at += 1;
        is_gone
    }) {
        gone(item);
    }
}

impl Object {
    /// Of a name that is given more than once the last value counts, in the place of the first.
    pub fn of(members: Vec<(Box<str>, Json)>) -> Self {
        let mut object = Self::default();
        object.put_all(members);
        object.members.shrink_to_fit();
        object
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn get(&self, name: &str) -> Option<&Json> {
        self.member(name).map(|(_, value)| value)
    }

    /// The member, with its name as it is kept here.
    pub fn member(&self, name: &str) -> Option<(&str, &Json)> {
        let (name, value) = &self.members[self.place(name)?];
        Some((name, value))
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        let place = self.place(name)?;
        Some(&mut self.members[place].1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.members.iter().map(|(name, value)| (&**name, value))
    }

    /// Beside what its names and values hold.
    fn own_cost(len: usize) -> usize {
        let index = if len > FEW { slots(len, size_of::<u32>()) } else { 0 };
        size_of::<Self>() + slots(len, size_of::<Member>()) + index
    }

    fn place(&self, name: &str) -> Option<usize> {
        if self.sorted.is_empty() {
            return self.members.iter().position(|(known, _)| **known == *name);
        }
        let found = self.find(name).ok()?;
        Some(self.sorted[found] as usize)
    }

    /// Where the name is in the index, or belongs.
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.sorted.binary_search_by(|place| (*self.members[*place as usize].0).cmp(name))
    }

    /// Gives members values; those that are new stand behind the others.
    pub(crate) fn put_all(&mut self, members: Vec<(Box<str>, Json)>) -> Growth {
        let before = Self::own_cost(self.len());
        let mut growth = 0;
        make_room(&mut self.members, members.len());
        if members.len() <= FEW {
            for (name, value) in members {
                growth += self.put(name, value);
            }
        } else {
            let mut new = Vec::with_capacity(members.len());
            for (name, value) in members {
                match self.get_mut(&name) {
                    Some(known) => growth += known.replace(value),
                    None => new.push((name, value)),
                }
            }
            for (name, value) in once_each(new) {
                growth += grown(0, text_cost(name.len()) + value.cost());
                self.members.push((name, value));
            }
            self.index();
        }
        growth + grown(before, Self::own_cost(self.len()))
    }

    /// What it costs more, but for its slot.
    fn put(&mut self, name: Box<str>, value: Json) -> Growth {
        if let Some(known) = self.get_mut(&name) {
            return known.replace(value);
        }
        let growth = grown(0, text_cost(name.len()) + value.cost());
        let place = self.members.len() as u32;
        if let (false, Err(at)) = (self.sorted.is_empty(), self.find(&name)) {
            make_room(&mut self.sorted, 1);
            self.sorted.insert(at, place);
        }
        self.members.push((name, value));
        if self.sorted.is_empty() {
            self.index();
        }
        growth
    }

    pub(crate) fn take_all<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Growth {
        let before = Self::own_cost(self.len());
        let mut places: Vec<usize> = names.filter_map(|name| self.place(name)).collect();
        places.sort_unstable();
        places.dedup();
        let mut held = 0;
        remove_places(&mut self.members, &places, |(name, value)| held += text_cost(name.len()) + value.cost());
        if self.members.len() <= FEW {
            self.sorted = Vec::new();
        } else {
            // Who stood behind those that are gone has moved up.
            self.sorted.retain(|place| places.binary_search(&(*place as usize)).is_err());
            for place in &mut self.sorted {
                *place -= places.partition_point(|gone| *gone < *place as usize) as u32;
            }
        }
        give_back(&mut self.members);
        give_back(&mut self.sorted);
        grown(before + held, Self::own_cost(self.len()))
    }

    /// Makes the index anew, if there is to be one. What is in order already is not sorted again.
    fn index(&mut self) {
        if self.members.len() <= FEW {
            return;
        }
        let (members, from) = (&self.members, self.sorted.len());
        let by_name = |a: &u32, b: &u32| members[*a as usize].0.cmp(&members[*b as usize].0);
        let new = members.len() - from;
        make_room(&mut self.sorted, new);
        // A document has fewer values than 32 bits count: it would be larger than one command may make.
        self.sorted.extend(from as u32..members.len() as u32);
        self.sorted[from..].sort_by(by_name);
        self.sorted.sort_by(by_name);
    }

    pub(crate) fn check(&self) {
        if self.members.len() <= FEW {
            assert!(self.sorted.is_empty());
            let names = |at: usize| &self.members[at].0;
            assert!((0..self.len()).all(|a| (0..a).all(|b| names(a) != names(b))), "a name twice");
            return;
        }
        assert_eq!(self.sorted.len(), self.members.len());
        let name = |place: u32| &self.members[place as usize].0;
        assert!(self.sorted.windows(2).all(|two| name(two[0]) < name(two[1])), "names in order, none twice");
    }
}

impl PartialEq for Object {
    /// Order does not count.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

/// Each name once, with its last value in the place of the first.
fn once_each(mut members: Vec<Member>) -> impl Iterator<Item = Member> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by(|a, b| members[*a].0.cmp(&members[*b].0));
    let mut is_again = vec![false; members.len()];
    let mut start = 0;
    while start < order.len() {
        let first = order[start];
        let mut end = start + 1;
        while end < order.len() && members[order[end]].0 == members[first].0 {
            is_again[order[end]] = true;
            end += 1;
        }
        if end - start > 1 {
            members[first].1 = core::mem::take(&mut members[order[end - 1]].1);
        }
        start = end;
    }
    members.into_iter().zip(is_again).filter(|(_, again)| !again).map(|(member, _)| member)
}

impl Json {
    /// Asserts what must hold between its parts.
    pub(crate) fn check(&self) {
        if let Json::Object(object) = self {
            object.check();
        }
        if let Json::Float(n) = self {
            assert!(n.is_finite());
        }
        self.children().for_each(Json::check);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether little more is kept than what it is accounted for.
    fn fits<T>(items: &Vec<T>) -> bool {
        items.capacity() <= items.len() + items.len() / 4
    }

    #[test]
    fn what_is_taken_away_leaves_its_memory() {
        let mut array = Json::Array((0..1000).map(Json::Integer).collect());
        let mut object = Object::of((0..1000).map(|n| (alloc::format!("{n}").into(), Json::Null)).collect());
        // From the end, from within, and one by one.
        for taken in [999..1000, 500..900, 0..1] {
            let names: Vec<_> = taken.clone().map(|n| alloc::format!("{n}")).collect();
            array.remove(taken.collect());
            object.take_all(names.iter().map(|name| &**name));
            let Json::Array(items) = &array else { panic!("an array") };
            assert!(
                fits(items) && fits(&object.members) && fits(&object.sorted),
                "{} {}",
                items.len(),
                items.capacity()
            );
        }
        for len in (0..598).rev() {
            array.remove(vec![len]);
            let Json::Array(items) = &array else { panic!("an array") };
            assert!(items.len() == len && fits(items));
        }
    }
}
