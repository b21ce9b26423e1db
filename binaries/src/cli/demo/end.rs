//! When to end, and what to leave behind if that is not as it should be.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, TryLockError};
use std::{fs, io, panic, process};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::folder::Folder;
use super::nodes::Processes;

/// What a shell says of a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;
/// What Rust says of a program that has panicked.
const PANICKED: i32 = 101;

/// The signals that have arrived.
#[derive(Debug)]
pub struct End {
    /// `SIGINT`: end in order.
    asked: Arc<AtomicBool>,
    /// `SIGTERM` or `SIGHUP`: end at once.
    pressing: Arc<AtomicBool>,
}

impl End {
    /// From now on signals are heeded here. A second `SIGINT` ends the process where it stands; nodes end with it.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn watch() -> io::Result<End> {
        let end = End { asked: Arc::default(), pressing: Arc::default() };
        flag::register_conditional_shutdown(SIGINT, INTERRUPTED, Arc::clone(&end.asked))?;
        flag::register(SIGINT, Arc::clone(&end.asked))?;
        for signal in [SIGTERM, SIGHUP] {
            flag::register(signal, Arc::clone(&end.pressing))?;
        }
        Ok(end)
    }

    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst) || self.is_pressing()
    }

    pub fn is_pressing(&self) -> bool {
        self.pressing.load(Ordering::SeqCst)
    }

    /// Has a panic, in whichever thread, end the nodes and remove the folder: in a build that aborts at a panic, nothing is
    /// dropped.
    pub fn at_a_panic(&self, nodes: Processes, folder: &Folder) {
        let folder = (!folder.is_kept()).then(|| folder.path().to_owned());
        let say = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            say(what);
            clean_up(&nodes, folder.as_deref());
            process::exit(PANICKED);
        }));
    }
}

fn clean_up(nodes: &Processes, folder: Option<&Path>) {
    let nodes = *nodes.try_lock().unwrap_or_else(|poisoned| match poisoned {
        TryLockError::Poisoned(poisoned) => poisoned.into_inner(),
        TryLockError::WouldBlock => process::exit(PANICKED),
    });
    for id in nodes.into_iter().flatten().filter_map(|id| Pid::from_raw(id as i32)) {
        let _ = kill_process(id, Signal::KILL);
    }
    if let Some(folder) = folder {
        let _ = fs::remove_dir_all(folder);
    }
}
