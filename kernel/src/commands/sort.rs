//! Sorting lists, sets and sorted sets: by themselves, or by what other keys hold.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::{Access, Command, CommandError, Keys, check_stored, integer, is_word};
use crate::call::Call;
use crate::effect::{Change, Side};
use crate::events::Events;
use crate::store::{Value, Words, words};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "sort",
        arity: -2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "movablekeys"],
        summary: "Sorts the elements in a list, a set, or a sorted set, optionally storing the result.",
        run: |call| sort(call, true),
    },
    Command {
        name: "sort_ro",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &["movablekeys"],
        summary: "Returns the sorted elements of a list, a set, or a sorted set.",
        run: |call| sort(call, false),
    },
];

/// What is to be done.
#[derive(Default)]
struct Wanted<'a> {
    descending: bool,
    alphabetical: bool,
    skipped: usize,
    /// All that are left, if none is said.
    most: Option<usize>,
    by: Option<&'a [u8]>,
    get: Vec<&'a [u8]>,
    store: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    fn of(call: &Call<'a>, may_store: bool) -> Result<Self, CommandError> {
        let mut wanted = Wanted::default();
        let mut options = call.args.skip(2).iter();
        while let Some(option) = options.next() {
            let mut next = || options.next().ok_or(CommandError::Syntax);
            if is_word(option, "asc") {
                wanted.descending = false;
            } else if is_word(option, "desc") {
                wanted.descending = true;
            } else if is_word(option, "alpha") {
                wanted.alphabetical = true;
            } else if is_word(option, "limit") {
                let (skipped, most) = (next()?, next()?);
                wanted.skipped = integer(skipped)?.max(0) as usize;
                wanted.most = usize::try_from(integer(most)?).ok();
            } else if is_word(option, "store") && may_store {
                wanted.store = Some(next()?);
            } else if is_word(option, "by") {
                wanted.by = Some(next()?);
            } else if is_word(option, "get") {
                wanted.get.push(next()?);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(wanted)
    }
}

/// What elements are compared by.
enum Weight {
    Number(f64),
    Text(Option<Box<[u8]>>),
    /// The element itself.
    Own,
}

impl Weight {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Weight::Number(a), Weight::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Weight::Text(a), Weight::Text(b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }
}

/// What is found in a key may name any other.
const BY_DENIED: CommandError = CommandError::Other("BY option of SORT denied due to insufficient ACL permissions.");
const GET_DENIED: CommandError = CommandError::Other("GET option of SORT denied due to insufficient ACL permissions.");

fn sort(call: &mut Call<'_>, may_store: bool) -> Result<(), CommandError> {
    let mut wanted = Wanted::of(call, may_store)?;
    let names_keys = wanted.by.is_some_and(|by| by.contains(&b'*'));
    for (is_asked, denied) in [(names_keys, BY_DENIED), (!wanted.get.is_empty(), GET_DENIED)] {
        if is_asked && !call.may_read_every_key() {
            return Err(denied);
        }
    }
    // A pattern that names the same key for all elements says that they are in order.
    let mut is_sorted = wanted.by.is_some_and(|by| !by.contains(&b'*'));
    let (mut elements, is_set) = elements(call)?;
    if is_sorted && is_set && (wanted.store.is_some() || call.session.in_script) {
        // What is stored, or what a script does, must not rest on the order in which a set is kept.
        (is_sorted, wanted.alphabetical, wanted.by) = (false, true, None);
    }
    if !is_sorted {
        let mut weighed = Vec::with_capacity(elements.len());
        for element in elements {
            weighed.push((weight(call, &wanted, &element)?, element));
        }
        // With a text from elsewhere, those with the same one are in no order, as in Redis.
        let has_texts = wanted.alphabetical && wanted.by.is_some();
        weighed.sort_by(|(a, left), (b, right)| {
            let order = a.compare(b);
            let order = if has_texts { order } else { order.then_with(|| left.cmp(right)) };
            if wanted.descending { order.reverse() } else { order }
        });
        elements = weighed.into_iter().map(|(_, element)| element).collect();
    } else if wanted.descending && !is_set {
        elements.reverse();
    }
    elements.drain(..wanted.skipped.min(elements.len()));
    elements.truncate(wanted.most.unwrap_or(usize::MAX));
    match wanted.store {
        Some(to) => store(call, &wanted, &elements, to),
        None => {
            reply(call, &wanted, &elements);
            Ok(())
        }
    }
}

type Elements = Vec<Box<[u8]>>;

/// The key's elements in their order, and whether they have none.
fn elements(call: &mut Call<'_>) -> Result<(Elements, bool), CommandError> {
    let value = call.look_up(call.args.at(1)).map(|item| item.value);
    Ok(match value {
        None => (Vec::new(), false),
        Some(Value::List(list)) => (list.elements().iter().map(Box::from).collect(), false),
        Some(Value::Sorted(sorted)) => (sorted.iter().map(|(member, _)| member.into()).collect(), false),
        Some(Value::Set(set)) => (set.iter().map(|member| Box::from(&*member)).collect(), true),
        Some(_) => return Err(CommandError::WrongType),
    })
}

fn weight(call: &mut Call<'_>, wanted: &Wanted<'_>, element: &[u8]) -> Result<Weight, CommandError> {
    let other = wanted.by.map(|by| look_up(call, by, element));
    if wanted.alphabetical {
        return Ok(other.map_or(Weight::Own, Weight::Text));
    }
    let number = match &other {
        None => number(element),
        Some(Some(text)) => number(text),
        Some(None) => Some(0.0),
    };
    number.map(Weight::Number).ok_or(CommandError::Other("One or more scores can't be converted into double"))
}

/// As C's `strtod` reads a whole text up to its first zero byte, but for hexadecimal numbers. Nothing is zero.
fn number(text: &[u8]) -> Option<f64> {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    if end == 0 {
        return Some(0.0);
    }
    let text = core::str::from_utf8(&text[..end]).ok()?;
    let text = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let number: f64 = text.parse().ok()?;
    let is_too_large = number.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit());
    let is_zero = || text.split(['e', 'E']).next().is_some_and(|digits| !digits.contains(|c| ('1'..='9').contains(&c)));
    let is_too_small = number.is_subnormal() || number == 0.0 && !is_zero();
    (!number.is_nan() && !is_too_large && !is_too_small).then_some(number)
}

/// What a pattern names for an element: the element itself for `#`; a key's string, with the element in place of the
/// first `*`, or behind `->` a field of its hash.
fn look_up(call: &mut Call<'_>, pattern: &[u8], element: &[u8]) -> Option<Box<[u8]>> {
    if pattern == b"#" {
        return Some(element.into());
    }
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let (before, behind) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = behind.windows(2).position(|two| two == b"->").filter(|at| at + 2 < behind.len());
    let key = [before, element, &behind[..arrow.unwrap_or(behind.len())]].concat();
    match (call.look_up(&key)?.value, arrow) {
        (Value::Text(text), None) => Some(text.into()),
        (Value::Hash(hash), Some(at)) => hash.get(&behind[at + 2..]).map(Box::from),
        _ => None,
    }
}

fn reply(call: &mut Call<'_>, wanted: &Wanted<'_>, elements: &[Box<[u8]>]) {
    call.reply.array(elements.len() * wanted.get.len().max(1));
    for element in elements {
        if wanted.get.is_empty() {
            call.reply.bulk(element);
        }
        for pattern in &wanted.get {
            let found = look_up(call, pattern, element);
            call.reply.optional_bulk(found.as_deref());
        }
    }
}

fn store(call: &mut Call<'_>, wanted: &Wanted<'_>, elements: &[Box<[u8]>], to: &[u8]) -> Result<(), CommandError> {
    let mut stored = Vec::new();
    for element in elements {
        if wanted.get.is_empty() {
            words::push(&mut stored, element);
        }
        for pattern in &wanted.get {
            words::push(&mut stored, &look_up(call, pattern, element).unwrap_or_default());
        }
    }
    check_stored(stored.len())?;
    let was_there = call.clear(to);
    if !stored.is_empty() {
        call.change(to, Change::Push { side: Side::Right, elements: Words::new(&stored) });
    }
    call.notify_stored(Events::LIST, "sortstore", to, was_there);
    call.reply.integer((elements.len() * wanted.get.len().max(1)) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_strtod() {
        for (text, wanted) in
            [("", 0.0), ("12", 12.0), (" 1", 1.0), ("-inf", f64::NEG_INFINITY), ("1e3\0x", 1000.0), ("0e9", 0.0)]
        {
            assert_eq!(number(text.as_bytes()), Some(wanted), "{text:?}");
        }
        for text in ["x", "1 ", " ", "nan", "1e400", "1e-400", "4e-320", "1_0"] {
            assert_eq!(number(text.as_bytes()), None, "{text:?}");
        }
    }
}
