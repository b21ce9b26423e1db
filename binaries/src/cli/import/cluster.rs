//! The cluster that keys are written to, many at a time.

use std::collections::{BTreeMap, VecDeque};

use mneme_kernel::resp::{Value, encode_command};

use super::How;
use super::reader::Place;
use super::report::Report;
use crate::cli::Words;
use crate::cli::connection::Connection;
use crate::cli::keys::{Content, Entry, Source, now};
use crate::cli::options::Options;
use crate::cli::stop::Stop;

/// Bytes of values, and keys, that are on their way before an answer is waited for.
const BYTES_AHEAD: usize = 8 << 20;
const KEYS_AHEAD: usize = 1000;

/// Keys are written in the order in which they are given.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Also reads: so what is compared is what was written.
    pub(super) reads: Source,
    connection: Connection,
    selected: Option<String>,
    on_their_way: VecDeque<Sent>,
    bytes_on_their_way: usize,
    /// The cluster's databases for the source's, where they are others.
    databases: BTreeMap<String, String>,
    /// The source's databases by those of the cluster that get their keys.
    taken: BTreeMap<String, String>,
    skips_unknown: bool,
    /// Where the source was read up to what was acknowledged last.
    acknowledged: Option<Place>,
}

/// A key whose answer is to come.
#[derive(Debug)]
struct Sent {
    database: String,
    key: Vec<u8>,
    bytes: usize,
    /// Commands that have an answer each.
    answers: usize,
    /// Where the source was read up to it.
    behind: Place,
}

impl Cluster {
    pub(super) fn open(options: &Options, how: &How) -> Result<Cluster, Stop> {
        let mut connection = Connection::open(&options.target, &options.opening)?;
        // What is acknowledged is to last, whatever the server's default is.
        connection.ask(&[b"CLIENT", b"CONSISTENCY", b"QUORUM"])?;
        let mut reads = Connection::open(&options.target, &options.opening)?;
        reads.ask(&[b"CLIENT", b"CONSISTENCY", b"QUORUM"])?;
        Ok(Cluster {
            reads: Source::new(reads)?,
            connection,
            selected: None,
            on_their_way: VecDeque::new(),
            bytes_on_their_way: 0,
            databases: how.databases.clone(),
            taken: BTreeMap::new(),
            skips_unknown: how.skip_unknown,
            acknowledged: None,
        })
    }

    /// The cluster's database for one of the source.
    pub(super) fn database(&self, of: &str) -> String {
        self.databases.get(of).map_or(of, String::as_str).to_owned()
    }

    /// Sees that the databases are there that get keys, and that they hold none unless that was allowed.
    ///
    /// # Errors
    /// If they are not, or do.
    pub(super) fn prepare<'a>(&mut self, databases: impl Iterator<Item = &'a String>, how: &How) -> Result<(), Stop> {
        let mut held = Vec::new();
        for of in databases {
            let database = self.claim(of)?;
            let keys = self.reads.size(&database).map_err(|stop| match stop {
                Stop::Server(why) => Stop::Server(format!(
                    "nothing was imported: there is no database {database} ({why}): map it by --database {of}=B, where \
                     DATABASE CREATE makes others than 0 to 15"
                )),
                stop => stop,
            })?;
            held.extend((keys > 0).then_some((database, keys)));
        }
        if held.is_empty() || how.merge {
            return Ok(());
        }
        if !how.replace {
            let held: Vec<_> =
                held.iter().map(|(database, keys)| format!("database {database} holds {keys} keys")).collect();
            return Err(Stop::Server(format!(
                "nothing was imported: {}; --replace removes them first, --merge keeps those of other names",
                held.join(", ")
            )));
        }
        if how.dry_run {
            return Ok(());
        }
        for (database, _) in held {
            self.reads.select(&database)?;
            self.reads.connection.ask(&[b"FLUSHDB"])?;
        }
        Ok(())
    }

    /// Notes that a database of the source is to become the one that is given.
    ///
    /// # Errors
    /// If another one is, too.
    pub(super) fn claim(&mut self, of: &str) -> Result<String, Stop> {
        let database = self.database(of);
        if let Some(other) = self.taken.insert(database.clone(), of.to_owned()).filter(|other| other != of) {
            return Err(Stop::Usage(format!(
                "databases {other} and {of} would both become {database}: --database A=B maps one of them elsewhere"
            )));
        }
        Ok(database)
    }

    /// Writes a key, or deletes it where it is gone; the source was read up to that place then.
    pub(super) fn write(&mut self, entry: Entry, behind: Place, report: &mut Report) -> Result<(), Stop> {
        let database = self.database(&entry.database);
        let mut bytes = Vec::new();
        let mut answers = 1;
        if self.selected.as_ref() != Some(&database) {
            encode_command(&[b"SELECT", database.as_bytes()], &mut bytes);
            answers += 1;
            self.selected = Some(database.clone());
        }
        answers += encode(&entry, &mut bytes);
        self.connection.send(&bytes)?;
        let sent = Sent { database, key: entry.key, bytes: bytes.len(), answers: answers - 1, behind };
        self.bytes_on_their_way += sent.bytes;
        self.on_their_way.push_back(sent);
        while self.bytes_on_their_way > BYTES_AHEAD || self.on_their_way.len() > KEYS_AHEAD {
            self.hear(report)?;
        }
        Ok(())
    }

    /// Loads a library of functions.
    pub(super) fn library(&mut self, code: &[u8]) -> Result<(), Stop> {
        self.reads.connection.ask(&[b"FUNCTION", b"LOAD", b"REPLACE", code]).map(drop).map_err(library_refused)
    }

    /// Loads what `FUNCTION DUMP` gave.
    pub(super) fn libraries(&mut self, dumped: &[u8]) -> Result<(), Stop> {
        self.reads.connection.ask(&[b"FUNCTION", b"RESTORE", dumped, b"REPLACE"]).map(drop).map_err(library_refused)
    }

    /// Waits until all that was written is acknowledged.
    pub(super) fn settle(&mut self, report: &mut Report) -> Result<(), Stop> {
        while !self.on_their_way.is_empty() {
            self.hear(report)?;
        }
        Ok(())
    }

    /// Where the source was read up to what was acknowledged last, if anything was.
    pub(super) fn acknowledged(&self) -> Option<&Place> {
        self.acknowledged.as_ref()
    }

    fn hear(&mut self, report: &mut Report) -> Result<(), Stop> {
        let Some(sent) = self.on_their_way.pop_front() else { return Ok(()) };
        self.bytes_on_their_way -= sent.bytes;
        let asked: Words = vec![b"RESTORE".to_vec()];
        for _ in 0..sent.answers {
            let Value::Error(why) = self.connection.reply(&asked)? else { continue };
            if self.skips_unknown && why.contains("Bad data format") {
                report.leave_out("in a form that is not known here, or damaged");
                continue;
            }
            return Err(Stop::Server(format!(
                "key \"{}\" in database {} is refused: {why}",
                sent.key.escape_ascii(),
                sent.database
            )));
        }
        self.acknowledged = Some(sent.behind);
        Ok(())
    }
}

/// Says what to do. What lies in the library itself is refused again when the import goes on.
fn library_refused(stop: Stop) -> Stop {
    match stop {
        Stop::Server(why) if why.starts_with("ERR ") => Stop::Damaged(format!(
            "a library of functions is refused: {why}\nthe import is incomplete: remove the library from the source by \
             FUNCTION DELETE, or mend it there by FUNCTION LOAD REPLACE, and import again; a file must be saved anew \
             before that"
        )),
        Stop::Server(why) => Stop::Server(format!("a library of functions is refused: {why}")),
        stop => stop,
    }
}

/// Appends the commands that write a key; how many they are, and one.
fn encode(entry: &Entry, out: &mut Vec<u8>) -> usize {
    let key = entry.key.as_slice();
    let is_past = entry.deadline.is_some_and(|deadline| deadline <= now());
    match &entry.content {
        Content::Dumped(dumped) if !is_past => {
            let deadline = entry.deadline.unwrap_or(0).to_string();
            encode_command(&[b"RESTORE", key, deadline.as_bytes(), dumped, b"REPLACE", b"ABSTTL"], out);
            1
        }
        Content::Document(text) if !is_past => {
            encode_command(&[b"DEL", key], out);
            encode_command(&[b"JSON.SET", key, b"$", text], out);
            let Some(deadline) = entry.deadline else { return 2 };
            encode_command(&[b"PEXPIREAT", key, deadline.to_string().as_bytes()], out);
            3
        }
        _ => {
            encode_command(&[b"DEL", key], out);
            1
        }
    }
}
