//! What is done to the values that a path finds in a JSON document, each by its type.
//!
//! A path that begins with `$` is answered for each value, with null for those of another type. One of the older kind is
//! answered by one of them: of those that are read the first, of those that are changed the last.

use alloc::vec::Vec;

use super::draws::TOO_LARGE;
use super::json::{NO_KEY, check_depth, encoded, missing, missing_or, parse_path, parse_value, path_at, tell};
use super::{Access, Command, CommandError, Keys, Logged, TOO_LONG, integer};
use crate::call::Call;
use crate::effect::Change;
use crate::json::{Json, Object, Path, Place, Search, Step, from_start};
use crate::limits;
use crate::resp::{Protocol, Reply};
use crate::store::{Document, Words};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "json.toggle",
        arity: 3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Toggles a boolean value.",
        run: toggle,
    },
    Command {
        name: "json.numincrby",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Increments the numeric value at a path by a value.",
        run: |call| calculate(call, "json.numincrby", i64::checked_add, |a, b| a + b),
    },
    Command {
        name: "json.nummultby",
        arity: 4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Multiplies the numeric value at a path by a value.",
        run: |call| calculate(call, "json.nummultby", i64::checked_mul, |a, b| a * b),
    },
    Command {
        name: "json.strappend",
        arity: -3,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Appends a string to a JSON string value at a path.",
        run: append_text,
    },
    Command {
        name: "json.strlen",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the length of the JSON string at a path.",
        run: |call| {
            let wrong = |_: &Path, found: &Json| wrong_type("string", found);
            lengths(call, |value| value.as_text().map(str::len), wrong, |path| Err(missing(path)))
        },
    },
    Command {
        name: "json.arrappend",
        arity: -4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Appends one or more JSON values into the array at a path after the last element in it.",
        run: |call| {
            let values = parse_values(call, 3)?;
            insert(call, values, "json.arrappend", Ok)
        },
    },
    Command {
        name: "json.arrinsert",
        arity: -5,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Inserts the JSON values into the array at a path before an index.",
        run: |call| {
            let index = integer(call.args.at(3))?;
            let values = parse_values(call, 4)?;
            insert(call, values, "json.arrinsert", |len| {
                let at = from_start(index, len).filter(|at| *at <= len);
                at.ok_or(CommandError::Other("index out of bounds"))
            })
        },
    },
    Command {
        name: "json.arrindex",
        arity: -4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the index of the first occurrence of a JSON value in the array at a path.",
        run: find,
    },
    Command {
        name: "json.arrlen",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the length of the array at a path.",
        run: |call| {
            let wrong = |path: &Path, _: &Json| missing_or(path, NO_ARRAY);
            lengths(call, |value| value.as_array().map(<[Json]>::len), wrong, |path| Err(missing(path)))
        },
    },
    Command {
        name: "json.arrpop",
        arity: -2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &[],
        summary: "Removes and returns the element at an index of the array at a path.",
        run: pop,
    },
    Command {
        name: "json.arrtrim",
        arity: 5,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &[],
        summary: "Trims the array at a path to contain only the specified inclusive range of indices from start to stop.",
        run: trim,
    },
    Command {
        name: "json.objkeys",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the JSON keys of the object at a path.",
        run: names,
    },
    Command {
        name: "json.objlen",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the number of keys of the object at a path.",
        run: |call| {
            let wrong = |_: &Path, found: &Json| wrong_type("object", found);
            lengths(call, |value| value.as_object().map(|object| object.len()), wrong, |_| Ok(()))
        },
    },
];

const NUMERIC_OVERFLOW: CommandError = CommandError::Other("numeric overflow");
const NO_NUMBER: CommandError = CommandError::Other("result is not a number");
const NO_ARRAY: &str = "not an array";

fn wrong_type(expected: &'static str, found: &Json) -> CommandError {
    CommandError::WrongPathType { expected, found: found.type_name() }
}

/// Replies with a length for each value of the right type. `missing` says what a single value is answered by that is not
/// there: an error, or null.
fn lengths(
    call: &mut Call<'_>,
    length: impl Fn(&Json) -> Option<usize>,
    wrong: impl Fn(&Path, &Json) -> CommandError,
    missing: impl Fn(&Path) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let one = |path: &Path, value: &Json, reply: &mut Reply| {
        reply.integer(length(value).ok_or_else(|| wrong(path, value))? as i64);
        Ok(())
    };
    read(call, 2, missing, |_| 0, one)
}

/// Replies with what `one` writes for each value that the path in an argument finds, or says that it is of the wrong type.
/// `work` is how much it looks at of a value: of the first that is no more than who reads all of a document does.
fn read(
    call: &mut Call<'_>,
    path: usize,
    missing: impl Fn(&Path) -> Result<(), CommandError>,
    work: impl Fn(&Json) -> usize,
    one: impl Fn(&Path, &Json, &mut Reply) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let path = path_at(call, path)?;
    let (document, reply) = call.read::<Document>(call.args.at(1))?;
    let Some(document) = document else {
        if !path.is_legacy {
            return Err(NO_KEY);
        }
        reply.null();
        return Ok(());
    };
    let search = Search::new(document.root());
    if path.is_legacy {
        return match search.first(&path)? {
            Some(value) => one(&path, value, reply),
            None => missing(&path).map(|()| reply.null()),
        };
    }
    let found = search.values(&path)?;
    let start = reply.bytes.len();
    reply.array(found.len());
    for (at, value) in found.into_iter().enumerate() {
        if at > 0 {
            search.charge(work(value))?;
            if reply.bytes.len() - start > limits::MAX_DRAWN {
                return Err(TOO_LARGE);
            }
        }
        if one(&path, value, reply).is_err() {
            reply.null();
        }
    }
    Ok(())
}

fn names(call: &mut Call<'_>) -> Result<(), CommandError> {
    read(
        call,
        2,
        |_| Ok(()),
        |value| value.as_object().map_or(0, Object::len),
        |_, value, reply| {
            let object = value.as_object().ok_or_else(|| wrong_type("object", value))?;
            reply.array(object.len());
            object.iter().for_each(|(name, _)| reply.bulk(name.as_bytes()));
            Ok(())
        },
    )
}

fn find(call: &mut Call<'_>) -> Result<(), CommandError> {
    if call.args.len() > 6 {
        return Err(CommandError::Arity("json.arrindex"));
    }
    let wanted = parse_value(call.args.at(3))?;
    let bound = |at| call.args.get(at).map_or(Ok(0), integer);
    let (start, stop) = (bound(4)?, bound(5)?);
    let exists = call.value::<Document>(call.args.at(1))?.is_some();
    if !exists {
        return Err(NO_KEY);
    }
    read(
        call,
        2,
        |path| Err(missing(path)),
        |value| if value.as_array().is_some() { value.work() } else { 0 },
        |_, value, reply| {
            let items = value.as_array().ok_or_else(|| wrong_type("array", value))?;
            let place = |index| from_start(index, items.len()).unwrap_or(0).min(items.len());
            let (start, end) = (place(start), if stop == 0 { items.len() } else { place(stop) });
            let range = items.get(start..end).unwrap_or_default();
            let found = range.iter().position(|item| *item == wanted);
            reply.integer(found.map_or(-1, |at| (start + at) as i64));
            Ok(())
        },
    )
}

/// How a value is changed.
enum Edit<'a> {
    /// It stays as it is.
    None,
    Set(Json),
    /// Encoded values go in before this index.
    Insert(usize, &'a [u8]),
    Keep(usize, usize),
    Remove(usize),
    Append(&'a str),
}

impl Edit<'_> {
    /// Bytes that go into the log beside what every change has. It has room for a number, too.
    fn bytes(&self) -> usize {
        match self {
            Edit::Insert(_, values) => values.len(),
            Edit::Append(text) => text.len(),
            Edit::None | Edit::Set(_) | Edit::Keep(..) | Edit::Remove(_) => 0,
        }
    }
}

/// Changes each value that the path finds, once, as `decide` says, and answers what `answer` makes of that and of what is
/// there before: of values of a wrong type, `None`. Nothing is changed if any is refused. What goes in is so deep.
fn update<'e, T, A>(
    call: &mut Call<'_>,
    path: &Path,
    event: &str,
    depth: usize,
    decide: impl Fn(&Json) -> Result<Option<(T, Edit<'e>)>, CommandError>,
    answer: impl Fn(&Json, T) -> A,
) -> Result<Vec<Option<A>>, CommandError> {
    let key = call.args.at(1);
    let root = call.value::<Document>(key)?.ok_or(NO_KEY)?.root();
    let mut places: Vec<(Place, usize)> = Search::new(root).places(path)?.into_iter().zip(0..).collect();
    // Of those that are found again the first stays. What is in others is behind them.
    places.sort_unstable();
    places.dedup_by(|(again, _), (place, _)| again == place);
    let mut logged = Logged::default();
    for (place, _) in &places {
        if let Some(value) = root.at(place.words())
            && let Some((_, edit)) = decide(value)?
        {
            check_depth(place, depth)?;
            logged.add(1, key, place.words().bytes().len() + edit.bytes())?;
        }
    }
    let mut answers: Vec<(usize, Option<A>)> = Vec::with_capacity(places.len());
    let mut changed = false;
    for (place, found) in places.iter().rev() {
        // What is in it may have changed, but nothing that it is in: so it is still there.
        let value = call.value::<Document>(key)?.ok_or(NO_KEY)?.root().at(place.words()).unwrap_or(&Json::Null);
        let Some((decided, edit)) = decide(value)? else {
            answers.push((*found, None));
            continue;
        };
        answers.push((*found, Some(answer(value, decided))));
        changed |= !matches!(edit, Edit::None);
        let place = place.words();
        match edit {
            Edit::None => {}
            Edit::Set(value) => call.change(key, Change::JsonSet { place, value: &encoded(&value) }),
            Edit::Insert(index, values) => {
                call.change(key, Change::JsonInsert { place, index: index as u64, values });
            }
            Edit::Keep(start, count) => {
                call.change(key, Change::JsonKeep { place, start: start as u64, count: count as u64 });
            }
            Edit::Remove(index) => {
                let mut step = Vec::new();
                Step::Index(index).push(&mut step);
                call.change(key, Change::JsonDrop { place, steps: Words::new(&step) });
            }
            Edit::Append(text) => call.change(key, Change::JsonAppend { place, text: text.as_bytes() }),
        }
    }
    if changed {
        tell(call, event, key);
    }
    answers.sort_unstable_by_key(|(found, _)| *found);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

/// Replies with each answer, or with the last that there is.
fn reply_answers<T>(
    call: &mut Call<'_>,
    path: &Path,
    answers: Vec<Option<T>>,
    or: &str,
    one: impl Fn(T, &mut Reply),
) -> Result<(), CommandError> {
    if path.is_legacy {
        let last = answers.into_iter().flatten().next_back();
        one(last.ok_or_else(|| missing_or(path, or))?, call.reply);
        return Ok(());
    }
    call.reply.array(answers.len());
    for answer in answers {
        match answer {
            Some(answer) => one(answer, call.reply),
            None => call.reply.null(),
        }
    }
    Ok(())
}

fn reply_length(length: usize, reply: &mut Reply) {
    reply.integer(length as i64);
}

fn toggle(call: &mut Call<'_>) -> Result<(), CommandError> {
    let path = path_at(call, 2)?;
    let decide = |value: &Json| match value {
        Json::Bool(on) => Ok(Some((!on, Edit::Set(Json::Bool(!on))))),
        _ => Ok(None),
    };
    let answers = update(call, &path, "json.toggle", 0, decide, |_, on| on)?;
    reply_answers(call, &path, answers, "not a bool", |on, reply| match path.is_legacy {
        true => reply.bulk(if on { b"true" } else { b"false" }),
        false => reply.integer(on.into()),
    })
}

fn calculate(
    call: &mut Call<'_>,
    event: &str,
    integers: fn(i64, i64) -> Option<i64>,
    floats: fn(f64, f64) -> f64,
) -> Result<(), CommandError> {
    let path = path_at(call, 2)?;
    let operand = parse_value(call.args.at(3))?;
    let float = operand.as_float().ok_or(CommandError::Other("value is not a number"))?;
    let decide = |value: &Json| {
        let Some(old) = value.as_float() else { return Ok(None) };
        let new = match (value, &operand) {
            (Json::Integer(a), Json::Integer(b)) => integers(*a, *b).map(Json::Integer).ok_or(NUMERIC_OVERFLOW)?,
            _ => Some(floats(old, float)).filter(|n| n.is_finite()).map(Json::Float).ok_or(NO_NUMBER)?,
        };
        Ok(Some((new.clone(), Edit::Set(new))))
    };
    let answers = update(call, &path, event, 0, decide, |_, new| new)?;
    const OR: &str = "does not contains a number";
    if call.reply.protocol == Protocol::Resp3 {
        let answers = if path.is_legacy {
            let last = answers.into_iter().flatten().next_back();
            [Some(last.ok_or_else(|| missing_or(&path, OR))?)].into()
        } else {
            answers
        };
        call.reply.array(answers.len());
        for answer in answers {
            match answer {
                Some(Json::Integer(n)) => call.reply.integer(n),
                Some(number) => call.reply.double(number.as_float().unwrap_or_default()),
                None => call.reply.null(),
            }
        }
        return Ok(());
    }
    if path.is_legacy {
        return reply_answers(call, &path, answers, OR, |number, reply| reply.bulk(&number.to_text()));
    }
    let answers = Json::Array(answers.into_iter().map(Option::unwrap_or_default).collect());
    call.reply.bulk(&answers.to_text());
    Ok(())
}

fn append_text(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (path, text) = match call.args.len() {
        3 => (parse_path(b".")?, call.args.at(2)),
        4 => (path_at(call, 2)?, call.args.at(3)),
        _ => return Err(CommandError::Arity("json.strappend")),
    };
    let value = parse_value(text)?;
    let text = value.as_text().ok_or_else(|| wrong_type("string", &value))?;
    let decide = |value: &Json| {
        let Some(old) = value.as_text() else { return Ok(None) };
        let len = old.len() + text.len();
        if len > limits::MAX_BULK {
            return Err(TOO_LONG);
        }
        Ok(Some((len, Edit::Append(text))))
    };
    let answers = update(call, &path, "json.strappend", 0, decide, |_, len| len)?;
    reply_answers(call, &path, answers, "not a string", reply_length)
}

/// Values that are to be put into an array, encoded, how many they are and how deep.
struct Values {
    bytes: Vec<u8>,
    count: usize,
    depth: usize,
}

fn parse_values(call: &Call<'_>, from: usize) -> Result<Values, CommandError> {
    let mut values = Values { bytes: Vec::new(), count: 0, depth: 0 };
    for text in call.args.skip(from).iter() {
        let value = parse_value(text)?;
        crate::json::encode(&value, &mut values.bytes);
        values.count += 1;
        values.depth = values.depth.max(value.depth());
    }
    Ok(values)
}

/// Puts values where `at` says of an array of so many.
fn insert(
    call: &mut Call<'_>,
    values: Values,
    event: &str,
    at: impl Fn(usize) -> Result<usize, CommandError>,
) -> Result<(), CommandError> {
    let path = path_at(call, 2)?;
    let decide = |value: &Json| {
        let Some(items) = value.as_array() else { return Ok(None) };
        Ok(Some((items.len() + values.count, Edit::Insert(at(items.len())?, &values.bytes))))
    };
    let answers = update(call, &path, event, values.depth + 1, decide, |_, len| len)?;
    reply_answers(call, &path, answers, NO_ARRAY, reply_length)
}

fn pop(call: &mut Call<'_>) -> Result<(), CommandError> {
    if call.args.len() > 4 {
        return Err(CommandError::Arity("json.arrpop"));
    }
    let path = path_at(call, 2)?;
    let index = call.args.get(3).map_or(Ok(-1), integer)?;
    let decide = |value: &Json| {
        let Some(items) = value.as_array() else { return Ok(None) };
        let Some(last) = items.len().checked_sub(1) else { return Ok(Some((None, Edit::None))) };
        let at = from_start(index, items.len()).unwrap_or(0).min(last);
        Ok(Some((Some(at), Edit::Remove(at))))
    };
    let popped = |value: &Json, at: Option<usize>| Some(value.as_array()?.get(at?)?.to_text());
    let answers = update(call, &path, "json.arrpop", 0, decide, popped)?;
    reply_answers(call, &path, answers, NO_ARRAY, |popped, reply| reply.optional_bulk(popped.as_deref()))
}

fn trim(call: &mut Call<'_>) -> Result<(), CommandError> {
    let path = path_at(call, 2)?;
    let (start, stop) = (integer(call.args.at(3))?, integer(call.args.at(4))?);
    let decide = |value: &Json| {
        let Some(items) = value.as_array() else { return Ok(None) };
        let len = items.len();
        let place = |index| from_start(index, len).unwrap_or(0);
        let (first, end) = (place(start).min(len), place(stop).saturating_add(1).min(len));
        let kept = end.saturating_sub(first);
        let edit = if kept == len { Edit::None } else { Edit::Keep(first, kept) };
        Ok(Some((kept, edit)))
    };
    let answers = update(call, &path, "json.arrtrim", 0, decide, |_, kept| kept)?;
    reply_answers(call, &path, answers, NO_ARRAY, reply_length)
}
