//! The servers' settings: read from a file, the environment and flags, checked, typed.
//!
//! `table` is the one list of them; flags, environment variables, file keys and `--help` are derived from it. Later
//! wins: default, file, environment, flag. Secrets come from the environment or from files of their own, never from a
//! flag, which every user of the machine could read.

mod file;
mod help;
mod parse;
mod secret;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

pub use secret::Secret;
pub use settings::{Facade, KeeperPlace, LogFormat, ReadSafety, Role, Settings, TlsFiles};
use values::Values;

/// The exit code of a server that was configured badly.
pub const EXIT_BAD_CONFIGURATION: u8 = 2;

/// Reads a server's settings.
///
/// `args` start with the program's name, as [`std::env::args_os`] does; `env` is the whole environment.
///
/// # Errors
/// If the program should not start: something is wrong, or only `--help` or `--version` was asked for.
pub fn load(
    program: Program,
    args: impl IntoIterator<Item = OsString>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    machine: &Machine,
) -> Result<Loaded, Stop> {
    let bad = |message| Stop::Bad(format!("{}: {message}", program.name()));
    let env = mneme_variables(env).map_err(bad)?;
    let flags = help::command(program, &Values::defaults(machine)).try_get_matches_from(args).map_err(Stop::from)?;
    let values = Values::gather(program, machine, &env, &flags);
    if flags.get_flag("help") {
        return Err(Stop::Answer(help::text(program, machine, values, &env)));
    }
    let mut settings = Settings::read(&values.map_err(bad)?, machine).map_err(bad)?;
    settings.admin_password = secret::read("MNEME_ADMIN_PASSWORD", &env).map_err(bad)?;
    settings.cluster_secret = secret::read("MNEME_CLUSTER_SECRET", &env).map_err(bad)?;
    settings.file = values::file(&env, &flags).cloned();
    let warnings = values::strangers(&env);
    Ok(Loaded { settings, warnings, health_check: flags.get_flag("healthcheck") })
}

/// A server's flags, as on a machine where nothing is set.
pub fn flags(program: Program) -> clap::Command {
    let machine = Machine { host_name: "HOST".to_owned(), cpus: 1 };
    help::command(program, &Values::defaults(&machine))
}

/// What a server starts with.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// Lines for the log: variables that look like settings and are none.
    pub warnings: Vec<String>,
    /// It is not to start: another process with these settings is to be asked how it does.
    pub health_check: bool,
}

/// Why a server does not start.
#[derive(Debug)]
pub enum Stop {
    /// `--help` or `--version`: the answer, for standard output.
    Answer(String),
    /// The configuration is bad: why and where, for standard error.
    Bad(String),
}

impl Stop {
    /// Prints the message where it belongs; answers the exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Stop::Answer(text) => {
                // A reader that has gone away, such as `| head`, has what it wanted.
                let _ = std::io::stdout().write_all(text.as_bytes());
                ExitCode::SUCCESS
            }
            Stop::Bad(message) => {
                eprintln!("{}", message.trim_end());
                ExitCode::from(EXIT_BAD_CONFIGURATION)
            }
        }
    }
}

impl From<clap::Error> for Stop {
    fn from(error: clap::Error) -> Stop {
        match error.use_stderr() {
            true => Stop::Bad(error.to_string()),
            false => Stop::Answer(error.to_string()),
        }
    }
}

/// Which server is configured. A Keeper alone has no clients, and so fewer settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Core,
    Keeper,
}

impl Program {
    pub fn name(self) -> &'static str {
        match self {
            Program::Core => "mneme-core",
            Program::Keeper => "mneme-keeper",
        }
    }
}

/// What defaults depend on.
#[derive(Clone, Debug)]
pub struct Machine {
    pub host_name: String,
    pub cpus: usize,
}

impl Machine {
    /// The machine that this process runs on.
    pub fn this() -> Machine {
        Machine {
            host_name: gethostname::gethostname().to_string_lossy().into_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// The variables that are ours, in order.
type Environment = BTreeMap<String, String>;

fn mneme_variables(env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Environment, String> {
    let mut ours = BTreeMap::new();
    for (name, value) in env {
        let Some(name) = name.to_str().filter(|n| n.starts_with("MNEME_")) else {
            continue;
        };
        let value = value.into_string().map_err(|_| format!("${name}: not UTF-8"))?;
        ours.insert(name.to_owned(), value);
    }
    Ok(ours)
}
