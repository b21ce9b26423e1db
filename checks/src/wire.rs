//! The model's commands and replies in the form that the server speaks.

use mneme_kernel::resp::Value;

use crate::history::Level;
use crate::model::{Command, Datum, DeadlineCondition, Key, Lifetime, Presence, Reply};

mod typed;

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
    /// Whether a script does it. A script does what a transaction does, and has the same answer.
    pub scripted: bool,
}

impl Request {
    pub fn new(command: Command) -> Request {
        Request { command, level: None, text: 0, other_name: false, scripted: false }
    }

    /// Whether it is sent as a script. A read at `EVENTUAL` is not: a script is run by the primary, so that such reads of a
    /// connection would find now older and now newer data.
    fn is_script(&self) -> bool {
        let may_be_script = match &self.command {
            Command::Watch(..) | Command::Block(Some(_), _) | Command::Discard(_) | Command::Walk(_) => false,
            Command::CompareAndSet { .. } => false,
            command => self.level != Some(Level::Eventual) || !command.is_read(),
        };
        self.scripted && may_be_script
    }
}

/// Does one command, given as its words.
const ONE: &str = "return redis.pcall(unpack(ARGV))";
/// Does commands, each given as the number of its words and these.
const SEVERAL: &str = "local replies, at = {}, 1 \
    while at <= #ARGV do \
        local last = at + tonumber(ARGV[at]) \
        replies[#replies + 1] = redis.pcall(unpack(ARGV, at + 1, last)) \
        at = last + 1 \
    end \
    return replies";
const COMPARE_AND_SET: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
    redis.call('SET', KEYS[1], ARGV[2]) \
    return 1";

/// What a request sends, message by message; the answer to the last one is its answer.
pub fn messages(request: &Request) -> Vec<Vec<Vec<u8>>> {
    let alone = |word: &str| vec![word.as_bytes().to_vec()];
    let inner = |commands: &[Command]| {
        let arguments = |command| arguments(command, None, request.text, request.other_name);
        commands.iter().map(arguments).collect::<Vec<_>>()
    };
    match &request.command {
        command if request.is_script() => {
            let arguments = match command {
                Command::Block(_, commands) => {
                    let counted = |words: Vec<Vec<u8>>| [vec![words.len().to_string().into_bytes()], words].concat();
                    inner(commands).into_iter().flat_map(counted).collect()
                }
                command => arguments(command, None, request.text, request.other_name),
            };
            let script = if matches!(command, Command::Block(..)) { SEVERAL } else { ONE };
            let call = ["EVAL", script, "0"].map(|word| word.as_bytes().to_vec());
            vec![[level(request.level), call.to_vec(), arguments].concat()]
        }
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
pub const COMMANDS: [&str; 136] = [
    "APPEND", "BITCOUNT", "COPY", "DBSIZE", "DECR", "DECRBY", "DEL", "DISCARD", "EVAL", "EXEC", "EXISTS", "EXPIRE",
    "EXPIREAT", "EXPIRETIME", "FLUSHALL", "FLUSHDB", "GEOADD", "GEOSEARCH", "GET", "GETBIT", "GETDEL", "GETEX",
    "GETRANGE", "GETSET", "HDEL", "HEXISTS", "HGET", "HGETALL", "HINCRBY", "HKEYS", "HLEN", "HMGET", "HRANDFIELD",
    "HSET", "HSETNX", "HVALS", "INCR", "INCRBY", "INCRBYFLOAT", "JSON.ARRAPPEND", "JSON.ARRPOP", "JSON.DEL",
    "JSON.GET", "JSON.NUMINCRBY", "JSON.SET", "KEYS", "LINDEX", "LINSERT", "LLEN", "LMOVE", "LPOP", "LPOS", "LPUSH",
    "LPUSHX", "LRANGE", "LREM", "LSET", "LTRIM", "MGET", "MOVE", "MSET", "MSETNX", "MULTI", "PERSIST", "PEXPIRE",
    "PEXPIREAT", "PEXPIRETIME", "PFADD", "PFCOUNT", "PFMERGE", "PSETEX", "PTTL", "RANDOMKEY", "RENAME", "RENAMENX",
    "RPOP", "RPOPLPUSH", "RPUSH", "RPUSHX", "SADD", "SCAN", "SCARD", "SDIFF", "SDIFFSTORE", "SET", "SETBIT", "SETEX",
    "SETNX", "SETRANGE", "SINTER", "SINTERSTORE", "SISMEMBER", "SMEMBERS", "SMISMEMBER", "SMOVE", "SPOP",
    "SRANDMEMBER", "SREM", "STRLEN", "SUBSTR", "SUNION", "SUNIONSTORE", "SWAPDB", "TOUCH", "TTL", "TYPE", "UNLINK",
    "WATCH", "XACK", "XADD", "XDEL", "XGROUP", "XLEN", "XPENDING", "XRANGE", "XREADGROUP", "XREVRANGE", "XTRIM",
    "ZADD", "ZCARD", "ZCOUNT", "ZDIFF", "ZDIFFSTORE", "ZINCRBY", "ZINTER", "ZINTERSTORE", "ZPOPMAX", "ZPOPMIN",
    "ZRANDMEMBER", "ZRANGE", "ZRANGEBYSCORE", "ZRANK", "ZREM", "ZSCORE", "ZUNION", "ZUNIONSTORE",
];

/// A command as its arguments. `level` is named if it is given; `text` is how long a text is, in bytes. Where a command
/// has two names, `other_name` chooses.
fn arguments(command: &Command, level: Option<Level>, text: usize, other_name: bool) -> Vec<Vec<u8>> {
    let mut args = self::level(level);
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
        Command::CompareAndSet { key, expected, new } => {
            ["EVAL", COMPARE_AND_SET, "1", &key_name(*key)].into_iter().for_each(&mut push);
            raw.extend([expected, new].map(|datum| written(datum, text)));
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
        Command::Kind(key) => ["TYPE", &key_name(*key)].into_iter().for_each(push),
        Command::Typed(key, call) => typed::words(*key, call, other_name).iter().for_each(|word| push(word)),
        Command::Joint(joint) => typed::joint_words(joint).iter().for_each(|word| push(word)),
        Command::Watch(_, keys) => with_keys("WATCH", keys, push),
        Command::Walk(_) | Command::Block(..) | Command::Discard(_) => unreachable!("it is more than one message"),
    }
    args.extend(raw);
    args
}

/// A level as it is named before a command.
fn level(level: Option<Level>) -> Vec<Vec<u8>> {
    let words: &[&str] = match level {
        None => &[],
        Some(Level::Eventual) => &["CONSISTENCY", "EVENTUAL"],
        Some(Level::Quorum) => &["consistency", "quorum"],
        Some(Level::All) => &["CONSISTENCY", "all"],
    };
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
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

pub fn key_name(key: Key) -> String {
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
        _ => unreachable!("collections and sketches are not written as a whole"),
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
        value
            if !matches!(value, Value::Error(_))
                && matches!(command, Command::Kind(_) | Command::Typed(..) | Command::Joint(_)) =>
        {
            typed::read(command, value).ok_or_else(wrong)?
        }
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
                || text.starts_with("OOM command not allowed")
                || text.starts_with("ERR not every node has said that it knows this type") =>
        {
            return Ok(Answer::Loading);
        }
        Value::Error(text) if text.starts_with("UNCERTAIN ") => return Ok(Answer::Uncertain),
        Value::Error(text) if text.starts_with("NOQUORUM on disk") => return Ok(Answer::NoQuorum),
        Value::Error(text) if text == "ERR value is not an integer or out of range" => Reply::NotANumber,
        Value::Error(text) if text == "ERR value is not a valid float" => Reply::NotAFloat,
        Value::Error(text) if text == "ERR no such key" => Reply::NoSuchKey,
        Value::Error(text) if text == "ERR increment or decrement would overflow" => Reply::Overflow,
        Value::Error(text) if text == "WRONGTYPE Operation against a key holding the wrong kind of value" => {
            Reply::WrongType
        }
        Value::Error(text) if text == "WRONGTYPE Key is not a valid HyperLogLog string value." => Reply::NotASketch,
        Value::Error(text) if text == "ERR index out of range" => Reply::NoSuchIndex,
        Value::Error(text) if text.starts_with("ERR The ID specified in XADD is equal or smaller than") => {
            Reply::IdTooSmall
        }
        Value::Error(text)
            if text == "ERR new objects must be created at the root"
                || text == "ERR could not perform this operation on a key that doesn't exist" =>
        {
            Reply::NoDocument
        }
        Value::Error(text) if text.starts_with("NOGROUP ") => Reply::NoGroup,
        Value::Error(text) if text.starts_with("BUSYGROUP ") => Reply::GroupExists,
        _ => return Err(wrong()),
    }))
}

/// The number of a key by its name.
pub fn key_number(name: &[u8]) -> Option<u16> {
    std::str::from_utf8(name).ok()?.strip_prefix("key:")?.parse().ok()
}

/// What is stored in these bytes; `None` if no client has written them so.
pub fn datum(bytes: &[u8]) -> Option<Datum> {
    if bytes.starts_with(b"HYLL") {
        return Some(Datum::Sketch(Default::default()));
    }
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
    const NOT_DRAWN: [(&[&str], &str); 9] = [
        (
            &["bitfield", "bitfield_ro", "bitop", "bitpos", "lcs", "object", "sort", "sort_ro", "dump", "restore"],
            "scripts/compare-redis compares them; they write as SETBIT and SET do, or what collections are made by",
        ),
        (
            &[
                "geodist",
                "geohash",
                "geopos",
                "georadius",
                "georadius_ro",
                "georadiusbymember",
                "georadiusbymember_ro",
                "geosearchstore",
                "hincrbyfloat",
                "hmset",
                "hscan",
                "hstrlen",
                "lmpop",
                "sintercard",
                "sscan",
                "xautoclaim",
                "xclaim",
                "xinfo",
                "xread",
                "xsetid",
                "zintercard",
                "zlexcount",
                "zmpop",
                "zmscore",
                "zrangebylex",
                "zrangestore",
                "zremrangebylex",
                "zremrangebyrank",
                "zremrangebyscore",
                "zrevrange",
                "zrevrangebylex",
                "zrevrangebyscore",
                "zrevrank",
                "zscan",
                "pfdebug",
                "pfselftest",
            ],
            "scripts/compare-redis compares them; they read, or write to the log, as those that are drawn do",
        ),
        (
            &["blmove", "blmpop", "blpop", "brpop", "brpoplpush", "bzmpop", "bzpopmax", "bzpopmin"],
            "who waits is the subject of queues.rs and of kernel/tests/cluster/blocking.rs",
        ),
        (
            &[
                "psubscribe",
                "publish",
                "pubsub",
                "punsubscribe",
                "spublish",
                "ssubscribe",
                "subscribe",
                "sunsubscribe",
                "unsubscribe",
            ],
            "publishers.rs draws them",
        ),
        (&["wait", "waitaof", "memory", "time"], "they answer nothing about the content of keys"),
        (
            &["eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro", "function", "script"],
            "what they run is run as EVAL runs it; kernel/script/tests and scripts/compare-redis have them",
        ),
        (
            &[
                "json.arrindex",
                "json.arrinsert",
                "json.arrlen",
                "json.arrtrim",
                "json.clear",
                "json.debug",
                "json.forget",
                "json.merge",
                "json.mget",
                "json.mset",
                "json.nummultby",
                "json.objkeys",
                "json.objlen",
                "json.resp",
                "json.strappend",
                "json.strlen",
                "json.toggle",
                "json.type",
            ],
            "kernel/tests/documents.rs draws them; they read, or write to the log, as those that are drawn do",
        ),
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

    #[test]
    fn every_command_is_drawn_or_there_is_a_reason() {
        let table = mneme_kernel::commands::Commands::default();
        for command in table.all() {
            if command.access == mneme_kernel::commands::Access::Admin {
                continue;
            }
            let drawn = COMMANDS.contains(&&*command.name.to_uppercase());
            let excused = NOT_DRAWN.iter().any(|(names, _)| names.contains(&command.name));
            assert!(drawn != excused, "{} is drawn: {drawn}, and has a reason not to be: {excused}", command.name);
        }
    }
}
