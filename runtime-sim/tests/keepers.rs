//! Keepers of one Raft group, each on a node of its own: they meet, fail over, come back, and catch up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use madsim::net::TcpListener;
use madsim::runtime::{Handle, Runtime};
use madsim::task::NodeId;
use mneme_driver::ask::{Answer, Ask, ask};
use mneme_driver::departure::Removed;
use mneme_driver::keeper::{Keeper, Proposed, RaftTimes, Schedule, StartError};
use mneme_driver::keepers::FedContent;
use mneme_driver::server::{KeeperOptions, Options, Server, Start};
use mneme_driver::types::Proposal;
use mneme_kernel::entry::Entry;
use mneme_kernel::members::Member;
use mneme_runtime_sim::{DiskOptions, SimDisk, SimEnv};

const PORT: u16 = 7000;
/// By when anything that is possible has happened.
const SOON: Duration = Duration::from_secs(20);
const SEEDS: u64 = 10;

/// A machine with a Keeper, which may be dead.
struct Machine {
    name: &'static str,
    ip: String,
    port: u16,
    id: NodeId,
    disk: SimDisk,
    env: SimEnv,
    server: Arc<Mutex<Option<Arc<Server<SimEnv>>>>>,
}

impl Machine {
    fn new(number: u8, name: &'static str) -> Machine {
        let ip = format!("10.0.0.{number}");
        let node = Handle::current().create_node().name(name).ip(ip.parse().expect("an address")).build();
        let id = node.id();
        let disk = SimDisk::new(DiskOptions::default());
        let env = SimEnv::new(&disk);
        Machine { name, ip, port: PORT, id, disk, env, server: Arc::default() }
    }

    fn address(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }

    fn options(&self, start: Start) -> Options {
        Options {
            member: Member { name: self.name.into(), address: self.address() },
            core: None,
            keeper: Some(KeeperOptions {
                segment_bytes: 64 << 10,
                snapshots: Schedule { log_bytes: 1 << 40, interval: Duration::from_secs(1 << 30) },
                raft: RaftTimes::default(),
            }),
            reads: mneme_kernel::agreed::NEWEST,
            start,
        }
    }

    fn start(&self, start: Start) {
        let options = self.options(start);
        let (env, slot, port) = (self.env.clone(), self.server.clone(), self.port);
        // A node that has been restarted is another one to madsim.
        let node = Handle::current().get_node(self.id).expect("it was made");
        drop(node.spawn(async move {
            let server = Server::new(env.clone(), options).await.expect("the disk is sound");
            *slot.lock().expect("nobody panics") = Some(server.clone());
            let listener = TcpListener::bind(("0.0.0.0", port)).await.expect("the port is free");
            loop {
                let (stream, from) = listener.accept().await.expect("the network is there");
                let server = server.clone();
                drop(madsim::task::spawn(async move {
                    let _ = server.serve_link(stream, &from.to_string()).await;
                }));
            }
        }));
    }

    fn kill(&self) {
        Handle::current().kill(self.id);
        self.server.lock().expect("nobody panics").take();
    }

    /// The machine loses its power, and with it what no sync has covered.
    fn cut_power(&self) {
        self.kill();
        self.disk.crash();
    }

    /// Its next life; on a new disk if the old one is lost.
    fn restart(&mut self, start: Start, wiped: bool) {
        if wiped {
            self.disk = SimDisk::new(DiskOptions::default());
            self.env = SimEnv::new(&self.disk);
        } else {
            self.env = self.env.next_life(&self.disk);
        }
        Handle::current().restart(self.id);
        self.start(start);
    }

    fn keeper(&self) -> Option<Arc<Keeper<SimEnv>>> {
        self.server.lock().expect("nobody panics").as_ref().and_then(|server| server.keeper().cloned())
    }
}

fn join(machines: &[Machine]) -> Start {
    Start::Join { nodes: machines.iter().map(Machine::address).collect() }
}

fn leader(machines: &[Machine]) -> Option<Arc<Keeper<SimEnv>>> {
    machines.iter().filter_map(Machine::keeper).find(|keeper| keeper.leads())
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = madsim::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < SOON, "{what}: not within {SOON:?}");
        madsim::time::sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}

/// Three machines whose Keepers are voters of one group.
async fn three() -> Vec<Machine> {
    let machines = vec![Machine::new(1, "a"), Machine::new(2, "b"), Machine::new(3, "c")];
    machines[0].start(Start::Found { expect_keepers: 3 });
    for machine in &machines[1..] {
        machine.start(join(&machines));
    }
    until("three voters", || voters(&machines) == 3).await;
    for machine in &machines {
        let keeper = machine.keeper().expect("it has started");
        madsim::time::timeout(SOON, keeper.caught_up()).await.expect("it catches up");
    }
    machines
}

fn voters(machines: &[Machine]) -> usize {
    leader(machines).map_or(0, |leader| leader.status().members.iter().filter(|member| member.votes).count())
}

fn entry(nonce: u64) -> Proposal {
    Proposal(Bytes::from(Entry::Hello { node: "core", nonce, address: "core:7000", origin: None }.encode()))
}

/// Proposes so many entries, and waits until all machines that run have committed them.
async fn propose(machines: &[Machine], nonces_to_send: std::ops::Range<u64>) {
    let from = machines.iter().filter_map(Machine::keeper).map(|keeper| keeper.committed().value()).max();
    let from = from.expect("one runs");
    for nonce in nonces_to_send.clone() {
        loop {
            let sent = match leader(machines) {
                Some(leader) => leader.propose(entry(nonce)).await.expect("Raft runs"),
                None => Proposed::NotLeader(None),
            };
            if sent == Proposed::Sent {
                break;
            }
            madsim::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let begun = madsim::time::Instant::now();
    let target = loop {
        assert!(begun.elapsed() < SOON, "{nonces_to_send:?} are not committed");
        madsim::time::sleep(Duration::from_millis(20)).await;
        let leading = machines.iter().find(|machine| machine.keeper().is_some_and(|keeper| keeper.leads()));
        let Some(leading) = leading else { continue };
        let new = log(leading, from).await;
        if nonces(&new).last() == Some(&(nonces_to_send.end - 1)) {
            break new.last().map_or(from, |(index, _)| index + 1);
        }
    };
    until("everybody has it", || {
        machines.iter().filter_map(Machine::keeper).all(|keeper| keeper.committed().value() >= target)
    })
    .await;
}

/// What a machine's log says from an index on.
async fn log(machine: &Machine, from: u64) -> Vec<(u64, FedContent)> {
    let keeper = machine.keeper().expect("it runs");
    let mut log = Vec::new();
    let mut known = from;
    loop {
        let entries = keeper.feed(known).await.expect("its disk is sound");
        let Some(last) = entries.last() else { return log };
        known = last.index + 1;
        log.extend(entries.into_iter().map(|entry| (entry.index, entry.content)));
    }
}

fn nonces(log: &[(u64, FedContent)]) -> Vec<u64> {
    let nonce = |content: &FedContent| match content {
        FedContent::Core(proposal) => match Entry::decode(&proposal.0) {
            Ok(Entry::Hello { nonce, .. }) => Some(nonce),
            _ => None,
        },
        _ => None,
    };
    log.iter().filter_map(|(_, content)| nonce(content)).collect()
}

/// All have the same log with these proposals. The last change of the members may still be on its way to some, behind them.
async fn same_log(machines: &[Machine], proposals: u64) {
    let mut logs = Vec::new();
    for machine in machines {
        logs.push(log(machine, 0).await);
    }
    assert_eq!(nonces(&logs[0]), (0..proposals).collect::<Vec<_>>());
    for (machine, log) in machines.iter().zip(&logs) {
        let both = log.len().min(logs[0].len());
        let differ = (0..both).find(|i| log[*i] != logs[0][*i]);
        assert_eq!(differ, None, "{} has another log", machine.name);
        assert_eq!(nonces(log), nonces(&logs[0]), "{} lacks some", machine.name);
    }
}

fn on_seeds<F: Future<Output = ()>>(test: impl Fn() -> F + Copy + Send + 'static) {
    // With RUST_LOG it says what happens.
    let _ = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).try_init();
    for seed in 0..SEEDS {
        let run = std::thread::spawn(move || {
            Runtime::with_seed_and_config(seed, madsim::Config::default()).block_on(test());
        });
        assert!(run.join().is_ok(), "seed {seed}");
    }
}

#[test]
fn three_keepers_meet_and_have_one_log() {
    on_seeds(|| async {
        let machines = three().await;
        propose(&machines, 0..200).await;
        same_log(&machines, 200).await;
    });
}

#[test]
fn another_leads_soon_and_the_old_one_comes_back() {
    on_seeds(|| async {
        let mut machines = three().await;
        propose(&machines, 0..50).await;
        let old = machines.iter().position(|machine| machine.keeper().is_some_and(|keeper| keeper.leads()));
        let old = old.expect("somebody leads");
        machines[old].kill();
        let took = until("another leads", || leader(&machines).is_some()).await;
        // Two that ask for votes at once do not split them: with their campaigns apart, seed 9 took 910 ms.
        assert!(took < Duration::from_millis(600), "it took {took:?}");
        propose(&machines, 50..100).await;
        let start = join(&machines);
        machines[old].restart(start, false);
        until("it is back", || machines[old].keeper().is_some()).await;
        propose(&machines, 100..120).await;
        same_log(&machines, 120).await;
    });
}

/// A change of the membership that needs somebody who has moved must not keep the membership from hearing of the move.
#[test]
fn one_that_moves_while_it_becomes_a_voter_is_found() {
    on_seeds(|| async {
        let mut machines = vec![Machine::new(1, "a"), Machine::new(2, "b")];
        machines[0].start(Start::Found { expect_keepers: 2 });
        machines[1].start(join(&machines));
        while voters(&machines) < 2 {
            madsim::time::sleep(Duration::from_micros(100)).await;
        }
        // What a has in its log is not committed without b.
        machines[1].kill();
        machines[1].port += 1;
        let start = join(&machines[..1]);
        machines[1].restart(start, false);
        until("it is back", || machines[1].keeper().is_some()).await;
        let keeper = machines[1].keeper().expect("it has started");
        madsim::time::timeout(SOON, keeper.caught_up()).await.expect("it is found where it is now");
        propose(&machines, 0..20).await;
    });
}

#[test]
fn one_that_was_wiped_comes_back_under_another_id() {
    on_seeds(|| async {
        let mut machines = three().await;
        propose(&machines, 0..50).await;
        for wiped in [2, 0] {
            let old = machines[wiped].keeper().expect("it runs").id();
            machines[wiped].kill();
            let start = join(&machines);
            machines[wiped].restart(start, true);
            until("the old id has left", || {
                leader(&machines).is_some_and(|leader| {
                    let members = leader.status().members;
                    members.len() == 3 && members.iter().all(|member| member.votes && member.id != old)
                })
            })
            .await;
            let keeper = machines[wiped].keeper().expect("it runs");
            assert_ne!(keeper.id(), old);
            madsim::time::timeout(SOON, keeper.caught_up()).await.expect("it catches up");
            // Behind these the change of the members is committed too.
            let next = if wiped == 2 { 50 } else { 75 };
            propose(&machines, next..next + 25).await;
        }
        assert_eq!(nonces(&log(&machines[0], 0).await), (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn one_that_is_far_behind_gets_a_snapshot_and_keeps_it() {
    on_seeds(|| async {
        let mut machines = three().await;
        propose(&machines, 0..50).await;
        let behind = machines.iter().position(|machine| machine.keeper().is_some_and(|keeper| !keeper.leads()));
        let behind = behind.expect("two follow");
        machines[behind].kill();
        propose(&machines, 50..300).await;
        for machine in &machines {
            if let Some(keeper) = machine.keeper() {
                keeper.snapshot().await.expect("the disk is sound");
            }
        }
        // What it contains goes away soon.
        madsim::time::sleep(Duration::from_secs(1)).await;
        let begins = leader(&machines).expect("somebody leads").state().snapshot_index.expect("it was made").0 + 1;
        propose(&machines, 300..320).await;
        let start = join(&machines);
        // It loses its power at any time while the snapshot comes and is put in place.
        for _ in 0..10 {
            machines[behind].restart(start.clone(), false);
            madsim::time::sleep(Duration::from_millis(madsim::rand::random::<u64>() % 400)).await;
            machines[behind].cut_power();
        }
        machines[behind].restart(start.clone(), false);
        until("it is back", || machines[behind].keeper().is_some()).await;
        propose(&machines, 320..330).await;
        let snapshot = machines[behind].keeper().and_then(|keeper| keeper.state().snapshot_index);
        assert!(snapshot.is_some_and(|index| index.0 + 1 >= begins), "{snapshot:?} reaches {begins}");
        let of_it = log(&machines[behind], begins).await;
        assert_eq!(nonces(&of_it), (300..330).collect::<Vec<_>>());

        // What it was given is its own now.
        machines[behind].keeper().expect("it runs").snapshot().await.expect("the disk is sound");
        machines[behind].kill();
        machines[behind].restart(start, false);
        until("it is back", || machines[behind].keeper().is_some()).await;
        propose(&machines, 330..340).await;
    });
}

/// The others commit an entry while a Keeper's own sync of it goes on: its snapshot must not have that, or after a power cut
/// the log would end before it, and be taken for a damaged one.
#[test]
fn a_snapshot_contains_only_what_the_own_log_has_on_disk() {
    on_seeds(|| async {
        let mut machines = three().await;
        propose(&machines, 0..50).await;
        // What it knows of the others is on its disk by then.
        madsim::time::sleep(Duration::from_secs(1)).await;
        let slow = machines.iter().position(|machine| machine.keeper().is_some_and(|keeper| !keeper.leads()));
        let slow = slow.expect("two follow");
        let (minute, fast) = (Duration::from_secs(60), DiskOptions::default());
        machines[slow].disk.set_options(DiskOptions { sync: minute..=minute, ..fast.clone() });
        propose(&machines, 50..51).await;
        machines[slow].disk.set_options(fast);
        let keeper = machines[slow].keeper().expect("it runs");
        keeper.snapshot().await.expect("the disk is sound");
        machines[slow].cut_power();
        let start = join(&machines);
        machines[slow].restart(start, false);
        until("it is back", || machines[slow].keeper().is_some()).await;
        propose(&machines, 51..60).await;
        assert!(!machines[slow].disk.list_files().iter().any(|file| file.starts_with("damaged-")));
    });
}

#[test]
fn a_voter_that_wants_to_leads() {
    on_seeds(|| async {
        let machines = three().await;
        propose(&machines, 0..50).await;
        for _ in 0..3 {
            let follower = machines.iter().filter_map(Machine::keeper).find(|keeper| !keeper.leads());
            let follower = follower.expect("two follow");
            let before = follower.leader_changes().value();
            let machine = machines.iter().find(|machine| machine.name == follower.member().name);
            let node = Handle::current().get_node(machine.expect("it is one of them").id).expect("it was made");
            until("it leads", || {
                let asking = follower.clone();
                drop(node.spawn(async move { asking.lead() }));
                follower.leads()
            })
            .await;
            assert!(follower.leader_changes().value() > before);
        }
        // Whoever led may not know yet, and what it takes is lost.
        madsim::time::sleep(Duration::from_millis(500)).await;
        propose(&machines, 50..100).await;
        assert_eq!(nonces(&log(&machines[0], 0).await), (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn one_with_a_damaged_log_begins_anew_when_the_others_lead() {
    on_seeds(|| async {
        let mut machines = three().await;
        propose(&machines, 0..50).await;
        let (old, folder) = (machines[0].keeper().expect("it runs").id(), "log/");
        // What it knows of the others is on its disk by then.
        madsim::time::sleep(Duration::from_secs(1)).await;
        machines[0].kill();
        let segment = machines[0].disk.list_files().into_iter().find(|file| file.starts_with(folder)).expect("a log");
        assert!(machines[0].disk.zero(&segment, 64, 4_096).expect("it is there"), "it makes a difference");
        propose(&machines, 50..100).await;
        machines[0].restart(Start::Found { expect_keepers: 3 }, false);
        until("the old id has left", || {
            leader(&machines).is_some_and(|leader| {
                let members = leader.status().members;
                members.len() == 3 && members.iter().all(|member| member.votes && member.id != old)
            })
        })
        .await;
        propose(&machines, 100..120).await;
        assert_eq!(nonces(&log(&machines[0], 0).await), (0..120).collect::<Vec<_>>());
        assert!(machines[0].disk.list_files().iter().any(|file| file.starts_with("damaged-1/log-")));
    });
}

/// Has the leader remove a Keeper, whoever leads by then.
async fn remove(machines: &[Machine], name: &str) -> Result<(), String> {
    let begun = madsim::time::Instant::now();
    loop {
        assert!(begun.elapsed() < SOON, "{name} is not removed");
        let running = || machines.iter().filter_map(|machine| Some((machine, machine.keeper()?)));
        let mut answer = Ok(Answer::NotLeader(None));
        if let Some((leading, keeper)) = running().find(|(_, keeper)| keeper.leads()) {
            let members = keeper.status().members;
            let ids = members.iter().filter(|member| member.member.name == name).map(|member| member.id).collect();
            let question = Ask::Remove { ids, name: name.into() };
            let asking = running().find(|(_, keeper)| !keeper.leads()).map_or(leading, |(machine, _)| machine);
            let (env, address) = (asking.env.clone(), leading.address());
            let node = Handle::current().get_node(asking.id).expect("it was made");
            answer = node.spawn(async move { ask(&env, &address, &question, SOON).await }).await.expect("it lives");
        }
        match answer {
            Ok(Answer::Removed { .. }) => return Ok(()),
            Ok(Answer::Refused(why)) if !why.contains("ask again") => return Err(why),
            _ => madsim::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Names of the voters and of the learners, sorted.
fn roles(machines: &[Machine]) -> [Vec<String>; 2] {
    let members = leader(machines).map(|leader| leader.status().members).unwrap_or_default();
    [true, false].map(|votes| {
        let mut names: Vec<String> =
            members.iter().filter(|member| member.votes == votes).map(|member| member.member.name.clone()).collect();
        names.sort_unstable();
        names
    })
}

async fn left(machine: &Machine) {
    let server = machine.server.lock().expect("nobody panics").clone().expect("it runs");
    let removed = madsim::time::timeout(SOON, server.removed()).await;
    assert_eq!(removed.expect("it finds out"), Removed::Keeper, "{}", machine.name);
}

#[test]
fn a_group_grows_to_five_and_shrinks_to_one_and_who_left_finds_out() {
    on_seeds(|| async {
        let mut machines = three().await;
        propose(&machines, 0..50).await;
        for (number, name, voters) in [(4, "d", 3), (5, "e", 5)] {
            machines.push(Machine::new(number, name));
            machines[usize::from(number) - 1].start(join(&machines));
            until("it is a member", || roles(&machines).iter().flatten().any(|known| known == name)).await;
            until("as many vote as are to", || roles(&machines)[0].len() == voters).await;
        }
        propose(&machines, 50..80).await;
        let mut next = 80;
        // The leader is among them; the first is dead.
        machines[1].kill();
        for (gone, votes) in [(1, 3), (0, 3), (4, 2), (3, 1)] {
            let name = machines[gone].name;
            remove(&machines, name).await.expect("the others have a majority");
            until("it is no member", || {
                let [voters, learners] = roles(&machines);
                voters.len() == votes && !voters.iter().chain(&learners).any(|known| known == name)
            })
            .await;
            if gone != 1 {
                left(&machines[gone]).await;
                machines[gone].kill();
            }
            propose(&machines, next..next + 10).await;
            next += 10;
        }
        assert_eq!(roles(&machines), [vec!["c".to_owned()], vec![]]);
        let refused = remove(&machines, "c").await.expect_err("it is the last one");
        assert!(refused.contains("the only Keeper"), "{refused}");
        assert_eq!(nonces(&log(&machines[2], 0).await), (0..next).collect::<Vec<_>>());
    });
}

#[test]
fn who_was_removed_while_it_was_down_does_not_come_back_but_with_an_empty_disk() {
    on_seeds(|| async {
        let mut machines = three().await;
        propose(&machines, 0..50).await;
        // What it is goes to its disk beside the log.
        madsim::time::sleep(Duration::from_secs(1)).await;
        machines[2].kill();
        until("it counts as gone", || {
            leader(&machines).is_some_and(|leader| {
                let silent = |heard: Option<Duration>| heard.is_none_or(|heard| heard > Duration::from_secs(1));
                leader.status().members.iter().any(|member| member.member.name == "c" && silent(member.heard))
            })
        })
        .await;
        let refused = remove(&machines, "b").await.expect_err("a alone is no majority of a and c");
        assert!(refused.contains("only 1 answer"), "{refused}");
        remove(&machines, "c").await.expect("a and b are alive");
        let start = join(&machines);
        machines[2].restart(start.clone(), false);
        until("it starts", || machines[2].keeper().is_some()).await;
        left(&machines[2]).await;
        machines[2].kill();
        assert_eq!(roles(&machines)[0], ["a", "b"]);
        // It knows from then on, and asks nobody.
        let refused = Server::new(machines[2].env.next_life(&machines[2].disk), machines[2].options(start.clone()));
        let node = Handle::current().create_node().build();
        let refused = node.spawn(async move { refused.await.map(drop) }).await.expect("it ends");
        assert!(matches!(refused, Err(StartError::Removed(Removed::Keeper))), "{refused:?}");
        machines[2].restart(start, true);
        until("it joins as a new one", || roles(&machines)[0] == ["a", "b", "c"]).await;
        propose(&machines, 50..60).await;
    });
}
