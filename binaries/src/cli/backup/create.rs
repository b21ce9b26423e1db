//! `backup create`: reads on in the log until a mark that was written after the reading began. So everything that was
//! acknowledged before is in it, whichever node is asked.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mneme_kernel::backup::{End, Outline};
use mneme_kernel::codec;
use mneme_kernel::effect::{Effect, Effects};
use mneme_kernel::resp::Value;

use super::file::Writer;
use super::{Facts, bar};
use crate::cli::connection::Connection;
use crate::cli::options::Options;
use crate::cli::stop::Stop;

/// How long nothing may come of what was written: then the node is cut off from its Keepers.
const SILENCE: Duration = Duration::from_secs(30);

/// How often the reading begins anew, because a snapshot has overtaken it.
const ATTEMPTS: u32 = 3;

pub(super) fn create(path: &Path, options: &Options) -> Result<Facts, Stop> {
    let mut connection = Connection::open(&options.target, &options.opening)?;
    let mut attempt = 1;
    loop {
        match attempt_once(path, &mut connection) {
            Err(Stop::Server(why)) if why.contains("begin again") && attempt < ATTEMPTS => attempt += 1,
            done => return done.map_err(|stop| stop.of_file(path)),
        }
    }
}

fn attempt_once(path: &Path, connection: &mut Connection) -> Result<Facts, Stop> {
    let mut writer = Writer::create(path)?;
    let bar = bar("backup", None);
    let made_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64);
    let mark = format!("mneme-backup-{made_at}-{}", std::process::id());
    let mut changes = 0;
    let (mut known, first) = read(connection, "NEXT")?;
    count(&first, &mark, &mut changes)?;
    writer.changes(&first)?;
    connection.ask(&[b"LOAD", b"MARK", mark.as_bytes()])?;
    let mut news = Instant::now();
    loop {
        let (index, bytes) = read(connection, "NEXT")?;
        if !bytes.is_empty() || index > known {
            (known, news) = (index, Instant::now());
        } else if news.elapsed() > SILENCE {
            return Err(Stop::Connection(format!(
                "no backup was made: the node hears nothing from its Keepers for {} s, ask another one",
                SILENCE.as_secs()
            )));
        }
        let marked = count(&bytes, &mark, &mut changes)?;
        writer.changes(&bytes)?;
        bar.set_position(writer.bytes());
        if marked {
            break;
        }
    }
    let (index, outline) = read(connection, "OUTLINE")?;
    connection.ask(&[b"BACKUP", b"END"])?;
    let outline: Outline = codec::decode_owned(&outline).map_err(|error| unknown(&error))?;
    let end = End { index, changes, made_at, version: env!("CARGO_PKG_VERSION").to_owned(), outline };
    let bytes = writer.finish(&end)?;
    bar.finish_and_clear();
    Ok(Facts::of(&end, bytes))
}

/// Counts changes; whether the mark is among them.
fn count(bytes: &[u8], mark: &str, changes: &mut u64) -> Result<bool, Stop> {
    let mut marked = false;
    for effect in Effects::new(bytes) {
        let effect = effect.map_err(|error| unknown(&error))?;
        *changes += 1;
        marked |= matches!(effect, Effect::Delete { key, .. } if key == mark.as_bytes());
    }
    Ok(marked)
}

fn unknown(error: &codec::CodecError) -> Stop {
    Stop::Connection(format!("the server sends what this program does not know, use one of its version: {error}"))
}

/// An index of the log, and what stands there.
fn read(connection: &mut Connection, what: &str) -> Result<(u64, Vec<u8>), Stop> {
    match connection.ask(&[b"BACKUP", what.as_bytes()])? {
        Value::Array(items) => match <[Value; 2]>::try_from(items) {
            Ok([Value::Int(index), Value::Bulk(bytes)]) => Ok((index as u64, bytes)),
            _ => Err(Stop::Connection("the server's answer to BACKUP is not understood".to_owned())),
        },
        _ => Err(Stop::Connection("the server's answer to BACKUP is not understood".to_owned())),
    }
}
