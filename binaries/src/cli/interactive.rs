//! A prompt for people: a line, an answer.

mod editor;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mneme_kernel::resp::{Value, encode_command};
use signal_hook::consts::SIGINT;
use signal_hook::flag;

use editor::{Editor, Known};

use super::connection::Connection;
use super::flags::words_of;
use super::mode::{Mode, behind_level, is};
use super::options::Options;
use super::output::Form;
use super::stop::Stop;
use super::{Words, asks_for_messages, explained, print, quote};

/// Answers lines until the input ends. A lost connection is made again for the next line, with whichever host answers then;
/// what became of the command it was lost under is not known, so that is not sent again.
///
/// # Errors
/// If the terminal is of no use.
pub fn run(mut connection: Connection, options: &Options, form: Form, mut out: impl Write) -> Result<(), Stop> {
    let known = Known::ask(&mut connection);
    let mut editor = Editor::new(known.clone());
    let (peer, database) = (connection.peer().to_owned(), String::new());
    let interrupt = Interrupt::heed()?;
    let mut server = Server { connection: Some(connection), options, peer, database, interrupt };
    while let Some(line) = editor.line(server.prompt())? {
        let words = match quote::split(line.as_bytes()) {
            Ok(words) if words.is_empty() => continue,
            Ok(words) if is_farewell(&words) => return Ok(()),
            Ok(words) if is(&words, 0, "help") => {
                write!(out, "{}", known.help(words.get(1).map(Vec::as_slice)))?;
                continue;
            }
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
        match server.answer(&words, form, &mut out) {
            Err(Stop::Connection(problem) | Stop::Server(problem)) => {
                eprintln!("{problem}");
                server.leave();
            }
            other => other?,
        }
    }
    Ok(())
}

/// Ctrl-C: it ends the program, but while messages are shown only that.
struct Interrupt {
    is_fatal: Arc<AtomicBool>,
    has_come: Arc<AtomicBool>,
}

impl Interrupt {
    fn heed() -> io::Result<Interrupt> {
        let (is_fatal, has_come) = (Arc::new(AtomicBool::new(true)), Arc::default());
        flag::register_conditional_default(SIGINT, Arc::clone(&is_fatal))?;
        flag::register(SIGINT, Arc::clone(&has_come))?;
        Ok(Interrupt { is_fatal, has_come })
    }
}

/// The server that lines go to.
struct Server<'a> {
    connection: Option<Connection>,
    options: &'a Options,
    /// The name of the host that answered last.
    peer: String,
    /// That of a connection that is gone: the next one goes on there.
    database: String,
    interrupt: Interrupt,
}

impl Server<'_> {
    fn prompt(&self) -> String {
        match self.connection.as_ref().map(Connection::mode) {
            Some(mode) => prompt(&self.peer, &mode.database, mode.is_transaction()),
            None => prompt(&self.peer, &self.database, false),
        }
    }

    /// Gives up the connection.
    fn leave(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.database.clone_from(&connection.mode().database);
        }
    }

    /// Connects, if there is no connection.
    fn connect(&mut self) -> Result<&mut Connection, Stop> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reconnected()?,
        };
        Ok(self.connection.insert(connection))
    }

    fn reconnected(&mut self) -> Result<Connection, Stop> {
        let mut opening = self.options.opening.clone();
        let at_first = self.options.database().unwrap_or_else(|| Mode::default().database);
        if self.database != at_first {
            opening.push(words_of(&["SELECT", &self.database]));
        }
        let connection = Connection::open(&self.options.target, &opening).inspect_err(|stop| {
            // The database may be gone: that is said once.
            if matches!(stop, Stop::Server(_)) {
                self.database = at_first;
            }
        })?;
        connection.peer().clone_into(&mut self.peer);
        Ok(connection)
    }

    fn answer(&mut self, words: &Words, form: Form, out: &mut impl Write) -> Result<(), Stop> {
        let connection = self.connect()?;
        let mut bytes = Vec::new();
        encode_command(words, &mut bytes);
        connection.send(&bytes)?;
        match connection.answer(words)? {
            Some(Value::Error(message)) => {
                eprintln!("(error) {}", explained(connection, words, message));
                return Ok(());
            }
            Some(value) => print(form, &value, out)?,
            None => {}
        }
        if asks_for_messages(connection, words) { self.listen(form, out) } else { Ok(()) }
    }

    /// Shows messages until Ctrl-C. The connection is given up then: it would go on to get them.
    fn listen(&mut self, form: Form, out: &mut impl Write) -> Result<(), Stop> {
        let Interrupt { is_fatal, has_come } = &self.interrupt;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        eprintln!("(messages follow: Ctrl-C ends them)");
        has_come.store(false, Ordering::Relaxed);
        is_fatal.store(false, Ordering::Relaxed);
        let shown = loop {
            match connection.message_unless(has_come) {
                Ok(Some(message)) => match print(form, &message, out) {
                    Ok(()) => {}
                    failed => break failed,
                },
                Ok(None) => break Ok(()),
                Err(stop) => break Err(stop),
            }
        };
        is_fatal.store(true, Ordering::Relaxed);
        self.leave();
        shown
    }
}

/// As redis-cli has it: the database if it is not 0, and whether commands are only queued.
fn prompt(peer: &str, database: &str, is_transaction: bool) -> String {
    let database = if database == "0" { String::new() } else { format!("[{database}]") };
    format!("{peer}{database}{}> ", if is_transaction { "(TX)" } else { "" })
}

/// Asks whoever types; what he answers is no command, and is not remembered as one.
fn is_sure(what: &str, out: &mut impl Write) -> Result<bool, Stop> {
    write!(out, "{what} Type yes to do it: ")?;
    out.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim().eq_ignore_ascii_case("yes"))
}

/// What a command would do that cannot be undone.
fn danger(words: &Words) -> Option<&'static str> {
    let is = |at: usize, name: &str| is(behind_level(words), at, name);
    match () {
        () if is(0, "flushall") => Some("This deletes all keys of all databases."),
        () if is(0, "flushdb") => Some("This deletes all keys of this database."),
        () if is(0, "shutdown") => Some("This stops the server."),
        () if is(0, "database") && is(1, "drop") => Some("This deletes a database with all its keys."),
        () if is(0, "user") && is(1, "drop") => Some("This ends the rights of a user, whose connections stay open."),
        () => None,
    }
}

fn is_farewell(words: &Words) -> bool {
    words.len() == 1 && (is(words, 0, "quit") || is(words, 0, "exit"))
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
    #[test]
    fn the_prompt_shows_where_somebody_is() {
        let mut mode = Mode::default();
        let mut after = |line: &str| {
            mode.done(&quote::split(line.as_bytes()).expect("words"));
            prompt("h:1", &mode.database, mode.is_transaction())
        };
        for (line, shown) in [
            ("ping", "h:1> "),
            ("select 3", "h:1[3]> "),
            ("multi", "h:1[3](TX)> "),
            ("select shop", "h:1[3](TX)> "),
            ("exec", "h:1[shop]> "),
            ("select 0", "h:1> "),
        ] {
            assert_eq!(after(line), shown, "{line}");
        }
    }
}
