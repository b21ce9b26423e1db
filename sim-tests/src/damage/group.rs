//! Exhaustive damage to one Keeper of three, each beside a Core. The others hold what it held, so nothing acknowledged may
//! be lost, and nothing wrong is ever read; the damaged one comes back by itself, or refuses and says where.
//!
//! One of the others was down for the last writes: without the third, it is the damaged log that decides which of them last.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use madsim::net::TcpListener;
use madsim::runtime::Handle;
use madsim::task::NodeId;
use madsim::time::{Instant, sleep};
use mneme_driver::env::Env;
use mneme_driver::keeper::StartError;
use mneme_driver::node::Node;
use mneme_driver::server::{Server, Start};
use mneme_kernel::ids::Index;
use mneme_kernel::members::Member;
use mneme_kernel::resp::Value;
use mneme_kernel::store::Digest;
use mneme_runtime_sim::{DiskImage, SimDisk, SimEnv};

use super::cases::Case;
use super::history::{IDLE, Items, Writer, fast, write_back};
use super::node::{self, Client};
use crate::world::lock;

/// The three: one whose disk is damaged, one that has everything as well, and one that lacks the last writes.
const DAMAGED: usize = 0;
const SOUND: usize = 1;
const LAGGING: usize = 2;
const ALL: [usize; 3] = [DAMAGED, SOUND, LAGGING];

const PORT: u16 = 7379;
const OTHER_DATABASE: &str = "14";
/// Virtual time within which all serve.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the sound one is away. Two that make up a majority have elected a leader by then.
const AWAY: Duration = Duration::from_millis(1_500);
const LOOK: Duration = Duration::from_millis(5);
/// Lives of the damaged one in which it may end itself.
const REVIVALS: usize = 3;

/// What three nodes left behind.
#[derive(Clone, Debug)]
pub struct Left {
    images: [DiskImage; 3],
    items: Items,
}

/// Whether the one that has everything as well is there from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    Together,
    SoundComesLater,
}

impl Scenario {
    pub const ALL: [Scenario; 2] = [Scenario::Together, Scenario::SoundComesLater];
}

/// What became of the damaged node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The damage made no difference to what the disk holds.
    Nothing,
    /// It has not minded.
    Harmless,
    /// It has moved its log aside and has joined the others anew.
    Mended,
    /// It does not start, and says where the damage is.
    Refused,
}

impl Left {
    /// A log of about a thousand records behind two snapshots, on two of three disks; the third lacks the last of them.
    pub async fn make() -> Left {
        let mut writer = Writer::new(60, 20);
        let mut group = Group::new();
        let disks = ALL.map(|_| SimDisk::new(fast()));
        group.start(&ALL, &disks, |number| match number {
            DAMAGED => Start::Found { expect_keepers: ALL.len() },
            _ => join(number),
        });
        let mut client = group.first_client().await;
        for writes in [60, 40] {
            writer.write(&mut client, writes).await;
            for machine in &group.0 {
                let server = machine.server().expect("nothing has been damaged yet");
                server.keeper().expect("each has one").snapshot().await.expect("the disk is sound");
            }
        }
        writer.write(&mut client, 150).await;
        sleep(IDLE).await;
        group.kill();
        group.start(&ALL, &disks, join);
        let mut client = group.first_client().await;
        writer.write(&mut client, 150).await;
        sleep(IDLE).await;
        group.0[LAGGING].kill();
        writer.write(&mut client, 60).await;
        sleep(IDLE).await;
        group.kill();
        for disk in &disks {
            write_back(disk).await.expect("the disk is sound");
        }
        Left { images: disks.map(|disk| disk.image()), items: writer.items }
    }

    /// The disk that is damaged.
    pub fn disk(&self) -> SimDisk {
        SimDisk::from_image(&self.images[DAMAGED], fast())
    }
}

/// The machines; what runs on them differs from case to case.
#[derive(Debug)]
pub struct Group([Machine; 3]);

impl Group {
    pub fn new() -> Group {
        Group(ALL.map(Machine::new))
    }

    /// Damages the one disk and starts the three.
    pub async fn try_case(&mut self, left: &Left, case: &Case, scenario: Scenario) -> Result<Outcome, String> {
        let disks = ALL.map(|number| SimDisk::from_image(&left.images[number], fast()));
        if !case.happen(&disks[DAMAGED]).map_err(|error| format!("cannot be damaged: {error}"))? {
            return Ok(Outcome::Nothing);
        }
        let tried = self.serve(left, &disks, scenario).await;
        self.kill();
        let was_set_aside = disks[DAMAGED].list_files().iter().any(|path| path.starts_with("damaged-"));
        match tried? {
            Some(Refusal { why, is_damage: true }) if super::names_the_place(&why, case) => Ok(Outcome::Refused),
            Some(Refusal { why, .. }) => Err(format!("it does not start: {why}")),
            None if was_set_aside => Ok(Outcome::Mended),
            None => Ok(Outcome::Harmless),
        }
    }

    /// All of it, from the start until everything has been looked at. Why the damaged one has refused, if it has.
    async fn serve(
        &mut self,
        left: &Left,
        disks: &[SimDisk; 3],
        scenario: Scenario,
    ) -> Result<Option<Refusal>, String> {
        if scenario == Scenario::SoundComesLater {
            self.start(&[DAMAGED, LAGGING], disks, join);
            // They need not be: of what is asked here, that nothing wrong is read, it is enough that some time passes.
            let _ = self.until_ready(disks, AWAY).await;
            self.look(left).await.map_err(|wrong| format!("without the sound one, {wrong}"))?;
            self.start(&[SOUND], disks, join);
        } else {
            self.start(&ALL, disks, join);
        }
        self.until_ready(disks, PATIENCE).await?;
        self.look(left).await?;
        self.write_afterwards().await?;
        self.compare().await?;
        let refusal = self.0[DAMAGED].refusal();
        if refusal.is_none() {
            // What they made of the damage must last.
            self.kill();
            disks.iter().for_each(SimDisk::crash);
            self.start(&ALL, disks, join);
            let looked = async {
                self.until_ready(disks, PATIENCE).await?;
                self.look(left).await?;
                self.look_afterwards().await
            };
            looked.await.map_err(|wrong| format!("after a power cut, {wrong}"))?;
        }
        Ok(refusal)
    }

    fn start(&mut self, which: &[usize], disks: &[SimDisk; 3], how: impl Fn(usize) -> Start) {
        which.iter().for_each(|number| self.0[*number].start(&disks[*number], how(*number)));
    }

    fn kill(&mut self) {
        self.0.iter_mut().for_each(Machine::kill);
    }

    /// A client of the first one, when all are ready.
    async fn first_client(&mut self) -> Client {
        let end = Instant::now() + PATIENCE;
        while !self.0.iter().all(Machine::is_ready) {
            assert!(Instant::now() < end, "they do not start: {:?}", self.0);
            sleep(LOOK).await;
        }
        self.0[0].client().await.expect("a node that has started serves")
    }

    /// Waits until all that were started serve, or the damaged one has refused and the others do.
    async fn until_ready(&mut self, disks: &[SimDisk; 3], patience: Duration) -> Result<(), String> {
        let end = Instant::now() + patience;
        let mut revivals = 0;
        loop {
            let damaged = &mut self.0[DAMAGED];
            if let Some(why) = damaged.ended_itself() {
                revivals += 1;
                if revivals > REVIVALS {
                    return Err(format!("the damaged one ends itself again and again: {why}"));
                }
                damaged.kill();
                damaged.start(&disks[DAMAGED], join(DAMAGED));
            }
            let has_settled = |(number, machine): (usize, &Machine)| {
                !machine.is_started() || machine.is_ready() || number == DAMAGED && machine.refusal().is_some()
            };
            if self.0.iter().enumerate().all(has_settled) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("not ready within {patience:?}: {:?}", self.0));
            }
            sleep(LOOK).await;
        }
    }

    /// Whoever serves has everything acknowledged, and nothing else.
    async fn look(&self, left: &Left) -> Result<(), String> {
        for machine in self.serving() {
            let looked = async {
                let mut client = machine.client().await.map_err(|error| error.to_string())?;
                super::look(&mut client, &left.items).await
            };
            looked.await.map_err(|wrong| format!("{}: {wrong}", machine.member.name))?;
        }
        Ok(())
    }

    /// Another write is acknowledged.
    async fn write_afterwards(&self) -> Result<(), String> {
        let set = self.ask_one(&["SET", "afterwards", "1"]).await?;
        if set == Value::Simple("OK".into()) { Ok(()) } else { Err(format!("a write afterwards is answered {set:?}")) }
    }

    async fn look_afterwards(&self) -> Result<(), String> {
        let found = self.ask_one(&["GET", "afterwards"]).await?;
        if found == Value::Bulk(b"1".into()) {
            Ok(())
        } else {
            Err(format!("what was written afterwards is {found:?}"))
        }
    }

    /// What one that serves answers, in a database that is empty otherwise.
    async fn ask_one(&self, command: &[&str]) -> Result<Value, String> {
        let asked = async {
            let mut client = self.serving().next().ok_or(io::ErrorKind::NotConnected)?.client().await?;
            client.ask(&["SELECT", OTHER_DATABASE]).await?;
            client.ask(command).await
        };
        asked.await.map_err(|error| format!("{command:?} is not answered: {error}"))
    }

    fn serving(&self) -> impl Iterator<Item = &Machine> {
        self.0.iter().filter(|machine| machine.is_ready())
    }

    /// All Cores hold the same, once they have applied the same.
    async fn compare(&self) -> Result<(), String> {
        let serving: Vec<&Machine> = self.serving().collect();
        let end = Instant::now() + PATIENCE;
        loop {
            let digests: Vec<_> = serving.iter().map(|machine| machine.digest()).collect();
            match digests[0] {
                Some((index, digest)) if digests.iter().all(|other| other.is_some_and(|(at, _)| at == index)) => {
                    let differs = digests.iter().flatten().any(|(_, other)| *other != digest);
                    return if differs { Err(format!("at index {index} digests are {digests:?}")) } else { Ok(()) };
                }
                _ if Instant::now() > end => return Err(format!("the Cores do not come to the same: {digests:?}")),
                _ => sleep(LOOK).await,
            }
        }
    }
}

/// Why a node does not start.
#[derive(Clone, Debug)]
struct Refusal {
    why: String,
    is_damage: bool,
}

/// How far a life has come.
#[derive(Clone, Debug, Default)]
struct Life {
    server: Option<Arc<Server<SimEnv>>>,
    is_ready: bool,
    refusal: Option<Refusal>,
}

struct Machine {
    member: Member,
    id: NodeId,
    env: Option<SimEnv>,
    life: Arc<Mutex<Life>>,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Life { server, is_ready, refusal } = &*lock(&self.life);
        let has_begun = server.is_some();
        write!(f, "{} (begun {has_begun}, ready {is_ready}, refusal {refusal:?})", self.member.name)
    }
}

fn ip(number: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number as u8 + 1))
}

fn address(number: usize) -> String {
    format!("{}:{PORT}", ip(number))
}

fn join(number: usize) -> Start {
    Start::Join { nodes: ALL.into_iter().filter(|other| *other != number).map(address).collect() }
}

impl Machine {
    fn new(number: usize) -> Machine {
        let name = ["one", "two", "three"][number];
        let node = Handle::current().create_node().name(name).ip(ip(number)).build();
        let member = Member { name: name.into(), address: address(number) };
        Machine { member, id: node.id(), env: None, life: Arc::default() }
    }

    fn start(&mut self, disk: &SimDisk, how: Start) {
        let env = SimEnv::new(disk);
        let options = node::options(&env, self.member.clone(), how);
        let life = Arc::<Mutex<Life>>::default();
        (self.env, self.life) = (Some(env.clone()), life.clone());
        Handle::current().restart(self.id);
        let machine = Handle::current().get_node(self.id).expect("a machine is never taken away");
        machine.spawn(async move {
            let refuse = |error: StartError| {
                let is_damage = matches!(&error, StartError::Open(open) if open.is_damage());
                lock(&life).refusal = Some(Refusal { why: error.to_string(), is_damage });
            };
            let server = match Server::new(env.clone(), options).await {
                Ok(server) => server,
                Err(error) => return refuse(error),
            };
            lock(&life).server = Some(server.clone());
            env.spawn("cluster", serve_nodes(env.clone(), server.clone()));
            match server.ready().await {
                Ok(()) => lock(&life).is_ready = true,
                Err(error) => refuse(error),
            }
        });
    }

    fn kill(&mut self) {
        Handle::current().kill(self.id);
        (self.env, self.life) = (None, Arc::default());
    }

    fn is_started(&self) -> bool {
        self.env.is_some()
    }

    fn server(&self) -> Option<Arc<Server<SimEnv>>> {
        lock(&self.life).server.clone()
    }

    fn is_ready(&self) -> bool {
        lock(&self.life).is_ready
    }

    fn refusal(&self) -> Option<Refusal> {
        lock(&self.life).refusal.clone()
    }

    /// Why its process has ended without being told to.
    fn ended_itself(&self) -> Option<String> {
        self.env.as_ref()?.fatal_reason()
    }

    async fn client(&self) -> io::Result<Client> {
        let server = self.server().ok_or(io::ErrorKind::NotConnected)?;
        Client::of(self.id, &server).await
    }

    fn digest(&self) -> Option<(Index, Digest)> {
        let server = self.server()?;
        let node: &Node<SimEnv> = server.node()?;
        node.with_core(|core| core.digest(node.env().monotonic()))
    }
}

async fn serve_nodes(env: SimEnv, server: Arc<Server<SimEnv>>) {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await.expect("the port is free once the life before has ended");
    loop {
        let (stream, peer) = listener.accept().await.expect("a simulated listener has no errors");
        let server = server.clone();
        let name = peer.ip().to_string();
        // How a link ends is its dialler's concern.
        env.spawn("link", async move { drop(server.serve_link(stream, &name).await) });
    }
}
