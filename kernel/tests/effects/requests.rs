//! Requests, sensible and not, as bytes.

use mneme_kernel::commands::{Command, Commands};
use mneme_kernel::rdb;
use mneme_kernel::resp::encode_command;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What clients usually ask. `d` stands for what `DUMP` gives, `k` for a key, `v` for a value, `n` for a number, `t` for a time, `L` for a level.
const USUAL: &[&str] = &[
    "SET k v",
    "SET k n",
    "SET k v PX t",
    "SET k n EX 2",
    "SET k v PXAT 1700000003000",
    "SET k v EXAT 1700000002",
    "SET k v NX",
    "SET k v XX KEEPTTL",
    "SET k v GET PX t",
    "GET k",
    "MGET k k k",
    "MSET k v k v k n",
    "INCR k",
    "INCRBY k n",
    "DEL k k",
    "EXISTS k k",
    "TYPE k",
    "EXPIRE k n",
    "PEXPIRE k t",
    "PEXPIRE k t GT",
    "PEXPIRE k t LT",
    "PERSIST k",
    "TTL k",
    "PTTL k",
    "SETEX k t v",
    "PSETEX k t v",
    "SETNX k v",
    "MSETNX k v k v",
    "GETSET k v",
    "GETDEL k",
    "GETEX k PX t",
    "GETEX k PERSIST",
    "DECR k",
    "DECRBY k n",
    "INCRBYFLOAT k 0.5",
    "APPEND k v",
    "APPEND k v",
    "STRLEN k",
    "GETRANGE k 1 -2",
    "SETRANGE k t v",
    "LCS k k IDX",
    "SETBIT k t 1",
    "SETBIT k 5 0",
    "GETBIT k t",
    "BITCOUNT k",
    "BITPOS k 1",
    "BITOP XOR k k k",
    "BITOP NOT k k",
    "BITFIELD k SET u8 t n INCRBY i5 #3 n GET u63 0",
    "BITFIELD k OVERFLOW FAIL INCRBY u4 9 n",
    "HSET k v n",
    "HSET k v v n v v n",
    "HDEL k v v",
    "HGETALL k",
    "LPUSH k v",
    "RPUSH k v n v n v",
    "LPUSHX k v",
    "LPOP k n",
    "RPOP k",
    "LRANGE k 0 -1",
    "LSET k n v",
    "LINSERT k BEFORE v n",
    "LREM k n v",
    "LTRIM k 1 n",
    "LMOVE k k LEFT RIGHT",
    "RPOPLPUSH k k",
    "LMPOP 2 k k RIGHT COUNT n",
    "LPOS k v COUNT 0",
    "ZADD k n v",
    "ZADD k GT CH n v 1 v 2.5 n",
    "ZINCRBY k n v",
    "ZREM k v n",
    "ZRANK k v WITHSCORE",
    "ZRANGE k 0 -1 WITHSCORES",
    "ZRANGESTORE k k 0 n BYSCORE REV LIMIT 1 2",
    "ZREMRANGEBYRANK k 1 n",
    "ZREMRANGEBYSCORE k n +inf",
    "ZREMRANGEBYLEX k [v +",
    "ZPOPMIN k",
    "ZPOPMAX k n",
    "ZMPOP 2 k k MIN COUNT n",
    "ZRANDMEMBER k n WITHSCORES",
    "ZSCAN k 0 COUNT n",
    "ZUNIONSTORE k 2 k k WEIGHTS 2 n AGGREGATE MAX",
    "ZINTERSTORE k 2 k k",
    "ZDIFFSTORE k 2 k k",
    "ZUNION 2 k k WITHSCORES",
    "GEOADD k 13.3 n v 15 37 n",
    "GEOSEARCH k FROMLONLAT 13 3 BYRADIUS 2000 km WITHDIST",
    "GEOSEARCHSTORE k k FROMMEMBER v BYBOX 2000 2000 km STOREDIST",
    "GEORADIUS k 13 n 900 km STORE k",
    "GEOPOS k v n",
    "XADD k * v n",
    "XADD k * v n v v",
    "XADD k MAXLEN 3 1700000005000-* v v",
    "XADD k NOMKSTREAM MINID ~ 1700000001000 * v v",
    "XADD k n-* v v",
    "XLEN k",
    "XRANGE k - + COUNT n",
    "XREVRANGE k + (5",
    "XDEL k 5 1700000005000-0 1700000005000-1",
    "XTRIM k MAXLEN 2",
    "XTRIM k MAXLEN ~ 0 LIMIT n",
    "XSETID k 1700000006000-1 ENTRIESADDED 9 MAXDELETEDID 5",
    "XREAD COUNT n STREAMS k k 0 $",
    "XGROUP CREATE k g 0 MKSTREAM",
    "XGROUP CREATE k g $",
    "XGROUP SETID k g 0 ENTRIESREAD 1",
    "XGROUP DESTROY k g",
    "XGROUP CREATECONSUMER k g v",
    "XGROUP DELCONSUMER k g v",
    "XREADGROUP GROUP g v COUNT 2 STREAMS k >",
    "XREADGROUP GROUP g c STREAMS k >",
    "XREADGROUP GROUP g c NOACK STREAMS k k > 0",
    "XREADGROUP GROUP g v STREAMS k 0",
    "XACK k g 5 1700000005000-0 1700000005000-1",
    "XPENDING k g",
    "XPENDING k g IDLE n - + 5 c",
    "XCLAIM k g c 0 5 1700000005000-0 FORCE RETRYCOUNT n",
    "XCLAIM k g v 0 1700000005000-0 1700000005000-1 IDLE t JUSTID",
    "XAUTOCLAIM k g c 0 - COUNT 2",
    "XINFO STREAM k FULL",
    "XINFO GROUPS k",
    "XINFO CONSUMERS k g",
    "JSON.SET k $ {\"a\":n,\"b\":[1,\"x\",{\"a\":[n]}],\"c\":{\"a\":true}}",
    "JSON.SET k $ {\"a\":n,\"b\":[1,\"x\",{\"a\":[n]}],\"c\":{\"a\":true}}",
    "JSON.SET k $..a n",
    "JSON.SET k $.c.d {\"a\":[[],n]}",
    "JSON.SET k .b[-1] [1,2,n] NX",
    "JSON.MSET k $ [n,{\"a\":\"s\"}] k $ {\"b\":[[n]]} k $.a n",
    "JSON.MERGE k $ {\"a\":null,\"c\":{\"e\":n,\"a\":{}},\"f\":{\"g\":null}}",
    "JSON.MERGE k $..a {\"x\":{\"y\":n}}",
    "JSON.DEL k $..a",
    "JSON.DEL k $.b[0,2]",
    "JSON.DEL k",
    "JSON.FORGET k $[?(@>n)]",
    "JSON.CLEAR k $..*",
    "JSON.TOGGLE k $..a",
    "JSON.NUMINCRBY k $..* n",
    "JSON.NUMMULTBY k $..* 1.5",
    "JSON.STRAPPEND k $..* \"more\"",
    "JSON.ARRAPPEND k $..* n [n]",
    "JSON.ARRINSERT k $..b 0 n \"z\"",
    "JSON.ARRPOP k $..* n",
    "JSON.ARRTRIM k $..* 1 n",
    "JSON.GET k $..a .b",
    "JSON.MGET k k $..a",
    "JSON.RESP k",
    "JSON.TYPE k $..*",
    "PFADD k v v n",
    "PFADD k",
    "PFCOUNT k",
    "PFCOUNT k k",
    "PFMERGE k k k",
    "PFDEBUG TODENSE k",
    "SORT k DESC ALPHA STORE k",
    "SORT k BY k* GET # GET k*->v STORE k",
    "SORT_RO k LIMIT 0 n",
    "DUMP k",
    "RESTORE k 0 d REPLACE",
    "RESTORE k t d",
    "RESTORE k 1700000004000 d REPLACE ABSTTL",
    "HINCRBY k v n",
    "HINCRBYFLOAT k v 0.5",
    "HSETNX k v n",
    "HMGET k v v",
    "HSCAN k 0 COUNT n",
    "HRANDFIELD k n WITHVALUES",
    "SADD k v n v",
    "SADD k n n n",
    "SREM k v n",
    "SPOP k",
    "SPOP k n",
    "SRANDMEMBER k n",
    "SMOVE k k v",
    "SMOVE k k n",
    "SINTERSTORE k k k",
    "SUNIONSTORE k k k",
    "SDIFFSTORE k k k",
    "SINTERCARD 2 k k",
    "SUNION k k k",
    "SSCAN k 0 MATCH v",
    "UNLINK k k",
    "PEXPIREAT k 1700000004000",
    "PEXPIRETIME k",
    "RENAME k k",
    "RENAMENX k k",
    "COPY k k DB 3 REPLACE",
    "COPY k k",
    "MOVE k 3",
    "MOVE k 0",
    "TOUCH k k",
    "TIME",
    "DBSIZE",
    "SELECT 0",
    "SELECT 3",
    "FLUSHDB",
    "FLUSHALL",
    "AUTH secret",
    "AUTH admin secret",
    "AUTH reader secret",
    "AUTH admin wrong",
    "HELLO 3",
    "HELLO 2",
    "HELLO 3 AUTH admin secret SETNAME me",
    "CLIENT CONSISTENCY L",
    "CLIENT CONSISTENCY NEXT L",
    "CLIENT SETNAME v",
    "DEBUG DIGEST",
    "SAVE",
    "BGSAVE",
    "INFO",
    "COMMAND INFO get set",
    "CONFIG GET *",
    "PING",
    "MULTI",
    "MULTI",
    "EXEC",
    "EXEC",
    "DISCARD",
    "WATCH k k",
    "UNWATCH",
    "KEYS *",
    "SCAN 0 MATCH k* COUNT n",
    "RANDOMKEY",
    "SWAPDB 0 3",
    "OBJECT ENCODING k",
    "MEMORY USAGE k",
    "CLIENT LIST",
    "CLIENT KILL ID n",
    "CLIENT PAUSE t",
    "CLIENT UNPAUSE",
    "ROLE",
    "USER CREATE k PASSWORD secret ROLE readwrite",
    "USER CREATE k PASSWORD secret ROLE readonly DATABASES 0 3 CONSISTENCY L",
    "USER SET reader ROLE readwrite",
    "USER SET reader ROLE readonly PASSWORD secret",
    "USER SET writer DATABASES 3",
    "USER SET writer DATABASES * CONSISTENCY DEFAULT",
    "USER SET admin ROLE readonly",
    "USER DROP k",
    "USER LIST",
    "USER WHOAMI",
    "AUTH writer secret",
    "AUTH k secret",
    "DATABASE CREATE k",
    "DATABASE CREATE k",
    "DATABASE DROP k",
    "DATABASE SET 3 CONSISTENCY L",
    "DATABASE LIST",
    "SELECT k",
    "COPY k k DB k",
    "SWAPDB 0 k",
    "ACL LIST",
    "ACL DRYRUN reader SET k v",
    "WAITAOF 1 0 t",
    "WAIT 1 t",
    "PUBLISH k v",
    "PUBSUB CHANNELS",
];

/// Who hears of others gets more than it asked for; who waits for others waits as long as it said, which may be for ever.
const NOT_DRAWN: &[&str] = &[
    "monitor",
    "psubscribe",
    "punsubscribe",
    "ssubscribe",
    "subscribe",
    "sunsubscribe",
    "unsubscribe",
    "wait",
    "waitaof",
];

/// Words that mean something somewhere.
const WORDS: &[&str] = &[
    "",
    "k1",
    "0",
    "1",
    "-1",
    "3",
    "16",
    "007",
    "9223372036854775807",
    "-9223372036854775808",
    "1e3",
    "NX",
    "xx",
    "gt",
    "LT",
    "EX",
    "px",
    "EXAT",
    "keepttl",
    "GET",
    "SET",
    "async",
    "SYNC",
    "auth",
    "admin",
    "secret",
    "setname",
    "setinfo",
    "lib-name",
    "ID",
    "getname",
    "digest",
    "count",
    "getkeys",
    "CONSISTENCY",
    "quorum",
    "EVENTUAL",
    "all",
    "next",
    "server",
    "*",
    "with space",
    "\r\n",
    "\"",
    "ä\0",
];

/// Values of other servers: a list, a hash, a sorted set, a stream with a group that has read an entry, and one without entries.
const DUMPED: &[&[u8]] = &[
    b"\x01\x02\x01a\xc0\x07",
    b"\x04\x01\x01a\x01b",
    b"\x05\x01\x01a\0\0\0\0\0\0\xf0?",
    b"\x13\x01\x10\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\x1d\x1d\0\0\0\x0a\0\x01\x01\0\x01\x01\x01\x81a\x02\0\x01\
        \x02\x01\0\x01\0\x01\x81b\x02\x04\x01\xff\x01\x05\0\x05\0\0\0\x03\x01\x01g\x05\0\x03\x01\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\
        \xe8\x03\0\0\0\0\0\0\x01\x01\x01c\xe8\x03\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0",
    b"\x0f\0\0\x05\x07\0",
];

const LEVELS: &[&str] = &["EVENTUAL", "quorum", "ALL"];

#[derive(Clone, Debug)]
pub struct Request {
    pub words: Vec<Vec<u8>>,
    pub inline: bool,
}

impl Request {
    pub fn new(line: &str) -> Self {
        Self { words: line.split(' ').map(|word| word.as_bytes().to_vec()).collect(), inline: false }
    }

    /// Whether it names this command, whatever level it asks for.
    pub fn is(&self, name: &str) -> bool {
        let skipped = if self.words[0].eq_ignore_ascii_case(b"consistency") { 2 } else { 0 };
        self.words.get(skipped).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        if !self.inline {
            return encode_command(&self.words, out);
        }
        for word in &self.words {
            out.push(b'"');
            word.iter().for_each(|byte| out.extend(format!("\\x{byte:02x}").bytes()));
            out.extend(b"\" ");
        }
        out.extend(b"\r\n");
    }
}

pub fn table() -> Vec<&'static Command> {
    Commands::default().all().to_vec()
}

pub fn any_request() -> impl Strategy<Value = Request> {
    let words = prop_oneof![6 => usual(), 3 => from_the_table(), 1 => prop::collection::vec(word(), 1..6)];
    (words, prop::option::weighted(0.2, select(LEVELS)), any::<bool>()).prop_map(|(mut words, level, inline)| {
        if let Some(level) = level {
            words.splice(0..0, [b"CONSISTENCY".to_vec(), level.into()]);
        }
        Request { words, inline }
    })
}

fn usual() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let meant = (prop::collection::vec(key(), 3), value(), number(), 1u32..4_000, select(LEVELS), select(DUMPED));
    (select(USUAL), meant).prop_map(|(template, (mut keys, value, number, time, level, dumped))| {
        let word = |word| match word {
            "d" => rdb::closed(dumped[0], &dumped[1..]),
            "k" => keys.pop().unwrap_or_default(),
            "v" => value.clone(),
            "n" => number.clone(),
            "t" => time.to_string().into_bytes(),
            "L" => level.into(),
            // In JSON a number stands among other things.
            word if word.starts_with(['{', '[']) => {
                let number = String::from_utf8_lossy(&number);
                word.replace(":n", &format!(":{number}")).replace("n]", &format!("{number}]")).into_bytes()
            }
            word => word.into(),
        };
        template.split(' ').map(word).collect()
    })
}

/// A command with as many arguments as it takes, and keys where it has keys: the rest may mean anything.
fn from_the_table() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let arguments = prop::collection::vec((key(), word()), 12);
    (any::<Index>(), 0usize..4, arguments).prop_map(|(command, more, arguments)| {
        // Drawn with arguments that end, or not at all.
        let table: Vec<_> = table().into_iter().filter(|command| !NOT_DRAWN.contains(&command.name)).collect();
        let command = command.get(&table);
        let len = command.arity.unsigned_abs() as usize + if command.arity < 0 { more } else { 0 };
        let mut words: Vec<Vec<u8>> = arguments.iter().take(len).map(|(_, word)| word.clone()).collect();
        words[0] = command.name.into();
        for at in command.keys.positions(len) {
            words[at] = arguments[at].0.clone();
        }
        words
    })
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    (0u8..8).prop_map(|n| format!("k{n}").into_bytes())
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(b"v".to_vec()), prop::collection::vec(any::<u8>(), 0..20)]
}

fn number() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => -3i64..9, 1 => any::<i64>()].prop_map(|n| n.to_string().into_bytes())
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => select(WORDS).prop_map(|word| word.as_bytes().to_vec()), 1 => value(), 1 => number()]
}

#[test]
fn what_was_dumped_is_sound() {
    for dumped in DUMPED {
        assert!(rdb::load(dumped).is_ok(), "{}", dumped.escape_ascii());
    }
}
