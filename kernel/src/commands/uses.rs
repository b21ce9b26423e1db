//! What commands do with their keys, as ACL rules such as `%R~pattern` ask. As in Redis, to read is to answer with something
//! of the value: whether a key is there and how long it is, one may learn who may do anything with it.

use super::{Access, Command, Commands, is_word, movable};
use crate::resp::Args;

/// What is done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Something that is allowed to whoever may read it or write it.
    Touch,
    Read,
    Write,
    Both,
}

impl Use {
    pub(crate) fn reads(self) -> bool {
        matches!(self, Use::Read | Use::Both)
    }

    pub(crate) fn writes(self) -> bool {
        matches!(self, Use::Write | Use::Both)
    }
}

/// What a command does with its first key, and with the others. One that is not listed, and writes, is taken to read as well.
fn of(command: &Command, args: Args<'_>) -> (Use, Use) {
    use Use::{Both, Read, Touch, Write};
    let every = |all: Use| (all, all);
    match command.name {
        "exists" | "hexists" | "hlen" | "hstrlen" | "llen" | "memory" | "object" | "scard" | "sismember" | "strlen"
        | "touch" | "type" | "watch" | "xlen" | "zcard" => every(Touch),
        "append" | "del" | "expire" | "expireat" | "geoadd" | "hdel" | "hmset" | "hset" | "hsetnx" | "linsert"
        | "lpush" | "lpushx" | "lrem" | "lset" | "ltrim" | "mset" | "msetnx" | "persist" | "pexpire" | "pexpireat"
        | "pfadd" | "psetex" | "restore" | "rpush" | "rpushx" | "sadd" | "setex" | "setnx" | "setrange" | "srem"
        | "unlink" | "xack" | "xadd" | "xautoclaim" | "xclaim" | "xdel" | "xgroup" | "xsetid" | "xtrim" | "zadd"
        | "zrem" | "zremrangebylex" | "zremrangebyrank" | "zremrangebyscore" => every(Write),
        "set" if args.skip(3.min(args.len())).iter().any(|option| is_word(option, "get")) => every(Both),
        "set" => every(Write),
        "bitfield" if movable::only_gets(args) => every(Read),
        "xreadgroup" | "pfdebug" => every(Read),
        "copy" | "georadius" | "georadiusbymember" | "sort" => (Read, Write),
        "blmove" | "brpoplpush" | "lmove" | "rename" | "renamenx" | "rpoplpush" | "smove" => (Both, Write),
        "pfmerge" => (Both, Read),
        "bitop" | "geosearchstore" | "sdiffstore" | "sinterstore" | "sunionstore" | "zdiffstore" | "zinterstore"
        | "zrangestore" | "zunionstore" => (Write, Read),
        _ if command.access == Access::Read => every(Read),
        _ => every(Both),
    }
}

impl Commands {
    /// The place of the first key of which this is so, if there is one, among those of a command that is given by its place in
    /// [`Commands::all`]. A command whose keys are not in order has none: it will say so itself.
    pub(crate) fn find_key(
        &self,
        number: usize,
        args: Args<'_>,
        is_wanted: impl Fn(&[u8], Use) -> bool,
    ) -> Option<usize> {
        let command = self.all[number];
        if matches!(command.access, Access::Subscribe | Access::Publish) {
            // Channels, though clients of a cluster take them for keys.
            return None;
        }
        let (first, others) = of(command, args);
        let is_wanted = |(order, place): (usize, usize)| {
            let needed = if order == 0 { first } else { others };
            is_wanted(args.at(place), needed).then_some(place)
        };
        if !movable::is(command) {
            return command.keys.positions(args.len()).enumerate().find_map(is_wanted);
        }
        movable::keys(command, args).into_iter().flatten().enumerate().find_map(is_wanted)
    }
}
