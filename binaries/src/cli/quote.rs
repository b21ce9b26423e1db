//! Splits a line into words the way redis-cli does.

use super::Words;

/// A quote that is not closed, or is followed by something other than a space.
#[derive(Debug, PartialEq, Eq)]
pub struct Unbalanced;

/// The words of a line. Within double quotes `\n \r \t \b \a \\ \"` and `\xHH` are escapes; within single quotes only `\'`
/// is. A quote may begin inside a word: `a"b c"` is one word.
///
/// # Errors
/// If the quotes are unbalanced.
pub fn split(line: &[u8]) -> Result<Words, Unbalanced> {
    let mut words = Words::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let (word, after) = word(rest)?;
        words.push(word);
        rest = after.trim_ascii_start();
    }
    Ok(words)
}

/// The first word of bytes that do not begin with a space, and what follows it.
fn word(mut rest: &[u8]) -> Result<(Vec<u8>, &[u8]), Unbalanced> {
    let mut word = Vec::new();
    loop {
        rest = match rest {
            [] => return Ok((word, rest)),
            [c, ..] if c.is_ascii_whitespace() => return Ok((word, rest)),
            [b'"', after @ ..] => after_quote(double_quoted(after, &mut word)?)?,
            [b'\'', after @ ..] => after_quote(single_quoted(after, &mut word)?)?,
            [c, after @ ..] => {
                word.push(*c);
                after
            }
        };
    }
}

/// A closing quote ends the word.
fn after_quote(rest: &[u8]) -> Result<&[u8], Unbalanced> {
    match rest.first() {
        Some(c) if !c.is_ascii_whitespace() => Err(Unbalanced),
        _ => Ok(rest),
    }
}

/// Takes what stands before the closing quote; answers what follows it.
fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        let (byte, after) = match rest {
            [] => return Err(Unbalanced),
            [b'"', after @ ..] => return Ok(after),
            [b'\\', b'x', high, low, after @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                let nibble = |digit| hex(digit).unwrap_or_default();
                (nibble(*high) << 4 | nibble(*low), after)
            }
            [b'\\', escaped, after @ ..] => (unescape(*escaped), after),
            [c, after @ ..] => (*c, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        let (byte, after) = match rest {
            [] => return Err(Unbalanced),
            [b'\'', after @ ..] => return Ok(after),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [c, after @ ..] => (*c, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn unescape(c: u8) -> u8 {
    match c {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|d| d as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_redis_cli_splits_them() {
        for (line, words) in [
            ("", &[][..]),
            ("  \t ", &[]),
            ("set a 1", &[&b"set"[..], b"a", b"1"]),
            ("  get \t a  ", &[b"get", b"a"]),
            (r#"set k "hello world""#, &[b"set", b"k", b"hello world"]),
            (r#""" ''"#, &[b"", b""]),
            (r#""\x00\xfF\n\r\t\b\a\\\"\q""#, &[b"\x00\xff\n\r\t\x08\x07\\\"q"]),
            (r#""\xg0\x1""#, &[b"xg0x1"]),
            (r"'it\'s \n raw'", &[br"it's \n raw"]),
            (r#"a"b c" d'e f'"#, &[b"ab c", b"de f"]),
            (r#""it's" 'say "x"'"#, &[b"it's", br#"say "x""#]),
            ("ä \u{1F600}", &["ä".as_bytes(), "\u{1F600}".as_bytes()]),
        ] {
            let got = split(line.as_bytes());
            assert_eq!(got, Ok(words.iter().map(|w| w.to_vec()).collect()), "{line}");
        }
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        for line in ["\"", "'", "set a \"b", "set a 'b", "\"a\"b", "'a'b", "\"a\\\"", r#""a\"#] {
            assert_eq!(split(line.as_bytes()), Err(Unbalanced), "{line}");
        }
    }
}
