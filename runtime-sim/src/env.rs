//! A node's world in the simulation.

use std::convert::Infallible;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use madsim::runtime::Handle;
use mneme_driver::env::{Env, Source};
use mneme_driver::observer::Observer;
use mneme_kernel::password::{Credentials, Password, PasswordCheck, hashed};
use mneme_kernel::probe::Probes;
use mneme_kernel::time::{Monotonic, Wall};

use crate::clock::{Clock, Skew};
use crate::{SimDisk, SimLink, SimRuntime, Weather, lock, sleep};

/// What hashing a password takes; about that of Argon2id in production.
const PASSWORD_HASHING: Duration = Duration::from_millis(20);

/// The world of one life of a node. Clones are the same world; the test keeps one to look at it.
///
/// It is made outside of the node, and its methods of [`Env`] are called by tasks of the node.
#[derive(Clone, Debug)]
pub struct SimEnv {
    disk: SimDisk,
    /// Of the machine, so they stay through the node's lives, and so does what is counted.
    clock: Arc<Clock>,
    probes: Arc<Probes>,
    weather: Arc<Weather>,
    observer: Option<Arc<dyn Observer>>,
    fatal: Arc<Mutex<Option<String>>>,
}

impl SimEnv {
    /// The first life of a node on the machine with that disk, which this mounts.
    pub fn new(disk: &SimDisk) -> SimEnv {
        SimEnv {
            disk: disk.mount(),
            clock: Arc::default(),
            probes: Arc::default(),
            weather: Arc::default(),
            observer: None,
            fatal: Arc::default(),
        }
    }

    /// The same in this weather.
    #[must_use]
    pub fn in_weather(self, weather: Arc<Weather>) -> SimEnv {
        SimEnv { weather, ..self }
    }

    /// The same with somebody who sees what the node does in all its lives.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> SimEnv {
        SimEnv { observer: Some(observer), ..self }
    }

    /// A connection that this machine has accepted.
    pub fn accepted(&self, stream: madsim::net::TcpStream) -> SimLink {
        SimLink::new(stream, self.weather.clone())
    }

    /// The next life of the node on the same machine: its clocks still off, the disk, perhaps another one now, mounted.
    #[must_use]
    pub fn next_life(&self, disk: &SimDisk) -> SimEnv {
        SimEnv { disk: disk.mount(), fatal: Arc::default(), ..self.clone() }
    }

    /// Sets how far the machine's clocks are off. Only before the first life: a monotonic clock does not jump.
    pub fn set_skew(&self, skew: Skew) {
        self.clock.set_skew(skew);
    }

    /// Sets how far the wall clock is ahead of the simulation's, in milliseconds; negative is behind.
    pub fn set_wall_offset(&self, millis: i64) {
        self.clock.set_wall(millis);
    }

    /// Makes the monotonic clock forget time that has passed: what a clock does that stops in a pause.
    pub fn leave_out(&self, time: Duration) {
        self.clock.leave_out(time);
    }

    /// Why this life of the node ended itself, if it did. madsim's `Handle::is_exit` is then true of the node.
    pub fn fatal_reason(&self) -> Option<String> {
        lock(&self.fatal).clone()
    }
}

impl Env for SimEnv {
    type Runtime = SimRuntime;
    type Disk = SimDisk;
    type Link = SimLink;

    fn disk(&self) -> &SimDisk {
        &self.disk
    }

    fn probes(&self) -> &Arc<Probes> {
        &self.probes
    }

    fn observer(&self) -> Option<&dyn Observer> {
        self.observer.as_deref()
    }

    async fn dial(&self, address: &str) -> std::io::Result<Self::Link> {
        let stream = madsim::net::TcpStream::connect(address).await?;
        Ok(SimLink::new(stream, self.weather.clone()))
    }

    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }

    fn wall(&self) -> Wall {
        self.clock.wall()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        sleep::sleep(self.clock.true_duration(duration))
    }

    fn random(&self) -> u64 {
        madsim::rand::random()
    }

    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        drop(madsim::task::Builder::new().name(name).spawn(task));
    }

    fn spawn_thread(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(name, task);
    }

    async fn hash_password(&self, password: Password) -> String {
        sleep::sleep(PASSWORD_HASHING).await;
        let salt = self.random();
        password.hash(is_hash_of, |text| password_hash(salt, text))
    }

    async fn check_password(&self, credentials: Credentials, _: Source) -> PasswordCheck {
        sleep::sleep(PASSWORD_HASHING).await;
        let Credentials { password, hashes, .. } = credentials;
        let is_right = |stored: &String| {
            let (text, hash) = hashed(&password, stored);
            is_hash_of(&text, hash)
        };
        hashes.iter().position(is_right).map_or(PasswordCheck::Wrong, PasswordCheck::Right)
    }

    /// Kills the node that the calling task runs on. Its disk loses nothing by that.
    async fn fatal(&self, why: String) -> Infallible {
        lock(&self.fatal).get_or_insert(why);
        Handle::current().kill(madsim::plugin::node());
        std::future::pending().await
    }
}

/// In the form of a PHC string, but not slow: here it is time that passes, not work.
fn password_hash(salt: u64, password: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    (salt, password).hash(&mut hasher);
    format!("$sim${salt:016x}${:016x}", hasher.finish())
}

fn is_hash_of(password: &[u8], hash: &str) -> bool {
    salt_of(hash).is_some_and(|salt| password_hash(salt, password) == hash)
}

fn salt_of(hash: &str) -> Option<u64> {
    let (salt, _) = hash.strip_prefix("$sim$")?.split_once('$')?;
    u64::from_str_radix(salt, 16).ok()
}
