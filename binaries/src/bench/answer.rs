//! Passing over what a server answers. Nothing is kept of it, and nothing allocated: the generator must be cheaper than the
//! server it measures. `mneme_kernel::resp` is for who wants the values.

/// The longest line, bytes; as the kernel's reader has it.
pub const MAX_LINE: usize = 64 * 1024;

/// What a reply was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Its first byte.
    pub kind: u8,
    /// The length that it announced, of bytes or elements; -1 for a null of RESP2. 0 if its kind has none.
    pub length: i64,
    /// Its first line without the first byte; empty if that has come with bytes that were taken before.
    pub line: &'a [u8],
}

impl Answer<'_> {
    pub fn is_error(&self) -> bool {
        matches!(self.kind, b'-' | b'!')
    }

    /// Whether there was nothing: a null, or no elements.
    pub fn is_null(&self) -> bool {
        let is_empty = self.length == 0 && matches!(self.kind, b'*' | b'~' | b'%');
        self.kind == b'_' || self.length < 0 || is_empty
    }
}

/// Reads replies as they arrive in pieces.
#[derive(Debug, Default)]
pub struct Reader {
    /// Values that belong to the reply and are still to come.
    open: i64,
    /// Bytes of a string that are still to come, its end included.
    body: usize,
    /// The kind and length of the reply that is being read.
    kind: u8,
    length: i64,
}

impl Reader {
    /// Takes bytes from the start: how many, and the reply that ended with them. Without a reply, call again with the rest
    /// and at least one more byte.
    ///
    /// # Errors
    /// If that is not the protocol; the reader is of no further use.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Option<Answer<'a>>), &'static str> {
        let mut used = 0;
        let mut first: &[u8] = &[];
        loop {
            let skipped = self.body.min(bytes.len() - used);
            used += skipped;
            self.body -= skipped;
            if self.body > 0 {
                return Ok((used, None));
            }
            if skipped > 0 && self.open == 0 {
                return Ok((used, Some(Answer { kind: self.kind, length: self.length, line: first })));
            }
            let Some(line) = line(&bytes[used..])? else { return Ok((used, None)) };
            used += line.len() + 2;
            let is_first = self.open == 0;
            let (kind, length) = self.take(line)?;
            if is_first {
                (self.kind, self.length, first) = (kind, length, &line[1..]);
            }
            if self.open == 0 && self.body == 0 {
                return Ok((used, Some(Answer { kind: self.kind, length: self.length, line: first })));
            }
        }
    }

    /// Notes what a line announces.
    fn take(&mut self, line: &[u8]) -> Result<(u8, i64), &'static str> {
        let Some((&kind, rest)) = line.split_first() else { return Err("an empty line") };
        let mut length = 0;
        let more = match kind {
            b'+' | b'-' | b':' | b',' | b'#' | b'(' | b'_' => 0,
            b'$' | b'!' | b'=' => {
                length = number(rest)?;
                self.body = usize::try_from(length).map_or(0, |length| length + 2);
                0
            }
            b'*' | b'~' => {
                length = number(rest)?;
                length.max(0)
            }
            b'%' => {
                length = number(rest)?;
                length.max(0) * 2
            }
            _ => return Err("an unknown type"),
        };
        self.open = (self.open - 1).max(0) + more;
        Ok((kind, length))
    }
}

/// The bytes up to the first `\r\n`, if that has arrived.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) if end > 0 && bytes[end - 1] == b'\r' => Ok(Some(&bytes[..end - 1])),
        Some(_) => Err("a line without its end"),
        None if bytes.len() > MAX_LINE => Err("a line that is too long"),
        None => Ok(None),
    }
}

/// The most that a length may be: no sum of them overflows.
const MAX_LENGTH: i64 = 1 << 32;

fn number(text: &[u8]) -> Result<i64, &'static str> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, text),
    };
    let mut number = 0;
    for digit in digits {
        if !digit.is_ascii_digit() || number > MAX_LENGTH {
            return Err("a bad length");
        }
        number = number * 10 + i64::from(digit - b'0');
    }
    match digits.is_empty() {
        true => Err("a bad length"),
        false => Ok(if negative { -number } else { number }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds and lengths of all replies, if so many bytes arrive at once.
    fn read(wire: &[u8], step: usize) -> Vec<(char, i64)> {
        let (mut reader, mut have, mut seen) = (Reader::default(), Vec::new(), Vec::new());
        for piece in wire.chunks(step) {
            have.extend_from_slice(piece);
            loop {
                let (used, answer) = reader.next(&have).expect("the protocol");
                seen.extend(answer.map(|answer| (answer.kind as char, answer.length)));
                let more = answer.is_some();
                have.drain(..used);
                if !more {
                    break;
                }
            }
        }
        assert!(have.is_empty(), "{have:?} is left");
        seen
    }

    #[test]
    fn every_reply_is_passed_over_in_pieces_of_any_size() {
        let wire = b"+OK\r\n$5\r\nhe\r\no\r\n:-7\r\n$-1\r\n*-1\r\n_\r\n$0\r\n\r\n*0\r\n\
                     *3\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n-ERR in it\r\n%1\r\n+k\r\n~2\r\n#t\r\n,1.5\r\n\
                     *2\r\n*1\r\n$2\r\nab\r\n$-1\r\n-ERR no\r\n";
        let wanted = [
            ('+', 0),
            ('$', 5),
            (':', 0),
            ('$', -1),
            ('*', -1),
            ('_', 0),
            ('$', 0),
            ('*', 0),
            ('*', 3),
            ('%', 1),
            ('*', 2),
            ('-', 0),
        ];
        for step in 1..=wire.len() {
            assert_eq!(read(wire, step), wanted, "{step} bytes at once");
        }
    }

    #[test]
    fn an_error_comes_with_its_words() {
        let mut reader = Reader::default();
        let (used, answer) = reader.next(b"-LOADING it is\r\n+OK\r\n").expect("the protocol");
        let answer = answer.expect("a whole reply");
        assert!(answer.is_error() && answer.line == b"LOADING it is" && used == 16, "{answer:?}");
    }

    #[test]
    fn what_is_not_the_protocol_is_refused() {
        for wire in ["HTTP/1.1 400\r\n", "\r\n", "+a\n", "$x\r\n", "$\r\n", "*-\r\n", "$99999999999999\r\n"] {
            assert!(Reader::default().next(wire.as_bytes()).is_err(), "{wire:?}");
        }
        assert!(Reader::default().next(&[b'+'; MAX_LINE + 2]).is_err());
    }
}
