//! Streams, with at most one consumer group each. An entry has one field, whose value is written once in a history.
//!
//! The server gives ids by its clock. Where nobody heard which, it is not known here until an answer tells it.

use super::{Element, Outcomes, number};
use crate::model::{Between, Reply};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub millis: u64,
    pub seq: u64,
}

/// Which id XADD asks for. Those that are asked for lie far below those that a clock gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    ByClock,
    /// The next one of this millisecond.
    In(u64),
    Exactly(Id),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Add {
        asked: Asked,
        word: u32,
        /// How many entries may be left.
        most: Option<usize>,
    },
    Delete(Vec<Id>),
    /// Leaves the newest ones, so many.
    Trim(usize),
    Length,
    /// From the oldest on, or the newest.
    Range {
        newest: bool,
        count: usize,
    },
    /// Makes the group, which is to hear of what is there already, or not.
    Group {
        from_start: bool,
    },
    /// What the group has not heard of.
    ReadNew {
        consumer: Element,
        count: usize,
    },
    Acknowledge(Vec<Id>),
    /// How many entries are delivered and not acknowledged, the first and the last of them, and to whom how many are.
    Pending,
}

impl Call {
    pub fn is_read(&self) -> bool {
        matches!(self, Call::Length | Call::Range { .. } | Call::Pending)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    entries: Vec<Entry>,
    /// How many there have ever been.
    added: u32,
    /// The last id that was given, or one that is not above it.
    last: Id,
    /// Whether it is that one.
    is_known: bool,
    group: Option<Group>,
    exists: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Entry {
    /// How many came before it.
    number: u32,
    /// `None`: not known.
    id: Option<Id>,
    word: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Group {
    /// It has heard of all entries before this one.
    next: u32,
    /// What is not acknowledged, and whose it is.
    pending: Vec<(Entry, Element)>,
}

impl Stream {
    pub fn exists(&self) -> bool {
        self.exists
    }

    pub fn looks_like(&self, other: &Stream) -> bool {
        let words = |stream: &Stream| stream.entries.iter().map(|entry| entry.word).collect::<Vec<_>>();
        self.exists == other.exists && words(self) == words(other)
    }

    fn add(mut self, id: Option<Id>, word: u32, most: Option<usize>) -> Stream {
        self.entries.push(Entry { number: self.added, id, word });
        self.added += 1;
        self.exists = true;
        if let Some(most) = most {
            self.trim(most);
        }
        self
    }

    fn trim(&mut self, most: usize) -> usize {
        let surplus = self.entries.len().saturating_sub(most);
        self.entries.drain(..surplus);
        surplus
    }

    /// Whether the server's clock may have given this id: the time, or where no time has passed the next number.
    fn may_give(&self, id: Id, clock: Between) -> bool {
        if !self.is_known && self.added > 0 {
            return id > self.last;
        }
        let by_time = id.millis > self.last.millis && id.seq == 0 && (clock.least..=clock.most).contains(&id.millis);
        let by_number = Id { seq: self.last.seq + 1, ..self.last } == id && clock.least <= self.last.millis;
        by_time || by_number
    }

    /// An answer that shows these entries; what it tells of ids is known from then on. Nothing, if it contradicts what was.
    fn tell(
        mut self,
        entries: Vec<Entry>,
        reply: Option<&Reply>,
        show: impl Fn(&Entry, Id) -> Vec<Reply>,
    ) -> Outcomes<Stream> {
        let told: Vec<Id> = match reply {
            Some(Reply::Items(items)) => {
                items.iter().filter_map(|item| if let Reply::Id(id) = item { Some(*id) } else { None }).collect()
            }
            _ => Vec::new(),
        };
        let mut items = Vec::new();
        for (i, entry) in entries.iter().enumerate() {
            let Some(id) = entry.id.or(told.get(i).copied()) else {
                // Only where nobody heard the answer may it have told of fewer.
                if reply.is_some() {
                    return Vec::new();
                }
                continue;
            };
            items.extend(show(entry, id));
            self.learn(entry.number, id);
        }
        if self.is_in_order() { vec![(Reply::Items(items), self)] } else { Vec::new() }
    }

    fn learn(&mut self, number: u32, id: Id) {
        let pending = self.group.iter_mut().flat_map(|group| &mut group.pending).map(|(entry, _)| entry);
        for entry in self.entries.iter_mut().chain(pending).filter(|entry| entry.number == number) {
            entry.id = Some(id);
        }
        self.last = self.last.max(id);
        self.is_known |= number + 1 == self.added;
    }

    /// Whether later entries have greater ids.
    fn is_in_order(&self) -> bool {
        let ids: Vec<Id> = self.entries.iter().filter_map(|entry| entry.id).collect();
        ids.is_sorted_by(|a, b| a < b)
    }
}

pub fn run(call: &Call, mut stream: Stream, clock: Between, reply: Option<&Reply>) -> Outcomes<Stream> {
    let answer = match call {
        Call::Add { asked, word, most } => return add(*asked, *word, *most, stream, clock, reply),
        Call::Delete(ids) => {
            let before = stream.entries.len();
            stream.entries.retain(|entry| entry.id.is_none_or(|id| !ids.contains(&id)));
            number(before - stream.entries.len())
        }
        Call::Trim(most) => number(stream.trim(*most)),
        Call::Length => number(stream.entries.len()),
        Call::Range { newest, count } => {
            let shown: Vec<Entry> = match newest {
                true => stream.entries.iter().rev().take(*count).cloned().collect(),
                false => stream.entries.iter().take(*count).cloned().collect(),
            };
            return stream.tell(shown, reply, whole);
        }
        Call::Group { .. } if stream.group.is_some() => Reply::GroupExists,
        Call::Group { from_start } => {
            let next = if *from_start { 0 } else { stream.added };
            stream.group = Some(Group { next, ..Group::default() });
            stream.exists = true;
            Reply::Ok
        }
        Call::ReadNew { consumer, count } => {
            let Some(group) = &mut stream.group else { return vec![(Reply::NoGroup, stream)] };
            let new = stream.entries.iter().filter(|entry| entry.number >= group.next).take(*count);
            let new: Vec<Entry> = new.cloned().collect();
            if let Some(last) = new.last() {
                group.next = last.number + 1;
                group.pending.extend(new.iter().map(|entry| (entry.clone(), *consumer)));
                return stream.tell(new, reply, whole);
            }
            Reply::Nil
        }
        Call::Acknowledge(ids) => match &mut stream.group {
            Some(group) => {
                let before = group.pending.len();
                group.pending.retain(|(entry, _)| entry.id.is_none_or(|id| !ids.contains(&id)));
                number(before - group.pending.len())
            }
            None => Reply::Number(0),
        },
        Call::Pending => return pending(stream, reply),
    };
    vec![(answer, stream)]
}

fn add(
    asked: Asked,
    word: u32,
    most: Option<usize>,
    mut stream: Stream,
    clock: Between,
    reply: Option<&Reply>,
) -> Outcomes<Stream> {
    let last = stream.last;
    let id = match (asked, reply) {
        (Asked::Exactly(id), _) => id,
        (Asked::In(millis), _) if millis == last.millis => Id { millis, seq: last.seq + 1 },
        (Asked::In(millis), _) => Id { millis, seq: 0 },
        (Asked::ByClock, None) => {
            stream.last = last.max(Id { millis: clock.least, seq: 0 });
            stream.is_known = false;
            return vec![(Reply::Nil, stream.add(None, word, most))];
        }
        (Asked::ByClock, Some(Reply::Id(id))) if stream.may_give(*id, clock) => *id,
        (Asked::ByClock, Some(_)) => return Vec::new(),
    };
    if id <= last {
        return vec![(Reply::IdTooSmall, stream)];
    }
    stream.last = id;
    stream.is_known = true;
    vec![(Reply::Id(id), stream.add(Some(id), word, most))]
}

fn whole(entry: &Entry, id: Id) -> Vec<Reply> {
    vec![Reply::Id(id), Reply::Element(0), Reply::Number(i64::from(entry.word))]
}

fn pending(stream: Stream, reply: Option<&Reply>) -> Outcomes<Stream> {
    let Some(group) = &stream.group else { return vec![(Reply::NoGroup, stream)] };
    let count = number(group.pending.len());
    let (Some((first, _)), Some((last, _))) = (group.pending.first(), group.pending.last()) else {
        return vec![(Reply::Items(vec![count, Reply::Nil, Reply::Nil, Reply::Nil]), stream)];
    };
    let of = |consumer: Element| {
        let own = group.pending.iter().filter(|(_, other)| *other == consumer).count();
        (own > 0).then(|| [Reply::Element(consumer), number(own)])
    };
    let consumers: Vec<Reply> = (0..super::ELEMENTS).filter_map(of).flatten().collect();
    let ends = vec![first.clone(), last.clone()];
    let told = stream.clone().tell(ends, reply, |_, id| vec![Reply::Id(id)]);
    let whole = |answer| match answer {
        Reply::Items(ends) => Reply::Items([vec![count.clone()], ends, consumers.clone()].concat()),
        other => other,
    };
    told.into_iter().map(|(answer, stream)| (whole(answer), stream)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Between = Between { least: 1_000, most: 1_010 };

    fn added(stream: &Stream, word: u32, reply: Option<Id>) -> Option<Stream> {
        let call = Call::Add { asked: Asked::ByClock, word, most: None };
        run(&call, stream.clone(), AT, reply.map(Reply::Id).as_ref()).pop().map(|(_, after)| after)
    }

    fn shown(entries: &[(u64, u64, u32)]) -> Reply {
        let entry = |(millis, seq, word): &(u64, u64, u32)| {
            [Reply::Id(Id { millis: *millis, seq: *seq }), Reply::Element(0), Reply::Number(i64::from(*word))]
        };
        Reply::Items(entries.iter().flat_map(entry).collect())
    }

    fn is_possible(stream: &Stream, call: &Call, reply: &Reply) -> bool {
        run(call, stream.clone(), AT, Some(reply)).iter().any(|(answer, _)| answer == reply)
    }

    #[test]
    fn ids_grow_and_tell_the_time() {
        let id = |millis, seq| Some(Id { millis, seq });
        let first = added(&Stream::default(), 1, id(1_004, 0)).expect("the first");
        for (next, possible) in [
            (id(1_004, 1), true),
            (id(1_004, 0), false),
            (id(1_003, 0), false),
            (id(1_006, 0), true),
            (id(1_011, 0), false),
            (id(1_006, 1), false),
        ] {
            assert_eq!(added(&first, 2, next).is_some(), possible, "{next:?}");
        }
    }

    #[test]
    fn what_nobody_heard_is_told_later_and_then_known() {
        let unknown = added(&Stream::default(), 1, None).expect("it may have been");
        let range = Call::Range { newest: false, count: 9 };
        let told = run(&range, unknown.clone(), AT, Some(&shown(&[(1_002, 0, 1)]))).remove(0).1;
        assert!(is_possible(&told, &range, &shown(&[(1_002, 0, 1)])));
        assert!(!is_possible(&told, &range, &shown(&[(1_003, 0, 1)])));
        assert!(!is_possible(&unknown, &range, &shown(&[(1_002, 0, 2)])), "another entry");
        assert!(!is_possible(&unknown, &range, &shown(&[])), "none");
        let second = added(&told, 2, Some(Id { millis: 1_005, seq: 0 })).expect("the next");
        assert!(!is_possible(&second, &range, &shown(&[(1_005, 0, 2), (1_002, 0, 1)])));
    }

    #[test]
    fn a_group_hears_of_each_entry_once() {
        let mut stream = Stream::default();
        for (word, millis) in [(1, 3), (2, 4)] {
            let add = Call::Add { asked: Asked::In(millis), word, most: None };
            stream = run(&add, stream, AT, None).remove(0).1;
        }
        stream = run(&Call::Group { from_start: true }, stream, AT, None).remove(0).1;
        let read = Call::ReadNew { consumer: 2, count: 1 };
        let (first, stream) = run(&read, stream, AT, None).remove(0);
        assert_eq!(first, shown(&[(3, 0, 1)]));
        let three = Id { millis: 3, seq: 0 };
        let pending = [Reply::Number(1), Reply::Id(three), Reply::Id(three), Reply::Element(2), Reply::Number(1)];
        assert!(is_possible(&stream, &Call::Pending, &Reply::Items(pending.to_vec())));
        let (second, stream) = run(&read, stream, AT, None).remove(0);
        assert_eq!(second, shown(&[(4, 0, 2)]));
        let (acknowledged, stream) = run(&Call::Acknowledge(vec![three]), stream, AT, None).remove(0);
        assert_eq!(acknowledged, Reply::Number(1));
        assert!(is_possible(&stream, &read, &Reply::Nil));
    }
}
