//! Commands on keys that hold collections and sketches.

use madsim::rand::Rng;
use madsim::rand::seq::SliceRandom;

use super::Workload;
use crate::dice::Dice;
use crate::model::typed::joint::{How, Joint};
use crate::model::typed::sorted::{Only, PLACES};
use crate::model::typed::stream::{Asked, Id};
use crate::model::typed::{ELEMENTS, Element, Typed, document, hash, list, set, sketch, sorted, stream};
use crate::model::{Command, Key};
use crate::options::{TYPED, Type};

/// Ids that are not by the clock are in milliseconds up to this one: few, so that they are met again.
const LAST_MILLIS: u64 = 8;

impl Workload {
    /// Mostly of the key's own type; else of another, which is refused, or takes the key if it is free.
    pub(super) fn typed(&mut self) -> Command {
        let (key, own) = self.typed_key();
        match self.dice.weighted(&[(30, 0), (6, 1), (2, 2), (2, 3), (2, 4)]) {
            0 => Command::Typed(key, self.call(own)),
            1 => self.joint(own),
            2 => {
                let other = *Type::ALL.choose(&mut self.dice).expect("there are types");
                Command::Typed(key, self.call(other))
            }
            3 => Command::Delete(vec![key]),
            _ => Command::Kind(key),
        }
    }

    /// A key that is meant for collections, and of which type.
    pub(super) fn typed_key(&mut self) -> (Key, Type) {
        let types = &self.cluster.world().options.clients.types;
        let at = self.dice.gen_range(0..types.len());
        (Key { database: self.database, number: TYPED + at as u16 }, types[at])
    }

    fn call(&mut self, of: Type) -> Typed {
        match of {
            Type::List => Typed::List(list(&mut self.dice)),
            Type::Hash => Typed::Hash(self.hash()),
            Type::Set => Typed::Set(set(&mut self.dice)),
            Type::Sorted => Typed::Sorted(sorted(&mut self.dice)),
            Type::Stream => Typed::Stream(self.stream()),
            Type::Sketch => Typed::Sketch(sketch::Call::Add(elements(&mut self.dice))),
            Type::Document => Typed::Document(self.document()),
        }
    }

    fn joint(&mut self, own: Type) -> Command {
        let of: Vec<Key> = (0..self.dice.gen_range(1..=2)).map(|_| self.typed_key().0).collect();
        let ([from, to], into) = ([(); 2].map(|()| self.typed_key().0), self.typed_key().0);
        let dice = &mut self.dice;
        Command::Joint(match own {
            Type::List => Joint::MoveElement { from, to, from_left: dice.chance(0.5), to_left: dice.chance(0.5) },
            Type::Set if dice.chance(0.4) => Joint::MoveMember { from, to, member: element(dice) },
            Type::Sketch if dice.chance(0.4) => Joint::Merge { into, of },
            Type::Set | Type::Sorted => {
                let how = dice.weighted(&[(1, How::All), (1, How::Any), (1, How::First)]);
                let into = dice.chance(0.5).then_some(into);
                Joint::Combine { sorted: own == Type::Sorted, how, of, into }
            }
            Type::Sketch => Joint::Estimate(of),
            // They have none.
            Type::Hash | Type::Stream | Type::Document => return Command::Kind(into),
        })
    }

    fn hash(&mut self) -> hash::Call {
        use hash::Call;
        let value = i64::from(self.cluster.world().new_word());
        let dice = &mut self.dice;
        match dice.gen_range(0..18) {
            0..=3 => Call::Put(elements(dice).into_iter().zip(value..).collect()),
            4 => Call::PutAbsent(element(dice), value),
            5 | 6 => Call::Increment(element(dice), dice.gen_range(-3..9)),
            7..=9 => Call::Remove(elements(dice)),
            10 => Call::Get(element(dice)),
            11 => Call::GetEach(elements(dice)),
            12 | 13 => Call::All,
            14 if dice.chance(0.5) => Call::Fields,
            14 => Call::Values,
            15 => Call::Length,
            16 => Call::Has(element(dice)),
            _ => Call::Draw,
        }
    }

    fn document(&mut self) -> document::Call {
        use document::Call;
        let value = i64::from(self.cluster.world().new_word());
        let dice = &mut self.dice;
        match dice.gen_range(0..16) {
            0 | 1 => Call::Create,
            2..=4 => Call::Put(element(dice), value),
            5..=7 => Call::Increment(element(dice), dice.gen_range(-3..9)),
            8 | 9 => Call::Remove(element(dice)),
            10 | 11 => Call::Append(elements(dice)),
            12 => Call::Pop,
            _ => Call::All,
        }
    }

    fn stream(&mut self) -> stream::Call {
        use stream::Call;
        let word = self.cluster.world().new_word();
        // What the clock gives is above all that is asked for, so that few streams get both.
        let by_clock = self.dice.chance(0.1) != self.options().types.len().is_multiple_of(2);
        let dice = &mut self.dice;
        let id = |dice: &mut Dice| Id { millis: dice.gen_range(1..=LAST_MILLIS), seq: dice.gen_range(0..2) };
        let ids: Vec<Id> = (0..3).map(|_| id(dice)).collect();
        match dice.gen_range(0..20) {
            0..=4 => {
                let asked = match by_clock {
                    true => Asked::ByClock,
                    false if dice.chance(0.5) => Asked::In(dice.gen_range(1..=LAST_MILLIS)),
                    false => Asked::Exactly(ids[0]),
                };
                Call::Add { asked, word, most: dice.chance(0.3).then(|| dice.gen_range(1..6)) }
            }
            5 | 18 => Call::Delete(ids),
            6 | 19 => Call::Trim(dice.gen_range(0..3)),
            7 => Call::Length,
            8..=10 => Call::Range { newest: dice.chance(0.5), count: dice.gen_range(1..9) },
            11 => Call::Group { from_start: dice.chance(0.7) },
            12..=14 => Call::ReadNew { consumer: dice.gen_range(0..3), count: dice.gen_range(1..3) },
            15 | 16 => Call::Acknowledge(ids),
            _ => Call::Pending,
        }
    }
}

fn list(dice: &mut Dice) -> list::Call {
    use list::Call;
    let at = |dice: &mut Dice| dice.gen_range(-4..5);
    match dice.gen_range(0..20) {
        0..=4 => Call::Push { elements: elements(dice), left: dice.chance(0.5), only_present: dice.chance(0.2) },
        5..=8 => Call::Pop { left: dice.chance(0.5), count: dice.chance(0.4).then(|| dice.gen_range(1..4)) },
        9 | 10 => Call::Range(0, -1),
        11 => Call::Range(at(dice), at(dice)),
        12 => Call::Length,
        13 => Call::At(at(dice)),
        14 => Call::Put(at(dice), element(dice)),
        15 => Call::Remove(dice.gen_range(-2..3), element(dice)),
        16 => Call::Insert { before: dice.chance(0.5), pivot: element(dice), element: element(dice) },
        17 | 18 => Call::Trim(dice.gen_range(-6..2), -1),
        _ => Call::Find(element(dice)),
    }
}

fn set(dice: &mut Dice) -> set::Call {
    use set::Call;
    match dice.gen_range(0..14) {
        0..=3 => Call::Add(elements(dice)),
        4 | 5 => Call::Remove(elements(dice)),
        6 | 7 => Call::Pop(dice.chance(0.3).then(|| dice.gen_range(1..3))),
        8 | 9 => Call::All,
        10 => Call::Length,
        11 => Call::Has(element(dice)),
        12 => Call::HasEach(elements(dice)),
        _ => Call::Draw,
    }
}

fn sorted(dice: &mut Dice) -> sorted::Call {
    use sorted::Call;
    let score = |dice: &mut Dice| dice.gen_range(0..9);
    match dice.gen_range(0..20) {
        0..=3 => {
            let only = [(5, Only::Any), (1, Only::Absent), (1, Only::Present), (1, Only::Greater), (1, Only::Less)];
            let only = dice.weighted(&only);
            let members = elements(dice).into_iter().map(|member| (member, score(dice))).collect();
            Call::Add { members, only, changed: dice.chance(0.4) }
        }
        4 => Call::Place(elements(dice).into_iter().map(|member| (member, dice.gen_range(0..PLACES.len()))).collect()),
        5 | 6 => Call::Increment(element(dice), dice.gen_range(-2..5)),
        7 | 8 => Call::Remove(elements(dice)),
        9 => Call::Score(element(dice)),
        10 => Call::Rank(element(dice)),
        11 => Call::Length,
        12 => Call::Count(score(dice), score(dice)),
        13 => Call::Range(0, -1),
        14 => Call::Range(dice.gen_range(-3..3), dice.gen_range(-3..4)),
        15 => Call::ByScore(score(dice), score(dice)),
        16 | 17 => Call::Pop { least: dice.chance(0.5), count: dice.chance(0.4).then(|| dice.gen_range(1..4)) },
        18 => Call::Near(dice.gen_range(0..PLACES.len())),
        _ => Call::Draw,
    }
}

fn element(dice: &mut Dice) -> Element {
    dice.gen_range(0..ELEMENTS)
}

/// A few, each once.
fn elements(dice: &mut Dice) -> Vec<Element> {
    let mut elements: Vec<Element> = (0..ELEMENTS).collect();
    elements.shuffle(dice);
    elements.truncate(dice.gen_range(1..=3));
    elements
}

/// What shows all that a key of this type holds.
pub fn whole(of: Type, key: Key) -> Command {
    let typed = match of {
        Type::List => Typed::List(list::Call::Range(0, -1)),
        Type::Hash => Typed::Hash(hash::Call::All),
        Type::Set => Typed::Set(set::Call::All),
        Type::Sorted => Typed::Sorted(sorted::Call::Range(0, -1)),
        Type::Stream => Typed::Stream(stream::Call::Range { newest: false, count: 100 }),
        Type::Document => Typed::Document(document::Call::All),
        Type::Sketch => return Command::Joint(Joint::Estimate(vec![key])),
    };
    Command::Typed(key, typed)
}
