//! The forms in which values are written. Every error quotes the value and says what was expected.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mneme_kernel::agreed;
use mneme_kernel::level::Level;
use tracing::level_filters::LevelFilter;

use crate::address::HostPort;

/// What is wrong with a value.
pub type Parsed<T> = Result<T, String>;

pub fn path(text: &str) -> Parsed<PathBuf> {
    Ok(PathBuf::from(text))
}

/// A name that stands in logs, metrics and replies, so it is a single plain word.
pub fn name(text: &str) -> Parsed<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match text.len() <= 64 && !text.is_empty() && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("\"{text}\" is not a name of up to 64 letters, digits, dots, dashes and underscores")),
    }
}

/// An address to listen on. A name is resolved, to its IPv4 address if it has one.
pub fn listen(text: &str) -> Parsed<SocketAddr> {
    let address = HostPort::parse(text, None)?;
    let found = address.resolve().map_err(|problem| format!("\"{text}\": {problem}"))?;
    let best = found.iter().find(|a| a.is_ipv4()).or(found.first());
    best.copied().ok_or_else(|| format!("\"{text}\" has no address"))
}

/// An address that others dial.
pub fn dial(text: &str) -> Parsed<HostPort> {
    let address = HostPort::parse(text, None)?;
    if address.is_wildcard() {
        return Err(format!("\"{text}\" is a wildcard, which nobody can dial; name a host"));
    }
    match address.port {
        0 => Err(format!("\"{text}\" has no port that could be dialled")),
        _ => Ok(address),
    }
}

/// `a,b,c`, each as `item` reads it.
pub fn list<T>(item: impl Fn(&str) -> Parsed<T>) -> impl Fn(&str) -> Parsed<Vec<T>> {
    move |text| text.split(',').map(|part| item(part.trim())).collect()
}

/// A name in a certificate: a host name or an address.
pub fn san(text: &str) -> Parsed<String> {
    match rustls::pki_types::ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("\"{text}\" is neither a host name nor an address")),
    }
}

/// At least one.
pub fn count<T: TryFrom<u64>>(text: &str) -> Parsed<T> {
    let number = text.parse::<u64>().ok().filter(|n| *n > 0).and_then(|n| T::try_from(n).ok());
    number.ok_or_else(|| format!("\"{text}\" is not a number from 1 up"))
}

/// A format that this program writes.
pub fn format(text: &str) -> Parsed<u32> {
    let known = text.parse().ok().filter(|format| (agreed::OLDEST..=agreed::NEWEST).contains(format));
    known.ok_or_else(|| format!("\"{text}\" is no format from {} to {}", agreed::OLDEST, agreed::NEWEST))
}

/// `500ms`, `5s`, `15m`, `2h`.
pub fn duration(text: &str) -> Parsed<Duration> {
    let (number, unit) = number_and_unit(text);
    let milliseconds: Option<u64> = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60 * 1000),
        "h" => Some(60 * 60 * 1000),
        "d" => Some(24 * 60 * 60 * 1000),
        _ => None,
    };
    let total = number.zip(milliseconds).and_then(|(n, ms)| n.checked_mul(ms));
    let total = total.ok_or_else(|| format!("\"{text}\" is not a time such as 500ms, 5s or 15m"))?;
    Ok(Duration::from_millis(total))
}

/// Bytes as Redis writes them: `k` is 1000, `kb` is 1024, in either case.
pub fn bytes(text: &str) -> Parsed<u64> {
    let (number, unit) = number_and_unit(text);
    let scale: Option<u64> = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" => Some(1000),
        "kb" => Some(1 << 10),
        "m" => Some(1_000_000),
        "mb" => Some(1 << 20),
        "g" => Some(1_000_000_000),
        "gb" => Some(1 << 30),
        _ => None,
    };
    let total = number.zip(scale).and_then(|(n, scale)| n.checked_mul(scale));
    total.ok_or_else(|| format!("\"{text}\" is not a size such as 1048576, 512mb or 2gb"))
}

fn number_and_unit(text: &str) -> (Option<u64>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number.parse().ok(), unit)
}

/// A file mode in octal, up to `0777`.
pub fn file_mode(text: &str) -> Parsed<u32> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|m| *m <= 0o777 && !text.starts_with('+'));
    mode.ok_or_else(|| format!("\"{text}\" is not an octal file mode such as 0600"))
}

/// One of a few words, in any case.
pub fn word<T: Copy>(choices: &[(&str, T)]) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            format!("\"{text}\" is none of {}", words.join(", "))
        })
    }
}

pub fn level(text: &str) -> Parsed<Level> {
    let level = Level::parse(text.as_bytes());
    level.ok_or_else(|| format!("\"{text}\" is none of eventual, quorum, all"))
}

pub fn log_level(text: &str) -> Parsed<LevelFilter> {
    word(&[
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ])(text)
}
