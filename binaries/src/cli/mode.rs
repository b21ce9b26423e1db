//! What the commands of a connection have made of it: its database, whether it is in a transaction, and which replies come.

use super::Words;

/// As far as the client must know it: to wait for no reply that never comes, and to show where somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mode {
    /// A number or a name, as it was typed.
    pub database: String,
    /// Within `MULTI`: the database if that is executed.
    transaction: Option<String>,
    replies: Replies,
}

/// Which replies come, by `CLIENT REPLY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replies {
    On,
    Off,
    /// Not that of the next command.
    Skip,
}

impl Default for Mode {
    fn default() -> Mode {
        Mode { database: "0".to_owned(), transaction: None, replies: Replies::On }
    }
}

impl Mode {
    pub fn is_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Whether all commands are answered.
    pub fn is_answering(&self) -> bool {
        self.replies == Replies::On
    }

    /// Whether this command is answered, which is the next one.
    pub fn is_answered(&mut self, command: &Words) -> bool {
        let command = behind_level(command);
        if is(command, 0, "reset") {
            self.replies = Replies::On;
        }
        // Within MULTI it is only queued.
        if is(command, 0, "client") && is(command, 1, "reply") && command.len() == 3 && !self.is_transaction() {
            let wanted = [("on", Replies::On), ("off", Replies::Off), ("skip", Replies::Skip)];
            if let Some((_, wanted)) = wanted.into_iter().find(|(word, _)| is(command, 2, word)) {
                // SKIP while there are no replies anyway changes nothing.
                if wanted != Replies::Skip || self.replies != Replies::Off {
                    self.replies = wanted;
                }
                return self.is_answering();
            }
        }
        let is_answered = self.is_answering();
        if self.replies == Replies::Skip {
            self.replies = Replies::On;
        }
        is_answered
    }

    /// Takes note of a command that was done, or queued. One whose reply does not come is taken for done.
    pub fn done(&mut self, command: &Words) {
        let command = behind_level(command);
        match () {
            () if is(command, 0, "select") => {
                let database = command.get(1).map(|word| String::from_utf8_lossy(word).into_owned());
                *self.transaction.as_mut().unwrap_or(&mut self.database) = database.unwrap_or_default();
            }
            () if is(command, 0, "multi") => self.transaction = Some(self.database.clone()),
            () if is(command, 0, "exec") => {
                if let Some(database) = self.transaction.take() {
                    self.database = database;
                }
            }
            () if is(command, 0, "discard") => self.transaction = None,
            () if is(command, 0, "reset") => *self = Mode::default(),
            () => {}
        }
    }

    /// As [`Mode::done`], of a command that was refused, or of an `EXEC` that executed nothing.
    pub fn refused(&mut self, command: &Words) {
        let command = behind_level(command);
        if is(command, 0, "exec") || is(command, 0, "discard") {
            self.transaction = None;
        }
    }
}

/// Behind a level, it is the same command.
pub fn behind_level(command: &[Vec<u8>]) -> &[Vec<u8>] {
    match is(command, 0, "consistency") {
        true => command.get(2..).unwrap_or_default(),
        false => command,
    }
}

/// Whether a word of a command is this one.
pub fn is(command: &[Vec<u8>], at: usize, name: &str) -> bool {
    command.get(at).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::quote;

    fn words(line: &str) -> Words {
        quote::split(line.as_bytes()).expect("words")
    }

    #[test]
    fn replies_come_as_client_reply_says() {
        let mut mode = Mode::default();
        for (line, is_answered) in [
            ("ping", true),
            ("CLIENT REPLY SKIP", false),
            ("ping", false),
            ("ping", true),
            ("client reply skip", false),
            ("client reply skip", false),
            ("ping", false),
            ("client reply nonsense", true),
            ("client reply skip", false),
            ("client reply nonsense", false),
            ("consistency all ping", true),
            ("client reply off", false),
            ("ping", false),
            ("client reply skip", false),
            ("ping", false),
            ("client reply on", true),
            ("ping", true),
            ("client reply off", false),
            ("reset", true),
            ("multi", true),
            ("client reply off", true),
        ] {
            assert_eq!(mode.is_answered(&words(line)), is_answered, "{line}");
            mode.done(&words(line));
        }
    }

    #[test]
    fn a_database_that_is_selected_within_multi_counts_from_exec_on() {
        let mut mode = Mode::default();
        let mut after = |line: &str, is_done: bool| {
            if is_done {
                mode.done(&words(line))
            } else {
                mode.refused(&words(line))
            }
            (mode.database.clone(), mode.is_transaction())
        };
        let at = |database: &str, is_transaction| (database.to_owned(), is_transaction);
        assert_eq!(after("select shop", true), at("shop", false));
        assert_eq!(after("select nosuch", false), at("shop", false));
        assert_eq!(after("MULTI", true), at("shop", true));
        assert_eq!(after("multi", false), at("shop", true));
        assert_eq!(after("select 3", true), at("shop", true));
        assert_eq!(after("exec", true), at("3", false));
        after("multi", true);
        after("select 4", true);
        assert_eq!(after("exec", false), at("3", false));
        after("multi", true);
        assert_eq!(after("discard", true), at("3", false));
        assert_eq!(after("reset", true), at("0", false));
    }
}
