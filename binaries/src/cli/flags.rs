//! The flags that programs share which talk to a server.

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches};

use super::Words;
use super::dial::Target;
use super::stop::Stop;
use super::trust::Trust;
use crate::address::HostPort;

/// A flag without a value.
pub fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

/// A flag with one.
pub fn value(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

/// The flags that say where the server is, whom to trust, and who asks; [`target`] and [`login`] read them.
pub fn whereto() -> [Arg; 7] {
    [
        value("host", "HOST:PORT[,HOST:PORT]", "Servers, tried in turn; an IPv6 address in brackets")
            .short('H')
            .default_value("127.0.0.1:6379"),
        value("unix-socket", "PATH", "A server's socket on this machine, no TLS")
            .value_parser(ValueParser::path_buf())
            .conflicts_with_all(["host", "insecure", "ca-cert"]),
        flag("insecure", "Do not verify who the server is"),
        value("ca-cert", "FILE", "Trust this CA, PEM; else ./mneme-data/ca.crt if there, else the system's roots")
            .value_parser(ValueParser::path_buf())
            .conflicts_with("insecure"),
        value("user", "NAME", "Log in as this user").short('u'),
        value("pass", "PASSWORD", "Seen by every user of this machine: prefer MNEME_PASSWORD or --askpass")
            .short('p')
            .conflicts_with("askpass"),
        flag("askpass", "Ask for the password"),
    ]
}

/// Where the server is.
///
/// # Errors
/// If that is malformed.
pub fn target(flags: &ArgMatches) -> Result<Target, Stop> {
    if let Some(path) = flags.get_one::<PathBuf>("unix-socket") {
        return Ok(Target::Socket(path.clone()));
    }
    let list = flags.get_one::<String>("host").map_or("", String::as_str);
    let hosts: Result<_, String> = list.split(',').map(|h| HostPort::parse(h, Some(6379))).collect();
    Ok(Target::Hosts {
        hosts: hosts.map_err(|problem| Stop::Usage(format!("--host: {problem}")))?,
        trust: Trust::choose(flags.get_flag("insecure"), flags.get_one::<PathBuf>("ca-cert")),
    })
}

/// The command by which somebody logs in, if somebody does; `environment` is the password that is found there.
///
/// # Errors
/// If a user has no password, or nobody can be asked for it.
pub fn login(flags: &ArgMatches, environment: Option<String>) -> Result<Option<Words>, Stop> {
    // AUTH stands alone, not inside HELLO: only so can the server choose the user that a password alone means.
    match (flags.get_one::<String>("user"), password_of(flags, environment)?) {
        (Some(user), Some(password)) => Ok(Some(words_of(&["AUTH", user, &password]))),
        (None, Some(password)) => Ok(Some(words_of(&["AUTH", &password]))),
        (Some(_), None) => {
            let mend = "--user: no password; use MNEME_PASSWORD, --askpass or --pass";
            Err(Stop::Usage(mend.to_owned()))
        }
        (None, None) => Ok(None),
    }
}

/// The password that the flags give or ask for, else the environment's.
fn password_of(flags: &ArgMatches, environment: Option<String>) -> Result<Option<String>, Stop> {
    Ok(match (flags.get_one::<String>("pass"), flags.get_flag("askpass")) {
        (Some(given), _) => Some(given.clone()),
        (None, true) => Some(rpassword::prompt_password("Password: ")?),
        (None, false) => environment,
    })
}

/// A command, as it is sent.
pub fn words_of(words: &[&str]) -> Words {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}
