//! Lines that `export` wrote.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use mneme_kernel::limits;

use super::reader::{Place, Record};
use crate::cli::keys::{Content, Entry};
use crate::cli::line::{Database, Line, Maker};
use crate::cli::stop::Stop;

/// Bytes of a line: a value, whose bytes may take six each in JSON.
const MAX_LINE: u64 = 6 * limits::MAX_BULK as u64;

/// A file that is read.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    file: BufReader<File>,
    len: u64,
    place: Place,
    number: u64,
    maker: Maker,
}

impl Lines {
    /// `None` of what does not begin as a line does.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn open(path: &Path, from: Option<&Place>) -> Result<Option<Lines>, Stop> {
        let cannot = |error: io::Error| Stop::Usage(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(cannot)?;
        let len = file.metadata().map_err(cannot)?.len();
        let mut file = BufReader::with_capacity(256 << 10, file);
        if file.fill_buf().map_err(cannot)?.first() != Some(&b'{') {
            return Ok(None);
        }
        let place = from.cloned().unwrap_or_default();
        file.seek(SeekFrom::Start(place.position))?;
        Ok(Some(Lines { path: path.into(), file, len, place, number: 0, maker: Maker::default() }))
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    /// See [`Reader::next`](super::reader::Reader::next).
    pub(super) fn next(&mut self) -> Result<Option<Record>, Stop> {
        let mut line = Vec::new();
        self.number += 1;
        let read = (&mut self.file).take(MAX_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        let place = format!("{}, line {} behind byte {}", self.path.display(), self.number, self.place.position);
        self.place.position += read as u64;
        if line.last() != Some(&b'\n') {
            return Err(Stop::Damaged(format!("{place}: the line has no end: the file is not whole")));
        }
        self.entry(&line).map(|entry| Some(Record::Key(entry))).map_err(|why| Stop::Damaged(format!("{place}: {why}")))
    }

    fn entry(&mut self, line: &[u8]) -> Result<Entry, String> {
        let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let content = match line.kind.as_str() {
            "json" => Content::Document(line.value.get().as_bytes().to_vec()),
            kind => Content::Dumped(self.maker.dumped(kind, &line.value)?),
        };
        let database = match line.db {
            Database::Number(number) => number.to_string(),
            Database::Name(name) => name,
        };
        Ok(Entry { database, key: line.key.bytes()?, deadline: line.expires_at_ms, content })
    }
}
