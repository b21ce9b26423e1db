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
}

/// What an `AUTH` or `HELLO ... AUTH` does once its password has been found right.
#[derive(Clone, Debug)]
pub(crate) struct Greeting {
    pub user: String,
    /// The hash that the password is checked against: the user may change meanwhile.
    pub hash: Option<String>,
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
            db: DbId(0),
            user: None,
            name: String::new(),
            library: String::new(),
            library_version: String::new(),
            level: None,
            next_level: None,
            greeting: None,
        }
    }

    pub fn trust(&self) -> Trust {
        if self.user.is_some() { Trust::Known } else { Trust::Stranger }
    }

    /// What `RESET` leaves: a new connection's state, with its number, and nobody authenticated.
    pub fn reset(&mut self) {
        *self = Self::new(self.id, self.port, self.since);
    }
}
