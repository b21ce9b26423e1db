//! Commands from a file or a pipe, one a line, pipelined; the answers in order.

use std::io::{self, BufRead, BufReader, Read, Write};

use mneme_kernel::resp::{Value, encode_command};

use super::connection::Connection;
use super::output::Form;
use super::stop::Stop;
use super::{Words, listen, quote};

/// The most commands and bytes that are sent before their answers are read. Bounded, because a server stops reading from
/// a client that does not read its answers; few enough bytes to fit into the buffers of a socket.
const BATCH_COMMANDS: usize = 1000;
const BATCH_BYTES: usize = 32 * 1024;

/// Runs every command. One that fails does not stop those after it; a line that is not a command does.
///
/// # Errors
/// If the connection is lost, a line is malformed, or any answer was an error: those have been shown.
pub fn run(connection: &mut Connection, form: Form, input: impl Read, mut out: impl Write) -> Result<(), Stop> {
    let mut lines = Lines { input: BufReader::new(input), number: 0 };
    let mut failed = false;
    loop {
        let (batch, end) = lines.batch();
        failed |= exchange(connection, &batch, form, &mut out)?;
        match end {
            End::MoreToCome => continue,
            End::OfInput | End::Bad(_) => connection.settle()?,
        }
        return match end {
            End::Bad(stop) => Err(stop),
            _ if failed => Err(Stop::Shown),
            _ => Ok(()),
        };
    }
}

/// A command and the line that it stood on.
struct Line {
    number: usize,
    words: Words,
}

/// What follows a batch.
enum End {
    MoreToCome,
    OfInput,
    Bad(Stop),
}

struct Lines<R> {
    input: BufReader<R>,
    /// The number of the line last read.
    number: usize,
}

impl<R: Read> Lines<R> {
    /// Waits for a line, and takes with it those that have already arrived, so that whoever types into a pipe by hand is
    /// answered at once.
    fn batch(&mut self) -> (Vec<Line>, End) {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        loop {
            match self.line() {
                Ok(Some(line)) => {
                    bytes += line.words.iter().map(Vec::len).sum::<usize>();
                    if !line.words.is_empty() {
                        batch.push(line);
                    }
                }
                Ok(None) => return (batch, End::OfInput),
                Err(stop) => return (batch, End::Bad(stop)),
            }
            let full = batch.len() >= BATCH_COMMANDS || bytes >= BATCH_BYTES;
            if full || !self.input.buffer().contains(&b'\n') {
                return (batch, End::MoreToCome);
            }
        }
    }

    fn line(&mut self) -> Result<Option<Line>, Stop> {
        let mut line = Vec::new();
        if self.input.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let number = self.number;
        let words = quote::split(&line).map_err(|_| Stop::Usage(format!("line {number}: unbalanced quotes")))?;
        Ok(Some(Line { number, words }))
    }
}

/// Sends a batch and prints its answers. Answers whether any was an error.
fn exchange(connection: &mut Connection, batch: &[Line], form: Form, out: &mut impl Write) -> Result<bool, Stop> {
    let mut bytes = Vec::new();
    batch.iter().for_each(|line| encode_command(&line.words, &mut bytes));
    connection.send(&bytes)?;
    let (mut text, mut failed) = (Vec::new(), false);
    for line in batch {
        let reply = connection.answer(&line.words);
        match &reply {
            Ok(Some(Value::Error(_))) | Err(_) => flush(&mut text, out)?,
            Ok(Some(value)) => form.write(value, &mut text),
            Ok(None) => {}
        }
        if let Some(Value::Error(message)) = reply? {
            failed = true;
            // Standard error may be closed; the exit code still tells.
            let _ = writeln!(io::stderr(), "line {}: {message}", line.number);
        } else if text.len() >= BATCH_BYTES {
            flush(&mut text, out)?;
        }
    }
    flush(&mut text, out)?;
    if let Some(last) = batch.last() {
        listen(connection, &last.words, form, out)?;
    }
    Ok(failed)
}

/// Shows what is known so far, so that errors stand between the answers around them.
fn flush(text: &mut Vec<u8>, out: &mut impl Write) -> Result<(), Stop> {
    out.write_all(text)?;
    out.flush()?;
    text.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the lines in each batch, and how the input ended.
    fn batches(input: &str) -> (Vec<Vec<usize>>, Option<Stop>) {
        let mut lines = Lines { input: BufReader::new(input.as_bytes()), number: 0 };
        let mut all = Vec::new();
        loop {
            let (batch, end) = lines.batch();
            all.push(batch.iter().map(|l| l.number).collect());
            match end {
                End::MoreToCome => {}
                End::OfInput => return (all, None),
                End::Bad(stop) => return (all, Some(stop)),
            }
        }
    }

    #[test]
    fn what_has_arrived_goes_out_together() {
        let (all, bad) = batches("set a 1\r\n\n  \nget a\nget b");
        assert_eq!((all.concat(), bad.is_none()), (vec![1, 4, 5], true));
        assert_eq!(all[0], [1, 4]);
    }

    #[test]
    fn nothing_after_a_malformed_line_is_run() {
        let (all, bad) = batches("set a 1\nset b \"2\nset c 3\n");
        assert_eq!(all.concat(), [1]);
        assert!(matches!(bad, Some(Stop::Usage(m)) if m == "line 2: unbalanced quotes"));
    }

    #[test]
    fn a_batch_is_bounded() {
        let (all, _) = batches(&"set a 1\n".repeat(5000));
        assert_eq!(all.concat().len(), 5000);
        assert!(all.iter().all(|batch| batch.len() <= BATCH_COMMANDS));
        let (all, _) = batches(&format!("set a {}\n", "x".repeat(BATCH_BYTES)).repeat(3));
        assert!(all.iter().all(|batch| batch.len() <= 1));
    }
}
