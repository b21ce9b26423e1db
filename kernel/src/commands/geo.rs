//! Positions as members of sorted sets.

use alloc::format;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Bound;

use super::sorted::{self, Rules, score};
use super::{Access, Command, CommandError, Keys, integer, is_word, lossy};
use crate::call::Call;
use crate::geo::{Position, Shape};
use crate::resp::double::parse_f64;
use crate::resp::{Args, Reply};
use crate::store::{SortedSet, Value};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "geoadd",
        arity: -5,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom"],
        summary: "Adds members with their positions to a geospatial index. Creates the key if it doesn't exist.",
        run: add,
    },
    Command {
        name: "geopos",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the longitudes and latitudes of members of a geospatial index.",
        run: |call| {
            let members = call.args.skip(2);
            let (sorted, reply) = call.read::<SortedSet>(call.args.at(1))?;
            reply.array(members.len());
            for member in members.iter() {
                match sorted.and_then(|sorted| sorted.score(member)) {
                    Some(score) => reply_position(reply, Position::of_score(score)),
                    None => reply.null_array(),
                }
            }
            Ok(())
        },
    },
    Command {
        name: "geodist",
        arity: -4,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the distance between two members of a geospatial index.",
        run: |call| {
            let unit = match call.args.get(4) {
                Some(word) if call.args.len() == 5 => unit(word)?,
                Some(_) => return Err(CommandError::Syntax),
                None => 1.0,
            };
            let (a, b) = (call.args.at(2), call.args.at(3));
            let (sorted, reply) = call.read::<SortedSet>(call.args.at(1))?;
            match sorted.and_then(|sorted| sorted.score(a).zip(sorted.score(b))) {
                Some((a, b)) => reply_distance(reply, Position::of_score(a).distance(Position::of_score(b)) / unit),
                None => reply.null(),
            }
            Ok(())
        },
    },
    Command {
        name: "geohash",
        arity: -2,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the geohashes of members of a geospatial index in letters.",
        run: |call| {
            let members = call.args.skip(2);
            let (sorted, reply) = call.read::<SortedSet>(call.args.at(1))?;
            reply.array(members.len());
            for member in members.iter() {
                let score = sorted.and_then(|sorted| sorted.score(member));
                reply.optional_bulk(
                    score.map(|score| Position::of_score(score).letters()).as_ref().map(|hash| &hash[..]),
                );
            }
            Ok(())
        },
    },
    Command {
        name: "geosearch",
        arity: -7,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the members of a geospatial index that are within a circle or a box.",
        run: |call| search(call, Form::Search),
    },
    Command {
        name: "geosearchstore",
        arity: -8,
        access: Access::Write,
        keys: Keys::TWO,
        flags: &["denyoom"],
        summary: "Stores the members of a geospatial index that are within a circle or a box in a key.",
        run: |call| search(call, Form::SearchAndStore),
    },
    Command {
        name: "georadius",
        arity: -6,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "movablekeys"],
        summary: "Returns the members of a geospatial index that are within a circle, or stores them in a key.",
        run: |call| search(call, Form::Around { may_store: true }),
    },
    Command {
        name: "georadius_ro",
        arity: -6,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the members of a geospatial index that are within a circle.",
        run: |call| search(call, Form::Around { may_store: false }),
    },
    Command {
        name: "georadiusbymember",
        arity: -5,
        access: Access::Write,
        keys: Keys::ONE,
        flags: &["denyoom", "movablekeys"],
        summary: "Returns the members of a geospatial index that are within a circle around one, or stores them in a key.",
        run: |call| search(call, Form::AroundMember { may_store: true }),
    },
    Command {
        name: "georadiusbymember_ro",
        arity: -5,
        access: Access::Read,
        keys: Keys::ONE,
        flags: &[],
        summary: "Returns the members of a geospatial index that are within a circle around one.",
        run: |call| search(call, Form::AroundMember { may_store: false }),
    },
];

/// Metres of a unit of length.
fn unit(word: &[u8]) -> Result<f64, CommandError> {
    let units = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let found = units.into_iter().find(|(name, _)| is_word(word, name)).map(|(_, metres)| metres);
    found.ok_or(CommandError::Other("unsupported unit provided. please use M, KM, FT, MI"))
}

/// The position that two arguments mean.
fn position(args: Args<'_>) -> Result<Position, CommandError> {
    let (longitude, latitude) = (score(args.at(0))?, score(args.at(1))?);
    Position::new(longitude, latitude)
        .ok_or_else(|| CommandError::Text(format!("invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}

/// A coordinate is shown with at most 17 digits after the point.
fn reply_position(reply: &mut Reply, position: Position) {
    reply.array(2);
    for degrees in [position.longitude, position.latitude] {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        reply.double_text(if text == "-0" { "0" } else { text });
    }
}

/// With four digits after the point, in any version of the protocol.
fn reply_distance(reply: &mut Reply, distance: f64) {
    let rounded = libm::rint(distance * 10_000.0) as u64;
    reply.bulk(format!("{}.{:04}", rounded / 10_000, rounded % 10_000).as_bytes());
}

fn add(call: &mut Call<'_>) -> Result<(), CommandError> {
    let mut rules = Rules::default();
    let mut rest = call.args.skip(2);
    while let Some(option) = rest.get(0) {
        if is_word(option, "nx") {
            rules.only_new = true;
        } else if is_word(option, "xx") {
            rules.only_known = true;
        } else if is_word(option, "ch") {
            rules.counts_changed = true;
        } else {
            break;
        }
        rest = rest.skip(1);
    }
    if rest.is_empty() || !rest.len().is_multiple_of(3) || rules.only_new && rules.only_known {
        return Err(CommandError::Syntax);
    }
    let mut scored = Vec::with_capacity(rest.len() / 3);
    while !rest.is_empty() {
        scored.push((rest.at(2), position(rest)?.score()));
        rest = rest.skip(3);
    }
    sorted::add(call, call.args.at(1), rules, &scored)
}

/// How a command says what it searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// All by options.
    Search,
    SearchAndStore,
    /// Around a position, whatever is within a distance.
    Around {
        may_store: bool,
    },
    AroundMember {
        may_store: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
struct Query<'a> {
    middle: Option<Position>,
    shape: Option<Shape>,
    /// Metres of the unit that distances are shown in.
    unit: f64,
    order: Option<Order>,
    count: Option<usize>,
    /// Any of those within are as good as the nearest.
    any: bool,
    with_distance: bool,
    with_hash: bool,
    with_position: bool,
    /// Where the result is stored.
    store: Option<&'a [u8]>,
    stores_distance: bool,
}

/// A member that was found.
struct Found<'a> {
    member: &'a [u8],
    score: f64,
    position: Position,
    distance: f64,
}

fn search(call: &mut Call<'_>, form: Form) -> Result<(), CommandError> {
    let key = call.args.at(if form == Form::SearchAndStore { 2 } else { 1 });
    let exists = call.read::<SortedSet>(key)?.0.is_some();
    let query = Query::parse(call, key, form, exists)?;
    let db = call.db();
    let (core, reply) = (&mut *call.core, &mut *call.reply);
    let sorted = match core.store.database(db).get(key).map(|item| item.value) {
        Some(Value::Sorted(sorted)) if exists => Some(sorted),
        _ => None,
    };
    let found = sorted.map(|sorted| query.find(sorted)).unwrap_or_default();
    let Some(store) = query.store else {
        query.reply(&found, reply);
        return Ok(());
    };
    let mut ranked = Vec::new();
    for found in &found {
        let score = if query.stores_distance { found.distance / query.unit } else { found.score };
        SortedSet::push_word(&mut ranked, score, found.member);
    }
    let len = found.len();
    let event = if form == Form::SearchAndStore { "geosearchstore" } else { "georadiusstore" };
    sorted::store(call, event, store, &ranked)?;
    call.reply.integer(len as i64);
    Ok(())
}

impl<'a> Query<'a> {
    /// Reads all arguments. If there is no such key, members are nowhere, which is no error.
    fn parse(call: &mut Call<'a>, key: &[u8], form: Form, exists: bool) -> Result<Self, CommandError> {
        let args = call.args;
        let mut query = Self {
            middle: None,
            shape: None,
            unit: 1.0,
            order: None,
            count: None,
            any: false,
            with_distance: false,
            with_hash: false,
            with_position: false,
            store: None,
            stores_distance: false,
        };
        let (mut rest, may_store) = match form {
            Form::Search => (args.skip(2), false),
            Form::SearchAndStore => {
                query.store = Some(args.at(1));
                (args.skip(3), false)
            }
            Form::Around { may_store } => {
                query.middle = Some(position(args.skip(2))?);
                query.take_radius(args.skip(4))?;
                (args.skip(6), may_store)
            }
            Form::AroundMember { may_store } => {
                if exists {
                    query.middle = Some(position_of(call, key, args.at(2))?);
                    query.take_radius(args.skip(3))?;
                }
                (args.skip(5), may_store)
            }
        };
        let searches = matches!(form, Form::Search | Form::SearchAndStore);
        let (mut from_member, mut from_position, mut by_radius, mut by_box) = (false, false, false, false);
        while let Some(option) = rest.get(0) {
            let is = |word: &str, values: usize| is_word(option, word) && rest.len() > values;
            let taken = if is("withdist", 0) {
                query.with_distance = true;
                1
            } else if is("withhash", 0) {
                query.with_hash = true;
                1
            } else if is("withcoord", 0) {
                query.with_position = true;
                1
            } else if is("any", 0) {
                query.any = true;
                1
            } else if is("asc", 0) {
                query.order = Some(Order::Ascending);
                1
            } else if is("desc", 0) {
                query.order = Some(Order::Descending);
                1
            } else if is("count", 1) {
                let count = usize::try_from(integer(rest.at(1))?).ok().filter(|count| *count > 0);
                query.count = Some(count.ok_or(CommandError::Other("COUNT must be > 0"))?);
                2
            } else if may_store && (is("store", 1) || is("storedist", 1)) {
                query.store = Some(rest.at(1));
                query.stores_distance = is_word(option, "storedist");
                2
            } else if searches && !from_position && is("frommember", 1) {
                if exists {
                    query.middle = Some(position_of(call, key, rest.at(1))?);
                }
                from_member = true;
                2
            } else if searches && !from_member && is("fromlonlat", 2) {
                query.middle = Some(position(rest.skip(1))?);
                from_position = true;
                3
            } else if searches && !by_box && is("byradius", 2) {
                query.take_radius(rest.skip(1))?;
                by_radius = true;
                3
            } else if searches && !by_radius && is("bybox", 3) {
                query.take_box(rest.skip(1))?;
                by_box = true;
                4
            } else if form == Form::SearchAndStore && is("storedist", 0) {
                query.stores_distance = true;
                1
            } else {
                return Err(CommandError::Syntax);
            };
            rest = rest.skip(taken);
        }
        if query.store.is_some() && (query.with_distance || query.with_hash || query.with_position) {
            return Err(CommandError::Other(if form == Form::SearchAndStore {
                "GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            } else {
                "STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            }));
        }
        let one_of = |what: &str| CommandError::Text(format!("exactly one of {what} for {}", lossy(args.at(0))));
        if searches && !from_member && !from_position {
            return Err(one_of("FROMMEMBER or FROMLONLAT can be specified"));
        }
        if searches && !by_radius && !by_box {
            return Err(one_of("BYRADIUS and BYBOX can be specified"));
        }
        if query.any && query.count.is_none() {
            return Err(CommandError::Other("the ANY argument requires COUNT argument"));
        }
        // The first ones are meant to be the nearest.
        if query.count.is_some() && !query.any {
            query.order = query.order.or(Some(Order::Ascending));
        }
        Ok(query)
    }

    /// Takes a radius and its unit in.
    fn take_radius(&mut self, args: Args<'_>) -> Result<(), CommandError> {
        let radius = parse_f64(args.at(0)).ok_or(CommandError::Other("need numeric radius"))?;
        if radius < 0.0 {
            return Err(CommandError::Other("radius cannot be negative"));
        }
        self.unit = unit(args.at(1))?;
        self.shape = Some(Shape::Circle { radius: radius * self.unit });
        Ok(())
    }

    /// Takes a width, a height and their unit in.
    fn take_box(&mut self, args: Args<'_>) -> Result<(), CommandError> {
        let width = parse_f64(args.at(0)).ok_or(CommandError::Other("need numeric width"))?;
        let height = parse_f64(args.at(1)).ok_or(CommandError::Other("need numeric height"))?;
        if width < 0.0 || height < 0.0 {
            return Err(CommandError::Other("height or width cannot be negative"));
        }
        self.unit = unit(args.at(2))?;
        self.shape = Some(Shape::Box { width: width * self.unit, height: height * self.unit });
        Ok(())
    }

    /// Those within, in the order that is asked for.
    fn find<'s>(&self, sorted: &'s SortedSet) -> Vec<Found<'s>> {
        let (Some(middle), Some(shape)) = (self.middle, self.shape) else { return Vec::new() };
        let near = shape.scores(middle).into_iter().flat_map(|scores| {
            let places = sorted.by_score(Bound::Included(scores.start), Bound::Excluded(scores.end));
            sorted.iter_from(places.start).take(places.len())
        });
        let within = near.filter_map(|(member, score)| {
            let position = Position::of_score(score);
            shape.distance(middle, position).map(|distance| Found { member, score, position, distance })
        });
        let most = self.count.unwrap_or(usize::MAX);
        let mut found: Vec<Found<'s>> = within.take(if self.any { most } else { usize::MAX }).collect();
        let ascending = |a: &Found<'_>, b: &Found<'_>| a.distance.partial_cmp(&b.distance).unwrap_or(Ordering::Equal);
        match self.order {
            Some(Order::Ascending) => found.sort_by(ascending),
            Some(Order::Descending) => found.sort_by(|a, b| ascending(b, a)),
            None => {}
        }
        found.truncate(most);
        found
    }

    fn reply(&self, found: &[Found<'_>], reply: &mut Reply) {
        let details = [self.with_distance, self.with_hash, self.with_position];
        let details = details.into_iter().filter(|wanted| *wanted).count();
        reply.array(found.len());
        for found in found {
            if details > 0 {
                reply.array(1 + details);
            }
            reply.bulk(found.member);
            if self.with_distance {
                reply_distance(reply, found.distance / self.unit);
            }
            if self.with_hash {
                reply.integer(found.score as i64);
            }
            if self.with_position {
                reply_position(reply, found.position);
            }
        }
    }
}

/// Where a member is.
fn position_of(call: &mut Call<'_>, key: &[u8], member: &[u8]) -> Result<Position, CommandError> {
    let score = call.value::<SortedSet>(key)?.and_then(|sorted| sorted.score(member));
    score.map(Position::of_score).ok_or(CommandError::Other("could not decode requested zset member"))
}
