//! Collections of every type, each at keys of its own, judged by what the model knows of them.

use mneme_checks::model::typed::stream::Asked;
use mneme_checks::model::typed::{ELEMENTS, Element, Typed, document, hash, list, set, sorted, stream};
use mneme_checks::model::{Command, Key};
use rand::Rng;
use rand::rngs::StdRng;

/// What a key holds, by its number.
#[derive(Clone, Copy)]
enum Kind {
    Hash,
    Set,
    Sorted,
    List,
    Stream,
    Document,
}

const KINDS: [Kind; 6] = [Kind::Hash, Kind::Set, Kind::Sorted, Kind::List, Kind::Stream, Kind::Document];
/// A stream keeps so few entries.
const ENTRIES: usize = 6;

fn kind(key: Key) -> Kind {
    KINDS[usize::from(key.number) % KINDS.len()]
}

/// A command on this key; `word` is written by nobody else.
pub fn command(key: Key, word: u32, dice: &mut StdRng) -> Command {
    let draw = dice.random_range(0..10);
    let (element, other) = (dice.random_range(0..ELEMENTS), dice.random_range(0..ELEMENTS));
    let two: Vec<Element> = if element == other { vec![element] } else { vec![element, other] };
    let left = dice.random_bool(0.5);
    Command::Typed(
        key,
        match kind(key) {
            Kind::Hash => Typed::Hash(match draw {
                0..=2 => hash::Call::Put(two.into_iter().zip(i64::from(word)..).collect()),
                3 => hash::Call::PutAbsent(element, word.into()),
                4 => hash::Call::Increment(element, 1),
                5 => hash::Call::Remove(two),
                6 => hash::Call::Get(element),
                _ => hash::Call::All,
            }),
            Kind::Set => Typed::Set(match draw {
                0..=3 => set::Call::Add(two),
                4 => set::Call::Remove(two),
                5 => set::Call::Pop(None),
                6 => set::Call::Has(element),
                _ => set::Call::All,
            }),
            Kind::Sorted => Typed::Sorted(match draw {
                0..=2 => {
                    let members = two.into_iter().map(|member| (member, dice.random_range(0..9))).collect();
                    sorted::Call::Add { members, only: sorted::Only::Any, changed: left }
                }
                3 => sorted::Call::Increment(element, 1),
                4 => sorted::Call::Remove(two),
                5 => sorted::Call::Pop { least: left, count: None },
                6 => sorted::Call::Score(element),
                _ => sorted::Call::Range(0, -1),
            }),
            Kind::List => Typed::List(match draw {
                0..=2 => list::Call::Push { elements: two, left, only_present: false },
                3..=5 => list::Call::Pop { left, count: None },
                6 => list::Call::Remove(0, element),
                _ => list::Call::Range(0, -1),
            }),
            Kind::Document => Typed::Document(match draw {
                0 => document::Call::Create,
                1 | 2 => document::Call::Put(element, word.into()),
                3 => document::Call::Increment(element, 1),
                4 => document::Call::Remove(element),
                5 => document::Call::Append(two),
                6 => document::Call::Pop,
                _ => document::Call::All,
            }),
            Kind::Stream => Typed::Stream(match draw {
                0..=3 => stream::Call::Add { asked: Asked::ByClock, word, most: Some(ENTRIES) },
                4 => stream::Call::Trim(ENTRIES / 2),
                5 => stream::Call::Length,
                _ => stream::Call::Range { newest: left, count: ENTRIES },
            }),
        },
    )
}

/// What shows all that this key holds.
pub fn whole(key: Key) -> Command {
    Command::Typed(
        key,
        match kind(key) {
            Kind::Hash => Typed::Hash(hash::Call::All),
            Kind::Set => Typed::Set(set::Call::All),
            Kind::Sorted => Typed::Sorted(sorted::Call::Range(0, -1)),
            Kind::List => Typed::List(list::Call::Range(0, -1)),
            Kind::Stream => Typed::Stream(stream::Call::Range { newest: false, count: ENTRIES }),
            Kind::Document => Typed::Document(document::Call::All),
        },
    )
}

/// What a watcher that has seen a whole collection then does to it, if nobody else has changed it.
pub fn change(key: Key, word: u32, dice: &mut StdRng) -> Vec<Command> {
    let changes = (0..2).map(|_| command(key, word, dice));
    changes.filter(|command| !command.is_read()).chain([whole(key)]).collect()
}
