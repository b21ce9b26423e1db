//! The world that a node runs in, as the few things that its loops ask of it.
//!
//! `runtime-real` implements these traits with tokio, files and the machine's clocks; `runtime-sim` with madsim and a
//! disk that breaks. Everything else in this crate is the same code in both.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mneme_kernel::password::{Credentials, Password, PasswordCheck};
use mneme_kernel::probe::Probes;
use mneme_kernel::time::{Monotonic, Wall};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::observer::Observer;

/// A bidirectional byte stream to a client or another node.
///
/// Only tokio's *traits* are used: madsim's sockets implement them too.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Where a client comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    Address(IpAddr),
    /// The same machine, by a Unix socket.
    Machine,
}

/// A world: clocks, tasks, randomness and a disk.
pub trait Env: Clone + Debug + Send + Sync + 'static {
    /// The runtime that openraft's tasks and timers use.
    type Runtime: openraft::AsyncRuntime;
    /// Where Keepers keep their log and snapshots.
    type Disk: Disk;
    /// A connection to another node of the cluster.
    type Link: Stream + 'static;

    fn disk(&self) -> &Self::Disk;

    /// Where it is counted which rare states the node comes to.
    fn probes(&self) -> &Arc<Probes>;

    /// Who sees what the node does, if anybody.
    fn observer(&self) -> Option<&dyn Observer> {
        None
    }

    /// Connects to another node at its cluster address, `host:port`. In production both sides have shown a certificate of
    /// the cluster's CA when this returns. Nothing is known of the peer before it has answered something, and it may never
    /// answer: whoever calls sets a deadline.
    fn dial(&self, address: &str) -> impl Future<Output = io::Result<Self::Link>> + Send;

    /// Time since an arbitrary start; never goes back, counts the time that the machine was suspended.
    fn monotonic(&self) -> Monotonic;

    /// The wall clock; may jump either way.
    fn wall(&self) -> Wall;

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;

    /// Whether this thread serves clients, and will call [`Node::rests`](crate::node::Node::rests) when it has served those
    /// whose requests are there, or soon: what the log is to get waits until then. Else it gets it at once.
    fn will_rest(&self) -> bool {
        false
    }

    /// 64 unpredictable bits; in the simulation, bits of the seed.
    fn random(&self) -> u64;

    /// Runs a task on the caller's runtime.
    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static);

    /// Runs a task that may block on the disk, so it gets a thread of its own where there are threads.
    fn spawn_thread(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static);

    /// As [`Env::spawn_thread`], for work that must not take time from clients.
    fn spawn_background(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_thread(name, task);
    }

    /// A salted hash of a password, as a PHC string: a new one, or one of those known that is of it. Slow on purpose in
    /// production.
    fn hash_password(&self, password: Password) -> impl Future<Output = String> + Send;

    /// Whether a user's password has one of these hashes, and which; without any it takes as long and is wrong. In production a source that
    /// sends wrong ones waits, and only that.
    fn check_password(&self, credentials: Credentials, source: Source) -> impl Future<Output = PasswordCheck> + Send;

    /// Gets this node a new certificate, with which links and clients are served from then on.
    fn rotate_certificate(&self) -> impl Future<Output = Result<(), String>> + Send {
        std::future::ready(Ok(()))
    }

    /// Ends the process at once because going on could break a promise, for example after a failed sync.
    /// In the simulation the node crashes; the returned future never completes.
    fn fatal(&self, why: String) -> impl Future<Output = std::convert::Infallible> + Send;
}

/// A folder of files. Paths are relative, with `/` between their parts.
pub trait Disk: Clone + Debug + Send + Sync + 'static {
    type File: File;

    /// Makes a folder in one that is there; it is no error if it is there already. Durable after [`Disk::sync_dir`] of
    /// the folder above, the topmost of which is `""`.
    fn create_dir(&self, dir: &str) -> impl Future<Output = io::Result<()>> + Send;

    /// The names of a folder's files, sorted. An absent folder is empty.
    fn list(&self, dir: &str) -> impl Future<Output = io::Result<Vec<String>>> + Send;

    /// Makes a new, empty file in a folder that is there; an error if the file is there already. Its name is durable
    /// after [`Disk::sync_dir`].
    fn create(&self, path: &str) -> impl Future<Output = io::Result<Self::File>> + Send;

    /// Opens an existing file for reading and writing.
    fn open(&self, path: &str) -> impl Future<Output = io::Result<Self::File>> + Send;

    /// Renames a file, replacing the target. Durable after [`Disk::sync_dir`] of the target's folder.
    fn rename(&self, from: &str, to: &str) -> impl Future<Output = io::Result<()>> + Send;

    /// Removes a file. Durable after [`Disk::sync_dir`].
    fn remove(&self, path: &str) -> impl Future<Output = io::Result<()>> + Send;

    /// Makes the creations, renames and removals in a folder durable.
    fn sync_dir(&self, dir: &str) -> impl Future<Output = io::Result<()>> + Send;
}

/// An open file. Writes are durable after [`File::sync`], and only then.
pub trait File: Debug + Send + Sync + 'static {
    /// Bytes in the file.
    fn size(&self) -> impl Future<Output = io::Result<u64>> + Send;

    /// Reads exactly `len` bytes; an error of kind `UnexpectedEof` if the file is shorter.
    fn read_at(&self, offset: u64, len: usize) -> impl Future<Output = io::Result<Vec<u8>>> + Send;

    /// Writes all bytes at an offset, growing the file if it must.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// Grows the file to `len` zero bytes whose space is reserved; never shrinks it.
    fn allocate(&self, len: u64) -> impl Future<Output = io::Result<()>> + Send;

    /// Cuts the file to `len` bytes.
    fn truncate(&self, len: u64) -> impl Future<Output = io::Result<()>> + Send;

    /// Returns after everything written before the call is on stable storage, with the file's length.
    fn sync(&self) -> impl Future<Output = io::Result<()>> + Send;
}
