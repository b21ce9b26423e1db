//! Reads an RDB file as a stream: what stands between values is looked at, and of a value only where it ends. Its bytes, with
//! a checksum of their own, are what `RESTORE` takes.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use mneme_kernel::limits;
use mneme_kernel::rdb::{self, Loaded, types};

use super::reader::{Place, Record};
use crate::cli::keys::{Content, EXPIRING_FIELDS, Entry, module_name};
use crate::cli::stop::Stop;

const MAGIC: &[u8; 5] = b"REDIS";
/// Files have a checksum from this version on.
const WITH_CHECKSUM: u32 = 5;
/// Bytes of a value that a command takes, with its type and checksum.
const MAX_VALUE: usize = limits::MAX_BULK - 64;
/// Bytes that are read at once.
const BLOCK: usize = 64 << 10;

mod opcodes {
    /// Of a cluster's slot: three sizes, as hints.
    pub(super) const SLOT: u8 = 244;
    pub(super) const OLD_FUNCTION: u8 = 246;
    pub(super) const MODULE_DATA: u8 = 247;
    pub(super) const IDLE: u8 = 248;
    pub(super) const USES: u8 = 249;
    pub(super) const NOTE: u8 = 250;
    pub(super) const SIZES: u8 = 251;
    pub(super) const DEADLINE_MS: u8 = 252;
    pub(super) const DEADLINE_SECONDS: u8 = 253;
    pub(super) const SELECT: u8 = 254;
    pub(super) const END: u8 = 255;
}

/// A file that is read.
#[derive(Debug)]
pub(super) struct Rdb {
    path: PathBuf,
    file: BufReader<File>,
    len: u64,
    position: u64,
    version: u32,
    /// Of all that was read; `None` if it was not read from its beginning.
    checksum: Option<u64>,
    database: u64,
    /// Bytes that are kept as they are read.
    kept: Option<Vec<u8>>,
    ended: bool,
}

/// How a length is given.
enum Length {
    Plain(u64),
    /// What follows is a string in this special form.
    Special(u8),
}

impl Rdb {
    /// # Errors
    /// If it cannot be read, or is no file of a version that is known.
    pub(super) fn open(path: &Path, from: Option<&Place>) -> Result<Rdb, Stop> {
        let cannot = |error: io::Error| Stop::Usage(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(cannot)?;
        let len = file.metadata().map_err(cannot)?.len();
        let file = BufReader::with_capacity(256 << 10, file);
        let (path, checksum) = (path.into(), Some(0));
        let mut rdb = Rdb { path, file, len, position: 0, version: 0, checksum, database: 0, kept: None, ended: false };
        rdb.head()?;
        if let Some(place) = from.filter(|place| place.position > 0) {
            rdb.file.seek(SeekFrom::Start(place.position))?;
            rdb.position = place.position;
            rdb.database = place.database.parse().map_err(|_| rdb.bad("the state names no number of a database"))?;
            rdb.checksum = None;
        }
        Ok(rdb)
    }

    fn head(&mut self) -> Result<(), Stop> {
        let mut head = [0; MAGIC.len() + 4];
        let read = self.take(&mut head);
        let (magic, digits) = head.split_at(MAGIC.len());
        let version = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        match version {
            Some(version) if read.is_ok() && magic == MAGIC => self.version = version,
            _ if head.starts_with(b"VALKEY") => {
                return Err(self.bad("it was written by Valkey 9 or newer, whose format is not known here"));
            }
            _ => return Err(self.bad("it is neither an RDB file nor lines that export wrote")),
        }
        match self.version {
            0 => Err(self.bad("its head is damaged")),
            version if version > rdb::NEWEST.into() => Err(self.bad(&format!(
                "its RDB version is {version}, and up to {} is known here; import the running server by redis://, or have \
                 an older one write it",
                rdb::NEWEST
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn version(&self) -> u32 {
        self.version
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn place(&self) -> Place {
        Place { position: self.position, database: self.database.to_string() }
    }

    /// See [`Reader::next`](super::reader::Reader::next).
    pub(super) fn next(&mut self) -> Result<Option<Record>, Stop> {
        let mut deadline = None;
        while !self.ended {
            match self.byte()? {
                opcodes::NOTE => {
                    self.pass_string()?;
                    self.pass_string()?;
                }
                opcodes::SIZES => drop([self.number()?, self.number()?]),
                opcodes::SLOT => drop([self.number()?, self.number()?, self.number()?]),
                opcodes::SELECT => self.database = self.number()?,
                // How old or how much used a key is: hints for who evicts.
                opcodes::IDLE => drop(self.number()?),
                opcodes::USES => drop(self.byte()?),
                opcodes::DEADLINE_MS => deadline = Some(u64::from_le_bytes(self.chunk()?)),
                opcodes::DEADLINE_SECONDS => deadline = Some(u64::from(u32::from_le_bytes(self.chunk()?)) * 1000),
                opcodes::MODULE_DATA => {
                    // What a module keeps beside keys.
                    self.number()?;
                    self.pass_module()?;
                }
                opcodes::OLD_FUNCTION => {
                    return Err(
                        self.bad("it holds a function in the form of a version of Redis 7.0 before its release")
                    );
                }
                types::FUNCTION => return self.text().map(|code| Some(Record::Library(code))),
                opcodes::END => self.end()?,
                kind => return self.key(kind, deadline).map(|entry| Some(Record::Key(entry))),
            }
        }
        Ok(None)
    }

    fn key(&mut self, kind: u8, deadline: Option<u64>) -> Result<Entry, Stop> {
        let key = self.text()?;
        let begins = self.position;
        self.kept = Some(Vec::new());
        let unknown = self.pass_value(kind, &key)?;
        let value = self.kept.take().unwrap_or_default();
        let size = self.position - begins;
        let content = match unknown {
            Some(why) => Content::Unknown(why),
            None if size != value.len() as u64 => {
                Content::Unknown(format!("larger than {} MiB, the most that a command takes", limits::MAX_BULK >> 20))
            }
            None => Content::Dumped(rdb::closed(kind, &value)),
        };
        Ok(Entry { database: self.database.to_string(), key, deadline, content })
    }

    /// Passes over a value; what it is if it cannot be imported.
    fn pass_value(&mut self, kind: u8, key: &[u8]) -> Result<Option<String>, Stop> {
        match kind {
            types::LIST | types::SET | types::QUICKLIST => self.pass_each(|rdb| rdb.pass_string())?,
            types::HASH => self.pass_each(|rdb| {
                rdb.pass_string()?;
                rdb.pass_string()
            })?,
            types::SORTED => self.pass_each(|rdb| {
                rdb.pass_string()?;
                match rdb.byte()? {
                    253.. => Ok(()),
                    len => rdb.pass(len.into()),
                }
            })?,
            types::SORTED_2 => self.pass_each(|rdb| {
                rdb.pass_string()?;
                rdb.pass(8)
            })?,
            types::QUICKLIST_2 => self.pass_each(|rdb| {
                rdb.number()?;
                rdb.pass_string()
            })?,
            types::STREAM | types::STREAM_2 | types::STREAM_3 => self.pass_stream(kind)?,
            types::MODULE_2 => {
                let module = module_name(self.number()?);
                self.pass_module()?;
                return Ok(Some(format!("a value of the module type {module}")));
            }
            types::TEXT
            | types::HASH_ZIPMAP
            | types::LIST_ZIPLIST
            | types::INTEGER_SET
            | types::SORTED_ZIPLIST
            | types::HASH_ZIPLIST
            | types::HASH_LISTPACK
            | types::SORTED_LISTPACK
            | types::SET_LISTPACK => self.pass_string()?,
            kind => {
                let what = match kind {
                    types::MODULE => "a value of a module before Redis 4.0".to_owned(),
                    22..=25 => EXPIRING_FIELDS.to_owned(),
                    kind => format!("of type {kind}, which is not known here"),
                };
                let key = key.escape_ascii();
                return Err(
                    self.bad(&format!("key \"{key}\" in database {} is {what}: it cannot be read on", self.database))
                );
            }
        }
        Ok(None)
    }

    fn pass_each(&mut self, mut pass: impl FnMut(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        for _ in 0..self.number()? {
            pass(self)?;
        }
        Ok(())
    }

    fn pass_stream(&mut self, kind: u8) -> Result<(), Stop> {
        /// An ID as it is kept where it is not a pair of numbers, and a time.
        const ID: u64 = 16;
        const TIME: u64 = 8;
        self.pass_each(|rdb| {
            rdb.pass_string()?;
            rdb.pass_string()
        })?;
        // How many, the last ID; the first, the greatest that was deleted, how many ever.
        let numbers = if kind == types::STREAM { 3 } else { 8 };
        (0..numbers).try_for_each(|_| self.number().map(drop))?;
        self.pass_each(|rdb| {
            rdb.pass_string()?;
            let numbers = if kind == types::STREAM { 2 } else { 3 };
            (0..numbers).try_for_each(|_| rdb.number().map(drop))?;
            rdb.pass_each(|rdb| {
                rdb.pass(ID + TIME)?;
                rdb.number().map(drop)
            })?;
            rdb.pass_each(|rdb| {
                rdb.pass_string()?;
                rdb.pass(if kind == types::STREAM_3 { 2 * TIME } else { TIME })?;
                rdb.pass_each(|rdb| rdb.pass(ID))
            })
        })
    }

    /// Passes over what a module wrote, whatever it means.
    fn pass_module(&mut self) -> Result<(), Stop> {
        loop {
            match self.number()? {
                0 => return Ok(()),
                // Integers with a sign and without.
                1 | 2 => drop(self.number()?),
                3 => self.pass(4)?,
                4 => self.pass(8)?,
                5 => self.pass_string()?,
                _ => return Err(self.bad("what a module wrote is damaged")),
            }
        }
    }

    /// The checksum at the end; zero says that there is none.
    fn end(&mut self) -> Result<(), Stop> {
        self.ended = true;
        if self.version < WITH_CHECKSUM {
            return Ok(());
        }
        let expected = self.checksum;
        let checksum = u64::from_le_bytes(self.chunk()?);
        if checksum != 0 && expected.is_some_and(|expected| expected != checksum) {
            return Err(self.bad("its checksum is wrong: it is damaged"));
        }
        Ok(())
    }

    fn number(&mut self) -> Result<u64, Stop> {
        match self.length()? {
            Length::Plain(number) => Ok(number),
            Length::Special(_) => Err(self.bad("it is damaged: a string stands where a number must")),
        }
    }

    fn length(&mut self) -> Result<Length, Stop> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match first {
            0..=0x3f => Length::Plain(low.into()),
            0x40..=0x7f => Length::Plain(u64::from(low) << 8 | u64::from(self.byte()?)),
            0x80 => Length::Plain(u32::from_be_bytes(self.chunk()?).into()),
            0x81 => Length::Plain(u64::from_be_bytes(self.chunk()?)),
            0xc0.. => Length::Special(low),
            _ => return Err(self.bad("it is damaged: a length is none")),
        })
    }

    fn pass_string(&mut self) -> Result<(), Stop> {
        match self.length()? {
            Length::Plain(len) => self.pass(len),
            Length::Special(form @ 0..=2) => self.pass(1 << form),
            // Compressed.
            Length::Special(3) => {
                let len = self.number()?;
                self.number()?;
                self.pass(len)
            }
            Length::Special(_) => Err(self.bad("it is damaged: a string is in no form that is known")),
        }
    }

    /// A string's text.
    fn text(&mut self) -> Result<Vec<u8>, Stop> {
        self.kept = Some(vec![types::TEXT]);
        self.pass_string()?;
        match self.kept.take().as_deref().map(rdb::load) {
            Some(Ok(Loaded::Text(text))) => Ok(text),
            _ => Err(self.bad("it is damaged: a string cannot be read")),
        }
    }

    fn pass(&mut self, mut len: u64) -> Result<(), Stop> {
        // A length that is wrong must not be believed.
        if len > self.len - self.position {
            return Err(self.bad("it is damaged, or not whole"));
        }
        let mut block = [0; BLOCK];
        while len > 0 {
            let some = len.min(BLOCK as u64) as usize;
            self.take(&mut block[..some])?;
            len -= some as u64;
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        self.chunk().map(|[byte]| byte)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut chunk = [0; N];
        self.take(&mut chunk)?;
        Ok(chunk)
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), Stop> {
        if let Err(error) = self.file.read_exact(bytes) {
            return Err(match error.kind() {
                io::ErrorKind::UnexpectedEof => self.bad("it is not whole"),
                _ => error.into(),
            });
        }
        self.position += bytes.len() as u64;
        self.checksum = self.checksum.map(|checksum| rdb::crc64(checksum, bytes));
        // More than a command takes is not worth keeping.
        if let Some(kept) = self.kept.as_mut().filter(|kept| kept.len() + bytes.len() <= MAX_VALUE) {
            kept.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn bad(&self, why: &str) -> Stop {
        Stop::Damaged(format!("{}, at byte {}: {why}", self.path.display(), self.position))
    }
}

#[cfg(test)]
mod tests;
