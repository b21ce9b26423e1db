//! How the client ends when it does not simply succeed.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Why the client ends.
#[derive(Debug)]
pub enum Stop {
    /// `--help` or `--version`: the answer, for standard output.
    Answer(String),
    /// A reply was an error, as the server worded it.
    Server(String),
    /// A reply was an error, and has been shown.
    Shown,
    /// The client was called wrongly, or cannot read a file it was told to use.
    Usage(String),
    /// There is no connection: refused, lost, or not to be trusted.
    Connection(String),
    /// A file is damaged, or is not what it should be.
    Damaged(String),
    /// Standard input or output is of no use.
    Stream(io::Error),
}

impl Stop {
    /// Of flags that are wrong, or of `--help`.
    pub fn of_flags(error: clap::Error) -> Stop {
        match error.use_stderr() {
            true => Stop::Usage(error.to_string()),
            false => Stop::Answer(error.to_string()),
        }
    }

    /// Where it is an error of writing a file: with the file's name.
    pub fn of_file(self, path: &Path) -> Stop {
        match self {
            Stop::Stream(e) => Stop::Stream(io::Error::new(e.kind(), format!("{}: not written: {e}", path.display()))),
            stop => stop,
        }
    }

    /// Says why, where it belongs; answers the exit code.
    pub fn report(&self) -> ExitCode {
        let code = match self {
            Stop::Answer(text) => {
                let _ = io::stdout().write_all(text.as_bytes());
                return ExitCode::SUCCESS;
            }
            // Whoever read our output has seen enough, such as `| head`.
            Stop::Stream(e) if e.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Stop::Shown => return ExitCode::from(1),
            Stop::Server(_) | Stop::Damaged(_) | Stop::Stream(_) => 1,
            Stop::Usage(_) => 2,
            Stop::Connection(_) => 3,
        };
        // A closed standard error is no reason to end differently.
        let _ = writeln!(io::stderr(), "{}", self.why().trim_end());
        ExitCode::from(code)
    }

    /// What is said of it.
    pub fn why(&self) -> String {
        match self {
            Stop::Shown => String::new(),
            Stop::Stream(e) => e.to_string(),
            Stop::Answer(message)
            | Stop::Server(message)
            | Stop::Damaged(message)
            | Stop::Usage(message)
            | Stop::Connection(message) => message.clone(),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Stream(error)
    }
}
