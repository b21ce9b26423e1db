//! What needs no second Core to be seen.

use std::sync::Arc;
use std::time::Duration;

use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::core::{Config, Content, Core, Input, Now, Output, Proposal};
use mneme_kernel::entry::Entry;
use mneme_kernel::everywhere::Part;
use mneme_kernel::gate::Marks;
use mneme_kernel::ids::{Epoch, Incarnation, Index, Seq};
use mneme_kernel::members::{Group, Member, Members};
use mneme_kernel::resp::Value;
use mneme_kernel::session::{Peer, Port};
use mneme_kernel::system::System;
use mneme_kernel::time::{Monotonic, Wall};
use mneme_kernel::verdict::Verdict;

use crate::support;

const NOW: Now = Now { wall: Wall(1_700_000_000_000), monotonic: Monotonic(Duration::from_secs(1)) };

fn tell(core: &mut Core, input: Input<'_>) -> Vec<Output> {
    let mut outputs = Vec::new();
    core.handle(NOW, input, &mut outputs).expect("readable entries");
    outputs
}

fn commit(core: &mut Core, index: u64, proposal: &Proposal) -> Vec<Output> {
    tell(core, Input::Committed { index: Index(index), content: Content::Core(proposal), age: Duration::ZERO })
}

fn proposal(outputs: &[Output]) -> Proposal {
    let [Output::Propose(proposal)] = outputs else { panic!("one proposal: {outputs:?}") };
    proposal.clone()
}

/// A primary of an empty cluster.
fn primary(config: Config) -> Core {
    let mut core = Core::new(config);
    tell(&mut core, Input::Committed { index: Index(0), content: Content::Blank, age: Duration::ZERO });
    let hello = proposal(&tell(&mut core, Input::Begin { nonce: 1 }));
    let claim = proposal(&commit(&mut core, 1, &hello));
    assert_eq!(commit(&mut core, 2, &claim), [Output::Leads(Epoch(2))]);
    core
}

#[test]
fn before_there_is_a_user_only_who_makes_it_leads() {
    let mut core = Core::new(Config { founds: false, ..support::config() });
    let hello = proposal(&tell(&mut core, Input::Begin { nonce: 1 }));
    assert_eq!(commit(&mut core, 0, &hello), []);
    assert_eq!(tell(&mut core, Input::Tick { input_bytes: 0, output_bytes: 0 }), []);
    primary(support::config());
}

#[test]
fn with_quorum_check_a_read_waits_though_there_is_a_lease() {
    for quorum_check in [false, true] {
        let mut core = primary(Config { quorum_check, ..support::config() });
        assert!(core.lease().holds(NOW.monotonic));
        let mut accepted = found(&mut core);
        let mut client = core.connect(Port::Main, Peer::default(), NOW.monotonic).expect("there is room");
        client.input().extend_from_slice(b"AUTH p\r\n");
        client.run(&mut core, NOW);
        client.password_checked(&mut core, NOW, mneme_kernel::password::PasswordCheck::Right(0));
        client.sent(client.ready().len());
        client.input().extend_from_slice(b"GET k\r\n");
        client.run(&mut core, NOW);
        client.advance(Marks::alone(accepted), &[], NOW.monotonic);
        assert_eq!(client.ready().is_empty(), quorum_check);
        if quorum_check {
            let batch = proposal(&tell(&mut core, Input::CloseBatch));
            let outputs = commit(&mut core, 4, &batch);
            let [Output::Accepted(seq)] = outputs[..] else { panic!("{outputs:?}") };
            accepted = seq;
            client.advance(Marks::alone(accepted), &[], NOW.monotonic);
        }
        assert_eq!(Value::decode(client.ready()).expect("the protocol"), Some((Value::Null, 5)));
    }
}

/// Makes the first user, in batch 1 of the log.
fn found(core: &mut Core) -> mneme_kernel::ids::Seq {
    tell(core, Input::Found { admin: "admin", password_hash: "hash", sealed_ca: Some(b"sealed") });
    let batch = proposal(&tell(core, Input::CloseBatch));
    let outputs = commit(core, 3, &batch);
    let [Output::Accepted(seq)] = outputs[..] else { panic!("{outputs:?}") };
    seq
}

#[test]
fn the_sealed_key_of_the_ca_is_known_once_it_is_founded() {
    let mut core = primary(support::config());
    assert_eq!(core.sealed_ca(), None);
    found(&mut core);
    assert_eq!(core.sealed_ca(), Some(b"sealed".as_slice()));
    assert!(core.has_users());
}

#[test]
fn who_forgets_is_empty_and_reads_the_log_anew() {
    let mut core = primary(support::config());
    found(&mut core);
    let outputs = tell(&mut core, Input::Forget);
    assert!(matches!(outputs[..], [Output::Void(_), Output::Accepted(_), Output::Deposed(_)]), "{outputs:?}");
    assert!(core.is_empty() && !core.has_users() && !core.is_hot());
    assert!(!core.lease().holds(NOW.monotonic));
    let hello = proposal(&tell(&mut core, Input::Begin { nonce: 2 }));
    assert!(matches!(Entry::decode(&hello), Ok(Entry::Hello { nonce: 2, .. })));
    tell(&mut core, Input::Committed { index: Index(0), content: Content::Blank, age: Duration::ZERO });
    core.check();
}

/// A `Hello` that a former process of this node had sent came after all that the new one has done: others do not find it.
#[test]
fn a_primary_that_is_replaced_though_it_lives_ends_its_epoch_and_begins_anew() {
    let tick = || Input::Tick { input_bytes: 0, output_bytes: 0 };
    let hello = |node, nonce| Arc::new(Entry::Hello { node, nonce, address: "node:1", origin: None }.encode());
    for has_others in [false, true] {
        let mut core = primary(support::config());
        found(&mut core);
        assert_eq!(commit(&mut core, 4, &hello(if has_others { "node-2" } else { "node-1" }, 1)), []);
        assert_eq!(tell(&mut core, tick()), [], "all is well");
        assert_eq!(commit(&mut core, 5, &hello("node-1", 7)), []);
        assert!(core.is_primary() && core.primary().is_none());
        let release = proposal(&tell(&mut core, tick()));
        assert!(matches!(Entry::decode(&release), Ok(Entry::Release { epoch: Epoch(2), .. })));
        let outputs = commit(&mut core, 6, &release);
        assert!(matches!(outputs[..], [.., Output::Follows(Epoch(2)), Output::Deposed(Epoch(2))]), "{outputs:?}");
        assert!(core.is_empty() && !core.is_hot());
        let again = proposal(&tell(&mut core, Input::Begin { nonce: 2 }));
        assert!(matches!(Entry::decode(&again), Ok(Entry::Hello { nonce: 2, origin: None, .. })));
    }
}

#[test]
fn a_renewal_in_a_snapshot_is_waited_for_from_when_the_snapshot_is_read() {
    let mut system = System::default();
    system.judge(Index(1), &Entry::Hello { node: "node-2", nonce: 9, address: "node-2:1", origin: None });
    let claim = Entry::Claim { incarnation: Incarnation(1), previous_epoch: Epoch::ZERO, last_renewal: Index(0) };
    assert_eq!(system.judge(Index(2), &claim), Verdict::Accepted);
    // It has run for a second when its Keeper is given a snapshot that was just made.
    let mut core = Core::new(support::config());
    tell(&mut core, Input::Snapshot { index: Index(2), system, items: &[] });
    let hello = proposal(&tell(&mut core, Input::Begin { nonce: 1 }));
    assert_eq!(commit(&mut core, 3, &hello), []);
    for (after, claims) in [(307, false), (308, true)] {
        let now = Now { monotonic: NOW.monotonic + Duration::from_millis(after), ..NOW };
        let mut outputs = Vec::new();
        core.handle(now, Input::Tick { input_bytes: 0, output_bytes: 0 }, &mut outputs).expect("nothing is read");
        assert_eq!(!outputs.is_empty(), claims, "{outputs:?}");
    }
}

/// A Replica that has what a primary has executed.
fn replica_of(commands: &[u8]) -> Core {
    let mut primary = primary(support::config());
    let mut log = vec![];
    let mut client = primary.connect(Port::Main, Peer::default(), NOW.monotonic).expect("there is room");
    tell(&mut primary, Input::Found { admin: "admin", password_hash: "hash", sealed_ca: None });
    authenticate(&mut primary, &mut client);
    client.input().extend_from_slice(commands);
    client.run(&mut primary, NOW);
    log.push(proposal(&tell(&mut primary, Input::CloseBatch)));

    let mut replica = Core::new(Config { node: "r".into(), founds: false, replica: true, ..support::config() });
    assert_eq!(tell(&mut replica, Input::Begin { nonce: 7 }), [], "nobody needs to know of it");
    tell(&mut replica, Input::Committed { index: Index(0), content: Content::Blank, age: Duration::ZERO });
    let hello = Arc::new(Entry::Hello { node: "node-1", nonce: 1, address: "node-1:7380", origin: None }.encode());
    let incarnation = Incarnation(1);
    let claim = Entry::Claim { incarnation, previous_epoch: Epoch(0), last_renewal: Index(0) };
    for (index, entry) in [hello, Arc::new(claim.encode())].iter().chain(&log).enumerate() {
        let group = Group { committed: 4, ..Group::default() };
        tell(&mut replica, Input::Group(group));
        assert!(!replica.is_hot(), "there is more to come");
        commit(&mut replica, index as u64 + 1, entry);
    }
    tell(&mut replica, Input::Group(Group { committed: 4, ..Group::default() }));
    replica
}

/// It must not delete it, and looked for another one for ever.
#[test]
fn a_replica_names_a_key_at_random_though_all_have_expired() {
    let mut replica = replica_of(b"SET k v PX 1\r\n");
    let mut client = replica.connect(Port::Main, Peer::default(), NOW.monotonic).expect("there is room");
    authenticate(&mut replica, &mut client);
    client.input().extend_from_slice(b"GET k\r\nRANDOMKEY\r\n");
    client.run(&mut replica, Now { wall: Wall(NOW.wall.0 + 10), ..NOW });
    assert_eq!(String::from_utf8_lossy(client.ready()), "$-1\r\n$1\r\nk\r\n");
}

#[test]
fn a_replica_answers_reads_once_it_has_caught_up_and_takes_nothing_else() {
    let mut replica = replica_of(b"SET k v\r\n");
    assert_eq!(replica.role_name(), "replica");
    assert_eq!(replica.lag(), 0);

    // Also on the port where Cores take everything.
    let mut client = replica.connect(Port::Main, Peer::default(), NOW.monotonic).expect("there is room");
    authenticate(&mut replica, &mut client);
    client.input().extend_from_slice(b"GET k\r\nSET k w\r\nCONSISTENCY QUORUM GET k\r\n");
    client.run(&mut replica, NOW);
    let replies = String::from_utf8_lossy(client.ready()).into_owned();
    assert!(replies.starts_with("$1\r\nv\r\n-READONLY "), "{replies}");
    assert!(replies.lines().nth(3).is_some_and(|line| line.starts_with('-')), "{replies}");

    // What reads alone is executed here, and nothing is left to the primary.
    client.sent(client.ready().len());
    client.input().extend_from_slice(b"MULTI\r\nGET k\r\nWAIT 1 0\r\nEXEC\r\nWAIT 1 0\r\nWAITAOF 1 0 0\r\nWATCH k\r\n");
    assert_eq!(client.run(&mut replica, NOW), Step::Read);
    let replies = String::from_utf8_lossy(client.ready()).into_owned();
    let replies: Vec<&str> = replies.lines().map(|line| &line[..line.len().min(12)]).collect();
    let wait = "-ERR WAIT ca";
    let expected = ["+OK", "+QUEUED", "+QUEUED", "*2", "$1", "v", wait, wait, "-ERR WAITAOF", "-ERR WATCH i"];
    assert_eq!(replies, expected);
    assert!(!replica.has_unsent());

    let later = Now { monotonic: Monotonic(Duration::from_secs(900)), ..NOW };
    let mut outputs = Vec::new();
    replica.handle(later, Input::Tick { input_bytes: 0, output_bytes: 0 }, &mut outputs).expect("no entry");
    assert_eq!(outputs, [], "it never claims");
}

fn authenticate(core: &mut Core, client: &mut Connection) {
    client.input().extend_from_slice(b"AUTH p\r\n");
    client.run(core, NOW);
    client.password_checked(core, NOW, mneme_kernel::password::PasswordCheck::Right(0));
    client.run(core, NOW);
    client.sent(client.ready().len());
}

/// A client that has asked for a SET at `ALL`.
fn sets_at_all(core: &mut Core) -> Connection {
    let mut client = core.connect(Port::Main, Peer::default(), NOW.monotonic).expect("there is room");
    authenticate(core, &mut client);
    client.input().extend_from_slice(b"CONSISTENCY ALL SET k v\r\n");
    client.run(core, NOW);
    client
}

#[test]
fn all_waits_for_nobody_who_has_been_removed() {
    let mut core = primary(support::config());
    found(&mut core);
    let hello = Entry::Hello { node: "node-2", nonce: 9, address: "node-2:7380", origin: None };
    commit(&mut core, 4, &Arc::new(hello.encode()));
    let mut client = sets_at_all(&mut core);
    let batch = proposal(&tell(&mut core, Input::CloseBatch));
    commit(&mut core, 5, &batch);
    let spread = core.spread(NOW.monotonic).expect("somebody waits");
    let [first, _] = &spread.holders[..] else { panic!("{spread:?}") };
    core.holds(first.clone(), spread.seq);
    assert!(core.awaits_spread(NOW.monotonic), "node-2 does not have it");
    let remove = Entry::Remove { node: "node-2", incarnation: Incarnation(4) };
    commit(&mut core, 6, &Arc::new(remove.encode()));
    // Nobody is left who could say that it has it.
    client.advance(Marks { accepted: core.accepted(), everywhere: core.everywhere() }, &[], NOW.monotonic);
    assert_eq!(client.ready(), b"+OK\r\n");
}

#[test]
fn all_waits_until_everybody_has_it_if_there_is_anybody_else() {
    for shared in [false, true] {
        let mut core = primary(support::config());
        found(&mut core);
        if shared {
            let hello = Entry::Hello { node: "node-2", nonce: 9, address: "node-2:7380", origin: None };
            commit(&mut core, 4, &Arc::new(hello.encode()));
        }
        let mut client = sets_at_all(&mut core);
        assert_eq!(core.awaits_spread(NOW.monotonic), shared);
        let batch = proposal(&tell(&mut core, Input::CloseBatch));
        let outputs = commit(&mut core, if shared { 5 } else { 4 }, &batch);
        let [Output::Accepted(accepted)] = outputs[..] else { panic!("{outputs:?}") };
        client.advance(Marks { accepted, everywhere: core.everywhere() }, &[], NOW.monotonic);
        assert_eq!(client.ready().is_empty(), shared);
        if shared {
            let spread = core.spread(NOW.monotonic).expect("somebody waits");
            assert_eq!((spread.seq, spread.index), (accepted, Index(5)));
            let names: Vec<&str> = spread.holders.iter().map(|holder| &*holder.node).collect();
            assert_eq!(names, ["node-1", "node-2"]);
            for holder in spread.holders {
                client.advance(Marks { accepted, everywhere: core.everywhere() }, &[], NOW.monotonic);
                assert!(client.ready().is_empty());
                core.holds(holder, spread.seq);
            }
            client.advance(Marks { accepted, everywhere: core.everywhere() }, &[], NOW.monotonic);
        }
        assert_eq!(client.ready(), b"+OK\r\n");
        assert!(!core.awaits_spread(NOW.monotonic));
    }
}

/// One Keeper of the majority stands for the server's own file; who else has synced it, it is asked.
#[test]
fn waitaof_counts_the_further_keepers() {
    let mut core = primary(support::config());
    found(&mut core);
    let member = |id: u64| (id, Member { name: format!("k{id}"), address: format!("k{id}:7380") });
    let members = Members { voters: vec![vec![1, 2, 3]], members: (1..=3).map(member).collect() };
    let content = Content::Members(&members);
    tell(&mut core, Input::Committed { index: Index(4), content, age: Duration::ZERO });
    let mut client = core.connect(Port::Main, Peer::default(), NOW.monotonic).expect("there is room");
    authenticate(&mut core, &mut client);
    client.input().extend_from_slice(b"CONSISTENCY EVENTUAL SET k v\r\nWAITAOF 1 2 0\r\n");
    assert!(matches!(client.run(&mut core, NOW), Step::Count(_)));
    let batch = proposal(&tell(&mut core, Input::CloseBatch));
    commit(&mut core, 5, &batch);
    for heard in 1..=3 {
        assert!(matches!(client.run(&mut core, NOW), Step::Count(_)), "{heard} of 3 Keepers are not yet heard of");
        let spread = core.spread(NOW.monotonic).expect("somebody waits");
        let holder = spread.holders.into_iter().find(|holder| holder.part == Part::Keeper(heard)).expect("a Keeper");
        core.holds(holder, spread.seq);
    }
    assert_eq!(client.run(&mut core, NOW), Step::Read);
    assert_eq!(client.ready(), b"+OK\r\n*2\r\n:1\r\n:2\r\n");
}

/// A hello from a folder.
fn hello(node: &'static str, identity: u64, life: u64) -> Entry<'static> {
    Entry::Hello { node, nonce: identity << 32 | life, address: "node:1", origin: None }
}

#[test]
fn a_removed_core_is_none_any_more_until_it_comes_with_another_folder() {
    let mut system = System::default();
    let remove = |node, incarnation| Entry::Remove { node, incarnation: Incarnation(incarnation) };
    for (index, identity) in [(1, 7), (2, 8)] {
        let node = if identity == 7 { "a" } else { "b" };
        assert_eq!(system.judge(Index(index), &hello(node, identity, 0)), Verdict::Accepted);
    }
    let claim = |incarnation, epoch, last_renewal| Entry::Claim {
        incarnation: Incarnation(incarnation),
        previous_epoch: Epoch(epoch),
        last_renewal: Index(last_renewal),
    };
    assert_eq!(system.judge(Index(3), &claim(1, 0, 0)), Verdict::Accepted);
    assert_eq!(system.judge(Index(4), &remove("a", 1)), Verdict::Fenced, "it is primary");
    assert_eq!(system.judge(Index(5), &remove("b", 1)), Verdict::Fenced, "that is another life");
    assert_eq!(system.judge(Index(6), &hello("b", 8, 1)), Verdict::Accepted);
    assert_eq!(system.judge(Index(7), &remove("b", 2)), Verdict::Fenced, "it has begun another one");
    assert_eq!(system.judge(Index(8), &remove("b", 6)), Verdict::Accepted);
    assert!(system.cores.get("b").is_none());
    assert_eq!(system.judge(Index(9), &remove("b", 6)), Verdict::Fenced);
    // What it still says counts no more.
    assert_eq!(system.judge(Index(10), &claim(6, 3, 3)), Verdict::Fenced);
    assert_eq!(system.judge(Index(11), &hello("b", 8, 2)), Verdict::Fenced);
    assert_eq!(system.judge(Index(12), &hello("b", 9, 0)), Verdict::Accepted);
    assert_eq!(system.cores.get("b").map(|core| core.incarnation), Some(Incarnation(12)));
    assert_eq!(system.judge(Index(13), &remove("a", 1)), Verdict::Fenced, "it is primary still");
    // It has handed over.
    assert_eq!(system.judge(Index(13), &Entry::Release { epoch: Epoch(3), seq: Seq(1) }), Verdict::Accepted);
    assert_eq!(system.judge(Index(14), &remove("a", 1)), Verdict::Accepted);
}

#[test]
fn a_core_that_was_removed_says_so_now_and_in_a_later_life() {
    let stands_by = || Core::new(Config { founds: false, ..support::config() });
    let mut core = stands_by();
    tell(&mut core, Input::Committed { index: Index(0), content: Content::Blank, age: Duration::ZERO });
    let hello = proposal(&tell(&mut core, Input::Begin { nonce: 7 << 32 | 1 }));
    assert_eq!(commit(&mut core, 1, &hello), []);
    let remove = Arc::new(Entry::Remove { node: "node-1", incarnation: Incarnation(1) }.encode());
    assert_eq!(commit(&mut core, 2, &remove), [], "the last one stays");
    let other = Arc::new(Entry::Hello { node: "other", nonce: 8 << 32 | 1, address: "other:1", origin: None }.encode());
    commit(&mut core, 3, &other);
    assert_eq!(commit(&mut core, 4, &remove), [Output::Removed]);
    assert!(!core.is_hot() && core.cores().get("node-1").is_none());

    let mut later = stands_by();
    tell(&mut later, Input::Committed { index: Index(0), content: Content::Blank, age: Duration::ZERO });
    let again = proposal(&tell(&mut later, Input::Begin { nonce: 7 << 32 | 2 }));
    commit(&mut later, 1, &hello);
    commit(&mut later, 2, &other);
    assert_eq!(commit(&mut later, 3, &remove), [], "another life was removed");
    assert_eq!(commit(&mut later, 4, &again), [Output::Removed]);
}

#[test]
fn who_does_not_read_what_the_cluster_writes_stops() {
    let mut core = Core::new(Config { reads: 1, ..support::config() });
    tell(&mut core, Input::Committed { index: Index(0), content: Content::Blank, age: Duration::ZERO });
    let newer = Entry::Format { format: 2 }.encode();
    let input = Input::Committed { index: Index(1), content: Content::Core(&newer), age: Duration::ZERO };
    let refused = core.handle(NOW, input, &mut Vec::new()).expect_err("it is newer");
    assert!(refused.to_string().contains("writes format 2, and this node reads up to 1"), "{refused}");
    let mut system = System::default();
    assert_eq!(system.judge(Index(1), &Entry::Format { format: 2 }), Verdict::Accepted);
    assert_eq!(system.judge(Index(2), &Entry::Format { format: 2 }), Verdict::Duplicate);
    let mut core = Core::new(Config { reads: 1, ..support::config() });
    assert!(core.handle(NOW, Input::Snapshot { index: Index(2), system, items: &[] }, &mut Vec::new()).is_err());
}
