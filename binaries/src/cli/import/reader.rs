//! A file that is imported, key by key, whatever its form.

use std::path::Path;

use super::lines::Lines;
use super::rdb::Rdb;
use crate::cli::keys::Entry;
use crate::cli::stop::Stop;

/// Something that a file holds.
#[derive(Debug)]
pub(super) enum Record {
    Key(Entry),
    /// The code of a library of functions.
    Library(Vec<u8>),
}

/// A file that is read from its beginning, or from where an import stopped.
#[derive(Debug)]
pub(super) enum Reader {
    Rdb(Rdb),
    Lines(Lines),
}

/// Where an import may go on: bytes from the file's beginning, and the database there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) position: u64,
    pub(super) database: String,
}

impl Reader {
    /// # Errors
    /// If it cannot be read, or is nothing that can be imported.
    pub(super) fn open(path: &Path, from: Option<&Place>) -> Result<Reader, Stop> {
        match Lines::open(path, from)? {
            Some(lines) => Ok(Reader::Lines(lines)),
            None => Rdb::open(path, from).map(Reader::Rdb),
        }
    }

    /// The next one; `None` behind the last, when the file was whole.
    ///
    /// # Errors
    /// If the file is damaged or not whole.
    pub(super) fn next(&mut self) -> Result<Option<Record>, Stop> {
        match self {
            Reader::Rdb(rdb) => rdb.next(),
            Reader::Lines(lines) => lines.next(),
        }
    }

    /// Where what was read last ends.
    pub(super) fn place(&self) -> Place {
        match self {
            Reader::Rdb(rdb) => rdb.place(),
            Reader::Lines(lines) => lines.place(),
        }
    }

    /// Bytes of the file.
    pub(super) fn len(&self) -> u64 {
        match self {
            Reader::Rdb(rdb) => rdb.len(),
            Reader::Lines(lines) => lines.len(),
        }
    }

    /// What tells it from other files.
    pub(super) fn name(&self) -> String {
        match self {
            Reader::Rdb(rdb) => format!("RDB version {}", rdb.version()),
            Reader::Lines(_) => "lines of export".to_owned(),
        }
    }
}
