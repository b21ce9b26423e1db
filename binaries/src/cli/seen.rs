//! What a node says of itself and of its cluster.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use mneme_kernel::resp::Value;

use super::connection::Connection;
use super::fields::{fields, integer, text};
use super::stop::Stop;

/// What a node says.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub host: String,
    /// Of `INFO everything`.
    pub info: BTreeMap<String, String>,
    /// Of `CLUSTER STATUS`.
    pub primary: String,
    pub epoch: i64,
    pub voters: i64,
    pub lag: i64,
    pub keepers: Vec<Keeper>,
    /// How far its clock is ahead of the one here, milliseconds.
    pub ahead: i64,
    /// What is left of its certificate, seconds; `None` without TLS.
    pub certificate: Option<i64>,
}

/// One of the Keepers that a node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeper {
    pub name: String,
    /// `voter` or `learner`.
    pub role: String,
    pub leads: bool,
    /// The last entry that is known to be in its log, if its leader was asked.
    pub matched: Option<i64>,
}

impl Keeper {
    fn of(keeper: Value) -> Keeper {
        let keeper = fields(keeper);
        let word = |name: &str| keeper.get(name).map(text).unwrap_or_default();
        Keeper {
            name: word("name"),
            role: word("role"),
            leads: keeper.get("leader").is_some_and(|leads| integer(leads) == 1),
            matched: keeper.get("matched").filter(|matched| **matched != Value::Null).map(integer),
        }
    }
}

impl Seen {
    /// Asks it.
    ///
    /// # Errors
    /// If the connection is lost, or it refuses an answer.
    pub fn look(host: &str, connection: &mut Connection) -> Result<Seen, Stop> {
        let mut seen = Seen { host: host.to_owned(), ..Seen::default() };
        let before = unix_millis();
        if let Value::Array(time) = connection.ask(&[b"TIME"])? {
            let number = |at: usize| time.get(at).map_or(0, integer);
            seen.ahead = number(0) * 1000 + number(1) / 1000 - before.midpoint(unix_millis());
        }
        let info = connection.ask(&[b"INFO", b"everything"])?;
        let info = String::from_utf8_lossy(info.as_bytes().unwrap_or_default()).into_owned();
        let pairs = info.lines().filter_map(|line| line.split_once(':'));
        seen.info = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let status = fields(connection.ask(&[b"CLUSTER", b"STATUS"])?);
        let number = |name: &str| status.get(name).map_or(0, integer);
        (seen.epoch, seen.voters, seen.lag) = (number("epoch"), number("voters"), number("lag"));
        seen.primary = status.get("primary").map(text).unwrap_or_default();
        if let Some(Value::Array(keepers)) = status.get("keepers") {
            seen.keepers = keepers.iter().cloned().map(Keeper::of).collect();
        }
        seen.certificate = connection.certificate_ends().map(|ends| ends - unix_millis() / 1000);
        Ok(seen)
    }

    /// The names of the Keepers that do not vote.
    pub fn learners(&self) -> Vec<&str> {
        let learners = self.keepers.iter().filter(|keeper| keeper.role == "learner");
        learners.map(|keeper| keeper.name.as_str()).collect()
    }

    /// A number of `INFO`; 0 if it is not there.
    pub fn number(&self, name: &str) -> i64 {
        self.info.get(name).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// A word of `INFO`; empty if it is not there.
    pub fn text(&self, name: &str) -> &str {
        self.info.get(name).map_or("", String::as_str)
    }
}

/// Keys of all databases, by the lines of `INFO`.
pub fn keys<'a>(info: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let databases = info.filter(|(name, _)| name.strip_prefix("db").is_some_and(|n| n.parse::<u16>().is_ok()));
    databases.filter_map(|(_, value)| value.strip_prefix("keys=")?.split(',').next()?.parse::<u64>().ok()).sum()
}

/// Now, Unix time in milliseconds.
pub fn unix_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_databases_are_counted() {
        let info = [("db0", "keys=3,expires=0"), ("db17", "keys=4,expires=1"), ("dbx", "keys=9"), ("role", "master")];
        assert_eq!(keys(info.into_iter()), 7);
    }
}
