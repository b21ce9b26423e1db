//! The model's commands and replies in the form that the server speaks.

use mneme_kernel::resp::Value;

use crate::history::Level;
use crate::model::{Command, Datum, DeadlineCondition, Key, Lifetime, Presence, Reply};

/// A command that is to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    pub command: Command,
    /// `None` is the server's default, `QUORUM`.
    pub level: Option<Level>,
    /// Bytes of each text that it writes.
    pub text: usize,
    /// Whether it goes by its other name, if it has two.
    pub other_name: bool,
}

/// What a request sends, message by message; the answer to the last one is its answer.
pub fn messages(request: &Request) -> Vec<Vec<Vec<u8>>> {
    let alone = |word: &str| vec![word.as_bytes().to_vec()];
    let inner = |commands: &[Command]| {
        let arguments = |command| arguments(command, None, request.text, request.other_name);
        commands.iter().map(arguments).collect::<Vec<_>>()
    };
    match &request.command {
        Command::Block(_, commands) => [vec![alone("MULTI")], inner(commands), vec![alone("EXEC")]].concat(),
        Command::Discard(commands) => [vec![alone("MULTI")], inner(commands), vec![alone("DISCARD")]].concat(),
        command => vec![arguments(command, request.level, request.text, request.other_name)],
    }
}

/// What the server calls the commands of a request.
pub fn names(request: &Request) -> Vec<&'static str> {
    let known = |message: Vec<Vec<u8>>| {
        message.iter().take(3).find_map(|word| COMMANDS.into_iter().find(|name| name.as_bytes() == word))
    };
    let names = messages(&Request { level: None, ..request.clone() }).into_iter().filter_map(known).collect();
    match request.command {
        Command::Walk(_) => vec!["SCAN"],
        _ => names,
    }
}

/// Every command that the workload draws.
#[rustfmt::skip]
pub const COMMANDS: [&str; 52] = [
    "APPEND", "BITCOUNT", "COPY", "DBSIZE", "DECR", "DECRBY", "DEL", "DISCARD", "EXEC", "EXISTS", "EXPIRE", "EXPIREAT",
    "EXPIRETIME", "FLUSHALL", "FLUSHDB", "GET", "GETBIT", "GETDEL", "GETEX", "GETRANGE", "GETSET", "INCR", "INCRBY",
    "INCRBYFLOAT", "KEYS", "MGET", "MOVE", "MSET", "MSETNX", "MULTI", "PERSIST", "PEXPIRE", "PEXPIREAT", "PEXPIRETIME",
    "PSETEX", "PTTL", "RANDOMKEY", "RENAME", "RENAMENX", "SCAN", "SET", "SETBIT", "SETEX", "SETNX", "SETRANGE",
    "STRLEN", "SUBSTR", "SWAPDB", "TOUCH", "TTL", "UNLINK", "WATCH",
];

/// A command as its arguments. `level` is named if it is given; `text` is how long a text is, in bytes. Where a command
/// has two names, `other_name` chooses.
fn arguments(command: &Command, level: Option<Level>, text: usize, other_name: bool) -> Vec<Vec<u8>> {
    let mut args: Vec<Vec<u8>> = Vec::new();
    let mut push = |arg: &[u8]| args.push(arg.into());
    match level {
        Some(Level::Eventual) => [&b"CONSISTENCY"[..], b"EVENTUAL"].map(&mut push),
        Some(Level::Quorum) => [&b"consistency"[..], b"quorum"].map(&mut push),
        Some(Level::All) => [&b"CONSISTENCY"[..], b"all"].map(&mut push),
        None => [(), ()],
    };
    let mut raw: Vec<Vec<u8>> = Vec::new();
    let mut push = |arg: &str| raw.push(arg.into());
    let either = |usual: &'static str, other: &'static str| if other_name { other } else { usual };
    match command {
        Command::Set { key, datum, lifetime: Lifetime::In(millis), presence: Presence::Any, get: false }
            if other_name =>
        {
            match millis % 1000 {
                0 => ["SETEX", &key_name(*key), &(millis / 1000).to_string()].into_iter().for_each(&mut push),
                _ => ["PSETEX", &key_name(*key), &millis.to_string()].into_iter().for_each(&mut push),
            }
            raw.push(written(datum, text));
        }
        Command::Set { key, datum, lifetime: Lifetime::Forever, presence: Presence::Any, get: true } if other_name => {
            ["GETSET", &key_name(*key)].into_iter().for_each(&mut push);
            raw.push(written(datum, text));
        }
        Command::Set { key, datum, lifetime, presence, get } => {
            push("SET");
            push(&key_name(*key));
            raw.push(written(datum, text));
            let mut push = |arg: &str| raw.push(arg.into());
            lived(*lifetime, &mut push);
            match presence {
                Presence::Any => {}
                Presence::Absent => push("NX"),
                Presence::Present => push("xx"),
            }
            if *get {
                push("GET");
            }
        }
        Command::Get(key) => ["GET", &key_name(*key)].into_iter().for_each(push),
        Command::MultiGet(keys) => with_keys("MGET", keys, push),
        Command::MultiSet(pairs) => {
            push("MSET");
            raw.extend(pairs.iter().flat_map(|(key, datum)| [key_name(*key).into_bytes(), written(datum, text)]));
        }
        Command::Delete(keys) => with_keys(either("DEL", "UNLINK"), keys, push),
        Command::Exists(keys) => with_keys(either("EXISTS", "TOUCH"), keys, push),
        Command::Increment { key, by: 1 } => ["INCR", &key_name(*key)].into_iter().for_each(push),
        Command::Increment { key, by: -1 } => ["DECR", &key_name(*key)].into_iter().for_each(push),
        Command::Increment { key, by: -2 } => ["DECRBY", &key_name(*key), "2"].into_iter().for_each(push),
        Command::Increment { key, by } => ["INCRBY", &key_name(*key), &by.to_string()].into_iter().for_each(push),
        Command::Expire { key, millis, condition } => {
            let key = key_name(*key);
            match millis % 1000 {
                0 => ["EXPIRE", &key, &(millis / 1000).to_string()].into_iter().for_each(&mut push),
                _ => ["PEXPIRE", &key, &millis.to_string()].into_iter().for_each(&mut push),
            }
            match condition {
                DeadlineCondition::Always => {}
                DeadlineCondition::None => push("NX"),
                DeadlineCondition::Some => push("XX"),
                DeadlineCondition::Later => push("GT"),
                DeadlineCondition::Earlier => push("LT"),
            }
        }
        Command::Persist(key) => ["PERSIST", &key_name(*key)].into_iter().for_each(push),
        Command::TimeLeft { key, seconds: true } => ["TTL", &key_name(*key)].into_iter().for_each(push),
        Command::TimeLeft { key, seconds: false } => ["PTTL", &key_name(*key)].into_iter().for_each(push),
        Command::Size(_) => push("DBSIZE"),
        Command::Flush(_) => push("FLUSHDB"),
        Command::FlushAll => push("FLUSHALL"),
        Command::Keys(_) => ["KEYS", "*"].into_iter().for_each(push),
        Command::RandomKey(_) => push("RANDOMKEY"),
        Command::Swap(a, b) => ["SWAPDB", &a.to_string(), &b.to_string()].into_iter().for_each(push),
        Command::SetAbsent(key, datum) => {
            ["SETNX", &key_name(*key)].into_iter().for_each(push);
            raw.push(written(datum, text));
        }
        Command::MultiSetAbsent(pairs) => {
            push("MSETNX");
            raw.extend(pairs.iter().flat_map(|(key, datum)| [key_name(*key).into_bytes(), written(datum, text)]));
        }
        Command::GetDelete(key) => ["GETDEL", &key_name(*key)].into_iter().for_each(push),
        Command::GetExpire(key, lifetime) => {
            ["GETEX", &key_name(*key)].into_iter().for_each(&mut push);
            match lifetime {
                Lifetime::Forever => push("PERSIST"),
                Lifetime::Keep => {}
                _ => lived(*lifetime, &mut push),
            }
        }
        Command::ExpireAt(key, at) if at % 1000 == 0 => {
            ["EXPIREAT", &key_name(*key), &(at / 1000).to_string()].into_iter().for_each(push);
        }
        Command::ExpireAt(key, at) => ["PEXPIREAT", &key_name(*key), &at.to_string()].into_iter().for_each(push),
        Command::ExpireTime { key, seconds: true } => ["EXPIRETIME", &key_name(*key)].into_iter().for_each(push),
        Command::ExpireTime { key, seconds: false } => ["PEXPIRETIME", &key_name(*key)].into_iter().for_each(push),
        Command::Rename { from, to, only_absent } => {
            let name = if *only_absent { "RENAMENX" } else { "RENAME" };
            [name, &key_name(*from), &key_name(*to)].into_iter().for_each(push);
        }
        Command::Copy { from, to, replace } => {
            ["COPY", &key_name(*from), &key_name(*to)].into_iter().for_each(&mut push);
            if from.database != to.database {
                ["DB", &to.database.to_string()].into_iter().for_each(&mut push);
            }
            if *replace {
                push("REPLACE");
            }
        }
        Command::Move(key, to) => ["MOVE", &key_name(*key), &to.to_string()].into_iter().for_each(push),
        Command::Append(key, more) => {
            ["APPEND", &key_name(*key)].into_iter().for_each(push);
            raw.push(more.clone());
        }
        Command::SetRange(key, offset, new) => {
            ["SETRANGE", &key_name(*key), &offset.to_string()].into_iter().for_each(push);
            raw.push(new.clone());
        }
        Command::GetRange(key, from, to) => {
            let name = either("GETRANGE", "SUBSTR");
            [name, &key_name(*key), &from.to_string(), &to.to_string()].into_iter().for_each(push);
        }
        Command::Length(key) => ["STRLEN", &key_name(*key)].into_iter().for_each(push),
        Command::SetBit(key, position, on) => {
            let on = if *on { "1" } else { "0" };
            ["SETBIT", &key_name(*key), &position.to_string(), on].into_iter().for_each(push);
        }
        Command::GetBit(key, position) => {
            ["GETBIT", &key_name(*key), &position.to_string()].into_iter().for_each(push);
        }
        Command::CountBits(key) => ["BITCOUNT", &key_name(*key)].into_iter().for_each(push),
        Command::IncrementHalves(key, by) => {
            let by = format!("{:.1}", *by as f64 / 2.0);
            ["INCRBYFLOAT", &key_name(*key), &by].into_iter().for_each(push);
        }
        Command::Watch(_, keys) => with_keys("WATCH", keys, push),
        Command::Walk(_) | Command::Block(..) | Command::Discard(_) => unreachable!("it is more than one message"),
    }
    args.extend(raw);
    args
}

/// How long a key shall live, as an option. Both units are spoken.
fn lived(lifetime: Lifetime, push: &mut impl FnMut(&str)) {
    let (option, n) = match lifetime {
        Lifetime::Forever => return,
        Lifetime::Keep => return push("KEEPTTL"),
        Lifetime::In(millis) if millis % 1000 == 0 => ("EX", millis / 1000),
        Lifetime::In(millis) => ("PX", millis),
        Lifetime::At(millis) if millis % 1000 == 0 => ("EXAT", (millis / 1000) as i64),
        Lifetime::At(millis) => ("PXAT", millis as i64),
    };
    push(option);
    push(&n.to_string());
}

fn key_name(key: Key) -> String {
    format!("key:{}", key.number)
}

fn with_keys(name: &str, keys: &[Key], mut push: impl FnMut(&str)) {
    push(name);
    keys.iter().for_each(|key| push(&key_name(*key)));
}

/// A datum as it is stored. A text carries its length and is filled so that any change of it shows.
fn written(datum: &Datum, text: usize) -> Vec<u8> {
    match datum {
        Datum::Number(n) => n.to_string().into_bytes(),
        Datum::Text(bytes) => bytes.clone(),
        Datum::Word(n) => {
            let mut written = format!("w{n}:{text}:");
            let filling = n.to_string();
            written.extend(filling.chars().cycle().take(text));
            written.into_bytes()
        }
    }
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Reply(Reply),
    /// Certainly not executed.
    Loading,
    /// Its fate is not known; if it was executed, whether that lasts.
    Uncertain,
    /// It lasts, and its level, `ALL`, is out of reach.
    NoQuorum,
}

/// Reads an answer.
///
/// # Errors
/// If no server that keeps what it is given answers so.
pub fn answer(command: &Command, value: &Value) -> Result<Answer, String> {
    let wrong = || format!("an answer that the command does not have: {value:.200?}");
    let number = |item: &Value| match item {
        Value::Bulk(name) => key_number(name).ok_or_else(wrong),
        _ => Err(wrong()),
    };
    Ok(Answer::Reply(match value {
        Value::Bulk(_) if matches!(command, Command::RandomKey(_)) => Reply::Keys([number(value)?].into()),
        Value::Array(items) if matches!(command, Command::Keys(_)) => {
            Reply::Keys(items.iter().map(number).collect::<Result<_, _>>()?)
        }
        Value::Array(items) if let Command::Block(_, commands) = command => {
            let inner = commands.iter().zip(items).map(|(command, item)| match answer(command, item)? {
                Answer::Reply(reply) => Ok(reply),
                Answer::Loading => Ok(Reply::Refused),
                Answer::Uncertain | Answer::NoQuorum => Err(wrong()),
            });
            Reply::Block(inner.collect::<Result<_, _>>()?)
        }
        Value::Simple(text) if text == "OK" => Reply::Ok,
        Value::Null => Reply::Nil,
        Value::Int(n) => Reply::Number(*n),
        Value::Bulk(bytes) => Reply::Datum(datum(bytes).ok_or_else(wrong)?),
        Value::Array(items) => {
            let data = items.iter().map(|item| match item {
                Value::Null => Ok(None),
                Value::Bulk(bytes) => datum(bytes).map(Some).ok_or_else(wrong),
                _ => Err(wrong()),
            });
            Reply::Data(data.collect::<Result<_, _>>()?)
        }
        // Both say that the command was not executed.
        Value::Error(text)
            if text.starts_with("LOADING ")
                || text.starts_with("NOQUORUM not executed")
                || text.starts_with("EXECABORT ")
                || text.starts_with("OOM command not allowed") =>
        {
            return Ok(Answer::Loading);
        }
        Value::Error(text) if text.starts_with("UNCERTAIN ") => return Ok(Answer::Uncertain),
        Value::Error(text) if text.starts_with("NOQUORUM on disk") => return Ok(Answer::NoQuorum),
        Value::Error(text) if text == "ERR value is not an integer or out of range" => Reply::NotANumber,
        Value::Error(text) if text == "ERR value is not a valid float" => Reply::NotAFloat,
        Value::Error(text) if text == "ERR no such key" => Reply::NoSuchKey,
        Value::Error(text) if text == "ERR increment or decrement would overflow" => Reply::Overflow,
        _ => return Err(wrong()),
    }))
}

/// The number of a key by its name.
pub fn key_number(name: &[u8]) -> Option<u16> {
    std::str::from_utf8(name).ok()?.strip_prefix("key:")?.parse().ok()
}

/// What is stored in these bytes; `None` if no client has written them so.
pub fn datum(bytes: &[u8]) -> Option<Datum> {
    let Some(word) = bytes.strip_prefix(b"w") else { return Some(Datum::of_bytes(bytes)) };
    let word = std::str::from_utf8(word).ok()?;
    let mut parts = word.splitn(3, ':');
    let n = parts.next()?.parse().ok()?;
    let length = parts.next()?.parse().ok()?;
    (written(&Datum::Word(n), length) == bytes).then_some(Datum::Word(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_only_if_it_is_whole() {
        for datum in [Datum::Word(17), Datum::Number(-3)] {
            let text = written(&datum, 9);
            assert_eq!(super::datum(&text), Some(datum.clone()));
            assert_ne!(super::datum(&text[..text.len() - 1]), Some(datum));
        }
        assert_eq!(super::datum(b"w17:9:171717178"), None);
    }

    /// Of the server's commands about data, those that the workload does not draw.
    const NOT_DRAWN: [(&[&str], &str); 4] = [
        (
            &[
                "bitfield",
                "bitfield_ro",
                "bitop",
                "bitpos",
                "lcs",
                "type",
                "object",
                "sort",
                "sort_ro",
                "dump",
                "restore",
            ],
            "scripts/compare-redis compares them; they write as SETBIT and SET do, or what collections are made by",
        ),
        (&["wait", "waitaof", "memory", "time"], "they answer nothing about the content of keys"),
        (&["unwatch"], "DISCARD and EXEC forget what is watched as well"),
        (
            &[
                "auth",
                "consistency",
                "echo",
                "hello",
                "ping",
                "quit",
                "reset",
                "select",
                "command",
                "role",
                "lastsave",
                "info",
                "client",
                "acl",
                "readonly",
                "readwrite",
                "lolwut",
                "cluster",
            ],
            "about the connection or the server, not about data",
        ),
    ];

    /// Groups of commands that the workload does not draw yet. Queues are a workload of their own; each type is held
    /// against a model in `kernel/tests/collections.rs` and its kin, through logs and snapshots in `kernel/tests/effects`, and against
    /// Redis by `scripts/compare-redis`.
    const OTHER_TYPES: [&str; 8] = ["geo", "hash", "hyperloglog", "list", "pubsub", "set", "sorted-set", "stream"];

    #[test]
    fn every_command_is_drawn_or_there_is_a_reason() {
        let table = mneme_kernel::commands::Commands::default();
        for (number, command) in table.all().iter().enumerate() {
            if command.access == mneme_kernel::commands::Access::Admin {
                continue;
            }
            let drawn = COMMANDS.contains(&&*command.name.to_uppercase());
            let excused = NOT_DRAWN.iter().any(|(names, _)| names.contains(&command.name))
                || OTHER_TYPES.contains(&table.group(number));
            assert!(drawn != excused, "{} is drawn: {drawn}, and has a reason not to be: {excused}", command.name);
        }
    }
}
