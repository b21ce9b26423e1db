//! Commands on values that have a type: what each leaves, with the standard library's collections.
//!
//! Members, fields and elements are mostly of one small universe ([`ELEMENTS`]), so that commands meet, and so that a search
//! that compares many states stays fast.

use super::{Between, Datum, Reply};

pub mod document;
pub mod hash;
pub mod joint;
pub mod list;
pub mod set;
pub mod sketch;
pub mod sorted;
pub mod stream;

/// What collections hold, by number.
pub type Element = u32;
/// How many there are, where commands shall meet.
pub const ELEMENTS: Element = 8;

/// What TYPE tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    String,
    List,
    Hash,
    Set,
    Sorted,
    Stream,
    Document,
}

/// A command on the value of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    List(list::Call),
    Hash(hash::Call),
    Set(set::Call),
    Sorted(sorted::Call),
    Stream(stream::Call),
    Sketch(sketch::Call),
    Document(document::Call),
}

/// The answers that there may be, each with what is then left.
pub(super) type Outcomes<T> = Vec<(Reply, T)>;

impl Typed {
    pub(super) fn is_read(&self) -> bool {
        match self {
            Typed::List(call) => call.is_read(),
            Typed::Hash(call) => call.is_read(),
            Typed::Set(call) => call.is_read(),
            Typed::Sorted(call) => call.is_read(),
            Typed::Stream(call) => call.is_read(),
            Typed::Sketch(_) => false,
            Typed::Document(call) => call.is_read(),
        }
    }

    /// What stands for a key that is absent.
    fn nothing(&self) -> Datum {
        match self {
            Typed::List(_) => Datum::List(Default::default()),
            Typed::Hash(_) => Datum::Hash(Default::default()),
            Typed::Set(_) => Datum::Set(Default::default()),
            Typed::Sorted(_) => Datum::Sorted(Default::default()),
            Typed::Stream(_) => Datum::Stream(Default::default()),
            Typed::Sketch(_) => Datum::Sketch(Default::default()),
            Typed::Document(_) => Datum::Document(None),
        }
    }
}

impl Datum {
    pub fn kind(&self) -> Kind {
        match self {
            Datum::Word(_) | Datum::Number(_) | Datum::Text(_) | Datum::Sketch(_) => Kind::String,
            Datum::List(_) => Kind::List,
            Datum::Hash(_) => Kind::Hash,
            Datum::Set(_) => Kind::Set,
            Datum::Sorted(_) => Kind::Sorted,
            Datum::Stream(_) => Kind::Stream,
            Datum::Document(_) => Kind::Document,
        }
    }

    /// What a client that reads it as a string gets.
    pub(super) fn into_read(self) -> Datum {
        if let Datum::Sketch(_) = self { Datum::Sketch(Default::default()) } else { self }
    }

    /// Whether a key that holds this is absent.
    fn is_nothing(&self) -> bool {
        match self {
            Datum::List(list) => list.is_empty(),
            Datum::Hash(hash) => hash.is_empty(),
            Datum::Set(set) => set.is_empty(),
            Datum::Sorted(sorted) => sorted.is_empty(),
            Datum::Stream(stream) => !stream.exists(),
            Datum::Document(document) => document.is_none(),
            Datum::Word(_) | Datum::Number(_) | Datum::Text(_) | Datum::Sketch(_) => false,
        }
    }

    /// This, if a key can hold it.
    pub(super) fn kept(self) -> Option<Datum> {
        (!self.is_nothing()).then_some(self)
    }

    /// Whether it looks the same to who watches its key. What a search comes to know of a stream is no change of it.
    pub(super) fn looks_like(&self, other: &Datum) -> bool {
        match (self, other) {
            (Datum::Stream(own), Datum::Stream(other)) => own.looks_like(other),
            _ => self == other,
        }
    }
}

/// Each answer that there may be to a command, with what its key then holds.
pub(super) fn run(call: &Typed, old: Option<&Datum>, clock: Between, reply: Option<&Reply>) -> Outcomes<Option<Datum>> {
    fn of<T>(outcomes: Outcomes<T>, datum: fn(T) -> Datum) -> Outcomes<Option<Datum>> {
        outcomes.into_iter().map(|(reply, left)| (reply, datum(left).kept())).collect()
    }
    match (call, old.cloned().unwrap_or_else(|| call.nothing())) {
        (Typed::List(call), Datum::List(list)) => of(vec![list::run(call, list)], Datum::List),
        (Typed::Hash(call), Datum::Hash(hash)) => of(hash::run(call, hash), Datum::Hash),
        (Typed::Set(call), Datum::Set(set)) => of(set::run(call, set), Datum::Set),
        (Typed::Sorted(call), Datum::Sorted(sorted)) => of(sorted::run(call, sorted), Datum::Sorted),
        (Typed::Stream(call), Datum::Stream(stream)) => of(stream::run(call, stream, clock, reply), Datum::Stream),
        (Typed::Sketch(call), Datum::Sketch(sketch)) => of(vec![sketch::run(call, sketch)], Datum::Sketch),
        (Typed::Document(call), Datum::Document(old)) => of(vec![document::run(call, old)], Datum::Document),
        (Typed::Sketch(_), old) if old.kind() == Kind::String => vec![(Reply::NotASketch, Some(old))],
        (_, old) => vec![(Reply::WrongType, Some(old))],
    }
}

/// A number of things, as an answer.
fn number(n: usize) -> Reply {
    Reply::Number(n as i64)
}

/// One outcome for each of these elements, or that of having none.
fn any_of<T: Clone>(elements: impl Iterator<Item = Element>, left: T) -> Outcomes<T> {
    let outcomes: Outcomes<T> = elements.map(|element| (Reply::Element(element), left.clone())).collect();
    if outcomes.is_empty() { vec![(Reply::Nil, left)] } else { outcomes }
}

/// Which part of so many is meant from one index to another, both included and negative ones counted from the end.
fn part(len: usize, from: i64, to: i64) -> std::ops::Range<usize> {
    let len = len as i64;
    let at = |n: i64| if n < 0 { n + len } else { n };
    let (from, end) = (at(from).max(0), (at(to) + 1).clamp(0, len));
    if from < end { from as usize..end as usize } else { 0..0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_count_from_both_ends() {
        for (from, to, part) in
            [(0, -1, 0..5), (1, 2, 1..3), (-3, -2, 2..4), (3, 1, 0..0), (-100, 0, 0..1), (9, 12, 0..0)]
        {
            assert_eq!(super::part(5, from, to), part, "{from} {to}");
        }
    }

    #[test]
    fn a_command_of_another_type_changes_nothing() {
        let list = Datum::List([1].into());
        let add = Typed::Set(set::Call::Add(vec![1]));
        let clock = Between { least: 0, most: 0 };
        assert_eq!(run(&add, Some(&list), clock, None), [(Reply::WrongType, Some(list))]);
        let sketch = Typed::Sketch(sketch::Call::Add(vec![1]));
        assert_eq!(run(&sketch, Some(&Datum::Word(1)), clock, None), [(Reply::NotASketch, Some(Datum::Word(1)))]);
    }

    #[test]
    fn who_takes_the_last_leaves_no_key() {
        let pop = Typed::List(list::Call::Pop { left: true, count: None });
        let clock = Between { least: 0, most: 0 };
        assert_eq!(run(&pop, Some(&Datum::List([4].into())), clock, None), [(Reply::Element(4), None)]);
    }
}
