//! Where a Redis is that keys are read from.

use std::fmt;

use crate::address::HostPort;
use crate::cli::Words;
use crate::cli::connection::Connection;
use crate::cli::dial::{Dialled, Dialler, Target};
use crate::cli::stop::Stop;
use crate::cli::trust::Trust;

/// Where a Redis is, and who asks: `redis://[USER:PASSWORD@]HOST[:PORT]`, `rediss://` by TLS.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) host: HostPort,
    is_tls: bool,
    user: Option<String>,
    password: Option<String>,
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password.
        write!(f, "{self}")
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "rediss" } else { "redis" }, self.host)
    }
}

impl Url {
    /// `None` of what is no such address, but a file's name.
    pub(super) fn parse(text: &str) -> Result<Option<Url>, String> {
        let (is_tls, rest) = match (text.strip_prefix("redis://"), text.strip_prefix("rediss://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Ok(None),
        };
        let (login, host) = rest.rsplit_once('@').map_or((None, rest), |(login, host)| (Some(login), host));
        let host = host.trim_end_matches('/');
        if host.contains('/') {
            return Err("import: an address names no database: all are imported, --database A=B maps them".to_owned());
        }
        let host = HostPort::parse(host, Some(6379)).map_err(|problem| format!("import: {problem}"))?;
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            None => (None, None),
            Some((user, password)) => (Some(user), Some(password)),
        };
        let plain = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(unescaped).transpose();
        Ok(Some(Url { host, is_tls, user: plain(user)?, password: plain(password)? }))
    }

    /// Connects and logs in.
    pub(super) fn open(&self, trust: &Trust) -> Result<Connection, Stop> {
        let target = match self.is_tls {
            true => Target::Hosts { hosts: vec![self.host.clone()], trust: trust.clone() },
            false => Target::Plain(vec![self.host.clone()]),
        };
        let password = self.password.clone().or_else(|| std::env::var("MNEME_SOURCE_PASSWORD").ok());
        let opening: Vec<Words> = match (&self.user, password) {
            (_, None) => Vec::new(),
            (None, Some(password)) => vec![vec![b"AUTH".to_vec(), password.into()]],
            (Some(user), Some(password)) => vec![vec![b"AUTH".to_vec(), user.clone().into(), password.into()]],
        };
        let dialled = Dialler::new(target)?.dial(0)?;
        begun(dialled, &opening).map_err(|stop| match stop {
            // So it looks from here where the other side expects TLS.
            Stop::Connection(why) if !self.is_tls => Stop::Connection(format!(
                "{why}\nif TLS is spoken there, the address begins with rediss:// (and not redis://)"
            )),
            stop => of_source(self, stop),
        })
    }
}

/// Logs in, and hears whether it is a Redis at all.
fn begun(dialled: Dialled, opening: &[Words]) -> Result<Connection, Stop> {
    let mut connection = Connection::begin(dialled, opening)?;
    match connection.ask(&[b"PING"]) {
        // Also what is refused is the protocol.
        Ok(_) | Err(Stop::Server(_)) => Ok(connection),
        Err(stop) => Err(stop),
    }
}

/// An error that says that it is the source's.
pub(super) fn of_source(url: &Url, stop: Stop) -> Stop {
    match stop {
        Stop::Server(why) => Stop::Server(format!("{url}: {why}")),
        stop => stop,
    }
}

/// The text that `%40` and its kin stand in.
fn unescaped(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| (digit? as char).to_digit(16));
                let [Some(high), Some(low)] = digits else {
                    return Err("import: behind % stand two hexadecimal digits".to_owned());
                };
                (high << 4 | low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| "import: user and password are text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_names_of_files() {
        let url = Url::parse("rediss://a%40b:p%3aw@h.example:1/").expect("good").expect("an address");
        let host = HostPort { host: "h.example".to_owned(), port: 1 };
        assert_eq!(url, Url { host, is_tls: true, user: Some("a@b".into()), password: Some("p:w".into()) });
        assert_eq!(format!("{url:?}"), "rediss://h.example:1");
        let url = Url::parse("redis://:p@h").expect("good").expect("an address");
        assert_eq!((url.user, url.password.as_deref(), url.host.port), (None, Some("p"), 6379));
        assert_eq!(Url::parse("dump.rdb"), Ok(None));
        for wrong in ["redis://", "redis://h:x", "redis://h/3", "redis://a%4:p@h", "redis://a:b@"] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }
}
