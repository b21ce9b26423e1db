//! Keys with what they hold, and a server that they are read from.

use std::time::{SystemTime, UNIX_EPOCH};

use mneme_kernel::rdb::{self, Loaded};
use mneme_kernel::resp::{Value, encode_command};

use super::Words;
use super::connection::Connection;
use super::stop::Stop;
use super::survey::Walk;

/// A key with what it holds.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The source's.
    pub database: String,
    pub key: Vec<u8>,
    /// Unix time in milliseconds.
    pub deadline: Option<u64>,
    pub content: Content,
}

/// What a key holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// As `DUMP` gives it.
    Dumped(Vec<u8>),
    /// A document's text.
    Document(Vec<u8>),
    /// Nothing: it is gone.
    Gone,
    /// What cannot be imported, and why.
    Unknown(String),
}

impl Content {
    /// What `DUMP` gave, if it is known here.
    fn of_dump(dumped: Vec<u8>) -> Content {
        let module = || dumped.get(2..10)?.try_into().ok().map(u64::from_be_bytes);
        match dumped.first() {
            Some(&rdb::types::MODULE_2) => {
                Content::Unknown(format!("a value of the module type {}", module_name(module().unwrap_or_default())))
            }
            Some(22..=25) => Content::Unknown(EXPIRING_FIELDS.to_owned()),
            _ if rdb::open(&dumped).is_none() => {
                Content::Unknown("dumped by a version of Redis that is not known here".to_owned())
            }
            _ => Content::Dumped(dumped),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Content::Dumped(bytes) | Content::Document(bytes) => bytes.len(),
            Content::Gone | Content::Unknown(_) => 0,
        }
    }

    /// Its type, as `TYPE` says it.
    pub fn kind(&self) -> &'static str {
        use rdb::types;
        let Content::Dumped(dumped) = self else { return "document" };
        match *dumped.first().unwrap_or(&u8::MAX) {
            types::TEXT => "string",
            types::LIST | types::LIST_ZIPLIST | types::QUICKLIST | types::QUICKLIST_2 => "list",
            types::SET | types::INTEGER_SET | types::SET_LISTPACK => "set",
            types::SORTED | types::SORTED_2 | types::SORTED_ZIPLIST | types::SORTED_LISTPACK => "zset",
            types::HASH | types::HASH_ZIPMAP | types::HASH_ZIPLIST | types::HASH_LISTPACK => "hash",
            types::STREAM | types::STREAM_2 | types::STREAM_3 => "stream",
            _ => "unknown",
        }
    }

    /// Whether it is the same value, in whatever form.
    pub fn is_same(&self, other: &Content) -> bool {
        match (self, other) {
            (Content::Dumped(a), Content::Dumped(b)) => {
                a == b || matches!((loaded(a), loaded(b)), (Some(a), Some(b)) if a == b)
            }
            (Content::Document(a), Content::Document(b)) => {
                let parsed = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).ok();
                a == b || parsed(a).is_some_and(|a| parsed(b) == Some(a))
            }
            (Content::Gone, Content::Gone) => true,
            _ => false,
        }
    }
}

/// What Redis 7.4 and newer may have.
pub const EXPIRING_FIELDS: &str = "a hash whose fields expire, of Redis 7.4 or newer";

/// The nine characters of a module type's name, in the upper bits of its number.
pub fn module_name(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).map(|place| char::from(LETTERS[(id >> (58 - 6 * place)) as usize & 63])).collect()
}

/// The value that was dumped.
pub fn loaded(dumped: &[u8]) -> Option<Loaded> {
    rdb::load(rdb::open(dumped)?).ok()
}

/// Keys that are asked for at once: at first, and at most.
const AT_FIRST: usize = 32;
const AT_MOST: usize = 512;
/// Bytes of values that one answer had better not exceed, so that memory holds a few values, and not hundreds of large ones.
const ANSWER: usize = 8 << 20;

/// The next cursor, if there is more, and keys.
pub type Scanned = (Option<Vec<u8>>, Vec<Vec<u8>>);

/// A server whose keys are read: a Redis, or the cluster itself when it is looked at again.
#[derive(Debug)]
pub struct Source {
    pub connection: Connection,
    selected: Option<String>,
    /// Whether it tells deadlines to the millisecond: Redis does from 7.0 on.
    pub is_exact: bool,
    /// How many keys are asked for at once: fewer where values are large.
    at_once: usize,
}

impl Source {
    pub fn new(mut connection: Connection) -> Result<Source, Stop> {
        let is_exact = !matches!(
            connection.ask(&[b"PEXPIRETIME", b""]),
            Err(Stop::Server(why)) if why.contains("unknown command")
        );
        Ok(Source { connection, selected: None, is_exact, at_once: AT_FIRST })
    }

    /// The databases that hold keys.
    pub fn databases(&mut self) -> Result<Vec<String>, Stop> {
        let info = self.connection.ask(&[b"INFO", b"keyspace"])?;
        let info = match &info {
            Value::Verbatim { text, .. } | Value::Bulk(text) => String::from_utf8_lossy(text),
            _ => return Ok(Vec::new()),
        };
        let number = |line: &str| Some(line.strip_prefix("db")?.split_once(':')?.0.to_owned());
        Ok(info.lines().filter_map(number).collect())
    }

    pub fn select(&mut self, database: &str) -> Result<(), Stop> {
        if self.selected.as_deref() != Some(database) {
            self.connection.ask(&[b"SELECT", database.as_bytes()])?;
            self.selected = Some(database.to_owned());
        }
        Ok(())
    }

    pub fn size(&mut self, database: &str) -> Result<u64, Stop> {
        self.select(database)?;
        match self.connection.ask(&[b"DBSIZE"])? {
            Value::Int(keys) => Ok(keys.unsigned_abs()),
            _ => Ok(0),
        }
    }

    /// Some keys from this cursor on, and the next cursor; none behind the last.
    pub fn scan(&mut self, database: &str, walk: &Walk, cursor: &[u8]) -> Result<Scanned, Stop> {
        self.select(database)?;
        let (next, keys) = walk.step(&mut self.connection, cursor)?;
        Ok((next, keys.iter().filter_map(|key| key.as_bytes().map(<[u8]>::to_vec)).collect()))
    }

    /// Gives all keys of a database away with what they hold, some at a time. One that is there all the time comes at least
    /// once.
    pub fn all(
        &mut self,
        database: &str,
        walk: &Walk,
        mut take: impl FnMut(Vec<Entry>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut cursor = Some(b"0".to_vec());
        while let Some(from) = cursor {
            let (next, keys) = self.scan(database, walk, &from)?;
            self.each(database, &keys, &mut take)?;
            cursor = next;
        }
        Ok(())
    }

    /// Those of the keys that it does not hold.
    pub fn missing(&mut self, database: &str, keys: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Stop> {
        self.select(database)?;
        let mut bytes = Vec::new();
        keys.iter().for_each(|key| encode_command(&[b"EXISTS", key.as_slice()], &mut bytes));
        self.connection.send(&bytes)?;
        let asked: Words = vec![b"EXISTS".to_vec()];
        let mut missing = Vec::new();
        for key in keys {
            missing.extend((self.connection.value(&asked)? == Value::Int(0)).then_some(key));
        }
        Ok(missing)
    }

    /// Gives these keys away with what they hold, some at a time.
    pub fn each(
        &mut self,
        database: &str,
        keys: &[Vec<u8>],
        mut take: impl FnMut(Vec<Entry>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut keys = keys;
        while !keys.is_empty() {
            let (some, rest) = keys.split_at(self.at_once.min(keys.len()));
            keys = rest;
            take(self.fetch(database, some)?)?;
        }
        Ok(())
    }

    /// What these keys hold.
    pub fn fetch(&mut self, database: &str, keys: &[Vec<u8>]) -> Result<Vec<Entry>, Stop> {
        self.select(database)?;
        let time: &[u8] = if self.is_exact { b"PEXPIRETIME" } else { b"PTTL" };
        let mut bytes = Vec::new();
        for key in keys {
            encode_command(&[time, key], &mut bytes);
            encode_command(&[b"DUMP", key.as_slice()], &mut bytes);
        }
        self.connection.send(&bytes)?;
        let entries = keys.iter().map(|key| self.entry(database, key)).collect::<Result<Vec<_>, Stop>>()?;
        let documents = entries.into_iter().map(|entry| self.with_document(entry));
        let entries = documents.collect::<Result<Vec<_>, Stop>>()?;
        let bytes: usize = entries.iter().map(|entry| entry.content.len()).sum();
        let fitting = ANSWER * keys.len() / bytes.max(1);
        self.at_once = fitting.clamp(1, (2 * self.at_once).min(AT_MOST));
        Ok(entries)
    }

    /// Hears what was asked of a key.
    fn entry(&mut self, database: &str, key: &[u8]) -> Result<Entry, Stop> {
        let asked: Words = vec![b"DUMP".to_vec()];
        let deadline = match self.connection.value(&asked)? {
            Value::Int(time @ 0..) if self.is_exact => Some(time.unsigned_abs()),
            Value::Int(left @ 0..) => Some(now() + left.unsigned_abs()),
            _ => None,
        };
        let content = match self.connection.reply(&asked)? {
            Value::Bulk(dumped) => Content::of_dump(dumped),
            Value::Error(why) if why.contains("documents cannot be dumped") => Content::Document(Vec::new()),
            Value::Error(why) => return Err(Stop::Server(format!("DUMP of \"{}\": {why}", key.escape_ascii()))),
            _ => Content::Gone,
        };
        Ok(Entry { database: database.to_owned(), key: key.to_vec(), deadline, content })
    }

    /// With the text of a document, which cannot be dumped.
    fn with_document(&mut self, mut entry: Entry) -> Result<Entry, Stop> {
        if matches!(entry.content, Content::Document(_)) {
            entry.content = match self.connection.ask(&[b"JSON.GET", &entry.key])? {
                Value::Bulk(text) => Content::Document(text),
                _ => Content::Gone,
            };
        }
        Ok(entry)
    }
}

/// Unix time in milliseconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
