//! `--scan` and `--bigkeys`: walks through all keys of a database, without holding anybody up.

use std::collections::BTreeMap;
use std::io::Write;

use mneme_kernel::resp::{Value, encode_command};

use super::Words;
use super::connection::Connection;
use super::output::Form;
use super::stop::Stop;

/// Keys that are asked for at once.
const COUNT: &str = "1000";

/// Which keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    pub pattern: Option<String>,
    pub kind: Option<String>,
}

impl Walk {
    /// Gives away all keys, some at a time. One that is there all the time comes at least once.
    fn each(
        &self,
        connection: &mut Connection,
        mut take: impl FnMut(&mut Connection, Vec<Value>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut cursor = Some(b"0".to_vec());
        while let Some(from) = cursor {
            let (next, keys) = self.step(connection, &from)?;
            take(connection, keys)?;
            cursor = next;
        }
        Ok(())
    }

    /// Some keys from this cursor on, and the next cursor; none behind the last.
    ///
    /// # Errors
    /// If the server cannot be asked.
    pub fn step(&self, connection: &mut Connection, cursor: &[u8]) -> Result<(Option<Vec<u8>>, Vec<Value>), Stop> {
        let mut words: Vec<&[u8]> = vec![&b"SCAN"[..], cursor, b"COUNT", COUNT.as_bytes()];
        for (option, value) in [(&b"MATCH"[..], &self.pattern), (&b"TYPE"[..], &self.kind)] {
            words.extend(value.iter().flat_map(|value| [option, value.as_bytes()]));
        }
        let Value::Array(answer) = connection.ask(&words)? else { return Ok((None, Vec::new())) };
        let mut answer = answer.into_iter();
        let next = answer.next().as_ref().and_then(Value::as_bytes).unwrap_or(b"0").to_vec();
        let keys = if let Some(Value::Array(keys)) = answer.next() { keys } else { Vec::new() };
        Ok(((next != b"0").then_some(next), keys))
    }
}

/// Prints every key.
///
/// # Errors
/// If the server cannot be asked.
pub fn scan(connection: &mut Connection, walk: &Walk, form: Form, mut out: impl Write) -> Result<(), Stop> {
    walk.each(connection, |_, keys| {
        let mut text = Vec::new();
        keys.iter().for_each(|key| form.write(key, &mut text));
        out.write_all(&text)?;
        Ok(())
    })?;
    out.flush()?;
    Ok(())
}

/// Of the keys of a type: how many, their bytes, and the largest.
#[derive(Debug, Default)]
struct Kind {
    keys: u64,
    bytes: u64,
    largest: (u64, Vec<u8>),
}

/// Prints how many keys of each type there are, what they take, and the largest of each.
///
/// # Errors
/// If the server cannot be asked.
pub fn big_keys(connection: &mut Connection, walk: &Walk, form: Option<Form>, mut out: impl Write) -> Result<(), Stop> {
    let mut kinds: BTreeMap<Vec<u8>, Kind> = BTreeMap::new();
    walk.each(connection, |connection, keys| {
        for Measured { key, kind, bytes } in measured(connection, keys)? {
            let known = kinds.entry(kind).or_default();
            known.keys += 1;
            known.bytes += bytes;
            if bytes >= known.largest.0 {
                known.largest = (bytes, key);
            }
        }
        Ok(())
    })?;
    let bulk = |bytes: &[u8]| Value::Bulk(bytes.to_vec());
    let rows = kinds.iter().map(|(kind, Kind { keys, bytes, largest })| {
        Value::Map(vec![
            (bulk(b"type"), bulk(kind)),
            (bulk(b"keys"), Value::Int(*keys as i64)),
            (bulk(b"bytes"), Value::Int(*bytes as i64)),
            (bulk(b"largest"), bulk(&largest.1)),
            (bulk(b"largest_bytes"), Value::Int(largest.0 as i64)),
        ])
    });
    let mut text = Vec::new();
    match form {
        Some(form) => form.write(&Value::Array(rows.collect()), &mut text),
        None if kinds.is_empty() => text.extend(b"no keys\n"),
        None => {
            for (kind, Kind { keys, bytes, largest }) in &kinds {
                let (kind, key) = (String::from_utf8_lossy(kind), largest.1.escape_ascii());
                let average = bytes / keys;
                let line = format!(
                    "{kind}: {keys} keys, {bytes} bytes, {average} a key; the largest has {}: \"{key}\"\n",
                    largest.0
                );
                text.extend(line.bytes());
            }
        }
    }
    out.write_all(&text)?;
    out.flush()?;
    Ok(())
}

/// A key, its type and what it takes.
struct Measured {
    key: Vec<u8>,
    kind: Vec<u8>,
    bytes: u64,
}

/// Keys with their type and what they take; without those that are gone by now.
fn measured(connection: &mut Connection, keys: Vec<Value>) -> Result<Vec<Measured>, Stop> {
    let keys: Vec<Vec<u8>> = keys.iter().filter_map(|key| key.as_bytes().map(<[u8]>::to_vec)).collect();
    let mut bytes = Vec::new();
    for key in &keys {
        encode_command(&[b"TYPE".as_slice(), key.as_slice()], &mut bytes);
        encode_command(&[b"MEMORY".as_slice(), b"USAGE", key.as_slice()], &mut bytes);
    }
    connection.send(&bytes)?;
    let asked: Words = vec![b"TYPE".to_vec()];
    let mut measured = Vec::new();
    for key in keys {
        let kind = connection.value(&asked)?;
        if let (Value::Int(bytes), Value::Simple(kind)) = (connection.value(&asked)?, kind) {
            measured.push(Measured { key, kind: kind.into_bytes(), bytes: bytes as u64 });
        }
    }
    Ok(measured)
}
