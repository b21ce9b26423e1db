//! What a connection has agreed on with the server: who it is, which database, which level.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::channels::Subscriptions;
use crate::clients::Slot;
use crate::forward::RemoteWatch;
use crate::ids::{DbNumber, Epoch, Seq};
use crate::level::Level;
use crate::password::Form;
use crate::permits::Permits;
use crate::resp::{Protocol, Trust};
use crate::stopwatch::Pace;
use crate::time::Monotonic;
use crate::tracking::Mode;
use crate::transaction::Transaction;
use crate::users::User;
use crate::waiters::{Served, Ticket};
use crate::watch::Watching;

/// Which port a connection came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Every command.
    Main,
    /// Reads at `EVENTUAL` only.
    Read,
}

/// Where a connection comes from, as `CLIENT LIST` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The client's `address:port`, or the path of the Unix socket.
    pub address: String,
    /// The server's, that it connected to.
    pub local_address: String,
}

/// Which replies a client wants, by `CLIENT REPLY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Replies {
    #[default]
    On,
    Off,
    /// Not that of the next command.
    SkipNext,
    /// Not that of this one.
    Skip,
}

/// One connection's state beside its bytes.
#[derive(Debug)]
pub struct Session {
    /// Unique in this process, from 1, as in `CLIENT ID`.
    pub id: u64,
    pub(crate) slot: Slot,
    pub port: Port,
    pub peer: Peer,
    pub since: Monotonic,
    pub db: DbNumber,
    /// The authenticated user's name.
    pub user: Option<String>,
    /// By which password, and so which user of that name: see [`User::knows`].
    pub(crate) stamp: u64,
    /// The user's rights as they were at [`Core::rights_changes`](crate::core::Core::rights_changes) of `rights_of`.
    pub(crate) rights: Option<Arc<User>>,
    pub(crate) rights_of: u64,
    /// What the user's rules allow; `None` if there are none. Of the same moment.
    pub(crate) permits: Option<Arc<Permits>>,
    /// Passwords of a command that waits, hashed as that command asked.
    pub(crate) hashed: Vec<HashedPassword>,
    pub name: String,
    pub library: String,
    pub library_version: String,
    /// `CLIENT CONSISTENCY level`.
    pub level: Option<Level>,
    /// `CLIENT CONSISTENCY NEXT level`.
    pub next_level: Option<Level>,
    /// `READONLY`: reads are answered at `EVENTUAL`, unless the client asked for a level.
    pub(crate) reads_eventually: bool,
    /// What waits for the outcome of a password check.
    pub(crate) greeting: Option<Greeting>,
    /// The command whose outcome is still open, by its place in the command table.
    pub(crate) unfinished: Option<usize>,
    /// What stands about the request that runs.
    pub(crate) pace: Pace,
    pub(crate) replies: Replies,
    /// Between MULTI and EXEC.
    pub(crate) transaction: Option<Box<Transaction>>,
    /// An EXEC runs, or a script, in which as little is possible.
    pub(crate) in_transaction: bool,
    /// A script runs, maybe in an EXEC.
    pub(crate) in_script: bool,
    pub(crate) watching: Watching,
    /// It is told what changes of the keys that it keeps copies of.
    pub(crate) tracks: Option<Mode>,
    /// `CLIENT CACHING`, until the command behind it.
    pub(crate) caching: Option<bool>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) is_monitor: bool,
    pub(crate) no_evict: bool,
    pub(crate) no_touch: bool,
    /// The command that ran last, and when.
    pub(crate) last_command: &'static str,
    pub(crate) last_active: Monotonic,
    /// Bytes received and not run, and bytes to be sent, when it ran last.
    pub(crate) buffered: (usize, usize),
    pub(crate) protocol: Protocol,
    /// Commands that another Core has and has not answered.
    pub(crate) forwarded: usize,
    /// Where the primary watches keys for it, if another Core is primary.
    pub(crate) remote_watch: Option<RemoteWatch>,
    /// The primary may have a session for it.
    pub(crate) has_proxy: bool,
    /// One of those commands is an EXEC that selects a database: which, its reply tells.
    pub(crate) awaits_db: bool,
    /// It is that of a connection with another Core.
    pub(crate) is_proxy: bool,
    /// Since when its next command waits for a primary.
    pub(crate) parked: Option<Monotonic>,
    /// Its command waits for a key under this number.
    pub(crate) waiting: Option<Ticket>,
    /// What its command that waited was answered.
    pub(crate) served: Option<Box<Served>>,
    /// Until when its command waits, which waited at a Core that executes no more.
    pub(crate) waits_until: Option<Monotonic>,
    /// Nobody waits for the thread on which it runs.
    pub(crate) may_take_long: bool,
    /// Of a `WAIT` that goes on.
    pub(crate) counting: Option<Counting>,
    /// The first epoch in which it has had a change executed here at `EVENTUAL`, since `WAIT` told what became of such. When that
    /// epoch is over, nobody knows.
    pub(crate) weak_since: Option<Epoch>,
}

/// What a `WAIT` counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counting {
    /// The batch of which it counts who has it, and the epoch in which that was made.
    pub seq: Seq,
    pub epoch: Epoch,
    /// When it ends.
    pub until: Monotonic,
}

/// A password and the hash that was made of it.
#[derive(Clone)]
pub(crate) struct HashedPassword {
    pub text: Vec<u8>,
    pub form: Form,
    pub hash: String,
}

impl core::fmt::Debug for HashedPassword {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HashedPassword")
    }
}

/// What an `AUTH` or `HELLO ... AUTH` does once its password has been found right.
#[derive(Clone, Debug)]
pub(crate) struct Greeting {
    pub user: String,
    /// The hashes that the password is checked against: the user may change meanwhile.
    pub hashes: Vec<String>,
    /// Set by HELLO.
    pub protocol: Option<Protocol>,
    pub name: Option<String>,
}

impl Session {
    pub(crate) fn new(id: u64, slot: Slot, port: Port, peer: Peer, since: Monotonic) -> Self {
        Self {
            id,
            slot,
            port,
            peer,
            since,
            db: DbNumber(0),
            user: None,
            stamp: 0,
            rights: None,
            rights_of: 0,
            permits: None,
            hashed: Vec::new(),
            name: String::new(),
            library: String::new(),
            library_version: String::new(),
            level: None,
            next_level: None,
            reads_eventually: false,
            greeting: None,
            unfinished: None,
            pace: Pace::Last,
            replies: Replies::On,
            transaction: None,
            in_transaction: false,
            in_script: false,
            watching: Watching::default(),
            tracks: None,
            caching: None,
            subscriptions: Subscriptions::default(),
            is_monitor: false,
            no_evict: false,
            no_touch: false,
            last_command: "",
            last_active: since,
            buffered: (0, 0),
            protocol: Protocol::Resp2,
            forwarded: 0,
            remote_watch: None,
            has_proxy: false,
            awaits_db: false,
            is_proxy: false,
            parked: None,
            waiting: None,
            served: None,
            waits_until: None,
            may_take_long: false,
            counting: None,
            weak_since: None,
        }
    }

    pub fn trust(&self) -> Trust {
        if self.user.is_some() { Trust::Known } else { Trust::Stranger }
    }

    /// A `WAIT` that goes on ends with what it has counted.
    pub(crate) fn end_counting(&mut self) {
        if let Some(counting) = &mut self.counting {
            counting.until = Monotonic::default();
        }
    }

    /// What `RESET` leaves: a new connection's state, with its number and its library, and nobody authenticated. Who calls
    /// has ended what others know of it: its watching, its monitoring, its subscriptions.
    pub(crate) fn reset(&mut self) {
        let old = core::mem::replace(self, Self::new(self.id, self.slot, self.port, Peer::default(), self.since));
        self.peer = old.peer;
        self.library = old.library;
        self.library_version = old.library_version;
        self.last_active = old.last_active;
    }
}
