//! A Core behind a lock, as clients, links and the loop to the log (`core_loop.rs`) share it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::oneshot;
use mneme_kernel::clients::Slot;
use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::core::{Config, Core, Input, Now, OpenBatch};
use mneme_kernel::facade::Reach;
use mneme_kernel::forward::Void;
use mneme_kernel::gate::Marks;
use mneme_kernel::ids::{Index, Seq};
use mneme_kernel::level::Level;
use mneme_kernel::mutant::Mutant;
use mneme_kernel::password::{Form, Password, PasswordCheck};
use mneme_kernel::removal::Departure;
use mneme_kernel::session::{Peer, Port};
use mneme_kernel::time::Monotonic;

use crate::agreement;
use crate::backup::BackupFailed;
use crate::core_loop;
use crate::directory::Directory;
use crate::doors::Doors;
use crate::env::Env;
use crate::everywhere;
use crate::exchange;
use crate::forward::{self, Origins};
use crate::guests::Guests;
use crate::keeper::{Keeper, SnapshotFailed, StartError};
use crate::keepers::Keepers;
use crate::measures::{EnvClock, Traffic};
use crate::remove;
use crate::renewals;
use crate::rotation;
use crate::signal::Signal;
use crate::sync::{CoreLock, lock};
use crate::watermark::{Reached, Watermark};
use crate::whereabouts;

/// How long a stopping node waits for clients to take their last replies.
const LAST_REPLIES: Duration = Duration::from_secs(2);

/// How long a stopping node waits for clients to be answered and to go.
const SEE_OFF: Duration = Duration::from_millis(500);

/// How long handing over may take.
const HAND_OVER: Duration = Duration::from_secs(2);

/// The password of the first user.
#[derive(Clone)]
pub enum FirstPassword {
    /// The operator's.
    Given(Vec<u8>),
    /// One that was made. It is shown, with the user's name, before it can be used: nobody knows it otherwise.
    Made { password: String, show: fn(user: &str, password: &str) },
}

impl std::fmt::Debug for FirstPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FirstPassword")
    }
}

impl From<&str> for FirstPassword {
    fn from(password: &str) -> Self {
        Self::Given(password.into())
    }
}

/// A running Core.
#[derive(Debug)]
pub struct Node<E: Env> {
    pub(crate) env: E,
    pub(crate) core: CoreLock,
    /// Where clients reach this Core: asked for where nobody may wait for its lock.
    pub(crate) reach: Reach,
    /// Those who would wait for its lock for too long.
    guests: Guests,
    pub(crate) keepers: Keepers<E>,
    /// The one in this process, if there is one.
    pub(crate) keeper: Option<Arc<Keeper<E>>>,
    /// The newest batch whose fate is known: gates wait for it.
    pub(crate) accepted: Watermark,
    /// The seq behind the newest batch that is everywhere, or 0: gates of `ALL` wait for it.
    pub(crate) everywhere: Watermark,
    /// How often another node was found to have more: who counts them looks again.
    pub(crate) spreads: Watermark,
    /// How many entries of the log this Core has ever applied.
    pub(crate) applied: Watermark,
    /// Somebody waits for other nodes to have a batch.
    pub(crate) spreading: Signal,
    /// Those batches of them that were not accepted.
    pub(crate) voids: Voids,
    /// 1 once clients can be served.
    pub(crate) serves: Watermark,
    /// Why it does not start.
    pub(crate) start_error: Mutex<Option<StartError>>,
    /// 1 once a client asked the server to stop.
    shutdown: Watermark,
    /// 1 once no more clients are to be let in.
    closes: Watermark,
    /// 1 once this Core is a member no more.
    pub(crate) removed: Watermark,
    pub(crate) directory: Arc<Directory<E>>,
    /// There is a batch to close.
    pub(crate) work: Signal,
    /// There is a batch to close when it has lingered.
    pub(crate) lingering: Signal,
    /// There are commands for the primary, or it is another one.
    pub(crate) forwarding: Signal,
    pub(crate) origins: Origins,
    /// How often there was something published for other nodes.
    pub(crate) published: Watermark,
    /// How to wake a connection for which another one has something.
    pub(crate) doors: Doors,
    /// Connections that have replies which have not left.
    replying: AtomicUsize,
    /// Other nodes have been let in.
    is_shared: AtomicBool,
    pub(crate) traffic: Traffic,
}

/// Batches that will never be accepted, as gates look at them: there are none but after a deposition.
#[derive(Debug, Default)]
pub(crate) struct Voids {
    exist: AtomicBool,
    all: Mutex<Vec<Void>>,
}

impl Voids {
    pub(crate) fn push(&self, void: Void) {
        lock(&self.all).push(void);
        self.exist.store(true, Ordering::Release);
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&[Void]) -> T) -> T {
        if self.exist.load(Ordering::Acquire) { look(&lock(&self.all)) } else { look(&[]) }
    }
}

/// What the Core has for others than whom it has run.
#[derive(Debug)]
pub(crate) struct Messages {
    /// Connections that have mail.
    woken: Vec<Slot>,
    /// There is something for other nodes.
    published: bool,
}

impl Messages {
    pub(crate) fn take(core: &mut Core) -> Self {
        Self { woken: core.clients.take_woken(), published: core.take_published() }
    }
}

impl<E: Env> Node<E> {
    /// Wakes those for whom there is something; not under the Core's lock.
    pub(crate) fn deliver(&self, messages: &Messages) {
        self.doors.knock(&messages.woken);
        if messages.published {
            self.published.count();
        }
    }

    /// Begins to recover; [`Node::ready`] tells when that is done.
    pub(crate) fn start(
        env: E,
        config: Config,
        keepers: Keepers<E>,
        keeper: Option<Arc<Keeper<E>>>,
        directory: Arc<Directory<E>>,
    ) -> Arc<Self> {
        let has_facade = config.facade.is_any();
        let node = Arc::new(Self {
            env: env.clone(),
            reach: config.facade.reach.clone(),
            core: CoreLock::new(Core::new(config)),
            guests: Guests::default(),
            keepers,
            keeper,
            accepted: Watermark::default(),
            everywhere: Watermark::default(),
            spreads: Watermark::default(),
            applied: Watermark::default(),
            spreading: Signal::default(),
            voids: Voids::default(),
            serves: Watermark::default(),
            start_error: Mutex::default(),
            shutdown: Watermark::default(),
            closes: Watermark::default(),
            removed: Watermark::default(),
            directory,
            work: Signal::default(),
            lingering: Signal::default(),
            forwarding: Signal::default(),
            origins: Origins::default(),
            published: Watermark::default(),
            doors: Doors::default(),
            replying: AtomicUsize::new(0),
            is_shared: AtomicBool::new(false),
            traffic: Traffic::default(),
        });
        node.with_core(|core| {
            core.set_clock(Box::new(EnvClock(env.clone())));
            core.set_engine(Box::new(mneme_script::Scripts::default()));
            core.set_guests(node.guests.host());
            core.count_in(env.probes().clone());
        });
        env.spawn("core", core_loop::run(node.clone()));
        // It waits for the Core's lock, and Raft's tasks must not.
        env.spawn_thread("forward", forward::run(node.clone()));
        env.spawn("renewals", renewals::run(node.clone()));
        env.spawn("everywhere", everywhere::run(node.clone()));
        env.spawn("exchange", exchange::run(node.clone()));
        env.spawn("agreement", agreement::run(node.clone()));
        if has_facade {
            env.spawn("whereabouts", whereabouts::run(node.clone()));
        }
        node
    }

    /// Completes when clients can be served: this Core is primary, or it is hot and sees one.
    ///
    /// # Errors
    /// If what it recovers from is damaged or cannot be read.
    pub(crate) async fn ready(&self) -> Result<(), StartError> {
        if !Mutant::ServeBeforeRecovered.is_chosen() {
            self.serves.reached(1).await;
        }
        match lock(&self.start_error).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Makes the first user, durably, if there is none, once this Core is primary and so many Keepers vote.
    pub(crate) async fn found(&self, expect_keepers: usize, password: FirstPassword, sealed_ca: Option<Vec<u8>>) {
        const LOOK: Duration = Duration::from_millis(10);
        let admin = self.with_core(|core| core.config().default_user.clone());
        let mut said = false;
        while !self.with_core(|core| core.serves() && core.voters() >= expect_keepers) {
            if self.with_core(|core| core.has_user(&admin)) || lock(&self.start_error).is_some() {
                return;
            }
            if !said && self.with_core(|core| core.serves()) {
                said = true;
                tracing::info!(expect_keepers, "waiting for further Keepers to join");
            }
            self.env.sleep(LOOK).await;
        }
        if self.with_core(|core| core.has_user(&admin)) {
            return;
        }
        let password = match password {
            FirstPassword::Given(password) => password,
            FirstPassword::Made { password, show } => {
                show(&admin, &password);
                password.into_bytes()
            }
        };
        let password = Password { text: password, form: Form::Plain, known: Vec::new() };
        let hash = self.env.hash_password(password).await;
        let seq = {
            let mut core = self.core.lock();
            if !core.is_primary() {
                return;
            }
            let sealed_ca = sealed_ca.as_deref();
            let founded = Input::Found { admin: &admin, password_hash: &hash, sealed_ca };
            let founded = core.handle(self.now(), founded, &mut Vec::new());
            debug_assert!(founded.is_ok(), "founding reads no entry");
            core.executed()
        };
        self.work.raise();
        self.until_accepted(seq).await;
    }

    /// Whether no other node can have anything committed: this process has the only Keeper, and no link with anybody.
    pub(crate) fn set_alone(&self, alone: bool) {
        self.core.lock().set_alone(alone);
        self.is_shared.store(!alone, Ordering::Release);
    }

    /// Another node is about to be let in: from now on this one is not alone.
    pub(crate) async fn is_not_alone(&self) {
        // Links come and go while a script has the lock, and Raft's tasks run on this thread.
        if !self.is_shared.load(Ordering::Acquire) {
            core_loop::lock_core(self).await.set_alone(false);
            self.is_shared.store(true, Ordering::Release);
        }
    }

    /// A new client, or `None` if there are too many.
    pub fn connect(self: &Arc<Self>, port: Port, peer: Peer) -> Option<Client<E>> {
        let now = self.env.monotonic();
        let connection = self.enter(move |core| core.connect(port, peer, now))?;
        let door = self.doors.install(connection.slot());
        Some(Client { node: self.clone(), replying: false, held: false, connection, door })
    }

    /// Has the loop close the batch, if there is one.
    pub(crate) fn announce(&self, open: OpenBatch) {
        match open {
            OpenBatch::Empty | OpenBatch::Queued => {}
            OpenBatch::Lingering => self.lingering.raise(),
            OpenBatch::Due if self.env.will_rest() => {}
            OpenBatch::Due => self.work.raise(),
        }
    }

    /// A thread that serves clients has served those whose requests were there: what they wait for goes to the log, in
    /// one batch. See [`Env::will_rest`].
    pub fn rests(&self) {
        self.work.raise();
    }

    /// Completes when the Core's memory contains everything up to an entry, and is whole.
    pub(crate) async fn has_applied(&self, index: u64) {
        loop {
            self.applied.reached(index + 1).await;
            let has = {
                let core = core_loop::lock_core(self).await;
                core.is_hot() && core.applied().0 >= index
            };
            if has {
                return;
            }
            // It is recovering, and has been further in an earlier reign.
            self.env.sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a batch is accepted, however long that takes.
    async fn until_accepted(&self, seq: Seq) {
        while self.accepted.value() < seq.0 {
            self.accepted.reached(seq.0).await;
        }
    }

    /// Makes a snapshot of what has been accepted by now.
    pub(crate) async fn snapshot(&self) -> Result<(), SnapshotFailed> {
        let Some(keeper) = &self.keeper else { return Err(SnapshotFailed::Elsewhere) };
        let made = keeper.snapshot().await;
        let known = self.core.lock().handle(self.now(), Input::Keeper(keeper.state()), &mut Vec::new());
        debug_assert!(known.is_ok(), "a Keeper's state is no entry");
        made
    }

    /// Completes when a client has asked the server to stop.
    pub async fn shutdown_requested(&self) {
        self.shutdown.reached(1).await;
    }

    /// Completes when no more clients are to be let in.
    pub async fn closes(&self) {
        self.closes.reached(1).await;
    }

    /// Stops in order: hands over to another Core if there is one, sees its clients off, executes nothing any more;
    /// everything executed becomes durable and is answered.
    pub async fn stop(&self) {
        self.hand_over().await;
        self.see_clients_off().await;
        let seq = self.with_core(|core| {
            core.stop();
            core.executed()
        });
        self.work.raise();
        self.until_accepted(seq).await;
        let until = self.env.monotonic() + LAST_REPLIES;
        while self.replying.load(Ordering::Relaxed) > 0 && self.env.monotonic() < until {
            self.env.sleep(Duration::from_millis(5)).await;
        }
        // A read without a lease asks for one more, and its client may have gone.
        self.until_accepted(self.with_core(|core| core.executed())).await;
    }

    /// Lets no more clients in, and has each connection closed when what it has asked for is answered: its client finds
    /// another node, and no command gets an error.
    async fn see_clients_off(&self) {
        self.closes.advance(1);
        self.with_core(Core::close_clients);
        self.doors.knock_at_all();
        let until = self.env.monotonic() + SEE_OFF;
        while self.with_core(|core| !core.clients.is_empty()) && self.env.monotonic() < until {
            self.env.sleep(Duration::from_millis(5)).await;
        }
    }

    /// Has another Core become primary, if this one is and there is another.
    pub async fn hand_over(&self) {
        let primary = self.with_core(|core| core.is_primary() && core.has_other_cores());
        if !primary {
            return;
        }
        let told = self.core.lock().handle(self.now(), Input::Release, &mut Vec::new());
        debug_assert!(told.is_ok(), "a release reads no entry");
        self.work.raise();
        let until = self.env.monotonic() + HAND_OVER;
        while self.with_core(|core| core.is_primary()) && self.env.monotonic() < until {
            self.env.sleep(Duration::from_millis(2)).await;
        }
    }

    /// Removes another node from the cluster, or only its Keeper.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub async fn remove(&self, departure: &Departure) -> Result<(), String> {
        remove::remove(self, departure).await
    }

    /// Has every node get a new certificate, this one last: whoever asks is connected to it.
    ///
    /// # Errors
    /// Which ones did not.
    pub async fn rotate_certificates(&self) -> Result<(), String> {
        rotation::rotate(self).await
    }

    /// How far this Core's batches have got.
    pub(crate) fn marks(&self) -> Marks {
        let everywhere = self.everywhere.value().checked_sub(1).map(Seq);
        Marks { accepted: Seq(self.accepted.value()), everywhere }
    }

    /// Takes note of what the Core knows to be everywhere.
    pub(crate) fn mark_everywhere(&self, everywhere: Option<Seq>) {
        self.everywhere.advance(everywhere.map_or(0, |seq| seq.0 + 1));
    }

    /// Completes when what a gate waits for may have come.
    pub(crate) fn reached(&self, (seq, level): (Seq, Level)) -> Reached<'_> {
        if level == Level::All { self.everywhere.reached(seq.0 + 1) } else { self.accepted.reached(seq.0) }
    }

    /// Whether somebody has the Core's lock now.
    pub(crate) fn is_locked(&self) -> bool {
        self.core.try_lock().is_none()
    }

    /// Does something with the Core that must not wait for a script: under its lock, or while one runs.
    pub(crate) fn enter<T: Send + 'static>(&self, errand: impl FnOnce(&mut Core) -> T + Send + 'static) -> T {
        match self.core.try_lock() {
            Some(mut core) => errand(&mut core),
            None => self.guests.enter(&self.core, errand),
        }
    }

    /// A look at the Core, under its lock: keep it short.
    pub fn with_core<T>(&self, look: impl FnOnce(&mut Core) -> T) -> T {
        look(&mut self.core.lock())
    }

    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Connections that have replies which have not left.
    pub fn replying(&self) -> usize {
        self.replying.load(Ordering::Relaxed)
    }

    /// The Keepers, wherever they are.
    pub fn keepers(&self) -> &Keepers<E> {
        &self.keepers
    }

    /// The Keeper in this process.
    pub fn keeper(&self) -> Option<&Arc<Keeper<E>>> {
        self.keeper.as_ref()
    }

    pub fn env(&self) -> &E {
        &self.env
    }

    pub(crate) fn now(&self) -> Now {
        Now { wall: self.env.wall(), monotonic: self.env.monotonic() }
    }
}

/// A connection of a client with the node that it is connected to.
#[derive(Debug)]
pub struct Client<E: Env> {
    pub(crate) node: Arc<Node<E>>,
    pub(crate) connection: Connection,
    /// Raised when another connection has something for this one.
    pub(crate) door: Arc<Signal>,
    /// Whether it is counted in [`Node::replying`].
    replying: bool,
    /// Whether it is counted in [`Traffic::held`].
    held: bool,
}

impl<E: Env> Client<E> {
    /// Lets a stopping node know whether there are replies which have not left.
    pub(crate) fn note_replying(&mut self, replying: bool) {
        if replying != self.replying {
            self.replying = replying;
            if replying {
                self.node.replying.fetch_add(1, Ordering::Relaxed);
            } else {
                self.node.replying.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn note_held(&mut self, held: bool) {
        if held != self.held {
            self.held = held;
            self.node.traffic.hold(held);
        }
    }

    /// Runs what has arrived, under one lock.
    pub(crate) fn run(&mut self) -> Step {
        let ran = if let Some(mut core) = self.node.core.try_lock() {
            run(&mut self.connection, &mut core, self.node.now(), None, Connection::run)
        } else {
            // Only who has to wait for the lock looks how long.
            let since = self.node.env.monotonic();
            let env = self.node.env.clone();
            self.visit(move |connection, core| {
                let now = Now { wall: env.wall(), monotonic: env.monotonic() };
                run(connection, core, now, Some(since), Connection::run)
            })
        };
        self.has_run(ran)
    }

    /// As [`Client::run`], on a thread of its own: what comes next takes long, and other clients have this thread, too.
    pub(crate) async fn run_elsewhere(&mut self) -> Step {
        let since = self.node.env.monotonic();
        let (done, ran) = oneshot::channel();
        let (node, mut connection) = (self.node.clone(), std::mem::take(&mut self.connection));
        self.node.env.spawn_thread("script", async move {
            let now = node.now();
            let errand = move |core: &mut Core| {
                let ran = run(&mut connection, core, now, Some(since), Connection::run_long);
                (connection, ran)
            };
            // Whoever waits for it waits as long as this node lives.
            let _ = done.send(node.enter(errand));
        });
        let Ok((connection, ran)) = ran.await else { return Step::Kill };
        self.connection = connection;
        self.has_run(ran)
    }

    /// Tells others what came of running.
    fn has_run(&mut self, ran: Ran) -> Step {
        let Ran { step, open, unsent, spreads, messages, lines } = ran;
        log_lines(&lines);
        self.note_held(step == Step::Held);
        self.node.deliver(&messages);
        self.node.announce(open);
        if unsent {
            self.node.forwarding.raise();
        }
        if spreads {
            self.node.spreading.raise();
        }
        if step == Step::Shutdown {
            self.node.shutdown.advance(1);
        }
        step
    }

    /// Does something with the connection and the Core, as [`Node::enter`].
    fn visit<T: Send + 'static>(&mut self, errand: impl FnOnce(&mut Connection, &mut Core) -> T + Send + 'static) -> T {
        let mut connection = std::mem::take(&mut self.connection);
        let (connection, result) = self.node.enter(move |core| {
            let result = errand(&mut connection, core);
            (connection, result)
        });
        self.connection = connection;
        result
    }

    /// Opens the gate as far as the log has got.
    pub(crate) fn advance(&mut self, now: Monotonic) {
        let marks = self.node.marks();
        self.node.voids.look(|voids| self.connection.advance(marks, voids, now));
        self.node.traffic.replied(self.connection.take_delays());
    }

    /// What came of what [`Client::run`] asked for.
    pub(crate) fn done(&mut self, done: Result<(), impl std::fmt::Display>) {
        let done = done.map_err(|error| error.to_string());
        self.visit(move |connection, core| connection.done(core, done));
    }

    pub(crate) fn backed_up(&mut self, read: Result<(Index, Vec<u8>), BackupFailed>) {
        self.visit(move |connection, core| {
            connection.backed_up(core, read.as_ref().map(|(index, bytes)| (*index, bytes.as_slice())));
        });
    }

    pub(crate) fn password_checked(&mut self, check: PasswordCheck) {
        let now = self.node.now();
        self.visit(move |connection, core| connection.password_checked(core, now, check));
    }

    pub(crate) fn password_hashed(&mut self, password: Password, hash: String) {
        self.visit(move |connection, core| connection.password_hashed(core, password, hash));
    }
}

/// What came of running a connection.
struct Ran {
    step: Step,
    open: OpenBatch,
    unsent: bool,
    spreads: bool,
    messages: Messages,
    /// Of scripts, for the server's log.
    lines: Vec<(u8, String)>,
}

/// Runs what has arrived on a connection; says since when it has waited for the lock, if it has.
fn run(
    connection: &mut Connection,
    core: &mut Core,
    now: Now,
    waited_since: Option<Monotonic>,
    how: fn(&mut Connection, &mut Core, Now) -> Step,
) -> Ran {
    let since = waited_since.unwrap_or(now.monotonic);
    core.stats.lock_waits.observe(now.monotonic - since);
    connection.arrived(since);
    let step = how(connection, core, now);
    Ran {
        step,
        open: core.open_batch(),
        unsent: core.has_unsent(),
        spreads: core.awaits_spread(now.monotonic),
        messages: Messages::take(core),
        lines: core.take_script_lines(),
    }
}

/// What scripts had to say, in the server's log.
pub(crate) fn log_lines(lines: &[(u8, String)]) {
    lines.iter().for_each(|(level, line)| log_line(*level, line));
}

/// A script's line, at Redis's levels.
fn log_line(level: u8, line: &str) {
    match level {
        0 => tracing::trace!(target: "script", "{line}"),
        1 => tracing::debug!(target: "script", "{line}"),
        2 => tracing::info!(target: "script", "{line}"),
        _ => tracing::warn!(target: "script", "{line}"),
    }
}

impl<E: Env> Drop for Client<E> {
    fn drop(&mut self) {
        self.note_replying(false);
        self.note_held(false);
        self.visit(|connection, core| core.disconnect(connection));
    }
}
