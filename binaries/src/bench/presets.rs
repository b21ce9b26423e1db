//! Commands that are known by name, as in redis-benchmark: strings by their keys, and one collection of each type, whose
//! members are drawn.

use super::request::{Request, Sizes};

/// A command with what it is about.
struct Preset {
    name: &'static str,
    words: &'static [&'static str],
    /// The first byte of its answer.
    kind: u8,
    length: Length,
    loads: Option<&'static Loads>,
}

/// The length that its answer announces, where there is something to answer.
#[derive(Clone, Copy)]
enum Length {
    Any,
    Value,
    Elements(i64),
}

/// What it reads: a command, and what each key adds to it.
struct Loads {
    head: &'static [&'static str],
    item: &'static [&'static str],
}

const STRINGS: Loads = Loads { head: &["MSET"], item: &["{key}", "{value}"] };
const LIST: Loads = Loads { head: &["RPUSH", "bench:list"], item: &["{value}"] };
const SET: Loads = Loads { head: &["SADD", "bench:set"], item: &["{member}"] };
const HASH: Loads = Loads { head: &["HSET", "bench:hash"], item: &["{member}", "{value}"] };
const SORTED: Loads = Loads { head: &["ZADD", "bench:zset"], item: &["0", "{member}"] };

const MGET: &[&str] =
    &["MGET", "{key}", "{key}", "{key}", "{key}", "{key}", "{key}", "{key}", "{key}", "{key}", "{key}"];
const MSET: &[&str] = &[
    "MSET", "{key}", "{value}", "{key}", "{value}", "{key}", "{value}", "{key}", "{value}", "{key}", "{value}",
    "{key}", "{value}", "{key}", "{value}", "{key}", "{value}", "{key}", "{value}", "{key}", "{value}",
];
const SCRIPT: &str = "return redis.call('GET', KEYS[1])";

const fn preset(name: &'static str, words: &'static [&'static str], kind: u8) -> Preset {
    Preset { name, words, kind, length: Length::Any, loads: None }
}

impl Preset {
    const fn reads(mut self, loads: &'static Loads) -> Preset {
        self.loads = Some(loads);
        self
    }

    const fn of(mut self, length: Length) -> Preset {
        self.length = length;
        self
    }
}

static PRESETS: [Preset; 36] = [
    preset("ping", &["PING"], b'+'),
    preset("get", &["GET", "{key}"], b'$').of(Length::Value).reads(&STRINGS),
    preset("set", &["SET", "{key}", "{value}"], b'+'),
    preset("setex", &["SET", "{key}", "{value}", "EX", "3600"], b'+'),
    preset("incr", &["INCR", "counter:{number}"], b':'),
    preset("del", &["DEL", "{key}"], b':').reads(&STRINGS),
    preset("exists", &["EXISTS", "{key}"], b':').reads(&STRINGS),
    preset("expire", &["EXPIRE", "{key}", "3600"], b':').reads(&STRINGS),
    preset("mget", MGET, b'*').of(Length::Elements(10)).reads(&STRINGS),
    preset("mset", MSET, b'+'),
    preset("lpush", &["LPUSH", "bench:list", "{value}"], b':'),
    preset("rpush", &["RPUSH", "bench:list", "{value}"], b':'),
    preset("lpop", &["LPOP", "bench:list"], b'$').of(Length::Value).reads(&LIST),
    preset("rpop", &["RPOP", "bench:list"], b'$').of(Length::Value).reads(&LIST),
    preset("lrange_100", &["LRANGE", "bench:list", "0", "99"], b'*').of(Length::Elements(100)).reads(&LIST),
    preset("sadd", &["SADD", "bench:set", "{member}"], b':'),
    preset("srem", &["SREM", "bench:set", "{member}"], b':').reads(&SET),
    preset("sismember", &["SISMEMBER", "bench:set", "{member}"], b':').reads(&SET),
    preset("spop", &["SPOP", "bench:set"], b'$').reads(&SET),
    preset("hset", &["HSET", "bench:hash", "{member}", "{value}"], b':'),
    preset("hget", &["HGET", "bench:hash", "{member}"], b'$').of(Length::Value).reads(&HASH),
    preset("hdel", &["HDEL", "bench:hash", "{member}"], b':').reads(&HASH),
    preset("hincrby", &["HINCRBY", "bench:counters", "{member}", "1"], b':'),
    preset("zadd", &["ZADD", "bench:zset", "0", "{member}"], b':'),
    preset("zincrby", &["ZINCRBY", "bench:zset", "1", "{member}"], b'$'),
    preset("zscore", &["ZSCORE", "bench:zset", "{member}"], b'$').reads(&SORTED),
    preset("zrank", &["ZRANK", "bench:zset", "{member}"], b':').reads(&SORTED),
    preset("zrange_100", &["ZRANGE", "bench:zset", "0", "99"], b'*').of(Length::Elements(100)).reads(&SORTED),
    preset("zpopmin", &["ZPOPMIN", "bench:zset"], b'*').of(Length::Elements(2)).reads(&SORTED),
    preset("xadd", &["XADD", "bench:stream", "*", "field", "{value}"], b'$'),
    preset("xrange_100", &["XRANGE", "bench:stream", "-", "+", "COUNT", "100"], b'*'),
    preset("setbit", &["SETBIT", "bench:bits", "{number}", "1"], b':'),
    preset("pfadd", &["PFADD", "bench:hll", "{member}"], b':'),
    preset("geoadd", &["GEOADD", "bench:geo", "13.36", "38.11", "{member}"], b':'),
    preset("publish", &["PUBLISH", "bench:channel", "{value}"], b':'),
    preset("eval", &["EVAL", SCRIPT, "1", "{key}"], b'$').of(Length::Value).reads(&STRINGS),
];

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|preset| preset.name)
}

/// The words of a command that is known by this name.
pub fn words(name: &str) -> Option<&'static [&'static str]> {
    find(name).map(|preset| preset.words)
}

fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// What an answer must be, if there is something to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    pub kind: u8,
    pub length: Option<i64>,
}

/// What is known of a command's answer.
pub fn expected(name: &str, sizes: Sizes) -> Option<Expected> {
    let preset = find(name)?;
    let length = match preset.length {
        Length::Any => None,
        Length::Value => sizes.fixed().map(|size| size as i64),
        Length::Elements(count) => Some(count),
    };
    Some(Expected { kind: preset.kind, length })
}

/// Keys that one command of [`loading`] makes.
pub const AT_ONCE: u64 = 100;

/// Commands that make what these read, each with how many keys it makes: [`AT_ONCE`] and the rest.
pub fn loading<'a>(names: impl Iterator<Item = &'a str>, keys: u64, sizes: Sizes) -> Result<Vec<Loading>, String> {
    let mut all: Vec<&Loads> = Vec::new();
    for loads in names.filter_map(|name| find(name)?.loads) {
        if !all.iter().any(|known| known.head == loads.head) {
            all.push(loads);
        }
    }
    let mut loading = Vec::new();
    for loads in all {
        for (count, times) in [(AT_ONCE, keys / AT_ONCE), (keys % AT_ONCE, 1)] {
            if count > 0 && times > 0 {
                let items = loads.item.repeat(count as usize);
                let request = Request::new(&[loads.head, &items].concat(), sizes)?;
                loading.push(Loading { request, times });
            }
        }
    }
    Ok(loading)
}

/// A command that is sent so often before the clock starts, with keys in order.
#[derive(Debug)]
pub struct Loading {
    pub request: Request,
    pub times: u64,
}

#[cfg(test)]
mod tests {
    use super::super::keys::{Distribution, Draw};
    use super::*;

    const SIZES: Sizes = Sizes { least: 8, most: 8 };

    #[test]
    fn every_preset_can_be_written_and_is_there_once() {
        for preset in &PRESETS {
            Request::new(preset.words, SIZES).expect(preset.name);
            assert_eq!(names().filter(|name| *name == preset.name).count(), 1, "{}", preset.name);
        }
    }

    #[test]
    fn every_key_is_loaded_once_for_all_who_read_it() {
        let loading = loading(["get", "mget", "set", "sadd"].into_iter(), 250, SIZES).expect("requests");
        let mut draw = Draw::new(Distribution::Sequential, 250, 1, 0, 1);
        let mut out = Vec::new();
        for Loading { request, times } in &loading {
            (0..*times).for_each(|_| request.write(&mut draw, &mut out));
        }
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.matches("MSET").count(), 3);
        for key in 0..250 {
            assert_eq!(text.matches(&format!("key:{key:012}")).count(), 1, "{key}");
        }
    }

    #[test]
    fn a_value_is_expected_with_its_length() {
        assert_eq!(expected("get", SIZES), Some(Expected { kind: b'$', length: Some(8) }));
        assert_eq!(expected("get", Sizes { least: 1, most: 2 }), Some(Expected { kind: b'$', length: None }));
        assert_eq!(expected("own", SIZES), None);
    }
}
