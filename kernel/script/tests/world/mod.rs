//! A primary with scripts, whose batches are accepted as soon as they are closed, and a standby that reads the same log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::core::{Config, Content, Core, Input, Now, Output};
use mneme_kernel::effect::{Effect, Effects};
use mneme_kernel::entry::Entry;
use mneme_kernel::eviction::Policy;
use mneme_kernel::gate::Marks;
use mneme_kernel::ids::{Index, Seq};
use mneme_kernel::level::Level;
use mneme_kernel::limits;
use mneme_kernel::password::PasswordCheck;
use mneme_kernel::resp::encode_command;
use mneme_kernel::session::{Peer, Port};
use mneme_kernel::stopwatch::Clock;
use mneme_kernel::time::{Monotonic, Wall};
use mneme_script::Scripts;

/// A clock that goes on by so many nanoseconds whenever it is looked at.
#[derive(Clone, Debug, Default)]
pub struct Ticking {
    now: Arc<AtomicU64>,
    step: Arc<AtomicU64>,
}

impl Ticking {
    pub fn every(&self, step: Duration) {
        self.step.store(step.as_nanos() as u64, Ordering::Relaxed);
    }
}

impl Clock for Ticking {
    fn monotonic(&self) -> Monotonic {
        let step = self.step.load(Ordering::Relaxed);
        Monotonic(Duration::from_nanos(self.now.fetch_add(step, Ordering::Relaxed) + step))
    }
}

pub struct World {
    pub core: Core,
    pub standby: Core,
    pub clock: Ticking,
    pub now: Now,
    index: u64,
    accepted: Seq,
    /// Scripts that began anew elsewhere.
    pub moved: usize,
    /// What each accepted batch holds.
    pub batches: Vec<Vec<String>>,
}

fn core(node: &str, max_memory: u64, founds: bool) -> Core {
    let mut core = Core::new(Config {
        node: node.into(),
        address: format!("{node}:7380"),
        default_user: "admin".into(),
        default_level: Level::Quorum,
        level_timeout: Duration::from_secs(5),
        park_timeout: Duration::from_secs(10),
        reads: mneme_kernel::agreed::NEWEST,
        replica: !founds,
        lease: limits::LEASE,
        founds,
        quorum_check: false,
        seed: 1,
        started: Monotonic::default(),
        process_id: 1,
        port: 6379,
        max_clients: 100,
        max_memory,
        memory_policy: Policy::NoEviction,
        script_times: Default::default(),
        facade: Default::default(),
        secret: [1; 4],
        parameters: Vec::new(),
        settings: Vec::new(),
    });
    core.set_engine(Box::new(Scripts::default()));
    core
}

impl World {
    pub fn new() -> Self {
        let now = Now { wall: Wall(1_700_000_000_000), monotonic: Monotonic(Duration::from_secs(1)) };
        let clock = Ticking::default();
        clock.now.store(now.monotonic.0.as_nanos() as u64, Ordering::Relaxed);
        let mut primary = core("a", 0, true);
        primary.set_alone(true);
        primary.set_clock(Box::new(clock.clone()));
        let standby = core("b", 0, false);
        let mut world =
            Self { core: primary, standby, clock, now, index: 0, accepted: Seq::ZERO, moved: 0, batches: Vec::new() };
        world.tell(Input::Begin { nonce: 1 });
        world.commit(&Entry::Format { format: mneme_kernel::agreed::NEWEST }.encode());
        world.tell(Input::Found { admin: "admin", password_hash: "hash", sealed_ca: None });
        world.tell(Input::CloseBatch);
        // It has all there is, and may answer.
        world.standby.handle(now, Input::Group(Default::default()), &mut Vec::new()).expect("no entry");
        world
    }

    pub fn client(&mut self) -> Connection {
        let mut client = self.core.connect(Port::Main, Peer::default(), self.now.monotonic).expect("there is room");
        assert_eq!(self.ask(&mut client, &["AUTH", "p"]), "+OK");
        client
    }

    pub fn commit(&mut self, entry: &[u8]) {
        let index = Index(self.index);
        self.index += 1;
        if let Ok(Entry::Batch { effects, .. }) = Entry::decode(entry) {
            let show = |effect: Result<Effect<'_>, _>| format!("{:?}", effect.expect("an effect"));
            self.batches.push(Effects::new(effects).map(show).collect());
        }
        let input = || Input::Committed { index, content: Content::Core(entry), age: Duration::ZERO };
        self.standby.handle(self.now, input(), &mut Vec::new()).expect("readable entries");
        self.tell(input());
    }

    pub fn tell(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.core.handle(self.now, input, &mut outputs).expect("readable entries");
        for output in outputs {
            match output {
                Output::Propose(proposal) => self.commit(&proposal),
                Output::Accepted(seq) => self.accepted = seq,
                _ => {}
            }
        }
    }

    /// What leaves for a request, its lines with spaces between them.
    pub fn ask(&mut self, client: &mut Connection, request: &[&str]) -> String {
        encode_command(request, client.input());
        loop {
            match client.run(&mut self.core, self.now) {
                Step::CheckPassword(_) => client.password_checked(&mut self.core, self.now, PasswordCheck::Right(0)),
                Step::Elsewhere => {
                    self.moved += 1;
                    client.run_long(&mut self.core, self.now);
                    break;
                }
                _ => break,
            }
        }
        self.tell(Input::CloseBatch);
        client.advance(Marks::alone(self.accepted), &[], self.now.monotonic);
        let reply = String::from_utf8_lossy(client.ready()).trim_end().replace("\r\n", " ");
        client.sent(client.ready().len());
        reply
    }

    /// What a script without keys returns.
    pub fn eval(&mut self, script: &str) -> String {
        let mut client = self.client();
        let reply = self.ask(&mut client, &["EVAL", script, "0"]);
        self.core.disconnect(&client);
        reply
    }

    pub fn check_standby(&mut self) {
        let ours = self.core.digest(self.now.monotonic).expect("nothing is open");
        let theirs = self.standby.digest(self.now.monotonic).expect("nothing is open");
        assert_eq!(ours, theirs);
    }
}
