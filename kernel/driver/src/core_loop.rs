//! The loop between Core and log: what is committed goes in, what was executed goes out, and time passes.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mneme_kernel::core::{BadEntry, Content, Core, Input, OpenBatch, Output};
use mneme_kernel::ids::{Epoch, Index};
use mneme_kernel::probe::Probe;
use mneme_kernel::time::Monotonic;

use crate::env::Env;
use crate::keeper::StartError;
use crate::keepers::{Fed, FedContent, FedEntry, FedSnapshot, LoadError};
use crate::node::{Messages, Node};
use crate::observer;
use crate::sync::lock;
use crate::types::Proposal;
use crate::wal::OpenError;

/// How long a batch that nobody waits for may wait for more: its writers have their answers, and the log is spared.
const LINGER: Duration = Duration::from_millis(10);
/// How often time-outs are looked at, claims and renewals made.
const TICK: Duration = Duration::from_millis(20);
/// How long nothing may be heard of a proposal before it is sent again; doubles up to the second number.
const SILENCE: Duration = Duration::from_millis(100);
const LONGEST_SILENCE: Duration = Duration::from_secs(2);

/// How often the Core's lock is tried before this thread does something else, and how long that is.
const SPINS: usize = 50;
const BUSY: Duration = Duration::from_micros(500);
/// How long to wait before a feed that failed is asked again.
const FEED_AGAIN: Duration = Duration::from_millis(50);

type Next<'a, E> = Pin<Box<dyn Future<Output = io::Result<Fed<E>>> + Send + 'a>>;

/// Runs until the process ends.
pub(crate) async fn run<E: Env>(node: Arc<Node<E>>) {
    Loop::new(&node).run().await;
}

struct Loop<'a, E: Env> {
    node: &'a Node<E>,
    /// How many entries of the log the Core knows.
    known: u64,
    /// What the feed gives behind those.
    next: Next<'a, E>,
    /// What the Core wants done.
    outputs: Vec<Output>,
    /// Verdicts on what the Core proposed that had been heard at the last tick.
    heard: u64,
    silence: Silence,
    /// Disturbances of the way to the log that are known.
    disturbances: u64,
}

impl<'a, E: Env> Loop<'a, E> {
    fn new(node: &'a Node<E>) -> Self {
        let silence = Silence { since: node.env.monotonic(), patience: SILENCE };
        let next = Box::pin(node.keepers.next(0, None));
        Self { node, known: 0, next, outputs: Vec::new(), heard: 0, silence, disturbances: 0 }
    }

    async fn run(mut self) {
        let node = self.node;
        self.begin().await;
        let mut tick = pin!(node.env.sleep(TICK));
        let mut linger = None;
        loop {
            let mut fed = None;
            let mut disturbed = pin!(node.keepers.disturbances().reached(self.disturbances + 1));
            let (ticked, due) = poll_fn(|context| {
                if fed.is_none()
                    && let Poll::Ready(next) = self.next.as_mut().poll(context)
                {
                    fed = Some(next);
                }
                let something = fed.is_some() | disturbed.as_mut().poll(context).is_ready();
                let due = node.work.poll(context).is_ready();
                let ticked = tick.as_mut().poll(context).is_ready();
                // While one lingers, further ones wake nobody.
                if linger.is_none() && node.lingering.poll(context).is_ready() {
                    linger = Some(Box::pin(node.env.sleep(LINGER)));
                }
                let lingered = linger.as_mut().is_some_and(|linger| linger.as_mut().poll(context).is_ready());
                let due = due || ticked || lingered;
                if something || due { Poll::Ready((ticked, due)) } else { Poll::Pending }
            })
            .await;
            if let Some(fed) = fed {
                self.take(fed).await;
            }
            if ticked {
                tick.set(node.env.sleep(TICK));
                self.tick().await;
            }
            let disturbances = node.keepers.disturbances().value();
            if std::mem::replace(&mut self.disturbances, disturbances) != disturbances {
                // What was on its way may be lost: a failover shall not wait for silence.
                node.env.probes().hit(Probe::ResentAfterDisturbance);
                self.tell(Input::Resend).await;
            }
            self.undo_script().await;
            // The verdict on one batch is no reason to close the next: under a steady load they would all be small.
            let due = due || lock_core(node).await.open_batch() == OpenBatch::Due;
            if due {
                linger = None;
                self.tell(Input::CloseBatch).await;
            }
            self.carry_out().await;
        }
    }

    /// Begins a life: the Core's memory is empty, the log comes from its beginning.
    async fn begin(&mut self) {
        // The lower half is this life's.
        let life = self.node.env.random() as u32;
        let nonce = u64::from(self.node.directory.identity()) << 32 | u64::from(life);
        self.tell(Input::Begin { nonce }).await;
        self.carry_out().await;
    }

    /// Takes what the feed has given, and asks for what follows.
    async fn take(&mut self, fed: io::Result<Fed<E>>) {
        let node = self.node;
        match fed {
            Ok(Fed::Entries(entries)) => {
                self.take_entries(&entries).await;
            }
            Ok(Fed::Snapshot(snapshot)) => self.take_snapshot(*snapshot).await,
            Err(error) => {
                tracing::debug!("the feed failed: {error}");
                node.env.sleep(FEED_AGAIN).await;
            }
        }
        node.applied.advance(self.known);
        if let Some(keeper) = &node.keeper {
            keeper.fed(self.known);
        }
        let own = {
            let core = lock_core(node).await;
            core.is_primary().then(|| core.epoch())
        };
        self.next = Box::pin(node.keepers.next(self.known, own.filter(|epoch| *epoch > Epoch::ZERO)));
    }

    async fn take_entries(&mut self, entries: &[FedEntry]) {
        for entry in entries {
            self.known = entry.index + 1;
            let content = match &entry.content {
                FedContent::Core(proposal) => Content::Core(&proposal.0),
                FedContent::Members(members) => Content::Members(members),
                FedContent::Blank => Content::Blank,
            };
            self.tell(Input::Committed { index: Index(entry.index), content, age: entry.age }).await;
            if self.outputs.iter().any(|output| matches!(output, Output::Deposed(_))) {
                // Its memory is void: what follows comes again, behind what it has to read anew.
                self.carry_out().await;
                return;
            }
        }
    }

    async fn take_snapshot(&mut self, snapshot: FedSnapshot<E>) {
        let node = self.node;
        let is_empty = lock_core(node).await.is_empty();
        if !is_empty {
            // The log was purged beyond what this memory contains (PROTOCOL rule 20).
            tracing::warn!("the log does not reach back to what this Core knows: reading it anew");
            self.tell(Input::Forget).await;
            self.carry_out().await;
        }
        match snapshot.load(&node.env, &node.core).await {
            Ok(loaded) => {
                node.env.probes().hit_if(node.keeper.is_none(), Probe::SnapshotFed);
                self.known = loaded.known;
                lock_core(node).await.set_members(loaded.members);
            }
            Err(LoadError::Disk(error)) => {
                *lock(&node.start_error) = Some(StartError::Open(OpenError::from(error)));
                node.serves.advance(1);
                std::future::pending::<()>().await;
            }
            Err(LoadError::Link(error)) => {
                // Another Keeper may give a whole one.
                node.env.probes().hit(Probe::SnapshotFeedBroken);
                tracing::info!("a snapshot did not come in whole: {error}");
                self.tell(Input::Forget).await;
                self.carry_out().await;
            }
        }
    }

    async fn tick(&mut self) {
        let node = self.node;
        let (heard, awaits) = {
            let core = lock_core(node).await;
            (core.verdicts_heard(), core.awaits_verdict())
        };
        // Others' entries say nothing about what this Core has proposed.
        let broken = std::mem::replace(&mut self.heard, heard) != heard || !awaits;
        if self.silence.is_too_long(node.env.monotonic(), broken) {
            node.env.probes().hit(Probe::ResentAfterSilence);
            self.tell(Input::Resend).await;
        }
        if let Some(keeper) = &node.keeper {
            self.tell(Input::Keeper(keeper.state())).await;
        }
        self.tell(Input::Group(node.keepers.group())).await;
        let (input_bytes, output_bytes) = (node.traffic.input_bytes(), node.traffic.output_bytes());
        self.tell(Input::Tick { input_bytes, output_bytes }).await;
        self.tell(Input::Expire).await;
        let (serves, leads) = {
            let core = lock_core(node).await;
            let serves = core.is_hot() && core.primary().is_some() && core.has_users();
            (serves, core.is_primary())
        };
        if let Some(keeper) = node.keeper.as_ref().filter(|_| leads) {
            // What a primary writes takes one way less if the Keeper beside it leads.
            keeper.lead();
        }
        // Those who wait for their level look at the clock.
        node.accepted.nudge();
        node.everywhere.nudge();
        if serves {
            node.serves.advance(1);
        }
    }

    /// Takes the data from the log again, if this memory holds what a script did that had to be ended: that is nowhere but
    /// here.
    async fn undo_script(&mut self) {
        let node = self.node;
        if !lock_core(node).await.is_spoilt() {
            return;
        }
        tracing::warn!(
            "a script that had changed something ran for too long: nothing of it is kept, reading the data anew"
        );
        // What others did before it is sound.
        self.tell(Input::CloseBatch).await;
        self.carry_out().await;
        self.tell(Input::Forget).await;
        self.carry_out().await;
    }

    async fn tell(&mut self, input: Input<'_>) {
        let node = self.node;
        let (told, everywhere, messages) = {
            let mut core = lock_core(node).await;
            let told = observer::handle(&node.env, &mut core, input, &mut self.outputs);
            (told, core.everywhere(), Messages::take(&mut core))
        };
        node.mark_everywhere(everywhere);
        node.deliver(&messages);
        if let Err(BadEntry { .. }) = &told {
            let why = told.map_or_else(|error| error.to_string(), |()| String::new());
            node.env.fatal(why).await;
        }
    }

    async fn carry_out(&mut self) {
        let node = self.node;
        let mut deposed = false;
        for output in std::mem::take(&mut self.outputs) {
            match output {
                Output::Propose(proposal) => {
                    if let Err(error) = node.keepers.propose(Proposal::new(proposal)).await
                        && node.with_core(|core| !core.is_stopping())
                    {
                        node.env.fatal(error.to_string()).await;
                    }
                }
                Output::Accepted(seq) => node.accepted.advance(seq.0),
                Output::Void(void) => node.voids.push(void),
                Output::Leads(epoch) => {
                    tracing::info!(epoch = epoch.0, "this Core is primary");
                    self.announce_primary();
                }
                Output::Follows(epoch) => {
                    tracing::info!(epoch = epoch.0, "another Core is primary");
                    self.announce_primary();
                }
                Output::Removed => {
                    node.directory.note_core_removed().await;
                    node.removed.advance(1);
                }
                Output::Deposed(epoch) => {
                    tracing::warn!(
                        epoch = epoch.0,
                        "another Core is primary; what this one executed and the log did not accept is void: recovering"
                    );
                    deposed = true;
                    self.announce_primary();
                }
            }
        }
        if deposed {
            self.known = 0;
            self.next = Box::pin(node.keepers.next(0, None));
            // One level deep: an empty Core is not deposed.
            Box::pin(self.begin()).await;
        }
    }

    /// Wakes those who wait for a primary.
    fn announce_primary(&self) {
        self.node.forwarding.raise();
        self.node.accepted.nudge();
    }
}

/// The Core, without blocking this thread for long: Raft's tasks run on it, and a slow command must not delay them.
pub(crate) async fn lock_core<E: Env>(node: &Node<E>) -> parking_lot::MutexGuard<'_, Core> {
    loop {
        for _ in 0..SPINS {
            if let Some(core) = node.core.try_lock() {
                return core;
            }
            std::thread::yield_now();
        }
        node.env.sleep(BUSY).await;
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
