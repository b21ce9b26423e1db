//! JSON documents as a whole and by their paths, as RedisJSON 2.6 has them.
//!
//! Whoever writes finds the places of the values first, and then changes each by an effect of its own, as large as what
//! changes there: what is in others before what it is in, and what is behind others in an array before them. So no place
//! moves before its turn, and what is replied is what was there.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::draws::TOO_LARGE;
use super::{Access, Command, CommandError, Keys, Logged, is_word};
use crate::call::Call;
use crate::effect::Change;
use crate::events::Events;
use crate::json::{self, Exhausted, Json, Layout, Path, Place, Search, Selector, Step, split_last};
use crate::limits;
use crate::resp::{Protocol, Reply};
use crate::store::{Document, Words, words};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "json.set",
        arity: -4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Sets or updates the JSON value at a path.",
        run: set,
    },
    Command {
        name: "json.get",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Gets the values at one or more paths in JSON serialized form.",
        run: get,
    },
    Command {
        name: "json.mget",
        arity: -3,
        access: Access::Read,
        keys: Keys { first: 1, last: -2, step: 1 },
        flags: &[],
        summary: "Returns the values at a path from one or more keys.",
        run: get_many,
    },
    Command {
        name: "json.mset",
        arity: -4,
        access: Access::Write,
        keys: Keys { first: 1, last: -1, step: 3 },
        flags: &["denyoom"],
        summary: "Sets or updates the JSON values of one or more keys.",
        run: set_many,
    },
    Command {
        name: "json.merge",
        arity: -4,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Merges a given JSON value into matching paths. Consequently, JSON values at matching paths are updated, deleted, or expanded with new children.",
        run: merge,
    },
    Command {
        name: "json.del",
        arity: -2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &[],
        summary: "Deletes a value.",
        run: delete,
    },
    Command {
        name: "json.forget",
        arity: -2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &[],
        summary: "Deletes a value, as JSON.DEL does.",
        run: delete,
    },
    Command {
        name: "json.clear",
        arity: -2,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &[],
        summary: "Clears all values from an array or an object and sets numeric values at 0.",
        run: clear,
    },
    Command {
        name: "json.type",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the type of the JSON value at a path.",
        run: kind,
    },
    Command {
        name: "json.resp",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the JSON value at a path in the form of the Redis protocol.",
        run: resp,
    },
    Command {
        name: "json.debug",
        arity: -2,
        access: Access::Read,
        keys: Keys { first: 2, last: 2, step: 1 },
        flags: &[],
        summary: "A container for debugging commands about JSON documents.",
        run: debug,
    },
];

pub(super) const NO_KEY: CommandError =
    CommandError::Other("could not perform this operation on a key that doesn't exist");
const NOT_AT_ROOT: CommandError = CommandError::Other("new objects must be created at the root");
const TOO_DEEP: CommandError = CommandError::Other("recursion limit exceeded");

impl From<Exhausted> for CommandError {
    fn from(error: Exhausted) -> Self {
        CommandError::Text(format!("{error}"))
    }
}

pub(super) fn parse_path(text: &[u8]) -> Result<Path, CommandError> {
    Path::parse(text).map_err(|error| CommandError::Text(format!("{error}")))
}

/// The next path of a command with several, which has had so many regular expressions before.
fn parse_path_beside(text: &[u8], patterns: &mut usize) -> Result<Path, CommandError> {
    Path::parse_beside(text, patterns).map_err(|error| CommandError::Text(format!("{error}")))
}

/// The path in an argument; the root, if there is none.
pub(super) fn path_at(call: &Call<'_>, at: usize) -> Result<Path, CommandError> {
    parse_path(call.args.get(at).unwrap_or(b"."))
}

pub(super) fn parse_value(text: &[u8]) -> Result<Json, CommandError> {
    json::parse(text).map_err(|error| CommandError::Text(format!("{error}")))
}

pub(super) fn missing(path: &Path) -> CommandError {
    CommandError::Text(format!("Path '{}' does not exist", path.shown))
}

/// Of a path that means a single value, and finds none that will do.
pub(super) fn missing_or(path: &Path, or: &str) -> CommandError {
    CommandError::Text(format!("Path '{}' does not exist or {or}", path.shown))
}

pub(super) fn encoded(value: &Json) -> Vec<u8> {
    let mut bytes = Vec::new();
    json::encode(value, &mut bytes);
    bytes
}

pub(super) fn tell(call: &mut Call<'_>, event: &str, key: &[u8]) {
    call.notify(Events::MODULE, event, key);
}

/// A value of this depth is to stand there.
pub(super) fn check_depth(place: &Place, depth: usize) -> Result<(), CommandError> {
    if place.depth() + depth > limits::MAX_JSON_DEPTH { Err(TOO_DEEP) } else { Ok(()) }
}

/// Each place once, without those that are within others, in their order.
fn outermost(mut places: Vec<Place>) -> Vec<Place> {
    places.sort_unstable();
    places.dedup_by(|place, before| place.is_within(before));
    places
}

/// What a JSON.SET asks of what was there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    New,
    Exists,
}

/// Where a value is to stand that is set at a path other than the root.
fn plan(search: &Search<'_>, root: &Json, path: &Path, when: When) -> Result<Vec<Place>, CommandError> {
    if when != When::New {
        let found = search.places(path)?;
        if !found.is_empty() {
            return Ok(outermost(found));
        }
    }
    if when == When::Exists {
        return Ok(Vec::new());
    }
    let Some((last, containers)) = path.selectors.split_last().filter(|_| path.is_static()) else {
        return Err(CommandError::Other("wrong static path"));
    };
    let Selector::Names(names) = last else {
        return Err(CommandError::Other("array index out of range"));
    };
    let has_room = |container: &Place| {
        let object = root.at(container.words()).and_then(Json::as_object);
        object.is_some_and(|object| names.iter().all(|name| object.get(name).is_none()))
    };
    let containers = search.places_of(containers)?.into_iter().filter(has_room);
    Ok(containers.flat_map(|container| names.iter().map(move |name| container.then(Step::Name(name)))).collect())
}

/// A value that is to stand in each of these places.
struct Planned<'a> {
    key: &'a [u8],
    places: Vec<Place>,
    value: Vec<u8>,
}

impl<'a> Planned<'a> {
    fn new(key: &'a [u8], places: Vec<Place>, value: &Json, logged: &mut Logged) -> Result<Self, CommandError> {
        let (depth, value) = (value.depth(), encoded(value));
        for place in &places {
            check_depth(place, depth)?;
            logged.add(1, key, place.words().bytes().len() + value.len())?;
        }
        Ok(Self { key, places, value })
    }

    /// Puts it there; whether there are such places.
    fn put(&self, call: &mut Call<'_>, event: &str) -> bool {
        for place in &self.places {
            call.change(self.key, Change::JsonSet { place: place.words(), value: &self.value });
        }
        if !self.places.is_empty() {
            tell(call, event, self.key);
        }
        !self.places.is_empty()
    }
}

/// Where a value is to stand. Searching leaves so many of the visits.
fn plan_for(
    call: &mut Call<'_>,
    key: &[u8],
    path: &Path,
    when: When,
    visits: &mut usize,
) -> Result<Vec<Place>, CommandError> {
    match call.value::<Document>(key)? {
        None if when == When::Exists => Ok(Vec::new()),
        None if path.is_root() => Ok([Place::default()].into()),
        None => Err(NOT_AT_ROOT),
        Some(_) if path.is_root() && when == When::New => Ok(Vec::new()),
        Some(_) if path.is_root() => Ok([Place::default()].into()),
        Some(document) => {
            let search = Search::with_visits(document.root(), *visits);
            let places = plan(&search, document.root(), path, when);
            *visits = search.visits_left();
            places
        }
    }
}

fn set(call: &mut Call<'_>) -> Result<(), CommandError> {
    let mut when = When::Always;
    let mut options = call.args.skip(4).iter();
    while let Some(option) = options.next() {
        when = match when {
            When::Always if is_word(option, "nx") => When::New,
            When::Always if is_word(option, "xx") => When::Exists,
            _ if is_word(option, "format") => {
                options
                    .next()
                    .filter(|format| is_word(format, "json") || is_word(format, "string"))
                    .ok_or(NO_FORMAT)?;
                when
            }
            _ => return Err(CommandError::Syntax),
        };
    }
    let key = call.args.at(1);
    let (path, value) = (path_at(call, 2)?, parse_value(call.args.at(3))?);
    let places = plan_for(call, key, &path, when, &mut { limits::MAX_JSON_VISITS })?;
    let planned = Planned::new(key, places, &value, &mut Logged::default())?;
    match planned.put(call, "json.set") {
        true => call.reply.ok(),
        false => call.reply.null(),
    }
    Ok(())
}

const NO_FORMAT: CommandError = CommandError::Other("wrong format: there is STRING, which is JSON");

fn set_many(call: &mut Call<'_>) -> Result<(), CommandError> {
    if call.args.len() % 3 != 1 {
        return Err(CommandError::Arity("json.mset"));
    }
    let (mut planned, mut logged) = (Vec::new(), Logged::default());
    let (mut visits, mut patterns) = (limits::MAX_JSON_VISITS, 0);
    let mut args = call.args.skip(1).iter();
    while let (Some(key), Some(path), Some(value)) = (args.next(), args.next(), args.next()) {
        let (path, value) = (parse_path_beside(path, &mut patterns)?, parse_value(value)?);
        let places = plan_for(call, key, &path, When::Always, &mut visits)?;
        planned.push(Planned::new(key, places, &value, &mut logged)?);
    }
    for planned in planned {
        planned.put(call, "json.mset");
    }
    call.reply.ok();
    Ok(())
}

fn get(call: &mut Call<'_>) -> Result<(), CommandError> {
    let mut layout = Layout { until: limits::MAX_DRAWN, ..Layout::default() };
    let mut texts = Vec::new();
    let mut args = call.args.skip(2).iter();
    while let Some(arg) = args.next() {
        let mut given = || args.next().ok_or(CommandError::Arity("json.get"));
        if is_word(arg, "indent") {
            layout.indent = given()?;
        } else if is_word(arg, "newline") {
            layout.newline = given()?;
        } else if is_word(arg, "space") {
            layout.space = given()?;
        } else if is_word(arg, "format") {
            if !is_word(given()?, "string") {
                return Err(NO_FORMAT);
            }
        } else if !is_word(arg, "noescape") {
            texts.push(arg);
        }
    }
    if texts.is_empty() {
        texts.push(b".");
    }
    let mut patterns = 0;
    let paths = texts.iter().map(|text| parse_path_beside(text, &mut patterns)).collect::<Result<Vec<_>, _>>()?;
    let (document, reply) = call.read::<Document>(call.args.at(1))?;
    let Some(document) = document else {
        reply.null();
        return Ok(());
    };
    let search = Search::new(document.root());
    let is_single = paths.iter().all(|path| path.is_legacy);
    let mut out = Vec::new();
    if let [path] = &*paths {
        write_found(&search, path, is_single, &layout, 0, &mut out)?;
    } else {
        // A path is text, or it would not have been read.
        let texts = texts.iter().map(|text| core::str::from_utf8(text).unwrap_or_default());
        let mut known = BTreeSet::new();
        let named = texts.zip(&paths).filter(|(text, _)| known.insert(*text));
        let mut failed = None;
        layout.write_object(named, 0, &mut out, |path, out| {
            if failed.is_none() {
                failed = write_found(&search, path, is_single, &layout, 1, out).err();
            }
            if out.len() > limits::MAX_DRAWN {
                failed.get_or_insert(TOO_LARGE);
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
    }
    let is_laid_out = [layout.indent, layout.newline, layout.space].iter().any(|part| !part.is_empty());
    if is_laid_out && out.len() > limits::MAX_DRAWN {
        return Err(TOO_LARGE);
    }
    reply.bulk(&out);
    Ok(())
}

/// Appends the text of what the path finds: of the first value alone, or of an array of all.
fn write_found<'a>(
    search: &Search<'a>,
    path: &'a Path,
    is_single: bool,
    layout: &Layout<'_>,
    level: usize,
    out: &mut Vec<u8>,
) -> Result<(), CommandError> {
    if is_single {
        layout.write(search.first(path)?.ok_or_else(|| missing(path))?, level, out);
    } else {
        let found = search.values(path)?;
        // What is in others is written once more with each of them.
        let add = |sum: usize, value: &&Json| {
            sum.checked_add(size_of::<Json>() + value.cost()).filter(|sum| *sum <= limits::MAX_DRAWN)
        };
        if found.len() > 1 && found.iter().try_fold(out.len(), add).is_none() {
            return Err(TOO_LARGE);
        }
        layout.write_array(found.into_iter(), level, out);
    }
    Ok(())
}

fn get_many(call: &mut Call<'_>) -> Result<(), CommandError> {
    let keys = call.args.len() - 2;
    let path = parse_path(call.args.at(keys + 1))?;
    let mut visits = limits::MAX_JSON_VISITS;
    let start = call.reply.bytes.len();
    call.reply.array(keys);
    for key in call.args.skip(1).iter().take(keys) {
        let document = match call.read::<Document>(key) {
            Ok((document, _)) => document,
            // As Redis's MGET says of what is no string.
            Err(CommandError::WrongType) => None,
            Err(error) => return Err(error),
        };
        let mut out = None;
        if let Some(document) = document {
            let search = Search::with_visits(document.root(), visits);
            let mut text = Vec::new();
            if !path.is_legacy || search.first(&path)?.is_some() {
                write_found(&search, &path, path.is_legacy, &Layout::default(), 0, &mut text)?;
                out = Some(text);
            }
            visits = search.visits_left();
        }
        call.reply.optional_bulk(out.as_deref());
        if keys > 1 && call.reply.bytes.len() - start > limits::MAX_DRAWN {
            return Err(TOO_LARGE);
        }
    }
    Ok(())
}

/// What a merge changes in one container.
enum Merged {
    Set(Place, Vec<u8>),
    Put(Place, Vec<u8>),
    Drop(Place, Vec<u8>),
}

impl Merged {
    fn change(&self) -> Change<'_> {
        match self {
            Merged::Set(place, value) => Change::JsonSet { place: place.words(), value },
            Merged::Put(place, members) => Change::JsonPut { place: place.words(), members: Words::new(members) },
            Merged::Drop(place, steps) => Change::JsonDrop { place: place.words(), steps: Words::new(steps) },
        }
    }
}

/// The changes of a document by a merge, and what they take in the log.
struct Merges<'a> {
    key: &'a [u8],
    changes: Vec<Merged>,
    logged: Logged,
}

impl Merges<'_> {
    fn push(&mut self, change: Merged) -> Result<(), CommandError> {
        let (Merged::Set(place, bytes) | Merged::Put(place, bytes) | Merged::Drop(place, bytes)) = &change;
        self.logged.add(1, self.key, place.words().bytes().len() + bytes.len())?;
        self.changes.push(change);
        Ok(())
    }
}

/// What makes of the value in this place what merging the patch into it does (RFC 7396).
fn merges(target: &Json, patch: &Json, place: &Place, out: &mut Merges<'_>) -> Result<(), CommandError> {
    let (Json::Object(object), Some(patch_object)) = (target, patch.as_object()) else {
        return out.push(Merged::Set(place.clone(), encoded(&merged_alone(patch))));
    };
    let (mut members, mut gone, mut inner) = (Vec::new(), Vec::new(), Vec::new());
    for (name, value) in patch_object.iter() {
        match object.get(name) {
            None if *value == Json::Null => {}
            Some(_) if *value == Json::Null => Step::Name(name).push(&mut gone),
            Some(known @ Json::Object(_)) if value.as_object().is_some() => {
                inner.push((name, known, value));
            }
            _ => {
                words::push(&mut members, name.as_bytes());
                words::push(&mut members, &encoded(&merged_alone(value)));
            }
        }
    }
    if !gone.is_empty() {
        out.push(Merged::Drop(place.clone(), gone))?;
    }
    if !members.is_empty() {
        out.push(Merged::Put(place.clone(), members))?;
    }
    inner.into_iter().try_for_each(|(name, known, value)| merges(known, value, &place.then(Step::Name(name)), out))
}

/// A patch that is merged into nothing: what it would take away is not there.
fn merged_alone(patch: &Json) -> Json {
    let Json::Object(object) = patch else { return patch.clone() };
    let members = object.iter().filter(|(_, value)| **value != Json::Null);
    let members = members.map(|(name, value)| (name.into(), merged_alone(value))).collect();
    Json::Object(json::Object::of(members).into())
}

fn merge(call: &mut Call<'_>) -> Result<(), CommandError> {
    if call.args.len() > 4 {
        return Err(CommandError::Syntax);
    }
    let key = call.args.at(1);
    let (path, patch) = (path_at(call, 2)?, parse_value(call.args.at(3))?);
    let mut visits = limits::MAX_JSON_VISITS;
    let places = plan_for(call, key, &path, When::Always, &mut visits)?;
    let depth = patch.depth();
    places.iter().try_for_each(|place| check_depth(place, depth))?;
    // In each place all of the patch is looked at, as it was already when it was read.
    if patch.work().saturating_mul(places.len().saturating_sub(1)) > visits {
        return Err(Exhausted.into());
    }
    let mut out = Merges { key, changes: Vec::new(), logged: Logged::default() };
    let root = call.value::<Document>(key)?.map(Document::root);
    for place in &places {
        match root.and_then(|root| root.at(place.words())) {
            Some(target) => merges(target, &patch, place, &mut out)?,
            // A value that is new is set as it is.
            None => out.push(Merged::Set(place.clone(), encoded(&patch)))?,
        }
    }
    out.changes.iter().for_each(|change| call.change(key, change.change()));
    if places.is_empty() {
        call.reply.null();
        return Ok(());
    }
    tell(call, "json.merge", key);
    call.reply.ok();
    Ok(())
}

fn delete(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (key, path) = (call.args.at(1), path_at(call, 2)?);
    let places = match call.value::<Document>(key)? {
        None => Vec::new(),
        Some(document) => outermost(Search::new(document.root()).places(&path)?),
    };
    let mut by_container: BTreeMap<&[u8], Vec<u8>> = BTreeMap::new();
    for place in &places {
        if let Some((container, step)) = split_last(place.words()) {
            words::push(by_container.entry(container.bytes()).or_default(), step);
        }
    }
    let mut logged = Logged::default();
    for (place, steps) in &by_container {
        logged.add(1, key, place.len() + steps.len())?;
    }
    if places.iter().any(Place::is_root) {
        call.delete(key);
    }
    // What is within another one stands behind it in this order.
    for (place, steps) in by_container.iter().rev() {
        call.change(key, Change::JsonDrop { place: Words::new(place), steps: Words::new(steps) });
    }
    if !places.is_empty() {
        tell(call, "json.del", key);
    }
    call.reply.integer(places.len() as i64);
    Ok(())
}

fn clear(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (key, path) = (call.args.at(1), path_at(call, 2)?);
    let document = call.value::<Document>(key)?.ok_or(NO_KEY)?;
    let root = document.root();
    let cleared = |place: &Place| match root.at(place.words())? {
        Json::Array(items) => (!items.is_empty()).then(|| Json::Array(Vec::new())),
        Json::Object(object) => (!object.is_empty()).then(|| Json::Object(Default::default())),
        number => number.as_float().filter(|n| *n != 0.0).map(|_| Json::Integer(0)),
    };
    let places = Search::new(root).places(&path)?;
    let places = outermost(places.into_iter().filter(|place| cleared(place).is_some()).collect());
    let changes: Vec<_> = places.iter().filter_map(|place| Some((place, encoded(&cleared(place)?)))).collect();
    let mut logged = Logged::default();
    for (place, value) in &changes {
        logged.add(1, key, place.words().bytes().len() + value.len())?;
    }
    for (place, value) in &changes {
        call.change(key, Change::JsonSet { place: place.words(), value });
    }
    if !changes.is_empty() {
        tell(call, "json.clear", key);
    }
    call.reply.integer(changes.len() as i64);
    Ok(())
}

fn kind(call: &mut Call<'_>) -> Result<(), CommandError> {
    let path = path_at(call, 2)?;
    let (document, reply) = call.read::<Document>(call.args.at(1))?;
    // The newer protocol's answer to a path is an array for each path.
    if reply.protocol == Protocol::Resp3 {
        reply.array(1);
    }
    let Some(document) = document else {
        reply.null();
        return Ok(());
    };
    let search = Search::new(document.root());
    if path.is_legacy {
        reply.optional_bulk(search.first(&path)?.map(|value| value.type_name().as_bytes()));
    } else {
        let found = search.values(&path)?;
        reply.array(found.len());
        found.into_iter().for_each(|value| reply.bulk(value.type_name().as_bytes()));
    }
    Ok(())
}

fn resp(call: &mut Call<'_>) -> Result<(), CommandError> {
    let path = path_at(call, 2)?;
    let (document, reply) = call.read::<Document>(call.args.at(1))?;
    let Some(document) = document else {
        reply.null();
        return Ok(());
    };
    let search = Search::new(document.root());
    if path.is_legacy {
        reply_resp(search.first(&path)?.ok_or_else(|| missing(&path))?, reply);
        return Ok(());
    }
    let found = search.values(&path)?;
    let (start, is_one) = (reply.bytes.len(), found.len() == 1);
    reply.array(found.len());
    for value in found {
        reply_resp(value, reply);
        if !is_one && reply.bytes.len() - start > limits::MAX_DRAWN {
            return Err(TOO_LARGE);
        }
    }
    Ok(())
}

fn reply_resp(value: &Json, reply: &mut Reply) {
    match value {
        Json::Null => reply.null(),
        Json::Bool(true) => reply.simple("true"),
        Json::Bool(false) => reply.simple("false"),
        Json::Integer(n) => reply.integer(*n),
        Json::Float(n) if reply.protocol == Protocol::Resp3 => reply.double(*n),
        Json::Large(_) | Json::Float(_) => reply.bulk(&value.to_text()),
        Json::Text(text) => reply.bulk(text.as_bytes()),
        Json::Array(items) => {
            reply.array(1 + items.len());
            reply.simple("[");
            items.iter().for_each(|item| reply_resp(item, reply));
        }
        Json::Object(object) => {
            reply.array(1 + 2 * object.len());
            reply.simple("{");
            for (name, value) in object.iter() {
                reply.bulk(name.as_bytes());
                reply_resp(value, reply);
            }
        }
    }
}

fn debug(call: &mut Call<'_>) -> Result<(), CommandError> {
    if is_word(call.args.at(1), "help") {
        call.reply.help(&["MEMORY <key> [path] - reports memory usage", "HELP                - this message"]);
        return Ok(());
    }
    if !is_word(call.args.at(1), "memory") {
        let subcommand: String = super::lossy(call.args.at(1));
        return Err(CommandError::Text(format!("unknown subcommand '{subcommand}' - try `JSON.DEBUG HELP`")));
    }
    let key = call.args.get(2).ok_or(CommandError::Arity("json.debug"))?;
    let path = path_at(call, 3)?;
    let (document, reply) = call.read::<Document>(key)?;
    let cost = |value: &Json| (size_of::<Json>() + value.cost()) as i64;
    match document {
        None if path.is_legacy => reply.integer(0),
        None => reply.array(0),
        Some(document) => {
            let search = Search::new(document.root());
            if path.is_legacy {
                reply.integer(cost(search.first(&path)?.ok_or_else(|| missing(&path))?));
            } else {
                let found = search.values(&path)?;
                reply.array(found.len());
                for (at, value) in found.into_iter().enumerate() {
                    // What is in others is counted once more with each of them.
                    search.charge(if at == 0 { 0 } else { value.work() })?;
                    reply.integer(cost(value));
                }
            }
        }
    }
    Ok(())
}
