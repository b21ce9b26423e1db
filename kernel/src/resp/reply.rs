//! Writes replies in the version of the protocol that a connection speaks.

use alloc::vec::Vec;
use core::fmt::{Display, Write};

use super::double;
use crate::digits::Digits;

/// The version of the Redis protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

/// The replies of a connection that have not been sent yet, encoded.
#[derive(Debug, Default)]
pub struct Reply {
    pub(crate) bytes: Vec<u8>,
    pub protocol: Protocol,
}

impl Reply {
    pub fn ok(&mut self) {
        self.simple("OK");
    }

    /// A short text without line breaks.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.raw(b"+");
        self.raw(text.as_bytes());
        self.raw(b"\r\n");
    }

    /// An error: a code in capitals, a space and a text. Line breaks become spaces, for the text may quote a client.
    pub fn error(&mut self, error: impl Display) {
        self.raw(b"-");
        let start = self.bytes.len();
        self.format(format_args!("{error}"));
        for byte in &mut self.bytes[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.raw(b"\r\n");
    }

    pub fn integer(&mut self, n: i64) {
        self.header(b':', n);
    }

    pub fn bulk(&mut self, bytes: &[u8]) {
        self.header(b'$', bytes.len() as i64);
        self.raw(bytes);
        self.raw(b"\r\n");
    }

    pub fn optional_bulk(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// A text for people: verbatim in RESP3, so that clients can show it as it is.
    pub fn verbatim(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.header(b'=', text.len() as i64 + 4);
                self.raw(b"txt:");
                self.raw(text.as_bytes());
                self.raw(b"\r\n");
            }
        }
    }

    /// A number in the fewest digits: a byte string in RESP2.
    pub fn double(&mut self, n: f64) {
        self.double_text(&double::text(n));
    }

    /// A number that is text already.
    pub(crate) fn double_text(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.raw(b",");
                self.raw(text.as_bytes());
                self.raw(b"\r\n");
            }
        }
    }

    pub fn boolean(&mut self, truth: bool) {
        match (self.protocol, truth) {
            (Protocol::Resp2, truth) => self.integer(truth.into()),
            (Protocol::Resp3, true) => self.raw(b"#t\r\n"),
            (Protocol::Resp3, false) => self.raw(b"#f\r\n"),
        }
    }

    /// A number of any length, as text.
    pub fn big_number(&mut self, text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => {
                self.header(b'$', text.len() as i64);
                self.text(text);
            }
            Protocol::Resp3 => {
                self.raw(b"(");
                self.text(text);
            }
        }
    }

    /// As [`Reply::verbatim`], in a format whose name has three letters.
    pub fn verbatim_bytes(&mut self, format: &[u8], text: &[u8]) {
        if self.protocol == Protocol::Resp2 {
            return self.bulk(text);
        }
        self.header(b'=', text.len() as i64 + 4);
        (0..3).for_each(|i| self.bytes.push(format.get(i).copied().unwrap_or(b' ')));
        self.raw(b":");
        self.raw(text);
        self.raw(b"\r\n");
    }

    /// As [`Reply::simple`], of a client's text.
    pub fn status_bytes(&mut self, text: &[u8]) {
        self.raw(b"+");
        self.text(text);
    }

    /// As [`Reply::error`], of a client's text.
    pub fn error_bytes(&mut self, text: &[u8]) {
        self.raw(b"-");
        self.text(text);
    }

    /// A line; line breaks within become spaces.
    fn text(&mut self, text: &[u8]) {
        self.bytes.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
        self.raw(b"\r\n");
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn null(&mut self) {
        self.raw(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The absence of an array, for example of a transaction's replies.
    pub fn null_array(&mut self) {
        self.raw(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// Lines of help, as `... HELP` answers.
    pub fn help(&mut self, lines: &[&str]) {
        self.array(lines.len());
        lines.iter().for_each(|line| self.simple(line));
    }

    /// Announces an array; its elements are written next.
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// Announces a set of `len` elements: an array in RESP2.
    pub fn set(&mut self, len: usize) {
        self.header(if self.protocol == Protocol::Resp3 { b'~' } else { b'*' }, len as i64);
    }

    /// Announces a map of `len` pairs: a flat array in RESP2.
    pub fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(len * 2),
            Protocol::Resp3 => self.header(b'%', len as i64),
        }
    }

    /// Announces a set of what has been written from `start` on: `len` elements.
    pub(crate) fn set_from(&mut self, start: usize, len: usize) {
        let end = self.bytes.len();
        self.set(len);
        let header = self.bytes.len() - end;
        self.bytes[start..].rotate_right(header);
    }

    /// Announces what is no reply, but comes by itself: an array in RESP2.
    pub fn push(&mut self, len: usize) {
        self.header(if self.protocol == Protocol::Resp3 { b'>' } else { b'*' }, len as i64);
    }

    fn header(&mut self, kind: u8, n: i64) {
        // Most of what is written: digits without the formatting machinery.
        self.bytes.push(kind);
        self.raw(&Digits::of(n));
        self.raw(b"\r\n");
    }

    fn format(&mut self, text: core::fmt::Arguments<'_>) {
        struct Appender<'a>(&'a mut Vec<u8>);
        impl Write for Appender<'_> {
            fn write_str(&mut self, s: &str) -> core::fmt::Result {
                self.0.extend_from_slice(s.as_bytes());
                Ok(())
            }
        }
        // Appending to memory cannot fail.
        let _ = Appender(&mut self.bytes).write_fmt(text);
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(write: impl Fn(&mut Reply)) -> (Vec<u8>, Vec<u8>) {
        let with = |protocol| {
            let mut reply = Reply { protocol, ..Reply::default() };
            write(&mut reply);
            reply.bytes
        };
        (with(Protocol::Resp2), with(Protocol::Resp3))
    }

    #[test]
    fn each_version_gets_its_own_form() {
        let same = |bytes: &[u8]| (bytes.to_vec(), bytes.to_vec());
        assert_eq!(both(|r| r.integer(i64::MIN)), same(b":-9223372036854775808\r\n"));
        assert_eq!(both(|r| r.integer(0)), same(b":0\r\n"));
        assert_eq!(both(|r| r.bulk(b"a\r\nb")), same(b"$4\r\na\r\nb\r\n"));
        assert_eq!(both(|r| r.error("ERR a\r\n+OK")), same(b"-ERR a  +OK\r\n"));
        assert_eq!(both(|r| r.double(1.5)), (b"$3\r\n1.5\r\n".to_vec(), b",1.5\r\n".to_vec()));
        assert_eq!(both(Reply::null), (b"$-1\r\n".to_vec(), b"_\r\n".to_vec()));
        assert_eq!(both(|r| r.map(2)), (b"*4\r\n".to_vec(), b"%2\r\n".to_vec()));
        assert_eq!(both(|r| r.verbatim("hi")), (b"$2\r\nhi\r\n".to_vec(), b"=6\r\ntxt:hi\r\n".to_vec()));
    }
}
