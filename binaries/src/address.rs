//! `HOST:PORT` as people write it: `localhost:6379`, `10.0.0.1:6379`, `[::1]:6379`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// A host, by name or address, and a port. Nothing is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
}

impl HostPort {
    /// Reads `HOST:PORT`, or `HOST` alone if there is a default port.
    ///
    /// # Errors
    /// If a part is missing or malformed; the message says what was expected.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<HostPort, String> {
        let bad = || format!("\"{text}\" is not HOST:PORT");
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(bad)?;
                host.parse::<Ipv6Addr>().map_err(|_| bad())?;
                let port = rest.strip_prefix(':');
                if port.is_none() && !rest.is_empty() {
                    return Err(bad());
                }
                (host, port)
            }
            None if text.parse::<Ipv6Addr>().is_ok() => {
                return Err(format!("\"{text}\" needs brackets: \"[{text}]:{}\"", default_port.unwrap_or(6379)));
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/' || c == '@') {
            return Err(bad());
        }
        let port = match port {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| bad())?,
            Some(_) => return Err(bad()),
            None => default_port.ok_or_else(bad)?,
        };
        let host = host.to_owned();
        Ok(HostPort { host, port })
    }

    /// Whether the host is `0.0.0.0`, `::` or `*`: something to listen on, nothing to dial.
    pub fn is_wildcard(&self) -> bool {
        let unspecified = |ip: IpAddr| ip.to_canonical().is_unspecified();
        self.host == "*" || self.host.parse().is_ok_and(unspecified)
    }

    /// Every address of the host, in the resolver's order.
    ///
    /// # Errors
    /// If the name has no address, or cannot be looked up.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        let found: Vec<_> = (self.host.as_str(), self.port).to_socket_addrs().map_err(|e| e.to_string())?.collect();
        match found.is_empty() {
            true => Err("the name has no address".to_owned()),
            false => Ok(found),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read_as_written() {
        for (text, host, port) in [
            ("localhost:6379", "localhost", 6379),
            ("n1.example:1", "n1.example", 1),
            ("0.0.0.0:0", "0.0.0.0", 0),
            ("[::1]:7379", "::1", 7379),
            ("n1", "n1", 99),
            ("[::1]", "::1", 99),
        ] {
            let got = HostPort::parse(text, Some(99)).expect(text);
            assert_eq!((got.host.as_str(), got.port), (host, port), "{text}");
        }
        for text in [
            "",
            ":1",
            "a:",
            "a:b",
            "a:-1",
            "a:+1",
            "a:65536",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]1",
            "[a]:1",
            "a b:1",
            "tls://a:1",
            "n1",
        ] {
            assert!(HostPort::parse(text, None).is_err(), "{text}");
        }
    }

    #[test]
    fn an_ipv6_address_is_shown_with_brackets() {
        assert_eq!(HostPort::parse("[fe80::1]:5", None).expect("valid").to_string(), "[fe80::1]:5");
    }

    #[test]
    fn wildcards_are_known() {
        for (text, wildcard) in [
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("[::ffff:0.0.0.0]:1", true),
            ("*:1", true),
            ("127.0.0.1:1", false),
            ("n1:1", false),
        ] {
            assert_eq!(HostPort::parse(text, None).expect(text).is_wildcard(), wildcard, "{text}");
        }
    }
}
