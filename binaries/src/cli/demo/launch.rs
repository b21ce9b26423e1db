//! Starting the servers so that none of them outlives this process, however that ends.
//!
//! Linux ends a process with its parent if that process itself has asked for it. So this program is started, asks, and then
//! becomes the server.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::{env, io};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use super::quoted;
use crate::cli::Words;
use crate::cli::stop::Stop;

const SERVER: &str = "mneme-core";
/// What stands behind `demo` when this program is to become a server: then its parent, the server, and its flags.
const BECOME: &str = "--become";

/// The server: beside this program, or else on the path.
///
/// # Errors
/// If it is in neither place.
pub fn find_server() -> Result<PathBuf, Stop> {
    let beside = env::current_exe()?.with_file_name(SERVER);
    let path = env::var_os("PATH").unwrap_or_default();
    let places = [beside.clone()].into_iter().chain(env::split_paths(&path).map(|folder| folder.join(SERVER)));
    places.into_iter().find(|place| place.is_file()).ok_or_else(|| {
        let folder = beside.parent().unwrap_or(Path::new("/"));
        Stop::Usage(format!(
            "demo: there is no {SERVER} in {}, beside this program, nor on the PATH; install it, or build it: \
             cargo build --release --bin {SERVER}",
            quoted(folder)
        ))
    })
}

/// The server, still without flags and with none of the settings of whoever runs this.
///
/// # Errors
/// If this program does not know where it is.
pub fn server(path: &Path) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["demo", BECOME, &process::id().to_string()]).arg(path);
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"MNEME_")) {
        command.env_remove(name);
    }
    // Ctrl-C is for this process alone: it ends the others when it has read the counters.
    command.process_group(0);
    Ok(command)
}

/// Becomes the server if that is what this program was started for: then this comes back only if it fails.
pub fn become_server(words: &Words) -> Option<Stop> {
    let words: Vec<_> = words.iter().map(|word| std::ffi::OsStr::from_bytes(word)).collect();
    let [_, become_it, parent, server, flags @ ..] = words.as_slice() else { return None };
    if *become_it != BECOME {
        return None;
    }
    let failed =
        |error: &dyn std::fmt::Display| Some(Stop::Server(format!("{}: {error}", Path::new(server).display())));
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return failed(&error);
    }
    // It may have ended before that was asked for.
    let parent_now = getppid().map(|id: Pid| id.as_raw_nonzero().to_string());
    if parent_now.as_deref() != parent.to_str() {
        return failed(&"not started: the demonstration has ended");
    }
    failed(&Command::new(server).args(flags).exec())
}
