//! A prompt for people: a line, an answer.

use std::io::{BufRead, Write};

use mneme_kernel::resp::{Value, encode_command};

use super::connection::Connection;
use super::options::Options;
use super::output::Form;
use super::stop::Stop;
use super::{Words, explained, listen, print, quote};

/// Answers lines until the input ends. A lost connection is made again for the next line; what became of the command it
/// was lost under is not known, so that is not sent again.
///
/// # Errors
/// If the terminal is of no use.
pub fn run(
    connection: Connection,
    options: &Options,
    form: Form,
    mut input: impl BufRead,
    mut out: impl Write,
) -> Result<(), Stop> {
    let prompt = format!("{}> ", connection.peer());
    let mut connection = Some(connection);
    let mut line = Vec::new();
    loop {
        write!(out, "{prompt}")?;
        out.flush()?;
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            writeln!(out)?;
            return Ok(());
        }
        let words = match quote::split(&line) {
            Ok(words) if words.is_empty() => continue,
            Ok(words) if is_farewell(&words) => return Ok(()),
            Ok(words) => words,
            Err(quote::Unbalanced) => {
                eprintln!("unbalanced quotes");
                continue;
            }
        };
        match answer(&mut connection, options, &words, form, &mut out) {
            Err(Stop::Connection(problem) | Stop::Server(problem)) => {
                eprintln!("{problem}");
                connection = None;
            }
            other => other?,
        }
    }
}

fn answer(
    connection: &mut Option<Connection>,
    options: &Options,
    words: &Words,
    form: Form,
    out: &mut impl Write,
) -> Result<(), Stop> {
    let connection = match connection {
        Some(connection) => connection,
        lost => lost.insert(Connection::open(&options.target, &options.opening)?),
    };
    let mut bytes = Vec::new();
    encode_command(words, &mut bytes);
    connection.send(&bytes)?;
    match connection.reply(words)? {
        Value::Error(message) => {
            eprintln!("(error) {}", explained(connection, words, message));
            Ok(())
        }
        value => {
            print(form, &value, out)?;
            listen(connection, words, form, out)
        }
    }
}

fn is_farewell(words: &Words) -> bool {
    let [word] = words.as_slice() else {
        return false;
    };
    word.eq_ignore_ascii_case(b"quit") || word.eq_ignore_ascii_case(b"exit")
}
