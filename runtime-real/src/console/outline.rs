//! Where a reply ends, found without keeping it: one that is too long for a page is passed over in little memory.

use std::mem;

/// What is kept of a head: the longest number fits. The rest of a simple string does not count.
const HEAD: usize = 24;

/// A reply that is arriving.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// Its first byte; 0 before it has begun.
    kind: u8,
    /// Values that it still lacks.
    values: u64,
    /// Bytes that the string being read still lacks, with its end.
    bytes: u64,
    head: Vec<u8>,
}

impl Outline {
    /// How many of these bytes belong to the reply, and its kind if it ends with them.
    pub(super) fn take(&mut self, input: &[u8]) -> (usize, Option<u8>) {
        let mut used = 0;
        while used < input.len() {
            if self.kind == 0 {
                (self.kind, self.values) = (input[used], 1);
            }
            let rest = &input[used..];
            if self.bytes > 0 {
                let taken = self.bytes.min(rest.len() as u64);
                self.bytes -= taken;
                used += taken as usize;
                self.values -= u64::from(self.bytes == 0);
            } else {
                let end = rest.iter().position(|byte| *byte == b'\n');
                let taken = end.map_or(rest.len(), |end| end + 1);
                let kept = HEAD.saturating_sub(self.head.len()).min(taken);
                self.head.extend_from_slice(&rest[..kept]);
                used += taken;
                if end.is_some() {
                    self.note_head();
                }
            }
            if self.values == 0 {
                return (used, Some(mem::take(self).kind));
            }
        }
        (used, None)
    }

    fn note_head(&mut self) {
        let head = mem::take(&mut self.head);
        let number = head.get(1..).and_then(|rest| std::str::from_utf8(rest).ok()?.trim_end().parse::<u64>().ok());
        match (head.first(), number) {
            (Some(b'*' | b'~' | b'>'), Some(n)) => self.values += n,
            (Some(b'%'), Some(n)) => self.values += 2 * n,
            // Attributes stand before their value.
            (Some(b'|'), Some(n)) => self.values += 2 * n + 1,
            (Some(b'$' | b'!' | b'='), Some(n)) => {
                self.bytes = n + 2;
                return;
            }
            _ => {}
        }
        self.values -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_ends_where_it_ends_however_it_arrives() {
        let replies = [
            &b"+OK\r\n"[..],
            b"-ERR a sentence that is longer than what is kept of a head\r\n",
            b"$-1\r\n",
            b"$0\r\n\r\n",
            b"$12\r\nwith\r\n*3\r\nin\r\n",
            b"*0\r\n",
            b"*-1\r\n",
            b"*2\r\n%1\r\n+a\r\n~2\r\n:1\r\n_\r\n$1\r\nx\r\n",
            b"=7\r\ntxt:abc\r\n",
            b"|1\r\n+key\r\n+value\r\n*1\r\n#t\r\n",
            b">2\r\n+message\r\n,1.5\r\n",
        ];
        let all = replies.concat();
        for step in 1..all.len() {
            let (mut outline, mut ends, mut at) = (Outline::default(), Vec::new(), 0);
            for piece in all.chunks(step) {
                let mut rest = piece;
                while !rest.is_empty() {
                    let (used, kind) = outline.take(rest);
                    at += used;
                    ends.extend(kind.map(|kind| (at, kind)));
                    rest = &rest[used..];
                }
            }
            let wanted = replies.iter().scan(0, |at, reply| {
                *at += reply.len();
                Some((*at, reply[0]))
            });
            assert_eq!(ends, wanted.collect::<Vec<_>>(), "in pieces of {step}");
        }
    }
}
