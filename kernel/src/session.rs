//! What a connection has agreed on with the server: who it is, which database, which level.

use alloc::string::String;

use crate::ids::DbId;
use crate::level::Level;
use crate::resp::{Protocol, Trust};
use crate::time::Monotonic;

/// Which port a connection came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Every command.
    Main,
    /// Reads at `EVENTUAL` only.
    Read,
}

/// One connection's state beside its bytes.
#[derive(Clone, Debug)]
pub struct Session {
    /// Unique in this process, from 1, as in `CLIENT ID`.
    pub id: u64,
    pub port: Port,
    pub since: Monotonic,
    /// Where the client is, as `ip:port` or `path:0`; empty if nobody said.
    pub address: String,
    pub db: DbId,
    /// The authenticated user's name.
    pub user: Option<String>,
    pub name: String,
    pub library: String,
    pub library_version: String,
    /// `CLIENT CONSISTENCY level`.
    pub level: Option<Level>,
    /// `CLIENT CONSISTENCY NEXT level`.
    pub next_level: Option<Level>,
    /// What waits for the outcome of a password check.
    pub(crate) greeting: Option<Greeting>,
    /// The command whose outcome is still open, by its place in the command table.
    pub(crate) unfinished: Option<usize>,
    /// More requests have arrived behind the one that runs.
    pub(crate) pipelined: bool,
}

/// What an `AUTH` or `HELLO ... AUTH` does once its password has been found right.
#[derive(Clone, Debug)]
pub(crate) struct Greeting {
    pub user: String,
    /// Set by HELLO.
    pub protocol: Option<Protocol>,
    pub name: Option<String>,
}

impl Session {
    pub fn new(id: u64, port: Port, since: Monotonic) -> Self {
        Self {
            id,
            port,
            since,
            address: String::new(),
            db: DbId(0),
            user: None,
            name: String::new(),
            library: String::new(),
            library_version: String::new(),
            level: None,
            next_level: None,
            greeting: None,
            unfinished: None,
            pipelined: false,
        }
    }

    pub fn trust(&self) -> Trust {
        if self.user.is_some() { Trust::Known } else { Trust::Stranger }
    }

    /// What `RESET` leaves: a new connection's state, with its number, and nobody authenticated.
    pub fn reset(&mut self) {
        let address = core::mem::take(&mut self.address);
        *self = Self { address, ..Self::new(self.id, self.port, self.since) };
    }
}
