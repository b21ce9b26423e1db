//! Traps: they stop a node in the middle of what it does, for the test to end it there.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::channel::oneshot;

use super::inode::Inode;
use super::{Platter, SimDisk};
use crate::lock;

/// An operation of a disk or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    CreateFolder,
    List,
    Create,
    Open,
    Rename,
    Remove,
    SyncFolder,
    Size,
    Read,
    Write,
    Allocate,
    Truncate,
    Sync,
}

/// An operation, and what its path begins with: a file's present name, the new name of a rename, `log/` for the folder
/// `log`.
pub type Step = (Operation, &'static str);

/// Which operation to catch.
#[derive(Clone, Copy, Debug)]
pub struct Trap {
    /// What must have begun before, in this order; others may come between.
    pub after: &'static [Step],
    pub operation: Operation,
    /// What its path begins with, as in a [`Step`].
    pub prefix: &'static str,
    /// How many such operations pass before.
    pub skip: u64,
}

impl SimDisk {
    /// Sets a trap, in place of an earlier one. It stays through crashes and lives until it springs or the returned
    /// future is dropped.
    ///
    /// The operation that it catches hangs until the life of its handle ends; by chance it has taken effect by then or
    /// never will. Other operations go on.
    pub fn trap(&self, trap: Trap) -> Sprung {
        let (sender, receiver) = oneshot::channel();
        lock(&self.platter).trap = Some(Armed { trap, sprung: sender });
        Sprung(receiver)
    }
}

/// Waits until a trap has sprung: `true` once its operation hangs, `false` if that will never be, because another trap
/// took its place or the operation was given up.
#[must_use = "a trap whose future is dropped catches nothing"]
pub struct Sprung(oneshot::Receiver<()>);

impl Sprung {
    /// Catches nothing any more; whether it has sprung, and its operation hangs.
    pub fn give_up(mut self) -> bool {
        self.0.close();
        self.0.try_recv().is_ok()
    }
}

impl Future for Sprung {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        Pin::new(&mut self.0).poll(cx).map(|sprung| sprung.is_ok())
    }
}

impl fmt::Debug for Sprung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sprung").finish_non_exhaustive()
    }
}

/// A trap that has not caught anything yet.
pub struct Armed {
    trap: Trap,
    sprung: oneshot::Sender<()>,
}

/// An operation in a trap; sent when it begins to hang.
pub type Caught = oneshot::Sender<()>;

/// What an operation is about.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    Path(&'a str),
    Folder(&'a str),
    File(&'a Arc<Mutex<Inode>>),
}

impl Platter {
    /// Whether an operation that begins now is the one to catch.
    pub fn catch(&mut self, operation: Operation, target: Target<'_>) -> Option<Caught> {
        let Armed { trap, .. } = self.trap.as_mut()?;
        let path = self.names.path_of(target);
        let is_it = |(wanted, prefix): Step| wanted == operation && path.starts_with(prefix);
        if let [first, rest @ ..] = trap.after {
            if is_it(*first) {
                trap.after = rest;
            }
            return None;
        }
        if !is_it((trap.operation, trap.prefix)) {
            return None;
        }
        if trap.skip > 0 {
            trap.skip -= 1;
            return None;
        }
        self.trap.take().map(|armed| armed.sprung)
    }
}
