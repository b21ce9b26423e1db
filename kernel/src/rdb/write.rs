//! Writing values, each in its plainest form.

use alloc::vec::Vec;

use super::{stream, types};
use crate::store::{Stream, Value};

/// `None` of a document: there is no form for it.
pub(super) fn value(value: Value<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match value {
        Value::Text(text) => {
            out.push(types::TEXT);
            string(text, &mut out);
        }
        Value::List(list) => {
            begin(types::LIST, list.len(), &mut out);
            list.elements().iter().for_each(|element| string(element, &mut out));
        }
        Value::Set(set) => {
            begin(types::SET, set.len(), &mut out);
            set.iter().for_each(|member| string(&member, &mut out));
        }
        Value::Hash(hash) => {
            begin(types::HASH, hash.len(), &mut out);
            for (field, value) in hash.iter() {
                string(field, &mut out);
                string(value, &mut out);
            }
        }
        Value::Sorted(sorted) => {
            begin(types::SORTED_2, sorted.len(), &mut out);
            for (member, score) in sorted.iter() {
                string(member, &mut out);
                out.extend_from_slice(&score.to_le_bytes());
            }
        }
        Value::Stream(value) => return Some(stream(value)),
        Value::Document(_) => return None,
    }
    Some(out)
}

pub(super) fn stream(stream: &Stream) -> Vec<u8> {
    let mut out = Vec::new();
    out.push(types::STREAM_2);
    stream::write(stream, &mut out);
    out
}

fn begin(kind: u8, len: usize, out: &mut Vec<u8>) {
    out.push(kind);
    length(len as u64, out);
}

pub(super) fn string(bytes: &[u8], out: &mut Vec<u8>) {
    length(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Six bits, fourteen, 32 or 64.
pub(super) fn length(len: u64, out: &mut Vec<u8>) {
    match len {
        0..0x40 => out.push(len as u8),
        0x40..0x4000 => out.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]),
        _ => match u32::try_from(len) {
            Ok(len) => {
                out.push(0x80);
                out.extend_from_slice(&len.to_be_bytes());
            }
            Err(_) => {
                out.push(0x81);
                out.extend_from_slice(&len.to_be_bytes());
            }
        },
    }
}
