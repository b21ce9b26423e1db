//! Whether a running Redis tells what changes.

use std::io::{self, Write};

use mneme_kernel::resp::Value;

use crate::cli::keys::Source;
use crate::cli::stop::Stop;

/// The source's setting that has it tell what changes.
#[derive(Debug, Default)]
pub(super) struct Notifications {
    /// What it was, if it was changed.
    before: Option<Vec<u8>>,
}

impl Notifications {
    /// Sees that it tells all changes by keys, or has it do so if that is allowed.
    pub(super) fn see(source: &mut Source, may_set: bool) -> Result<Notifications, Stop> {
        const SETTING: &[u8] = b"notify-keyspace-events";
        let before = match source.connection.ask(&[b"CONFIG", b"GET", SETTING]) {
            Ok(Value::Array(pair)) => pair.get(1).and_then(Value::as_bytes).unwrap_or_default().to_vec(),
            Ok(_) => Vec::new(),
            Err(Stop::Server(why)) => {
                let _ = writeln!(
                    io::stderr(),
                    "it cannot be seen whether notify-keyspace-events has K and A ({why}): if not, what changes is found \
                     only when all is compared in the end"
                );
                return Ok(Notifications::default());
            }
            Err(stop) => return Err(stop),
        };
        let has = |flag: u8| before.contains(&flag);
        if has(b'K') && (has(b'A') || b"g$lshzxet".iter().all(|flag| has(*flag))) {
            return Ok(Notifications::default());
        }
        if !may_set {
            return Err(Stop::Server(format!(
                "its notify-keyspace-events is \"{}\", so it does not tell what changes: --set-notifications sets it for as \
                 long as this lasts, or do it yourself: CONFIG SET notify-keyspace-events KA; or --once, if nothing changes",
                before.escape_ascii()
            )));
        }
        let more: Vec<u8> = b"KA".iter().copied().filter(|flag| !has(*flag)).collect();
        source.connection.ask(&[b"CONFIG", b"SET", SETTING, &[before.clone(), more].concat()])?;
        Ok(Notifications { before: Some(before) })
    }

    /// Sets it as it was.
    pub(super) fn put_back(self, source: &mut Source) {
        let Some(before) = self.before else { return };
        if source.connection.ask(&[b"CONFIG", b"SET", b"notify-keyspace-events", &before]).is_err() {
            let _ = writeln!(
                io::stderr(),
                "the source's notify-keyspace-events could not be put back: it was \"{}\"",
                before.escape_ascii()
            );
        }
    }
}
