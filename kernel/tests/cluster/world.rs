//! Several Cores, the log between them, and the links by which they forward.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mneme_kernel::codec;
use mneme_kernel::core::{Content, Core, Input, Now, Output, Proposal};
use mneme_kernel::effect::{self, Effect};
use mneme_kernel::entry::Entry;
use mneme_kernel::exchange::{Listener, Uplink};
use mneme_kernel::facade::{Endpoint, Facade, Reach};
use mneme_kernel::forward::{Proxies, ToPrimary, Void};
use mneme_kernel::gate::Marks;
use mneme_kernel::ids::{Epoch, Incarnation, Index, Seq};
use mneme_kernel::lease::Lease;
use mneme_kernel::store::Digest;
use mneme_kernel::time::{Monotonic, Wall};
use mneme_kernel::users::Role;

use crate::keeper::{Keeper, Snapshot};
use crate::support;

const START: Wall = Wall(1_700_000_000_000);

/// A process with a Core, and what its driver keeps.
#[derive(Debug)]
pub struct Node {
    pub core: Core,
    pub accepted: Seq,
    pub voids: Vec<Void>,
    /// Entries of the log that it was given.
    pub known: usize,
    /// How fast its clock goes, in thousandths.
    rate: u32,
    /// It is given what is committed, at once.
    pub listens: bool,
    pub link: Option<Link>,
    exchange: Option<Exchange>,
}

/// The way from an origin to a primary.
#[derive(Debug)]
pub struct Link {
    pub to: usize,
    epoch: Epoch,
    proxies: Proxies,
    /// Frames on their way there and back.
    there: VecDeque<Vec<u8>>,
    back: VecDeque<Vec<u8>>,
}

/// The way of what is published, from a node to the primary and back.
#[derive(Debug)]
struct Exchange {
    to: usize,
    uplink: Uplink,
    listener: Listener,
    there: VecDeque<Arc<[u8]>>,
    back: VecDeque<Arc<[u8]>>,
}

/// What happened that a script shows.
#[derive(Debug)]
pub enum Event {
    Output(usize, Output),
    /// A frame for a primary, from this node to that.
    Sent(usize, usize, ToPrimary),
    /// A reply for an origin, from this node to that.
    Answered(usize, usize, mneme_kernel::forward::FromPrimary),
}

#[derive(Debug)]
struct Committed {
    entry: Option<Vec<u8>>,
    at: Duration,
}

#[derive(Debug)]
pub struct World {
    pub time: Duration,
    pub nodes: Vec<Node>,
    log: Vec<Committed>,
    /// What was proposed and is not in the log.
    pub pending: VecDeque<Proposal>,
    pub keeper: Keeper,
    /// What the data is after each entry.
    digests: Vec<Digest>,
    snapshot: Snapshot,
    pub events: Vec<Event>,
    lives: u64,
    /// Which facades all nodes have; where clients reach each follows from its number.
    facade: Facade,
}

fn reach(i: usize) -> Reach {
    let at = |port| Endpoint { host: format!("10.0.0.{}", i + 1), port };
    Reach { main: at(6379), read: at(6380) }
}

impl Node {
    pub fn marks(&self) -> Marks {
        Marks { accepted: self.accepted, everywhere: self.core.everywhere() }
    }
}

impl World {
    /// A log that a Core began which has made users and handed over; the first node is primary, the others stand by.
    pub fn new(rates: &[u32]) -> Self {
        Self::with_facade(rates, Facade::default())
    }

    pub fn with_facade(rates: &[u32], facade: Facade) -> Self {
        let keeper = Keeper::new();
        let mut world = Self {
            time: Duration::from_secs(1),
            nodes: Vec::new(),
            log: Vec::new(),
            pending: VecDeque::new(),
            snapshot: keeper.snapshot(),
            keeper,
            digests: Vec::new(),
            events: Vec::new(),
            lives: 0,
            facade,
        };
        world.commit(Some(&Entry::Hello { node: "node-0", nonce: 0, address: "node-0:1", origin: None }.encode()));
        let claim = Entry::Claim { incarnation: Incarnation(0), previous_epoch: Epoch::ZERO, last_renewal: Index(0) };
        world.commit(Some(&claim.encode()));
        let mut users = Vec::new();
        for (name, role) in [("admin", Role::Admin), ("reader", Role::ReadOnly)] {
            effect::record(&Effect::User { name, password_hash: "hash", role }, &mut users);
        }
        world.commit(Some(&Entry::Batch { epoch: Epoch(1), seq: Seq(1), wall: START.0, effects: &users }.encode()));
        world.commit(Some(&Entry::Release { epoch: Epoch(1), seq: Seq(2) }.encode()));
        for (i, rate) in rates.iter().enumerate() {
            let core = world.empty_core(i);
            let node = Node {
                core,
                accepted: Seq::ZERO,
                voids: Vec::new(),
                known: 0,
                rate: *rate,
                listens: true,
                link: None,
                exchange: None,
            };
            world.nodes.push(node);
            world.begin(i);
            world.commit_pending();
        }
        assert!(world.nodes[0].core.serves());
        world.events.clear();
        world
    }

    fn empty_core(&self, i: usize) -> Core {
        let (node, address) = (format!("node-{}", i + 1), format!("node-{}:1", i + 1));
        let facade = Facade { reach: reach(i), ..self.facade.clone() };
        let seed = i as u64;
        Core::new(mneme_kernel::core::Config { node, address, seed, facade, founds: false, ..support::config() })
    }

    /// A node's driver asks another one where clients reach it, and hears it or nothing.
    pub fn tell_reach(&mut self, i: usize, to: usize, answers: bool) {
        let reach = answers.then(|| reach(i));
        self.nodes[to].core.hear_reach(&format!("node-{}", i + 1), reach);
    }

    pub fn now(&self, i: usize) -> Now {
        Now {
            wall: Wall(START.0 + self.time.as_millis() as u64 - 1000),
            monotonic: Monotonic(self.time * self.nodes[i].rate / 1000),
        }
    }

    pub fn lease(&self, i: usize) -> &Lease {
        self.nodes[i].core.lease()
    }

    /// Whether the node answers reads on its own word.
    pub fn leads_with_lease(&self, i: usize) -> bool {
        self.nodes[i].core.serves() && self.lease(i).holds(self.now(i).monotonic)
    }

    pub fn tell(&mut self, i: usize, input: Input<'_>) {
        let (now, mut outputs) = (self.now(i), Vec::new());
        self.nodes[i].core.handle(now, input, &mut outputs).expect("entries that Cores wrote");
        for output in outputs {
            self.events.push(Event::Output(i, output.clone()));
            let node = &mut self.nodes[i];
            match output {
                Output::Propose(proposal) => self.pending.push_back(proposal),
                Output::Accepted(seq) => node.accepted = seq,
                Output::Void(void) => node.voids.push(void),
                Output::Leads(_) | Output::Follows(_) | Output::Removed => {}
                // Its memory is void: it reads the log anew.
                Output::Deposed(_) => {
                    node.known = 0;
                    self.begin(i);
                }
            }
        }
    }

    pub fn tick(&mut self, i: usize) {
        self.tell(i, Input::Tick { input_bytes: 0, output_bytes: 0 });
    }

    fn begin(&mut self, i: usize) {
        self.lives += 1;
        self.tell(i, Input::Begin { nonce: self.lives });
        self.feed(i, usize::MAX);
    }

    /// Gives a node what is committed that it does not know.
    pub fn feed(&mut self, i: usize, at_most: usize) {
        for _ in 0..at_most {
            let Some(Committed { entry, at }) = self.log.get(self.nodes[i].known) else { return };
            let (entry, index) = (entry.clone(), Index(self.nodes[i].known as u64));
            let age = (self.time - *at) * self.nodes[i].rate / 1000;
            self.nodes[i].known += 1;
            let content = entry.as_deref().map_or(Content::Blank, Content::Core);
            self.tell(i, Input::Committed { index, content, age });
        }
    }

    pub fn commit_pending(&mut self) {
        while let Some(proposal) = self.pending.pop_front() {
            self.commit(Some(&proposal));
        }
    }

    pub fn commit(&mut self, entry: Option<&[u8]>) {
        self.keeper.take(Index(self.log.len() as u64), entry);
        self.digests.push(self.keeper.digest());
        self.log.push(Committed { entry: entry.map(Into::into), at: self.time });
        for i in 0..self.nodes.len() {
            if self.nodes[i].listens {
                self.feed(i, usize::MAX);
            }
        }
    }

    pub fn take_snapshot(&mut self) {
        self.snapshot = self.keeper.snapshot();
    }

    /// A primary hears that a node has everything that is accepted; `None`: that every node has.
    pub fn spread(&mut self, i: usize, to: Option<usize>) {
        let now = self.now(i).monotonic;
        let core = &mut self.nodes[i].core;
        let spread = core.spread(now).expect("somebody waits for others");
        let is_meant = |node: &str| to.is_none_or(|to| node == format!("node-{}", to + 1));
        for holder in spread.holders.into_iter().filter(|holder| is_meant(&holder.node)) {
            core.holds(holder, spread.seq);
        }
    }

    /// A primary that somebody waits for hears from every other node what is true of it. Node 0 has gone, and has all.
    pub fn ask_others(&mut self, i: usize) {
        let now = self.now(i).monotonic;
        let Some(spread) = self.nodes[i].core.spread(now) else { return };
        for holder in spread.holders {
            let asked = self.nodes.iter().find(|node| node.core.config().node == holder.node);
            if asked.is_none_or(|node| node.core.is_hot() && node.core.applied() >= spread.index) {
                self.nodes[i].core.holds(holder, spread.seq);
            }
        }
    }

    pub fn renew(&mut self, i: usize) {
        if let Some((epoch, number)) = self.lease(i).renew(self.now(i).monotonic) {
            self.pending.push_back(Proposal::new(Entry::Renew { epoch, number }.encode()));
        }
    }

    /// The process ends, and a new one begins. Its links are gone, and its clients.
    pub fn restart(&mut self, i: usize, from_snapshot: bool) {
        for origin in 0..self.nodes.len() {
            if origin == i || self.nodes[origin].link.as_ref().is_some_and(|link| link.to == i) {
                self.lose_link(origin);
            }
        }
        let core = self.empty_core(i);
        let now = self.now(i);
        let node = &mut self.nodes[i];
        (node.core, node.accepted, node.known) = (core, Seq::ZERO, 0);
        node.voids.clear();
        if from_snapshot {
            node.known = self.snapshot.install(&mut node.core, now) as usize;
        }
        self.begin(i);
    }

    /// What the origin has for the primary that it knows is put on its way.
    pub fn send(&mut self, i: usize) {
        let core = &self.nodes[i].core;
        if self.nodes[i].link.is_none() && core.has_unsent() && core.is_hot() {
            let number = |name: &str| name.strip_prefix("node-").and_then(|n| n.parse::<usize>().ok());
            let other = core.primary().and_then(|(name, _)| number(name)?.checked_sub(1));
            let Some(to) = (if core.is_primary() { Some(i) } else { other }) else { return };
            let link = Link {
                to,
                epoch: core.epoch(),
                proxies: Proxies::new(core.origin_life().expect("it is hot")),
                there: VecDeque::new(),
                back: VecDeque::new(),
            };
            self.nodes[i].link = Some(link);
        }
        if !self.is_link_current(i) {
            return;
        }
        let node = &mut self.nodes[i];
        let Some(link) = &mut node.link else { return };
        for frame in node.core.take_forwarded() {
            let message = codec::decode_owned(&frame).expect("what a Core wrote");
            self.events.push(Event::Sent(i, link.to, message));
            link.there.push_back(frame);
        }
    }

    /// Whether the link leads to whom the origin holds for primary.
    fn is_link_current(&self, i: usize) -> bool {
        let Node { core, link, .. } = &self.nodes[i];
        link.as_ref().is_some_and(|link| link.epoch == core.epoch() && core.is_primary() == (link.to == i))
    }

    /// The primary executes what has arrived by the link of an origin, and answers what it can.
    pub fn serve(&mut self, i: usize) {
        let Some(mut link) = self.nodes[i].link.take() else { return };
        let now = self.now(link.to);
        let primary = &mut self.nodes[link.to];
        primary.core.run_blocked(now, &mut link.proxies);
        while let Some(frame) = link.there.pop_front() {
            primary.core.run_forwarded(now, &mut link.proxies, &frame).expect("what a Core wrote");
        }
        primary.core.settle_forwarded(&mut link.proxies, now.monotonic);
        link.proxies.advance(primary.marks(), &primary.voids, now.monotonic);
        for answer in link.proxies.take_ready() {
            let mut frame = Vec::new();
            codec::encode(&answer, &mut frame);
            link.back.push_back(frame);
            self.events.push(Event::Answered(link.to, i, answer));
        }
        self.nodes[i].link = Some(link);
    }

    /// The origin takes the replies that have arrived. A link to who is not primary any more is given up.
    pub fn receive(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        let Some(link) = &mut node.link else { return };
        for frame in link.back.drain(..) {
            node.core.forwarded_answer(&frame).expect("what a Core wrote");
        }
        if !self.is_link_current(i) {
            self.lose_link(i);
        }
    }

    pub fn lose_link(&mut self, i: usize) {
        let now = self.now(i).monotonic;
        if let Some(mut link) = self.nodes[i].link.take() {
            self.nodes[link.to].core.close_proxies(&mut link.proxies);
            self.nodes[i].core.forward_link_lost(now);
        }
    }

    /// The other end has not noticed yet.
    pub fn lose_link_unnoticed(&mut self, i: usize) {
        let now = self.now(i).monotonic;
        if self.nodes[i].link.take().is_some() {
            self.nodes[i].core.forward_link_lost(now);
        }
    }

    /// What is published at a node is put on its way to the primary that it knows.
    pub fn post(&mut self, i: usize) {
        if self.nodes[i].exchange.is_none()
            && let Some(uplink) = self.nodes[i].core.uplink()
        {
            let to = self.nodes.iter().position(|node| node.core.config().address == uplink.address);
            let to = to.expect("the primary is one of them");
            let listener = self.nodes[to].core.listen(i as u64);
            self.nodes[i].exchange = listener.map(|listener| Exchange {
                to,
                uplink,
                listener,
                there: VecDeque::new(),
                back: VecDeque::new(),
            });
        }
        let Node { core, exchange, .. } = &mut self.nodes[i];
        if let Some(link) = exchange {
            match core.take_for_primary(&link.uplink) {
                Ok(frames) => link.there.extend(frames),
                Err(_) => *exchange = None,
            }
        }
    }

    /// The primary passes on what has come from a node, and puts on its way what it has for it.
    pub fn pass_on(&mut self, i: usize) {
        let Some(mut link) = self.nodes[i].exchange.take() else { return };
        let now = self.now(link.to).monotonic;
        let core = &mut self.nodes[link.to].core;
        let heard = link.there.drain(..).try_for_each(|frame| core.hear_node(&link.listener, &frame, now));
        if let Ok(frames) = heard.and_then(|()| core.take_for_node(&link.listener)) {
            link.back.extend(frames);
            self.nodes[i].exchange = Some(link);
        } else {
            core.listens_no_more(&link.listener);
        }
    }

    /// A node hears what the primary has passed on.
    pub fn hear(&mut self, i: usize) {
        let Node { core, exchange, .. } = &mut self.nodes[i];
        let Some(link) = exchange else { return };
        if link.back.drain(..).try_for_each(|frame| core.hear_primary(&link.uplink, &frame)).is_err() {
            *exchange = None;
        }
    }

    /// Asserts what must hold at any moment.
    pub fn check(&mut self) {
        for i in 0..self.nodes.len() {
            let now = self.now(i).monotonic;
            let Node { core, known, .. } = &mut self.nodes[i];
            core.check();
            if *known > 0 && core.accepted() == core.executed() {
                let (index, digest) = core.digest(now).expect("nothing is open");
                assert_eq!(index.0 + 1, *known as u64);
                assert_eq!(digest, self.digests[*known - 1], "node {} at {index}", i + 1);
            }
        }
        let leading: Vec<usize> = (0..self.nodes.len()).filter(|i| self.leads_with_lease(*i)).collect();
        assert!(leading.len() <= 1, "{leading:?} answer reads at the same time");
    }
}
