//! What a pipeline looks like, and what its replies must be.

use crate::Outcome;

/// The key of every collection.
const KEY: &str = "bench";
/// Random members, fields and keys are drawn from so many, or from `--keys` where strings are meant.
const MEMBERS: u64 = 100_000;
/// How many elements there are to pop, for each request of a pipeline.
const TO_POP: u64 = 1_000_000;
/// How many elements one request of the preparation adds.
const STEP: u64 = 1000;

/// What `evalsha` runs, and its SHA-1.
const SCRIPT: &str = "return redis.call('set', KEYS[1], ARGV[1])";
const SCRIPT_SHA: &str = "55b22c0d0cedf3866879ce7c854970626dcef0c3";

pub struct Work {
    command: String,
    request: Vec<u8>,
    /// Where the twelve digits that are drawn anew for each request begin, each of them.
    digits: Vec<usize>,
    keys: u64,
    expected: Expected,
    pipeline: usize,
}

enum Expected {
    /// These bytes.
    Exactly(Vec<u8>),
    /// One that begins with this byte: where a reply tells a length, an id or an element.
    Kind(u8),
}

impl Work {
    pub fn new(command: &str, pipeline: usize, keys: u64, size: usize) -> Outcome<Self> {
        let value = "x".repeat(size);
        let bulk = format!("${size}\r\n{value}\r\n");
        let drawn = |prefix: &str| format!("{prefix}:{:012}", 0);
        let (key, member) = (drawn("key"), drawn("element"));
        let integer = Expected::Kind(b':');
        let mset: Vec<&str> = ["mset"].into_iter().chain([key.as_str(), &value].repeat(10)).collect();
        let (words, expected) = match command {
            "get" => (vec!["GET", &key], Expected::Exactly(bulk.into())),
            "set" => (vec!["SET", &key, &value], Expected::Exactly("+OK\r\n".into())),
            "evalsha" => (vec!["EVALSHA", SCRIPT_SHA, "1", &key, &value], Expected::Exactly("+OK\r\n".into())),
            "mset" => (mset, Expected::Exactly("+OK\r\n".into())),
            "lpush" => (vec!["LPUSH", KEY, &value], integer),
            "lrange_100" => {
                (vec!["LRANGE", KEY, "0", "99"], Expected::Exactly(format!("*100\r\n{}", bulk.repeat(100)).into()))
            }
            "sadd" => (vec!["SADD", KEY, &member], integer),
            "hset" => (vec!["HSET", KEY, &member, &value], integer),
            "zadd" => (vec!["ZADD", KEY, "0", &member], integer),
            "spop" => (vec!["SPOP", KEY], Expected::Kind(b'$')),
            "zpopmin" => (vec!["ZPOPMIN", KEY], Expected::Kind(b'*')),
            "xadd" => (vec!["XADD", KEY, "*", "field", &value], Expected::Kind(b'$')),
            _ => return Err(format!("no load is known for {command}").into()),
        };
        let request = encode(&words);
        let zeros = [b'0'; 12];
        let digits =
            (0..request.len()).filter(|&at| request[at..].starts_with(&zeros) && request[at - 1] == b':').collect();
        let is_string = matches!(command, "get" | "set" | "mset" | "evalsha");
        let keys = if is_string { keys } else { MEMBERS };
        Ok(Self { command: command.into(), request, digits, keys, expected, pipeline })
    }

    /// How many elements may be popped.
    pub fn elements(&self) -> u64 {
        match self.command.as_str() {
            "spop" | "zpopmin" => TO_POP * if self.pipeline > 1 { 4 } else { 1 },
            _ => u64::MAX,
        }
    }

    /// Requests that make what the load works on.
    pub fn preparation(&self) -> Vec<Vec<u8>> {
        let mut all = vec![encode(&["DEL", KEY])];
        let members = |from: u64| (from..from + STEP).map(|number| format!("element:{number:012}"));
        match self.command.as_str() {
            "evalsha" => all.push(encode(&["SCRIPT", "LOAD", SCRIPT])),
            "lrange_100" => all.push(encode(&[&["RPUSH", KEY][..], &[self.element(); 100]].concat())),
            "spop" | "zpopmin" => {
                // A few more than are counted: all clients have pipelines outstanding.
                for from in (0..self.elements() + 100_000).step_by(STEP as usize) {
                    let members: Vec<String> = members(from).collect();
                    let words: Vec<&str> = if self.command == "spop" {
                        ["SADD", KEY].into_iter().chain(members.iter().map(String::as_str)).collect()
                    } else {
                        ["ZADD", KEY].into_iter().chain(members.iter().flat_map(|member| ["0", member])).collect()
                    };
                    all.push(encode(&words));
                }
            }
            _ => {}
        }
        all
    }

    /// One of the elements that are expected.
    fn element(&self) -> &str {
        let Expected::Exactly(reply) = &self.expected else { return "" };
        str::from_utf8(reply).ok().and_then(|text| text.lines().nth(2)).unwrap_or_default()
    }

    /// A pipeline's requests.
    pub fn write(&self, random: &mut Xorshift, out: &mut Vec<u8>) {
        out.clear();
        for _ in 0..self.pipeline {
            let start = out.len();
            out.extend_from_slice(&self.request);
            for at in &self.digits {
                let mut drawn = random.next() % self.keys;
                for digit in out[start + at..][..12].iter_mut().rev() {
                    *digit = b'0' + (drawn % 10) as u8;
                    drawn /= 10;
                }
            }
        }
    }

    /// Whether these are a pipeline's replies, all of them. Fails unless they are those that must come, as far as they have.
    pub fn is_answered(&self, answered: &mut Answered, replies: &[u8]) -> Outcome<bool> {
        match &self.expected {
            Expected::Exactly(reply) => {
                let new = &replies[answered.checked / reply.len() * reply.len()..];
                let wrong = new.chunks(reply.len()).find(|got| *got != &reply[..got.len()]);
                if let Some(wrong) = wrong {
                    return Err(unexpected(wrong));
                }
                answered.checked = replies.len();
                match replies.len().cmp(&(self.pipeline * reply.len())) {
                    std::cmp::Ordering::Greater => Err("more replies than requests".into()),
                    order => Ok(order.is_eq()),
                }
            }
            // Nothing is popped from what is empty.
            Expected::Kind(kind) => {
                answered.count(replies, self.pipeline, |reply| reply[0] == *kind && !reply.starts_with(b"$-1"))
            }
        }
    }
}

/// How much of what has come was looked at.
#[derive(Default)]
pub struct Answered {
    /// Bytes.
    checked: usize,
    replies: usize,
}

impl Answered {
    /// Whether these are so many replies. Fails if one is not right.
    pub fn count(&mut self, bytes: &[u8], wanted: usize, is_right: impl Fn(&[u8]) -> bool) -> Outcome<bool> {
        while self.replies < wanted {
            let Some(length) = reply_length(&bytes[self.checked..])? else { return Ok(false) };
            let reply = &bytes[self.checked..][..length];
            if !is_right(reply) {
                return Err(unexpected(reply));
            }
            self.checked += length;
            self.replies += 1;
        }
        if self.checked == bytes.len() { Ok(true) } else { Err("more replies than requests".into()) }
    }
}

/// The length of the first reply, if all of it has come.
fn reply_length(bytes: &[u8]) -> Outcome<Option<usize>> {
    let mut length = 0;
    let mut outstanding = 1;
    while outstanding > 0 {
        let rest = bytes.get(length..).unwrap_or_default();
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        length += line + 2;
        outstanding -= 1;
        let number = || Ok::<i64, Box<dyn std::error::Error>>(str::from_utf8(&rest[1..line])?.parse()?);
        match rest[0] {
            b'+' | b':' => {}
            b'$' => length += usize::try_from(number()?).map_or(0, |bytes| bytes + 2),
            b'*' => outstanding += number()?,
            _ => return Err(unexpected(rest)),
        }
    }
    Ok((length <= bytes.len()).then_some(length))
}

fn unexpected(reply: &[u8]) -> Box<dyn std::error::Error> {
    format!("a wrong reply: {}", String::from_utf8_lossy(&reply[..reply.len().min(200)])).into()
}

fn encode(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out += &format!("${}\r\n{word}\r\n", word.len());
    }
    out.into_bytes()
}

/// Enough randomness to choose keys, and cheap.
pub struct Xorshift(u64);

impl Xorshift {
    pub fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
