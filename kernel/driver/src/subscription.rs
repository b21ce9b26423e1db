//! A Core's subscription to the feed of Keepers in other processes: one link at a time, to any of them. When it breaks
//! or is silent, the next one goes on where it ended.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mneme_kernel::core::Input;
use mneme_kernel::ids::{Epoch, Index};
use mneme_kernel::members::Members;
use mneme_kernel::probe::Probe;
use mneme_kernel::system::System;
use mneme_kernel::time::Monotonic;

use crate::ask::{self, Answer, Ask};
use crate::courier::Courier;
use crate::directory::Directory;
use crate::env::Env;
use crate::feed::frames::{self, Frame, SnapshotHead, Wish};
use crate::keepers::{Fed, FedContent, FedEntry};
use crate::link::{self, FrameReader, Open};
use crate::outage::Outage;
use crate::recovery::{FedSnapshot, Loaded, tell};
use crate::sync::{CoreLock, lock};

/// How long a link may take to be there: with TLS, and the other side may be busy.
pub(crate) const DIAL: Duration = Duration::from_secs(1);
/// A Keeper that has not been heard for so long is left for another; it says something every [`crate::feed::BEAT`].
pub(crate) const SILENCE: Duration = Duration::from_millis(300);
/// The same while a snapshot comes, which would have to begin anew.
const SNAPSHOT_SILENCE: Duration = Duration::from_secs(3);
/// A Keeper that has no news for so long is left for another: it may be cut off from the others, and cannot know.
const NO_NEWS: Duration = Duration::from_secs(2);
/// The same if it has not even brought what was proposed.
const NO_NEWS_OF_OWN: Duration = Duration::from_secs(1);
/// A link that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(1);

/// The subscriber.
#[derive(Debug)]
pub(crate) struct Subscriber<E: Env> {
    env: E,
    directory: Arc<Directory<E>>,
    courier: Arc<Courier<E>>,
    state: Mutex<State<E>>,
    /// How many entries are committed, as far as any Keeper has said.
    committed: AtomicU64,
}

#[derive(Debug)]
struct State<E: Env> {
    /// The link, while nobody waits at it.
    subscription: Option<Subscription<E>>,
    /// Which Keeper is next; drawn at the start, so that subscribers spread over them.
    turn: u64,
    outage: Outage,
    /// Who fed last.
    fed_by: Option<String>,
}

/// A link over which a Keeper feeds.
struct Subscription<E: Env> {
    reader: FrameReader<E::Link>,
    address: String,
    /// The index of the next entry.
    next: u64,
    own: Option<Epoch>,
    since: Monotonic,
    /// When it brought entries last.
    news: Monotonic,
}

impl<E: Env> std::fmt::Debug for Subscription<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("address", &self.address).field("next", &self.next).finish_non_exhaustive()
    }
}

/// What a link brought.
enum Heard {
    Entries(Vec<FedEntry>),
    Snapshot(Box<SnapshotHead>),
}

impl<E: Env> Subscriber<E> {
    pub(crate) fn new(env: E, directory: Arc<Directory<E>>, courier: Arc<Courier<E>>) -> Self {
        let outage = Outage::new("the feed of any Keeper");
        let state = State { subscription: None, turn: env.random(), outage, fed_by: None };
        Self { env, directory, courier, state: Mutex::new(state), committed: AtomicU64::new(0) }
    }

    /// Another subscriber to the same Keepers.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.env.clone(), self.directory.clone(), self.courier.clone())
    }

    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    pub(crate) fn fed_by(&self) -> Option<String> {
        lock(&self.state).fed_by.clone()
    }

    fn heard_committed(&self, entries: u64) {
        self.committed.fetch_max(entries, Ordering::Relaxed);
    }

    /// See [`crate::keepers::Keepers::next`]. The link survives when this is given up, and serves the next call if that
    /// goes on where it stands.
    pub(crate) async fn next(self: &Arc<Self>, known: u64, own: Option<Epoch>) -> Fed<E> {
        loop {
            let subscription = match self.take(known, own) {
                Some(subscription) => subscription,
                None => self.subscribe(known, own).await,
            };
            let mut held = Held { subscriber: self, subscription: Some(subscription) };
            let heard = match &mut held.subscription {
                Some(subscription) => subscription.hear(self, own).await,
                None => continue,
            };
            let Some(mut subscription) = held.subscription.take() else { continue };
            match heard {
                Ok(Heard::Entries(entries)) => {
                    subscription.news = self.env.monotonic();
                    self.good();
                    self.courier.heard();
                    lock(&self.state).subscription = Some(subscription);
                    self.learn(&entries);
                    return Fed::Entries(entries);
                }
                Ok(Heard::Snapshot(head)) => {
                    let remote = RemoteSnapshot { subscription, subscriber: self.clone(), head };
                    return Fed::Snapshot(Box::new(FedSnapshot::on_link(remote)));
                }
                Err(why) => self.broke(&subscription, &why),
            }
        }
    }

    /// The link, if it goes on there. One that leaves out what is wanted now does not, nor one that would have to begin
    /// elsewhere: it is closed.
    fn take(&self, known: u64, own: Option<Epoch>) -> Option<Subscription<E>> {
        let subscription = lock(&self.state).subscription.take()?;
        let leaves_out = subscription.own.is_some() && subscription.own != own;
        (subscription.next == known && !leaves_out).then_some(subscription)
    }

    async fn subscribe(&self, known: u64, own: Option<Epoch>) -> Subscription<E> {
        loop {
            let (address, count, pause) = self.choose();
            if !pause.is_zero() {
                self.env.sleep(pause).await;
            }
            let Some(address) = address else { continue };
            if !pause.is_zero() && self.directory.keepers().is_empty() {
                self.ask_for_a_keeper(&address).await;
            }
            match link::open(&self.env, &address, &Open::Feed { known, own }, DIAL).await {
                Ok(link) => {
                    let now = self.env.monotonic();
                    let reader = FrameReader::new(link);
                    lock(&self.state).fed_by = Some(address.clone());
                    return Subscription { reader, address, next: known, own, since: now, news: now };
                }
                Err(why) => lock(&self.state).outage.failed(count, &format!("{address}: {why}")),
            }
        }
    }

    /// Whoever was told of no Keeper tries what it was told of: those nodes may have none, but know one.
    async fn ask_for_a_keeper(&self, address: &str) {
        if let Ok(Answer::NotLeader(Some(keeper))) = ask::ask(&self.env, address, &Ask::Lead, DIAL).await
            && !self.directory.addresses().contains(&keeper.address)
        {
            self.directory.hint(&[keeper.address]);
        }
    }

    /// Whom to ask next, of how many, and how long to wait before that. The leader comes last, because it has the most to
    /// do.
    fn choose(&self) -> (Option<String>, usize, Duration) {
        let leader = self.courier.leader();
        let state = lock(&self.state);
        let mut candidates = self.directory.candidates(state.turn, leader.as_deref());
        let count = candidates.len();
        if count == 0 {
            return (None, 0, Outage::LONGEST);
        }
        let chosen = candidates.swap_remove(state.outage.failures() as usize % count);
        (Some(chosen), count, state.outage.pause(count))
    }

    fn good(&self) {
        lock(&self.state).outage.over();
    }

    /// Leaves a link.
    fn broke(&self, subscription: &Subscription<E>, why: &io::Error) {
        let address = &subscription.address;
        tracing::debug!("the feed from {address} has ended: {why}");
        self.env.probes().hit(Probe::FeedLeft);
        let mut state = lock(&self.state);
        if self.env.monotonic() - subscription.since >= GOOD {
            // Another one is asked first.
            state.turn = state.turn.wrapping_add(1);
            state.outage.over();
        } else {
            let keepers = self.directory.keepers().len();
            state.outage.failed(keepers, &format!("{address}: {why}"));
        }
    }

    fn learn(&self, entries: &[FedEntry]) {
        for entry in entries {
            if let FedContent::Members(members) = &entry.content {
                self.learn_members(entry.index, members.clone());
            }
        }
    }

    /// Beside this task, which may be given up.
    fn learn_members(&self, at: u64, members: Members) {
        let directory = self.directory.clone();
        self.env.spawn("directory", async move { directory.learn(at, &members).await });
    }
}

/// A link that somebody waits at; if that is given up, it goes back.
struct Held<'a, E: Env> {
    subscriber: &'a Subscriber<E>,
    subscription: Option<Subscription<E>>,
}

impl<E: Env> Drop for Held<'_, E> {
    fn drop(&mut self) {
        if let Some(subscription) = self.subscription.take() {
            lock(&self.subscriber.state).subscription = Some(subscription);
        }
    }
}

impl<E: Env> Subscription<E> {
    /// Waits for the next entries or a snapshot. Nothing is lost if it is given up.
    async fn hear(&mut self, subscriber: &Subscriber<E>, own: Option<Epoch>) -> io::Result<Heard> {
        let env = &subscriber.env;
        if self.own != own {
            // Before the wish is written: given up half-way, the link must not seem to be one that has all.
            self.own = own;
            if let Some(epoch) = own {
                let mut wish = Vec::new();
                link::frame(&Wish::Own(epoch), &mut wish);
                // It fits into any socket's buffer: only a broken link waits here.
                link::write(env, self.reader.stream(), &wish, SILENCE).await?;
            }
        }
        loop {
            let frame = self.reader.next_within(env, SILENCE).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            match frames::decode(frame)? {
                (Frame::Entries { first, count }, bytes) => {
                    if first != self.next || count == 0 {
                        return Err(unexpected("entries that do not follow"));
                    }
                    let entries = frames::decode_entries(first, count, bytes)?;
                    self.next += count;
                    subscriber.heard_committed(self.next);
                    return Ok(Heard::Entries(entries));
                }
                (Frame::Beat { committed }, _) => {
                    subscriber.heard_committed(committed);
                    let patience = if subscriber.courier.is_unheard() { NO_NEWS_OF_OWN } else { NO_NEWS };
                    let no_news = env.monotonic() - self.news >= patience;
                    if no_news && subscriber.directory.keepers().len() > 1 {
                        env.probes().hit(Probe::FeedWithoutNews);
                        return Err(io::Error::other("it has no news"));
                    }
                }
                (Frame::Snapshot(mut head), behind) => {
                    head.system.take_newer(behind).map_err(frames::invalid)?;
                    self.next = head.index + 1;
                    subscriber.heard_committed(self.next);
                    return Ok(Heard::Snapshot(head));
                }
                (Frame::Refused(why), _) => return Err(io::Error::other(why)),
                (Frame::Items | Frame::End, _) => return Err(unexpected("items outside of a snapshot")),
            }
        }
    }
}

fn unexpected(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A snapshot of which the head has come over a link, and the items have not.
pub(crate) struct RemoteSnapshot<E: Env> {
    subscription: Subscription<E>,
    subscriber: Arc<Subscriber<E>>,
    head: Box<SnapshotHead>,
}

impl<E: Env> std::fmt::Debug for RemoteSnapshot<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteSnapshot").field("index", &self.head.index).finish_non_exhaustive()
    }
}

impl<E: Env> RemoteSnapshot<E> {
    pub(crate) fn known(&self) -> u64 {
        self.head.index + 1
    }

    /// Puts the items into the Core as they come; then the link goes on with the entries behind them.
    pub(crate) async fn load(mut self, env: &E, core: &CoreLock) -> io::Result<Loaded> {
        let loaded = self.load_items(env, core).await;
        match &loaded {
            Ok(Loaded { members, members_at, .. }) => {
                if let Some(at) = members_at {
                    self.subscriber.learn_members(at.index, members.clone());
                }
                self.finish(env);
            }
            Err(why) => self.subscriber.broke(&self.subscription, why),
        }
        loaded
    }

    /// Everything has come: the link goes on with the entries behind it.
    pub(crate) fn finish(mut self, env: &E) {
        self.subscription.news = env.monotonic();
        self.subscriber.good();
        lock(&self.subscriber.state).subscription = Some(self.subscription);
    }

    /// The state that is not keys, which can be taken once.
    pub(crate) fn take_system(&mut self) -> System {
        std::mem::take(&mut self.head.system)
    }

    async fn load_items(&mut self, env: &E, core: &CoreLock) -> io::Result<Loaded> {
        let SnapshotHead { index, items, system, members, members_at } = std::mem::take(&mut *self.head);
        let bad = |error: mneme_kernel::core::BadEntry| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        tell(env, core, Input::Snapshot { index: Index(index), system, items: &items }).map_err(bad)?;
        let courier = self.subscriber.courier.clone();
        let put = |effects: &[u8]| tell(env, core, Input::Items(effects)).map_err(bad);
        while self.items(env, put).await? {
            // What was proposed cannot be heard of before this is over.
            courier.heard();
        }
        Ok(Loaded { known: index + 1, members, members_at })
    }

    /// Waits for the next items and gives them away, as the effects that make them; `false` behind the last.
    pub(crate) async fn items(&mut self, env: &E, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<bool> {
        let reader = &mut self.subscription.reader;
        loop {
            let frame = reader.next_within(env, SNAPSHOT_SILENCE).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            match frames::decode(frame)? {
                (Frame::Items, effects) => return take(effects).map(|()| true),
                (Frame::Beat { .. }, _) => {}
                (Frame::End, _) => return Ok(false),
                (Frame::Refused(why), _) => return Err(io::Error::other(why)),
                (Frame::Entries { .. } | Frame::Snapshot(_), _) => {
                    return Err(unexpected("not the rest of a snapshot"));
                }
            }
        }
    }
}
