//! A number that says whether two data sets are the same, whatever order they were built in.

use alloc::vec::Vec;
use core::fmt;
use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::{Store, Stream, StreamId, Value};
use crate::codec;
use crate::json;
use crate::system::System;

/// A digest of a data set: equal for equal sets, different for different ones but for one chance in 2^128.
/// It tells honest copies from diverged ones; it is no defence against someone who seeks a collision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Store {
    /// The digest of all items, users, databases and replies that are kept: the sum of their hashes, so that order does not
    /// count. Reads everything.
    pub fn digest(&self, system: &System) -> Digest {
        let mut sum = 0u128;
        for (number, id) in system.databases.iter() {
            let database = self.database(id);
            for (key, item) in database.iter() {
                let deadline = item.deadline.unwrap_or(0);
                let mut hasher = SipHasher24::new();
                hasher.write_u8(0);
                hasher.write_u16(number.0);
                hasher.write_u64(deadline);
                hasher.write_u64(key.len() as u64);
                hasher.write(key);
                digest_value(item.value, &mut hasher);
                sum = sum.wrapping_add(hasher.finish128().as_u128());
            }
        }
        for (name, user) in system.users.iter() {
            let mut hasher = SipHasher24::new();
            hasher.write_u8(1);
            hasher.write_u8(user.role as u8);
            hasher.write_u64(name.len() as u64);
            hasher.write(name.as_bytes());
            hasher.write_u64(user.password_hash.len() as u64);
            hasher.write(user.password_hash.as_bytes());
            hasher.write_u8(user.everywhere.into());
            hasher.write_u8(user.level.map_or(0, |level| level as u8 + 1));
            user.granted.iter().for_each(|db| hasher.write_u16(db.0));
            if let Some(rules) = &user.rules {
                let mut encoded = Vec::new();
                codec::encode(&**rules, &mut encoded);
                hasher.write(&encoded);
            }
            sum = sum.wrapping_add(hasher.finish128().as_u128());
        }
        for (number, _) in system.databases.iter() {
            let (name, level) = (system.databases.name(number), system.databases.level(number));
            if name.is_none() && level.is_none() {
                continue;
            }
            let mut hasher = SipHasher24::new();
            hasher.write_u8(3);
            hasher.write_u16(number.0);
            hasher.write_u8(level.map_or(0, |level| level as u8 + 1));
            hasher.write(name.unwrap_or_default().as_bytes());
            sum = sum.wrapping_add(hasher.finish128().as_u128());
        }
        for (origin, session, number, kept) in system.requests.iter() {
            let mut hasher = SipHasher24::new();
            hasher.write_u8(2);
            hasher.write_u64(origin.0);
            hasher.write_u64(session);
            hasher.write_u64(number);
            hasher.write_u16(kept.db);
            hasher.write(&kept.reply);
            sum = sum.wrapping_add(hasher.finish128().as_u128());
        }
        let programs = system.programs.scripts().map(|(_, body)| ("", body));
        let libraries = system.programs.libraries().map(|(name, library)| (name, library.code.as_slice()));
        for (name, code) in programs.chain(libraries) {
            let mut hasher = SipHasher24::new();
            hasher.write_u8(4);
            hasher.write_u64(name.len() as u64);
            hasher.write(name.as_bytes());
            hasher.write(code);
            sum = sum.wrapping_add(hasher.finish128().as_u128());
        }
        Digest(sum)
    }
}

/// What a value is, however it is kept. Strings are their bytes alone.
fn digest_value(value: Value<'_>, hasher: &mut SipHasher24) {
    // What has no order is a sum.
    let mut sum = 0u128;
    let mut add = |word: &[u8], value: &[u8]| {
        let mut hasher = SipHasher24::new();
        hasher.write_u64(word.len() as u64);
        hasher.write(word);
        hasher.write(value);
        sum = sum.wrapping_add(hasher.finish128().as_u128());
    };
    match value {
        Value::Text(text) => return hasher.write(text),
        Value::Hash(hash) => hash.iter().for_each(|(field, value)| add(field, value)),
        Value::Set(set) => set.iter().for_each(|member| add(&member, &[])),
        Value::List(list) => write_words(list.elements().iter(), hasher),
        Value::Sorted(sorted) => write_words(sorted.order().iter(), hasher),
        Value::Stream(stream) => write_stream(stream, hasher),
        Value::Document(document) => {
            let mut bytes = Vec::new();
            json::encode(document.root(), &mut bytes);
            hasher.write(&bytes);
        }
    }
    hasher.write(value.type_name().as_bytes());
    hasher.write_u128(sum);
}

fn write_stream(stream: &Stream, hasher: &mut SipHasher24) {
    let write_id = |id: StreamId, hasher: &mut SipHasher24| hasher.write(&id.bytes());
    for entry in stream.range(StreamId::MIN..=StreamId::MAX) {
        write_id(entry.id, hasher);
        hasher.write_u64(entry.len() as u64);
        write_words(entry.fields().flat_map(|(name, value)| [name, value]), hasher);
    }
    write_id(stream.last_id(), hasher);
    write_id(stream.max_deleted(), hasher);
    hasher.write_u64(stream.added());
    for (name, group) in stream.groups() {
        write_words([name].into_iter(), hasher);
        write_id(group.last, hasher);
        hasher.write_u64(group.read.map_or(0, |read| read.wrapping_add(1)));
        hasher.write_u64(group.consumers().len() as u64);
        for (name, consumer) in group.consumers() {
            write_words([name].into_iter(), hasher);
            hasher.write_u64(consumer.seen);
            hasher.write_u64(consumer.active.map_or(0, |active| active.wrapping_add(1)));
        }
        hasher.write_u64(group.pending_len() as u64);
        for (id, pending) in group.all_pending(None, StreamId::MIN..=StreamId::MAX) {
            write_id(id, hasher);
            write_words([&*pending.consumer].into_iter(), hasher);
            hasher.write_u64(pending.time);
            hasher.write_u64(pending.count);
        }
    }
}

fn write_words<'a>(words: impl Iterator<Item = &'a [u8]>, hasher: &mut SipHasher24) {
    for word in words {
        hasher.write_u64(word.len() as u64);
        hasher.write(word);
    }
}
