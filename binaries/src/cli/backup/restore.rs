//! `backup restore`: the file is read twice, first to see that all of it is sound. Then its changes are written, many
//! at a time, in their order.

use std::collections::BTreeMap;
use std::path::Path;

use mneme_kernel::backup::{End, Outline, UserOutline};
use mneme_kernel::codec;
use mneme_kernel::effect::{self, Effect, Effects};
use mneme_kernel::ids::{DbId, DbNumber};
use mneme_kernel::resp::{Value, encode_command};

use super::file::Reader;
use super::{Facts, Restoring, bar};
use crate::cli::Words;
use crate::cli::connection::Connection;
use crate::cli::fields::fields;
use crate::cli::options::Options;
use crate::cli::stop::Stop;

/// Bytes of changes in a command, and how many are on their way.
const COMMAND: usize = 64 << 10;
const AHEAD: usize = 8;

pub(super) fn restore(path: &Path, how: Restoring, options: &Options) -> Result<Facts, Stop> {
    let mut reader = Reader::open(path)?;
    while reader.changes()?.is_some() {}
    let end = reader.end()?.clone();
    let facts = Facts::of(&end, reader.len());
    let mut connection = Connection::open(&options.target, &options.opening)?;
    let held = databases(&mut connection)?;
    let named: Vec<&Held> = held.iter().filter(|database| database.name.is_some()).collect();
    let keys: i64 = held.iter().map(|database| database.keys).sum();
    if (keys > 0 || !named.is_empty()) && !how.replace {
        return Err(Stop::Server(format!(
            "nothing was restored: the cluster holds {keys} keys and {} databases with names; --replace removes them first",
            named.len()
        )));
    }
    if how.dry_run {
        return Ok(facts);
    }
    // What is acknowledged is to last, whatever the server's default is.
    connection.ask(&[b"CLIENT", b"CONSISTENCY", b"QUORUM"])?;
    let done = replace(&mut connection, &named, how)
        .and_then(|()| write(path, &end, &mut connection))
        .and_then(|()| if how.keep_users { Ok(()) } else { users(&mut connection, &end.outline) });
    match done {
        Ok(()) => Ok(facts),
        Err(Stop::Server(why)) => Err(Stop::Server(incomplete(&why))),
        Err(Stop::Connection(why)) => Err(Stop::Connection(incomplete(&why))),
        Err(stop) => Err(stop),
    }
}

fn incomplete(why: &str) -> String {
    format!("{why}\nthe restore is incomplete: run it again with --replace")
}

/// A database of the cluster.
struct Held {
    name: Option<Vec<u8>>,
    keys: i64,
}

fn databases(connection: &mut Connection) -> Result<Vec<Held>, Stop> {
    let Value::Array(rows) = connection.ask(&[b"DATABASE", b"LIST"])? else { return Ok(Vec::new()) };
    let held = |row: Value| {
        let fields = fields(row);
        let keys = match fields.get("keys") {
            Some(Value::Int(keys)) => *keys,
            _ => 0,
        };
        Held { name: fields.get("name").and_then(Value::as_bytes).map(<[u8]>::to_vec), keys }
    };
    Ok(rows.into_iter().map(held).collect())
}

fn replace(connection: &mut Connection, named: &[&Held], how: Restoring) -> Result<(), Stop> {
    if how.replace {
        connection.ask(&[b"FLUSHALL"])?;
        for name in named.iter().filter_map(|database| database.name.as_ref()) {
            connection.ask(&[b"DATABASE", b"DROP", name])?;
        }
    }
    Ok(())
}

/// Makes the databases, then their keys.
fn write(path: &Path, end: &End, connection: &mut Connection) -> Result<(), Stop> {
    load_outline(connection, &Outline { databases: end.outline.databases.clone(), users: Vec::new() })?;
    let numbers = end.outline.databases.iter().map(|database| (database.id, database.number)).collect();
    let mut reader = Reader::open(path)?;
    let bar = bar("restore", Some(reader.len()));
    let mut loader = Loader { connection, changes: Vec::new(), on_their_way: 0 };
    while let Some(changes) = reader.changes()? {
        for change in Effects::new(&changes) {
            let change = change.map_err(|error| Stop::Damaged(error.to_string()))?;
            // What was in a database that was dropped later is of no use.
            if let Some(change) = numbered(&change, &numbers) {
                loader.load(&change)?;
            }
        }
        bar.set_position(reader.position());
    }
    loader.finish()?;
    bar.finish_and_clear();
    Ok(())
}

/// A change with its database's number in place of where it was kept.
fn numbered<'a>(change: &Effect<'a>, numbers: &BTreeMap<DbId, DbNumber>) -> Option<Effect<'a>> {
    change.placed(|db| numbers.get(&db).map(|number| DbId(number.0)))
}

/// Sends changes, many in a command, a few commands ahead of their answers.
struct Loader<'a> {
    connection: &'a mut Connection,
    changes: Vec<u8>,
    on_their_way: usize,
}

impl Loader<'_> {
    fn load(&mut self, change: &Effect<'_>) -> Result<(), Stop> {
        effect::record(change, &mut self.changes);
        if self.changes.len() >= COMMAND { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), Stop> {
        let words: Words = vec![b"LOAD".to_vec(), b"DATA".to_vec(), std::mem::take(&mut self.changes)];
        let mut bytes = Vec::new();
        encode_command(&words, &mut bytes);
        self.connection.send(&bytes)?;
        self.on_their_way += 1;
        if self.on_their_way >= AHEAD { self.hear() } else { Ok(()) }
    }

    fn hear(&mut self) -> Result<(), Stop> {
        self.on_their_way -= 1;
        self.connection.value(&vec![b"LOAD".to_vec()]).map(|_| ())
    }

    fn finish(mut self) -> Result<(), Stop> {
        if !self.changes.is_empty() {
            self.send()?;
        }
        while self.on_their_way > 0 {
            self.hear()?;
        }
        Ok(())
    }
}

fn load_outline(connection: &mut Connection, outline: &Outline) -> Result<(), Stop> {
    let mut bytes = Vec::new();
    codec::encode(outline, &mut bytes);
    connection.ask(&[b"LOAD", b"OUTLINE", &bytes]).map(|_| ())
}

/// The cluster's users become those of the backup. Whoever restores comes last: with that, it may lose its rights.
fn users(connection: &mut Connection, outline: &Outline) -> Result<(), Stop> {
    let me = connection.ask(&[b"USER", b"WHOAMI"])?.as_bytes().unwrap_or_default().to_vec();
    let is_me = |user: &UserOutline| user.name.as_bytes() == me;
    let (mine, others): (Vec<_>, Vec<_>) = outline.users.iter().cloned().partition(is_me);
    load_outline(connection, &Outline { databases: Vec::new(), users: others })?;
    let Value::Array(rows) = connection.ask(&[b"USER", b"LIST"])? else { return Ok(()) };
    for row in rows {
        let fields = fields(row);
        let name = fields.get("name").and_then(Value::as_bytes).unwrap_or_default();
        if name != me && !outline.users.iter().any(|user| user.name.as_bytes() == name) {
            connection.ask(&[b"USER", b"DROP", name])?;
        }
    }
    if mine.is_empty() {
        connection.ask(&[b"USER", b"DROP", &me]).map(|_| ())
    } else {
        load_outline(connection, &Outline { databases: Vec::new(), users: mine })
    }
}
