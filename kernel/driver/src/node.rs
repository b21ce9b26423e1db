//! A node: a Core behind a lock, the Keeper beside it, and the loop that carries batches to the log and verdicts back.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use mneme_kernel::call::PasswordCheck;
use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::core::{BadEntry, Config, Core, Input, Now, OpenBatch, Output};
use mneme_kernel::ids::{Index, Seq};
use mneme_kernel::members::Member;
use mneme_kernel::mutant::Mutant;
use mneme_kernel::session::{Peer, Port};
use mneme_kernel::time::Monotonic;

use crate::doors::Doors;
use crate::env::Env;
use crate::keeper::{Keeper, Schedule, SnapshotFailed, StartError};
use crate::measures::{EnvClock, Traffic};
use crate::recovery;
use crate::signal::Signal;
use crate::sync::{lock, try_lock};
use crate::types::Proposal;
use crate::wal::OpenError;
use crate::watermark::Watermark;

/// How long a batch that nobody waits for may wait for more: its writers have their answers, and the log is spared.
const LINGER: Duration = Duration::from_millis(10);
/// How often time-outs are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long nothing may be heard of a proposal before it is sent again; doubles up to the second number.
const SILENCE: Duration = Duration::from_millis(100);
const LONGEST_SILENCE: Duration = Duration::from_secs(2);

/// How long a stopping node waits for clients to take their last replies.
const LAST_REPLIES: Duration = Duration::from_secs(2);

/// What a node is told once, at its start.
#[derive(Clone, Debug)]
pub struct Options {
    pub core: Config,
    /// How other nodes reach this one.
    pub member: Member,
    pub snapshots: Schedule,
    /// Bytes of a segment of the log; a single larger record makes its own segment larger.
    pub segment_bytes: u64,
    /// Used only if there is no such user yet.
    pub admin_password: FirstPassword,
}

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

/// A running node.
#[derive(Debug)]
pub struct Node<E: Env> {
    env: E,
    core: Mutex<Core>,
    keeper: Keeper<E>,
    /// The newest accepted batch: gates wait for it.
    accepted: Watermark,
    /// 1 once this Core is primary.
    leads: Watermark,
    /// 1 once a client asked the server to stop.
    shutdown: Watermark,
    /// There is a batch to close.
    work: Signal,
    /// There is a batch to close when it has lingered.
    lingering: Signal,
    /// How to wake a connection for which another one has something.
    doors: Doors,
    /// Connections that have replies which have not left.
    replying: AtomicUsize,
    traffic: Traffic,
}

impl<E: Env> Node<E> {
    /// Recovers, becomes primary and founds the first user if there is none. Clients can be served when it returns.
    ///
    /// # Errors
    /// If the log is damaged or cannot be read.
    pub async fn start(env: E, options: Options) -> Result<Arc<Self>, StartError> {
        let (keeper, snapshot) = Keeper::start(&env, options.member, options.segment_bytes).await?;
        let node = Arc::new(Self {
            env: env.clone(),
            core: Mutex::new(Core::new(options.core)),
            keeper,
            accepted: Watermark::default(),
            leads: Watermark::default(),
            shutdown: Watermark::default(),
            work: Signal::default(),
            lingering: Signal::default(),
            doors: Doors::default(),
            replying: AtomicUsize::new(0),
            traffic: Traffic::default(),
        });
        node.with_core(|core| core.set_clock(Box::new(EnvClock(env.clone()))));
        let known = match snapshot {
            Some((manifest, system)) => {
                recovery::load(&env, &node.core, &manifest, system.system).await.map_err(OpenError::from)?;
                manifest.last.index + 1
            }
            None => 0,
        };
        env.spawn("core", node.clone().run_loop(known));
        let scheduled = node.clone();
        env.spawn("snapshots", async move {
            scheduled.keeper.make_snapshots(&scheduled.env, options.snapshots).await;
        });
        if !Mutant::ServeBeforeRecovered.is_chosen() {
            node.leads.reached(1).await;
        }
        node.found(options.admin_password).await;
        Ok(node)
    }

    /// Makes the first user, durably, if there is none.
    async fn found(&self, password: FirstPassword) {
        let admin = self.with_core(|core| core.config().default_user.clone());
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
        let hash = self.env.hash_password(password).await;
        let seq = {
            let mut core = lock(&self.core);
            let founded =
                core.handle(self.now(), Input::Found { admin: &admin, password_hash: &hash }, &mut Vec::new());
            debug_assert!(founded.is_ok(), "founding reads no entry");
            core.executed()
        };
        self.work.raise();
        self.until_accepted(seq).await;
    }

    /// The loop between Core and log: what is committed goes in, what was executed goes out. The Core knows the first
    /// `known` entries of the log.
    async fn run_loop(self: Arc<Self>, mut known: u64) {
        let mut outputs = Vec::new();
        let mut heard = false;
        let mut silence = Silence { since: self.env.monotonic(), patience: SILENCE };
        self.tell(Input::Begin { nonce: self.env.random() }, &mut outputs).await;
        self.carry_out(&mut outputs).await;
        let mut tick = pin!(self.env.sleep(TICK));
        let mut linger = None;
        loop {
            let mut committed = pin!(self.keeper.committed().reached(known + 1));
            let (ticked, due) = poll_fn(|context| {
                let committed = committed.as_mut().poll(context).is_ready();
                let due = self.work.poll(context).is_ready();
                let ticked = tick.as_mut().poll(context).is_ready();
                // While one lingers, further ones wake nobody.
                if linger.is_none() && self.lingering.poll(context).is_ready() {
                    linger = Some(Box::pin(self.env.sleep(LINGER)));
                }
                let lingered = linger.as_mut().is_some_and(|linger| linger.as_mut().poll(context).is_ready());
                let due = due || ticked || lingered;
                if due || committed { Poll::Ready((ticked, due)) } else { Poll::Pending }
            })
            .await;
            let entries = match self.keeper.feed(known).await {
                Ok(entries) => entries,
                Err(error) => match self.env.fatal(format!("cannot read the log: {error}")).await {},
            };
            heard |= !entries.is_empty();
            for (index, entry) in &entries {
                known = index + 1;
                self.tell(
                    Input::Committed { index: Index(*index), entry: entry.as_ref().map(|p| &*p.0) },
                    &mut outputs,
                )
                .await;
            }
            self.keeper.fed(known);
            if ticked {
                tick.set(self.env.sleep(TICK));
                let broken = std::mem::take(&mut heard) || !self.with_core(|core| core.awaits_verdict());
                if silence.is_too_long(self.env.monotonic(), broken) {
                    self.tell(Input::Resend, &mut outputs).await;
                }
                self.tell(Input::Keeper(self.keeper.state()), &mut outputs).await;
                let (input_bytes, output_bytes) = (self.traffic.input_bytes(), self.traffic.output_bytes());
                self.tell(Input::Tick { input_bytes, output_bytes }, &mut outputs).await;
                self.tell(Input::Expire, &mut outputs).await;
                // Those who wait for their level look at the clock.
                self.accepted.nudge();
            }
            // The verdict on one batch is no reason to close the next: under a steady load they would all be small.
            if due || self.with_core(|core| core.open_batch()) == OpenBatch::Due {
                linger = None;
                self.tell(Input::CloseBatch, &mut outputs).await;
            }
            self.carry_out(&mut outputs).await;
        }
    }

    async fn tell(&self, input: Input<'_>, outputs: &mut Vec<Output>) {
        let told = lock(&self.core).handle(self.now(), input, outputs);
        if let Err(BadEntry { .. }) = &told {
            let why = told.map_or_else(|error| error.to_string(), |()| String::new());
            self.env.fatal(why).await;
        }
    }

    async fn carry_out(&self, outputs: &mut Vec<Output>) {
        for output in outputs.drain(..) {
            match output {
                Output::Propose(proposal) => {
                    if let Err(error) = self.keeper.propose(Proposal::new(proposal)).await
                        && self.with_core(|core| !core.is_stopping())
                    {
                        self.env.fatal(error.to_string()).await;
                    }
                }
                Output::Accepted(seq) => self.accepted.advance(seq.0),
                Output::Leads(epoch) => {
                    tracing::info!(epoch = epoch.0, "this Core is primary");
                    self.leads.advance(1);
                }
                Output::Deposed(epoch) => {
                    self.env.fatal(format!("another Core claimed epoch {epoch}; this one's memory is void")).await;
                }
            }
        }
    }

    /// A new client, or `None` if there are too many.
    pub fn connect(self: &Arc<Self>, port: Port, peer: Peer) -> Option<Client<E>> {
        let connection = lock(&self.core).connect(port, peer, self.env.monotonic())?;
        let door = self.doors.install(connection.slot());
        Some(Client { node: self.clone(), replying: false, held: false, connection, door })
    }

    /// Waits until a batch is accepted, however long that takes.
    async fn until_accepted(&self, seq: Seq) {
        while self.accepted.value() < seq.0 {
            self.accepted.reached(seq.0).await;
        }
    }

    /// Makes a snapshot of what has been accepted by now.
    pub(crate) async fn snapshot(&self) -> Result<(), SnapshotFailed> {
        let made = self.keeper.snapshot().await;
        let known = lock(&self.core).handle(self.now(), Input::Keeper(self.keeper.state()), &mut Vec::new());
        debug_assert!(known.is_ok(), "a Keeper's state is no entry");
        made
    }

    /// Completes when a client has asked the server to stop.
    pub async fn shutdown_requested(&self) {
        self.shutdown.reached(1).await;
    }

    /// Stops in order: no further command is executed, everything executed becomes durable and is answered, the log is
    /// closed.
    pub async fn stop(&self) {
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
        self.keeper.stop().await;
    }

    /// A look at the Core, under its lock: keep it short.
    pub fn with_core<T>(&self, look: impl FnOnce(&mut Core) -> T) -> T {
        look(&mut lock(&self.core))
    }

    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Connections that have replies which have not left.
    pub fn replying(&self) -> usize {
        self.replying.load(Ordering::Relaxed)
    }

    pub fn keeper(&self) -> &Keeper<E> {
        &self.keeper
    }

    pub fn env(&self) -> &E {
        &self.env
    }

    pub(crate) fn accepted(&self) -> &Watermark {
        &self.accepted
    }

    fn now(&self) -> Now {
        Now { wall: self.env.wall(), monotonic: self.env.monotonic() }
    }
}

/// How long nothing has been heard of what was proposed.
struct Silence {
    since: Monotonic,
    patience: Duration,
}

impl Silence {
    /// Whether it is time to send again; `broken` says that something was heard, or that nothing is waited for.
    fn is_too_long(&mut self, now: Monotonic, broken: bool) -> bool {
        if broken {
            *self = Self { since: now, patience: SILENCE };
            return false;
        }
        let too_long = now - self.since >= self.patience;
        if too_long {
            *self = Self { since: now, patience: (self.patience * 2).min(LONGEST_SILENCE) };
        }
        too_long
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
        let (mut core, waited_since) = match try_lock(&self.node.core) {
            Some(core) => (core, None),
            // Only who has to wait for the lock looks how long.
            None => {
                let since = self.node.env.monotonic();
                (lock(&self.node.core), Some(since))
            }
        };
        let now = self.node.now();
        let since = waited_since.unwrap_or(now.monotonic);
        core.stats.lock_waits.observe(now.monotonic - since);
        self.connection.arrived(since);
        let step = self.connection.run(&mut core, now);
        let open = core.open_batch();
        let woken = core.clients.take_woken();
        drop(core);
        self.note_held(step == Step::Held);
        self.node.doors.knock(&woken);
        match open {
            OpenBatch::Empty | OpenBatch::Queued => {}
            OpenBatch::Lingering => self.node.lingering.raise(),
            OpenBatch::Due => self.node.work.raise(),
        }
        if step == Step::Shutdown {
            self.node.shutdown.advance(1);
        }
        step
    }

    /// Opens the gate as far as the log has got.
    pub(crate) fn advance(&mut self, now: Monotonic) {
        let accepted = Seq(self.node.accepted.value());
        self.connection.advance(accepted, now);
        self.node.traffic.replied(self.connection.take_delays());
    }

    pub(crate) fn saved(&mut self, made: Result<(), SnapshotFailed>) {
        self.connection.saved(&mut lock(&self.node.core), made);
    }

    pub(crate) fn password_checked(&mut self, check: PasswordCheck) {
        let now = self.node.now();
        self.connection.password_checked(&mut lock(&self.node.core), now, check);
    }
}

impl<E: Env> Drop for Client<E> {
    fn drop(&mut self) {
        self.note_replying(false);
        self.note_held(false);
        lock(&self.node.core).disconnect(&self.connection);
    }
}
