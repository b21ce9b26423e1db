//! What a connection has queued between MULTI and EXEC.

use alloc::vec::Vec;

use crate::commands::Command;
use crate::ids::DbNumber;
use crate::resp::Args;
use crate::resp::OwnedArgs;

/// Commands that wait for EXEC.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) queue: Vec<Queued>,
    /// The database that they select last.
    pub(crate) selects: Option<DbNumber>,
    /// One could not be queued: EXEC will refuse all.
    pub(crate) is_broken: bool,
    /// One of them writes.
    pub(crate) writes: bool,
    /// One of them touches data.
    pub(crate) touches_data: bool,
    /// One of them may need more memory.
    pub(crate) grows: bool,
    /// Bytes of all requests.
    pub(crate) bytes: usize,
}

/// A command that waits for EXEC.
#[derive(Debug)]
pub(crate) struct Queued {
    /// Its place in the table.
    pub(crate) number: usize,
    pub(crate) command: &'static Command,
    pub(crate) args: OwnedArgs,
}

impl Transaction {
    pub(crate) fn push(&mut self, number: usize, command: &'static Command, args: Args<'_>) {
        self.grows |= command.is_denied_without_memory(args);
        let args = OwnedArgs::from(args);
        self.bytes += args.size();
        self.writes |= command.is_write();
        self.touches_data |= command.touches_data(command.access);
        self.queue.push(Queued { number, command, args });
    }
}
