//! The world for a node's loops: tokio's tasks and timers, the machine's clocks, a folder.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mneme_driver::env::{Env, Source};
use mneme_kernel::password::{Credentials, Password, PasswordCheck};
use mneme_kernel::probe::Probes;
use mneme_kernel::time::{Monotonic, Wall};
use openraft_rt_tokio::TokioRuntime;
use tokio::sync::{mpsc, oneshot};

use crate::disk::RealDisk;
use crate::links::{Link, NodeTls};
use crate::passwords::Passwords;

/// The priority of background work: a tenth of a client's, so that it goes on under full load too.
const BACKGROUND_NICE: i32 = 10;
/// The priority of the thread that Raft runs on, where the system permits it: a node whose clients take all processors
/// must not lose its lease for it. The log's thread has a client's: when a sync is done under full load, others run what
/// has arrived first, and the next sync covers more of it.
const URGENT_NICE: i32 = -10;

/// Raises this thread's priority, if that is permitted: Linux gives each thread one of its own.
pub(crate) fn make_urgent() {
    let _ = rustix::process::setpriority_process(None, URGENT_NICE);
}

/// The real world.
#[derive(Clone, Debug)]
pub struct RealEnv {
    disk: RealDisk,
    passwords: Arc<Passwords>,
    probes: Arc<Probes>,
    links: Arc<NodeTls>,
    /// Where the certificates are kept current.
    rotations: mpsc::UnboundedSender<Rotation>,
}

/// A wish for a new certificate, and where to say what came of it.
pub(crate) type Rotation = oneshot::Sender<Result<(), String>>;

impl RealEnv {
    pub(crate) fn new(disk: RealDisk, links: Arc<NodeTls>, rotations: mpsc::UnboundedSender<Rotation>) -> Self {
        Self { disk, passwords: Arc::new(Passwords::new()), probes: Arc::default(), links, rotations }
    }
}

impl Env for RealEnv {
    type Runtime = TokioRuntime;
    type Disk = RealDisk;
    type Link = Link;

    fn disk(&self) -> &RealDisk {
        &self.disk
    }

    fn probes(&self) -> &Arc<Probes> {
        &self.probes
    }

    async fn dial(&self, address: &str) -> std::io::Result<Link> {
        self.links.dial(address).await
    }

    fn monotonic(&self) -> Monotonic {
        // The one that goes on while the machine is suspended.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Monotonic(Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32))
    }

    fn wall(&self) -> Wall {
        // A clock before 1970 is as good as one at 1970: the log's own time is never below what it has seen.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Wall(since.as_millis() as u64)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn will_rest(&self) -> bool {
        crate::vigil::will_rest()
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        crate::passwords::fill_random(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn spawn(&self, _: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    fn spawn_thread(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        crate::listen::run_on_thread(name, task);
    }

    fn spawn_background(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        crate::listen::run_on_thread(name, async move {
            // Linux gives each thread a priority of its own. If it cannot be lowered, the work is done all the same.
            let _ = rustix::process::setpriority_process(None, BACKGROUND_NICE);
            task.await;
        });
    }

    async fn hash_password(&self, password: Password) -> String {
        self.passwords.hash(password).await
    }

    async fn check_password(&self, credentials: Credentials, source: Source) -> PasswordCheck {
        self.passwords.check(credentials, source).await
    }

    async fn rotate_certificate(&self) -> Result<(), String> {
        let (done, rotated) = oneshot::channel();
        // Its thread ends only with the process.
        let _ = self.rotations.send(done);
        rotated.await.unwrap_or_else(|_| Err("this node is stopping".into()))
    }

    async fn fatal(&self, why: String) -> Infallible {
        tracing::error!("stopping at once: {why}");
        std::process::exit(1)
    }
}
