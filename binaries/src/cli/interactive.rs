//! A prompt for people: a line, an answer.

mod editor;

use std::io::{self, Write};

use mneme_kernel::resp::{Value, encode_command};

use editor::{Editor, Known};

use super::connection::Connection;
use super::options::Options;
use super::output::Form;
use super::stop::Stop;
use super::{Words, explained, listen, print, quote};

/// Answers lines until the input ends. A lost connection is made again for the next line, with whichever host answers then;
/// what became of the command it was lost under is not known, so that is not sent again.
///
/// # Errors
/// If the terminal is of no use.
pub fn run(mut connection: Connection, options: &Options, form: Form, mut out: impl Write) -> Result<(), Stop> {
    let known = Known::ask(&mut connection);
    let mut editor = Editor::new(connection.peer(), known);
    let mut connection = Some(connection);
    while let Some(line) = editor.line()? {
        let words = match quote::split(line.as_bytes()) {
            Ok(words) if words.is_empty() => continue,
            Ok(words) if is_farewell(&words) => return Ok(()),
            Ok(words) => words,
            Err(quote::Unbalanced) => {
                eprintln!("unbalanced quotes");
                continue;
            }
        };
        if let Some(what) = danger(&words)
            && !is_sure(what, &mut out)?
        {
            writeln!(out, "not done")?;
            continue;
        }
        match answer(&mut connection, options, &words, form, &mut out) {
            Err(Stop::Connection(problem) | Stop::Server(problem)) => {
                eprintln!("{problem}");
                connection = None;
            }
            other => other?,
        }
    }
    Ok(())
}

/// Asks whoever types; what he answers is no command, and is not remembered as one.
fn is_sure(what: &str, out: &mut impl Write) -> Result<bool, Stop> {
    write!(out, "{what} Type yes to do it: ")?;
    out.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim().eq_ignore_ascii_case("yes"))
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

/// What a command would do that cannot be undone.
fn danger(words: &Words) -> Option<&'static str> {
    let is = |at: usize, name: &str| words.get(at).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    // Behind a level, it is the same command.
    let at = if is(0, "consistency") { 2 } else { 0 };
    match () {
        () if is(at, "flushall") => Some("This deletes all keys of all databases."),
        () if is(at, "flushdb") => Some("This deletes all keys of this database."),
        () if is(at, "shutdown") => Some("This stops the server."),
        () if is(at, "database") && is(at + 1, "drop") => Some("This deletes a database with all its keys."),
        () if is(at, "user") && is(at + 1, "drop") => {
            Some("This ends the rights of a user, whose connections stay open.")
        }
        () => None,
    }
}

fn is_farewell(words: &Words) -> bool {
    let [word] = words.as_slice() else {
        return false;
    };
    word.eq_ignore_ascii_case(b"quit") || word.eq_ignore_ascii_case(b"exit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_undone_is_asked_about() {
        let danger = |line: &str| danger(&quote::split(line.as_bytes()).expect("words")).is_some();
        for line in
            ["flushall", "FLUSHDB async", "consistency all flushall", "shutdown", "database drop shop", "USER DROP bob"]
        {
            assert!(danger(line), "{line}");
        }
        for line in ["get flushall", "set database drop", "user list", "database list", "consistency all get a"] {
            assert!(!danger(line), "{line}");
        }
    }
}
